// SPDX-License-Identifier: Apache-2.0
// The card's state and the calls between its parts. Private to this folder.
#ifndef SIM_CARD_H
#define SIM_CARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/sim/mem.h"
#include "driver/sim/mmu.h"
#include "driver/sim/sim.h"
#include "isa/card.h"
#include "isa/packet.h"
#include "isa/profile.h"

typedef struct sim_card sim_card_t;
typedef struct sim_gang sim_gang_t;

// --- A hardware node ---

typedef struct sim_ring_regs {
    uint64_t base;
    uint32_t log2;
} sim_ring_regs_t;

typedef struct sim_node {
    sim_card_t *card;
    uint32_t index;

    // As the owner last wrote them; in force from the moment the node is enabled.
    sim_ring_regs_t ring_regs, high_regs, comp_regs;
    // In force while enabled; written only while the node is off and idle.
    sim_ring_regs_t ring, comp;

    atomic_bool enabled;
    _Atomic uint32_t tail, head; // of the normal ring
    atomic_bool busy;            // a thread works through the ring
    _Atomic uint32_t comp_tail;
    _Atomic uint64_t armed; // ARMED_BIT and the low half of a fence64, or 0
    _Atomic uint64_t heartbeat, cycles, last_done, last_aborted;
    _Atomic uint64_t
        announced; // last_done whose completion entry is written; the armed interrupt goes by it
    _Atomic uint64_t instructions, issues, dram_bytes, fallbacks;

    // Of the thread that is busy with the ring.
    sim_pages_t pages;
    sim_tlb_t tlb;

    // Posted mode: the thread that is woken by a doorbell.
    pthread_t thread;
    bool has_thread;
    bool rung;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} sim_node_t;

struct sim_card {
    sim_options_t options;
    const isa_profile_t *profile;
    uint32_t cores;
    sim_bus_t bus;
    sim_mem_t mem, sram;
    uint64_t sram_root; // address space that used the SRAM last
    uint16_t sram_asid;
    atomic_bool sram_used;
    sim_mmu_t mmu;

    pthread_mutex_t lock; // registers, config space, MSI-X table, fault ring
    uint8_t config[256];
    uint8_t msix[ISA_MSIX_VECTORS * 16];
    uint32_t msix_pending;
    uint32_t vectors_granted;
    uint64_t fault_base;
    uint32_t fault_log2, fault_head, fault_tail, fault_dropped;
    uint32_t error, error_count;
    uint32_t latched_hi; // high half of the 64-bit counter whose low half was read last

    uint64_t trace_base; // ticks of all launches before (timing mode)
    bool trace_started;

    atomic_bool stopping;
    sim_node_t nodes[ISA_NODE_COUNT];
    sim_gang_t *gang;
};

// CPUs that this process may use, at most XA_MAX_CORES.
uint32_t sim_host_cpus(void);

// --- pci.c: config space and MSI-X table ---

void sim_pci_init(sim_card_t *card);
uint32_t sim_pci_config_read(void *self, uint32_t offset, uint32_t bytes);
void sim_pci_config_write(void *self, uint32_t offset, uint32_t bytes, uint32_t value);
bool sim_pci_memory_enabled(sim_card_t *card);
uint64_t sim_pci_bar2_read(sim_card_t *card, uint64_t offset, uint32_t bytes);
void sim_pci_bar2_write(sim_card_t *card, uint64_t offset, uint32_t bytes, uint64_t value);

// --- irq.c: interrupts, completions and fault records ---

// Raises the vector, or leaves it pending while it is masked.
void sim_irq_raise(sim_card_t *card, uint32_t vector);
void sim_irq_error(sim_card_t *card, uint32_t error_bits);

typedef struct sim_outcome {
    isa_comp_type_t type;
    isa_fault_t cause; // of ISA_COMP_FAULT
    uint64_t info;
} sim_outcome_t;

// Writes a completion entry if `wanted`, moves LAST_DONE, interrupts if `irq` or armed.
void sim_irq_complete(sim_node_t *node, const sim_outcome_t *outcome, uint64_t fence, bool wanted,
                      bool irq);
void sim_irq_arm(sim_node_t *node, uint32_t fence_lo);
// Fills in phase and time, and writes the record; returns its free-running number.
uint64_t sim_irq_fault(sim_card_t *card, isa_fault_record_t *record);

// --- ring.c ---

void sim_ring_enable(sim_node_t *node, bool enable);
void sim_ring_doorbell(sim_node_t *node, uint32_t tail);
// Works through the ring until it is empty, unless another thread does.
void sim_ring_work(sim_node_t *node);
void *sim_ring_thread(void *node);

// --- copy.c ---

typedef enum sim_where { SIM_WHERE_CARD, SIM_WHERE_HOST, SIM_WHERE_VIRTUAL } sim_where_t;

typedef struct sim_end {
    sim_where_t where;
    uint64_t address, pitch;
    const sim_space_t *space; // of SIM_WHERE_VIRTUAL
} sim_end_t;

// On false, *out_fault tells; `va` is the address as the packet gives it.
WARN_UNUSED bool sim_copy_rows(sim_node_t *node, sim_end_t dst, sim_end_t src, uint64_t bytes,
                               uint32_t rows, sim_fault_t *out_fault);
WARN_UNUSED bool sim_fill_rows(sim_node_t *node, sim_end_t dst, uint64_t pattern, uint64_t bytes,
                               uint32_t rows, sim_fault_t *out_fault);
// Modelled cycles of moving so many bytes through the COPY node or by a command buffer.
uint64_t sim_copy_cycles(const sim_card_t *card, uint64_t bytes);

// --- ib.c ---

// One RUN_IB in work.
typedef struct sim_run {
    sim_node_t *node;
    isa_context_t context;
    uint64_t context_address;
    sim_space_t space;
    uint64_t fence;
    uint64_t cycles;
    uint64_t offset; // of the packet in work
    // BUFFERS
    uint64_t log_va, stats_va;
    uint32_t log_bytes, stats_entries;
    // The gang's news, when it did not simply end.
    uint64_t need;            // suspended
    isa_fault_record_t fault; // faulted; cause NONE: not
} sim_run_t;

sim_outcome_t sim_ib_run(sim_node_t *node, const isa_ring_run_ib_t *packet);
// Reads and checks a context descriptor.
WARN_UNUSED bool sim_context_read(sim_node_t *node, uint64_t address, isa_context_t *out_context,
                                  sim_fault_t *out_fault);
void sim_context_space(sim_node_t *node, const isa_context_t *context, sim_space_t *out_space);
void sim_run_set_fault(sim_run_t *run, const sim_fault_t *fault);

#endif
