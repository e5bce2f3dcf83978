// SPDX-License-Identifier: Apache-2.0
// Order, and runs that are interrupted: nothing is lost, run twice or run out of order.
#include <pthread.h>

#include "tests/driver/rig.h"

typedef rig_fixture_t fixture_t;

static int set_up_inline(void **state) { return rig_set_up(state, false, false, NULL); }
static int set_up_posted(void **state) { return rig_set_up(state, true, false, NULL); }

// Each job comes to its end exactly once, and the points of a context in order.
static void all_run_once(rig_user_t *user, const uint32_t *contexts, uint32_t n_contexts,
                         uint32_t n_jobs, uint64_t count) {
    uint32_t slots[RIG_SLOTS], done[4], gate = rig_sync(user);
    for (uint32_t c = 0; c < n_contexts; c++)
        done[c] = rig_sync(user);
    for (uint32_t i = 0; i < n_jobs; i++) {
        rig_job_t job = {.count = count + i % 7 * count / 3,
                         .gate = gate,
                         .gate_point = 1,
                         .done = done[i % n_contexts],
                         .point = i + 1};
        assert_int_equal(rig_submit(user, contexts[i % n_contexts], &job, &slots[i]), STATUS_OK);
    }
    assert_int_equal(rig_signal(user, gate, 1), STATUS_OK);
    for (uint32_t c = 0; c < n_contexts; c++)
        assert_int_equal(rig_wait(user, done[c], n_jobs - n_contexts + 1 + c, RIG_WAIT_NS),
                         STATUS_OK);
    for (uint32_t i = 0; i < n_jobs; i++)
        assert_int_equal(rig_count(user, slots[i]), 1);
}

static void interrupted_runs_end_once(void **state) {
    fixture_t *f = *state;
    uint32_t contexts[3];
    for (uint32_t i = 0; i < 3; i++)
        contexts[i] = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    all_run_once(&f->user, contexts, 3, 30, RIG_MCYCLES(5)); // above the slice of 2 M
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(rig_query(&f->user, contexts[i]).state, ACCEL_CTX_READY);
}

static void classes_and_best_effort_end_once(void **state) {
    fixture_t *f = *state;
    uint32_t contexts[3] = {rig_context(&f->user, ACCEL_CLASS_FIXED, 25),
                            rig_context(&f->user, ACCEL_CLASS_BURST, 25),
                            rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0)};
    all_run_once(&f->user, contexts, 3, 30, RIG_MCYCLES(3));
}

// A context that was alone runs without end: another one gets the node in spite of it.
static void the_endless_give_way(void **state) {
    fixture_t *f = *state;
    uint32_t endless = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    uint32_t other = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    rig_job_t spin = {.program = RIG_SPIN}, work = {.count = 1000, .done = done};
    uint32_t slot;
    assert_int_equal(rig_submit(&f->user, endless, &spin, NULL), STATUS_OK);
    for (work.point = 1; work.point <= 20; work.point++) {
        assert_int_equal(rig_submit(&f->user, other, &work, &slot), STATUS_OK);
        assert_int_equal(rig_wait(&f->user, done, work.point, RIG_WAIT_NS), STATUS_OK);
        assert_int_equal(rig_count(&f->user, slot), 1);
    }
    assert_int_equal(rig_query(&f->user, endless).state, ACCEL_CTX_READY);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
    // Closing the client calls the endless one back.
}

typedef struct submitter {
    rig_user_t *user;
    uint32_t context;
} submitter_t;

static void *submit_spin(void *argument) {
    const submitter_t *s = argument;
    rig_job_t spin = {.program = RIG_SPIN, .timeout_ns = 200000000};
    assert_int_equal(rig_submit(s->user, s->context, &spin, NULL), STATUS_OK);
    return NULL;
}

// On a card that works in the doorbell the submitter is stuck in it: others are not.
static void a_stuck_submitter_harms_nobody(void **state) {
    fixture_t *f = *state;
    submitter_t s = {&f->user, rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0)};
    uint32_t other = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, submit_spin, &s), 0);
    rig_job_t work = {.count = 1000, .done = done, .point = 1};
    assert_int_equal(rig_submit(&f->user, other, &work, NULL), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, done, 1, RIG_WAIT_NS), STATUS_OK);
    (void)pthread_join(thread, NULL);
    RIG_UNTIL(rig_query(&f->user, s.context).state == ACCEL_CTX_LOST);
    assert_int_equal(rig_query(&f->user, s.context).reason, ACCEL_LOST_TIMEOUT);
}

static void *destroy_context(void *argument) {
    const submitter_t *s = argument;
    assert_int_equal(rig_destroy(s->user, ACCEL_REQ_CTX_DESTROY, s->context), STATUS_OK);
    return NULL;
}

// Destroying a context waits for what runs, unless nobody is there any more who would.
static void the_abandoned_do_not_wait(void **state) {
    fixture_t *f = *state;
    rig_user_t user;
    pthread_t thread;
    rig_user_open(&f->rig, &user);
    submitter_t s = {&user, rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0)};
    rig_job_t spin = {.program = RIG_SPIN};
    assert_int_equal(rig_submit(&user, s.context, &spin, NULL), STATUS_OK);
    assert_int_equal(pthread_create(&thread, NULL, destroy_context, &s), 0);
    for (int i = 0; i < 20; i++)
        rig_pause();
    RIG_UNTIL((rm_client_abandon(user.client), pthread_tryjoin_np(thread, NULL) == 0));
    rig_user_close(&user);
}

static uint32_t compute_state(fixture_t *f) {
    accel_req_stats_t stats = {.node = ACCEL_NODE_COMPUTE};
    assert_int_equal(ASK(f->rig.admin, stats, STATS), STATUS_OK);
    return stats.state;
}

static void *submit_endless(void *argument) {
    const submitter_t *s = argument;
    rig_job_t spin = {.program = RIG_SPIN};
    assert_int_equal(rig_submit(s->user, s->context, &spin, NULL), STATUS_OK);
    return NULL;
}

// What they left on the card does not run on either: on one that works in the doorbell the thread
// that it keeps is the only one that could call it back.
static void the_abandoned_run_no_more(void **state) {
    fixture_t *f = *state;
    rig_user_t user;
    pthread_t thread;
    rig_user_open(&f->rig, &user);
    submitter_t s = {&user, rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0)};
    uint32_t other = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0);
    assert_int_equal(pthread_create(&thread, NULL, submit_endless, &s), 0);
    RIG_UNTIL(rig_count(&user, 0) == 1);
    assert_int_equal(compute_state(f), ISA_NODE_STATE_BUSY);
    rm_client_abandon(user.client);
    RIG_UNTIL(compute_state(f) == ISA_NODE_STATE_IDLE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_job_t late = {.count = 1};
    uint32_t slot = 0;
    assert_int_equal(rig_submit(&user, other, &late, &slot), STATUS_DEVICE_LOST);
    assert_int_equal(rig_count(&user, 0), 1);
    rig_user_close(&user);
}

// Copies and launches of one context stay in order across the nodes.
static void nodes_keep_the_order(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    uint32_t other = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
    uint64_t from = RIG_DATA_VA + 512 * 1024, to = RIG_DATA_VA + 768 * 1024;
    uint64_t *copies = (uint64_t *)(void *)(user->data + 768 * 1024);
    rig_job_t noise = {.count = RIG_MCYCLES(30)};
    assert_int_equal(rig_submit(user, other, &noise, NULL), STATUS_OK);
    uint32_t slots[20];
    for (uint32_t i = 0; i < 20; i++) {
        rig_job_t work = {.count = RIG_MCYCLES(1), .done = done, .point = 2 * i + 1};
        assert_int_equal(rig_submit(user, context, &work, &slots[i]), STATUS_OK);
        assert_int_equal(
            rig_copy(user, context, to + slots[i] * 8, from + slots[i] * 8, 8, done, 2 * i + 2),
            STATUS_OK);
    }
    assert_int_equal(rig_wait(user, done, 40, RIG_WAIT_NS), STATUS_OK);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(copies[slots[i]], 1);
}

// A fault in the middle of others' interrupted runs takes its context alone.
static void a_fault_takes_its_context_alone(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t good = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), gate = rig_sync(user);
    uint32_t bad = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
    uint32_t good_done = rig_sync(user), bad_done = rig_sync(user);
    uint32_t slots[10];
    for (uint32_t i = 0; i < 10; i++) {
        rig_job_t work = {.count = RIG_MCYCLES(4),
                          .gate = gate,
                          .gate_point = 1,
                          .done = good_done,
                          .point = i + 1};
        rig_job_t wild = work;
        wild.program = i == 4 ? RIG_WILD : RIG_WORK;
        wild.done = bad_done;
        assert_int_equal(rig_submit(user, good, &work, &slots[i]), STATUS_OK);
        assert_int_equal(rig_submit(user, bad, &wild, NULL), STATUS_OK);
    }
    assert_int_equal(rig_signal(user, gate, 1), STATUS_OK);
    assert_int_equal(rig_wait(user, bad_done, 10, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_wait(user, good_done, 10, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_wait(user, bad_done, 4, RIG_WAIT_NS), STATUS_OK); // before the fault
    assert_int_equal(rig_value(user, bad_done), 10);
    assert_int_equal(rig_value(user, good_done), 10);
    accel_req_ctx_query_t query = rig_query(user, bad);
    assert_int_equal(query.reason, ACCEL_LOST_FAULT);
    assert_int_equal(((const isa_fault_record_t *)(const void *)query.fault)->cause,
                     ISA_FAULT_PAGE_INVALID);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(rig_count(user, slots[i]), 1);
}

// --- Suspended launches ---

// A launch that waits for heap, and another context's work that waits for its point.
typedef struct suspended {
    uint32_t context, slot, done, other_slot, other_done;
} suspended_t;

static suspended_t suspend(rig_user_t *user) {
    suspended_t s = {.context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0),
                     .done = rig_sync(user),
                     .other_done = rig_sync(user)};
    uint32_t other = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
    rig_job_t heap = {.program = RIG_HEAP, .done = s.done, .point = 1};
    rig_job_t after = {
        .count = 10, .gate = s.done, .gate_point = 1, .done = s.other_done, .point = 1};
    assert_int_equal(rig_submit(user, s.context, &heap, &s.slot), STATUS_OK);
    assert_int_equal(rig_wait(user, s.done, 1, RIG_WAIT_NS), STATUS_SUSPENDED);
    assert_int_equal(rig_submit(user, other, &after, &s.other_slot), STATUS_OK);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_SYNC_DESTROY, s.done), STATUS_BUSY);
    return s;
}

static void ended_with_its_context(rig_user_t *user, const suspended_t *s) {
    assert_int_equal(rig_wait(user, s->done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_wait(user, s->other_done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_count(user, s->slot), 0);
    assert_int_equal(rig_count(user, s->other_slot), 0);
}

static void a_suspended_launch_ends_when_destroyed(void **state) {
    fixture_t *f = *state;
    suspended_t s = suspend(&f->user);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_CTX_DESTROY, s.context), STATUS_OK);
    ended_with_its_context(&f->user, &s);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_SYNC_DESTROY, s.done), STATUS_OK);
}

// By a page of its address space that goes bad.
static void a_suspended_launch_ends_when_lost(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    suspended_t s = suspend(user);
    accel_req_bo_create_t bo = {.bytes = rig_telemetry(&f->rig).memory_free};
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_OK);
    accel_req_bind_t bind = {
        .vm = user->vm, .bo = bo.handle, .va = RIG_DATA_VA + (1u << 30), .bytes = bo.bytes};
    assert_int_equal(ASK(user->client, bind, BIND), STATUS_OK);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_ECC_DOUBLE, RIG_MEMORY / 2), STATUS_OK);
    RIG_UNTIL(rig_query(user, s.context).state == ACCEL_CTX_LOST);
    ended_with_its_context(user, &s);
}

// Whatever points the RESUME names.
static void a_resumed_launch_reaches_all_points(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    suspended_t s = suspend(user);
    uint32_t done = rig_sync(user);
    assert_int_equal(rig_resume(user, s.context, s.slot, done, 1), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_wait(user, s.done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_wait(user, s.other_done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_count(user, s.slot), 1);
    assert_int_equal(rig_count(user, s.other_slot), 1);
    s = suspend(user);
    assert_int_equal(rig_resume(user, s.context, s.slot, s.done, 2), STATUS_OK);
    assert_int_equal(rig_wait(user, s.done, 2, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_wait(user, s.other_done, 1, RIG_WAIT_NS), STATUS_OK);
}

// One of two that owe points of the same timeline goes on: the other one's are still owed.
static void suspended_launches_may_share_a_timeline(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t contexts[2], slots[2], done = rig_sync(user);
    for (uint32_t i = 0; i < 2; i++) {
        rig_job_t heap = {.program = RIG_HEAP, .done = done, .point = i + 1};
        contexts[i] = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
        assert_int_equal(rig_submit(user, contexts[i], &heap, &slots[i]), STATUS_OK);
        RIG_UNTIL(rig_query(user, contexts[i]).state == ACCEL_CTX_SUSPENDED);
    }
    assert_int_equal(rig_wait(user, done, 1, RIG_WAIT_NS), STATUS_SUSPENDED);
    assert_int_equal(rig_resume(user, contexts[0], slots[0], 0, 0), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 2, RIG_WAIT_NS), STATUS_SUSPENDED);
    assert_int_equal(rig_resume(user, contexts[1], slots[1], 0, 0), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 2, RIG_WAIT_NS), STATUS_OK);
}

// Launches in a row that suspend and do not say so: the first takes the context with it, and all
// points are decided.
static void unmarked_launches_do_not_suspend(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), gate = rig_sync(user);
    uint32_t done[2], slots[2];
    for (uint32_t i = 0; i < 2; i++) {
        rig_job_t heap = {.program = RIG_HEAP, .unmarked = true, .gate = gate, .gate_point = 1};
        heap.done = done[i] = rig_sync(user);
        heap.point = 1;
        assert_int_equal(rig_submit(user, context, &heap, &slots[i]), STATUS_OK);
    }
    assert_int_equal(rig_signal(user, gate, 1), STATUS_OK);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(rig_wait(user, done[i], 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    accel_req_ctx_query_t query = rig_query(user, context);
    const isa_fault_record_t *fault = (const void *)query.fault;
    assert_int_equal(query.state, ACCEL_CTX_LOST);
    assert_int_equal(query.reason, ACCEL_LOST_FAULT);
    assert_int_equal(fault->cause, ISA_FAULT_BAD_ECALL);
    assert_int_equal(fault->value, ISA_ECALL_HEAP);
    assert_int_equal(rig_resume(user, context, slots[0], 0, 0), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_CTX_DESTROY, context), STATUS_OK);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(rig_destroy(user, ACCEL_REQ_SYNC_DESTROY, done[i]), STATUS_OK);
}

#define TEST_BOTH(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, set_up_inline, rig_tear_down),                           \
        cmocka_unit_test_setup_teardown(test, set_up_posted, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_BOTH(interrupted_runs_end_once),
        TEST_BOTH(classes_and_best_effort_end_once),
        cmocka_unit_test_setup_teardown(the_endless_give_way, set_up_posted, rig_tear_down),
        TEST_BOTH(a_stuck_submitter_harms_nobody),
        cmocka_unit_test_setup_teardown(the_abandoned_do_not_wait, set_up_posted, rig_tear_down),
        TEST_BOTH(the_abandoned_run_no_more),
        TEST_BOTH(nodes_keep_the_order),
        TEST_BOTH(a_fault_takes_its_context_alone),
        TEST_BOTH(a_suspended_launch_ends_when_destroyed),
        TEST_BOTH(a_suspended_launch_ends_when_lost),
        TEST_BOTH(a_resumed_launch_reaches_all_points),
        TEST_BOTH(suspended_launches_may_share_a_timeline),
        TEST_BOTH(unmarked_launches_do_not_suspend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
