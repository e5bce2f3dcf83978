// SPDX-License-Identifier: Apache-2.0
// Resets: of a node, of the card, of the function, and what a lost link leaves behind. A reset is
// asked for from any thread and done by one that has the node (or all nodes) to itself, so that
// nobody waits: the asker itself if all is idle, else the thread that leaves its packet for it.
#include "driver/sim/card.h"
#include "driver/sim/gang.h"

// --- A node ---

void sim_reset_node_ask(sim_node_t *node) {
    atomic_store(&node->resetting, true);
    sim_node_ask(node, SIM_WANT_ABORT | SIM_WANT_RESET);
    sim_node_service(node);
}

// Off, without packets, translations or requests.
static void node_clear(sim_node_t *node) {
    atomic_store(&node->enabled, false);
    atomic_fetch_and(&node->want,
                     ~(SIM_WANT_ABORT | SIM_WANT_RESET | SIM_WANT_PREEMPT | SIM_WANT_CARD));
    for (uint32_t i = 0; i < ISA_RING_COUNT; i++) {
        atomic_store(&node->rings[i].head, 0);
        atomic_store(&node->rings[i].tail, 0);
        atomic_store(&node->rings[i].armed, 0);
    }
    atomic_store(&node->last_aborted, node->abandoned);
    node->abandoned = 0;
    atomic_store(&node->stuck, false);
    sim_pages_drop(&node->pages);
    sim_mmu_invalidate(&node->card->mmu, 0, UINT64_MAX);
}

static void hang_end(sim_node_t *node) {
    atomic_fetch_and(&node->want, ~SIM_WANT_HANG);
    atomic_store(&node->hang_depth, 0);
}

void sim_reset_node(sim_node_t *node) {
    node_clear(node);
    // Hung for a larger reset: it never says that it is done.
    if (atomic_load(&node->hang_depth) == 0) {
        hang_end(node);
        atomic_store(&node->resetting, false);
    }
}

// --- The card ---

static void node_power_on(sim_node_t *node) {
    hang_end(node);
    atomic_store(&node->want, 0);
    atomic_store(&node->token, 0);
    atomic_store(&node->corrupt_next, false);
    atomic_store(&node->refuse_next, false);
    node->comp_regs = (sim_ring_regs_t){0};
    for (uint32_t i = 0; i < ISA_RING_COUNT; i++) {
        node->rings[i].regs = (sim_ring_regs_t){0};
        atomic_store(&node->rings[i].done, 0);
        atomic_store(&node->rings[i].announced, 0);
    }
    _Atomic uint64_t *counters[] = {&node->heartbeat, &node->cycles,     &node->instructions,
                                    &node->issues,    &node->dram_bytes, &node->fallbacks};
    for (size_t i = 0; i < COUNT_OF(counters); i++)
        atomic_store(counters[i], 0);
    atomic_store(&node->comp_tail, 0);
    atomic_store(&node->resetting, false);
}

// Under the lock: nodes leave their packets to the reset, and say so.
static void nodes_leave(sim_card_t *card) {
    atomic_store(&card->resetting, true);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        atomic_store(&card->nodes[i].resetting, true);
        atomic_fetch_or(&card->nodes[i].want, SIM_WANT_ABORT | SIM_WANT_CARD);
    }
}

static void registers_power_on(sim_card_t *card, sim_scope_t scope) {
    (void)pthread_mutex_lock(&card->lock);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        node_power_on(&card->nodes[i]);
    card->vectors_granted = 1 + ISA_NODE_COUNT;
    card->fault_base = 0;
    card->fault_log2 = 1;
    atomic_store(&card->fault_head, 0);
    atomic_store(&card->fault_tail, 0);
    card->error = 0;
    card->latched_hi = 0;
    card->inject_arg = 0;
    card->irqs_to_lose = 0;
    card->msix_pending = 0;
    card->power_wanted = ISA_POWER_ACTIVE;
    if (scope >= SIM_SCOPE_FUNCTION) {
        sim_pci_init(card);
        sim_msix_init(card);
    }
    if (scope == SIM_SCOPE_REPLACED) {
        card->serial++;
        card->error_count = 0;
        atomic_store(&card->fault_dropped, 0);
        for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
            atomic_store(&card->nodes[i].last_aborted, 0);
        sim_power_init(card);
    }
    sim_pci_update(card);
    atomic_store(&card->resetting, false);
    if (atomic_load(&card->reset_scope) != SIM_SCOPE_NONE)
        nodes_leave(card); // asked for again meanwhile: that one is still to come
    (void)pthread_mutex_unlock(&card->lock);
}

static void memory_power_on(sim_card_t *card, sim_scope_t scope) {
    sim_mem_discard(&card->mem, 0, card->mem.bytes);
    if (card->sram.bytes != 0)
        sim_mem_discard(&card->sram, 0, card->sram.bytes);
    atomic_store(&card->sram_used, 0);
    sim_ecc_reset(&card->ecc, scope == SIM_SCOPE_REPLACED);
    sim_gang_power_on(card->gang);
}

// With all nodes' `busy` held.
static void card_reset(sim_card_t *card) {
    sim_scope_t scope = (sim_scope_t)atomic_exchange(&card->reset_scope, SIM_SCOPE_NONE);
    bool done = true;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        node_clear(&card->nodes[i]);
        // Hung for a function-level reset: RESET goes on reading 1.
        done &= atomic_load(&card->nodes[i].hang_depth) < 2 || scope >= SIM_SCOPE_FUNCTION;
    }
    if (!done)
        return;
    memory_power_on(card, scope);
    registers_power_on(card, scope);
}

void sim_reset_try(sim_card_t *card) {
    while (atomic_load(&card->reset_scope) != SIM_SCOPE_NONE) {
        uint32_t n = 0;
        while (n < ISA_NODE_COUNT && !atomic_exchange(&card->nodes[n].busy, true))
            n++;
        if (n == ISA_NODE_COUNT)
            card_reset(card);
        for (uint32_t i = n; i-- > 0;)
            atomic_store(&card->nodes[i].busy, false);
        if (n < ISA_NODE_COUNT && atomic_load(&card->nodes[n].busy))
            return; // its holder has not given it back yet, and will come here
    }
}

// The lock makes one thing of what nodes are told and of the scope: whoever sees the scope may do
// the reset at once, and what a node were told after it would never be taken back.
void sim_reset_card_ask(sim_card_t *card, sim_scope_t scope) {
    (void)pthread_mutex_lock(&card->lock);
    nodes_leave(card);
    if (atomic_load(&card->reset_scope) < (uint32_t)scope)
        atomic_store(&card->reset_scope, (uint32_t)scope);
    (void)pthread_mutex_unlock(&card->lock);
    sim_gang_poke(card->gang);
    sim_reset_try(card);
}

// --- The link ---

void sim_reset_link_down(sim_card_t *card, uint64_t until_ns, bool replaced) {
    (void)pthread_mutex_lock(&card->lock);
    atomic_store(&card->link_up_ns, until_ns);
    atomic_store(&card->link_down, true);
    sim_pci_update(card);
    (void)pthread_mutex_unlock(&card->lock);
    sim_reset_card_ask(card, replaced ? SIM_SCOPE_REPLACED : SIM_SCOPE_LINK);
    sim_node_quiet_all(card);
}

bool sim_reset_link_up(sim_card_t *card) {
    if (!atomic_load(&card->link_down))
        return true;
    uint64_t up = atomic_load(&card->link_up_ns);
    if (up == 0 || sim_now_ns(card) < up || atomic_load(&card->resetting))
        return false;
    (void)pthread_mutex_lock(&card->lock);
    atomic_store(&card->link_down, false);
    sim_pci_update(card);
    (void)pthread_mutex_unlock(&card->lock);
    return true;
}
