// SPDX-License-Identifier: Apache-2.0
// What order costs: in timing mode, xa.after and xa.wait make a program longer by exactly the work
// that they keep from overlapping, in the cost function's figures. One op on an engine, a shorter
// one on another, for every pair of engines: alone, behind an xa.after, behind an xa.wait; and a
// short one behind two tickets, which add up.
#include <string.h>

#include "isa/cost.h"
#include "isa/table.h"
#include "support/dtype.h"
#include "tests/card/launch.h"

#define TICKS    256u // of a cycle
#define DESCS_VA (DATA_VA + 0x1000)
#define ROW      2048u // bytes that a DMA row has

typedef enum order { FREE, AFTER, WAIT } order_t;

typedef struct bench {
    owner_t owner;
    launch_t launch;
    const isa_profile_t *profile;
} bench_t;

typedef struct op {
    xa_insn_t insn;
    xa_engine_t engine;
    xa_desc_t desc;
    uint64_t dst, first, second;
} op_t;

// --- Ops of four engines that share no memory whose bandwidth is shared, and no place ---

static op_t copy_op(xa_engine_t engine, uint64_t dst, uint64_t src, uint32_t rows) {
    return (op_t){.insn = engine == XA_DMAI ? XA_I_DMA_IN : XA_I_DMA_OUT,
                  .engine = engine,
                  .desc.dma = {.src_type = DTYPE_F32,
                               .dst_type = DTYPE_F32,
                               .count = {1, 1, 1, rows, ROW / 4},
                               .src_stride = {0, 0, 0, 0, 4}, // the same row again and again
                               .dst_stride = {0, 0, 0, ROW, 4}},
                  .dst = dst,
                  .first = src};
}

static op_t product_op(uint32_t rows) {
    return (op_t){.insn = XA_I_MAT_MUL,
                  .engine = XA_MAT,
                  .desc.mat = {.a_type = DTYPE_F32,
                               .b_type = DTYPE_F32,
                               .c_type = DTYPE_F32,
                               .batch = 1,
                               .m1 = 1,
                               .m2 = rows,
                               .n = 64,
                               .k = 64,
                               .r1 = 1,
                               .r2 = 1,
                               .b_ks = 256,
                               .c_m2s = 256,
                               .alpha = 1},
                  .dst = ISA_LM_BASE,
                  .first = ISA_LM_BASE + 0x14000,
                  .second = ISA_LM_BASE + 0x18000};
}

static op_t fill_op(uint32_t rows) {
    return (op_t){.insn = XA_I_V_FILL,
                  .engine = XA_VEC,
                  .desc.vec = {.d_type = DTYPE_F32,
                               .a_type = DTYPE_F32,
                               .count = {1, 1, rows, 1024},
                               .d_stride = {0, 0, 4096, 4}},
                  .dst = ISA_LM_BASE + 0x20000};
}

static op_t op_of(xa_engine_t engine, bool is_long) {
    switch (engine) {
    case XA_DMAI:
        return copy_op(XA_DMAI, ISA_LM_BASE + 0x50000, ISA_LM_BASE + 0x40000, is_long ? 64 : 4);
    case XA_DMAO:
        return copy_op(XA_DMAO, ISA_SRAM_BASE, ISA_LM_BASE + 0x70000, is_long ? 128 : 6);
    case XA_MAT:
        return product_op(is_long ? 192 : 16);
    default:
        return fill_op(is_long ? 32 : 8);
    }
}

static uint64_t cost_ticks(const bench_t *bench, const op_t *op) {
    isa_cost_t cost = isa_cost_issue(op->insn, &op->desc, isa_space_of(op->first),
                                     isa_space_of(op->dst), bench->profile);
    CHECK(cost.cycles > 0 && cost.dram_bytes == 0);
    return cost.cycles * TICKS;
}

// --- Programs ---

static uint32_t reg_of(uint32_t slot, uint32_t which) {
    static const uint8_t regs[3][3] = {{S0, S1, A3}, {S2, S3, S4}, {S5, S6, S7}};
    return regs[slot][which];
}

// Addresses in registers, the descriptor staged: only the issue itself is left.
static void prepare(bench_t *bench, program_t *p, uint32_t slot, const op_t *op) {
    uint8_t *data = (uint8_t *)bench->launch.data + (DESCS_VA - DATA_VA);
    memcpy(data + (size_t)slot * XA_DESC_BYTES, &op->desc, XA_DESC_BYTES);
    li(p, T0, DESCS_VA + (uint64_t)slot * XA_DESC_BYTES);
    cfg_load(p, op->engine, T0);
    li(p, reg_of(slot, 0), op->dst);
    li(p, reg_of(slot, 1), op->first);
    li(p, reg_of(slot, 2), op->second);
}

// The hart's time at the issue, from the program's start. The ticket goes to `rd`.
static uint64_t issue_slot(const bench_t *bench, program_t *p, uint32_t slot, const op_t *op,
                           uint32_t rd) {
    issue(p, op->insn, rd, reg_of(slot, 0), reg_of(slot, 1), reg_of(slot, 2));
    return (uint64_t)p->n * bench->profile->hart_cpi_256;
}

static uint64_t run(bench_t *bench, program_t *p) {
    finish(p, 0);
    isa_completion_t entry = launch_run(&bench->launch, p, 1);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    return entry.info;
}

static uint64_t in_cycles(uint64_t ticks) { return (ticks + TICKS - 1) / TICKS; }
static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

// --- One ticket ---

// Cycles of `first`, then `second` in that order; *out_expected: as they should be.
static uint64_t pair_cycles(bench_t *bench, xa_engine_t first, xa_engine_t second, order_t order,
                            uint64_t *out_expected) {
    op_t a = op_of(first, true), b = op_of(second, false);
    uint64_t cost_a = cost_ticks(bench, &a), cost_b = cost_ticks(bench, &b);
    uint64_t hart = bench->profile->hart_cpi_256;
    program_t p = {.n = 0};
    prepare(bench, &p, 0, &a);
    prepare(bench, &p, 1, &b);
    uint64_t start_a = issue_slot(bench, &p, 0, &a, T3);
    if (order == AFTER)
        after_ticket(&p, second, T3, first);
    if (order == WAIT)
        wait_ticket(&p, T3, first);
    uint64_t start_b = issue_slot(bench, &p, 1, &b, T4);
    CHECK(cost_a > cost_b + 4 * hart); // alone, the second hides behind the first
    *out_expected = in_cycles(order == FREE    ? later(start_a + cost_a, start_b + cost_b)
                              : order == AFTER ? start_a + cost_a + cost_b
                                               : start_a + cost_a + hart + cost_b);
    return run(bench, &p);
}

static void test_pair(bench_t *bench, xa_engine_t first, xa_engine_t second) {
    uint64_t cycles[3], expected[3];
    for (order_t order = FREE; order <= WAIT; order++) {
        cycles[order] = pair_cycles(bench, first, second, order, &expected[order]);
        CHECK_EQUAL(cycles[order], expected[order]);
    }
    op_t b = op_of(second, false);
    uint64_t serial = cost_ticks(bench, &b) / TICKS, one = isa_cost_hart(1, bench->profile);
    CHECK_EQUAL(cycles[AFTER] - cycles[FREE], serial);
    // The hart holds back the issue itself, too.
    CHECK(cycles[WAIT] - cycles[FREE] >= serial + one - 1 &&
          cycles[WAIT] - cycles[FREE] <= serial + one);
    printf("%s, then %s of %llu cycles: %llu cycles, with xa.after %llu, with xa.wait %llu\n",
           isa_engines[first].mnemonic, isa_engines[second].mnemonic, (unsigned long long)serial,
           (unsigned long long)cycles[FREE], (unsigned long long)cycles[AFTER],
           (unsigned long long)cycles[WAIT]);
}

// --- Two tickets ---

enum { ON_FIRST = 1, ON_SECOND = 2 };

static void test_two(bench_t *bench, xa_engine_t one, xa_engine_t two, xa_engine_t last,
                     unsigned tickets) {
    op_t a = op_of(one, true), b = op_of(two, true), c = op_of(last, false);
    program_t p = {.n = 0};
    prepare(bench, &p, 0, &a);
    prepare(bench, &p, 1, &b);
    prepare(bench, &p, 2, &c);
    uint64_t end_a = issue_slot(bench, &p, 0, &a, T3) + cost_ticks(bench, &a);
    uint64_t end_b = issue_slot(bench, &p, 1, &b, T4) + cost_ticks(bench, &b);
    if ((tickets & ON_FIRST) != 0)
        after_ticket(&p, last, T3, one);
    if ((tickets & ON_SECOND) != 0)
        after_ticket(&p, last, T4, two);
    uint64_t start = issue_slot(bench, &p, 2, &c, T5);
    if ((tickets & ON_FIRST) != 0)
        start = later(start, end_a);
    if ((tickets & ON_SECOND) != 0)
        start = later(start, end_b);
    uint64_t end = later(start + cost_ticks(bench, &c), later(end_a, end_b));
    CHECK_EQUAL(run(bench, &p), in_cycles(end));
}

int main(void) {
    bench_t bench = {.profile = isa_profile_find("edge")};
    owner_start(&bench.owner, &(owner_options_t){.cores = 1, .threads = 1, .timing = true});
    launch_init(&bench.launch, &bench.owner);
    for (uint32_t a = 0; a < XA_ENGINE_COUNT; a++) {
        for (uint32_t b = 0; b < XA_ENGINE_COUNT; b++) {
            if (a == b)
                continue;
            test_pair(&bench, a, b);
            for (uint32_t c = 0; c < XA_ENGINE_COUNT; c++)
                for (unsigned tickets = 0; c != a && c != b && tickets <= 3; tickets++)
                    test_two(&bench, a, b, c, tickets);
        }
    }
    owner_stop(&bench.owner);
    return 0;
}
