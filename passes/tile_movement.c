// SPDX-License-Identifier: Apache-2.0
// Tile template "movement": copies, padding, repetition, gathering and resizing. Most are one
// strided copy from DRAM to DRAM on the DMA-out queue, split so that no issue takes too long.
#include <math.h>
#include <string.h>

#include "passes/tile_nest_cost.h"

enum {
    COPY_MOST = 1 << 17,     // elements of one issue, before the cost function has its say
    COPY_ELEMENTS = 1 << 14, // of an issue whose cost is not asked for
};

// A nest over `dst`'s dims with the given views; simplified by memory order of dst.
static void open_nest(tile_t *t, nest_t *n, tv_t dst, const tv_t *src) {
    *n = (nest_t){.t = t, .rank = dst.rank, .row = dst.rank};
    memcpy(n->dims, dst.dims, sizeof n->dims);
    (void)nest_add(n, dst, false);
    if (src)
        (void)nest_add(n, *src, false);
}

// dst and src have the same dims.
static void copy(tile_t *t, tv_t dst, tv_t src) {
    nest_t n;
    if (dst.rank == 0) {
        dst = tv_insert(dst, 0, ir_const(t->m, 1), ir_const(t->m, 1));
        src = tv_insert(src, 0, ir_const(t->m, 1), ir_const(t->m, 1));
    }
    open_nest(t, &n, dst, &src);
    nest_simplify(&n, 0);
    nest_work_t work = {.is_output = {true, false}, .direct = true};
    t->cycles = nest_search(&n, &work, COPY_MOST);
    nest_begin(&n);
    (void)tile_dma_out(t, nest_box(&n, &n.views[0], false), nest_box(&n, &n.views[1], false));
    nest_end(&n);
    snprintf(t->tiling, sizeof t->tiling, "copies of %lld elements of dim %u of %u",
             (long long)n.tile, n.p, n.rank);
}

// --- Slices with negative steps ------------------------------------------------------------------

static void reverse_slice(tile_t *t, const ir_op_t *op) {
    tv_t src = tile_input(t, ir_operand(op, 0)), dst = tile_output(t, 0);
    const ir_attr_t *starts = ir_get(op, "starts");
    int64_t steps[IR_MAX_RANK];
    size_t n = ir_get_ints(op, "steps", IR_MAX_RANK, steps);
    for (uint32_t d = 0; d < src.rank; d++) {
        src = tv_box(t->m, src, d, starts ? starts->exprs[d] : ir_const(t->m, 0), dst.dims[d]);
        if (d < n)
            src = tv_step(t->m, src, d, steps[d], dst.dims[d]);
    }
    copy(t, dst, src);
}

// --- Padding and filling -------------------------------------------------------------------------

// Writes dst with src where dst's index - lo lies in src, else with `value`.
static status_t bordered_copy(tile_t *t, tv_t dst, tv_t src, const int64_t *lo, double value) {
    ir_module_t *m = t->m;
    nest_t n;
    if (dst.rank == 0)
        return tile_fail(t, STATUS_UNSUPPORTED, NULL, "padding of a scalar");
    tv_t like = src; // for the cost: a copy without its border
    memcpy(like.dims, dst.dims, sizeof like.dims);
    open_nest(t, &n, dst, &like);
    nest_work_t work = {.is_output = {true, false}, .direct = true};
    t->cycles = nest_search(&n, &work, COPY_MOST);
    nest_begin(&n);
    tv_t part = nest_box(&n, &dst, false);
    const ir_expr_t *pads[TV_MAX_RANK], *zero = ir_const(m, 0);
    const ir_expr_t *inside = ir_const(m, 1);
    for (uint32_t d = 0; d < n.rank; d++) {
        const ir_expr_t *at = d <= n.p ? n.index[d] : zero;
        const ir_expr_t *count = d < n.p ? ir_const(m, 1) : d == n.p ? n.count : dst.dims[d];
        const ir_expr_t *start = ir_addc(m, at, -lo[d]);
        const ir_expr_t *first = ir_min(m, ir_max(m, start, zero), src.dims[d]);
        const ir_expr_t *end = ir_max(m, ir_min(m, ir_add(m, start, count), src.dims[d]), first);
        const ir_expr_t *valid = ir_sub(m, end, first);
        if (d < n.p)
            inside = ir_mul(m, inside, valid);
        else
            pads[d - n.p] = ir_sub(m, first, start);
        src = tv_box(m, src, d, first, valid);
    }
    // Outer dims outside the box: nothing of the tile is inside.
    for (uint32_t d = 0; d < n.p; d++)
        src = tv_drop(src, 0);
    src.dims[0] = ir_mul(m, src.dims[0], inside);
    ir_value_t *operands[2] = {tv_emit(&t->b, &part), tv_emit(&t->b, &src)};
    ir_op_t *op =
        ir_build(&t->b, IR_dma_out, 2, operands, 1, (const ir_type_t *[]){ir_type_ticket(m)});
    ir_set_int(m, op, "n_buffers", 2);
    ir_set_exprs(m, op, "pad_lo", part.rank, pads);
    ir_set_float(m, op, "fill", value);
    nest_end(&n);
    return STATUS_OK;
}

static status_t pad(tile_t *t, const ir_op_t *op) {
    int64_t pads[2 * IR_MAX_RANK] = {0};
    tv_t src = tile_input(t, ir_operand(op, 0)), dst = tile_output(t, 0);
    size_t n = ir_get_ints(op, "pads", 2 * IR_MAX_RANK, pads);
    if (strcmp(ir_get_string(op, "mode", "constant"), "constant"))
        return tile_fail(t, STATUS_UNSUPPORTED, "use constant padding",
                         "padding mode '%s' is not supported yet", ir_get_string(op, "mode", ""));
    if (n != 2 * (size_t)src.rank)
        return tile_fail(t, STATUS_UNSUPPORTED, "make the pads constant",
                         "padding by amounts known only at run time");
    return bordered_copy(t, dst, src, pads, ir_get_float(op, "value", 0));
}

static status_t fill(tile_t *t, const ir_op_t *op) {
    // One stored element, repeated by strides of 0.
    const ir_blob_t *blob = ir_get(op, "blob")->blob;
    tv_t src = tile_weights(t, blob, 1, (const int64_t[]){1}), dst = tile_output(t, 0);
    src = tv_broadcast(t->m, src, dst.rank ? dst.rank : 1,
                       dst.rank ? dst.dims : (const ir_expr_t *[]){ir_const(t->m, 1)});
    copy(t, dst.rank ? dst : tv_insert(dst, 0, ir_const(t->m, 1), ir_const(t->m, 1)), src);
    return STATUS_OK;
}

// --- Repetition ----------------------------------------------------------------------------------

// Each dim d of the output is [repeats, d of the input].
static status_t repeat(tile_t *t, const ir_op_t *op) {
    tv_t src = tile_input(t, ir_operand(op, 0)), dst = tile_output(t, 0);
    if (2 * src.rank > TV_MAX_RANK)
        return tile_fail(t, STATUS_UNSUPPORTED, NULL, "repetition of more than six dims");
    for (uint32_t d = src.rank; d-- > 0;) {
        const ir_expr_t *inner = src.dims[d];
        dst = tv_split(t->m, dst, d, inner);
        src = tv_insert(src, d, dst.dims[d], ir_const(t->m, 0));
    }
    copy(t, dst, src);
    return STATUS_OK;
}

// --- Gather --------------------------------------------------------------------------------------

// dst [outer.., J, inner..] = src [outer.., A, inner..] at index [J].
typedef struct gather {
    tv_t src, index, dst;
    uint32_t axis;
    // Index dims that strides cannot merge with those after them: loops around each copy.
    uint32_t n_loops;
    const ir_expr_t *count[IR_MAX_RANK], *index_step[IR_MAX_RANK], *dst_step[IR_MAX_RANK];
} gather_t;

static bool merge_index_dims(tile_t *t, gather_t *g) {
    const ir_expr_t *count = ir_const(t->m, 1), *dims[TV_MAX_RANK];
    for (uint32_t d = 0; d < g->index.rank; d++)
        count = ir_mul(t->m, count, g->index.dims[d]);
    for (uint32_t d = 0; d < g->src.rank; d++)
        dims[d] = d == g->axis ? count : g->src.dims[d];
    tv_t index;
    if (!tv_reshape(t->m, g->index, 1, &count, &index) ||
        !tv_reshape(t->m, g->dst, g->src.rank, dims, &g->dst))
        return false;
    g->index = index;
    return true;
}

static bool read_gather(tile_t *t, const ir_op_t *op, gather_t *g) {
    *g = (gather_t){.src = tile_input(t, ir_operand(op, 0)),
                    .index = tile_input(t, ir_operand(op, 1)),
                    .dst = tile_output(t, 0)};
    int64_t axis = ir_get_int(op, "axis", 0);
    g->axis = (uint32_t)(axis < 0 ? axis + g->src.rank : axis);
    while (!merge_index_dims(t, g)) {
        if (g->index.rank == 0)
            return false;
        g->count[g->n_loops] = g->index.dims[0];
        g->index_step[g->n_loops] = g->index.strides[0];
        g->dst_step[g->n_loops++] = g->dst.strides[g->axis];
        g->index = tv_drop(g->index, 0);
        g->dst = tv_drop(g->dst, g->axis);
    }
    return true;
}

// The part of src that the tile's indices choose from, as the tile's dims, and its indexed dim.
static tv_t gather_source(tile_t *t, const gather_t *g, const nest_t *n, uint32_t *out_dim) {
    tv_t s = g->src;
    for (uint32_t d = 0; d <= n->p; d++)
        if (d != g->axis)
            s = tv_box(t->m, s, d, n->index[d], d == n->p ? n->count : ir_const(t->m, 1));
    const ir_expr_t *bound = s.dims[g->axis], *stride = s.strides[g->axis];
    for (uint32_t d = 0; d < n->p; d++)
        s = tv_drop(s, 0);
    *out_dim = g->axis < n->p ? 0 : g->axis - n->p;
    // Bring the indexed dim into the tile when it was a loop.
    return g->axis < n->p ? tv_insert(s, 0, bound, stride) : s;
}

static void gather_tile(tile_t *t, const gather_t *g, const nest_t *n) {
    ir_module_t *m = t->m;
    tv_t dst = nest_box(n, &g->dst, false), index = g->index;
    uint32_t dim;
    tv_t src = gather_source(t, g, n, &dim);
    const ir_expr_t *one = ir_const(m, 1);
    if (g->axis <= n->p)
        index = tv_box(m, index, 0, n->index[g->axis], g->axis == n->p ? n->count : one);
    if (g->axis < n->p)
        dst = tv_insert(dst, 0, one, ir_const(m, 0));
    // The engine reads index lists from LM.
    int64_t most = g->axis < n->p ? 1 : g->axis == n->p ? n->tile : n->dims[g->axis]->max;
    for (uint32_t i = 0; i < g->n_loops; i++) {
        const ir_expr_t *at = tile_for(t, "g", ir_const(m, 0), g->count[i], 1);
        index.offset = ir_add(m, index.offset, ir_mul(m, at, g->index_step[i]));
        dst.offset = ir_add(m, dst.offset, ir_mul(m, at, g->dst_step[i]));
    }
    tv_t list = tile_lm(t, index.elem, 1, &most);
    list.dims[0] = index.dims[0];
    (void)tile_dma_in(t, list, index, false);
    ir_value_t *operands[3] = {tv_emit(&t->b, &dst), tv_emit(&t->b, &src), tv_emit(&t->b, &list)};
    ir_op_t *dma =
        ir_build(&t->b, IR_dma_out, 3, operands, 1, (const ir_type_t *[]){ir_type_ticket(m)});
    ir_set_int(m, dma, "n_buffers", 3);
    ir_set_int(m, dma, "idx_dim", dim);
    ir_set_int(m, dma, "wrap", 1);
    for (uint32_t i = 0; i < g->n_loops; i++)
        tile_end(t);
}

static status_t gather(tile_t *t, const ir_op_t *op) {
    gather_t g;
    if (!read_gather(t, op, &g))
        return tile_fail(t, STATUS_UNSUPPORTED, NULL, "gather into a strided view");
    nest_t n = {.t = t, .rank = g.src.rank, .row = g.src.rank};
    memcpy(n.dims, g.dst.dims, sizeof *n.dims * n.rank);
    (void)nest_add(&n, g.dst, false);
    tv_t like = g.src; // for the cost: neighbours along the axis are apart
    memcpy(like.dims, g.dst.dims, sizeof like.dims);
    like.strides[g.axis] = ir_const(t->m, COPY_MOST);
    (void)nest_add(&n, like, false);
    // At most four dims: the tile and what is inside it.
    nest_work_t work = {.is_output = {true, false}, .direct = true};
    t->cycles = nest_search(&n, &work, COPY_ELEMENTS);
    nest_begin(&n);
    gather_tile(t, &g, &n);
    nest_end(&n);
    snprintf(t->tiling, sizeof t->tiling, "gather %lld of dim %u of %u", (long long)n.tile, n.p,
             n.rank);
    return STATUS_OK;
}

// --- Resize --------------------------------------------------------------------------------------

typedef struct axis_map {
    double scale;
    int64_t in, out;
} axis_map_t;

static double source_position(const ir_op_t *op, const axis_map_t *a, int64_t i) {
    const char *mode = ir_get_string(op, "coordinate", "half_pixel");
    if (!strcmp(mode, "asymmetric"))
        return (double)i / a->scale;
    if (!strcmp(mode, "align_corners"))
        return a->out > 1 ? (double)i * (double)(a->in - 1) / (double)(a->out - 1) : 0;
    if (!strcmp(mode, "pytorch_half_pixel") && a->out <= 1)
        return 0;
    if (!strcmp(mode, "half_pixel_symmetric")) {
        double adjustment = (double)a->out / (a->scale * (double)a->in);
        double offset = (double)a->in / 2 * (1 - adjustment);
        return offset + ((double)i + 0.5) / a->scale - 0.5;
    }
    return ((double)i + 0.5) / a->scale - 0.5;
}

static int64_t nearest_index(const ir_op_t *op, const axis_map_t *a, int64_t i) {
    const char *mode = ir_get_string(op, "nearest", "round_prefer_floor");
    double x = source_position(op, a, i), r;
    if (!strcmp(mode, "floor"))
        r = floor(x);
    else if (!strcmp(mode, "ceil"))
        r = ceil(x);
    else if (!strcmp(mode, "round_prefer_ceil"))
        r = floor(x + 0.5);
    else
        r = ceil(x - 0.5);
    int64_t k = (int64_t)r;
    return k < 0 ? 0 : k >= a->in ? a->in - 1 : k;
}

// Every output index reads input index i / factor.
static bool replicates(const ir_op_t *op, const axis_map_t *a, int64_t *out_factor) {
    if (a->in == 0 || a->out % a->in != 0)
        return false;
    *out_factor = a->out / a->in;
    for (int64_t i = 0; i < a->out; i++)
        if (nearest_index(op, a, i) != i / *out_factor)
            return false;
    return true;
}

static bool axis_maps(const ir_op_t *op, const tv_t *src, const tv_t *dst, axis_map_t *maps) {
    const ir_attr_t *scales = ir_get(op, "scales");
    for (uint32_t d = 0; d < src->rank; d++) {
        if (!ir_expr_is_const(src->dims[d]) || !ir_expr_is_const(dst->dims[d])) {
            if (!ir_expr_same(src->dims[d], dst->dims[d]))
                return false;
            maps[d] = (axis_map_t){1, 1, 1};
            continue;
        }
        maps[d] = (axis_map_t){.in = src->dims[d]->value, .out = dst->dims[d]->value};
        maps[d].scale = scales && scales->kind == IR_ATTR_FLOATS && d < scales->n
                            ? scales->floats[d]
                            : (double)maps[d].out / (double)(maps[d].in ? maps[d].in : 1);
    }
    return true;
}

// Nearest with whole factors: the output is the input read with strides of 0.
static bool resize_by_strides(tile_t *t, const ir_op_t *op, tv_t dst, tv_t src,
                              const axis_map_t *maps) {
    int64_t factors[IR_MAX_RANK];
    for (uint32_t d = 0; d < src.rank; d++)
        if (maps[d].in == maps[d].out)
            factors[d] = 1;
        else if (!replicates(op, &maps[d], &factors[d]))
            return false;
    for (uint32_t d = src.rank; d-- > 0;) {
        if (factors[d] == 1)
            continue;
        dst = tv_split(t->m, dst, d, ir_const(t->m, factors[d]));
        src = tv_insert(src, d + 1, ir_const(t->m, factors[d]), ir_const(t->m, 0));
    }
    copy(t, dst, src);
    return true;
}

// Source positions of one axis: two neighbours and the weight of the second.
static void axis_tables(tile_t *t, const ir_op_t *op, const axis_map_t *a, bool linear,
                        tv_t out[3]) {
    size_t n = (size_t)a->out;
    int32_t *lo = ARENA_ARRAY(t->pc->scratch, int32_t, n),
            *hi = ARENA_ARRAY(t->pc->scratch, int32_t, n);
    float *weight = ARENA_ARRAY(t->pc->scratch, float, n);
    for (int64_t i = 0; i < a->out; i++) {
        double x = source_position(op, a, i);
        x = x < 0 ? 0 : x > (double)(a->in - 1) ? (double)(a->in - 1) : x;
        lo[i] = linear ? (int32_t)floor(x) : (int32_t)nearest_index(op, a, i);
        hi[i] = lo[i] + 1 < a->in ? lo[i] + 1 : lo[i];
        weight[i] = (float)(x - floor(x));
    }
    out[0] = tile_weights(t, ir_blob_copy(t->m, DTYPE_I32, lo, n * 4), 1, &a->out);
    if (!linear)
        return;
    out[1] = tile_weights(t, ir_blob_copy(t->m, DTYPE_I32, hi, n * 4), 1, &a->out);
    out[2] = tile_weights(t, ir_blob_copy(t->m, DTYPE_F32, weight, n * 4), 1, &a->out);
}

static tv_t load_table(tile_t *t, tv_t table, const ir_expr_t *at, const ir_expr_t *count,
                       int64_t most) {
    tv_t lm = tile_lm(t, table.elem, 1, &most);
    lm.dims[0] = count;
    (void)tile_dma_in(t, lm, tv_box(t->m, table, 0, at, count), false);
    return lm;
}

static void gather_rows(tile_t *t, tv_t dst, tv_t src, tv_t index) {
    ir_value_t *operands[3] = {tv_emit(&t->b, &dst), tv_emit(&t->b, &src), tv_emit(&t->b, &index)};
    ir_op_t *op =
        ir_build(&t->b, IR_dma_in, 3, operands, 1, (const ir_type_t *[]){ir_type_ticket(t->m)});
    ir_set_int(t->m, op, "n_buffers", 3);
    ir_set_int(t->m, op, "idx_dim", 0);
}

static tv_t as4(tile_t *t, tv_t v) { return tv_pad_rank(t->m, v, 4); }

static void gather_columns(tile_t *t, tv_t dst, tv_t src, tv_t index, int64_t bound) {
    tv_t views[3] = {as4(t, dst), as4(t, src), index};
    ir_op_t *op = tile_vec(t, "gather", NULL, "d,a,b", 3, views);
    ir_set_int(t->m, op, "axis", 2);
    ir_set_expr(t->m, op, "idx_bound", ir_const(t->m, bound));
}

// dst = lo + (hi - lo) * weight, weight along dim `along` of [rows, columns, channels].
static void blend(tile_t *t, tv_t dst, tv_t lo, tv_t hi, tv_t weight, uint32_t along) {
    tv_t w = dst;
    w.buffer = weight.buffer;
    w.offset = weight.offset;
    w.elem = weight.elem;
    for (uint32_t d = 0; d < 3; d++)
        w.strides[d] = ir_const(t->m, d == along ? 1 : 0);
    tv_t views[4] = {as4(t, dst), as4(t, lo), as4(t, hi), as4(t, w)};
    (void)tile_vec(t, "ternary", "lerp", "d,a,b,c", 4, views);
}

// One image at a time: rows by gathering DMA, columns within LM; [N, C, H, W] as [N, H, W, C].
typedef struct image_resize {
    tv_t src, dst;
    tv_t rows[3], columns[3]; // as axis_tables() says
    int64_t in_w, out_w, th, tc;
    int n_neighbours; // 2: linear
} image_resize_t;

// Cycles that an element of the view costs a copy in DRAM, at most.
static int64_t element_cycles(const tile_t *t, const tv_t *v) {
    const isa_profile_t *p = t->profile;
    bool scattered = !ir_expr_equals(v->strides[v->rank - 1], 1);
    int64_t cycles = p->dma_burst_bytes / p->dram_bytes_per_cycle;
    return scattered && cycles > 1 ? cycles : 1;
}

// Rows and channels of a tile, so that it fits LM and no issue takes too long.
static bool choose_resize_tile(tile_t *t, image_resize_t *r) {
    int64_t in = element_cycles(t, &r->src), out = element_cycles(t, &r->dst);
    int64_t cycles = r->in_w * in > r->out_w * out ? r->in_w * in : r->out_w * out;
    int64_t row_bytes = (r->in_w + r->out_w) * (r->n_neighbours > 1 ? 3 : 1) * 4;
    r->tc = tile_bound(r->src.dims[3], 64);
    r->tc = r->tc > 0 ? r->tc : 1;
    for (;; r->tc = (r->tc + 1) / 2) {
        int64_t fitting = t->profile->lm_bytes / 3 / (row_bytes * r->tc);
        int64_t quick = XA_ISSUE_MAX_CYCLES / 2 / (cycles * r->tc);
        r->th = fitting < quick ? fitting : quick;
        if (r->th > 0 || r->tc == 1)
            break;
    }
    int64_t most = tile_bound(r->dst.dims[1], 64);
    r->th = r->th > most ? most : r->th;
    return r->th > 0;
}

static void resize_tile(tile_t *t, const image_resize_t *r, tv_t d, tv_t s, const ir_expr_t *h0) {
    const ir_expr_t *zero = ir_const(t->m, 0), *width = ir_const(t->m, r->out_w);
    tv_t in[2], wide[2];
    for (int k = 0; k < r->n_neighbours; k++) {
        tv_t index = load_table(t, r->rows[k], h0, d.dims[0], r->th);
        in[k] = tile_lm(t, s.elem, 3, (const int64_t[]){r->th, r->in_w, r->tc});
        in[k].dims[0] = d.dims[0];
        in[k].dims[2] = d.dims[2];
        gather_rows(t, in[k], s, index);
    }
    if (r->n_neighbours > 1)
        blend(t, in[0], in[0], in[1], load_table(t, r->rows[2], h0, d.dims[0], r->th), 0);
    for (int k = 0; k < r->n_neighbours; k++) {
        tv_t index = load_table(t, r->columns[k], zero, width, r->out_w);
        wide[k] = tile_lm(t, s.elem, 3, (const int64_t[]){r->th, r->out_w, r->tc});
        wide[k].dims[0] = d.dims[0];
        wide[k].dims[2] = d.dims[2];
        gather_columns(t, wide[k], in[0], index, r->in_w);
    }
    if (r->n_neighbours > 1)
        blend(t, wide[0], wide[0], wide[1], load_table(t, r->columns[2], zero, width, r->out_w), 1);
    (void)tile_dma_out(t, d, wide[0]);
}

static status_t resize_image(tile_t *t, const ir_op_t *op, tv_t dst, tv_t src,
                             const axis_map_t *maps, bool linear) {
    ir_module_t *m = t->m;
    static const int64_t last[4] = {0, 2, 3, 1};
    image_resize_t r = {.src = tv_permute(src, last),
                        .dst = tv_permute(dst, last),
                        .in_w = maps[3].in,
                        .out_w = maps[3].out,
                        .n_neighbours = linear ? 2 : 1};
    axis_tables(t, op, &maps[2], linear, r.rows);
    axis_tables(t, op, &maps[3], linear, r.columns);
    if (!choose_resize_tile(t, &r))
        return tile_fail(t, STATUS_LIMIT, "use a profile with more local memory",
                         "a row of a resized image does not fit local memory");
    snprintf(t->tiling, sizeof t->tiling, "resize tile rows %lld c %lld", (long long)r.th,
             (long long)r.tc);
    const ir_expr_t *n_h = ir_ceildiv(m, r.dst.dims[1], ir_const(m, r.th));
    const ir_expr_t *n_c = ir_ceildiv(m, r.dst.dims[3], ir_const(m, r.tc));
    const ir_expr_t *i = tile_parfor(t, "t", ir_mul(m, r.dst.dims[0], ir_mul(m, n_h, n_c)));
    const ir_expr_t *c0 = ir_mulc(m, ir_mod(m, i, n_c), r.tc);
    const ir_expr_t *rest = ir_floordiv(m, i, n_c), *one = ir_const(m, 1);
    const ir_expr_t *h0 = ir_mulc(m, ir_mod(m, rest, n_h), r.th);
    const ir_expr_t *image = ir_floordiv(m, rest, n_h);
    const ir_expr_t *nh = ir_min(m, ir_const(m, r.th), ir_sub(m, r.dst.dims[1], h0));
    const ir_expr_t *nc = ir_min(m, ir_const(m, r.tc), ir_sub(m, r.dst.dims[3], c0));
    tv_t s = tv_drop(tv_box(m, r.src, 0, image, one), 0);
    tv_t d = tv_drop(tv_box(m, r.dst, 0, image, one), 0);
    resize_tile(t, &r, tv_box(m, tv_box(m, d, 0, h0, nh), 2, c0, nc), tv_box(m, s, 2, c0, nc), h0);
    tile_end(t);
    return STATUS_OK;
}

static status_t resize(tile_t *t, const ir_op_t *op) {
    tv_t src = tile_input(t, ir_operand(op, 0)), dst = tile_output(t, 0);
    axis_map_t maps[IR_MAX_RANK];
    const char *mode = ir_get_string(op, "mode", "nearest");
    if (!axis_maps(op, &src, &dst, maps))
        return tile_fail(t, STATUS_UNSUPPORTED, "give the image's size with --dim",
                         "resizing of dims known only at run time");
    bool nearest = !strcmp(mode, "nearest"), linear = !strcmp(mode, "linear");
    if (nearest && resize_by_strides(t, op, dst, src, maps))
        return STATUS_OK;
    bool image = src.rank == 4 && maps[0].in == maps[0].out && maps[1].in == maps[1].out;
    if ((!nearest && !linear) || !image || ir_get_int(op, "antialias", 0) ||
        !strcmp(ir_get_string(op, "coordinate", ""), "tf_crop_and_resize"))
        return tile_fail(t, STATUS_UNSUPPORTED, NULL,
                         "resize mode '%s' of this form is not supported yet", mode);
    return resize_image(t, op, dst, src, maps, linear);
}

// --- Values computed from dims -------------------------------------------------------------------

static void from_dims(tile_t *t, const ir_op_t *op) {
    const ir_attr_t *values = ir_get(op, "values");
    tv_t dst = tile_output(t, 0);
    for (size_t i = 0; i < values->n; i++) {
        tv_t lm = tile_lm(t, DTYPE_I64, 1, (const int64_t[]){1});
        tv_t view = tv_pad_rank(t->m, lm, 4);
        ir_op_t *iota = tile_vec(t, "iota", NULL, "d", 1, &view);
        ir_set_expr(t->m, iota, "imm0", values->exprs[i]);
        tv_t one = dst;
        int64_t rest = (int64_t)i; // row-major index of the element
        for (uint32_t d = dst.rank; d-- > 0;) {
            int64_t size = dst.dims[d]->value;
            one = tv_box(t->m, one, d, ir_const(t->m, rest % size), ir_const(t->m, 1));
            rest /= size;
        }
        one = tv_pad_rank(t->m, one, 1);
        while (one.rank > 1)
            one = tv_drop(one, 0);
        (void)tile_dma_out(t, one, lm);
    }
}

static status_t range(tile_t *t, const ir_op_t *op) {
    const ir_expr_t *start = ir_get_expr(op, "start"), *delta = ir_get_expr(op, "delta");
    tv_t dst = tile_output(t, 0);
    if (!start || !dtype_is_int(dst.elem))
        return tile_fail(t, STATUS_UNSUPPORTED, "make its bounds constant",
                         "a range whose bounds are computed at run time");
    nest_t n;
    open_nest(t, &n, dst, NULL);
    nest_choose(&n, COPY_ELEMENTS);
    nest_begin(&n);
    tv_t lm = nest_lm(&n, dst.elem, NULL, false), view = nest_operand(&n, lm, false);
    ir_op_t *iota = tile_vec(t, "iota", NULL, "d", 1, &view);
    ir_set_int(t->m, iota, "axis", 3);
    ir_set_expr(t->m, iota, "imm0", ir_add(t->m, start, ir_mul(t->m, delta, n.index[0])));
    ir_set_expr(t->m, iota, "imm1", delta);
    (void)tile_dma_out(t, nest_box(&n, &dst, false), lm);
    nest_end(&n);
    return STATUS_OK;
}

status_t tile_movement(tile_t *t) {
    const ir_op_t *op = t->graph->first;
    switch (op->code) {
    case IR_identity:
        copy(t, tile_output(t, 0), tile_input(t, ir_operand(op, 0)));
        return STATUS_OK;
    case IR_slice:
        reverse_slice(t, op);
        return STATUS_OK;
    case IR_pad:
        return pad(t, op);
    case IR_fill:
        return fill(t, op);
    case IR_tile:
        return repeat(t, op);
    case IR_gather:
        return gather(t, op);
    case IR_resize:
        return resize(t, op);
    case IR_range:
        return range(t, op);
    case IR_from_dims: {
        // One core is enough.
        const ir_expr_t *one = ir_const(t->m, 1);
        (void)tile_parfor(t, "t", one);
        from_dims(t, op);
        tile_end(t);
        return STATUS_OK;
    }
    default:
        return tile_fail(t, STATUS_UNSUPPORTED, NULL, "'%s' is not supported on the card yet",
                         ir_op_info(op->code)->name);
    }
}

status_t tile_devlib(tile_t *t) {
    return tile_fail(t, STATUS_UNSUPPORTED, NULL, "'%s' is not supported on the card yet",
                     ir_op_info(t->graph->first->code)->name);
}
