// SPDX-License-Identifier: Apache-2.0
// Parts of the graph generator: the stream of choices and values (random_graph.c), the kinds of op
// (random_ops.c, random_windows.c, random_chain.c).
#ifndef TESTS_REF_RANDOM_INTERNAL_H
#define TESTS_REF_RANDOM_INTERNAL_H

#include "tests/ref/random_graph.h"

enum { RANDOM_MAX_LIVE = 64, RANDOM_MAX_ELEMENTS = 12000 };

typedef struct gen {
    ir_module_t *m;
    ir_builder_t b;
    uint64_t state;
    ir_value_t *live[RANDOM_MAX_LIVE]; // f32 tensors that ops may use, oldest first
    size_t n_live;
    uint32_t n_nodes;
} gen_t;

typedef struct shape {
    uint32_t rank;
    int64_t dim[IR_MAX_RANK];
} shape_t;

int64_t gen_range(gen_t *g, int64_t lo, int64_t hi); // inclusive
bool gen_chance(gen_t *g, int percent);
float gen_float(gen_t *g); // in [-1, 1)

shape_t gen_shape(const ir_value_t *value);
int64_t gen_elements(const shape_t *s);
// Values in [-scale, scale) + offset.
ir_value_t *gen_weights(gen_t *g, const shape_t *s, float scale, float offset);
ir_value_t *gen_i64s(gen_t *g, size_t n, const int64_t *values);
// The op, one f32 result of the shape, and its origin.
ir_value_t *gen_op(gen_t *g, ir_opcode_t code, const char *onnx, uint32_t n, ir_value_t *const *in,
                   const shape_t *s);
// A live value of the same shape, another one if there is one.
ir_value_t *gen_partner(gen_t *g, const ir_value_t *value);

// Each gives a new value, or NULL when it does not suit x.
typedef ir_value_t *(*gen_fn_t)(gen_t *g, ir_value_t *x);
// clang-format would make stairs of this list.
// clang-format off
#define GEN_KINDS(X)                                                                               \
    X(unary, 10) X(binary, 10) X(clip, 3) X(conv, 16) X(pool, 6) X(global_pool, 2)                 \
    X(batch_norm, 4) X(instance_norm, 3) X(lrn, 2) X(layer_norm, 4) X(softmax, 4) X(gemm, 6)       \
    X(matmul, 8) X(self_matmul, 3) X(reduce, 5) X(transpose, 5) X(reshape, 5) X(slice, 4)          \
    X(concat, 5) X(pad, 2) X(split, 2) X(expand, 2) X(variadic, 2) X(dims1, 2) X(chain, 8)
// clang-format on
#define GEN_DECLARE(name, weight) ir_value_t *gen_##name(gen_t *g, ir_value_t *x);
GEN_KINDS(GEN_DECLARE)
#undef GEN_DECLARE
// As gen_chain, of images and channels that do not fit local memory at once; x has rank 4.
ir_value_t *gen_large_chain(gen_t *g, ir_value_t *x);

#endif
