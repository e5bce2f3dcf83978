// SPDX-License-Identifier: Apache-2.0
// A port that wraps another: it fails a chosen call, and watches whether the core keeps its side of
// driver/port.h. What it forbids is told, counted, and then done as well as it can be.
//
// Rules that it watches:
// - what was taken is given back once, and in its size; nothing is used after it was given back;
// - a call is made only in the contexts [I], [D], [P] that driver/port.h names; none that may sleep
//   is made with a spin held;
// - no lock is held across a doorbell, arm, preempt or inject write, across event_wait, when an
//   interrupt begins in the same thread, and when an interrupt or work returns;
// - a spin that is not for interrupts is not taken in one;
// - work of kind RECLAIM allocates nothing, and takes no lock that anybody held when he allocated;
// - spins come after mutexes, no lock is taken twice, and there is no circle in the order of
//   classes of locks. A class are the locks that one place of the code initialises; spins of one
//   place are told apart by their number. Mutexes of one class are never held together.
#ifndef PORT_FAULT_FAULT_H
#define PORT_FAULT_FAULT_H

#include "driver/port.h"

typedef struct port_fault port_fault_t;

// X(NAME, call, call that gives back, or what it is): every call of the port that can fail.
#define PORT_FAULT_TABLE(X)                                                                        \
    X(MEM_ALLOC, "mem_alloc", "mem_free")                                                          \
    X(DMA_ALLOC, "dma_alloc", "dma_free")                                                          \
    X(HOST_PIN, "host_pin", "host_release")                                                        \
    X(SPIN_INIT, "spin_init", "spin_deinit")                                                       \
    X(MUTEX_INIT, "mutex_init", "mutex_deinit")                                                    \
    X(EVENT_INIT, "event_init", "event_deinit")                                                    \
    X(WORK_INIT, "work_init", "work_deinit")                                                       \
    X(IRQ_ENABLE, "irq_enable", "irq_disable")                                                     \
    X(FUNCTION_RESET, "function_reset", "nothing")

typedef enum port_fault_call {
#define PORT_FAULT_ENUM(name, call, back) PORT_FAULT_##name,
    PORT_FAULT_TABLE(PORT_FAULT_ENUM)
#undef PORT_FAULT_ENUM
        PORT_FAULT_CALL_COUNT
} port_fault_call_t;

// One broken rule. Called with locks of the fault port held: it calls nothing of it.
typedef void (*port_fault_tell_t)(void *user, const char *text);

// `inner` outlives the port; optional calls that it lacks are missing here too. `tell` may be NULL.
WARN_UNUSED status_t port_fault_create(port_t *inner, port_fault_tell_t tell, void *tell_user,
                                       port_fault_t **out_port);
void port_fault_destroy(port_fault_t *port);
// What the driver's core takes.
port_t *port_fault_base(port_fault_t *port);

// --- What fails ---

// Zero: nothing does. A failed call did nothing; its status is NO_MEMORY (host_pin: LIMIT,
// function_reset: DEVICE_LOST), and its out parameters are as before.
typedef struct port_fault_plan {
    uint64_t fail_at;  // number of the call that fails, the next call that can fail being 1
    uint64_t fail_for; // how many from there on, at least 1; UINT64_MAX: all
    // Number of the register read, or write, from which on the card is gone: reads are all ones,
    // writes are lost, no interrupt comes, function_reset fails.
    uint64_t gone_at_read, gone_at_write;
    // Number of the interruptible event_wait from which on a signal comes, 0: never; and how many
    // from there on, at least 1.
    uint64_t interrupt_at, interrupt_for;
} port_fault_plan_t;

// From now on; all counts begin again. NULL: nothing fails. Any thread.
void port_fault_set(port_fault_t *port, const port_fault_plan_t *plan);

typedef struct port_fault_counts {
    uint64_t calls, failed; // calls that can fail
    uint64_t by_call[PORT_FAULT_CALL_COUNT];
    uint64_t reads, writes;      // of registers
    uint64_t waits, interrupted; // interruptible event_waits
    uint64_t most_in_spin; // looks at the clock within one hold of spins: how much was done there
    uint64_t interrupts;   // that reached the core
} port_fault_counts_t;
// Since port_fault_set.
void port_fault_counts(port_fault_t *port, port_fault_counts_t *out_counts);

// --- Books ---

typedef struct port_fault_books {
    uint64_t open[PORT_FAULT_CALL_COUNT]; // taken and not given back
    uint64_t mem_bytes, dma_bytes, pin_bytes;
    uint64_t locks_held; // by the calling thread, now
    uint64_t violations; // rules broken since the port was made
    char first[160];     // text of the first
} port_fault_books_t;
void port_fault_books(port_fault_t *port, port_fault_books_t *out_books);
// What is open, one line each through `tell`. Returns how many.
uint64_t port_fault_tell_open(port_fault_t *port);

// Optional, to check a documented order and not only that there is one: the rank of mutexes and of
// spins that are initialised from now on. A lock is taken only above the ranks of those held; 0:
// no rank.
void port_fault_rank(port_fault_t *port, uint32_t mutexes, uint32_t spins);

#endif
