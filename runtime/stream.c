// SPDX-License-Identifier: Apache-2.0
// Streams: a context and a timeline; every submission takes the next point.
#include <stdlib.h>

#include "runtime/runtime_internal.h"

#define RETRY_NS 1000000u

status_t rt_stream_init(accel_device_t *device, accel_stream_t *out_stream) {
    accel_req_ctx_create_t ctx = {.vm = device->vm};
    accel_req_sync_t sync = {0};
    RETURN_IF_ERROR(rt_request(device, &sync, sizeof sync, ACCEL_REQ_SYNC_CREATE));
    status_t status = rt_request(device, &ctx, sizeof ctx, ACCEL_REQ_CTX_CREATE);
    if (status != STATUS_OK) {
        (void)rt_destroy(device, ACCEL_REQ_SYNC_DESTROY, sync.handle);
        return status;
    }
    uint64_t generation = out_stream->generation + 1;
    *out_stream = (accel_stream_t){
        .device = device, .ctx = ctx.handle, .sync = sync.handle, .generation = generation};
    return STATUS_OK;
}

void rt_stream_deinit(accel_stream_t *stream) {
    (void)rt_destroy(stream->device, ACCEL_REQ_CTX_DESTROY, stream->ctx);
    (void)rt_destroy(stream->device, ACCEL_REQ_SYNC_DESTROY, stream->sync);
    stream->ctx = stream->sync = 0;
}

// --- Submission ---

static status_t wait_point(accel_stream_t *stream, uint64_t point, uint64_t timeout_ns) {
    accel_req_sync_t request = {.handle = stream->sync, .value = point, .timeout_ns = timeout_ns};
    return rt_request(stream->device, &request, sizeof request, ACCEL_REQ_SYNC_WAIT);
}

// Submission and wait in one go. What the wait says is asked for again by whoever wants to know,
// unless the point is reached. The status is the submission's.
static status_t submit_once(accel_stream_t *stream, accel_req_submit_t *request, uint32_t flags,
                            bool wait) {
    uint64_t point = request->out[0].value;
    accel_req_sync_t after = {.handle = stream->sync, .value = point, .timeout_ns = UINT64_MAX};
    accel_req_t *requests[] = {
        rt_head(request, sizeof *request, ACCEL_REQ_SUBMIT, flags),
        rt_head(&after, sizeof after, ACCEL_REQ_SYNC_WAIT, 0),
    };
    uint32_t done;
    status_t status = rt_batch(stream->device, requests, wait ? 2 : 1, &done);
    if (done == 2)
        stream->reached = point;
    return done >= 1 ? STATUS_OK : status;
}

static status_t submit(accel_stream_t *stream, accel_req_submit_t *request, uint32_t flags,
                       bool wait) {
    for (;;) {
        status_t status = submit_once(stream, request, flags, wait);
        if (status != STATUS_BUSY)
            return status;
        status = wait_point(stream, stream->point, RETRY_NS); // for some work to end
        if (status != STATUS_OK && status != STATUS_TIMEOUT)
            return status;
    }
}

status_t rt_stream_submit(accel_stream_t *stream, accel_req_submit_t *request, uint32_t flags,
                          bool wait) {
    request->ctx = stream->ctx;
    request->n_in = stream->n_waits;
    for (uint32_t i = 0; i < stream->n_waits; i++)
        request->in[i] = stream->waits[i];
    request->n_out = 1;
    request->out[0] = (accel_sync_point_t){.sync = stream->sync, .value = stream->point + 1};
    RETURN_IF_ERROR(submit(stream, request, flags, wait));
    stream->point++;
    stream->n_waits = 0;
    return STATUS_OK;
}

status_t rt_stream_copy(accel_stream_t *stream, uint64_t to, uint64_t from, uint64_t bytes,
                        bool wait) {
    accel_req_submit_t request = {
        .node = ACCEL_NODE_COPY, .dst = to, .src = from, .bytes = bytes, .rows = 1};
    return bytes != 0 ? rt_stream_submit(stream, &request, 0, wait) : STATUS_OK;
}

// --- Waiting ---

// The launch that a suspended stream waits in: the first of its modules' that is not done.
static accel_module_t *suspended_module(accel_stream_t *stream) {
    accel_device_t *device = stream->device;
    accel_req_sync_t now = {.handle = stream->sync};
    if (rt_request(device, &now, sizeof now, ACCEL_REQ_SYNC_QUERY) != STATUS_OK)
        return NULL;
    accel_module_t *found = NULL;
    device->client.ops->lock(device->client.self);
    for (list_node_t *node = device->modules.next; node != &device->modules; node = node->next) {
        accel_module_t *module = LIST_OWNER(node, accel_module_t, link);
        if (module->stream == stream && module->generation == stream->generation &&
            module->point > now.value && (found == NULL || module->point < found->point))
            found = module;
    }
    device->client.ops->unlock(device->client.self);
    return found;
}

static status_t go_on(accel_stream_t *stream) {
    accel_device_t *device = stream->device;
    accel_req_ctx_query_t query = {.handle = stream->ctx};
    RETURN_IF_ERROR(rt_request(device, &query, sizeof query, ACCEL_REQ_CTX_QUERY));
    if (query.state != ACCEL_CTX_SUSPENDED)
        return STATUS_OK;
    accel_module_t *module = suspended_module(stream);
    if (module == NULL)
        return STATUS_INTERNAL;
    uint64_t result;
    uint32_t bytes;
    RETURN_IF_ERROR(rt_heap_answer(module, query.heap_need, &result));
    accel_req_submit_t request = {.ctx = stream->ctx, .node = ACCEL_NODE_COMPUTE, .n_out = 1};
    request.ib = rt_control_resume(module, result, &bytes);
    request.bytes = bytes;
    request.out[0] = (accel_sync_point_t){.sync = stream->sync, .value = module->point};
    return submit(stream, &request, ACCEL_SUBMIT_RESUME, false);
}

// Tells of the fault and makes the stream usable again.
static accel_status_t recover(accel_stream_t *stream, accel_error_t *error) {
    accel_req_ctx_query_t query = {.handle = stream->ctx};
    status_t status = rt_request(stream->device, &query, sizeof query, ACCEL_REQ_CTX_QUERY);
    if (status != STATUS_OK)
        return rt_fail_device(stream->device, error, status, "the context was lost");
    accel_status_t result =
        rt_explain(stream->device, (const isa_fault_record_t *)(const void *)query.fault, error);
    rt_stream_deinit(stream);
    status = rt_stream_init(stream->device, stream);
    return status == STATUS_OK
               ? result
               : rt_fail_status(error, status, "cannot set a lost context up again");
}

accel_status_t rt_stream_wait(accel_stream_t *stream, uint64_t point, uint64_t timeout_ns,
                              accel_error_t *error) {
    if (point <= stream->reached)
        return ACCEL_OK;
    for (;;) {
        status_t status = wait_point(stream, point, timeout_ns);
        if (status == STATUS_SUSPENDED)
            status = go_on(stream);
        else if (status == STATUS_OK)
            return ACCEL_OK;
        if (status == STATUS_CONTEXT_LOST)
            return recover(stream, error);
        if (status == STATUS_TIMEOUT)
            return rt_fail(error, ACCEL_TIMEOUT, "not done in time");
        if (status != STATUS_OK)
            return rt_fail_device(stream->device, error, status, "waiting for the card");
    }
}

// --- The public side ---

accel_status_t accel_stream_create(accel_device_t *device, accel_stream_t **out_stream,
                                   accel_error_t *error) {
    *out_stream = NULL;
    accel_stream_t *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    status_t status = rt_stream_init(device, stream);
    if (status != STATUS_OK) {
        free(stream);
        return rt_fail_device(device, error, status, "cannot create a stream");
    }
    *out_stream = stream;
    return ACCEL_OK;
}

// A module that was launched on it must not look for it later.
static void forget_stream(accel_stream_t *stream) {
    accel_device_t *device = stream->device;
    device->client.ops->lock(device->client.self);
    for (list_node_t *node = device->modules.next; node != &device->modules; node = node->next) {
        accel_module_t *module = LIST_OWNER(node, accel_module_t, link);
        if (module->stream == stream)
            module->stream = NULL;
    }
    device->client.ops->unlock(device->client.self);
}

void accel_stream_destroy(accel_stream_t *stream) {
    if (stream == NULL)
        return;
    (void)rt_stream_wait(stream, stream->point, UINT64_MAX, NULL);
    forget_stream(stream);
    rt_stream_deinit(stream);
    free(stream);
}

static accel_status_t copy(accel_stream_t *stream, uint64_t to, uint64_t from, size_t bytes,
                           accel_error_t *error) {
    status_t status = rt_stream_copy(stream, to, from, bytes, false);
    return status == STATUS_OK ? ACCEL_OK
                               : rt_fail_device(stream->device, error, status, "cannot copy");
}

static bool buffer_va(const accel_buffer_t *buffer, size_t offset, size_t bytes, uint64_t *out_va) {
    *out_va = buffer->range.va + offset;
    return offset <= buffer->bytes && bytes <= buffer->bytes - offset;
}

static accel_status_t outside(accel_error_t *error) {
    return rt_fail(error, ACCEL_INVALID,
                   "a copy reaches outside of its buffer or of memory from accel_host_alloc");
}

accel_status_t accel_stream_write(accel_stream_t *stream, accel_buffer_t *buffer, size_t offset,
                                  const void *host, size_t bytes, accel_error_t *error) {
    uint64_t to, from = rt_host_va(stream->device, host, bytes);
    if (from == 0 || !buffer_va(buffer, offset, bytes, &to))
        return outside(error);
    return copy(stream, to, from, bytes, error);
}

accel_status_t accel_stream_read(accel_stream_t *stream, void *host, accel_buffer_t *buffer,
                                 size_t offset, size_t bytes, accel_error_t *error) {
    uint64_t from, to = rt_host_va(stream->device, host, bytes);
    if (to == 0 || !buffer_va(buffer, offset, bytes, &from))
        return outside(error);
    return copy(stream, to, from, bytes, error);
}

accel_status_t accel_stream_copy(accel_stream_t *stream, accel_buffer_t *to, size_t to_offset,
                                 accel_buffer_t *from, size_t from_offset, size_t bytes,
                                 accel_error_t *error) {
    uint64_t to_va, from_va;
    if (!buffer_va(to, to_offset, bytes, &to_va) || !buffer_va(from, from_offset, bytes, &from_va))
        return outside(error);
    return copy(stream, to_va, from_va, bytes, error);
}

accel_status_t accel_stream_wait(accel_stream_t *stream, uint64_t timeout_ns,
                                 accel_error_t *error) {
    return rt_stream_wait(stream, stream->point, timeout_ns, error);
}

// --- Events ---

accel_status_t accel_event_record(accel_stream_t *stream, accel_event_t **out_event,
                                  accel_error_t *error) {
    *out_event = calloc(1, sizeof **out_event);
    if (*out_event == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    **out_event = (accel_event_t){stream, stream->point, stream->generation};
    return ACCEL_OK;
}

void accel_event_destroy(accel_event_t *event) { free(event); }

static accel_status_t lost_event(accel_error_t *error) {
    return rt_fail(error, ACCEL_CONTEXT_LOST, "the event's stream was lost since");
}

accel_status_t accel_event_wait(accel_event_t *event, uint64_t timeout_ns, accel_error_t *error) {
    if (event->generation != event->stream->generation)
        return lost_event(error);
    return rt_stream_wait(event->stream, event->point, timeout_ns, error);
}

accel_status_t accel_stream_wait_event(accel_stream_t *stream, const accel_event_t *event,
                                       accel_error_t *error) {
    if (event->generation != event->stream->generation)
        return lost_event(error);
    if (event->stream == stream || event->point == 0)
        return ACCEL_OK;
    if (stream->n_waits == ACCEL_SUBMIT_MAX_SYNCS)
        return rt_stream_wait(event->stream, event->point, UINT64_MAX, error);
    stream->waits[stream->n_waits++] =
        (accel_sync_point_t){.sync = event->stream->sync, .value = event->point};
    return ACCEL_OK;
}
