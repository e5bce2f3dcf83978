// SPDX-License-Identifier: Apache-2.0
// The two rings of each node.
#include "driver/hw/hw_internal.h"

// Under the node spin. A preemption took what was rung, and what was not is no longer wanted.
static void reopen(hw_ring_t *ring) {
    if (LOAD_ACQUIRE(&ring->emptied) == 0)
        return;
    STORE_RELEASE(&ring->emptied, 0u);
    ring->tail = ring->rung;
    ring->is_closed = false;
}

uint32_t hw_credit(hw_device_t *device, uint32_t node_number, uint32_t ring_number) {
    hw_node_t *node = &device->nodes[node_number];
    hw_ring_t *ring = &node->rings[ring_number];
    if (ring_number == ISA_RING_HIGH && !hw_has(device, ISA_FEATURE_HIGH_RING))
        return 0;
    hw_lock(device, &node->spin);
    reopen(ring);
    uint32_t free_slots = HW_RING_SLOTS - (ring->tail - LOAD_ACQUIRE(&ring->head));
    if (ring->is_closed)
        free_slots = 0;
    hw_unlock(device, &node->spin);
    return free_slots;
}

static bool wants_entry(const isa_ring_packet_t *packet) {
    return packet->head.op == ISA_RING_RUN_IB ||
           (packet->head.flags & (ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_IRQ)) != 0;
}

// Under the node spin.
static void put(hw_ring_t *ring, isa_ring_packet_t *packet, uint64_t fence, uint64_t mark) {
    uint32_t at = ring->tail % HW_RING_SLOTS;
    packet->words[7] = mark; // where every packet has its fence
    ring->slots[at] = *packet;
    ring->fences[at] = fence;
    ring->marks[at] = mark;
    ring->wants_entry[at] = wants_entry(packet);
    ring->tail++;
}

// Only the last packet of a batch has its fence, so that LAST_DONE and armed interrupts wait for
// it.
void hw_submit_batch(hw_device_t *device, uint32_t node_number, uint32_t ring_number,
                     isa_ring_packet_t *packets, uint32_t n, uint64_t fence) {
    hw_node_t *node = &device->nodes[node_number];
    hw_ring_t *ring = &node->rings[ring_number];
    hw_lock(device, &node->spin);
    reopen(ring);
    for (uint32_t i = 0; i < n; i++)
        put(ring, &packets[i], fence, i + 1 < n ? fence - 1 : fence);
    hw_unlock(device, &node->spin);
}

void hw_submit(hw_device_t *device, uint32_t node, uint32_t ring, isa_ring_packet_t *packet,
               uint64_t fence) {
    hw_submit_batch(device, node, ring, packet, 1, fence);
}

// No lock may be held while the card is in a doorbell. Doorbells of several processors may overtake
// one another: the card ignores a tail behind the one that it has.
void hw_kick(hw_device_t *device, uint32_t node_number, uint32_t ring_number) {
    hw_node_t *node = &device->nodes[node_number];
    hw_ring_t *ring = &node->rings[ring_number];
    hw_lock(device, &node->spin);
    reopen(ring);
    uint32_t tail = ring->tail;
    bool is_new = !ring->is_closed && ring->rung != tail;
    if (is_new) {
        STORE_RELEASE(&ring->rung, tail); // what the card now may tell of
        (void)ATOMIC_ADD(&node->ringing, 1u);
    }
    hw_unlock(device, &node->spin);
    if (!is_new)
        return;
    hw_reg_write(device, ISA_DOORBELL(node_number, ring_number) + ISA_DOORBELL_TAIL, tail);
    (void)ATOMIC_SUB(&node->ringing, 1u);
}

void hw_node_close(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    hw_lock(device, &node->spin);
    for (uint32_t r = 0; r < ISA_RING_COUNT; r++)
        node->rings[r].is_closed = true;
    node->stop_token = 0;
    hw_unlock(device, &node->spin);
}

bool hw_node_quiet(hw_device_t *device, uint32_t number) {
    const hw_node_t *node = &device->nodes[number];
    for (uint32_t waited = 0; LOAD_ACQUIRE(&node->ringing) != 0; waited += 100) {
        if (waited >= HW_PATIENCE_US)
            return false;
        device->port->ops->stall_us(device->port, 100);
    }
    return true;
}
