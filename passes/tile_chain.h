// SPDX-License-Identifier: Apache-2.0
// Chains of convolutions that stay in local memory: head? depthwise* tail?, two or more of them
// (chain_read takes one too), where head and tail are convolutions of one group. Shared by fuse,
// which decides whether a chain pays, and by the template.
//
// Words: the *inner* channels are those between head and tail, which the depthwise ones keep. They
// are worked on in chunks of `te`: head makes a chunk, tail adds its share to all of its outputs.
#ifndef PASSES_TILE_CHAIN_H
#define PASSES_TILE_CHAIN_H

#include "passes/tile_emit.h"

enum { CHAIN_MAX_STAGES = 4, CHAIN_MAX_CHUNKS = 16, CHAIN_MAX_OPS = 24 };

// One convolution and its epilogue. Values are those of the graph it was read from.
typedef struct chain_stage {
    const ir_op_t *conv;
    const ir_value_t *bias, *res; // NULL where absent
    const char *act;
    double p0, p1;
    bool depthwise;
    int64_t kh, kw, sh, sw, dh, dw, pad_h, pad_w;
    int64_t ih, iw, k; // input image and channels
    int64_t oh, ow, n; // output
    int64_t cols;      // columns of the input in LM, border included
    int64_t used_ow;   // output columns that the next stage has a use for
    bool border;
} chain_stage_t;

typedef struct chain_shape {
    size_t n_stages;
    chain_stage_t stage[CHAIN_MAX_STAGES];
    bool has_head, has_tail;
    int64_t images, inner;
    bool x_scattered, y_scattered; // channels are not neighbours in DRAM
    bool res_is_x;                 // the residual is the chain's input, of which LM has a copy
} chain_shape_t;

typedef struct chain_tiling {
    int64_t toh, te;
    int64_t run;     // tiles that a task does one after the other, without a pause between them
    bool resident;   // head's and tail's weights stay in LM, all of them
    uint64_t cycles; // modelled, all of it
    uint64_t moved;  // busy cycles of the DMA engines, all cores together
    uint64_t hart;   // cycles of the harts, all cores together
    int64_t lm_bytes;
} chain_tiling_t;

static inline const chain_stage_t *chain_last(const chain_shape_t *s) {
    return &s->stage[s->n_stages - 1];
}

static inline int64_t chain_chunks(const chain_shape_t *s, int64_t te) {
    return (s->inner + te - 1) / te;
}

// Buffers that the chunks of a run take turns in.
static inline int chain_slots(const chain_shape_t *s, const chain_tiling_t *t,
                              const isa_profile_t *profile) {
    return chain_chunks(s, t->te) * t->run > 1 && !profile->serial ? 2 : 1;
}

// Head with few channels that lie in planes: LM keeps the planes, so that DRAM is read by rows, and
// the matrix engine sums over kernel rows and planes, kernel columns being neighbours.
static inline bool chain_is_planar(const chain_shape_t *s) {
    return s->has_head && s->x_scattered && s->stage[0].kw > 1 && s->stage[0].dw == 1;
}

// Rows of stage i's input (border included) under `rows` rows of its output, and those of them that
// the stage before computes at most.
int64_t chain_span(const chain_stage_t *stage, int64_t rows);
int64_t chain_rows_before(const chain_stage_t *stage, int64_t rows);
// Does the input in LM have border rows (columns) at the low or the high end?
bool chain_has_row_border(const chain_stage_t *stage);
bool chain_has_column_border(const chain_stage_t *stage);

// Reads ops (convolutions, each followed by its epilogue) as a chain; false when they are none that
// the template can do. Scattered sides are the caller's to set.
bool chain_read(size_t n_ops, const ir_op_t *const *ops, chain_shape_t *out);
// Sets each stage's cols and used_ow, from the last stage back to the first: a tile spans whole
// rows.
void chain_set_columns(chain_shape_t *s);
// Modelled cycles of one stage as a kernel of its own; UINT64_MAX when no tiling fits.
uint64_t chain_stage_alone(const chain_shape_t *s, size_t stage, const isa_profile_t *profile);

// Sets and returns tiling->cycles; UINT64_MAX when it does not fit LM or an issue takes too long.
uint64_t chain_cost(const chain_shape_t *s, chain_tiling_t *tiling, const isa_profile_t *profile);
// The best tiling found; false when none fits.
bool chain_search(const chain_shape_t *s, const isa_profile_t *profile, chain_tiling_t *out_tiling);

#endif
