// SPDX-License-Identifier: Apache-2.0
// The resource manager: address spaces, card memory, contexts, order of submissions, timelines. One
// for the in-process card, the daemon and Linux. Freestanding.
#ifndef RM_RM_H
#define RM_RM_H

#include <stddef.h>

#include "driver/port.h"
#include "driver/uapi/accel_uapi.h"

typedef struct rm_card rm_card_t;
typedef struct rm_client rm_client_t;

// [P] Starts the card behind `port`, which outlives it.
WARN_UNUSED status_t rm_card_start(port_t *port, rm_card_t **out_card);
// [P] After all clients were closed.
void rm_card_stop(rm_card_t *card);

// [P] Handles belong to one client. Closing waits for the client's work in flight, cancels what has
// not begun, and frees all that it made.
WARN_UNUSED status_t rm_client_open(rm_card_t *card, rm_client_t **out_client);
void rm_client_close(rm_client_t *client);

// [P] Checks and carries out one request of `bytes` readable and writable bytes, 8-byte aligned;
// pointers in it were made readable by the port. The result is also stored in the request. Any
// thread, at the same time.
status_t rm_request(rm_client_t *client, void *request, size_t bytes);

#endif
