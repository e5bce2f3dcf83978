// SPDX-License-Identifier: Apache-2.0
// Submissions and timelines: work that is done, waits, suspends, faults and is cancelled.
#include <string.h>

#include "tests/fault/scenario.h"

static uint64_t word_at(const world_t *w, uint32_t offset) {
    uint64_t word;
    memcpy(&word, w->memory + offset, sizeof word);
    return word;
}

// --- Timelines ---

static status_t wait_reached(world_t *w) { return ask_wait(w, w->sync, 0, UINT64_MAX); }
static status_t wait_long(world_t *w) { return ask_wait(w, w->gate, 5, 200000); }
static status_t wait_bad(world_t *w) { return ask_wait(w, NO_HANDLE, 0, 0); }
static status_t wait_last(world_t *w) { return ask_wait(w, w->sync, w->point, UINT64_MAX); }
static status_t signal_next(world_t *w) {
    status_t status = ask_signal(w, w->gate, w->number + 1);
    w->number += status == STATUS_OK;
    return status;
}
static status_t signal_back(world_t *w) { return ask_signal(w, w->gate, 0); }
static status_t query_sync(world_t *w, uint32_t sync) {
    accel_req_sync_t request = {.handle = sync};
    status_t status = ASK(w, request, ACCEL_REQ_SYNC_QUERY);
    if (status == STATUS_OK)
        SAME(w, request.value, w->point);
    return status;
}
static status_t query(world_t *w) { return query_sync(w, w->sync); }
static status_t query_bad(world_t *w) { return query_sync(w, w->vm); }

// --- Work that is done ---

static status_t copy(world_t *w) { return ask_copy(w, w->context, CARD_VA, DATA_VA); }
static status_t copy_and_wait(world_t *w) {
    RETURN_IF_ERROR(copy(w));
    return wait_last(w);
}
static status_t run(world_t *w) { return ask_run(w, w->context, IB_STORE, 0); }
static status_t run_and_wait(world_t *w) {
    RETURN_IF_ERROR(run(w));
    return wait_last(w);
}
static void was_stored(world_t *w) {
    MUST(w, wait_last(w));
    SAME(w, word_at(w, STORE_AT), STORED);
}

// With all it may have: points on both sides and a list of buffers.
static status_t submit_full(world_t *w, uint32_t last_bo) {
    uint32_t bos[] = {w->card_bo, w->data_bo, last_bo};
    accel_req_submit_t request = {
        .ctx = w->context,
        .node = ACCEL_NODE_COMPUTE,
        .n_in = 2,
        .n_out = 1,
        .ib = DATA_VA + IB_STORE,
        .bytes = ISA_IB_LAUNCH_BYTES,
        .n_bos = COUNT_OF(bos),
        .bos = (uint64_t)(uintptr_t)bos,
        .in = {{.sync = w->sync, .value = w->point}, {.sync = w->gate}},
        .out = {{.sync = w->sync, .value = w->point + 1}},
    };
    status_t status = ASK(w, request, ACCEL_REQ_SUBMIT);
    w->point += status == STATUS_OK;
    return status;
}
static status_t run_full(world_t *w) { return submit_full(w, w->code_bo); }
static status_t run_bad_bo(world_t *w) { return submit_full(w, NO_HANDLE); }
static status_t run_no_context(world_t *w) { return ask_run(w, NO_HANDLE, IB_STORE, 0); }
static status_t run_no_sync(world_t *w) {
    accel_req_submit_t request = {.ctx = w->context,
                                  .node = ACCEL_NODE_COPY,
                                  .bytes = 8,
                                  .rows = 1,
                                  .n_in = 1,
                                  .n_out = 2,
                                  .in = {{.sync = w->gate}},
                                  .out = {{.sync = w->sync, .value = 9}, {.sync = w->vm}}};
    return ASK(w, request, ACCEL_REQ_SUBMIT);
}

// --- Work that waits ---

static status_t submit_gated(world_t *w, uint32_t context) {
    accel_req_submit_t request = {
        .ctx = context,
        .node = ACCEL_NODE_COPY,
        .dst = CARD_VA,
        .src = DATA_VA,
        .bytes = 64,
        .rows = 1,
        .n_in = 1,
        .n_out = 1,
        .in = {{.sync = w->gate, .value = 1000}},
        .out = {{.sync = w->sync, .value = w->point + 1}},
    };
    status_t status = ASK(w, request, ACCEL_REQ_SUBMIT);
    w->point += status == STATUS_OK;
    return status;
}
static status_t run_gated(world_t *w) { return submit_gated(w, w->context); }
static void leave_pending(world_t *w) {
    MUST(w, ask_context(w, w->vm, &w->handle));
    for (int i = 0; i < 3; i++)
        MUST(w, submit_gated(w, w->handle));
}
static status_t destroy_context(world_t *w) {
    return ask_handle(w, ACCEL_REQ_CTX_DESTROY, w->handle);
}
static void was_cancelled(world_t *w) {
    SAME(w, ask_wait(w, w->sync, w->point, UINT64_MAX), STATUS_CONTEXT_LOST);
}
static void open_gate_later(world_t *w) {
    MUST(w, submit_gated(w, w->context));
    w->number = 999;
}
static void gate_let_through(world_t *w) { MUST(w, wait_last(w)); }

// Another client with one of everything and work that never begins.
static void furnish_other(world_t *w) {
    world_t other = *w;
    MUST(w, rm_client_open(w->rm, NULL, &w->other));
    other.client = w->other;
    world_furnish(&other);
    for (int i = 0; i < 3; i++)
        MUST(w, submit_gated(&other, other.context));
}
// ... and of that very much. `number`: pieces of memory before it came.
#define QUEUED 1000
#define KEPT   256 // jobs that stay for reuse, at most
static void furnish_busy_other(world_t *w) {
    port_fault_books_t books;
    port_fault_books(w->fault, &books);
    w->number = books.open[PORT_FAULT_MEM_ALLOC];
    furnish_other(w);
    world_t other = *w;
    other.client = w->other;
    for (int i = 0; i < QUEUED; i++)
        MUST(w, submit_gated(&other, other.context));
    port_fault_books(w->fault, &books);
    SO(w, books.open[PORT_FAULT_MEM_ALLOC] > w->number + QUEUED);
}
static void few_jobs_are_kept(world_t *w) {
    port_fault_books_t books;
    port_fault_books(w->fault, &books);
    SO(w, books.open[PORT_FAULT_MEM_ALLOC] <= w->number + KEPT);
}
static status_t close_other(world_t *w) {
    rm_client_close(w->other);
    w->other = NULL;
    return STATUS_OK;
}

// --- Heaps ---

static status_t run_heap(world_t *w) {
    return ask_run(w, w->context, IB_HEAP, ACCEL_SUBMIT_MAY_SUSPEND);
}
static void suspend(world_t *w) {
    MUST(w, run_heap(w));
    SAME(w, wait_last(w), STATUS_SUSPENDED);
}
static status_t resume(world_t *w) {
    return ask_run(w, w->context, IB_RESUME, ACCEL_SUBMIT_RESUME);
}
// More than were ever done with: none is kept that a RESUME could find by chance.
#define JOBS_TAKEN 20
static void suspend_and_take_jobs(world_t *w) {
    accel_req_submit_t gated = {.node = ACCEL_NODE_COPY,
                                .dst = CARD_VA,
                                .src = DATA_VA,
                                .bytes = 64,
                                .rows = 1,
                                .n_in = 1,
                                .in = {{.sync = w->gate, .value = 1000}}};
    suspend(w);
    MUST(w, ask_context(w, w->vm, &gated.ctx));
    for (int i = 0; i < JOBS_TAKEN; i++)
        MUST(w, ASK(w, gated, ACCEL_REQ_SUBMIT));
}
static void was_granted(world_t *w) {
    MUST(w, wait_last(w));
    SAME(w, word_at(w, HEAP_AT), 1);
}
static status_t resume_unsuspended(world_t *w) { return resume(w); }
// The job is there for the next try, too.
static status_t resume_at_second_try(world_t *w) {
    uint32_t sync = w->sync;
    w->sync = NO_HANDLE;
    SAME(w, resume(w), STATUS_NOT_FOUND);
    w->sync = sync;
    return resume(w);
}

// As the runtime does it: suspended, memory committed, resumed, memory taken back.
static status_t grow_heap(world_t *w) {
    accel_req_ctx_query_t ask = {.handle = w->context};
    uint32_t heap = 0;
    bool bound = false;
    RETURN_IF_ERROR(ASK(w, ask, ACCEL_REQ_CTX_QUERY));
    if (ask.state != ACCEL_CTX_SUSPENDED) {
        RETURN_IF_ERROR(run_heap(w));
        status_t suspended = wait_last(w);
        if (suspended != STATUS_SUSPENDED)
            return suspended;
    }
    status_t status = ask_bo(w, HEAP_BYTES, &heap);
    if (status == STATUS_OK)
        status = ask_bind(w, w->vm, heap, ISA_VA_HEAP, HEAP_BYTES, ACCEL_PROT_WRITE);
    bound = status == STATUS_OK;
    if (status == STATUS_OK)
        status = resume(w);
    if (status == STATUS_OK)
        status = wait_last(w);
    if (status == STATUS_OK)
        SAME(w, word_at(w, HEAP_AT), 1);
    if (bound)
        bound = world_still_bound(w, ask_unbind(w, w->vm, ISA_VA_HEAP));
    if (heap != 0 && !bound)
        MUST(w, ask_handle(w, ACCEL_REQ_BO_DESTROY, heap));
    return status;
}

static void suspend_another(world_t *w) {
    MUST(w, ask_context(w, w->vm, &w->handle));
    MUST(w, ask_run(w, w->handle, IB_HEAP, ACCEL_SUBMIT_MAY_SUSPEND));
    SAME(w, wait_last(w), STATUS_SUSPENDED);
}

// --- Faults ---

static status_t run_wild(world_t *w) {
    uint32_t context = 0;
    RETURN_IF_ERROR(ask_context(w, w->vm, &context));
    uint32_t sync = w->sync, own = 0;
    uint64_t point = w->point;
    status_t status = ask_sync(w, &own);
    w->sync = own;
    w->point = 0;
    if (status == STATUS_OK)
        status = ask_run(w, context, IB_FAULT, 0);
    if (status == STATUS_OK)
        status = wait_last(w);
    accel_req_ctx_query_t ask = {.handle = context};
    if (status == STATUS_CONTEXT_LOST && ASK(w, ask, ACCEL_REQ_CTX_QUERY) == STATUS_OK) {
        SAME(w, ask.state, ACCEL_CTX_LOST);
        SO(w, ask_run(w, context, IB_STORE, 0) != STATUS_OK);
    }
    MUST(w, ask_handle(w, ACCEL_REQ_CTX_DESTROY, context));
    if (own != 0)
        MUST(w, ask_handle(w, ACCEL_REQ_SYNC_DESTROY, own));
    w->sync = sync;
    w->point = point;
    return status;
}

static void lose_another(world_t *w) {
    MUST(w, ask_context(w, w->vm, &w->handle));
    MUST(w, ask_run(w, w->handle, IB_FAULT, 0));
    SAME(w, wait_last(w), STATUS_CONTEXT_LOST);
}
static status_t resume_lost(world_t *w) {
    return ask_run(w, w->handle, IB_RESUME, ACCEL_SUBMIT_RESUME);
}
static status_t run_lost(world_t *w) { return ask_run(w, w->handle, IB_STORE, 0); }
static status_t query_lost(world_t *w) {
    accel_req_ctx_query_t request = {.handle = w->handle};
    status_t status = ASK(w, request, ACCEL_REQ_CTX_QUERY);
    SAME(w, request.state, ACCEL_CTX_LOST);
    return status;
}

#define REQ(name) ACCEL_REQ_##name

static const scenario_t rows[] = {
    {"wait for a reached point", REQ(SYNC_WAIT), STATUS_OK, NO_CALLS, NULL, wait_reached, NULL},
    {"... until the time is up", REQ(SYNC_WAIT), STATUS_TIMEOUT, NO_CALLS | POSTED, NULL, wait_long,
     NULL},
    {"... of no timeline", REQ(SYNC_WAIT), STATUS_NOT_FOUND, NO_CALLS, NULL, wait_bad, NULL},
    {"... of a suspended launch", REQ(SYNC_WAIT), STATUS_SUSPENDED, NO_CALLS, suspend, wait_last,
     NULL},
    {"... of a lost context", REQ(SYNC_WAIT), STATUS_CONTEXT_LOST, NO_CALLS, lose_another,
     wait_last, NULL},
    {"signal a point", REQ(SYNC_SIGNAL), STATUS_OK, NO_CALLS, NULL, signal_next, NULL},
    {"... that lets work through", REQ(SYNC_SIGNAL), STATUS_OK, NO_CALLS | ONCE | POSTED,
     open_gate_later, signal_next, gate_let_through},
    {"... behind the last", REQ(SYNC_SIGNAL), STATUS_INVALID, NO_CALLS, NULL, signal_back, NULL},
    {"ask a timeline", REQ(SYNC_QUERY), STATUS_OK, NO_CALLS, NULL, query, NULL},
    {"... that is none", REQ(SYNC_QUERY), STATUS_NOT_FOUND, NO_CALLS, NULL, query_bad, NULL},
    {"submit a copy", REQ(SUBMIT), STATUS_OK, 0, NULL, copy, gate_let_through},
    {"... and wait", REQ(SUBMIT), STATUS_OK, POSTED, NULL, copy_and_wait, NULL},
    {"submit a program", REQ(SUBMIT), STATUS_OK, 0, NULL, run, was_stored},
    {"... and wait", REQ(SUBMIT), STATUS_OK, POSTED, NULL, run_and_wait, was_stored},
    {"... with points and buffers", REQ(SUBMIT), STATUS_OK, 0, NULL, run_full, was_stored},
    {"... with a buffer that is none", REQ(SUBMIT), STATUS_NOT_FOUND, 0, NULL, run_bad_bo, NULL},
    {"... with a timeline that is none", REQ(SUBMIT), STATUS_NOT_FOUND, 0, NULL, run_no_sync, NULL},
    {"... in no context", REQ(SUBMIT), STATUS_NOT_FOUND, 0, NULL, run_no_context, NULL},
    {"... that waits", REQ(SUBMIT), STATUS_OK, 0, NULL, run_gated, NULL},
    {"... that may suspend", REQ(SUBMIT), STATUS_OK, ONCE, NULL, run_heap, NULL},
    {"resume", REQ(SUBMIT), STATUS_OK, NO_CALLS | ONCE | POSTED, suspend, resume, was_granted},
    {"... with no job kept", REQ(SUBMIT), STATUS_OK, NO_CALLS | ONCE | POSTED,
     suspend_and_take_jobs, resume, was_granted},
    {"... wrongly, then well", REQ(SUBMIT), STATUS_OK, NO_CALLS | ONCE, suspend,
     resume_at_second_try, was_granted},
    {"... what is not suspended", REQ(SUBMIT), STATUS_INVALID, NO_CALLS, NULL, resume_unsuspended,
     NULL},
    {"... in a lost context", REQ(SUBMIT), STATUS_CONTEXT_LOST, NO_CALLS, lose_another, resume_lost,
     NULL},
    {"submit to a lost context", REQ(SUBMIT), STATUS_CONTEXT_LOST, 0, lose_another, run_lost, NULL},
    {"query a lost context", REQ(CTX_QUERY), STATUS_OK, NO_CALLS, lose_another, query_lost, NULL},
    {"destroy a lost context", REQ(CTX_DESTROY), STATUS_OK, NO_CALLS | ONCE, lose_another,
     destroy_context, NULL},
    {"destroy a suspended context", REQ(CTX_DESTROY), STATUS_OK, NO_CALLS | ONCE, suspend_another,
     destroy_context, NULL},
    {"destroy a context with work pending", REQ(CTX_DESTROY), STATUS_OK, NO_CALLS | ONCE | POSTED,
     leave_pending, destroy_context, was_cancelled},
    {"a heap grows", 0, STATUS_OK, TOLERANT | POSTED, NULL, grow_heap, NULL},
    {"a program faults", 0, STATUS_CONTEXT_LOST, TOLERANT | POSTED, NULL, run_wild, NULL},
    {"close a client with everything open", 0, STATUS_OK, NO_CALLS | ONCE | POSTED, furnish_other,
     close_other, NULL},
    {"close a client that queued much", 0, STATUS_OK, NO_CALLS | ONCE, furnish_busy_other,
     close_other, few_jobs_are_kept},
};

const scenario_list_t scenarios_work = {rows, COUNT_OF(rows)};
