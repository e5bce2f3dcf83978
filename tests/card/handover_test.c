// SPDX-License-Identifier: Apache-2.0
// Short launches end on the thread that rings, whatever happens in them; longer ones start threads,
// at any instruction, and go on without those that cannot be had.
#include <errno.h>
#include <string.h>

#include "support/dtype.h"
#include "tests/card/launch.h"

#define DESC_AT 0x8000
#define FLAG_AT 0x400

// The wrapped call has no context: this state is the process's, as that is.
static _Atomic uint32_t n_started, refused_from;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *user);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *user);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *user) {
    if (atomic_load(&n_started) >= atomic_load(&refused_from))
        return EAGAIN;
    atomic_fetch_add(&n_started, 1);
    return __real_pthread_create(thread, attributes, run, user);
}

static void open_card(owner_t *owner, launch_t *launch, uint32_t cores, uint32_t threads) {
    atomic_store(&n_started, 0);
    atomic_store(&refused_from, UINT32_MAX);
    owner_start(owner, &(owner_options_t){.cores = cores, .threads = threads});
    launch_init(launch, owner);
    CHECK_EQUAL(atomic_load(&n_started), 0);
}

// --- Programs ---

// The hart runs about 2 * `turns` instructions.
static void work(program_t *p, uint64_t turns) {
    li(p, T0, turns + 1);
    uint32_t loop = p->n;
    addi(p, T0, T0, -1);
    bne(p, T0, ZERO, loop);
}

// Some work, then `rounds` times: data[core] = data[core] + data[next core of the round before].
static void ring_program(program_t *p, uint64_t turns, uint64_t rounds, uint32_t cores) {
    p->n = 0;
    slli(p, S1, A1, 3);
    add(p, S1, S1, A0);
    addi(p, S2, S1, 8);
    addi(p, T0, A1, 1 - (int32_t)cores);
    uint32_t not_last = forward(p, 1, T0, ZERO);
    addi(p, S2, A0, 0);
    patch(p, not_last);
    work(p, turns);
    addi(p, T0, A1, 1);
    sd(p, T0, S1, 0);
    li(p, S3, rounds);
    uint32_t round = p->n;
    barrier(p, T1, XA_DMAO);
    ld(p, T2, S2, 0);
    barrier(p, T1, XA_VEC);
    ld(p, T3, S1, 0);
    add(p, T3, T3, T2);
    sd(p, T3, S1, 0);
    addi(p, S3, S3, -1);
    bne(p, S3, ZERO, round);
    finish(p, 0);
}

static void check_ring(const launch_t *launch, uint64_t rounds, uint32_t cores) {
    uint64_t now[8], next[8];
    for (uint32_t i = 0; i < cores; i++)
        now[i] = i + 1;
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < cores; i++)
            next[i] = now[i] + now[(i + 1) % cores];
        memcpy(now, next, sizeof now);
    }
    for (uint32_t i = 0; i < cores; i++)
        CHECK_EQUAL(launch->data[i], now[i]);
}

static void run_ring(launch_t *launch, uint64_t turns, uint64_t rounds, uint32_t cores) {
    program_t p;
    memset(launch->data, 0, DATA_BYTES);
    ring_program(&p, turns, rounds, cores);
    CHECK_EQUAL(launch_run(launch, &p, cores).type, ISA_COMP_DONE);
    check_ring(launch, rounds, cores);
    CHECK_EQUAL(launch->stats[0].engine_issues[XA_VEC], rounds * cores);
}

// --- How long a launch is ---

static void test_short(launch_t *launch, uint32_t cores) {
    program_t end = {.n = 0};
    finish(&end, 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQUAL(launch_run(launch, &end, cores).type, ISA_COMP_DONE);
    run_ring(launch, 0, 1, cores);
    run_ring(launch, 10, 3, cores);
    CHECK_EQUAL(atomic_load(&n_started), 0);
}

static void test_long(launch_t *launch, uint32_t cores, uint32_t threads) {
    run_ring(launch, 100000, 3, cores);
    CHECK_EQUAL(atomic_load(&n_started), (cores < threads ? cores : threads) - 1);
    run_ring(launch, 0, 300, cores);
    run_ring(launch, 0, 1, cores); // workers may be awake still
    CHECK_EQUAL(atomic_load(&n_started), (cores < threads ? cores : threads) - 1);
}

// Few instructions, but issues that move much: each core reads 256 KiB three times.
static void test_issues(launch_t *launch, uint32_t cores) {
    xa_desc_t desc = {.dma = {.src_type = DTYPE_I8,
                              .dst_type = DTYPE_I8,
                              .count = {1, 1, 1, 1, 256 << 10},
                              .src_stride = {0, 0, 0, 0, 1},
                              .dst_stride = {0, 0, 0, 0, 1},
                              .alpha = 1}};
    uint64_t from = owner_card_alloc(launch->owner, 256 << 10, false);
    uint64_t va = ISA_VA_IMAGE + 0x400000;
    owner_map(launch->owner, va, from, 256 << 10, 0);
    program_t p = {.n = 0};
    memset(launch->data, 0, DATA_BYTES);
    memcpy((uint8_t *)launch->data + DESC_AT, &desc, sizeof desc);
    li(&p, T0, DESC_AT);
    add(&p, T0, T0, A0);
    cfg_load(&p, XA_DMAI, T0);
    li(&p, S2, ISA_LM_BASE);
    li(&p, S3, va);
    for (int i = 0; i < 3; i++)
        issue(&p, XA_I_DMA_IN, T1, S2, S3, ZERO);
    wait_ticket(&p, T1, XA_DMAI);
    slli(&p, S1, A1, 3);
    add(&p, S1, S1, A0);
    sd(&p, T1, S1, 0);
    finish(&p, 0);
    CHECK_EQUAL(launch_run(launch, &p, cores).type, ISA_COMP_DONE);
    CHECK(launch->stats[0].engine_cycles[XA_DMAI] > 4096 * 3 * cores);
    CHECK(atomic_load(&n_started) >= 1);
    for (uint32_t i = 0; i < cores; i++)
        CHECK_EQUAL(launch->data[i], 3);
}

// Others join in at many places of the program: between, before and behind barriers.
static void test_anywhere(launch_t *launch, uint32_t cores) {
    for (uint64_t turns = 0; turns < 4200 / cores; turns += 31)
        run_ring(launch, turns, 3, cores);
    for (uint64_t rounds = 1; rounds < 24; rounds++)
        run_ring(launch, 0, rounds, cores);
}

// --- What ends a launch before its end ---

static void test_fault(launch_t *launch, uint32_t cores) {
    program_t p = {.n = 0};
    uint32_t one = forward(&p, 1, A1, ZERO);
    barrier(&p, T0, XA_DMAO);
    finish(&p, 0);
    patch(&p, one);
    finish(&p, ISA_EXIT_SHAPE);
    isa_fault_record_t record = launch_fails(launch, &p, cores, ISA_FAULT_PROGRAM_EXIT);
    CHECK_EQUAL(record.core, 1);
    p.n = 0; // who meets a barrier alone
    one = forward(&p, 1, A1, ZERO);
    barrier(&p, T0, XA_DMAO);
    patch(&p, one);
    finish(&p, 0);
    (void)launch_fails(launch, &p, cores, ISA_FAULT_BARRIER_MISMATCH);
    CHECK_EQUAL(atomic_load(&n_started), 0);
}

static void test_heap(launch_t *launch, uint32_t cores) {
    program_t p = {.n = 0};
    addi(&p, S0, A0, 0);
    addi(&p, S1, A1, 0);
    barrier(&p, T0, XA_DMAO);
    uint32_t others = forward(&p, 1, A1, ZERO);
    li(&p, A0, 4096);
    call(&p, ISA_ECALL_HEAP);
    sd(&p, A0, S0, FLAG_AT);
    patch(&p, others);
    barrier(&p, T0, XA_DMAO);
    slli(&p, T1, S1, 3);
    add(&p, T1, T1, S0);
    sd(&p, T0, T1, 0);
    finish(&p, 0);
    memset(launch->data, 0, DATA_BYTES);
    CHECK_EQUAL(launch_run(launch, &p, cores).type, ISA_COMP_SUSPENDED);
    CHECK_EQUAL(launch->data[0], 0);
    CHECK_EQUAL(launch_resume(launch, launch->number, 77).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->data[FLAG_AT / 8], 77);
    for (uint32_t i = 0; i < cores; i++)
        CHECK_EQUAL(launch->data[i], 2);
    CHECK_EQUAL(atomic_load(&n_started), 0);
}

static void test_quantum(launch_t *launch, uint32_t cores) {
    program_t p;
    uint32_t stops = 0;
    memset(launch->data, 0, DATA_BYTES);
    ring_program(&p, 50, 2, cores);
    launch_load(launch, &p);
    isa_ring_packet_t packet = launch_packet(launch, cores);
    packet.run_ib.quantum = 1;
    isa_completion_t entry = owner_do(launch->owner, ISA_NODE_COMPUTE, packet);
    for (; entry.type == ISA_COMP_EXPIRED; stops++) {
        packet.run_ib.flags = ISA_RING_FLAG_CONTINUE;
        entry = owner_do(launch->owner, ISA_NODE_COMPUTE, packet);
    }
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    CHECK(stops > 100);
    check_ring(launch, 2, cores);
    CHECK_EQUAL(atomic_load(&n_started), 0);
}

// Core 0 says that it is in the midst of the program, and reads the clock by marking a node.
static void preempt_program(program_t *p) {
    slli(p, S1, A1, 3);
    add(p, S1, S1, A0);
    addi(p, S2, A1, 1);
    barrier(p, T0, XA_DMAO);
    uint32_t others = forward(p, 1, A1, ZERO);
    li(p, T0, 1);
    sd(p, T0, A0, FLAG_AT);
    addi(p, S0, A0, 0);
    li(p, A0, 3);
    call(p, ISA_ECALL_NODE);
    sd(p, S2, S0, FLAG_AT);
    patch(p, others);
    barrier(p, T0, XA_VEC);
    add(p, S2, S2, T0);
    sd(p, S2, S1, 0);
    finish(p, 0);
}

static void preempt_once(owner_t *owner, uint64_t address) {
    (void)address;
    const launch_t *launch = owner->hook_user;
    if (launch->data[FLAG_AT / 8] != 1)
        return;
    atomic_store(&owner->clock_hook, NULL);
    owner_set_reg(owner, ISA_NODE_REG_AT(0, PREEMPT), 55);
}

static void test_preempt(launch_t *launch, uint32_t cores) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    preempt_program(&p);
    memset(launch->data, 0, DATA_BYTES);
    launch_load(launch, &p);
    isa_ring_packet_t packet = launch_packet(launch, cores);
    owner->hook_user = launch;
    atomic_store(&owner->clock_hook, preempt_once);
    uint64_t fence = owner_push(owner, ISA_NODE_COMPUTE, packet);
    owner_ring(owner, ISA_NODE_COMPUTE);
    isa_completion_t entry = owner_completion(owner, ISA_NODE_COMPUTE);
    CHECK_EQUAL(entry.type, ISA_COMP_PREEMPTED);
    CHECK(entry.fence < fence);
    CHECK_EQUAL((uint32_t)entry.info, 55);
    CHECK((entry.info & ISA_COMP_SAVED) != 0);
    CHECK_EQUAL(launch->data[FLAG_AT / 8], 1); // stopped right behind the call
    packet.run_ib.flags = ISA_RING_FLAG_CONTINUE;
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).type, ISA_COMP_DONE);
    for (uint32_t i = 0; i < cores; i++)
        CHECK_EQUAL(launch->data[i], i + 2);
    CHECK_EQUAL(atomic_load(&n_started), 0);
}

// --- Threads that cannot be had ---

static void test_refused(uint32_t cores, uint32_t threads, uint32_t had) {
    owner_t owner;
    launch_t launch;
    open_card(&owner, &launch, cores, threads);
    atomic_store(&refused_from, had);
    run_ring(&launch, 100000, 3, cores);
    CHECK_EQUAL(atomic_load(&n_started), had);
    run_ring(&launch, 0, 300, cores);
    atomic_store(&refused_from, UINT32_MAX); // the next launch that wants them has them
    run_ring(&launch, 100000, 3, cores);
    CHECK_EQUAL(atomic_load(&n_started), threads - 1);
    owner_stop(&owner);
}

static void run_all(uint32_t cores, uint32_t threads) {
    owner_t owner;
    launch_t launch;
    open_card(&owner, &launch, cores, threads);
    test_short(&launch, cores);
    test_fault(&launch, cores);
    test_heap(&launch, cores);
    test_quantum(&launch, cores);
    test_preempt(&launch, cores);
    test_issues(&launch, cores);
    test_anywhere(&launch, cores);
    owner_stop(&owner);
    open_card(&owner, &launch, cores, threads);
    test_long(&launch, cores, threads);
    test_anywhere(&launch, cores);
    owner_stop(&owner);
}

int main(void) {
    run_all(2, 2);
    run_all(5, 2);
    run_all(5, 5); // more threads than CPUs on small hosts
    run_all(2, 8);
    test_refused(2, 2, 0);
    test_refused(5, 5, 0);
    test_refused(5, 5, 2);
    return 0;
}
