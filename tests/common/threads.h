// SPDX-License-Identifier: Apache-2.0
// How many threads this process has.
#ifndef TESTS_COMMON_THREADS_H
#define TESTS_COMMON_THREADS_H

#include <stdint.h>
#include <stdio.h>

// 0: the system does not say.
static inline uint32_t count_threads(void) {
    char line[128];
    uint32_t n = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "Threads: %u", &n);
    if (file != NULL)
        (void)fclose(file);
    return n;
}

#endif
