// SPDX-License-Identifier: Apache-2.0
// A checked walk over the protobuf bytes of a model, before protobuf-c sees them: payloads of
// tensors above 64 bytes are cut out and left where they are in the mapped file.
#ifndef FRONTEND_ONNX_WIRE_H
#define FRONTEND_ONNX_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/diag.h"

// Payloads up to this many bytes stay in the message.
#define WIRE_INLINE_BYTES 64
// Messages inside messages, at most. A graph in a graph is three levels.
#define WIRE_MAX_DEPTH 96

// A payload that was cut out of a TensorProto.
typedef struct wire_extent {
    uint32_t field; // number of the TensorProto field that held it
    const uint8_t *data;
    size_t bytes;
} wire_extent_t;

typedef struct wire_result {
    uint8_t *data; // the message without the payloads: heap memory, freed by wire_result_deinit
    size_t bytes, capacity;
    wire_extent_t *extents; // in the arena given to wire_cut
    size_t n_extents, cap_extents;
} wire_result_t;

// Walks a ModelProto. TensorProto.extent of the result numbers an extent from 1. Malformed bytes
// are reported with the offset in the file: STATUS_INVALID; too deep a nesting: STATUS_LIMIT.
WARN_UNUSED status_t wire_cut(const uint8_t *data, size_t bytes, arena_t *arena, diag_t *diag,
                              wire_result_t *out_result);
void wire_result_deinit(wire_result_t *result);

// Reads a varint at *at and moves *at past it; false when malformed.
bool wire_varint(const uint8_t *data, size_t bytes, size_t *at, uint64_t *out_value);

#endif
