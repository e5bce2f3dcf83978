// SPDX-License-Identifier: Apache-2.0
// What the card tells its owner: completion entries, fault records, interrupts, errors.
#include <stddef.h>

#include "driver/sim/card.h"

#define ARMED_BIT (UINT64_C(1) << 32)

static uint64_t now_ns(const sim_card_t *card) {
    return card->bus.host.clock_ns(card->bus.host.user);
}

void sim_irq_error(sim_card_t *card, uint32_t error_bits) {
    (void)pthread_mutex_lock(&card->lock);
    card->error |= error_bits;
    card->error_count++;
    (void)pthread_mutex_unlock(&card->lock);
    sim_irq_raise(card, 0);
}

// --- Completions ---

static bool fence_reached(uint32_t done, uint32_t wanted) { return (int32_t)(done - wanted) >= 0; }

// True for exactly one caller when the armed fence is reached.
static bool take_armed(sim_node_t *node) {
    uint64_t armed = atomic_load(&node->armed);
    return (armed & ARMED_BIT) != 0 &&
           fence_reached((uint32_t)atomic_load(&node->announced), (uint32_t)armed) &&
           atomic_compare_exchange_strong(&node->armed, &armed, 0);
}

void sim_irq_arm(sim_node_t *node, uint32_t fence_lo) {
    atomic_store(&node->armed, ARMED_BIT | fence_lo);
    if (take_armed(node))
        sim_irq_raise(node->card, 1 + node->index);
}

// The entry's first word carries the phase, so it goes last.
static void write_entry(sim_node_t *node, const sim_outcome_t *outcome, uint64_t fence) {
    sim_card_t *card = node->card;
    uint32_t number = atomic_load_explicit(&node->comp_tail, memory_order_relaxed);
    uint32_t slot = number & ((1u << node->comp.log2) - 1);
    bool phase = (number >> node->comp.log2 & 1) == 0;
    isa_completion_t entry = {
        .type = (uint8_t)outcome->type,
        .node = (uint8_t)node->index,
        .status = (uint8_t)outcome->cause,
        .flags = phase ? ISA_COMP_PHASE : 0,
        .head = atomic_load_explicit(&node->head, memory_order_relaxed),
        .fence = fence,
        .info = outcome->info,
        .time = now_ns(card),
    };
    uint64_t address = node->comp.base + (uint64_t)slot * sizeof entry;
    size_t first = offsetof(isa_completion_t, head);
    bool ok = sim_bus_write(&card->bus, address + first, (const uint8_t *)&entry + first,
                            sizeof entry - first) &&
              sim_bus_write(&card->bus, address, &entry, first);
    atomic_store(&node->comp_tail, number + 1);
    if (!ok)
        sim_irq_error(card, ISA_ERROR_DMA);
}

void sim_irq_complete(sim_node_t *node, const sim_outcome_t *outcome, uint64_t fence, bool wanted,
                      bool irq) {
    // Who sees the entry sees LAST_DONE; who gets the armed interrupt sees both.
    if (fence != 0)
        atomic_store(&node->last_done, fence);
    if (wanted)
        write_entry(node, outcome, fence);
    if (fence != 0)
        atomic_store(&node->announced, fence);
    bool armed = take_armed(node);
    if (irq || armed)
        sim_irq_raise(node->card, 1 + node->index);
}

// --- Fault records ---

static void write_record(sim_card_t *card, const isa_fault_record_t *record, uint32_t slot) {
    uint64_t address = card->fault_base + (uint64_t)slot * sizeof *record;
    size_t first = offsetof(isa_fault_record_t, asid);
    if (!sim_bus_write(&card->bus, address + first, (const uint8_t *)record + first,
                       sizeof *record - first) ||
        !sim_bus_write(&card->bus, address, record, first)) {
        card->error |= ISA_ERROR_DMA;
        card->error_count++;
    }
}

uint64_t sim_irq_fault(sim_card_t *card, isa_fault_record_t *record) {
    record->time = now_ns(card);
    (void)pthread_mutex_lock(&card->lock);
    uint32_t number = card->fault_tail;
    bool room = card->fault_base != 0 && number - card->fault_head < 1u << card->fault_log2;
    if (room) {
        record->phase = (number >> card->fault_log2 & 1) == 0;
        write_record(card, record, number & ((1u << card->fault_log2) - 1));
        card->fault_tail++;
    } else {
        card->fault_dropped++;
    }
    (void)pthread_mutex_unlock(&card->lock);
    sim_irq_raise(card, 0);
    return number;
}
