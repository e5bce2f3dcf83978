// SPDX-License-Identifier: Apache-2.0
// Stopping the normal ring of a node. The answer is a completion entry: complete.c.
#include "driver/hw/hw_internal.h"

#define PAUSE_US 1u
#define PAUSES   1000u

// A doorbell that reached the card after PREEMPT would start what the owner gets back. Who is
// inside of one has reached it; a card that works inside of the doorbell keeps one thread there,
// and then is busy.
static bool is_reached(hw_device_t *device, uint32_t number) {
    uint32_t ringing = LOAD_ACQUIRE(&device->nodes[number].ringing);
    if (ringing == 0)
        return true;
    return ringing == 1 && hw_has(device, ISA_FEATURE_INLINE) &&
           hw_reg_read(device, ISA_NODE_REG_AT(number, STATE)) == ISA_NODE_STATE_BUSY;
}

void hw_preempt(hw_device_t *device, uint32_t number, uint32_t token) {
    hw_node_t *node = &device->nodes[number];
    hw_lock(device, &node->spin);
    node->rings[ISA_RING_NORMAL].is_closed = true;
    hw_unlock(device, &node->spin);
    for (uint32_t i = 0; i < PAUSES && !is_reached(device, number); i++)
        device->port->ops->stall_us(device->port, PAUSE_US);
    STORE_RELEASE(&node->token, token);
    hw_reg_write(device, ISA_NODE_REG_AT(number, PREEMPT), token);
    hw_tell_gone(device);
}
