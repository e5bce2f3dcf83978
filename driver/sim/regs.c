// SPDX-License-Identifier: Apache-2.0
// BAR accesses, and the registers of the card.
#include <string.h>

#include "driver/sim/card.h"

static uint32_t lo(uint64_t value) { return (uint32_t)value; }
static uint32_t hi(uint64_t value) { return (uint32_t)(value >> 32); }

void sim_regs_set_lo(uint64_t *value, uint32_t word) { *value = (*value >> 32 << 32) | word; }
void sim_regs_set_hi(uint64_t *value, uint32_t word) { *value = (uint64_t)word << 32 | lo(*value); }

uint32_t sim_regs_latch(sim_card_t *card, uint64_t value) {
    card->latched_hi = hi(value);
    return lo(value);
}

// --- Reads ---

static uint64_t save_core_bytes(const sim_card_t *card) {
    return ISA_SAVE_RECORD_BYTES + (uint64_t)card->profile->lm_bytes;
}

static uint64_t save_bytes(const sim_card_t *card) {
    return ISA_SAVE_HEADER_BYTES + card->cores * save_core_bytes(card);
}

static uint32_t profile_name_word(const sim_card_t *card, uint32_t offset) {
    char name[16] = {0};
    uint32_t word;
    strncpy(name, card->profile->name, sizeof name - 1);
    memcpy(&word, name + (offset - ISA_REG_PROFILE_NAME0), sizeof word);
    return word;
}

static uint32_t features(const sim_card_t *card) {
    return (uint32_t)ISA_FEATURE_SIMULATED | ISA_FEATURE_PREEMPT | ISA_FEATURE_HIGH_RING |
           ISA_FEATURE_RESET | ISA_FEATURE_POWER | ISA_FEATURE_TELEMETRY | ISA_FEATURE_ECC |
           ISA_FEATURE_INJECT |
           (card->options.mode == SIM_MODE_TIMING ? (uint32_t)ISA_FEATURE_TIMING : 0);
}

// What never changes.
static uint32_t identity_read(const sim_card_t *card, uint32_t offset) {
    switch (offset) {
    case ISA_REG_ID:
        return ISA_CARD_ID;
    case ISA_REG_VERSION:
        return ISA_CARD_VERSION;
    case ISA_REG_FEATURES:
        return features(card);
    case ISA_REG_CORES:
        return card->cores;
    case ISA_REG_PROFILE_HASH_LO:
        return lo(isa_profile_hash(card->profile));
    case ISA_REG_PROFILE_HASH_HI:
        return hi(isa_profile_hash(card->profile));
    case ISA_REG_LM_BYTES:
        return card->profile->lm_bytes;
    case ISA_REG_NODES:
        return ISA_NODE_COUNT;
    case ISA_REG_MEM_BYTES_LO:
        return lo(card->mem.bytes);
    case ISA_REG_MEM_BYTES_HI:
        return hi(card->mem.bytes);
    case ISA_REG_SRAM_BYTES_LO:
        return lo(card->profile->sram_bytes);
    case ISA_REG_SRAM_BYTES_HI:
        return hi(card->profile->sram_bytes);
    case ISA_REG_SAVE_BYTES_LO:
        return lo(save_bytes(card));
    case ISA_REG_SAVE_BYTES_HI:
        return hi(save_bytes(card));
    case ISA_REG_SAVE_CORE_BYTES:
        return lo(save_core_bytes(card));
    case ISA_REG_CLOCK_KHZ:
        return SIM_CLOCK_KHZ;
    case ISA_REG_VECTORS:
        return 1 + ISA_NODE_COUNT;
    case ISA_REG_FIRMWARE:
        return SIM_FIRMWARE;
    case ISA_REG_SERIAL_LO:
        return lo(card->serial);
    case ISA_REG_SERIAL_HI:
        return hi(card->serial);
    case ISA_REG_LINK:
        return SIM_LINK;
    default:
        return 0;
    }
}

static uint32_t state_read(sim_card_t *card, uint32_t offset, uint64_t now) {
    uint32_t value;
    if (sim_power_read(card, offset, now, &value) || sim_ecc_read(&card->ecc, offset, &value))
        return value;
    switch (offset) {
    case ISA_REG_PROFILE_NAME0:
    case ISA_REG_PROFILE_NAME1:
    case ISA_REG_PROFILE_NAME2:
    case ISA_REG_PROFILE_NAME3:
        return profile_name_word(card, offset);
    case ISA_REG_VECTORS_GRANTED:
        return card->vectors_granted;
    case ISA_REG_CLOCK_LO:
        return sim_regs_latch(card, now);
    case ISA_REG_CLOCK_HI:
        return card->latched_hi;
    case ISA_REG_FAULT_BASE_LO:
        return lo(card->fault_base);
    case ISA_REG_FAULT_BASE_HI:
        return hi(card->fault_base);
    case ISA_REG_FAULT_LOG2:
        return card->fault_log2;
    case ISA_REG_FAULT_HEAD:
        return atomic_load(&card->fault_head);
    case ISA_REG_FAULT_DROPPED:
        return atomic_load(&card->fault_dropped);
    case ISA_REG_ERROR:
        return card->error;
    case ISA_REG_ERROR_COUNT:
        return card->error_count;
    case ISA_REG_RESET:
        return atomic_load(&card->resetting) ? 1 : 0;
    case ISA_REG_INJECT_ARG_LO:
        return lo(card->inject_arg);
    case ISA_REG_INJECT_ARG_HI:
        return hi(card->inject_arg);
    default:
        return identity_read(card, offset);
    }
}

static bool needs_clock(uint32_t offset) {
    return offset == ISA_REG_CLOCK_LO ||
           (offset >= ISA_REG_TEMPERATURE && offset <= ISA_REG_ENERGY_HI);
}

static uint32_t card_read(sim_card_t *card, uint32_t offset) {
    // The host is never called with the lock held.
    uint64_t now = needs_clock(offset) ? sim_now_ns(card) : 0;
    bool hot = false;
    (void)pthread_mutex_lock(&card->lock);
    if (now != 0)
        hot = sim_power_update(card, now);
    uint32_t value = state_read(card, offset, now);
    (void)pthread_mutex_unlock(&card->lock);
    if (hot)
        sim_irq_error(card, ISA_ERROR_OVERHEAT);
    return value;
}

// --- Writes ---

static bool any_enabled(sim_card_t *card) {
    bool enabled = false;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        enabled |= atomic_load(&card->nodes[i].enabled);
    return enabled;
}

static void fault_ring_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    if (any_enabled(card))
        return;
    if (offset == ISA_REG_FAULT_BASE_LO)
        sim_regs_set_lo(&card->fault_base, value & ~63u);
    if (offset == ISA_REG_FAULT_BASE_HI)
        sim_regs_set_hi(&card->fault_base, value);
    if (offset == ISA_REG_FAULT_LOG2 && value >= 1 && value <= 12) {
        card->fault_log2 = value;
        atomic_store(&card->fault_head, 0);
        atomic_store(&card->fault_tail, 0);
    }
}

static void state_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    switch (offset) {
    case ISA_REG_VECTORS_GRANTED:
        if (value >= 1 && value <= 1 + ISA_NODE_COUNT)
            card->vectors_granted = value;
        break;
    case ISA_REG_FAULT_BASE_LO:
    case ISA_REG_FAULT_BASE_HI:
    case ISA_REG_FAULT_LOG2:
        fault_ring_write(card, offset, value);
        break;
    case ISA_REG_FAULT_HEAD:
        atomic_store(&card->fault_head, value);
        break;
    case ISA_REG_ERROR:
        card->error &= ~value;
        break;
    case ISA_REG_INJECT_ARG_LO:
        sim_regs_set_lo(&card->inject_arg, value);
        break;
    case ISA_REG_INJECT_ARG_HI:
        sim_regs_set_hi(&card->inject_arg, value);
        break;
    default:
        sim_power_write(card, offset, value);
        break;
    }
}

static void card_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    if (offset == ISA_REG_ECC_TAKE) {
        if (value == 1)
            sim_ecc_take(&card->ecc);
        return;
    }
    if (offset == ISA_REG_RESET) {
        if (value == ISA_RESET_MAGIC)
            sim_reset_card_ask(card, SIM_SCOPE_CARD);
        return;
    }
    uint64_t now = offset == ISA_REG_POWER || offset == ISA_REG_POWER_LIMIT ? sim_now_ns(card) : 0;
    (void)pthread_mutex_lock(&card->lock);
    bool slept = atomic_load(&card->sleeping);
    if (now != 0) // what was is accounted as it was
        (void)sim_power_update(card, now);
    state_write(card, offset, value);
    uint64_t argument = card->inject_arg;
    bool woke = slept && !atomic_load(&card->sleeping);
    (void)pthread_mutex_unlock(&card->lock);
    if (woke)
        sim_power_wake(card);
    if (offset == ISA_REG_INJECT)
        sim_inject(card, value, argument);
}

// --- BARs ---

static sim_node_t *node_of(sim_card_t *card, uint32_t *offset) {
    uint32_t number = (*offset - ISA_NODE_BASE) / ISA_NODE_STRIDE;
    if (*offset < ISA_NODE_BASE || number >= ISA_NODE_COUNT)
        return NULL;
    *offset = (*offset - ISA_NODE_BASE) % ISA_NODE_STRIDE;
    return &card->nodes[number];
}

// Nobody answers while the link is down; it comes back as somebody looks.
static bool answers(sim_card_t *card) {
    if (LIKELY(atomic_load_explicit(&card->answers, memory_order_acquire)))
        return true;
    return sim_reset_link_up(card) && atomic_load(&card->answers);
}

static bool access_ok(uint32_t bar, uint64_t offset, uint32_t bytes) {
    return bar == 0 && bytes == 4 && offset % 4 == 0 && offset < ISA_BAR0_BYTES;
}

uint64_t sim_bar_read(void *self, uint32_t bar, uint64_t offset, uint32_t bytes) {
    sim_card_t *card = self;
    if (!answers(card))
        return UINT64_MAX;
    if (bar == 2)
        return sim_msix_read(card, offset, bytes);
    if (!access_ok(bar, offset, bytes))
        return UINT64_MAX;
    uint32_t at = (uint32_t)offset;
    sim_node_t *node = node_of(card, &at);
    if (node == NULL)
        return card_read(card, at);
    (void)pthread_mutex_lock(&card->lock);
    uint32_t value = sim_regs_node_read(card, node, at);
    (void)pthread_mutex_unlock(&card->lock);
    return value;
}

static void doorbell_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    uint32_t page = (offset - ISA_DOORBELL_BASE) / ISA_DOORBELL_STRIDE;
    uint32_t at = offset % ISA_DOORBELL_STRIDE;
    if (page / ISA_RING_COUNT >= ISA_NODE_COUNT)
        return;
    sim_node_t *node = &card->nodes[page / ISA_RING_COUNT];
    if (at == ISA_DOORBELL_ARM)
        sim_irq_arm(node, page % ISA_RING_COUNT, value);
    else if (at == ISA_DOORBELL_TAIL)
        sim_node_doorbell(node, page % ISA_RING_COUNT, value);
}

void sim_bar_write(void *self, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value) {
    sim_card_t *card = self;
    if (!answers(card))
        return;
    if (bar == 2)
        sim_msix_write(card, offset, bytes, value);
    if (!access_ok(bar, offset, bytes))
        return;
    uint32_t at = (uint32_t)offset;
    sim_node_t *node = node_of(card, &at);
    if (offset >= ISA_DOORBELL_BASE)
        doorbell_write(card, at, (uint32_t)value);
    else if (node != NULL)
        sim_regs_node_write(node, at, (uint32_t)value);
    else
        card_write(card, at, (uint32_t)value);
}
