// SPDX-License-Identifier: Apache-2.0
// Start and stop of the resource manager.
#include "driver/rm/rm_internal.h"

static bool isr(void *user, uint32_t vector) {
    rm_card_t *card = user;
    return hw_isr(card->hw, vector);
}

static void dpc(void *user) {
    rm_card_t *card = user;
    hw_dpc(card->hw);
    rm_sched_pump(card);
}

static status_t start_irq(rm_card_t *card) {
    port_irq_t irq = {.isr = isr, .dpc = dpc, .user = card};
    uint32_t vectors;
    RETURN_IF_ERROR(card->port->ops->irq_enable(card->port, &irq, &vectors));
    hw_set_vectors(card->hw, vectors);
    return STATUS_OK;
}

// `ready` counts the steps, so that stop undoes just what was done.
static status_t start(rm_card_t *card) {
    const port_ops_t *ops = card->port->ops;
    hw_owner_t owner = {.notify = rm_sched_notify, .user = card};
    RETURN_IF_ERROR(ops->mutex_init(card->port, &card->mutex));
    card->ready++;
    RETURN_IF_ERROR(ops->spin_init(card->port, &card->sched));
    card->ready++;
    RETURN_IF_ERROR(ops->event_init(card->port, &card->progress));
    card->ready++;
    RETURN_IF_ERROR(hw_start(card->port, &owner, &card->hw));
    card->ready++;
    RETURN_IF_ERROR(rm_mem_init(card, hw_info(card->hw)->memory_bytes));
    card->ready++;
    RETURN_IF_ERROR(start_irq(card));
    card->ready++;
    return STATUS_OK;
}

static void free_jobs(rm_card_t *card) {
    for (list_node_t *node; (node = list_pop_front(&card->idle)) != NULL;)
        rm_free(card, LIST_OWNER(node, rm_job_t, link), sizeof(rm_job_t));
}

void rm_card_stop(rm_card_t *card) {
    if (card == NULL)
        return;
    port_t *port = card->port;
    if (card->ready >= 6) {
        port->ops->irq_disable(port);
        port->ops->irq_sync(port);
    }
    if (card->ready >= 5)
        rm_mem_deinit(card);
    if (card->ready >= 4)
        hw_stop(card->hw);
    free_jobs(card);
    if (card->ready >= 3)
        port->ops->event_deinit(port, &card->progress);
    if (card->ready >= 2)
        port->ops->spin_deinit(port, &card->sched);
    if (card->ready >= 1)
        port->ops->mutex_deinit(port, &card->mutex);
    rm_free(card, card, sizeof *card);
}

status_t rm_card_start(port_t *port, const rm_options_t *options, rm_card_t **out_card) {
    (void)options; // the watchdog's
    *out_card = NULL;
    rm_card_t *card = port->ops->mem_alloc(port, sizeof *card);
    if (card == NULL)
        return STATUS_NO_MEMORY;
    card->port = port;
    list_init(&card->free);
    list_init(&card->pending);
    list_init(&card->idle);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        card->nodes[i].first_flight = 1;
    status_t status = start(card);
    if (status != STATUS_OK) {
        rm_card_stop(card);
        return status;
    }
    *out_card = card;
    return STATUS_OK;
}
