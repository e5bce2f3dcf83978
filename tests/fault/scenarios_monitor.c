// SPDX-License-Identifier: Apache-2.0
// What the card is and how it does, resets, power, planted faults.
#include <unistd.h>

#include "isa/card.h"
#include "tests/fault/scenario.h"

// --- Asking ---

static status_t info(world_t *w) {
    accel_req_info_t request = {0};
    return ASK(w, request, ACCEL_REQ_INFO);
}
static status_t info_bad(world_t *w) {
    accel_req_info_t request = {.head.flags = 2};
    return ASK(w, request, ACCEL_REQ_INFO);
}
static status_t stats(world_t *w) {
    accel_req_stats_t request = {.node = ACCEL_NODE_COMPUTE};
    return ASK(w, request, ACCEL_REQ_STATS);
}
static status_t stats_bad(world_t *w) {
    accel_req_stats_t request = {.node = 9};
    return ASK(w, request, ACCEL_REQ_STATS);
}
static status_t telemetry(world_t *w) {
    accel_req_telemetry_t request = {0};
    status_t status = ASK(w, request, ACCEL_REQ_TELEMETRY);
    if (status == STATUS_OK)
        SAME(w, request.memory_free, world_memory_free(w));
    return status;
}
static status_t telemetry_bad(world_t *w) {
    accel_req_telemetry_t request = {.head.flags = 1};
    return ASK(w, request, ACCEL_REQ_TELEMETRY);
}

static status_t list(world_t *w, uint16_t op, void *records, uint32_t capacity) {
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = capacity};
    return ASK(w, request, op);
}
static status_t events(world_t *w) {
    accel_event_record_t records[16];
    return list(w, ACCEL_REQ_EVENTS, records, 16);
}
static status_t events_bad(world_t *w) {
    return list(w, ACCEL_REQ_EVENTS, w->memory, ACCEL_LIST_MAX + 1);
}
static status_t clients(world_t *w) {
    accel_client_record_t records[4];
    return list(w, ACCEL_REQ_CLIENTS, records, 4);
}
static status_t clients_bad(world_t *w) {
    return list(w, ACCEL_REQ_CLIENTS, w->memory, ACCEL_LIST_MAX + 1);
}

// --- Administration ---

static void open_guest(world_t *w) {
    rm_client_options_t options = {.pid = 5, .name = "guest"};
    MUST(w, rm_client_open(w->rm, &options, &w->other));
}

static status_t reset(world_t *w, rm_client_t *client, uint32_t level, uint32_t node) {
    accel_req_reset_t request = {.level = level, .node = node};
    return world_ask(w, client, &request, sizeof request, ACCEL_REQ_RESET);
}
static status_t reset_compute(world_t *w) {
    return reset(w, w->client, ACCEL_RESET_NODE, ACCEL_NODE_COMPUTE);
}
static status_t reset_copy(world_t *w) {
    return reset(w, w->client, ACCEL_RESET_NODE, ACCEL_NODE_COPY);
}
static status_t reset_card(world_t *w) { return reset(w, w->client, ACCEL_RESET_CARD, 0); }
static status_t reset_bad(world_t *w) { return reset(w, w->client, 7, 0); }
static status_t reset_denied(world_t *w) {
    return reset(w, w->other, ACCEL_RESET_NODE, ACCEL_NODE_COMPUTE);
}

static status_t power(world_t *w, rm_client_t *client, uint32_t limit_mw) {
    accel_req_power_t request = {.limit_mw = limit_mw};
    return world_ask(w, client, &request, sizeof request, ACCEL_REQ_POWER);
}
static void read_limit(world_t *w) {
    accel_req_telemetry_t request = {0};
    MUST(w, ASK(w, request, ACCEL_REQ_TELEMETRY));
    w->number = request.power_limit_min_mw;
}
static status_t power_lowest(world_t *w) { return power(w, w->client, (uint32_t)w->number); }
static status_t power_too_high(world_t *w) { return power(w, w->client, UINT32_MAX); }
static status_t power_denied(world_t *w) { return power(w, w->other, 1); }

static status_t inject(world_t *w, rm_client_t *client, uint32_t what, uint64_t argument) {
    accel_req_inject_t request = {.what = what, .argument = argument};
    return world_ask(w, client, &request, sizeof request, ACCEL_REQ_INJECT);
}
static status_t inject_ecc(world_t *w) {
    return inject(w, w->client, ISA_INJECT_ECC_SINGLE, 0x10000);
}
static status_t inject_bad(world_t *w) { return inject(w, w->client, 999, 0); }
static status_t inject_denied(world_t *w) {
    return inject(w, w->other, ISA_INJECT_ECC_SINGLE, 0x10000);
}

static status_t hold(world_t *w, rm_client_t *client, uint32_t flags) {
    accel_req_hold_t request = {.head.flags = flags};
    return world_ask(w, client, &request, sizeof request, ACCEL_REQ_HOLD);
}
static status_t hold_card(world_t *w) {
    RETURN_IF_ERROR(hold(w, w->client, 0));
    return hold(w, w->client, ACCEL_HOLD_RELEASE);
}
static void hold_by_other(world_t *w) {
    MUST(w, rm_client_open(w->rm, NULL, &w->other));
    MUST(w, hold(w, w->other, 0));
}
static status_t hold_held(world_t *w) { return hold(w, w->client, 0); }
static status_t hold_denied(world_t *w) { return hold(w, w->other, 0); }

// It went and came back, which only function-level reset helps: a RESET may fail, the next one
// finds the card as it was.
static void lose_link(world_t *w) {
    accel_req_stats_t request = {0};
    MUST(w, inject(w, w->client, ISA_INJECT_LINK_LOSS, 1));
    (void)ASK(w, request, ACCEL_REQ_STATS);
    (void)usleep(3000);
}

// Work of all kinds is under way, or waits, when the card is reset under it.
static void leave_work(world_t *w) {
    accel_req_submit_t waiting = {.ctx = w->context,
                                  .node = ACCEL_NODE_COPY,
                                  .dst = CARD_VA,
                                  .src = DATA_VA,
                                  .bytes = 64,
                                  .rows = 1,
                                  .n_in = 1,
                                  .n_out = 1,
                                  .in = {{.sync = w->gate, .value = 1000}},
                                  .out = {{.sync = w->sync, .value = 1000}}};
    MUST(w, ask_context(w, w->vm, &w->handle));
    MUST(w, ask_run(w, w->handle, IB_HEAP, ACCEL_SUBMIT_MAY_SUSPEND));
    MUST(w, ASK(w, waiting, ACCEL_REQ_SUBMIT));
}
static void was_lost(world_t *w) {
    SAME(w, ask_wait(w, w->sync, 1000, UINT64_MAX), STATUS_DEVICE_LOST);
}

#define REQ(name) ACCEL_REQ_##name

static const scenario_t rows[] = {
    {"ask what the card is", REQ(INFO), STATUS_OK, NO_CALLS, NULL, info, NULL},
    {"... with a flag", REQ(INFO), STATUS_INVALID, NO_CALLS, NULL, info_bad, NULL},
    {"ask for a node's counters", REQ(STATS), STATUS_OK, NO_CALLS, NULL, stats, NULL},
    {"... of no node", REQ(STATS), STATUS_NOT_FOUND, NO_CALLS, NULL, stats_bad, NULL},
    {"ask for sensors", REQ(TELEMETRY), STATUS_OK, NO_CALLS, NULL, telemetry, NULL},
    {"... with a flag", REQ(TELEMETRY), STATUS_INVALID, NO_CALLS, NULL, telemetry_bad, NULL},
    {"ask for events", REQ(EVENTS), STATUS_OK, TOLERANT, NULL, events, NULL},
    {"... too many", REQ(EVENTS), STATUS_INVALID, NO_CALLS, NULL, events_bad, NULL},
    {"ask for clients", REQ(CLIENTS), STATUS_OK, TOLERANT, NULL, clients, NULL},
    {"... too many", REQ(CLIENTS), STATUS_INVALID, NO_CALLS, NULL, clients_bad, NULL},
    {"reset a node", REQ(RESET), STATUS_OK, TOLERANT, NULL, reset_compute, NULL},
    {"... the one that copies", REQ(RESET), STATUS_OK, TOLERANT, NULL, reset_copy, NULL},
    {"... a level that is none", REQ(RESET), STATUS_INVALID, NO_CALLS, NULL, reset_bad, NULL},
    {"... without the right to", REQ(RESET), STATUS_DENIED, NO_CALLS, open_guest, reset_denied,
     NULL},
    {"reset the card", REQ(RESET), STATUS_OK, TOLERANT | LOSES | POSTED, NULL, reset_card, NULL},
    {"... with work under way", REQ(RESET), STATUS_OK, TOLERANT | LOSES | POSTED, leave_work,
     reset_card, was_lost},
    {"... that came back", REQ(RESET), STATUS_OK, LOSES | POSTED, lose_link, reset_card, NULL},
    {"set the power limit", REQ(POWER), STATUS_OK, NO_CALLS, read_limit, power_lowest, NULL},
    {"... too high", REQ(POWER), STATUS_INVALID, NO_CALLS, NULL, power_too_high, NULL},
    {"... without the right to", REQ(POWER), STATUS_DENIED, NO_CALLS, open_guest, power_denied,
     NULL},
    {"plant a fault", REQ(INJECT), STATUS_OK, NO_CALLS, NULL, inject_ecc, NULL},
    {"... that is none", REQ(INJECT), STATUS_INVALID, NO_CALLS, NULL, inject_bad, NULL},
    {"... without the right to", REQ(INJECT), STATUS_DENIED, NO_CALLS, open_guest, inject_denied,
     NULL},
    {"hold the card", REQ(HOLD), STATUS_OK, TOLERANT, NULL, hold_card, NULL},
    {"... that is held", REQ(HOLD), STATUS_BUSY, NO_CALLS, hold_by_other, hold_held, NULL},
    {"... without the right to", REQ(HOLD), STATUS_DENIED, NO_CALLS, open_guest, hold_denied, NULL},
};

const scenario_list_t scenarios_monitor = {rows, COUNT_OF(rows)};
