// SPDX-License-Identifier: Apache-2.0
// Integer arithmetic, multiplication, branches and jumps.
#include "driver/sim/hart_internal.h"

#define A         (hart->x[op->rs1])
#define B         (hart->x[op->rs2])
#define IMM       (op->imm)
#define SIGN_W(v) ((uint64_t)(int64_t)(int32_t)(uint32_t)(v))

#define INT_OP(name, value)                                                                        \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        hart->x[op->rd] = (value);                                                                 \
        NEXT(hart, op);                                                                            \
    }

INT_OP(LUI, IMM) // any constant
INT_OP(AUIPC, IMM)
INT_OP(ADDI, A + IMM)
INT_OP(SLTI, (int64_t)A < (int64_t)IMM)
INT_OP(SLTIU, A < IMM)
INT_OP(XORI, A ^ IMM)
INT_OP(ORI, A | IMM)
INT_OP(ANDI, A &IMM)
INT_OP(SLLI, A << (IMM & 63))
INT_OP(SRLI, A >> (IMM & 63))
INT_OP(SRAI, (uint64_t)((int64_t)A >> (IMM & 63)))
INT_OP(ADDIW, SIGN_W(A + IMM))
INT_OP(SLLIW, SIGN_W(A << (IMM & 31)))
INT_OP(SRLIW, SIGN_W((uint32_t)A >> (IMM & 31)))
INT_OP(SRAIW, (uint64_t)(int64_t)((int32_t)A >> (IMM & 31)))
INT_OP(ADD, A + B)
INT_OP(SUB, A - B)
INT_OP(SLL, A << (B & 63))
INT_OP(SLT, (int64_t)A < (int64_t)B)
INT_OP(SLTU, A < B)
INT_OP(XOR, A ^ B)
INT_OP(SRL, A >> (B & 63))
INT_OP(SRA, (uint64_t)((int64_t)A >> (B & 63)))
INT_OP(OR, A | B)
INT_OP(AND, A &B)
INT_OP(ADDW, SIGN_W(A + B))
INT_OP(SUBW, SIGN_W(A - B))
INT_OP(SLLW, SIGN_W((uint32_t)A << (B & 31)))
INT_OP(SRLW, SIGN_W((uint32_t)A >> (B & 31)))
INT_OP(SRAW, (uint64_t)(int64_t)((int32_t)A >> (B & 31)))

// High half of an unsigned product, from 32-bit pieces: C17 has no wider type.
static inline uint64_t high_product(uint64_t a, uint64_t b) {
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t middle = ah * bl + (al * bl >> 32);
    uint64_t other = al * bh + (uint32_t)middle;
    return ah * bh + (middle >> 32) + (other >> 32);
}

// A negative operand counts 2^64 too much when taken as unsigned.
static inline uint64_t too_much(uint64_t a, uint64_t b) { return (int64_t)a < 0 ? b : 0; }

INT_OP(MUL, A *B)
INT_OP(MULH, high_product(A, B) - too_much(A, B) - too_much(B, A))
INT_OP(MULHSU, high_product(A, B) - too_much(A, B))
INT_OP(MULHU, high_product(A, B))
INT_OP(MULW, SIGN_W((uint32_t)A *(uint32_t)B))

static inline uint64_t divide(int64_t a, int64_t b) {
    if (b == 0)
        return UINT64_MAX;
    return b == -1 ? 0 - (uint64_t)a : (uint64_t)(a / b);
}
static inline uint64_t remain(int64_t a, int64_t b) {
    if (b == 0)
        return (uint64_t)a;
    return b == -1 ? 0 : (uint64_t)(a % b);
}
INT_OP(DIV, divide((int64_t)A, (int64_t)B))
INT_OP(DIVU, B == 0 ? UINT64_MAX : A / B)
INT_OP(REM, remain((int64_t)A, (int64_t)B))
INT_OP(REMU, B == 0 ? A : A % B)
INT_OP(DIVW, SIGN_W(divide((int32_t)A, (int32_t)B)))
INT_OP(DIVUW, (uint32_t)B == 0 ? UINT64_MAX : SIGN_W((uint32_t)A / (uint32_t)B))
INT_OP(REMW, SIGN_W(remain((int32_t)A, (int32_t)B)))
INT_OP(REMUW, (uint32_t)B == 0 ? SIGN_W(A) : SIGN_W((uint32_t)A % (uint32_t)B))

#define BRANCH(name, condition)                                                                    \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        return (condition) ? jump(hart, op) : fall_through(hart);                                  \
    }
BRANCH(BEQ, A == B)
BRANCH(BNE, A != B)
BRANCH(BLT, (int64_t)A < (int64_t)B)
BRANCH(BGE, (int64_t)A >= (int64_t)B)
BRANCH(BLTU, A < B)
BRANCH(BGEU, A >= B)

sim_block_t *sim_op_JAL(sim_hart_t *hart, sim_op_t *op) {
    hart->x[op->rd] = hart->block->next_pc;
    return jump(hart, op);
}

sim_block_t *sim_op_JALR(sim_hart_t *hart, sim_op_t *op) {
    uint64_t target = (A + IMM) & ~UINT64_C(1);
    hart->x[op->rd] = hart->block->next_pc;
    sim_block_t *guess = op->u.link; // where it led last time
    if (LIKELY(guess != NULL && guess->pc == target))
        return guess;
    return sim_hart_leave(hart, target, &op->u.link, SIM_STOP_NONE);
}

// Behind the last instruction of a block that does not end in a jump.
sim_block_t *sim_op_end(sim_hart_t *hart, sim_op_t *op) {
    (void)op;
    return fall_through(hart);
}
