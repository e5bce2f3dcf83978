// SPDX-License-Identifier: Apache-2.0
// The matrix engine: brings operands into the form that the kernels read (f32, B row by row of k)
// and walks over C in blocks that fit the registers.
#include <string.h>

#include "driver/sim/engine_fast.h"

// A block of results on its way to C, when C is not f32 or the activation is a row function.
#define STAGE_COLS FAST_COLS_MAX

// Fewer rows than this do not pay for a rearranged B.
#define PACK_ROWS 12u

typedef struct plan {
    const xa_mat_desc_t *d;
    const fast_kernels_t *kernels;
    fast_state_t *state;
    bool bytes;     // u8 x i8
    uint32_t rows;  // m1 * m2
    uint32_t width; // columns of a panel of B, or 0 where B is row major
    // Operands, with the strides of the memory that they are read from.
    const uint8_t *a, *b, *res;
    uint8_t *c;
    int64_t a_batch, a_m1, a_m2, a_r1, a_r2;
    int64_t b_batch, b_r, b_k, b_panel;
    int64_t res_batch, res_m1, res_m2;
    uint32_t c_size, res_size; // of an element
    const float *scale, *bias;
    int64_t *a_offset, *b_offset; // of each r
    // The part of the epilogue that follows the kernel.
    bool stage;
    fast_unary_fn_t act; // NULL: none
    fast_args_t act_args;
    fast_mat_t call;
} plan_t;

// --- Operands ------------------------------------------------------------------------------------

static fast_box_t a_box(const xa_mat_desc_t *d, uint64_t va) {
    fast_box_t box = {.va = va, .run = (uint64_t)d->k * dtype_bytes((dtype_t)d->a_type)};
    fast_box_dim(&box, d->batch, d->a_bs);
    fast_box_dim(&box, d->m1, d->a_m1s);
    fast_box_dim(&box, d->m2, d->a_m2s);
    fast_box_dim(&box, d->r1, d->a_r1s);
    fast_box_dim(&box, d->r2, d->a_r2s);
    return box;
}

static uint32_t group(const xa_mat_desc_t *d) { return 4u / dtype_bytes((dtype_t)d->b_type); }

static fast_box_t b_box(const xa_mat_desc_t *d, uint64_t va) {
    uint32_t size = dtype_bytes((dtype_t)d->b_type), q = group(d);
    fast_box_t box = {.va = va};
    fast_box_dim(&box, d->batch, d->b_bs);
    fast_box_dim(&box, (uint64_t)d->r1 * d->r2, d->b_rs);
    if (d->flags & XA_mat_B_PANEL) {
        fast_box_dim(&box, (d->n + d->b_pw - 1) / d->b_pw, d->b_ps);
        box.run = (uint64_t)(d->k + q - 1) / q * q * d->b_pw * size;
    } else {
        bool trans = d->flags & XA_mat_B_TRANS;
        fast_box_dim(&box, trans ? d->n : d->k, d->b_ks);
        box.run = (uint64_t)(trans ? d->k : d->n) * size;
    }
    return box;
}

static fast_box_t row_box(const xa_mat_desc_t *d, uint64_t va, int32_t bs, int32_t m1s, int32_t m2s,
                          uint32_t type) {
    fast_box_t box = {.va = va, .run = (uint64_t)d->n * dtype_bytes((dtype_t)type)};
    fast_box_dim(&box, d->batch, bs);
    fast_box_dim(&box, d->m1, m1s);
    fast_box_dim(&box, d->m2, m2s);
    return box;
}

static bool is_16(uint32_t type) { return type == DTYPE_F16 || type == DTYPE_BF16; }

// Results of u8 x i8: the accumulators, or what the epilogue makes of them.
static bool bytes_supported(const xa_mat_desc_t *d) {
    if (!(d->flags & XA_mat_DRAIN))
        return d->c_type == DTYPE_I32 && !(d->flags & (XA_mat_BIAS | XA_mat_SCALE | XA_mat_RES));
    bool type = d->c_type == DTYPE_F32 || d->c_type == DTYPE_U8 || d->c_type == DTYPE_I8;
    return type && d->c_zero >= -65536 && d->c_zero <= 65536 &&
           !(d->flags & XA_mat_ACC && d->c_type != DTYPE_F32) &&
           (!(d->flags & XA_mat_RES) || d->res_type == DTYPE_F32 || is_16(d->res_type));
}

static bool supported(const plan_t *p) {
    const xa_mat_desc_t *d = p->d;
    bool drain = d->flags & XA_mat_DRAIN, panel = d->flags & XA_mat_B_PANEL;
    if (d->batch == 0 || d->m1 == 0 || d->m2 == 0 || d->n == 0 || d->k == 0 || d->r1 == 0 ||
        d->r2 == 0 || (uint64_t)d->m1 * d->m2 > UINT32_MAX || (uint64_t)d->r1 * d->r2 > 4096)
        return false;
    if (panel && (d->flags & XA_mat_B_TRANS || d->b_pw == 0 || d->b_pw > 64 || d->b_pw % 16 != 0))
        return false;
    if (d->k > INT32_MAX / 64 || d->n > INT32_MAX / 64)
        return false;
    if (p->bytes)
        return panel && d->b_type == DTYPE_I8 && p->kernels->mat->u8_i8[1][1] != NULL &&
               bytes_supported(d);
    if ((d->a_type != DTYPE_F32 && !is_16(d->a_type)) || d->b_type != d->a_type)
        return false;
    if (d->c_type != DTYPE_F32 && !(is_16(d->c_type) && drain && !(d->flags & XA_mat_ACC)))
        return false;
    if (!drain)
        return !(d->flags & (XA_mat_BIAS | XA_mat_SCALE | XA_mat_RES));
    return !(d->flags & XA_mat_RES) || d->res_type == DTYPE_F32 || is_16(d->res_type);
}

// The bias, scale and residual of the epilogue. False: not in LM, or written while read.
static bool take_epilogue(sim_engine_ctx_t *ctx, plan_t *p, const fast_box_t *c) {
    const xa_mat_desc_t *d = p->d;
    fast_box_t row = {.va = d->bias, .run = (uint64_t)d->n * 4};
    if (d->flags & XA_mat_BIAS) {
        p->bias = (const float *)(const void *)fast_read(ctx, &row);
        if (p->bias == NULL || fast_overlap(&row, c))
            return false;
    }
    row.va = d->scale;
    if (d->flags & XA_mat_SCALE) {
        p->scale = (const float *)(const void *)fast_read(ctx, &row);
        if (p->scale == NULL || fast_overlap(&row, c))
            return false;
    }
    if (!(d->flags & XA_mat_RES))
        return true;
    fast_box_t res = row_box(d, d->res, d->res_bs, d->res_m1s, d->res_m2s, d->res_type);
    bool same = d->res == c->va && d->res_bs == d->c_bs && d->res_m1s == d->c_m1s &&
                d->res_m2s == d->c_m2s && d->res_type == d->c_type;
    if (fast_overlap(&res, c) && !same)
        return false;
    p->res = fast_read(ctx, &res);
    p->res_batch = res.dim[0].stride;
    p->res_m1 = res.dim[1].stride;
    p->res_m2 = res.dim[2].stride;
    return p->res != NULL;
}

// --- A and B in f32 ------------------------------------------------------------------------------

static void widen(const fast_kernels_t *k, uint32_t type, float *to, const void *from, size_t n) {
    if (type == DTYPE_F16)
        k->move->f16_to_f32(to, from, n);
    else
        k->move->bf16_to_f32(to, from, n);
}

// All bytes between the first and the last of A as f32, so that overlapping rows are converted
// once; the strides double.
static bool widen_a(sim_engine_ctx_t *ctx, plan_t *p, const fast_box_t *box) {
    int64_t low, high;
    int64_t *strides[] = {&p->a_batch, &p->a_m1, &p->a_m2, &p->a_r1, &p->a_r2};
    if (!fast_box_extent(box, &low, &high) || low % 2 != 0)
        return false;
    for (unsigned i = 0; i < COUNT_OF(strides); i++) {
        if (*strides[i] % 2 != 0)
            return false;
        *strides[i] *= 2;
    }
    size_t n = (size_t)(high - low) / 2;
    float *wide = fast_scratch(ctx, FAST_BUFFER_A, n * sizeof *wide);
    if (wide == NULL)
        return false;
    widen(p->kernels, p->d->a_type, wide, p->a + low, n);
    p->a = (const uint8_t *)wide - low * 2;
    return true;
}

// One panel of packed 16-bit B, with its pairs of k taken apart.
static void widen_panel(const plan_t *p, float *to, const uint8_t *from) {
    uint32_t pairs = (p->d->k + 1) / 2;
    if (p->d->b_type == DTYPE_F16)
        p->kernels->move->panel_f16(to, from, p->d->b_pw, pairs);
    else
        p->kernels->move->panel_bf16(to, from, p->d->b_pw, pairs);
}

// Rows of k, or of n where B is transposed, to rows of k in panels of 64 columns.
static bool pack_tile(sim_engine_ctx_t *ctx, const plan_t *p, float *to, const uint8_t *from) {
    const xa_mat_desc_t *d = p->d;
    bool trans = d->flags & XA_mat_B_TRANS, wide = d->b_type != DTYPE_F32;
    uint32_t run = trans ? d->k : d->n, n_rows = trans ? d->n : d->k;
    size_t panel = (size_t)d->k * STAGE_COLS;
    float *row = wide ? fast_scratch(ctx, FAST_BUFFER_C, (size_t)run * 16 * sizeof *row) : NULL;
    if (wide && row == NULL)
        return false;
    for (uint32_t i = 0; i < n_rows; i += 16) {
        uint32_t rows = n_rows - i < 16 ? n_rows - i : 16;
        const uint8_t *block = from + (int64_t)i * p->b_k;
        int64_t stride = p->b_k;
        if (wide) {
            for (uint32_t j = 0; j < rows; j++)
                widen(p->kernels, d->b_type, row + (size_t)j * run, block + j * p->b_k, run);
            block = (const uint8_t *)row;
            stride = (int64_t)run * 4;
        }
        if (trans) {
            uint8_t *at = (uint8_t *)(to + i / STAGE_COLS * panel + i % STAGE_COLS);
            p->kernels->move->transpose32(at, STAGE_COLS * 4, block, stride, rows, d->k);
            continue;
        }
        for (uint32_t j = 0; j < rows; j++) {
            for (uint32_t n = 0; n < d->n; n += STAGE_COLS)
                memcpy(to + n / STAGE_COLS * panel + (size_t)(i + j) * STAGE_COLS,
                       block + j * stride + (size_t)n * 4,
                       (d->n - n < STAGE_COLS ? d->n - n : STAGE_COLS) * sizeof *to);
        }
    }
    return true;
}

// B as panels of f32 in scratch memory.
static bool pack_b(sim_engine_ctx_t *ctx, plan_t *p) {
    const xa_mat_desc_t *d = p->d;
    bool panels = d->flags & XA_mat_B_PANEL;
    uint32_t width = panels ? d->b_pw : STAGE_COLS, n_panels = (d->n + width - 1) / width;
    size_t panel = (size_t)((d->k + 1) & ~1u) * width, n_r = (size_t)d->r1 * d->r2;
    size_t n_batch = d->b_bs == 0 ? 1 : d->batch;
    if (!panels)
        panel = (size_t)d->k * width;
    size_t tile = panel * n_panels;
    float *to = fast_scratch(ctx, FAST_BUFFER_B, n_batch * n_r * tile * sizeof *to);
    if (to == NULL)
        return false;
    for (size_t i = 0; i < n_batch * n_r; i++) {
        const uint8_t *from = p->b + (int64_t)(i / n_r) * p->b_batch + (int64_t)(i % n_r) * p->b_r;
        for (uint32_t j = 0; panels && j < n_panels; j++)
            widen_panel(p, to + i * tile + j * panel, from + j * p->b_panel);
        if (!panels && !pack_tile(ctx, p, to + i * tile, from))
            return false;
    }
    p->b = (const uint8_t *)to;
    p->width = width;
    p->b_batch = n_batch == 1 ? 0 : (int64_t)(n_r * tile * sizeof *to);
    p->b_r = (int64_t)(tile * sizeof *to);
    p->b_panel = (int64_t)(panel * sizeof *to);
    p->b_k = (int64_t)(width * sizeof *to);
    return true;
}

// Rows of B far apart fall into few sets of the caches: worth packing when they are read often.
static bool worth_packing(const plan_t *p) {
    return !(p->d->flags & XA_mat_B_PANEL) && p->rows >= 4 * PACK_ROWS && p->d->k >= 64 &&
           p->b_k % 2048 == 0 && p->b_k != 0;
}

static bool take_b(sim_engine_ctx_t *ctx, plan_t *p, fast_box_t *box) {
    p->b = fast_read(ctx, box);
    if (p->b == NULL)
        return false;
    fast_ahead_drop(fast_state(ctx), p->b);
    p->b_batch = box->dim[0].stride;
    p->b_r = box->dim[1].stride;
    if (p->d->flags & XA_mat_B_PANEL) {
        p->b_panel = box->dim[2].stride;
        p->width = p->d->b_pw;
        p->b_k = (int64_t)p->d->b_pw * 4;
    } else {
        p->b_k = box->dim[2].stride;
    }
    if (p->bytes)
        return true;
    bool as_is = p->d->b_type == DTYPE_F32 && !(p->d->flags & XA_mat_B_TRANS);
    return (as_is && !worth_packing(p)) || pack_b(ctx, p);
}

static bool take_operands(sim_engine_ctx_t *ctx, plan_t *p, uint64_t c_va, uint64_t a_va,
                          uint64_t b_va) {
    const xa_mat_desc_t *d = p->d;
    fast_box_t a = a_box(d, a_va), b = b_box(d, b_va);
    fast_box_t c = row_box(d, c_va, d->c_bs, d->c_m1s, d->c_m2s, d->c_type);
    if (fast_overlap(&a, &c) || fast_overlap(&b, &c))
        return false;
    if (d->flags & XA_mat_DRAIN && !take_epilogue(ctx, p, &c))
        return false;
    p->a = fast_read(ctx, &a);
    if (p->a == NULL)
        return false;
    p->a_batch = a.dim[0].stride;
    p->a_m1 = a.dim[1].stride;
    p->a_m2 = a.dim[2].stride;
    p->a_r1 = a.dim[3].stride;
    p->a_r2 = a.dim[4].stride;
    if ((is_16(d->a_type) && !widen_a(ctx, p, &a)) || !take_b(ctx, p, &b))
        return false;
    p->c = fast_write(ctx, &c, d->flags & XA_mat_ACC);
    return p->c != NULL;
}

// --- The walk over C -----------------------------------------------------------------------------

// Columns [col, col + n) of C: the parts of the call that do not depend on rows. Returns the tile.
static void set_columns(plan_t *p, uint32_t col, uint32_t n, const uint8_t *b) {
    fast_mat_t *t = &p->call;
    t->n = n;
    t->b = p->width == 0
               ? b + (size_t)col * 4
               : b + (int64_t)(col / p->width) * p->b_panel + (size_t)(col % p->width) * 4;
    t->scale = p->scale == NULL ? NULL : p->scale + col;
    t->bias = p->bias == NULL ? NULL : p->bias + col;
}

// A row of i32 accumulators to f32, with what the kernels of f32 do by themselves.
static void drain_bytes(const plan_t *p, float *row, const float *res) {
    const fast_row_kernels_t *k = p->kernels->row;
    const fast_mat_t *t = &p->call;
    if (t->bias != NULL) {
        for (uint32_t j = 0; j < t->n; j++) {
            uint32_t sum, bias;
            memcpy(&sum, row + j, sizeof sum);
            memcpy(&bias, t->bias + j, sizeof bias);
            sum += bias;
            memcpy(row + j, &sum, sizeof sum);
        }
    }
    p->kernels->move->i32_to_f32(row, row, t->n);
    k->binary[XA_BIN_MUL](row, row, &t->alpha, t->n, false, true);
    if (t->scale != NULL)
        k->binary[XA_BIN_MUL](row, row, t->scale, t->n, false, false);
    if (t->has_res)
        k->binary[XA_BIN_ADD](row, row, res, t->n, false, false);
}

static void store_bytes(const plan_t *p, float *row, uint8_t *to) {
    const fast_move_kernels_t *move = p->kernels->move;
    const fast_args_t plain = FAST_ARGS_PLAIN(0, 0);
    float zero = (float)p->d->c_zero;
    p->kernels->row->unary[XA_FUNC_ROUND](row, row, p->call.n, &plain);
    p->kernels->row->binary[XA_BIN_ADD](row, row, &zero, p->call.n, false, true);
    (p->d->c_type == DTYPE_U8 ? move->f32_to_u8 : move->f32_to_i8)(to, row, p->call.n);
}

static void store_stage(const plan_t *p, float *stage, uint32_t rows, uint8_t *const *to) {
    const fast_mat_t *t = &p->call;
    for (uint32_t i = 0; i < rows; i++) {
        float *row = stage + (size_t)i * STAGE_COLS;
        if (p->bytes)
            drain_bytes(p, row, t->res[i]);
        if (p->act != NULL)
            p->act(row, row, t->n, &p->act_args);
        if (p->d->c_type == DTYPE_U8 || p->d->c_type == DTYPE_I8) {
            store_bytes(p, row, to[i]);
            continue;
        }
        if (p->d->c_type == DTYPE_F16)
            p->kernels->move->f32_to_f16(to[i], row, t->n);
        else if (p->d->c_type == DTYPE_BF16)
            p->kernels->move->f32_to_bf16(to[i], row, t->n);
        else
            memcpy(to[i], row, t->n * sizeof *row);
    }
}

// The residual's row as f32.
static const float *res_row(const plan_t *p, const uint8_t *from, float *room) {
    if (p->d->res_type == DTYPE_F32)
        return (const float *)(const void *)from;
    widen(p->kernels, p->d->res_type, room, from, p->call.n);
    return room;
}

// Where the walk over rows stands: the row of A, of C and of the residual.
typedef struct cursor {
    uint32_t i1, i2;
    const uint8_t *a, *res;
    uint8_t *c;
} cursor_t;

static void set_cursor(const plan_t *p, uint32_t batch, uint32_t col, uint32_t i1, cursor_t *at) {
    const xa_mat_desc_t *d = p->d;
    at->i1 = i1;
    at->i2 = 0;
    at->a = p->a + batch * p->a_batch + i1 * p->a_m1;
    at->c = p->c + (int64_t)batch * d->c_bs + i1 * (int64_t)d->c_m1s + (size_t)col * p->c_size;
    if (p->res != NULL)
        at->res = p->res + batch * p->res_batch + i1 * p->res_m1 + (size_t)col * p->res_size;
}

// The next `rows` rows, and the call's columns from `col`.
static void run_block(plan_t *p, uint32_t batch, uint32_t rows, uint32_t col, cursor_t *at,
                      fast_mat_fn_t kernel) {
    const xa_mat_desc_t *d = p->d;
    fast_mat_t *t = &p->call;
    float stage[FAST_ROWS_MAX * STAGE_COLS], res[FAST_ROWS_MAX * STAGE_COLS];
    uint8_t *to[FAST_ROWS_MAX];
    for (uint32_t i = 0; i < rows; i++) {
        t->a[i] = at->a;
        t->c[i] = to[i] = at->c;
        at->a += p->a_m2;
        at->c += d->c_m2s;
        if (t->has_res) {
            t->res[i] = res_row(p, at->res, res + (size_t)i * STAGE_COLS);
            at->res += p->res_m2;
        }
        if (++at->i2 == d->m2)
            set_cursor(p, batch, col, at->i1 + 1, at);
    }
    if (!p->stage) {
        kernel(t);
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        t->c[i] = stage + (size_t)i * STAGE_COLS;
        if (t->acc)
            memcpy(t->c[i], to[i], t->n * sizeof *stage);
    }
    kernel(t);
    store_stage(p, stage, rows, to);
}

// What to fetch during a block: first the panel that comes next, then what lies behind this issue.
static const uint8_t *fetch_ahead(const plan_t *p, uint64_t done, uint64_t line, uint64_t next) {
    const uint8_t *b = p->call.b, *ahead = NULL;
    if (done < next)
        return b + p->b_panel + done;
    if (p->rows > 1 && p->call.n > 3 * FAST_COLS_MAX / 4)
        ahead = fast_ahead_take(p->state, line);
    return ahead == NULL ? b : ahead;
}

static void run_columns(plan_t *p, uint32_t batch, uint32_t col, uint32_t n, const uint8_t *b) {
    const fast_mat_kernels_t *mat = p->kernels->mat;
    uint32_t vectors = (n + mat->vector - 1) / mat->vector;
    uint32_t blocks = (p->rows + mat->rows[vectors] - 1) / mat->rows[vectors];
    uint32_t low = p->rows / blocks, higher = p->rows % blocks; // even heights: none has few rows
    const fast_mat_fn_t *kernels = p->bytes ? mat->u8_i8[vectors] : mat->f32[vectors];
    uint64_t line = (uint64_t)FAST_MAT_LINE * p->d->k * p->call.n_r;
    bool last = p->width == 0 || col + n >= p->d->n || p->rows == 1;
    cursor_t at = {0};
    set_columns(p, col, n, b);
    set_cursor(p, batch, col, 0, &at);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t rows = low + (i < higher);
        p->call.prefetch = fetch_ahead(p, i * line, line, last ? 0 : (uint64_t)p->b_panel);
        run_block(p, batch, rows, col, &at, kernels[rows]);
    }
}

static void run(plan_t *p) {
    const xa_mat_desc_t *d = p->d;
    uint32_t cols = p->kernels->mat->cols;
    for (uint32_t batch = 0; batch < d->batch; batch++) {
        const uint8_t *b = p->b + batch * p->b_batch;
        for (uint32_t col = 0, n; col < d->n; col += n) {
            n = d->n - col < cols ? d->n - col : cols;
            if (p->width != 0 && n > p->width - col % p->width)
                n = p->width - col % p->width;
            run_columns(p, batch, col, n, b);
        }
    }
}

// --- Start ---------------------------------------------------------------------------------------

// Decides which part of the epilogue a kernel does. False: an activation without a loop.
static bool plan_activation(plan_t *p) {
    const xa_mat_desc_t *d = p->d;
    fast_mat_t *t = &p->call;
    t->alpha = 1;
    t->act = FAST_ACT_NONE;
    if (!(d->flags & XA_mat_DRAIN))
        return true;
    t->alpha = d->alpha;
    t->act_p0 = d->act_p0;
    t->act_p1 = d->act_p1;
    p->stage = d->c_type != DTYPE_F32 || p->bytes;
    if (d->act == XA_FUNC_NONE)
        return true;
    if (!p->bytes && (d->act == XA_FUNC_RELU || d->act == XA_FUNC_CLAMP)) {
        t->act = d->act == XA_FUNC_RELU ? FAST_ACT_RELU : FAST_ACT_CLAMP;
        return true;
    }
    if (d->act >= FAST_FUNCS || p->kernels->row->unary[d->act] == NULL)
        return false;
    p->stage = true;
    p->act = p->kernels->row->unary[d->act];
    p->act_args = FAST_ARGS_PLAIN(d->act_p0, d->act_p1);
    return true;
}

bool fast_matrix(sim_engine_ctx_t *ctx, const xa_mat_desc_t *d, uint64_t c, uint64_t a,
                 uint64_t b) {
    plan_t plan = {.d = d,
                   .state = fast_state(ctx),
                   .kernels = fast_state(ctx)->kernels,
                   .c_size = dtype_bytes((dtype_t)d->c_type),
                   .res_size = dtype_bytes((dtype_t)d->res_type),
                   .bytes = d->a_type == DTYPE_U8};
    int64_t few[2][64], *offsets = few[0];
    if (!supported(&plan) || !plan_activation(&plan))
        return false;
    uint32_t n_r = d->r1 * d->r2;
    plan.rows = d->m1 * d->m2;
    if (n_r > COUNT_OF(few[0]))
        offsets = fast_scratch(ctx, FAST_BUFFER_INDEX, (size_t)n_r * 2 * sizeof *offsets);
    if (offsets == NULL || !take_operands(ctx, &plan, c, a, b))
        return false;
    plan.call.a_offset = offsets;
    plan.call.b_offset = offsets + n_r;
    for (uint32_t r = 0; r < n_r; r++) {
        offsets[r] = (r / d->r2) * plan.a_r1 + (r % d->r2) * plan.a_r2;
        offsets[n_r + r] = r * plan.b_r;
    }
    plan.call.n_r = n_r;
    plan.call.k = d->k;
    plan.call.b_step = plan.b_k;
    plan.call.acc = d->flags & XA_mat_ACC;
    plan.call.has_res = plan.res != NULL;
    run(&plan);
    return true;
}
