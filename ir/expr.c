// SPDX-License-Identifier: Apache-2.0
// Expressions: hash-consed nodes, their bounds, and the simplifying constructors but for division
// (expr_divide.c). Sums and products are kept as polynomials (expr_poly.c).
#include <string.h>

#include "ir/ir_internal.h"
#include "support/checked.h"

int64_t ir_sat_add(int64_t a, int64_t b) {
    if (a == INT64_MIN || a == INT64_MAX)
        return a;
    if (b == INT64_MIN || b == INT64_MAX)
        return b;
    int64_t sum;
    if (checked_add_i64(a, b, &sum))
        return sum;
    return a < 0 ? INT64_MIN : INT64_MAX;
}

int64_t ir_sat_mul(int64_t a, int64_t b) {
    if (a == 0 || b == 0)
        return 0;
    int64_t product;
    bool unbounded = a == INT64_MIN || a == INT64_MAX || b == INT64_MIN || b == INT64_MAX;
    if (!unbounded && checked_mul_i64(a, b, &product))
        return product;
    return (a < 0) != (b < 0) ? INT64_MIN : INT64_MAX;
}

int64_t ir_floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

int64_t ir_floor_mod(int64_t a, int64_t b) {
    int64_t r = a % b;
    return r < 0 ? r + b : r;
}

// --- Bounds --------------------------------------------------------------------------------------

static int64_t min2(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max2(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t sat_div(int64_t a, int64_t b) {
    if (a == INT64_MIN || a == INT64_MAX)
        return a;
    return b == INT64_MAX ? (a < 0 ? -1 : 0) : ir_floor_div(a, b);
}

static void bound_mul(ir_expr_t *e, const ir_expr_t *a, const ir_expr_t *b) {
    int64_t p[4] = {ir_sat_mul(a->min, b->min), ir_sat_mul(a->min, b->max),
                    ir_sat_mul(a->max, b->min), ir_sat_mul(a->max, b->max)};
    e->min = min2(min2(p[0], p[1]), min2(p[2], p[3]));
    e->max = max2(max2(p[0], p[1]), max2(p[2], p[3]));
    if (a == b)
        e->min = max2(e->min, 0);
}

static void bound_div(ir_expr_t *e, const ir_expr_t *a, const ir_expr_t *b, bool ceil) {
    int64_t lo = max2(b->min, 1), hi = max2(b->max, 1);
    e->min = min2(sat_div(a->min, lo), sat_div(a->min, hi));
    e->max = max2(sat_div(a->max, lo), sat_div(a->max, hi));
    if (ceil)
        e->max = ir_sat_add(e->max, 1);
}

static void bound_mod(ir_expr_t *e, const ir_expr_t *a, const ir_expr_t *b) {
    e->min = 0;
    e->max = ir_sat_add(max2(b->max, 1), -1);
    if (a->min >= 0)
        e->max = min2(e->max, a->max);
}

static void set_bounds(ir_expr_t *e) {
    const ir_expr_t *a = e->a, *b = e->b;
    switch (e->kind) {
    case IR_EXPR_CONST:
        e->min = e->max = e->value;
        break;
    case IR_EXPR_SYMBOL:
        e->min = e->symbol->min;
        e->max = e->symbol->max;
        break;
    case IR_EXPR_ADD:
        e->min = ir_sat_add(a->min, b->min);
        e->max = ir_sat_add(a->max, b->max);
        // An unbounded side wins over the other one's opposite infinity.
        if (b->min == INT64_MIN)
            e->min = INT64_MIN;
        if (b->max == INT64_MAX)
            e->max = INT64_MAX;
        break;
    case IR_EXPR_MUL:
        bound_mul(e, a, b);
        break;
    case IR_EXPR_FLOORDIV:
    case IR_EXPR_CEILDIV:
        bound_div(e, a, b, e->kind == IR_EXPR_CEILDIV);
        break;
    case IR_EXPR_MOD:
        bound_mod(e, a, b);
        break;
    case IR_EXPR_MIN:
        e->min = min2(a->min, b->min);
        e->max = min2(a->max, b->max);
        break;
    case IR_EXPR_MAX:
        e->min = max2(a->min, b->min);
        e->max = max2(a->max, b->max);
        break;
    case IR_EXPR_NE:
        e->min = 0;
        e->max = 1;
        break;
    }
}

// --- Nodes ---------------------------------------------------------------------------------------

static const ir_expr_t *make(ir_module_t *m, const ir_expr_t *proto) {
    uintptr_t key[4] = {(uintptr_t)proto->kind, (uintptr_t)proto->a, (uintptr_t)proto->b,
                        (uintptr_t)proto->symbol};
    if (proto->kind == IR_EXPR_CONST)
        memcpy(&key[1], &proto->value, sizeof proto->value);
    uintptr_t found;
    if (map_get(&m->exprs, key, sizeof key, &found))
        return (const ir_expr_t *)found;
    ir_expr_t *e = ARENA_NEW(&m->arena, ir_expr_t);
    *e = *proto;
    e->id = m->next_expr++;
    set_bounds(e);
    map_put(&m->exprs, key, sizeof key, (uintptr_t)e);
    return e;
}

const ir_expr_t *ir_expr_node(ir_module_t *m, ir_expr_kind_t kind, const ir_expr_t *a,
                              const ir_expr_t *b) {
    return make(m, &(ir_expr_t){.kind = kind, .a = a, .b = b});
}

const ir_expr_t *ir_const(ir_module_t *m, int64_t value) {
    return make(m, &(ir_expr_t){.kind = IR_EXPR_CONST, .value = value});
}

const ir_expr_t *ir_sym(ir_module_t *m, const ir_symbol_t *symbol) {
    if (symbol->min == symbol->max)
        return ir_const(m, symbol->min);
    return make(m, &(ir_expr_t){.kind = IR_EXPR_SYMBOL, .symbol = symbol});
}

int ir_expr_compare(const ir_expr_t *a, const ir_expr_t *b) {
    if (a == b)
        return 0;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == IR_EXPR_CONST)
        return a->value < b->value ? -1 : 1;
    if (a->kind == IR_EXPR_SYMBOL)
        return a->symbol->id < b->symbol->id ? -1 : 1;
    int order = ir_expr_compare(a->a, b->a);
    return order != 0 ? order : ir_expr_compare(a->b, b->b);
}

bool ir_expr_same(const ir_expr_t *a, const ir_expr_t *b) { return a == b; }

// --- Constructors --------------------------------------------------------------------------------

static const ir_expr_t *add_scaled(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b,
                                   int64_t scale) {
    poly_t p = {.n = 0};
    if (ir_poly_add(&p, a, 1) && ir_poly_add(&p, b, scale))
        return ir_poly_expr(m, &p);
    if (scale != 1)
        b = ir_expr_node(m, IR_EXPR_MUL, b, ir_const(m, scale));
    return ir_expr_node(m, IR_EXPR_ADD, a, b);
}

const ir_expr_t *ir_add(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    return add_scaled(m, a, b, 1);
}

const ir_expr_t *ir_sub(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    if (a == b)
        return ir_const(m, 0);
    return add_scaled(m, a, b, -1);
}

const ir_expr_t *ir_addc(ir_module_t *m, const ir_expr_t *a, int64_t b) {
    return b == 0 ? a : ir_add(m, a, ir_const(m, b));
}

const ir_expr_t *ir_mulc(ir_module_t *m, const ir_expr_t *a, int64_t b) {
    if (b == 0)
        return ir_const(m, 0);
    if (b == 1)
        return a;
    poly_t p = {.n = 0};
    if (ir_poly_add(&p, a, b))
        return ir_poly_expr(m, &p);
    return ir_expr_node(m, IR_EXPR_MUL, a, ir_const(m, b));
}

const ir_expr_t *ir_mul(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    if (b->kind == IR_EXPR_CONST)
        return ir_mulc(m, a, b->value);
    if (a->kind == IR_EXPR_CONST)
        return ir_mulc(m, b, a->value);
    poly_t pa = {.n = 0}, pb = {.n = 0}, p;
    if (ir_poly_add(&pa, a, 1) && ir_poly_add(&pb, b, 1) && ir_poly_mul(m, &pa, &pb, &p))
        return ir_poly_expr(m, &p);
    return ir_expr_compare(a, b) <= 0 ? ir_expr_node(m, IR_EXPR_MUL, a, b)
                                      : ir_expr_node(m, IR_EXPR_MUL, b, a);
}

// Nested chains keep their leaves ordered, constants last, each once.
static const ir_expr_t *ordered(ir_module_t *m, ir_expr_kind_t kind, const ir_expr_t *a,
                                const ir_expr_t *b) {
    bool swap = ir_expr_compare(a, b) > 0;
    if (a->kind == IR_EXPR_CONST || b->kind == IR_EXPR_CONST)
        swap = a->kind == IR_EXPR_CONST;
    return swap ? ir_expr_node(m, kind, b, a) : ir_expr_node(m, kind, a, b);
}

// min (sign 1) or max (sign -1).
static const ir_expr_t *extreme(ir_module_t *m, ir_expr_kind_t kind, const ir_expr_t *a,
                                const ir_expr_t *b) {
    const ir_expr_t *difference = ir_sub(m, a, b);
    if (difference->max <= 0)
        return kind == IR_EXPR_MIN ? a : b;
    if (difference->min >= 0)
        return kind == IR_EXPR_MIN ? b : a;
    if (a->kind == IR_EXPR_CONST && b->kind == kind && b->b->kind == IR_EXPR_CONST)
        return extreme(m, kind, b->a, extreme(m, kind, a, b->b));
    if (b->kind == IR_EXPR_CONST && a->kind == kind && a->b->kind == IR_EXPR_CONST)
        return extreme(m, kind, a->a, extreme(m, kind, b, a->b));
    if (a->kind == kind && (a->a == b || a->b == b))
        return a;
    if (b->kind == kind && (b->a == a || b->b == a))
        return b;
    return ordered(m, kind, a, b);
}

const ir_expr_t *ir_min(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    return a == b ? a : extreme(m, IR_EXPR_MIN, a, b);
}

const ir_expr_t *ir_max(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    return a == b ? a : extreme(m, IR_EXPR_MAX, a, b);
}

const ir_expr_t *ir_ne(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    const ir_expr_t *difference = ir_sub(m, a, b);
    if (ir_expr_equals(difference, 0))
        return difference;
    if (difference->min > 0 || difference->max < 0)
        return ir_const(m, 1);
    if (ir_expr_equals(b, 0) && a->min >= 0 && a->max <= 1)
        return a;
    return ordered(m, IR_EXPR_NE, a, b);
}

// --- Questions and rewriting ---------------------------------------------------------------------

static const ir_expr_t *rebuild(ir_module_t *m, ir_expr_kind_t kind, const ir_expr_t *a,
                                const ir_expr_t *b) {
    switch (kind) {
    case IR_EXPR_ADD:
        return ir_add(m, a, b);
    case IR_EXPR_MUL:
        return ir_mul(m, a, b);
    case IR_EXPR_FLOORDIV:
        return ir_floordiv(m, a, b);
    case IR_EXPR_CEILDIV:
        return ir_ceildiv(m, a, b);
    case IR_EXPR_MOD:
        return ir_mod(m, a, b);
    case IR_EXPR_MIN:
        return ir_min(m, a, b);
    case IR_EXPR_MAX:
        return ir_max(m, a, b);
    case IR_EXPR_NE:
        return ir_ne(m, a, b);
    case IR_EXPR_CONST:
    case IR_EXPR_SYMBOL:
        break;
    }
    ir_die("expression of kind %d has no operands", (int)kind);
}

const ir_expr_t *ir_expr_substitute(ir_module_t *m, const ir_expr_t *e,
                                    const ir_expr_t *(*map)(void *ctx, const ir_symbol_t *symbol),
                                    void *ctx) {
    if (e->kind == IR_EXPR_CONST)
        return ir_const(m, e->value); // e may belong to another module
    if (e->kind == IR_EXPR_SYMBOL) {
        const ir_expr_t *to = map(ctx, e->symbol);
        return to != NULL ? to : e;
    }
    const ir_expr_t *a = ir_expr_substitute(m, e->a, map, ctx);
    const ir_expr_t *b = ir_expr_substitute(m, e->b, map, ctx);
    return a == e->a && b == e->b ? e : rebuild(m, e->kind, a, b);
}

static bool eval_binary(ir_expr_kind_t kind, int64_t a, int64_t b, int64_t *out) {
    switch (kind) {
    case IR_EXPR_ADD:
        return checked_add_i64(a, b, out);
    case IR_EXPR_MUL:
        return checked_mul_i64(a, b, out);
    case IR_EXPR_FLOORDIV:
    case IR_EXPR_CEILDIV:
    case IR_EXPR_MOD:
        if (b <= 0)
            return false;
        *out = kind == IR_EXPR_MOD ? ir_floor_mod(a, b) : ir_floor_div(a, b);
        if (kind == IR_EXPR_CEILDIV && ir_floor_mod(a, b) != 0)
            ++*out;
        return true;
    case IR_EXPR_MIN:
        *out = min2(a, b);
        return true;
    case IR_EXPR_MAX:
        *out = max2(a, b);
        return true;
    case IR_EXPR_NE:
        *out = a != b;
        return true;
    case IR_EXPR_CONST:
    case IR_EXPR_SYMBOL:
        break;
    }
    return false;
}

bool ir_expr_eval(const ir_expr_t *e, const int64_t *values, int64_t *out_value) {
    if (e->kind == IR_EXPR_CONST) {
        *out_value = e->value;
        return true;
    }
    if (e->kind == IR_EXPR_SYMBOL) {
        *out_value = values[e->symbol->id];
        return true;
    }
    int64_t a, b;
    return ir_expr_eval(e->a, values, &a) && ir_expr_eval(e->b, values, &b) &&
           eval_binary(e->kind, a, b, out_value);
}

// --- Symbols -------------------------------------------------------------------------------------

const ir_symbol_t *ir_symbol_new(ir_module_t *m, const char *name, ir_symbol_kind_t kind,
                                 int64_t min, int64_t max) {
    ir_symbol_t *symbol = ARENA_NEW(&m->arena, ir_symbol_t);
    const char *unique = name;
    for (uint32_t i = 1; map_get_str(&m->symbol_names, unique) != NULL; i++)
        unique = arena_printf(&m->arena, "%s_%u", name, i);
    *symbol = (ir_symbol_t){.name = ir_intern(m, unique),
                            .kind = kind,
                            .min = min,
                            .max = max,
                            .id = (uint32_t)m->n_symbols};
    ARENA_GROW(&m->arena, m->symbols, m->cap_symbols, m->n_symbols + 1);
    m->symbols[m->n_symbols++] = symbol;
    map_put_str(&m->symbol_names, symbol->name, symbol);
    return symbol;
}

const ir_symbol_t *ir_symbol_find(const ir_module_t *m, const char *name) {
    return map_get_str(&m->symbol_names, name);
}
