// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "driver/port/user/user_internal.h"

static void user_log(port_t *base, port_log_t id, uint64_t a, uint64_t b, uint64_t c) {
    port_user_t *port = user_of(base);
    if (port->log != NULL)
        port->log(port->log_user, id, a, b, c);
}

static const port_ops_t user_ops = {
    .version = PORT_VERSION,
    .bytes = sizeof(port_ops_t),
    .reg_read32 = user_reg_read32,
    .reg_write32 = user_reg_write32,
    .mem_alloc = user_mem_alloc,
    .mem_free = user_mem_free,
    .dma_alloc = user_dma_alloc,
    .dma_free = user_dma_free,
    .host_pin = user_host_pin,
    .host_release = user_host_release,
    .host_run = user_host_run,
    .spin_init = user_spin_init,
    .spin_deinit = user_spin_deinit,
    .spin_lock = user_spin_lock,
    .spin_unlock = user_spin_unlock,
    .mutex_init = user_mutex_init,
    .mutex_deinit = user_mutex_deinit,
    .mutex_lock = user_mutex_lock,
    .mutex_unlock = user_mutex_unlock,
    .event_init = user_event_init,
    .event_deinit = user_event_deinit,
    .event_count = user_event_count,
    .event_set = user_event_set,
    .event_wait = user_event_wait,
    .now_ns = user_now_ns,
    .stall_us = user_stall_us,
    .irq_enable = user_irq_enable,
    .irq_disable = user_irq_disable,
    .irq_sync = user_irq_sync,
    .log = user_log,
    .work_init = user_work_init,
    .work_deinit = user_work_deinit,
    .work_at = user_work_at,
    .function_reset = user_function_reset,
    .bus_master = user_bus_master,
};

status_t port_user_create(port_user_log_t log, void *log_user, port_user_t **out_port) {
    *out_port = NULL;
    port_user_t *port = calloc(1, sizeof *port);
    if (port == NULL)
        return STATUS_NO_MEMORY;
    port->base.ops = &user_ops;
    port->log = log;
    port->log_user = log_user;
    if (pthread_rwlock_init(&port->regions_lock, NULL) != 0 ||
        pthread_mutex_init(&port->irq_lock, NULL) != 0 ||
        pthread_cond_init(&port->irq_idle, NULL) != 0 || port_user_works_init(port) != STATUS_OK) {
        free(port);
        return STATUS_NO_MEMORY;
    }
    *out_port = port;
    return STATUS_OK;
}

void port_user_destroy(port_user_t *port) {
    if (port == NULL)
        return;
    port_user_works_deinit(port);
    (void)pthread_rwlock_destroy(&port->regions_lock);
    (void)pthread_mutex_destroy(&port->irq_lock);
    (void)pthread_cond_destroy(&port->irq_idle);
    free(port->regions);
    free(port);
}

port_t *port_user_base(port_user_t *port) { return &port->base; }
