// SPDX-License-Identifier: Apache-2.0
// Rings: doorbells, and the packets that the driver writes.
#include <sched.h>
#include <string.h>

#include "driver/sim/card.h"
#include "isa/program.h"

// --- Packets ---

static sim_outcome_t packet_fault(sim_node_t *node, const sim_fault_t *fault, uint64_t fence,
                                  uint16_t asid) {
    isa_fault_record_t record = {
        .cause = (uint16_t)fault->cause,
        .access = (uint8_t)fault->access,
        .node = (uint8_t)node->index,
        .core = ISA_FAULT_NO_CORE,
        .engine = ISA_FAULT_ENGINE_NONE,
        .insn = 0xffff,
        .asid = asid,
        .va = fault->va,
        .fence = fence,
        .value = fault->value,
        .onnx_node = UINT64_MAX,
    };
    uint64_t number = sim_irq_fault(node->card, &record);
    return (sim_outcome_t){ISA_COMP_FAULT, fault->cause, number};
}

static sim_outcome_t done(uint64_t cycles) {
    return (sim_outcome_t){.type = ISA_COMP_DONE, .info = cycles};
}

static sim_outcome_t run_pte_write(sim_node_t *node, const isa_ring_pte_write_t *packet) {
    sim_card_t *card = node->card;
    bool sys = (packet->flags & ISA_RING_FLAG_TO_SYS) != 0;
    uint64_t value = packet->value;
    for (uint32_t i = 0; i < packet->count; i++, value += packet->step) {
        uint64_t address = packet->dst + i * UINT64_C(8);
        _Atomic uint64_t *entry = sys ? NULL : sim_mem_at(&card->mem, address, 8);
        bool ok = packet->dst % 8 == 0;
        if (ok && sys)
            ok = sim_bus_write(&card->bus, address, &value, 8);
        else if (ok && entry != NULL)
            atomic_store_explicit(entry, value, memory_order_relaxed);
        else
            ok = false;
        if (!ok) {
            sim_fault_t fault = {ISA_FAULT_PACKET_BUS, ISA_ACCESS_WRITE, address, 0};
            return packet_fault(node, &fault, packet->fence, 0);
        }
    }
    return done(sim_copy_cycles(card, packet->count * UINT64_C(8)));
}

// The context of a virtual source or destination.
typedef struct ends {
    isa_context_t context;
    sim_space_t space;
} ends_t;

static bool ends_context(sim_node_t *node, uint8_t flags, uint64_t address, ends_t *out_ends,
                         sim_fault_t *fault) {
    memset(out_ends, 0, sizeof *out_ends);
    if ((flags & (ISA_RING_FLAG_TO_VA | ISA_RING_FLAG_FROM_VA)) == 0)
        return true;
    if (!sim_context_read(node, address, &out_ends->context, fault))
        return false;
    sim_context_space(node, &out_ends->context, &out_ends->space);
    return true;
}

static sim_end_t end_of(const ends_t *ends, uint8_t flags, uint8_t sys, uint8_t va,
                        uint64_t address, uint32_t pitch) {
    sim_where_t where = (flags & va) != 0    ? SIM_WHERE_VIRTUAL
                        : (flags & sys) != 0 ? SIM_WHERE_HOST
                                             : SIM_WHERE_CARD;
    return (sim_end_t){where, address, pitch, &ends->space};
}

static bool write_fence(sim_node_t *node, uint64_t address, uint64_t fence, sim_fault_t *fault) {
    if (address == 0)
        return true;
    *fault = (sim_fault_t){ISA_FAULT_PACKET_BUS, ISA_ACCESS_WRITE, address, 0};
    return address % 8 == 0 && sim_bus_write(&node->card->bus, address, &fence, sizeof fence);
}

static void count_bytes(sim_node_t *node, uint64_t bytes) {
    atomic_fetch_add_explicit(&node->issues, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&node->dram_bytes, bytes, memory_order_relaxed);
}

static sim_outcome_t run_copy(sim_node_t *node, const isa_ring_copy_t *packet) {
    sim_fault_t fault = {0};
    ends_t ends;
    if (!ends_context(node, packet->flags, packet->context, &ends, &fault))
        return packet_fault(node, &fault, packet->fence, 0);
    sim_end_t dst = end_of(&ends, packet->flags, ISA_RING_FLAG_TO_SYS, ISA_RING_FLAG_TO_VA,
                           packet->dst, packet->dst_pitch);
    sim_end_t src = end_of(&ends, packet->flags, ISA_RING_FLAG_FROM_SYS, ISA_RING_FLAG_FROM_VA,
                           packet->src, packet->src_pitch);
    if (!sim_copy_rows(node, dst, src, packet->bytes, packet->rows, &fault) ||
        !write_fence(node, packet->address, packet->fence, &fault))
        return packet_fault(node, &fault, packet->fence, ends.context.asid);
    count_bytes(node, packet->bytes * packet->rows);
    return done(sim_copy_cycles(node->card, packet->bytes * packet->rows));
}

static sim_outcome_t run_fill(sim_node_t *node, const isa_ring_fill_t *packet) {
    sim_fault_t fault = {0};
    ends_t ends;
    if (!ends_context(node, packet->flags, packet->context, &ends, &fault))
        return packet_fault(node, &fault, packet->fence, 0);
    sim_end_t dst = end_of(&ends, packet->flags, ISA_RING_FLAG_TO_SYS, ISA_RING_FLAG_TO_VA,
                           packet->dst, packet->dst_pitch);
    bool discard = (packet->flags & ISA_RING_FLAG_DISCARD) != 0 && packet->pattern == 0 &&
                   packet->rows == 1 && dst.where == SIM_WHERE_CARD &&
                   sim_mem_at(&node->card->mem, packet->dst, packet->bytes) != NULL;
    bool ok = true;
    if (discard)
        sim_mem_discard(&node->card->mem, packet->dst, packet->bytes);
    else
        ok = sim_fill_rows(node, dst, packet->pattern, packet->bytes, packet->rows, &fault);
    if (!ok || !write_fence(node, packet->address, packet->fence, &fault))
        return packet_fault(node, &fault, packet->fence, ends.context.asid);
    count_bytes(node, packet->bytes * packet->rows);
    return done(sim_copy_cycles(node->card, packet->bytes * packet->rows));
}

static sim_outcome_t run_fence(sim_node_t *node, const isa_ring_fence_t *packet) {
    sim_fault_t fault;
    if (!write_fence(node, packet->address, packet->fence, &fault))
        return packet_fault(node, &fault, packet->fence, 0);
    return done(0);
}

static sim_outcome_t run_packet(sim_node_t *node, const isa_ring_packet_t *packet) {
    if (!isa_ring_packet_valid(packet, node->index)) {
        sim_fault_t fault = {ISA_FAULT_BAD_PACKET, ISA_ACCESS_NONE, 0, packet->words[0]};
        return packet_fault(node, &fault, packet->words[7], 0);
    }
    switch ((isa_ring_op_t)packet->head.op) {
    case ISA_RING_RUN_IB:
        return sim_ib_run(node, &packet->run_ib);
    case ISA_RING_PTE_WRITE:
        return run_pte_write(node, &packet->pte_write);
    case ISA_RING_COPY:
        return run_copy(node, &packet->copy);
    case ISA_RING_FILL:
        return run_fill(node, &packet->fill);
    case ISA_RING_FENCE:
        return run_fence(node, &packet->fence);
    case ISA_RING_TLB_INV:
        // A few entries more are forgotten than the packet asks for: they are found again.
        sim_mmu_invalidate(&node->card->mmu, packet->tlb_inv.va,
                           packet->tlb_inv.bytes != 0 ? packet->tlb_inv.bytes : UINT64_MAX);
        return done(0);
    case ISA_RING_NOP:
    case ISA_RING_OP_COUNT:
        break;
    }
    return done(0);
}

// --- The ring ---

static void next_packet(sim_node_t *node) {
    isa_ring_packet_t packet = {0};
    uint32_t head = atomic_load_explicit(&node->head, memory_order_relaxed);
    uint32_t slot = head & ((1u << node->ring.log2) - 1);
    sim_outcome_t outcome;
    if (!sim_bus_read(&node->card->bus, node->ring.base + (uint64_t)slot * sizeof packet, &packet,
                      sizeof packet)) {
        sim_fault_t fault = {ISA_FAULT_PACKET_BUS, ISA_ACCESS_READ, node->ring.base, 0};
        outcome = packet_fault(node, &fault, 0, 0);
        sim_irq_error(node->card, ISA_ERROR_DMA);
    } else {
        outcome = run_packet(node, &packet);
    }
    bool went_back;
    if (sim_pages_flush(&node->pages, &node->card->bus, &went_back)) {
        sim_mmu_copies_gone(&node->card->mmu);
        if (!went_back)
            sim_irq_error(node->card, ISA_ERROR_DMA);
    }
    if (outcome.type == ISA_COMP_DONE && packet.head.op != ISA_RING_RUN_IB)
        atomic_fetch_add_explicit(&node->cycles, outcome.info, memory_order_relaxed);
    atomic_fetch_add_explicit(&node->heartbeat, 1, memory_order_relaxed);
    bool irq = (packet.head.flags & ISA_RING_FLAG_IRQ) != 0;
    bool wanted = irq || (packet.head.flags & ISA_RING_FLAG_COMPLETE) != 0 ||
                  packet.head.op == ISA_RING_RUN_IB || outcome.type != ISA_COMP_DONE;
    // The slot is free before the owner learns that it is.
    atomic_store(&node->head, head + 1);
    sim_irq_complete(node, &outcome, packet.words[7], wanted, irq);
}

static bool has_work(sim_node_t *node) {
    return atomic_load(&node->enabled) && !atomic_load(&node->card->stopping) &&
           atomic_load(&node->head) != atomic_load(&node->tail);
}

void sim_ring_work(sim_node_t *node) {
    // A doorbell that finds the node busy leaves the work to that thread, which looks again after
    // it gave the node up.
    while (has_work(node) && !atomic_exchange(&node->busy, true)) {
        while (has_work(node))
            next_packet(node);
        atomic_store(&node->busy, false);
    }
}

void *sim_ring_thread(void *arg) {
    sim_node_t *node = arg;
    (void)pthread_mutex_lock(&node->lock);
    while (!atomic_load(&node->card->stopping)) {
        if (!node->rung) {
            (void)pthread_cond_wait(&node->wake, &node->lock);
            continue;
        }
        node->rung = false;
        (void)pthread_mutex_unlock(&node->lock);
        sim_ring_work(node);
        (void)pthread_mutex_lock(&node->lock);
    }
    (void)pthread_mutex_unlock(&node->lock);
    return NULL;
}

void sim_ring_doorbell(sim_node_t *node, uint32_t tail) {
    bool overrun = tail - atomic_load(&node->head) > 1u << node->ring.log2;
    uint32_t before = atomic_load(&node->tail);
    if (!atomic_load(&node->enabled) || (overrun && (int32_t)(tail - before) > 0)) {
        sim_irq_error(node->card, ISA_ERROR_DOORBELL);
        return;
    }
    // Doorbells of several processors may overtake one another.
    while ((int32_t)(tail - before) > 0 &&
           !atomic_compare_exchange_weak(&node->tail, &before, tail)) {
    }
    if (!node->has_thread) {
        sim_ring_work(node);
        return;
    }
    (void)pthread_mutex_lock(&node->lock);
    node->rung = true;
    (void)pthread_cond_signal(&node->wake);
    (void)pthread_mutex_unlock(&node->lock);
}

static bool ring_regs_valid(const sim_ring_regs_t *regs) {
    return regs->base != 0 && regs->base % 64 == 0 && regs->log2 >= 1 &&
           regs->log2 <= ISA_RING_MAX_LOG2;
}

void sim_ring_enable(sim_node_t *node, bool enable) {
    if (atomic_load(&node->enabled) == enable)
        return;
    if (!enable) {
        atomic_store(&node->enabled, false);
        while (atomic_load(&node->busy)) // the packet in work ends first
            (void)sched_yield();
        return;
    }
    (void)pthread_mutex_lock(&node->card->lock);
    bool valid = ring_regs_valid(&node->ring_regs) && ring_regs_valid(&node->comp_regs);
    node->ring = node->ring_regs;
    node->comp = node->comp_regs;
    (void)pthread_mutex_unlock(&node->card->lock);
    if (!valid) {
        sim_irq_error(node->card, ISA_ERROR_CONFIG);
        return;
    }
    atomic_store(&node->head, 0);
    atomic_store(&node->tail, 0);
    atomic_store(&node->comp_tail, 0);
    atomic_store(&node->armed, 0);
    atomic_store(&node->enabled, true);
}
