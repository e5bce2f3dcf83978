// SPDX-License-Identifier: Apache-2.0
// The program: `_start` reads the argument block, checks shapes, asks for heap, runs kernel after
// kernel, and reports output shapes. One function a kernel.
#include <stdarg.h>
#include <string.h>

#include "codegen/codegen_internal.h"
#include "ir/access.h"
#include "isa/program.h"

status_t cg_fail(cg_t *cg, const ir_op_t *op, status_t code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(&cg->arena, format, args);
    va_end(args);
    diag_where_t where = {.pass = "codegen"};
    const ir_op_t *owner = op;
    while (owner && owner->n_origins == 0 && owner->block && owner->block->region->op)
        owner = owner->block->region->op;
    if (owner && owner->n_origins > 0) {
        where.node = owner->origins[0]->node;
        where.op = owner->origins[0]->op;
    }
    return DIAG_FAIL(cg->diag, code, &where, NULL, "%s", text);
}

// --- Inputs and outputs
// ---------------------------------------------------------------------------

// Outputs are the arguments from the first one that a kernel writes, unless `return` says it.
static uint32_t count_inputs(cg_t *cg, const ir_block_t *main_block) {
    uint32_t n = main_block->n_args;
    const ir_op_t *ret = main_block->last;
    if (ret && ir_get(ret, "n_inputs"))
        return (uint32_t)ir_get_int(ret, "n_inputs", 0);
    for (const ir_op_t *op = main_block->first; op; op = op->next) {
        if (op->code != IR_kernel)
            continue;
        for (uint32_t i = (uint32_t)ir_get_int(op, "n_inputs", 0); i < op->n_operands; i++) {
            ir_ref_t ref = ir_ref_of(cg->m, ir_operand(op, i));
            if (ref.root->def == NULL && ref.root->index < n)
                n = ref.root->index;
        }
    }
    return n;
}

static void number_symbols(cg_t *cg) {
    cg->n_slots = CG_SLOT_FIRST_FREE;
    cg->dim_slots = ARENA_ARRAY(&cg->arena, uint32_t, cg->m->n_symbols + 1);
    for (size_t i = 0; i < cg->m->n_symbols; i++)
        if (cg->m->symbols[i]->kind == IR_SYMBOL_DIM)
            cg->dim_slots[cg->m->symbols[i]->id] = cg->n_slots++;
}

// --- Kernels
// --------------------------------------------------------------------------------------

static const char *join_origins(cg_t *cg, const ir_op_t *op, bool names) {
    const char *text = "";
    for (uint32_t i = 0; i < op->n_origins; i++) {
        const char *part = names ? op->origins[i]->node : op->origins[i]->op;
        text = i == 0 ? part : arena_printf(&cg->arena, "%s + %s", text, part);
    }
    return text;
}

static uint64_t output_elements(cg_t *cg, const ir_op_t *kernel) {
    uint64_t total = 0;
    for (uint32_t i = (uint32_t)ir_get_int(kernel, "n_inputs", 0); i < kernel->n_operands; i++) {
        const ir_expr_t *n = ir_type_elements(cg->m, ir_operand(kernel, i)->type);
        if (!ir_expr_is_const(n))
            return 0;
        total += (uint64_t)n->value;
    }
    return total;
}

static void add_attribute(cg_t *cg, LLVMValueRef fn, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(cg->llvm, kind, 0));
}

// Nothing may turn stores into calls of a C library that is not there.
static void forbid_libcalls(cg_t *cg, LLVMValueRef fn) {
    static const char name[] = "no-builtins";
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(cg->llvm, name, sizeof name - 1, "", 0));
}

static LLVMValueRef declare_kernel(cg_t *cg, const ir_op_t *kernel, const char *name) {
    LLVMTypeRef *types = ARENA_ARRAY(&cg->arena, LLVMTypeRef, kernel->n_operands + 1);
    types[0] = cg->ptr;
    for (uint32_t i = 0; i < kernel->n_operands; i++)
        types[i + 1] = cg->i64;
    LLVMTypeRef type = LLVMFunctionType(cg->void_, types, kernel->n_operands + 1, false);
    LLVMValueRef fn = LLVMAddFunction(cg->mod, name, type);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    add_attribute(cg, fn, "noinline");
    add_attribute(cg, fn, "nounwind");
    forbid_libcalls(cg, fn);
    return fn;
}

static status_t lower_kernel(cg_t *cg, const ir_op_t *kernel) {
    if (strcmp(ir_get_string(kernel, "stage", ""), "tile") != 0)
        return cg_fail(cg, kernel, STATUS_INVALID, "a kernel was not tiled");
    uint32_t index = cg->n_nodes++;
    cg_node_t *node = &cg->nodes[index];
    node->function = arena_printf(&cg->arena, "kernel.%u", index);
    node->name = join_origins(cg, kernel, true);
    node->op = join_origins(cg, kernel, false);
    node->elements = output_elements(cg, kernel);
    LLVMValueRef fn = declare_kernel(cg, kernel, node->function);
    cg->kernels[index] = fn;
    cg_func_t *f = ARENA_NEW(&cg->arena, cg_func_t);
    cg_func_begin(f, cg, fn);
    f->ctx = LLVMGetParam(fn, 0);
    f->args = ARENA_ARRAY(&cg->arena, LLVMValueRef, kernel->n_operands + 1);
    for (uint32_t i = 0; i < kernel->n_operands; i++)
        f->args[i] = LLVMGetParam(fn, i + 1);
    (void)cg_asm_ecall(cg, ISA_ECALL_NODE, cg_const(cg, index));
    RETURN_IF_ERROR(cg_lower_block(f, kernel->regions[0]->block));
    cg_tickets_store(f);
    LLVMBuildRetVoid(cg->b);
    return STATUS_OK;
}

// --- The start of the program
// -----------------------------------------------------------------------

static LLVMValueRef field_pointer(cg_func_t *f, LLVMValueRef args, uint64_t byte_offset) {
    LLVMValueRef offset = cg_const(f->cg, (int64_t)byte_offset);
    return LLVMBuildInBoundsGEP2(f->cg->b, f->cg->i8, args, &offset, 1, "");
}

static LLVMValueRef load_field(cg_func_t *f, LLVMValueRef args, uint64_t byte_offset) {
    return LLVMBuildLoad2(f->cg->b, f->cg->i64, field_pointer(f, args, byte_offset), "");
}

static uint64_t io_offset(uint32_t io, size_t field) {
    return sizeof(isa_args_t) + io * sizeof(isa_args_io_t) + field;
}

static void exit_with(cg_func_t *f, uint32_t code) {
    (void)cg_asm_ecall(f->cg, ISA_ECALL_EXIT, cg_const(f->cg, code));
    LLVMBuildUnreachable(f->cg->b);
}

// Leaves with `code` unless `good`.
static void require(cg_func_t *f, LLVMValueRef good, uint32_t code) {
    cg_t *cg = f->cg;
    LLVMBasicBlockRef bad = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "bad");
    LLVMBasicBlockRef on = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "on");
    cg_branch(f, good, on, bad);
    LLVMPositionBuilderAtEnd(cg->b, bad);
    exit_with(f, code);
    LLVMPositionBuilderAtEnd(cg->b, on);
}

// The first input dim that is a symbol alone defines it.
static void define_symbols(cg_func_t *f, const ir_block_t *main_block, LLVMValueRef args) {
    for (uint32_t i = 0; i < f->cg->n_inputs; i++) {
        const ir_type_t *type = main_block->args[i]->type;
        for (uint32_t d = 0; d < type->rank; d++) {
            const ir_expr_t *e = type->dims[d];
            if (e->kind != IR_EXPR_SYMBOL || f->symbols[e->symbol->id] != NULL)
                continue;
            LLVMValueRef value = load_field(
                f, args, io_offset(i, offsetof(isa_args_io_t, dims) + d * sizeof(uint64_t)));
            cg_set_symbol(f, e->symbol, value);
            LLVMBuildStore(f->cg->b, value, cg_context_address(f, f->cg->dim_slots[e->symbol->id]));
        }
    }
}

// A symbol that no input defines counts as its least value (only unused ones are left so).
static void define_the_rest(cg_func_t *f) {
    for (size_t i = 0; i < f->cg->m->n_symbols; i++) {
        const ir_symbol_t *symbol = f->cg->m->symbols[i];
        if (symbol->kind != IR_SYMBOL_DIM || f->symbols[symbol->id] != NULL)
            continue;
        LLVMValueRef value = cg_const(f->cg, symbol->min);
        cg_set_symbol(f, symbol, value);
        LLVMBuildStore(f->cg->b, value, cg_context_address(f, f->cg->dim_slots[symbol->id]));
    }
}

static LLVMValueRef all_of(cg_t *cg, LLVMValueRef so_far, LLVMValueRef more) {
    return so_far ? LLVMBuildAnd(cg->b, so_far, more, "") : more;
}

// Every dim of every input is what its expression says, and every symbol inside its bounds.
static void check_shapes(cg_func_t *f, const ir_block_t *main_block, LLVMValueRef args) {
    cg_t *cg = f->cg;
    LLVMValueRef good = NULL;
    for (uint32_t i = 0; i < cg->n_inputs; i++) {
        const ir_type_t *type = main_block->args[i]->type;
        for (uint32_t d = 0; d < type->rank; d++) {
            LLVMValueRef is = load_field(
                f, args, io_offset(i, offsetof(isa_args_io_t, dims) + d * sizeof(uint64_t)));
            LLVMValueRef must = cg_expr(f, type->dims[d]);
            good = all_of(cg, good, LLVMBuildICmp(cg->b, LLVMIntEQ, is, must, ""));
        }
    }
    for (size_t i = 0; i < cg->m->n_symbols; i++) {
        const ir_symbol_t *symbol = cg->m->symbols[i];
        if (symbol->kind != IR_SYMBOL_DIM)
            continue;
        LLVMValueRef value = f->symbols[symbol->id];
        LLVMValueRef low = cg_const(cg, symbol->min), high = cg_const(cg, symbol->max);
        good = all_of(cg, good, LLVMBuildICmp(cg->b, LLVMIntSGE, value, low, ""));
        good = all_of(cg, good, LLVMBuildICmp(cg->b, LLVMIntSLE, value, high, ""));
    }
    if (good != NULL)
        require(f, good, ISA_EXIT_SHAPE);
}

// Bytes that an argument has, and whole pages of them.
static const ir_expr_t *type_bytes(cg_t *cg, const ir_type_t *type) {
    ir_module_t *m = cg->m;
    const ir_expr_t *bits = ir_mulc(m, ir_type_elements(m, type), dtype_bits(type->elem));
    return ir_ceildiv(m, bits, ir_const(m, 8));
}

static const ir_expr_t *type_pages(cg_t *cg, const ir_type_t *type) {
    ir_module_t *m = cg->m;
    return ir_mulc(m, ir_ceildiv(m, type_bytes(cg, type), ir_const(m, 4096)), 4096);
}

// The caller gave an output no place, or one that is too small for it.
static LLVMValueRef lacks_place(cg_func_t *f, const ir_type_t *type, uint32_t i, LLVMValueRef args,
                                LLVMValueRef va) {
    cg_t *cg = f->cg;
    LLVMValueRef room = load_field(f, args, io_offset(i, offsetof(isa_args_io_t, bytes)));
    LLVMValueRef bytes = cg_expr(f, type_bytes(cg, type));
    LLVMValueRef none = LLVMBuildICmp(cg->b, LLVMIntEQ, va, cg_const(cg, 0), "");
    LLVMValueRef small = LLVMBuildICmp(cg->b, LLVMIntULT, room, bytes, "");
    return LLVMBuildOr(cg->b, none, small, "");
}

// Bases of all arguments; outputs without a (large enough) place get one in the heap behind the
// program's own buffers, whose need is asked for by every core before any work.
static void place_arguments(cg_func_t *f, const ir_block_t *main_block, LLVMValueRef args) {
    cg_t *cg = f->cg;
    LLVMValueRef heap = f->words[CG_SLOT_HEAP], need = cg_expr(f, cg->heap);
    for (uint32_t i = 0; i < main_block->n_args; i++) {
        LLVMValueRef va = load_field(f, args, io_offset(i, offsetof(isa_args_io_t, va)));
        if (i >= cg->n_inputs) {
            const ir_type_t *type = main_block->args[i]->type;
            LLVMValueRef here = lacks_place(f, type, i, args, va);
            LLVMValueRef bytes = cg_expr(f, type_pages(cg, type));
            LLVMValueRef in_heap = LLVMBuildAdd(cg->b, heap, need, "");
            va = LLVMBuildSelect(cg->b, here, in_heap, va, "");
            LLVMValueRef more = LLVMBuildSelect(cg->b, here, bytes, cg_const(cg, 0), "");
            need = LLVMBuildAdd(cg->b, need, more, "");
        }
        f->args[i] = va;
    }
    LLVMValueRef have = load_field(f, args, offsetof(isa_args_t, heap_bytes));
    LLVMValueRef enough = LLVMBuildICmp(cg->b, LLVMIntULE, need, have, "");
    LLVMBasicBlockRef grow = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "grow");
    LLVMBasicBlockRef on = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "on");
    cg_branch(f, enough, on, grow);
    LLVMPositionBuilderAtEnd(cg->b, grow);
    LLVMValueRef refused = cg_asm_ecall(cg, ISA_ECALL_HEAP, need);
    require(f, LLVMBuildICmp(cg->b, LLVMIntEQ, refused, cg_const(cg, 0), ""), ISA_EXIT_HEAP);
    LLVMBuildBr(cg->b, on);
    LLVMPositionBuilderAtEnd(cg->b, on);
}

static void begin_context(cg_func_t *f, LLVMValueRef args) {
    cg_t *cg = f->cg;
    LLVMValueRef words[CG_SLOT_LAST] = {
        [CG_SLOT_CORE] = LLVMGetParam(f->fn, 1),
        [CG_SLOT_CORES] = LLVMGetParam(f->fn, 2),
        [CG_SLOT_ARGS] = LLVMBuildPtrToInt(cg->b, args, cg->i64, ""),
        [CG_SLOT_WEIGHTS] = load_field(f, args, offsetof(isa_args_t, weights)),
        [CG_SLOT_HEAP] = load_field(f, args, offsetof(isa_args_t, heap)),
    };
    memcpy(f->words, words, sizeof words);
    for (uint32_t slot = 0; slot < CG_SLOT_LAST; slot++)
        LLVMBuildStore(cg->b, words[slot], cg_context_address(f, slot));
    uint32_t first_var = cg->n_slots - (uint32_t)cg->program_vars.n_entries;
    for (uint32_t slot = CG_SLOT_LAST; slot < cg->n_slots; slot++)
        if (slot < CG_SLOT_FIRST_FREE || slot >= first_var)
            LLVMBuildStore(cg->b, cg_const(cg, 0), cg_context_address(f, slot));
}

static status_t call_kernels(cg_func_t *f, const ir_block_t *main_block) {
    cg_t *cg = f->cg;
    uint32_t index = 0;
    for (const ir_op_t *op = main_block->first; op; op = op->next) {
        if (op->code != IR_kernel)
            continue;
        LLVMValueRef *operands = ARENA_ARRAY(&cg->arena, LLVMValueRef, op->n_operands + 1);
        operands[0] = f->ctx;
        for (uint32_t i = 0; i < op->n_operands; i++) {
            operands[i + 1] = cg_address(f, ir_operand(op, i));
            if (operands[i + 1] == NULL)
                return cg_fail(cg, op, STATUS_INVALID, "operand %u has no offset", i);
        }
        LLVMValueRef fn = cg->kernels[index++];
        LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, operands, op->n_operands + 1, "");
    }
    return STATUS_OK;
}

// Core 0 says what the outputs became, when every core is done.
static void report_outputs(cg_func_t *f, const ir_block_t *main_block, LLVMValueRef args) {
    cg_t *cg = f->cg;
    LLVMBasicBlockRef report = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "report");
    LLVMBasicBlockRef end = LLVMAppendBasicBlockInContext(cg->llvm, f->fn, "end");
    LLVMValueRef core = f->words[CG_SLOT_CORE];
    cg_branch(f, LLVMBuildICmp(cg->b, LLVMIntEQ, core, cg_const(cg, 0), ""), report, end);
    LLVMPositionBuilderAtEnd(cg->b, report);
    for (uint32_t i = cg->n_inputs; i < main_block->n_args; i++) {
        const ir_type_t *type = main_block->args[i]->type;
        LLVMBuildStore(cg->b, f->args[i],
                       field_pointer(f, args, io_offset(i, offsetof(isa_args_io_t, va))));
        for (uint32_t d = 0; d < type->rank; d++) {
            uint64_t at = io_offset(i, offsetof(isa_args_io_t, dims) + d * sizeof(uint64_t));
            LLVMBuildStore(cg->b, cg_expr(f, type->dims[d]), field_pointer(f, args, at));
        }
    }
    LLVMBuildBr(cg->b, end);
    LLVMPositionBuilderAtEnd(cg->b, end);
}

static status_t lower_start(cg_t *cg, const ir_block_t *main_block) {
    LLVMTypeRef types[3] = {cg->ptr, cg->i64, cg->i64};
    LLVMValueRef fn =
        LLVMAddFunction(cg->mod, "_start", LLVMFunctionType(cg->void_, types, 3, false));
    add_attribute(cg, fn, "nounwind");
    add_attribute(cg, fn, "noreturn");
    forbid_libcalls(cg, fn);
    cg_func_t *f = ARENA_NEW(&cg->arena, cg_func_t);
    cg_func_begin(f, cg, fn);
    LLVMValueRef args = LLVMGetParam(fn, 0);
    f->args = ARENA_ARRAY(&cg->arena, LLVMValueRef, main_block->n_args + 1);
    f->ctx = cg_entry_alloca(f, LLVMArrayType2(cg->i64, cg->n_slots), "ctx");
    begin_context(f, args);
    define_symbols(f, main_block, args);
    define_the_rest(f);
    check_shapes(f, main_block, args);
    place_arguments(f, main_block, args);
    RETURN_IF_ERROR(call_kernels(f, main_block));
    cg_asm_wait(cg, XA_DMAO, cg_asm_barrier(cg, XA_DMAO));
    report_outputs(f, main_block, args);
    exit_with(f, ISA_EXIT_OK);
    return STATUS_OK;
}

status_t cg_lower_module(cg_t *cg) {
    if (cg->m->funcs == NULL || cg->m->funcs->body->block->last == NULL)
        return cg_fail(cg, NULL, STATUS_INVALID, "the module has no @main");
    const ir_block_t *main_block = cg->m->funcs->body->block;
    cg->n_inputs = count_inputs(cg, main_block);
    cg->n_outputs = main_block->n_args - cg->n_inputs;
    cg->heap = ir_get_expr(main_block->last, "heap");
    if (cg->heap == NULL)
        cg->heap = ir_const(cg->m, 0);
    cg->weights_bytes = (uint64_t)ir_get_int(main_block->last, "weights_bytes", 0);
    number_symbols(cg);
    size_t n_kernels = 0;
    for (const ir_op_t *op = main_block->first; op; op = op->next)
        n_kernels += op->code == IR_kernel;
    cg->nodes = ARENA_ARRAY(&cg->arena, cg_node_t, n_kernels);
    cg->kernels = ARENA_ARRAY(&cg->arena, LLVMValueRef, n_kernels);
    for (const ir_op_t *op = main_block->first; op; op = op->next)
        if (op->code == IR_kernel)
            RETURN_IF_ERROR(lower_kernel(cg, op));
    return lower_start(cg, main_block);
}
