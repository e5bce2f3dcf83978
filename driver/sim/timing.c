// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/timing.h"

#include <stdlib.h>
#include <string.h>

#include "driver/sim/gang.h"

#define TICKS      256u       // of a cycle: the unit of the profile's hart_cpi_256
#define FULL_SPEED 65536u     // of an op that shares nothing
#define NO_NODE    UINT32_MAX // work outside of any ONNX node
#define NEVER      UINT64_MAX

// --- Logs ---

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
        event->cycles = onnx_node < NO_NODE ? (uint32_t)onnx_node : NO_NODE;
}

// --- Replay ---

typedef struct op {
    const sim_log_event_t *event;
    uint32_t node;
    uint64_t order; // of issue in its core
} op_t;

typedef struct queue {
    op_t *ops; // a ring of the profile's depth
    uint32_t first, n_ops;
    uint64_t done;      // tickets completed
    bool active;        // the first op has started
    bool gathered;      // it is a barrier and waits for the other cores
    uint64_t remaining; // of the first op: ticks * FULL_SPEED
    uint32_t speed;
    uint64_t started;
} queue_t;

typedef struct core_sim {
    const sim_log_t *log;
    uint64_t next; // event
    uint64_t time; // ticks at which the hart is ready for it (its instructions included)
    bool counted;  // its instructions were added to `time`
    bool blocked;  // by a wait or a full queue; looked at again when an op completes
    uint32_t node;
    uint64_t order;
    queue_t queues[XA_ENGINE_COUNT];
} core_sim_t;

typedef struct replay {
    sim_gang_t *gang;
    const isa_profile_t *profile;
    uint32_t n_cores, depth;
    uint64_t now, base;
    core_sim_t *cores;
    op_t *ops;
    uint64_t *node_ticks; // by ONNX node, when statistics are wanted
    uint32_t n_nodes;
} replay_t;

static bool ticket_done(const core_sim_t *core, const sim_log_event_t *event) {
    bool done = true;
    for (uint32_t i = 0; i < XA_ENGINE_COUNT; i++)
        done = done && core->queues[i].done >= event->after[i];
    return done;
}

// One event of the hart; false: it has to wait.
static bool hart_event(replay_t *replay, core_sim_t *core, const sim_log_event_t *event) {
    queue_t *queue = &core->queues[event->engine];
    switch ((sim_log_kind_t)event->kind) {
    case SIM_LOG_MARK:
        core->node = event->cycles;
        return true;
    case SIM_LOG_WAIT:
        return ticket_done(core, event);
    case SIM_LOG_ISSUE:
    case SIM_LOG_BARRIER:
        break;
    }
    if (queue->n_ops == replay->depth)
        return false;
    queue->ops[(queue->first + queue->n_ops++) % replay->depth] =
        (op_t){event, core->node, core->order++};
    return true;
}

static void hart_advance(replay_t *replay, core_sim_t *core) {
    while (core->next < core->log->n_events) {
        const sim_log_event_t *event = &core->log->events[core->next];
        if (!core->counted) {
            core->time += (uint64_t)event->instructions * replay->profile->hart_cpi_256;
            core->counted = true;
        }
        if (core->time > replay->now)
            return;
        core->blocked = !hart_event(replay, core, event);
        if (core->blocked)
            return;
        // A hart that waited goes on from now.
        core->time = event->kind == SIM_LOG_MARK ? core->time : replay->now;
        core->counted = false;
        core->next++;
    }
}

static void queue_start(replay_t *replay, core_sim_t *core, queue_t *queue) {
    if (queue->active || queue->gathered || queue->n_ops == 0)
        return;
    const sim_log_event_t *event = queue->ops[queue->first].event;
    if (!ticket_done(core, event))
        return;
    queue->started = replay->now;
    queue->remaining = (uint64_t)event->cycles * TICKS * FULL_SPEED;
    queue->gathered = event->kind == SIM_LOG_BARRIER && replay->n_cores > 1;
    queue->active = !queue->gathered;
}

// All cores wait at the same queue's barrier: it takes its cycles and completes.
static void release_barrier(replay_t *replay, uint32_t engine, bool force) {
    uint32_t gathered = 0;
    for (uint32_t i = 0; i < replay->n_cores; i++)
        gathered += replay->cores[i].queues[engine].gathered;
    if (gathered != replay->n_cores && !force)
        return;
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        queue_t *queue = &replay->cores[i].queues[engine];
        queue->active = queue->active || queue->gathered;
        queue->gathered = false;
    }
}

// Bytes that the op would move in 2^16 ticks if it had the memory for itself.
static uint64_t demand(uint32_t bytes, uint32_t cycles) {
    return cycles == 0 ? 0 : ((uint64_t)bytes << 16) / ((uint64_t)cycles * TICKS);
}

typedef struct load {
    uint64_t dram, sram;
} load_t;

static load_t core_load(const core_sim_t *core) {
    load_t load = {0};
    for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++) {
        const queue_t *queue = &core->queues[e];
        if (!queue->active)
            continue;
        const sim_log_event_t *event = queue->ops[queue->first].event;
        load.dram += demand(event->dram_bytes, event->cycles);
        load.sram += demand(event->sram_bytes, event->cycles);
    }
    return load;
}

static uint32_t shared_speed(uint64_t wanted, uint64_t bytes_per_cycle) {
    uint64_t limit = (bytes_per_cycle << 16) / TICKS;
    if (wanted <= limit)
        return FULL_SPEED;
    uint64_t speed = limit * FULL_SPEED / wanted;
    return speed != 0 ? (uint32_t)speed : 1;
}

static void core_speeds(replay_t *replay, core_sim_t *core, uint64_t dram, uint32_t sram_speed) {
    uint32_t dram_speed = shared_speed(dram, replay->profile->dram_bytes_per_cycle);
    for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++) {
        queue_t *queue = &core->queues[e];
        if (!queue->active)
            continue;
        const sim_log_event_t *event = queue->ops[queue->first].event;
        queue->speed = FULL_SPEED;
        if (event->dram_bytes != 0 && dram_speed < queue->speed)
            queue->speed = dram_speed;
        if (event->sram_bytes != 0 && sram_speed < queue->speed)
            queue->speed = sram_speed;
    }
}

// Ops in work slow down by the same factor when together they want more than a memory gives.
static void share_memories(replay_t *replay) {
    load_t total = {0};
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        load_t load = core_load(&replay->cores[i]);
        total.dram += load.dram;
        total.sram += load.sram;
    }
    uint32_t sram_speed = shared_speed(total.sram, replay->profile->sram_bytes_per_cycle);
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        core_sim_t *core = &replay->cores[i];
        uint64_t dram = replay->profile->dram_per_core ? core_load(core).dram : total.dram;
        core_speeds(replay, core, dram, sram_speed);
    }
}

static uint64_t next_time(const replay_t *replay) {
    uint64_t next = NEVER;
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        const core_sim_t *core = &replay->cores[i];
        if (core->next < core->log->n_events && !core->blocked && core->time < next)
            next = core->time;
        for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++) {
            const queue_t *queue = &core->queues[e];
            if (!queue->active)
                continue;
            uint64_t end = replay->now + (queue->remaining + queue->speed - 1) / queue->speed;
            next = end < next ? end : next;
        }
    }
    return next;
}

// Elapsed time belongs to the node of core 0's oldest op in work, or of its hart.
static void charge_node(replay_t *replay, uint64_t ticks) {
    const core_sim_t *core = &replay->cores[0];
    uint32_t node = core->node;
    uint64_t oldest = NEVER;
    for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++) {
        const queue_t *queue = &core->queues[e];
        const op_t *op = &queue->ops[queue->first];
        if ((queue->active || queue->gathered) && op->order < oldest) {
            oldest = op->order;
            node = op->node;
        }
    }
    if (node < replay->n_nodes)
        replay->node_ticks[node] += ticks;
}

static void queue_complete(replay_t *replay, uint32_t core, uint32_t engine) {
    queue_t *queue = &replay->cores[core].queues[engine];
    const op_t *op = &queue->ops[queue->first];
    sim_trace_op(replay->gang->card, core, engine, op->event->insn, op->node,
                 replay->base + queue->started, replay->base + replay->now);
    queue->active = false;
    queue->done++;
    queue->first = (queue->first + 1) % replay->depth;
    queue->n_ops--;
    replay->cores[core].blocked = false;
}

static void advance_to(replay_t *replay, uint64_t time) {
    uint64_t passed = time - replay->now;
    charge_node(replay, passed);
    replay->now = time;
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++) {
            queue_t *queue = &replay->cores[i].queues[e];
            if (!queue->active)
                continue;
            uint64_t work = passed * queue->speed;
            queue->remaining = queue->remaining > work ? queue->remaining - work : 0;
            if (queue->remaining == 0)
                queue_complete(replay, i, e);
        }
    }
}

static bool all_ended(const replay_t *replay) {
    bool ended = true;
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        const core_sim_t *core = &replay->cores[i];
        ended = ended && core->next == core->log->n_events;
        for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++)
            ended = ended && core->queues[e].n_ops == 0;
    }
    return ended;
}

static void replay_run(replay_t *replay) {
    while (!all_ended(replay)) {
        for (uint32_t i = 0; i < replay->n_cores; i++) {
            core_sim_t *core = &replay->cores[i];
            hart_advance(replay, core);
            for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++)
                queue_start(replay, core, &core->queues[e]);
        }
        for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++)
            release_barrier(replay, e, false);
        share_memories(replay);
        uint64_t time = next_time(replay);
        // A gang that was stopped (fault, suspension) leaves barriers that not all cores reached.
        if (time == NEVER) {
            for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++)
                release_barrier(replay, e, true);
            share_memories(replay);
            time = next_time(replay);
        }
        if (time == NEVER)
            return;
        advance_to(replay, time);
    }
}

// --- Setting up, results ---

static bool replay_init(replay_t *replay, sim_gang_t *gang) {
    const isa_profile_t *profile = gang->card->profile;
    *replay = (replay_t){
        .gang = gang,
        .profile = profile,
        .n_cores = gang->n_cores,
        .depth = profile->queue_depth != 0 ? profile->queue_depth : 1,
        .base = gang->card->trace_base,
        .n_nodes = gang->run->stats_va != 0 && gang->run->stats_entries != 0
                       ? gang->run->stats_entries - 1
                       : 0,
    };
    bool failed = false;
    for (uint32_t i = 0; i < replay->n_cores; i++)
        failed |= gang->cores[i]->log->failed;
    replay->cores = calloc(replay->n_cores, sizeof *replay->cores);
    replay->ops =
        calloc((size_t)replay->n_cores * XA_ENGINE_COUNT * replay->depth, sizeof *replay->ops);
    replay->node_ticks = calloc((size_t)replay->n_nodes + 1, sizeof *replay->node_ticks);
    if (failed || replay->cores == NULL || replay->ops == NULL || replay->node_ticks == NULL)
        return false;
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        core_sim_t *core = &replay->cores[i];
        core->log = gang->cores[i]->log;
        core->node = NO_NODE;
        for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++)
            core->queues[e].ops = replay->ops + (i * XA_ENGINE_COUNT + e) * replay->depth;
    }
    return true;
}

static bool report_nodes(replay_t *replay) {
    bool ok = true;
    for (uint32_t i = 0; i < replay->n_nodes; i++) {
        isa_node_stats_t stats = {.cycles = replay->node_ticks[i] / TICKS};
        if (stats.cycles != 0)
            ok &= sim_stats_add(replay->gang, 1 + (uint64_t)i, &stats);
    }
    return ok;
}

bool sim_timing_replay(sim_gang_t *gang, uint64_t *out_cycles) {
    replay_t replay;
    bool ok = replay_init(&replay, gang);
    if (ok) {
        replay_run(&replay);
        *out_cycles = (replay.now + TICKS - 1) / TICKS;
        gang->card->trace_base += replay.now;
        ok = report_nodes(&replay);
    } else {
        sim_fault_t fault = {.cause = ISA_FAULT_INTERNAL};
        sim_run_set_fault(gang->run, &fault);
    }
    free(replay.cores);
    free(replay.ops);
    free(replay.node_ticks);
    return ok;
}
