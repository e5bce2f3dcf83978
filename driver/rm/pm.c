// SPDX-License-Identifier: Apache-2.0
// Power and heat: the card sleeps when it has nothing to do, and gets nothing to do when too hot.
#include "driver/rm/rm_internal.h"

// --- Sleep ---

// The power mutex keeps the order of what is said to the card and what is noted here.
static void set_asleep(rm_card_t *card, bool asleep) {
    STORE_RELEASE(&card->asleep, asleep ? 1u : 0u);
    rm_event(card, asleep ? ACCEL_EVENT_SLEPT : ACCEL_EVENT_WOKE, 0, NULL, 0, 0, 0);
}

void rm_pm_wake(rm_card_t *card) {
    if (LIKELY(LOAD_ACQUIRE(&card->asleep) == 0))
        return;
    rm_lock(card, &card->power);
    if (card->asleep != 0 && rm_enter(card)) {
        rm_spin(card);
        set_asleep(card, false);
        rm_unspin(card);
        hw_power_set(card->hw, ISA_POWER_ACTIVE);
        rm_leave(card);
    }
    rm_unlock(card, &card->power);
}

// Under the power mutex. Work that comes from now on finds the card asleep, and wakes it.
static bool fall_asleep(rm_card_t *card, uint64_t now) {
    rm_spin(card);
    bool idle =
        card->n_live == 0 && card->asleep == 0 && now - card->active_ns >= card->options.idle_ns;
    if (idle)
        set_asleep(card, true);
    rm_unspin(card);
    return idle;
}

void rm_pm_idle(rm_card_t *card) {
    uint64_t now = rm_now(card);
    if ((card->features & ISA_FEATURE_POWER) == 0)
        return;
    rm_lock(card, &card->power);
    if (rm_enter(card)) {
        if (fall_asleep(card, now))
            hw_power_set(card->hw, ISA_POWER_SLEEP);
        rm_leave(card);
    }
    rm_unlock(card, &card->power);
}

void rm_pm_set(rm_card_t *card, uint32_t state) {
    uint32_t asleep = state == ISA_POWER_SLEEP;
    if ((card->features & ISA_FEATURE_POWER) == 0)
        return;
    rm_lock(card, &card->power);
    rm_spin(card);
    if (card->asleep != asleep)
        set_asleep(card, asleep != 0);
    rm_unspin(card);
    hw_power_set(card->hw, state);
    rm_unlock(card, &card->power);
}

// --- Heat ---

// Under the spin.
static void note_heat(rm_card_t *card, const hw_telemetry_t *now) {
    bool hot = now->temperature >= now->temp_critical;
    bool cool = now->temperature < now->temp_slowdown;
    if (hot && !card->overheated)
        rm_event(card, ACCEL_EVENT_OVERHEAT, 0, NULL, 0, (uint64_t)(int64_t)now->temperature, 0);
    if (cool && card->overheated)
        rm_event(card, ACCEL_EVENT_COOLED, 0, NULL, 0, (uint64_t)(int64_t)now->temperature, 0);
    card->hot = hot || (card->hot && !cool);
    card->overheated = hot || (card->overheated && !cool);
}

// What is in flight comes back, and waits with the rest.
void rm_pm_heat(rm_card_t *card) {
    hw_telemetry_t now;
    if ((card->features & ISA_FEATURE_TELEMETRY) == 0 || !rm_enter(card))
        return;
    hw_telemetry(card->hw, &now);
    rm_leave(card);
    rm_spin(card);
    bool was_hot = card->hot;
    note_heat(card, &now);
    bool hot = card->hot;
    rm_unspin(card);
    if (hot && !was_hot)
        (void)rm_sched_stop(card, ISA_NODE_COMPUTE);
    if (was_hot && !hot)
        rm_sched_nudge(card);
}

// --- Telemetry ---

static uint32_t valid_of(const rm_card_t *card) {
    uint32_t valid = ACCEL_VALID_COUNTS;
    if ((card->features & ISA_FEATURE_TELEMETRY) != 0)
        valid |= ACCEL_VALID_SENSORS;
    if ((card->features & ISA_FEATURE_POWER) != 0)
        valid |= ACCEL_VALID_POWER;
    if ((card->features & ISA_FEATURE_ECC) != 0)
        valid |= ACCEL_VALID_ECC;
    return valid;
}

static void read_sensors(rm_card_t *card, accel_req_telemetry_t *request) {
    hw_telemetry_t now;
    hw_telemetry(card->hw, &now);
    request->temperature = now.temperature;
    request->temp_slowdown = now.temp_slowdown;
    request->temp_critical = now.temp_critical;
    request->power_mw = now.power_mw;
    request->power_limit_mw = now.power_limit_mw;
    request->power_limit_min_mw = now.power_limit_min_mw;
    request->power_limit_max_mw = now.power_limit_max_mw;
    request->clock_khz = now.clock_khz;
    request->throttle = now.throttle;
    request->power_state = now.power_state;
    request->ecc_corrected = now.ecc_corrected;
    request->ecc_uncorrected = now.ecc_uncorrected;
    request->errors = now.errors;
    request->faults_dropped = now.faults_dropped;
    request->energy_mj = now.energy_mj;
}

static void read_nodes(rm_card_t *card, accel_req_telemetry_t *request) {
    hw_node_info_t node;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        hw_node_query(card->hw, i, &node);
        request->busy_cycles[i] = node.cycles;
        request->dram_bytes[i] = node.dram_bytes;
    }
}

// False: it is not there; what was read is nothing.
static bool read_card(rm_card_t *card, accel_req_telemetry_t *request) {
    if (LOAD_ACQUIRE(&card->absent) != 0 || !rm_enter(card))
        return false;
    read_sensors(card, request);
    read_nodes(card, request);
    rm_leave(card);
    request->valid = valid_of(card);
    return LOAD_ACQUIRE(&card->gone) == 0;
}

// Under the spin.
static uint32_t card_state(const rm_card_t *card) {
    if (card->recovering)
        return ACCEL_CARD_RECOVERING;
    if (card->absent != 0)
        return ACCEL_CARD_LOST;
    return card->hot ? ACCEL_CARD_HOT : ACCEL_CARD_READY;
}

static void read_memory(rm_card_t *card, accel_req_telemetry_t *request) {
    rm_lock(card, &card->mutex);
    request->memory_free = card->free_bytes;
    request->retired_pages = card->n_retired;
    rm_unlock(card, &card->mutex);
    request->memory_bytes = card->memory_bytes;
    request->memory_reserved = (1 + (uint64_t)request->retired_pages) * ISA_PAGE_BYTES;
}

static void clear(accel_req_telemetry_t *request) {
    *request = (accel_req_telemetry_t){.head = request->head};
}

// The state and what was read are of one time: a card that goes in between is asked about again.
status_t rm_pm_telemetry(rm_card_t *card, accel_req_telemetry_t *request) {
    rm_watch_check(card);
    clear(request);
    if (!read_card(card, request)) {
        clear(request);
        rm_watch_check(card);
    }
    read_memory(card, request);
    request->uptime_ns = rm_now(card) - card->started_ns;
    rm_spin(card);
    request->card_state = card_state(card);
    request->clients = card->n_clients;
    request->card_resets = card->card_resets;
    request->lost_interrupts = card->lost_interrupts;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        request->node_resets += card->nodes[i].resets;
    rm_unspin(card);
    return STATUS_OK;
}

status_t rm_pm_power(rm_card_t *card, const accel_req_power_t *request) {
    if (!rm_enter(card))
        return STATUS_BUSY;
    status_t status = hw_power_limit_set(card->hw, request->limit_mw);
    rm_leave(card);
    return status;
}
