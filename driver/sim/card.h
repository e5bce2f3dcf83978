// SPDX-License-Identifier: Apache-2.0
// The card's state and the calls between its parts. Private to this folder.
#ifndef SIM_CARD_H
#define SIM_CARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "driver/sim/ecc.h"
#include "driver/sim/mem.h"
#include "driver/sim/mmu.h"
#include "driver/sim/sim.h"
#include "isa/card.h"
#include "isa/packet.h"
#include "isa/profile.h"

#define SIM_LINK      (4u << 8 | 8u) // LINK: generation 4, 8 lanes
#define SIM_FIRMWARE  (1u << 24)     // FIRMWARE: 1.0.0
#define SIM_CLOCK_KHZ 1000000u       // CLOCK_KHZ

typedef struct sim_card sim_card_t;
typedef struct sim_gang sim_gang_t;

// --- A hardware node ---

typedef struct sim_ring_regs {
    uint64_t base;
    uint32_t log2;
} sim_ring_regs_t;

typedef struct sim_ring {
    sim_ring_regs_t regs;  // as the owner last wrote them
    sim_ring_regs_t force; // in force while the node is enabled; base 0: there is none
    _Atomic uint32_t tail, head;
    _Atomic uint64_t armed;     // ARMED_BIT and the low half of a fence64, or 0
    _Atomic uint64_t done;      // LAST_DONE, HIGH_DONE
    _Atomic uint64_t announced; // `done` whose entry is written; the armed interrupt goes by it
} sim_ring_t;

// What others want of the node's thread: bits of sim_node_t.want.
#define SIM_WANT_ABORT   0x01u // leave the packet in work, without a word
#define SIM_WANT_PREEMPT 0x02u // `token`
#define SIM_WANT_SYNC    0x04u // translations changed: use none of before
#define SIM_WANT_RESET   0x08u // with ABORT
#define SIM_WANT_CARD    0x10u // with ABORT: leave the node to a reset of the card
#define SIM_WANT_HANG    0x20u // with ABORT; stays until a reset of `hang_depth`

typedef struct sim_node {
    sim_card_t *card;
    uint32_t index;
    sim_ring_t rings[ISA_RING_COUNT];
    sim_ring_regs_t comp_regs; // as the owner last wrote them
    sim_ring_regs_t comp;      // in force while enabled

    atomic_bool enabled;
    atomic_bool resetting; // what STATE says
    // Held by the thread that works for the node: packets, resets, preemptions.
    atomic_bool busy;
    _Atomic uintptr_t worker;       // that thread, while `exposed`
    _Atomic clockid_t worker_clock; // its processor time
    _Atomic uint32_t want, token, preempt_tail, hang_depth;
    atomic_bool exposed;                 // a packet is in work that may use translations
    _Atomic uint64_t sync_asked, synced; // counts of SIM_WANT_SYNC
    atomic_bool stuck;                   // hung with a packet in work, `abandoned`
    uint64_t abandoned;                  // fence64 of the packet that was left, under `busy`
    atomic_bool corrupt_next, refuse_next;

    _Atomic uint32_t comp_tail;
    _Atomic uint64_t heartbeat, cycles, last_aborted;
    _Atomic uint64_t instructions, issues, dram_bytes, fallbacks;
    _Atomic uint64_t busy_since, busy_ns; // of the host's clock; since 0: not

    // HELD, under the card's lock.
    uint32_t held;
    uint64_t held_seen_ns; // processor time at the last read

    // Of the thread that is busy with the node.
    sim_pages_t pages;
    sim_tlb_t tlb;

    // The thread that does what no caller does; it starts when it is first needed.
    pthread_t thread;
    bool has_thread, rung;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} sim_node_t;

// How much a reset of the card takes with it.
typedef enum sim_scope {
    SIM_SCOPE_NONE,
    SIM_SCOPE_CARD,     // the RESET register
    SIM_SCOPE_FUNCTION, // and the configuration space
    SIM_SCOPE_LINK,     // the same; comes back when the link does
    SIM_SCOPE_REPLACED, // another card
} sim_scope_t;

typedef struct sim_power {
    uint64_t at_ns;                         // of the figures below
    uint64_t busy_ns[ISA_NODE_COUNT];       // accounted
    double share[ISA_NODE_COUNT];           // busy share, low-passed
    double temperature, draw_mw, energy_mj; // Celsius
    double clock;                           // 0 to 1
    uint32_t throttle, limit_mw;
    uint64_t hot_until_ns; // INJECT OVERHEAT; UINT64_MAX: for ever
    bool hot_told;
} sim_power_t;

struct sim_card {
    sim_options_t options;
    const isa_profile_t *profile;
    uint32_t cores;
    uint64_t serial;
    sim_bus_t bus;
    sim_mem_t mem, sram;
    uint64_t sram_root; // address space that used the SRAM last
    uint16_t sram_asid;
    _Atomic uint64_t sram_used; // bytes from its start that may differ from zero
    sim_mmu_t mmu;
    sim_ecc_t ecc;

    pthread_mutex_t lock; // registers, config space, MSI-X table
    uint8_t config[4096];
    uint8_t msix[ISA_MSIX_VECTORS * 16];
    uint32_t msix_pending;
    atomic_bool answers;  // BARs: the link is up, memory space on, state D0
    atomic_bool sleeping; // POWER or D3hot: nodes begin no packet
    uint32_t power_wanted;
    uint32_t vectors_granted;
    uint64_t fault_base;
    uint32_t fault_log2;
    _Atomic uint32_t fault_head, fault_tail, fault_dropped;
    uint32_t error, error_count;
    uint32_t latched_hi; // high half of the 64-bit counter whose low half was read last
    uint64_t inject_arg;
    uint32_t irqs_to_lose;
    sim_power_t power;

    _Atomic uint32_t reset_scope; // sim_scope_t that waits to be done
    atomic_bool resetting;        // what RESET says
    atomic_bool link_down;
    _Atomic uint64_t link_up_ns; // 0: never

    uint64_t trace_base; // ticks of all launches before (timing mode)
    bool trace_started;

    atomic_bool stopping;
    sim_node_t nodes[ISA_NODE_COUNT];
    sim_gang_t *gang;
};

// CPUs that this process may use, at most XA_MAX_CORES.
uint32_t sim_host_cpus(void);

// The host's clock.
static inline uint64_t sim_now_ns(const sim_card_t *card) {
    return card->bus.host.clock_ns(card->bus.host.user);
}

// For counters that only the thread with the node's `busy` moves.
static inline void sim_count(_Atomic uint64_t *counter, uint64_t n) {
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

// --- regs.c, regs_node.c: BAR0 ---

uint64_t sim_bar_read(void *card, uint32_t bar, uint64_t offset, uint32_t bytes);
void sim_bar_write(void *card, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value);
uint32_t sim_regs_node_read(sim_card_t *card, sim_node_t *node, uint32_t offset);
void sim_regs_node_write(sim_node_t *node, uint32_t offset, uint32_t value);
// A counter's low half is read first and latches the high one. Under the card's lock.
uint32_t sim_regs_latch(sim_card_t *card, uint64_t value);
void sim_regs_set_lo(uint64_t *value, uint32_t word);
void sim_regs_set_hi(uint64_t *value, uint32_t word);

// --- pci.c: config space ---

// As after power-on; under the card's lock, as the next.
void sim_pci_init(sim_card_t *card);
void sim_pci_update(sim_card_t *card); // `answers`, `sleeping` and bus mastering, from registers
uint32_t sim_pci_config_read(void *self, uint32_t offset, uint32_t bytes);
void sim_pci_config_write(void *self, uint32_t offset, uint32_t bytes, uint32_t value);
bool sim_pci_msix_open(const sim_card_t *card); // bus master, MSI-X on and not masked as a whole
void sim_pci_error(sim_card_t *card, uint32_t error_bits); // ERROR bits as AER has them

// --- msix.c ---

void sim_msix_init(sim_card_t *card);
uint64_t sim_msix_read(sim_card_t *card, uint64_t offset, uint32_t bytes);
void sim_msix_write(sim_card_t *card, uint64_t offset, uint32_t bytes, uint64_t value);
// Vectors that became deliverable (under the lock), and their delivery (without).
uint32_t sim_msix_take(sim_card_t *card);
void sim_msix_deliver(sim_card_t *card, uint32_t vectors);
// Raises the vector, or leaves it pending while it is masked.
void sim_irq_raise(sim_card_t *card, uint32_t vector);

// --- irq.c: completions, fault records, errors ---

void sim_irq_error(sim_card_t *card, uint32_t error_bits);

typedef struct sim_outcome {
    isa_comp_type_t type; // NONE: the packet was left
    isa_fault_t cause;    // of ISA_COMP_FAULT
    uint64_t info;
} sim_outcome_t;

typedef struct sim_completion {
    sim_outcome_t outcome;
    uint64_t fence;
    bool moves;  // the fence becomes the ring's last done
    bool wanted; // an entry is written
    bool irq;    // and the interrupt raised whether armed or not
} sim_completion_t;

// The clock at a packet's end, which also ends the time that the node was busy; 0 if it is not
// needed for either.
uint64_t sim_irq_end(sim_node_t *node, bool wanted);
void sim_irq_complete(sim_node_t *node, uint32_t ring, const sim_completion_t *completion);
void sim_irq_arm(sim_node_t *node, uint32_t ring, uint32_t fence_lo);
// Fills in phase and time, and writes the record; returns its free-running number.
uint64_t sim_irq_fault(sim_card_t *card, isa_fault_record_t *record);

// --- node.c: whose turn it is ---

WARN_UNUSED status_t sim_node_init(sim_card_t *card, uint32_t index);
void sim_node_deinit(sim_node_t *node);
void sim_node_enable(sim_node_t *node, bool enable);
void sim_node_doorbell(sim_node_t *node, uint32_t ring, uint32_t tail);
// Asks (SIM_WANT_*): the node's thread heeds it at once, or at its next instruction boundary.
void sim_node_ask(sim_node_t *node, uint32_t want);
// Does what can be done without waiting, but no packets: these are left to the node's own thread.
void sim_node_service(sim_node_t *node);
// Gives `busy` back.
void sim_node_release(sim_node_t *node);
static inline bool sim_node_wants(const sim_node_t *node, uint32_t bits) {
    return (atomic_load_explicit(&node->want, memory_order_relaxed) & bits) != 0;
}
// HELD: moves when the node had work and its thread no processor since the last call. Under the
// card's lock.
uint32_t sim_node_held(sim_node_t *node);
// For the node's thread between two uses of translations.
void sim_node_sync_point(sim_node_t *node);
// After translations were dropped: returns when no thread uses an old one any more. From inside a
// callback of a node's own thread it does not wait for that node.
void sim_node_sync_all(sim_card_t *card);
// Returns when no packet is in work, waiting as above.
void sim_node_quiet_all(sim_card_t *card);

// --- ring.c ---

// Reads the packet at the ring's head and does it.
void sim_ring_next(sim_node_t *node, uint32_t ring);
// The slot at the head, for a node that hangs with it.
uint64_t sim_ring_fence(sim_node_t *node, uint32_t ring);

// --- preempt.c ---

void sim_preempt_ask(sim_node_t *node, uint32_t token);
// Empties the normal ring and tells; under `busy`.
void sim_preempt_done(sim_node_t *node, bool saved);

// --- reset.c ---

void sim_reset_node_ask(sim_node_t *node);
void sim_reset_node(sim_node_t *node); // under `busy`
void sim_reset_card_ask(sim_card_t *card, sim_scope_t scope);
// Does a reset of the card that waits, unless a node is in work: its thread then tries again.
void sim_reset_try(sim_card_t *card);
// The link went down (until_ns 0: for good); up again if it is time.
void sim_reset_link_down(sim_card_t *card, uint64_t until_ns, bool replaced);
bool sim_reset_link_up(sim_card_t *card);

// --- power.c ---

void sim_power_init(sim_card_t *card);
// Registers, under the card's lock; `now`: the host's clock. Read: false: not one of these.
bool sim_power_read(sim_card_t *card, uint32_t offset, uint64_t now, uint32_t *out_value);
void sim_power_write(sim_card_t *card, uint32_t offset, uint32_t value);
// Brings the figures up to `now`; under the lock. True: OVERHEAT has to be told.
bool sim_power_update(sim_card_t *card, uint64_t now);
// After `sleeping` changed: nodes that have packets go on.
void sim_power_wake(sim_card_t *card);

// --- inject.c ---

void sim_inject(sim_card_t *card, uint32_t what, uint64_t argument);

// --- copy.c ---

typedef enum sim_where { SIM_WHERE_CARD, SIM_WHERE_HOST, SIM_WHERE_VIRTUAL } sim_where_t;

typedef struct sim_end {
    sim_where_t where;
    uint64_t address, pitch;
    const sim_space_t *space; // of SIM_WHERE_VIRTUAL
} sim_end_t;

// On false, *out_fault tells; `va` is the address as the packet gives it. Cause NONE: left, since
// the node's thread has to.
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
    uint32_t ring;
    isa_context_t context;
    uint64_t context_address;
    sim_space_t space;
    uint64_t fence;
    uint64_t cycles;         // of card time
    uint64_t quantum, spent; // and as functional mode counts them, for the quantum (0: none)
    uint64_t ib_va;
    uint64_t offset; // of the packet in work
    // BUFFERS
    uint64_t log_va, stats_va;
    uint32_t log_bytes, stats_entries;
    // The gang's news, when it did not simply end.
    uint64_t need;            // suspended
    isa_fault_record_t fault; // faulted; cause NONE: not
} sim_run_t;

sim_outcome_t sim_ib_run(sim_node_t *node, uint32_t ring, const isa_ring_run_ib_t *packet);
// Reads and checks a context descriptor.
WARN_UNUSED bool sim_context_read(sim_node_t *node, uint64_t address, isa_context_t *out_context,
                                  sim_fault_t *out_fault);
void sim_context_space(sim_node_t *node, const isa_context_t *context, sim_space_t *out_space);
void sim_run_set_fault(sim_run_t *run, const sim_fault_t *fault);

#endif
