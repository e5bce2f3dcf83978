// SPDX-License-Identifier: Apache-2.0
#include "tools/common/image.h"

#include <inttypes.h>
#include <string.h>

#include "support/checked.h"
#include "support/file.h"

enum { MAX_SIDE = 1 << 16, MAX_SAMPLE = 65535 };

typedef struct header {
    size_t channels;
    uint64_t width, height, maximum; // of a sample
    size_t offset;                   // of the samples
} header_t;

bool tool_image_is_name(const char *path) {
    size_t length = strlen(path);
    return length > 4 &&
           (strcmp(path + length - 4, ".pgm") == 0 || strcmp(path + length - 4, ".ppm") == 0);
}

static bool is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Blanks, and comments from '#' to the end of the line.
static size_t skip_blank(const uint8_t *file, size_t bytes, size_t at) {
    while (at < bytes && (is_blank(file[at]) || file[at] == '#')) {
        if (file[at] == '#')
            while (at < bytes && file[at] != '\n')
                at++;
        else
            at++;
    }
    return at;
}

static bool parse_number(const uint8_t *file, size_t bytes, size_t *at, uint64_t limit,
                         uint64_t *out) {
    size_t start = skip_blank(file, bytes, *at), end = start;
    uint64_t value = 0;
    while (end < bytes && file[end] >= '0' && file[end] <= '9' && value <= limit)
        value = value * 10 + (uint64_t)(file[end++] - '0');
    *at = end;
    *out = value;
    return end > start && start > 0 && value >= 1 && value <= limit;
}

static bool parse_header(const uint8_t *file, size_t bytes, header_t *out) {
    if (bytes < 3 || file[0] != 'P' || (file[1] != '5' && file[1] != '6') || !is_blank(file[2]))
        return false;
    out->channels = file[1] == '6' ? 3 : 1;
    out->offset = 2;
    if (!parse_number(file, bytes, &out->offset, MAX_SIDE, &out->width) ||
        !parse_number(file, bytes, &out->offset, MAX_SIDE, &out->height) ||
        !parse_number(file, bytes, &out->offset, MAX_SAMPLE, &out->maximum))
        return false;
    // One blank, then samples: what follows may look like a blank too.
    return out->offset < bytes && is_blank(file[out->offset++]);
}

// Pixel after pixel in the file, plane after plane in the tensor; two bytes are high byte first.
static void load_samples(float *to, const uint8_t *from, const header_t *header) {
    size_t plane = (size_t)(header->width * header->height), wide = header->maximum > 255;
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < header->channels; c++) {
            const uint8_t *p = from + ((i * header->channels + c) << wide);
            unsigned sample = wide ? (unsigned)p[0] << 8 | p[1] : p[0];
            to[c * plane + i] = (float)sample / (float)header->maximum;
        }
}

status_t tool_image_parse(const uint8_t *file, size_t file_bytes, const char *path, arena_t *arena,
                          diag_t *diag, tool_tensor_t *out_tensor) {
    diag_where_t where = {.model = path};
    header_t header;
    if (!parse_header(file, file_bytes, &header))
        return DIAG_FAIL(diag, STATUS_INVALID, &where, "P5 (grey) and P6 (colour) are read",
                         "no binary PGM or PPM picture, or a damaged header");
    // At most 3 * 2^32 samples of 4 bytes: nothing overflows.
    uint64_t n = header.width * header.height * header.channels;
    uint64_t needed = n << (header.maximum > 255);
    if (needed > file_bytes - header.offset)
        return DIAG_FAIL(diag, STATUS_INVALID, &where, NULL,
                         "the picture needs %" PRIu64 " bytes of samples, the file has %zu", needed,
                         file_bytes - header.offset);
    int64_t dims[4] = {1, (int64_t)header.channels, (int64_t)header.height, (int64_t)header.width};
    *out_tensor = (tool_tensor_t){.name = "",
                                  .dtype = DTYPE_F32,
                                  .rank = 4,
                                  .n_elems = n,
                                  .data_bytes = (size_t)n * sizeof(float)};
    out_tensor->dims = arena_memdup(arena, dims, sizeof dims);
    out_tensor->data = arena_must_alloc(arena, out_tensor->data_bytes);
    load_samples((float *)(void *)out_tensor->data, file + header.offset, &header);
    return STATUS_OK;
}

status_t tool_image_read(const char *path, arena_t *arena, diag_t *diag,
                         tool_tensor_t *out_tensor) {
    file_map_t map;
    status_t status = file_map_open(path, &map);
    if (status != STATUS_OK) {
        diag_where_t where = {.model = path};
        return DIAG_FAIL(diag, status, &where, NULL, "cannot be read: %s", file_error_text(status));
    }
    status = tool_image_parse(map.data, map.bytes, path, arena, diag, out_tensor);
    file_map_close(&map);
    return status;
}
