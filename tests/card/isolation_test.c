// SPDX-License-Identifier: Apache-2.0
// Isolation by the card itself: what a program cannot reach, and what stays of one for the next.
// Endless loops and barriers that never join are in reset_test.c and preempt_test.c.
#include <sched.h>
#include <string.h>

#include "support/dtype.h"
#include "tests/card/launch.h"

#define DESC_AT 0x8000
#define PAGE    4096u

// --- DMA engines ---

static xa_desc_t words(uint32_t n) {
    return (xa_desc_t){.dma = {.src_type = DTYPE_I64,
                               .dst_type = DTYPE_I64,
                               .count = {1, 1, 1, 1, n},
                               .src_stride = {0, 0, 0, 0, 8},
                               .dst_stride = {0, 0, 0, 0, 8},
                               .alpha = 1}};
}

// One DMA of `n` words; s0: the data.
static void move(program_t *p, xa_insn_t insn, xa_engine_t engine, uint64_t dst, uint64_t src) {
    li(p, T0, DESC_AT);
    add(p, T0, T0, S0);
    cfg_load(p, engine, T0);
    li(p, T1, dst);
    li(p, T2, src);
    issue(p, insn, T3, T1, T2, ZERO);
    wait_ticket(p, T3, engine);
}

static void dma_fails(launch_t *launch, xa_insn_t insn, uint64_t dst, uint64_t src,
                      isa_fault_t cause) {
    xa_engine_t engine = insn == XA_I_DMA_IN ? XA_DMAI : XA_DMAO;
    program_t p = {.n = 0};
    addi(&p, S0, A0, 0);
    move(&p, insn, engine, dst, src);
    finish(&p, 0);
    isa_fault_record_t record = launch_fails(launch, &p, 1, cause);
    CHECK_EQUAL(record.engine, engine);
    CHECK_EQUAL(record.insn, insn);
}

static void test_wild_dma(launch_t *launch) {
    owner_t *owner = launch->owner;
    const uint64_t lm = ISA_LM_BASE, lm_end = lm + owner_reg(owner, ISA_REG_LM_BYTES);
    xa_desc_t desc = words(512);
    memcpy((uint8_t *)launch->data + DESC_AT, &desc, sizeof desc);
    dma_fails(launch, XA_I_DMA_IN, lm, ISA_VA_IO, ISA_FAULT_PAGE_INVALID);
    dma_fails(launch, XA_I_DMA_IN, lm, DATA_VA + DATA_BYTES - 8, ISA_FAULT_PAGE_INVALID);
    dma_fails(launch, XA_I_DMA_OUT, CODE_VA, lm, ISA_FAULT_PAGE_DENIED);
    dma_fails(launch, XA_I_DMA_OUT, owner_dma(owner, owner->context), lm, ISA_FAULT_PAGE_INVALID);
    dma_fails(launch, XA_I_DMA_OUT, 0, lm, ISA_FAULT_BAD_SPACE);
    // LM of another core has no address: what lies behind one's own is nothing.
    dma_fails(launch, XA_I_DMA_IN, lm_end - 8, DATA_VA, ISA_FAULT_BAD_SPACE);
    dma_fails(launch, XA_I_DMA_OUT, DATA_VA, lm_end - 8, ISA_FAULT_BAD_SPACE);
}

// All cores write the same address of LM; each finds its own there.
static void test_lm_of_others(launch_t *launch, uint32_t cores) {
    program_t p = {.n = 0};
    li(&p, T0, ISA_LM_BASE + 0x100);
    addi(&p, T1, A1, 1000);
    sd(&p, T1, T0, 0);
    barrier(&p, T2, XA_DMAO);
    wait_ticket(&p, T2, XA_DMAO);
    ld(&p, T1, T0, 0);
    slli(&p, T2, A1, 3);
    add(&p, T2, T2, A0);
    sd(&p, T1, T2, 0);
    finish(&p, 0);
    CHECK_EQUAL(launch_run(launch, &p, cores).type, ISA_COMP_DONE);
    for (uint32_t i = 0; i < cores; i++)
        CHECK_EQUAL(launch->data[i], 1000 + i);
}

// --- Code ---

static isa_ring_packet_t tlb_inv(uint64_t va, uint64_t bytes) {
    return (isa_ring_packet_t){.tlb_inv = {.op = ISA_RING_TLB_INV,
                                           .flags = ISA_RING_FLAG_COMPLETE,
                                           .asid = 7,
                                           .va = va,
                                           .bytes = bytes}};
}

// Code that the owner changed is what runs after TLB_INV; a program cannot write code, and cannot
// run what it wrote.
static void test_code(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    for (uint64_t value = 1; value < 4; value++) {
        p.n = 0;
        li(&p, T0, value);
        sd(&p, T0, A0, 0);
        finish(&p, 0);
        owner_upload(owner, launch->code, p.words, p.n * 4);
        (void)owner_do(owner, ISA_NODE_COPY, tlb_inv(CODE_VA, PAGE));
        CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, launch_packet(launch, 1)).type,
                    ISA_COMP_DONE);
        CHECK_EQUAL(launch->data[0], value);
    }
    p.n = 0;
    li(&p, T0, CODE_VA);
    sd(&p, T0, T0, 64);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_PAGE_DENIED).access, ISA_ACCESS_WRITE);
    p.n = 0;
    emit(&p, 0x67 | (uint32_t)A0 << 15); // jalr to the data
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_PAGE_DENIED).access, ISA_ACCESS_EXECUTE);
    p.n = 0;
    li(&p, T0, ISA_LM_BASE);
    emit(&p, 0x67 | (uint32_t)T0 << 15);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_BAD_SPACE).access, ISA_ACCESS_EXECUTE);
    uint64_t *pte = owner_pte(owner, CODE_VA); // a page of both kinds is no page
    *pte |= ISA_PTE_W;
    (void)owner_do(owner, ISA_NODE_COPY, tlb_inv(CODE_VA, PAGE));
    p.n = 0;
    finish(&p, 0);
    (void)launch_fails(launch, &p, 1, ISA_FAULT_PTE_RESERVED);
    *pte &= ~(uint64_t)ISA_PTE_W;
    (void)owner_do(owner, ISA_NODE_COPY, tlb_inv(CODE_VA, PAGE));
}

// --- Translations that are gone, under a program that runs ---

static void *ring(void *owner) {
    owner_ring(owner, ISA_NODE_COMPUTE);
    return NULL;
}

static void wait_for(const uint64_t *word, uint64_t least) {
    const _Atomic uint64_t *at = (const _Atomic uint64_t *)word;
    for (int i = 0; i < 100000000 && atomic_load(at) < least; i++)
        (void)sched_yield();
    CHECK(atomic_load(at) >= least);
}

// Core 0 counts in `word` for ever, core 1 by DMA through its LM. After the page was taken away and
// TLB_INV has completed on the other node, nobody writes to it any more.
static void test_stale(launch_t *launch) {
    owner_t *owner = launch->owner;
    const uint64_t va = DATA_VA + 0x20000;
    uint64_t *page = owner_map_host(owner, va, PAGE, ISA_PTE_W);
    program_t p = {.n = 0};
    xa_desc_t desc = words(1);
    memcpy((uint8_t *)launch->data + DESC_AT, &desc, sizeof desc);
    addi(&p, S0, A0, 0);
    li(&p, S2, va);
    li(&p, S3, ISA_LM_BASE);
    li(&p, T0, DESC_AT);
    add(&p, T0, T0, S0);
    cfg_load(&p, XA_DMAO, T0);
    uint32_t one = forward(&p, 1, A1, ZERO);
    uint32_t loop = p.n;
    addi(&p, T0, T0, 1);
    amoadd(&p, T1, A2, S2);
    bne(&p, SP, ZERO, loop);
    patch(&p, one);
    addi(&p, T4, ZERO, 0);
    addi(&p, S4, S2, 8);
    loop = p.n;
    addi(&p, T4, T4, 1);
    sd(&p, T4, S3, 0);
    issue(&p, XA_I_DMA_OUT, T3, S4, S3, ZERO);
    wait_ticket(&p, T3, XA_DMAO);
    bne(&p, SP, ZERO, loop);
    launch_load(launch, &p);
    (void)owner_push(owner, ISA_NODE_COMPUTE, launch_packet(launch, 2));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ring, owner) == 0);
    wait_for(page, 100);
    atomic_store((_Atomic uint64_t *)owner_pte(owner, va), 0);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, tlb_inv(va, PAGE)).type, ISA_COMP_DONE);
    uint64_t seen[2] = {page[0], page[1]};
    CHECK(pthread_join(thread, NULL) == 0);
    isa_completion_t entry = owner_completion(owner, ISA_NODE_COMPUTE);
    CHECK_EQUAL(entry.status, ISA_FAULT_PAGE_INVALID);
    (void)owner_fault(owner);
    CHECK_EQUAL(page[0], seen[0]);
    CHECK_EQUAL(page[1], seen[1]);
    launch_revive(launch);
}

// Bus mastering off: a program that runs loses host memory at once.
static void test_bus_master(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    uint32_t loop = p.n;
    amoadd(&p, T1, A2, A0);
    bne(&p, SP, ZERO, loop);
    launch_load(launch, &p);
    launch->data[0] = 0;
    (void)owner_push(owner, ISA_NODE_COMPUTE, launch_packet(launch, 1));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ring, owner) == 0);
    wait_for(launch->data, 100);
    owner_set_config(owner, 0x04, 2, 0x0002);
    uint64_t seen = launch->data[0], accesses = atomic_load(&owner->dma_count);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_EQUAL(launch->data[0], seen);
    CHECK_EQUAL(atomic_load(&owner->dma_count), accesses);
    CHECK((owner_reg(owner, ISA_REG_ERROR) & ISA_ERROR_DMA) != 0);
    owner_set_reg(owner, ISA_REG_RESET, ISA_RESET_MAGIC);
    owner_wait_reg(owner, ISA_REG_RESET, 0);
    owner_bring_up(owner);
    launch_revive(launch);
}

// --- SRAM ---

#define SRAM_AT (ISA_SRAM_BASE + 0x1000)

static isa_completion_t sram_program(launch_t *launch, bool write, uint16_t asid,
                                     isa_ring_packet_t *out_packet, uint64_t quantum) {
    program_t p = {.n = 0};
    addi(&p, S0, A0, 0);
    li(&p, S3, ISA_LM_BASE);
    if (write) {
        li(&p, T0, 0x5ec5e7);
        sd(&p, T0, S3, 0);
        move(&p, XA_I_DMA_OUT, XA_DMAO, SRAM_AT, ISA_LM_BASE);
    }
    move(&p, XA_I_DMA_IN, XA_DMAI, ISA_LM_BASE + 64, SRAM_AT);
    ld(&p, T0, S3, 64);
    sd(&p, T0, S0, 0);
    finish(&p, 0);
    launch_load(launch, &p);
    launch->owner->context->asid = asid;
    *out_packet = launch_packet(launch, 1);
    out_packet->run_ib.quantum = quantum;
    return owner_do(launch->owner, ISA_NODE_COMPUTE, *out_packet);
}

static void test_sram(void) {
    owner_t owner;
    launch_t launch;
    isa_ring_packet_t packet, other;
    owner_start(&owner, &(owner_options_t){.cores = 1, .threads = 1});
    launch_init(&launch, &owner);
    xa_desc_t desc = words(1);
    memcpy((uint8_t *)launch.data + DESC_AT, &desc, sizeof desc);
    CHECK_EQUAL(sram_program(&launch, true, 7, &packet, 0).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch.data[0], 0x5ec5e7);
    CHECK_EQUAL(sram_program(&launch, false, 7, &packet, 0).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch.data[0], 0x5ec5e7); // kept within an address space
    CHECK_EQUAL(sram_program(&launch, false, 9, &packet, 0).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch.data[0], 0);
    // Saved with the gang, if the area has room.
    isa_context_t saved = *owner.context, first;
    uint64_t bytes = saved.save_bytes + 0x2000;
    owner.context->save = owner_card_alloc(&owner, bytes, false);
    CHECK_EQUAL(sram_program(&launch, true, 7, &packet, 1).type, ISA_COMP_EXPIRED);
    bool small = false;
    for (int i = 0; i < 100000; i++) {
        owner.context->save_bytes = small ? bytes : saved.save_bytes;
        packet.run_ib.flags = ISA_RING_FLAG_CONTINUE;
        isa_completion_t entry = owner_do(&owner, ISA_NODE_COMPUTE, packet);
        if (entry.type == ISA_COMP_DONE)
            break;
        if (entry.type == ISA_COMP_FAULT) { // it has written SRAM
            CHECK_EQUAL(entry.status, ISA_FAULT_BAD_SAVE_AREA);
            CHECK(owner_fault(&owner).value > saved.save_bytes);
            CHECK(!small);
            small = true;
            launch_revive(&launch);
            owner.context->save_bytes = bytes;
            CHECK_EQUAL(sram_program(&launch, true, 7, &packet, 1).type, ISA_COMP_EXPIRED);
            continue;
        }
        CHECK_EQUAL(entry.type, ISA_COMP_EXPIRED);
        if (small && i % 50 == 0) { // another address space uses it meanwhile
            first = *owner.context;
            *owner.context =
                (isa_context_t){.root = first.root, .asid = 9, .flags = ISA_CTX_ROOT_SYS};
            uint64_t data = launch.data[0];
            uint32_t code[PROGRAM_WORDS];
            owner_download(&owner, code, launch.code, sizeof code);
            CHECK_EQUAL(sram_program(&launch, true, 9, &other, 0).type, ISA_COMP_DONE);
            owner_upload(&owner, launch.code, code, sizeof code);
            (void)owner_do(&owner, ISA_NODE_COPY, tlb_inv(0, 0));
            (void)launch_packet(&launch, 1);
            *owner.context = first;
            launch.data[0] = data;
        }
    }
    CHECK(small);
    CHECK_EQUAL(launch.data[0], 0x5ec5e7);
    owner_stop(&owner);
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    test_wild_dma(&launch);
    test_lm_of_others(&launch, options->cores);
    test_code(&launch);
    if (!options->no_map) { // copies of host pages only go back when the packet ends
        test_stale(&launch);
        test_bus_master(&launch);
    }
    test_lm_of_others(&launch, options->cores);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 5, .threads = 2});
    run_all(&(owner_options_t){.cores = 2, .threads = 1});
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .engines = SIM_ENGINES_REF});
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .no_map = true});
    test_sram();
    return 0;
}
