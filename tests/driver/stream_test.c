// SPDX-License-Identifier: Apache-2.0
// Streams, events and modules that many threads share. Arguments: the folder of the images; then,
// to do it through a daemon with two cards of profile host, its socket.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel/manage.h"
#include "tests/driver/stream_rig.h"

enum { N_THREADS = 3, STREAMS_EACH = 2 };

static uint64_t grown_sum(uint64_t bytes) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bytes / 8; i += 512)
        sum += i + 1;
    return sum;
}

// --- Threads and streams share a module ---

typedef struct worker {
    fixture_t *f;
    pthread_t thread;
    uint64_t seed;
    uint64_t *memory[STREAMS_EACH];
    int failed;
} worker_t;

static int turn(worker_t *worker, accel_stream_t **streams, uint64_t round) {
    accel_error_t error = {0};
    int failed = 0;
    for (int i = 0; i < STREAMS_EACH; i++)
        CHECK(launch(worker->f, streams[i], worker->memory[i], 0, round + (uint64_t)i, &error) ==
              ACCEL_OK);
    for (int i = 0; i < STREAMS_EACH; i++) {
        accel_tensor_t output = {0};
        CHECK(accel_stream_wait(streams[i], UINT64_MAX, &error) == ACCEL_OK);
        CHECK(accel_stream_output(streams[i], worker->f->module, 0, &output, NULL) == ACCEL_OK);
        CHECK(output.dims[0] == 8 && output.data == worker->memory[i] + 16);
        failed += check_result(worker->memory[i], round + (uint64_t)i);
        uint64_t bytes = 65536 + (worker->seed << 16) + (round << 12);
        CHECK(launch(worker->f, streams[i], worker->memory[i], 1, bytes, &error) == ACCEL_OK);
        CHECK(accel_stream_wait(streams[i], UINT64_MAX, &error) == ACCEL_OK);
        CHECK(worker->memory[i][16] == grown_sum(bytes));
    }
    return failed;
}

static void *work_in_streams(void *arg) {
    worker_t *worker = arg;
    accel_error_t error = {0};
    accel_stream_t *streams[STREAMS_EACH] = {0};
    int failed = 0;
    for (int i = 0; i < STREAMS_EACH; i++)
        CHECK(accel_stream_create(worker->f->device, NULL, &streams[i], &error) == ACCEL_OK);
    for (uint64_t round = 0; failed == 0 && round < 30; round++)
        failed += turn(worker, streams, round);
    accel_stats_t stats = {0};
    CHECK(accel_stream_stats(streams[0], worker->f->module, &stats) == ACCEL_OK);
    CHECK(stats.hart_instructions > 100);
    for (int i = 0; i < STREAMS_EACH; i++)
        accel_stream_destroy(streams[i]);
    worker->failed = failed;
    return NULL;
}

static void run_workers(fixture_t *f, void *(*body)(void *arg)) {
    worker_t workers[N_THREADS] = {0};
    for (int i = 0; i < N_THREADS; i++) {
        workers[i].f = f;
        workers[i].seed = (uint64_t)i + 1;
        for (int k = 0; k < STREAMS_EACH; k++)
            workers[i].memory[k] = make_memory(f, (uint64_t)(i * STREAMS_EACH + k));
    }
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(workers[i].failed, 0);
        for (int k = 0; k < STREAMS_EACH; k++)
            accel_host_free(f->device, workers[i].memory[k]);
    }
}

static void streams_share_a_module(void **state) {
    fixture_t *f = *state;
    for (int background = 0; background < 2; background++) {
        open_card(f, "stream",
                  &(accel_device_options_t){.cores = 2, .background = background != 0});
        run_workers(f, work_in_streams);
        close_card(f);
    }
}

static void *run_and_check(void *arg) {
    worker_t *worker = arg;
    int failed = 0;
    for (uint64_t round = 0; failed == 0 && round < 60; round++) {
        accel_error_t error = {0};
        uint64_t what[2] = {0, round}, *data = worker->memory[0] + 8, result[8] = {0};
        accel_tensor_t inputs[2] = {
            {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = what, .bytes = 16},
            {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = data, .bytes = BYTES}};
        accel_tensor_t output = {.data = result, .bytes = BYTES};
        CHECK(accel_run(worker->f->module, inputs, 2, &output, 1, &error) == ACCEL_OK);
        for (int i = 0; i < 7; i++)
            CHECK(result[i] == 3 * data[i] + round);
        CHECK(result[7] == 8);
    }
    worker->failed = failed;
    return NULL;
}

static void threads_run_one_module(void **state) {
    fixture_t *f = *state;
    open_card(f, "stream", &(accel_device_options_t){.cores = 1});
    run_workers(f, run_and_check);
    close_card(f);
}

// --- Faults stay in their stream ---

static void *fail_or_work(void *arg) {
    worker_t *worker = arg;
    accel_error_t error = {0};
    accel_stream_t *stream = NULL;
    int failed = 0;
    CHECK(accel_stream_create(worker->f->device, NULL, &stream, &error) == ACCEL_OK);
    for (uint64_t round = 0; failed == 0 && round < 20; round++) {
        bool bad = worker->seed == 1 && round % 2 == 0;
        CHECK(launch(worker->f, stream, worker->memory[0], bad ? 3 : 0, bad ? 0x7f00000000 : round,
                     &error) == ACCEL_OK);
        accel_status_t status = accel_stream_wait(stream, UINT64_MAX, &error);
        CHECK(status == (bad ? ACCEL_CONTEXT_LOST : ACCEL_OK));
        if (bad)
            CHECK(strstr(error.text, "in node 'wrong' (Gather): no valid page at va") != NULL);
        else
            failed += check_result(worker->memory[0], round);
    }
    accel_stream_destroy(stream);
    worker->failed = failed;
    return NULL;
}

static void faults_stay_in_their_stream(void **state) {
    fixture_t *f = *state;
    for (int background = 0; background < 2; background++) {
        open_card(f, "stream",
                  &(accel_device_options_t){.cores = 1, .background = background != 0});
        run_workers(f, fail_or_work);
        close_card(f);
    }
}

static void failures_travel_by_events(void **state) {
    fixture_t *f = *state;
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    accel_stream_t *bad, *next;
    accel_event_t *event, *early;
    accel_error_t error = {0};
    uint64_t *memory = make_memory(f, 1), *other = make_memory(f, 2);
    OK(accel_stream_create(f->device, NULL, &bad, &error));
    OK(accel_stream_create(f->device, NULL, &next, &error));
    OK(accel_event_record(bad, &early, &error)); // after nothing
    OK(launch(f, bad, memory, 3, 0x7f00000000, &error));
    OK(accel_event_record(bad, &event, &error));
    OK(accel_stream_wait_event(next, event, &error));
    assert_int_equal(accel_stream_wait(next, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(error.text, "waited for by an event"));
    assert_int_equal(error.lost, ACCEL_LOST_BY_EVENT);
    OK(launch(f, next, other, 0, 5, &error)); // usable again
    OK(accel_stream_wait(next, UINT64_MAX, &error));
    assert_int_equal(check_result(other, 5), 0);
    for (int i = 0; i < 2; i++) { // to each who asks
        assert_int_equal(accel_event_wait(event, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
        assert_non_null(strstr(error.text, "in node 'wrong' (Gather)"));
        assert_int_equal(error.lost, ACCEL_LOST_BY_FAULT);
    }
    assert_int_equal(accel_stream_wait(bad, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    OK(accel_stream_wait(bad, UINT64_MAX, &error)); // told once
    assert_int_equal(accel_event_wait(event, 0, &error), ACCEL_CONTEXT_LOST);
    assert_int_equal(accel_stream_wait_event(next, event, &error), ACCEL_CONTEXT_LOST);
    OK(accel_event_wait(early, 0, &error));
    // A call that finds the failure of earlier work tells of it and does nothing.
    accel_buffer_t *buffer;
    OK(accel_buffer_create(f->device, BYTES, &buffer, &error));
    OK(launch(f, bad, memory, 3, 0x7f00000000, &error));
    while (accel_stream_write(bad, buffer, 0, memory, BYTES, &error) == ACCEL_OK)
        continue;
    assert_int_equal(error.status, ACCEL_CONTEXT_LOST);
    OK(accel_stream_write(bad, buffer, 0, memory, BYTES, &error));
    OK(accel_stream_wait(bad, UINT64_MAX, &error));
    accel_buffer_destroy(buffer);
    accel_event_destroy(event), accel_event_destroy(early);
    accel_stream_destroy(bad), accel_stream_destroy(next);
    accel_host_free(f->device, memory), accel_host_free(f->device, other);
    close_card(f);
}

// --- Events ---

enum { RING = 6, ROUNDS = 12 };

// Numbers go round through card memory from stream to stream; the host waits once.
static void events_order_rings(void **state) {
    accel_error_t error = {0};
    fixture_t *f = *state;
    for (int background = 0; background < 2; background++) {
        open_card(f, "stream",
                  &(accel_device_options_t){.cores = 1, .background = background != 0});
        accel_stream_t *streams[RING];
        accel_buffer_t *buffer;
        accel_event_t *event = NULL;
        uint64_t *memory = make_memory(f, 3);
        OK(accel_buffer_create(f->device, RING * BYTES, &buffer, &error));
        for (int i = 0; i < RING; i++)
            OK(accel_stream_create(f->device, NULL, &streams[i], &error));
        OK(accel_stream_write(streams[0], buffer, 0, memory, BYTES, &error));
        for (int i = 1; i <= RING * ROUNDS; i++) {
            accel_stream_t *here = streams[i % RING];
            OK(accel_event_record(streams[(i - 1) % RING], &event, &error));
            OK(accel_stream_wait_event(here, event, &error));
            accel_event_destroy(event); // the wait holds what it needs
            OK(accel_stream_copy(here, buffer, (size_t)(i % RING) * BYTES, buffer,
                                 (size_t)((i - 1) % RING) * BYTES, BYTES, &error));
        }
        OK(accel_stream_read(streams[0], memory + 16, buffer, 0, BYTES, &error));
        OK(accel_stream_wait(streams[0], UINT64_MAX, &error));
        assert_memory_equal(memory, memory + 16, BYTES);
        for (int i = RING - 1; i >= 0; i--)
            accel_stream_destroy(streams[i]);
        accel_buffer_destroy(buffer);
        accel_host_free(f->device, memory);
        close_card(f);
    }
}

// More events than a submission can name, and a wait that nothing follows.
static void a_stream_waits_for_many(void **state) {
    accel_error_t error = {0};
    fixture_t *f = *state;
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    accel_stream_t *streams[RING + 1];
    accel_event_t *events[RING], *all;
    accel_buffer_t *buffer;
    uint64_t *memory = make_memory(f, 4);
    OK(accel_buffer_create(f->device, RING * 8, &buffer, &error));
    for (int i = 0; i <= RING; i++)
        OK(accel_stream_create(f->device, NULL, &streams[i], &error));
    for (int i = 0; i < RING; i++) {
        OK(accel_stream_write(streams[i], buffer, (size_t)i * 8, memory + i, 8, &error));
        OK(accel_event_record(streams[i], &events[i], &error));
        OK(accel_stream_wait_event(streams[RING], events[i], &error));
    }
    OK(accel_event_record(streams[RING], &all, &error)); // stands for all of them
    OK(accel_event_wait(all, UINT64_MAX, &error));
    for (int i = 0; i < RING; i++)
        OK(accel_event_wait(events[i], 0, &error));
    OK(accel_stream_read(streams[RING], memory + 16, buffer, 0, RING * 8, &error));
    OK(accel_stream_wait(streams[RING], UINT64_MAX, &error));
    assert_memory_equal(memory, memory + 16, RING * 8);
    for (int i = 0; i <= RING; i++)
        accel_stream_destroy(streams[i]);
    for (int i = 0; i < RING; i++) // events may outlive their streams
        OK(accel_event_wait(events[i], 0, &error));
    for (int i = 0; i < RING; i++)
        accel_event_destroy(events[i]);
    accel_event_destroy(all);
    accel_buffer_destroy(buffer);
    accel_host_free(f->device, memory);
    close_card(f);
}

// One thread's stream fails now and then and goes on; others wait for the events of it meanwhile.
enum { N_EVENTS = 40, N_WAITERS = 2 };

typedef struct relay {
    fixture_t *f;
    pthread_mutex_t mutex;
    pthread_cond_t more;
    accel_event_t *events[N_EVENTS];
    int n_events, failed;
} relay_t;

static bool is_bad(int i) { return i % 5 == 3; }

static void *wait_for_all(void *arg) {
    relay_t *relay = arg;
    accel_stream_t *stream = NULL;
    accel_error_t error = {0};
    int failed = 0;
    CHECK(accel_stream_create(relay->f->device, NULL, &stream, &error) == ACCEL_OK);
    uint64_t *memory = make_memory(relay->f, 9);
    for (int i = 0; i < N_EVENTS && failed == 0; i++) {
        pthread_mutex_lock(&relay->mutex);
        while (relay->n_events <= i)
            pthread_cond_wait(&relay->more, &relay->mutex);
        accel_event_t *event = relay->events[i];
        pthread_mutex_unlock(&relay->mutex);
        // Either before or after the stream's own thread found out.
        accel_status_t status = accel_stream_wait_event(stream, event, &error);
        CHECK(status == ACCEL_OK || (is_bad(i) && status == ACCEL_CONTEXT_LOST));
        if (status == ACCEL_OK && !is_bad(i))
            CHECK(launch(relay->f, stream, memory, 0, (uint64_t)i, &error) == ACCEL_OK);
        CHECK(accel_event_wait(event, UINT64_MAX, &error) ==
              (is_bad(i) ? ACCEL_CONTEXT_LOST : ACCEL_OK));
        CHECK(!is_bad(i) || strstr(error.text, "in node 'wrong' (Gather)") != NULL);
        status = accel_stream_wait(stream, UINT64_MAX, &error);
        CHECK(status == ACCEL_OK || (is_bad(i) && status == ACCEL_CONTEXT_LOST));
    }
    accel_stream_destroy(stream);
    accel_host_free(relay->f->device, memory);
    pthread_mutex_lock(&relay->mutex);
    relay->failed += failed;
    pthread_mutex_unlock(&relay->mutex);
    return NULL;
}

// A good event stands in a lane that does not fail later: failures take all points with them.
static void record_next(relay_t *relay, accel_stream_t *stream, uint64_t *memory, int i) {
    accel_error_t error = {0};
    accel_event_t *event;
    OK(launch(relay->f, stream, memory, is_bad(i) ? 3 : 0, is_bad(i) ? 0x7f00000000 : 1, &error));
    OK(accel_event_record(stream, &event, &error));
    pthread_mutex_lock(&relay->mutex);
    relay->events[relay->n_events++] = event;
    pthread_cond_broadcast(&relay->more);
    pthread_mutex_unlock(&relay->mutex);
    assert_int_equal(accel_stream_wait(stream, UINT64_MAX, &error),
                     is_bad(i) ? ACCEL_CONTEXT_LOST : ACCEL_OK);
}

static void threads_wait_for_events(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    pthread_t threads[N_WAITERS];
    accel_stream_t *good, *bad;
    relay_t relay = {.f = f, .mutex = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    uint64_t *memory = make_memory(f, 5);
    OK(accel_stream_create(f->device, NULL, &good, &error));
    OK(accel_stream_create(f->device, NULL, &bad, &error));
    for (int i = 0; i < N_WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_all, &relay), 0);
    for (int i = 0; i < N_EVENTS; i++)
        record_next(&relay, is_bad(i) ? bad : good, memory, i);
    for (int i = 0; i < N_WAITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(relay.failed, 0);
    accel_stream_destroy(good), accel_stream_destroy(bad);
    for (int i = 0; i < N_EVENTS; i++)
        accel_event_destroy(relay.events[i]);
    accel_host_free(f->device, memory);
    close_card(f);
}

// The launch that needs memory is not the one that is waited for.
static void suspended_launches_go_on(void **state) {
    accel_error_t error = {0};
    fixture_t *f = *state;
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    accel_stream_t *streams[3];
    accel_event_t *event;
    uint64_t *memory[3];
    for (int i = 0; i < 3; i++) {
        memory[i] = make_memory(f, (uint64_t)i);
        OK(accel_stream_create(f->device, NULL, &streams[i], &error));
        if (i > 0) {
            OK(accel_event_record(streams[i - 1], &event, &error));
            OK(accel_stream_wait_event(streams[i], event, &error));
            accel_event_destroy(event);
        }
        OK(launch(f, streams[i], memory[i], i < 2 ? 1 : 0, 1u << (20 + i), &error));
    }
    OK(accel_stream_wait(streams[2], UINT64_MAX, &error));
    assert_true(memory[0][16] == grown_sum(1 << 20));
    assert_true(memory[1][16] == grown_sum(1 << 21));
    assert_int_equal(check_result(memory[2], 1 << 22), 0);
    for (int i = 0; i < 3; i++) {
        accel_stream_destroy(streams[i]);
        accel_host_free(f->device, memory[i]);
    }
    close_card(f);
}

// --- Memory ---

static uint64_t memory_free(const fixture_t *f) {
    accel_device_info_t info;
    assert_int_equal(accel_device_info(f->device, &info), ACCEL_OK);
    return info.memory_free;
}

static void instances_are_bounded(void **state) {
    fixture_t *f = *state;
    enum { MANY = 200 };
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .memory_bytes = 16u << 20});
    accel_stream_t *streams[MANY] = {0};
    accel_error_t error = {0};
    uint64_t *memory = make_memory(f, 1);
    uint64_t before = memory_free(f);
    int n = 0;
    accel_status_t status = ACCEL_OK;
    for (; n < MANY && status == ACCEL_OK; n++) {
        status = accel_stream_create(f->device, NULL, &streams[n], &error);
        if (status == ACCEL_OK)
            status = launch(f, streams[n], memory, 0, 1, &error);
        if (status == ACCEL_OK)
            status = accel_stream_wait(streams[n], UINT64_MAX, &error);
    }
    assert_int_equal(status, ACCEL_NO_MEMORY);
    assert_true(n > 4);
    accel_stream_destroy(streams[0]); // its place is free now
    streams[0] = NULL;
    if (streams[n - 1] == NULL)
        OK(accel_stream_create(f->device, NULL, &streams[n - 1], &error));
    OK(launch(f, streams[n - 1], memory, 0, 2, &error));
    OK(accel_stream_wait(streams[n - 1], UINT64_MAX, &error));
    assert_int_equal(check_result(memory, 2), 0);
    // A launch in a new stream says what the matter is.
    for (int i = 0; i < n; i++)
        accel_stream_destroy(streams[i]);
    accel_module_unload(f->module);
    OK(accel_module_load(f->device, f->program, NULL, &f->module, &error));
    assert_true(memory_free(f) == before);
    accel_buffer_t *rest;
    accel_stream_t *one, *two;
    OK(accel_stream_create(f->device, NULL, &one, &error));
    OK(accel_stream_create(f->device, NULL, &two, &error));
    OK(launch(f, one, memory, 0, 1, &error));
    OK(accel_buffer_create(f->device, memory_free(f) - 8192, &rest, &error));
    assert_int_equal(launch(f, two, memory, 0, 1, &error), ACCEL_NO_MEMORY);
    assert_non_null(strstr(error.text, "runs in 1 streams already"));
    accel_buffer_destroy(rest);
    OK(launch(f, two, memory, 0, 1, &error));
    accel_module_unload(f->module); // waits; before its streams
    f->module = NULL;
    accel_stream_destroy(one), accel_stream_destroy(two);
    accel_host_free(f->device, memory);
    close_card(f);
}

static void options_are_checked(void **state) {
    fixture_t *f = *state;
    accel_stream_t *stream;
    accel_error_t error = {0};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1});
    const accel_stream_options_t wrong[] = {{.share = 10},
                                            {.service_class = ACCEL_SERVICE_FIXED},
                                            {.service_class = ACCEL_SERVICE_BURST, .share = 101},
                                            {.service_class = (accel_service_t)3, .share = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(accel_stream_create(f->device, &wrong[i], &stream, &error), ACCEL_INVALID);
        assert_null(stream);
        accel_module_t *module;
        assert_int_equal(accel_module_load(f->device, f->program,
                                           &(accel_module_options_t){.stream = wrong[i]}, &module,
                                           &error),
                         ACCEL_INVALID);
        assert_null(module);
    }
    OK(accel_stream_create(f->device, &(accel_stream_options_t){0}, &stream, &error));
    assert_int_equal(accel_stream_output(stream, f->module, 0, &(accel_tensor_t){0}, &error),
                     ACCEL_NOT_FOUND);
    assert_int_equal(error.lost, ACCEL_NOT_LOST);
    accel_stream_destroy(stream);
    close_card(f);
}

// --- What the driver does to contexts ---

static accel_manager_t *manage(fixture_t *f) {
    accel_manager_t *manager;
    accel_error_t error = {0};
    OK(accel_manager_attach(f->device, &manager, &error));
    return manager;
}

// In work when this returns.
static void never_ends(fixture_t *f, accel_stream_t *stream, uint64_t *memory) {
    start_meeting(f, stream, memory, 1);
    wait_for_turn(memory, 1);
}

static void time_limits_end_launches(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    accel_stream_t *stream, *other;
    uint64_t *memory = make_memory(f, 1), *more = make_memory(f, 2);
    accel_stream_options_t options = {.timeout_ns = 300000000}; // busy machines, too
    OK(accel_stream_create(f->device, &options, &stream, &error));
    OK(accel_stream_create(f->device, NULL, &other, &error));
    for (uint64_t round = 0; round < 2; round++) {
        never_ends(f, stream, memory);
        OK(launch(f, other, more, 0, round, &error));
        assert_int_equal(accel_stream_wait(stream, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
        assert_non_null(
            strstr(error.text, "stream.bin failed: it passed the time limit of its stream"));
        assert_int_equal(error.lost, ACCEL_LOST_BY_TIMEOUT);
        OK(accel_stream_wait(other, UINT64_MAX, &error));
        assert_int_equal(check_result(more, round), 0);
        OK(launch(f, stream, more, 0, round, &error)); // goes on
        OK(accel_stream_wait(stream, UINT64_MAX, &error));
        assert_int_equal(check_result(more, round), 0);
    }
    accel_stream_destroy(stream), accel_stream_destroy(other);
    accel_host_free(f->device, memory), accel_host_free(f->device, more);
    close_card(f);
}

static void resets_are_told(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    accel_manager_t *manager = manage(f);
    accel_stream_t *stream;
    uint64_t *memory = make_memory(f, 1);
    OK(accel_stream_create(f->device, NULL, &stream, &error));
    never_ends(f, stream, memory);
    OK(accel_card_reset_node(manager, 0, 0, &error));
    assert_int_equal(accel_stream_wait(stream, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(error.text, "was reset meanwhile; run it again"));
    assert_int_equal(error.lost, ACCEL_LOST_BY_RESET);
    OK(launch(f, stream, memory, 0, 3, &error));
    OK(accel_stream_wait(stream, UINT64_MAX, &error));
    assert_int_equal(check_result(memory, 3), 0);
    accel_stream_destroy(stream);
    accel_host_free(f->device, memory);
    accel_manager_close(manager);
    close_card(f);
}

static void all_is_lost(fixture_t *f, accel_stream_t *stream, uint64_t *memory, accel_lost_t why) {
    accel_error_t error = {0};
    accel_stream_t *none;
    accel_buffer_t *no_buffer;
    assert_int_not_equal(accel_stream_wait(stream, UINT64_MAX, &error), ACCEL_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(launch(f, stream, memory, 0, 0, &error), ACCEL_DEVICE_LOST);
        assert_non_null(strstr(error.text, "close it and open it again"));
        assert_int_equal(error.lost, why);
    }
    assert_int_equal(accel_stream_create(f->device, NULL, &none, &error), ACCEL_DEVICE_LOST);
    assert_int_equal(accel_buffer_create(f->device, 4096, &no_buffer, &error), ACCEL_DEVICE_LOST);
    uint64_t what[2] = {0, 1}, data[8] = {0};
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = what, .bytes = 16},
        {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = data, .bytes = BYTES}};
    assert_int_equal(accel_run(f->module, inputs, 2, NULL, 0, &error), ACCEL_DEVICE_LOST);
}

// After a reset of the card, or without it, everything still closes.
static void lost_devices_close(void **state) {
    fixture_t *f = *state;
    for (int removed = 0; removed < 2; removed++) {
        accel_error_t error = {0};
        open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
        accel_manager_t *manager = manage(f);
        accel_stream_t *stream;
        accel_buffer_t *buffer;
        accel_event_t *event;
        uint64_t *memory = make_memory(f, 1);
        OK(accel_stream_create(f->device, NULL, &stream, &error));
        OK(accel_buffer_create(f->device, 4096, &buffer, &error));
        never_ends(f, stream, memory);
        OK(accel_event_record(stream, &event, &error));
        if (removed != 0)
            OK(accel_card_inject(manager, 0, "remove", 0, &error));
        else
            OK(accel_card_reset(manager, 0, &error));
        accel_manager_close(manager);
        all_is_lost(f, stream, memory, removed != 0 ? ACCEL_LOST_BY_REMOVAL : ACCEL_LOST_BY_RESET);
        assert_int_not_equal(accel_event_wait(event, UINT64_MAX, &error), ACCEL_OK);
        accel_event_destroy(event);
        accel_buffer_destroy(buffer);
        accel_stream_destroy(stream);
        accel_host_free(f->device, memory);
        close_card(f);
    }
}

typedef struct resetter {
    accel_manager_t *manager;
    unsigned delay_us;
} resetter_t;

static void *reset_soon(void *arg) {
    const resetter_t *resetter = arg;
    (void)usleep(resetter->delay_us);
    (void)accel_card_reset(resetter->manager, 0, NULL);
    return NULL;
}

// At any moment of a launch that asks for heap, a reset of the card is told as what it is.
static void resets_meet_suspended_launches(void **state) {
    fixture_t *f = *state;
    for (unsigned i = 0; i < 24; i++) {
        accel_error_t error = {0};
        accel_stream_t *stream;
        pthread_t thread;
        open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
        resetter_t resetter = {manage(f), i * 40};
        uint64_t *memory = make_memory(f, i);
        OK(accel_stream_create(f->device, NULL, &stream, &error));
        OK(launch(f, stream, memory, 0, 0, &error)); // all that a launch needs is there
        OK(accel_stream_wait(stream, UINT64_MAX, &error));
        assert_int_equal(pthread_create(&thread, NULL, reset_soon, &resetter), 0);
        accel_status_t status = launch(f, stream, memory, 1, 1 << 18, &error);
        if (status == ACCEL_OK)
            status = accel_stream_wait(stream, UINT64_MAX, &error);
        if (status != ACCEL_OK && status != ACCEL_DEVICE_LOST)
            fail_msg("%s: %s", accel_status_text(status), error.text);
        assert_int_equal(pthread_join(thread, NULL), 0);
        accel_manager_close(resetter.manager);
        accel_stream_destroy(stream);
        accel_host_free(f->device, memory);
        close_card(f);
    }
}

static void shares_are_bounded(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1});
    accel_stream_t *first, *second;
    uint64_t *memory = make_memory(f, 1);
    accel_stream_options_t most = {.service_class = ACCEL_SERVICE_FIXED, .share = 60};
    accel_stream_options_t half = {.service_class = ACCEL_SERVICE_BURST, .share = 50};
    OK(accel_stream_create(f->device, &most, &first, &error));
    assert_int_equal(accel_stream_create(f->device, &half, &second, &error), ACCEL_LIMIT);
    assert_non_null(strstr(error.text, "a share of 50 percent is not left on this card"));
    // A stream whose context is lost and made anew keeps its share.
    OK(launch(f, first, memory, 3, 0x7f00000000, &error));
    assert_int_equal(accel_stream_wait(first, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    OK(launch(f, first, memory, 0, 1, &error));
    OK(accel_stream_wait(first, UINT64_MAX, &error));
    accel_stream_destroy(first);
    OK(accel_stream_create(f->device, &half, &second, &error));
    OK(launch(f, second, memory, 0, 2, &error));
    OK(accel_stream_wait(second, UINT64_MAX, &error));
    assert_int_equal(check_result(memory, 2), 0);
    accel_stream_destroy(second);
    accel_host_free(f->device, memory);
    close_card(f);
}

// What needs a card of its own.
#define OWN_CARD(test)                                                                             \
    static void test##_here(void **state) {                                                        \
        if (((const fixture_t *)*state)->socket != NULL)                                           \
            skip();                                                                                \
        test(state);                                                                               \
    }
OWN_CARD(instances_are_bounded)
OWN_CARD(lost_devices_close)

int main(int argc, char **argv) {
    fixture_t fixture = {.folder = argc > 1 ? argv[1] : ".", .socket = argc > 2 ? argv[2] : NULL};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(streams_share_a_module, &fixture),
        cmocka_unit_test_prestate(threads_run_one_module, &fixture),
        cmocka_unit_test_prestate(faults_stay_in_their_stream, &fixture),
        cmocka_unit_test_prestate(failures_travel_by_events, &fixture),
        cmocka_unit_test_prestate(events_order_rings, &fixture),
        cmocka_unit_test_prestate(a_stream_waits_for_many, &fixture),
        cmocka_unit_test_prestate(threads_wait_for_events, &fixture),
        cmocka_unit_test_prestate(suspended_launches_go_on, &fixture),
        cmocka_unit_test_prestate(copies_overlap_launches, &fixture),
        cmocka_unit_test_prestate(launches_see_copies, &fixture),
        cmocka_unit_test_prestate(instances_are_bounded_here, &fixture),
        cmocka_unit_test_prestate(cards_work_side_by_side, &fixture),
        cmocka_unit_test_prestate(options_are_checked, &fixture),
        cmocka_unit_test_prestate(time_limits_end_launches, &fixture),
        cmocka_unit_test_prestate(resets_are_told, &fixture),
        cmocka_unit_test_prestate(lost_devices_close_here, &fixture),
        cmocka_unit_test_prestate(resets_meet_suspended_launches, &fixture),
        cmocka_unit_test_prestate(shares_are_bounded, &fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
