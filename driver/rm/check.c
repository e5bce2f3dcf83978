// SPDX-License-Identifier: Apache-2.0
// What a request may say. Everything here may be hostile, but it is a copy that nobody else writes.
#include "driver/rm/rm_internal.h"

#include "support/checked.h"

uint32_t rm_check_bytes(uint16_t op) {
    switch (op) {
#define OP_CASE(name, number, type, who, meaning)                                                  \
    case number:                                                                                   \
        return sizeof(accel_req_##type##_t);
        ACCEL_UAPI_TABLE(OP_CASE)
#undef OP_CASE
    default:
        return 0;
    }
}

// Whether the table lets only an administrator do it.
static bool op_is_admins(uint16_t op) {
    enum { ANY, ADMIN };
    switch (op) {
#define OP_CASE(name, number, type, who, meaning)                                                  \
    case number:                                                                                   \
        return who == ADMIN;
        ACCEL_UAPI_TABLE(OP_CASE)
#undef OP_CASE
    default:
        return true;
    }
}

static uint32_t op_flags(uint16_t op) {
    switch (op) {
    case ACCEL_REQ_CTX_CREATE:
        return ACCEL_CTX_FENCED;
    case ACCEL_REQ_BO_CREATE:
        return ACCEL_BO_HOST;
    case ACCEL_REQ_BO_FROM_USER:
        return ACCEL_FROM_USER_READ_ONLY | ACCEL_FROM_USER_MAY_COPY;
    case ACCEL_REQ_BIND:
        return ACCEL_BIND_UNMAP;
    case ACCEL_REQ_SYNC_WAIT:
        return ACCEL_SYNC_UNTIL;
    case ACCEL_REQ_SUBMIT:
        return ACCEL_SUBMIT_RESUME | ACCEL_SUBMIT_MAY_SUSPEND;
    case ACCEL_REQ_HOLD:
        return ACCEL_HOLD_RELEASE;
    default:
        return 0;
    }
}

// --- Single requests ---

static bool context_is_valid(const accel_req_ctx_create_t *request) {
    bool fenced = (request->head.flags & ACCEL_CTX_FENCED) != 0;
    if (fenced && request->service_class == ACCEL_CLASS_BEST_EFFORT)
        return false; // others could keep it from the card for ever
    if (request->service_class == ACCEL_CLASS_BEST_EFFORT)
        return request->share == 0;
    return request->service_class <= ACCEL_CLASS_BURST && request->share >= 1 &&
           request->share <= 100;
}

static bool from_user_is_valid(const accel_req_bo_from_user_t *request) {
    uint64_t end;
    return request->bytes != 0 && (request->bytes | request->address) % ISA_PAGE_BYTES == 0 &&
           checked_add_u64(request->address, request->bytes, &end);
}

static bool bind_is_valid(const accel_req_bind_t *request) {
    bool unmaps = (request->head.flags & ACCEL_BIND_UNMAP) != 0;
    bool only_va =
        request->bo == 0 && request->prot == 0 && request->offset == 0 && request->bytes == 0;
    return request->pad == 0 && (!unmaps || only_va);
}

static bool sync_is_valid(const accel_req_sync_t *request) {
    return request->pad == 0 &&
           (request->head.op == ACCEL_REQ_SYNC_WAIT || request->timeout_ns == 0);
}

static bool points_are_valid(const accel_sync_point_t *points, uint32_t n_points) {
    if (n_points > ACCEL_SUBMIT_MAX_SYNCS)
        return false;
    uint32_t pads = 0;
    for (uint32_t i = 0; i < n_points; i++)
        pads |= points[i].pad;
    return pads == 0;
}

static bool submit_is_valid(const accel_req_submit_t *request) {
    if (!points_are_valid(request->in, request->n_in) ||
        !points_are_valid(request->out, request->n_out))
        return false;
    if ((request->n_bos != 0) != (request->bos != 0) || request->n_bos > ACCEL_MAX_SUBMIT_BOS ||
        request->bos % sizeof(uint32_t) != 0)
        return false;
    if (request->node == ACCEL_NODE_COPY)
        return request->head.flags == 0 && request->timeout_ns == 0 && request->rows != 0 &&
               request->bytes != 0;
    return request->node == ACCEL_NODE_COMPUTE && request->ib % 8 == 0 && request->bytes % 8 == 0 &&
           request->bytes != 0 && request->bytes <= ISA_IB_MAX_BYTES;
}

static bool list_is_valid(const accel_req_list_t *request) {
    return request->capacity <= ACCEL_LIST_MAX && request->records % sizeof(uint64_t) == 0 &&
           (request->capacity == 0 || request->records != 0);
}

static bool share_is_valid(const accel_req_share_t *request) {
    return request->pad == 0 && (request->key[0] | request->key[1]) != 0;
}

static bool is_valid(const accel_req_t *request) {
    const void *body = request;
    switch (request->op) {
    case ACCEL_REQ_VM_CREATE:
    case ACCEL_REQ_VM_DESTROY:
    case ACCEL_REQ_CTX_DESTROY:
    case ACCEL_REQ_BO_DESTROY:
    case ACCEL_REQ_SYNC_DESTROY:
        return ((const accel_req_handle_t *)body)->pad == 0;
    case ACCEL_REQ_CTX_CREATE:
        return context_is_valid(body);
    case ACCEL_REQ_CTX_QUERY:
        return ((const accel_req_ctx_query_t *)body)->pad == 0;
    case ACCEL_REQ_BO_CREATE:
        return ((const accel_req_bo_create_t *)body)->pad == 0;
    case ACCEL_REQ_BO_FROM_USER:
        return from_user_is_valid(body);
    case ACCEL_REQ_BO_EXPORT:
    case ACCEL_REQ_BO_IMPORT:
        return share_is_valid(body);
    case ACCEL_REQ_BIND:
        return bind_is_valid(body);
    case ACCEL_REQ_SYNC_CREATE:
    case ACCEL_REQ_SYNC_WAIT:
    case ACCEL_REQ_SYNC_SIGNAL:
    case ACCEL_REQ_SYNC_QUERY:
        return sync_is_valid(body);
    case ACCEL_REQ_SUBMIT:
        return submit_is_valid(body);
    case ACCEL_REQ_EVENTS:
    case ACCEL_REQ_CLIENTS:
        return list_is_valid(body);
    case ACCEL_REQ_RESET:
        return ((const accel_req_reset_t *)body)->level <= ACCEL_RESET_CARD;
    case ACCEL_REQ_POWER:
        return ((const accel_req_power_t *)body)->pad == 0;
    case ACCEL_REQ_INJECT:
        return ((const accel_req_inject_t *)body)->pad == 0;
    default:
        return true;
    }
}

status_t rm_check(const rm_client_t *client, const accel_req_t *request) {
    if (op_is_admins(request->op) && !client->options.is_admin)
        return STATUS_DENIED;
    if ((request->flags & ~op_flags(request->op)) != 0)
        return STATUS_INVALID;
    return is_valid(request) ? STATUS_OK : STATUS_INVALID;
}

// --- What depends on the buffer ---

status_t rm_check_bind(const accel_req_bind_t *request, const rm_store_t *store) {
    uint64_t pages = request->offset | request->va | request->bytes;
    if (pages % ISA_PAGE_BYTES != 0 || request->bytes == 0)
        return STATUS_INVALID;
    if (!checked_range(request->offset, request->bytes, store->bytes))
        return STATUS_INVALID;
    if (request->va < ISA_VA_BASE || !checked_range(request->va, request->bytes, ISA_VA_END))
        return STATUS_INVALID;
    if (request->prot > (ACCEL_PROT_WRITE | ACCEL_PROT_EXECUTE) ||
        request->prot == (ACCEL_PROT_WRITE | ACCEL_PROT_EXECUTE))
        return STATUS_INVALID;
    return store->read_only && (request->prot & ACCEL_PROT_WRITE) != 0 ? STATUS_DENIED : STATUS_OK;
}
