// SPDX-License-Identifier: Apache-2.0
// Random issues of the vector unit.
#include <string.h>

#include "support/numeric.h"
#include "tests/engine/cases.h"

static const dtype_t float_types[] = {
    DTYPE_F32,        DTYPE_F32,    DTYPE_F32,       DTYPE_F32, DTYPE_F16,
    DTYPE_F16,        DTYPE_BF16,   DTYPE_BF16,      DTYPE_F64, DTYPE_F8E4M3FN,
    DTYPE_F8E4M3FNUZ, DTYPE_F8E5M2, DTYPE_F8E5M2FNUZ};
static const dtype_t int_types[] = {DTYPE_I8,  DTYPE_U8,  DTYPE_I16, DTYPE_U16, DTYPE_I32,
                                    DTYPE_U32, DTYPE_I64, DTYPE_U64, DTYPE_I32, DTYPE_I64};
static const dtype_t all_types[] = {
    DTYPE_F32,    DTYPE_F64,        DTYPE_F16,    DTYPE_BF16,   DTYPE_F8E4M3FN, DTYPE_F8E4M3FNUZ,
    DTYPE_F8E5M2, DTYPE_F8E5M2FNUZ, DTYPE_F8E8M0, DTYPE_F4E2M1, DTYPE_I8,       DTYPE_U8,
    DTYPE_I16,    DTYPE_U16,        DTYPE_I32,    DTYPE_U32,    DTYPE_I64,      DTYPE_U64,
    DTYPE_BOOL,   DTYPE_U4,         DTYPE_I4,     DTYPE_U2,     DTYPE_I2};
#define PICK(room, list) ((list)[random_below(&(room)->random, COUNT_OF(list))])

static dtype_t pick_float(room_t *room) { return PICK(room, float_types); }

static void pick_counts(room_t *room, uint32_t count[4]) {
    random_t *random = &room->random;
    for (int i = 0; i < 4; i++)
        count[i] = random_below(random, 3) ? 1 + random_below(random, 5) : 1;
    switch (random_below(random, 6)) {
    case 0:
        count[3] = 200 + random_below(random, 150); // more than a piece of a row
        count[0] = 1;
        break;
    case 1:
        count[2] = 1 + random_below(random, 40);
        break;
    case 2:
    case 3:
        count[3] = 1 + random_below(random, 40);
        break;
    default:
        break;
    }
}

// At most so many elements, so that all operands find room.
static void limit_counts(uint32_t count[4], uint32_t most) {
    for (;;) {
        int longest = 0;
        for (int i = 1; i < 4; i++)
            longest = count[i] > count[longest] ? i : longest;
        if ((uint64_t)count[0] * count[1] * count[2] * count[3] <= most)
            return;
        count[longest] = (count[longest] + 1) / 2;
    }
}

static void view_of(const test_case_t *test, view_t *view, dtype_t type) {
    *view = (view_t){.type = type, .count = {1, 1}};
    memcpy(&view->count[2], test->desc.vec.count, 16);
}

static void set_strides(int32_t out[4], const view_t *view) {
    for (int i = 0; i < 4; i++)
        out[i] = (int32_t)view->stride[2 + i];
}

static void source(room_t *room, const test_case_t *test, view_t *view, dtype_t type,
                   int32_t stride[4]) {
    view_of(test, view, type);
    room_place(room, view, LAYOUT_ANY, true);
    room_fill(room, view, true);
    set_strides(stride, view);
}

static void finish(test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    test->rs1 = test->d.va;
    test->rs2 = test->a.va;
    test->rs3 = test->b.va;
    desc->d_type = (uint8_t)test->d.type;
    desc->a_type = (uint8_t)test->a.type;
    desc->b_type = (uint8_t)test->b.type;
    desc->c_type = (uint8_t)test->c.type;
    desc->r_type = (uint8_t)test->r.type;
    desc->c_addr = test->c.va;
    desc->r_addr = test->r.va;
}

static void destination(room_t *room, test_case_t *test, dtype_t type) {
    view_of(test, &test->d, type);
    room_place(room, &test->d, LAYOUT_UNIQUE, true);
    set_strides(test->desc.vec.d_stride, &test->d);
}

// A result with some dims reduced, at least one where one is above 1.
static void reduced(room_t *room, const test_case_t *test, view_t *view, dtype_t type,
                    int32_t stride[4]) {
    uint32_t keep = random_below(&room->random, 16);
    view_of(test, view, type);
    for (unsigned i = 0; i < 4; i++)
        if (!(keep >> i & 1))
            view->count[2 + i] = 1;
    room_place(room, view, LAYOUT_UNIQUE, true);
    room_fill(room, view, false);
    for (unsigned i = 0; i < 4; i++)
        if (!(keep >> i & 1))
            view->stride[2 + i] = 0;
    set_strides(stride, view);
    memcpy(&view->count[2], test->desc.vec.count, 16);
}

static bool int_func(unsigned func) {
    switch (func) {
    case XA_FUNC_NONE:
    case XA_FUNC_NEG:
    case XA_FUNC_ABS:
    case XA_FUNC_SIGN:
    case XA_FUNC_SQUARE:
    case XA_FUNC_RELU:
    case XA_FUNC_CLAMP:
    case XA_FUNC_NOT:
    case XA_FUNC_BITNOT:
    case XA_FUNC_ISNEG:
        return true;
    default:
        return false;
    }
}

static void maybe_row_reduction(room_t *room, test_case_t *test, bool is_int, bool is_f64) {
    xa_vec_desc_t *desc = &test->desc.vec;
    if (random_below(&room->random, 4))
        return;
    desc->flags |= XA_vec_ROWRED;
    desc->flags |= random_below(&room->random, 3) ? 0 : (unsigned)XA_vec_REDACC;
    desc->red = (uint8_t)random_below(&room->random, XA_RED_COUNT);
    desc->flags |= random_below(&room->random, 4) ? 0 : (unsigned)XA_vec_NODST;
    reduced(room, test, &test->r,
            is_int   ? DTYPE_I64
            : is_f64 ? DTYPE_F64
                     : DTYPE_F32,
            desc->r_stride);
}

static void parameters(room_t *room, xa_vec_desc_t *desc) {
    desc->p0 = (float)(random_below(&room->random, 8) + 1) / 4;
    desc->p1 = (float)(random_below(&room->random, 8) + 9) / 4;
}

static void make_unary(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    desc->op = (uint8_t)random_below(&room->random, XA_FUNC_COUNT);
    bool is_int = int_func(desc->op) && random_below(&room->random, 4) == 0;
    is_int = is_int || desc->op == XA_FUNC_BITNOT;
    bool simple = random_below(&room->random, 2);
    desc->alpha = simple ? 1 : (float)random_value(&room->random, DTYPE_F32, false);
    desc->beta = simple ? 0 : (float)random_value(&room->random, DTYPE_F32, false);
    parameters(room, desc);
    source(room, test, &test->a, is_int ? PICK(room, int_types) : pick_float(room), desc->a_stride);
    bool is_bool = desc->op >= XA_FUNC_ISNAN || desc->op == XA_FUNC_NOT;
    destination(room, test,
                is_bool  ? DTYPE_BOOL
                : is_int ? PICK(room, int_types)
                         : pick_float(room));
    bool is_f64 = test->a.type == DTYPE_F64 || test->d.type == DTYPE_F64;
    maybe_row_reduction(room, test, is_int, is_f64);
}

static void make_binary(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    desc->op = (uint8_t)random_below(&room->random, XA_BIN_COUNT);
    bool shifts = desc->op == XA_BIN_SHL || desc->op == XA_BIN_SHR;
    bool is_int = shifts || (desc->op != XA_BIN_EXPDIFF && random_below(&room->random, 3) == 0);
    bool logical = desc->op >= XA_BIN_AND && desc->op <= XA_BIN_XOR && !is_int;
    bool compares = desc->op >= XA_BIN_EQ && desc->op <= XA_BIN_GE;
    dtype_t type = logical ? DTYPE_BOOL : is_int ? PICK(room, int_types) : pick_float(room);
    source(room, test, &test->a, type, desc->a_stride);
    bool mixes = !is_int && !logical && random_below(&room->random, 4) == 0;
    source(room, test, &test->b, mixes ? pick_float(room) : type, desc->b_stride);
    desc->post = (uint8_t)(random_below(&room->random, 3) || compares || logical ? XA_FUNC_NONE
                           : is_int                                              ? XA_FUNC_RELU
                                    : random_below(&room->random, XA_FUNC_NOT));
    parameters(room, desc);
    destination(room, test, compares || logical ? DTYPE_BOOL : type);
    bool is_f64 = test->a.type == DTYPE_F64 || test->b.type == DTYPE_F64;
    maybe_row_reduction(room, test, is_int || logical, is_f64);
}

static void make_ternary(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    desc->op = (uint8_t)random_below(&room->random, XA_TER_COUNT);
    bool is_int = desc->op != XA_TER_LERP && random_below(&room->random, 3) == 0;
    dtype_t type = is_int ? PICK(room, int_types) : pick_float(room);
    source(room, test, &test->a, type, desc->a_stride);
    source(room, test, &test->b, type, desc->b_stride);
    source(room, test, &test->c, desc->op == XA_TER_SELECT ? DTYPE_BOOL : type, desc->c_stride);
    destination(room, test, type);
}

static void make_convert(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    source(room, test, &test->a, PICK(room, all_types), desc->a_stride);
    destination(room, test, PICK(room, all_types));
    desc->flags = random_below(&room->random, 2) ? (unsigned)XA_vec_SATURATE : 0;
    desc->imm0 = random_below(&room->random, 3);
}

static const dtype_t quant_types[] = {DTYPE_U8, DTYPE_I8, DTYPE_U8,  DTYPE_I8, DTYPE_I32,
                                      DTYPE_U4, DTYPE_I4, DTYPE_I16, DTYPE_U2, DTYPE_F8E4M3FN};
static const dtype_t scale_types[] = {DTYPE_F32, DTYPE_F32, DTYPE_F16, DTYPE_BF16};

static void make_quant(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    dtype_t small = PICK(room, quant_types), wide = PICK(room, scale_types);
    bool is_dequant = test->insn == XA_I_V_DEQUANT;
    source(room, test, &test->a, is_dequant ? small : wide, desc->a_stride);
    view_of(test, &test->b, PICK(room, scale_types));
    room_place(room, &test->b, LAYOUT_ANY, true);
    room_fill(room, &test->b, false);
    set_strides(desc->b_stride, &test->b);
    if (random_below(&room->random, 2) && !dtype_is_float(small))
        source(room, test, &test->c, small, desc->c_stride);
    destination(room, test, is_dequant ? wide : small);
}

static void make_reduce(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    bool is_int = random_below(&room->random, 4) == 0;
    desc->op = (uint8_t)random_below(&room->random, XA_RED_COUNT);
    desc->flags = random_below(&room->random, 3) ? 0 : (unsigned)XA_vec_REDACC;
    source(room, test, &test->a, is_int ? PICK(room, int_types) : pick_float(room), desc->a_stride);
    dtype_t type = is_int                           ? test->a.type
                   : random_below(&room->random, 2) ? DTYPE_F32
                                                    : test->a.type;
    reduced(room, test, &test->d, type, desc->d_stride);
}

// d has one element along the axis.
static void make_argred(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    desc->axis = (uint8_t)random_below(&room->random, 4);
    desc->flags =
        random_below(&room->random, 4) * (unsigned)XA_vec_LAST & (XA_vec_LAST | XA_vec_MIN);
    desc->flags |= random_below(&room->random, 2) ? (unsigned)XA_vec_MIN : 0;
    desc->imm0 = random_below(&room->random, 100);
    bool is_int = random_below(&room->random, 3) == 0;
    source(room, test, &test->a, is_int ? PICK(room, int_types) : pick_float(room), desc->a_stride);
    view_of(test, &test->d, random_below(&room->random, 2) ? DTYPE_I64 : DTYPE_I32);
    test->d.count[2 + desc->axis] = 1;
    room_place(room, &test->d, LAYOUT_UNIQUE, true);
    set_strides(desc->d_stride, &test->d);
}

static void make_scan(room_t *room, test_case_t *test) {
    static const uint8_t ops[] = {XA_RED_SUM, XA_RED_MAX, XA_RED_MIN, XA_RED_PROD};
    xa_vec_desc_t *desc = &test->desc.vec;
    desc->axis = (uint8_t)random_below(&room->random, 4);
    desc->op = PICK(room, ops);
    desc->flags = (random_below(&room->random, 2) ? (unsigned)XA_vec_EXCLUSIVE : 0) |
                  (random_below(&room->random, 2) ? (unsigned)XA_vec_REVERSE : 0);
    bool is_int = random_below(&room->random, 3) == 0;
    source(room, test, &test->a, is_int ? PICK(room, int_types) : pick_float(room), desc->a_stride);
    destination(room, test, test->a.type);
}

// Sources of windows have dims 0 and 1 for the offsets.
static void windowed(room_t *room, const test_case_t *test, view_t *view, dtype_t type,
                     int32_t stride[4], int32_t k_stride[2]) {
    view_of(test, view, type);
    view->count[0] = test->desc.vec.k[0];
    view->count[1] = test->desc.vec.k[1];
    room_place(room, view, LAYOUT_ANY, true);
    // Often overlapping windows, as in a picture: the offsets step like the rows do.
    if (random_below(&room->random, 2) && view->count[3] > 1)
        view->stride[0] = view->stride[3];
    if (random_below(&room->random, 2) && view->count[4] > 1)
        view->stride[1] = view->stride[4];
    uint64_t low = 0; // keep the address above all elements
    for (int i = 0; i < 6; i++)
        if (view->stride[i] < 0)
            low += (uint64_t)-view->stride[i] * (view->count[i] - 1);
    uint64_t span = low + 64;
    for (int i = 0; i < 6; i++)
        if (view->stride[i] > 0)
            span += (uint64_t)view->stride[i] * (view->count[i] - 1);
    view->va = room->lm_next / 64 * 64 + 64 + low;
    room->lm_next += span + 128;
    room_fill(room, view, false);
    set_strides(stride, view);
    k_stride[0] = (int32_t)view->stride[0];
    k_stride[1] = (int32_t)view->stride[1];
}

static void make_window(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    bool is_mac = test->insn == XA_I_V_WMAC, is_int = random_below(&room->random, 5) == 0;
    desc->k[0] = 1 + random_below(&room->random, 4);
    desc->k[1] = 1 + random_below(&room->random, 4);
    desc->op = (uint8_t)random_below(&room->random, XA_RED_COUNT);
    desc->alpha = random_below(&room->random, 2) ? 1 : 0.125f;
    dtype_t type = is_int ? (is_mac ? DTYPE_U8 : PICK(room, int_types)) : pick_float(room);
    windowed(room, test, &test->a, type, desc->a_stride, desc->ka_stride);
    if (is_mac) {
        windowed(room, test, &test->b, is_int ? DTYPE_I8 : type, desc->b_stride, desc->kb_stride);
        desc->post =
            (uint8_t)(is_int ? XA_FUNC_NONE : random_below(&room->random, 2) * XA_FUNC_CLAMP);
        parameters(room, desc);
        if (random_below(&room->random, 2)) {
            desc->flags |= XA_vec_BIAS;
            source(room, test, &test->c, is_int ? DTYPE_I32 : DTYPE_F32, desc->c_stride);
        }
    }
    destination(room, test, is_int && is_mac ? DTYPE_I32 : type);
}

static void make_linear(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    desc->axis = (uint8_t)random_below(&room->random, 4);
    desc->count[desc->axis] = 1;
    desc->lin_in = 1 + random_below(&room->random, 8);
    desc->lin_out = 1 + random_below(&room->random, 8);
    dtype_t type = PICK(room, scale_types);
    view_of(test, &test->a, type);
    test->a.count[2 + desc->axis] = desc->lin_in;
    room_place(room, &test->a, LAYOUT_ANY, true);
    room_fill(room, &test->a, false);
    set_strides(desc->a_stride, &test->a);
    test->b = (view_t){.type = DTYPE_F32, .count = {1, 1, 1, 1, desc->lin_out, desc->lin_in}};
    room_place(room, &test->b, LAYOUT_DENSE, true);
    room_fill(room, &test->b, false);
    view_of(test, &test->d, type);
    test->d.count[2 + desc->axis] = desc->lin_out;
    room_place(room, &test->d, LAYOUT_UNIQUE, true);
    set_strides(desc->d_stride, &test->d);
}

static void make_indexed(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    bool is_scatter = test->insn == XA_I_V_SCATTER;
    desc->axis = (uint8_t)random_below(&room->random, 4);
    desc->idx_bound = 1 + random_below(&room->random, 20);
    desc->op = (uint8_t)random_below(&room->random, 4);
    dtype_t type = random_below(&room->random, 2) ? PICK(room, int_types) : pick_float(room);
    if (random_below(&room->random, 6) == 0)
        type = DTYPE_U4;
    if (is_scatter && random_below(&room->random, 2))
        desc->flags |= XA_vec_REDACC;
    view_of(test, &test->a, type);
    view_of(test, &test->d, type);
    (is_scatter ? &test->d : &test->a)->count[2 + desc->axis] = desc->idx_bound;
    room_place(room, &test->a, LAYOUT_ANY, true);
    room_place(room, &test->d, LAYOUT_UNIQUE, true);
    room_fill(room, &test->a, false);
    room_fill(room, &test->d, false);
    set_strides(desc->a_stride, &test->a);
    set_strides(desc->d_stride, &test->d);
    test->b = (view_t){.type = random_below(&room->random, 2) ? DTYPE_I32 : DTYPE_I64,
                       .count = {1, 1, 1, 1, 1, desc->count[desc->axis]}};
    room_place(room, &test->b, LAYOUT_DENSE, true);
    bool wraps = random_below(&room->random, 2);
    desc->flags |= wraps ? (unsigned)XA_vec_WRAP : 0;
    for (uint32_t i = 0; i < desc->count[desc->axis]; i++) {
        double index = random_below(&room->random, desc->idx_bound);
        if (wraps && random_below(&room->random, 2))
            index -= desc->idx_bound;
        machine_store(room->machine, test->b.type, test->b.va + i * dtype_bytes(test->b.type), 0,
                      index);
    }
}

static void make_generate(room_t *room, test_case_t *test) {
    xa_vec_desc_t *desc = &test->desc.vec;
    desc->axis = (uint8_t)random_below(&room->random, 4);
    desc->alpha = (float)random_value(&room->random, DTYPE_F32, false);
    desc->beta = (float)random_value(&room->random, DTYPE_F32, false);
    desc->imm0 = (int64_t)random_below(&room->random, 0) - INT32_MAX;
    desc->imm1 = (int64_t)random_below(&room->random, 100) - 50;
    destination(room, test,
                test->insn == XA_I_V_FILL        ? PICK(room, all_types)
                : random_below(&room->random, 2) ? PICK(room, int_types)
                                                 : PICK(room, scale_types));
}

void case_make_vec(room_t *room, test_case_t *test) {
    bool has_window = test->insn == XA_I_V_WREDUCE || test->insn == XA_I_V_WMAC;
    pick_counts(room, test->desc.vec.count);
    bool has_list = test->insn == XA_I_V_GATHER || test->insn == XA_I_V_SCATTER;
    limit_counts(test->desc.vec.count, has_window || has_list ? 300 : 1500);
    switch (test->insn) {
    case XA_I_V_UNARY:
        make_unary(room, test);
        break;
    case XA_I_V_BINARY:
        make_binary(room, test);
        break;
    case XA_I_V_TERNARY:
        make_ternary(room, test);
        break;
    case XA_I_V_CONVERT:
        make_convert(room, test);
        break;
    case XA_I_V_DEQUANT:
    case XA_I_V_QUANT:
        make_quant(room, test);
        break;
    case XA_I_V_REDUCE:
        make_reduce(room, test);
        break;
    case XA_I_V_ARGRED:
        make_argred(room, test);
        break;
    case XA_I_V_SCAN:
        make_scan(room, test);
        break;
    case XA_I_V_WREDUCE:
    case XA_I_V_WMAC:
        make_window(room, test);
        break;
    case XA_I_V_LINEAR:
        make_linear(room, test);
        break;
    case XA_I_V_GATHER:
    case XA_I_V_SCATTER:
        make_indexed(room, test);
        break;
    default:
        make_generate(room, test);
    }
    finish(test);
}
