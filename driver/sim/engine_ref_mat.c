// SPDX-License-Identifier: Apache-2.0
// The matrix engine of `ref`: blocks of rows and columns in f32 (int32 for u8 x i8), the reduction
// in the order of r, then k.
#include <stddef.h>
#include <string.h>

#include "driver/sim/engine_math.h"
#include "driver/sim/engine_ref.h"
#include "support/numeric.h"

#define OFFSET(field) offsetof(xa_mat_desc_t, field)
#define ROWS          16u
#define COLS          64u
#define DEPTH         64u

typedef struct mat {
    sim_engine_ctx_t *ctx;
    const xa_mat_desc_t *desc;
    sim_fault_t *fault;
    bool is_int;
    uint32_t b_size, q; // bytes of an element of B; k elements that lie together in a panel
    uint8_t *c, *a, *b, *bias, *scale, *res;
} mat_t;

// Accumulators and operands of one block; the integers of u8 x i8 in `i`.
typedef union block {
    float f[ROWS][COLS];
    uint32_t i[ROWS][COLS];
} block_t;
typedef union tile {
    float f[DEPTH][COLS];
    int32_t i[DEPTH][COLS];
} tile_t;

// --- Checks --------------------------------------------------------------------------------------

static bool bad(const mat_t *mat, uint64_t offset) {
    return sim_bad_field(mat->fault, ISA_FAULT_BAD_DESCRIPTOR, offset);
}

static bool is_mat_float(unsigned type) {
    return type == DTYPE_F32 || type == DTYPE_F16 || type == DTYPE_BF16;
}

static bool types_ok(const mat_t *mat) {
    const xa_mat_desc_t *desc = mat->desc;
    if (!mat->is_int && !is_mat_float(desc->a_type))
        return bad(mat, OFFSET(a_type));
    if (desc->b_type != (mat->is_int ? (unsigned)DTYPE_I8 : desc->a_type))
        return bad(mat, OFFSET(b_type));
    unsigned raw = mat->is_int ? DTYPE_I32 : DTYPE_F32;
    if (!(desc->flags & XA_mat_DRAIN)) {
        if (desc->flags & (XA_mat_BIAS | XA_mat_SCALE | XA_mat_RES))
            return bad(mat, OFFSET(flags));
        return desc->c_type == raw || bad(mat, OFFSET(c_type));
    }
    if (desc->act >= XA_FUNC_COUNT || desc->act == XA_FUNC_BITNOT)
        return bad(mat, OFFSET(act));
    bool small = desc->c_type == DTYPE_I8 || desc->c_type == DTYPE_U8;
    if (!is_mat_float(desc->c_type) && !small && desc->c_type != DTYPE_I32)
        return bad(mat, OFFSET(c_type));
    return !(desc->flags & XA_mat_RES) || (desc->res_type < 256 && is_mat_float(desc->res_type)) ||
           bad(mat, OFFSET(res_type));
}

static bool layout_ok(const mat_t *mat) {
    const xa_mat_desc_t *desc = mat->desc;
    bool is_panel = desc->flags & XA_mat_B_PANEL;
    if (is_panel && desc->flags & XA_mat_B_TRANS)
        return bad(mat, OFFSET(flags));
    if (is_panel && (desc->b_pw == 0 || desc->b_pw > XA_PANEL_MAX || desc->b_pw % 16 != 0))
        return bad(mat, OFFSET(b_pw));
    if (desc->r1 == 0)
        return bad(mat, OFFSET(r1));
    if (desc->r2 == 0)
        return bad(mat, OFFSET(r2));
    return desc->k != 0 || bad(mat, OFFSET(k));
}

typedef struct dim {
    uint64_t count;
    int64_t stride;
} dim_t;

// Memory of an operand with `row_bytes` at each point of its dims.
static uint8_t *place(const mat_t *mat, uint64_t va, const dim_t *dims, unsigned n_dims,
                      uint64_t row_bytes, isa_access_t access) {
    sim_box_t box = {0, (int64_t)row_bytes};
    *mat->fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, access, va, 0};
    if (row_bytes > mat->ctx->lm_bytes)
        return NULL;
    for (unsigned i = 0; i < n_dims; i++)
        if (!sim_box_add(&box, dims[i].count, dims[i].stride))
            return NULL;
    return sim_engine_lm(mat->ctx, va, box, access, mat->fault);
}

static uint8_t *place_b(const mat_t *mat, uint64_t va) {
    const xa_mat_desc_t *d = mat->desc;
    uint64_t n_r = (uint64_t)d->r1 * d->r2, size = mat->b_size;
    dim_t dims[3] = {{d->batch, d->b_bs}, {n_r, d->b_rs}, {d->k, d->b_ks}};
    uint64_t row = d->n * size;
    if (d->flags & XA_mat_B_TRANS) {
        dims[2].count = d->n;
        row = d->k * size;
    } else if (d->flags & XA_mat_B_PANEL) {
        uint64_t groups = d->k / mat->q + (d->k % mat->q != 0);
        dims[2] = (dim_t){d->n / d->b_pw + (d->n % d->b_pw != 0), d->b_ps};
        row = groups * d->b_pw * mat->q * size;
    }
    return place(mat, va, dims, 3, row, ISA_ACCESS_READ);
}

static bool place_all(mat_t *mat, uint64_t c, uint64_t a, uint64_t b) {
    const xa_mat_desc_t *d = mat->desc;
    const dim_t c_dims[3] = {{d->batch, d->c_bs}, {d->m1, d->c_m1s}, {d->m2, d->c_m2s}};
    const dim_t a_dims[5] = {{d->batch, d->a_bs},
                             {d->m1, d->a_m1s},
                             {d->m2, d->a_m2s},
                             {d->r1, d->a_r1s},
                             {d->r2, d->a_r2s}};
    const dim_t r_dims[3] = {{d->batch, d->res_bs}, {d->m1, d->res_m1s}, {d->m2, d->res_m2s}};
    uint64_t c_size = dtype_bytes((dtype_t)d->c_type), n = d->n;
    if (d->flags & XA_mat_ACC && c_size < 4)
        c_size = 4; // accumulators are read from there
    mat->c = place(mat, c, c_dims, 3, n * c_size, ISA_ACCESS_WRITE);
    if (!mat->c)
        return false;
    mat->a =
        place(mat, a, a_dims, 5, (uint64_t)d->k * dtype_bytes((dtype_t)d->a_type), ISA_ACCESS_READ);
    if (!mat->a || !(mat->b = place_b(mat, b)))
        return false;
    if (d->flags & XA_mat_BIAS &&
        !(mat->bias = place(mat, d->bias, NULL, 0, n * 4, ISA_ACCESS_READ)))
        return false;
    if (d->flags & XA_mat_SCALE &&
        !(mat->scale = place(mat, d->scale, NULL, 0, n * 4, ISA_ACCESS_READ)))
        return false;
    if (d->flags & XA_mat_RES)
        mat->res =
            place(mat, d->res, r_dims, 3, n * dtype_bytes((dtype_t)d->res_type), ISA_ACCESS_READ);
    return !(d->flags & XA_mat_RES) || mat->res;
}

// --- Blocks --------------------------------------------------------------------------------------

typedef struct rows {
    uint32_t batch, first, n; // rows number i1 * m2 + i2
    uint32_t col, n_cols;
} rows_t;

static int64_t row_offset(const mat_t *mat, uint32_t row, int64_t m1s, int64_t m2s) {
    return (int64_t)(row / mat->desc->m2) * m1s + (int64_t)(row % mat->desc->m2) * m2s;
}

static uint8_t *c_row(const mat_t *mat, const rows_t *rows, uint32_t i) {
    const xa_mat_desc_t *d = mat->desc;
    return mat->c + (int64_t)rows->batch * d->c_bs +
           row_offset(mat, rows->first + i, d->c_m1s, d->c_m2s);
}

static const uint8_t *b_element(const mat_t *mat, uint32_t batch, uint64_t r, uint32_t k,
                                uint32_t n) {
    const xa_mat_desc_t *d = mat->desc;
    const uint8_t *at = mat->b + (int64_t)batch * d->b_bs + (int64_t)r * d->b_rs;
    if (d->flags & XA_mat_B_TRANS)
        return at + (int64_t)n * d->b_ks + (int64_t)k * mat->b_size;
    if (!(d->flags & XA_mat_B_PANEL))
        return at + (int64_t)k * d->b_ks + (int64_t)n * mat->b_size;
    return at + (int64_t)(n / d->b_pw) * d->b_ps +
           (((uint64_t)(k / mat->q) * d->b_pw + n % d->b_pw) * mat->q + k % mat->q) * mat->b_size;
}

static float load_float(unsigned type, const uint8_t *at) {
    uint16_t half;
    float value;
    if (type == DTYPE_F32) {
        memcpy(&value, at, 4);
        return value;
    }
    memcpy(&half, at, 2);
    return type == DTYPE_F16 ? num_f16_to_f32(half) : num_bf16_to_f32(half);
}

static void load_tile(const mat_t *mat, const rows_t *rows, uint64_t r, uint32_t k0, uint32_t n_k,
                      tile_t *tile) {
    for (uint32_t k = 0; k < n_k; k++)
        for (uint32_t j = 0; j < rows->n_cols; j++) {
            const uint8_t *at = b_element(mat, rows->batch, r, k0 + k, rows->col + j);
            if (mat->is_int)
                tile->i[k][j] = *(const int8_t *)at;
            else
                tile->f[k][j] = load_float(mat->desc->b_type, at);
        }
}

static const uint8_t *a_row(const mat_t *mat, const rows_t *rows, uint32_t i, uint64_t r) {
    const xa_mat_desc_t *d = mat->desc;
    return mat->a + (int64_t)rows->batch * d->a_bs +
           row_offset(mat, rows->first + i, d->a_m1s, d->a_m2s) + (int64_t)(r / d->r2) * d->a_r1s +
           (int64_t)(r % d->r2) * d->a_r2s;
}

static void multiply_float(const mat_t *mat, const rows_t *rows, const uint8_t *a, uint32_t n_k,
                           const tile_t *tile, float acc[COLS]) {
    unsigned type = mat->desc->a_type, size = dtype_bytes((dtype_t)type);
    for (uint32_t k = 0; k < n_k; k++) {
        float x = load_float(type, a + (size_t)k * size);
        for (uint32_t j = 0; j < rows->n_cols; j++)
            acc[j] += x * tile->f[k][j];
    }
}

static void multiply_int(const rows_t *rows, const uint8_t *a, uint32_t n_k, const tile_t *tile,
                         uint32_t acc[COLS]) {
    for (uint32_t k = 0; k < n_k; k++)
        for (uint32_t j = 0; j < rows->n_cols; j++)
            acc[j] += (uint32_t)((int32_t)a[k] * tile->i[k][j]);
}

static void multiply_block(const mat_t *mat, const rows_t *rows, block_t *acc) {
    const xa_mat_desc_t *d = mat->desc;
    unsigned size = dtype_bytes((dtype_t)d->a_type);
    tile_t tile;
    for (uint64_t r = 0; r < (uint64_t)d->r1 * d->r2; r++)
        for (uint32_t k0 = 0; k0 < d->k; k0 += DEPTH) {
            uint32_t n_k = d->k - k0 < DEPTH ? d->k - k0 : DEPTH;
            load_tile(mat, rows, r, k0, n_k, &tile);
            for (uint32_t i = 0; i < rows->n; i++) {
                const uint8_t *a = a_row(mat, rows, i, r) + (size_t)k0 * size;
                if (mat->is_int)
                    multiply_int(rows, a, n_k, &tile, acc->i[i]);
                else
                    multiply_float(mat, rows, a, n_k, &tile, acc->f[i]);
            }
        }
}

static void load_acc(const mat_t *mat, const rows_t *rows, block_t *acc) {
    memset(acc, 0, sizeof *acc);
    for (uint32_t i = 0; mat->desc->flags & XA_mat_ACC && i < rows->n; i++)
        memcpy(acc->i[i], c_row(mat, rows, i) + (size_t)rows->col * 4, (size_t)rows->n_cols * 4);
}

// --- Drain ---------------------------------------------------------------------------------------

// The accumulators of a row as f32; an integer bias is added first, where it is exact.
static void drain_begin(const mat_t *mat, const rows_t *rows, const block_t *acc, uint32_t i,
                        float out[COLS]) {
    for (uint32_t j = 0; j < rows->n_cols; j++) {
        uint32_t sum = acc->i[i][j], bias = 0;
        if (!mat->is_int) {
            out[j] = acc->f[i][j];
            continue;
        }
        if (mat->bias)
            memcpy(&bias, mat->bias + (size_t)(rows->col + j) * 4, 4);
        out[j] = (float)(int32_t)(sum + bias);
    }
}

static void drain_row(const mat_t *mat, const rows_t *rows, uint32_t i, const block_t *acc) {
    const xa_mat_desc_t *d = mat->desc;
    sim_row_t v;
    drain_begin(mat, rows, acc, i, v.f);
    const uint8_t *res = mat->res;
    if (res)
        res += (int64_t)rows->batch * d->res_bs +
               row_offset(mat, rows->first + i, d->res_m1s, d->res_m2s);
    for (uint32_t j = 0; j < rows->n_cols; j++) {
        size_t n = rows->col + j;
        v.f[j] *= d->alpha;
        if (mat->scale)
            v.f[j] *= load_float(DTYPE_F32, mat->scale + n * 4);
        if (mat->bias && !mat->is_int)
            v.f[j] += load_float(DTYPE_F32, mat->bias + n * 4);
        if (res)
            v.f[j] += load_float(d->res_type, res + n * dtype_bytes((dtype_t)d->res_type));
    }
    sim_func_f32(d->act, d->act_p0, d->act_p1, rows->n_cols, v.f);
    dtype_t type = (dtype_t)d->c_type;
    unsigned size = dtype_bytes(type);
    sim_row_ref_t to = {
        .at = c_row(mat, rows, i) + (size_t)rows->col * size, .step = size, .type = type};
    if (dtype_is_float(type)) {
        sim_row_store(SIM_KIND_F32, to, rows->n_cols, &v, false, 0);
        return;
    }
    for (uint32_t j = 0; j < rows->n_cols; j++)
        num_store_f64(type, to.at, j, num_round_even(v.f[j]) + d->c_zero, NUM_SATURATE);
}

static void store_block(const mat_t *mat, const rows_t *rows, const block_t *acc) {
    for (uint32_t i = 0; i < rows->n; i++) {
        if (mat->desc->flags & XA_mat_DRAIN)
            drain_row(mat, rows, i, acc);
        else
            memcpy(c_row(mat, rows, i) + (size_t)rows->col * 4, acc->i[i],
                   (size_t)rows->n_cols * 4);
    }
}

static void run_rows(const mat_t *mat, uint32_t batch, uint32_t first, uint32_t n) {
    block_t acc;
    for (uint32_t col = 0; col < mat->desc->n; col += COLS) {
        uint32_t n_cols = mat->desc->n - col < COLS ? mat->desc->n - col : COLS;
        rows_t rows = {batch, first, n, col, n_cols};
        load_acc(mat, &rows, &acc);
        multiply_block(mat, &rows, &acc);
        store_block(mat, &rows, &acc);
    }
}

bool sim_ref_mat(sim_engine_ctx_t *ctx, const xa_mat_desc_t *desc, uint64_t c, uint64_t a,
                 uint64_t b, sim_fault_t *out_fault) {
    mat_t mat = {.ctx = ctx,
                 .desc = desc,
                 .fault = out_fault,
                 .is_int = desc->a_type == DTYPE_U8,
                 .b_size = dtype_bytes((dtype_t)desc->b_type)};
    if (!types_ok(&mat) || !layout_ok(&mat))
        return false;
    mat.q = 4 / mat.b_size;
    uint64_t rows = (uint64_t)desc->m1 * desc->m2;
    if (rows > UINT32_MAX)
        return bad(&mat, OFFSET(m1));
    if (desc->batch == 0 || rows == 0 || desc->n == 0)
        return true;
    if (!place_all(&mat, c, a, b))
        return false;
    for (uint32_t batch = 0; batch < desc->batch; batch++)
        for (uint64_t row = 0; row < rows; row += ROWS)
            run_rows(&mat, batch, (uint32_t)row, rows - row < ROWS ? (uint32_t)(rows - row) : ROWS);
    return true;
}
