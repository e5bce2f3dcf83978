// SPDX-License-Identifier: Apache-2.0
// Life, and what the test asks.
#include <stdlib.h>

#include "driver/port/fault/fault_internal.h"

status_t port_fault_create(port_t *inner, port_fault_tell_t tell, void *tell_user,
                           port_fault_t **out_port) {
    *out_port = NULL;
    if (inner->ops->version != PORT_VERSION || inner->ops->bytes < sizeof(port_ops_t))
        return STATUS_MISMATCH;
    port_fault_t *port = calloc(1, sizeof *port);
    if (port == NULL)
        return STATUS_NO_MEMORY;
    if (pthread_mutex_init(&port->mutex, NULL) != 0) {
        free(port);
        return STATUS_NO_MEMORY;
    }
    port->inner = inner;
    port->tell = tell;
    port->tell_user = tell_user;
    port->ops = (port_ops_t){.version = PORT_VERSION, .bytes = sizeof(port_ops_t)};
    fault_set_alloc(&port->ops);
    fault_set_register(&port->ops, inner->ops);
    fault_set_service(&port->ops, inner->ops);
    port->base.ops = &port->ops;
    *out_port = port;
    return STATUS_OK;
}

void port_fault_destroy(port_fault_t *port) {
    if (port == NULL)
        return;
    fault_clear(port);
    (void)pthread_mutex_destroy(&port->mutex);
    free(port);
}

port_t *port_fault_base(port_fault_t *port) { return &port->base; }

void port_fault_set(port_fault_t *port, const port_fault_plan_t *plan) {
    fault_lock(port);
    port->plan = plan != NULL ? *plan : (port_fault_plan_t){0};
    port->counts = (port_fault_counts_t){0};
    fault_unlock(port);
}

void port_fault_counts(port_fault_t *port, port_fault_counts_t *out_counts) {
    fault_lock(port);
    *out_counts = port->counts;
    fault_unlock(port);
}

void port_fault_books(port_fault_t *port, port_fault_books_t *out_books) {
    fault_lock(port);
    *out_books = port->books;
    for (uint32_t i = 0; i < FAULT_THREADS; i++)
        if (port->threads[i].in_use && pthread_equal(port->threads[i].id, pthread_self()) != 0)
            out_books->locks_held += port->threads[i].n_held;
    fault_unlock(port);
}

uint64_t port_fault_tell_open(port_fault_t *port) {
    uint64_t n_open = 0;
    fault_lock(port);
    for (uint32_t i = 0; i < FAULT_BUCKETS; i++) {
        for (const fault_entry_t *entry = port->entries[i]; entry != NULL; entry = entry->next) {
            fault_tell(port, "%s of %llu bytes was not given back", fault_call_name(entry->kind),
                       (unsigned long long)entry->bytes);
            n_open++;
        }
    }
    fault_unlock(port);
    return n_open;
}

void port_fault_rank(port_fault_t *port, uint32_t mutexes, uint32_t spins) {
    fault_lock(port);
    port->mutex_rank = mutexes;
    port->spin_rank = spins;
    fault_unlock(port);
}
