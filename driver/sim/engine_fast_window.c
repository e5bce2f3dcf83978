// SPDX-License-Identifier: Apache-2.0
// Windowed reduce and multiply-accumulate, gather and fill.
#include <string.h>

#include "driver/sim/engine_fast_copy.h"
#include "driver/sim/engine_fast_vec.h"
#include "support/numeric.h"

// --- Windows -------------------------------------------------------------------------------------

static fast_box_t window_box(uint64_t va, const xa_vec_desc_t *v, uint32_t type,
                             const int32_t stride[4], const int32_t window[2]) {
    fast_box_t box = {.va = va, .run = (uint64_t)v->count[3] * dtype_bytes((dtype_t)type)};
    for (unsigned i = 0; i < 3; i++)
        fast_box_dim(&box, v->count[i], stride[i]);
    fast_box_dim(&box, v->k[0], window[0]);
    fast_box_dim(&box, v->k[1], window[1]);
    return box;
}

static bool is_float(uint32_t type) {
    return type == DTYPE_F32 || type == DTYPE_F16 || type == DTYPE_BF16;
}

static bool contiguous(const xa_vec_desc_t *v, const int32_t stride[4], uint32_t type) {
    return v->count[3] == 1 || stride[3] == (int32_t)dtype_bytes((dtype_t)type);
}

static bool supported(const xa_vec_desc_t *v, bool mac, const fast_kernels_t *k) {
    if (v->k[0] == 0 || v->k[1] == 0 || !is_float(v->a_type) || !is_float(v->d_type) ||
        !contiguous(v, v->a_stride, v->a_type) || !contiguous(v, v->d_stride, v->d_type))
        return false;
    for (unsigned i = 0; i < 4; i++) {
        if (v->count[i] > 1 && v->d_stride[i] == 0)
            return false;
    }
    if (!mac)
        return v->op < FAST_REDS && k->window->wreduce[v->op] != NULL;
    if (v->flags & XA_vec_BIAS &&
        (v->c_type != DTYPE_F32 || !contiguous(v, v->c_stride, DTYPE_F32) ||
         (v->count[2] > 1 && v->c_stride[2] != 0)))
        return false;
    return v->b_type == DTYPE_F32 && contiguous(v, v->b_stride, DTYPE_F32) &&
           (v->count[2] == 1 || v->b_stride[2] == 0) && v->post < FAST_FUNCS &&
           k->row->unary[v->post] != NULL;
}

// All bytes between the first and the last of a box as f32, its strides doubled.
static const uint8_t *widen_box(sim_engine_ctx_t *ctx, fast_box_t *box, const uint8_t *at,
                                uint32_t type) {
    const fast_move_kernels_t *move = fast_state(ctx)->kernels->move;
    int64_t low, high;
    if (!fast_box_extent(box, &low, &high) || low % 2 != 0)
        return NULL;
    for (uint32_t i = 0; i < box->n_dims; i++) {
        if (box->dim[i].stride % 2 != 0)
            return NULL;
        box->dim[i].stride *= 2;
    }
    size_t n = (size_t)(high - low) / 2;
    float *wide = fast_scratch(ctx, FAST_BUFFER_A, n * sizeof *wide);
    if (wide != NULL)
        (type == DTYPE_F16 ? move->f16_to_f32 : move->bf16_to_f32)(wide, at + low, n);
    return wide == NULL ? NULL : (const uint8_t *)wide - low * 2;
}

// One issue, its operands in host memory.
typedef struct windows {
    const xa_vec_desc_t *v;
    const fast_kernels_t *kernels;
    fast_window_t row; // what all rows have in common
    fast_window_fn_t kernel;
    fast_unary_fn_t post; // NULL: the kernel does all
    fast_args_t args;
    uint8_t *d;
    const uint8_t *a, *b, *c;
    int64_t a_stride[2], b_stride[2], c_stride[2];
    float *stage; // a row of results, where d is not f32
} windows_t;

static bool take_weights(sim_engine_ctx_t *ctx, windows_t *w, uint64_t b, const fast_box_t *d) {
    const xa_vec_desc_t *v = w->v;
    fast_box_t weights = window_box(b, v, DTYPE_F32, v->b_stride, v->kb_stride);
    const int32_t none[2] = {0};
    fast_box_t bias = window_box(v->c_addr, v, DTYPE_F32, v->c_stride, none);
    if (fast_overlap(&weights, d))
        return false;
    w->b = fast_read(ctx, &weights);
    w->b_stride[0] = weights.dim[0].stride;
    w->b_stride[1] = weights.dim[1].stride;
    w->row.kb0 = weights.dim[3].stride;
    w->row.kb1 = weights.dim[4].stride;
    if (w->b == NULL || !(v->flags & XA_vec_BIAS))
        return w->b != NULL;
    if (fast_overlap(&bias, d))
        return false;
    w->c = fast_read(ctx, &bias);
    w->c_stride[0] = bias.dim[0].stride;
    w->c_stride[1] = bias.dim[1].stride;
    return w->c != NULL;
}

static bool take_source(sim_engine_ctx_t *ctx, windows_t *w, uint64_t a, const fast_box_t *d) {
    const xa_vec_desc_t *v = w->v;
    fast_box_t box = window_box(a, v, v->a_type, v->a_stride, v->ka_stride);
    if (fast_overlap(&box, d))
        return false;
    w->a = fast_read(ctx, &box);
    if (w->a != NULL && v->a_type != DTYPE_F32)
        w->a = widen_box(ctx, &box, w->a, v->a_type);
    w->a_stride[0] = box.dim[0].stride;
    w->a_stride[1] = box.dim[1].stride;
    w->row.a_x = box.dim[2].stride;
    w->row.ka0 = box.dim[3].stride;
    w->row.ka1 = box.dim[4].stride;
    return w->a != NULL;
}

static void plan_post(windows_t *w, bool mac) {
    const xa_vec_desc_t *v = w->v;
    w->row.alpha = v->alpha;
    w->row.act = FAST_ACT_NONE;
    w->row.act_p0 = v->p0;
    w->row.act_p1 = v->p1;
    w->args = FAST_ARGS_PLAIN(v->p0, v->p1);
    if (!mac || v->post == XA_FUNC_NONE)
        return;
    if (v->post == XA_FUNC_RELU)
        w->row.act = FAST_ACT_RELU;
    else if (v->post == XA_FUNC_CLAMP)
        w->row.act = FAST_ACT_CLAMP;
    else
        w->post = w->kernels->row->unary[v->post];
}

static void store_row(const windows_t *w, uint8_t *to) {
    const xa_vec_desc_t *v = w->v;
    const fast_move_kernels_t *move = w->kernels->move;
    for (uint32_t x = 0; x < v->count[2]; x++, to += v->d_stride[2]) {
        float *from = w->stage == NULL ? (float *)(void *)to : w->stage + (size_t)x * v->count[3];
        if (w->post != NULL)
            w->post(from, from, v->count[3], &w->args);
        if (v->d_type == DTYPE_F16)
            move->f32_to_f16(to, from, v->count[3]);
        else if (v->d_type == DTYPE_BF16)
            move->f32_to_bf16(to, from, v->count[3]);
    }
}

static void run_windows(windows_t *w) {
    const xa_vec_desc_t *v = w->v;
    for (uint32_t i = 0; i < v->count[0]; i++) {
        for (uint32_t j = 0; j < v->count[1]; j++) {
            uint8_t *d = w->d + (int64_t)i * v->d_stride[0] + (int64_t)j * v->d_stride[1];
            fast_window_t row = w->row;
            row.a = w->a + i * w->a_stride[0] + j * w->a_stride[1];
            row.b = w->b == NULL ? NULL : w->b + i * w->b_stride[0] + j * w->b_stride[1];
            if (w->c != NULL)
                row.bias =
                    (const float *)(const void *)(w->c + i * w->c_stride[0] + j * w->c_stride[1]);
            row.d = w->stage == NULL ? d : (uint8_t *)w->stage;
            w->kernel(&row);
            if (w->stage != NULL || w->post != NULL)
                store_row(w, d);
        }
    }
}

bool fast_window(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *v, uint64_t to,
                 uint64_t a, uint64_t b) {
    const fast_kernels_t *k = fast_state(ctx)->kernels;
    bool mac = insn == XA_I_V_WMAC;
    windows_t w = {.v = v, .kernels = k};
    const int32_t none[2] = {0};
    if (!supported(v, mac, k))
        return false;
    fast_box_t d = window_box(to, v, v->d_type, v->d_stride, none);
    if (!take_source(ctx, &w, a, &d) || (mac && !take_weights(ctx, &w, b, &d)))
        return false;
    w.row.n_x = v->count[2];
    w.row.n_c = v->count[3];
    w.row.k0 = v->k[0];
    w.row.k1 = v->k[1];
    w.row.d_x = v->d_stride[2];
    w.kernel = mac ? k->window->wmac : k->window->wreduce[v->op];
    plan_post(&w, mac);
    if (v->d_type != DTYPE_F32) {
        w.stage =
            fast_scratch(ctx, FAST_BUFFER_C, (size_t)v->count[2] * v->count[3] * sizeof(float));
        if (w.stage == NULL)
            return false;
        w.row.d_x = (int64_t)v->count[3] * 4;
    }
    w.d = fast_write(ctx, &d, false);
    if (w.d == NULL)
        return false;
    run_windows(&w);
    return true;
}

// --- Gather and fill -----------------------------------------------------------------------------

static fast_copy_t copy_of(sim_engine_ctx_t *ctx, const xa_vec_desc_t *v) {
    fast_copy_t copy = {.kernels = fast_state(ctx)->kernels,
                        .src_type = (dtype_t)v->d_type,
                        .dst_type = (dtype_t)v->d_type,
                        .n_dims = 4};
    memcpy(copy.count, v->count, sizeof v->count);
    for (unsigned i = 0; i < 4; i++)
        copy.dst_stride[i] = v->d_stride[i];
    return copy;
}

static bool fill(sim_engine_ctx_t *ctx, const xa_vec_desc_t *v, uint64_t to) {
    fast_copy_t copy = copy_of(ctx, v);
    fast_vec_operand_t d;
    if (dtype_bits(copy.dst_type) > 64 ||
        !fast_vec_target(ctx, &d, to, v->d_type, v->count, v->d_stride, false))
        return false;
    copy.dst = d.at;
    copy.fill = (uint64_t)v->imm0;
    fast_copy_run(&copy);
    return true;
}

static int64_t index_at(const xa_vec_desc_t *v, const uint8_t *list, uint32_t i) {
    int64_t index = num_load_i64((dtype_t)v->b_type, list, i);
    return index < 0 && v->flags & XA_vec_WRAP ? index + v->idx_bound : index;
}

static bool gather(sim_engine_ctx_t *ctx, const xa_vec_desc_t *v, uint64_t to, uint64_t a,
                   uint64_t index) {
    uint32_t axis = v->axis, count[4];
    fast_vec_operand_t d, source;
    if (axis > 3 || v->a_type != v->d_type || v->idx_bound == 0 ||
        (v->b_type != DTYPE_I32 && v->b_type != DTYPE_I64))
        return false;
    fast_box_t box = {.va = index,
                      .run = (uint64_t)v->count[axis] * dtype_bytes((dtype_t)v->b_type)};
    const uint8_t *list = fast_read(ctx, &box);
    for (uint32_t i = 0; list != NULL && i < v->count[axis]; i++) {
        if (index_at(v, list, i) < 0 || index_at(v, list, i) >= v->idx_bound)
            return false;
    }
    memcpy(count, v->count, sizeof count);
    count[axis] = v->idx_bound;
    if (list == NULL || !fast_vec_source(ctx, &source, a, v->a_type, count, v->a_stride))
        return false;
    fast_copy_t copy = copy_of(ctx, v);
    fast_box_t whole = {.va = to, .run = dtype_bytes((dtype_t)v->d_type)};
    for (unsigned i = 0; i < 4; i++) {
        fast_box_dim(&whole, v->count[i], v->d_stride[i]);
        copy.src_stride[i] = source.stride[i];
        if (v->count[i] > 1 && v->d_stride[i] == 0)
            return false;
    }
    if (fast_overlap(&source.box, &whole) || fast_overlap(&box, &whole) ||
        !fast_vec_target(ctx, &d, to, v->d_type, v->count, v->d_stride, false))
        return false;
    copy.count[axis] = 1;
    for (uint32_t i = 0; i < v->count[axis]; i++) {
        copy.dst = d.at + i * d.stride[axis];
        copy.src = source.at + index_at(v, list, i) * source.stride[axis];
        fast_copy_run(&copy);
    }
    return true;
}

bool fast_vec_move(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *v, uint64_t to,
                   uint64_t a, uint64_t index) {
    if (!fast_vec_is_number(v->d_type))
        return false;
    return insn == XA_I_V_FILL ? fill(ctx, v, to) : gather(ctx, v, to, a, index);
}
