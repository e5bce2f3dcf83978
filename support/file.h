// SPDX-License-Identifier: Apache-2.0
// Files: read-only mapping, and output that appears whole or not at all.
#ifndef SUPPORT_FILE_H
#define SUPPORT_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "support/status.h"

typedef struct file_map {
    const uint8_t *data; // NULL for an empty file
    size_t bytes;
    void *os_handle;
} file_map_t;

// Maps a regular file read-only and private. STATUS_NOT_FOUND, STATUS_DENIED, STATUS_INVALID (a
// folder, a device, a pipe), STATUS_IO.
WARN_UNUSED status_t file_map_open(const char *path, file_map_t *out_map);
// What a failure of it, or of file_out_open, means to a person.
static inline const char *file_error_text(status_t status) {
    return status == STATUS_INVALID ? "it is no regular file" : status_text(status);
}
void file_map_close(file_map_t *map);

// Output to `path` through a temporary file beside it; only commit makes `path` appear.
typedef struct file_out {
    FILE *stream;
    char *path, *temp_path;
} file_out_t;

WARN_UNUSED status_t file_out_open(const char *path, file_out_t *out_file);
// Flushes, closes and renames. On failure the temporary file is removed.
WARN_UNUSED status_t file_out_commit(file_out_t *file);
// Closes and removes the temporary file; harmless after commit.
void file_out_abort(file_out_t *file);

#endif
