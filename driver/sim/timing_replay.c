// SPDX-License-Identifier: Apache-2.0
// The event simulator: replays the logs of a gang's cores together.
#include <stdlib.h>

#include "driver/sim/timing.h"

#define TICKS      SIM_TICKS
#define FULL_SPEED 65536u // of an op that shares nothing
#define NEVER      UINT64_MAX

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
    const sim_replay_input_t *input;
    const isa_profile_t *profile;
    uint32_t n_cores, depth;
    uint64_t now;
    core_sim_t *cores;
    op_t *ops;
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
    if (node < replay->input->n_nodes)
        replay->input->node_ticks[node] += ticks;
}

static void queue_complete(replay_t *replay, uint32_t core, uint32_t engine) {
    queue_t *queue = &replay->cores[core].queues[engine];
    const op_t *op = &queue->ops[queue->first];
    const sim_replay_input_t *input = replay->input;
    if (input->op_done != NULL)
        input->op_done(input->user, core, engine, op->event->insn, op->node, queue->started,
                       replay->now);
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

static bool replay_init(replay_t *replay, const sim_replay_input_t *input) {
    const isa_profile_t *profile = input->profile;
    *replay = (replay_t){
        .input = input,
        .profile = profile,
        .n_cores = input->n_cores,
        .depth = profile->queue_depth != 0 ? profile->queue_depth : 1,
    };
    size_t n_queues = (size_t)replay->n_cores * XA_ENGINE_COUNT;
    replay->cores = calloc(replay->n_cores, sizeof *replay->cores);
    replay->ops = calloc(n_queues * replay->depth, sizeof *replay->ops);
    if (replay->cores == NULL || replay->ops == NULL)
        return false;
    for (uint32_t i = 0; i < replay->n_cores; i++) {
        core_sim_t *core = &replay->cores[i];
        core->log = input->logs[i];
        core->node = SIM_NO_NODE;
        for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++)
            core->queues[e].ops = replay->ops + ((size_t)i * XA_ENGINE_COUNT + e) * replay->depth;
    }
    return true;
}

status_t sim_replay(const sim_replay_input_t *input, uint64_t *out_ticks) {
    replay_t replay;
    bool ok = replay_init(&replay, input);
    for (uint32_t i = 0; i < input->n_cores; i++)
        ok = ok && !input->logs[i]->failed;
    if (ok)
        replay_run(&replay);
    *out_ticks = replay.now;
    free(replay.cores);
    free(replay.ops);
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}
