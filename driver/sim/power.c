// SPDX-License-Identifier: Apache-2.0
// Power states and sensors. The model (docs/card.md has it too): a node that is busy for a share s
// of the time draws s of its figure on top of the card's idle draw; s is a low pass of 50 ms.
// TEMPERATURE is a low pass of 8 s of ambient + rise * draw. Figures move when somebody reads them,
// by the host's clock. A lowered clock is told, but the simulator works on as fast as it can.
#include <math.h>

#include "driver/sim/card.h"

#define IDLE_MW       6000.0
#define IDLE_CORE_MW  250.0
#define SLEEP_MW      500.0
#define CORE_MW       1500.0 // each, while COMPUTE is busy
#define COPY_MW       3000.0
#define AMBIENT_C     35.0
#define RISE_C        36.0 // at the greatest draw
#define SLOWDOWN_C    90.0
#define CRITICAL_C    100.0
#define HOT_C         (SLOWDOWN_C + 3.0) // INJECT OVERHEAT
#define SHARE_S       0.05
#define TEMPERATURE_S 8.0
#define LEAST_CLOCK   0.25
#define HOT_CLOCK     0.5

static double idle_mw(const sim_card_t *card) { return IDLE_MW + IDLE_CORE_MW * card->cores; }

static double node_mw(const sim_card_t *card, uint32_t node) {
    return node == ISA_NODE_COMPUTE ? CORE_MW * card->cores : COPY_MW;
}

static uint32_t limit_max(const sim_card_t *card) {
    double sum = idle_mw(card);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        sum += node_mw(card, i);
    return (uint32_t)sum;
}

static uint32_t limit_min(const sim_card_t *card) {
    double idle = idle_mw(card);
    return (uint32_t)(idle + LEAST_CLOCK * ((double)limit_max(card) - idle));
}

void sim_power_init(sim_card_t *card) {
    card->power = (sim_power_t){
        .temperature = AMBIENT_C + RISE_C * idle_mw(card) / limit_max(card),
        .draw_mw = idle_mw(card),
        .clock = 1.0,
        .limit_mw = limit_max(card),
    };
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        card->power.busy_ns[i] = atomic_load(&card->nodes[i].busy_ns);
}

static bool is_asleep(sim_card_t *card) {
    bool busy = false;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        busy |= atomic_load(&card->nodes[i].busy);
    return atomic_load(&card->sleeping) && !busy;
}

// --- The model ---

static double approach(double from, double to, double seconds, double constant) {
    return to + (from - to) * exp(-seconds / constant);
}

// Nanoseconds that the node was busy since it was last asked for.
static double busy_of(sim_card_t *card, uint32_t node, uint64_t now) {
    uint64_t since = atomic_load(&card->nodes[node].busy_since);
    uint64_t total = atomic_load(&card->nodes[node].busy_ns);
    uint64_t running = since != 0 && since < now ? now - since : 0;
    uint64_t before = card->power.busy_ns[node];
    card->power.busy_ns[node] = total + running > before ? total + running : before;
    return (double)(card->power.busy_ns[node] - before);
}

static void draw_update(sim_card_t *card, uint64_t now, double seconds) {
    sim_power_t *power = &card->power;
    double idle = idle_mw(card), load = 0;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        double share = fmin(busy_of(card, i, now) / (seconds * 1e9), 1.0);
        power->share[i] = approach(power->share[i], share, seconds, SHARE_S);
        load += power->share[i] * node_mw(card, i);
    }
    power->throttle = 0;
    power->clock = 1.0;
    if (is_asleep(card)) {
        power->throttle = ISA_THROTTLE_SLEEP;
        power->clock = 0;
        power->draw_mw = SLEEP_MW;
        return;
    }
    if (idle + load > power->limit_mw) {
        power->throttle |= ISA_THROTTLE_POWER_CAP;
        power->clock = fmax((power->limit_mw - idle) / load, LEAST_CLOCK);
    }
    if (power->temperature >= SLOWDOWN_C) {
        power->throttle |= ISA_THROTTLE_THERMAL;
        power->clock = fmin(power->clock, HOT_CLOCK);
    }
    power->draw_mw = idle + load * power->clock;
}

static bool temperature_update(sim_card_t *card, uint64_t now, double seconds) {
    sim_power_t *power = &card->power;
    double target = AMBIENT_C + RISE_C * power->draw_mw / limit_max(card);
    if (power->hot_until_ns > now)
        power->temperature = HOT_C;
    else if (power->hot_until_ns != 0)
        power->hot_until_ns = 0, power->temperature = target;
    else
        power->temperature = approach(power->temperature, target, seconds, TEMPERATURE_S);
    bool hot = power->temperature >= SLOWDOWN_C, tell = hot && !power->hot_told;
    power->hot_told = hot;
    return tell;
}

bool sim_power_update(sim_card_t *card, uint64_t now) {
    sim_power_t *power = &card->power;
    if (power->at_ns == 0)
        power->at_ns = now;
    double seconds = now > power->at_ns ? (double)(now - power->at_ns) * 1e-9 : 0;
    power->energy_mj += power->draw_mw * seconds;
    bool tell = temperature_update(card, now, seconds);
    if (seconds > 0) {
        draw_update(card, now, seconds);
        power->at_ns = now;
    } else if (is_asleep(card) != (power->clock == 0) || tell) {
        draw_update(card, now, 1e-9);
    }
    return tell;
}

// --- Registers ---

static uint32_t millidegrees(double celsius) { return (uint32_t)(int32_t)(celsius * 1000.0); }

static uint32_t sensor_read(sim_card_t *card, uint32_t offset) {
    const sim_power_t *power = &card->power;
    switch (offset) {
    case ISA_REG_TEMPERATURE:
        return millidegrees(power->temperature);
    case ISA_REG_TEMP_SLOWDOWN:
        return millidegrees(SLOWDOWN_C);
    case ISA_REG_TEMP_CRITICAL:
        return millidegrees(CRITICAL_C);
    case ISA_REG_POWER_DRAW:
        return (uint32_t)power->draw_mw;
    case ISA_REG_POWER_LIMIT:
        return power->limit_mw;
    case ISA_REG_POWER_LIMIT_MIN:
        return limit_min(card);
    case ISA_REG_POWER_LIMIT_MAX:
        return limit_max(card);
    case ISA_REG_CLOCK_NOW_KHZ:
        return (uint32_t)(power->clock * SIM_CLOCK_KHZ);
    case ISA_REG_THROTTLE:
        return power->throttle;
    case ISA_REG_ENERGY_LO:
        return sim_regs_latch(card, (uint64_t)power->energy_mj);
    default:
        return card->latched_hi; // ENERGY_HI
    }
}

bool sim_power_read(sim_card_t *card, uint32_t offset, uint64_t now, uint32_t *out_value) {
    (void)now;
    if (offset == ISA_REG_POWER) {
        *out_value = card->power_wanted;
    } else if (offset == ISA_REG_POWER_STATE) {
        *out_value = is_asleep(card) ? ISA_POWER_SLEEP : ISA_POWER_ACTIVE;
    } else if (offset >= ISA_REG_TEMPERATURE && offset <= ISA_REG_ENERGY_HI) {
        *out_value = sensor_read(card, offset);
    } else {
        return false;
    }
    return true;
}

void sim_power_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    if (offset == ISA_REG_POWER && value <= ISA_POWER_SLEEP) {
        card->power_wanted = value;
        sim_pci_update(card);
    }
    if (offset == ISA_REG_POWER_LIMIT && value >= limit_min(card) && value <= limit_max(card))
        card->power.limit_mw = value;
}

void sim_power_wake(sim_card_t *card) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        sim_node_service(&card->nodes[i]);
}
