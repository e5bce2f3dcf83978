// SPDX-License-Identifier: Apache-2.0
// The reference evaluator: runs a module of graph ops on the host, in plain C, without any of the
// card's code. Sums are kept in double (matrix products and convolutions of 16- and 32-bit floats:
// float over at most 128 terms, then double); each result is rounded to its element type.
#ifndef TESTS_REF_REF_EVAL_H
#define TESTS_REF_REF_EVAL_H

#include <stddef.h>
#include <stdint.h>

#include "ir/ir.h"

typedef struct ref_tensor {
    dtype_t elem;
    uint32_t rank;
    int64_t dims[IR_MAX_RANK];
    int64_t n;  // elements
    void *data; // row major; packed types as in ONNX
} ref_tensor_t;

// Zeroed. Ends the process when memory is out.
ref_tensor_t *ref_tensor_new(dtype_t elem, uint32_t rank, const int64_t *dims);
void ref_tensor_free(ref_tensor_t *tensor); // NULL is fine

// Sees every result of every op when it is made, by its value (name, type, op and its origins).
// The tensor is the evaluator's. A status other than OK ends the run.
typedef status_t (*ref_visit_t)(void *ctx, const ir_value_t *value, const ref_tensor_t *tensor);

// Runs @main. Dims of its arguments that are plain symbols are bound by the inputs' dims; types of
// other values are only asked where the op's attributes leave the shape open, so that a module
// fresh from a reader will do as well as one in the middle of the passes (before bufferise).
// On success the caller owns `n_outputs` tensors in out_outputs (operands of return, in order).
// STATUS_UNSUPPORTED for ops that it does not know, STATUS_INVALID for shapes that do not fit.
WARN_UNUSED status_t ref_eval_run(const ir_module_t *m, size_t n_inputs,
                                  const ref_tensor_t *const *inputs, size_t n_outputs,
                                  ref_tensor_t **out_outputs, ref_visit_t visit, void *ctx,
                                  diag_t *diag);

// How two tensors differ: elements beyond atol + rtol * |want|, NaN only equal to NaN, infinities
// only to themselves. Different shapes or types: all elements.
typedef struct ref_difference {
    int64_t n_beyond;
    int64_t worst; // index of the greatest error in units of the tolerance, -1: none at all
    double got, want;
    double error; // of the worst, in units of its tolerance
} ref_difference_t;
ref_difference_t ref_tensor_compare(const ref_tensor_t *got, const ref_tensor_t *want, double rtol,
                                    double atol);

#endif
