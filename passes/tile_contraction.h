// SPDX-License-Identifier: Apache-2.0
// Contractions as one problem: a convolution over [H, W, C] images with a kernel of KH x KW, of
// which a matrix product is the case H = KH = KW = 1, W = M, C = K.
#ifndef PASSES_TILE_CONTRACTION_H
#define PASSES_TILE_CONTRACTION_H

#include "passes/tile_emit.h"

// Sizes that the search sees; run-time dims count as nominal.
typedef struct contraction_shape {
    int64_t batch;        // independent problems (images, groups, heads)
    int64_t oh, ow, n, k; // output rows, columns, channels; input channels
    int64_t ih, iw;       // input image
    int64_t kh, kw, sh, sw, dh, dw;
    bool border;   // padding: the input tile has to be copied
    bool merge_kw; // kw and channels are one run (k counts both after it)
    bool b_static; // B is packed in panels of `pw`
    bool b_trans;  // else: B is [n, k]
    bool a_scattered, b_scattered, c_scattered,
        res_scattered; // innermost elements are not neighbours in DRAM
    int64_t pw;
    dtype_t a_type, b_type, c_type, out_type;
    bool residual, bias;
    bool long_bias; // an image tile loads the bias of each n tile, not all of it
} contraction_shape_t;

// What a search picks.
typedef struct contraction_tiling {
    int64_t toh, tow, tn, tk;
    bool n_outer;    // outer loop over n tiles (B stays), else over image tiles (A stays)
    int64_t groups;  // parallel shares of the inner loop
    uint64_t cycles; // modelled, all of it
    uint64_t moved;  // busy cycles of the DMA engines, all cores together
    uint64_t hart;   // cycles of the harts, all cores together
    int64_t lm_bytes;
} contraction_tiling_t;

// Input rows (columns) in LM under `out` output rows: all from the first to the last. A kernel of 1
// without a border skips those between: its copy has a stride.
static inline int64_t contraction_span(int64_t out, int64_t stride, int64_t kernel,
                                       int64_t dilation, bool border) {
    return kernel == 1 && !border ? out : tile_span(out, stride, kernel, dilation);
}
// Modelled cycles of one tiling on the profile's cores, UINT64_MAX when it does not fit LM or an
// issue would take too long.
uint64_t contraction_cost(const contraction_shape_t *s, contraction_tiling_t *tiling,
                          const isa_profile_t *profile);
// The best tiling found; false when none fits.
bool contraction_search(const contraction_shape_t *s, const isa_profile_t *profile,
                        contraction_tiling_t *out_tiling);
// Panel width for n columns: the widest whose padding is near the least.
int64_t contraction_panel(int64_t n);

#endif
