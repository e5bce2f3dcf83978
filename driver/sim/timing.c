// SPDX-License-Identifier: Apache-2.0
// A launch's timing: its cores' logs replayed, and what comes of it.
#include "driver/sim/timing.h"

#include <stdlib.h>

#include "driver/sim/gang.h"

static void op_done(void *user, uint32_t core, uint32_t engine, uint32_t insn, uint32_t onnx_node,
                    uint64_t start, uint64_t end) {
    sim_card_t *card = user;
    sim_trace_op(card, core, engine, insn, onnx_node, card->trace_base + start,
                 card->trace_base + end);
}

static bool report_nodes(sim_gang_t *gang, const sim_replay_input_t *input) {
    bool ok = true;
    for (uint32_t i = 0; i < input->n_nodes; i++) {
        isa_node_stats_t stats = {.cycles = input->node_ticks[i] / SIM_TICKS};
        if (stats.cycles != 0)
            ok &= sim_stats_add(gang, 1 + (uint64_t)i, &stats);
    }
    return ok;
}

static status_t replay_gang(sim_gang_t *gang, sim_replay_input_t *input, uint64_t *out_ticks) {
    const sim_run_t *run = gang->run;
    const sim_log_t *logs[XA_MAX_CORES];
    for (uint32_t i = 0; i < gang->n_cores; i++)
        logs[i] = gang->cores[i]->log;
    *input = (sim_replay_input_t){
        .profile = gang->card->profile,
        .logs = logs,
        .n_cores = gang->n_cores,
        .n_nodes = run->stats_va != 0 && run->stats_entries != 0 ? run->stats_entries - 1 : 0,
        .op_done = gang->card->bus.host.trace != NULL ? op_done : NULL,
        .user = gang->card,
    };
    input->node_ticks = calloc((size_t)input->n_nodes + 1, sizeof *input->node_ticks);
    return input->node_ticks == NULL ? STATUS_NO_MEMORY : sim_replay(input, out_ticks);
}

bool sim_timing_replay(sim_gang_t *gang, uint64_t *out_cycles) {
    sim_replay_input_t input;
    uint64_t ticks = 0;
    bool ok = replay_gang(gang, &input, &ticks) == STATUS_OK;
    if (ok) {
        *out_cycles = (ticks + SIM_TICKS - 1) / SIM_TICKS;
        gang->card->trace_base += ticks;
        ok = report_nodes(gang, &input);
    } else {
        sim_fault_t fault = {.cause = ISA_FAULT_INTERNAL};
        sim_run_set_fault(gang->run, &fault);
    }
    free(input.node_ticks);
    return ok;
}
