// SPDX-License-Identifier: Apache-2.0
// decompose: patterns in text (their language stands in decompose_rules.def) matched against the
// ops behind a value.
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/decompose_internal.h"

// The end of the term that starts at p.
static const char *term_end(const char *p) {
    int depth = 0;
    for (; *p != 0; p++) {
        if (depth == 0 && (*p == ',' || *p == ')' || *p == '|' || *p == '}'))
            return p;
        if (*p == '(' || *p == '{' || *p == '[')
            depth++;
        if (*p == ')' || *p == '}' || *p == ']') {
            depth--;
            if (depth == 0 && *p != ']')
                return p + 1;
        }
    }
    return p;
}

static bool near(double value, double wanted) {
    return fabs(value - wanted) <= 2e-4 * fabs(wanted);
}

static bool match_number(const char *p, double value, match_t *m) {
    if (*p == '#')
        return near(value, strtod(p + 1, NULL));
    m->numbers[p[1] - '0'] = value;
    return true;
}

static bool is_number(const char *p) { return *p == '#' || *p == '?'; }

static bool match_term(const char *p, ir_value_t *value, match_t *m);

static bool cover(match_t *m, ir_op_t *op) {
    if (m->n_ops == MATCH_MAX_OPS)
        return false;
    m->ops[m->n_ops++] = op;
    return true;
}

// value = alpha * x + beta as one op, with one of alpha and beta plain.
static bool as_affine(ir_value_t *value, ir_value_t **out_x, double *alpha, double *beta) {
    const ir_op_t *def = value->def;
    double c;
    *alpha = 1;
    *beta = 0;
    if (def == NULL)
        return false;
    if (def->code == IR_unary && strcmp(ir_get_string(def, "func", ""), "none") == 0) {
        *out_x = ir_operand(def, 0);
        *alpha = ir_get_float(def, "alpha", 1);
        *beta = ir_get_float(def, "beta", 0);
        return true;
    }
    if (def->code != IR_binary)
        return false;
    const char *op = ir_get_string(def, "op", "");
    bool right = eval_scalar(ir_operand(def, 1), &c);
    if (!right && !eval_scalar(ir_operand(def, 0), &c))
        return false;
    *out_x = ir_operand(def, right ? 0 : 1);
    if (strcmp(op, "mul") == 0)
        *alpha = c;
    else if (strcmp(op, "add") == 0)
        *beta = c;
    else if (strcmp(op, "div") == 0 && right)
        *alpha = 1 / c;
    else if (strcmp(op, "sub") == 0 && right)
        *beta = -c;
    else
        return false;
    return true;
}

static bool match_affine(bool scales, const char *inner, const char *number, ir_value_t *value,
                         match_t *m) {
    ir_value_t *x;
    double alpha, beta;
    if (!as_affine(value, &x, &alpha, &beta) || (scales ? beta != 0 : alpha != 1) ||
        (scales ? alpha : beta) == (scales ? 1 : 0))
        return false;
    return match_number(number, scales ? alpha : beta, m) && cover(m, value->def) &&
           match_term(inner, x, m);
}

static bool match_pair(const char *first, const char *second, ir_value_t *a, ir_value_t *b,
                       match_t *m) {
    match_t saved = *m;
    if (match_term(first, a, m) && match_term(second, b, m))
        return true;
    *m = saved;
    return false;
}

static bool match_binary(const char *name, const char *first, const char *second, ir_value_t *value,
                         match_t *m) {
    ir_op_t *def = value->def;
    bool commutes = strcmp(name, "add") == 0 || strcmp(name, "mul") == 0 ||
                    strcmp(name, "max") == 0 || strcmp(name, "min") == 0;
    if (is_number(second) && (strcmp(name, "mul") == 0 || strcmp(name, "add") == 0))
        return match_affine(name[0] == 'm', first, second, value, m);
    if (def->code != IR_binary || strcmp(ir_get_string(def, "op", ""), name) != 0 || !cover(m, def))
        return false;
    ir_value_t *a = ir_operand(def, 0), *b = ir_operand(def, 1);
    return match_pair(first, second, a, b, m) || (commutes && match_pair(first, second, b, a, m));
}

// A mean over the last dims that keeps them as 1.
static bool match_mean(const char *inner, ir_value_t *value, match_t *m) {
    ir_op_t *def = value->def;
    const ir_attr_t *axes = ir_get(def, "axes");
    if (def->code != IR_reduce || strcmp(ir_get_string(def, "op", ""), "mean") != 0 ||
        ir_get_int(def, "keepdims", 1) == 0 || axes == NULL || axes->n == 0)
        return false;
    for (size_t i = 0; i < axes->n; i++)
        if (axes->ints[i] != (int64_t)(value->type->rank - axes->n + i))
            return false;
    return cover(m, def) && match_term(inner, ir_operand(def, 0), m);
}

static bool match_unary(const char *name, const char *params, const char *inner, ir_value_t *value,
                        match_t *m) {
    ir_op_t *def = value->def;
    if (def->code != IR_unary || strcmp(ir_get_string(def, "func", ""), name) != 0 ||
        ir_get_float(def, "alpha", 1) != 1 || ir_get_float(def, "beta", 0) != 0)
        return false;
    if (params != NULL) {
        char *end;
        double p0 = strtod(params, &end);
        double p1 = strtod(end + 1, NULL);
        if (!near(ir_get_float(def, "p0", 0), p0) || !near(ir_get_float(def, "p1", 0), p1))
            return false;
    }
    return cover(m, def) && match_term(inner, ir_operand(def, 0), m);
}

static bool match_op(const char *p, ir_value_t *value, match_t *m) {
    char name[24];
    const char *params = NULL;
    size_t length = strcspn(p, "([");
    if (value->def == NULL || length >= sizeof name)
        return false;
    memcpy(name, p, length);
    name[length] = 0;
    p += length;
    if (*p == '[') {
        params = p + 1;
        p = strchr(p, ']') + 1;
    }
    const char *first = p + 1, *end = term_end(first);
    if (*end == ',')
        return match_binary(name, first, end + 1, value, m);
    if (strcmp(name, "mean") == 0)
        return match_mean(first, value, m);
    return match_unary(name, params, first, value, m);
}

static bool match_either(const char *p, ir_value_t *value, match_t *m) {
    while (*p != '}') {
        match_t saved = *m;
        if (match_term(p + 1, value, m))
            return true;
        *m = saved;
        p = term_end(p + 1);
    }
    return false;
}

static bool match_term(const char *p, ir_value_t *value, match_t *m) {
    double number;
    if (value == NULL)
        return false;
    if (*p == '{')
        return match_either(p, value, m);
    if (is_number(p))
        return eval_scalar(value, &number) && match_number(p, number, m);
    if (!isalnum((unsigned char)p[1]) && p[1] != '(' && p[1] != '_' && p[1] != '[') {
        ir_value_t **bound = &m->values[*p - 'a'];
        if (*bound == NULL)
            *bound = value;
        return *bound == value;
    }
    return match_op(p, value, m);
}

bool dc_match(const char *pattern, ir_value_t *value, match_t *out) {
    *out = (match_t){.n_ops = 0};
    return match_term(pattern, value, out);
}

void dc_add_match_origins(decompose_t *dc, ir_value_t *value, const match_t *match) {
    for (size_t i = match->n_ops; i-- > 0;)
        if (value->def != NULL)
            ir_add_origins(dc->m, value->def, match->ops[i]->origins, match->ops[i]->n_origins);
}

// --- Rows ----------------------------------------------------------------------------------------

static const struct {
    const char *pattern, *func;
    double p0, p1;
} rows[] = {
#define RULE(pattern_, func_, p0_, p1_) {.pattern = pattern_, .func = func_, .p0 = p0_, .p1 = p1_},
#include "passes/decompose_rules.def"
};

bool dc_apply_rows(decompose_t *dc, ir_op_t *op) {
    match_t match;
    if ((op->code != IR_unary && op->code != IR_binary) || !dc_is_float(ir_result(op)))
        return false;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!dc_match(rows[i].pattern, ir_result(op), &match))
            continue;
        ir_value_t *x = match.values['x' - 'a'];
        if (!graph_same_type(x->type, ir_result(op)->type))
            continue;
        ir_value_t *y = ir_build1(&dc->b, IR_unary, 1, &x, x->type);
        ir_set_string(dc->m, y->def, "func", rows[i].func);
        if (rows[i].p0 != 0)
            ir_set_float(dc->m, y->def, "p0", rows[i].p0);
        if (rows[i].p1 != 0)
            ir_set_float(dc->m, y->def, "p1", rows[i].p1);
        dc_add_match_origins(dc, y, &match);
        return dc_replace(dc, op, y);
    }
    return false;
}
