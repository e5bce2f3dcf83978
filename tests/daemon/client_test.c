// SPDX-License-Identifier: Apache-2.0
// The public API through a daemon: kinds of devices, programs, threads that share a device, memory
// used in place, a daemon that dies. Arguments: accel-cardd, the folder of the images.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "accel/accel.h"
#include "accel/manage.h"
#include "runtime/runtime_internal.h"
#include "tests/daemon/served.h"

typedef struct fixture {
    const char *program, *images;
    served_t served;
    accel_error_t error;
} fixture_t;

static int set_up(void **state) {
    static const char *const options[] = {"--cards=2", "--memory=256M", "--cores=2"};
    fixture_t *f = *state;
    served_start(&f->served, f->program, options, 3, 0);
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    served_stop(&f->served);
    return 0;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        accel_status_t status_ = (call);                                                           \
        if (status_ != ACCEL_OK)                                                                   \
            fail_msg("%s: %s", accel_status_text(status_), f->error.text);                         \
    } while (0)

static accel_device_t *open_device(fixture_t *f, const char *kind) {
    accel_device_options_t options = {.socket = f->served.socket};
    accel_device_t *device = NULL;
    OK(accel_device_open(kind, &options, &device, &f->error));
    return device;
}

static accel_program_t *open_program(fixture_t *f, const char *name) {
    char path[4096];
    accel_program_t *program = NULL;
    snprintf(path, sizeof path, "%s/%s.bin", f->images, name);
    OK(accel_program_open(path, &program, &f->error));
    return program;
}

// --- Kinds ---

static accel_status_t open_as(fixture_t *f, const char *kind, const accel_device_options_t *options,
                              accel_device_info_t *out_info) {
    accel_device_t *device;
    accel_status_t status = accel_device_open(kind, options, &device, &f->error);
    if (status == ACCEL_OK)
        assert_int_equal(accel_device_info(device, out_info), ACCEL_OK);
    else
        assert_null(device);
    accel_device_close(device);
    return status;
}

static void a_device_says_what_it_is(void **state) {
    fixture_t *f = *state;
    accel_device_options_t options = {.socket = f->served.socket};
    accel_device_info_t info;
    assert_int_equal(open_as(f, "daemon", &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "daemon");
    assert_int_equal(info.card, 0);
    assert_int_equal(info.n_cards, 2);
    assert_int_equal(info.cores, 2);
    assert_int_equal(info.memory_bytes, 256 << 20);
    assert_int_equal(open_as(f, "daemon:1", &options, &info), ACCEL_OK);
    assert_int_equal(info.card, 1);
    options.card = 1;
    assert_int_equal(open_as(f, "daemon", &options, &info), ACCEL_OK);
    assert_int_equal(info.card, 1);
    assert_int_equal(open_as(f, "inproc", &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "inproc");
    assert_int_equal(open_as(f, "daemon:2", &options, &info), ACCEL_NOT_FOUND);
    assert_non_null(strstr(f->error.text, "2 cards"));
    const char *const wrong[] = {"daemon:", "daemon:x", "daemon:1x", "daemonic", "toaster", ""};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(open_as(f, wrong[i], &options, &info), ACCEL_NOT_FOUND);
        assert_non_null(strstr(f->error.text, "'daemon:N'"));
    }
}

static void auto_takes_what_suits(void **state) {
    fixture_t *f = *state;
    accel_device_options_t options = {.socket = f->served.socket, .profile = "host"};
    accel_device_info_t info;
    assert_int_equal(open_as(f, "auto", &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "daemon");
    assert_int_equal(open_as(f, NULL, &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "daemon");
    assert_int_equal(open_as(f, "kernel", &options, &info), ACCEL_NOT_FOUND);
    assert_non_null(strstr(f->error.text, "/dev/accel/accel0"));
    options.profile = "edge"; // the daemon's are not
    assert_int_equal(open_as(f, "auto", &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "inproc");
    options.profile = "host";
    options.cores = 3; // can be had in this process only
    assert_int_equal(open_as(f, "auto", &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "inproc");
    options = (accel_device_options_t){.socket = "/tmp/no/such/socket"};
    assert_int_equal(open_as(f, "auto", &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "inproc");
    assert_int_equal(open_as(f, "daemon", &options, &info), ACCEL_NOT_FOUND);
    assert_non_null(strstr(f->error.text, "/tmp/no/such/socket"));
}

static void no_trace(void *user, const char *text, size_t bytes) {
    (void)user, (void)text, (void)bytes;
}

// What only a card in this process has is not dropped in silence.
static void options_of_a_card_of_ones_own_are_refused(void **state) {
    fixture_t *f = *state;
    static const char *const names[] = {"cores", "engine", "timing", "memory", "trace"};
    const accel_device_options_t own[] = {{.cores = 2},
                                          {.engine = "fast"},
                                          {.timing = true},
                                          {.memory_bytes = 64 << 20},
                                          {.timing = true, .trace = no_trace}};
    for (size_t i = 0; i < 5; i++) {
        accel_device_options_t options = own[i];
        accel_device_info_t info;
        char named[32];
        options.socket = f->served.socket;
        (void)snprintf(named, sizeof named, "option '%s'", names[i]);
        assert_int_equal(open_as(f, "daemon", &options, &info), ACCEL_INVALID);
        assert_non_null(strstr(f->error.text, named));
        assert_int_equal(open_as(f, "daemon:1", &options, &info), ACCEL_INVALID);
        assert_non_null(strstr(f->error.text, "'inproc'"));
        assert_int_equal(open_as(f, "auto", &options, &info), ACCEL_OK);
        assert_string_equal(info.kind, "inproc");
    }
}

static void a_profile_that_is_not_there_is_refused(void **state) {
    fixture_t *f = *state;
    accel_device_options_t options = {.socket = f->served.socket, .profile = "edge"};
    accel_device_info_t info;
    assert_int_equal(open_as(f, "daemon:1", &options, &info), ACCEL_INVALID);
    assert_non_null(strstr(f->error.text, "card 1 of the daemon is of profile 'host', not 'edge'"));
    options.profile = "host";
    assert_int_equal(open_as(f, "daemon:1", &options, &info), ACCEL_OK);
    options.profile = NULL;
    assert_int_equal(open_as(f, "daemon:1", &options, &info), ACCEL_OK);
}

// The first daemon that is there has the last word.
static void a_folder_is_looked_into(void **state) {
    fixture_t *f = *state;
    char folder[100], socket[128];
    accel_device_options_t options = {.socket = folder};
    accel_device_info_t info;
    snprintf(folder, sizeof folder, "%s/own", f->served.folder);
    snprintf(socket, sizeof socket, "%s/" ACCEL_SOCKET_NAME, folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    if (access("/run/" ACCEL_SOCKET_NAME, F_OK) != 0) { // no other daemon here
        assert_int_equal(open_as(f, "daemon", &options, &info), ACCEL_NOT_FOUND);
        assert_non_null(strstr(f->error.text, socket));
        assert_non_null(strstr(f->error.text, " or /run/" ACCEL_SOCKET_NAME));
    }
    assert_int_equal(symlink(f->served.socket, socket), 0);
    assert_int_equal(open_as(f, "daemon:1", &options, &info), ACCEL_OK);
    assert_int_equal(info.n_cards, 2);
    assert_int_equal(open_as(f, "auto", &options, &info), ACCEL_OK);
    assert_string_equal(info.kind, "daemon");
    assert_int_equal(open_as(f, "daemon:5", &options, &info), ACCEL_NOT_FOUND);
    assert_non_null(strstr(f->error.text, "2 cards, and none of index 5"));
    assert_non_null(strstr(f->error.text, socket));
    accel_manager_t *manager;
    OK(accel_manager_open(folder, &manager, &f->error));
    assert_string_equal(accel_manager_where(manager), socket);
    accel_manager_close(manager);
    assert_int_equal(unlink(socket), 0);
    assert_int_equal(rmdir(folder), 0);
}

// --- Programs ---

typedef struct job {
    accel_device_t *device;
    accel_program_t *program;
    int64_t rows;
    int n_runs;
    bool in_place;
} job_t;

static void check_sum(const job_t *job, accel_module_t *module, float *a, float *b, float *sum) {
    accel_error_t error;
    size_t bytes = (size_t)job->rows * 16;
    for (int64_t i = 0; i < job->rows * 4; i++)
        a[i] = (float)i, b[i] = (float)(1000 - 2 * i), sum[i] = -1;
    accel_tensor_t inputs[] = {{.name = "b",
                                .dtype = ACCEL_F32,
                                .rank = 2,
                                .dims = {job->rows, 4},
                                .data = b,
                                .bytes = bytes},
                               {.name = "a",
                                .dtype = ACCEL_F32,
                                .rank = 2,
                                .dims = {job->rows, 4},
                                .data = a,
                                .bytes = bytes}};
    accel_tensor_t outputs[] = {{.name = "runs"}, {.name = "sum", .data = sum, .bytes = bytes}};
    accel_status_t status = accel_run(module, inputs, 2, outputs, 2, &error);
    if (status != ACCEL_OK)
        fail_msg("%s", error.text);
    assert_int_equal(*(const uint32_t *)outputs[0].data, 42);
    for (int64_t i = 0; i < job->rows * 4; i++)
        assert_true(sum[i] == a[i] + b[i] + (0.5f + (float)(i % 4)));
}

static void *add_again_and_again(void *arg) {
    const job_t *job = arg;
    size_t bytes = (size_t)job->rows * 16;
    accel_module_t *module = NULL;
    void *memory[3];
    assert_int_equal(accel_module_load(job->device, job->program, NULL, &module, NULL), ACCEL_OK);
    for (int i = 0; i < 3; i++) {
        if (!job->in_place)
            memory[i] = malloc(bytes);
        else
            assert_int_equal(accel_host_alloc(job->device, bytes, &memory[i], NULL), ACCEL_OK);
        assert_non_null(memory[i]);
    }
    for (int i = 0; i < job->n_runs; i++)
        check_sum(job, module, memory[0], memory[1], memory[2]);
    for (int i = 0; i < 3; i++) {
        if (job->in_place)
            accel_host_free(job->device, memory[i]);
        else
            free(memory[i]);
    }
    accel_module_unload(module);
    return NULL;
}

static void programs_run(void **state) {
    fixture_t *f = *state;
    job_t job = {.n_runs = 3};
    job.device = open_device(f, "daemon:1");
    job.program = open_program(f, "add");
    const int64_t rows[] = {1, 7, 100, 1000};
    for (int i = 0; i < 4; i++) {
        job.rows = rows[i];
        job.in_place = false;
        (void)add_again_and_again(&job);
        job.in_place = true;
        (void)add_again_and_again(&job);
    }
    accel_device_info_t info;
    assert_int_equal(accel_device_info(job.device, &info), ACCEL_OK);
    accel_device_close(job.device);
    accel_program_close(job.program);
    assert_int_equal(served_host_mappings(&f->served), 0);
}

static void threads_share_a_device(void **state) {
    fixture_t *f = *state;
    enum { THREADS = 4 };
    job_t jobs[THREADS];
    pthread_t threads[THREADS];
    accel_device_t *device = open_device(f, "daemon");
    accel_program_t *program = open_program(f, "add");
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job_t){device, program, 10 + i * 100, 50, i % 2 == 0};
        assert_int_equal(pthread_create(&threads[i], NULL, add_again_and_again, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    accel_device_close(device);
    accel_program_close(program);
}

typedef struct waiter {
    accel_device_t *device;
    uint32_t sync;
    status_t status;
} waiter_t;

static void *wait_for_point(void *arg) {
    waiter_t *waiter = arg;
    accel_req_sync_t wait = {.handle = waiter->sync, .value = 1, .timeout_ns = UINT64_MAX};
    waiter->status = rt_request(waiter->device, &wait, sizeof wait, ACCEL_REQ_SYNC_WAIT);
    return NULL;
}

// More of them than a client may have connections, less one: the last is for whoever ends it.
static void threads_that_wait_hold_up_no_others(void **state) {
    fixture_t *f = *state;
    enum { WAITERS = ACCEL_SOCKET_MAX_CONNECTIONS - 1 };
    pthread_t threads[WAITERS];
    accel_req_sync_t sync = {0};
    accel_device_t *device = open_device(f, "daemon");
    assert_int_equal(rt_request(device, &sync, sizeof sync, ACCEL_REQ_SYNC_CREATE), STATUS_OK);
    waiter_t waiters[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = (waiter_t){device, sync.handle, STATUS_INTERNAL};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_point, &waiters[i]), 0);
    }
    accel_program_t *program = open_program(f, "add");
    job_t job = {device, program, 100, 3, true};
    (void)add_again_and_again(&job);
    accel_req_sync_t signal = {.handle = sync.handle, .value = 1};
    assert_int_equal(rt_request(device, &signal, sizeof signal, ACCEL_REQ_SYNC_SIGNAL), STATUS_OK);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(waiters[i].status, STATUS_OK);
    }
    accel_program_close(program);
    accel_device_close(device);
}

// Without a descriptor for another connection the second waiter waits for the first's; once there
// are some again, others need not.
static void connections_are_asked_for_again(void **state) {
    fixture_t *f = *state;
    enum { WAITERS = 2 };
    pthread_t threads[WAITERS];
    waiter_t waiters[WAITERS];
    struct rlimit before, none;
    accel_req_sync_t sync = {0};
    accel_device_t *device = open_device(f, "daemon");
    assert_int_equal(rt_request(device, &sync, sizeof sync, ACCEL_REQ_SYNC_CREATE), STATUS_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = (waiter_t){device, sync.handle, STATUS_INTERNAL};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_point, &waiters[i]), 0);
    }
    (void)usleep(50000); // for one of them to be refused
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    accel_req_sync_t signal = {.handle = sync.handle, .value = 1};
    assert_int_equal(rt_request(device, &signal, sizeof signal, ACCEL_REQ_SYNC_SIGNAL), STATUS_OK);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(waiters[i].status, STATUS_OK);
    }
    accel_device_close(device);
}

// Heaps that grow, and programs that fault, are told of as in process.
static void suspended_and_broken_programs_are_told(void **state) {
    fixture_t *f = *state;
    accel_device_t *device = open_device(f, "daemon");
    accel_program_t *program = open_program(f, "modes");
    accel_module_t *module = NULL;
    OK(accel_module_load(device, program, NULL, &module, &f->error));
    int64_t grow[2] = {0, 4 << 20}, broken[2] = {1, 64};
    accel_tensor_t input = {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = grow, .bytes = 16};
    accel_tensor_t output = {0};
    OK(accel_run(module, &input, 1, &output, 1, &f->error));
    const uint64_t *numbers = output.data;
    assert_true(output.bytes > 1 << 20);
    for (size_t i = 0; i < output.bytes / 8; i++)
        assert_int_equal(numbers[i], 3 * i + 1);
    input.data = broken;
    output = (accel_tensor_t){0};
    assert_int_equal(accel_run(module, &input, 1, &output, 1, &f->error), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(f->error.text, "node"));
    input.data = grow;
    OK(accel_run(module, &input, 1, &output, 1, &f->error));
    accel_module_unload(module);
    accel_program_close(program);
    accel_device_close(device);
}

// --- Buffers and copies ---

static void copies_go_through_host_memory(void **state) {
    fixture_t *f = *state;
    enum { BYTES = 5 << 20 };
    accel_device_t *device = open_device(f, "daemon");
    accel_stream_t *stream = NULL;
    accel_buffer_t *buffer = NULL;
    void *from, *to;
    OK(accel_stream_create(device, NULL, &stream, &f->error));
    OK(accel_buffer_create(device, BYTES, &buffer, &f->error));
    OK(accel_host_alloc(device, BYTES, &from, &f->error));
    OK(accel_host_alloc(device, BYTES, &to, &f->error));
    assert_int_equal((uintptr_t)from % (2 << 20), 0);
    for (size_t i = 0; i < BYTES; i++)
        ((uint8_t *)from)[i] = (uint8_t)(i >> 4);
    OK(accel_stream_write(stream, buffer, 0, from, BYTES, &f->error));
    OK(accel_stream_read(stream, to, buffer, 0, BYTES, &f->error));
    OK(accel_stream_wait(stream, UINT64_MAX, &f->error));
    assert_memory_equal(from, to, BYTES);
    accel_host_free(device, from);
    accel_host_free(device, to);
    accel_buffer_destroy(buffer);
    accel_stream_destroy(stream);
    accel_device_close(device);
}

// --- Cards that are away ---

// Who uses it finds out.
static bool is_away(void *arg) {
    fixture_t *f = arg;
    accel_device_options_t options = {.socket = f->served.socket, .card = 1};
    accel_device_t *device;
    accel_status_t status = accel_device_open("daemon", &options, &device, &f->error);
    accel_device_close(device);
    return status != ACCEL_OK;
}

static void a_card_that_is_away_is_not_opened(void **state) {
    fixture_t *f = *state;
    accel_device_options_t options = {.socket = f->served.socket};
    accel_device_t *device;
    accel_manager_t *manager;
    OK(accel_manager_open(f->served.socket, &manager, &f->error));
    OK(accel_card_inject(manager, 1, "link-loss", 60000, &f->error));
    assert_true(eventually(is_away, f));
    assert_int_equal(accel_device_open("daemon:1", &options, &device, &f->error),
                     ACCEL_DEVICE_LOST);
    assert_null(device);
    assert_int_equal(f->error.lost, ACCEL_LOST_BY_REMOVAL);
    assert_non_null(strstr(f->error.text, "card 1 does not answer"));
    assert_non_null(strstr(f->error.text, "'accel-smi --reset -i 1'"));
    assert_null(strstr(f->error.text, "close"));
    accel_device_close(open_device(f, "daemon:0"));
    accel_manager_close(manager);
}

// --- The end of the daemon ---

static void a_daemon_that_dies_is_told(void **state) {
    fixture_t *f = *state;
    accel_device_t *device = open_device(f, "daemon");
    accel_program_t *program = open_program(f, "empty");
    accel_module_t *module = NULL;
    accel_stream_t *stream = NULL;
    accel_manager_t *manager;
    void *memory;
    OK(accel_module_load(device, program, NULL, &module, &f->error));
    OK(accel_stream_create(device, NULL, &stream, &f->error));
    OK(accel_run(module, NULL, 0, NULL, 0, &f->error));
    OK(accel_manager_open(f->served.socket, &manager, &f->error));
    assert_int_equal(kill(f->served.pid, SIGKILL), 0);
    assert_int_equal(waitpid(f->served.pid, NULL, 0), f->served.pid);
    assert_int_equal(accel_run(module, NULL, 0, NULL, 0, &f->error), ACCEL_DEVICE_LOST);
    assert_int_equal(f->error.lost, ACCEL_LOST_BY_DRIVER);
    assert_non_null(strstr(f->error.text, "is gone"));
    assert_non_null(strstr(f->error.text, f->served.socket));
    assert_int_equal(accel_host_alloc(device, 4096, &memory, &f->error), ACCEL_DEVICE_LOST);
    assert_int_equal(f->error.lost, ACCEL_LOST_BY_DRIVER);
    assert_non_null(strstr(f->error.text, "is gone"));
    accel_card_info_t info;
    assert_int_equal(accel_card_info(manager, 0, &info, &f->error), ACCEL_DEVICE_LOST);
    assert_int_equal(f->error.lost, ACCEL_LOST_BY_DRIVER);
    accel_manager_close(manager);
    accel_stream_destroy(stream);
    accel_module_unload(module);
    accel_program_close(program);
    accel_device_close(device);
    served_clean(&f->served);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    fixture_t f = {.program = argv[1], .images = argv[2]};
#define TEST(name)                                                                                 \
    { #name, name, set_up, tear_down, &f }
    const struct CMUnitTest tests[] = {
        TEST(a_device_says_what_it_is),
        TEST(auto_takes_what_suits),
        TEST(options_of_a_card_of_ones_own_are_refused),
        TEST(a_profile_that_is_not_there_is_refused),
        TEST(a_folder_is_looked_into),
        TEST(programs_run),
        TEST(threads_share_a_device),
        TEST(threads_that_wait_hold_up_no_others),
        TEST(connections_are_asked_for_again),
        TEST(suspended_and_broken_programs_are_told),
        TEST(copies_go_through_host_memory),
        TEST(a_card_that_is_away_is_not_opened),
        {"a_daemon_that_dies_is_told", a_daemon_that_dies_is_told, set_up, NULL, &f},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
