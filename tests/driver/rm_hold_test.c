// SPDX-License-Identifier: Apache-2.0
// A card that a debugger holds: nothing on it is out of time, and all else goes on.
#include "tests/driver/rig.h"

static const rm_options_t quick = {.answer_ns = 200000000, .stall_ns = 200000000};

#define LONG_NS (3 * (quick.answer_ns + quick.stall_ns)) // by then a hang would be found

typedef rig_fixture_t fixture_t;

static int set_up(void **state) { return rig_set_up(state, true, false, &quick); }

static status_t hold(rm_client_t *client, uint32_t flags) {
    accel_req_hold_t request = {.head.flags = flags};
    return ASK(client, request, HOLD);
}

static void wait_long(void) {
    uint64_t end = rig_now_ns() + LONG_NS;
    while (rig_now_ns() < end)
        rig_pause();
}

// In work and hanging, with another context's work behind it, so that there is a preemption that
// gets no answer.
typedef struct hanging {
    uint32_t bad, bad_done, good, good_done, slot;
} hanging_t;

static hanging_t hang(fixture_t *f) {
    rig_user_t *user = &f->user;
    hanging_t h = {.bad = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0),
                   .good = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0),
                   .bad_done = rig_sync(user),
                   .good_done = rig_sync(user)};
    rig_spin(user, h.bad, h.bad_done, 1);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE), STATUS_OK);
    rig_job_t work = {.count = 1000, .done = h.good_done, .point = 1};
    assert_int_equal(rig_submit(user, h.good, &work, &h.slot), STATUS_OK);
    return h;
}

static void check_end(fixture_t *f, const hanging_t *h, uint32_t reason) {
    rig_user_t *user = &f->user;
    assert_int_equal(rig_wait(user, h->bad_done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_query(user, h->bad).reason, reason);
    assert_int_equal(rig_wait(user, h->good_done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_query(user, h->good).state, ACCEL_CTX_READY);
    assert_int_equal(rig_count(user, h->slot), 1);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 1);
}

static void check_patience(fixture_t *f, const hanging_t *h) {
    wait_long();
    assert_int_equal(rig_wait(&f->user, h->good_done, 1, 1000000), STATUS_TIMEOUT);
    assert_int_equal(rig_query(&f->user, h->bad).state, ACCEL_CTX_READY);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_HANG, NULL), 0);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
}

static void a_hang_is_found_after_release(void **state) {
    fixture_t *f = *state;
    assert_int_equal(hold(f->rig.admin, 0), STATUS_OK);
    hanging_t h = hang(f);
    check_patience(f, &h);
    assert_int_equal(hold(f->rig.admin, ACCEL_HOLD_RELEASE), STATUS_OK);
    check_end(f, &h, ACCEL_LOST_HANG);
    accel_event_record_t last;
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_HELD, NULL), 1);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_RELEASED, &last), 1);
    assert_true(last.a >= LONG_NS);
}

// The time before the hold counts, the time under it does not.
static void time_limits_stand_still(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    rig_job_t spin = {.program = RIG_SPIN, .done = done, .point = 1, .timeout_ns = 100000000};
    assert_int_equal(hold(f->rig.admin, 0), STATUS_OK);
    assert_int_equal(rig_submit(user, context, &spin, NULL), STATUS_OK);
    wait_long();
    assert_int_equal(rig_query(user, context).state, ACCEL_CTX_READY);
    uint64_t released = rig_now_ns();
    assert_int_equal(hold(f->rig.admin, ACCEL_HOLD_RELEASE), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_true(rig_now_ns() - released >= spin.timeout_ns);
    assert_int_equal(rig_query(user, context).reason, ACCEL_LOST_TIMEOUT);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
}

static accel_client_record_t record_of(rig_t *rig, uint64_t pid) {
    accel_client_record_t records[8];
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = 8};
    assert_int_equal(ASK(rig->admin, request, CLIENTS), STATUS_OK);
    for (uint32_t i = 0; i < request.count; i++)
        if (records[i].pid == pid)
            return records[i];
    fail_msg("no such client");
    return records[0];
}

// Its end is the hold's, in whatever way it comes.
static void it_ends_with_the_client(void **state) {
    fixture_t *f = *state;
    rm_client_t *debugger;
    rm_client_options_t options = {.pid = 9000, .is_admin = true};
    assert_int_equal(rm_client_open(f->rig.rm, &options, &debugger), STATUS_OK);
    assert_int_equal(hold(debugger, 0), STATUS_OK);
    assert_int_equal(hold(debugger, 0), STATUS_BUSY);
    assert_int_equal(hold(f->rig.admin, 0), STATUS_BUSY);
    assert_int_equal(hold(f->rig.admin, ACCEL_HOLD_RELEASE), STATUS_OK); // not its own
    assert_int_equal(record_of(&f->rig, 9000).holds, 1);
    hanging_t h = hang(f);
    check_patience(f, &h);
    rm_client_close(debugger);
    check_end(f, &h, ACCEL_LOST_HANG);
    accel_event_record_t last;
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_RELEASED, &last), 1);
    assert_int_equal(last.pid, 9000);
    assert_int_equal(hold(f->rig.admin, 0), STATUS_OK);
}

// Requests of the dead may still wait for what hangs, and only the watchdog can end that.
static void it_ends_with_the_process(void **state) {
    fixture_t *f = *state;
    rm_client_t *debugger;
    rm_client_options_t options = {.pid = 9000, .is_admin = true};
    assert_int_equal(rm_client_open(f->rig.rm, &options, &debugger), STATUS_OK);
    assert_int_equal(hold(debugger, 0), STATUS_OK);
    hanging_t h = hang(f);
    rm_client_abandon(debugger);
    check_end(f, &h, ACCEL_LOST_HANG);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_RELEASED, NULL), 1);
    assert_int_equal(hold(debugger, 0), STATUS_DEVICE_LOST);
    assert_int_equal(hold(f->rig.admin, 0), STATUS_OK);
    rm_client_close(debugger);
}

static void administrators_reset_all_the_same(void **state) {
    fixture_t *f = *state;
    assert_int_equal(hold(f->rig.admin, 0), STATUS_OK);
    hanging_t h = hang(f);
    accel_req_reset_t reset = {.level = ACCEL_RESET_NODE, .node = ISA_NODE_COMPUTE};
    assert_int_equal(ASK(f->rig.admin, reset, RESET), STATUS_OK);
    check_end(f, &h, ACCEL_LOST_RESET);
}

// Whoever waits for a card that went away learns it; the hold stays its holder's.
static void cards_go_away_all_the_same(void **state) {
    fixture_t *f = *state;
    assert_int_equal(hold(f->rig.admin, 0), STATUS_OK);
    hanging_t h = hang(f);
    status_t planted = rig_inject(&f->rig, ISA_INJECT_REMOVE, 0); // it may be seen at once
    assert_true(planted == STATUS_OK || planted == STATUS_DEVICE_LOST);
    assert_int_equal(rig_wait(&f->user, h.good_done, 1, RIG_WAIT_NS), STATUS_DEVICE_LOST);
    assert_int_equal(hold(f->rig.admin, 0), STATUS_BUSY);
    assert_int_equal(hold(f->rig.admin, ACCEL_HOLD_RELEASE), STATUS_OK);
}

static void only_administrators_may(void **state) {
    fixture_t *f = *state;
    assert_int_equal(hold(f->user.client, 0), STATUS_DENIED);
    assert_int_equal(hold(f->user.client, ACCEL_HOLD_RELEASE), STATUS_DENIED);
    assert_int_equal(hold(f->rig.admin, 2), STATUS_INVALID);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_HELD, NULL), 0);
}

// In timing mode watched time always stands, holds or not.
static void timing_mode_has_no_deadlines(void **state) {
    (void)state;
    rig_t rig;
    rig_user_t user;
    rig_open_as(&rig, true, SIM_MODE_TIMING, &quick);
    rig_user_open(&rig, &user);
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&user);
    rig_job_t spin = {.program = RIG_SPIN, .done = done, .point = 1, .timeout_ns = 1000000};
    assert_int_equal(hold(rig.admin, 0), STATUS_OK);
    assert_int_equal(rig_submit(&user, context, &spin, NULL), STATUS_OK);
    assert_int_equal(hold(rig.admin, ACCEL_HOLD_RELEASE), STATUS_OK);
    wait_long();
    assert_int_equal(rig_query(&user, context).state, ACCEL_CTX_READY);
    assert_int_equal(rig_events(&rig, ACCEL_EVENT_HANG, NULL), 0);
    accel_req_ctx_create_t fenced = {.head.flags = ACCEL_CTX_FENCED,
                                     .vm = user.vm,
                                     .service_class = ACCEL_CLASS_BURST,
                                     .share = 1};
    assert_int_equal(ASK(user.client, fenced, CTX_CREATE), STATUS_UNSUPPORTED);
    rig_user_close(&user);
    rig_close(&rig);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_hang_is_found_after_release),     TEST(time_limits_stand_still),
        TEST(it_ends_with_the_client),           TEST(it_ends_with_the_process),
        TEST(administrators_reset_all_the_same), TEST(cards_go_away_all_the_same),
        TEST(only_administrators_may),           cmocka_unit_test(timing_mode_has_no_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
