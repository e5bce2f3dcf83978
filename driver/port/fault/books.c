// SPDX-License-Identifier: Apache-2.0
// What is open, which call fails, and what is told of it.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/port/fault/fault_internal.h"

void fault_tell(port_fault_t *port, const char *format, ...) {
    char text[sizeof port->books.first];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (port->books.violations++ == 0)
        memcpy(port->books.first, text, sizeof text);
    if (port->tell != NULL)
        port->tell(port->tell_user, text);
}

const char *fault_call_name(port_fault_call_t kind) {
    switch (kind) {
#define CALL_NAME(name, call, back)                                                                \
    case PORT_FAULT_##name:                                                                        \
        return call;
        PORT_FAULT_TABLE(CALL_NAME)
#undef CALL_NAME
    default:
        return "?";
    }
}

static const char *back_name(port_fault_call_t kind) {
    switch (kind) {
#define BACK_NAME(name, call, back)                                                                \
    case PORT_FAULT_##name:                                                                        \
        return back;
        PORT_FAULT_TABLE(BACK_NAME)
#undef BACK_NAME
    default:
        return "?";
    }
}

// Whether `number` is one of `n` (at least 1) from `first` on; 0: none is.
static bool is_chosen(uint64_t number, uint64_t first, uint64_t n) {
    return first != 0 && number >= first && number - first < (n == 0 ? 1 : n);
}

bool fault_next(port_fault_t *port, port_fault_call_t kind) {
    uint64_t number = ++port->counts.calls;
    port->counts.by_call[kind]++;
    bool fails = is_chosen(number, port->plan.fail_at, port->plan.fail_for);
    port->counts.failed += fails;
    return fails;
}

bool fault_next_wait(port_fault_t *port) {
    uint64_t number = ++port->counts.waits;
    bool interrupts = is_chosen(number, port->plan.interrupt_at, port->plan.interrupt_for);
    port->counts.interrupted += interrupts;
    return interrupts;
}

// --- Entries ---

static fault_entry_t **bucket_of(port_fault_t *port, port_fault_call_t kind, const void *key) {
    uint64_t hash = ((uint64_t)(uintptr_t)key >> 4) * UINT64_C(0x9e3779b97f4a7c15) + kind;
    return &port->entries[hash >> 32 & (FAULT_BUCKETS - 1)];
}

static uint64_t *sum_of(port_fault_t *port, port_fault_call_t kind) {
    switch (kind) {
    case PORT_FAULT_MEM_ALLOC:
        return &port->books.mem_bytes;
    case PORT_FAULT_DMA_ALLOC:
        return &port->books.dma_bytes;
    case PORT_FAULT_HOST_PIN:
        return &port->books.pin_bytes;
    default:
        return NULL;
    }
}

fault_entry_t *fault_find(port_fault_t *port, port_fault_call_t kind, const void *key) {
    fault_entry_t *entry = *bucket_of(port, kind, key);
    while (entry != NULL && (entry->kind != kind || entry->key != key))
        entry = entry->next;
    return entry;
}

fault_entry_t *fault_add(port_fault_t *port, port_fault_call_t kind, const void *key,
                         uint64_t bytes) {
    if (fault_find(port, kind, key) != NULL)
        fault_tell(port, "%s of something that is open already", fault_call_name(kind));
    fault_entry_t *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    fault_entry_t **bucket = bucket_of(port, kind, key);
    entry->next = *bucket;
    entry->key = key;
    entry->kind = kind;
    entry->bytes = bytes;
    entry->port = port;
    *bucket = entry;
    port->books.open[kind]++;
    uint64_t *sum = sum_of(port, kind);
    if (sum != NULL)
        *sum += bytes;
    return entry;
}

void fault_remove(port_fault_t *port, port_fault_call_t kind, const void *key, uint64_t bytes) {
    fault_entry_t **link = bucket_of(port, kind, key);
    while (*link != NULL && ((*link)->kind != kind || (*link)->key != key))
        link = &(*link)->next;
    fault_entry_t *entry = *link;
    if (entry == NULL) {
        fault_tell(port, "%s of what is not open", back_name(kind));
        return;
    }
    if (entry->bytes != bytes)
        fault_tell(port, "%s with %llu bytes of what has %llu", back_name(kind),
                   (unsigned long long)bytes, (unsigned long long)entry->bytes);
    *link = entry->next;
    port->books.open[kind]--;
    uint64_t *sum = sum_of(port, kind);
    if (sum != NULL)
        *sum -= entry->bytes;
    free(entry);
}

void fault_clear(port_fault_t *port) {
    for (uint32_t i = 0; i < FAULT_BUCKETS; i++) {
        while (port->entries[i] != NULL) {
            fault_entry_t *entry = port->entries[i];
            port->entries[i] = entry->next;
            free(entry);
        }
    }
}
