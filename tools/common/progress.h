// SPDX-License-Identifier: Apache-2.0
// One line on a terminal that says how far long work is. Silent when the stream is no terminal.
#ifndef TOOLS_COMMON_PROGRESS_H
#define TOOLS_COMMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "support/compiler.h"

typedef struct progress {
    FILE *stream;
    bool live;        // the stream is a terminal
    bool shown;       // a line stands there
    uint64_t last_ns; // when it was last drawn
} progress_t;

void progress_init(progress_t *progress, FILE *stream);
// Redraws the line, at most ten times a second; a call in between costs one clock read.
void progress_update(progress_t *progress, const char *format, ...) PRINTF_LIKE(2, 3);
// Removes the line. Before anything else is printed to the terminal.
void progress_end(progress_t *progress);

#endif
