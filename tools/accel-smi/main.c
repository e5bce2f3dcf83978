// SPDX-License-Identifier: Apache-2.0
// accel-smi in the world.
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#include "tools/accel-smi/smi.h"
#include "tools/common/cli.h"
#include "tools/common/place.h"

static accel_status_t open_manager(void *user, const char *socket, accel_manager_t **out_manager,
                                   accel_error_t *error) {
    (void)user;
    return accel_manager_open(socket, out_manager, error);
}

static void sleep_ms(void *user, uint64_t ms) {
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)user;
    (void)nanosleep(&time, NULL);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t monotonic_ns(void *user) {
    (void)user;
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t wall_ns(void *user) {
    (void)user;
    return clock_ns(CLOCK_REALTIME);
}

// Ctrl-C is the command's, as in a shell: we go on when it has ended.
static int run(void *user, char *const *argv) {
    extern char **environ;
    pid_t pid;
    int status = 0;
    (void)user;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
        return 127;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
    (void)sigaction(SIGINT, &ignore, &interrupt);
    (void)sigaction(SIGQUIT, &ignore, &quit);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGQUIT, &quit, NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    cli_guard_streams();
    smi_world_t world = {
        .out = stdout,
        .err = stderr,
        .socket = place_of_daemon_here(),
        .open = open_manager,
        .sleep_ms = sleep_ms,
        .monotonic_ns = monotonic_ns,
        .wall_ns = wall_ns,
        .run = run,
    };
    return smi_run(&world, argc, argv);
}
