// SPDX-License-Identifier: Apache-2.0
// Memory: what the card may reach, and how it does.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "driver/port/user/user_internal.h"
#include "support/checked.h"

#define PAGE_BYTES    4096u
#define DMA_BYTES_MAX (UINT64_C(1) << 36) // nobody means it

void *user_mem_alloc(port_t *port, size_t bytes) {
    (void)port;
    return calloc(1, bytes);
}

void user_mem_free(port_t *port, void *memory, size_t bytes) {
    (void)port, (void)bytes;
    free(memory);
}

// --- Regions ---

static void update_reach(port_user_t *port, size_t from) {
    for (size_t i = from; i < port->n_regions; i++) {
        uint64_t before = i > 0 ? port->regions[i - 1].reach : 0;
        region_t *region = &port->regions[i];
        region->reach = region->end > before ? region->end : before;
    }
}

// Index of the first region that begins above `address`.
static size_t find_above(const port_user_t *port, uint64_t address) {
    size_t first = 0, end = port->n_regions;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (port->regions[middle].address <= address)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static bool grow(port_user_t *port) {
    if (port->n_regions < port->capacity)
        return true;
    size_t capacity = port->capacity == 0 ? 64 : port->capacity * 2;
    region_t *regions = realloc(port->regions, capacity * sizeof *regions);
    if (regions == NULL)
        return false;
    port->regions = regions;
    port->capacity = capacity;
    return true;
}

static status_t region_add(port_user_t *port, uint64_t address, uint64_t bytes, bool writable) {
    (void)pthread_rwlock_wrlock(&port->regions_lock);
    bool ok = grow(port);
    if (ok) {
        size_t at = find_above(port, address);
        memmove(port->regions + at + 1, port->regions + at,
                (port->n_regions - at) * sizeof *port->regions);
        port->regions[at] =
            (region_t){.address = address, .end = address + bytes, .writable = writable};
        port->n_regions++;
        update_reach(port, at);
    }
    (void)pthread_rwlock_unlock(&port->regions_lock);
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}

static void region_remove(port_user_t *port, uint64_t address, uint64_t bytes, bool writable) {
    (void)pthread_rwlock_wrlock(&port->regions_lock);
    for (size_t i = find_above(port, address); i-- > 0 && port->regions[i].address == address;) {
        if (port->regions[i].end != address + bytes || port->regions[i].writable != writable)
            continue;
        memmove(port->regions + i, port->regions + i + 1,
                (port->n_regions - i - 1) * sizeof *port->regions);
        port->n_regions--;
        update_reach(port, i);
        break;
    }
    (void)pthread_rwlock_unlock(&port->regions_lock);
}

// Bytes from `address` on that the card may reach; under the lock.
static uint64_t region_find(const port_user_t *port, uint64_t address, bool write) {
    for (size_t i = find_above(port, address); i-- > 0 && port->regions[i].reach > address;)
        if (port->regions[i].end > address && (port->regions[i].writable || !write))
            return port->regions[i].end - address;
    return 0;
}

// Under the lock, so that what is reached stays until the access is over.
static uint64_t reachable(const port_user_t *port, uint64_t address, bool write) {
    return port->masters ? region_find(port, address, write) : 0;
}

void port_user_set_masters(port_user_t *port, bool masters) {
    (void)pthread_rwlock_wrlock(&port->regions_lock);
    port->masters = masters;
    (void)pthread_rwlock_unlock(&port->regions_lock);
}

// --- Memory of the driver's ---

status_t user_dma_alloc(port_t *base, uint64_t bytes, port_dma_t *out_dma) {
    uint64_t rounded;
    *out_dma = (port_dma_t){0};
    if (!checked_align_up(bytes, PAGE_BYTES, &rounded) || rounded > DMA_BYTES_MAX)
        return STATUS_NO_MEMORY;
    void *cpu = aligned_alloc(PAGE_BYTES, (size_t)rounded);
    if (cpu == NULL)
        return STATUS_NO_MEMORY;
    memset(cpu, 0, (size_t)rounded);
    if (region_add(user_of(base), (uint64_t)(uintptr_t)cpu, rounded, true) != STATUS_OK) {
        free(cpu);
        return STATUS_NO_MEMORY;
    }
    *out_dma = (port_dma_t){.cpu = cpu, .address = (uint64_t)(uintptr_t)cpu, .bytes = rounded};
    return STATUS_OK;
}

void user_dma_free(port_t *base, port_dma_t *dma) {
    if (dma->cpu != NULL)
        region_remove(user_of(base), dma->address, dma->bytes, true);
    free(dma->cpu);
    *dma = (port_dma_t){0};
}

// --- Pinned memory ---

// Mapped at all? Whether it may be written is the process's own business: it pins its own memory.
static bool is_mapped(uint64_t address, uint64_t bytes) {
    unsigned char residence[1024];
    while (bytes > 0) {
        uint64_t part =
            bytes < sizeof residence * PAGE_BYTES ? bytes : sizeof residence * PAGE_BYTES;
        if (mincore((void *)(uintptr_t)address, (size_t)part, residence) != 0)
            return false;
        address += part;
        bytes -= part;
    }
    return true;
}

status_t user_host_pin(port_t *base, uint64_t address, uint64_t bytes, bool write,
                       port_pin_t **out_pin) {
    uint64_t end;
    *out_pin = NULL;
    if ((address | bytes) % PAGE_BYTES != 0 || bytes == 0 ||
        !checked_add_u64(address, bytes, &end) || !is_mapped(address, bytes))
        return STATUS_INVALID;
    port_pin_t *pin = calloc(1, sizeof *pin);
    if (pin == NULL)
        return STATUS_NO_MEMORY;
    *pin = (port_pin_t){.address = address, .bytes = bytes, .write = write};
    status_t status = region_add(user_of(base), address, bytes, write);
    if (status != STATUS_OK) {
        free(pin);
        return status;
    }
    *out_pin = pin;
    return STATUS_OK;
}

void user_host_release(port_t *base, port_pin_t *pin) {
    region_remove(user_of(base), pin->address, pin->bytes, pin->write);
    free(pin);
}

port_run_t user_host_run(port_t *port, const port_pin_t *pin, uint64_t offset) {
    (void)port;
    if (offset >= pin->bytes)
        return (port_run_t){0, 0};
    return (port_run_t){pin->address + offset, pin->bytes - offset};
}

// --- The card's accesses ---

// What a processor writes as one unit must be read as one.
static void load(const void *from, void *out_data, uint64_t bytes) {
    uint64_t address = (uint64_t)(uintptr_t)from;
    if (bytes == 8 && address % 8 == 0) {
        uint64_t value = LOAD_ACQUIRE((const uint64_t *)from);
        memcpy(out_data, &value, sizeof value);
    } else if (bytes == 4 && address % 4 == 0) {
        uint32_t value = LOAD_ACQUIRE((const uint32_t *)from);
        memcpy(out_data, &value, sizeof value);
    } else {
        memcpy(out_data, from, (size_t)bytes);
    }
}

static void store(void *to, const void *data, uint64_t bytes) {
    uint64_t address = (uint64_t)(uintptr_t)to;
    if (bytes == 8 && address % 8 == 0) {
        uint64_t value;
        memcpy(&value, data, sizeof value);
        STORE_RELEASE((uint64_t *)to, value);
    } else if (bytes == 4 && address % 4 == 0) {
        uint32_t value;
        memcpy(&value, data, sizeof value);
        STORE_RELEASE((uint32_t *)to, value);
    } else {
        memcpy(to, data, (size_t)bytes);
    }
}

bool port_user_dma_read(void *user, uint64_t address, void *out_data, uint64_t bytes) {
    port_user_t *port = user;
    (void)pthread_rwlock_rdlock(&port->regions_lock);
    bool ok = reachable(port, address, false) >= bytes;
    if (ok)
        load((const void *)(uintptr_t)address, out_data, bytes);
    (void)pthread_rwlock_unlock(&port->regions_lock);
    return ok;
}

bool port_user_dma_write(void *user, uint64_t address, const void *data, uint64_t bytes) {
    port_user_t *port = user;
    (void)pthread_rwlock_rdlock(&port->regions_lock);
    bool ok = reachable(port, address, true) >= bytes;
    if (ok)
        store((void *)(uintptr_t)address, data, bytes);
    (void)pthread_rwlock_unlock(&port->regions_lock);
    return ok;
}

void *port_user_dma_map(void *user, uint64_t address, bool write, uint64_t *out_bytes) {
    port_user_t *port = user;
    (void)pthread_rwlock_rdlock(&port->regions_lock);
    *out_bytes = reachable(port, address, write);
    (void)pthread_rwlock_unlock(&port->regions_lock);
    return *out_bytes != 0 ? (void *)(uintptr_t)address : NULL;
}
