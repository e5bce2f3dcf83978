// SPDX-License-Identifier: Apache-2.0
// Logs: what each core did, in program order.
#include <stdlib.h>
#include <string.h>

#include "driver/sim/timing.h"

sim_log_t *sim_log_create(void) { return calloc(1, sizeof(sim_log_t)); }

void sim_log_destroy(sim_log_t *log) {
    if (log != NULL)
        free(log->events);
    free(log);
}

void sim_log_clear(sim_log_t *log, const uint64_t tickets[XA_ENGINE_COUNT]) {
    log->n_events = 0;
    log->instructions = 0;
    log->failed = false;
    memcpy(log->tickets, tickets, sizeof log->tickets);
}

static sim_log_event_t *append(sim_log_t *log, sim_log_kind_t kind, uint64_t instructions) {
    if (log->n_events == log->capacity) {
        uint64_t capacity = log->capacity != 0 ? log->capacity * 2 : 1024;
        sim_log_event_t *events = realloc(log->events, capacity * sizeof *events);
        if (events == NULL) {
            log->failed = true;
            return NULL;
        }
        log->events = events;
        log->capacity = capacity;
    }
    // A hart that runs 2^32 instructions between two events is slower than any engine anyway.
    uint64_t passed = instructions - log->instructions;
    sim_log_event_t *event = &log->events[log->n_events++];
    *event = (sim_log_event_t){
        .kind = (uint8_t)kind,
        .instructions = passed > UINT32_MAX ? UINT32_MAX : (uint32_t)passed,
    };
    log->instructions = instructions;
    return event;
}

// Tickets from before the log's start are long complete.
static uint32_t since_start(const sim_log_t *log, uint32_t engine, uint64_t ticket) {
    return ticket <= log->tickets[engine] ? 0 : (uint32_t)(ticket - log->tickets[engine]);
}

void sim_log_issue(sim_log_t *log, xa_insn_t insn, uint32_t engine, const isa_cost_t *cost,
                   const uint64_t after[XA_ENGINE_COUNT], uint64_t instructions) {
    bool barrier = insn == XA_I_BARRIER;
    sim_log_event_t *event = append(log, barrier ? SIM_LOG_BARRIER : SIM_LOG_ISSUE, instructions);
    if (event == NULL)
        return;
    event->engine = (uint8_t)engine;
    event->insn = (uint16_t)insn;
    event->cycles = (uint32_t)cost->cycles; // at most 2^17, or the issue would have faulted
    event->dram_bytes = (uint32_t)cost->dram_bytes;
    event->sram_bytes = (uint32_t)cost->sram_bytes;
    for (uint32_t i = 0; i < XA_ENGINE_COUNT; i++)
        event->after[i] = since_start(log, i, after[i]);
}

void sim_log_wait(sim_log_t *log, uint32_t engine, uint64_t ticket, uint64_t instructions) {
    sim_log_event_t *event = append(log, SIM_LOG_WAIT, instructions);
    if (event == NULL)
        return;
    event->engine = (uint8_t)engine;
    event->after[engine] = since_start(log, engine, ticket);
}

void sim_log_mark(sim_log_t *log, uint64_t onnx_node, uint64_t instructions) {
    sim_log_event_t *event = append(log, SIM_LOG_MARK, instructions);
    if (event != NULL)
        event->cycles = onnx_node < SIM_NO_NODE ? (uint32_t)onnx_node : SIM_NO_NODE;
}
