// SPDX-License-Identifier: Apache-2.0
// Timing: each core logs what it issued, waited for and marked, in program order; one event
// simulator replays the logs of a gang, with queues of the profile's depth and with DRAM and SRAM
// bandwidth shared. It computes in integers, from logs that do not depend on the host's threads,
// so that the same program takes the same cycles on any machine.
#ifndef SIM_TIMING_H
#define SIM_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/sim/card.h"
#include "isa/cost.h"
#include "isa/xaccel.h"

typedef enum sim_log_kind {
    SIM_LOG_ISSUE,
    SIM_LOG_BARRIER, // in queue `engine`
    SIM_LOG_WAIT,    // the hart waits for ticket `after[engine]`
    SIM_LOG_MARK,    // `cycles`: ONNX node
} sim_log_kind_t;

typedef struct sim_log_event {
    uint8_t kind, engine;
    uint16_t insn;         // XA_I_*
    uint32_t instructions; // of the hart since the event before, this one included
    uint32_t cycles, dram_bytes, sram_bytes;
    uint32_t after[XA_ENGINE_COUNT]; // tickets since the log's start; 0: none
} sim_log_event_t;

typedef struct sim_log {
    sim_log_event_t *events;
    uint64_t n_events, capacity;
    uint64_t instructions;             // at the last event
    uint64_t tickets[XA_ENGINE_COUNT]; // at the log's start
    bool failed;                       // out of memory: the replay reports it
} sim_log_t;

sim_log_t *sim_log_create(void); // NULL: out of memory
void sim_log_destroy(sim_log_t *log);
void sim_log_clear(sim_log_t *log, const uint64_t tickets[XA_ENGINE_COUNT]);

// `instructions`: the hart's count since the log's start. `after`: tickets as the program has them.
void sim_log_issue(sim_log_t *log, xa_insn_t insn, uint32_t engine, const isa_cost_t *cost,
                   const uint64_t after[XA_ENGINE_COUNT], uint64_t instructions);
void sim_log_wait(sim_log_t *log, uint32_t engine, uint64_t ticket, uint64_t instructions);
void sim_log_mark(sim_log_t *log, uint64_t onnx_node, uint64_t instructions);

// --- timing_replay.c ---

#define SIM_TICKS   256u       // of a cycle: the unit of the profile's hart_cpi_256
#define SIM_NO_NODE UINT32_MAX // work outside of any ONNX node

typedef struct sim_replay_input {
    const isa_profile_t *profile;
    const sim_log_t *const *logs; // of n_cores
    uint32_t n_cores;
    uint32_t n_nodes;
    uint64_t *node_ticks; // n_nodes; elapsed ticks are added to the ONNX node that they belong to
    // Optional: an op ended; times are ticks since the replay's start.
    void (*op_done)(void *user, uint32_t core, uint32_t engine, uint32_t insn, uint32_t onnx_node,
                    uint64_t start, uint64_t end);
    void *user;
} sim_replay_input_t;

// Ticks until all harts and queues are done. STATUS_NO_MEMORY, also for logs that failed.
WARN_UNUSED status_t sim_replay(const sim_replay_input_t *input, uint64_t *out_ticks);

// --- timing.c ---

// Replays the logs of the gang's launch; adds elapsed cycles to its ONNX nodes' statistics, and
// writes the trace. False: the run's fault is set.
WARN_UNUSED bool sim_timing_replay(sim_gang_t *gang, uint64_t *out_cycles);

// --- trace.c ---

// One piece of work; times in SIM_TICKS since the card was made.
void sim_trace_op(sim_card_t *card, uint32_t core, uint32_t engine, uint32_t insn,
                  uint32_t onnx_node, uint64_t start_tick, uint64_t end_tick);
void sim_trace_end(sim_card_t *card);

#endif
