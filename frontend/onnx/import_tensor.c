// SPDX-License-Identifier: Apache-2.0
// TensorProto -> blob. Raw data and typed data whose bytes are the elements' stay in the mapped
// file; varints (integers in typed fields) and small data are copied into the module.
#include <string.h>

#include "frontend/onnx/import_internal.h"
#include "support/checked.h"

// Numbers of TensorProto fields that hold data.
enum {
    FLOAT_DATA = 4,
    INT32_DATA = 5,
    INT64_DATA = 7,
    RAW_DATA = 9,
    DOUBLE_DATA = 10,
    UINT64_DATA = 11
};

typedef struct tensor {
    import_t *im;
    const node_t *n;
    const char *what;
    const Onnx__TensorProto *proto;
    dtype_t elem;
    uint64_t n_elements, bytes;
} tensor_t;

static status_t bad_payload(const tensor_t *t) {
    return import_fail(t->im, t->n, STATUS_INVALID,
                       "'%s' needs %llu elements of %s (%llu bytes), but its data has another size",
                       t->what, (unsigned long long)t->n_elements, dtype_text(t->elem),
                       (unsigned long long)t->bytes);
}

// Field of typed data that ONNX uses for an element type.
static uint32_t typed_field(dtype_t elem) {
    switch (elem) {
    case DTYPE_F32:
        return FLOAT_DATA;
    case DTYPE_F64:
        return DOUBLE_DATA;
    case DTYPE_I64:
        return INT64_DATA;
    case DTYPE_U32:
    case DTYPE_U64:
        return UINT64_DATA;
    default:
        return INT32_DATA;
    }
}

// One number of a typed field holds one element, or one byte of packed elements.
static uint64_t n_numbers(const tensor_t *t) {
    return dtype_bits(t->elem) < 8 ? t->bytes : t->n_elements;
}

static void store_number(const tensor_t *t, uint8_t *out, uint64_t index, uint64_t number) {
    unsigned size = dtype_bytes(t->elem); // little-endian: the low bytes of the number
    for (unsigned i = 0; i < size; i++)
        out[index * size + i] = (uint8_t)(number >> (8 * i));
}

static status_t decode_varints(const tensor_t *t, const wire_extent_t *extent,
                               const ir_blob_t **out_blob) {
    size_t at = 0;
    uint64_t number, n = n_numbers(t);
    if (n > extent->bytes) // a varint has at least one byte: so much may be allocated
        return bad_payload(t);
    uint8_t *data = arena_must_alloc(t->im->arena, (size_t)t->bytes);
    for (uint64_t i = 0; i < n; i++) {
        if (!wire_varint(extent->data, extent->bytes, &at, &number))
            return bad_payload(t);
        store_number(t, data, i, number);
    }
    if (at != extent->bytes)
        return bad_payload(t);
    *out_blob = ir_blob_copy(t->im->m, t->elem, data, t->bytes);
    return STATUS_OK;
}

static status_t from_extent(const tensor_t *t, const ir_blob_t **out_blob) {
    if (t->proto->extent > t->im->n_extents)
        return bad_payload(t);
    const wire_extent_t *extent = &t->im->extents[t->proto->extent - 1];
    if (extent->field != RAW_DATA && extent->field != typed_field(t->elem))
        return bad_payload(t);
    if (extent->field == INT32_DATA || extent->field == INT64_DATA || extent->field == UINT64_DATA)
        return decode_varints(t, extent, out_blob);
    if (extent->bytes != t->bytes)
        return bad_payload(t);
    *out_blob = ir_blob_new(t->im->m, t->elem, extent->data, extent->bytes);
    return STATUS_OK;
}

static size_t inline_count(const Onnx__TensorProto *p, uint32_t field) {
    switch (field) {
    case FLOAT_DATA:
        return p->n_float_data;
    case DOUBLE_DATA:
        return p->n_double_data;
    case INT64_DATA:
        return p->n_int64_data;
    case UINT64_DATA:
        return p->n_uint64_data;
    default:
        return p->n_int32_data;
    }
}

static uint64_t inline_number(const Onnx__TensorProto *p, uint32_t field, size_t i) {
    switch (field) {
    case INT64_DATA:
        return (uint64_t)p->int64_data[i];
    case UINT64_DATA:
        return p->uint64_data[i];
    default:
        return (uint64_t)(int64_t)p->int32_data[i];
    }
}

static status_t from_message(const tensor_t *t, const ir_blob_t **out_blob) {
    const Onnx__TensorProto *p = t->proto;
    ir_module_t *m = t->im->m;
    uint32_t field = typed_field(t->elem);
    if (p->has_raw_data && (p->raw_data.len > 0 || t->bytes == 0)) {
        if (p->raw_data.len != t->bytes)
            return bad_payload(t);
        *out_blob = ir_blob_copy(m, t->elem, p->raw_data.data, t->bytes);
        return STATUS_OK;
    }
    if (inline_count(p, field) != n_numbers(t))
        return bad_payload(t);
    if (field == FLOAT_DATA) {
        *out_blob = ir_blob_copy(m, t->elem, p->float_data, t->bytes);
    } else if (field == DOUBLE_DATA) {
        *out_blob = ir_blob_copy(m, t->elem, p->double_data, t->bytes);
    } else {
        uint8_t *data = arena_must_alloc(t->im->arena, (size_t)t->bytes);
        for (size_t i = 0; i < n_numbers(t); i++)
            store_number(t, data, i, inline_number(p, field, i));
        *out_blob = ir_blob_copy(m, t->elem, data, t->bytes);
    }
    return STATUS_OK;
}

static status_t check_type(tensor_t *t) {
    const Onnx__TensorProto *p = t->proto;
    int64_t elements = 1;
    t->elem = (dtype_t)p->data_type;
    char class = dtype_class(t->elem);
    if (class == 0)
        return import_fail(t->im, t->n, STATUS_INVALID, "'%s' has element type %d", t->what,
                           p->data_type);
    if (class == 'T' || class == 'C')
        return import_fail(t->im, t->n, STATUS_UNSUPPORTED, "'%s' is a tensor of %s", t->what,
                           class == 'T' ? "strings" : "complex numbers");
    if (p->n_dims > IR_MAX_RANK)
        return import_fail(t->im, t->n, STATUS_UNSUPPORTED, "'%s' has rank %zu; at most %d",
                           t->what, p->n_dims, IR_MAX_RANK);
    for (size_t i = 0; i < p->n_dims; i++)
        if (p->dims[i] < 0 || p->dims[i] > ONNX_MAX_DIM ||
            !checked_mul_i64(elements, p->dims[i], &elements) || elements > ONNX_MAX_ELEMENTS)
            return import_fail(t->im, t->n, STATUS_LIMIT,
                               "'%s': dim %zu is %lld; a dim is 0 to %d, a tensor has at most 2^36 "
                               "elements",
                               t->what, i, (long long)p->dims[i], ONNX_MAX_DIM);
    t->n_elements = (uint64_t)elements;
    t->bytes = (t->n_elements * dtype_bits(t->elem) + 7) / 8;
    return STATUS_OK;
}

status_t import_tensor(import_t *im, const node_t *n, const char *what, const Onnx__TensorProto *p,
                       const ir_blob_t **out_blob, const ir_type_t **out_type) {
    tensor_t t = {.im = im, .n = n, .what = what, .proto = p};
    const uint8_t *data;
    RETURN_IF_ERROR(check_type(&t));
    if (p->segment != NULL)
        return import_fail(im, n, STATUS_UNSUPPORTED, "'%s' is stored in segments", what);
    if (p->data_location == 1) {
        RETURN_IF_ERROR(import_external(im, n, what, p, t.bytes, &data));
        *out_blob = t.bytes == 0 ? ir_blob_copy(im->m, t.elem, "", 0)
                                 : ir_blob_new(im->m, t.elem, data, t.bytes);
    } else if (p->has_extent) {
        RETURN_IF_ERROR(from_extent(&t, out_blob));
    } else {
        RETURN_IF_ERROR(from_message(&t, out_blob));
    }
    *out_type = ir_type_const_tensor(im->m, t.elem, (uint32_t)p->n_dims, p->dims);
    return STATUS_OK;
}
