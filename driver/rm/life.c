// SPDX-License-Identifier: Apache-2.0
// What the system does with the card under a running driver: takes it away, takes its power away
// and gives it back, takes it from the driver for good. Whatever changes the card's state is done
// by the watchdog's thread, as resets are; here its callers wait.
#include "driver/rm/rm_internal.h"

// --- Clients and memory that goes ---

bool rm_guest_try(rm_card_t *card) {
    if (LIKELY((ATOMIC_ADD(&card->guests, 1u) & RM_GUESTS_WAIT) == 0))
        return true;
    rm_guest_leave(card); // whoever keeps guests out may have counted this one
    return false;
}

// Without coming in and leaving again, which wakes all that wait.
static void wait_outside(rm_card_t *card) {
    const port_ops_t *ops = card->port->ops;
    for (;;) {
        uint64_t count = ops->event_count(card->port, &card->progress);
        if ((LOAD_ACQUIRE(&card->guests) & RM_GUESTS_WAIT) == 0)
            return;
        (void)ops->event_wait(card->port, &card->progress, count, PORT_WAIT_FOREVER, false);
    }
}

void rm_guest_enter(rm_card_t *card) {
    while (UNLIKELY(!rm_guest_try(card)))
        wait_outside(card);
}

void rm_guest_leave(rm_card_t *card) {
    if (UNLIKELY(ATOMIC_SUB(&card->guests, 1u) == RM_GUESTS_WAIT))
        rm_progress(card);
}

// All of them are lost, so that none waits for the card.
static void keep_guests_out(rm_card_t *card) {
    const port_ops_t *ops = card->port->ops;
    (void)ATOMIC_OR(&card->guests, RM_GUESTS_WAIT);
    for (;;) {
        uint64_t count = ops->event_count(card->port, &card->progress);
        if (LOAD_ACQUIRE(&card->guests) == RM_GUESTS_WAIT)
            return;
        (void)ops->event_wait(card->port, &card->progress, count, PORT_WAIT_FOREVER, false);
    }
}

static void let_guests_in(rm_card_t *card) {
    (void)ATOMIC_SUB(&card->guests, RM_GUESTS_WAIT);
    rm_progress(card);
}

// --- Work that comes back ---

static void thaw(rm_card_t *card) {
    rm_spin(card);
    card->frozen = false;
    rm_unspin(card);
    rm_sched_nudge(card);
}

bool rm_life_is_still(const void *what) {
    const rm_card_t *card = what;
    bool still = true;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        still &= rm_in_flight(&card->nodes[i]) == 0 && card->nodes[i].token == 0;
    return still;
}

// Calls back all that is in flight. STATUS_TIMEOUT: it did not come.
static status_t freeze(rm_card_t *card) {
    rm_spin(card);
    card->frozen = true;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        card->nodes[i].stop |= rm_in_flight(&card->nodes[i]) > 0;
    rm_unspin(card);
    return rm_wait(card, rm_life_is_still, card, rm_now(card) + card->options.still_ns);
}

// --- In the watchdog's thread ---

static status_t suspend(rm_card_t *card) {
    rm_recover_distrusted(card); // not of a card without power
    if (LOAD_ACQUIRE(&card->absent) != 0) {
        STORE_RELEASE(&card->suspended, 1u); // nothing to keep, and nobody resets it meanwhile
        return STATUS_OK;
    }
    bool alone = rm_recover_close(card);
    rm_spin(card);
    alone &= rm_life_is_still(card);
    rm_unspin(card);
    if (!alone) {
        rm_recover_open(card);
        return STATUS_BUSY;
    }
    rm_pm_set(card, ISA_POWER_SLEEP);
    STORE_RELEASE(&card->suspended, 1u);
    return STATUS_OK;
}

static status_t resume(rm_card_t *card) {
    if (LOAD_ACQUIRE(&card->absent) != 0)
        return rm_recover_card(card, ACCEL_LOST_RESET);
    if (LOAD_ACQUIRE(&card->suspended) == 0)
        return STATUS_OK;
    if (!hw_is_up(card->hw)) // it lost its power
        return rm_recover_card(card, ACCEL_LOST_RESET);
    rm_pm_set(card, ISA_POWER_ACTIVE);
    rm_spin(card);
    card->frozen = false;
    card->active_ns = rm_now(card);
    STORE_RELEASE(&card->suspended, 0u);
    rm_unspin(card);
    rm_recover_open(card);
    rm_sched_nudge(card);
    rm_pages_ask(card, 0); // it may have had some to tell of
    return STATUS_OK;
}

// The gate stays closed from now on.
static status_t detach(rm_card_t *card) {
    STORE_RELEASE(&card->detached, 1u);
    rm_recover_detach(card);
    return STATUS_OK;
}

status_t rm_life_order(rm_card_t *card, rm_order_t order) {
    if (LOAD_ACQUIRE(&card->detached) != 0)
        return STATUS_DEVICE_LOST;
    switch (order) {
    case RM_ORDER_SUSPEND:
        return suspend(card);
    case RM_ORDER_RESUME:
        return resume(card);
    case RM_ORDER_DETACH:
        return detach(card);
    default:
        rm_recover_gone(card);
        return STATUS_OK;
    }
}

// --- The system's calls ---

void rm_card_gone(rm_card_t *card) {
    if (card->detached != 0)
        return;
    hw_gone(card->hw);
    (void)rm_recover_ask(card, RM_ORDER_GONE, 0); // never fails
}

status_t rm_card_suspend(rm_card_t *card) {
    status_t status = freeze(card);
    if (status == STATUS_OK)
        status = rm_recover_ask(card, RM_ORDER_SUSPEND, 0);
    if (status == STATUS_OK)
        return STATUS_OK;
    thaw(card);
    return STATUS_BUSY;
}

status_t rm_card_resume(rm_card_t *card) { return rm_recover_ask(card, RM_ORDER_RESUME, 0); }

// What does not come back is stopped with the card.
void rm_card_detach(rm_card_t *card) {
    if (card->detached != 0)
        return;
    if (LOAD_ACQUIRE(&card->suspended) == 0)
        (void)freeze(card); // detached in any case
    (void)rm_recover_ask(card, RM_ORDER_DETACH, 0);
    rm_card_stop_irq(card);
    keep_guests_out(card);
    hw_stop(card->hw);
    card->hw = NULL;
    rm_context_detach(card);
    rm_vm_detach(card);
    rm_bo_detach(card);
    let_guests_in(card);
}
