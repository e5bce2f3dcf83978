// SPDX-License-Identifier: Apache-2.0
// Xaccel instructions as LLVM inline assembly, `.insn` lines made from isa/xaccel.def.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "codegen/codegen_internal.h"
#include "isa/encode.h"

// An inline assembly call. With `memory`, it may read and write what the program sees.
static LLVMValueRef emit(cg_t *cg, const char *text, const char *constraints, bool result,
                         uint32_t n, LLVMValueRef *operands) {
    LLVMTypeRef types[4];
    assert(n <= 4);
    for (uint32_t i = 0; i < n; i++)
        types[i] = LLVMTypeOf(operands[i]);
    LLVMTypeRef type = LLVMFunctionType(result ? cg->i64 : cg->void_, types, n, false);
    LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints),
                                         true, false, LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(cg->b, type, code, operands, n, "");
}

LLVMValueRef cg_asm_issue(cg_t *cg, xa_insn_t insn, LLVMValueRef rs1, LLVMValueRef rs2,
                          LLVMValueRef rs3) {
    const isa_insn_row_t *row = &isa_insns[insn];
    LLVMValueRef sources[3] = {rs1, rs2, rs3}, operands[3];
    char names[3][4], text[96], constraints[48] = "=r";
    uint32_t n = 0;
    for (int i = 0; i < 3; i++) {
        if (sources[i] == NULL) {
            strcpy(names[i], "x0");
            continue;
        }
        snprintf(names[i], sizeof names[i], "$%u", n + 1);
        operands[n++] = sources[i];
        strcat(constraints, ",r");
    }
    strcat(constraints, ",~{memory}");
    snprintf(text, sizeof text, ".insn r4 0x%x, %u, %u, $0, %s, %s, %s", row->opcode, row->funct3,
             row->funct2, names[0], names[1], names[2]);
    return emit(cg, text, constraints, true, n, operands);
}

static void emit_i(cg_t *cg, xa_insn_t insn, uint32_t immediate, const char *constraints,
                   LLVMValueRef operand) {
    const isa_insn_row_t *row = &isa_insns[insn];
    char text[96];
    snprintf(text, sizeof text, ".insn i 0x%x, %u, x0, $0, %u", row->opcode, row->funct3,
             immediate);
    (void)emit(cg, text, constraints, false, 1, &operand);
}

void cg_asm_load(cg_t *cg, xa_engine_t engine, LLVMValueRef pointer) {
    emit_i(cg, XA_I_CFG_LOAD, engine, "r", pointer); // constants only: clobbers nothing
}

void cg_asm_set(cg_t *cg, xa_engine_t engine, uint32_t field, LLVMValueRef value) {
    emit_i(cg, XA_I_CFG_SET, isa_imm_field(engine, field), "r", value);
}

void cg_asm_after(cg_t *cg, xa_engine_t queue, xa_engine_t engine, LLVMValueRef ticket) {
    emit_i(cg, XA_I_AFTER, isa_imm_ticket(queue, engine), "r", ticket);
}

void cg_asm_wait(cg_t *cg, xa_engine_t engine, LLVMValueRef ticket) {
    emit_i(cg, XA_I_WAIT, isa_imm_ticket(0, engine), "r,~{memory}", ticket);
}

LLVMValueRef cg_asm_barrier(cg_t *cg, xa_engine_t queue) {
    const isa_insn_row_t *row = &isa_insns[XA_I_BARRIER];
    char text[96];
    snprintf(text, sizeof text, ".insn i 0x%x, %u, $0, x0, %u", row->opcode, row->funct3,
             (unsigned)queue);
    return emit(cg, text, "=r,~{memory}", true, 0, NULL);
}

LLVMValueRef cg_asm_ecall(cg_t *cg, uint32_t number, LLVMValueRef a0) {
    LLVMValueRef operands[2] = {cg_const(cg, number), a0};
    return emit(cg, "ecall", "={x10},{x17},{x10},~{memory}", true, 2, operands);
}
