// SPDX-License-Identifier: Apache-2.0
// The normal ring of each node.
#include "driver/hw/hw_internal.h"

#define SLOTS (1u << HW_RING_LOG2)

uint32_t hw_credit(hw_device_t *device, uint32_t node_number) {
    hw_node_t *node = &device->nodes[node_number];
    hw_lock(device, &node->spin);
    uint32_t used = node->tail - LOAD_ACQUIRE(&node->head);
    hw_unlock(device, &node->spin);
    return SLOTS - used;
}

void hw_submit(hw_device_t *device, uint32_t node_number, isa_ring_packet_t *packet,
               uint64_t fence) {
    hw_node_t *node = &device->nodes[node_number];
    packet->words[7] = fence; // where every packet has it
    hw_lock(device, &node->spin);
    node->slots[node->tail % SLOTS] = *packet;
    node->tail++;
    hw_unlock(device, &node->spin);
}

// Doorbells must not overtake one another, and no lock may be held while the card is in one: who
// finds somebody ringing leaves the newer tail to him.
void hw_kick(hw_device_t *device, uint32_t node_number) {
    hw_node_t *node = &device->nodes[node_number];
    hw_lock(device, &node->spin);
    bool mine = !node->ringing;
    while (mine && node->rung != node->tail) {
        uint32_t tail = node->tail;
        node->rung = tail;
        node->ringing = true;
        hw_unlock(device, &node->spin);
        hw_reg_write(device, ISA_DOORBELL(node_number, 0) + ISA_DOORBELL_TAIL, tail);
        hw_lock(device, &node->spin);
        node->ringing = false;
    }
    hw_unlock(device, &node->spin);
}
