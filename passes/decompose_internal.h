// SPDX-License-Identifier: Apache-2.0
// What the files of the pass decompose share.
#ifndef PASSES_DECOMPOSE_INTERNAL_H
#define PASSES_DECOMPOSE_INTERNAL_H

#include "passes/eval.h"
#include "passes/graph.h"
#include "passes/pass.h"

typedef struct decompose {
    pass_context_t *pc;
    ir_module_t *m;
    arena_t *scratch;
    ir_builder_t b; // before the op at hand, with its origins
    size_t n_changes;
} decompose_t;

// Rewrites `op` (which may be gone afterwards) and returns true, or leaves it and returns false.
typedef bool (*decompose_rule_t)(decompose_t *dc, ir_op_t *op);

// --- decompose_build.c: ops at the builder's place, typed; constant ones are evaluated at once.
ir_value_t *dc_scalar(decompose_t *dc, dtype_t elem, double value);
ir_value_t *dc_unary(decompose_t *dc, const char *func, ir_value_t *x);
ir_value_t *dc_affine(decompose_t *dc, ir_value_t *x, double alpha, double beta);
ir_value_t *dc_binary(decompose_t *dc, const char *op, ir_value_t *a, ir_value_t *b);
ir_value_t *dc_reshape(decompose_t *dc, ir_value_t *x, uint32_t rank, const ir_expr_t *const *dims);
ir_value_t *dc_transpose(decompose_t *dc, ir_value_t *x, const int64_t *perm);
ir_value_t *dc_slice(decompose_t *dc, ir_value_t *x, uint32_t axis, const ir_expr_t *start,
                     const ir_expr_t *size);
ir_value_t *dc_reduce(decompose_t *dc, const char *op, ir_value_t *x, size_t n_axes,
                      const int64_t *axes, bool keepdims);
// A copy of `op` with other operands and result type; its attributes are kept.
ir_value_t *dc_copy(decompose_t *dc, const ir_op_t *op, uint32_t n_operands,
                    ir_value_t *const *operands, const ir_type_t *type);
// Puts `value` in the place of op's only result.
bool dc_replace(decompose_t *dc, ir_op_t *op, ir_value_t *value);
static inline bool dc_is_float(const ir_value_t *value) {
    return value->type->elem == DTYPE_F32 || value->type->elem == DTYPE_F16 ||
           value->type->elem == DTYPE_BF16;
}

// --- Rules by op
bool dc_gemm(decompose_t *dc, ir_op_t *op);
bool dc_matmul(decompose_t *dc, ir_op_t *op);
bool dc_conv(decompose_t *dc, ir_op_t *op);
bool dc_pool(decompose_t *dc, ir_op_t *op);
bool dc_global_pool(decompose_t *dc, ir_op_t *op);
bool dc_batch_norm(decompose_t *dc, ir_op_t *op);
bool dc_view(decompose_t *dc, ir_op_t *op); // flatten, squeeze, unsqueeze
bool dc_split(decompose_t *dc, ir_op_t *op);
bool dc_transposed(decompose_t *dc, ir_op_t *op);
bool dc_reshaped(decompose_t *dc, ir_op_t *op);
bool dc_depth_to_space(decompose_t *dc, ir_op_t *op);
bool dc_pad(decompose_t *dc, ir_op_t *op);
bool dc_clip(decompose_t *dc, ir_op_t *op);
bool dc_variadic(decompose_t *dc, ir_op_t *op);
bool dc_softmax(decompose_t *dc, ir_op_t *op);
bool dc_reduced(decompose_t *dc, ir_op_t *op);
bool dc_layer_norm(decompose_t *dc, ir_op_t *op);
bool dc_binary_op(decompose_t *dc, ir_op_t *op);

// --- decompose_match.c: patterns in text, see decompose_rules.def.
#define MATCH_MAX_VALUES  4
#define MATCH_MAX_NUMBERS 2
#define MATCH_MAX_OPS     24
typedef struct match {
    ir_value_t *values[26];            // by letter
    double numbers[MATCH_MAX_NUMBERS]; // of ?0, ?1
    ir_op_t *ops[MATCH_MAX_OPS];       // that the pattern covers
    size_t n_ops;
} match_t;
bool dc_match(const char *pattern, ir_value_t *value, match_t *out);
void dc_add_match_origins(decompose_t *dc, ir_value_t *value, const match_t *match);
// Tries the rows of decompose_rules.def on the op.
bool dc_apply_rows(decompose_t *dc, ir_op_t *op);
// Layer normalisation spelled out, ending at op.
bool dc_recognise_norm(decompose_t *dc, ir_op_t *op);

#endif
