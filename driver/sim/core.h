// SPDX-License-Identifier: Apache-2.0
// A core: hart, local memory, engines' staging descriptors and ticket counters. It is a state
// machine that runs in slices: a slice ends when the hart's budget is used up, when the core waits
// at a barrier, or when it or its gang stops. A core is used by one thread at a time.
//
// Engines here run each issue to completion at issue, in program order: the contract says that
// this is always a legal schedule. So a ticket is complete as soon as it is issued.
#ifndef SIM_CORE_H
#define SIM_CORE_H

#include "driver/sim/card.h"
#include "driver/sim/engine.h"
#include "driver/sim/hart.h"
#include "isa/cost.h"
#include "isa/xaccel.h"

struct sim_log; // timing.h

typedef enum sim_core_state {
    SIM_CORE_READY,
    SIM_CORE_BARRIER, // arrived; goes on when the gang's epoch moves from `epoch`
    SIM_CORE_PASSED,  // the barrier at pc is complete, the instruction is not
    SIM_CORE_HEAP,    // its heap call waits for the owner
    SIM_CORE_ENDED,
} sim_core_state_t;

// What a core did in one launch (or since its resume), and at its last mark.
typedef struct sim_core_counts {
    uint64_t instructions;
    uint64_t cycles[XA_ENGINE_COUNT], issues[XA_ENGINE_COUNT];
    uint64_t dram_bytes, macs, fallbacks, host_ns;
} sim_core_counts_t;

typedef struct sim_core {
    sim_gang_t *gang;
    uint32_t index;
    sim_core_state_t state;
    uint64_t epoch;
    sim_hart_t *hart;
    uint8_t *lm;
    uint64_t
        lm_hart; // bytes of LM that the hart may have written: its translations outlive a launch
    sim_tlb_t tlb;
    uint64_t code_generation, data_generation, code_root; // what the hart's caches stand on
    uint16_t code_asid;

    xa_desc_t desc[XA_ENGINE_COUNT];
    uint64_t tickets[XA_ENGINE_COUNT];
    uint64_t after[XA_ENGINE_COUNT][XA_ENGINE_COUNT]; // [queue][engine], for the next issue
    uint64_t barriers;
    sim_engine_ctx_t engine;
    bool engine_open;

    // The quantum of the run: what is left of it at the gang's start.
    uint64_t cycle_limit, instruction_limit; // of an engine and of the hart; UINT64_MAX: none
    bool spent;                              // an engine reached its limit
    bool expired;                            // parked until the gang is continued
    _Atomic uint64_t beats;                  // slices and issues: HEARTBEAT; its own thread counts

    uint64_t heap_need;
    uint64_t onnx_node;                    // last mark, or all ones
    uint64_t instret_base, fallbacks_base; // of the hart and the engines at the launch's start
    sim_core_counts_t counts, marked;
    struct sim_log *log; // timing mode
} sim_core_t;

WARN_UNUSED status_t sim_core_create(sim_gang_t *gang, uint32_t index, sim_core_t **out_core);
void sim_core_destroy(sim_core_t *core); // NULL is harmless
// State at the start of a program (isa/program.h).
void sim_core_start(sim_core_t *core, const isa_ib_launch_t *packet, uint32_t n_cores);
// Before a launch or resume: forgets translations that are no longer good; clears LM, tickets,
// descriptors and counts.
void sim_core_clear(sim_core_t *core);
void sim_core_check_caches(sim_core_t *core);      // the first of these alone
uint64_t sim_core_lm_used(const sim_core_t *core); // bytes of LM from its start, the rest is zero
// One slice.
void sim_core_run(sim_core_t *core);
uint64_t sim_core_pc(const sim_core_t *core);
static inline void sim_core_beat(sim_core_t *core) {
    uint64_t beats = atomic_load_explicit(&core->beats, memory_order_relaxed);
    atomic_store_explicit(&core->beats, beats + 1, memory_order_relaxed);
}
void sim_core_fault(sim_core_t *core, uint32_t engine, uint32_t insn, const sim_fault_t *fault);

// Memory as the hart (LM and page tables) and an engine (SRAM too) see it.
void *sim_core_resolve(sim_core_t *core, uint64_t va, uint64_t wanted, isa_access_t access,
                       bool engine, uint64_t *out_run, sim_fault_t *out_fault);

// --- xaccel.c ---

bool sim_xaccel_decode(void *core, uint32_t word, sim_custom_fn_t *out_fn, uint64_t *out_operand);

// --- issue.c: the way to the engine set ---

WARN_UNUSED status_t sim_issue_init(sim_core_t *core);
void sim_issue_deinit(sim_core_t *core);
// Does the issue with the staging descriptor of its engine. False: *out_fault tells.
WARN_UNUSED bool sim_issue(sim_core_t *core, xa_insn_t insn, uint64_t rs1, uint64_t rs2,
                           uint64_t rs3, sim_fault_t *out_fault);
// LM as it should be, before anything but an engine looks at it.
void sim_issue_settle(sim_core_t *core);
// LM was cleared or restored.
void sim_issue_forget(sim_core_t *core);
// Issues since the card was made that the engine set handed to ref.
uint64_t sim_core_fallbacks(const sim_core_t *core);

// --- ecall.c ---

// Handles the call that the hart stopped behind; false: the slice ends.
bool sim_ecall(sim_core_t *core);

#endif
