// SPDX-License-Identifier: Apache-2.0
#include "tools/common/progress.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void progress_init(progress_t *progress, FILE *stream) {
    *progress = (progress_t){.stream = stream, .live = isatty(fileno(stream)) == 1};
}

void progress_update(progress_t *progress, const char *format, ...) {
    if (!progress->live)
        return;
    uint64_t now = now_ns();
    if (progress->shown && now - progress->last_ns < 100000000u)
        return;
    progress->last_ns = now;
    progress->shown = true;
    char line[79]; // fits a terminal of 80 columns without wrapping
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(progress->stream, "\r\033[K%s", line);
    fflush(progress->stream);
}

void progress_end(progress_t *progress) {
    if (!progress->shown)
        return;
    fputs("\r\033[K", progress->stream);
    fflush(progress->stream);
    progress->shown = false;
}
