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
    status_t status = rm_client_add(client, &sync->object, RM_SYNC, &request->handle);
    if (status != STATUS_OK)
        rm_sync_destroy(client->card, sync);
    return status;
}

void rm_sync_destroy(rm_card_t *card, rm_sync_t *sync) { rm_free(card, sync, sizeof *sync); }

void rm_sync_advance(rm_sync_t *sync, uint64_t value, status_t status) {
    if (value > sync->value)
        sync->value = value;
    if (sync->suspended_at != 0 && sync->suspended_at <= sync->value)
        sync->suspended_at = 0;
    if (sync->status == STATUS_OK && status != STATUS_OK) {
        sync->status = status;
        sync->good = value - 1 < sync->good ? value - 1 : sync->good;
    } else if (sync->status == STATUS_OK) {
        sync->good = sync->value;
    }
}

status_t rm_sync_status(const rm_sync_t *sync, uint64_t value) {
    return value <= sync->good ? STATUS_OK : sync->status;
}

// `gives`: may hand the card work meanwhile.
static status_t wait_for(rm_card_t *card, bool (*done)(const void *what), const void *what,
                         uint64_t deadline_ns, bool gives);

typedef struct wish {
    const rm_client_t *client;
    const rm_sync_t *sync;
    uint64_t value;
} wish_t;

static bool is_suspended(const wish_t *wish) {
    return wish->sync->suspended_at != 0 && wish->value >= wish->sync->suspended_at;
}

static bool is_decided(const void *what) {
    const wish_t *wish = what;
    return wish->sync->value >= wish->value || is_suspended(wish) ||
           rm_client_is_lost(wish->client);
}

static status_t sync_wait(rm_client_t *client, const rm_sync_t *sync, accel_req_sync_t *request) {
    rm_card_t *card = client->card;
    wish_t wish = {client, sync, request->value};
    uint64_t now = rm_now(card);
    uint64_t deadline = request->timeout_ns > PORT_WAIT_FOREVER - now ? PORT_WAIT_FOREVER
                                                                      : now + request->timeout_ns;
    bool gives = !client->options.is_lazy || request->timeout_ns == PORT_WAIT_FOREVER;
    RETURN_IF_ERROR(wait_for(card, is_decided, &wish, deadline, gives));
    rm_spin(card);
    status_t status = sync->value >= request->value ? rm_sync_status(sync, request->value)
                      : is_suspended(&wish)         ? STATUS_SUSPENDED
                                                    : STATUS_DEVICE_LOST;
    rm_unspin(card);
    return status;
}

static status_t sync_signal(rm_client_t *client, rm_sync_t *sync, uint64_t value) {
    rm_card_t *card = client->card;
    rm_spin(card);
    bool backwards = value <= sync->value;
    if (!backwards)
        rm_sync_advance(sync, value, STATUS_OK);
    rm_unspin(card);
    if (backwards)
        return STATUS_INVALID;
    card->port->ops->event_set(card->port, &card->progress);
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

static bool ask(rm_card_t *card, bool (*done)(const void *what), const void *what) {
    rm_spin(card);
    bool result = done(what);
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

static void sleep_until(rm_card_t *card, uint64_t count, uint64_t deadline_ns) {
    rm_spin(card);
    rm_watch_start(card);
    rm_unspin(card);
    rm_sched_arm(card);
    card->port->ops->event_wait(card->port, &card->progress, count, deadline_ns);
}

// *out_more: there is more to hand over.
static bool look(rm_card_t *card, bool (*done)(const void *what), const void *what, bool gives,
                 bool *out_more) {
    *out_more = gives && rm_sched_round(card);
    if (!gives)
        rm_sched_look(card);
    return ask(card, done, what);
}

static status_t wait(rm_card_t *card, bool (*done)(const void *what), const void *what,
                     uint64_t deadline_ns, bool gives, bool *out_more) {
    uint64_t poll_until = 0;
    for (;;) {
        uint64_t count = card->port->ops->event_count(card->port, &card->progress);
        if (look(card, done, what, gives, out_more))
            return STATUS_OK;
        uint64_t now = rm_now(card);
        if (poll_until == 0)
            poll_until = now + POLL_NS;
        if (now >= deadline_ns)
            return STATUS_TIMEOUT;
        if (now < poll_until || *out_more)
            CPU_PAUSE();
        else
            sleep_until(card, count, deadline_ns);
    }
}

// Only a waiter who gives is counted.
static status_t wait_for(rm_card_t *card, bool (*done)(const void *what), const void *what,
                         uint64_t deadline_ns, bool gives) {
    bool more;
    status_t status = STATUS_OK;
    if (!look(card, done, what, gives, &more)) {
        if (gives)
            count_waiter(card, true);
        status = wait(card, done, what, deadline_ns, gives, &more);
        if (gives)
            count_waiter(card, false);
    }
    if (UNLIKELY(more))
        rm_sched_later(card);
    return status;
}

status_t rm_wait(rm_card_t *card, bool (*done)(const void *what), const void *what,
                 uint64_t deadline_ns) {
    return wait_for(card, done, what, deadline_ns, true);
}
