// SPDX-License-Identifier: Apache-2.0
// What an operating system owes the driver's core (driver/hw and driver/rm), and nothing else. A
// port is one struct of its own that begins with a port_t. Freestanding.
//
// Contexts: [I] interrupt (nothing may sleep), [D] deferred (after an interrupt, may not sleep
// either), [P] may sleep. A call may be made in the contexts named at it. "rm only": a port of an
// operating system that manages memory itself (Windows) leaves these NULL; hw never calls them.
//
// Lock order: card mutex, vm mutex, scheduler spin, node spin, irq spin. No mutex is held across a
// wait for the card, and no lock at all across a register write that the card may answer at once
// (doorbell, arm): a simulated card works, and interrupts, inside of it.
#ifndef DRIVER_PORT_H
#define DRIVER_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/status.h"

#define PORT_VERSION 2u

typedef struct port port_t;

// Memory that processor and card both see, coherent, zeroed, aligned to 4 KiB, contiguous in DMA
// addresses.
typedef struct port_dma {
    void *cpu;
    uint64_t address; // DMA address
    uint64_t bytes;
} port_dma_t;

// A piece of pinned memory that is contiguous in DMA addresses.
typedef struct port_run {
    uint64_t address, bytes;
} port_run_t;

typedef struct port_pin port_pin_t; // pinned host memory; the port's own

// Storage for the system's objects; a port whose objects are larger keeps a pointer in it.
typedef struct port_spin {
    uint64_t words[8];
} port_spin_t;
typedef struct port_mutex {
    uint64_t words[8];
} port_mutex_t;
typedef struct port_event {
    uint64_t words[16];
} port_event_t;
typedef struct port_work {
    uint64_t words[16];
} port_work_t;

// Who takes a spin: whether its holder has to keep the card's interrupts off.
typedef enum port_spin_kind {
    PORT_SPIN_DEFERRED,  // [D] and [P] alone
    PORT_SPIN_INTERRUPT, // [I] too; the last one that is taken, and held for a bounded time only
} port_spin_kind_t;

// What a work does, since a system that runs short of memory may wait for it.
typedef enum port_work_kind {
    // Ends other work: allocates nothing, and takes no mutex under which anybody does.
    PORT_WORK_RECLAIM,
    PORT_WORK_ALLOCATES,
} port_work_kind_t;

// What the port calls when the card interrupts.
typedef struct port_irq {
    // [I] True: the interrupt was the card's, and `dpc` shall follow.
    bool (*isr)(void *user, uint32_t vector);
    void (*dpc)(void *user); // [D] on several processors at once, perhaps
    void *user;
} port_irq_t;

// What happened, for the system's log: an id and three numbers, no text in the core. Numbers are
// never given again (5 was).
typedef enum port_log {
    PORT_LOG_STARTED = 1, // version, cores, card memory in MiB
    PORT_LOG_REFUSED = 2, // register, value, value expected
    PORT_LOG_FAULT = 3,   // cause, node, fence
    PORT_LOG_ERROR = 4,   // ERROR register, ERROR_COUNT, FAULT_DROPPED
    PORT_LOG_RESET = 6,   // 0 node or 1 card, node, status
    PORT_LOG_HANG = 7,    // node, fence, 0 no answer to a preemption or 1 deadline
    PORT_LOG_RETIRED = 8, // page of card memory given up after an error: address
    PORT_LOG_GONE = 9,    // the card no longer answers
    PORT_LOG_BANNED = 10, // a client: its id, process
} port_log_t;

#define PORT_WAIT_FOREVER UINT64_MAX
#define PORT_WORK_NEVER   UINT64_MAX

typedef struct port_ops {
    uint32_t version; // PORT_VERSION
    uint32_t bytes;   // of this struct; calls are only ever appended

    // --- Registers of BAR0 ---
    uint32_t (*reg_read32)(port_t *port, uint32_t offset); // [I][D][P] all ones: the card is gone
    // [I][D][P] All stores before it are visible to the card first.
    void (*reg_write32)(port_t *port, uint32_t offset, uint32_t value);

    // --- Memory ---
    void *(*mem_alloc)(port_t *port, size_t bytes); // [P] zeroed, aligned to 16; or NULL
    void (*mem_free)(port_t *port, void *memory, size_t bytes); // [P] NULL is fine
    // [P] STATUS_NO_MEMORY.
    status_t (*dma_alloc)(port_t *port, uint64_t bytes, port_dma_t *out_dma);
    void (*dma_free)(port_t *port, port_dma_t *dma); // [P] one that was never allocated is fine

    // --- Pinned memory of the caller's process (rm only) ---
    // [P] `address` and `bytes` are multiples of 4 KiB. STATUS_INVALID: no such memory or not
    // writable; STATUS_LIMIT: too much pinned.
    status_t (*host_pin)(port_t *port, uint64_t address, uint64_t bytes, bool write,
                         port_pin_t **out_pin);
    void (*host_release)(port_t *port, port_pin_t *pin); // [P] the card no longer uses it
    // [P] The longest contiguous run from `offset` on, a multiple of 4 KiB; the same whenever
    // asked.
    port_run_t (*host_run)(port_t *port, const port_pin_t *pin, uint64_t offset);

    // --- Locks ---
    status_t (*spin_init)(port_t *port, port_spin_t *spin, port_spin_kind_t kind);
    void (*spin_deinit)(port_t *port, port_spin_t *spin);
    void (*spin_lock)(port_t *port, port_spin_t *spin);
    void (*spin_unlock)(port_t *port, port_spin_t *spin);
    status_t (*mutex_init)(port_t *port, port_mutex_t *mutex); // rm only, as the next three
    void (*mutex_deinit)(port_t *port, port_mutex_t *mutex);
    void (*mutex_lock)(port_t *port, port_mutex_t *mutex); // [P]
    void (*mutex_unlock)(port_t *port, port_mutex_t *mutex);

    // --- Events (rm only): a count that only grows, and those who wait for it to move ---
    status_t (*event_init)(port_t *port, port_event_t *event);
    void (*event_deinit)(port_t *port, port_event_t *event);
    uint64_t (*event_count)(port_t *port, port_event_t *event); // [D][P]
    void (*event_set)(port_t *port, port_event_t *event);       // [D][P] moves it, wakes all
    // [P] Until the count differs from `count` or now_ns reaches `deadline_ns`; may wake early.
    // STATUS_INTERRUPTED, only if `interruptible`: the calling thread has a signal to take (or is
    // to die), and would not sleep however often it is asked to.
    status_t (*event_wait)(port_t *port, port_event_t *event, uint64_t count, uint64_t deadline_ns,
                           bool interruptible);

    // --- Time ---
    uint64_t (*now_ns)(port_t *port);            // [I][D][P] monotonic
    void (*stall_us)(port_t *port, uint32_t us); // [I][D][P] at most 1000

    // --- Interrupts ---
    // [P] From now on `irq` is called. *out_vectors: MSI-X vectors granted, at least 1.
    status_t (*irq_enable)(port_t *port, const port_irq_t *irq, uint32_t *out_vectors);
    void (*irq_disable)(port_t *port); // [P] none begins any more
    void (*irq_sync)(port_t *port);    // [P] returns when none is running

    void (*log)(port_t *port, port_log_t id, uint64_t a, uint64_t b, uint64_t c); // [I][D][P]

    // --- Work at a time (rm only) ---
    // [P] From work_at on, `run` is called in [P], never twice at once for one work. None waits for
    // what another one does: where memory is not waited for, one thread may run them all.
    status_t (*work_init)(port_t *port, port_work_t *work, port_work_kind_t kind,
                          void (*run)(void *user), void *user);
    void (*work_deinit)(port_t *port, port_work_t *work); // [P] cancels; waits for a running one
    // [D][P] Sets the time (of now_ns) of the next call, whatever was set before, also from inside
    // of `run`; PORT_WORK_NEVER: none.
    void (*work_at)(port_t *port, port_work_t *work, uint64_t when_ns);

    // --- Optional (NULL: the system cannot) ---
    // [P] Function-level reset (or a slot's), then memory space, bus mastering and interrupts as
    // they were. STATUS_DEVICE_LOST: nobody answers.
    status_t (*function_reset)(port_t *port);

    // --- Bus mastering; off until hw turns it on ---
    // [P] Whether the function reaches host memory and interrupts. After false no access of its is
    // under way and none comes, whatever state it is in, and also if it is not there.
    void (*bus_master)(port_t *port, bool on);
} port_ops_t;

struct port {
    const port_ops_t *ops;
};

#endif
