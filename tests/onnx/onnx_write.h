// SPDX-License-Identifier: Apache-2.0
// Writes ONNX models, for tests and benchmarks. Names and small lists are copied; data of tensors
// is referred to and must live until the model is packed or saved. Ends the process when memory is
// out.
#ifndef TESTS_ONNX_ONNX_WRITE_H
#define TESTS_ONNX_ONNX_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend/onnx/onnx.pb-c.h"
#include "support/arena.h"
#include "support/dtype.h"

typedef struct onnx_writer onnx_writer_t;

onnx_writer_t *onnx_writer_create(const char *name, int64_t ir_version, int64_t opset);
void onnx_writer_destroy(onnx_writer_t *w);

// A dim of -1 has no value; where `params` gives a name for it, it is the symbolic dim of that
// name.
void onnx_writer_input(onnx_writer_t *w, const char *name, dtype_t elem, size_t rank,
                       const int64_t *dims, const char *const *params);
void onnx_writer_output(onnx_writer_t *w, const char *name, dtype_t elem, size_t rank,
                        const int64_t *dims);
// An initializer with raw data.
Onnx__TensorProto *onnx_writer_tensor(onnx_writer_t *w, const char *name, dtype_t elem, size_t rank,
                                      const int64_t *dims, const void *data, size_t bytes);
// The same, from a few numbers (copied).
void onnx_writer_f32(onnx_writer_t *w, const char *name, size_t rank, const int64_t *dims,
                     const float *values);
void onnx_writer_i64(onnx_writer_t *w, const char *name, size_t rank, const int64_t *dims,
                     const int64_t *values);

// `inputs` and `outputs`: names separated by blanks ("x w"); "-" is an absent input. The node is
// called "<op>_<number>".
Onnx__NodeProto *onnx_writer_node(onnx_writer_t *w, const char *op, const char *inputs,
                                  const char *outputs);
void onnx_node_int(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, int64_t value);
void onnx_node_float(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, float value);
void onnx_node_string(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, const char *value);
void onnx_node_ints(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, size_t n,
                    const int64_t *values);
// A reference to an attribute of the calling node, in a function's body.
void onnx_node_ref(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, int type,
                   const char *attr);
// Starts a function of the model; nodes made until onnx_writer_function_end belong to it.
void onnx_writer_function(onnx_writer_t *w, const char *domain, const char *name,
                          const char *inputs, const char *outputs, const char *attrs);
void onnx_writer_function_end(onnx_writer_t *w);

// For what the functions above do not say.
Onnx__ModelProto *onnx_writer_model(onnx_writer_t *w);
arena_t *onnx_writer_arena(onnx_writer_t *w);

// The bytes of the model, in the writer's memory.
const uint8_t *onnx_writer_pack(onnx_writer_t *w, size_t *out_bytes);
// Writes the model; false when the file could not be written.
bool onnx_writer_save(onnx_writer_t *w, const char *path);

#endif
