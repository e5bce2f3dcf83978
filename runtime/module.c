// SPDX-License-Identifier: Apache-2.0
// Loading and unloading: code and weights once, then instances (instance.c) to run in.
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"

// Read where the file is mapped, or, where the driver cannot pin that, copied to the card once.
static accel_status_t load_weights(accel_module_t *module, accel_stream_t *via,
                                   accel_error_t *error) {
    const isa_image_t *image = &module->program->image;
    if (image->weights == NULL)
        return ACCEL_OK;
    status_t status = rt_pin(module->device, image->weights, image->weights_bytes, 0,
                             ISA_VA_WEIGHTS, ISA_VA_HEAP, &module->weights);
    if (status == STATUS_UNSUPPORTED)
        return rt_card_copy(module->device, via, image->weights, image->weights_bytes,
                            ISA_VA_WEIGHTS, ISA_VA_HEAP, &module->weights, error);
    return status == STATUS_OK
               ? ACCEL_OK
               : rt_fail_device(module->device, error, status, "cannot map the weights");
}

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

// `via`: the stream that copies, later that of the first instance's accel_run.
static accel_status_t load_parts(accel_module_t *module, accel_stream_t *via,
                                 accel_error_t *error) {
    rt_instance_t *instance;
    RT_TRY(rt_image_load(module, via, error));
    RT_TRY(load_weights(module, via, error));
    RT_TRY(rt_instance_create(module, &instance, error));
    instance->own = *via;
    *via = (accel_stream_t){.device = module->device};
    list_push_back(&module->instances, &instance->link);
    module->n_instances = 1;
    return ACCEL_OK;
}

static accel_status_t load(accel_module_t *module, accel_error_t *error) {
    accel_stream_t via;
    status_t status = rt_stream_init(module->device, &module->options.stream, &via);
    if (status != STATUS_OK)
        return rt_fail_device(module->device, error, status, "cannot create a context");
    accel_status_t result = load_parts(module, &via, error);
    rt_stream_deinit(&via);
    return result;
}

accel_status_t accel_module_load(accel_device_t *device, const accel_program_t *program,
                                 const accel_module_options_t *options, accel_module_t **out_module,
                                 accel_error_t *error) {
    *out_module = NULL;
    uint64_t start = device->client.ops->now_ns(device->client.self);
    RT_TRY(check_fit(device, program, options, error));
    accel_module_t *module = calloc(1, sizeof *module);
    if (module == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    list_init(&module->link);
    list_init(&module->instances);
    module->device = device;
    module->program = program;
    if (options != NULL)
        module->options = *options;
    module->n_stats = 1 + (module->options.node_stats ? accel_program_n_nodes(program) : 0);
    accel_status_t result = load(module, error);
    if (result != ACCEL_OK) {
        rt_fail_in(error, "cannot load", program->path);
        accel_module_unload(module);
        return result;
    }
    rt_lock(device);
    list_push_back(&device->modules, &module->link);
    rt_unlock(device);
    module->load_ns = device->client.ops->now_ns(device->client.self) - start;
    *out_module = module;
    return ACCEL_OK;
}

void accel_module_unload(accel_module_t *module) {
    if (module == NULL)
        return;
    // Launches that still wait for memory find their instance through the device's list.
    rt_instances_destroy(module);
    rt_lock(module->device);
    list_remove(&module->link);
    rt_unlock(module->device);
    rt_range_free(module->device, &module->weights);
    rt_image_unload(module);
    free(module);
}

uint64_t accel_module_load_ns(const accel_module_t *module) { return module->load_ns; }
