// SPDX-License-Identifier: Apache-2.0
// Service classes: who computes next, and for how long. All of it under the scheduler spin.
//
// Time is card time: the modelled cycles of what ran, and wall time at the nominal clock while
// nothing could run. In each period a context of a class with a share gets its share as credit.
// While it has credit it is "entitled": the entitled take turns, before all others. Without credit
// a FIXED context waits for the next period, even if the card idles; a BURST context joins those of
// best effort as a "borrower". Borrowers get what is left, who was served least first, and give way
// at once when somebody entitled gets ready. What the card charges above a quantum stays as a debt,
// so that shares are exact in the long run.
//
// A context of best effort that is alone runs without a quantum, as deep as the ring allows. All
// others run for a quantum, one job of a context at a time, since nothing of a context may run
// behind its own saved run; two are in flight, so that the card need not wait for us.
#include "driver/rm/rm_internal.h"

#define MAX_SHARED  2u                 // in flight while several contexts share the node
#define MIN_QUANTUM 50000              // cycles; less is not worth saving for
#define SHARED_NS   UINT64_C(10000000) // so long nobody else, and a context counts as alone
#define MAX_KHZ     10000000u

// The card's count of a context's cycles is believed as far as they can have passed: a simulated
// card counts faster than the wall's clock runs, but not by this much.
#define BELIEVED 16000000u // cycles of a run, in any case
#define MARGIN   64u       // beyond them: times those of the wall
#define LONG_NS  UINT64_C(1000000000000)

// --- The clock ---

static int64_t grant_of(const rm_card_t *card, const rm_context_t *context) {
    return (int64_t)((uint64_t)card->options.period_cycles * context->share / 100);
}

// What was not used is not kept, but by those who could not use it yet.
static void grant(rm_card_t *card, rm_context_t *context, uint64_t n_periods) {
    int64_t part = grant_of(card, context);
    bool busy = context->n_flight > 0 || !list_is_empty(&context->queue);
    int64_t limit = busy ? 2 * part : part;
    context->credit += (int64_t)(n_periods < 4 ? n_periods : 4) * part;
    if (context->credit > limit)
        context->credit = limit;
}

static void pass_periods(rm_card_t *card) {
    if (card->clock < card->period_end)
        return;
    uint64_t n_periods = (card->clock - card->period_end) / card->options.period_cycles + 1;
    card->period_end += n_periods * card->options.period_cycles;
    LIST_FOR_EACH(node, &card->contexts) {
        rm_context_t *context = LIST_OWNER(node, rm_context_t, link);
        if (context->share != 0)
            grant(card, context, n_periods);
    }
}

// What the card says, if a clock can be like that.
static uint64_t khz(const rm_card_t *card) {
    uint64_t clock_khz = card->info.clock_khz;
    return clock_khz != 0 && clock_khz <= MAX_KHZ ? clock_khz : 1000000;
}

// While the node rests the clock is that on the wall.
static void catch_up(rm_card_t *card) {
    if (card->n_classed == 0 || card->idle_ns == 0)
        return;
    uint64_t now = rm_now(card), rested = now - card->idle_ns;
    if (rested > UINT64_C(10000000000)) // long enough for any period, and short enough to multiply
        rested = UINT64_C(10000000000);
    card->clock += rested * khz(card) / 1000000;
    card->idle_ns = now;
    pass_periods(card);
}

// --- Members ---

status_t rm_class_join(rm_card_t *card, rm_context_t *context) {
    if (context->share == 0)
        return STATUS_OK;
    if (card->shares + context->share > 100)
        return STATUS_LIMIT;
    if (card->n_classed++ == 0)
        card->period_end = card->clock + card->options.period_cycles;
    card->shares += context->share;
    context->credit = grant_of(card, context);
    return STATUS_OK;
}

void rm_class_leave(rm_card_t *card, rm_context_t *context) {
    if (context->share == 0)
        return;
    card->shares -= context->share;
    if (--card->n_classed == 0)
        card->idle_ns = 0;
}

// Who comes back does not get what it did not want in time.
void rm_class_wake(rm_card_t *card, rm_context_t *context) {
    if (context->served < card->served_floor)
        context->served = card->served_floor;
}

// --- Charges ---

void rm_class_began(rm_card_t *card, rm_job_t *job) {
    if (job->node != ISA_NODE_COMPUTE)
        return;
    job->context->reserved += (int64_t)job->quantum;
    // Who is alone does not ask for the time at each launch: that of the last look is before it.
    job->launched_ns = job->quantum != 0 ? rm_now(card) : card->active_ns;
}

// What the descriptor counted since the last charge. The card wrote it, so one wild value may not
// take a context's share for ever, nor move the clock by years.
static uint64_t cycles_of(rm_card_t *card, const rm_job_t *job) {
    rm_context_t *context = job->context;
    uint64_t total = rm_context_card_cycles(context), before = context->reported;
    context->reported = total;
    if (total < before)
        return 0;
    if (LIKELY(total - before <= BELIEVED))
        return total - before;
    uint64_t ran = rm_now(card) - job->launched_ns;
    uint64_t most = (ran < LONG_NS ? ran : LONG_NS) * khz(card) / 1000000 * MARGIN + BELIEVED;
    return total - before < most ? total - before : most;
}

void rm_class_ended(rm_card_t *card, rm_job_t *job) {
    rm_context_t *context = job->context;
    if (job->node != ISA_NODE_COMPUTE)
        return;
    uint64_t cycles = cycles_of(card, job);
    context->reserved -= (int64_t)job->quantum;
    context->client->busy_cycles += cycles;
    if (job->borrowed || context->share == 0)
        context->served += cycles;
    else
        context->credit -= (int64_t)cycles;
    if (card->n_classed == 0)
        return;
    card->clock += cycles;
    pass_periods(card);
}

// --- The choice ---

typedef struct view {
    rm_job_t *oldest;              // ready
    rm_job_t *entitled, *borrower; // ready, of contexts that have nothing in flight
    uint32_t n_ready, n_flight;
    const rm_job_t *head, *second; // in flight
    bool throttled;                // somebody waits for the next period only
    bool other;                    // somebody ready is not the head's context
} view_t;

static bool is_entitled(const rm_context_t *context) {
    return context->share != 0 && context->credit - context->reserved > 0;
}

static void see_ready(view_t *view, rm_job_t *job) {
    const rm_context_t *context = job->context;
    if (context->service_class == ACCEL_CLASS_FIXED && !is_entitled(context)) {
        view->throttled = true;
        return;
    }
    view->n_ready++;
    view->other |= view->head != NULL && view->head->context != context;
    if (view->oldest == NULL || job->order < view->oldest->order)
        view->oldest = job;
    if (context->n_flight > 0)
        return; // not behind its own run
    if (is_entitled(context)) {
        if (view->entitled == NULL || context->turn < view->entitled->context->turn)
            view->entitled = job;
    } else if (view->borrower == NULL || context->served < view->borrower->context->served) {
        view->borrower = job;
    }
}

static view_t look(rm_card_t *card) {
    rm_node_t *flights = &card->nodes[ISA_NODE_COMPUTE];
    view_t view = {.n_flight = (uint32_t)rm_in_flight(flights)};
    if (view.n_flight > 0)
        view.head = *rm_flight_of(flights, flights->first_flight);
    if (view.n_flight > 1)
        view.second = *rm_flight_of(flights, flights->first_flight + 1);
    for (list_node_t *node = card->waiting.next; node != &card->waiting; node = node->next) {
        const rm_context_t *context = LIST_OWNER(node, rm_context_t, waiting);
        rm_job_t *job = LIST_OWNER(list_first(&context->queue), rm_job_t, link);
        if (job->node == ISA_NODE_COMPUTE && rm_sched_readiness(card, job) == RM_READY)
            see_ready(&view, job);
    }
    return view;
}

// Several contexts, now or a moment ago, or shares that are to be kept.
static bool is_shared(rm_card_t *card, const view_t *view) {
    bool several = view->other || view->n_ready > 1;
    if (several)
        card->shared_ns = rm_now(card);
    if (several || card->n_classed > 0)
        return true;
    if (card->shared_ns != 0 && rm_now(card) - card->shared_ns > SHARED_NS)
        card->shared_ns = 0;
    return card->shared_ns != 0;
}

// Something without a quantum in the way of others, or a borrower in the way of the entitled.
static bool must_give_way(const view_t *view) {
    if (view->head == NULL)
        return false;
    return (view->head->quantum == 0 && view->other) ||
           (view->head->borrowed && view->entitled != NULL);
}

// The entitled one in flight will want to go on, or the borrower in flight is still served less.
static bool flight_goes_on(const view_t *view) {
    const rm_job_t *jobs[] = {view->head, view->second};
    for (uint32_t i = 0; i < COUNT_OF(jobs); i++) {
        if (jobs[i] == NULL)
            continue;
        const rm_context_t *context = jobs[i]->context;
        if (!jobs[i]->borrowed && is_entitled(context))
            return true;
        if (jobs[i]->borrowed &&
            context->served + jobs[i]->quantum < view->borrower->context->served)
            return true;
    }
    return false;
}

static uint64_t quantum_of(const rm_card_t *card, const rm_context_t *context, bool entitled) {
    int64_t slice = (int64_t)card->options.slice_cycles;
    int64_t left = entitled ? context->credit - context->reserved : slice;
    if (left < MIN_QUANTUM)
        left = MIN_QUANTUM;
    return (uint64_t)(left < slice ? left : slice);
}

static rm_choice_t choose_shared(rm_card_t *card, const view_t *view) {
    rm_choice_t choice = {0};
    bool full = view->n_flight >= MAX_SHARED;
    if (!full && view->entitled != NULL)
        choice.job = view->entitled;
    else if (!full && view->borrower != NULL && !flight_goes_on(view))
        choice.job = view->borrower;
    if (choice.job == NULL)
        return choice;
    rm_context_t *context = choice.job->context;
    choice.borrowed = choice.job != view->entitled;
    choice.quantum = quantum_of(card, context, !choice.borrowed);
    context->turn = ++card->last_turn;
    if (choice.borrowed && context->served > card->served_floor)
        card->served_floor = context->served;
    return choice;
}

rm_choice_t rm_class_choose(rm_card_t *card) {
    catch_up(card);
    if (list_is_empty(&card->waiting))
        return (rm_choice_t){0};
    view_t view = look(card);
    if (view.n_ready == 0)
        return (rm_choice_t){0};
    if ((card->features & ISA_FEATURE_PREEMPT) == 0)
        return (rm_choice_t){.job = view.oldest};
    if (must_give_way(&view))
        return (rm_choice_t){.give_way = true};
    if (is_shared(card, &view))
        return choose_shared(card, &view);
    return (rm_choice_t){.job = view.oldest, .borrowed = true};
}

// Nothing runs: either nobody wants to, or the rest waits for the next period.
void rm_class_rest(rm_card_t *card) {
    card->refill_at = PORT_WORK_NEVER;
    if (card->n_classed == 0)
        return;
    if (rm_in_flight(&card->nodes[ISA_NODE_COMPUTE]) > 0) {
        card->idle_ns = 0;
        return;
    }
    if (card->idle_ns == 0)
        card->idle_ns = rm_now(card);
    if (!look(card).throttled)
        return;
    uint64_t left = card->period_end - card->clock;
    card->refill_at = card->idle_ns + left * 1000000 / khz(card) + 1;
    rm_watch_at(card, card->refill_at);
}
