// SPDX-License-Identifier: Apache-2.0
// What the watchdog finds: lost interrupts, hangs, submissions out of time; and that it sleeps.
#include "tests/common/threads.h"
#include "tests/driver/rig.h"

// Short, but long for a thread that waits for a processor.
static const rm_options_t quick = {
    .answer_ns = 400000000, .stall_ns = 400000000, .idle_ns = 50000000, .ban_hangs = 3};

typedef rig_fixture_t fixture_t;

static int set_up(void **state) { return rig_set_up(state, true, false, &quick); }

static void lost_interrupts_are_found(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_IRQ_LOST, 3), STATUS_OK);
    for (uint64_t point = 1; point <= 6; point++) {
        rig_job_t work = {.count = RIG_MCYCLES(20), .done = done, .point = point};
        assert_int_equal(rig_submit(user, context, &work, NULL), STATUS_OK);
        assert_int_equal(rig_wait(user, done, point, RIG_WAIT_NS), STATUS_OK);
    }
    assert_int_equal(rig_query(user, context).state, ACCEL_CTX_READY);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_CONTEXT_LOST, NULL), 0);
    assert_true(rig_telemetry(&f->rig).lost_interrupts >= 1);
}

// The context in work is lost; what others had queued runs, and runs once.
static void a_hang_takes_its_context_alone(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t bad = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), bad_done = rig_sync(user);
    uint32_t good = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), good_done = rig_sync(user);
    rig_spin(user, bad, bad_done, 1);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE), STATUS_OK);
    uint32_t slots[10];
    for (uint32_t i = 0; i < 10; i++) {
        rig_job_t work = {.count = 1000, .done = good_done, .point = i + 1};
        assert_int_equal(rig_submit(user, good, &work, &slots[i]), STATUS_OK);
    }
    assert_int_equal(rig_wait(user, bad_done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_wait(user, good_done, 10, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_query(user, bad).reason, ACCEL_LOST_HANG);
    assert_int_equal(rig_query(user, good).state, ACCEL_CTX_READY);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(rig_count(user, slots[i]), 1);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 1);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_HANG, NULL), 1);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_NODE_RESET, NULL), 1);
}

static void a_hanging_copy_takes_its_context_alone(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t bad = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), bad_done = rig_sync(user);
    uint32_t good = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), good_done = rig_sync(user);
    uint64_t *memory = (uint64_t *)(void *)(user->data + 768 * 1024);
    uint64_t va = RIG_DATA_VA + 768 * 1024;
    memory[0] = 7;
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COPY), STATUS_OK);
    assert_int_equal(rig_copy(user, bad, va + 64, va, 8, bad_done, 1), STATUS_OK);
    assert_int_equal(rig_copy(user, good, va + 8, va, 8, good_done, 1), STATUS_OK);
    assert_int_equal(rig_wait(user, good_done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(memory[1], 7);
    status_t status = rig_wait(user, bad_done, 1, RIG_WAIT_NS);
    assert_true(status == STATUS_OK || status == STATUS_CONTEXT_LOST);
    // The node works, for rm's own packets too.
    accel_req_bo_create_t bo = {.bytes = 1 << 20};
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_OK);
}

// A node whose thread gets no processor, before its packet and in the midst of it: no hang.
static void who_does_not_run_is_not_to_blame(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    for (uint32_t what = RIG_READS; what <= RIG_WRITES; what++) {
        rig_job_t work = {.count = 1000, .done = done, .point = what};
        STORE_RELEASE(&f->rig.held, what);
        assert_int_equal(rig_submit(user, context, &work, NULL), STATUS_OK);
        uint64_t end = rig_now_ns() + (quick.answer_ns + quick.stall_ns) * 3 / 2;
        while (rig_now_ns() < end)
            rig_pause();
        STORE_RELEASE(&f->rig.held, 0u);
        assert_int_equal(rig_wait(user, done, what, RIG_WAIT_NS), STATUS_OK);
    }
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_HANG, NULL), 0);
}

static void time_limits_are_kept(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t slow = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), slow_done = rig_sync(user);
    uint32_t good = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), good_done = rig_sync(user);
    rig_job_t spin = {.program = RIG_SPIN, .done = slow_done, .point = 1, .timeout_ns = 50000000};
    rig_job_t work = {.count = 1000, .done = good_done, .point = 1, .timeout_ns = RIG_WAIT_NS};
    assert_int_equal(rig_submit(user, slow, &spin, NULL), STATUS_OK);
    assert_int_equal(rig_submit(user, good, &work, NULL), STATUS_OK);
    assert_int_equal(rig_wait(user, slow_done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_wait(user, good_done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_query(user, slow).reason, ACCEL_LOST_TIMEOUT);
    RIG_UNTIL(LOAD_ACQUIRE(&f->rig.n_late) == 1);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
}

// A client that hangs the card again and again is banned; others go on.
static void hanging_clients_are_banned(void **state) {
    fixture_t *f = *state;
    rig_user_t bad;
    rig_user_open(&f->rig, &bad);
    uint32_t done = rig_sync(&bad);
    uint32_t bystander = rig_context(&bad, ACCEL_CLASS_BEST_EFFORT, 0);
    for (uint64_t i = 1; i <= quick.ban_hangs; i++) {
        uint32_t context = rig_context(&bad, ACCEL_CLASS_BEST_EFFORT, 0);
        rig_spin(&bad, context, done, i);
        assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE), STATUS_OK);
        assert_int_equal(rig_wait(&bad, done, i, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    }
    assert_int_equal(rig_query(&bad, bystander).reason, ACCEL_LOST_BANNED);
    rig_job_t work = {.count = 10, .done = done, .point = 100};
    assert_int_equal(rig_submit(&bad, bystander, &work, NULL), STATUS_DENIED);
    accel_req_ctx_create_t more = {.vm = bad.vm};
    assert_int_equal(ASK(bad.client, more, CTX_CREATE), STATUS_DENIED);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_BANNED, NULL), 1);
    uint32_t good = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    work.done = rig_sync(&f->user);
    work.point = 1;
    assert_int_equal(rig_submit(&f->user, good, &work, NULL), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, work.done, 1, RIG_WAIT_NS), STATUS_OK);
    rig_user_close(&bad);
}

// Completion entries that hold nonsense, and slots that cannot be read: at most one context pays.
static void nonsense_takes_one_context_at_most(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    static const uint32_t faults[] = {ISA_INJECT_COMP_CORRUPT, ISA_INJECT_DMA_ERROR};
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t one = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), one_done = rig_sync(user);
        uint32_t two = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), two_done = rig_sync(user);
        assert_int_equal(rig_inject(&f->rig, faults[i % 2], ISA_NODE_COMPUTE), STATUS_OK);
        uint32_t slots[8];
        for (uint32_t j = 0; j < 8; j++) {
            rig_job_t work = {.count = 100, .done = j % 2 ? two_done : one_done, .point = j + 1};
            status_t status = rig_submit(user, j % 2 ? two : one, &work, &slots[j]);
            assert_true(status == STATUS_OK || status == STATUS_CONTEXT_LOST);
            if (status != STATUS_OK)
                break;
        }
        status_t first = rig_wait(user, one_done, 7, RIG_WAIT_NS);
        status_t second = rig_wait(user, two_done, 8, RIG_WAIT_NS);
        assert_true(first == STATUS_OK || first == STATUS_CONTEXT_LOST);
        assert_true(second == STATUS_OK || second == STATUS_CONTEXT_LOST);
        assert_true(first == STATUS_OK || second == STATUS_OK);
        for (uint32_t j = 0; j < 8; j++)
            if ((j % 2 ? second : first) == STATUS_OK)
                assert_int_equal(rig_count(user, slots[j]), 1);
        assert_int_equal(rig_destroy(user, ACCEL_REQ_CTX_DESTROY, one), STATUS_OK);
        assert_int_equal(rig_destroy(user, ACCEL_REQ_CTX_DESTROY, two), STATUS_OK);
        memset(user->data + 512 * 1024, 0, RIG_SLOTS * 8);
    }
    assert_int_equal(rig_telemetry(&f->rig).card_resets, 0);
}

static void idle_cards_sleep_and_wake(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    for (uint64_t point = 1; point <= 3; point++) {
        rig_job_t work = {.count = 1000, .done = done, .point = point};
        assert_int_equal(rig_submit(user, context, &work, NULL), STATUS_OK);
        assert_int_equal(rig_wait(user, done, point, RIG_WAIT_NS), STATUS_OK);
        RIG_UNTIL(rig_telemetry(&f->rig).power_state == ISA_POWER_SLEEP);
    }
    assert_true(rig_events(&f->rig, ACCEL_EVENT_SLEPT, NULL) >= 2);
    assert_true(rig_events(&f->rig, ACCEL_EVENT_WOKE, NULL) >= 2);
}

// What woke the card counts as work: it sleeps again when it has rested for so long, not at the
// next look.
static void woken_cards_stay_awake(void **state) {
    (void)state;
    static const rm_options_t rests = {.idle_ns = 600000000}; // more than two looks apart
    rig_t rig;
    rig_user_t user;
    accel_event_record_t woke = {0}, slept = {0};
    rig_open(&rig, true, &rests);
    rig_user_open(&rig, &user);
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&user);
    for (uint32_t point = 1; point <= 2; point++) {
        rig_job_t work = {.count = 1000, .done = done, .point = point};
        assert_int_equal(rig_submit(&user, context, &work, NULL), STATUS_OK);
        assert_int_equal(rig_wait(&user, done, point, RIG_WAIT_NS), STATUS_OK);
        RIG_UNTIL(rig_events(&rig, ACCEL_EVENT_SLEPT, &slept) == point);
    }
    assert_int_equal(rig_events(&rig, ACCEL_EVENT_WOKE, &woke), 1);
    assert_true(slept.time_ns - woke.time_ns >= rests.idle_ns);
    rig_user_close(&user);
    rig_close(&rig);
}

static void heat_is_nobodys_error(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_OVERHEAT, 50), STATUS_OK);
    for (uint64_t point = 1; point <= 20; point++) {
        rig_job_t work = {.count = RIG_MCYCLES(2), .done = done, .point = point};
        assert_int_equal(rig_submit(user, context, &work, NULL), STATUS_OK);
    }
    assert_int_equal(rig_wait(user, done, 20, RIG_WAIT_NS), STATUS_OK);
    RIG_UNTIL(rig_events(&f->rig, ACCEL_EVENT_COOLED, NULL) == 1);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_OVERHEAT, NULL), 1);
    assert_int_equal(rig_query(user, context).state, ACCEL_CTX_READY);
}

// A card that works in the caller's thread costs at most one more.
static void one_thread_beside_the_caller(void **state) {
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); // it has a thread of its own
#endif
    rig_t rig;
    rig_user_t user;
    uint32_t before = count_threads();
    assert_true(before > 0);
    rig_open(&rig, false, NULL);
    rig_user_open(&rig, &user);
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0);
    rig_job_t work = {.count = 100, .done = rig_sync(&user), .point = 1};
    assert_int_equal(rig_submit(&user, context, &work, NULL), STATUS_OK);
    assert_int_equal(rig_wait(&user, work.done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_true(count_threads() <= before + 1);
    rig_user_close(&user);
    rig_close(&rig);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_beside_the_caller),
        TEST(lost_interrupts_are_found),
        TEST(a_hang_takes_its_context_alone),
        TEST(a_hanging_copy_takes_its_context_alone),
        TEST(who_does_not_run_is_not_to_blame),
        TEST(time_limits_are_kept),
        TEST(hanging_clients_are_banned),
        TEST(nonsense_takes_one_context_at_most),
        TEST(idle_cards_sleep_and_wake),
        cmocka_unit_test(woken_cards_stay_awake),
        TEST(heat_is_nobodys_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
