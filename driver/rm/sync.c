// SPDX-License-Identifier: Apache-2.0
// Timelines, and waiting.
#include "driver/rm/rm_internal.h"

// How long a waiter polls before it sleeps: a sleep costs tens of microseconds.
#define POLL_NS 50000u

// --- Timelines ---

status_t rm_sync_create(rm_client_t *client, accel_req_sync_t *request) {
    rm_sync_t *sync = rm_new(client->card, sizeof *sync);
    if (sync == NULL)
        return STATUS_NO_MEMORY;
    sync->value = sync->good = request->value;
    list_init(&sync->owed);
    list_init(&sync->fences);
    status_t status = rm_client_add(client, &sync->object, RM_SYNC, &request->handle);
    if (status != STATUS_OK)
        rm_sync_destroy(client->card, sync);
    return status;
}

void rm_sync_destroy(rm_card_t *card, rm_sync_t *sync) { rm_free(card, sync, sizeof *sync); }

void rm_sync_advance(rm_card_t *card, rm_sync_t *sync, uint64_t value, status_t status) {
    if (value > sync->value)
        sync->value = value;
    if (sync->status == STATUS_OK && status != STATUS_OK) {
        sync->status = status;
        sync->good = value - 1 < sync->good ? value - 1 : sync->good;
    } else if (sync->status == STATUS_OK) {
        sync->good = sync->value;
    }
    if (UNLIKELY(!list_is_empty(&sync->fences)))
        rm_fence_collect(card, sync);
}

status_t rm_sync_status(const rm_sync_t *sync, uint64_t value) {
    return value <= sync->good ? STATUS_OK : sync->status;
}

typedef struct waiting {
    bool (*done)(const void *what);
    const void *what;
    uint64_t deadline_ns;
    bool gives; // may hand the card work meanwhile
    bool takes_signals;
} waiting_t;
static status_t wait_for(rm_card_t *card, const waiting_t *waiting);

typedef struct wish {
    const rm_client_t *client;
    const rm_sync_t *sync;
    uint64_t value;
    status_t *out_status; // once it is decided
} wish_t;

static bool is_suspended(const wish_t *wish) {
    const list_node_t *owed = &wish->sync->owed;
    for (const list_node_t *node = owed->next; node != owed; node = node->next) {
        uint64_t value = LIST_OWNER(node, rm_owed_t, link)->point.value;
        if (value > wish->sync->value && value <= wish->value)
            return true;
    }
    return false;
}

// Once and for all: a launch found suspended may have gone on when it is looked at again.
static bool is_decided(const void *what) {
    const wish_t *wish = what;
    if (wish->sync->value >= wish->value)
        *wish->out_status = rm_sync_status(wish->sync, wish->value);
    else if (is_suspended(wish))
        *wish->out_status = STATUS_SUSPENDED;
    else if (rm_client_is_lost(wish->client))
        *wish->out_status = STATUS_DEVICE_LOST;
    else
        return false;
    return true;
}

static uint64_t deadline_of(rm_card_t *card, const accel_req_sync_t *request) {
    uint64_t now = rm_now(card);
    if ((request->head.flags & ACCEL_SYNC_UNTIL) != 0)
        return request->timeout_ns;
    return request->timeout_ns > PORT_WAIT_FOREVER - now ? PORT_WAIT_FOREVER
                                                         : now + request->timeout_ns;
}

static status_t sync_wait(rm_client_t *client, const rm_sync_t *sync, accel_req_sync_t *request) {
    status_t outcome = STATUS_INTERNAL;
    wish_t wish = {client, sync, request->value, &outcome};
    waiting_t waiting = {
        .done = is_decided,
        .what = &wish,
        .deadline_ns = deadline_of(client->card, request),
        .gives = !client->options.is_lazy || request->timeout_ns == PORT_WAIT_FOREVER,
        .takes_signals = true,
    };
    status_t status = wait_for(client->card, &waiting);
    if (status == STATUS_OK)
        return outcome;
    if (status == STATUS_INTERRUPTED) { // made again, it ends when it would have
        request->timeout_ns = waiting.deadline_ns;
        request->head.flags |= ACCEL_SYNC_UNTIL;
    }
    return status;
}

static status_t sync_signal(rm_client_t *client, rm_sync_t *sync, uint64_t value) {
    rm_card_t *card = client->card;
    rm_spin(card);
    bool backwards = value <= sync->value;
    if (!backwards)
        rm_sync_advance(card, sync, value, STATUS_OK);
    rm_unspin(card);
    if (backwards)
        return STATUS_INVALID;
    rm_progress(card);
    if (!client->options.is_lazy)
        rm_sched_pump(card);
    return STATUS_OK;
}

// How its points were reached is for WAIT to say.
static status_t sync_query(const rm_client_t *client, const rm_sync_t *sync,
                           accel_req_sync_t *request) {
    rm_card_t *card = client->card;
    if (client->options.is_lazy)
        rm_sched_look(card);
    else
        rm_sched_pump(card);
    rm_spin(card);
    request->value = sync->value;
    rm_unspin(card);
    return STATUS_OK;
}

status_t rm_sync_request(rm_client_t *client, accel_req_sync_t *request) {
    rm_sync_t *sync = rm_client_get(client, request->handle, RM_SYNC);
    if (sync == NULL)
        return STATUS_NOT_FOUND;
    status_t status = request->head.op == ACCEL_REQ_SYNC_WAIT ? sync_wait(client, sync, request)
                      : request->head.op == ACCEL_REQ_SYNC_SIGNAL
                          ? sync_signal(client, sync, request->value)
                          : sync_query(client, sync, request);
    rm_put(&sync->object);
    return status;
}

// --- Waiting ---

static bool is_done(rm_card_t *card, const waiting_t *waiting) {
    rm_spin(card);
    bool result = waiting->done(waiting->what);
    rm_unspin(card);
    return result;
}

// Who waits is counted: the watchdog looks after the card meanwhile, and leaves work to him.
static void count_waiter(rm_card_t *card, bool comes) {
    rm_spin(card);
    if (comes)
        card->n_waiters++;
    else
        card->n_waiters--;
    rm_unspin(card);
}

static status_t sleep_until(rm_card_t *card, uint64_t count, const waiting_t *waiting) {
    rm_spin(card);
    rm_watch_start(card);
    rm_unspin(card);
    rm_sched_arm(card);
    return card->port->ops->event_wait(card->port, &card->progress, count, waiting->deadline_ns,
                                       waiting->takes_signals);
}

// *out_more: there is more to hand over.
static bool look(rm_card_t *card, const waiting_t *waiting, bool *out_more) {
    *out_more = waiting->gives && rm_sched_round(card);
    if (!waiting->gives)
        rm_sched_look(card);
    return is_done(card, waiting);
}

static status_t wait(rm_card_t *card, const waiting_t *waiting, bool *out_more) {
    uint64_t poll_until = 0;
    status_t status = STATUS_OK;
    for (;;) {
        uint64_t count = card->port->ops->event_count(card->port, &card->progress);
        if (look(card, waiting, out_more))
            return STATUS_OK;
        if (status != STATUS_OK)
            return status;
        uint64_t now = rm_now(card);
        if (poll_until == 0)
            poll_until = now + POLL_NS;
        if (now >= waiting->deadline_ns)
            return STATUS_TIMEOUT;
        if (now < poll_until || *out_more)
            CPU_PAUSE();
        else
            status = sleep_until(card, count, waiting);
    }
}

// Only a waiter who gives is counted.
static status_t wait_for(rm_card_t *card, const waiting_t *waiting) {
    bool more;
    status_t status = STATUS_OK;
    if (!look(card, waiting, &more)) {
        if (waiting->gives)
            count_waiter(card, true);
        status = wait(card, waiting, &more);
        if (waiting->gives)
            count_waiter(card, false);
    }
    if (UNLIKELY(more))
        rm_sched_later(card);
    return status;
}

status_t rm_wait(rm_card_t *card, bool (*done)(const void *what), const void *what,
                 uint64_t deadline_ns) {
    waiting_t waiting = {done, what, deadline_ns, .gives = true};
    return wait_for(card, &waiting);
}

status_t rm_wait_signals(rm_card_t *card, bool (*done)(const void *what), const void *what,
                         uint64_t deadline_ns) {
    waiting_t waiting = {done, what, deadline_ns, .gives = true, .takes_signals = true};
    return wait_for(card, &waiting);
}
