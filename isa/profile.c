// SPDX-License-Identifier: Apache-2.0
#include "isa/profile.h"

// The reasons for each figure stand in docs/isa.md, "Profiles".
// `host` has the arrays of `edge`; what differs is what a machine that simulates the card pays for:
// starting an op (a few calls), the interpreted hart, DRAM a core, one thread for all engines.
const isa_profile_t isa_profiles[] = {
    {
        .name = "host",
        .cores = 0,
        .lm_bytes = 512u << 10,
        .mat_rows = 16,
        .mat_cols = 16,
        .mat_k_f32 = 1,
        .mat_k_16 = 4,
        .mat_k_8 = 8,
        .vec_lanes_f32 = 32,
        .vec_lanes_16 = 64,
        .vec_lanes_8 = 128,
        .lm_bytes_per_cycle = 128,
        .sram_bytes = 0,
        .sram_bytes_per_cycle = 0,
        .dram_bytes_per_cycle = 16,
        .dram_per_core = 1,
        .dma_latency = 200,
        .dma_burst_bytes = 256,
        .queue_depth = 16,
        .issue_cycles = 600,
        .mat_drain_cycles = 4,
        .cost_d = 4,
        .cost_e = 8,
        .cost_t = 16,
        .hart_cpi_256 = 896,
        .dram_bytes = UINT64_C(32) << 30,
        .serial = 1,
    },
    {
        .name = "edge",
        .cores = 2,
        .lm_bytes = 512u << 10,
        .mat_rows = 16,
        .mat_cols = 16,
        .mat_k_f32 = 1,
        .mat_k_16 = 4,
        .mat_k_8 = 8,
        .vec_lanes_f32 = 32,
        .vec_lanes_16 = 64,
        .vec_lanes_8 = 128,
        .lm_bytes_per_cycle = 128,
        .sram_bytes = UINT64_C(8) << 20,
        .sram_bytes_per_cycle = 256,
        .dram_bytes_per_cycle = 64,
        .dram_per_core = 0,
        .dma_latency = 300,
        .dma_burst_bytes = 64,
        .queue_depth = 16,
        .issue_cycles = 16,
        .mat_drain_cycles = 4,
        .cost_d = 4,
        .cost_e = 8,
        .cost_t = 16,
        .hart_cpi_256 = 320,
        .dram_bytes = UINT64_C(4) << 30,
    },
    {
        .name = "server",
        .cores = 8,
        .lm_bytes = 1u << 20,
        .mat_rows = 32,
        .mat_cols = 32,
        .mat_k_f32 = 1,
        .mat_k_16 = 4,
        .mat_k_8 = 8,
        .vec_lanes_f32 = 64,
        .vec_lanes_16 = 128,
        .vec_lanes_8 = 256,
        .lm_bytes_per_cycle = 256,
        .sram_bytes = UINT64_C(32) << 20,
        .sram_bytes_per_cycle = 2048,
        .dram_bytes_per_cycle = 1024,
        .dram_per_core = 0,
        .dma_latency = 450,
        .dma_burst_bytes = 64,
        .queue_depth = 16,
        .issue_cycles = 16,
        .mat_drain_cycles = 4,
        .cost_d = 4,
        .cost_e = 8,
        .cost_t = 16,
        .hart_cpi_256 = 320,
        .dram_bytes = UINT64_C(16) << 30,
    },
};
const size_t isa_n_profiles = sizeof(isa_profiles) / sizeof(isa_profiles[0]);

static int same_text(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

const isa_profile_t *isa_profile_find(const char *name) {
    for (size_t i = 0; name && i < isa_n_profiles; i++)
        if (same_text(isa_profiles[i].name, name))
            return &isa_profiles[i];
    return NULL;
}

// FNV-1a over the figures as 8 little-endian bytes each.
static uint64_t hash_figure(uint64_t hash, uint64_t figure) {
    for (int i = 0; i < 8; i++) {
        hash ^= (figure >> (8 * i)) & 0xff;
        hash *= UINT64_C(0x100000001b3);
    }
    return hash;
}

uint64_t isa_profile_hash(const isa_profile_t *p) {
    const uint64_t figures[] = {
        p->lm_bytes,
        p->mat_rows,
        p->mat_cols,
        p->mat_k_f32,
        p->mat_k_16,
        p->mat_k_8,
        p->vec_lanes_f32,
        p->vec_lanes_16,
        p->vec_lanes_8,
        p->lm_bytes_per_cycle,
        p->sram_bytes,
        p->sram_bytes_per_cycle,
        p->dram_bytes_per_cycle,
        p->dram_per_core,
        p->dma_latency,
        p->dma_burst_bytes,
        p->queue_depth,
        p->issue_cycles,
        p->mat_drain_cycles,
        p->cost_d,
        p->cost_e,
        p->cost_t,
        p->hart_cpi_256,
        p->dram_bytes,
    };
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        hash = hash_figure(hash, figures[i]);
    return hash;
}
