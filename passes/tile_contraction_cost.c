// SPDX-License-Identifier: Apache-2.0
// The search for a contraction's tiling: every candidate is costed by isa_cost_issue, the function
// that the simulator's timing mode uses, on the engine ops that the template would issue.
#include <string.h>

#include "passes/tile_contraction.h"

enum {
    HART_INSTRUCTIONS_AN_OP = 16, // loads, address arithmetic, issue and tickets of one engine op
    LM_RESERVE = 4096,            // bias and rounding of slots
    NEAR = 16,                    // a choice may take a 16th more cycles than the best
};

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t contraction_panel(int64_t n) {
    static const int64_t widths[] = {64, 48, 32, 16};
    int64_t best = INT64_MAX;
    for (size_t i = 0; i < 4; i++)
        best = least(best, ceil_div(n, widths[i]) * widths[i]);
    for (size_t i = 0; i < 4; i++)
        if (ceil_div(n, widths[i]) * widths[i] * 25 <= best * 26)
            return widths[i];
    return 16;
}

typedef struct engines {
    uint64_t in, mat, out, ops; // busy cycles of one core's share, and its issues
    uint64_t dram;              // bytes
    uint64_t first, last;       // not overlapped: first loads, last store
} engines_t;

// One strided copy of `rows` runs of `run_bytes` between DRAM and LM.
static isa_cost_t dma_cost(const isa_profile_t *p, bool in, int64_t rows, int64_t elems,
                           dtype_t type) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    int64_t size = dtype_bytes(type);
    d.dma.src_type = d.dma.dst_type = (uint8_t)type;
    d.dma.count[0] = d.dma.count[1] = d.dma.count[2] = 1;
    d.dma.count[3] = (uint32_t)rows;
    d.dma.count[4] = (uint32_t)elems;
    d.dma.src_stride[4] = d.dma.dst_stride[4] = size;
    d.dma.src_stride[3] = in && rows > 1 ? elems * size + 64 : elems * size;
    d.dma.dst_stride[3] = !in && rows > 1 ? elems * size + 64 : elems * size;
    return isa_cost_issue(in ? XA_I_DMA_IN : XA_I_DMA_OUT, &d, in ? ISA_SPACE_DRAM : ISA_SPACE_LM,
                          in ? ISA_SPACE_LM : ISA_SPACE_DRAM, p);
}

static isa_cost_t mat_cost(const contraction_shape_t *s, const isa_profile_t *p, int64_t oh,
                           int64_t ow, int64_t n, int64_t k, bool drain) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    d.mat.flags = (drain ? XA_mat_DRAIN : 0) | (s->b_static ? XA_mat_B_PANEL : 0) |
                  (s->b_trans && !s->b_static ? XA_mat_B_TRANS : 0) | (s->bias ? XA_mat_BIAS : 0) |
                  (s->residual ? XA_mat_RES : 0);
    d.mat.a_type = (uint8_t)s->a_type;
    d.mat.b_type = (uint8_t)s->b_type;
    d.mat.c_type = (uint8_t)s->c_type;
    d.mat.batch = 1;
    d.mat.m1 = (uint32_t)oh;
    d.mat.m2 = (uint32_t)ow;
    d.mat.n = (uint32_t)n;
    d.mat.k = (uint32_t)(s->merge_kw ? k * s->kw : k);
    d.mat.r1 = (uint32_t)s->kh;
    d.mat.r2 = (uint32_t)(s->merge_kw ? 1 : s->kw);
    d.mat.b_pw = (uint32_t)s->pw;
    return isa_cost_issue(XA_I_MAT_MUL, &d, ISA_SPACE_LM, ISA_SPACE_LM, p);
}

static int64_t a_bytes(const contraction_shape_t *s, const contraction_tiling_t *t) {
    return contraction_span(t->toh, s->sh, s->kh, s->dh, s->border) *
           contraction_span(t->tow, s->sw, s->kw, s->dw, s->border) * t->tk *
           dtype_bytes(s->a_type);
}

static int64_t b_bytes(const contraction_shape_t *s, const contraction_tiling_t *t) {
    return s->kh * s->kw * t->tk * t->tn * dtype_bytes(s->b_type);
}

static bool fits(const contraction_shape_t *s, contraction_tiling_t *t, const isa_profile_t *p) {
    int64_t c = t->toh * t->tow * t->tn * dtype_bytes(s->c_type);
    int64_t res = s->residual ? t->toh * t->tow * t->tn * dtype_bytes(s->out_type) : 0;
    int64_t bias = !s->bias ? 0 : t->n_outer || s->long_bias ? t->tn * 8 : s->n * 4;
    t->lm_bytes = a_bytes(s, t) + b_bytes(s, t) + c + res + bias + LM_RESERVE;
    // What the inner loop moves wants two slots where copies overlap with products.
    bool split_k = t->tk < s->k;
    if (!p->serial)
        t->lm_bytes += (split_k || t->n_outer ? a_bytes(s, t) : 0) +
                       (split_k || !t->n_outer ? b_bytes(s, t) : 0) + c + res;
    return t->lm_bytes <= p->lm_bytes;
}

// Sums over full and tail tiles along one loop: f(full) * count + f(tail).
typedef struct extent {
    int64_t full, n_full, tail;
} extent_t;

static extent_t extent(int64_t size, int64_t tile) {
    return (extent_t){tile, size / tile, size % tile};
}

static int64_t tiles(extent_t e) { return e.n_full + (e.tail > 0); }

static void add_scaled(uint64_t *sum, uint64_t value, int64_t times) {
    *sum += value * (uint64_t)times;
}

// Matrix cycles of all tiles of one problem, by the corners of (oh, ow, n, k).
static bool sum_products(const contraction_shape_t *s, const contraction_tiling_t *t,
                         const isa_profile_t *p, engines_t *e) {
    extent_t es[4] = {extent(s->oh, t->toh), extent(s->ow, t->tow), extent(s->n, t->tn),
                      extent(s->k, t->tk)};
    for (unsigned corner = 0; corner < 16; corner++) {
        int64_t size[4], count = 1;
        for (unsigned d = 0; d < 4; d++) {
            bool tail = corner >> d & 1;
            size[d] = tail ? es[d].tail : es[d].full;
            count *= tail ? (es[d].tail > 0) : es[d].n_full;
        }
        if (count == 0)
            continue;
        isa_cost_t c = mat_cost(s, p, size[0], size[1], size[2], size[3], true);
        if (c.cycles > XA_ISSUE_MAX_CYCLES)
            return false;
        add_scaled(&e->mat, c.cycles, count);
        add_scaled(&e->ops, 1, count);
    }
    return true;
}

static bool sum_copies(const contraction_shape_t *s, const contraction_tiling_t *t,
                       const isa_profile_t *p, engines_t *e) {
    int64_t n_m = tiles(extent(s->oh, t->toh)) * tiles(extent(s->ow, t->tow));
    int64_t n_n = tiles(extent(s->n, t->tn)), n_k = tiles(extent(s->k, t->tk));
    bool split_k = n_k > 1;
    int64_t groups = t->groups < (t->n_outer ? n_m : n_n) ? t->groups : (t->n_outer ? n_m : n_n);
    // How often each operand is loaded.
    int64_t loads_a = split_k ? n_m * n_n * n_k : t->n_outer ? n_m * n_n : n_m * groups;
    int64_t loads_b = split_k ? n_m * n_n * n_k : t->n_outer ? n_n * groups : n_m * n_n;
    int64_t rows = contraction_span(least(t->toh, s->oh), s->sh, s->kh, s->dh, s->border);
    int64_t cols = contraction_span(least(t->tow, s->ow), s->sw, s->kw, s->dw, s->border);
    bool whole_rows = t->tk == s->k && !s->border && s->sw == 1;
    isa_cost_t a = whole_rows ? dma_cost(p, true, rows, cols * t->tk, s->a_type)
                              : dma_cost(p, true, rows * cols, t->tk, s->a_type);
    int64_t tn = least(t->tn, s->n);
    isa_cost_t b = s->b_static && n_k == 1
                       ? dma_cost(p, true, 1, s->kh * s->kw * t->tk * tn, s->b_type)
                   : s->b_static || s->b_trans
                       ? dma_cost(p, true, s->b_static ? ceil_div(tn, s->pw) * s->kh * s->kw : tn,
                                  s->b_static ? t->tk * s->pw : t->tk, s->b_type)
                       : dma_cost(p, true, t->tk, tn, s->b_type);
    if (s->a_scattered)
        a = dma_cost(p, true, rows * cols * t->tk, 1, s->a_type);
    if (s->b_scattered)
        b = dma_cost(p, true, s->kh * s->kw * t->tk * tn, 1, s->b_type);
    int64_t pixels = least(t->toh, s->oh) * least(t->tow, s->ow);
    isa_cost_t c = s->c_scattered ? dma_cost(p, false, pixels * tn, 1, s->out_type)
                                  : dma_cost(p, false, pixels, tn, s->out_type);
    isa_cost_t r = {0};
    if (s->residual)
        r = s->res_scattered ? dma_cost(p, true, pixels * tn, 1, s->out_type)
                             : dma_cost(p, true, pixels, tn, s->out_type);
    if (a.cycles > XA_ISSUE_MAX_CYCLES || b.cycles > XA_ISSUE_MAX_CYCLES ||
        c.cycles > XA_ISSUE_MAX_CYCLES || r.cycles > XA_ISSUE_MAX_CYCLES)
        return false;
    // Engines stream: latency counts once a dependent chain, not once a copy.
    uint64_t lat = p->dma_latency;
    uint64_t a_busy = a.cycles > lat ? a.cycles - lat : 1,
             b_busy = b.cycles > lat ? b.cycles - lat : 1;
    uint64_t c_busy = c.cycles > lat ? c.cycles - lat : 1,
             r_busy = r.cycles > lat ? r.cycles - lat : 0;
    add_scaled(&e->in, a_busy, loads_a);
    add_scaled(&e->in, b_busy, loads_b);
    add_scaled(&e->in, r_busy, n_m * n_n);
    add_scaled(&e->out, c_busy, n_m * n_n);
    e->ops += (uint64_t)(loads_a + loads_b + n_m * n_n * (s->residual ? 2 : 1));
    e->dram += a.dram_bytes * (uint64_t)loads_a + b.dram_bytes * (uint64_t)loads_b +
               (c.dram_bytes + r.dram_bytes) * (uint64_t)(n_m * n_n);
    e->first = a.cycles + b.cycles;
    e->last = c.cycles;
    return true;
}

uint64_t contraction_cost(const contraction_shape_t *s, contraction_tiling_t *t,
                          const isa_profile_t *p) {
    engines_t e = {0};
    if (!fits(s, t, p) || !sum_copies(s, t, p, &e) || !sum_products(s, t, p, &e))
        return UINT64_MAX;
    int64_t cores = p->cores ? p->cores : 2;
    int64_t n_m = tiles(extent(s->oh, t->toh)) * tiles(extent(s->ow, t->tow));
    int64_t n_n = tiles(extent(s->n, t->tn));
    int64_t outer = t->n_outer ? n_n : n_m, inner = t->n_outer ? n_m : n_n;
    int64_t tasks = outer * least(t->groups, inner) * s->batch;
    // The busiest core's share of all tasks, in 1/256.
    uint64_t share = (uint64_t)(ceil_div(tasks, cores) * 256 / tasks);
    uint64_t batch = (uint64_t)s->batch;
    uint64_t hart = isa_cost_hart(e.ops * HART_INSTRUCTIONS_AN_OP, p);
    uint64_t busy = e.in > e.mat ? e.in : e.mat;
    busy = busy > e.out ? busy : e.out;
    busy = busy > hart ? busy : hart;
    if (p->serial)
        busy = (e.in > e.mat ? e.in : e.mat) + e.out + hart;
    busy = busy * batch * share / 256;
    uint64_t per_core = p->dram_per_core ? (uint64_t)least(cores, tasks) : 1;
    uint64_t dram = e.dram * batch / (p->dram_bytes_per_cycle * per_core);
    t->cycles = (busy > dram ? busy : dram) + e.first + e.last;
    t->moved = (e.in + e.out) * batch;
    t->hart = hart * batch;
    return t->cycles;
}

// --- Candidates ----------------------------------------------------------------------------------

enum { MAX_CANDIDATES = 32 };

// Sizes worth trying along one loop: the whole, and a ladder below it.
static size_t ladder(int64_t size, int64_t granule, int64_t *out) {
    static const int64_t steps[] = {1,  2,  3,  4,  6,  7,   8,   12,  14,  16,  24,  28,
                                    32, 48, 56, 64, 96, 112, 128, 192, 256, 384, 512, 1024};
    size_t n = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && steps[i] * granule < size; i++)
        out[n++] = steps[i] * granule;
    out[n++] = ceil_div(size, granule) * granule;
    return n;
}

// Columns: all of them when they fit (rows then are whole runs), else parts.
static size_t columns(const contraction_shape_t *s, int64_t *out) {
    if (s->oh == 1)
        return ladder(s->ow, s->ow >= 16 ? 8 : 1, out);
    size_t n = 0;
    for (int64_t parts = 1; parts <= 8 && (parts == 1 || s->ow / parts >= 7); parts++)
        out[n++] = ceil_div(s->ow, parts);
    return n;
}

static size_t depths(const contraction_shape_t *s, int64_t *out) {
    size_t n = 0;
    out[n++] = s->k;
    if (s->merge_kw)
        return n;
    static const int64_t steps[] = {32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048};
    for (size_t i = sizeof steps / sizeof *steps; i-- > 0;)
        if (steps[i] < s->k)
            out[n++] = steps[i];
    return n;
}

typedef struct best {
    const contraction_shape_t *s;
    const isa_profile_t *p;
    uint64_t cycles; // fewest of all candidates
    uint64_t limit;  // cycles that a choice may have; 0 while `cycles` is being found
    uint64_t worth;
    contraction_tiling_t tiling;
} best_t;

// Among candidates near the fewest cycles: less moving, which is what contends and costs energy,
// and fewer instructions, which a simulated hart pays for one by one.
static void take(best_t *best, const contraction_tiling_t *t) {
    if (t->cycles < best->cycles)
        best->cycles = t->cycles;
    uint64_t worth = t->cycles + t->moved / 64 + t->hart * best->p->hart_cpi_256 / 512;
    if (t->cycles > best->limit || worth >= best->worth)
        return;
    best->worth = worth;
    best->tiling = *t;
}

static void consider(best_t *best, contraction_tiling_t t) {
    static const int64_t shares[] = {1, 2, 4, 8, 16, 64};
    for (int order = 0; order < 2; order++) {
        t.n_outer = order == 1;
        int64_t inner = t.n_outer ? ceil_div(best->s->oh, t.toh) * ceil_div(best->s->ow, t.tow)
                                  : ceil_div(best->s->n, t.tn);
        for (size_t g = 0; g < sizeof shares / sizeof *shares; g++) {
            if (g > 0 && shares[g] > inner)
                break;
            t.groups = shares[g];
            if (contraction_cost(best->s, &t, best->p) == UINT64_MAX)
                break;
            take(best, &t);
        }
    }
}

static void walk_candidates(best_t *best) {
    const contraction_shape_t *s = best->s;
    int64_t rows[MAX_CANDIDATES], cols[MAX_CANDIDATES], ns[MAX_CANDIDATES], ks[MAX_CANDIDATES];
    size_t n_rows = ladder(s->oh, 1, rows), n_cols = columns(s, cols);
    size_t n_ns = ladder(s->n, s->b_static ? s->pw : 16, ns), n_ks = depths(s, ks);
    for (size_t k = 0; k < n_ks; k++)
        for (size_t n = 0; n < n_ns; n++)
            for (size_t c = 0; c < n_cols; c++)
                for (size_t r = 0; r < n_rows; r++)
                    consider(best, (contraction_tiling_t){
                                       .toh = rows[r], .tow = cols[c], .tn = ns[n], .tk = ks[k]});
}

bool contraction_search(const contraction_shape_t *s, const isa_profile_t *p,
                        contraction_tiling_t *out_tiling) {
    best_t best = {.s = s, .p = p, .cycles = UINT64_MAX, .worth = UINT64_MAX};
    walk_candidates(&best);
    if (best.cycles == UINT64_MAX)
        return false;
    best.limit = best.cycles + best.cycles / NEAR;
    walk_candidates(&best);
    *out_tiling = best.tiling;
    return true;
}
