// SPDX-License-Identifier: Apache-2.0
// Attributes of ops: a short unordered array; setting replaces.
#include <string.h>

#include "ir/ir_internal.h"

ir_attr_t *ir_attr_slot(ir_module_t *m, ir_op_t *op, const char *name) {
    for (uint32_t i = 0; i < op->n_attrs; i++)
        if (strcmp(op->attrs[i].name, name) == 0)
            return &op->attrs[i];
    if ((op->n_attrs & (op->n_attrs - 1)) == 0) { // full at powers of two
        ir_attr_t *attrs =
            ARENA_ARRAY(&m->arena, ir_attr_t, op->n_attrs == 0 ? 1 : op->n_attrs * 2);
        if (op->n_attrs > 0)
            memcpy(attrs, op->attrs, op->n_attrs * sizeof *attrs);
        op->attrs = attrs;
    }
    ir_attr_t *attr = &op->attrs[op->n_attrs++];
    *attr = (ir_attr_t){.name = ir_intern(m, name)};
    return attr;
}

static ir_attr_t *slot(ir_module_t *m, ir_op_t *op, const char *name, ir_attr_kind_t kind,
                       size_t n) {
    ir_attr_t *attr = ir_attr_slot(m, op, name);
    attr->kind = kind;
    attr->n = n;
    return attr;
}

void ir_set_int(ir_module_t *m, ir_op_t *op, const char *name, int64_t value) {
    slot(m, op, name, IR_ATTR_INT, 0)->i = value;
}

void ir_set_float(ir_module_t *m, ir_op_t *op, const char *name, double value) {
    slot(m, op, name, IR_ATTR_FLOAT, 0)->f = value;
}

void ir_set_string(ir_module_t *m, ir_op_t *op, const char *name, const char *value) {
    slot(m, op, name, IR_ATTR_STRING, 0)->s = ir_intern(m, value);
}

// A copy is made before the slot is written: `values` may be the attribute's own old array.
void ir_set_ints(ir_module_t *m, ir_op_t *op, const char *name, size_t n, const int64_t *values) {
    int64_t *copy = ARENA_ARRAY(&m->arena, int64_t, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = values[i];
    slot(m, op, name, IR_ATTR_INTS, n)->ints = copy;
}

void ir_set_floats(ir_module_t *m, ir_op_t *op, const char *name, size_t n, const double *values) {
    double *copy = ARENA_ARRAY(&m->arena, double, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = values[i];
    slot(m, op, name, IR_ATTR_FLOATS, n)->floats = copy;
}

void ir_set_strings(ir_module_t *m, ir_op_t *op, const char *name, size_t n,
                    const char *const *values) {
    const char **copy = ARENA_ARRAY(&m->arena, const char *, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = ir_intern(m, values[i]);
    slot(m, op, name, IR_ATTR_STRINGS, n)->strings = copy;
}

void ir_set_expr(ir_module_t *m, ir_op_t *op, const char *name, const ir_expr_t *value) {
    slot(m, op, name, IR_ATTR_EXPR, 0)->expr = value;
}

void ir_set_exprs(ir_module_t *m, ir_op_t *op, const char *name, size_t n,
                  const ir_expr_t *const *values) {
    const ir_expr_t **copy = ARENA_ARRAY(&m->arena, const ir_expr_t *, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = values[i];
    slot(m, op, name, IR_ATTR_EXPRS, n)->exprs = copy;
}

void ir_set_dtype(ir_module_t *m, ir_op_t *op, const char *name, dtype_t value) {
    slot(m, op, name, IR_ATTR_DTYPE, 0)->dtype = value;
}

void ir_set_blob(ir_module_t *m, ir_op_t *op, const char *name, const ir_blob_t *value) {
    slot(m, op, name, IR_ATTR_BLOB, 0)->blob = value;
}

void ir_set_symbol(ir_module_t *m, ir_op_t *op, const char *name, const ir_symbol_t *value) {
    slot(m, op, name, IR_ATTR_SYMBOL, 0)->symbol = value;
}

void ir_remove_attr(ir_op_t *op, const char *name) {
    for (uint32_t i = 0; i < op->n_attrs; i++) {
        if (strcmp(op->attrs[i].name, name) != 0)
            continue;
        // The array keeps its room: a later slot may copy it once too early, never too late.
        ir_attr_t *at = &op->attrs[i];
        memmove(at, at + 1, (--op->n_attrs - i) * sizeof *at);
        return;
    }
}

const ir_attr_t *ir_get(const ir_op_t *op, const char *name) {
    for (uint32_t i = 0; i < op->n_attrs; i++)
        if (strcmp(op->attrs[i].name, name) == 0)
            return &op->attrs[i];
    return NULL;
}

static const ir_attr_t *get_kind(const ir_op_t *op, const char *name, ir_attr_kind_t kind) {
    const ir_attr_t *attr = ir_get(op, name);
    return attr != NULL && attr->kind == kind ? attr : NULL;
}

int64_t ir_get_int(const ir_op_t *op, const char *name, int64_t otherwise) {
    const ir_attr_t *attr = get_kind(op, name, IR_ATTR_INT);
    return attr != NULL ? attr->i : otherwise;
}

double ir_get_float(const ir_op_t *op, const char *name, double otherwise) {
    const ir_attr_t *attr = get_kind(op, name, IR_ATTR_FLOAT);
    return attr != NULL ? attr->f : otherwise;
}

const char *ir_get_string(const ir_op_t *op, const char *name, const char *otherwise) {
    const ir_attr_t *attr = get_kind(op, name, IR_ATTR_STRING);
    return attr != NULL ? attr->s : otherwise;
}

size_t ir_get_ints(const ir_op_t *op, const char *name, size_t max, int64_t *out) {
    const ir_attr_t *attr = get_kind(op, name, IR_ATTR_INTS);
    if (attr == NULL)
        return 0;
    size_t n = attr->n < max ? attr->n : max;
    for (size_t i = 0; i < n; i++)
        out[i] = attr->ints[i];
    return n;
}

const ir_expr_t *ir_get_expr(const ir_op_t *op, const char *name) {
    const ir_attr_t *attr = get_kind(op, name, IR_ATTR_EXPR);
    return attr != NULL ? attr->expr : NULL;
}
