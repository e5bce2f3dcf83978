// SPDX-License-Identifier: Apache-2.0
// Users who take all the places that they get: other users and administrators still get in. Only
// root can be several users; for others the tests are skipped. Argument: accel-cardd.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/status.h"
#include "tests/daemon/served.h"

#define GREEDY      4711u // users
#define GREEDY_TOO  4712u
#define MODEST      4713u
#define N_PROCESSES 5u // of a greedy user: more than it takes for all that the user may have
#define MAX_HELD    600u

typedef struct fixture {
    const char *program;
    served_t served;
    pid_t greedy[2 * N_PROCESSES];
    uint32_t n_greedy;
} fixture_t;

static int start(fixture_t *f, unsigned max_files) {
    const char *const options[] = {"--memory=64M", "--max-clients=40"};
    f->n_greedy = 0;
    if (geteuid() != 0)
        return 0;
    served_start(&f->served, f->program, options, 2, max_files);
    assert_int_equal(chmod(f->served.folder, 0755), 0);
    return 0;
}

static int set_up(void **state) { return start(*state, 0); }
static int set_up_with_few_files(void **state) { return start(*state, 300); }

static int tear_down(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        return 0;
    while (f->n_greedy > 0) {
        pid_t pid = f->greedy[--f->n_greedy];
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    served_stop(&f->served);
    return 0;
}

// --- A process of another user ---

static void become(uid_t uid) {
    if (setgid(uid) != 0 || setuid(uid) != 0)
        _exit(1);
}

// A connection whose hello was answered with `status` in the end; its descriptor, or -1.
static int say_hello(const fixture_t *f, const accel_socket_hello_t *hello, wire_t *out_wire,
                     uint32_t *out_status) {
    *out_wire = (wire_t){.fd = wire_connect(f->served.socket)};
    if (out_wire->fd < 0)
        _exit(1);
    *out_status = wire_greet(out_wire, hello);
    if (*out_status == STATUS_OK)
        return out_wire->fd;
    wire_close(out_wire);
    return -1;
}

static void take_all(const fixture_t *f, uint32_t mode) {
    accel_socket_hello_t hello = wire_hello(mode, 0);
    wire_t wire;
    uint32_t status = STATUS_OK;
    while (status == STATUS_OK)
        (void)say_hello(f, &hello, &wire, &status);
    if (status != STATUS_LIMIT)
        _exit(1);
}

static void takes_monitors(const fixture_t *f) { take_all(f, ACCEL_SOCKET_MONITOR); }
static void takes_clients(const fixture_t *f) { take_all(f, ACCEL_SOCKET_OPEN); }

// As many connections as there are, of as many clients as it takes.
static void takes_connections(const fixture_t *f) {
    accel_socket_hello_t open = wire_hello(ACCEL_SOCKET_OPEN, 0);
    wire_t wire;
    uint32_t status;
    while (say_hello(f, &open, &wire, &status) >= 0) {
        accel_socket_hello_t join = wire_hello(ACCEL_SOCKET_JOIN, 0);
        memcpy(join.token, wire.welcome.token, sizeof join.token);
        for (uint32_t i = 1; i < ACCEL_SOCKET_MAX_CONNECTIONS && status == STATUS_OK; i++)
            (void)say_hello(f, &join, &wire, &status);
    }
    if (status != STATUS_LIMIT)
        _exit(1);
}

// The daemon takes them in this order, so whoever comes later comes behind them.
static void says_nothing(const fixture_t *f) {
    for (uint32_t i = 0; i < MAX_HELD; i++)
        if (wire_connect(f->served.socket) < 0)
            _exit(1);
}

// Buffers of host memory; the processes' clients together could have all there are. Not many of
// each client, since each is put behind all others of its client.
#define HOST_BUFFERS 1200
static void takes_host_buffers(const fixture_t *f) {
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_OPEN, 0);
    uint32_t status;
    wire_t wire;
    while (say_hello(f, &hello, &wire, &status) >= 0) {
        accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = 4096};
        for (uint32_t n = 0; n < HOST_BUFFERS && ASK(&wire, bo, BO_CREATE) == STATUS_OK; n++) {
            close(wire.got_fd);
            wire.got_fd = -1;
        }
        if (bo.head.status != STATUS_OK && bo.head.status != STATUS_LIMIT)
            _exit(1);
    }
}

static void start_one(fixture_t *f, uid_t uid, void (*take)(const fixture_t *f)) {
    int ends[2];
    char byte = 1;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        become(uid);
        take(f);
        if (write(ends[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    f->greedy[f->n_greedy++] = pid;
    assert_int_equal(read(ends[0], &byte, 1), 1); // until it has all that it gets
    close(ends[0]);
}

static void start_greedy(fixture_t *f, uid_t uid, void (*take)(const fixture_t *f)) {
    for (uint32_t i = 0; i < N_PROCESSES; i++)
        start_one(f, uid, take);
}

// --- Who still gets in ---

static uint32_t hello_status(const fixture_t *f, uint32_t mode) {
    accel_socket_hello_t hello = wire_hello(mode, 0);
    wire_t wire;
    uint32_t status;
    if (say_hello(f, &hello, &wire, &status) >= 0)
        wire_close(&wire);
    return status;
}

// The status of a hello of another process of `uid`.
static uint32_t status_of(const fixture_t *f, uid_t uid, uint32_t mode) {
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        become(uid);
        _exit((int)hello_status(f, mode));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return (uint32_t)WEXITSTATUS(status);
}

static void others_get_in(const fixture_t *f) {
    assert_int_equal(hello_status(f, ACCEL_SOCKET_MONITOR), STATUS_OK);
    assert_int_equal(hello_status(f, ACCEL_SOCKET_OPEN), STATUS_OK);
    assert_int_equal(status_of(f, MODEST, ACCEL_SOCKET_MONITOR), STATUS_OK);
    assert_int_equal(status_of(f, MODEST, ACCEL_SOCKET_OPEN), STATUS_OK);
}

static uint32_t host_buffer_status(const fixture_t *f) {
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_OPEN, 0);
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = 4096};
    uint32_t status;
    wire_t wire;
    if (say_hello(f, &hello, &wire, &status) < 0)
        return status;
    status = ASK(&wire, bo, BO_CREATE);
    wire_close(&wire);
    return status;
}

static void host_buffers_of_a_user(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    start_greedy(f, GREEDY, takes_host_buffers);
    assert_int_equal(host_buffer_status(f), STATUS_OK);
    others_get_in(f);
}

static void monitors_of_a_user(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    start_greedy(f, GREEDY, takes_monitors);
    assert_int_equal(status_of(f, GREEDY, ACCEL_SOCKET_MONITOR), STATUS_LIMIT);
    others_get_in(f);
}

static void clients_of_a_user(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    start_greedy(f, GREEDY, takes_clients);
    assert_int_equal(status_of(f, GREEDY, ACCEL_SOCKET_OPEN), STATUS_LIMIT);
    others_get_in(f);
}

static void connections_of_a_user(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    start_greedy(f, GREEDY, takes_connections);
    others_get_in(f);
}

static void silent_connections_of_a_user(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    start_one(f, GREEDY, says_nothing);
    others_get_in(f);
}

// Two users can take all that is not kept; administrators do not notice.
static void administrators_have_places_of_their_own(void **state) {
    static void (*const takes[])(const fixture_t *f) = {takes_monitors, takes_clients,
                                                        takes_connections};
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < sizeof takes / sizeof takes[0]; i++) {
        start_greedy(f, GREEDY, takes[i]);
        start_greedy(f, GREEDY_TOO, takes[i]);
        assert_int_equal(hello_status(f, ACCEL_SOCKET_MONITOR), STATUS_OK);
        assert_int_equal(hello_status(f, ACCEL_SOCKET_OPEN), STATUS_OK);
        while (f->n_greedy > 0) {
            pid_t pid = f->greedy[--f->n_greedy];
            assert_int_equal(kill(pid, SIGKILL), 0);
            assert_int_equal(waitpid(pid, NULL, 0), pid);
        }
    }
}

// Connections are refused before descriptors run out, which would be so for all.
static void descriptors_are_places_too(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    start_greedy(f, GREEDY, says_nothing);
    start_greedy(f, GREEDY_TOO, says_nothing);
    assert_int_equal(hello_status(f, ACCEL_SOCKET_MONITOR), STATUS_OK);
    assert_int_equal(hello_status(f, ACCEL_SOCKET_OPEN), STATUS_OK);
}

// Nor does one process of theirs take all.
static void a_process_of_an_administrator(void **state) {
    fixture_t *f = *state;
    if (geteuid() != 0)
        skip();
    start_one(f, 0, takes_connections);
    start_one(f, 0, takes_monitors);
    others_get_in(f);
}

int main(int argc, char **argv) {
    struct rlimit files;
    if (argc != 2 || getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 2;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    fixture_t f = {.program = argv[1]};
#define TEST(name)                                                                                 \
    { #name, name, set_up, tear_down, &f }
    const struct CMUnitTest tests[] = {
        TEST(monitors_of_a_user),
        TEST(clients_of_a_user),
        TEST(connections_of_a_user),
        TEST(host_buffers_of_a_user),
        TEST(silent_connections_of_a_user),
        TEST(administrators_have_places_of_their_own),
        {"descriptors_are_places_too", descriptors_are_places_too, set_up_with_few_files, tear_down,
         &f},
        TEST(a_process_of_an_administrator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
