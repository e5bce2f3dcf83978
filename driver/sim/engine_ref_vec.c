// SPDX-License-Identifier: Apache-2.0
// The vector unit of `ref`: operands, loops, and the instructions that work element by element.
#include <stddef.h>
#include <string.h>

#include "driver/sim/engine_math.h"
#include "driver/sim/engine_ref.h"
#include "support/numeric.h"

#define OFFSET(field) offsetof(xa_vec_desc_t, field)

// --- Loops ---------------------------------------------------------------------------------------

sim_order_t sim_order_axis_last(unsigned axis) {
    sim_order_t order;
    unsigned n = 0;
    for (unsigned dim = 0; dim < 4; dim++)
        if (dim != axis)
            order.dim[n++] = dim;
    order.dim[3] = axis;
    return order;
}

sim_order_t sim_order_by_row(const uint32_t count[4]) {
    unsigned dim = 3;
    while (dim > 0 && count[dim] == 1)
        dim--;
    return sim_order_axis_last(count[dim] == 1 ? 3 : dim);
}

static bool pieces_of_row(const sim_vec_t *vec, unsigned dim, sim_piece_fn_t fn, void *state,
                          const uint32_t at[4]) {
    uint32_t count = vec->desc->count[dim];
    for (uint32_t start = 0; start < count;) {
        uint32_t n = count - start < SIM_ROW_MAX ? count - start : SIM_ROW_MAX;
        if (!fn(vec, state, at, dim, start, n))
            return false;
        start += n;
    }
    return true;
}

bool sim_vec_pieces(const sim_vec_t *vec, sim_order_t order, sim_piece_fn_t fn, void *state) {
    const uint32_t *count = vec->desc->count;
    uint32_t at[4] = {0};
    for (int i = 0; i < 4; i++)
        if (count[i] == 0)
            return true;
    for (;;) {
        if (!pieces_of_row(vec, order.dim[3], fn, state, at))
            return false;
        int level = 2;
        while (level >= 0 && ++at[order.dim[level]] == count[order.dim[level]])
            at[order.dim[level--]] = 0;
        if (level < 0)
            return true;
    }
}

sim_row_ref_t sim_vec_row(const sim_vec_operand_t *x, const uint32_t at[4], unsigned dim,
                          uint32_t start) {
    sim_row_ref_t row = {.at = x->base, .type = x->type};
    for (unsigned i = 0; i < 4; i++) {
        uint32_t index = i == dim ? start : at[i];
        if (i == 3 && x->packed)
            row.sub = index;
        else
            row.at += x->stride[i] * (int64_t)index;
    }
    if (dim == 3 && x->packed)
        row.sub_step = 1;
    else
        row.step = x->stride[dim];
    return row;
}

// --- Operands ------------------------------------------------------------------------------------

sim_extent_t sim_extent_of(const xa_vec_desc_t *desc) {
    sim_extent_t extent = {.window = {1, 1}};
    memcpy(extent.count, desc->count, sizeof extent.count);
    return extent;
}

static bool box_of(const int32_t stride[4], bool packed, dtype_t type, const sim_extent_t *extent,
                   sim_box_t *out_box) {
    *out_box = (sim_box_t){0, dtype_bytes(type)};
    for (unsigned i = 0; i < 4; i++) {
        if (i == 3 && packed)
            out_box->high += (int64_t)num_row_bytes(type, extent->count[3]) - 1;
        else if (!sim_box_add(out_box, extent->count[i], stride[i]))
            return false;
    }
    return sim_box_add(out_box, extent->window[0], extent->window_stride[0]) &&
           sim_box_add(out_box, extent->window[1], extent->window_stride[1]);
}

bool sim_vec_operand(const sim_vec_t *vec, uint64_t va, unsigned type, uint64_t type_offset,
                     const int32_t stride[4], const sim_extent_t *extent, isa_access_t access,
                     sim_vec_operand_t *out) {
    sim_box_t box;
    if (!num_is_number((dtype_t)type))
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, type_offset);
    out->type = (dtype_t)type;
    // A packed row; stride 0 repeats its first element.
    out->packed = dtype_bits(out->type) < 8 && stride[3] != 0;
    for (unsigned i = 0; i < 4; i++)
        out->stride[i] = stride[i];
    *vec->fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, access, va, 0};
    if (!box_of(stride, out->packed, out->type, extent, &box))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (extent->count[i] == 0) { // touches nothing
            out->base = NULL;
            return true;
        }
    out->base = sim_engine_lm(vec->ctx, va, box, access, vec->fault);
    return out->base != NULL;
}

sim_kind_t sim_kind_of(unsigned t0, unsigned t1, unsigned t2, unsigned t3) {
    const unsigned types[4] = {t0, t1, t2, t3};
    sim_kind_t kind = SIM_KIND_INT;
    for (unsigned i = 0; i < 4; i++) {
        if (types[i] == DTYPE_F64)
            return SIM_KIND_F64;
        if (types[i] && dtype_is_float((dtype_t)types[i]))
            kind = SIM_KIND_F32;
    }
    return kind;
}

static bool plain_operand(sim_vec_t *vec, char name) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_extent_t extent = sim_extent_of(desc);
    switch (name) {
    case 'd':
        return sim_vec_operand(vec, vec->rs1, desc->d_type, OFFSET(d_type), desc->d_stride, &extent,
                               ISA_ACCESS_WRITE, &vec->d);
    case 'a':
        return sim_vec_operand(vec, vec->rs2, desc->a_type, OFFSET(a_type), desc->a_stride, &extent,
                               ISA_ACCESS_READ, &vec->a);
    case 'b':
        return sim_vec_operand(vec, vec->rs3, desc->b_type, OFFSET(b_type), desc->b_stride, &extent,
                               ISA_ACCESS_READ, &vec->b);
    case 'c':
        return sim_vec_operand(vec, desc->c_addr, desc->c_type, OFFSET(c_type), desc->c_stride,
                               &extent, ISA_ACCESS_READ, &vec->c);
    default:
        return sim_vec_operand(vec, desc->r_addr, desc->r_type, OFFSET(r_type), desc->r_stride,
                               &extent, ISA_ACCESS_WRITE, &vec->r);
    }
}

static bool plain_operands(sim_vec_t *vec, const char *names) {
    for (; *names; names++)
        if (!plain_operand(vec, *names))
            return false;
    return true;
}

static void set_kind(sim_vec_t *vec, sim_kind_t kind, unsigned leading_type) {
    vec->kind = kind;
    vec->is_unsigned = leading_type == DTYPE_U64;
}

// --- Unary and binary, with row reduction --------------------------------------------------------

static bool func_ok(const sim_vec_t *vec, unsigned func, uint64_t offset) {
    if (func >= XA_FUNC_COUNT)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, offset);
    if (vec->kind == SIM_KIND_INT ? !sim_func_has_int(func) : func == XA_FUNC_BITNOT)
        return sim_bad_field(vec->fault, ISA_FAULT_ENGINE_UNSUPPORTED, offset);
    return true;
}

static void apply_func(const sim_vec_t *vec, unsigned func, uint32_t n, sim_row_t *row) {
    const xa_vec_desc_t *desc = vec->desc;
    if (vec->kind == SIM_KIND_F32)
        sim_func_f32(func, desc->p0, desc->p1, n, row->f);
    else if (vec->kind == SIM_KIND_F64)
        sim_func_f64(func, desc->p0, desc->p1, n, row->d);
    else
        sim_func_int(func, desc->p0, desc->p1, vec->is_unsigned, desc->a_type == DTYPE_BOOL, n,
                     row->i);
}

// alpha * x + beta, each step rounded; integers are taken as they are.
static void apply_scale(const sim_vec_t *vec, uint32_t n, sim_row_t *row) {
    const float alpha = vec->desc->alpha, beta = vec->desc->beta;
    if (vec->kind == SIM_KIND_F32)
        for (uint32_t j = 0; j < n; j++)
            row->f[j] = row->f[j] * alpha + beta;
    else if (vec->kind == SIM_KIND_F64)
        for (uint32_t j = 0; j < n; j++)
            row->d[j] = row->d[j] * (double)alpha + (double)beta;
}

static void apply_binary(const sim_vec_t *vec, uint32_t n, sim_row_t *a, const sim_row_t *b) {
    unsigned op = vec->desc->op;
    if (vec->kind == SIM_KIND_F32)
        sim_binary_f32(op, n, a->f, b->f);
    else if (vec->kind == SIM_KIND_F64)
        sim_binary_f64(op, n, a->d, b->d);
    else
        sim_binary_int(op, vec->is_unsigned, dtype_bits(vec->a.type), n, a->i, b->i);
}

static bool map_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                      uint32_t start, uint32_t n) {
    sim_row_t a, b;
    sim_row_load(vec->kind, sim_vec_row(&vec->a, at, dim, start), n, &a);
    if (vec->insn == XA_I_V_BINARY) {
        sim_row_load(vec->kind, sim_vec_row(&vec->b, at, dim, start), n, &b);
        apply_binary(vec, n, &a, &b);
        apply_func(vec, vec->desc->post, n, &a);
    } else {
        apply_scale(vec, n, &a);
        apply_func(vec, vec->desc->op, n, &a);
    }
    if (!(vec->desc->flags & XA_vec_NODST))
        sim_row_store(vec->kind, sim_vec_row(&vec->d, at, dim, start), n, &a, vec->is_unsigned,
                      vec->mode);
    if (state)
        sim_reduce_piece(state, vec, at, dim, start, n, &a);
    return true;
}

static bool binary_ok(const sim_vec_t *vec) {
    unsigned op = vec->desc->op;
    bool is_int = vec->kind == SIM_KIND_INT;
    if (op >= XA_BIN_COUNT)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(op));
    if (is_int ? op == XA_BIN_EXPDIFF : op == XA_BIN_SHL || op == XA_BIN_SHR)
        return sim_bad_field(vec->fault, ISA_FAULT_ENGINE_UNSUPPORTED, OFFSET(op));
    return func_ok(vec, vec->desc->post, OFFSET(post));
}

static bool run_map(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    bool is_binary = vec->insn == XA_I_V_BINARY, has_dst = !(desc->flags & XA_vec_NODST);
    unsigned d_type = has_dst ? desc->d_type : 0;
    set_kind(vec, sim_kind_of(d_type, desc->a_type, is_binary ? desc->b_type : 0, 0), desc->a_type);
    if (!plain_operands(vec, is_binary ? "ab" : "a") || (has_dst && !plain_operands(vec, "d")))
        return false;
    if (!(is_binary ? binary_ok(vec) : func_ok(vec, desc->op, OFFSET(op))))
        return false;
    if (!(desc->flags & XA_vec_ROWRED))
        return sim_vec_pieces(vec, sim_order_by_row(desc->count), map_piece, NULL);
    if (desc->red >= XA_RED_COUNT)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(red));
    if (!plain_operands(vec, "r"))
        return false;
    sim_reduce_t reduce = {.into = &vec->r,
                           .red = desc->red,
                           .kind = vec->kind,
                           .is_unsigned = vec->is_unsigned,
                           .accumulate = desc->flags & XA_vec_REDACC,
                           .stride = desc->r_stride,
                           .mode = vec->mode};
    return sim_vec_pieces(vec, sim_order_reduce(desc->count, desc->r_stride), map_piece, &reduce);
}

// --- Ternary -------------------------------------------------------------------------------------

static void select_rows(const sim_vec_t *vec, uint32_t n, sim_row_t *a, const sim_row_t *b,
                        const sim_row_t *c) {
    for (uint32_t j = 0; j < n; j++) {
        if (c->d[j] != 0)
            continue;
        if (vec->kind == SIM_KIND_F32)
            a->f[j] = b->f[j];
        else
            a->i[j] = b->i[j]; // also the 64 bits of a double
    }
}

static bool ternary_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                          uint32_t start, uint32_t n) {
    sim_row_t a, b, c;
    bool is_select = vec->desc->op == XA_TER_SELECT;
    (void)state;
    sim_row_load(vec->kind, sim_vec_row(&vec->a, at, dim, start), n, &a);
    sim_row_load(vec->kind, sim_vec_row(&vec->b, at, dim, start), n, &b);
    // The condition is not part of the arithmetic: its type decides nothing.
    sim_row_load(is_select ? SIM_KIND_F64 : vec->kind, sim_vec_row(&vec->c, at, dim, start), n, &c);
    if (is_select)
        select_rows(vec, n, &a, &b, &c);
    else if (vec->kind == SIM_KIND_F32)
        sim_ternary_f32(vec->desc->op, n, a.f, b.f, c.f);
    else if (vec->kind == SIM_KIND_F64)
        sim_ternary_f64(vec->desc->op, n, a.d, b.d, c.d);
    else
        sim_ternary_int(vec->desc->op, vec->is_unsigned, n, a.i, b.i, c.i);
    sim_row_store(vec->kind, sim_vec_row(&vec->d, at, dim, start), n, &a, vec->is_unsigned,
                  vec->mode);
    return true;
}

static bool run_ternary(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    if (desc->op >= XA_TER_COUNT)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(op));
    unsigned c_type = desc->op == XA_TER_SELECT ? 0 : desc->c_type;
    set_kind(vec, sim_kind_of(desc->d_type, desc->a_type, desc->b_type, c_type), desc->a_type);
    return plain_operands(vec, "dabc") &&
           sim_vec_pieces(vec, sim_order_by_row(desc->count), ternary_piece, NULL);
}

// --- Conversions ---------------------------------------------------------------------------------

static bool convert_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                          uint32_t start, uint32_t n) {
    sim_row_ref_t a = sim_vec_row(&vec->a, at, dim, start);
    sim_row_ref_t d = sim_vec_row(&vec->d, at, dim, start);
    (void)state;
    for (uint32_t j = 0; j < n; j++)
        num_convert(d.type, d.at + d.step * (int64_t)j, d.sub + d.sub_step * j, a.type,
                    a.at + a.step * (int64_t)j, a.sub + a.sub_step * j, vec->mode);
    return true;
}

static bool run_convert(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    if (desc->imm0 < 0 || desc->imm0 > 2)
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(imm0));
    if (desc->imm0)
        vec->mode |= desc->imm0 == 1 ? NUM_E8M0_NEAREST : NUM_E8M0_DOWN;
    return plain_operands(vec, "da") &&
           sim_vec_pieces(vec, sim_order_by_row(desc->count), convert_piece, NULL);
}

// Zero points of a row in `kind`: zeros when there are none.
static void load_zeros(const sim_vec_t *vec, sim_kind_t kind, const uint32_t at[4], unsigned dim,
                       uint32_t start, uint32_t n, sim_row_t *out) {
    if (vec->desc->c_addr)
        sim_row_load(kind, sim_vec_row(&vec->c, at, dim, start), n, out);
    else
        memset(out, 0, sizeof *out); // 0 in every kind
}

static bool dequant_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                          uint32_t start, uint32_t n) {
    sim_row_t a, zero, scale;
    bool is_f64 = vec->kind == SIM_KIND_F64;
    // Integers are subtracted exactly.
    sim_kind_t kind = dtype_is_float(vec->a.type) ? SIM_KIND_F64 : SIM_KIND_INT;
    (void)state;
    sim_row_load(kind, sim_vec_row(&vec->a, at, dim, start), n, &a);
    load_zeros(vec, kind, at, dim, start, n, &zero);
    sim_row_load(vec->kind, sim_vec_row(&vec->b, at, dim, start), n, &scale);
    for (uint32_t j = 0; j < n; j++) {
        double value = kind == SIM_KIND_INT ? (double)(a.i[j] - zero.i[j]) : a.d[j] - zero.d[j];
        if (is_f64)
            a.d[j] = value * scale.d[j];
        else
            a.f[j] = (float)value * scale.f[j];
    }
    sim_row_store(vec->kind, sim_vec_row(&vec->d, at, dim, start), n, &a, false, vec->mode);
    return true;
}

static bool quant_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                        uint32_t start, uint32_t n) {
    sim_row_t a, zero, scale, out;
    bool to_int = !dtype_is_float(vec->d.type);
    (void)state;
    sim_row_load(vec->kind, sim_vec_row(&vec->a, at, dim, start), n, &a);
    sim_row_load(vec->kind, sim_vec_row(&vec->b, at, dim, start), n, &scale);
    load_zeros(vec, SIM_KIND_F64, at, dim, start, n, &zero);
    for (uint32_t j = 0; j < n; j++) {
        double value = vec->kind == SIM_KIND_F64 ? a.d[j] / scale.d[j] : a.f[j] / scale.f[j];
        out.d[j] = (to_int ? num_round_even(value) : value) + zero.d[j];
    }
    sim_row_store(SIM_KIND_F64, sim_vec_row(&vec->d, at, dim, start), n, &out, false,
                  vec->mode | NUM_SATURATE);
    return true;
}

static bool run_quant(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    bool is_dequant = vec->insn == XA_I_V_DEQUANT;
    bool is_f64 = (is_dequant ? desc->d_type : desc->a_type) == DTYPE_F64;
    vec->kind = is_f64 || desc->b_type == DTYPE_F64 ? SIM_KIND_F64 : SIM_KIND_F32;
    if (!dtype_is_float((dtype_t)desc->b_type))
        return sim_bad_field(vec->fault, ISA_FAULT_BAD_DESCRIPTOR, OFFSET(b_type));
    return plain_operands(vec, desc->c_addr ? "dabc" : "dab") &&
           sim_vec_pieces(vec, sim_order_by_row(desc->count),
                          is_dequant ? dequant_piece : quant_piece, NULL);
}

// --- Iota and fill -------------------------------------------------------------------------------

static bool iota_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                       uint32_t start, uint32_t n) {
    const xa_vec_desc_t *desc = vec->desc;
    sim_row_t row;
    (void)state;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t index = desc->axis == dim ? start + j : at[desc->axis];
        if (vec->kind == SIM_KIND_F32)
            row.f[j] = (float)index * desc->beta + desc->alpha;
        else if (vec->kind == SIM_KIND_F64)
            row.d[j] = (double)index * (double)desc->beta + (double)desc->alpha;
        else
            row.i[j] = (int64_t)((uint64_t)desc->imm0 + (uint64_t)desc->imm1 * (uint64_t)index);
    }
    sim_row_store(vec->kind, sim_vec_row(&vec->d, at, dim, start), n, &row, vec->is_unsigned,
                  vec->mode);
    return true;
}

static bool fill_piece(const sim_vec_t *vec, void *state, const uint32_t at[4], unsigned dim,
                       uint32_t start, uint32_t n) {
    sim_row_ref_t d = sim_vec_row(&vec->d, at, dim, start);
    (void)state;
    for (uint32_t j = 0; j < n; j++)
        num_store_bits(d.type, d.at + d.step * (int64_t)j, d.sub + d.sub_step * j,
                       (uint64_t)vec->desc->imm0);
    return true;
}

static bool run_generate(sim_vec_t *vec) {
    const xa_vec_desc_t *desc = vec->desc;
    set_kind(vec, sim_kind_of(desc->d_type, 0, 0, 0), desc->d_type);
    return plain_operands(vec, "d") &&
           sim_vec_pieces(vec, sim_order_by_row(desc->count),
                          vec->insn == XA_I_V_FILL ? fill_piece : iota_piece, NULL);
}

// --- Dispatch ------------------------------------------------------------------------------------

static bool run(sim_vec_t *vec) {
    switch (vec->insn) {
    case XA_I_V_UNARY:
    case XA_I_V_BINARY:
        return run_map(vec);
    case XA_I_V_TERNARY:
        return run_ternary(vec);
    case XA_I_V_CONVERT:
        return run_convert(vec);
    case XA_I_V_DEQUANT:
    case XA_I_V_QUANT:
        return run_quant(vec);
    case XA_I_V_REDUCE:
        return sim_ref_reduce(vec);
    case XA_I_V_ARGRED:
        return sim_ref_argred(vec);
    case XA_I_V_SCAN:
        return sim_ref_scan(vec);
    case XA_I_V_WREDUCE:
        return sim_ref_wreduce(vec);
    case XA_I_V_WMAC:
        return sim_ref_wmac(vec);
    case XA_I_V_LINEAR:
        return sim_ref_linear(vec);
    case XA_I_V_GATHER:
        return sim_ref_gather(vec);
    case XA_I_V_SCATTER:
        return sim_ref_scatter(vec);
    default:
        return run_generate(vec);
    }
}

bool sim_ref_vec(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *desc, uint64_t rs1,
                 uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault) {
    sim_vec_t vec = {.ctx = ctx,
                     .desc = desc,
                     .insn = insn,
                     .rs1 = rs1,
                     .rs2 = rs2,
                     .rs3 = rs3,
                     .fault = out_fault,
                     .mode = desc->flags & XA_vec_SATURATE ? NUM_SATURATE : 0};
    return run(&vec);
}
