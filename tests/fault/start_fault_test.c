// SPDX-License-Identifier: Apache-2.0
// Starting the card, by hw alone and by the resource manager: with each call that can fail failed,
// and with the card gone at each register access.
#include <inttypes.h>
#include <stdio.h>

#include "driver/hw/hw.h"
#include "tests/fault/world.h"

static void ignore(void *user, const hw_notice_t *notice) { (void)user, (void)notice; }

// Starts, counts, stops again.
typedef status_t (*start_t)(world_t *w, port_fault_counts_t *out_counts);

static status_t start_hw(world_t *w, port_fault_counts_t *out_counts) {
    const hw_owner_t owner = {.notify = ignore};
    hw_device_t *device = NULL;
    status_t status = hw_start(port_fault_base(w->fault), &owner, &device);
    SO(w, (status == STATUS_OK) == (device != NULL));
    port_fault_counts(w->fault, out_counts);
    hw_stop(device);
    return status;
}

static status_t start_rm(world_t *w, port_fault_counts_t *out_counts) {
    rm_card_t *card = NULL;
    status_t status = rm_card_start(port_fault_base(w->fault), NULL, &card);
    SO(w, (status == STATUS_OK) == (card != NULL));
    port_fault_counts(w->fault, out_counts);
    rm_card_stop(card);
    return status;
}

static void check_books(world_t *w) {
    port_fault_books_t books;
    (void)port_fault_tell_open(w->fault);
    port_fault_books(w->fault, &books);
    SAME(w, books.violations, 0);
    for (uint32_t i = 0; i < PORT_FAULT_CALL_COUNT; i++)
        SAME(w, books.open[i], 0);
}

// The same card starts when the trouble is over, and works.
static void check_recovery(world_t *w, start_t start) {
    port_fault_counts_t counts;
    check_books(w);
    port_fault_set(w->fault, NULL);
    MUST(w, start(w, &counts));
    check_books(w);
    MUST(w, world_start(w));
    MUST(w, world_life(w));
    world_close(w);
    world_stop(w);
    check_books(w);
}

static port_fault_counts_t count(const char *name, start_t start) {
    world_t w;
    port_fault_counts_t counts;
    world_plug(&w, name, false);
    port_fault_set(w.fault, NULL);
    MUST(&w, start(&w, &counts));
    world_unplug(&w);
    return counts;
}

static void run(const char *name, start_t start, const port_fault_plan_t *plan) {
    world_t w;
    port_fault_counts_t counts;
    world_plug(&w, name, false);
    w.n = plan->fail_at + plan->gone_at_read + plan->gone_at_write;
    w.for_many = plan->fail_for;
    port_fault_set(w.fault, plan);
    status_t status = start(&w, &counts);
    if (plan->gone_at_read != 0)
        SAME(&w, status, STATUS_DEVICE_LOST);
    else if (plan->gone_at_write != 0) // nobody may have read since
        SO(&w, status == STATUS_DEVICE_LOST || status == STATUS_OK);
    else
        SAME(&w, status, STATUS_NO_MEMORY);
    check_recovery(&w, start);
    world_unplug(&w);
}

static void run_all(const char *name, start_t start) {
    port_fault_counts_t counts = count(name, start);
    for (uint64_t n = 1; n <= counts.calls; n++) {
        run(name, start, &(port_fault_plan_t){.fail_at = n, .fail_for = 1});
        run(name, start, &(port_fault_plan_t){.fail_at = n, .fail_for = UINT64_MAX});
    }
    for (uint64_t n = 1; n <= counts.reads; n++)
        run(name, start, &(port_fault_plan_t){.gone_at_read = n});
    for (uint64_t n = 1; n <= counts.writes; n++)
        run(name, start, &(port_fault_plan_t){.gone_at_write = n});
    printf("%s: %" PRIu64 " calls, %" PRIu64 " register reads, %" PRIu64 " writes\n", name,
           counts.calls, counts.reads, counts.writes);
}

int main(void) {
    run_all("hw starts", start_hw);
    run_all("the resource manager starts", start_rm);
    return 0;
}
