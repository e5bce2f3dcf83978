// SPDX-License-Identifier: Apache-2.0
// A launch's control block, in host memory: command buffers made once, then only the argument block
// changes from use to use.
#include <string.h>

#include "runtime/runtime_internal.h"

#define IB_BYTES     4096u
#define RESUME_AT    (IB_BYTES - 64u)
#define LAUNCH_LIMIT RESUME_AT

static uint64_t args_bytes(const rt_instance_t *instance) {
    const isa_note_t *note = instance->module->program->image.note;
    return sizeof(isa_args_t) +
           ((uint64_t)note->n_inputs + note->n_outputs) * sizeof(isa_args_io_t);
}

static uint64_t address_of(const rt_launch_t *launch, const void *part) {
    return launch->control_va + (uint64_t)((const uint8_t *)part - launch->control);
}

// --- Command buffers ---

static void add(rt_launch_t *launch, const void *packet, uint32_t bytes) {
    memcpy(launch->control + launch->ib_bytes, packet, bytes);
    launch->ib_bytes += bytes;
}

static isa_ib_head_t head(isa_ib_op_t op, uint32_t bytes) {
    return (isa_ib_head_t){.op = (uint8_t)op, .bytes = bytes};
}

// Data of the program as the file has it, whatever the last run left there.
static void add_segments(const rt_instance_t *instance, rt_launch_t *launch) {
    const accel_module_t *module = instance->module;
    const isa_image_t *image = &module->program->image;
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *segment = &image->segments[i];
        if ((segment->flags & 2u) == 0)
            continue;
        isa_ib_copy_t copy = {.head = head(ISA_IB_COPY, ISA_IB_COPY_BYTES),
                              .dst = instance->image_va + segment->va,
                              .src = instance->data_copy_va + segment->va - module->data_first,
                              .bytes = segment->mem_bytes,
                              .rows = 1};
        add(launch, &copy, sizeof copy);
    }
}

static void make_launch(const rt_instance_t *instance, rt_launch_t *launch) {
    isa_ib_fill_t fill = {.head = head(ISA_IB_FILL, ISA_IB_FILL_BYTES),
                          .dst = instance->sync_page.va,
                          .bytes = ISA_PAGE_BYTES,
                          .rows = 1};
    isa_ib_buffers_t buffers = {.head = head(ISA_IB_BUFFERS, ISA_IB_BUFFERS_BYTES),
                                .log = address_of(launch, launch->log),
                                .log_bytes = RT_LOG_BYTES,
                                .stats = address_of(launch, launch->stats),
                                .stats_entries = instance->module->n_stats};
    isa_ib_launch_t start = {.head = head(ISA_IB_LAUNCH, ISA_IB_LAUNCH_BYTES),
                             .entry = instance->image_va + instance->module->program->image.entry,
                             .args = address_of(launch, launch->args),
                             .stack = instance->stack_va,
                             .stack_bytes = instance->stack_bytes,
                             .stack_stride = instance->stack_stride};
    add_segments(instance, launch);
    add(launch, &fill, sizeof fill);
    add(launch, &buffers, sizeof buffers);
    add(launch, &start, sizeof start);
}

static isa_ib_launch_t *launch_packet(rt_launch_t *launch) {
    return (isa_ib_launch_t *)(void *)(launch->control + launch->ib_bytes -
                                       sizeof(isa_ib_launch_t));
}

uint64_t rt_control_resume(rt_launch_t *launch, uint64_t result, uint32_t *out_bytes) {
    isa_ib_resume_t resume = {.head = head(ISA_IB_RESUME, ISA_IB_RESUME_BYTES),
                              .launch = launch->number,
                              .result = result};
    memcpy(launch->control + RESUME_AT, &resume, sizeof resume);
    *out_bytes = sizeof resume;
    return launch->control_va + RESUME_AT;
}

void rt_control_reset(const rt_instance_t *instance, rt_launch_t *launch, uint32_t number) {
    memset(launch->stats, 0, instance->module->n_stats * sizeof *launch->stats);
    launch->log->used = launch->log->dropped = 0;
    launch_packet(launch)->launch = number;
}

// --- Layout ---

static void make_args(const rt_instance_t *instance, rt_launch_t *launch) {
    const isa_note_t *note = instance->module->program->image.note;
    *launch->args = (isa_args_t){
        .size = args_bytes(instance),
        .n_inputs = note->n_inputs,
        .n_outputs = note->n_outputs,
        .weights = instance->module->weights.va,
        .heap = instance->heap_va,
        .heap_bytes = instance->heap_bytes,
        .sync = instance->sync_page.va,
    };
}

static uint64_t round_up(uint64_t bytes) { return (bytes + 63) & ~UINT64_C(63); }

accel_status_t rt_control_create(const rt_instance_t *instance, rt_launch_t *launch,
                                 accel_error_t *error) {
    uint64_t args_at = IB_BYTES, log_at = args_at + round_up(args_bytes(instance));
    uint64_t stats_at = log_at + RT_LOG_BYTES;
    const accel_module_t *module = instance->module;
    uint64_t bytes = stats_at + module->n_stats * sizeof(isa_node_stats_t);
    void *memory;
    _Static_assert(ISA_MAX_SEGMENTS * sizeof(isa_ib_copy_t) + 256 <= LAUNCH_LIMIT, "room");
    RT_TRY(accel_host_alloc(module->device, (size_t)bytes, &memory, error));
    memset(memory, 0, (size_t)bytes);
    launch->control = memory;
    launch->control_va = rt_host_va(module->device, memory, bytes);
    launch->args = (isa_args_t *)(void *)(launch->control + args_at);
    launch->log = (isa_log_t *)(void *)(launch->control + log_at);
    launch->stats = (isa_node_stats_t *)(void *)(launch->control + stats_at);
    make_args(instance, launch);
    make_launch(instance, launch);
    return ACCEL_OK;
}
