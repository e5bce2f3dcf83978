// SPDX-License-Identifier: Apache-2.0
#include "passes/graph.h"

bool graph_same_type(const ir_type_t *a, const ir_type_t *b) {
    if (a == b)
        return true;
    if (a->kind != IR_TENSOR || b->kind != IR_TENSOR || a->elem != b->elem || a->rank != b->rank ||
        !a->ranked || !b->ranked)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (!ir_expr_same(a->dims[i], b->dims[i]))
            return false;
    return true;
}

void graph_replace(ir_module_t *m, ir_op_t *op, ir_value_t *value) {
    ir_value_t *old_value = ir_result(op);
    if (value->def != NULL) {
        ir_add_origins(m, value->def, op->origins, op->n_origins);
        if (value->def->code != IR_const) // a constant keeps the name it is known by
            value->name = old_value->name;
    }
    ir_replace_uses(old_value, value);
    ir_erase(op);
}

static bool is_dead(const ir_op_t *op) {
    if (!(ir_op_info(op->code)->flags & IR_FLAG_PURE) || op->n_results == 0)
        return false;
    for (uint32_t i = 0; i < op->n_results; i++)
        if (ir_has_uses(op->results[i]))
            return false;
    return true;
}

size_t graph_drop_dead(ir_block_t *block) {
    size_t n = 0;
    for (ir_op_t *op = block->last, *prev; op != NULL; op = prev) {
        prev = op->prev;
        if (is_dead(op)) {
            ir_erase(op);
            n++;
        }
    }
    return n;
}

static bool identity_perm(const ir_op_t *op) {
    const ir_attr_t *perm = ir_get(op, "perm");
    for (size_t i = 0; perm != NULL && i < perm->n; i++)
        if (perm->ints[i] != (int64_t)i)
            return false;
    return perm != NULL;
}

static bool is_plain_slice(const ir_op_t *op) {
    const ir_attr_t *steps = ir_get(op, "steps");
    for (size_t i = 0; steps != NULL && i < steps->n; i++)
        if (steps->ints[i] != 1)
            return false;
    return steps != NULL;
}

static bool no_pads(const ir_op_t *op) {
    const ir_attr_t *pads = ir_get(op, "pads");
    for (size_t i = 0; pads != NULL && i < pads->n; i++)
        if (pads->ints[i] != 0)
            return false;
    return pads != NULL;
}

bool graph_is_identity(const ir_op_t *op) {
    const ir_value_t *x = ir_operand(op, 0);
    if (op->n_results != 1 || x == NULL || !graph_same_type(x->type, ir_result(op)->type))
        return false;
    switch (op->code) {
    case IR_identity:
    case IR_cast: // to the type that it has
    case IR_reshape:
    case IR_flatten:
    case IR_squeeze:
    case IR_unsqueeze:
    case IR_expand:
        return true;
    case IR_transpose:
        return identity_perm(op);
    case IR_slice: // of the whole extent: then it starts at 0
        return is_plain_slice(op);
    case IR_pad:
        return no_pads(op);
    case IR_concat:
    case IR_variadic:
        return op->n_operands == 1;
    default:
        return false;
    }
}
