// SPDX-License-Identifier: Apache-2.0
// Decoded blocks: making, finding, dropping them.
#include <string.h>

#include "driver/sim/hart_internal.h"

void sim_hart_drop_code(sim_hart_t *hart) {
    memset(hart->buckets, 0, sizeof hart->buckets);
    arena_reset(&hart->arena);
    hart->patch = NULL;
    hart->flush_wanted = false;
}

static sim_block_t **bucket_of(sim_hart_t *hart, uint64_t pc) {
    return &hart->buckets[(pc >> 1 ^ pc >> 13) & (BUCKETS - 1)];
}

// Reads 2 or 4 bytes of code at `pc`; 0: no page there (hart->fault tells).
static uint32_t fetch(sim_hart_t *hart, uint64_t pc, uint32_t *out_word) {
    uint16_t half[2] = {0, 0};
    uint8_t *page = sim_hart_page(hart, pc, ISA_ACCESS_EXECUTE);
    if (page == NULL)
        return 0;
    memcpy(&half[0], page + (pc & ~PAGE_MASK), 2);
    if ((half[0] & 3) != 3) {
        *out_word = half[0];
        return 2;
    }
    uint64_t upper = pc + 2;
    page = sim_hart_page(hart, upper, ISA_ACCESS_EXECUTE);
    if (page == NULL)
        return 0;
    memcpy(&half[1], page + (upper & ~PAGE_MASK), 2);
    *out_word = half[0] | (uint32_t)half[1] << 16;
    return 4;
}

// lui or auipc and an addi to the same register become one constant.
static bool fuse(sim_op_t *before, const sim_op_t *op, uint32_t before_insns) {
    if (before->fn != sim_op_LUI || before_insns != 1 || before->rd != op->rd ||
        op->rs1 != op->rd || op->rd == X_SINK)
        return false;
    if (op->fn == sim_op_ADDI)
        before->imm += op->imm;
    else if (op->fn == sim_op_ADDIW)
        before->imm = (uint64_t)(int64_t)(int32_t)(uint32_t)(before->imm + op->imm);
    else
        return false;
    return true;
}

static void end_block(sim_block_t *block, uint64_t pc) {
    sim_op_t *end = &block->ops[block->n_ops];
    memset(end, 0, sizeof *end);
    end->fn = sim_op_end; // after an ending instruction it only bounds that one's count
    end->index = (uint8_t)block->n_insns;
    end->pc_offset = (uint16_t)(pc - block->pc);
    block->next_pc = pc;
    block->n_ops += 1;
}

// Decodes into hart->scratch; false: not even the first instruction can be fetched.
static bool make_block(sim_hart_t *hart, uint64_t limit) {
    sim_block_t *block = hart->scratch;
    memset(block, 0, sizeof *block);
    block->pc = hart->pc;
    uint64_t pc = hart->pc;
    bool ended = false;
    while (!ended && block->n_insns < limit && ((pc ^ block->pc) & PAGE_MASK) == 0) {
        uint32_t word, bytes = fetch(hart, pc, &word);
        if (bytes == 0) {
            if (block->n_insns == 0)
                return false;
            break;
        }
        sim_op_t *op = &block->ops[block->n_ops];
        memset(op, 0, sizeof *op);
        ended = sim_hart_decode(hart, word, pc, bytes, op);
        op->index = (uint8_t)block->n_insns;
        op->pc_offset = (uint16_t)(pc - block->pc);
        block->cost += hart->class_cost[op->extra >> 4];
        if (block->n_ops == 0 || !fuse(op - 1, op, (uint32_t)(op->index - op[-1].index)))
            block->n_ops++;
        block->n_insns++;
        pc += bytes;
    }
    end_block(block, pc);
    return true;
}

sim_block_t *sim_hart_block_at(sim_hart_t *hart, uint64_t limit) {
    sim_block_t **bucket = bucket_of(hart, hart->pc);
    for (sim_block_t *block = *bucket; block != NULL; block = block->chain)
        if (block->pc == hart->pc && block->n_insns <= limit)
            return block;
    if (!make_block(hart, limit < BLOCK_MAX ? limit : BLOCK_MAX))
        return NULL;
    if (limit < BLOCK_MAX)
        return hart->scratch; // perhaps cut short: not worth keeping
    size_t bytes = sizeof(sim_block_t) + hart->scratch->n_ops * sizeof(sim_op_t);
    if (hart->arena.total_bytes > CODE_BYTES_MAX)
        sim_hart_drop_code(hart);
    sim_block_t *block = arena_alloc(&hart->arena, bytes);
    if (block == NULL)
        return hart->scratch; // slow, but right
    memcpy(block, hart->scratch, bytes);
    block->chain = *bucket;
    *bucket = block;
    return block;
}
