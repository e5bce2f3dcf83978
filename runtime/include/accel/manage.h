// SPDX-License-Identifier: Apache-2.0
// accel/manage.h: looks after accelerator cards. What they are, how they are, who uses them; and,
// for administrators, power limits, resets and planted faults. Runs no work and takes none of what
// work needs. C17, usable from C++.
//
//     accel_manager_t *manager;
//     accel_manager_open(NULL, &manager, &error);
//     for (uint32_t card = 0; card < accel_manager_n_cards(manager); card++)
//         accel_card_info(manager, card, &info, &error);
//     accel_manager_close(manager);
//
// Rules: those of accel/accel.h. One manager: one thread at a time; different managers at the same
// time. Errors that every call with a card may return: NOT_FOUND (no such card, or no driver runs),
// DEVICE_LOST (the driver ended), UNSUPPORTED (this card or driver cannot), DENIED (only an
// administrator may: root, and the user whom the driver runs as).
#ifndef ACCEL_MANAGE_H
#define ACCEL_MANAGE_H

#include "accel/accel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct accel_manager accel_manager_t;

// The cards of the daemon accel-cardd; `socket`: as in accel_device_options_t. NOT_FOUND: none
// runs.
accel_status_t accel_manager_open(const char *socket, accel_manager_t **out_manager,
                                  accel_error_t *error);
// The card behind a device, in whatever way that was opened. The device is closed after the
// manager.
accel_status_t accel_manager_attach(accel_device_t *device, accel_manager_t **out_manager,
                                    accel_error_t *error);
void accel_manager_close(accel_manager_t *manager);
// Cards are numbered from 0 on.
uint32_t accel_manager_n_cards(const accel_manager_t *manager);
// "daemon" or "inproc"; and where it is: a socket's path, or "", good until the next call.
const char *accel_manager_kind(const accel_manager_t *manager);
const char *accel_manager_where(const accel_manager_t *manager);
// The version of this library, and that of the requests it speaks to drivers.
const char *accel_manager_version(void);
uint32_t accel_manager_request_version(void);

// --- Identity: the same as long as the card is ---

typedef struct accel_card_info {
    uint32_t index;
    char profile[17];
    char uuid[48];     // "ACC-..." made of the serial number; "" when the card has none
    char location[24]; // "daemon:0": what accel_device_open takes as a kind
    uint64_t serial;
    char firmware[16];                    // "1.2.3"
    char card_version[16];                // of the contract between card and driver: "1.0"
    uint32_t cores, nodes;                // hardware nodes
    uint32_t clock_khz;                   // nominal
    uint32_t link_generation, link_lanes; // PCI Express in use; 0: not known
    uint64_t memory_bytes, sram_bytes, lm_bytes;
    bool simulated, timing; // counts overlapping cycles
    bool has_sensors, has_ecc, has_power, can_inject;
} accel_card_info_t;
accel_status_t accel_card_info(accel_manager_t *manager, uint32_t card, accel_card_info_t *out_info,
                               accel_error_t *error);

// --- How it is ---

typedef enum accel_card_state {
    ACCEL_STATE_READY = 0,
    ACCEL_STATE_RECOVERING = 1, // a reset is under way
    ACCEL_STATE_HOT = 2,        // too hot to work; goes on by itself
    ACCEL_STATE_LOST = 3,       // does not answer; a reset may bring it back
} accel_card_state_t;

#define ACCEL_THROTTLED_THERMAL 1u // it is hot
#define ACCEL_THROTTLED_POWER   2u // it would pass its power limit
#define ACCEL_THROTTLED_SLEEP   4u // it sleeps

// What the card lacks (see accel_card_info_t), or cannot be asked now since it is lost or being
// reset, is 0, and its flag is false.
typedef struct accel_card_telemetry {
    accel_card_state_t state;
    bool has_sensors; // temperatures, power, clock, throttled, energy_mj
    bool has_power;   // asleep
    bool has_ecc;     // ecc_*
    bool has_counts;  // errors, faults_dropped, busy_cycles, dram_bytes
    bool asleep;
    int32_t temperature_mc, slowdown_mc, critical_mc; // millidegrees Celsius
    uint32_t power_mw, power_limit_mw, power_limit_min_mw, power_limit_max_mw;
    uint32_t clock_khz; // now
    uint32_t throttled; // ACCEL_THROTTLED_* bits
    uint32_t clients;
    // Since the card was made.
    uint32_t ecc_corrected, ecc_uncorrected, errors, faults_dropped;
    // Since the driver started.
    uint32_t retired_pages; // 4 KiB each
    uint32_t node_resets, card_resets, lost_interrupts;
    uint64_t uptime_ns;
    uint64_t energy_mj; // since power-on
    uint64_t memory_bytes, memory_free, memory_reserved;
    uint64_t busy_cycles[2], dram_bytes[2]; // since the card was reset, by node: COMPUTE, COPY
} accel_card_telemetry_t;
accel_status_t accel_card_telemetry(accel_manager_t *manager, uint32_t card,
                                    accel_card_telemetry_t *out_telemetry, accel_error_t *error);

// How busy the card was between two looks at it.
typedef struct accel_card_use {
    uint64_t interval_ns;
    uint32_t compute_permille, copy_permille; // of the time, by the card's nominal clock
    uint64_t dram_bytes_per_s;
} accel_card_use_t;
// False: the second is not later than the first, the driver started in between, or the card was not
// there at one of them.
bool accel_card_use(const accel_card_info_t *info, const accel_card_telemetry_t *first,
                    const accel_card_telemetry_t *second, accel_card_use_t *out_use);

typedef enum accel_health {
    ACCEL_HEALTH_OK = 0,
    ACCEL_HEALTH_WARNING = 1,  // works; somebody should look (errors, heat, a reset under way)
    ACCEL_HEALTH_CRITICAL = 2, // does not work now
} accel_health_t;
// With the reason, a static text; "" when it is OK.
accel_health_t accel_card_health(const accel_card_telemetry_t *telemetry, const char **out_reason);

// --- Who uses it ---

typedef enum accel_process_state {
    ACCEL_PROCESS_READY = 0,
    ACCEL_PROCESS_LOST = 1,   // of before a reset: it shall close
    ACCEL_PROCESS_BANNED = 2, // hung the card again and again
} accel_process_state_t;

// A client of the driver; a process may be several.
typedef struct accel_process {
    uint64_t id; // growing, never used twice
    uint64_t pid;
    char name[17];
    accel_process_state_t state;
    uint32_t contexts, hangs;
    uint64_t memory_bytes, memory_limit; // card memory; no limit of its own: 0
    uint64_t host_bytes;                 // pinned, and page tables
    uint64_t busy_cycles, submissions;
    bool holds; // see accel_card_hold
} accel_process_t;
// *out_count: how many there are, of which at most `capacity` are in `processes`.
accel_status_t accel_card_processes(accel_manager_t *manager, uint32_t card,
                                    accel_process_t *processes, uint32_t capacity,
                                    uint32_t *out_count, accel_error_t *error);

// --- What happened ---

typedef struct accel_card_event {
    uint64_t number;  // from 1 on, per card
    uint64_t time_ns; // monotonic clock of the driver's machine
    char kind[24];    // "ecc-corrected" ...
    char text[200];   // a sentence
    uint32_t node;    // hardware node
    uint64_t client;  // id of the process concerned, or 0
    uint64_t pid;
} accel_card_event_t;
// Events from number *first on (0: the oldest that is kept); *first: where to go on.
accel_status_t accel_card_events(accel_manager_t *manager, uint32_t card, uint64_t *first,
                                 accel_card_event_t *events, uint32_t capacity, uint32_t *out_count,
                                 accel_error_t *error);

// --- For administrators ---

// INVALID: outside of the card's bounds, which the text names.
accel_status_t accel_card_set_power_limit(accel_manager_t *manager, uint32_t card,
                                          uint32_t limit_mw, accel_error_t *error);
// Ends what the node works on; its contexts are lost, memory is kept. 0: COMPUTE, 1: COPY.
accel_status_t accel_card_reset_node(accel_manager_t *manager, uint32_t card, uint32_t node,
                                     accel_error_t *error);
// Everybody loses contexts and card memory and has to open the card again. Also brings a lost card
// back, if it answers.
accel_status_t accel_card_reset(accel_manager_t *manager, uint32_t card, accel_error_t *error);
// Holds the card for a debugger: until it is released nothing on the card is out of time, neither
// work that stands still nor a stream's time limit, and whoever waits waits on. Errors, resets and
// removal are as ever. Ends with this process, too. BUSY: it is held; the text says by whom. Of an
// attached manager: before its device is closed.
typedef struct accel_hold accel_hold_t;
accel_status_t accel_card_hold(accel_manager_t *manager, uint32_t card, accel_hold_t **out_hold,
                               accel_error_t *error);
// May outlive the manager. NULL: nothing.
void accel_hold_release(accel_hold_t *hold);
// Plants a fault on a simulated card: `kind` by name, the argument as accel_inject_help tells.
// NOT_FOUND: no such kind.
accel_status_t accel_card_inject(accel_manager_t *manager, uint32_t card, const char *kind,
                                 uint64_t argument, accel_error_t *error);
// The kinds in turn; NULL behind the last.
const char *accel_inject_kind(uint32_t index);
const char *accel_inject_help(uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
