// SPDX-License-Identifier: Apache-2.0
// Watched time: the clock by which work is out of time. It stands while a debugger holds the card,
// so that whoever stops a program and thinks is not taken for a hang; and for ever in timing mode,
// where hours on the wall may be seconds of the card. All else (shares, sleep, waits) goes by the
// wall.
#include "driver/rm/rm_internal.h"

uint64_t rm_watched_now(rm_card_t *card) {
    return (card->n_holds > 0 ? card->held_since : rm_now(card)) - card->held_ns;
}

uint64_t rm_watch_time(const rm_card_t *card, uint64_t deadline) {
    if (card->n_holds > 0 || deadline >= PORT_WORK_NEVER - card->held_ns)
        return PORT_WORK_NEVER;
    return deadline + card->held_ns;
}

// --- Holds; under the spin ---

static void stop_clock(rm_card_t *card) {
    if (card->n_holds++ == 0)
        card->held_since = rm_now(card);
}

static void start_clock(rm_card_t *card) {
    if (--card->n_holds > 0)
        return;
    card->held_ns += rm_now(card) - card->held_since;
    rm_watch_at(card, 0); // deadlines count again
}

static void release(rm_client_t *client) {
    rm_card_t *card = client->card;
    if (card->holder != client)
        return;
    card->holder = NULL;
    start_clock(card);
    rm_event(card, ACCEL_EVENT_RELEASED, 0, client, 0, rm_now(card) - client->held_at, 0);
}

static status_t take(rm_client_t *client) {
    rm_card_t *card = client->card;
    if (LOAD_ACQUIRE(&client->abandoned) != 0)
        return STATUS_DEVICE_LOST; // nobody is there to let go
    if (card->holder != NULL || card->n_fenced > 0)
        return STATUS_BUSY;
    card->holder = client;
    client->held_at = rm_now(card);
    stop_clock(card);
    rm_event(card, ACCEL_EVENT_HELD, 0, client, 0, 0, 0);
    return STATUS_OK;
}

void rm_hold_init(rm_card_t *card) {
    if ((card->features & ISA_FEATURE_TIMING) != 0)
        stop_clock(card);
}

status_t rm_hold_request(rm_client_t *client, const accel_req_hold_t *request) {
    status_t status = STATUS_OK;
    rm_spin(client->card);
    if ((request->head.flags & ACCEL_HOLD_RELEASE) != 0)
        release(client);
    else
        status = take(client);
    rm_unspin(client->card);
    return status;
}

void rm_hold_end(rm_client_t *client) {
    rm_spin(client->card);
    release(client);
    rm_unspin(client->card);
}
