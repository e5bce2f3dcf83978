// SPDX-License-Identifier: Apache-2.0
// engine_test SET [cases [seed [number]]]: ref against formulas, SET against ref. `number`: that
// case alone, with its descriptor.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa/table.h"
#include "tests/engine/compare.h"

static void run_case(run_t *run) {
    sim_fault_t fault = {0};
    const test_case_t *t = &run->test;
    case_make(run->seed, run->number, &run->before, &run->test);
    machine_copy(&run->ref, &run->before);
    machine_copy(&run->other, &run->before);
    run->covered[t->insn]++;
    if (!machine_issue(&run->ref, t->insn, &t->desc, t->rs1, t->rs2, t->rs3, &fault) ||
        !machine_issue(&run->other, t->insn, &t->desc, t->rs1, t->rs2, t->rs3, &fault)) {
        case_complain(run, "refused", NULL, 0, 0, 0);
        fprintf(stderr, "  cause %d, va 0x%" PRIx64 ", value %" PRIu64 "\n", (int)fault.cause,
                fault.va, fault.value);
        return;
    }
    case_compare(run);
}

int main(int argc, char **argv) {
    static run_t run;
    const sim_engine_set_t *set = machine_set(argc > 1 ? argv[1] : "ref");
    uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 2000, first = 0;
    run.seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    if (!set) {
        fprintf(stderr, "no such engine set\n");
        return 2;
    }
    if (argc > 4) {
        first = (uint32_t)strtoul(argv[4], NULL, 0);
        n = first + 1;
    }
    machine_init(&run.before, &sim_engine_ref, true);
    machine_init(&run.ref, &sim_engine_ref, true);
    machine_init(&run.other, set, true);
    for (run.number = first; run.number < n; run.number++)
        run_case(&run);
    for (unsigned i = XA_I_DMA_IN; i < XA_INSN_COUNT && argc <= 4; i++)
        if (run.covered[i] == 0) {
            fprintf(stderr, "no case of %s\n", isa_insns[i].mnemonic);
            run.failures++;
        }
    printf("%u cases, %u failures\n", n - first, run.failures);
    machine_deinit(&run.before);
    machine_deinit(&run.ref);
    machine_deinit(&run.other);
    return run.failures != 0;
}
