// SPDX-License-Identifier: Apache-2.0
// What the card tells: completion entries and interrupts. Entries are decoded from host memory
// alone, so that it can be done in the interrupt routine and by those who poll.
#include "driver/hw/fault.h"
#include "driver/hw/hw_internal.h"

#define ENTRIES (1u << HW_COMP_LOG2)

// The first word holds the phase and was written last.
static bool entry_is_new(const hw_node_t *node) {
    const isa_completion_t *entry = &node->comps[node->comp_head % ENTRIES];
    uint32_t first = LOAD_ACQUIRE((const uint32_t *)(const void *)entry);
    bool phase = (first >> 24 & ISA_COMP_PHASE) != 0;
    return phase == ((node->comp_head >> HW_COMP_LOG2 & 1) == 0);
}

static bool kind_of(uint8_t type, hw_notice_kind_t *out_kind) {
    switch (type) {
    case ISA_COMP_DONE:
        *out_kind = HW_NOTICE_DONE;
        return true;
    case ISA_COMP_SUSPENDED:
        *out_kind = HW_NOTICE_SUSPENDED;
        return true;
    case ISA_COMP_FAULT:
        *out_kind = HW_NOTICE_FAULT;
        return true;
    case ISA_COMP_ABORTED:
        *out_kind = HW_NOTICE_ABORTED;
        return true;
    default:
        return false;
    }
}

static uint32_t ring_of(const isa_completion_t *entry) {
    return (entry->flags & ISA_COMP_HIGH) != 0 ? ISA_RING_HIGH : ISA_RING_NORMAL;
}

static void tell(hw_device_t *device, uint32_t number, const isa_completion_t *entry) {
    hw_notice_t notice = {
        .node = number,
        .ring = ring_of(entry),
        .cause = entry->status,
        .fence = entry->fence,
        .info = entry->info,
        .time = entry->time,
    };
    if (!kind_of(entry->type, &notice.kind))
        return; // a type of a later version
    if (notice.kind == HW_NOTICE_FAULT)
        notice.fault = hw_fault_find(device, entry->info);
    device->owner.notify(device->owner.user, &notice);
}

static void decode_node(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    while (entry_is_new(node)) {
        isa_completion_t entry = node->comps[node->comp_head % ENTRIES];
        hw_ring_t *ring = &node->rings[ring_of(&entry)];
        node->comp_head++;
        tell(device, number, &entry);
        STORE_RELEASE(&ring->done, entry.fence);
        STORE_RELEASE(&ring->head, entry.head);
    }
}

void hw_poll(hw_device_t *device) {
    hw_lock(device, &device->irq_spin);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        decode_node(device, i);
    hw_unlock(device, &device->irq_spin);
}

// Any vector: with one granted, it stands for all.
bool hw_isr(hw_device_t *device, uint32_t vector) {
    (void)vector;
    hw_poll(device);
    return true;
}

void hw_dpc(hw_device_t *device) {
    uint32_t error = hw_reg_read(device, ISA_REG_ERROR);
    if (error == 0)
        return;
    hw_notice_t notice = {.kind = error == UINT32_MAX ? HW_NOTICE_GONE : HW_NOTICE_ALARM,
                          .info = error};
    if (notice.kind == HW_NOTICE_ALARM)
        hw_reg_write(device, ISA_REG_ERROR, error);
    device->port->ops->log(device->port, PORT_LOG_ERROR, error,
                           hw_reg_read(device, ISA_REG_ERROR_COUNT),
                           hw_reg_read(device, ISA_REG_FAULT_DROPPED));
    hw_lock(device, &device->irq_spin);
    device->owner.notify(device->owner.user, &notice);
    hw_unlock(device, &device->irq_spin);
}

void hw_arm(hw_device_t *device, uint32_t node, uint32_t ring, uint64_t fence) {
    hw_reg_write(device, ISA_DOORBELL(node, ring) + ISA_DOORBELL_ARM, (uint32_t)fence);
}
