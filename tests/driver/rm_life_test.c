// SPDX-License-Identifier: Apache-2.0
// What the system does with a card under a running driver: surprise removal, suspend and resume
// with and without loss of power, and unbinding while clients are open.
#include <pthread.h>

#include "driver/rm/rm_internal.h"
#include "tests/driver/rig.h"

// Short, but long for a thread that waits for a processor.
static const rm_options_t quick = {
    .answer_ns = 400000000, .stall_ns = 400000000, .still_ns = 1000000000};

typedef rig_fixture_t fixture_t;

static int set_up(void **state) { return rig_set_up(state, true, true, NULL); }
static int set_up_quick(void **state) { return rig_set_up(state, true, true, &quick); }
static int set_up_inline(void **state) { return rig_set_up(state, false, true, NULL); }

static uint64_t accesses(const fixture_t *f) {
    port_fault_counts_t counts;
    port_fault_counts(f->rig.fault, &counts);
    return counts.reads + counts.writes;
}

static status_t run_one(rig_user_t *user, uint32_t context, uint32_t done, uint64_t point) {
    rig_job_t work = {.count = 1000, .done = done, .point = point};
    status_t status = rig_submit(user, context, &work, NULL);
    return status != STATUS_OK ? status : rig_wait(user, done, point, RIG_WAIT_NS);
}

// A client of the present works.
static void works(rig_t *rig) {
    rig_user_t user;
    rig_user_open(rig, &user);
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0);
    assert_int_equal(run_one(&user, context, rig_sync(&user), 1), STATUS_OK);
    rig_user_close(&user);
}

static void is_lost(rig_user_t *user, uint32_t context, uint32_t done) {
    rig_job_t work = {.count = 10, .done = done, .point = 1000};
    accel_req_bo_create_t bo = {.bytes = 4096};
    accel_req_info_t info = {0};
    assert_int_equal(rig_submit(user, context, &work, NULL), STATUS_DEVICE_LOST);
    assert_int_equal(rig_wait(user, done, 1000, RIG_WAIT_NS), STATUS_DEVICE_LOST);
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_DEVICE_LOST);
    assert_int_equal(ASK(user->client, info, INFO), STATUS_OK);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_CTX_DESTROY, context), STATUS_OK);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_SYNC_DESTROY, done), STATUS_OK);
}

static status_t reset(rig_t *rig) {
    accel_req_reset_t request = {.level = ACCEL_RESET_CARD};
    return ASK(rig->admin, request, RESET);
}

// --- Gone ---

// Nothing of it is touched until it is resumed.
static void a_card_that_is_gone_is_left_alone(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    rig_spin(&f->user, context, done, 1);
    rm_card_gone(f->rig.rm);
    uint64_t before = accesses(f);
    assert_int_equal(rig_wait(&f->user, done, 1, RIG_WAIT_NS), STATUS_DEVICE_LOST);
    is_lost(&f->user, context, done);
    assert_int_equal(rig_telemetry(&f->rig).card_state, ACCEL_CARD_LOST);
    rm_card_gone(f->rig.rm);
    assert_int_equal(accesses(f), before);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_GONE, NULL), 1);
    assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK);
    works(&f->rig);
}

#define CONTEXTS 48u

// However much is lost, others get the scheduler's lock between.
static void losing_all_is_done_in_parts(void **state) {
    fixture_t *f = *state;
    port_fault_counts_t counts;
    for (uint32_t i = 0; i < CONTEXTS; i++)
        (void)rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    port_fault_set(f->rig.fault, NULL);
    assert_int_equal(reset(&f->rig), STATUS_OK);
    port_fault_counts(f->rig.fault, &counts);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_CONTEXT_LOST, NULL), CONTEXTS);
    assert_true(counts.most_in_spin < CONTEXTS / 4);
}

// --- Suspend and resume ---

// Work in flight is interrupted, and goes on where it was; what comes meanwhile waits.
static void a_suspended_card_keeps_its_work(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    rig_job_t job = {.count = RIG_MCYCLES(300), .done = done, .point = 1};
    uint32_t slots[2];
    assert_int_equal(rig_submit(user, context, &job, &slots[0]), STATUS_OK);
    assert_int_equal(rm_card_suspend(f->rig.rm), STATUS_OK);
    assert_int_equal(rig_count(user, slots[0]), 0);
    uint64_t before = accesses(f);
    job = (rig_job_t){.count = 10, .done = done, .point = 2};
    assert_int_equal(rig_submit(user, context, &job, &slots[1]), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 1, 20000000), STATUS_TIMEOUT);
    assert_int_equal(reset(&f->rig), STATUS_BUSY);
    (void)rig_telemetry(&f->rig);
    assert_int_equal(accesses(f), before);
    assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 2, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(rig_count(user, slots[0]), 1);
    assert_int_equal(rig_count(user, slots[1]), 1);
    assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK); // it is awake
}

#define LONG_BYTES (UINT64_C(96) << 20)
#define LONG_VA    (RIG_DATA_VA + (UINT64_C(1) << 30))
#define MARKS      12u

// A long copy between two halves of card memory goes on behind the suspend; nothing of it is left
// out.
static void a_long_copy_goes_on(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    accel_req_bo_create_t bo = {.bytes = 2 * LONG_BYTES};
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_OK);
    accel_req_bind_t bind = {.vm = user->vm,
                             .bo = bo.handle,
                             .prot = ACCEL_PROT_WRITE,
                             .va = LONG_VA,
                             .bytes = 2 * LONG_BYTES};
    assert_int_equal(ASK(user->client, bind, BIND), STATUS_OK);
    uint64_t *host = (uint64_t *)(void *)(user->data + 768 * 1024), point = 0;
    uint64_t host_va = RIG_DATA_VA + 768 * 1024;
    for (uint64_t i = 0; i < MARKS; i++) {
        host[i] = 77 + i;
        assert_int_equal(rig_copy(user, context, LONG_VA + i * (LONG_BYTES / MARKS),
                                  host_va + 8 * i, 8, done, ++point),
                         STATUS_OK);
    }
    assert_int_equal(
        rig_copy(user, context, LONG_VA + LONG_BYTES, LONG_VA, LONG_BYTES, done, ++point),
        STATUS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(rm_card_suspend(f->rig.rm), STATUS_OK);
        uint64_t before = accesses(f);
        (void)rig_wait(user, done, point, 2000000);
        assert_int_equal(accesses(f), before);
        assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK);
    }
    for (uint64_t i = 0; i < MARKS; i++)
        assert_int_equal(rig_copy(user, context, host_va + 4096 + 8 * i,
                                  LONG_VA + LONG_BYTES + i * (LONG_BYTES / MARKS), 8, done,
                                  ++point),
                         STATUS_OK);
    assert_int_equal(rig_wait(user, done, point, RIG_WAIT_NS), STATUS_OK);
    assert_memory_equal(host, host + 512, 8 * MARKS);
}

static void a_card_without_power_is_started_again(void **state) {
    fixture_t *f = *state;
    port_t *port = port_user_base(f->rig.port);
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    assert_int_equal(rm_card_suspend(f->rig.rm), STATUS_OK);
    assert_int_equal(port->ops->function_reset(port), STATUS_OK); // as after power-on
    assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK);
    is_lost(&f->user, context, done);
    works(&f->rig);
    accel_event_record_t event;
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_CONTEXT_LOST, &event), 1);
    assert_int_equal(event.code, ACCEL_LOST_RESET);
}

static uint64_t looks(rm_card_t *card) {
    rm_spin(card);
    uint64_t n = card->looked;
    rm_unspin(card);
    return n;
}

static bool is_distrusted(rm_card_t *card) {
    rm_spin(card);
    bool is = card->distrusted;
    rm_unspin(card);
    return is;
}

// As a request does whose TLB_INV failed; it waits for the reset.
static void *distrust(void *card) {
    rm_recover_distrust(card);
    return NULL;
}

// What was found wrong in the last moment is dealt with when the card has power again.
static void nobody_resets_a_suspended_card(void **state) {
    fixture_t *f = *state;
    rm_card_t *card = f->rig.rm;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    assert_int_equal(rm_card_suspend(card), STATUS_OK);
    uint64_t before = accesses(f);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, distrust, card), 0);
    RIG_UNTIL(is_distrusted(card));
    uint64_t seen = looks(card);
    rm_spin(card);
    rm_watch_at(card, 0);
    rm_unspin(card);
    RIG_UNTIL(looks(card) > seen);
    assert_int_equal(accesses(f), before);
    assert_int_equal(rm_card_resume(card), STATUS_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rig_telemetry(&f->rig).card_resets, 1);
    is_lost(&f->user, context, done);
    works(&f->rig);
}

// A debugger holds the card, so that nobody resets what hangs: no suspend, and all is as before.
static void what_does_not_come_back_keeps_the_card_awake(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(user);
    accel_req_hold_t hold = {0};
    assert_int_equal(ASK(f->rig.admin, hold, HOLD), STATUS_OK);
    rig_spin(user, context, done, 1);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE), STATUS_OK);
    assert_int_equal(rm_card_suspend(f->rig.rm), STATUS_BUSY);
    assert_int_equal(rig_wait(user, done, 1, 20000000), STATUS_TIMEOUT);
    hold.head.flags = ACCEL_HOLD_RELEASE;
    assert_int_equal(ASK(f->rig.admin, hold, HOLD), STATUS_OK);
    assert_int_equal(rig_wait(user, done, 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    works(&f->rig);
}

// --- Detach ---

static void nothing_is_reachable(const fixture_t *f) {
    port_fault_books_t books;
    port_fault_books(f->rig.fault, &books);
    assert_int_equal(books.dma_bytes, 0);
    assert_int_equal(books.pin_bytes, 0);
    assert_int_equal(books.open[PORT_FAULT_IRQ_ENABLE], 0);
}

static void make_host_buffer(rig_user_t *user, uint32_t *out_bo) {
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = 1 << 16};
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_OK);
    *out_bo = bo.handle;
}

static void a_detached_card_reaches_nothing(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    uint32_t bo;
    make_host_buffer(&f->user, &bo);
    rig_job_t job = {.count = RIG_MCYCLES(100), .done = done, .point = 1};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(rig_submit(&f->user, context, &job, NULL), STATUS_OK);
    rm_card_detach(f->rig.rm);
    nothing_is_reachable(f);
    is_lost(&f->user, context, done);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_BO_DESTROY, bo), STATUS_OK);
    assert_int_equal(reset(&f->rig), STATUS_DEVICE_LOST);
    assert_int_equal(rig_telemetry(&f->rig).card_state, ACCEL_CARD_LOST);
    rm_card_detach(f->rig.rm); // harmless, as the next
    rm_card_gone(f->rig.rm);
}

static void a_card_that_is_gone_is_detached(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    rig_spin(&f->user, context, done, 1);
    rm_card_gone(f->rig.rm);
    uint64_t before = accesses(f);
    rm_card_detach(f->rig.rm);
    assert_int_equal(accesses(f), before);
    nothing_is_reachable(f);
    is_lost(&f->user, context, done);
}

static void a_hanging_card_is_detached(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&f->user);
    accel_req_hold_t hold = {0};
    assert_int_equal(ASK(f->rig.admin, hold, HOLD), STATUS_OK);
    rig_spin(&f->user, context, done, 1);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_HANG, ISA_NODE_COMPUTE), STATUS_OK);
    rm_card_detach(f->rig.rm);
    nothing_is_reachable(f);
    is_lost(&f->user, context, done);
}

// --- While clients work ---

typedef struct worker {
    rig_t *rig;
    uint32_t *go_on; // atomic
    uint32_t rounds; // atomic; rounds that were whole
    bool until_lost; // else it opens again
} worker_t;

// One life of a client, with work; false: its card was lost.
static bool live(worker_t *worker) {
    rm_client_t *client;
    accel_req_handle_t vm = {0};
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = 1 << 16};
    accel_req_ctx_create_t context = {0};
    if (rm_client_open(worker->rig->rm, NULL, &client) != STATUS_OK)
        return false;
    status_t status = ASK(client, vm, VM_CREATE);
    if (status == STATUS_OK)
        status = ASK(client, bo, BO_CREATE);
    accel_req_bind_t bind = {.vm = vm.handle,
                             .bo = bo.handle,
                             .va = RIG_DATA_VA,
                             .bytes = 1 << 16,
                             .prot = ACCEL_PROT_WRITE};
    if (status == STATUS_OK)
        status = ASK(client, bind, BIND);
    context.vm = vm.handle;
    if (status == STATUS_OK)
        status = ASK(client, context, CTX_CREATE);
    accel_req_sync_t sync = {0};
    if (status == STATUS_OK)
        status = ASK(client, sync, SYNC_CREATE);
    accel_req_submit_t copy = {.ctx = context.handle,
                               .node = ACCEL_NODE_COPY,
                               .n_out = 1,
                               .dst = RIG_DATA_VA,
                               .src = RIG_DATA_VA + 4096,
                               .bytes = 4096,
                               .rows = 1,
                               .out = {{.sync = sync.handle, .value = 1}}};
    if (status == STATUS_OK)
        status = ASK(client, copy, SUBMIT);
    sync.value = 1;
    sync.timeout_ns = RIG_WAIT_NS;
    if (status == STATUS_OK)
        status = ASK(client, sync, SYNC_WAIT);
    assert_true(status == STATUS_OK || status == STATUS_DEVICE_LOST);
    rm_client_close(client);
    return status == STATUS_OK;
}

static void *work(void *argument) {
    worker_t *worker = argument;
    while (LOAD_ACQUIRE(worker->go_on) != 0) {
        if (live(worker))
            (void)ATOMIC_ADD(&worker->rounds, 1u);
        else if (worker->until_lost)
            break;
    }
    return NULL;
}

#define WORKERS 3u

static void start(worker_t *workers, pthread_t *threads, const worker_t *like) {
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = *like;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        RIG_UNTIL(LOAD_ACQUIRE(&workers[i].rounds) > 0);
}

static void clients_meet_suspends(void **state) {
    fixture_t *f = *state;
    uint32_t go_on = 1;
    worker_t workers[WORKERS], like = {.rig = &f->rig, .go_on = &go_on};
    pthread_t threads[WORKERS];
    start(workers, threads, &like);
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t before = LOAD_ACQUIRE(&workers[0].rounds);
        assert_int_equal(rm_card_suspend(f->rig.rm), STATUS_OK);
        assert_int_equal(rm_card_resume(f->rig.rm), STATUS_OK);
        RIG_UNTIL(LOAD_ACQUIRE(&workers[0].rounds) > before);
    }
    STORE_RELEASE(&go_on, 0u);
    for (uint32_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_CONTEXT_LOST, NULL), 0);
}

static void clients_meet_a_detach(void **state) {
    fixture_t *f = *state;
    uint32_t go_on = 1;
    worker_t workers[WORKERS], like = {.rig = &f->rig, .go_on = &go_on, .until_lost = true};
    pthread_t threads[WORKERS];
    start(workers, threads, &like);
    rm_card_detach(f->rig.rm);
    nothing_is_reachable(f);
    for (uint32_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#define TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, rig_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_card_that_is_gone_is_left_alone, set_up),
        TEST(losing_all_is_done_in_parts, set_up),
        TEST(a_suspended_card_keeps_its_work, set_up),
        TEST(a_long_copy_goes_on, set_up),
        TEST(a_long_copy_goes_on, set_up_inline),
        TEST(a_card_without_power_is_started_again, set_up),
        TEST(a_card_without_power_is_started_again, set_up_inline),
        TEST(nobody_resets_a_suspended_card, set_up),
        TEST(what_does_not_come_back_keeps_the_card_awake, set_up_quick),
        TEST(a_detached_card_reaches_nothing, set_up),
        TEST(a_detached_card_reaches_nothing, set_up_inline),
        TEST(a_card_that_is_gone_is_detached, set_up),
        TEST(a_hanging_card_is_detached, set_up_quick),
        TEST(clients_meet_suspends, set_up),
        TEST(clients_meet_suspends, set_up_inline),
        TEST(clients_meet_a_detach, set_up),
        TEST(clients_meet_a_detach, set_up_inline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
