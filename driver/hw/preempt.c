// SPDX-License-Identifier: Apache-2.0
// Stopping the normal ring of a node. The answer is a completion entry: complete.c.
#include "driver/hw/hw_internal.h"

void hw_preempt_ask(hw_device_t *device, uint32_t number, uint32_t token) {
    hw_node_t *node = &device->nodes[number];
    hw_lock(device, &node->spin);
    node->stop_token = token;
    hw_unlock(device, &node->spin);
}

// Another processor may be on its way to the doorbell: what it brings is dropped too, since the
// card is told how far that is. (A card that does not listen answers with another head, and that
// answer does not count.)
void hw_preempt_kick(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    hw_ring_t *ring = &node->rings[ISA_RING_NORMAL];
    hw_lock(device, &node->spin);
    uint32_t token = node->stop_token, tail = ring->rung;
    node->stop_token = 0;
    if (token != 0) {
        ring->is_closed = true;
        (void)ATOMIC_ADD(&node->ringing, 1u); // a reset waits for the writes
    }
    hw_unlock(device, &node->spin);
    if (token == 0)
        return; // another thread told it, or a reset took it back
    STORE_RELEASE(&node->token, token);
    hw_reg_write(device, ISA_NODE_REG_AT(number, PREEMPT_TAIL), tail);
    hw_reg_write(device, ISA_NODE_REG_AT(number, PREEMPT), token);
    (void)ATOMIC_SUB(&node->ringing, 1u);
}

void hw_preempt(hw_device_t *device, uint32_t number, uint32_t token) {
    hw_preempt_ask(device, number, token);
    hw_preempt_kick(device, number);
}
