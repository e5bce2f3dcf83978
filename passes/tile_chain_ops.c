// SPDX-License-Identifier: Apache-2.0
// Engine ops of the template "chain": the stages of one step.
#include <string.h>

#include "passes/tile_chain_emit.h"

// Panels of a chunk, from LM or by way of `lm`, as the matrix engine reads them.
static tv_t panels(tile_t *t, const chain_t *c, tv_t all, tv_t lm, uint32_t dim, int64_t at,
                   int64_t count) {
    tv_t part = chain_box(t, all, dim, at, count);
    if (!c->tiling.resident) {
        memcpy(lm.dims, part.dims, 5 * sizeof *lm.dims);
        (void)tile_dma_in(t, lm, part, true);
        part = lm;
    }
    return chain_outer_one(t, tv_permute(part, (const int64_t[]){1, 0, 2, 3, 4}));
}

// --- Stages --------------------------------------------------------------------------------------

// Where stage i writes a chunk: [rows, columns, channels].
static tv_t output_of(tile_t *t, const chain_t *c, size_t i, const chain_step_t *k) {
    const chain_stage_t *s = &c->shape.stage[i];
    tv_t v = k->y;
    if (i + 1 < c->shape.n_stages) {
        v = c->between[i + 1][k->slot];
        v = tv_box(t->m, v, 0, k->tile->rows[i + 1].top, k->tile->rows[i].count);
        v = chain_box(t, v, 1, c->shape.stage[i + 1].pad_w, s->used_ow);
    }
    v.dims[0] = k->tile->rows[i].count;
    return v;
}

// Windows over `in`: [1, rows, columns, a, b, c] with the strides given for a, b and c.
static tv_t windows(tile_t *t, const chain_stage_t *s, const stage_rows_t *r, tv_t in,
                    const ir_expr_t *const dims[3], const ir_expr_t *const strides[3]) {
    tv_t v = in;
    v.rank = 6;
    v.dims[0] = ir_const(t->m, 1);
    v.strides[0] = ir_const(t->m, 0);
    v.dims[1] = r->count;
    v.strides[1] = ir_mulc(t->m, in.strides[0], s->sh);
    v.dims[2] = ir_const(t->m, s->used_ow);
    v.strides[2] = ir_mulc(t->m, in.strides[1], s->sw);
    memcpy(v.dims + 3, dims, 3 * sizeof *dims);
    memcpy(v.strides + 3, strides, 3 * sizeof *strides);
    return v;
}

// A of the matrix engine: [1, rows, columns, kh, kw, k], or [1, rows, columns, kh, k, kw] of
// planes.
static tv_t a_operand(tile_t *t, const chain_stage_t *s, const stage_rows_t *r, tv_t in, int64_t k,
                      bool planar) {
    const ir_expr_t *kh = ir_const(t->m, s->kh), *kw = ir_const(t->m, s->kw);
    const ir_expr_t *row = ir_mulc(t->m, in.strides[0], s->dh);
    const ir_expr_t *col = ir_mulc(t->m, in.strides[1], s->dw), *channels = ir_const(t->m, k);
    if (planar)
        return windows(t, s, r, in, (const ir_expr_t *[]){kh, channels, kw},
                       (const ir_expr_t *[]){row, in.strides[2], col});
    return windows(t, s, r, in, (const ir_expr_t *[]){kh, kw, channels},
                   (const ir_expr_t *[]){row, col, in.strides[2]});
}

static void set_activation(tile_t *t, ir_op_t *op, const chain_stage_t *s,
                           const char *const names[3]) {
    if (!strcmp(s->act, "none"))
        return;
    ir_set_string(t->m, op, names[0], s->act);
    ir_set_float(t->m, op, names[1], s->p0);
    ir_set_float(t->m, op, names[2], s->p1);
}

static const char *const mat_act[3] = {"act", "act_p0", "act_p1"};
static const char *const vec_act[3] = {"post", "p0", "p1"};

void chain_run_ahead(tile_t *t, const chain_t *c, const chain_step_t *k) {
    const chain_stage_t *s = &c->shape.stage[0];
    if (!c->shape.has_head) { // the input's channels of this chunk instead
        chain_load_input(t, c, k->tile, k->x, k->at, k->count);
        return;
    }
    int64_t pw = c->head.dims[3]->value;
    tv_t d = output_of(t, c, 0, k);
    d.dims[2] = ir_const(t->m, k->count);
    tv_t views[4] = {
        chain_outer_one(t, d),
        a_operand(t, s, &k->tile->rows[0], k->x, s->k, chain_is_planar(&c->shape)),
        panels(t, c, c->head, c->lm_head[k->slot], 0, k->at / pw, (k->count + pw - 1) / pw)};
    if (s->bias)
        views[3] = chain_box(t, c->bias[0], 0, k->at, k->count);
    ir_op_t *op = tile_mat(t, s->bias ? "c,a,b,bias" : "c,a,b", "panel", s->bias ? 4 : 3, views);
    set_activation(t, op, s, mat_act);
}

static void run_depthwise(tile_t *t, const chain_t *c, size_t i, const chain_step_t *k) {
    ir_module_t *m = t->m;
    const chain_stage_t *s = &c->shape.stage[i];
    const stage_rows_t *r = &k->tile->rows[i];
    const ir_expr_t *channels = ir_const(m, k->count), *one = ir_const(m, 1),
                    *zero = ir_const(m, 0);
    const ir_expr_t *kh = ir_const(m, s->kh), *kw = ir_const(m, s->kw);
    tv_t in = i == 0 ? k->x : c->between[i][k->slot];
    tv_t d = output_of(t, c, i, k), taps = chain_box(t, c->taps[i], 2, k->at, k->count);
    d.dims[2] = channels;
    d = chain_outer_one(t, d);
    tv_t b = taps;
    b.rank = 6;
    memcpy(b.dims, d.dims, 4 * sizeof *b.dims);
    b.dims[4] = kh;
    b.dims[5] = kw;
    const ir_expr_t *strides[6] = {zero, zero, zero, one, taps.strides[0], taps.strides[1]};
    memcpy(b.strides, strides, sizeof strides);
    tv_t views[4] = {d,
                     windows(t, s, r, in, (const ir_expr_t *[]){channels, kh, kw},
                             (const ir_expr_t *[]){one, ir_mulc(m, in.strides[0], s->dh),
                                                   ir_mulc(m, in.strides[1], s->dw)}),
                     b};
    if (s->bias)
        views[3] = tv_broadcast(m, chain_box(t, c->bias[i], 0, k->at, k->count), 4, d.dims);
    ir_op_t *op = tile_vec(t, "wmac", NULL, s->bias ? "d,a,b,c" : "d,a,b", s->bias ? 4 : 3, views);
    set_activation(t, op, s, vec_act);
}

static void run_tail(tile_t *t, const chain_t *c, const chain_step_t *k) {
    size_t i = c->shape.n_stages - 1;
    const chain_stage_t *s = &c->shape.stage[i];
    bool ends = k->chunk + 1 == c->chunks;
    char roles[32] = "c,a,b";
    uint32_t n = 3;
    tv_t d = output_of(t, c, i, k);
    tv_t views[5] = {chain_outer_one(t, d),
                     a_operand(t, s, &k->tile->rows[i], c->between[i][k->slot], k->count, false),
                     panels(t, c, c->tail, c->lm_tail[k->slot], 2, k->at, k->count)};
    if (s->bias && ends) {
        views[n++] = c->bias[i];
        strcat(roles, ",bias");
    }
    if (s->res && ends) {
        views[n++] = chain_outer_one(t, k->tile->res);
        strcat(roles, ",res");
    }
    ir_op_t *op = tile_mat(t, roles, "panel", n, views);
    if (k->chunk > 0)
        ir_set_expr(t->m, op, "acc", ir_const(t->m, 1));
    if (!ends)
        ir_set_expr(t->m, op, "drain", ir_const(t->m, 0));
    else
        set_activation(t, op, s, mat_act);
}

void chain_run_rest(tile_t *t, const chain_t *c, const chain_step_t *k) {
    for (size_t i = 0; i < c->shape.n_stages; i++)
        if (c->shape.stage[i].depthwise)
            run_depthwise(t, c, i, k);
    if (c->shape.has_tail)
        run_tail(t, c, k);
}
