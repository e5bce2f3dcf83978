// SPDX-License-Identifier: Apache-2.0
// The size of a nest's tile by modelled cycles.
#ifndef PASSES_TILE_NEST_COST_H
#define PASSES_TILE_NEST_COST_H

#include "passes/tile_nest.h"

enum { NEST_MAX_OPS = 96 };

// What one tile costs besides its copies: vector ops over all its elements.
typedef struct nest_work {
    bool is_output[NEST_MAX_VIEWS]; // views that a tile stores; the others it loads
    bool direct;                    // one copy from DRAM to DRAM, nothing in LM
    uint32_t n_ops;
    struct {
        xa_insn_t insn;
        uint8_t op;
    } ops[NEST_MAX_OPS];
} nest_work_t;

// Adds an op by the text of its function, as in the tables of isa/xaccel.def.
void nest_work_add(nest_work_t *work, xa_insn_t insn, const char *op);
// Cycles of all tiles on the profile's cores for the choice that stands in `n`; UINT64_MAX when an
// issue would take too long.
uint64_t nest_cost(const nest_t *n, const nest_work_t *work);
// Chooses p, tile and chunk with at most `most` elements a tile; returns the modelled cycles.
uint64_t nest_search(nest_t *n, const nest_work_t *work, int64_t most);

#endif
