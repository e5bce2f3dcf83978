// SPDX-License-Identifier: Apache-2.0
// What threads may do at the same time with streams, modules and events: who ends one waits for
// those who still look after it. A client in between holds a thread where it shall be, and hears
// who waits for it. Argument: the folder of the images.
#include <pthread.h>
#include <string.h>

#include "runtime/runtime_internal.h"
#include "tests/driver/stream_rig.h"

enum { MODE_GROW = 1, MODE_WILD = 3, MODE_PRINT = 4, HEAP_BYTES = 1 << 20 };

// The way to a card in this process.
typedef struct warden {
    rt_client_t below;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    // Under the mutex.
    bool hold_memory; // the next buffer is made when this is over
    uint32_t n_held;  // threads that wait for that
    uint32_t n_slept; // calls of `sleep`, the first of which ends it
    uint32_t ctx;     // of the last submission
    uint32_t sync;
    bool is_lost; // what was submitted last
    // The next thread that asks about a context stays where it gives the device's lock back, and
    // goes on when this is over.
    bool hold_reader, has_reader;
    pthread_t reader;
} warden_t;

typedef struct lifetime {
    fixture_t card;
    warden_t warden;
    accel_stream_t *stream;
    accel_event_t *event; // behind what the stream works on
    uint64_t *memory;
    // Under the warden's mutex.
    bool in_log, is_unloaded;
    uint32_t n_lines, n_late; // n_late: shown although the module was gone
} lifetime_t;

// --- The client ---

static void lock_warden(warden_t *warden) { (void)pthread_mutex_lock(&warden->mutex); }
static void unlock_warden(warden_t *warden) {
    (void)pthread_cond_broadcast(&warden->changed);
    (void)pthread_mutex_unlock(&warden->mutex);
}
static void wait_warden(warden_t *warden) {
    (void)pthread_cond_wait(&warden->changed, &warden->mutex);
}

static void hold_if_wanted(warden_t *warden) {
    lock_warden(warden);
    warden->n_held++;
    (void)pthread_cond_broadcast(&warden->changed);
    while (warden->hold_memory)
        wait_warden(warden);
    warden->n_held--;
    unlock_warden(warden);
}

static bool is_lost(warden_t *warden, uint32_t handle, const uint32_t *of) {
    lock_warden(warden);
    bool result = warden->is_lost && handle == *of;
    unlock_warden(warden);
    return result;
}

static void note_submission(warden_t *warden, const accel_req_submit_t *request) {
    lock_warden(warden);
    warden->ctx = request->ctx;
    warden->sync = request->out[0].sync;
    unlock_warden(warden);
}

static void note_reader(warden_t *warden) {
    lock_warden(warden);
    if (warden->hold_reader && !warden->has_reader) {
        warden->has_reader = true;
        warden->reader = pthread_self();
    }
    unlock_warden(warden);
}

static void hold_reader(warden_t *warden) {
    lock_warden(warden);
    bool is_reader = warden->has_reader && pthread_equal(warden->reader, pthread_self());
    warden->n_held += is_reader;
    (void)pthread_cond_broadcast(&warden->changed);
    while (is_reader && warden->hold_reader)
        wait_warden(warden);
    warden->n_held -= is_reader;
    unlock_warden(warden);
}

static status_t warden_request(void *self, void *request, size_t bytes) {
    warden_t *warden = self;
    const accel_req_t *head = request;
    accel_req_ctx_query_t *query = request;
    const accel_req_submit_t *submit = request;
    if (head->op == ACCEL_REQ_BO_CREATE)
        hold_if_wanted(warden);
    if ((head->op == ACCEL_REQ_SUBMIT && is_lost(warden, submit->ctx, &warden->ctx)) ||
        (head->op == ACCEL_REQ_SYNC_WAIT &&
         is_lost(warden, ((const accel_req_sync_t *)request)->handle, &warden->sync)))
        return STATUS_CONTEXT_LOST;
    if (head->op == ACCEL_REQ_SUBMIT)
        note_submission(warden, submit);
    RETURN_IF_ERROR(warden->below.ops->request(warden->below.self, request, bytes));
    if (head->op == ACCEL_REQ_CTX_QUERY && is_lost(warden, query->handle, &warden->ctx)) {
        query->state = ACCEL_CTX_LOST;
        query->reason = ACCEL_LOST_RESET;
    }
    if (head->op == ACCEL_REQ_CTX_QUERY)
        note_reader(warden);
    return STATUS_OK;
}

static status_t warden_batch(void *self, accel_req_t *const *requests, uint32_t n_requests,
                             uint32_t *out_done) {
    for (*out_done = 0; *out_done < n_requests; ++*out_done)
        RETURN_IF_ERROR(warden_request(self, requests[*out_done], requests[*out_done]->size));
    return STATUS_OK;
}

static const rt_client_t *below_of(void *self) { return &((warden_t *)self)->below; }

static status_t warden_alloc(void *self, size_t bytes, void **out_memory, uint32_t *out_bo) {
    return below_of(self)->ops->memory_alloc(below_of(self)->self, bytes, out_memory, out_bo);
}
static void warden_free(void *self, void *memory, size_t bytes) {
    below_of(self)->ops->memory_free(below_of(self)->self, memory, bytes);
}
static void warden_lock(void *self) { below_of(self)->ops->lock(below_of(self)->self); }
static void warden_unlock(void *self) {
    below_of(self)->ops->unlock(below_of(self)->self);
    hold_reader(self);
}
static void warden_sleep(void *self) {
    warden_t *warden = self;
    lock_warden(warden);
    warden->n_slept++;
    warden->hold_memory = false;
    unlock_warden(warden);
    warden->below.ops->sleep(warden->below.self);
}
static void warden_wake(void *self) { below_of(self)->ops->wake(below_of(self)->self); }
static uint64_t warden_now_ns(void *self) {
    return below_of(self)->ops->now_ns(below_of(self)->self);
}
static void warden_close(void *self) { below_of(self)->ops->close(below_of(self)->self); }

static const rt_client_ops_t warden_ops = {
    .version = RT_CLIENT_VERSION,
    .kind = "inproc",
    .request = warden_request,
    .batch = warden_batch,
    .memory_alloc = warden_alloc,
    .memory_free = warden_free,
    .lock = warden_lock,
    .unlock = warden_unlock,
    .sleep = warden_sleep,
    .wake = warden_wake,
    .now_ns = warden_now_ns,
    .close = warden_close,
};

// --- A device behind it ---

static void show(void *user, const char *text, size_t bytes);

static void open_behind(lifetime_t *l, const char *image) {
    const accel_device_options_t device = {.cores = 1};
    const accel_module_options_t module = {.log = show, .log_user = l};
    const rt_client_t client = {.ops = &warden_ops, .self = &l->warden, .n_cards = 1};
    accel_error_t error = {0};
    char path[4096];
    *l = (lifetime_t){.card.folder = l->card.folder};
    (void)pthread_mutex_init(&l->warden.mutex, NULL);
    (void)pthread_cond_init(&l->warden.changed, NULL);
    snprintf(path, sizeof path, "%s/%s.bin", l->card.folder, image);
    OK(accel_program_open(path, &l->card.program, &error));
    OK(rt_inproc_open(&device, NULL, &l->warden.below, &error));
    OK(rt_device_open(&client, &l->card.device, &error));
    OK(accel_module_load(l->card.device, l->card.program, &module, &l->card.module, &error));
    OK(accel_stream_create(l->card.device, NULL, &l->stream, &error));
    l->memory = make_memory(&l->card, 1);
}

static void close_behind(lifetime_t *l) {
    accel_event_destroy(l->event);
    accel_stream_destroy(l->stream);
    accel_host_free(l->card.device, l->memory);
    close_card(&l->card);
    (void)pthread_cond_destroy(&l->warden.changed);
    (void)pthread_mutex_destroy(&l->warden.mutex);
}

static void start(lifetime_t *l, uint64_t mode) {
    accel_error_t error = {0};
    OK(launch(&l->card, l->stream, l->memory, mode, HEAP_BYTES, &error));
    OK(accel_event_record(l->stream, &l->event, &error));
}

// --- Whoever gives memory ---

typedef enum ending { BY_WAIT, BY_DESTROY, BY_UNLOAD, N_ENDINGS } ending_t;

static void end_lane(lifetime_t *l, ending_t ending) {
    accel_error_t error = {0};
    if (ending == BY_WAIT)
        assert_int_equal(accel_stream_wait(l->stream, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    else if (ending == BY_DESTROY)
        accel_stream_destroy(l->stream), l->stream = NULL;
    else
        accel_module_unload(l->card.module), l->card.module = NULL;
}

static void *wait_for_event(void *arg) {
    lifetime_t *l = arg;
    return accel_event_wait(l->event, UINT64_MAX, NULL) == ACCEL_CONTEXT_LOST ? NULL : arg;
}

// A thread that waits for an event gives the launch before it memory, and meanwhile the stream's
// context is lost: the launch's place stays until that thread is out of it.
static void heaps_stay_while_they_grow(lifetime_t *l, ending_t ending) {
    accel_error_t error = {0};
    pthread_t waiter;
    void *failed;
    open_behind(l, "stream");
    start(l, MODE_GROW);
    l->warden.hold_memory = true;
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_event, l), 0);
    lock_warden(&l->warden);
    while (l->warden.n_held == 0)
        wait_warden(&l->warden);
    l->warden.is_lost = true;
    unlock_warden(&l->warden);
    end_lane(l, ending);
    lock_warden(&l->warden);
    bool was_held = l->warden.hold_memory;
    l->warden.hold_memory = false;
    unlock_warden(&l->warden);
    assert_int_equal(pthread_join(waiter, &failed), 0);
    assert_false(was_held);
    assert_null(failed);
    if (ending == BY_WAIT) { // goes on, in the heap as it is
        accel_event_destroy(l->event);
        l->warden.is_lost = false;
        start(l, MODE_GROW);
        OK(accel_stream_wait(l->stream, UINT64_MAX, &error));
        assert_true(l->memory[16] != 0);
    }
    close_behind(l);
}

static void lost_lanes_wait_for_who_gives_memory(void **state) {
    for (ending_t ending = 0; ending < N_ENDINGS; ending++)
        heaps_stay_while_they_grow(*state, ending);
}

// --- Whoever shows what was printed ---

// Until the module is gone, which must not be, or whoever unloads it waits.
static void show(void *user, const char *text, size_t bytes) {
    lifetime_t *l = user;
    (void)text, (void)bytes;
    lock_warden(&l->warden);
    l->in_log = true;
    (void)pthread_cond_broadcast(&l->warden.changed);
    while (!l->is_unloaded && l->warden.n_slept == 0)
        wait_warden(&l->warden);
    l->n_late += l->is_unloaded;
    l->n_lines++;
    unlock_warden(&l->warden);
}

static void *unload(void *arg) {
    lifetime_t *l = arg;
    lock_warden(&l->warden);
    while (!l->in_log)
        wait_warden(&l->warden);
    unlock_warden(&l->warden);
    accel_module_unload(l->card.module);
    lock_warden(&l->warden);
    l->is_unloaded = true;
    unlock_warden(&l->warden);
    return NULL;
}

// All that used the module was waited for by an event, but the stream's thread has not looked yet.
static void modules_wait_for_who_shows(void **state) {
    lifetime_t *l = *state;
    accel_error_t error = {0};
    pthread_t unloader;
    for (ending_t ending = BY_WAIT; ending <= BY_DESTROY; ending++) {
        open_behind(l, "queue");
        start(l, MODE_PRINT);
        OK(accel_event_wait(l->event, UINT64_MAX, &error));
        assert_int_equal(pthread_create(&unloader, NULL, unload, l), 0);
        if (ending == BY_WAIT)
            OK(accel_stream_wait(l->stream, UINT64_MAX, &error));
        else
            end_lane(l, ending);
        assert_int_equal(pthread_join(unloader, NULL), 0);
        l->card.module = NULL;
        assert_int_equal(l->n_lines, 1);
        assert_int_equal(l->n_late, 0);
        close_behind(l);
    }
}

// --- Whoever finds out why ---

// What it names is gone when it goes on: another thread heard of the failure meanwhile.
static void reasons_outlast_their_modules(void **state) {
    lifetime_t *l = *state;
    accel_error_t error = {0};
    pthread_t waiter;
    void *failed;
    open_behind(l, "queue");
    OK(launch(&l->card, l->stream, l->memory, MODE_WILD, 0x7f00000000, &error));
    OK(accel_event_record(l->stream, &l->event, &error));
    l->warden.hold_reader = true;
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_event, l), 0);
    lock_warden(&l->warden);
    while (l->warden.n_held == 0)
        wait_warden(&l->warden);
    unlock_warden(&l->warden);
    assert_int_equal(accel_event_wait(l->event, UINT64_MAX, &error), ACCEL_CONTEXT_LOST);
    assert_non_null(strstr(error.text, "in node 'wrong' (Gather)"));
    accel_module_unload(l->card.module), l->card.module = NULL;
    accel_program_close(l->card.program), l->card.program = NULL;
    lock_warden(&l->warden);
    l->warden.hold_reader = false;
    unlock_warden(&l->warden);
    assert_int_equal(pthread_join(waiter, &failed), 0);
    assert_null(failed);
    close_behind(l);
}

#define TEST(test) cmocka_unit_test_prestate(test, &lifetime)

int main(int argc, char **argv) {
    lifetime_t lifetime = {.card = {.folder = argc > 1 ? argv[1] : "."}};
    const struct CMUnitTest tests[] = {
        TEST(lost_lanes_wait_for_who_gives_memory),
        TEST(modules_wait_for_who_shows),
        TEST(reasons_outlast_their_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
