// SPDX-License-Identifier: Apache-2.0
// Windows over a row of outputs, channels side by side. Four outputs at a time share the weights
// and, where windows overlap, the inputs. An output's sum always runs over k0, then k1.
#include "driver/sim/engine_fast_kernels.h"
#include "driver/sim/engine_fast_simd.h"
#include "isa/xaccel.h"

#include <math.h>

#define GROUP 4
#define K_MAX 7

typedef struct place {
    const uint8_t *a, *b;
    uint8_t *d;
    vf_t bias;
    vmask_t mask;
} place_t;

// A whole vector needs no mask, and loads without one are cheaper on some machines.
static ALWAYS_INLINE vf_t load(const uint8_t *p, const place_t *at, bool part) {
    return part ? vf_load_part(p, at->mask) : vf_load(p);
}

static ALWAYS_INLINE void finish(const fast_window_t *w, const place_t *at, uint8_t *to, vf_t x,
                                 bool part) {
    if (w->act == FAST_ACT_RELU)
        x = vf_max2(vf_zero(), x);
    else if (w->act == FAST_ACT_CLAMP)
        x = vf_min2(vf_set(w->act_p1), vf_max2(vf_set(w->act_p0), x));
    if (part)
        vf_store_part(to, at->mask, x);
    else
        vf_store(to, x);
}

// --- Multiply-accumulate -------------------------------------------------------------------------

// `n` outputs, any window. k1 > 0: windows of k1 that start `step` inputs apart.
static ALWAYS_INLINE void mac_group(const fast_window_t *w, const place_t *at, int n, int k1,
                                    int step, bool part) {
    vf_t sum[GROUP];
    UNROLL(4)
    for (int i = 0; i < n; i++)
        sum[i] = at->bias;
    for (uint32_t y = 0; y < w->k0; y++) {
        const uint8_t *a = at->a + y * w->ka0, *b = at->b + y * w->kb0;
        if (k1 > 0) {
            vf_t in[(GROUP - 1) * 2 + K_MAX], weight[K_MAX];
            UNROLL(7)
            for (int x = 0; x < k1; x++)
                weight[x] = load(b + x * w->kb1, at, part);
            UNROLL(13)
            for (int x = 0; x < (n - 1) * step + k1; x++)
                in[x] = load(a + x * w->ka1, at, part);
            UNROLL(7)
            for (int x = 0; x < k1; x++) {
                UNROLL(4)
                for (int i = 0; i < n; i++)
                    sum[i] = vf_fma(in[i * step + x], weight[x], sum[i]);
            }
            continue;
        }
        for (uint32_t x = 0; x < w->k1; x++, a += w->ka1, b += w->kb1) {
            vf_t weight = load(b, at, part);
            UNROLL(4)
            for (int i = 0; i < n; i++)
                sum[i] = vf_fma(load(a + i * w->a_x, at, part), weight, sum[i]);
        }
    }
    UNROLL(4)
    for (int i = 0; i < n; i++)
        finish(w, at, at->d + i * w->d_x, sum[i], part);
}

static ALWAYS_INLINE void mac_row(const fast_window_t *w, int k1, int step, bool part,
                                  uint32_t channel) {
    vmask_t mask = vf_mask(w->n_c - channel);
    size_t offset = (size_t)channel * 4;
    place_t at = {w->a + offset, w->b + offset, w->d + offset, vf_zero(), mask};
    uint32_t x = 0;
    if (w->bias != NULL)
        at.bias = vf_load_part(w->bias + channel, mask);
    for (; x + GROUP <= w->n_x; x += GROUP) {
        mac_group(w, &at, GROUP, k1, step, part);
        at.a += GROUP * w->a_x;
        at.d += GROUP * w->d_x;
    }
    if (w->n_x - x == 3)
        mac_group(w, &at, 3, k1, step, part);
    else if (w->n_x - x == 2)
        mac_group(w, &at, 2, k1, step, part);
    else if (w->n_x - x == 1)
        mac_group(w, &at, 1, k1, step, part);
}

#define MAC_ROWS(k1, step)                                                                         \
    do {                                                                                           \
        for (; c + VF_WIDTH <= w->n_c; c += VF_WIDTH)                                              \
            mac_row(w, k1, step, false, c);                                                        \
        if (c < w->n_c)                                                                            \
            mac_row(w, k1, step, true, c);                                                         \
    } while (0)

static void wmac(const fast_window_t *w) {
    int64_t step = w->ka1 != 0 && w->a_x % w->ka1 == 0 ? w->a_x / w->ka1 : 0;
    uint32_t c = 0;
    if (w->k1 == 3 && step == 1)
        MAC_ROWS(3, 1);
    else if (w->k1 == 3 && step == 2)
        MAC_ROWS(3, 2);
    else if (w->k1 == 5 && step == 1)
        MAC_ROWS(5, 1);
    else if (w->k1 == 5 && step == 2)
        MAC_ROWS(5, 2);
    else if (w->k1 == 7 && step == 1)
        MAC_ROWS(7, 1);
    else
        MAC_ROWS(0, 0);
}

// --- Reductions ----------------------------------------------------------------------------------

#define REDUCE(name, identity, join, first)                                                        \
    static ALWAYS_INLINE void reduce_group_##name(const fast_window_t *w, const place_t *at,       \
                                                  int n) {                                         \
        vf_t sum[GROUP];                                                                           \
        UNROLL(4)                                                                                  \
        for (int i = 0; i < n; i++)                                                                \
            sum[i] = vf_set(identity);                                                             \
        for (uint32_t y = 0; y < w->k0; y++) {                                                     \
            const uint8_t *a = at->a + y * w->ka0;                                                 \
            for (uint32_t x = 0; x < w->k1; x++, a += w->ka1) {                                    \
                UNROLL(4)                                                                          \
                for (int i = 0; i < n; i++)                                                        \
                    sum[i] = join(sum[i], first(load(a + i * w->a_x, at, true)));                  \
            }                                                                                      \
        }                                                                                          \
        UNROLL(4)                                                                                  \
        for (int i = 0; i < n; i++)                                                                \
            finish(w, at, at->d + i * w->d_x, vf_mul(sum[i], vf_set(w->alpha)), true);             \
    }                                                                                              \
    static void reduce_##name(const fast_window_t *w) {                                            \
        for (uint32_t c = 0; c < w->n_c; c += VF_WIDTH) {                                          \
            size_t offset = (size_t)c * 4;                                                         \
            place_t at = {w->a + offset, NULL, w->d + offset, vf_zero(), vf_mask(w->n_c - c)};     \
            uint32_t x = 0;                                                                        \
            for (; x < w->n_x; x += x + GROUP <= w->n_x ? GROUP : 1) {                             \
                at.a = w->a + offset + x * w->a_x;                                                 \
                at.d = w->d + offset + x * w->d_x;                                                 \
                if (x + GROUP <= w->n_x)                                                           \
                    reduce_group_##name(w, &at, GROUP);                                            \
                else                                                                               \
                    reduce_group_##name(w, &at, 1);                                                \
            }                                                                                      \
        }                                                                                          \
    }

static ALWAYS_INLINE vf_t same(vf_t x) { return x; }
static ALWAYS_INLINE vf_t square(vf_t x) { return vf_mul(x, x); }

REDUCE(sum, 0, vf_add, same)
REDUCE(max, -INFINITY, vf_max, same)
REDUCE(min, INFINITY, vf_min, same)
REDUCE(sumsq, 0, vf_add, square)
REDUCE(sumabs, 0, vf_add, vf_abs)

const fast_window_kernels_t FAST_NAME(fast_window_kernels) = {
    .wmac = wmac,
    .wreduce = {[XA_RED_SUM] = reduce_sum,
                [XA_RED_MAX] = reduce_max,
                [XA_RED_MIN] = reduce_min,
                [XA_RED_SUMSQ] = reduce_sumsq,
                [XA_RED_SUMABS] = reduce_sumabs},
};
