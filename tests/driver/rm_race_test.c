// SPDX-License-Identifier: Apache-2.0
// What the system does with the card, in the midst of what others do with it. Threads are stopped
// at the scheduler's spin, before they take it, until the others came as far as the test wants.
#include <pthread.h>

#include "driver/rm/rm_internal.h"
#include "tests/driver/rig.h"

// Short, but long for a thread that waits for a processor.
static const rm_options_t quick = {
    .answer_ns = 400000000, .stall_ns = 400000000, .still_ns = 100000000};

typedef struct fixture {
    rig_t rig;
    rig_user_t user;
    // Between rm and its port.
    port_ops_t ops;
    const port_ops_t *under;
    // Atomic, optional; called by any thread before it takes the scheduler's spin.
    void (*before_spin)(struct fixture *f);
    pthread_t thread; // of whom the test is about
    uint32_t phase;   // atomic; the test's own
    status_t status, other;
    // Atomic; waits of `thread` that slept, and that did not.
    uint32_t counting, n_sleeps, n_wakes;
} fixture_t;

static bool is_the_thread(const fixture_t *f) { return pthread_equal(pthread_self(), f->thread); }

static void spin_lock(port_t *port, port_spin_t *spin) {
    fixture_t *f = CONTAINER_OF(port->ops, fixture_t, ops);
    void (*before_spin)(fixture_t * f) = LOAD_ACQUIRE(&f->before_spin);
    if (before_spin != NULL && spin == &f->rig.rm->sched)
        before_spin(f);
    f->under->spin_lock(port, spin);
}

static status_t event_wait(port_t *port, port_event_t *event, uint64_t count, uint64_t deadline_ns,
                           bool interruptible) {
    fixture_t *f = CONTAINER_OF(port->ops, fixture_t, ops);
    if (LOAD_ACQUIRE(&f->counting) != 0 && is_the_thread(f)) {
        bool sleeps = f->under->event_count(port, event) == count;
        (void)ATOMIC_ADD(sleeps ? &f->n_sleeps : &f->n_wakes, 1u);
    }
    return f->under->event_wait(port, event, count, deadline_ns, interruptible);
}

static void reach(fixture_t *f, uint32_t phase) { STORE_RELEASE(&f->phase, phase); }

// Not asserted: it is called by threads that are not cmocka's.
static void wait_for_phase(const fixture_t *f, uint32_t phase) {
    uint64_t end = rig_now_ns() + RIG_WAIT_NS;
    while (LOAD_ACQUIRE(&f->phase) < phase && rig_now_ns() < end)
        rig_pause();
}

static void wake_watchdog(rm_card_t *card) {
    rm_spin(card);
    rm_watch_at(card, 0);
    rm_unspin(card);
}

static uint64_t looks(rm_card_t *card) {
    rm_spin(card);
    uint64_t n = card->looked;
    rm_unspin(card);
    return n;
}

static int set_up_as(void **state, const rm_options_t *options) {
    fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    rig_open_watched(&f->rig, true, options);
    port_t *port = f->rig.rm->port;
    f->under = port->ops;
    f->ops = *port->ops;
    f->ops.spin_lock = spin_lock;
    f->ops.event_wait = event_wait;
    port->ops = &f->ops;
    wake_watchdog(f->rig.rm); // its thread sees them
    RIG_UNTIL(looks(f->rig.rm) > 0);
    rig_user_open(&f->rig, &f->user);
    *state = f;
    return 0;
}
static int set_up(void **state) { return set_up_as(state, NULL); }
static int set_up_quick(void **state) { return set_up_as(state, &quick); }

static int tear_down(void **state) {
    fixture_t *f = *state;
    rig_user_close(&f->user);
    rig_close(&f->rig);
    free(f);
    return 0;
}

// --- Two who ask at the same time ---

enum { ASK_BEGINS = 1, ASK_MADE, ASK_OVERTAKEN };

// Asking takes the spin once, and seeing the answer once more; who is inside the gate is not
// stopped, since the suspend waits for him.
static void stay_behind(fixture_t *f) {
    uint32_t phase = LOAD_ACQUIRE(&f->phase);
    if (!is_the_thread(f) || phase == ASK_OVERTAKEN)
        return;
    if (phase < ASK_MADE)
        reach(f, ++phase);
    if (phase == ASK_MADE && (LOAD_ACQUIRE(&f->rig.rm->gate) & ~RM_GATE_CLOSED) == 0)
        wait_for_phase(f, ASK_OVERTAKEN);
}

static void *overtake(void *argument) {
    fixture_t *f = argument;
    uint64_t end = rig_now_ns() + RIG_WAIT_NS;
    while (LOAD_ACQUIRE(&f->rig.rm->suspended) == 0 && rig_now_ns() < end)
        rig_pause();
    f->other = rm_recover_ask(f->rig.rm, RM_ORDER_RESET_NODE, ISA_NODE_COMPUTE);
    reach(f, ASK_OVERTAKEN);
    return NULL;
}

static void each_ask_has_its_own_answer(void **state) {
    fixture_t *f = *state;
    pthread_t thread;
    f->thread = pthread_self();
    STORE_RELEASE(&f->before_spin, stay_behind);
    assert_int_equal(pthread_create(&thread, NULL, overtake, f), 0);
    f->status = rm_recover_ask(f->rig.rm, RM_ORDER_SUSPEND, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->other, STATUS_BUSY);
}

// --- A detach that has to use force ---

enum { DETACH_RESETS = 1, DETACH_MET };

static void see_reset(void *user, port_log_t id) {
    fixture_t *f = user;
    if (id != PORT_LOG_RESET || LOAD_ACQUIRE(&f->phase) != 0)
        return;
    f->status = f->rig.rm->n_live > 0 ? STATUS_OK : STATUS_IO;
    reach(f, DETACH_RESETS);
}

// Whoever finds the card there again gives it work.
static void come_in_between(fixture_t *f) {
    rig_user_t late;
    if (!is_the_thread(f) || LOAD_ACQUIRE(&f->phase) != DETACH_RESETS ||
        LOAD_ACQUIRE(&f->rig.rm->absent) != 0)
        return;
    reach(f, DETACH_MET);
    rig_user_open(&f->rig, &late);
    rig_job_t job = {.count = 10};
    f->other = rig_submit(&late, rig_context(&late, ACCEL_CLASS_BEST_EFFORT, 0), &job, NULL);
    rig_user_close(&late);
}

// What hangs is stopped before it is called over, and nobody gets the card in between.
static void a_card_that_is_reset_to_be_detached_is_nobodys(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    accel_req_hold_t hold = {0};
    assert_int_equal(ASK(f->rig.admin, hold, HOLD), STATUS_OK);
    rig_spin(&f->user, context, done, 1);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE), STATUS_OK);
    f->thread = pthread_self();
    f->other = STATUS_DEVICE_LOST;
    f->rig.on_log_user = f;
    f->rig.on_log = see_reset;
    STORE_RELEASE(&f->before_spin, come_in_between);
    rm_card_detach(f->rig.rm);
    f->rig.on_log = NULL;
    assert_int_equal(f->phase, DETACH_RESETS);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->other, STATUS_DEVICE_LOST);
    assert_int_equal(rig_telemetry(&f->rig).card_resets, 1);
    assert_int_equal(rig_wait(&f->user, done, 1, RIG_WAIT_NS), STATUS_DEVICE_LOST);
}

// --- Guests who are kept out ---

static void *detach(void *argument) {
    fixture_t *f = argument;
    rm_card_detach(f->rig.rm);
    return NULL;
}

// A request that is under way, and a detach that waits for its end.
static void keep_detach_waiting(fixture_t *f, pthread_t *out_thread) {
    rm_card_t *card = f->rig.rm;
    rm_guest_enter(card);
    assert_int_equal(pthread_create(out_thread, NULL, detach, f), 0);
    RIG_UNTIL((LOAD_ACQUIRE(&card->guests) & RM_GUESTS_WAIT) != 0);
}

// The port may have one thread for all works: a bad page does not keep the watchdog from whom the
// detach waits for.
static void the_watchdog_goes_on_while_guests_are_kept_out(void **state) {
    fixture_t *f = *state;
    rm_card_t *card = f->rig.rm;
    pthread_t thread;
    keep_detach_waiting(f, &thread);
    rm_pages_ask(card, 0);
    uint64_t seen = looks(card);
    wake_watchdog(card);
    RIG_UNTIL(looks(card) > seen);
    assert_int_equal(rm_recover_ask(card, RM_ORDER_RESET_CARD, 0), STATUS_DEVICE_LOST);
    rm_guest_leave(card);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *come(void *argument) {
    fixture_t *f = argument;
    accel_req_info_t info = {0};
    f->thread = pthread_self();
    STORE_RELEASE(&f->counting, 1u);
    f->status = ASK(f->rig.admin, info, INFO);
    STORE_RELEASE(&f->counting, 0u);
    return NULL;
}

// Whoever is kept out does not wake himself by it. As while a detach gives memory back, which the
// test cannot hold up.
static void who_is_kept_out_sleeps(void **state) {
    fixture_t *f = *state;
    rm_card_t *card = f->rig.rm;
    pthread_t guest;
    (void)ATOMIC_OR(&card->guests, RM_GUESTS_WAIT);
    assert_int_equal(pthread_create(&guest, NULL, come, f), 0);
    RIG_UNTIL(LOAD_ACQUIRE(&f->n_sleeps) + LOAD_ACQUIRE(&f->n_wakes) > 0);
    uint32_t n_wakes = LOAD_ACQUIRE(&f->n_wakes);
    (void)ATOMIC_SUB(&card->guests, RM_GUESTS_WAIT);
    rm_progress(card);
    assert_int_equal(pthread_join(guest, NULL), 0);
    assert_int_equal(n_wakes, 0);
    assert_int_equal(f->status, STATUS_OK);
}

#define TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_ask_has_its_own_answer, set_up),
        TEST(a_card_that_is_reset_to_be_detached_is_nobodys, set_up_quick),
        TEST(the_watchdog_goes_on_while_guests_are_kept_out, set_up),
        TEST(who_is_kept_out_sleeps, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
