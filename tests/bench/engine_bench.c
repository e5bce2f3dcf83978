// SPDX-License-Identifier: Apache-2.0
// engine_bench [SET]: what an engine set makes of the host, kind of issue by kind: GF/s of matrix
// work, GB/s and elements/ns of the rest. Figures are the best of several runs. No test.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver/sim/engine_fast.h"
#include "isa/program.h"
#include "support/dtype.h"

#define DRAM_BYTES (UINT64_C(256) << 20)
#define LM_AT(x)   (ISA_LM_BASE + (uint64_t)(x))
#define DRAM_AT(x) (ISA_VA_BASE + (uint64_t)(x))

typedef struct bench {
    sim_engine_ctx_t ctx;
    uint8_t *dram;
} bench_t;

static void *resolve(void *user, uint64_t va, uint64_t wanted, isa_access_t access,
                     uint64_t *out_run, sim_fault_t *out_fault) {
    bench_t *bench = user;
    (void)wanted;
    if (va - ISA_VA_BASE >= DRAM_BYTES) {
        *out_fault = (sim_fault_t){ISA_FAULT_PAGE_INVALID, access, va, 0};
        return NULL;
    }
    *out_run = DRAM_BYTES - (va - ISA_VA_BASE);
    return bench->dram + (va - ISA_VA_BASE);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); // other work of the machine does not count
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void issue(bench_t *b, xa_insn_t insn, const xa_desc_t *d, uint64_t rs1, uint64_t rs2,
                  uint64_t rs3) {
    sim_fault_t fault;
    if (!b->ctx.set->issue(&b->ctx, insn, d, rs1, rs2, rs3, &fault)) {
        fprintf(stderr, "issue of %d refused: cause %d, value %llu\n", (int)insn, (int)fault.cause,
                (unsigned long long)fault.value);
        exit(1);
    }
}

// Best seconds of one turn of `statement`, over about a fifth of a second.
#define BEST(seconds, statement)                                                                   \
    do {                                                                                           \
        double begun = now(), best = 1e9;                                                          \
        do {                                                                                       \
            double t = now();                                                                      \
            statement;                                                                             \
            t = now() - t;                                                                         \
            best = t < best ? t : best;                                                            \
        } while (now() - begun < 0.2);                                                             \
        (seconds) = best;                                                                          \
    } while (0)

// --- DMA -----------------------------------------------------------------------------------------

static xa_desc_t dma_rows(uint32_t rows, uint32_t bytes, int64_t dst_stride, int64_t src_stride) {
    xa_desc_t d = {.dma = {.src_type = DTYPE_F32, .dst_type = DTYPE_F32}};
    for (int i = 0; i < 5; i++)
        d.dma.count[i] = 1;
    d.dma.count[3] = rows;
    d.dma.count[4] = bytes / 4;
    d.dma.src_stride[3] = src_stride;
    d.dma.dst_stride[3] = dst_stride;
    d.dma.src_stride[4] = d.dma.dst_stride[4] = 4;
    return d;
}

static void dma_line(bench_t *b, const char *name, xa_insn_t insn, const xa_desc_t *d,
                     uint64_t step, bool in) {
    uint64_t bytes = 4;
    double s;
    for (int i = 0; i < 5; i++)
        bytes *= d->dma.count[i];
    uint32_t turns = (uint32_t)((DRAM_BYTES / 2) / step);
    BEST(s,
         for (uint32_t i = 0; i < turns; i++) issue(b, insn, d, in ? LM_AT(0) : DRAM_AT(i * step),
                                                    in ? DRAM_AT(i * step) : LM_AT(0), 0));
    printf("%-44s %8.1f GB/s\n", name, (double)bytes * turns / s * 1e-9);
}

static void bench_dma(bench_t *b) {
    xa_desc_t d = dma_rows(1, 128 << 10, 0, 0);
    dma_line(b, "dma in, 128 KiB run", XA_I_DMA_IN, &d, 128 << 10, true);
    dma_line(b, "dma out, 128 KiB run", XA_I_DMA_OUT, &d, 128 << 10, false);
    d.dma.flags = XA_dma_STREAM;
    dma_line(b, "dma out, 128 KiB run, stream", XA_I_DMA_OUT, &d, 128 << 10, false);
    d = dma_rows(128, 1024, 1024, 4096);
    dma_line(b, "dma in, 128 rows of 1 KiB", XA_I_DMA_IN, &d, 512 << 10, true);
    d = dma_rows(256, 256 * 4, 4, 4096); // rows to columns
    d.dma.dst_stride[4] = 256 * 4;
    dma_line(b, "dma in, 256 x 256 transposed", XA_I_DMA_IN, &d, 1 << 20, true);
    d = dma_rows(3, 2048 * 4, 4, 224 * 224 * 4); // NCHW to NHWC
    d.dma.dst_stride[4] = 12;
    dma_line(b, "dma in, 3 channels to channels last", XA_I_DMA_IN, &d, 1 << 20, true);
    d = dma_rows(256, 512, 1024, 512);
    d.dma.count[2] = 2;
    d.dma.dst_stride[2] = 512;
    dma_line(b, "dma in, each pixel of 512 bytes twice", XA_I_DMA_IN, &d, 128 << 10, true);
    d = dma_rows(30, 30 * 256, 30 * 256, 28 * 256); // a border around 28 x 28 x 64
    d.dma.count[2] = 30, d.dma.count[3] = 30, d.dma.count[4] = 64;
    d.dma.dst_stride[2] = 30 * 256, d.dma.dst_stride[3] = 256;
    d.dma.src_stride[2] = 28 * 256, d.dma.src_stride[3] = 256;
    d.dma.flags = XA_dma_BORDER;
    d.dma.pad_lo[2] = d.dma.pad_lo[3] = 1;
    for (int i = 0; i < 5; i++)
        d.dma.valid[i] = i == 2 || i == 3 ? 28 : d.dma.count[i];
    dma_line(b, "dma in, 28 x 28 x 64 with a border", XA_I_DMA_IN, &d, 256 << 10, true);
    d = dma_rows(1, 128 << 10, 0, 0);
    d.dma.src_type = DTYPE_F16;
    d.dma.src_stride[4] = 2;
    dma_line(b, "dma in, f16 to f32 (bytes of f32)", XA_I_DMA_IN, &d, 128 << 10, true);
}

// --- Matrix --------------------------------------------------------------------------------------

typedef struct shape {
    const char *name;
    uint32_t m1, m2, k, n, r1, r2;
    bool stream; // B comes from DRAM by stable DMA-in, each time other memory
} shape_t;

static xa_desc_t mat_desc(const shape_t *s) {
    uint32_t width = s->m2 + s->r2 - 1; // of an image row
    xa_mat_desc_t m = {.a_type = DTYPE_F32, .b_type = DTYPE_F32, .c_type = DTYPE_F32};
    m.batch = 1, m.m1 = s->m1, m.m2 = s->m2, m.n = s->n, m.k = s->k, m.r1 = s->r1, m.r2 = s->r2;
    m.a_m2s = m.a_r2s = (int32_t)(s->k * 4);
    m.a_m1s = m.a_r1s = (int32_t)(width * s->k * 4);
    m.b_pw = 64;
    m.flags = XA_mat_B_PANEL | XA_mat_DRAIN | XA_mat_BIAS;
    m.b_rs = (int32_t)(s->k * 256);
    m.b_ps = m.b_rs * (int32_t)(s->r1 * s->r2);
    m.c_m2s = (int32_t)(s->n * 4);
    m.c_m1s = m.c_m2s * (int32_t)s->m2;
    m.act = XA_FUNC_RELU;
    m.alpha = 1;
    return (xa_desc_t){.mat = m};
}

// The kernel alone on a panel of the same depth, in cache.
static double bare(const shape_t *s, const fast_kernels_t *kernels) {
    static float a[6 * 8192], b[8192 * 64], c[6 * 64];
    uint32_t depth = s->k * s->r1 * s->r2, rows = s->m1 * s->m2;
    if (kernels == NULL || kernels->mat->cols != 64 || depth > 8192)
        return 0;
    int64_t zero = 0;
    fast_mat_t call = {.a_offset = &zero,
                       .b_offset = &zero,
                       .b = (uint8_t *)b,
                       .b_step = 256,
                       .n_r = 1,
                       .prefetch = (uint8_t *)b,
                       .k = depth,
                       .n = 64,
                       .alpha = 1};
    rows = rows < 6 ? rows : 6;
    for (uint32_t i = 0; i < rows; i++) {
        call.a[i] = (uint8_t *)(a + (size_t)i * depth);
        call.c[i] = c + (size_t)i * 64;
    }
    double seconds;
    BEST(seconds, for (int i = 0; i < 100; i++) kernels->mat->f32[4][rows](&call));
    return 2.0 * 64 * depth * rows * 100 / seconds * 1e-9;
}

static void mat_line(bench_t *b, const shape_t *s) {
    xa_desc_t d = mat_desc(s);
    uint64_t a_bytes = (uint64_t)(s->m1 + s->r1 - 1) * (s->m2 + s->r2 - 1) * s->k * 4;
    uint64_t b_bytes = (uint64_t)(s->n + 63) / 64 * 256 * s->k * s->r1 * s->r2;
    uint64_t c = a_bytes, bias = c + (uint64_t)s->m1 * s->m2 * s->n * 4, w = bias + s->n * 4ull;
    xa_desc_t dma = dma_rows(1, (uint32_t)b_bytes, 0, 0);
    if (s->stream)
        dma.dma.flags = XA_dma_STABLE;
    d.mat.bias = LM_AT(bias);
    if (w + b_bytes > b->ctx.lm_bytes) {
        printf("%-44s does not fit\n", s->name);
        return;
    }
    uint32_t turns = s->stream ? (uint32_t)(DRAM_BYTES / b_bytes) : 20;
    double seconds, flops = 2.0 * s->m1 * s->m2 * s->k * s->n * s->r1 * s->r2 * turns;
    issue(b, XA_I_DMA_IN, &dma, LM_AT(w), DRAM_AT(0), 0);
    BEST(
        seconds, for (uint32_t i = 0; i < turns; i++) {
            if (s->stream)
                issue(b, XA_I_DMA_IN, &dma, LM_AT(w), DRAM_AT(i * b_bytes), 0);
            issue(b, XA_I_MAT_MUL, &d, LM_AT(c), LM_AT(0), LM_AT(w));
        });
    printf("%-44s %8.1f GF/s %8.1f GB/s of B   (kernel alone %.1f)\n", s->name,
           flops / seconds * 1e-9, (double)b_bytes * turns / seconds * 1e-9,
           bare(s, b->ctx.state == NULL ? NULL : fast_state(&b->ctx)->kernels));
}

static void bench_mat(bench_t *b) {
    static const shape_t shapes[] = {
        {"mat 64 x 768 x 64 (BERT)", 1, 64, 768, 64, 1, 1, false},
        {"mat 64 x 768 x 64, B in place from DRAM", 1, 64, 768, 64, 1, 1, true},
        {"mat 128 x 384 x 64, B in place from DRAM", 1, 128, 384, 64, 1, 1, true},
        {"mat 64 x 384 x 64, B in place from DRAM", 1, 64, 384, 64, 1, 1, true},
        {"mat 128 x 64 x 128 (attention)", 1, 128, 64, 128, 1, 1, false},
        {"mat 128 x 96 x 192", 1, 128, 96, 192, 1, 1, false},
        {"mat 128 x 256 x 128", 1, 128, 256, 128, 1, 1, false},
        {"mat 392 x 64 x 64", 7, 56, 64, 64, 1, 1, false},
        {"mat 196 x 256 x 128", 14, 14, 256, 128, 1, 1, false},
        {"mat 49 x 512 x 64", 7, 7, 512, 64, 1, 1, false},
        {"conv 3x3 4 x 56 x 64 -> 64", 4, 56, 64, 64, 3, 3, false},
        {"conv 3x3 14 x 14 x 128 -> 64", 14, 14, 128, 64, 3, 3, false},
        {"conv 3x3 7 x 7 x 128 -> 64", 7, 7, 128, 64, 3, 3, false},
        {"mat 112 x 16 x 96", 1, 112, 16, 96, 1, 1, false},
        {"mat 196 x 32 x 24", 1, 196, 32, 24, 1, 1, false},
        {"gemv 768 x 64, B in place from DRAM", 1, 1, 768, 64, 1, 1, true},
        {"gemv 768 x 128, B in LM", 1, 1, 768, 128, 1, 1, false},
    };
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        mat_line(b, &shapes[i]);
}

// --- Vector --------------------------------------------------------------------------------------

static xa_desc_t vec_desc(uint32_t rows, uint32_t cols) {
    xa_desc_t d = {.vec = {.d_type = DTYPE_F32,
                           .a_type = DTYPE_F32,
                           .b_type = DTYPE_F32,
                           .c_type = DTYPE_F32,
                           .r_type = DTYPE_F32}};
    xa_vec_desc_t *v = &d.vec;
    v->count[0] = v->count[1] = 1;
    v->count[2] = rows;
    v->count[3] = cols;
    v->d_stride[2] = v->a_stride[2] = v->b_stride[2] = v->c_stride[2] = (int32_t)(cols * 4);
    v->d_stride[3] = v->a_stride[3] = v->b_stride[3] = v->c_stride[3] = 4;
    v->alpha = 1;
    v->p0 = 1;
    v->c_addr = LM_AT(320 << 10);
    v->r_addr = LM_AT(500 << 10);
    return d;
}

static void vec_line(bench_t *b, const char *name, xa_insn_t insn, const xa_desc_t *d,
                     uint64_t work) {
    double s;
    BEST(s, for (int i = 0; i < 20; i++)
                issue(b, insn, d, LM_AT(0), LM_AT(128 << 10), LM_AT(256 << 10)));
    printf("%-44s %8.2f elements/ns\n", name, (double)work * 20 / s * 1e-9);
}

static void bench_unary(bench_t *b) {
    static const struct {
        const char *name;
        uint8_t func;
    } funcs[] = {{"v.unary relu 8192", XA_FUNC_RELU},       {"v.unary exp 8192", XA_FUNC_EXP},
                 {"v.unary sigmoid 8192", XA_FUNC_SIGMOID}, {"v.unary tanh 8192", XA_FUNC_TANH},
                 {"v.unary erf 8192", XA_FUNC_ERF},         {"v.unary gelu 8192", XA_FUNC_GELU},
                 {"v.unary silu 8192", XA_FUNC_SILU},       {"v.unary log 8192", XA_FUNC_LOG},
                 {"v.unary sqrt 8192", XA_FUNC_SQRT},       {"v.unary sin 8192", XA_FUNC_SIN}};
    xa_desc_t d = vec_desc(16, 512);
    for (size_t i = 0; i < COUNT_OF(funcs); i++) {
        d.vec.op = funcs[i].func;
        vec_line(b, funcs[i].name, XA_I_V_UNARY, &d, 8192);
    }
}

static void bench_vec(bench_t *b) {
    xa_desc_t d = vec_desc(16, 512);
    bench_unary(b);
    d.vec.op = XA_BIN_ADD;
    vec_line(b, "v.binary add 8192", XA_I_V_BINARY, &d, 8192);
    d.vec.b_stride[2] = 0;
    vec_line(b, "v.binary add, row of b for all", XA_I_V_BINARY, &d, 8192);
    d.vec.b_stride[2] = 4, d.vec.b_stride[3] = 0;
    vec_line(b, "v.binary add, one b a row", XA_I_V_BINARY, &d, 8192);
    d.vec.op = XA_BIN_EXPDIFF;
    d.vec.flags = XA_vec_ROWRED;
    d.vec.r_stride[2] = 4;
    vec_line(b, "v.binary expdiff, sum of rows", XA_I_V_BINARY, &d, 8192);
    d = vec_desc(16, 512);
    d.vec.op = XA_TER_FMA;
    vec_line(b, "v.ternary fma 8192", XA_I_V_TERNARY, &d, 8192);
    d = vec_desc(16, 512);
    d.vec.d_stride[3] = 0, d.vec.d_stride[2] = 4;
    d.vec.op = XA_RED_MAX;
    vec_line(b, "v.reduce max of rows", XA_I_V_REDUCE, &d, 8192);
    d.vec.op = XA_RED_SUM;
    d.vec.d_stride[3] = 4, d.vec.d_stride[2] = 0;
    vec_line(b, "v.reduce sum of columns", XA_I_V_REDUCE, &d, 8192);
    d = vec_desc(16, 512);
    d.vec.a_type = DTYPE_F16;
    d.vec.a_stride[2] = 1024, d.vec.a_stride[3] = 2;
    vec_line(b, "v.convert f16 to f32", XA_I_V_CONVERT, &d, 8192);
    d = vec_desc(16, 512);
    d.vec.a_stride[2] = 4, d.vec.a_stride[3] = 64;
    d.vec.op = XA_FUNC_NONE;
    vec_line(b, "v.unary none, transposed", XA_I_V_UNARY, &d, 8192);
}

static void window_line(bench_t *b, const char *name, xa_insn_t insn, uint32_t size,
                        uint32_t channels, uint32_t k, uint32_t step) {
    xa_desc_t d = vec_desc(size, channels);
    xa_vec_desc_t *v = &d.vec;
    int32_t pixel = (int32_t)(channels * 4), row = pixel * (int32_t)((size - 1) * step + k);
    double s;
    v->count[1] = size;
    v->d_stride[1] = pixel * (int32_t)size;
    v->a_stride[1] = row * (int32_t)step;
    v->a_stride[2] = pixel * (int32_t)step;
    v->b_stride[1] = v->b_stride[2] = 0;
    v->k[0] = v->k[1] = k;
    v->ka_stride[0] = row;
    v->ka_stride[1] = pixel;
    v->kb_stride[0] = pixel * (int32_t)k;
    v->kb_stride[1] = pixel;
    v->op = XA_RED_MAX;
    v->post = insn == XA_I_V_WMAC ? XA_FUNC_RELU : XA_FUNC_NONE;
    BEST(s, for (int i = 0; i < 20; i++)
                issue(b, insn, &d, LM_AT(0), LM_AT(150 << 10), LM_AT(480 << 10)));
    double macs = (double)size * size * channels * k * k * 20;
    printf("%-44s %8.1f GF/s\n", name, 2 * macs / s * 1e-9);
}

static void bench_windows(bench_t *b) {
    window_line(b, "v.wmac 3x3, 14 x 14 x 96", XA_I_V_WMAC, 14, 96, 3, 1);
    window_line(b, "v.wmac 3x3, 7 x 7 x 192", XA_I_V_WMAC, 7, 192, 3, 1);
    window_line(b, "v.wmac 3x3, 14 x 14 x 96, stride 2", XA_I_V_WMAC, 14, 96, 3, 2);
    window_line(b, "v.wmac 5x5, 14 x 14 x 96", XA_I_V_WMAC, 14, 96, 5, 1);
    window_line(b, "v.wreduce max 3x3, 14 x 14 x 64, stride 2", XA_I_V_WREDUCE, 14, 64, 3, 2);
}

int main(int argc, char **argv) {
    static bench_t b;
    bool ref = argc > 1 && strcmp(argv[1], "ref") == 0;
    bool avx2 = argc > 1 && strcmp(argv[1], "fast_avx2") == 0;
    const sim_engine_set_t *set = ref ? &sim_engine_ref : &sim_engine_fast;
    set = avx2 ? &sim_engine_fast_avx2 : set;
    const isa_profile_t *profile = isa_profile_find("host");
    b.dram = aligned_alloc(2 << 20, DRAM_BYTES);
    uint8_t *lm = aligned_alloc(2 << 20, 2 << 20);
    if (profile == NULL || b.dram == NULL || lm == NULL)
        return 1;
    for (uint64_t i = 0; i < DRAM_BYTES / 4; i++)
        ((float *)(void *)b.dram)[i] = (float)(i % 1021) * 1e-3f - 0.5f;
    memcpy(lm, b.dram, 2 << 20);
    b.ctx = (sim_engine_ctx_t){.set = set,
                               .profile = profile,
                               .lm = lm,
                               .lm_bytes = profile->lm_bytes,
                               .resolve = resolve,
                               .user = &b};
    if (set->open != NULL && set->open(&b.ctx) != STATUS_OK)
        return 1;
    printf("set %s\n", set->name);
    bench_mat(&b);
    bench_dma(&b);
    bench_vec(&b);
    bench_windows(&b);
    for (unsigned i = 0; i < XA_INSN_COUNT; i++)
        if (b.ctx.counts.fallbacks[i] != 0)
            printf("insn %u: %llu issues fell back to ref\n", i,
                   (unsigned long long)b.ctx.counts.fallbacks[i]);
    if (set->close != NULL)
        set->close(&b.ctx);
    free(lm);
    free(b.dram);
    return 0;
}
