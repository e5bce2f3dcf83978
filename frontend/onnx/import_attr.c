// SPDX-License-Identifier: Apache-2.0
// The attribute columns of import.def: which ONNX attribute becomes which IR attribute. The kinds
// of the IR side come from ir/ops.def.
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/import_internal.h"

// One word of a row's attribute column.
typedef struct spec {
    char mark; // '-', '!' or 0
    char onnx[48], ir[24];
    const char *value; // after '=', up to value_length; NULL without one
    size_t value_length;
} spec_t;

static void copy_word(char *out, size_t room, const char *from, size_t length) {
    size_t n = length < room - 1 ? length : room - 1;
    memcpy(out, from, n);
    out[n] = 0;
}

// Reads the next word of `*at`; false at the end.
static bool next_spec(const char **at, spec_t *out) {
    const char *p = *at + strspn(*at, " ");
    size_t length = strcspn(p, " ");
    if (length == 0)
        return false;
    *at = p + length;
    *out = (spec_t){0};
    if (*p == '-' || *p == '!') {
        out->mark = *p++;
        length--;
    }
    size_t name = strcspn(p, " =:"), ir = 0;
    copy_word(out->onnx, sizeof out->onnx, p, name);
    if (name < length && p[name] == ':') {
        ir = strcspn(p + name + 1, " =");
        copy_word(out->ir, sizeof out->ir, p + name + 1, ir);
        name += ir + 1;
    } else {
        copy_word(out->ir, sizeof out->ir, p, name);
    }
    if (name < length && p[name] == '=') {
        out->value = p + name + 1;
        out->value_length = length - name - 1;
    }
    return true;
}

static bool ir_kind(ir_opcode_t code, const char *name, ir_attr_kind_t *out_kind) {
    size_t n;
    const ir_attr_info_t *infos = ir_op_attrs(code, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            *out_kind = infos[i].kind;
            return true;
        }
    }
    return false;
}

// --- Values written in a row ---------------------------------------------------------------------

static status_t set_text(node_t *n, ir_op_t *op, const char *name, const char *text,
                         size_t length) {
    ir_attr_kind_t kind;
    char value[64];
    copy_word(value, sizeof value, text, length);
    if (!ir_kind(op->code, name, &kind))
        return import_fail(n->im, n, STATUS_INTERNAL, "import.def: no attribute '%s'", name);
    if (kind == IR_ATTR_INT)
        ir_set_int(n->im->m, op, name, strtoll(value, NULL, 10));
    else if (kind == IR_ATTR_FLOAT)
        ir_set_float(n->im->m, op, name, strtod(value, NULL));
    else if (kind == IR_ATTR_STRING)
        ir_set_string(n->im->m, op, name, value);
    else
        return import_fail(n->im, n, STATUS_INTERNAL, "import.def: value of '%s'", name);
    return STATUS_OK;
}

static status_t set_fixed(node_t *n, ir_op_t *op) {
    const char *at = n->row->fixed;
    spec_t spec;
    while (next_spec(&at, &spec))
        RETURN_IF_ERROR(set_text(n, op, spec.onnx, spec.value, spec.value_length));
    return STATUS_OK;
}

// --- Values of the node --------------------------------------------------------------------------

// The oldest files leave the type out: then whatever is there counts.
static bool has_kind(const Onnx__AttributeProto *a, int type) {
    if (a->type != 0)
        return a->type == type;
    switch (type) {
    case ONNX_ATTR_FLOAT:
        return a->has_f;
    case ONNX_ATTR_INT:
        return a->has_i;
    case ONNX_ATTR_STRING:
        return a->has_s;
    case ONNX_ATTR_FLOATS:
        return a->n_floats > 0;
    case ONNX_ATTR_INTS:
        return a->n_ints > 0 || a->n_floats + a->n_strings == 0;
    case ONNX_ATTR_STRINGS:
        return a->n_strings > 0;
    default:
        return false;
    }
}

static status_t wrong_kind(const node_t *n, const Onnx__AttributeProto *a) {
    return import_fail(n->im, n, STATUS_INVALID, "attribute '%s' has the wrong type", a->name);
}

static const char *string_of(const node_t *n, const ProtobufCBinaryData *s) {
    return arena_strndup(n->im->arena, s->len > 0 ? (const char *)s->data : "", s->len);
}

static status_t set_ints(node_t *n, ir_op_t *op, const char *name, const Onnx__AttributeProto *a) {
    if (!has_kind(a, ONNX_ATTR_INTS))
        return wrong_kind(n, a);
    ir_set_ints(n->im->m, op, name, a->n_ints, a->ints);
    return STATUS_OK;
}

static status_t set_floats(node_t *n, ir_op_t *op, const char *name,
                           const Onnx__AttributeProto *a) {
    if (!has_kind(a, ONNX_ATTR_FLOATS))
        return wrong_kind(n, a);
    double *values = ARENA_ARRAY(n->im->arena, double, a->n_floats);
    for (size_t i = 0; i < a->n_floats; i++)
        values[i] = a->floats[i];
    ir_set_floats(n->im->m, op, name, a->n_floats, values);
    return STATUS_OK;
}

static status_t set_dtype(node_t *n, ir_op_t *op, const char *name, const Onnx__AttributeProto *a) {
    char class = dtype_class((dtype_t)(a->i >= 0 && a->i < DTYPE_COUNT ? a->i : 0));
    if (!has_kind(a, ONNX_ATTR_INT) || class == 0)
        return wrong_kind(n, a);
    if (class == 'T' || class == 'C')
        return import_fail(n->im, n, STATUS_UNSUPPORTED, "attribute '%s' names %s", a->name,
                           dtype_text((dtype_t)a->i));
    ir_set_dtype(n->im->m, op, name, (dtype_t)a->i);
    return STATUS_OK;
}

static status_t set_from_node(node_t *n, ir_op_t *op, const char *name,
                              const Onnx__AttributeProto *a) {
    ir_attr_kind_t kind = IR_ATTR_INT;
    if (!ir_kind(op->code, name, &kind))
        return import_fail(n->im, n, STATUS_INTERNAL, "import.def: no attribute '%s'", name);
    switch (kind) {
    case IR_ATTR_INT:
        if (!has_kind(a, ONNX_ATTR_INT))
            return wrong_kind(n, a);
        ir_set_int(n->im->m, op, name, a->i);
        return STATUS_OK;
    case IR_ATTR_FLOAT:
        if (!has_kind(a, ONNX_ATTR_FLOAT) && !has_kind(a, ONNX_ATTR_INT))
            return wrong_kind(n, a);
        ir_set_float(n->im->m, op, name, has_kind(a, ONNX_ATTR_INT) ? (double)a->i : a->f);
        return STATUS_OK;
    case IR_ATTR_STRING:
        if (!has_kind(a, ONNX_ATTR_STRING))
            return wrong_kind(n, a);
        ir_set_string(n->im->m, op, name, string_of(n, &a->s));
        return STATUS_OK;
    case IR_ATTR_INTS:
        return set_ints(n, op, name, a);
    case IR_ATTR_FLOATS:
        return set_floats(n, op, name, a);
    case IR_ATTR_DTYPE:
        return set_dtype(n, op, name, a);
    default:
        return import_fail(n->im, n, STATUS_INTERNAL, "import.def: kind of '%s'", name);
    }
}

// '!': the node may only say what the row says.
static status_t check_only(const node_t *n, const spec_t *spec, const Onnx__AttributeProto *a) {
    const char *has;
    if (has_kind(a, ONNX_ATTR_INT))
        has = arena_printf(n->im->arena, "%lld", (long long)a->i);
    else if (has_kind(a, ONNX_ATTR_STRING))
        has = string_of(n, &a->s);
    else
        return wrong_kind(n, a);
    if (strlen(has) == spec->value_length && memcmp(has, spec->value, spec->value_length) == 0)
        return STATUS_OK;
    return import_fail(n->im, n, STATUS_UNSUPPORTED, "attribute '%s' is %s; only %.*s is supported",
                       a->name, has, (int)spec->value_length, spec->value);
}

static status_t map_one(node_t *n, ir_op_t *op, const spec_t *spec) {
    const Onnx__AttributeProto *a = import_attr(n, spec->onnx);
    if (spec->mark == '-')
        return STATUS_OK;
    if (a == NULL && spec->mark == 0 && spec->value != NULL)
        return set_text(n, op, spec->ir, spec->value, spec->value_length);
    if (a == NULL)
        return STATUS_OK;
    if (spec->mark == '!')
        return check_only(n, spec, a);
    return set_from_node(n, op, spec->ir, a);
}

static bool is_listed(const import_row_t *row, const char *name) {
    const char *at = row->attrs;
    spec_t spec;
    while (next_spec(&at, &spec))
        if (strcmp(spec.onnx, name) == 0)
            return true;
    return false;
}

static status_t refuse_unlisted(const node_t *n) {
    status_t status = STATUS_OK;
    for (size_t i = 0; i < n->proto->n_attribute; i++) {
        const char *name = n->proto->attribute[i]->name;
        if (name == NULL || !is_listed(n->row, name))
            status = import_fail(n->im, n, STATUS_UNSUPPORTED, "attribute '%s'",
                                 name != NULL ? name : "");
    }
    return status;
}

static status_t check_required(const node_t *n, const ir_op_t *op) {
    size_t n_infos;
    const ir_attr_info_t *infos = ir_op_attrs(op->code, &n_infos);
    for (size_t i = 0; i < n_infos; i++)
        if (infos[i].required && ir_get(op, infos[i].name) == NULL && n->row->handler == NULL)
            return import_fail(n->im, n, STATUS_INVALID, "attribute '%s' is missing",
                               infos[i].name);
    return STATUS_OK;
}

status_t import_map_attrs(node_t *n, ir_op_t *op) {
    const char *at = n->row->attrs;
    spec_t spec;
    RETURN_IF_ERROR(refuse_unlisted(n));
    RETURN_IF_ERROR(set_fixed(n, op));
    while (next_spec(&at, &spec))
        RETURN_IF_ERROR(map_one(n, op, &spec));
    return check_required(n, op);
}
