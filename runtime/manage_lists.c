// SPDX-License-Identifier: Apache-2.0
// Management: who uses a card, and what happened to it.
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/manage_internal.h"
#include "runtime/runtime_internal.h"

#define PAGE_RECORDS 64u

// One page of a list: records from *first on, which moves.
static accel_status_t page(accel_manager_t *manager, uint32_t card, uint16_t op, void *records,
                           uint32_t capacity, uint64_t *first, uint32_t *out_count,
                           accel_error_t *error) {
    accel_req_list_t request = {
        .first = *first, .records = (uint64_t)(uintptr_t)records, .capacity = capacity};
    RT_TRY(rt_manager_ask(manager, card, &request, sizeof request, op, "reading a list", error));
    *first = request.first;
    *out_count = request.count <= capacity ? request.count : capacity;
    return ACCEL_OK;
}

// --- Processes ---

_Static_assert((int)ACCEL_PROCESS_BANNED == (int)ACCEL_CLIENT_BANNED, "client states");

static void convert_client(const accel_client_record_t *from, accel_process_t *out_process) {
    *out_process = (accel_process_t){
        .id = from->id,
        .pid = from->pid,
        .state = (accel_process_state_t)from->state,
        .contexts = from->contexts,
        .hangs = from->hangs,
        .holds = from->holds != 0,
        .memory_bytes = from->memory_bytes,
        .memory_limit = from->memory_limit,
        .host_bytes = from->host_bytes,
        .busy_cycles = from->busy_cycles,
        .submissions = from->submissions,
    };
    memcpy(out_process->name, from->name, sizeof from->name);
}

accel_status_t accel_card_processes(accel_manager_t *manager, uint32_t card,
                                    accel_process_t *processes, uint32_t capacity,
                                    uint32_t *out_count, accel_error_t *error) {
    accel_client_record_t records[PAGE_RECORDS];
    uint64_t first = 0;
    uint32_t count;
    *out_count = 0;
    do {
        RT_TRY(
            page(manager, card, ACCEL_REQ_CLIENTS, records, PAGE_RECORDS, &first, &count, error));
        for (uint32_t i = 0; i < count; i++, ++*out_count)
            if (*out_count < capacity)
                convert_client(&records[i], &processes[*out_count]);
    } while (count == PAGE_RECORDS);
    return ACCEL_OK;
}

// --- Events ---

// "ecc-corrected" for ECC_CORRECTED.
static void make_kind(uint32_t kind, char *out_kind, size_t bytes) {
    static const char *const names[] = {
#define EVENT_NAME(name, number, meaning) [number] = #name,
        ACCEL_EVENT_TABLE(EVENT_NAME)
#undef EVENT_NAME
    };
    const char *name = kind < COUNT_OF(names) && names[kind] != NULL ? names[kind] : "UNKNOWN";
    size_t i = 0;
    for (; name[i] != 0 && i + 1 < bytes; i++)
        out_kind[i] = (char)(name[i] == '_' ? '-' : tolower((unsigned char)name[i]));
    out_kind[i] = 0;
}

static const char *lost_text(uint32_t reason) {
    switch (reason) {
#define LOST_CASE(name, number, text)                                                              \
    case number:                                                                                   \
        return text;
        ACCEL_LOST_TABLE(LOST_CASE)
#undef LOST_CASE
    default:
        return "unknown reason";
    }
}

static const char *inject_text(uint32_t what) {
    for (uint32_t i = 0; accel_inject_kind(i) != NULL; i++)
        if (what == i + 1)
            return accel_inject_kind(i);
    return "unknown";
}

static const char *result_text(uint32_t status) {
    return status == STATUS_OK ? "done" : status_text((status_t)status);
}

static void add_errors(uint32_t bits, char *out_text, size_t bytes) {
    static const struct {
        uint32_t bit;
        const char *text;
    } errors[] = {
#define ISA_ERROR(name, bit, meaning) {1u << (bit), meaning},
#include "isa/card.def"
    };
    size_t used = 0;
    for (size_t i = 0; i < COUNT_OF(errors) && used < bytes; i++)
        if ((bits & errors[i].bit) != 0)
            used += (size_t)snprintf(out_text + used, bytes - used, "%s%s", used > 0 ? "; " : "",
                                     errors[i].text);
}

static void make_text(const accel_event_record_t *from, char *out_text, size_t bytes) {
    const char *node = from->node == ACCEL_NODE_COPY ? "COPY" : "COMPUTE";
    switch (from->kind) {
    case ACCEL_EVENT_STARTED:
        (void)snprintf(out_text, bytes,
                       "the driver took the card (contract %" PRIu64 ".%" PRIu64 ")", from->a >> 16,
                       from->a & 0xffff);
        break;
    case ACCEL_EVENT_CONTEXT_LOST:
        (void)snprintf(out_text, bytes, "a context was lost: %s%s%s", lost_text(from->code),
                       from->code == ACCEL_LOST_FAULT ? ": " : "",
                       from->code == ACCEL_LOST_FAULT ? rt_fault_text(from->a) : "");
        break;
    case ACCEL_EVENT_HANG:
        (void)snprintf(out_text, bytes, "%s %s", node,
                       from->code == 0 ? "did not answer a preemption"
                                       : "worked past the time limit of a submission");
        break;
    case ACCEL_EVENT_NODE_RESET:
        (void)snprintf(out_text, bytes, "%s was reset: %s", node, result_text(from->code));
        break;
    case ACCEL_EVENT_CARD_RESET:
        (void)snprintf(out_text, bytes, "the card was reset: %s", result_text(from->code));
        break;
    case ACCEL_EVENT_GONE:
        (void)snprintf(out_text, bytes, "the card does not answer any more");
        break;
    case ACCEL_EVENT_ECC_CORRECTED:
        (void)snprintf(out_text, bytes, "single-bit memory errors, corrected: %" PRIu64 " so far",
                       from->a);
        break;
    case ACCEL_EVENT_ECC_UNCORRECTED:
        (void)snprintf(out_text, bytes, "a double-bit memory error at 0x%" PRIx64, from->a);
        break;
    case ACCEL_EVENT_PAGE_RETIRED:
        (void)snprintf(out_text, bytes, "the memory page at 0x%" PRIx64 " is out of use", from->a);
        break;
    case ACCEL_EVENT_OVERHEAT:
    case ACCEL_EVENT_COOLED:
        (void)snprintf(out_text, bytes, "%s: %.1f C",
                       from->kind == ACCEL_EVENT_OVERHEAT ? "too hot" : "cool again",
                       (double)(int64_t)from->a / 1e3);
        break;
    case ACCEL_EVENT_BANNED:
        (void)snprintf(out_text, bytes, "a process that hung the card too often gets no more work");
        break;
    case ACCEL_EVENT_INTERRUPT_LOST:
        (void)snprintf(out_text, bytes, "a completion of %s came without its interrupt", node);
        break;
    case ACCEL_EVENT_CORRUPT:
        (void)snprintf(out_text, bytes, "a completion entry of %s held nonsense", node);
        break;
    case ACCEL_EVENT_SLEPT:
        (void)snprintf(out_text, bytes, "nothing to do: the card sleeps");
        break;
    case ACCEL_EVENT_WOKE:
        (void)snprintf(out_text, bytes, "there is work: the card woke");
        break;
    case ACCEL_EVENT_INJECTED:
        (void)snprintf(out_text, bytes, "a fault was planted: %s, argument 0x%" PRIx64,
                       inject_text(from->code), from->a);
        break;
    case ACCEL_EVENT_CARD_ERROR:
        add_errors(from->code, out_text, bytes);
        break;
    case ACCEL_EVENT_HELD:
        (void)snprintf(out_text, bytes, "held for a debugger: nothing on it is out of time");
        break;
    case ACCEL_EVENT_RELEASED:
        (void)snprintf(out_text, bytes, "let go after %.1f s: time counts again",
                       (double)from->a / 1e9);
        break;
    default:
        (void)snprintf(out_text, bytes, "kind %u, code %u, 0x%" PRIx64 ", 0x%" PRIx64, from->kind,
                       from->code, from->a, from->b);
        break;
    }
}

accel_status_t accel_card_events(accel_manager_t *manager, uint32_t card, uint64_t *first,
                                 accel_card_event_t *events, uint32_t capacity, uint32_t *out_count,
                                 accel_error_t *error) {
    accel_event_record_t records[PAGE_RECORDS];
    *out_count = 0;
    while (*out_count < capacity) {
        uint32_t left = capacity - *out_count, count;
        uint32_t room = left < PAGE_RECORDS ? left : PAGE_RECORDS;
        RT_TRY(page(manager, card, ACCEL_REQ_EVENTS, records, room, first, &count, error));
        for (uint32_t i = 0; i < count; i++) {
            accel_card_event_t *event = &events[(*out_count)++];
            *event = (accel_card_event_t){.number = records[i].number,
                                          .time_ns = records[i].time_ns,
                                          .node = records[i].node,
                                          .client = records[i].client,
                                          .pid = records[i].pid};
            make_kind(records[i].kind, event->kind, sizeof event->kind);
            make_text(&records[i], event->text, sizeof event->text);
        }
        if (count < room)
            break;
    }
    return ACCEL_OK;
}
