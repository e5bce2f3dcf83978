// SPDX-License-Identifier: Apache-2.0
// Management: requests that look, and those of administrators.
#include "runtime/manage_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"

// --- Life ---

static void disconnect(accel_manager_t *manager) {
    if (manager->client.ops != NULL && !manager->is_borrowed)
        manager->client.ops->close(manager->client.self);
    manager->client = (rt_client_t){0};
}

static accel_status_t connect_to(accel_manager_t *manager, uint32_t card, accel_error_t *error) {
    if (manager->client.ops != NULL && manager->card == card)
        return ACCEL_OK;
    if (manager->n_cards != 0 && card >= manager->n_cards)
        return rt_fail(error, ACCEL_NOT_FOUND, "there is no card %u; there are %u, from 0 on", card,
                       manager->n_cards);
    disconnect(manager);
    RT_TRY(manager->connect(manager->user, card, &manager->client, error));
    manager->card = card;
    manager->n_cards = manager->client.n_cards;
    return ACCEL_OK;
}

accel_status_t rt_manager_create(rt_manager_connect_t connect, void *user, const char *where,
                                 accel_manager_t **out_manager, accel_error_t *error) {
    *out_manager = NULL;
    accel_manager_t *manager = calloc(1, sizeof *manager);
    if (manager != NULL)
        manager->where = calloc(1, strlen(where) + 1);
    if (manager == NULL || manager->where == NULL) {
        free(manager);
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    }
    memcpy(manager->where, where, strlen(where));
    manager->connect = connect;
    manager->user = user;
    *out_manager = manager;
    return ACCEL_OK;
}

#ifdef ACCEL_CLIENT_DAEMON
static accel_status_t connect_daemon(void *user, uint32_t card, rt_client_t *out_client,
                                     accel_error_t *error) {
    const accel_manager_t *manager = user;
    rt_daemon_options_t options = {
        .socket = manager->where[0] != 0 ? manager->where : NULL, .card = card, .monitor = true};
    return rt_daemon_open(&options, out_client, error);
}
#endif

accel_status_t accel_manager_open(const char *socket, accel_manager_t **out_manager,
                                  accel_error_t *error) {
    *out_manager = NULL;
#ifdef ACCEL_CLIENT_DAEMON
    accel_manager_t *manager;
    RT_TRY(rt_manager_create(connect_daemon, NULL, socket != NULL ? socket : "", &manager, error));
    manager->user = manager;
    accel_status_t result = connect_to(manager, 0, error);
    if (result != ACCEL_OK) {
        accel_manager_close(manager);
        return result;
    }
    *out_manager = manager;
    return ACCEL_OK;
#else
    (void)socket;
    return rt_fail(error, ACCEL_NOT_FOUND, "there is no driver that could be asked here");
#endif
}

static accel_status_t connect_device(void *user, uint32_t card, rt_client_t *out_client,
                                     accel_error_t *error) {
    const accel_device_t *device = user;
    (void)card, (void)error;
    *out_client = device->client;
    out_client->n_cards = 1;
    return ACCEL_OK;
}

accel_status_t accel_manager_attach(accel_device_t *device, accel_manager_t **out_manager,
                                    accel_error_t *error) {
    RT_TRY(rt_manager_create(connect_device, device, "", out_manager, error));
    (*out_manager)->is_borrowed = true;
    return connect_to(*out_manager, 0, error);
}

void accel_manager_close(accel_manager_t *manager) {
    if (manager == NULL)
        return;
    disconnect(manager);
    free(manager->where);
    free(manager);
}

uint32_t accel_manager_n_cards(const accel_manager_t *manager) { return manager->n_cards; }
const char *accel_manager_kind(const accel_manager_t *manager) {
    return manager->client.ops != NULL ? manager->client.ops->kind : "daemon";
}
const char *accel_manager_where(const accel_manager_t *manager) {
    return manager->client.where != NULL ? manager->client.where : manager->where;
}
const char *accel_manager_version(void) { return ACCEL_VERSION; }
uint32_t accel_manager_request_version(void) { return ACCEL_UAPI_VERSION; }

// --- Requests ---

// Of a card that somebody holds: who.
static accel_status_t held(accel_manager_t *manager, uint32_t card, accel_error_t *error) {
    accel_process_t all[64];
    uint32_t n_all = 0;
    if (accel_card_processes(manager, card, all, COUNT_OF(all), &n_all, NULL) == ACCEL_OK)
        for (uint32_t i = 0; i < n_all && i < COUNT_OF(all); i++)
            if (all[i].holds)
                return rt_fail(error, ACCEL_BUSY, "card %u: process %" PRIu64 " (%s) holds it",
                               card, all[i].pid, all[i].name);
    return rt_fail(error, ACCEL_BUSY, "card %u: it is held", card);
}

static accel_status_t failed(accel_manager_t *manager, uint32_t card, status_t status,
                             const char *what, accel_error_t *error) {
    const rt_client_t *client = &manager->client;
    const char *why = status == STATUS_DEVICE_LOST && client->ops->lost != NULL
                          ? client->ops->lost(client->self)
                          : NULL;
    if (why != NULL) {
        accel_status_t result =
            rt_fail(error, ACCEL_DEVICE_LOST, "card %u: %s: %s", card, what, why);
        if (error != NULL)
            error->lost = ACCEL_LOST_BY_DRIVER;
        disconnect(manager); // the next call looks for a driver again
        return result;
    }
    switch (status) {
    case STATUS_DENIED:
        return rt_fail(error, ACCEL_DENIED,
                       "card %u: %s: not permitted; root may, and the user whom the driver runs as",
                       card, what);
    case STATUS_UNSUPPORTED:
        return rt_fail(error, ACCEL_UNSUPPORTED, "card %u: %s: this card or its driver cannot",
                       card, what);
    default:
        return rt_fail(error, (accel_status_t)status, "card %u: %s: %s", card, what,
                       status_text(status));
    }
}

accel_status_t rt_manager_ask(accel_manager_t *manager, uint32_t card, void *request, size_t bytes,
                              uint16_t op, const char *what, accel_error_t *error) {
    RT_TRY(connect_to(manager, card, error));
    accel_req_t *head = rt_head(request, bytes, op, 0);
    status_t status = manager->client.ops->request(manager->client.self, head, bytes);
    return status == STATUS_OK ? ACCEL_OK : failed(manager, card, status, what, error);
}

// --- Identity ---

// A UUID of version 8 whose free bits are the serial number.
static void make_uuid(uint64_t serial, char *out_uuid, size_t bytes) {
    (void)snprintf(out_uuid, bytes, "ACC-%08" PRIx64 "-%04" PRIx64 "-8acc-8000-00000000%04" PRIx64,
                   serial >> 32, serial >> 16 & 0xffff, serial & 0xffff);
}

static void convert_info(const accel_req_info_t *from, accel_card_info_t *out_info) {
    *out_info = (accel_card_info_t){
        .serial = from->serial,
        .cores = from->cores,
        .nodes = from->nodes,
        .clock_khz = from->clock_khz,
        .link_generation = from->link >> 8,
        .link_lanes = from->link & 0xff,
        .memory_bytes = from->memory_bytes,
        .sram_bytes = from->sram_bytes,
        .lm_bytes = from->lm_bytes,
        .simulated = (from->features & ISA_FEATURE_SIMULATED) != 0,
        .timing = (from->features & ISA_FEATURE_TIMING) != 0,
        .has_sensors = (from->features & ISA_FEATURE_TELEMETRY) != 0,
        .has_ecc = (from->features & ISA_FEATURE_ECC) != 0,
        .has_power = (from->features & ISA_FEATURE_POWER) != 0,
        .can_inject = (from->features & ISA_FEATURE_INJECT) != 0,
    };
    memcpy(out_info->profile, from->profile, sizeof from->profile);
    if (from->serial != 0)
        make_uuid(from->serial, out_info->uuid, sizeof out_info->uuid);
    if (from->firmware != 0)
        (void)snprintf(out_info->firmware, sizeof out_info->firmware, "%u.%u.%u",
                       from->firmware >> 24, from->firmware >> 16 & 0xff, from->firmware & 0xffff);
    (void)snprintf(out_info->card_version, sizeof out_info->card_version, "%u.%u",
                   from->card_version >> 16, from->card_version & 0xffff);
}

accel_status_t accel_card_info(accel_manager_t *manager, uint32_t card, accel_card_info_t *out_info,
                               accel_error_t *error) {
    accel_req_info_t info = {0};
    RT_TRY(rt_manager_ask(manager, card, &info, sizeof info, ACCEL_REQ_INFO, "asking what it is",
                          error));
    convert_info(&info, out_info);
    out_info->index = card;
    if (strcmp(accel_manager_kind(manager), "inproc") == 0)
        (void)snprintf(out_info->location, sizeof out_info->location, "inproc");
    else
        (void)snprintf(out_info->location, sizeof out_info->location, "%s:%u",
                       accel_manager_kind(manager), card);
    return ACCEL_OK;
}

// --- Telemetry ---

_Static_assert((int)ACCEL_STATE_LOST == (int)ACCEL_CARD_LOST &&
                   (int)ACCEL_STATE_HOT == (int)ACCEL_CARD_HOT,
               "card states");
_Static_assert(ACCEL_THROTTLED_THERMAL == ISA_THROTTLE_THERMAL &&
                   ACCEL_THROTTLED_POWER == ISA_THROTTLE_POWER_CAP &&
                   ACCEL_THROTTLED_SLEEP == ISA_THROTTLE_SLEEP,
               "throttle bits");

accel_status_t accel_card_telemetry(accel_manager_t *manager, uint32_t card,
                                    accel_card_telemetry_t *out_telemetry, accel_error_t *error) {
    accel_req_telemetry_t from = {0};
    RT_TRY(rt_manager_ask(manager, card, &from, sizeof from, ACCEL_REQ_TELEMETRY,
                          "reading its sensors", error));
    *out_telemetry = (accel_card_telemetry_t){
        .state = (accel_card_state_t)from.card_state,
        .has_sensors = (from.valid & ACCEL_VALID_SENSORS) != 0,
        .has_power = (from.valid & ACCEL_VALID_POWER) != 0,
        .has_ecc = (from.valid & ACCEL_VALID_ECC) != 0,
        .has_counts = (from.valid & ACCEL_VALID_COUNTS) != 0,
        .asleep = from.power_state == ISA_POWER_SLEEP,
        .temperature_mc = from.temperature,
        .slowdown_mc = from.temp_slowdown,
        .critical_mc = from.temp_critical,
        .power_mw = from.power_mw,
        .power_limit_mw = from.power_limit_mw,
        .power_limit_min_mw = from.power_limit_min_mw,
        .power_limit_max_mw = from.power_limit_max_mw,
        .clock_khz = from.clock_khz,
        .throttled = from.throttle,
        .clients = from.clients,
        .ecc_corrected = from.ecc_corrected,
        .ecc_uncorrected = from.ecc_uncorrected,
        .errors = from.errors,
        .faults_dropped = from.faults_dropped,
        .retired_pages = from.retired_pages,
        .node_resets = from.node_resets,
        .card_resets = from.card_resets,
        .lost_interrupts = from.lost_interrupts,
        .uptime_ns = from.uptime_ns,
        .energy_mj = from.energy_mj,
        .memory_bytes = from.memory_bytes,
        .memory_free = from.memory_free,
        .memory_reserved = from.memory_reserved,
    };
    for (int i = 0; i < 2; i++) {
        out_telemetry->busy_cycles[i] = from.busy_cycles[i];
        out_telemetry->dram_bytes[i] = from.dram_bytes[i];
    }
    return ACCEL_OK;
}

// Modelled cycles of a simulated card have little to do with the host's time: never above all.
static uint32_t permille(uint64_t before, uint64_t after, uint64_t ns, uint32_t clock_khz) {
    double available = (double)ns * (double)clock_khz / 1e6;
    double part = after > before && available > 0 ? (double)(after - before) * 1000 / available : 0;
    return part >= 1000 ? 1000 : (uint32_t)(part + 0.5);
}

bool accel_card_use(const accel_card_info_t *info, const accel_card_telemetry_t *first,
                    const accel_card_telemetry_t *second, accel_card_use_t *out_use) {
    *out_use = (accel_card_use_t){0};
    if (second->uptime_ns <= first->uptime_ns || !first->has_counts || !second->has_counts)
        return false;
    uint64_t ns = second->uptime_ns - first->uptime_ns;
    uint64_t before = first->dram_bytes[0] + first->dram_bytes[1];
    uint64_t after = second->dram_bytes[0] + second->dram_bytes[1];
    *out_use = (accel_card_use_t){
        .interval_ns = ns,
        .compute_permille =
            permille(first->busy_cycles[0], second->busy_cycles[0], ns, info->clock_khz),
        .copy_permille =
            permille(first->busy_cycles[1], second->busy_cycles[1], ns, info->clock_khz),
        .dram_bytes_per_s =
            after > before ? (uint64_t)((double)(after - before) * 1e9 / (double)ns) : 0,
    };
    return true;
}

accel_health_t accel_card_health(const accel_card_telemetry_t *telemetry, const char **out_reason) {
    const struct {
        bool holds;
        accel_health_t health;
        const char *reason;
    } rules[] = {
        {telemetry->state == ACCEL_STATE_LOST, ACCEL_HEALTH_CRITICAL,
         "does not answer; a reset may bring it back"},
        {telemetry->state == ACCEL_STATE_HOT, ACCEL_HEALTH_CRITICAL,
         "too hot to work; goes on by itself"},
        {telemetry->state == ACCEL_STATE_RECOVERING, ACCEL_HEALTH_WARNING, "a reset is under way"},
        {telemetry->ecc_uncorrected != 0, ACCEL_HEALTH_WARNING,
         "memory errors that could not be corrected"},
        {telemetry->retired_pages != 0, ACCEL_HEALTH_WARNING, "memory pages are out of use"},
        {(telemetry->throttled & ACCEL_THROTTLED_THERMAL) != 0, ACCEL_HEALTH_WARNING,
         "hot: the clock is lowered"},
    };
    *out_reason = "";
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        if (rules[i].holds) {
            *out_reason = rules[i].reason;
            return rules[i].health;
        }
    }
    return ACCEL_HEALTH_OK;
}

// --- Administration ---

accel_status_t accel_card_set_power_limit(accel_manager_t *manager, uint32_t card,
                                          uint32_t limit_mw, accel_error_t *error) {
    accel_card_telemetry_t now;
    accel_req_power_t request = {.limit_mw = limit_mw};
    if (accel_card_telemetry(manager, card, &now, NULL) == ACCEL_OK &&
        now.power_limit_max_mw != 0 &&
        (limit_mw < now.power_limit_min_mw || limit_mw > now.power_limit_max_mw))
        return rt_fail(error, ACCEL_INVALID,
                       "card %u: a power limit of %.2f W is outside of %.2f to %.2f W", card,
                       limit_mw / 1e3, now.power_limit_min_mw / 1e3, now.power_limit_max_mw / 1e3);
    return rt_manager_ask(manager, card, &request, sizeof request, ACCEL_REQ_POWER,
                          "setting its power limit", error);
}

accel_status_t accel_card_reset_node(accel_manager_t *manager, uint32_t card, uint32_t node,
                                     accel_error_t *error) {
    accel_req_reset_t request = {.level = ACCEL_RESET_NODE, .node = node};
    return rt_manager_ask(manager, card, &request, sizeof request, ACCEL_REQ_RESET,
                          "resetting a node", error);
}

accel_status_t accel_card_reset(accel_manager_t *manager, uint32_t card, accel_error_t *error) {
    accel_req_reset_t request = {.level = ACCEL_RESET_CARD};
    accel_status_t result = rt_manager_ask(manager, card, &request, sizeof request, ACCEL_REQ_RESET,
                                           "resetting it", error);
    if (result == ACCEL_DEVICE_LOST && manager->client.ops != NULL) // its driver is there
        return rt_fail(error, result,
                       "card %u: resetting it: it does not answer, not even to a reset of its "
                       "function; reset it again when it is back (a loss planted without an end "
                       "ends with its driver)",
                       card);
    return result;
}

// With a client of its own, since a manager's is one card's at a time.
struct accel_hold {
    rt_client_t client;
    bool is_borrowed;
};

static status_t ask_hold(const accel_hold_t *hold, uint32_t flags) {
    accel_req_hold_t request = {0};
    accel_req_t *head = rt_head(&request, sizeof request, ACCEL_REQ_HOLD, flags);
    return hold->client.ops->request(hold->client.self, head, sizeof request);
}

static void hold_free(accel_hold_t *hold) {
    if (!hold->is_borrowed)
        hold->client.ops->close(hold->client.self);
    free(hold);
}

accel_status_t accel_card_hold(accel_manager_t *manager, uint32_t card, accel_hold_t **out_hold,
                               accel_error_t *error) {
    *out_hold = NULL;
    RT_TRY(connect_to(manager, card, error));
    accel_hold_t *hold = calloc(1, sizeof *hold);
    if (hold == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    hold->is_borrowed = manager->is_borrowed;
    accel_status_t result = manager->connect(manager->user, card, &hold->client, error);
    if (result != ACCEL_OK) {
        free(hold);
        return result;
    }
    status_t status = ask_hold(hold, 0);
    if (status == STATUS_OK) {
        *out_hold = hold;
        return ACCEL_OK;
    }
    hold_free(hold);
    return status == STATUS_BUSY ? held(manager, card, error)
                                 : failed(manager, card, status, "holding it", error);
}

void accel_hold_release(accel_hold_t *hold) {
    if (hold == NULL)
        return;
    (void)ask_hold(hold, ACCEL_HOLD_RELEASE); // whose driver ended holds nothing
    hold_free(hold);
}

static const struct {
    const char *kind, *help;
    uint32_t number;
} injects[] = {
#define ISA_INJECT(name, number, meaning) {INJECT_##name, meaning, number},
#define INJECT_ECC_SINGLE                 "ecc-single"
#define INJECT_ECC_DOUBLE                 "ecc-double"
#define INJECT_HANG                       "hang"
#define INJECT_IRQ_LOST                   "irq-lost"
#define INJECT_COMP_CORRUPT               "comp-corrupt"
#define INJECT_DMA_ERROR                  "dma-error"
#define INJECT_LINK_LOSS                  "link-loss"
#define INJECT_OVERHEAT                   "overheat"
#define INJECT_REMOVE                     "remove"
#include "isa/card.def"
};

const char *accel_inject_kind(uint32_t index) {
    return index < COUNT_OF(injects) ? injects[index].kind : NULL;
}
const char *accel_inject_help(uint32_t index) {
    return index < COUNT_OF(injects) ? injects[index].help : NULL;
}

accel_status_t accel_card_inject(accel_manager_t *manager, uint32_t card, const char *kind,
                                 uint64_t argument, accel_error_t *error) {
    for (uint32_t i = 0; i < COUNT_OF(injects); i++) {
        if (strcmp(injects[i].kind, kind) != 0)
            continue;
        accel_req_inject_t request = {.what = injects[i].number, .argument = argument};
        accel_status_t result = rt_manager_ask(manager, card, &request, sizeof request,
                                               ACCEL_REQ_INJECT, "planting a fault", error);
        if (result == ACCEL_INVALID)
            return rt_fail(error, result,
                           "card %u: %s does not take %" PRIu64 "; its argument is %s", card, kind,
                           argument, injects[i].help);
        return result;
    }
    return rt_fail(error, ACCEL_NOT_FOUND, "there is no fault '%s' that could be planted", kind);
}
