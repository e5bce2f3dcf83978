// SPDX-License-Identifier: Apache-2.0
// Launches of one module queue in one stream. Argument: the folder of the images.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "accel/accel.h"

// A place that is filled in anew must not be that of a launch under way.
enum { QUEUED = 4, PLACES = QUEUED + 1, NUMBERS = 8, BYTES = NUMBERS * 8 };
enum { ADD = 0, POLL = 2, WILD = 3, PRINT = 4 }; // modes of prog_stream

typedef struct fixture {
    const char *folder;
    accel_program_t *program;
    accel_device_t *device;
    accel_module_t *module;
    accel_stream_t *stream, *copies;
    accel_buffer_t *flag;
    uint64_t *memory; // 24 numbers a launch: what[8], data[8], result[8]
    uint32_t n_lines;
} fixture_t;

#define OK(call)                                                                                   \
    do {                                                                                           \
        accel_status_t status_ = (call);                                                           \
        if (status_ != ACCEL_OK)                                                                   \
            fail_msg("%s: %s", accel_status_text(status_), error.text);                            \
    } while (0)

static void count_line(void *user, const char *text, size_t bytes) {
    fixture_t *f = user;
    assert_true(bytes == 7 && memcmp(text, "a line\n", 7) == 0);
    f->n_lines++;
}

static int set_up(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    char path[4096];
    void *memory;
    snprintf(path, sizeof path, "%s/queue.bin", f->folder);
    accel_device_options_t options = {.cores = 1, .background = true};
    accel_module_options_t module = {.log = count_line, .log_user = f};
    OK(accel_program_open(path, &f->program, &error));
    OK(accel_device_open("inproc", &options, &f->device, &error));
    OK(accel_module_load(f->device, f->program, &module, &f->module, &error));
    OK(accel_stream_create(f->device, NULL, &f->stream, &error));
    OK(accel_stream_create(f->device, NULL, &f->copies, &error));
    OK(accel_buffer_create(f->device, BYTES, &f->flag, &error));
    OK(accel_host_alloc(f->device, (size_t)PLACES * 3 * BYTES, &memory, &error));
    f->memory = memory;
    memset(memory, 0, (size_t)PLACES * 3 * BYTES);
    f->n_lines = 0;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    accel_stream_destroy(f->stream), accel_stream_destroy(f->copies);
    accel_buffer_destroy(f->flag);
    accel_host_free(f->device, f->memory);
    accel_module_unload(f->module);
    accel_device_close(f->device);
    accel_program_close(f->program);
    return 0;
}

// With the memory of place `at`; POLL looks at the flag.
static accel_status_t launch(fixture_t *f, uint32_t at, uint64_t mode, uint64_t number,
                             accel_error_t *error) {
    uint64_t *memory = f->memory + (size_t)at * 24;
    memory[0] = mode;
    memory[1] = number;
    for (uint64_t i = 0; i < NUMBERS; i++)
        memory[8 + i] = 100 * at + i;
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = memory, .bytes = 16},
        {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = memory + 8, .bytes = BYTES}};
    if (mode == POLL)
        inputs[1] = (accel_tensor_t){.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .buffer = f->flag};
    accel_tensor_t output = {.data = memory + 16, .bytes = BYTES};
    return accel_stream_launch(f->stream, f->module, inputs, 2, &output, 1, error);
}

static void raise_flag(fixture_t *f, uint64_t *value) {
    accel_error_t error = {0};
    OK(accel_stream_write(f->copies, f->flag, 0, value, 8, &error));
    OK(accel_stream_wait(f->copies, UINT64_MAX, &error));
}

static void check_sums(const fixture_t *f, uint32_t at, uint64_t number) {
    const uint64_t *memory = f->memory + (size_t)at * 24;
    for (uint64_t i = 0; i < 7; i++)
        assert_true(memory[16 + i] == 3 * (100 * at + i) + number);
    assert_true(memory[23] == 8); // each finds the data of the file
}

// They are started while the first one still works, each with arguments of its own.
static void launches_do_not_wait_for_each_other(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    accel_event_t *first;
    OK(launch(f, 0, POLL, 0, &error));
    OK(accel_event_record(f->stream, &first, &error));
    for (uint32_t at = 1; at < QUEUED; at++)
        OK(launch(f, at, ADD, at, &error));
    assert_int_equal(accel_event_wait(first, 0, &error), ACCEL_TIMEOUT);
    f->memory[2] = 4711;
    raise_flag(f, f->memory + 2);
    OK(accel_stream_wait(f->stream, UINT64_MAX, &error));
    assert_true(f->memory[16] == 4711);
    for (uint32_t at = 1; at < QUEUED; at++)
        check_sums(f, at, at);
    accel_event_destroy(first);
}

// More than may be under way: the oldest is waited for.
static void more_launches_than_places(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    accel_tensor_t output = {0};
    accel_stats_t stats;
    for (uint32_t n = 0; n < 100; n++)
        OK(launch(f, n % PLACES, n % 2 == 0 ? ADD : PRINT, n, &error));
    OK(accel_stream_output(f->stream, f->module, 0, &output, &error)); // of the last one
    assert_ptr_equal(output.data, f->memory + (size_t)(99 % PLACES) * 24 + 16);
    assert_int_equal(f->n_lines, 50);
    check_sums(f, 98 % PLACES, 98);
    check_sums(f, 96 % PLACES, 96);
    OK(accel_stream_stats(f->stream, f->module, &stats));
    assert_true(stats.hart_instructions > 0);
}

// What stands behind a launch that faults is not done, and told once.
static void a_fault_ends_what_is_queued(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    OK(launch(f, 0, POLL, 0, &error));
    OK(launch(f, 1, WILD, 0x7f00000000, &error));
    OK(launch(f, 2, ADD, 1, &error));
    f->memory[2] = 1;
    raise_flag(f, f->memory + 2);
    assert_int_equal(accel_stream_wait(f->stream, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    assert_int_equal(error.lost, ACCEL_LOST_BY_FAULT);
    assert_non_null(strstr(error.text, "wrong"));
    assert_true(f->memory[2 * 24 + 16] == 0);
    for (uint32_t at = 0; at < QUEUED; at++)
        OK(launch(f, at, ADD, 10 + at, &error));
    OK(accel_stream_wait(f->stream, UINT64_MAX, &error));
    for (uint32_t at = 0; at < QUEUED; at++)
        check_sums(f, at, 10 + at);
}

// A call that is refused leaves the queue as it was.
static void refused_launches_leave_no_trace(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    accel_tensor_t output = {0};
    OK(launch(f, 0, ADD, 5, &error));
    assert_int_equal(accel_stream_launch(f->stream, f->module, NULL, 0, NULL, 0, &error),
                     ACCEL_INVALID);
    OK(accel_stream_output(f->stream, f->module, 0, &output, &error));
    assert_ptr_equal(output.data, f->memory + 16);
    check_sums(f, 0, 5);
}

// Unloading waits for them.
static void modules_wait_for_what_is_queued(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    for (uint32_t at = 0; at < QUEUED; at++)
        OK(launch(f, at, ADD, at, &error));
    accel_module_unload(f->module);
    f->module = NULL;
    for (uint32_t at = 0; at < QUEUED; at++)
        check_sums(f, at, at);
}

#define TEST(test) cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &fixture)

int main(int argc, char **argv) {
    fixture_t fixture = {.folder = argc > 1 ? argv[1] : "."};
    const struct CMUnitTest tests[] = {
        TEST(launches_do_not_wait_for_each_other), TEST(more_launches_than_places),
        TEST(a_fault_ends_what_is_queued),         TEST(refused_launches_leave_no_trace),
        TEST(modules_wait_for_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
