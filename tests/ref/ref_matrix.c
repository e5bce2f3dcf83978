// SPDX-License-Identifier: Apache-2.0
// Matrix products and convolutions.
#include <stdlib.h>
#include <string.h>

#include "tests/ref/ref_internal.h"

// --- The product ---------------------------------------------------------------------------------
// A panel of b (a block of k, 64 columns) is copied to be dense and padded; kernels of 4 x 8 sum
// one block in float, then add it to c in double.

enum { BLOCK_K = 128, PANEL_N = 64, KERNEL_M = 4, KERNEL_N = 8 };

static void *must_alloc(size_t count, size_t bytes) {
    void *p = calloc(count + 1, bytes);
    if (p == NULL)
        abort();
    return p;
}

float *ref_floats(const ref_tensor_t *t) {
    float *f = must_alloc((size_t)t->n, sizeof *f);
    if (t->elem == DTYPE_F32)
        memcpy(f, t->data, (size_t)t->n * sizeof *f);
    else
        for (int64_t i = 0; i < t->n; i++)
            f[i] = (float)ref_load(t, i);
    return f;
}

static void kernel_4x8(int64_t k, const float *const a[KERNEL_M], const float *panel,
                       float out[KERNEL_M][KERNEL_N]) {
    float acc[KERNEL_M][KERNEL_N] = {{0}};
    for (int64_t i = 0; i < k; i++) {
        const float *b = panel + i * PANEL_N;
        for (int r = 0; r < KERNEL_M; r++)
            for (int j = 0; j < KERNEL_N; j++)
                acc[r][j] += a[r][i] * b[j];
    }
    memcpy(out, acc, sizeof acc);
}

static void fill_panel(const float *b, int64_t ldb, int64_t k, int64_t n, float *panel) {
    for (int64_t i = 0; i < k; i++) {
        memcpy(panel + i * PANEL_N, b + i * ldb, (size_t)n * sizeof *panel);
        memset(panel + i * PANEL_N + n, 0, (size_t)(PANEL_N - n) * sizeof *panel);
    }
}

static void multiply_panel(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                           const float *panel, double *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i += KERNEL_M) {
        const float *rows[KERNEL_M];
        for (int64_t r = 0; r < KERNEL_M; r++)
            rows[r] = a + (i + r < m ? i + r : m - 1) * lda; // beyond the end: not stored
        for (int64_t j = 0; j < n; j += KERNEL_N) {
            float sum[KERNEL_M][KERNEL_N];
            kernel_4x8(k, rows, panel + j, sum);
            for (int64_t r = 0; r < KERNEL_M && i + r < m; r++)
                for (int64_t s = 0; s < KERNEL_N && j + s < n; s++)
                    c[(i + r) * ldc + j + s] += (double)sum[r][s];
        }
    }
}

void ref_gemm_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                  int64_t ldb, double *c, int64_t ldc) {
    float panel[BLOCK_K * PANEL_N];
    for (int64_t i = 0; i < m; i++)
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    for (int64_t j = 0; j < n && m > 0; j += PANEL_N) {
        int64_t columns = n - j < PANEL_N ? n - j : PANEL_N;
        for (int64_t at = 0; at < k; at += BLOCK_K) {
            int64_t depth = k - at < BLOCK_K ? k - at : BLOCK_K;
            fill_panel(b + at * ldb + j, ldb, depth, columns, panel);
            multiply_panel(m, columns, depth, a + at, lda, panel, c + j, ldc);
        }
    }
}

// Integers and doubles: one sum after the other.
static bool is_small_float(dtype_t elem) { return dtype_is_float(elem) && elem != DTYPE_F64; }

// out[m][n] from strided a and b; element (i, j) goes to `first + i * n + j`.
typedef struct product {
    const ref_tensor_t *a, *b;
    int64_t a_first, a_row, a_step, b_first, b_column, b_step;
    int64_t m, n, k;
} product_t;

static int64_t dot_int(const product_t *p, int64_t i, int64_t j) {
    uint64_t sum = 0;
    for (int64_t l = 0; l < p->k; l++)
        sum += (uint64_t)ref_load_int(p->a, p->a_first + i * p->a_row + l * p->a_step) *
               (uint64_t)ref_load_int(p->b, p->b_first + j * p->b_column + l * p->b_step);
    return (int64_t)sum;
}

static double dot_double(const product_t *p, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t l = 0; l < p->k; l++)
        sum += ref_load(p->a, p->a_first + i * p->a_row + l * p->a_step) *
               ref_load(p->b, p->b_first + j * p->b_column + l * p->b_step);
    return sum;
}

// Dense copy of a strided matrix as [rows][columns].
static float *gather_floats(const ref_tensor_t *t, int64_t first, int64_t rows, int64_t row_step,
                            int64_t columns, int64_t column_step) {
    float *out = must_alloc((size_t)(rows * columns), sizeof *out);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[i * columns + j] = (float)ref_load(t, first + i * row_step + j * column_step);
    return out;
}

// A matrix as rows of floats: the tensor's own memory where that is what it holds.
typedef struct rows {
    const float *data;
    int64_t step;
    float *own;
} rows_t;

static rows_t rows_of(const ref_tensor_t *t, int64_t first, int64_t rows, int64_t row_step,
                      int64_t columns, int64_t column_step) {
    if (t->elem == DTYPE_F32 && (column_step == 1 || columns == 1))
        return (rows_t){.data = (const float *)t->data + first, .step = row_step};
    float *own = gather_floats(t, first, rows, row_step, columns, column_step);
    return (rows_t){.data = own, .step = columns, .own = own};
}

static void multiply_floats(const product_t *p, double *out) {
    rows_t a = rows_of(p->a, p->a_first, p->m, p->a_row, p->k, p->a_step);
    rows_t b = rows_of(p->b, p->b_first, p->k, p->b_step, p->n, p->b_column);
    ref_gemm_f32(p->m, p->n, p->k, a.data, a.step, b.data, b.step, out, p->n);
    free(a.own);
    free(b.own);
}

// b is transposed in memory: its rows, which may be many, multiply the other's columns.
static void multiply_transposed(const product_t *p, double *out) {
    rows_t b = rows_of(p->b, p->b_first, p->n, p->b_column, p->k, p->b_step);
    rows_t a = rows_of(p->a, p->a_first, p->k, p->a_step, p->m, p->a_row);
    double *turned = must_alloc((size_t)(p->m * p->n), sizeof *turned);
    ref_gemm_f32(p->n, p->m, p->k, b.data, b.step, a.data, a.step, turned, p->m);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++)
            out[i * p->n + j] = turned[j * p->m + i];
    free(turned);
    free(a.own);
    free(b.own);
}

// Results in double, or exact integers in `ints`.
static void multiply(const product_t *p, double *out, int64_t *ints) {
    if (ints != NULL || !is_small_float(p->a->elem)) {
        for (int64_t i = 0; i < p->m; i++) {
            for (int64_t j = 0; j < p->n; j++) {
                if (ints != NULL)
                    ints[i * p->n + j] = dot_int(p, i, j);
                else
                    out[i * p->n + j] = dot_double(p, i, j);
            }
        }
        return;
    }
    if (p->b_column != 1 && p->b_step == 1)
        multiply_transposed(p, out);
    else
        multiply_floats(p, out);
}

// --- matmul --------------------------------------------------------------------------------------

// Batch dims of both, broadcast, as a walk whose offsets are in elements of a, b.
static bool batch_walk(const ref_tensor_t *a, const ref_tensor_t *b, ref_walk_t *w) {
    ref_tensor_t heads[2] = {{.rank = a->rank > 2 ? a->rank - 2 : 0},
                             {.rank = b->rank > 2 ? b->rank - 2 : 0}};
    const ref_tensor_t *list[2] = {&heads[0], &heads[1]};
    memcpy(heads[0].dims, a->dims, sizeof a->dims);
    memcpy(heads[1].dims, b->dims, sizeof b->dims);
    return ref_broadcast(w, 2, list);
}

status_t ref_matmul(ref_op_t *c) {
    const ref_tensor_t *a = c->in[0], *b = c->in[1];
    bool trans = ir_get_int(c->op, "trans_b", 0) != 0;
    double alpha = ir_get_float(c->op, "alpha", 1);
    REF_NEED(c, a->rank > 0 && b->rank > 0);
    product_t p = {.a = a,
                   .b = b,
                   .m = a->rank > 1 ? a->dims[a->rank - 2] : 1,
                   .k = a->dims[a->rank - 1],
                   .n = 1,
                   .a_step = 1,
                   .b_step = 1};
    int64_t k_b = b->dims[b->rank - 1];
    p.a_row = p.k;
    if (b->rank > 1) {
        k_b = b->dims[b->rank - (trans ? 1 : 2)];
        p.n = b->dims[b->rank - (trans ? 2 : 1)];
        p.b_step = trans ? 1 : p.n;
        p.b_column = trans ? k_b : 1;
    }
    ref_walk_t w;
    REF_NEED(c, p.k == k_b && batch_walk(a, b, &w));
    int64_t dims[IR_MAX_RANK];
    uint32_t rank = w.rank;
    memcpy(dims, w.dims, sizeof dims);
    if (a->rank > 1)
        dims[rank++] = p.m;
    if (b->rank > 1)
        dims[rank++] = p.n;
    bool whole = dtype_is_int(a->elem);
    ref_tensor_t *y = ref_out(c, 0, a->elem, rank, dims);
    double *sums = must_alloc((size_t)(p.m * p.n), sizeof *sums);
    int64_t *ints = whole ? must_alloc((size_t)(p.m * p.n), sizeof *ints) : NULL, at = 0;
    for (bool more = ref_walk_start(&w); more; more = ref_walk_next(&w)) {
        for (int64_t j = 0; j < w.row; j++) {
            p.a_first = (w.offset[0] + j * w.stride[0][w.rank - 1]) * p.m * p.k;
            p.b_first = (w.offset[1] + j * w.stride[1][w.rank - 1]) * p.k * p.n;
            multiply(&p, sums, ints);
            for (int64_t i = 0; i < p.m * p.n; i++, at++) {
                if (whole)
                    ref_store_int(y, at, ints[i]);
                else
                    ref_store(y, at, alpha * sums[i]);
            }
        }
    }
    free(sums);
    free(ints);
    return STATUS_OK;
}

// --- gemm ----------------------------------------------------------------------------------------

status_t ref_gemm(ref_op_t *c) {
    const ref_tensor_t *a = c->in[0], *b = c->in[1], *add = c->n_in > 2 ? c->in[2] : NULL;
    bool ta = ir_get_int(c->op, "trans_a", 0) != 0, tb = ir_get_int(c->op, "trans_b", 0) != 0;
    double alpha = ir_get_float(c->op, "alpha", 1), beta = ir_get_float(c->op, "beta", 1);
    REF_NEED(c, a->rank == 2 && b->rank == 2);
    product_t p = {.a = a,
                   .b = b,
                   .m = a->dims[ta ? 1 : 0],
                   .k = a->dims[ta ? 0 : 1],
                   .n = b->dims[tb ? 0 : 1]};
    REF_NEED(c, p.k == b->dims[tb ? 1 : 0]);
    p.a_row = ta ? 1 : p.k;
    p.a_step = ta ? p.m : 1;
    p.b_step = tb ? 1 : p.n;
    p.b_column = tb ? p.k : 1;
    ref_tensor_t *y = ref_out(c, 0, a->elem, 2, (int64_t[]){p.m, p.n});
    const ref_tensor_t *pair[2] = {y, add};
    ref_walk_t w;
    if (add != NULL) {
        REF_NEED(c,
                 ref_broadcast(&w, 2, pair) && w.rank == 2 && w.dims[0] == p.m && w.dims[1] == p.n);
    }
    double *sums = must_alloc((size_t)(p.m * p.n), sizeof *sums);
    int64_t *ints = dtype_is_int(a->elem) ? must_alloc((size_t)(p.m * p.n), sizeof *ints) : NULL;
    multiply(&p, sums, ints);
    for (int64_t i = 0; i < p.m * p.n; i++) {
        double sum = alpha * (ints != NULL ? (double)ints[i] : sums[i]);
        if (add != NULL)
            sum += beta * ref_load(add, i / p.n * w.stride[1][0] + i % p.n * w.stride[1][1]);
        ref_store(y, i, sum);
    }
    free(sums);
    free(ints);
    return STATUS_OK;
}
