// SPDX-License-Identifier: Apache-2.0
// Sources read in place: random programs of stable DMA-ins and of what may follow them, on ref and
// on the fast set. Whatever the fast set has not copied yet, no instruction may see a difference.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/sim/engine_fast.h"
#include "tests/engine/cases.h"

#define LM_USED  (96u << 10)
#define SOURCES  (128u << 10) // of DRAM; the rest takes what is written out
#define PROGRAMS 400u
#define STEPS    24u

typedef struct program {
    machine_t ref, fast;
    random_t random;
    uint32_t failures;
} program_t;

typedef struct step {
    xa_insn_t insn;
    xa_desc_t desc;
    uint64_t rs1, rs2, rs3;
} step_t;

static uint32_t pick(program_t *p, uint32_t low, uint32_t high) {
    return low + random_below(&p->random, high - low + 1);
}

static uint64_t lm_place(program_t *p, uint64_t bytes) {
    return ISA_LM_BASE + pick(p, 0, (uint32_t)(LM_USED - bytes) / 256) * 256;
}

// Rows of the source, dense or with gaps on either side; mostly long enough to stay in place.
static step_t dma_in(program_t *p) {
    step_t s = {.insn = XA_I_DMA_IN};
    xa_dma_desc_t *d = &s.desc.dma;
    uint32_t rows = pick(p, 1, 6), bytes = pick(p, 1, 10) * 512;
    uint32_t gap = pick(p, 0, 2) * 256, pad = pick(p, 0, 3) == 0 ? 128 : 0;
    d->flags = pick(p, 0, 4) != 0 ? XA_dma_STABLE : 0;
    d->src_type = d->dst_type = DTYPE_F32;
    for (unsigned i = 0; i < 5; i++)
        d->count[i] = 1;
    d->count[3] = rows;
    d->count[4] = bytes / 4;
    d->src_stride[4] = d->dst_stride[4] = 4;
    d->src_stride[3] = bytes + gap;
    d->dst_stride[3] = bytes + pad;
    s.rs1 = lm_place(p, (uint64_t)rows * (bytes + pad));
    s.rs2 = ISA_VA_BASE + pick(p, 0, (SOURCES - rows * (bytes + gap)) / 64) * 64;
    return s;
}

static step_t dma_out(program_t *p) {
    step_t s = {.insn = XA_I_DMA_OUT};
    xa_dma_desc_t *d = &s.desc.dma;
    uint32_t rows = pick(p, 1, 4), bytes = pick(p, 1, 8) * 128;
    d->src_type = d->dst_type = DTYPE_F32;
    for (unsigned i = 0; i < 5; i++)
        d->count[i] = 1;
    d->count[3] = rows;
    d->count[4] = bytes / 4;
    d->src_stride[4] = d->dst_stride[4] = 4;
    d->src_stride[3] = bytes + pick(p, 0, 4) * 128;
    d->dst_stride[3] = bytes;
    s.rs2 = lm_place(p, (uint64_t)rows * (uint64_t)d->src_stride[3]);
    s.rs1 = ISA_VA_BASE + SOURCES + pick(p, 0, (MACHINE_DRAM_BYTES - SOURCES) / 2048 - 4) * 2048;
    return s;
}

static step_t vector(program_t *p) {
    step_t s = {.insn = pick(p, 0, 1) ? XA_I_V_BINARY : XA_I_V_UNARY};
    xa_vec_desc_t *v = &s.desc.vec;
    uint32_t rows = pick(p, 1, 4), cols = pick(p, 1, 300);
    int32_t gap = (int32_t)pick(p, 0, 3) * 4;
    v->d_type = v->a_type = v->b_type = DTYPE_F32;
    v->op = s.insn == XA_I_V_BINARY ? XA_BIN_MAX : XA_FUNC_RELU;
    v->count[0] = v->count[1] = 1;
    v->count[2] = rows;
    v->count[3] = cols;
    v->d_stride[3] = v->a_stride[3] = v->b_stride[3] = 4;
    v->d_stride[2] = v->a_stride[2] = v->b_stride[2] = (int32_t)cols * 4 + gap;
    v->alpha = 1;
    if (pick(p, 0, 5) == 0) { // one that the fast set has no loop for
        s.insn = XA_I_V_SCAN;
        v->op = XA_RED_MAX;
        v->axis = 3;
    }
    uint64_t bytes = (uint64_t)rows * (uint64_t)v->d_stride[2];
    s.rs2 = lm_place(p, bytes);
    s.rs3 = lm_place(p, bytes);
    do
        s.rs1 = lm_place(p, bytes);
    while (s.rs1 < s.rs2 + bytes && s.rs2 < s.rs1 + bytes); // overlap is not defined
    if (s.rs1 < s.rs3 + bytes && s.rs3 < s.rs1 + bytes)
        s.rs3 = s.rs2;
    return s;
}

// Small whole numbers, so that the order of sums does not matter: rows of A, B by rows or panels.
static step_t matrix(program_t *p) {
    step_t s = {.insn = XA_I_MAT_MUL};
    xa_mat_desc_t *m = &s.desc.mat;
    uint32_t m2 = pick(p, 1, 9), k = pick(p, 1, 40), n = pick(p, 1, 40);
    bool panel = pick(p, 0, 1);
    m->a_type = m->b_type = m->c_type = DTYPE_F32;
    m->batch = m->m1 = m->r1 = m->r2 = 1;
    m->m2 = m2, m->k = k, m->n = n;
    m->a_m2s = (int32_t)(k + pick(p, 0, 2) * 64) * 4;
    m->flags = panel ? XA_mat_B_PANEL : pick(p, 0, 1) ? XA_mat_B_TRANS : 0;
    m->b_pw = 16;
    m->b_ps = (int32_t)k * 64;
    m->b_ks = (int32_t)(m->flags & XA_mat_B_TRANS ? k : n) * 4;
    m->c_m2s = (int32_t)n * 4;
    uint64_t c_bytes = (uint64_t)m2 * n * 4;
    s.rs2 = lm_place(p, (uint64_t)m2 * (uint64_t)m->a_m2s);
    s.rs3 = lm_place(p, (uint64_t)(n + 15) / 16 * 64 * k);
    s.rs1 = ISA_LM_BASE + LM_USED + pick(p, 0, 3) * 4096; // apart from A and B
    if (c_bytes > 4096 || pick(p, 0, 1))
        s.rs1 = ISA_LM_BASE + LM_USED;
    return s;
}

static void fail(program_t *p, const char *what, uint32_t number) {
    p->failures++;
    fprintf(stderr, "program %u: %s\n", number, what);
}

static void both(program_t *p, const step_t *s, uint32_t number) {
    sim_fault_t fault;
    if (!machine_issue(&p->ref, s->insn, &s->desc, s->rs1, s->rs2, s->rs3, &fault) ||
        !p->fast.ctx.set->issue(&p->fast.ctx, s->insn, &s->desc, s->rs1, s->rs2, s->rs3, &fault))
        fail(p, "refused", number);
}

static void compare(program_t *p, uint32_t number) {
    p->fast.ctx.set->settle(&p->fast.ctx);
    if (memcmp(p->ref.lm, p->fast.lm, p->ref.lm_bytes) != 0)
        fail(p, "local memories differ", number);
    if (memcmp(p->ref.dram, p->fast.dram, MACHINE_DRAM_BYTES) != 0)
        fail(p, "DRAM differs", number);
}

static void run_program(program_t *p, uint32_t number) {
    p->random.state = number * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t kind = pick(p, 0, 9);
        step_t s = kind < 4 ? dma_in(p) : kind < 6 ? vector(p) : kind < 8 ? matrix(p) : dma_out(p);
        both(p, &s, number);
        if (pick(p, 0, 15) == 0)
            compare(p, number);
    }
    compare(p, number);
}

// What is promised: a stable DMA-in of some size copies nothing, and its slot used again drops it.
static void check_lazy(program_t *p) {
    uint32_t before = p->failures;
    step_t s = {.insn = XA_I_DMA_IN, .rs1 = ISA_LM_BASE, .rs2 = ISA_VA_BASE};
    xa_dma_desc_t *d = &s.desc.dma;
    sim_engine_ctx_t *ctx = &p->fast.ctx;
    d->flags = XA_dma_STABLE;
    d->src_type = d->dst_type = DTYPE_F32;
    for (unsigned i = 0; i < 4; i++)
        d->count[i] = 1;
    d->count[4] = 4096;
    d->src_stride[4] = d->dst_stride[4] = 4;
    memset(p->fast.lm, 0x5a, 16384);
    for (uint32_t i = 0; i < 100; i++, s.rs2 += 64)
        both(p, &s, 0);
    if (ctx->counts.in_place >= 100 && fast_state(ctx)->n_aliases != 1)
        fail(p, "a slot that is used again leaves aliases", 0);
    if (fast_state(ctx)->kernels != NULL && p->fast.lm[0] != 0x5a)
        fail(p, "copied at once", 0);
    compare(p, 0);
    if (p->failures == before)
        printf("%s: lazy, %llu in place\n", ctx->set->name,
               (unsigned long long)ctx->counts.in_place);
}

// --- Multicast into a memory with sources in place ---

typedef struct pair {
    machine_t core[2];
} pair_t;

static sim_engine_ctx_t *pair_peer(void *user, uint32_t core) {
    machine_t *first = (machine_t *)user - ((machine_t *)user)->ctx.core;
    return core < 2 ? &first[core].ctx : NULL;
}

static uint32_t check_multicast(const sim_engine_set_t *set) {
    static pair_t pair;
    sim_fault_t fault;
    machine_t *a = &pair.core[0], *b = &pair.core[1];
    xa_desc_t in = {.dma = {.flags = XA_dma_STABLE, .src_type = DTYPE_F32, .dst_type = DTYPE_F32}};
    for (uint32_t i = 0; i < 2; i++) {
        machine_init(&pair.core[i], set, false);
        pair.core[i].ctx.core = i;
        pair.core[i].ctx.peer = pair_peer;
        for (uint32_t j = 0; j < MACHINE_DRAM_BYTES; j++)
            pair.core[i].dram[j] = (uint8_t)(j * 7 + i * 31 + 1);
    }
    for (unsigned i = 0; i < 5; i++)
        in.dma.count[i] = 1;
    in.dma.count[4] = 4096;
    in.dma.src_stride[4] = in.dma.dst_stride[4] = 4;
    xa_desc_t cast = in;
    cast.dma.flags = 0;
    cast.dma.multicast = 2;
    cast.dma.count[3] = 2;
    cast.dma.count[4] = 256;
    cast.dma.src_stride[3] = cast.dma.dst_stride[3] = 2048;
    // b has 16 KiB in place; a then overwrites two pieces of it.
    bool ok = set->issue(&b->ctx, XA_I_DMA_IN, &in, ISA_LM_BASE, ISA_VA_BASE, 0, &fault) &&
              set->issue(&a->ctx, XA_I_DMA_IN, &cast, ISA_LM_BASE + 4096, ISA_VA_BASE, 0, &fault);
    set->settle(&a->ctx);
    set->settle(&b->ctx);
    for (uint32_t i = 0; ok && i < 16384; i++) {
        uint32_t offset = i - 4096;
        bool sent = offset < 4096 && offset % 2048 < 1024;
        ok = b->lm[i] == (sent ? a->dram[offset] : b->dram[i]) && (!sent || b->lm[i] == a->lm[i]);
    }
    ok = ok && atomic_load(&b->ctx.foreign_writes) == 1;
    printf("%s: multicast %s\n", set->name, ok ? "arrives" : "FAILED");
    machine_deinit(a);
    machine_deinit(b);
    return !ok;
}

static uint32_t run_set(const sim_engine_set_t *set) {
    static program_t p;
    memset(&p, 0, sizeof p);
    machine_init(&p.ref, &sim_engine_ref, false);
    machine_init(&p.fast, set, false);
    for (uint32_t i = 0; i < MACHINE_DRAM_BYTES; i += 4) {
        float value = (float)(i / 4 % 61) - 30;
        memcpy(p.ref.dram + i, &value, 4);
        memcpy(p.fast.dram + i, &value, 4);
    }
    check_lazy(&p);
    for (uint32_t i = 1; i <= PROGRAMS && p.failures == 0; i++)
        run_program(&p, i);
    if (fast_state(&p.fast.ctx)->kernels != NULL && p.fast.ctx.counts.in_place < PROGRAMS)
        fail(&p, "hardly any source was read in place", 0);
    printf("%s: %u programs, %llu sources in place, %u failures\n", set->name, PROGRAMS,
           (unsigned long long)p.fast.ctx.counts.in_place, p.failures);
    machine_deinit(&p.ref);
    machine_deinit(&p.fast);
    return p.failures + check_multicast(set);
}

int main(void) {
    uint32_t failures = run_set(&sim_engine_fast);
    failures += run_set(&sim_engine_fast_avx2);
    return failures != 0;
}
