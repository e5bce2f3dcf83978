// SPDX-License-Identifier: Apache-2.0
// Figures of the cost function that can be told by hand, and its manners on absurd input.
#include <string.h>

#include "isa/cost.h"
#include "isa/program.h"
#include "support/dtype.h"
#include "tests/card/check.h"

static xa_desc_t gemm(uint32_t m, uint32_t n, uint32_t k, unsigned type) {
    xa_desc_t d = {.mat = {.a_type = (uint8_t)type,
                           .b_type = (uint8_t)type,
                           .c_type = DTYPE_F32,
                           .batch = 1,
                           .m1 = 1,
                           .m2 = m,
                           .n = n,
                           .k = k,
                           .r1 = 1,
                           .r2 = 1}};
    return d;
}

static uint64_t mat_cycles(const xa_desc_t *d, const isa_profile_t *p) {
    return isa_cost_issue(XA_I_MAT_MUL, d, ISA_SPACE_LM, ISA_SPACE_LM, p).cycles;
}

static void check_matrix(const isa_profile_t *edge) {
    xa_desc_t d = gemm(32, 32, 64, DTYPE_F32);
    uint64_t fixed = edge->issue_cycles + 32; // start, and the array filled once
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 4 * (64 + edge->mat_drain_cycles));
    d.mat.m2 = 33; // a tail of rows costs a whole tile
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 6 * (64 + edge->mat_drain_cycles));
    d = gemm(32, 17, 64, DTYPE_F32);
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 4 * (64 + edge->mat_drain_cycles));
    d = gemm(16, 16, 64, DTYPE_BF16); // four k a step
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 16 + edge->mat_drain_cycles);
    d = gemm(16, 16, 65, DTYPE_BF16);
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 17 + edge->mat_drain_cycles);
    d = gemm(16, 16, 1, DTYPE_F32); // the drain is longer: 16 x 16 x 4 bytes at 128
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 8 + edge->mat_drain_cycles);
    d = gemm(8, 16, 64, DTYPE_F32); // batches of one B fill the array together
    d.mat.batch = 2;
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 64 + edge->mat_drain_cycles);
    d.mat.b_bs = 4096;
    CHECK_EQUAL(mat_cycles(&d, edge), fixed + 2 * (64 + edge->mat_drain_cycles));
    CHECK_EQUAL(isa_cost_issue(XA_I_MAT_MUL, &d, 0, 0, edge).macs, 2 * 8 * 16 * 64);
}

static void check_dma(const isa_profile_t *edge) {
    xa_desc_t d = {.dma = {.src_type = DTYPE_F32,
                           .dst_type = DTYPE_F32,
                           .count = {1, 1, 1, 16, 64},
                           .src_stride = {0, 0, 0, 256, 4},
                           .dst_stride = {0, 0, 0, 256, 4}}};
    uint64_t fixed = edge->issue_cycles + edge->dma_latency;
    isa_cost_t cost = isa_cost_issue(XA_I_DMA_IN, &d, ISA_SPACE_DRAM, ISA_SPACE_LM, edge);
    CHECK_EQUAL(cost.cycles, fixed + 4096 / 64);
    CHECK_EQUAL(cost.dram_bytes, 4096);
    d.dma.src_stride[3] = 1024; // 16 runs of 256 bytes are as good
    CHECK_EQUAL(isa_cost_issue(XA_I_DMA_IN, &d, ISA_SPACE_DRAM, ISA_SPACE_LM, edge).cycles,
                fixed + 64);
    d.dma.src_stride[4] = 128; // elements apart: a burst each
    cost = isa_cost_issue(XA_I_DMA_IN, &d, ISA_SPACE_DRAM, ISA_SPACE_LM, edge);
    CHECK_EQUAL(cost.dram_bytes, 1024 * 64);
    CHECK_EQUAL(cost.cycles, fixed + 1024);
    d.dma.src_stride[4] = 4; // LM to LM has no latency
    d.dma.src_stride[3] = 256;
    CHECK_EQUAL(isa_cost_issue(XA_I_DMA_IN, &d, ISA_SPACE_LM, ISA_SPACE_LM, edge).cycles,
                edge->issue_cycles + 32);
    d.dma.flags = XA_dma_BORDER; // the border is not read
    d.dma.pad_lo[3] = 4;
    for (int i = 0; i < 5; i++)
        d.dma.valid[i] = d.dma.count[i];
    cost = isa_cost_issue(XA_I_DMA_IN, &d, ISA_SPACE_DRAM, ISA_SPACE_LM, edge);
    CHECK_EQUAL(cost.dram_bytes, 12 * 256);
    d.dma.count[0] = 0;
    CHECK_EQUAL(isa_cost_issue(XA_I_DMA_IN, &d, ISA_SPACE_DRAM, ISA_SPACE_LM, edge).cycles,
                edge->issue_cycles);
}

static uint64_t vec_cycles(xa_insn_t insn, const xa_desc_t *d, const isa_profile_t *p) {
    return isa_cost_issue(insn, d, ISA_SPACE_LM, ISA_SPACE_LM, p).cycles - p->issue_cycles;
}

static void check_vector(const isa_profile_t *edge) {
    xa_desc_t d = {.vec = {.op = XA_FUNC_RELU,
                           .d_type = DTYPE_F32,
                           .a_type = DTYPE_F32,
                           .count = {1, 1, 4, 64},
                           .d_stride = {0, 0, 256, 4},
                           .a_stride = {0, 0, 256, 4}}};
    CHECK_EQUAL(vec_cycles(XA_I_V_UNARY, &d, edge), 256 / 32); // rows that touch are one
    d.vec.a_stride[2] = 512;
    d.vec.count[3] = 33;
    CHECK_EQUAL(vec_cycles(XA_I_V_UNARY, &d, edge), 4 * 2);
    d.vec.op = XA_FUNC_EXP;
    CHECK_EQUAL(vec_cycles(XA_I_V_UNARY, &d, edge), 4 * 2 * edge->cost_e);
    d.vec.op = XA_FUNC_NONE;
    d.vec.a_stride[3] = 8; // strided: a quarter of the lanes
    CHECK_EQUAL(vec_cycles(XA_I_V_UNARY, &d, edge), 4 * 2 * 4);
    d.vec.a_stride[3] = 0; // repeated: free
    CHECK_EQUAL(vec_cycles(XA_I_V_UNARY, &d, edge), 4 * 2);
    xa_desc_t sum = {.vec = {.d_type = DTYPE_F32,
                             .a_type = DTYPE_F32,
                             .count = {1, 1, 4, 64},
                             .d_stride = {0, 0, 4, 0},
                             .a_stride = {0, 0, 256, 4}}};
    CHECK_EQUAL(vec_cycles(XA_I_V_REDUCE, &sum, edge), 4 * (2 + 5)); // lanes fold in 5 steps
}

static void check_manners(void) {
    xa_desc_t worst;
    memset(&worst, 0xff, sizeof worst);
    for (size_t p = 0; p < isa_n_profiles; p++)
        for (int i = XA_I_DMA_IN; i < XA_INSN_COUNT; i++) {
            isa_cost_t cost = isa_cost_issue((xa_insn_t)i, &worst, ISA_SPACE_DRAM, ISA_SPACE_DRAM,
                                             &isa_profiles[p]);
            CHECK(cost.cycles > XA_ISSUE_MAX_CYCLES);
        }
    CHECK_EQUAL(isa_cost_hart(UINT64_MAX, isa_profile_find("edge")), UINT64_MAX);
    CHECK_EQUAL(isa_cost_hart(256, isa_profile_find("edge")),
                isa_profile_find("edge")->hart_cpi_256);
}

static void check_profiles(void) {
    CHECK(isa_profile_find("edge") && isa_profile_find("server") && isa_profile_find("host"));
    CHECK(!isa_profile_find("edg") && !isa_profile_find("") && !isa_profile_find(NULL));
    for (size_t i = 0; i < isa_n_profiles; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(isa_profile_hash(&isa_profiles[i]) != isa_profile_hash(&isa_profiles[j]));
    isa_profile_t other = *isa_profile_find("edge");
    uint64_t hash = isa_profile_hash(&other);
    other.cores = 7;
    CHECK_EQUAL(isa_profile_hash(&other), hash);
    other.cost_e++;
    CHECK(isa_profile_hash(&other) != hash);
    CHECK(isa_space_of(ISA_LM_BASE) == ISA_SPACE_LM);
    CHECK(isa_space_of(ISA_LM_BASE + ISA_LM_WINDOW) == ISA_SPACE_DRAM);
    CHECK(isa_space_of(ISA_SRAM_BASE) == ISA_SPACE_SRAM);
    CHECK(isa_space_of(ISA_VA_WEIGHTS) == ISA_SPACE_DRAM);
}

int main(void) {
    const isa_profile_t *edge = isa_profile_find("edge");
    check_profiles();
    check_matrix(edge);
    check_dma(edge);
    check_vector(edge);
    check_manners();
    return 0;
}
