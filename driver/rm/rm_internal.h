// SPDX-License-Identifier: Apache-2.0
// Objects of the resource manager and the calls between its files. Private to this folder.
// Lock order: client mutex, card mutex, vm mutex, scheduler spin (then those of hw).
#ifndef RM_RM_INTERNAL_H
#define RM_RM_INTERNAL_H

#include "driver/hw/hw.h"
#include "driver/rm/rm.h"
#include "isa/program.h"
#include "support/list.h"

// --- Objects ---

typedef enum rm_kind { RM_VM = 1, RM_CTX, RM_BO, RM_SYNC } rm_kind_t;

// `users`: the handle itself, each request in progress, and whatever else refers to the object
// (atomic). An object is destroyed only when the handle is its last user.
typedef struct rm_object {
    rm_kind_t kind;
    uint32_t users;
} rm_object_t;

struct rm_client {
    rm_card_t *card;
    port_mutex_t mutex; // handles
    rm_object_t **objects;
    uint32_t capacity;
    uint64_t seq;       // atomic
    uint32_t abandoned; // atomic: nobody is there any more who would wait
};

// A piece of card memory, free or of a buffer.
typedef struct rm_extent {
    list_node_t link;
    uint64_t address, bytes;
} rm_extent_t;

typedef struct rm_bo {
    rm_object_t object;
    uint64_t bytes;
    list_node_t extents; // card memory
    port_pin_t *pin;     // or pinned host memory
    bool read_only;
} rm_bo_t;

// Page table with the tables below it (NULL at level 0).
typedef struct rm_table {
    port_dma_t dma;
    struct rm_table **below;
} rm_table_t;

typedef struct rm_vm {
    rm_object_t object;
    uint32_t asid;
    port_mutex_t mutex; // tables and bindings
    rm_table_t *root;
    list_node_t bindings;
} rm_vm_t;

typedef struct rm_sync {
    rm_object_t object;
    // Under the scheduler spin.
    uint64_t value;
    uint64_t suspended_at; // the point whose submission is suspended, or 0
    status_t status;       // sticky once not OK: a point that will never truly be reached
} rm_sync_t;

typedef struct rm_context {
    rm_object_t object;
    rm_vm_t *vm;
    port_dma_t descriptor;
    list_node_t save; // extents
    // Under the scheduler spin.
    uint32_t state; // ACCEL_CTX_*
    uint32_t n_jobs, n_flight;
    uint32_t flight_node; // of those in flight
    uint64_t blocked;     // dispatch round in which an earlier job had to stay behind
    bool closing;
    bool holding; // the one in flight may suspend: a launch behind it would overwrite what it saves
    uint64_t heap_need;
    isa_fault_record_t fault;
} rm_context_t;

// --- Jobs ---

typedef struct rm_point {
    rm_sync_t *sync;
    uint64_t value;
} rm_point_t;

// One packet on its way: pending until its points are reached, then in flight, then done.
typedef struct rm_job {
    list_node_t link;
    rm_context_t *context; // NULL: a packet of rm's own, whose caller waits and frees
    uint32_t node;
    uint32_t n_in, n_out;
    bool resume, may_suspend;
    rm_point_t in[ACCEL_SUBMIT_MAX_SYNCS];
    rm_point_t out[ACCEL_SUBMIT_MAX_SYNCS];
    isa_ring_packet_t packet;
    // Written in the interrupt, `news` last.
    uint64_t fence, info;
    isa_fault_record_t fault;
    uint32_t cause;
    uint32_t news; // 0, or 1 + hw_notice_kind_t
    // Under the scheduler spin.
    bool finished;
    status_t result;
} rm_job_t;

#define RM_FLIGHT 128u // packets in flight a node; below hw's credit
#define RM_JOBS   4096u
#define RM_ASIDS  0xffffu

typedef struct rm_node {
    uint64_t last_fence;         // under the scheduler spin
    uint64_t first_flight;       // oldest fence not retired
    rm_job_t *flight[RM_FLIGHT]; // by fence
} rm_node_t;

struct rm_card {
    port_t *port;
    hw_device_t *hw;
    port_mutex_t mutex; // card memory, address space ids
    list_node_t free;   // extents by address
    uint64_t free_bytes;
    uint32_t asids[RM_ASIDS / 32 + 1];

    port_spin_t sched; // jobs, contexts' and timelines' states
    list_node_t pending, idle;
    uint32_t n_jobs; // made
    uint64_t round;
    rm_node_t nodes[ISA_NODE_COUNT];
    port_event_t progress; // set when a job finished or a timeline moved
    uint32_t gone;
    uint32_t ready; // steps of rm_card_start that were taken
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

// --- client.c ---

WARN_UNUSED status_t rm_client_add(rm_client_t *client, rm_object_t *object, rm_kind_t kind,
                                   uint32_t *out_handle);
// With one more user, or NULL.
void *rm_client_get(rm_client_t *client, uint32_t handle, rm_kind_t kind);
void rm_put(rm_object_t *object);
// Takes an object out of the table to be destroyed. STATUS_NOT_FOUND, STATUS_BUSY.
WARN_UNUSED status_t rm_client_take(rm_client_t *client, uint32_t handle, rm_kind_t kind,
                                    rm_object_t **out_object);

// --- check.c: what a request may say, before anybody acts on it ---

WARN_UNUSED status_t rm_check(const accel_req_t *request, size_t bytes);
WARN_UNUSED status_t rm_check_bind(const accel_req_bind_t *request, const rm_bo_t *bo);
WARN_UNUSED status_t rm_check_submit(const accel_req_submit_t *request);

// --- mem.c ---

WARN_UNUSED status_t rm_mem_init(rm_card_t *card, uint64_t bytes);
void rm_mem_deinit(rm_card_t *card);
// Multiples of 4 KiB; few pieces, large ones 2 MiB aligned. Not zeroed.
WARN_UNUSED status_t rm_mem_alloc(rm_card_t *card, uint64_t bytes, list_node_t *extents);
void rm_mem_free(rm_card_t *card, list_node_t *extents);
WARN_UNUSED status_t rm_mem_scrub(rm_card_t *card, const list_node_t *extents);

// --- bo.c ---

WARN_UNUSED status_t rm_bo_create(rm_client_t *client, accel_req_bo_create_t *request);
WARN_UNUSED status_t rm_bo_from_user(rm_client_t *client, accel_req_bo_from_user_t *request);
void rm_bo_destroy(rm_card_t *card, rm_bo_t *bo);
// The contiguous piece at `offset`.
port_run_t rm_bo_run(rm_card_t *card, const rm_bo_t *bo, uint64_t offset);

// --- vm.c, table.c ---

WARN_UNUSED status_t rm_vm_create(rm_client_t *client, accel_req_handle_t *request);
// STATUS_BUSY while something is bound.
WARN_UNUSED status_t rm_vm_bind(rm_client_t *client, const accel_req_bind_t *request);
void rm_vm_destroy(rm_card_t *card, rm_vm_t *vm); // takes bindings out
rm_table_t *rm_table_create(rm_card_t *card, bool is_last);
void rm_table_destroy(rm_card_t *card, rm_table_t *root);
// Under the vm mutex. On failure nothing of the range is mapped.
WARN_UNUSED status_t rm_table_map(rm_card_t *card, rm_table_t *root, const rm_bo_t *bo,
                                  uint64_t offset, uint64_t va, uint64_t bytes, uint32_t pte_flags);
void rm_table_unmap(rm_table_t *root, uint64_t va, uint64_t bytes);

// --- context.c ---

WARN_UNUSED status_t rm_context_create(rm_client_t *client, accel_req_ctx_create_t *request);
WARN_UNUSED status_t rm_context_query(rm_client_t *client, accel_req_ctx_query_t *request);
// Cancels its pending jobs and waits for those in flight; later submissions are refused.
void rm_context_drain(rm_card_t *card, rm_context_t *context);
void rm_context_destroy(rm_card_t *card, rm_context_t *context);

// --- sync.c ---

WARN_UNUSED status_t rm_sync_create(rm_client_t *client, accel_req_sync_t *request);
WARN_UNUSED status_t rm_sync_request(rm_client_t *client, accel_req_sync_t *request);
void rm_sync_destroy(rm_card_t *card, rm_sync_t *sync);
// Under the scheduler spin: the timeline reaches the point, with `status` if that is not OK.
void rm_sync_advance(rm_sync_t *sync, uint64_t value, status_t status);

// --- submit.c ---

WARN_UNUSED status_t rm_submit(rm_client_t *client, accel_req_submit_t *request);
// A packet of rm's own on the COPY node, waited for.
WARN_UNUSED status_t rm_submit_own(rm_card_t *card, const isa_ring_packet_t *packet);

// --- sched.c ---

void rm_sched_notify(void *card, const hw_notice_t *notice); // [I]
void rm_sched_push(rm_card_t *card, rm_job_t *job);
// [D][P] Takes in what the card finished, hands it what is ready. Locks: none held.
void rm_sched_pump(rm_card_t *card);
// Under the scheduler spin: pending jobs of the context end with `status`.
void rm_sched_cancel(rm_card_t *card, const rm_context_t *context, status_t status);
// Asks for an interrupt at the next completion of each node.
void rm_sched_arm(rm_card_t *card);

// Pumps, then sleeps, until done(what) under the scheduler spin. STATUS_TIMEOUT,
// STATUS_DEVICE_LOST.
WARN_UNUSED status_t rm_wait(rm_card_t *card, bool (*done)(const void *what), const void *what,
                             uint64_t deadline_ns);

#endif
