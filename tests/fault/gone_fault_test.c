// SPDX-License-Identifier: Apache-2.0
// A card that disappears at a register access, in the middle of every operation: reads are all ones
// from there on, writes (doorbells, too) are lost, no interrupt comes. Every call returns, work
// ends as DEVICE_LOST, the books balance, and a card that answers again is taken back, by a reset
// or by a new start.
#include <inttypes.h>
#include <stdio.h>

#include "tests/fault/scenario.h"

#define MS UINT64_C(1000000)

// Who waits for a lost card is told within these; a slow machine must not be taken for one.
static const rm_options_t quick = {.answer_ns = 100 * MS, .stall_ns = 200 * MS};

static const scenario_list_t *const lists[] = {&scenarios_object, &scenarios_work,
                                               &scenarios_monitor};

static void begin(world_t *w, const scenario_t *s, bool posted) {
    world_plug(w, s->name, posted);
    w->options = &quick;
    MUST(w, world_start(w));
    world_furnish(w);
    if (s->prepare != NULL)
        s->prepare(w);
}

static port_fault_counts_t count(const scenario_t *s, bool posted) {
    world_t w;
    port_fault_counts_t counts;
    begin(&w, s, posted);
    port_fault_set(w.fault, NULL);
    SAME(&w, s->act(&w), s->expected);
    port_fault_counts(w.fault, &counts);
    world_close(&w);
    world_stop(&w);
    world_unplug(&w);
    return counts;
}

// Until the trouble is met: then the client is lost, and stays so. Reading the counters shows at
// once that nobody answers.
static void use_until_lost(world_t *w) {
    accel_req_stats_t stats = {0};
    status_t status;
    world_relieve(w);
    do {
        status = world_life(w);
        SO(w, status == STATUS_OK || status == STATUS_DEVICE_LOST);
        (void)ASK(w, stats, ACCEL_REQ_STATS);
    } while (status != STATUS_DEVICE_LOST);
    SAME(w, ask_vm(w, &w->handle), STATUS_DEVICE_LOST);
    SO(w, world_memory_free(w) > 0); // INFO is for the lost, too
}

static void check_open(world_t *w) {
    port_fault_books_t books;
    port_fault_books(w->fault, &books);
    SAME(w, books.violations, 0);
    (void)port_fault_tell_open(w->fault);
    port_fault_books(w->fault, &books);
    SAME(w, books.violations, 0);
}

static void bring_back(world_t *w, bool by_reset) {
    if (by_reset) {
        accel_req_reset_t reset = {.level = ACCEL_RESET_CARD};
        port_fault_set(w->fault, NULL);
        MUST(w, ASK(w, reset, ACCEL_REQ_RESET));
        world_close(w);
        MUST(w, rm_client_open(w->rm, NULL, &w->client));
    } else {
        world_close(w);
        world_stop(w);
        check_open(w);
        port_fault_set(w->fault, NULL);
        MUST(w, world_start(w));
    }
    MUST(w, world_life(w));
    world_close(w);
    world_stop(w);
    check_open(w);
}

static void run(const scenario_t *s, bool posted, const port_fault_plan_t *plan) {
    world_t w;
    begin(&w, s, posted);
    w.n = plan->gone_at_read + plan->gone_at_write;
    port_fault_set(w.fault, plan);
    (void)s->act(&w); // it returns
    use_until_lost(&w);
    bring_back(&w, w.n % 2 == 0);
    world_unplug(&w);
}

// Also at the first accesses after the operation.
static uint64_t run_scenario(const scenario_t *s, bool posted) {
    port_fault_counts_t counts = count(s, posted);
    for (uint64_t n = 1; n <= counts.reads + 2; n++)
        run(s, posted, &(port_fault_plan_t){.gone_at_read = n});
    for (uint64_t n = 1; n <= counts.writes + 2; n++)
        run(s, posted, &(port_fault_plan_t){.gone_at_write = n});
    printf("%3" PRIu64 " reads, %3" PRIu64 " writes: %s%s\n", counts.reads, counts.writes, s->name,
           posted ? " (posted)" : "");
    return counts.reads + counts.writes + 4;
}

// The card still works behind the port that says it is gone: with threads of its own, too, until
// it is taken off the bus. Memory that was given back is not touched by it.
// Argument: the number of the list of scenarios.
int main(int argc, char **argv) {
    uint32_t which = argc > 1 ? (uint32_t)(argv[1][0] - '0') : 0;
    uint64_t n_runs = 0;
    if (which >= COUNT_OF(lists))
        return 1;
    for (uint32_t r = 0; r < lists[which]->n_rows; r++) {
        const scenario_t *s = &lists[which]->rows[r];
        n_runs += run_scenario(s, false);
        if ((s->flags & POSTED) != 0)
            n_runs += run_scenario(s, true);
    }
    printf("%u scenarios, %" PRIu64 " runs with the card gone\n", lists[which]->n_rows, n_runs);
    return 0;
}
