// SPDX-License-Identifier: Apache-2.0
// Expressions: simplification on chosen cases; evaluation, bounds and substitution of random ones
// against a direct computation that knows no simplification.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ir/ir.h"

typedef const ir_expr_t *expr;

typedef struct fixture {
    ir_module_t *m;
    expr n, i, j, k, w; // n in [1, 512], i in [0, 63], j in [0, 7], k in [-5, 20], w unbounded
} fixture_t;

static int setup(void **state) {
    static fixture_t f; // one test at a time
    ir_module_t *m = ir_module_create("expr");
    f = (fixture_t){.m = m};
    f.n = ir_sym(m, ir_symbol_new(m, "n", IR_SYMBOL_DIM, 1, 512));
    f.i = ir_sym(m, ir_symbol_new(m, "i", IR_SYMBOL_LOOP, 0, 63));
    f.j = ir_sym(m, ir_symbol_new(m, "j", IR_SYMBOL_LOOP, 0, 7));
    f.k = ir_sym(m, ir_symbol_new(m, "k", IR_SYMBOL_DATA, -5, 20));
    f.w = ir_sym(m, ir_symbol_new(m, "w", IR_SYMBOL_DIM, 1, INT64_MAX));
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    ir_module_destroy(((fixture_t *)*state)->m);
    return 0;
}

static void check_text(ir_module_t *m, expr e, const char *text) {
    assert_string_equal(ir_expr_to_text(&m->arena, e), text);
}

static void test_sums(void **state) {
    fixture_t *f = *state;
    ir_module_t *m = f->m;
    assert_ptr_equal(ir_add(m, f->n, f->i), ir_add(m, f->i, f->n));
    assert_true(ir_expr_equals(ir_sub(m, f->n, f->n), 0));
    expr a = ir_mulc(m, ir_add(m, f->i, ir_mulc(m, f->j, 8)), 3);
    expr b = ir_add(m, ir_mulc(m, f->j, 24), ir_mulc(m, f->i, 3));
    assert_ptr_equal(a, b);
    assert_ptr_equal(ir_mul(m, ir_addc(m, f->n, 1), ir_addc(m, f->n, -1)),
                     ir_addc(m, ir_mul(m, f->n, f->n), -1));
    assert_ptr_equal(ir_addc(m, ir_addc(m, f->n, 5), -5), f->n);
    assert_ptr_equal(ir_mul(m, ir_mul(m, f->n, f->i), f->j),
                     ir_mul(m, f->j, ir_mul(m, f->i, f->n)));
    check_text(m, ir_addc(m, ir_mulc(m, f->i, 4), -1), "i * 4 - 1");
    assert_int_equal(a->min, 0);
    assert_int_equal(a->max, 3 * (63 + 8 * 7));
}

static void test_divisions(void **state) {
    fixture_t *f = *state;
    ir_module_t *m = f->m;
    expr c8 = ir_const(m, 8), c64 = ir_const(m, 64);
    assert_ptr_equal(ir_floordiv(m, f->n, ir_const(m, 1)), f->n);
    assert_ptr_equal(ir_floordiv(m, ir_mulc(m, f->n, 8), c8), f->n);
    assert_ptr_equal(ir_floordiv(m, ir_add(m, ir_mulc(m, f->n, 64), f->i), c64), f->n);
    assert_ptr_equal(ir_mod(m, ir_add(m, ir_mulc(m, f->n, 64), f->i), c64), f->i);
    assert_ptr_equal(ir_mod(m, f->j, c8), f->j);
    assert_true(ir_expr_equals(ir_mod(m, ir_mulc(m, f->n, 16), c8), 0));
    assert_ptr_equal(ir_ceildiv(m, ir_mulc(m, f->n, 8), c8), f->n);
    assert_ptr_equal(ir_floordiv(m, ir_floordiv(m, f->n, c8), c8), ir_floordiv(m, f->n, c64));
    assert_ptr_equal(ir_floordiv(m, ir_mul(m, f->n, f->w), f->w), f->n);
    assert_ptr_equal(ir_floordiv(m, ir_mul(m, f->n, ir_addc(m, f->w, 1)), ir_addc(m, f->w, 1)),
                     f->n);
    assert_true(ir_expr_equals(ir_mod(m, ir_mul(m, f->n, f->w), f->n), 0));
    assert_int_equal(ir_floordiv(m, f->n, c64)->max, 8);
    check_text(m, ir_ceildiv(m, f->n, c64), "floordiv(n + 63, 64)");
}

static void test_extremes(void **state) {
    fixture_t *f = *state;
    ir_module_t *m = f->m;
    expr tail = ir_sub(m, ir_const(m, 128), f->i); // 65 .. 128
    assert_true(ir_expr_equals(ir_min(m, ir_const(m, 64), tail), 64));
    assert_ptr_equal(ir_max(m, f->n, ir_const(m, 1)), f->n);
    assert_ptr_equal(ir_min(m, ir_min(m, f->n, ir_const(m, 9)), ir_const(m, 5)),
                     ir_min(m, ir_const(m, 5), f->n));
    assert_ptr_equal(ir_min(m, f->n, ir_addc(m, f->n, 1)), f->n);
    assert_ptr_equal(ir_min(m, f->n, f->i), ir_min(m, f->i, f->n));
    assert_true(ir_expr_equals(ir_ne(m, f->n, ir_const(m, 0)), 1));
    assert_true(ir_expr_equals(ir_ne(m, f->n, f->n), 0));
    expr flag = ir_ne(m, f->i, ir_const(m, 0));
    assert_ptr_equal(ir_ne(m, flag, ir_const(m, 0)), flag);
}

static void test_bounds_saturate(void **state) {
    fixture_t *f = *state;
    ir_module_t *m = f->m;
    expr square = ir_mul(m, f->w, f->w);
    assert_true(square->max == INT64_MAX);
    assert_int_equal(square->min, 1);
    assert_true(ir_addc(m, f->w, -3)->max == INT64_MAX);
    assert_int_equal(ir_addc(m, f->w, -3)->min, -2);
    expr big = ir_const(m, INT64_MAX);
    expr sum = ir_add(m, big, big); // stays as it is: no constant holds it
    int64_t value, none[8] = {0};
    assert_true(sum->max == INT64_MAX);
    assert_false(ir_expr_eval(sum, none, &value));
    assert_false(ir_expr_eval(ir_floordiv(m, f->n, f->k), none, &value));
}

// --- Random expressions --------------------------------------------------------------------------

typedef struct tree {
    int kind; // ir_expr_kind_t
    int64_t value;
    int symbol;
    struct tree *a, *b;
} tree_t;

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static tree_t *random_tree(arena_t *arena, uint64_t *seed, int depth) {
    tree_t *t = ARENA_NEW(arena, tree_t);
    uint64_t pick = next_random(seed) % 10;
    if (depth == 0 || pick == 0) {
        t->kind = next_random(seed) % 3 == 0 ? IR_EXPR_CONST : IR_EXPR_SYMBOL;
        t->value = (int64_t)(next_random(seed) % 20) - 6;
        t->symbol = (int)(next_random(seed) % 4);
        return t;
    }
    static const int kinds[] = {IR_EXPR_ADD,     IR_EXPR_ADD, IR_EXPR_MUL, IR_EXPR_FLOORDIV,
                                IR_EXPR_CEILDIV, IR_EXPR_MOD, IR_EXPR_MIN, IR_EXPR_MAX,
                                IR_EXPR_NE,      IR_EXPR_ADD};
    t->kind = kinds[next_random(seed) % 10];
    t->a = random_tree(arena, seed, depth - 1);
    t->b = random_tree(arena, seed, depth - 1);
    return t;
}

static int64_t floor_of(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static bool eval_tree(const tree_t *t, const int64_t *v, int64_t *out) {
    int64_t a = 0, b = 0;
    if (t->kind == IR_EXPR_CONST || t->kind == IR_EXPR_SYMBOL) {
        *out = t->kind == IR_EXPR_CONST ? t->value : v[t->symbol];
        return true;
    }
    if (!eval_tree(t->a, v, &a) || !eval_tree(t->b, v, &b))
        return false;
    bool divides =
        t->kind == IR_EXPR_FLOORDIV || t->kind == IR_EXPR_CEILDIV || t->kind == IR_EXPR_MOD;
    if (divides && b <= 0)
        return false;
    switch (t->kind) {
    case IR_EXPR_ADD:
        *out = a + b;
        break;
    case IR_EXPR_MUL:
        *out = a * b;
        break;
    case IR_EXPR_FLOORDIV:
        *out = floor_of(a, b);
        break;
    case IR_EXPR_CEILDIV:
        *out = -floor_of(-a, b);
        break;
    case IR_EXPR_MOD:
        *out = a - b * floor_of(a, b);
        break;
    case IR_EXPR_MIN:
        *out = a < b ? a : b;
        break;
    case IR_EXPR_MAX:
        *out = a > b ? a : b;
        break;
    default:
        *out = a != b;
        break;
    }
    return true;
}

static expr build_tree(ir_module_t *m, const tree_t *t) {
    if (t->kind == IR_EXPR_CONST)
        return ir_const(m, t->value);
    if (t->kind == IR_EXPR_SYMBOL)
        return ir_sym(m, m->symbols[t->symbol]);
    expr a = build_tree(m, t->a), b = build_tree(m, t->b);
    switch (t->kind) {
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
    default:
        return ir_ne(m, a, b);
    }
}

typedef struct shift {
    ir_module_t *m;
    int64_t by;
} shift_t;

// Every symbol becomes symbol 3 + by, but symbol 3, which stays.
static expr shift_symbol(void *ctx, const ir_symbol_t *symbol) {
    shift_t *s = ctx;
    return symbol->id == 3 ? NULL : ir_addc(s->m, ir_sym(s->m, s->m->symbols[3]), s->by);
}

static void pick_values(ir_module_t *m, uint64_t *seed, int64_t *values) {
    for (int s = 0; s < 4; s++) {
        int64_t span = m->symbols[s]->max - m->symbols[s]->min + 1;
        values[s] = m->symbols[s]->min + (int64_t)(next_random(seed) % (uint64_t)span);
    }
}

// An expression may have a value where the tree has none (x mod x = 0), never another value.
static void check_tree(ir_module_t *m, const tree_t *t, expr e, uint64_t *seed) {
    for (int round = 0; round < 12; round++) {
        int64_t values[8] = {0}, want, got;
        pick_values(m, seed, values);
        if (!eval_tree(t, values, &want))
            continue;
        assert_true(ir_expr_eval(e, values, &got));
        assert_int_equal(got, want);
        assert_true(got >= e->min && got <= e->max);
    }
    shift_t shift = {m, 2};
    expr moved = ir_expr_substitute(m, e, shift_symbol, &shift);
    int64_t values[8] = {0}, want, got;
    values[3] = m->symbols[3]->min + 4;
    int64_t same[8] = {values[3] + 2, values[3] + 2, values[3] + 2, values[3]};
    // The bounds of the symbols went into e: only values inside them may be compared.
    for (int s = 0; s < 3; s++)
        if (same[s] < m->symbols[s]->min || same[s] > m->symbols[s]->max)
            return;
    if (eval_tree(t, same, &want) && ir_expr_eval(moved, values, &got))
        assert_int_equal(got, want);
}

static void test_random(void **state) {
    fixture_t *f = *state;
    uint64_t seed = 20;
    for (int round = 0; round < 4000; round++) {
        arena_t arena;
        arena_init(&arena);
        tree_t *t = random_tree(&arena, &seed, 1 + round % 4);
        expr e = build_tree(f->m, t);
        assert_ptr_equal(e, build_tree(f->m, t));
        check_tree(f->m, t, e, &seed);
        arena_deinit(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_divisions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extremes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds_saturate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
