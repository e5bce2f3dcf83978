// SPDX-License-Identifier: Apache-2.0
#include "passes/tile_window_search.h"

#include <string.h>

enum {
    LM_RESERVE = 4096,
    HART_INSTRUCTIONS_A_TILE = 100,
    NEAR = 12, // a choice may take a 12th more cycles than the best
};

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static uint64_t vector_cycles(const window_shape_t *s, const window_tiling_t *t,
                              const isa_profile_t *p) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    int32_t size = (int32_t)dtype_bytes(s->x_type);
    d.vec.d_type = d.vec.a_type = d.vec.b_type = (uint8_t)s->x_type;
    const uint32_t count[4] = {1, (uint32_t)t->toh, (uint32_t)t->tow, (uint32_t)t->tc};
    memcpy(d.vec.count, count, sizeof count);
    d.vec.d_stride[3] = d.vec.a_stride[3] = d.vec.b_stride[3] = size;
    d.vec.k[0] = (uint32_t)s->kh;
    d.vec.k[1] = (uint32_t)s->kw;
    return isa_cost_issue(XA_I_V_WMAC, &d, ISA_SPACE_LM, ISA_SPACE_LM, p).cycles;
}

static uint64_t copy_cycles(const isa_profile_t *p, bool in, int64_t rows, int64_t elems,
                            dtype_t type) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    int64_t size = dtype_bytes(type);
    d.dma.src_type = d.dma.dst_type = (uint8_t)type;
    const uint32_t count[5] = {1, 1, 1, (uint32_t)rows, (uint32_t)elems};
    memcpy(d.dma.count, count, sizeof count);
    d.dma.src_stride[4] = d.dma.dst_stride[4] = size;
    // The DRAM side has gaps between the rows.
    d.dma.src_stride[3] = elems * size + (in ? 64 : 0);
    d.dma.dst_stride[3] = elems * size + (in ? 0 : 64);
    isa_cost_t c =
        isa_cost_issue(in ? XA_I_DMA_IN : XA_I_DMA_OUT, &d, in ? ISA_SPACE_DRAM : ISA_SPACE_LM,
                       in ? ISA_SPACE_LM : ISA_SPACE_DRAM, p);
    return c.cycles > p->dma_latency ? c.cycles - p->dma_latency : 1;
}

// A tile of an image: whole rows, pixels, or single elements are what lies together in DRAM.
static uint64_t side_cycles(const isa_profile_t *p, bool in, int64_t rows, int64_t cols,
                            int64_t channels, bool scattered, bool whole, dtype_t type) {
    if (scattered)
        return copy_cycles(p, in, rows * cols * channels, 1, type);
    return whole ? copy_cycles(p, in, rows, cols * channels, type)
                 : copy_cycles(p, in, rows * cols, channels, type);
}

uint64_t window_cost(const window_shape_t *s, window_tiling_t *t, const isa_profile_t *p) {
    t->cycles = UINT64_MAX;
    int64_t rows = tile_span(t->toh, s->sh, s->kh, s->dh);
    int64_t cols = tile_span(t->tow, s->sw, s->kw, s->dw), channels = t->tc + 2 * s->pad_c;
    int64_t size = dtype_bytes(s->x_type);
    int64_t out = t->toh * t->tow * t->tc * dtype_bytes(s->y_type) * (s->pad_c ? 2 : 1);
    int64_t constants = s->kh * s->kw * t->tc * size + t->tc * 4 + t->toh * t->tow * 4;
    int64_t slots = p->serial ? 1 : 2; // copies overlap with work where they can
    if (slots * (rows * cols * channels * size + out) + constants + LM_RESERVE > p->lm_bytes)
        return t->cycles;
    bool whole = t->tc == s->c && !s->pad_c;
    uint64_t work = vector_cycles(s, t, p);
    uint64_t in = side_cycles(p, true, rows, cols, t->tc, s->x_scattered, whole, s->x_type);
    uint64_t store = side_cycles(p, false, t->toh, t->tow, t->tc, s->y_scattered, whole, s->y_type);
    if (work > XA_ISSUE_MAX_CYCLES || in > XA_ISSUE_MAX_CYCLES || store > XA_ISSUE_MAX_CYCLES)
        return t->cycles;
    uint64_t one = work > in ? work : in;
    one = (one > store ? one : store) + p->issue_cycles;
    if (p->serial)
        one = work + in + store;
    int64_t tasks =
        s->n * ceil_div(s->oh, t->toh) * ceil_div(s->ow, t->tow) * ceil_div(s->c, t->tc);
    int64_t cores = p->cores ? p->cores : 2;
    t->cycles = one * (uint64_t)ceil_div(tasks, cores) + in + store + 2 * p->dma_latency;
    return t->cycles;
}

// The harts' cycles for the tiles' issues: hidden behind the engines on a card, but a simulated
// hart pays for them one by one, so they decide among near equals.
static uint64_t hart_cycles(const window_shape_t *s, const window_tiling_t *t,
                            const isa_profile_t *p) {
    int64_t tiles =
        s->n * ceil_div(s->oh, t->toh) * ceil_div(s->ow, t->tow) * ceil_div(s->c, t->tc);
    return isa_cost_hart((uint64_t)tiles * HART_INSTRUCTIONS_A_TILE, p);
}

// Sizes of an axis that leave 1, 2, 3, ... parts, without repeats; largest first.
static int64_t next_part(int64_t size, int64_t part) {
    int64_t parts = ceil_div(size, part) + 1;
    while (parts <= size && ceil_div(size, parts) == part)
        parts++;
    return parts > size ? 0 : ceil_div(size, parts);
}

// All channels, then every multiple of 16 below.
static int64_t next_channels(int64_t tc) { return tc > 16 ? (tc - 1) / 16 * 16 : 0; }

typedef struct best {
    uint64_t cycles, limit, worth;
    window_tiling_t tiling;
} best_t;

static void take(best_t *best, const window_shape_t *s, const window_tiling_t *t,
                 const isa_profile_t *p) {
    if (t->cycles < best->cycles)
        best->cycles = t->cycles;
    if (t->cycles > best->limit)
        return;
    uint64_t worth = t->cycles + hart_cycles(s, t, p);
    if (worth >= best->worth)
        return;
    best->worth = worth;
    best->tiling = *t;
}

static void walk_candidates(best_t *best, const window_shape_t *s, const isa_profile_t *p) {
    for (int64_t tc = s->c; tc > 0; tc = s->pad_c ? 0 : next_channels(tc))
        for (int64_t tow = s->ow; tow > 0; tow = next_part(s->ow, tow))
            for (int64_t toh = s->oh; toh > 0; toh = next_part(s->oh, toh)) {
                window_tiling_t t = {.toh = toh, .tow = tow, .tc = tc};
                if (window_cost(s, &t, p) != UINT64_MAX)
                    take(best, s, &t, p);
            }
}

bool window_search(const window_shape_t *s, const isa_profile_t *p, window_tiling_t *out) {
    best_t best = {.cycles = UINT64_MAX, .worth = UINT64_MAX};
    walk_candidates(&best, s, p);
    if (best.cycles == UINT64_MAX)
        return false;
    best.limit = best.cycles + best.cycles / NEAR;
    walk_candidates(&best, s, p);
    *out = best.tiling;
    return true;
}
