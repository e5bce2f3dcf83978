// SPDX-License-Identifier: Apache-2.0
// The shapes that compiled networks are made of, on ref and on the fast set: no such issue may fall
// back to ref, and results agree within the exactness column. Values are small whole numbers, so
// that sums are exact in any order and whatever differs is wrong.
#include <stdio.h>
#include <string.h>

#include "driver/sim/engine_fast.h"
#include "support/numeric.h"
#include "tests/engine/cases.h"

#define TURNS 1500u
#define A_AT  (ISA_LM_BASE)
#define B_AT  (ISA_LM_BASE + (96u << 10))
#define C_AT  (ISA_LM_BASE + (224u << 10))
#define BIAS  (ISA_LM_BASE + (352u << 10))
#define SCALE (ISA_LM_BASE + (354u << 10))
#define RES   (ISA_LM_BASE + (360u << 10))

typedef struct state {
    machine_t ref, fast;
    random_t random;
    uint32_t failures;
} state_t;

static uint32_t pick(state_t *s, uint32_t low, uint32_t high) {
    return low + random_below(&s->random, high - low + 1);
}

static void put(state_t *s, dtype_t type, uint64_t va, uint32_t n, int32_t low, int32_t high) {
    for (uint32_t i = 0; i < n; i++) {
        double value = low + (int32_t)pick(s, 0, (uint32_t)(high - low));
        num_store_f64(type, s->ref.lm + (va - ISA_LM_BASE), i, value, 0);
    }
}

// Runs the issue on both, compares all of LM, says what it was where they differ.
static void compare(state_t *s, const char *what, xa_insn_t insn, const xa_desc_t *d,
                    const char *text) {
    sim_fault_t fault;
    memcpy(s->fast.lm, s->ref.lm, s->ref.lm_bytes);
    uint64_t before = s->fast.ctx.counts.fallbacks[insn];
    if (!machine_issue(&s->ref, insn, d, C_AT, A_AT, B_AT, &fault) ||
        !machine_issue(&s->fast, insn, d, C_AT, A_AT, B_AT, &fault)) {
        fprintf(stderr, "%s %s: refused, cause %d, value %llu\n", what, text, (int)fault.cause,
                (unsigned long long)fault.value);
        s->failures++;
        return;
    }
    if (s->fast.ctx.counts.fallbacks[insn] != before && fast_state(&s->fast.ctx)->kernels != NULL) {
        fprintf(stderr, "%s %s: fell back to ref\n", what, text);
        s->failures++;
    }
    for (uint64_t i = 0; i < s->ref.lm_bytes; i++) {
        if (s->ref.lm[i] == s->fast.lm[i])
            continue;
        fprintf(stderr, "%s %s: byte %lld of the result differs\n", what, text,
                (long long)i - (long long)(C_AT - ISA_LM_BASE));
        s->failures++;
        return;
    }
}

// --- Windows -------------------------------------------------------------------------------------

static void window(state_t *s) {
    static const dtype_t types[] = {DTYPE_F32, DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static const uint8_t reds[] = {XA_RED_SUM, XA_RED_MAX, XA_RED_MIN};
    bool mac = pick(s, 0, 2) != 0;
    xa_desc_t d = {.vec = {.flags = 0}};
    xa_vec_desc_t *v = &d.vec;
    dtype_t type = types[pick(s, 0, 3)];
    uint32_t k0 = pick(s, 1, 7), k1 = pick(s, 1, 7), step = pick(s, 1, 3), gap = pick(s, 1, 2);
    uint32_t rows = pick(s, 1, 3), cols = pick(s, 1, 11), channels = pick(s, 1, 40);
    int32_t size = (int32_t)dtype_bytes(type), pixel = size * (int32_t)channels;
    int32_t line = pixel * (int32_t)((cols - 1) * step + (k1 - 1) * gap + 1);
    char text[128];
    v->d_type = pick(s, 0, 1) ? DTYPE_F32 : type;
    v->a_type = type;
    v->b_type = v->c_type = DTYPE_F32;
    v->count[0] = 1, v->count[1] = rows, v->count[2] = cols, v->count[3] = channels;
    v->d_stride[3] = (int32_t)dtype_bytes((dtype_t)v->d_type);
    v->d_stride[2] = v->d_stride[3] * (int32_t)channels;
    v->d_stride[1] = v->d_stride[2] * (int32_t)cols;
    v->a_stride[3] = size, v->a_stride[2] = pixel * (int32_t)step;
    v->a_stride[1] = line * (int32_t)step;
    v->k[0] = k0, v->k[1] = k1;
    v->ka_stride[0] = line * (int32_t)gap, v->ka_stride[1] = pixel * (int32_t)gap;
    v->b_stride[3] = v->c_stride[3] = 4;
    v->kb_stride[1] = (int32_t)channels * 4, v->kb_stride[0] = v->kb_stride[1] * (int32_t)k1;
    v->c_addr = BIAS;
    v->flags = mac && pick(s, 0, 1) ? XA_vec_BIAS : 0;
    v->op = mac ? 0 : reds[pick(s, 0, 2)];
    v->alpha = 0.5f;
    v->post = mac && pick(s, 0, 1) ? XA_FUNC_CLAMP : mac && pick(s, 0, 1) ? XA_FUNC_LEAKY : 0;
    v->p0 = 0, v->p1 = 24;
    uint32_t lines = (rows - 1) * step + (k0 - 1) * gap + 1;
    if ((uint64_t)lines * (uint64_t)line > B_AT - A_AT)
        return;
    put(s, type, A_AT, lines * (uint32_t)(line / size), -4, 4);
    put(s, DTYPE_F32, B_AT, k0 * k1 * channels, -2, 2);
    put(s, DTYPE_F32, BIAS, channels, -8, 8);
    snprintf(text, sizeof text, "%s k %ux%u step %u gap %u, %ux%ux%u, types %u %u",
             mac ? "wmac" : "wreduce", k0, k1, step, gap, rows, cols, channels, type, v->d_type);
    compare(s, "window", mac ? XA_I_V_WMAC : XA_I_V_WREDUCE, &d, text);
}

// --- Matrix --------------------------------------------------------------------------------------

static void epilogue(state_t *s, xa_mat_desc_t *m, bool bytes) {
    static const uint8_t acts[] = {XA_FUNC_NONE, XA_FUNC_RELU, XA_FUNC_CLAMP, XA_FUNC_LEAKY};
    m->flags |= XA_mat_DRAIN;
    m->flags |= (pick(s, 0, 1) ? XA_mat_BIAS : 0) | (pick(s, 0, 1) ? XA_mat_SCALE : 0) |
                (pick(s, 0, 1) ? XA_mat_RES : 0);
    m->act = acts[pick(s, 0, 3)];
    m->act_p0 = 0, m->act_p1 = 40;
    m->alpha = pick(s, 0, 1) ? 1 : 0.5f;
    m->c_zero = (int32_t)pick(s, 0, 6) - 3;
    if (bytes)
        m->c_type = pick(s, 0, 2) == 0 ? DTYPE_F32 : pick(s, 0, 1) ? DTYPE_U8 : DTYPE_I8;
    else if (!(m->flags & XA_mat_ACC))
        m->c_type = pick(s, 0, 3) == 0 ? DTYPE_BF16 : m->c_type;
    if (m->c_type != DTYPE_F32)
        m->flags &= ~(uint32_t)XA_mat_ACC;
    m->bias = BIAS, m->scale = SCALE, m->res = RES;
    m->res_type = pick(s, 0, 2) == 0 ? DTYPE_F16 : DTYPE_F32;
    m->res_m2s = (int32_t)(m->n * dtype_bytes((dtype_t)m->res_type));
    m->res_m1s = m->res_m2s * (int32_t)m->m2;
    put(s, bytes ? DTYPE_I32 : DTYPE_F32, BIAS, m->n, -8, 8);
    put(s, DTYPE_F32, SCALE, m->n, 1, 3);
    put(s, (dtype_t)m->res_type, RES, m->m1 * m->m2 * m->n, -8, 8);
}

// A convolution's tile: kernel offsets r1 x r2 over rows of an image with overlap.
static void matrix(state_t *s) {
    static const dtype_t types[] = {DTYPE_F32, DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_U8};
    xa_desc_t d = {.mat = {.batch = 1, .alpha = 1}};
    xa_mat_desc_t *m = &d.mat;
    dtype_t type = types[pick(s, 0,
                              fast_state(&s->fast.ctx)->kernels != NULL &&
                                      fast_state(&s->fast.ctx)->kernels->mat->u8_i8[1][1]
                                  ? 4
                                  : 3)];
    bool bytes = type == DTYPE_U8;
    uint32_t size = dtype_bytes(type), q = 4 / size, step = pick(s, 1, 2);
    char text[160];
    m->m1 = pick(s, 1, 3), m->m2 = pick(s, 1, 15), m->n = pick(s, 1, 130), m->k = pick(s, 1, 21);
    m->r1 = pick(s, 1, 3), m->r2 = pick(s, 1, 3);
    uint32_t pixels = (m->m2 - 1) * step + m->r2, lines = (m->m1 - 1) * step + m->r1;
    m->a_type = type, m->b_type = bytes ? DTYPE_I8 : type,
    m->c_type = bytes ? DTYPE_I32 : DTYPE_F32;
    m->a_r2s = (int32_t)(m->k * size), m->a_m2s = m->a_r2s * (int32_t)step;
    m->a_r1s = m->a_r2s * (int32_t)pixels, m->a_m1s = m->a_r1s * (int32_t)step;
    uint32_t layout = bytes ? 0 : pick(s, 0, 2), kq = (m->k + q - 1) / q * q, b_rows = kq;
    m->flags = layout == 0 ? XA_mat_B_PANEL : layout == 1 ? XA_mat_B_TRANS : 0;
    m->b_pw = 16 * pick(s, 1, 4);
    m->b_ps = (int32_t)(kq * m->b_pw * size);
    uint32_t n_panels = (m->n + m->b_pw - 1) / m->b_pw, columns = n_panels * m->b_pw;
    if (layout != 0)
        b_rows = m->k, columns = m->n;
    m->b_ks = (int32_t)((layout == 1 ? m->k : m->n) * size);
    m->b_rs = (int32_t)(b_rows * columns * size);
    if ((uint64_t)m->r1 * m->r2 * b_rows * columns * size > C_AT - B_AT)
        return;
    put(s, type, A_AT, lines * pixels * m->k, bytes ? 0 : -3, 3);
    put(s, (dtype_t)m->b_type, B_AT, m->r1 * m->r2 * b_rows * columns, -2, 2);
    // K is padded with zeros.
    for (uint32_t r = 0; layout == 0 && r < m->r1 * m->r2; r++)
        for (uint32_t p = 0; p < n_panels; p++)
            for (uint32_t k = m->k; k < kq; k++)
                for (uint32_t j = 0; j < m->b_pw; j++)
                    memset(s->ref.lm + (B_AT - ISA_LM_BASE) + r * (size_t)m->b_rs +
                               p * (size_t)m->b_ps + ((k / q * m->b_pw + j) * q + k % q) * size,
                           0, size);
    if (pick(s, 0, 2) == 0)
        m->flags |= XA_mat_ACC;
    put(s, (dtype_t)m->c_type, C_AT, m->m1 * m->m2 * m->n, -20, 20);
    if (pick(s, 0, 3) != 0)
        epilogue(s, m, bytes);
    m->c_m2s = (int32_t)(m->n * dtype_bytes((dtype_t)m->c_type));
    m->c_m1s = m->c_m2s * (int32_t)m->m2;
    snprintf(text, sizeof text, "types %u %u, m %ux%u n %u k %u r %ux%u, flags %x, pw %u, act %u",
             type, m->c_type, m->m1, m->m2, m->n, m->k, m->r1, m->r2, m->flags, m->b_pw, m->act);
    compare(s, "matrix", XA_I_MAT_MUL, &d, text);
}

static uint32_t run_set(const sim_engine_set_t *set) {
    static state_t s;
    memset(&s, 0, sizeof s);
    s.random.state = 99;
    machine_init(&s.ref, &sim_engine_ref, false);
    machine_init(&s.fast, set, false);
    for (uint32_t i = 0; i < TURNS && s.failures < 10; i++) {
        window(&s);
        matrix(&s);
    }
    const uint64_t *issues = s.fast.ctx.counts.issues;
    if (issues[XA_MAT] < TURNS / 2 || issues[XA_VEC] < TURNS / 2) {
        fprintf(stderr, "most cases were too large to run\n");
        s.failures++;
    }
    printf("%s: %llu windows, %llu products, %u failures\n", set->name,
           (unsigned long long)issues[XA_VEC], (unsigned long long)issues[XA_MAT], s.failures);
    machine_deinit(&s.ref);
    machine_deinit(&s.fast);
    return s.failures;
}

int main(void) {
    uint32_t failures = run_set(&sim_engine_fast);
    failures += run_set(&sim_engine_fast_avx2);
    return failures != 0;
}
