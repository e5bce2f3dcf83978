// SPDX-License-Identifier: Apache-2.0
// Command buffers: context descriptors and the packets that user code writes.
#include <string.h>

#include "driver/sim/card.h"
#include "driver/sim/gang.h"
#include "isa/program.h"

// --- Contexts ---

static bool context_fault(sim_fault_t *fault, isa_access_t access, uint64_t address,
                          uint64_t value) {
    *fault = (sim_fault_t){ISA_FAULT_BAD_CONTEXT, access, address, value};
    return false;
}

bool sim_context_read(sim_node_t *node, uint64_t address, isa_context_t *out_context,
                      sim_fault_t *out_fault) {
    if (address % 64 != 0 ||
        !sim_bus_read(&node->card->bus, address, out_context, sizeof *out_context))
        return context_fault(out_fault, ISA_ACCESS_READ, address, 0);
    const isa_context_t *context = out_context;
    bool ok = (context->root & ~ISA_PTE_ADDRESS) == 0 && context->save % ISA_PAGE_BYTES == 0 &&
              (context->flags & ~ISA_CTX_FLAGS) == 0 && context->asid != ISA_ASID_ALL &&
              context->state <= ISA_CTX_STATE_PREEMPTED;
    for (size_t i = 0; i < COUNT_OF(context->reserved); i++)
        ok = ok && context->reserved[i] == 0;
    return ok || context_fault(out_fault, ISA_ACCESS_NONE, address, context->root);
}

void sim_context_space(sim_node_t *node, const isa_context_t *context, sim_space_t *out_space) {
    *out_space = (sim_space_t){
        .mmu = &node->card->mmu,
        .pages = &node->pages,
        .root = context->root,
        .root_sys = (context->flags & ISA_CTX_ROOT_SYS) != 0,
        .asid = context->asid,
    };
}

// The card owns `state` and `cycles` of the descriptor.
static bool context_update(sim_run_t *run, uint32_t state) {
    sim_bus_t *bus = &run->node->card->bus;
    run->context.state = state;
    run->context.cycles += run->cycles;
    return sim_bus_write(bus, run->context_address + offsetof(isa_context_t, cycles),
                         &run->context.cycles, sizeof run->context.cycles) &&
           sim_bus_write(bus, run->context_address + offsetof(isa_context_t, state), &state,
                         sizeof state);
}

void sim_run_set_fault(sim_run_t *run, const sim_fault_t *fault) {
    if (run->fault.cause != ISA_FAULT_NONE)
        return;
    run->fault = (isa_fault_record_t){
        .cause = (uint16_t)fault->cause,
        .access = (uint8_t)fault->access,
        .core = ISA_FAULT_NO_CORE,
        .engine = ISA_FAULT_ENGINE_NONE,
        .insn = 0xffff,
        .va = fault->va,
        .value = fault->value,
        .onnx_node = UINT64_MAX,
    };
}

// --- Packets ---

typedef enum next {
    NEXT_GO_ON,
    NEXT_FAULT,
    NEXT_SUSPENDED,
    NEXT_PREEMPTED,
    NEXT_EXPIRED,
    NEXT_QUIT, // the packet is left
} next_t;

static next_t fail(sim_run_t *run, const sim_fault_t *fault) {
    if (fault->cause == ISA_FAULT_NONE)
        return NEXT_QUIT;
    sim_run_set_fault(run, fault);
    return NEXT_FAULT;
}

static next_t after_gang(sim_run_t *run, sim_halt_t stop) {
    switch (stop) {
    case SIM_HALT_NONE:
        run->context.state = ISA_CTX_STATE_READY;
        return NEXT_GO_ON;
    case SIM_HALT_HEAP:
        return NEXT_SUSPENDED;
    case SIM_HALT_PREEMPT:
        return NEXT_PREEMPTED;
    case SIM_HALT_EXPIRED:
        return NEXT_EXPIRED;
    case SIM_HALT_FAULT:
        return NEXT_FAULT;
    case SIM_HALT_SYNC:
    case SIM_HALT_QUIT:
        break;
    }
    return NEXT_QUIT;
}

static void charge(sim_run_t *run, uint64_t cycles) {
    run->cycles += cycles;
    run->spent += cycles;
}

static next_t ib_copy(sim_run_t *run, const isa_ib_copy_t *packet) {
    sim_fault_t fault;
    sim_end_t dst = {SIM_WHERE_VIRTUAL, packet->dst, packet->dst_pitch, &run->space};
    sim_end_t src = {SIM_WHERE_VIRTUAL, packet->src, packet->src_pitch, &run->space};
    charge(run, sim_copy_cycles(run->node->card, packet->bytes * packet->rows));
    return sim_copy_rows(run->node, dst, src, packet->bytes, packet->rows, &fault)
               ? NEXT_GO_ON
               : fail(run, &fault);
}

static next_t ib_fill(sim_run_t *run, const isa_ib_fill_t *packet) {
    sim_fault_t fault;
    sim_end_t dst = {SIM_WHERE_VIRTUAL, packet->dst, packet->dst_pitch, &run->space};
    charge(run, sim_copy_cycles(run->node->card, packet->bytes * packet->rows));
    return sim_fill_rows(run->node, dst, packet->pattern, packet->bytes, packet->rows, &fault)
               ? NEXT_GO_ON
               : fail(run, &fault);
}

static next_t ib_write(sim_run_t *run, uint64_t va, const void *data, uint64_t bytes) {
    sim_fault_t fault = {ISA_FAULT_MISALIGNED, ISA_ACCESS_WRITE, va, 0};
    if (va % 8 != 0 || !sim_mmu_write(&run->space, &run->node->tlb, va, data, bytes, &fault))
        return fail(run, &fault);
    return NEXT_GO_ON;
}

// A fence in memory: one atomic store, after everything before it is visible.
static next_t ib_signal(sim_run_t *run, const isa_ib_signal64_t *packet) {
    sim_fault_t fault = {ISA_FAULT_MISALIGNED, ISA_ACCESS_WRITE, packet->va, 0};
    uint64_t bytes;
    if (packet->va % 8 != 0)
        return fail(run, &fault);
    _Atomic uint64_t *host = sim_mmu_resolve(&run->space, &run->node->tlb, packet->va, 8,
                                             ISA_ACCESS_WRITE, &bytes, &fault);
    if (host == NULL)
        return fail(run, &fault);
    atomic_store_explicit(host, packet->value, memory_order_release);
    return NEXT_GO_ON;
}

static next_t ib_time(sim_run_t *run, const isa_ib_time_t *packet) {
    const sim_host_t *host = &run->node->card->bus.host;
    isa_time_t time = {host->clock_ns(host->user), run->context.cycles + run->cycles};
    return ib_write(run, packet->va, &time, sizeof time);
}

static next_t ib_buffers(sim_run_t *run, const isa_ib_buffers_t *packet) {
    sim_fault_t fault = {ISA_FAULT_BAD_IB, ISA_ACCESS_NONE, packet->log, packet->head.op};
    if (packet->log % 8 != 0 || packet->stats % 8 != 0 ||
        packet->stats_entries > ISA_STATS_MAX_ENTRIES ||
        (packet->log != 0 && packet->log_bytes < sizeof(isa_log_t)))
        return fail(run, &fault);
    run->log_va = packet->log;
    run->log_bytes = packet->log_bytes;
    run->stats_va = packet->stats;
    run->stats_entries = packet->stats_entries;
    return NEXT_GO_ON;
}

static next_t ib_packet(sim_run_t *run, const isa_ib_packet_t *packet) {
    sim_gang_t *gang = run->node->card->gang;
    switch ((isa_ib_op_t)packet->head.op) {
    case ISA_IB_LAUNCH:
        return after_gang(run, sim_gang_launch(gang, run, &packet->launch));
    case ISA_IB_RESUME:
        return after_gang(run, sim_gang_resume(gang, run, &packet->resume));
    case ISA_IB_COPY:
        return ib_copy(run, &packet->copy);
    case ISA_IB_FILL:
        return ib_fill(run, &packet->fill);
    case ISA_IB_SIGNAL64:
        return ib_signal(run, &packet->signal64);
    case ISA_IB_TIME:
        return ib_time(run, &packet->time);
    case ISA_IB_BUFFERS:
        return ib_buffers(run, &packet->buffers);
    case ISA_IB_NOP:
    case ISA_IB_OP_COUNT:
        break;
    }
    return NEXT_GO_ON;
}

// Copies the packet out of user memory first: what was checked is what runs.
static bool fetch_packet(sim_run_t *run, uint64_t va, uint64_t left, isa_ib_packet_t *out_packet,
                         sim_fault_t *fault) {
    sim_tlb_t *tlb = &run->node->tlb;
    *out_packet = (isa_ib_packet_t){0};
    if (!sim_mmu_read(&run->space, tlb, va, &out_packet->head, sizeof out_packet->head, fault))
        return false;
    uint64_t bytes = out_packet->head.bytes;
    *fault = (sim_fault_t){ISA_FAULT_BAD_IB, ISA_ACCESS_READ, va, out_packet->words[0]};
    if (bytes < sizeof out_packet->head || bytes > sizeof *out_packet || bytes > left)
        return false;
    sim_fault_t read_fault;
    if (!sim_mmu_read(&run->space, tlb, va, out_packet, bytes, &read_fault)) {
        *fault = read_fault;
        return false;
    }
    return isa_ib_packet_valid(out_packet, bytes);
}

// User memory that is held as copies goes back before the next packet can tell anybody of it.
static bool flush_pages(sim_run_t *run) {
    sim_card_t *card = run->node->card;
    bool went_back;
    if (sim_pages_flush(&run->node->pages, &card->bus, &went_back))
        sim_mmu_copies_gone(&card->mmu);
    if (went_back)
        return true;
    sim_fault_t fault = {.cause = ISA_FAULT_BUS, .access = ISA_ACCESS_WRITE};
    sim_run_set_fault(run, &fault);
    return false;
}

// Before a packet: whether the run has to stop here, without a gang.
static next_t between(sim_run_t *run) {
    sim_node_t *node = run->node;
    sim_node_sync_point(node);
    if (sim_node_wants(node, SIM_WANT_ABORT))
        return NEXT_QUIT;
    bool preempt = run->ring == ISA_RING_NORMAL && sim_node_wants(node, SIM_WANT_PREEMPT);
    bool expired = run->quantum != 0 && run->spent >= run->quantum;
    // A launch that waits for RESUME still needs the save area: that one stops as it starts.
    if ((!preempt && !expired) || run->context.state == ISA_CTX_STATE_SUSPENDED)
        return NEXT_GO_ON;
    if (!sim_save_write_between(run))
        return NEXT_FAULT;
    return preempt ? NEXT_PREEMPTED : NEXT_EXPIRED;
}

// The packet at `run->offset`, or the rest of it that the save area holds.
static next_t one_packet(sim_run_t *run, uint64_t left, const sim_saved_t *saved,
                         uint64_t *out_bytes) {
    isa_ib_packet_t packet;
    sim_fault_t fault;
    if (!fetch_packet(run, run->ib_va + run->offset, left, &packet, &fault))
        return fail(run, &fault);
    *out_bytes = packet.head.bytes;
    if (saved->cores == 0)
        return ib_packet(run, &packet);
    if (packet.head.op != ISA_IB_LAUNCH && packet.head.op != ISA_IB_RESUME) {
        fault = (sim_fault_t){ISA_FAULT_BAD_IB, ISA_ACCESS_NONE, run->ib_va + run->offset,
                              packet.words[0]};
        return fail(run, &fault);
    }
    sim_gang_t *gang = run->node->card->gang;
    return after_gang(run, sim_gang_continue(gang, run, saved->cores, saved->launch));
}

static next_t run_packets(sim_run_t *run, uint64_t bytes, sim_saved_t saved) {
    for (run->offset = saved.offset; run->offset < bytes;) {
        uint64_t packet_bytes = 0;
        next_t next = saved.cores == 0 ? between(run) : NEXT_GO_ON;
        if (next != NEXT_GO_ON)
            return next;
        next = one_packet(run, bytes - run->offset, &saved, &packet_bytes);
        if (next == NEXT_QUIT)
            return next;
        if (!flush_pages(run))
            return NEXT_FAULT;
        if (next != NEXT_GO_ON)
            return next;
        run->offset += packet_bytes;
        saved.cores = 0;
    }
    return NEXT_GO_ON;
}

// --- RUN_IB ---

static sim_outcome_t run_faulted(sim_run_t *run) {
    run->fault.node = (uint8_t)run->node->index;
    run->fault.asid = run->context.asid;
    run->fault.fence = run->fence;
    isa_fault_t cause = (isa_fault_t)run->fault.cause;
    return (sim_outcome_t){ISA_COMP_FAULT, cause, sim_irq_fault(run->node->card, &run->fault)};
}

static bool write_fence(sim_run_t *run, uint64_t address) {
    return address == 0 || (address % 8 == 0 && sim_bus_write(&run->node->card->bus, address,
                                                              &run->fence, sizeof run->fence));
}

static uint32_t state_after(const sim_run_t *run, next_t next) {
    switch (next) {
    case NEXT_FAULT:
        return ISA_CTX_STATE_LOST;
    case NEXT_SUSPENDED:
        return ISA_CTX_STATE_SUSPENDED;
    case NEXT_PREEMPTED:
    case NEXT_EXPIRED:
        return ISA_CTX_STATE_PREEMPTED;
    case NEXT_GO_ON:
    case NEXT_QUIT:
        break;
    }
    return run->context.state;
}

static sim_outcome_t outcome_of(sim_run_t *run, next_t next) {
    switch (next) {
    case NEXT_FAULT:
        return run_faulted(run);
    case NEXT_SUSPENDED:
        return (sim_outcome_t){.type = ISA_COMP_SUSPENDED, .info = run->need};
    case NEXT_PREEMPTED:
        return (sim_outcome_t){.type = ISA_COMP_PREEMPTED};
    case NEXT_EXPIRED:
        return (sim_outcome_t){.type = ISA_COMP_EXPIRED, .info = run->cycles};
    case NEXT_GO_ON:
    case NEXT_QUIT:
        break;
    }
    return (sim_outcome_t){.type = ISA_COMP_DONE, .info = run->cycles};
}

static sim_outcome_t run_ended(sim_run_t *run, const isa_ring_run_ib_t *packet, next_t next) {
    // From here on the run is not left any more.
    if (next == NEXT_QUIT || sim_node_wants(run->node, SIM_WANT_ABORT))
        return (sim_outcome_t){.type = ISA_COMP_NONE};
    sim_count(&run->node->cycles, run->cycles);
    sim_fault_t fault = {ISA_FAULT_PACKET_BUS, ISA_ACCESS_WRITE, packet->address, 0};
    if (!context_update(run, state_after(run, next)) ||
        (next == NEXT_GO_ON && !write_fence(run, packet->address))) {
        sim_run_set_fault(run, &fault);
        next = NEXT_FAULT;
    }
    return outcome_of(run, next);
}

// Where the command buffer begins: at its start, or where CONTINUE goes on.
static bool run_begin(sim_run_t *run, const isa_ring_run_ib_t *packet, sim_saved_t *out_saved) {
    *out_saved = (sim_saved_t){0};
    if (packet->bytes % 8 != 0 || packet->va % 8 != 0 || packet->bytes > ISA_IB_MAX_BYTES) {
        sim_fault_t fault = {ISA_FAULT_BAD_IB, ISA_ACCESS_NONE, packet->va, packet->bytes};
        sim_run_set_fault(run, &fault);
        return false;
    }
    bool found = (packet->flags & ISA_RING_FLAG_CONTINUE) == 0 || sim_save_find(run, out_saved);
    if (run->context.state == ISA_CTX_STATE_PREEMPTED)
        run->context.state = ISA_CTX_STATE_READY; // what it held runs, or is forgotten
    return found;
}

sim_outcome_t sim_ib_run(sim_node_t *node, uint32_t ring, const isa_ring_run_ib_t *packet) {
    sim_run_t run = {.node = node,
                     .ring = ring,
                     .context_address = packet->context,
                     .fence = packet->fence,
                     .quantum = packet->quantum,
                     .ib_va = packet->va};
    sim_fault_t fault;
    sim_saved_t saved;
    if (!sim_context_read(node, packet->context, &run.context, &fault)) {
        if (sim_node_wants(node, SIM_WANT_ABORT))
            return (sim_outcome_t){.type = ISA_COMP_NONE};
        sim_run_set_fault(&run, &fault);
        return run_faulted(&run);
    }
    if (run.context.state == ISA_CTX_STATE_LOST)
        return (sim_outcome_t){.type = ISA_COMP_ABORTED};
    sim_context_space(node, &run.context, &run.space);
    if (!run_begin(&run, packet, &saved))
        return run_ended(&run, packet, NEXT_FAULT);
    return run_ended(&run, packet, run_packets(&run, packet->bytes, saved));
}
