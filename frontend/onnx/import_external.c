// SPDX-License-Identifier: Apache-2.0
// Data beside the model. A location names a file in the model's folder or below it, never outside.
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/import_internal.h"
#include "support/checked.h"

typedef struct external {
    const char *location;
    uint64_t offset, length;
    bool has_length;
} external_t;

static bool parse_u64(const char *text, uint64_t *out_value) {
    uint64_t value = 0;
    if (text[0] == 0)
        return false;
    for (; *text != 0; text++) {
        if (*text < '0' || *text > '9' || !checked_mul_u64(value, 10, &value) ||
            !checked_add_u64(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out_value = value;
    return true;
}

static status_t read_entries(import_t *im, const node_t *n, const char *what,
                             const Onnx__TensorProto *t, external_t *out) {
    *out = (external_t){0};
    for (size_t i = 0; i < t->n_external_data; i++) {
        const char *key = t->external_data[i]->key, *value = t->external_data[i]->value;
        if (key == NULL || value == NULL)
            continue;
        bool ok = true;
        if (strcmp(key, "location") == 0)
            out->location = value;
        else if (strcmp(key, "offset") == 0)
            ok = parse_u64(value, &out->offset);
        else if (strcmp(key, "length") == 0)
            ok = out->has_length = parse_u64(value, &out->length);
        if (!ok)
            return import_fail(im, n, STATUS_INVALID, "'%s': external %s is '%s', no number", what,
                               key, value);
    }
    return STATUS_OK;
}

// Relative, no "..", no drive, no backslash.
static bool location_is_safe(const char *location) {
    if (location == NULL || location[0] == 0 || location[0] == '/' ||
        strpbrk(location, "\\:") != NULL)
        return false;
    for (const char *part = location; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0))
            return false;
    }
    return true;
}

static status_t open_file(import_t *im, const node_t *n, const char *what, const char *location,
                          const file_map_t **out_map) {
    onnx_files_t *files = im->files;
    for (size_t i = 0; i < files->n_files; i++) {
        if (strcmp(files->files[i].name, location) == 0) {
            *out_map = &files->files[i].map;
            return STATUS_OK;
        }
    }
    const char *path = arena_printf(im->arena, "%s/%s", im->folder, location);
    file_map_t map;
    status_t status = file_map_open(path, &map);
    if (status != STATUS_OK)
        return import_fail(im, n, status, "'%s': external data file %s: %s", what, path,
                           file_error_text(status));
    ARENA_GROW(&files->arena, files->files, files->cap_files, files->n_files + 1);
    onnx_file_t *file = &files->files[files->n_files++];
    *file = (onnx_file_t){.name = arena_strdup(&files->arena, location), .map = map};
    *out_map = &file->map;
    return STATUS_OK;
}

status_t import_external(import_t *im, const node_t *n, const char *what,
                         const Onnx__TensorProto *t, uint64_t bytes, const uint8_t **out_data) {
    external_t e;
    const file_map_t *map = NULL;
    RETURN_IF_ERROR(read_entries(im, n, what, t, &e));
    if (!location_is_safe(e.location))
        return import_fail(im, n, STATUS_INVALID,
                           "'%s': external data at '%s' is not below the model's folder", what,
                           e.location != NULL ? e.location : "");
    if (im->folder == NULL)
        return import_fail(im, n, STATUS_UNSUPPORTED, "'%s': external data of a model in memory",
                           what);
    RETURN_IF_ERROR(open_file(im, n, what, e.location, &map));
    if (e.has_length && e.length != bytes)
        return import_fail(im, n, STATUS_INVALID,
                           "'%s': external length is %llu bytes, its type needs %llu", what,
                           (unsigned long long)e.length, (unsigned long long)bytes);
    if (!checked_range(e.offset, bytes, map->bytes))
        return import_fail(im, n, STATUS_INVALID,
                           "'%s': bytes %llu to %llu are beyond the end of %s (%zu bytes)", what,
                           (unsigned long long)e.offset, (unsigned long long)(e.offset + bytes),
                           e.location, map->bytes);
    *out_data = map->data + e.offset;
    return STATUS_OK;
}
