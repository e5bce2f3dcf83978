// SPDX-License-Identifier: Apache-2.0
// The search for a chain's tiling: row tiles of the last output, chunks of inner channels. Every
// candidate is costed by isa_cost_issue on the engine ops that the template would issue.
#include <string.h>

#include "passes/tile_chain.h"
#include "passes/tile_contraction.h"

enum {
    HART_INSTRUCTIONS_AN_OP = 16, // as in tile_contraction_cost.c
    LM_RESERVE = 4096,
    NEAR = 16,
    F32 = 4,
};

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

// --- Ops -----------------------------------------------------------------------------------------

static uint64_t mat_cycles(const isa_profile_t *p, const chain_stage_t *c, int64_t rows, int64_t n,
                           int64_t k, bool acc, bool drain) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    d.mat.flags = XA_mat_B_PANEL | (acc ? XA_mat_ACC : 0) | (drain ? XA_mat_DRAIN : 0) |
                  (drain && c->res ? XA_mat_RES : 0);
    d.mat.a_type = d.mat.b_type = d.mat.c_type = d.mat.res_type = DTYPE_F32;
    d.mat.batch = 1;
    d.mat.m1 = (uint32_t)rows;
    d.mat.m2 = (uint32_t)c->used_ow;
    d.mat.n = (uint32_t)n;
    d.mat.k = (uint32_t)k;
    d.mat.r1 = (uint32_t)c->kh;
    d.mat.r2 = (uint32_t)c->kw;
    d.mat.b_pw = (uint32_t)contraction_panel(c->n);
    return isa_cost_issue(XA_I_MAT_MUL, &d, ISA_SPACE_LM, ISA_SPACE_LM, p).cycles;
}

static uint64_t wmac_cycles(const isa_profile_t *p, const chain_stage_t *c, int64_t rows,
                            int64_t channels) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    d.vec.d_type = d.vec.a_type = d.vec.b_type = DTYPE_F32;
    const uint32_t count[4] = {1, (uint32_t)rows, (uint32_t)c->used_ow, (uint32_t)channels};
    memcpy(d.vec.count, count, sizeof count);
    d.vec.d_stride[3] = d.vec.a_stride[3] = d.vec.b_stride[3] = F32;
    d.vec.k[0] = (uint32_t)c->kh;
    d.vec.k[1] = (uint32_t)c->kw;
    d.vec.post = strcmp(c->act, "none") ? XA_FUNC_CLAMP : XA_FUNC_NONE;
    return isa_cost_issue(XA_I_V_WMAC, &d, ISA_SPACE_LM, ISA_SPACE_LM, p).cycles;
}

// --- The engines' work ---------------------------------------------------------------------------

typedef struct engines {
    uint64_t compute; // matrix and vector engine, as they wait for each other
    uint64_t in, out, ops, dram;
    uint64_t in_core, dram_core; // loads that each core does once
    uint64_t longest;            // cycles of the longest issue
    uint64_t first, last;        // not overlapped
} engines_t;

// A copy of `rows` runs of `elems`; returns its cycles without latency.
static uint64_t copy(engines_t *e, const isa_profile_t *p, bool in, int64_t rows, int64_t elems,
                     uint64_t *dram) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    d.dma.src_type = d.dma.dst_type = DTYPE_F32;
    const uint32_t count[5] = {1, 1, 1, (uint32_t)rows, (uint32_t)elems};
    memcpy(d.dma.count, count, sizeof count);
    d.dma.src_stride[4] = d.dma.dst_stride[4] = F32;
    d.dma.src_stride[3] = elems * F32 + (in ? 64 : 0);
    d.dma.dst_stride[3] = elems * F32 + (in ? 0 : 64);
    isa_cost_t c =
        isa_cost_issue(in ? XA_I_DMA_IN : XA_I_DMA_OUT, &d, in ? ISA_SPACE_DRAM : ISA_SPACE_LM,
                       in ? ISA_SPACE_LM : ISA_SPACE_DRAM, p);
    e->longest = most(e->longest, c.cycles);
    *dram += c.dram_bytes;
    return c.cycles > p->dma_latency ? c.cycles - p->dma_latency : 1;
}

// Rows that a tile has at each stage's output.
typedef struct tile_rows {
    int64_t out[CHAIN_MAX_STAGES];
    int64_t in; // of the chain's input, without border
} tile_rows_t;

static tile_rows_t rows_of(const chain_shape_t *s, int64_t at, int64_t rows) {
    tile_rows_t r;
    for (size_t i = s->n_stages; i-- > 0;) {
        const chain_stage_t *c = &s->stage[i];
        r.out[i] = rows;
        int64_t start = at * c->sh - c->pad_h, end = least(start + chain_span(c, rows), c->ih);
        at = start > 0 ? start : 0;
        rows = end - at;
    }
    r.in = rows;
    return r;
}

// One chunk's cycles by kind of op.
typedef struct chunk {
    uint64_t head, middle;
    uint64_t tail[2][2]; // accumulating, draining
} chunk_t;

static chunk_t cost_chunk(const chain_shape_t *s, const isa_profile_t *p, const tile_rows_t *r,
                          int64_t channels, engines_t *e) {
    chunk_t c = {0};
    const chain_stage_t *last = chain_last(s);
    if (s->has_head)
        c.head = mat_cycles(p, &s->stage[0], r->out[0], channels, s->stage[0].k, false, true);
    for (size_t i = 0; i < s->n_stages; i++) {
        if (!s->stage[i].depthwise)
            continue;
        uint64_t cycles = wmac_cycles(p, &s->stage[i], r->out[i], channels);
        e->longest = most(e->longest, cycles);
        c.middle += cycles;
    }
    for (int i = 0; s->has_tail && i < 4; i++)
        c.tail[i & 1][i >> 1] =
            mat_cycles(p, last, r->out[s->n_stages - 1], last->n, channels, i & 1, i >> 1);
    e->longest = most(e->longest, most(c.head, c.tail[1][1]));
    return c;
}

// Of engines that take turns.
static uint64_t sum_chunks(const chain_shape_t *s, const chunk_t *full, const chunk_t *end,
                           int64_t chunks) {
    uint64_t sum = end->head + end->middle;
    sum += (full->head + full->middle) * (uint64_t)(chunks - 1);
    for (int64_t k = 0; s->has_tail && k < chunks; k++)
        sum += (k + 1 < chunks ? full : end)->tail[k > 0][k + 1 == chunks];
    return sum;
}

// The two engines over the chunks of `tiles` tiles, in the order in which the template issues: the
// head is one chunk ahead, so that it runs beside the depthwise ones.
static uint64_t overlap_chunks(const chain_shape_t *s, const chunk_t *full, const chunk_t *end,
                               int64_t chunks, int64_t tiles) {
    uint64_t mat = (chunks > 1 ? full : end)->head, vec = 0, ready = mat, before = 0;
    for (int64_t i = 0; i < chunks * tiles; i++) {
        int64_t k = i % chunks, next = (i + 1) % chunks;
        const chunk_t *c = k + 1 < chunks ? full : end;
        uint64_t input = ready;
        if (i + 1 < chunks * tiles) // into the buffer that the chunk before was read from
            ready = mat = most(mat, before) + (next + 1 < chunks ? full : end)->head;
        vec = before = most(vec, input) + c->middle;
        if (s->has_tail)
            mat = most(mat, vec) + c->tail[k > 0][k + 1 == chunks];
    }
    return most(mat, vec);
}

static uint64_t tile_compute(const chain_shape_t *s, const chain_tiling_t *t,
                             const isa_profile_t *p, const tile_rows_t *r, engines_t *e) {
    int64_t chunks = chain_chunks(s, t->te), rest = s->inner - (chunks - 1) * t->te;
    chunk_t full = {0}, end = cost_chunk(s, p, r, rest, e);
    if (chunks > 1)
        full = cost_chunk(s, p, r, t->te, e);
    e->ops += (uint64_t)chunks * s->n_stages;
    if (p->serial)
        return sum_chunks(s, &full, &end, chunks);
    return overlap_chunks(s, &full, &end, chunks, t->run) / (uint64_t)t->run;
}

// --- Copies --------------------------------------------------------------------------------------

static void tile_copies(const chain_shape_t *s, const chain_tiling_t *t, const isa_profile_t *p,
                        const tile_rows_t *r, int64_t count, engines_t *e) {
    const chain_stage_t *head = &s->stage[0], *last = chain_last(s);
    int64_t chunks = chain_chunks(s, t->te), rows = r->in, out = r->out[s->n_stages - 1];
    uint64_t in = 0, store = 0, dram = 0;
    int64_t channels = s->has_head ? head->k : t->te;
    bool whole = channels == head->k && !head->border;
    if (chain_is_planar(s))
        in += copy(e, p, true, channels * rows, head->iw, &dram);
    else if (s->x_scattered)
        in += copy(e, p, true, rows * head->iw * channels, 1, &dram);
    else
        in += whole ? copy(e, p, true, rows, head->iw * channels, &dram)
                    : copy(e, p, true, rows * head->iw, channels, &dram);
    if (!s->has_head)
        in *= (uint64_t)chunks, dram *= (uint64_t)chunks;
    int64_t n = s->has_tail ? last->n : t->te;
    bool dense = n == last->n;
    if (last->res && !s->res_is_x)
        in += copy(e, p, true, out, last->ow * last->n, &dram);
    uint64_t drained = 0;
    store = s->y_scattered ? copy(e, p, false, out * last->ow * n, 1, &drained)
            : dense        ? copy(e, p, false, out, last->ow * n, &drained)
                           : copy(e, p, false, out * last->ow, n, &drained);
    uint64_t stores = s->has_tail ? 1 : (uint64_t)chunks;
    e->in += in * (uint64_t)count;
    e->out += store * stores * (uint64_t)count;
    e->dram += (dram + drained * stores) * (uint64_t)count;
    e->ops +=
        (stores + (s->has_head ? 1 : (uint64_t)chunks) + (last->res != NULL)) * (uint64_t)count;
    e->first = most(e->first, in + p->dma_latency);
    e->last = most(e->last, store + p->dma_latency);
}

// Weights of head and tail, for all chunks.
static uint64_t panel_copies(const chain_shape_t *s, const chain_tiling_t *t,
                             const isa_profile_t *p, engines_t *e, uint64_t *dram) {
    uint64_t cycles = 0;
    int64_t chunks = t->resident ? 1 : chain_chunks(s, t->te);
    int64_t te = t->resident ? s->inner : t->te;
    const chain_stage_t *head = &s->stage[0], *last = chain_last(s);
    uint64_t one = 0;
    if (s->has_head)
        cycles += copy(e, p, true, 1, head->kh * head->kw * head->k * te, &one);
    if (s->has_tail)
        cycles +=
            copy(e, p, true, ceil_div(last->n, contraction_panel(last->n)) * last->kh * last->kw,
                 te * contraction_panel(last->n), &one);
    e->ops += (uint64_t)(chunks * (s->has_head + s->has_tail));
    *dram += one * (uint64_t)chunks;
    return cycles * (uint64_t)chunks;
}

// Biases and depthwise weights.
static void parameter_copies(const chain_shape_t *s, const isa_profile_t *p, engines_t *e) {
    for (size_t i = 0; i < s->n_stages; i++) {
        const chain_stage_t *c = &s->stage[i];
        if (c->depthwise)
            e->in_core += copy(e, p, true, 1, c->kh * c->kw * c->n, &e->dram_core);
        if (c->bias)
            e->in_core += copy(e, p, true, 1, c->n, &e->dram_core);
        e->ops += c->depthwise + (c->bias != NULL);
    }
}

// --- Local memory --------------------------------------------------------------------------------

static int64_t panel_bytes(const chain_shape_t *s, const chain_tiling_t *t,
                           const isa_profile_t *p) {
    const chain_stage_t *head = &s->stage[0], *last = chain_last(s);
    int64_t te = t->resident ? s->inner : t->te, bytes = 0;
    int64_t copies = t->resident ? 1 : chain_slots(s, t, p);
    int64_t head_pw = contraction_panel(head->n), tail_pw = contraction_panel(last->n);
    if (s->has_head)
        bytes += head->kh * head->kw * head->k * ceil_div(te, head_pw) * head_pw;
    if (s->has_tail)
        bytes += last->kh * last->kw * te * ceil_div(last->n, tail_pw) * tail_pw;
    return bytes * copies * F32;
}

static bool fits(const chain_shape_t *s, chain_tiling_t *t, const isa_profile_t *p, bool rounds) {
    int64_t rows = t->toh, buffers = chain_slots(s, t, p);
    int64_t slots =
        rounds && !p->serial ? 2 : 1; // the next tile's input arrives, the last one's output leaves
    const chain_stage_t *last = chain_last(s);
    int64_t moved = rows * last->ow * (s->has_tail ? last->n : t->te);
    if (last->res && !s->res_is_x)
        moved *= 2;
    int64_t kept = 0;
    for (size_t i = s->n_stages; i-- > 0;) {
        const chain_stage_t *c = &s->stage[i];
        int64_t pixels = chain_span(c, rows) * c->cols;
        if (i > 0)
            kept += pixels * t->te * buffers;
        else if (s->has_head)
            moved += pixels * c->k;
        else
            kept += pixels * t->te * buffers;
        kept += (c->depthwise ? c->kh * c->kw * c->n : 0) + (c->bias ? c->n : 0);
        rows = chain_rows_before(c, rows);
    }
    t->lm_bytes = (moved * slots + kept) * F32 + panel_bytes(s, t, p) + LM_RESERVE;
    return t->lm_bytes <= p->lm_bytes;
}

// --- Cost ----------------------------------------------------------------------------------------

// All tiles of one image: the first, those in the middle, the last.
static void sum_tiles(const chain_shape_t *s, const chain_tiling_t *t, const isa_profile_t *p,
                      int64_t toh, engines_t *e) {
    int64_t oh = chain_last(s)->oh, n = ceil_div(oh, toh);
    const int64_t index[3] = {0, 1, n - 1}, count[3] = {1, n - 2, 1};
    for (int i = 0; i < 3; i++) {
        if (count[i] <= 0 || (i == 2 && n == 1))
            continue;
        tile_rows_t r = rows_of(s, index[i] * toh, least(toh, oh - index[i] * toh));
        engines_t one = {0};
        e->compute += tile_compute(s, t, p, &r, &one) * (uint64_t)count[i];
        e->longest = most(e->longest, one.longest);
        e->ops += one.ops * (uint64_t)count[i];
        tile_copies(s, t, p, &r, count[i], e);
    }
}

// With `cores` cores, and tiles small enough for each to have some when there is no telling how
// many there are.
static void cost_on(const chain_shape_t *s, chain_tiling_t *t, const isa_profile_t *p,
                    int64_t cores) {
    engines_t e = {0};
    int64_t oh = chain_last(s)->oh, toh = t->toh;
    if (p->cores == 0)
        toh = least(toh, ceil_div(s->images * oh, cores));
    int64_t tiles = s->images * ceil_div(oh, toh), tasks = tiles / t->run;
    int64_t used = least(tasks, cores);
    uint64_t images = (uint64_t)s->images;
    sum_tiles(s, t, p, toh, &e);
    parameter_copies(s, p, &e);
    uint64_t panels_dram = 0, panels = panel_copies(s, t, p, &e, &panels_dram);
    uint64_t loads = t->resident ? (uint64_t)used : (uint64_t)tiles;
    uint64_t busiest = (uint64_t)ceil_div(tasks, cores); // tasks of the busiest core
    uint64_t in = e.in * images * busiest / (uint64_t)tasks + e.in_core +
                  panels * (t->resident ? 1 : busiest * (uint64_t)t->run);
    uint64_t out = e.out * images * busiest / (uint64_t)tasks;
    uint64_t hart = isa_cost_hart(e.ops * images * HART_INSTRUCTIONS_AN_OP, p);
    uint64_t compute = e.compute * images * busiest / (uint64_t)tasks;
    hart = hart * busiest / (uint64_t)tasks;
    uint64_t busy =
        p->serial ? compute + in + out + hart : most(most(compute, hart), most(in, out));
    uint64_t bytes = e.dram * images + e.dram_core * (uint64_t)used + panels_dram * loads;
    uint64_t rate = p->dram_bytes_per_cycle * (p->dram_per_core ? (uint64_t)used : 1);
    t->cycles = most(busy, bytes / rate) + e.first + e.in_core + e.last;
    t->moved = (e.in + e.out) * images + e.in_core * (uint64_t)used + panels * loads;
    t->hart = hart;
    if (e.longest > XA_ISSUE_MAX_CYCLES)
        t->cycles = UINT64_MAX;
}

// As many tiles as a core gets, within reason, where that cuts each image's tiles evenly.
static int64_t longest_run(const chain_shape_t *s, const chain_tiling_t *t,
                           const isa_profile_t *p) {
    int64_t tiles = ceil_div(chain_last(s)->oh, t->toh);
    int64_t run = least(CHAIN_MAX_CHUNKS / chain_chunks(s, t->te), tiles);
    if (p->serial || p->cores == 0)
        return 1;
    run = least(run, s->images * tiles / p->cores);
    while (run > 1 && tiles % run != 0)
        run--;
    return run > 1 ? run : 1;
}

// With runs of `run` tiles; UINT64_MAX as the cycles when that cannot be.
static chain_tiling_t cost_runs(const chain_shape_t *s, chain_tiling_t t, const isa_profile_t *p,
                                int64_t run) {
    int64_t cores = p->cores ? p->cores : 2;
    int64_t tiles = s->images * ceil_div(chain_last(s)->oh, t.toh);
    t.cycles = UINT64_MAX;
    t.run = run;
    if (!fits(s, &t, p, tiles > cores))
        return t;
    cost_on(s, &t, p, cores);
    if (p->cores > 0 || t.cycles == UINT64_MAX)
        return t;
    chain_tiling_t one = t; // the machine's: one core counts as much as two
    cost_on(s, &one, p, 1);
    t.cycles = one.cycles == UINT64_MAX ? UINT64_MAX : (one.cycles / 2 + t.cycles) / 2;
    return t;
}

uint64_t chain_cost(const chain_shape_t *s, chain_tiling_t *t, const isa_profile_t *p) {
    t->cycles = UINT64_MAX;
    if (chain_chunks(s, t->te) > CHAIN_MAX_CHUNKS)
        return t->cycles;
    int64_t run = longest_run(s, t, p);
    chain_tiling_t longest = *t;
    *t = cost_runs(s, *t, p, 1);
    if (run > 1)
        longest = cost_runs(s, longest, p, run);
    if (run > 1 && longest.cycles < t->cycles)
        *t = longest;
    return t->cycles;
}

// --- Candidates ----------------------------------------------------------------------------------

typedef struct best {
    const chain_shape_t *s;
    const isa_profile_t *p;
    uint64_t cycles; // fewest of all candidates
    uint64_t limit;  // cycles that a choice may have; 0 while `cycles` is being found
    uint64_t worth;
    chain_tiling_t tiling;
} best_t;

static void take(best_t *best, chain_tiling_t *t) {
    if (chain_cost(best->s, t, best->p) == UINT64_MAX)
        return;
    if (t->cycles < best->cycles)
        best->cycles = t->cycles;
    uint64_t worth = t->cycles + t->moved / 64 + t->hart * best->p->hart_cpi_256 / 512;
    if (t->cycles > best->limit || worth >= best->worth)
        return;
    best->worth = worth;
    best->tiling = *t;
}

// Sizes that leave 1, 2, 3, ... parts, whole granules, without repeats; largest first, 0 at the
// end.
static int64_t next_size(int64_t size, int64_t granule, int64_t now) {
    int64_t units = ceil_div(size, granule), have = ceil_div(now, granule);
    if (have <= 1)
        return 0;
    int64_t parts = ceil_div(units, have) + 1;
    while (ceil_div(units, parts) >= have)
        parts++;
    return ceil_div(units, parts) * granule;
}

static void walk_candidates(best_t *best) {
    const chain_shape_t *s = best->s;
    int64_t granule = s->has_head ? contraction_panel(s->stage[0].n) : 16, oh = chain_last(s)->oh;
    for (int64_t te = s->inner; te > 0; te = next_size(s->inner, granule, te))
        for (int64_t toh = oh; toh > 0; toh = next_size(oh, 1, toh))
            for (int resident = 1; resident >= 0; resident--) {
                chain_tiling_t t = {.toh = toh, .te = te, .resident = resident};
                take(best, &t);
            }
}

bool chain_search(const chain_shape_t *s, const isa_profile_t *profile,
                  chain_tiling_t *out_tiling) {
    best_t best = {.s = s, .p = profile, .cycles = UINT64_MAX, .worth = UINT64_MAX};
    walk_candidates(&best);
    if (best.cycles == UINT64_MAX)
        return false;
    best.limit = best.cycles + best.cycles / NEAR;
    walk_candidates(&best);
    *out_tiling = best.tiling;
    return true;
}
