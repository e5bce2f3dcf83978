// SPDX-License-Identifier: Apache-2.0
// Stopping the normal ring of a node. The answer is a completion entry: complete.c.
#include "driver/hw/hw_internal.h"

// Another processor may be on its way to the doorbell: what it brings is dropped too, since the
// card is told how far that is. (A card that does not listen answers with another head, and that
// answer does not count.)
void hw_preempt(hw_device_t *device, uint32_t number, uint32_t token) {
    hw_node_t *node = &device->nodes[number];
    hw_ring_t *ring = &node->rings[ISA_RING_NORMAL];
    hw_lock(device, &node->spin);
    ring->is_closed = true;
    uint32_t tail = ring->rung;
    hw_unlock(device, &node->spin);
    STORE_RELEASE(&node->token, token);
    hw_reg_write(device, ISA_NODE_REG_AT(number, PREEMPT_TAIL), tail);
    hw_reg_write(device, ISA_NODE_REG_AT(number, PREEMPT), token);
}
