// SPDX-License-Identifier: Apache-2.0
// Memory and pins.
#include <string.h>

#include "driver/port/fault/fault_internal.h"

// What a freed block holds, so that whoever still reads it goes wrong.
#define FREED 0xdb

static bool begin(port_fault_t *port, port_fault_call_t kind) {
    fault_lock(port);
    fault_check_context(port, fault_call_name(kind), IN_PROCESS, true);
    fault_check_alloc(port, fault_call_name(kind));
    bool fails = fault_next(port, kind);
    fault_unlock(port);
    return fails;
}

static bool note(port_fault_t *port, port_fault_call_t kind, const void *key, uint64_t bytes) {
    fault_lock(port);
    bool ok = fault_add(port, kind, key, bytes) != NULL;
    fault_unlock(port);
    return ok;
}

static void *fault_mem_alloc(port_t *base, size_t bytes) {
    port_fault_t *port = fault_of(base);
    if (begin(port, PORT_FAULT_MEM_ALLOC))
        return NULL;
    void *memory = port->inner->ops->mem_alloc(port->inner, bytes);
    if (memory != NULL && !note(port, PORT_FAULT_MEM_ALLOC, memory, bytes)) {
        port->inner->ops->mem_free(port->inner, memory, bytes);
        return NULL;
    }
    return memory;
}

static void fault_mem_free(port_t *base, void *memory, size_t bytes) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "mem_free", IN_PROCESS, true);
    bool is_open = memory != NULL && fault_find(port, PORT_FAULT_MEM_ALLOC, memory) != NULL;
    if (is_open) // the size is the one that was asked for, whatever is said now
        memset(memory, FREED, fault_find(port, PORT_FAULT_MEM_ALLOC, memory)->bytes);
    if (memory != NULL)
        fault_remove(port, PORT_FAULT_MEM_ALLOC, memory, bytes);
    fault_unlock(port);
    if (is_open)
        port->inner->ops->mem_free(port->inner, memory, bytes);
}

static status_t fault_dma_alloc(port_t *base, uint64_t bytes, port_dma_t *out_dma) {
    port_fault_t *port = fault_of(base);
    port_dma_t dma = {0};
    if (begin(port, PORT_FAULT_DMA_ALLOC))
        return STATUS_NO_MEMORY;
    RETURN_IF_ERROR(port->inner->ops->dma_alloc(port->inner, bytes, &dma));
    if (!note(port, PORT_FAULT_DMA_ALLOC, dma.cpu, dma.bytes)) {
        port->inner->ops->dma_free(port->inner, &dma);
        return STATUS_NO_MEMORY;
    }
    *out_dma = dma;
    return STATUS_OK;
}

static void fault_dma_free(port_t *base, port_dma_t *dma) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "dma_free", IN_PROCESS, true);
    bool is_open = dma->cpu != NULL && fault_find(port, PORT_FAULT_DMA_ALLOC, dma->cpu) != NULL;
    if (dma->cpu != NULL)
        fault_remove(port, PORT_FAULT_DMA_ALLOC, dma->cpu, dma->bytes);
    fault_unlock(port);
    if (is_open)
        port->inner->ops->dma_free(port->inner, dma);
}

static status_t fault_host_pin(port_t *base, uint64_t address, uint64_t bytes, bool write,
                               port_pin_t **out_pin) {
    port_fault_t *port = fault_of(base);
    port_pin_t *pin = NULL;
    if (begin(port, PORT_FAULT_HOST_PIN))
        return STATUS_LIMIT;
    RETURN_IF_ERROR(port->inner->ops->host_pin(port->inner, address, bytes, write, &pin));
    if (!note(port, PORT_FAULT_HOST_PIN, pin, bytes)) {
        port->inner->ops->host_release(port->inner, pin);
        return STATUS_NO_MEMORY;
    }
    *out_pin = pin;
    return STATUS_OK;
}

static void fault_host_release(port_t *base, port_pin_t *pin) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "host_release", IN_PROCESS, true);
    const fault_entry_t *entry = fault_find(port, PORT_FAULT_HOST_PIN, pin);
    bool is_open = entry != NULL;
    fault_remove(port, PORT_FAULT_HOST_PIN, pin, is_open ? entry->bytes : 0);
    fault_unlock(port);
    if (is_open)
        port->inner->ops->host_release(port->inner, pin);
}

static port_run_t fault_host_run(port_t *base, const port_pin_t *pin, uint64_t offset) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "host_run", IN_PROCESS, true);
    bool is_open = fault_find(port, PORT_FAULT_HOST_PIN, pin) != NULL;
    if (!is_open)
        fault_tell(port, "host_run of what is not pinned");
    fault_unlock(port);
    return is_open ? port->inner->ops->host_run(port->inner, pin, offset) : (port_run_t){0, 0};
}

void fault_set_alloc(port_ops_t *ops) {
    ops->mem_alloc = fault_mem_alloc;
    ops->mem_free = fault_mem_free;
    ops->dma_alloc = fault_dma_alloc;
    ops->dma_free = fault_dma_free;
    ops->host_pin = fault_host_pin;
    ops->host_release = fault_host_release;
    ops->host_run = fault_host_run;
}
