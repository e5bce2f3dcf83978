// SPDX-License-Identifier: Apache-2.0
// Xaccel as C: engine numbers, instruction ids, descriptor structs, field and function codes.
// All made from isa/xaccel.def. Freestanding.
#ifndef ISA_XACCEL_H
#define ISA_XACCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum xa_engine {
#define XA_ENGINE(name, number, text, desc, meaning) XA_##name = number,
#include "isa/xaccel.def"
    XA_ENGINE_COUNT
} xa_engine_t;

typedef enum xa_insn {
#define XA_INSN(name, ...) XA_I_##name,
#include "isa/xaccel.def"
    XA_INSN_COUNT
} xa_insn_t;

typedef enum xa_func {
#define XA_FUNC(name, number, text, ulp, cost, formula) XA_FUNC_##name = number,
#include "isa/xaccel.def"
    XA_FUNC_COUNT
} xa_func_t;

typedef enum xa_bin {
#define XA_BIN(name, number, text, ulp, cost, formula) XA_BIN_##name = number,
#include "isa/xaccel.def"
    XA_BIN_COUNT
} xa_bin_t;

typedef enum xa_ter {
#define XA_TER(name, number, text, ulp, cost, formula) XA_TER_##name = number,
#include "isa/xaccel.def"
    XA_TER_COUNT
} xa_ter_t;

typedef enum xa_red {
#define XA_RED(name, number, text, meaning) XA_RED_##name = number,
#include "isa/xaccel.def"
    XA_RED_COUNT
} xa_red_t;

// Flags: XA_dma_STABLE, XA_mat_ACC, XA_vec_ROWRED, ...
enum {
#define XA_FLAG(desc, name, bit, meaning) XA_##desc##_##name = 1u << (bit),
#include "isa/xaccel.def"
};

// Field numbers for xa.cfg.set: XA_F_dma_count, XA_F_mat_n, ... (an array's element i is + i).
enum {
#define XA_FIELD(desc, index, name, type, length, offset, meaning) XA_F_##desc##_##name = index,
#include "isa/xaccel.def"
};

#define XA_DESC_BYTES 256
#define XA_MAX_CORES  64
#define XA_PANEL_MAX  64

// Every issue costs at most this many cycles, uncontended; a dearer one faults (ISSUE_TOO_LONG).
#define XA_ISSUE_MAX_CYCLES (1u << 17)

typedef struct xa_dma_desc {
    uint32_t flags;
    uint8_t src_type, dst_type, func, idx_dim;
    uint32_t count[5];
    uint32_t pad_lo[5];
    uint32_t valid[5];
    uint32_t idx_bound;
    int64_t src_stride[5];
    int64_t dst_stride[5];
    uint64_t fill;
    uint64_t multicast;
    float alpha, beta;
    uint8_t reserved[80];
} xa_dma_desc_t;

typedef struct xa_mat_desc {
    uint32_t flags;
    uint8_t a_type, b_type, c_type, act;
    uint32_t batch, m1, m2, n, k, r1, r2, b_pw;
    int32_t a_bs, a_m1s, a_m2s, a_r1s, a_r2s;
    int32_t b_bs, b_rs, b_ks, b_ps;
    int32_t c_bs, c_m1s, c_m2s;
    int32_t res_bs, res_m1s, res_m2s;
    uint32_t res_type;
    uint64_t bias, scale, res;
    float alpha, act_p0, act_p1;
    int32_t c_zero;
    uint8_t reserved[112];
} xa_mat_desc_t;

typedef struct xa_vec_desc {
    uint32_t flags;
    uint8_t op, post, red, axis;
    uint8_t d_type, a_type, b_type, c_type, r_type, pad0[3];
    uint32_t count[4];
    int32_t d_stride[4], a_stride[4], b_stride[4], c_stride[4], r_stride[4];
    uint32_t k[2];
    int32_t ka_stride[2], kb_stride[2];
    uint32_t lin_in, lin_out, idx_bound;
    float alpha, beta, p0, p1;
    uint32_t pad1;
    uint64_t c_addr, r_addr;
    int64_t imm0, imm1;
    uint8_t reserved[56];
} xa_vec_desc_t;

// The structs are written out for readers and debuggers; the table decides.
#define XA_FIELD(desc, index, name, type, length, offset, meaning)                                 \
    _Static_assert(offsetof(xa_##desc##_desc_t, name) == (offset), "field " #name);                \
    _Static_assert(sizeof(((xa_##desc##_desc_t *)0)->name) == sizeof(type) * (length),             \
                   "size of " #name);
#include "isa/xaccel.def"
_Static_assert(sizeof(xa_dma_desc_t) == XA_DESC_BYTES, "DMA descriptor");
_Static_assert(sizeof(xa_mat_desc_t) == XA_DESC_BYTES, "matrix descriptor");
_Static_assert(sizeof(xa_vec_desc_t) == XA_DESC_BYTES, "vector descriptor");

typedef union xa_desc {
    xa_dma_desc_t dma;
    xa_mat_desc_t mat;
    xa_vec_desc_t vec;
    uint8_t bytes[XA_DESC_BYTES];
} xa_desc_t;

#endif
