// SPDX-License-Identifier: Apache-2.0
// What the files of the pass infer_shapes share: one rule a column "shape rule" of ir/ops.def.
#ifndef PASSES_INFER_INTERNAL_H
#define PASSES_INFER_INTERNAL_H

#include "passes/pass.h"

// Integer tensors of at most so many elements are followed as expressions.
#define INFER_MAX_KNOWN 128

typedef struct infer {
    pass_context_t *pc;
    ir_module_t *m;
    arena_t *scratch;
    status_t worst; // of the errors collected
} infer_t;

// A rule gives the result types of `op`, makes its attributes explicit and folds operands that only
// carry shape data into attributes. Operands are tensors of known rank, dims and element type.
typedef status_t (*infer_rule_t)(infer_t *in, ir_op_t *op);

// --- infer_shapes.c
status_t infer_fail(infer_t *in, const ir_op_t *op, status_t code, const char *format, ...)
    PRINTF_LIKE(4, 5);
void infer_set(infer_t *in, ir_op_t *op, uint32_t result, dtype_t elem, uint32_t rank,
               const ir_expr_t *const *dims);
// Result 0 gets the type of operand `from`.
void infer_set_like(infer_t *in, ir_op_t *op, uint32_t from);
void infer_drop_operands(ir_op_t *op, uint32_t keep);
// Makes `axis` count from the front; reports one out of [-rank, rank).
status_t infer_axis(infer_t *in, const ir_op_t *op, int64_t axis, uint32_t rank, uint32_t *out);
// An operand of shape data: its elements as expressions. False when they depend on data.
bool infer_known(const ir_value_t *value, size_t *out_n, const ir_expr_t *const **out_exprs);
// The same, all constant, at most `max`; reports what it is not. *out_n is the count.
status_t infer_ints(infer_t *in, const ir_op_t *op, uint32_t operand, size_t max, int64_t *out,
                    size_t *out_n);
// NumPy broadcast of two dims lists, right-aligned.
status_t infer_broadcast(infer_t *in, const ir_op_t *op, uint32_t rank_a, const ir_expr_t *const *a,
                         uint32_t rank_b, const ir_expr_t *const *b, uint32_t *out_rank,
                         const ir_expr_t **out_dims);

static inline const ir_type_t *infer_type(const ir_op_t *op, uint32_t operand) {
    const ir_value_t *value = ir_operand(op, operand);
    return value != NULL ? value->type : NULL;
}

// --- infer_known.c: contents of small integer tensors, after the op's types are known.
// Replaces the op by a constant or from_dims when it knows all elements.
void infer_contents(infer_t *in, ir_op_t *op);

// --- rules
#define INFER_RULE(name) status_t infer_rule_##name(infer_t *in, ir_op_t *op)
INFER_RULE(none); // keeps the type that the op has
INFER_RULE(const);
INFER_RULE(unary);
INFER_RULE(binary);
INFER_RULE(select);
INFER_RULE(same);
INFER_RULE(broadcast);
INFER_RULE(cast);
INFER_RULE(dequantize);
INFER_RULE(quantize);
INFER_RULE(matmul);
INFER_RULE(gemm);
INFER_RULE(conv);
INFER_RULE(pool);
INFER_RULE(global_pool);
INFER_RULE(reduce);
INFER_RULE(argreduce);
INFER_RULE(layer_norm);
INFER_RULE(reshape);
INFER_RULE(flatten);
INFER_RULE(squeeze);
INFER_RULE(unsqueeze);
INFER_RULE(transpose);
INFER_RULE(slice);
INFER_RULE(split);
INFER_RULE(concat);
INFER_RULE(pad);
INFER_RULE(expand);
INFER_RULE(tile);
INFER_RULE(gather);
INFER_RULE(resize);
INFER_RULE(depth_to_space);
INFER_RULE(shape);
INFER_RULE(size);
INFER_RULE(fill);
INFER_RULE(range);
INFER_RULE(if);
INFER_RULE(loop);
INFER_RULE(scan);

#endif
