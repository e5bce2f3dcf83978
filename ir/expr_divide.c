// SPDX-License-Identifier: Apache-2.0
// floordiv, ceildiv and mod. With a constant divisor c the dividend is split into a part whose
// coefficients c divides and a rest; bounds of the rest often settle it.
#include "ir/ir_internal.h"
#include "support/checked.h"

static int64_t gcd(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a < 0 ? -a : a;
}

// e = c * whole + rest, the constant of rest in [0, c).
static bool split(const ir_expr_t *e, int64_t c, poly_t *whole, poly_t *rest) {
    poly_t p = {.n = 0};
    *whole = *rest = (poly_t){.n = 0};
    if (!ir_poly_add(&p, e, 1))
        return false;
    for (uint32_t i = 0; i < p.n; i++) {
        bool divides = p.terms[i].coef % c == 0;
        int64_t coef = divides ? p.terms[i].coef / c : p.terms[i].coef;
        if (!ir_poly_add_term(divides ? whole : rest, p.terms[i].mono, coef))
            return false;
    }
    whole->constant = ir_floor_div(p.constant, c);
    rest->constant = ir_floor_mod(p.constant, c);
    return true;
}

// Known when all values of the rest fall into one multiple of c.
static bool known_quotient(const ir_expr_t *e, int64_t c, int64_t *out_quotient) {
    if (e->min == INT64_MIN || e->max == INT64_MAX)
        return false;
    *out_quotient = ir_floor_div(e->min, c);
    return *out_quotient == ir_floor_div(e->max, c);
}

// floor(rest / c), nothing more to take out but common factors and nested divisions.
static const ir_expr_t *divide_rest(ir_module_t *m, poly_t *rest, int64_t c) {
    int64_t quotient, product;
    int64_t factor = c;
    for (uint32_t i = 0; i < rest->n; i++)
        factor = gcd(rest->terms[i].coef, factor);
    if (factor > 1) { // floor((g*x + k) / (g*d)) = floor((x + floor(k/g)) / d)
        for (uint32_t i = 0; i < rest->n; i++)
            rest->terms[i].coef /= factor;
        rest->constant = ir_floor_div(rest->constant, factor);
        c /= factor;
    }
    const ir_expr_t *e = ir_poly_expr(m, rest);
    if (c == 1)
        return e;
    if (known_quotient(e, c, &quotient))
        return ir_const(m, quotient);
    if (e->kind == IR_EXPR_FLOORDIV && e->b->kind == IR_EXPR_CONST &&
        checked_mul_i64(e->b->value, c, &product))
        return ir_floordiv(m, e->a, ir_const(m, product));
    return ir_expr_node(m, IR_EXPR_FLOORDIV, e, ir_const(m, c));
}

static const ir_expr_t *divide_const(ir_module_t *m, const ir_expr_t *a, int64_t c) {
    int64_t quotient;
    poly_t whole, rest;
    if (c == 1)
        return a;
    if (known_quotient(a, c, &quotient))
        return ir_const(m, quotient);
    if (!split(a, c, &whole, &rest))
        return ir_expr_node(m, IR_EXPR_FLOORDIV, a, ir_const(m, c));
    return ir_add(m, ir_poly_expr(m, &whole), divide_rest(m, &rest, c));
}

// a / b for a symbolic b that divides a.
static const ir_expr_t *divide_exactly(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    poly_t pa = {.n = 0}, pb = {.n = 0}, q;
    if (b->min > 0 && ir_poly_add(&pa, a, 1) && ir_poly_add(&pb, b, 1) &&
        ir_poly_divide(m, &pa, &pb, &q))
        return ir_poly_expr(m, &q);
    return NULL;
}

const ir_expr_t *ir_floordiv(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    if (b->kind == IR_EXPR_CONST && b->value > 0)
        return divide_const(m, a, b->value);
    const ir_expr_t *exact = divide_exactly(m, a, b);
    if (exact != NULL)
        return exact;
    if (a->min >= 0 && ir_sub(m, a, b)->max < 0)
        return ir_const(m, 0);
    return ir_expr_node(m, IR_EXPR_FLOORDIV, a, b);
}

const ir_expr_t *ir_ceildiv(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    if (b->kind == IR_EXPR_CONST && b->value > 0) // one form for both divisions
        return divide_const(m, ir_addc(m, a, b->value - 1), b->value);
    const ir_expr_t *exact = divide_exactly(m, a, b);
    if (exact != NULL)
        return exact;
    if (a->min >= 1 && ir_sub(m, a, b)->max <= 0)
        return ir_const(m, 1);
    return ir_expr_node(m, IR_EXPR_CEILDIV, a, b);
}

static const ir_expr_t *mod_const(ir_module_t *m, const ir_expr_t *a, int64_t c) {
    int64_t quotient, taken;
    poly_t whole, rest;
    if (c == 1)
        return ir_const(m, 0);
    const ir_expr_t *e = a;
    if (split(a, c, &whole, &rest))
        e = ir_poly_expr(m, &rest);
    if (known_quotient(e, c, &quotient) && checked_mul_i64(quotient, -c, &taken))
        return ir_addc(m, e, taken);
    if (e->kind == IR_EXPR_MOD && e->b->kind == IR_EXPR_CONST && e->b->value % c == 0)
        return mod_const(m, e->a, c);
    return ir_expr_node(m, IR_EXPR_MOD, e, ir_const(m, c));
}

const ir_expr_t *ir_mod(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    if (b->kind == IR_EXPR_CONST && b->value > 0)
        return mod_const(m, a, b->value);
    if (divide_exactly(m, a, b) != NULL)
        return ir_const(m, 0);
    if (a->min >= 0 && ir_sub(m, a, b)->max < 0)
        return a;
    return ir_expr_node(m, IR_EXPR_MOD, a, b);
}
