// SPDX-License-Identifier: Apache-2.0
// Fences, environment calls, control registers, custom instructions, illegal ones.
#include "driver/sim/hart_fp.h"
#include "driver/sim/hart_internal.h"

enum { CSR_FFLAGS = 0x001, CSR_FRM = 0x002, CSR_FCSR = 0x003 };
enum { CSR_CYCLE = 0xc00, CSR_TIME = 0xc01, CSR_INSTRET = 0xc02 };

sim_block_t *sim_hart_illegal(sim_hart_t *hart, const sim_op_t *op) {
    uint64_t pc = hart->block->pc + op->pc_offset;
    uint64_t word = 0;
    for (uint32_t i = 0; i < 4; i += 2) { // as much of it as can be read
        uint8_t *page = sim_hart_page(hart, pc + i, ISA_ACCESS_EXECUTE);
        if (page == NULL || (i == 2 && (word & 3) != 3))
            break;
        const uint8_t *at = page + ((pc + i) & ~PAGE_MASK);
        word |= (uint64_t)(at[0] | at[1] << 8) << (8 * i);
    }
    hart->fault = (sim_hart_fault_t){ISA_FAULT_ILLEGAL_INSN, ISA_ACCESS_EXECUTE, pc, word};
    return sim_hart_stop_at(hart, op, SIM_STOP_FAULT);
}

sim_block_t *sim_op_illegal(sim_hart_t *hart, sim_op_t *op) { return sim_hart_illegal(hart, op); }

sim_block_t *sim_op_FENCE(sim_hart_t *hart, sim_op_t *op) {
    atomic_thread_fence(memory_order_seq_cst);
    NEXT(hart, op);
}

sim_block_t *sim_op_FENCE_I(sim_hart_t *hart, sim_op_t *op) {
    (void)op;
    hart->flush_wanted = true;
    return sim_hart_leave(hart, hart->block->next_pc, NULL, SIM_STOP_NONE);
}

sim_block_t *sim_op_ECALL(sim_hart_t *hart, sim_op_t *op) {
    (void)op;
    return sim_hart_leave(hart, hart->block->next_pc, NULL, SIM_STOP_ECALL);
}

sim_block_t *sim_op_EBREAK(sim_hart_t *hart, sim_op_t *op) {
    return sim_hart_stop_at(hart, op, SIM_STOP_EBREAK);
}

static bool csr_read(sim_hart_t *hart, const sim_op_t *op, uint32_t csr, uint64_t *out_value) {
    hart_take_flags(hart);
    switch (csr) {
    case CSR_FFLAGS:
        *out_value = hart->fcsr & 31;
        return true;
    case CSR_FRM:
        *out_value = hart_rm(hart);
        return true;
    case CSR_FCSR:
        *out_value = hart->fcsr;
        return true;
    case CSR_CYCLE:
    case CSR_TIME: // card time is counted in cycles
        *out_value = hart->cycles + sim_hart_cost_before(hart, op);
        return true;
    case CSR_INSTRET:
        *out_value = hart->instret + op->index;
        return true;
    default:
        return false;
    }
}

static bool csr_write(sim_hart_t *hart, uint32_t csr, uint64_t value) {
    bool slow_before = hart_rm(hart) > 3;
    switch (csr) {
    case CSR_FFLAGS:
        hart->fcsr = (hart->fcsr & ~31u) | (uint32_t)(value & 31);
        break;
    case CSR_FRM:
        hart->fcsr = (hart->fcsr & 31) | (uint32_t)(value & 7) << 5;
        break;
    case CSR_FCSR:
        hart->fcsr = (uint32_t)(value & 0xff);
        break;
    default:
        return false;
    }
    host_fp_set(host_fp_of_rm(hart_rm(hart)));
    if (slow_before != (hart_rm(hart) > 3))
        hart->flush_wanted = true; // decoding depends on it
    return true;
}

typedef enum csr_action { CSR_SET_ALL, CSR_SET_BITS, CSR_CLEAR_BITS } csr_action_t;

// `operand`: value or mask; `writes` is false for a mask that names no register (or no bits).
static sim_block_t *csr_do(sim_hart_t *hart, const sim_op_t *op, csr_action_t action,
                           uint64_t operand, bool writes) {
    uint32_t csr = (uint32_t)op->imm;
    uint64_t old = 0;
    if (!csr_read(hart, op, csr, &old))
        return sim_hart_illegal(hart, op);
    uint64_t value = action == CSR_SET_ALL    ? operand
                     : action == CSR_SET_BITS ? old | operand
                                              : old & ~operand;
    if (writes && !csr_write(hart, csr, value))
        return sim_hart_illegal(hart, op);
    hart->x[op->rd] = old;
    if (hart->flush_wanted)
        return sim_hart_leave(hart, hart->block->next_pc, NULL, SIM_STOP_NONE);
    return fall_through(hart);
}

#define CSR_OP(name, action, operand, writes)                                                      \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        return csr_do(hart, op, action, operand, writes);                                          \
    }
CSR_OP(CSRRW, CSR_SET_ALL, hart->x[op->rs1], true)
CSR_OP(CSRRS, CSR_SET_BITS, hart->x[op->rs1], op->rs1 != 0)
CSR_OP(CSRRC, CSR_CLEAR_BITS, hart->x[op->rs1], op->rs1 != 0)
CSR_OP(CSRRWI, CSR_SET_ALL, op->rs1, true)
CSR_OP(CSRRSI, CSR_SET_BITS, op->rs1, op->rs1 != 0)
CSR_OP(CSRRCI, CSR_CLEAR_BITS, op->rs1, op->rs1 != 0)

// The engines' host arithmetic must neither see the program's rounding mode nor leave flags in it.
static sim_block_t *do_custom(sim_hart_t *hart, sim_op_t *op) {
    hart->pc = hart->block->pc + op->pc_offset;
    hart->current = op;
    uint32_t host = host_fp_get();
    if (UNLIKELY(hart_rm(hart) != 0))
        host_fp_set(host_fp_of_rm(0));
    sim_custom_t result = op->u.custom(hart->config.user, hart, op->imm);
    if (host_fp_get() != host)
        host_fp_set(host);
    hart->current = NULL;
    hart->x[0] = 0;
    if (LIKELY(result == SIM_CUSTOM_CONTINUE))
        NEXT(hart, op);
    return sim_hart_stop_at(hart, op,
                            result == SIM_CUSTOM_BLOCKED ? SIM_STOP_BLOCKED : SIM_STOP_FAULT);
}
sim_block_t *sim_op_CUSTOM0(sim_hart_t *hart, sim_op_t *op) { return do_custom(hart, op); }
sim_block_t *sim_op_CUSTOM1(sim_hart_t *hart, sim_op_t *op) { return do_custom(hart, op); }
sim_block_t *sim_op_CUSTOM2(sim_hart_t *hart, sim_op_t *op) { return do_custom(hart, op); }
sim_block_t *sim_op_CUSTOM3(sim_hart_t *hart, sim_op_t *op) { return do_custom(hart, op); }
