// SPDX-License-Identifier: Apache-2.0
// What every tile template builds with: the kernel at hand, loops, LM buffers and engine ops.
#ifndef PASSES_TILE_EMIT_H
#define PASSES_TILE_EMIT_H

#include "isa/cost.h"
#include "passes/kernel.h"
#include "passes/pass.h"
#include "passes/tile_view.h"

enum { TILE_MAX_NEST = 16 };

typedef struct tile {
    pass_context_t *pc;
    ir_module_t *m;
    const isa_profile_t *profile;
    ir_op_t *kernel;   // its operands: DRAM buffers, inputs first
    ir_block_t *graph; // the old region: arguments are tensors, one an input
    ir_value_t **args; // the new region's arguments: buffers, one an operand
    uint32_t n_inputs, n_operands;
    ir_builder_t b;                  // where tile ops go
    ir_block_t *nest[TILE_MAX_NEST]; // blocks outside the current one
    uint32_t depth;
    char tiling[160]; // the choice, for readers of the dump
    uint64_t cycles;  // its modelled cycles
} tile_t;

typedef status_t (*tile_template_t)(tile_t *t);
status_t tile_contraction(tile_t *t);
status_t tile_window(tile_t *t);
status_t tile_chain(tile_t *t);
status_t tile_loops(tile_t *t);
status_t tile_movement(tile_t *t);
status_t tile_devlib(tile_t *t);

// DRAM view of a value of the old region that is one of its arguments (an input).
tv_t tile_input(tile_t *t, const ir_value_t *graph_arg);
// DRAM view of what the old region's yield number `index` must fill.
tv_t tile_output(tile_t *t, uint32_t index);
// Operand number `value` has among the kernel's inputs, or -1 when an op inside computes it.
int tile_input_index(const ir_value_t *value);
// The constant behind an input, if it starts at its blob's first element, else NULL.
const ir_blob_t *tile_constant(tile_t *t, int input);
// No output of the kernel overlaps input `index`: a copy of it may be read in place.
bool tile_input_is_stable(tile_t *t, uint32_t index);
// The op that yields result 0, and a reported failure that names the kernel's ONNX nodes.
status_t tile_fail(tile_t *t, status_t code, const char *hint, const char *format, ...)
    PRINTF_LIKE(4, 5);

// A value of an expression for choosing sizes: symbols count as their bound, at most 128.
int64_t tile_nominal(const ir_expr_t *e);
// Most elements the expression can have, or `limit` when that is less.
int64_t tile_bound(const ir_expr_t *e, int64_t limit);
// The number of cores at run time, 1 to 64; NULL where a model's dim took the name.
const ir_expr_t *tile_cores(tile_t *t);

tv_t tile_lm(tile_t *t, dtype_t elem, uint32_t rank, const int64_t *dims);
// Loops. The symbol is valid until the matching end.
const ir_expr_t *tile_for(tile_t *t, const char *name, const ir_expr_t *lo, const ir_expr_t *hi,
                          int64_t step);
const ir_expr_t *tile_parfor(tile_t *t, const char *name, const ir_expr_t *count);
void tile_when(tile_t *t, const ir_expr_t *cond);
void tile_end(tile_t *t);

// Input rows (columns) from the first to the last that `out` outputs of a window read.
static inline int64_t tile_span(int64_t out, int64_t stride, int64_t kernel, int64_t dilation) {
    return (out - 1) * stride + (kernel - 1) * dilation + 1;
}
const ir_expr_t *tile_span_expr(tile_t *t, const ir_expr_t *out, int64_t stride, int64_t kernel,
                                int64_t dilation);
// The part of src's dim under window outputs from `at` on, `count` elements with the border, that
// exists; out_pad: border before it.
tv_t tile_clip(tile_t *t, tv_t src, uint32_t dim, const ir_expr_t *at, const ir_expr_t *count,
               int64_t stride, int64_t pad, const ir_expr_t **out_pad);
// A vector with dims of 1 around it (a bias as [1, C, 1, 1]) as rank 1.
tv_t tile_vector(tv_t v);

// Engine ops on views. Copies drop dims of 1, merge what is contiguous on both sides and add loops
// above five dims.
ir_op_t *tile_dma_in(tile_t *t, tv_t dst, tv_t src, bool stable);
ir_op_t *tile_dma_out(tile_t *t, tv_t dst, tv_t src);
// dst's box with border: element i of dim d reads src[i - pad_lo[d]] where that is in src, else
// `fill`. At most 5 dims, src and dst of one rank.
ir_op_t *tile_dma_in_border(tile_t *t, tv_t dst, tv_t src, const ir_expr_t *const *pad_lo,
                            double fill);
// `roles` names the views in order.
ir_op_t *tile_mat(tile_t *t, const char *roles, const char *b_layout, uint32_t n,
                  const tv_t *views);
ir_op_t *tile_vec(tile_t *t, const char *insn, const char *op, const char *roles, uint32_t n,
                  const tv_t *views);
// Weights [C, 1, KH, KW] of a depthwise convolution as [KH, KW, C] in DRAM.
tv_t tile_depthwise_weights(tile_t *t, const ir_op_t *conv);
// A constant in DRAM.
tv_t tile_weights(tile_t *t, const ir_blob_t *blob, uint32_t rank, const int64_t *dims);

#endif
