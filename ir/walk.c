// SPDX-License-Identifier: Apache-2.0
#include "ir/ir_internal.h"

status_t ir_walk(ir_region_t *region, ir_visit_t visit, void *ctx) {
    ir_op_t *next;
    for (ir_op_t *op = region->block->first; op != NULL; op = next) {
        next = op->next; // the callback may take op away
        RETURN_IF_ERROR(visit(ctx, op));
        if (op->block == NULL)
            continue; // erased: its regions are gone with it
        for (uint32_t r = 0; r < op->n_regions; r++)
            RETURN_IF_ERROR(ir_walk(op->regions[r], visit, ctx));
    }
    return STATUS_OK;
}
