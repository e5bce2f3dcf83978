// SPDX-License-Identifier: Apache-2.0
// The `ref` engine set: what each instruction of Xaccel does, in portable C.
#include "driver/sim/engine_ref.h"

#include <stddef.h>

#include "isa/table.h"
#include "support/checked.h"

static uint64_t elements_of(const uint32_t *count, unsigned n) {
    uint64_t elements = 1;
    for (unsigned i = 0; i < n; i++)
        if (!checked_mul_u64(elements, count[i], &elements))
            return UINT64_MAX;
    return elements;
}

void sim_engine_count(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_desc_t *desc) {
    unsigned engine = isa_insns[insn].engine;
    const xa_mat_desc_t *mat = &desc->mat;
    uint64_t elements;
    if (engine == XA_VEC)
        elements = elements_of(desc->vec.count, 4);
    else if (engine == XA_MAT)
        elements = elements_of((uint32_t[]){mat->batch, mat->m1, mat->m2, mat->n}, 4);
    else
        elements = elements_of(desc->dma.count, 5);
    ctx->counts.issues[engine]++;
    ctx->counts.elements[engine] += elements;
}

bool sim_engine_check(xa_insn_t insn, const xa_desc_t *desc, sim_fault_t *out_fault) {
    isa_desc_kind_t kind = isa_engines[isa_insns[insn].engine].desc;
    if (desc->dma.flags & ~isa_flag_mask(kind)) // `flags` comes first in each
        return sim_bad_field(out_fault, ISA_FAULT_BAD_DESCRIPTOR, 0);
    if (!isa_desc_reserved_ok(kind, desc))
        return sim_bad_field(out_fault, ISA_FAULT_BAD_DESCRIPTOR, isa_desc_named_end(kind));
    if (kind == ISA_DESC_vec && desc->vec.axis > 3)
        return sim_bad_field(out_fault, ISA_FAULT_BAD_DESCRIPTOR, offsetof(xa_vec_desc_t, axis));
    return true;
}

static bool ref_issue(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                      uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault) {
    if (!sim_engine_check(insn, desc, out_fault))
        return false;
    sim_engine_count(ctx, insn, desc);
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

const sim_engine_set_t sim_engine_ref = {
    .version = SIM_ENGINE_VERSION,
    .name = "ref",
    .issue = ref_issue,
};
