// SPDX-License-Identifier: Apache-2.0
// infer_shapes: ops that move elements without computing.
#include <string.h>

#include "passes/infer_internal.h"

// --- Reshape and its kin -------------------------------------------------------------------------

// Elements of dims, the one at `skip` left out.
static const ir_expr_t *product(infer_t *in, uint32_t rank, const ir_expr_t *const *dims,
                                uint32_t skip) {
    const ir_expr_t *p = ir_const(in->m, 1);
    for (uint32_t i = 0; i < rank; i++)
        if (i != skip)
            p = ir_mul(in->m, p, dims[i]);
    return p;
}

// The -1 of a reshape: what is left of the elements.
static status_t rest_dim(infer_t *in, const ir_op_t *op, uint32_t rank, const ir_expr_t **dims,
                         uint32_t rest) {
    const ir_expr_t *all = ir_type_elements(in->m, infer_type(op, 0));
    const ir_expr_t *known = product(in, rank, dims, rest);
    if (ir_expr_equals(known, 0) || known->max <= 0)
        return infer_fail(in, op, STATUS_INVALID, "-1 beside a dim of 0");
    if (ir_expr_is_const(all) && ir_expr_is_const(known) && all->value % known->value != 0)
        return infer_fail(in, op, STATUS_INVALID, "%lld elements do not divide by %lld",
                          (long long)all->value, (long long)known->value);
    dims[rest] = ir_floordiv(in->m, all, known);
    return STATUS_OK;
}

INFER_RULE(reshape) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *const *target, *dims[IR_MAX_RANK];
    bool zero_is_zero = ir_get_int(op, "allowzero", 0) != 0;
    uint32_t rest = UINT32_MAX;
    size_t n;
    if (op->n_operands == 1) // the type says it already
        return STATUS_OK;
    if (!infer_known(ir_operand(op, 1), &n, &target))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the new shape depends on data");
    if (n > IR_MAX_RANK)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "rank %zu; at most %d", n, IR_MAX_RANK);
    for (uint32_t i = 0; i < n; i++) {
        dims[i] = target[i];
        if (ir_expr_equals(target[i], -1) && rest != UINT32_MAX)
            return infer_fail(in, op, STATUS_INVALID, "-1 stands twice in the new shape");
        if (ir_expr_equals(target[i], -1))
            rest = i;
        else if (target[i]->max < 0 ||
                 (ir_expr_equals(target[i], 0) && !zero_is_zero && i >= x->rank))
            return infer_fail(in, op, STATUS_INVALID, "dim %u of the new shape cannot be %lld", i,
                              (long long)target[i]->max);
        else if (ir_expr_equals(target[i], 0) && !zero_is_zero)
            dims[i] = x->dims[i];
    }
    if (rest != UINT32_MAX)
        RETURN_IF_ERROR(rest_dim(in, op, (uint32_t)n, dims, rest));
    const ir_expr_t *had = ir_type_elements(in->m, x);
    const ir_expr_t *has = product(in, (uint32_t)n, dims, UINT32_MAX);
    if (ir_expr_is_const(had) && ir_expr_is_const(has) && had->value != has->value)
        return infer_fail(in, op, STATUS_INVALID, "%lld elements cannot become %lld",
                          (long long)had->value, (long long)has->value);
    ir_remove_attr(op, "allowzero");
    infer_drop_operands(op, 1);
    infer_set(in, op, 0, x->elem, (uint32_t)n, dims);
    return STATUS_OK;
}

INFER_RULE(flatten) {
    const ir_type_t *x = infer_type(op, 0);
    int64_t axis = ir_get_int(op, "axis", 1);
    uint32_t at = x->rank;
    if (axis != x->rank)
        RETURN_IF_ERROR(infer_axis(in, op, axis, x->rank, &at));
    const ir_expr_t *dims[2] = {product(in, at, x->dims, UINT32_MAX),
                                product(in, x->rank - at, x->dims + at, UINT32_MAX)};
    ir_set_int(in->m, op, "axis", at);
    infer_set(in, op, 0, x->elem, 2, dims);
    return STATUS_OK;
}

// The axes of squeeze and unsqueeze as a mask; from operand 2 or the attribute.
static status_t read_axes(infer_t *in, ir_op_t *op, uint32_t rank, uint32_t *out_mask,
                          size_t *out_n) {
    int64_t axes[IR_MAX_RANK] = {0};
    uint32_t axis;
    *out_mask = 0;
    *out_n = 0;
    const ir_attr_t *attr = ir_get(op, "axes");
    if (ir_operand(op, 1) != NULL) {
        RETURN_IF_ERROR(infer_ints(in, op, 1, IR_MAX_RANK, axes, out_n));
    } else if (attr != NULL) {
        if (attr->n > IR_MAX_RANK)
            return infer_fail(in, op, STATUS_INVALID, "%zu axes", attr->n);
        *out_n = ir_get_ints(op, "axes", IR_MAX_RANK, axes);
    }
    for (size_t i = 0; i < *out_n; i++) {
        RETURN_IF_ERROR(infer_axis(in, op, axes[i], rank, &axis));
        if (*out_mask >> axis & 1)
            return infer_fail(in, op, STATUS_INVALID, "axis %u is named twice", axis);
        *out_mask |= 1u << axis;
    }
    return STATUS_OK;
}

static void set_axes(infer_t *in, ir_op_t *op, uint32_t mask) {
    int64_t axes[IR_MAX_RANK];
    size_t n = 0;
    for (uint32_t i = 0; i < IR_MAX_RANK; i++)
        if (mask >> i & 1)
            axes[n++] = i;
    ir_set_ints(in->m, op, "axes", n, axes);
    infer_drop_operands(op, 1);
}

INFER_RULE(squeeze) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t mask, rank = 0;
    size_t n;
    RETURN_IF_ERROR(read_axes(in, op, x->rank, &mask, &n));
    bool all = ir_operand(op, 1) == NULL && ir_get(op, "axes") == NULL;
    for (uint32_t i = 0; i < x->rank; i++) {
        bool one = ir_expr_equals(x->dims[i], 1);
        if (all && one)
            mask |= 1u << i;
        if ((mask >> i & 1) && ir_expr_is_const(x->dims[i]) && !one)
            return infer_fail(in, op, STATUS_INVALID, "dim %u is %lld, not 1", i,
                              (long long)x->dims[i]->value);
        if (!(mask >> i & 1))
            dims[rank++] = x->dims[i];
    }
    set_axes(in, op, mask);
    infer_set(in, op, 0, x->elem, rank, dims);
    return STATUS_OK;
}

INFER_RULE(unsqueeze) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK], *const *exprs;
    const ir_attr_t *attr = ir_get(op, "axes");
    uint32_t mask, from = 0;
    size_t n = attr != NULL ? attr->n : 0;
    if (ir_operand(op, 1) != NULL && !infer_known(ir_operand(op, 1), &n, &exprs))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the axes depend on data");
    if (x->rank + n > IR_MAX_RANK)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "rank %zu; at most %d", x->rank + n,
                          IR_MAX_RANK);
    uint32_t rank = x->rank + (uint32_t)n;
    RETURN_IF_ERROR(read_axes(in, op, rank, &mask, &n));
    for (uint32_t i = 0; i < rank; i++)
        dims[i] = mask >> i & 1 ? ir_const(in->m, 1) : x->dims[from++];
    set_axes(in, op, mask);
    infer_set(in, op, 0, x->elem, rank, dims);
    return STATUS_OK;
}

INFER_RULE(depth_to_space) {
    const ir_type_t *x = infer_type(op, 0);
    int64_t block = ir_get_int(op, "block", 0);
    if (x->rank != 4 || block < 1 || block > 1024)
        return infer_fail(in, op, STATUS_INVALID, "rank %u and block size %lld", x->rank,
                          (long long)block);
    if (!ir_expr_is_const(x->dims[1]) || x->dims[1]->value % (block * block) != 0)
        return infer_fail(in, op, STATUS_INVALID, "the channels do not divide by the block");
    const ir_expr_t *dims[4] = {x->dims[0], ir_const(in->m, x->dims[1]->value / (block * block)),
                                ir_mulc(in->m, x->dims[2], block),
                                ir_mulc(in->m, x->dims[3], block)};
    infer_set(in, op, 0, x->elem, 4, dims);
    return STATUS_OK;
}

// --- Order, joining and parting ------------------------------------------------------------------

INFER_RULE(transpose) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_attr_t *attr = ir_get(op, "perm");
    const ir_expr_t *dims[IR_MAX_RANK];
    int64_t perm[IR_MAX_RANK];
    uint32_t seen = 0;
    if (attr != NULL && attr->n != x->rank)
        return infer_fail(in, op, STATUS_INVALID, "'perm' has %zu values for rank %u", attr->n,
                          x->rank);
    for (uint32_t i = 0; i < x->rank; i++) {
        perm[i] = attr != NULL ? attr->ints[i] : (int64_t)x->rank - 1 - i;
        if (perm[i] < 0 || perm[i] >= x->rank || (seen >> perm[i] & 1))
            return infer_fail(in, op, STATUS_INVALID, "'perm' is no permutation");
        seen |= 1u << perm[i];
        dims[i] = x->dims[perm[i]];
    }
    ir_set_ints(in->m, op, "perm", x->rank, perm);
    infer_set(in, op, 0, x->elem, x->rank, dims);
    return STATUS_OK;
}

INFER_RULE(concat) {
    const ir_type_t *first = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t axis;
    if (first == NULL)
        return infer_fail(in, op, STATUS_INVALID, "operand 1 is absent");
    RETURN_IF_ERROR(infer_axis(in, op, ir_get_int(op, "axis", 0), first->rank, &axis));
    memcpy(dims, first->dims, first->rank * sizeof dims[0]);
    for (uint32_t i = 1; i < op->n_operands; i++) {
        const ir_type_t *t = infer_type(op, i);
        if (t == NULL || t->rank != first->rank || t->elem != first->elem)
            return infer_fail(in, op, STATUS_INVALID, "operand %u does not fit the first", i + 1);
        for (uint32_t d = 0; d < t->rank; d++) {
            if (d == axis)
                dims[d] = ir_add(in->m, dims[d], t->dims[d]);
            else if (ir_expr_equals(ir_ne(in->m, t->dims[d], dims[d]), 1))
                return infer_fail(in, op, STATUS_INVALID,
                                  "operand %u differs from the first in dim %u", i + 1, d);
            else if (ir_expr_is_const(t->dims[d]))
                dims[d] = t->dims[d];
        }
    }
    ir_set_int(in->m, op, "axis", axis);
    infer_set(in, op, 0, first->elem, first->rank, dims);
    return STATUS_OK;
}

// Sizes by operand 2, attribute or equal parts (the last may be smaller).
static status_t split_sizes(infer_t *in, ir_op_t *op, const ir_expr_t *dim,
                            const ir_expr_t **sizes) {
    ir_module_t *m = in->m;
    const ir_attr_t *attr = ir_get(op, "sizes");
    const ir_expr_t *const *known = NULL;
    size_t n = attr != NULL ? attr->n : op->n_results;
    if (ir_operand(op, 1) != NULL && !infer_known(ir_operand(op, 1), &n, &known))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the sizes depend on data");
    if (n != op->n_results)
        return infer_fail(in, op, STATUS_INVALID, "%zu sizes for %u outputs", n, op->n_results);
    const ir_expr_t *part = ir_ceildiv(m, dim, ir_const(m, op->n_results)), *sum = ir_const(m, 0);
    for (size_t i = 0; i < n; i++) {
        sizes[i] = known != NULL                         ? known[i]
                   : attr != NULL                        ? ir_const(m, attr->ints[i])
                   : i + 1 < n || !ir_expr_is_const(dim) ? part
                                                         : ir_sub(m, dim, sum);
        sum = ir_add(m, sum, sizes[i]);
        if (sizes[i]->max < 0)
            return infer_fail(in, op, STATUS_INVALID, "size %zu is negative", i);
    }
    if (ir_expr_equals(ir_ne(m, sum, dim), 1))
        return infer_fail(in, op, STATUS_INVALID, "the sizes do not add up to the dim");
    return STATUS_OK;
}

INFER_RULE(split) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    const ir_expr_t **sizes = ARENA_ARRAY(in->scratch, const ir_expr_t *, op->n_results);
    uint32_t axis;
    RETURN_IF_ERROR(infer_axis(in, op, ir_get_int(op, "axis", 0), x->rank, &axis));
    RETURN_IF_ERROR(split_sizes(in, op, x->dims[axis], sizes));
    memcpy(dims, x->dims, x->rank * sizeof dims[0]);
    for (uint32_t i = 0; i < op->n_results; i++) {
        dims[axis] = sizes[i];
        infer_set(in, op, i, x->elem, x->rank, dims);
    }
    ir_set_int(in->m, op, "axis", axis);
    ir_remove_attr(op, "sizes"); // the result types say it
    infer_drop_operands(op, 1);
    return STATUS_OK;
}

// --- Repeating and picking -----------------------------------------------------------------------

INFER_RULE(expand) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *const *target, *dims[IR_MAX_RANK];
    uint32_t rank;
    size_t n;
    if (op->n_operands == 1)
        return STATUS_OK;
    if (!infer_known(ir_operand(op, 1), &n, &target))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the new shape depends on data");
    if (n > IR_MAX_RANK)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "rank %zu; at most %d", n, IR_MAX_RANK);
    for (size_t i = 0; i < n; i++)
        if (target[i]->max < 0)
            return infer_fail(in, op, STATUS_INVALID, "dim %zu of the new shape is negative", i);
    RETURN_IF_ERROR(infer_broadcast(in, op, x->rank, x->dims, (uint32_t)n, target, &rank, dims));
    infer_drop_operands(op, 1);
    infer_set(in, op, 0, x->elem, rank, dims);
    return STATUS_OK;
}

INFER_RULE(tile) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *const *repeats, *dims[IR_MAX_RANK];
    size_t n;
    if (!infer_known(ir_operand(op, 1), &n, &repeats))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the repeats depend on data");
    if (n != x->rank)
        return infer_fail(in, op, STATUS_INVALID, "%zu repeats for rank %u", n, x->rank);
    for (uint32_t i = 0; i < x->rank; i++) {
        if (repeats[i]->max < 0)
            return infer_fail(in, op, STATUS_INVALID, "repeat %u is negative", i);
        dims[i] = ir_mul(in->m, x->dims[i], repeats[i]);
    }
    infer_set(in, op, 0, x->elem, x->rank, dims);
    return STATUS_OK;
}

INFER_RULE(gather) {
    const ir_type_t *x = infer_type(op, 0), *index = infer_type(op, 1);
    const ir_expr_t *dims[2 * IR_MAX_RANK];
    uint32_t axis, rank = 0;
    RETURN_IF_ERROR(infer_axis(in, op, ir_get_int(op, "axis", 0), x->rank, &axis));
    if (index->elem != DTYPE_I32 && index->elem != DTYPE_I64)
        return infer_fail(in, op, STATUS_INVALID, "indices of %s", dtype_text(index->elem));
    if (x->rank + index->rank - 1 > IR_MAX_RANK)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "rank %u; at most %d",
                          x->rank + index->rank - 1, IR_MAX_RANK);
    for (uint32_t i = 0; i < axis; i++)
        dims[rank++] = x->dims[i];
    for (uint32_t i = 0; i < index->rank; i++)
        dims[rank++] = index->dims[i];
    for (uint32_t i = axis + 1; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    ir_set_int(in->m, op, "axis", axis);
    infer_set(in, op, 0, x->elem, rank, dims);
    return STATUS_OK;
}
