// SPDX-License-Identifier: Apache-2.0
// Resets by hw alone: with each call below them failed, and with the card gone at each register
// access. They end, and a card that answers again is reset or started again.
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "driver/hw/hw.h"
#include "tests/fault/world.h"

static void ignore(void *user, const hw_notice_t *notice) { (void)user, (void)notice; }

typedef status_t (*reset_t)(hw_device_t *device);

static status_t reset_compute(hw_device_t *device) {
    uint64_t aborted;
    return hw_reset_node(device, ISA_NODE_COMPUTE, &aborted);
}
static status_t reset_copy(hw_device_t *device) {
    uint64_t aborted;
    return hw_reset_node(device, ISA_NODE_COPY, &aborted);
}
static status_t reset_card(hw_device_t *device) { return hw_reset_card(device); }
// It went and came back, which only function-level reset helps.
static status_t reset_returned(hw_device_t *device) {
    status_t status = hw_inject(device, ISA_INJECT_LINK_LOSS, 1);
    if (status != STATUS_OK)
        return status;
    (void)hw_alive(device);
    (void)usleep(3000);
    return hw_reset_card(device);
}

typedef struct operation {
    const char *name;
    reset_t run;
    bool powered_off; // its config space has to be set up, too, which only the port's reset does
} operation_t;

static const operation_t operations[] = {
    {"a node is reset", reset_compute, false},
    {"the copying node is reset", reset_copy, false},
    {"the card is reset", reset_card, false},
    {"a card that came back is reset", reset_returned, true},
};

static hw_device_t *start(world_t *w) {
    const hw_owner_t owner = {.notify = ignore};
    hw_device_t *device = NULL;
    MUST(w, hw_start(port_fault_base(w->fault), &owner, &device));
    return device;
}

static void stop(world_t *w, hw_device_t *device) {
    port_fault_books_t books;
    hw_stop(device);
    (void)port_fault_tell_open(w->fault);
    port_fault_books(w->fault, &books);
    SAME(w, books.violations, 0);
}

static port_fault_counts_t count(const operation_t *o) {
    world_t w;
    port_fault_counts_t counts;
    world_plug(&w, o->name, false);
    hw_device_t *device = start(&w);
    port_fault_set(w.fault, NULL);
    MUST(&w, o->run(device));
    port_fault_counts(w.fault, &counts);
    stop(&w, device);
    world_unplug(&w);
    return counts;
}

static void run(const operation_t *o, const port_fault_plan_t *plan) {
    world_t w;
    world_plug(&w, o->name, false);
    w.n = plan->fail_at + plan->gone_at_read + plan->gone_at_write;
    hw_device_t *device = start(&w);
    port_fault_set(w.fault, plan);
    status_t status = o->run(device);
    // Gone at the last write: nobody may have read since.
    SO(&w, status == STATUS_DEVICE_LOST || status == STATUS_TIMEOUT ||
               (status == STATUS_OK && plan->gone_at_write != 0));
    if (status == STATUS_DEVICE_LOST && plan->fail_at == 0)
        SO(&w, !hw_alive(device));
    port_fault_set(w.fault, NULL);
    if (w.n % 2 == 0 || o->powered_off) {
        MUST(&w, hw_reset_card(device));
        SO(&w, hw_alive(device));
    }
    stop(&w, device);
    MUST(&w, world_start(&w));
    MUST(&w, world_life(&w));
    world_close(&w);
    world_stop(&w);
    world_unplug(&w);
}

static uint64_t run_all(const operation_t *o) {
    uint64_t n_runs = 0;
    port_fault_counts_t counts = count(o);
    for (uint64_t n = 1; n <= counts.calls; n++, n_runs++)
        run(o, &(port_fault_plan_t){.fail_at = n});
    for (uint64_t n = 1; n <= counts.reads; n++, n_runs++)
        run(o, &(port_fault_plan_t){.gone_at_read = n});
    for (uint64_t n = 1; n <= counts.writes; n++, n_runs++)
        run(o, &(port_fault_plan_t){.gone_at_write = n});
    printf("%s: %" PRIu64 " calls, %" PRIu64 " register reads, %" PRIu64 " writes\n", o->name,
           counts.calls, counts.reads, counts.writes);
    return n_runs;
}

int main(void) {
    uint64_t n_runs = 0;
    for (uint32_t i = 0; i < COUNT_OF(operations); i++)
        n_runs += run_all(&operations[i]);
    printf("%" PRIu64 " runs\n", n_runs);
    return 0;
}
