// SPDX-License-Identifier: Apache-2.0
// Compressed instructions (C extension of RV64, with D): the 32-bit form of each.
#include "tools/accel-objdump/rv64.h"

// Bits [hi..lo] of h, moved to start at `to`.
static uint32_t bits(uint32_t h, unsigned hi, unsigned lo, unsigned to) {
    return (h >> lo & ((1u << (hi - lo + 1)) - 1)) << to;
}

static uint32_t sign(uint32_t value, unsigned width) {
    return (value ^ 1u << (width - 1)) - (1u << (width - 1));
}

static uint32_t enc_i(uint32_t base, uint32_t rd, uint32_t rs1, uint32_t imm) {
    return base | rd << 7 | rs1 << 15 | imm << 20;
}
static uint32_t enc_s(uint32_t base, uint32_t rs1, uint32_t rs2, uint32_t imm) {
    return base | (imm & 31) << 7 | rs1 << 15 | rs2 << 20 | (imm >> 5) << 25;
}
static uint32_t enc_r(uint32_t base, uint32_t rd, uint32_t rs1, uint32_t rs2) {
    return base | rd << 7 | rs1 << 15 | rs2 << 20;
}
static uint32_t enc_j(uint32_t rd, uint32_t imm) {
    return 0x6f | rd << 7 | (imm & 0xff000) | bits(imm, 11, 11, 20) | bits(imm, 10, 1, 21) |
           bits(imm, 20, 20, 31);
}
static uint32_t enc_b(uint32_t base, uint32_t rs1, uint32_t imm) {
    return base | rs1 << 15 | bits(imm, 11, 11, 7) | bits(imm, 4, 1, 8) | bits(imm, 10, 5, 25) |
           bits(imm, 12, 12, 31);
}

static uint32_t quadrant0(uint32_t h) {
    uint32_t rd = 8 + bits(h, 4, 2, 0), rs1 = 8 + bits(h, 9, 7, 0);
    uint32_t imm_d = bits(h, 12, 10, 3) | bits(h, 6, 5, 6);
    uint32_t imm_w = bits(h, 12, 10, 3) | bits(h, 6, 6, 2) | bits(h, 5, 5, 6);
    switch (h >> 13) {
    case 0: {
        uint32_t imm = bits(h, 12, 11, 4) | bits(h, 10, 7, 6) | bits(h, 6, 6, 2) | bits(h, 5, 5, 3);
        return imm ? enc_i(0x13, rd, 2, imm) : 0;
    }
    case 1:
        return enc_i(0x3007, rd, rs1, imm_d);
    case 2:
        return enc_i(0x2003, rd, rs1, imm_w);
    case 3:
        return enc_i(0x3003, rd, rs1, imm_d);
    case 5:
        return enc_s(0x3027, rs1, rd, imm_d);
    case 6:
        return enc_s(0x2023, rs1, rd, imm_w);
    case 7:
        return enc_s(0x3023, rs1, rd, imm_d);
    default:
        return 0;
    }
}

static uint32_t arithmetic(uint32_t h) {
    static const uint32_t ops[8] = {0x40000033, 0x4033, 0x6033, 0x7033, 0x4000003b, 0x3b, 0, 0};
    uint32_t rd = 8 + bits(h, 9, 7, 0), rs2 = 8 + bits(h, 4, 2, 0);
    uint32_t shift = bits(h, 12, 12, 5) | bits(h, 6, 2, 0);
    switch (h >> 10 & 3) {
    case 0:
        return enc_i(0x5013, rd, rd, shift);
    case 1:
        return enc_i(0x5013, rd, rd, shift | 0x400);
    case 2:
        return enc_i(0x7013, rd, rd, sign(shift, 6));
    default: {
        uint32_t op = ops[bits(h, 12, 12, 2) | bits(h, 6, 5, 0)];
        return op ? enc_r(op, rd, rd, rs2) : 0;
    }
    }
}

static uint32_t quadrant1(uint32_t h) {
    uint32_t rd = bits(h, 11, 7, 0), rs1 = 8 + bits(h, 9, 7, 0);
    uint32_t imm = sign(bits(h, 12, 12, 5) | bits(h, 6, 2, 0), 6);
    uint32_t jump =
        sign(bits(h, 12, 12, 11) | bits(h, 11, 11, 4) | bits(h, 10, 9, 8) | bits(h, 8, 8, 10) |
                 bits(h, 7, 7, 6) | bits(h, 6, 6, 7) | bits(h, 5, 3, 1) | bits(h, 2, 2, 5),
             12);
    uint32_t branch = sign(bits(h, 12, 12, 8) | bits(h, 11, 10, 3) | bits(h, 6, 5, 6) |
                               bits(h, 4, 3, 1) | bits(h, 2, 2, 5),
                           9);
    switch (h >> 13) {
    case 0:
        return enc_i(0x13, rd, rd, imm);
    case 1:
        return rd ? enc_i(0x1b, rd, rd, imm) : 0;
    case 2:
        return enc_i(0x13, rd, 0, imm);
    case 3:
        if (rd == 2) {
            uint32_t sp = sign(bits(h, 12, 12, 9) | bits(h, 6, 6, 4) | bits(h, 5, 5, 6) |
                                   bits(h, 4, 3, 7) | bits(h, 2, 2, 5),
                               10);
            return sp ? enc_i(0x13, 2, 2, sp) : 0;
        }
        return imm ? 0x37 | rd << 7 | imm << 12 : 0;
    case 4:
        return arithmetic(h);
    case 5:
        return enc_j(0, jump);
    case 6:
        return enc_b(0x63, rs1, branch);
    default:
        return enc_b(0x1063, rs1, branch);
    }
}

static uint32_t quadrant2(uint32_t h) {
    uint32_t rd = bits(h, 11, 7, 0), rs2 = bits(h, 6, 2, 0);
    uint32_t load_d = bits(h, 12, 12, 5) | bits(h, 6, 5, 3) | bits(h, 4, 2, 6);
    uint32_t load_w = bits(h, 12, 12, 5) | bits(h, 6, 4, 2) | bits(h, 3, 2, 6);
    uint32_t store_d = bits(h, 12, 10, 3) | bits(h, 9, 7, 6);
    uint32_t store_w = bits(h, 12, 9, 2) | bits(h, 8, 7, 6);
    switch (h >> 13) {
    case 0:
        return enc_i(0x1013, rd, rd, bits(h, 12, 12, 5) | rs2);
    case 1:
        return enc_i(0x3007, rd, 2, load_d);
    case 2:
        return enc_i(0x2003, rd, 2, load_w);
    case 3:
        return enc_i(0x3003, rd, 2, load_d);
    case 4:
        if (rs2 == 0 && rd == 0)
            return h >> 12 & 1 ? 0x100073 : 0;
        if (rs2 == 0)
            return enc_i(0x67, h >> 12 & 1, rd, 0);
        return h >> 12 & 1 ? enc_r(0x33, rd, rd, rs2) : enc_i(0x13, rd, rs2, 0);
    case 5:
        return enc_s(0x3027, 2, rs2, store_d);
    case 6:
        return enc_s(0x2023, 2, rs2, store_w);
    default:
        return enc_s(0x3023, 2, rs2, store_d);
    }
}

uint32_t rv64_expand(uint16_t half) {
    switch (half & 3) {
    case 0:
        return quadrant0(half);
    case 1:
        return quadrant1(half);
    case 2:
        return quadrant2(half);
    default:
        return 0;
    }
}
