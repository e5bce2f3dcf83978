// SPDX-License-Identifier: Apache-2.0
// Expressions and addresses as LLVM values.
#include <string.h>

#include "codegen/codegen_internal.h"
#include "isa/program.h"

LLVMValueRef cg_const(cg_t *cg, int64_t value) {
    return LLVMConstInt(cg->i64, (unsigned long long)value, true);
}

void cg_func_begin(cg_func_t *f, cg_t *cg, LLVMValueRef fn) {
    memset(f, 0, sizeof *f);
    f->cg = cg;
    f->fn = fn;
    f->symbols = ARENA_ARRAY(&cg->arena, LLVMValueRef, cg->m->n_symbols);
    map_init(&f->tickets, &cg->arena);
    map_init(&f->vars, &cg->arena);
    f->entry = LLVMAppendBasicBlockInContext(cg->llvm, fn, "entry");
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(cg->llvm, fn, "body");
    LLVMPositionBuilderAtEnd(cg->b, f->entry);
    LLVMBuildBr(cg->b, body);
    LLVMPositionBuilderAtEnd(cg->b, body);
}

// Moves the builder to the end of the entry block; the caller moves it back.
static LLVMBasicBlockRef to_entry(cg_func_t *f) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->cg->b);
    LLVMPositionBuilderBefore(f->cg->b, LLVMGetBasicBlockTerminator(f->entry));
    return here;
}

LLVMValueRef cg_entry_alloca(cg_func_t *f, LLVMTypeRef type, const char *name) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->cg->b);
    LLVMPositionBuilderBefore(f->cg->b, LLVMGetFirstInstruction(f->entry));
    LLVMValueRef slot = LLVMBuildAlloca(f->cg->b, type, name);
    LLVMPositionBuilderAtEnd(f->cg->b, here);
    return slot;
}

LLVMValueRef cg_context_address(cg_func_t *f, uint32_t slot) {
    LLVMValueRef index = LLVMConstInt(f->cg->i32, slot, false);
    return LLVMBuildInBoundsGEP2(f->cg->b, f->cg->i64, f->ctx, &index, 1, "");
}

LLVMValueRef cg_context(cg_func_t *f, uint32_t slot) {
    if (slot < CG_SLOT_LAST && f->words[slot] != NULL)
        return f->words[slot];
    LLVMBasicBlockRef here = to_entry(f);
    LLVMValueRef value = LLVMBuildLoad2(f->cg->b, f->cg->i64, cg_context_address(f, slot), "");
    LLVMPositionBuilderAtEnd(f->cg->b, here);
    if (slot < CG_SLOT_LAST)
        f->words[slot] = value;
    return value;
}

// --- Scopes
// ---------------------------------------------------------------------------------------

size_t cg_scope_mark(const cg_func_t *f) { return f->n_log; }

void cg_scope_leave(cg_func_t *f, size_t mark) {
    while (f->n_log > mark)
        f->cache[f->log[--f->n_log]] = NULL;
}

void cg_set_symbol(cg_func_t *f, const ir_symbol_t *symbol, LLVMValueRef value) {
    if (f->symbols[symbol->id] != NULL)
        cg_scope_leave(f, 0); // set anew: what was made from the old value is stale
    f->symbols[symbol->id] = value;
}

static void remember(cg_func_t *f, const ir_expr_t *e, LLVMValueRef value) {
    arena_t *arena = &f->cg->arena;
    ARENA_GROW(arena, f->cache, f->cap_cache, e->id + 1);
    ARENA_GROW(arena, f->log, f->cap_log, f->n_log + 1);
    f->cache[e->id] = value;
    f->log[f->n_log++] = e->id;
}

// --- Expressions
// ----------------------------------------------------------------------------------

static LLVMValueRef symbol_value(cg_func_t *f, const ir_symbol_t *symbol) {
    if (f->symbols[symbol->id] == NULL) {
        uint32_t slot = f->cg->dim_slots[symbol->id];
        if (symbol->kind == IR_SYMBOL_CORE)
            slot = strcmp(symbol->name, "cores") == 0 ? CG_SLOT_CORES : CG_SLOT_CORE;
        // A loop symbol outside its loop is a bug of a pass; the verifier reports it.
        f->symbols[symbol->id] =
            slot > 0 || symbol->kind == IR_SYMBOL_CORE ? cg_context(f, slot) : cg_const(f->cg, 0);
    }
    return f->symbols[symbol->id];
}

static LLVMValueRef floor_div(cg_t *cg, LLVMValueRef a, LLVMValueRef b, bool natural) {
    if (natural)
        return LLVMBuildUDiv(cg->b, a, b, "");
    // Toward zero, then one less where the remainder is negative (b > 0).
    LLVMValueRef quotient = LLVMBuildSDiv(cg->b, a, b, "");
    LLVMValueRef rest = LLVMBuildSRem(cg->b, a, b, "");
    LLVMValueRef negative = LLVMBuildICmp(cg->b, LLVMIntSLT, rest, cg_const(cg, 0), "");
    return LLVMBuildSub(cg->b, quotient, LLVMBuildZExt(cg->b, negative, cg->i64, ""), "");
}

static LLVMValueRef modulo(cg_t *cg, LLVMValueRef a, LLVMValueRef b, bool natural) {
    if (natural)
        return LLVMBuildURem(cg->b, a, b, "");
    LLVMValueRef rest = LLVMBuildSRem(cg->b, a, b, "");
    LLVMValueRef negative = LLVMBuildICmp(cg->b, LLVMIntSLT, rest, cg_const(cg, 0), "");
    return LLVMBuildSelect(cg->b, negative, LLVMBuildAdd(cg->b, rest, b, ""), rest, "");
}

static LLVMValueRef extreme(cg_t *cg, LLVMIntPredicate keep_a, LLVMValueRef a, LLVMValueRef b) {
    return LLVMBuildSelect(cg->b, LLVMBuildICmp(cg->b, keep_a, a, b, ""), a, b, "");
}

static LLVMValueRef build(cg_func_t *f, const ir_expr_t *e) {
    cg_t *cg = f->cg;
    LLVMValueRef a = cg_expr(f, e->a), b = cg_expr(f, e->b);
    bool natural = e->a->min >= 0;
    switch (e->kind) {
    case IR_EXPR_ADD:
        return LLVMBuildNSWAdd(cg->b, a, b, "");
    case IR_EXPR_MUL:
        return LLVMBuildNSWMul(cg->b, a, b, "");
    case IR_EXPR_FLOORDIV:
        return floor_div(cg, a, b, natural);
    case IR_EXPR_CEILDIV: { // ceil(a / b) = floor((a + b - 1) / b)
        LLVMValueRef up = LLVMBuildNSWAdd(cg->b, b, cg_const(cg, -1), "");
        return floor_div(cg, LLVMBuildNSWAdd(cg->b, a, up, ""), b, natural);
    }
    case IR_EXPR_MOD:
        return modulo(cg, a, b, natural);
    case IR_EXPR_MIN:
        return extreme(cg, LLVMIntSLT, a, b);
    case IR_EXPR_MAX:
        return extreme(cg, LLVMIntSGT, a, b);
    default: // IR_EXPR_NE
        return LLVMBuildZExt(cg->b, LLVMBuildICmp(cg->b, LLVMIntNE, a, b, ""), cg->i64, "");
    }
}

LLVMValueRef cg_expr(cg_func_t *f, const ir_expr_t *e) {
    if (e->kind == IR_EXPR_CONST)
        return cg_const(f->cg, e->value);
    if (e->kind == IR_EXPR_SYMBOL)
        return symbol_value(f, e->symbol);
    if (e->id < f->cap_cache && f->cache[e->id] != NULL)
        return f->cache[e->id];
    LLVMValueRef value = build(f, e);
    remember(f, e, value);
    return value;
}

// --- Addresses
// ------------------------------------------------------------------------------------

LLVMValueRef cg_address(cg_func_t *f, ir_value_t *buffer) {
    cg_t *cg = f->cg;
    if (buffer->type->space == IR_SPACE_LM) {
        const ir_expr_t *address = cg_lm_address(cg->m, buffer);
        return address ? cg_expr(f, address) : NULL;
    }
    // Views are followed inside this function only: a kernel gets its operands' addresses.
    const ir_expr_t *elements = ir_const(cg->m, 0);
    ir_value_t *root = buffer;
    for (; root->def && root->def->code == IR_view; root = ir_operand(root->def, 0))
        elements = ir_add(cg->m, elements, ir_get_expr(root->def, "offset"));
    const ir_expr_t *offset = cg_bytes_of(cg->m, elements, buffer->type->elem);
    const ir_op_t *def = root->def;
    LLVMValueRef base;
    if (def == NULL) {
        base = f->args[root->index];
    } else if (def->code == IR_weights) {
        base = cg_context(f, CG_SLOT_WEIGHTS);
        offset = ir_addc(cg->m, offset, ir_get_int(def, "offset", 0));
    } else {
        const ir_expr_t *at = ir_get_expr(def, "offset");
        if (at == NULL)
            return NULL;
        base = cg_context(f, CG_SLOT_HEAP);
        offset = ir_add(cg->m, offset, at);
    }
    if (ir_expr_equals(offset, 0))
        return base;
    return LLVMBuildNSWAdd(cg->b, base, cg_expr(f, offset), "");
}
