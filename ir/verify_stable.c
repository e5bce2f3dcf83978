// SPDX-License-Identifier: Apache-2.0
// A DMA-in marked `stable` promises that its source stays unwritten while the LM copy lives. The
// proof here is conservative: no op in the same kernel (or function, outside of kernels) writes a
// box that may overlap the source, whatever iteration of whatever loop on whatever core it is in.
#include "ir/access.h"
#include "ir/verify_internal.h"

typedef struct scan {
    verifier_t *v;
    const ir_op_t *dma;
    ir_ref_t source;
    bool reported;
} scan_t;

// Values that are the same everywhere in the kernel.
static bool is_fixed(const ir_expr_t *e) {
    if (e->kind == IR_EXPR_CONST)
        return true;
    if (e->kind == IR_EXPR_SYMBOL)
        return e->symbol->kind == IR_SYMBOL_DIM;
    return is_fixed(e->a) && is_fixed(e->b);
}

static bool is_fixed_ref(const ir_ref_t *ref) {
    bool fixed = is_fixed(ref->offset);
    for (uint32_t d = 0; d < ref->rank; d++)
        fixed = fixed && is_fixed(ref->dims[d]) && is_fixed(ref->strides[d]);
    return fixed;
}

// Bounds of all elements that the ref touches, over all iterations.
static void bounds_of(const ir_ref_t *ref, int64_t *out_min, int64_t *out_max) {
    *out_min = ref->offset->min;
    *out_max = ref->offset->max;
    for (uint32_t d = 0; d < ref->rank; d++) {
        int64_t count = ir_sat_add(ref->dims[d]->max, -1);
        int64_t low = ir_sat_mul(count, ref->strides[d]->min);
        int64_t high = ir_sat_mul(count, ref->strides[d]->max);
        *out_min = ir_sat_add(*out_min, low < 0 ? low : 0);
        *out_max = ir_sat_add(*out_max, high > 0 ? high : 0);
    }
}

static bool may_meet(verifier_t *v, const ir_ref_t *a, const ir_ref_t *b) {
    if (!ir_may_overlap(v->m, a, b) && (a->root != b->root || (is_fixed_ref(a) && is_fixed_ref(b))))
        return false;
    if (a->root != b->root)
        return true;
    int64_t a0, a1, b0, b1;
    bounds_of(a, &a0, &a1);
    bounds_of(b, &b0, &b1);
    bool open = a0 == INT64_MIN || a1 == INT64_MAX || b0 == INT64_MIN || b1 == INT64_MAX;
    return open || (a0 <= b1 && b0 <= a1);
}

static status_t visit(void *ctx, ir_op_t *op) {
    scan_t *s = ctx;
    ir_access_t accesses[IR_MAX_ACCESSES];
    if (op->code == IR_kernel || s->reported)
        return STATUS_OK; // what is inside of a kernel is visited itself
    size_t n = ir_accesses(s->v->m, op, accesses);
    for (size_t i = 0; i < n && !s->reported; i++) {
        if ((accesses[i].mode & IR_WRITE) == 0 || !may_meet(s->v, &accesses[i].ref, &s->source))
            continue;
        verify_fail(s->v, s->dma, "stable, but a %s may write its source %%%s",
                    ir_op_info(op->code)->name, s->source.root->name);
        s->reported = true;
    }
    return STATUS_OK;
}

void verify_stable(verifier_t *v, const ir_op_t *dma) {
    ir_value_t *source = ir_operand(dma, 1);
    if (source == NULL || source->type->kind != IR_BUFFER)
        return;
    scan_t s = {.v = v, .dma = dma, .source = ir_ref_of(v->m, source)};
    ir_region_t *region = dma->block->region;
    while (region->op != NULL && region->op->code != IR_kernel)
        region = region->op->block->region;
    if (ir_walk(region, visit, &s) != STATUS_OK)
        ir_die("a walk over reads and writes stopped");
}
