// SPDX-License-Identifier: Apache-2.0
// The resource manager: address spaces, card memory, contexts, order of submissions, timelines. One
// for the in-process card, the daemon and Linux. Freestanding.
#ifndef RM_RM_H
#define RM_RM_H

#include <stddef.h>

#include "driver/port.h"
#include "driver/uapi/accel_uapi.h"
#include "support/list.h"

typedef struct rm_card rm_card_t;
typedef struct rm_client rm_client_t;

// Zero means the default that is named.
typedef struct rm_options {
    uint64_t answer_ns;     // how long a node may take to answer a preemption: 500 ms
    uint64_t stall_ns;      // no progress for so long, and it is asked for an answer: 1 s
    uint64_t idle_ns;       // nothing to do for so long, and the card sleeps: 10 s
    uint32_t slice_cycles;  // turn of a context while others wait: 2 million
    uint32_t period_cycles; // in which shares are kept: 10 million
    uint32_t ban_hangs;     // so many hangs within ban_ns and the client is banned: 5
    uint64_t ban_ns;        // 60 s
    uint64_t still_ns;      // how long work may take to come back before a suspend: 5 s
} rm_options_t;

// [P] Starts the card behind `port`, which outlives it. `options` may be NULL.
WARN_UNUSED status_t rm_card_start(port_t *port, const rm_options_t *options, rm_card_t **out_card);
// [P] After all clients were closed.
void rm_card_stop(rm_card_t *card);

// --- What the system does with the card: one of these at a time, of its own threads ---

// [P] The card is away (surprise removal) or must not be touched (a PCI error was detected): from
// now on no register is, and all that clients had there is lost. Returns when they are told.
void rm_card_gone(rm_card_t *card);
// [P] Before the system takes the clock or the power away. What is in flight comes back, nothing is
// handed over, the card sleeps, and no register is touched until rm_card_resume; submissions are
// taken and wait, as do requests that need the card. STATUS_BUSY: work did not come back in time (a
// debugger holds the card, or it cannot preempt); all goes on as before.
WARN_UNUSED status_t rm_card_suspend(rm_card_t *card);
// [P] The card has power, its memory space, bus mastering and interrupts again. What it kept goes
// on where it was. If it kept nothing (power was off), or was gone, it is reset: all clients are
// lost (DEVICE_LOST), and open again. Fails as hw_reset_card: the card counts as gone.
WARN_UNUSED status_t rm_card_resume(rm_card_t *card);
// [P] The card is taken from the driver while clients are still open: stops it, ends its
// interrupts, and gives all DMA memory and all pins back. Clients are lost, and can destroy, look
// and close. Whoever mapped host memory of clients has taken that away before. rm_card_stop
// follows after the last client, and `port` lives until then.
void rm_card_detach(rm_card_t *card);

typedef struct rm_client_options {
    uint64_t pid;
    char name[16]; // of the process, zero padded
    bool is_admin;
    uint64_t memory_limit; // bytes of card memory, 0: the card's
    // Bytes of host memory, 0: none: buffers, pinned memory, page tables and bindings.
    uint64_t host_limit;
    // Requests do not give the card work, which a simulated one would do before they return: that
    // is left to waits without a time limit, and to rm_card_pump, which must follow.
    bool is_lazy;
} rm_client_options_t;

// [P] Takes in what the card finished and hands it what is ready. A simulated card may work inside.
void rm_card_pump(rm_card_t *card);

// [P] Handles belong to one client. Closing waits for the client's work in flight, cancels what has
// not begun, and frees all that it made. `options` may be NULL: an administrator without limits of
// memory. STATUS_LIMIT: there are as many clients as may be.
WARN_UNUSED status_t rm_client_open(rm_card_t *card, const rm_client_options_t *options,
                                    rm_client_t **out_client);
void rm_client_close(rm_client_t *client);
// [D][P] Ends the client's waits, those that run and those to come, with STATUS_DEVICE_LOST, and
// calls its work back; if it holds the card, it lets go: for whoever learns that its process died
// while a request of it still waits or works on the card. Only closing follows.
void rm_client_abandon(rm_client_t *client);

// --- Timelines and fences of the system (dma_fence) ---

// A timeline whose handle the owner of the card looked up. It is not destroyed (BUSY) until it is
// released, which comes before its client is closed.
typedef struct rm_sync rm_sync_t;
// [P] NULL: the client has no such timeline.
rm_sync_t *rm_sync_hold(rm_client_t *client, uint32_t handle);
void rm_sync_release(rm_sync_t *sync); // [D][P]

// One point that the owner wants to hear of, in his memory, which stays until `told` is called or
// rm_fence_unwatch returned true.
typedef struct rm_fence rm_fence_t;
struct rm_fence {
    // [D][P] Once: STATUS_OK, or how the work that was to reach the point ended (CONTEXT_LOST,
    // DEVICE_LOST). Fences come in any order. No lock of rm is held; calls nothing of rm.
    void (*told)(rm_fence_t *fence, status_t status);
    // rm's own.
    list_node_t link;
    uint64_t value;
    status_t status;
    bool is_due;
};
// [D][P] `told` may be called before this returns. STATUS_INVALID: nobody promised the point, and
// so it may never be reached; promised are points of submissions of fenced contexts, and the
// owner's.
WARN_UNUSED status_t rm_fence_watch(rm_client_t *client, rm_sync_t *sync, uint64_t value,
                                    rm_fence_t *fence);
// [D][P] True: it will not be told. False: it was, or is being told at this moment.
bool rm_fence_unwatch(rm_client_t *client, rm_fence_t *fence);
// [D][P] The owner will post the point: a fence of another driver stands behind it.
void rm_sync_promise(rm_client_t *client, rm_sync_t *sync, uint64_t value);
// [D][P] The timeline reaches the point, with `status` if that is not OK: then submissions that
// wait for it end with CONTEXT_LOST. A point behind the present one is nothing. Also of a lost
// client.
void rm_sync_post(rm_client_t *client, rm_sync_t *sync, uint64_t value, status_t status);

// [P] Checks and carries out one request of `bytes` readable and writable bytes, 8-byte aligned;
// pointers in it were made readable and writable by the port. The request is copied before it is
// checked, so that nobody can change what was checked. The result is also stored in the request.
// Any thread, at the same time.
status_t rm_request(rm_client_t *client, void *request, size_t bytes);

#endif
