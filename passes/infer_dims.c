// SPDX-License-Identifier: Apache-2.0
// infer_shapes: constants, reductions and ops that make tensors from dims.
#include <math.h>
#include <string.h>

#include "passes/infer_internal.h"
#include "support/numeric.h"

INFER_RULE(const) { // an importer and a parser give the type with the bytes
    if (!ir_type_is_static(op->results[0]->type))
        return infer_fail(in, op, STATUS_INVALID, "a constant without constant dims");
    return STATUS_OK;
}

// --- Reductions ----------------------------------------------------------------------------------

static void reduced_type(infer_t *in, ir_op_t *op, uint32_t mask, bool keepdims, dtype_t elem) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (!(mask >> i & 1))
            dims[rank++] = x->dims[i];
        else if (keepdims)
            dims[rank++] = ir_const(in->m, 1);
    }
    infer_set(in, op, 0, elem, rank, dims);
}

static status_t reduce_axes(infer_t *in, const ir_op_t *op, uint32_t *out_mask) {
    int64_t axes[IR_MAX_RANK];
    uint32_t rank = infer_type(op, 0)->rank, axis;
    size_t n = 0;
    *out_mask = 0;
    if (ir_operand(op, 1) != NULL) {
        RETURN_IF_ERROR(infer_ints(in, op, 1, IR_MAX_RANK, axes, &n));
    } else if (ir_get(op, "axes") != NULL) {
        if (ir_get(op, "axes")->n > IR_MAX_RANK)
            return infer_fail(in, op, STATUS_INVALID, "%zu axes", ir_get(op, "axes")->n);
        n = ir_get_ints(op, "axes", IR_MAX_RANK, axes);
    }
    for (size_t i = 0; i < n; i++) {
        RETURN_IF_ERROR(infer_axis(in, op, axes[i], rank, &axis));
        *out_mask |= 1u << axis;
    }
    if (n == 0 && ir_get_int(op, "noop_with_empty_axes", 0) == 0)
        *out_mask = (1u << rank) - 1;
    return STATUS_OK;
}

// Always with a list of axes in order, which is empty when nothing is reduced.
INFER_RULE(reduce) {
    int64_t axes[IR_MAX_RANK];
    uint32_t mask;
    size_t n = 0;
    RETURN_IF_ERROR(reduce_axes(in, op, &mask));
    for (uint32_t i = 0; i < infer_type(op, 0)->rank; i++)
        if (mask >> i & 1)
            axes[n++] = i;
    bool keepdims = ir_get_int(op, "keepdims", 1) != 0;
    ir_set_ints(in->m, op, "axes", n, axes);
    ir_set_int(in->m, op, "keepdims", keepdims);
    if (n == 0)
        ir_set_int(in->m, op, "noop_with_empty_axes", 1);
    else
        ir_remove_attr(op, "noop_with_empty_axes");
    infer_drop_operands(op, 1);
    reduced_type(in, op, mask, keepdims, infer_type(op, 0)->elem);
    return STATUS_OK;
}

INFER_RULE(argreduce) {
    uint32_t axis;
    RETURN_IF_ERROR(infer_axis(in, op, ir_get_int(op, "axis", 0), infer_type(op, 0)->rank, &axis));
    ir_set_int(in->m, op, "axis", axis);
    reduced_type(in, op, 1u << axis, ir_get_int(op, "keepdims", 1) != 0, DTYPE_I64);
    return STATUS_OK;
}

INFER_RULE(layer_norm) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t axis, rank;
    RETURN_IF_ERROR(infer_axis(in, op, ir_get_int(op, "axis", -1), x->rank, &axis));
    for (uint32_t i = 1; i < op->n_operands; i++) {
        const ir_type_t *t = infer_type(op, i);
        if (t == NULL)
            continue;
        RETURN_IF_ERROR(infer_broadcast(in, op, x->rank, x->dims, t->rank, t->dims, &rank, dims));
        if (rank != x->rank)
            return infer_fail(in, op, STATUS_INVALID, "operand %u has rank %u", i + 1, t->rank);
    }
    ir_set_int(in->m, op, "axis", axis);
    infer_set(in, op, 0, x->elem, x->rank, x->dims);
    for (uint32_t i = 0; i < x->rank; i++)
        dims[i] = i < axis ? x->dims[i] : ir_const(in->m, 1);
    dtype_t statistic = x->elem == DTYPE_F64 ? DTYPE_F64 : DTYPE_F32;
    infer_set(in, op, 1, statistic, x->rank, dims);
    infer_set(in, op, 2, statistic, x->rank, dims);
    return STATUS_OK;
}

// --- Tensors from dims ---------------------------------------------------------------------------

static int64_t clamp_index(int64_t index, int64_t rank) {
    if (index < 0)
        index += rank;
    return index < 0 ? 0 : index > rank ? rank : index;
}

INFER_RULE(shape) {
    int64_t rank = infer_type(op, 0)->rank;
    int64_t start = clamp_index(ir_get_int(op, "start", 0), rank);
    int64_t end = clamp_index(ir_get_int(op, "end", rank), rank);
    const ir_expr_t *n = ir_const(in->m, end > start ? end - start : 0);
    ir_set_int(in->m, op, "start", start);
    ir_set_int(in->m, op, "end", end);
    infer_set(in, op, 0, DTYPE_I64, 1, &n);
    return STATUS_OK;
}

INFER_RULE(size) {
    infer_set(in, op, 0, DTYPE_I64, 0, NULL);
    return STATUS_OK;
}

INFER_RULE(fill) {
    const ir_expr_t *const *dims;
    const ir_attr_t *blob = ir_get(op, "blob");
    size_t n;
    if (op->n_operands == 0)
        return STATUS_OK;
    if (!infer_known(ir_operand(op, 0), &n, &dims))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the shape depends on data");
    if (n > IR_MAX_RANK)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "rank %zu; at most %d", n, IR_MAX_RANK);
    for (size_t i = 0; i < n; i++)
        if (dims[i]->max < 0)
            return infer_fail(in, op, STATUS_INVALID, "dim %zu is negative", i);
    infer_drop_operands(op, 0);
    infer_set(in, op, 0, blob->blob->elem, (uint32_t)n, dims);
    return STATUS_OK;
}

static bool const_scalar(const ir_value_t *value, double *out) {
    const ir_attr_t *blob = value != NULL && value->def != NULL && value->def->code == IR_const
                                ? ir_get(value->def, "blob")
                                : NULL;
    if (blob == NULL || blob->blob->data == NULL ||
        blob->blob->bytes != dtype_bytes(blob->blob->elem))
        return false;
    *out = num_load_f64(blob->blob->elem, blob->blob->data, 0);
    return true;
}

// Three scalars; the count must be known from them or from dims.
INFER_RULE(range) {
    ir_module_t *m = in->m;
    const ir_expr_t *const *e[3], *count;
    double v[3];
    size_t n[3];
    bool known = true, constant = true;
    for (uint32_t i = 0; i < 3; i++) {
        known = infer_known(ir_operand(op, i), &n[i], &e[i]) && n[i] == 1 && known;
        constant = const_scalar(ir_operand(op, i), &v[i]) && constant;
    }
    if (known && ir_expr_is_const(e[2][0]) && e[2][0]->value != 0 && e[2][0]->value != INT64_MIN) {
        int64_t delta = e[2][0]->value;
        const ir_expr_t *span =
            delta > 0 ? ir_sub(m, e[1][0], e[0][0]) : ir_sub(m, e[0][0], e[1][0]);
        count =
            ir_max(m, ir_const(m, 0), ir_ceildiv(m, span, ir_const(m, delta > 0 ? delta : -delta)));
    } else if (constant && v[2] != 0) {
        double steps = ceil((v[1] - v[0]) / v[2]);
        if (!(steps < 1e12))
            return infer_fail(in, op, STATUS_LIMIT, "%g elements", steps);
        count = ir_const(m, steps > 0 ? (int64_t)steps : 0);
    } else {
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the bounds depend on data");
    }
    infer_set(in, op, 0, infer_type(op, 0)->elem, 1, &count);
    return STATUS_OK;
}

// --- Control flow --------------------------------------------------------------------------------

static status_t no_control_flow(infer_t *in, const ir_op_t *op) {
    return infer_fail(in, op, STATUS_UNSUPPORTED, "control flow");
}
INFER_RULE(if) { return no_control_flow(in, op); }
INFER_RULE(loop) { return no_control_flow(in, op); }
INFER_RULE(scan) { return no_control_flow(in, op); }
