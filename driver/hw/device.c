// SPDX-License-Identifier: Apache-2.0
// Start and stop.
#include "driver/hw/hw_internal.h"

#include "support/mem.h"

#define VERSION_MAJOR(version) ((version) >> 16)

static uint64_t read_pair(const hw_device_t *device, uint32_t lo_offset, uint32_t hi_offset) {
    uint64_t lo = hw_reg_read(device, lo_offset);
    return (uint64_t)hw_reg_read(device, hi_offset) << 32 | lo;
}

static void write_pair(const hw_device_t *device, uint32_t lo_offset, uint32_t hi_offset,
                       uint64_t value) {
    hw_reg_write(device, lo_offset, (uint32_t)value);
    hw_reg_write(device, hi_offset, (uint32_t)(value >> 32));
}

static status_t refuse(const hw_device_t *device, uint32_t reg, uint32_t value, uint32_t expected) {
    device->port->ops->log(device->port, PORT_LOG_REFUSED, reg, value, expected);
    return STATUS_MISMATCH;
}

static status_t identify(hw_device_t *device) {
    uint32_t id = hw_reg_read(device, ISA_REG_ID);
    uint32_t version = hw_reg_read(device, ISA_REG_VERSION);
    if (id == UINT32_MAX)
        return STATUS_DEVICE_LOST;
    if (id != ISA_CARD_ID)
        return refuse(device, ISA_REG_ID, id, ISA_CARD_ID);
    if (VERSION_MAJOR(version) != VERSION_MAJOR(ISA_CARD_VERSION))
        return refuse(device, ISA_REG_VERSION, version, ISA_CARD_VERSION);
    uint32_t nodes = hw_reg_read(device, ISA_REG_NODES);
    if (nodes < ISA_NODE_COUNT)
        return refuse(device, ISA_REG_NODES, nodes, ISA_NODE_COUNT);
    return STATUS_OK;
}

static void read_info(hw_device_t *device) {
    device->info = (hw_info_t){
        .version = hw_reg_read(device, ISA_REG_VERSION),
        .features = hw_reg_read(device, ISA_REG_FEATURES),
        .cores = hw_reg_read(device, ISA_REG_CORES),
        .lm_bytes = hw_reg_read(device, ISA_REG_LM_BYTES),
        .nodes = ISA_NODE_COUNT,
        .clock_khz = hw_reg_read(device, ISA_REG_CLOCK_KHZ),
        .vectors = hw_reg_read(device, ISA_REG_VECTORS),
        .firmware = hw_reg_read(device, ISA_REG_FIRMWARE),
        .link = hw_reg_read(device, ISA_REG_LINK),
        .serial = read_pair(device, ISA_REG_SERIAL_LO, ISA_REG_SERIAL_HI),
        .save_core_bytes = hw_reg_read(device, ISA_REG_SAVE_CORE_BYTES),
        .profile_hash = read_pair(device, ISA_REG_PROFILE_HASH_LO, ISA_REG_PROFILE_HASH_HI),
        .memory_bytes = read_pair(device, ISA_REG_MEM_BYTES_LO, ISA_REG_MEM_BYTES_HI),
        .sram_bytes = read_pair(device, ISA_REG_SRAM_BYTES_LO, ISA_REG_SRAM_BYTES_HI),
        .save_bytes = read_pair(device, ISA_REG_SAVE_BYTES_LO, ISA_REG_SAVE_BYTES_HI),
    };
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t word = hw_reg_read(device, ISA_REG_PROFILE_NAME0 + 4 * i);
        memcpy(device->info.profile + 4 * i, &word, sizeof word);
    }
}

// --- Memory and registers of rings ---

static uint64_t node_ring_bytes(void) {
    return (UINT64_C(1) << HW_RING_LOG2) * sizeof(isa_ring_packet_t) * ISA_RING_COUNT +
           (UINT64_C(1) << HW_COMP_LOG2) * sizeof(isa_completion_t);
}

static uint64_t fault_ring_bytes(void) {
    return (UINT64_C(1) << HW_FAULT_LOG2) * sizeof(isa_fault_record_t);
}

static uint64_t address_of(const hw_device_t *device, const void *cpu) {
    return device->dma.address +
           (uint64_t)((const uint8_t *)cpu - (const uint8_t *)device->dma.cpu);
}

static void place_rings(hw_device_t *device) {
    uint8_t *at = device->dma.cpu;
    device->faults = (isa_fault_record_t *)(void *)at;
    at += fault_ring_bytes();
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        hw_node_t *node = &device->nodes[i];
        for (uint32_t r = 0; r < ISA_RING_COUNT; r++) {
            node->rings[r].slots = (isa_ring_packet_t *)(void *)at;
            at += (UINT64_C(1) << HW_RING_LOG2) * sizeof(isa_ring_packet_t);
        }
        node->comps = (isa_completion_t *)(void *)at;
        at += (UINT64_C(1) << HW_COMP_LOG2) * sizeof(isa_completion_t);
    }
}

static status_t enable_node(hw_device_t *device, uint32_t n) {
    const hw_node_t *node = &device->nodes[n];
    write_pair(device, ISA_NODE_REG_AT(n, RING_BASE_LO), ISA_NODE_REG_AT(n, RING_BASE_HI),
               address_of(device, node->rings[ISA_RING_NORMAL].slots));
    hw_reg_write(device, ISA_NODE_REG_AT(n, RING_LOG2), HW_RING_LOG2);
    write_pair(device, ISA_NODE_REG_AT(n, HIGH_BASE_LO), ISA_NODE_REG_AT(n, HIGH_BASE_HI),
               address_of(device, node->rings[ISA_RING_HIGH].slots));
    hw_reg_write(device, ISA_NODE_REG_AT(n, HIGH_LOG2), HW_RING_LOG2);
    write_pair(device, ISA_NODE_REG_AT(n, COMP_BASE_LO), ISA_NODE_REG_AT(n, COMP_BASE_HI),
               address_of(device, node->comps));
    hw_reg_write(device, ISA_NODE_REG_AT(n, COMP_LOG2), HW_COMP_LOG2);
    hw_reg_write(device, ISA_NODE_REG_AT(n, CONTROL), ISA_NODE_CONTROL_ON);
    uint32_t control = hw_reg_read(device, ISA_NODE_REG_AT(n, CONTROL));
    return control == ISA_NODE_CONTROL_ON ? STATUS_OK : STATUS_IO;
}

static void disable_nodes(const hw_device_t *device) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        hw_reg_write(device, ISA_NODE_REG_AT(i, CONTROL), 0);
}

static status_t enable_all(hw_device_t *device) {
    disable_nodes(device); // whoever had the card before
    write_pair(device, ISA_REG_FAULT_BASE_LO, ISA_REG_FAULT_BASE_HI,
               address_of(device, device->faults));
    hw_reg_write(device, ISA_REG_FAULT_LOG2, HW_FAULT_LOG2);
    hw_reg_write(device, ISA_REG_ERROR, UINT32_MAX);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        RETURN_IF_ERROR(enable_node(device, i));
    return STATUS_OK;
}

// --- Spins ---

static port_spin_t *spin_number(hw_device_t *device, uint32_t i) {
    return i == 0 ? &device->reg_spin : i == 1 ? &device->irq_spin : &device->nodes[i - 2].spin;
}

static status_t init_spins(hw_device_t *device) {
    port_t *port = device->port;
    while (device->spins < 2 + ISA_NODE_COUNT) {
        RETURN_IF_ERROR(port->ops->spin_init(port, spin_number(device, device->spins)));
        device->spins++;
    }
    return STATUS_OK;
}

static void free_device(hw_device_t *device) {
    port_t *port = device->port;
    while (device->spins > 0)
        port->ops->spin_deinit(port, spin_number(device, --device->spins));
    port->ops->dma_free(port, &device->dma);
    port->ops->mem_free(port, device, sizeof *device);
}

static status_t start(hw_device_t *device) {
    port_t *port = device->port;
    RETURN_IF_ERROR(identify(device));
    read_info(device);
    RETURN_IF_ERROR(init_spins(device));
    uint64_t bytes = fault_ring_bytes() + ISA_NODE_COUNT * node_ring_bytes();
    RETURN_IF_ERROR(port->ops->dma_alloc(port, bytes, &device->dma));
    place_rings(device);
    status_t status = enable_all(device);
    if (status != STATUS_OK)
        disable_nodes(device);
    return status;
}

status_t hw_start(port_t *port, const hw_owner_t *owner, hw_device_t **out_device) {
    *out_device = NULL;
    if (port->ops->version != PORT_VERSION || port->ops->bytes < sizeof(port_ops_t))
        return STATUS_MISMATCH;
    hw_device_t *device = port->ops->mem_alloc(port, sizeof *device);
    if (device == NULL)
        return STATUS_NO_MEMORY;
    device->port = port;
    device->owner = *owner;
    status_t status = start(device);
    if (status != STATUS_OK) {
        free_device(device);
        return status;
    }
    port->ops->log(port, PORT_LOG_STARTED, device->info.version, device->info.cores,
                   device->info.memory_bytes >> 20);
    *out_device = device;
    return STATUS_OK;
}

void hw_stop(hw_device_t *device) {
    if (device == NULL)
        return;
    disable_nodes(device);
    free_device(device);
}

const hw_info_t *hw_info(const hw_device_t *device) { return &device->info; }

void hw_set_vectors(hw_device_t *device, uint32_t vectors) {
    uint32_t granted = vectors < device->info.vectors ? vectors : device->info.vectors;
    hw_reg_write(device, ISA_REG_VECTORS_GRANTED, granted);
}
