// SPDX-License-Identifier: Apache-2.0
// Programs that use engines: two products in a row, split by rows over the cores, the second on
// rows that other cores made. The same bits on any number of cores, of threads, in any mode.
#include <string.h>

#include "support/dtype.h"
#include "tests/card/launch.h"

#define N     20u     // rows, columns, products' length
#define ROW   (N * 4) // bytes
#define DESCS 0x1000  // offsets in the data: descriptors, then matrices
#define A_AT  0x2000
#define B_AT  0x3000
#define C_AT  0x4000
#define D_AT  0x5000
#define LM_A  ISA_LM_BASE
#define LM_B  (ISA_LM_BASE + 0x2000)
#define LM_C  (ISA_LM_BASE + 0x4000)

enum { DESC_BLOCK, DESC_ROWS, DESC_PRODUCT };

static xa_desc_t copy_rows(uint32_t rows) {
    xa_desc_t desc = {.dma = {.src_type = DTYPE_F32,
                              .dst_type = DTYPE_F32,
                              .count = {1, 1, 1, rows, N},
                              .src_stride = {0, 0, 0, ROW, 4},
                              .dst_stride = {0, 0, 0, ROW, 4},
                              .alpha = 1}};
    return desc;
}

static void make_data(launch_t *launch) {
    uint8_t *data = (uint8_t *)launch->data;
    xa_desc_t descs[3] = {
        [DESC_BLOCK] = copy_rows(N),
        [DESC_ROWS] = copy_rows(0),
        [DESC_PRODUCT] = {.mat = {.a_type = DTYPE_F32,
                                  .b_type = DTYPE_F32,
                                  .c_type = DTYPE_F32,
                                  .batch = 1,
                                  .m1 = 1,
                                  .n = N,
                                  .k = N,
                                  .r1 = 1,
                                  .r2 = 1,
                                  .a_m2s = ROW,
                                  .b_ks = ROW,
                                  .c_m2s = ROW,
                                  .alpha = 1}},
    };
    descs[DESC_BLOCK].dma.flags = XA_dma_STABLE; // B stays as it is: it may be read in place
    memset(data, 0, DATA_BYTES);
    memcpy(data + DESCS, descs, sizeof descs);
    for (uint32_t i = 0; i < N * N; i++) {
        float a = (float)((int)(i * 7 % 23) - 11) / 8, b = (float)((int)(i * 5 % 19) - 9) / 16;
        memcpy(data + A_AT + i * 4, &a, 4);
        memcpy(data + B_AT + i * 4, &b, 4);
    }
}

static void at(program_t *p, uint32_t rd, uint64_t offset) {
    li(p, rd, offset);
    add(p, rd, rd, S0);
}

// One product of the rows at data + `from` + S3 into those at data + `to` + S3. S4: the last
// ticket of DMAO, S5: of the barrier that the source waits for.
static void product(program_t *p, uint64_t from, uint64_t to) {
    at(p, T0, DESCS + DESC_ROWS * XA_DESC_BYTES);
    cfg_load(p, XA_DMAI, T0);
    cfg_set(p, XA_DMAI, XA_F_dma_count + 3, S2);
    at(p, T1, from);
    add(p, T1, T1, S3);
    li(p, T2, LM_A);
    after_ticket(p, XA_DMAI, S5, XA_DMAO);
    issue(p, XA_I_DMA_IN, T3, T2, T1, ZERO);
    at(p, T0, DESCS + DESC_PRODUCT * XA_DESC_BYTES);
    cfg_load(p, XA_MAT, T0);
    cfg_set(p, XA_MAT, XA_F_mat_m2, S2);
    li(p, T4, LM_B);
    li(p, T5, LM_C);
    after_ticket(p, XA_MAT, T3, XA_DMAI);
    after_ticket(p, XA_MAT, S4, XA_DMAO); // C is free again
    issue(p, XA_I_MAT_MUL, T3, T5, T2, T4);
    at(p, T0, DESCS + DESC_ROWS * XA_DESC_BYTES);
    cfg_load(p, XA_DMAO, T0);
    cfg_set(p, XA_DMAO, XA_F_dma_count + 3, S2);
    at(p, T1, to);
    add(p, T1, T1, S3);
    after_ticket(p, XA_DMAO, T3, XA_MAT);
    issue(p, XA_I_DMA_OUT, S4, T1, T5, ZERO);
}

static void products_program(program_t *p, uint32_t cores) {
    uint32_t rows = N / cores;
    addi(p, S0, A0, 0);
    li(p, S2, rows);
    li(p, T0, (uint64_t)rows * ROW);
    mul(p, S3, T0, A1);
    li(p, S6, (uint64_t)rows * ROW * (cores - 1));
    addi(p, S4, ZERO, 0);
    addi(p, S5, ZERO, 0);
    li(p, A0, 0);
    call(p, ISA_ECALL_NODE);
    at(p, T0, DESCS + DESC_BLOCK * XA_DESC_BYTES);
    cfg_load(p, XA_DMAI, T0);
    at(p, T1, B_AT);
    li(p, T2, LM_B);
    issue(p, XA_I_DMA_IN, T3, T2, T1, ZERO);
    product(p, A_AT, C_AT);
    barrier(p, S5, XA_DMAO);
    li(p, A0, 1);
    call(p, ISA_ECALL_NODE);
    // The rows of the core at the other end: S3 = S6 - S3.
    emit(p, 0x40000033u | S3 << 7 | S6 << 15 | S3 << 20);
    product(p, C_AT, D_AT);
    wait_ticket(p, S4, XA_DMAO);
    finish(p, 0);
}

static void multiply(const float *a, const float *b, float *out_c) {
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t j = 0; j < N; j++) {
            float sum = 0;
            for (uint32_t k = 0; k < N; k++)
                sum += a[i * N + k] * b[k * N + j];
            out_c[i * N + j] = sum;
        }
    }
}

static void check_products(const launch_t *launch) {
    const uint8_t *data = (const uint8_t *)launch->data;
    float a[N * N], b[N * N], c[N * N], d[N * N], got[N * N];
    memcpy(a, data + A_AT, sizeof a);
    memcpy(b, data + B_AT, sizeof b);
    multiply(a, b, c);
    multiply(c, b, d);
    memcpy(got, data + D_AT, sizeof got);
    for (uint32_t i = 0; i < N * N; i++)
        CHECK(got[i] - d[i] < 1e-3f && d[i] - got[i] < 1e-3f);
}

static void check_stats(const launch_t *launch, uint32_t cores) {
    const isa_node_stats_t *stats = launch->stats;
    CHECK_EQUAL(stats[0].engine_issues[XA_MAT], 2 * cores);
    CHECK_EQUAL(stats[1].engine_issues[XA_MAT], cores);
    CHECK_EQUAL(stats[2].engine_issues[XA_MAT], cores);
    CHECK_EQUAL(stats[0].engine_issues[XA_DMAI], 3 * cores);
    CHECK_EQUAL(stats[1].engine_issues[XA_DMAO], 2 * cores); // its barrier too
    CHECK_EQUAL(stats[0].macs, 2 * N * N * N);
    CHECK(stats[0].dram_bytes >= (4 + cores) * N * ROW);
    CHECK(stats[1].dram_bytes + stats[2].dram_bytes == stats[0].dram_bytes);
    CHECK(stats[1].cycles > 0 && stats[2].cycles > 0);
    CHECK(stats[1].host_ns > 0);
}

// Returns modelled cycles; the first run's result goes to `bits`, later ones must equal it.
static uint64_t run_products(const owner_options_t *options, float *bits, bool first) {
    owner_t owner;
    launch_t launch;
    program_t p = {.n = 0};
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    make_data(&launch);
    products_program(&p, options->cores);
    isa_completion_t entry = launch_run(&launch, &p, options->cores);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    check_products(&launch);
    check_stats(&launch, options->cores);
    const uint8_t *result = (const uint8_t *)launch.data + D_AT;
    if (first)
        memcpy(bits, result, N * ROW);
    CHECK(memcmp(bits, result, N * ROW) == 0);
    owner_stop(&owner);
    return entry.info;
}

// A page that an engine may not write, one that is not there, LM beyond its end.
static void test_faults(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    const struct {
        uint64_t dst, src;
        isa_fault_t cause;
        uint64_t va;
        isa_access_t access;
    } cases[] = {
        {CODE_VA, LM_A, ISA_FAULT_PAGE_DENIED, CODE_VA, ISA_ACCESS_WRITE},
        {DATA_VA, ISA_VA_WEIGHTS, ISA_FAULT_PAGE_INVALID, ISA_VA_WEIGHTS, ISA_ACCESS_READ},
        {DATA_VA, ISA_SRAM_BASE + (8 << 20), ISA_FAULT_BAD_SPACE, ISA_SRAM_BASE + (8 << 20),
         ISA_ACCESS_READ},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        program_t p = {.n = 0};
        make_data(&launch);
        addi(&p, S0, A0, 0);
        at(&p, T0, DESCS);
        cfg_load(&p, XA_DMAO, T0);
        li(&p, T1, cases[i].dst);
        li(&p, T2, cases[i].src);
        issue(&p, XA_I_DMA_OUT, T3, T1, T2, ZERO);
        finish(&p, 0);
        isa_fault_record_t record = launch_fails(&launch, &p, 1, cases[i].cause);
        CHECK_EQUAL(record.va, cases[i].va);
        CHECK_EQUAL(record.access, cases[i].access);
        CHECK_EQUAL(record.engine, XA_DMAO);
        CHECK_EQUAL(record.insn, XA_I_DMA_OUT);
        CHECK_EQUAL(record.pc, CODE_VA + (p.n - 1 - 13 - 14) * 4);
    }
    owner_stop(&owner);
}

// What a program leaves in LM and SRAM is not there for the next address space.
static void test_cleared(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    program_t p = {.n = 0};
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    addi(&p, S0, A0, 0);
    at(&p, T0, DESCS);
    cfg_load(&p, XA_DMAI, T0);
    cfg_load(&p, XA_DMAO, T0);
    li(&p, T1, ISA_SRAM_BASE + 4096);
    li(&p, T2, LM_B);
    at(&p, T3, D_AT);
    issue(&p, XA_I_DMA_OUT, T4, T3, T1, ZERO); // D = SRAM
    at(&p, T3, C_AT);
    issue(&p, XA_I_DMA_OUT, T4, T3, T2, ZERO); // C = LM
    at(&p, T3, A_AT);
    issue(&p, XA_I_DMA_IN, T4, T2, T3, ZERO);  // LM = A
    issue(&p, XA_I_DMA_OUT, T4, T1, T3, ZERO); // SRAM = A
    wait_ticket(&p, T4, XA_DMAO);
    finish(&p, 0);
    uint8_t *data = (uint8_t *)launch.data, zeros[N * ROW] = {0};
    for (int i = 0; i < 3; i++) {
        make_data(&launch);
        memset(data + C_AT, 0xee, N * ROW);
        memset(data + D_AT, 0xee, N * ROW);
        CHECK_EQUAL(launch_run(&launch, &p, 1).type, ISA_COMP_DONE);
        CHECK(memcmp(data + C_AT, zeros, N * ROW) == 0); // LM: at each launch
        // SRAM: at each change of the address space (before the first and the third launch).
        CHECK(memcmp(data + D_AT, i == 1 ? data + A_AT : zeros, N * ROW) == 0);
        if (i == 1)
            owner.context->asid = 8;
    }
    owner_stop(&owner);
}

static void run_all(sim_engines_t engines) {
    float bits[N * N];
    uint64_t cycles = 0;
    (void)run_products(&(owner_options_t){.cores = 1, .engines = engines}, bits, true);
    for (uint32_t i = 0; i < 8; i++) {
        owner_options_t options = {
            .cores = (uint32_t[]){1, 2, 5, 4}[i % 4], .threads = 1 + i / 4, .engines = engines};
        (void)run_products(&options, bits, false);
        options.no_map = true;
        (void)run_products(&options, bits, false);
        options.timing = true;
        options.no_map = false;
        uint64_t now = run_products(&options, bits, false);
        CHECK(i % 4 != 2 || cycles == 0 || cycles == now);
        cycles = i % 4 == 2 ? now : cycles;
    }
    (void)run_products(
        &(owner_options_t){.cores = 5, .threads = 2, .remote = true, .engines = engines}, bits,
        false);
    test_faults(&(owner_options_t){.cores = 2, .engines = engines});
    test_cleared(&(owner_options_t){.cores = 2, .engines = engines});
}

int main(void) {
    run_all(SIM_ENGINES_REF);
    run_all(SIM_ENGINES_FAST);
    return 0;
}
