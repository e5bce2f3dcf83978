// SPDX-License-Identifier: Apache-2.0
// Iteration spaces of the loop template: which dims are outer loops, which one is tiled, and where
// a tile of each tensor is.
#ifndef PASSES_TILE_NEST_H
#define PASSES_TILE_NEST_H

#include "passes/tile_emit.h"

enum { NEST_MAX_VIEWS = 48, NEST_TILE_RANK = 4 };

// All views have the nest's dims (broadcast ones with stride 0; reduced ones with dims of 1).
typedef struct nest {
    tile_t *t;
    uint32_t rank;
    uint32_t row;    // dims [row, rank) are reduced together; rank when nothing is
    bool whole_rows; // rows cannot be walked in chunks
    const ir_expr_t *dims[TV_MAX_RANK];
    uint32_t n_views;
    tv_t views[NEST_MAX_VIEWS];
    bool reduced[NEST_MAX_VIEWS]; // view has dims of 1 from `row` on

    uint32_t p;    // tiled dim; dims before it are loops, those after it whole
    int64_t tile;  // elements of dim p in a tile
    int64_t chunk; // elements of the last dim in a chunk, 0: rows are whole
    const ir_expr_t *index[TV_MAX_RANK];     // position of the tile, set by nest_begin
    const ir_expr_t *count;                  // elements of dim p in this tile
    const ir_expr_t *chunk_at, *chunk_count; // set while in a chunk loop
} nest_t;

// Adds a view; the nest's rank and dims must be set.
uint32_t nest_add(nest_t *n, tv_t view, bool reduced);
// Sorts dims by memory order of view `lead`, merges dims that all views see as one.
void nest_simplify(nest_t *n, uint32_t lead);
// Chooses p, tile and chunk so that a tile has at most `limit` elements.
void nest_choose(nest_t *n, int64_t limit);
// The parfor over tiles, and its end.
void nest_begin(nest_t *n);
void nest_end(nest_t *n);
// Part of a DRAM view in the current tile (and chunk), as rank - p dims.
tv_t nest_box(const nest_t *n, const tv_t *view, bool reduced);
// LM buffer for a tile of a value: dims that `view` (or NULL) does not vary over have size 1 and
// stride 0. The result has the tile's run-time dims.
tv_t nest_lm(const nest_t *n, dtype_t elem, const tv_t *view, bool reduced);
// As rank 4 for the vector engine, broadcast to a full tile unless reduced.
tv_t nest_operand(const nest_t *n, tv_t lm, bool reduced);
// True when the view is the same for every tile (loaded once, before the parfor).
bool nest_is_invariant(const nest_t *n, const tv_t *view);

#endif
