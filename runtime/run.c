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

// The module's own memory of at least `bytes`.
static accel_status_t need_staging(accel_module_t *module, rt_place_t *place, uint64_t bytes,
                                   accel_error_t *error) {
    if (place->staging_bytes >= bytes && place->staging != NULL)
        return ACCEL_OK;
    accel_host_free(module->device, place->staging);
    place->staging = NULL;
    place->staging_bytes = 0;
    RT_TRY(accel_host_alloc(module->device, (size_t)bytes, &place->staging, error));
    place->staging_bytes = (size_t)bytes;
    return ACCEL_OK;
}

static bool place_direct(accel_module_t *module, rt_place_t *place, void *data, uint64_t bytes) {
    if (data == NULL || (uintptr_t)data % IO_ALIGN != 0)
        return false;
    place->va = rt_host_va(module->device, data, bytes);
    place->bytes = bytes;
    place->host = data;
    return place->va != 0;
}

static accel_status_t place_staging(accel_module_t *module, rt_place_t *place, uint64_t bytes,
                                    accel_error_t *error) {
    RT_TRY(need_staging(module, place, bytes, error));
    place->va = rt_host_va(module->device, place->staging, bytes);
    place->bytes = bytes;
    place->host = place->staging;
    return ACCEL_OK;
}

static void place_buffer(rt_place_t *place, const accel_tensor_t *tensor) {
    place->va = tensor->buffer->range.va + tensor->offset;
    place->bytes = tensor->buffer->bytes - tensor->offset;
    place->host = NULL;
}

static accel_status_t place_input(accel_module_t *module, uint32_t index,
                                  const accel_tensor_t *tensor, accel_error_t *error) {
    rt_place_t *place = &module->places[index];
    if (tensor->buffer != NULL)
        place_buffer(place, tensor);
    else if (!place_direct(module, place, tensor->data, tensor->bytes)) {
        RT_TRY(place_staging(module, place, tensor->bytes, error));
        if (tensor->bytes != 0)
            memcpy(place->host, tensor->data, tensor->bytes);
    }
    return ACCEL_OK;
}

// `tensor` may be NULL: nobody asks for it, but the program writes it.
static accel_status_t place_output(accel_module_t *module, uint32_t index,
                                   const accel_tensor_t *tensor, accel_error_t *error) {
    rt_place_t *place = &module->places[index];
    int64_t dims[ISA_MAX_RANK];
    uint64_t bytes;
    place->va = place->bytes = 0;
    place->host = NULL;
    if (!rt_shape_output(module, index, module->symbols, dims))
        return ACCEL_OK; // in the heap
    const isa_io_t *io = rt_io(module, index);
    if (rt_tensor_bytes((accel_dtype_t)io->dtype, io->rank, dims, &bytes) != ACCEL_OK)
        return rt_fail(error, ACCEL_LIMIT, "output '%s' is too large", rt_io_name(module, index));
    if (tensor != NULL && tensor->buffer != NULL) {
        place_buffer(place, tensor);
        if (tensor->offset % IO_ALIGN == 0 && tensor->offset <= tensor->buffer->bytes &&
            bytes <= place->bytes)
            return ACCEL_OK;
        return rt_fail(error, ACCEL_LIMIT, "output '%s' needs %llu bytes of its buffer",
                       rt_io_name(module, index), (unsigned long long)bytes);
    }
    if (tensor != NULL && tensor->data != NULL && tensor->bytes < bytes)
        return rt_fail(error, ACCEL_LIMIT, "output '%s' needs %llu bytes, not %llu",
                       rt_io_name(module, index), (unsigned long long)bytes,
                       (unsigned long long)tensor->bytes);
    if (tensor != NULL && place_direct(module, place, tensor->data, bytes))
        return ACCEL_OK;
    return place_staging(module, place, bytes, error);
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
static accel_status_t fetch_heap(accel_module_t *module, rt_place_t *place, uint64_t va,
                                 uint64_t bytes, accel_error_t *error) {
    RT_TRY(need_staging(module, place, bytes, error));
    uint64_t to = rt_host_va(module->device, place->staging, bytes);
    status_t status = rt_stream_copy(&module->own, to, va, bytes, true);
    if (status != STATUS_OK)
        return rt_fail_status(error, status, "cannot fetch an output");
    place->host = place->staging;
    return rt_stream_wait(&module->own, module->own.point, UINT64_MAX, error);
}

static accel_status_t fetch(accel_module_t *module, uint32_t index, accel_tensor_t *tensor,
                            accel_error_t *error) {
    rt_place_t *place = &module->places[index];
    accel_tensor_t result = {0};
    uint64_t va;
    RT_TRY(rt_launch_output(module, index, &result, &va, error));
    if (tensor->buffer == NULL && place->va == 0)
        RT_TRY(fetch_heap(module, place, va, result.bytes, error));
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
                           rt_io_name(module, index), (unsigned long long)result.bytes,
                           (unsigned long long)tensor->bytes);
        if (result.bytes != 0)
            memcpy(tensor->data, place->host, result.bytes);
    }
    *tensor = result;
    return ACCEL_OK;
}

static accel_status_t place_all(accel_module_t *module, const accel_tensor_t *const *inputs,
                                accel_tensor_t *const *outputs, accel_error_t *error) {
    const isa_note_t *note = module->program->image.note;
    for (uint32_t i = 0; i < note->n_inputs; i++)
        RT_TRY(place_input(module, i, inputs[i], error));
    for (uint32_t i = 0; i < note->n_outputs; i++)
        RT_TRY(place_output(module, note->n_inputs + i, outputs[i], error));
    return ACCEL_OK;
}

accel_status_t accel_run(accel_module_t *module, const accel_tensor_t *inputs, uint32_t n_inputs,
                         accel_tensor_t *outputs, uint32_t n_outputs, accel_error_t *error) {
    const isa_note_t *note = module->program->image.note;
    accel_tensor_t **by_index = module->outputs_by_index;
    RT_TRY(rt_launch_inputs(module, inputs, n_inputs, module->by_index, error));
    RT_TRY(sort_outputs(module, outputs, n_outputs, by_index, error));
    RT_TRY(place_all(module, module->by_index, by_index, error));
    RT_TRY(rt_launch(module, &module->own, true, error));
    RT_TRY(rt_module_wait(module, error));
    for (uint32_t i = 0; i < note->n_outputs; i++)
        if (by_index[i] != NULL)
            RT_TRY(fetch(module, note->n_inputs + i, by_index[i], error));
    return ACCEL_OK;
}

// --- Launches in a stream ---

static accel_status_t check_placed(const accel_module_t *module,
                                   const accel_tensor_t *const *inputs,
                                   accel_tensor_t *const *outputs, accel_error_t *error) {
    const isa_note_t *note = module->program->image.note;
    for (uint32_t i = 0; i < note->n_inputs + note->n_outputs; i++) {
        const accel_tensor_t *tensor = i < note->n_inputs ? inputs[i] : outputs[i - note->n_inputs];
        const rt_place_t *place = &module->places[i];
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
    accel_tensor_t **by_index = module->outputs_by_index;
    RT_TRY(rt_launch_inputs(module, inputs, n_inputs, module->by_index, error));
    // Only read through: what the program leaves is asked for by accel_module_output.
    RT_TRY(sort_outputs(module, (accel_tensor_t *)(uintptr_t)outputs, n_outputs, by_index, error));
    RT_TRY(place_all(module, module->by_index, by_index, error));
    RT_TRY(check_placed(module, module->by_index, by_index, error));
    return rt_launch(module, stream, false, error);
}

accel_status_t accel_module_output(accel_module_t *module, uint32_t index,
                                   accel_tensor_t *out_tensor) {
    const isa_note_t *note = module->program->image.note;
    accel_tensor_t result = {0};
    uint64_t va;
    if (index >= note->n_outputs)
        return ACCEL_NOT_FOUND;
    RT_TRY(rt_module_wait(module, NULL));
    RT_TRY(rt_launch_output(module, note->n_inputs + index, &result, &va, NULL));
    result.data = module->places[note->n_inputs + index].host;
    *out_tensor = result;
    return ACCEL_OK;
}
