// SPDX-License-Identifier: Apache-2.0
// Start and stop.
#include "driver/hw/hw_internal.h"

#include "support/mem.h"

#define VERSION_MAJOR(version) ((version) >> 16)

#define MEMORY_MAX (UINT64_C(1) << 48) // bytes; sums of such numbers do not overflow

// --- What the card is ---

static status_t refuse(const hw_device_t *device, uint32_t reg, uint64_t value, uint64_t expected) {
    device->port->ops->log(device->port, PORT_LOG_REFUSED, reg, value, expected);
    return STATUS_MISMATCH;
}

static void read_info(hw_device_t *device, hw_info_t *out_info) {
    *out_info = (hw_info_t){
        .version = hw_reg_read(device, ISA_REG_VERSION),
        .features = hw_reg_read(device, ISA_REG_FEATURES),
        .cores = hw_reg_read(device, ISA_REG_CORES),
        .lm_bytes = hw_reg_read(device, ISA_REG_LM_BYTES),
        .nodes = ISA_NODE_COUNT,
        .clock_khz = hw_reg_read(device, ISA_REG_CLOCK_KHZ),
        .vectors = hw_reg_read(device, ISA_REG_VECTORS),
        .firmware = hw_reg_read(device, ISA_REG_FIRMWARE),
        .link = hw_reg_read(device, ISA_REG_LINK),
        .serial = hw_reg_read_pair(device, ISA_REG_SERIAL_LO),
        .save_core_bytes = hw_reg_read(device, ISA_REG_SAVE_CORE_BYTES),
        .profile_hash = hw_reg_read_pair(device, ISA_REG_PROFILE_HASH_LO),
        .memory_bytes = hw_reg_read_pair(device, ISA_REG_MEM_BYTES_LO),
        .sram_bytes = hw_reg_read_pair(device, ISA_REG_SRAM_BYTES_LO),
        .save_bytes = hw_reg_read_pair(device, ISA_REG_SAVE_BYTES_LO),
    };
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t word = hw_reg_read(device, ISA_REG_PROFILE_NAME0 + 4 * i);
        memcpy(out_info->profile + 4 * i, &word, sizeof word);
    }
}

// Owners size memory by these numbers.
static status_t check_info(const hw_device_t *device, const hw_info_t *info) {
    if (info->cores == 0)
        return refuse(device, ISA_REG_CORES, info->cores, 1);
    if (info->vectors == 0 || info->vectors > ISA_MSIX_VECTORS)
        return refuse(device, ISA_REG_VECTORS, info->vectors, ISA_MSIX_VECTORS);
    if (info->memory_bytes == 0 || info->memory_bytes > MEMORY_MAX)
        return refuse(device, ISA_REG_MEM_BYTES_LO, info->memory_bytes, MEMORY_MAX);
    if (info->sram_bytes > MEMORY_MAX)
        return refuse(device, ISA_REG_SRAM_BYTES_LO, info->sram_bytes, MEMORY_MAX);
    if (info->save_bytes > MEMORY_MAX)
        return refuse(device, ISA_REG_SAVE_BYTES_LO, info->save_bytes, MEMORY_MAX);
    return STATUS_OK;
}

// A later minor version has more; what it has, it says in FEATURES.
status_t hw_identify(hw_device_t *device, hw_info_t *out_info) {
    uint32_t id = hw_reg_read(device, ISA_REG_ID);
    uint32_t version = hw_reg_read(device, ISA_REG_VERSION);
    uint32_t nodes = hw_reg_read(device, ISA_REG_NODES);
    if (hw_is_gone(device))
        return STATUS_DEVICE_LOST;
    if (id != ISA_CARD_ID)
        return refuse(device, ISA_REG_ID, id, ISA_CARD_ID);
    if (VERSION_MAJOR(version) != VERSION_MAJOR(ISA_CARD_VERSION))
        return refuse(device, ISA_REG_VERSION, version, ISA_CARD_VERSION);
    if (nodes < ISA_NODE_COUNT)
        return refuse(device, ISA_REG_NODES, nodes, ISA_NODE_COUNT);
    read_info(device, out_info);
    if (hw_is_gone(device))
        return STATUS_DEVICE_LOST;
    return check_info(device, out_info);
}

// --- Memory and registers of rings ---

static uint64_t node_ring_bytes(void) {
    return HW_RING_SLOTS * sizeof(isa_ring_packet_t) * ISA_RING_COUNT +
           HW_COMP_ENTRIES * sizeof(isa_completion_t);
}

static uint64_t fault_ring_bytes(void) { return HW_FAULT_RECORDS * sizeof(isa_fault_record_t); }

static uint64_t address_of(const hw_device_t *device, const void *cpu) {
    return device->dma.address +
           (uint64_t)((const uint8_t *)cpu - (const uint8_t *)device->dma.cpu);
}

static void place_rings(hw_device_t *device) {
    uint8_t *at = device->dma.cpu;
    device->faults = (const uint64_t *)(const void *)at;
    at += fault_ring_bytes();
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        hw_node_t *node = &device->nodes[i];
        for (uint32_t r = 0; r < ISA_RING_COUNT; r++) {
            node->rings[r].slots = (isa_ring_packet_t *)(void *)at;
            at += HW_RING_SLOTS * sizeof(isa_ring_packet_t);
        }
        node->comps = (const uint64_t *)(const void *)at;
        at += HW_COMP_ENTRIES * sizeof(isa_completion_t);
    }
}

static void *memory_at(const hw_device_t *device, uint64_t address) {
    return (uint8_t *)device->dma.cpu + (address - device->dma.address);
}

// The card writes the entries; here is nobody but it and this.
static void clear_node(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    hw_lock(device, &node->spin);
    hw_lock(device, &device->irq_spin);
    for (uint32_t r = 0; r < ISA_RING_COUNT; r++) {
        hw_ring_t *ring = &node->rings[r];
        memset(ring->slots, 0, HW_RING_SLOTS * sizeof *ring->slots);
        memset(ring->fences, 0, sizeof ring->fences);
        memset(ring->marks, 0, sizeof ring->marks);
        STORE_RELEASE(&ring->head, 0u);
        STORE_RELEASE(&ring->rung, 0u);
        STORE_RELEASE(&ring->emptied, 0u);
        ring->tail = 0;
        ring->is_closed = false;
        ring->n_over = 0;
        ring->failure.is_set = false;
    }
    memset(memory_at(device, address_of(device, node->comps)), 0,
           HW_COMP_ENTRIES * sizeof(isa_completion_t));
    node->comp_head = node->skipped = 0;
    node->in_doubt = false;
    node->stop_token = 0;
    STORE_RELEASE(&node->token, 0u);
    hw_unlock(device, &device->irq_spin);
    hw_unlock(device, &node->spin);
}

static void clear_faults(hw_device_t *device) {
    hw_lock(device, &device->irq_spin);
    memset(memory_at(device, address_of(device, device->faults)), 0, fault_ring_bytes());
    device->fault_head = 0;
    device->fault_taken = 0;
    hw_unlock(device, &device->irq_spin);
}

status_t hw_node_enable(hw_device_t *device, uint32_t n) {
    const hw_node_t *node = &device->nodes[n];
    bool has_high = hw_has(device, ISA_FEATURE_HIGH_RING);
    clear_node(device, n);
    hw_reg_write_pair(device, ISA_NODE_REG_AT(n, RING_BASE_LO),
                      address_of(device, node->rings[ISA_RING_NORMAL].slots));
    hw_reg_write(device, ISA_NODE_REG_AT(n, RING_LOG2), HW_RING_LOG2);
    hw_reg_write_pair(device, ISA_NODE_REG_AT(n, HIGH_BASE_LO),
                      has_high ? address_of(device, node->rings[ISA_RING_HIGH].slots) : 0);
    hw_reg_write(device, ISA_NODE_REG_AT(n, HIGH_LOG2), HW_RING_LOG2);
    hw_reg_write_pair(device, ISA_NODE_REG_AT(n, COMP_BASE_LO), address_of(device, node->comps));
    hw_reg_write(device, ISA_NODE_REG_AT(n, COMP_LOG2), HW_COMP_LOG2);
    hw_reg_write(device, ISA_NODE_REG_AT(n, CONTROL), ISA_NODE_CONTROL_ON);
    uint32_t control = hw_reg_read(device, ISA_NODE_REG_AT(n, CONTROL));
    if (hw_is_gone(device))
        return STATUS_DEVICE_LOST;
    return control == ISA_NODE_CONTROL_ON ? STATUS_OK : STATUS_IO;
}

bool hw_disable(hw_device_t *device) {
    bool all_off = true;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        hw_reg_write(device, ISA_NODE_REG_AT(i, CONTROL), 0);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        all_off &= hw_reg_wait(device, ISA_NODE_REG_AT(i, STATE), ISA_NODE_STATE_OFF);
    return all_off;
}

status_t hw_enable(hw_device_t *device) {
    if (!hw_disable(device)) // whoever had the card before
        return hw_is_gone(device) ? STATUS_DEVICE_LOST : STATUS_TIMEOUT;
    clear_faults(device);
    device->port->ops->bus_master(device->port, true);
    hw_reg_write_pair(device, ISA_REG_FAULT_BASE_LO, address_of(device, device->faults));
    hw_reg_write(device, ISA_REG_FAULT_LOG2, HW_FAULT_LOG2);
    hw_reg_write(device, ISA_REG_FAULT_HEAD, 0);
    hw_reg_write(device, ISA_REG_ERROR, UINT32_MAX);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        RETURN_IF_ERROR(hw_node_enable(device, i));
    return STATUS_OK;
}

// --- Spins ---

static port_spin_t *spin_number(hw_device_t *device, uint32_t i) {
    return i == 0 ? &device->reg_spin : i == 1 ? &device->irq_spin : &device->nodes[i - 2].spin;
}

static status_t init_spins(hw_device_t *device) {
    port_t *port = device->port;
    while (device->spins < 2 + ISA_NODE_COUNT) {
        port_spin_t *spin = spin_number(device, device->spins);
        RETURN_IF_ERROR(port->ops->spin_init(
            port, spin, spin == &device->irq_spin ? PORT_SPIN_INTERRUPT : PORT_SPIN_DEFERRED));
        device->spins++;
    }
    return STATUS_OK;
}

// A card that has no memory of ours was never told of any: it may be another's.
static void free_device(hw_device_t *device) {
    port_t *port = device->port;
    if (device->dma.cpu != NULL)
        port->ops->bus_master(port, false);
    while (device->spins > 0)
        port->ops->spin_deinit(port, spin_number(device, --device->spins));
    port->ops->dma_free(port, &device->dma);
    port->ops->mem_free(port, device, sizeof *device);
}

// The card may not reach memory that is freed: a node that does not end its work is stopped by
// force. What even a reset of the function does not stop, turning bus mastering off does.
static void quiesce(hw_device_t *device) {
    port_t *port = device->port;
    if (hw_disable(device) || hw_is_gone(device))
        return;
    if (hw_has(device, ISA_FEATURE_RESET)) {
        hw_reg_write(device, ISA_REG_RESET, ISA_RESET_MAGIC);
        if (hw_reg_wait(device, ISA_REG_RESET, 0))
            return;
    }
    if (port->ops->function_reset != NULL)
        (void)port->ops->function_reset(port); // nobody is left to tell
}

static status_t start(hw_device_t *device) {
    port_t *port = device->port;
    RETURN_IF_ERROR(hw_identify(device, &device->info));
    RETURN_IF_ERROR(init_spins(device));
    uint64_t bytes = fault_ring_bytes() + ISA_NODE_COUNT * node_ring_bytes();
    RETURN_IF_ERROR(port->ops->dma_alloc(port, bytes, &device->dma));
    place_rings(device);
    status_t status = hw_enable(device);
    if (status == STATUS_OK)
        return status;
    quiesce(device); // it may still have been at work for somebody before
    if (status == STATUS_TIMEOUT)
        status = hw_enable(device);
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
    quiesce(device);
    free_device(device);
}

const hw_info_t *hw_info(const hw_device_t *device) { return &device->info; }

void hw_set_vectors(hw_device_t *device, uint32_t vectors) {
    device->granted = vectors < device->info.vectors ? vectors : device->info.vectors;
    hw_reg_write(device, ISA_REG_VECTORS_GRANTED, device->granted);
}
