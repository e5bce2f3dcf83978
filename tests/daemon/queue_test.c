// SPDX-License-Identifier: Apache-2.0
// A device's queue that is full of work that waits for a launch that waits for memory, in process
// and through a daemon. Arguments: accel-cardd, the folder of the images.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "accel/accel.h"
#include "driver/rm/rm_internal.h"
#include "tests/daemon/served.h"

_Static_assert(ACCEL_MAX_QUEUED == RM_CLIENT_JOBS, "a device is a client of the driver's");

enum {
    NUMBERS = 8,
    BYTES = NUMBERS * 8,
    PUT = ACCEL_MAX_QUEUED + 500,
    HEAP_BYTES = 4 << 20,
};

typedef struct fixture {
    const char *program, *images;
    served_t served;
    accel_program_t *image;
    accel_device_t *device;
    accel_module_t *module;
    accel_buffer_t *buffer;
    uint64_t *memory; // what[8], data[8], result[8]
    accel_error_t error;
} fixture_t;

#define OK(call)                                                                                   \
    do {                                                                                           \
        accel_status_t status_ = (call);                                                           \
        if (status_ != ACCEL_OK)                                                                   \
            fail_msg("%s: %s", accel_status_text(status_), f->error.text);                         \
    } while (0)

// `heap_limit` 0: none.
static void open_card(fixture_t *f, const char *kind, bool background, uint64_t heap_limit) {
    const accel_device_options_t options = {.socket = f->served.socket, .background = background};
    const accel_module_options_t module = {.heap_limit = heap_limit};
    char path[4096];
    void *memory;
    snprintf(path, sizeof path, "%s/stream.bin", f->images);
    OK(accel_program_open(path, &f->image, &f->error));
    OK(accel_device_open(kind, &options, &f->device, &f->error));
    OK(accel_module_load(f->device, f->image, &module, &f->module, &f->error));
    OK(accel_buffer_create(f->device, BYTES, &f->buffer, &f->error));
    OK(accel_host_alloc(f->device, (size_t)3 * BYTES, &memory, &f->error));
    f->memory = memory;
    memset(memory, 0, (size_t)3 * BYTES);
}

static void close_card(fixture_t *f) {
    accel_buffer_destroy(f->buffer);
    accel_host_free(f->device, f->memory);
    accel_module_unload(f->module);
    accel_device_close(f->device);
    accel_program_close(f->image);
}

// Mode 0: three times the data and `number`; 1: writes all over a heap of `number` bytes.
static void launch(fixture_t *f, accel_stream_t *stream, uint64_t mode, uint64_t number) {
    f->memory[0] = mode;
    f->memory[1] = number;
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = f->memory, .bytes = 16},
        {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = f->memory + 8, .bytes = BYTES}};
    accel_tensor_t output = {.data = f->memory + 16, .bytes = BYTES};
    OK(accel_stream_launch(stream, f->module, inputs, 2, &output, 1, &f->error));
}

static uint64_t grown_sum(uint64_t bytes) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bytes / 8; i += 512)
        sum += i + 1;
    return sum;
}

// --- Nobody waits for the launch ---

static void fill_queue(fixture_t *f, const char *kind, bool background) {
    accel_stream_t *grows, *waits, *others[2];
    accel_event_t *event;
    open_card(f, kind, background, 0);
    OK(accel_stream_create(f->device, NULL, &grows, &f->error));
    OK(accel_stream_create(f->device, NULL, &waits, &f->error));
    for (int i = 0; i < 2; i++)
        OK(accel_stream_create(f->device, NULL, &others[i], &f->error));
    launch(f, grows, 1, HEAP_BYTES);
    OK(accel_event_record(grows, &event, &f->error));
    OK(accel_stream_wait_event(waits, event, &f->error));
    for (int i = 0; i < PUT; i++) {
        OK(accel_stream_write(waits, f->buffer, 0, f->memory, BYTES, &f->error));
        if (i >= ACCEL_MAX_QUEUED - 10) // of a stream without work, too, that finds no place
            OK(accel_stream_write(others[i % 2], f->buffer, 0, f->memory, BYTES, &f->error));
    }
    OK(accel_stream_wait(waits, UINT64_MAX, &f->error));
    OK(accel_event_wait(event, 0, &f->error));
    assert_true(f->memory[16] == grown_sum(HEAP_BYTES));
    accel_stream_destroy(grows), accel_stream_destroy(waits);
    accel_stream_destroy(others[0]), accel_stream_destroy(others[1]);
    accel_event_destroy(event);
    close_card(f);
}

static void a_full_queue_goes_on(void **state) {
    fill_queue(*state, "inproc", false);
    fill_queue(*state, "inproc", true);
}

static void a_full_queue_of_a_daemon_goes_on(void **state) { fill_queue(*state, "daemon", false); }

// --- The launch gets no memory ---

static void fail_queue(fixture_t *f, const char *kind) {
    accel_stream_t *stream;
    accel_status_t status = ACCEL_OK;
    open_card(f, kind, true, HEAP_BYTES / 8);
    OK(accel_stream_create(f->device, NULL, &stream, &f->error));
    launch(f, stream, 1, HEAP_BYTES);
    for (int i = 0; i < PUT && status == ACCEL_OK; i++)
        status = accel_stream_write(stream, f->buffer, 0, f->memory, BYTES, &f->error);
    assert_int_equal(status, ACCEL_LIMIT); // from whoever finds the queue full
    assert_int_equal(f->error.lost, ACCEL_LOST_BY_FAULT);
    assert_non_null(strstr(f->error.text, "bytes of heap, which it cannot have"));
    launch(f, stream, 0, 5);
    OK(accel_stream_wait(stream, UINT64_MAX, &f->error));
    assert_int_equal(f->memory[16], 3 * f->memory[8] + 5);
    accel_stream_destroy(stream);
    close_card(f);
}

static void a_refused_heap_is_told(void **state) { fail_queue(*state, "inproc"); }
static void a_refused_heap_is_told_by_a_daemon(void **state) { fail_queue(*state, "daemon"); }

// --- The daemon ---

static int set_up(void **state) {
    static const char *const options[] = {"--memory=256M", "--cores=1"};
    fixture_t *f = *state;
    served_start(&f->served, f->program, options, 2, 0);
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    served_stop(&f->served);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    fixture_t f = {.program = argv[1], .images = argv[2]};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(a_full_queue_goes_on, &f),
        cmocka_unit_test_prestate(a_refused_heap_is_told, &f),
        cmocka_unit_test_prestate_setup_teardown(a_full_queue_of_a_daemon_goes_on, set_up,
                                                 tear_down, &f),
        cmocka_unit_test_prestate_setup_teardown(a_refused_heap_is_told_by_a_daemon, set_up,
                                                 tear_down, &f),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
