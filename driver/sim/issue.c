// SPDX-License-Identifier: Apache-2.0
// From a core to the engine set that does its issues.
#include "driver/sim/core.h"
#include "driver/sim/gang.h"
#include "isa/table.h"

static void *engine_resolve(void *user, uint64_t va, uint64_t wanted, isa_access_t access,
                            uint64_t *out_run, sim_fault_t *out_fault) {
    return sim_core_resolve(user, va, wanted, access, true, out_run, out_fault);
}

static sim_engine_ctx_t *engine_peer(void *user, uint32_t index) {
    const sim_core_t *core = user;
    const sim_gang_t *gang = core->gang;
    return index < gang->n_cores ? &gang->cores[index]->engine : NULL;
}

status_t sim_issue_init(sim_core_t *core) {
    const sim_card_t *card = core->gang->card;
    sim_engine_ctx_t *engine = &core->engine;
    engine->set = card->options.engines == SIM_ENGINES_REF ? &sim_engine_ref : &sim_engine_fast;
    engine->profile = card->profile;
    engine->core = core->index;
    engine->lm = core->lm;
    engine->lm_bytes = card->profile->lm_bytes;
    engine->resolve = engine_resolve;
    engine->peer = engine_peer;
    engine->user = core;
    if (engine->set->open != NULL)
        RETURN_IF_ERROR(engine->set->open(engine));
    core->engine_open = true;
    return STATUS_OK;
}

void sim_issue_deinit(sim_core_t *core) {
    if (core->engine_open && core->engine.set->close != NULL)
        core->engine.set->close(&core->engine);
}

bool sim_issue(sim_core_t *core, xa_insn_t insn, uint64_t rs1, uint64_t rs2, uint64_t rs3,
               sim_fault_t *out_fault) {
    const xa_desc_t *desc = &core->desc[isa_insns[insn].engine];
    return core->engine.set->issue(&core->engine, insn, desc, rs1, rs2, rs3, out_fault);
}

void sim_issue_settle(sim_core_t *core) {
    if (core->engine.set->settle != NULL)
        core->engine.set->settle(&core->engine);
}

void sim_issue_forget(sim_core_t *core) {
    if (core->engine.set->forget != NULL)
        core->engine.set->forget(&core->engine);
}

uint64_t sim_core_fallbacks(const sim_core_t *core) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < XA_INSN_COUNT; i++)
        sum += core->engine.counts.fallbacks[i];
    return sum;
}
