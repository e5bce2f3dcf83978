// SPDX-License-Identifier: Apache-2.0
// The walk copies a message field by field into the result; a field that the table calls a message
// is entered, a tensor payload above the limit becomes an extent, prose is dropped. Lengths of
// entered messages are written as padded varints of five bytes, because they are known only at
// the message's end.
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/wire.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { EXTENT_FIELD = 60001, LENGTH_BYTES = 5, MAX_CUT_PER_TENSOR = 1 };

typedef enum message {
    MODEL,
    GRAPH,
    NODE,
    ATTRIBUTE,
    TENSOR,
    SPARSE,
    FUNCTION,
    VALUE_INFO,
    TYPE,
    TYPE_INNER,
    MAP_TYPE,
} message_t;

typedef enum action { ENTER, CUT, DROP } action_t;

// What to do with a field; fields without a row are copied.
typedef struct rule {
    message_t in;
    uint32_t field;
    action_t action;
    message_t as; // ENTER: what the field holds
} rule_t;

static const rule_t rules[] = {
    {MODEL, 6, DROP, 0},              // doc_string
    {MODEL, 7, ENTER, GRAPH},         //
    {MODEL, 14, DROP, 0},             // metadata_props
    {MODEL, 20, DROP, 0},             // training_info
    {MODEL, 25, ENTER, FUNCTION},     //
    {MODEL, 26, DROP, 0},             // configuration
    {GRAPH, 1, ENTER, NODE},          //
    {GRAPH, 5, ENTER, TENSOR},        // initializer
    {GRAPH, 10, DROP, 0},             // doc_string
    {GRAPH, 11, ENTER, VALUE_INFO},   // input
    {GRAPH, 12, ENTER, VALUE_INFO},   // output
    {GRAPH, 13, DROP, 0},             // value_info: types are inferred
    {GRAPH, 15, ENTER, SPARSE},       // sparse_initializer
    {GRAPH, 16, DROP, 0},             // metadata_props
    {NODE, 5, ENTER, ATTRIBUTE},      //
    {NODE, 6, DROP, 0},               // doc_string
    {NODE, 9, DROP, 0},               // metadata_props
    {NODE, 10, DROP, 0},              // device_configurations
    {ATTRIBUTE, 5, ENTER, TENSOR},    // t
    {ATTRIBUTE, 6, ENTER, GRAPH},     // g
    {ATTRIBUTE, 10, ENTER, TENSOR},   // tensors
    {ATTRIBUTE, 11, ENTER, GRAPH},    // graphs
    {ATTRIBUTE, 13, DROP, 0},         // doc_string
    {ATTRIBUTE, 14, ENTER, TYPE},     // tp
    {ATTRIBUTE, 15, ENTER, TYPE},     // type_protos
    {ATTRIBUTE, 22, ENTER, SPARSE},   // sparse_tensor
    {ATTRIBUTE, 23, ENTER, SPARSE},   // sparse_tensors
    {TENSOR, 4, CUT, 0},              // float_data
    {TENSOR, 5, CUT, 0},              // int32_data
    {TENSOR, 7, CUT, 0},              // int64_data
    {TENSOR, 9, CUT, 0},              // raw_data
    {TENSOR, 10, CUT, 0},             // double_data
    {TENSOR, 11, CUT, 0},             // uint64_data
    {TENSOR, 12, DROP, 0},            // doc_string
    {TENSOR, 16, DROP, 0},            // metadata_props
    {TENSOR, EXTENT_FIELD, DROP, 0},  // ours: a file may not set it
    {SPARSE, 1, ENTER, TENSOR},       // values
    {SPARSE, 2, ENTER, TENSOR},       // indices
    {FUNCTION, 7, ENTER, NODE},       //
    {FUNCTION, 8, DROP, 0},           // doc_string
    {FUNCTION, 11, ENTER, ATTRIBUTE}, // attribute_proto
    {FUNCTION, 12, DROP, 0},          // value_info
    {FUNCTION, 14, DROP, 0},          // metadata_props
    {VALUE_INFO, 2, ENTER, TYPE},     //
    {VALUE_INFO, 3, DROP, 0},         // doc_string
    {VALUE_INFO, 4, DROP, 0},         // metadata_props
    {TYPE, 4, ENTER, TYPE_INNER},     // sequence_type
    {TYPE, 5, ENTER, MAP_TYPE},       // map_type
    {TYPE, 9, ENTER, TYPE_INNER},     // optional_type
    {TYPE_INNER, 1, ENTER, TYPE},     // elem_type
    {MAP_TYPE, 2, ENTER, TYPE},       // value_type
};

typedef struct walk {
    const uint8_t *file; // offsets in messages count from here
    arena_t *arena;
    diag_t *diag;
    wire_result_t *out;
} walk_t;

typedef struct field {
    uint32_t number, wire_type;
    const uint8_t *start;   // of the key
    const uint8_t *payload; // of BYTES: the bytes after the length
    size_t payload_bytes;
    const uint8_t *end;
} field_t;

bool wire_varint(const uint8_t *data, size_t bytes, size_t *at, uint64_t *out_value) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (*at >= bytes)
            return false;
        uint8_t byte = data[(*at)++];
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static status_t malformed(const walk_t *w, const uint8_t *at, const char *what) {
    return DIAG_FAIL(w->diag, STATUS_INVALID, NULL, "the file is damaged, or is not an ONNX model",
                     "%s at byte %zu", what, (size_t)(at - w->file));
}

// --- Output --------------------------------------------------------------------------------------

static status_t out_room(const walk_t *w, size_t more) {
    wire_result_t *out = w->out;
    if (out->capacity - out->bytes >= more)
        return STATUS_OK;
    size_t capacity = out->capacity * 2 + more + 4096;
    uint8_t *data = realloc(out->data, capacity);
    if (data == NULL)
        return DIAG_FAIL(w->diag, STATUS_NO_MEMORY, NULL, NULL, "no memory for %zu bytes of graph",
                         capacity);
    out->data = data;
    out->capacity = capacity;
    return STATUS_OK;
}

static status_t out_bytes(const walk_t *w, const uint8_t *data, size_t bytes) {
    RETURN_IF_ERROR(out_room(w, bytes));
    memcpy(w->out->data + w->out->bytes, data, bytes);
    w->out->bytes += bytes;
    return STATUS_OK;
}

static status_t out_varint(const walk_t *w, uint64_t value) {
    uint8_t text[10];
    size_t n = 0;
    do {
        text[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    return out_bytes(w, text, n);
}

static void patch_length(const walk_t *w, size_t at, size_t length) {
    for (int i = 0; i < LENGTH_BYTES; i++) {
        w->out->data[at + (size_t)i] =
            (uint8_t)((length & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
        length >>= 7;
    }
}

// --- Input ---------------------------------------------------------------------------------------

static status_t read_payload(const walk_t *w, const uint8_t *end, field_t *f) {
    const uint8_t *from = f->end;
    size_t left = (size_t)(end - from), at = 0;
    uint64_t value = 0;
    switch (f->wire_type) {
    case VARINT:
        if (!wire_varint(from, left, &at, &value))
            return malformed(w, from, "a broken number");
        break;
    case FIXED64:
        at = 8;
        break;
    case FIXED32:
        at = 4;
        break;
    case BYTES:
        if (!wire_varint(from, left, &at, &value))
            return malformed(w, from, "a broken length");
        if (value > left - at)
            return malformed(w, from, "a length beyond the end of its message");
        f->payload = from + at;
        f->payload_bytes = (size_t)value;
        at += (size_t)value;
        break;
    default:
        return malformed(w, f->start, "an unknown wire type");
    }
    if (at > left)
        return malformed(w, from, "a field beyond the end of its message");
    f->end = from + at;
    return STATUS_OK;
}

static status_t read_field(const walk_t *w, const uint8_t *at, const uint8_t *end, field_t *f) {
    uint64_t key;
    size_t used = 0;
    *f = (field_t){.start = at};
    if (!wire_varint(at, (size_t)(end - at), &used, &key))
        return malformed(w, at, "a broken field key");
    if (key >> 3 == 0 || key >> 3 > (1u << 29) - 1)
        return malformed(w, at, "a field number out of range");
    f->number = (uint32_t)(key >> 3);
    f->wire_type = (uint32_t)(key & 7);
    f->end = at + used;
    return read_payload(w, end, f);
}

static const rule_t *find_rule(message_t in, uint32_t field) {
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (rules[i].in == in && rules[i].field == field)
            return &rules[i];
    return NULL;
}

static status_t cut(const walk_t *w, const field_t *f, unsigned *n_cut) {
    if ((*n_cut)++ >= MAX_CUT_PER_TENSOR)
        return malformed(w, f->start, "a tensor with two payloads");
    wire_result_t *out = w->out;
    ARENA_GROW(w->arena, out->extents, out->cap_extents, out->n_extents + 1);
    out->extents[out->n_extents++] =
        (wire_extent_t){.field = f->number, .data = f->payload, .bytes = f->payload_bytes};
    RETURN_IF_ERROR(out_varint(w, (uint64_t)EXTENT_FIELD << 3 | VARINT));
    return out_varint(w, out->n_extents);
}

static status_t walk_message(const walk_t *w, message_t message, const uint8_t *at,
                             const uint8_t *end, int depth);

static status_t enter(const walk_t *w, message_t message, const field_t *f, int depth) {
    if (depth >= WIRE_MAX_DEPTH)
        return DIAG_FAIL(w->diag, STATUS_LIMIT, NULL, NULL,
                         "more than %d messages inside each other at byte %zu", WIRE_MAX_DEPTH,
                         (size_t)(f->start - w->file));
    RETURN_IF_ERROR(out_varint(w, (uint64_t)f->number << 3 | BYTES));
    RETURN_IF_ERROR(out_room(w, LENGTH_BYTES));
    size_t length_at = w->out->bytes;
    w->out->bytes += LENGTH_BYTES;
    RETURN_IF_ERROR(walk_message(w, message, f->payload, f->payload + f->payload_bytes, depth + 1));
    size_t length = w->out->bytes - length_at - LENGTH_BYTES;
    if (length > INT32_MAX)
        return DIAG_FAIL(w->diag, STATUS_LIMIT, NULL, NULL, "a message above 2 GiB at byte %zu",
                         (size_t)(f->start - w->file));
    patch_length(w, length_at, length);
    return STATUS_OK;
}

static status_t walk_message(const walk_t *w, message_t message, const uint8_t *at,
                             const uint8_t *end, int depth) {
    unsigned n_cut = 0;
    while (at < end) {
        field_t f;
        RETURN_IF_ERROR(read_field(w, at, end, &f));
        const rule_t *rule = find_rule(message, f.number);
        at = f.end;
        if (rule != NULL && rule->action == DROP)
            continue;
        if (rule != NULL && rule->action == ENTER) {
            if (f.wire_type != BYTES)
                return malformed(w, f.start, "a field of the wrong wire type");
            RETURN_IF_ERROR(enter(w, rule->as, &f, depth));
        } else if (rule != NULL && f.wire_type == BYTES && f.payload_bytes > WIRE_INLINE_BYTES) {
            RETURN_IF_ERROR(cut(w, &f, &n_cut));
        } else {
            RETURN_IF_ERROR(out_bytes(w, f.start, (size_t)(f.end - f.start)));
        }
    }
    return STATUS_OK;
}

status_t wire_cut(const uint8_t *data, size_t bytes, arena_t *arena, diag_t *diag,
                  wire_result_t *out_result) {
    *out_result = (wire_result_t){0};
    walk_t w = {.file = data, .arena = arena, .diag = diag, .out = out_result};
    if (bytes == 0)
        return DIAG_FAIL(diag, STATUS_INVALID, NULL, NULL, "the file is empty");
    status_t status = walk_message(&w, MODEL, data, data + bytes, 0);
    if (status != STATUS_OK)
        wire_result_deinit(out_result);
    return status;
}

void wire_result_deinit(wire_result_t *result) {
    free(result->data);
    *result = (wire_result_t){0};
}
