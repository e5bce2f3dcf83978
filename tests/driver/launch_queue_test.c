// SPDX-License-Identifier: Apache-2.0
// Launches of one module queue in one stream. Argument: the folder of the images.
#include <string.h>

#include "tests/driver/stream_rig.h"

// A place that is filled in anew must not be that of a launch under way.
enum { QUEUED = 4, PLACES = QUEUED + 1 };
enum { MODE_ADD = 0, MODE_WILD = 3, MODE_PRINT = 4 };

typedef struct queue {
    fixture_t card;
    accel_stream_t *stream;
    uint64_t *memory[PLACES];
    uint32_t n_lines;
} queue_t;

static void count_line(void *user, const char *text, size_t bytes) {
    queue_t *q = user;
    assert_true(bytes == 7 && memcmp(text, "a line\n", 7) == 0);
    q->n_lines++;
}

static int set_up(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    accel_module_options_t options = {.log = count_line, .log_user = q};
    open_card(&q->card, "queue", &(accel_device_options_t){.cores = 1, .background = true});
    accel_module_unload(q->card.module);
    OK(accel_module_load(q->card.device, q->card.program, &options, &q->card.module, &error));
    OK(accel_stream_create(q->card.device, NULL, &q->stream, &error));
    for (uint32_t i = 0; i < PLACES; i++)
        q->memory[i] = make_memory(&q->card, i + 1);
    q->n_lines = 0;
    return 0;
}

static int tear_down(void **state) {
    queue_t *q = *state;
    accel_stream_destroy(q->stream);
    for (uint32_t i = 0; i < PLACES; i++)
        accel_host_free(q->card.device, q->memory[i]);
    close_card(&q->card);
    return 0;
}

static accel_status_t start(queue_t *q, uint32_t place, uint64_t mode, uint64_t number,
                            accel_error_t *error) {
    return launch(&q->card, q->stream, q->memory[place], mode, number, error);
}

// They are started while the first one still works, each with arguments of its own.
static void launches_do_not_wait_for_each_other(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    accel_event_t *first;
    start_meeting(&q->card, q->stream, q->memory[0], 1);
    OK(accel_event_record(q->stream, &first, &error));
    for (uint32_t i = 1; i < QUEUED; i++)
        OK(start(q, i, MODE_ADD, i, &error));
    wait_for_turn(q->memory[0], 1);
    assert_int_equal(accel_event_wait(first, 0, &error), ACCEL_TIMEOUT);
    answer_turn(q->memory[0], 1);
    OK(accel_stream_wait(q->stream, UINT64_MAX, &error));
    for (uint32_t i = 1; i < QUEUED; i++)
        assert_int_equal(check_result(q->memory[i], i), 0);
    accel_event_destroy(first);
}

// More than may be under way: the oldest is waited for.
static void more_launches_than_places(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    accel_tensor_t output = {0};
    accel_stats_t stats;
    for (uint32_t n = 0; n < 100; n++)
        OK(start(q, n % PLACES, n % 2 == 0 ? MODE_ADD : MODE_PRINT, n, &error));
    OK(accel_stream_output(q->stream, q->card.module, 0, &output, &error)); // of the last one
    assert_ptr_equal(output.data, q->memory[99 % PLACES] + 16);
    assert_int_equal(q->n_lines, 50);
    assert_int_equal(check_result(q->memory[98 % PLACES], 98), 0);
    assert_int_equal(check_result(q->memory[96 % PLACES], 96), 0);
    OK(accel_stream_stats(q->stream, q->card.module, &stats));
    assert_true(stats.hart_instructions > 0);
}

// What stands behind a launch that faults is not done, and told once.
static void a_fault_ends_what_is_queued(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    start_meeting(&q->card, q->stream, q->memory[0], 1);
    OK(start(q, 1, MODE_WILD, 0x7f00000000, &error));
    OK(start(q, 2, MODE_ADD, 1, &error));
    uint64_t before = q->memory[2][16];
    answer_turn(q->memory[0], 1);
    assert_int_equal(accel_stream_wait(q->stream, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    assert_int_equal(error.lost, ACCEL_LOST_BY_FAULT);
    assert_non_null(strstr(error.text, "wrong"));
    assert_true(q->memory[2][16] == before);
    for (uint32_t i = 0; i < QUEUED; i++)
        OK(start(q, i, MODE_ADD, 10 + i, &error));
    OK(accel_stream_wait(q->stream, UINT64_MAX, &error));
    for (uint32_t i = 0; i < QUEUED; i++)
        assert_int_equal(check_result(q->memory[i], 10 + i), 0);
}

// A call that is refused leaves the queue as it was.
static void refused_launches_leave_no_trace(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    accel_tensor_t output = {0};
    OK(start(q, 0, MODE_ADD, 5, &error));
    assert_int_equal(accel_stream_launch(q->stream, q->card.module, NULL, 0, NULL, 0, &error),
                     ACCEL_INVALID);
    OK(accel_stream_output(q->stream, q->card.module, 0, &output, &error));
    assert_ptr_equal(output.data, q->memory[0] + 16);
    assert_int_equal(check_result(q->memory[0], 5), 0);
}

static void expect_output(queue_t *q, uint32_t place, uint64_t number) {
    accel_error_t error = {0};
    accel_tensor_t output = {0};
    OK(accel_stream_output(q->stream, q->card.module, 0, &output, &error));
    assert_ptr_equal(output.data, q->memory[place] + 16);
    assert_int_equal(output.rank, 1);
    assert_int_equal(output.dims[0], NUMBERS);
    assert_int_equal(output.bytes, BYTES);
    assert_int_equal(check_result(q->memory[place], number), 0);
}

// Refused when all but one place was filled in.
static void refuse(queue_t *q, accel_stream_t *stream) {
    uint64_t *memory = q->memory[1], outside[NUMBERS];
    accel_error_t error = {0};
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = memory, .bytes = 16},
        {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = memory + 8, .bytes = BYTES}};
    accel_tensor_t output = {.data = outside, .bytes = BYTES};
    assert_int_equal(accel_stream_launch(stream, q->card.module, inputs, 2, &output, 1, &error),
                     ACCEL_INVALID);
    assert_non_null(strstr(error.text, "memory from accel_host_alloc"));
}

static void outputs_outlast_refused_launches(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    for (uint32_t n = 0; n < 2 * QUEUED; n++) {
        OK(start(q, 0, MODE_ADD, n, &error));
        if (n % 2 == 0)
            OK(accel_stream_wait(q->stream, UINT64_MAX, &error));
        refuse(q, q->stream);
        expect_output(q, 0, n);
    }
}

// A stream that takes over the place of another finds nothing of that one's.
static void outputs_go_with_their_stream(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    accel_tensor_t output = {0};
    accel_stats_t stats;
    OK(start(q, 0, MODE_ADD, 1, &error));
    accel_stream_destroy(q->stream);
    OK(accel_stream_create(q->card.device, NULL, &q->stream, &error));
    refuse(q, q->stream);
    assert_int_equal(accel_stream_output(q->stream, q->card.module, 0, &output, &error),
                     ACCEL_NOT_FOUND);
    assert_int_equal(accel_stream_stats(q->stream, q->card.module, &stats), ACCEL_NOT_FOUND);
    OK(accel_module_stats(q->card.module, &stats)); // the module's, whoever had it
    assert_true(stats.hart_instructions > 0);
    OK(start(q, 0, MODE_ADD, 2, &error));
    expect_output(q, 0, 2);
}

// Unloading waits for them.
static void modules_wait_for_what_is_queued(void **state) {
    queue_t *q = *state;
    accel_error_t error = {0};
    for (uint32_t i = 0; i < QUEUED; i++)
        OK(start(q, i, MODE_ADD, i, &error));
    accel_module_unload(q->card.module);
    q->card.module = NULL;
    for (uint32_t i = 0; i < QUEUED; i++)
        assert_int_equal(check_result(q->memory[i], i), 0);
}

#define TEST(test) cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &queue)

int main(int argc, char **argv) {
    queue_t queue = {.card = {.folder = argc > 1 ? argv[1] : "."}};
    const struct CMUnitTest tests[] = {
        TEST(launches_do_not_wait_for_each_other), TEST(more_launches_than_places),
        TEST(a_fault_ends_what_is_queued),         TEST(refused_launches_leave_no_trace),
        TEST(outputs_outlast_refused_launches),    TEST(outputs_go_with_their_stream),
        TEST(modules_wait_for_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
