// SPDX-License-Identifier: Apache-2.0
// Two walks over the message: the first learns type, dims and where the data are, the second
// stores typed data into a buffer that is by then known to be no larger than the file justifies.
#include "tools/common/pb_tensor.h"

#include <inttypes.h>
#include <string.h>

#include "support/checked.h"
#include "support/file.h"

// Field numbers of message TensorProto (onnx/onnx.proto).
enum {
    FIELD_DIMS = 1,
    FIELD_DATA_TYPE = 2,
    FIELD_SEGMENT = 3,
    FIELD_FLOAT_DATA = 4,
    FIELD_INT32_DATA = 5,
    FIELD_STRING_DATA = 6,
    FIELD_INT64_DATA = 7,
    FIELD_NAME = 8,
    FIELD_RAW_DATA = 9,
    FIELD_DOUBLE_DATA = 10,
    FIELD_UINT64_DATA = 11,
    FIELD_EXTERNAL_DATA = 13,
    FIELD_DATA_LOCATION = 14,
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct wire {
    const uint8_t *p, *end;
} wire_t;

typedef struct field {
    unsigned number, type;
    uint64_t value; // of a varint or fixed field
    wire_t bytes;   // of WIRE_BYTES
} field_t;

typedef struct reader {
    arena_t *arena;
    diag_t *diag;
    diag_where_t where;
    tool_tensor_t tensor;
    size_t dims_capacity;
    wire_t raw;
    bool has_raw, has_external, has_segment;
    uint64_t data_type;
    uint64_t n_stored; // entries of typed data stored by the second walk
} reader_t;

static bool read_varint(wire_t *wire, uint64_t *out_value) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && wire->p < wire->end; shift += 7) {
        uint8_t byte = *wire->p++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool read_fixed(wire_t *wire, size_t bytes, uint64_t *out_value) {
    if ((size_t)(wire->end - wire->p) < bytes)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)wire->p[i] << (8 * i);
    wire->p += bytes;
    *out_value = value;
    return true;
}

static bool read_field(wire_t *wire, field_t *out_field) {
    uint64_t key, length;
    if (!read_varint(wire, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return false;
    *out_field = (field_t){.number = (unsigned)(key >> 3), .type = (unsigned)(key & 7)};
    switch (out_field->type) {
    case WIRE_VARINT:
        return read_varint(wire, &out_field->value);
    case WIRE_64:
        return read_fixed(wire, 8, &out_field->value);
    case WIRE_32:
        return read_fixed(wire, 4, &out_field->value);
    case WIRE_BYTES:
        if (!read_varint(wire, &length) || length > (uint64_t)(wire->end - wire->p))
            return false;
        out_field->bytes = (wire_t){wire->p, wire->p + length};
        wire->p += length;
        return true;
    default:
        return false;
    }
}

static bool add_dims(reader_t *reader, const field_t *field) {
    wire_t packed = field->bytes;
    uint64_t value = field->value;
    if (field->type != WIRE_VARINT && field->type != WIRE_BYTES)
        return false;
    for (bool first = true;; first = false) {
        if (field->type == WIRE_BYTES) {
            if (packed.p == packed.end)
                return true;
            if (!read_varint(&packed, &value))
                return false;
        } else if (!first) {
            return true;
        }
        tool_tensor_t *tensor = &reader->tensor;
        ARENA_GROW(reader->arena, tensor->dims, reader->dims_capacity, tensor->rank + 1);
        tensor->dims[tensor->rank++] = (int64_t)value;
    }
}

static bool learn_field(reader_t *reader, const field_t *field) {
    bool is_bytes = field->type == WIRE_BYTES;
    switch (field->number) {
    case FIELD_DIMS:
        return add_dims(reader, field);
    case FIELD_DATA_TYPE:
        reader->data_type = field->value;
        return field->type == WIRE_VARINT;
    case FIELD_NAME:
        if (is_bytes)
            reader->tensor.name = arena_strndup(reader->arena, (const char *)field->bytes.p,
                                                (size_t)(field->bytes.end - field->bytes.p));
        return is_bytes;
    case FIELD_RAW_DATA:
        reader->raw = field->bytes;
        reader->has_raw = true;
        return is_bytes;
    case FIELD_SEGMENT:
        reader->has_segment = true;
        return true;
    case FIELD_EXTERNAL_DATA:
        reader->has_external = true;
        return true;
    case FIELD_DATA_LOCATION:
        reader->has_external = reader->has_external || field->value == 1;
        return true;
    default:
        return true;
    }
}

// How an element type stands in typed data: which field, and how many entries for n elements.
typedef struct layout {
    unsigned field;
    unsigned wire_type; // of one entry
    size_t entry_bytes; // stored for an entry
    uint64_t n_entries;
} layout_t;

static layout_t layout_of(dtype_t dtype, uint64_t n_elems, uint64_t data_bytes) {
    switch (dtype) {
    case DTYPE_F32:
    case DTYPE_C64:
        return (layout_t){FIELD_FLOAT_DATA, WIRE_32, 4, data_bytes / 4};
    case DTYPE_F64:
    case DTYPE_C128:
        return (layout_t){FIELD_DOUBLE_DATA, WIRE_64, 8, data_bytes / 8};
    case DTYPE_I64:
        return (layout_t){FIELD_INT64_DATA, WIRE_VARINT, 8, n_elems};
    case DTYPE_U32:
    case DTYPE_U64:
        return (layout_t){FIELD_UINT64_DATA, WIRE_VARINT, dtype_bytes(dtype), n_elems};
    case DTYPE_STR:
        return (layout_t){FIELD_STRING_DATA, WIRE_BYTES, 0, n_elems};
    default: // below a byte, an entry is a byte of packed elements
        return (layout_t){FIELD_INT32_DATA, WIRE_VARINT, dtype_bytes(dtype),
                          data_bytes / dtype_bytes(dtype)};
    }
}

// An integer must fit the entry, read as signed or as unsigned: writers differ in that.
static bool fits(uint64_t value, size_t bytes) {
    if (bytes == 8)
        return true;
    uint64_t limit = (uint64_t)1 << (8 * bytes);
    return value < limit || value >= 0 - limit / 2;
}

static bool store_entry(reader_t *reader, const layout_t *layout, uint64_t value) {
    if (reader->n_stored == layout->n_entries || !fits(value, layout->entry_bytes))
        return false;
    uint8_t *to = reader->tensor.data + reader->n_stored++ * layout->entry_bytes;
    for (size_t i = 0; i < layout->entry_bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
    return true;
}

static bool store_string(reader_t *reader, const layout_t *layout, wire_t bytes) {
    if (reader->n_stored == layout->n_entries)
        return false;
    size_t length = (size_t)(bytes.end - bytes.p);
    reader->tensor.strings[reader->n_stored++] =
        (tool_str_t){arena_strndup(reader->arena, (const char *)bytes.p, length), length};
    return true;
}

static bool store_field(reader_t *reader, const layout_t *layout, const field_t *field) {
    if (layout->wire_type == WIRE_BYTES)
        return field->type == WIRE_BYTES && store_string(reader, layout, field->bytes);
    if (field->type == layout->wire_type)
        return store_entry(reader, layout, field->value);
    if (field->type != WIRE_BYTES)
        return false;
    wire_t packed = field->bytes;
    while (packed.p < packed.end) {
        uint64_t value;
        bool ok = layout->wire_type == WIRE_VARINT
                      ? read_varint(&packed, &value)
                      : read_fixed(&packed, layout->entry_bytes, &value);
        if (!ok || !store_entry(reader, layout, value))
            return false;
    }
    return true;
}

static status_t damaged(reader_t *reader, const char *what) {
    return DIAG_FAIL(reader->diag, STATUS_INVALID, &reader->where, NULL, "%s", what);
}

static status_t learn(reader_t *reader, wire_t wire) {
    while (wire.p < wire.end) {
        field_t field;
        if (!read_field(&wire, &field) || !learn_field(reader, &field))
            return damaged(reader, "no ONNX tensor, or a damaged one");
    }
    if (reader->tensor.name[0] != '\0')
        reader->where.tensor = reader->tensor.name;
    if (reader->has_external || reader->has_segment)
        return DIAG_FAIL(reader->diag, STATUS_UNSUPPORTED, &reader->where, NULL,
                         "a test tensor with %s data",
                         reader->has_external ? "external" : "segmented");
    if (reader->data_type == 0)
        return damaged(reader, "no ONNX tensor, or one without an element type");
    if (reader->data_type >= DTYPE_COUNT)
        return DIAG_FAIL(reader->diag, STATUS_UNSUPPORTED, &reader->where, NULL,
                         "element type %" PRIu64, reader->data_type);
    reader->tensor.dtype = (dtype_t)reader->data_type;
    return STATUS_OK;
}

static status_t measure(reader_t *reader) {
    tool_tensor_t *tensor = &reader->tensor;
    uint64_t bytes = 0;
    status_t status = tool_tensor_count(tensor->dims, tensor->rank, &tensor->n_elems);
    if (status == STATUS_OK)
        status = tool_tensor_bytes(tensor->dtype, tensor->n_elems, &bytes);
    if (status != STATUS_OK)
        return DIAG_FAIL(reader->diag, status, &reader->where, NULL, "absurd dims");
    tensor->data_bytes = (size_t)bytes;
    return STATUS_OK;
}

static status_t store_raw(reader_t *reader) {
    tool_tensor_t *tensor = &reader->tensor;
    size_t bytes = (size_t)(reader->raw.end - reader->raw.p);
    if (tensor->dtype == DTYPE_STR || bytes != tensor->data_bytes)
        return DIAG_FAIL(reader->diag, STATUS_INVALID, &reader->where, NULL,
                         "the dims need %zu bytes of raw data, the file has %zu",
                         tensor->data_bytes, bytes);
    tensor->data = arena_memdup(reader->arena, reader->raw.p, bytes);
    return STATUS_OK;
}

static status_t store_typed(reader_t *reader, wire_t wire) {
    tool_tensor_t *tensor = &reader->tensor;
    layout_t layout = layout_of(tensor->dtype, tensor->n_elems, tensor->data_bytes);
    // Every entry takes a byte of the file or more, so this bounds what is allocated.
    if (layout.n_entries > (uint64_t)(wire.end - wire.p))
        return damaged(reader, "less data than the dims need");
    if (tensor->dtype == DTYPE_STR)
        tensor->strings = ARENA_ARRAY(reader->arena, tool_str_t, (size_t)layout.n_entries);
    else
        tensor->data = arena_must_alloc(reader->arena, tensor->data_bytes);
    while (wire.p < wire.end) {
        field_t field;
        if (!read_field(&wire, &field) ||
            (field.number == layout.field && !store_field(reader, &layout, &field)))
            return damaged(reader, "more data than the dims need, or damaged data");
    }
    if (reader->n_stored != layout.n_entries)
        return damaged(reader, "less data than the dims need");
    return STATUS_OK;
}

status_t tool_pb_tensor_parse(const uint8_t *file, size_t file_bytes, const char *path,
                              arena_t *arena, diag_t *diag, tool_tensor_t *out_tensor) {
    reader_t reader = {.arena = arena, .diag = diag, .where = {.model = path}};
    reader.tensor.name = "";
    wire_t wire = {file, file_bytes == 0 ? file : file + file_bytes};
    RETURN_IF_ERROR(learn(&reader, wire));
    RETURN_IF_ERROR(measure(&reader));
    RETURN_IF_ERROR(reader.has_raw ? store_raw(&reader) : store_typed(&reader, wire));
    *out_tensor = reader.tensor;
    return STATUS_OK;
}

status_t tool_pb_tensor_read(const char *path, arena_t *arena, diag_t *diag,
                             tool_tensor_t *out_tensor) {
    file_map_t map;
    status_t status = file_map_open(path, &map);
    if (status != STATUS_OK) {
        diag_where_t where = {.model = path};
        return DIAG_FAIL(diag, status, &where, NULL, "cannot be read: %s", file_error_text(status));
    }
    status = tool_pb_tensor_parse(map.data, map.bytes, path, arena, diag, out_tensor);
    file_map_close(&map);
    return status;
}
