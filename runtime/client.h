// SPDX-License-Identifier: Apache-2.0
// How the runtime reaches a driver: one table a way (runtime/client/*.c). Private to the runtime.
#ifndef RUNTIME_CLIENT_H
#define RUNTIME_CLIENT_H

#include "accel/accel.h"
#include "support/status.h"

#define RT_CLIENT_VERSION 1u

typedef struct rt_client_ops {
    uint32_t version; // RT_CLIENT_VERSION
    // A struct of driver/uapi/accel_uapi.h. Any thread.
    status_t (*request)(void *self, void *request, size_t bytes);
    // Page aligned host memory that BO_FROM_USER takes; large blocks 2 MiB aligned. Any thread.
    void *(*memory_alloc)(void *self, size_t bytes);
    void (*memory_free)(void *self, void *memory, size_t bytes);
    // The device's lock, for short sections.
    void (*lock)(void *self);
    void (*unlock)(void *self);
    uint64_t (*now_ns)(void *self); // monotonic
    void (*close)(void *self);
} rt_client_ops_t;

typedef struct rt_client {
    const rt_client_ops_t *ops;
    void *self;
} rt_client_t;

// The constructor of a card's PCI function, as in driver/sim/sim.h: all that the in-process client
// knows of a card, wherever that lives.
struct sim_options;
struct sim_host;
struct sim_function;
typedef status_t (*rt_card_create_t)(const struct sim_options *options, const struct sim_host *host,
                                     struct sim_function *out_function);

// client/inproc.c. A card by `create`, or (NULL) the simulated one of this process. Reports to
// `error`.
accel_status_t rt_inproc_open(const accel_device_options_t *options, rt_card_create_t create,
                              rt_client_t *out_client, accel_error_t *error);
// device.c. A device behind `client`, which it takes, also on failure.
accel_status_t rt_device_open(const rt_client_t *client, accel_device_t **out_device,
                              accel_error_t *error);

#endif
