// SPDX-License-Identifier: Apache-2.0
// A launch: inputs checked, the argument block filled in, the command buffer submitted.
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"
#include "support/checked.h"

static uint32_t n_inputs_of(const accel_module_t *module) {
    return module->program->image.note->n_inputs;
}
static uint32_t n_outputs_of(const accel_module_t *module) {
    return module->program->image.note->n_outputs;
}

accel_status_t rt_find_io(const accel_module_t *module, const accel_tensor_t *tensor,
                          uint32_t position, bool is_output, uint32_t *out_index,
                          accel_error_t *error) {
    const char *kind = is_output ? "output" : "input";
    uint32_t first = is_output ? n_inputs_of(module) : 0;
    uint32_t count = is_output ? n_outputs_of(module) : n_inputs_of(module);
    if (tensor->name == NULL) {
        *out_index = first + position;
        return position < count
                   ? ACCEL_OK
                   : rt_fail(error, ACCEL_NOT_FOUND, "the program has only %u %ss", count, kind);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(rt_io_name(module, first + i), tensor->name) == 0) {
            *out_index = first + i;
            return ACCEL_OK;
        }
    }
    return rt_fail(error, ACCEL_NOT_FOUND, "the program has no %s '%s'", kind, tensor->name);
}

// --- Inputs ---

static accel_status_t check_bytes(const accel_module_t *module, uint32_t index,
                                  const accel_tensor_t *tensor, accel_error_t *error) {
    uint64_t bytes;
    RT_TRY(rt_tensor_bytes(tensor->dtype, tensor->rank, tensor->dims, &bytes));
    if (tensor->buffer != NULL) {
        if (tensor->data == NULL && tensor->buffer->device == module->device &&
            tensor->offset % 64 == 0 && checked_range(tensor->offset, bytes, tensor->buffer->bytes))
            return ACCEL_OK;
        return rt_fail(error, ACCEL_INVALID, "input '%s' does not lie in its buffer",
                       rt_io_name(module, index));
    }
    if (tensor->bytes == bytes && (tensor->data != NULL || bytes == 0))
        return ACCEL_OK;
    return rt_fail(error, ACCEL_INVALID, "input '%s' has %llu bytes; its shape needs %llu",
                   rt_io_name(module, index), (unsigned long long)tensor->bytes,
                   (unsigned long long)bytes);
}

static accel_status_t sort_inputs(const accel_module_t *module, const accel_tensor_t *inputs,
                                  uint32_t n_inputs, const accel_tensor_t **out_by_index,
                                  accel_error_t *error) {
    memset(out_by_index, 0, n_inputs_of(module) * sizeof(*out_by_index));
    for (uint32_t i = 0; i < n_inputs; i++) {
        uint32_t index;
        RT_TRY(rt_find_io(module, &inputs[i], i, false, &index, error));
        if (out_by_index[index] != NULL)
            return rt_fail(error, ACCEL_INVALID, "input '%s' is given twice",
                           rt_io_name(module, index));
        out_by_index[index] = &inputs[i];
    }
    for (uint32_t i = 0; i < n_inputs_of(module); i++)
        if (out_by_index[i] == NULL)
            return rt_fail(error, ACCEL_INVALID, "input '%s' is missing", rt_io_name(module, i));
    return ACCEL_OK;
}

static void set_output_args(const accel_module_t *module, rt_launch_t *launch) {
    for (uint32_t i = 0; i < n_outputs_of(module); i++) {
        isa_args_io_t *io = &launch->args->io[n_inputs_of(module) + i];
        int64_t dims[ISA_MAX_RANK];
        *io = (isa_args_io_t){0};
        if (rt_shape_output(module, n_inputs_of(module) + i, launch->symbols, dims))
            for (uint32_t d = 0; d < rt_io(module, n_inputs_of(module) + i)->rank; d++)
                io->dims[d] = (uint64_t)dims[d];
    }
}

accel_status_t rt_launch_inputs(rt_instance_t *instance, rt_launch_t *launch,
                                const accel_tensor_t *inputs, uint32_t n_inputs,
                                accel_error_t *error) {
    const accel_module_t *module = instance->module;
    const accel_tensor_t **by_index = instance->by_index;
    int64_t *symbols = launch->symbols;
    RT_TRY(sort_inputs(module, inputs, n_inputs, by_index, error));
    for (uint32_t i = 0; i < module->program->image.note->n_symbols; i++)
        symbols[i] = -1;
    for (uint32_t i = 0; i < n_inputs_of(module); i++) {
        RT_TRY(rt_shape_input(module, i, by_index[i], symbols, error));
        RT_TRY(check_bytes(module, i, by_index[i], error));
    }
    RT_TRY(rt_shape_symbols(module, symbols, error));
    for (uint32_t i = 0; i < n_inputs_of(module); i++) {
        launch->args->io[i] = (isa_args_io_t){0};
        for (uint32_t d = 0; d < by_index[i]->rank; d++)
            launch->args->io[i].dims[d] = (uint64_t)by_index[i]->dims[d];
    }
    set_output_args(module, launch);
    return ACCEL_OK;
}

// --- Launch ---

// Known before the submission, for whoever finds it suspended.
static uint32_t publish(rt_instance_t *instance, rt_launch_t *launch, accel_stream_t *stream,
                        bool may_grow) {
    accel_device_t *device = stream->device;
    rt_lane_t *before = NULL;
    rt_lock(device);
    if (instance->lane != NULL && instance->lane != stream->lane)
        rt_lane_settle(device, instance->lane); // the heap is the new one's from now on
    uint32_t number = ++device->launches;
    launch->number = number;
    launch->heap_refused = 0;
    launch->tenant = instance->tenant;
    if (instance->lane != stream->lane) {
        before = instance->lane;
        instance->lane = stream->lane;
        rt_lane_hold(stream->lane);
        for (uint32_t i = 0; i < RT_QUEUED; i++)
            instance->launches[i].point = 0; // that was another lane's
    }
    launch->point = stream->point + 1;
    stream->lane->grows = stream->lane->grows || may_grow;
    instance->last = launch;
    instance->module->last = instance;
    rt_unlock(device);
    if (before != NULL)
        rt_lane_release(device, before);
    return number;
}

// It never began. Its point will be another's.
static void withdraw(rt_instance_t *instance, rt_launch_t *launch, rt_launch_t *last) {
    rt_lock(instance->module->device);
    launch->point = 0;
    instance->last = last;
    rt_unlock(instance->module->device);
    launch->is_collected = true;
}

static void set_args(const rt_instance_t *instance, rt_launch_t *launch) {
    const isa_note_t *note = instance->module->program->image.note;
    for (uint32_t i = 0; i < note->n_inputs + note->n_outputs; i++) {
        launch->args->io[i].va = launch->places[i].va;
        launch->args->io[i].bytes = launch->places[i].bytes;
    }
    launch->args->heap_bytes = instance->heap_bytes;
}

accel_status_t rt_launch_submit(rt_instance_t *instance, rt_launch_t *launch,
                                accel_stream_t *stream, bool wait, accel_error_t *error) {
    const isa_note_t *note = instance->module->program->image.note;
    rt_launch_t *last = instance->last;
    set_args(instance, launch);
    status_t status = rt_stream_ready(stream);
    if (status != STATUS_OK)
        return rt_fail_device(stream->device, error, status, "cannot set a lost context up again");
    if (instance->lane != stream->lane)
        rt_instance_collect(instance);
    bool may_grow = (note->flags & ISA_IMAGE_MAY_GROW) != 0;
    accel_req_submit_t request = {.node = ACCEL_NODE_COMPUTE,
                                  .ib = launch->control_va,
                                  .bytes = launch->ib_bytes,
                                  .timeout_ns = stream->options.timeout_ns};
    rt_control_reset(instance, launch, publish(instance, launch, stream, may_grow));
    launch->is_collected = false;
    status = rt_stream_submit(stream, &request, may_grow ? ACCEL_SUBMIT_MAY_SUSPEND : 0, wait);
    if (status == STATUS_OK)
        return ACCEL_OK;
    withdraw(instance, launch, last);
    // CONTEXT_LOST: by a fault that nobody waited for yet.
    return rt_stream_failed(stream, status, "cannot launch the program", error);
}

// --- Outputs ---

// What the program wrote is no more to be trusted than the program.
accel_status_t rt_launch_output(const rt_instance_t *instance, const rt_launch_t *launch,
                                uint32_t index, accel_tensor_t *out_tensor, uint64_t *out_va,
                                accel_error_t *error) {
    const accel_module_t *module = instance->module;
    const isa_io_t *io = rt_io(module, index);
    const isa_args_io_t *args = &launch->args->io[index];
    const rt_place_t *place = &launch->places[index];
    uint64_t bytes;
    out_tensor->name = rt_io_name(module, index);
    out_tensor->dtype = (accel_dtype_t)io->dtype;
    out_tensor->rank = io->rank;
    for (uint32_t i = 0; i < io->rank; i++)
        out_tensor->dims[i] = args->dims[i] <= INT64_MAX ? (int64_t)args->dims[i] : INT64_MAX;
    bool fits = rt_tensor_bytes(out_tensor->dtype, io->rank, out_tensor->dims, &bytes) == ACCEL_OK;
    *out_va = place->va;
    if (place->va != 0)
        fits = fits && bytes <= place->bytes;
    else if (fits && bytes != 0) {
        fits = args->va >= instance->heap_va &&
               checked_range(args->va - instance->heap_va, bytes, instance->heap_bytes);
        *out_va = args->va;
    }
    if (!fits)
        return rt_fail(error, ACCEL_INTERNAL, "the program left output '%s' in an impossible place",
                       rt_io_name(module, index));
    out_tensor->bytes = (size_t)bytes;
    return ACCEL_OK;
}
