// SPDX-License-Identifier: Apache-2.0
// Instances: the places that a module can run in at the same time, one a stream, made on demand.
#include <stdlib.h>

#include "runtime/runtime_internal.h"

#define MIN_STACK_BYTES UINT64_C(16384)

static uint64_t page_up(uint64_t bytes) {
    return (bytes + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
}

// --- Memory ---

// Below each stack an unmapped page, above it nothing of this program's.
static status_t make_stacks(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    uint64_t bytes = instance->module->program->image.note->stack_bytes;
    uint32_t cores = device->info.cores;
    bytes = bytes == 0 ? ISA_STACK_BYTES : bytes < MIN_STACK_BYTES ? MIN_STACK_BYTES : bytes;
    instance->stack_bytes = page_up(bytes) + ISA_PAGE_BYTES; // and the thread area
    instance->stack_stride = instance->stack_bytes + ISA_PAGE_BYTES;
    RETURN_IF_ERROR(rt_bo_create(device, cores * instance->stack_bytes, &instance->stack_bo));
    RETURN_IF_ERROR(rt_va_take(device, ISA_VA_STACK, ISA_VA_ARGS, cores * instance->stack_stride, 0,
                               &instance->stack_va));
    for (uint32_t i = 0; i < cores; i++) {
        RETURN_IF_ERROR(rt_bind(device, instance->stack_bo, i * instance->stack_bytes,
                                instance->stack_va + i * instance->stack_stride,
                                instance->stack_bytes, ACCEL_PROT_WRITE));
        instance->n_stacks = i + 1;
    }
    return STATUS_OK;
}

static status_t make_heap(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    const isa_note_t *note = instance->module->program->image.note;
    uint64_t memory = device->info.memory_bytes;
    instance->heap_reserved = (note->flags & ISA_IMAGE_MAY_GROW) != 0 ? memory : note->heap_min;
    if (instance->heap_reserved < note->heap_min)
        instance->heap_reserved = note->heap_min;
    instance->heap_reserved = page_up(instance->heap_reserved);
    RETURN_IF_ERROR(rt_va_take(device, ISA_VA_HEAP, ISA_VA_HEAP_END,
                               instance->heap_reserved + ISA_PAGE_LARGE, 0, &instance->heap_va));
    return rt_heap_commit(instance, note->heap_min);
}

static void free_stacks(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    for (uint32_t i = 0; i < instance->n_stacks; i++)
        (void)rt_unbind(device, instance->stack_va + i * instance->stack_stride);
    if (instance->stack_va != 0)
        rt_va_give(device, instance->stack_va);
    (void)rt_destroy(device, ACCEL_REQ_BO_DESTROY, instance->stack_bo);
}

// --- Launches ---

static uint32_t n_io_of(const accel_module_t *module) {
    const isa_note_t *note = module->program->image.note;
    return note->n_inputs + note->n_outputs;
}

static accel_status_t make_launch(const rt_instance_t *instance, rt_launch_t *launch,
                                  accel_error_t *error) {
    const accel_module_t *module = instance->module;
    if (launch->places == NULL)
        launch->places = calloc((size_t)n_io_of(module) + 1, sizeof *launch->places);
    if (launch->symbols == NULL)
        launch->symbols =
            calloc((size_t)module->program->image.note->n_symbols + 1, sizeof *launch->symbols);
    if (launch->places == NULL || launch->symbols == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    return launch->control != NULL ? ACCEL_OK : rt_control_create(instance, launch, error);
}

static void free_launch(const accel_module_t *module, rt_launch_t *launch) {
    for (uint32_t i = 0; launch->places != NULL && i < n_io_of(module); i++)
        accel_host_free(module->device, launch->places[i].staging);
    accel_host_free(module->device, launch->control);
    free(launch->places);
    free(launch->symbols);
}

// --- Life ---

static void destroy(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    rt_stream_deinit(&instance->own);
    for (uint32_t i = 0; i < RT_QUEUED; i++)
        free_launch(instance->module, &instance->launches[i]);
    rt_range_free(device, &instance->sync_page);
    rt_heap_free(instance);
    free_stacks(instance);
    rt_image_unbind(instance);
    free(instance->by_index);
    free(instance->outputs_by_index);
    free(instance);
}

static rt_instance_t *instance_new(accel_module_t *module) {
    size_t n_io = n_io_of(module);
    rt_instance_t *instance = calloc(1, sizeof *instance);
    if (instance == NULL)
        return NULL;
    list_init(&instance->link);
    instance->module = module;
    for (uint32_t i = 0; i < RT_QUEUED; i++)
        instance->launches[i].is_collected = true;
    instance->own.device = module->device;
    instance->own.options = module->options.stream;
    instance->by_index = calloc(n_io + 1, sizeof(*instance->by_index));
    instance->outputs_by_index = calloc(n_io + 1, sizeof(*instance->outputs_by_index));
    if (instance->by_index != NULL && instance->outputs_by_index != NULL)
        return instance;
    destroy(instance);
    return NULL;
}

static accel_status_t fill(rt_instance_t *instance, accel_error_t *error) {
    RT_TRY(rt_image_bind(instance, error));
    status_t status = make_stacks(instance);
    if (status == STATUS_OK)
        status = make_heap(instance);
    if (status == STATUS_OK)
        status = rt_card_alloc(instance->module->device, ISA_VA_IO, ISA_VA_END, ISA_PAGE_BYTES,
                               &instance->sync_page);
    if (status != STATUS_OK)
        return rt_fail_device(instance->module->device, error, status,
                              "no memory on the card for the program");
    return make_launch(instance, &instance->launches[0], error);
}

// What else may be said when it is not the first.
static accel_status_t not_created(const accel_module_t *module, accel_status_t status,
                                  uint32_t others, accel_error_t *error) {
    if (others == 0 || (status != ACCEL_NO_MEMORY && status != ACCEL_LIMIT))
        return status;
    return rt_fail(error, status,
                   "%s runs in %u streams already, and the card has no memory for another; destroy "
                   "streams that are not needed, or launch it in one of those that ran it",
                   module->program->path, others);
}

accel_status_t rt_instance_create(accel_module_t *module, rt_instance_t **out_instance,
                                  accel_error_t *error) {
    *out_instance = NULL;
    rt_instance_t *instance = instance_new(module);
    if (instance == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    accel_status_t result = fill(instance, error);
    if (result != ACCEL_OK) {
        destroy(instance);
        return result;
    }
    *out_instance = instance;
    return ACCEL_OK;
}

// --- Taking ---

static rt_instance_t *find(accel_module_t *module, const accel_stream_t *stream) {
    for (list_node_t *node = module->instances.next; node != &module->instances; node = node->next)
        if (LOAD_ACQUIRE(&LIST_OWNER(node, rt_instance_t, link)->stream) == stream)
            return LIST_OWNER(node, rt_instance_t, link);
    return NULL;
}

rt_instance_t *rt_instance_find(accel_module_t *module, const accel_stream_t *stream) {
    rt_lock(module->device);
    rt_instance_t *instance = find(module, stream);
    bool was_launched =
        instance != NULL && instance->last != NULL && instance->last->tenant == instance->tenant;
    rt_unlock(module->device);
    return was_launched ? instance : NULL;
}

static void own(rt_instance_t *instance, accel_stream_t *stream) {
    instance->tenant++;
    STORE_RELEASE(&instance->stream, stream != NULL ? stream : &instance->own);
}

static rt_instance_t *take_made(accel_module_t *module, accel_stream_t *stream, uint32_t *out_n) {
    rt_lock(module->device);
    rt_instance_t *instance = stream != NULL ? find(module, stream) : NULL;
    if (instance == NULL) {
        instance = find(module, NULL);
        if (instance != NULL)
            own(instance, stream);
    }
    *out_n = module->n_instances;
    rt_unlock(module->device);
    return instance;
}

accel_status_t rt_instance_take(accel_module_t *module, accel_stream_t *stream,
                                rt_instance_t **out_instance, accel_error_t *error) {
    uint32_t others;
    *out_instance = take_made(module, stream, &others);
    if (*out_instance == NULL) {
        rt_instance_t *instance;
        accel_status_t result = rt_instance_create(module, &instance, error);
        if (result != ACCEL_OK)
            return not_created(module, result, others, error);
        rt_lock(module->device);
        list_push_back(&module->instances, &instance->link);
        module->n_instances++;
        own(instance, stream);
        rt_unlock(module->device);
        *out_instance = instance;
    }
    rt_instance_t *instance = *out_instance;
    if (stream == NULL && instance->own.lane == NULL) {
        status_t status = rt_stream_init(module->device, &module->options.stream, &instance->own);
        if (status != STATUS_OK) {
            rt_instance_give(instance);
            *out_instance = NULL;
            return rt_fail_device(module->device, error, status, "cannot create a context");
        }
    }
    return ACCEL_OK;
}

void rt_instance_give(rt_instance_t *instance) { STORE_RELEASE(&instance->stream, NULL); }

// --- The end of launches ---

static void collect(const accel_module_t *module, rt_launch_t *launch) {
    uint64_t used = launch->log->used;
    launch->is_collected = true;
    if (used > RT_LOG_BYTES - sizeof(isa_log_t))
        used = RT_LOG_BYTES - sizeof(isa_log_t);
    if (used != 0 && module->options.log != NULL)
        module->options.log(module->options.log_user, (const char *)(launch->log + 1),
                            (size_t)used);
    launch->log->used = 0;
}

// The first of those that were not collected, up to a point; NULL: none.
static rt_launch_t *oldest(rt_instance_t *instance, uint64_t point) {
    rt_launch_t *found = NULL;
    for (uint32_t i = 0; i < RT_QUEUED; i++) {
        rt_launch_t *launch = &instance->launches[i];
        if (!launch->is_collected && launch->point <= point &&
            (found == NULL || launch->point < found->point))
            found = launch;
    }
    return found;
}

static void collect_to(rt_instance_t *instance, uint64_t point) {
    for (rt_launch_t *launch; (launch = oldest(instance, point)) != NULL;)
        collect(instance->module, launch);
}

void rt_instance_collect(rt_instance_t *instance) { collect_to(instance, UINT64_MAX); }

// Whoever gives a launch in it memory, though its lane was lost meanwhile, uses the instance.
static void let_go(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    rt_lock(device);
    rt_lane_t *lane = instance->lane;
    if (lane != NULL)
        rt_lane_settle(device, lane);
    instance->lane = NULL;
    bool last = lane != NULL && rt_lane_drop(lane);
    rt_unlock(device);
    if (last)
        rt_lane_free(device, lane);
}

// In a lane that the stream left, it ended with it.
static bool is_over(const rt_instance_t *instance, const rt_launch_t *launch,
                    const accel_stream_t *stream) {
    return launch->is_collected || instance->lane != stream->lane ||
           launch->point <= stream->reached;
}

static accel_status_t wait_for(rt_instance_t *instance, const rt_launch_t *launch,
                               accel_stream_t *stream, accel_error_t *error) {
    accel_status_t result = ACCEL_OK;
    uint64_t point = launch->point;
    if (!is_over(instance, launch, stream))
        result = rt_stream_wait(stream, point, UINT64_MAX, error);
    collect_to(instance, result == ACCEL_OK ? point : UINT64_MAX); // else the lane was left
    return result;
}

// A heap belongs to the instance: while a launch may have it grow, the next one is not filled in.
static bool may_queue(const accel_module_t *module) {
    return (module->program->image.note->flags & ISA_IMAGE_MAY_GROW) == 0;
}

// In a stream not the last one, even if that is over: a launch that fails shall leave what
// accel_stream_output tells of it. A run has fetched all when the next begins.
static rt_launch_t *choose(rt_instance_t *instance, const accel_stream_t *stream) {
    rt_launch_t *last = instance->last, *found = NULL;
    if (last != NULL && stream == &instance->own && is_over(instance, last, stream))
        return last;
    for (uint32_t i = 0; i < RT_QUEUED; i++) {
        rt_launch_t *launch = &instance->launches[i];
        if (launch != last && is_over(instance, launch, stream))
            return launch;
        if (launch != last && (found == NULL || launch->point < found->point))
            found = launch;
    }
    return found;
}

accel_status_t rt_instance_next(rt_instance_t *instance, accel_stream_t *stream,
                                rt_launch_t **out_launch, accel_error_t *error) {
    if (instance->last != NULL && !may_queue(instance->module))
        RT_TRY(wait_for(instance, instance->last, stream, error));
    rt_launch_t *launch = choose(instance, stream);
    RT_TRY(wait_for(instance, launch, stream, error));
    RT_TRY(make_launch(instance, launch, error));
    *out_launch = launch;
    return ACCEL_OK;
}

accel_status_t rt_instance_wait(rt_instance_t *instance, accel_stream_t *stream,
                                accel_error_t *error) {
    if (instance->last == NULL)
        return ACCEL_OK;
    return wait_for(instance, instance->last, stream, error);
}

// The next one, held: its module may be unloaded by another thread, which heard of the launches'
// end by an event.
static rt_instance_t *hold_next(accel_device_t *device, const accel_stream_t *stream, bool end) {
    rt_instance_t *found = NULL;
    rt_lock(device);
    for (list_node_t *m = device->modules.next; m != &device->modules && found == NULL;
         m = m->next) {
        rt_instance_t *instance = find(LIST_OWNER(m, accel_module_t, link), stream);
        if (instance != NULL &&
            (oldest(instance, UINT64_MAX) != NULL || (end && instance->lane != NULL)))
            found = instance;
    }
    if (found != NULL)
        found->is_held = true;
    rt_unlock(device);
    return found;
}

void rt_instances_collect(accel_stream_t *stream, bool end) {
    rt_instance_t *instance;
    while ((instance = hold_next(stream->device, stream, end)) != NULL) {
        rt_instance_collect(instance);
        if (end)
            let_go(instance);
        rt_lock(stream->device);
        instance->is_held = false;
        rt_wake(stream->device);
        rt_unlock(stream->device);
    }
}

void rt_instances_forget(accel_stream_t *stream) {
    rt_lock(stream->device);
    for (list_node_t *m = stream->device->modules.next; m != &stream->device->modules;
         m = m->next) {
        rt_instance_t *instance = find(LIST_OWNER(m, accel_module_t, link), stream);
        if (instance != NULL)
            rt_instance_give(instance);
    }
    rt_unlock(stream->device);
}

accel_status_t rt_instance_join(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    rt_lock(device);
    rt_lane_t *lane = instance->last != NULL ? instance->lane : NULL;
    uint64_t point = lane != NULL ? instance->last->point : 0;
    if (lane != NULL)
        rt_lane_hold(lane);
    rt_unlock(device);
    if (lane == NULL)
        return ACCEL_OK;
    accel_status_t result = rt_lane_wait(device, lane, point, UINT64_MAX, NULL);
    rt_lane_release(device, lane);
    return result;
}

// Nobody finds it any more, and who had found it is done with it.
static void take_out(rt_instance_t *instance) {
    accel_device_t *device = instance->module->device;
    rt_lock(device);
    list_remove(&instance->link);
    while (instance->is_held)
        rt_sleep(device);
    rt_unlock(device);
}

void rt_instances_destroy(accel_module_t *module) {
    list_node_t *node;
    while ((node = list_first(&module->instances)) != NULL) {
        rt_instance_t *instance = LIST_OWNER(node, rt_instance_t, link);
        (void)rt_instance_join(instance); // found by its lane, it is given memory
        take_out(instance);
        rt_instance_collect(instance);
        let_go(instance);
        destroy(instance);
    }
}
