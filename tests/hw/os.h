// SPDX-License-Identifier: Apache-2.0
// A test owner that plays the operating system on hw alone, by the rules of Windows: page tables of
// its own (by the processor, and through the paging node), at most two buffers in the card, fence
// ids of 32 bits that wrap, buffers that come back from preemptions and resets. Each rule is a
// CHECK. One thread schedules; notices come on whatever thread the card has.
#ifndef TESTS_HW_OS_H
#define TESTS_HW_OS_H

#include <pthread.h>
#include <stdatomic.h>

#include "driver/hw/hw.h"
#include "tests/card/check.h"
#include "tests/card/program.h"
#include "tests/common/sim_card.h"

#define OS_DEPTH   2u // buffers that the card has of a node
#define OS_WAITING 64u
#define OS_EVENTS  256u
#define OS_THREADS 64u

#define OS_DATA_VA (ISA_VA_IMAGE + 0x200000) // a page of host memory
#define OS_IB_VA   ISA_VA_ARGS

typedef struct os_buffer {
    isa_ring_packet_t packet;
    isa_ring_packet_t *packets; // several, of a paging buffer, whose memory lives as long; or NULL
    uint32_t n_packets, n_over; // all of them, and those that need not run again
    bool is_paging;             // comes back with the id that it had
    bool is_fresh;              // gets an id when it goes to the card
    uint32_t id;
    uint64_t fence;
    // How it ended.
    bool is_over;
    hw_notice_kind_t how;
    uint32_t cause;
    uint64_t info;
    bool has_record;
    isa_fault_record_t record;
    uint32_t n_preempted, n_saved, n_expired;
} os_buffer_t;

typedef struct os_queue {
    os_buffer_t *waiting[OS_WAITING], *flight[OS_DEPTH], *high;
    uint32_t n_waiting, n_flight, most_flight;
    uint32_t last_id, submitted, completed; // ids given, handed over, completed
    uint64_t reference;                     // fence of the last that was handed over
    uint64_t high_fence;
    bool is_stopping;
    uint32_t token;
} os_queue_t;

typedef struct os_event {
    hw_notice_t notice;
    isa_fault_record_t record;
} os_event_t;

typedef struct os {
    sim_function_t card;
    port_user_t *port;
    port_t *base;
    hw_device_t *hw;
    bool posted;
    // What the card's registers are said to be.
    uint32_t lie_offset, lie_value;
    // Memory.
    port_dma_t arena;
    uint64_t arena_used, card_used;
    // News, written by notify.
    os_event_t events[OS_EVENTS];
    uint32_t n_events, n_seen;
    _Atomic uint32_t n_interrupts;
    bool by_interrupt;  // the scheduler does not poll
    uint32_t n_refused; // logs PORT_LOG_REFUSED
    uint64_t refused_register;
    bool is_gone;
    uint32_t n_corrupt, n_gone, vectors;
    uint64_t alarms;
    os_queue_t queues[ISA_NODE_COUNT];
    // Doorbells by threads of their own: a card that works inside of them stays there.
    bool aside;
    pthread_t threads[OS_THREADS];
    uint32_t n_threads;
} os_t;

// One process with one context.
typedef struct os_process {
    uint64_t root; // in host memory
    isa_context_t *context;
    uint64_t context_address;
    _Atomic uint64_t *data; // at OS_DATA_VA
    uint8_t *ib;            // at OS_IB_VA
    uint32_t n_ibs;
    uint64_t code; // card memory
    uint16_t asid;
} os_process_t;

typedef struct os_options {
    bool posted;
    uint32_t cores, vectors; // vectors: 0 all
    uint32_t first_id;       // of fences
} os_options_t;

// Without hw: os_start_hw follows.
void os_make(os_t *os, const os_options_t *options);
WARN_UNUSED status_t os_start_hw(os_t *os, const os_options_t *options);
void os_start(os_t *os, const os_options_t *options);
void os_stop(os_t *os);
// --- Memory ---

void *os_host_alloc(os_t *os, uint64_t bytes);
uint64_t os_address(const os_t *os, const void *host);
uint64_t os_card_alloc(os_t *os, uint64_t bytes);
// By the processor, as a system sets up its paging process.
void os_map(os_t *os, const os_process_t *process, uint64_t va, uint64_t address, uint64_t bytes,
            uint32_t hw_pte_flags);
// Through the paging node: a last table in card memory for the 2 MiB around `va`, filled by it.
// Returns the table's address.
uint64_t os_map_paged(os_t *os, const os_process_t *process, uint64_t va, uint64_t address,
                      uint64_t bytes, uint32_t hw_pte_flags);
void os_flush(os_t *os, const os_process_t *process);
void os_upload(os_t *os, uint64_t card_address, const void *data, uint64_t bytes);
void os_download(os_t *os, void *out_data, uint64_t card_address, uint64_t bytes);

void os_process_init(os_t *os, os_process_t *process, uint16_t asid);
void os_process_load(os_t *os, const os_process_t *process, const program_t *program);

// --- Work ---

// A launch of the process' program.
void os_launch(os_t *os, os_process_t *process, uint32_t cores, os_buffer_t *out_buffer);
void os_paging(const isa_ring_packet_t *packet, os_buffer_t *out_buffer);
// A buffer of up to HW_BATCH_MAX packets: the size that is told as PagingBufferSize.
void os_paging_many(isa_ring_packet_t *packets, uint32_t n, os_buffer_t *out_buffer);
// `buffer` lives until it is over.
void os_submit(os_t *os, uint32_t node, os_buffer_t *buffer);
void os_submit_high(os_t *os, uint32_t node, os_buffer_t *buffer);
// One turn of the scheduler; true: something happened.
bool os_pump(os_t *os);
void os_wait(os_t *os, const os_buffer_t *buffer);
void os_drain(os_t *os);
// Until the card wrote `value` (or more) to host memory.
void os_wait_data(os_t *os, _Atomic uint64_t *data, uint64_t value);
void os_join(os_t *os); // threads in doorbells

// Asks the node to stop, and takes back what comes back.
void os_stop_node_begin(os_t *os, uint32_t node);
void os_stop_node_wait(os_t *os, uint32_t node);
// ResetEngine: what was in work ends as ABORTED, the rest waits again. Returns hw's status.
WARN_UNUSED status_t os_reset_node(os_t *os, uint32_t node, uint32_t *out_aborted_id);
// ResetFromTimeout, RestartFromTimeout: everything in the card ends as ABORTED.
WARN_UNUSED status_t os_reset_card(os_t *os);

// --- Programs ---

// data[0] = 1; waits until data[1] is not 0; data[2] = what registers and LM held all the time.
#define OS_GATE_RESULT UINT64_C(0x12345678)
void os_program_gate(program_t *program);
// Counts to n; data[3] = n.
void os_program_count(program_t *program, uint32_t n);

#endif
