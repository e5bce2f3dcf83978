// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/engine_fast.h"

#include <stdlib.h>

#include "driver/sim/engine_ref.h"
#include "isa/table.h"

static status_t open_with(sim_engine_ctx_t *ctx, fast_isa_t most) {
    fast_state_t *state = calloc(1, sizeof *state);
    if (state == NULL)
        return STATUS_NO_MEMORY;
    state->kernels = fast_kernels_find(most);
    ctx->state = state;
    return STATUS_OK;
}

static status_t fast_open(sim_engine_ctx_t *ctx) { return open_with(ctx, FAST_ISA_AVX512); }
static status_t fast_open_avx2(sim_engine_ctx_t *ctx) { return open_with(ctx, FAST_ISA_AVX2); }

static void fast_close(sim_engine_ctx_t *ctx) {
    fast_state_t *state = fast_state(ctx);
    if (state == NULL)
        return;
    fast_inbox_discard(ctx);
    for (unsigned i = 0; i < FAST_BUFFERS; i++)
        free(state->scratch[i].bytes);
    free(state);
    ctx->state = NULL;
}

static void receive(sim_engine_ctx_t *ctx) {
    if (atomic_load_explicit(&fast_state(ctx)->inbox, memory_order_relaxed) != NULL)
        fast_inbox_receive(ctx);
}

static void fast_settle(sim_engine_ctx_t *ctx) {
    receive(ctx);
    fast_alias_settle(ctx, 0, ctx->lm_bytes);
}

static void fast_forget(sim_engine_ctx_t *ctx) {
    fast_inbox_discard(ctx);
    fast_alias_forget(ctx);
}

static bool run_ref(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                    uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault) {
    fast_settle(ctx);
    ctx->counts.fallbacks[insn]++;
    switch (isa_insns[insn].engine) {
    case XA_DMAI:
    case XA_DMAO:
        return sim_ref_dma(ctx, insn, &desc->dma, rs1, rs2, rs3, out_fault);
    case XA_MAT:
        return sim_ref_mat(ctx, &desc->mat, rs1, rs2, rs3, out_fault);
    default:
        return sim_ref_vec(ctx, insn, &desc->vec, rs1, rs2, rs3, out_fault);
    }
}

static bool run_fast(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                     uint64_t rs2, uint64_t rs3) {
    switch (isa_insns[insn].engine) {
    case XA_DMAI:
    case XA_DMAO:
        return fast_dma(ctx, insn, &desc->dma, rs1, rs2, rs3);
    case XA_MAT:
        return fast_matrix(ctx, &desc->mat, rs1, rs2, rs3);
    default:
        return fast_vector(ctx, insn, &desc->vec, rs1, rs2, rs3);
    }
}

static bool fast_issue(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                       uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault) {
    if (!sim_engine_check(insn, desc, out_fault))
        return false;
    sim_engine_count(ctx, insn, desc);
    receive(ctx);
    if (fast_state(ctx)->kernels != NULL && run_fast(ctx, insn, desc, rs1, rs2, rs3))
        return true;
    return run_ref(ctx, insn, desc, rs1, rs2, rs3, out_fault);
}

const sim_engine_set_t sim_engine_fast = {
    .version = SIM_ENGINE_VERSION,
    .name = "fast",
    .open = fast_open,
    .close = fast_close,
    .issue = fast_issue,
    .settle = fast_settle,
    .forget = fast_forget,
};

const sim_engine_set_t sim_engine_fast_avx2 = {
    .version = SIM_ENGINE_VERSION,
    .name = "fast_avx2",
    .open = fast_open_avx2,
    .close = fast_close,
    .issue = fast_issue,
    .settle = fast_settle,
    .forget = fast_forget,
};
