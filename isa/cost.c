// SPDX-License-Identifier: Apache-2.0
// The cost function: entry and the matrix engine. The model in words: docs/isa.md, "Cost".
#include "isa/cost_internal.h"
#include "isa/program.h"

isa_space_t isa_space_of(uint64_t va) {
    if (va - ISA_LM_BASE < ISA_LM_WINDOW)
        return ISA_SPACE_LM;
    if (va - ISA_SRAM_BASE < ISA_SRAM_WINDOW)
        return ISA_SPACE_SRAM;
    return ISA_SPACE_DRAM;
}

uint64_t isa_cost_hart(uint64_t n_instructions, const isa_profile_t *profile) {
    uint64_t whole = sat_mul(n_instructions / 256, profile->hart_cpi_256);
    return sat_add(whole, n_instructions % 256 * profile->hart_cpi_256 / 256);
}

// k in one step of the array.
static uint64_t mat_k_step(const xa_mat_desc_t *mat, const isa_profile_t *profile) {
    switch (dtype_bytes((dtype_t)mat->a_type)) {
    case 1:
        return profile->mat_k_8;
    case 2:
        return profile->mat_k_16;
    default:
        return profile->mat_k_f32;
    }
}

// Bytes that one output tile moves between accumulators and LM.
static uint64_t mat_tile_bytes(const xa_mat_desc_t *mat, const isa_profile_t *profile) {
    uint64_t area = (uint64_t)profile->mat_rows * profile->mat_cols;
    uint64_t element = mat->flags & XA_mat_DRAIN ? dtype_bytes((dtype_t)mat->c_type) : 4;
    if (mat->flags & XA_mat_ACC)
        element += 4;
    if (mat->flags & XA_mat_RES)
        element += dtype_bytes((dtype_t)mat->res_type);
    return area * element;
}

// The array holds one output tile of rows x cols: its k steps run at full rate while the tile
// before is drained, so a tile takes the longer of the two, and a few cycles to switch. Rows of all
// (i1, i2) fill the array together, also those of several batches when they share one B.
isa_cost_t isa_cost_mat(const xa_mat_desc_t *mat, const isa_profile_t *profile) {
    uint64_t rows = sat_mul(mat->m1, mat->m2), groups = mat->batch;
    if (mat->b_bs == 0) {
        rows = sat_mul(rows, groups);
        groups = 1;
    }
    uint64_t offsets = sat_mul(mat->r1, mat->r2);
    uint64_t n_tiles = sat_mul(sat_mul(groups, ceil_div(rows, profile->mat_rows)),
                               ceil_div(mat->n, profile->mat_cols));
    uint64_t steps = sat_mul(offsets, ceil_div(mat->k, mat_k_step(mat, profile)));
    uint64_t drain = ceil_div(mat_tile_bytes(mat, profile), profile->lm_bytes_per_cycle);
    if (mat->flags & XA_mat_DRAIN && mat->act < XA_FUNC_COUNT) // cols lanes work in the drain
        drain = max_u64(drain, profile->mat_rows * isa_cost_class_func(mat->act, profile));
    uint64_t tile = sat_add(max_u64(steps, drain), profile->mat_drain_cycles);
    uint64_t fill = n_tiles ? (uint64_t)profile->mat_rows + profile->mat_cols : 0;
    isa_cost_t cost = {.cycles = sat_add(profile->issue_cycles, sat_mul(n_tiles, tile))};
    cost.cycles = sat_add(cost.cycles, fill);
    cost.macs = sat_mul(sat_mul(sat_mul(rows, groups), mat->n), sat_mul(offsets, mat->k));
    return cost;
}

isa_cost_t isa_cost_issue(xa_insn_t insn, const xa_desc_t *desc, isa_space_t src, isa_space_t dst,
                          const isa_profile_t *profile) {
    switch (insn) {
    case XA_I_CFG_LOAD:
    case XA_I_CFG_SET:
    case XA_I_AFTER:
    case XA_I_WAIT:
        return (isa_cost_t){0}; // hart instructions, counted as such
    case XA_I_BARRIER:
        return (isa_cost_t){.cycles = profile->issue_cycles};
    case XA_I_DMA_IN:
    case XA_I_DMA_OUT:
        return isa_cost_dma(&desc->dma, src, dst, profile);
    case XA_I_MAT_MUL:
        return isa_cost_mat(&desc->mat, profile);
    default:
        return isa_cost_vec(insn, &desc->vec, profile);
    }
}
