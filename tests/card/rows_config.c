// SPDX-License-Identifier: Apache-2.0
#include "tests/card/rows.h"

#include <string.h>

#include "support/dtype.h"
#include "tests/card/launch.h"

#define MAX_CORES 4u
#define SLOTS     32u    // words of the data: what each core stores for each queue to see
#define SUMS      128u   // what each core saw, by queue
#define DESC_AT   0x1000 // bytes
#define FROM_AT   0x2000
#define TO_AT     0x3000 // 4 rows of FROM's size for each of the cores
#define N         64u    // bytes that a copy moves
#define LM_IN     (ISA_LM_BASE + 0x100)
#define LM_FAR    (ISA_LM_BASE + 0x1000)

static uint64_t mark(uint32_t queue, uint32_t core) { return UINT64_C(1) << (queue * 8 + core); }

// --- xa.barrier, xa.wait, xa.after ---------------------------------------------------------------

// Stores its mark, meets the others in `queue`, adds up the marks of all.
static void meet(program_t *p, uint32_t queue, uint32_t cores) {
    int32_t slots = (int32_t)(SLOTS + queue * MAX_CORES) * 8;
    sd(p, S2, S3, slots);
    slli(p, S2, S2, 8); // the next queue's mark
    barrier(p, T3, (xa_engine_t)queue);
    for (uint32_t other = 0; other < XA_ENGINE_COUNT; other++)
        after_ticket(p, (xa_engine_t)other, T3, (xa_engine_t)queue);
    for (uint32_t other = 0; other < XA_ENGINE_COUNT; other++) {
        barrier(p, T4, (xa_engine_t)other);
        wait_ticket(p, T4, (xa_engine_t)other);
    }
    wait_ticket(p, T3, (xa_engine_t)queue);
    addi(p, T5, ZERO, 0);
    for (uint32_t core = 0; core < cores; core++) {
        ld(p, T6, S0, slots + (int32_t)core * 8);
        add(p, T5, T5, T6);
    }
    sd(p, T5, S3, (int32_t)(SUMS + queue * MAX_CORES) * 8);
}

static void meeting_program(program_t *p, uint32_t cores) {
    addi(p, S0, A0, 0);
    slli(p, S3, A1, 3);
    add(p, S3, S3, S0);
    addi(p, T0, A1, 0);
    addi(p, S2, ZERO, 1);
    emit(p, 0x33u | S2 << 7 | 1u << 12 | S2 << 15 | T0 << 20); // sll S2, S2, T0
    for (uint32_t queue = 0; queue < XA_ENGINE_COUNT; queue++)
        meet(p, queue, cores);
    finish(p, 0);
}

static void check_meeting(const launch_t *launch, uint32_t cores) {
    for (uint32_t queue = 0; queue < XA_ENGINE_COUNT; queue++) {
        uint64_t sum = 0;
        for (uint32_t core = 0; core < cores; core++)
            sum += mark(queue, core);
        for (uint32_t core = 0; core < cores; core++)
            CHECK_EQUAL(launch->data[SUMS + queue * MAX_CORES + core], sum);
    }
}

static uint64_t run_meeting(const owner_options_t *options, uint32_t cores) {
    owner_t owner;
    launch_t launch;
    program_t p = {.n = 0};
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    meeting_program(&p, cores);
    isa_completion_t entry = launch_run(&launch, &p, cores);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    check_meeting(&launch, cores);
    owner_stop(&owner);
    return entry.info;
}

// --- multicast -----------------------------------------------------------------------------------

static void copy(program_t *p, xa_insn_t insn, uint32_t desc, uint32_t rs1, uint32_t rs2) {
    xa_engine_t engine = insn == XA_I_DMA_IN ? XA_DMAI : XA_DMAO;
    li(p, T0, DESC_AT + desc * XA_DESC_BYTES);
    add(p, T0, T0, S0);
    cfg_load(p, engine, T0);
    issue(p, insn, T3, rs1, rs2, ZERO);
    wait_ticket(p, T3, engine);
}

// Core 1 sends to `multicast` by DMA-in, and that on by DMA-out; then each core shows both places.
static void cast_program(program_t *p) {
    addi(p, S0, A0, 0);
    li(p, A2, LM_IN);
    li(p, A3, LM_FAR);
    li(p, A4, FROM_AT);
    add(p, A4, A4, S0);
    addi(p, T0, ZERO, 1);
    uint32_t skip = forward(p, 1, A1, T0);
    copy(p, XA_I_DMA_IN, 1, A2, A4);
    copy(p, XA_I_DMA_OUT, 1, A3, A2);
    patch(p, skip);
    barrier(p, T3, XA_DMAO);
    wait_ticket(p, T3, XA_DMAO);
    slli(p, A5, A1, 8);
    add(p, A5, A5, S0);
    li(p, T0, TO_AT);
    add(p, A5, A5, T0);
    copy(p, XA_I_DMA_OUT, 0, A5, A2);
    addi(p, A5, A5, N);
    copy(p, XA_I_DMA_OUT, 0, A5, A3);
    finish(p, 0);
}

static uint64_t run_cast(const owner_options_t *options, uint32_t multicast) {
    owner_t owner;
    launch_t launch;
    program_t p = {.n = 0};
    uint8_t zeros[N] = {0};
    xa_desc_t descs[2] = {{.dma = {.src_type = DTYPE_U8,
                                   .dst_type = DTYPE_U8,
                                   .count = {1, 1, 1, 1, N},
                                   .src_stride = {0, 0, 0, 0, 1},
                                   .dst_stride = {0, 0, 0, 0, 1}}}};
    descs[1] = descs[0];
    descs[1].dma.multicast = multicast;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    uint8_t *data = (uint8_t *)launch.data;
    memcpy(data + DESC_AT, descs, sizeof descs);
    memset(data + TO_AT, 0xee, MAX_CORES * 256);
    for (uint32_t i = 0; i < N; i++)
        data[FROM_AT + i] = (uint8_t)(i + 1);
    cast_program(&p);
    isa_completion_t entry = launch_run(&launch, &p, MAX_CORES);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    for (uint32_t core = 0; core < MAX_CORES; core++) {
        bool receives = core == 1 || multicast >> core & 1;
        const uint8_t *want = receives ? data + FROM_AT : zeros, *got = data + TO_AT + core * 256;
        CHECK(memcmp(got, want, N) == 0);
        CHECK(memcmp(got + N, want, N) == 0);
    }
    owner_stop(&owner);
    return entry.info;
}

// --- All of it -----------------------------------------------------------------------------------

typedef uint64_t run_t(const owner_options_t *options, uint32_t argument);

static void run_all(run_t *run, uint32_t argument) {
    for (uint32_t i = 0; i < 2; i++) {
        owner_options_t options = {.cores = MAX_CORES,
                                   .engines = i == 0 ? SIM_ENGINES_REF : SIM_ENGINES_FAST};
        uint64_t cycles = 0;
        for (options.threads = 1; options.threads <= 2; options.threads++) {
            options.timing = false;
            (void)run(&options, argument);
            options.timing = true;
            for (int again = 0; again < 2; again++) {
                uint64_t now = run(&options, argument);
                CHECK(now != 0 && (cycles == 0 || cycles == now));
                cycles = now;
            }
        }
    }
}

void rows_config_test(void) {
    for (uint32_t cores = 1; cores <= MAX_CORES; cores++)
        run_all(run_meeting, cores);
    run_all(run_cast, 0xd);
    run_all(run_cast, 0x6);
}
