// SPDX-License-Identifier: Apache-2.0
#include "passes/tile_nest.h"

#include <assert.h>

uint32_t nest_add(nest_t *n, tv_t view, bool reduced) {
    assert(n->n_views < NEST_MAX_VIEWS && view.rank == n->rank);
    n->views[n->n_views] = view;
    n->reduced[n->n_views] = reduced;
    return n->n_views++;
}

static void swap_dims(nest_t *n, uint32_t a, uint32_t b) {
    const ir_expr_t *d = n->dims[a];
    n->dims[a] = n->dims[b];
    n->dims[b] = d;
    for (uint32_t v = 0; v < n->n_views; v++) {
        tv_t *view = &n->views[v];
        const ir_expr_t *dim = view->dims[a], *stride = view->strides[a];
        view->dims[a] = view->dims[b];
        view->strides[a] = view->strides[b];
        view->dims[b] = dim;
        view->strides[b] = stride;
    }
}

// Larger strides outside; only within the kept and within the reduced dims.
static void sort_dims(nest_t *n, uint32_t lead) {
    for (uint32_t i = 1; i < n->rank; i++)
        for (uint32_t d = i; d > 0; d--) {
            if (d == n->row)
                break;
            const tv_t *v = &n->views[lead];
            int64_t outer = tile_nominal(v->strides[d - 1]), inner = tile_nominal(v->strides[d]);
            if (outer >= inner || ir_expr_equals(n->dims[d - 1], 1))
                break;
            swap_dims(n, d - 1, d);
        }
}

static void remove_dim(nest_t *n, uint32_t d) {
    for (uint32_t i = d; i + 1 < n->rank; i++)
        n->dims[i] = n->dims[i + 1];
    for (uint32_t v = 0; v < n->n_views; v++)
        n->views[v] = tv_drop(n->views[v], d);
    n->rank--;
    if (d < n->row)
        n->row--;
}

static bool mergeable(const nest_t *n, uint32_t d) {
    ir_module_t *m = n->t->m;
    for (uint32_t v = 0; v < n->n_views; v++) {
        const tv_t *w = &n->views[v];
        if (n->reduced[v] && d > n->row)
            continue;
        if (!ir_expr_same(w->strides[d - 1], ir_mul(m, w->strides[d], n->dims[d])))
            return false;
    }
    return ir_mul(m, n->dims[d - 1], n->dims[d])->max <= INT32_MAX;
}

static void merge_dim(nest_t *n, uint32_t d) {
    const ir_expr_t *both = ir_mul(n->t->m, n->dims[d - 1], n->dims[d]);
    for (uint32_t v = 0; v < n->n_views; v++) {
        tv_t *w = &n->views[v];
        w->strides[d - 1] = w->strides[d];
        if (!(n->reduced[v] && d - 1 >= n->row))
            w->dims[d - 1] = both;
    }
    n->dims[d - 1] = both;
    remove_dim(n, d);
}

void nest_simplify(nest_t *n, uint32_t lead) {
    for (uint32_t d = n->rank; d-- > 0;)
        if (ir_expr_equals(n->dims[d], 1) && n->rank > 1 &&
            !(n->row < n->rank && n->rank - n->row == 1 && d == n->row))
            remove_dim(n, d);
    sort_dims(n, lead);
    for (uint32_t d = n->rank; d-- > 1;)
        if (d != n->row && mergeable(n, d))
            merge_dim(n, d);
    // A reduction needs a dim to loop over.
    if (n->row == 0 && n->row < n->rank) {
        const ir_expr_t *one = ir_const(n->t->m, 1), *zero = ir_const(n->t->m, 0);
        for (uint32_t d = n->rank; d > 0; d--)
            n->dims[d] = n->dims[d - 1];
        n->dims[0] = one;
        for (uint32_t v = 0; v < n->n_views; v++)
            n->views[v] = tv_insert(n->views[v], 0, one, zero);
        n->rank++;
        n->row++;
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Enough tiles for the cores, if that leaves them a useful size.
static void share_out(nest_t *n, int64_t whole) {
    int64_t cores = n->t->profile->cores ? n->t->profile->cores : 2, tiles = 1;
    for (uint32_t d = 0; d < n->p; d++)
        tiles *= tile_nominal(n->dims[d]);
    int64_t extent = tile_nominal(n->dims[n->p]);
    while (n->tile > 1 && tiles * ((extent + n->tile - 1) / n->tile) < cores &&
           n->tile * whole > 8192)
        n->tile = (n->tile + 1) / 2;
    if (n->tile > 16) // whole vectors
        n->tile = n->tile / 16 * 16;
}

void nest_choose(nest_t *n, int64_t limit) {
    int64_t whole = 1;
    uint32_t d = n->rank;
    if (n->row < n->rank) {
        for (; d > n->row && whole <= limit; d--)
            whole *= tile_bound(n->dims[d - 1], limit + 1);
        if (whole > limit) { // rows in chunks
            n->chunk = least(limit, 2048);
            whole = n->chunk;
            d = n->row;
        }
    }
    d--;
    while (d > 0 && n->rank - d < NEST_TILE_RANK &&
           whole * tile_bound(n->dims[d], limit + 1) <= limit) {
        whole *= tile_bound(n->dims[d], limit + 1);
        d--;
    }
    n->p = d;
    n->tile = least(limit / whole, tile_bound(n->dims[d], limit));
    n->tile = n->tile > 0 && n->rank - d <= NEST_TILE_RANK ? n->tile : 1;
    share_out(n, whole);
}

void nest_begin(nest_t *n) {
    ir_module_t *m = n->t->m;
    const ir_expr_t *tiles = ir_ceildiv(m, n->dims[n->p], ir_const(m, n->tile));
    const ir_expr_t *count = tiles;
    for (uint32_t d = 0; d < n->p; d++)
        count = ir_mul(m, count, n->dims[d]);
    const ir_expr_t *rest = tile_parfor(n->t, "t", count);
    n->index[n->p] = ir_mulc(m, n->p == 0 ? rest : ir_mod(m, rest, tiles), n->tile);
    rest = ir_floordiv(m, rest, tiles);
    for (uint32_t d = n->p; d-- > 0;) {
        n->index[d] = d == 0 ? rest : ir_mod(m, rest, n->dims[d]);
        rest = ir_floordiv(m, rest, n->dims[d]);
    }
    n->count = ir_const(m, 1);
    if (n->tile > 1)
        n->count = ir_min(m, ir_const(m, n->tile), ir_sub(m, n->dims[n->p], n->index[n->p]));
}

void nest_end(nest_t *n) { tile_end(n->t); }

// Run-time size of tile dim `d` (absolute number) of a full value.
static const ir_expr_t *tile_dim(const nest_t *n, uint32_t d) {
    if (d == n->p)
        return n->count;
    if (n->chunk && d + 1 == n->rank)
        return n->chunk_count;
    return n->dims[d];
}

tv_t nest_box(const nest_t *n, const tv_t *view, bool reduced) {
    ir_module_t *m = n->t->m;
    tv_t v = *view;
    v = tv_box(m, v, n->p, n->index[n->p], n->count);
    if (n->chunk && !reduced)
        v = tv_box(m, v, n->rank - 1, n->chunk_at, n->chunk_count);
    for (uint32_t d = 0; d < n->p; d++)
        v = tv_drop(tv_box(m, v, 0, n->index[d], ir_const(m, 1)), 0);
    return v;
}

// Order of the tile's dims in LM: as in the DRAM view, so that copies are whole runs.
static void memory_order(const nest_t *n, const tv_t *view, uint32_t rank, uint32_t *order) {
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t at = i;
        while (at > 0 && view &&
               tile_nominal(view->strides[n->p + order[at - 1]]) <
                   tile_nominal(view->strides[n->p + i])) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

static int64_t lm_dim(const nest_t *n, const tv_t *view, bool reduced, uint32_t d) {
    if ((reduced && d >= n->row) || (view && ir_expr_equals(view->strides[d], 0)))
        return 1;
    if (d == n->p)
        return n->tile;
    return n->chunk && d + 1 == n->rank ? n->chunk : n->dims[d]->max;
}

tv_t nest_lm(const nest_t *n, dtype_t elem, const tv_t *view, bool reduced) {
    ir_module_t *m = n->t->m;
    uint32_t rank = n->rank - n->p, order[TV_MAX_RANK];
    int64_t dims[TV_MAX_RANK] = {1};
    memory_order(n, view, rank, order);
    for (uint32_t i = 0; i < rank; i++)
        dims[i] = lm_dim(n, view, reduced, n->p + order[i]);
    tv_t packed = tile_lm(n->t, elem, rank, dims), lm = packed;
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t d = n->p + order[i];
        lm.strides[order[i]] = dims[i] == 1 ? ir_const(m, 0) : packed.strides[i];
        lm.dims[order[i]] = reduced && d >= n->row ? ir_const(m, 1) : tile_dim(n, d);
    }
    return lm;
}

tv_t nest_operand(const nest_t *n, tv_t lm, bool reduced) {
    if (!reduced)
        for (uint32_t i = 0; i < lm.rank; i++) {
            uint32_t d = n->p + i;
            if (ir_expr_equals(lm.dims[i], 1) && !ir_expr_equals(tile_dim(n, d), 1))
                lm.strides[i] = ir_const(n->t->m, 0);
            lm.dims[i] = tile_dim(n, d);
        }
    if (lm.rank > NEST_TILE_RANK) // nest_choose left one element of dim p
        lm = tv_drop(lm, 0);
    return tv_pad_rank(n->t->m, lm, NEST_TILE_RANK);
}

bool nest_is_invariant(const nest_t *n, const tv_t *view) {
    if (n->chunk && !ir_expr_equals(view->strides[n->rank - 1], 0))
        return false;
    for (uint32_t d = 0; d <= n->p; d++)
        if (!ir_expr_equals(view->strides[d], 0))
            return false;
    return true;
}
