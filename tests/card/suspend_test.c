// SPDX-License-Identifier: Apache-2.0
// The heap call: the gang is saved, the owner adds memory, the launch goes on as if nothing had
// been. Between the two another context may run.
#include <string.h>

#include "tests/card/launch.h"

#define HEAP_WANTED 0x3000u

// Works with registers, LM and barriers on both sides of core 0's heap call; result in data[core].
// Core 0 stores into the heap after the call: the page is there only then.
static void heap_program(program_t *p) {
    addi(p, S0, A0, 0);
    addi(p, S1, A1, 0);
    li(p, S2, ISA_LM_BASE + 0x7f000);
    addi(p, T0, A1, 100);
    sd(p, T0, S2, 0);
    barrier(p, S3, XA_DMAO);
    addi(p, S4, A2, 0);
    uint32_t others = forward(p, 1, A1, ZERO);
    li(p, A0, HEAP_WANTED);
    call(p, ISA_ECALL_HEAP);
    sd(p, A0, S0, 0x200); // result
    li(p, T0, ISA_VA_HEAP);
    uint32_t refused = forward(p, 1, A0, ZERO);
    sd(p, T0, T0, 0);
    patch(p, refused);
    patch(p, others);
    barrier(p, T0, XA_DMAO); // the others wait here when the gang stops
    wait_ticket(p, S3, XA_DMAO);
    slli(p, T1, S1, 3);
    add(p, T1, T1, S0);
    sd(p, T0, T1, 0x208);
    ld(p, T0, S2, 0); // LM came back
    mul(p, T0, T0, S4);
    sd(p, T0, T1, 0);
    finish(p, 0);
}

static void check_result(const launch_t *launch, uint32_t cores) {
    for (uint32_t i = 0; i < cores; i++) {
        CHECK_EQUAL(launch->data[i], (100 + i) * cores);
        CHECK_EQUAL(launch->data[0x41 + i], 2); // the second barrier's ticket
    }
}

static void test_resume(launch_t *launch, uint32_t cores) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0}, other = {.n = 0};
    heap_program(&p);
    memset(launch->data, 0, DATA_BYTES);
    isa_completion_t entry = launch_run(launch, &p, cores);
    CHECK_EQUAL(entry.type, ISA_COMP_SUSPENDED);
    CHECK_EQUAL(entry.info, HEAP_WANTED);
    CHECK_EQUAL(owner->context->state, ISA_CTX_STATE_SUSPENDED);
    CHECK_EQUAL(launch->data[0], 0);
    uint64_t passed = launch->stats[0].engine_issues[XA_DMAO]; // barriers, before the gang stopped
    uint32_t number = launch->number;

    // Another context of the address space dirties cores and LM meanwhile.
    isa_context_t saved = *owner->context;
    *owner->context = (isa_context_t){.root = saved.root, .asid = 7, .flags = ISA_CTX_ROOT_SYS};
    li(&other, T0, ISA_LM_BASE + 0x7f000);
    sd(&other, T0, T0, 0);
    for (uint32_t reg = S0; reg < 32; reg++)
        if (reg < A0 || reg > A7)
            li(&other, reg, 0xabcdef);
    finish(&other, 0);
    launch_t aside = *launch;
    aside.code = owner_card_alloc(owner, PROGRAM_WORDS * 4, false);
    owner_map(owner, CODE_VA, aside.code, PROGRAM_WORDS * 4, ISA_PTE_X);
    CHECK_EQUAL(launch_run(&aside, &other, cores).type, ISA_COMP_DONE);
    owner_map(owner, CODE_VA, launch->code, PROGRAM_WORDS * 4, ISA_PTE_X);
    *owner->context = saved;

    uint64_t heap = owner_card_alloc(owner, HEAP_WANTED, false), first;
    owner_map(owner, ISA_VA_HEAP, heap, HEAP_WANTED, ISA_PTE_W);
    isa_ring_packet_t flush = {
        .tlb_inv = {.op = ISA_RING_TLB_INV, .flags = ISA_RING_FLAG_COMPLETE, .asid = 7}};
    (void)owner_do(owner, ISA_NODE_COPY, flush);
    entry = launch_resume(launch, number, 0);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    CHECK_EQUAL(owner->context->state, ISA_CTX_STATE_READY);
    check_result(launch, cores);
    CHECK_EQUAL(launch->data[0x40], 0);
    owner_download(owner, &first, heap, 8);
    CHECK_EQUAL(first, ISA_VA_HEAP);
    // Each half counts for itself (the launch aside has cleared the buffer).
    CHECK(passed >= 1);
    CHECK_EQUAL(passed + launch->stats[0].engine_issues[XA_DMAO], 2 * cores);
    for (uint64_t at = 0; at < HEAP_WANTED; at += 4096)
        *owner_pte(owner, ISA_VA_HEAP + at) = 0;
}

static void test_refused(launch_t *launch) {
    program_t p = {.n = 0};
    heap_program(&p);
    CHECK_EQUAL(launch_run(launch, &p, 2).type, ISA_COMP_SUSPENDED);
    CHECK_EQUAL(launch_resume(launch, launch->number, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->data[0x40], 1);
    check_result(launch, 2);
}

static void test_bad_resume(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    heap_program(&p);
    // Nothing is suspended.
    CHECK_EQUAL(launch_resume(launch, launch->number, 0).status, ISA_FAULT_BAD_RESUME);
    CHECK_EQUAL(owner_fault(owner).value, launch->number);
    launch_revive(launch);
    // Another launch is.
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_SUSPENDED);
    CHECK_EQUAL(launch_resume(launch, launch->number + 1, 0).status, ISA_FAULT_BAD_RESUME);
    (void)owner_fault(owner);
    launch_revive(launch);
    // No save area, or too small a one.
    isa_context_t saved = *owner->context;
    owner->context->save = 0;
    (void)launch_fails(launch, &p, 1, ISA_FAULT_BAD_SAVE_AREA);
    owner->context->save = saved.save;
    owner->context->save_bytes = 10000;
    CHECK(launch_fails(launch, &p, 1, ISA_FAULT_BAD_SAVE_AREA).value > 10000);
    owner->context->save_bytes = saved.save_bytes;
    // A new launch forgets the suspended one.
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_SUSPENDED);
    program_t end = {.n = 0};
    finish(&end, 0);
    CHECK_EQUAL(launch_run(launch, &end, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch_resume(launch, launch->number - 1, 0).status, ISA_FAULT_BAD_RESUME);
    (void)owner_fault(owner);
    launch_revive(launch);
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    for (uint32_t cores = 1; cores <= options->cores; cores++)
        test_resume(&launch, cores);
    test_refused(&launch);
    test_bad_resume(&launch);
    // The save area may lie in host memory too.
    uint64_t bytes = owner.context->save_bytes;
    owner.context->save = owner_dma(&owner, owner_alloc(&owner, bytes));
    owner.context->flags |= ISA_CTX_SAVE_SYS;
    test_resume(&launch, options->cores);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 5, .threads = 2});
    run_all(&(owner_options_t){.cores = 2, .threads = 1, .no_map = true});
    run_all(&(owner_options_t){.cores = 3, .threads = 3, .timing = true});
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .remote = true});
    return 0;
}
