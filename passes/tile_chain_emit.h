// SPDX-License-Identifier: Apache-2.0
// What the files of the template "chain" share: the chain, a tile, a step.
#ifndef PASSES_TILE_CHAIN_EMIT_H
#define PASSES_TILE_CHAIN_EMIT_H

#include "passes/tile_chain.h"

// Buffers of which steps (or tiles) take turns, in LM.
typedef struct chain {
    chain_shape_t shape;
    chain_tiling_t tiling;
    int64_t chunks;
    int slots;      // buffers that steps take turns in
    tv_t x, y, res; // [N, H, W, C] in DRAM
    int x_input, res_input;
    tv_t head, tail; // panels [P, R, K, pw, 1], in DRAM or all of them in LM
    tv_t taps[CHAIN_MAX_STAGES], bias[CHAIN_MAX_STAGES];
    tv_t between[CHAIN_MAX_STAGES][2]; // by step: input of stage i > 0, [rows, columns, te]
    tv_t lm_x[2], lm_res[2], lm_y[2];  // by tile; of chains without head (tail) x (y) by step
    tv_t lm_head[2], lm_tail[2];       // by step: panels of a chunk that do not stay
} chain_t;

// Rows of a stage's output that a tile has, and of its input: `top` border rows, `in` rows from
// `in_at` on, `bottom` border rows.
typedef struct stage_rows {
    const ir_expr_t *at, *count;
    const ir_expr_t *in_at, *in, *top, *bottom, *span;
} stage_rows_t;

typedef struct chain_tile {
    const ir_expr_t *image;
    stage_rows_t rows[CHAIN_MAX_STAGES];
    int slot;
    bool loaded; // the input is in LM already
    tv_t res;
} chain_tile_t;

// One chunk of inner channels of one tile.
typedef struct chain_step {
    const chain_tile_t *tile;
    int64_t chunk, at, count; // inner channels
    int slot;
    tv_t x, y; // the input, and where the last stage writes
} chain_step_t;

static inline tv_t chain_box(tile_t *t, tv_t v, uint32_t dim, int64_t at, int64_t count) {
    return tv_box(t->m, v, dim, ir_const(t->m, at), ir_const(t->m, count));
}

static inline tv_t chain_outer_one(tile_t *t, tv_t v) {
    return tv_insert(v, 0, ir_const(t->m, 1), ir_const(t->m, 0));
}

// The tile's part of a DRAM view, batch dropped.
static inline tv_t chain_image(tile_t *t, tv_t v, const chain_tile_t *tile) {
    return tv_drop(tv_box(t->m, v, 0, tile->image, ir_const(t->m, 1)), 0);
}

// tile_chain_memory.c: what lies in LM. Packing of head's and tail's weights, in DRAM; parameters
// that all tiles read, and these weights where they stay.
void chain_pack(tile_t *t, chain_t *c);
void chain_load_parameters(tile_t *t, chain_t *c);
void chain_make_between(tile_t *t, chain_t *c);
void chain_make_buffers(tile_t *t, chain_t *c);
// Border rows of the buffers that the step's stages read, which lie outside of the image.
void chain_zero_rows(tile_t *t, const chain_t *c, const chain_step_t *k);
// Channels [at, at + count) of the input under the tile, border included.
void chain_load_input(tile_t *t, const chain_t *c, const chain_tile_t *tile, tv_t lm, int64_t at,
                      int64_t count);
// The residual of the tile: loaded, or the input's copy.
tv_t chain_residual(tile_t *t, const chain_t *c, const chain_tile_t *tile);

// tile_chain_ops.c: engine ops of a step. What runs ahead: the head, or the load of its channels.
void chain_run_ahead(tile_t *t, const chain_t *c, const chain_step_t *k);
// Depthwise stages and tail.
void chain_run_rest(tile_t *t, const chain_t *c, const chain_step_t *k);

#endif
