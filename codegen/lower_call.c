// SPDX-License-Identifier: Apache-2.0
// Calls of the operator library: core 0 fills the argument record of devlib.h and calls.
#include <string.h>

#include "codegen/codegen_internal.h"
#include "codegen/devlib/devlib.h"
#include "ir/access.h"

// `n` words on the stack.
static LLVMValueRef words(cg_func_t *f, uint32_t n, const char *name) {
    return cg_entry_alloca(f, LLVMArrayType2(f->cg->i64, n > 0 ? n : 1), name);
}

static void store_word(cg_func_t *f, LLVMValueRef base, uint32_t index, LLVMValueRef value) {
    cg_t *cg = f->cg;
    LLVMValueRef at = LLVMConstInt(cg->i32, index, false);
    LLVMBuildStore(cg->b, value, LLVMBuildInBoundsGEP2(cg->b, cg->i64, base, &at, 1, ""));
}

static LLVMValueRef address_of(cg_func_t *f, LLVMValueRef pointer) {
    return LLVMBuildPtrToInt(f->cg->b, pointer, f->cg->i64, "");
}

enum { BUFFER_WORDS = sizeof(dl_buffer_t) / 8, DIMS_WORD = 2, STRIDES_WORD = 2 + DL_MAX_RANK };

static status_t store_buffer(cg_func_t *f, const ir_op_t *op, uint32_t i, LLVMValueRef base) {
    ir_value_t *value = ir_operand(op, i);
    LLVMValueRef address = value ? cg_address(f, value) : cg_const(f->cg, 0);
    if (address == NULL || (value && value->type->rank > DL_MAX_RANK))
        return cg_fail(f->cg, op, STATUS_INVALID, "operand %u of a call has no address", i);
    uint32_t at = i * BUFFER_WORDS, rank = value ? value->type->rank : 0;
    store_word(f, base, at, address);
    uint64_t elem = value ? (uint64_t)value->type->elem : 0;
    store_word(f, base, at + 1, cg_const(f->cg, (int64_t)(elem | (uint64_t)rank << 32)));
    for (uint32_t d = 0; d < rank; d++) {
        store_word(f, base, at + DIMS_WORD + d, cg_expr(f, value->type->dims[d]));
        store_word(f, base, at + STRIDES_WORD + d, cg_expr(f, value->type->strides[d]));
    }
    return STATUS_OK;
}

static LLVMValueRef store_ints(cg_func_t *f, const ir_attr_t *ints) {
    LLVMValueRef base = words(f, (uint32_t)ints->n, "ints");
    for (uint32_t i = 0; i < ints->n; i++)
        store_word(f, base, i, cg_expr(f, ints->exprs[i]));
    return address_of(f, base);
}

static LLVMValueRef store_floats(cg_func_t *f, const ir_attr_t *floats) {
    LLVMValueRef base = words(f, (uint32_t)floats->n, "floats");
    for (uint32_t i = 0; i < floats->n; i++) {
        int64_t bits;
        memcpy(&bits, &floats->floats[i], sizeof bits);
        store_word(f, base, i, cg_const(f->cg, bits));
    }
    return address_of(f, base);
}

static LLVMValueRef declare(cg_t *cg, const char *name) {
    char symbol[128];
    snprintf(symbol, sizeof symbol, "dl_%s", name);
    LLVMValueRef fn = LLVMGetNamedFunction(cg->mod, symbol);
    return fn ? fn
              : LLVMAddFunction(cg->mod, symbol, LLVMFunctionType(cg->void_, &cg->ptr, 1, false));
}

static status_t build_call(cg_func_t *f, const ir_op_t *op, const char *name) {
    cg_t *cg = f->cg;
    uint32_t n = op->n_operands;
    LLVMValueRef buffers = words(f, n * BUFFER_WORDS, "buffers");
    LLVMValueRef args = words(f, sizeof(dl_args_t) / 8, "args");
    for (uint32_t i = 0; i < n; i++)
        RETURN_IF_ERROR(store_buffer(f, op, i, buffers));
    const ir_attr_t *ints = ir_get(op, "ints"), *floats = ir_get(op, "floats");
    uint64_t n_ints = ints ? ints->n : 0, n_floats = floats ? floats->n : 0;
    uint64_t n_inputs = (uint64_t)ir_get_int(op, "n_inputs", 0);
    store_word(f, args, 0, cg_const(cg, (int64_t)(n | n_inputs << 32)));
    store_word(f, args, 1, cg_const(cg, (int64_t)(n_ints | n_floats << 32)));
    store_word(f, args, 2, address_of(f, buffers));
    store_word(f, args, 3, n_ints > 0 ? store_ints(f, ints) : cg_const(cg, 0));
    store_word(f, args, 4, n_floats > 0 ? store_floats(f, floats) : cg_const(cg, 0));
    LLVMValueRef fn = declare(cg, name);
    LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, &args, 1, "");
    return STATUS_OK;
}

status_t cg_lower_call(cg_func_t *f, const ir_op_t *op) {
    cg_t *cg = f->cg;
    const char *name = ir_get_string(op, "fn", "");
    if (!cg_devlib_has(name))
        return cg_fail(cg, op, STATUS_UNSUPPORTED, "the operator library has no '%s'", name);
    LLVMBasicBlockRef then = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "call");
    LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "after");
    LLVMValueRef core = cg_context(f, CG_SLOT_CORE);
    cg_branch(f, LLVMBuildICmp(cg->b, LLVMIntEQ, core, cg_const(cg, 0), ""), then, after);
    LLVMPositionBuilderAtEnd(cg->b, then);
    size_t mark = cg_scope_mark(f);
    RETURN_IF_ERROR(build_call(f, op, name));
    LLVMBuildBr(cg->b, after);
    LLVMPositionBuilderAtEnd(cg->b, after);
    cg_scope_leave(f, mark);
    cg_stage_forget(f);
    return STATUS_OK;
}
