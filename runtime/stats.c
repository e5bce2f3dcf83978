// SPDX-License-Identifier: Apache-2.0
// Counters of a launch, as the card left them.
#include "runtime/runtime_internal.h"

static void convert(const isa_node_stats_t *from, accel_stats_t *out_stats) {
    *out_stats = (accel_stats_t){
        .hart_instructions = from->hart_instructions,
        .cycles = from->cycles,
        .hart_cycles = from->hart_cycles,
        .dram_bytes = from->dram_bytes,
        .macs = from->macs,
        .host_ns = from->host_ns,
        .fallbacks = from->fallbacks,
    };
    for (int i = 0; i < 4; i++) {
        out_stats->engine_cycles[i] = from->engine_cycles[i];
        out_stats->engine_issues[i] = from->engine_issues[i];
    }
}

// The counters of one launch that has ended; `stream` NULL: the module's last one. *out_stats NULL:
// there was none.
static accel_status_t find(accel_module_t *module, accel_stream_t *stream,
                           const isa_node_stats_t **out_stats) {
    rt_lock(module->device);
    rt_instance_t *instance = module->last;
    rt_unlock(module->device);
    if (stream != NULL)
        instance = rt_instance_find(module, stream);
    *out_stats = NULL;
    if (instance == NULL || instance->last == NULL)
        return stream == NULL ? ACCEL_OK : ACCEL_NOT_FOUND;
    *out_stats = instance->last->stats;
    if (stream != NULL)
        return rt_instance_wait(instance, stream, NULL);
    return rt_instance_join(instance);
}

accel_status_t accel_module_stats(accel_module_t *module, accel_stats_t *out_total) {
    return accel_stream_stats(NULL, module, out_total);
}

accel_status_t accel_module_node_stats(accel_module_t *module, uint32_t node,
                                       accel_stats_t *out_stats) {
    return accel_stream_node_stats(NULL, module, node, out_stats);
}

accel_status_t accel_stream_stats(accel_stream_t *stream, accel_module_t *module,
                                  accel_stats_t *out_total) {
    const isa_node_stats_t *stats;
    RT_TRY(find(module, stream, &stats));
    *out_total = (accel_stats_t){0};
    if (stats != NULL)
        convert(&stats[0], out_total);
    return ACCEL_OK;
}

accel_status_t accel_stream_node_stats(accel_stream_t *stream, accel_module_t *module,
                                       uint32_t node, accel_stats_t *out_stats) {
    const char *name = NULL, *op = NULL;
    const isa_node_stats_t *stats;
    if (!module->options.node_stats)
        return ACCEL_UNSUPPORTED;
    const isa_debug_node_t *entry = isa_image_node_at(&module->program->image, node, &name, &op);
    if (entry == NULL || node + 1 >= module->n_stats)
        return ACCEL_NOT_FOUND;
    RT_TRY(find(module, stream, &stats));
    if (stats == NULL)
        return ACCEL_NOT_FOUND;
    convert(&stats[1 + node], out_stats);
    out_stats->node = name;
    out_stats->op = op;
    out_stats->elements = entry->elements;
    return ACCEL_OK;
}
