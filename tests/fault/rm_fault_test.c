// SPDX-License-Identifier: Apache-2.0
// Every operation of the resource manager, with each call below it that can fail failed once, and
// with it and all after it failed: the operation ends with an error, nothing leaks, nothing stays
// locked, what there was is as it was, and the same call works afterwards.
#include <inttypes.h>
#include <stdio.h>

#include "tests/fault/scenario.h"

static const scenario_list_t *const lists[] = {&scenarios_object, &scenarios_work,
                                               &scenarios_monitor};

// --- What must not change ---

typedef struct state {
    uint64_t memory_free, pins, locks, events, works, irqs;
    uint32_t next_handle;
} state_t;

static state_t state_of(world_t *w, const scenario_t *s) {
    port_fault_books_t books;
    state_t state = {.memory_free = world_memory_free(w)};
    if ((s->flags & (GROWS | LOSES)) == 0) {
        MUST(w, ask_sync(w, &state.next_handle));
        MUST(w, ask_handle(w, ACCEL_REQ_SYNC_DESTROY, state.next_handle));
    }
    port_fault_books(w->fault, &books);
    state.pins = books.pin_bytes;
    state.locks = books.open[PORT_FAULT_SPIN_INIT] + books.open[PORT_FAULT_MUTEX_INIT];
    state.events = books.open[PORT_FAULT_EVENT_INIT];
    state.works = books.open[PORT_FAULT_WORK_INIT];
    state.irqs = books.open[PORT_FAULT_IRQ_ENABLE];
    return state;
}

static void check_same(world_t *w, const scenario_t *s, const state_t *before) {
    state_t now = state_of(w, s);
    SAME(w, now.memory_free, before->memory_free);
    SAME(w, now.pins, before->pins);
    SAME(w, now.locks, before->locks);
    SAME(w, now.events, before->events);
    SAME(w, now.works, before->works);
    SAME(w, now.irqs, before->irqs);
    SAME(w, now.next_handle, before->next_handle);
}

static void check_rules(world_t *w) {
    port_fault_books_t books;
    port_fault_books(w->fault, &books);
    SAME(w, books.violations, 0);
    SAME(w, books.locks_held, 0);
}

// --- A run ---

static void begin(world_t *w, const scenario_t *s, bool posted) {
    world_plug(w, s->name, posted);
    MUST(w, world_start(w));
    world_furnish(w);
    if (s->prepare != NULL)
        s->prepare(w);
}

// All calls that can fail do: giving back makes none.
static void end(world_t *w, const scenario_t *s) {
    port_fault_books_t books;
    port_fault_counts_t counts;
    if ((s->flags & LOSES) != 0) {
        world_close(w);
        w->hog = 0;
        MUST(w, rm_client_open(w->rm, NULL, &w->client));
    }
    world_relieve(w);
    MUST(w, world_life(w));
    check_rules(w);
    port_fault_set(w->fault, &(port_fault_plan_t){.fail_at = 1, .fail_for = UINT64_MAX});
    world_close(w);
    world_stop(w);
    port_fault_counts(w->fault, &counts);
    SAME(w, counts.calls, counts.by_call[PORT_FAULT_FUNCTION_RESET]);
    (void)port_fault_tell_open(w->fault);
    port_fault_books(w->fault, &books);
    SAME(w, books.violations, 0);
    for (uint32_t i = 0; i < PORT_FAULT_CALL_COUNT; i++)
        SAME(w, books.open[i], 0);
    world_unplug(w);
}

// Nothing fails. Returns how many calls could.
static uint64_t run_whole(const scenario_t *s, bool posted) {
    world_t w;
    port_fault_counts_t counts;
    begin(&w, s, posted);
    state_t before = state_of(&w, s);
    port_fault_set(w.fault, NULL);
    status_t status = s->act(&w);
    port_fault_counts(w.fault, &counts);
    SAME(&w, status, s->expected);
    if ((s->flags & NO_CALLS) != 0)
        SAME(&w, counts.calls, 0);
    if (s->check != NULL)
        s->check(&w);
    if (s->expected != STATUS_OK)
        check_same(&w, s, &before);
    end(&w, s);
    return counts.calls;
}

static void run_failing(const scenario_t *s, bool posted, uint64_t n, uint64_t for_many) {
    world_t w;
    port_fault_counts_t counts;
    begin(&w, s, posted);
    w.n = n;
    w.for_many = for_many;
    state_t before = state_of(&w, s);
    port_fault_set(w.fault, &(port_fault_plan_t){.fail_at = n, .fail_for = for_many});
    status_t status = s->act(&w);
    port_fault_counts(w.fault, &counts);
    port_fault_set(w.fault, NULL);
    // How many calls are made may depend on when threads of the card's run.
    SO(&w, counts.failed > 0 || posted);
    bool is_done = status == s->expected && ((s->flags & TOLERANT) != 0 || counts.failed == 0);
    if (!is_done) {
        SO(&w, status != STATUS_OK && status != STATUS_INTERNAL);
        if ((s->flags & LOSES) == 0)
            check_same(&w, s, &before);
        check_rules(&w);
    }
    if (!is_done || (s->flags & ONCE) == 0)
        SAME(&w, s->act(&w), s->expected);
    if (s->check != NULL)
        s->check(&w);
    end(&w, s);
}

// A signal comes at the n-th time that the operation would sleep for long: it is done, or says so
// and left nothing behind, and can be made again.
static void run_interrupted(const scenario_t *s, bool posted, uint64_t n) {
    world_t w;
    port_fault_counts_t counts;
    begin(&w, s, posted);
    state_t before = state_of(&w, s);
    port_fault_set(w.fault, &(port_fault_plan_t){.interrupt_at = n});
    status_t status = s->act(&w);
    port_fault_counts(w.fault, &counts);
    port_fault_set(w.fault, NULL);
    SO(&w, status == s->expected || (status == STATUS_INTERRUPTED && counts.interrupted > 0));
    if (status == STATUS_INTERRUPTED && (s->flags & LOSES) == 0)
        check_same(&w, s, &before);
    check_rules(&w);
    if (status == STATUS_INTERRUPTED)
        SAME(&w, s->act(&w), s->expected);
    if (s->check != NULL)
        s->check(&w);
    end(&w, s);
}

#define N_SIGNALS 3u

typedef struct totals {
    uint64_t scenarios, runs;
} totals_t;

static void run_scenario(const scenario_t *s, bool posted, totals_t *totals) {
    uint64_t n_calls = run_whole(s, posted);
    for (uint64_t n = 1; n <= n_calls; n++) {
        run_failing(s, posted, n, 1);
        run_failing(s, posted, n, UINT64_MAX);
    }
    for (uint64_t n = 1; n <= N_SIGNALS; n++)
        run_interrupted(s, posted, n);
    totals->scenarios++;
    totals->runs += 2 * n_calls;
    printf("%3" PRIu64 " calls: %s%s\n", n_calls, s->name, posted ? " (posted)" : "");
}

// --- Every request has its scenarios ---

static bool has_scenario(uint16_t op, bool succeeds) {
    for (uint32_t i = 0; i < COUNT_OF(lists); i++)
        for (uint32_t r = 0; r < lists[i]->n_rows; r++)
            if (lists[i]->rows[r].op == op && (lists[i]->rows[r].expected == STATUS_OK) == succeeds)
                return true;
    return false;
}

static int check_table(void) {
    int missing = 0;
#define CHECK_OP(op, number, type, who, meaning)                                                   \
    if (!has_scenario(number, true) || !has_scenario(number, false)) {                             \
        printf("request " #op " has no scenario that succeeds, or none that fails\n");             \
        missing = 1;                                                                               \
    }
    ACCEL_UAPI_TABLE(CHECK_OP)
#undef CHECK_OP
    return missing;
}

// Argument: the list of scenarios, so that each is a test of its own.
int main(int argc, char **argv) {
    totals_t totals = {0};
    uint32_t which = argc > 1 ? (uint32_t)(argv[1][0] - '0') : 0;
    if (which >= COUNT_OF(lists) || check_table() != 0)
        return 1;
    for (uint32_t r = 0; r < lists[which]->n_rows; r++) {
        const scenario_t *s = &lists[which]->rows[r];
        run_scenario(s, false, &totals);
        if ((s->flags & POSTED) != 0)
            run_scenario(s, true, &totals);
    }
    printf("%" PRIu64 " scenarios, %" PRIu64 " runs with a call failed\n", totals.scenarios,
           totals.runs);
    return 0;
}
