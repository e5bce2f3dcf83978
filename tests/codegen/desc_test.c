// SPDX-License-Identifier: Apache-2.0
// Engine ops and the descriptors that they become, field by field.
#include "codegen/desc.h"
#include "isa/program.h"
#include "tests/codegen/codegen_test.h"

typedef struct fixture {
    diag_t diag;
    ir_module_t *m;
} fixture_t;

static const char head[] =
    "module \"m\" {\n"
    "  symbol N dim [1, 512]\n"
    "  symbol i loop [0, 7]\n"
    "  func @main(%x: buffer<dram f32 [N, 64]>, %idx: buffer<dram i64 [N]>, "
    "%y: buffer<dram f16 [N, 64]>) {\n"
    "    kernel(%x, %idx, %y) {template = \"loops\", stage = \"tile\", n_inputs = 2} "
    "(%a: buffer<dram f32 [N, 64]>, %n: buffer<dram i64 [N]>, %b: buffer<dram f16 [N, 64]>) {\n"
    "      for {symbol = i, lo = 0, hi = 8, step = 1} {\n"
    "        %l = alloc {offset = 256} : buffer<lm f32 [1, 8, 16, 64]>\n"
    "        %s = alloc {slots = 2, offset = 65536 + mod(i, 2) * 4096} : buffer<lm f32 [64]>\n"
    "        %h = alloc {offset = 131072} : buffer<lm f16 [1, 1, 16, 64]>\n"
    "        %u = alloc {offset = 196608} : buffer<lm u4 [1, 1, 16, 64]>\n";
static const char tail[] = "        yield\n      }\n      yield\n    }\n    return\n  }\n}\n";

static status_t find_op(void *ctx, ir_op_t *op) {
    ir_op_t **out = ctx;
    if (op->code == IR_dma_in || op->code == IR_dma_out || op->code == IR_mat || op->code == IR_vec)
        *out = op;
    return STATUS_OK;
}

// Descriptor of the one engine op in `body`.
static status_t lower(fixture_t *f, const char *body, cg_desc_t *out) {
    char *text = NULL;
    size_t bytes = sizeof head + strlen(body) + sizeof tail;
    ir_op_t *op = NULL;
    text = malloc(bytes);
    assert_non_null(text);
    snprintf(text, bytes, "%s%s\n%s", head, body, tail);
    diag_init(&f->diag);
    f->m = read_ir(text, strlen(text), "desc_test", &f->diag);
    free(text);
    assert_int_equal(ir_walk(f->m->funcs->body, find_op, &op), STATUS_OK);
    assert_non_null(op);
    return cg_desc_build(f->m, op, &f->diag, out);
}

static void drop(fixture_t *f) {
    ir_module_destroy(f->m);
    diag_deinit(&f->diag);
}

static const cg_dynamic_t *dynamic(const cg_desc_t *d, uint32_t field) {
    for (uint32_t i = 0; i < d->n_dynamic; i++)
        if (d->dynamic[i].field == field)
            return &d->dynamic[i];
    return NULL;
}

static void copies_are_padded_to_five_dims(void **state) {
    (void)state;
    fixture_t f;
    cg_desc_t d;
    assert_int_equal(lower(&f,
                           "%v = view(%a) {offset = i * 1024} : buffer<dram f32 [16, 32] [64, 2]>\n"
                           "%w = view(%l) {offset = 0} : buffer<lm f32 [16, 32] [64, 1]>\n"
                           "dma_in(%w, %v) {n_buffers = 2, stable = 1, func = \"relu\"}",
                           &d),
                     STATUS_OK);
    assert_int_equal(d.engine, XA_DMAI);
    assert_int_equal(d.insn, XA_I_DMA_IN);
    assert_int_equal(d.n_dynamic, 0);
    static const uint32_t counts[5] = {1, 1, 1, 16, 32};
    static const int64_t src[5] = {0, 0, 0, 256, 8}, dst[5] = {0, 0, 0, 256, 4};
    assert_memory_equal(d.bytes.dma.count, counts, sizeof counts);
    assert_memory_equal(d.bytes.dma.src_stride, src, sizeof src);
    assert_memory_equal(d.bytes.dma.dst_stride, dst, sizeof dst);
    assert_int_equal(d.bytes.dma.flags, XA_dma_STABLE);
    assert_int_equal(d.bytes.dma.func, XA_FUNC_RELU);
    assert_int_equal(d.bytes.dma.src_type, DTYPE_F32);
    assert_null(d.address[2]);
    drop(&f);
}

static void tails_are_set_at_run_time(void **state) {
    (void)state;
    fixture_t f;
    cg_desc_t d;
    assert_int_equal(
        lower(&f,
              "%v = view(%b) {offset = i * 1024} : buffer<dram f16 [min(16, N - i * 16), 64] [64, "
              "1]>\n"
              "%w = view(%l) {offset = 0} : buffer<lm f32 [min(16, N - i * 16), 64] [64, 1]>\n"
              "dma_out(%v, %w) {n_buffers = 2, stream = 1}",
              &d),
        STATUS_OK);
    assert_int_equal(d.insn, XA_I_DMA_OUT);
    assert_int_equal(d.n_dynamic, 1);
    assert_int_equal(d.dynamic[0].field, XA_F_dma_count + 3);
    assert_int_equal(d.bytes.dma.count[3], 0);
    assert_int_equal(d.bytes.dma.count[4], 64);
    assert_int_equal(d.bytes.dma.dst_type, DTYPE_F16);
    assert_int_equal(d.bytes.dma.flags, XA_dma_STREAM);
    drop(&f);
}

static void borders_and_index_lists(void **state) {
    (void)state;
    fixture_t f;
    cg_desc_t d;
    assert_int_equal(lower(&f,
                           "%v = view(%a) {offset = 0} : buffer<dram f32 [14, 64] [64, 1]>\n"
                           "%w = view(%h) {offset = 0} : buffer<lm f16 [16, 64] [64, 1]>\n"
                           "dma_in(%w, %v) {n_buffers = 2, pad_lo = [1, 0], fill = -1.5}",
                           &d),
                     STATUS_OK);
    assert_int_equal(d.bytes.dma.flags, XA_dma_BORDER);
    assert_int_equal(d.bytes.dma.pad_lo[3], 1);
    assert_int_equal(d.bytes.dma.valid[0], 1);
    assert_int_equal(d.bytes.dma.valid[3], 14);
    assert_int_equal(d.bytes.dma.count[3], 16);
    assert_int_equal(d.bytes.dma.fill, 0xbe00); // -1.5 as f16
    drop(&f);
    assert_int_equal(lower(&f,
                           "%w = view(%l) {offset = 0} : buffer<lm f32 [4, 64] [64, 1]>\n"
                           "%k = view(%n) {offset = 0} : buffer<dram i64 [4] [1]>\n"
                           "dma_in(%w, %a, %k) {n_buffers = 3, idx_dim = 0, wrap = 1}",
                           &d),
                     STATUS_OK);
    assert_int_equal(d.bytes.dma.flags, XA_dma_GATHER | XA_dma_IDX64 | XA_dma_WRAP);
    assert_int_equal(d.bytes.dma.idx_dim, 3);
    assert_non_null(dynamic(&d, XA_F_dma_idx_bound)); // N
    assert_int_equal(d.bytes.dma.count[3], 4);
    assert_non_null(d.address[2]);
    drop(&f);
}

static void matrices(void **state) {
    (void)state;
    fixture_t f;
    cg_desc_t d;
    assert_int_equal(
        lower(&f,
              "%c = view(%l) {offset = 0} : buffer<lm f32 [1, 1, 8, 32] [0, 0, 64, 1]>\n"
              "%p = view(%l) {offset = 1024} : buffer<lm f32 [1, 1, 8, 3, 3, 16] [0, 0, 16, 64, "
              "16, 1]>\n"
              "%q = view(%l) {offset = 64} : buffer<lm f32 [1, 9, 1, 16, 32, 1] [0, 512, 512, 32, "
              "1, 1]>\n"
              "mat(%c, %p, %q, %s) {roles = \"c,a,b,bias\", b_layout = \"panel\", act = \"clamp\", "
              "act_p1 = 6.0, acc = ne(i, 0), drain = ne(i, 3), n_buffers = 4}",
              &d),
        STATUS_OK);
    const xa_mat_desc_t *mat = &d.bytes.mat;
    assert_int_equal(d.insn, XA_I_MAT_MUL);
    assert_int_equal(mat->m2, 8);
    assert_int_equal(mat->n, 32);
    assert_int_equal(mat->k, 16);
    assert_int_equal(mat->r1, 3);
    assert_int_equal(mat->r2, 3);
    assert_int_equal(mat->a_m2s, 64);
    assert_int_equal(mat->a_r1s, 256);
    assert_int_equal(mat->b_pw, 32);
    assert_int_equal(mat->b_rs, 2048);
    assert_int_equal(mat->b_ps, 2048);
    assert_int_equal(mat->c_m2s, 256);
    assert_int_equal(mat->act, XA_FUNC_CLAMP);
    assert_true(mat->act_p1 == 6.0f && mat->alpha == 1.0f);
    const cg_dynamic_t *flags = dynamic(&d, XA_F_mat_flags);
    assert_non_null(flags); // acc and drain change from round to round; bias goes with the drain
    int64_t values[8] = {0}, got;
    uint32_t i = ir_symbol_find(f.m, "i")->id;
    static const uint32_t want[4] = {XA_mat_B_PANEL | XA_mat_DRAIN | XA_mat_BIAS, 0, 0,
                                     XA_mat_B_PANEL | XA_mat_ACC};
    for (values[i] = 0; values[i] < 4; values[i] += 3) {
        assert_true(ir_expr_eval(flags->value, values, &got));
        assert_int_equal(got, want[values[i]]);
    }
    const cg_dynamic_t *bias = dynamic(&d, XA_F_mat_bias);
    assert_non_null(bias); // its buffer has two slots
    values[i] = 5;
    assert_true(ir_expr_eval(bias->value, values, &got));
    assert_int_equal(got, ISA_LM_BASE + 65536 + 4096);
    drop(&f);
}

static void vectors(void **state) {
    (void)state;
    fixture_t f;
    cg_desc_t d;
    assert_int_equal(
        lower(&f,
              "%p = view(%l) {offset = 0} : buffer<lm f32 [1, 1, 16, 64] [0, 0, 64, 1]>\n"
              "%q = view(%s) {offset = 0} : buffer<lm f32 [1, 1, 16, 64] [0, 0, 0, 1]>\n"
              "%r = view(%l) {offset = 1024} : buffer<lm f32 [1, 1, 16, 64] [0, 0, 1, 0]>\n"
              "vec(%p, %p, %q, %r) {insn = \"binary\", op = \"expdiff\", roles = \"d,a,b,r\", "
              "red = \"sum\", n_buffers = 4, flags = [\"NODST\"]}",
              &d),
        STATUS_OK);
    const xa_vec_desc_t *vec = &d.bytes.vec;
    static const uint32_t counts[4] = {1, 1, 16, 64};
    static const int32_t b[4] = {0, 0, 0, 4}, r[4] = {0, 0, 4, 0};
    assert_int_equal(d.insn, XA_I_V_BINARY);
    assert_int_equal(vec->op, XA_BIN_EXPDIFF);
    assert_int_equal(vec->red, XA_RED_SUM);
    assert_int_equal(vec->flags, XA_vec_ROWRED | XA_vec_NODST);
    assert_memory_equal(vec->count, counts, sizeof counts);
    assert_memory_equal(vec->b_stride, b, sizeof b);
    assert_memory_equal(vec->r_stride, r, sizeof r);
    assert_int_equal(vec->r_addr, ISA_LM_BASE + 256 + 4096);
    drop(&f);
    assert_int_equal(
        lower(&f,
              "%p = view(%l) {offset = 0} : buffer<lm f32 [1, 4, 6, 64] [0, 384, 64, 1]>\n"
              "%q = view(%l) {offset = 0} : buffer<lm f32 [1, 4, 6, 64, 3, 3] [0, 1024, 128, 1, "
              "512, 64]>\n"
              "vec(%p, %q) {insn = \"wreduce\", op = \"max\", roles = \"d,a\", n_buffers = 2, "
              "alpha = 0.5}",
              &d),
        STATUS_OK);
    vec = &d.bytes.vec;
    assert_int_equal(vec->k[0], 3);
    assert_int_equal(vec->ka_stride[0], 2048);
    assert_int_equal(vec->ka_stride[1], 256);
    assert_int_equal(vec->a_stride[1], 4096);
    assert_int_equal(vec->op, XA_RED_MAX);
    assert_true(vec->alpha == 0.5f);
    drop(&f);
}

static void packed_types_count_in_bytes(void **state) {
    (void)state;
    fixture_t f;
    cg_desc_t d;
    assert_int_equal(
        lower(&f,
              "%p = view(%l) {offset = 0} : buffer<lm f32 [1, 1, 16, 64] [0, 0, 64, 1]>\n"
              "vec(%p, %u) {insn = \"convert\", roles = \"d,a\", n_buffers = 2}",
              &d),
        STATUS_OK);
    assert_int_equal(d.bytes.vec.a_type, DTYPE_U4);
    assert_int_equal(d.bytes.vec.a_stride[2], 32);
    drop(&f);
}

static void what_the_table_lacks_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "vec(%l, %l) {insn = \"unary\", op = \"nonsense\", roles = \"d,a\", n_buffers = 2}",
        "vec(%l, %l) {insn = \"nonsense\", roles = \"d,a\", n_buffers = 2}",
        ("vec(%l, %l) {insn = \"unary\", op = \"exp\", roles = \"d,a\", n_buffers = 2, "
         "flags = [\"NONSENSE\"]}"), // clang takes two strings in a row for a forgotten comma
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        fixture_t f = {0};
        cg_desc_t d;
        char text[4096];
        ir_op_t *op = NULL;
        diag_init(&f.diag);
        snprintf(text, sizeof text, "%s%s\n%s", head, bodies[i], tail);
        // The verifier refuses some of these earlier; codegen must not rely on it.
        assert_int_equal(ir_parse(text, strlen(text), "desc_test", NULL, &f.diag, &f.m), STATUS_OK);
        assert_int_equal(ir_walk(f.m->funcs->body, find_op, &op), STATUS_OK);
        assert_int_equal(cg_desc_build(f.m, op, &f.diag, &d), STATUS_INVALID);
        assert_int_equal(f.diag.n_errors, 1);
        drop(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_padded_to_five_dims),
        cmocka_unit_test(tails_are_set_at_run_time),
        cmocka_unit_test(borders_and_index_lists),
        cmocka_unit_test(matrices),
        cmocka_unit_test(vectors),
        cmocka_unit_test(packed_types_count_in_bytes),
        cmocka_unit_test(what_the_table_lacks_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
