// SPDX-License-Identifier: Apache-2.0
// Service classes, in card time: what each context got of two seconds' worth of modelled cycles.
#include <pthread.h>
#include <stdatomic.h>

#include "driver/rm/rm_internal.h"
#include "tests/driver/rig.h"

#define JOB_MCYCLES 4u
// Two seconds of card time; a tenth of it, less exact, where a sanitizer or no optimisation makes
// them long.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define SCALE  10u
#define POINTS 3u
#else
#define SCALE  1u
#define POINTS 1u
#endif
#define BUSY_CYCLES (UINT64_C(2000000000) / SCALE)

typedef struct worker {
    rig_user_t *user;
    uint32_t context, done;
    uint64_t submitted;
} worker_t;

static worker_t worker(rig_user_t *user, uint32_t service_class, uint32_t share) {
    return (worker_t){user, rig_context(user, service_class, share), rig_sync(user), 0};
}

// Jobs worth JOB_MCYCLES each, behind the gate.
static void queue_jobs(worker_t *w, uint32_t gate, uint32_t n_jobs) {
    for (uint32_t i = 0; i < n_jobs; i++) {
        rig_job_t job = {.count = RIG_MCYCLES(JOB_MCYCLES),
                         .gate = gate,
                         .gate_point = 1,
                         .done = w->done,
                         .point = ++w->submitted};
        assert_int_equal(rig_submit(w->user, w->context, &job, NULL), STATUS_OK);
    }
}

static uint64_t cycles_of(const worker_t *w) { return rig_query(w->user, w->context).cycles; }

// Until the card was busy for so long since `from`.
static void until_busy(rig_t *rig, uint64_t from, uint64_t cycles) {
    RIG_UNTIL(rig_telemetry(rig).busy_cycles[0] - from >= cycles);
}

typedef struct load {
    pthread_t threads[2];
    atomic_bool stop;
} load_t;

static void *burn(void *user) {
    load_t *load = user;
    while (!atomic_load(&load->stop))
        continue;
    return NULL;
}

static void load_begin(load_t *load) {
    atomic_store(&load->stop, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&load->threads[i], NULL, burn, load), 0);
}

static void load_end(load_t *load) {
    atomic_store(&load->stop, true);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(load->threads[i], NULL);
}

static void shares_are(const uint64_t *got, const uint32_t *percent, int n) {
    uint64_t all = 0;
    for (int i = 0; i < n; i++)
        all += got[i];
    for (int i = 0; i < n; i++) {
        uint64_t tenths = got[i] * 1000 / all;
        print_message("  context %d: %llu.%llu percent, wanted %u\n", i,
                      (unsigned long long)tenths / 10, (unsigned long long)tenths % 10, percent[i]);
        assert_in_range(tenths, 10 * (percent[i] - POINTS), 10 * (percent[i] + POINTS));
    }
}

// All have more than enough to do: what did each get when the card was busy for two seconds?
static void run_shares(bool loaded, uint64_t busy, const uint32_t (*classes)[2],
                       const uint32_t *percent, int n) {
    rig_t rig;
    rig_user_t user;
    worker_t workers[4];
    uint64_t got[4];
    load_t load;
    rig_open(&rig, true, NULL);
    rig_user_open(&rig, &user);
    uint32_t gate = rig_sync(&user);
    for (int i = 0; i < n; i++) {
        workers[i] = worker(&user, classes[i][0], classes[i][1]);
        queue_jobs(&workers[i], gate,
                   (uint32_t)(busy / 1000000 * percent[i] / 100 / JOB_MCYCLES * 11 / 10 + 8));
    }
    if (loaded)
        load_begin(&load);
    assert_int_equal(rig_signal(&user, gate, 1), STATUS_OK);
    until_busy(&rig, 0, busy);
    for (int i = 0; i < n; i++)
        got[i] = cycles_of(&workers[i]);
    if (loaded)
        load_end(&load);
    shares_are(got, percent, n);
    rig_user_close(&user);
    rig_close(&rig);
}

static const uint32_t fixed_30_70[][2] = {{ACCEL_CLASS_FIXED, 30}, {ACCEL_CLASS_FIXED, 70}};

static void fixed_shares_are_kept(void **state) {
    (void)state;
    static const uint32_t percent[] = {30, 70};
    run_shares(false, BUSY_CYCLES, fixed_30_70, percent, 2);
}

static void fixed_shares_are_kept_under_load(void **state) {
    (void)state;
    static const uint32_t percent[] = {30, 70};
    run_shares(true, BUSY_CYCLES, fixed_30_70, percent, 2);
}

static void best_effort_gets_what_is_left(void **state) {
    (void)state;
    static const uint32_t classes[][2] = {
        {ACCEL_CLASS_FIXED, 30}, {ACCEL_CLASS_BEST_EFFORT, 0}, {ACCEL_CLASS_BEST_EFFORT, 0}};
    static const uint32_t percent[] = {30, 35, 35};
    run_shares(false, BUSY_CYCLES / 2, classes, percent, 3);
}

static void burst_borrows_what_is_left(void **state) {
    (void)state;
    static const uint32_t classes[][2] = {{ACCEL_CLASS_FIXED, 60}, {ACCEL_CLASS_BURST, 10}};
    static const uint32_t percent[] = {60, 40};
    run_shares(false, BUSY_CYCLES / 2, classes, percent, 2);
}

// A FIXED context alone is throttled, though the card would idle.
static void fixed_is_never_more(void **state) {
    (void)state;
    rig_t rig;
    rig_user_t user;
    rig_open(&rig, true, NULL);
    rig_user_open(&rig, &user);
    worker_t w = worker(&user, ACCEL_CLASS_FIXED, 20);
    uint64_t began = rig_now_ns();
    queue_jobs(&w, 0, 10); // 40 M cycles; at most 20 of 100, whose other 80 are of wall time
    assert_int_equal(rig_wait(&user, w.done, w.submitted, RIG_WAIT_NS), STATUS_OK);
    assert_true(rig_now_ns() - began >= UINT64_C(100000000)); // at 1 GHz
    rig_user_close(&user);
    rig_close(&rig);
}

// What the burst context got while the other one waited for a job of next to nothing. False: it
// cannot be said, since this thread waited for a processor before it had submitted the job or after
// that had ended, and the card went on meanwhile.
static bool yield_once(rig_t *rig, const worker_t *burst, worker_t *fixed, uint64_t *out_waited) {
    until_busy(rig, rig_telemetry(rig).busy_cycles[0], 3000000);
    uint64_t before = cycles_of(burst), began = rig_now_ns();
    uint32_t slot;
    rig_job_t job = {.count = 10, .done = fixed->done, .point = ++fixed->submitted, .timed = true};
    assert_int_equal(rig_submit(fixed->user, fixed->context, &job, &slot), STATUS_OK);
    uint64_t submitted = rig_now_ns();
    assert_int_equal(rig_wait(fixed->user, fixed->done, fixed->submitted, RIG_WAIT_NS), STATUS_OK);
    *out_waited = cycles_of(burst) - before;
    uint64_t lost = submitted - began + (rig_now_ns() - rig_ended_ns(fixed->user, slot));
    return lost < 1000000;
}

// A borrower gives way at once: the entitled one waits less than 10 M cycles of card time.
static void burst_yields(void **state) {
    (void)state;
    rig_t rig;
    rig_user_t user;
    rig_open(&rig, true, NULL);
    rig_user_open(&rig, &user);
    worker_t burst = worker(&user, ACCEL_CLASS_BURST, 10);
    worker_t fixed = worker(&user, ACCEL_CLASS_FIXED, 50);
    rig_job_t long_job = {
        .count = RIG_MCYCLES(1000000), .done = burst.done, .point = ++burst.submitted};
    assert_int_equal(rig_submit(&user, burst.context, &long_job, NULL), STATUS_OK);
    uint64_t worst = 0, waited;
    for (int n = 0, tries = 0; n < 20; tries++) {
        assert_true(tries < 2000);
        if (!yield_once(&rig, &burst, &fixed, &waited))
            continue;
        worst = waited > worst ? waited : worst;
        n++;
    }
    print_message("  burst kept the node for at most %llu cycles\n", (unsigned long long)worst);
    assert_true(worst <= 10000000);
    rig_user_close(&user);
    rig_close(&rig);
}

// What the card writes into a context's descriptor, to which it adds at the end of a run.
static void write_cycles(const worker_t *w, uint64_t cycles) {
    rm_object_t *object = w->user->client->objects[w->context - 1];
    rm_context_t *context = CONTAINER_OF(object, rm_context_t, object);
    ((isa_context_t *)context->descriptor.cpu)->cycles = cycles;
}

static uint64_t busy_of(const rig_t *rig, const rig_user_t *user) {
    accel_client_record_t record;
    accel_req_list_t list = {
        .first = user->client->id, .records = (uint64_t)(uintptr_t)&record, .capacity = 1};
    assert_int_equal(ASK(rig->admin, list, CLIENTS), STATUS_OK);
    assert_int_equal(list.count, 1);
    return record.busy_cycles;
}

static void run(worker_t *w) {
    rig_job_t job = {.count = 100, .done = w->done, .point = ++w->submitted};
    assert_int_equal(rig_submit(w->user, w->context, &job, NULL), STATUS_OK);
    assert_int_equal(rig_wait(w->user, w->done, job.point, RIG_WAIT_NS), STATUS_OK);
}

// A count that cannot be true takes a share for a while at most, and the clock goes on.
static void wild_counts_are_not_believed(void **state) {
    (void)state;
    const uint64_t counts[] = {UINT64_C(1) << 60, 5, UINT64_MAX - 1000000000, 0};
    rig_t rig;
    rig_user_t user;
    rig_open(&rig, true, NULL);
    rig_user_open(&rig, &user);
    worker_t fixed = worker(&user, ACCEL_CLASS_FIXED, 50);
    worker_t other = worker(&user, ACCEL_CLASS_BEST_EFFORT, 0);
    run(&fixed);
    for (uint32_t i = 0; i < COUNT_OF(counts); i++) {
        write_cycles(&fixed, counts[i]);
        run(&fixed);
        run(&fixed); // its debt is one that can be paid
        write_cycles(&other, counts[i]);
        run(&other);
        run(&other);
    }
    assert_true(busy_of(&rig, &user) < UINT64_C(1) << 40);
    rig_user_close(&user);
    rig_close(&rig);
}

static void shares_above_a_hundred_are_refused(void **state) {
    (void)state;
    rig_t rig;
    rig_user_t user;
    rig_open(&rig, false, NULL);
    rig_user_open(&rig, &user);
    (void)rig_context(&user, ACCEL_CLASS_FIXED, 60);
    uint32_t burst = rig_context(&user, ACCEL_CLASS_BURST, 40);
    accel_req_ctx_create_t more = {.vm = user.vm, .service_class = ACCEL_CLASS_FIXED, .share = 1};
    assert_int_equal(ASK(user.client, more, CTX_CREATE), STATUS_LIMIT);
    assert_int_equal(rig_destroy(&user, ACCEL_REQ_CTX_DESTROY, burst), STATUS_OK);
    assert_int_equal(ASK(user.client, more, CTX_CREATE), STATUS_OK);
    more.share = 0;
    assert_int_equal(ASK(user.client, more, CTX_CREATE), STATUS_INVALID);
    more.service_class = ACCEL_CLASS_BEST_EFFORT;
    more.share = 5;
    assert_int_equal(ASK(user.client, more, CTX_CREATE), STATUS_INVALID);
    rig_user_close(&user);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_above_a_hundred_are_refused),
        cmocka_unit_test(wild_counts_are_not_believed),
        cmocka_unit_test(fixed_shares_are_kept),
        cmocka_unit_test(fixed_shares_are_kept_under_load),
        cmocka_unit_test(best_effort_gets_what_is_left),
        cmocka_unit_test(burst_borrows_what_is_left),
        cmocka_unit_test(fixed_is_never_more),
        cmocka_unit_test(burst_yields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
