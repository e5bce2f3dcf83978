// SPDX-License-Identifier: Apache-2.0
// Translation: kinds of pages, what each allows, and what is wrong with an entry. The card's own
// copies (COPY and FILL of command buffers) make the accesses, and a hart runs from each kind.
#include <string.h>

#include "tests/card/launch.h"

#define VA   (ISA_VA_HEAP + 0x200000)
#define PAGE UINT64_C(4096)

static void invalidate(owner_t *owner) {
    isa_ring_packet_t packet = {
        .tlb_inv = {.op = ISA_RING_TLB_INV, .flags = ISA_RING_FLAG_COMPLETE, .asid = 7}};
    (void)owner_do(owner, ISA_NODE_COMPUTE, packet);
}

static isa_completion_t copy(owner_t *owner, uint64_t dst, uint64_t src, uint64_t bytes) {
    isa_ib_copy_t ib = {.head = {.op = ISA_IB_COPY, .bytes = ISA_IB_COPY_BYTES},
                        .dst = dst,
                        .src = src,
                        .bytes = bytes,
                        .rows = 1};
    return owner_run_ib(owner, &ib, sizeof ib);
}

static isa_fault_record_t copy_fails(owner_t *owner, uint64_t dst, uint64_t src, uint64_t bytes,
                                     isa_fault_t cause) {
    isa_completion_t entry = copy(owner, dst, src, bytes);
    CHECK_EQUAL(entry.type, ISA_COMP_FAULT);
    CHECK_EQUAL(entry.status, cause);
    owner->context->state = ISA_CTX_STATE_READY;
    return owner_fault(owner);
}

// A buffer whose pages are scattered, of both memories and sizes: one stretch of addresses.
static void test_scattered(launch_t *launch) {
    owner_t *owner = launch->owner;
    uint64_t card = owner_card_alloc(owner, 8 * PAGE, false), bytes = 8 * PAGE;
    uint8_t *host = owner_alloc(owner, 8 * PAGE), *data = (uint8_t *)launch->data;
    for (uint64_t i = 0; i < 8; i++) { // every other page elsewhere, in falling order
        uint64_t address =
            i % 2 != 0 ? owner_dma(owner, host) + (7 - i) * PAGE : card + (7 - i) * PAGE;
        owner_map(owner, VA + i * PAGE, address, PAGE, ISA_PTE_W | (i % 2 != 0 ? ISA_PTE_SYS : 0));
    }
    invalidate(owner);
    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 13 + i / PAGE);
    CHECK_EQUAL(copy(owner, VA, DATA_VA, bytes).type, ISA_COMP_DONE);
    CHECK_EQUAL(host[4 * PAGE + 1], data[3 * PAGE + 1]);
    memset(data, 0, bytes);
    CHECK_EQUAL(copy(owner, DATA_VA + 1, VA + 1, bytes - 1).type, ISA_COMP_DONE);
    for (uint64_t i = 1; i < bytes; i++)
        CHECK_EQUAL(data[i], (uint8_t)(i * 13 + i / PAGE));
}

static void test_large(launch_t *launch) {
    owner_t *owner = launch->owner;
    uint64_t card = owner_card_alloc(owner, 2 * ISA_PAGE_LARGE, true), value = 0;
    uint64_t va = ISA_VA_HEAP + UINT64_C(0x40000000);
    owner_map_large(owner, va, card + ISA_PAGE_LARGE, ISA_PTE_W);
    owner_map_large(owner, va + ISA_PAGE_LARGE, card, 0);
    invalidate(owner);
    launch->data[0] = 0x1234;
    CHECK_EQUAL(copy(owner, va + ISA_PAGE_LARGE - 8, DATA_VA, 8).type, ISA_COMP_DONE);
    owner_download(owner, &value, card + 2 * ISA_PAGE_LARGE - 8, 8);
    CHECK_EQUAL(value, 0x1234);
    isa_fault_record_t record =
        copy_fails(owner, va + ISA_PAGE_LARGE - 8, DATA_VA, 16, ISA_FAULT_PAGE_DENIED);
    CHECK_EQUAL(record.va, va + ISA_PAGE_LARGE);
    CHECK_EQUAL(record.access, ISA_ACCESS_WRITE);
    // The address of a large page is a multiple of its size.
    owner_map_large(owner, va, card + PAGE, ISA_PTE_W);
    invalidate(owner);
    (void)copy_fails(owner, DATA_VA, va, 8, ISA_FAULT_PTE_RESERVED);
}

static void test_zero(launch_t *launch) {
    owner_t *owner = launch->owner;
    uint8_t *data = (uint8_t *)launch->data;
    owner_map(owner, VA, 0, 4 * PAGE, ISA_PTE_ZERO | ISA_PTE_W);
    invalidate(owner);
    memset(data, 0x55, 4 * PAGE);
    CHECK_EQUAL(copy(owner, VA, DATA_VA, 4 * PAGE).type, ISA_COMP_DONE); // dropped
    CHECK_EQUAL(copy(owner, DATA_VA, VA, 3 * PAGE).type, ISA_COMP_DONE);
    for (uint64_t i = 0; i < 4 * PAGE; i++)
        CHECK_EQUAL(data[i], i < 3 * PAGE ? 0 : 0x55);
    program_t p = {.n = 0};
    li(&p, T0, VA);
    li(&p, T1, 77);
    sd(&p, T1, T0, 8);
    ld(&p, T2, T0, 8);
    sd(&p, T2, A0, 0);
    finish(&p, 0);
    launch->data[0] = 5;
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->data[0], 0);
}

static void bad_entry(owner_t *owner, uint64_t entry, isa_fault_t cause, uint64_t value) {
    *owner_pte(owner, VA) = entry;
    invalidate(owner);
    isa_fault_record_t record = copy_fails(owner, DATA_VA, VA + 16, 8, cause);
    CHECK_EQUAL(record.va, VA + 16);
    CHECK_EQUAL(record.access, ISA_ACCESS_READ);
    CHECK_EQUAL(record.value, value);
}

static void test_bad_entries(launch_t *launch) {
    owner_t *owner = launch->owner;
    uint64_t card = owner_card_alloc(owner, PAGE, false);
    uint64_t leaf = card | ISA_PTE_V | ISA_PTE_LEAF, beyond = UINT64_C(256) << 20;
    bad_entry(owner, 0, ISA_FAULT_PAGE_INVALID, 0);
    bad_entry(owner, card | ISA_PTE_LEAF, ISA_FAULT_PAGE_INVALID, 0);
    bad_entry(owner, card | ISA_PTE_V, ISA_FAULT_PTE_RESERVED, card | ISA_PTE_V);
    bad_entry(owner, leaf | 1 << 7, ISA_FAULT_PTE_RESERVED, leaf | 1 << 7);
    bad_entry(owner, leaf | UINT64_C(1) << 63, ISA_FAULT_PTE_RESERVED, leaf | UINT64_C(1) << 63);
    bad_entry(owner, leaf | ISA_PTE_W | ISA_PTE_X, ISA_FAULT_PTE_RESERVED,
              leaf | ISA_PTE_W | ISA_PTE_X);
    bad_entry(owner, leaf | ISA_PTE_ZERO | ISA_PTE_X, ISA_FAULT_PTE_RESERVED,
              leaf | ISA_PTE_ZERO | ISA_PTE_X);
    bad_entry(owner, beyond | ISA_PTE_V | ISA_PTE_LEAF, ISA_FAULT_BUS, beyond);
    bad_entry(owner, PAGE | ISA_PTE_V | ISA_PTE_LEAF | ISA_PTE_SYS, ISA_FAULT_BUS, PAGE);
    // A table that is a leaf too high, one with permissions, one in no memory.
    uint64_t va = UINT64_C(0x123456789000), *root = &owner->root[isa_pte_index(va, 3)];
    *root = card | ISA_PTE_V | ISA_PTE_LEAF;
    invalidate(owner);
    (void)copy_fails(owner, DATA_VA, va, 8, ISA_FAULT_PTE_RESERVED);
    *root = card | ISA_PTE_V | ISA_PTE_W;
    invalidate(owner);
    (void)copy_fails(owner, DATA_VA, va, 8, ISA_FAULT_PTE_RESERVED);
    *root = beyond | ISA_PTE_V;
    invalidate(owner);
    (void)copy_fails(owner, DATA_VA, va, 8, ISA_FAULT_BUS);
    (void)copy_fails(owner, DATA_VA, ISA_VA_END, 8, ISA_FAULT_BAD_SPACE);
    (void)copy_fails(owner, DATA_VA, UINT64_MAX - 3, 8, ISA_FAULT_BAD_SPACE);
    (void)copy_fails(owner, DATA_VA, ISA_LM_BASE, 8, ISA_FAULT_BAD_SPACE);
}

// A translation may be used until it is invalidated, and not after.
static void test_invalidate(launch_t *launch) {
    owner_t *owner = launch->owner;
    uint8_t *a = owner_alloc(owner, PAGE), *b = owner_alloc(owner, PAGE);
    a[0] = 1, b[0] = 2;
    uint8_t *data = (uint8_t *)launch->data;
    owner_map(owner, VA, owner_dma(owner, a), PAGE, ISA_PTE_SYS);
    invalidate(owner);
    CHECK_EQUAL(copy(owner, DATA_VA, VA, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(data[0], 1);
    owner_map(owner, VA, owner_dma(owner, b), PAGE, ISA_PTE_SYS);
    invalidate(owner);
    CHECK_EQUAL(copy(owner, DATA_VA, VA, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(data[0], 2);
    // Another address space, another page.
    uint64_t *entry = owner_pte(owner, VA);
    isa_context_t saved = *owner->context;
    uint64_t *root = owner_alloc(owner, PAGE);
    memcpy(root, owner->root, PAGE);
    owner->context->root = owner_dma(owner, root);
    owner->context->asid = 8;
    *entry = owner_dma(owner, a) | ISA_PTE_V | ISA_PTE_LEAF | ISA_PTE_SYS;
    CHECK_EQUAL(copy(owner, DATA_VA, VA, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(data[0], 1);
    *owner->context = saved;
}

// Harts decode code once: new bytes at the same place run after an invalidation.
static void test_code(launch_t *launch) {
    for (uint64_t i = 0; i < 3; i++) {
        program_t p = {.n = 0};
        addi(&p, T0, ZERO, (int32_t)i + 10);
        sd(&p, T0, A0, 0);
        finish(&p, 0);
        CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
        CHECK_EQUAL(launch->data[0], i + 10);
    }
    // Code in host memory; data is not executable.
    program_t p = {.n = 0};
    finish(&p, 0);
    owner_t *owner = launch->owner;
    void *host = owner_alloc(owner, PAGE);
    memcpy(host, p.words, p.n * 4);
    uint64_t saved = *owner_pte(owner, CODE_VA);
    owner_map(owner, CODE_VA, owner_dma(owner, host), PAGE, ISA_PTE_SYS | ISA_PTE_X);
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
    owner_map(owner, CODE_VA, owner_dma(owner, host), PAGE, ISA_PTE_SYS);
    isa_fault_record_t record = launch_fails(launch, &p, 1, ISA_FAULT_PAGE_DENIED);
    CHECK_EQUAL(record.va, CODE_VA);
    CHECK_EQUAL(record.access, ISA_ACCESS_EXECUTE);
    *owner_pte(owner, CODE_VA) = saved;
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    test_scattered(&launch);
    test_large(&launch);
    test_zero(&launch);
    test_bad_entries(&launch);
    test_invalidate(&launch);
    test_code(&launch);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 1});
    run_all(&(owner_options_t){.cores = 1, .no_map = true});
    run_all(&(owner_options_t){.cores = 1, .remote = true});
    return 0;
}
