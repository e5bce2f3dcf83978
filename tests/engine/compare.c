// SPDX-License-Identifier: Apache-2.0
#include "tests/engine/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "isa/desc_text.h"
#include "support/numeric.h"

void case_complain(run_t *run, const char *what, const uint32_t at[6], double got, double want,
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
        case_complain(run, "ref", at, got, target, want.bound);
    double other = machine_load(&run->other, view->type, va, sub);
    // Where an order of magnitude is all that is promised, nothing is compared.
    if (!same_number(other, got) && !close_enough(view->type, other, &want, 1, &target))
        case_complain(run, run->other.ctx.set->name, at, other, target, want.bound);
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
        case_complain(run, "bytes outside of the result differ", NULL, 0, 0, 0);
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
        case_complain(run, "ref wrote outside of the result", NULL, 0, 0, 0);
}

void case_compare(run_t *run) {
    const test_case_t *t = &run->test;
    bool has_d = t->insn == XA_I_MAT_MUL || t->insn == XA_I_DMA_IN || t->insn == XA_I_DMA_OUT ||
                 !(t->desc.vec.flags & XA_vec_NODST);
    if (has_d)
        check_view(run, &t->d, false);
    if (t->r.type && t->insn != XA_I_MAT_MUL)
        check_view(run, &t->r, true);
    check_rest(run);
    check_untouched(run);
}
