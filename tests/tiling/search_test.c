// SPDX-License-Identifier: Apache-2.0
// The tiling searches against exhaustive enumeration: within 1.15 in modelled cycles.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "passes/tile_chain.h"
#include "passes/tile_contraction.h"
#include "passes/tile_window_search.h"

enum { SHAPES = 100 };

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int64_t pick(uint64_t *state, size_t n, const int64_t *from) {
    return from[next_random(state) % n];
}

static int64_t between(uint64_t *state, int64_t lo, int64_t hi) {
    return lo + (int64_t)(next_random(state) % (uint64_t)(hi - lo + 1));
}

// --- Contractions
// -----------------------------------------------------------------------------------

static contraction_shape_t random_contraction(uint64_t *r) {
    static const int64_t images[] = {7, 8, 13, 14, 20, 28}, kernels[] = {1, 1, 3, 3, 5};
    static const int64_t channels[] = {16, 24, 32, 48, 64, 96, 128, 160, 256};
    static const dtype_t types[] = {DTYPE_F32, DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    contraction_shape_t s = {.batch = between(r, 1, 4), .dh = 1, .dw = 1, .sh = 1, .sw = 1};
    s.a_type = s.b_type = s.out_type = types[next_random(r) % 4];
    s.c_type = DTYPE_F32;
    s.b_static = next_random(r) % 4 != 0;
    s.residual = next_random(r) % 4 == 0;
    s.bias = next_random(r) % 2 == 0;
    s.n = next_random(r) % 3 ? pick(r, 9, channels) : between(r, 1, 300);
    s.k = next_random(r) % 3 ? pick(r, 9, channels) : between(r, 1, 300);
    s.kh = s.kw = 1;
    if (next_random(r) % 2) { // a product
        s.oh = s.ih = 1;
        s.ow = s.iw = between(r, 1, 200);
    } else {
        s.oh = pick(r, 6, images);
        s.ow = pick(r, 6, images);
        s.kh = s.kw = pick(r, 5, kernels);
        s.sh = s.sw = between(r, 1, 2);
        s.border = s.kh > 1;
        s.ih = s.oh * s.sh;
        s.iw = s.ow * s.sw;
    }
    s.pw = s.b_static ? contraction_panel(s.n) : 16;
    return s;
}

static void try_orders(const contraction_shape_t *s, const isa_profile_t *p, contraction_tiling_t t,
                       uint64_t *best) {
    for (int order = 0; order < 2; order++)
        for (t.groups = 1; t.groups <= 64; t.groups *= 2) {
            t.n_outer = order == 1;
            uint64_t cycles = contraction_cost(s, &t, p);
            if (cycles < *best)
                *best = cycles;
        }
}

// Every count of rows and of columns, every number of panels, depths in steps of 16 and the whole,
// shares by powers of two.
static uint64_t best_contraction(const contraction_shape_t *s, const isa_profile_t *p) {
    uint64_t best = UINT64_MAX;
    contraction_tiling_t t = {0};
    for (t.tn = s->pw; t.tn < s->n + s->pw; t.tn += s->pw)
        for (int64_t tk = 16; tk < s->k + 16; tk += 16)
            for (t.toh = 1; t.toh <= s->oh; t.toh++)
                for (t.tow = 1; t.tow <= s->ow; t.tow++) {
                    t.tk = tk > s->k ? s->k : tk;
                    try_orders(s, p, t, &best);
                }
    return best;
}

static void contractions_are_near_the_best(void **state) {
    (void)state;
    for (size_t i = 0; i < isa_n_profiles; i++) {
        uint64_t random = 0x9e3779b97f4a7c15u;
        for (int k = 0; k < SHAPES; k++) {
            contraction_shape_t s = random_contraction(&random);
            contraction_tiling_t t;
            assert_true(contraction_search(&s, &isa_profiles[i], &t));
            uint64_t best = best_contraction(&s, &isa_profiles[i]);
            if (t.cycles * 100 > best * 115)
                fail_msg("%s, shape %d: %" PRId64 "x%" PRId64 " n %" PRId64 " k %" PRId64
                         " kernel %" PRId64 ": chosen %" PRIu64 ", best %" PRIu64,
                         isa_profiles[i].name, k, s.oh, s.ow, s.n, s.k, s.kh, t.cycles, best);
        }
    }
}

// --- Windows
// ------------------------------------------------------------------------------------------

static window_shape_t random_window(uint64_t *r) {
    static const int64_t kernels[] = {2, 3, 3, 5, 7};
    window_shape_t s = {.n = between(r, 1, 2),
                        .oh = between(r, 1, 56),
                        .ow = between(r, 1, 56),
                        .c = between(r, 1, 20) * 16,
                        .sh = 1,
                        .sw = 1,
                        .dh = 1,
                        .dw = 1};
    s.kh = s.kw = pick(r, 5, kernels);
    s.sh = s.sw = between(r, 1, 2);
    s.x_type = s.y_type = next_random(r) % 3 ? DTYPE_F32 : DTYPE_F16;
    return s;
}

static uint64_t best_window(const window_shape_t *s, const isa_profile_t *p) {
    uint64_t best = UINT64_MAX;
    for (int64_t tc = 16; tc <= s->c; tc += 16)
        for (int64_t toh = 1; toh <= s->oh; toh++)
            for (int64_t tow = 1; tow <= s->ow; tow++) {
                window_tiling_t t = {.toh = toh, .tow = tow, .tc = tc};
                uint64_t cycles = window_cost(s, &t, p);
                best = cycles < best ? cycles : best;
            }
    return best;
}

static void windows_are_near_the_best(void **state) {
    (void)state;
    for (size_t i = 0; i < isa_n_profiles; i++) {
        uint64_t random = 0xbf58476d1ce4e5b9u;
        for (int k = 0; k < SHAPES; k++) {
            window_shape_t s = random_window(&random);
            window_tiling_t t;
            assert_true(window_search(&s, &isa_profiles[i], &t));
            uint64_t best = best_window(&s, &isa_profiles[i]);
            if (t.cycles * 100 > best * 115)
                fail_msg("%s, shape %d: %" PRId64 "x%" PRId64 " c %" PRId64 " kernel %" PRId64
                         ": chosen %" PRIu64 ", best %" PRIu64,
                         isa_profiles[i].name, k, s.oh, s.ow, s.c, s.kh, t.cycles, best);
        }
    }
}

// --- Chains
// -------------------------------------------------------------------------------------------

static chain_stage_t random_stage(uint64_t *r, bool depthwise, int64_t k, int64_t ih, int64_t iw) {
    static const int64_t channels[] = {16, 24, 32, 64, 96, 144, 192, 384};
    chain_stage_t c = {.act = "none", .depthwise = depthwise, .ih = ih, .iw = iw, .k = k};
    c.kh = c.kw = depthwise || next_random(r) % 4 == 0 ? 3 : 1;
    c.sh = c.sw = depthwise ? between(r, 1, 2) : 1;
    c.dh = c.dw = 1;
    c.pad_h = c.pad_w = c.kh / 2;
    c.border = c.kh > 1;
    c.n = depthwise ? k : pick(r, 8, channels);
    c.oh = (ih - 1) / c.sh + 1;
    c.ow = (iw - 1) / c.sw + 1;
    return c;
}

static chain_shape_t random_chain(uint64_t *r) {
    chain_shape_t s = {.images = between(r, 1, 2), .has_head = true, .has_tail = true};
    int64_t k = between(r, 1, 8) * 16, ih = between(r, 7, 40), iw = between(r, 7, 40);
    s.has_head = next_random(r) % 4 != 0;
    s.has_tail = !s.has_head || next_random(r) % 4 != 0;
    const bool depthwise[3] = {false, true, false}, has[3] = {s.has_head, true, s.has_tail};
    for (int i = 0; i < 3; i++) {
        if (!has[i])
            continue;
        chain_stage_t *c = &s.stage[s.n_stages++];
        *c = random_stage(r, depthwise[i], k, ih, iw);
        k = c->n;
        ih = c->oh;
        iw = c->ow;
    }
    s.inner = s.stage[0].n;
    if (!s.has_head)
        s.inner = s.stage[0].k;
    chain_set_columns(&s);
    return s;
}

static uint64_t best_chain(const chain_shape_t *s, const isa_profile_t *p) {
    uint64_t best = UINT64_MAX;
    int64_t granule = s->has_head ? contraction_panel(s->inner) : 16;
    for (int64_t te = granule; te < s->inner + granule; te += granule)
        for (int64_t toh = 1; toh <= chain_last(s)->oh; toh++)
            for (int resident = 0; resident < 2; resident++) {
                chain_tiling_t t = {.toh = toh, .te = te, .resident = resident};
                t.te = te > s->inner ? s->inner : te;
                uint64_t cycles = chain_cost(s, &t, p);
                best = cycles < best ? cycles : best;
            }
    return best;
}

static void chains_are_near_the_best(void **state) {
    (void)state;
    for (size_t i = 0; i < isa_n_profiles; i++) {
        uint64_t random = 0x94d049bb133111ebu;
        for (int k = 0; k < SHAPES; k++) {
            chain_shape_t s = random_chain(&random);
            chain_tiling_t t;
            uint64_t best = best_chain(&s, &isa_profiles[i]);
            bool found = chain_search(&s, &isa_profiles[i], &t);
            assert_int_equal(found, best != UINT64_MAX);
            if (found && t.cycles * 100 > best * 115)
                fail_msg("%s, shape %d: inner %" PRId64 ", %" PRId64 " rows: chosen %" PRIu64
                         ", best %" PRIu64,
                         isa_profiles[i].name, k, s.inner, chain_last(&s)->oh, t.cycles, best);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contractions_are_near_the_best),
        cmocka_unit_test(windows_are_near_the_best),
        cmocka_unit_test(chains_are_near_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
