// SPDX-License-Identifier: Apache-2.0
#include "tests/smi/fake.h"

#include <string.h>

#include "isa/card.h"
#include "runtime/manage_internal.h"

void fake_init(fake_t *fake) {
    *fake = (fake_t){.n_cards = FAKE_CARDS};
    for (uint32_t i = 0; i < FAKE_CARDS; i++) {
        fake_card_t *card = &fake->cards[i];
        card->info = (accel_req_info_t){
            .profile = "server",
            .card_version = 1u << 16 | 1,
            .features = ISA_FEATURE_SIMULATED | ISA_FEATURE_TELEMETRY | ISA_FEATURE_ECC |
                        ISA_FEATURE_POWER | ISA_FEATURE_INJECT,
            .cores = 8,
            .nodes = 2,
            .clock_khz = 1000000,
            .memory_bytes = UINT64_C(16) << 30,
            .sram_bytes = 32u << 20,
            .serial = UINT64_C(0x123456789abcdef0) + i,
            .firmware = 2u << 24 | 3u << 16 | 4,
            .link = 5u << 8 | 16,
        };
        card->telemetry = (accel_req_telemetry_t){
            .temperature = 45600,
            .temp_slowdown = 95000,
            .temp_critical = 105000,
            .power_mw = 31250,
            .power_limit_mw = 75000,
            .power_limit_min_mw = 30000,
            .power_limit_max_mw = 75000,
            .clock_khz = 1000000,
            .clients = 1,
            .ecc_corrected = 3,
            .energy_mj = 123456,
            .memory_bytes = UINT64_C(16) << 30,
            .memory_free = (UINT64_C(16) << 30) - (UINT64_C(2) << 30),
            .memory_reserved = 4u << 20,
            .uptime_ns = UINT64_C(3600000000000),
        };
        card->step_ns = 100000000;
    }
    fake->cards[0].step_cycles[0] = 42000000; // of 100 million
    fake->cards[0].step_cycles[1] = 7400000;
    fake->cards[0].clients[0] = (accel_client_record_t){.id = 7,
                                                        .pid = 4711,
                                                        .name = "worker, \"one\"",
                                                        .memory_bytes = 1u << 30,
                                                        .host_bytes = 64u << 20,
                                                        .contexts = 3,
                                                        .submissions = 1000};
    fake->cards[0].n_clients = 1;
}

void fake_add_event(fake_card_t *card, uint32_t kind, uint32_t code, uint64_t a) {
    uint64_t number = card->n_events + 1;
    card->events[card->n_events++] = (accel_event_record_t){
        .number = number, .time_ns = number * 1000000000, .kind = kind, .code = code, .a = a};
}

static status_t list_clients(const fake_card_t *card, accel_req_list_t *request) {
    accel_client_record_t *records = (accel_client_record_t *)(uintptr_t)request->records;
    for (uint32_t i = 0; i < card->n_clients && request->count < request->capacity; i++)
        if (card->clients[i].id >= request->first)
            records[request->count++] = card->clients[i];
    if (request->count > 0)
        request->first = records[request->count - 1].id + 1;
    return STATUS_OK;
}

static status_t list_events(const fake_card_t *card, accel_req_list_t *request) {
    accel_event_record_t *records = (accel_event_record_t *)(uintptr_t)request->records;
    for (uint32_t i = 0; i < card->n_events && request->count < request->capacity; i++)
        if (card->events[i].number >= request->first)
            records[request->count++] = card->events[i];
    if (request->count > 0)
        request->first = records[request->count - 1].number + 1;
    return STATUS_OK;
}

static uint32_t valid_of(const fake_card_t *card) {
    uint32_t features = card->info.features;
    if (card->telemetry.card_state == ACCEL_CARD_LOST)
        return 0;
    return ACCEL_VALID_COUNTS |
           ((features & ISA_FEATURE_TELEMETRY) != 0 ? ACCEL_VALID_SENSORS : 0) |
           ((features & ISA_FEATURE_POWER) != 0 ? ACCEL_VALID_POWER : 0) |
           ((features & ISA_FEATURE_ECC) != 0 ? ACCEL_VALID_ECC : 0);
}

static status_t look(fake_card_t *card, accel_req_telemetry_t *request) {
    accel_req_t head = request->head;
    card->telemetry.uptime_ns += card->step_ns;
    for (int i = 0; i < 2; i++)
        card->telemetry.busy_cycles[i] += card->step_cycles[i];
    *request = card->telemetry;
    request->head = head;
    request->valid = valid_of(card);
    return STATUS_OK;
}

static status_t administer(fake_card_t *card, accel_req_t *head) {
    void *request = head;
    if (card->refuse != STATUS_OK)
        return card->refuse;
    if (head->op == ACCEL_REQ_RESET) {
        card->reset = *(accel_req_reset_t *)request;
        card->n_resets++;
    } else if (head->op == ACCEL_REQ_POWER)
        card->telemetry.power_limit_mw = ((accel_req_power_t *)request)->limit_mw;
    else {
        card->inject = *(accel_req_inject_t *)request;
        card->n_injects++;
    }
    return STATUS_OK;
}

static status_t hold(fake_card_t *card, const accel_req_t *head) {
    if (card->refuse != STATUS_OK)
        return card->refuse;
    if (head->flags == ACCEL_HOLD_RELEASE) {
        card->is_held = false;
        return STATUS_OK;
    }
    if (card->is_held || head->flags != 0)
        return STATUS_BUSY;
    card->is_held = true;
    card->n_holds++;
    return STATUS_OK;
}

static status_t fake_request(void *self, void *request, size_t bytes) {
    fake_card_t *card = self;
    const fake_t *fake = card->fake;
    accel_req_t *head = request;
    if (fake->ended)
        return STATUS_DEVICE_LOST;
    if (head->size != bytes || head->version != ACCEL_UAPI_VERSION)
        return STATUS_INVALID;
    if (fake->is_simple && head->op != ACCEL_REQ_INFO)
        return STATUS_UNSUPPORTED;
    switch (head->op) {
    case ACCEL_REQ_INFO: {
        accel_req_t keep = *head;
        *(accel_req_info_t *)request = card->info;
        *head = keep;
        return STATUS_OK;
    }
    case ACCEL_REQ_TELEMETRY:
        return look(card, request);
    case ACCEL_REQ_CLIENTS:
        return list_clients(card, request);
    case ACCEL_REQ_EVENTS:
        return list_events(card, request);
    case ACCEL_REQ_RESET:
    case ACCEL_REQ_POWER:
    case ACCEL_REQ_INJECT:
        return administer(card, head);
    case ACCEL_REQ_HOLD:
        return hold(card, head);
    default:
        return STATUS_DENIED; // a manager has no business with it
    }
}

static const char *fake_lost(void *self) {
    return ((fake_card_t *)self)->fake->ended ? "the daemon has ended" : NULL;
}

static void fake_close(void *self) { ((fake_card_t *)self)->fake->n_open--; }

static const rt_client_ops_t fake_ops = {
    .version = RT_CLIENT_VERSION,
    .kind = "daemon",
    .request = fake_request,
    .lost = fake_lost,
    .close = fake_close,
};

static accel_status_t fake_connect(void *user, uint32_t card, rt_client_t *out_client,
                                   accel_error_t *error) {
    fake_t *fake = user;
    if (card >= fake->n_cards) {
        strcpy(error->text, "no daemon at /somewhere; start accel-cardd");
        return error->status = ACCEL_NOT_FOUND;
    }
    fake->cards[card].fake = fake;
    fake->n_open++;
    *out_client = (rt_client_t){
        .ops = &fake_ops, .self = &fake->cards[card], .card = card, .n_cards = fake->n_cards};
    return ACCEL_OK;
}

accel_status_t fake_open(void *fake, const char *socket, accel_manager_t **out_manager,
                         accel_error_t *error) {
    accel_card_info_t info;
    accel_status_t status =
        rt_manager_create(fake_connect, fake, socket != NULL ? socket : "", out_manager, error);
    if (status == ACCEL_OK)
        status = accel_card_info(*out_manager, 0, &info, error);
    if (status != ACCEL_OK) {
        accel_manager_close(*out_manager);
        *out_manager = NULL;
    }
    return status;
}
