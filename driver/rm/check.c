// SPDX-License-Identifier: Apache-2.0
// What a request may say. Everything here may be hostile.
#include "driver/rm/rm_internal.h"

#include "support/checked.h"

static uint32_t op_bytes(uint16_t op) {
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

static uint32_t op_flags(uint16_t op) {
    switch (op) {
    case ACCEL_REQ_BO_FROM_USER:
        return ACCEL_FROM_USER_READ_ONLY | ACCEL_FROM_USER_MAY_COPY;
    case ACCEL_REQ_BIND:
        return ACCEL_BIND_UNMAP;
    case ACCEL_REQ_SUBMIT:
        return ACCEL_SUBMIT_RESUME | ACCEL_SUBMIT_MAY_SUSPEND;
    default:
        return 0;
    }
}

status_t rm_check(const accel_req_t *request, size_t bytes) {
    if (bytes < sizeof *request)
        return STATUS_INVALID;
    if (request->version != ACCEL_UAPI_VERSION)
        return STATUS_MISMATCH;
    uint32_t expected = op_bytes(request->op);
    if (expected == 0)
        return STATUS_UNSUPPORTED;
    if (request->size != expected || bytes < expected)
        return STATUS_INVALID;
    return (request->flags & ~op_flags(request->op)) == 0 ? STATUS_OK : STATUS_INVALID;
}

status_t rm_check_bind(const accel_req_bind_t *request, const rm_bo_t *bo) {
    uint64_t pages = request->offset | request->va | request->bytes;
    if (pages % ISA_PAGE_BYTES != 0 || request->bytes == 0 || request->pad != 0)
        return STATUS_INVALID;
    if (!checked_range(request->offset, request->bytes, bo->bytes))
        return STATUS_INVALID;
    if (request->va < ISA_VA_BASE || !checked_range(request->va, request->bytes, ISA_VA_END))
        return STATUS_INVALID;
    if (request->prot > (ACCEL_PROT_WRITE | ACCEL_PROT_EXECUTE) ||
        request->prot == (ACCEL_PROT_WRITE | ACCEL_PROT_EXECUTE))
        return STATUS_INVALID;
    return bo->read_only && (request->prot & ACCEL_PROT_WRITE) != 0 ? STATUS_DENIED : STATUS_OK;
}

static bool points_valid(const accel_sync_point_t *points, uint32_t n_points) {
    if (n_points > ACCEL_SUBMIT_MAX_SYNCS)
        return false;
    uint32_t pads = 0;
    for (uint32_t i = 0; i < n_points; i++)
        pads |= points[i].pad;
    return pads == 0;
}

status_t rm_check_submit(const accel_req_submit_t *request) {
    if (!points_valid(request->in, request->n_in) || !points_valid(request->out, request->n_out) ||
        (request->n_bos != 0) != (request->bos != 0) || request->bos % sizeof(uint32_t) != 0)
        return STATUS_INVALID;
    bool is_compute = request->node == ACCEL_NODE_COMPUTE;
    if (request->node > ACCEL_NODE_COPY || (!is_compute && request->head.flags != 0))
        return STATUS_INVALID;
    if (is_compute)
        return request->ib % 8 == 0 && request->bytes % 8 == 0 && request->bytes != 0 &&
                       request->bytes <= ISA_IB_MAX_BYTES
                   ? STATUS_OK
                   : STATUS_INVALID;
    return request->rows != 0 && request->bytes != 0 ? STATUS_OK : STATUS_INVALID;
}
