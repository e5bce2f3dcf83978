// SPDX-License-Identifier: Apache-2.0
// Tile template "chain": head? depthwise* tail? (passes/tile_chain.h) without a trip through DRAM.
//
//   parameters, (head's and tail's weights); zero the border columns
//   parfor task = (image, run of tiles of output rows) {
//     for tile of the run, chunk of inner channels, unrolled {
//       at a tile's first chunk: dma_in x under the tile; (residual)
//       zero border rows at the image's edges
//       mat e = head(x)
//       vec d = depthwise(e); mat y += tail(d)     // without a tail: dma_out d
//       at a tile's last chunk: dma_out y
//     }
//   }
//
// Rows that two tiles share are computed for both. A tile spans whole rows: border columns are
// never written and stay 0. Where engines work at the same time, the head runs one step ahead, in
// the other of two buffers, so that the matrix engine works while the vector engine does. No sum
// depends on how rows are cut into tiles; where the profile leaves the number of cores open, tiles
// are cut by the cores there are.
#include "passes/tile_chain_emit.h"

#include <string.h>

// --- Tiles ---------------------------------------------------------------------------------------

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

// Tile number `index` of an image.
static chain_tile_t tile_at(tile_t *t, const chain_t *c, const ir_expr_t *image,
                            const ir_expr_t *index, const ir_expr_t *rows, int number) {
    ir_module_t *m = t->m;
    const chain_shape_t *s = &c->shape;
    chain_tile_t tile = {.image = image, .slot = c->tiling.run > 1 ? number % 2 : 0};
    const ir_expr_t *oh = ir_const(m, chain_last(s)->oh), *at = ir_mul(m, index, rows);
    const ir_expr_t *count = ir_min(m, rows, ir_sub(m, oh, at));
    for (size_t i = s->n_stages; i-- > 0;) {
        tile.rows[i] = input_rows(t, &s->stage[i], at, count);
        at = tile.rows[i].in_at;
        count = tile.rows[i].in;
    }
    return tile;
}

// Opens the loop over tasks; the tiles of one run.
static void begin_task(tile_t *t, const chain_t *c, chain_tile_t *out) {
    ir_module_t *m = t->m;
    const ir_expr_t *rows = tile_rows(t, c), *run = ir_const(m, c->tiling.run);
    const ir_expr_t *tiles = ir_ceildiv(m, ir_const(m, chain_last(&c->shape)->oh), rows);
    const ir_expr_t *runs = ir_floordiv(m, tiles, run), *image = ir_const(m, 0);
    const ir_expr_t *index = tile_parfor(t, "t", ir_mulc(m, runs, c->shape.images));
    if (c->shape.images > 1) {
        image = ir_floordiv(m, index, runs);
        index = ir_mod(m, index, runs);
    }
    for (int i = 0; i < c->tiling.run; i++)
        out[i] = tile_at(t, c, image, ir_addc(m, ir_mul(m, index, run), i), rows, i);
}

// --- Steps ---------------------------------------------------------------------------------------

static chain_step_t step_at(const chain_t *c, const chain_tile_t *tiles, int64_t number) {
    int64_t chunk = number % c->chunks, at = chunk * c->tiling.te, rest = c->shape.inner - at;
    chain_step_t k = {.tile = &tiles[number / c->chunks],
                      .chunk = chunk,
                      .at = at,
                      .count = rest < c->tiling.te ? rest : c->tiling.te,
                      .slot = (int)(number % c->slots)};
    k.x = c->lm_x[c->shape.has_head ? k.tile->slot : k.slot];
    k.y = c->lm_y[c->shape.has_tail ? k.tile->slot : k.slot];
    return k;
}

static void run_ahead(tile_t *t, const chain_t *c, chain_tile_t *tile, const chain_step_t *k) {
    if (k->chunk == 0) {
        if (c->shape.has_head && !tile->loaded)
            chain_load_input(t, c, tile, k->x, 0, c->shape.stage[0].k);
        if (chain_last(&c->shape)->res)
            tile->res = chain_residual(t, c, tile);
    }
    chain_zero_rows(t, c, k);
    chain_run_ahead(t, c, k);
}

// What the step completes: the tile, or without a tail its own channels.
static void store(tile_t *t, const chain_t *c, const chain_step_t *k) {
    bool tail = c->shape.has_tail;
    const stage_rows_t *r = &k->tile->rows[c->shape.n_stages - 1];
    int64_t at = tail ? 0 : k->at, count = tail ? chain_last(&c->shape)->n : k->count;
    if (tail && k->chunk + 1 < c->chunks)
        return;
    tv_t lm = k->y;
    lm.dims[0] = r->count;
    lm.dims[2] = ir_const(t->m, count);
    tv_t dst = tv_box(t->m, chain_image(t, c->y, k->tile), 0, r->at, r->count);
    (void)tile_dma_out(t, chain_box(t, dst, 2, at, count), lm);
}

// No core has more than one task: then its first input need not wait for all parameters.
static bool is_one_task(const tile_t *t, const chain_t *c) {
    int64_t oh = chain_last(&c->shape)->oh, toh = c->tiling.toh;
    return c->shape.images * ((oh + toh - 1) / toh) <= c->tiling.run * t->profile->cores;
}

static void begin(tile_t *t, chain_t *c, chain_tile_t *tiles) {
    bool one = is_one_task(t, c);
    chain_pack(t, c);
    if (!one)
        chain_load_parameters(t, c);
    chain_make_between(t, c);
    begin_task(t, c, tiles);
    chain_make_buffers(t, c);
    if (!one)
        return;
    tiles[0].loaded = c->shape.has_head;
    if (c->shape.has_head)
        chain_load_input(t, c, &tiles[0], c->lm_x[0], 0, c->shape.stage[0].k);
    chain_load_parameters(t, c);
}

static void emit(tile_t *t, chain_t *c) {
    chain_tile_t tiles[CHAIN_MAX_CHUNKS];
    begin(t, c, tiles);
    int64_t n = c->chunks * c->tiling.run, lead = c->slots - 1;
    for (int64_t i = 0; i < n + lead; i++) {
        if (i < n) {
            chain_step_t ahead = step_at(c, tiles, i);
            run_ahead(t, c, &tiles[i / c->chunks], &ahead);
        }
        if (i < lead)
            continue;
        chain_step_t now = step_at(c, tiles, i - lead);
        chain_run_rest(t, c, &now);
        store(t, c, &now);
    }
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
    c.slots = chain_slots(&c.shape, &c.tiling, t->profile);
    snprintf(t->tiling, sizeof t->tiling,
             "tile rows %lld of %lld, runs of %lld, inner %lld of %lld%s, LM %lld",
             (long long)c.tiling.toh, (long long)chain_last(&c.shape)->oh, (long long)c.tiling.run,
             (long long)c.tiling.te, (long long)c.shape.inner,
             c.tiling.resident ? ", weights stay" : "", (long long)c.tiling.lm_bytes);
    t->cycles = c.tiling.cycles;
    emit(t, &c);
    return STATUS_OK;
}
