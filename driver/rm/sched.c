// SPDX-License-Identifier: Apache-2.0
// Order: jobs of one context run as they were submitted. A job is handed to the card when its
// points are reached, its context is not suspended, and no earlier job of the context is on another
// node. Between contexts: on COPY whom copy.c chooses, on COMPUTE whom class.c does. What comes
// back is settle.c's.
#include "driver/rm/rm_internal.h"

// --- Queues; all under the spin ---

void rm_sched_enqueue(rm_card_t *card, rm_job_t *job, bool in_front) {
    rm_context_t *context = job->context;
    list_node_t *queue = context != NULL ? &context->queue : &card->own;
    if (in_front)
        list_push_front(queue, &job->link);
    else
        list_push_back(queue, &job->link);
    if (context == NULL || !list_is_empty(&context->waiting))
        return;
    list_push_back(&card->waiting, &context->waiting);
    if (context->n_flight == 0)
        rm_class_wake(card, context);
}

void rm_sched_dequeue(rm_job_t *job) {
    list_remove(&job->link);
    if (job->context != NULL && list_is_empty(&job->context->queue))
        list_remove(&job->context->waiting);
}

void rm_sched_push(rm_card_t *card, rm_job_t *job) {
    job->order = ++card->last_order;
    card->n_live++;
    if (job->context != NULL) {
        job->context->n_jobs++;
        job->context->client->n_jobs++;
    }
    rm_sched_enqueue(card, job, job->resume); // the context's other jobs wait for a RESUME
    if (!card->watching)
        card->active_ns = rm_now(card);
    rm_watch_start(card);
}

bool rm_sched_withdraw(rm_card_t *card, rm_job_t *job) {
    if (list_is_empty(&job->link))
        return false;
    rm_sched_dequeue(job);
    rm_job_finish(card, job, STATUS_INTERRUPTED);
    return true;
}

void rm_sched_cancel(rm_card_t *card, rm_context_t *context, status_t status) {
    rm_context_end_suspended(context, status);
    for (list_node_t *node; (node = list_first(&context->queue)) != NULL;) {
        rm_job_t *job = LIST_OWNER(node, rm_job_t, link);
        rm_sched_dequeue(job);
        rm_job_finish(card, job, status);
    }
}

// --- Handing over; under the spin ---

// What is to be done without the spin.
typedef struct plan {
    uint32_t kicks, stops, arms;     // masks of nodes
    uint64_t fences[ISA_NODE_COUNT]; // to be armed for
    uint64_t late[ISA_NODE_COUNT];   // of a job that passed its deadline, or 0
    bool ended;                      // jobs ended
    bool dropped;                    // without the card: others may wait for them
} plan_t;

static rm_ready_t points_reached(const rm_job_t *job) {
    for (uint32_t i = 0; i < job->n_in; i++) {
        if (job->in[i].sync->value < job->in[i].value)
            return RM_NOT_YET;
        if (rm_sync_status(job->in[i].sync, job->in[i].value) != STATUS_OK)
            return RM_NEVER;
    }
    return RM_READY;
}

rm_ready_t rm_sched_readiness(rm_card_t *card, const rm_job_t *job) {
    const rm_context_t *context = job->context;
    const rm_node_t *node = &card->nodes[job->node];
    if (LOAD_ACQUIRE(&card->absent) != 0 || card->recovering || card->frozen || node->token != 0 ||
        node->stop || rm_in_flight(node) >= RM_FLIGHT ||
        hw_credit(card->hw, job->node, ISA_RING_NORMAL) == 0)
        return RM_NOT_YET;
    if (context == NULL)
        return RM_READY;
    if (card->hot || context->state == ACCEL_CTX_SUSPENDED || context->holding ||
        (context->n_flight > 0 && context->flight_node != job->node))
        return RM_NOT_YET;
    return points_reached(job);
}

static void launch(rm_card_t *card, rm_job_t *job, plan_t *plan) {
    rm_node_t *node = &card->nodes[job->node];
    rm_sched_dequeue(job);
    job->fence = ++node->last_fence;
    job->news = 0;
    if (job->context != NULL) {
        job->context->n_flight++;
        job->context->flight_node = job->node;
        job->context->holding = rm_job_may_come_back(job);
        rm_class_began(card, job);
    }
    isa_ring_packet_t packet;
    rm_copy_piece(job, &packet);
    if (packet.head.op == ISA_RING_RUN_IB)
        hw_packet_run_for(&packet, job->quantum, job->go_on);
    job->weight = rm_copy_weight(&packet);
    node->weight += job->weight;
    STORE_RELEASE(rm_flight_of(node, job->fence), job);
    hw_submit(card->hw, job->node, ISA_RING_NORMAL, &packet, job->fence);
    if (rm_in_flight(node) == 1)
        rm_sched_begin_head(card, node);
    plan->kicks |= 1u << job->node;
}

// Whose points will never be reached.
static void drop_hopeless(rm_card_t *card, plan_t *plan) {
    LIST_FOR_EACH(node, &card->waiting) {
        const rm_context_t *context = LIST_OWNER(node, rm_context_t, waiting);
        rm_job_t *job = LIST_OWNER(list_first(&context->queue), rm_job_t, link);
        if (job->n_in == 0 || points_reached(job) != RM_NEVER)
            continue;
        rm_sched_dequeue(job);
        rm_job_finish(card, job, rm_context_loss(context));
        plan->dropped = true;
    }
}

static bool can_preempt(const rm_card_t *card) {
    return (card->features & ISA_FEATURE_PREEMPT) != 0;
}

static void ask_back(rm_card_t *card, uint32_t number, plan_t *plan) {
    rm_node_t *node = &card->nodes[number];
    node->stop = false;
    if (rm_in_flight(node) == 0 || !can_preempt(card) || node->token != 0 || card->recovering)
        return;
    if (++node->last_token == 0)
        node->last_token = 1;
    node->token = node->last_token;
    node->asked_ns = rm_watched_now(card);
    node->held_looks = 0;
    plan->stops |= 1u << number;
    hw_preempt_ask(card->hw, number, node->token);
    rm_watch_at(card, rm_watch_time(card, node->asked_ns + card->options.answer_ns));
}

static void compute(rm_card_t *card, plan_t *plan) {
    for (;;) {
        rm_choice_t choice = rm_class_choose(card);
        if (choice.give_way)
            ask_back(card, ISA_NODE_COMPUTE, plan);
        if (choice.job == NULL)
            break;
        choice.job->quantum = choice.quantum;
        choice.job->borrowed = choice.borrowed;
        launch(card, choice.job, plan);
    }
    rm_class_rest(card);
}

static void hand_over(rm_card_t *card, plan_t *plan) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        if (UNLIKELY(card->nodes[i].stop))
            ask_back(card, i, plan);
    drop_hopeless(card, plan);
    for (rm_job_t *job; (job = rm_copy_choose(card)) != NULL;)
        launch(card, job, plan);
    compute(card, plan);
}

static bool note_armed(rm_card_t *card, rm_node_t *node) {
    if (rm_in_flight(node) == 0)
        return false;
    if (node->armed != node->first_flight) {
        node->armed = node->first_flight;
        node->armed_irqs = LOAD_ACQUIRE(&card->irqs);
    }
    return true;
}

// What waits for the card to finish something, or whoever watches a fence, must not wait for
// somebody to poll.
static void want_interrupts(rm_card_t *card, plan_t *plan) {
    bool wanted =
        !list_is_empty(&card->waiting) || !list_is_empty(&card->own) || card->n_fences > 0;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        rm_node_t *node = &card->nodes[i];
        if (rm_in_flight(node) == 0 || node->armed == node->first_flight)
            continue;
        const rm_job_t *head = *rm_flight_of(node, node->first_flight);
        if (!wanted && head->quantum == 0 && !rm_copy_has_more(head))
            continue;
        (void)note_armed(card, node);
        plan->fences[i] = node->first_flight;
        plan->arms |= 1u << i;
    }
}

static void take_late(rm_card_t *card, plan_t *plan) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        plan->late[i] = card->nodes[i].late;
        card->nodes[i].late = 0;
    }
}

static void tell_late(const rm_card_t *card, const plan_t *plan) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        if (plan->late[i] != 0)
            card->port->ops->log(card->port, PORT_LOG_HANG, i, plan->late[i], 1);
}

// A doorbell may be the work itself: copies go first, whose end is sooner. What is in the ring is
// rung before the ring is stopped.
static void act(rm_card_t *card, const plan_t *plan) {
    if (plan->ended || plan->dropped)
        rm_progress(card);
    if (plan->ended)
        tell_late(card, plan);
    for (uint32_t i = ISA_NODE_COUNT; i-- > 0;) {
        if ((plan->kicks >> i & 1) != 0)
            hw_kick(card->hw, i, ISA_RING_NORMAL);
        if ((plan->stops >> i & 1) != 0)
            hw_preempt_kick(card->hw, i);
        if ((plan->arms >> i & 1) != 0)
            hw_arm(card->hw, i, ISA_RING_NORMAL, plan->fences[i]);
    }
}

// A simulated card may do the work of a round inside of it: nobody is kept at the work of others
// for as long as there is some.
#define MAX_ROUNDS 8u

static plan_t turn(rm_card_t *card, bool gives) {
    plan_t plan = {0};
    hw_poll(card->hw);
    rm_spin(card);
    plan.ended = rm_sched_collect(card);
    if (plan.ended)
        take_late(card, &plan);
    if (gives)
        hand_over(card, &plan);
    if (gives && (plan.kicks | plan.stops) == 0)
        want_interrupts(card, &plan);
    rm_unspin(card);
    act(card, &plan);
    return plan;
}

bool rm_sched_round(rm_card_t *card) {
    if (!rm_enter(card))
        return false;
    plan_t plan = turn(card, true);
    rm_leave(card);
    return (plan.kicks | plan.stops) != 0 || plan.dropped;
}

void rm_sched_later(rm_card_t *card) {
    rm_spin(card);
    rm_watch_at(card, 0);
    rm_unspin(card);
}

void rm_sched_pump(rm_card_t *card) {
    for (uint32_t i = 0; i < MAX_ROUNDS; i++)
        if (!rm_sched_round(card))
            return;
    rm_sched_later(card);
}

void rm_sched_look(rm_card_t *card) {
    if (!rm_enter(card))
        return;
    (void)turn(card, false);
    rm_leave(card);
}

void rm_sched_nudge(rm_card_t *card) {
    if (!rm_enter(card))
        return;
    plan_t plan = turn(card, false);
    rm_leave(card);
    rm_spin(card);
    bool somebody = card->n_waiters > 0;
    rm_unspin(card);
    if (!somebody)
        rm_sched_pump(card);
    else if (!plan.ended) // else it was set
        rm_progress(card);
}

bool rm_sched_stop(rm_card_t *card, uint32_t number) {
    plan_t plan = {0};
    if (!can_preempt(card))
        return false;
    if (!rm_enter(card))
        return true;
    rm_spin(card);
    ask_back(card, number, &plan);
    rm_unspin(card);
    act(card, &plan);
    rm_leave(card);
    return true;
}

static void arm(rm_card_t *card, uint32_t number) {
    rm_node_t *node = &card->nodes[number];
    rm_spin(card);
    uint64_t first = node->first_flight;
    bool busy = note_armed(card, node);
    rm_unspin(card);
    if (busy)
        hw_arm(card->hw, number, ISA_RING_NORMAL, first);
}

void rm_sched_arm(rm_card_t *card) {
    if (!rm_enter(card))
        return;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        arm(card, i);
    rm_leave(card);
}
