// SPDX-License-Identifier: Apache-2.0
// Cost of the vector engine.
#include "isa/cost_internal.h"

// Operands of which an instruction makes use.
enum { USE_D = 1, USE_A = 2, USE_B = 4, USE_C = 8, USE_R = 16 };
#define STRIDED_FACTOR 4u // an operand whose inner stride is not its size: a quarter of the lanes

static uint64_t steps_of(char cost_class, const isa_profile_t *profile) {
    switch (cost_class) {
    case 'D':
        return profile->cost_d;
    case 'E':
        return profile->cost_e;
    case 'T':
        return profile->cost_t;
    default:
        return 1;
    }
}

static const char func_class[] = {
#define XA_FUNC(name, number, text, ulp, cost, formula) [number] = #cost[0],
#include "isa/xaccel.def"
};
static const char bin_class[] = {
#define XA_BIN(name, number, text, ulp, cost, formula) [number] = #cost[0],
#include "isa/xaccel.def"
};

uint64_t isa_cost_class_func(unsigned func, const isa_profile_t *profile) {
    return func < XA_FUNC_COUNT ? steps_of(func_class[func], profile) : 1;
}

static unsigned uses_of(xa_insn_t insn, const xa_vec_desc_t *vec) {
    unsigned row = vec->flags & XA_vec_ROWRED ? (unsigned)USE_R : 0u;
    unsigned dst = vec->flags & XA_vec_NODST ? 0u : (unsigned)USE_D;
    switch (insn) {
    case XA_I_V_UNARY:
        return dst | USE_A | row;
    case XA_I_V_BINARY:
        return dst | USE_A | USE_B | row;
    case XA_I_V_TERNARY:
    case XA_I_V_DEQUANT:
    case XA_I_V_QUANT:
        return USE_D | USE_A | USE_B | USE_C;
    case XA_I_V_WMAC:
        return USE_D | USE_A | USE_B;
    case XA_I_V_IOTA:
    case XA_I_V_FILL:
        return USE_D;
    default:
        return USE_D | USE_A;
    }
}

typedef struct operands {
    unsigned n;
    const int32_t *stride[5];
    unsigned type[5];
} operands_t;

static operands_t operands_of(unsigned uses, const xa_vec_desc_t *vec) {
    operands_t list = {0};
    const int32_t *strides[5] = {vec->d_stride, vec->a_stride, vec->b_stride, vec->c_stride,
                                 vec->r_stride};
    const unsigned types[5] = {vec->d_type, vec->a_type, vec->b_type, vec->c_type, vec->r_type};
    for (unsigned i = 0; i < 5; i++)
        if (uses & 1u << i) {
            list.stride[list.n] = strides[i];
            list.type[list.n++] = types[i];
        }
    return list;
}

static uint64_t lanes_of(const operands_t *list, const isa_profile_t *profile) {
    unsigned widest = 1;
    for (unsigned i = 0; i < list->n; i++) {
        unsigned bytes = dtype_bytes((dtype_t)list->type[i]);
        widest = bytes > widest ? bytes : widest;
    }
    switch (widest) {
    case 1:
        return profile->vec_lanes_8;
    case 2:
        return profile->vec_lanes_16;
    case 4:
        return profile->vec_lanes_f32;
    default:
        return profile->vec_lanes_f32 / 2;
    }
}

// Whether dims `dim` and the `run` elements inside it form one longer row in every operand.
static bool merges(const operands_t *list, int dim, int inner, uint64_t run) {
    for (unsigned i = 0; i < list->n; i++) {
        int64_t step = list->stride[i][inner];
        int64_t want;
        if (dtype_bits((dtype_t)list->type[i]) < 8)
            return false;
        if (run > UINT32_MAX || !checked_mul_i64(step, (int64_t)run, &want) ||
            list->stride[i][dim] != want)
            return false;
    }
    return true;
}

typedef struct shape {
    uint64_t rows, inner;
    int dim; // of the inner row
} shape_t;

static shape_t shape_of(const operands_t *list, const uint32_t count[4], int keep_dim) {
    shape_t shape = {.rows = 1, .inner = 1, .dim = -1};
    bool open = true;
    for (int dim = 3; dim >= 0; dim--) {
        if (count[dim] == 1)
            continue;
        if (shape.dim < 0) {
            shape.dim = dim;
            shape.inner = count[dim];
        } else if (open && dim != keep_dim && shape.dim != keep_dim &&
                   merges(list, dim, shape.dim, shape.inner)) {
            shape.inner = sat_mul(shape.inner, count[dim]);
        } else {
            open = false;
            shape.rows = sat_mul(shape.rows, count[dim]);
        }
    }
    if (shape.dim < 0)
        shape.dim = 3;
    return shape;
}

static bool is_strided(const operands_t *list, int dim) {
    for (unsigned i = 0; i < list->n; i++) {
        int64_t stride = list->stride[i][dim];
        unsigned type = list->type[i];
        if (dtype_bits((dtype_t)type) >= 8 && stride != 0 &&
            stride != (int64_t)dtype_bytes((dtype_t)type))
            return true;
    }
    return false;
}

static uint64_t log2_ceil(uint64_t n) {
    uint64_t bits = 0;
    while (bits < 63 && UINT64_C(1) << bits < n)
        bits++;
    return bits;
}

// Lane steps for one element.
static uint64_t element_steps(xa_insn_t insn, const xa_vec_desc_t *vec, int inner_dim,
                              uint64_t lanes, const isa_profile_t *profile) {
    uint64_t post = vec->post != XA_FUNC_NONE ? isa_cost_class_func(vec->post, profile) : 0;
    uint64_t row = vec->flags & XA_vec_ROWRED ? 1 : 0;
    switch (insn) {
    case XA_I_V_UNARY:
        return isa_cost_class_func(vec->op, profile) + row;
    case XA_I_V_BINARY:
        return (vec->op < XA_BIN_COUNT ? steps_of(bin_class[vec->op], profile) : 1) + post + row;
    case XA_I_V_DEQUANT:
    case XA_I_V_ARGRED:
        return 2;
    case XA_I_V_QUANT:
        return 1 + (uint64_t)profile->cost_d;
    case XA_I_V_SCAN:
        return vec->axis == inner_dim ? log2_ceil(lanes) : 1;
    case XA_I_V_WREDUCE:
        return max_u64(sat_mul(vec->k[0], vec->k[1]), 1);
    case XA_I_V_WMAC:
        return sat_add(max_u64(sat_mul(vec->k[0], vec->k[1]), 1), post);
    case XA_I_V_LINEAR:
        return max_u64(sat_mul(vec->lin_in, vec->lin_out), 1);
    default:
        return 1;
    }
}

// Steps for each inner row: a reduction along it folds the lanes; an index list is read.
static uint64_t row_steps(xa_insn_t insn, const xa_vec_desc_t *vec, int inner_dim, uint64_t lanes) {
    if (insn == XA_I_V_GATHER || insn == XA_I_V_SCATTER)
        return 1;
    bool folds = (insn == XA_I_V_REDUCE && vec->d_stride[inner_dim] == 0) ||
                 (insn == XA_I_V_ARGRED && vec->axis == inner_dim) ||
                 (vec->flags & XA_vec_ROWRED && vec->r_stride[inner_dim] == 0);
    return folds ? log2_ceil(lanes) : 0;
}

isa_cost_t isa_cost_vec(xa_insn_t insn, const xa_vec_desc_t *vec, const isa_profile_t *profile) {
    operands_t list = operands_of(uses_of(insn, vec), vec);
    uint64_t lanes = max_u64(lanes_of(&list, profile), 1);
    bool keeps_axis = insn == XA_I_V_ARGRED || insn == XA_I_V_SCAN || insn == XA_I_V_LINEAR ||
                      insn == XA_I_V_GATHER || insn == XA_I_V_SCATTER || insn == XA_I_V_IOTA;
    shape_t shape = shape_of(&list, vec->count, keeps_axis ? vec->axis : -1);
    uint64_t row =
        sat_mul(ceil_div(shape.inner, lanes), element_steps(insn, vec, shape.dim, lanes, profile));
    bool by_element = (insn == XA_I_V_GATHER || insn == XA_I_V_SCATTER) && vec->axis == shape.dim;
    if (by_element || is_strided(&list, shape.dim))
        row = sat_mul(row, STRIDED_FACTOR);
    row = sat_add(row, row_steps(insn, vec, shape.dim, lanes));
    return (isa_cost_t){.cycles = sat_add(profile->issue_cycles, sat_mul(shape.rows, row))};
}
