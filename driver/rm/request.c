// SPDX-License-Identifier: Apache-2.0
// One entry for all requests. A request may lie in memory that its sender writes to meanwhile: it
// is read once, into a copy that is checked and carried out, and answers are written back at the
// end.
#include "driver/rm/rm_internal.h"

#include "support/mem.h"

// Every struct of the table, as words.
typedef union request {
    accel_req_t head;
#define REQUEST_MEMBER(name, number, type, who, meaning) accel_req_##type##_t as_##number;
    ACCEL_UAPI_TABLE(REQUEST_MEMBER)
#undef REQUEST_MEMBER
    uint64_t words[1];
} request_t;
_Static_assert(sizeof(request_t) <= 256, "requests lie on the stack");

#define HEAD_WORDS (sizeof(accel_req_t) / sizeof(uint64_t))

static status_t info(rm_card_t *card, accel_req_info_t *request) {
    rm_watch_check(card);
    rm_spin(card);
    const hw_info_t *hw = &card->info;
    request->profile_hash = hw->profile_hash;
    memcpy(request->profile, hw->profile, sizeof request->profile);
    request->card_version = hw->version;
    request->features = hw->features;
    request->cores = hw->cores;
    request->lm_bytes = hw->lm_bytes;
    request->nodes = hw->nodes;
    request->clock_khz = hw->clock_khz;
    request->memory_bytes = hw->memory_bytes;
    request->sram_bytes = hw->sram_bytes;
    request->serial = hw->serial;
    request->firmware = hw->firmware;
    request->link = hw->link;
    rm_unspin(card);
    rm_lock(card, &card->mutex);
    request->memory_free = card->free_bytes;
    rm_unlock(card, &card->mutex);
    return STATUS_OK;
}

static status_t stats(rm_card_t *card, accel_req_stats_t *request) {
    hw_node_info_t node;
    if (request->node >= ISA_NODE_COUNT)
        return STATUS_NOT_FOUND;
    rm_watch_check(card);
    if (LOAD_ACQUIRE(&card->absent) != 0)
        return STATUS_DEVICE_LOST;
    if (!rm_enter(card))
        return STATUS_BUSY;
    hw_node_query(card->hw, request->node, &node);
    rm_leave(card);
    if (LOAD_ACQUIRE(&card->gone) != 0)
        return STATUS_DEVICE_LOST;
    request->state = node.state;
    request->cycles = node.cycles;
    request->instructions = node.instructions;
    request->issues = node.issues;
    request->dram_bytes = node.dram_bytes;
    request->fallbacks = node.fallbacks;
    return STATUS_OK;
}

// hw takes one at a time.
static bool inject_begin(rm_card_t *card) {
    rm_spin(card);
    bool mine = !card->injecting;
    card->injecting = true;
    rm_unspin(card);
    return mine;
}

static void inject_end(rm_client_t *client, const accel_req_inject_t *request, bool done) {
    rm_card_t *card = client->card;
    rm_spin(card);
    card->injecting = false;
    if (done)
        rm_event(card, ACCEL_EVENT_INJECTED, 0, client, request->what, request->argument, 0);
    rm_unspin(card);
}

static status_t inject(rm_client_t *client, const accel_req_inject_t *request) {
    rm_card_t *card = client->card;
    status_t status = STATUS_BUSY;
    if (!inject_begin(card))
        return STATUS_BUSY;
    if (rm_enter(card)) {
        status = hw_inject(card->hw, request->what, request->argument);
        rm_leave(card);
    }
    inject_end(client, request, status == STATUS_OK);
    return status;
}

static status_t vm_destroy(rm_client_t *client, uint32_t handle) {
    rm_object_t *object;
    RETURN_IF_ERROR(rm_client_take(client, handle, RM_VM, &object));
    rm_vm_destroy(client->card, CONTAINER_OF(object, rm_vm_t, object));
    return STATUS_OK;
}

static status_t bo_destroy(rm_client_t *client, uint32_t handle) {
    rm_object_t *object;
    RETURN_IF_ERROR(rm_client_take(client, handle, RM_BO, &object));
    rm_bo_destroy(client->card, CONTAINER_OF(object, rm_bo_t, object));
    return STATUS_OK;
}

static status_t sync_destroy(rm_client_t *client, uint32_t handle) {
    rm_object_t *object;
    RETURN_IF_ERROR(rm_client_take(client, handle, RM_SYNC, &object));
    rm_sync_destroy(client->card, CONTAINER_OF(object, rm_sync_t, object));
    return STATUS_OK;
}

static status_t context_destroy(rm_client_t *client, uint32_t handle) {
    rm_context_t *context = rm_client_get(client, handle, RM_CTX);
    if (context == NULL)
        return STATUS_NOT_FOUND;
    status_t status = rm_context_end(client->card, context);
    if (status != STATUS_OK) {
        rm_put(&context->object);
        return status;
    }
    RETURN_IF_ERROR(rm_client_take_held(client, handle, &context->object));
    rm_context_destroy(client->card, context);
    return STATUS_OK;
}

static status_t destroy(rm_client_t *client, const accel_req_handle_t *request) {
    switch (request->head.op) {
    case ACCEL_REQ_VM_DESTROY:
        return vm_destroy(client, request->handle);
    case ACCEL_REQ_CTX_DESTROY:
        return context_destroy(client, request->handle);
    case ACCEL_REQ_BO_DESTROY:
        return bo_destroy(client, request->handle);
    default:
        return sync_destroy(client, request->handle);
    }
}

// What a client may ask whose card was lost, too.
static status_t monitor(rm_client_t *client, accel_req_t *request) {
    void *body = request;
    switch (request->op) {
    case ACCEL_REQ_INFO:
        return info(client->card, body);
    case ACCEL_REQ_TELEMETRY:
        return rm_pm_telemetry(client->card, body);
    case ACCEL_REQ_EVENTS:
        return rm_event_list(client->card, body);
    case ACCEL_REQ_CLIENTS:
        return rm_event_clients(client->card, body);
    case ACCEL_REQ_RESET:
        return rm_reset_request(client, body);
    case ACCEL_REQ_HOLD:
        return rm_hold_request(client, body);
    default:
        return destroy(client, body);
    }
}

static status_t work(rm_client_t *client, accel_req_t *request) {
    void *body = request;
    switch (request->op) {
    case ACCEL_REQ_VM_CREATE:
        return rm_vm_create(client, body);
    case ACCEL_REQ_CTX_CREATE:
        return rm_context_create(client, body);
    case ACCEL_REQ_CTX_QUERY:
        return rm_context_query(client, body);
    case ACCEL_REQ_BO_CREATE:
        return rm_bo_create(client, body);
    case ACCEL_REQ_BO_FROM_USER:
        return rm_bo_from_user(client, body);
    case ACCEL_REQ_BO_EXPORT:
        return rm_bo_export(client, body);
    case ACCEL_REQ_BO_IMPORT:
        return rm_bo_import(client, body);
    case ACCEL_REQ_BIND:
        return rm_vm_bind(client, body);
    case ACCEL_REQ_SYNC_CREATE:
        return rm_sync_create(client, body);
    case ACCEL_REQ_SYNC_WAIT:
    case ACCEL_REQ_SYNC_SIGNAL:
    case ACCEL_REQ_SYNC_QUERY:
        return rm_sync_request(client, body);
    case ACCEL_REQ_SUBMIT:
        return rm_submit(client, body);
    case ACCEL_REQ_STATS:
        return stats(client->card, body);
    case ACCEL_REQ_POWER:
        return rm_pm_power(client->card, body);
    case ACCEL_REQ_INJECT:
        return inject(client, body);
    default:
        return STATUS_UNSUPPORTED;
    }
}

static bool is_for_the_lost(uint16_t op) {
    switch (op) {
    case ACCEL_REQ_INFO:
    case ACCEL_REQ_TELEMETRY:
    case ACCEL_REQ_EVENTS:
    case ACCEL_REQ_CLIENTS:
    case ACCEL_REQ_RESET:
    case ACCEL_REQ_HOLD:
    case ACCEL_REQ_VM_DESTROY:
    case ACCEL_REQ_CTX_DESTROY:
    case ACCEL_REQ_BO_DESTROY:
    case ACCEL_REQ_SYNC_DESTROY:
        return true;
    default:
        return false;
    }
}

// Of the card, not of what the client had on it: a monitor outlives resets.
static bool is_of_the_card(uint16_t op) {
    return op == ACCEL_REQ_STATS || op == ACCEL_REQ_POWER || op == ACCEL_REQ_INJECT;
}

// What a request met by chance is told at once, and not at the next look.
static void tell_gone(rm_card_t *card) {
    if (LIKELY(LOAD_ACQUIRE(&card->gone) == 0))
        return;
    rm_spin(card);
    if (card->absent == 0)
        rm_watch_at(card, 0);
    rm_unspin(card);
}

static status_t carry_out(rm_client_t *client, accel_req_t *request) {
    RETURN_IF_ERROR(rm_check(client, request));
    if (is_for_the_lost(request->op))
        return monitor(client, request);
    bool is_lost = is_of_the_card(request->op) ? LOAD_ACQUIRE(&client->card->absent) != 0
                                               : rm_client_is_lost(client);
    if (is_lost)
        return STATUS_DEVICE_LOST;
    status_t status = work(client, request);
    tell_gone(client->card);
    return status;
}

// --- In and out, each word once ---

static void copy_in(uint64_t *to, const uint64_t *from, size_t n_words) {
    for (size_t i = 0; i < n_words; i++)
        to[i] = LOAD_ACQUIRE(from + i);
}

static void copy_out(uint64_t *to, const uint64_t *from, size_t n_words) {
    for (size_t i = 0; i < n_words; i++)
        STORE_RELEASE(to + i, from[i]);
}

static status_t copied(rm_client_t *client, uint64_t *words, size_t bytes) {
    request_t copy;
    copy_in(copy.words, words, HEAD_WORDS);
    if (copy.head.version != ACCEL_UAPI_VERSION)
        return STATUS_MISMATCH;
    uint32_t expected = rm_check_bytes(copy.head.op);
    if (expected == 0)
        return STATUS_UNSUPPORTED;
    if (copy.head.size != expected || bytes < expected)
        return STATUS_INVALID;
    size_t n_words = expected / sizeof(uint64_t);
    copy_in(copy.words + HEAD_WORDS, words + HEAD_WORDS, n_words - HEAD_WORDS);
    status_t status = carry_out(client, &copy.head);
    if (status == STATUS_INTERRUPTED)
        STORE_RELEASE(&((accel_req_t *)(void *)words)->flags, copy.head.flags);
    if (status == STATUS_OK || status == STATUS_INTERRUPTED)
        copy_out(words + HEAD_WORDS, copy.words + HEAD_WORDS, n_words - HEAD_WORDS);
    return status;
}

status_t rm_request(rm_client_t *client, void *request, size_t bytes) {
    if (bytes < sizeof(accel_req_t))
        return STATUS_INVALID;
    rm_guest_enter(client->card);
    status_t status = copied(client, request, bytes);
    rm_guest_leave(client->card);
    STORE_RELEASE(&((accel_req_t *)request)->status, (uint32_t)status);
    return status;
}
