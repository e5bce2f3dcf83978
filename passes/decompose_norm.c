// SPDX-License-Identifier: Apache-2.0
// decompose: normalisation, softmax, reductions and clipping.
#include <float.h>
#include <math.h>
#include <string.h>

#include "passes/decompose_internal.h"

// --- Elementwise ---------------------------------------------------------------------------------

// A bound of clip: absent ones do not bind.
static bool bound_of(const ir_value_t *value, double otherwise, double *out) {
    *out = otherwise;
    return value == NULL || eval_scalar(value, out);
}

bool dc_clip(decompose_t *dc, ir_op_t *op) {
    ir_value_t *x = ir_operand(op, 0), *lo = ir_operand(op, 1), *hi = ir_operand(op, 2);
    double p0, p1;
    if (dc_is_float(x) && bound_of(lo, -INFINITY, &p0) && bound_of(hi, INFINITY, &p1)) {
        if (lo == NULL && hi == NULL)
            return dc_replace(dc, op, x);
        bool relu = p0 == 0 && hi == NULL;
        ir_value_t *y = dc_unary(dc, relu ? "relu" : "clamp", x);
        if (!relu) {
            ir_set_float(dc->m, y->def, "p0", p0);
            ir_set_float(dc->m, y->def, "p1", p1);
        }
        return dc_replace(dc, op, y);
    }
    if (lo != NULL)
        x = dc_binary(dc, "max", x, dc_reshape(dc, lo, 0, NULL));
    if (hi != NULL)
        x = dc_binary(dc, "min", x, dc_reshape(dc, hi, 0, NULL));
    return dc_replace(dc, op, x);
}

bool dc_variadic(decompose_t *dc, ir_op_t *op) {
    const char *name = ir_get_string(op, "op", "");
    bool mean = strcmp(name, "mean") == 0;
    ir_value_t *y = ir_operand(op, 0);
    for (uint32_t i = 1; i < op->n_operands; i++)
        y = dc_binary(dc, mean || strcmp(name, "sum") == 0 ? "add" : name, y, ir_operand(op, i));
    if (mean && dc_is_float(y))
        y = dc_affine(dc, y, 1.0 / op->n_operands, 0);
    else if (mean)
        y = dc_binary(dc, "div", y, dc_scalar(dc, y->type->elem, op->n_operands));
    return dc_replace(dc, op, y);
}

// --- Reductions ----------------------------------------------------------------------------------

// Over no axes a reduction is a function of each element.
bool dc_reduced(decompose_t *dc, ir_op_t *op) {
    static const char *const functions[][2] = {
        {"sumsq", "square"}, {"l1", "abs"}, {"l2", "abs"}, {"logsum", "log"}};
    const ir_attr_t *axes = ir_get(op, "axes");
    const char *name = ir_get_string(op, "op", "");
    ir_value_t *y = ir_operand(op, 0);
    if (axes == NULL || axes->n != 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (strcmp(name, functions[i][0]) == 0)
            y = dc_unary(dc, functions[i][1], y);
    return dc_replace(dc, op, y);
}

static const ir_expr_t *product(decompose_t *dc, uint32_t n, const ir_expr_t *const *dims) {
    const ir_expr_t *p = ir_const(dc->m, 1);
    for (uint32_t i = 0; i < n; i++)
        p = ir_mul(dc->m, p, dims[i]);
    return p;
}

// Before opset 13 softmax saw a matrix: the dims before axis, and those from it on.
bool dc_softmax(decompose_t *dc, ir_op_t *op) {
    ir_value_t *x = ir_operand(op, 0);
    uint32_t rank = x->type->rank, axis = (uint32_t)ir_get_int(op, "axis", 0);
    if (ir_get_int(op, "flatten", 0) == 0)
        return false;
    if (rank > 0 && axis == rank - 1) {
        ir_remove_attr(op, "flatten");
        dc->n_changes++;
        return true;
    }
    const ir_expr_t *dims[2] = {product(dc, axis, x->type->dims),
                                product(dc, rank - axis, x->type->dims + axis)};
    ir_value_t *flat = dc_reshape(dc, x, 2, dims);
    ir_value_t *y = dc_copy(dc, op, 1, &flat, flat->type);
    ir_remove_attr(y->def, "flatten");
    ir_set_int(dc->m, y->def, "axis", 1);
    return dc_replace(dc, op, dc_reshape(dc, y, rank, x->type->dims));
}

// --- Layer normalisation -------------------------------------------------------------------------

static ir_value_t *make_norm(decompose_t *dc, ir_value_t *x, ir_value_t *scale, ir_value_t *bias,
                             uint32_t axis, double epsilon, bool rms) {
    ir_value_t *operands[3] = {x, scale, bias};
    ir_value_t *y = ir_build1(&dc->b, IR_layer_norm, bias != NULL ? 3 : 2, operands, x->type);
    ir_set_int(dc->m, y->def, "axis", axis);
    ir_set_float(dc->m, y->def, "epsilon", epsilon);
    if (rms)
        ir_set_int(dc->m, y->def, "rms", 1);
    return y;
}

// Statistics that are asked for are computed apart; the op keeps one result.
bool dc_layer_norm(decompose_t *dc, ir_op_t *op) {
    ir_value_t *x = ir_operand(op, 0);
    int64_t axes[IR_MAX_RANK];
    size_t n = 0;
    if (op->n_results == 1)
        return false;
    uint32_t axis = (uint32_t)ir_get_int(op, "axis", 0);
    double epsilon = ir_get_float(op, "epsilon", 1e-5);
    bool rms = ir_get_int(op, "rms", 0) != 0;
    ir_value_t *stats[3] = {
        make_norm(dc, x, ir_operand(op, 1), ir_operand(op, 2), axis, epsilon, rms)};
    bool wanted = ir_has_uses(op->results[1]) || (op->n_results > 2 && ir_has_uses(op->results[2]));
    for (uint32_t i = axis; i < x->type->rank; i++)
        axes[n++] = i;
    if (wanted) {
        stats[1] = dc_reduce(dc, "mean", x, n, axes, true);
        ir_value_t *var = dc_binary(dc, "sqdiff", x, stats[1]);
        var = dc_reduce(dc, "mean", var, n, axes, true);
        stats[2] = dc_unary(dc, "rsqrt", dc_affine(dc, var, 1, epsilon));
    }
    for (uint32_t i = 0; i < op->n_results; i++)
        if (stats[i] != NULL) {
            stats[i]->name = op->results[i]->name;
            ir_replace_uses(op->results[i], stats[i]);
        }
    ir_erase(op);
    dc->n_changes++;
    return true;
}

#define SQUARED(t) "{square(" t ")|pow(" t ",#2)|mul(" t "," t ")}"
#define CENTRED    "sub(x,mean(x))"
#define VARIANCE   "add(mean(" SQUARED(CENTRED) "),?0)"
#define POWER      "add(mean(" SQUARED("x") "),?0)"
#define NORMAL     "{div(" CENTRED ",sqrt(" VARIANCE "))|mul(" CENTRED ",rsqrt(" VARIANCE "))}"
#define RMS_NORMAL "{div(x,sqrt(" POWER "))|mul(x,rsqrt(" POWER "))}"

// The axis from which all means of the match run; false when they differ.
static bool norm_axis(const match_t *match, uint32_t *out_axis) {
    size_t n = 0;
    for (size_t i = 0; i < match->n_ops; i++) {
        if (match->ops[i]->code != IR_reduce)
            continue;
        size_t axes = ir_get(match->ops[i], "axes")->n;
        if (n != 0 && axes != n)
            return false;
        n = axes;
        *out_axis = ir_operand(match->ops[i], 0)->type->rank - (uint32_t)n;
    }
    return n != 0;
}

// `v` as scale or bias of the dims from axis on: NULL unless it has just those.
static ir_value_t *norm_parameter(decompose_t *dc, ir_value_t *v, const ir_type_t *x,
                                  uint32_t axis) {
    uint32_t n = x->rank - axis;
    if (v->type->rank < n || v->type->rank > x->rank)
        return NULL;
    for (uint32_t i = 0; i < v->type->rank; i++) {
        uint32_t d = i + x->rank - v->type->rank;
        if (d < axis ? !ir_expr_equals(v->type->dims[i], 1)
                     : !ir_expr_same(v->type->dims[i], x->dims[d]))
            return NULL;
    }
    return dc_reshape(dc, v, n, x->dims + axis);
}

// op = binary(normal, v): the side that matches, the other one as a parameter.
static ir_value_t *norm_side(decompose_t *dc, const ir_op_t *op, const char *name,
                             const char *pattern, match_t *match) {
    uint32_t axis;
    if (op->code != IR_binary || strcmp(ir_get_string(op, "op", ""), name) != 0)
        return NULL;
    for (uint32_t i = 0; i < 2; i++) {
        ir_value_t *v = ir_operand(op, 1 - i);
        if (!dc_match(pattern, ir_operand(op, i), match) || !norm_axis(match, &axis))
            continue;
        ir_value_t *p = norm_parameter(dc, v, match->values['x' - 'a']->type, axis);
        if (p != NULL)
            return p;
    }
    return NULL;
}

static ir_value_t *ones(decompose_t *dc, const ir_type_t *x, uint32_t axis) {
    const ir_type_t *type = ir_type_tensor(dc->m, x->elem, x->rank - axis, x->dims + axis);
    ir_value_t *y = ir_build1(&dc->b, IR_fill, 0, NULL, type);
    ir_value_t *one = dc_scalar(dc, x->elem, 1);
    ir_set_blob(dc->m, y->def, "blob", eval_blob(one));
    ir_erase(one->def);
    return y;
}

static bool norm_of(decompose_t *dc, ir_op_t *op, const char *pattern, bool rms) {
    match_t match;
    uint32_t axis;
    ir_value_t *scale = norm_side(dc, op, "mul", pattern, &match);
    if (scale == NULL && !dc_match(pattern, ir_result(op), &match))
        return false;
    ir_value_t *x = match.values['x' - 'a'];
    if (!norm_axis(&match, &axis) || !dc_is_float(x) ||
        !graph_same_type(x->type, ir_result(op)->type))
        return false;
    if (scale == NULL)
        scale = ones(dc, x->type, axis);
    ir_value_t *y = make_norm(dc, x, scale, NULL, axis, match.numbers[0], rms);
    dc_add_match_origins(dc, y, &match);
    return dc_replace(dc, op, y);
}

// layer_norm(x, scale) + bias, where nothing else reads the inner one.
static bool norm_bias(decompose_t *dc, ir_op_t *op) {
    if (op->code != IR_binary || strcmp(ir_get_string(op, "op", ""), "add") != 0)
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        ir_value_t *inner = ir_operand(op, i), *v = ir_operand(op, 1 - i);
        if (inner->def == NULL || inner->def->code != IR_layer_norm ||
            inner->def->n_operands != 2 || inner->def->n_results != 1 ||
            ir_count_uses(inner) != 1 || ir_get_int(inner->def, "rms", 0) != 0 ||
            !graph_same_type(inner->type, ir_result(op)->type))
            continue;
        uint32_t axis = (uint32_t)ir_get_int(inner->def, "axis", 0);
        ir_value_t *bias = norm_parameter(dc, v, inner->type, axis);
        if (bias == NULL)
            continue;
        ir_value_t *operands[3] = {ir_operand(inner->def, 0), ir_operand(inner->def, 1), bias};
        ir_value_t *y = dc_copy(dc, inner->def, 3, operands, inner->type);
        ir_add_origins(dc->m, y->def, inner->def->origins, inner->def->n_origins);
        return dc_replace(dc, op, y);
    }
    return false;
}

bool dc_recognise_norm(decompose_t *dc, ir_op_t *op) {
    if (op->code != IR_binary || !dc_is_float(ir_result(op)))
        return false;
    return norm_bias(dc, op) || norm_of(dc, op, NORMAL, false) || norm_of(dc, op, RMS_NORMAL, true);
}
