// SPDX-License-Identifier: Apache-2.0
// The watchdog: one piece of work at a time of the port's. It ticks while there is work or somebody
// waits, looks at an idle card every second while somebody has it open, once more when it may go to
// sleep, and then not at all. It finds what no interrupt told, asks a node that stands still for an
// answer, ends what is out of time, and is the only one to reset anything.
#include "driver/rm/rm_internal.h"

void rm_watch_at(rm_card_t *card, uint64_t when) {
    if (when >= card->watch_at)
        return;
    card->watch_at = when;
    card->port->ops->work_at(card->port, &card->watch, when);
}

// --- Interrupts that do not come ---

#define ON_ITS_WAY_US 1000u // an interrupt that was sent arrives within this time

// The fence that was armed for and is done, though no interrupt came since; else 0.
static uint64_t late_fence(rm_card_t *card, uint32_t number) {
    rm_node_t *node = &card->nodes[number];
    uint64_t done = hw_fence_done(card->hw, number, ISA_RING_NORMAL);
    rm_spin(card);
    if (LOAD_ACQUIRE(&card->irqs) != node->armed_irqs)
        node->armed = 0;
    uint64_t fence = node->armed != 0 && done >= node->armed ? node->armed : 0;
    rm_unspin(card);
    return fence;
}

static void look_for_interrupt(rm_card_t *card, uint32_t number) {
    uint64_t fence = late_fence(card, number);
    if (fence == 0)
        return;
    card->port->ops->stall_us(card->port, ON_ITS_WAY_US);
    if (late_fence(card, number) != fence)
        return;
    rm_spin(card);
    rm_event(card, ACCEL_EVENT_INTERRUPT_LOST, number, NULL, 0, fence, 0);
    card->lost_interrupts++;
    card->nodes[number].armed = 0;
    rm_unspin(card);
}

// --- Errors outside of any packet ---

static void overheat(rm_card_t *card) {
    hw_telemetry_t now;
    hw_telemetry(card->hw, &now);
    rm_spin(card);
    if (!card->overheated)
        rm_event(card, ACCEL_EVENT_OVERHEAT, 0, NULL, 0, (uint64_t)(int64_t)now.temperature, 0);
    card->overheated = true;
    rm_unspin(card);
}

static void count_corrected(rm_card_t *card) {
    hw_telemetry_t now;
    hw_telemetry(card->hw, &now);
    rm_spin(card);
    rm_event(card, ACCEL_EVENT_ECC_CORRECTED, 0, NULL, 0, now.ecc_corrected, 0);
    rm_unspin(card);
}

#define OTHER_ERRORS ((uint32_t)(ISA_ERROR_DMA | ISA_ERROR_CONFIG | ISA_ERROR_DOORBELL))

static void tell_error(rm_card_t *card, uint32_t bits) {
    rm_spin(card);
    rm_event(card, ACCEL_EVENT_CARD_ERROR, 0, NULL, bits, 0, 0);
    rm_unspin(card);
}

static void look_at_alarms(rm_card_t *card) {
    uint32_t alarms = ATOMIC_SWAP(&card->alarms, 0u);
    if (alarms == 0)
        return;
    if ((alarms & OTHER_ERRORS) != 0)
        tell_error(card, alarms & OTHER_ERRORS);
    if ((alarms & ISA_ERROR_ECC_CORRECTED) != 0)
        count_corrected(card);
    if ((alarms & ISA_ERROR_OVERHEAT) != 0)
        overheat(card);
    if ((alarms & ISA_ERROR_ECC_UNCORRECTED) != 0)
        rm_pages_ask(card, 0);
}

// --- Nodes that stand still ---

typedef enum verdict { FINE, ASK, HANGS } verdict_t;

#define HELD_LOOKS 64u // at a node whose time stands still, before it is judged all the same

// What a look at the node's registers told.
typedef struct look {
    uint32_t beat, held;
    uint64_t now; // watched time, as all that is judged by
} look_t;

// Under the spin: a simulated card's threads may wait seconds for a processor, and what does not
// run is not to blame. What was waited for so far is forgotten.
static void forgive_held(rm_node_t *node, const look_t *look) {
    if (look->held == node->held || node->held_looks >= HELD_LOOKS)
        return;
    node->held = look->held;
    node->held_looks++;
    node->asked_ns = node->beat_ns = look->now;
}

// Under the spin.
static verdict_t judge_node(rm_card_t *card, rm_node_t *node, const look_t *look) {
    uint64_t now = look->now;
    forgive_held(node, look);
    if (node->token != 0)
        return now - node->asked_ns >= card->options.answer_ns ? HANGS : FINE;
    if (rm_in_flight(node) == 0 || look->beat != node->beat ||
        node->first_flight != node->beat_fence) {
        node->beat = look->beat;
        node->beat_fence = node->first_flight;
        node->beat_ns = now;
        node->held_looks = 0;
    }
    if (rm_in_flight(node) == 0) {
        node->beat_fence = 0; // none: the next job's time begins when it is first seen
        return FINE;
    }
    const rm_job_t *job = *rm_flight_of(node, node->first_flight);
    if (job->begun_ns != 0 && now >= rm_job_deadline(job))
        return ASK;
    return now - node->beat_ns >= card->options.stall_ns ? ASK : FINE;
}

static void hang(rm_card_t *card, uint32_t number) {
    rm_node_t *node = &card->nodes[number];
    rm_spin(card);
    uint64_t fence = node->first_flight;
    rm_event(card, ACCEL_EVENT_HANG, number, NULL, 0, fence, 0);
    rm_unspin(card);
    card->port->ops->log(card->port, PORT_LOG_HANG, number, fence, 0);
    (void)rm_recover_node(card, number, ACCEL_LOST_HANG);
}

static void watch_node(rm_card_t *card, uint32_t number) {
    hw_node_info_t info;
    hw_node_query(card->hw, number, &info);
    if (info.state == ISA_NODE_STATE_OFF) {
        rm_recover_gone(card); // it was away and came back as after power-on
        return;
    }
    look_t look = {.beat = info.heartbeat, .held = hw_held(card->hw, number)};
    rm_spin(card);
    look.now = rm_watched_now(card);
    verdict_t verdict = judge_node(card, &card->nodes[number], &look);
    if (verdict == ASK)
        card->nodes[number].beat_ns = look.now;
    rm_unspin(card);
    if (verdict == HANGS || (verdict == ASK && !rm_sched_stop(card, number)))
        hang(card, number);
}

// --- What administrators and the system ask ---

static status_t obey(rm_card_t *card, const rm_ask_t *ask) {
    if (ask->order > RM_ORDER_RESET_CARD)
        return rm_life_order(card, ask->order);
    if (LOAD_ACQUIRE(&card->detached) != 0)
        return STATUS_DEVICE_LOST;
    if (LOAD_ACQUIRE(&card->suspended) != 0)
        return STATUS_BUSY;
    if (ask->order == RM_ORDER_RESET_CARD)
        return rm_recover_card(card, ACCEL_LOST_RESET);
    if (LOAD_ACQUIRE(&card->absent) != 0)
        return STATUS_DEVICE_LOST;
    return rm_recover_node(card, ask->node, ACCEL_LOST_RESET);
}

static void look_at_ask(rm_card_t *card) {
    rm_spin(card);
    list_node_t *first = list_first(&card->asks);
    rm_unspin(card);
    if (first == NULL)
        return;
    rm_ask_t *ask = LIST_OWNER(first, rm_ask_t, link);
    status_t status = obey(card, ask);
    rm_spin(card);
    list_remove(&ask->link);
    ask->result = status;
    ask->answered = true; // from here on it is the asker's alone
    if (!list_is_empty(&card->asks))
        rm_watch_at(card, 0);
    rm_unspin(card);
    rm_progress(card);
}

// --- Who asks whether the card is there ---

typedef struct doubt {
    const rm_card_t *card;
    uint64_t look; // that will tell
} doubt_t;

static bool is_settled(const void *what) {
    const doubt_t *doubt = what;
    return doubt->card->absent != 0 || doubt->card->looked >= doubt->look;
}

// Under the spin: the next look; one that is under way may have looked before.
static uint64_t want_look(rm_card_t *card) {
    card->wanted_look = card->looks + 1;
    rm_watch_at(card, 0);
    return card->wanted_look;
}

void rm_watch_check(rm_card_t *card) {
    if (LOAD_ACQUIRE(&card->absent) != 0 || !rm_enter(card))
        return;
    bool is_up = hw_is_up(card->hw);
    rm_leave(card);
    if (LIKELY(is_up))
        return;
    rm_spin(card);
    doubt_t doubt = {card, want_look(card)};
    rm_unspin(card);
    while (rm_wait(card, is_settled, &doubt, PORT_WAIT_FOREVER) != STATUS_OK)
        continue;
}

static void begin_look(rm_card_t *card) {
    rm_spin(card);
    card->watch_at = PORT_WORK_NEVER;
    card->looks++;
    rm_unspin(card);
}

static void end_look(rm_card_t *card) {
    rm_spin(card);
    card->looked = card->looks;
    bool is_wanted = card->wanted_look != 0 && card->wanted_look <= card->looked;
    if (is_wanted)
        card->wanted_look = 0;
    rm_unspin(card);
    if (is_wanted)
        rm_progress(card);
}

// --- When next ---

#define IDLE_LOOK_NS UINT64_C(1000000000)

void rm_watch_open(rm_card_t *card) { rm_watch_at(card, rm_now(card) + IDLE_LOOK_NS); }

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

// Under the spin: when something of the node is out of time.
static uint64_t deadline_of(const rm_card_t *card, rm_node_t *node) {
    if (node->token != 0)
        return rm_watch_time(card, node->asked_ns + card->options.answer_ns);
    if (rm_in_flight(node) == 0)
        return PORT_WORK_NEVER;
    const rm_job_t *job = *rm_flight_of(node, node->first_flight);
    return job->begun_ns != 0 ? rm_watch_time(card, rm_job_deadline(job)) : PORT_WORK_NEVER;
}

// Under the spin, of a card with nothing to do.
static uint64_t next_idle_time(const rm_card_t *card, uint64_t now) {
    bool sleeps = (card->features & ISA_FEATURE_POWER) != 0 && card->asleep == 0;
    return earlier(sleeps ? card->active_ns + card->options.idle_ns : PORT_WORK_NEVER,
                   card->n_clients > 0 ? now + IDLE_LOOK_NS : PORT_WORK_NEVER);
}

// Under the spin. A time that has passed is looked at again in a millisecond: others deal with it.
static uint64_t next_time(rm_card_t *card, uint64_t now) {
    if (card->absent != 0 || card->suspended != 0)
        return PORT_WORK_NEVER;
    if (!card->watching)
        return next_idle_time(card, now);
    uint64_t when = card->refill_at;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        when = earlier(when, deadline_of(card, &card->nodes[i]));
    if (when < now + 1000000)
        when = now + 1000000;
    return earlier(when, now + card->tick_ns);
}

void rm_watch_plan(rm_card_t *card) {
    uint64_t now = rm_now(card);
    rm_spin(card);
    card->watching = card->n_live > 0 || card->n_waiters > 0 || card->hot || card->overheated;
    uint64_t when = next_time(card, now);
    if (when != PORT_WORK_NEVER)
        rm_watch_at(card, when);
    rm_unspin(card);
}

// Work that came and went since the last look counts, too: without it, a card that was woken by
// short work would be sent back to sleep for the rest before.
static void note_work(rm_card_t *card) {
    uint64_t now = rm_now(card), fences = 0;
    rm_spin(card);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        fences += card->nodes[i].last_fence;
    if (card->n_live > 0 || fences != card->seen_fences)
        card->active_ns = now;
    card->seen_fences = fences;
    rm_unspin(card);
}

// What shall come back. Whoever waits asks for it, too, but may be at work in a doorbell: in that
// of a simulated card for as long as the program runs that is to be ended.
static void call_back(rm_card_t *card, uint32_t number) {
    rm_spin(card);
    bool stop = card->nodes[number].stop;
    rm_unspin(card);
    if (stop)
        (void)rm_sched_stop(card, number);
}

static void look_after(rm_card_t *card) {
    hw_dpc(card->hw); // errors, and packets whose entries were nonsense
    look_at_alarms(card);
    hw_poll(card->hw);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        look_for_interrupt(card, i);
        call_back(card, i);
    }
    rm_sched_nudge(card);
    if (!hw_alive(card->hw)) {
        rm_recover_gone(card);
        return;
    }
    for (uint32_t i = 0; i < ISA_NODE_COUNT && card->absent == 0; i++)
        watch_node(card, i);
    rm_pm_heat(card);
    note_work(card);
    rm_pm_idle(card);
}

void rm_watch_run(void *user) {
    rm_card_t *card = user;
    begin_look(card);
    if (LOAD_ACQUIRE(&card->gone) != 0)
        rm_recover_gone(card);
    look_at_ask(card);
    rm_recover_distrusted(card);
    if (LOAD_ACQUIRE(&card->absent) == 0 && LOAD_ACQUIRE(&card->suspended) == 0)
        look_after(card);
    end_look(card);
    rm_watch_plan(card);
}
