// SPDX-License-Identifier: Apache-2.0
// Preemption: a gang that is stopped at hundreds of places, by its quantum or by PREEMPT, and whose
// cores others use meanwhile, ends with the same bits as one that nobody disturbed.
#include <sched.h>
#include <string.h>

#include "support/dtype.h"
#include "tests/card/launch.h"

#define N        16u // elements of a core's piece
#define DESC_AT  0x8000
#define SUM_AT   0x4000 // atomics of all cores
#define PIECE_AT 0x5000 // N doubles a core
#define OUT_AT   0x6000 // 256 bytes a core: what it ends with
#define LM_AT    (ISA_LM_BASE + 0x3000)
#define LM_NEAR  (ISA_LM_BASE + 0x7800)
#define LM_FAR   (ISA_LM_BASE + 0x7f800)

typedef struct random {
    uint64_t state;
} random_t;

static uint64_t draw(random_t *random) { // splitmix64
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

// --- The program ---

static void fp(program_t *p, uint32_t funct7, uint32_t rd, uint32_t rs1, uint32_t rs2) {
    emit(p, 0x53 | rd << 7 | 7u << 12 | rs1 << 15 | rs2 << 20 | funct7 << 25);
}

static void csr(program_t *p, uint32_t rd, uint32_t number) {
    emit(p, 0x73 | rd << 7 | 2u << 12 | number << 20);
}

// Adds rs2 to memory at rs1 with a reservation.
static void reserve_add(program_t *p, uint32_t rs2, uint32_t rs1) {
    uint32_t again = emit(p, 0x2f | T5 << 7 | 3u << 12 | rs1 << 15 | 2u << 27);
    add(p, T5, T5, rs2);
    emit(p, 0x2f | T6 << 7 | 3u << 12 | rs1 << 15 | (uint32_t)T5 << 20 | 3u << 27);
    bne(p, T6, ZERO, again);
}

// A loop over registers, LM and floats, as a compiled one.
static void arithmetic(program_t *p) {
    li(p, T0, 12);
    uint32_t loop = p->n;
    mul(p, S5, S5, S6);
    add(p, S5, S5, A1);
    sd(p, S5, S7, 0);
    fp(p, 1, 8, 8, 9); // fadd.d
    fp(p, 9, 9, 9, 8); // fmul.d
    ld(p, T1, S7, 0);
    add(p, S8, S8, T1);
    addi(p, T0, T0, -1);
    bne(p, T0, ZERO, loop);
}

// The core's piece through LM into its neighbour's place of the next round.
static void move_piece(program_t *p) {
    cfg_load(p, XA_DMAI, S9);
    cfg_load(p, XA_DMAO, S9);
    after_ticket(p, XA_DMAI, S4, XA_DMAO);
    issue(p, XA_I_DMA_IN, T3, S7, S10, ZERO);
    after_ticket(p, XA_DMAI, T3, XA_DMAI);
    barrier(p, T3, XA_DMAI); // all have read before any writes
    after_ticket(p, XA_DMAO, T3, XA_DMAI);
    addi(p, T1, S10, N * 8);
    issue(p, XA_I_DMA_OUT, S4, T1, S7, ZERO);
    wait_ticket(p, S4, XA_DMAO);
    barrier(p, S4, XA_DMAO);
    wait_ticket(p, S4, XA_DMAO);
}

static void mixed_program(program_t *p, uint64_t rounds, uint64_t lm, bool reservations) {
    addi(p, S0, A0, 0);
    li(p, S2, rounds);
    addi(p, S4, ZERO, 0);
    addi(p, S5, A1, 3);
    li(p, S6, UINT64_C(0x5851f42d4c957f2d));
    li(p, S7, LM_AT);
    li(p, T0, DESC_AT);
    add(p, S9, S0, T0);
    li(p, T0, PIECE_AT);
    li(p, T1, N * 8);
    mul(p, T1, T1, A1);
    add(p, T0, T0, T1);
    add(p, S10, S0, T0);
    li(p, T0, SUM_AT);
    add(p, S11, S0, T0);
    fp(p, 0x69, 8, A1, 2); // fcvt.d.l
    fp(p, 0x69, 9, S2, 2);
    uint32_t round = p->n;
    arithmetic(p);
    amoadd(p, T2, S5, S11);
    if (reservations) {
        addi(p, T4, S11, 64);
        reserve_add(p, S5, T4);
    }
    addi(p, A0, S2, 0);
    call(p, ISA_ECALL_NODE);
    move_piece(p);
    li(p, T0, lm);
    sd(p, S5, T0, 0);
    addi(p, S2, S2, -1);
    bne(p, S2, ZERO, round);
    li(p, T0, OUT_AT);
    slli(p, T1, A1, 8);
    add(p, T0, T0, T1);
    add(p, T0, T0, S0);
    sd(p, S5, T0, 0);
    sd(p, S8, T0, 8);
    sd(p, S4, T0, 16);
    emit(p, 0x27 | 24u << 7 | 3u << 12 | T0 << 15 | 8u << 20); // fsd
    li(p, T1, lm);
    ld(p, T2, T1, 0);
    sd(p, T2, T0, 32);
    if (!reservations) { // what the hart has retired; failed reservations would count
        csr(p, T2, 0xc02);
        sd(p, T2, T0, 40);
        csr(p, T2, 0xc00);
        sd(p, T2, T0, 48);
    }
    finish(p, 0);
}

static void make_data(launch_t *launch) {
    xa_desc_t desc = {.dma = {.src_type = DTYPE_F64,
                              .dst_type = DTYPE_F64,
                              .count = {1, 1, 1, 1, N},
                              .src_stride = {0, 0, 0, 0, 8},
                              .dst_stride = {0, 0, 0, 0, 8},
                              .alpha = 1}};
    uint8_t *data = (uint8_t *)launch->data;
    memset(data, 0, DATA_BYTES);
    memcpy(data + DESC_AT, &desc, sizeof desc);
    for (uint32_t i = 0; i < 8 * N; i++) {
        double x = 1.5 * i;
        memcpy(data + PIECE_AT + i * 8, &x, 8);
    }
}

// --- Others who use the cores meanwhile ---

typedef struct other {
    launch_t launch;
    isa_context_t context;
    uint64_t *page; // its data
} other_t;

#define OTHER_CODE (CODE_VA + 0x8000)

// Reports what it finds in registers and LM, then leaves its own things everywhere.
static void other_program(program_t *p) {
    addi(p, T0, ZERO, 0);
    for (uint32_t reg = 5; reg < 32; reg++)
        if (reg != T0 && reg != A0 && reg != A1 && reg != A2)
            emit(p, 0x33 | T0 << 7 | 6u << 12 | T0 << 15 | reg << 20); // or
    li(p, T1, LM_AT);
    ld(p, T2, T1, 0);
    add(p, T0, T0, T2);
    li(p, T1, LM_FAR);
    ld(p, T2, T1, 0);
    add(p, T0, T0, T2);
    barrier(p, T3, XA_DMAO); // ticket 1, whatever stood there before
    add(p, T0, T0, T3);
    addi(p, T0, T0, -1);
    amoadd(p, T2, T0, A0);
    li(p, T4, UINT64_C(0x5ec5e75ec5e7));
    sd(p, T4, T1, 0);
    li(p, T1, LM_AT);
    sd(p, T4, T1, 0);
    for (uint32_t reg = 18; reg < 32; reg++)
        addi(p, reg, T4, 0);
    finish(p, 0);
}

static void other_init(other_t *other, const launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    *other = (other_t){.launch = *launch};
    other->context =
        (isa_context_t){.root = owner->context->root, .asid = 8, .flags = ISA_CTX_ROOT_SYS};
    uint64_t code = owner_card_alloc(owner, PROGRAM_WORDS * 4, false);
    owner_map(owner, OTHER_CODE, code, PROGRAM_WORDS * 4, ISA_PTE_X);
    other->page = owner_map_host(owner, OTHER_CODE + 0x4000, 4096, ISA_PTE_W);
    other_program(&p);
    owner_upload(owner, code, p.words, p.n * 4);
}

static void other_run(other_t *other, uint32_t cores) {
    owner_t *owner = other->launch.owner;
    isa_ib_launch_t ib = {.head = {.op = ISA_IB_LAUNCH, .bytes = ISA_IB_LAUNCH_BYTES},
                          .entry = OTHER_CODE,
                          .args = OTHER_CODE + 0x4000,
                          .stack = ISA_VA_STACK,
                          .stack_bytes = ISA_STACK_BYTES,
                          .stack_stride = ISA_STACK_BYTES + ISA_PAGE_BYTES,
                          .cores = cores};
    isa_context_t saved = *owner->context;
    *owner->context = other->context;
    uint8_t command_buffer[4096];
    memcpy(command_buffer,
           owner->host + ((*owner_pte(owner, ISA_VA_ARGS + 0x10000) & ISA_PTE_ADDRESS) - HOST_BASE),
           4096);
    CHECK_EQUAL(owner_run_ib(owner, &ib, sizeof ib).type, ISA_COMP_DONE);
    CHECK_EQUAL(other->page[0], 0);
    (void)owner_ib_packet(owner, command_buffer, 4096);
    *owner->context = saved;
}

// --- Quanta ---

typedef struct outcome {
    uint8_t data[DATA_BYTES];
    isa_node_stats_t total;
    uint32_t stops;
} outcome_t;

static void check_same(const launch_t *launch, const outcome_t *expected) {
    const uint8_t *data = (const uint8_t *)launch->data;
    for (uint32_t i = 0; i < DATA_BYTES; i++)
        if (data[i] != expected->data[i])
            fprintf(stderr, "at 0x%x: %02x, not %02x\n", i, data[i], expected->data[i]);
    CHECK(memcmp(data, expected->data, DATA_BYTES) == 0);
    CHECK_EQUAL(launch->stats[0].hart_instructions, expected->total.hart_instructions);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQUAL(launch->stats[0].engine_issues[i], expected->total.engine_issues[i]);
        CHECK_EQUAL(launch->stats[0].engine_cycles[i], expected->total.engine_cycles[i]);
    }
}

static void keep(const launch_t *launch, outcome_t *out_outcome) {
    memcpy(out_outcome->data, launch->data, DATA_BYTES);
    out_outcome->total = launch->stats[0];
}

static isa_completion_t start(launch_t *launch, uint32_t cores, uint64_t quantum,
                              isa_ring_packet_t *out_packet) {
    make_data(launch);
    memset(launch->stats, 0, 4096);
    *out_packet = launch_packet(launch, cores);
    out_packet->run_ib.quantum = quantum;
    return owner_do(launch->owner, ISA_NODE_COMPUTE, *out_packet);
}

static void run_by_quanta(launch_t *launch, other_t *other, uint32_t cores, uint64_t quantum,
                          const outcome_t *expected, bool exact) {
    isa_ring_packet_t packet;
    uint64_t before = launch->owner->context->cycles, sum = 0;
    uint32_t stops = 0;
    isa_completion_t entry = start(launch, cores, quantum, &packet);
    for (; entry.type == ISA_COMP_EXPIRED; stops++) {
        CHECK_EQUAL(launch->owner->context->state, ISA_CTX_STATE_PREEMPTED);
        sum += entry.info;
        if (other != NULL && stops % 3 == 0)
            other_run(other, cores);
        packet.run_ib.flags = ISA_RING_FLAG_CONTINUE;
        entry = owner_do(launch->owner, ISA_NODE_COMPUTE, packet);
    }
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->owner->context->state, ISA_CTX_STATE_READY);
    CHECK_EQUAL(launch->owner->context->cycles - before, sum + entry.info);
    CHECK(stops >= 1 || quantum > 500);
    if (exact)
        check_same(launch, expected);
    else
        CHECK(memcmp(launch->data, expected->data, DATA_BYTES) == 0);
}

static void test_quanta(launch_t *launch, other_t *other, uint32_t cores, random_t *random) {
    static outcome_t expected;
    isa_ring_packet_t packet;
    program_t p = {.n = 0};
    mixed_program(&p, 1, LM_NEAR, false);
    launch_load(launch, &p);
    CHECK_EQUAL(start(launch, cores, 0, &packet).type, ISA_COMP_DONE);
    keep(launch, &expected);
    run_by_quanta(launch, NULL, cores, 1, &expected, true);
    p.n = 0;
    mixed_program(&p, 4, LM_FAR, false);
    launch_load(launch, &p);
    CHECK_EQUAL(start(launch, cores, 0, &packet).type, ISA_COMP_DONE);
    keep(launch, &expected);
    for (int i = 0; i < 4; i++)
        run_by_quanta(launch, other, cores, 100 + draw(random) % 1000, &expected, true);
    p.n = 0;
    mixed_program(&p, 3, LM_NEAR, true);
    launch_load(launch, &p);
    CHECK_EQUAL(start(launch, cores, 0, &packet).type, ISA_COMP_DONE);
    keep(launch, &expected);
    for (int i = 0; i < 2; i++)
        run_by_quanta(launch, other, cores, 300 + draw(random) % 1500, &expected, false);
}

// --- PREEMPT from another thread, at any moment ---

typedef struct preempter {
    owner_t *owner;
    uint32_t token;
    uint64_t spins;
    atomic_bool go, stop;
    _Atomic uint32_t done;
} preempter_t;

static void *preempt_on_and_on(void *arg) {
    preempter_t *preempter = arg;
    while (!atomic_load(&preempter->stop)) {
        if (!atomic_exchange(&preempter->go, false)) {
            (void)sched_yield();
            continue;
        }
        for (volatile uint64_t i = 0; i < preempter->spins; i++) {
        }
        owner_set_reg(preempter->owner, ISA_NODE_REG_AT(0, PREEMPT), preempter->token);
        atomic_fetch_add(&preempter->done, 1);
    }
    return NULL;
}

// Rings once, with a PREEMPT on its way; true: the run is done.
static bool run_preempted(launch_t *launch, preempter_t *preempter, isa_ring_packet_t *packet,
                          random_t *random) {
    owner_t *owner = launch->owner;
    preempter->token++;
    preempter->spins = draw(random) % 6000;
    uint64_t fence = owner_push(owner, ISA_NODE_COMPUTE, *packet);
    atomic_store(&preempter->go, true);
    owner_ring(owner, ISA_NODE_COMPUTE);
    isa_completion_t entry = owner_completion(owner, ISA_NODE_COMPUTE);
    bool done = entry.type == ISA_COMP_DONE, early = false;
    if (done) {
        CHECK_EQUAL(entry.fence, fence);
        entry = owner_completion(owner, ISA_NODE_COMPUTE);
    } else if (entry.head != owner->nodes[0].tail) { // PREEMPT came before the doorbell
        isa_completion_t run = owner_completion(owner, ISA_NODE_COMPUTE);
        CHECK_EQUAL(run.type, ISA_COMP_DONE);
        CHECK_EQUAL(run.head, owner->nodes[0].tail);
        done = early = true;
    }
    CHECK_EQUAL(entry.type, ISA_COMP_PREEMPTED);
    CHECK_EQUAL((uint32_t)entry.info, preempter->token);
    CHECK(done && !early ? entry.fence == fence : entry.fence < fence);
    bool saved = (entry.info & ISA_COMP_SAVED) != 0;
    CHECK(!(done && saved));
    if (saved) {
        CHECK_EQUAL(owner->context->state, ISA_CTX_STATE_PREEMPTED);
        packet->run_ib.flags = ISA_RING_FLAG_CONTINUE;
    } // else it was dropped before it began, and is put there again as it was
    while (atomic_load(&preempter->done) != preempter->token)
        (void)sched_yield();
    return done;
}

static void test_preempt(launch_t *launch, other_t *other, uint32_t cores, random_t *random) {
    static outcome_t expected;
    isa_ring_packet_t packet;
    program_t p = {.n = 0};
    mixed_program(&p, 8, LM_NEAR, false);
    launch_load(launch, &p);
    CHECK_EQUAL(start(launch, cores, 0, &packet).type, ISA_COMP_DONE);
    keep(launch, &expected);
    preempter_t preempter = {.owner = launch->owner};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, preempt_on_and_on, &preempter) == 0);
    for (int i = 0; i < 20; i++) {
        make_data(launch);
        memset(launch->stats, 0, 4096);
        packet = launch_packet(launch, cores);
        uint32_t turns = 0;
        while (!run_preempted(launch, &preempter, &packet, random))
            if (++turns % 2 == 0)
                other_run(other, cores);
        check_same(launch, &expected);
    }
    atomic_store(&preempter.stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
}

// --- The ring's side ---

static isa_ring_packet_t nop(void) {
    return (isa_ring_packet_t){.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
}

static void test_idle(owner_t *owner) {
    isa_completion_t last = owner_do(owner, ISA_NODE_COMPUTE, nop());
    uint32_t interrupts = atomic_load(&owner->interrupts[1]);
    owner_set_reg(owner, ISA_NODE_REG_AT(0, PREEMPT), 0); // no token: nothing
    owner_set_reg(owner, ISA_NODE_REG_AT(0, PREEMPT), 77);
    isa_completion_t entry = owner_completion(owner, ISA_NODE_COMPUTE);
    CHECK_EQUAL(entry.type, ISA_COMP_PREEMPTED);
    CHECK_EQUAL(entry.info, 77);
    CHECK_EQUAL(entry.fence, last.fence);
    CHECK_EQUAL(entry.head, last.head);
    CHECK(atomic_load(&owner->interrupts[1]) > interrupts);
    CHECK_EQUAL(owner_reg64(owner, ISA_NODE_REG_AT(0, LAST_DONE_LO)), last.fence);
}

typedef struct in_fence {
    uint64_t address;
    bool preempt;
} in_fence_t;

// While the card writes a FENCE: what a doorbell or PREEMPT finds in the midst of a packet.
static void in_fence(owner_t *owner, uint64_t address) {
    const in_fence_t *what = owner->hook_user;
    if (address != what->address)
        return;
    owner->hook = NULL;
    if (what->preempt) {
        owner_set_reg(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, PREEMPT), 5);
    } else {
        (void)owner_push_high(owner, ISA_NODE_COPY, nop());
        owner_ring_high(owner, ISA_NODE_COPY);
    }
}

static uint64_t push_fence_and_nops(owner_t *owner, in_fence_t *what, uint64_t *word) {
    isa_ring_packet_t fence = {.fence = {.op = ISA_RING_FENCE,
                                         .flags = ISA_RING_FLAG_COMPLETE,
                                         .address = owner_dma(owner, word)}};
    what->address = fence.fence.address;
    owner->hook_user = what;
    owner->hook = in_fence;
    uint64_t number = owner_push(owner, ISA_NODE_COPY, fence);
    (void)owner_push(owner, ISA_NODE_COPY, nop());
    (void)owner_push(owner, ISA_NODE_COPY, nop());
    return number;
}

// A packet in work ends, those behind it are dropped.
static void test_drop(owner_t *owner, uint64_t *word) {
    in_fence_t what = {.preempt = true};
    uint64_t number = push_fence_and_nops(owner, &what, word);
    owner_ring(owner, ISA_NODE_COPY);
    isa_completion_t entry = owner_completion(owner, ISA_NODE_COPY);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    CHECK_EQUAL(entry.fence, number);
    entry = owner_completion(owner, ISA_NODE_COPY);
    CHECK_EQUAL(entry.type, ISA_COMP_PREEMPTED);
    CHECK_EQUAL(entry.info, 5);
    CHECK_EQUAL(entry.fence, number);
    CHECK_EQUAL(entry.head, owner->nodes[ISA_NODE_COPY].tail);
    CHECK(!owner_has_completion(owner, ISA_NODE_COPY));
    CHECK_EQUAL(*word, number);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop()).type, ISA_COMP_DONE);
}

// The high ring goes first at the next packet boundary.
static void test_high(owner_t *owner, uint64_t *word) {
    in_fence_t what = {.preempt = false};
    uint64_t number = push_fence_and_nops(owner, &what, word);
    uint64_t high_before = owner_reg64(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, HIGH_DONE_LO));
    owner_ring(owner, ISA_NODE_COPY);
    isa_completion_t entries[4];
    for (uint32_t i = 0; i < 4; i++)
        entries[i] = owner_completion(owner, ISA_NODE_COPY);
    CHECK_EQUAL(entries[0].fence, number);
    CHECK_EQUAL(entries[1].flags & ISA_COMP_HIGH, ISA_COMP_HIGH);
    CHECK_EQUAL(entries[1].head, owner->nodes[ISA_NODE_COPY].high_tail);
    CHECK_EQUAL(entries[2].flags & ISA_COMP_HIGH, 0);
    CHECK_EQUAL(entries[3].head, owner->nodes[ISA_NODE_COPY].tail);
    CHECK_EQUAL(owner_reg64(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, LAST_DONE_LO)), number + 2);
    uint64_t high = owner_reg64(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, HIGH_DONE_LO));
    CHECK(high != high_before);
    CHECK_EQUAL(high, entries[1].fence);
    CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, HIGH_HEAD)),
                owner->nodes[ISA_NODE_COPY].high_tail);
    // Its own arm.
    uint32_t before = atomic_load(&owner->interrupts[2]);
    owner_set_reg(owner, ISA_DOORBELL(ISA_NODE_COPY, ISA_RING_HIGH) + ISA_DOORBELL_ARM,
                  (uint32_t)owner->fence + 2);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop()).type, ISA_COMP_DONE);
    CHECK_EQUAL(atomic_load(&owner->interrupts[2]), before);
    (void)owner_push_high(owner, ISA_NODE_COPY, nop());
    owner_ring_high(owner, ISA_NODE_COPY);
    (void)owner_completion(owner, ISA_NODE_COPY);
    for (int i = 0; i < 1000 && atomic_load(&owner->interrupts[2]) == before; i++)
        owner_wait_reg(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, STATE), ISA_NODE_STATE_IDLE);
    CHECK_EQUAL(atomic_load(&owner->interrupts[2]), before + 1);
}

// --- Between packets, and what is refused ---

#define FILLS 6u

static void test_between(launch_t *launch) {
    owner_t *owner = launch->owner;
    isa_ib_fill_t ib[FILLS];
    for (uint32_t i = 0; i < FILLS; i++)
        ib[i] = (isa_ib_fill_t){.head = {.op = ISA_IB_FILL, .bytes = ISA_IB_FILL_BYTES},
                                .dst = DATA_VA + i * 8,
                                .pattern = 100 + i,
                                .bytes = 8,
                                .rows = 1};
    make_data(launch);
    isa_ring_packet_t packet = owner_ib_packet(owner, ib, FILLS * ISA_IB_FILL_BYTES);
    packet.run_ib.quantum = 1;
    for (uint32_t i = 0; i < FILLS; i++) {
        isa_completion_t entry = owner_do(owner, ISA_NODE_COMPUTE, packet);
        CHECK_EQUAL(entry.type, i + 1 < FILLS ? ISA_COMP_EXPIRED : ISA_COMP_DONE);
        CHECK_EQUAL(launch->data[i], 100 + i);
        if (i + 1 < FILLS) {
            isa_save_header_t header;
            CHECK_EQUAL(launch->data[i + 1], 0);
            owner_download(owner, &header, owner->context->save, sizeof header);
            CHECK_EQUAL(header.magic, ISA_SAVE_MAGIC);
            CHECK_EQUAL(header.cores, 0);
            CHECK_EQUAL(header.reason, ISA_SAVE_REASON_PREEMPTED);
            CHECK_EQUAL(header.ib_va, packet.run_ib.va);
            CHECK_EQUAL(header.ib_offset, (i + 1) * ISA_IB_FILL_BYTES);
        }
        packet.run_ib.flags = ISA_RING_FLAG_CONTINUE;
    }
    // Nothing is saved any more; then something of another command buffer; then it is forgotten.
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).status, ISA_FAULT_BAD_RESUME);
    (void)owner_fault(owner);
    launch_revive(launch);
    packet.run_ib.flags = 0;
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).type, ISA_COMP_EXPIRED);
    packet.run_ib.flags = ISA_RING_FLAG_CONTINUE;
    packet.run_ib.va += ISA_IB_FILL_BYTES;
    packet.run_ib.bytes -= ISA_IB_FILL_BYTES;
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).status, ISA_FAULT_BAD_RESUME);
    (void)owner_fault(owner);
    launch_revive(launch);
    packet.run_ib.flags = 0;
    packet.run_ib.quantum = 0;
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).type, ISA_COMP_DONE);
    CHECK_EQUAL(owner->context->state, ISA_CTX_STATE_READY);
}

// A loop without an end, an issue or a barrier still expires near its quantum.
static void test_endless(launch_t *launch, uint32_t cores) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    uint32_t loop = p.n;
    addi(&p, T0, T0, 1);
    bne(&p, SP, ZERO, loop);
    launch_load(launch, &p);
    isa_ring_packet_t packet = launch_packet(launch, cores);
    packet.run_ib.quantum = 20000;
    for (int i = 0; i < 5; i++) {
        isa_completion_t entry = owner_do(owner, ISA_NODE_COMPUTE, packet);
        CHECK_EQUAL(entry.type, ISA_COMP_EXPIRED);
        CHECK(entry.info >= 20000 && entry.info < 25000);
        packet.run_ib.flags = ISA_RING_FLAG_CONTINUE;
    }
    isa_context_t saved = *owner->context;
    owner->context->save = 0;
    owner->context->state = ISA_CTX_STATE_READY;
    packet.run_ib.flags = 0;
    isa_completion_t entry = owner_do(owner, ISA_NODE_COMPUTE, packet);
    CHECK_EQUAL(entry.status, ISA_FAULT_BAD_SAVE_AREA);
    CHECK(owner_fault(owner).value > ISA_SAVE_HEADER_BYTES);
    *owner->context = saved;
    launch_revive(launch);
}

// --- All of it ---

static void run_all(const owner_options_t *options, uint64_t seed) {
    owner_t owner;
    launch_t launch;
    other_t other;
    random_t random = {seed};
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    other_init(&other, &launch);
    test_quanta(&launch, &other, options->cores, &random);
    test_preempt(&launch, &other, options->cores, &random);
    test_between(&launch);
    test_endless(&launch, options->cores);
    test_idle(&owner);
    if (!options->remote) {
        uint64_t *word = owner_alloc(&owner, 4096);
        test_drop(&owner, word);
        test_high(&owner, word);
    }
    owner_stop(&owner);
}

int main(void) {
    for (uint32_t threads = 1; threads <= 3; threads++) {
        run_all(&(owner_options_t){.cores = 1, .threads = threads}, 11 + threads);
        run_all(&(owner_options_t){.cores = 2, .threads = threads}, 21 + threads);
        run_all(&(owner_options_t){.cores = 5, .threads = threads}, 31 + threads);
    }
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .posted = true}, 41);
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .no_map = true}, 42);
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .timing = true}, 43);
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .engines = SIM_ENGINES_REF}, 44);
    return 0;
}
