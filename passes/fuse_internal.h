// SPDX-License-Identifier: Apache-2.0
// What the files of the pass `fuse` share.
#ifndef PASSES_FUSE_INTERNAL_H
#define PASSES_FUSE_INTERNAL_H

#include "passes/pass.h"
#include "support/map.h"

typedef struct group {
    const char *template_name;
    ir_op_t **ops; // in program order
    size_t n_ops, cap_ops;
    const ir_type_t *domain; // loops: iteration dims (type of a full-size value)
    int row_axis;            // loops: first reduced axis, or -1
    ir_value_t *tail;        // contraction, window: value that the epilogue so far yields
    int stage;               // epilogue: 0 none, 1 alpha, 2 bias, 3 residual, 4 activation
    size_t dim_n;            // contraction, window: which dim of the result a bias runs along
} group_t;

typedef struct fuse {
    ir_module_t *m;
    arena_t *scratch;
    map_t index; // op -> position + 1
    map_t owner; // op -> group
    group_t **groups;
    size_t n_groups, cap_groups;
} fuse_t;

void fuse_group_add(fuse_t *f, group_t *g, ir_op_t *op);

// fuse_chain.c: joins groups of convolutions where a chain takes fewer modelled cycles. Those that
// were joined to a later one have no ops left.
void fuse_chains(fuse_t *f, const isa_profile_t *profile);

#endif
