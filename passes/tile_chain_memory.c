// SPDX-License-Identifier: Apache-2.0
// Local memory of the template "chain": parameters, buffers between the stages, inputs.
#include <string.h>

#include "passes/tile_chain_emit.h"
#include "passes/tile_contraction.h"

// --- Constants -----------------------------------------------------------------------------------

// Weights [N, K, KH, KW] as panels [P, R, K, pw, 1]; of planes [P, (KH, K), KW, pw, 1].
static tv_t pack(tile_t *t, const ir_op_t *conv, const chain_stage_t *s, bool planar) {
    const ir_blob_t *blob = tile_constant(t, tile_input_index(ir_operand(conv, 1)));
    int64_t pw = contraction_panel(s->n), panels = (s->n + pw - 1) / pw, taps = s->kh * s->kw;
    ir_pack_t p = {.source = blob, .elem = blob->elem, .rank = 5};
    const int64_t dims[5] = {panels, s->kh, planar ? s->k : s->kw, planar ? s->kw : s->k, pw};
    const int64_t strides[5] = {pw * s->k * taps, s->kw, planar ? taps : 1, planar ? 1 : taps,
                                s->k * taps};
    const int64_t guard[5] = {pw, 0, 0, 0, 1};
    memcpy(p.dims, dims, sizeof dims);
    memcpy(p.src_stride, strides, sizeof strides);
    memcpy(p.guard_step[0], guard, sizeof guard);
    p.guard_bound[0] = s->n % pw ? s->n : 0;
    const int64_t shape[5] = {panels, dims[1] * dims[2], dims[3], pw, 1};
    return tile_weights(t, ir_blob_packed(t->m, &p), 5, shape);
}

static tv_t whole_in_lm(tile_t *t, tv_t src, bool stable) {
    int64_t dims[TV_MAX_RANK];
    for (uint32_t d = 0; d < src.rank; d++)
        dims[d] = src.dims[d]->value;
    tv_t lm = tile_lm(t, src.elem, src.rank, dims);
    (void)tile_dma_in(t, lm, src, stable);
    return lm;
}

void chain_pack(tile_t *t, chain_t *c) {
    const chain_shape_t *s = &c->shape;
    if (s->has_head)
        c->head = pack(t, s->stage[0].conv, &s->stage[0], chain_is_planar(s));
    if (s->has_tail)
        c->tail = pack(t, chain_last(s)->conv, chain_last(s), false);
}

void chain_load_parameters(tile_t *t, chain_t *c) {
    const chain_shape_t *s = &c->shape;
    for (size_t i = 0; i < s->n_stages; i++) { // in the order in which they are wanted
        const chain_stage_t *stage = &s->stage[i];
        tv_t *panels = i == 0 ? &c->head : &c->tail;
        if (stage->depthwise)
            c->taps[i] = whole_in_lm(t, tile_depthwise_weights(t, stage->conv), false);
        else if (c->tiling.resident)
            *panels = whole_in_lm(t, *panels, true);
        if (stage->bias)
            c->bias[i] = whole_in_lm(t, tile_vector(tile_input(t, stage->bias)), false);
    }
}

// --- Between the stages --------------------------------------------------------------------------

static void fill_zero(tile_t *t, tv_t v) {
    while (v.rank < 4)
        v = chain_outer_one(t, v);
    (void)tile_vec(t, "fill", NULL, "d", 1, &v);
}

static void zero_columns(tile_t *t, const chain_stage_t *stage, tv_t lm) {
    int64_t inside = stage->cols - stage->pad_w;
    inside = inside < stage->iw ? inside : stage->iw;
    int64_t right = stage->pad_w + inside, n_right = stage->cols - right;
    if (stage->pad_w > 0 && n_right == stage->pad_w) {
        tv_t both = chain_box(t, lm, 1, 0, stage->pad_w);
        both = tv_insert(both, 1, ir_const(t->m, 2), ir_mulc(t->m, lm.strides[1], right));
        fill_zero(t, both);
        return;
    }
    if (stage->pad_w > 0)
        fill_zero(t, chain_box(t, lm, 1, 0, stage->pad_w));
    if (n_right > 0)
        fill_zero(t, chain_box(t, lm, 1, right, n_right));
}

void chain_make_between(tile_t *t, chain_t *c) {
    const chain_shape_t *s = &c->shape;
    int64_t rows = c->tiling.toh;
    for (size_t i = s->n_stages; i-- > 1;) {
        const chain_stage_t *stage = &s->stage[i];
        const int64_t dims[3] = {chain_span(stage, rows), stage->cols, c->tiling.te};
        for (int slot = 0; slot < c->slots; slot++) {
            c->between[i][slot] = tile_lm(t, DTYPE_F32, 3, dims);
            if (chain_has_column_border(stage))
                zero_columns(t, stage, c->between[i][slot]);
        }
        rows = chain_rows_before(stage, rows);
    }
}

static void zero_rows(tile_t *t, tv_t lm, const ir_expr_t *at, const ir_expr_t *count) {
    if (ir_expr_equals(count, 0))
        return;
    if (!ir_expr_is_const(count))
        tile_when(t, count);
    fill_zero(t, tv_box(t->m, lm, 0, at, count));
    if (!ir_expr_is_const(count))
        tile_end(t);
}

void chain_zero_rows(tile_t *t, const chain_t *c, const chain_step_t *k) {
    for (size_t i = 1; i < c->shape.n_stages; i++) {
        const stage_rows_t *r = &k->tile->rows[i];
        if (k->chunk >= c->slots || !chain_has_row_border(&c->shape.stage[i]))
            continue; // the tile's first chunk in this buffer did it
        zero_rows(t, c->between[i][k->slot], ir_const(t->m, 0), r->top);
        zero_rows(t, c->between[i][k->slot], ir_add(t->m, r->top, r->in), r->bottom);
    }
}

// --- Loads ---------------------------------------------------------------------------------------

// The chain's input in LM: [rows, columns, channels], or in planes.
static tv_t new_input(tile_t *t, const chain_t *c) {
    const chain_shape_t *s = &c->shape;
    int64_t rows = c->tiling.toh;
    for (size_t i = s->n_stages; i-- > 1;)
        rows = chain_rows_before(&s->stage[i], rows);
    int64_t dims[3] = {chain_span(&s->stage[0], rows), s->stage[0].cols,
                       s->has_head ? s->stage[0].k : c->tiling.te};
    if (!chain_is_planar(s))
        return tile_lm(t, DTYPE_F32, 3, dims);
    tv_t lm = tile_lm(t, DTYPE_F32, 3, (const int64_t[]){dims[2], dims[0], dims[1]});
    return tv_permute(lm, (const int64_t[]){1, 2, 0});
}

static tv_t planes(tv_t v, bool planar) {
    return planar ? tv_permute(v, (const int64_t[]){2, 0, 1}) : v;
}

void chain_load_input(tile_t *t, const chain_t *c, const chain_tile_t *tile, tv_t lm, int64_t at,
                      int64_t count) {
    ir_module_t *m = t->m;
    const chain_stage_t *s = &c->shape.stage[0];
    const stage_rows_t *r = &tile->rows[0];
    bool planar = chain_is_planar(&c->shape);
    bool border = chain_has_row_border(s) || chain_has_column_border(s);
    int64_t inside = s->cols - s->pad_w;
    inside = inside < s->iw ? inside : s->iw;
    tv_t src = tv_box(m, chain_image(t, c->x, tile), 0, r->in_at, r->in);
    src = chain_box(t, chain_box(t, src, 1, 0, inside), 2, at, count);
    lm.dims[0] = r->span;
    lm.dims[2] = ir_const(m, count);
    if (!border) {
        (void)tile_dma_in(t, planes(lm, planar), planes(src, planar),
                          tile_input_is_stable(t, (uint32_t)c->x_input));
        return;
    }
    const ir_expr_t *pad[3] = {r->top, ir_const(m, s->pad_w), ir_const(m, 0)};
    const ir_expr_t *pad_planar[3] = {pad[2], pad[0], pad[1]};
    (void)tile_dma_in_border(t, planes(lm, planar), planes(src, planar), planar ? pad_planar : pad,
                             0);
}

tv_t chain_residual(tile_t *t, const chain_t *c, const chain_tile_t *tile) {
    const chain_stage_t *last = chain_last(&c->shape);
    const stage_rows_t *r = &tile->rows[c->shape.n_stages - 1];
    if (c->shape.res_is_x) {
        const ir_expr_t *at = ir_sub(t->m, r->at, tile->rows[0].at);
        return chain_box(t, tv_box(t->m, c->lm_x[tile->slot], 0, at, r->count), 1, 0, last->ow);
    }
    tv_t lm = c->lm_res[tile->slot];
    lm.dims[0] = r->count;
    (void)tile_dma_in(t, lm, tv_box(t->m, chain_image(t, c->res, tile), 0, r->at, r->count),
                      tile_input_is_stable(t, (uint32_t)c->res_input));
    return lm;
}

// Panels of one chunk: `dim` is the one that chunks cut.
static tv_t new_panels(tile_t *t, tv_t all, uint32_t dim, int64_t count) {
    int64_t dims[5];
    for (uint32_t d = 0; d < 5; d++)
        dims[d] = d == dim ? count : all.dims[d]->value;
    return tile_lm(t, DTYPE_F32, 5, dims);
}

void chain_make_buffers(tile_t *t, chain_t *c) {
    const chain_shape_t *s = &c->shape;
    const chain_stage_t *last = chain_last(s);
    const int64_t te = c->tiling.te, by_tile = c->tiling.run > 1 ? 2 : 1;
    const int64_t out[3] = {c->tiling.toh, last->ow, s->has_tail ? last->n : te};
    for (int slot = 0; slot < (s->has_head ? by_tile : c->slots); slot++)
        c->lm_x[slot] = new_input(t, c);
    for (int slot = 0; slot < by_tile && last->res && !s->res_is_x; slot++)
        c->lm_res[slot] = tile_lm(t, DTYPE_F32, 3, out);
    for (int slot = 0; slot < (s->has_tail ? by_tile : c->slots); slot++)
        c->lm_y[slot] = tile_lm(t, DTYPE_F32, 3, out);
    for (int slot = 0; slot < c->slots && !c->tiling.resident; slot++) {
        int64_t pw = s->has_head ? c->head.dims[3]->value : 1;
        if (s->has_head)
            c->lm_head[slot] = new_panels(t, c->head, 0, (te + pw - 1) / pw);
        if (s->has_tail)
            c->lm_tail[slot] = new_panels(t, c->tail, 2, te);
    }
}
