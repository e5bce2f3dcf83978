// SPDX-License-Identifier: Apache-2.0
#include "tools/common/npy.h"

#include <inttypes.h>
#include <string.h>

#include "support/checked.h"
#include "support/file.h"
#include "support/strbuf.h"

// X(name of numpy without byte order, element type)
#define NPY_TYPES(X)                                                                               \
    X("b1", BOOL)                                                                                  \
    X("i1", I8)                                                                                    \
    X("u1", U8)                                                                                    \
    X("i2", I16)                                                                                   \
    X("u2", U16)                                                                                   \
    X("i4", I32)                                                                                   \
    X("u4", U32)                                                                                   \
    X("i8", I64)                                                                                   \
    X("u8", U64)                                                                                   \
    X("f2", F16)                                                                                   \
    X("f4", F32)                                                                                   \
    X("f8", F64)                                                                                   \
    X("c8", C64)                                                                                   \
    X("c16", C128)

static const struct {
    const char *name;
    dtype_t dtype;
} npy_types[] = {
#define NPY_ROW(name, dtype) {name, DTYPE_##dtype},
    NPY_TYPES(NPY_ROW)
#undef NPY_ROW
};

enum { MAX_HEADER_BYTES = 1 << 20, MAX_RANK = 64, MAGIC_BYTES = 6 };
static const uint8_t magic[MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

typedef struct header {
    const char *text, *end; // what is left of the dictionary
    char descr[16];
    bool has_descr, has_order, has_shape, fortran_order;
    int64_t dims[MAX_RANK];
    size_t rank;
} header_t;

static bool skip_blank(header_t *header) {
    while (header->text < header->end && strchr(" \t\r\n", *header->text) != NULL &&
           *header->text != '\0')
        header->text++;
    return header->text < header->end;
}

static bool accept(header_t *header, const char *word) {
    size_t length = strlen(word);
    if (!skip_blank(header) || (size_t)(header->end - header->text) < length ||
        memcmp(header->text, word, length) != 0)
        return false;
    header->text += length;
    return true;
}

static bool parse_quoted(header_t *header, char *out, size_t out_bytes) {
    if (!skip_blank(header) || (*header->text != '\'' && *header->text != '"'))
        return false;
    char quote = *header->text++;
    size_t n = 0;
    while (header->text < header->end && *header->text != quote && n + 1 < out_bytes)
        out[n++] = *header->text++;
    out[n] = '\0';
    if (header->text == header->end || *header->text != quote)
        return false;
    header->text++;
    return true;
}

static bool parse_dim(header_t *header, int64_t *out_dim) {
    if (!skip_blank(header) || *header->text < '0' || *header->text > '9')
        return false;
    int64_t value = 0;
    while (header->text < header->end && *header->text >= '0' && *header->text <= '9')
        if (!checked_mul_i64(value, 10, &value) ||
            !checked_add_i64(value, *header->text++ - '0', &value))
            return false;
    *out_dim = value;
    return true;
}

static bool parse_shape(header_t *header) {
    if (!accept(header, "("))
        return false;
    while (!accept(header, ")")) {
        if (header->rank == MAX_RANK || !parse_dim(header, &header->dims[header->rank]))
            return false;
        header->rank++;
        if (!accept(header, ","))
            return accept(header, ")");
    }
    return true;
}

static bool parse_entry(header_t *header) {
    char key[16];
    if (!parse_quoted(header, key, sizeof key) || !accept(header, ":"))
        return false;
    if (strcmp(key, "descr") == 0 && !header->has_descr)
        return header->has_descr = parse_quoted(header, header->descr, sizeof header->descr);
    if (strcmp(key, "fortran_order") == 0 && !header->has_order) {
        header->fortran_order = accept(header, "True");
        return header->has_order = header->fortran_order || accept(header, "False");
    }
    if (strcmp(key, "shape") == 0 && !header->has_shape)
        return header->has_shape = parse_shape(header);
    return false;
}

static bool parse_header(header_t *header) {
    if (!accept(header, "{"))
        return false;
    while (!accept(header, "}"))
        if (!parse_entry(header) ||
            (!accept(header, ",") && (!skip_blank(header) || *header->text != '}')))
            return false;
    return header->has_descr && header->has_order && header->has_shape;
}

// Finds the dictionary and the data behind it.
static bool split_file(const uint8_t *file, size_t bytes, header_t *header, size_t *out_offset) {
    if (bytes < MAGIC_BYTES + 4 || memcmp(file, magic, MAGIC_BYTES) != 0)
        return false;
    unsigned version = file[MAGIC_BYTES];
    if (version < 1 || version > 3 || (version > 1 && bytes < MAGIC_BYTES + 6))
        return false;
    const uint8_t *p = file + MAGIC_BYTES + 2;
    size_t length = (size_t)p[0] | (size_t)p[1] << 8;
    if (version > 1)
        length |= (size_t)p[2] << 16 | (size_t)p[3] << 24;
    size_t start = MAGIC_BYTES + (version > 1 ? 6 : 4);
    if (length > MAX_HEADER_BYTES || !checked_range(start, length, bytes))
        return false;
    header->text = (const char *)file + start;
    header->end = header->text + length;
    *out_offset = start + length;
    return true;
}

static dtype_t dtype_of_name(const char *name) {
    for (size_t i = 0; i < COUNT_OF(npy_types); i++)
        if (strcmp(npy_types[i].name, name) == 0)
            return npy_types[i].dtype;
    return DTYPE_NONE;
}

static void swap_bytes(uint8_t *data, size_t bytes, size_t word) {
    for (size_t i = 0; i + word <= bytes; i += word)
        for (size_t j = 0; j < word / 2; j++) {
            uint8_t low = data[i + j];
            data[i + j] = data[i + word - 1 - j];
            data[i + word - 1 - j] = low;
        }
}

// From column-major to row-major: walks the output in order, an odometer of indices beside it.
static void copy_fortran(uint8_t *to, const uint8_t *from, const header_t *header, uint64_t n_elems,
                         size_t elem) {
    uint64_t stride[MAX_RANK], index[MAX_RANK] = {0}, at = 0, step = 1;
    for (size_t d = 0; d < header->rank; d++) {
        stride[d] = step;
        step *= (uint64_t)header->dims[d];
    }
    for (uint64_t i = 0; i < n_elems; i++) {
        memcpy(to + i * elem, from + at * elem, elem);
        for (size_t d = header->rank; d-- > 0;) {
            at += stride[d];
            if (++index[d] < (uint64_t)header->dims[d])
                break;
            at -= stride[d] * (uint64_t)header->dims[d];
            index[d] = 0;
        }
    }
}

static void load_data(tool_tensor_t *tensor, const header_t *header, const uint8_t *data) {
    size_t elem = dtype_bytes(tensor->dtype);
    if (header->fortran_order && header->rank > 1)
        copy_fortran(tensor->data, data, header, tensor->n_elems, elem);
    else if (tensor->data_bytes != 0)
        memcpy(tensor->data, data, tensor->data_bytes);
    if (header->descr[0] == '>') // complex: each half on its own
        swap_bytes(tensor->data, tensor->data_bytes,
                   dtype_class(tensor->dtype) == 'C' ? elem / 2 : elem);
}

status_t tool_npy_parse(const uint8_t *file, size_t file_bytes, const char *path, arena_t *arena,
                        diag_t *diag, tool_tensor_t *out_tensor) {
    diag_where_t where = {.model = path};
    header_t header = {0};
    size_t offset = 0;
    if (!split_file(file, file_bytes, &header, &offset) || !parse_header(&header))
        return DIAG_FAIL(diag, STATUS_INVALID, &where, "write it with numpy.save",
                         "no .npy file, or a damaged header");
    dtype_t dtype = dtype_of_name(strchr("<>|=", header.descr[0]) != NULL && header.descr[0] != 0
                                      ? header.descr + 1
                                      : header.descr);
    if (dtype == DTYPE_NONE)
        return DIAG_FAIL(diag, STATUS_UNSUPPORTED, &where, NULL, "element type '%s' of NumPy",
                         header.descr);
    uint64_t n_elems, bytes;
    status_t status = tool_tensor_count(header.dims, header.rank, &n_elems);
    if (status == STATUS_OK)
        status = tool_tensor_bytes(dtype, n_elems, &bytes);
    if (status != STATUS_OK)
        return DIAG_FAIL(diag, status, &where, NULL, "absurd shape");
    if (bytes != file_bytes - offset)
        return DIAG_FAIL(diag, STATUS_INVALID, &where, NULL,
                         "the shape needs %" PRIu64 " bytes of data, the file has %zu", bytes,
                         file_bytes - offset);
    *out_tensor = (tool_tensor_t){.name = "",
                                  .dtype = dtype,
                                  .rank = header.rank,
                                  .n_elems = n_elems,
                                  .data_bytes = (size_t)bytes};
    out_tensor->dims = arena_memdup(arena, header.dims, header.rank * sizeof(int64_t));
    out_tensor->data = arena_must_alloc(arena, (size_t)bytes);
    load_data(out_tensor, &header, file + offset);
    return STATUS_OK;
}

status_t tool_npy_read(const char *path, arena_t *arena, diag_t *diag, tool_tensor_t *out_tensor) {
    file_map_t map;
    status_t status = file_map_open(path, &map);
    if (status != STATUS_OK) {
        diag_where_t where = {.model = path};
        return DIAG_FAIL(diag, status, &where, NULL, "cannot be read: %s", file_error_text(status));
    }
    status = tool_npy_parse(map.data, map.bytes, path, arena, diag, out_tensor);
    file_map_close(&map);
    return status;
}

// The type under which an element is stored; see npy.h.
static const char *name_of_dtype(dtype_t dtype) {
    for (size_t i = 0; i < COUNT_OF(npy_types); i++)
        if (npy_types[i].dtype == dtype)
            return npy_types[i].name;
    if (dtype_bits(dtype) == 16)
        return "u2";
    return dtype_class(dtype) == 'S' ? "i1" : "u1";
}

static void add_header(strbuf_t *out, const tool_tensor_t *tensor) {
    strbuf_t dict;
    strbuf_init(&dict);
    strbuf_printf(&dict, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                  dtype_bytes(tensor->dtype) > 1 ? '<' : '|', name_of_dtype(tensor->dtype));
    for (size_t d = 0; d < tensor->rank; d++)
        strbuf_printf(&dict, "%" PRId64 "%s", tensor->dims[d],
                      d + 1 < tensor->rank ? ", " : (tensor->rank == 1 ? "," : ""));
    strbuf_add(&dict, "), }");
    size_t start = MAGIC_BYTES + 4;
    while ((start + dict.length + 1) % 64 != 0) // data begin aligned
        strbuf_add(&dict, " ");
    strbuf_add(&dict, "\n");
    strbuf_add_bytes(out, magic, MAGIC_BYTES);
    uint8_t rest[4] = {1, 0, (uint8_t)dict.length, (uint8_t)(dict.length >> 8)};
    strbuf_add_bytes(out, rest, sizeof rest);
    strbuf_add_bytes(out, dict.text, dict.length);
    strbuf_deinit(&dict);
}

// One element a byte; signed ones with their sign.
static void write_unpacked(FILE *stream, const tool_tensor_t *tensor) {
    unsigned bits = dtype_bits(tensor->dtype), mask = (1u << bits) - 1, per_byte = 8 / bits;
    for (uint64_t i = 0; i < tensor->n_elems; i++) {
        unsigned value = tensor->data[i / per_byte] >> (i % per_byte * bits) & mask;
        if (dtype_class(tensor->dtype) == 'S' && value >> (bits - 1))
            value |= ~mask;
        putc((int)(value & 0xff), stream);
    }
}

status_t tool_npy_write(const tool_tensor_t *tensor, const char *path, diag_t *diag) {
    diag_where_t where = {.model = path, .tensor = tensor->name};
    if (tensor->dtype == DTYPE_STR || tensor->rank > MAX_RANK)
        return DIAG_FAIL(diag, STATUS_UNSUPPORTED, &where, NULL, ".npy for element type '%s'",
                         dtype_text(tensor->dtype));
    file_out_t out;
    status_t status = file_out_open(path, &out);
    if (status == STATUS_OK) {
        strbuf_t header;
        strbuf_init(&header);
        add_header(&header, tensor);
        fwrite(header.text, 1, header.length, out.stream);
        strbuf_deinit(&header);
        if (dtype_bits(tensor->dtype) < 8)
            write_unpacked(out.stream, tensor);
        else
            fwrite(tensor->data, 1, tensor->data_bytes, out.stream);
        status = file_out_commit(&out); // sees failed writes
    }
    if (status != STATUS_OK)
        return DIAG_FAIL(diag, status, &where, NULL, "cannot be written: %s", status_text(status));
    return STATUS_OK;
}
