// SPDX-License-Identifier: Apache-2.0
// A module's control block, in host memory: command buffers made once, then only the argument block
// changes from launch to launch.
#include <string.h>

#include "runtime/runtime_internal.h"

#define IB_BYTES     4096u
#define RESUME_AT    (IB_BYTES - 64u)
#define LAUNCH_LIMIT RESUME_AT

static uint64_t args_bytes(const accel_module_t *module) {
    const isa_note_t *note = module->program->image.note;
    return sizeof(isa_args_t) +
           ((uint64_t)note->n_inputs + note->n_outputs) * sizeof(isa_args_io_t);
}

static uint64_t address_of(const accel_module_t *module, const void *part) {
    return module->control_va + (uint64_t)((const uint8_t *)part - module->control);
}

// --- Command buffers ---

static void add(accel_module_t *module, const void *packet, uint32_t bytes) {
    memcpy(module->control + module->ib_bytes, packet, bytes);
    module->ib_bytes += bytes;
}

static isa_ib_head_t head(isa_ib_op_t op, uint32_t bytes) {
    return (isa_ib_head_t){.op = (uint8_t)op, .bytes = bytes};
}

// Data of the program as the file has it, whatever the last run left there.
static void add_segments(accel_module_t *module) {
    const isa_image_t *image = &module->program->image;
    uint64_t copy_va = rt_host_va(module->device, module->image_copy, module->image_bytes);
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *segment = &image->segments[i];
        if ((segment->flags & 2u) == 0)
            continue;
        isa_ib_copy_t copy = {.head = head(ISA_IB_COPY, ISA_IB_COPY_BYTES),
                              .dst = module->image_va + segment->va,
                              .src = copy_va + segment->va,
                              .bytes = segment->mem_bytes,
                              .rows = 1};
        add(module, &copy, sizeof copy);
    }
}

static void make_launch(accel_module_t *module) {
    isa_ib_fill_t fill = {.head = head(ISA_IB_FILL, ISA_IB_FILL_BYTES),
                          .dst = module->sync_page.va,
                          .bytes = ISA_PAGE_BYTES,
                          .rows = 1};
    isa_ib_buffers_t buffers = {.head = head(ISA_IB_BUFFERS, ISA_IB_BUFFERS_BYTES),
                                .log = address_of(module, module->log),
                                .log_bytes = RT_LOG_BYTES,
                                .stats = address_of(module, module->stats),
                                .stats_entries = module->n_stats};
    isa_ib_launch_t launch = {.head = head(ISA_IB_LAUNCH, ISA_IB_LAUNCH_BYTES),
                              .entry = module->image_va + module->program->image.entry,
                              .args = address_of(module, module->args),
                              .stack = module->stack_va,
                              .stack_bytes = module->stack_bytes,
                              .stack_stride = module->stack_stride};
    add_segments(module);
    add(module, &fill, sizeof fill);
    add(module, &buffers, sizeof buffers);
    add(module, &launch, sizeof launch);
}

static isa_ib_launch_t *launch_packet(accel_module_t *module) {
    return (isa_ib_launch_t *)(void *)(module->control + module->ib_bytes -
                                       sizeof(isa_ib_launch_t));
}

uint64_t rt_control_resume(accel_module_t *module, uint64_t result, uint32_t *out_bytes) {
    isa_ib_resume_t resume = {.head = head(ISA_IB_RESUME, ISA_IB_RESUME_BYTES),
                              .launch = module->launch,
                              .result = result};
    memcpy(module->control + RESUME_AT, &resume, sizeof resume);
    *out_bytes = sizeof resume;
    return module->control_va + RESUME_AT;
}

void rt_control_reset(accel_module_t *module) {
    accel_device_t *device = module->device;
    memset(module->stats, 0, module->n_stats * sizeof *module->stats);
    module->log->used = module->log->dropped = 0;
    module->heap_refused = 0;
    device->client.ops->lock(device->client.self);
    module->launch = ++device->launches;
    device->client.ops->unlock(device->client.self);
    launch_packet(module)->launch = module->launch;
}

// --- Layout ---

static void make_args(accel_module_t *module) {
    const isa_note_t *note = module->program->image.note;
    *module->args = (isa_args_t){
        .size = args_bytes(module),
        .n_inputs = note->n_inputs,
        .n_outputs = note->n_outputs,
        .weights = module->weights.va,
        .heap = module->heap_va,
        .heap_bytes = module->heap_bytes,
        .sync = module->sync_page.va,
    };
}

static uint64_t round_up(uint64_t bytes) { return (bytes + 63) & ~UINT64_C(63); }

accel_status_t rt_control_create(accel_module_t *module, accel_error_t *error) {
    uint64_t args_at = IB_BYTES, log_at = args_at + round_up(args_bytes(module));
    uint64_t stats_at = log_at + RT_LOG_BYTES;
    uint64_t bytes = stats_at + module->n_stats * sizeof(isa_node_stats_t);
    void *memory;
    _Static_assert(ISA_MAX_SEGMENTS * sizeof(isa_ib_copy_t) + 256 <= LAUNCH_LIMIT, "room");
    RT_TRY(accel_host_alloc(module->device, (size_t)bytes, &memory, error));
    memset(memory, 0, (size_t)bytes);
    module->control = memory;
    module->control_va = rt_host_va(module->device, memory, bytes);
    module->args = (isa_args_t *)(void *)(module->control + args_at);
    module->log = (isa_log_t *)(void *)(module->control + log_at);
    module->stats = (isa_node_stats_t *)(void *)(module->control + stats_at);
    make_args(module);
    make_launch(module);
    return ACCEL_OK;
}
