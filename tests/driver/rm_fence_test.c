// SPDX-License-Identifier: Apache-2.0
// Points of timelines as fences of the system: told once, with no lock held, and only such as come
// in any case; and timelines that fences of other drivers move.
#include <pthread.h>

#include "tests/driver/rig.h"

// Short, but long for a thread that waits for a processor.
static const rm_options_t quick = {.answer_ns = 400000000, .stall_ns = 400000000};

typedef struct fixture {
    rig_t rig;
    rig_user_t user;
    uint32_t context, done;
    rm_sync_t *sync; // `done`
} fixture_t;

static int set_up_as(void **state, bool posted) {
    fixture_t *f = calloc(1, sizeof *f);
    rig_open_watched(&f->rig, posted, &quick);
    rig_user_open(&f->rig, &f->user);
    accel_req_ctx_create_t context = {.head.flags = ACCEL_CTX_FENCED,
                                      .vm = f->user.vm,
                                      .service_class = ACCEL_CLASS_BURST,
                                      .share = 50};
    assert_int_equal(ASK(f->user.client, context, CTX_CREATE), STATUS_OK);
    f->context = context.handle;
    f->done = rig_sync(&f->user);
    f->sync = rm_sync_hold(f->user.client, f->done);
    assert_non_null(f->sync);
    *state = f;
    return 0;
}
static int set_up(void **state) { return set_up_as(state, true); }
static int set_up_inline(void **state) { return set_up_as(state, false); }

static void end_user(fixture_t *f) {
    if (f->sync == NULL)
        return;
    rm_sync_release(f->sync);
    f->sync = NULL;
    rig_user_close(&f->user);
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    end_user(f);
    rig_close(&f->rig);
    free(f);
    return 0;
}

// As a port's fence begins with rm's.
typedef struct listener {
    rm_fence_t fence;
    port_fault_t *port;
    uint32_t times; // atomic
    status_t status;
    uint64_t locks;
} listener_t;

static void told(rm_fence_t *fence, status_t status) {
    listener_t *listener = (listener_t *)(void *)fence;
    port_fault_books_t books;
    port_fault_books(listener->port, &books);
    listener->locks = books.locks_held;
    listener->status = status;
    (void)ATOMIC_ADD(&listener->times, 1u);
}

static status_t watch(fixture_t *f, uint64_t point, listener_t *listener) {
    *listener = (listener_t){.fence.told = told, .port = f->rig.fault};
    return rm_fence_watch(f->user.client, f->sync, point, &listener->fence);
}

// Told once, and not a second time by what comes later.
static void was_told(listener_t *listener, status_t status) {
    RIG_UNTIL(LOAD_ACQUIRE(&listener->times) > 0);
    assert_int_equal(listener->times, 1);
    assert_int_equal(listener->status, status);
    assert_int_equal(listener->locks, 0);
}

#define LIMIT_NS UINT64_C(5000000000)

static status_t submit(fixture_t *f, rig_program_t program, uint64_t count, uint64_t point) {
    rig_job_t job = {.program = program,
                     .count = count,
                     .done = f->done,
                     .point = point,
                     .timeout_ns = LIMIT_NS};
    return rig_submit(&f->user, f->context, &job, NULL);
}

static status_t submit_behind(fixture_t *f, uint32_t gate, uint64_t gate_point, uint64_t point) {
    rig_job_t job = {.count = 10,
                     .gate = gate,
                     .gate_point = gate_point,
                     .done = f->done,
                     .point = point,
                     .timeout_ns = LIMIT_NS};
    return rig_submit(&f->user, f->context, &job, NULL);
}

// --- Told ---

static void who_watches_is_told(void **state) {
    fixture_t *f = *state;
    listener_t first, second, late;
    assert_int_equal(submit(f, RIG_WORK, RIG_MCYCLES(20), 1), STATUS_OK);
    assert_int_equal(submit(f, RIG_WORK, 10, 2), STATUS_OK);
    assert_int_equal(watch(f, 1, &first), STATUS_OK);
    assert_int_equal(watch(f, 2, &second), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, f->done, 2, RIG_WAIT_NS), STATUS_OK);
    was_told(&first, STATUS_OK);
    was_told(&second, STATUS_OK);
    assert_int_equal(watch(f, 1, &late), STATUS_OK);
    was_told(&late, STATUS_OK);
    assert_false(rm_fence_unwatch(f->user.client, &late.fence));
}

// With nobody waiting in rm: interrupts and the watchdog are enough.
static void nobody_has_to_wait(void **state) {
    fixture_t *f = *state;
    listener_t listener;
    assert_int_equal(submit(f, RIG_WORK, RIG_MCYCLES(20), 1), STATUS_OK);
    assert_int_equal(watch(f, 1, &listener), STATUS_OK);
    was_told(&listener, STATUS_OK);
}

static uint64_t interrupts(fixture_t *f) {
    port_fault_counts_t counts;
    port_fault_counts(f->rig.fault, &counts);
    return counts.interrupts;
}

// A copy alone on the card, for which nobody waits in rm: the card is asked to interrupt, for each
// of them, and it is not left to the watchdog's next look.
static void who_watches_is_interrupted_for(void **state) {
    fixture_t *f = *state;
    uint64_t va = RIG_DATA_VA + 768 * 1024;
    for (uint64_t point = 1; point <= 3; point++) {
        listener_t listener;
        uint64_t before = interrupts(f);
        STORE_RELEASE(&f->rig.held, RIG_READS); // it does not end before it is watched
        assert_int_equal(rig_copy(&f->user, f->context, va + 4096, va, 64, f->done, point),
                         STATUS_OK);
        assert_int_equal(watch(f, point, &listener), STATUS_OK);
        STORE_RELEASE(&f->rig.held, 0u);
        was_told(&listener, STATUS_OK);
        RIG_UNTIL(interrupts(f) > before);
    }
}

static void faults_are_told(void **state) {
    fixture_t *f = *state;
    listener_t wild, behind;
    assert_int_equal(submit(f, RIG_WILD, 1, 1), STATUS_OK);
    assert_int_equal(watch(f, 1, &wild), STATUS_OK);
    was_told(&wild, STATUS_CONTEXT_LOST);
    assert_int_equal(submit(f, RIG_WORK, 1, 2), STATUS_CONTEXT_LOST);
    assert_int_equal(watch(f, 2, &behind), STATUS_INVALID); // it promised nothing
}

// Memory that only a process could give is not waited for.
static void programs_that_want_heap_are_told(void **state) {
    fixture_t *f = *state;
    listener_t listener;
    rig_job_t job = {
        .program = RIG_HEAP, .unmarked = true, .done = f->done, .point = 1, .timeout_ns = LIMIT_NS};
    assert_int_equal(rig_submit(&f->user, f->context, &job, NULL), STATUS_OK);
    assert_int_equal(watch(f, 1, &listener), STATUS_OK);
    was_told(&listener, STATUS_CONTEXT_LOST);
    assert_int_equal(rig_query(&f->user, f->context).reason, ACCEL_LOST_FAULT);
}

static void resets_are_told(void **state) {
    fixture_t *f = *state;
    listener_t listener;
    accel_req_reset_t reset = {.level = ACCEL_RESET_CARD};
    assert_int_equal(submit(f, RIG_SPIN, 1, 1), STATUS_OK);
    assert_int_equal(watch(f, 1, &listener), STATUS_OK);
    assert_int_equal(ASK(f->rig.admin, reset, RESET), STATUS_OK);
    was_told(&listener, STATUS_DEVICE_LOST);
}

// Nothing outlives its limit.
static void limits_are_told(void **state) {
    fixture_t *f = *state;
    listener_t listener;
    rig_job_t job = {.program = RIG_SPIN, .done = f->done, .point = 1, .timeout_ns = 50000000};
    assert_int_equal(rig_submit(&f->user, f->context, &job, NULL), STATUS_OK);
    assert_int_equal(watch(f, 1, &listener), STATUS_OK);
    was_told(&listener, STATUS_CONTEXT_LOST);
}

static void a_process_that_dies_is_told(void **state) {
    fixture_t *f = *state;
    listener_t running, queued;
    assert_int_equal(submit(f, RIG_SPIN, 1, 1), STATUS_OK);
    assert_int_equal(submit(f, RIG_WORK, 1, 2), STATUS_OK);
    assert_int_equal(watch(f, 1, &running), STATUS_OK);
    assert_int_equal(watch(f, 2, &queued), STATUS_OK);
    end_user(f);
    was_told(&running, STATUS_CONTEXT_LOST);
    was_told(&queued, STATUS_CONTEXT_LOST);
}

static void who_turns_away_is_not_told(void **state) {
    fixture_t *f = *state;
    listener_t listener, other;
    rm_sync_promise(f->user.client, f->sync, 1);
    assert_int_equal(watch(f, 1, &listener), STATUS_OK);
    assert_int_equal(watch(f, 1, &other), STATUS_OK);
    assert_true(rm_fence_unwatch(f->user.client, &listener.fence));
    assert_false(rm_fence_unwatch(f->user.client, &listener.fence));
    rm_sync_post(f->user.client, f->sync, 1, STATUS_OK);
    was_told(&other, STATUS_OK);
    assert_int_equal(listener.times, 0);
}

// --- What may be watched ---

static void only_what_comes_may_be_watched(void **state) {
    fixture_t *f = *state;
    listener_t listener;
    uint32_t loose = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), gate = rig_sync(&f->user);
    rig_job_t job = {.count = 10, .gate = gate, .gate_point = 1, .done = f->done, .point = 1};
    assert_int_equal(rig_submit(&f->user, loose, &job, NULL), STATUS_OK);
    assert_int_equal(watch(f, 1, &listener), STATUS_INVALID);
    assert_int_equal(rig_signal(&f->user, gate, 1), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, f->done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(watch(f, 1, &listener), STATUS_OK); // it came
    was_told(&listener, STATUS_OK);
}

static void fenced_work_depends_on_nobody(void **state) {
    fixture_t *f = *state;
    uint32_t gate = rig_sync(&f->user);
    rig_job_t job = {.count = 10, .done = f->done, .point = 1};
    assert_int_equal(rig_submit(&f->user, f->context, &job, NULL), STATUS_INVALID); // no limit
    job.timeout_ns = ACCEL_FENCED_MAX_NS + 1;
    assert_int_equal(rig_submit(&f->user, f->context, &job, NULL), STATUS_INVALID);
    accel_req_submit_t request = {.head.flags = ACCEL_SUBMIT_MAY_SUSPEND,
                                  .ctx = f->context,
                                  .node = ACCEL_NODE_COMPUTE,
                                  .ib = RIG_CODE_VA,
                                  .bytes = 64,
                                  .timeout_ns = LIMIT_NS};
    assert_int_equal(ASK(f->user.client, request, SUBMIT), STATUS_INVALID);
    assert_int_equal(submit_behind(f, gate, 1, 1), STATUS_INVALID);
    assert_int_equal(submit(f, RIG_WORK, RIG_MCYCLES(20), 1), STATUS_OK);
    assert_int_equal(submit_behind(f, f->done, 1, 2), STATUS_OK); // that is promised
    assert_int_equal(rig_signal(&f->user, gate, 1), STATUS_OK);
    assert_int_equal(submit_behind(f, gate, 1, 3), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, f->done, 3, RIG_WAIT_NS), STATUS_OK);
    accel_req_ctx_create_t context = {.head.flags = ACCEL_CTX_FENCED, .vm = f->user.vm};
    assert_int_equal(ASK(f->user.client, context, CTX_CREATE), STATUS_INVALID); // no share
}

// Behind a fence that fails: what is taken is not copied.
static void fenced_copies_have_a_bound(void **state) {
    fixture_t *f = *state;
    static const struct {
        uint64_t bytes;
        uint32_t rows;
        status_t status;
    } cases[] = {
        {ACCEL_FENCED_MAX_BYTES, 1, STATUS_OK},
        {ACCEL_FENCED_MAX_BYTES + 1, 1, STATUS_INVALID},
        {UINT64_MAX, 1, STATUS_INVALID},
        {ACCEL_FENCED_MAX_BYTES / 2, 2, STATUS_OK},
        {ACCEL_FENCED_MAX_BYTES / 2, 3, STATUS_INVALID},
        {65536, UINT32_MAX, STATUS_INVALID},
        {UINT64_C(1) << 32, UINT32_MAX, STATUS_INVALID},
        {1, ACCEL_FENCED_MAX_ROWS, STATUS_OK},
        {1, ACCEL_FENCED_MAX_ROWS + 1, STATUS_INVALID},
    };
    uint32_t other = rig_sync(&f->user);
    rm_sync_t *gate = rm_sync_hold(f->user.client, other);
    rm_sync_promise(f->user.client, gate, 1);
    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        accel_req_submit_t request = {.ctx = f->context,
                                      .node = ACCEL_NODE_COPY,
                                      .dst = RIG_DATA_VA + (768u << 10),
                                      .src = RIG_DATA_VA + (600u << 10),
                                      .bytes = cases[i].bytes,
                                      .rows = cases[i].rows,
                                      .n_in = 1,
                                      .in = {{.sync = other, .value = 1}}};
        assert_int_equal(ASK(f->user.client, request, SUBMIT), cases[i].status);
    }
    rm_sync_post(f->user.client, gate, 1, STATUS_IO);
    rm_sync_release(gate);
}

static void debuggers_keep_away(void **state) {
    fixture_t *f = *state;
    accel_req_hold_t hold = {0};
    accel_req_ctx_create_t context = {.head.flags = ACCEL_CTX_FENCED,
                                      .vm = f->user.vm,
                                      .service_class = ACCEL_CLASS_BURST,
                                      .share = 1};
    assert_int_equal(ASK(f->rig.admin, hold, HOLD), STATUS_BUSY);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_CTX_DESTROY, f->context), STATUS_OK);
    assert_int_equal(ASK(f->rig.admin, hold, HOLD), STATUS_OK);
    assert_int_equal(ASK(f->user.client, context, CTX_CREATE), STATUS_BUSY);
    hold.head.flags = ACCEL_HOLD_RELEASE;
    assert_int_equal(ASK(f->rig.admin, hold, HOLD), STATUS_OK);
    assert_int_equal(ASK(f->user.client, context, CTX_CREATE), STATUS_OK);
}

// --- Fences of others ---

typedef struct poster {
    fixture_t *f;
    rm_sync_t *sync;
    status_t status;
} poster_t;

static void *post(void *argument) {
    const poster_t *poster = argument;
    rm_sync_post(poster->f->user.client, poster->sync, 1, poster->status);
    rm_sync_post(poster->f->user.client, poster->sync, 1, STATUS_OK); // nothing new
    return NULL;
}

// A submission waits for a fence of another driver, which ends with `status`.
static void wait_for_others(fixture_t *f, status_t status, status_t expected) {
    listener_t listener;
    pthread_t thread;
    uint32_t other = rig_sync(&f->user);
    poster_t poster = {f, rm_sync_hold(f->user.client, other), status};
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_SYNC_DESTROY, other), STATUS_BUSY);
    assert_int_equal(submit_behind(f, other, 1, 1), STATUS_INVALID);
    rm_sync_promise(f->user.client, poster.sync, 1);
    assert_int_equal(submit_behind(f, other, 1, 1), STATUS_OK);
    assert_int_equal(watch(f, 1, &listener), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, f->done, 1, 1000000), STATUS_TIMEOUT);
    assert_int_equal(pthread_create(&thread, NULL, post, &poster), 0);
    assert_int_equal(rig_wait(&f->user, f->done, 1, RIG_WAIT_NS), expected);
    assert_int_equal(pthread_join(thread, NULL), 0);
    was_told(&listener, expected);
    rm_sync_release(poster.sync);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_SYNC_DESTROY, other), STATUS_OK);
}

static void work_waits_for_others(void **state) { wait_for_others(*state, STATUS_OK, STATUS_OK); }
static void failures_of_others_are_passed_on(void **state) {
    wait_for_others(*state, STATUS_IO, STATUS_CONTEXT_LOST);
}

// --- All at once ---

#define ROUNDS 300u

static void *watch_and_leave(void *argument) {
    fixture_t *f = argument;
    for (uint64_t point = 1; point <= ROUNDS; point++) {
        listener_t listener;
        while (watch(f, point, &listener) == STATUS_INVALID)
            rig_pause();
        if (point % 2 == 0 && rm_fence_unwatch(f->user.client, &listener.fence))
            assert_int_equal(listener.times, 0);
        else
            was_told(&listener, STATUS_OK);
    }
    return NULL;
}

static void many_watch_at_once(void **state) {
    fixture_t *f = *state;
    pthread_t threads[3];
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, watch_and_leave, f), 0);
    for (uint64_t point = 1; point <= ROUNDS; point++)
        assert_int_equal(submit(f, RIG_WORK, 10, point), STATUS_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#define TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(who_watches_is_told, set_up),
        TEST(who_watches_is_told, set_up_inline),
        TEST(nobody_has_to_wait, set_up),
        TEST(who_watches_is_interrupted_for, set_up),
        TEST(faults_are_told, set_up),
        TEST(programs_that_want_heap_are_told, set_up),
        TEST(programs_that_want_heap_are_told, set_up_inline),
        TEST(resets_are_told, set_up),
        TEST(limits_are_told, set_up),
        TEST(a_process_that_dies_is_told, set_up),
        TEST(who_turns_away_is_not_told, set_up),
        TEST(only_what_comes_may_be_watched, set_up),
        TEST(fenced_work_depends_on_nobody, set_up),
        TEST(fenced_copies_have_a_bound, set_up),
        TEST(debuggers_keep_away, set_up),
        TEST(work_waits_for_others, set_up),
        TEST(work_waits_for_others, set_up_inline),
        TEST(failures_of_others_are_passed_on, set_up),
        TEST(many_watch_at_once, set_up),
        TEST(many_watch_at_once, set_up_inline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
