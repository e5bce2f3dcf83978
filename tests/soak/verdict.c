// SPDX-License-Identifier: Apache-2.0
// The ledger against the table of docs/reliability.md: fault -> who may see which error.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/soak/soak.h"

#define RESET_NS  UINT64_C(2000000000)  // a reset in progress is told before its event
#define BAN_NS    UINT64_C(65000000000) // in which a client may hang a card BAN_HANGS times
#define BAN_HANGS 5u
// Of a card, each when first needed: two nodes, one core more, and the watchdog.
#define CARD_THREADS 4u

typedef struct verdict {
    const soak_shared_t *shared;
    uint32_t n_plants, n_outcomes, n_losses;
    uint64_t planted[MAX_CARDS][PLANT_KINDS], refused[PLANT_KINDS];
    uint64_t seen[MAX_CARDS][ACCEL_LOST_BY_BAN + 1]; // contexts; of ECC, devices
    uint64_t lost_devices, by_event, gone[MAX_CARDS], resets[MAX_CARDS];
    uint64_t longest_ns, longest_at_ns; // to DEVICE_LOST
    uint32_t longest_card, longest_process;
    uint32_t n_unexplained;
    bool failed;
} verdict_t;

static uint32_t at_most(uint32_t n, uint32_t capacity) { return n < capacity ? n : capacity; }

static void complain(verdict_t *v, const char *what) {
    printf("soak: FAILED: %s (seed %lu)\n", what, (unsigned long)v->shared->options.seed);
    v->failed = true;
}

// --- Causes ---

// From the card's own word that it is gone until a reset brought it back.
static uint64_t back_at(const verdict_t *v, uint32_t gone) {
    for (uint32_t i = gone + 1; i < v->n_losses; i++) {
        const soak_loss_t *loss = &v->shared->losses[i];
        if (loss->card == v->shared->losses[gone].card && loss->ok)
            return loss->time_ns;
    }
    return UINT64_MAX;
}

// Also while a reset is on.
static bool was_away(const verdict_t *v, uint32_t card, uint64_t from_ns, uint64_t to_ns) {
    bool away = false;
    for (uint32_t i = 0; i < v->n_losses && !away; i++) {
        const soak_loss_t *loss = &v->shared->losses[i];
        uint64_t begin = loss->gone ? loss->time_ns : loss->time_ns - RESET_NS;
        uint64_t end = loss->ok ? loss->time_ns : back_at(v, i);
        away = loss->card == card && begin <= to_ns && end >= from_ns;
    }
    return away;
}

static bool explains_loss(const verdict_t *v, const soak_outcome_t *outcome) {
    const soak_opening_t *opening = &v->shared->openings[outcome->opening % MAX_OPENINGS];
    return was_away(v, outcome->card, opening->from_ns, outcome->time_ns);
}

static bool explains_ban(const verdict_t *v, const soak_outcome_t *outcome) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_plants; i++) {
        const soak_plant_t *plant = &v->shared->plants[i];
        n += plant->card == outcome->card && plant->kind >= PLANT_HANG &&
             plant->kind <= PLANT_HANG_FUNCTION && plant->from_ns <= outcome->time_ns &&
             plant->from_ns + BAN_NS >= outcome->time_ns;
    }
    return n >= BAN_HANGS;
}

// The work that was waited for failed, too, and says why.
static bool explains_event(const verdict_t *v, const soak_outcome_t *outcome) {
    for (uint32_t i = 0; i < v->n_outcomes; i++) {
        const soak_outcome_t *other = &v->shared->outcomes[i];
        if (other->process == outcome->process && other->number == outcome->number &&
            other->lost != ACCEL_LOST_BY_EVENT)
            return true;
    }
    return false;
}

static bool is_first_of_device(const verdict_t *v, uint32_t index) {
    const soak_outcome_t *outcome = &v->shared->outcomes[index];
    for (uint32_t i = 0; i < index; i++) {
        const soak_outcome_t *other = &v->shared->outcomes[i];
        if (other->opening == outcome->opening && other->lost == outcome->lost)
            return false;
    }
    return true;
}

// --- Outcomes ---

static bool explains_context(verdict_t *v, uint32_t index) {
    const soak_outcome_t *outcome = &v->shared->outcomes[index];
    switch (outcome->lost) {
    case ACCEL_LOST_BY_FAULT:
        return outcome->own == OWN_FAULT;
    case ACCEL_LOST_BY_TIMEOUT:
        return outcome->own == OWN_TIMEOUT;
    case ACCEL_LOST_BY_EVENT:
        v->by_event++;
        return explains_event(v, outcome);
    case ACCEL_LOST_BY_ECC:
        v->seen[outcome->card][outcome->lost] += is_first_of_device(v, index);
        return true; // counted
    case ACCEL_LOST_BY_HANG:
    case ACCEL_LOST_BY_CARD_ERROR:
    case ACCEL_LOST_BY_RESET:
        v->seen[outcome->card][outcome->lost]++;
        return true; // counted
    default:
        return false;
    }
}

static bool explains(verdict_t *v, uint32_t index) {
    const soak_outcome_t *outcome = &v->shared->outcomes[index];
    switch (outcome->status) {
    case ACCEL_CONTEXT_LOST:
        return explains_context(v, index);
    case ACCEL_DEVICE_LOST:
        v->lost_devices++;
        return explains_loss(v, outcome);
    case ACCEL_DENIED:
        v->seen[outcome->card][ACCEL_LOST_BY_BAN] += is_first_of_device(v, index);
        return outcome->lost == ACCEL_LOST_BY_BAN && explains_ban(v, outcome);
    default:
        return false;
    }
}

static void judge_outcomes(verdict_t *v) {
    for (uint32_t i = 0; i < v->n_outcomes; i++) {
        const soak_outcome_t *outcome = &v->shared->outcomes[i];
        if (explains(v, i))
            continue;
        v->failed = true;
        if (v->n_unexplained++ < 20)
            printf("soak: FAILED: '%s' (%s) without a cause; seed %lu, process %u, card %u, "
                   "submission %lu, at %.3f s: %s\n",
                   accel_status_text((accel_status_t)outcome->status),
                   soak_lost_text(outcome->lost), (unsigned long)v->shared->options.seed,
                   outcome->process, outcome->card, (unsigned long)outcome->number,
                   (double)(outcome->time_ns - v->shared->start_ns) / 1e9, outcome->text);
    }
}

// --- How long it took until a lost card was told ---

static bool was_stopped(const verdict_t *v, const soak_outcome_t *outcome, uint64_t from_ns) {
    for (uint32_t i = 0; i < v->shared->n_stops; i++) {
        const soak_stop_t *stop = &v->shared->stops[i];
        if (stop->process == outcome->process && stop->from_ns <= outcome->time_ns &&
            stop->to_ns >= from_ns)
            return true;
    }
    return false;
}

// When the device of an opening was lost: the first that took its card since. A hang takes it when
// the card is reset for it.
static uint64_t lost_at(const verdict_t *v, const soak_opening_t *opening) {
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < v->n_plants; i++) {
        const soak_plant_t *plant = &v->shared->plants[i];
        if (plant->card == opening->card && plant->kind >= PLANT_RESET_CARD &&
            plant->time_ns != 0 && !plant->unsure && plant->from_ns >= opening->open_ns &&
            plant->from_ns < first)
            first = plant->from_ns;
    }
    for (uint32_t i = 0; i < v->n_losses; i++) {
        const soak_loss_t *loss = &v->shared->losses[i];
        if (loss->card == opening->card && loss->time_ns >= opening->open_ns &&
            loss->time_ns < first)
            first = loss->time_ns;
    }
    return first;
}

static void measure(verdict_t *v) {
    for (uint32_t i = 0; i < v->n_outcomes; i++) {
        const soak_outcome_t *outcome = &v->shared->outcomes[i];
        const soak_opening_t *opening = &v->shared->openings[outcome->opening % MAX_OPENINGS];
        if (outcome->status != ACCEL_DEVICE_LOST || opening->open_ns == 0)
            continue;
        uint64_t lost = lost_at(v, opening);
        if (lost > outcome->time_ns || was_stopped(v, outcome, lost))
            continue;
        uint64_t begin = lost > outcome->from_ns ? lost : outcome->from_ns;
        uint64_t took = outcome->time_ns - begin;
        if (took > v->longest_ns) {
            v->longest_ns = took;
            v->longest_at_ns = outcome->time_ns - v->shared->start_ns;
            v->longest_card = outcome->card;
            v->longest_process = outcome->process;
        }
    }
    if (v->longest_ns > v->shared->options.limit_ms * 1000000)
        complain(v, "somebody learnt too late that the card was lost");
}

// --- Counts ---

static void count_plants(verdict_t *v) {
    for (uint32_t i = 0; i < v->n_plants; i++) {
        const soak_plant_t *plant = &v->shared->plants[i];
        if (plant->time_ns != 0)
            v->planted[plant->card][plant->kind]++;
        else
            v->refused[plant->kind]++;
    }
    for (uint32_t i = 0; i < v->n_losses; i++) {
        const soak_loss_t *loss = &v->shared->losses[i];
        v->gone[loss->card] += loss->gone;
        v->resets[loss->card] += loss->ok; // others tried a card that was still away
    }
}

static void bound(verdict_t *v, const char *what, uint32_t card, uint64_t seen, uint64_t allowed) {
    if (seen <= allowed)
        return;
    printf("soak: FAILED: card %u: %s: %lu, but only %lu had a cause (seed %lu)\n", card, what,
           (unsigned long)seen, (unsigned long)allowed, (unsigned long)v->shared->options.seed);
    v->failed = true;
}

static void judge_counts(verdict_t *v) {
    for (uint32_t card = 0; card < v->shared->options.cards; card++) {
        const uint64_t *planted = v->planted[card], *seen = v->seen[card];
        uint64_t deep = planted[PLANT_HANG_CARD] + planted[PLANT_HANG_FUNCTION];
        uint64_t away = planted[PLANT_LINK_LOSS] + planted[PLANT_REMOVE];
        bound(v, "contexts lost by hangs", card, seen[ACCEL_LOST_BY_HANG],
              planted[PLANT_HANG] + deep);
        bound(v, "contexts lost by card errors", card, seen[ACCEL_LOST_BY_CARD_ERROR],
              planted[PLANT_COMP_CORRUPT] + planted[PLANT_DMA_ERROR]);
        bound(v, "contexts lost by node resets", card, seen[ACCEL_LOST_BY_RESET],
              planted[PLANT_RESET_NODE]);
        bound(v, "clients that lost memory", card, seen[ACCEL_LOST_BY_ECC],
              planted[PLANT_ECC_DOUBLE]);
        bound(v, "cards gone", card, v->gone[card], away + deep);
        bound(v, "card resets", card, v->resets[card], deep + planted[PLANT_RESET_CARD] + 2 * away);
    }
}

// --- The table ---

static uint64_t all_planted(const verdict_t *v, plant_kind_t kind) {
    uint64_t n = 0;
    for (uint32_t card = 0; card < MAX_CARDS; card++)
        n += v->planted[card][kind];
    return n;
}

static uint64_t all_seen(const verdict_t *v, accel_lost_t lost) {
    uint64_t n = 0;
    for (uint32_t card = 0; card < MAX_CARDS; card++)
        n += v->seen[card][lost];
    return n;
}

static void row(const verdict_t *v, plant_kind_t kind, uint64_t seen, const char *allowed) {
    static const char *const texts[] = {
#define PLANT_TEXT(name, inject, text) text,
        PLANT_TABLE(PLANT_TEXT)
#undef PLANT_TEXT
    };
    printf("| %-27s | %7lu | %7lu | ", texts[kind], (unsigned long)all_planted(v, kind),
           (unsigned long)v->refused[kind]);
    if (seen == UINT64_MAX)
        printf("%7s | %-48s |\n", "", allowed);
    else
        printf("%7lu | %-48s |\n", (unsigned long)seen, allowed);
}

static void print_table(const verdict_t *v) {
    printf("| %-27s | %7s | %7s | %7s | %-48s |\n", "fault", "planted", "refused", "seen",
           "allowed");
    printf("| --- | --- | --- | --- | --- |\n");
    row(v, PLANT_ECC_SINGLE, 0, "nobody");
    row(v, PLANT_IRQ_LOST, 0, "nobody");
    row(v, PLANT_OVERHEAT, 0, "nobody");
    row(v, PLANT_ECC_DOUBLE, all_seen(v, ACCEL_LOST_BY_ECC), "the client whose page it is");
    row(v, PLANT_COMP_CORRUPT, all_seen(v, ACCEL_LOST_BY_CARD_ERROR),
        "one context at most, with the next row");
    row(v, PLANT_DMA_ERROR, UINT64_MAX, "one context at most");
    row(v, PLANT_HANG, all_seen(v, ACCEL_LOST_BY_HANG), "one context at most, with the next rows");
    row(v, PLANT_HANG_CARD, UINT64_MAX, "all on the card");
    row(v, PLANT_HANG_FUNCTION, UINT64_MAX, "all on the card");
    row(v, PLANT_RESET_NODE, all_seen(v, ACCEL_LOST_BY_RESET), "one context at most");
    row(v, PLANT_RESET_CARD, v->lost_devices, "all on the card (calls), with the next rows");
    row(v, PLANT_LINK_LOSS, UINT64_MAX, "all on the card");
    row(v, PLANT_REMOVE, UINT64_MAX, "all on the card");
}

static double percent(uint64_t part, uint64_t whole) {
    return whole != 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void print_sums(const verdict_t *v) {
    const soak_shared_t *s = v->shared;
    soak_events_t all = {0};
    for (uint32_t card = 0; card < MAX_CARDS; card++) {
        all.hangs += s->events[card].hangs;
        all.node_resets += s->events[card].node_resets;
        all.card_resets += s->events[card].card_resets;
        all.retired += s->events[card].retired;
        all.interrupts += s->events[card].interrupts;
        all.corrupt += s->events[card].corrupt;
        all.missed += s->events[card].missed;
    }
    uint64_t submitted = s->submitted, known = s->succeeded + s->failed + s->own;
    printf("submissions %lu: right %lu (%.2f %%), lost %lu, wrong on purpose %lu, of killed "
           "clients %lu; wrong results %lu\n",
           (unsigned long)submitted, (unsigned long)s->succeeded, percent(s->succeeded, submitted),
           (unsigned long)s->failed, (unsigned long)s->own,
           (unsigned long)(submitted > known ? submitted - known : 0), (unsigned long)s->wrong);
    printf("plants %u; hangs found %lu, node resets %lu, card resets %lu, pages retired %lu, lost "
           "interrupts found %lu, corrupt entries %lu; failures by event %lu, bans %lu\n",
           v->n_plants, (unsigned long)all.hangs, (unsigned long)all.node_resets,
           (unsigned long)all.card_resets, (unsigned long)all.retired,
           (unsigned long)all.interrupts, (unsigned long)all.corrupt, (unsigned long)v->by_event,
           (unsigned long)all_seen(v, ACCEL_LOST_BY_BAN));
    printf("clients killed %u, stopped %u; longest time to DEVICE_LOST %.3f s (at %.3f s, card %u, "
           "process %u); %.1f s in all\n",
           s->n_kills, s->n_stops, (double)v->longest_ns / 1e9, (double)v->longest_at_ns / 1e9,
           v->longest_card, v->longest_process, (double)(soak_now() - s->start_ns) / 1e9);
    if (all.missed > 0)
        printf("events missed: %lu\n", (unsigned long)all.missed);
}

// --- What is left ---

static void judge_rest(verdict_t *v, const soak_state_t *before, const soak_state_t *after) {
    for (uint32_t card = 0; card < v->shared->options.cards; card++) {
        uint64_t retired = (after->retired[card] - before->retired[card]) * 4096;
        printf("card %u: free memory %lu before, %lu after, %lu retired\n", card,
               (unsigned long)before->memory_free[card], (unsigned long)after->memory_free[card],
               (unsigned long)retired);
        if (after->memory_free[card] + retired != before->memory_free[card])
            complain(v, "card memory did not come back");
    }
    printf("daemon: descriptors %zu before, %zu after; threads for clients %zu, %zu, in all %zu, "
           "%zu; clients %zu, %zu\n",
           before->descriptors, after->descriptors, before->serving, after->serving,
           before->threads, after->threads, before->clients, after->clients);
    if (after->descriptors != before->descriptors)
        complain(v, "the daemon's descriptors did not come back");
    if (after->serving != before->serving ||
        after->threads > before->threads + CARD_THREADS * v->shared->options.cards)
        complain(v, "the daemon's threads did not come back");
    if (after->clients != before->clients)
        complain(v, "clients are left");
}

bool soak_judge(const soak_shared_t *shared, const soak_state_t *before,
                const soak_state_t *after) {
    verdict_t v = {.shared = shared,
                   .n_plants = at_most(shared->n_plants, MAX_PLANTS),
                   .n_outcomes = at_most(shared->n_outcomes, MAX_OUTCOMES),
                   .n_losses = at_most(shared->n_losses, MAX_LOSSES)};
    if (shared->n_plants > MAX_PLANTS || shared->n_outcomes > MAX_OUTCOMES ||
        shared->n_losses > MAX_LOSSES || shared->n_openings > MAX_OPENINGS)
        complain(&v, "the ledger is too small");
    count_plants(&v);
    judge_outcomes(&v);
    judge_counts(&v);
    measure(&v);
    print_table(&v);
    print_sums(&v);
    judge_rest(&v, before, after);
    if (shared->wrong != 0)
        complain(&v, "wrong results");
    if (shared->submitted < shared->options.submissions)
        complain(&v, "too few submissions in the time");
    if (shared->succeeded * 100 < shared->submitted * shared->options.percent)
        complain(&v, "too few submissions succeeded");
    return !v.failed;
}
