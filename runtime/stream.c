// SPDX-License-Identifier: Apache-2.0
// Streams: every submission takes the next point of the stream's lane.
#include <stdlib.h>

#include "runtime/runtime_internal.h"

status_t rt_stream_init(accel_device_t *device, const accel_stream_options_t *options,
                        accel_stream_t *out_stream) {
    *out_stream = (accel_stream_t){.device = device, .options = *options};
    return rt_lane_create(device, options, &out_stream->lane);
}

static void drop_waits(accel_stream_t *stream) {
    while (stream->n_waits > 0)
        rt_lane_release(stream->device, stream->waits[--stream->n_waits].lane);
}

void rt_stream_deinit(accel_stream_t *stream) {
    drop_waits(stream);
    if (stream->lane != NULL)
        rt_lane_retire(stream->device, stream->lane);
    stream->lane = NULL;
}

// --- Submission ---

status_t rt_stream_ready(accel_stream_t *stream) {
    if (stream->lane != NULL)
        return STATUS_OK;
    stream->point = stream->reached = 0;
    return rt_lane_create(stream->device, &stream->options, &stream->lane);
}

status_t rt_stream_submit(accel_stream_t *stream, accel_req_submit_t *request, uint32_t flags,
                          bool wait) {
    RETURN_IF_ERROR(rt_stream_ready(stream));
    request->n_in = stream->n_waits;
    if (stream->n_waits != 0)
        STORE_RELEASE(&stream->lane->depends, 1u);
    for (uint32_t i = 0; i < stream->n_waits; i++)
        request->in[i] = (accel_sync_point_t){.sync = stream->waits[i].lane->sync,
                                              .value = stream->waits[i].point};
    request->n_out = 1;
    request->out[0] = (accel_sync_point_t){.sync = stream->lane->sync, .value = stream->point + 1};
    RETURN_IF_ERROR(rt_lane_submit(stream->device, stream->lane, stream->point, request, flags,
                                   wait ? &stream->reached : NULL));
    stream->point++;
    drop_waits(stream);
    return STATUS_OK;
}

status_t rt_stream_copy(accel_stream_t *stream, uint64_t to, uint64_t from, uint64_t bytes,
                        bool wait) {
    accel_req_submit_t request = {
        .node = ACCEL_NODE_COPY, .dst = to, .src = from, .bytes = bytes, .rows = 1};
    return bytes != 0 ? rt_stream_submit(stream, &request, 0, wait) : STATUS_OK;
}

// Work that does nothing, for what the stream was told to wait for and nothing followed yet.
static status_t flush_waits(accel_stream_t *stream) {
    uint64_t scratch = stream->device->scratch_va;
    return stream->n_waits != 0 ? rt_stream_copy(stream, scratch + 64, scratch, 8, false)
                                : STATUS_OK;
}

// --- Failure ---

static accel_status_t replace_lane(accel_stream_t *stream, accel_status_t why,
                                   accel_error_t *error) {
    drop_waits(stream);
    rt_instances_collect(stream, true);
    rt_lane_retire(stream->device, stream->lane);
    stream->lane = NULL;
    stream->point = stream->reached = 0;
    status_t status = rt_lane_create(stream->device, &stream->options, &stream->lane);
    if (status == STATUS_DEVICE_LOST)
        return rt_fail_device(stream->device, error, status, "the context was lost with its card");
    return why; // else the next submission tries again
}

accel_status_t rt_stream_failed(accel_stream_t *stream, status_t status, const char *what,
                                accel_error_t *error) {
    if (status != STATUS_CONTEXT_LOST || stream->lane == NULL)
        return rt_fail_device(stream->device, error, status, what);
    return replace_lane(stream, rt_lane_why(stream->device, stream->lane, error), error);
}

accel_status_t rt_stream_wait(accel_stream_t *stream, uint64_t point, uint64_t timeout_ns,
                              accel_error_t *error) {
    accel_error_t own; // whether it was lost shall not depend on the caller's interest
    if (stream->lane == NULL || point <= stream->reached)
        return ACCEL_OK;
    accel_status_t result =
        rt_lane_wait(stream->device, stream->lane, point, timeout_ns, error != NULL ? error : &own);
    if (result == ACCEL_OK)
        return ACCEL_OK;
    rt_lock(stream->device);
    bool is_lost = stream->lane->is_lost;
    rt_unlock(stream->device);
    return is_lost && result != ACCEL_TIMEOUT ? replace_lane(stream, result, error) : result;
}

// --- Copies of the runtime's own ---

// Nothing of the caller's was in the context, and what was copied from is still as it was. Memory
// with an error (ECC) is not: that is told, since more than this copy may lie in it.
static bool may_move_again(accel_lost_t why) {
    return why == ACCEL_LOST_BY_HANG || why == ACCEL_LOST_BY_CARD_ERROR ||
           why == ACCEL_LOST_BY_RESET;
}

static accel_status_t move_once(accel_stream_t *stream, uint64_t to, uint64_t from, uint64_t bytes,
                                accel_error_t *error) {
    status_t status = rt_stream_copy(stream, to, from, bytes, true);
    if (status != STATUS_OK)
        return rt_stream_failed(stream, status, "cannot copy", error);
    return rt_stream_wait(stream, stream->point, UINT64_MAX, error);
}

accel_status_t rt_stream_move(accel_stream_t *stream, uint64_t to, uint64_t from, uint64_t bytes,
                              accel_error_t *error) {
    accel_error_t own;
    accel_error_t *why = error != NULL ? error : &own;
    accel_status_t result = move_once(stream, to, from, bytes, why);
    if (result == ACCEL_CONTEXT_LOST && may_move_again(why->lost))
        result = move_once(stream, to, from, bytes, why);
    return result;
}

// --- The public side ---

accel_status_t rt_stream_check(const accel_stream_options_t *options, accel_error_t *error) {
    bool has_share = options->service_class != ACCEL_SERVICE_BEST_EFFORT;
    if ((unsigned)options->service_class > ACCEL_SERVICE_BURST)
        return rt_fail(error, ACCEL_INVALID, "there is no service class %d",
                       (int)options->service_class);
    if (has_share ? options->share < 1 || options->share > 100 : options->share != 0)
        return rt_fail(error, ACCEL_INVALID,
                       has_share ? "a fixed or burst stream needs a share of 1 to 100 percent"
                                 : "a best-effort stream has no share");
    return ACCEL_OK;
}

static accel_status_t not_created(accel_device_t *device, const accel_stream_options_t *options,
                                  status_t status, accel_error_t *error) {
    if (status == STATUS_LIMIT && options->share != 0)
        return rt_fail(error, ACCEL_LIMIT,
                       "cannot create a stream: a share of %u percent is not left on this card; "
                       "ask for less, or destroy streams that have one",
                       options->share);
    return rt_fail_device(device, error, status, "cannot create a stream");
}

accel_status_t accel_stream_create(accel_device_t *device, const accel_stream_options_t *options,
                                   accel_stream_t **out_stream, accel_error_t *error) {
    static const accel_stream_options_t defaults;
    *out_stream = NULL;
    if (options == NULL)
        options = &defaults;
    RT_TRY(rt_stream_check(options, error));
    accel_stream_t *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    status_t status = rt_stream_init(device, options, stream);
    if (status != STATUS_OK) {
        free(stream);
        return not_created(device, options, status, error);
    }
    *out_stream = stream;
    return ACCEL_OK;
}

void accel_stream_destroy(accel_stream_t *stream) {
    if (stream == NULL)
        return;
    (void)rt_stream_wait(stream, stream->point, UINT64_MAX, NULL);
    rt_instances_collect(stream, true);
    rt_instances_forget(stream);
    rt_stream_deinit(stream);
    rt_lanes_bury(stream->device);
    free(stream);
}

static accel_status_t copy(accel_stream_t *stream, uint64_t to, uint64_t from, size_t bytes,
                           accel_error_t *error) {
    status_t status = rt_stream_copy(stream, to, from, bytes, false);
    return status == STATUS_OK ? ACCEL_OK : rt_stream_failed(stream, status, "cannot copy", error);
}

static bool buffer_va(const accel_stream_t *stream, const accel_buffer_t *buffer, size_t offset,
                      size_t bytes, uint64_t *out_va) {
    *out_va = buffer->range.va + offset;
    return buffer->device == stream->device && offset <= buffer->bytes &&
           bytes <= buffer->bytes - offset;
}

static accel_status_t outside(accel_error_t *error) {
    return rt_fail(error, ACCEL_INVALID,
                   "a copy reaches outside of its buffer or of memory from accel_host_alloc of the "
                   "stream's device");
}

accel_status_t accel_stream_write(accel_stream_t *stream, accel_buffer_t *buffer, size_t offset,
                                  const void *host, size_t bytes, accel_error_t *error) {
    uint64_t to, from = rt_host_va(stream->device, host, bytes);
    if (from == 0 || !buffer_va(stream, buffer, offset, bytes, &to))
        return outside(error);
    return copy(stream, to, from, bytes, error);
}

accel_status_t accel_stream_read(accel_stream_t *stream, void *host, accel_buffer_t *buffer,
                                 size_t offset, size_t bytes, accel_error_t *error) {
    uint64_t from, to = rt_host_va(stream->device, host, bytes);
    if (to == 0 || !buffer_va(stream, buffer, offset, bytes, &from))
        return outside(error);
    return copy(stream, to, from, bytes, error);
}

accel_status_t accel_stream_copy(accel_stream_t *stream, accel_buffer_t *to, size_t to_offset,
                                 accel_buffer_t *from, size_t from_offset, size_t bytes,
                                 accel_error_t *error) {
    uint64_t to_va, from_va;
    if (!buffer_va(stream, to, to_offset, bytes, &to_va) ||
        !buffer_va(stream, from, from_offset, bytes, &from_va))
        return outside(error);
    return copy(stream, to_va, from_va, bytes, error);
}

accel_status_t accel_stream_wait(accel_stream_t *stream, uint64_t timeout_ns,
                                 accel_error_t *error) {
    status_t status = flush_waits(stream);
    if (status != STATUS_OK)
        return rt_stream_failed(stream, status, "cannot wait for an event", error);
    RT_TRY(rt_stream_wait(stream, stream->point, timeout_ns, error));
    rt_instances_collect(stream, false);
    return ACCEL_OK;
}

// --- Events ---

accel_status_t accel_event_record(accel_stream_t *stream, accel_event_t **out_event,
                                  accel_error_t *error) {
    *out_event = NULL;
    status_t status = flush_waits(stream);
    if (status != STATUS_OK)
        return rt_stream_failed(stream, status, "cannot record an event", error);
    accel_event_t *event = calloc(1, sizeof *event);
    if (event == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    *event = (accel_event_t){.device = stream->device, .point = stream->point};
    if (stream->point != 0) {
        event->lane = stream->lane;
        rt_lock(stream->device);
        rt_lane_hold(event->lane);
        rt_unlock(stream->device);
    }
    *out_event = event;
    return ACCEL_OK;
}

void accel_event_destroy(accel_event_t *event) {
    if (event == NULL)
        return;
    if (event->lane != NULL)
        rt_lane_release(event->device, event->lane);
    free(event);
}

accel_status_t accel_event_wait(const accel_event_t *event, uint64_t timeout_ns,
                                accel_error_t *error) {
    if (event->point == 0)
        return ACCEL_OK;
    return rt_lane_wait(event->device, event->lane, event->point, timeout_ns, error);
}

accel_status_t accel_stream_wait_event(accel_stream_t *stream, const accel_event_t *event,
                                       accel_error_t *error) {
    if (event->lane == stream->lane || event->point == 0)
        return ACCEL_OK;
    if (stream->device != event->device)
        return rt_fail(error, ACCEL_INVALID,
                       "the event is of another device: wait for it with accel_event_wait");
    if (stream->n_waits == COUNT_OF(stream->waits)) {
        status_t status = flush_waits(stream);
        if (status != STATUS_OK)
            return rt_stream_failed(stream, status, "cannot wait for an event", error);
    }
    rt_lock(stream->device);
    bool is_lost = event->lane->is_lost;
    if (!is_lost)
        rt_lane_hold(event->lane);
    rt_unlock(stream->device);
    if (is_lost)
        return rt_lane_why(stream->device, event->lane, error);
    stream->waits[stream->n_waits++] = (rt_wait_t){event->lane, event->point};
    return ACCEL_OK;
}
