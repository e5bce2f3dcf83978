// SPDX-License-Identifier: Apache-2.0
// A tiny owner of a simulated card: host memory at made-up DMA addresses, page tables that it
// writes itself, rings that it fills by hand. It shows what a driver has to do, and lets a test do
// what a driver must not.
#ifndef CARD_OWNER_H
#define CARD_OWNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "driver/sim/sim.h"
#include "isa/card.h"
#include "isa/packet.h"
#include "isa/program.h"

#define HOST_BASE  UINT64_C(0x7000000000) // DMA address of the first byte of host memory
#define HOST_BYTES (UINT64_C(16) << 20)
#define RING_LOG2  4u
#define COMP_LOG2  3u
#define FAULT_LOG2 2u

typedef struct owner_node {
    isa_ring_packet_t *ring, *high;
    isa_completion_t *comp;
    uint32_t tail, high_tail, comp_head;
} owner_node_t;

struct owner;
// Called inside of the card's DMA writes, with their address; or of its clock reads, with 0.
typedef void (*owner_hook_t)(struct owner *owner, uint64_t address);

typedef struct owner {
    sim_function_t card;
    uint8_t *host; // HOST_BYTES
    uint64_t host_used;
    uint64_t card_used; // bytes of card memory handed out
    isa_context_t *context;
    uint64_t *root;
    uint64_t table_first, table_next; // host memory for tables
    isa_fault_record_t *faults;
    uint32_t fault_head;
    owner_node_t nodes[ISA_NODE_COUNT];
    _Atomic uint32_t interrupts[ISA_MSIX_VECTORS];
    uint64_t fence;
    char *trace;
    size_t trace_bytes;
    atomic_bool refuse_dma;
    _Atomic uint64_t dma_count; // accesses of the card, mappings not counted
    _Atomic(owner_hook_t) hook, clock_hook;
    void *hook_user;
    bool own_clock;          // time stands still but for owner_pass
    _Atomic uint64_t now_ns; // of such a clock
} owner_t;

typedef struct owner_options {
    const char *profile; // NULL: edge
    uint32_t cores, threads;
    bool no_map; // the host cannot map its memory for the card
    bool posted, timing, trace;
    bool remote; // in another process: posted, and without mapping
    bool own_clock;
    uint64_t serial;
    sim_engines_t engines;
} owner_options_t;

// Creates and starts a card: bus master, vectors unmasked, rings enabled, one context.
void owner_start(owner_t *owner, const owner_options_t *options);
void owner_stop(owner_t *owner);
// Sets the function up (again), as after power-on; after a reset of the card or function.
void owner_bring_up(owner_t *owner);
// Switches a node on (again), with empty rings.
void owner_start_node(owner_t *owner, uint32_t node);

uint32_t owner_reg(owner_t *owner, uint32_t offset);
uint64_t owner_reg64(owner_t *owner, uint32_t offset);
void owner_set_reg(owner_t *owner, uint32_t offset, uint32_t value);
uint32_t owner_config(owner_t *owner, uint32_t offset, uint32_t bytes);
void owner_set_config(owner_t *owner, uint32_t offset, uint32_t bytes, uint32_t value);
// Plants a fault.
void owner_inject(owner_t *owner, uint32_t what, uint64_t argument);
void owner_pass(owner_t *owner, uint64_t ns);
// Waits a while (of the machine's time) until the register has the value; fails the test if not.
void owner_wait_reg(owner_t *owner, uint32_t offset, uint32_t value);

// Host memory, zeroed, 4 KiB aligned; its DMA address.
void *owner_alloc(owner_t *owner, uint64_t bytes);
uint64_t owner_dma(const owner_t *owner, const void *pointer);
// Physical card memory, 4 KiB aligned (or 2 MiB with `large`).
uint64_t owner_card_alloc(owner_t *owner, uint64_t bytes, bool large);

// Maps pages of 4 KiB; `flags` are ISA_PTE_*; with ISA_PTE_SYS `address` is a DMA address.
void owner_map(owner_t *owner, uint64_t va, uint64_t address, uint64_t bytes, uint64_t flags);
void owner_map_large(owner_t *owner, uint64_t va, uint64_t address, uint64_t flags);
// The last-level entry of `va`, making tables as needed.
uint64_t *owner_pte(owner_t *owner, uint64_t va);
// Host memory mapped at `va`.
void *owner_map_host(owner_t *owner, uint64_t va, uint64_t bytes, uint64_t flags);

// Puts a packet into the ring; gives it the next fence if it has none.
uint64_t owner_push(owner_t *owner, uint32_t node, isa_ring_packet_t packet);
void owner_ring(owner_t *owner, uint32_t node);
// The same of the high ring.
uint64_t owner_push_high(owner_t *owner, uint32_t node, isa_ring_packet_t packet);
void owner_ring_high(owner_t *owner, uint32_t node);
// The next completion entry (waits a while for posted cards); fails the test if none comes.
isa_completion_t owner_completion(owner_t *owner, uint32_t node);
bool owner_has_completion(owner_t *owner, uint32_t node);
// push, ring, completion.
isa_completion_t owner_do(owner_t *owner, uint32_t node, isa_ring_packet_t packet);
isa_fault_record_t owner_fault(owner_t *owner);
bool owner_has_fault(owner_t *owner);

// A RUN_IB of the command buffer, which is put into its place.
isa_ring_packet_t owner_ib_packet(owner_t *owner, const void *ib, uint32_t bytes);
// Runs a command buffer (host memory at ISA_VA_ARGS + 64 KiB) in the owner's context.
isa_completion_t owner_run_ib(owner_t *owner, const void *ib, uint32_t bytes);
// Copies between host memory of the test's and physical card memory by the COPY node.
void owner_upload(owner_t *owner, uint64_t card_address, const void *data, uint64_t bytes);
void owner_download(owner_t *owner, void *out_data, uint64_t card_address, uint64_t bytes);

#endif
