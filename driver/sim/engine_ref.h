// SPDX-License-Identifier: Apache-2.0
// Parts of the `ref` engine set. Private to engine_ref*.c.
#ifndef SIM_ENGINE_REF_H
#define SIM_ENGINE_REF_H

#include "driver/sim/engine_row.h"

bool sim_ref_dma(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_dma_desc_t *dma, uint64_t dst,
                 uint64_t src, uint64_t index, sim_fault_t *out_fault);
bool sim_ref_mat(sim_engine_ctx_t *ctx, const xa_mat_desc_t *mat, uint64_t c, uint64_t a,
                 uint64_t b, sim_fault_t *out_fault);
bool sim_ref_vec(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *vec, uint64_t rs1,
                 uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault);

// --- The vector unit -----------------------------------------------------------------------------

typedef struct sim_vec_operand {
    uint8_t *base;
    dtype_t type;
    bool packed; // along i3
    int64_t stride[4];
} sim_vec_operand_t;

// One issue, checked.
typedef struct sim_vec {
    sim_engine_ctx_t *ctx;
    const xa_vec_desc_t *desc;
    xa_insn_t insn;
    uint64_t rs1, rs2, rs3;
    sim_fault_t *fault;
    sim_kind_t kind;
    bool is_unsigned; // integers are u64
    unsigned mode;    // of stores
    sim_vec_operand_t d, a, b, c, r;
} sim_vec_t;

// The dims in the order of the loops, the innermost last.
typedef struct sim_order {
    unsigned dim[4];
} sim_order_t;

// Called for each piece of a row along order.dim[3]: elements start .. start + n - 1, with the
// other indexes in `at`. False stops.
typedef bool (*sim_piece_fn_t)(const sim_vec_t *vec, void *state, const uint32_t at[4],
                               unsigned dim, uint32_t start, uint32_t n);

sim_order_t sim_order_by_row(const uint32_t count[4]); // longest rows: the last dim above 1
sim_order_t sim_order_axis_last(unsigned axis);
bool sim_vec_pieces(const sim_vec_t *vec, sim_order_t order, sim_piece_fn_t fn, void *state);
// The row of an operand along `dim` that begins at index `at` (at[dim] replaced by start).
sim_row_ref_t sim_vec_row(const sim_vec_operand_t *operand, const uint32_t at[4], unsigned dim,
                          uint32_t start);

// Checks an operand and finds its memory; `count` and `window` give what it touches.
typedef struct sim_extent {
    uint32_t count[4];
    uint32_t window[2];
    int32_t window_stride[2];
} sim_extent_t;
sim_extent_t sim_extent_of(const xa_vec_desc_t *desc);
bool sim_vec_operand(const sim_vec_t *vec, uint64_t va, unsigned type, uint64_t type_offset,
                     const int32_t stride[4], const sim_extent_t *extent, isa_access_t access,
                     sim_vec_operand_t *out_operand);
// Arithmetic of an instruction on these types (0: not used).
sim_kind_t sim_kind_of(unsigned t0, unsigned t1, unsigned t2, unsigned t3);

bool sim_ref_reduce(sim_vec_t *vec);
bool sim_ref_argred(sim_vec_t *vec);
bool sim_ref_scan(sim_vec_t *vec);
bool sim_ref_wreduce(sim_vec_t *vec);
bool sim_ref_wmac(sim_vec_t *vec);
bool sim_ref_linear(sim_vec_t *vec);
bool sim_ref_gather(sim_vec_t *vec);
bool sim_ref_scatter(sim_vec_t *vec);

// A reduction of values, taken dim by dim, into an operand whose strides are 0 where reduced.
typedef struct sim_reduce {
    const sim_vec_operand_t *into;
    unsigned red;
    sim_kind_t kind; // of the values
    bool is_unsigned, accumulate;
    const int32_t *stride; // of `into`, by the descriptor
    unsigned mode;
    double f;
    int64_t i;
} sim_reduce_t;
// Reduced dims innermost.
sim_order_t sim_order_reduce(const uint32_t count[4], const int32_t stride[4]);
// Takes the piece's values in; stores a result when it is complete.
void sim_reduce_piece(sim_reduce_t *reduce, const sim_vec_t *vec, const uint32_t at[4],
                      unsigned dim, uint32_t start, uint32_t n, const sim_row_t *values);

#endif
