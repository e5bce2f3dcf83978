// SPDX-License-Identifier: Apache-2.0
// Printing and parsing lose nothing: files, every op with every attribute, blobs with a sidecar,
// clones, and the surgery that changes what is printed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/file.h"
#include "tests/common/test_data.h"
#include "tests/ir/ir_test.h"

static void check_round_trip(const ir_module_t *m) {
    char *text = print_to_text(m, NULL);
    ir_module_t *again = parse_or_fail(text);
    char *second = print_to_text(again, NULL);
    assert_string_equal(second, text);
    ir_module_t *clone = ir_module_clone(again);
    ir_module_destroy(again); // the clone stands alone
    char *third = print_to_text(clone, NULL);
    assert_string_equal(third, text);
    ir_module_destroy(clone);
    free(text);
    free(second);
    free(third);
}

static char *read_file(const char *relative) {
    char path[1024];
    file_map_t map;
    test_source_path(relative, path, sizeof path);
    assert_int_equal(file_map_open(path, &map), STATUS_OK);
    char *text = malloc(map.bytes + 1);
    assert_non_null(text);
    memcpy(text, map.data, map.bytes);
    text[map.bytes] = 0;
    file_map_close(&map);
    return text;
}

static void test_files(void **state) {
    (void)state;
    static const char *const files[] = {"tests/ir/round.ir", "tests/ir/tile.ir"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *text = read_file(files[i]);
        ir_module_t *m = parse_or_fail(text);
        check_round_trip(m);
        ir_module_destroy(m);
        free(text);
    }
}

// The text is canonical: what the printer prints is what was written.
static void test_canonical(void **state) {
    (void)state;
    const char *text = "module \"m\" {\n"
                       "  symbol S dim [1, 512]\n"
                       "  blob b0 f32 4 = \"0000803f\"\n"
                       "  func @main(%x: tensor<f32 [S, 4]>) -> (%\"out/0\") {\n"
                       "    %c = const {blob = b0} : tensor<f32 []> @[\"c\" \"Constant\"]\n"
                       "    %y = binary(%x, %c) {op = \"add\"} : tensor<f32 [S, 4]>\n"
                       "    %n = size(%x) : tensor<i64 []> known [S * 4]\n"
                       "    return(%y)\n"
                       "  }\n"
                       "}\n";
    ir_module_t *m = parse_or_fail(text);
    char *printed = print_to_text(m, NULL);
    assert_string_equal(printed, text);
    assert_string_equal(m->funcs->result_names[0], "out/0");
    assert_int_equal(find_value(m, "x")->type->dims[0]->max, 512);
    free(printed);
    ir_module_destroy(m);
}

static void set_attr(ir_module_t *m, ir_op_t *op, const ir_attr_info_t *info) {
    static const int64_t ints[] = {0, -1, INT64_MAX, INT64_MIN};
    static const double floats[] = {0.1, -2.5e-30, 1e300, -0.0};
    static const char *const strings[] = {"plain", "qu\"o\\te", "\xc3\xa9 \x01\n", ""};
    const ir_expr_t *n = ir_sym(m, m->symbols[0]);
    const ir_expr_t *exprs[] = {n, ir_addc(m, ir_mulc(m, n, -3), 7), ir_const(m, INT64_MIN)};
    switch (info->kind) {
    case IR_ATTR_INT:
        ir_set_int(m, op, info->name, -42);
        break;
    case IR_ATTR_FLOAT:
        ir_set_float(m, op, info->name, 1.0 / 3);
        break;
    case IR_ATTR_STRING:
        ir_set_string(m, op, info->name, "some \"text\"");
        break;
    case IR_ATTR_INTS:
        ir_set_ints(m, op, info->name, COUNT_OF(ints), ints);
        break;
    case IR_ATTR_FLOATS:
        ir_set_floats(m, op, info->name, COUNT_OF(floats), floats);
        break;
    case IR_ATTR_STRINGS:
        ir_set_strings(m, op, info->name, COUNT_OF(strings), strings);
        break;
    case IR_ATTR_EXPR:
        ir_set_expr(m, op, info->name, exprs[1]);
        break;
    case IR_ATTR_EXPRS:
        ir_set_exprs(m, op, info->name, COUNT_OF(exprs), exprs);
        break;
    case IR_ATTR_DTYPE:
        ir_set_dtype(m, op, info->name, DTYPE_F8E4M3FNUZ);
        break;
    case IR_ATTR_BLOB:
        ir_set_blob(m, op, info->name, m->blobs[0]);
        break;
    case IR_ATTR_SYMBOL:
        ir_set_symbol(m, op, info->name, m->symbols[0]);
        break;
    }
}

// One op of the code, with all attributes, an absent operand, results of all kinds and regions.
static void build_any(ir_builder_t *b, ir_opcode_t code, ir_value_t *operand) {
    ir_module_t *m = b->m;
    const ir_op_info_t *info = ir_op_info(code);
    ir_value_t *operands[] = {operand, NULL, operand};
    const ir_expr_t *dims[] = {ir_sym(m, m->symbols[0]), NULL};
    const ir_type_t *types[] = {ir_type_tensor(m, DTYPE_BF16, 2, dims),
                                ir_type_buffer(m, IR_SPACE_LM, DTYPE_U8, 1, dims, NULL),
                                ir_type_handle(m, IR_HANDLE_MAP),
                                ir_type_ticket(m),
                                ir_type_scalar(m, DTYPE_I64),
                                ir_type_unranked(m, DTYPE_NONE)};
    uint32_t n_results = info->n_results < 0 ? 6 : (uint32_t)info->n_results;
    ir_op_t *op = ir_build(b, code, info->max_operands == 0 ? 0 : 3, operands, n_results, types);
    size_t n_attrs;
    const ir_attr_info_t *attrs = ir_op_attrs(code, &n_attrs);
    for (size_t i = 0; i < n_attrs; i++)
        set_attr(m, op, &attrs[i]);
    int n_regions = info->n_regions < 0 ? 1 : info->n_regions;
    for (int r = 0; r < n_regions; r++) {
        ir_region_t *region = ir_region_new(m, op);
        ir_value_t *arg = ir_block_add_arg(m, region->block, types[0], NULL);
        ir_builder_t inner;
        ir_builder_end(&inner, m, region->block);
        (void)ir_build(&inner, IR_yield, 1, &arg, 0, NULL);
    }
}

static void test_every_op(void **state) {
    (void)state;
    for (int code = 0; code < IR_OP_COUNT; code++) {
        ir_module_t *m = ir_module_create("every op");
        (void)ir_symbol_new(m, "N", IR_SYMBOL_DIM, 1, 100);
        (void)ir_blob_copy(m, DTYPE_F32, "\0\0\0\x3f", 4);
        ir_func_t *func = ir_func_new(m, "main");
        ir_value_t *x = ir_block_add_arg(m, func->body->block, ir_type_ticket(m), "x y");
        ir_builder_t b;
        ir_builder_end(&b, m, func->body->block);
        const ir_origin_t *origins[] = {ir_origin_new(m, "node \"1\"", "Conv"),
                                        ir_origin_new(m, "#2", "Relu")};
        b.origins = origins;
        b.n_origins = 2;
        build_any(&b, (ir_opcode_t)code, x);
        check_round_trip(m);
        ir_module_destroy(m);
    }
}

static void test_sidecar(void **state) {
    (void)state;
    uint8_t large[200], small[] = {1, 2, 3, 4};
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 7);
    ir_module_t *m = ir_module_create("side");
    (void)ir_blob_new(m, DTYPE_U8, large, sizeof large);
    (void)ir_blob_copy(m, DTYPE_I8, small, sizeof small);
    (void)ir_blob_new(m, DTYPE_U8, large + 50, 100);
    (void)ir_func_new(m, "main");
    FILE *side = tmpfile();
    assert_non_null(side);
    char *text = print_to_text(m, side);
    rewind(side);
    diag_t diag;
    ir_module_t *again;
    diag_init(&diag);
    assert_int_equal(ir_parse(text, strlen(text), "t", side, &diag, &again), STATUS_OK);
    assert_int_equal(again->n_blobs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(again->blobs[i]->bytes, m->blobs[i]->bytes);
        assert_memory_equal(again->blobs[i]->data, m->blobs[i]->data, m->blobs[i]->bytes);
    }
    assert_true(again->blobs[0]->hash != 0 && again->blobs[0]->hash != again->blobs[2]->hash);
    ir_module_t *short_module;
    assert_int_equal(ir_parse(text, strlen(text), "t", side, &diag, &short_module), STATUS_INVALID);
    assert_non_null(strstr(diag.first->message, "sidecar ends"));
    diag_deinit(&diag);
    (void)fclose(side);
    free(text);
    ir_module_destroy(m);
    ir_module_destroy(again);
}

// Uses stay consistent through replacing, moving, cloning and erasing.
static void test_surgery(void **state) {
    (void)state;
    ir_module_t *m = parse_or_fail("module \"s\" {\n"
                                   "  func @main(%x: tensor<f32 [4]>) {\n"
                                   "    %a = unary(%x) {func = \"relu\"} : tensor<f32 [4]>\n"
                                   "    %b = binary(%a, %a) {op = \"add\"} : tensor<f32 [4]>\n"
                                   "    return(%b, %a)\n"
                                   "  }\n"
                                   "}\n");
    ir_value_t *x = find_value(m, "x"), *a = find_value(m, "a"), *b = find_value(m, "b");
    assert_int_equal(ir_count_uses(a), 3);
    ir_replace_uses(a, x);
    assert_false(ir_has_uses(a));
    assert_int_equal(ir_count_uses(x), 4);
    ir_erase(a->def);
    assert_int_equal(ir_count_uses(x), 3);
    ir_add_operand(m, b->def, x);
    ir_set_operand(b->def, 0, NULL);
    assert_int_equal(ir_count_uses(x), 3);
    map_t map;
    map_init(&map, &m->arena);
    map_put_ptr(&map, x, b);
    ir_builder_t builder;
    ir_builder_before(&builder, m, m->funcs->body->block->last);
    ir_op_t *copy = ir_clone(&builder, b->def, &map);
    assert_ptr_equal(ir_operand(copy, 1), b);
    assert_null(ir_operand(copy, 0));
    assert_ptr_equal(copy->prev, b->def);
    assert_ptr_equal(map_get_ptr(&map, b), ir_result(copy));
    assert_string_not_equal(ir_result(copy)->name, "b");
    assert_string_equal(ir_get_string(copy, "op", ""), "add");
    ir_remove_attr(copy, "op");
    assert_null(ir_get(copy, "op"));
    ir_move_before(copy, m->funcs->body->block->first);
    assert_ptr_equal(m->funcs->body->block->first, copy);
    ir_module_destroy(m);
}

// Text that is wrong is refused at its line.
static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
        int line;
    } rows[] = {
        {"", "expected 'module'", 1},
        {"module \"m\" {\n  bogus\n}", "expected symbol, blob, func", 2},
        {"module \"m\" {\n  symbol S dim [5, 1]\n}", "bounds", 2},
        {"module \"m\" {\n symbol S dim [0, 1]\n symbol S dim [0, 1]\n}", "twice", 3},
        {"module \"m\" {\n  blob b1 f32 4 = \"00000000\"\n}", "b0 comes next", 2},
        {"module \"m\" {\n  blob b0 f32 4 = \"0000\"\n}", "hexadecimal digits", 2},
        {"module \"m\" {\n  blob b0 f32 99999999999 0x0\n}", "1 GiB", 2},
        {"module \"m\" {\n func @f() {\n  %x = frob\n }\n}", "no op is called 'frob'", 3},
        {"module \"m\" {\n func @f() {\n  return(%x)\n }\n}", "not defined", 3},
        {"module \"m\" {\n func @f(%x: ticket, %x: ticket) {\n }\n}", "defined twice", 2},
        {"module \"m\" {\n func @f() {\n  alloc {bogus = 1}\n }\n}", "no attribute 'bogus'", 3},
        {"module \"m\" {\n func @f() {\n  alloc {slots = 1, slots = 1}\n }\n}", "twice", 3},
        {"module \"m\" {\n func @f(%x: tensor<f32 [Q]>) {\n }\n}", "no symbol", 2},
        {"module \"m\" {\n func @f(%x: tensor<f33 [1]>) {\n }\n}", "element type", 2},
        {"module \"m\" {\n func @f(%x: tensor<f32 [1,1,1,1,1,1,1,1,1]>) {\n }\n}", "rank 9", 2},
        {"module \"m\" {\n func @f(%x: \"a\n", "without an end", 2},
        {"module \"m\" {\n func @f() -> (%a) {\n  return\n }\n}", "names 1 outputs", 5},
        {"module \"m\" {\n}\nmore", "text after", 3},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        diag_t diag;
        ir_module_t *m;
        diag_init(&diag);
        assert_int_equal(ir_parse(rows[i].text, strlen(rows[i].text), "t", NULL, &diag, &m),
                         STATUS_INVALID);
        assert_null(m);
        assert_int_equal(diag.n_errors, 1);
        if (strstr(diag.first->message, rows[i].message) == NULL)
            fail_msg("row %zu says: %s", i, diag.first->message);
        assert_int_equal(diag.first->where.line, rows[i].line);
        diag_deinit(&diag);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),    cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_every_op), cmocka_unit_test(test_sidecar),
        cmocka_unit_test(test_surgery),  cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
