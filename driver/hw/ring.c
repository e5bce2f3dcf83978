// SPDX-License-Identifier: Apache-2.0
// The two rings of each node.
#include "driver/hw/hw_internal.h"

#define SLOTS (1u << HW_RING_LOG2)

uint32_t hw_credit(hw_device_t *device, uint32_t node_number, uint32_t ring_number) {
    hw_node_t *node = &device->nodes[node_number];
    const hw_ring_t *ring = &node->rings[ring_number];
    hw_lock(device, &node->spin);
    uint32_t used = ring->tail - LOAD_ACQUIRE(&ring->head);
    hw_unlock(device, &node->spin);
    return SLOTS - used;
}

void hw_submit(hw_device_t *device, uint32_t node_number, uint32_t ring_number,
               isa_ring_packet_t *packet, uint64_t fence) {
    hw_node_t *node = &device->nodes[node_number];
    hw_ring_t *ring = &node->rings[ring_number];
    packet->words[7] = fence; // where every packet has it
    hw_lock(device, &node->spin);
    ring->slots[ring->tail % SLOTS] = *packet;
    ring->tail++;
    hw_unlock(device, &node->spin);
}

// No lock may be held while the card is in a doorbell. Doorbells of several processors may overtake
// one another: the card ignores a tail behind the one that it has.
void hw_kick(hw_device_t *device, uint32_t node_number, uint32_t ring_number) {
    hw_node_t *node = &device->nodes[node_number];
    hw_ring_t *ring = &node->rings[ring_number];
    hw_lock(device, &node->spin);
    uint32_t tail = ring->tail;
    bool is_new = ring->rung != tail;
    ring->rung = tail;
    hw_unlock(device, &node->spin);
    if (is_new)
        hw_reg_write(device, ISA_DOORBELL(node_number, ring_number) + ISA_DOORBELL_TAIL, tail);
}
