// SPDX-License-Identifier: Apache-2.0
// What a manager is. Private to the runtime and its tests.
#ifndef RUNTIME_MANAGE_INTERNAL_H
#define RUNTIME_MANAGE_INTERNAL_H

#include "accel/manage.h"
#include "runtime/client.h"

// Connects to card `card`, and says in the client how many there are.
typedef accel_status_t (*rt_manager_connect_t)(void *user, uint32_t card, rt_client_t *out_client,
                                               accel_error_t *error);

struct accel_manager {
    // One card at a time is connected: drivers have room for few who only look.
    rt_manager_connect_t connect;
    void *user;
    rt_client_t client; // ops NULL: none
    bool is_borrowed;   // of a device
    uint32_t card;      // that it is connected to
    uint32_t n_cards;
    char *where;
};

// `where` is copied. The caller keeps `user` as long as the manager.
accel_status_t rt_manager_create(rt_manager_connect_t connect, void *user, const char *where,
                                 accel_manager_t **out_manager, accel_error_t *error);

// One request to a card; `what`: what it is for, for the error.
accel_status_t rt_manager_ask(accel_manager_t *manager, uint32_t card, void *request, size_t bytes,
                              uint16_t op, const char *what, accel_error_t *error);

#endif
