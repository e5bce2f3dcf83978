// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/checked.h"

#define PAGE_BYTES 4096u

status_t sim_mem_init(sim_mem_t *mem, uint64_t bytes) {
    *mem = (sim_mem_t){0};
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return STATUS_NO_MEMORY;
    // Large pages make the first touch several times faster; where there are none, nothing is lost.
    (void)madvise(base, bytes, MADV_HUGEPAGE);
    (void)madvise(base, bytes, MADV_DONTDUMP);
    *mem = (sim_mem_t){.base = base, .bytes = bytes};
    return STATUS_OK;
}

void sim_mem_deinit(sim_mem_t *mem) {
    if (mem->base != NULL)
        (void)munmap(mem->base, mem->bytes);
    *mem = (sim_mem_t){0};
}

void *sim_mem_at(const sim_mem_t *mem, uint64_t address, uint64_t bytes) {
    return checked_range(address, bytes, mem->bytes) ? mem->base + address : NULL;
}

void sim_mem_discard(sim_mem_t *mem, uint64_t address, uint64_t bytes) {
    uint64_t first = (address + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
    uint64_t end = (address + bytes) & ~(uint64_t)(PAGE_BYTES - 1);
    if (first >= end || madvise(mem->base + first, end - first, MADV_DONTNEED) != 0) {
        memset(mem->base + address, 0, bytes);
        return;
    }
    memset(mem->base + address, 0, first - address);
    memset(mem->base + end, 0, address + bytes - end);
}

bool sim_bus_read(sim_bus_t *bus, uint64_t address, void *out_data, uint64_t bytes) {
    return atomic_load_explicit(&bus->master, memory_order_relaxed) &&
           bus->host.dma_read(bus->host.user, address, out_data, bytes);
}

bool sim_bus_write(sim_bus_t *bus, uint64_t address, const void *data, uint64_t bytes) {
    return atomic_load_explicit(&bus->master, memory_order_relaxed) &&
           bus->host.dma_write(bus->host.user, address, data, bytes);
}

void *sim_bus_map(sim_bus_t *bus, uint64_t address, bool write, uint64_t *out_bytes) {
    *out_bytes = 0;
    if (bus->host.dma_map == NULL || !atomic_load_explicit(&bus->master, memory_order_relaxed))
        return NULL;
    return bus->host.dma_map(bus->host.user, address, write, out_bytes);
}

struct sim_page {
    sim_page_t *next;
    uint64_t address;
    uint8_t data[PAGE_BYTES]; // what the card sees and changes
    uint8_t read[PAGE_BYTES]; // what the host had
};

status_t sim_pages_init(sim_pages_t *pages) {
    memset(pages->buckets, 0, sizeof pages->buckets);
    pages->n_pages = 0;
    return pthread_mutex_init(&pages->lock, NULL) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}

static void forget_all(sim_pages_t *pages) {
    for (size_t i = 0; i < COUNT_OF(pages->buckets); i++) {
        for (sim_page_t *page = pages->buckets[i]; page != NULL;) {
            sim_page_t *next = page->next;
            free(page);
            page = next;
        }
        pages->buckets[i] = NULL;
    }
    pages->n_pages = 0;
}

void sim_pages_deinit(sim_pages_t *pages) {
    forget_all(pages);
    (void)pthread_mutex_destroy(&pages->lock);
}

static sim_page_t *page_fetch(sim_bus_t *bus, uint64_t address) {
    sim_page_t *page = malloc(sizeof *page);
    if (page == NULL)
        return NULL;
    page->address = address;
    if (!sim_bus_read(bus, address, page->data, PAGE_BYTES)) {
        free(page);
        return NULL;
    }
    memcpy(page->read, page->data, PAGE_BYTES);
    return page;
}

void *sim_pages_get(sim_pages_t *pages, sim_bus_t *bus, uint64_t address) {
    sim_page_t **bucket = &pages->buckets[address / PAGE_BYTES % COUNT_OF(pages->buckets)];
    (void)pthread_mutex_lock(&pages->lock);
    sim_page_t *page = *bucket;
    while (page != NULL && page->address != address)
        page = page->next;
    if (page == NULL && (page = page_fetch(bus, address)) != NULL) {
        page->next = *bucket;
        *bucket = page;
        pages->n_pages++;
    }
    (void)pthread_mutex_unlock(&pages->lock);
    return page != NULL ? page->data : NULL;
}

// Only bytes that the card changed go back: the host may have written its own meanwhile.
static bool page_write_back(const sim_page_t *page, sim_bus_t *bus) {
    for (uint32_t i = 0; i < PAGE_BYTES;) {
        if (page->data[i] == page->read[i]) {
            i++;
            continue;
        }
        uint32_t first = i;
        while (i < PAGE_BYTES && page->data[i] != page->read[i])
            i++;
        if (!sim_bus_write(bus, page->address + first, page->data + first, i - first))
            return false;
    }
    return true;
}

void sim_pages_drop(sim_pages_t *pages) {
    if (pages->n_pages != 0)
        forget_all(pages);
}

bool sim_pages_flush(sim_pages_t *pages, sim_bus_t *bus, bool *out_ok) {
    *out_ok = true;
    if (pages->n_pages == 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(pages->buckets); i++)
        for (const sim_page_t *page = pages->buckets[i]; page != NULL; page = page->next)
            *out_ok &= page_write_back(page, bus);
    forget_all(pages);
    return true;
}
