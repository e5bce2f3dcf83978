// SPDX-License-Identifier: Apache-2.0
#ifndef PORT_USER_USER_INTERNAL_H
#define PORT_USER_USER_INTERNAL_H

#include <pthread.h>

#include "driver/port/user/user.h"

// Memory that the card may reach. `reach`: the largest end of this region and all before it.
typedef struct region {
    uint64_t address, end, reach;
    bool writable;
} region_t;

// Works that wait for their time, and the thread that runs them.
typedef struct works {
    pthread_mutex_t lock;
    pthread_cond_t moved, idle; // a time was set; none is running
    struct work *first, *running;
    pthread_t thread;
    bool has_thread, stopping;
} works_t;

struct port_user {
    port_t base; // first: a port_t is a port_user_t
    port_user_log_t log;
    void *log_user;
    port_user_function_t function;
    uint32_t msix; // offset of the MSI-X capability

    // Held for reading while the card's accesses go on.
    pthread_rwlock_t regions_lock;
    region_t *regions; // by address; they may overlap
    size_t n_regions, capacity;
    bool masters; // else the card reaches nothing

    pthread_mutex_t irq_lock;
    pthread_cond_t irq_idle;
    port_irq_t irq;
    bool irq_enabled;
    uint32_t irq_running;

    works_t works;
};

struct port_pin {
    uint64_t address, bytes;
    bool write;
};

// port_t is the first member.
static inline port_user_t *user_of(port_t *port) { return (port_user_t *)(void *)port; }

// memory.c
// Whether the card reaches memory by what it asks for here. False: it does not any more, when this
// returns.
void port_user_set_masters(port_user_t *port, bool masters);
void *user_mem_alloc(port_t *port, size_t bytes);
void user_mem_free(port_t *port, void *memory, size_t bytes);
status_t user_dma_alloc(port_t *port, uint64_t bytes, port_dma_t *out_dma);
void user_dma_free(port_t *port, port_dma_t *dma);
status_t user_host_pin(port_t *port, uint64_t address, uint64_t bytes, bool write,
                       port_pin_t **out_pin);
void user_host_release(port_t *port, port_pin_t *pin);
port_run_t user_host_run(port_t *port, const port_pin_t *pin, uint64_t offset);

// sync.c
status_t user_spin_init(port_t *port, port_spin_t *spin, port_spin_kind_t kind);
void user_spin_deinit(port_t *port, port_spin_t *spin);
void user_spin_lock(port_t *port, port_spin_t *spin);
void user_spin_unlock(port_t *port, port_spin_t *spin);
status_t user_mutex_init(port_t *port, port_mutex_t *mutex);
void user_mutex_deinit(port_t *port, port_mutex_t *mutex);
void user_mutex_lock(port_t *port, port_mutex_t *mutex);
void user_mutex_unlock(port_t *port, port_mutex_t *mutex);
status_t user_event_init(port_t *port, port_event_t *event);
void user_event_deinit(port_t *port, port_event_t *event);
uint64_t user_event_count(port_t *port, port_event_t *event);
void user_event_set(port_t *port, port_event_t *event);
status_t user_event_wait(port_t *port, port_event_t *event, uint64_t count, uint64_t deadline_ns,
                         bool interruptible);
uint64_t user_now_ns(port_t *port);
void user_stall_us(port_t *port, uint32_t us);

// work.c
WARN_UNUSED status_t port_user_works_init(port_user_t *port);
void port_user_works_deinit(port_user_t *port);
status_t user_work_init(port_t *port, port_work_t *work, port_work_kind_t kind,
                        void (*run)(void *user), void *user);
void user_work_deinit(port_t *port, port_work_t *work);
void user_work_at(port_t *port, port_work_t *work, uint64_t when_ns);

// pci.c
uint32_t user_reg_read32(port_t *port, uint32_t offset);
void user_reg_write32(port_t *port, uint32_t offset, uint32_t value);
status_t user_irq_enable(port_t *port, const port_irq_t *irq, uint32_t *out_vectors);
void user_irq_disable(port_t *port);
void user_irq_sync(port_t *port);
status_t user_function_reset(port_t *port);
void user_bus_master(port_t *port, bool on);

#endif
