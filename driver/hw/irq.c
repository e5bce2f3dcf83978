// SPDX-License-Identifier: Apache-2.0
// Interrupts, and those who poll instead.
#include "driver/hw/hw_internal.h"

void hw_poll(hw_device_t *device) {
    hw_lock(device, &device->irq_spin);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        hw_node_decode(device, i);
    hw_tell_gone_locked(device);
    hw_unlock(device, &device->irq_spin);
}

// Any vector: with one granted, it stands for all.
bool hw_isr(hw_device_t *device, uint32_t vector) {
    (void)vector;
    hw_poll(device);
    return true;
}

// A refused write may have been an entry's.
static void tell_errors(hw_device_t *device, uint32_t error) {
    hw_reg_write(device, ISA_REG_ERROR, error);
    device->port->ops->log(device->port, PORT_LOG_ERROR, error,
                           hw_reg_read(device, ISA_REG_ERROR_COUNT),
                           hw_reg_read(device, ISA_REG_FAULT_DROPPED));
    for (uint32_t i = 0; i < ISA_NODE_COUNT && (error & ISA_ERROR_DMA) != 0; i++)
        device->nodes[i].in_doubt = true;
    hw_notice_t notice = {.kind = HW_NOTICE_ALARM, .info = error};
    device->owner.notify(device->owner.user, &notice);
}

// A doorbell that a reset overtook finds its node off: that is no error of anybody's.
static uint32_t expected_errors(hw_device_t *device) {
    bool closed = false;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        hw_node_t *node = &device->nodes[i];
        hw_lock(device, &node->spin);
        for (uint32_t r = 0; r < ISA_RING_COUNT; r++)
            closed |= node->rings[r].is_closed;
        hw_unlock(device, &node->spin);
    }
    return closed ? ISA_ERROR_DOORBELL : 0;
}

static uint32_t read_errors(hw_device_t *device, uint32_t expected) {
    uint32_t error = hw_reg_read(device, ISA_REG_ERROR);
    if (error == UINT32_MAX || (error & expected) == 0)
        return error;
    hw_reg_write(device, ISA_REG_ERROR, error & expected);
    return error & ~expected;
}

// Under the spin, registers and all, so that of several at once one tells each error: an interrupt
// waits for a few reads.
void hw_dpc(hw_device_t *device) {
    uint32_t expected = expected_errors(device); // before what it excuses is read
    hw_lock(device, &device->irq_spin);
    uint32_t error = read_errors(device, expected);
    if (error != 0 && !hw_is_gone(device))
        tell_errors(device, error);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        if (device->nodes[i].in_doubt && !hw_is_gone(device))
            hw_node_settle(device, i);
    hw_tell_gone_locked(device);
    hw_unlock(device, &device->irq_spin);
}

void hw_arm(hw_device_t *device, uint32_t node, uint32_t ring, uint64_t fence) {
    hw_reg_write(device, ISA_DOORBELL(node, ring) + ISA_DOORBELL_ARM, (uint32_t)fence);
}
