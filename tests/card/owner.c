// SPDX-License-Identifier: Apache-2.0
#include "tests/card/owner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/card/check.h"
#include "tests/card/remote.h"

#define PAGE   UINT64_C(4096)
#define IB_VA  (ISA_VA_ARGS + 0x10000)
#define TABLES 64u

// --- What the card asks ---

static bool host_range(owner_t *owner, uint64_t address, uint64_t bytes) {
    atomic_fetch_add_explicit(&owner->dma_count, 1, memory_order_relaxed);
    return !atomic_load_explicit(&owner->refuse_dma, memory_order_relaxed) &&
           address >= HOST_BASE && bytes <= HOST_BYTES && address - HOST_BASE <= HOST_BYTES - bytes;
}

static bool dma_read(void *user, uint64_t address, void *out_data, uint64_t bytes) {
    owner_t *owner = user;
    if (!host_range(owner, address, bytes))
        return false;
    memcpy(out_data, owner->host + (address - HOST_BASE), bytes);
    return true;
}

static bool dma_write(void *user, uint64_t address, const void *data, uint64_t bytes) {
    owner_t *owner = user;
    if (!host_range(owner, address, bytes))
        return false;
    uint8_t *to = owner->host + (address - HOST_BASE);
    uint64_t word;
    uint32_t half;
    if (bytes == 8 && address % 8 == 0) {
        memcpy(&word, data, 8);
        atomic_store_explicit((_Atomic uint64_t *)(void *)to, word, memory_order_release);
    } else if (bytes == 4 && address % 4 == 0) {
        memcpy(&half, data, 4);
        atomic_store_explicit((_Atomic uint32_t *)(void *)to, half, memory_order_release);
    } else {
        memcpy(to, data, bytes);
    }
    owner_hook_t hook = atomic_load(&owner->hook);
    if (hook != NULL)
        hook(owner, address);
    return true;
}

static void *dma_map(void *user, uint64_t address, bool write, uint64_t *out_bytes) {
    owner_t *owner = user;
    (void)write;
    if (!host_range(owner, address, 1))
        return NULL;
    *out_bytes = HOST_BYTES - (address - HOST_BASE);
    return owner->host + (address - HOST_BASE);
}

static void msix(void *user, uint32_t vector) {
    owner_t *owner = user;
    atomic_fetch_add(&owner->interrupts[vector], 1);
}

static uint64_t clock_ns(void *user) {
    owner_t *owner = user;
    owner_hook_t hook = atomic_load(&owner->clock_hook);
    if (hook != NULL)
        hook(owner, 0);
    if (owner->own_clock)
        return atomic_load(&owner->now_ns);
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void trace(void *user, const char *text, size_t bytes) {
    owner_t *owner = user;
    owner->trace = realloc(owner->trace, owner->trace_bytes + bytes + 1);
    CHECK(owner->trace != NULL);
    memcpy(owner->trace + owner->trace_bytes, text, bytes);
    owner->trace_bytes += bytes;
    owner->trace[owner->trace_bytes] = 0;
}

// --- Registers and memory ---

uint32_t owner_reg(owner_t *owner, uint32_t offset) {
    return (uint32_t)owner->card.bar_read(owner->card.self, 0, offset, 4);
}

void owner_set_reg(owner_t *owner, uint32_t offset, uint32_t value) {
    owner->card.bar_write(owner->card.self, 0, offset, 4, value);
}

uint64_t owner_reg64(owner_t *owner, uint32_t offset) {
    uint64_t low = owner_reg(owner, offset);
    return low | (uint64_t)owner_reg(owner, offset + 4) << 32;
}

uint32_t owner_config(owner_t *owner, uint32_t offset, uint32_t bytes) {
    return owner->card.config_read(owner->card.self, offset, bytes);
}

void owner_set_config(owner_t *owner, uint32_t offset, uint32_t bytes, uint32_t value) {
    owner->card.config_write(owner->card.self, offset, bytes, value);
}

void owner_inject(owner_t *owner, uint32_t what, uint64_t argument) {
    owner_set_reg(owner, ISA_REG_INJECT_ARG_LO, (uint32_t)argument);
    owner_set_reg(owner, ISA_REG_INJECT_ARG_HI, (uint32_t)(argument >> 32));
    owner_set_reg(owner, ISA_REG_INJECT, what);
}

void owner_pass(owner_t *owner, uint64_t ns) { atomic_fetch_add(&owner->now_ns, ns); }

static void nap(void) {
    struct timespec pause = {0, 100000};
    (void)nanosleep(&pause, NULL);
}

void owner_wait_reg(owner_t *owner, uint32_t offset, uint32_t value) {
    for (int i = 0; i < 100000 && owner_reg(owner, offset) != value; i++)
        nap();
    CHECK_EQUAL(owner_reg(owner, offset), value);
}

static void set_reg64(owner_t *owner, uint32_t offset, uint64_t value) {
    owner_set_reg(owner, offset, (uint32_t)value);
    owner_set_reg(owner, offset + 4, (uint32_t)(value >> 32));
}

void *owner_alloc(owner_t *owner, uint64_t bytes) {
    uint64_t at = owner->host_used;
    owner->host_used += (bytes + PAGE - 1) & ~(PAGE - 1);
    CHECK(owner->host_used <= HOST_BYTES);
    return owner->host + at;
}

uint64_t owner_dma(const owner_t *owner, const void *pointer) {
    return HOST_BASE + (uint64_t)((const uint8_t *)pointer - owner->host);
}

uint64_t owner_card_alloc(owner_t *owner, uint64_t bytes, bool large) {
    uint64_t align = large ? ISA_PAGE_LARGE : PAGE;
    uint64_t at = (owner->card_used + align - 1) & ~(align - 1);
    owner->card_used = at + ((bytes + PAGE - 1) & ~(PAGE - 1));
    return at;
}

// --- Page tables, all in host memory ---

static uint64_t *entry_at(owner_t *owner, uint64_t va, uint32_t level) {
    uint64_t *table = owner->root;
    for (uint32_t at = ISA_PTE_LEVELS - 1; at > level; at--) {
        uint64_t *entry = &table[isa_pte_index(va, at)];
        if (*entry == 0)
            *entry = owner_dma(owner, owner_alloc(owner, PAGE)) | ISA_PTE_V | ISA_PTE_SYS;
        table = (uint64_t *)(void *)(owner->host + ((*entry & ISA_PTE_ADDRESS) - HOST_BASE));
    }
    return &table[isa_pte_index(va, level)];
}

uint64_t *owner_pte(owner_t *owner, uint64_t va) { return entry_at(owner, va, 0); }

void owner_map(owner_t *owner, uint64_t va, uint64_t address, uint64_t bytes, uint64_t flags) {
    for (uint64_t at = 0; at < bytes; at += PAGE)
        *owner_pte(owner, va + at) = (address + at) | ISA_PTE_V | ISA_PTE_LEAF | flags;
}

void owner_map_large(owner_t *owner, uint64_t va, uint64_t address, uint64_t flags) {
    *entry_at(owner, va, 1) = address | ISA_PTE_V | ISA_PTE_LEAF | flags;
}

void *owner_map_host(owner_t *owner, uint64_t va, uint64_t bytes, uint64_t flags) {
    void *host = owner_alloc(owner, bytes);
    owner_map(owner, va, owner_dma(owner, host), bytes, flags | ISA_PTE_SYS);
    return host;
}

// --- Rings ---

uint64_t owner_push(owner_t *owner, uint32_t node, isa_ring_packet_t packet) {
    owner_node_t *at = &owner->nodes[node];
    if (packet.words[7] == 0)
        packet.words[7] = ++owner->fence;
    at->ring[at->tail++ % (1u << RING_LOG2)] = packet;
    return packet.words[7];
}

void owner_ring(owner_t *owner, uint32_t node) {
    owner_set_reg(owner, ISA_DOORBELL(node, 0), owner->nodes[node].tail);
}

uint64_t owner_push_high(owner_t *owner, uint32_t node, isa_ring_packet_t packet) {
    owner_node_t *at = &owner->nodes[node];
    if (packet.words[7] == 0)
        packet.words[7] = ++owner->fence;
    at->high[at->high_tail++ % (1u << RING_LOG2)] = packet;
    return packet.words[7];
}

void owner_ring_high(owner_t *owner, uint32_t node) {
    owner_set_reg(owner, ISA_DOORBELL(node, ISA_RING_HIGH), owner->nodes[node].high_tail);
}

bool owner_has_completion(owner_t *owner, uint32_t node) {
    const owner_node_t *at = &owner->nodes[node];
    _Atomic uint32_t *word =
        (_Atomic uint32_t *)(void *)&at->comp[at->comp_head % (1u << COMP_LOG2)];
    bool phase = (atomic_load_explicit(word, memory_order_acquire) >> 24 & ISA_COMP_PHASE) != 0;
    return phase == ((at->comp_head >> COMP_LOG2 & 1) == 0);
}

isa_completion_t owner_completion(owner_t *owner, uint32_t node) {
    owner_node_t *at = &owner->nodes[node];
    for (int i = 0; i < 100000 && !owner_has_completion(owner, node); i++)
        nap();
    CHECK(owner_has_completion(owner, node));
    return at->comp[at->comp_head++ % (1u << COMP_LOG2)];
}

isa_completion_t owner_do(owner_t *owner, uint32_t node, isa_ring_packet_t packet) {
    uint64_t fence = owner_push(owner, node, packet);
    owner_ring(owner, node);
    isa_completion_t entry = owner_completion(owner, node);
    CHECK(entry.fence == fence);
    CHECK(entry.node == node);
    return entry;
}

bool owner_has_fault(owner_t *owner) {
    const isa_fault_record_t *record = &owner->faults[owner->fault_head % (1u << FAULT_LOG2)];
    return record->cause != 0 && record->phase == ((owner->fault_head >> FAULT_LOG2 & 1) == 0);
}

isa_fault_record_t owner_fault(owner_t *owner) {
    CHECK(owner_has_fault(owner));
    isa_fault_record_t record = owner->faults[owner->fault_head++ % (1u << FAULT_LOG2)];
    owner_set_reg(owner, ISA_REG_FAULT_HEAD, owner->fault_head);
    return record;
}

isa_ring_packet_t owner_ib_packet(owner_t *owner, const void *ib, uint32_t bytes) {
    const uint64_t *pte = owner_pte(owner, IB_VA);
    uint8_t *host = owner->host + ((*pte & ISA_PTE_ADDRESS) - HOST_BASE);
    memcpy(host, ib, bytes);
    return (isa_ring_packet_t){.run_ib = {.op = ISA_RING_RUN_IB,
                                          .bytes = bytes,
                                          .context = owner_dma(owner, owner->context),
                                          .va = IB_VA}};
}

isa_completion_t owner_run_ib(owner_t *owner, const void *ib, uint32_t bytes) {
    return owner_do(owner, ISA_NODE_COMPUTE, owner_ib_packet(owner, ib, bytes));
}

static void copy_packet(owner_t *owner, uint64_t dst, uint64_t src, uint64_t bytes, uint8_t flags) {
    isa_ring_packet_t packet = {.copy = {.op = ISA_RING_COPY,
                                         .flags = (uint8_t)(flags | ISA_RING_FLAG_COMPLETE),
                                         .rows = 1,
                                         .dst = dst,
                                         .src = src,
                                         .bytes = bytes}};
    CHECK(owner_do(owner, ISA_NODE_COPY, packet).type == ISA_COMP_DONE);
}

void owner_upload(owner_t *owner, uint64_t card_address, const void *data, uint64_t bytes) {
    uint64_t used = owner->host_used;
    void *host = owner_alloc(owner, bytes);
    memcpy(host, data, bytes);
    copy_packet(owner, card_address, owner_dma(owner, host), bytes, ISA_RING_FLAG_FROM_SYS);
    memset(host, 0, bytes);
    owner->host_used = used;
}

void owner_download(owner_t *owner, void *out_data, uint64_t card_address, uint64_t bytes) {
    uint64_t used = owner->host_used;
    void *host = owner_alloc(owner, bytes);
    copy_packet(owner, owner_dma(owner, host), card_address, bytes, ISA_RING_FLAG_TO_SYS);
    memcpy(out_data, host, bytes);
    memset(host, 0, bytes);
    owner->host_used = used;
}

// --- Start and stop ---

void owner_start_node(owner_t *owner, uint32_t node) {
    owner_node_t *at = &owner->nodes[node];
    if (at->ring == NULL) {
        at->ring = owner_alloc(owner, sizeof *at->ring << RING_LOG2);
        at->high = owner_alloc(owner, sizeof *at->high << RING_LOG2);
        at->comp = owner_alloc(owner, sizeof *at->comp << COMP_LOG2);
    }
    memset(at->comp, 0, sizeof *at->comp << COMP_LOG2);
    at->tail = at->high_tail = at->comp_head = 0;
    set_reg64(owner, ISA_NODE_REG_AT(node, RING_BASE_LO), owner_dma(owner, at->ring));
    owner_set_reg(owner, ISA_NODE_REG_AT(node, RING_LOG2), RING_LOG2);
    set_reg64(owner, ISA_NODE_REG_AT(node, HIGH_BASE_LO), owner_dma(owner, at->high));
    owner_set_reg(owner, ISA_NODE_REG_AT(node, HIGH_LOG2), RING_LOG2);
    set_reg64(owner, ISA_NODE_REG_AT(node, COMP_BASE_LO), owner_dma(owner, at->comp));
    owner_set_reg(owner, ISA_NODE_REG_AT(node, COMP_LOG2), COMP_LOG2);
    owner_set_reg(owner, ISA_NODE_REG_AT(node, CONTROL), ISA_NODE_CONTROL_ON);
    CHECK(owner_reg(owner, ISA_NODE_REG_AT(node, STATE)) == ISA_NODE_STATE_IDLE);
}

void owner_bring_up(owner_t *owner) {
    owner_set_config(owner, 0x04, 2, 0x0006); // memory, bus master
    owner_set_config(owner, 0x42, 2, 0x8000); // MSI-X on
    for (uint32_t i = 0; i < 3; i++)
        owner->card.bar_write(owner->card.self, 2, i * 16 + 12, 4, 0);
    if (owner->faults == NULL)
        owner->faults = owner_alloc(owner, sizeof *owner->faults << FAULT_LOG2);
    memset(owner->faults, 0, sizeof *owner->faults << FAULT_LOG2);
    owner->fault_head = 0;
    set_reg64(owner, ISA_REG_FAULT_BASE_LO, owner_dma(owner, owner->faults));
    owner_set_reg(owner, ISA_REG_FAULT_LOG2, FAULT_LOG2);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        owner_start_node(owner, i);
}

static void start_context(owner_t *owner, const isa_profile_t *profile, uint32_t cores) {
    owner->root = owner_alloc(owner, PAGE);
    owner->context = owner_alloc(owner, PAGE);
    uint64_t save_bytes =
        ISA_SAVE_HEADER_BYTES + cores * (ISA_SAVE_RECORD_BYTES + (uint64_t)profile->lm_bytes);
    *owner->context = (isa_context_t){
        .root = owner_dma(owner, owner->root),
        .save = owner_card_alloc(owner, save_bytes, false),
        .save_bytes = save_bytes,
        .asid = 7,
        .flags = ISA_CTX_ROOT_SYS,
    };
    (void)owner_map_host(owner, IB_VA, PAGE, 0);
}

void owner_start(owner_t *owner, const owner_options_t *options) {
    memset(owner, 0, sizeof *owner);
    owner->host = aligned_alloc(ISA_PAGE_LARGE, HOST_BYTES);
    CHECK(owner->host != NULL);
    memset(owner->host, 0, HOST_BYTES);
    owner->own_clock = options->own_clock;
    owner->now_ns = 1000000000;
    owner->card_used = PAGE; // address 0 is for tests of null
    const isa_profile_t *profile =
        isa_profile_find(options->profile != NULL ? options->profile : "edge");
    CHECK(profile != NULL);
    sim_options_t card = {
        .version = SIM_VERSION,
        .profile = profile,
        .cores = options->cores,
        .max_threads = options->threads,
        .engines = options->engines,
        .mode = options->timing ? SIM_MODE_TIMING : SIM_MODE_FUNCTIONAL,
        .posted = options->posted,
        .memory_bytes = UINT64_C(256) << 20,
        .serial = options->serial,
    };
    sim_host_t host = {
        .version = SIM_VERSION,
        .user = owner,
        .dma_read = dma_read,
        .dma_write = dma_write,
        .dma_map = options->no_map ? NULL : dma_map,
        .msix = msix,
        .clock_ns = clock_ns,
        .trace = options->trace ? trace : NULL,
    };
    CHECK((options->remote ? remote_function_create
                           : sim_function_create)(&card, &host, &owner->card) == STATUS_OK);
    owner_bring_up(owner);
    start_context(owner, profile, options->cores != 0 ? options->cores : profile->cores);
}

void owner_stop(owner_t *owner) {
    owner->card.destroy(owner->card.self);
    free(owner->host);
    free(owner->trace);
}
