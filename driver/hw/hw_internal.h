// SPDX-License-Identifier: Apache-2.0
// State of a started card. Private to this folder.
#ifndef HW_HW_INTERNAL_H
#define HW_HW_INTERNAL_H

#include "driver/hw/hw.h"

// Each packet makes one completion entry, a stop of the ring another; four times as many entries as
// slots of a ring are never overrun.
#define HW_RING_LOG2  8u
#define HW_COMP_LOG2  10u
#define HW_FAULT_LOG2 6u

typedef struct hw_ring {
    isa_ring_packet_t *slots;
    uint32_t tail, rung; // slots written; those that a doorbell told of (free-running); node spin
    // Under the irq spin; read without it.
    uint32_t head; // slots that the card consumed
    uint64_t done;
} hw_ring_t;

typedef struct hw_node {
    port_spin_t spin; // node spin: tails
    hw_ring_t rings[ISA_RING_COUNT];
    isa_completion_t *comps;
    uint32_t comp_head; // under the irq spin
} hw_node_t;

struct hw_device {
    port_t *port;
    hw_owner_t owner;
    hw_info_t info;
    port_dma_t dma;       // rings, completion rings, fault ring
    port_spin_t reg_spin; // counters whose halves are read one after the other
    port_spin_t irq_spin;
    uint32_t spins; // that were initialised, in the order of hw_start
    isa_fault_record_t *faults;
    uint32_t fault_head; // under the irq spin
    isa_fault_record_t last_fault;
    hw_node_t nodes[ISA_NODE_COUNT];
};

static inline uint32_t hw_reg_read(const hw_device_t *device, uint32_t offset) {
    return device->port->ops->reg_read32(device->port, offset);
}
static inline void hw_reg_write(const hw_device_t *device, uint32_t offset, uint32_t value) {
    device->port->ops->reg_write32(device->port, offset, value);
}
static inline void hw_lock(const hw_device_t *device, port_spin_t *spin) {
    device->port->ops->spin_lock(device->port, spin);
}
static inline void hw_unlock(const hw_device_t *device, port_spin_t *spin) {
    device->port->ops->spin_unlock(device->port, spin);
}

#endif
