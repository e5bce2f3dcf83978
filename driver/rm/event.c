// SPDX-License-Identifier: Apache-2.0
// What happened to the card, the last of it, and who uses it.
#include "driver/rm/rm_internal.h"

#include "support/mem.h"

void rm_event(rm_card_t *card, uint32_t kind, uint32_t node, const rm_client_t *client,
              uint32_t code, uint64_t a, uint64_t b) {
    uint64_t number = ++card->last_event;
    card->events[number % RM_EVENTS] = (accel_event_record_t){
        .number = number,
        .time_ns = rm_now(card),
        .kind = kind,
        .node = node,
        .client = client != NULL ? client->id : 0,
        .code = code,
        .pid = client != NULL ? client->options.pid : 0,
        .a = a,
        .b = b,
    };
}

// The event of the number, or the oldest kept behind it; false: there is none yet.
static bool event_get(rm_card_t *card, uint64_t number, accel_event_record_t *out_record) {
    rm_spin(card);
    uint64_t oldest = card->last_event < RM_EVENTS ? 1 : card->last_event - RM_EVENTS + 1;
    if (number < oldest)
        number = oldest;
    bool found = number <= card->last_event;
    if (found)
        *out_record = card->events[number % RM_EVENTS];
    rm_unspin(card);
    return found;
}

// Records go to the caller's memory one by one, with no lock held.
status_t rm_event_list(rm_card_t *card, accel_req_list_t *request) {
    accel_event_record_t record;
    accel_event_record_t *records = (accel_event_record_t *)(uintptr_t)request->records;
    uint32_t count = 0;
    while (count < request->capacity && event_get(card, request->first, &record)) {
        memcpy(records + count, &record, sizeof record);
        request->first = record.number + 1;
        count++;
    }
    request->count = count;
    return STATUS_OK;
}

// The client with the least id that is not below `id`. Ids grow along the list.
static bool client_get(rm_card_t *card, uint64_t id, accel_client_record_t *out_record) {
    bool found = false;
    rm_spin(card);
    for (list_node_t *node = card->clients.next; node != &card->clients && !found;
         node = node->next) {
        const rm_client_t *client = LIST_OWNER(node, rm_client_t, link);
        found = client->id >= id;
        if (found)
            rm_client_record(client, out_record);
    }
    rm_unspin(card);
    return found;
}

status_t rm_event_clients(rm_card_t *card, accel_req_list_t *request) {
    accel_client_record_t record;
    accel_client_record_t *records = (accel_client_record_t *)(uintptr_t)request->records;
    uint32_t count = 0;
    while (count < request->capacity && client_get(card, request->first, &record)) {
        memcpy(records + count, &record, sizeof record);
        request->first = (uint64_t)record.id + 1;
        count++;
    }
    request->count = count;
    return STATUS_OK;
}
