// SPDX-License-Identifier: Apache-2.0
// Tile template "window": depthwise convolution, pooling and local response normalisation, on the
// vector engine, over channels-last images.
//
//   parfor task = (image, row tile, channel tile) {
//     dma_in rows with border; (weights, bias); vec wmac | wreduce; dma_out
//   }
#include <math.h>
#include <string.h>

#include "passes/tile_emit.h"
#include "passes/tile_window_search.h"

typedef struct window {
    tv_t x, y; // [N, H, W, C]
    int64_t kh, kw, sh, sw, dh, dw, pad_h, pad_w;
    int64_t pad_c; // border channels before and after (lrn)
    bool border;
    double fill;
    int64_t toh, tow, tc;               // tile
    const ir_expr_t *n_oh, *n_ow, *n_c; // tiles along each axis
} window_t;

static tv_t channels_last(tv_t v) { return tv_permute(v, (const int64_t[]){0, 2, 3, 1}); }

static void read_window(tile_t *t, const ir_op_t *op, const int64_t *kernel, window_t *w) {
    int64_t strides[2] = {1, 1}, dilations[2] = {1, 1}, pads[4] = {0};
    (void)ir_get_ints(op, "strides", 2, strides);
    (void)ir_get_ints(op, "dilations", 2, dilations);
    (void)ir_get_ints(op, "pads", 4, pads);
    *w = (window_t){.kh = kernel[0],
                    .kw = kernel[1],
                    .sh = strides[0],
                    .sw = strides[1],
                    .dh = dilations[0],
                    .dw = dilations[1],
                    .pad_h = pads[0],
                    .pad_w = pads[1]};
    w->x = channels_last(tile_input(t, ir_operand(op, 0)));
    w->y = channels_last(tile_output(t, 0));
    w->border = pads[0] || pads[1] || pads[2] || pads[3] || ir_get_int(op, "ceil_mode", 0);
}

static bool choose_tile(tile_t *t, window_t *w) {
    window_shape_t shape = {
        .n = w->y.dims[0]->min > 1 ? w->y.dims[0]->min : 1,
        .oh = tile_nominal(w->y.dims[1]),
        .ow = tile_nominal(w->y.dims[2]),
        .c = tile_nominal(w->y.dims[3]),
        .kh = w->kh,
        .kw = w->kw,
        .sh = w->sh,
        .sw = w->sw,
        .dh = w->dh,
        .dw = w->dw,
        .pad_c = w->pad_c,
        .x_scattered = !ir_expr_equals(w->x.strides[3], 1),
        .y_scattered = !ir_expr_equals(w->y.strides[3], 1),
        .x_type = w->x.elem,
        .y_type = w->y.elem,
    };
    window_tiling_t best;
    if (!window_search(&shape, t->profile, &best))
        return false;
    w->toh = best.toh;
    w->tow = best.tow;
    w->tc = best.tc;
    t->cycles = best.cycles;
    snprintf(t->tiling, sizeof t->tiling, "tile image %lldx%lld c %lld", (long long)w->toh,
             (long long)w->tow, (long long)w->tc);
    return true;
}

// --- Emission ------------------------------------------------------------------------------------

typedef struct place {
    const ir_expr_t *n, *oh, *ow, *c, *n_oh, *n_ow, *n_c;
} place_t;

static place_t begin_tasks(tile_t *t, window_t *w) {
    ir_module_t *m = t->m;
    const ir_expr_t *oh = w->y.dims[1], *ow = w->y.dims[2], *c = w->y.dims[3];
    w->n_oh = ir_ceildiv(m, oh, ir_const(m, w->toh));
    w->n_ow = ir_ceildiv(m, ow, ir_const(m, w->tow));
    w->n_c = ir_ceildiv(m, c, ir_const(m, w->tc));
    const ir_expr_t *count =
        ir_mul(m, ir_mul(m, w->y.dims[0], w->n_oh), ir_mul(m, w->n_ow, w->n_c));
    const ir_expr_t *rest = tile_parfor(t, "t", count);
    place_t at;
    at.c = ir_mulc(m, ir_mod(m, rest, w->n_c), w->tc);
    rest = ir_floordiv(m, rest, w->n_c);
    at.ow = ir_mulc(m, ir_mod(m, rest, w->n_ow), w->tow);
    rest = ir_floordiv(m, rest, w->n_ow);
    at.oh = ir_mulc(m, ir_mod(m, rest, w->n_oh), w->toh);
    at.n = ir_floordiv(m, rest, w->n_oh);
    at.n_oh = ir_min(m, ir_const(m, w->toh), ir_sub(m, oh, at.oh));
    at.n_ow = ir_min(m, ir_const(m, w->tow), ir_sub(m, ow, at.ow));
    at.n_c = ir_min(m, ir_const(m, w->tc), ir_sub(m, c, at.c));
    return at;
}

// The input under the tile in LM, [rows, columns, tc + 2 pad_c].
static tv_t load_input(tile_t *t, const window_t *w, const place_t *at) {
    ir_module_t *m = t->m;
    int64_t dims[3] = {tile_span(w->toh, w->sh, w->kh, w->dh),
                       tile_span(w->tow, w->sw, w->kw, w->dw), w->tc + 2 * w->pad_c};
    tv_t lm = tile_lm(t, w->x.elem, 3, dims), dst = lm;
    dst.dims[0] = tile_span_expr(t, at->n_oh, w->sh, w->kh, w->dh);
    dst.dims[1] = tile_span_expr(t, at->n_ow, w->sw, w->kw, w->dw);
    dst.dims[2] = ir_addc(m, at->n_c, 2 * w->pad_c);
    tv_t src = tv_drop(tv_box(m, w->x, 0, at->n, ir_const(m, 1)), 0);
    if (!w->border && !w->pad_c) {
        src = tv_box(m, src, 0, ir_mulc(m, at->oh, w->sh), dst.dims[0]);
        src = tv_box(m, src, 1, ir_mulc(m, at->ow, w->sw), dst.dims[1]);
        src = tv_box(m, src, 2, at->c, dst.dims[2]);
        (void)tile_dma_in(t, dst, src, tile_input_is_stable(t, 0));
        return lm;
    }
    const ir_expr_t *pad[3];
    src = tile_clip(t, src, 0, at->oh, dst.dims[0], w->sh, w->pad_h, &pad[0]);
    src = tile_clip(t, src, 1, at->ow, dst.dims[1], w->sw, w->pad_w, &pad[1]);
    src = tile_clip(t, src, 2, at->c, dst.dims[2], 1, w->pad_c, &pad[2]);
    (void)tile_dma_in_border(t, dst, src, pad, w->fill);
    return lm;
}

static tv_t output_view(tile_t *t, tv_t lm, const place_t *at) {
    lm.dims[0] = at->n_oh;
    lm.dims[1] = at->n_ow;
    lm.dims[2] = at->n_c;
    return tv_insert(lm, 0, ir_const(t->m, 1), ir_const(t->m, 0));
}

// a of wreduce and wmac: [1, oh, ow, c, k0, k1] over the input tile.
static tv_t window_view(tile_t *t, const window_t *w, tv_t in, const place_t *at, int64_t k0,
                        int64_t k1, const ir_expr_t *k0_stride, const ir_expr_t *k1_stride) {
    ir_module_t *m = t->m;
    tv_t v = output_view(t, in, at);
    v.strides[1] = ir_mulc(m, in.strides[0], w->sh);
    v.strides[2] = ir_mulc(m, in.strides[1], w->sw);
    v = tv_insert(v, 4, ir_const(m, k0), k0_stride);
    return tv_insert(v, 5, ir_const(m, k1), k1_stride);
}

static tv_t image_window(tile_t *t, const window_t *w, tv_t in, const place_t *at) {
    return window_view(t, w, in, at, w->kh, w->kw, ir_mulc(t->m, in.strides[0], w->dh),
                       ir_mulc(t->m, in.strides[1], w->dw));
}

static tv_t new_output(tile_t *t, const window_t *w) {
    return tile_lm(t, w->y.elem, 3, (const int64_t[]){w->toh, w->tow, w->tc});
}

static void store(tile_t *t, const window_t *w, const place_t *at, tv_t out) {
    tv_t dst = tv_drop(tv_box(t->m, w->y, 0, at->n, ir_const(t->m, 1)), 0);
    dst = tv_box(t->m, dst, 0, at->oh, at->n_oh);
    dst = tv_box(t->m, dst, 1, at->ow, at->n_ow);
    dst = tv_box(t->m, dst, 2, at->c, at->n_c);
    (void)tile_dma_out(t, dst, tv_drop(output_view(t, out, at), 0));
}

static status_t no_tile(tile_t *t) {
    return tile_fail(t, STATUS_LIMIT, "use a profile with more local memory",
                     "no tile of a window operator fits %u bytes of local memory",
                     t->profile->lm_bytes);
}

// --- Depthwise convolution -----------------------------------------------------------------------

tv_t tile_depthwise_weights(tile_t *t, const ir_op_t *conv) {
    tv_t v = tile_input(t, ir_operand(conv, 1));
    const ir_blob_t *blob = tile_constant(t, tile_input_index(ir_operand(conv, 1)));
    bool constant = blob && tv_is_row_major(t->m, &v);
    v = tv_drop(tv_permute(v, (const int64_t[]){2, 3, 1, 0}), 2);
    if (!constant)
        return v;
    int64_t dims[3] = {v.dims[0]->value, v.dims[1]->value, v.dims[2]->value};
    ir_pack_t pack = {.source = blob, .elem = v.elem, .rank = 3};
    memcpy(pack.dims, dims, sizeof dims);
    memcpy(pack.src_stride, (const int64_t[]){dims[1], 1, dims[0] * dims[1]}, sizeof dims);
    return tile_weights(t, ir_blob_packed(t->m, &pack), 3, dims);
}

typedef struct depthwise_end {
    const ir_value_t *bias;
    const char *post;
    double p0, p1;
} depthwise_end_t;

static depthwise_end_t read_end(const ir_op_t *op) {
    depthwise_end_t e = {.bias = ir_operand(op, 2), .post = "none"};
    const ir_value_t *tail = ir_result(op);
    for (const ir_op_t *o = op->next; o && o->code != IR_yield; o = o->next) {
        if (o->code == IR_binary) {
            e.bias = ir_operand(o, ir_operand(o, 0) == tail ? 1 : 0);
        } else {
            e.post = ir_get_string(o, "func", "none");
            e.p0 = ir_get_float(o, "p0", 0);
            e.p1 = ir_get_float(o, "p1", 0);
        }
        tail = ir_result(o);
    }
    return e;
}

static tv_t load_channels(tile_t *t, const window_t *w, const place_t *at, tv_t src) {
    src = tile_vector(src);
    tv_t lm = tile_lm(t, DTYPE_F32, 1, (const int64_t[]){w->tc}), dst = lm;
    dst.dims[0] = at->n_c;
    (void)tile_dma_in(t, dst, tv_box(t->m, src, 0, at->c, at->n_c), false);
    const ir_expr_t *dims[4] = {ir_const(t->m, 1), at->n_oh, at->n_ow, at->n_c};
    return tv_broadcast(t->m, dst, 4, dims);
}

static status_t depthwise(tile_t *t, const ir_op_t *op) {
    ir_module_t *m = t->m;
    const ir_type_t *wt = ir_operand(op, 1)->type;
    if (!ir_type_is_static(wt))
        return tile_fail(t, STATUS_UNSUPPORTED, NULL, "a convolution's weights have dynamic dims");
    window_t w;
    read_window(t, op, (const int64_t[]){wt->dims[2]->value, wt->dims[3]->value}, &w);
    if (!choose_tile(t, &w))
        return no_tile(t);
    depthwise_end_t e = read_end(op);
    tv_t weights = tile_depthwise_weights(t, op);
    place_t at = begin_tasks(t, &w);
    tv_t lw = tile_lm(t, weights.elem, 3, (const int64_t[]){w.kh, w.kw, w.tc}), dst = lw;
    dst.dims[2] = at.n_c;
    (void)tile_dma_in(t, dst, tv_box(m, weights, 2, at.c, at.n_c), false);
    tv_t in = load_input(t, &w, &at), out = new_output(t, &w);
    const ir_expr_t *zero = ir_const(m, 0);
    tv_t b = lw;
    b.rank = 6;
    const ir_expr_t *dims[6] = {ir_const(m, 1), at.n_oh,           at.n_ow,
                                at.n_c,         ir_const(m, w.kh), ir_const(m, w.kw)};
    const ir_expr_t *strides[6] = {zero, zero, zero, ir_const(m, 1), lw.strides[0], lw.strides[1]};
    memcpy(b.dims, dims, sizeof dims);
    memcpy(b.strides, strides, sizeof strides);
    tv_t views[4] = {output_view(t, out, &at), image_window(t, &w, in, &at), b};
    if (e.bias)
        views[3] = load_channels(t, &w, &at, tile_input(t, e.bias));
    ir_op_t *vec = tile_vec(t, "wmac", NULL, e.bias ? "d,a,b,c" : "d,a,b", e.bias ? 4 : 3, views);
    if (strcmp(e.post, "none")) {
        ir_set_string(m, vec, "post", e.post);
        ir_set_float(m, vec, "p0", e.p0);
        ir_set_float(m, vec, "p1", e.p1);
    }
    store(t, &w, &at, out);
    tile_end(t);
    return STATUS_OK;
}

// --- Pooling -------------------------------------------------------------------------------------

// Inputs (and padding, if it counts) under output index i of one axis.
static int64_t taps_at(int64_t i, int64_t stride, int64_t kernel, int64_t dilation, int64_t pad,
                       int64_t size, int64_t pad_end, bool count_pad) {
    int64_t n = 0;
    for (int64_t k = 0; k < kernel; k++) {
        int64_t at = i * stride - pad + k * dilation;
        n += count_pad ? at < size + pad_end : at >= 0 && at < size;
    }
    return n;
}

// 1 / count of each window as a constant [OH, OW], or a NULL buffer when all windows are full.
static tv_t average_scale(tile_t *t, const ir_op_t *op, const window_t *w, bool *out_uniform) {
    int64_t pads[4] = {0}, oh = w->y.dims[1]->value, ow = w->y.dims[2]->value;
    (void)ir_get_ints(op, "pads", 4, pads);
    bool count_pad = ir_get_int(op, "count_include_pad", 0) != 0;
    float *table = ARENA_ARRAY(t->pc->scratch, float, (size_t)(oh * ow));
    *out_uniform = true;
    for (int64_t y = 0; y < oh; y++)
        for (int64_t x = 0; x < ow; x++) {
            int64_t n =
                taps_at(y, w->sh, w->kh, w->dh, w->pad_h, w->x.dims[1]->value, pads[2], count_pad) *
                taps_at(x, w->sw, w->kw, w->dw, w->pad_w, w->x.dims[2]->value, pads[3], count_pad);
            *out_uniform &= n == w->kh * w->kw;
            table[y * ow + x] = 1.0f / (float)(n > 0 ? n : 1);
        }
    if (*out_uniform)
        return (tv_t){0};
    const ir_blob_t *blob = ir_blob_copy(t->m, DTYPE_F32, table, (uint64_t)(oh * ow) * 4);
    return tile_weights(t, blob, 2, (const int64_t[]){oh, ow});
}

static double least_value(dtype_t type) {
    if (dtype_is_float(type))
        return -INFINITY;
    return dtype_class(type) == 'S' ? -ldexp(1.0, (int)dtype_bits(type) - 1) : 0;
}

static void scale_average(tile_t *t, const place_t *at, tv_t out, tv_t scale, const window_t *w) {
    ir_module_t *m = t->m;
    tv_t lm = tile_lm(t, DTYPE_F32, 2, (const int64_t[]){w->toh, w->tow}), dst = lm;
    dst.dims[0] = at->n_oh;
    dst.dims[1] = at->n_ow;
    tv_t src = tv_box(m, tv_box(m, scale, 0, at->oh, at->n_oh), 1, at->ow, at->n_ow);
    (void)tile_dma_in(t, dst, src, false);
    tv_t b = tv_insert(dst, 0, ir_const(m, 1), ir_const(m, 0));
    b = tv_insert(b, 3, at->n_c, ir_const(m, 0));
    tv_t d = output_view(t, out, at);
    (void)tile_vec(t, "binary", "mul", "d,a,b", 3, (const tv_t[]){d, d, b});
}

static status_t pool(tile_t *t, const ir_op_t *op) {
    int64_t kernel[2] = {1, 1};
    (void)ir_get_ints(op, "kernel", 2, kernel);
    bool max = !strcmp(ir_get_string(op, "op", ""), "max"), uniform = true;
    window_t w;
    read_window(t, op, kernel, &w);
    w.fill = max ? least_value(w.x.elem) : 0;
    tv_t scale = {0};
    if (!max && w.border) {
        if (!ir_expr_is_const(w.y.dims[1]) || !ir_expr_is_const(w.y.dims[2]))
            return tile_fail(t, STATUS_UNSUPPORTED, "give the image's size with --dim",
                             "average pooling with padding over a dynamic image");
        scale = average_scale(t, op, &w, &uniform);
    }
    if (!choose_tile(t, &w))
        return no_tile(t);
    place_t at = begin_tasks(t, &w);
    tv_t in = load_input(t, &w, &at), out = new_output(t, &w);
    tv_t views[2] = {output_view(t, out, &at), image_window(t, &w, in, &at)};
    ir_op_t *vec = tile_vec(t, "wreduce", max ? "max" : "sum", "d,a", 2, views);
    if (!max && uniform)
        ir_set_float(t->m, vec, "alpha", 1.0 / (double)(w.kh * w.kw));
    if (!uniform)
        scale_average(t, &at, out, scale, &w);
    store(t, &w, &at, out);
    tile_end(t);
    return STATUS_OK;
}

// --- Local response normalisation ----------------------------------------------------------------

// y = x * (bias + alpha / size * sum of squares over nearby channels) ^ -beta
static status_t lrn(tile_t *t, const ir_op_t *op) {
    ir_module_t *m = t->m;
    int64_t size = ir_get_int(op, "size", 1);
    window_t w;
    read_window(t, op, (const int64_t[]){1, 1}, &w);
    w.pad_c = size / 2;
    if (!choose_tile(t, &w))
        return no_tile(t);
    place_t at = begin_tasks(t, &w);
    tv_t in = load_input(t, &w, &at), out = new_output(t, &w);
    tv_t d = output_view(t, out, &at);
    // ONNX: floor((size - 1) / 2) channels before.
    tv_t first = in;
    first.offset = ir_const(m, w.pad_c - (size - 1) / 2);
    tv_t a = window_view(t, &w, first, &at, 1, size, ir_const(m, 0), ir_const(m, 1));
    ir_op_t *vec = tile_vec(t, "wreduce", "sumsq", "d,a", 2, (const tv_t[]){d, a});
    ir_set_float(m, vec, "alpha", ir_get_float(op, "alpha", 1e-4) / (double)size);
    vec = tile_vec(t, "unary", "log", "d,a", 2, (const tv_t[]){d, d});
    ir_set_float(m, vec, "beta", ir_get_float(op, "bias", 1));
    vec = tile_vec(t, "unary", "exp", "d,a", 2, (const tv_t[]){d, d});
    ir_set_float(m, vec, "alpha", -ir_get_float(op, "beta", 0.75));
    tv_t middle = in;
    middle.offset = ir_const(m, w.pad_c);
    middle = output_view(t, middle, &at);
    (void)tile_vec(t, "binary", "mul", "d,a,b", 3, (const tv_t[]){d, d, middle});
    store(t, &w, &at, out);
    tile_end(t);
    return STATUS_OK;
}

status_t tile_window(tile_t *t) {
    const ir_op_t *op = t->graph->first;
    if (op->code == IR_conv)
        return depthwise(t, op);
    return op->code == IR_pool ? pool(t, op) : lrn(t, op);
}
