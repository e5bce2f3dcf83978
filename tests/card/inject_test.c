// SPDX-License-Identifier: Apache-2.0
// Planted faults: what the card does, what it tells, and how it ends.
#include <string.h>

#include "tests/card/launch.h"

#define COPY(name) ISA_NODE_REG_AT(ISA_NODE_COPY, name)
#define PAGE       4096u
#define BIG_VA     (ISA_VA_WEIGHTS)

static isa_ring_packet_t nop(uint8_t flags) {
    return (isa_ring_packet_t){.nop = {.op = ISA_RING_NOP, .flags = flags}};
}

static void works_on(launch_t *launch) {
    program_t p = {.n = 0};
    li(&p, T0, 4711);
    sd(&p, T0, A0, 0);
    finish(&p, 0);
    launch->data[0] = 0;
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->data[0], 4711);
}

static uint32_t take_error(owner_t *owner) {
    uint32_t error = owner_reg(owner, ISA_REG_ERROR);
    owner_set_reg(owner, ISA_REG_ERROR, error);
    return error;
}

// --- ECC ---

static void test_single(launch_t *launch) {
    owner_t *owner = launch->owner;
    uint32_t before = owner_reg(owner, ISA_REG_ECC_CORRECTED);
    uint32_t interrupts = atomic_load(&owner->interrupts[0]);
    owner_inject(owner, ISA_INJECT_ECC_SINGLE, launch->code);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_CORRECTED), before + 1);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_PENDING), 0);
    CHECK_EQUAL(take_error(owner), ISA_ERROR_ECC_CORRECTED);
    CHECK_EQUAL(atomic_load(&owner->interrupts[0]), interrupts + 1);
    CHECK_EQUAL(owner_config(owner, 0x110, 4), 1u << 14); // as AER has it
    owner_set_config(owner, 0x110, 4, UINT32_MAX);
    CHECK_EQUAL(owner_config(owner, 0x110, 4), 0);
    owner_inject(owner, ISA_INJECT_ECC_SINGLE, UINT64_C(1) << 50); // no such memory
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_CORRECTED), before + 1);
    works_on(launch);
}

static isa_ring_packet_t fill(uint64_t dst, uint64_t bytes) {
    return (isa_ring_packet_t){.fill = {.op = ISA_RING_FILL,
                                        .flags = ISA_RING_FLAG_COMPLETE,
                                        .rows = 1,
                                        .dst = dst,
                                        .bytes = bytes}};
}

static void copy_fails(owner_t *owner, uint64_t from, uint64_t bad) {
    isa_ring_packet_t copy = {.copy = {.op = ISA_RING_COPY,
                                       .flags = ISA_RING_FLAG_COMPLETE,
                                       .rows = 1,
                                       .dst = owner_card_alloc(owner, 4 * PAGE, false),
                                       .src = from,
                                       .bytes = 4 * PAGE}};
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, copy).status, ISA_FAULT_ECC);
    CHECK_EQUAL(owner_fault(owner).value, bad);
    uint64_t src = copy.copy.src; // and the other way
    copy.copy.src = copy.copy.dst;
    copy.copy.dst = src;
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, copy).status, ISA_FAULT_ECC);
    CHECK_EQUAL(owner_fault(owner).value, bad);
}

// Only the page itself faults; its neighbours in a run of translations and in a large page do not.
static void test_double(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0}, touch = {.n = 0};
    uint64_t large = owner_card_alloc(owner, ISA_PAGE_LARGE, true), bad = large + 5 * PAGE;
    owner_map_large(owner, BIG_VA, large, ISA_PTE_W);
    li(&touch, S2, BIG_VA);
    li(&touch, S3, PAGE);
    for (uint32_t i = 0; i < 8; i++) {
        sd(&touch, S2, S2, 0);
        add(&touch, S2, S2, S3);
    }
    finish(&touch, 0);
    CHECK_EQUAL(launch_run(launch, &touch, 1).type, ISA_COMP_DONE);
    uint32_t before = owner_reg(owner, ISA_REG_ECC_UNCORRECTED);
    owner_inject(owner, ISA_INJECT_ECC_DOUBLE, bad + 123);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_UNCORRECTED), before + 1);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_PENDING), 1);
    CHECK_EQUAL(owner_reg64(owner, ISA_REG_ECC_ADDRESS_LO), bad);
    CHECK_EQUAL(take_error(owner), ISA_ERROR_ECC_UNCORRECTED);
    owner_set_reg(owner, ISA_REG_ECC_TAKE, 1);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_PENDING), 0);

    isa_fault_record_t record = launch_fails(launch, &touch, 1, ISA_FAULT_ECC);
    CHECK_EQUAL(record.va, BIG_VA + 5 * PAGE);
    CHECK_EQUAL(record.value, bad);
    CHECK_EQUAL(record.access, ISA_ACCESS_WRITE);
    li(&p, S2, BIG_VA + 6 * PAGE); // behind it all is well
    ld(&p, T0, S2, 0);
    sd(&p, T0, A0, 8);
    finish(&p, 0);
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->data[1], BIG_VA + 6 * PAGE);
    copy_fails(owner, large + 4 * PAGE, bad);

    // A part of the page does not mend it, the whole page does.
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, fill(bad, PAGE - 8)).status, ISA_FAULT_ECC);
    (void)owner_fault(owner);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, fill(bad - PAGE, 3 * PAGE)).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch_run(launch, &touch, 1).type, ISA_COMP_DONE);
}

static void test_many_pending(owner_t *owner) {
    uint64_t first = owner_card_alloc(owner, 20 * PAGE, false);
    for (uint32_t i = 0; i < 20; i++)
        owner_inject(owner, ISA_INJECT_ECC_DOUBLE, first + i * PAGE);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_PENDING), ISA_ECC_PENDING_MAX);
    for (uint32_t i = 0; i < ISA_ECC_PENDING_MAX; i++) {
        CHECK_EQUAL(owner_reg64(owner, ISA_REG_ECC_ADDRESS_LO), first + i * PAGE);
        owner_set_reg(owner, ISA_REG_ECC_TAKE, 1);
    }
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_PENDING), 0);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, fill(first, 20 * PAGE)).type, ISA_COMP_DONE);
    (void)take_error(owner);
}

// Code, page tables and the save area are memory as well.
static void test_double_elsewhere(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    finish(&p, 0);
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
    isa_ring_packet_t packet = launch_packet(launch, 1);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).type, ISA_COMP_DONE);
    owner_inject(owner, ISA_INJECT_ECC_DOUBLE, launch->code); // decoded already
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).status, ISA_FAULT_ECC);
    CHECK_EQUAL(owner_fault(owner).access, ISA_ACCESS_EXECUTE);
    launch_revive(launch);
    (void)owner_do(owner, ISA_NODE_COPY, fill(launch->code, PAGE));

    owner_inject(owner, ISA_INJECT_ECC_DOUBLE, owner->context->save + PAGE);
    p.n = 0;
    li(&p, A0, 4096);
    call(&p, ISA_ECALL_HEAP);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_ECC).value, owner->context->save + PAGE);
    (void)owner_do(owner, ISA_NODE_COPY, fill(owner->context->save, 4 * PAGE));
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_SUSPENDED);
    launch_revive(launch);

    uint64_t root = owner_card_alloc(owner, PAGE, false), tables[PAGE / 8];
    memcpy(tables, owner->root, PAGE);
    owner_upload(owner, root, tables, PAGE);
    isa_context_t saved = *owner->context;
    owner->context->root = root;
    owner->context->flags = 0;
    works_on(launch);
    owner_inject(owner, ISA_INJECT_ECC_DOUBLE, root);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, launch_packet(launch, 1)).status, ISA_FAULT_ECC);
    CHECK_EQUAL(owner_fault(owner).value, root);
    *owner->context = saved;
    launch_revive(launch);
    for (uint32_t i = 0; i < 3; i++)
        owner_set_reg(owner, ISA_REG_ECC_TAKE, 1);
    (void)take_error(owner);
    works_on(launch);
}

// --- Interrupts, completions, DMA ---

static void test_lost_interrupts(owner_t *owner) {
    uint32_t before = atomic_load(&owner->interrupts[2]);
    owner_inject(owner, ISA_INJECT_IRQ_LOST, 2);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_IRQ)).type, ISA_COMP_DONE);
    CHECK_EQUAL(atomic_load(&owner->interrupts[2]), before + 1);
}

static void test_corrupt(owner_t *owner) {
    owner_inject(owner, ISA_INJECT_COMP_CORRUPT, ISA_NODE_COPY);
    uint64_t fence = owner_push(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE));
    owner_ring(owner, ISA_NODE_COPY);
    isa_completion_t entry = owner_completion(owner, ISA_NODE_COPY); // its phase is right
    CHECK(entry.type >= ISA_COMP_TYPE_COUNT);
    CHECK(entry.fence != fence);
    CHECK_EQUAL(owner_reg64(owner, COPY(LAST_DONE_LO)), fence);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE)).type, ISA_COMP_DONE);
}

static void test_dma_error(owner_t *owner) {
    owner_inject(owner, ISA_INJECT_DMA_ERROR, ISA_NODE_COPY);
    (void)owner_push(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE));
    owner_ring(owner, ISA_NODE_COPY);
    isa_completion_t entry = owner_completion(owner, ISA_NODE_COPY);
    CHECK_EQUAL(entry.type, ISA_COMP_FAULT);
    CHECK_EQUAL(entry.status, ISA_FAULT_PACKET_BUS);
    CHECK_EQUAL(entry.head, owner->nodes[ISA_NODE_COPY].tail);
    (void)owner_fault(owner);
    CHECK_EQUAL(take_error(owner), ISA_ERROR_DMA);
    CHECK(owner_config(owner, 0x104, 4) != 0);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE)).type, ISA_COMP_DONE);
}

// --- The link ---

static void *ring(void *owner) {
    owner_ring(owner, ISA_NODE_COMPUTE);
    return NULL;
}

static void test_link(launch_t *launch, bool remove) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    bne(&p, SP, ZERO, p.n);
    launch_load(launch, &p);
    (void)owner_push(owner, ISA_NODE_COMPUTE, launch_packet(launch, 2));
    pthread_t thread;
    uint64_t serial = owner_reg64(owner, ISA_REG_SERIAL_LO);
    owner_inject(owner, ISA_INJECT_ECC_SINGLE, launch->code);
    uint32_t beat = owner_reg(owner, ISA_NODE_REG_AT(0, HEARTBEAT));
    CHECK(pthread_create(&thread, NULL, ring, owner) == 0);
    while (owner_reg(owner, ISA_NODE_REG_AT(0, HEARTBEAT)) == beat) {
    }
    owner_inject(owner, remove ? ISA_INJECT_REMOVE : ISA_INJECT_LINK_LOSS, 5);
    uint64_t accesses = atomic_load(&owner->dma_count);
    CHECK(pthread_join(thread, NULL) == 0); // the caller is not trapped
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), UINT32_MAX);
    CHECK_EQUAL(owner_config(owner, 0, 4), UINT32_MAX);
    CHECK_EQUAL(owner_config(owner, 0, 2), UINT16_MAX);
    CHECK_EQUAL(owner->card.bar_read(owner->card.self, 2, 0, 4), UINT64_MAX);
    owner_ring(owner, ISA_NODE_COMPUTE);      // dropped
    owner_set_config(owner, 0x04, 2, 0x0006); // too
    owner_set_reg(owner, ISA_REG_ERROR, 0);
    owner_pass(owner, 4900000);
    CHECK_EQUAL(owner_config(owner, 0, 4), UINT32_MAX);
    CHECK_EQUAL(atomic_load(&owner->dma_count), accesses);
    owner_pass(owner, 100001);
    CHECK_EQUAL(owner_config(owner, 0, 2), ISA_PCI_VENDOR);
    CHECK_EQUAL(owner_config(owner, 0x04, 2), 0);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), UINT32_MAX); // memory space is off
    owner_set_config(owner, 0x04, 2, 0x0006);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), ISA_CARD_ID);
    CHECK_EQUAL(owner_reg64(owner, ISA_REG_SERIAL_LO) == serial, !remove);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ECC_CORRECTED) == 0, remove);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR_COUNT) == 0, remove);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), 0);
    owner_bring_up(owner);
    uint64_t code;
    owner_download(owner, &code, launch->code, 8);
    CHECK_EQUAL(code, 0);
    works_on(launch);
}

static void test_unknown(owner_t *owner) {
    owner_inject(owner, 0, 1);
    owner_inject(owner, 99, 1);
    owner_inject(owner, ISA_INJECT_HANG, 7);
    owner_inject(owner, ISA_INJECT_HANG, 3 << 8);
    owner_inject(owner, ISA_INJECT_COMP_CORRUPT, 200);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), 0);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, nop(ISA_RING_FLAG_COMPLETE)).type, ISA_COMP_DONE);
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    test_single(&launch);
    test_double(&launch);
    test_many_pending(&owner);
    test_double_elsewhere(&launch);
    test_lost_interrupts(&owner);
    test_corrupt(&owner);
    test_dma_error(&owner);
    test_unknown(&owner);
    test_link(&launch, false);
    test_link(&launch, true);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .own_clock = true});
    run_all(&(owner_options_t){.cores = 2, .threads = 1, .own_clock = true, .no_map = true});
    return 0;
}
