// SPDX-License-Identifier: Apache-2.0
// The port for a process of our own, and the host side of the PCI function in it: whoever makes the
// card hands it port_user_dma_* and port_user_msix, and the port the card's accesses.
#ifndef PORT_USER_USER_H
#define PORT_USER_USER_H

#include "driver/port.h"

typedef struct port_user port_user_t;

// The card's side: BAR and config accesses of 1, 2, 4 or 8 bytes, naturally aligned. Any thread.
typedef struct port_user_function {
    void *self;
    uint32_t (*config_read)(void *self, uint32_t offset, uint32_t bytes);
    void (*config_write)(void *self, uint32_t offset, uint32_t bytes, uint32_t value);
    uint64_t (*bar_read)(void *self, uint32_t bar, uint64_t offset, uint32_t bytes);
    void (*bar_write)(void *self, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value);
} port_user_function_t;

// Optional: where the driver's log goes.
typedef void (*port_user_log_t)(void *user, port_log_t id, uint64_t a, uint64_t b, uint64_t c);

WARN_UNUSED status_t port_user_create(port_user_log_t log, void *log_user, port_user_t **out_port);
// The driver is stopped and the card gone before.
void port_user_destroy(port_user_t *port);

// Connects the card: switches on memory space. Before the driver starts, which does the rest.
WARN_UNUSED status_t port_user_attach(port_user_t *port, const port_user_function_t *function);
// Switches all off. After the driver stopped; no interrupt is running any more.
void port_user_detach(port_user_t *port);

// What the driver's core takes.
port_t *port_user_base(port_user_t *port);

// What the card takes; `user` is the port_user_t. Addresses that were not allocated or pinned are
// refused, as are writes to what was pinned for reading.
bool port_user_dma_read(void *user, uint64_t address, void *out_data, uint64_t bytes);
bool port_user_dma_write(void *user, uint64_t address, const void *data, uint64_t bytes);
void *port_user_dma_map(void *user, uint64_t address, bool write, uint64_t *out_bytes);
void port_user_msix(void *user, uint32_t vector);
uint64_t port_user_clock_ns(void *user);

#endif
