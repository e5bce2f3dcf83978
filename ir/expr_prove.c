// SPDX-License-Identifier: Apache-2.0
// Proofs of e >= 0. Where intervals don't settle it, one term is replaced by a simpler one that
// isn't greater, and the proof goes on:
//   -min(a, b) >= -a and >= -b (either will do)    min(a, b) is a or b (both must hold)
//   max(a, b) >= a and >= b (either)               -max(a, b) is -a or -b (both)
//   c * floor(x / c) >= x - c + 1                  -c * floor(x / c) >= -x
#include "ir/ir_internal.h"
#include "support/checked.h"

enum { MAX_DEPTH = 5 };

static bool nonnegative(ir_module_t *m, const ir_expr_t *e, int depth);

// e without term i, plus scale * with + constant.
static bool replaced(ir_module_t *m, const poly_t *p, uint32_t i, const ir_expr_t *with,
                     int64_t scale, int64_t constant, int depth) {
    poly_t q = {.n = 0, .constant = p->constant};
    for (uint32_t t = 0; t < p->n; t++)
        if (t != i && !ir_poly_add_term(&q, p->terms[t].mono, p->terms[t].coef))
            return false;
    return ir_poly_add(&q, with, scale) && ir_poly_add_term(&q, NULL, constant) &&
           nonnegative(m, ir_poly_expr(m, &q), depth - 1);
}

static bool by_extreme(ir_module_t *m, const poly_t *p, uint32_t i, int depth) {
    const poly_term_t *t = &p->terms[i];
    bool either = (t->mono->kind == IR_EXPR_MIN) == (t->coef < 0);
    bool first = replaced(m, p, i, t->mono->a, t->coef, 0, depth);
    if (first == either)
        return first;
    return replaced(m, p, i, t->mono->b, t->coef, 0, depth);
}

static bool by_division(ir_module_t *m, const poly_t *p, uint32_t i, int depth) {
    const poly_term_t *t = &p->terms[i];
    int64_t c = t->mono->b->kind == IR_EXPR_CONST ? t->mono->b->value : 0, slack;
    if (c <= 0 || t->coef % c != 0)
        return false;
    int64_t k = t->coef / c;
    if (!checked_mul_i64(k > 0 ? -k : 0, c - 1, &slack))
        return false;
    return replaced(m, p, i, t->mono->a, k, slack, depth);
}

static bool nonnegative(ir_module_t *m, const ir_expr_t *e, int depth) {
    poly_t p = {.n = 0};
    if (e->min >= 0)
        return true;
    if (depth == 0 || e->max < 0 || !ir_poly_add(&p, e, 1))
        return false;
    for (uint32_t i = 0; i < p.n; i++) {
        ir_expr_kind_t kind = p.terms[i].mono->kind;
        if ((kind == IR_EXPR_MIN || kind == IR_EXPR_MAX) && by_extreme(m, &p, i, depth))
            return true;
        if (kind == IR_EXPR_FLOORDIV && by_division(m, &p, i, depth))
            return true;
    }
    return false;
}

bool ir_expr_proves_ge(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    return nonnegative(m, ir_sub(m, a, b), MAX_DEPTH);
}
