// SPDX-License-Identifier: Apache-2.0
// Parts of the fast vector engine. Private to engine_fast_vec*.c and engine_fast_window.c.
#ifndef SIM_ENGINE_FAST_VEC_H
#define SIM_ENGINE_FAST_VEC_H

#include "driver/sim/engine_fast.h"

enum { FAST_VEC_D, FAST_VEC_A, FAST_VEC_B, FAST_VEC_C, FAST_VEC_R, FAST_VEC_OPERANDS };

// An operand in host memory; `at` NULL: not used.
typedef struct fast_vec_operand {
    uint8_t *at;
    dtype_t type;
    int64_t stride[4];
    fast_box_t box; // in LM
} fast_vec_operand_t;

// One issue: exactly one of unary, binary, ternary and `plain` (a itself is reduced).
typedef struct fast_vec_run {
    const fast_kernels_t *kernels;
    fast_unary_fn_t unary, post;
    fast_binary_fn_t binary;
    fast_ternary_fn_t ternary;
    fast_args_t args;
    fast_fold_fn_t fold;
    fast_merge_fn_t merge;
    uint32_t red;
    unsigned mode; // of stores
    bool has_d, has_r, clear, plain, whole;
    bool whole_numbers; // results are, and d is u8 or i8
    fast_vec_operand_t d, a, b, c, r;
} fast_vec_run_t;

bool fast_vec_is_number(uint32_t type); // and not packed
bool fast_vec_source(sim_engine_ctx_t *ctx, fast_vec_operand_t *x, uint64_t va, uint32_t type,
                     const uint32_t count[4], const int32_t stride[4]);
bool fast_vec_target(sim_engine_ctx_t *ctx, fast_vec_operand_t *x, uint64_t va, uint32_t type,
                     const uint32_t count[4], const int32_t stride[4], bool keep);
void fast_vec_run(fast_vec_run_t *run, const uint32_t count[4]);

bool fast_window(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *v, uint64_t to,
                 uint64_t a, uint64_t b);
bool fast_vec_move(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *v, uint64_t to,
                   uint64_t a, uint64_t index);

#endif
