// SPDX-License-Identifier: Apache-2.0
// The vector unit of `ref`: windows and small linear transforms.
#include <stddef.h>
#include <string.h>

#include "driver/sim/engine_math.h"
#include "driver/sim/engine_ref.h"
#include "isa/program.h"
#include "support/numeric.h"

#define OFFSET(field) offsetof(xa_vec_desc_t, field)
#define LINEAR_MAX    8u

static sim_kind_t acc_kind(const sim_vec_t *vec) {
    return vec->kind == SIM_KIND_INT ? SIM_KIND_INT : SIM_KIND_F64;
}

// A row of an operand, moved by window offsets.
static sim_row_ref_t window_row(const sim_vec_operand_t *x, const uint32_t at[4], unsigned dim,
                                uint32_t start, const int32_t stride[2], uint32_t k0, uint32_t k1) {
    sim_row_ref_t row = sim_vec_row(x, at, dim, start);
    row.at += (int64_t)k0 * stride[0] + (int64_t)k1 * stride[1];
    return row;
}

static bool window_ok(const sim_vec_t *vec) {
    for (unsigned i = 0; i < 2; i++)
        if (vec->desc->k[i] == 0)
            return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(k) + 4 * i);
    return true;
}

static bool not_packed(const sim_vec_t *vec, unsigned type, uint64_t offset) {
    return dtype_bits((dtype_t)type) >= 8 ||
           sim_bad_field(vec->fault, ISA_FAULT_ENGINE_UNSUPPORTED, offset);
}

static bool operand_d(sim_vec_t *vec, const sim_extent_t *extent) {
    const xa_vec_desc_t *desc = vec->desc;
    return sim_vec_operand(vec, vec->rs1, desc->d_type, OFFSET(d_type), desc->d_stride, extent,
                           ISA_ACCESS_WRITE, &vec->d);
}

static bool windowed(sim_vec_t *vec, char name) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t extent = sim_extent_of(desc);
    memcpy(extent.window, desc->k, sizeof extent.window);
    memcpy(extent.window_stride, name == 'a' ? desc->ka_stride : desc->kb_stride,
           sizeof extent.window_stride);
    if (name == 'a')
        return not_packed(vec, desc->a_type, OFFSET(a_type)) &&
               sim_vec_operand(vec, vec->rs2, desc->a_type, OFFSET(a_type), desc->a_stride, &extent,
                               ISA_ACCESS_READ, &vec->a);
    return not_packed(vec, desc->b_type, OFFSET(b_type)) &&
           sim_vec_operand(vec, vec->rs3, desc->b_type, OFFSET(b_type), desc->b_stride, &extent,
                           ISA_ACCESS_READ, &vec->b);
}

// --- Windowed reduce -----------------------------------------------------------------------------

static bool wreduce_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                          uint32_t start, uint32_t n) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_kind_t kind = acc_kind(vec);
    bool is_int = kind == SIM_KIND_INT;
    sim_row_t acc, row;
    (void)state;
    for (uint32_t j = 0; j < n; j++) {
        if (is_int)
            acc.i[j] = sim_identity_int(desc->op, vec->is_unsigned);
        else
            acc.d[j] = sim_identity_f64(desc->op);
    }
    for (uint32_t k0 = 0; k0 < desc->k[0]; k0++)
        for (uint32_t k1 = 0; k1 < desc->k[1]; k1++) {
            sim_row_load(kind, window_row(&vec->a, at, dim, start, desc->ka_stride, k0, k1), n,
                         &row);
            for (uint32_t j = 0; j < n; j++) {
                if (is_int)
                    acc.i[j] = sim_combine_int(desc->op, vec->is_unsigned, acc.i[j], row.i[j]);
                else
                    acc.d[j] = sim_combine_f64(desc->op, acc.d[j], row.d[j]);
            }
        }
    for (uint32_t j = 0; j < n && !is_int; j++)
        acc.d[j] *= (double)desc->alpha;
    sim_row_store(kind, sim_vec_row(&vec->d, at, dim, start), n, &acc, vec->is_unsigned, vec->mode);
    return true;
}

bool sim_ref_wreduce(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t extent = sim_extent_of(desc);
    vec->kind = sim_kind_of(desc->d_type, desc->a_type, 0, 0);
    vec->is_unsigned = desc->a_type == DTYPE_U64;
    if (desc->op >= XA_RED_COUNT)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(op));
    return window_ok(vec) && operand_d(vec, &extent) && windowed(vec, 'a') &&
           sim_vec_pieces(vec, sim_order_by_row(desc->count), wreduce_piece, NULL);
}

// --- Windowed multiply-accumulate ----------------------------------------------------------------

static void wmac_bias(const sim_vec_t *vec, const uint32_t at[4], unsigned dim, uint32_t start,
                      uint32_t n, sim_row_t *acc) {
    if (vec->desc->flags & XA_vec_BIAS)
        sim_row_load(acc_kind(vec), sim_vec_row(&vec->c, at, dim, start), n, acc);
    else
        memset(acc, 0, sizeof *acc);
}

static void wmac_store(const sim_vec_t *vec, sim_row_ref_t to, uint32_t n, sim_row_t *acc) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_row_t out;
    if (vec->kind == SIM_KIND_INT) {
        sim_func_int(desc->post, desc->p0, desc->p1, vec->is_unsigned, false, n, acc->i);
    } else if (vec->kind == SIM_KIND_F64) {
        sim_func_f64(desc->post, desc->p0, desc->p1, n, acc->d);
    } else {
        for (uint32_t j = 0; j < n; j++)
            out.f[j] = (float)acc->d[j];
        sim_func_f32(desc->post, desc->p0, desc->p1, n, out.f);
        acc = &out;
    }
    sim_row_store(vec->kind, to, n, acc, vec->is_unsigned, vec->mode);
}

static bool wmac_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                       uint32_t start, uint32_t n) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_kind_t kind = acc_kind(vec);
    sim_row_t acc, a, b;
    (void)state;
    wmac_bias(vec, at, dim, start, n, &acc);
    for (uint32_t k0 = 0; k0 < desc->k[0]; k0++)
        for (uint32_t k1 = 0; k1 < desc->k[1]; k1++) {
            sim_row_load(kind, window_row(&vec->a, at, dim, start, desc->ka_stride, k0, k1), n, &a);
            sim_row_load(kind, window_row(&vec->b, at, dim, start, desc->kb_stride, k0, k1), n, &b);
            for (uint32_t j = 0; j < n; j++) {
                if (kind == SIM_KIND_INT)
                    acc.i[j] = (int64_t)((uint64_t)acc.i[j] + (uint64_t)a.i[j] * (uint64_t)b.i[j]);
                else
                    acc.d[j] += a.d[j] * b.d[j];
            }
        }
    wmac_store(vec, sim_vec_row(&vec->d, at, dim, start), n, &acc);
    return true;
}

bool sim_ref_wmac(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t extent = sim_extent_of(desc);
    bool has_bias = desc->flags & XA_vec_BIAS;
    vec->kind = sim_kind_of(desc->d_type, desc->a_type, desc->b_type, has_bias ? desc->c_type : 0);
    vec->is_unsigned = desc->a_type == DTYPE_U64;
    if (desc->post >= XA_FUNC_COUNT)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(post));
    if (vec->kind == SIM_KIND_INT ? !sim_func_has_int(desc->post) : desc->post == XA_FUNC_BITNOT)
        return sim_bad_field(vec->fault, ISA_FAULT_ENGINE_UNSUPPORTED, OFFSET(post));
    if (has_bias && !sim_vec_operand(vec, desc->c_addr, desc->c_type, OFFSET(c_type),
                                     desc->c_stride, &extent, ISA_ACCESS_READ, &vec->c))
        return false;
    return window_ok(vec) && operand_d(vec, &extent) && windowed(vec, 'a') && windowed(vec, 'b') &&
           sim_vec_pieces(vec, sim_order_by_row(desc->count), wmac_piece, NULL);
}

// --- Linear transform ----------------------------------------------------------------------------

static bool linear_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                         uint32_t start, uint32_t n) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_row_t a[LINEAR_MAX], acc;
    uint32_t there[4] = {at[0], at[1], at[2], at[3]};
    (void)state;
    for (uint32_t i = 0; i < desc->lin_in; i++) {
        there[desc->axis] = i;
        sim_row_load(SIM_KIND_F64, sim_vec_row(&vec->a, there, dim, start), n, &a[i]);
    }
    for (uint32_t o = 0; o < desc->lin_out; o++) {
        memset(&acc, 0, sizeof acc);
        for (uint32_t i = 0; i < desc->lin_in; i++) {
            double factor = num_load_f64(DTYPE_F32, vec->b.base, (uint64_t)o * desc->lin_in + i);
            for (uint32_t j = 0; j < n; j++)
                acc.d[j] += factor * a[i].d[j];
        }
        there[desc->axis] = o;
        sim_row_store(SIM_KIND_F64, sim_vec_row(&vec->d, there, dim, start), n, &acc, false,
                      vec->mode);
    }
    return true;
}

static bool linear_size_ok(const sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    if (desc->lin_in == 0 || desc->lin_in > LINEAR_MAX)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(lin_in));
    if (desc->lin_out == 0 || desc->lin_out > LINEAR_MAX)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(lin_out));
    return desc->count[desc->axis] == 1 ||
           sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(count) + 4u * desc->axis);
}

// Rows run along another dim than the axis, whose count is 1.
bool sim_ref_linear(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t d = sim_extent_of(desc), a = d;
    sim_extent_t factors = {.count = {1, 1, desc->lin_out, desc->lin_in}, .window = {1, 1}};
    const int32_t stride[4] = {0, 0, (int32_t)(desc->lin_in * 4), 4};
    if (!linear_size_ok(vec))
        return false;
    d.count[desc->axis] = desc->lin_out;
    a.count[desc->axis] = desc->lin_in;
    sim_order_t order = sim_order_by_row(desc->count);
    if (order.dim[3] == desc->axis)
        order = sim_order_axis_last(desc->axis == 3 ? 2 : 3);
    return sim_vec_operand(vec, vec->rs3, DTYPE_F32, 0, stride, &factors, ISA_ACCESS_READ,
                           &vec->b) &&
           operand_d(vec, &d) &&
           sim_vec_operand(vec, vec->rs2, desc->a_type, OFFSET(a_type), desc->a_stride, &a,
                           ISA_ACCESS_READ, &vec->a) &&
           sim_vec_pieces(vec, order, linear_piece, NULL);
}
