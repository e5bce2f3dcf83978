// SPDX-License-Identifier: Apache-2.0
#include "passes/tile_view.h"

#include <assert.h>
#include <string.h>

tv_t tv_of(ir_module_t *m, ir_value_t *buffer) {
    const ir_type_t *t = buffer->type;
    tv_t v = {.buffer = buffer, .space = t->space, .elem = t->elem, .rank = t->rank};
    v.offset = ir_const(m, 0);
    for (uint32_t d = 0; d < t->rank; d++) {
        v.dims[d] = t->dims[d];
        v.strides[d] = t->strides[d];
    }
    return v;
}

tv_t tv_box(ir_module_t *m, tv_t v, uint32_t dim, const ir_expr_t *start, const ir_expr_t *count) {
    assert(dim < v.rank);
    v.offset = ir_add(m, v.offset, ir_mul(m, start, v.strides[dim]));
    v.dims[dim] = count;
    return v;
}

tv_t tv_step(ir_module_t *m, tv_t v, uint32_t dim, int64_t step, const ir_expr_t *count) {
    v.strides[dim] = ir_mulc(m, v.strides[dim], step);
    v.dims[dim] = count;
    return v;
}

tv_t tv_permute(tv_t v, const int64_t *perm) {
    tv_t out = v;
    for (uint32_t d = 0; d < v.rank; d++) {
        out.dims[d] = v.dims[perm[d]];
        out.strides[d] = v.strides[perm[d]];
    }
    return out;
}

tv_t tv_drop(tv_t v, uint32_t dim) {
    for (uint32_t d = dim; d + 1 < v.rank; d++) {
        v.dims[d] = v.dims[d + 1];
        v.strides[d] = v.strides[d + 1];
    }
    v.rank--;
    return v;
}

tv_t tv_insert(tv_t v, uint32_t at, const ir_expr_t *count, const ir_expr_t *stride) {
    assert(v.rank < TV_MAX_RANK && at <= v.rank);
    for (uint32_t d = v.rank; d > at; d--) {
        v.dims[d] = v.dims[d - 1];
        v.strides[d] = v.strides[d - 1];
    }
    v.dims[at] = count;
    v.strides[at] = stride;
    v.rank++;
    return v;
}

tv_t tv_split(ir_module_t *m, tv_t v, uint32_t dim, const ir_expr_t *inner) {
    const ir_expr_t *outer = ir_floordiv(m, v.dims[dim], inner);
    v = tv_insert(v, dim + 1, inner, v.strides[dim]);
    v.dims[dim] = outer;
    v.strides[dim] = ir_mul(m, v.strides[dim + 1], inner);
    return v;
}

tv_t tv_broadcast(ir_module_t *m, tv_t v, uint32_t rank, const ir_expr_t *const *dims) {
    while (v.rank < rank)
        v = tv_insert(v, 0, ir_const(m, 1), ir_const(m, 0));
    for (uint32_t d = 0; d < rank; d++) {
        if (ir_expr_same(v.dims[d], dims[d]))
            continue;
        if (ir_expr_equals(v.dims[d], 1))
            v.strides[d] = ir_const(m, 0);
        else if (v.dims[d]->min <= 1)
            v.strides[d] = ir_mul(m, v.strides[d], ir_ne(m, v.dims[d], ir_const(m, 1)));
        v.dims[d] = dims[d];
    }
    return v;
}

tv_t tv_pad_rank(ir_module_t *m, tv_t v, uint32_t rank) {
    while (v.rank < rank)
        v = tv_insert(v, 0, ir_const(m, 1), ir_const(m, 0));
    return v;
}

bool tv_is_row_major(ir_module_t *m, const tv_t *v) {
    const ir_expr_t *step = ir_const(m, 1);
    for (uint32_t d = v->rank; d-- > 0;) {
        if (!ir_expr_equals(v->dims[d], 1) && !ir_expr_same(v->strides[d], step))
            return false;
        step = ir_mul(m, step, v->dims[d]);
    }
    return true;
}

// Old dims [*o, o_end) and new dims [*n, n_end) with equal products, the smallest such runs.
static bool match_run(ir_module_t *m, const tv_t *v, uint32_t rank, const ir_expr_t *const *dims,
                      uint32_t *o_end, uint32_t *n_end) {
    const ir_expr_t *po = v->dims[(*o_end)++], *pn = dims[(*n_end)++];
    while (!ir_expr_same(po, pn)) {
        // Extend the side whose product is known to be smaller; when unknown, the one that the
        // other's factor could divide. Constants decide most cases.
        bool grow_old = po->max < pn->max || (po->max == pn->max && po->min < pn->min);
        if (grow_old ? *o_end < v->rank : *n_end < rank) {
            if (grow_old)
                po = ir_mul(m, po, v->dims[(*o_end)++]);
            else
                pn = ir_mul(m, pn, dims[(*n_end)++]);
        } else if (*o_end < v->rank) {
            po = ir_mul(m, po, v->dims[(*o_end)++]);
        } else if (*n_end < rank) {
            pn = ir_mul(m, pn, dims[(*n_end)++]);
        } else {
            return false;
        }
    }
    return true;
}

// The run of old dims is one dim with one stride (dims of 1 apart); stores it.
static bool merge_run(ir_module_t *m, const tv_t *v, uint32_t begin, uint32_t end,
                      const ir_expr_t **out_stride) {
    const ir_expr_t *next = NULL;
    *out_stride = ir_const(m, 1);
    for (uint32_t d = end; d-- > begin;) {
        if (ir_expr_equals(v->dims[d], 1))
            continue;
        if (next && !ir_expr_same(v->strides[d], next))
            return false;
        if (!next)
            *out_stride = v->strides[d];
        next = ir_mul(m, v->strides[d], v->dims[d]);
    }
    return true;
}

bool tv_reshape(ir_module_t *m, tv_t v, uint32_t rank, const ir_expr_t *const *dims, tv_t *out) {
    tv_t r = v;
    r.rank = rank;
    uint32_t o = 0, n = 0;
    while (o < v.rank || n < rank) {
        // Dims of 1 match nothing.
        if (n < rank && ir_expr_equals(dims[n], 1)) {
            r.dims[n] = dims[n];
            r.strides[n++] = ir_const(m, 0);
            continue;
        }
        if (o < v.rank && ir_expr_equals(v.dims[o], 1)) {
            o++;
            continue;
        }
        if (o == v.rank || n == rank)
            return false;
        uint32_t o_end = o, n_end = n;
        if (!match_run(m, &v, rank, dims, &o_end, &n_end))
            return false;
        const ir_expr_t *stride;
        if (!merge_run(m, &v, o, o_end, &stride))
            return false;
        for (uint32_t d = n_end; d-- > n;) {
            r.dims[d] = dims[d];
            r.strides[d] = stride;
            stride = ir_mul(m, stride, dims[d]);
        }
        o = o_end;
        n = n_end;
    }
    *out = r;
    return true;
}

ir_value_t *tv_emit(ir_builder_t *b, const tv_t *v) {
    const ir_type_t *type = ir_type_buffer(b->m, v->space, v->elem, v->rank, v->dims, v->strides);
    if (type == v->buffer->type && ir_expr_equals(v->offset, 0))
        return v->buffer;
    ir_op_t *op = ir_build(b, IR_view, 1, &(ir_value_t *){v->buffer}, 1, &type);
    ir_set_expr(b->m, op, "offset", v->offset);
    return ir_result(op);
}
