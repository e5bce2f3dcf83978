// SPDX-License-Identifier: Apache-2.0
// A driver of two cards that answers what a test put there.
#ifndef TESTS_SMI_FAKE_H
#define TESTS_SMI_FAKE_H

#include "accel/manage.h"
#include "driver/uapi/accel_uapi.h"
#include "runtime/client.h"

enum { FAKE_CARDS = 2, FAKE_RECORDS = 300 };

typedef struct fake_card {
    struct fake *fake;
    accel_req_info_t info;
    accel_req_telemetry_t telemetry;
    uint64_t step_ns, step_cycles[2]; // that pass from one TELEMETRY to the next
    accel_client_record_t clients[FAKE_RECORDS];
    uint32_t n_clients;
    accel_event_record_t events[FAKE_RECORDS];
    uint32_t n_events;
    status_t refuse;         // what administrators get
    accel_req_reset_t reset; // the last one
    accel_req_inject_t inject;
    uint32_t n_resets, n_injects, n_holds;
    bool is_held;
} fake_card_t;

typedef struct fake {
    fake_card_t cards[FAKE_CARDS];
    uint32_t n_cards; // 0: no driver
    uint32_t n_open;
    bool ended;     // the driver went away
    bool is_simple; // knows nothing but INFO
} fake_t;

// Two cards in good health, one of them worked with.
void fake_init(fake_t *fake);
void fake_add_event(fake_card_t *card, uint32_t kind, uint32_t code, uint64_t a);
accel_status_t fake_open(void *fake, const char *socket, accel_manager_t **out_manager,
                         accel_error_t *error);

#endif
