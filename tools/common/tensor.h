// SPDX-License-Identifier: Apache-2.0
// A tensor on the host, as files give it: dense, row-major, little-endian.
#ifndef TOOLS_COMMON_TENSOR_H
#define TOOLS_COMMON_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/dtype.h"
#include "support/status.h"

typedef struct tool_str {
    const char *text; // no NUL at the end
    size_t bytes;
} tool_str_t;

typedef struct tool_tensor {
    const char *name; // "" where the file gives none
    dtype_t dtype;
    size_t rank;
    int64_t *dims;
    uint64_t n_elems;
    // All but strings. Elements below 8 bits are packed as ONNX packs them: from the low bits of a
    // byte up, no padding between rows.
    uint8_t *data;
    size_t data_bytes;
    tool_str_t *strings; // DTYPE_STR only: n_elems of them
} tool_tensor_t;

// Product of the dims. STATUS_INVALID on a negative dim, STATUS_LIMIT on overflow.
WARN_UNUSED status_t tool_tensor_count(const int64_t *dims, size_t rank, uint64_t *out_n_elems);
// Bytes of `n_elems` packed elements; 0 for strings. STATUS_LIMIT on overflow.
WARN_UNUSED status_t tool_tensor_bytes(dtype_t dtype, uint64_t n_elems, uint64_t *out_bytes);

#endif
