// SPDX-License-Identifier: Apache-2.0
// The soak's processes and the memory that they share: a supervisor (main, single-threaded), a
// planter of faults, clients that work. All write into the ledger; the supervisor judges it when
// the others are gone. Times are those of CLOCK_MONOTONIC, which is one on the machine.
#ifndef SOAK_SOAK_H
#define SOAK_SOAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "accel/accel.h"
#include "accel/manage.h"

enum {
    MAX_CARDS = 8,
    MAX_PROCESSES = 16,
    DEVICES = 2,      // of a process, each on another card
    THREADS_EACH = 2, // that share a device
    STREAMS = 2,      // of a thread
    THREADS = DEVICES * THREADS_EACH,
    MAX_PLANTS = 1 << 14,
    MAX_LOSSES = 1 << 12,
    MAX_OPENINGS = 1 << 15,
    MAX_STOPS = 1 << 10,
    MAX_OUTCOMES = 1 << 18,
};

typedef struct soak_options {
    uint64_t seconds, submissions, faults, hangs, cards, processes, seed, scale;
    uint64_t limit_ms, stuck_s, percent;
    const char *daemon, *image;
    bool verbose;
} soak_options_t;

// --- What is planted ---

// X(NAME, name for accel_card_inject or NULL, text)
#define PLANT_TABLE(X)                                                                             \
    X(ECC_SINGLE, "ecc-single", "single-bit ECC")                                                  \
    X(IRQ_LOST, "irq-lost", "lost interrupt")                                                      \
    X(OVERHEAT, "overheat", "overheat")                                                            \
    X(ECC_DOUBLE, "ecc-double", "double-bit ECC")                                                  \
    X(COMP_CORRUPT, "comp-corrupt", "corrupt completion")                                          \
    X(DMA_ERROR, "dma-error", "refused ring read")                                                 \
    X(HANG, "hang", "hang, until node reset")                                                      \
    X(HANG_CARD, "hang", "hang, until card reset")                                                 \
    X(HANG_FUNCTION, "hang", "hang, until function reset")                                         \
    X(RESET_NODE, NULL, "node reset")                                                              \
    X(RESET_CARD, NULL, "card reset")                                                              \
    X(LINK_LOSS, "link-loss", "link loss")                                                         \
    X(REMOVE, "remove", "removal")
typedef enum plant_kind {
#define PLANT_ENUM(name, inject, text) PLANT_##name,
    PLANT_TABLE(PLANT_ENUM)
#undef PLANT_ENUM
        PLANT_KINDS
} plant_kind_t;

typedef struct soak_plant {
    uint32_t kind, card;
    uint64_t argument;
    uint64_t from_ns, time_ns; // call and return; time_ns 0: the card did not take it
    bool unsure;               // it may have been away before
} soak_plant_t;

// --- What was seen ---

// What the client did wrong on purpose.
typedef enum own_kind { OWN_NONE, OWN_FAULT, OWN_TIMEOUT } own_kind_t;

typedef struct soak_outcome {
    uint32_t process, thread, card, opening;
    uint32_t status, lost, own, waited; // `waited`: in a call that waits
    uint64_t number;                    // submission
    uint64_t from_ns, time_ns;          // call and return
    char text[120];                     // begin of the error's
} soak_outcome_t;

// A device of a client's, from its opening on.
typedef struct soak_opening {
    uint32_t process, card;
    uint64_t from_ns, open_ns; // call and return; 0: it failed
} soak_opening_t;

// The card's own word that all on it was lost: an event CARD_RESET or GONE.
typedef struct soak_loss {
    uint32_t card;
    bool gone, ok; // `ok`: a reset that brought the card back
    uint64_t time_ns;
} soak_loss_t;

typedef struct soak_stop {
    uint32_t process;
    uint64_t from_ns, to_ns;
} soak_stop_t;

typedef struct soak_thread {
    _Atomic uint64_t beat_ns; // its last progress; 0: not running
    _Atomic uint64_t number;  // its last submission
    _Atomic uint32_t card;
} soak_thread_t;

typedef struct soak_slot {
    pid_t pid;
    uint32_t life; // how often it was started
    soak_thread_t threads[THREADS];
} soak_slot_t;

// What a hang of a card made of: for the table only.
typedef struct soak_events {
    uint64_t hangs, node_resets, card_resets, retired, interrupts, corrupt, banned, missed;
} soak_events_t;

typedef struct soak_shared {
    soak_options_t options;
    uint64_t start_ns;
    _Atomic bool stop;          // clients end
    _Atomic bool planted;       // the planter has nothing left
    _Atomic uint64_t submitted; // numbers given
    _Atomic uint64_t succeeded, failed, own, wrong;
    _Atomic uint32_t n_plants, n_outcomes, n_openings, n_losses;
    uint32_t n_stops, n_kills;
    soak_events_t events[MAX_CARDS];
    soak_slot_t slots[MAX_PROCESSES];
    soak_plant_t plants[MAX_PLANTS];
    soak_opening_t openings[MAX_OPENINGS];
    soak_loss_t losses[MAX_LOSSES];
    soak_stop_t stops[MAX_STOPS];
    soak_outcome_t outcomes[MAX_OUTCOMES];
    char socket[96];
} soak_shared_t;

// --- common.c ---

uint64_t soak_now(void);
void soak_sleep_ms(uint64_t ms);
uint64_t soak_random(uint64_t *state); // xorshift; `state` is not 0
// A random number below `n`, which is not 0.
uint64_t soak_below(uint64_t *state, uint64_t n);
uint64_t soak_seed(const soak_shared_t *shared, uint64_t a, uint64_t b);
// A place in a ledger of `capacity`, UINT32_MAX: it is full (and the soak fails).
uint32_t soak_place(_Atomic uint32_t *count, uint32_t capacity);
const char *soak_lost_text(uint32_t lost);

// --- The processes; each returns its exit code ---

int soak_client(soak_shared_t *shared, uint32_t process); // client.c
int soak_plant(soak_shared_t *shared);                    // planter.c

// --- turn.c: what a thread of a client does with its streams ---

typedef struct soak_device {
    accel_device_t *device;
    accel_module_t *module;
    uint32_t card, opening;
} soak_device_t;

typedef struct soak_worker {
    soak_shared_t *shared;
    soak_thread_t *beat;
    uint32_t process, thread;
    uint64_t random;
    soak_device_t *device;
    accel_stream_t *streams[STREAMS], *limited; // `limited` has a time limit
    accel_buffer_t *buffers[3];
    uint64_t *memory; // STREAMS areas
    bool broken;      // the device has to be opened again
} soak_worker_t;

accel_status_t soak_turn_setup(soak_worker_t *worker, accel_error_t *error);
void soak_turn_cleanup(soak_worker_t *worker);
// False: there is nothing left to do.
bool soak_turn(soak_worker_t *worker);
// Notes a call's failure in the ledger.
void soak_report(soak_worker_t *worker, const accel_error_t *error, own_kind_t own, bool waited,
                 uint64_t from_ns);

// --- verdict.c ---

// What the daemon has: compared before and after.
typedef struct soak_state {
    size_t descriptors, threads, serving, clients; // `serving` of the threads
    uint64_t memory_free[MAX_CARDS], retired[MAX_CARDS];
} soak_state_t;
// Prints the table; true: everything was as it has to be.
bool soak_judge(const soak_shared_t *shared, const soak_state_t *before, const soak_state_t *after);

#endif
