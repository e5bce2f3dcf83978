// SPDX-License-Identifier: Apache-2.0
// Staging descriptors: which constant each engine holds, so that a load or a field already there
// is not done again. A loop whose ops all use one constant has it loaded before the loop.
#include <string.h>

#include "codegen/codegen_internal.h"

void cg_stage(cg_func_t *f, const cg_prepared_t *p) {
    cg_t *cg = f->cg;
    cg_staged_t *s = &f->staged[p->desc.engine];
    if (s->global != p->global || (s->dirty & ~p->dynamic) != 0) {
        cg_asm_load(cg, p->desc.engine, p->global);
        memset(s, 0, sizeof *s);
        s->global = p->global;
    }
    for (uint32_t i = 0; i < p->desc.n_dynamic; i++) {
        const cg_dynamic_t *d = &p->desc.dynamic[i];
        LLVMValueRef value = cg_expr(f, d->value);
        if (s->values[d->field] == value)
            continue;
        cg_asm_set(cg, p->desc.engine, d->field, value);
        s->values[d->field] = value;
    }
    s->dirty |= p->dynamic;
}

void cg_stage_forget(cg_func_t *f) { memset(f->staged, 0, sizeof f->staged); }

// What the ops of a region need of an engine.
typedef struct need {
    uint32_t n_constants; // 0, 1 or 2 (more than one)
    const cg_prepared_t *first;
} need_t;

static void add_need(need_t *need, const cg_prepared_t *p) {
    if (need->n_constants == 0) {
        need->n_constants = 1;
        need->first = p;
    } else if (need->first->global != p->global || need->first->dynamic != p->dynamic) {
        need->n_constants = 2;
    }
}

static status_t find_needs(cg_t *cg, const ir_block_t *block, need_t needs[XA_ENGINE_COUNT]) {
    for (const ir_op_t *op = block->first; op; op = op->next) {
        if (op->code == IR_dma_in || op->code == IR_dma_out || op->code == IR_mat ||
            op->code == IR_vec) {
            cg_prepared_t *p;
            RETURN_IF_ERROR(cg_prepare(cg, op, &p));
            add_need(&needs[p->desc.engine], p);
        } else if (op->code == IR_call) {
            for (int e = 0; e < XA_ENGINE_COUNT; e++)
                needs[e].n_constants = 2;
        }
        for (uint32_t r = 0; r < op->n_regions; r++)
            RETURN_IF_ERROR(find_needs(cg, op->regions[r]->block, needs));
    }
    return STATUS_OK;
}

// State that holds at the start of every round: one constant with its dynamic fields set to
// anything, or nothing known.
static void settle(cg_staged_t *s, const need_t *need) {
    if (need->n_constants == 0)
        return;
    LLVMValueRef global = need->n_constants == 1 ? need->first->global : NULL;
    memset(s, 0, sizeof *s);
    s->global = global;
    s->dirty = global ? need->first->dynamic : 0;
}

status_t cg_stage_enter_loop(cg_func_t *f, const ir_block_t *body) {
    need_t needs[XA_ENGINE_COUNT] = {0};
    RETURN_IF_ERROR(find_needs(f->cg, body, needs));
    for (int e = 0; e < XA_ENGINE_COUNT; e++) {
        cg_staged_t *s = &f->staged[e];
        if (needs[e].n_constants == 1) {
            const cg_prepared_t *p = needs[e].first;
            if (s->global != p->global || (s->dirty & ~p->dynamic) != 0)
                cg_asm_load(f->cg, (xa_engine_t)e, p->global);
        }
        settle(s, &needs[e]);
    }
    return STATUS_OK;
}

status_t cg_stage_leave_loop(cg_func_t *f, const ir_block_t *body) {
    need_t needs[XA_ENGINE_COUNT] = {0};
    RETURN_IF_ERROR(find_needs(f->cg, body, needs));
    for (int e = 0; e < XA_ENGINE_COUNT; e++)
        settle(&f->staged[e], &needs[e]);
    return STATUS_OK;
}

void cg_stage_leave_when(cg_func_t *f, const cg_staged_t before[XA_ENGINE_COUNT]) {
    for (int e = 0; e < XA_ENGINE_COUNT; e++) {
        cg_staged_t *s = &f->staged[e];
        if (s->global != before[e].global) {
            memset(s, 0, sizeof *s);
            continue;
        }
        s->dirty |= before[e].dirty;
        for (size_t i = 0; i < COUNT_OF(s->values); i++)
            if (s->values[i] != before[e].values[i])
                s->values[i] = NULL;
    }
}
