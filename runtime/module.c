// SPDX-License-Identifier: Apache-2.0
// Loading and unloading.
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"

#define MIN_STACK_BYTES UINT64_C(16384)

static uint64_t page_up(uint64_t bytes) {
    return (bytes + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
}

// --- The program's memory ---

// Segments are bound one by one, each with what it may do.
static status_t bind_segments(accel_module_t *module) {
    const isa_image_t *image = &module->program->image;
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *segment = &image->segments[i];
        uint64_t first = segment->va & ~(ISA_PAGE_BYTES - 1);
        uint64_t end = page_up(segment->va + segment->mem_bytes);
        uint32_t prot = (segment->flags & 1u) != 0   ? ACCEL_PROT_EXECUTE
                        : (segment->flags & 2u) != 0 ? ACCEL_PROT_WRITE
                                                     : 0;
        uint64_t va = module->image_va + first;
        RETURN_IF_ERROR(rt_bind(module->device, module->image.bo, first, va, end - first, prot));
        module->segments[i] = va;
    }
    return STATUS_OK;
}

// While it is still bound as a whole and writable.
static status_t copy_image(accel_module_t *module) {
    uint64_t from = rt_host_va(module->device, module->image_copy, module->image_bytes);
    RETURN_IF_ERROR(
        rt_stream_copy(&module->own, module->image.va, from, module->image_bytes, true));
    accel_status_t result = rt_stream_wait(&module->own, module->own.point, UINT64_MAX, NULL);
    return (status_t)result;
}

static accel_status_t load_image(accel_module_t *module, accel_error_t *error) {
    const isa_image_t *image = &module->program->image;
    accel_device_t *device = module->device;
    const char *reason = "";
    void *memory;
    module->image_bytes = isa_image_span(image);
    RT_TRY(accel_host_alloc(device, (size_t)module->image_bytes, &memory, error));
    module->image_copy = memory;
    status_t status =
        rt_va_take(device, ISA_VA_IMAGE, ISA_VA_STACK, module->image_bytes, 0, &module->image_va);
    if (status == STATUS_OK)
        status = isa_image_load(image, module->image_va, memory, module->image_bytes, &reason);
    if (status == STATUS_OK)
        status = rt_card_alloc(device, ISA_VA_IO, ISA_VA_END, module->image_bytes, &module->image);
    if (status == STATUS_OK)
        status = copy_image(module);
    if (status == STATUS_OK)
        status = bind_segments(module);
    if (status != STATUS_OK)
        return rt_fail_device(device, error, status,
                              *reason != 0 ? reason : "cannot load the program");
    return ACCEL_OK;
}

// Read where the file is mapped, or, where the driver cannot pin that, copied to the card once.
static status_t load_weights(accel_module_t *module) {
    const isa_image_t *image = &module->program->image;
    if (image->weights == NULL)
        return STATUS_OK;
    status_t status = rt_pin(module->device, image->weights, image->weights_bytes, 0,
                             ISA_VA_WEIGHTS, ISA_VA_HEAP, &module->weights);
    if (status != STATUS_UNSUPPORTED)
        return status;
    return rt_card_copy(module->device, &module->own, image->weights, image->weights_bytes,
                        ISA_VA_WEIGHTS, ISA_VA_HEAP, &module->weights);
}

// Below each stack an unmapped page, above it nothing of this program's.
static status_t make_stacks(accel_module_t *module) {
    uint64_t bytes = module->program->image.note->stack_bytes;
    uint32_t cores = module->device->info.cores;
    bytes = bytes == 0 ? ISA_STACK_BYTES : bytes < MIN_STACK_BYTES ? MIN_STACK_BYTES : bytes;
    module->stack_bytes = page_up(bytes) + ISA_PAGE_BYTES; // and the thread area
    module->stack_stride = module->stack_bytes + ISA_PAGE_BYTES;
    RETURN_IF_ERROR(rt_bo_create(module->device, cores * module->stack_bytes, &module->stack_bo));
    RETURN_IF_ERROR(rt_va_take(module->device, ISA_VA_STACK, ISA_VA_ARGS,
                               cores * module->stack_stride, 0, &module->stack_va));
    for (uint32_t i = 0; i < cores; i++) {
        RETURN_IF_ERROR(rt_bind(module->device, module->stack_bo, i * module->stack_bytes,
                                module->stack_va + i * module->stack_stride, module->stack_bytes,
                                ACCEL_PROT_WRITE));
        module->n_stacks = i + 1;
    }
    return STATUS_OK;
}

static status_t make_heap(accel_module_t *module) {
    const isa_note_t *note = module->program->image.note;
    uint64_t memory = module->device->info.memory_bytes;
    module->heap_reserved = (note->flags & ISA_IMAGE_MAY_GROW) != 0 ? memory : note->heap_min;
    if (module->heap_reserved < note->heap_min)
        module->heap_reserved = note->heap_min;
    module->heap_reserved = page_up(module->heap_reserved);
    RETURN_IF_ERROR(rt_va_take(module->device, ISA_VA_HEAP, ISA_VA_HEAP_END,
                               module->heap_reserved + ISA_PAGE_LARGE, 0, &module->heap_va));
    return rt_heap_commit(module, note->heap_min);
}

// --- Load ---

static accel_status_t check_fit(const accel_device_t *device, const accel_program_t *program,
                                const accel_module_options_t *options, accel_error_t *error) {
    const isa_image_t *image = &program->image;
    char name[17] = {0};
    memcpy(name, device->info.profile, sizeof device->info.profile);
    if (image->note->profile_hash != device->info.profile_hash)
        return rt_fail(error, ACCEL_MISMATCH,
                       "%s was compiled for profile '%s' (%016llx), the device is '%s' (%016llx); "
                       "compile it with --arch=%s or open another device",
                       program->path, image->note->profile,
                       (unsigned long long)image->note->profile_hash, name,
                       (unsigned long long)device->info.profile_hash, name);
    if (options != NULL && options->heap_limit != 0 && options->heap_limit < image->note->heap_min)
        return rt_fail(error, ACCEL_LIMIT,
                       "%s needs a heap of %llu bytes at least, the limit is %llu", program->path,
                       (unsigned long long)image->note->heap_min,
                       (unsigned long long)options->heap_limit);
    if ((uint64_t)image->note->n_inputs + image->note->n_outputs > RT_MAX_IO)
        return rt_fail(error, ACCEL_LIMIT, "%s has more than %u inputs and outputs", program->path,
                       RT_MAX_IO);
    for (uint32_t i = 0; i < image->note->n_inputs + image->note->n_outputs; i++)
        if (image->io[i].dtype == (uint8_t)ACCEL_STRING)
            return rt_fail(error, ACCEL_UNSUPPORTED, "%s: '%s' is a tensor of strings",
                           program->path, image->strings + image->io[i].name);
    return ACCEL_OK;
}

static accel_status_t load_parts(accel_module_t *module, accel_error_t *error) {
    accel_device_t *device = module->device;
    status_t status = rt_stream_init(device, &module->own);
    if (status != STATUS_OK)
        return rt_fail_device(device, error, status, "cannot create a context");
    module->has_own = true;
    RT_TRY(load_image(module, error));
    status = load_weights(module);
    if (status == STATUS_OK)
        status = make_stacks(module);
    if (status == STATUS_OK)
        status = make_heap(module);
    if (status == STATUS_OK)
        status = rt_card_alloc(device, ISA_VA_IO, ISA_VA_END, ISA_PAGE_BYTES, &module->sync_page);
    if (status != STATUS_OK)
        return rt_fail_device(device, error, status, "no memory on the card for the program");
    return rt_control_create(module, error);
}

static accel_module_t *module_new(accel_device_t *device, const accel_program_t *program,
                                  const accel_module_options_t *options) {
    const isa_note_t *note = program->image.note;
    accel_module_t *module = calloc(1, sizeof *module);
    if (module == NULL)
        return NULL;
    size_t n_io = (size_t)note->n_inputs + note->n_outputs;
    list_init(&module->link);
    module->device = device;
    module->program = program;
    if (options != NULL)
        module->options = *options;
    module->n_stats = 1 + (module->options.node_stats ? accel_program_n_nodes(program) : 0);
    module->places = calloc(n_io + 1, sizeof *module->places);
    module->by_index = calloc(n_io + 1, sizeof(*module->by_index));
    module->outputs_by_index = calloc(n_io + 1, sizeof(*module->outputs_by_index));
    module->symbols = calloc((size_t)note->n_symbols + 1, sizeof *module->symbols);
    if (module->places != NULL && module->by_index != NULL && module->outputs_by_index != NULL &&
        module->symbols != NULL)
        return module;
    accel_module_unload(module);
    return NULL;
}

accel_status_t accel_module_load(accel_device_t *device, const accel_program_t *program,
                                 const accel_module_options_t *options, accel_module_t **out_module,
                                 accel_error_t *error) {
    *out_module = NULL;
    uint64_t start = device->client.ops->now_ns(device->client.self);
    RT_TRY(check_fit(device, program, options, error));
    accel_module_t *module = module_new(device, program, options);
    if (module == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    accel_status_t result = load_parts(module, error);
    if (result != ACCEL_OK) {
        accel_module_unload(module);
        return result;
    }
    device->client.ops->lock(device->client.self);
    list_push_back(&device->modules, &module->link);
    device->client.ops->unlock(device->client.self);
    module->load_ns = device->client.ops->now_ns(device->client.self) - start;
    *out_module = module;
    return ACCEL_OK;
}

// --- Unload ---

static void free_stacks(accel_module_t *module) {
    for (uint32_t i = 0; i < module->n_stacks; i++)
        (void)rt_unbind(module->device, module->stack_va + i * module->stack_stride);
    if (module->stack_va != 0)
        rt_va_give(module->device, module->stack_va);
    (void)rt_destroy(module->device, ACCEL_REQ_BO_DESTROY, module->stack_bo);
}

static void free_image(accel_module_t *module) {
    for (uint32_t i = 0; i < ISA_MAX_SEGMENTS; i++)
        if (module->segments[i] != 0)
            (void)rt_unbind(module->device, module->segments[i]);
    rt_range_free(module->device, &module->image);
    if (module->image_va != 0)
        rt_va_give(module->device, module->image_va);
    accel_host_free(module->device, module->image_copy);
}

static void free_memory(accel_module_t *module) {
    const isa_note_t *note = module->program->image.note;
    for (uint32_t i = 0; module->places != NULL && i < note->n_inputs + note->n_outputs; i++)
        accel_host_free(module->device, module->places[i].staging);
    accel_host_free(module->device, module->control);
    rt_range_free(module->device, &module->sync_page);
    rt_heap_free(module);
    free_stacks(module);
    rt_range_free(module->device, &module->weights);
    free_image(module);
}

void accel_module_unload(accel_module_t *module) {
    if (module == NULL)
        return;
    accel_device_t *device = module->device;
    if (module->control != NULL)
        (void)rt_module_wait(module, NULL);
    device->client.ops->lock(device->client.self);
    list_remove(&module->link);
    device->client.ops->unlock(device->client.self);
    if (module->has_own)
        rt_stream_deinit(&module->own);
    free_memory(module);
    free(module->places);
    free(module->by_index);
    free(module->outputs_by_index);
    free(module->symbols);
    free(module);
}

uint64_t accel_module_load_ns(const accel_module_t *module) { return module->load_ns; }
