// SPDX-License-Identifier: Apache-2.0
// The normal form of sums and products. As a tree: ((m1*c1 + m2*c2) + ...) + constant, each mono
// ((a1*a2)*a3), terms and factors ordered by ir_expr_compare.
#include <string.h>

#include "ir/ir_internal.h"
#include "support/checked.h"

bool ir_poly_add_term(poly_t *p, const ir_expr_t *mono, int64_t coef) {
    if (coef == 0)
        return true;
    if (mono == NULL)
        return checked_add_i64(p->constant, coef, &p->constant);
    uint32_t at = 0;
    int order = 1;
    while (at < p->n && (order = ir_expr_compare(p->terms[at].mono, mono)) < 0)
        at++;
    poly_term_t *term = &p->terms[at];
    if (at < p->n && order == 0) {
        if (!checked_add_i64(term->coef, coef, &term->coef))
            return false;
        if (term->coef == 0)
            memmove(term, term + 1, (--p->n - at) * sizeof *term);
        return true;
    }
    if (p->n == POLY_MAX_TERMS)
        return false;
    memmove(term + 1, term, (p->n++ - at) * sizeof *term);
    *term = (poly_term_t){.coef = coef, .mono = mono};
    return true;
}

bool ir_poly_add(poly_t *p, const ir_expr_t *e, int64_t scale) {
    int64_t coef;
    if (e->kind == IR_EXPR_ADD)
        return ir_poly_add(p, e->a, scale) && ir_poly_add(p, e->b, scale);
    if (e->kind == IR_EXPR_CONST)
        return checked_mul_i64(e->value, scale, &coef) && ir_poly_add_term(p, NULL, coef);
    if (e->kind == IR_EXPR_MUL && e->b->kind == IR_EXPR_CONST)
        return checked_mul_i64(e->b->value, scale, &coef) && ir_poly_add_term(p, e->a, coef);
    return ir_poly_add_term(p, e, scale);
}

const ir_expr_t *ir_poly_expr(ir_module_t *m, const poly_t *p) {
    const ir_expr_t *sum = NULL;
    for (uint32_t i = 0; i < p->n; i++) {
        const ir_expr_t *term = p->terms[i].mono;
        if (p->terms[i].coef != 1)
            term = ir_expr_node(m, IR_EXPR_MUL, term, ir_const(m, p->terms[i].coef));
        sum = sum == NULL ? term : ir_expr_node(m, IR_EXPR_ADD, sum, term);
    }
    if (sum == NULL)
        return ir_const(m, p->constant);
    return p->constant == 0 ? sum : ir_expr_node(m, IR_EXPR_ADD, sum, ir_const(m, p->constant));
}

// --- Monos ---------------------------------------------------------------------------------------

static bool is_product(const ir_expr_t *e) {
    return e->kind == IR_EXPR_MUL && e->b->kind != IR_EXPR_CONST;
}

// Adds the factors of a mono to a list, in order. False when there are too many.
static bool list_atoms(const ir_expr_t *mono, const ir_expr_t **atoms, uint32_t *n) {
    if (mono == NULL)
        return true;
    if (is_product(mono))
        return list_atoms(mono->a, atoms, n) && list_atoms(mono->b, atoms, n);
    if (*n == POLY_MAX_ATOMS)
        return false;
    uint32_t at = *n;
    while (at > 0 && ir_expr_compare(atoms[at - 1], mono) > 0) {
        atoms[at] = atoms[at - 1];
        at--;
    }
    atoms[at] = mono;
    ++*n;
    return true;
}

static const ir_expr_t *mono_of(ir_module_t *m, const ir_expr_t *const *atoms, uint32_t n) {
    const ir_expr_t *product = NULL;
    for (uint32_t i = 0; i < n; i++)
        product = product == NULL ? atoms[i] : ir_expr_node(m, IR_EXPR_MUL, product, atoms[i]);
    return product;
}

// mono without one factor `atom`; false when it is no factor. *out NULL: 1.
static bool mono_divide(ir_module_t *m, const ir_expr_t *mono, const ir_expr_t *atom,
                        const ir_expr_t **out) {
    const ir_expr_t *atoms[POLY_MAX_ATOMS];
    uint32_t n = 0;
    if (!list_atoms(mono, atoms, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (atoms[i] != atom)
            continue;
        memmove(&atoms[i], &atoms[i + 1], (n - i - 1) * sizeof *atoms);
        *out = mono_of(m, atoms, n - 1);
        return true;
    }
    return false;
}

// mono / divisor, both possibly 1 (NULL).
static bool mono_divide_all(ir_module_t *m, const ir_expr_t *mono, const ir_expr_t *divisor,
                            const ir_expr_t **out) {
    const ir_expr_t *atoms[POLY_MAX_ATOMS];
    uint32_t n = 0;
    if (!list_atoms(divisor, atoms, &n))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (mono == NULL || !mono_divide(m, mono, atoms[i], &mono))
            return false;
    *out = mono;
    return true;
}

// --- Products ------------------------------------------------------------------------------------

static bool mul_term(ir_module_t *m, const ir_expr_t *a, int64_t ca, const ir_expr_t *b, int64_t cb,
                     int64_t sign, poly_t *out) {
    const ir_expr_t *atoms[POLY_MAX_ATOMS];
    uint32_t n = 0;
    int64_t coef;
    if (ca == 0 || cb == 0)
        return true;
    return checked_mul_i64(ca, cb, &coef) && checked_mul_i64(coef, sign, &coef) &&
           list_atoms(a, atoms, &n) && list_atoms(b, atoms, &n) &&
           ir_poly_add_term(out, mono_of(m, atoms, n), coef);
}

// out += sign * coef * mono * p
static bool mul_add(ir_module_t *m, const poly_t *p, const ir_expr_t *mono, int64_t coef,
                    int64_t sign, poly_t *out) {
    for (uint32_t i = 0; i < p->n; i++)
        if (!mul_term(m, p->terms[i].mono, p->terms[i].coef, mono, coef, sign, out))
            return false;
    return mul_term(m, NULL, p->constant, mono, coef, sign, out);
}

bool ir_poly_mul(ir_module_t *m, const poly_t *a, const poly_t *b, poly_t *out) {
    *out = (poly_t){.n = 0};
    for (uint32_t i = 0; i < b->n; i++)
        if (!mul_add(m, a, b->terms[i].mono, b->terms[i].coef, 1, out))
            return false;
    return mul_add(m, a, NULL, b->constant, 1, out);
}

// One step of long division: the term of the quotient that cancels some term of `rest` against the
// first term of b.
static bool quotient_term(ir_module_t *m, const poly_t *rest, const poly_t *b,
                          poly_term_t *out_term) {
    const ir_expr_t *lead = b->n > 0 ? b->terms[0].mono : NULL;
    int64_t lead_coef = b->n > 0 ? b->terms[0].coef : b->constant;
    for (uint32_t i = 0; i <= rest->n; i++) {
        const ir_expr_t *mono = i < rest->n ? rest->terms[i].mono : NULL;
        int64_t coef = i < rest->n ? rest->terms[i].coef : rest->constant;
        if (coef == 0 || coef == INT64_MIN || coef % lead_coef != 0)
            continue;
        if (!mono_divide_all(m, mono, lead, &out_term->mono))
            continue;
        out_term->coef = coef / lead_coef;
        return true;
    }
    return false;
}

bool ir_poly_divide(ir_module_t *m, const poly_t *a, const poly_t *b, poly_t *out) {
    enum { MAX_STEPS = 32 };
    poly_t rest = *a;
    *out = (poly_t){.n = 0};
    if (b->n == 0 && b->constant == 0)
        return false;
    for (int step = 0; step < MAX_STEPS; step++) {
        poly_term_t term;
        if (rest.n == 0 && rest.constant == 0)
            return true;
        if (!quotient_term(m, &rest, b, &term) || !ir_poly_add_term(out, term.mono, term.coef) ||
            !mul_add(m, b, term.mono, term.coef, -1, &rest))
            return false;
    }
    return false;
}
