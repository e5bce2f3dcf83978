// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files, versions 1 to 3.
#ifndef TOOLS_COMMON_NPY_H
#define TOOLS_COMMON_NPY_H

#include "support/diag.h"
#include "tools/common/tensor.h"

// Reads bool, integer, float and complex arrays of either byte order and either memory order. The
// file is hostile until checked; the tensor lives in the arena. Errors name `path`.
WARN_UNUSED status_t tool_npy_read(const char *path, arena_t *arena, diag_t *diag,
                                   tool_tensor_t *out_tensor);
// The same from memory.
WARN_UNUSED status_t tool_npy_parse(const uint8_t *file, size_t file_bytes, const char *path,
                                    arena_t *arena, diag_t *diag, tool_tensor_t *out_tensor);

// The file appears whole or not at all. NumPy has no name for the types below, so they are written
// as: bf16 u16, 8-bit floats u8 (their bits); 4- and 2-bit types one element a byte, i8 or u8.
// Strings: STATUS_UNSUPPORTED.
WARN_UNUSED status_t tool_npy_write(const tool_tensor_t *tensor, const char *path, diag_t *diag);

#endif
