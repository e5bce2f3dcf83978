// SPDX-License-Identifier: Apache-2.0
// Tile template "contraction": matmul and convolution with their epilogue, on the matrix engine.
//
//   parfor task = (batch, outer tile, share of the inner tiles) {
//     load what stays            // A (image tile) or B (panels of an n tile)
//     for inner tile {
//       load what moves; mat c += a . b over k chunks; epilogue at the last; dma_out c
//     }
//   }
//
// C lives in LM as f32; DMA-out converts when the output is narrower. Constant B is packed in
// panels at compile time.
#include "passes/tile_contraction.h"

#include <string.h>

#include "ir/access.h"
#include "passes/tile_emit.h"

enum { MAX_BATCH_DIMS = 4, WHOLE_BIAS = 8192 };

typedef struct problem {
    contraction_shape_t shape;
    contraction_tiling_t tiling;
    uint32_t n_batch;
    const ir_expr_t *batch[MAX_BATCH_DIMS];
    // Views; each has the batch dims first.
    tv_t a;    // [ih, iw, k]
    tv_t b;    // panels: [P, R, K/q, pw, q]; else [R, K, N] (or [R, N, K] when shape.b_trans)
    tv_t c;    // [oh, ow, n]
    tv_t res;  // as c
    tv_t bias; // [n]
    int a_input, b_input, res_input;
    const ir_expr_t *oh, *ow, *n, *k, *ih, *iw;
    int64_t pad_h, pad_w, q;
    double alpha, p0, p1;
    const char *act;
} problem_t;

static int64_t pack_granule(dtype_t type) {
    return dtype_bytes(type) == 4 ? 1 : dtype_bytes(type) == 2 ? 2 : 4;
}

// --- Epilogue ------------------------------------------------------------------------------------

// The epilogue's operands as they stand in the graph (NULL where absent).
typedef struct epilogue {
    const ir_value_t *bias, *res;
} epilogue_t;

static void read_epilogue(const ir_op_t *anchor, problem_t *p, epilogue_t *e) {
    p->alpha = ir_get_float(anchor, "alpha", 1);
    p->act = "none";
    *e = (epilogue_t){0};
    if (anchor->code == IR_conv)
        e->bias = ir_operand(anchor, 2);
    const ir_value_t *tail = ir_result(anchor);
    for (const ir_op_t *op = anchor->next; op && op->code != IR_yield; op = op->next) {
        if (op->code == IR_binary) {
            const ir_value_t *other = ir_operand(op, ir_operand(op, 0) == tail ? 1 : 0);
            if (!e->bias && kernel_is_bias(other, tail->type, kernel_channel_dim(anchor))) {
                e->bias = other;
            } else {
                e->res = other;
                p->res_input = tile_input_index(other);
            }
        } else if (!strcmp(ir_get_string(op, "func", "none"), "none")) {
            p->alpha *= ir_get_float(op, "alpha", 1);
        } else {
            p->act = ir_get_string(op, "func", "none");
            p->p0 = ir_get_float(op, "p0", 0);
            p->p1 = ir_get_float(op, "p1", 0);
        }
        tail = ir_result(op);
    }
}

// --- Problems ------------------------------------------------------------------------------------

static void finish_shape(problem_t *p) {
    contraction_shape_t *s = &p->shape;
    s->batch = 1;
    // A run-time batch may be 1: then the tiles of one image have to keep all cores busy.
    for (uint32_t i = 0; i < p->n_batch; i++)
        s->batch *= p->batch[i]->min > 1 ? p->batch[i]->min : 1;
    s->oh = tile_nominal(p->oh);
    s->ow = tile_nominal(p->ow);
    s->n = tile_nominal(p->n);
    s->k = tile_nominal(p->k);
    s->ih = tile_nominal(p->ih);
    s->iw = tile_nominal(p->iw);
    s->a_type = p->a.elem;
    s->b_type = p->b.elem;
    s->c_type = DTYPE_F32;
    s->out_type = p->c.elem;
}

// Packs constant B[g][r][k][n] (element strides sg, sr, sk, sn) into panels.
static void pack_panels(tile_t *t, problem_t *p, const ir_blob_t *blob, int64_t groups, int64_t sg,
                        int64_t n_r, int64_t sr, int64_t sk, int64_t sn) {
    int64_t n = p->shape.n, k = p->shape.k, pw = p->shape.pw, q = p->q;
    int64_t panels = (n + pw - 1) / pw, kq = (k + q - 1) / q;
    ir_pack_t pack = {.source = blob, .elem = blob->elem, .rank = 6};
    int64_t kw = p->shape.merge_kw ? p->shape.kw : 1;
    if (p->shape.merge_kw) {
        // k runs over (kw, channel): two strides.
        const int64_t dims[6] = {groups, panels, n_r, kw, k, pw};
        const int64_t strides[6] = {sg, pw * sn, sr, 1, sk, sn};
        const int64_t guard[6] = {0, pw, 0, 0, 0, 1};
        memcpy(pack.dims, dims, sizeof dims);
        memcpy(pack.src_stride, strides, sizeof strides);
        memcpy(pack.guard_step[0], guard, sizeof guard);
    } else {
        const int64_t dims[6] = {groups, panels, n_r, kq, pw, q};
        const int64_t strides[6] = {sg, pw * sn, sr, q * sk, sn, sk};
        const int64_t guard_n[6] = {0, pw, 0, 0, 1, 0}, guard_k[6] = {0, 0, 0, q, 0, 1};
        memcpy(pack.dims, dims, sizeof dims);
        memcpy(pack.src_stride, strides, sizeof strides);
        memcpy(pack.guard_step[0], guard_n, sizeof guard_n);
        memcpy(pack.guard_step[1], guard_k, sizeof guard_k);
        pack.guard_bound[1] = k % q ? k : 0;
    }
    pack.guard_bound[0] = n % pw ? n : 0;
    int64_t dims[6] = {groups, panels, n_r, kq * kw, pw, q};
    tv_t packed = tile_weights(t, ir_blob_packed(t->m, &pack), 6, dims);
    p->b = packed;
    p->shape.b_static = true;
}

static void set_bias(tile_t *t, problem_t *p, const ir_value_t *bias) {
    if (!bias)
        return;
    tv_t v = tile_vector(tile_input(t, bias));
    p->bias = v;
    p->shape.bias = true;
    p->shape.long_bias = v.dims[0]->max > WHOLE_BIAS;
}

// Matrix product over views a [.., M, K], c [.., M, N]; b's batch dims are broadcast.
static bool merge_rows(tile_t *t, problem_t *p, tv_t a, tv_t c, tv_t *res) {
    const ir_expr_t *rows = ir_const(t->m, 1);
    for (uint32_t d = 0; d + 1 < c.rank; d++)
        rows = ir_mul(t->m, rows, c.dims[d]);
    const ir_expr_t *a_dims[2] = {rows, a.dims[a.rank - 1]};
    const ir_expr_t *c_dims[2] = {rows, c.dims[c.rank - 1]};
    tv_t a2, c2, r2;
    if (!tv_reshape(t->m, a, 2, a_dims, &a2) || !tv_reshape(t->m, c, 2, c_dims, &c2) ||
        (res && !tv_reshape(t->m, *res, 2, c_dims, &r2)))
        return false;
    p->a = a2;
    p->c = c2;
    if (res)
        *res = r2;
    p->n_batch = 0;
    return true;
}

static void as_rows(tile_t *t, problem_t *p, tv_t *res) {
    const ir_expr_t *one = ir_const(t->m, 1), *zero = ir_const(t->m, 0);
    uint32_t at = p->n_batch;
    p->a = tv_insert(p->a, at, one, zero);
    p->c = tv_insert(p->c, at, one, zero);
    if (res) {
        p->res = tv_insert(*res, at, one, zero);
        p->shape.residual = true;
    }
    p->oh = p->ih = one;
    p->ow = p->iw = p->c.dims[at + 1];
    p->n = p->c.dims[at + 2];
    p->k = p->a.dims[at + 2];
    contraction_shape_t *s = &p->shape;
    s->kh = s->kw = s->sh = s->sw = s->dh = s->dw = 1;
}

static status_t matmul_b(tile_t *t, problem_t *p, const ir_op_t *op, tv_t b) {
    bool trans = ir_get_int(op, "trans_b", 0) != 0;
    uint32_t last = b.rank - 1;
    if (trans) { // to [.., K, N]
        int64_t perm[TV_MAX_RANK];
        for (uint32_t d = 0; d < b.rank; d++)
            perm[d] = d;
        perm[last] = last - 1;
        perm[last - 1] = last;
        b = tv_permute(b, perm);
    }
    bool plain = true;
    for (uint32_t d = 0; d + 2 < b.rank; d++)
        plain &= ir_expr_equals(b.dims[d], 1);
    const ir_blob_t *blob = plain ? tile_constant(t, p->b_input) : NULL;
    p->b = b;
    if (blob && p->n_batch == 0) {
        finish_shape(p);
        p->q = pack_granule(b.elem);
        p->shape.pw = contraction_panel(p->shape.n);
        pack_panels(t, p, blob, 1, 0, 1, 0, b.strides[last - 1]->value, b.strides[last]->value);
        p->b = tv_drop(p->b, 0);
        return STATUS_OK;
    }
    while (b.rank > p->n_batch + 2) // dims of 1 before a plain matrix
        b = tv_drop(b, 0);
    const ir_expr_t *dims[MAX_BATCH_DIMS + 2];
    memcpy(dims, p->batch, p->n_batch * sizeof *dims);
    dims[p->n_batch] = p->k;
    dims[p->n_batch + 1] = p->n;
    b = tv_broadcast(t->m, b, p->n_batch + 2, dims);
    uint32_t at = p->n_batch;
    if (ir_expr_equals(b.strides[at], 1) && !ir_expr_equals(b.strides[at + 1], 1)) {
        const ir_expr_t *d = b.dims[at], *s = b.strides[at];
        b.dims[at] = b.dims[at + 1];
        b.strides[at] = b.strides[at + 1];
        b.dims[at + 1] = d;
        b.strides[at + 1] = s;
        p->shape.b_trans = true;
    }
    p->b = tv_insert(b, at, ir_const(t->m, 1), ir_const(t->m, 0));
    return STATUS_OK;
}

static status_t matmul_problem(tile_t *t, const ir_op_t *op, problem_t *p) {
    epilogue_t e;
    read_epilogue(op, p, &e);
    p->a_input = tile_input_index(ir_operand(op, 0));
    p->b_input = tile_input_index(ir_operand(op, 1));
    tv_t a = tile_input(t, ir_operand(op, 0)), b = tile_input(t, ir_operand(op, 1));
    tv_t c = tile_output(t, 0), res;
    if (e.res)
        res = tile_input(t, e.res);
    bool b_plain = true;
    for (uint32_t d = 0; d + 2 < b.rank; d++)
        b_plain &= ir_expr_equals(b.dims[d], 1);
    // Leading dims of 1 that only a has.
    while (a.rank > c.rank)
        a = tv_drop(a, 0);
    if (!b_plain || !merge_rows(t, p, a, c, e.res ? &res : NULL)) {
        p->n_batch = c.rank - 2;
        if (p->n_batch > MAX_BATCH_DIMS)
            return tile_fail(t, STATUS_UNSUPPORTED, "reshape the operands to fewer batch dims",
                             "a matrix product has more than %d batch dims", MAX_BATCH_DIMS);
        const ir_expr_t *a_dims[IR_MAX_RANK];
        for (uint32_t d = 0; d < p->n_batch; d++)
            a_dims[d] = p->batch[d] = c.dims[d];
        a_dims[p->n_batch] = a.dims[a.rank - 2];
        a_dims[p->n_batch + 1] = a.dims[a.rank - 1];
        p->a = tv_broadcast(t->m, a, c.rank, a_dims);
        p->c = c;
    }
    as_rows(t, p, e.res ? &res : NULL);
    set_bias(t, p, e.bias);
    return matmul_b(t, p, op, b);
}

// [N, C, H, W] as [N, (G,) H, W, C].
static tv_t image_view(tile_t *t, tv_t v, int64_t groups) {
    static const int64_t last[4] = {0, 2, 3, 1}, grouped[5] = {0, 3, 1, 2, 4};
    v = tv_permute(v, last);
    if (groups == 1)
        return v;
    v = tv_split(t->m, v, 3, ir_floordiv(t->m, v.dims[3], ir_const(t->m, groups)));
    return tv_permute(v, grouped);
}

static void conv_window(const ir_op_t *op, problem_t *p, const ir_type_t *w) {
    contraction_shape_t *s = &p->shape;
    int64_t strides[2] = {1, 1}, dilations[2] = {1, 1}, pads[4] = {0};
    (void)ir_get_ints(op, "strides", 2, strides);
    (void)ir_get_ints(op, "dilations", 2, dilations);
    (void)ir_get_ints(op, "pads", 4, pads);
    s->kh = w->dims[2]->value;
    s->kw = w->dims[3]->value;
    s->sh = strides[0];
    s->sw = strides[1];
    s->dh = dilations[0];
    s->dw = dilations[1];
    s->border = pads[0] || pads[1] || pads[2] || pads[3];
    p->pad_h = pads[0];
    p->pad_w = pads[1];
}

// A pointwise convolution is a product over all pixels when strides can say so.
static bool is_pointwise(const problem_t *p, int64_t groups) {
    const contraction_shape_t *s = &p->shape;
    return groups == 1 && s->kh == 1 && s->kw == 1 && s->sh == 1 && s->sw == 1 && !s->border;
}

static void conv_images(tile_t *t, problem_t *p, tv_t x, tv_t y, tv_t *res, int64_t groups) {
    p->a = image_view(t, x, groups);
    p->c = image_view(t, y, groups);
    tv_t r;
    if (res)
        r = image_view(t, *res, groups);
    if (is_pointwise(p, groups) && merge_rows(t, p, p->a, p->c, res ? &r : NULL)) {
        as_rows(t, p, res ? &r : NULL);
        return;
    }
    p->n_batch = groups == 1 ? 1 : 2;
    for (uint32_t d = 0; d < p->n_batch; d++)
        p->batch[d] = p->c.dims[d];
    if (res) {
        p->res = r;
        p->shape.residual = true;
    }
    uint32_t at = p->n_batch;
    p->ih = p->a.dims[at];
    p->iw = p->a.dims[at + 1];
    p->k = p->a.dims[at + 2];
    p->oh = p->c.dims[at];
    p->ow = p->c.dims[at + 1];
    p->n = p->c.dims[at + 2];
}

// Constant or run-time weights [O, C/g, KH, KW].
static status_t conv_weights(tile_t *t, problem_t *p, const ir_op_t *op, int64_t groups) {
    tv_t w = tile_input(t, ir_operand(op, 1));
    contraction_shape_t *s = &p->shape;
    const ir_blob_t *blob = tile_constant(t, p->b_input);
    p->b = w;
    finish_shape(p);
    p->q = pack_granule(w.elem);
    s->pw = contraction_panel(s->n);
    int64_t taps = s->kh * s->kw;
    if (blob && tv_is_row_major(t->m, &w)) {
        int64_t cg = w.dims[1]->value;
        s->merge_kw = p->q == 1 && s->kw > 1 && s->dw == 1 && cg * s->kw <= 64 && cg < 16;
        pack_panels(t, p, blob, groups, s->n * cg * taps, s->merge_kw ? s->kh : taps,
                    s->merge_kw ? s->kw : 1, taps, cg * taps);
        if (groups == 1)
            p->b = tv_drop(p->b, 0);
    } else {
        // [O, C, KH, KW] -> [(G,) R, K, N]
        static const int64_t perm[4] = {2, 3, 1, 0};
        if (s->kh > 1 && s->kw > 1 &&
            !ir_expr_same(w.strides[2], ir_mul(t->m, w.strides[3], w.dims[3])))
            return tile_fail(t, STATUS_UNSUPPORTED, NULL, "run-time weights are not contiguous");
        tv_t v = tv_permute(w, perm);
        v.dims[1] = ir_mul(t->m, v.dims[0], v.dims[1]);
        v.strides[1] = w.strides[s->kw == 1 ? 2 : 3];
        v = tv_drop(v, 0);
        if (groups > 1) {
            v = tv_split(t->m, v, 2, ir_floordiv(t->m, v.dims[2], ir_const(t->m, groups)));
            v = tv_permute(v, (const int64_t[]){2, 0, 1, 3});
        }
        p->b = v;
    }
    // Dims that B does not vary over (images; a product over rows has none).
    uint32_t missing = p->n_batch - (groups > 1 ? 1 : 0);
    for (uint32_t i = 0; i < missing; i++)
        p->b = tv_insert(p->b, 0, p->batch[i], ir_const(t->m, 0));
    return STATUS_OK;
}

static status_t conv_problem(tile_t *t, const ir_op_t *op, problem_t *p) {
    epilogue_t e;
    read_epilogue(op, p, &e);
    p->a_input = tile_input_index(ir_operand(op, 0));
    p->b_input = tile_input_index(ir_operand(op, 1));
    const ir_type_t *w = ir_operand(op, 1)->type;
    if (!ir_type_is_static(w))
        return tile_fail(t, STATUS_UNSUPPORTED, NULL, "a convolution's weights have dynamic dims");
    int64_t groups = ir_get_int(op, "group", 1);
    conv_window(op, p, w);
    tv_t res;
    if (e.res)
        res = tile_input(t, e.res);
    conv_images(t, p, tile_input(t, ir_operand(op, 0)), tile_output(t, 0), e.res ? &res : NULL,
                groups);
    set_bias(t, p, e.bias);
    if (e.bias && groups > 1) // [n] -> [G, n/G]
        p->bias = tv_split(t->m, p->bias, 0, p->n);
    return conv_weights(t, p, op, groups);
}

// --- Emission ------------------------------------------------------------------------------------

// One image tile: origin and counts.
typedef struct image_tile {
    const ir_expr_t *oh, *ow, *n_oh, *n_ow;
} image_tile_t;

typedef struct channel_tile {
    const ir_expr_t *n, *count;
} channel_tile_t;

// Operands of one task, batch dims dropped.
typedef struct task {
    tv_t a, b, c, res, bias;
} task_t;

static tv_t drop_batch(tile_t *t, tv_t v, const problem_t *p, const ir_expr_t *const *index) {
    for (uint32_t d = 0; d < p->n_batch; d++)
        v = tv_drop(tv_box(t->m, v, 0, index[d], ir_const(t->m, 1)), 0);
    return v;
}

static const ir_expr_t *tail(ir_module_t *m, const ir_expr_t *size, const ir_expr_t *at,
                             int64_t tile_size) {
    return ir_min(m, ir_const(m, tile_size), ir_sub(m, size, at));
}

static image_tile_t image_tile(tile_t *t, const problem_t *p, const ir_expr_t *index) {
    const contraction_tiling_t *g = &p->tiling;
    const ir_expr_t *per_row = ir_ceildiv(t->m, p->ow, ir_const(t->m, g->tow));
    const ir_expr_t *rows = ir_ceildiv(t->m, p->oh, ir_const(t->m, g->toh));
    const ir_expr_t *zero = ir_const(t->m, 0);
    image_tile_t it;
    // One row of tiles, or one column: the index is the other coordinate.
    it.oh =
        ir_expr_equals(rows, 1) ? zero : ir_mulc(t->m, ir_floordiv(t->m, index, per_row), g->toh);
    it.ow = ir_expr_equals(rows, 1) ? ir_mulc(t->m, index, g->tow)
                                    : ir_mulc(t->m, ir_mod(t->m, index, per_row), g->tow);
    it.n_oh = tail(t->m, p->oh, it.oh, g->toh);
    it.n_ow = tail(t->m, p->ow, it.ow, g->tow);
    return it;
}

static channel_tile_t channel_tile(tile_t *t, const problem_t *p, const ir_expr_t *index) {
    channel_tile_t ct;
    ct.n = ir_mulc(t->m, index, p->tiling.tn);
    ct.count = tail(t->m, p->n, ct.n, p->tiling.tn);
    return ct;
}

// contraction_span() of a run-time count.
static const ir_expr_t *span_expr(tile_t *t, const ir_expr_t *out, int64_t stride, int64_t kernel,
                                  int64_t dilation, bool border) {
    return kernel == 1 && !border ? out : tile_span_expr(t, out, stride, kernel, dilation);
}

// One axis of the input box under an output range; a border gives pad and clips the box.
static tv_t input_axis(tile_t *t, tv_t src, uint32_t dim, const ir_expr_t *at,
                       const ir_expr_t *count, int64_t stride, int64_t kernel, int64_t pad,
                       bool border, const ir_expr_t **out_pad) {
    if (border)
        return tile_clip(t, src, dim, at, count, stride, pad, out_pad);
    *out_pad = ir_const(t->m, 0);
    src = tv_box(t->m, src, dim, ir_mulc(t->m, at, stride), count);
    return kernel == 1 && stride != 1 ? tv_step(t->m, src, dim, stride, count) : src;
}

// The image tile's input, k chunk [k0, k0 + count), in LM as [rows, columns, tk].
static tv_t load_a(tile_t *t, const problem_t *p, const task_t *task, image_tile_t it,
                   const ir_expr_t *k0, const ir_expr_t *k_count) {
    const contraction_shape_t *s = &p->shape;
    const contraction_tiling_t *g = &p->tiling;
    int64_t dims[3] = {contraction_span(g->toh, s->sh, s->kh, s->dh, s->border),
                       contraction_span(g->tow, s->sw, s->kw, s->dw, s->border), g->tk};
    const ir_expr_t *rows = span_expr(t, it.n_oh, s->sh, s->kh, s->dh, s->border);
    const ir_expr_t *cols = span_expr(t, it.n_ow, s->sw, s->kw, s->dw, s->border);
    tv_t lm = tile_lm(t, p->a.elem, 3, dims), dst = lm;
    const ir_expr_t *pad[3];
    tv_t src = input_axis(t, task->a, 0, it.oh, rows, s->sh, s->kh, p->pad_h, s->border, &pad[0]);
    src = input_axis(t, src, 1, it.ow, cols, s->sw, s->kw, p->pad_w, s->border, &pad[1]);
    src = tv_box(t->m, src, 2, k0, k_count);
    pad[2] = ir_const(t->m, 0);
    dst.dims[0] = rows;
    dst.dims[1] = cols;
    dst.dims[2] = k_count;
    if (s->border)
        (void)tile_dma_in_border(t, dst, src, pad, 0);
    else
        (void)tile_dma_in(t, dst, src, tile_input_is_stable(t, (uint32_t)p->a_input));
    return lm;
}

// The n tile's B, k chunk: panels [tn/pw, R, tk/q, pw, q], or [R, tk, tn] or [R, tn, tk].
static tv_t load_b(tile_t *t, const problem_t *p, const task_t *task, channel_tile_t ct,
                   const ir_expr_t *k0, const ir_expr_t *k_count) {
    const contraction_shape_t *s = &p->shape;
    const contraction_tiling_t *g = &p->tiling;
    ir_module_t *m = t->m;
    tv_t src = task->b, dst, lm;
    if (s->b_static) {
        int64_t kw = s->merge_kw ? s->kw : 1;
        int64_t r = src.dims[1]->value, kq = (g->tk + p->q - 1) / p->q * kw;
        int64_t dims[5] = {g->tn / s->pw, r, kq, s->pw, p->q};
        const ir_expr_t *pw = ir_const(m, s->pw), *q = ir_const(m, p->q);
        lm = dst = tile_lm(t, p->b.elem, 5, dims);
        src = tv_box(m, src, 0, ir_floordiv(m, ct.n, pw), ir_ceildiv(m, ct.count, pw));
        src = tv_box(m, src, 2, ir_mulc(m, ir_floordiv(m, k0, q), kw),
                     ir_mulc(m, ir_ceildiv(m, k_count, q), kw));
    } else {
        uint32_t kd = s->b_trans ? 2 : 1, nd = s->b_trans ? 1 : 2;
        int64_t dims[3] = {src.dims[0]->value, g->tk, g->tn};
        dims[kd] = g->tk;
        dims[nd] = g->tn;
        lm = dst = tile_lm(t, p->b.elem, 3, dims);
        src = tv_box(m, src, nd, ct.n, ct.count);
        src = tv_box(m, src, kd, k0, k_count);
    }
    for (uint32_t d = 0; d < src.rank; d++)
        dst.dims[d] = src.dims[d];
    // Run-time B that is used again is worth a copy: its rows then lie together.
    bool once = s->oh * s->ow <= 16;
    bool stable = s->b_static || (once && tile_input_is_stable(t, (uint32_t)p->b_input));
    (void)tile_dma_in(t, dst, src, stable);
    return lm;
}

// A in LM as the matrix engine reads it: [1, m1, m2, r1, r2, k].
static tv_t a_operand(tile_t *t, const problem_t *p, tv_t lm, image_tile_t it,
                      const ir_expr_t *k_count) {
    const contraction_shape_t *s = &p->shape;
    ir_module_t *m = t->m;
    const ir_expr_t *row = lm.strides[0], *col = lm.strides[1], *one = ir_const(m, 1);
    bool step = s->kh > 1 || s->border, step_w = s->kw > 1 || s->border;
    tv_t v = lm;
    v.rank = 6;
    const ir_expr_t *dims[6] = {one,
                                it.n_oh,
                                it.n_ow,
                                ir_const(m, s->kh),
                                s->merge_kw ? one : ir_const(m, s->kw),
                                s->merge_kw ? ir_mulc(m, k_count, s->kw) : k_count};
    const ir_expr_t *strides[6] = {ir_const(m, 0),
                                   ir_mulc(m, row, step ? s->sh : 1),
                                   ir_mulc(m, col, step_w ? s->sw : 1),
                                   ir_mulc(m, row, s->dh),
                                   ir_mulc(m, col, s->dw),
                                   one};
    memcpy(v.dims, dims, sizeof dims);
    memcpy(v.strides, strides, sizeof strides);
    return v;
}

static tv_t b_operand(tile_t *t, const problem_t *p, tv_t lm, channel_tile_t ct,
                      const ir_expr_t *k_count) {
    ir_module_t *m = t->m;
    const contraction_shape_t *s = &p->shape;
    if (s->b_static) {
        const ir_expr_t *kq = ir_ceildiv(m, k_count, ir_const(m, p->q));
        lm = tv_permute(lm, (const int64_t[]){1, 0, 2, 3, 4}); // [R, panels, K/q, pw, q]
        lm.dims[1] = ir_ceildiv(m, ct.count, ir_const(m, s->pw));
        lm.dims[2] = s->merge_kw ? ir_mulc(m, k_count, s->kw) : kq;
    } else {
        lm.dims[s->b_trans ? 2 : 1] = k_count;
        lm.dims[s->b_trans ? 1 : 2] = ct.count;
    }
    return tv_insert(lm, 0, ir_const(m, 1), ir_const(m, 0));
}

static tv_t c_operand(tile_t *t, tv_t lm, image_tile_t it, channel_tile_t ct) {
    lm.dims[0] = it.n_oh;
    lm.dims[1] = it.n_ow;
    lm.dims[2] = ct.count;
    return tv_insert(lm, 0, ir_const(t->m, 1), ir_const(t->m, 0));
}

static tv_t c_box(tile_t *t, tv_t dram, image_tile_t it, channel_tile_t ct) {
    dram = tv_box(t->m, dram, 0, it.oh, it.n_oh);
    dram = tv_box(t->m, dram, 1, it.ow, it.n_ow);
    return tv_box(t->m, dram, 2, ct.n, ct.count);
}

// LM copies that outlive one product.
typedef struct resident {
    tv_t a, b, bias;
    bool has_a, has_b;
    bool has_bias; // all of it, else the n tile's part
} resident_t;

static void product(tile_t *t, const problem_t *p, tv_t c, const resident_t *r, tv_t a, tv_t b,
                    image_tile_t it, channel_tile_t ct, const ir_expr_t *k0,
                    const ir_expr_t *k_count, tv_t bias, const tv_t *res) {
    ir_module_t *m = t->m;
    const contraction_shape_t *s = &p->shape;
    tv_t views[5] = {c_operand(t, c, it, ct), a_operand(t, p, a, it, k_count),
                     b_operand(t, p, b, ct, k_count)};
    char roles[32] = "c,a,b";
    uint32_t n = 3;
    if (s->bias) {
        views[n++] = tv_box(m, bias, 0, r->has_bias ? ct.n : ir_const(m, 0), ct.count);
        strcat(roles, ",bias");
    }
    if (s->residual) {
        views[n++] = c_operand(t, *res, it, ct);
        strcat(roles, ",res");
    }
    ir_op_t *op = tile_mat(t, roles,
                           s->b_static  ? "panel"
                           : s->b_trans ? "trans"
                                        : "row",
                           n, views);
    if (p->alpha != 1)
        ir_set_float(m, op, "alpha", p->alpha);
    if (strcmp(p->act, "none")) {
        ir_set_string(m, op, "act", p->act);
        ir_set_float(m, op, "act_p0", p->p0);
        ir_set_float(m, op, "act_p1", p->p1);
    }
    if (p->tiling.tk < s->k || !ir_expr_is_const(p->k)) {
        const ir_expr_t *rest = ir_sub(m, ir_sub(m, p->k, k0), k_count); // 0 at the last chunk
        ir_set_expr(m, op, "acc", ir_ne(m, k0, ir_const(m, 0)));
        ir_set_expr(m, op, "drain", ir_sub(m, ir_const(m, 1), ir_ne(m, rest, ir_const(m, 0))));
    }
}

// Bias as f32 in LM: all of it, or the n tile's part.
static tv_t load_bias(tile_t *t, const problem_t *p, const task_t *task, const channel_tile_t *ct) {
    int64_t dims[1] = {ct ? p->tiling.tn : p->n->max};
    tv_t lm = tile_lm(t, DTYPE_F32, 1, dims), dst = lm, src = task->bias;
    if (ct)
        src = tv_box(t->m, src, 0, ct->n, ct->count);
    dst.dims[0] = src.dims[0];
    (void)tile_dma_in(t, dst, src, false);
    return lm;
}

static void output_tile(tile_t *t, const problem_t *p, const task_t *task, const resident_t *r,
                        image_tile_t it, channel_tile_t ct) {
    ir_module_t *m = t->m;
    const contraction_tiling_t *g = &p->tiling;
    int64_t dims[3] = {g->toh, g->tow, g->tn};
    tv_t c = tile_lm(t, DTYPE_F32, 3, dims), bias = r->bias, res;
    if (p->shape.bias && !g->n_outer && !r->has_bias)
        bias = load_bias(t, p, task, &ct);
    if (p->shape.residual) {
        res = tile_lm(t, p->res.elem, 3, dims);
        tv_t dst = tv_drop(c_operand(t, res, it, ct), 0);
        (void)tile_dma_in(t, dst, c_box(t, task->res, it, ct),
                          tile_input_is_stable(t, (uint32_t)p->res_input));
    }
    const ir_expr_t *k0 = ir_const(m, 0), *k_count = p->k;
    bool split = g->tk < p->shape.k || !ir_expr_is_const(p->k);
    if (split) {
        k0 = tile_for(t, "k", ir_const(m, 0), p->k, g->tk);
        k_count = tail(m, p->k, k0, g->tk);
    }
    tv_t a = r->has_a ? r->a : load_a(t, p, task, it, k0, k_count);
    tv_t b = r->has_b ? r->b : load_b(t, p, task, ct, k0, k_count);
    product(t, p, c, r, a, b, it, ct, k0, k_count, bias, &res);
    if (split)
        tile_end(t);
    (void)tile_dma_out(t, c_box(t, task->c, it, ct), tv_drop(c_operand(t, c, it, ct), 0));
}

static void one_task(tile_t *t, const problem_t *p, const task_t *task, const ir_expr_t *outer,
                     const ir_expr_t *lo, const ir_expr_t *hi) {
    const contraction_tiling_t *g = &p->tiling;
    bool split = g->tk < p->shape.k || !ir_expr_is_const(p->k);
    const ir_expr_t *zero = ir_const(t->m, 0);
    resident_t r = {0};
    image_tile_t it = {0};
    channel_tile_t ct = {0};
    if (g->n_outer) {
        ct = channel_tile(t, p, outer);
        if (!split)
            r.b = load_b(t, p, task, ct, zero, p->k);
        r.has_b = !split;
    } else {
        it = image_tile(t, p, outer);
        if (!split)
            r.a = load_a(t, p, task, it, zero, p->k);
        r.has_a = !split;
    }
    r.has_bias = !g->n_outer && !p->shape.long_bias;
    if (p->shape.bias && (g->n_outer || r.has_bias))
        r.bias = load_bias(t, p, task, g->n_outer ? &ct : NULL);
    const ir_expr_t *j = tile_for(t, "j", lo, hi, 1);
    if (g->n_outer)
        it = image_tile(t, p, j);
    else
        ct = channel_tile(t, p, j);
    output_tile(t, p, task, &r, it, ct);
    tile_end(t);
}

static void emit(tile_t *t, const problem_t *p) {
    ir_module_t *m = t->m;
    const contraction_tiling_t *g = &p->tiling;
    const ir_expr_t *n_m = ir_mul(m, ir_ceildiv(m, p->oh, ir_const(m, g->toh)),
                                  ir_ceildiv(m, p->ow, ir_const(m, g->tow)));
    const ir_expr_t *n_n = ir_ceildiv(m, p->n, ir_const(m, g->tn));
    const ir_expr_t *outer = g->n_outer ? n_n : n_m, *inner = g->n_outer ? n_m : n_n;
    const ir_expr_t *groups = ir_const(m, g->groups);
    const ir_expr_t *count = ir_mul(m, outer, groups);
    for (uint32_t d = 0; d < p->n_batch; d++)
        count = ir_mul(m, count, p->batch[d]);
    const ir_expr_t *rest = tile_parfor(t, "t", count);
    const ir_expr_t *share = ir_ceildiv(m, inner, groups);
    const ir_expr_t *lo = ir_mul(m, ir_mod(m, rest, groups), share);
    const ir_expr_t *hi = ir_min(m, inner, ir_add(m, lo, share));
    rest = ir_floordiv(m, rest, groups);
    const ir_expr_t *index[MAX_BATCH_DIMS];
    uint32_t outermost = 0; // dims of 1 before it need no division
    while (outermost < p->n_batch && ir_expr_equals(p->batch[outermost], 1))
        outermost++;
    const ir_expr_t *at = outermost == p->n_batch ? rest : ir_mod(m, rest, outer);
    rest = ir_floordiv(m, rest, outer);
    for (uint32_t d = p->n_batch; d-- > 0;) {
        index[d] = d < outermost    ? ir_const(m, 0)
                   : d == outermost ? rest
                                    : ir_mod(m, rest, p->batch[d]);
        rest = ir_floordiv(m, rest, p->batch[d]);
    }
    task_t task = {.a = drop_batch(t, p->a, p, index),
                   .b = drop_batch(t, p->b, p, index),
                   .c = drop_batch(t, p->c, p, index)};
    if (p->shape.residual)
        task.res = drop_batch(t, p->res, p, index);
    if (p->shape.bias)
        task.bias = p->bias.rank == 1
                        ? p->bias
                        : tv_drop(tv_box(m, p->bias, 0, index[p->n_batch - 1], ir_const(m, 1)), 0);
    one_task(t, p, &task, at, lo, hi);
    tile_end(t);
}

// --- The template --------------------------------------------------------------------------------

static bool engine_takes(dtype_t a, dtype_t b) {
    return a == b && (a == DTYPE_F32 || a == DTYPE_F16 || a == DTYPE_BF16);
}

static bool is_scattered(const tv_t *v) {
    return !ir_expr_equals(v->dims[v->rank - 1], 1) && !ir_expr_equals(v->strides[v->rank - 1], 1);
}

status_t tile_contraction(tile_t *t) {
    const ir_op_t *anchor = t->graph->first;
    problem_t p = {.alpha = 1, .q = 1};
    status_t status =
        anchor->code == IR_conv ? conv_problem(t, anchor, &p) : matmul_problem(t, anchor, &p);
    RETURN_IF_ERROR(status);
    if (!engine_takes(p.a.elem, p.b.elem))
        return tile_fail(t, STATUS_UNSUPPORTED, "convert the operands to a float type",
                         "products of %s and %s are not on the matrix engine yet",
                         dtype_text(p.a.elem), dtype_text(p.b.elem));
    finish_shape(&p);
    p.shape.a_scattered = is_scattered(&p.a);
    p.shape.b_scattered = !p.shape.b_static && is_scattered(&p.b);
    p.shape.c_scattered = is_scattered(&p.c);
    p.shape.res_scattered = p.shape.residual && is_scattered(&p.res);
    if (!p.shape.b_static)
        p.shape.pw = 16;
    if (!contraction_search(&p.shape, t->profile, &p.tiling))
        return tile_fail(t, STATUS_LIMIT, "use a profile with more local memory",
                         "no tiling of %lldx%lldx%lld over %lld fits %u bytes of local memory",
                         (long long)p.shape.oh, (long long)p.shape.ow, (long long)p.shape.n,
                         (long long)p.shape.k, t->profile->lm_bytes);
    const contraction_tiling_t *g = &p.tiling;
    snprintf(t->tiling, sizeof t->tiling,
             "tile image %lldx%lld n %lld k %lld, %s outer, %lld shares, LM %lld",
             (long long)g->toh, (long long)g->tow, (long long)g->tn, (long long)g->tk,
             g->n_outer ? "n" : "image", (long long)g->groups, (long long)g->lm_bytes);
    t->cycles = g->cycles;
    emit(t, &p);
    return STATUS_OK;
}
