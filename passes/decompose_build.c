// SPDX-License-Identifier: Apache-2.0
// decompose: making typed ops.
#include <string.h>

#include "passes/decompose_internal.h"
#include "support/numeric.h"

// Constants are evaluated on the spot, so that rules that come later see constants.
static ir_value_t *folded(decompose_t *dc, ir_value_t *value) {
    if (!eval_is_constant(value->def))
        return value;
    ir_value_t *constant = eval_replace(dc->m, dc->scratch, value->def);
    return constant != NULL ? constant : value;
}

ir_value_t *dc_scalar(decompose_t *dc, dtype_t elem, double value) {
    uint8_t bytes[16] = {0};
    num_store_f64(elem, bytes, 0, value, 0);
    return ir_build_const(&dc->b, ir_blob_copy(dc->m, elem, bytes, dtype_bytes(elem)),
                          ir_type_tensor(dc->m, elem, 0, NULL));
}

ir_value_t *dc_unary(decompose_t *dc, const char *func, ir_value_t *x) {
    ir_value_t *y = ir_build1(&dc->b, IR_unary, 1, &x, x->type);
    ir_set_string(dc->m, y->def, "func", func);
    return folded(dc, y);
}

ir_value_t *dc_affine(decompose_t *dc, ir_value_t *x, double alpha, double beta) {
    if (alpha == 1 && beta == 0)
        return x;
    ir_value_t *y = ir_build1(&dc->b, IR_unary, 1, &x, x->type);
    ir_set_string(dc->m, y->def, "func", "none");
    if (alpha != 1)
        ir_set_float(dc->m, y->def, "alpha", alpha);
    if (beta != 0)
        ir_set_float(dc->m, y->def, "beta", beta);
    return folded(dc, y);
}

static const ir_expr_t *wider(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    if (ir_expr_equals(a, 1) || ir_expr_same(a, b))
        return b;
    if (ir_expr_equals(b, 1))
        return a;
    return ir_expr_is_const(a) ? a : ir_expr_is_const(b) ? b : ir_max(m, a, b);
}

static const ir_type_t *broadcast_type(decompose_t *dc, const ir_type_t *a, const ir_type_t *b) {
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t rank = a->rank > b->rank ? a->rank : b->rank;
    for (uint32_t i = 0; i < rank; i++) {
        const ir_expr_t *one = ir_const(dc->m, 1);
        dims[i] = wider(dc->m, i + a->rank < rank ? one : a->dims[i + a->rank - rank],
                        i + b->rank < rank ? one : b->dims[i + b->rank - rank]);
    }
    return ir_type_tensor(dc->m, a->elem, rank, dims);
}

ir_value_t *dc_binary(decompose_t *dc, const char *op, ir_value_t *a, ir_value_t *b) {
    ir_value_t *operands[2] = {a, b};
    ir_value_t *y = ir_build1(&dc->b, IR_binary, 2, operands, broadcast_type(dc, a->type, b->type));
    ir_set_string(dc->m, y->def, "op", op);
    return folded(dc, y);
}

ir_value_t *dc_reshape(decompose_t *dc, ir_value_t *x, uint32_t rank,
                       const ir_expr_t *const *dims) {
    const ir_type_t *type = ir_type_tensor(dc->m, x->type->elem, rank, dims);
    if (graph_same_type(type, x->type))
        return x;
    return folded(dc, ir_build1(&dc->b, IR_reshape, 1, &x, type));
}

ir_value_t *dc_transpose(decompose_t *dc, ir_value_t *x, const int64_t *perm) {
    const ir_expr_t *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i < x->type->rank; i++)
        dims[i] = x->type->dims[perm[i]];
    ir_value_t *y = ir_build1(&dc->b, IR_transpose, 1, &x,
                              ir_type_tensor(dc->m, x->type->elem, x->type->rank, dims));
    ir_set_ints(dc->m, y->def, "perm", x->type->rank, perm);
    return folded(dc, y);
}

ir_value_t *dc_slice(decompose_t *dc, ir_value_t *x, uint32_t axis, const ir_expr_t *start,
                     const ir_expr_t *size) {
    const ir_expr_t *starts[IR_MAX_RANK], *dims[IR_MAX_RANK];
    int64_t steps[IR_MAX_RANK];
    for (uint32_t i = 0; i < x->type->rank; i++) {
        starts[i] = i == axis ? start : ir_const(dc->m, 0);
        dims[i] = i == axis ? size : x->type->dims[i];
        steps[i] = 1;
    }
    ir_value_t *y = ir_build1(&dc->b, IR_slice, 1, &x,
                              ir_type_tensor(dc->m, x->type->elem, x->type->rank, dims));
    ir_set_exprs(dc->m, y->def, "starts", x->type->rank, starts);
    ir_set_ints(dc->m, y->def, "steps", x->type->rank, steps);
    return folded(dc, y);
}

ir_value_t *dc_reduce(decompose_t *dc, const char *op, ir_value_t *x, size_t n_axes,
                      const int64_t *axes, bool keepdims) {
    const ir_expr_t *dims[IR_MAX_RANK];
    uint32_t mask = 0, rank = 0;
    for (size_t i = 0; i < n_axes; i++)
        mask |= 1u << axes[i];
    for (uint32_t i = 0; i < x->type->rank; i++) {
        if (!(mask >> i & 1))
            dims[rank++] = x->type->dims[i];
        else if (keepdims)
            dims[rank++] = ir_const(dc->m, 1);
    }
    ir_value_t *y =
        ir_build1(&dc->b, IR_reduce, 1, &x, ir_type_tensor(dc->m, x->type->elem, rank, dims));
    ir_set_string(dc->m, y->def, "op", op);
    ir_set_ints(dc->m, y->def, "axes", n_axes, axes);
    ir_set_int(dc->m, y->def, "keepdims", keepdims);
    return folded(dc, y);
}

ir_value_t *dc_copy(decompose_t *dc, const ir_op_t *op, uint32_t n_operands,
                    ir_value_t *const *operands, const ir_type_t *type) {
    ir_value_t *y = ir_build1(&dc->b, op->code, n_operands, operands, type);
    y->def->n_attrs = op->n_attrs;
    // With room to grow: attribute arrays have a power of two of slots.
    y->def->attrs = ARENA_ARRAY(&dc->m->arena, ir_attr_t, 2 * (size_t)op->n_attrs);
    if (op->n_attrs > 0)
        memcpy(y->def->attrs, op->attrs, op->n_attrs * sizeof *op->attrs);
    return y;
}

bool dc_replace(decompose_t *dc, ir_op_t *op, ir_value_t *value) {
    graph_replace(dc->m, op, value);
    dc->n_changes++;
    return true;
}
