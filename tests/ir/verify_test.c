// SPDX-License-Identifier: Apache-2.0
// Each check of the verifier fires, at the right line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/file.h"
#include "tests/common/test_data.h"
#include "tests/ir/ir_test.h"

// The body starts at line 1 of what a row says; it needs its own return.
#define HEAD                                                                                       \
    "module \"v\" {\n"                                                                             \
    "  symbol N dim [1, 512]\n"                                                                    \
    "  symbol i loop [0, 63]\n"                                                                    \
    "  symbol p loop [0, 7]\n"                                                                     \
    "  symbol r data [0, 9]\n"                                                                     \
    "  symbol core core [0, 63]\n"                                                                 \
    "  blob b0 f32 16 = \"00000000000000000000000000000000\"\n"                                    \
    "  func @main(%x: tensor<f32 [N, 4]>, %h: tensor<f16 [N, 4]>, %d: buffer<dram f32 [64, 8]>, "  \
    "%n: buffer<dram i64 [1]>, %t: ticket, %l: buffer<lm f32 [64, 8]>, %m: buffer<lm f32 [1, 1, "  \
    "8, 8]>) {\n"
enum { HEAD_LINES = 8 };

typedef struct row {
    const char *body, *message;
    int line;
} row_t;

static void check_row(const row_t *row) {
    char text[4096];
    diag_t diag;
    (void)snprintf(text, sizeof text, "%s%s  }\n}\n", HEAD, row->body);
    ir_module_t *m = parse_or_fail(text);
    diag_init(&diag);
    status_t status = ir_verify(m, &diag);
    if (row->message == NULL) {
        diag_print(&diag, stderr, "test", false);
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(diag.n_errors, 0);
    } else {
        assert_int_equal(status, STATUS_INVALID);
        bool found = false;
        for (const diag_entry_t *e = diag.first; e != NULL; e = e->next)
            found = found || (strstr(e->message, row->message) != NULL &&
                              e->where.line == row->line + HEAD_LINES);
        if (!found) {
            diag_print(&diag, stderr, "test", false);
            fail_msg("no '%s' at line %d of\n%s", row->message, row->line, row->body);
        }
    }
    diag_deinit(&diag);
    ir_module_destroy(m);
}

static void check_rows(const row_t *rows, size_t n) {
    for (size_t i = 0; i < n; i++)
        check_row(&rows[i]);
}

static void test_structure(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"return\n", NULL, 0},
        {"return(%x, %h)\n", NULL, 0},
        {"%a = unary(%x, %x) {func = \"relu\"} : tensor<f32 [N, 4]>\nreturn\n", "at most 1", 1},
        {"%a = binary(%x) {op = \"add\"} : tensor<f32 [N, 4]>\nreturn\n", "at least 2", 1},
        {"unary(%x) {func = \"relu\"}\nreturn\n", "0 results", 1},
        {"for {symbol = i, lo = 0, hi = 4, step = 1}\nreturn\n", "0 regions", 1},
        {"%a = unary(%x) : tensor<f32 [N, 4]>\nreturn\n", "'func' is missing", 1},
        {"%a = unary(%x) {func = \"relu\"} : tensor<f32 [N, 4]>\n", "does not end in return", 1},
        {"return\nreturn\n", "only the last op", 1},
        {"yield\n", "yield outside", 1},
        {"for {symbol = i, lo = 0, hi = 4, step = 1} {\nreturn\n}\nreturn\n", "return inside", 2},
        {"when {cond = N} {\n%a = unary(%x) {func = \"exp\"} : tensor<f32 [N, 4]>\n}\n"
         "return(%a)\n",
         "region that does not contain", 4},
        {"kernel(%x) {template = \"loops\"} (%a: tensor<f32 [N, 4]>) {\n"
         "%b = unary(%x) {func = \"exp\"} : tensor<f32 [N, 4]>\nyield\n}\nreturn\n",
         "isolated", 2},
        {"kernel(%x) {template = \"loops\"} (%a: tensor<f32 [N, 4]>) {\nyield(%a)\n}\nreturn\n",
         "0 results, but yield gives 1", 1},
        {"kernel(%x) {template = \"loops\"} {\nyield\n}\nreturn\n", "1 operands for 0 arguments",
         1},
        {"kernel {template = \"loops\"} {\n}\nreturn\n", "does not end in yield", 1},
        {"kernel {template = \"loops\", stage = \"x\"} {\nyield\n}\nreturn\n", "stage 'x'", 1},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_symbols(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"for {symbol = i, lo = 0, hi = 64, step = 1} {\n%v = view(%d) {offset = i * 8} : "
         "buffer<dram f32 [8]>\n}\nreturn\n",
         NULL, 0},
        {"%v = view(%d) {offset = i * 8} : buffer<dram f32 [8]>\nreturn\n", "outside of its scope",
         1},
        {"%a = from_dims {values = [r]} : tensor<i64 [1]>\nreturn\n", "outside of its scope", 1},
        {"read_index(%n) {symbol = r}\n%a = from_dims {values = [r]} : tensor<i64 [1]>\nreturn\n",
         NULL, 0},
        {"read_index(%n) {symbol = i}\nreturn\n", "not of the kind", 1},
        {"for {symbol = N, lo = 0, hi = 4, step = 1} {\n}\nreturn\n", "not of the kind", 1},
        {"for {symbol = i, lo = 0, hi = 64, step = 1} {\nfor {symbol = i, lo = 0, hi = 64, step = "
         "1} {\n}\n}\nreturn\n",
         "set already", 2},
        {"for {symbol = i, lo = 0, hi = 65, step = 1} {\n}\nreturn\n", "greater than its bound", 1},
        {"for {symbol = i, lo = 0, hi = N, step = 1} {\n}\nreturn\n", "greater than its bound", 1},
        {"for {symbol = i, lo = 0, hi = 70, step = 63} {\n}\nreturn\n", NULL, 0},
        {"for {symbol = i, lo = N - 3, hi = 64, step = 1} {\n}\nreturn\n", "less than its bound",
         1},
        {"for {symbol = i, lo = 0, hi = 64, step = N - 1} {\n}\nreturn\n", "step may be less", 1},
        {"parfor {symbol = p, count = 9} {\n}\nreturn\n", "greater than its bound", 1},
        {"parfor {symbol = p, count = ceildiv(N, 64)} {\n}\nreturn\n", NULL, 0},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_graph(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"%a = unary(%d) {func = \"relu\"} : tensor<f32 [N, 4]>\nreturn\n", "is no tensor", 1},
        {"%a = const {blob = b0} : tensor<f32 [4]>\nreturn\n", NULL, 0},
        {"%a = const {blob = b0} : tensor<f32 [5]>\nreturn\n", "needs 20", 1},
        {"%a = const {blob = b0} : tensor<i32 [4]>\nreturn\n", "the type says i32", 1},
        {"%a = const {blob = b0} : tensor<f32 [N]>\nreturn\n", "constant dims", 1},
        {"%a = binary(%x, %h) {op = \"add\"} : tensor<f32 [N, 4]>\nreturn\n", "f16 where", 1},
        {"%a = binary(%x, %x) {op = \"lt\"} : tensor<f32 [N, 4]>\nreturn\n", "f32, not bool", 1},
        {"%a = binary(%x, %x) {op = \"plus\"} : tensor<f32 [N, 4]>\nreturn\n", "none of", 1},
        {"%a = select(%x, %x, %x) : tensor<f32 [N, 4]>\nreturn\n", "not bool", 1},
        {"%a = cast(%x) {to = i8} : tensor<i32 [N, 4]>\nreturn\n", "i32, not i8", 1},
        {"%a = matmul(%x, %x) : tensor<f32 [N, N]>\nreturn\n", NULL, 0}, // N may be 4
        {"%a = matmul(%x, %x) {trans_b = 1} : tensor<f32 [N, N]>\nreturn\n", NULL, 0},
        {"%b = const {blob = b0} : tensor<f32 [2, 2]>\n%a = matmul(%x, %b) : tensor<f32 [N, 2]>\n"
         "return\n",
         "inner dims", 2},
        {"%a = gemm(%x, %h) : tensor<f32 [N, N]>\nreturn\n", "f16 where", 1},
        {"%a = conv(%x, %x) : tensor<f32 [N, N]>\nreturn\n", "rank 2, at least 3", 1},
        {"%a = transpose(%x) {perm = [1, 1]} : tensor<f32 [4, N]>\nreturn\n", "no permutation", 1},
        {"%a = transpose(%x) {perm = [1, 0]} : tensor<f32 [N, 5]>\nreturn\n", NULL, 0},
        {"%a = transpose(%x) {perm = [1, 0]} : tensor<f32 [5, N]>\nreturn\n", "dim 0 of", 1},
        {"%a = reshape(%x) : tensor<f32 [N, 2, 2]>\nreturn\n", NULL, 0},
        {"%a = reshape(%x) : tensor<f32 [N, 5]>\nreturn\n", "same number of elements", 1},
        {"%a = from_dims {values = [N, 4]} : tensor<i64 [3]>\nreturn\n", "do not fill", 1},
        {"%a = reduce(%x) {op = \"median\"} : tensor<f32 [N]>\nreturn\n", "none of", 1},
        {"%a = softmax(%x) : tensor<f32 [N]>\nreturn\n", "rank 1, the operand 2", 1},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_buffers(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"%a = alloc : buffer<lm f32 [N, 4]>\nreturn\n", "not constant", 1},
        {"%a = alloc : tensor<f32 [4]>\nreturn\n", "no buffer", 1},
        {"%a = alloc {slots = 0} : buffer<lm f32 [4]>\nreturn\n", "slots", 1},
        {"%a = weights {blob = b0} : buffer<lm f32 [4]>\nreturn\n", "in DRAM", 1},
        {"%a = weights {blob = b0} : buffer<dram f32 [5]>\nreturn\n", "beyond the 16 bytes", 1},
        {"%a = weights {blob = b0} : buffer<dram f32 [100, 4] [0, 1]>\nreturn\n", NULL, 0},
        {"%a = view(%d) {offset = 0} : buffer<lm f32 [4]>\nreturn\n", "change the space", 1},
        {"%a = view(%d) {offset = 0} : buffer<dram f16 [4]>\nreturn\n", "element type", 1},
        {"%a = view(%d) {offset = 510} : buffer<dram f32 [4]>\nreturn\n", "beyond its buffer", 1},
        {"%a = view(%d) {offset = -1} : buffer<dram f32 [4]>\nreturn\n", "before its buffer", 1},
        {"read_index(%d) {symbol = r}\nreturn\n", "type f32", 1},
        {"read_index(%l) {symbol = r}\nreturn\n", "not in DRAM", 1},
    };
    check_rows(rows, COUNT_OF(rows));
}

#define MAT_OPERANDS                                                                               \
    "%a = alloc : buffer<lm f32 [1, 1, 8, 1, 1, 4]>\n%b = alloc : buffer<lm f32 [1, 1, 4, 8]>\n"

static void test_engines(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"dma_in(%l, %d) {n_buffers = 2}\nreturn\n", NULL, 0},
        {"%k = dma_in(%l, %d, %t) {n_buffers = 2} : ticket\nwait(%k)\nreturn\n", NULL, 0},
        {"dma_in(%d, %d) {n_buffers = 2}\nreturn\n", "not in LM", 1},
        {"dma_in(%l, %d, %l) {n_buffers = 2}\nreturn\n", "no ticket", 1},
        {"dma_in(%l, %t) {n_buffers = 2}\nreturn\n", "no buffer", 1},
        {"dma_in(%l, %d) {n_buffers = 5}\nreturn\n", "n_buffers is 5", 1},
        {"dma_in(%m, %d) {n_buffers = 2}\nreturn\n", "one rank", 1},
        {"dma_in(%l, %d) {n_buffers = 2, idx_dim = 0}\nreturn\n", "3 needed", 1},
        {"dma_in(%l, %d) {n_buffers = 2, pad_lo = [1]}\nreturn\n", "pad_lo has 1", 1},
        {"%v = view(%d) {offset = 0} : buffer<dram f32 [64, 7] [8, 1]>\n"
         "dma_in(%l, %v) {n_buffers = 2}\nreturn\n",
         "dim 1 of dst", 2},
        {"dma_out(%l, %l) {n_buffers = 2}\nreturn\n", "inside of LM", 1},
        {"%k = dma_out(%d, %l) {n_buffers = 2} : scalar<i64>\nreturn\n", "result is no ticket", 1},
        {MAT_OPERANDS "mat(%m, %a, %b) {roles = \"c,a,b\", b_layout = \"row\", n_buffers = 3}\n"
                      "return\n",
         NULL, 0},
        {MAT_OPERANDS "mat(%m, %a, %b) {roles = \"c,a,b\", b_layout = \"trans\", n_buffers = 3}\n"
                      "return\n",
         "differ in k", 3},
        {MAT_OPERANDS "mat(%m, %a, %b) {roles = \"c,a,b\", b_layout = \"col\", n_buffers = 3}\n"
                      "return\n",
         "'col'", 3},
        {MAT_OPERANDS "mat(%m, %a, %b) {roles = \"c,a\", b_layout = \"row\", n_buffers = 3}\n"
                      "return\n",
         "2 roles for 3", 3},
        {MAT_OPERANDS "mat(%m, %a, %b) {roles = \"c,a,x\", b_layout = \"row\", n_buffers = 3}\n"
                      "return\n",
         "role 'x'", 3},
        {MAT_OPERANDS "mat(%m, %b, %a) {roles = \"c,a,b\", b_layout = \"row\", n_buffers = 3}\n"
                      "return\n",
         "has rank 4, not 6", 3},
        {MAT_OPERANDS "mat(%d, %a, %b) {roles = \"c,a,b\", b_layout = \"row\", n_buffers = 3}\n"
                      "return\n",
         "not in LM", 3},
        {"vec(%m, %m) {insn = \"unary\", roles = \"d,a\", n_buffers = 2}\nreturn\n", NULL, 0},
        {"vec(%m, %m) {insn = \"nary\", roles = \"d,a\", n_buffers = 2}\nreturn\n", "'nary'", 1},
        {"vec(%m, %m) {insn = \"binary\", roles = \"d,a\", n_buffers = 2}\nreturn\n",
         "role 'b' is missing", 1},
        {"vec(%m, %m) {insn = \"unary\", roles = \"d,d\", n_buffers = 2}\nreturn\n", "twice", 1},
        {"vec(%m, %l) {insn = \"unary\", roles = \"d,a\", n_buffers = 2}\nreturn\n", "rank 2", 1},
        {"vec(%m, %m) {insn = \"wreduce\", roles = \"d,a\", n_buffers = 2}\nreturn\n",
         "rank 4, not 6", 1},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_order(void **state) {
    (void)state;
    static const row_t rows[] = {
        {"%b = barrier(%t) {queue = \"dmao\"} : ticket\nwait(%b)\nreturn\n", NULL, 0},
        {"barrier {queue = \"dma\"}\nreturn\n", "'dma' is none of", 1},
        {"wait(%l)\nreturn\n", "no ticket", 1},
        {"parfor {symbol = p, count = 8} {\nbarrier {queue = \"mat\"}\n}\nreturn\n",
         "between cores", 2},
        {"when {cond = ne(core, 0)} {\nbarrier {queue = \"mat\"}\n}\nreturn\n", "between cores", 2},
        {"when {cond = ne(N, 5)} {\nbarrier {queue = \"mat\"}\n}\nreturn\n", NULL, 0},
        {"parfor {symbol = p, count = 8} {\n}\nfor {symbol = i, lo = 0, hi = 9, step = 1} {\n"
         "barrier {queue = \"mat\"}\n}\nreturn\n",
         NULL, 0},
    };
    check_rows(rows, COUNT_OF(rows));
}

// The source of a stable DMA-in is %d; what writes it, or a part of it, is refused.
#define STABLE             "dma_in(%l, %d) {n_buffers = 2, stable = 1}\n"
#define HALF(name, offset) "%" name " = view(%d) {offset = " offset "} : buffer<dram f32 [32, 8]>\n"
#define LOADED             "%q = view(%l) {offset = 0} : buffer<lm f32 [32, 8]>\n"

static void test_stable(void **state) {
    (void)state;
    static const row_t rows[] = {
        {STABLE "return\n", NULL, 0},
        {STABLE "dma_out(%d, %l) {n_buffers = 2}\nreturn\n", "may write its source", 1},
        {"dma_out(%d, %l) {n_buffers = 2}\n" STABLE "return\n", "may write its source", 2},
        {HALF("a", "0") HALF("b", "256") LOADED
         "dma_in(%q, %a) {n_buffers = 2, stable = 1}\ndma_out(%b, %q) {n_buffers = 2}\nreturn\n",
         NULL, 0},
        {HALF("a", "0") HALF("b", "248") LOADED
         "dma_in(%q, %a) {n_buffers = 2, stable = 1}\ndma_out(%b, %q) {n_buffers = 2}\nreturn\n",
         "may write its source", 4},
        // Never the same box in one iteration, but in two different ones.
        {"for {symbol = p, lo = 0, hi = 7, step = 1} {\n"
         "%a = view(%d) {offset = p * 64} : buffer<dram f32 [8, 8]>\n"
         "%b = view(%d) {offset = p * 64 + 64} : buffer<dram f32 [8, 8]>\n"
         "%q = view(%l) {offset = 0} : buffer<lm f32 [8, 8]>\n"
         "dma_in(%q, %a) {n_buffers = 2, stable = 1}\ndma_out(%b, %q) {n_buffers = 2}\n}\nreturn\n",
         "may write its source", 5},
        {STABLE "%o = alloc : buffer<dram f32 [64, 8]>\ndma_out(%o, %l) {n_buffers = 2}\nreturn\n",
         NULL, 0},
        {STABLE "call(%n, %d) {fn = \"f\", n_inputs = 1}\nreturn\n", "may write its source", 1},
    };
    check_rows(rows, COUNT_OF(rows));
}

static void test_good_module(void **state) {
    (void)state;
    char path[1024];
    file_map_t map;
    diag_t diag;
    ir_module_t *m;
    test_source_path("tests/ir/tile.ir", path, sizeof path);
    assert_int_equal(file_map_open(path, &map), STATUS_OK);
    diag_init(&diag);
    assert_int_equal(ir_parse((const char *)map.data, map.bytes, path, NULL, &diag, &m), STATUS_OK);
    status_t status = ir_verify(m, &diag);
    diag_print(&diag, stderr, "test", false);
    assert_int_equal(status, STATUS_OK);
    ir_module_destroy(m);
    diag_deinit(&diag);
    file_map_close(&map);
}

// What text cannot say.
static void test_built(void **state) {
    (void)state;
    ir_module_t *m = parse_or_fail("module \"b\" {\n  func @main(%x: tensor<f32 [4]>) {\n"
                                   "    %a = unary(%x) {func = \"exp\"} : tensor<f32 [4]>\n"
                                   "    %b = unary(%a) {func = \"exp\"} : tensor<f32 [4]>\n"
                                   "    return(%b)\n  }\n}\n");
    ir_value_t *a = find_value(m, "a"), *b = find_value(m, "b");
    diag_t diag;
    diag_init(&diag);
    ir_move_before(b->def, a->def);
    ir_set_int(m, a->def, "func", 3);
    ir_set_int(m, a->def, "bogus", 3);
    b->name = a->name;
    assert_int_equal(ir_verify(m, &diag), STATUS_INVALID);
    assert_int_equal(diag.n_errors, 4); // all of them, in order
    const diag_entry_t *e = diag.first;
    assert_non_null(strstr(e->message, "before its definition"));
    assert_int_equal(e->where.line, 3);
    assert_non_null(strstr((e = e->next)->message, "of kind integer, not string"));
    assert_int_equal(e->where.line, 4);
    assert_non_null(strstr((e = e->next)->message, "'bogus' is not in"));
    assert_non_null(strstr((e = e->next)->message, "defined twice"));
    assert_string_equal(e->where.op, "unary");
    diag_deinit(&diag);
    ir_module_destroy(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure), cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_graph),     cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_engines),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_stable),    cmocka_unit_test(test_good_module),
        cmocka_unit_test(test_built),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
