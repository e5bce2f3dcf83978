// SPDX-License-Identifier: Apache-2.0
// The daemon and its clients in one process, with each allocation, mapping, thread, descriptor and
// message of either failed once in every operation: success or an error that says something, never
// an end without an answer; daemon, card and process are afterwards as they were before, and the
// next client works. Argument: the number of an operation.
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"
#include "tests/card/check.h"
#include "tests/fault/alloc_wrap.h"
#include "tests/fault/daemon_acts.h"

#define HANG_SECONDS 60 // of one run; ends the test

typedef struct daemon {
    daemon_server_t *server;
    char folder[32], socket[48];
    int listener, lock, log;
    pthread_t thread;
    // While nobody is connected.
    int64_t live;
    uint32_t n_fds;
    uint64_t memory_free;
} daemon_t;

static uint32_t open_descriptors(void) {
    uint32_t n = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        n++;
    (void)closedir(folder);
    return n;
}

// --- The daemon ---

static daemon_options_t options_of(void) {
    return (daemon_options_t){.card = {.version = SIM_VERSION,
                                       .profile = isa_profile_find("edge"),
                                       .cores = 1,
                                       .engines = SIM_ENGINES_REF,
                                       .memory_bytes = UINT64_C(64) << 20},
                              .n_cards = 1,
                              .max_clients = 16,
                              .client_host_memory = UINT64_C(64) << 20,
                              .host_memory = UINT64_C(128) << 20};
}

static void *serve(void *arg) {
    daemon_t *d = arg;
    CHECK_EQUAL(daemon_server_run(d->server, d->listener), STATUS_OK);
    return NULL;
}

static void block_signals(void) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    CHECK_EQUAL((unsigned)pthread_sigmask(SIG_BLOCK, &signals, NULL), 0);
}

static void start(daemon_t *d) {
    daemon_options_t options = options_of();
    (void)snprintf(d->folder, sizeof d->folder, "/tmp/accel-alloc-XXXXXX");
    CHECK(mkdtemp(d->folder) != NULL);
    (void)snprintf(d->socket, sizeof d->socket, "%s/socket", d->folder);
    d->server = calloc(1, sizeof *d->server);
    CHECK(d->server != NULL);
    CHECK_EQUAL(daemon_server_start(d->server, &options, d->log), STATUS_OK);
    CHECK_EQUAL(daemon_socket_open(&d->server->log, d->socket, 0600, &d->listener, &d->lock),
                STATUS_OK);
    CHECK_EQUAL((unsigned)pthread_create(&d->thread, NULL, serve, d), 0);
}

static void stop(daemon_t *d) {
    CHECK_EQUAL((unsigned)kill(getpid(), SIGTERM), 0);
    CHECK_EQUAL((unsigned)pthread_join(d->thread, NULL), 0);
    daemon_socket_close(d->socket, d->listener, d->lock);
    daemon_server_stop(d->server);
    free(d->server);
    CHECK_EQUAL((unsigned)rmdir(d->folder), 0);
}

// --- Quiet ---

static bool is_empty(daemon_server_t *server) {
    (void)pthread_mutex_lock(&server->mutex);
    bool result = server->n_connections == 0 && list_is_empty(&server->clients) &&
                  server->n_host == 0 && server->host_bytes == 0;
    (void)pthread_mutex_unlock(&server->mutex);
    return result;
}

// The daemon learns of a client's end when it looks at its socket.
static bool comes_to_rest(const daemon_t *d, bool wait_for_memory) {
    const struct timespec pause = {.tv_nsec = 100000};
    for (int i = 0; i < 100000; i++) {
        if (is_empty(d->server) &&
            (!wait_for_memory || (alloc_live() == d->live && open_descriptors() == d->n_fds)))
            return true;
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

static void note_rest(daemon_t *d) {
    CHECK(comes_to_rest(d, false));
    const struct timespec pause = {.tv_nsec = 20000000};
    (void)nanosleep(&pause, NULL); // a connection's thread frees it last
    d->live = alloc_live();
    d->n_fds = open_descriptors();
}

// --- Runs ---

static status_t begin(session_t *s, const act_t *act) {
    if (act->closed)
        return STATUS_OK;
    RETURN_IF_ERROR(session_open(s));
    RETURN_IF_ERROR(session_furnish(s));
    return act->prepare != NULL ? act->prepare(s) : STATUS_OK;
}

// The next client: finds all of the card's memory, and can do the same.
static status_t run_well(daemon_t *d, const act_t *act) {
    session_t s = {.socket = d->socket};
    accel_req_info_t info;
    status_t status = session_open(&s);
    if (status == STATUS_OK && (status = session_info(&s, &info)) == STATUS_OK) {
        if (d->memory_free == 0)
            d->memory_free = info.memory_free;
        CHECK_EQUAL(info.memory_free, d->memory_free);
    }
    session_close(&s);
    CHECK(comes_to_rest(d, false));
    if (status == STATUS_OK && (status = begin(&s, act)) == STATUS_OK)
        status = act->run(&s);
    session_close(&s);
    CHECK(comes_to_rest(d, d->n_fds != 0));
    return status;
}

static uint64_t count(daemon_t *d, const act_t *act) {
    session_t s = {.socket = d->socket};
    CHECK_EQUAL(begin(&s, act), STATUS_OK);
    alloc_plan(0, 0);
    CHECK_EQUAL(act->run(&s), STATUS_OK);
    session_close(&s);
    CHECK(comes_to_rest(d, true));
    return alloc_calls();
}

static bool is_told(const act_t *act, status_t status, const accel_error_t *error) {
    return status != STATUS_INTERNAL && status != STATUS_INVALID &&
           (!act->closed || error->text[0] != 0);
}

// True when the failure could be borne.
static bool run_failing(daemon_t *d, const act_t *act, uint64_t n) {
    session_t s = {.socket = d->socket};
    (void)alarm(HANG_SECONDS);
    CHECK_EQUAL(begin(&s, act), STATUS_OK);
    alloc_plan(n, 1);
    status_t status = act->run(&s);
    bool told = status == STATUS_OK || is_told(act, status, &s.error);
    session_close(&s);
    bool rests = comes_to_rest(d, true);
    alloc_plan(0, 0);
    status_t again = run_well(d, act);
    if (!told || !rests || again != STATUS_OK) {
        printf("%s, call %" PRIu64 " fails: %s '%s', again: %s, %" PRId64 " blocks and pages kept, "
               "%d descriptors\n",
               act->name, n, status_text(status), s.error.text, status_text(again),
               alloc_live() - d->live, (int)open_descriptors() - (int)d->n_fds);
        exit(1);
    }
    return status == STATUS_OK;
}

static void run_act(daemon_t *d, const act_t *act) {
    CHECK_EQUAL(run_well(d, act), STATUS_OK);
    uint64_t n_calls = count(d, act), n_borne = 0;
    for (uint64_t n = 1; n <= n_calls; n++)
        n_borne += run_failing(d, act, n);
    (void)alarm(0);
    printf("%3" PRIu64 " calls: %s; %" PRIu64 " runs went well all the same\n", n_calls, act->name,
           n_borne);
}

// --- Start ---

static status_t start_and_stop(int log) {
    daemon_options_t options = options_of();
    daemon_server_t *server = calloc(1, sizeof *server);
    if (server == NULL)
        return STATUS_NO_MEMORY;
    status_t status = daemon_server_start(server, &options, log);
    if (status == STATUS_OK)
        daemon_server_stop(server);
    free(server);
    return status;
}

static void run_start(int log) {
    int64_t live = alloc_live();
    alloc_plan(0, 0);
    CHECK_EQUAL(start_and_stop(log), STATUS_OK);
    uint64_t n_calls = alloc_calls();
    uint32_t n_fds = open_descriptors();
    for (uint64_t i = 0; i < 2 * n_calls; i++) {
        (void)alarm(HANG_SECONDS);
        alloc_plan(1 + i / 2, i % 2 == 0 ? 1 : UINT64_MAX);
        status_t status = start_and_stop(log);
        alloc_plan(0, 0);
        if (status == STATUS_INTERNAL || alloc_live() != live || open_descriptors() != n_fds) {
            printf("start, call %" PRIu64 " fails: %s, %" PRId64 " blocks and pages kept\n",
                   1 + i / 2, status_text(status), alloc_live() - live);
            exit(1);
        }
    }
    CHECK_EQUAL(start_and_stop(log), STATUS_OK);
    printf("%3" PRIu64 " calls: start of the daemon\n", n_calls);
}

// --- All ---

static void check_all_are_there(void) {
#define TOLD(name, number, type, who, meaning)                                                     \
    {                                                                                              \
        bool there = false;                                                                        \
        for (uint32_t i = 0; i < n_acts; i++)                                                      \
            there |= acts[i].op == (number);                                                       \
        CHECK(there);                                                                              \
    }
    ACCEL_UAPI_TABLE(TOLD)
#undef TOLD
}

int main(int argc, char **argv) {
    daemon_t d = {.log = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    uint32_t first = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    uint32_t end = argc > 1 ? first + 1 : n_acts;
    CHECK(end <= n_acts && d.log >= 0);
    check_all_are_there();
    block_signals();
    if (argc == 1)
        run_start(d.log);
    start(&d);
    for (uint32_t i = first; i < end; i++)
        CHECK_EQUAL(run_well(&d, &acts[i]), STATUS_OK); // what is made once, and kept, is there
    note_rest(&d);
    for (uint32_t i = first; i < end; i++)
        run_act(&d, &acts[i]);
    stop(&d);
    (void)close(d.log);
    return 0;
}
