// SPDX-License-Identifier: Apache-2.0
// The cost function: cycles of one issue, a pure function of descriptor and profile. The compiler's
// tiling search, the verifier's issue limit and the simulator's timing all call it. Freestanding.
#ifndef ISA_COST_H
#define ISA_COST_H

#include "isa/profile.h"
#include "isa/xaccel.h"

typedef enum isa_space { ISA_SPACE_LM, ISA_SPACE_SRAM, ISA_SPACE_DRAM } isa_space_t;

typedef struct isa_cost {
    uint64_t cycles;     // engine occupancy, uncontended, start-up and latency included
    uint64_t dram_bytes; // bytes moved to or from DRAM, whole bursts
    uint64_t sram_bytes;
    uint64_t macs; // multiply-accumulates of the matrix array (useful ones)
} isa_cost_t;

// `src` and `dst` matter for the DMA engines only (LM for the others).
isa_cost_t isa_cost_issue(xa_insn_t insn, const xa_desc_t *desc, isa_space_t src, isa_space_t dst,
                          const isa_profile_t *profile);
// The space that an address lies in, by the map of isa/program.h.
isa_space_t isa_space_of(uint64_t va);
// Cycles of `n_instructions` on the hart.
uint64_t isa_cost_hart(uint64_t n_instructions, const isa_profile_t *profile);

#endif
