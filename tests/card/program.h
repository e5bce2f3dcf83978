// SPDX-License-Identifier: Apache-2.0
// Hand-written programs: a few RV64 instructions and all of Xaccel as words.
#ifndef CARD_PROGRAM_H
#define CARD_PROGRAM_H

#include <stdint.h>

#include "isa/encode.h"
#include "isa/program.h"
#include "tests/card/check.h"

enum { ZERO, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7 };
enum { S2 = 18, S3, S4, S5, S6, S7, S8, S9, S10, S11, T3, T4, T5, T6 };

#define PROGRAM_WORDS 1024u

typedef struct program {
    uint32_t words[PROGRAM_WORDS];
    uint32_t n;
} program_t;

static inline uint32_t emit(program_t *p, uint32_t word) {
    CHECK(p->n < PROGRAM_WORDS);
    p->words[p->n] = word;
    return p->n++;
}

static inline void insn_i(program_t *p, uint32_t opcode, uint32_t funct3, uint32_t rd, uint32_t rs1,
                          int32_t imm) {
    emit(p, opcode | rd << 7 | funct3 << 12 | rs1 << 15 | (uint32_t)imm << 20);
}

static inline void addi(program_t *p, uint32_t rd, uint32_t rs1, int32_t imm) {
    insn_i(p, 0x13, 0, rd, rs1, imm);
}
static inline void slli(program_t *p, uint32_t rd, uint32_t rs1, int32_t shift) {
    insn_i(p, 0x13, 1, rd, rs1, shift);
}
static inline void ld(program_t *p, uint32_t rd, uint32_t rs1, int32_t imm) {
    insn_i(p, 0x03, 3, rd, rs1, imm);
}
static inline void insn_s(program_t *p, uint32_t funct3, uint32_t rs2, uint32_t rs1, int32_t imm) {
    emit(p, 0x23 | ((uint32_t)imm & 31) << 7 | funct3 << 12 | rs1 << 15 | rs2 << 20 |
                ((uint32_t)imm >> 5 & 127) << 25);
}
static inline void sd(program_t *p, uint32_t rs2, uint32_t rs1, int32_t imm) {
    insn_s(p, 3, rs2, rs1, imm);
}
static inline void add(program_t *p, uint32_t rd, uint32_t rs1, uint32_t rs2) {
    emit(p, 0x33 | rd << 7 | rs1 << 15 | rs2 << 20);
}
static inline void mul(program_t *p, uint32_t rd, uint32_t rs1, uint32_t rs2) {
    emit(p, 0x33 | rd << 7 | rs1 << 15 | rs2 << 20 | 1u << 25);
}
// rd = memory at rs1; memory += rs2 (or = rs2).
static inline void amoadd(program_t *p, uint32_t rd, uint32_t rs2, uint32_t rs1) {
    emit(p, 0x2f | rd << 7 | 3u << 12 | rs1 << 15 | rs2 << 20 | 3u << 25);
}
static inline void amoswap(program_t *p, uint32_t rd, uint32_t rs2, uint32_t rs1) {
    emit(p, 0x2f | rd << 7 | 3u << 12 | rs1 << 15 | rs2 << 20 | 3u << 25 | 1u << 27);
}
static inline void ecall(program_t *p) { emit(p, 0x73); }
static inline void ebreak(program_t *p) { emit(p, 0x100073); }

// bne (or beq) to the instruction of index `target`.
static inline uint32_t branch_word(uint32_t funct3, uint32_t rs1, uint32_t rs2, int32_t offset) {
    uint32_t o = (uint32_t)offset;
    return 0x63 | (o >> 11 & 1) << 7 | (o >> 1 & 15) << 8 | funct3 << 12 | rs1 << 15 | rs2 << 20 |
           (o >> 5 & 63) << 25 | (o >> 12 & 1) << 31;
}
static inline void bne(program_t *p, uint32_t rs1, uint32_t rs2, uint32_t target) {
    emit(p, branch_word(1, rs1, rs2, ((int32_t)target - (int32_t)p->n) * 4));
}
// A branch forward, to be closed by patch() at its target.
static inline uint32_t forward(program_t *p, uint32_t funct3, uint32_t rs1, uint32_t rs2) {
    return emit(p, branch_word(funct3, rs1, rs2, 0));
}
static inline void patch(program_t *p, uint32_t at) {
    p->words[at] |= branch_word(0, 0, 0, (int32_t)(p->n - at) * 4) & ~0x7fu;
}

static inline void li(program_t *p, uint32_t rd, uint64_t value) {
    addi(p, rd, ZERO, 0);
    for (int shift = 55; shift >= 0; shift -= 11) {
        slli(p, rd, rd, 11);
        // 11 bits are never negative as an immediate.
        addi(p, rd, rd, (int32_t)(value >> shift & 0x7ff));
    }
}

static inline void xa(program_t *p, xa_insn_t insn, isa_operands_t operands) {
    uint32_t word;
    CHECK(isa_encode(insn, &operands, &word));
    emit(p, word);
}
static inline void barrier(program_t *p, uint32_t rd, xa_engine_t queue) {
    xa(p, XA_I_BARRIER, (isa_operands_t){.rd = (uint8_t)rd, .imm = isa_imm_engine(queue)});
}
static inline void wait_ticket(program_t *p, uint32_t rs1, xa_engine_t engine) {
    xa(p, XA_I_WAIT, (isa_operands_t){.rs1 = (uint8_t)rs1, .imm = isa_imm_ticket(0, engine)});
}
static inline void after_ticket(program_t *p, xa_engine_t queue, uint32_t rs1, xa_engine_t engine) {
    xa(p, XA_I_AFTER, (isa_operands_t){.rs1 = (uint8_t)rs1, .imm = isa_imm_ticket(queue, engine)});
}
static inline void cfg_load(program_t *p, xa_engine_t engine, uint32_t rs1) {
    xa(p, XA_I_CFG_LOAD, (isa_operands_t){.rs1 = (uint8_t)rs1, .imm = isa_imm_engine(engine)});
}
static inline void cfg_set(program_t *p, xa_engine_t engine, unsigned field, uint32_t rs1) {
    xa(p, XA_I_CFG_SET, (isa_operands_t){.rs1 = (uint8_t)rs1, .imm = isa_imm_field(engine, field)});
}
static inline void issue(program_t *p, xa_insn_t insn, uint32_t rd, uint32_t rs1, uint32_t rs2,
                         uint32_t rs3) {
    xa(p, insn,
       (isa_operands_t){
           .rd = (uint8_t)rd, .rs1 = (uint8_t)rs1, .rs2 = (uint8_t)rs2, .rs3 = (uint8_t)rs3});
}

static inline void call(program_t *p, uint64_t number) {
    li(p, A7, number);
    ecall(p);
}
static inline void finish(program_t *p, uint64_t code) {
    li(p, A0, code);
    call(p, ISA_ECALL_EXIT);
}

#endif
