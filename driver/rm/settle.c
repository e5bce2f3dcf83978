// SPDX-License-Identifier: Apache-2.0
// What comes back from the card, and what becomes of it. What is given back unfinished goes to the
// front of its context's queue.
#include "driver/rm/rm_internal.h"

// --- News from the card ---

static void tell_job(rm_node_t *node, const hw_notice_t *notice) {
    rm_job_t *job = LOAD_ACQUIRE(rm_flight_of(node, notice->fence));
    if (job == NULL || job->fence != notice->fence)
        return; // of nobody
    job->info = notice->info;
    job->cause = notice->cause;
    job->has_record = notice->fault != NULL;
    if (notice->fault != NULL)
        job->fault = *notice->fault;
    else
        job->fault = (isa_fault_record_t){.cause = (uint16_t)notice->cause};
    STORE_RELEASE(&job->news, 1u + (uint32_t)notice->kind);
}

void rm_sched_notify(void *user, const hw_notice_t *notice) {
    rm_card_t *card = user;
    rm_node_t *node = &card->nodes[notice->node % ISA_NODE_COUNT];
    switch (notice->kind) {
    case HW_NOTICE_GONE:
        STORE_RELEASE(&card->gone, 1u);
        break;
    case HW_NOTICE_ALARM:
        (void)ATOMIC_OR(&card->alarms, (uint32_t)notice->info);
        break;
    case HW_NOTICE_CORRUPT:
        (void)ATOMIC_ADD(&node->corrupted, 1u);
        break;
    case HW_NOTICE_PREEMPTED:
        STORE_RELEASE(&node->answered, (uint32_t)notice->info);
        break;
    default:
        tell_job(node, notice);
        break;
    }
}

// --- The end of a job; all under the spin ---

static void release(rm_card_t *card, rm_job_t *job) {
    for (uint32_t i = 0; i < job->n_in; i++)
        rm_put(&job->in[i].sync->object);
    for (uint32_t i = 0; i < job->n_out; i++)
        rm_put(&job->out[i].sync->object);
    card->n_live--;
    job->finished = true;
    if (job->context == NULL)
        return;
    job->context->n_jobs--;
    job->context->client->n_jobs--;
    rm_put(&job->context->object);
}

void rm_job_finish(rm_card_t *card, rm_job_t *job, status_t status) {
    bool is_own = job->context == NULL;
    job->result = status;
    for (uint32_t i = 0; i < job->n_out; i++)
        rm_sync_advance(card, job->out[i].sync, job->out[i].value, status);
    release(card, job);
    if (!is_own) // else its caller has it
        rm_job_keep(card, job);
}

status_t rm_context_loss(const rm_context_t *context) {
    return rm_client_is_lost(context->client) ? STATUS_DEVICE_LOST : STATUS_CONTEXT_LOST;
}

static bool is_over(const rm_context_t *context) {
    return context->closing || context->state == ACCEL_CTX_LOST;
}

static void suspend(rm_card_t *card, rm_job_t *job) {
    rm_context_suspend(job->context, job);
    release(card, job);
}

bool rm_job_may_come_back(const rm_job_t *job) {
    return job->may_suspend || job->quantum != 0 || rm_copy_has_more(job);
}

// The job left the ring.
static void left(rm_card_t *card, rm_job_t *job) {
    job->news = 0;
    card->nodes[job->node].weight -= job->weight;
    job->weight = 0;
    if (job->context == NULL)
        return;
    rm_class_ended(card, job);
    job->context->n_flight--;
    if (rm_job_may_come_back(job))
        job->context->holding = false;
    if (job->begun_ns != 0)
        job->spent_ns += rm_watched_now(card) - job->begun_ns;
    job->begun_ns = 0;
}

static bool is_out_of_time(const rm_job_t *job) {
    return job->timeout_ns != 0 && job->spent_ns >= job->timeout_ns;
}

// Unfinished: it runs again, or goes on, before all else of its context.
static void come_back(rm_card_t *card, rm_job_t *job) {
    rm_context_t *context = job->context;
    if (context != NULL && is_out_of_time(job) && !is_over(context)) {
        rm_event(card, ACCEL_EVENT_HANG, job->node, context->client, 1, job->fence, 0);
        card->nodes[job->node].late = job->fence;
        rm_context_lose(card, context, ACCEL_LOST_TIMEOUT, NULL);
    }
    if (context != NULL && is_over(context))
        rm_job_finish(card, job, rm_context_loss(context));
    else
        rm_sched_enqueue(card, job, true);
}

static void lose(rm_card_t *card, rm_job_t *job, uint32_t reason, const isa_fault_record_t *fault) {
    if (job->context == NULL) {
        rm_job_finish(card, job, STATUS_IO);
        return;
    }
    rm_context_lose(card, job->context, reason, fault);
    rm_job_finish(card, job, rm_context_loss(job->context));
}

static void lose_by_fault(rm_card_t *card, rm_job_t *job) {
    bool is_ecc = job->cause == ISA_FAULT_ECC;
    lose(card, job, is_ecc ? ACCEL_LOST_ECC : ACCEL_LOST_FAULT, &job->fault);
}

// Nobody was told that it may: what is behind it in the ring uses its save area, and a fenced point
// must not wait for memory.
static void lose_unmarked(rm_card_t *card, rm_job_t *job) {
    isa_fault_record_t fault = {
        .cause = ISA_FAULT_BAD_ECALL,
        .node = (uint8_t)job->node,
        .core = ISA_FAULT_NO_CORE,
        .engine = ISA_FAULT_ENGINE_HART,
        .asid = (uint16_t)job->context->vm->asid,
        .insn = UINT16_MAX,
        .fence = job->fence,
        .value = ISA_ECALL_HEAP,
        .onnx_node = UINT64_MAX,
    };
    lose(card, job, ACCEL_LOST_FAULT, &fault);
}

// Only a launch can, and only one of its context: on what the context has of that one already
// others wait.
static void suspended(rm_card_t *card, rm_job_t *job) {
    const rm_context_t *context = job->context;
    if (context == NULL || job->node != ISA_NODE_COMPUTE || context->suspended != NULL ||
        context->n_owed > 0)
        lose(card, job, ACCEL_LOST_CARD_ERROR, NULL);
    else if (!job->may_suspend)
        lose_unmarked(card, job);
    else
        suspend(card, job);
}

// The card is through with the job, and how it ended is not known. A context with nothing else in
// flight has its descriptor to tell; what was never read from its slot, and packets of rm's own,
// can be run again.
#define MAX_TRIES 3u
static bool may_run_again(const rm_job_t *job, bool moved) {
    const rm_context_t *context = job->context;
    if (context == NULL)
        return true;
    if (context->n_flight != 1)
        return false;
    return job->cause == ISA_FAULT_PACKET_BUS ||
           (job->node == ISA_NODE_COMPUTE && !moved &&
            rm_context_card_state(context) != ISA_CTX_STATE_LOST &&
            rm_context_card_state(context) != ISA_CTX_STATE_SUSPENDED);
}

// What the descriptor says became of it, or FAULT.
static hw_notice_kind_t kind_by_descriptor(const rm_job_t *job, bool moved) {
    const rm_context_t *context = job->context;
    if (!moved || job->node != ISA_NODE_COMPUTE || context->n_flight != 1)
        return HW_NOTICE_FAULT;
    switch (rm_context_card_state(context)) {
    case ISA_CTX_STATE_READY:
        return HW_NOTICE_DONE;
    case ISA_CTX_STATE_PREEMPTED:
        return HW_NOTICE_EXPIRED;
    default:
        return HW_NOTICE_FAULT;
    }
}

// In turn with others: rm's own go behind each other.
static void next_piece(rm_card_t *card, rm_job_t *job) {
    rm_copy_step(job);
    job->tries = 0;
    if (job->context != NULL)
        come_back(card, job);
    else
        rm_sched_enqueue(card, job, false);
}

static void retire(rm_card_t *card, rm_job_t *job, hw_notice_kind_t kind) {
    rm_context_t *context = job->context;
    bool over = context != NULL && is_over(context);
    left(card, job);
    switch (kind) {
    case HW_NOTICE_DONE:
        if (UNLIKELY(rm_copy_has_more(job)))
            next_piece(card, job);
        else
            rm_job_finish(card, job,
                          context != NULL && context->state == ACCEL_CTX_LOST
                              ? rm_context_loss(context)
                              : STATUS_OK);
        break;
    case HW_NOTICE_SUSPENDED:
        if (over)
            rm_job_finish(card, job, rm_context_loss(context));
        else
            suspended(card, job);
        break;
    case HW_NOTICE_EXPIRED:
        job->go_on = true;
        come_back(card, job);
        break;
    case HW_NOTICE_FAULT:
        lose_by_fault(card, job);
        break;
    default: // ABORTED: the card holds its context for lost, and rm does not know why
        lose(card, job, ACCEL_LOST_CARD_ERROR, NULL);
        break;
    }
}

static void judge(rm_card_t *card, rm_job_t *job) {
    const rm_context_t *context = job->context;
    bool moved = context != NULL && rm_context_card_cycles(context) != context->reported;
    hw_notice_kind_t kind = context != NULL ? kind_by_descriptor(job, moved) : HW_NOTICE_FAULT;
    if (kind != HW_NOTICE_FAULT) {
        retire(card, job, kind);
    } else if (may_run_again(job, moved) && ++job->tries <= MAX_TRIES) {
        left(card, job);
        come_back(card, job);
    } else {
        left(card, job);
        lose(card, job, ACCEL_LOST_CARD_ERROR, NULL);
    }
}

// --- Taking in; under the spin ---

// The oldest in flight leaves the ring's books.
static rm_job_t *pop_flight(rm_node_t *node) {
    rm_job_t **slot = rm_flight_of(node, node->first_flight++);
    rm_job_t *job = *slot;
    STORE_RELEASE(slot, NULL);
    return job;
}

static bool is_unknown(const rm_job_t *job, hw_notice_kind_t kind) {
    return kind == HW_NOTICE_FAULT && (job->cause == ISA_FAULT_PACKET_BUS ||
                                       (job->cause == ISA_FAULT_INTERNAL && !job->has_record));
}

// False: the card told nothing of the oldest in flight yet.
static bool retire_oldest(rm_card_t *card, rm_node_t *node) {
    uint32_t news = LOAD_ACQUIRE(&(*rm_flight_of(node, node->first_flight))->news);
    if (news == 0)
        return false;
    rm_job_t *job = pop_flight(node);
    hw_notice_kind_t kind = (hw_notice_kind_t)(news - 1);
    if (UNLIKELY(is_unknown(job, kind)))
        judge(card, job);
    else
        retire(card, job, kind);
    return true;
}

// Only what comes to the head of a ring has its time counted, and only if that is limited.
void rm_sched_begin_head(rm_card_t *card, rm_node_t *node) {
    if (rm_in_flight(node) == 0)
        return;
    rm_job_t *job = *rm_flight_of(node, node->first_flight);
    if (job->timeout_ns == 0 || job->begun_ns != 0)
        return;
    job->begun_ns = rm_watched_now(card);
    rm_watch_at(card, rm_watch_time(card, rm_job_deadline(job)));
}

void rm_sched_settle(rm_card_t *card, uint32_t number, uint64_t aborted, uint32_t reason) {
    rm_node_t *node = &card->nodes[number];
    while (rm_in_flight(node) > 0 && retire_oldest(card, node))
        continue;
    for (uint64_t fence = node->last_fence; fence >= node->first_flight; fence--) {
        rm_job_t *job = *rm_flight_of(node, fence);
        STORE_RELEASE(rm_flight_of(node, fence), NULL);
        left(card, job);
        // The oldest of its context may have been in work; what has not begun is as it was.
        if (job->context != NULL && job->context->n_flight == 0 &&
            rm_context_card_state(job->context) == ISA_CTX_STATE_PREEMPTED)
            job->go_on = true;
        if (fence == aborted && job->context != NULL)
            lose(card, job, reason, NULL);
        else if (fence == aborted && ++job->tries > MAX_TRIES)
            rm_job_finish(card, job, STATUS_IO);
        else
            come_back(card, job);
    }
    node->first_flight = node->last_fence + 1;
}

// A completion entry that held nonsense: hw asks registers what it stood for.
static void look_for_nonsense(rm_card_t *card, uint32_t number) {
    rm_node_t *node = &card->nodes[number];
    uint32_t corrupted = LOAD_ACQUIRE(&node->corrupted);
    if (LIKELY(node->corrupt == corrupted))
        return;
    node->corrupt = corrupted;
    rm_event(card, ACCEL_EVENT_CORRUPT, number, NULL, 0, 0, 0);
    rm_watch_at(card, 0);
}

static bool collect_node(rm_card_t *card, uint32_t number) {
    rm_node_t *node = &card->nodes[number];
    bool any = false;
    look_for_nonsense(card, number);
    while (rm_in_flight(node) > 0 && retire_oldest(card, node))
        any = true;
    if (node->token != 0 && LOAD_ACQUIRE(&node->answered) == node->token) {
        node->token = 0;
        rm_sched_settle(card, number, 0, ACCEL_LOST_NOT);
        any = true;
    }
    if (any)
        rm_sched_begin_head(card, node);
    return any;
}

bool rm_sched_collect(rm_card_t *card) {
    bool any = false;
    if (LOAD_ACQUIRE(&card->absent) != 0)
        return false;
    if (UNLIKELY((LOAD_ACQUIRE(&card->gone) | LOAD_ACQUIRE(&card->alarms)) != 0))
        rm_watch_at(card, 0);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        any |= collect_node(card, i);
    return any;
}

static void end_node(rm_card_t *card, rm_node_t *node) {
    while (rm_in_flight(node) > 0) {
        rm_job_t *job = pop_flight(node);
        left(card, job);
        rm_job_finish(card, job, STATUS_DEVICE_LOST);
    }
    node->token = 0;
    node->stop = false;
}

void rm_sched_end_all(rm_card_t *card) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        end_node(card, &card->nodes[i]);
    for (list_node_t *node; (node = list_pop_front(&card->own)) != NULL;)
        rm_job_finish(card, LIST_OWNER(node, rm_job_t, link), STATUS_DEVICE_LOST);
}
