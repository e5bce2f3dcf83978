// SPDX-License-Identifier: Apache-2.0
// Order: jobs of one context run as they were submitted; between contexts, who is ready first. A
// job is handed to the card when its points are reached, its context is not suspended, and no
// earlier job of the context is on another node.
#include "driver/rm/rm_internal.h"

static rm_job_t **flight_of(rm_card_t *card, uint32_t node, uint64_t fence) {
    return &card->nodes[node].flight[fence % RM_FLIGHT];
}

// --- News from the card ---

void rm_sched_notify(void *user, const hw_notice_t *notice) {
    rm_card_t *card = user;
    if (notice->kind == HW_NOTICE_GONE)
        STORE_RELEASE(&card->gone, 1u);
    if (notice->kind == HW_NOTICE_ALARM || notice->kind == HW_NOTICE_GONE)
        return;
    rm_job_t *job = LOAD_ACQUIRE(flight_of(card, notice->node, notice->fence));
    if (job == NULL || job->fence != notice->fence)
        return; // of nobody
    job->info = notice->info;
    job->cause = notice->cause;
    if (notice->fault != NULL)
        job->fault = *notice->fault;
    else
        job->fault = (isa_fault_record_t){.cause = (uint16_t)notice->cause};
    STORE_RELEASE(&job->news, 1u + (uint32_t)notice->kind);
}

// --- The end of a job; all under the scheduler spin ---

static void release(rm_card_t *card, rm_job_t *job) {
    for (uint32_t i = 0; i < job->n_in; i++)
        rm_put(&job->in[i].sync->object);
    for (uint32_t i = 0; i < job->n_out; i++)
        rm_put(&job->out[i].sync->object);
    job->finished = true;
    if (job->context == NULL)
        return; // its caller has it
    job->context->n_jobs--;
    rm_put(&job->context->object);
    list_push_back(&card->idle, &job->link);
}

static void finish(rm_card_t *card, rm_job_t *job, status_t status) {
    job->result = status;
    for (uint32_t i = 0; i < job->n_out; i++)
        rm_sync_advance(job->out[i].sync, job->out[i].value, status);
    release(card, job);
}

static void suspend(rm_card_t *card, rm_job_t *job) {
    job->context->state = ACCEL_CTX_SUSPENDED;
    job->context->heap_need = job->info;
    for (uint32_t i = 0; i < job->n_out; i++)
        job->out[i].sync->suspended_at = job->out[i].value;
    release(card, job);
}

void rm_sched_cancel(rm_card_t *card, const rm_context_t *context, status_t status) {
    LIST_FOR_EACH(node, &card->pending) {
        rm_job_t *job = LIST_OWNER(node, rm_job_t, link);
        if (job->context == context) {
            list_remove(&job->link);
            finish(card, job, status);
        }
    }
}

static void lose(rm_card_t *card, rm_job_t *job, bool is_fault) {
    rm_context_t *context = job->context;
    if (context != NULL && context->state != ACCEL_CTX_LOST) {
        context->state = ACCEL_CTX_LOST;
        if (is_fault)
            context->fault = job->fault;
    }
    finish(card, job, context != NULL ? STATUS_CONTEXT_LOST : STATUS_IO);
    if (context != NULL)
        rm_sched_cancel(card, context, STATUS_CONTEXT_LOST);
}

static void retire(rm_card_t *card, rm_job_t *job, uint32_t news) {
    if (job->context != NULL) {
        job->context->n_flight--;
        job->context->holding = false;
    }
    switch ((hw_notice_kind_t)(news - 1)) {
    case HW_NOTICE_DONE:
        finish(card, job, STATUS_OK);
        break;
    case HW_NOTICE_SUSPENDED:
        suspend(card, job);
        break;
    case HW_NOTICE_FAULT:
        lose(card, job, true);
        break;
    default:
        lose(card, job, false);
        break;
    }
}

// True when any job ended. A card that is gone ends them all.
static bool retire_node(rm_card_t *card, uint32_t number) {
    rm_node_t *node = &card->nodes[number];
    bool any = false;
    while (node->first_flight <= node->last_fence) {
        rm_job_t **slot = flight_of(card, number, node->first_flight);
        rm_job_t *job = *slot;
        uint32_t news = LOAD_ACQUIRE(&job->news);
        if (news == 0 && LOAD_ACQUIRE(&card->gone) == 0)
            break;
        STORE_RELEASE(slot, NULL);
        node->first_flight++;
        retire(card, job, news != 0 ? news : 1u + HW_NOTICE_ABORTED);
        any = true;
    }
    return any;
}

// --- The beginning ---

void rm_sched_push(rm_card_t *card, rm_job_t *job) {
    if (job->resume)
        list_push_front(&card->pending, &job->link); // the context's other jobs wait for it
    else
        list_push_back(&card->pending, &job->link);
}

typedef enum readiness { NOT_YET, READY, NEVER } readiness_t;

static readiness_t points_reached(const rm_job_t *job) {
    for (uint32_t i = 0; i < job->n_in; i++) {
        if (job->in[i].sync->value < job->in[i].value)
            return NOT_YET;
        if (job->in[i].sync->status != STATUS_OK)
            return NEVER;
    }
    return READY;
}

static readiness_t readiness(rm_card_t *card, const rm_job_t *job) {
    const rm_context_t *context = job->context;
    if (LOAD_ACQUIRE(&card->gone) != 0)
        return NEVER;
    const rm_node_t *node = &card->nodes[job->node];
    if (node->last_fence + 1 - node->first_flight >= RM_FLIGHT ||
        hw_credit(card->hw, job->node, ISA_RING_NORMAL) == 0)
        return NOT_YET;
    if (context == NULL)
        return READY;
    if (context->blocked == card->round || context->state == ACCEL_CTX_SUSPENDED ||
        context->holding || (context->n_flight > 0 && context->flight_node != job->node))
        return NOT_YET;
    return points_reached(job);
}

static void launch(rm_card_t *card, rm_job_t *job) {
    rm_node_t *node = &card->nodes[job->node];
    list_remove(&job->link);
    job->fence = ++node->last_fence;
    if (job->context != NULL) {
        job->context->n_flight++;
        job->context->flight_node = job->node;
        job->context->holding = job->may_suspend;
    }
    STORE_RELEASE(flight_of(card, job->node, job->fence), job);
    hw_submit(card->hw, job->node, ISA_RING_NORMAL, &job->packet, job->fence);
}

// Returns the mask of nodes that got work; *out_ended: a job ended without, which others may wait
// for.
static uint32_t dispatch(rm_card_t *card, bool *out_ended) {
    uint32_t kicks = 0;
    card->round++;
    LIST_FOR_EACH(node, &card->pending) {
        rm_job_t *job = LIST_OWNER(node, rm_job_t, link);
        switch (readiness(card, job)) {
        case READY:
            launch(card, job);
            kicks |= 1u << job->node;
            break;
        case NEVER:
            list_remove(&job->link);
            finish(card, job,
                   LOAD_ACQUIRE(&card->gone) != 0 ? STATUS_DEVICE_LOST : STATUS_CONTEXT_LOST);
            *out_ended = true;
            break;
        case NOT_YET:
            if (job->context != NULL)
                job->context->blocked = card->round;
            break;
        }
    }
    return kicks;
}

void rm_sched_pump(rm_card_t *card) {
    uint32_t kicks;
    bool ended;
    do {
        hw_poll(card->hw);
        rm_spin(card);
        bool retired = false;
        for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
            retired |= retire_node(card, i);
        ended = false;
        kicks = dispatch(card, &ended);
        rm_unspin(card);
        if (retired || ended)
            card->port->ops->event_set(card->port, &card->progress);
        for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
            if ((kicks >> i & 1) != 0)
                hw_kick(card->hw, i, ISA_RING_NORMAL);
    } while (kicks != 0 || ended);
}

void rm_sched_arm(rm_card_t *card) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        rm_spin(card);
        uint64_t first = card->nodes[i].first_flight;
        bool busy = first <= card->nodes[i].last_fence;
        rm_unspin(card);
        if (busy)
            hw_arm(card->hw, i, ISA_RING_NORMAL, first);
    }
}
