// SPDX-License-Identifier: Apache-2.0
// Kinds of op that do not know images: elementwise, matrix products, reductions, movement.
#include <math.h>
#include <string.h>

#include "tests/ref/random_internal.h"

// --- Elementwise ---------------------------------------------------------------------------------

typedef struct func {
    const char *onnx, *func;
    double p0, p1;
} func_t;

// Continuous, and of finite slope wherever values are.
static const func_t funcs[] = {
    {"Relu", "relu", 0, 0},
    {"Sigmoid", "sigmoid", 0, 0},
    {"Tanh", "tanh", 0, 0},
    {"Neg", "neg", 0, 0},
    {"Abs", "abs", 0, 0},
    {"LeakyRelu", "leaky", 0.1, 0},
    {"Elu", "elu", 1, 0},
    {"Softplus", "softplus", 0, 0},
    {"Softsign", "softsign", 0, 0},
    {"HardSigmoid", "hardsigmoid", 0.2, 0.5},
    {"HardSwish", "hardswish", 0, 0},
    {"Gelu", "gelu", 0, 0},
    {"Gelu", "gelu_tanh", 0, 0},
    {"Mish", "mish", 0, 0},
    {"Erf", "erf", 0, 0},
    {"Sin", "sin", 0, 0},
    {"Cos", "cos", 0, 0},
    {"Atan", "atan", 0, 0},
    {"Selu", "selu", 1.6732631921768188, 1.0507010221481323},
};

ir_value_t *gen_unary(gen_t *g, ir_value_t *x) {
    const func_t *f = &funcs[gen_range(g, 0, COUNT_OF(funcs) - 1)];
    shape_t s = gen_shape(x);
    ir_value_t *y = gen_op(g, IR_unary, f->onnx, 1, &x, &s);
    ir_set_string(g->m, y->def, "func", f->func);
    if (f->p0 != 0)
        ir_set_float(g->m, y->def, "p0", f->p0);
    if (f->p1 != 0)
        ir_set_float(g->m, y->def, "p1", f->p1);
    return y;
}

// Some dims of s become 1, some leading ones go.
static shape_t narrowed(gen_t *g, const shape_t *s) {
    shape_t n = {.rank = 0};
    uint32_t skip = gen_chance(g, 50) ? (uint32_t)gen_range(g, 0, s->rank) : 0;
    for (uint32_t d = skip; d < s->rank; d++)
        n.dim[n.rank++] = gen_chance(g, 50) ? 1 : s->dim[d];
    return n;
}

ir_value_t *gen_binary(gen_t *g, ir_value_t *x) {
    static const char *const ops[][2] = {{"Add", "add"},    {"Sub", "sub"}, {"Mul", "mul"},
                                         {"Div", "div"},    {"Min", "min"}, {"Max", "max"},
                                         {"PRelu", "prelu"}};
    size_t op = (size_t)gen_range(g, 0, COUNT_OF(ops) - 1);
    shape_t s = gen_shape(x), other = narrowed(g, &s);
    // Divisors and slopes are constants away from 0.
    bool constant = op == 3 || op == 6 || gen_chance(g, 50);
    ir_value_t *in[2] = {x, constant ? gen_weights(g, &other, 0.5f, op == 3 ? 1.5f : 0.5f)
                                     : gen_partner(g, x)};
    if (constant && op < 3 && op != 1 && gen_chance(g, 30)) {
        in[0] = in[1];
        in[1] = x;
    }
    ir_value_t *y = gen_op(g, IR_binary, ops[op][0], 2, in, &s);
    ir_set_string(g->m, y->def, "op", ops[op][1]);
    return y;
}

ir_value_t *gen_clip(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), scalar = {.rank = 0};
    ir_value_t *in[3] = {x, gen_weights(g, &scalar, 0.2f, -0.7f), gen_weights(g, &scalar, 0.2f, 1)};
    return gen_op(g, IR_clip, "Clip", 3, in, &s);
}

ir_value_t *gen_variadic(gen_t *g, ir_value_t *x) {
    static const char *const ops[][2] = {
        {"Sum", "sum"}, {"Mean", "mean"}, {"Min", "min"}, {"Max", "max"}};
    size_t op = (size_t)gen_range(g, 0, COUNT_OF(ops) - 1);
    shape_t s = gen_shape(x), other = narrowed(g, &s);
    ir_value_t *in[3] = {x, gen_partner(g, x), gen_weights(g, &other, 1, 0)};
    ir_value_t *y = gen_op(g, IR_variadic, ops[op][0], 3, in, &s);
    ir_set_string(g->m, y->def, "op", ops[op][1]);
    return y;
}

// --- Matrix products -----------------------------------------------------------------------------

ir_value_t *gen_gemm(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x);
    if (s.rank != 2)
        return NULL;
    bool ta = gen_chance(g, 20), tb = gen_chance(g, 50), bias = gen_chance(g, 70);
    int64_t m = s.dim[ta ? 1 : 0], k = s.dim[ta ? 0 : 1], n = gen_range(g, 1, 40);
    shape_t b = {.rank = 2, .dim = {tb ? n : k, tb ? k : n}}, y = {.rank = 2, .dim = {m, n}};
    shape_t c = narrowed(g, &y);
    ir_value_t *in[3] = {x, gen_weights(g, &b, 1.7f / sqrtf((float)k), 0),
                         bias ? gen_weights(g, &c, 0.5f, 0) : NULL};
    ir_value_t *value = gen_op(g, IR_gemm, "Gemm", bias ? 3 : 2, in, &y);
    if (ta || gen_chance(g, 50))
        ir_set_int(g->m, value->def, "trans_a", ta);
    if (tb || gen_chance(g, 50))
        ir_set_int(g->m, value->def, "trans_b", tb);
    if (gen_chance(g, 30))
        ir_set_float(g->m, value->def, "alpha", 0.75);
    if (bias && gen_chance(g, 30))
        ir_set_float(g->m, value->def, "beta", -0.5);
    return value;
}

// With constant weights: one matrix for all batches, or one each, broadcast where dims are 1.
ir_value_t *gen_matmul(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), b = {.rank = 2}, y = s;
    if (s.rank < 2)
        return NULL;
    int64_t k = s.dim[s.rank - 1], n = gen_range(g, 1, 40);
    if (s.rank > 2 && gen_chance(g, 40)) {
        b.rank = s.rank;
        for (uint32_t d = 0; d < s.rank - 2; d++)
            b.dim[d] = gen_chance(g, 40) ? 1 : s.dim[d];
    }
    b.dim[b.rank - 2] = k;
    b.dim[b.rank - 1] = y.dim[y.rank - 1] = n;
    if (gen_elements(&y) > RANDOM_MAX_ELEMENTS || gen_elements(&b) > 2 * RANDOM_MAX_ELEMENTS)
        return NULL;
    ir_value_t *in[2] = {x, gen_weights(g, &b, 1.7f / sqrtf((float)k), 0)};
    return gen_op(g, IR_matmul, "MatMul", 2, in, &y);
}

// x times its own transpose, scaled, as in attention.
ir_value_t *gen_self_matmul(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), t = s, y = s;
    int64_t perm[IR_MAX_RANK];
    if (s.rank < 2 ||
        gen_elements(&s) / s.dim[s.rank - 1] * s.dim[s.rank - 2] > RANDOM_MAX_ELEMENTS)
        return NULL;
    for (uint32_t d = 0; d < s.rank; d++)
        perm[d] = d;
    perm[s.rank - 1] = s.rank - 2;
    perm[s.rank - 2] = s.rank - 1;
    t.dim[s.rank - 1] = y.dim[s.rank - 1] = s.dim[s.rank - 2];
    t.dim[s.rank - 2] = s.dim[s.rank - 1];
    ir_value_t *turned = gen_op(g, IR_transpose, "Transpose", 1, &x, &t);
    ir_set_ints(g->m, turned->def, "perm", s.rank, perm);
    ir_value_t *in[2] = {x, turned};
    ir_value_t *product = gen_op(g, IR_matmul, "MatMul", 2, in, &y);
    float scale = 1 / sqrtf((float)s.dim[s.rank - 1]) / (float)s.dim[s.rank - 1];
    ir_value_t *scaled[2] = {product, gen_weights(g, &(shape_t){.rank = 0}, 0, sqrtf(scale))};
    ir_value_t *value = gen_op(g, IR_binary, "Mul", 2, scaled, &y);
    ir_set_string(g->m, value->def, "op", "mul");
    return value;
}

// --- Reductions and normalisations ---------------------------------------------------------------

ir_value_t *gen_softmax(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x);
    if (s.rank == 0)
        return NULL;
    bool log_ = gen_chance(g, 20);
    ir_value_t *y = gen_op(g, IR_softmax, log_ ? "LogSoftmax" : "Softmax", 1, &x, &s);
    ir_set_int(g->m, y->def, "axis", gen_range(g, -(int64_t)s.rank, s.rank - 1));
    if (log_)
        ir_set_int(g->m, y->def, "log", 1);
    return y;
}

ir_value_t *gen_layer_norm(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), part = {.rank = 0};
    if (s.rank == 0)
        return NULL;
    int64_t axis = gen_range(g, 0, s.rank - 1);
    for (uint32_t d = (uint32_t)axis; d < s.rank; d++)
        part.dim[part.rank++] = s.dim[d];
    if (gen_elements(&part) < 6)
        return NULL;
    ir_value_t *in[3] = {x, gen_weights(g, &part, 0.5f, 1), gen_weights(g, &part, 0.5f, 0)};
    bool bias = gen_chance(g, 70);
    ir_value_t *y = gen_op(g, IR_layer_norm, "LayerNormalization", bias ? 3 : 2, in, &s);
    ir_set_int(g->m, y->def, "axis", axis - (gen_chance(g, 50) ? (int64_t)s.rank : 0));
    ir_set_float(g->m, y->def, "epsilon", 0.01);
    return y;
}

ir_value_t *gen_reduce(gen_t *g, ir_value_t *x) {
    static const char *const ops[][2] = {{"ReduceSum", "sum"},
                                         {"ReduceMean", "mean"},
                                         {"ReduceMax", "max"},
                                         {"ReduceMin", "min"},
                                         {"ReduceL1", "l1"},
                                         {"ReduceL2", "l2"},
                                         {"ReduceLogSumExp", "logsumexp"}};
    size_t op = (size_t)gen_range(g, 0, COUNT_OF(ops) - 1), n = 0;
    shape_t s = gen_shape(x), y = {.rank = 0};
    bool keep = gen_chance(g, 50);
    int64_t axes[IR_MAX_RANK], reduced = 1;
    for (uint32_t d = 0; d < s.rank; d++) {
        bool take = gen_chance(g, 50) || (d + 1 == s.rank && n == 0);
        if (take) {
            axes[n++] = (int64_t)d - (gen_chance(g, 30) ? (int64_t)s.rank : 0);
            reduced *= s.dim[d];
        }
        if (keep || !take)
            y.dim[y.rank++] = take ? 1 : s.dim[d];
    }
    if (n == 0 || (reduced > 64 && (op == 0 || op == 4)) || (reduced < 4 && op == 5))
        return NULL; // sums would grow, the root of nearly 0 be steep
    ir_value_t *value = gen_op(g, IR_reduce, ops[op][0], 1, &x, &y);
    ir_set_string(g->m, value->def, "op", ops[op][1]);
    ir_set_ints(g->m, value->def, "axes", n, axes);
    ir_set_int(g->m, value->def, "keepdims", keep);
    return value;
}

// --- Movement ------------------------------------------------------------------------------------

ir_value_t *gen_transpose(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), y = s;
    int64_t perm[IR_MAX_RANK];
    if (s.rank < 2)
        return NULL;
    for (uint32_t d = 0; d < s.rank; d++) {
        int64_t at = gen_range(g, 0, d);
        perm[d] = perm[at];
        perm[at] = d;
    }
    for (uint32_t d = 0; d < s.rank; d++)
        y.dim[d] = s.dim[perm[d]];
    ir_value_t *value = gen_op(g, IR_transpose, "Transpose", 1, &x, &y);
    ir_set_ints(g->m, value->def, "perm", s.rank, perm);
    return value;
}

// The dims joined to one, then split off factor by factor.
ir_value_t *gen_reshape(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), y = {.rank = 0};
    int64_t left = gen_elements(&s), target[IR_MAX_RANK];
    uint32_t rank = (uint32_t)gen_range(g, 1, 4);
    while (y.rank + 1 < rank) {
        int64_t factor = gen_range(g, 1, 16);
        if (left % factor == 0) {
            y.dim[y.rank++] = factor;
            left /= factor;
        }
    }
    y.dim[y.rank++] = left;
    memcpy(target, y.dim, sizeof target);
    if (gen_chance(g, 50))
        target[gen_range(g, 0, y.rank - 1)] = -1;
    ir_value_t *in[2] = {x, gen_i64s(g, y.rank, target)};
    return gen_op(g, IR_reshape, "Reshape", 2, in, &y);
}

ir_value_t *gen_slice(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), y = s;
    int64_t starts[IR_MAX_RANK], ends[IR_MAX_RANK], axes[IR_MAX_RANK], steps[IR_MAX_RANK];
    size_t n = 0;
    for (uint32_t d = 0; d < s.rank; d++) {
        if (gen_chance(g, 50))
            continue;
        int64_t first = gen_range(g, 0, s.dim[d] - 1), end = gen_range(g, first + 1, s.dim[d]);
        axes[n] = d;
        steps[n] = gen_chance(g, 25) ? 2 : 1;
        y.dim[d] = (end - first + steps[n] - 1) / steps[n];
        starts[n] = first - (gen_chance(g, 20) ? s.dim[d] : 0);
        ends[n++] = end == s.dim[d] && gen_chance(g, 50) ? INT64_MAX : end;
    }
    if (n == 0)
        return NULL;
    ir_value_t *in[5] = {x, gen_i64s(g, n, starts), gen_i64s(g, n, ends), gen_i64s(g, n, axes),
                         gen_i64s(g, n, steps)};
    return gen_op(g, IR_slice, "Slice", 5, in, &y);
}

ir_value_t *gen_concat(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), y = s, extra = s;
    if (s.rank == 0 || 3 * gen_elements(&s) > RANDOM_MAX_ELEMENTS)
        return NULL;
    uint32_t axis = (uint32_t)gen_range(g, 0, s.rank - 1);
    extra.dim[axis] = gen_range(g, 1, s.dim[axis]);
    ir_value_t *in[3] = {x, gen_partner(g, x), gen_weights(g, &extra, 1, 0)};
    bool three = gen_chance(g, 50);
    y.dim[axis] = 2 * s.dim[axis] + (three ? extra.dim[axis] : 0);
    ir_value_t *value = gen_op(g, IR_concat, "Concat", three ? 3 : 2, in, &y);
    ir_set_int(g->m, value->def, "axis", axis);
    return value;
}

ir_value_t *gen_pad(gen_t *g, ir_value_t *x) {
    static const char *const modes[] = {"constant", "reflect", "edge"};
    const char *mode = modes[gen_range(g, 0, 2)];
    shape_t s = gen_shape(x), y = s, scalar = {.rank = 0};
    int64_t pads[2 * IR_MAX_RANK];
    if (s.rank == 0)
        return NULL;
    for (uint32_t d = 0; d < s.rank; d++) {
        int64_t most = s.dim[d] > 3 ? 2 : s.dim[d] - 1; // reflect needs more than it pads
        pads[d] = gen_range(g, 0, most);
        pads[d + s.rank] = gen_range(g, 0, most);
        y.dim[d] += pads[d] + pads[d + s.rank];
    }
    if (gen_elements(&y) > RANDOM_MAX_ELEMENTS)
        return NULL;
    bool value = strcmp(mode, "constant") == 0 && gen_chance(g, 50);
    ir_value_t *in[3] = {x, gen_i64s(g, 2 * s.rank, pads),
                         value ? gen_weights(g, &scalar, 0, 0.5f) : NULL};
    ir_value_t *result = gen_op(g, IR_pad, "Pad", value ? 3 : 2, in, &y);
    ir_set_string(g->m, result->def, "mode", mode);
    return result;
}

// Two parts; the second is live too.
ir_value_t *gen_split(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x);
    uint32_t axis = s.rank > 0 ? (uint32_t)gen_range(g, 0, s.rank - 1) : 0;
    if (s.rank == 0 || s.dim[axis] < 2 || g->n_live + 2 > RANDOM_MAX_LIVE)
        return NULL;
    int64_t whole = s.dim[axis], sizes[2];
    sizes[0] = gen_range(g, 1, whole - 1);
    sizes[1] = whole - sizes[0];
    ir_value_t *in[2] = {x, gen_i64s(g, 2, sizes)};
    s.dim[axis] = sizes[0];
    ir_value_t *first = gen_op(g, IR_split, "Split", 2, in, &s);
    s.dim[axis] = sizes[1];
    const ir_type_t *type = ir_type_const_tensor(g->m, DTYPE_F32, s.rank, s.dim);
    g->live[g->n_live++] = ir_add_result(g->m, first->def, type);
    ir_set_int(g->m, first->def, "axis", axis);
    return first;
}

ir_value_t *gen_expand(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), y = s;
    bool grows = false;
    for (uint32_t d = 0; d < s.rank; d++) {
        if (s.dim[d] != 1)
            continue;
        y.dim[d] = gen_range(g, 1, 5);
        grows = grows || y.dim[d] > 1;
    }
    if (!grows || gen_elements(&y) > RANDOM_MAX_ELEMENTS)
        return NULL;
    ir_value_t *in[2] = {x, gen_i64s(g, y.rank, y.dim)};
    return gen_op(g, IR_expand, "Expand", 2, in, &y);
}

// A dim of 1 comes or goes.
ir_value_t *gen_dims1(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), y = {.rank = 0};
    for (uint32_t d = 0; d < s.rank; d++) {
        int64_t axis = d;
        if (s.dim[d] != 1)
            continue;
        for (uint32_t e = 0; e < s.rank; e++)
            if (e != d)
                y.dim[y.rank++] = s.dim[e];
        ir_value_t *in[2] = {x, gen_i64s(g, 1, &axis)};
        return gen_op(g, IR_squeeze, "Squeeze", 2, in, &y);
    }
    if (s.rank >= 4)
        return NULL;
    int64_t axis = gen_range(g, 0, s.rank);
    for (uint32_t d = 0; d <= s.rank; d++)
        y.dim[y.rank++] = d == axis ? 1 : s.dim[d - (d > axis)];
    ir_value_t *in[2] = {x, gen_i64s(g, 1, &axis)};
    return gen_op(g, IR_unsqueeze, "Unsqueeze", 2, in, &y);
}
