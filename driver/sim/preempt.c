// SPDX-License-Identifier: Apache-2.0
// PREEMPT: the normal ring stops and is emptied. The run in work is saved by its own thread
// (ib.c, gang.c), which then comes here; a node between packets answers at once.
#include "driver/sim/card.h"

void sim_preempt_ask(sim_node_t *node, uint32_t token) {
    if (token == 0 || !atomic_load(&node->enabled))
        return;
    atomic_store(&node->token, token);
    sim_node_ask(node, SIM_WANT_PREEMPT);
    sim_node_service(node);
}

// Slots whose doorbell is still on its way are dropped with the rest.
static void drop_slots(sim_node_t *node, sim_ring_t *ring) {
    uint32_t wanted = atomic_load(&node->preempt_tail), tail = atomic_load(&ring->tail);
    uint32_t slots = 1u << ring->force.log2;
    while ((int32_t)(wanted - tail) > 0 && wanted - atomic_load(&ring->head) <= slots &&
           !atomic_compare_exchange_weak(&ring->tail, &tail, wanted)) {
    }
    atomic_store(&ring->head, atomic_load(&ring->tail));
}

void sim_preempt_done(sim_node_t *node, bool saved) {
    sim_ring_t *ring = &node->rings[ISA_RING_NORMAL];
    // In this order: who asks again meanwhile is answered again, or by this entry.
    atomic_fetch_and(&node->want, ~SIM_WANT_PREEMPT);
    uint32_t token = atomic_exchange(&node->token, 0);
    if (token == 0 || !atomic_load(&node->enabled))
        return;
    drop_slots(node, ring);
    sim_completion_t completion = {
        .outcome = {.type = ISA_COMP_PREEMPTED, .info = token | (saved ? ISA_COMP_SAVED : 0)},
        .fence = atomic_load(&ring->done),
        .wanted = true,
        .irq = true,
    };
    sim_irq_complete(node, ISA_RING_NORMAL, &completion);
}
