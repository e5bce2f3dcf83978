// SPDX-License-Identifier: Apache-2.0
// A program's segments on the card: what is only read once a module, what is written once an
// instance. All instances bind both at the same distances.
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"

static uint64_t page_down(uint64_t address) { return address & ~(ISA_PAGE_BYTES - 1); }
static uint64_t page_up(uint64_t bytes) { return page_down(bytes + ISA_PAGE_BYTES - 1); }

static bool is_written(const isa_segment_t *segment) { return (segment->flags & 2u) != 0; }

static uint32_t prot_of(const isa_segment_t *segment) {
    return (segment->flags & 1u) != 0 ? ACCEL_PROT_EXECUTE
           : is_written(segment)      ? ACCEL_PROT_WRITE
                                      : 0;
}

// --- A module's part ---

static void find_data(accel_module_t *module) {
    const isa_image_t *image = &module->program->image;
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *segment = &image->segments[i];
        if (!is_written(segment))
            continue;
        if (module->data_end == 0)
            module->data_first = page_down(segment->va);
        module->data_end = page_up(segment->va + segment->mem_bytes);
    }
}

// Through a binding that nobody but the copy sees.
static accel_status_t fill_image(accel_module_t *module, accel_stream_t *via, const void *copy,
                                 accel_error_t *error) {
    accel_device_t *device = module->device;
    rt_range_t range;
    status_t status = rt_card_alloc(device, ISA_VA_IO, ISA_VA_END, module->image_bytes, &range);
    if (status != STATUS_OK)
        return rt_fail_device(device, error, status, "no card memory for the program");
    uint64_t from = rt_host_va(device, copy, module->image_bytes);
    accel_status_t result = rt_stream_move(via, range.va, from, module->image_bytes, error);
    if (result != ACCEL_OK) {
        rt_range_free(device, &range);
        return result;
    }
    (void)rt_unbind(device, range.va);
    rt_va_give(device, range.va);
    module->image_bo = range.bo;
    return ACCEL_OK;
}

accel_status_t rt_image_load(accel_module_t *module, accel_stream_t *via, accel_error_t *error) {
    const char *reason = "";
    void *copy;
    module->image_bytes = isa_image_span(&module->program->image);
    find_data(module);
    RT_TRY(accel_host_alloc(module->device, (size_t)module->image_bytes, &copy, error));
    // Relocations are in writable segments only, so the address does not matter yet.
    status_t status =
        isa_image_load(&module->program->image, ISA_VA_IMAGE, copy, module->image_bytes, &reason);
    accel_status_t result = status == STATUS_OK
                                ? fill_image(module, via, copy, error)
                                : rt_fail_device(module->device, error, status, reason);
    accel_host_free(module->device, copy);
    return result;
}

void rt_image_unload(accel_module_t *module) {
    (void)rt_destroy(module->device, ACCEL_REQ_BO_DESTROY, module->image_bo);
}

// --- An instance's part ---

// What the writable segments hold at a launch: as the file has them, relocated to this instance.
static accel_status_t make_data(rt_instance_t *instance, accel_error_t *error) {
    const accel_module_t *module = instance->module;
    uint64_t bytes = module->data_end - module->data_first;
    const char *reason = "";
    void *memory;
    if (bytes == 0)
        return ACCEL_OK;
    status_t status = rt_bo_create(module->device, bytes, &instance->data_bo);
    if (status != STATUS_OK)
        return rt_fail_device(module->device, error, status,
                              "no card memory for the program's data");
    RT_TRY(accel_host_alloc(module->device, (size_t)bytes, &memory, error));
    instance->data_copy = memory;
    instance->data_copy_va = rt_host_va(module->device, memory, bytes);
    uint8_t *whole = malloc((size_t)page_up(module->image_bytes));
    if (whole == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    memset(memory, 0, (size_t)bytes);
    status = isa_image_load(&module->program->image, instance->image_va, whole, module->image_bytes,
                            &reason);
    if (status == STATUS_OK)
        memcpy(memory, whole + module->data_first,
               (size_t)((module->image_bytes < module->data_end ? module->image_bytes
                                                                : module->data_end) -
                        module->data_first));
    free(whole);
    return status == STATUS_OK ? ACCEL_OK : rt_fail_device(module->device, error, status, reason);
}

// Segments are bound one by one, each with what it may do.
static status_t bind_segments(rt_instance_t *instance) {
    const accel_module_t *module = instance->module;
    const isa_image_t *image = &module->program->image;
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *segment = &image->segments[i];
        uint64_t first = page_down(segment->va);
        uint64_t end = page_up(segment->va + segment->mem_bytes);
        uint64_t va = instance->image_va + first;
        bool own = is_written(segment);
        RETURN_IF_ERROR(rt_bind(module->device, own ? instance->data_bo : module->image_bo,
                                own ? first - module->data_first : first, va, end - first,
                                prot_of(segment)));
        instance->segments[i] = va;
    }
    return STATUS_OK;
}

accel_status_t rt_image_bind(rt_instance_t *instance, accel_error_t *error) {
    const accel_module_t *module = instance->module;
    status_t status = rt_va_take(module->device, ISA_VA_IMAGE, ISA_VA_STACK, module->image_bytes, 0,
                                 &instance->image_va);
    if (status != STATUS_OK)
        return rt_fail_device(module->device, error, status, "no addresses for the program");
    RT_TRY(make_data(instance, error));
    status = bind_segments(instance);
    return status == STATUS_OK
               ? ACCEL_OK
               : rt_fail_device(module->device, error, status, "cannot map the program");
}

void rt_image_unbind(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    for (uint32_t i = 0; i < ISA_MAX_SEGMENTS; i++)
        if (instance->segments[i] != 0)
            (void)rt_unbind(device, instance->segments[i]);
    (void)rt_destroy(device, ACCEL_REQ_BO_DESTROY, instance->data_bo);
    if (instance->image_va != 0)
        rt_va_give(device, instance->image_va);
    accel_host_free(device, instance->data_copy);
}
