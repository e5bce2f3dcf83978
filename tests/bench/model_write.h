// SPDX-License-Identifier: Apache-2.0
// Builds an ONNX model node by node and streams it to a file; random weights are made as they are
// written, so that memory stays small. For the benchmarks only: errors of the machine (no memory,
// no disk) end the program.
#ifndef TESTS_BENCH_MODEL_WRITE_H
#define TESTS_BENCH_MODEL_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/dtype.h"
#include "support/strbuf.h"

enum { MODEL_MAX_RANK = 4 };

typedef struct model_shape {
    size_t rank;
    int64_t dims[MODEL_MAX_RANK];
} model_shape_t;

// Numbers of a weight or an input: `given` or, where that is NULL, evenly distributed ones with
// this mean and standard deviation. Integers: `given`, or evenly in [0, below).
typedef struct model_fill {
    const void *given;
    double mean, deviation;
    uint64_t below;
} model_fill_t;

typedef struct model_tensor {
    const char *name;
    dtype_t dtype;
    model_shape_t shape;
    model_fill_t fill;
    uint64_t seed;
} model_tensor_t;

typedef struct model_tensors {
    model_tensor_t *items;
    size_t n, capacity;
} model_tensors_t;

typedef struct model {
    arena_t arena;
    const char *name;
    int64_t opset;
    uint64_t seed;
    strbuf_t nodes, values; // NodeProto fields; inputs and outputs
    model_tensors_t weights, inputs;
    size_t n_nodes;
    double flop;
    double bytes; // that a run must move at least: weights, inputs and outputs, each once
} model_t;

#define SHAPE(...)                                                                                 \
    ((model_shape_t){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}})

void model_init(model_t *model, const char *name, int64_t opset);
void model_deinit(model_t *model);

// The functions below return the value's name, which lives as long as the model.
const char *model_input(model_t *model, const char *name, dtype_t dtype, model_shape_t shape,
                        model_fill_t fill);
const char *model_weight(model_t *model, dtype_t dtype, model_shape_t shape, model_fill_t fill);
// A scalar of type f32.
const char *model_scalar(model_t *model, float value);
// A list of `n` i64.
const char *model_indices(model_t *model, size_t n, const int64_t *values);

// Inputs end with NULL. `attributes`: "axis=-1 epsilon=1e-5 pads=[1,1,1,1]"; with '.' or 'e' a
// float.
const char *model_node(model_t *model, const char *op, const char *attributes, ...);
void model_output(model_t *model, const char *name, dtype_t dtype, model_shape_t shape);

// Writes <folder>/<name>.onnx, <folder>/<name>.input_K.npy and <folder>/<name>.txt: a line
// "input NAME FILE" an input, "gflop X" and "bytes X".
void model_save(model_t *model, const char *folder);

#endif
