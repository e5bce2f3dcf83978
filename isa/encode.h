// SPDX-License-Identifier: Apache-2.0
// Instruction words of Xaccel: encode, decode, disassemble, and the inline assembly by which stock
// LLVM emits them. All from isa/xaccel.def. Freestanding.
#ifndef ISA_ENCODE_H
#define ISA_ENCODE_H

#include "isa/table.h"

// Register numbers (x0 to x31) and the 12-bit immediate. Unused ones are zero.
typedef struct isa_operands {
    uint8_t rd, rs1, rs2, rs3;
    uint16_t imm;
} isa_operands_t;

// Immediates by format: CI, CF and CT.
static inline uint16_t isa_imm_engine(unsigned engine) { return (uint16_t)engine; }
static inline uint16_t isa_imm_field(unsigned engine, unsigned field) {
    return (uint16_t)(engine << 8 | field);
}
// xa.after: `queue` waits for a ticket of `engine`. xa.wait: queue 0.
static inline uint16_t isa_imm_ticket(unsigned queue, unsigned engine) {
    return (uint16_t)(queue | engine << 4);
}
static inline unsigned isa_imm_field_engine(uint16_t imm) { return imm >> 8; }
static inline unsigned isa_imm_field_index(uint16_t imm) { return imm & 0xffu; }
static inline unsigned isa_imm_ticket_queue(uint16_t imm) { return imm & 0xfu; }
static inline unsigned isa_imm_ticket_engine(uint16_t imm) { return imm >> 4; }

// False when an operand has no place in the format, or names no engine, queue or field.
bool isa_encode(xa_insn_t insn, const isa_operands_t *operands, uint32_t *out_word);
// False when the word is no Xaccel instruction: reserved bits are checked (illegal instruction).
bool isa_decode(uint32_t word, xa_insn_t *out_insn, isa_operands_t *out_operands);
// True for the opcodes custom-0 to custom-2.
static inline bool isa_is_xaccel(uint32_t word) {
    uint32_t opcode = word & 0x7fu;
    return opcode == 0x0b || opcode == 0x2b || opcode == 0x5b;
}

// "xa.dma.in a0, a1, a2, a3"; ".word 0x..." for what is no Xaccel instruction. Returns the length
// wanted; writes at most `capacity` bytes with the NUL.
size_t isa_disassemble(uint32_t word, char *out_text, size_t capacity);
const char *isa_register_name(unsigned number); // "zero", "ra", ...

// Inline assembly for LLVM: template with $n operands and the constraint string, for a call that
// has side effects. Operands: R4: (rs1, rs2, rs3) -> ticket; BARRIER: () -> ticket; the others:
// rs1. Returns the template's length, or 0 when `imm` is wrong for `insn`.
size_t isa_asm_template(xa_insn_t insn, uint16_t imm, char *out_text, size_t capacity,
                        const char **out_constraints);

#endif
