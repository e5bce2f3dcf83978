// SPDX-License-Identifier: Apache-2.0
// One core's memories and engine context, for tests.
#ifndef TESTS_ENGINE_MACHINE_H
#define TESTS_ENGINE_MACHINE_H

#include "driver/sim/engine.h"
#include "isa/program.h"
#include "support/dtype.h"

#define MACHINE_DRAM_BYTES (1u << 18)
#define MACHINE_PAGE       4096u

typedef struct machine {
    sim_engine_ctx_t ctx;
    uint8_t *lm, *dram;
    uint32_t page_of[MACHINE_DRAM_BYTES / MACHINE_PAGE]; // device page -> host page
    uint64_t lm_bytes;
} machine_t;

// `scattered`: device pages that follow each other do not lie together for the host.
void machine_init(machine_t *machine, const sim_engine_set_t *set, bool scattered);
void machine_deinit(machine_t *machine);
// Host memory of one byte (LM or DRAM), or NULL.
uint8_t *machine_at(const machine_t *machine, uint64_t va);
void machine_copy(machine_t *to, const machine_t *from);
bool machine_issue(machine_t *machine, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                   uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault);
const sim_engine_set_t *machine_set(const char *name);

// Elements by device address; `sub` numbers those of a packed byte. Any alignment, any page.
double machine_load(const machine_t *machine, dtype_t type, uint64_t va, uint64_t sub);
int64_t machine_load_int(const machine_t *machine, dtype_t type, uint64_t va, uint64_t sub);
uint64_t machine_load_bits(const machine_t *machine, dtype_t type, uint64_t va, uint64_t sub);
void machine_store_bits(machine_t *machine, dtype_t type, uint64_t va, uint64_t sub, uint64_t bits);
void machine_store(machine_t *machine, dtype_t type, uint64_t va, uint64_t sub, double value);

#endif
