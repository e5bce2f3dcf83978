// SPDX-License-Identifier: Apache-2.0
// Statistics: per ONNX node and launch into the buffer that BUFFERS names, and the node's counters.
#include <string.h>

#include "driver/sim/gang.h"
#include "driver/sim/timing.h"
#include "isa/cost.h"

static uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

// Elapsed cycles of one core if its engines and hart overlap perfectly: what functional mode knows.
static uint64_t overlapped(const isa_node_stats_t *stats) {
    uint64_t cycles = stats->hart_cycles;
    for (uint32_t i = 0; i < XA_ENGINE_COUNT; i++)
        cycles = max_u64(cycles, stats->engine_cycles[i]);
    return cycles;
}

static isa_node_stats_t difference(const sim_gang_t *gang, const sim_core_counts_t *now,
                                   const sim_core_counts_t *then) {
    isa_node_stats_t stats = {
        .hart_instructions = now->instructions - then->instructions,
        .dram_bytes = now->dram_bytes - then->dram_bytes,
        .macs = now->macs - then->macs,
        .host_ns = now->host_ns - then->host_ns,
        .fallbacks = now->fallbacks - then->fallbacks,
    };
    stats.hart_cycles = isa_cost_hart(stats.hart_instructions, gang->card->profile);
    for (uint32_t i = 0; i < XA_ENGINE_COUNT; i++) {
        stats.engine_cycles[i] = now->cycles[i] - then->cycles[i];
        stats.engine_issues[i] = now->issues[i] - then->issues[i];
    }
    return stats;
}

// All fields are counters of 64 bits.
static void add(isa_node_stats_t *to, const isa_node_stats_t *from) {
    uint64_t a[sizeof *to / 8], b[sizeof *to / 8];
    memcpy(a, to, sizeof a);
    memcpy(b, from, sizeof b);
    for (size_t i = 0; i < COUNT_OF(a); i++)
        a[i] += b[i];
    memcpy(to, a, sizeof a);
}

bool sim_stats_add(sim_gang_t *gang, uint64_t entry, const isa_node_stats_t *added) {
    sim_run_t *run = gang->run;
    isa_node_stats_t stats;
    sim_fault_t fault = {0};
    if (run->stats_va == 0 || entry >= run->stats_entries)
        return true;
    uint64_t va = run->stats_va + entry * sizeof stats;
    (void)pthread_mutex_lock(&gang->lock);
    bool ok = sim_mmu_read(&run->space, &gang->tlb, va, &stats, sizeof stats, &fault);
    if (ok) {
        add(&stats, added);
        ok = sim_mmu_write(&run->space, &gang->tlb, va, &stats, sizeof stats, &fault);
    }
    if (!ok)
        sim_run_set_fault(run, &fault);
    (void)pthread_mutex_unlock(&gang->lock);
    return ok;
}

static void core_now(sim_gang_t *gang, sim_core_t *core) {
    core->counts.instructions = sim_hart_instret(core->hart) - core->instret_base;
    core->counts.fallbacks = sim_core_fallbacks(core) - core->fallbacks_base;
    if (core->index == 0) {
        const sim_host_t *host = &gang->card->bus.host;
        core->counts.host_ns = host->clock_ns(host->user) - gang->started_ns;
    }
}

bool sim_stats_mark(sim_gang_t *gang, sim_core_t *core, uint64_t next_node) {
    uint64_t node = core->onnx_node;
    core->onnx_node = next_node;
    if (core->log != NULL)
        sim_log_mark(core->log, next_node, sim_hart_instret(core->hart) - core->instret_base);
    if (gang->run->stats_va == 0)
        return true;
    core_now(gang, core);
    isa_node_stats_t stats = difference(gang, &core->counts, &core->marked);
    core->marked = core->counts;
    if (core->log == NULL && core->index == 0)
        stats.cycles = overlapped(&stats);
    return node >= UINT32_MAX || sim_stats_add(gang, 1 + node, &stats);
}

static void count_node(sim_node_t *node, const isa_node_stats_t *total) {
    uint64_t issues = 0;
    for (uint32_t i = 0; i < XA_ENGINE_COUNT; i++)
        issues += total->engine_issues[i];
    sim_count(&node->instructions, total->hart_instructions);
    sim_count(&node->issues, issues);
    sim_count(&node->dram_bytes, total->dram_bytes);
    sim_count(&node->fallbacks, total->fallbacks);
}

bool sim_stats_launch(sim_gang_t *gang) {
    static const sim_core_counts_t zero;
    isa_node_stats_t total = {0};
    bool ok = true;
    for (uint32_t i = 0; i < gang->n_cores; i++) {
        sim_core_t *core = gang->cores[i];
        ok &= sim_stats_mark(gang, core, core->onnx_node);
        core_now(gang, core);
        isa_node_stats_t stats = difference(gang, &core->counts, &zero);
        total.cycles = max_u64(total.cycles, overlapped(&stats));
        add(&total, &stats);
    }
    gang->run->spent += total.cycles;
    if (gang->card->options.mode == SIM_MODE_TIMING)
        ok &= sim_timing_replay(gang, &total.cycles);
    gang->run->cycles += total.cycles;
    count_node(gang->run->node, &total);
    return sim_stats_add(gang, 0, &total) && ok;
}
