// SPDX-License-Identifier: Apache-2.0
// Signals that come while requests wait: none is deaf to them for long, nothing is lost by them,
// and the request that comes back can be made again.
#include "tests/driver/rig.h"

typedef struct fixture {
    rig_t rig;
    rig_user_t user;
    uint32_t context, done;
} fixture_t;

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    rig_open_watched(&f->rig, true, NULL);
    rig_user_open(&f->rig, &f->user);
    f->context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    f->done = rig_sync(&f->user);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    port_fault_set(f->rig.fault, NULL);
    rig_user_close(&f->user);
    rig_close(&f->rig);
    free(f);
    return 0;
}

// From the next long wait on, for `n` of them.
static void signals(fixture_t *f, uint64_t n) {
    port_fault_set(f->rig.fault, &(port_fault_plan_t){.interrupt_at = 1, .interrupt_for = n});
}

static port_fault_counts_t counts(fixture_t *f) {
    port_fault_counts_t now;
    port_fault_counts(f->rig.fault, &now);
    return now;
}

// --- SYNC_WAIT ---

#define SOON_NS UINT64_C(300000000)

// However often it is interrupted, it ends when it would have.
static void a_wait_keeps_its_deadline(void **state) {
    fixture_t *f = *state;
    accel_req_sync_t request = {.handle = f->done, .value = 1, .timeout_ns = SOON_NS};
    signals(f, 5);
    uint64_t begun = rig_now_ns();
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(ASK(f->user.client, request, SYNC_WAIT), STATUS_INTERRUPTED);
    assert_int_equal(request.head.flags, ACCEL_SYNC_UNTIL);
    assert_true(request.timeout_ns >= begun + SOON_NS);
    uint64_t deadline = request.timeout_ns;
    assert_int_equal(ASK(f->user.client, request, SYNC_WAIT), STATUS_TIMEOUT);
    assert_true(rig_now_ns() >= deadline);
    assert_int_equal(request.timeout_ns, deadline);
    assert_int_equal(ASK(f->user.client, request, SYNC_WAIT), STATUS_TIMEOUT); // at once
}

// Who is to die does not sleep and does not spin: one look, and out.
static void a_wait_that_never_ends_is_left(void **state) {
    fixture_t *f = *state;
    accel_req_sync_t request = {.handle = f->done, .value = 1, .timeout_ns = FOREVER};
    signals(f, UINT64_MAX);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(ASK(f->user.client, request, SYNC_WAIT), STATUS_INTERRUPTED);
        assert_int_equal(request.timeout_ns, FOREVER);
        assert_int_equal(counts(f).waits, i);
    }
    port_fault_set(f->rig.fault, NULL);
    assert_int_equal(rig_signal(&f->user, f->done, 1), STATUS_OK);
    assert_int_equal(ASK(f->user.client, request, SYNC_WAIT), STATUS_OK);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_SYNC_DESTROY, f->done), STATUS_OK);
}

// --- CTX_DESTROY ---

static void a_destruction_goes_on(void **state) {
    fixture_t *f = *state;
    uint32_t queued = rig_sync(&f->user), slot;
    rig_job_t job = {.count = RIG_MCYCLES(300), .done = f->done, .point = 1};
    assert_int_equal(rig_submit(&f->user, f->context, &job, &slot), STATUS_OK);
    rig_job_t behind = {.count = 1, .gate = queued, .gate_point = 1, .done = queued, .point = 2};
    assert_int_equal(rig_submit(&f->user, f->context, &behind, NULL), STATUS_OK);
    signals(f, 1);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_CTX_DESTROY, f->context), STATUS_INTERRUPTED);
    assert_int_equal(rig_wait(&f->user, queued, 2, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    job.point = 2;
    assert_int_equal(rig_submit(&f->user, f->context, &job, NULL), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_CTX_DESTROY, f->context), STATUS_OK);
    assert_int_equal(rig_count(&f->user, slot), 1);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_CTX_DESTROY, f->context), STATUS_NOT_FOUND);
    assert_int_equal(rig_wait(&f->user, f->done, 1, 0), STATUS_OK);
}

// What never ends is called back when its client is closed, signals or not.
static void the_dead_are_buried(void **state) {
    fixture_t *f = *state;
    rig_user_t user;
    rig_user_open(&f->rig, &user);
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0);
    rig_spin(&user, context, rig_sync(&user), 1);
    signals(f, UINT64_MAX);
    assert_int_equal(rig_destroy(&user, ACCEL_REQ_CTX_DESTROY, context), STATUS_INTERRUPTED);
    rig_user_close(&user);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
}

// --- What needs the card ---

// The packet that zeroes waits for a suspended card, and is taken back.
static void memory_that_cannot_be_zeroed_goes_back(void **state) {
    fixture_t *f = *state;
    accel_req_bo_create_t bo = {.bytes = 1 << 20};
    uint64_t before = rig_telemetry(&f->rig).memory_free;
    assert_int_equal(rm_card_suspend(f->rig.rm), STATUS_OK);
    signals(f, UINT64_MAX);
    assert_int_equal(ASK(f->user.client, bo, BO_CREATE), STATUS_INTERRUPTED);
    assert_int_equal(rig_telemetry(&f->rig).memory_free, before);
    port_fault_set(f->rig.fault, NULL);
    assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK);
    assert_int_equal(ASK(f->user.client, bo, BO_CREATE), STATUS_OK);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_BO_DESTROY, bo.handle), STATUS_OK);
    assert_int_equal(rig_telemetry(&f->rig).memory_free, before);
}

// Bounded by the card's own limits: signals are left to whoever asked.
static void resets_take_no_signals(void **state) {
    fixture_t *f = *state;
    accel_req_reset_t request = {.level = ACCEL_RESET_NODE, .node = ISA_NODE_COMPUTE};
    rig_spin(&f->user, f->context, f->done, 1);
    signals(f, UINT64_MAX);
    assert_int_equal(ASK(f->rig.admin, request, RESET), STATUS_OK);
    assert_int_equal(counts(f).waits, 0);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_wait_keeps_its_deadline), TEST(a_wait_that_never_ends_is_left),
        TEST(a_destruction_goes_on),     TEST(the_dead_are_buried),
        TEST(resets_take_no_signals),    TEST(memory_that_cannot_be_zeroed_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
