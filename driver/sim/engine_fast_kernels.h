// SPDX-License-Identifier: Apache-2.0
// The inner loops of the fast engines, a table for each host instruction set. Pure functions over
// host memory: no device address, no fault, no state. Private to this folder.
#ifndef SIM_ENGINE_FAST_KERNELS_H
#define SIM_ENGINE_FAST_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- Matrix --------------------------------------------------------------------------------------

#define FAST_ROWS_MAX 12u // rows of C that one call computes, at most
#define FAST_COLS_MAX 64u
#define FAST_MAT_LINE 64u

// Activations that a matrix kernel applies to its accumulators.
typedef enum fast_act { FAST_ACT_NONE, FAST_ACT_RELU, FAST_ACT_CLAMP } fast_act_t;

// Rows x columns of C. For f32: C = act((C +) sum over r, k of A . B * alpha * scale + bias + res).
typedef struct fast_mat {
    const uint8_t *a[FAST_ROWS_MAX]; // each row of A, at r = 0, k = 0
    void *c[FAST_ROWS_MAX];
    const float *res[FAST_ROWS_MAX]; // when has_res
    const int64_t *a_offset;         // of each r
    const int64_t *b_offset;
    const uint8_t *b;
    int64_t b_step; // bytes from k (u8: from a group of 4 k) to the next
    uint32_t n_r, k, n;
    bool acc, has_res;
    fast_act_t act;
    float alpha, act_p0, act_p1;
    const float *scale, *bias; // NULL: none; indexed by column of this call
    // Memory that is read soon: kernels of the widest blocks fetch a line a step of k from here on,
    // FAST_MAT_LINE * k * n_r bytes in all. Any address will do.
    const uint8_t *prefetch;
} fast_mat_t;

typedef void (*fast_mat_fn_t)(const fast_mat_t *t);

// --- Rows of f32 ---------------------------------------------------------------------------------

typedef struct fast_args {
    float alpha, beta, p0, p1;
} fast_args_t;
// Nothing is added: x * 1 + -0 is x, also where x is -0.
#define FAST_ARGS_PLAIN(p0, p1) ((fast_args_t){1.0f, -0.0f, (p0), (p1)})

// d = f(alpha * a + beta), n elements. d may be a.
typedef void (*fast_unary_fn_t)(float *d, const float *a, size_t n, const fast_args_t *args);
// d = a op b; a scalar operand is one element (`a_one`, `b_one`). d may be a or b.
typedef void (*fast_binary_fn_t)(float *d, const float *a, const float *b, size_t n, bool a_one,
                                 bool b_one);
typedef void (*fast_ternary_fn_t)(float *d, const float *a, const float *b, const float *c,
                                  size_t n);
// A row to one number, continuing from `start`.
typedef float (*fast_fold_fn_t)(const float *a, size_t n, float start);
// r = r op a, element by element.
typedef void (*fast_merge_fn_t)(float *r, const float *a, size_t n);

// --- Windows: channels contiguous ----------------------------------------------------------------

typedef struct fast_window {
    uint8_t *d;
    const uint8_t *a, *b; // b: weights (wmac)
    const float *bias;    // wmac; NULL: none
    int64_t d_x, a_x;     // strides of the row of outputs
    uint32_t n_x, n_c;    // outputs in the row; channels
    uint32_t k0, k1;
    int64_t ka0, ka1, kb0, kb1;
    float alpha; // wreduce
    fast_act_t act;
    float act_p0, act_p1;
} fast_window_t;
typedef void (*fast_window_fn_t)(const fast_window_t *w);

// --- The tables ----------------------------------------------------------------------------------

#define FAST_FUNCS   49u
#define FAST_BINARY  23u
#define FAST_TERNARY 4u
#define FAST_REDS    6u

typedef struct fast_mat_kernels {
    uint32_t vector;                           // columns of a vector
    uint32_t cols;                             // columns of one call, at most
    uint32_t rows[5];                          // rows of one call at most, by vectors of columns
    fast_mat_fn_t f32[5][FAST_ROWS_MAX + 1];   // [vectors][rows]
    fast_mat_fn_t u8_i8[5][FAST_ROWS_MAX + 1]; // NULL: none
} fast_mat_kernels_t;

// NULL: none.
typedef struct fast_row_kernels {
    fast_unary_fn_t unary[FAST_FUNCS];
    fast_binary_fn_t binary[FAST_BINARY];
    fast_ternary_fn_t ternary[FAST_TERNARY];
    fast_ternary_fn_t dequantize; // (a - c) * b
    fast_ternary_fn_t quantize;   // round_even(a / b) + c
    fast_fold_fn_t fold[FAST_REDS];
    fast_merge_fn_t merge[FAST_REDS];
} fast_row_kernels_t;

typedef struct fast_window_kernels {
    fast_window_fn_t wmac;
    fast_window_fn_t wreduce[FAST_REDS];
} fast_window_kernels_t;

typedef struct fast_move_kernels {
    // n elements that lie in a row.
    void (*f16_to_f32)(float *d, const void *a, size_t n);
    void (*bf16_to_f32)(float *d, const void *a, size_t n);
    void (*i32_to_f32)(float *d, const void *a, size_t n);
    void (*u8_to_f32)(float *d, const void *a, size_t n);
    void (*i8_to_f32)(float *d, const void *a, size_t n);
    void (*f32_to_f16)(void *d, const float *a, size_t n);
    void (*f32_to_bf16)(void *d, const float *a, size_t n);
    // Whole numbers to bytes, saturating; NaN to 0.
    void (*f32_to_u8)(void *d, const float *a, size_t n);
    void (*f32_to_i8)(void *d, const float *a, size_t n);
    // Pairs of 16-bit k of one panel to two rows of f32: d[k][pw] from a[k/2][pw][2].
    void (*panel_f16)(float *d, const void *a, uint32_t pw, uint32_t pairs);
    void (*panel_bf16)(float *d, const void *a, uint32_t pw, uint32_t pairs);
    // d[c][r] = a[r][c], strides in bytes between rows.
    void (*transpose32)(uint8_t *d, int64_t d_stride, const uint8_t *a, int64_t a_stride,
                        uint32_t rows, uint32_t cols);
    // Rows of a multiple of 4 bytes.
    void (*copy_rows)(uint8_t *d, int64_t d_stride, const uint8_t *a, int64_t a_stride,
                      uint32_t rows, uint32_t bytes);
    void (*copy_stream)(uint8_t *d, const uint8_t *a, size_t n); // around the caches
} fast_move_kernels_t;

typedef struct fast_kernels {
    const char *name;
    const fast_mat_kernels_t *mat;
    const fast_row_kernels_t *row;
    const fast_window_kernels_t *window;
    const fast_move_kernels_t *move;
} fast_kernels_t;

// The best that this machine's processor can run, of those up to `most`, or NULL.
typedef enum fast_isa { FAST_ISA_NONE, FAST_ISA_AVX2, FAST_ISA_AVX512 } fast_isa_t;
const fast_kernels_t *fast_kernels_find(fast_isa_t most);

#define FAST_DECLARE(isa)                                                                          \
    extern const fast_mat_kernels_t fast_mat_kernels_##isa;                                        \
    extern const fast_row_kernels_t fast_row_kernels_##isa;                                        \
    extern const fast_window_kernels_t fast_window_kernels_##isa;                                  \
    extern const fast_move_kernels_t fast_move_kernels_##isa;
FAST_DECLARE(avx512) // f, bw, dq, vl, vnni
FAST_DECLARE(avx2)   // with fma and f16c
#undef FAST_DECLARE

#endif
