// SPDX-License-Identifier: Apache-2.0
// Registers, and a card that no longer answers them.
#include "driver/hw/hw_internal.h"

static uint32_t raw_read(const hw_device_t *device, uint32_t offset) {
    return device->port->ops->reg_read32(device->port, offset);
}

// All ones is a value that some registers may have, ID never.
uint32_t hw_reg_read(hw_device_t *device, uint32_t offset) {
    if (hw_is_gone(device))
        return UINT32_MAX;
    uint32_t value = raw_read(device, offset);
    if (UNLIKELY(value == UINT32_MAX) && raw_read(device, ISA_REG_ID) == UINT32_MAX)
        STORE_RELEASE(&device->gone, 1u);
    return value;
}

void hw_reg_write(hw_device_t *device, uint32_t offset, uint32_t value) {
    if (!hw_is_gone(device))
        device->port->ops->reg_write32(device->port, offset, value);
}

// Reading the low half of a counter latches the high one, for the whole card: of counters, the
// caller holds reg_spin.
uint64_t hw_reg_read_pair(hw_device_t *device, uint32_t lo_offset) {
    uint64_t lo = hw_reg_read(device, lo_offset);
    return (uint64_t)hw_reg_read(device, lo_offset + 4) << 32 | lo;
}

void hw_reg_write_pair(hw_device_t *device, uint32_t lo_offset, uint64_t value) {
    hw_reg_write(device, lo_offset, (uint32_t)value);
    hw_reg_write(device, lo_offset + 4, (uint32_t)(value >> 32));
}

// Counts its own pauses, so that it ends whatever the card and the clock say.
bool hw_reg_wait(hw_device_t *device, uint32_t offset, uint32_t value) {
    uint32_t pause = 1;
    for (uint32_t waited = 0;; waited += pause) {
        uint32_t now = hw_reg_read(device, offset);
        if (hw_is_gone(device))
            return false;
        if (now == value)
            return true;
        if (waited >= HW_PATIENCE_US)
            return false;
        pause = pause < 500 ? 2 * pause : 1000;
        device->port->ops->stall_us(device->port, pause);
    }
}

static uint32_t all_held(hw_device_t *device) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        sum += hw_held(device, i);
    return sum;
}

bool hw_reg_wait_held(hw_device_t *device, uint32_t offset, uint32_t value) {
    uint32_t before = all_held(device);
    for (uint32_t i = 0; !hw_reg_wait(device, offset, value); i++) {
        uint32_t now = all_held(device);
        if (hw_is_gone(device) || now == before || i >= HW_HELD_TIMES)
            return false;
        before = now;
    }
    return true;
}

void hw_tell_gone_locked(hw_device_t *device) {
    if (!hw_is_gone(device) || device->gone_told)
        return;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        hw_node_decode(device, i);
    device->gone_told = true;
    device->port->ops->log(device->port, PORT_LOG_GONE, 0, 0, 0);
    hw_notice_t notice = {.kind = HW_NOTICE_GONE};
    device->owner.notify(device->owner.user, &notice);
}

void hw_tell_gone(hw_device_t *device) {
    if (!hw_is_gone(device))
        return;
    hw_lock(device, &device->irq_spin);
    hw_tell_gone_locked(device);
    hw_unlock(device, &device->irq_spin);
}

// Something that answers with another ID is not the card that was started.
bool hw_alive(hw_device_t *device) {
    if (!hw_is_gone(device) && raw_read(device, ISA_REG_ID) != ISA_CARD_ID)
        STORE_RELEASE(&device->gone, 1u);
    hw_tell_gone(device);
    return !hw_is_gone(device);
}

bool hw_is_up(hw_device_t *device) {
    bool up = hw_alive(device);
    for (uint32_t i = 0; i < ISA_NODE_COUNT && up; i++)
        up = hw_reg_read(device, ISA_NODE_REG_AT(i, STATE)) != ISA_NODE_STATE_OFF;
    hw_tell_gone(device);
    return up && !hw_is_gone(device);
}

void hw_gone(hw_device_t *device) {
    STORE_RELEASE(&device->gone, 1u);
    device->port->ops->bus_master(device->port, false); // it may be at work all the same
    hw_tell_gone(device);
}
