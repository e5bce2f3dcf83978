// SPDX-License-Identifier: Apache-2.0
// Cost of the DMA engines.
#include "isa/cost_internal.h"

typedef struct side {
    uint64_t elements; // that this side reads or writes
    uint64_t runs;     // contiguous pieces
    uint64_t bytes;    // useful ones
    uint64_t bursts;   // whole bursts
} side_t;

// Contiguous pieces of one side: dims are merged from the innermost outward while each step lies
// directly behind the one before. A dim with an index list never merges.
static side_t side_of(const uint32_t count[5], const int64_t stride[5], unsigned type,
                      unsigned split_dim, uint32_t burst) {
    side_t side = {.elements = 1, .runs = 1};
    uint64_t run = 1;
    bool packed = dtype_bits((dtype_t)type) < 8, open = true;
    for (int dim = 4; dim >= 0; dim--) {
        uint64_t n = count[dim];
        side.elements = sat_mul(side.elements, n);
        if (n == 1)
            continue;
        bool innermost = packed && dim == 4; // packed along i4, whatever the stride says
        if (open && (unsigned)dim != split_dim &&
            (innermost || (stride[dim] > 0 && (uint64_t)stride[dim] == row_bytes(type, run)))) {
            run = sat_mul(run, n);
        } else {
            open = false;
            side.runs = sat_mul(side.runs, n);
        }
    }
    if (side.elements == 0)
        return (side_t){0};
    uint64_t run_bytes = row_bytes(type, run);
    side.bytes = sat_mul(side.runs, run_bytes);
    side.bursts = sat_mul(side.runs, ceil_div(run_bytes, burst));
    return side;
}

// What of the counts the source is read for: with a border, the part inside the valid box.
static void source_counts(const xa_dma_desc_t *dma, uint32_t out_count[5]) {
    for (int i = 0; i < 5; i++) {
        uint64_t n = dma->count[i];
        if (dma->flags & XA_dma_BORDER) {
            n = n > dma->pad_lo[i] ? n - dma->pad_lo[i] : 0;
            n = n < dma->valid[i] ? n : dma->valid[i];
        }
        out_count[i] = (uint32_t)n;
    }
}

static uint64_t transfer_cycles(isa_space_t space, const side_t *side, const isa_profile_t *profile,
                                isa_cost_t *cost) {
    uint64_t burst_bytes = sat_mul(side->bursts, profile->dma_burst_bytes);
    switch (space) {
    case ISA_SPACE_DRAM:
        cost->dram_bytes = sat_add(cost->dram_bytes, burst_bytes);
        return max_u64(ceil_div(burst_bytes, profile->dram_bytes_per_cycle), side->runs);
    case ISA_SPACE_SRAM:
        cost->sram_bytes = sat_add(cost->sram_bytes, burst_bytes);
        return max_u64(ceil_div(burst_bytes, max_u64(profile->sram_bytes_per_cycle, 1)),
                       side->runs);
    default:
        return max_u64(ceil_div(side->bytes, profile->lm_bytes_per_cycle), side->runs);
    }
}

isa_cost_t isa_cost_dma(const xa_dma_desc_t *dma, isa_space_t src, isa_space_t dst,
                        const isa_profile_t *profile) {
    isa_cost_t cost = {.cycles = profile->issue_cycles};
    uint32_t src_count[5];
    source_counts(dma, src_count);
    unsigned src_split = dma->flags & XA_dma_GATHER ? dma->idx_dim : 5u;
    unsigned dst_split = dma->flags & XA_dma_SCATTER ? dma->idx_dim : 5u;
    side_t in =
        side_of(src_count, dma->src_stride, dma->src_type, src_split, profile->dma_burst_bytes);
    side_t out =
        side_of(dma->count, dma->dst_stride, dma->dst_type, dst_split, profile->dma_burst_bytes);
    if (out.elements == 0)
        return cost;
    uint64_t in_cycles = transfer_cycles(src, &in, profile, &cost);
    uint64_t out_cycles = transfer_cycles(dst, &out, profile, &cost);
    // DRAM to DRAM shares one memory: reads and writes add up.
    uint64_t cycles = src == dst && src != ISA_SPACE_LM ? sat_add(in_cycles, out_cycles)
                                                        : max_u64(in_cycles, out_cycles);
    // All bytes also pass the core's port, whatever the card's memories could do.
    cycles = max_u64(cycles, ceil_div(max_u64(in.bytes, out.bytes), profile->lm_bytes_per_cycle));
    if (dma->func != XA_FUNC_NONE && dma->func < XA_FUNC_COUNT) {
        uint64_t lanes = max_u64(profile->lm_bytes_per_cycle / 4, 1);
        uint64_t work = sat_mul(out.elements, isa_cost_class_func(dma->func, profile));
        cycles = max_u64(cycles, ceil_div(work, lanes));
    }
    if (src != ISA_SPACE_LM || dst != ISA_SPACE_LM)
        cycles = sat_add(cycles, profile->dma_latency);
    cost.cycles = sat_add(cost.cycles, cycles);
    return cost;
}
