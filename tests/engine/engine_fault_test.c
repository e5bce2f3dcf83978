// SPDX-License-Identifier: Apache-2.0
// engine_fault_test SET: what every engine set must refuse, and with which cause; multicast.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "isa/table.h"
#include "tests/engine/machine.h"

#define LM(offset)   (ISA_LM_BASE + (offset))
#define DRAM(offset) (ISA_VA_BASE + (offset))

static machine_t machine;
static int failures;

static void want(const char *what, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                 uint64_t rs2, uint64_t rs3, isa_fault_t cause, uint64_t value) {
    sim_fault_t fault = {0};
    bool ok = machine_issue(&machine, insn, desc, rs1, rs2, rs3, &fault);
    isa_fault_t got = ok ? ISA_FAULT_NONE : fault.cause;
    if (got == cause && (cause == ISA_FAULT_NONE || value == fault.value))
        return;
    failures++;
    fprintf(stderr, "%s: cause %d, value %" PRIu64 " instead of %d, %" PRIu64 "\n", what, (int)got,
            fault.value, (int)cause, value);
}

static xa_desc_t relu(void) {
    return (xa_desc_t){.vec = {.op = XA_FUNC_RELU,
                               .d_type = DTYPE_F32,
                               .a_type = DTYPE_F32,
                               .count = {1, 1, 1, 16},
                               .d_stride = {0, 0, 0, 4},
                               .a_stride = {0, 0, 0, 4},
                               .alpha = 1}};
}

static void check_vector(void) {
    const uint64_t end = LM(machine.lm_bytes);
    xa_desc_t d = relu();
    want("plain", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_NONE, 0);
    want("up to the end", XA_I_V_UNARY, &d, end - 64, LM(64), 0, ISA_FAULT_NONE, 0);
    want("beyond the end", XA_I_V_UNARY, &d, end - 60, LM(64), 0, ISA_FAULT_BAD_SPACE, 0);
    want("source in DRAM", XA_I_V_UNARY, &d, LM(0), DRAM(0), 0, ISA_FAULT_BAD_SPACE, 0);
    d.vec.a_stride[3] = -4;
    want("below the start", XA_I_V_UNARY, &d, LM(0), LM(56), 0, ISA_FAULT_BAD_SPACE, 0);
    d.vec.a_stride[3] = INT32_MIN;
    d.vec.count[3] = UINT32_MAX;
    want("far below", XA_I_V_UNARY, &d, LM(0), LM(56), 0, ISA_FAULT_BAD_SPACE, 0);
    d = relu();
    d.vec.a_type = DTYPE_STR;
    want("string", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_vec_desc_t, a_type));
    d.vec.a_type = 200;
    want("no type", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_vec_desc_t, a_type));
    d = relu();
    d.vec.op = XA_FUNC_COUNT;
    want("no function", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_vec_desc_t, op));
    d.vec.op = XA_FUNC_BITNOT;
    want("bitnot of floats", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_ENGINE_UNSUPPORTED,
         offsetof(xa_vec_desc_t, op));
    d = relu();
    d.vec.flags = 1u << 31;
    want("unknown flag", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR, 0);
    d = relu();
    d.bytes[255] = 1;
    want("reserved byte", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR,
         isa_desc_named_end(ISA_DESC_vec));
    d = relu();
    d.vec.axis = 4;
    want("axis 4", XA_I_V_UNARY, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_vec_desc_t, axis));
    d = relu();
    d.vec.count[0] = 0;
    want("nothing to do", XA_I_V_UNARY, &d, 0, 0, 0, ISA_FAULT_NONE, 0);
    d = relu();
    d.vec.k[0] = 3;
    want("window 3 x 0", XA_I_V_WREDUCE, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_vec_desc_t, op));
    d.vec.op = XA_RED_MAX;
    want("window 3 x 0", XA_I_V_WREDUCE, &d, LM(0), LM(64), 0, ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_vec_desc_t, k) + 4);
}

static void check_indexes(void) {
    const int32_t index[4] = {0, 3, -1, 4};
    xa_desc_t d = relu();
    memcpy(machine.lm + 0x1000, index, sizeof index);
    d.vec.op = XA_RED_SUM;
    d.vec.axis = 2;
    d.vec.count[2] = 2;
    d.vec.d_stride[2] = d.vec.a_stride[2] = 64;
    d.vec.b_type = DTYPE_I32;
    d.vec.idx_bound = 4;
    want("gather", XA_I_V_GATHER, &d, LM(0), LM(0x2000), LM(0x1000), ISA_FAULT_NONE, 0);
    d.vec.count[2] = 3;
    want("index -1", XA_I_V_GATHER, &d, LM(0), LM(0x2000), LM(0x1000), ISA_FAULT_INDEX_BOUNDS,
         (uint64_t)-1);
    d.vec.flags = XA_vec_WRAP;
    want("index -1 wraps", XA_I_V_GATHER, &d, LM(0), LM(0x2000), LM(0x1000), ISA_FAULT_NONE, 0);
    d.vec.count[2] = 4;
    want("index 4", XA_I_V_SCATTER, &d, LM(0x3000), LM(0x2000), LM(0x1000), ISA_FAULT_INDEX_BOUNDS,
         4);
    d.vec.b_type = DTYPE_U8;
    want("index type", XA_I_V_GATHER, &d, LM(0), LM(0x2000), LM(0x1000), ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_vec_desc_t, b_type));
}

static void check_matrix(void) {
    xa_desc_t good = {.mat = {.a_type = DTYPE_F32,
                              .b_type = DTYPE_F32,
                              .c_type = DTYPE_F32,
                              .batch = 1,
                              .m1 = 1,
                              .m2 = 4,
                              .n = 8,
                              .k = 4,
                              .r1 = 1,
                              .r2 = 1,
                              .a_m2s = 16,
                              .b_ks = 32,
                              .c_m2s = 32}};
    xa_desc_t d = good;
    want("product", XA_I_MAT_MUL, &d, LM(0), LM(256), LM(512), ISA_FAULT_NONE, 0);
    d.mat.b_type = DTYPE_F16;
    want("mixed types", XA_I_MAT_MUL, &d, LM(0), LM(256), LM(512), ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_mat_desc_t, b_type));
    d = good;
    d.mat.c_type = DTYPE_F16;
    want("narrow without drain", XA_I_MAT_MUL, &d, LM(0), LM(256), LM(512),
         ISA_FAULT_BAD_DESCRIPTOR, offsetof(xa_mat_desc_t, c_type));
    d = good;
    d.mat.r2 = 0;
    want("no offsets", XA_I_MAT_MUL, &d, LM(0), LM(256), LM(512), ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_mat_desc_t, r2));
    d = good;
    d.mat.flags = XA_mat_B_PANEL;
    d.mat.b_pw = 20;
    want("panel of 20", XA_I_MAT_MUL, &d, LM(0), LM(256), LM(512), ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_mat_desc_t, b_pw));
    d = good;
    d.mat.a_m2s = -16;
    want("A below LM", XA_I_MAT_MUL, &d, LM(0), LM(32), LM(512), ISA_FAULT_BAD_SPACE, 0);
    d = good;
    d.mat.flags = XA_mat_DRAIN | XA_mat_BIAS;
    d.mat.alpha = 1;
    want("bias nowhere", XA_I_MAT_MUL, &d, LM(0), LM(256), LM(512), ISA_FAULT_BAD_SPACE, 0);
    d = good;
    d.mat.k = UINT32_MAX;
    want("k beyond LM", XA_I_MAT_MUL, &d, LM(0), LM(256), LM(512), ISA_FAULT_BAD_SPACE, 0);
}

static xa_desc_t row(void) {
    return (xa_desc_t){.dma = {.src_type = DTYPE_F32,
                               .dst_type = DTYPE_F32,
                               .count = {1, 1, 1, 2, 16},
                               .src_stride = {0, 0, 0, 64, 4},
                               .dst_stride = {0, 0, 0, 64, 4}}};
}

static void check_dma(void) {
    xa_desc_t d = row();
    const uint64_t end = DRAM(MACHINE_DRAM_BYTES);
    want("in", XA_I_DMA_IN, &d, LM(0), DRAM(0), 0, ISA_FAULT_NONE, 0);
    want("in to DRAM", XA_I_DMA_IN, &d, DRAM(0), DRAM(4096), 0, ISA_FAULT_BAD_SPACE, 0);
    want("DRAM to DRAM", XA_I_DMA_OUT, &d, DRAM(0), DRAM(4096), 0, ISA_FAULT_NONE, 0);
    want("unmapped", XA_I_DMA_IN, &d, LM(0), end - 64, 0, ISA_FAULT_PAGE_INVALID, 0);
    want("last bytes", XA_I_DMA_IN, &d, LM(0), end - 128, 0, ISA_FAULT_NONE, 0);
    want("LM's end", XA_I_DMA_IN, &d, LM(machine.lm_bytes - 64), DRAM(0), 0, ISA_FAULT_BAD_SPACE,
         0);
    d.dma.src_stride[3] = INT64_MAX;
    d.dma.count[3] = 3;
    want("overflow", XA_I_DMA_IN, &d, LM(0), DRAM(0), 0, ISA_FAULT_BAD_SPACE, 0);
    d = row();
    d.dma.src_type = DTYPE_C64;
    want("complex to f32", XA_I_DMA_IN, &d, LM(0), DRAM(0), 0, ISA_FAULT_ENGINE_UNSUPPORTED,
         offsetof(xa_dma_desc_t, src_type));
    d = row();
    d.dma.flags = XA_dma_GATHER | XA_dma_SCATTER;
    want("two lists", XA_I_DMA_IN, &d, LM(0), DRAM(0), LM(64), ISA_FAULT_BAD_DESCRIPTOR, 0);
    d.dma.flags = XA_dma_GATHER;
    d.dma.idx_dim = 5;
    want("dim 5", XA_I_DMA_IN, &d, LM(0), DRAM(0), LM(64), ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_dma_desc_t, idx_dim));
    d.dma.idx_dim = 3;
    d.dma.idx_bound = 2;
    want("list in DRAM", XA_I_DMA_IN, &d, LM(0), DRAM(0), DRAM(64), ISA_FAULT_BAD_SPACE, 0);
    const int32_t index[2] = {1, 2};
    memcpy(machine.lm + 0x1000, index, sizeof index);
    want("index 2 of 2", XA_I_DMA_IN, &d, LM(0), DRAM(0), LM(0x1000), ISA_FAULT_INDEX_BOUNDS, 2);
}

// --- Multicast to two more cores ---

static machine_t peers[2];
static sim_engine_ctx_t *peer(void *user, uint32_t core) {
    (void)user;
    return core == 0 ? &machine.ctx : core <= 2 ? &peers[core - 1].ctx : NULL;
}

static void check_multicast(const sim_engine_set_t *set) {
    xa_desc_t d = row();
    for (int i = 0; i < 2; i++)
        machine_init(&peers[i], set, false);
    machine.ctx.peer = peer;
    for (int i = 0; i < 128; i++)
        *machine_at(&machine, DRAM(i)) = (uint8_t)(i + 1);
    d.dma.multicast = 0x5; // this core and core 2
    want("multicast", XA_I_DMA_IN, &d, LM(256), DRAM(0), 0, ISA_FAULT_NONE, 0);
    for (int i = 0; i < 2; i++)
        if (set->settle) // as the card does before a hart looks at its LM
            set->settle(&peers[i].ctx);
    for (int i = 0; i < 128; i++)
        failures += machine.lm[256 + i] != i + 1 || peers[1].lm[256 + i] != i + 1 ||
                    peers[0].lm[256 + i] != 0;
    failures += peers[1].ctx.lm_used < 384 || peers[1].ctx.foreign_writes != 1 ||
                peers[0].ctx.foreign_writes != 0;
    d.dma.multicast = 0x8;
    want("multicast to no core", XA_I_DMA_IN, &d, LM(256), DRAM(0), 0, ISA_FAULT_BAD_DESCRIPTOR,
         offsetof(xa_dma_desc_t, multicast));
    for (int i = 0; i < 2; i++)
        machine_deinit(&peers[i]);
}

int main(int argc, char **argv) {
    const sim_engine_set_t *set = machine_set(argc > 1 ? argv[1] : "ref");
    if (!set) {
        fprintf(stderr, "no such engine set\n");
        return 2;
    }
    machine_init(&machine, set, true);
    check_vector();
    check_indexes();
    check_matrix();
    check_dma();
    check_multicast(set);
    machine_deinit(&machine);
    return failures != 0;
}
