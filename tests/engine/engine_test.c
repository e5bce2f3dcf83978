// SPDX-License-Identifier: Apache-2.0
// engine_test SET [cases [seed [number]]]: ref against formulas, SET against ref. `number`: that
// case alone, with its descriptor.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa/desc_text.h"
#include "support/numeric.h"
#include "tests/engine/expect.h"

typedef struct run {
    machine_t before, ref, other; // other: the set under test
    test_case_t test;
    uint64_t seed;
    uint32_t number, failures, covered[XA_INSN_COUNT];
} run_t;

static void complain(run_t *run, const char *what, const uint32_t at[6], double got, double want,
                     double bound) {
    char text[1024];
    run->failures++;
    if (run->failures > 20)
        return;
    isa_desc_text(run->test.insn, &run->test.desc, text, sizeof text);
    fprintf(stderr, "%s: seed %" PRIu64 " case %u: %s\n  %s\n", what, run->seed, run->number,
            isa_insns[run->test.insn].mnemonic, text);
    if (at)
        fprintf(stderr, "  at [%u,%u,%u,%u,%u,%u]: %.9g instead of %.9g (bound %.3g)\n", at[0],
                at[1], at[2], at[3], at[4], at[5], got, want, bound);
}

// The element that results from storing an expected value.
static void store_expected(const expected_t *want, dtype_t type, uint8_t out[16]) {
    memset(out, 0, 16);
    if (want->is_bits)
        num_store_bits(type, out, 0, (uint64_t)want->i);
    else if (want->is_int)
        num_convert(type, out, 0, want->is_u64 ? DTYPE_U64 : DTYPE_I64, &want->i, 0, want->mode);
    else
        num_store_f64(type, out, 0, want->f, want->mode);
}

static bool same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

// Whether an element's value is within `bound` of what was expected, before it was stored.
static bool close_enough(dtype_t type, double got, const expected_t *want, double factor,
                         double *out_target) {
    uint8_t stored[16];
    store_expected(want, type, stored);
    double target = num_load_f64(type, stored, 0), bound = want->bound * factor;
    *out_target = target;
    if (same_number(got, target) || isnan(bound))
        return true;
    if (want->is_int || want->is_bits || bound == 0)
        return false;
    if (!dtype_is_float(type)) { // the nearest integers
        double slack = bound + 1;
        return fabs(got - target) <= slack || fabs(got - want->f) <= slack;
    }
    double ulp = expect_ulp(type, want->f);
    if (isinf(got) || isnan(got) || isinf(target) || isnan(target)) { // near the greatest value
        const expected_t up = {.f = want->f + bound + ulp, .mode = want->mode};
        const expected_t down = {.f = want->f - bound - ulp, .mode = want->mode};
        store_expected(&up, type, stored);
        bool hit = same_number(got, num_load_f64(type, stored, 0));
        store_expected(&down, type, stored);
        return hit || same_number(got, num_load_f64(type, stored, 0));
    }
    return fabs(got - want->f) <= bound + ulp;
}

static void check_element(run_t *run, const view_t *view, bool is_r, const uint32_t at[6]) {
    uint32_t place[6];
    uint64_t sub, va;
    memcpy(place, at, sizeof place);
    xa_insn_t insn = run->test.insn;
    expected_t want = expect_element(&run->before, &run->test, is_r, at);
    const xa_dma_desc_t *dma = &run->test.desc.dma;
    if ((insn == XA_I_DMA_IN || insn == XA_I_DMA_OUT) && dma->flags & XA_dma_SCATTER) {
        uint64_t list =
            run->test.c.va + (uint64_t)at[1 + dma->idx_dim] * dtype_bytes(run->test.c.type);
        int64_t index = machine_load_int(&run->before, run->test.c.type, list, 0);
        place[1 + dma->idx_dim] = (uint32_t)(index < 0 ? index + dma->idx_bound : index);
    }
    va = view_at(view, place, &sub);
    double target, got = machine_load(&run->ref, view->type, va, sub);
    if (!close_enough(view->type, got, &want, 1, &target))
        complain(run, "ref", at, got, target, want.bound);
    double other = machine_load(&run->other, view->type, va, sub);
    // Where an order of magnitude is all that is promised, nothing is compared.
    if (!same_number(other, got) && !close_enough(view->type, other, &want, 1, &target))
        complain(run, run->other.ctx.set->name, at, other, target, want.bound);
    // What may differ is made equal: all other bytes must be.
    if (same_number(got, other) || want.bound != 0)
        machine_store_bits(&run->other, view->type, va, sub,
                           machine_load_bits(&run->ref, view->type, va, sub));
}

static void check_view(run_t *run, const view_t *view, bool is_r) {
    uint32_t at[6] = {0};
    for (;;) {
        check_element(run, view, is_r, at);
        int i = 5;
        while (i >= 0) {
            bool reduced = view->stride[i] == 0; // one result for the whole dim
            if (++at[i] < view->count[i] && !reduced)
                break;
            at[i--] = 0;
        }
        if (i < 0)
            return;
    }
}

// Bytes outside of the results: as before, in both.
static void check_rest(run_t *run) {
    if (memcmp(run->ref.lm, run->other.lm, run->ref.lm_bytes) != 0 ||
        memcmp(run->ref.dram, run->other.dram, MACHINE_DRAM_BYTES) != 0)
        complain(run, "bytes outside of the result differ", NULL, 0, 0, 0);
}

static void restore_view(run_t *run, const view_t *view) {
    uint32_t at[6] = {0};
    for (;;) {
        uint64_t sub, va = view_at(view, at, &sub);
        machine_store_bits(&run->ref, view->type, va, sub,
                           machine_load_bits(&run->before, view->type, va, sub));
        int i = 5;
        while (i >= 0 && ++at[i] >= view->count[i])
            at[i--] = 0;
        if (i < 0)
            return;
    }
}

// With the results taken back, ref must have left everything as it was.
static void check_untouched(run_t *run) {
    const test_case_t *t = &run->test;
    view_t d = t->d;
    if (t->insn == XA_I_DMA_IN || t->insn == XA_I_DMA_OUT) {
        if (t->desc.dma.flags & XA_dma_SCATTER)
            d.count[1 + t->desc.dma.idx_dim] = t->desc.dma.idx_bound;
    }
    restore_view(run, &d);
    if (t->r.type && t->insn != XA_I_MAT_MUL)
        restore_view(run, &t->r);
    if (memcmp(run->ref.lm, run->before.lm, run->ref.lm_bytes) != 0 ||
        memcmp(run->ref.dram, run->before.dram, MACHINE_DRAM_BYTES) != 0)
        complain(run, "ref wrote outside of the result", NULL, 0, 0, 0);
}

static void run_case(run_t *run) {
    sim_fault_t fault = {0};
    const test_case_t *t = &run->test;
    case_make(run->seed, run->number, &run->before, &run->test);
    machine_copy(&run->ref, &run->before);
    machine_copy(&run->other, &run->before);
    run->covered[t->insn]++;
    if (!machine_issue(&run->ref, t->insn, &t->desc, t->rs1, t->rs2, t->rs3, &fault) ||
        !machine_issue(&run->other, t->insn, &t->desc, t->rs1, t->rs2, t->rs3, &fault)) {
        complain(run, "refused", NULL, 0, 0, 0);
        fprintf(stderr, "  cause %d, va 0x%" PRIx64 ", value %" PRIu64 "\n", (int)fault.cause,
                fault.va, fault.value);
        return;
    }
    bool has_d = t->insn == XA_I_MAT_MUL || t->insn == XA_I_DMA_IN || t->insn == XA_I_DMA_OUT ||
                 !(t->desc.vec.flags & XA_vec_NODST);
    if (has_d)
        check_view(run, &t->d, false);
    if (t->r.type && t->insn != XA_I_MAT_MUL)
        check_view(run, &t->r, true);
    check_rest(run);
    check_untouched(run);
}

int main(int argc, char **argv) {
    static run_t run;
    const sim_engine_set_t *set = machine_set(argc > 1 ? argv[1] : "ref");
    uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 2000, first = 0;
    run.seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    if (!set) {
        fprintf(stderr, "SKIPPED: no such engine set here\n");
        return 77;
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
