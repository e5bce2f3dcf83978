// SPDX-License-Identifier: Apache-2.0
// Life, state and main loop of a hart.
#include "driver/sim/hart.h"

#include <stdlib.h>
#include <string.h>

#include "driver/sim/hart_fp.h"
#include "driver/sim/hart_internal.h"

status_t sim_hart_create(const sim_hart_config_t *config, sim_hart_t **out_hart) {
    *out_hart = NULL;
    if (config->translate == NULL)
        return STATUS_INVALID;
    sim_hart_t *hart = calloc(1, sizeof *hart);
    if (hart == NULL)
        return STATUS_NO_MEMORY;
    hart->scratch = malloc(sizeof(sim_block_t) + (BLOCK_MAX + 1) * sizeof(sim_op_t));
    if (hart->scratch == NULL) {
        free(hart);
        return STATUS_NO_MEMORY;
    }
    hart->config = *config;
    for (uint32_t i = 0; i < SIM_CLASS_COUNT; i++)
        hart->class_cost[i] = config->class_cost != NULL ? config->class_cost[i] : 1;
    hart->reservation = NO_RESERVATION;
    atomic_init(&hart->request, 0);
    arena_init(&hart->arena);
    sim_hart_decode_init(hart);
    sim_hart_flush_data(hart);
    *out_hart = hart;
    return STATUS_OK;
}

void sim_hart_destroy(sim_hart_t *hart) {
    if (hart == NULL)
        return;
    arena_deinit(&hart->arena);
    free(hart->scratch);
    free(hart);
}

void sim_hart_request(sim_hart_t *hart) {
    atomic_store_explicit(&hart->request, 1, memory_order_release);
}

const sim_hart_fault_t *sim_hart_fault(const sim_hart_t *hart) { return &hart->fault; }

void sim_hart_set_fault(sim_hart_t *hart, sim_hart_fault_t fault) { hart->fault = fault; }

void sim_hart_save(const sim_hart_t *hart, sim_hart_state_t *out_state) {
    memset(out_state, 0, sizeof *out_state);
    memcpy(out_state->x, hart->x, sizeof out_state->x);
    memcpy(out_state->f, hart->f, sizeof out_state->f);
    out_state->pc = hart->pc;
    out_state->instret = hart->instret;
    out_state->cycles = hart->cycles;
    out_state->reservation = hart->reservation;
    out_state->fcsr = hart->fcsr;
}

void sim_hart_restore(sim_hart_t *hart, const sim_hart_state_t *state) {
    bool slow_before = hart_rm(hart) > 3;
    memcpy(hart->x, state->x, sizeof state->x);
    memcpy(hart->f, state->f, sizeof state->f);
    hart->x[0] = 0;
    hart->pc = state->pc;
    hart->instret = state->instret;
    hart->cycles = state->cycles;
    hart->fcsr = state->fcsr & 0xff;
    hart->reservation = NO_RESERVATION;
    if (slow_before != (hart_rm(hart) > 3))
        sim_hart_drop_code(hart); // decoding depends on it
}

void sim_hart_flush_data(sim_hart_t *hart) {
    for (uint32_t kind = 0; kind < COUNT_OF(hart->tlb); kind++)
        for (uint32_t i = 0; i < TLB_ENTRIES; i++)
            hart->tlb[kind][i].tag = TAG_NONE;
}

void sim_hart_flush(sim_hart_t *hart) {
    sim_hart_flush_data(hart);
    sim_hart_drop_code(hart);
}

uint64_t sim_hart_x(const sim_hart_t *hart, uint32_t index) { return hart->x[index & 31]; }

void sim_hart_set_x(sim_hart_t *hart, uint32_t index, uint64_t value) {
    if ((index & 31) != 0)
        hart->x[index & 31] = value;
}

uint64_t sim_hart_pc(const sim_hart_t *hart) { return hart->pc; }

void sim_hart_set_pc(sim_hart_t *hart, uint64_t pc) { hart->pc = pc; }

uint64_t sim_hart_instret(const sim_hart_t *hart) {
    return hart->instret + (hart->current != NULL ? hart->current->index : 0);
}

uint64_t sim_hart_cycles(const sim_hart_t *hart) {
    return hart->cycles + (hart->current != NULL ? sim_hart_cost_before(hart, hart->current) : 0);
}

uint64_t sim_hart_cost_before(const sim_hart_t *hart, const sim_op_t *op) {
    uint64_t cost = 0;
    for (const sim_op_t *before = hart->block->ops; before < op; before++)
        cost += (uint64_t)hart->class_cost[before->extra >> 4] *
                (uint32_t)(before[1].index - before->index);
    return cost;
}

sim_block_t *sim_hart_stop_at(sim_hart_t *hart, const sim_op_t *op, sim_stop_t stop) {
    hart->pc = hart->block->pc + op->pc_offset;
    hart->instret += op->index;
    hart->cycles += sim_hart_cost_before(hart, op);
    hart->stop = stop;
    return NULL;
}

sim_block_t *sim_hart_leave(sim_hart_t *hart, uint64_t pc, sim_block_t **patch, sim_stop_t stop) {
    hart->pc = pc;
    hart->instret += hart->block->n_insns;
    hart->cycles += hart->block->cost;
    hart->patch = patch;
    hart->stop = stop;
    return NULL;
}

// Runs blocks until one ends in a stop, or without a known successor (SIM_STOP_NONE).
static sim_stop_t run_chain(sim_hart_t *hart, sim_block_t *block) {
    for (;;) {
        if (UNLIKELY(hart->instret_limit - hart->instret < block->n_insns)) {
            hart->pc = block->pc;
            return SIM_STOP_NONE;
        }
        hart->block = block;
        sim_block_t *next = block->ops[0].fn(hart, block->ops);
        if (UNLIKELY(next == NULL))
            return hart->stop;
        hart->instret += block->n_insns;
        hart->cycles += block->cost;
        if (UNLIKELY(atomic_load_explicit(&hart->request, memory_order_relaxed) != 0)) {
            hart->pc = next->pc;
            return SIM_STOP_NONE;
        }
        block = next;
    }
}

static sim_stop_t run_blocks(sim_hart_t *hart) {
    for (;;) {
        if (hart->flush_wanted)
            sim_hart_drop_code(hart);
        if (atomic_exchange_explicit(&hart->request, 0, memory_order_acquire) != 0)
            return SIM_STOP_REQUEST;
        uint64_t left = hart->instret_limit - hart->instret;
        if (left == 0)
            return SIM_STOP_BUDGET;
        sim_block_t *block = sim_hart_block_at(hart, left);
        if (block == NULL)
            return SIM_STOP_FAULT;
        if (hart->patch != NULL && block != hart->scratch)
            *hart->patch = block;
        hart->patch = NULL;
        sim_stop_t stop = run_chain(hart, block);
        if (stop != SIM_STOP_NONE)
            return stop;
    }
}

sim_stop_t sim_hart_run(sim_hart_t *hart, uint64_t max_instructions) {
    uint64_t limit = hart->instret + max_instructions;
    hart->instret_limit = limit >= max_instructions ? limit : UINT64_MAX;
    hart->patch = NULL;
    uint32_t host = host_fp_get();
    host_fp_set(host_fp_of_rm(hart_rm(hart)));
    sim_stop_t stop = run_blocks(hart);
    hart->fcsr |= host_fp_flags(host_fp_get());
    host_fp_set(host);
    hart->block = NULL;
    return stop;
}
