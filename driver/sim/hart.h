// SPDX-License-Identifier: Apache-2.0
// A hart: an interpreter of RV64IMAFDC in user mode, with Xaccel's opcodes handed to its owner.
//
// It decodes basic blocks into arrays of operations, each with the function that does it, and
// keeps them until a flush: code pages are never writable, so nothing else can make them stale.
// A hart is used by one thread at a time; only sim_hart_request may come from another.
#ifndef SIM_HART_H
#define SIM_HART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "isa/card.h"
#include "support/status.h"

typedef struct sim_hart sim_hart_t;

// Classes of instructions, by which `cycles` are counted.
typedef enum sim_class {
    SIM_CLASS_INT,
    SIM_CLASS_MUL,
    SIM_CLASS_DIV,
    SIM_CLASS_LOAD,
    SIM_CLASS_STORE,
    SIM_CLASS_BRANCH,
    SIM_CLASS_ATOMIC,
    SIM_CLASS_FLOAT,
    SIM_CLASS_FLOAT_DIV,
    SIM_CLASS_SYSTEM,
    SIM_CLASS_CUSTOM,
    SIM_CLASS_COUNT
} sim_class_t;

typedef enum sim_stop {
    SIM_STOP_NONE,
    SIM_STOP_BUDGET,  // max_instructions were retired
    SIM_STOP_ECALL,   // retired; pc stands behind it
    SIM_STOP_EBREAK,  // pc stands at it
    SIM_STOP_FAULT,   // pc stands at the instruction; sim_hart_fault tells
    SIM_STOP_BLOCKED, // pc stands at a custom instruction that cannot go on yet
    SIM_STOP_REQUEST  // sim_hart_request was called
} sim_stop_t;

typedef struct sim_hart_fault {
    isa_fault_t cause;
    isa_access_t access;
    uint64_t va;
    uint64_t value; // as isa/card.def says for the cause
} sim_hart_fault_t;

typedef enum sim_custom { SIM_CUSTOM_CONTINUE, SIM_CUSTOM_BLOCKED, SIM_CUSTOM_FAULT } sim_custom_t;

// Does a custom instruction: reads registers with sim_hart_x and writes with sim_hart_set_x. It
// sees the pc of the instruction. For FAULT it calls sim_hart_set_fault first. It must not flush.
// Host floating-point flags and rounding are its own while it runs.
typedef sim_custom_t (*sim_custom_fn_t)(void *user, sim_hart_t *hart, uint64_t operand);

typedef struct sim_hart_config {
    void *user;
    // Host memory of the 4 KiB page that holds `va`, good for `access` until the next flush; or a
    // cause, with *out_value as isa/card.def says.
    isa_fault_t (*translate)(void *user, uint64_t va, isa_access_t access, uint8_t **out_page,
                             uint64_t *out_value);
    // Optional. Called once for each custom-0..3 instruction decoded; false: illegal.
    bool (*custom_decode)(void *user, uint32_t word, sim_custom_fn_t *out_fn,
                          uint64_t *out_operand);
    // SIM_CLASS_COUNT costs, in a unit of the owner's; NULL: 1 each. Outlives the hart.
    const uint32_t *class_cost;
} sim_hart_config_t;

// The whole architectural state, at an instruction boundary.
typedef struct sim_hart_state {
    uint64_t x[32];
    uint64_t f[32]; // narrower values are NaN-boxed
    uint64_t pc;
    uint64_t instret, cycles;
    uint64_t reservation; // address of the load reservation; all ones: none
    uint32_t fcsr;
} sim_hart_state_t;

WARN_UNUSED status_t sim_hart_create(const sim_hart_config_t *config, sim_hart_t **out_hart);
void sim_hart_destroy(sim_hart_t *hart); // NULL is harmless

// Runs until something stops it, at most `max_instructions`.
sim_stop_t sim_hart_run(sim_hart_t *hart, uint64_t max_instructions);
// Makes the present or next run return SIM_STOP_REQUEST at the next block boundary. Any thread.
void sim_hart_request(sim_hart_t *hart);

// Valid after SIM_STOP_FAULT.
const sim_hart_fault_t *sim_hart_fault(const sim_hart_t *hart);
void sim_hart_set_fault(sim_hart_t *hart, sim_hart_fault_t fault);

// Between runs. A restored hart holds no reservation.
void sim_hart_save(const sim_hart_t *hart, sim_hart_state_t *out_state);
void sim_hart_restore(sim_hart_t *hart, const sim_hart_state_t *state);

// Between runs. `flush` forgets every translation and all decoded code: call it when the address
// space or the code changed. `flush_data` keeps the code: enough when only data was remapped.
void sim_hart_flush(sim_hart_t *hart);
void sim_hart_flush_data(sim_hart_t *hart);

// Any time on the hart's thread, also inside a custom instruction (which is not counted yet).
uint64_t sim_hart_x(const sim_hart_t *hart, uint32_t index);
void sim_hart_set_x(sim_hart_t *hart, uint32_t index, uint64_t value); // x0 stays 0
uint64_t sim_hart_pc(const sim_hart_t *hart);
void sim_hart_set_pc(sim_hart_t *hart, uint64_t pc); // between runs
uint64_t sim_hart_instret(const sim_hart_t *hart);
uint64_t sim_hart_cycles(const sim_hart_t *hart);

#endif
