// SPDX-License-Identifier: Apache-2.0
// Resets, cards that go away and come back, and pages that go bad.
#include <pthread.h>

#include "driver/rm/rm_internal.h"
#include "tests/driver/rig.h"

// Short, but long for a thread that waits for a processor.
static const rm_options_t quick = {.answer_ns = 400000000, .stall_ns = 400000000};

typedef rig_fixture_t fixture_t;

static int set_up(void **state) { return rig_set_up(state, true, false, &quick); }
// A fault port watches rm: what ends work waits for no memory.
static int set_up_watched(void **state) { return rig_set_up(state, true, true, &quick); }

static int set_up_sleepy(void **state) {
    rm_options_t options = quick;
    options.idle_ns = 20000000;
    return rig_set_up(state, true, false, &options);
}

static status_t reset(rig_t *rig, uint32_t level, uint32_t node) {
    accel_req_reset_t request = {.level = level, .node = node};
    return ASK(rig->admin, request, RESET);
}

static uint64_t free_memory(rig_t *rig) { return rig_telemetry(rig).memory_free; }

static status_t run_one(rig_user_t *user, uint32_t context, uint32_t done, uint64_t point) {
    rig_job_t work = {.count = 1000, .done = done, .point = point};
    status_t status = rig_submit(user, context, &work, NULL);
    return status != STATUS_OK ? status : rig_wait(user, done, point, RIG_WAIT_NS);
}

// A client of the present works.
static void works_again(rig_t *rig) {
    rig_user_t user;
    rig_user_open(rig, &user);
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0);
    assert_int_equal(run_one(&user, context, rig_sync(&user), 1), STATUS_OK);
    rig_user_close(&user);
}

// Every request but those that are named.
static void is_lost(rig_user_t *user, uint32_t context, uint32_t done) {
    rig_job_t work = {.count = 10, .done = done, .point = 1000};
    accel_req_bo_create_t bo = {.bytes = 4096};
    accel_req_info_t info = {0};
    accel_req_ctx_query_t query = {.handle = context};
    assert_int_equal(rig_submit(user, context, &work, NULL), STATUS_DEVICE_LOST);
    assert_int_equal(rig_wait(user, done, 1000, RIG_WAIT_NS), STATUS_DEVICE_LOST);
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_DEVICE_LOST);
    assert_int_equal(ASK(user->client, query, CTX_QUERY), STATUS_DEVICE_LOST);
    assert_int_equal(ASK(user->client, info, INFO), STATUS_OK);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_CTX_DESTROY, context), STATUS_OK);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_SYNC_DESTROY, done), STATUS_OK);
}

static void a_node_reset_takes_what_is_in_work(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t bad = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), bad_done = rig_sync(user);
    uint32_t good = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), good_done = rig_sync(user);
    rig_spin(user, bad, bad_done, 1);
    assert_int_equal(reset(&f->rig, ACCEL_RESET_NODE, ISA_NODE_COMPUTE), STATUS_OK);
    assert_int_equal(rig_wait(user, bad_done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    assert_int_equal(rig_query(user, bad).reason, ACCEL_LOST_RESET);
    assert_int_equal(run_one(user, good, good_done, 1), STATUS_OK);
    assert_int_equal(reset(&f->rig, ACCEL_RESET_NODE, 7), STATUS_NOT_FOUND);
    accel_req_reset_t denied = {.level = ACCEL_RESET_CARD};
    assert_int_equal(ASK(user->client, denied, RESET), STATUS_DENIED);
}

static void a_card_reset_takes_all(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    rig_job_t spin = {.program = RIG_SPIN, .done = done, .point = 1};
    assert_int_equal(rig_submit(user, context, &spin, NULL), STATUS_OK);
    assert_int_equal(reset(&f->rig, ACCEL_RESET_CARD, 0), STATUS_OK);
    is_lost(user, context, done);
    rm_client_close(f->rig.admin); // it was open then, too
    assert_int_equal(rm_client_open(f->rig.rm, NULL, &f->rig.admin), STATUS_OK);
    assert_int_equal(rig_telemetry(&f->rig).card_resets, 1);
    // Who looks after the card outlives its resets.
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_IRQ_LOST, 0), STATUS_OK);
    accel_event_record_t event;
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_CONTEXT_LOST, &event), 1);
    assert_int_equal(event.code, ACCEL_LOST_RESET);
    assert_int_equal(event.pid, 4711);
    works_again(&f->rig);
}

// A hang that a node's reset does not end.
static void deep_hangs(fixture_t *f, uint32_t depth) {
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    rig_spin(user, context, done, 1);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE | depth << 8),
                     STATUS_OK);
    assert_int_equal(rig_wait(user, done, 1, RIG_WAIT_NS), STATUS_DEVICE_LOST);
    is_lost(user, context, done);
    works_again(&f->rig);
}

static void hangs_until_a_card_reset(void **state) { deep_hangs(*state, 1); }
static void hangs_until_a_function_reset(void **state) { deep_hangs(*state, 2); }

// Who comes in the middle of a reset of the card has nothing to lose by it.
static void who_comes_in_a_reset_goes_on(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    accel_req_sync_t sync = {0};
    accel_req_handle_t vm = {0};
    rm_client_t *client;
    rig_spin(user, rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), rig_sync(user), 1);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE | 2 << 8), STATUS_OK);
    RIG_UNTIL(ASK(user->client, sync, SYNC_CREATE) == STATUS_DEVICE_LOST);
    assert_int_equal(rm_client_open(f->rig.rm, NULL, &client), STATUS_OK);
    RIG_UNTIL(rig_telemetry(&f->rig).card_state == ACCEL_CARD_READY);
    assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_OK);
    assert_int_equal(ASK(user->client, sync, SYNC_CREATE), STATUS_DEVICE_LOST);
    rm_client_close(client);
}

typedef struct waiter {
    rig_user_t *user;
    uint32_t sync;
    status_t result;
    uint64_t woke_ns;
} waiter_t;

static void *wait_for_ever(void *argument) {
    waiter_t *w = argument;
    w->result = rig_wait(w->user, w->sync, 99, FOREVER);
    w->woke_ns = rig_now_ns();
    return NULL;
}

// A card that goes away: all who wait wake, an administrator brings it back, nothing leaks.
static void goes_and_returns(fixture_t *f, uint32_t how) {
    rig_t *rig = &f->rig;
    rig_user_t user;
    uint64_t before = free_memory(rig);
    rig_user_open(rig, &user);
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&user);
    waiter_t w = {.user = &user, .sync = rig_sync(&user)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, &w), 0);
    accel_req_bo_create_t bo = {.bytes = 8u << 20};
    assert_int_equal(ASK(user.client, bo, BO_CREATE), STATUS_OK);
    rig_spin(&user, context, done, 1);
    status_t planted = rig_inject(rig, how, 250); // it may be seen at once
    assert_true(planted == STATUS_OK || planted == STATUS_DEVICE_LOST);
    assert_int_equal(rig_wait(&user, done, 1, RIG_WAIT_NS), STATUS_DEVICE_LOST);
    (void)pthread_join(thread, NULL);
    assert_int_equal(w.result, STATUS_DEVICE_LOST);
    is_lost(&user, context, done);
    rig_user_close(&user);
    rm_client_close(rig->admin);
    assert_int_equal(rm_client_open(rig->rm, NULL, &rig->admin), STATUS_OK);
    assert_int_equal(rig_telemetry(rig).card_state, ACCEL_CARD_LOST);
    RIG_UNTIL(reset(rig, ACCEL_RESET_CARD, 0) == STATUS_OK);
    assert_int_equal(rig_telemetry(rig).card_state, ACCEL_CARD_READY);
    assert_true(free_memory(rig) == before);
    works_again(rig);
}

static void lost_links_come_back(void **state) { goes_and_returns(*state, ISA_INJECT_LINK_LOSS); }
static void another_card_is_put_in(void **state) { goes_and_returns(*state, ISA_INJECT_REMOVE); }

// --- What comes in the middle of a node's reset ---

// A thread that gets no processor between its entry at the gate and the scheduler's spin, until the
// node is on again; and a submission that comes meanwhile.
typedef struct straggler {
    port_ops_t ops; // of the rig's port, but for spin_lock
    const port_ops_t *under;
    rig_t *rig;
    rig_user_t *user;
    pthread_t thread;
    uint32_t context, done, slot;
    uint32_t phase; // atomic; STRAGGLER_*
} straggler_t;
enum { STRAGGLER_COMES = 1, STRAGGLER_INSIDE, STRAGGLER_GOES_ON, STRAGGLER_LEFT };

static void wait_for_phase(const straggler_t *s, uint32_t phase) {
    uint64_t end = rig_now_ns() + RIG_WAIT_NS;
    while (LOAD_ACQUIRE(&s->phase) < phase && rig_now_ns() < end)
        rig_pause();
}

static void late_lock(port_t *port, port_spin_t *spin) {
    straggler_t *s = CONTAINER_OF(port->ops, straggler_t, ops);
    if (LOAD_ACQUIRE(&s->phase) == STRAGGLER_COMES && pthread_equal(pthread_self(), s->thread) &&
        spin == &s->rig->rm->sched) {
        STORE_RELEASE(&s->phase, (uint32_t)STRAGGLER_INSIDE);
        wait_for_phase(s, STRAGGLER_GOES_ON);
    }
    s->under->spin_lock(port, spin);
}

static void *pump_late(void *argument) {
    straggler_t *s = argument;
    accel_req_sync_t query = {.handle = s->done};
    s->thread = pthread_self();
    STORE_RELEASE(&s->phase, (uint32_t)STRAGGLER_COMES);
    assert_int_equal(ASK(s->user->client, query, SYNC_QUERY), STATUS_OK);
    STORE_RELEASE(&s->phase, (uint32_t)STRAGGLER_LEFT);
    return NULL;
}

static void submit_in_reset(void *user, port_log_t id) {
    straggler_t *s = user;
    rig_job_t work = {.count = 100, .done = s->done, .point = 1};
    if (id != PORT_LOG_RESET || LOAD_ACQUIRE(&s->phase) != STRAGGLER_INSIDE)
        return;
    assert_int_equal(rig_submit(s->user, s->context, &work, &s->slot), STATUS_OK);
    STORE_RELEASE(&s->phase, (uint32_t)STRAGGLER_GOES_ON);
    wait_for_phase(s, STRAGGLER_LEFT);
}

static void who_comes_late_submits_nothing_twice(void **state) {
    fixture_t *f = *state;
    straggler_t *s = calloc(1, sizeof *s);
    port_t *port = port_user_base(f->rig.port);
    pthread_t thread;
    assert_non_null(s);
    *s = (straggler_t){.ops = *port->ops, .under = port->ops, .rig = &f->rig, .user = &f->user};
    s->context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    s->done = rig_sync(&f->user);
    s->ops.spin_lock = late_lock;
    port->ops = &s->ops;
    f->rig.on_log_user = s;
    f->rig.on_log = submit_in_reset;
    assert_int_equal(pthread_create(&thread, NULL, pump_late, s), 0);
    RIG_UNTIL(LOAD_ACQUIRE(&s->phase) == STRAGGLER_INSIDE);
    assert_int_equal(reset(&f->rig, ACCEL_RESET_NODE, ISA_NODE_COMPUTE), STATUS_OK);
    (void)pthread_join(thread, NULL);
    assert_int_equal(rig_wait(&f->user, s->done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(run_one(&f->user, s->context, s->done, 2), STATUS_OK);
    assert_int_equal(rig_count(&f->user, s->slot), 1);
    f->rig.on_log = NULL;
    port->ops = s->under;
    free(s);
}

typedef struct sleeper {
    fixture_t *f;
    uint32_t context, done;
    bool submitted;
} sleeper_t;

static void submit_to_the_asleep(void *user, port_log_t id) {
    sleeper_t *s = user;
    rig_job_t work = {.count = 100, .done = s->done, .point = 1};
    if (id != PORT_LOG_RESET)
        return;
    assert_int_equal(rig_submit(&s->f->user, s->context, &work, NULL), STATUS_OK);
    s->submitted = true;
}

// Whoever submits wakes the card, but not while its node is being reset.
static void a_reset_wakes_the_card_for_what_came_meanwhile(void **state) {
    fixture_t *f = *state;
    sleeper_t s = {.f = f, .context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0)};
    s.done = rig_sync(&f->user);
    assert_int_equal(run_one(&f->user, s.context, rig_sync(&f->user), 1), STATUS_OK);
    RIG_UNTIL(rig_telemetry(&f->rig).power_state == ISA_POWER_SLEEP);
    f->rig.on_log_user = &s;
    f->rig.on_log = submit_to_the_asleep;
    assert_int_equal(reset(&f->rig, ACCEL_RESET_NODE, ISA_NODE_COMPUTE), STATUS_OK);
    f->rig.on_log = NULL;
    assert_true(s.submitted);
    assert_int_equal(rig_wait(&f->user, s.done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_query(&f->user, s.context).state, ACCEL_CTX_READY);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 1);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_HANG, NULL), 0);
}

// --- Pages ---

// The page of the buffer at its context's VA, made bad; whose context pays?
static void bad_pages_are_retired(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user, other;
    rig_user_open(&f->rig, &other);
    uint32_t mine = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
    uint32_t others = rig_context(&other, ACCEL_CLASS_BEST_EFFORT, 0);
    uint64_t before = free_memory(&f->rig);
    // All that is free, so that every page of it is ours.
    accel_req_bo_create_t bo = {.bytes = before};
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_OK);
    accel_req_bind_t bind = {.vm = user->vm,
                             .bo = bo.handle,
                             .prot = ACCEL_PROT_WRITE,
                             .va = RIG_DATA_VA + (1u << 30),
                             .bytes = before};
    assert_int_equal(ASK(user->client, bind, BIND), STATUS_OK);
    uint64_t bad = RIG_MEMORY / 2; // far from the save areas, which were made before
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_ECC_DOUBLE, bad), STATUS_OK);
    RIG_UNTIL(rig_query(user, mine).state == ACCEL_CTX_LOST);
    assert_int_equal(rig_query(user, mine).reason, ACCEL_LOST_ECC);
    assert_int_equal(rig_query(&other, others).state, ACCEL_CTX_READY);
    assert_int_equal(rig_telemetry(&f->rig).retired_pages, 1);
    // It does not come back with the buffer.
    accel_req_bind_t unbind = {.head.flags = ACCEL_BIND_UNMAP, .vm = user->vm, .va = bind.va};
    assert_int_equal(ASK(user->client, unbind, BIND), STATUS_OK);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_BO_DESTROY, bo.handle), STATUS_OK);
    assert_true(free_memory(&f->rig) == before - 4096);
    // Nor does a free one go out.
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_ECC_DOUBLE, bad + 0x10000), STATUS_OK);
    RIG_UNTIL(rig_telemetry(&f->rig).retired_pages == 2);
    assert_true(free_memory(&f->rig) == before - 8192);
    bo.bytes = before - 8192;
    assert_int_equal(ASK(other.client, bo, BO_CREATE), STATUS_OK);
    assert_int_equal(rig_query(&other, others).state, ACCEL_CTX_READY);
    // Corrected ones are nobody's matter.
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_ECC_SINGLE, bad + 0x20000), STATUS_OK);
    RIG_UNTIL(rig_events(&f->rig, ACCEL_EVENT_ECC_CORRECTED, NULL) == 1);
    assert_int_equal(rig_telemetry(&f->rig).retired_pages, 2);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_PAGE_RETIRED, NULL), 2);
    rig_user_close(&other);
}

static uint64_t failed_calls(fixture_t *f) {
    port_fault_counts_t counts;
    port_fault_counts(f->rig.fault, &counts);
    return counts.failed;
}

// Without memory a bad page waits, and nothing else does.
static void bad_pages_wait_for_memory(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    assert_int_equal(run_one(&f->user, context, done, 1), STATUS_OK); // its job is kept for reuse
    port_fault_set(f->rig.fault, &(port_fault_plan_t){.fail_at = 1, .fail_for = UINT64_MAX});
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_ECC_DOUBLE, RIG_MEMORY / 2), STATUS_OK);
    RIG_UNTIL(failed_calls(f) >= 3); // asked for again and again
    assert_int_equal(run_one(&f->user, context, done, 2), STATUS_OK);
    assert_int_equal(reset(&f->rig, ACCEL_RESET_NODE, ISA_NODE_COMPUTE), STATUS_OK);
    assert_int_equal(rig_telemetry(&f->rig).retired_pages, 0);
    port_fault_set(f->rig.fault, NULL);
    RIG_UNTIL(rig_telemetry(&f->rig).retired_pages == 1);
    assert_int_equal(run_one(&f->user, context, done, 3), STATUS_OK);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_node_reset_takes_what_is_in_work),
        TEST(a_card_reset_takes_all),
        TEST(hangs_until_a_card_reset),
        TEST(hangs_until_a_function_reset),
        TEST(who_comes_in_a_reset_goes_on),
        TEST(lost_links_come_back),
        TEST(another_card_is_put_in),
        TEST(who_comes_late_submits_nothing_twice),
        cmocka_unit_test_setup_teardown(a_reset_wakes_the_card_for_what_came_meanwhile,
                                        set_up_sleepy, rig_tear_down),
        TEST(bad_pages_are_retired),
        cmocka_unit_test_setup_teardown(bad_pages_are_retired, set_up_watched, rig_tear_down),
        cmocka_unit_test_setup_teardown(bad_pages_wait_for_memory, set_up_watched, rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
