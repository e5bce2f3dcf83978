// SPDX-License-Identifier: Apache-2.0
// What the op families of the reference evaluator share.
#ifndef TESTS_REF_REF_INTERNAL_H
#define TESTS_REF_REF_INTERNAL_H

#include "support/numeric.h"
#include "tests/ref/ref_eval.h"

typedef struct ref_run {
    ir_module_t *m; // only read; expressions are evaluated, not made
    diag_t *diag;
    arena_t arena;
    map_t tensors;    // value -> ref_tensor_t *
    int64_t *symbols; // by symbol id
    ref_visit_t visit;
    void *ctx;
    const ir_block_t *main_block;
    map_t last_uses; // value of main_block -> number of the op that uses it last
} ref_run_t;

enum { REF_MAX_IN = 512, REF_MAX_OUT = 64 };
typedef struct ref_op {
    ref_run_t *run;
    const ir_op_t *op;
    uint32_t n_in, n_out;
    const ref_tensor_t *in[REF_MAX_IN]; // NULL: absent
    ref_tensor_t *out[REF_MAX_OUT];
} ref_op_t;

typedef status_t (*ref_fn_t)(ref_op_t *c);

// Reports at the op and gives the status back.
status_t ref_fail(const ref_op_t *c, status_t status, const char *format, ...) PRINTF_LIKE(3, 4);
#define REF_NEED(c, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return ref_fail(c, STATUS_INVALID, "needs %s", #condition);                            \
    } while (0)

ref_tensor_t *ref_out(ref_op_t *c, uint32_t i, dtype_t elem, uint32_t rank, const int64_t *dims);
ref_tensor_t *ref_out_like(ref_op_t *c, uint32_t i, const ref_tensor_t *like);
// Dims of the result's type, by the symbols. False when they are not known.
bool ref_type_dims(const ref_op_t *c, uint32_t result, uint32_t *out_rank, int64_t *out_dims);
bool ref_expr_value(const ref_op_t *c, const ir_expr_t *e, int64_t *out);
// Integers of an attribute, or of operand `operand` (< 0: none) when it is there. The count; 0 when
// neither is, with *out_given false.
size_t ref_ints(const ref_op_t *c, const char *attr, int operand, size_t max, int64_t *out,
                bool *out_given);
// An axis in [0, rank), or -1.
int64_t ref_axis(int64_t axis, int64_t rank);
int64_t ref_product(const int64_t *dims, uint32_t first, uint32_t end);
void ref_strides(uint32_t rank, const int64_t *dims, int64_t *out);

status_t ref_run_block(ref_run_t *run, const ir_block_t *block); // up to its terminator
ref_tensor_t *ref_lookup(ref_run_t *run, const ir_value_t *value);
void ref_bind(ref_run_t *run, const ir_value_t *value, ref_tensor_t *tensor); // takes it over
void ref_drop(ref_run_t *run, const ir_value_t *value);
ref_tensor_t *ref_copy(const ref_tensor_t *tensor);

static inline double ref_load(const ref_tensor_t *t, int64_t i) {
    return t->elem == DTYPE_F32 ? (double)((const float *)t->data)[i]
                                : num_load_f64(t->elem, t->data, (uint64_t)i);
}
static inline int64_t ref_load_int(const ref_tensor_t *t, int64_t i) {
    return num_load_i64(t->elem, t->data, (uint64_t)i);
}
static inline void ref_store(ref_tensor_t *t, int64_t i, double value) {
    if (t->elem == DTYPE_F32)
        ((float *)t->data)[i] = (float)value;
    else
        num_store_f64(t->elem, t->data, (uint64_t)i, value, NUM_SATURATE);
}
static inline void ref_store_int(ref_tensor_t *t, int64_t i, int64_t value) {
    num_store_i64(t->elem, t->data, (uint64_t)i, value, 0);
}
// The element as it is, same type on both sides.
void ref_move(ref_tensor_t *to, int64_t i, const ref_tensor_t *from, int64_t j);

// Steps through an index space: one row (last dim) at a time, with one offset a tensor.
enum { REF_MAX_WALK = 4 };
typedef struct ref_walk {
    uint32_t rank, n;
    int64_t dims[IR_MAX_RANK], index[IR_MAX_RANK];
    int64_t stride[REF_MAX_WALK][IR_MAX_RANK];
    int64_t offset[REF_MAX_WALK];
    int64_t row; // length of a row
} ref_walk_t;
// False when the space is empty. Strides are the caller's, set before.
bool ref_walk_start(ref_walk_t *w);
bool ref_walk_next(ref_walk_t *w);
// Broadcast of `n` tensors to `rank` dims, which it computes. False when they do not fit.
bool ref_broadcast(ref_walk_t *w, uint32_t n, const ref_tensor_t *const *tensors);

// c[m][n] = a[m][k] . b[k][n], rows apart by lda, ldb, ldc elements.
void ref_gemm_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                  int64_t ldb, double *c, int64_t ldc);
float *ref_floats(const ref_tensor_t *t); // the caller frees it

// Op families: rows of the table in ref_eval.c.
// clang-format would make stairs of this list.
// clang-format off
#define REF_OPS(X)                                                                                 \
    X(unary) X(binary) X(select) X(clip) X(variadic) X(cast) X(dequantize) X(quantize)             \
    X(matmul) X(gemm) X(conv) X(pool) X(global_pool) X(lrn) X(reduce) X(argreduce) X(softmax)      \
    X(batch_norm) X(layer_norm) X(instance_norm) X(cumulate) X(const) X(reshape) X(flatten)        \
    X(squeeze) X(unsqueeze) X(transpose) X(slice) X(split) X(concat) X(pad) X(expand) X(tile)      \
    X(gather) X(resize) X(depth_to_space) X(shape) X(size) X(from_dims) X(fill) X(range)           \
    X(identity) X(kernel) X(if) X(loop)
// clang-format on
#define REF_DECLARE(name) status_t ref_##name(ref_op_t *c);
REF_OPS(REF_DECLARE)
#undef REF_DECLARE

#endif
