// SPDX-License-Identifier: Apache-2.0
// infer_shapes: elementwise ops, and ops whose result is like their first operand.
#include <string.h>

#include "passes/infer_internal.h"

static bool one_of(const char *text, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

INFER_RULE(unary) {
    static const char *const predicates[] = {"isnan", "isinf", "isneg"};
    const ir_type_t *x = infer_type(op, 0);
    bool predicate = one_of(ir_get_string(op, "func", ""), predicates, COUNT_OF(predicates));
    infer_set(in, op, 0, predicate ? DTYPE_BOOL : x->elem, x->rank, x->dims);
    return STATUS_OK;
}

INFER_RULE(broadcast) {
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t rank = 0;
    dtype_t elem = DTYPE_NONE;
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const ir_type_t *t = infer_type(op, i);
        if (t == NULL)
            return infer_fail(in, op, STATUS_INVALID, "operand %u is absent", i + 1);
        if (i > 0 && t->elem != elem)
            return infer_fail(in, op, STATUS_INVALID, "operands of %s and %s", dtype_text(elem),
                              dtype_text(t->elem));
        elem = t->elem;
        RETURN_IF_ERROR(infer_broadcast(in, op, rank, dims, t->rank, t->dims, &rank, dims));
    }
    infer_set(in, op, 0, elem, rank, dims);
    return STATUS_OK;
}

INFER_RULE(binary) {
    static const char *const comparisons[] = {"eq", "ne", "lt", "le", "gt", "ge"};
    static const char *const mixed[] = {"pow", "shl", "shr"};
    const ir_type_t *a = infer_type(op, 0), *b = infer_type(op, 1);
    const char *text = ir_get_string(op, "op", "");
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t rank;
    if (a->elem != b->elem && !one_of(text, mixed, COUNT_OF(mixed)))
        return infer_fail(in, op, STATUS_INVALID, "operands of %s and %s", dtype_text(a->elem),
                          dtype_text(b->elem));
    RETURN_IF_ERROR(infer_broadcast(in, op, a->rank, a->dims, b->rank, b->dims, &rank, dims));
    bool compares = one_of(text, comparisons, COUNT_OF(comparisons));
    infer_set(in, op, 0, compares ? DTYPE_BOOL : a->elem, rank, dims);
    return STATUS_OK;
}

INFER_RULE(select) {
    const ir_type_t *c = infer_type(op, 0), *a = infer_type(op, 1), *b = infer_type(op, 2);
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t rank;
    if (c->elem != DTYPE_BOOL)
        return infer_fail(in, op, STATUS_INVALID, "the condition is %s, not bool",
                          dtype_text(c->elem));
    if (a->elem != b->elem)
        return infer_fail(in, op, STATUS_INVALID, "operands of %s and %s", dtype_text(a->elem),
                          dtype_text(b->elem));
    RETURN_IF_ERROR(infer_broadcast(in, op, a->rank, a->dims, b->rank, b->dims, &rank, dims));
    RETURN_IF_ERROR(infer_broadcast(in, op, rank, dims, c->rank, c->dims, &rank, dims));
    infer_set(in, op, 0, a->elem, rank, dims);
    return STATUS_OK;
}

INFER_RULE(cast) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_attr_t *to = ir_get(op, "to");
    infer_set(in, op, 0, to != NULL ? to->dtype : x->elem, x->rank, x->dims);
    return STATUS_OK;
}

// The axis matters only to a scale of rank 1 and to blocks.
static status_t scale_axis(infer_t *in, ir_op_t *op) {
    const ir_type_t *x = infer_type(op, 0), *scale = infer_type(op, 1);
    uint32_t axis = 0;
    if (scale->rank == 0 || ir_expr_equals(ir_type_elements(in->m, scale), 1)) {
        ir_remove_attr(op, "axis");
        return STATUS_OK;
    }
    RETURN_IF_ERROR(infer_axis(in, op, ir_get_int(op, "axis", 1), x->rank, &axis));
    ir_set_int(in->m, op, "axis", axis);
    if (scale->rank == 1 && ir_get_int(op, "block_size", 0) == 0 &&
        ir_expr_equals(ir_ne(in->m, scale->dims[0], x->dims[axis]), 1))
        return infer_fail(in, op, STATUS_INVALID, "the scale does not fit dim %u of the input",
                          axis);
    return STATUS_OK;
}

INFER_RULE(dequantize) {
    const ir_type_t *x = infer_type(op, 0);
    RETURN_IF_ERROR(scale_axis(in, op));
    infer_set(in, op, 0, infer_type(op, 1)->elem, x->rank, x->dims);
    return STATUS_OK;
}

INFER_RULE(quantize) {
    const ir_type_t *x = infer_type(op, 0), *zero = infer_type(op, 2);
    const ir_attr_t *to = ir_get(op, "to");
    dtype_t elem = zero != NULL ? zero->elem : to != NULL ? to->dtype : DTYPE_U8;
    RETURN_IF_ERROR(scale_axis(in, op));
    ir_remove_attr(op, "to");
    if (zero == NULL)
        ir_set_dtype(in->m, op, "to", elem);
    infer_set(in, op, 0, elem, x->rank, x->dims);
    return STATUS_OK;
}

static status_t per_channel(infer_t *in, const ir_op_t *op) {
    const ir_type_t *x = infer_type(op, 0);
    if (x->rank < 2)
        return infer_fail(in, op, STATUS_INVALID, "the input has rank %u; at least 2 needed",
                          x->rank);
    for (uint32_t i = 1; i < op->n_operands; i++) {
        const ir_type_t *t = infer_type(op, i);
        if (t == NULL || t->rank != 1 || ir_expr_equals(ir_ne(in->m, t->dims[0], x->dims[1]), 1))
            return infer_fail(in, op, STATUS_INVALID, "operand %u does not have a value a channel",
                              i + 1);
    }
    return STATUS_OK;
}

static status_t cumulate_axis(infer_t *in, ir_op_t *op) {
    int64_t axis = ir_get_int(op, "axis", 0);
    uint32_t at;
    size_t n;
    if (ir_operand(op, 1) != NULL)
        RETURN_IF_ERROR(infer_ints(in, op, 1, 1, &axis, &n));
    RETURN_IF_ERROR(infer_axis(in, op, axis, infer_type(op, 0)->rank, &at));
    ir_set_int(in->m, op, "axis", at);
    infer_drop_operands(op, 1);
    return STATUS_OK;
}

static status_t softmax_axis(infer_t *in, ir_op_t *op) {
    const ir_type_t *x = infer_type(op, 0);
    int64_t axis = ir_get_int(op, "axis", -1);
    uint32_t at;
    if (ir_get_int(op, "flatten", 0) != 0 && axis == x->rank) { // rows of one element
        ir_set_int(in->m, op, "axis", axis);
        return STATUS_OK;
    }
    RETURN_IF_ERROR(infer_axis(in, op, axis, x->rank, &at));
    ir_set_int(in->m, op, "axis", at);
    return STATUS_OK;
}

INFER_RULE(same) {
    if (op->code == IR_softmax)
        RETURN_IF_ERROR(softmax_axis(in, op));
    if (op->code == IR_cumulate)
        RETURN_IF_ERROR(cumulate_axis(in, op));
    if (op->code == IR_batch_norm || op->code == IR_instance_norm)
        RETURN_IF_ERROR(per_channel(in, op));
    if (op->code == IR_lrn && infer_type(op, 0)->rank < 2)
        return infer_fail(in, op, STATUS_INVALID, "the input has rank %u; at least 2 needed",
                          infer_type(op, 0)->rank);
    infer_set_like(in, op, 0);
    return STATUS_OK;
}
