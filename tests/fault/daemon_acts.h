// SPDX-License-Identifier: Apache-2.0
// What a client of the daemon does, one operation each: every request of ACCEL_UAPI_TABLE.
#ifndef TESTS_FAULT_DAEMON_ACTS_H
#define TESTS_FAULT_DAEMON_ACTS_H

#include "runtime/runtime_internal.h"

// A client with one of each object, and a second one of what can be destroyed.
typedef struct session {
    const char *socket;
    rt_client_t client, other; // ops NULL: not open
    uint32_t vm, context, sync, card_bo, host_bo;
    uint32_t spare_vm, spare_context, spare_sync, spare_bo, spare_host;
    void *host, *spare;
    uint64_t key[2], name; // of card_bo, exported
    accel_error_t error;
} session_t;

#define HOST_BYTES 0x3000u

status_t session_open(session_t *s);
status_t session_furnish(session_t *s); // an open one
void session_close(session_t *s);
status_t session_info(session_t *s, accel_req_info_t *out_info);

typedef struct act {
    const char *name;
    uint16_t op;                       // ACCEL_REQ_*; 0: none, or several
    bool closed;                       // begins without a client
    status_t (*prepare)(session_t *s); // may be NULL; after session_furnish
    status_t (*run)(session_t *s);
} act_t;

extern const act_t acts[];
extern const uint32_t n_acts;

#endif
