// SPDX-License-Identifier: Apache-2.0
// The vector unit of `ref`: reductions and what runs along one axis.
#include <stddef.h>

#include "driver/sim/engine_math.h"
#include "driver/sim/engine_ref.h"
#include "support/numeric.h"

#define OFFSET(field) offsetof(xa_vec_desc_t, field)

static double value_at(sim_kind_t kind, const sim_row_t *row, uint32_t j) {
    return kind == SIM_KIND_F32 ? (double)row->f[j] : row->d[j];
}

// --- Reductions by zero strides ------------------------------------------------------------------

sim_order_t sim_order_reduce(const uint32_t count[4], const int32_t stride[4]) {
    sim_order_t order;
    unsigned n = 0;
    for (unsigned dim = 0; dim < 4; dim++) // kept ones outside
        if (stride[dim] != 0 && count[dim] > 1)
            order.dim[n++] = dim;
    for (unsigned dim = 0; dim < 4; dim++) // those of one element do not matter
        if (count[dim] <= 1)
            order.dim[n++] = dim;
    for (unsigned dim = 0; dim < 4; dim++)
        if (stride[dim] == 0 && count[dim] > 1)
            order.dim[n++] = dim;
    return order;
}

static void reduce_begin(sim_reduce_t *reduce, sim_row_ref_t into) {
    bool is_int = reduce->kind == SIM_KIND_INT;
    if (!reduce->accumulate) {
        reduce->f = sim_identity_f64(reduce->red);
        reduce->i = sim_identity_int(reduce->red, reduce->is_unsigned);
    } else if (is_int) {
        reduce->i = num_load_i64(into.type, into.at, into.sub);
    } else {
        reduce->f = num_load_f64(into.type, into.at, into.sub);
    }
}

static void reduce_end(const sim_reduce_t *reduce, sim_row_ref_t into) {
    if (reduce->kind == SIM_KIND_INT)
        num_convert(into.type, into.at, into.sub, reduce->is_unsigned ? DTYPE_U64 : DTYPE_I64,
                    &reduce->i, 0, reduce->mode);
    else
        num_store_f64(into.type, into.at, into.sub, reduce->f, reduce->mode);
}

static void reduce_take(sim_reduce_t *reduce, const sim_row_t *values, uint32_t j) {
    if (reduce->kind == SIM_KIND_INT)
        reduce->i = sim_combine_int(reduce->red, reduce->is_unsigned, reduce->i, values->i[j]);
    else
        reduce->f = sim_combine_f64(reduce->red, reduce->f, value_at(reduce->kind, values, j));
}

void sim_reduce_piece(sim_reduce_t *reduce, const sim_vec_t *vec, const uint32_t at[4],
                      unsigned dim, uint32_t start, uint32_t n, const sim_row_t *values) {
    const uint32_t *count = vec->desc->count;
    sim_row_ref_t row = sim_vec_row(reduce->into, at, dim, start);
    if (reduce->stride[dim] != 0 || count[dim] == 1) { // nothing inside: each element by itself
        bool is_first = true, is_last = true;
        for (unsigned i = 0; i < 4; i++) {
            if (i == dim || reduce->stride[i] != 0)
                continue;
            is_first = is_first && at[i] == 0;
            is_last = is_last && at[i] + 1 == count[i];
        }
        for (uint32_t j = 0; j < n; j++) {
            if (is_first)
                reduce_begin(reduce, sim_row_skip(row, j));
            reduce_take(reduce, values, j);
            if (is_last)
                reduce_end(reduce, sim_row_skip(row, j));
        }
        return;
    }
    bool is_first = start == 0, is_last = start + n == count[dim];
    for (unsigned i = 0; i < 4; i++) {
        if (i == dim || reduce->stride[i] != 0)
            continue;
        is_first = is_first && at[i] == 0;
        is_last = is_last && at[i] + 1 == count[i];
    }
    if (is_first)
        reduce_begin(reduce, row);
    for (uint32_t j = 0; j < n; j++)
        reduce_take(reduce, values, j);
    if (is_last)
        reduce_end(reduce, row);
}

static bool reduce_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                         uint32_t start, uint32_t n) {
    sim_row_t row;
    sim_row_load(vec->kind, sim_vec_row(&vec->a, at, dim, start), n, &row);
    sim_reduce_piece(state, vec, at, dim, start, n, &row);
    return true;
}

static bool red_ok(const sim_vec_t *vec) {
    return vec->desc->op < XA_RED_COUNT ||
           sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(op));
}

static bool operand_d(sim_vec_t *vec, const sim_extent_t *extent) {
    const xa_vec_desc_t *desc = vec->desc;
    return sim_vec_operand(vec, vec->rs1, desc->d_type, OFFSET(d_type), desc->d_stride, extent,
                           ISA_ACCESS_WRITE, &vec->d);
}

static bool operand_a(sim_vec_t *vec, const sim_extent_t *extent) {
    const xa_vec_desc_t *desc = vec->desc;
    return sim_vec_operand(vec, vec->rs2, desc->a_type, OFFSET(a_type), desc->a_stride, extent,
                           ISA_ACCESS_READ, &vec->a);
}

static void set_kind_da(sim_vec_t *vec) {
    vec->kind = sim_kind_of(vec->desc->d_type, vec->desc->a_type, 0, 0);
    vec->is_unsigned = vec->desc->a_type == DTYPE_U64;
}

bool sim_ref_reduce(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t extent = sim_extent_of(desc);
    set_kind_da(vec);
    if (!red_ok(vec) || !operand_d(vec, &extent) || !operand_a(vec, &extent))
        return false;
    sim_reduce_t reduce = {.into = &vec->d,
                           .red = desc->op,
                           .kind = vec->kind,
                           .is_unsigned = vec->is_unsigned,
                           .accumulate = desc->flags & XA_vec_REDACC,
                           .stride = desc->d_stride,
                           .mode = vec->mode};
    return sim_vec_pieces(vec, sim_order_reduce(desc->count, desc->d_stride), reduce_piece,
                          &reduce);
}

// --- Largest or smallest along an axis -----------------------------------------------------------

typedef struct arg_state {
    double f;
    int64_t i;
    uint32_t index;
} arg_state_t;

// Whether a value takes the place of the best so far. NaN is beyond all.
static bool takes_float(double x, double best, bool smallest, bool last) {
    if (best != best || x != x)
        return x != x && (best == best || last);
    return x == best ? last : smallest ? x < best : x > best;
}

static bool takes_int(const sim_vec_t *vec, int64_t x, int64_t best, bool smallest, bool last) {
    if (x == best)
        return last;
    bool less = vec->is_unsigned ? (uint64_t)x < (uint64_t)best : x < best;
    return smallest ? less : !less;
}

static bool argred_piece(const sim_vec_t *vec, void *state_, const uint32_t at[4], unsigned dim,
                         uint32_t start, uint32_t n) {
    arg_state_t *state = state_;
    bool smallest = vec->desc->flags & XA_vec_MIN, last = vec->desc->flags & XA_vec_LAST;
    sim_row_t row;
    sim_row_load(vec->kind, sim_vec_row(&vec->a, at, dim, start), n, &row);
    for (uint32_t j = 0; j < n; j++) {
        bool is_int = vec->kind == SIM_KIND_INT, takes = start + j == 0;
        double x = is_int ? 0 : value_at(vec->kind, &row, j);
        if (!takes)
            takes = is_int ? takes_int(vec, row.i[j], state->i, smallest, last)
                           : takes_float(x, state->f, smallest, last);
        if (!takes)
            continue;
        state->index = start + j;
        state->f = x;
        state->i = is_int ? row.i[j] : 0;
    }
    if (start + n == vec->desc->count[dim]) {
        int64_t index = (int64_t)((uint64_t)vec->desc->imm0 + state->index);
        sim_row_ref_t d = sim_vec_row(&vec->d, at, dim, 0);
        num_store_i64(d.type, d.at, d.sub, index, vec->mode);
    }
    return true;
}

bool sim_ref_argred(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t extent = sim_extent_of(desc), into = extent;
    arg_state_t state = {0};
    vec->kind = sim_kind_of(desc->a_type, 0, 0, 0);
    vec->is_unsigned = desc->a_type == DTYPE_U64;
    if (into.count[desc->axis] > 1)
        into.count[desc->axis] = 1;
    return operand_d(vec, &into) && operand_a(vec, &extent) &&
           sim_vec_pieces(vec, sim_order_axis_last(desc->axis), argred_piece, &state);
}

// --- Scan ----------------------------------------------------------------------------------------

typedef struct scan_state {
    double f;
    int64_t i;
} scan_state_t;

static void scan_row(const sim_vec_t *vec, scan_state_t *state, uint32_t n, sim_row_t *row) {
    bool exclusive = vec->desc->flags & XA_vec_EXCLUSIVE;
    unsigned red = vec->desc->op;
    for (uint32_t j = 0; j < n; j++) {
        scan_state_t before = *state;
        if (vec->kind == SIM_KIND_INT) {
            state->i = sim_combine_int(red, vec->is_unsigned, state->i, row->i[j]);
            row->i[j] = exclusive ? before.i : state->i;
            continue;
        }
        state->f = sim_combine_f64(red, state->f, value_at(vec->kind, row, j));
        double out = exclusive ? before.f : state->f;
        if (vec->kind == SIM_KIND_F32)
            row->f[j] = (float)out;
        else
            row->d[j] = out;
    }
}

static sim_row_ref_t reversed(sim_row_ref_t row) {
    row.step = -row.step;
    row.sub_step = (uint64_t)0 - row.sub_step; // counts down, modulo 2^64
    return row;
}

static bool scan_piece(const sim_vec_t *vec, void *state_, const uint32_t at[4], unsigned dim,
                       uint32_t start, uint32_t n) {
    scan_state_t *state = state_;
    bool reverse = vec->desc->flags & XA_vec_REVERSE;
    uint32_t first = reverse ? vec->desc->count[dim] - 1 - start : start;
    sim_row_ref_t a = sim_vec_row(&vec->a, at, dim, first);
    sim_row_ref_t d = sim_vec_row(&vec->d, at, dim, first);
    sim_row_t row;
    if (start == 0) {
        state->f = sim_identity_f64(vec->desc->op);
        state->i = sim_identity_int(vec->desc->op, vec->is_unsigned);
    }
    sim_row_load(vec->kind, reverse ? reversed(a) : a, n, &row);
    scan_row(vec, state, n, &row);
    sim_row_store(vec->kind, reverse ? reversed(d) : d, n, &row, vec->is_unsigned, vec->mode);
    return true;
}

bool sim_ref_scan(sim_vec_t *vec) {
    sim_extent_t extent = sim_extent_of(vec->desc);
    scan_state_t state = {0};
    set_kind_da(vec);
    return red_ok(vec) && operand_d(vec, &extent) && operand_a(vec, &extent) &&
           sim_vec_pieces(vec, sim_order_axis_last(vec->desc->axis), scan_piece, &state);
}

// --- Gather and scatter --------------------------------------------------------------------------

static bool index_list_ok(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    bool is_index = desc->b_type == DTYPE_I32 || desc->b_type == DTYPE_I64;
    sim_extent_t list = {.count = {1, 1, 1, desc->count[desc->axis]}, .window = {1, 1}};
    const int32_t stride[4] = {0, 0, 0, (int32_t)dtype_bytes((dtype_t)desc->b_type)};
    if (!is_index)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(b_type));
    return sim_vec_operand(vec, vec->rs3, desc->b_type, OFFSET(b_type), stride, &list,
                           ISA_ACCESS_READ, &vec->b);
}

static bool index_at(const sim_vec_t *vec, uint32_t i, uint32_t *out_index) {
    const xa_vec_desc_t *desc = vec->desc;
    int64_t index = num_load_i64(vec->b.type, vec->b.base, i);
    int64_t wrapped = index < 0 && desc->flags & XA_vec_WRAP ? index + desc->idx_bound : index;
    if (wrapped < 0 || wrapped >= desc->idx_bound) {
        *vec->fault = (sim_fault_t){.cause = ISA_FAULT_INDEX_BOUNDS,
                                    .access = ISA_ACCESS_READ,
                                    .va = vec->rs3,
                                    .value = (uint64_t)index};
        return false;
    }
    *out_index = (uint32_t)wrapped;
    return true;
}

static void scatter_combine(const sim_vec_t *vec, uint32_t n, sim_row_ref_t d, sim_row_t *row) {
    sim_row_t old;
    sim_row_load(vec->kind, d, n, &old);
    for (uint32_t j = 0; j < n; j++) {
        unsigned red = vec->desc->op;
        if (vec->kind == SIM_KIND_INT)
            row->i[j] = sim_combine_int(red, vec->is_unsigned, old.i[j], row->i[j]);
        else if (vec->kind == SIM_KIND_F32)
            row->f[j] = (float)sim_combine_f64(red, old.f[j], row->f[j]);
        else
            row->d[j] = sim_combine_f64(red, old.d[j], row->d[j]);
    }
}

// Rows run along a dim that is not the axis, so that one index serves a row.
static bool indexed_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                          uint32_t start, uint32_t n) {
    bool is_scatter = vec->insn == XA_I_V_SCATTER;
    uint32_t there[4] = {at[0], at[1], at[2], at[3]};
    sim_row_t row;
    (void)state;
    if (!index_at(vec, at[vec->desc->axis], &there[vec->desc->axis]))
        return false;
    sim_row_ref_t a = sim_vec_row(&vec->a, is_scatter ? at : there, dim, start);
    sim_row_ref_t d = sim_vec_row(&vec->d, is_scatter ? there : at, dim, start);
    if (is_scatter && vec->desc->flags & XA_vec_REDACC) {
        sim_row_load(vec->kind, a, n, &row);
        scatter_combine(vec, n, d, &row);
        sim_row_store(vec->kind, d, n, &row, vec->is_unsigned, vec->mode);
        return true;
    }
    for (uint32_t j = 0; j < n; j++)
        num_convert(d.type, d.at + d.step * (int64_t)j, d.sub + d.sub_step * j, a.type,
                    a.at + a.step * (int64_t)j, a.sub + a.sub_step * j, vec->mode);
    return true;
}

static sim_order_t order_indexed(const uint32_t count[4], unsigned axis) {
    unsigned dim = axis == 3 ? 2 : 3;
    for (unsigned i = 0; i < 4; i++)
        if (i != axis && count[i] > count[dim])
            dim = i;
    return sim_order_axis_last(dim);
}

static bool run_indexed(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t extent = sim_extent_of(desc), whole = extent;
    bool is_scatter = vec->insn == XA_I_V_SCATTER;
    set_kind_da(vec);
    if (extent.count[desc->axis] > 0)
        whole.count[desc->axis] = desc->idx_bound;
    return red_ok(vec) && index_list_ok(vec) && operand_d(vec, is_scatter ? &whole : &extent) &&
           operand_a(vec, is_scatter ? &extent : &whole) &&
           sim_vec_pieces(vec, order_indexed(desc->count, desc->axis), indexed_piece, NULL);
}

bool sim_ref_gather(sim_vec_t *vec) { return run_indexed(vec); }
bool sim_ref_scatter(sim_vec_t *vec) { return run_indexed(vec); }
