// SPDX-License-Identifier: Apache-2.0
// Each op of the reference evaluator on a case small enough to check by hand.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/numeric.h"
#include "tests/ir/ir_test.h"
#include "tests/ref/ref_eval.h"

enum { MAX_INPUTS = 5, MAX_VALUES = 40 };

// A tensor by its type's text and its values; the inputs are called %a, %b ...
typedef struct literal {
    const char *elem;
    int rank; // -1: none
    int64_t dims[5];
    double values[MAX_VALUES];
} literal_t;

typedef struct row {
    const char *op;     // with operands and attributes; the result's type follows
    const char *result; // type text, NULL: tensor<? *>
    literal_t in[MAX_INPUTS];
    literal_t out;
} row_t;

static dtype_t elem_of(const char *text) {
    for (int type = 1; type < DTYPE_COUNT; type++)
        if (strcmp(dtype_text((dtype_t)type), text) == 0)
            return (dtype_t)type;
    fail_msg("no type %s", text);
    return DTYPE_NONE;
}

static ref_tensor_t *make(const literal_t *l) {
    ref_tensor_t *t = ref_tensor_new(elem_of(l->elem), (uint32_t)l->rank, l->dims);
    assert_true(t->n <= MAX_VALUES);
    for (int64_t i = 0; i < t->n; i++)
        num_store_f64(t->elem, t->data, (uint64_t)i, l->values[i], 0);
    return t;
}

static void check_row(const row_t *row) {
    char text[2048], args[512] = "";
    const ref_tensor_t *inputs[MAX_INPUTS];
    ref_tensor_t *made[MAX_INPUTS], *got = NULL;
    size_t n = 0;
    for (; n < MAX_INPUTS && row->in[n].elem != NULL; n++) {
        (void)snprintf(args + strlen(args), sizeof args - strlen(args), "%s%%%c: tensor<%s *>",
                       n == 0 ? "" : ", ", (char)('a' + n), row->in[n].elem);
        inputs[n] = made[n] = make(&row->in[n]);
    }
    (void)snprintf(text, sizeof text,
                   "module \"r\" {\n  symbol N dim [1, 9]\n  blob b0 f32 4 = \"00000040\"\n"
                   "  func @main(%s) {\n    %%y = %s : %s\n    return(%%y)\n  }\n}\n",
                   args, row->op, row->result != NULL ? row->result : "tensor<? *>");
    ir_module_t *m = parse_or_fail(text);
    diag_t diag;
    diag_init(&diag);
    status_t status = ref_eval_run(m, n, inputs, 1, &got, NULL, NULL, &diag);
    diag_print(&diag, stderr, "ref", true);
    assert_int_equal(status, STATUS_OK);
    ref_tensor_t *want = make(&row->out);
    ref_difference_t d = ref_tensor_compare(got, want, 1e-6, 1e-6);
    if (d.n_beyond != 0)
        fail_msg("%s: %s rank %u [%lld %lld ..], element %lld is %g, not %g", row->op,
                 dtype_text(got->elem), got->rank, (long long)got->dims[0], (long long)got->dims[1],
                 (long long)d.worst, d.got, d.want);
    ref_tensor_free(got);
    ref_tensor_free(want);
    for (size_t i = 0; i < n; i++)
        ref_tensor_free(made[i]);
    diag_deinit(&diag);
    ir_module_destroy(m);
}

static void check_rows(const row_t *rows, size_t n) {
    for (size_t i = 0; i < n; i++)
        check_row(&rows[i]);
}

// clang-format off
static void test_elementwise(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"unary(%a) {func = \"relu\"}", NULL, {{"f32", 1, {3}, {-1, 0, 2}}}, {"f32", 1, {3}, {0, 0, 2}}},
        {"unary(%a) {func = \"clamp\", alpha = 2, beta = 1, p0 = 0, p1 = 4}", NULL,
         {{"f32", 1, {3}, {-1, 1, 2}}}, {"f32", 1, {3}, {0, 3, 4}}},
        {"unary(%a) {func = \"round\"}", NULL, {{"f32", 1, {4}, {0.5, 1.5, -0.5, 2.4}}}, {"f32", 1, {4}, {0, 2, 0, 2}}},
        {"unary(%a) {func = \"gelu\"}", NULL, {{"f32", 1, {2}, {0, 1}}}, {"f32", 1, {2}, {0, 0.8413447460685429}}},
        {"unary(%a) {func = \"elu\", p0 = 2}", NULL, {{"f32", 1, {2}, {-1, 3}}}, {"f32", 1, {2}, {2 * (0.36787944117144233 - 1), 3}}},
        {"unary(%a) {func = \"neg\"}", NULL, {{"i32", 1, {2}, {-5, 7}}}, {"i32", 1, {2}, {5, -7}}},
        {"unary(%a) {func = \"not\"}", NULL, {{"bool", 1, {2}, {0, 1}}}, {"bool", 1, {2}, {1, 0}}},
        {"unary(%a) {func = \"isneg\"}", NULL, {{"f16", 1, {2}, {-3, 1}}}, {"bool", 1, {2}, {1, 0}}},
        {"binary(%a, %b) {op = \"sub\"}", NULL, {{"f32", 2, {2, 2}, {1, 2, 3, 4}}, {"f32", 1, {2}, {10, 20}}},
         {"f32", 2, {2, 2}, {-9, -18, -7, -16}}},
        {"binary(%a, %b) {op = \"add\"}", NULL, {{"f32", 2, {2, 1}, {1, 2}}, {"f32", 2, {1, 3}, {10, 20, 30}}},
         {"f32", 2, {2, 3}, {11, 21, 31, 12, 22, 32}}},
        {"binary(%a, %b) {op = \"div\"}", NULL, {{"i32", 1, {3}, {7, -7, 5}}, {"i32", 1, {3}, {2, 2, 0}}}, {"i32", 1, {3}, {3, -3, 0}}},
        {"binary(%a, %b) {op = \"mod\"}", NULL, {{"i64", 1, {2}, {7, -7}}, {"i64", 0, {0}, {3}}}, {"i64", 1, {2}, {1, 2}}},
        {"binary(%a, %b) {op = \"fmod\"}", NULL, {{"f32", 1, {2}, {7, -7}}, {"f32", 0, {0}, {3}}}, {"f32", 1, {2}, {1, -1}}},
        {"binary(%a, %b) {op = \"pow\"}", NULL, {{"f32", 1, {2}, {2, 3}}, {"i64", 1, {2}, {3, 2}}}, {"f32", 1, {2}, {8, 9}}},
        {"binary(%a, %b) {op = \"shr\"}", NULL, {{"u8", 1, {2}, {200, 16}}, {"u8", 1, {2}, {3, 9}}}, {"u8", 1, {2}, {25, 0}}},
        {"binary(%a, %b) {op = \"lt\"}", NULL, {{"f32", 1, {2}, {1, 2}}, {"f32", 1, {2}, {2, 1}}}, {"bool", 1, {2}, {1, 0}}},
        {"binary(%a, %b) {op = \"prelu\"}", NULL, {{"f32", 1, {2}, {-4, 4}}, {"f32", 0, {0}, {0.5}}}, {"f32", 1, {2}, {-2, 4}}},
        {"select(%a, %b, %c)", NULL, {{"bool", 1, {2}, {1, 0}}, {"f32", 0, {0}, {5}}, {"f32", 1, {2}, {6, 7}}}, {"f32", 1, {2}, {5, 7}}},
        {"clip(%a, %b, _)", NULL, {{"f32", 1, {2}, {-3, 3}}, {"f32", 0, {0}, {-1}}}, {"f32", 1, {2}, {-1, 3}}},
        {"clip(%a, %b, %c)", NULL, {{"i8", 1, {3}, {-3, 0, 3}}, {"i8", 0, {0}, {-1}}, {"i8", 0, {0}, {2}}}, {"i8", 1, {3}, {-1, 0, 2}}},
        {"variadic(%a, %b, %c) {op = \"mean\"}", NULL, {{"f32", 1, {2}, {1, 2}}, {"f32", 0, {0}, {3}}, {"f32", 1, {1}, {5}}},
         {"f32", 1, {2}, {3, 10.0 / 3}}},
        {"variadic(%a, %b) {op = \"max\"}", NULL, {{"f32", 1, {2}, {1, 4}}, {"f32", 0, {0}, {3}}}, {"f32", 1, {2}, {3, 4}}},
        {"cast(%a) {to = i32}", NULL, {{"f32", 1, {3}, {1.9, -1.9, 0}}}, {"i32", 1, {3}, {1, -1, 0}}},
        {"cast(%a) {to = f16}", NULL, {{"f32", 1, {2}, {1.0009765625, 0.1}}}, {"f16", 1, {2}, {1.0009765625, 0.0999755859375}}},
        {"cast(%a) {to = u4}", NULL, {{"i32", 1, {3}, {1, 15, 7}}}, {"u4", 1, {3}, {1, 15, 7}}},
        {"dequantize(%a, %b, %c)", NULL, {{"u8", 1, {2}, {128, 130}}, {"f32", 0, {0}, {0.5}}, {"u8", 0, {0}, {128}}}, {"f32", 1, {2}, {0, 1}}},
        {"dequantize(%a, %b) {axis = 0}", NULL, {{"i8", 2, {2, 2}, {1, 2, 3, 4}}, {"f32", 1, {2}, {10, 100}}},
         {"f32", 2, {2, 2}, {10, 20, 300, 400}}},
        {"dequantize(%a, %b) {axis = 1, block_size = 2}", NULL, {{"i8", 2, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}}, {"f32", 2, {2, 2}, {1, 10, 100, 1000}}},
         {"f32", 2, {2, 4}, {1, 2, 30, 40, 500, 600, 7000, 8000}}},
        {"quantize(%a, %b, %c)", NULL, {{"f32", 1, {4}, {-1000, 0, 1.25, 1000}}, {"f32", 0, {0}, {0.5}}, {"u8", 0, {0}, {10}}},
         {"u8", 1, {4}, {0, 10, 12, 255}}},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_matrix(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"matmul(%a, %b)", NULL, {{"f32", 2, {2, 2}, {1, 2, 3, 4}}, {"f32", 2, {2, 2}, {5, 6, 7, 8}}}, {"f32", 2, {2, 2}, {19, 22, 43, 50}}},
        {"matmul(%a, %b) {trans_b = 1, alpha = 0.5}", NULL, {{"f32", 2, {1, 2}, {1, 2}}, {"f32", 2, {3, 2}, {1, 0, 0, 1, 1, 1}}}, {"f32", 2, {1, 3}, {0.5, 1, 1.5}}},
        {"matmul(%a, %b)", NULL, {{"f32", 1, {2}, {1, 2}}, {"f32", 1, {2}, {3, 4}}}, {"f32", 0, {0}, {11}}},
        {"matmul(%a, %b)", NULL, {{"f32", 3, {2, 1, 2}, {1, 2, 3, 4}}, {"f32", 2, {2, 1}, {10, 1}}}, {"f32", 3, {2, 1, 1}, {12, 34}}},
        {"matmul(%a, %b)", NULL, {{"f32", 3, {1, 1, 2}, {1, 2}}, {"f32", 3, {2, 2, 1}, {10, 1, 3, 4}}}, {"f32", 3, {2, 1, 1}, {12, 11}}},
        {"matmul(%a, %b)", NULL, {{"i32", 2, {1, 2}, {3, 4}}, {"i32", 2, {2, 1}, {5, -6}}}, {"i32", 2, {1, 1}, {-9}}},
        {"gemm(%a, %b, %c) {alpha = 2, beta = 3, trans_a = 1}", NULL,
         {{"f32", 2, {2, 1}, {1, 2}}, {"f32", 2, {2, 2}, {1, 2, 3, 4}}, {"f32", 1, {2}, {1, 10}}}, {"f32", 2, {1, 2}, {17, 50}}},
        {"gemm(%a, %b) {trans_b = 1}", NULL, {{"f64", 2, {1, 2}, {1, 2}}, {"f64", 2, {1, 2}, {3, 4}}}, {"f64", 2, {1, 1}, {11}}},
        {"conv(%a, %b, %c) {pads = [1, 1, 1, 1]}", NULL,
         {{"f32", 4, {1, 1, 2, 2}, {1, 2, 3, 4}}, {"f32", 4, {1, 1, 3, 3}, {1, 1, 1, 1, 2, 1, 1, 1, 1}}, {"f32", 1, {1}, {100}}},
         {"f32", 4, {1, 1, 2, 2}, {111, 112, 113, 114}}},
        {"conv(%a, %b) {strides = [2], dilations = [2], pads = [1, 0]}", NULL,
         {{"f32", 3, {1, 1, 6}, {1, 2, 3, 4, 5, 6}}, {"f32", 3, {1, 1, 2}, {1, 10}}}, {"f32", 3, {1, 1, 3}, {20, 42, 64}}},
        {"conv(%a, %b) {group = 2}", NULL, {{"f32", 3, {1, 2, 2}, {1, 2, 3, 4}}, {"f32", 3, {2, 1, 1}, {10, 100}}},
         {"f32", 3, {1, 2, 2}, {10, 20, 300, 400}}},
        {"conv(%a, %b) {auto_pad = \"SAME_UPPER\", strides = [2]}", NULL,
         {{"f32", 3, {1, 1, 4}, {1, 2, 3, 4}}, {"f32", 3, {1, 1, 3}, {1, 1, 1}}}, {"f32", 3, {1, 1, 2}, {6, 7}}},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_windows(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"pool(%a) {op = \"max\", kernel = [2, 2], strides = [2, 2]}", NULL,
         {{"f32", 4, {1, 1, 2, 4}, {1, 5, 2, 3, 4, 0, -1, 9}}}, {"f32", 4, {1, 1, 1, 2}, {5, 9}}},
        {"pool(%a) {op = \"average\", kernel = [3], pads = [1, 1]}", NULL, {{"f32", 3, {1, 1, 3}, {1, 2, 6}}}, {"f32", 3, {1, 1, 3}, {1.5, 3, 4}}},
        {"pool(%a) {op = \"average\", kernel = [3], pads = [1, 1], count_include_pad = 1}", NULL,
         {{"f32", 3, {1, 1, 3}, {1, 2, 6}}}, {"f32", 3, {1, 1, 3}, {1, 3, 8.0 / 3}}},
        {"pool(%a) {op = \"max\", kernel = [2], strides = [2], ceil_mode = 1}", NULL, {{"f32", 3, {1, 1, 5}, {1, 2, 3, 4, 5}}},
         {"f32", 3, {1, 1, 3}, {2, 4, 5}}},
        {"pool(%a) {op = \"max\", kernel = [2], dilations = [2]}", NULL, {{"f32", 3, {1, 1, 4}, {4, 2, 3, 5}}}, {"f32", 3, {1, 1, 2}, {4, 5}}},
        {"global_pool(%a) {op = \"average\"}", NULL, {{"f32", 4, {1, 2, 1, 2}, {1, 3, 5, 9}}}, {"f32", 4, {1, 2, 1, 1}, {2, 7}}},
        {"global_pool(%a) {op = \"max\"}", NULL, {{"f32", 3, {1, 1, 3}, {-5, -1, -3}}}, {"f32", 3, {1, 1, 1}, {-1}}},
        {"lrn(%a) {size = 3, alpha = 3, beta = 1, bias = 1}", NULL, {{"f32", 3, {1, 3, 1}, {1, 2, 3}}},
         {"f32", 3, {1, 3, 1}, {1.0 / 6, 2.0 / 15, 3.0 / 14}}},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_norm(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"reduce(%a) {op = \"sum\", axes = [1], keepdims = 0}", NULL, {{"f32", 2, {2, 2}, {1, 2, 3, 4}}}, {"f32", 1, {2}, {3, 7}}},
        {"reduce(%a) {op = \"mean\", axes = [-2]}", NULL, {{"f32", 2, {2, 2}, {1, 2, 3, 4}}}, {"f32", 2, {1, 2}, {2, 3}}},
        {"reduce(%a) {op = \"l2\", keepdims = 0}", NULL, {{"f32", 2, {1, 2}, {3, -4}}}, {"f32", 0, {0}, {5}}},
        {"reduce(%a, %b) {op = \"max\"}", NULL, {{"i32", 2, {2, 2}, {1, -2, -3, -4}}, {"i64", 1, {1}, {0}}}, {"i32", 2, {1, 2}, {1, -2}}},
        {"reduce(%a) {op = \"logsumexp\", keepdims = 0}", NULL, {{"f32", 1, {2}, {1000, 1000}}}, {"f32", 0, {0}, {1000.6931471805599}}},
        {"reduce(%a) {op = \"prod\", keepdims = 0}", NULL, {{"f32", 1, {3}, {2, 3, 4}}}, {"f32", 0, {0}, {24}}},
        {"reduce(%a) {op = \"sum\", noop_with_empty_axes = 1}", NULL, {{"f32", 1, {2}, {2, 3}}}, {"f32", 1, {2}, {2, 3}}},
        {"argreduce(%a) {op = \"max\", axis = 1, keepdims = 0}", NULL, {{"f32", 2, {2, 3}, {1, 5, 5, 7, 2, 3}}}, {"i64", 1, {2}, {1, 0}}},
        {"argreduce(%a) {op = \"max\", axis = 1, select_last_index = 1}", NULL, {{"f32", 2, {1, 3}, {1, 5, 5}}}, {"i64", 2, {1, 1}, {2}}},
        {"softmax(%a) {axis = 0}", NULL, {{"f32", 2, {2, 1}, {0, 1.0986122886681098}}}, {"f32", 2, {2, 1}, {0.25, 0.75}}},
        {"softmax(%a) {axis = 1, flatten = 1}", NULL, {{"f32", 3, {1, 2, 2}, {0, 0, 0, 0}}}, {"f32", 3, {1, 2, 2}, {0.25, 0.25, 0.25, 0.25}}},
        {"softmax(%a) {log = 1}", NULL, {{"f32", 1, {2}, {5, 5}}}, {"f32", 1, {2}, {-0.6931471805599453, -0.6931471805599453}}},
        {"batch_norm(%a, %b, %c, %d, %e) {epsilon = 1}", NULL,
         {{"f32", 3, {1, 2, 1}, {3, 5}}, {"f32", 1, {2}, {2, 4}}, {"f32", 1, {2}, {10, 20}}, {"f32", 1, {2}, {1, 1}}, {"f32", 1, {2}, {3, 0}}},
         {"f32", 3, {1, 2, 1}, {12, 36}}},
        {"layer_norm(%a, %b, %c) {epsilon = 0}", NULL, {{"f32", 2, {2, 2}, {1, 3, 10, 30}}, {"f32", 1, {2}, {1, 2}}, {"f32", 1, {2}, {0, 1}}},
         {"f32", 2, {2, 2}, {-1, 3, -1, 3}}},
        {"layer_norm(%a, %b) {epsilon = 0, rms = 1}", NULL, {{"f32", 1, {2}, {1, 7}}, {"f32", 1, {2}, {1, 1}}}, {"f32", 1, {2}, {0.2, 1.4}}},
        {"instance_norm(%a, %b, %c) {epsilon = 0}", NULL, {{"f32", 3, {1, 1, 2}, {1, 3}}, {"f32", 1, {1}, {2}}, {"f32", 1, {1}, {5}}},
         {"f32", 3, {1, 1, 2}, {3, 7}}},
        {"cumulate(%a) {axis = 1}", NULL, {{"f32", 2, {2, 3}, {1, 2, 3, 4, 5, 6}}}, {"f32", 2, {2, 3}, {1, 3, 6, 4, 9, 15}}},
        {"cumulate(%a, %b) {exclusive = 1, reverse = 1}", NULL, {{"i32", 1, {3}, {1, 2, 3}}, {"i64", 0, {0}, {0}}}, {"i32", 1, {3}, {5, 3, 0}}},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_move(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"const {blob = b0}", "tensor<f32 [1]>", {{0}}, {"f32", 1, {1}, {2}}},
        {"fill {blob = b0}", "tensor<f32 [3]>", {{0}}, {"f32", 1, {3}, {2, 2, 2}}},
        {"fill(%a) {blob = b0}", NULL, {{"i64", 1, {2}, {1, 2}}}, {"f32", 2, {1, 2}, {2, 2}}},
        {"reshape(%a, %b)", NULL, {{"f32", 2, {2, 3}, {1, 2, 3, 4, 5, 6}}, {"i64", 1, {3}, {0, -1, 1}}}, {"f32", 3, {2, 3, 1}, {1, 2, 3, 4, 5, 6}}},
        {"reshape(%a)", "tensor<f32 [1, 2]>", {{"f32", 1, {2}, {1, 2}}}, {"f32", 2, {1, 2}, {1, 2}}},
        {"flatten(%a) {axis = 2}", NULL, {{"f32", 3, {2, 1, 2}, {1, 2, 3, 4}}}, {"f32", 2, {2, 2}, {1, 2, 3, 4}}},
        {"squeeze(%a) {axes = [-1]}", NULL, {{"f32", 3, {1, 2, 1}, {1, 2}}}, {"f32", 2, {1, 2}, {1, 2}}},
        {"squeeze(%a)", NULL, {{"f32", 3, {1, 2, 1}, {1, 2}}}, {"f32", 1, {2}, {1, 2}}},
        {"unsqueeze(%a, %b)", NULL, {{"f32", 1, {2}, {1, 2}}, {"i64", 1, {2}, {0, -1}}}, {"f32", 3, {1, 2, 1}, {1, 2}}},
        {"identity(%a)", NULL, {{"i8", 1, {2}, {1, -2}}}, {"i8", 1, {2}, {1, -2}}},
        {"transpose(%a) {perm = [1, 2, 0]}", NULL, {{"f32", 3, {2, 1, 2}, {1, 2, 3, 4}}}, {"f32", 3, {1, 2, 2}, {1, 3, 2, 4}}},
        {"transpose(%a)", NULL, {{"f16", 2, {1, 3}, {1, 2, 3}}}, {"f16", 2, {3, 1}, {1, 2, 3}}},
        {"slice(%a) {onnx_starts = [1], onnx_ends = [-1], onnx_axes = [1]}", NULL, {{"f32", 2, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}}},
         {"f32", 2, {2, 2}, {2, 3, 6, 7}}},
        {"slice(%a, %b, %c, %d, %e)", NULL,
         {{"f32", 1, {5}, {1, 2, 3, 4, 5}}, {"i64", 1, {1}, {-1}}, {"i64", 1, {1}, {-100}}, {"i64", 1, {1}, {0}}, {"i64", 1, {1}, {-2}}},
         {"f32", 1, {3}, {5, 3, 1}}},
        {"slice(%a) {starts = [1, 0], steps = [1, 2]}", "tensor<f32 [1, 2]>", {{"f32", 2, {2, 3}, {1, 2, 3, 4, 5, 6}}}, {"f32", 2, {1, 2}, {4, 6}}},
        {"concat(%a, %b) {axis = -1}", NULL, {{"f32", 2, {2, 1}, {1, 2}}, {"f32", 2, {2, 2}, {3, 4, 5, 6}}}, {"f32", 2, {2, 3}, {1, 3, 4, 2, 5, 6}}},
        {"pad(%a) {pads = [1, 2], value = 9}", NULL, {{"f32", 1, {2}, {1, 2}}}, {"f32", 1, {5}, {9, 1, 2, 9, 9}}},
        {"pad(%a) {pads = [2, 1], mode = \"reflect\"}", NULL, {{"f32", 1, {3}, {1, 2, 3}}}, {"f32", 1, {6}, {3, 2, 1, 2, 3, 2}}},
        {"pad(%a) {pads = [1, 1], mode = \"edge\"}", NULL, {{"f32", 1, {2}, {1, 2}}}, {"f32", 1, {4}, {1, 1, 2, 2}}},
        {"pad(%a, %b, %c) {mode = \"constant\"}", NULL, {{"i32", 1, {2}, {1, 2}}, {"i64", 1, {2}, {-1, 1}}, {"i32", 0, {0}, {7}}}, {"i32", 1, {2}, {2, 7}}},
        {"expand(%a, %b)", NULL, {{"f32", 2, {2, 1}, {1, 2}}, {"i64", 1, {3}, {2, 1, 2}}}, {"f32", 3, {2, 2, 2}, {1, 1, 2, 2, 1, 1, 2, 2}}},
        {"tile(%a, %b)", NULL, {{"f32", 2, {1, 2}, {1, 2}}, {"i64", 1, {2}, {2, 2}}}, {"f32", 2, {2, 4}, {1, 2, 1, 2, 1, 2, 1, 2}}},
        {"gather(%a, %b) {axis = 1}", NULL, {{"f32", 2, {2, 3}, {1, 2, 3, 4, 5, 6}}, {"i64", 1, {2}, {-1, 0}}}, {"f32", 2, {2, 2}, {3, 1, 6, 4}}},
        {"gather(%a, %b)", NULL, {{"f32", 1, {3}, {1, 2, 3}}, {"i32", 0, {0}, {1}}}, {"f32", 0, {0}, {2}}},
        {"depth_to_space(%a) {block = 2}", NULL, {{"f32", 4, {1, 4, 1, 1}, {1, 2, 3, 4}}}, {"f32", 4, {1, 1, 2, 2}, {1, 2, 3, 4}}},
        {"depth_to_space(%a) {block = 2, mode = \"CRD\"}", NULL, {{"f32", 4, {1, 8, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8}}},
         {"f32", 4, {1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}}},
        {"depth_to_space(%a) {block = 2, mode = \"DCR\"}", NULL, {{"f32", 4, {1, 8, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8}}},
         {"f32", 4, {1, 2, 2, 2}, {1, 3, 5, 7, 2, 4, 6, 8}}},
        {"shape(%a) {start = -2}", NULL, {{"f32", 3, {1, 2, 3}, {0}}}, {"i64", 1, {2}, {2, 3}}},
        {"size(%a)", NULL, {{"f32", 2, {2, 3}, {0}}}, {"i64", 0, {0}, {6}}},
        {"range(%a, %b, %c)", NULL, {{"i64", 0, {0}, {10}}, {"i64", 0, {0}, {3}}, {"i64", 0, {0}, {-3}}}, {"i64", 1, {3}, {10, 7, 4}}},
        {"range(%a, %b, %c)", NULL, {{"f32", 0, {0}, {0}}, {"f32", 0, {0}, {1}}, {"f32", 0, {0}, {0.4}}}, {"f32", 1, {3}, {0, 0.4, 0.8}}},
        {"resize(%a) {mode = \"nearest\", coordinate = \"asymmetric\", nearest = \"floor\", scales = [2]}", NULL,
         {{"f32", 1, {2}, {1, 2}}}, {"f32", 1, {4}, {1, 1, 2, 2}}},
        {"resize(%a, _, _, %b) {mode = \"linear\"}", NULL, {{"f32", 1, {2}, {1, 2}}, {"i64", 1, {1}, {4}}}, {"f32", 1, {4}, {1, 1.25, 1.75, 2}}},
        {"resize(%a, _, %b) {mode = \"linear\", coordinate = \"align_corners\"}", NULL, {{"f32", 1, {2}, {1, 3}}, {"f32", 1, {1}, {1.5}}},
         {"f32", 1, {3}, {1, 2, 3}}},
        {"resize(%a, _, _, %b) {mode = \"cubic\", coordinate = \"asymmetric\"}", NULL,
         {{"f32", 1, {4}, {1, 2, 3, 4}}, {"i64", 1, {1}, {8}}}, {"f32", 1, {8}, {1, 1.40625, 2, 2.5, 3, 3.59375, 4, 4.09375}}},
    };
    check_rows(rows, COUNT_OF(rows));
}
// clang-format on

// --- Whole modules -------------------------------------------------------------------------------

typedef struct seen {
    int n;
    char names[256];
} seen_t;

static status_t note(void *ctx, const ir_value_t *value, const ref_tensor_t *tensor) {
    seen_t *s = ctx;
    s->n++;
    (void)snprintf(s->names + strlen(s->names), sizeof s->names - strlen(s->names), "%s:%lld ",
                   value->name, (long long)tensor->n);
    return STATUS_OK;
}

static ref_tensor_t *run_text(const char *text, const ref_tensor_t *input, seen_t *seen) {
    ir_module_t *m = parse_or_fail(text);
    diag_t diag;
    ref_tensor_t *got = NULL;
    diag_init(&diag);
    status_t status = ref_eval_run(m, input != NULL ? 1 : 0, &input, 1, &got,
                                   seen != NULL ? note : NULL, seen, &diag);
    diag_print(&diag, stderr, "ref", true);
    assert_int_equal(status, STATUS_OK);
    diag_deinit(&diag);
    ir_module_destroy(m);
    return got;
}

// Symbols come from the input; every value is seen; kernels and both ways of an if run.
static void test_modules(void **state) {
    (void)state;
    ref_tensor_t *x = ref_tensor_new(DTYPE_F32, 2, (int64_t[]){3, 2});
    for (int i = 0; i < 6; i++)
        ((float *)x->data)[i] = (float)i;
    seen_t seen = {.n = 0};
    ref_tensor_t *y = run_text(
        "module \"k\" {\n  symbol N dim [1, 99]\n  func @main(%x: tensor<f32 [N, 2]>) {\n"
        "    %k = kernel(%x) {template = \"loops\"} (%a: tensor<f32 [N, 2]>) {\n"
        "      %b = unary(%a) {func = \"neg\"} : tensor<f32 [N, 2]>\n      yield(%b)\n"
        "    } : tensor<f32 [N, 2]>\n"
        "    %p, %q = split(%k) {axis = 1} : tensor<f32 [N, 1]>, tensor<f32 [N, 1]>\n"
        "    %d = from_dims {values = [N * 2]} : tensor<i64 [1]>\n"
        "    %r = reshape(%k, %d) : tensor<f32 [N * 2]>\n"
        "    %c = binary(%p, %q) {op = \"add\"} : tensor<f32 [N, 1]>\n    return(%c)\n  }\n}\n",
        x, &seen);
    assert_string_equal(seen.names, "b:6 k:6 p:3 q:3 d:1 r:6 c:3 ");
    assert_int_equal(y->dims[0], 3);
    assert_true(((float *)y->data)[2] == -9);
    ref_tensor_free(y);
    ref_tensor_free(x);
    for (int way = 0; way < 2; way++) {
        x = ref_tensor_new(DTYPE_BOOL, 0, NULL);
        *(uint8_t *)x->data = (uint8_t)way;
        y = run_text("module \"i\" {\n  blob b0 f32 4 = \"00000040\"\n  blob b1 f32 4 = "
                     "\"00000041\"\n  func @main(%x: tensor<bool []>) {\n"
                     "    %r = if(%x) {\n      %a = const {blob = b0} : tensor<f32 []>\n"
                     "      yield(%a)\n    } {\n      %b = const {blob = b1} : tensor<f32 []>\n"
                     "      yield(%b)\n    } : tensor<f32 []>\n    return(%r)\n  }\n}\n",
                     x, NULL);
        assert_true(*(float *)y->data == (way ? 2.0f : 8.0f));
        ref_tensor_free(y);
        ref_tensor_free(x);
    }
}

// i64 sums 0 + 1 + ... with the partial sums as scan output: 0 1 3 6.
static void test_loop(void **state) {
    (void)state;
    ref_tensor_t *trips = ref_tensor_new(DTYPE_I64, 0, NULL);
    *(int64_t *)trips->data = 4;
    ref_tensor_t *y = run_text(
        "module \"l\" {\n  blob b0 i64 8 = \"0000000000000000\"\n"
        "  func @main(%n: tensor<i64 []>) {\n    %z = const {blob = b0} : tensor<i64 []>\n"
        "    %s, %all = loop(%n, _, %z) (%i: tensor<i64 []>, %c: tensor<bool []>, %v: tensor<i64 "
        "[]>) {\n      %w = binary(%v, %i) {op = \"add\"} : tensor<i64 []>\n"
        "      yield(%c, %w, %w)\n    } : tensor<i64 []>, tensor<i64 [4]>\n"
        "    return(%all)\n  }\n}\n",
        trips, NULL);
    assert_int_equal(y->n, 4);
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(((int64_t *)y->data)[i], i * (i + 1) / 2);
    ref_tensor_free(y);
    ref_tensor_free(trips);
}

// What does not fit is refused with the op's name, not read beyond.
static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *op, *message;
        status_t status;
    } rows[] = {
        {"binary(%a, %a, %a) {op = \"add\"}", NULL, STATUS_OK}, // extra operands do no harm
        {"binary(%a, %b) {op = \"add\"}", "broadcast", STATUS_INVALID},
        {"matmul(%a, %b)", "p.k == k_b", STATUS_INVALID},
        {"reshape(%a)", "ref_type_dims", STATUS_INVALID},
        {"unary(%a) {func = \"frob\"}", "frob", STATUS_UNSUPPORTED},
        {"scan(%a) {\n}", "does not know", STATUS_UNSUPPORTED},
    };
    ref_tensor_t *a = ref_tensor_new(DTYPE_F32, 2, (int64_t[]){2, 3});
    ref_tensor_t *b = ref_tensor_new(DTYPE_F32, 2, (int64_t[]){2, 2});
    const ref_tensor_t *inputs[2] = {a, b};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "module \"e\" {\n  func @main(%%a: tensor<f32 *>, %%b: tensor<f32 *>) {\n"
                       "    %%y = %s : tensor<? *>\n    return(%%y)\n  }\n}\n",
                       rows[i].op);
        ir_module_t *m = parse_or_fail(text);
        diag_t diag;
        ref_tensor_t *y = NULL;
        diag_init(&diag);
        assert_int_equal(ref_eval_run(m, 2, inputs, 1, &y, NULL, NULL, &diag), rows[i].status);
        if (rows[i].message != NULL)
            assert_non_null(strstr(diag.first->message, rows[i].message));
        ref_tensor_free(y);
        diag_deinit(&diag);
        ir_module_destroy(m);
    }
    ref_tensor_free(a);
    ref_tensor_free(b);
}

static void test_compare(void **state) {
    (void)state;
    ref_tensor_t *a = ref_tensor_new(DTYPE_F32, 1, (int64_t[]){4});
    ref_tensor_t *b = ref_tensor_new(DTYPE_F32, 1, (int64_t[]){4});
    float *x = a->data, *y = b->data;
    y[0] = x[0] = (float)NAN;
    y[1] = x[1] = (float)INFINITY;
    x[2] = 1.0005f;
    y[2] = 1;
    assert_int_equal(ref_tensor_compare(a, b, 1e-3, 0).n_beyond, 0);
    x[3] = 2;
    ref_difference_t d = ref_tensor_compare(a, b, 1e-3, 1e-4);
    assert_int_equal(d.n_beyond, 1);
    assert_int_equal(d.worst, 3);
    x[0] = 0;
    assert_int_equal(ref_tensor_compare(a, b, 1e-3, 1e-4).n_beyond, 2);
    ref_tensor_free(a);
    ref_tensor_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise), cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_windows),     cmocka_unit_test(test_norm),
        cmocka_unit_test(test_move),        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_loop),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
