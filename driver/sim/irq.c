// SPDX-License-Identifier: Apache-2.0
// What the card tells its owner: completion entries, fault records, errors.
#include <stddef.h>
#include <string.h>

#include "driver/sim/card.h"

#define ARMED_BIT (UINT64_C(1) << 32)

void sim_irq_error(sim_card_t *card, uint32_t error_bits) {
    (void)pthread_mutex_lock(&card->lock);
    card->error |= error_bits;
    card->error_count++;
    sim_pci_error(card, error_bits);
    (void)pthread_mutex_unlock(&card->lock);
    sim_irq_raise(card, 0);
}

// --- Completions ---

static bool fence_reached(uint32_t done, uint32_t wanted) { return (int32_t)(done - wanted) >= 0; }

// True for exactly one caller when the armed fence is reached.
static bool take_armed(sim_ring_t *ring) {
    uint64_t armed = atomic_load(&ring->armed);
    return (armed & ARMED_BIT) != 0 &&
           fence_reached((uint32_t)atomic_load(&ring->announced), (uint32_t)armed) &&
           atomic_compare_exchange_strong(&ring->armed, &armed, 0);
}

void sim_irq_arm(sim_node_t *node, uint32_t ring, uint32_t fence_lo) {
    atomic_store(&node->rings[ring].armed, ARMED_BIT | fence_lo);
    if (take_armed(&node->rings[ring]))
        sim_irq_raise(node->card, 1 + node->index);
}

// The entry's first word carries the phase, so it goes last.
static void write_entry(sim_node_t *node, uint32_t ring, const sim_completion_t *completion,
                        uint64_t now) {
    sim_card_t *card = node->card;
    uint32_t number = atomic_load_explicit(&node->comp_tail, memory_order_relaxed);
    uint32_t slot = number & ((1u << node->comp.log2) - 1);
    bool phase = (number >> node->comp.log2 & 1) == 0;
    isa_completion_t entry = {
        .type = (uint8_t)completion->outcome.type,
        .node = (uint8_t)node->index,
        .status = (uint8_t)completion->outcome.cause,
        .head = atomic_load_explicit(&node->rings[ring].head, memory_order_relaxed),
        .fence = completion->fence,
        .info = completion->outcome.info,
        .time = now,
    };
    uint8_t flags = ring == ISA_RING_HIGH ? ISA_COMP_HIGH : 0;
    if (UNLIKELY(atomic_load_explicit(&node->corrupt_next, memory_order_relaxed)) &&
        atomic_exchange(&node->corrupt_next, false)) {
        memset(&entry, 0xa5, sizeof entry);
        flags = 0x25;
    }
    entry.flags = (uint8_t)(flags | (phase ? ISA_COMP_PHASE : 0));
    uint64_t address = node->comp.base + (uint64_t)slot * sizeof entry;
    size_t first = offsetof(isa_completion_t, head);
    bool ok = sim_bus_write(&card->bus, address + first, (const uint8_t *)&entry + first,
                            sizeof entry - first) &&
              sim_bus_write(&card->bus, address, &entry, first);
    atomic_store(&node->comp_tail, number + 1);
    if (!ok)
        sim_irq_error(card, ISA_ERROR_DMA);
}

uint64_t sim_irq_end(sim_node_t *node, bool wanted) {
    uint64_t since = atomic_load_explicit(&node->busy_since, memory_order_relaxed);
    if (!wanted && since == 0)
        return 0;
    uint64_t now = sim_now_ns(node->card);
    if (since != 0) {
        sim_count(&node->busy_ns, now - since);
        atomic_store_explicit(&node->busy_since, 0, memory_order_relaxed);
    }
    return now;
}

void sim_irq_complete(sim_node_t *node, uint32_t ring, const sim_completion_t *completion) {
    sim_ring_t *at = &node->rings[ring];
    uint64_t now = sim_irq_end(node, completion->wanted);
    // Who sees the entry sees LAST_DONE; who gets the armed interrupt sees both.
    if (completion->moves)
        atomic_store(&at->done, completion->fence);
    if (completion->wanted)
        write_entry(node, ring, completion, now);
    if (completion->moves)
        atomic_store(&at->announced, completion->fence);
    bool armed = take_armed(at);
    if (completion->irq || armed)
        sim_irq_raise(node->card, 1 + node->index);
}

// --- Fault records ---

static bool write_record(sim_card_t *card, const isa_fault_record_t *record, uint32_t slot) {
    uint64_t address = card->fault_base + (uint64_t)slot * sizeof *record;
    size_t first = offsetof(isa_fault_record_t, asid);
    return sim_bus_write(&card->bus, address + first, (const uint8_t *)record + first,
                         sizeof *record - first) &&
           sim_bus_write(&card->bus, address, record, first);
}

// No lock is held while the record is written: the host may come back from inside of it.
uint64_t sim_irq_fault(sim_card_t *card, isa_fault_record_t *record) {
    record->time = sim_now_ns(card);
    uint32_t number = atomic_load(&card->fault_tail);
    bool room;
    do {
        room = card->fault_base != 0 &&
               number - atomic_load(&card->fault_head) < 1u << card->fault_log2;
    } while (room && !atomic_compare_exchange_weak(&card->fault_tail, &number, number + 1));
    if (room) {
        record->phase = (number >> card->fault_log2 & 1) == 0;
        if (!write_record(card, record, number & ((1u << card->fault_log2) - 1)))
            sim_irq_error(card, ISA_ERROR_DMA);
    } else {
        atomic_fetch_add(&card->fault_dropped, 1);
    }
    sim_irq_raise(card, 0);
    return number;
}
