// SPDX-License-Identifier: Apache-2.0
// Deep copies: of an op inside its module, and of a whole module into a new one. A copied loop
// keeps its symbol: two loops of one symbol are fine while neither is inside the other.
#include "ir/ir_internal.h"

typedef struct cloner {
    ir_module_t *m;  // takes the copies
    map_t *values;   // value -> copy
    map_t *types;    // type -> copy, or NULL inside one module: types are kept
    bool keep_names; // a new module: names stay unique as they are
} cloner_t;

// --- Parts that belong to a module ---------------------------------------------------------------

static const ir_expr_t *clone_expr(const cloner_t *c, const ir_expr_t *e) {
    if (e == NULL || c->types == NULL)
        return e;
    if (e->kind == IR_EXPR_CONST)
        return ir_const(c->m, e->value);
    if (e->kind == IR_EXPR_SYMBOL)
        return ir_sym(c->m, c->m->symbols[e->symbol->id]);
    const ir_expr_t *a = clone_expr(c, e->a), *b = clone_expr(c, e->b);
    return ir_expr_node(c->m, e->kind, a, b); // simplified already, and in the same order
}

static const ir_expr_t *const *clone_exprs(const cloner_t *c, size_t n,
                                           const ir_expr_t *const *exprs) {
    if (exprs == NULL || c->types == NULL)
        return exprs;
    const ir_expr_t **copy = ARENA_ARRAY(&c->m->arena, const ir_expr_t *, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = clone_expr(c, exprs[i]);
    return copy;
}

static const ir_type_t *type_copy(const cloner_t *c, const ir_type_t *type) {
    const ir_expr_t *const *dims = clone_exprs(c, type->rank, type->dims);
    switch (type->kind) {
    case IR_TENSOR:
        return type->ranked ? ir_type_tensor(c->m, type->elem, type->rank, dims)
                            : ir_type_unranked(c->m, type->elem);
    case IR_BUFFER:
        return ir_type_buffer(c->m, type->space, type->elem, type->rank, dims,
                              clone_exprs(c, type->rank, type->strides));
    case IR_SCALAR:
        return ir_type_scalar(c->m, type->elem);
    case IR_TICKET:
        return ir_type_ticket(c->m);
    case IR_HANDLE:
        return ir_type_handle(c->m, type->handle);
    }
    ir_die("a type of kind %d", (int)type->kind);
}

static const ir_type_t *clone_type(const cloner_t *c, const ir_type_t *type) {
    if (c->types == NULL || type == NULL)
        return type;
    const ir_type_t *copy = map_get_ptr(c->types, type);
    if (copy == NULL) {
        copy = type_copy(c, type);
        map_put_ptr(c->types, type, (void *)(uintptr_t)copy);
    }
    return copy;
}

static const ir_blob_t *clone_blob(const cloner_t *c, const ir_blob_t *blob) {
    return c->types == NULL || blob == NULL ? blob : c->m->blobs[blob->id];
}

static void clone_attr(const cloner_t *c, ir_op_t *to, const ir_attr_t *attr) {
    ir_module_t *m = c->m;
    switch (attr->kind) {
    case IR_ATTR_INT:
        ir_set_int(m, to, attr->name, attr->i);
        break;
    case IR_ATTR_FLOAT:
        ir_set_float(m, to, attr->name, attr->f);
        break;
    case IR_ATTR_STRING:
        ir_set_string(m, to, attr->name, attr->s);
        break;
    case IR_ATTR_INTS:
        ir_set_ints(m, to, attr->name, attr->n, attr->ints);
        break;
    case IR_ATTR_FLOATS:
        ir_set_floats(m, to, attr->name, attr->n, attr->floats);
        break;
    case IR_ATTR_STRINGS:
        ir_set_strings(m, to, attr->name, attr->n, attr->strings);
        break;
    case IR_ATTR_EXPR:
        ir_set_expr(m, to, attr->name, clone_expr(c, attr->expr));
        break;
    case IR_ATTR_EXPRS:
        ir_set_exprs(m, to, attr->name, attr->n, clone_exprs(c, attr->n, attr->exprs));
        break;
    case IR_ATTR_DTYPE:
        ir_set_dtype(m, to, attr->name, attr->dtype);
        break;
    case IR_ATTR_BLOB:
        ir_set_blob(m, to, attr->name, clone_blob(c, attr->blob));
        break;
    case IR_ATTR_SYMBOL:
        ir_set_symbol(m, to, attr->name,
                      c->types == NULL ? attr->symbol : m->symbols[attr->symbol->id]);
        break;
    }
}

static void clone_origins(const cloner_t *c, ir_op_t *to, const ir_op_t *from) {
    if (from->n_origins == 0)
        return;
    if (c->types == NULL) {
        ir_add_origins(c->m, to, from->origins, from->n_origins);
        return;
    }
    const ir_origin_t **origins = ARENA_ARRAY(&c->m->arena, const ir_origin_t *, from->n_origins);
    for (uint32_t i = 0; i < from->n_origins; i++)
        origins[i] = ir_origin_new(c->m, from->origins[i]->node, from->origins[i]->op);
    ir_add_origins(c->m, to, origins, from->n_origins);
}

// --- Ops and regions -----------------------------------------------------------------------------

static void clone_value_facts(const cloner_t *c, ir_value_t *to, const ir_value_t *from) {
    to->name = c->keep_names ? ir_intern(c->m, from->name) : ir_fresh_name(c->m, from->name);
    to->known = clone_blob(c, from->known);
    const ir_expr_t *elements =
        from->known_exprs != NULL && from->type != NULL && from->type->kind == IR_TENSOR
            ? ir_type_elements(c->m, to->type)
            : NULL;
    if (elements != NULL && elements->kind == IR_EXPR_CONST)
        to->known_exprs = clone_exprs(c, (size_t)elements->value, from->known_exprs);
}

static ir_op_t *clone_op(const cloner_t *c, ir_block_t *block, const ir_op_t *op);

static void clone_block(const cloner_t *c, ir_block_t *to, const ir_block_t *from) {
    for (uint32_t i = 0; i < from->n_args; i++) {
        ir_value_t *arg = from->args[i];
        ir_value_t *copy = ir_block_add_arg(c->m, to, clone_type(c, arg->type), "");
        clone_value_facts(c, copy, arg);
        map_put_ptr(c->values, arg, copy);
    }
    for (const ir_op_t *op = from->first; op != NULL; op = op->next)
        (void)clone_op(c, to, op);
}

// At the end of `block`.
static ir_op_t *clone_op(const cloner_t *c, ir_block_t *block, const ir_op_t *op) {
    ir_op_t *copy = ir_op_new(c->m, op->code, 0, NULL);
    for (uint32_t i = 0; i < op->n_operands; i++) {
        ir_value_t *value = op->operands[i].value;
        ir_value_t *mapped = value != NULL ? map_get_ptr(c->values, value) : NULL;
        if (mapped == NULL && c->types == NULL)
            mapped = value; // from outside of what is cloned
        ir_add_operand(c->m, copy, mapped);
    }
    for (uint32_t i = 0; i < op->n_attrs; i++)
        clone_attr(c, copy, &op->attrs[i]);
    clone_origins(c, copy, op);
    ir_insert_end(block, copy);
    for (uint32_t i = 0; i < op->n_results; i++) {
        ir_value_t *result = ir_add_result(c->m, copy, clone_type(c, op->results[i]->type));
        clone_value_facts(c, result, op->results[i]);
        map_put_ptr(c->values, op->results[i], result);
    }
    for (uint32_t i = 0; i < op->n_regions; i++)
        clone_block(c, ir_region_new(c->m, copy)->block, op->regions[i]->block);
    return copy;
}

ir_op_t *ir_clone(ir_builder_t *b, const ir_op_t *op, map_t *map) {
    cloner_t c = {.m = b->m, .values = map};
    ir_op_t *copy = clone_op(&c, b->block, op);
    if (b->before != NULL)
        ir_move_before(copy, b->before);
    return copy;
}

// --- Modules -------------------------------------------------------------------------------------

static void clone_tables(ir_module_t *to, const ir_module_t *from) {
    for (size_t i = 0; i < from->n_symbols; i++) {
        const ir_symbol_t *s = from->symbols[i];
        (void)ir_symbol_new(to, s->name, s->kind, s->min, s->max);
    }
    for (size_t i = 0; i < from->n_blobs; i++) {
        const ir_blob_t *blob = from->blobs[i];
        ir_blob_t *copy = ir_blob_add(to, blob->elem, blob->bytes);
        copy->hash = blob->hash;
        copy->owned = blob->owned;
        copy->data =
            blob->owned ? arena_memdup(&to->arena, blob->data, (size_t)blob->bytes) : blob->data;
        if (blob->pack == NULL)
            continue;
        copy->pack = arena_memdup(&to->arena, blob->pack, sizeof *blob->pack);
        copy->pack->source = to->blobs[blob->pack->source->id];
    }
}

static void clone_func(const cloner_t *c, const ir_func_t *func) {
    ir_func_t *copy = ir_func_new(c->m, func->name);
    clone_block(c, copy->body->block, func->body->block);
    const ir_op_t *last = func->body->block->last;
    if (func->result_names == NULL || last == NULL)
        return;
    const char **names = ARENA_ARRAY(&c->m->arena, const char *, last->n_operands);
    for (uint32_t i = 0; i < last->n_operands; i++)
        names[i] = ir_intern(c->m, func->result_names[i]);
    copy->result_names = names;
}

ir_module_t *ir_module_clone(const ir_module_t *m) {
    ir_module_t *copy = ir_module_create(m->name);
    if (copy == NULL)
        ir_die("out of memory");
    arena_t scratch;
    map_t values, types;
    arena_init(&scratch);
    map_init(&values, &scratch);
    map_init(&types, &scratch);
    clone_tables(copy, m);
    cloner_t c = {.m = copy, .values = &values, .types = &types, .keep_names = true};
    for (const ir_func_t *func = m->funcs; func != NULL; func = func->next)
        clone_func(&c, func);
    copy->next_value = m->next_value;
    arena_deinit(&scratch);
    return copy;
}
