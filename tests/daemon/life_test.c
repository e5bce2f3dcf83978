// SPDX-License-Identifier: Apache-2.0
// Clients that die, stop, flood or are too many; a daemon that ends or died. What a client had
// comes back, and others never notice. Argument: accel-cardd.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "isa/card.h"
#include "support/status.h"
#include "tests/daemon/served.h"

typedef struct fixture {
    const char *program;
    served_t served;
    wire_t bystander;
} fixture_t;

static void start_with(fixture_t *f, const char *option, unsigned max_files) {
    const char *const options[] = {"--memory=64M", "--client-host-memory=64M", option};
    served_start(&f->served, f->program, options, option != NULL ? 3 : 2, max_files);
    wire_open(&f->bystander, &f->served, ACCEL_SOCKET_OPEN, 0);
}

static int set_up(void **state) {
    start_with(*state, NULL, 0);
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_true(wire_free_memory(&f->bystander) > 0);
    wire_close(&f->bystander);
    served_stop(&f->served);
    return 0;
}

// --- A child that is a client ---

typedef struct child {
    pid_t pid;
    int told; // the child writes a byte when it is where the test wants it
} child_t;

static child_t child_start(fixture_t *f, void (*run)(fixture_t *f, int tell)) {
    int ends[2];
    child_t child;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        close(f->bystander.fd);
        run(f, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    child.told = ends[0];
    return child;
}

static void tell(int fd) {
    char byte = 1;
    if (write(fd, &byte, 1) != 1)
        _exit(1);
}

static void child_wait(const child_t *child) {
    char byte;
    assert_int_equal(read(child->told, &byte, 1), 1);
}

static void child_kill(const child_t *child) {
    int status;
    assert_int_equal(kill(child->pid, SIGKILL), 0);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->told);
}

// --- What comes back ---

typedef struct before {
    fixture_t *f;
    uint64_t free_memory;
    size_t descriptors, mappings;
} before_t;

static before_t look_now(fixture_t *f) {
    return (before_t){f, wire_free_memory(&f->bystander), served_descriptors(&f->served),
                      served_host_mappings(&f->served)};
}

// When those that left just now are gone.
static before_t look(fixture_t *f) {
    before_t last = look_now(f);
    for (int same = 0; same < 5;) {
        usleep(5000);
        before_t now = look_now(f);
        same = now.descriptors == last.descriptors ? same + 1 : 0;
        last = now;
    }
    return last;
}

static bool as_before(void *arg) {
    const before_t *before = arg;
    before_t now = look_now(before->f);
    return now.free_memory == before->free_memory && now.descriptors == before->descriptors &&
           now.mappings == before->mappings;
}

static uint32_t make_all(wire_t *wire) {
    accel_req_handle_t vm = {0};
    accel_req_sync_t sync = {0};
    accel_req_bo_create_t bo = {.bytes = 8 << 20};
    accel_req_bo_create_t host = {.head.flags = ACCEL_BO_HOST, .bytes = 8 << 20};
    if (ASK(wire, vm, VM_CREATE) != 0 || ASK(wire, sync, SYNC_CREATE) != 0 ||
        ASK(wire, bo, BO_CREATE) != 0 || ASK(wire, host, BO_CREATE) != 0)
        _exit(1);
    accel_req_ctx_create_t context = {.vm = vm.handle};
    accel_req_bind_t bind = {.vm = vm.handle,
                             .bo = host.handle,
                             .prot = ACCEL_PROT_WRITE,
                             .va = 0x40000000,
                             .bytes = 8 << 20};
    accel_req_bind_t bind_card = bind;
    bind_card.bo = bo.handle;
    bind_card.va = 0x80000000;
    if (ASK(wire, context, CTX_CREATE) != 0 || ASK(wire, bind, BIND) != 0 ||
        ASK(wire, bind_card, BIND) != 0)
        _exit(1);
    // Work that never becomes ready, on a timeline that nobody moves.
    accel_req_submit_t copy = {.ctx = context.handle,
                               .node = ACCEL_NODE_COPY,
                               .dst = 0x80000000,
                               .src = 0x40000000,
                               .bytes = 4096,
                               .rows = 1,
                               .n_in = 1,
                               .in = {{.sync = sync.handle, .value = 5}}};
    for (int i = 0; i < 50; i++)
        if (ASK(wire, copy, SUBMIT) != 0)
            _exit(1);
    return sync.handle;
}

static void has_much(fixture_t *f, int told) {
    wire_t wire;
    wire_open(&wire, &f->served, ACCEL_SOCKET_OPEN, 0);
    (void)make_all(&wire);
    tell(told);
    pause();
}

static void waits_for_ever(fixture_t *f, int told) {
    wire_t wire;
    wire_open(&wire, &f->served, ACCEL_SOCKET_OPEN, 0);
    accel_req_sync_t wait = {.handle = make_all(&wire), .value = 1, .timeout_ns = UINT64_MAX};
    tell(told);
    (void)ASK(&wire, wait, SYNC_WAIT);
}

static void a_killed_client_gives_all_back(void **state) {
    fixture_t *f = *state;
    before_t before = look(f);
    for (int i = 0; i < 5; i++) {
        child_t child = child_start(f, has_much);
        child_wait(&child);
        assert_true(wire_free_memory(&f->bystander) <= before.free_memory - (8 << 20));
        assert_int_equal(served_host_mappings(&f->served), before.mappings + 1);
        child_kill(&child);
        assert_true(eventually(as_before, &before));
    }
    assert_true(served_logged(&f->served, "client 2 left"));
}

// Its thread sits in rm; without being told, it would sit there for ever.
static void a_client_killed_in_a_wait_gives_all_back(void **state) {
    fixture_t *f = *state;
    before_t before = look(f);
    for (int i = 0; i < 5; i++) {
        child_t child = child_start(f, waits_for_ever);
        child_wait(&child);
        if (i % 2 == 0) // most likely in the wait by now; either way it comes back
            usleep(20000);
        child_kill(&child);
        assert_true(eventually(as_before, &before));
    }
}

static bool has_left(void *arg) {
    const before_t *before = arg;
    return served_descriptors(&before->f->served) == before->descriptors;
}

static accel_req_telemetry_t telemetry(wire_t *wire) {
    accel_req_telemetry_t now = {0};
    assert_int_equal(ASK(wire, now, TELEMETRY), STATUS_OK);
    return now;
}

static void reset_and(fixture_t *f, int told, bool again) {
    wire_t wire;
    wire_open(&wire, &f->served, ACCEL_SOCKET_OPEN, 0);
    accel_req_reset_t reset = {.level = ACCEL_RESET_CARD};
    tell(told);
    do
        (void)ASK(&wire, reset, RESET);
    while (again);
    pause();
}
static void resets_the_card(fixture_t *f, int told) { reset_and(f, told, false); }
static void resets_again_and_again(fixture_t *f, int told) { reset_and(f, told, true); }

// A reset of the card lasts half a second when only one of the function ends the hang.
static void make_resets_last(wire_t *wire) {
    accel_req_inject_t hang = {.what = ISA_INJECT_HANG, .argument = ISA_NODE_COMPUTE | 2 << 8};
    assert_int_equal(ASK(wire, hang, INJECT), STATUS_OK);
}

static bool is_recovering(void *arg) { return telemetry(arg).card_state == ACCEL_CARD_RECOVERING; }

static bool is_ready(void *arg) { return telemetry(arg).card_state == ACCEL_CARD_READY; }

// True: the client was dead when the reset that it had asked for was still under way.
static bool kill_in_a_reset(fixture_t *f, wire_t *monitor) {
    make_resets_last(monitor);
    uint32_t resets = telemetry(monitor).card_resets;
    child_t child = child_start(f, resets_the_card);
    child_wait(&child);
    assert_true(eventually(is_recovering, monitor));
    child_kill(&child);
    accel_req_telemetry_t now = telemetry(monitor);
    assert_true(eventually(is_ready, monitor));
    assert_int_equal(telemetry(monitor).card_resets, resets + 1);
    return now.card_state == ACCEL_CARD_RECOVERING && now.card_resets == resets;
}

typedef struct resets {
    wire_t *monitor;
    uint32_t n;
} resets_t;

static bool were_reset(void *arg) {
    const resets_t *resets = arg;
    return telemetry(resets->monitor).card_resets >= resets->n;
}

// At whatever moment of one reset after the other.
static void kill_between_resets(fixture_t *f, wire_t *monitor, uint32_t n) {
    resets_t resets = {monitor, telemetry(monitor).card_resets + n};
    child_t child = child_start(f, resets_again_and_again);
    child_wait(&child);
    assert_true(eventually(were_reset, &resets));
    child_kill(&child);
}

static void a_client_killed_in_a_reset_leaves_a_card(void **state) {
    fixture_t *f = *state;
    wire_t monitor;
    accel_req_bo_create_t bo = {.bytes = 1 << 20};
    wire_open(&monitor, &f->served, ACCEL_SOCKET_MONITOR, 0);
    before_t before = look(f);
    int met = 0;
    for (int i = 0; i < 20 && met < 3; i++)
        met += kill_in_a_reset(f, &monitor);
    assert_int_equal(met, 3);
    for (uint32_t i = 0; i < 3; i++)
        kill_between_resets(f, &monitor, i);
    // What the daemon had read of a client's before it died is still done: up to one reset each,
    // and whoever opens before it loses the card again.
    assert_true(eventually(has_left, &before));
    assert_int_equal(ASK(&f->bystander, bo, BO_CREATE), STATUS_DEVICE_LOST);
    wire_close(&f->bystander); // its card was lost to the resets
    wire_open(&f->bystander, &f->served, ACCEL_SOCKET_OPEN, 0);
    assert_int_equal(ASK(&f->bystander, bo, BO_CREATE), STATUS_OK);
    before_t settled = look_now(f);
    settled.descriptors = before.descriptors;
    assert_true(eventually(as_before, &settled));
    wire_close(&monitor);
}

// --- Clients that do not read, or never stop writing ---

// Sends messages and reads no answer, until the socket takes no more.
static size_t flood(wire_t *wire) {
    struct {
        accel_socket_head_t head;
        accel_req_info_t info;
    } m = {.head = {.magic = ACCEL_SOCKET_MAGIC, .bytes = sizeof m, .n_requests = 1},
           .info.head = {sizeof m.info, ACCEL_REQ_INFO, ACCEL_UAPI_VERSION, 0, 0}};
    size_t n = 0;
    for (int quiet = 0; quiet < 20;) {
        if (send(wire->fd, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof m) {
            n++, quiet = 0;
        } else {
            quiet++;
            usleep(1000);
        }
    }
    return n;
}

static void fills_and_stops(fixture_t *f, int told) {
    wire_t wire;
    wire_open(&wire, &f->served, ACCEL_SOCKET_OPEN, 0);
    (void)make_all(&wire);
    if (flood(&wire) < 10)
        _exit(1);
    tell(told);
    raise(SIGSTOP);
}

static void a_stopped_client_blocks_nobody(void **state) {
    fixture_t *f = *state;
    before_t before = look(f);
    child_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = child_start(f, fills_and_stops);
        child_wait(&children[i]);
    }
    for (int i = 0; i < 200; i++) {
        accel_req_bo_create_t bo = {.bytes = 4096};
        assert_int_equal(ASK(&f->bystander, bo, BO_CREATE), STATUS_OK);
        accel_req_handle_t handle = {.handle = bo.handle};
        assert_int_equal(ASK(&f->bystander, handle, BO_DESTROY), STATUS_OK);
    }
    wire_t other;
    wire_open(&other, &f->served, ACCEL_SOCKET_OPEN, 0);
    wire_close(&other);
    for (int i = 0; i < 3; i++)
        child_kill(&children[i]);
    assert_true(eventually(as_before, &before));
}

static void floods(fixture_t *f, int told) {
    wire_t wires[4];
    for (int i = 0; i < 4; i++)
        wire_open(&wires[i], &f->served, ACCEL_SOCKET_OPEN, 0);
    tell(told);
    for (;;) {
        accel_req_info_t info = {0};
        for (int i = 0; i < 4; i++)
            (void)ASK(&wires[i], info, INFO);
    }
}

static void a_flooding_client_starves_nobody(void **state) {
    fixture_t *f = *state;
    before_t before = look(f);
    child_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = child_start(f, floods);
        child_wait(&children[i]);
    }
    for (int i = 0; i < 100; i++)
        assert_true(wire_free_memory(&f->bystander) > 0);
    for (int i = 0; i < 3; i++)
        child_kill(&children[i]);
    assert_true(eventually(as_before, &before));
}

// Queues copies that wait for a timeline nobody moves, on `told` until no more are taken.
static void queues_all_it_can(fixture_t *f, int told) {
    wire_t wires[8];
    for (int i = 0; i < 8; i++) {
        wire_open(&wires[i], &f->served, ACCEL_SOCKET_OPEN, 0);
        accel_req_handle_t vm = {0};
        accel_req_sync_t sync = {0};
        if (ASK(&wires[i], vm, VM_CREATE) != 0 || ASK(&wires[i], sync, SYNC_CREATE) != 0)
            _exit(1);
        accel_req_ctx_create_t context = {.vm = vm.handle};
        accel_req_submit_t copy = {.node = ACCEL_NODE_COPY,
                                   .dst = 0x80000000,
                                   .src = 0x40000000,
                                   .bytes = 64,
                                   .rows = 1,
                                   .n_in = 1,
                                   .in = {{.sync = sync.handle, .value = 1}}};
        if (ASK(&wires[i], context, CTX_CREATE) != 0)
            _exit(1);
        copy.ctx = context.handle;
        uint32_t status = 0, n = 0;
        while (status == 0 && ++n < 100000)
            status = ASK(&wires[i], copy, SUBMIT);
        if (status != STATUS_BUSY)
            _exit(1);
    }
    tell(told);
    pause();
}

static void a_client_that_queues_much_takes_nobodys_place(void **state) {
    fixture_t *f = *state;
    accel_req_handle_t vm = {0};
    accel_req_sync_t sync = {0};
    before_t before = look(f);
    child_t child = child_start(f, queues_all_it_can);
    child_wait(&child);
    assert_int_equal(ASK(&f->bystander, vm, VM_CREATE), STATUS_OK);
    assert_int_equal(ASK(&f->bystander, sync, SYNC_CREATE), STATUS_OK);
    accel_req_ctx_create_t context = {.vm = vm.handle};
    assert_int_equal(ASK(&f->bystander, context, CTX_CREATE), STATUS_OK);
    for (uint64_t i = 1; i <= 100; i++) {
        accel_req_submit_t copy = {.ctx = context.handle,
                                   .node = ACCEL_NODE_COPY,
                                   .dst = 0x80000000,
                                   .src = 0x40000000,
                                   .bytes = 64,
                                   .rows = 1,
                                   .n_in = 1,
                                   .in = {{.sync = sync.handle, .value = i}}};
        assert_int_equal(ASK(&f->bystander, copy, SUBMIT), STATUS_OK);
    }
    accel_req_handle_t handle = {.handle = context.handle};
    assert_int_equal(ASK(&f->bystander, handle, CTX_DESTROY), STATUS_OK);
    handle.handle = vm.handle;
    assert_int_equal(ASK(&f->bystander, handle, VM_DESTROY), STATUS_OK);
    child_kill(&child);
    assert_true(eventually(as_before, &before));
}

// --- Too many ---

static uint32_t try_open(fixture_t *f, wire_t *out_wire) {
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_OPEN, 0);
    *out_wire = (wire_t){.fd = wire_connect(f->served.socket)};
    return wire_greet(out_wire, &hello);
}

static void a_process_does_not_get_all_places(void **state) {
    fixture_t *f = *state;
    start_with(f, "--max-clients=40", 0);
    wire_t wires[11];
    uint32_t n = 0;
    while (n < 11 && try_open(f, &wires[n]) == STATUS_OK)
        n++;
    assert_int_equal(n, 9); // and the bystander
    wire_close(&wires[n]);
    child_t child = child_start(f, has_much); // another process
    child_wait(&child);
    child_kill(&child);
    while (n > 0)
        wire_close(&wires[--n]);
}

static bool gets_a_place(void *arg) {
    wire_t wire;
    bool ok = try_open(arg, &wire) == STATUS_OK;
    wire_close(&wire);
    return ok;
}

static void a_full_daemon_refuses_and_goes_on(void **state) {
    fixture_t *f = *state;
    start_with(f, "--max-clients=2", 0);
    wire_t second, third, monitor;
    wire_open(&second, &f->served, ACCEL_SOCKET_OPEN, 0);
    assert_int_equal(try_open(f, &third), STATUS_LIMIT);
    wire_close(&third);
    wire_open(&monitor, &f->served, ACCEL_SOCKET_MONITOR, 0); // whoever looks after it still can
    wire_close(&monitor);
    wire_close(&second);
    assert_true(eventually(gets_a_place, f));
}

static void descriptors_may_run_out(void **state) {
    fixture_t *f = *state;
    start_with(f, NULL, 40);
    wire_t wires[64];
    uint32_t n = 0, refused = 0;
    for (; n < 64; n++) {
        wires[n] = (wire_t){.fd = wire_connect(f->served.socket), .got_fd = -1};
        assert_true(wires[n].fd >= 0);
    }
    // Those that have one are not served worse; those without are told, not left to hang.
    assert_true(wire_free_memory(&f->bystander) > 0);
    for (uint32_t i = 0; i < n; i++) {
        accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_OPEN, 0);
        refused += wire_greet(&wires[i], &hello) != STATUS_OK;
    }
    assert_true(refused > 20 && refused < 64);
    // A buffer of host memory needs one for a moment.
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = 4096};
    uint32_t status = ASK(&f->bystander, bo, BO_CREATE);
    assert_true(status == STATUS_OK || status == STATUS_LIMIT);
    for (uint32_t i = 0; i < n; i++)
        wire_close(&wires[i]);
    assert_true(eventually(gets_a_place, f));
}

static void memory_may_run_out(void **state) {
    fixture_t *f = *state;
    uint32_t handles[32], n = 0, status;
    for (;;) { // 64 MiB of card memory
        accel_req_bo_create_t bo = {.bytes = 4 << 20};
        status = ASK(&f->bystander, bo, BO_CREATE);
        if (status != STATUS_OK || n == 32)
            break;
        handles[n++] = bo.handle;
    }
    assert_true(n >= 8 && (status == STATUS_NO_MEMORY || status == STATUS_LIMIT));
    wire_t other;
    wire_open(&other, &f->served, ACCEL_SOCKET_OPEN, 0);
    accel_req_sync_t sync = {0};
    assert_int_equal(ASK(&other, sync, SYNC_CREATE), STATUS_OK);
    wire_close(&other);
    while (n > 0) {
        accel_req_handle_t handle = {.handle = handles[--n]};
        assert_int_equal(ASK(&f->bystander, handle, BO_DESTROY), STATUS_OK);
    }
    accel_req_bo_create_t bo = {.bytes = 16 << 20};
    assert_int_equal(ASK(&f->bystander, bo, BO_CREATE), STATUS_OK);
}

// --- The daemon's own life ---

static void it_ends_with_clients_that_wait(void **state) {
    fixture_t *f = *state;
    start_with(f, NULL, 0);
    child_t child = child_start(f, waits_for_ever);
    int status = -1;
    child_wait(&child);
    served_stop(&f->served); // checks that it ends with 0
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.told);
    wire_close(&f->bystander);
}

static int run_to_end(const char *const *args) {
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, STDERR_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        execv(args[0], (char *const *)(uintptr_t)args);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool is_gone(void *arg) { return access(arg, F_OK) != 0; }
static bool is_removed(void *arg) { return rmdir(arg) == 0; } // the lock's file goes last

// In the background it returns when it can be used, and says nothing.
static void it_goes_to_the_background(void **state) {
    fixture_t *f = *state;
    char folder[] = "/tmp/accel-daemon-XXXXXX", option[96], socket[64];
    wire_t wire = {0};
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_OPEN, 0);
    assert_non_null(mkdtemp(folder));
    snprintf(socket, sizeof socket, "%s/card.sock", folder);
    snprintf(option, sizeof option, "--socket=%s", socket);
    const char *const args[] = {f->program, "--memory=16M", option, NULL};
    const char *const again[] = {f->program, option, NULL};
    assert_int_equal(run_to_end(args), 0);
    wire.fd = wire_connect(socket);
    assert_true(wire.fd >= 0);
    assert_int_equal(wire_greet(&wire, &hello), STATUS_OK);
    assert_int_equal(run_to_end(again), 1);
    // Nobody's child here: its end shows by the connection's, and by the socket that is gone.
    assert_int_equal(kill((pid_t)wire.welcome.pid, SIGTERM), 0);
    uint8_t byte;
    assert_int_equal(wire_receive(&wire, &byte, 1), 0);
    wire_close(&wire);
    assert_true(eventually(is_gone, socket));
    assert_true(eventually(is_removed, folder));
}

static void it_tells_the_system_that_it_is_ready(void **state) {
    fixture_t *f = *state;
    char folder[] = "/tmp/accel-daemon-XXXXXX", text[16] = "";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    start_with(f, NULL, 0);
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 7);
    assert_string_equal(text, "READY=1");
    close(fd);
    unlink(address.sun_path);
    rmdir(folder);
}

static void a_second_daemon_is_refused(void **state) {
    fixture_t *f = *state;
    char option[128] = "--socket=";
    strcat(option, f->served.socket);
    const char *const args[] = {f->program, "--foreground", option, NULL};
    assert_int_equal(run_to_end(args), 1);
}

static void a_socket_left_over_is_taken(void **state) {
    fixture_t *f = *state;
    start_with(f, NULL, 0);
    assert_int_equal(kill(f->served.pid, SIGKILL), 0);
    assert_int_equal(waitpid(f->served.pid, NULL, 0), f->served.pid);
    uint8_t byte;
    assert_int_equal(wire_receive(&f->bystander, &byte, 1), 0);
    wire_close(&f->bystander);
    assert_int_equal(access(f->served.socket, F_OK), 0);
    start_with(f, NULL, 0);
    assert_true(served_logged(&f->served, "removed, its daemon is gone"));
}

static void a_file_that_is_no_socket_stays(void **state) {
    fixture_t *f = *state;
    char path[] = "/tmp/accel-no-socket-XXXXXX", option[64] = "--socket=", lock[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    strcat(option, path);
    const char *const args[] = {f->program, "--foreground", option, NULL};
    assert_int_equal(run_to_end(args), 1);
    assert_int_equal(access(path, F_OK), 0);
    strcpy(lock, path);
    strcat(lock, ".lock");
    assert_int_not_equal(access(lock, F_OK), 0);
    unlink(path);
}

static void wrong_options_are_told(void **state) {
    fixture_t *f = *state;
    const char *const wrong[] = {"--cards=0",
                                 "--cards=65",
                                 "--profile=toaster",
                                 "--memory=lots",
                                 "--memory=99999999999G",
                                 "--max-clients=0",
                                 "--socket-mode=8",
                                 "--no-such-option",
                                 "--cores=100000"};
    for (size_t i = 0; i < sizeof wrong / sizeof(*wrong); i++) {
        const char *const args[] = {f->program, "--foreground", "--socket=/tmp/never", wrong[i],
                                    NULL};
        assert_int_equal(run_to_end(args), 2);
    }
    const char *const help[] = {f->program, "--help", NULL};
    const char *const version[] = {f->program, "--version", NULL};
    assert_int_equal(run_to_end(help), 0);
    assert_int_equal(run_to_end(version), 0);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    fixture_t f = {.program = argv[1]};
#define SERVED(name)                                                                               \
    { #name, name, set_up, tear_down, &f }
#define STARTS(name)                                                                               \
    { #name, name, NULL, tear_down, &f }
#define ALONE(name)                                                                                \
    { #name, name, NULL, NULL, &f }
    const struct CMUnitTest tests[] = {
        SERVED(a_killed_client_gives_all_back),
        SERVED(a_client_killed_in_a_wait_gives_all_back),
        SERVED(a_client_killed_in_a_reset_leaves_a_card),
        SERVED(a_stopped_client_blocks_nobody),
        SERVED(a_flooding_client_starves_nobody),
        SERVED(a_client_that_queues_much_takes_nobodys_place),
        STARTS(a_process_does_not_get_all_places),
        STARTS(a_full_daemon_refuses_and_goes_on),
        STARTS(descriptors_may_run_out),
        SERVED(memory_may_run_out),
        ALONE(it_ends_with_clients_that_wait),
        ALONE(it_goes_to_the_background),
        STARTS(it_tells_the_system_that_it_is_ready),
        SERVED(a_second_daemon_is_refused),
        STARTS(a_socket_left_over_is_taken),
        ALONE(a_file_that_is_no_socket_stays),
        ALONE(wrong_options_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
