// SPDX-License-Identifier: Apache-2.0
// Device addresses, card memory, host memory that the card reaches.
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"
#include "support/checked.h"

#define UPLOAD_BYTES (UINT64_C(8) << 20)

static void lock(accel_device_t *device) { device->client.ops->lock(device->client.self); }
static void unlock(accel_device_t *device) { device->client.ops->unlock(device->client.self); }

static uint64_t page_up(uint64_t bytes) {
    return (bytes + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
}

// --- Addresses ---

// Between blocks a page stays free, so that an overrun faults.

// The first address from `va` on that suits a block of `bytes`.
static uint64_t suit(uint64_t va, uint64_t bytes, uint64_t like) {
    va = page_up(va);
    return bytes < ISA_PAGE_LARGE ? va : va + ((like - va) & (ISA_PAGE_LARGE - 1));
}

static bool find_gap(const accel_device_t *device, rt_span_t range, uint64_t bytes, uint64_t like,
                     size_t *out_index, uint64_t *out_va) {
    uint64_t va = suit(range.first, bytes, like);
    size_t i = 0;
    for (; i < device->n_spans; i++) {
        const rt_span_t *span = &device->spans[i];
        if (span->first >= va && bytes + ISA_PAGE_BYTES <= span->first - va)
            break;
        if (span->end + ISA_PAGE_BYTES > va)
            va = suit(span->end + ISA_PAGE_BYTES, bytes, like);
    }
    *out_index = i;
    *out_va = va;
    return va < range.end && bytes <= range.end - va;
}

static bool grow_spans(accel_device_t *device) {
    if (device->n_spans < device->spans_capacity)
        return true;
    size_t capacity = device->spans_capacity == 0 ? 64 : device->spans_capacity * 2;
    rt_span_t *spans = realloc(device->spans, capacity * sizeof *spans);
    if (spans == NULL)
        return false;
    device->spans = spans;
    device->spans_capacity = capacity;
    return true;
}

status_t rt_va_take(accel_device_t *device, uint64_t first, uint64_t end, uint64_t bytes,
                    uint64_t like, uint64_t *out_va) {
    size_t index;
    status_t status = STATUS_OK;
    lock(device);
    if (!find_gap(device, (rt_span_t){first, end}, bytes, like, &index, out_va) &&
        !find_gap(device, (rt_span_t){ISA_VA_IO, ISA_VA_END}, bytes, like, &index, out_va))
        status = STATUS_LIMIT;
    else if (!grow_spans(device))
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        memmove(device->spans + index + 1, device->spans + index,
                (device->n_spans - index) * sizeof *device->spans);
        device->spans[index] = (rt_span_t){*out_va, *out_va + page_up(bytes)};
        device->n_spans++;
    }
    unlock(device);
    return status;
}

void rt_va_give(accel_device_t *device, uint64_t va) {
    lock(device);
    for (size_t i = 0; i < device->n_spans; i++) {
        if (device->spans[i].first != va)
            continue;
        device->n_spans--;
        memmove(device->spans + i, device->spans + i + 1,
                (device->n_spans - i) * sizeof *device->spans);
        break;
    }
    unlock(device);
}

// --- Ranges: a buffer and where it is bound ---

static status_t range_bind(accel_device_t *device, rt_span_t where, uint64_t like, uint32_t prot,
                           rt_range_t *range) {
    RETURN_IF_ERROR(rt_va_take(device, where.first, where.end, range->bytes, like, &range->va));
    status_t status = rt_bind(device, range->bo, 0, range->va, range->bytes, prot);
    if (status != STATUS_OK) {
        rt_va_give(device, range->va);
        range->va = 0;
    }
    return status;
}

status_t rt_card_alloc(accel_device_t *device, uint64_t first, uint64_t end, uint64_t bytes,
                       rt_range_t *out_range) {
    *out_range = (rt_range_t){.bytes = page_up(bytes)};
    RETURN_IF_ERROR(rt_bo_create(device, out_range->bytes, &out_range->bo));
    status_t status = range_bind(device, (rt_span_t){first, end}, 0, ACCEL_PROT_WRITE, out_range);
    if (status != STATUS_OK)
        rt_range_free(device, out_range);
    return status;
}

status_t rt_pin(accel_device_t *device, const void *memory, uint64_t bytes, uint32_t flags,
                uint64_t first, uint64_t end, rt_range_t *out_range) {
    *out_range = (rt_range_t){.bytes = page_up(bytes)};
    RETURN_IF_ERROR(rt_bo_from_user(device, memory, out_range->bytes,
                                    ACCEL_FROM_USER_READ_ONLY | flags, &out_range->bo));
    status_t status =
        range_bind(device, (rt_span_t){first, end}, (uint64_t)(uintptr_t)memory, 0, out_range);
    if (status != STATUS_OK)
        rt_range_free(device, out_range);
    return status;
}

// Through a piece of memory that both see: the card's own is not mapped into processes.
static accel_status_t upload(accel_device_t *device, accel_stream_t *stream, uint64_t to,
                             const uint8_t *data, uint64_t bytes, accel_error_t *error) {
    uint64_t chunk = bytes < UPLOAD_BYTES ? bytes : UPLOAD_BYTES;
    accel_status_t result = ACCEL_OK;
    void *staging;
    RT_TRY(accel_host_alloc(device, (size_t)chunk, &staging, error));
    uint64_t from = rt_host_va(device, staging, chunk);
    for (uint64_t at = 0; at < bytes && result == ACCEL_OK; at += chunk) {
        chunk = bytes - at < chunk ? bytes - at : chunk;
        memcpy(staging, data + at, (size_t)chunk);
        result = rt_stream_move(stream, to + at, from, chunk, error);
    }
    accel_host_free(device, staging);
    return result;
}

static status_t bind_again(accel_device_t *device, rt_span_t where, rt_range_t *range) {
    RETURN_IF_ERROR(rt_unbind(device, range->va));
    rt_va_give(device, range->va);
    range->va = 0;
    return range_bind(device, where, 0, 0, range);
}

accel_status_t rt_card_copy(accel_device_t *device, accel_stream_t *stream, const void *data,
                            uint64_t bytes, uint64_t first, uint64_t end, rt_range_t *out_range,
                            accel_error_t *error) {
    // Writable somewhere while it is filled, then where and how it is wanted.
    status_t status = rt_card_alloc(device, ISA_VA_IO, ISA_VA_END, bytes, out_range);
    if (status != STATUS_OK)
        return rt_fail_device(device, error, status, "no card memory for the weights");
    accel_status_t result = upload(device, stream, out_range->va, data, bytes, error);
    if (result == ACCEL_OK) {
        status = bind_again(device, (rt_span_t){first, end}, out_range);
        if (status != STATUS_OK)
            result = rt_fail_device(device, error, status, "cannot map the weights");
    }
    if (result != ACCEL_OK)
        rt_range_free(device, out_range);
    return result;
}

void rt_range_free(accel_device_t *device, rt_range_t *range) {
    if (range->va != 0) {
        (void)rt_unbind(device, range->va);
        rt_va_give(device, range->va);
    }
    (void)rt_destroy(device, ACCEL_REQ_BO_DESTROY, range->bo);
    *range = (rt_range_t){0};
}

// --- Host memory ---

static accel_status_t no_memory(accel_error_t *error, uint64_t bytes) {
    return rt_fail(error, ACCEL_NO_MEMORY, "no %llu bytes of host memory",
                   (unsigned long long)bytes);
}

static status_t host_init(accel_device_t *device, size_t bytes, rt_host_t *host) {
    const rt_client_t *client = &device->client;
    void *memory;
    RETURN_IF_ERROR(client->ops->memory_alloc(client->self, bytes, &memory, &host->range.bo));
    host->memory = memory;
    host->range.bytes = bytes;
    status_t status = STATUS_OK;
    if (host->range.bo == 0)
        status = rt_bo_from_user(device, memory, bytes, 0, &host->range.bo);
    if (status == STATUS_OK)
        status = range_bind(device, (rt_span_t){ISA_VA_IO, ISA_VA_END}, (uint64_t)(uintptr_t)memory,
                            ACCEL_PROT_WRITE, &host->range);
    if (status != STATUS_OK) {
        rt_range_free(device, &host->range);
        client->ops->memory_free(client->self, memory, bytes);
    }
    return status;
}

accel_status_t accel_host_alloc(accel_device_t *device, size_t bytes, void **out_memory,
                                accel_error_t *error) {
    *out_memory = NULL;
    if (bytes > SIZE_MAX / 2)
        return no_memory(error, bytes);
    size_t rounded = (size_t)page_up(bytes == 0 ? 1 : bytes);
    rt_host_t *host = calloc(1, sizeof *host);
    if (host == NULL)
        return no_memory(error, rounded);
    status_t status = host_init(device, rounded, host);
    if (status != STATUS_OK) {
        free(host);
        return rt_fail_device(device, error, status, "no host memory that the card reaches");
    }
    lock(device);
    list_push_front(&device->hosts, &host->link);
    unlock(device);
    *out_memory = host->memory;
    return ACCEL_OK;
}

static rt_host_t *find_host(accel_device_t *device, const uint8_t *memory, uint64_t bytes) {
    for (list_node_t *node = device->hosts.next; node != &device->hosts; node = node->next) {
        rt_host_t *host = LIST_OWNER(node, rt_host_t, link);
        uintptr_t offset = (uintptr_t)memory - (uintptr_t)host->memory;
        // Blocks may touch: the end of one is not a place in it.
        if ((uintptr_t)memory >= (uintptr_t)host->memory && offset < host->range.bytes &&
            checked_range(offset, bytes, host->range.bytes))
            return host;
    }
    return NULL;
}

void accel_host_free(accel_device_t *device, void *memory) {
    if (memory == NULL)
        return;
    lock(device);
    rt_host_t *host = find_host(device, memory, 0);
    if (host != NULL)
        list_remove(&host->link);
    unlock(device);
    if (host == NULL)
        return;
    uint64_t bytes = host->range.bytes;
    rt_range_free(device, &host->range);
    device->client.ops->memory_free(device->client.self, host->memory, (size_t)bytes);
    free(host);
}

uint64_t rt_host_va(accel_device_t *device, const void *memory, uint64_t bytes) {
    lock(device);
    const rt_host_t *host = find_host(device, memory, bytes);
    uint64_t va =
        host != NULL ? host->range.va + (uint64_t)((const uint8_t *)memory - host->memory) : 0;
    unlock(device);
    return va;
}

// --- Buffers ---

accel_status_t accel_buffer_create(accel_device_t *device, size_t bytes,
                                   accel_buffer_t **out_buffer, accel_error_t *error) {
    *out_buffer = NULL;
    accel_buffer_t *buffer = calloc(1, sizeof *buffer);
    if (buffer == NULL || bytes > SIZE_MAX / 2) {
        free(buffer);
        return no_memory(error, bytes);
    }
    buffer->device = device;
    buffer->bytes = bytes;
    status_t status =
        rt_card_alloc(device, ISA_VA_IO, ISA_VA_END, bytes == 0 ? 1 : bytes, &buffer->range);
    if (status != STATUS_OK) {
        free(buffer);
        return rt_fail_device(device, error, status, "no card memory for a buffer");
    }
    *out_buffer = buffer;
    return ACCEL_OK;
}

void accel_buffer_destroy(accel_buffer_t *buffer) {
    if (buffer == NULL)
        return;
    rt_range_free(buffer->device, &buffer->range);
    free(buffer);
}

size_t accel_buffer_bytes(const accel_buffer_t *buffer) { return buffer->bytes; }
