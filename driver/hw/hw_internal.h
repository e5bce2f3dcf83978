// SPDX-License-Identifier: Apache-2.0
// State of a started card. Private to this folder.
//
// What the card writes (completion and fault rings, registers) is never believed: it is measured by
// what hw itself wrote down about the packets that it handed over.
#ifndef HW_HW_INTERNAL_H
#define HW_HW_INTERNAL_H

#include "driver/hw/hw.h"

// Each packet makes one completion entry, a stop of the ring another; a node has 2 rings, so four
// times as many entries as slots of a ring are never overrun.
#define HW_RING_LOG2     8u
#define HW_COMP_LOG2     10u
#define HW_FAULT_LOG2    6u
#define HW_RING_SLOTS    (1u << HW_RING_LOG2)
#define HW_COMP_ENTRIES  (1u << HW_COMP_LOG2)
#define HW_FAULT_RECORDS (1u << HW_FAULT_LOG2)

// How long a card may take to end a packet's work or a reset, in microseconds. All steps of getting
// a card back (a node's reset, the card's, the function's) end within a second.
#define HW_PATIENCE_US 200000u
#define HW_HELD_TIMES  20u // how often that is waited for a simulated card that gets no processor

// A packet within a batch that failed; told with the last one.
typedef struct hw_failure {
    bool is_set, has_record;
    uint32_t cause;
    isa_fault_record_t record;
} hw_failure_t;

typedef struct hw_ring {
    isa_ring_packet_t *slots; // the card reads them; hw never does

    // Under the node spin; `rung` and `emptied` are read without it too.
    uint32_t tail, rung; // slots written; those that a doorbell told of (free-running)
    bool is_closed;      // no doorbell: a preemption or a reset is on
    uint32_t emptied;    // 1: a preemption took all slots up to `rung` (set under the irq spin)

    // Under the irq spin; read without it.
    uint32_t head; // slots that the card consumed
    uint64_t done;

    uint32_t n_over; // packets of the batch at `head`
    hw_failure_t failure;

    // Of the slots from `head` to `tail`: their fences, what the card has for a fence (another one
    // for all but the last of a batch, lower than its own), and whether an entry must come for
    // them.
    uint64_t fences[HW_RING_SLOTS];
    uint64_t marks[HW_RING_SLOTS];
    bool wants_entry[HW_RING_SLOTS];
} hw_ring_t;

typedef struct hw_node {
    port_spin_t spin; // node spin: tails
    hw_ring_t rings[ISA_RING_COUNT];
    uint32_t ringing;    // threads between their decision to ring and the end of the doorbell write
    uint32_t stop_token; // under the node spin: a preemption that the card was not told of, or 0

    // Under the irq spin; `token` is also written before the card knows of it.
    const uint64_t *comps; // HW_COMP_ENTRIES entries of 4 words
    uint32_t comp_head;
    uint32_t token;   // of the preemption that is on, or 0
    uint32_t skipped; // entries that were nonsense and may have stood for a packet
    bool in_doubt;    // hw_dpc shall ask the registers
} hw_node_t;

struct hw_device {
    port_t *port;
    hw_owner_t owner;
    hw_info_t info;
    port_dma_t dma;       // rings, completion rings, fault ring
    port_spin_t reg_spin; // counters whose halves are read one after the other
    port_spin_t irq_spin;
    uint32_t spins;          // that were initialised, in the order of hw_start
    uint32_t gone;           // 1: no register is touched any more
    bool gone_told;          // under the irq spin
    uint32_t granted;        // vectors, 0: never told
    uint32_t power_limit_mw; // as last set, 0: never

    // Under the irq spin.
    const uint64_t *faults; // HW_FAULT_RECORDS records of 8 words
    uint32_t fault_head;    // all before it were consumed
    uint64_t fault_taken;   // bit number % HW_FAULT_RECORDS: of those behind it
    isa_fault_record_t last_fault;
    hw_node_t nodes[ISA_NODE_COUNT];
};
_Static_assert(HW_FAULT_RECORDS == 64, "one bit of fault_taken a record");

static inline void hw_lock(const hw_device_t *device, port_spin_t *spin) {
    device->port->ops->spin_lock(device->port, spin);
}
static inline void hw_unlock(const hw_device_t *device, port_spin_t *spin) {
    device->port->ops->spin_unlock(device->port, spin);
}
static inline bool hw_is_gone(const hw_device_t *device) {
    return LOAD_ACQUIRE(&device->gone) != 0;
}
static inline bool hw_has(const hw_device_t *device, uint32_t feature) {
    return (device->info.features & feature) != 0;
}

// --- reg.c ---

// A read of a card that is gone is all ones, a write is dropped. The first to notice remembers it;
// hw_tell_gone then tells the owner, once.
uint32_t hw_reg_read(hw_device_t *device, uint32_t offset);
void hw_reg_write(hw_device_t *device, uint32_t offset, uint32_t value);
uint64_t hw_reg_read_pair(hw_device_t *device, uint32_t lo_offset);
void hw_reg_write_pair(hw_device_t *device, uint32_t lo_offset, uint64_t value);
// [P] Until the register reads `value`; false: not within HW_PATIENCE_US, or the card is gone.
bool hw_reg_wait(hw_device_t *device, uint32_t offset, uint32_t value);
// The same, but time in which a node's own stands still does not count (up to a limit).
bool hw_reg_wait_held(hw_device_t *device, uint32_t offset, uint32_t value);
void hw_tell_gone(hw_device_t *device);        // takes the irq spin
void hw_tell_gone_locked(hw_device_t *device); // under it

// --- device.c ---

// Reads and checks what the card is.
WARN_UNUSED status_t hw_identify(hw_device_t *device, hw_info_t *out_info);
// Empties rings and completion ring, which the card must not use now, and turns the node on.
WARN_UNUSED status_t hw_node_enable(hw_device_t *device, uint32_t node);
// All that registers have to say before work begins, and all nodes.
WARN_UNUSED status_t hw_enable(hw_device_t *device);
// Turns the nodes off; false: one did not end its work.
bool hw_disable(hw_device_t *device);

// --- ring.c ---

// [P] No doorbell and no preemption begins any more, until the node is enabled again.
void hw_node_close(hw_device_t *device, uint32_t node);
// [P] Waits for those that began before; false: one does not return.
bool hw_node_quiet(hw_device_t *device, uint32_t node);

// --- complete.c; all under the irq spin ---

// Decodes what the card wrote to host memory; reads no register.
void hw_node_decode(hw_device_t *device, uint32_t node);
// Asks the registers what the entries did not tell.
void hw_node_settle(hw_device_t *device, uint32_t node);
// All packets up to the one of `fence` are over, entry or not. Nothing if the ring has no such.
void hw_ring_catch_up(hw_device_t *device, uint32_t node, uint32_t ring, uint64_t fence);
// The fence of the packet that the card knows by `mark`, was given and has not told the end of;
// else 0.
uint64_t hw_ring_fence_of(const hw_ring_t *ring, uint64_t mark);

#endif
