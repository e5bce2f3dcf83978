// SPDX-License-Identifier: Apache-2.0
// Start and stop of the resource manager.
#include "driver/rm/rm_internal.h"

static bool isr(void *user, uint32_t vector) {
    rm_card_t *card = user;
    (void)ATOMIC_ADD(&card->irqs, 1u);
    return hw_isr(card->hw, vector);
}

static void dpc(void *user) {
    rm_card_t *card = user;
    if (!rm_enter(card))
        return; // whoever resets looks at everything afterwards
    hw_dpc(card->hw);
    rm_leave(card);
    rm_sched_pump(card);
}

void rm_card_pump(rm_card_t *card) { rm_sched_pump(card); }

static status_t start_irq(rm_card_t *card) {
    port_irq_t irq = {.isr = isr, .dpc = dpc, .user = card};
    RETURN_IF_ERROR(card->port->ops->irq_enable(card->port, &irq, &card->vectors));
    hw_set_vectors(card->hw, card->vectors);
    return STATUS_OK;
}

static status_t start_hw(rm_card_t *card) {
    hw_owner_t owner = {.notify = rm_sched_notify, .user = card};
    RETURN_IF_ERROR(hw_start(card->port, &owner, &card->hw));
    card->info = *hw_info(card->hw);
    card->features = card->info.features;
    rm_hold_init(card);
    card->memory_bytes = card->info.memory_bytes;
    // SRAM is saved too, of a program that wrote there.
    uint64_t save = card->info.save_bytes + card->info.sram_bytes;
    card->save_bytes = (save + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
    return STATUS_OK;
}

// `ready` counts the steps, so that stop undoes just what was done.
static status_t start(rm_card_t *card) {
    const port_ops_t *ops = card->port->ops;
    RETURN_IF_ERROR(ops->mutex_init(card->port, &card->mutex));
    card->ready++;
    RETURN_IF_ERROR(ops->mutex_init(card->port, &card->power));
    card->ready++;
    RETURN_IF_ERROR(ops->spin_init(card->port, &card->sched, PORT_SPIN_DEFERRED));
    card->ready++;
    RETURN_IF_ERROR(ops->event_init(card->port, &card->progress));
    card->ready++;
    RETURN_IF_ERROR(
        ops->work_init(card->port, &card->watch, PORT_WORK_RECLAIM, rm_watch_run, card));
    card->ready++;
    RETURN_IF_ERROR(
        ops->work_init(card->port, &card->pages, PORT_WORK_ALLOCATES, rm_pages_run, card));
    card->ready++;
    RETURN_IF_ERROR(start_hw(card));
    card->ready++;
    RETURN_IF_ERROR(rm_mem_init(card, card->memory_bytes));
    card->ready++;
    RETURN_IF_ERROR(start_irq(card));
    card->ready++;
    return STATUS_OK;
}

void rm_card_stop_irq(rm_card_t *card) {
    card->port->ops->irq_disable(card->port);
    card->port->ops->irq_sync(card->port);
}

// The watchdog may be at work with the card: it is stopped before hw is.
void rm_card_stop(rm_card_t *card) {
    if (card == NULL)
        return;
    port_t *port = card->port;
    if (card->ready >= 9 && card->detached == 0)
        rm_card_stop_irq(card);
    if (card->ready >= 5)
        port->ops->work_deinit(port, &card->watch);
    if (card->ready >= 6)
        port->ops->work_deinit(port, &card->pages);
    if (card->ready >= 8)
        rm_mem_deinit(card);
    hw_stop(card->hw); // NULL: not started, or detached
    if (card->ready >= 3)
        rm_jobs_free(card);
    if (card->ready >= 4)
        port->ops->event_deinit(port, &card->progress);
    if (card->ready >= 3)
        port->ops->spin_deinit(port, &card->sched);
    if (card->ready >= 2)
        port->ops->mutex_deinit(port, &card->power);
    if (card->ready >= 1)
        port->ops->mutex_deinit(port, &card->mutex);
    rm_free(card, card, sizeof *card);
}

#define TICK_MAX_NS UINT64_C(100000000)
#define TICK_MIN_NS UINT64_C(1000000)

static uint64_t or_default(uint64_t value, uint64_t fallback) {
    return value != 0 ? value : fallback;
}

static void set_options(rm_card_t *card, const rm_options_t *options) {
    rm_options_t none = {0};
    rm_options_t *all = &card->options;
    *all = options != NULL ? *options : none;
    all->answer_ns = or_default(all->answer_ns, 500000000);
    all->stall_ns = or_default(all->stall_ns, 1000000000);
    all->idle_ns = or_default(all->idle_ns, UINT64_C(10000000000));
    all->slice_cycles = (uint32_t)or_default(all->slice_cycles, 2000000);
    all->period_cycles = (uint32_t)or_default(all->period_cycles, 10000000);
    all->ban_hangs = (uint32_t)or_default(all->ban_hangs, 5);
    if (all->ban_hangs > RM_HANGS_MAX)
        all->ban_hangs = RM_HANGS_MAX;
    all->ban_ns = or_default(all->ban_ns, UINT64_C(60000000000));
    all->still_ns = or_default(all->still_ns, UINT64_C(5000000000));
    uint64_t shorter = all->answer_ns < all->stall_ns ? all->answer_ns : all->stall_ns;
    card->tick_ns = shorter / 4 < TICK_MAX_NS ? shorter / 4 : TICK_MAX_NS;
    if (card->tick_ns < TICK_MIN_NS)
        card->tick_ns = TICK_MIN_NS;
}

static void init(rm_card_t *card, const rm_options_t *options) {
    list_node_t *lists[] = {&card->free,    &card->retired,  &card->stores,  &card->vms,
                            &card->clients, &card->contexts, &card->waiting, &card->own,
                            &card->idle,    &card->told,     &card->asks};
    for (uint32_t i = 0; i < COUNT_OF(lists); i++)
        list_init(lists[i]);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        card->nodes[i].first_flight = 1;
    set_options(card, options);
    card->watch_at = card->refill_at = PORT_WORK_NEVER;
    card->started_ns = card->active_ns = rm_now(card);
    rm_event(card, ACCEL_EVENT_STARTED, 0, NULL, 0, ISA_CARD_VERSION, 0);
}

status_t rm_card_start(port_t *port, const rm_options_t *options, rm_card_t **out_card) {
    *out_card = NULL;
    rm_card_t *card = port->ops->mem_alloc(port, sizeof *card);
    if (card == NULL)
        return STATUS_NO_MEMORY;
    card->port = port;
    init(card, options);
    status_t status = start(card);
    if (status != STATUS_OK) {
        rm_card_stop(card);
        return status;
    }
    rm_watch_plan(card); // one that never gets work sleeps, too
    *out_card = card;
    return STATUS_OK;
}
