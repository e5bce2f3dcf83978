// SPDX-License-Identifier: Apache-2.0
// The registers of a hardware node.
#include "driver/sim/card.h"
#include "driver/sim/gang.h"

static uint32_t lo(uint64_t value) { return (uint32_t)value; }
static uint32_t hi(uint64_t value) { return (uint32_t)(value >> 32); }

static uint32_t state(const sim_node_t *node) {
    if (atomic_load(&node->resetting))
        return ISA_NODE_STATE_RESETTING;
    if (!atomic_load(&node->enabled))
        return ISA_NODE_STATE_OFF;
    return atomic_load(&node->busy) || atomic_load(&node->stuck) ? ISA_NODE_STATE_BUSY
                                                                 : ISA_NODE_STATE_IDLE;
}

static uint32_t heartbeat(const sim_node_t *node) {
    uint64_t beats = atomic_load(&node->heartbeat);
    if (node->index == ISA_NODE_COMPUTE)
        beats += sim_gang_beats(node->card->gang);
    return lo(beats);
}

// --- Counters ---

static const _Atomic uint64_t *counter_at(const sim_node_t *node, uint32_t offset) {
    switch (offset) {
    case ISA_NODE_REG_CYCLES_LO:
        return &node->cycles;
    case ISA_NODE_REG_LAST_DONE_LO:
        return &node->rings[ISA_RING_NORMAL].done;
    case ISA_NODE_REG_HIGH_DONE_LO:
        return &node->rings[ISA_RING_HIGH].done;
    case ISA_NODE_REG_LAST_ABORTED_LO:
        return &node->last_aborted;
    case ISA_NODE_REG_INSTRUCTIONS_LO:
        return &node->instructions;
    case ISA_NODE_REG_ISSUES_LO:
        return &node->issues;
    case ISA_NODE_REG_DRAM_BYTES_LO:
        return &node->dram_bytes;
    case ISA_NODE_REG_FALLBACKS_LO:
        return &node->fallbacks;
    default:
        return NULL;
    }
}

// --- Settings: pairs of base and log2 ---

// The registers that `offset` belongs to; *out_which: 0 base low, 1 base high, 2 log2.
static sim_ring_regs_t *setting_at(sim_node_t *node, uint32_t offset, uint32_t *out_which) {
    const struct {
        uint32_t first;
        sim_ring_regs_t *regs;
    } rows[] = {
        {ISA_NODE_REG_COMP_BASE_LO, &node->comp_regs},
        {ISA_NODE_REG_RING_BASE_LO, &node->rings[ISA_RING_NORMAL].regs},
        {ISA_NODE_REG_HIGH_BASE_LO, &node->rings[ISA_RING_HIGH].regs},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (offset >= rows[i].first && offset < rows[i].first + 12 && offset % 4 == 0) {
            *out_which = (offset - rows[i].first) / 4;
            return rows[i].regs;
        }
    }
    return NULL;
}

static uint32_t setting_read(const sim_ring_regs_t *regs, uint32_t which) {
    return which == 0 ? lo(regs->base) : which == 1 ? hi(regs->base) : regs->log2;
}

static void setting_write(sim_ring_regs_t *regs, uint32_t which, uint32_t value) {
    if (which == 0)
        sim_regs_set_lo(&regs->base, value);
    else if (which == 1)
        sim_regs_set_hi(&regs->base, value);
    else
        regs->log2 = value;
}

// --- Accesses ---

uint32_t sim_regs_node_read(sim_card_t *card, sim_node_t *node, uint32_t offset) {
    uint32_t which;
    const sim_ring_regs_t *regs = setting_at(node, offset, &which);
    const _Atomic uint64_t *counter = counter_at(node, offset);
    if (regs != NULL)
        return setting_read(regs, which);
    if (counter != NULL)
        return sim_regs_latch(card, atomic_load(counter));
    if (offset >= 4 && counter_at(node, offset - 4) != NULL)
        return card->latched_hi;
    switch (offset) {
    case ISA_NODE_REG_KIND:
        return node->index;
    case ISA_NODE_REG_CONTROL:
        return atomic_load(&node->enabled) ? ISA_NODE_CONTROL_ON : 0;
    case ISA_NODE_REG_STATE:
        return state(node);
    case ISA_NODE_REG_HEARTBEAT:
        return heartbeat(node);
    case ISA_NODE_REG_HELD:
        return sim_node_held(node);
    case ISA_NODE_REG_COMP_TAIL:
        return atomic_load(&node->comp_tail);
    case ISA_NODE_REG_RING_HEAD:
        return atomic_load(&node->rings[ISA_RING_NORMAL].head);
    case ISA_NODE_REG_PREEMPT_TAIL:
        return atomic_load(&node->preempt_tail);
    case ISA_NODE_REG_HIGH_HEAD:
        return atomic_load(&node->rings[ISA_RING_HIGH].head);
    default:
        return 0;
    }
}

void sim_regs_node_write(sim_node_t *node, uint32_t offset, uint32_t value) {
    uint32_t which;
    sim_ring_regs_t *regs = setting_at(node, offset, &which);
    if (regs != NULL) {
        (void)pthread_mutex_lock(&node->card->lock);
        setting_write(regs, which, value);
        (void)pthread_mutex_unlock(&node->card->lock);
    } else if (offset == ISA_NODE_REG_CONTROL) {
        sim_node_enable(node, (value & ISA_NODE_CONTROL_ON) != 0);
    } else if (offset == ISA_NODE_REG_PREEMPT_TAIL) {
        atomic_store(&node->preempt_tail, value);
    } else if (offset == ISA_NODE_REG_PREEMPT) {
        sim_preempt_ask(node, value);
    } else if (offset == ISA_NODE_REG_RESET && value == ISA_RESET_MAGIC) {
        sim_reset_node_ask(node);
    }
}
