// SPDX-License-Identifier: Apache-2.0
// One node: by its row of import.def, or, when it names a function of the model, by that function's
// nodes in its place.
#include <string.h>

#include "frontend/onnx/import_internal.h"

// --- Attributes ----------------------------------------------------------------------------------

static const Onnx__AttributeProto *find_by_name(size_t n, Onnx__AttributeProto *const *attrs,
                                                const char *name) {
    for (size_t i = 0; i < n; i++)
        if (attrs[i]->name != NULL && strcmp(attrs[i]->name, name) == 0)
            return attrs[i];
    return NULL;
}

// In a function's body an attribute may stand for one of the call.
static const Onnx__AttributeProto *resolve(const scope_t *scope, const Onnx__AttributeProto *a) {
    if (a == NULL || a->ref_attr_name == NULL || a->ref_attr_name[0] == 0)
        return a;
    return find_by_name(scope->n_attrs, scope->attrs, a->ref_attr_name);
}

const Onnx__AttributeProto *import_attr(const node_t *n, const char *name) {
    return resolve(n->scope, find_by_name(n->proto->n_attribute, n->proto->attribute, name));
}

int64_t import_attr_int(const node_t *n, const char *name, int64_t otherwise) {
    const Onnx__AttributeProto *a = import_attr(n, name);
    return a != NULL ? a->i : otherwise;
}

const char *import_attr_string(const node_t *n, const char *name, const char *otherwise) {
    const Onnx__AttributeProto *a = import_attr(n, name);
    if (a == NULL)
        return otherwise;
    return arena_strndup(n->im->arena, a->s.len > 0 ? (const char *)a->s.data : "", a->s.len);
}

// --- Making ops ----------------------------------------------------------------------------------

ir_op_t *import_make(node_t *n, ir_opcode_t code, size_t n_operands, ir_value_t *const *operands,
                     uint32_t n_results) {
    const ir_type_t *unknown = ir_type_unranked(n->im->m, DTYPE_NONE);
    const ir_type_t **types = ARENA_ARRAY(n->im->arena, const ir_type_t *, n_results);
    for (uint32_t i = 0; i < n_results; i++)
        types[i] = unknown;
    return ir_build(&n->b, code, (uint32_t)n_operands, operands, n_results, types);
}

static ir_value_t *make_const(node_t *n, dtype_t elem, uint32_t rank, size_t count,
                              const void *data) {
    ir_module_t *m = n->im->m;
    int64_t dims[1] = {(int64_t)count};
    const ir_blob_t *blob = ir_blob_copy(m, elem, data, count * dtype_bytes(elem));
    return ir_build_const(&n->b, blob, ir_type_const_tensor(m, elem, rank, dims));
}

ir_value_t *import_const_i64(node_t *n, uint32_t rank, size_t count, const int64_t *values) {
    return make_const(n, DTYPE_I64, rank, count, values);
}

ir_value_t *import_const_f32(node_t *n, uint32_t rank, size_t count, const float *values) {
    return make_const(n, DTYPE_F32, rank, count, values);
}

static status_t bind_output(node_t *n, const char *name, ir_value_t *value, const char *missing) {
    if (name[0] == 0)
        return STATUS_OK;
    const binding_t *binding = map_get_str(&n->scope->names, name);
    if (binding != NULL && binding->value == NULL && binding->missing == NULL)
        return STATUS_OK; // read before, and reported there
    if (binding != NULL)
        return import_fail(n->im, n, STATUS_INVALID, "output '%s' is already defined", name);
    import_bind(n->scope, n->im->arena, name, value, missing);
    if (value != NULL && value->def != NULL && n->scope->is_main)
        value->name = ir_intern(n->im->m, name); // outputs are unique in a graph
    return STATUS_OK;
}

status_t import_bind_results(node_t *n, ir_op_t *op) {
    for (size_t i = 0; i < n->proto->n_output; i++) {
        bool made = i < op->n_results;
        const char *missing =
            made ? NULL
                 : arena_printf(n->im->arena, "output %zu of %s '%s', which is not supported yet",
                                i + 1, n->proto->op_type, n->name);
        RETURN_IF_ERROR(bind_output(n, n->proto->output[i], made ? op->results[i] : NULL, missing));
    }
    return STATUS_OK;
}

status_t import_generic_op(node_t *n, ir_op_t **out_op) {
    uint32_t n_results =
        n->row->max_outputs < 0 ? (uint32_t)n->proto->n_output : (uint32_t)n->row->max_outputs;
    *out_op = import_make(n, n->row->code, n->n_inputs, n->inputs, n_results);
    return import_map_attrs(n, *out_op);
}

status_t import_generic(node_t *n) {
    ir_op_t *op;
    RETURN_IF_ERROR(import_generic_op(n, &op));
    return import_bind_results(n, op);
}

// --- Inputs --------------------------------------------------------------------------------------

// False when an input could not be made; that was reported where it happened.
static bool gather_inputs(node_t *n) {
    const Onnx__NodeProto *p = n->proto;
    bool ok = true;
    n->n_inputs = p->n_input;
    while (n->n_inputs > 0 && p->input[n->n_inputs - 1][0] == 0)
        n->n_inputs--;
    n->inputs = ARENA_ARRAY(n->im->arena, ir_value_t *, n->n_inputs);
    for (size_t i = 0; i < n->n_inputs; i++) {
        if (p->input[i][0] == 0)
            continue;
        n->inputs[i] = import_lookup(n->im, n->scope, n, p->input[i]);
        ok = ok && n->inputs[i] != NULL;
    }
    return ok;
}

static status_t check_input_count(const node_t *n) {
    const import_row_t *row = n->row;
    if (n->n_inputs < (size_t)row->min_inputs ||
        (row->max_inputs >= 0 && n->n_inputs > (size_t)row->max_inputs))
        return import_fail(n->im, n, STATUS_INVALID, "it has %zu inputs", n->n_inputs);
    for (size_t i = 0; i < (size_t)row->min_inputs; i++)
        if (n->inputs[i] == NULL)
            return import_fail(n->im, n, STATUS_INVALID, "input %zu is absent", i + 1);
    return STATUS_OK;
}

// --- Functions -----------------------------------------------------------------------------------

// The call's attributes and, for those it leaves out, the function's defaults.
static void bind_attrs(const node_t *n, const Onnx__FunctionProto *f, scope_t *inner) {
    const Onnx__NodeProto *p = n->proto;
    Onnx__AttributeProto **attrs =
        ARENA_ARRAY(n->im->arena, Onnx__AttributeProto *, p->n_attribute + f->n_attribute_proto);
    size_t count = 0;
    for (size_t i = 0; i < p->n_attribute; i++) {
        const Onnx__AttributeProto *a = resolve(n->scope, p->attribute[i]);
        if (a == NULL)
            continue;
        Onnx__AttributeProto *copy = arena_memdup(n->im->arena, a, sizeof *a);
        if (copy == NULL)
            continue;
        copy->name = p->attribute[i]->name;
        attrs[count++] = copy;
    }
    for (size_t i = 0; i < f->n_attribute_proto; i++) {
        const char *name = f->attribute_proto[i]->name;
        if (name != NULL && find_by_name(count, attrs, name) == NULL)
            attrs[count++] = f->attribute_proto[i];
    }
    inner->attrs = attrs;
    inner->n_attrs = count;
}

static status_t inline_function(node_t *n, const Onnx__FunctionProto *f) {
    import_t *im = n->im;
    scope_t inner = {.depth = n->scope->depth + 1, .function = f, .call = n->name};
    if (inner.depth > ONNX_MAX_CALL_DEPTH)
        return import_fail(im, n, STATUS_LIMIT, "functions call each other more than %d deep",
                           ONNX_MAX_CALL_DEPTH);
    if (n->n_inputs > f->n_input || n->proto->n_output > f->n_output)
        return import_fail(im, n, STATUS_INVALID, "the function '%s' has %zu inputs, %zu outputs",
                           f->name, f->n_input, f->n_output);
    map_init(&inner.names, im->arena);
    RETURN_IF_ERROR(import_opset(im, f->n_opset_import, f->opset_import, &inner.opset));
    bind_attrs(n, f, &inner);
    for (size_t i = 0; i < f->n_input; i++)
        import_bind(&inner, im->arena, f->input[i], i < n->n_inputs ? n->inputs[i] : NULL, NULL);
    RETURN_IF_ERROR(import_graph_nodes(im, &inner, n->b.block, f->n_node, f->node));
    for (size_t i = 0; i < n->proto->n_output; i++) {
        ir_value_t *value = import_lookup(im, &inner, n, f->output[i]);
        if (n->proto->output[i][0] != 0)
            import_bind(n->scope, im->arena, n->proto->output[i], value, NULL);
    }
    return STATUS_OK;
}

// --- Nodes ---------------------------------------------------------------------------------------

static void name_node(node_t *n) {
    const char *name = n->proto->name;
    n->name =
        name != NULL && name[0] != 0 ? name : arena_printf(n->im->arena, "#%zu", n->im->n_nodes);
    if (n->scope->call != NULL)
        n->name = arena_printf(n->im->arena, "%s/%s", n->scope->call, n->name);
    n->im->n_nodes++;
}

static const Onnx__FunctionProto *find_function(const node_t *n) {
    const Onnx__NodeProto *p = n->proto;
    return map_get_str(&n->im->functions,
                       import_function_key(n->im->arena, p->domain, p->op_type, p->overload));
}

static status_t no_row(const node_t *n, bool known) {
    if (!import_is_default_domain(n->proto->domain))
        return import_fail(n->im, n, STATUS_UNSUPPORTED,
                           "no support for operator '%s' of domain '%s'", n->proto->op_type,
                           n->proto->domain);
    if (known)
        return import_fail(n->im, n, STATUS_UNSUPPORTED,
                           "no support for operator '%s' of opset %lld", n->proto->op_type,
                           (long long)n->scope->opset);
    return import_fail(n->im, n, STATUS_UNSUPPORTED, "no support for operator '%s'",
                       n->proto->op_type);
}

static status_t import_by_row(node_t *n) {
    bool known = false;
    n->row = import_is_default_domain(n->proto->domain)
                 ? import_find_row(n->proto->op_type, n->scope->opset, &known)
                 : NULL;
    if (n->row == NULL)
        return no_row(n, known);
    if (n->proto->n_output == 0)
        return import_fail(n->im, n, STATUS_INVALID, "it has no outputs");
    RETURN_IF_ERROR(check_input_count(n));
    return n->row->handler != NULL ? n->row->handler(n) : import_generic(n);
}

// Readers of outputs that were not made stay silent.
static void bind_missing(node_t *n) {
    for (size_t i = 0; i < n->proto->n_output; i++)
        if (map_get_str(&n->scope->names, n->proto->output[i]) == NULL)
            import_bind(n->scope, n->im->arena, n->proto->output[i], NULL, NULL);
}

status_t import_node(import_t *im, scope_t *scope, ir_block_t *block,
                     const Onnx__NodeProto *proto) {
    node_t n = {.im = im, .scope = scope, .proto = proto};
    name_node(&n);
    if (proto->op_type == NULL)
        return import_fail(im, NULL, STATUS_INVALID, "node '%s' has no operator", n.name);
    const ir_origin_t *origin = ir_origin_new(im->m, n.name, proto->op_type);
    ir_builder_end(&n.b, im->m, block);
    n.b.origins = &origin;
    n.b.n_origins = 1;
    const Onnx__FunctionProto *function = find_function(&n);
    bool inputs = gather_inputs(&n);
    status_t status = STATUS_INVALID;
    if (inputs && function != NULL)
        status = inline_function(&n, function);
    else if (inputs)
        status = import_by_row(&n);
    else if (function == NULL) { // an operator that nobody knows is said even so
        bool known = true;
        if (!import_is_default_domain(proto->domain) ||
            import_find_row(proto->op_type, scope->opset, &known) == NULL)
            status = no_row(&n, known);
    }
    if (status != STATUS_OK)
        bind_missing(&n);
    return STATUS_OK; // errors are collected
}
