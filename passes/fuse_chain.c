// SPDX-License-Identifier: Apache-2.0
// Chains of convolutions: which neighbours shall be one kernel.
//
//   before:  {conv, clip} -> {depthwise conv, clip} -> {conv, add}
//   after:   {conv, clip, depthwise conv, clip, conv, add} {template = "chain"}
//
// A convolution's only user may be the next one's input; along such a run every cut into chains and
// single kernels is weighed by modelled cycles, from the end to the start.
#include <string.h>

#include "passes/fuse_internal.h"
#include "passes/kernel.h"
#include "passes/tile_chain.h"

#define NEVER (UINT64_MAX / 8) // sums of them do not overflow

typedef struct link {
    group_t *group;
    struct link *next;
    uint64_t best; // cycles from here to the run's end
    size_t take;   // groups in one kernel from here on; 0: not weighed
    bool joined;   // the last one of a chain
} link_t;

static bool is_image_output(const ir_value_t *value) {
    for (const ir_use_t *use = value->first_use; use; use = use->next)
        if (use->user->code == IR_return)
            return true;
    return false;
}

// The chain of `n` groups from `link` on; false when it is none.
static bool read_links(const link_t *link, size_t n, chain_shape_t *out) {
    const ir_op_t *ops[CHAIN_MAX_OPS];
    size_t n_ops = 0;
    const ir_value_t *x = ir_operand(link->group->ops[0], 0), *y = NULL;
    for (size_t i = 0; i < n; i++, link = link->next) {
        if (!link || n_ops + link->group->n_ops > CHAIN_MAX_OPS)
            return false;
        memcpy(ops + n_ops, link->group->ops, link->group->n_ops * sizeof *ops);
        n_ops += link->group->n_ops;
        y = link->group->tail;
    }
    if (!chain_read(n_ops, ops, out))
        return false;
    // Graph inputs and outputs are row major, all other images channels last (see layout).
    out->x_scattered = x->def == NULL && out->stage[0].k > 1;
    out->y_scattered = is_image_output(y) && chain_last(out)->n > 1;
    out->res_is_x &= !out->x_scattered;
    return true;
}

static uint64_t cycles_of(const link_t *link, size_t n, const isa_profile_t *profile) {
    chain_shape_t shape;
    chain_tiling_t tiling;
    if (!read_links(link, n, &shape))
        return NEVER;
    if (n > 1)
        return chain_search(&shape, profile, &tiling) ? tiling.cycles : NEVER;
    uint64_t cycles = chain_stage_alone(&shape, 0, profile);
    return cycles < NEVER ? cycles : NEVER;
}

// Weighs the run from `link` on; a convolution that is its own run is left alone.
static void weigh(link_t *link, const isa_profile_t *profile) {
    const link_t *end = link;
    if (link->take > 0)
        return;
    if (link->next)
        weigh(link->next, profile);
    link->best = UINT64_MAX;
    for (size_t n = 1; n <= CHAIN_MAX_STAGES && end; n++, end = end->next) {
        uint64_t cycles = cycles_of(link, n, profile);
        if (n > 1 && cycles == NEVER)
            continue; // even where single kernels do not fit either
        cycles += end->next ? end->next->best : 0;
        if (cycles >= link->best)
            continue;
        link->best = cycles;
        link->take = n;
    }
}

// The link whose convolution is the only user of the group's value.
static link_t *next_of(const fuse_t *f, const group_t *g, const map_t *links) {
    if (!g->tail || ir_count_uses(g->tail) != 1)
        return NULL;
    const ir_op_t *user = g->tail->first_use->user;
    group_t *next = map_get_ptr(&f->owner, user);
    if (!next || user->code != IR_conv || next->ops[0] != user || ir_operand(user, 0) != g->tail)
        return NULL;
    return map_get_ptr(links, next);
}

static void join(fuse_t *f, link_t *link) {
    link_t *last = link;
    for (size_t i = 1; i < link->take; i++)
        last = last->next;
    group_t *whole = last->group;
    ir_op_t **own = whole->ops;
    size_t n_own = whole->n_ops;
    whole->ops = NULL;
    whole->n_ops = whole->cap_ops = 0;
    whole->template_name = KERNEL_CHAIN;
    last->joined = true;
    for (const link_t *part = link; part != last; part = part->next) {
        for (size_t i = 0; i < part->group->n_ops; i++)
            fuse_group_add(f, whole, part->group->ops[i]);
        part->group->n_ops = 0;
    }
    for (size_t i = 0; i < n_own; i++)
        fuse_group_add(f, whole, own[i]);
}

void fuse_chains(fuse_t *f, const isa_profile_t *profile) {
    map_t links;
    map_init(&links, f->scratch);
    link_t *all = ARENA_ARRAY(f->scratch, link_t, f->n_groups);
    for (size_t i = f->n_groups; i-- > 0;) { // users come before what they use
        group_t *g = f->groups[i];
        chain_shape_t shape;
        all[i] = (link_t){.group = g};
        if (g->ops[0]->code != IR_conv || !read_links(&all[i], 1, &shape))
            continue;
        all[i].next = next_of(f, g, &links);
        map_put_ptr(&links, g, &all[i]);
    }
    for (size_t i = 0; i < f->n_groups; i++) {
        if (f->groups[i]->n_ops == 0 || all[i].joined || !all[i].next)
            continue;
        weigh(&all[i], profile);
        if (all[i].take > 1)
            join(f, &all[i]);
    }
}
