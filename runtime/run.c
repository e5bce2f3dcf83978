// SPDX-License-Identifier: Apache-2.0
// Runs and launches: where inputs and outputs are, and getting them there and back.
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"

#define IO_ALIGN 64u

static uint32_t n_inputs_of(const accel_module_t *module) {
    return module->program->image.note->n_inputs;
}

// --- Places ---

// The instance's own memory of at least `bytes`.
static accel_status_t need_staging(rt_instance_t *instance, rt_place_t *place, uint64_t bytes,
                                   accel_error_t *error) {
    if (place->staging_bytes >= bytes && place->staging != NULL)
        return ACCEL_OK;
    accel_host_free(instance->module->device, place->staging);
    place->staging = NULL;
    place->staging_bytes = 0;
    RT_TRY(accel_host_alloc(instance->module->device, (size_t)bytes, &place->staging, error));
    place->staging_bytes = (size_t)bytes;
    return ACCEL_OK;
}

static bool place_direct(rt_instance_t *instance, rt_place_t *place, void *data, uint64_t bytes) {
    if (data == NULL || (uintptr_t)data % IO_ALIGN != 0)
        return false;
    place->va = rt_host_va(instance->module->device, data, bytes);
    place->bytes = bytes;
    place->host = data;
    return place->va != 0;
}

static accel_status_t place_staging(rt_instance_t *instance, rt_place_t *place, uint64_t bytes,
                                    accel_error_t *error) {
    RT_TRY(need_staging(instance, place, bytes, error));
    place->va = rt_host_va(instance->module->device, place->staging, bytes);
    place->bytes = bytes;
    place->host = place->staging;
    return ACCEL_OK;
}

static void place_buffer(rt_place_t *place, const accel_tensor_t *tensor) {
    place->va = tensor->buffer->range.va + tensor->offset;
    place->bytes = tensor->buffer->bytes - tensor->offset;
    place->host = NULL;
}

static accel_status_t place_input(rt_instance_t *instance, rt_place_t *place,
                                  const accel_tensor_t *tensor, accel_error_t *error) {
    if (tensor->buffer != NULL)
        place_buffer(place, tensor);
    else if (!place_direct(instance, place, tensor->data, tensor->bytes)) {
        RT_TRY(place_staging(instance, place, tensor->bytes, error));
        if (tensor->bytes != 0)
            memcpy(place->host, tensor->data, tensor->bytes);
    }
    return ACCEL_OK;
}

// `tensor` may be NULL: nobody asks for it, but the program writes it.
static accel_status_t place_output(rt_instance_t *instance, const rt_launch_t *launch,
                                   uint32_t index, const accel_tensor_t *tensor,
                                   accel_error_t *error) {
    rt_place_t *place = &launch->places[index];
    int64_t dims[ISA_MAX_RANK];
    uint64_t bytes;
    place->va = place->bytes = 0;
    place->host = NULL;
    if (!rt_shape_output(instance->module, index, launch->symbols, dims))
        return ACCEL_OK; // in the heap
    const isa_io_t *io = rt_io(instance->module, index);
    if (rt_tensor_bytes((accel_dtype_t)io->dtype, io->rank, dims, &bytes) != ACCEL_OK)
        return rt_fail(error, ACCEL_LIMIT, "output '%s' is too large",
                       rt_io_name(instance->module, index));
    if (tensor != NULL && tensor->buffer != NULL) {
        place_buffer(place, tensor);
        if (tensor->buffer->device == instance->module->device && tensor->offset % IO_ALIGN == 0 &&
            tensor->offset <= tensor->buffer->bytes && bytes <= place->bytes)
            return ACCEL_OK;
        return rt_fail(error, ACCEL_LIMIT, "output '%s' needs %llu bytes of its buffer",
                       rt_io_name(instance->module, index), (unsigned long long)bytes);
    }
    if (tensor != NULL && tensor->data != NULL && tensor->bytes < bytes)
        return rt_fail(error, ACCEL_LIMIT, "output '%s' needs %llu bytes, not %llu",
                       rt_io_name(instance->module, index), (unsigned long long)bytes,
                       (unsigned long long)tensor->bytes);
    if (tensor != NULL && place_direct(instance, place, tensor->data, bytes))
        return ACCEL_OK;
    return place_staging(instance, place, bytes, error);
}

// The caller's tensor of each output, or NULL.
static accel_status_t sort_outputs(const accel_module_t *module, accel_tensor_t *outputs,
                                   uint32_t n_outputs, accel_tensor_t **out_by_index,
                                   accel_error_t *error) {
    memset(out_by_index, 0, module->program->image.note->n_outputs * sizeof(*out_by_index));
    for (uint32_t i = 0; i < n_outputs; i++) {
        uint32_t index;
        RT_TRY(rt_find_io(module, &outputs[i], i, true, &index, error));
        accel_tensor_t **entry = &out_by_index[index - n_inputs_of(module)];
        if (*entry != NULL)
            return rt_fail(error, ACCEL_INVALID, "output '%s' is asked for twice",
                           rt_io_name(module, index));
        *entry = &outputs[i];
    }
    return ACCEL_OK;
}

// --- Fetching ---

// What the program put into its heap comes by the card.
static accel_status_t fetch_heap(rt_instance_t *instance, rt_place_t *place, uint64_t va,
                                 uint64_t bytes, accel_error_t *error) {
    RT_TRY(need_staging(instance, place, bytes, error));
    uint64_t to = rt_host_va(instance->module->device, place->staging, bytes);
    place->host = place->staging;
    return rt_stream_move(&instance->own, to, va, bytes, error);
}

static accel_status_t fetch(rt_instance_t *instance, const rt_launch_t *launch, uint32_t index,
                            accel_tensor_t *tensor, accel_error_t *error) {
    rt_place_t *place = &launch->places[index];
    accel_tensor_t result = {0};
    uint64_t va;
    RT_TRY(rt_launch_output(instance, launch, index, &result, &va, error));
    if (tensor->buffer == NULL && place->va == 0)
        RT_TRY(fetch_heap(instance, place, va, result.bytes, error));
    if (tensor->buffer != NULL && place->va == 0)
        return rt_fail(error, ACCEL_UNSUPPORTED,
                       "the shape of output '%s' is known only afterwards: it cannot be bound to a "
                       "buffer",
                       result.name);
    result.name = tensor->name;
    result.buffer = tensor->buffer;
    result.offset = tensor->offset;
    result.data = tensor->data != NULL ? tensor->data : place->host;
    if (tensor->data != NULL && tensor->data != place->host) {
        if (tensor->bytes < result.bytes)
            return rt_fail(error, ACCEL_LIMIT, "output '%s' needs %llu bytes, not %llu",
                           rt_io_name(instance->module, index), (unsigned long long)result.bytes,
                           (unsigned long long)tensor->bytes);
        if (result.bytes != 0)
            memcpy(tensor->data, place->host, result.bytes);
    }
    *tensor = result;
    return ACCEL_OK;
}

static accel_status_t place_all(rt_instance_t *instance, const rt_launch_t *launch,
                                accel_error_t *error) {
    const isa_note_t *note = instance->module->program->image.note;
    for (uint32_t i = 0; i < note->n_inputs; i++)
        RT_TRY(place_input(instance, &launch->places[i], instance->by_index[i], error));
    for (uint32_t i = 0; i < note->n_outputs; i++)
        RT_TRY(place_output(instance, launch, note->n_inputs + i, instance->outputs_by_index[i],
                            error));
    return ACCEL_OK;
}

// Everything but taking and giving back.
static accel_status_t run_in(rt_instance_t *instance, const accel_tensor_t *inputs,
                             uint32_t n_inputs, accel_tensor_t *outputs, uint32_t n_outputs,
                             accel_error_t *error) {
    const isa_note_t *note = instance->module->program->image.note;
    accel_tensor_t **by_index = instance->outputs_by_index;
    rt_launch_t *launch;
    RT_TRY(rt_instance_next(instance, &instance->own, &launch, error));
    RT_TRY(rt_launch_inputs(instance, launch, inputs, n_inputs, error));
    RT_TRY(sort_outputs(instance->module, outputs, n_outputs, by_index, error));
    RT_TRY(place_all(instance, launch, error));
    RT_TRY(rt_launch_submit(instance, launch, &instance->own, true, error));
    RT_TRY(rt_instance_wait(instance, &instance->own, error));
    for (uint32_t i = 0; i < note->n_outputs; i++)
        if (by_index[i] != NULL)
            RT_TRY(fetch(instance, launch, note->n_inputs + i, by_index[i], error));
    return ACCEL_OK;
}

accel_status_t accel_run(accel_module_t *module, const accel_tensor_t *inputs, uint32_t n_inputs,
                         accel_tensor_t *outputs, uint32_t n_outputs, accel_error_t *error) {
    rt_instance_t *instance;
    RT_TRY(rt_instance_take(module, NULL, &instance, error));
    accel_status_t result = run_in(instance, inputs, n_inputs, outputs, n_outputs, error);
    rt_instance_give(instance);
    return result;
}

// --- Launches in a stream ---

static accel_status_t check_placed(const rt_instance_t *instance, const rt_launch_t *launch,
                                   accel_error_t *error) {
    const accel_module_t *module = instance->module;
    const isa_note_t *note = module->program->image.note;
    for (uint32_t i = 0; i < note->n_inputs + note->n_outputs; i++) {
        const accel_tensor_t *tensor = i < note->n_inputs
                                           ? instance->by_index[i]
                                           : instance->outputs_by_index[i - note->n_inputs];
        const rt_place_t *place = &launch->places[i];
        if (tensor == NULL)
            return rt_fail(error, ACCEL_INVALID, "output '%s' is missing", rt_io_name(module, i));
        if (place->va == 0)
            return rt_fail(error, ACCEL_UNSUPPORTED,
                           "the shape of output '%s' is known only afterwards: use accel_run",
                           rt_io_name(module, i));
        if (tensor->buffer == NULL && tensor->data != place->host && tensor->bytes != 0)
            return rt_fail(error, ACCEL_INVALID,
                           "'%s' lies neither in a buffer nor, aligned to 64 bytes, in memory from "
                           "accel_host_alloc",
                           rt_io_name(module, i));
    }
    return ACCEL_OK;
}

accel_status_t accel_stream_launch(accel_stream_t *stream, accel_module_t *module,
                                   const accel_tensor_t *inputs, uint32_t n_inputs,
                                   const accel_tensor_t *outputs, uint32_t n_outputs,
                                   accel_error_t *error) {
    rt_instance_t *instance;
    rt_launch_t *launch;
    if (stream->device != module->device)
        return rt_fail(error, ACCEL_INVALID, "stream and module are of different devices");
    RT_TRY(rt_instance_take(module, stream, &instance, error));
    RT_TRY(rt_instance_next(instance, stream, &launch, error));
    RT_TRY(rt_launch_inputs(instance, launch, inputs, n_inputs, error));
    // Only read through: what the program leaves is asked for by accel_stream_output.
    RT_TRY(sort_outputs(module, (accel_tensor_t *)(uintptr_t)outputs, n_outputs,
                        instance->outputs_by_index, error));
    RT_TRY(place_all(instance, launch, error));
    RT_TRY(check_placed(instance, launch, error));
    return rt_launch_submit(instance, launch, stream, false, error);
}

accel_status_t accel_stream_output(accel_stream_t *stream, accel_module_t *module, uint32_t index,
                                   accel_tensor_t *out_tensor, accel_error_t *error) {
    const isa_note_t *note = module->program->image.note;
    accel_tensor_t result = {0};
    uint64_t va;
    if (index >= note->n_outputs)
        return rt_fail(error, ACCEL_NOT_FOUND, "the program has only %u outputs", note->n_outputs);
    rt_instance_t *instance = rt_instance_find(module, stream);
    if (instance == NULL)
        return rt_fail(error, ACCEL_NOT_FOUND, "the program was not launched in this stream");
    const rt_launch_t *launch = instance->last;
    RT_TRY(rt_instance_wait(instance, stream, error));
    RT_TRY(rt_launch_output(instance, launch, note->n_inputs + index, &result, &va, error));
    result.data = launch->places[note->n_inputs + index].host;
    *out_tensor = result;
    return ACCEL_OK;
}
