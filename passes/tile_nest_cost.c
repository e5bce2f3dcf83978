// SPDX-License-Identifier: Apache-2.0
#include "passes/tile_nest_cost.h"

#include <string.h>

#include "isa/table.h"

enum {
    HART_INSTRUCTIONS_AN_OP = 16,
    NEAR = 12, // a choice may take a 12th more cycles than the best
};

static uint8_t code_of(isa_code_kind_t kind, const char *text) {
    size_t n;
    const isa_code_row_t *rows = isa_codes(kind, &n);
    for (size_t i = 0; i < n; i++)
        if (text && !strcmp(rows[i].text, text))
            return (uint8_t)rows[i].number;
    return 0;
}

void nest_work_add(nest_work_t *work, xa_insn_t insn, const char *op) {
    if (work->n_ops == NEST_MAX_OPS)
        return;
    isa_code_kind_t kind = insn == XA_I_V_UNARY     ? ISA_CODE_FUNC
                           : insn == XA_I_V_TERNARY ? ISA_CODE_TER
                           : insn == XA_I_V_BINARY  ? ISA_CODE_BIN
                                                    : ISA_CODE_RED;
    work->ops[work->n_ops].insn = insn;
    work->ops[work->n_ops++].op = code_of(kind, op);
}

// Elements of the tile along dim d; dims before p have one.
static int64_t extent(const nest_t *n, uint32_t d) {
    int64_t whole = tile_nominal(n->dims[d]);
    if (d < n->p)
        return 1;
    if (d == n->p)
        return n->tile < whole ? n->tile : whole;
    return n->chunk && d + 1 == n->rank && n->chunk < whole ? n->chunk : whole;
}

static int64_t tile_count(const nest_t *n) {
    int64_t count = 1;
    for (uint32_t d = 0; d < n->rank; d++) {
        int64_t whole = tile_nominal(n->dims[d]), part = extent(n, d);
        count *= part > 0 ? (whole + part - 1) / part : 1;
    }
    return count;
}

// One copy as the engine sees it: `near` is the side that gives the dims their order (the view in
// DRAM, or a direct copy's destination), `far` the other one, or NULL for a packed tile in LM.
typedef struct copy_shape {
    uint32_t count[5];
    int64_t near[5], far[5];
} copy_shape_t;

static int64_t bytes_step(const tv_t *v, uint32_t d) {
    return tile_nominal(v->strides[d]) * dtype_bytes(v->elem);
}

// Dims by the near side's strides, largest first; dims that it does not vary over are not copied.
static copy_shape_t shape_of_copy(const nest_t *n, const tv_t *near, const tv_t *far,
                                  bool reduced) {
    copy_shape_t c = {.count = {1, 1, 1, 1, 1}};
    uint32_t used = 0;
    for (uint32_t d = n->rank; d-- > n->p && used < 5;) {
        int64_t step = bytes_step(near, d);
        if (step == 0 || (reduced && d >= n->row))
            continue;
        uint32_t at = 4 - used++;
        for (; at < 4 && c.near[at + 1] > step; at++) {
            c.count[at] = c.count[at + 1];
            c.near[at] = c.near[at + 1];
            c.far[at] = c.far[at + 1];
        }
        c.count[at] = (uint32_t)extent(n, d);
        c.near[at] = step;
        c.far[at] = far ? bytes_step(far, d) : 0;
    }
    int64_t step = dtype_bytes(near->elem);
    for (uint32_t i = 5; !far && i-- > 0;) {
        c.far[i] = step;
        step *= c.count[i];
    }
    return c;
}

static isa_cost_t copy_cost(const nest_t *n, const tv_t *near, const tv_t *far, bool reduced,
                            bool out, isa_space_t far_space) {
    const isa_profile_t *p = n->t->profile;
    copy_shape_t shape = shape_of_copy(n, near, far, reduced);
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    d.dma.src_type = d.dma.dst_type = (uint8_t)near->elem;
    memcpy(d.dma.count, shape.count, sizeof shape.count);
    memcpy(out ? d.dma.dst_stride : d.dma.src_stride, shape.near, sizeof shape.near);
    memcpy(out ? d.dma.src_stride : d.dma.dst_stride, shape.far, sizeof shape.far);
    isa_cost_t c =
        isa_cost_issue(out ? XA_I_DMA_OUT : XA_I_DMA_IN, &d, out ? far_space : ISA_SPACE_DRAM,
                       out ? ISA_SPACE_DRAM : far_space, p);
    if (c.cycles <= XA_ISSUE_MAX_CYCLES && c.cycles > p->dma_latency)
        c.cycles -= p->dma_latency; // queued copies overlap their latencies
    return c;
}

static uint64_t vector_cost(const nest_t *n, const nest_work_t *work, uint32_t i) {
    xa_desc_t d;
    memset(&d, 0, sizeof d);
    dtype_t elem = n->views[0].elem;
    d.vec.op = work->ops[i].op;
    d.vec.d_type = d.vec.a_type = d.vec.b_type = d.vec.c_type = (uint8_t)elem;
    int32_t step = (int32_t)dtype_bytes(elem);
    for (uint32_t k = 0; k < 4; k++) {
        uint32_t at = n->rank - n->p < 4 - k ? n->rank : n->rank - (4 - k);
        d.vec.count[k] = at < n->rank && at >= n->p ? (uint32_t)extent(n, at) : 1;
    }
    for (uint32_t k = 4; k-- > 0;) {
        d.vec.d_stride[k] = d.vec.a_stride[k] = d.vec.b_stride[k] = d.vec.c_stride[k] = step;
        step *= (int32_t)d.vec.count[k];
    }
    if (work->ops[i].insn == XA_I_V_REDUCE)
        d.vec.d_stride[3] = 0;
    return isa_cost_issue(work->ops[i].insn, &d, ISA_SPACE_LM, ISA_SPACE_LM, n->t->profile).cycles;
}

typedef struct tile_cost {
    uint64_t in, out, vec, dram, issues;
} tile_cost_t;

static bool add_copy(tile_cost_t *c, isa_cost_t copy, bool out) {
    *(out ? &c->out : &c->in) += copy.cycles;
    c->dram += copy.dram_bytes;
    c->issues++;
    return copy.cycles <= XA_ISSUE_MAX_CYCLES;
}

static bool add_copies(const nest_t *n, const nest_work_t *work, tile_cost_t *c) {
    if (work->direct) // views: the destination, and the source if it is a strided one
        return add_copy(c,
                        copy_cost(n, &n->views[0], n->n_views > 1 ? &n->views[1] : NULL, false,
                                  true, ISA_SPACE_DRAM),
                        true);
    bool good = true;
    for (uint32_t v = 0; v < n->n_views; v++)
        if (work->is_output[v] || !nest_is_invariant(n, &n->views[v]))
            good &= add_copy(
                c,
                copy_cost(n, &n->views[v], NULL, n->reduced[v], work->is_output[v], ISA_SPACE_LM),
                work->is_output[v]);
    return good;
}

static bool cost_of_tile(const nest_t *n, const nest_work_t *work, tile_cost_t *c) {
    *c = (tile_cost_t){0};
    if (!add_copies(n, work, c))
        return false;
    for (uint32_t i = 0; i < work->n_ops; i++) {
        uint64_t cycles = vector_cost(n, work, i);
        if (cycles > XA_ISSUE_MAX_CYCLES)
            return false;
        c->vec += cycles;
        c->issues++;
    }
    return true;
}

static uint64_t hart_share(const nest_t *n, const tile_cost_t *c, uint64_t rounds) {
    return isa_cost_hart(c->issues * HART_INSTRUCTIONS_AN_OP, n->t->profile) * rounds;
}

// No issue takes too long, also where run-time dims inside a tile are at their bounds.
static bool is_legal(const nest_t *n, const nest_work_t *work) {
    nest_t most = *n;
    tile_cost_t c;
    for (uint32_t d = n->p; d < n->rank; d++)
        most.dims[d] = ir_const(n->t->m, tile_bound(n->dims[d], INT32_MAX));
    return cost_of_tile(&most, work, &c);
}

uint64_t nest_cost(const nest_t *n, const nest_work_t *work) {
    const isa_profile_t *p = n->t->profile;
    tile_cost_t c;
    if ((n->chunk && n->whole_rows) || !is_legal(n, work) || !cost_of_tile(n, work, &c))
        return UINT64_MAX;
    int64_t cores = p->cores ? p->cores : 2, tiles = tile_count(n);
    uint64_t rounds = (uint64_t)((tiles + cores - 1) / cores);
    uint64_t busy = c.in > c.out ? c.in : c.out;
    busy = (busy > c.vec ? busy : c.vec) * rounds;
    uint64_t per_core = p->dram_per_core ? (uint64_t)(cores < tiles ? cores : tiles) : 1;
    uint64_t dram = c.dram * (uint64_t)tiles / (p->dram_bytes_per_cycle * per_core);
    uint64_t hart = hart_share(n, &c, rounds);
    busy = busy > dram ? busy : dram;
    busy = busy > hart ? busy : hart;
    return busy + c.in + c.vec + c.out + 2 * p->dma_latency; // the first tile in, the last one out
}

uint64_t nest_search(nest_t *n, const nest_work_t *work, int64_t most) {
    static const int64_t limits[] = {512,   1024,  2048,  4096,  6144,  8192,
                                     12288, 16384, 24576, 32768, 65536, 131072};
    uint64_t cycles[COUNT_OF(limits) + 1], best = UINT64_MAX, best_worth = UINT64_MAX;
    nest_t choice = *n;
    // Always legal in size.
    nest_choose(&choice, most < limits[0] || n->whole_rows ? most : limits[0]);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < COUNT_OF(limits) && (i == 0 || limits[i] <= most); i++) {
            nest_t trial = *n;
            nest_choose(&trial, limits[i] < most ? limits[i] : most);
            if (pass == 0) {
                cycles[i] = nest_cost(&trial, work);
                best = cycles[i] < best ? cycles[i] : best;
                continue;
            }
            tile_cost_t c;
            if (best == UINT64_MAX || cycles[i] > best + best / NEAR ||
                !cost_of_tile(&trial, work, &c))
                continue;
            uint64_t worth = cycles[i] + hart_share(&trial, &c, (uint64_t)tile_count(&trial));
            if (worth < best_worth) {
                best_worth = worth;
                best = cycles[i] < best ? cycles[i] : best;
                choice = trial;
            }
        }
    *n = choice;
    uint64_t result = nest_cost(n, work);
    return result == UINT64_MAX ? 0 : result;
}
