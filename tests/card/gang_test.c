// SPDX-License-Identifier: Apache-2.0
// Launches: start state, barriers among more cores than threads, environment calls, statistics,
// and what ends a context.
#include <string.h>

#include "tests/card/launch.h"

// Each core writes its start state to data[32 * core ...].
static void test_start(launch_t *launch, uint32_t cores) {
    program_t p = {.n = 0};
    li(&p, T0, 256);
    mul(&p, T0, T0, A1);
    add(&p, T0, T0, A0);
    sd(&p, A0, T0, 0);
    sd(&p, A1, T0, 8);
    sd(&p, A2, T0, 16);
    sd(&p, SP, T0, 24);
    sd(&p, TP, T0, 32);
    sd(&p, S5, T0, 40);
    li(&p, T1, ISA_LM_BASE);
    ld(&p, T2, T1, 64);
    sd(&p, T2, T0, 48); // LM is zero at the start of each launch
    sd(&p, T1, T1, 64);
    sd(&p, T1, TP, 0); // stacks are there from bottom to top
    sd(&p, T1, SP, -8);
    finish(&p, 0);
    for (int round = 0; round < 2; round++) {
        memset(launch->data, 0xee, DATA_BYTES);
        isa_completion_t entry = launch_run(launch, &p, cores);
        CHECK_EQUAL(entry.type, ISA_COMP_DONE);
        uint32_t n = cores != 0 ? cores : owner_reg(launch->owner, ISA_REG_CORES);
        for (uint32_t i = 0; i < n; i++) {
            const uint64_t *at = launch->data + i * 32;
            CHECK_EQUAL(at[0], DATA_VA);
            CHECK_EQUAL(at[1], i);
            CHECK_EQUAL(at[2], n);
            CHECK_EQUAL(at[3], at[4] + ISA_STACK_BYTES);
            CHECK_EQUAL(at[4], ISA_VA_STACK + i * (ISA_STACK_BYTES + ISA_PAGE_BYTES));
            CHECK_EQUAL(at[5], 0);
            CHECK_EQUAL(at[6], 0);
        }
        CHECK_EQUAL(launch->data[n * 32], UINT64_C(0xeeeeeeeeeeeeeeee));
        CHECK(launch->stats[0].hart_instructions >= n * 17);
        CHECK_EQUAL(launch->stats[0].cycles, entry.info);
    }
}

// `rounds` times: data[core] = data[core] + sum of all data of the round before; a barrier before
// and after reading keeps writers and readers apart.
static void barrier_program(program_t *p, uint64_t rounds) {
    li(p, S0, rounds);
    slli(p, S1, A1, 3);
    add(p, S1, S1, A0); // &data[core]
    addi(p, T0, A1, 1);
    sd(p, T0, S1, 0);
    uint32_t round = p->n;
    barrier(p, T1, XA_DMAO);
    wait_ticket(p, T1, XA_DMAO);
    addi(p, T2, A0, 0);
    addi(p, T3, A2, 0);
    addi(p, T4, ZERO, 0);
    uint32_t sum = p->n;
    ld(p, T5, T2, 0);
    add(p, T4, T4, T5);
    addi(p, T2, T2, 8);
    addi(p, T3, T3, -1);
    bne(p, T3, ZERO, sum);
    barrier(p, T1, XA_VEC);
    wait_ticket(p, T1, XA_VEC);
    ld(p, T5, S1, 0);
    add(p, T5, T5, T4);
    sd(p, T5, S1, 0);
    addi(p, S0, S0, -1);
    bne(p, S0, ZERO, round);
    finish(p, 0);
}

static void test_barriers(launch_t *launch, uint32_t cores) {
    uint64_t expected[16], rounds = 200;
    program_t p = {.n = 0};
    barrier_program(&p, rounds);
    isa_completion_t entry = launch_run(launch, &p, cores);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    for (uint32_t i = 0; i < cores; i++)
        expected[i] = i + 1;
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < cores; i++)
            sum += expected[i];
        for (uint32_t i = 0; i < cores; i++)
            expected[i] += sum;
    }
    for (uint32_t i = 0; i < cores; i++)
        CHECK_EQUAL(launch->data[i], expected[i]);
    CHECK_EQUAL(launch->stats[0].engine_issues[XA_DMAO], rounds * cores);
    CHECK_EQUAL(launch->stats[0].engine_issues[XA_VEC], rounds * cores);
}

// Core 0 waits in a loop for what core 1 stores: with one thread they take turns.
static void test_spin(launch_t *launch) {
    program_t p = {.n = 0};
    uint32_t other = forward(&p, 1, A1, ZERO);
    uint32_t spin = p.n;
    amoadd(&p, T0, ZERO, A0);
    uint32_t there = forward(&p, 1, T0, ZERO);
    bne(&p, A2, ZERO, spin);
    patch(&p, there);
    sd(&p, T0, A0, 8);
    finish(&p, 0);
    patch(&p, other);
    li(&p, T0, 99);
    amoswap(&p, ZERO, T0, A0);
    finish(&p, 0);
    memset(launch->data, 0, 16);
    CHECK_EQUAL(launch_run(launch, &p, 2).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->data[1], 99);
}

static void test_log(launch_t *launch) {
    static const char text[] = "hello, card\n";
    program_t p = {.n = 0};
    memcpy(launch->data, text, sizeof text);
    launch->log->used = launch->log->dropped = 0;
    addi(&p, S0, A0, 0);
    for (int i = 0; i < 3; i++) {
        addi(&p, A0, S0, 0);
        li(&p, A1, i < 2 ? sizeof text - 1 : 4000);
        call(&p, ISA_ECALL_LOG);
    }
    sd(&p, A0, S0, 0x100);
    for (int i = 0; i < 4; i++) { // 1024 each: the last finds no room
        addi(&p, A0, S0, 0);
        li(&p, A1, 1024);
        call(&p, ISA_ECALL_LOG);
    }
    sd(&p, A0, S0, 0x108);
    finish(&p, 0);
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
    CHECK(memcmp(launch->log + 1, "hello, card\nhello, card\nhello, card\n", 36) == 0);
    CHECK_EQUAL(launch->data[0x20], 1024);
    CHECK_EQUAL(launch->data[0x21], 0);
    CHECK_EQUAL(launch->log->used, 24 + 3 * 1024);
    CHECK_EQUAL(launch->log->dropped, 2 * 1024);
}

// Instructions between marks go to the ONNX node that was marked.
static void test_marks(launch_t *launch) {
    program_t p = {.n = 0};
    li(&p, A0, 2);
    call(&p, ISA_ECALL_NODE);
    uint32_t from = p.n;
    for (int i = 0; i < 100; i++)
        addi(&p, T0, T0, 1);
    li(&p, A0, 5);
    li(&p, A7, ISA_ECALL_NODE);
    ecall(&p);
    uint32_t to = p.n;
    finish(&p, 0);
    CHECK_EQUAL(launch_run(launch, &p, 2).type, ISA_COMP_DONE);
    const isa_node_stats_t *stats = launch->stats;
    CHECK_EQUAL(stats[1 + 2].hart_instructions, 2 * (to - from));
    CHECK_EQUAL(stats[1 + 5].hart_instructions, 2 * (p.n - to));
    CHECK_EQUAL(stats[1 + 1].hart_instructions, 0);
    CHECK_EQUAL(stats[0].hart_instructions, 2 * p.n);
    CHECK(stats[1 + 2].cycles > 100 && stats[0].cycles >= stats[1 + 2].cycles);
}

static void test_faults(launch_t *launch) {
    program_t p = {.n = 0};
    addi(&p, T0, ZERO, 1);
    emit(&p, 0xffffffff);
    isa_fault_record_t record = launch_fails(launch, &p, 1, ISA_FAULT_ILLEGAL_INSN);
    CHECK_EQUAL(record.pc, CODE_VA + 4);
    CHECK_EQUAL(record.value, 0xffffffff);
    CHECK_EQUAL(record.engine, ISA_FAULT_ENGINE_HART);
    CHECK_EQUAL(record.core, 0);
    CHECK_EQUAL(record.asid, 7);
    CHECK_EQUAL(record.launch, launch->number);

    p.n = 0;
    ebreak(&p);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_BREAKPOINT).pc, CODE_VA);

    p.n = 0; // core 1 ends with a code; core 0 waits for it in vain and is stopped
    uint32_t one = forward(&p, 1, A1, ZERO);
    barrier(&p, T0, XA_DMAO);
    finish(&p, 0);
    patch(&p, one);
    li(&p, A0, 6);
    call(&p, ISA_ECALL_NODE);
    finish(&p, ISA_EXIT_SHAPE);
    record = launch_fails(launch, &p, 2, ISA_FAULT_PROGRAM_EXIT);
    CHECK_EQUAL(record.value, ISA_EXIT_SHAPE);
    CHECK_EQUAL(record.core, 1);
    CHECK_EQUAL(record.onnx_node, 6);

    p.n = 0;
    call(&p, 12345);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_BAD_ECALL).value, 12345);

    p.n = 0; // the hart has no way to SRAM, nor to LM beyond its size
    li(&p, T0, ISA_SRAM_BASE);
    ld(&p, T0, T0, 0);
    record = launch_fails(launch, &p, 1, ISA_FAULT_BAD_SPACE);
    CHECK_EQUAL(record.va, ISA_SRAM_BASE);
    CHECK_EQUAL(record.access, ISA_ACCESS_READ);

    p.n = 0;
    li(&p, T0, ISA_LM_BASE + (512 << 10));
    sd(&p, T0, T0, 0);
    record = launch_fails(launch, &p, 1, ISA_FAULT_BAD_SPACE);
    CHECK_EQUAL(record.access, ISA_ACCESS_WRITE);

    p.n = 0;
    sd(&p, T0, A0, -8); // below the data: not mapped
    record = launch_fails(launch, &p, 1, ISA_FAULT_PAGE_INVALID);
    CHECK_EQUAL(record.va, DATA_VA - 8);
    CHECK_EQUAL(record.pc, CODE_VA);

    p.n = 0; // code is not writable
    li(&p, T0, CODE_VA);
    sd(&p, T0, T0, 0);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_PAGE_DENIED).va, CODE_VA);
}

static void test_order_faults(launch_t *launch) {
    program_t p = {.n = 0};
    li(&p, T0, 1);
    wait_ticket(&p, T0, XA_MAT);
    isa_fault_record_t record = launch_fails(launch, &p, 1, ISA_FAULT_BAD_TICKET);
    CHECK_EQUAL(record.value, 1);
    CHECK_EQUAL(record.engine, XA_MAT);
    CHECK_EQUAL(record.insn, XA_I_WAIT);

    p.n = 0;
    barrier(&p, T0, XA_VEC);
    addi(&p, T0, T0, 1);
    after_ticket(&p, XA_DMAI, T0, XA_VEC);
    CHECK_EQUAL(launch_fails(launch, &p, 2, ISA_FAULT_BAD_TICKET).value, 2);

    p.n = 0; // queues differ
    uint32_t one = forward(&p, 1, A1, ZERO);
    barrier(&p, T0, XA_DMAO);
    finish(&p, 0);
    patch(&p, one);
    barrier(&p, T0, XA_DMAI);
    finish(&p, 0);
    CHECK_EQUAL(launch_fails(launch, &p, 2, ISA_FAULT_BARRIER_MISMATCH).insn, XA_I_BARRIER);

    p.n = 0; // one core ends instead
    one = forward(&p, 1, A1, ZERO);
    barrier(&p, T0, XA_DMAO);
    patch(&p, one);
    finish(&p, 0);
    (void)launch_fails(launch, &p, 2, ISA_FAULT_BARRIER_MISMATCH);

    p.n = 0;
    addi(&p, T0, A0, 4);
    cfg_load(&p, XA_VEC, T0);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_MISALIGNED).va, DATA_VA + 4);

    p.n = 0;
    cfg_load(&p, XA_VEC, ZERO);
    CHECK_EQUAL(launch_fails(launch, &p, 1, ISA_FAULT_BAD_SPACE).engine, XA_VEC);

    p.n = 0; // far too large for one issue
    li(&p, T0, 1 << 20);
    cfg_set(&p, XA_MAT, XA_F_mat_m1, T0);
    cfg_set(&p, XA_MAT, XA_F_mat_m2, T0);
    cfg_set(&p, XA_MAT, XA_F_mat_n, T0);
    cfg_set(&p, XA_MAT, XA_F_mat_k, T0);
    cfg_set(&p, XA_MAT, XA_F_mat_batch, T0);
    cfg_set(&p, XA_MAT, XA_F_mat_r1, T0);
    cfg_set(&p, XA_MAT, XA_F_mat_r2, T0);
    issue(&p, XA_I_MAT_MUL, T1, T0, T0, T0);
    CHECK(launch_fails(launch, &p, 1, ISA_FAULT_ISSUE_TOO_LONG).value > XA_ISSUE_MAX_CYCLES);
}

static void test_bad_launch(launch_t *launch) {
    program_t p = {.n = 0};
    finish(&p, 0);
    (void)launch_fails(launch, &p, 99, ISA_FAULT_BAD_IB);
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
}

typedef struct copier {
    owner_t *owner;
    isa_ring_packet_t packet;
    uint32_t n_done;
    atomic_bool stop;
} copier_t;

static void *copy_on_and_on(void *arg) {
    copier_t *copier = arg;
    while (!atomic_load(&copier->stop) || copier->n_done < 100) {
        copier->packet.copy.fence++;
        CHECK_EQUAL(owner_do(copier->owner, ISA_NODE_COPY, copier->packet).type, ISA_COMP_DONE);
        copier->n_done++;
    }
    return NULL;
}

// The COPY node works, and translations are dropped, while launches run.
static void test_two_nodes(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    barrier_program(&p, 300);
    CHECK_EQUAL(launch_run(launch, &p, 2).type, ISA_COMP_DONE); // loads the program
    uint64_t expected = launch->data[0];
    copier_t copier = {.owner = owner,
                       .packet = {.copy = {.op = ISA_RING_COPY,
                                           .flags = ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_FROM_SYS,
                                           .rows = 4,
                                           .dst = owner_card_alloc(owner, 16384, false),
                                           .src = owner_dma(owner, owner_alloc(owner, 16384)),
                                           .bytes = 4096,
                                           .dst_pitch = 4096,
                                           .src_pitch = 4096,
                                           .fence = UINT64_C(1) << 40}}};
    isa_ib_launch_t ib = {.head = {.op = ISA_IB_LAUNCH, .bytes = ISA_IB_LAUNCH_BYTES},
                          .entry = CODE_VA,
                          .args = DATA_VA,
                          .stack = ISA_VA_STACK,
                          .stack_bytes = ISA_STACK_BYTES,
                          .stack_stride = ISA_STACK_BYTES + ISA_PAGE_BYTES,
                          .cores = 2};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, copy_on_and_on, &copier) == 0);
    for (int i = 0; i < 20; i++) {
        launch->data[0] = 0;
        CHECK_EQUAL(owner_run_ib(owner, &ib, sizeof ib).type, ISA_COMP_DONE);
        CHECK_EQUAL(launch->data[0], expected);
    }
    atomic_store(&copier.stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(copier.n_done >= 100);
}

// A card that goes away stops its harts, also one that would run for ever.
static void test_destroy(void) {
    owner_t owner;
    launch_t launch;
    program_t p = {.n = 0}, end = {.n = 0};
    owner_start(&owner, &(owner_options_t){.cores = 3, .threads = 2, .posted = true});
    launch_init(&launch, &owner);
    finish(&end, 0);
    CHECK_EQUAL(launch_run(&launch, &end, 3).type, ISA_COMP_DONE);
    uint32_t zero = forward(&p, 0, A1, ZERO);
    barrier(&p, T0, XA_DMAO); // never complete
    patch(&p, zero);
    bne(&p, SP, ZERO, p.n);
    owner_upload(&owner, launch.code, p.words, p.n * 4);
    isa_ring_packet_t flush = {.tlb_inv = {.op = ISA_RING_TLB_INV, .asid = ISA_ASID_ALL}};
    (void)owner_push(&owner, ISA_NODE_COMPUTE, flush);
    isa_ring_packet_t packet = owner.nodes[ISA_NODE_COMPUTE].ring[0]; // the launch of before
    packet.run_ib.fence = ++owner.fence;
    (void)owner_push(&owner, ISA_NODE_COMPUTE, packet);
    owner_ring(&owner, ISA_NODE_COMPUTE);
    while (owner_reg(&owner, ISA_NODE_REG_AT(0, RING_HEAD)) != 2 ||
           owner_reg(&owner, ISA_NODE_REG_AT(0, HEARTBEAT)) < 6) {
    }
    CHECK_EQUAL(owner_reg(&owner, ISA_NODE_REG_AT(0, STATE)), ISA_NODE_STATE_BUSY);
    owner_stop(&owner);
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    test_start(&launch, 1);
    test_start(&launch, 0);
    for (uint32_t cores = 1; cores <= options->cores; cores++)
        test_barriers(&launch, cores);
    test_spin(&launch);
    test_log(&launch);
    test_marks(&launch);
    test_faults(&launch);
    test_order_faults(&launch);
    test_bad_launch(&launch);
    test_two_nodes(&launch);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 5, .threads = 1});
    run_all(&(owner_options_t){.cores = 5, .threads = 2});
    run_all(&(owner_options_t){.cores = 5, .threads = 5}); // more threads than CPUs on small hosts
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .posted = true});
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .no_map = true});
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .remote = true});
    test_destroy();
    return 0;
}
