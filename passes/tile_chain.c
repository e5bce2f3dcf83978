// SPDX-License-Identifier: Apache-2.0
// Tile template "chain": head? depthwise* tail? (passes/tile_chain.h) without a trip through DRAM.
//
//   parameters, (head's and tail's weights); zero the border columns
//   parfor task = (image, tile of output rows) {
//     dma_in x under the tile; (residual); zero border rows at the image's edges
//     for chunk of inner channels, unrolled {
//       mat e = head(x); vec d = depthwise(e); mat y += tail(d)  // or dma_out d where there is
//       none
//     }
//     dma_out y
//   }
//
// Rows that two tiles share are computed for both. A tile spans whole rows: border columns are
// never written and stay 0. Where engines work at the same time, the head runs one chunk ahead, in
// the other of two buffers, so that the matrix engine works while the vector engine does. No sum
// depends on how rows are cut into tiles; where the profile leaves the number of cores open, tiles
// are cut by the cores there are.
#include "passes/tile_chain.h"

#include <string.h>

#include "passes/tile_contraction.h"

typedef struct chain {
    chain_shape_t shape;
    chain_tiling_t tiling;
    int64_t chunks;
    int slots;      // buffers that chunks take turns in
    tv_t x, y, res; // [N, H, W, C] in DRAM
    int x_input, res_input;
    tv_t head, tail; // panels [P, R, K, pw, 1], in DRAM or all of them in LM
    // In LM, by stage.
    tv_t taps[CHAIN_MAX_STAGES], bias[CHAIN_MAX_STAGES];
    tv_t between[CHAIN_MAX_STAGES][2]; // input of stage i > 0, [rows, columns, te], by chunk
} chain_t;

// Rows of a stage's output that the task computes, and of its input: `top` border rows, `in` rows
// from `in_at` on, `bottom` border rows.
typedef struct stage_rows {
    const ir_expr_t *at, *count;
    const ir_expr_t *in_at, *in, *top, *bottom, *span;
} stage_rows_t;

typedef struct task {
    const ir_expr_t *image;
    stage_rows_t rows[CHAIN_MAX_STAGES];
    tv_t x[2], res, y;
    tv_t head[2], tail[2]; // panels of a chunk
} task_t;

typedef struct chunk {
    int64_t index, at, count; // inner channels
    int slot;
} chunk_t;

static chunk_t chunk_of(const chain_t *c, int64_t index) {
    int64_t at = index * c->tiling.te, rest = c->shape.inner - at;
    return (chunk_t){index, at, rest < c->tiling.te ? rest : c->tiling.te, (int)index % c->slots};
}

static tv_t box(tile_t *t, tv_t v, uint32_t dim, int64_t at, int64_t count) {
    return tv_box(t->m, v, dim, ir_const(t->m, at), ir_const(t->m, count));
}

static tv_t outer_one(tile_t *t, tv_t v) {
    return tv_insert(v, 0, ir_const(t->m, 1), ir_const(t->m, 0));
}

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

// What every task reads: once a core.
static void load_parameters(tile_t *t, chain_t *c) {
    const chain_shape_t *s = &c->shape;
    for (size_t i = 0; i < s->n_stages; i++) {
        const chain_stage_t *stage = &s->stage[i];
        if (stage->depthwise)
            c->taps[i] = whole_in_lm(t, tile_depthwise_weights(t, stage->conv), false);
        if (stage->bias)
            c->bias[i] = whole_in_lm(t, tile_vector(tile_input(t, stage->bias)), false);
    }
    if (s->has_head)
        c->head = pack(t, s->stage[0].conv, &s->stage[0], chain_is_planar(s));
    if (s->has_tail)
        c->tail = pack(t, chain_last(s)->conv, chain_last(s), false);
    if (c->tiling.resident && s->has_head)
        c->head = whole_in_lm(t, c->head, true);
    if (c->tiling.resident && s->has_tail)
        c->tail = whole_in_lm(t, c->tail, true);
}

// --- Between the stages --------------------------------------------------------------------------

static void fill_zero(tile_t *t, tv_t v) {
    while (v.rank < 4)
        v = outer_one(t, v);
    (void)tile_vec(t, "fill", NULL, "d", 1, &v);
}

static void zero_columns(tile_t *t, const chain_stage_t *stage, tv_t lm) {
    int64_t inside = stage->cols - stage->pad_w;
    inside = inside < stage->iw ? inside : stage->iw;
    int64_t right = stage->pad_w + inside, n_right = stage->cols - right;
    if (stage->pad_w > 0 && n_right == stage->pad_w) {
        tv_t both = box(t, lm, 1, 0, stage->pad_w);
        both = tv_insert(both, 1, ir_const(t->m, 2), ir_mulc(t->m, lm.strides[1], right));
        fill_zero(t, both);
        return;
    }
    if (stage->pad_w > 0)
        fill_zero(t, box(t, lm, 1, 0, stage->pad_w));
    if (n_right > 0)
        fill_zero(t, box(t, lm, 1, right, n_right));
}

static void make_between(tile_t *t, chain_t *c) {
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

// Rows outside of the image, of this task.
static void zero_borders(tile_t *t, const chain_t *c, const task_t *task) {
    for (size_t i = 1; i < c->shape.n_stages; i++) {
        if (!chain_has_row_border(&c->shape.stage[i]))
            continue;
        const stage_rows_t *r = &task->rows[i];
        for (int slot = 0; slot < c->slots; slot++) {
            zero_rows(t, c->between[i][slot], ir_const(t->m, 0), r->top);
            zero_rows(t, c->between[i][slot], ir_add(t->m, r->top, r->in), r->bottom);
        }
    }
}

// --- Tasks ---------------------------------------------------------------------------------------

// Rows of a tile; fewer than the tiling's where that gives every core of an unknown number some.
static const ir_expr_t *tile_rows(tile_t *t, const chain_t *c) {
    const ir_expr_t *rows = ir_const(t->m, c->tiling.toh);
    int64_t all = c->shape.images * chain_last(&c->shape)->oh;
    const ir_expr_t *cores = t->profile->cores == 0 ? tile_cores(t) : NULL;
    if (!cores)
        return rows;
    return ir_min(t->m, rows, ir_ceildiv(t->m, ir_const(t->m, all), cores));
}

static stage_rows_t input_rows(tile_t *t, const chain_stage_t *s, const ir_expr_t *at,
                               const ir_expr_t *count) {
    ir_module_t *m = t->m;
    stage_rows_t r = {.at = at, .count = count, .top = ir_const(m, 0), .bottom = ir_const(m, 0)};
    r.span = tile_span_expr(t, count, s->sh, s->kh, s->dh);
    r.in_at = ir_addc(m, ir_mulc(m, at, s->sh), -s->pad_h);
    r.in = r.span;
    if (!chain_has_row_border(s))
        return r;
    const ir_expr_t *start = r.in_at, *end = ir_add(m, start, r.span);
    r.in_at = ir_max(m, start, ir_const(m, 0));
    r.top = ir_sub(m, r.in_at, start);
    const ir_expr_t *in_end = ir_min(m, end, ir_const(m, s->ih));
    r.in = ir_sub(m, in_end, r.in_at);
    r.bottom = ir_sub(m, end, in_end);
    return r;
}

static task_t begin_task(tile_t *t, const chain_t *c) {
    ir_module_t *m = t->m;
    const chain_shape_t *s = &c->shape;
    const ir_expr_t *oh = ir_const(m, chain_last(s)->oh), *rows = tile_rows(t, c);
    const ir_expr_t *tiles = ir_ceildiv(m, oh, rows);
    const ir_expr_t *index = tile_parfor(t, "t", ir_mulc(m, tiles, s->images));
    task_t task = {.image = ir_const(m, 0)};
    if (s->images > 1) {
        task.image = ir_floordiv(m, index, tiles);
        index = ir_mod(m, index, tiles);
    }
    const ir_expr_t *at = ir_mul(m, index, rows);
    const ir_expr_t *count = ir_min(m, rows, ir_sub(m, oh, at));
    for (size_t i = s->n_stages; i-- > 0;) {
        task.rows[i] = input_rows(t, &s->stage[i], at, count);
        at = task.rows[i].in_at;
        count = task.rows[i].in;
    }
    return task;
}

static tv_t image_of(tile_t *t, tv_t v, const task_t *task) {
    return tv_drop(tv_box(t->m, v, 0, task->image, ir_const(t->m, 1)), 0);
}

static tv_t planes(tv_t v, bool planar) {
    return planar ? tv_permute(v, (const int64_t[]){2, 0, 1}) : v;
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

// Channels [at, at + count) of the input under the task, border included.
static void load_input(tile_t *t, const chain_t *c, const task_t *task, tv_t lm, int64_t at,
                       int64_t count) {
    ir_module_t *m = t->m;
    const chain_stage_t *s = &c->shape.stage[0];
    const stage_rows_t *r = &task->rows[0];
    bool planar = chain_is_planar(&c->shape);
    bool border = chain_has_row_border(s) || chain_has_column_border(s);
    int64_t inside = s->cols - s->pad_w;
    inside = inside < s->iw ? inside : s->iw;
    tv_t src = tv_box(m, image_of(t, c->x, task), 0, r->in_at, r->in);
    src = box(t, box(t, src, 1, 0, inside), 2, at, count);
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

static tv_t residual(tile_t *t, const chain_t *c, const task_t *task) {
    const chain_stage_t *last = chain_last(&c->shape);
    const stage_rows_t *r = &task->rows[c->shape.n_stages - 1];
    if (c->shape.res_is_x) {
        const ir_expr_t *at = ir_sub(t->m, r->at, task->rows[0].at);
        return box(t, tv_box(t->m, task->x[0], 0, at, r->count), 1, 0, last->ow);
    }
    tv_t lm = tile_lm(t, DTYPE_F32, 3, (const int64_t[]){c->tiling.toh, last->ow, last->n});
    lm.dims[0] = r->count;
    (void)tile_dma_in(t, lm, tv_box(t->m, image_of(t, c->res, task), 0, r->at, r->count),
                      tile_input_is_stable(t, (uint32_t)c->res_input));
    return lm;
}

static void make_task_buffers(tile_t *t, const chain_t *c, task_t *task) {
    const chain_shape_t *s = &c->shape;
    const chain_stage_t *last = chain_last(s);
    const int64_t te = c->tiling.te;
    task->x[0] = new_input(t, c);
    if (!s->has_head && c->slots > 1)
        task->x[1] = new_input(t, c);
    if (s->has_tail)
        task->y = tile_lm(t, DTYPE_F32, 3, (const int64_t[]){c->tiling.toh, last->ow, last->n});
    for (int slot = 0; slot < c->slots && !c->tiling.resident; slot++) {
        int64_t dims[5];
        for (uint32_t d = 0; d < 5 && s->has_head; d++)
            dims[d] = c->head.dims[d]->value;
        if (s->has_head) {
            dims[0] = (te + dims[3] - 1) / dims[3];
            task->head[slot] = tile_lm(t, DTYPE_F32, 5, dims);
        }
        for (uint32_t d = 0; d < 5 && s->has_tail; d++)
            dims[d] = c->tail.dims[d]->value;
        if (s->has_tail) {
            dims[2] = te;
            task->tail[slot] = tile_lm(t, DTYPE_F32, 5, dims);
        }
    }
}

// Panels of a chunk, from LM or by way of `lm`, as the matrix engine reads them.
static tv_t panels(tile_t *t, const chain_t *c, tv_t all, tv_t lm, uint32_t dim, int64_t at,
                   int64_t count) {
    tv_t part = box(t, all, dim, at, count);
    if (!c->tiling.resident) {
        memcpy(lm.dims, part.dims, 5 * sizeof *lm.dims);
        (void)tile_dma_in(t, lm, part, true);
        part = lm;
    }
    return outer_one(t, tv_permute(part, (const int64_t[]){1, 0, 2, 3, 4}));
}

// --- Stages --------------------------------------------------------------------------------------

// Where stage i writes a chunk: [rows, columns, channels].
static tv_t output_of(tile_t *t, const chain_t *c, const task_t *task, size_t i, tv_t last_out,
                      const chunk_t *k) {
    const chain_stage_t *s = &c->shape.stage[i];
    tv_t v = last_out;
    if (i + 1 < c->shape.n_stages) {
        v = c->between[i + 1][k->slot];
        v = tv_box(t->m, v, 0, task->rows[i + 1].top, task->rows[i].count);
        v = box(t, v, 1, c->shape.stage[i + 1].pad_w, s->used_ow);
    }
    v.dims[0] = task->rows[i].count;
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

static void run_head(tile_t *t, const chain_t *c, const task_t *task, const chunk_t *k) {
    const chain_stage_t *s = &c->shape.stage[0];
    if (!c->shape.has_head) { // the input's channels of this chunk instead
        load_input(t, c, task, task->x[k->slot], k->at, k->count);
        return;
    }
    int64_t pw = c->head.dims[3]->value;
    tv_t d = output_of(t, c, task, 0, task->y, k);
    d.dims[2] = ir_const(t->m, k->count);
    tv_t views[4] = {
        outer_one(t, d),
        a_operand(t, s, &task->rows[0], task->x[0], s->k, chain_is_planar(&c->shape)),
        panels(t, c, c->head, task->head[k->slot], 0, k->at / pw, (k->count + pw - 1) / pw)};
    if (s->bias)
        views[3] = box(t, c->bias[0], 0, k->at, k->count);
    ir_op_t *op = tile_mat(t, s->bias ? "c,a,b,bias" : "c,a,b", "panel", s->bias ? 4 : 3, views);
    set_activation(t, op, s, mat_act);
}

static void run_depthwise(tile_t *t, const chain_t *c, const task_t *task, size_t i, tv_t out,
                          const chunk_t *k) {
    ir_module_t *m = t->m;
    const chain_stage_t *s = &c->shape.stage[i];
    const stage_rows_t *r = &task->rows[i];
    const ir_expr_t *channels = ir_const(m, k->count), *one = ir_const(m, 1),
                    *zero = ir_const(m, 0);
    const ir_expr_t *kh = ir_const(m, s->kh), *kw = ir_const(m, s->kw);
    tv_t in = i == 0 ? task->x[k->slot] : c->between[i][k->slot];
    tv_t d = output_of(t, c, task, i, out, k), taps = box(t, c->taps[i], 2, k->at, k->count);
    d.dims[2] = channels;
    d = outer_one(t, d);
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
        views[3] = tv_broadcast(m, box(t, c->bias[i], 0, k->at, k->count), 4, d.dims);
    ir_op_t *op = tile_vec(t, "wmac", NULL, s->bias ? "d,a,b,c" : "d,a,b", s->bias ? 4 : 3, views);
    set_activation(t, op, s, vec_act);
}

static void run_tail(tile_t *t, const chain_t *c, const task_t *task, const chunk_t *k) {
    size_t i = c->shape.n_stages - 1;
    const chain_stage_t *s = &c->shape.stage[i];
    bool ends = k->index + 1 == c->chunks;
    char roles[32] = "c,a,b";
    uint32_t n = 3;
    tv_t d = output_of(t, c, task, i, task->y, k);
    tv_t views[5] = {outer_one(t, d),
                     a_operand(t, s, &task->rows[i], c->between[i][k->slot], k->count, false),
                     panels(t, c, c->tail, task->tail[k->slot], 2, k->at, k->count)};
    if (s->bias && ends) {
        views[n++] = c->bias[i];
        strcat(roles, ",bias");
    }
    if (s->res && ends) {
        views[n++] = outer_one(t, task->res);
        strcat(roles, ",res");
    }
    ir_op_t *op = tile_mat(t, roles, "panel", n, views);
    if (k->index > 0)
        ir_set_expr(t->m, op, "acc", ir_const(t->m, 1));
    if (!ends)
        ir_set_expr(t->m, op, "drain", ir_const(t->m, 0));
    else
        set_activation(t, op, s, mat_act);
}

// Channels [at, at + count) of the tile's rows.
static void store(tile_t *t, const chain_t *c, const task_t *task, tv_t lm, int64_t at,
                  int64_t count) {
    const stage_rows_t *r = &task->rows[c->shape.n_stages - 1];
    lm.dims[0] = r->count;
    lm.dims[2] = ir_const(t->m, count);
    tv_t dst = tv_box(t->m, image_of(t, c->y, task), 0, r->at, r->count);
    (void)tile_dma_out(t, box(t, dst, 2, at, count), lm);
}

static void run_rest(tile_t *t, const chain_t *c, const task_t *task, const chunk_t *k) {
    const chain_shape_t *s = &c->shape;
    tv_t out = task->y;
    if (!s->has_tail)
        out = tile_lm(t, DTYPE_F32, 3,
                      (const int64_t[]){c->tiling.toh, chain_last(s)->ow, c->tiling.te});
    for (size_t i = 0; i < s->n_stages; i++)
        if (s->stage[i].depthwise)
            run_depthwise(t, c, task, i, out, k);
    if (s->has_tail)
        run_tail(t, c, task, k);
    else
        store(t, c, task, out, k->at, k->count);
}

static void emit(tile_t *t, chain_t *c) {
    load_parameters(t, c);
    make_between(t, c);
    task_t task = begin_task(t, c);
    make_task_buffers(t, c, &task);
    if (c->shape.has_head)
        load_input(t, c, &task, task.x[0], 0, c->shape.stage[0].k);
    if (chain_last(&c->shape)->res)
        task.res = residual(t, c, &task);
    zero_borders(t, c, &task);
    for (int64_t i = 0; i < c->chunks + c->slots - 1; i++) {
        chunk_t ahead = chunk_of(c, i), now = chunk_of(c, i - (c->slots - 1));
        if (i < c->chunks)
            run_head(t, c, &task, &ahead);
        if (now.index >= 0)
            run_rest(t, c, &task, &now);
    }
    if (c->shape.has_tail)
        store(t, c, &task, task.y, 0, chain_last(&c->shape)->n);
    tile_end(t);
}

// --- The template --------------------------------------------------------------------------------

static bool is_scattered(const tv_t *v) {
    return !ir_expr_equals(v->dims[3], 1) && !ir_expr_equals(v->strides[3], 1);
}

static bool read_chain(tile_t *t, chain_t *c) {
    const ir_op_t *ops[CHAIN_MAX_OPS];
    size_t n = 0;
    for (const ir_op_t *op = t->graph->first; op->code != IR_yield; op = op->next) {
        if (n == CHAIN_MAX_OPS)
            return false;
        ops[n++] = op;
    }
    if (!chain_read(n, ops, &c->shape))
        return false;
    static const int64_t last[4] = {0, 2, 3, 1};
    const ir_value_t *x = ir_operand(c->shape.stage[0].conv, 0), *res = chain_last(&c->shape)->res;
    c->x_input = tile_input_index(x);
    c->x = tv_permute(tile_input(t, x), last);
    c->y = tv_permute(tile_output(t, 0), last);
    if (res) {
        c->res_input = tile_input_index(res);
        c->res = tv_permute(tile_input(t, res), last);
    }
    c->shape.x_scattered = is_scattered(&c->x);
    c->shape.y_scattered = is_scattered(&c->y);
    c->shape.res_is_x &= !c->shape.x_scattered;
    return c->shape.n_stages >= 2;
}

status_t tile_chain(tile_t *t) {
    chain_t c = {0};
    if (!read_chain(t, &c))
        return tile_fail(t, STATUS_INTERNAL, NULL, "not a chain of convolutions");
    if (!chain_search(&c.shape, t->profile, &c.tiling))
        return tile_fail(t, STATUS_LIMIT, "use a profile with more local memory",
                         "no tiling of a chain of convolutions fits %u bytes of local memory",
                         t->profile->lm_bytes);
    c.chunks = chain_chunks(&c.shape, c.tiling.te);
    c.slots = chain_slots(c.chunks, t->profile);
    snprintf(t->tiling, sizeof t->tiling, "tile rows %lld of %lld, inner %lld of %lld%s, LM %lld",
             (long long)c.tiling.toh, (long long)chain_last(&c.shape)->oh, (long long)c.tiling.te,
             (long long)c.shape.inner, c.tiling.resident ? ", weights stay" : "",
             (long long)c.tiling.lm_bytes);
    t->cycles = c.tiling.cycles;
    emit(t, &c);
    return STATUS_OK;
}
