// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/core.h"

status_t sim_issue_init(sim_core_t *core) {
    core->issuer = NULL;
    return STATUS_OK;
}

void sim_issue_deinit(sim_core_t *core) { (void)core; }

bool sim_issue(sim_core_t *core, xa_insn_t insn, uint64_t rs1, uint64_t rs2, uint64_t rs3,
               sim_fault_t *out_fault) {
    (void)core, (void)insn, (void)rs1, (void)rs2, (void)rs3;
    *out_fault = (sim_fault_t){.cause = ISA_FAULT_ENGINE_UNSUPPORTED};
    return false;
}

uint64_t sim_core_fallbacks(const sim_core_t *core) {
    (void)core;
    return 0;
}
