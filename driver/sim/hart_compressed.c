// SPDX-License-Identifier: Apache-2.0
// From compressed instructions (C extension of RV64) to the full ones that they stand for.
#include "driver/sim/hart_internal.h"

// `count` bits of the half from `low`, placed at `at`.
#define FIELD(low, count, at) ((half >> (low) & ((1u << (count)) - 1)) << (at))
#define RD_FULL               FIELD(7, 5, 0)
#define RS2_FULL              FIELD(2, 5, 0)
#define RD_LOW                (8 + FIELD(2, 3, 0)) // the popular registers 8 to 15
#define RS1_LOW               (8 + FIELD(7, 3, 0))

enum { LOAD = 0x03, LOAD_FP = 0x07, OP_IMM = 0x13, OP_IMM_32 = 0x1b, STORE = 0x23 };
enum { STORE_FP = 0x27, OP = 0x33, LUI = 0x37, OP_32 = 0x3b, BRANCH = 0x63, JALR = 0x67 };
enum { JAL = 0x6f, EBREAK = 0x00100073 };

static uint32_t extend(uint32_t value, uint32_t bits) {
    return (value ^ 1u << (bits - 1)) - (1u << (bits - 1));
}

static uint32_t make_i(uint32_t opcode, uint32_t f3, uint32_t rd, uint32_t rs1, uint32_t imm) {
    return opcode | f3 << 12 | rd << 7 | rs1 << 15 | imm << 20;
}

static uint32_t make_r(uint32_t opcode, uint32_t f3, uint32_t f7, uint32_t rd, uint32_t rs2) {
    return opcode | f3 << 12 | f7 << 25 | rd << 7 | rd << 15 | rs2 << 20;
}

static uint32_t make_s(uint32_t opcode, uint32_t f3, uint32_t rs1, uint32_t rs2, uint32_t imm) {
    return opcode | f3 << 12 | rs1 << 15 | rs2 << 20 | (imm & 31) << 7 | (imm >> 5 & 127) << 25;
}

static uint32_t make_b(uint32_t f3, uint32_t rs1, uint32_t imm) {
    return BRANCH | f3 << 12 | rs1 << 15 | (imm >> 11 & 1) << 7 | (imm >> 1 & 15) << 8 |
           (imm >> 5 & 63) << 25 | (imm >> 12 & 1) << 31;
}

static uint32_t make_j(uint32_t rd, uint32_t imm) {
    return JAL | rd << 7 | (imm >> 12 & 255) << 12 | (imm >> 11 & 1) << 20 |
           (imm >> 1 & 1023) << 21 | (imm >> 20 & 1) << 31;
}

// Loads and stores of the popular registers, addi4spn.
static uint32_t expand_0(uint32_t half) {
    uint32_t imm4 = FIELD(6, 1, 2) | FIELD(10, 3, 3) | FIELD(5, 1, 6);
    uint32_t imm8 = FIELD(10, 3, 3) | FIELD(5, 2, 6);
    uint32_t imm_sp = FIELD(6, 1, 2) | FIELD(5, 1, 3) | FIELD(11, 2, 4) | FIELD(7, 4, 6);
    switch (half >> 13) {
    case 0:
        return imm_sp == 0 ? 0 : make_i(OP_IMM, 0, RD_LOW, 2, imm_sp);
    case 1:
        return make_i(LOAD_FP, 3, RD_LOW, RS1_LOW, imm8);
    case 2:
        return make_i(LOAD, 2, RD_LOW, RS1_LOW, imm4);
    case 3:
        return make_i(LOAD, 3, RD_LOW, RS1_LOW, imm8);
    case 5:
        return make_s(STORE_FP, 3, RS1_LOW, RD_LOW, imm8);
    case 6:
        return make_s(STORE, 2, RS1_LOW, RD_LOW, imm4);
    case 7:
        return make_s(STORE, 3, RS1_LOW, RD_LOW, imm8);
    default:
        return 0;
    }
}

// Shifts right, andi, and register arithmetic on the popular registers.
static uint32_t expand_arithmetic(uint32_t half) {
    static const uint8_t f3[4] = {0, 4, 6, 7}; // sub, xor, or, and
    uint32_t imm = FIELD(2, 5, 0) | FIELD(12, 1, 5);
    switch (half >> 10 & 3) {
    case 0:
        return make_i(OP_IMM, 5, RS1_LOW, RS1_LOW, imm);
    case 1:
        return make_i(OP_IMM, 5, RS1_LOW, RS1_LOW, imm | 0x400);
    case 2:
        return make_i(OP_IMM, 7, RS1_LOW, RS1_LOW, extend(imm, 6));
    default:
        break;
    }
    uint32_t which = half >> 5 & 3;
    if ((half >> 12 & 1) == 0)
        return make_r(OP, f3[which], which == 0 ? 0x20 : 0, RS1_LOW, RD_LOW);
    return which < 2 ? make_r(OP_32, 0, which == 0 ? 0x20 : 0, RS1_LOW, RD_LOW) : 0;
}

// lui and addi16sp.
static uint32_t expand_lui(uint32_t half) {
    uint32_t imm16 =
        FIELD(6, 1, 4) | FIELD(2, 1, 5) | FIELD(5, 1, 6) | FIELD(3, 2, 7) | FIELD(12, 1, 9);
    uint32_t imm = extend(FIELD(2, 5, 0) | FIELD(12, 1, 5), 6);
    if (imm == 0) // the same bits are zero in both forms
        return 0;
    if (RD_FULL == 2)
        return make_i(OP_IMM, 0, 2, 2, extend(imm16, 10));
    return LUI | RD_FULL << 7 | imm << 12;
}

static uint32_t expand_1(uint32_t half) {
    uint32_t imm = extend(FIELD(2, 5, 0) | FIELD(12, 1, 5), 6);
    uint32_t jump_imm = FIELD(3, 3, 1) | FIELD(11, 1, 4) | FIELD(2, 1, 5) | FIELD(7, 1, 6) |
                        FIELD(6, 1, 7) | FIELD(9, 2, 8) | FIELD(8, 1, 10) | FIELD(12, 1, 11);
    uint32_t branch_imm =
        FIELD(3, 2, 1) | FIELD(10, 2, 3) | FIELD(2, 1, 5) | FIELD(5, 2, 6) | FIELD(12, 1, 8);
    switch (half >> 13) {
    case 0:
        return make_i(OP_IMM, 0, RD_FULL, RD_FULL, imm);
    case 1:
        return RD_FULL == 0 ? 0 : make_i(OP_IMM_32, 0, RD_FULL, RD_FULL, imm);
    case 2:
        return make_i(OP_IMM, 0, RD_FULL, 0, imm);
    case 3:
        return expand_lui(half);
    case 4:
        return expand_arithmetic(half);
    case 5:
        return make_j(0, extend(jump_imm, 12));
    case 6:
        return make_b(0, RS1_LOW, extend(branch_imm, 9));
    default:
        return make_b(1, RS1_LOW, extend(branch_imm, 9));
    }
}

// mv, add, jr, jalr, ebreak.
static uint32_t expand_move(uint32_t half) {
    bool high = (half >> 12 & 1) != 0;
    if (RS2_FULL != 0) // mv is an addi, as the assembler's
        return high ? make_r(OP, 0, 0, RD_FULL, RS2_FULL) : make_i(OP_IMM, 0, RD_FULL, RS2_FULL, 0);
    if (RD_FULL == 0)
        return high ? EBREAK : 0;
    return make_i(JALR, 0, high ? 1 : 0, RD_FULL, 0);
}

// Loads and stores on the stack, shift left, moves.
static uint32_t expand_2(uint32_t half) {
    uint32_t load4 = FIELD(4, 3, 2) | FIELD(12, 1, 5) | FIELD(2, 2, 6);
    uint32_t load8 = FIELD(5, 2, 3) | FIELD(12, 1, 5) | FIELD(2, 3, 6);
    uint32_t store4 = FIELD(9, 4, 2) | FIELD(7, 2, 6);
    uint32_t store8 = FIELD(10, 3, 3) | FIELD(7, 3, 6);
    switch (half >> 13) {
    case 0:
        return make_i(OP_IMM, 1, RD_FULL, RD_FULL, FIELD(2, 5, 0) | FIELD(12, 1, 5));
    case 1:
        return make_i(LOAD_FP, 3, RD_FULL, 2, load8);
    case 2:
        return RD_FULL == 0 ? 0 : make_i(LOAD, 2, RD_FULL, 2, load4);
    case 3:
        return RD_FULL == 0 ? 0 : make_i(LOAD, 3, RD_FULL, 2, load8);
    case 4:
        return expand_move(half);
    case 5:
        return make_s(STORE_FP, 3, 2, RS2_FULL, store8);
    case 6:
        return make_s(STORE, 2, 2, RS2_FULL, store4);
    default:
        return make_s(STORE, 3, 2, RS2_FULL, store8);
    }
}

uint32_t sim_hart_expand(uint32_t half) {
    switch (half & 3) {
    case 0:
        return expand_0(half);
    case 1:
        return expand_1(half);
    default:
        return expand_2(half);
    }
}
