// SPDX-License-Identifier: Apache-2.0
// Whose turn it is on a hardware node: doorbells, the thread that works for it, what others ask of
// that thread. Nobody waits for a node but CONTROL: requests are bits of `want`, and who finds
// `busy` taken leaves them to its holder, which looks again after it gave it back.
#include <sched.h>
#include <time.h>

#include "driver/sim/card.h"
#include "driver/sim/gang.h"

// How far a thread works before it leaves the rest to others.
typedef struct limit {
    uint32_t ring, tail; // up to this slot; ISA_RING_COUNT: no packets at all
} limit_t;

static uintptr_t self(void) { return (uintptr_t)pthread_self(); }

// --- What there is to do ---

static bool ring_has_packets(const sim_ring_t *ring) {
    return atomic_load(&ring->head) != atomic_load(&ring->tail);
}

static bool packets_due(const sim_node_t *node, const limit_t *limit) {
    const sim_card_t *card = node->card;
    if (!atomic_load(&node->enabled) || atomic_load(&card->stopping) ||
        atomic_load(&card->sleeping) || atomic_load(&node->stuck))
        return false;
    if (limit == NULL)
        return ring_has_packets(&node->rings[ISA_RING_NORMAL]) ||
               ring_has_packets(&node->rings[ISA_RING_HIGH]);
    if (limit->ring >= ISA_RING_COUNT)
        return false;
    const sim_ring_t *ring = &node->rings[limit->ring];
    return ring_has_packets(ring) && (int32_t)(limit->tail - atomic_load(&ring->head)) > 0;
}

static bool work_due(const sim_node_t *node, const limit_t *limit) {
    uint32_t want = atomic_load(&node->want);
    if ((want & SIM_WANT_CARD) != 0)
        return false;
    if ((want & SIM_WANT_RESET) != 0)
        return true;
    if ((want & SIM_WANT_PREEMPT) != 0 && (want & SIM_WANT_HANG) == 0)
        return true;
    return packets_due(node, limit);
}

// A node that hangs takes the next packet into work, and that is the end of it.
static void hang(sim_node_t *node, uint32_t ring) {
    node->abandoned = sim_ring_fence(node, ring);
    atomic_store(&node->stuck, true);
}

static void next_packet(sim_node_t *node) {
    bool high = ring_has_packets(&node->rings[ISA_RING_HIGH]);
    uint32_t ring = high ? ISA_RING_HIGH : ISA_RING_NORMAL;
    if (sim_node_wants(node, SIM_WANT_HANG))
        hang(node, ring);
    else
        sim_ring_next(node, ring);
}

// One thing; false: there is nothing (left) to do.
static bool step(sim_node_t *node, const limit_t *limit) {
    if (!work_due(node, limit))
        return false;
    if (sim_node_wants(node, SIM_WANT_RESET))
        sim_reset_node(node);
    else if (sim_node_wants(node, SIM_WANT_PREEMPT) && !sim_node_wants(node, SIM_WANT_HANG))
        sim_preempt_done(node, false);
    else
        next_packet(node);
    return true;
}

void sim_node_release(sim_node_t *node) {
    atomic_store(&node->busy, false);
    if (atomic_load(&node->card->reset_scope) != SIM_SCOPE_NONE)
        sim_reset_try(node->card);
}

static void work(sim_node_t *node, const limit_t *limit) {
    while (work_due(node, limit) && !atomic_exchange(&node->busy, true)) {
        while (step(node, limit)) {
        }
        sim_node_release(node);
    }
}

// --- The node's own thread ---

static void *node_thread(void *arg) {
    sim_node_t *node = arg;
    (void)pthread_setname_np(pthread_self(), "card node");
    (void)pthread_mutex_lock(&node->lock);
    while (!atomic_load(&node->card->stopping)) {
        if (!node->rung) {
            (void)pthread_cond_wait(&node->wake, &node->lock);
            continue;
        }
        node->rung = false;
        (void)pthread_mutex_unlock(&node->lock);
        work(node, NULL);
        (void)pthread_mutex_lock(&node->lock);
    }
    (void)pthread_mutex_unlock(&node->lock);
    return NULL;
}

static bool thread_wake(sim_node_t *node) {
    (void)pthread_mutex_lock(&node->lock);
    if (!node->has_thread)
        node->has_thread = pthread_create(&node->thread, NULL, node_thread, node) == 0;
    bool ok = node->has_thread;
    node->rung = true;
    (void)pthread_cond_signal(&node->wake);
    (void)pthread_mutex_unlock(&node->lock);
    return ok;
}

static void leave_rest(sim_node_t *node) {
    // Who holds `busy` now looks again later. Without a thread of its own the caller has to do it.
    if (work_due(node, NULL) && !atomic_load(&node->busy) && !thread_wake(node))
        work(node, NULL);
}

void sim_node_service(sim_node_t *node) {
    const limit_t no_packets = {.ring = ISA_RING_COUNT};
    work(node, &no_packets);
    leave_rest(node);
}

// --- Doorbells ---

void sim_node_doorbell(sim_node_t *node, uint32_t ring, uint32_t tail) {
    sim_ring_t *at = &node->rings[ring];
    uint32_t before = atomic_load(&at->tail);
    if (!atomic_load(&node->enabled) || at->force.base == 0 ||
        (tail - atomic_load(&at->head) > 1u << at->force.log2 && (int32_t)(tail - before) > 0)) {
        sim_irq_error(node->card, ISA_ERROR_DOORBELL);
        return;
    }
    // Doorbells of several processors may overtake one another.
    while ((int32_t)(tail - before) > 0 &&
           !atomic_compare_exchange_weak(&at->tail, &before, tail)) {
    }
    if (node->card->options.posted) {
        (void)thread_wake(node);
        return;
    }
    const limit_t limit = {ring, tail};
    work(node, &limit);
    leave_rest(node);
}

// --- What others ask ---

void sim_node_ask(sim_node_t *node, uint32_t want) {
    atomic_fetch_or(&node->want, want);
    if (node->index == ISA_NODE_COMPUTE)
        sim_gang_poke(node->card->gang);
}

void sim_node_sync_point(sim_node_t *node) {
    if (!sim_node_wants(node, SIM_WANT_SYNC))
        return;
    atomic_fetch_and(&node->want, ~SIM_WANT_SYNC);
    atomic_store(&node->synced, atomic_load(&node->sync_asked));
}

// A thread that is itself at work for the node cannot wait for it.
static bool may_wait(sim_node_t *node) {
    bool own = atomic_load(&node->worker) == self() ||
               (node->index == ISA_NODE_COMPUTE && sim_gang_is_worker(node->card->gang));
    return atomic_load(&node->exposed) && !own;
}

static void pause_for(uint32_t *turns) {
    const struct timespec nap = {0, 20000};
    if (++*turns < 200)
        (void)sched_yield();
    else
        (void)nanosleep(&nap, NULL);
}

void sim_node_sync_all(sim_card_t *card) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        sim_node_t *node = &card->nodes[i];
        uint32_t turns = 0;
        if (!atomic_load(&node->exposed))
            continue; // what begins later begins with translations of later
        uint64_t ticket = atomic_fetch_add(&node->sync_asked, 1) + 1;
        sim_node_ask(node, SIM_WANT_SYNC);
        while (may_wait(node) && atomic_load(&node->synced) < ticket)
            pause_for(&turns);
    }
}

void sim_node_quiet_all(sim_card_t *card) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        uint32_t turns = 0;
        while (may_wait(&card->nodes[i]))
            pause_for(&turns);
    }
}

// --- Time that stands still ---

#define RAN_NS 1000000u // processor time of a thread that runs, between two looks at it

// Since the last call, or a thread that is no more.
static bool worker_ran(sim_node_t *node) {
    struct timespec used;
    if (clock_gettime(atomic_load(&node->worker_clock), &used) != 0)
        return false;
    uint64_t now = (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    bool ran = now - node->held_seen_ns >= RAN_NS;
    node->held_seen_ns = now;
    return ran;
}

uint32_t sim_node_held(sim_node_t *node) {
    bool busy = atomic_load(&node->busy), hangs = sim_node_wants(node, SIM_WANT_HANG);
    bool has_work = busy || (packets_due(node, NULL) && !hangs);
    if (has_work && !(atomic_load(&node->exposed) && worker_ran(node)))
        node->held++;
    return node->held;
}

// --- On and off ---

static bool regs_valid(const sim_ring_regs_t *regs) {
    return regs->base != 0 && regs->base % 64 == 0 && regs->log2 >= 1 &&
           regs->log2 <= ISA_RING_MAX_LOG2;
}

static bool registers_take(sim_node_t *node) {
    sim_ring_t *high = &node->rings[ISA_RING_HIGH];
    (void)pthread_mutex_lock(&node->card->lock);
    bool valid = !atomic_load(&node->resetting) && regs_valid(&node->comp_regs) &&
                 regs_valid(&node->rings[ISA_RING_NORMAL].regs) &&
                 (high->regs.base == 0 || regs_valid(&high->regs));
    for (uint32_t i = 0; valid && i < ISA_RING_COUNT; i++)
        node->rings[i].force = node->rings[i].regs;
    node->comp = node->comp_regs;
    (void)pthread_mutex_unlock(&node->card->lock);
    return valid;
}

void sim_node_enable(sim_node_t *node, bool enable) {
    if (atomic_load(&node->enabled) == enable)
        return;
    if (!enable) {
        uint32_t turns = 0;
        atomic_store(&node->enabled, false);
        while (atomic_load(&node->busy)) // the packet in work ends first
            pause_for(&turns);
        return;
    }
    if (!registers_take(node)) {
        sim_irq_error(node->card, ISA_ERROR_CONFIG);
        return;
    }
    for (uint32_t i = 0; i < ISA_RING_COUNT; i++) {
        sim_ring_t *ring = &node->rings[i];
        atomic_store(&ring->head, 0);
        atomic_store(&ring->tail, 0);
        atomic_store(&ring->armed, 0);
    }
    atomic_store(&node->comp_tail, 0);
    atomic_store(&node->preempt_tail, 0);
    atomic_fetch_and(&node->want, ~SIM_WANT_PREEMPT);
    atomic_store(&node->enabled, true);
}

// --- Construction ---

status_t sim_node_init(sim_card_t *card, uint32_t index) {
    sim_node_t *node = &card->nodes[index];
    node->card = card;
    node->index = index;
    RETURN_IF_ERROR(sim_pages_init(&node->pages));
    if (pthread_mutex_init(&node->lock, NULL) != 0 || pthread_cond_init(&node->wake, NULL) != 0)
        return STATUS_NO_MEMORY;
    return !card->options.posted || thread_wake(node) ? STATUS_OK : STATUS_NO_MEMORY;
}

void sim_node_deinit(sim_node_t *node) {
    if (node->card == NULL)
        return; // never initialised
    if (node->has_thread) {
        (void)pthread_mutex_lock(&node->lock);
        (void)pthread_cond_signal(&node->wake);
        (void)pthread_mutex_unlock(&node->lock);
        (void)pthread_join(node->thread, NULL);
    }
    (void)pthread_cond_destroy(&node->wake);
    (void)pthread_mutex_destroy(&node->lock);
    sim_pages_deinit(&node->pages);
}
