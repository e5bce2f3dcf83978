// SPDX-License-Identifier: Apache-2.0
// hw from several threads at once: some submit, ring and poll, one preempts and resets the node.
// What comes back is submitted again under the same fences, so every fence is told of once and in
// order, whatever doorbell was on its way.
#include <sched.h>
#include <stdlib.h>

#include "tests/hw/os.h"

#define THREADS 3u
#define NODE    ISA_NODE_COPY

typedef struct race {
    os_t os; // its card and port; its scheduler is not used
    pthread_mutex_t lock;
    // Under `lock`.
    uint64_t next, last;
    bool is_stopping;
    // By notify.
    uint64_t told;
    uint32_t token;
    uint64_t stopped_at;
} race_t;

static void notify(void *user, const hw_notice_t *notice) {
    race_t *race = user;
    if (notice->kind == HW_NOTICE_PREEMPTED) {
        CHECK_EQUAL(notice->fence, race->told);
        race->stopped_at = notice->fence;
        STORE_RELEASE(&race->token, (uint32_t)notice->info);
        return;
    }
    if (notice->kind == HW_NOTICE_ALARM) { // a doorbell that was late for a reset
        CHECK_EQUAL(notice->info, ISA_ERROR_DOORBELL);
        return;
    }
    CHECK_EQUAL(notice->kind, HW_NOTICE_DONE);
    CHECK_EQUAL(notice->fence, race->told + 1);
    STORE_RELEASE(&race->told, notice->fence);
}

static bool isr(void *user, uint32_t vector) {
    race_t *race = user;
    return hw_isr(race->os.hw, vector);
}

static void dpc(void *user) {
    race_t *race = user;
    hw_dpc(race->os.hw);
}

static void *submitter(void *user) {
    race_t *race = user;
    hw_device_t *hw = race->os.hw;
    while (LOAD_ACQUIRE(&race->told) < race->last) {
        isa_ring_packet_t nop = {.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
        (void)pthread_mutex_lock(&race->lock);
        bool can = !race->is_stopping && race->next <= race->last &&
                   hw_credit(hw, NODE, ISA_RING_NORMAL) > 0;
        uint64_t fence = race->next;
        if (can) {
            hw_submit(hw, NODE, ISA_RING_NORMAL, &nop, fence);
            race->next++;
        }
        (void)pthread_mutex_unlock(&race->lock);
        hw_kick(hw, NODE, ISA_RING_NORMAL);
        if (fence % 16 == 0)
            hw_arm(hw, NODE, ISA_RING_NORMAL, fence);
        if (!can || fence % 64 == 0) {
            hw_poll(hw);
            (void)sched_yield();
        }
    }
    return NULL;
}

static void close_ring(race_t *race) {
    (void)pthread_mutex_lock(&race->lock);
    race->is_stopping = true;
    (void)pthread_mutex_unlock(&race->lock);
}

static void open_ring(race_t *race, uint64_t next) {
    (void)pthread_mutex_lock(&race->lock);
    race->next = next;
    race->is_stopping = false;
    (void)pthread_mutex_unlock(&race->lock);
}

static void stop(race_t *race, uint32_t token) {
    close_ring(race);
    hw_preempt(race->os.hw, NODE, token);
    while (LOAD_ACQUIRE(&race->token) != token) {
        hw_poll(race->os.hw);
        (void)sched_yield();
    }
    open_ring(race, race->stopped_at + 1);
}

// What was in work ran or did not; a NOP may do so twice.
static void reset(race_t *race) {
    uint64_t aborted;
    close_ring(race);
    CHECK(hw_reset_node(race->os.hw, NODE, &aborted) == STATUS_OK);
    uint64_t told = LOAD_ACQUIRE(&race->told);
    CHECK(aborted == 0 || aborted > told);
    open_ring(race, told + 1);
}

static void run(bool posted, uint64_t last) {
    race_t *race = calloc(1, sizeof *race);
    os_options_t options = {.posted = posted};
    pthread_t threads[THREADS];
    CHECK(race != NULL && pthread_mutex_init(&race->lock, NULL) == 0);
    os_make(&race->os, &options);
    hw_owner_t owner = {.notify = notify, .user = race};
    CHECK(hw_start(race->os.base, &owner, &race->os.hw) == STATUS_OK);
    port_irq_t irq = {.isr = isr, .dpc = dpc, .user = race};
    uint32_t vectors, n_stops = 0;
    CHECK(race->os.base->ops->irq_enable(race->os.base, &irq, &vectors) == STATUS_OK);
    race->next = 1;
    race->last = last;
    for (uint32_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, submitter, race) == 0);
    while (LOAD_ACQUIRE(&race->told) < last) {
        if (++n_stops % 8 == 0)
            reset(race);
        else
            stop(race, n_stops);
        (void)sched_yield();
    }
    for (uint32_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    printf("%s: %u stops and resets\n", posted ? "posted" : "inline", n_stops);
    os_stop(&race->os);
    (void)pthread_mutex_destroy(&race->lock);
    free(race);
}

int main(void) {
    run(false, 20000);
    run(true, 20000);
    return 0;
}
