// SPDX-License-Identifier: Apache-2.0
// The read/write walker: what ops touch, and which boxes are proven apart.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ir/access.h"
#include "tests/ir/ir_test.h"

static void test_references(void **state) {
    (void)state;
    ir_module_t *m = parse_or_fail(
        "module \"a\" {\n  symbol N dim [1, 512]\n"
        "  func @main(%x: buffer<dram f32 [N, 8]>) {\n"
        "    %v = view(%x) {offset = 16} : buffer<dram f32 [4, 8] [8, 1]>\n"
        "    kernel(%v) {template = \"loops\", stage = \"tile\"} (%a: buffer<dram f32 [4, 8]>) {\n"
        "      %w = view(%a) {offset = N + 1} : buffer<dram f32 [2] [8]>\n"
        "    }\n    return\n  }\n}\n");
    ir_ref_t ref = ir_ref_of(m, find_value(m, "w"));
    assert_ptr_equal(ref.root, find_value(m, "x"));
    assert_ptr_equal(ref.offset, ir_addc(m, ir_sym(m, m->symbols[0]), 17));
    assert_int_equal(ref.rank, 1);
    assert_true(ir_expr_equals(ref.strides[0], 8));
    assert_int_equal(ref.space, IR_SPACE_DRAM);
    ir_module_destroy(m);
}

static const char ops_text[] =
    "module \"a\" {\n  symbol i loop [0, 9]\n"
    "  func @main(%d: buffer<dram f32 [8, 8]>, %l: buffer<lm f32 [8, 8]>, %x: buffer<lm i32 [8]>, "
    "%m: buffer<lm f32 [1, 1, 8, 8]>) {\n"
    "    %o0 = dma_in(%l, %d) {n_buffers = 2} : ticket\n"
    "    %o1 = dma_out(%d, %l, %x) {n_buffers = 3, idx_dim = 0, scatter = 1} : ticket\n"
    "    %o2 = mat(%m, %m, %m, %o0) {roles = \"c,a,b\", b_layout = \"row\", n_buffers = 3} : "
    "ticket\n"
    "    %o3 = mat(%m, %m, %m) {roles = \"c,a,b\", b_layout = \"row\", acc = ne(i, 0), n_buffers = "
    "3} : ticket\n"
    "    %o4 = vec(%m, %m, %m) {insn = \"unary\", roles = \"d,a,r\", flags = [\"NODST\"], "
    "n_buffers "
    "= 3} : ticket\n"
    "    %o5 = vec(%m, %m) {insn = \"reduce\", roles = \"d,a\", redacc = 1, n_buffers = 2} : "
    "ticket\n"
    "    %o6 = barrier(%o0) {queue = \"mat\"} : ticket\n"
    "    return\n  }\n}\n";

// Modes of the buffer operands in order; 0 ends.
static void check_modes(ir_module_t *m, const char *value, const int *modes) {
    ir_access_t accesses[IR_MAX_ACCESSES];
    size_t n = ir_accesses(m, find_value(m, value)->def, accesses);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(accesses[i].mode, modes[i]);
    assert_int_equal(modes[n], 0);
}

static void test_modes(void **state) {
    (void)state;
    enum { R = IR_READ, W = IR_WRITE, RW = IR_READ_WRITE };
    ir_module_t *m = parse_or_fail(ops_text);
    check_modes(m, "o0", (const int[]){W, R, 0});
    check_modes(m, "o1", (const int[]){W, R, R, 0});
    check_modes(m, "o2", (const int[]){W, R, R, 0});
    check_modes(m, "o3", (const int[]){RW, R, R, 0});
    check_modes(m, "o4", (const int[]){R, W, 0});
    check_modes(m, "o5", (const int[]){RW, R, 0});
    check_modes(m, "o6", (const int[]){0});
    ir_module_destroy(m);
}

typedef struct overlap_row {
    const char *a, *b; // "offset : dims strides" of two views of one buffer
    bool overlaps;
} overlap_row_t;

// Two views of %x: [N, 64, 32]; i and j are loops, t a tail.
static bool overlaps(const overlap_row_t *row) {
    char text[2048], va[256], vb[256];
    (void)snprintf(va, sizeof va, "    %%a = view(%%x) {offset = %s>\n", row->a);
    (void)snprintf(vb, sizeof vb, "    %%b = view(%%x) {offset = %s>\n", row->b);
    (void)snprintf(text, sizeof text,
                   "module \"o\" {\n  symbol N dim [1, 512]\n  symbol i loop [0, 7]\n"
                   "  symbol j loop [0, 7]\n"
                   "  func @main(%%x: buffer<dram f32 [N, 64, 32]>) {\n%s%s    return\n  }\n}\n",
                   va, vb);
    ir_module_t *m = parse_or_fail(text);
    ir_ref_t a = ir_ref_of(m, find_value(m, "a")), b = ir_ref_of(m, find_value(m, "b"));
    bool result = ir_may_overlap(m, &a, &b);
    assert_int_equal(result, ir_may_overlap(m, &b, &a));
    ir_module_destroy(m);
    return result;
}

static void test_overlap(void **state) {
    (void)state;
#define BOX " } : buffer<dram f32 "
    static const overlap_row_t rows[] = {
        // Byte ranges.
        {"0" BOX "[32]", "32" BOX "[32]", false},
        {"0" BOX "[33]", "32" BOX "[32]", true},
        {"i * 32" BOX "[32]", "i * 32 + 32" BOX "[32]", false},
        {"i * 32" BOX "[32]", "j * 32" BOX "[32]", true},
        {"0" BOX "[N, 32] [32, 1]", "N * 32" BOX "[32]", false},
        {"N * 2048 - 2048" BOX "[2048]", "0" BOX "[2048]", true}, // N may be 1
        {"N * 2048 - 2048" BOX "[2048]", "N * 2048" BOX "[2048]", false},
        // Columns of one plane: ranges meet, intervals of the last dim don't.
        {"0" BOX "[64, 16] [32, 1]", "16" BOX "[64, 16] [32, 1]", false},
        {"0" BOX "[64, 17] [32, 1]", "16" BOX "[64, 16] [32, 1]", true},
        {"i * 2048" BOX "[64, 16] [32, 1]", "j * 2048 + 16" BOX "[64, 16] [32, 1]", false},
        {"0" BOX "[N, 64, 8] [2048, 32, 1]", "i + 8" BOX "[N, 64, 8] [2048, 32, 1]", false},
        // Rows of all planes.
        {"0" BOX "[N, 8, 32] [2048, 32, 1]", "256" BOX "[N, 8, 32] [2048, 32, 1]", false},
        {"i * 256" BOX "[N, 8, 32] [2048, 32, 1]", "i * 256 + 224" BOX "[N, 8, 32] [2048, 32, 1]",
         true},
        // A strided view: every second row.
        {"0" BOX "[N, 32, 16] [2048, 64, 1]", "16" BOX "[N, 32, 16] [2048, 64, 1]", false},
        {"0" BOX "[N, 32, 32] [2048, 64, 1]", "32" BOX "[N, 32, 32] [2048, 64, 1]", true},
        // Tails: min keeps the box inside of its row.
        {"0" BOX "[64, min(16, 32 - i)] [32, 1]", "16" BOX "[64, 16] [32, 1]", false},
        // A box that leaves its row says nothing about columns.
        {"0" BOX "[64, 40] [32, 1]", "2048" BOX "[32]", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (overlaps(&rows[i]) != rows[i].overlaps)
            fail_msg("row %zu: %s and %s", i, rows[i].a, rows[i].b);
}

static void test_placed(void **state) {
    (void)state;
    ir_module_t *m = parse_or_fail("module \"p\" {\n  symbol N dim [1, 512]\n  func @main() {\n"
                                   "    %a = alloc {offset = 0} : buffer<lm f32 [64]>\n"
                                   "    %b = alloc {offset = 256} : buffer<lm f32 [64]>\n"
                                   "    %c = alloc {offset = 252} : buffer<lm f32 [64]>\n"
                                   "    %d = alloc {offset = 0} : buffer<dram f32 [N]>\n"
                                   "    %e = alloc {offset = N * 4} : buffer<dram f32 [N]>\n"
                                   "    %f = alloc : buffer<lm f32 [64]>\n"
                                   "    %g = alloc {offset = 0, slots = 2} : buffer<lm f32 [32]>\n"
                                   "    return\n  }\n}\n");
    ir_ref_t refs[7];
    for (int i = 0; i < 7; i++)
        refs[i] = ir_ref_of(m, find_value(m, (char[]){(char)('a' + i), 0}));
    assert_false(ir_may_overlap(m, &refs[0], &refs[1]));
    assert_true(ir_may_overlap(m, &refs[0], &refs[2]));
    assert_false(ir_may_overlap(m, &refs[3], &refs[4]));
    assert_false(ir_may_overlap(m, &refs[0], &refs[3])); // other memories
    assert_false(ir_may_overlap(m, &refs[0], &refs[5])); // not placed yet: two allocs
    assert_true(ir_may_overlap(m, &refs[0], &refs[6]));
    assert_false(ir_may_overlap(m, &refs[6], &refs[1]));
    ir_module_destroy(m);
}

static void test_proofs(void **state) {
    (void)state;
    ir_module_t *m = ir_module_create("p");
    const ir_expr_t *n = ir_sym(m, ir_symbol_new(m, "n", IR_SYMBOL_DIM, 1, INT64_MAX));
    const ir_expr_t *i = ir_sym(m, ir_symbol_new(m, "i", IR_SYMBOL_LOOP, 0, 1000));
    const ir_expr_t *c64 = ir_const(m, 64), *zero = ir_const(m, 0);
    const ir_expr_t *size = ir_min(m, c64, ir_sub(m, n, i));
    assert_true(ir_expr_proves_ge(m, n, ir_add(m, i, size))); // a tail stays inside
    assert_true(ir_expr_proves_ge(m, ir_max(m, size, zero), size));
    assert_false(ir_expr_proves_ge(m, size, zero));
    const ir_expr_t *up = ir_mulc(m, ir_ceildiv(m, n, c64), 64);
    assert_true(ir_expr_proves_ge(m, up, n));
    assert_true(ir_expr_proves_ge(m, ir_addc(m, n, 63), up));
    assert_false(ir_expr_proves_ge(m, n, up));
    ir_module_destroy(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references), cmocka_unit_test(test_modes),
        cmocka_unit_test(test_overlap),    cmocka_unit_test(test_placed),
        cmocka_unit_test(test_proofs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
