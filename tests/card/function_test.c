// SPDX-License-Identifier: Apache-2.0
// The PCI function: config space, BARs, identity, interrupts.
#include <string.h>

#include "isa/profile.h"
#include "tests/card/check.h"
#include "tests/card/owner.h"

static uint32_t config(owner_t *owner, uint32_t offset, uint32_t bytes) {
    return owner->card.config_read(owner->card.self, offset, bytes);
}

static void test_config(owner_t *owner) {
    sim_function_t *card = &owner->card;
    CHECK_EQUAL(config(owner, 0, 2), ISA_PCI_VENDOR);
    CHECK_EQUAL(config(owner, 2, 2), ISA_PCI_DEVICE);
    CHECK_EQUAL(config(owner, 8, 4) >> 8, ISA_PCI_CLASS);
    card->config_write(card->self, 0x10, 4, UINT32_MAX);
    CHECK_EQUAL(~config(owner, 0x10, 4) + 1, ISA_BAR0_BYTES);
    card->config_write(card->self, 0x18, 4, UINT32_MAX);
    CHECK_EQUAL(~config(owner, 0x18, 4) + 1, ISA_BAR2_BYTES);
    card->config_write(card->self, 0x14, 4, UINT32_MAX);
    CHECK_EQUAL(config(owner, 0x14, 4), 0);
    static const uint32_t ids[] = {0x11, 0x01, 0x10}; // MSI-X, power management, PCI Express
    uint32_t at = config(owner, 0x34, 1);
    for (uint32_t i = 0; i < 3; i++, at = config(owner, at + 1, 1))
        CHECK_EQUAL(config(owner, at, 1), ids[i]);
    CHECK_EQUAL(at, 0);
    CHECK_EQUAL(config(owner, 0x64, 4) >> 28 & 1, 1); // function-level reset
    uint32_t capability = config(owner, 0x34, 1);
    CHECK_EQUAL(config(owner, capability, 1), 0x11);
    CHECK_EQUAL((config(owner, capability + 2, 2) & 0x7ff) + 1, ISA_MSIX_VECTORS);
    CHECK_EQUAL(config(owner, capability + 4, 4), ISA_MSIX_TABLE | 2);
    CHECK_EQUAL(config(owner, 0x100, 4), 0x00020001); // advanced error reporting, the only one
    CHECK_EQUAL(config(owner, 0x1000, 4), UINT32_MAX);
    CHECK_EQUAL(config(owner, 0x3, 2), UINT16_MAX);
}

static void test_identity(owner_t *owner) {
    const isa_profile_t *profile = isa_profile_find("edge");
    char name[16];
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), ISA_CARD_ID);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_VERSION), ISA_CARD_VERSION);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_FEATURES) & ISA_FEATURE_SIMULATED, ISA_FEATURE_SIMULATED);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_CORES), 2);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_LM_BYTES), profile->lm_bytes);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_PROFILE_HASH_LO), (uint32_t)isa_profile_hash(profile));
    CHECK_EQUAL(owner_reg(owner, ISA_REG_SAVE_BYTES_LO),
                ISA_SAVE_HEADER_BYTES + 2 * (ISA_SAVE_RECORD_BYTES + profile->lm_bytes));
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t word = owner_reg(owner, ISA_REG_PROFILE_NAME0 + 4 * i);
        memcpy(name + 4 * i, &word, 4);
    }
    CHECK(strcmp(name, "edge") == 0);
    CHECK_EQUAL(owner_reg(owner, 0xff0), 0);
    CHECK_EQUAL(owner_reg(owner, ISA_BAR0_BYTES), UINT32_MAX);
    CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(1, KIND)), ISA_NODE_COPY);
    owner_set_reg(owner, ISA_REG_ID, 5);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), ISA_CARD_ID);
    uint32_t lo = owner_reg(owner, ISA_REG_CLOCK_LO), hi = owner_reg(owner, ISA_REG_CLOCK_HI);
    uint64_t first = (uint64_t)hi << 32 | lo;
    lo = owner_reg(owner, ISA_REG_CLOCK_LO), hi = owner_reg(owner, ISA_REG_CLOCK_HI);
    CHECK(((uint64_t)hi << 32 | lo) >= first);
}

static void test_memory_disabled(owner_t *owner) {
    sim_function_t *card = &owner->card;
    card->config_write(card->self, 0x04, 2, 0x0004);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), UINT32_MAX);
    CHECK_EQUAL(card->bar_read(card->self, 2, 0, 4), UINT64_MAX);
    card->config_write(card->self, 0x04, 2, 0x0006);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), ISA_CARD_ID);
}

static uint32_t interrupts(owner_t *owner, uint32_t vector) {
    return atomic_load(&owner->interrupts[vector]);
}

static isa_ring_packet_t nop(uint8_t flags) {
    return (isa_ring_packet_t){.nop = {.op = ISA_RING_NOP, .flags = flags}};
}

static void test_interrupts(owner_t *owner) {
    sim_function_t *card = &owner->card;
    uint32_t vector = 1 + ISA_NODE_COPY, before = interrupts(owner, vector);
    (void)owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE));
    CHECK_EQUAL(interrupts(owner, vector), before); // nobody asked for one
    (void)owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_IRQ));
    CHECK_EQUAL(interrupts(owner, vector), before + 1);
    // Armed for a fence to come, then for one that has passed.
    owner_set_reg(owner, ISA_DOORBELL(ISA_NODE_COPY, 0) + ISA_DOORBELL_ARM,
                  (uint32_t)owner->fence + 2);
    (void)owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE));
    CHECK_EQUAL(interrupts(owner, vector), before + 1);
    (void)owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE));
    CHECK_EQUAL(interrupts(owner, vector), before + 2);
    (void)owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE));
    CHECK_EQUAL(interrupts(owner, vector), before + 2); // once only
    owner_set_reg(owner, ISA_DOORBELL(ISA_NODE_COPY, 0) + ISA_DOORBELL_ARM, (uint32_t)owner->fence);
    CHECK_EQUAL(interrupts(owner, vector), before + 3);
    // Masked: pending, then delivered.
    card->bar_write(card->self, 2, vector * 16 + 12, 4, 1);
    (void)owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_IRQ));
    CHECK_EQUAL(interrupts(owner, vector), before + 3);
    CHECK_EQUAL(card->bar_read(card->self, 2, ISA_MSIX_PENDING, 8), 1u << vector);
    card->bar_write(card->self, 2, vector * 16 + 12, 4, 0);
    CHECK_EQUAL(interrupts(owner, vector), before + 4);
    // One vector for all.
    owner_set_reg(owner, ISA_REG_VECTORS_GRANTED, 1);
    uint32_t zero = interrupts(owner, 0);
    (void)owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_IRQ));
    CHECK_EQUAL(interrupts(owner, 0), zero + 1);
    owner_set_reg(owner, ISA_REG_VECTORS_GRANTED, 3);
}

// No DMA, no interrupt: what is due comes once the function masters the bus again.
static void test_no_master(owner_t *owner) {
    uint64_t accesses = atomic_load(&owner->dma_count);
    uint32_t before = interrupts(owner, 0), count = owner_reg(owner, ISA_REG_ERROR_COUNT);
    owner_set_config(owner, 0x04, 2, 0x0002);
    (void)owner_push(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_IRQ));
    owner_ring(owner, ISA_NODE_COPY);
    CHECK_EQUAL(atomic_load(&owner->dma_count), accesses);
    CHECK_EQUAL(interrupts(owner, 0), before);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), ISA_ERROR_DMA);
    CHECK(owner_reg(owner, ISA_REG_ERROR_COUNT) > count);
    CHECK_EQUAL(owner_config(owner, 0x104, 4), 1u << 14); // AER: completion timeout
    owner_set_config(owner, 0x04, 2, 0x0006);
    CHECK_EQUAL(interrupts(owner, 0), before + 1);
    owner_set_config(owner, 0x104, 4, UINT32_MAX);
    owner_set_reg(owner, ISA_REG_ERROR, ISA_ERROR_DMA);
    owner_set_reg(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, CONTROL), 0);
    owner_start_node(owner, ISA_NODE_COPY);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop(ISA_RING_FLAG_COMPLETE)).type, ISA_COMP_DONE);
}

static void test_errors(owner_t *owner) {
    uint32_t count = owner_reg(owner, ISA_REG_ERROR_COUNT);
    owner_set_reg(owner, ISA_DOORBELL(0, 0), 17); // beyond the ring of 16
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), ISA_ERROR_DOORBELL);
    owner_set_reg(owner, ISA_REG_ERROR, ISA_ERROR_DOORBELL);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), 0);
    owner_set_reg(owner, ISA_NODE_REG_AT(0, CONTROL), 0);
    CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(0, STATE)), ISA_NODE_STATE_OFF);
    owner_set_reg(owner, ISA_NODE_REG_AT(0, RING_LOG2), 40);
    owner_set_reg(owner, ISA_NODE_REG_AT(0, CONTROL), ISA_NODE_CONTROL_ON);
    CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(0, STATE)), ISA_NODE_STATE_OFF);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), ISA_ERROR_CONFIG);
    owner_set_reg(owner, ISA_DOORBELL(0, 0), 1);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), ISA_ERROR_CONFIG | ISA_ERROR_DOORBELL);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR_COUNT), count + 3);
    owner_set_reg(owner, ISA_DOORBELL_BASE + 9 * ISA_DOORBELL_STRIDE, 1); // no such node
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR_COUNT), count + 3);
}

static void test_options(void) {
    sim_function_t function;
    sim_host_t host = {.version = SIM_VERSION};
    sim_options_t options = {.version = SIM_VERSION, .profile = isa_profile_find("edge")};
    CHECK(sim_function_create(&options, &host, &function) == STATUS_INVALID);
    CHECK(function.self == NULL);
}

int main(void) {
    owner_t owner;
    owner_start(&owner, &(owner_options_t){.cores = 2});
    test_config(&owner);
    test_identity(&owner);
    test_memory_disabled(&owner);
    test_interrupts(&owner);
    test_no_master(&owner);
    test_errors(&owner);
    owner_stop(&owner);
    test_options();
    return 0;
}
