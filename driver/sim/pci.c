// SPDX-License-Identifier: Apache-2.0
// Config space of 4 KiB: type 0 header, MSI-X, power management, PCI Express with function-level
// reset, and advanced error reporting, which mirrors ERROR.
#include <string.h>

#include "driver/sim/card.h"

#define CFG_COMMAND       0x04
#define CFG_STATUS        0x06
#define CFG_BAR0          0x10
#define CFG_BAR2          0x18
#define CFG_CAPABILITIES  0x34
#define CFG_MSIX          0x40
#define CFG_PM            0x50
#define CFG_PMCSR         0x54
#define CFG_EXPRESS       0x60
#define CFG_DEVICE        0x68 // device control, then device status
#define CFG_AER           0x100
#define COMMAND_MEMORY    0x0002u
#define COMMAND_MASTER    0x0004u
#define COMMAND_WRITABLE  0x0546u // memory, master, parity, SERR, INTx disable
#define STATUS_CAPABILITY 0x0010u
#define MSIX_ENABLE       0x8000u
#define MSIX_MASK_ALL     0x4000u
#define PM_STATE          0x3u
#define PM_D3HOT          0x3u
#define PM_NO_SOFT_RESET  0x8u
#define DEVICE_FLR        0x8000u // initiate: reads as zero
#define DEVICE_PENDING    0x20u   // in device status: transactions pending
#define LINK_GENERATION   (SIM_LINK >> 8)
#define LINK_LANES        (SIM_LINK & 0xff)
#define AER_UNCORRECTABLE 0x04       // from CFG_AER: status, mask, severity
#define AER_CORRECTABLE   0x10       // status, mask
#define AER_TIMEOUT       (1u << 14) // uncorrectable: completion timeout
#define AER_INTERNAL      (1u << 22) // uncorrectable: internal error
#define AER_ADVISORY      (1u << 13) // correctable: advisory non-fatal
#define AER_CORRECTED     (1u << 14) // correctable: corrected internal error

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

// --- As after power-on ---

static void capabilities_init(uint8_t *config) {
    put(config, CFG_CAPABILITIES, 1, CFG_MSIX);
    put(config, CFG_MSIX, 2, 0x11 | CFG_PM << 8);
    put(config, CFG_MSIX + 2, 2, ISA_MSIX_VECTORS - 1);
    put(config, CFG_MSIX + 4, 4, ISA_MSIX_TABLE | 2);
    put(config, CFG_MSIX + 8, 4, ISA_MSIX_PENDING | 2);
    put(config, CFG_PM, 2, 0x01 | CFG_EXPRESS << 8);
    put(config, CFG_PM + 2, 2, 0x0003); // version 3: D0 and D3hot, no PME
    put(config, CFG_PMCSR, 2, PM_NO_SOFT_RESET);
    put(config, CFG_EXPRESS, 2, 0x10);
    put(config, CFG_EXPRESS + 2, 2, 0x0002);     // version 2, endpoint
    put(config, CFG_EXPRESS + 4, 4, 0x10008001); // FLR, role-based errors, payload of 256 bytes
    put(config, CFG_DEVICE, 2, 0x2810);
    put(config, CFG_EXPRESS + 0x0c, 4, LINK_GENERATION | LINK_LANES << 4);
    put(config, CFG_EXPRESS + 0x12, 2, LINK_GENERATION | LINK_LANES << 4);
    put(config, CFG_EXPRESS + 0x30, 2, LINK_GENERATION); // target speed
    put(config, CFG_AER, 4, 0x0001 | 2u << 16);
    put(config, CFG_AER + AER_UNCORRECTABLE + 8, 4, AER_INTERNAL); // severity
}

void sim_pci_init(sim_card_t *card) {
    uint8_t *config = card->config;
    // Error status outlives a function-level reset.
    uint32_t uncorrectable = get(config, CFG_AER + AER_UNCORRECTABLE, 4);
    uint32_t correctable = get(config, CFG_AER + AER_CORRECTABLE, 4);
    memset(config, 0, sizeof card->config);
    put(config, 0x00, 2, ISA_PCI_VENDOR);
    put(config, 0x02, 2, ISA_PCI_DEVICE);
    put(config, CFG_STATUS, 2, STATUS_CAPABILITY);
    put(config, 0x08, 4, (uint32_t)ISA_PCI_CLASS << 8 | 1);
    put(config, 0x2c, 2, ISA_PCI_VENDOR);
    put(config, 0x2e, 2, ISA_PCI_DEVICE);
    capabilities_init(config);
    put(config, CFG_AER + AER_UNCORRECTABLE, 4, uncorrectable);
    put(config, CFG_AER + AER_CORRECTABLE, 4, correctable);
    sim_pci_update(card);
}

void sim_pci_update(sim_card_t *card) {
    uint32_t command = get(card->config, CFG_COMMAND, 2);
    bool d0 = (card->config[CFG_PMCSR] & PM_STATE) == 0, up = !atomic_load(&card->link_down);
    atomic_store(&card->answers, up && d0 && (command & COMMAND_MEMORY) != 0);
    atomic_store(&card->bus.master, up && (command & COMMAND_MASTER) != 0);
    atomic_store(&card->sleeping, !d0 || card->power_wanted != ISA_POWER_ACTIVE);
}

// --- Accesses ---

static bool access_ok(uint32_t offset, uint32_t bytes) {
    return (bytes == 1 || bytes == 2 || bytes == 4) && offset % bytes == 0 && offset < 4096;
}

static bool transactions_pending(sim_card_t *card) {
    bool pending = atomic_load(&card->resetting);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        pending |= atomic_load(&card->nodes[i].exposed);
    return pending;
}

uint32_t sim_pci_config_read(void *self, uint32_t offset, uint32_t bytes) {
    sim_card_t *card = self;
    if (!access_ok(offset, bytes) || !sim_reset_link_up(card))
        return bytes >= 4 ? UINT32_MAX : (1u << 8 * bytes) - 1;
    bool pending = transactions_pending(card);
    (void)pthread_mutex_lock(&card->lock);
    uint8_t *status = &card->config[CFG_DEVICE + 2];
    *status = (uint8_t)((*status & ~DEVICE_PENDING) | (pending ? DEVICE_PENDING : 0));
    uint32_t value = get(card->config, offset, bytes);
    (void)pthread_mutex_unlock(&card->lock);
    return value;
}

// Bits of the byte at `offset` that a config write sets.
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
    case CFG_DEVICE:
        return 0xff;
    case CFG_DEVICE + 1:
        return 0x79;         // not the reset bit, power and phantom functions
    case CFG_EXPRESS + 0x10: // link control
        return 0xc3;
    case CFG_BAR0 + 2: // 128 KiB: bits 17 to 31
        return 0xfe;
    case CFG_BAR2 + 1: // 4 KiB: bits 12 to 31
        return 0xf0;
    case CFG_BAR0 + 3:
    case CFG_BAR2 + 2:
    case CFG_BAR2 + 3:
        return 0xff;
    default: // masks and severity of AER
        return (offset >= CFG_AER + AER_UNCORRECTABLE + 4 && offset < CFG_AER + AER_CORRECTABLE) ||
                       (offset >= CFG_AER + AER_CORRECTABLE + 4 &&
                        offset < CFG_AER + AER_CORRECTABLE + 8)
                   ? 0xff
                   : 0;
    }
}

// Bits of the byte that writing a one clears.
static uint8_t clearable_bits(uint32_t offset) {
    if (offset == CFG_DEVICE + 2)
        return 0x0f;
    bool status =
        (offset >= CFG_AER + AER_UNCORRECTABLE && offset < CFG_AER + AER_UNCORRECTABLE + 4) ||
        (offset >= CFG_AER + AER_CORRECTABLE && offset < CFG_AER + AER_CORRECTABLE + 4);
    return status ? 0xff : 0;
}

static void write_byte(sim_card_t *card, uint32_t offset, uint8_t value) {
    uint8_t mask = writable_bits(offset), *byte = &card->config[offset];
    *byte = (uint8_t)((*byte & ~mask) | (value & mask));
    *byte &= (uint8_t) ~(value & clearable_bits(offset));
    // D1 and D2 are not there: such a write changes nothing.
    if (offset == CFG_PMCSR && ((value & PM_STATE) == 0 || (value & PM_STATE) == PM_D3HOT))
        *byte = (uint8_t)((*byte & ~PM_STATE) | (value & PM_STATE));
}

// True: a function-level reset was asked for.
static bool write_bytes(sim_card_t *card, uint32_t offset, uint32_t bytes, uint32_t value) {
    bool flr = false;
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);
        flr |= offset + i == CFG_DEVICE + 1 && (byte & DEVICE_FLR >> 8) != 0;
        write_byte(card, offset + i, byte);
    }
    // The function is silent at once, and stays so until its owner sets it up again.
    if (flr) {
        sim_pci_init(card);
        sim_msix_init(card);
    }
    sim_pci_update(card);
    return flr;
}

void sim_pci_config_write(void *self, uint32_t offset, uint32_t bytes, uint32_t value) {
    sim_card_t *card = self;
    if (!access_ok(offset, bytes))
        return;
    if (!sim_reset_link_up(card)) { // lost, but what the card had begun is over when this returns
        sim_node_quiet_all(card);
        return;
    }
    (void)pthread_mutex_lock(&card->lock);
    bool was_master = atomic_load(&card->bus.master), slept = atomic_load(&card->sleeping);
    bool flr = write_bytes(card, offset, bytes, value);
    bool master_off = was_master && !atomic_load(&card->bus.master);
    bool woke = slept && !atomic_load(&card->sleeping);
    uint32_t ready = sim_msix_take(card);
    (void)pthread_mutex_unlock(&card->lock);
    sim_msix_deliver(card, ready);
    if (flr)
        sim_reset_card_ask(card, SIM_SCOPE_FUNCTION);
    if (master_off) { // no access through a mapping of before is under way when this returns
        sim_mmu_invalidate(&card->mmu, 0, UINT64_MAX);
        sim_node_sync_all(card);
    }
    if (woke)
        sim_power_wake(card);
}

bool sim_pci_msix_open(const sim_card_t *card) {
    uint32_t control = get(card->config, CFG_MSIX + 2, 2);
    return atomic_load(&card->bus.master) && (control & MSIX_ENABLE) != 0 &&
           (control & MSIX_MASK_ALL) == 0;
}

void sim_pci_error(sim_card_t *card, uint32_t error_bits) {
    uint32_t uncorrectable = 0, correctable = 0;
    if ((error_bits & ISA_ERROR_DMA) != 0)
        uncorrectable |= AER_TIMEOUT;
    if ((error_bits & ISA_ERROR_ECC_UNCORRECTED) != 0)
        uncorrectable |= AER_INTERNAL;
    if ((error_bits & ISA_ERROR_ECC_CORRECTED) != 0)
        correctable |= AER_CORRECTED;
    if ((error_bits & (ISA_ERROR_CONFIG | ISA_ERROR_DOORBELL | ISA_ERROR_OVERHEAT)) != 0)
        correctable |= AER_ADVISORY;
    uint8_t *config = card->config;
    uint32_t at = CFG_AER + AER_UNCORRECTABLE;
    put(config, at, 4, get(config, at, 4) | uncorrectable);
    at = CFG_AER + AER_CORRECTABLE;
    put(config, at, 4, get(config, at, 4) | correctable);
}
