// SPDX-License-Identifier: Apache-2.0
// Config space (type 0 header, one MSI-X capability) and the MSI-X table in BAR2.
#include <string.h>

#include "driver/sim/card.h"

#define CFG_COMMAND        0x04
#define CFG_STATUS         0x06
#define CFG_BAR0           0x10
#define CFG_BAR2           0x18
#define CFG_CAPABILITIES   0x34
#define CFG_MSIX           0x40
#define COMMAND_MEMORY     0x0002u
#define COMMAND_MASTER     0x0004u
#define COMMAND_WRITABLE   0x0546u // memory, master, parity, SERR, INTx disable
#define STATUS_CAPABILITY  0x0010u
#define MSIX_ENABLE        0x8000u
#define MSIX_MASK_ALL      0x4000u
#define MSIX_VECTOR_MASKED 0x1u

static void put(uint8_t *config, uint32_t offset, uint32_t bytes, uint32_t value) {
    for (uint32_t i = 0; i < bytes; i++)
        config[offset + i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get(const uint8_t *config, uint32_t offset, uint32_t bytes) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint32_t)config[offset + i] << 8 * i;
    return value;
}

void sim_pci_init(sim_card_t *card) {
    uint8_t *config = card->config;
    memset(config, 0, sizeof card->config);
    put(config, 0x00, 2, ISA_PCI_VENDOR);
    put(config, 0x02, 2, ISA_PCI_DEVICE);
    put(config, CFG_STATUS, 2, STATUS_CAPABILITY);
    put(config, 0x08, 4, (uint32_t)ISA_PCI_CLASS << 8 | 1);
    put(config, 0x2c, 2, ISA_PCI_VENDOR);
    put(config, 0x2e, 2, ISA_PCI_DEVICE);
    put(config, CFG_CAPABILITIES, 1, CFG_MSIX);
    put(config, CFG_MSIX, 1, 0x11);
    put(config, CFG_MSIX + 2, 2, ISA_MSIX_VECTORS - 1);
    put(config, CFG_MSIX + 4, 4, ISA_MSIX_TABLE | 2);
    put(config, CFG_MSIX + 8, 4, ISA_MSIX_PENDING | 2);
    memset(card->msix, 0, sizeof card->msix);
    for (uint32_t i = 0; i < ISA_MSIX_VECTORS; i++)
        put(card->msix, i * 16 + 12, 4, MSIX_VECTOR_MASKED);
    card->msix_pending = 0;
}

static bool access_ok(uint64_t offset, uint32_t bytes, uint64_t limit) {
    bool power = bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
    return power && offset % bytes == 0 && offset < limit;
}

uint32_t sim_pci_config_read(void *self, uint32_t offset, uint32_t bytes) {
    sim_card_t *card = self;
    if (!access_ok(offset, bytes, 4096) || bytes > 4)
        return UINT32_MAX;
    if (offset >= sizeof card->config)
        return 0; // no extended capabilities
    (void)pthread_mutex_lock(&card->lock);
    uint32_t value = get(card->config, offset, bytes);
    (void)pthread_mutex_unlock(&card->lock);
    return value;
}

// Bits of the byte at `offset` that a config write may change.
static uint8_t writable_bits(uint32_t offset) {
    switch (offset) {
    case CFG_COMMAND:
        return COMMAND_WRITABLE & 0xff;
    case CFG_COMMAND + 1:
        return COMMAND_WRITABLE >> 8;
    case 0x0c: // cache line size
    case 0x3c: // interrupt line
        return 0xff;
    case CFG_MSIX + 3:
        return (MSIX_ENABLE | MSIX_MASK_ALL) >> 8;
    case CFG_BAR0 + 2: // 128 KiB: bits 17 to 31
        return 0xfe;
    case CFG_BAR2 + 1: // 4 KiB: bits 12 to 31
        return 0xf0;
    case CFG_BAR0 + 3:
    case CFG_BAR2 + 2:
    case CFG_BAR2 + 3:
        return 0xff;
    default:
        return 0;
    }
}

// Vectors that became deliverable; called with the lock held.
static uint32_t take_deliverable(sim_card_t *card) {
    uint32_t control = get(card->config, CFG_MSIX + 2, 2), ready = 0;
    if ((control & MSIX_ENABLE) == 0 || (control & MSIX_MASK_ALL) != 0)
        return 0;
    for (uint32_t i = 0; i < ISA_MSIX_VECTORS; i++)
        if ((get(card->msix, i * 16 + 12, 4) & MSIX_VECTOR_MASKED) == 0)
            ready |= card->msix_pending & 1u << i;
    card->msix_pending &= ~ready;
    return ready;
}

static void deliver(sim_card_t *card, uint32_t vectors) {
    for (uint32_t i = 0; i < ISA_MSIX_VECTORS; i++)
        if ((vectors >> i & 1) != 0)
            card->bus.host.msix(card->bus.host.user, i);
}

void sim_pci_config_write(void *self, uint32_t offset, uint32_t bytes, uint32_t value) {
    sim_card_t *card = self;
    if (!access_ok(offset, bytes, sizeof card->config) || bytes > 4)
        return;
    (void)pthread_mutex_lock(&card->lock);
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t mask = writable_bits(offset + i), *byte = &card->config[offset + i];
        *byte = (uint8_t)((*byte & ~mask) | (value >> 8 * i & mask));
    }
    atomic_store(&card->bus.master, (get(card->config, CFG_COMMAND, 2) & COMMAND_MASTER) != 0);
    uint32_t ready = take_deliverable(card);
    (void)pthread_mutex_unlock(&card->lock);
    deliver(card, ready);
}

bool sim_pci_memory_enabled(sim_card_t *card) {
    (void)pthread_mutex_lock(&card->lock);
    bool enabled = (get(card->config, CFG_COMMAND, 2) & COMMAND_MEMORY) != 0;
    (void)pthread_mutex_unlock(&card->lock);
    return enabled;
}

uint64_t sim_pci_bar2_read(sim_card_t *card, uint64_t offset, uint32_t bytes) {
    uint64_t value = 0;
    if (!access_ok(offset, bytes, ISA_BAR2_BYTES))
        return UINT64_MAX;
    (void)pthread_mutex_lock(&card->lock);
    if (offset < sizeof card->msix)
        memcpy(&value, card->msix + offset, bytes);
    else if (offset >= ISA_MSIX_PENDING && offset < ISA_MSIX_PENDING + 8)
        value = (uint64_t)card->msix_pending >> 8 * (offset - ISA_MSIX_PENDING);
    (void)pthread_mutex_unlock(&card->lock);
    return value;
}

void sim_pci_bar2_write(sim_card_t *card, uint64_t offset, uint32_t bytes, uint64_t value) {
    if (!access_ok(offset, bytes, sizeof card->msix))
        return;
    (void)pthread_mutex_lock(&card->lock);
    memcpy(card->msix + offset, &value, bytes);
    uint32_t ready = take_deliverable(card);
    (void)pthread_mutex_unlock(&card->lock);
    deliver(card, ready);
}

void sim_irq_raise(sim_card_t *card, uint32_t vector) {
    (void)pthread_mutex_lock(&card->lock);
    uint32_t last = card->vectors_granted - 1;
    card->msix_pending |= 1u << (vector < last ? vector : last);
    uint32_t ready = take_deliverable(card);
    (void)pthread_mutex_unlock(&card->lock);
    deliver(card, ready);
}
