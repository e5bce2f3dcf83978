// SPDX-License-Identifier: Apache-2.0
// What the files of codegen share. One cg_t a compilation, one cg_func_t an LLVM function.
#ifndef CODEGEN_CODEGEN_INTERNAL_H
#define CODEGEN_CODEGEN_INTERNAL_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "codegen/codegen.h"
#include "codegen/desc.h"
#include "support/file.h"

#define CG_MAX_AGES 8

// The program's context: one array of 64-bit words a core, on its stack, that every kernel gets.
enum {
    CG_SLOT_CORE,
    CG_SLOT_CORES,
    CG_SLOT_ARGS,
    CG_SLOT_WEIGHTS,
    CG_SLOT_HEAP,
    CG_SLOT_LAST, // newest ticket of each engine
    CG_SLOT_FIRST_FREE = CG_SLOT_LAST + XA_ENGINE_COUNT,
};

// One entry of the debug map and the function that it stands for.
typedef struct cg_node {
    const char *function;
    const char *name, *op; // ONNX names, joined
    uint64_t elements;
} cg_node_t;

typedef struct cg {
    ir_module_t *m;
    const cg_options_t *options;
    diag_t *diag;
    arena_t arena;
    LLVMContextRef llvm;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMTargetMachineRef machine;
    LLVMTypeRef i8, i32, i64, ptr, void_;
    map_t descs;         // 256 bytes -> LLVMValueRef of the constant
    map_t prepared;      // engine op -> cg_prepared_t *
    map_t program_vars;  // name -> slot of the context
    uint32_t *dim_slots; // symbol id -> slot of the context, 0: none
    uint32_t n_slots;
    uint32_t n_inputs, n_outputs;
    cg_node_t *nodes;
    uint32_t n_nodes;
    LLVMValueRef *kernels; // function of each node
    uint64_t weights_bytes;
    bool uses_devlib; // modules of the operator library were linked: C's library may be called
    const ir_expr_t *heap;
} cg_t;

// What an engine's staging descriptor holds, as far as known.
typedef struct cg_staged {
    LLVMValueRef global;     // constant it was loaded from, or NULL
    uint64_t dirty;          // fields set since
    LLVMValueRef values[64]; // what they were set to, NULL: not known
} cg_staged_t;

typedef struct cg_prepared {
    cg_desc_t desc;
    LLVMValueRef global;
    uint64_t dynamic; // fields set at run time
} cg_prepared_t;

typedef struct cg_var {
    LLVMValueRef ages[CG_MAX_AGES]; // allocas, made on demand; or the program's slot at [0]
    bool program;
} cg_var_t;

typedef struct cg_func {
    cg_t *cg;
    LLVMValueRef fn, ctx;
    LLVMBasicBlockRef entry; // holds allocas and loads of the context, ends in a branch
    LLVMValueRef *symbols;   // by symbol id
    LLVMValueRef *cache;     // by expression id
    size_t cap_cache;
    uint32_t *log; // ids in the cache, in order of entry
    size_t n_log, cap_log;
    LLVMValueRef *args;                 // addresses of the block's arguments
    LLVMValueRef words[CG_SLOT_LAST];   // words of the context that are known, NULL: to be loaded
    map_t tickets;                      // ticket value -> LLVMValueRef
    map_t vars;                         // name -> cg_var_t *
    LLVMValueRef last[XA_ENGINE_COUNT]; // allocas: newest ticket, NULL: not touched
    cg_staged_t staged[XA_ENGINE_COUNT];
} cg_func_t;

// lower_expr.c
LLVMValueRef cg_const(cg_t *cg, int64_t value);
LLVMValueRef cg_expr(cg_func_t *f, const ir_expr_t *e);
// A word of the context, loaded once in the entry block.
LLVMValueRef cg_context(cg_func_t *f, uint32_t slot);
LLVMValueRef cg_context_address(cg_func_t *f, uint32_t slot);
void cg_set_symbol(cg_func_t *f, const ir_symbol_t *symbol, LLVMValueRef value);
// Values made after the mark are forgotten: they do not dominate what follows.
size_t cg_scope_mark(const cg_func_t *f);
void cg_scope_leave(cg_func_t *f, size_t mark);
// Address of a buffer's first element.
LLVMValueRef cg_address(cg_func_t *f, ir_value_t *buffer);
LLVMValueRef cg_entry_alloca(cg_func_t *f, LLVMTypeRef type, const char *name);
void cg_func_begin(cg_func_t *f, cg_t *cg, LLVMValueRef fn);

// xaccel_asm.c
LLVMValueRef cg_asm_issue(cg_t *cg, xa_insn_t insn, LLVMValueRef rs1, LLVMValueRef rs2,
                          LLVMValueRef rs3); // NULL: x0
void cg_asm_load(cg_t *cg, xa_engine_t engine, LLVMValueRef pointer);
void cg_asm_set(cg_t *cg, xa_engine_t engine, uint32_t field, LLVMValueRef value);
void cg_asm_after(cg_t *cg, xa_engine_t queue, xa_engine_t engine, LLVMValueRef ticket);
void cg_asm_wait(cg_t *cg, xa_engine_t engine, LLVMValueRef ticket);
LLVMValueRef cg_asm_barrier(cg_t *cg, xa_engine_t queue);
LLVMValueRef cg_asm_ecall(cg_t *cg, uint32_t number, LLVMValueRef a0);

// lower_op.c
status_t cg_lower_block(cg_func_t *f, const ir_block_t *block);
status_t cg_lower_engine_op(cg_func_t *f, const ir_op_t *op);
status_t cg_prepare(cg_t *cg, const ir_op_t *op, cg_prepared_t **out_prepared);
// lower_ticket.c
status_t cg_lower_ticket_op(cg_func_t *f, const ir_op_t *op);
// The tickets among op's operands from `first` on hold the next issue of `queue`.
status_t cg_after_operands(cg_func_t *f, const ir_op_t *op, uint32_t first, xa_engine_t queue);
void cg_ticket_issued(cg_func_t *f, const ir_op_t *op, xa_engine_t engine, LLVMValueRef ticket);
void cg_tickets_store(cg_func_t *f); // before the function returns
// lower_stage.c
void cg_stage(cg_func_t *f, const cg_prepared_t *p);
status_t cg_stage_enter_loop(cg_func_t *f, const ir_block_t *body);
status_t cg_stage_leave_loop(cg_func_t *f, const ir_block_t *body);
void cg_stage_leave_when(cg_func_t *f, const cg_staged_t before[XA_ENGINE_COUNT]);
void cg_stage_forget(cg_func_t *f);
// lower_call.c
status_t cg_lower_call(cg_func_t *f, const ir_op_t *op);
// lower_main.c
status_t cg_lower_module(cg_t *cg);
status_t cg_fail(cg_t *cg, const ir_op_t *op, status_t code, const char *format, ...)
    PRINTF_LIKE(4, 5);
LLVMValueRef cg_branch(cg_func_t *f, LLVMValueRef cond, LLVMBasicBlockRef yes,
                       LLVMBasicBlockRef no);
// target.c
status_t cg_target_init(cg_t *cg);
status_t cg_target_optimise(cg_t *cg);
status_t cg_target_emit(cg_t *cg, LLVMCodeGenFileType type, LLVMMemoryBufferRef *out_buffer);
// devlib_link.c
status_t cg_devlib_link(cg_t *cg);
// link.c
status_t cg_link(cg_t *cg, const void *object, size_t bytes, const char *out_path,
                 file_map_t *out_elf);
// note.c
void cg_note_add(cg_t *cg);
// image_write.c
status_t cg_image_write(cg_t *cg, const uint8_t *elf, size_t elf_bytes, const char *out_path);

#endif
