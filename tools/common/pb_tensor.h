// SPDX-License-Identifier: Apache-2.0
// ONNX TensorProto files (.pb), read without protobuf: the machine half must not need it.
#ifndef TOOLS_COMMON_PB_TENSOR_H
#define TOOLS_COMMON_PB_TENSOR_H

#include "support/diag.h"
#include "tools/common/tensor.h"

// Raw and typed data of every element type; external data is STATUS_UNSUPPORTED. The file is
// hostile until checked; the tensor lives in the arena. Errors name `path`.
WARN_UNUSED status_t tool_pb_tensor_read(const char *path, arena_t *arena, diag_t *diag,
                                         tool_tensor_t *out_tensor);
// The same from memory; `path` is for messages.
WARN_UNUSED status_t tool_pb_tensor_parse(const uint8_t *file, size_t file_bytes, const char *path,
                                          arena_t *arena, diag_t *diag, tool_tensor_t *out_tensor);

#endif
