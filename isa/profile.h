// SPDX-License-Identifier: Apache-2.0
// Arch profiles: const data about a card, chosen by name. Freestanding.
// The reasons for the figures stand in docs/isa.md.
#ifndef ISA_PROFILE_H
#define ISA_PROFILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct isa_profile {
    const char *name;
    uint32_t cores;              // default core count; no part of the hash ("host": CPUs, 0 here)
    uint32_t lm_bytes;           // local memory a core
    uint32_t mat_rows, mat_cols; // matrix array a core
    uint32_t mat_k_f32, mat_k_16, mat_k_8; // k per step by type
    uint32_t vec_lanes_f32, vec_lanes_16, vec_lanes_8;
    uint32_t lm_bytes_per_cycle; // per engine port into LM
    uint64_t sram_bytes;
    uint32_t sram_bytes_per_cycle; // all cores together
    uint32_t dram_bytes_per_cycle; // all cores together, or a core when dram_per_core
    uint32_t dram_per_core;
    uint32_t dma_latency;            // cycles from start to first byte
    uint32_t dma_burst_bytes;        // DRAM access granule
    uint32_t queue_depth;            // issues a queue holds before the hart blocks
    uint32_t issue_cycles;           // fixed start-up of an op in an engine
    uint32_t mat_drain_cycles;       // fill and drain of the array for one output tile
    uint32_t cost_d, cost_e, cost_t; // lane steps of the cost classes D, E, T (class 1 is 1)
    uint32_t hart_cpi_256;           // hart cycles an instruction, times 256
    uint64_t dram_bytes;             // card memory
    uint32_t serial; // 1: a core's engines take turns; for choosing tiles only, no part of the hash
} isa_profile_t;

extern const isa_profile_t isa_profiles[];
extern const size_t isa_n_profiles;

// NULL when there is none of that name.
const isa_profile_t *isa_profile_find(const char *name);
// Hash of everything that a compiled program depends on (not name of the host, not core count).
uint64_t isa_profile_hash(const isa_profile_t *profile);

#endif
