// SPDX-License-Identifier: Apache-2.0
// Plants faults, as the ledger has them, and brings lost cards back: a thread a card.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/soak/soak.h"

#define STEP_MS 5u

typedef struct bed {
    soak_shared_t *shared;
    uint32_t card;
    pthread_t thread;
    accel_manager_t *manager;
    uint64_t random, next_event;
    uint64_t down_until_ns; // nobody resets it before
    uint8_t *kinds;
    uint32_t n_kinds;
    bool failed;
} bed_t;

static const char *inject_name(plant_kind_t kind) {
    static const char *const names[] = {
#define PLANT_NAME(name, inject, text) inject,
        PLANT_TABLE(PLANT_NAME)
#undef PLANT_NAME
    };
    return names[kind];
}

// --- What is to be planted, in random order ---

static uint32_t at_least_one(uint64_t n) { return n > 0 ? (uint32_t)n : 1; }

static void count_kinds(const soak_options_t *options, uint32_t counts[PLANT_KINDS]) {
    uint64_t faults = options->faults / options->cards, hangs = options->hangs / options->cards;
    uint64_t rest = faults > hangs ? faults - hangs : 1, seconds = options->seconds;
    counts[PLANT_HANG_CARD] = at_least_one(hangs / 6);
    counts[PLANT_HANG_FUNCTION] = at_least_one(hangs / 12);
    counts[PLANT_HANG] = at_least_one(hangs - hangs / 6 - hangs / 12);
    counts[PLANT_RESET_NODE] = at_least_one(seconds / 10);
    counts[PLANT_RESET_CARD] = at_least_one(seconds / 20);
    counts[PLANT_LINK_LOSS] = at_least_one(seconds / 20);
    counts[PLANT_REMOVE] = at_least_one(seconds / 20);
    counts[PLANT_ECC_DOUBLE] = at_least_one(rest / 12);
    counts[PLANT_COMP_CORRUPT] = at_least_one(rest / 8);
    counts[PLANT_DMA_ERROR] = at_least_one(rest / 8);
    counts[PLANT_OVERHEAT] = at_least_one(rest / 12);
    counts[PLANT_IRQ_LOST] = at_least_one(rest / 5);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < PLANT_KINDS; i++)
        sum += i != PLANT_ECC_SINGLE ? counts[i] : 0;
    counts[PLANT_ECC_SINGLE] = sum < faults ? (uint32_t)faults - sum : 1;
}

static bool make_schedule(bed_t *bed) {
    uint32_t counts[PLANT_KINDS] = {0}, n = 0;
    count_kinds(&bed->shared->options, counts);
    for (uint32_t i = 0; i < PLANT_KINDS; i++)
        n += counts[i];
    bed->kinds = malloc(n);
    if (bed->kinds == NULL)
        return false;
    for (uint32_t i = 0; i < PLANT_KINDS; i++)
        for (uint32_t k = 0; k < counts[i]; k++)
            bed->kinds[bed->n_kinds++] = (uint8_t)i;
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t other = (uint32_t)soak_below(&bed->random, i + 1);
        uint8_t kind = bed->kinds[i];
        bed->kinds[i] = bed->kinds[other];
        bed->kinds[other] = kind;
    }
    return true;
}

// --- Planting ---

// Half of them where memory is likely to be in use, which is given out from both ends.
static uint64_t some_address(bed_t *bed) {
    accel_card_telemetry_t now;
    accel_error_t error = {0};
    if (accel_card_telemetry(bed->manager, bed->card, &now, &error) != ACCEL_OK)
        return 0;
    uint64_t used = now.memory_bytes - now.memory_free + 4096;
    uint64_t address = soak_below(&bed->random, used), where = soak_below(&bed->random, 4);
    return where == 0   ? address
           : where == 1 ? now.memory_bytes - 1 - address
                        : soak_below(&bed->random, now.memory_bytes);
}

static uint64_t argument_of(bed_t *bed, plant_kind_t kind) {
    uint64_t *random = &bed->random;
    uint64_t node = soak_below(random, 3) == 0 ? 1 : 0;
    switch (kind) {
    case PLANT_ECC_SINGLE:
    case PLANT_ECC_DOUBLE:
        return some_address(bed);
    case PLANT_IRQ_LOST:
        return 1 + soak_below(random, 3);
    case PLANT_OVERHEAT:
        return 50 + soak_below(random, 300);
    case PLANT_HANG_CARD:
        return node | 1 << 8;
    case PLANT_HANG_FUNCTION:
        return node | 2 << 8;
    case PLANT_LINK_LOSS:
    case PLANT_REMOVE:
        return 100 + soak_below(random, 700);
    default:
        return node;
    }
}

static accel_status_t do_plant(bed_t *bed, plant_kind_t kind, uint64_t argument,
                               accel_error_t *error) {
    switch (kind) {
    case PLANT_RESET_NODE:
        return accel_card_reset_node(bed->manager, bed->card, (uint32_t)argument, error);
    case PLANT_RESET_CARD:
        return accel_card_reset(bed->manager, bed->card, error);
    default:
        return accel_card_inject(bed->manager, bed->card, inject_name(kind), argument, error);
    }
}

static void plant(bed_t *bed, plant_kind_t kind) {
    soak_shared_t *shared = bed->shared;
    accel_error_t error = {0};
    uint32_t place = soak_place(&shared->n_plants, MAX_PLANTS);
    if (place == UINT32_MAX)
        return;
    soak_plant_t *entry = &shared->plants[place];
    uint64_t argument = argument_of(bed, kind);
    *entry = (soak_plant_t){
        .kind = kind, .card = bed->card, .argument = argument, .from_ns = soak_now()};
    bool down = kind == PLANT_LINK_LOSS || kind == PLANT_REMOVE;
    accel_status_t status = do_plant(bed, kind, argument, &error);
    // Who takes the card away may not hear any more that it was done.
    if (status == ACCEL_OK || (down && status == ACCEL_DEVICE_LOST)) {
        entry->unsure = status != ACCEL_OK;
        entry->time_ns = soak_now();
        if (down)
            bed->down_until_ns = entry->time_ns + argument * 1000000;
        return;
    }
    if (shared->options.verbose)
        fprintf(stderr, "card %u: not planted: %s\n", bed->card, error.text);
    // A card that is away, or that others reset just now.
    if (status != ACCEL_DEVICE_LOST && status != ACCEL_BUSY && status != ACCEL_IO) {
        fprintf(stderr, "soak: cannot plant on card %u: %s\n", bed->card, error.text);
        bed->failed = true;
    }
}

// --- What the card says ---

static void note_event(bed_t *bed, const accel_card_event_t *event) {
    soak_shared_t *shared = bed->shared;
    soak_events_t *events = &shared->events[bed->card];
    bool gone = strcmp(event->kind, "gone") == 0, reset = strcmp(event->kind, "card-reset") == 0;
    events->hangs += strcmp(event->kind, "hang") == 0;
    events->node_resets += strcmp(event->kind, "node-reset") == 0;
    events->card_resets += reset;
    events->retired += strcmp(event->kind, "page-retired") == 0;
    events->interrupts += strcmp(event->kind, "interrupt-lost") == 0;
    events->corrupt += strcmp(event->kind, "corrupt") == 0;
    events->banned += strcmp(event->kind, "banned") == 0;
    if (shared->options.verbose)
        fprintf(stderr, "card %u: %s: %s\n", bed->card, event->kind, event->text);
    if (!gone && !reset)
        return;
    uint32_t place = soak_place(&shared->n_losses, MAX_LOSSES);
    if (place != UINT32_MAX)
        shared->losses[place] = (soak_loss_t){.card = bed->card,
                                              .gone = gone,
                                              .ok = strstr(event->text, "done") != NULL,
                                              .time_ns = event->time_ns};
}

static void read_events(bed_t *bed) {
    accel_card_event_t events[64];
    accel_error_t error = {0};
    uint32_t count = 0;
    do {
        uint64_t first = bed->next_event;
        if (accel_card_events(bed->manager, bed->card, &bed->next_event, events, 64, &count,
                              &error) != ACCEL_OK)
            return;
        if (count > 0 && first != 0 && events[0].number != first)
            bed->shared->events[bed->card].missed += events[0].number - first;
        for (uint32_t i = 0; i < count; i++)
            note_event(bed, &events[i]);
    } while (count > 0);
}

static bool is_well(bed_t *bed) {
    accel_card_telemetry_t now;
    accel_error_t error = {0};
    return accel_card_telemetry(bed->manager, bed->card, &now, &error) == ACCEL_OK &&
           now.state != ACCEL_STATE_LOST && now.state != ACCEL_STATE_RECOVERING;
}

static void look_after(bed_t *bed) {
    accel_error_t error = {0};
    accel_card_telemetry_t now;
    read_events(bed);
    if (soak_now() < bed->down_until_ns ||
        accel_card_telemetry(bed->manager, bed->card, &now, &error) != ACCEL_OK ||
        now.state != ACCEL_STATE_LOST)
        return;
    (void)accel_card_reset(bed->manager, bed->card, &error);
    read_events(bed);
}

// --- Life ---

static bool wait_until(bed_t *bed, uint64_t time_ns) {
    do {
        look_after(bed);
        soak_sleep_ms(STEP_MS);
    } while (soak_now() < time_ns && !atomic_load(&bed->shared->stop));
    return !atomic_load(&bed->shared->stop);
}

static void *tend(void *arg) {
    bed_t *bed = arg;
    soak_shared_t *shared = bed->shared;
    // The last part of the time goes without faults, and shows that the cards go on.
    uint64_t span_ns = shared->options.seconds * 950000000;
    bool more = true;
    for (uint32_t i = 0; i < bed->n_kinds && more; i++) {
        more = wait_until(bed, shared->start_ns +
                                   (uint64_t)((double)span_ns * (i + 0.5) / bed->n_kinds));
        if (more)
            plant(bed, (plant_kind_t)bed->kinds[i]);
    }
    uint64_t until = soak_now() + 60000000000;
    while (soak_now() < bed->down_until_ns || (!is_well(bed) && soak_now() < until))
        (void)wait_until(bed, 0);
    bed->failed |= !is_well(bed);
    read_events(bed);
    return NULL;
}

static bool start(bed_t *bed) {
    accel_error_t error = {0};
    if (make_schedule(bed) &&
        accel_manager_open(bed->shared->socket, &bed->manager, &error) == ACCEL_OK &&
        pthread_create(&bed->thread, NULL, tend, bed) == 0)
        return true;
    fprintf(stderr, "soak: no planter: %s\n", error.text);
    return false;
}

// Goes on reading events until the clients are gone.
int soak_plant(soak_shared_t *shared) {
    bed_t beds[MAX_CARDS] = {0};
    bool failed = false;
    uint32_t n = (uint32_t)shared->options.cards;
    for (uint32_t i = 0; i < n; i++) {
        beds[i] = (bed_t){.shared = shared, .card = i, .random = soak_seed(shared, 1000, i)};
        if (!start(&beds[i]))
            return 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        (void)pthread_join(beds[i].thread, NULL);
        failed |= beds[i].failed;
    }
    atomic_store(&shared->planted, true);
    while (!atomic_load(&shared->stop)) {
        for (uint32_t i = 0; i < n; i++)
            look_after(&beds[i]);
        soak_sleep_ms(STEP_MS);
    }
    for (uint32_t i = 0; i < n; i++) {
        read_events(&beds[i]);
        accel_manager_close(beds[i].manager);
        free(beds[i].kinds);
    }
    return failed ? 1 : 0;
}
