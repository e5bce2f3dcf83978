// SPDX-License-Identifier: Apache-2.0
// Names of an output's elements, from a file with one a line.
#include <string.h>

#include "support/file.h"
#include "tools/accelrun/accelrun.h"

static void split_lines(run_t *run, const char *text, size_t bytes) {
    size_t capacity = 0;
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t length = end != NULL ? (size_t)(end - (text + at)) : bytes - at;
        ARENA_GROW(run->arena, run->labels, capacity, run->n_labels + 1);
        bool carriage = length > 0 && text[at + length - 1] == '\r';
        run->labels[run->n_labels++] =
            arena_strndup(run->arena, text + at, length - (carriage ? 1 : 0));
        at += length + 1;
    }
}

// Whether labels can be those of this output; sizes known only at run time may be any.
static bool may_label(const accel_io_t *io, uint64_t n_labels) {
    uint64_t count = 1;
    for (uint32_t i = 0; i < io->rank; i++) {
        if (io->dims[i].value < 0)
            return true;
        if (io->dims[i].value != 0 && count > n_labels / (uint64_t)io->dims[i].value)
            return false;
        count *= (uint64_t)io->dims[i].value;
    }
    return count == n_labels;
}

status_t labels_load(run_t *run) {
    const char *path = run->options.labels;
    if (path == NULL)
        return STATUS_OK;
    file_map_t map;
    status_t status = file_map_open(path, &map);
    if (status != STATUS_OK)
        return DIAG_FAIL(run->diag, status, NULL, NULL, "%s: cannot be read: %s", path,
                         file_error_text(status));
    split_lines(run, (const char *)map.data, map.bytes);
    file_map_close(&map);
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        accel_io_t io = {0};
        if (accel_program_output(run->program, i, &io) == ACCEL_OK && may_label(&io, run->n_labels))
            return STATUS_OK;
    }
    return DIAG_FAIL(run->diag, STATUS_INVALID, NULL, "one label a line, as many as elements",
                     "%s has %zu labels, and no output has as many elements", path, run->n_labels);
}
