// SPDX-License-Identifier: Apache-2.0
// The search of the loop nest and movement templates against exhaustive enumeration, in modelled
// cycles: most within 1.15, none beyond 2. It only looks at a ladder of sizes. Looking at more of
// them brings all nests below 1.15 here, but no model nearer to its end: in the event simulator the
// trained models then took from 0.6% fewer to 2% more cycles.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "passes/tile_nest_cost.h"

enum { SHAPES = 100, TRIALS_A_DIM = 256, LOOP_VIEWS_BYTES = 24, COPY_MOST = 1 << 17 };

typedef struct bench {
    ir_module_t *m;
    tile_t t;
    nest_t n;
    nest_work_t work;
    int64_t most; // elements of a tile
    uint64_t random;
} bench_t;

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int64_t between(uint64_t *state, int64_t lo, int64_t hi) {
    return lo + (int64_t)(next_random(state) % (uint64_t)(hi - lo + 1));
}

// --- Random nests --------------------------------------------------------------------------------

// A few thousand to a few million elements.
static void random_dims(bench_t *b, uint32_t rank) {
    static const int64_t most[5] = {0, 1 << 21, 2048, 200, 56};
    b->n = (nest_t){.t = &b->t, .rank = rank, .row = rank};
    for (uint32_t d = 0; d < rank; d++)
        b->n.dims[d] = ir_const(b->m, between(&b->random, 1, most[rank]));
}

// Strides of a tensor whose dims lie in memory in the order of `order`, the last one innermost.
static void add_view(bench_t *b, dtype_t elem, const uint32_t *order, uint32_t broadcast,
                     bool reduced) {
    tv_t v = {.elem = elem, .rank = b->n.rank, .offset = ir_const(b->m, 0)};
    int64_t step = 1;
    for (uint32_t i = b->n.rank; i-- > 0;) {
        uint32_t d = order[i];
        bool one = (reduced && d >= b->n.row) || (broadcast >> d & 1) != 0;
        v.dims[d] = reduced && d >= b->n.row ? ir_const(b->m, 1) : b->n.dims[d];
        v.strides[d] = ir_const(b->m, one ? 0 : step);
        step *= one ? 1 : b->n.dims[d]->value;
    }
    (void)nest_add(&b->n, v, reduced);
}

static dtype_t random_elem(bench_t *b) {
    return next_random(&b->random) % 3 ? DTYPE_F32 : DTYPE_F16;
}

// Elementwise with a broadcast operand, a reduction of rows, or something like a softmax.
static void random_loops(bench_t *b) {
    static const uint32_t order[4] = {0, 1, 2, 3};
    uint32_t rank = (uint32_t)between(&b->random, 1, 4), kind = next_random(&b->random) % 3;
    dtype_t elem = random_elem(b);
    rank = rank == 1 && kind != 0 ? 2 : rank;
    random_dims(b, rank);
    b->n.row = kind == 0 ? rank : rank - 1;
    b->n.whole_rows = kind == 2;
    b->work = (nest_work_t){.is_output = {true}};
    add_view(b, elem, order, 0, kind == 1);
    add_view(b, elem, order, 0, false);
    add_view(b, elem, order, (uint32_t)(next_random(&b->random) % (1u << rank)), false);
    if (kind != 1)
        nest_work_add(&b->work, XA_I_V_BINARY, "add");
    if (kind != 0)
        nest_work_add(&b->work, XA_I_V_REDUCE, "sum");
    if (kind != 1)
        nest_work_add(&b->work, XA_I_V_UNARY, "exp");
    nest_simplify(&b->n, 0);
    b->most = b->t.profile->lm_bytes / LOOP_VIEWS_BYTES / 2;
}

// A copy from DRAM to DRAM, the source's dims in any order (a transposition) or repeated.
static void random_copy(bench_t *b) {
    uint32_t rank = (uint32_t)between(&b->random, 1, 4), order[4] = {0, 1, 2, 3}, given[4];
    dtype_t elem = random_elem(b);
    random_dims(b, rank);
    for (uint32_t i = 0; i < 4; i++)
        given[i] = i;
    for (uint32_t i = rank; i > 1; i--) {
        uint32_t j = (uint32_t)(next_random(&b->random) % i), other = given[j];
        given[j] = given[i - 1];
        given[i - 1] = other;
    }
    b->work = (nest_work_t){.is_output = {true}, .direct = true};
    add_view(b, elem, order, 0, false);
    add_view(b, elem, given, next_random(&b->random) % 4 ? 0 : 1, false);
    nest_simplify(&b->n, 0);
    b->most = COPY_MOST;
}

// --- All choices ---------------------------------------------------------------------------------

static void try_tiles(const bench_t *b, nest_t trial, uint64_t *best) {
    int64_t whole = 1, size = trial.dims[trial.p]->value;
    for (uint32_t d = trial.p + 1; d < trial.rank; d++)
        whole *= trial.chunk != 0 && d + 1 == trial.rank ? trial.chunk : trial.dims[d]->value;
    int64_t step = size / TRIALS_A_DIM + 1;
    for (int64_t tile = 1; tile < size + step; tile += tile == 1 && step > 1 ? step - 1 : step) {
        trial.tile = tile < size ? tile : size;
        if (trial.tile * whole > b->most)
            break;
        uint64_t cycles = nest_cost(&trial, &b->work);
        *best = cycles < *best ? cycles : *best;
    }
}

static uint64_t best_choice(const bench_t *b) {
    uint64_t best = UINT64_MAX;
    nest_t trial = b->n;
    uint32_t end = trial.row < trial.rank ? trial.row : trial.rank;
    for (trial.p = 0; trial.p < end; trial.p++) {
        trial.chunk = 0;
        try_tiles(b, trial, &best);
    }
    if (trial.row == trial.rank || trial.whole_rows)
        return best;
    trial.p = trial.row - 1;
    for (trial.chunk = 64; trial.chunk < trial.dims[trial.rank - 1]->value; trial.chunk += 64)
        try_tiles(b, trial, &best);
    return best;
}

// Of SHAPES nests at most `most_beyond` are beyond 1.15, and none beyond 2.
static void compare(void (*make)(bench_t *b), int most_beyond) {
    for (size_t i = 0; i < isa_n_profiles; i++) {
        bench_t b = {.m = ir_module_create("nests"), .random = 0x94d049bb133111ebu};
        b.t = (tile_t){.m = b.m, .profile = &isa_profiles[i]};
        int n_beyond = 0;
        for (int k = 0; k < SHAPES; k++) {
            make(&b);
            nest_t chosen = b.n;
            uint64_t best = best_choice(&b), cycles = nest_search(&chosen, &b.work, b.most);
            n_beyond += cycles * 100 > best * 115;
            if (best == UINT64_MAX || cycles > 2 * best)
                fail_msg("%s, nest %d: tile %" PRId64 " of dim %u of %u: chosen %" PRIu64
                         ", best %" PRIu64,
                         isa_profiles[i].name, k, chosen.tile, chosen.p, chosen.rank, cycles, best);
        }
        printf("%s: %d of %d beyond 1.15\n", isa_profiles[i].name, n_beyond, SHAPES);
        assert_true(n_beyond <= most_beyond);
        ir_module_destroy(b.m);
    }
}

static void loop_nests_are_near_the_best(void **state) {
    (void)state;
    compare(random_loops, SHAPES / 4);
}

static void copies_are_near_the_best(void **state) {
    (void)state;
    compare(random_copy, SHAPES / 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loop_nests_are_near_the_best),
        cmocka_unit_test(copies_are_near_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
