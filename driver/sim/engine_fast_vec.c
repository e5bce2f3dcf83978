// SPDX-License-Identifier: Apache-2.0
// The vector engine: rows of f32 through the loops of engine_fast_k_row.c. Other types and strides
// are brought into contiguous rows at the edges, a chunk at a time.
#include "driver/sim/engine_fast_vec.h"

#include <string.h>

#include "driver/sim/engine_row.h"
#include "support/numeric.h"

#define CHUNK SIM_ROW_MAX

// --- Operands ------------------------------------------------------------------------------------

bool fast_vec_is_number(uint32_t type) {
    return num_is_number((dtype_t)type) && dtype_bits((dtype_t)type) >= 8;
}

static fast_box_t vec_box(uint64_t va, uint32_t type, const uint32_t count[4],
                          const int32_t stride[4]) {
    fast_box_t box = {.va = va, .run = dtype_bytes((dtype_t)type)};
    for (unsigned i = 0; i < 4; i++)
        fast_box_dim(&box, count[i], stride[i]);
    return box;
}

bool fast_vec_source(sim_engine_ctx_t *ctx, fast_vec_operand_t *x, uint64_t va, uint32_t type,
                     const uint32_t count[4], const int32_t stride[4]) {
    if (!fast_vec_is_number(type))
        return false;
    x->box = vec_box(va, type, count, stride);
    x->type = (dtype_t)type;
    fast_box_t moved = x->box;
    x->at = (uint8_t *)(uintptr_t)fast_read(ctx, &moved);
    for (unsigned i = 0; i < 4; i++)
        x->stride[i] = moved.dim[i].stride;
    return x->at != NULL;
}

bool fast_vec_target(sim_engine_ctx_t *ctx, fast_vec_operand_t *x, uint64_t va, uint32_t type,
                     const uint32_t count[4], const int32_t stride[4], bool keep) {
    x->type = (dtype_t)type;
    for (unsigned i = 0; i < 4; i++)
        x->stride[i] = stride[i];
    x->box = vec_box(va, type, count, stride);
    x->at = fast_write(ctx, &x->box, keep);
    return x->at != NULL;
}

// Reading x while writing d is fine where each element is read just before its place is written.
static bool harmless(const fast_vec_operand_t *x, const fast_box_t *d) {
    if (!fast_overlap(&x->box, d))
        return true;
    for (unsigned i = 0; i < 4; i++) {
        if (d->dim[i].count > 1 && x->box.dim[i].stride != d->dim[i].stride)
            return false;
    }
    return x->box.va == d->va && x->box.run == d->run;
}

static bool repeats(const uint32_t count[4], const int32_t stride[4]) {
    for (unsigned i = 0; i < 4; i++) {
        if (count[i] > 1 && stride[i] == 0)
            return true;
    }
    return false;
}

// --- Rows ----------------------------------------------------------------------------------------

static void widen(const fast_kernels_t *k, dtype_t type, float *to, const void *from, size_t n) {
    switch (type) {
    case DTYPE_F16:
        k->move->f16_to_f32(to, from, n);
        break;
    case DTYPE_BF16:
        k->move->bf16_to_f32(to, from, n);
        break;
    case DTYPE_I32:
        k->move->i32_to_f32(to, from, n);
        break;
    case DTYPE_I8:
        k->move->i8_to_f32(to, from, n);
        break;
    default: // u8, bool
        k->move->u8_to_f32(to, from, n);
    }
}

static bool widens(dtype_t type) {
    return type == DTYPE_F16 || type == DTYPE_BF16 || type == DTYPE_I32 || type == DTYPE_I8 ||
           type == DTYPE_U8 || type == DTYPE_BOOL;
}

// n elements as f32, in place where they are that already; *out_one: a single element stands for
// all.
static const float *load_row(const fast_kernels_t *k, const fast_vec_operand_t *x,
                             const uint8_t *at, int64_t step, uint32_t n, sim_row_t *room,
                             bool *out_one) {
    uint32_t size = dtype_bytes(x->type);
    *out_one = step == 0;
    n = step == 0 ? 1 : n;
    if (x->type == DTYPE_F32 && (step == 4 || n == 1))
        return (const float *)(const void *)at;
    if (widens(x->type) && (step == size || n == 1)) {
        widen(k, x->type, room->f, at, n);
        return room->f;
    }
    sim_row_ref_t from = {.at = (uint8_t *)(uintptr_t)at, .step = step, .type = x->type};
    sim_row_load(SIM_KIND_F32, from, n, room);
    return room->f;
}

// The same with a lone element repeated.
static const float *load_full_row(const fast_kernels_t *k, const fast_vec_operand_t *x,
                                  const uint8_t *at, int64_t step, uint32_t n, sim_row_t *room) {
    bool one;
    const float *row = load_row(k, x, at, step, n, room, &one);
    if (!one || n == 1)
        return row;
    float value;
    memcpy(&value, row, sizeof value);
    for (uint32_t i = 0; i < n; i++)
        room->f[i] = value;
    return room->f;
}

static void store_row(const fast_vec_run_t *run, uint8_t *at, int64_t step, uint32_t n,
                      const sim_row_t *row) {
    dtype_t type = run->d.type;
    if (run->whole_numbers && step == 1) {
        const fast_move_kernels_t *move = run->kernels->move;
        (type == DTYPE_U8 ? move->f32_to_u8 : move->f32_to_i8)(at, row->f, n);
        return;
    }
    if (type == DTYPE_F16 && step == 2) {
        run->kernels->move->f32_to_f16(at, row->f, n);
    } else if (type == DTYPE_BF16 && step == 2) {
        run->kernels->move->f32_to_bf16(at, row->f, n);
    } else {
        sim_row_ref_t to = {.at = at, .step = step, .type = type};
        sim_row_store(SIM_KIND_F32, to, n, row, false, run->mode);
    }
}

// --- One piece of a row --------------------------------------------------------------------------

static void compute(const fast_vec_run_t *run, uint8_t *const at[FAST_VEC_OPERANDS],
                    const int64_t step[FAST_VEC_OPERANDS], uint32_t n, float *to) {
    sim_row_t a_room, b_room, c_room;
    bool a_one, b_one;
    const fast_kernels_t *k = run->kernels;
    if (run->unary != NULL) {
        const float *a = load_full_row(k, &run->a, at[FAST_VEC_A], step[FAST_VEC_A], n, &a_room);
        run->unary(to, a, n, &run->args);
    } else if (run->binary != NULL) {
        const float *a = load_row(k, &run->a, at[FAST_VEC_A], step[FAST_VEC_A], n, &a_room, &a_one);
        const float *b = load_row(k, &run->b, at[FAST_VEC_B], step[FAST_VEC_B], n, &b_room, &b_one);
        run->binary(to, a, b, n, a_one, b_one);
        if (run->post != NULL)
            run->post(to, to, n, &run->args);
    } else {
        const float *a = load_full_row(k, &run->a, at[FAST_VEC_A], step[FAST_VEC_A], n, &a_room);
        const float *b = load_full_row(k, &run->b, at[FAST_VEC_B], step[FAST_VEC_B], n, &b_room);
        const float *c = load_full_row(k, &run->c, at[FAST_VEC_C], step[FAST_VEC_C], n, &c_room);
        run->ternary(to, a, b, c, n);
    }
}

static void reduce(const fast_vec_run_t *run, uint8_t *r, int64_t step, uint32_t n,
                   const float *row) {
    if (step == 0 && n > 0) {
        float sum;
        memcpy(&sum, r, sizeof sum);
        sum = run->fold(row, n, sum);
        memcpy(r, &sum, sizeof sum);
    } else if (step == 4) {
        run->merge((float *)(void *)r, row, n);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            float sum;
            memcpy(&sum, r + i * step, sizeof sum);
            run->merge(&sum, row + i, 1);
            memcpy(r + i * step, &sum, sizeof sum);
        }
    }
}

static void piece(const fast_vec_run_t *run, uint8_t *const at[FAST_VEC_OPERANDS],
                  const int64_t step[FAST_VEC_OPERANDS], uint32_t n) {
    sim_row_t room;
    bool direct = run->has_d && run->d.type == DTYPE_F32 && step[FAST_VEC_D] == 4;
    float *to = direct ? (float *)(void *)at[FAST_VEC_D] : room.f;
    const float *row = to;
    if (run->plain) // only a reduction: no copy
        row = load_full_row(run->kernels, &run->a, at[FAST_VEC_A], step[FAST_VEC_A], n, &room);
    else
        compute(run, at, step, n, to);
    if (run->has_d && !direct)
        store_row(run, at[FAST_VEC_D], step[FAST_VEC_D], n, &room);
    if (run->has_r)
        reduce(run, at[FAST_VEC_R], step[FAST_VEC_R], n, row);
}

// --- The walk ------------------------------------------------------------------------------------

static const fast_vec_operand_t *operand(const fast_vec_run_t *run, unsigned i) {
    const fast_vec_operand_t *all[] = {&run->d, &run->a, &run->b, &run->c, &run->r};
    return all[i];
}

typedef struct loops {
    uint32_t n;
    uint32_t count[4];
    int64_t stride[4][FAST_VEC_OPERANDS];
} loops_t;

// Dims above 1, merged with their neighbours where all operands allow it.
static void arrange(const fast_vec_run_t *run, const uint32_t count[4], loops_t *l) {
    l->n = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (count[i] == 1)
            continue;
        bool merge = l->n > 0 && (uint64_t)l->count[l->n - 1] * count[i] <= UINT32_MAX;
        for (unsigned j = 0; merge && j < FAST_VEC_OPERANDS; j++)
            merge = l->stride[l->n - 1][j] == operand(run, j)->stride[i] * (int64_t)count[i];
        if (merge) {
            l->count[l->n - 1] *= count[i];
        } else {
            l->count[l->n++] = count[i];
        }
        for (unsigned j = 0; j < FAST_VEC_OPERANDS; j++)
            l->stride[l->n - 1][j] = operand(run, j)->stride[i];
    }
    if (l->n == 0) {
        l->n = l->count[0] = 1;
        memset(l->stride, 0, sizeof l->stride);
    }
}

// Where the last dim is short and another one is long and as simple, that one goes innermost. Never
// with a reduction: the order of sums should not hang on it.
static void prefer_long(const fast_vec_run_t *run, loops_t *l) {
    uint32_t last = l->n - 1, best = last;
    if (run->has_r || l->count[last] >= 16)
        return;
    for (uint32_t i = 0; i < last; i++) {
        if (l->count[i] > l->count[best] * 4)
            best = i;
    }
    if (best == last)
        return;
    uint32_t count = l->count[best];
    l->count[best] = l->count[last];
    l->count[last] = count;
    for (unsigned j = 0; j < FAST_VEC_OPERANDS; j++) {
        int64_t stride = l->stride[best][j];
        l->stride[best][j] = l->stride[last][j];
        l->stride[last][j] = stride;
    }
}

static void run_row(const fast_vec_run_t *run, uint8_t *const start[FAST_VEC_OPERANDS],
                    const int64_t step[FAST_VEC_OPERANDS], uint32_t count) {
    uint8_t *at[FAST_VEC_OPERANDS];
    memcpy(at, start, sizeof at);
    // Without conversions a row needs no rooms and is one piece.
    uint32_t most = run->whole ? UINT32_MAX : CHUNK;
    for (uint32_t i = 0, n; i < count; i += n) {
        n = count - i < most ? count - i : most;
        piece(run, at, step, n);
        for (unsigned j = 0; j < FAST_VEC_OPERANDS; j++)
            at[j] = at[j] == NULL ? NULL : at[j] + step[j] * (int64_t)n;
    }
}

static bool in_place(const fast_vec_operand_t *x, int64_t step, bool lone) {
    return x->at == NULL || (x->type == DTYPE_F32 && (step == 4 || (lone && step == 0)));
}

void fast_vec_run(fast_vec_run_t *run, const uint32_t count[4]) {
    loops_t l;
    uint32_t index[4] = {0};
    uint8_t *at[FAST_VEC_OPERANDS];
    arrange(run, count, &l);
    prefer_long(run, &l);
    const int64_t *step = l.stride[l.n - 1];
    run->whole = in_place(&run->d, step[FAST_VEC_D], false) && (run->has_d || run->plain) &&
                 in_place(&run->a, step[FAST_VEC_A], run->binary != NULL) &&
                 in_place(&run->b, step[FAST_VEC_B], run->binary != NULL) &&
                 in_place(&run->c, step[FAST_VEC_C], false);
    for (unsigned j = 0; j < FAST_VEC_OPERANDS; j++)
        at[j] = operand(run, j)->at;
    for (;;) {
        run_row(run, at, step, l.count[l.n - 1]);
        uint32_t level = l.n - 1;
        while (level > 0) {
            level--;
            for (unsigned j = 0; j < FAST_VEC_OPERANDS; j++)
                at[j] = at[j] == NULL ? NULL : at[j] + l.stride[level][j];
            if (++index[level] < l.count[level])
                break;
            for (unsigned j = 0; j < FAST_VEC_OPERANDS; j++)
                at[j] = at[j] == NULL ? NULL : at[j] - l.stride[level][j] * (int64_t)l.count[level];
            index[level] = 0;
            if (level == 0)
                return;
        }
        if (l.n == 1)
            return;
    }
}

// --- Reductions ----------------------------------------------------------------------------------

static float identity(uint32_t red) {
    switch (red) {
    case XA_RED_MAX:
        return num_bits_to_f32(0xff800000);
    case XA_RED_MIN:
        return num_bits_to_f32(0x7f800000);
    case XA_RED_PROD:
        return 1;
    default:
        return 0;
    }
}

// Sets r's elements to what the reduction starts from.
static void clear_result(const fast_vec_operand_t *r, const uint32_t count[4], uint32_t red) {
    float value = identity(red);
    uint32_t n[4];
    for (unsigned i = 0; i < 4; i++)
        n[i] = r->stride[i] == 0 ? 1 : count[i];
    for (uint32_t i = 0; i < n[0]; i++)
        for (uint32_t j = 0; j < n[1]; j++)
            for (uint32_t k = 0; k < n[2]; k++)
                for (uint32_t l = 0; l < n[3]; l++)
                    memcpy(r->at + i * r->stride[0] + j * r->stride[1] + k * r->stride[2] +
                               l * r->stride[3],
                           &value, sizeof value);
}

static bool take_result(sim_engine_ctx_t *ctx, fast_vec_run_t *run, uint64_t va, uint32_t type,
                        const uint32_t count[4], const int32_t stride[4], uint32_t red,
                        bool accumulate) {
    if (type != DTYPE_F32 || red >= FAST_REDS || run->kernels->row->fold[red] == NULL ||
        !fast_vec_target(ctx, &run->r, va, type, count, stride, true))
        return false;
    run->has_r = true;
    run->fold = run->kernels->row->fold[red];
    run->merge = run->kernels->row->merge[red];
    run->clear = !accumulate;
    run->red = red;
    return true;
}

static fast_box_t result_box(uint64_t va, uint32_t type, const uint32_t count[4],
                             const int32_t stride[4]) {
    return vec_box(va, type, count, stride);
}

static void finish(fast_vec_run_t *run, const uint32_t count[4]) {
    if (run->has_r && run->clear)
        clear_result(&run->r, count, run->red);
    fast_vec_run(run, count);
}

// --- Instructions --------------------------------------------------------------------------------

// What ref computes in f32: a float among the types, none of 64 bits.
static bool in_f32(uint32_t d, uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t types[] = {d, a, b, c};
    bool any = false;
    for (unsigned i = 0; i < 4; i++) {
        if (types[i] == DTYPE_F64)
            return false;
        any = any || (types[i] != 0 && dtype_is_float((dtype_t)types[i]));
    }
    return any;
}

static bool map(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *v, uint64_t to,
                uint64_t a, uint64_t b) {
    bool two = insn == XA_I_V_BINARY, has_d = !(v->flags & XA_vec_NODST);
    const fast_row_kernels_t *row = fast_state(ctx)->kernels->row;
    fast_vec_run_t run = {.kernels = fast_state(ctx)->kernels, .has_d = has_d};
    uint32_t func = two ? v->post : v->op;
    if (!in_f32(has_d ? v->d_type : 0, v->a_type, two ? v->b_type : 0, 0) || func >= FAST_FUNCS ||
        row->unary[func] == NULL)
        return false;
    if (two && (v->op >= FAST_BINARY || row->binary[v->op] == NULL))
        return false;
    run.args = two ? FAST_ARGS_PLAIN(v->p0, v->p1) : (fast_args_t){v->alpha, v->beta, v->p0, v->p1};
    run.unary = two ? NULL : row->unary[func];
    run.binary = two ? row->binary[v->op] : NULL;
    run.post = two && func != XA_FUNC_NONE ? row->unary[func] : NULL;
    run.mode = v->flags & XA_vec_SATURATE ? NUM_SATURATE : 0;
    if (!fast_vec_source(ctx, &run.a, a, v->a_type, v->count, v->a_stride) ||
        (two && !fast_vec_source(ctx, &run.b, b, v->b_type, v->count, v->b_stride)))
        return false;
    fast_box_t d = result_box(to, v->d_type, v->count, v->d_stride);
    fast_box_t r = result_box(v->r_addr, v->r_type, v->count, v->r_stride);
    bool has_r = v->flags & XA_vec_ROWRED;
    if (has_d && (!fast_vec_is_number(v->d_type) || repeats(v->count, v->d_stride) ||
                  !harmless(&run.a, &d) || (two && !harmless(&run.b, &d))))
        return false;
    if (has_r && (fast_overlap(&run.a.box, &r) || (two && fast_overlap(&run.b.box, &r)) ||
                  (has_d && fast_overlap(&d, &r))))
        return false;
    if (has_r && !take_result(ctx, &run, v->r_addr, v->r_type, v->count, v->r_stride, v->red,
                              v->flags & XA_vec_REDACC))
        return false;
    if (has_d && !fast_vec_target(ctx, &run.d, to, v->d_type, v->count, v->d_stride, false))
        return false;
    finish(&run, v->count);
    return true;
}

static bool ternary(sim_engine_ctx_t *ctx, const xa_vec_desc_t *v, uint64_t to, uint64_t a,
                    uint64_t b) {
    fast_vec_run_t run = {.kernels = fast_state(ctx)->kernels, .has_d = true};
    uint32_t c_type = v->op == XA_TER_SELECT ? 0 : v->c_type;
    // A condition that f32 could round to zero is one for ref.
    bool small = widens((dtype_t)v->c_type) || v->c_type == DTYPE_F32;
    if (v->op >= FAST_TERNARY || !in_f32(v->d_type, v->a_type, v->b_type, c_type) ||
        (v->op == XA_TER_SELECT && !small) || !fast_vec_is_number(v->d_type) ||
        repeats(v->count, v->d_stride))
        return false;
    run.ternary = run.kernels->row->ternary[v->op];
    run.mode = v->flags & XA_vec_SATURATE ? NUM_SATURATE : 0;
    fast_box_t d = result_box(to, v->d_type, v->count, v->d_stride);
    if (!fast_vec_source(ctx, &run.a, a, v->a_type, v->count, v->a_stride) ||
        !fast_vec_source(ctx, &run.b, b, v->b_type, v->count, v->b_stride) ||
        !fast_vec_source(ctx, &run.c, v->c_addr, v->c_type, v->count, v->c_stride) ||
        !harmless(&run.a, &d) || !harmless(&run.b, &d) || !harmless(&run.c, &d) ||
        !fast_vec_target(ctx, &run.d, to, v->d_type, v->count, v->d_stride, false))
        return false;
    fast_vec_run(&run, v->count);
    return true;
}

// Conversions that go by way of f32 without a second rounding.
static bool by_f32(uint32_t d, uint32_t a) {
    bool d_float = d == DTYPE_F32 || d == DTYPE_F16 || d == DTYPE_BF16;
    bool a_float = a == DTYPE_F32 || a == DTYPE_F16 || a == DTYPE_BF16;
    bool a_byte = a == DTYPE_U8 || a == DTYPE_I8 || a == DTYPE_BOOL;
    return d_float && (a_float || a_byte || (a == DTYPE_I32 && d == DTYPE_F32));
}

static bool convert(sim_engine_ctx_t *ctx, const xa_vec_desc_t *v, uint64_t to, uint64_t a) {
    const fast_kernels_t *k = fast_state(ctx)->kernels;
    fast_vec_run_t run = {.kernels = k, .has_d = true, .unary = k->row->unary[XA_FUNC_NONE]};
    fast_box_t d = result_box(to, v->d_type, v->count, v->d_stride);
    run.args = FAST_ARGS_PLAIN(0, 0);
    if (!by_f32(v->d_type, v->a_type) || v->imm0 != 0 || repeats(v->count, v->d_stride) ||
        !fast_vec_source(ctx, &run.a, a, v->a_type, v->count, v->a_stride) ||
        !harmless(&run.a, &d) ||
        !fast_vec_target(ctx, &run.d, to, v->d_type, v->count, v->d_stride, false))
        return false;
    fast_vec_run(&run, v->count);
    return true;
}

static bool is_byte(uint32_t type) { return type == DTYPE_U8 || type == DTYPE_I8; }

// Of bytes: their differences are exact in f32.
static bool quantization(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *v, uint64_t to,
                         uint64_t a, uint64_t b) {
    bool widen_it = insn == XA_I_V_DEQUANT, has_zero = v->c_addr != 0;
    uint32_t narrow = widen_it ? v->a_type : v->d_type, wide = widen_it ? v->d_type : v->a_type;
    fast_vec_run_t run = {.kernels = fast_state(ctx)->kernels, .has_d = true};
    fast_box_t d = result_box(to, v->d_type, v->count, v->d_stride);
    if (!is_byte(narrow) || wide != DTYPE_F32 || v->b_type != DTYPE_F32 ||
        (has_zero && !is_byte(v->c_type)) || (!has_zero && !widen_it) ||
        repeats(v->count, v->d_stride))
        return false;
    run.whole_numbers = !widen_it;
    run.mode = NUM_SATURATE;
    if (!has_zero)
        run.binary = run.kernels->row->binary[XA_BIN_MUL];
    else
        run.ternary = widen_it ? run.kernels->row->dequantize : run.kernels->row->quantize;
    if (!fast_vec_source(ctx, &run.a, a, v->a_type, v->count, v->a_stride) ||
        !fast_vec_source(ctx, &run.b, b, v->b_type, v->count, v->b_stride) ||
        (has_zero && !fast_vec_source(ctx, &run.c, v->c_addr, v->c_type, v->count, v->c_stride)) ||
        !harmless(&run.a, &d) || !harmless(&run.b, &d) || (has_zero && !harmless(&run.c, &d)) ||
        !fast_vec_target(ctx, &run.d, to, v->d_type, v->count, v->d_stride, false))
        return false;
    fast_vec_run(&run, v->count);
    return true;
}

static bool reduction(sim_engine_ctx_t *ctx, const xa_vec_desc_t *v, uint64_t to, uint64_t a) {
    fast_vec_run_t run = {.kernels = fast_state(ctx)->kernels, .plain = true};
    fast_box_t d = result_box(to, v->d_type, v->count, v->d_stride);
    if (!in_f32(v->d_type, v->a_type, 0, 0) ||
        !fast_vec_source(ctx, &run.a, a, v->a_type, v->count, v->a_stride) ||
        fast_overlap(&run.a.box, &d) ||
        !take_result(ctx, &run, to, v->d_type, v->count, v->d_stride, v->op,
                     v->flags & XA_vec_REDACC))
        return false;
    finish(&run, v->count);
    return true;
}

bool fast_vector(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *v, uint64_t to,
                 uint64_t a, uint64_t b) {
    for (unsigned i = 0; i < 4; i++) {
        if (v->count[i] == 0)
            return false;
    }
    switch (insn) {
    case XA_I_V_UNARY:
    case XA_I_V_BINARY:
        return map(ctx, insn, v, to, a, b);
    case XA_I_V_TERNARY:
        return ternary(ctx, v, to, a, b);
    case XA_I_V_CONVERT:
        return convert(ctx, v, to, a);
    case XA_I_V_DEQUANT:
    case XA_I_V_QUANT:
        return quantization(ctx, insn, v, to, a, b);
    case XA_I_V_REDUCE:
        return reduction(ctx, v, to, a);
    case XA_I_V_WREDUCE:
    case XA_I_V_WMAC:
        return fast_window(ctx, insn, v, to, a, b);
    case XA_I_V_GATHER:
    case XA_I_V_FILL:
        return fast_vec_move(ctx, insn, v, to, a, b);
    default:
        return false;
    }
}
