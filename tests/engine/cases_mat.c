// SPDX-License-Identifier: Apache-2.0
// Random issues of the matrix and DMA engines.
#include <string.h>

#include "support/numeric.h"
#include "tests/engine/cases.h"

static bool coin(room_t *room) { return random_below(&room->random, 2); }

// --- Matrix --------------------------------------------------------------------------------------

static uint64_t vector_f32(room_t *room, uint32_t n, dtype_t type) {
    view_t view = {.type = type, .count = {1, 1, 1, 1, 1, n}};
    room_place(room, &view, LAYOUT_DENSE, true);
    room_fill(room, &view, false);
    return view.va;
}

// A: dims batch, m1, m2, r1, r2, k; k is dense. As a convolution, rows overlap.
static void make_a(room_t *room, test_case_t *test) {
    xa_mat_desc_t *desc = &test->desc.mat;
    unsigned size = dtype_bytes((dtype_t)desc->a_type);
    test->a = (view_t){.type = (dtype_t)desc->a_type,
                       .count = {desc->batch, desc->m1, desc->m2, desc->r1, desc->r2, desc->k}};
    int64_t *stride = test->a.stride,
            pixel = (int64_t)((desc->k + random_below(&room->random, 3)) * size);
    stride[5] = size;
    stride[4] = pixel;
    stride[2] = pixel * (1 + (int64_t)random_below(&room->random, 2)); // rows overlap
    stride[3] = pixel * (int64_t)(desc->m2 * 2 + desc->r2);
    stride[1] = stride[3] * (1 + (int64_t)random_below(&room->random, 2));
    stride[0] = stride[3] * (int64_t)(desc->m1 * 2 + desc->r1);
    uint64_t span = size * desc->k;
    for (int i = 0; i < 5; i++)
        span += (uint64_t)stride[i] * (test->a.count[i] - 1);
    test->a.va = (room->lm_next + 63) / 64 * 64 + (uint64_t)random_below(&room->random, 8) * size;
    room->lm_next = test->a.va + span;
    room_fill(room, &test->a, false);
    desc->a_bs = (int32_t)stride[0];
    desc->a_m1s = (int32_t)stride[1];
    desc->a_m2s = (int32_t)stride[2];
    desc->a_r1s = (int32_t)stride[3];
    desc->a_r2s = (int32_t)stride[4];
}

// B as dims batch, r, panel or k or n, ...: only its bytes matter, all are filled.
static void make_b(room_t *room, test_case_t *test) {
    xa_mat_desc_t *desc = &test->desc.mat;
    uint32_t size = dtype_bytes((dtype_t)desc->b_type), q = 4 / size, rows = desc->k;
    uint32_t row = desc->n;
    if (desc->flags & XA_mat_B_TRANS) {
        rows = desc->n;
        row = desc->k;
    } else if (desc->flags & XA_mat_B_PANEL) {
        rows = (desc->n + desc->b_pw - 1) / desc->b_pw;
        row = (desc->k + q - 1) / q * q * desc->b_pw;
    }
    uint32_t pad = random_below(&room->random, 3);
    int64_t step = (int64_t)(row + pad) * size, r_step = step * rows;
    int64_t b_step = coin(room) ? 0 : r_step * (int64_t)(desc->r1 * desc->r2);
    test->b = (view_t){.type = (dtype_t)desc->b_type,
                       .count = {1, 1, desc->batch, desc->r1 * desc->r2, rows, row},
                       .stride = {0, 0, b_step, r_step, step, size}};
    test->b.va = (room->lm_next + 63) / 64 * 64 + (uint64_t)random_below(&room->random, 8) * size;
    room->lm_next = test->b.va + (uint64_t)r_step * desc->r1 * desc->r2 * desc->batch;
    room_fill(room, &test->b, false);
    desc->b_bs = (int32_t)b_step;
    desc->b_rs = (int32_t)r_step;
    if (desc->flags & XA_mat_B_PANEL)
        desc->b_ps = (int32_t)step;
    else
        desc->b_ks = (int32_t)step;
}

static void make_epilogue(room_t *room, test_case_t *test, bool is_int) {
    static const uint8_t acts[] = {XA_FUNC_NONE,  XA_FUNC_NONE, XA_FUNC_RELU,
                                   XA_FUNC_CLAMP, XA_FUNC_SILU, XA_FUNC_GELU};
    static const dtype_t stores[] = {DTYPE_F32, DTYPE_F32, DTYPE_F16, DTYPE_BF16,
                                     DTYPE_I8,  DTYPE_U8,  DTYPE_I32};
    xa_mat_desc_t *desc = &test->desc.mat;
    desc->flags |= XA_mat_DRAIN;
    desc->alpha = coin(room) ? 1 : 0.5f;
    desc->act = acts[random_below(&room->random, COUNT_OF(acts))];
    desc->act_p0 = 1;
    desc->act_p1 = 6;
    desc->c_type = (uint8_t)stores[random_below(&room->random, COUNT_OF(stores))];
    desc->c_zero = (int32_t)random_below(&room->random, 20);
    if (coin(room)) {
        desc->flags |= XA_mat_BIAS;
        desc->bias = vector_f32(room, desc->n, is_int ? DTYPE_I32 : DTYPE_F32);
    }
    if (coin(room)) {
        desc->flags |= XA_mat_SCALE;
        desc->scale = vector_f32(room, desc->n, DTYPE_F32);
    }
    if (coin(room)) {
        desc->flags |= XA_mat_RES;
        desc->res_type = coin(room) ? DTYPE_F32 : DTYPE_F16;
        test->r = (view_t){.type = (dtype_t)desc->res_type,
                           .count = {1, 1, desc->batch, desc->m1, desc->m2, desc->n}};
        room_place(room, &test->r, LAYOUT_DENSE, true);
        room_fill(room, &test->r, false);
        desc->res = test->r.va;
        desc->res_bs = (int32_t)test->r.stride[2];
        desc->res_m1s = (int32_t)test->r.stride[3];
        desc->res_m2s = (int32_t)test->r.stride[4];
    }
}

// C: rows far enough apart for f32 accumulators, whatever is stored.
static void make_c(room_t *room, test_case_t *test, bool is_int) {
    xa_mat_desc_t *desc = &test->desc.mat;
    dtype_t acc = is_int ? DTYPE_I32 : DTYPE_F32;
    view_t wide = {.type = acc, .count = {1, 1, desc->batch, desc->m1, desc->m2, desc->n}};
    wide.stride[5] = 4;
    wide.stride[4] = (int64_t)(desc->n + random_below(&room->random, 3)) * 4;
    wide.stride[3] = wide.stride[4] * desc->m2;
    wide.stride[2] = wide.stride[3] * desc->m1;
    wide.va = (room->lm_next + 63) / 64 * 64;
    room->lm_next = wide.va + (uint64_t)wide.stride[2] * desc->batch;
    room_fill(room, &wide, false);
    test->c = wide; // what ACC reads
    test->d = wide;
    test->d.type = (dtype_t)desc->c_type;
    test->d.stride[5] = dtype_bytes(test->d.type);
    desc->c_bs = (int32_t)wide.stride[2];
    desc->c_m1s = (int32_t)wide.stride[3];
    desc->c_m2s = (int32_t)wide.stride[4];
}

static void limit_sizes(xa_mat_desc_t *d) {
    while ((uint64_t)d->r1 * d->r2 * d->batch * d->n * d->k > 30000) {
        d->n = (d->n + 1) / 2;
        d->k = (d->k + 1) / 2;
    }
    while ((uint64_t)d->k * (d->m2 * 2 + d->r2) * (d->m1 * 2 + d->r1) * d->batch > 30000)
        d->m2 > 1 ? (d->m2 /= 2) : (d->k = (d->k + 1) / 2);
}

void case_make_mat(room_t *room, test_case_t *test) {
    static const dtype_t types[] = {DTYPE_F32, DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_U8};
    static const uint32_t widths[] = {16, 32, 48, 64};
    xa_mat_desc_t *desc = &test->desc.mat;
    random_t *random = &room->random;
    desc->a_type = (uint8_t)types[random_below(random, COUNT_OF(types))];
    bool is_int = desc->a_type == DTYPE_U8;
    desc->b_type = is_int ? (uint8_t)DTYPE_I8 : desc->a_type;
    desc->c_type = is_int ? DTYPE_I32 : DTYPE_F32;
    desc->batch = coin(room) ? 1 : 1 + random_below(random, 3);
    desc->m1 = coin(room) ? 1 : 1 + random_below(random, 4);
    desc->m2 = 1 + random_below(random, 20);
    desc->n = coin(room) ? 1 + random_below(random, 20) : 1 + random_below(random, 150);
    desc->k = coin(room) ? 1 + random_below(random, 20) : 1 + random_below(random, 140);
    desc->r1 = coin(room) ? 1 : 1 + random_below(random, 3);
    desc->r2 = coin(room) ? 1 : 1 + random_below(random, 3);
    desc->flags = random_below(random, 3) ? 0 : (unsigned)XA_mat_ACC;
    uint32_t layout = random_below(random, 3);
    desc->flags |= layout == 1   ? (unsigned)XA_mat_B_TRANS
                   : layout == 2 ? (unsigned)XA_mat_B_PANEL
                                 : 0u;
    desc->b_pw = layout == 2 ? widths[random_below(random, 4)] : 0;
    desc->alpha = 1;
    limit_sizes(desc);
    if (coin(room))
        make_epilogue(room, test, is_int);
    make_a(room, test);
    make_b(room, test);
    make_c(room, test, is_int);
    test->rs1 = test->d.va;
    test->rs2 = test->a.va;
    test->rs3 = test->b.va;
}

// --- DMA -----------------------------------------------------------------------------------------

static void dma_types(room_t *room, dtype_t *src, dtype_t *dst, xa_dma_desc_t *desc) {
    static const dtype_t types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_I8,  DTYPE_U8,
                                    DTYPE_I64, DTYPE_F64, DTYPE_I4,   DTYPE_I32, DTYPE_C64};
    *src = *dst = types[random_below(&room->random, COUNT_OF(types))];
    switch (random_below(&room->random, 6)) {
    case 0: // convert
        *src = types[random_below(&room->random, COUNT_OF(types) - 1)];
        *dst = types[random_below(&room->random, COUNT_OF(types) - 1)];
        break;
    case 1: // function
        *src = types[random_below(&room->random, 3)];
        *dst = types[random_below(&room->random, 3)];
        desc->func = (uint8_t)(coin(room) ? XA_FUNC_RELU : XA_FUNC_SIGMOID);
        desc->alpha = coin(room) ? 1 : -0.5f;
        desc->beta = coin(room) ? 0 : 0.25f;
        break;
    default:
        break;
    }
}

static void dma_border(room_t *room, xa_dma_desc_t *desc, view_t *src) {
    desc->flags |= XA_dma_BORDER;
    desc->fill = random_below(&room->random, 0);
    for (int i = 0; i < 5; i++) {
        desc->pad_lo[i] = coin(room) ? 0 : random_below(&room->random, desc->count[i] + 1);
        desc->valid[i] =
            coin(room) ? desc->count[i] : random_below(&room->random, desc->count[i] + 1);
        uint32_t left = desc->count[i] - desc->pad_lo[i];
        src->count[1 + i] = desc->valid[i] < left ? desc->valid[i] : left;
    }
}

static void dma_list(room_t *room, test_case_t *test, view_t *indexed) {
    xa_dma_desc_t *desc = &test->desc.dma;
    bool is_gather = indexed == &test->a;
    desc->flags |= is_gather ? XA_dma_GATHER : XA_dma_SCATTER;
    desc->idx_dim = (uint8_t)random_below(&room->random, 5);
    uint32_t n = desc->count[desc->idx_dim];
    desc->idx_bound = n + random_below(&room->random, 10);
    desc->flags |= coin(room) ? (unsigned)XA_dma_IDX64 : 0;
    bool wraps = coin(room);
    desc->flags |= wraps ? (unsigned)XA_dma_WRAP : 0;
    if (desc->flags & XA_dma_BORDER && is_gather) {
        desc->pad_lo[desc->idx_dim] = 0;
        desc->valid[desc->idx_dim] = n;
    }
    indexed->count[1 + desc->idx_dim] = desc->idx_bound;
    test->c = (view_t){.type = desc->flags & XA_dma_IDX64 ? DTYPE_I64 : DTYPE_I32,
                       .count = {1, 1, 1, 1, 1, n}};
    room_place(room, &test->c, LAYOUT_DENSE, true);
    // Scattering takes each place once: which of two writes comes last would be no question here.
    uint32_t shift = random_below(&room->random, desc->idx_bound);
    for (uint32_t i = 0; i < n; i++) {
        double index = is_gather ? random_below(&room->random, desc->idx_bound)
                                 : (i + shift) % desc->idx_bound;
        if (wraps && coin(room))
            index -= desc->idx_bound;
        machine_store(room->machine, test->c.type, test->c.va + i * dtype_bytes(test->c.type), 0,
                      index);
    }
    test->rs3 = test->c.va;
}

static void fill_raw(room_t *room, const view_t *view) {
    view_t bytes = *view;
    if (num_is_number(view->type))
        room_fill(room, view, true);
    else { // complex: two floats
        bytes.type = DTYPE_F32;
        room_fill(room, &bytes, false);
    }
}

void case_make_dma(room_t *room, test_case_t *test) {
    xa_dma_desc_t *desc = &test->desc.dma;
    random_t *random = &room->random;
    bool in = test->insn == XA_I_DMA_IN;
    dtype_t src, dst;
    dma_types(room, &src, &dst, desc);
    for (int i = 0; i < 4; i++)
        desc->count[i] = random_below(random, 2) ? 1 + random_below(random, 3) : 1;
    desc->count[4] = 1 + random_below(random, random_below(random, 4) ? 20 : 300);
    desc->src_type = (uint8_t)src;
    desc->dst_type = (uint8_t)dst;
    test->a = (view_t){.type = src, .count = {1}};
    test->d = (view_t){.type = dst, .count = {1}};
    memcpy(&test->a.count[1], desc->count, 20);
    memcpy(&test->d.count[1], desc->count, 20);
    if (random_below(random, 3) == 0)
        dma_border(room, desc, &test->a);
    if (random_below(random, 3) == 0)
        dma_list(room, test, coin(room) ? &test->a : &test->d);
    for (int i = 0; i < 6; i++) // an empty source still has an address
        test->a.count[i] += test->a.count[i] == 0;
    room_place(room, &test->a, LAYOUT_ANY, !in || random_below(random, 4) == 0);
    room_place(room, &test->d, LAYOUT_UNIQUE, in || random_below(random, 4) == 0);
    fill_raw(room, &test->a);
    for (int i = 0; i < 5; i++) {
        desc->src_stride[i] = test->a.stride[1 + i];
        desc->dst_stride[i] = test->d.stride[1 + i];
    }
    memcpy(&test->d.count[1], desc->count, 20); // elements written, by the loops' indexes
    test->rs1 = test->d.va;
    test->rs2 = test->a.va;
}
