// SPDX-License-Identifier: Apache-2.0
// A port and a card in one, for what a simulated card does not do. The card keeps registers, takes
// slots and writes entries as told; it works inside of the register write. One thread.
#ifndef TESTS_HW_MOCK_H
#define TESTS_HW_MOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/hw/hw.h"

#define MOCK_NOTICES 4096u
#define MOCK_LOGS    256u

typedef struct mock_ring {
    uint32_t head, tail; // free-running
} mock_ring_t;

typedef struct mock_node {
    mock_ring_t rings[ISA_RING_COUNT];
    uint32_t comp_tail;
    uint64_t done[ISA_RING_COUNT];
} mock_node_t;

typedef struct mock_log {
    port_log_t id;
    uint64_t a, b, c;
} mock_log_t;

typedef struct mock mock_t;
struct mock {
    port_t port; // first
    // --- The card ---
    uint32_t regs[ISA_BAR0_BYTES / 4];
    mock_node_t nodes[ISA_NODE_COUNT];
    uint32_t fault_tail;
    bool is_lost;       // nobody answers
    bool works;         // doorbells complete what they bring; else the test does
    bool is_stuck;      // nodes do not go off
    bool reset_stuck;   // RESET of the card never ends
    bool answers_stops; // PREEMPT is answered at once
    bool control_stuck; // nodes do not turn on
    bool function_stuck;
    uint64_t last_aborted; // that the next reset of a node shows
    uint32_t n_card_resets, n_node_resets, n_function_resets, n_doorbells, n_preempts;
    // Optional: may change what a register reads.
    uint32_t (*on_read)(mock_t *mock, uint32_t offset, uint32_t value);
    void *user;
    // --- The port ---
    uint64_t now_ns;
    uint32_t n_reads, n_writes;
    uint32_t n_live;  // allocations and spins
    bool masters;     // bus mastering is on
    uint32_t fail_at; // 1: the next fallible call fails, 2: the one after it; 0: none
    uint32_t n_held;  // spins
    // Optional, runs once before the next doorbell reaches the card (what another processor does
    // meanwhile).
    void (*before_doorbell)(mock_t *mock);
    mock_log_t logs[MOCK_LOGS];
    uint32_t n_logs;
    // --- The owner ---
    hw_device_t *hw;
    hw_notice_t notices[MOCK_NOTICES];
    isa_fault_record_t faults[MOCK_NOTICES]; // of notices with one
    uint32_t n_notices, n_checked;
};

// A good card with all features, and no driver on it yet. `mock` is large: static or from the heap.
void mock_init(mock_t *mock);
WARN_UNUSED status_t mock_start(mock_t *mock);
// Checks that nothing leaked.
void mock_stop(mock_t *mock);

uint32_t *mock_reg(mock_t *mock, uint32_t offset);
void mock_set_pair(mock_t *mock, uint32_t lo_offset, uint64_t value);

// Submits a NOP that wants an entry; `quiet`: one that does not.
void mock_submit(mock_t *mock, uint32_t node, uint32_t ring, uint64_t fence);
void mock_submit_quiet(mock_t *mock, uint32_t node, uint32_t ring, uint64_t fence);

// --- What the card does ---

// The entry that the next slot of the ring would get.
isa_completion_t mock_entry(mock_t *mock, uint32_t node, uint32_t ring, isa_comp_type_t type);
// Writes it behind the right phase.
void mock_write(mock_t *mock, uint32_t node, isa_completion_t entry);
// Counts an entry that memory refused.
void mock_write_refused(mock_t *mock, uint32_t node);
// Consumes the next slot and writes its entry.
void mock_complete(mock_t *mock, uint32_t node, uint32_t ring, isa_comp_type_t type, uint8_t status,
                   uint64_t info);
// Consumes a slot that gets no entry, or whose entry was lost.
void mock_consume(mock_t *mock, uint32_t node, uint32_t ring);
// Stops the normal ring: drops its slots, writes the entry.
void mock_stopped(mock_t *mock, uint32_t node, uint32_t token, bool saved);
// Writes a fault record; returns its number.
uint64_t mock_fault(mock_t *mock, uint32_t node, uint32_t cause, uint64_t fence);
uint64_t mock_slot_fence(mock_t *mock, uint32_t node, uint32_t ring, uint32_t position);

// --- What the owner was told ---

// The next notice, which has this kind and fence.
const hw_notice_t *mock_expect(mock_t *mock, hw_notice_kind_t kind, uint64_t fence);
// No more notices.
void mock_expect_none(const mock_t *mock);
uint32_t mock_count_logs(const mock_t *mock, port_log_t id);

// For cmocka: a started mock of a test's own, which in the end has told all that it was expected
// to.
int mock_set_up(void **state);
int mock_tear_down(void **state);

#endif
