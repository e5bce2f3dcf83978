// SPDX-License-Identifier: Apache-2.0
// For at most two seconds: modules that one thread loads, hands to another's stream, and unloads
// when an event says that their launch ended, while that stream's thread waits for it, fails and
// goes on, other streams wait for the event, and accel_run works beside. What the sanitizers say of
// it counts most. Argument: the folder of the images.
#include <pthread.h>
#include <time.h>

#include "tests/driver/stream_rig.h"

enum { N_PAIRS = 2, MODE_ADD = 0, MODE_GROW = 1, MODE_WILD = 3, MODE_PRINT = 4 };
enum { LIMIT_MS = 2000, MAX_ROUNDS = 1000, ROUNDS_EACH = 6 }; // of a stream

// One thread loads and unloads, the other has the streams.
typedef struct pair {
    fixture_t *f;
    pthread_t loader, owner;
    uint64_t *memory;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    // Under the mutex.
    accel_module_t *module; // for the owner to launch
    accel_event_t *event;   // behind the launch, for the loader to wait for
    bool is_over;
    uint32_t n_lines;
    uint32_t n_printed; // the owner's
    int failed_loader, failed_owner;
} pair_t;

typedef struct runner {
    fixture_t *f;
    pthread_t thread;
    int failed;
} runner_t;

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void lock_pair(pair_t *pair) { (void)pthread_mutex_lock(&pair->mutex); }
static void unlock_pair(pair_t *pair) {
    (void)pthread_cond_broadcast(&pair->changed);
    (void)pthread_mutex_unlock(&pair->mutex);
}

static void count_line(void *user, const char *text, size_t bytes) {
    pair_t *pair = user;
    (void)text, (void)bytes;
    lock_pair(pair);
    pair->n_lines++;
    unlock_pair(pair);
}

// --- Who loads ---

static accel_event_t *launched(pair_t *pair, accel_module_t *module) {
    lock_pair(pair);
    pair->module = module;
    (void)pthread_cond_broadcast(&pair->changed);
    while (pair->event == NULL)
        (void)pthread_cond_wait(&pair->changed, &pair->mutex);
    accel_event_t *event = pair->event;
    pair->event = NULL;
    unlock_pair(pair);
    return event;
}

static void *load_and_unload(void *arg) {
    pair_t *pair = arg;
    const accel_module_options_t options = {.log = count_line, .log_user = pair};
    uint64_t end = now_ms() + LIMIT_MS;
    int failed = 0;
    for (int round = 0; round < MAX_ROUNDS && failed == 0 && now_ms() < end; round++) {
        accel_error_t error = {0};
        accel_module_t *module = NULL;
        CHECK(accel_module_load(pair->f->device, pair->f->program, &options, &module, &error) ==
              ACCEL_OK);
        if (module == NULL)
            break;
        accel_event_t *event = launched(pair, module);
        accel_status_t status = accel_event_wait(event, UINT64_MAX, &error);
        CHECK(status == ACCEL_OK || status == ACCEL_CONTEXT_LOST);
        accel_module_unload(module);
        accel_event_destroy(event);
    }
    lock_pair(pair);
    pair->is_over = true;
    unlock_pair(pair);
    pair->failed_loader = failed;
    return NULL;
}

// --- Who launches ---

static accel_module_t *next_module(pair_t *pair) {
    lock_pair(pair);
    while (pair->module == NULL && !pair->is_over)
        (void)pthread_cond_wait(&pair->changed, &pair->mutex);
    accel_module_t *module = pair->module;
    pair->module = NULL;
    unlock_pair(pair);
    return module;
}

static void hand_over(pair_t *pair, accel_event_t *event) {
    lock_pair(pair);
    pair->event = event;
    unlock_pair(pair);
}

// `streams`: that of the launch, and one that waits for it.
static int one_round(pair_t *pair, accel_module_t *module, accel_stream_t **streams,
                     uint64_t round) {
    static const uint64_t modes[] = {MODE_GROW, MODE_PRINT, MODE_ADD, MODE_WILD};
    uint64_t mode = modes[round % 4];
    uint64_t number = mode == MODE_GROW ? 65536u << (1 + round / 4 % 4) : 0x7f00000000;
    fixture_t own = *pair->f;
    accel_error_t error = {0};
    accel_event_t *event = NULL;
    accel_status_t expected = mode == MODE_WILD ? ACCEL_CONTEXT_LOST : ACCEL_OK;
    int failed = 0;
    own.module = module;
    CHECK(launch(&own, streams[0], pair->memory, mode, number, &error) == ACCEL_OK);
    CHECK(accel_event_record(streams[0], &event, &error) == ACCEL_OK);
    CHECK(accel_stream_wait_event(streams[1], event, &error) == ACCEL_OK);
    hand_over(pair, event); // event and module may be gone from here on
    if (round % 8 < 4)      // first the one that depends, or the other
        CHECK(accel_stream_wait(streams[1], UINT64_MAX, &error) == expected);
    CHECK(accel_stream_wait(streams[0], UINT64_MAX, &error) == expected);
    if (round % 8 >= 4)
        CHECK(accel_stream_wait(streams[1], UINT64_MAX, &error) == expected);
    pair->n_printed += mode == MODE_PRINT;
    if (mode == MODE_ADD)
        failed += check_result(pair->memory, number);
    return failed;
}

static void *launch_and_wait(void *arg) {
    pair_t *pair = arg;
    accel_stream_t *streams[2] = {0};
    accel_module_t *module;
    int failed = 0;
    for (uint64_t round = 0; (module = next_module(pair)) != NULL; round++) {
        for (int i = 0; i < 2 && round % ROUNDS_EACH == 0; i++) {
            accel_stream_destroy(streams[i]);
            CHECK(accel_stream_create(pair->f->device, NULL, &streams[i], NULL) == ACCEL_OK);
        }
        failed += one_round(pair, module, streams, round);
    }
    accel_stream_destroy(streams[0]), accel_stream_destroy(streams[1]);
    pair->failed_owner = failed;
    return NULL;
}

// --- accel_run beside ---

static void *run_beside(void *arg) {
    runner_t *runner = arg;
    uint64_t end = now_ms() + LIMIT_MS;
    int failed = 0;
    for (int round = 0; round < MAX_ROUNDS && failed == 0 && now_ms() < end; round++) {
        uint64_t what[2] = {MODE_ADD, (uint64_t)round}, data[NUMBERS] = {1, 2, 3}, result[NUMBERS];
        accel_tensor_t inputs[2] = {
            {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = what, .bytes = sizeof what},
            {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = data, .bytes = sizeof data}};
        accel_tensor_t output = {.data = result, .bytes = sizeof result};
        CHECK(accel_run(runner->f->module, inputs, 2, &output, 1, NULL) == ACCEL_OK);
        for (int i = 0; i < NUMBERS - 1; i++)
            CHECK(result[i] == 3 * data[i] + (uint64_t)round);
    }
    runner->failed = failed;
    return NULL;
}

// --- All of them ---

static void start_pair(fixture_t *f, pair_t *pair, uint64_t seed) {
    *pair = (pair_t){.f = f,
                     .memory = make_memory(f, seed),
                     .mutex = PTHREAD_MUTEX_INITIALIZER,
                     .changed = PTHREAD_COND_INITIALIZER};
    assert_int_equal(pthread_create(&pair->loader, NULL, load_and_unload, pair), 0);
    assert_int_equal(pthread_create(&pair->owner, NULL, launch_and_wait, pair), 0);
}

static void end_pair(fixture_t *f, pair_t *pair) {
    assert_int_equal(pthread_join(pair->loader, NULL), 0);
    assert_int_equal(pthread_join(pair->owner, NULL), 0);
    assert_int_equal(pair->failed_loader, 0);
    assert_int_equal(pair->failed_owner, 0);
    assert_int_equal(pair->n_lines, pair->n_printed); // each is shown once, by whom it may be
    accel_host_free(f->device, pair->memory);
}

static void modules_come_and_go(void **state) {
    fixture_t *f = *state;
    pair_t pairs[N_PAIRS];
    runner_t runner = {.f = f};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    for (uint64_t i = 0; i < N_PAIRS; i++)
        start_pair(f, &pairs[i], i);
    assert_int_equal(pthread_create(&runner.thread, NULL, run_beside, &runner), 0);
    for (int i = 0; i < N_PAIRS; i++)
        end_pair(f, &pairs[i]);
    assert_int_equal(pthread_join(runner.thread, NULL), 0);
    assert_int_equal(runner.failed, 0);
    close_card(f);
}

int main(int argc, char **argv) {
    fixture_t fixture = {.folder = argc > 1 ? argv[1] : "."};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(modules_come_and_go, &fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
