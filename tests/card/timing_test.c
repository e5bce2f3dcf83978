// SPDX-License-Identifier: Apache-2.0
// The event simulator on logs written by hand, whose cycles can be told beforehand; then launches
// in timing mode, which take the same cycles whatever the host's threads do.
#include <string.h>

#include "driver/sim/timing.h"
#include "tests/card/launch.h"

static const uint64_t no_after[XA_ENGINE_COUNT];

typedef struct bench {
    isa_profile_t profile; // one cycle an instruction, 64 bytes of DRAM a cycle
    sim_log_t *logs[4];
    uint64_t ticks[8];
} bench_t;

static void bench_init(bench_t *bench) {
    memset(bench, 0, sizeof *bench);
    bench->profile = *isa_profile_find("edge");
    bench->profile.hart_cpi_256 = 256;
    bench->profile.queue_depth = 4;
    for (int i = 0; i < 4; i++)
        CHECK((bench->logs[i] = sim_log_create()) != NULL);
}

static void bench_deinit(bench_t *bench) {
    for (int i = 0; i < 4; i++)
        sim_log_destroy(bench->logs[i]);
}

// Replays and clears the logs; returns cycles.
static uint64_t run(bench_t *bench, uint32_t n_cores) {
    uint64_t ticks, sum = 0;
    memset(bench->ticks, 0, sizeof bench->ticks);
    sim_replay_input_t input = {.profile = &bench->profile,
                                .logs = (const sim_log_t *const *)bench->logs,
                                .n_cores = n_cores,
                                .n_nodes = 8,
                                .node_ticks = bench->ticks};
    CHECK(sim_replay(&input, &ticks) == STATUS_OK);
    for (int i = 0; i < 8; i++)
        sum += bench->ticks[i];
    CHECK(sum <= ticks);
    for (int i = 0; i < 4; i++)
        sim_log_clear(bench->logs[i], no_after);
    return (ticks + SIM_TICKS - 1) / SIM_TICKS;
}

static void issue_op(sim_log_t *log, uint32_t engine, uint64_t cycles, uint64_t dram,
                     uint64_t after_dmai, uint64_t at) {
    isa_cost_t cost = {.cycles = cycles, .dram_bytes = dram};
    uint64_t after[XA_ENGINE_COUNT] = {[XA_DMAI] = after_dmai};
    xa_insn_t insn = engine == XA_MAT ? XA_I_MAT_MUL : XA_I_DMA_IN;
    sim_log_issue(log, insn, engine, &cost, after, at);
}

static void test_queues(bench_t *bench) {
    sim_log_t *log = bench->logs[0];
    // Independent engines overlap; the hart takes one cycle for each issue.
    issue_op(log, XA_DMAI, 1000, 0, 0, 1);
    issue_op(log, XA_MAT, 1000, 0, 0, 2);
    CHECK_EQUAL(run(bench, 1), 1002);
    // A dependency puts them one behind the other.
    issue_op(log, XA_DMAI, 1000, 0, 0, 1);
    issue_op(log, XA_MAT, 500, 0, 1, 2);
    CHECK_EQUAL(run(bench, 1), 1501);
    // Two buffers: loads run ahead of the products that use them.
    for (uint64_t i = 0; i < 10; i++) {
        issue_op(log, XA_DMAI, 100, 0, 0, 2 * i + 1);
        issue_op(log, XA_MAT, 100, 0, i + 1, 2 * i + 2);
    }
    CHECK_EQUAL(run(bench, 1), 1101);
    // A wait holds the hart: nothing overlaps.
    for (uint64_t i = 0; i < 10; i++) {
        issue_op(log, XA_DMAI, 100, 0, 0, 3 * i + 1);
        sim_log_wait(log, XA_DMAI, i + 1, 3 * i + 2);
        issue_op(log, XA_MAT, 50, 0, 0, 3 * i + 3);
    }
    CHECK_EQUAL(run(bench, 1), 10 * 102 + 50 - 1 + 1);
    // The hart fills a queue of four, then waits for room.
    for (uint64_t i = 0; i < 6; i++)
        issue_op(log, XA_VEC, 100, 0, 0, i + 1);
    sim_log_mark(log, 0, 106);
    CHECK_EQUAL(run(bench, 1), 601); // the mark comes at 201 + 100
    for (uint64_t i = 0; i < 6; i++)
        issue_op(log, XA_VEC, 100, 0, 0, i + 1);
    sim_log_mark(log, 0, 1006);
    CHECK_EQUAL(run(bench, 1), 201 + 1000);
}

static void test_sharing(bench_t *bench) {
    // Two transfers at the memory's full rate take twice as long; the third needs none of it.
    issue_op(bench->logs[0], XA_DMAI, 1000, 64000, 0, 1);
    issue_op(bench->logs[0], XA_DMAO, 1000, 64000, 0, 1);
    issue_op(bench->logs[0], XA_VEC, 1000, 0, 0, 1);
    CHECK_EQUAL(run(bench, 1), 2001);
    // On two cores the same; with memory of their own, they do not meet.
    for (int i = 0; i < 2; i++)
        issue_op(bench->logs[i], XA_DMAI, 1000, 64000, 0, 1);
    CHECK_EQUAL(run(bench, 2), 2001);
    bench->profile.dram_per_core = 1;
    for (int i = 0; i < 2; i++)
        issue_op(bench->logs[i], XA_DMAI, 1000, 64000, 0, 1);
    CHECK_EQUAL(run(bench, 2), 1001);
    bench->profile.dram_per_core = 0;
    // Half rates fit together; the longer one speeds up when the shorter ends.
    issue_op(bench->logs[0], XA_DMAI, 1000, 32000, 0, 1);
    issue_op(bench->logs[1], XA_DMAI, 1000, 32000, 0, 1);
    CHECK_EQUAL(run(bench, 2), 1001);
    issue_op(bench->logs[0], XA_DMAI, 1000, 64000, 0, 1);
    issue_op(bench->logs[1], XA_DMAI, 500, 32000, 0, 1);
    CHECK_EQUAL(run(bench, 2), 1501);
}

static void barrier_op(sim_log_t *log, uint32_t queue, uint64_t at) {
    isa_cost_t cost = {.cycles = 10};
    sim_log_issue(log, XA_I_BARRIER, queue, &cost, no_after, at);
}

static void test_barriers(bench_t *bench) {
    // Core 1 comes late; core 0's next load does not wait for it, its store does.
    issue_op(bench->logs[0], XA_DMAO, 100, 0, 0, 1);
    barrier_op(bench->logs[0], XA_DMAO, 2);
    issue_op(bench->logs[0], XA_DMAI, 900, 0, 0, 3);
    issue_op(bench->logs[0], XA_DMAO, 100, 0, 0, 4);
    issue_op(bench->logs[1], XA_DMAO, 800, 0, 0, 1);
    barrier_op(bench->logs[1], XA_DMAO, 2);
    CHECK_EQUAL(run(bench, 2), 801 + 10 + 100);
    // One that never comes (a gang that was stopped) does not hang the replay.
    barrier_op(bench->logs[0], XA_DMAO, 1);
    issue_op(bench->logs[1], XA_DMAO, 800, 0, 0, 1);
    CHECK_EQUAL(run(bench, 2), 811);
}

static void test_nodes(bench_t *bench) {
    sim_log_t *log = bench->logs[0];
    sim_log_mark(log, 3, 0);
    issue_op(log, XA_DMAI, 100, 0, 0, 1);
    sim_log_mark(log, 4, 1);
    issue_op(log, XA_MAT, 100, 0, 1, 2); // starts after node 3's load
    sim_log_mark(log, 5, 2);
    sim_log_wait(log, XA_MAT, 1, 12);
    sim_log_mark(log, 5, 52);
    uint64_t ticks[8];
    CHECK_EQUAL(run(bench, 1), 201 + 40);
    memcpy(ticks, bench->ticks, sizeof ticks);
    CHECK_EQUAL(ticks[3], 101 * SIM_TICKS);
    CHECK_EQUAL(ticks[4], 100 * SIM_TICKS);
    CHECK_EQUAL(ticks[5], 40 * SIM_TICKS);
}

// Barriers in a loop, with a share of work that depends on the core.
static void barrier_program(program_t *p) {
    li(p, S0, 50);
    uint32_t round = p->n;
    slli(p, T0, A1, 4);
    addi(p, T0, T0, 5);
    uint32_t work = p->n;
    addi(p, T0, T0, -1);
    bne(p, T0, ZERO, work);
    barrier(p, T1, XA_DMAO);
    wait_ticket(p, T1, XA_DMAO);
    addi(p, S0, S0, -1);
    bne(p, S0, ZERO, round);
    finish(p, 0);
}

static uint64_t launch_cycles(uint32_t threads, bool trace) {
    owner_t owner;
    launch_t launch;
    program_t p = {.n = 0};
    owner_start(&owner,
                &(owner_options_t){.cores = 4, .threads = threads, .timing = true, .trace = trace});
    launch_init(&launch, &owner);
    CHECK(owner_reg(&owner, ISA_REG_FEATURES) & ISA_FEATURE_TIMING);
    barrier_program(&p);
    isa_completion_t entry = launch_run(&launch, &p, 4);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    CHECK_EQUAL(launch.stats[0].cycles, entry.info);
    CHECK_EQUAL(owner_reg(&owner, ISA_NODE_REG_AT(0, CYCLES_LO)), entry.info);
    if (trace) {
        size_t n_ops = 0;
        for (const char *at = owner.trace; (at = strstr(at, "\"xa.barrier\"")) != NULL; at++)
            n_ops++;
        CHECK_EQUAL(n_ops, 50 * 4);
        CHECK(owner.trace[0] == '[' && strstr(owner.trace, "\"name\":\"dmao\"") != NULL);
    }
    owner_stop(&owner);
    return entry.info;
}

static void test_launches(void) {
    const isa_profile_t *profile = isa_profile_find("edge");
    uint64_t cycles = launch_cycles(1, true);
    // The slowest core sets the pace: its instructions, and a barrier's cycles each round, in which
    // the waiting instruction hides.
    uint64_t instructions = 50 * (2 + 2 * (5 + 3 * 16) + 3);
    uint64_t expected = isa_cost_hart(instructions, profile) + 50 * profile->issue_cycles;
    CHECK(cycles >= expected && cycles <= expected + 100);
    CHECK_EQUAL(launch_cycles(2, false), cycles);
    CHECK_EQUAL(launch_cycles(4, false), cycles);
}

int main(void) {
    bench_t bench;
    bench_init(&bench);
    test_queues(&bench);
    test_sharing(&bench);
    test_barriers(&bench);
    test_nodes(&bench);
    bench_deinit(&bench);
    test_launches();
    return 0;
}
