// SPDX-License-Identifier: Apache-2.0
// Evaluation of pure graph ops whose operands are constants. What a number is comes from
// support/numeric.h, so that folding gives what the card would.
#ifndef PASSES_EVAL_H
#define PASSES_EVAL_H

#include "ir/ir.h"
#include "support/arena.h"

// A constant operand or a result that is being made: row major, dims constant.
typedef struct eval_tensor {
    dtype_t elem;
    uint32_t rank;
    int64_t dims[IR_MAX_RANK];
    int64_t n; // elements
    const uint8_t *data;
    uint8_t *out; // of a result: the same bytes, to be written
} eval_tensor_t;

typedef struct eval {
    ir_module_t *m;
    arena_t *scratch;
    const ir_op_t *op;
    uint32_t n_in;
    eval_tensor_t in[4];
    eval_tensor_t *more; // all operands, where there are more than four
    eval_tensor_t result;
} eval_t;

// True when the op is pure, has one result of constant dims, and all operands are constants.
bool eval_is_constant(const ir_op_t *op);
// Bytes of the result and of the operands together (of an op that eval_is_constant).
void eval_sizes(const ir_op_t *op, uint64_t *out_result, uint64_t *out_operands);
// The contents of the result, or NULL when this op or type is not evaluated.
const ir_blob_t *eval_op(ir_module_t *m, arena_t *scratch, const ir_op_t *op);
// Evaluates and puts a constant in the op's place (name and origins kept); NULL: as it was.
ir_value_t *eval_replace(ir_module_t *m, arena_t *scratch, ir_op_t *op);
// The same, only where operands and result are small (a few KiB): what shape inference needs.
ir_value_t *eval_small(ir_module_t *m, arena_t *scratch, ir_op_t *op);
// The blob of a value that a const op defines, or NULL.
const ir_blob_t *eval_blob(const ir_value_t *value);
// A constant of one element: true and its value. (Integers beyond 2^53 lose low bits.)
bool eval_scalar(const ir_value_t *value, double *out_value);

// One family each; false: not evaluated. The result's type is set, its bytes are zero.
bool eval_elementwise(eval_t *e);
bool eval_movement(eval_t *e);
bool eval_reduction(eval_t *e);

// Strides (in elements) with which `t` is read when broadcast to `rank` dims; 0 where repeated.
void eval_strides(const eval_tensor_t *t, uint32_t rank, int64_t *out_strides);

#endif
