// SPDX-License-Identifier: Apache-2.0
// Escalation: context, node, card, gone. Everything here runs in the watchdog's thread, so that
// there is one recovery at a time. The gate keeps others out of hw meanwhile.
#include "driver/rm/rm_internal.h"

#define GATE_WAIT_US 20000u
#define GATE_STEP_US 50u
#define MAX_TRIES    3u // resets that a packet may see at the head of a ring which the card denies

// Those inside leave soon, but for one who works in the doorbell of a simulated card: the reset is
// what ends his work. And a thread that gets no processor is not waited for: whatever it decides
// later it decides under the spin, where it sees `recovering`, and what it decided before (to ring,
// to stop a node) hw drops when it resets the node.
bool rm_recover_close(rm_card_t *card) {
    (void)ATOMIC_OR(&card->gate, RM_GATE_CLOSED);
    for (uint32_t us = 0; us < GATE_WAIT_US; us += GATE_STEP_US) {
        if (LOAD_ACQUIRE(&card->gate) == RM_GATE_CLOSED)
            return true;
        card->port->ops->stall_us(card->port, GATE_STEP_US);
    }
    return false;
}

void rm_recover_open(rm_card_t *card) { (void)ATOMIC_SUB(&card->gate, RM_GATE_CLOSED); }

static void set_recovering(rm_card_t *card) {
    rm_spin(card);
    card->recovering = true;
    rm_unspin(card);
}

// --- A node ---

// Under the spin: the client whose work the reset found, or NULL.
static rm_client_t *client_of(rm_node_t *node, uint64_t fence) {
    if (fence < node->first_flight || fence > node->last_fence)
        return NULL;
    const rm_job_t *job = *rm_flight_of(node, fence);
    return job->context != NULL ? job->context->client : NULL;
}

// Under the spin: a packet at whose sight the node stops again and again is to blame, whatever the
// card says.
static uint64_t blame_head(rm_node_t *node) {
    if (rm_in_flight(node) == 0)
        return 0;
    rm_job_t *job = *rm_flight_of(node, node->first_flight);
    return ++job->tries > MAX_TRIES ? job->fence : 0;
}

// Under the spin.
static void replay(rm_card_t *card, uint32_t number, uint64_t aborted, uint32_t reason) {
    rm_node_t *node = &card->nodes[number];
    node->resets++;
    node->token = 0;
    node->armed = 0;
    node->stop = false;
    if (aborted == 0 && reason == ACCEL_LOST_HANG)
        aborted = blame_head(node);
    rm_client_t *client = client_of(node, aborted);
    rm_sched_settle(card, number, aborted, reason);
    if (client != NULL && reason == ACCEL_LOST_HANG)
        rm_client_strike(client);
}

// Whoever submitted while the gate was closed could not wake the card.
static void wake_for_work(rm_card_t *card) {
    rm_spin(card);
    bool any = card->n_live > 0;
    rm_unspin(card);
    if (any)
        rm_pm_wake(card);
}

status_t rm_recover_node(rm_card_t *card, uint32_t number, uint32_t reason) {
    uint64_t aborted = 0;
    set_recovering(card);
    (void)rm_recover_close(card);
    status_t status = hw_reset_node(card->hw, number, &aborted);
    rm_spin(card);
    rm_event(card, ACCEL_EVENT_NODE_RESET, number, NULL, (uint32_t)status, 0, 0);
    if (status == STATUS_OK) {
        replay(card, number, aborted, reason);
        card->recovering = false;
    }
    rm_unspin(card);
    if (status != STATUS_OK)
        return rm_recover_card(card, ACCEL_LOST_RESET); // with the gate closed
    rm_recover_open(card);
    rm_progress(card);
    wake_for_work(card);
    rm_sched_nudge(card);
    return STATUS_OK;
}

// --- The card ---

// Under the spin: the card is away, and every client is lost that is open. False: it was away. A
// suspend ends by it; but who is about to suspend or detach the card still keeps work from it.
static bool go_away(rm_card_t *card) {
    card->frozen &= card->suspended == 0;
    STORE_RELEASE(&card->suspended, 0u);
    if (card->absent != 0)
        return false;
    STORE_RELEASE(&card->absent, 1u);
    STORE_RELEASE(&card->generation, card->generation + 1);
    return true;
}

// Under the spin: the next context that was open when the card went away, or NULL.
static rm_context_t *next_to_lose(rm_card_t *card) {
    list_node_t *node = list_first(&card->contexts);
    if (node == NULL || LIST_OWNER(node, rm_context_t, link)->swept == card->generation)
        return NULL;
    list_remove(node);
    list_push_back(&card->contexts, node);
    return LIST_OWNER(node, rm_context_t, link);
}

// What the clients had that were open then. Nothing new comes, since the card is absent; so the
// spin is given up between contexts, of which each has a client's jobs at most.
static void lose_all(rm_card_t *card, uint32_t reason) {
    for (bool more = true; more;) {
        rm_spin(card);
        rm_context_t *context = next_to_lose(card);
        more = context != NULL;
        if (more) {
            context->swept = card->generation;
            rm_context_lose(card, context, reason, NULL);
        }
        rm_unspin(card);
    }
    rm_spin(card);
    rm_sched_end_all(card);
    rm_unspin(card);
}

// Under the spin.
static void set_up_again(rm_card_t *card) {
    STORE_RELEASE(&card->gone, 0u);
    STORE_RELEASE(&card->alarms, 0u);
    STORE_RELEASE(&card->asleep, 0u);
    card->hot = card->overheated = false;
    card->idle_ns = card->shared_ns = 0;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        card->nodes[i].armed = 0;
        card->nodes[i].corrupt = LOAD_ACQUIRE(&card->nodes[i].corrupted);
    }
    STORE_RELEASE(&card->absent, 0u);
}

// Under the spin.
static void note_reset(rm_card_t *card, status_t status) {
    card->info = *hw_info(card->hw);
    rm_event(card, ACCEL_EVENT_CARD_RESET, 0, NULL, (uint32_t)status, 0, 0);
    card->card_resets += status == STATUS_OK;
}

// A client that is opened while the card is lost or being reset has nothing to lose: it goes on.
status_t rm_recover_card(rm_card_t *card, uint32_t reason) {
    set_recovering(card);
    (void)rm_recover_close(card);
    rm_spin(card);
    bool is_news = go_away(card);
    rm_unspin(card);
    // Who waits learns it before the reset ends.
    rm_progress(card);
    status_t status = hw_reset_card(card->hw);
    if (is_news)
        lose_all(card, status == STATUS_OK ? reason : ACCEL_LOST_REMOVED);
    rm_spin(card);
    note_reset(card, status);
    if (status == STATUS_OK)
        set_up_again(card);
    card->recovering = card->distrusted = false;
    rm_unspin(card);
    rm_recover_open(card);
    rm_progress(card);
    return status;
}

// With the gate closed. Work ends here for those who gave it: the card does not reach their memory
// any more.
static void lose_for_good(rm_card_t *card) {
    rm_spin(card);
    (void)go_away(card);
    rm_event(card, ACCEL_EVENT_GONE, 0, NULL, 0, 0, 0);
    rm_unspin(card);
    lose_all(card, ACCEL_LOST_REMOVED);
    rm_spin(card);
    card->recovering = card->distrusted = false;
    rm_unspin(card);
}

void rm_recover_gone(rm_card_t *card) {
    if (LOAD_ACQUIRE(&card->absent) != 0)
        return;
    (void)rm_recover_close(card);
    hw_gone(card->hw);
    lose_for_good(card);
    rm_recover_open(card);
    rm_progress(card);
}

// The gate stays closed, and the card gets nothing more. True: it has nothing in work either, nor
// anybody in its doorbell.
static bool comes_to_rest(rm_card_t *card) {
    bool alone = rm_recover_close(card);
    rm_spin(card);
    card->recovering = true;
    bool at_rest = alone && rm_life_is_still(card) && !card->distrusted;
    rm_unspin(card);
    return at_rest;
}

// Who is in a doorbell comes back by it. If it fails, the card is off the bus.
static void stop_by_reset(rm_card_t *card) {
    status_t status = hw_reset_card(card->hw);
    rm_spin(card);
    note_reset(card, status);
    rm_unspin(card);
}

void rm_recover_detach(rm_card_t *card) {
    if (LOAD_ACQUIRE(&card->absent) == 0) {
        if (!comes_to_rest(card))
            stop_by_reset(card);
        lose_for_good(card);
        rm_progress(card);
    }
    while (!rm_recover_close(card))
        continue;
}

// --- A card that did not do as it was told ---

void rm_recover_distrusted(rm_card_t *card) {
    rm_spin(card);
    bool distrusted = card->distrusted && card->suspended == 0; // else when it is resumed
    rm_unspin(card);
    if (distrusted)
        (void)rm_recover_card(card, ACCEL_LOST_CARD_ERROR);
}

static bool is_over(const void *what) {
    const rm_card_t *card = what;
    return !card->recovering && !card->distrusted;
}

void rm_recover_wait(rm_card_t *card) {
    status_t status = rm_wait(card, is_over, card, PORT_WAIT_FOREVER);
    if (status != STATUS_OK)
        card->port->ops->log(card->port, PORT_LOG_ERROR, (uint64_t)status, 0, 0);
}

void rm_recover_distrust(rm_card_t *card) {
    rm_spin(card);
    if (card->absent == 0) {
        card->distrusted = true;
        rm_watch_at(card, 0);
    }
    rm_unspin(card);
    rm_recover_wait(card);
}

// --- What administrators and the system ask ---

static bool is_answered(const void *what) {
    const rm_ask_t *ask = what;
    return ask->answered;
}

// Under the spin.
static void put_ask(rm_card_t *card, rm_ask_t *ask) {
    list_push_back(&card->asks, &ask->link);
    rm_watch_at(card, 0);
}

// The watchdog's thread writes into the asker's frame, so he stays until it did.
static status_t answer_of(rm_card_t *card, const rm_ask_t *ask) {
    while (rm_wait(card, is_answered, ask, PORT_WAIT_FOREVER) != STATUS_OK)
        continue;
    return ask->result;
}

status_t rm_recover_ask(rm_card_t *card, rm_order_t order, uint32_t node) {
    rm_ask_t ask = {.order = order, .node = node};
    rm_spin(card);
    put_ask(card, &ask);
    rm_unspin(card);
    return answer_of(card, &ask);
}

status_t rm_reset_request(rm_client_t *client, const accel_req_reset_t *request) {
    rm_card_t *card = client->card;
    rm_ask_t ask = {.order = (rm_order_t)request->level, .node = request->node};
    if (request->level == ACCEL_RESET_NODE && request->node >= ISA_NODE_COUNT)
        return STATUS_NOT_FOUND;
    rm_spin(card);
    bool is_free = list_is_empty(&card->asks);
    if (is_free)
        put_ask(card, &ask);
    rm_unspin(card);
    return is_free ? answer_of(card, &ask) : STATUS_BUSY;
}
