// SPDX-License-Identifier: Apache-2.0
// The memories that a page-table entry can point to: card memory (one sparse mapping) and host
// memory (mapped by the host where it can, else held as copies of pages).
#ifndef SIM_MEM_H
#define SIM_MEM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/sim/sim.h"

// --- Card memory: populated as it is touched ---

typedef struct sim_mem {
    uint8_t *base;
    uint64_t bytes;
} sim_mem_t;

WARN_UNUSED status_t sim_mem_init(sim_mem_t *mem, uint64_t bytes);
void sim_mem_deinit(sim_mem_t *mem);
// NULL unless the whole range lies in card memory.
void *sim_mem_at(const sim_mem_t *mem, uint64_t address, uint64_t bytes);
// Makes the range read as zeros and gives whole pages of it back to the host.
void sim_mem_discard(sim_mem_t *mem, uint64_t address, uint64_t bytes);

// --- The bus to host memory ---

typedef struct sim_bus {
    sim_host_t host;
    atomic_bool master; // the command register's "bus master": no DMA without it
} sim_bus_t;

WARN_UNUSED bool sim_bus_read(sim_bus_t *bus, uint64_t address, void *out_data, uint64_t bytes);
WARN_UNUSED bool sim_bus_write(sim_bus_t *bus, uint64_t address, const void *data, uint64_t bytes);
// Host memory in place, or NULL when the host cannot map it.
void *sim_bus_map(sim_bus_t *bus, uint64_t address, bool write, uint64_t *out_bytes);

// --- Copies of host pages that cannot be mapped ---

// One cache a hardware node. A page is read
// when first touched; sim_pages_flush writes back what changed in it and forgets all: pointers into
// it are good until then. Thread-safe but for flush.
typedef struct sim_page sim_page_t;
typedef struct sim_pages {
    pthread_mutex_t lock;
    sim_page_t *buckets[64];
    uint32_t n_pages;
} sim_pages_t;

WARN_UNUSED status_t sim_pages_init(sim_pages_t *pages);
void sim_pages_deinit(sim_pages_t *pages);
// The copy of the 4 KiB page at `address` (aligned), or NULL.
void *sim_pages_get(sim_pages_t *pages, sim_bus_t *bus, uint64_t address);
// Forgets all; what changed is lost.
void sim_pages_drop(sim_pages_t *pages);
// True when there was any page; *out_ok: all bytes went back.
bool sim_pages_flush(sim_pages_t *pages, sim_bus_t *bus, bool *out_ok);

#endif
