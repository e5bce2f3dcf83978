// SPDX-License-Identifier: Apache-2.0
// Objects of the resource manager and the calls between its files. Private to this folder.
// Lock order: client mutex, card mutex, vm mutex, scheduler spin (then those of hw); the power
// mutex is taken with none held. "Under the spin" means the scheduler's.
#ifndef RM_RM_INTERNAL_H
#define RM_RM_INTERNAL_H

#include "driver/hw/hw.h"
#include "driver/rm/rm.h"
#include "isa/program.h"
#include "support/list.h"

// --- Objects ---

typedef enum rm_kind { RM_VM = 1, RM_CTX, RM_BO, RM_SYNC } rm_kind_t;
#define RM_KIND_COUNT (RM_SYNC + 1)

// `users`: the handle itself, each request in progress, and whatever else refers to the object
// (atomic). An object is destroyed only when the handle is its last user.
typedef struct rm_object {
    rm_kind_t kind;
    uint32_t users;
} rm_object_t;

#define RM_HANGS_MAX 16u // hangs of a client that are remembered

struct rm_client {
    rm_card_t *card;
    rm_client_options_t options;
    uint32_t id;
    port_mutex_t mutex; // handles
    rm_object_t **objects;
    uint32_t capacity;
    uint32_t free_from; // no entry before it is free
    uint32_t n_objects[RM_KIND_COUNT];
    uint64_t seq;       // atomic
    uint32_t abandoned; // atomic: nobody is there any more who would wait
    // Under the spin.
    list_node_t link;
    uint64_t generation; // of the card when it was opened: another one, and the client is lost
    uint64_t memory_bytes, host_bytes;
    uint64_t busy_cycles, submissions;
    uint64_t held_at;   // of the card's holder
    uint64_t copy_turn; // when one of its contexts was chosen last to copy
    uint32_t contexts, hangs;
    uint32_t n_jobs;                // queued and in flight
    uint64_t hang_at[RM_HANGS_MAX]; // the last ones
    bool banned;
};

// A piece of card memory, free or of a buffer.
typedef struct rm_extent {
    list_node_t link;
    uint64_t address, bytes;
} rm_extent_t;

// A page that is never given out again. `spare`: what cutting it out of an extent may need.
typedef struct rm_retired {
    list_node_t link;
    uint64_t address;
    rm_extent_t *spare;
} rm_retired_t;

// What a buffer is made of. Handles of several clients may name it.
typedef struct rm_store {
    list_node_t link; // of the card, under its mutex, as `users`, `name` and `key`
    uint32_t users;   // handles
    uint64_t name;    // 0: not exported
    uint64_t key[2];
    uint64_t bytes;
    list_node_t extents; // card memory,
    port_pin_t *pin;     // or pinned memory of the caller,
    port_dma_t host;     // or host memory of ours
    bool is_host, read_only;
} rm_store_t;

typedef struct rm_bo {
    rm_object_t object;
    rm_client_t *client; // who is charged for it
    rm_store_t *store;
} rm_bo_t;

// --- Jobs ---

struct rm_sync {
    rm_object_t object;
    // Under the spin.
    uint64_t value;
    list_node_t owed; // points of suspended launches (rm_owed_t)
    // Sticky once not OK: from then on a point above `good` was never truly reached.
    status_t status;
    uint64_t good;
    uint64_t promised;  // the last point that comes for certain
    list_node_t fences; // that are not told
};

typedef struct rm_point {
    rm_sync_t *sync;
    uint64_t value;
} rm_point_t;

// Of a suspended launch: in its context, and in the list of its timeline.
typedef struct rm_owed {
    list_node_t link;
    rm_point_t point;
} rm_owed_t;

// One packet on its way: queued until its points are reached, then in flight, then done, or queued
// again.
typedef struct rm_job {
    list_node_t link;
    struct rm_context *context; // NULL: a packet of rm's own, whose caller waits and has the memory
    uint64_t order;             // of submission
    uint32_t node;
    uint32_t n_in, n_out;
    bool resume, may_suspend;
    rm_point_t in[ACCEL_SUBMIT_MAX_SYNCS];
    rm_point_t out[ACCEL_SUBMIT_MAX_SYNCS];
    isa_ring_packet_t packet;
    uint64_t timeout_ns; // 0: none
    // Written in the interrupt, `news` last.
    uint64_t fence, info;
    isa_fault_record_t fault;
    bool has_record; // else only its cause is true
    uint32_t cause;
    uint32_t news; // 0, or 1 + hw_notice_kind_t
    // Under the spin.
    uint64_t at;          // bytes of the packet's first row that are copied (copy.c)
    uint64_t weight;      // while in flight on COPY
    uint64_t quantum;     // of the run in flight; 0: unlimited
    uint64_t launched_ns; // no later than that; wall time
    bool go_on;           // the save area holds its beginning
    bool borrowed;        // runs in time that others left
    uint32_t tries;       // times that the card lost it
    uint64_t begun_ns;    // when it came to the head of the ring, watched time; only with a timeout
    uint64_t spent_ns;    // in earlier runs
    bool finished;
    status_t result;
} rm_job_t;

// --- Address spaces and contexts ---

// Page table with the tables below it (NULL at level 0).
typedef struct rm_table {
    port_dma_t dma;
    struct rm_table **below;
    uint32_t used; // valid entries: one without any leaves the tree, unless it is the root
    // While it is in no tree. One that leaves: whose unbinding took it out, and from where.
    list_node_t link;
    const struct rm_binding *left_by;
    uint32_t level;
    uint64_t number; // among all tables of its level
} rm_table_t;

// Tables of level 0 and above for a mapping that is about to be made.
typedef struct rm_spares {
    list_node_t last, inner;
    uint32_t n_last, n_inner;
} rm_spares_t;

// What is mapped where.
typedef struct rm_range {
    const rm_store_t *store;
    uint64_t offset, va, bytes;
} rm_range_t;

typedef struct rm_binding {
    list_node_t link;
    rm_bo_t *bo;
    uint64_t va, bytes;
    bool leaving; // its entries are out, the card still has to forget them
    rm_job_t job; // for that: teardown allocates nothing
} rm_binding_t;

typedef struct rm_vm {
    rm_object_t object;
    list_node_t link; // of the card, under its mutex
    uint32_t asid;
    rm_client_t *client; // who is charged for it
    port_mutex_t mutex;  // what follows
    rm_table_t *root;
    list_node_t leaving; // tables that are out of the tree, and the card may still know
    list_node_t bindings;
    uint64_t charged; // bytes of host memory: itself, tables, bindings
    rm_job_t job;     // to be forgotten by
} rm_vm_t;

typedef struct rm_context {
    rm_object_t object;
    rm_client_t *client;
    rm_vm_t *vm;
    port_dma_t descriptor;
    list_node_t save; // extents
    uint64_t save_bytes;
    uint32_t service_class, share;
    bool fenced; // all its submissions end, whatever anybody does
    // Under the spin.
    list_node_t link;       // of the card's contexts
    list_node_t waiting;    // of those that have something in `queue`
    list_node_t queue;      // jobs in order
    uint32_t state, reason; // ACCEL_CTX_*, ACCEL_LOST_*
    uint32_t n_jobs;        // queued and in flight
    uint32_t n_flight;      // all on flight_node
    uint32_t flight_node;
    uint64_t swept; // the card's generation when it was last lost with the card
    bool closing;
    // The last in flight may come back, saved or with a piece left: nothing may be put behind it.
    bool holding;
    uint64_t heap_need;
    rm_job_t *suspended; // the job of the launch that is suspended, for its RESUME; or NULL
    uint32_t n_owed;     // points of the suspended launch: who waits for them learns how it ends
    rm_owed_t owed[ACCEL_SUBMIT_MAX_SYNCS];
    isa_fault_record_t fault;
    uint64_t reported; // cycles of the descriptor as last seen
    int64_t credit;    // cycles left of its share in this period; a debt is below 0
    int64_t reserved;  // quanta in flight
    uint64_t served;   // cycles that others left to it
    uint64_t turn;     // when it was chosen last
    uint64_t copy_turn;
} rm_context_t;

// --- The card ---

#define RM_FLIGHT  128u // packets in flight a node; below hw's credit
#define RM_ASIDS   0xffffu
#define RM_EVENTS  1024u
#define RM_CLIENTS 4096u
// Jobs queued and in flight: of one client, and so many that it may have whatever the others have;
// more than those only as long as there are fewer than RM_JOBS in all.
#define RM_CLIENT_JOBS      1024u
#define RM_CLIENT_SURE_JOBS 64u
#define RM_JOBS             131072u

// Of one client, so that none takes the others' places. Each of RM_CLIENTS gets its address spaces;
// the rest is bounded by what it is charged, and here by what the driver pays.
#define RM_CLIENT_VMS      ((RM_ASIDS - 1u) / RM_CLIENTS)
#define RM_CLIENT_CONTEXTS 1024u
#define RM_CLIENT_BOS      65536u
#define RM_CLIENT_SYNCS    65536u

typedef struct rm_node {
    // Under the spin.
    uint64_t last_fence;
    uint64_t first_flight;       // oldest fence not retired
    rm_job_t *flight[RM_FLIGHT]; // by fence
    uint64_t weight;             // in flight, of COPY (copy.c)
    uint32_t token;              // of the preemption that is not answered yet, or 0
    uint32_t last_token;
    uint64_t asked_ns; // when, watched time
    bool stop;         // what is in flight shall come back
    uint32_t resets;
    uint64_t armed;      // fence that an interrupt was asked for, or 0
    uint32_t armed_irqs; // the card's count of interrupts then
    uint32_t corrupt;    // notices that were dealt with
    uint32_t beat;       // HEARTBEAT as last seen
    uint64_t beat_ns;    // when it moved, watched time
    uint64_t beat_fence; // oldest in flight then
    uint64_t late;       // a job that passed its deadline, for the log, or 0
    uint32_t held;       // HELD as last seen
    uint32_t held_looks; // at which it had moved, since the last sign of life
    // Written in the interrupt.
    uint32_t answered;  // token
    uint32_t corrupted; // notices
} rm_node_t;

// What administrators and the system ask of the watchdog's thread, which alone resets.
typedef enum rm_order {
    RM_ORDER_RESET_NODE = ACCEL_RESET_NODE,
    RM_ORDER_RESET_CARD = ACCEL_RESET_CARD,
    RM_ORDER_GONE,
    RM_ORDER_SUSPEND,
    RM_ORDER_RESUME,
    RM_ORDER_DETACH,
} rm_order_t;
// Lies in the asker's frame, so that nobody gets the answer to another ask. Under the spin.
typedef struct rm_ask {
    list_node_t link; // of the card, until it is answered
    rm_order_t order;
    uint32_t node;
    bool answered;
    status_t result;
} rm_ask_t;

struct rm_card {
    port_t *port;
    hw_device_t *hw;
    rm_options_t options; // all set
    uint64_t started_ns;
    uint32_t features, vectors;
    uint64_t memory_bytes, save_bytes; // of the card; of a context's save area

    port_mutex_t mutex; // card memory, address space ids, stores, address spaces
    list_node_t free;   // extents by address
    uint64_t free_bytes;
    list_node_t retired;
    uint32_t n_retired;
    uint32_t asids[RM_ASIDS / 32 + 1];
    list_node_t stores, vms;
    uint64_t last_name;

    port_mutex_t power; // the power state, and changing it

    port_spin_t sched; // all below
    list_node_t clients, contexts;
    list_node_t waiting;   // contexts with queued jobs
    list_node_t own, idle; // jobs: packets of rm's own; kept for reuse
    uint32_t n_clients, last_client;
    uint32_t n_idle;    // in `idle`
    uint32_t n_live;    // queued or in flight
    uint32_t n_waiters; // in rm_wait
    uint64_t last_order;
    rm_node_t nodes[ISA_NODE_COUNT];
    uint64_t generation; // atomic; moves when all clients become lost
    uint32_t absent;     // atomic; the card does not answer, or is being reset
    // Who was inside the gate when it closed may come to hand something over only now: while
    // `recovering` nothing is.
    bool recovering;
    bool hot, overheated, injecting;
    bool distrusted;    // may use translations that are no more: reset it
    bool frozen;        // nothing is handed over
    uint32_t suspended; // atomic; the gate is closed until the card is resumed
    hw_info_t info;     // hw's own changes in a reset
    uint32_t asleep;    // atomic; changed under the power mutex too
    uint32_t card_resets, lost_interrupts;
    list_node_t asks; // in order; the first may be being carried out

    // Turns on COPY (copy.c).
    uint64_t last_copy_turn;
    bool own_had_turn; // rm's own fills, before others' copies

    // Shares of compute time (class.c).
    uint32_t n_classed, shares; // contexts of a class with a share; percent given away
    uint64_t clock;             // card time: cycles
    uint64_t period_end;        // on that clock
    uint64_t idle_ns;           // since when the clock runs with wall time, or 0
    uint64_t shared_ns;         // when several contexts were last seen to want the node
    uint64_t last_turn, served_floor;

    // The watchdog's clock (hold.c).
    uint32_t n_fenced;   // contexts, which nobody may hold up
    rm_client_t *holder; // or NULL
    uint32_t n_holds;    // it stands when above 0
    uint64_t held_since; // wall time
    uint64_t held_ns;    // of holds that ended

    port_work_t pages; // takes bad pages out of use

    // Watchdog.
    port_work_t watch;
    uint64_t watch_at;      // when it runs next; PORT_WORK_NEVER: it does not
    bool watching;          // within a tick
    uint64_t looks, looked; // runs that began, that ended
    uint64_t wanted_look;   // somebody waits for the end of this one, or 0
    uint64_t refill_at;     // when throttled work may go on; PORT_WORK_NEVER: there is none
    uint64_t tick_ns;
    uint64_t active_ns;   // when work was last seen
    uint64_t seen_fences; // packets handed over by then

    accel_event_record_t events[RM_EVENTS]; // by number
    uint64_t last_event;

    port_event_t progress; // set when a job finished or a timeline moved
    list_node_t told;      // under the spin: fences that are to be told
    uint32_t n_told;       // atomic
    uint32_t n_fences;     // under the spin: that wait for their points
    // Atomic; written in the interrupt.
    uint32_t irqs, alarms, gone;
    uint32_t gate;     // who is in hw, and RM_GATE_CLOSED
    uint32_t guests;   // who is in a request, and RM_GUESTS_WAIT
    uint32_t detached; // the card was taken away for good
    uint32_t ready;    // steps of rm_card_start that were taken
};

static inline void *rm_new(rm_card_t *card, size_t bytes) {
    return card->port->ops->mem_alloc(card->port, bytes);
}
static inline void rm_free(rm_card_t *card, void *memory, size_t bytes) {
    card->port->ops->mem_free(card->port, memory, bytes);
}
static inline void rm_lock(rm_card_t *card, port_mutex_t *mutex) {
    card->port->ops->mutex_lock(card->port, mutex);
}
static inline void rm_unlock(rm_card_t *card, port_mutex_t *mutex) {
    card->port->ops->mutex_unlock(card->port, mutex);
}
static inline void rm_spin(rm_card_t *card) {
    card->port->ops->spin_lock(card->port, &card->sched);
}
static inline void rm_unspin(rm_card_t *card) {
    card->port->ops->spin_unlock(card->port, &card->sched);
}
static inline uint64_t rm_now(rm_card_t *card) { return card->port->ops->now_ns(card->port); }

// The gate to hw: whoever calls it is inside, so that a reset can wait until nobody is. Closed only
// by the watchdog's thread.
#define RM_GATE_CLOSED 0x80000000u

static inline void rm_leave(rm_card_t *card) { (void)ATOMIC_SUB(&card->gate, 1u); }
// False: a reset is going on; not inside.
static inline bool rm_enter(rm_card_t *card) {
    if (LIKELY((ATOMIC_ADD(&card->gate, 1u) & RM_GATE_CLOSED) == 0))
        return true;
    rm_leave(card);
    return false;
}

// --- card.c ---

void rm_card_stop_irq(rm_card_t *card);

// --- life.c ---

// Around all that a client does: waits while memory is taken away from under it.
#define RM_GUESTS_WAIT 0x80000000u
void rm_guest_enter(rm_card_t *card);
WARN_UNUSED bool rm_guest_try(rm_card_t *card); // false: not now
void rm_guest_leave(rm_card_t *card);
// Under the spin: the card has nothing in work, and owes no answer.
bool rm_life_is_still(const void *card);
// In the watchdog's thread.
WARN_UNUSED status_t rm_life_order(rm_card_t *card, rm_order_t order);

// --- client.c ---

// STATUS_LIMIT: it has as many of the kind as it may have.
WARN_UNUSED status_t rm_client_add(rm_client_t *client, rm_object_t *object, rm_kind_t kind,
                                   uint32_t *out_handle);
// With one more user, or NULL.
void *rm_client_get(rm_client_t *client, uint32_t handle, rm_kind_t kind);
void rm_put(rm_object_t *object);
// Takes an object out of the table to be destroyed. STATUS_NOT_FOUND, STATUS_BUSY.
WARN_UNUSED status_t rm_client_take(rm_client_t *client, uint32_t handle, rm_kind_t kind,
                                    rm_object_t **out_object);
// The same for an object that the caller is a user of, as which it is put in any case. While he was
// one, nobody took it and gave its handle to another.
WARN_UNUSED status_t rm_client_take_held(rm_client_t *client, uint32_t handle, rm_object_t *object);
// STATUS_LIMIT: nothing was charged.
WARN_UNUSED status_t rm_client_charge(rm_client_t *client, uint64_t memory_bytes,
                                      uint64_t host_bytes);
void rm_client_refund(rm_client_t *client, uint64_t memory_bytes, uint64_t host_bytes);
// The card was reset or lost since the client was opened, or is not there; or nobody is there for
// it.
bool rm_client_is_lost(const rm_client_t *client);
// Under the spin: one more hang; too many, and the client is banned.
void rm_client_strike(rm_client_t *client);
void rm_client_record(const rm_client_t *client, accel_client_record_t *out_record);

// --- check.c: what a request may say, before anybody acts on it ---

// By the table: 0, there is no such op.
uint32_t rm_check_bytes(uint16_t op);
WARN_UNUSED status_t rm_check(const rm_client_t *client, const accel_req_t *request);
WARN_UNUSED status_t rm_check_bind(const accel_req_bind_t *request, const rm_store_t *store);

// --- mem.c ---

WARN_UNUSED status_t rm_mem_init(rm_card_t *card, uint64_t bytes);
void rm_mem_deinit(rm_card_t *card);
// Multiples of 4 KiB; few pieces, large ones 2 MiB aligned. Not zeroed.
WARN_UNUSED status_t rm_mem_alloc(rm_card_t *card, uint64_t bytes, list_node_t *extents);
void rm_mem_free(rm_card_t *card, list_node_t *extents);
WARN_UNUSED status_t rm_mem_scrub(rm_card_t *card, const list_node_t *extents);
bool rm_mem_holds(const list_node_t *extents, uint64_t address);
// Under the card mutex: takes the page out of what is given out, now or when it comes back. Keeps
// `page` unless it was retired before (false).
bool rm_mem_retire(rm_card_t *card, rm_retired_t *page);

// --- bo.c ---

WARN_UNUSED status_t rm_bo_create(rm_client_t *client, accel_req_bo_create_t *request);
WARN_UNUSED status_t rm_bo_from_user(rm_client_t *client, accel_req_bo_from_user_t *request);
WARN_UNUSED status_t rm_bo_export(rm_client_t *client, accel_req_share_t *request);
WARN_UNUSED status_t rm_bo_import(rm_client_t *client, accel_req_share_t *request);
void rm_bo_destroy(rm_card_t *card, rm_bo_t *bo);
// No client is in a request: pins and host memory are given back.
void rm_bo_detach(rm_card_t *card);
// Where a walk through a store is: begins as zeros.
typedef struct rm_cursor {
    const list_node_t *extent;
    uint64_t begins; // its offset
} rm_cursor_t;
// The contiguous piece at `offset`, which never goes down in a walk.
port_run_t rm_store_run(rm_card_t *card, const rm_store_t *store, uint64_t offset,
                        rm_cursor_t *cursor);

// --- vm.c, table.c ---

WARN_UNUSED status_t rm_vm_create(rm_client_t *client, accel_req_handle_t *request);
// STATUS_BUSY while something is bound.
WARN_UNUSED status_t rm_vm_bind(rm_client_t *client, const accel_req_bind_t *request);
void rm_vm_destroy(rm_card_t *card, rm_vm_t *vm); // takes bindings out
// No client is in a request: page tables are given back.
void rm_vm_detach(rm_card_t *card);
// Takes the vm mutex.
bool rm_vm_binds(rm_card_t *card, rm_vm_t *vm, const rm_store_t *store);
rm_table_t *rm_table_create(rm_card_t *card, bool is_last);
void rm_table_destroy(rm_card_t *card, rm_table_t *root);
uint64_t rm_table_bytes(bool is_last); // of host memory that one takes
// The rest under the vm mutex. First what a mapping needs, then making it, then the mapping, which
// uses it up and cannot fail.
WARN_UNUSED status_t rm_table_need(rm_card_t *card, const rm_vm_t *vm, const rm_range_t *range,
                                   rm_spares_t *out_spares);
WARN_UNUSED status_t rm_table_make(rm_card_t *card, rm_spares_t *spares);
void rm_table_map(rm_card_t *card, rm_vm_t *vm, const rm_range_t *range, uint32_t pte_flags,
                  rm_spares_t *spares);
// Tables that have no entry any more leave the tree. The card may still know them until it forgot
// the binding's range; then they are freed, which tells how many bytes they took.
void rm_table_unmap(rm_vm_t *vm, const rm_binding_t *binding);
WARN_UNUSED uint64_t rm_table_free_left(rm_card_t *card, rm_vm_t *vm, const rm_binding_t *binding);
void rm_table_clear(rm_vm_t *vm); // maps nothing any more

// --- context.c ---

WARN_UNUSED status_t rm_context_create(rm_client_t *client, accel_req_ctx_create_t *request);
WARN_UNUSED status_t rm_context_query(rm_client_t *client, accel_req_ctx_query_t *request);
// Under the spin: cancels its queued jobs; later submissions are refused. `call_back`: those in
// flight shall come back, too.
void rm_context_close(rm_card_t *card, rm_context_t *context, bool call_back);
// Calls those in flight back and waits for them.
void rm_context_drain(rm_card_t *card, rm_context_t *context);
// Waits for those in flight to end. STATUS_INTERRUPTED: to be called again.
WARN_UNUSED status_t rm_context_end(rm_card_t *card, rm_context_t *context);
void rm_context_destroy(rm_card_t *card, rm_context_t *context);
// No client is in a request: descriptors are given back.
void rm_context_detach(rm_card_t *card);
// Under the spin: lost for good, if it is not already. `fault` may be NULL.
void rm_context_lose(rm_card_t *card, rm_context_t *context, uint32_t reason,
                     const isa_fault_record_t *fault);
// Under the spin: the job ended as SUSPENDED; the context, which has no such launch yet, keeps its
// points.
void rm_context_suspend(rm_context_t *context, rm_job_t *job);
// Under the spin: `job`, a RESUME, signals what the suspended launch owes, too. False: both
// together signal too much.
WARN_UNUSED bool rm_context_take_over(rm_context_t *context, rm_job_t *job);
// Under the spin: the suspended launch ends with `status`, if there is one.
void rm_context_end_suspended(rm_context_t *context, status_t status);
// What the card wrote into the descriptor.
uint32_t rm_context_card_state(const rm_context_t *context);
uint64_t rm_context_card_cycles(const rm_context_t *context);

// --- sync.c ---

WARN_UNUSED status_t rm_sync_create(rm_client_t *client, accel_req_sync_t *request);
WARN_UNUSED status_t rm_sync_request(rm_client_t *client, accel_req_sync_t *request);
void rm_sync_destroy(rm_card_t *card, rm_sync_t *sync);
// Under the spin: the timeline reaches the point, with `status` if that is not OK.
void rm_sync_advance(rm_card_t *card, rm_sync_t *sync, uint64_t value, status_t status);
// Under the spin: how a point came about that was reached.
status_t rm_sync_status(const rm_sync_t *sync, uint64_t value);
// Pumps, then sleeps, until done(what) under the spin. STATUS_TIMEOUT. Waits that are bounded by
// what the watchdog does take no interrupts.
WARN_UNUSED status_t rm_wait(rm_card_t *card, bool (*done)(const void *what), const void *what,
                             uint64_t deadline_ns);
// The same for one that may be long: STATUS_INTERRUPTED.
WARN_UNUSED status_t rm_wait_signals(rm_card_t *card, bool (*done)(const void *what),
                                     const void *what, uint64_t deadline_ns);

// --- fence.c ---

// Under the spin: moves the fences that are due.
void rm_fence_collect(rm_card_t *card, rm_sync_t *sync);
// Under the spin: whether the submission ends in finite time, and so its points may be promised.
WARN_UNUSED status_t rm_fence_check(const rm_job_t *job);
void rm_fence_promise(const rm_job_t *job); // under the spin
// [D][P] Timelines moved or jobs ended: fences are told, waiters woken. Locks: none held.
void rm_progress(rm_card_t *card);

// --- submit.c ---

WARN_UNUSED status_t rm_submit(rm_client_t *client, accel_req_submit_t *request);
// Under the spin: the job is over and may be used again.
void rm_job_keep(rm_card_t *card, rm_job_t *job);
// [P] Frees jobs kept for reuse: but a few, or all.
void rm_jobs_trim(rm_card_t *card);
void rm_jobs_free(rm_card_t *card);
// A packet of rm's own on the COPY node, waited for. `job`: the caller's memory, used meanwhile.
// STATUS_DEVICE_LOST: what the card had in work is over, too; STATUS_IO: it may go on.
WARN_UNUSED status_t rm_submit_own(rm_card_t *card, rm_job_t *job, const isa_ring_packet_t *packet);
// The same; STATUS_INTERRUPTED, as long as the card was not given the packet.
WARN_UNUSED status_t rm_submit_own_signals(rm_card_t *card, rm_job_t *job,
                                           const isa_ring_packet_t *packet);

// --- sched.c ---

// Under the spin, the first three.
void rm_sched_enqueue(rm_card_t *card, rm_job_t *job, bool in_front);
void rm_sched_dequeue(rm_job_t *job);
void rm_sched_push(rm_card_t *card, rm_job_t *job);
// Under the spin: takes a packet of rm's own out of the queue; false: it is not there (any more).
bool rm_sched_withdraw(rm_card_t *card, rm_job_t *job);
// [D][P] Takes in what the card finished, hands it what is ready. Locks: none held.
void rm_sched_pump(rm_card_t *card);
// One round of it. True: another one is due, by the caller or, if he has better to do, by
bool rm_sched_round(rm_card_t *card);
void rm_sched_later(rm_card_t *card); // the watchdog's thread
// For the watchdog's thread: the same, but leaves handing over to a waiter if there is one, since
// a simulated card may do the work inside of it.
void rm_sched_nudge(rm_card_t *card);
// Only takes in what the card finished.
void rm_sched_look(rm_card_t *card);
// [P] Calls back what the node has in flight. False: this card cannot.
bool rm_sched_stop(rm_card_t *card, uint32_t node);
// Under the spin: queued jobs of the context, and its suspended launch, end with `status`.
void rm_sched_cancel(rm_card_t *card, rm_context_t *context, status_t status);
// Asks for an interrupt at the next completion of each node.
void rm_sched_arm(rm_card_t *card);
static inline uint64_t rm_in_flight(const rm_node_t *node) {
    return node->last_fence + 1 - node->first_flight;
}
static inline rm_job_t **rm_flight_of(rm_node_t *node, uint64_t fence) {
    return &node->flight[fence % RM_FLIGHT];
}

// --- settle.c: what comes back from the card; all but the first under the spin ---

void rm_sched_notify(void *card, const hw_notice_t *notice); // [I]
// Takes in what the card told. True: jobs ended.
bool rm_sched_collect(rm_card_t *card);
// The time of what is at the head of the ring counts from now on, if it did not yet.
void rm_sched_begin_head(rm_card_t *card, rm_node_t *node);
// The node was stopped. What is in flight comes back in order, but `aborted` (0: none), whose
// context is lost with `reason`.
void rm_sched_settle(rm_card_t *card, uint32_t node, uint64_t aborted, uint32_t reason);
// Everything ends with DEVICE_LOST.
void rm_sched_end_all(rm_card_t *card);
// It is in no queue and not in flight.
void rm_job_finish(rm_card_t *card, rm_job_t *job, status_t status);
// It may end with its run in the context's save area, or with pieces left to copy.
bool rm_job_may_come_back(const rm_job_t *job);
// What the jobs of a context end with that cannot run any more.
status_t rm_context_loss(const rm_context_t *context);

// --- class.c: who computes next; all under the spin ---

typedef struct rm_choice {
    rm_job_t *job; // NULL: nobody now
    uint64_t quantum;
    bool borrowed;
    bool give_way; // what is in flight shall be preempted first
} rm_choice_t;

WARN_UNUSED status_t rm_class_join(rm_card_t *card, rm_context_t *context); // STATUS_LIMIT
void rm_class_leave(rm_card_t *card, rm_context_t *context);
void rm_class_wake(rm_card_t *card, rm_context_t *context); // it has work after it had none
rm_choice_t rm_class_choose(rm_card_t *card);
void rm_class_began(rm_card_t *card, rm_job_t *job);
void rm_class_ended(rm_card_t *card, rm_job_t *job); // charges it
// After handing over: the clock runs while nothing does.
void rm_class_rest(rm_card_t *card);
typedef enum rm_ready { RM_NOT_YET, RM_READY, RM_NEVER } rm_ready_t;
rm_ready_t rm_sched_readiness(rm_card_t *card, const rm_job_t *job);

// --- copy.c: who copies next, and how much in one piece; all under the spin ---

rm_job_t *rm_copy_choose(rm_card_t *card); // NULL: nobody now
// What of the job goes to the card next; other packets than copies and fills as a whole.
void rm_copy_piece(const rm_job_t *job, isa_ring_packet_t *out_piece);
uint64_t rm_copy_weight(const isa_ring_packet_t *piece);
// Something is left behind the piece.
bool rm_copy_has_more(const rm_job_t *job);
void rm_copy_step(rm_job_t *job); // the piece is done and has more behind it

// --- watchdog.c ---

void rm_watch_run(void *card); // [P] the port's work
// Under the spin: runs at `when` at the latest.
void rm_watch_at(rm_card_t *card, uint64_t when);
// [P] Whoever asks about the card calls this first, with no lock held: if it went away, or was away
// and is back as after power-on, this returns when it is noted as lost.
void rm_watch_check(rm_card_t *card);
// Under the spin: somebody opened the card, and shall hear of what becomes of it.
void rm_watch_open(rm_card_t *card);
void rm_watch_plan(rm_card_t *card); // when it runs next
// Under the spin: there is something to watch.
static inline void rm_watch_start(rm_card_t *card) {
    if (LIKELY(card->watching))
        return;
    card->watching = true;
    rm_watch_at(card, rm_now(card) + card->tick_ns);
}

// --- hold.c: watched time stands while a debugger holds the card, and in timing mode ---

// Under the spin. Never 0.
uint64_t rm_watched_now(rm_card_t *card);
// Under the spin: the wall time at which watched time is `deadline`; PORT_WORK_NEVER: it stands.
uint64_t rm_watch_time(const rm_card_t *card, uint64_t deadline);
// Of a job with `begun_ns`, in watched time.
static inline uint64_t rm_job_deadline(const rm_job_t *job) {
    uint64_t rest = job->timeout_ns > job->spent_ns ? job->timeout_ns - job->spent_ns : 0;
    return rest < PORT_WORK_NEVER - job->begun_ns ? job->begun_ns + rest : PORT_WORK_NEVER;
}
void rm_hold_init(rm_card_t *card); // once the card's features are known
WARN_UNUSED status_t rm_hold_request(rm_client_t *client, const accel_req_hold_t *request);
void rm_hold_end(rm_client_t *client); // if it is this client's

// --- recover.c: in the watchdog's thread, [P] ---

// Resets the node, and if that does not help, the card. The context in work is lost with `reason`.
status_t rm_recover_node(rm_card_t *card, uint32_t node, uint32_t reason);
status_t rm_recover_card(rm_card_t *card, uint32_t reason);
void rm_recover_distrusted(rm_card_t *card); // if it is
// Any other thread, [P]. Has the card reset, and returns when that is over, well or not: what the
// card was told before is forgotten, and it reaches no memory by it.
void rm_recover_distrust(rm_card_t *card);
// Any other thread, [P]. Returns when no reset is going on.
void rm_recover_wait(rm_card_t *card);
void rm_recover_gone(rm_card_t *card); // it does not answer: all clients are lost
// It is taken away from the driver: what is in work is stopped, then all clients are lost. The gate
// is closed from then on, and nobody inside.
void rm_recover_detach(rm_card_t *card);
// Keeps others out of hw. False: somebody is still inside, in the doorbell of a simulated card.
bool rm_recover_close(rm_card_t *card);
void rm_recover_open(rm_card_t *card);
// Has the watchdog's thread do it, once it did what it was asked for before.
status_t rm_recover_ask(rm_card_t *card, rm_order_t order, uint32_t node);
WARN_UNUSED status_t rm_reset_request(rm_client_t *client, const accel_req_reset_t *request);

// --- pages.c ---

void rm_pages_run(void *card);                     // [P] the port's work
void rm_pages_ask(rm_card_t *card, uint64_t when); // [D][P] the card may have bad pages

// --- pm.c ---

void rm_pm_wake(rm_card_t *card); // [P] before work is handed over
void rm_pm_idle(rm_card_t *card); // [P] the watchdog's thread: sleep?
void rm_pm_heat(rm_card_t *card); // [P] too hot to work?
// [P] The watchdog's thread, with the gate closed.
void rm_pm_set(rm_card_t *card, uint32_t state);
WARN_UNUSED status_t rm_pm_telemetry(rm_card_t *card, accel_req_telemetry_t *request);
WARN_UNUSED status_t rm_pm_power(rm_card_t *card, const accel_req_power_t *request);

// --- event.c ---

// Under the spin. `client` may be NULL.
void rm_event(rm_card_t *card, uint32_t kind, uint32_t node, const rm_client_t *client,
              uint32_t code, uint64_t a, uint64_t b);
WARN_UNUSED status_t rm_event_list(rm_card_t *card, accel_req_list_t *request);
WARN_UNUSED status_t rm_event_clients(rm_card_t *card, accel_req_list_t *request);

#endif
