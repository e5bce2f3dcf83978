// SPDX-License-Identifier: Apache-2.0
// Images through the public API, on the card in this process. Argument: the folder of the images.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "accel/accel.h"
#include "tests/common/threads.h"

typedef struct fixture {
    const char *folder;
    accel_program_t *program;
    accel_device_t *device;
    accel_module_t *module;
    accel_error_t error;
    char log[100];
} fixture_t;

static void path_of(const fixture_t *f, const char *name, char *out_path, size_t bytes) {
    snprintf(out_path, bytes, "%s/%s.bin", f->folder, name);
}

static void keep_log(void *user, const char *text, size_t bytes) {
    fixture_t *f = user;
    snprintf(f->log, sizeof f->log, "%.*s", (int)bytes, text);
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        f->error.text[0] = 0;                                                                      \
        accel_status_t status_ = (call);                                                           \
        if (status_ != ACCEL_OK)                                                                   \
            fail_msg("%s: %s", accel_status_text(status_), f->error.text);                         \
    } while (0)

static void open_card(fixture_t *f, const char *name, uint32_t cores, uint64_t heap_limit) {
    char path[4096];
    path_of(f, name, path, sizeof path);
    OK(accel_program_open(path, &f->program, &f->error));
    accel_device_options_t options = {
        .profile = accel_program_profile(f->program), .cores = cores, .engine = "ref"};
    OK(accel_device_open("auto", &options, &f->device, &f->error));
    accel_module_options_t module_options = {
        .heap_limit = heap_limit, .node_stats = true, .log = keep_log, .log_user = f};
    OK(accel_module_load(f->device, f->program, &module_options, &f->module, &f->error));
}

static void close_card(fixture_t *f) {
    accel_module_unload(f->module);
    accel_device_close(f->device);
    accel_program_close(f->program);
    *f = (fixture_t){.folder = f->folder};
}

static void empty_program_runs(void **state) {
    fixture_t *f = *state;
    open_card(f, "empty", 1, 0);
    double best = 1e9;
    for (int i = 0; i < 200; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        OK(accel_run(f->module, NULL, 0, NULL, 0, &f->error));
        clock_gettime(CLOCK_MONOTONIC, &b);
        double us = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
        best = us < best ? us : best;
    }
    print_message("launch and wait of an empty program: %.2f us\n", best);
    accel_stats_t total;
    assert_int_equal(accel_module_stats(f->module, &total), ACCEL_OK);
    assert_true(total.hart_instructions > 0 && total.hart_instructions < 20);
    close_card(f);
}

// A card as one gets it, with all cores of the machine: launching next to nothing takes no threads
// but the port's.
static void launching_takes_one_thread(void **state) {
    fixture_t *f = *state;
    char path[4096];
    path_of(f, "empty", path, sizeof path);
#ifdef __SANITIZE_THREAD__
    skip(); // it has a thread of its own
#endif
    uint32_t before = count_threads();
    assert_true(before > 0);
    OK(accel_program_open(path, &f->program, &f->error));
    OK(accel_device_open("inproc", NULL, &f->device, &f->error));
    OK(accel_module_load(f->device, f->program, NULL, &f->module, &f->error));
    for (int i = 0; i < 100; i++)
        OK(accel_run(f->module, NULL, 0, NULL, 0, &f->error));
    assert_true(count_threads() <= before + 1);
    close_card(f);
}

static void add_with(fixture_t *f, int64_t rows, bool direct) {
    size_t bytes = (size_t)rows * 16;
    float *a = malloc(bytes), *b = malloc(bytes), *sum = malloc(bytes);
    void *held = NULL;
    for (int64_t i = 0; i < rows * 4; i++)
        a[i] = (float)i, b[i] = (float)(1000 - 2 * i), sum[i] = -1;
    float *out = sum;
    if (direct) {
        OK(accel_host_alloc(f->device, bytes, &held, &f->error));
        out = held;
    }
    accel_tensor_t inputs[] = {
        {.name = "b", .dtype = ACCEL_F32, .rank = 2, .dims = {rows, 4}, .data = b, .bytes = bytes},
        {.name = "a", .dtype = ACCEL_F32, .rank = 2, .dims = {rows, 4}, .data = a, .bytes = bytes}};
    accel_tensor_t outputs[] = {{.name = "runs"}, {.name = "sum", .data = out, .bytes = bytes}};
    OK(accel_run(f->module, inputs, 2, outputs, 2, &f->error));
    assert_int_equal(*(const uint32_t *)outputs[0].data, 42);
    assert_int_equal(outputs[1].rank, 2);
    assert_int_equal(outputs[1].dims[0], rows);
    assert_int_equal(outputs[1].dims[1], 4);
    assert_int_equal(outputs[1].bytes, bytes);
    for (int64_t i = 0; i < rows * 4; i++)
        assert_true(out[i] == a[i] + b[i] + (0.5f + (float)(i % 4)));
    accel_host_free(f->device, held);
    free(a), free(b), free(sum);
}

static void symbols_are_told(void **state) {
    fixture_t *f = *state;
    accel_symbol_t symbol = {0};
    open_card(f, "add", 1, 0);
    assert_int_equal(accel_program_symbol(f->program, 0, &symbol), ACCEL_OK);
    assert_string_equal(symbol.name, "n");
    assert_int_equal(symbol.min, 1);
    assert_int_equal(symbol.max, 1000);
    assert_int_equal(accel_program_symbol(f->program, 1, &symbol), ACCEL_NOT_FOUND);
    close_card(f);
}

static void any_number_of_cores_adds(void **state) {
    fixture_t *f = *state;
    const uint32_t cores[] = {1, 2, 5};
    for (size_t i = 0; i < 3; i++) {
        open_card(f, "add", cores[i], 0);
        add_with(f, 1, false);
        add_with(f, 1000, false);
        add_with(f, 7, true);
        accel_stats_t node;
        assert_int_equal(accel_module_node_stats(f->module, 0, &node), ACCEL_OK);
        assert_string_equal(node.node, "add one");
        assert_string_equal(node.op, "Add");
        assert_int_equal(node.elements, 400);
        assert_true(node.hart_instructions > 28);
        assert_int_equal(accel_module_node_stats(f->module, 1, &node), ACCEL_NOT_FOUND);
        close_card(f);
    }
}

static void wrong_inputs_are_refused(void **state) {
    fixture_t *f = *state;
    float data[16] = {0};
    open_card(f, "add", 1, 0);
    accel_tensor_t a = {
        .name = "a", .dtype = ACCEL_F32, .rank = 2, .dims = {2, 4}, .data = data, .bytes = 32};
    accel_tensor_t pair[2] = {a, a};
    assert_int_equal(accel_run(f->module, &a, 1, NULL, 0, &f->error), ACCEL_INVALID);
    assert_string_equal(f->error.text, "input 'b' is missing");
    assert_int_equal(accel_run(f->module, pair, 2, NULL, 0, &f->error), ACCEL_INVALID);
    pair[1].name = "c";
    assert_int_equal(accel_run(f->module, pair, 2, NULL, 0, &f->error), ACCEL_NOT_FOUND);
    pair[1].name = "b";
    pair[1].dims[0] = 3;
    pair[1].bytes = 48;
    assert_int_equal(accel_run(f->module, pair, 2, NULL, 0, &f->error), ACCEL_INVALID);
    assert_string_equal(f->error.text, "input 'b': 'n' is 3 in dim 0 but 2 before");
    pair[1].dims[1] = 5;
    assert_int_equal(accel_run(f->module, pair, 2, NULL, 0, &f->error), ACCEL_INVALID);
    pair[1].dtype = ACCEL_I32;
    assert_int_equal(accel_run(f->module, pair, 2, NULL, 0, &f->error), ACCEL_INVALID);
    assert_string_equal(f->error.text, "input 'b' is f32[n,4], not i32[3,5]");
    pair[1] = a;
    pair[1].name = "b";
    pair[1].bytes = 31;
    assert_int_equal(accel_run(f->module, pair, 2, NULL, 0, &f->error), ACCEL_INVALID);
    pair[0].dims[0] = pair[1].dims[0] = 0;
    pair[0].bytes = pair[1].bytes = 0;
    assert_int_equal(accel_run(f->module, pair, 2, NULL, 0, &f->error), ACCEL_INVALID);
    assert_string_equal(f->error.text, "'n' is 0; this program was compiled for 1 to 1000");
    close_card(f);
}

static accel_status_t run_mode(fixture_t *f, int64_t mode, int64_t number, accel_tensor_t *output) {
    int64_t what[2] = {mode, number};
    accel_tensor_t input = {
        .dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = what, .bytes = sizeof what};
    *output = (accel_tensor_t){0};
    return accel_run(f->module, &input, 1, output, 1, &f->error);
}

static void check_numbers(const accel_tensor_t *output, size_t count) {
    assert_int_equal(output->dims[0], count);
    assert_int_equal(output->bytes, count * 8);
    const uint64_t *numbers = output->data;
    for (size_t i = 0; i < count; i++)
        assert_true(numbers[i] == 3 * i + 1);
}

static void heaps_grow(void **state) {
    fixture_t *f = *state;
    accel_tensor_t output;
    for (uint32_t cores = 1; cores <= 2; cores++) {
        open_card(f, "modes", cores, 8u << 20);
        OK(run_mode(f, 0, 4096, &output));
        check_numbers(&output, 256);
        OK(run_mode(f, 0, 1 << 20, &output));
        check_numbers(&output, 1 << 16);
        OK(run_mode(f, 0, 5000000, &output));
        check_numbers(&output, 5000000 / 16);
        OK(run_mode(f, 0, 8 << 20, &output));
        check_numbers(&output, 1 << 19);
        assert_int_equal(run_mode(f, 0, (8 << 20) + 16, &output), ACCEL_LIMIT);
        assert_non_null(strstr(f->error.text, "8388624"));
        assert_non_null(strstr(f->error.text, "limit 8388608"));
        OK(run_mode(f, 0, 65536, &output)); // goes on after that
        check_numbers(&output, 4096);
        close_card(f);
    }
}

static void faults_name_the_node(void **state) {
    fixture_t *f = *state;
    accel_tensor_t output;
    open_card(f, "modes", 2, 0);
    assert_int_equal(run_mode(f, 1, 0x7f00000000, &output), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(f->error.text, "in node 'broken1' (Gather): no valid page at va"));
    assert_non_null(strstr(f->error.text, "0x7f00000000"));
    assert_non_null(strstr(f->error.text, "write, core 0, hart, pc image+0x"));
    assert_int_equal(run_mode(f, 2, 2, &output), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(f->error.text, "in node 'first' (NonZero): the shapes of the inputs"));
    assert_int_equal(run_mode(f, 2, 77, &output), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(f->error.text, "exit code 77"));
    assert_int_equal(run_mode(f, 5, 0, &output), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(f->error.text, "does not allow this access"));
    assert_int_equal(run_mode(f, 4, 0x50000000, &output), ACCEL_INTERNAL);
    assert_int_equal(run_mode(f, 4, -8, &output), ACCEL_INTERNAL);
    OK(run_mode(f, 3, 0, &output));
    assert_string_equal(f->log, "hello from the card\n");
    close_card(f);
}

static void streams_keep_order(void **state) {
    fixture_t *f = *state;
    open_card(f, "add", 2, 0);
    accel_stream_t *copies, *launches;
    accel_event_t *ready, *done;
    accel_buffer_t *a, *sum;
    void *memory, *runs;
    OK(accel_stream_create(f->device, NULL, &copies, &f->error));
    OK(accel_stream_create(f->device, NULL, &launches, &f->error));
    OK(accel_buffer_create(f->device, 1024, &a, &f->error));
    OK(accel_buffer_create(f->device, 1024, &sum, &f->error));
    assert_int_equal(accel_buffer_bytes(sum), 1024);
    OK(accel_host_alloc(f->device, 4096, &memory, &f->error));
    OK(accel_host_alloc(f->device, 64, &runs, &f->error));
    float *host = memory;
    for (int i = 0; i < 256; i++)
        host[i] = (float)i, host[512 + i] = 0;
    OK(accel_stream_write(copies, a, 0, host, 1024, &f->error));
    OK(accel_event_record(copies, &ready, &f->error));
    OK(accel_stream_wait_event(launches, ready, &f->error));
    accel_tensor_t in = {.dtype = ACCEL_F32, .rank = 2, .dims = {64, 4}, .buffer = a};
    accel_tensor_t inputs[2] = {in, in};
    accel_tensor_t outputs[2] = {{.buffer = sum}, {.data = runs, .bytes = 64}};
    OK(accel_stream_launch(launches, f->module, inputs, 2, outputs, 2, &f->error));
    OK(accel_event_record(launches, &done, &f->error));
    OK(accel_stream_wait_event(copies, done, &f->error));
    OK(accel_stream_read(copies, host + 512, sum, 0, 1024, &f->error));
    OK(accel_stream_wait(copies, UINT64_MAX, &f->error));
    for (int i = 0; i < 256; i++)
        assert_true(host[512 + i] == 2 * (float)i + 0.5f + (float)(i % 4));
    accel_tensor_t result;
    OK(accel_stream_output(launches, f->module, 0, &result, &f->error));
    assert_int_equal(result.dims[0], 64);
    assert_int_equal(accel_stream_read(copies, host, sum, 1000, 25, &f->error), ACCEL_INVALID);
    accel_event_destroy(ready), accel_event_destroy(done);
    accel_stream_destroy(launches), accel_stream_destroy(copies);
    accel_buffer_destroy(a), accel_buffer_destroy(sum);
    accel_host_free(f->device, memory), accel_host_free(f->device, runs);
    close_card(f);
}

// Two threads share a device, a program and a card that works in whoever rings.
static void *run_often(void *arg) {
    fixture_t *f = arg;
    for (int i = 0; i < 200; i++)
        add_with(f, 1 + i % 9, i % 2 == 0);
    return NULL;
}

static void threads_share_a_device(void **state) {
    fixture_t *f = *state;
    pthread_t threads[2];
    fixture_t parts[2];
    open_card(f, "add", 2, 0);
    for (int i = 0; i < 2; i++) {
        parts[i] = *f;
        OK(accel_module_load(f->device, f->program, NULL, &parts[i].module, &f->error));
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_often, &parts[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        accel_module_unload(parts[i].module);
    }
    close_card(f);
}

static void other_profiles_are_refused(void **state) {
    fixture_t *f = *state;
    char path[4096];
    path_of(f, "edge", path, sizeof path);
    OK(accel_program_open(path, &f->program, &f->error));
    OK(accel_device_open(NULL, NULL, &f->device, &f->error));
    assert_int_equal(accel_module_load(f->device, f->program, NULL, &f->module, &f->error),
                     ACCEL_MISMATCH);
    assert_non_null(strstr(f->error.text, "compiled for profile 'edge'"));
    assert_non_null(strstr(f->error.text, "the device is 'host'"));
    accel_device_options_t wrong = {.profile = "moon"};
    accel_device_t *none;
    assert_int_equal(accel_device_open(NULL, &wrong, &none, &f->error), ACCEL_INVALID);
    assert_int_equal(accel_device_open("tape", NULL, &none, &f->error), ACCEL_NOT_FOUND);
    close_card(f);
}

// --- Damaged files ---

static uint8_t *read_file(const char *path, size_t *out_bytes) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *data = malloc(1 << 20);
    *out_bytes = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

static accel_status_t open_bytes(fixture_t *f, const uint8_t *data, size_t bytes) {
    char path[4096];
    path_of(f, "damaged", path, sizeof path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
    accel_status_t status = accel_program_open(path, &f->program, &f->error);
    accel_program_close(f->program);
    f->program = NULL;
    return status;
}

static void damaged_files_are_refused(void **state) {
    fixture_t *f = *state;
    char path[4096];
    size_t bytes;
    path_of(f, "modes", path, sizeof path);
    uint8_t *data = read_file(path, &bytes);
    assert_int_equal(open_bytes(f, data, bytes), ACCEL_OK);
    for (size_t i = 0; i < bytes; i++) {
        data[i] ^= (uint8_t)(1u << i % 8);
        if (open_bytes(f, data, bytes) == ACCEL_OK)
            fail_msg("a flipped bit in byte %zu was not seen", i);
        data[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t cut = 0; cut < bytes; cut += cut < 512 ? 1 : 97)
        assert_int_equal(open_bytes(f, data, cut), ACCEL_INVALID);
    free(data);
    assert_int_equal(accel_program_open("/nowhere/model.bin", &f->program, &f->error),
                     ACCEL_NOT_FOUND);
}

int main(int argc, char **argv) {
    fixture_t fixture = {.folder = argc > 1 ? argv[1] : "."};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(empty_program_runs, &fixture),
        cmocka_unit_test_prestate(launching_takes_one_thread, &fixture),
        cmocka_unit_test_prestate(symbols_are_told, &fixture),
        cmocka_unit_test_prestate(any_number_of_cores_adds, &fixture),
        cmocka_unit_test_prestate(wrong_inputs_are_refused, &fixture),
        cmocka_unit_test_prestate(heaps_grow, &fixture),
        cmocka_unit_test_prestate(faults_name_the_node, &fixture),
        cmocka_unit_test_prestate(streams_keep_order, &fixture),
        cmocka_unit_test_prestate(threads_share_a_device, &fixture),
        cmocka_unit_test_prestate(other_profiles_are_refused, &fixture),
        cmocka_unit_test_prestate(damaged_files_are_refused, &fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
