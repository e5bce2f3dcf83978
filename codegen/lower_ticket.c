// SPDX-License-Identifier: Apache-2.0
// Tickets: waits, barriers, ticket variables. Variables are allocas, which LLVM turns into
// registers; those of the program ("@name") and each engine's newest ticket live in the context.
#include <string.h>

#include "codegen/codegen_internal.h"

static bool engine_attr(const ir_op_t *op, const char *attr, xa_engine_t *out) {
    return cg_engine_find(ir_get_string(op, attr, ""), out);
}

// Engine that a ticket value counts.
static bool ticket_engine(const ir_value_t *ticket, xa_engine_t *out) {
    const ir_op_t *def = ticket->def;
    if (def == NULL)
        return false;
    switch (def->code) {
    case IR_dma_in:
        *out = XA_DMAI;
        return true;
    case IR_dma_out:
        *out = XA_DMAO;
        return true;
    case IR_mat:
        *out = XA_MAT;
        return true;
    case IR_vec:
        *out = XA_VEC;
        return true;
    case IR_barrier:
        return engine_attr(def, "queue", out);
    default:
        return engine_attr(def, "engine", out);
    }
}

// Alloca in the entry block with a first value: a word of the context, or 0.
static LLVMValueRef slot_new(cg_func_t *f, int context_slot) {
    cg_t *cg = f->cg;
    LLVMValueRef slot = cg_entry_alloca(f, cg->i64, "");
    LLVMValueRef first = context_slot < 0 ? cg_const(cg, 0) : cg_context(f, (uint32_t)context_slot);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(cg->b);
    LLVMPositionBuilderBefore(cg->b, LLVMGetBasicBlockTerminator(f->entry));
    LLVMBuildStore(cg->b, first, slot);
    LLVMPositionBuilderAtEnd(cg->b, here);
    return slot;
}

static LLVMValueRef last_slot(cg_func_t *f, xa_engine_t engine) {
    if (f->last[engine] == NULL)
        f->last[engine] = slot_new(f, CG_SLOT_LAST + (int)engine);
    return f->last[engine];
}

void cg_ticket_issued(cg_func_t *f, const ir_op_t *op, xa_engine_t engine, LLVMValueRef ticket) {
    LLVMBuildStore(f->cg->b, ticket, last_slot(f, engine));
    if (op->n_results > 0)
        map_put_ptr(&f->tickets, op->results[0], ticket);
}

void cg_tickets_store(cg_func_t *f) {
    cg_t *cg = f->cg;
    for (uint32_t e = 0; e < XA_ENGINE_COUNT; e++) {
        if (f->last[e] == NULL)
            continue;
        LLVMValueRef value = LLVMBuildLoad2(cg->b, cg->i64, f->last[e], "");
        LLVMBuildStore(cg->b, value, cg_context_address(f, CG_SLOT_LAST + e));
    }
}

// --- Variables
// ------------------------------------------------------------------------------------

static uint32_t program_slot(cg_t *cg, const char *name) {
    uintptr_t slot;
    if (!map_get(&cg->program_vars, name, strlen(name), &slot)) {
        slot = cg->n_slots++;
        map_put(&cg->program_vars, name, strlen(name), slot);
    }
    return (uint32_t)slot;
}

static LLVMValueRef var_slot(cg_func_t *f, const char *name, uint32_t age) {
    if (name[0] == '@')
        return age == 0 ? cg_context_address(f, program_slot(f->cg, name)) : NULL;
    if (age >= CG_MAX_AGES)
        return NULL;
    cg_var_t *var = map_get_str(&f->vars, name);
    if (var == NULL) {
        var = ARENA_NEW(&f->cg->arena, cg_var_t);
        map_put_str(&f->vars, name, var);
    }
    // Ages are made from 0 up: those above the highest one ever read are of no use.
    for (uint32_t i = 0; i <= age; i++)
        if (var->ages[i] == NULL)
            var->ages[i] = slot_new(f, -1);
    return var->ages[age];
}

static void move_slot(cg_func_t *f, LLVMValueRef to, LLVMValueRef from) {
    LLVMBuildStore(f->cg->b, LLVMBuildLoad2(f->cg->b, f->cg->i64, from, ""), to);
}

static status_t lower_shift(cg_func_t *f, const ir_op_t *op) {
    const char *name = ir_get_string(op, "var", "");
    bool fill = ir_get_int(op, "fill", 0) != 0;
    if (var_slot(f, name, CG_MAX_AGES - 1) == NULL)
        return cg_fail(f->cg, op, STATUS_INVALID, "'%s' has no ages", name);
    // Stores to ages that nothing reads vanish in LLVM.
    for (uint32_t i = CG_MAX_AGES - 1; i > 0; i--)
        move_slot(f, var_slot(f, name, i), var_slot(f, name, fill ? 0 : i - 1));
    return STATUS_OK;
}

static status_t lower_keep(cg_func_t *f, const ir_op_t *op) {
    LLVMValueRef ticket = map_get_ptr(&f->tickets, ir_operand(op, 0));
    LLVMValueRef slot = var_slot(f, ir_get_string(op, "var", ""), 0);
    if (ticket == NULL || slot == NULL)
        return cg_fail(f->cg, op, STATUS_INVALID, "ticket_keep of what is no ticket");
    LLVMBuildStore(f->cg->b, ticket, slot);
    return STATUS_OK;
}

static status_t lower_get(cg_func_t *f, const ir_op_t *op) {
    const char *name = ir_get_string(op, "var", "");
    LLVMValueRef slot = var_slot(f, name, (uint32_t)ir_get_int(op, "age", 0));
    if (slot == NULL)
        return cg_fail(f->cg, op, STATUS_INVALID, "'%s' has no such age", name);
    map_put_ptr(&f->tickets, ir_result(op), LLVMBuildLoad2(f->cg->b, f->cg->i64, slot, ""));
    return STATUS_OK;
}

static status_t lower_last(cg_func_t *f, const ir_op_t *op) {
    xa_engine_t engine;
    if (!engine_attr(op, "engine", &engine))
        return cg_fail(f->cg, op, STATUS_INVALID, "ticket_last of no engine");
    LLVMValueRef value = LLVMBuildLoad2(f->cg->b, f->cg->i64, last_slot(f, engine), "");
    map_put_ptr(&f->tickets, ir_result(op), value);
    return STATUS_OK;
}

// --- Waits
// ----------------------------------------------------------------------------------------

static status_t ticket_of(cg_func_t *f, const ir_op_t *op, uint32_t operand, LLVMValueRef *out,
                          xa_engine_t *out_engine) {
    const ir_value_t *value = ir_operand(op, operand);
    *out = value ? map_get_ptr(&f->tickets, value) : NULL;
    if (*out == NULL || !ticket_engine(value, out_engine))
        return cg_fail(f->cg, op, STATUS_INVALID, "operand %u is no ticket", operand);
    return STATUS_OK;
}

status_t cg_after_operands(cg_func_t *f, const ir_op_t *op, uint32_t first, xa_engine_t queue) {
    for (uint32_t i = first; i < op->n_operands; i++) {
        LLVMValueRef ticket;
        xa_engine_t engine;
        RETURN_IF_ERROR(ticket_of(f, op, i, &ticket, &engine));
        cg_asm_after(f->cg, queue, engine, ticket);
    }
    return STATUS_OK;
}

static status_t lower_wait(cg_func_t *f, const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        LLVMValueRef ticket;
        xa_engine_t engine;
        RETURN_IF_ERROR(ticket_of(f, op, i, &ticket, &engine));
        cg_asm_wait(f->cg, engine, ticket);
    }
    return STATUS_OK;
}

status_t cg_lower_ticket_op(cg_func_t *f, const ir_op_t *op) {
    xa_engine_t queue = XA_DMAO;
    switch (op->code) {
    case IR_ticket_keep:
        return lower_keep(f, op);
    case IR_ticket_shift:
        return lower_shift(f, op);
    case IR_ticket_get:
        return lower_get(f, op);
    case IR_ticket_last:
        return lower_last(f, op);
    case IR_wait:
        return lower_wait(f, op);
    default:
        break;
    }
    if (!engine_attr(op, "queue", &queue))
        return cg_fail(f->cg, op, STATUS_INVALID, "no such queue");
    RETURN_IF_ERROR(cg_after_operands(f, op, 0, queue));
    if (op->code == IR_barrier)
        cg_ticket_issued(f, op, queue, cg_asm_barrier(f->cg, queue));
    return STATUS_OK;
}
