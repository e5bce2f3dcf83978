// SPDX-License-Identifier: Apache-2.0
// An instance's heap: a range of addresses, of which memory stands behind the front.
#include "runtime/runtime_internal.h"

static uint64_t heap_limit(const rt_instance_t *instance) {
    uint64_t limit = instance->module->options.heap_limit;
    return limit != 0 && limit < instance->heap_reserved ? limit : instance->heap_reserved;
}

// Makes the first `bytes` of the range usable. Pieces at least double it, so that there are few.
status_t rt_heap_commit(rt_instance_t *instance, uint64_t bytes) {
    accel_device_t *device = instance->module->device;
    if (bytes <= instance->heap_bytes)
        return STATUS_OK;
    if (bytes > heap_limit(instance) || instance->n_heaps == COUNT_OF(instance->heaps))
        return STATUS_LIMIT;
    uint64_t need = bytes - instance->heap_bytes;
    uint64_t wish = need > instance->heap_bytes ? need : instance->heap_bytes;
    uint64_t room = heap_limit(instance) - instance->heap_bytes;
    rt_range_t piece = {.va = instance->heap_va + instance->heap_bytes,
                        .bytes = wish < room ? wish : room};
    piece.bytes = (piece.bytes + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
    status_t status = rt_bo_create(device, piece.bytes, &piece.bo);
    if (status == STATUS_NO_MEMORY && wish > need) { // not twice as much, then
        piece.bytes = (need + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
        status = rt_bo_create(device, piece.bytes, &piece.bo);
    }
    if (status != STATUS_OK)
        return status;
    status = rt_bind(device, piece.bo, 0, piece.va, piece.bytes, ACCEL_PROT_WRITE);
    if (status != STATUS_OK) {
        (void)rt_destroy(device, ACCEL_REQ_BO_DESTROY, piece.bo);
        return status;
    }
    instance->heaps[instance->n_heaps++] = piece;
    instance->heap_bytes += piece.bytes;
    return STATUS_OK;
}

void rt_heap_free(rt_instance_t *instance) {
    while (instance->n_heaps > 0) {
        const rt_range_t *piece = &instance->heaps[--instance->n_heaps];
        (void)rt_unbind(instance->module->device, piece->va);
        (void)rt_destroy(instance->module->device, ACCEL_REQ_BO_DESTROY, piece->bo);
    }
    if (instance->heap_va != 0)
        rt_va_give(instance->module->device, instance->heap_va);
    instance->heap_va = 0;
}

status_t rt_heap_answer(rt_instance_t *instance, rt_launch_t *launch, uint64_t need,
                        uint64_t *out_result) {
    status_t status = rt_heap_commit(instance, need);
    *out_result = status == STATUS_OK ? 0 : 1;
    if (status == STATUS_OK)
        return STATUS_OK;
    rt_lock(instance->module->device);
    launch->heap_refused = need;
    rt_unlock(instance->module->device);
    return status == STATUS_LIMIT || status == STATUS_NO_MEMORY ? STATUS_OK : status;
}
