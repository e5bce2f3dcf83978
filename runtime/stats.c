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

accel_status_t accel_module_stats(accel_module_t *module, accel_stats_t *out_total) {
    RT_TRY(rt_module_wait(module, NULL));
    convert(&module->stats[0], out_total);
    return ACCEL_OK;
}

accel_status_t accel_module_node_stats(accel_module_t *module, uint32_t node,
                                       accel_stats_t *out_stats) {
    const char *name = NULL, *op = NULL;
    if (!module->options.node_stats)
        return ACCEL_UNSUPPORTED;
    const isa_debug_node_t *entry = isa_image_node_at(&module->program->image, node, &name, &op);
    if (entry == NULL || node + 1 >= module->n_stats)
        return ACCEL_NOT_FOUND;
    RT_TRY(rt_module_wait(module, NULL));
    convert(&module->stats[1 + node], out_stats);
    out_stats->node = name;
    out_stats->op = op;
    out_stats->elements = entry->elements;
    return ACCEL_OK;
}
