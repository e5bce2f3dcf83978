// SPDX-License-Identifier: Apache-2.0
// bench_measure FILE COMMAND...: runs the command and writes "<ms> <peak resident KB>" to FILE.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "Usage: bench_measure FILE COMMAND...\n");
        return 2;
    }
    double start = now_ms();
    pid_t child;
    if (posix_spawnp(&child, argv[2], NULL, NULL, argv + 2, environ) != 0) {
        perror(argv[2]);
        return 1;
    }
    int status;
    struct rusage usage; // of this child and those it waited for: a linker's peak does not add up
    if (wait4(child, &status, 0, &usage) != child)
        return 1;
    double ms = now_ms() - start;
    FILE *file = fopen(argv[1], "w");
    if (file == NULL || fprintf(file, "%.1f %ld\n", ms, usage.ru_maxrss) < 0 || fclose(file) != 0) {
        perror(argv[1]);
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
