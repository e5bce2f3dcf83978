// SPDX-License-Identifier: Apache-2.0
// Resets: of a node, which keeps memory, and of the card, which keeps nothing.
#include "driver/hw/hw_internal.h"

// --- A node ---

static status_t stop_node(hw_device_t *device, uint32_t number) {
    if (hw_is_gone(device))
        return STATUS_DEVICE_LOST;
    if (!hw_has(device, ISA_FEATURE_RESET))
        return STATUS_UNSUPPORTED;
    hw_node_close(device, number);
    hw_reg_write(device, ISA_NODE_REG_AT(number, RESET), ISA_RESET_MAGIC);
    // Who was in a doorbell of the node comes back; one that came later would ring a new ring.
    if (hw_reg_wait_held(device, ISA_NODE_REG_AT(number, STATE), ISA_NODE_STATE_OFF) &&
        hw_node_quiet(device, number))
        return STATUS_OK;
    return hw_is_gone(device) ? STATUS_DEVICE_LOST : STATUS_TIMEOUT;
}

// Tells what ended before the reset, and finds out what was in work: a fence that the card was
// given and that did not end, or 0.
static uint64_t take_stock(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    hw_lock(device, &device->reg_spin);
    uint64_t done = hw_reg_read_pair(device, ISA_NODE_REG_AT(number, LAST_DONE_LO));
    uint64_t high = hw_has(device, ISA_FEATURE_HIGH_RING)
                        ? hw_reg_read_pair(device, ISA_NODE_REG_AT(number, HIGH_DONE_LO))
                        : 0;
    uint64_t aborted = hw_reg_read_pair(device, ISA_NODE_REG_AT(number, LAST_ABORTED_LO));
    hw_unlock(device, &device->reg_spin);
    hw_lock(device, &device->irq_spin);
    hw_node_decode(device, number);
    if (done != 0)
        hw_ring_catch_up(device, number, ISA_RING_NORMAL, done);
    if (high != 0)
        hw_ring_catch_up(device, number, ISA_RING_HIGH, high);
    uint64_t fence = hw_ring_fence_of(&node->rings[ISA_RING_NORMAL], aborted);
    if (fence == 0)
        fence = hw_ring_fence_of(&node->rings[ISA_RING_HIGH], aborted);
    hw_unlock(device, &device->irq_spin);
    return fence;
}

status_t hw_reset_node(hw_device_t *device, uint32_t number, uint64_t *out_aborted) {
    *out_aborted = 0;
    status_t status = stop_node(device, number);
    if (status == STATUS_OK) {
        *out_aborted = take_stock(device, number);
        status = hw_node_enable(device, number);
    }
    device->port->ops->log(device->port, PORT_LOG_RESET, 0, number, status);
    hw_tell_gone(device);
    return status;
}

// --- The card ---

static bool reset_by_register(hw_device_t *device) {
    if (hw_is_gone(device) || !hw_has(device, ISA_FEATURE_RESET))
        return false;
    hw_reg_write(device, ISA_REG_RESET, ISA_RESET_MAGIC);
    return hw_reg_wait_held(device, ISA_REG_RESET, 0);
}

// From here on registers are touched again, though the card may turn out to be gone once more.
static status_t reset_by_function(hw_device_t *device) {
    port_t *port = device->port;
    if (port->ops->function_reset == NULL)
        return STATUS_DEVICE_LOST;
    RETURN_IF_ERROR(port->ops->function_reset(port));
    STORE_RELEASE(&device->gone, 0u);
    return STATUS_OK;
}

// What the owner was told of the card must still hold.
static bool is_same(const hw_info_t *before, const hw_info_t *now) {
    return before->version >> 16 == now->version >> 16 &&
           before->profile_hash == now->profile_hash && before->cores == now->cores &&
           before->memory_bytes <= now->memory_bytes && before->vectors <= now->vectors &&
           (before->features & ~now->features) == 0;
}

static status_t identify_again(hw_device_t *device) {
    hw_info_t now;
    RETURN_IF_ERROR(hw_identify(device, &now));
    if (!is_same(&device->info, &now)) {
        device->port->ops->log(device->port, PORT_LOG_REFUSED, ISA_REG_PROFILE_HASH_LO,
                               now.profile_hash, device->info.profile_hash);
        return STATUS_MISMATCH;
    }
    // The owner sized everything by these; the rest may be news (another card of the kind).
    now.memory_bytes = device->info.memory_bytes;
    now.vectors = device->info.vectors;
    now.features = device->info.features;
    device->info = now;
    return STATUS_OK;
}

static status_t start_again(hw_device_t *device) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        if (!hw_node_quiet(device, i))
            return STATUS_TIMEOUT;
    RETURN_IF_ERROR(identify_again(device));
    hw_poll(device); // what ended before; the rings are emptied next
    RETURN_IF_ERROR(hw_enable(device));
    if (device->granted != 0)
        hw_reg_write(device, ISA_REG_VECTORS_GRANTED, device->granted);
    if (device->power_limit_mw != 0)
        hw_reg_write(device, ISA_REG_POWER_LIMIT, device->power_limit_mw);
    return hw_is_gone(device) ? STATUS_DEVICE_LOST : STATUS_OK;
}

static status_t reset_card(hw_device_t *device) {
    if (reset_by_register(device)) {
        status_t status = start_again(device);
        if (status == STATUS_OK || status == STATUS_MISMATCH)
            return status; // else it said that it had, and had not
    }
    RETURN_IF_ERROR(reset_by_function(device));
    return start_again(device);
}

status_t hw_reset_card(hw_device_t *device) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        hw_node_close(device, i);
    status_t status = reset_card(device);
    device->port->ops->log(device->port, PORT_LOG_RESET, 1, 0, status);
    if (status != STATUS_OK) {
        hw_gone(device); // nothing of it may be used
        return status;
    }
    hw_lock(device, &device->irq_spin);
    device->gone_told = false; // the next loss is news
    hw_unlock(device, &device->irq_spin);
    return STATUS_OK;
}
