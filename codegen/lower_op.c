// SPDX-License-Identifier: Apache-2.0
// Blocks of tile ops: loops, shares of cores, conditions, engine ops.
#include <string.h>

#include "codegen/codegen_internal.h"

LLVMValueRef cg_branch(cg_func_t *f, LLVMValueRef cond, LLVMBasicBlockRef yes,
                       LLVMBasicBlockRef no) {
    return LLVMBuildCondBr(f->cg->b, cond, yes, no);
}

static LLVMBasicBlockRef block_new(cg_func_t *f, const char *name) {
    return LLVMAppendBasicBlockInContext(f->cg->llvm, f->fn, name);
}

// --- Engine ops
// -----------------------------------------------------------------------------------

static LLVMValueRef desc_constant(cg_t *cg, const xa_desc_t *bytes) {
    uintptr_t known;
    if (map_get(&cg->descs, bytes->bytes, XA_DESC_BYTES, &known))
        return (LLVMValueRef)known;
    LLVMValueRef data =
        LLVMConstStringInContext(cg->llvm, (const char *)bytes->bytes, XA_DESC_BYTES, true);
    LLVMValueRef global = LLVMAddGlobal(cg->mod, LLVMTypeOf(data), "desc");
    LLVMSetInitializer(global, data);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMInternalLinkage);
    LLVMSetAlignment(global, 8);
    map_put(&cg->descs, bytes->bytes, XA_DESC_BYTES, (uintptr_t)global);
    return global;
}

// Descriptor and constant of an engine op, made once.
status_t cg_prepare(cg_t *cg, const ir_op_t *op, cg_prepared_t **out_prepared) {
    cg_prepared_t *p = map_get_ptr(&cg->prepared, op);
    if (p == NULL) {
        p = ARENA_NEW(&cg->arena, cg_prepared_t);
        RETURN_IF_ERROR(cg_desc_build(cg->m, op, cg->diag, &p->desc));
        p->global = desc_constant(cg, &p->desc.bytes);
        for (uint32_t i = 0; i < p->desc.n_dynamic; i++)
            p->dynamic |= UINT64_C(1) << p->desc.dynamic[i].field;
        map_put_ptr(&cg->prepared, op, p);
    }
    *out_prepared = p;
    return STATUS_OK;
}

status_t cg_lower_engine_op(cg_func_t *f, const ir_op_t *op) {
    cg_prepared_t *p;
    RETURN_IF_ERROR(cg_prepare(f->cg, op, &p));
    cg_stage(f, p);
    LLVMValueRef address[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3; i++) {
        if (p->desc.address[i] == NULL)
            continue;
        address[i] = cg_address(f, p->desc.address[i]);
        if (address[i] == NULL)
            return cg_fail(f->cg, op, STATUS_INVALID, "a buffer of %s has no offset",
                           ir_op_info(op->code)->name);
    }
    uint32_t n_buffers = (uint32_t)ir_get_int(op, "n_buffers", op->n_operands);
    RETURN_IF_ERROR(cg_after_operands(f, op, n_buffers, p->desc.engine));
    LLVMValueRef ticket = cg_asm_issue(f->cg, p->desc.insn, address[0], address[1], address[2]);
    cg_ticket_issued(f, op, p->desc.engine, ticket);
    return STATUS_OK;
}

// --- Structure
// ------------------------------------------------------------------------------------

// for (i = lo; i < hi; i += step) body, tested before the first round and after each.
static status_t lower_loop(cg_func_t *f, const ir_op_t *op, LLVMValueRef lo, LLVMValueRef hi,
                           LLVMValueRef step) {
    cg_t *cg = f->cg;
    const ir_block_t *body = op->regions[0]->block;
    RETURN_IF_ERROR(cg_stage_enter_loop(f, body));
    LLVMBasicBlockRef before = LLVMGetInsertBlock(cg->b);
    LLVMBasicBlockRef loop = block_new(f, "loop"), after = block_new(f, "after");
    cg_branch(f, LLVMBuildICmp(cg->b, LLVMIntSLT, lo, hi, ""), loop, after);
    LLVMPositionBuilderAtEnd(cg->b, loop);
    LLVMValueRef i = LLVMBuildPhi(cg->b, cg->i64, "i");
    size_t mark = cg_scope_mark(f);
    cg_set_symbol(f, ir_get(op, "symbol")->symbol, i);
    RETURN_IF_ERROR(cg_lower_block(f, body));
    LLVMValueRef next = LLVMBuildNSWAdd(cg->b, i, step, "");
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(cg->b);
    cg_branch(f, LLVMBuildICmp(cg->b, LLVMIntSLT, next, hi, ""), loop, after);
    LLVMValueRef values[2] = {lo, next};
    LLVMBasicBlockRef blocks[2] = {before, latch};
    LLVMAddIncoming(i, values, blocks, 2);
    LLVMPositionBuilderAtEnd(cg->b, after);
    cg_scope_leave(f, mark);
    return cg_stage_leave_loop(f, body);
}

static status_t lower_for(cg_func_t *f, const ir_op_t *op) {
    return lower_loop(f, op, cg_expr(f, ir_get_expr(op, "lo")), cg_expr(f, ir_get_expr(op, "hi")),
                      cg_expr(f, ir_get_expr(op, "step")));
}

// Contiguous shares: the first count % cores cores get one iteration more.
static status_t lower_parfor(cg_func_t *f, const ir_op_t *op) {
    cg_t *cg = f->cg;
    LLVMValueRef count = cg_expr(f, ir_get_expr(op, "count"));
    LLVMValueRef core = cg_context(f, CG_SLOT_CORE), cores = cg_context(f, CG_SLOT_CORES);
    LLVMValueRef share = LLVMBuildUDiv(cg->b, count, cores, "");
    LLVMValueRef rest = LLVMBuildURem(cg->b, count, cores, "");
    LLVMValueRef more = LLVMBuildICmp(cg->b, LLVMIntULT, core, rest, "");
    LLVMValueRef lo = LLVMBuildMul(cg->b, core, share, "");
    lo = LLVMBuildAdd(cg->b, lo, LLVMBuildSelect(cg->b, more, core, rest, ""), "lo");
    LLVMValueRef hi = LLVMBuildAdd(cg->b, lo, share, "");
    hi = LLVMBuildAdd(cg->b, hi, LLVMBuildZExt(cg->b, more, cg->i64, ""), "hi");
    return lower_loop(f, op, lo, hi, cg_const(cg, 1));
}

static status_t lower_when(cg_func_t *f, const ir_op_t *op) {
    cg_t *cg = f->cg;
    LLVMValueRef cond = cg_expr(f, ir_get_expr(op, "cond"));
    LLVMBasicBlockRef then = block_new(f, "then"), after = block_new(f, "after");
    cg_branch(f, LLVMBuildICmp(cg->b, LLVMIntNE, cond, cg_const(cg, 0), ""), then, after);
    LLVMPositionBuilderAtEnd(cg->b, then);
    cg_staged_t *before = ARENA_ARRAY(&cg->arena, cg_staged_t, XA_ENGINE_COUNT);
    memcpy(before, f->staged, sizeof f->staged);
    size_t mark = cg_scope_mark(f);
    RETURN_IF_ERROR(cg_lower_block(f, op->regions[0]->block));
    LLVMBuildBr(cg->b, after);
    LLVMPositionBuilderAtEnd(cg->b, after);
    cg_scope_leave(f, mark);
    cg_stage_leave_when(f, before);
    return STATUS_OK;
}

// The hart reads one integer; the verifier limits the type to integers.
static status_t lower_read_index(cg_func_t *f, const ir_op_t *op) {
    cg_t *cg = f->cg;
    ir_value_t *buffer = ir_operand(op, 0);
    LLVMValueRef address = cg_address(f, buffer);
    unsigned bits = dtype_bits(buffer->type->elem);
    if (address == NULL || (bits != 8 && bits != 16 && bits != 32 && bits != 64))
        return cg_fail(cg, op, STATUS_INVALID, "read_index of a buffer that the hart cannot read");
    LLVMTypeRef type = LLVMIntTypeInContext(cg->llvm, bits);
    LLVMValueRef pointer = LLVMBuildIntToPtr(cg->b, address, cg->ptr, "");
    LLVMValueRef value = LLVMBuildLoad2(cg->b, type, pointer, "");
    LLVMSetVolatile(value, true);
    value = dtype_class(buffer->type->elem) == 'S' ? LLVMBuildSExt(cg->b, value, cg->i64, "")
                                                   : LLVMBuildZExt(cg->b, value, cg->i64, "");
    cg_set_symbol(f, ir_get(op, "symbol")->symbol, value);
    return STATUS_OK;
}

static status_t lower_one(cg_func_t *f, const ir_op_t *op) {
    switch (op->code) {
    case IR_alloc:
    case IR_weights:
    case IR_view:
    case IR_yield:
        return STATUS_OK; // addresses are made where they are used
    case IR_for:
        return lower_for(f, op);
    case IR_parfor:
        return lower_parfor(f, op);
    case IR_when:
        return lower_when(f, op);
    case IR_read_index:
        return lower_read_index(f, op);
    case IR_dma_in:
    case IR_dma_out:
    case IR_mat:
    case IR_vec:
        return cg_lower_engine_op(f, op);
    case IR_barrier:
    case IR_wait:
    case IR_hold:
    case IR_ticket_keep:
    case IR_ticket_shift:
    case IR_ticket_get:
    case IR_ticket_last:
        return cg_lower_ticket_op(f, op);
    case IR_call:
        return cg_lower_call(f, op);
    default:
        return cg_fail(f->cg, op, STATUS_UNSUPPORTED, "'%s' in a kernel that codegen gets",
                       ir_op_info(op->code)->name);
    }
}

status_t cg_lower_block(cg_func_t *f, const ir_block_t *block) {
    for (const ir_op_t *op = block->first; op; op = op->next)
        RETURN_IF_ERROR(lower_one(f, op));
    return STATUS_OK;
}
