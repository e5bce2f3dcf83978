// SPDX-License-Identifier: Apache-2.0
// Diagnostics: what went wrong, where in the model, and what to do about it.
#ifndef SUPPORT_DIAG_H
#define SUPPORT_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "support/arena.h"
#include "support/status.h"

typedef enum diag_severity { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE } diag_severity_t;

// Where; every member may be NULL or 0. Strings are copied by diag_report.
typedef struct diag_where {
    const char *model;  // model file
    const char *node;   // ONNX node name (or "#index" where the model gives none)
    const char *op;     // ONNX or IR operator
    const char *tensor; // value name
    const char *pass;   // pass that noticed
    int line;           // line in an IR text, 1-based
} diag_where_t;

typedef struct diag_entry {
    diag_severity_t severity;
    status_t code;
    diag_where_t where;
    const char *message; // one sentence, no trailing period or newline
    const char *hint;    // what to do, or NULL
    const char *file;    // source place that reported
    int source_line;
    struct diag_entry *next;
} diag_entry_t;

// Collects entries in order; the caller made it and owns it. One thread at a time.
typedef struct diag {
    arena_t arena;
    diag_entry_t *first, *last;
    size_t n_errors, n_warnings;
    diag_where_t context; // defaults for members of `where` that a report leaves NULL
} diag_t;

void diag_init(diag_t *diag);
void diag_deinit(diag_t *diag);

// Records an entry and returns `code`, so that `return DIAG_ERROR_AT(...)` reads well.
status_t diag_report(diag_t *diag, diag_severity_t severity, status_t code,
                     const diag_where_t *where, const char *hint, const char *file, int source_line,
                     const char *format, ...) PRINTF_LIKE(8, 9);

#define DIAG_FAIL(diag, code, where, hint, ...)                                                    \
    diag_report(diag, DIAG_ERROR, code, where, hint, __FILE__, __LINE__, __VA_ARGS__)
#define DIAG_WARN(diag, where, hint, ...)                                                          \
    ((void)diag_report(diag, DIAG_WARNING, STATUS_OK, where, hint, __FILE__, __LINE__, __VA_ARGS__))

// "accelc: error: model.onnx: node 'conv1' (Conv): <message>\n    hint: <hint>\n", an entry a line.
// With `verbose`, adds the source place. Repeated identical entries are printed once.
void diag_print(const diag_t *diag, FILE *stream, const char *program, bool verbose);

#endif
