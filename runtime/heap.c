// SPDX-License-Identifier: Apache-2.0
// A module's heap: a range of addresses, of which memory stands behind the front.
#include "runtime/runtime_internal.h"

static uint64_t heap_limit(const accel_module_t *module) {
    uint64_t limit = module->options.heap_limit;
    return limit != 0 && limit < module->heap_reserved ? limit : module->heap_reserved;
}

// Makes the first `bytes` of the range usable. Pieces at least double it, so that there are few.
status_t rt_heap_commit(accel_module_t *module, uint64_t bytes) {
    accel_device_t *device = module->device;
    if (bytes <= module->heap_bytes)
        return STATUS_OK;
    if (bytes > heap_limit(module) || module->n_heaps == COUNT_OF(module->heaps))
        return STATUS_LIMIT;
    uint64_t need = bytes - module->heap_bytes;
    uint64_t wish = need > module->heap_bytes ? need : module->heap_bytes;
    uint64_t room = heap_limit(module) - module->heap_bytes;
    rt_range_t piece = {.va = module->heap_va + module->heap_bytes,
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
    module->heaps[module->n_heaps++] = piece;
    module->heap_bytes += piece.bytes;
    return STATUS_OK;
}

void rt_heap_free(accel_module_t *module) {
    while (module->n_heaps > 0) {
        const rt_range_t *piece = &module->heaps[--module->n_heaps];
        (void)rt_unbind(module->device, piece->va);
        (void)rt_destroy(module->device, ACCEL_REQ_BO_DESTROY, piece->bo);
    }
    if (module->heap_va != 0)
        rt_va_give(module->device, module->heap_va);
    module->heap_va = 0;
}

status_t rt_heap_answer(accel_module_t *module, uint64_t need, uint64_t *out_result) {
    status_t status = rt_heap_commit(module, need);
    *out_result = status == STATUS_OK ? 0 : 1;
    if (status == STATUS_OK)
        return STATUS_OK;
    module->heap_refused = need;
    return status == STATUS_LIMIT || status == STATUS_NO_MEMORY ? STATUS_OK : status;
}
