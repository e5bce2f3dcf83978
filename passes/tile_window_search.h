// SPDX-License-Identifier: Apache-2.0
// Windows over channels-last images (depthwise convolution, pooling, response normalisation): their
// sizes and the search for a tile.
#ifndef PASSES_TILE_WINDOW_SEARCH_H
#define PASSES_TILE_WINDOW_SEARCH_H

#include "passes/tile_emit.h"

// Run-time dims count as nominal.
typedef struct window_shape {
    int64_t n, oh, ow, c;
    int64_t kh, kw, sh, sw, dh, dw;
    int64_t pad_c; // channels of border on each side; then all channels are in one tile
    bool x_scattered, y_scattered; // channels are not neighbours in DRAM
    dtype_t x_type, y_type;
} window_shape_t;

typedef struct window_tiling {
    int64_t toh, tow, tc;
    uint64_t cycles; // modelled, all of it
} window_tiling_t;

// Sets and returns tiling->cycles; UINT64_MAX when it does not fit LM or an issue takes too long.
uint64_t window_cost(const window_shape_t *s, window_tiling_t *tiling,
                     const isa_profile_t *profile);
// The best tile found; false when none fits.
bool window_search(const window_shape_t *s, const isa_profile_t *profile,
                   window_tiling_t *out_tiling);

#endif
