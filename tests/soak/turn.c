// SPDX-License-Identifier: Apache-2.0
// A turn: a few submissions to the streams of a thread, waiting for them, checking all results.
#include <stdio.h>
#include <string.h>

#include "tests/soak/soak.h"
#include "tests/soak/work.h"

enum {
    AREA_NUMBERS = 8 + 3 * WORK_NUMBERS, // of a stream: what, data, result, room for data read back
    AREA_BYTES = AREA_NUMBERS * 8,
};
_Static_assert(AREA_BYTES % 64 == 0 && sizeof(work_what_t) == 64, "used in place");

#define LIMIT_NS UINT64_C(30000000) // of a loop that never ends

typedef struct area {
    work_what_t what;
    uint64_t data[WORK_NUMBERS], result[WORK_NUMBERS], back[WORK_NUMBERS];
} area_t;

static area_t *area_of(const soak_worker_t *worker, uint32_t stream) {
    return (area_t *)(void *)(worker->memory + (size_t)stream * AREA_NUMBERS);
}

// --- The ledger ---

void soak_report(soak_worker_t *worker, const accel_error_t *error, own_kind_t own, bool waited,
                 uint64_t from_ns) {
    soak_shared_t *shared = worker->shared;
    uint32_t place = soak_place(&shared->n_outcomes, MAX_OUTCOMES);
    // What is left of a device whose memory, card or good name is gone is to be closed.
    worker->broken |= error->status != ACCEL_CONTEXT_LOST || error->lost == ACCEL_LOST_BY_ECC;
    if (place == UINT32_MAX)
        return;
    shared->outcomes[place] = (soak_outcome_t){.process = worker->process,
                                               .thread = worker->thread,
                                               .card = worker->device->card,
                                               .opening = worker->device->opening,
                                               .status = error->status,
                                               .lost = error->lost,
                                               .own = own,
                                               .waited = waited,
                                               .number = atomic_load(&worker->beat->number),
                                               .from_ns = from_ns,
                                               .time_ns = soak_now()};
    (void)snprintf(shared->outcomes[place].text, sizeof shared->outcomes[place].text, "%.100s",
                   error->text);
    if (shared->options.verbose)
        fprintf(stderr, "process %u card %u submission %lu: %s\n", worker->process,
                worker->device->card, (unsigned long)atomic_load(&worker->beat->number),
                error->text);
}

static void tell_wrong(const soak_worker_t *worker, const char *what) {
    soak_shared_t *shared = worker->shared;
    (void)atomic_fetch_add(&shared->wrong, 1);
    fprintf(stderr, "soak: WRONG: %s; seed %lu, process %u, card %u, submission %lu\n", what,
            (unsigned long)shared->options.seed, worker->process, worker->device->card,
            (unsigned long)atomic_load(&worker->beat->number));
}

// --- Setting up ---

accel_status_t soak_turn_setup(soak_worker_t *worker, accel_error_t *error) {
    accel_device_t *device = worker->device->device;
    accel_stream_options_t limit = {.timeout_ns = LIMIT_NS};
    void *memory = NULL;
    accel_status_t status = accel_host_alloc(device, (size_t)STREAMS * AREA_BYTES, &memory, error);
    worker->memory = memory;
    for (uint32_t i = 0; i < STREAMS && status == ACCEL_OK; i++)
        status = accel_stream_create(device, NULL, &worker->streams[i], error);
    if (status == ACCEL_OK)
        status = accel_stream_create(device, &limit, &worker->limited, error);
    for (uint32_t i = 0; i < 3 && status == ACCEL_OK; i++)
        status = accel_buffer_create(device, WORK_BYTES, &worker->buffers[i], error);
    return status;
}

void soak_turn_cleanup(soak_worker_t *worker) {
    for (uint32_t i = 0; i < STREAMS; i++) {
        accel_stream_destroy(worker->streams[i]);
        worker->streams[i] = NULL;
    }
    accel_stream_destroy(worker->limited);
    worker->limited = NULL;
    for (uint32_t i = 0; i < 3; i++) {
        accel_buffer_destroy(worker->buffers[i]);
        worker->buffers[i] = NULL;
    }
    if (worker->memory != NULL)
        accel_host_free(worker->device->device, worker->memory);
    worker->memory = NULL;
}

// --- A turn's calls ---

typedef struct turn {
    soak_worker_t *worker;
    own_kind_t own;
    accel_stream_t *streams[STREAMS];
    uint32_t n[STREAMS]; // submissions
    bool ok[STREAMS];
    uint64_t from_ns; // of the call in progress
    accel_error_t error;
} turn_t;

// Behind a failure a stream is not given more: what it was to do is gone.
static bool begins(turn_t *t, uint32_t s) {
    t->from_ns = soak_now();
    atomic_store(&t->worker->beat->beat_ns, t->from_ns);
    return t->ok[s];
}

static void ended(turn_t *t, uint32_t s, accel_status_t status, bool waited) {
    atomic_store(&t->worker->beat->beat_ns, soak_now());
    if (status == ACCEL_OK)
        return;
    t->ok[s] = false;
    soak_report(t->worker, &t->error, t->own, waited, t->from_ns);
}

static void put_launch(turn_t *t, uint32_t s, accel_buffer_t *from, accel_buffer_t *to) {
    soak_worker_t *worker = t->worker;
    area_t *area = area_of(worker, s);
    accel_tensor_t inputs[2] = {{.dtype = ACCEL_I64,
                                 .rank = 1,
                                 .dims = {8},
                                 .data = &area->what,
                                 .bytes = sizeof area->what},
                                {.dtype = ACCEL_I64,
                                 .rank = 1,
                                 .dims = {WORK_NUMBERS},
                                 .data = from == NULL ? area->data : NULL,
                                 .bytes = WORK_BYTES,
                                 .buffer = from}};
    accel_tensor_t output = {
        .data = to == NULL ? area->result : NULL, .bytes = WORK_BYTES, .buffer = to};
    if (begins(t, s))
        ended(t, s,
              accel_stream_launch(t->streams[s], worker->device->module, inputs, 2, &output, 1,
                                  &t->error),
              false);
}

static void put_write(turn_t *t, uint32_t s, accel_buffer_t *to) {
    if (begins(t, s))
        ended(t, s,
              accel_stream_write(t->streams[s], to, 0, area_of(t->worker, s)->data, WORK_BYTES,
                                 &t->error),
              false);
}

static void put_copy(turn_t *t, uint32_t s, accel_buffer_t *to, accel_buffer_t *from) {
    if (begins(t, s))
        ended(t, s, accel_stream_copy(t->streams[s], to, 0, from, 0, WORK_BYTES, &t->error), false);
}

static void put_read(turn_t *t, uint32_t s, accel_buffer_t *from) {
    if (begins(t, s))
        ended(t, s,
              accel_stream_read(t->streams[s], area_of(t->worker, s)->back, from, 0, WORK_BYTES,
                                &t->error),
              false);
}

// `to` goes on behind what `from` was given.
static void put_order(turn_t *t, uint32_t to, uint32_t from) {
    accel_event_t *event = NULL;
    if (!begins(t, from)) {
        t->ok[to] = false;
        return;
    }
    ended(t, from, accel_event_record(t->streams[from], &event, &t->error), false);
    if (event != NULL && begins(t, to)) {
        accel_status_t status = accel_stream_wait_event(t->streams[to], event, &t->error);
        // It may tell what the event's own stream has still to tell.
        t->ok[to] = status == ACCEL_OK;
        t->worker->broken |= status != ACCEL_OK && status != ACCEL_CONTEXT_LOST;
    }
    t->ok[to] &= event != NULL;
    accel_event_destroy(event);
}

static void wait_for(turn_t *t, uint32_t s) {
    accel_status_t status = ACCEL_TIMEOUT;
    if (t->streams[s] == NULL)
        return;
    if (soak_below(&t->worker->random, 8) == 0) { // some look first
        (void)begins(t, s);
        status = accel_stream_wait(t->streams[s], 0, &t->error);
        if (status != ACCEL_TIMEOUT)
            ended(t, s, status, false);
    }
    if (status == ACCEL_TIMEOUT) {
        (void)begins(t, s);
        ended(t, s, accel_stream_wait(t->streams[s], UINT64_MAX, &t->error), true);
    }
}

// --- Results ---

static void fill(turn_t *t, uint32_t s, work_mode_t mode, uint64_t number) {
    uint64_t *random = &t->worker->random;
    area_t *area = area_of(t->worker, s);
    area->what = (work_what_t){.mode = mode, .number = number, .seed = soak_random(random)};
    uint64_t first = soak_random(random);
    for (uint64_t i = 0; i < WORK_NUMBERS; i++)
        area->data[i] = first + i * UINT64_C(0x9e3779b97f4a7c15);
    memset(area->result, 0xa5, WORK_BYTES);
    memset(area->back, 0x5a, WORK_BYTES);
}

static bool right_product(const uint64_t *result, const uint64_t *data, uint64_t factor,
                          uint64_t summand) {
    bool right = result[WORK_NUMBERS - 1] == WORK_RUNS;
    for (uint64_t i = 0; i < WORK_NUMBERS - 1; i++)
        right &= result[i] == factor * data[i] + summand;
    return right;
}

static uint64_t state_of(const work_what_t *what, uint64_t core) {
    uint64_t lm[WORK_LM];
    work_state_t state;
    work_begin(lm, what->seed, core, &state);
    for (uint64_t round = 0; round < what->number; round++)
        work_round(lm, round, &state);
    return work_end(lm, &state);
}

static uint64_t heap_sum(const work_what_t *what) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < what->number / 8; i += 256)
        sum += i + what->seed;
    return sum;
}

static bool right_launch(const area_t *area) {
    bool launched = area->result[WORK_NUMBERS - 1] == WORK_RUNS;
    switch (area->what.mode) {
    case WORK_MUL:
        return right_product(area->result, area->data, 3, area->what.number);
    case WORK_DMA:
        return memcmp(area->result, area->data, WORK_BYTES) == 0;
    case WORK_GROW:
        return launched && area->result[0] == heap_sum(&area->what);
    default:
        for (uint64_t core = 0; core < WORK_CORES; core++)
            launched &= area->result[core] == state_of(&area->what, core);
        return launched;
    }
}

// --- Kinds of turns; each puts work, waits, and says what was wrong ---

static const char *launch_one(turn_t *t, uint32_t s, work_mode_t mode, uint64_t number) {
    fill(t, s, mode, number);
    put_launch(t, s, NULL, NULL);
    wait_for(t, s);
    return t->ok[s] && !right_launch(area_of(t->worker, s)) ? "a launch" : NULL;
}

static const char *launch_both(turn_t *t, uint64_t random) {
    const char *wrong = NULL;
    for (uint32_t s = 0; s < STREAMS; s++) {
        fill(t, s, s == 0 ? WORK_MUL : WORK_DMA, random >> 8);
        put_launch(t, s, NULL, NULL);
    }
    for (uint32_t s = 0; s < STREAMS; s++) {
        wait_for(t, s);
        if (t->ok[s] && !right_launch(area_of(t->worker, s)))
            wrong = "a launch beside another";
    }
    return wrong;
}

static const char *through_memory(turn_t *t, uint64_t random) {
    accel_buffer_t *const *b = t->worker->buffers;
    const area_t *area = area_of(t->worker, 0);
    fill(t, 0, WORK_MUL, random >> 8);
    put_write(t, 0, b[0]);
    put_launch(t, 0, b[0], b[1]);
    put_copy(t, 0, b[2], b[1]);
    put_read(t, 0, b[2]);
    wait_for(t, 0);
    bool right = !t->ok[0] || right_product(area->back, area->data, 3, area->what.number);
    return right ? NULL : "card memory";
}

static const char *by_event(turn_t *t, uint64_t random) {
    accel_buffer_t *const *b = t->worker->buffers;
    const area_t *first = area_of(t->worker, 0), *second = area_of(t->worker, 1);
    fill(t, 0, WORK_MUL, random >> 8);
    fill(t, 1, WORK_MUL, random >> 16);
    put_write(t, 0, b[0]);
    put_launch(t, 0, b[0], b[1]);
    put_order(t, 1, 0);
    put_copy(t, 1, b[2], b[1]);
    put_launch(t, 1, b[2], NULL);
    wait_for(t, 1);
    wait_for(t, 0);
    if (!t->ok[0] || !t->ok[1])
        return NULL;
    uint64_t summand = 3 * first->what.number + second->what.number;
    return right_product(second->result, first->data, 9, summand) ? NULL : "work behind an event";
}

static const char *misbehave(turn_t *t, uint64_t random) {
    static const work_mode_t modes[] = {WORK_STORE, WORK_REACH, WORK_EXIT, WORK_BARRIER,
                                        WORK_TEXT,  WORK_FAR,   WORK_LOOP};
    work_mode_t mode = modes[random % 7];
    t->own = mode == WORK_LOOP ? OWN_TIMEOUT : OWN_FAULT;
    if (mode == WORK_LOOP)
        t->streams[0] = t->worker->limited;
    fill(t, 0, mode, mode == WORK_EXIT ? 77 : WORK_MISSING + (random >> 32 << 12));
    put_launch(t, 0, NULL, NULL);
    wait_for(t, 0);
    return t->ok[0] ? "what had to fail succeeded" : NULL;
}

typedef enum turn_kind {
    TURN_ONE,
    TURN_BOTH,
    TURN_MEMORY,
    TURN_EVENT,
    TURN_STATE,
    TURN_GROW,
    TURN_OWN
} turn_kind_t;

static turn_kind_t choose(uint64_t random) {
    static const uint32_t permille[] = {250, 250, 230, 170, 40, 40, 20}; // by turn_kind_t
    uint64_t at = random % 1000;
    turn_kind_t kind = TURN_ONE;
    while (kind < TURN_OWN && at >= permille[kind])
        at -= permille[kind++];
    return kind;
}

static void count_submissions(turn_t *t, turn_kind_t kind) {
    static const uint32_t counts[][STREAMS] = {{1, 0}, {1, 1}, {4, 0}, {2, 2},
                                               {1, 0}, {1, 0}, {1, 0}};
    memcpy(t->n, counts[kind], sizeof t->n);
}

static const char *do_turn(turn_t *t, turn_kind_t kind, uint64_t random) {
    switch (kind) {
    case TURN_ONE:
        return launch_one(t, 0, WORK_MUL, random >> 8);
    case TURN_BOTH:
        return launch_both(t, random);
    case TURN_MEMORY:
        return through_memory(t, random);
    case TURN_EVENT:
        return by_event(t, random);
    case TURN_STATE:
        return launch_one(t, 0, WORK_STATE, 64 + random % 2000);
    case TURN_GROW:
        return launch_one(t, 0, WORK_GROW, 16384 + random % (192u << 10) / 8 * 8);
    default:
        return misbehave(t, random);
    }
}

static void settle(turn_t *t, const char *wrong) {
    soak_shared_t *shared = t->worker->shared;
    for (uint32_t s = 0; s < STREAMS; s++) {
        _Atomic uint64_t *count = t->own != OWN_NONE          ? &shared->own
                                  : t->ok[s] && wrong == NULL ? &shared->succeeded
                                                              : &shared->failed;
        (void)atomic_fetch_add(count, t->n[s]);
    }
    if (wrong != NULL)
        tell_wrong(t->worker, wrong);
}

// Submissions are spread over the time that the soak shall take.
static bool may_begin(soak_shared_t *shared) {
    const soak_options_t *options = &shared->options;
    uint64_t past = soak_now() - shared->start_ns;
    uint64_t due =
        (uint64_t)((double)options->submissions * (double)past / 1e9 / (double)options->seconds);
    return atomic_load(&shared->submitted) <= due;
}

bool soak_turn(soak_worker_t *worker) {
    soak_shared_t *shared = worker->shared;
    while (!atomic_load(&shared->stop) && !may_begin(shared)) {
        soak_sleep_ms(2);
        atomic_store(&worker->beat->beat_ns, soak_now());
    }
    if (atomic_load(&shared->stop) ||
        atomic_load(&shared->submitted) >= shared->options.submissions)
        return false;
    turn_t t = {.worker = worker, .ok = {true, true}};
    memcpy(t.streams, worker->streams, sizeof t.streams);
    uint64_t random = soak_random(&worker->random);
    turn_kind_t kind = choose(random);
    count_submissions(&t, kind);
    atomic_store(&worker->beat->number, atomic_fetch_add(&shared->submitted, t.n[0] + t.n[1]));
    settle(&t, do_turn(&t, kind, random / 1000));
    return true;
}
