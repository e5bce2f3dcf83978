// SPDX-License-Identifier: Apache-2.0
// decompose: products, convolutions and what goes into their weights.
#include <string.h>

#include "passes/decompose_internal.h"

static const int64_t swapped[2] = {1, 0};

// gemm(a, b, c) -> binary add(matmul(a', b'), beta * c). B keeps its order: trans_b says it.
bool dc_gemm(decompose_t *dc, ir_op_t *op) {
    ir_value_t *a = ir_operand(op, 0), *c = ir_operand(op, 2);
    double alpha = ir_get_float(op, "alpha", 1), beta = ir_get_float(op, "beta", 1);
    if (ir_get_int(op, "trans_a", 0) != 0)
        a = dc_transpose(dc, a, swapped);
    ir_value_t *operands[2] = {a, ir_operand(op, 1)};
    ir_value_t *y = ir_build1(&dc->b, IR_matmul, 2, operands, ir_result(op)->type);
    if (ir_get_int(op, "trans_b", 0) != 0)
        ir_set_int(dc->m, y->def, "trans_b", 1);
    if (alpha != 1)
        ir_set_float(dc->m, y->def, "alpha", alpha);
    if (c != NULL && beta != 0)
        y = dc_binary(dc, "add", y, dc_affine(dc, c, beta, 0));
    return dc_replace(dc, op, y);
}

// Vectors become matrices of one row or column.
static bool matmul_vectors(decompose_t *dc, ir_op_t *op) {
    ir_value_t *a = ir_operand(op, 0), *b = ir_operand(op, 1);
    const ir_type_t *type = ir_result(op)->type;
    const ir_expr_t *one = ir_const(dc->m, 1), *dims[IR_MAX_RANK];
    if (a->type->rank > 1 && b->type->rank > 1)
        return false;
    uint32_t rank = type->rank + (a->type->rank == 1) + (b->type->rank == 1);
    if (rank > IR_MAX_RANK)
        return false;
    memcpy(dims, type->dims, type->rank * sizeof dims[0]);
    if (b->type->rank == 1) { // [.., M] -> [.., M, 1]
        dims[type->rank] = one;
        b = dc_reshape(dc, b, 2, (const ir_expr_t *[]){b->type->dims[0], one});
    }
    if (a->type->rank == 1) { // [.., N] -> [.., 1, N]
        dims[rank - 1] = dims[rank - 2];
        dims[rank - 2] = one;
        a = dc_reshape(dc, a, 2, (const ir_expr_t *[]){one, a->type->dims[0]});
    }
    ir_value_t *y =
        dc_copy(dc, op, 2, (ir_value_t *[]){a, b}, ir_type_tensor(dc->m, type->elem, rank, dims));
    return dc_replace(dc, op, dc_reshape(dc, y, type->rank, type->dims));
}

// perm that only swaps the last two dims.
static bool swaps_last(const ir_op_t *op) {
    const ir_attr_t *perm = ir_get(op, "perm");
    size_t n = perm != NULL ? perm->n : 0;
    if (op->code != IR_transpose || n < 2)
        return false;
    for (size_t i = 0; i + 2 < n; i++)
        if (perm->ints[i] != (int64_t)i)
            return false;
    return perm->ints[n - 1] == (int64_t)n - 2;
}

// matmul(a, transpose(b)) -> matmul(a, b) {trans_b = 1}
static bool matmul_transposed(decompose_t *dc, ir_op_t *op) {
    ir_value_t *b = ir_operand(op, 1);
    if (b->def == NULL || !swaps_last(b->def))
        return false;
    bool trans = ir_get_int(op, "trans_b", 0) != 0;
    ir_set_operand(op, 1, ir_operand(b->def, 0));
    ir_set_int(dc->m, op, "trans_b", !trans);
    ir_add_origins(dc->m, op, b->def->origins, b->def->n_origins);
    dc->n_changes++;
    return true;
}

bool dc_matmul(decompose_t *dc, ir_op_t *op) {
    return matmul_vectors(dc, op) || matmul_transposed(dc, op);
}

// --- One spatial dim -> two ----------------------------------------------------------------------

// [a, b, w] -> [a, b, 1, w]
static const ir_type_t *with_row(decompose_t *dc, const ir_type_t *type) {
    const ir_expr_t *dims[4] = {type->dims[0], type->dims[1], ir_const(dc->m, 1), type->dims[2]};
    return ir_type_tensor(dc->m, type->elem, 4, dims);
}

static ir_value_t *row_of(decompose_t *dc, ir_value_t *x) {
    const ir_type_t *type = with_row(dc, x->type);
    return dc_reshape(dc, x, 4, type->dims);
}

static void widen_ints(decompose_t *dc, ir_op_t *op, const char *name, int64_t first) {
    const ir_attr_t *attr = ir_get(op, name);
    if (attr != NULL && attr->n == 1)
        ir_set_ints(dc->m, op, name, 2, (int64_t[]){first, attr->ints[0]});
}

static bool widen_window(decompose_t *dc, ir_op_t *op) {
    const ir_type_t *type = ir_result(op)->type;
    ir_value_t *operands[3] = {row_of(dc, ir_operand(op, 0)), NULL, ir_operand(op, 2)};
    if (type->rank != 3)
        return false;
    if (op->n_operands > 1)
        operands[1] = row_of(dc, ir_operand(op, 1));
    ir_value_t *y = dc_copy(dc, op, op->n_operands, operands, with_row(dc, type));
    const ir_attr_t *pads = ir_get(op, "pads");
    widen_ints(dc, y->def, "kernel", 1);
    widen_ints(dc, y->def, "strides", 1);
    widen_ints(dc, y->def, "dilations", 1);
    if (pads != NULL && pads->n == 2)
        ir_set_ints(dc->m, y->def, "pads", 4, (int64_t[]){0, pads->ints[0], 0, pads->ints[1]});
    return dc_replace(dc, op, dc_reshape(dc, y, 3, type->dims));
}

bool dc_conv(decompose_t *dc, ir_op_t *op) {
    return ir_result(op)->type->rank == 3 && widen_window(dc, op);
}

bool dc_pool(decompose_t *dc, ir_op_t *op) {
    return ir_result(op)->type->rank == 3 && widen_window(dc, op);
}

bool dc_global_pool(decompose_t *dc, ir_op_t *op) {
    ir_value_t *x = ir_operand(op, 0);
    int64_t axes[IR_MAX_RANK];
    size_t n = 0;
    for (uint32_t i = 2; i < x->type->rank; i++)
        axes[n++] = i;
    bool max = strcmp(ir_get_string(op, "op", ""), "max") == 0;
    if (n == 0)
        return dc_replace(dc, op, x);
    return dc_replace(dc, op, dc_reduce(dc, max ? "max" : "mean", x, n, axes, true));
}

// --- Scale and offset by channel -----------------------------------------------------------------

// A value a channel as [C, 1, 1 ...], so that it broadcasts over a tensor of `rank` dims.
static ir_value_t *per_channel(decompose_t *dc, ir_value_t *v, uint32_t rank) {
    const ir_expr_t *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i + 1 < rank; i++)
        dims[i] = i == 0 ? v->type->dims[0] : ir_const(dc->m, 1);
    return dc_reshape(dc, v, rank - 1, dims);
}

// y = x * s + (bias - mean * s), s = scale / sqrt(var + epsilon)
bool dc_batch_norm(decompose_t *dc, ir_op_t *op) {
    ir_value_t *x = ir_operand(op, 0);
    double epsilon = ir_get_float(op, "epsilon", 1e-5);
    for (uint32_t i = 1; i < 5; i++)
        if (ir_operand(op, i)->type->elem != x->type->elem)
            return false;
    ir_value_t *var = dc_affine(dc, ir_operand(op, 4), 1, epsilon);
    ir_value_t *s = dc_binary(dc, "mul", ir_operand(op, 1), dc_unary(dc, "rsqrt", var));
    ir_value_t *t =
        dc_binary(dc, "sub", ir_operand(op, 2), dc_binary(dc, "mul", ir_operand(op, 3), s));
    ir_value_t *y = dc_binary(dc, "mul", x, per_channel(dc, s, x->type->rank));
    return dc_replace(dc, op, dc_binary(dc, "add", y, per_channel(dc, t, x->type->rank)));
}

// The channel constant c of binary(x, c), where x is a convolution only used here; or NULL.
static ir_value_t *channel_constant(const ir_op_t *op, uint32_t *out_conv) {
    for (uint32_t i = 0; i < 2; i++) {
        ir_value_t *x = ir_operand(op, i), *c = ir_operand(op, 1 - i);
        if (x->def == NULL || x->def->code != IR_conv || ir_count_uses(x) != 1 ||
            eval_blob(c) == NULL || c->type->elem != x->type->elem)
            continue;
        uint32_t rank = x->type->rank;
        int64_t channels = x->type->dims[1]->value, n = 1;
        for (uint32_t d = 0; d < c->type->rank; d++) {
            bool is_channel = d + rank - c->type->rank == 1;
            if (!is_channel && !ir_expr_equals(c->type->dims[d], 1))
                return NULL;
            n *= c->type->dims[d]->value;
        }
        if (c->type->rank > rank || (n != channels && n != 1))
            return NULL;
        *out_conv = i;
        return c;
    }
    return NULL;
}

// c as [C] where it has one element a channel, as a scalar where it has one element.
static ir_value_t *channel_vector(decompose_t *dc, ir_value_t *c, int64_t channels) {
    const ir_expr_t *n = ir_type_elements(dc->m, c->type);
    if (channels != 1 && ir_expr_equals(n, 1))
        return dc_reshape(dc, c, 0, NULL);
    return dc_reshape(dc, c, 1, &n);
}

static ir_value_t *kernel_scale(decompose_t *dc, ir_value_t *v, uint32_t rank) {
    const ir_expr_t *dims[IR_MAX_RANK];
    if (v->type->rank == 0)
        return v;
    for (uint32_t i = 0; i < rank; i++)
        dims[i] = i == 0 ? v->type->dims[0] : ir_const(dc->m, 1);
    return dc_reshape(dc, v, rank, dims);
}

// conv(x, w, b) * s -> conv(x, w * s, b * s); conv(x, w, b) + t -> conv(x, w, b + t)
static bool into_conv(decompose_t *dc, ir_op_t *op, bool scales) {
    uint32_t at = 0;
    ir_value_t *c = channel_constant(op, &at);
    if (c == NULL)
        return false;
    ir_op_t *conv = ir_operand(op, at)->def;
    ir_value_t *w = ir_operand(conv, 1), *bias = ir_operand(conv, 2);
    const ir_type_t *type = ir_result(conv)->type;
    const ir_expr_t *channels = type->dims[1];
    ir_value_t *v = channel_vector(dc, c, channels->value);
    if ((scales && eval_blob(w) == NULL) || (bias != NULL && eval_blob(bias) == NULL))
        return false;
    if (scales)
        w = dc_binary(dc, "mul", w, kernel_scale(dc, v, w->type->rank));
    if (bias != NULL)
        bias = dc_binary(dc, scales ? "mul" : "add", bias, v);
    else if (!scales && v->type->rank == 1)
        bias = v;
    else if (!scales)
        return false;
    ir_value_t *operands[3] = {ir_operand(conv, 0), w, bias};
    ir_value_t *y = dc_copy(dc, conv, bias != NULL ? 3 : 2, operands, type);
    ir_add_origins(dc->m, y->def, conv->origins, conv->n_origins);
    return dc_replace(dc, op, y);
}

// --- Binary ops with constants -------------------------------------------------------------------

// binary(x, c) as alpha * x + beta for a constant scalar c.
static bool affine_of(const ir_op_t *op, ir_value_t **out_x, double *alpha, double *beta) {
    const char *name = ir_get_string(op, "op", "");
    double c;
    *alpha = 1;
    *beta = 0;
    bool right = eval_scalar(ir_operand(op, 1), &c);
    if (!right && !eval_scalar(ir_operand(op, 0), &c))
        return false;
    *out_x = ir_operand(op, right ? 0 : 1);
    if (strcmp(name, "mul") == 0)
        *alpha = c;
    else if (strcmp(name, "add") == 0)
        *beta = c;
    else if (strcmp(name, "sub") == 0 && right)
        *beta = -c;
    else if (strcmp(name, "div") == 0 && right && c != 0)
        *alpha = 1 / c;
    else if (strcmp(name, "sub") == 0) {
        *alpha = -1;
        *beta = c;
    } else
        return false;
    return true;
}

static bool is_contraction(const ir_value_t *value) {
    return value->def != NULL && (value->def->code == IR_conv || value->def->code == IR_matmul);
}

// A plain affine op before it joins, unless its factor can ride on a contraction's result.
static void join_affine(ir_value_t **x, double *alpha, double *beta) {
    const ir_op_t *def = (*x)->def;
    if (def == NULL || def->code != IR_unary || ir_count_uses(*x) != 1 ||
        strcmp(ir_get_string(def, "func", ""), "none") != 0 || (*x)->type->elem != DTYPE_F32 ||
        is_contraction(ir_operand(def, 0)))
        return;
    *beta += *alpha * ir_get_float(def, "beta", 0);
    *alpha *= ir_get_float(def, "alpha", 1);
    *x = ir_operand(def, 0);
}

static bool scalar_affine(decompose_t *dc, ir_op_t *op) {
    ir_value_t *x;
    double alpha, beta;
    if (!affine_of(op, &x, &alpha, &beta) || !dc_is_float(x) ||
        !graph_same_type(x->type, ir_result(op)->type))
        return false;
    join_affine(&x, &alpha, &beta);
    return dc_replace(dc, op, dc_affine(dc, x, alpha, beta));
}

bool dc_binary_op(decompose_t *dc, ir_op_t *op) {
    const char *name = ir_get_string(op, "op", "");
    if (strcmp(name, "mul") == 0 && into_conv(dc, op, true))
        return true;
    if (strcmp(name, "add") == 0 && into_conv(dc, op, false))
        return true;
    return scalar_affine(dc, op);
}
