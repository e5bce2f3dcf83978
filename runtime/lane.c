// SPDX-License-Identifier: Apache-2.0
// Lanes: contexts with their timelines, waiting for them, and launches that wait for memory.
#include <stdlib.h>

#include "runtime/runtime_internal.h"

#define RETRY_NS 1000000u
// A wait that may depend on launches elsewhere looks after them so often.
#define LOOK_NS 1000000u

// --- Life ---

static status_t create_handles(accel_device_t *device, const accel_stream_options_t *options,
                               rt_lane_t *lane) {
    accel_req_ctx_create_t ctx = {.vm = device->vm,
                                  .service_class = (uint32_t)options->service_class,
                                  .share = options->share};
    accel_req_sync_t sync = {0};
    RETURN_IF_ERROR(rt_request(device, &sync, sizeof sync, ACCEL_REQ_SYNC_CREATE));
    lane->sync = sync.handle;
    RETURN_IF_ERROR(rt_request(device, &ctx, sizeof ctx, ACCEL_REQ_CTX_CREATE));
    lane->ctx = ctx.handle;
    return STATUS_OK;
}

status_t rt_lane_create(accel_device_t *device, const accel_stream_options_t *options,
                        rt_lane_t **out_lane) {
    rt_lanes_bury(device);
    rt_lane_t *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return STATUS_NO_MEMORY;
    status_t status = create_handles(device, options, lane);
    if (status != STATUS_OK) {
        (void)rt_destroy(device, ACCEL_REQ_SYNC_DESTROY, lane->sync);
        free(lane);
        return status;
    }
    lane->users = 1;
    rt_lock(device);
    list_push_back(&device->lanes, &lane->link);
    rt_unlock(device);
    *out_lane = lane;
    return STATUS_OK;
}

void rt_lane_hold(rt_lane_t *lane) { lane->users++; }

bool rt_lane_drop(rt_lane_t *lane) {
    lane->users--;
    if (lane->users == 0)
        list_remove(&lane->link);
    return lane->users == 0;
}

// BUSY: a submission of another lane names the timeline. It is tried again later; what is left
// then goes with the client.
void rt_lane_free(accel_device_t *device, rt_lane_t *lane) {
    if (rt_destroy(device, ACCEL_REQ_SYNC_DESTROY, lane->sync) == STATUS_BUSY) {
        rt_lock(device);
        list_push_back(&device->dead, &lane->link);
        rt_unlock(device);
    } else
        free(lane);
}

void rt_lane_release(accel_device_t *device, rt_lane_t *lane) {
    rt_lock(device);
    bool last = rt_lane_drop(lane);
    rt_unlock(device);
    if (last)
        rt_lane_free(device, lane);
}

void rt_lane_settle(accel_device_t *device, const rt_lane_t *lane) {
    while (lane->is_answered)
        rt_sleep(device);
}

// The number of the context may be another's next: nobody may be about to name it.
void rt_lane_retire(accel_device_t *device, rt_lane_t *lane) {
    rt_lock(device);
    uint32_t ctx = LOAD_ACQUIRE(&lane->ctx);
    STORE_RELEASE(&lane->ctx, 0u);
    rt_lane_settle(device, lane);
    rt_unlock(device);
    (void)rt_destroy(device, ACCEL_REQ_CTX_DESTROY, ctx);
    rt_lane_release(device, lane);
}

void rt_lanes_bury(accel_device_t *device) {
    list_node_t dead;
    rt_lock(device);
    if (list_is_empty(&device->dead)) {
        rt_unlock(device);
        return;
    }
    dead = device->dead;
    dead.next->prev = dead.prev->next = &dead;
    list_init(&device->dead);
    rt_unlock(device);
    while (!list_is_empty(&dead))
        rt_lane_free(device, LIST_OWNER(list_pop_front(&dead), rt_lane_t, link));
}

// --- Requests ---

static status_t wait_point(accel_device_t *device, const rt_lane_t *lane, uint64_t point,
                           uint64_t timeout_ns) {
    accel_req_sync_t request = {.handle = lane->sync, .value = point, .timeout_ns = timeout_ns};
    return rt_request(device, &request, sizeof request, ACCEL_REQ_SYNC_WAIT);
}

// Submission and, with `reached`, wait in one go. What the wait says is asked for again by whoever
// wants to know, unless the point is reached. The status is the submission's.
static status_t submit_once(accel_device_t *device, rt_lane_t *lane, accel_req_submit_t *request,
                            uint32_t flags, uint64_t *reached) {
    uint64_t point = request->out[0].value;
    accel_req_sync_t after = {.handle = lane->sync, .value = point, .timeout_ns = UINT64_MAX};
    accel_req_t *requests[] = {
        rt_head(request, sizeof *request, ACCEL_REQ_SUBMIT, flags),
        rt_head(&after, sizeof after, ACCEL_REQ_SYNC_WAIT, 0),
    };
    uint32_t done;
    request->ctx = LOAD_ACQUIRE(&lane->ctx);
    // Others that it depends on may need looking after.
    bool wait = reached != NULL && LOAD_ACQUIRE(&lane->depends) == 0;
    status_t status = rt_batch(device, requests, wait ? 2 : 1, &done);
    if (done == 2)
        *reached = point;
    return done >= 1 ? STATUS_OK : status;
}

// --- Suspended launches ---

// A launch under way, and where.
typedef struct under_way {
    rt_instance_t *instance; // NULL: none
    rt_launch_t *launch;
} under_way_t;

// Under the client's lock: the instance's first launch behind `value`, if that is before `found`.
static void find_first(rt_instance_t *instance, uint64_t value, under_way_t *found) {
    for (uint32_t i = 0; i < RT_QUEUED; i++) {
        rt_launch_t *launch = &instance->launches[i];
        if (launch->point > value &&
            (found->instance == NULL || launch->point < found->launch->point))
            *found = (under_way_t){instance, launch};
    }
}

// The launch that a suspended lane waits in: the first that is not done. Its instance does not go,
// nor let another lane have its heap, while this one `is_answered`.
static status_t suspended_in(accel_device_t *device, const rt_lane_t *lane,
                             under_way_t *out_found) {
    accel_req_sync_t now = {.handle = lane->sync};
    *out_found = (under_way_t){0};
    RETURN_IF_ERROR(rt_request(device, &now, sizeof now, ACCEL_REQ_SYNC_QUERY));
    rt_lock(device);
    for (list_node_t *m = device->modules.next; m != &device->modules; m = m->next) {
        accel_module_t *module = LIST_OWNER(m, accel_module_t, link);
        for (list_node_t *n = module->instances.next; n != &module->instances; n = n->next) {
            rt_instance_t *instance = LIST_OWNER(n, rt_instance_t, link);
            if (instance->lane == lane)
                find_first(instance, now.value, out_found);
        }
    }
    rt_unlock(device);
    return STATUS_OK;
}

static status_t answer(accel_device_t *device, rt_lane_t *lane) {
    accel_req_ctx_query_t query = {.handle = LOAD_ACQUIRE(&lane->ctx)};
    RETURN_IF_ERROR(rt_request(device, &query, sizeof query, ACCEL_REQ_CTX_QUERY));
    if (query.state != ACCEL_CTX_SUSPENDED)
        return STATUS_OK;
    under_way_t at;
    // What ends the launch meanwhile (a lost card, another thread's answer) is told here, or to
    // whoever waits.
    RETURN_IF_ERROR(suspended_in(device, lane, &at));
    if (at.instance == NULL)
        return STATUS_OK;
    uint64_t result;
    uint32_t bytes;
    RETURN_IF_ERROR(rt_heap_answer(at.instance, at.launch, query.heap_need, &result));
    accel_req_submit_t request = {.node = ACCEL_NODE_COMPUTE, .n_out = 1};
    request.ib = rt_control_resume(at.launch, result, &bytes);
    request.bytes = bytes;
    request.out[0] = (accel_sync_point_t){.sync = lane->sync, .value = at.launch->point};
    return rt_lane_submit(device, lane, at.launch->point - 1, &request, ACCEL_SUBMIT_RESUME, NULL);
}

// Gives the lane's suspended launch memory; if another thread is doing so, that is as good.
static status_t go_on(accel_device_t *device, rt_lane_t *lane) {
    rt_lock(device);
    bool mine = !lane->is_answered && LOAD_ACQUIRE(&lane->ctx) != 0;
    if (mine)
        lane->is_answered = true;
    rt_unlock(device);
    if (!mine) {
        CPU_PAUSE();
        return STATUS_OK;
    }
    status_t status = answer(device, lane);
    rt_lock(device);
    lane->is_answered = false;
    rt_wake(device);
    rt_unlock(device);
    // Whoever waits for the lane itself hears of its end.
    return status == STATUS_CONTEXT_LOST || status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

// One that another thread looked at in a later round will do: both come to an end.
static rt_lane_t *next_growing(accel_device_t *device, uint64_t round) {
    rt_lane_t *found = NULL;
    rt_lock(device);
    for (list_node_t *node = device->lanes.next; node != &device->lanes; node = node->next) {
        rt_lane_t *lane = LIST_OWNER(node, rt_lane_t, link);
        if (lane->seen < round && lane->grows && LOAD_ACQUIRE(&lane->ctx) != 0) {
            lane->seen = round;
            rt_lane_hold(lane);
            found = lane;
            break;
        }
    }
    rt_unlock(device);
    return found;
}

// Nobody may be waiting for a lane that another one depends on.
static void look_after_all(accel_device_t *device) {
    rt_lock(device);
    uint64_t round = ++device->round;
    rt_unlock(device);
    rt_lane_t *lane;
    while ((lane = next_growing(device, round)) != NULL) {
        (void)go_on(device, lane);
        rt_lane_release(device, lane);
    }
}

// --- Submission ---

// Until some work of the client's may have ended. What holds all of it up may be a launch that
// waits for memory in a lane that nobody waits for. Going on with one is itself a submission, but
// needs no place among the client's: it does not look after others meanwhile.
static status_t wait_for_room(accel_device_t *device, rt_lane_t *lane, uint64_t point,
                              uint32_t flags) {
    status_t status = wait_point(device, lane, point, RETRY_NS);
    if (status == STATUS_SUSPENDED)
        return go_on(device, lane);
    if (status != STATUS_OK && status != STATUS_TIMEOUT)
        return status;
    if ((flags & ACCEL_SUBMIT_RESUME) == 0)
        look_after_all(device);
    return STATUS_OK;
}

status_t rt_lane_submit(accel_device_t *device, rt_lane_t *lane, uint64_t point,
                        accel_req_submit_t *request, uint32_t flags, uint64_t *reached) {
    uint64_t until = point;
    for (;;) {
        status_t status = submit_once(device, lane, request, flags, reached);
        if (status != STATUS_BUSY)
            return status;
        RETURN_IF_ERROR(wait_for_room(device, lane, until, flags));
        until = point + 1; // by others' work, if its own has ended: the time passes
    }
}

// --- The end ---

// Told once, kept for all who ask: the context is about to be replaced.
accel_status_t rt_lane_why(accel_device_t *device, rt_lane_t *lane, accel_error_t *error) {
    accel_error_t why = {0};
    rt_lock(device);
    bool known = lane->is_lost;
    accel_req_ctx_query_t query = {.handle = LOAD_ACQUIRE(&lane->ctx)};
    rt_unlock(device);
    if (!known) {
        status_t status = rt_request(device, &query, sizeof query, ACCEL_REQ_CTX_QUERY);
        if (status == STATUS_OK)
            why.status = rt_explain(device, lane, &query, &why);
        else
            why.status = rt_fail_device(device, &why, status, "the context was lost");
    }
    rt_lock(device);
    if (!lane->is_lost) {
        lane->error = why;
        lane->is_lost = true;
    }
    accel_status_t result = lane->error.status;
    if (error != NULL)
        *error = lane->error;
    rt_unlock(device);
    return result;
}

static uint64_t now_ns(const accel_device_t *device) {
    return device->client.ops->now_ns(device->client.self);
}

accel_status_t rt_lane_wait(accel_device_t *device, rt_lane_t *lane, uint64_t point,
                            uint64_t timeout_ns, accel_error_t *error) {
    bool depends = LOAD_ACQUIRE(&lane->depends) != 0, is_first = true;
    uint64_t start = timeout_ns != UINT64_MAX ? now_ns(device) : 0;
    for (;;) {
        uint64_t past = timeout_ns != UINT64_MAX && !is_first ? now_ns(device) - start : 0;
        uint64_t left = timeout_ns == UINT64_MAX ? UINT64_MAX
                        : past < timeout_ns      ? timeout_ns - past
                                                 : 0;
        is_first = false;
        uint64_t turn = depends && left > LOOK_NS ? LOOK_NS : left;
        status_t status = wait_point(device, lane, point, turn);
        if (status == STATUS_OK)
            return ACCEL_OK;
        if (status == STATUS_SUSPENDED)
            status = go_on(device, lane);
        else if (status == STATUS_TIMEOUT && turn < left) {
            look_after_all(device);
            status = STATUS_OK;
        }
        if (status == STATUS_CONTEXT_LOST)
            return rt_lane_why(device, lane, error);
        if (status == STATUS_TIMEOUT)
            return rt_fail(error, ACCEL_TIMEOUT, "not done in time; wait again");
        if (status != STATUS_OK)
            return rt_fail_device(device, error, status, "waiting for the card");
    }
}
