// SPDX-License-Identifier: Apache-2.0
// The packets that the driver writes.
#include <string.h>

#include "driver/sim/card.h"
#include "isa/program.h"

// --- Packets ---

static sim_outcome_t left(void) { return (sim_outcome_t){.type = ISA_COMP_NONE}; }

static sim_outcome_t packet_fault(sim_node_t *node, const sim_fault_t *fault, uint64_t fence,
                                  uint16_t asid) {
    if (fault->cause == ISA_FAULT_NONE || sim_node_wants(node, SIM_WANT_ABORT))
        return left();
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

static bool write_entry(sim_card_t *card, bool sys, uint64_t address, uint64_t value,
                        sim_fault_t *fault) {
    uint64_t page;
    *fault = (sim_fault_t){ISA_FAULT_PACKET_BUS, ISA_ACCESS_WRITE, address, 0};
    if (address % 8 != 0)
        return false;
    if (sys)
        return sim_bus_write(&card->bus, address, &value, 8);
    if (sim_ecc_find(&card->ecc, address, 8, &page)) {
        *fault = (sim_fault_t){ISA_FAULT_ECC, ISA_ACCESS_WRITE, address, page};
        return false;
    }
    _Atomic uint64_t *entry = sim_mem_at(&card->mem, address, 8);
    if (entry != NULL)
        atomic_store_explicit(entry, value, memory_order_relaxed);
    return entry != NULL;
}

static sim_outcome_t run_pte_write(sim_node_t *node, const isa_ring_pte_write_t *packet) {
    sim_card_t *card = node->card;
    bool sys = (packet->flags & ISA_RING_FLAG_TO_SYS) != 0;
    uint64_t value = packet->value;
    sim_fault_t fault;
    for (uint32_t i = 0; i < packet->count; i++, value += packet->step) {
        if (sim_node_wants(node, SIM_WANT_ABORT))
            return left();
        if (!write_entry(card, sys, packet->dst + i * UINT64_C(8), value, &fault))
            return packet_fault(node, &fault, packet->fence, 0);
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
    sim_count(&node->issues, 1);
    sim_count(&node->dram_bytes, bytes);
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

// Filling a page of card memory as a whole also mends it.
static bool fill(sim_node_t *node, const isa_ring_fill_t *packet, sim_end_t dst,
                 sim_fault_t *fault) {
    sim_card_t *card = node->card;
    bool one = packet->rows == 1 && dst.where == SIM_WHERE_CARD &&
               sim_mem_at(&card->mem, packet->dst, packet->bytes) != NULL;
    if (one)
        sim_ecc_filled(&card->ecc, packet->dst, packet->bytes);
    uint64_t page;
    if (one && (packet->flags & ISA_RING_FLAG_DISCARD) != 0 && packet->pattern == 0 &&
        !sim_ecc_find(&card->ecc, packet->dst, packet->bytes, &page)) {
        sim_mem_discard(&card->mem, packet->dst, packet->bytes);
        return true;
    }
    return sim_fill_rows(node, dst, packet->pattern, packet->bytes, packet->rows, fault);
}

static sim_outcome_t run_fill(sim_node_t *node, const isa_ring_fill_t *packet) {
    sim_fault_t fault = {0};
    ends_t ends;
    if (!ends_context(node, packet->flags, packet->context, &ends, &fault))
        return packet_fault(node, &fault, packet->fence, 0);
    sim_end_t dst = end_of(&ends, packet->flags, ISA_RING_FLAG_TO_SYS, ISA_RING_FLAG_TO_VA,
                           packet->dst, packet->dst_pitch);
    if (!fill(node, packet, dst, &fault) ||
        !write_fence(node, packet->address, packet->fence, &fault))
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

static sim_outcome_t run_tlb_inv(sim_node_t *node, const isa_ring_tlb_inv_t *packet) {
    // A few entries more are forgotten than the packet asks for: they are found again.
    sim_mmu_invalidate(&node->card->mmu, packet->va,
                       packet->bytes != 0 ? packet->bytes : UINT64_MAX);
    sim_node_sync_all(node->card);
    return done(0);
}

static sim_outcome_t run_checked(sim_node_t *node, uint32_t ring, const isa_ring_packet_t *packet) {
    switch ((isa_ring_op_t)packet->head.op) {
    case ISA_RING_RUN_IB:
        return sim_ib_run(node, ring, &packet->run_ib);
    case ISA_RING_PTE_WRITE:
        return run_pte_write(node, &packet->pte_write);
    case ISA_RING_COPY:
        return run_copy(node, &packet->copy);
    case ISA_RING_FILL:
        return run_fill(node, &packet->fill);
    case ISA_RING_FENCE:
        return run_fence(node, &packet->fence);
    case ISA_RING_TLB_INV:
        return run_tlb_inv(node, &packet->tlb_inv);
    case ISA_RING_NOP:
    case ISA_RING_OP_COUNT:
        break;
    }
    return done(0);
}

// What copies of host pages changed goes back before anybody is told.
static void flush_pages(sim_node_t *node) {
    bool went_back;
    if (!sim_pages_flush(&node->pages, &node->card->bus, &went_back))
        return;
    sim_mmu_copies_gone(&node->card->mmu);
    if (!went_back)
        sim_irq_error(node->card, ISA_ERROR_DMA);
}

static bool long_packet(const isa_ring_packet_t *packet) {
    // Below, the copy takes less time than it takes to look at the clock.
    const uint64_t bytes = 65536;
    return (packet->head.op == ISA_RING_COPY && packet->copy.bytes >= bytes) ||
           (packet->head.op == ISA_RING_FILL && packet->fill.bytes >= bytes);
}

static sim_outcome_t run_packet(sim_node_t *node, uint32_t ring, const isa_ring_packet_t *packet) {
    if (!isa_ring_packet_valid(packet, node->index)) {
        sim_fault_t fault = {ISA_FAULT_BAD_PACKET, ISA_ACCESS_NONE, 0, packet->words[0]};
        return packet_fault(node, &fault, packet->words[7], 0);
    }
    if (long_packet(packet))
        atomic_store(&node->busy_since, sim_now_ns(node->card));
    bool exposed = packet->head.op != ISA_RING_TLB_INV;
    if (exposed) {
        clockid_t clock;
        if (pthread_getcpuclockid(pthread_self(), &clock) == 0)
            atomic_store_explicit(&node->worker_clock, clock, memory_order_relaxed);
        atomic_store_explicit(&node->worker, (uintptr_t)pthread_self(), memory_order_relaxed);
        atomic_store(&node->exposed, true);
    }
    sim_outcome_t outcome = run_checked(node, ring, packet);
    if (outcome.type == ISA_COMP_NONE)
        sim_pages_drop(&node->pages), sim_mmu_copies_gone(&node->card->mmu);
    else
        flush_pages(node);
    if (exposed) {
        atomic_store_explicit(&node->worker, 0, memory_order_relaxed);
        atomic_store_explicit(&node->exposed, false, memory_order_release);
    }
    return outcome;
}

// --- The ring ---

static bool read_slot(sim_node_t *node, uint32_t ring, isa_ring_packet_t *out_packet) {
    const sim_ring_t *at = &node->rings[ring];
    uint32_t slot =
        atomic_load_explicit(&at->head, memory_order_relaxed) & ((1u << at->force.log2) - 1);
    uint64_t address = at->force.base + (uint64_t)slot * sizeof *out_packet;
    memset(out_packet, 0, sizeof *out_packet);
    if (UNLIKELY(atomic_load_explicit(&node->refuse_next, memory_order_relaxed)) &&
        atomic_exchange(&node->refuse_next, false))
        return false;
    return sim_bus_read(&node->card->bus, address, out_packet, sizeof *out_packet);
}

uint64_t sim_ring_fence(sim_node_t *node, uint32_t ring) {
    isa_ring_packet_t packet;
    return read_slot(node, ring, &packet) ? packet.words[7] : 0;
}

// The packet stays where it is; what comes of it is for a reset to say.
static void leave(sim_node_t *node, uint64_t fence) {
    node->abandoned = fence;
    (void)sim_irq_end(node, false);
    if (sim_node_wants(node, SIM_WANT_HANG))
        atomic_store(&node->stuck, true);
}

static void complete(sim_node_t *node, uint32_t ring, const isa_ring_packet_t *packet,
                     const sim_outcome_t *outcome) {
    uint8_t flags = packet->head.flags;
    sim_completion_t completion = {
        .outcome = *outcome,
        .fence = packet->words[7],
        .moves = packet->words[7] != 0,
        .wanted = (flags & (ISA_RING_FLAG_IRQ | ISA_RING_FLAG_COMPLETE)) != 0 ||
                  packet->head.op == ISA_RING_RUN_IB || outcome->type != ISA_COMP_DONE,
        .irq = (flags & ISA_RING_FLAG_IRQ) != 0,
    };
    if (outcome->type == ISA_COMP_DONE && packet->head.op != ISA_RING_RUN_IB)
        sim_count(&node->cycles, outcome->info);
    sim_count(&node->heartbeat, 1);
    // The slot is free before the owner learns that it is.
    atomic_store(&node->rings[ring].head, atomic_load(&node->rings[ring].head) + 1);
    sim_irq_complete(node, ring, &completion);
}

void sim_ring_next(sim_node_t *node, uint32_t ring) {
    isa_ring_packet_t packet;
    sim_outcome_t outcome;
    if (read_slot(node, ring, &packet)) {
        outcome = run_packet(node, ring, &packet);
    } else {
        sim_fault_t fault = {ISA_FAULT_PACKET_BUS, ISA_ACCESS_READ, node->rings[ring].force.base,
                             0};
        outcome = packet_fault(node, &fault, 0, 0);
        sim_irq_error(node->card, ISA_ERROR_DMA);
    }
    // A fault whose record is written is told all the same.
    bool abort = outcome.type != ISA_COMP_FAULT && sim_node_wants(node, SIM_WANT_ABORT);
    if (outcome.type == ISA_COMP_NONE || abort)
        leave(node, packet.words[7]);
    else if (outcome.type == ISA_COMP_PREEMPTED)
        sim_preempt_done(node, true);
    else
        complete(node, ring, &packet, &outcome);
}
