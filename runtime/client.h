// SPDX-License-Identifier: Apache-2.0
// How the runtime reaches a driver: one table a way (runtime/client/*.c). Private to the runtime.
#ifndef RUNTIME_CLIENT_H
#define RUNTIME_CLIENT_H

#include "accel/accel.h"
#include "driver/uapi/accel_uapi.h"
#include "support/status.h"

#define RT_CLIENT_VERSION 3u

typedef struct rt_client_ops {
    uint32_t version; // RT_CLIENT_VERSION
    const char *kind; // "inproc", "daemon"
    // A struct of driver/uapi/accel_uapi.h. Any thread; one that waits does not hold up others.
    status_t (*request)(void *self, void *request, size_t bytes);
    // Several of them in order, until one fails, whose status is returned; *out_done: those that
    // succeeded. Where there is a way to go, they go it together. At most RT_BATCH_MAX.
    status_t (*batch)(void *self, accel_req_t *const *requests, uint32_t n_requests,
                      uint32_t *out_done);
    // Page aligned host memory for the card to use in place; large blocks 2 MiB aligned. *out_bo:
    // the buffer that it already is, for the caller to destroy before memory_free; 0: memory that
    // BO_FROM_USER takes. Any thread.
    status_t (*memory_alloc)(void *self, size_t bytes, void **out_memory, uint32_t *out_bo);
    void (*memory_free)(void *self, void *memory, size_t bytes);
    // The device's lock, for short sections.
    void (*lock)(void *self);
    void (*unlock)(void *self);
    // Under the lock. `sleep` gives it up until `wake`, which reaches all who sleep, or until
    // sooner: what is waited for is looked at again. For what another thread of the device ends in
    // short time.
    void (*sleep)(void *self);
    void (*wake)(void *self);
    uint64_t (*now_ns)(void *self); // monotonic
    // A sentence on why requests end as DEVICE_LOST, or NULL: the card did. May be NULL.
    const char *(*lost)(void *self);
    void (*close)(void *self);
} rt_client_ops_t;

#define RT_BATCH_MAX 16u

typedef struct rt_client {
    const rt_client_ops_t *ops;
    void *self;
    const char *where;      // a socket's path, good as long as the client; NULL: nowhere else
    uint32_t card, n_cards; // which of how many the driver has
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

// client/linux.c. The card of index `card` among those of the kernel's driver. NOT_FOUND: always as
// yet, since there is no such driver; the text says what was looked for. Reports to `error`.
accel_status_t rt_linux_open(uint32_t card, rt_client_t *out_client, accel_error_t *error);

// client/places.c. `socket`: as in accel_device_options_t. A monitor only looks (see
// driver/uapi/accel_socket.h). NOT_FOUND: no daemon there, or no such card. Reports to `error`.
typedef struct rt_daemon_options {
    const char *socket;
    uint32_t card;
    bool monitor;
} rt_daemon_options_t;
accel_status_t rt_daemon_open(const rt_daemon_options_t *options, rt_client_t *out_client,
                              accel_error_t *error);
#define RT_SOCKET_PATH_BYTES 108u
// client/daemon.c. The one at `path`, shorter than RT_SOCKET_PATH_BYTES. *out_reached: there is
// one, whatever came of it.
accel_status_t rt_daemon_open_at(const char *path, const rt_daemon_options_t *options,
                                 rt_client_t *out_client, bool *out_reached, accel_error_t *error);

#endif
