// SPDX-License-Identifier: Apache-2.0
// Models that are wrong: each is refused with one line that names the place, and nothing leaks (the
// sanitizer builds see to that).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/onnx/onnx.h"
#include "passes/pass.h"
#include "tests/onnx/onnx_write.h"

static const int64_t vec4[1] = {4};

static onnx_writer_t *start(void) {
    onnx_writer_t *w = onnx_writer_create("bad", 8, 17);
    onnx_writer_input(w, "x", DTYPE_F32, 1, vec4, NULL);
    onnx_writer_output(w, "y", DTYPE_F32, 1, vec4);
    return w;
}

// Import, then the passes up to core ops.
static status_t compile(const uint8_t *data, size_t bytes, diag_t *diag) {
    ir_module_t *m;
    onnx_files_t *files;
    pass_options_t options = {.stop_after = "fold_again", .opt_level = 2};
    status_t status = onnx_import_bytes(data, bytes, NULL, NULL, diag, &m, &files);
    if (status == STATUS_OK)
        status = pass_run(&options, m, NULL, diag);
    ir_module_destroy(m);
    onnx_files_destroy(files);
    return status;
}

// The first error must contain both texts: where and what.
static void expect_bytes(const uint8_t *data, size_t bytes, const char *where, const char *what) {
    diag_t diag;
    diag_init(&diag);
    assert_int_not_equal(compile(data, bytes, &diag), STATUS_OK);
    assert_non_null(diag.first);
    const diag_entry_t *e = diag.first;
    bool placed = where == NULL || (e->where.node != NULL && strcmp(e->where.node, where) == 0) ||
                  strstr(e->message, where) != NULL;
    if (!placed || strstr(e->message, what) == NULL)
        fail_msg("got '%s' at '%s'", e->message, e->where.node != NULL ? e->where.node : "");
    assert_null(strchr(e->message, '\n'));
    diag_deinit(&diag);
}

static void expect(onnx_writer_t *w, const char *where, const char *what) {
    size_t bytes;
    const uint8_t *data = onnx_writer_pack(w, &bytes);
    expect_bytes(data, bytes, where, what);
    onnx_writer_destroy(w);
}

// --- Structure -----------------------------------------------------------------------------------

static void dangling_name(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_node(w, "Add", "x ghost", "y");
    expect(w, "Add_0", "'ghost' is the output of no node");
}

static void cycle(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_node(w, "Add", "x b", "a");
    onnx_writer_node(w, "Relu", "a", "b");
    onnx_writer_node(w, "Relu", "b", "y");
    expect(w, "Add_0", "the graph has a cycle through 'b'");
}

static void unsorted(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_node(w, "Relu", "a", "y");
    onnx_writer_node(w, "Relu", "x", "a");
    expect(w, "Relu_0", "nodes must be sorted");
}

static void duplicate_output(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_node(w, "Relu", "x", "y");
    onnx_writer_node(w, "Neg", "x", "y");
    expect(w, "Neg_1", "output 'y' is already defined");
}

static void duplicate_input(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_input(w, "x", DTYPE_F32, 1, vec4, NULL);
    onnx_writer_node(w, "Relu", "x", "y");
    expect(w, "'x'", "declared twice");
}

static void missing_output(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_node(w, "Relu", "x", "z");
    expect(w, "'y'", "is the output of no node");
}

static void too_many_inputs(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_node(w, "Relu", "x x", "y");
    expect(w, "Relu_0", "it has 2 inputs");
}

static void wrong_attribute_type(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    Onnx__NodeProto *node = onnx_writer_node(w, "Softmax", "x", "y");
    onnx_node_string(w, node, "axis", "first");
    expect(w, "Softmax_0", "attribute 'axis' has the wrong type");
}

static void recursive_function(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_function(w, "", "Again", "v", "r", "");
    onnx_writer_node(w, "Again", "v", "r");
    onnx_writer_function_end(w);
    onnx_writer_node(w, "Again", "x", "y");
    expect(w, NULL, "functions call each other more than 16 deep");
}

static void versions(void **state) {
    (void)state;
    onnx_writer_t *w = start();
    onnx_writer_model(w)->ir_version = 99;
    expect(w, NULL, "IR version 99");
    w = start();
    onnx_writer_model(w)->opset_import[0]->version = 1000;
    expect(w, NULL, "opset 1000");
    w = start();
    onnx_writer_model(w)->graph = NULL;
    expect(w, NULL, "the model has no graph");
}

// --- Shapes --------------------------------------------------------------------------------------

static void absurd_dims(void **state) {
    (void)state;
    static const int64_t huge[1] = {(int64_t)1 << 40}, wide[3] = {1 << 20, 1 << 20, 1 << 20};
    onnx_writer_t *w = start();
    onnx_writer_input(w, "h", DTYPE_F32, 1, huge, NULL);
    expect(w, "'h'", "dim 0 is 1099511627776");
    w = start();
    onnx_writer_input(w, "h", DTYPE_F32, 3, wide, NULL);
    expect(w, "'h'", "too many elements");
    w = start();
    onnx_writer_tensor(w, "t", DTYPE_F32, 1, huge, "abcd", 4);
    expect(w, "'t'", "dim 0 is 1099511627776");
    w = start();
    onnx_writer_i64(w, "shape", 1, (int64_t[]){3}, wide);
    onnx_writer_node(w, "ConstantOfShape", "shape", "z");
    onnx_writer_node(w, "Add", "x z", "y");
    expect(w, "ConstantOfShape_0", "more than 2^36 elements");
    w = start();
    onnx_writer_input(w, "n", DTYPE_F32, 1, (int64_t[]){4}, NULL);
    onnx_writer_model(w)->graph->input[1]->type->tensor_type->shape->dim[0]->dim_value = -5;
    expect(w, "'n'", "dim 0 is -5");
}

static void wrong_payload(void **state) {
    (void)state;
    static const float data[100] = {0};
    onnx_writer_t *w = start();
    onnx_writer_tensor(w, "t", DTYPE_F32, 1, (int64_t[]){101}, data, sizeof data);
    onnx_writer_node(w, "Relu", "x", "y");
    expect(w, "'t'", "its data has another size");
    w = start();
    onnx_writer_tensor(w, "t", DTYPE_F32, 1, (int64_t[]){3}, data, 8);
    onnx_writer_node(w, "Relu", "x", "y");
    expect(w, "'t'", "its data has another size");
}

static void wrong_ranks(void **state) {
    (void)state;
    static const float k[9] = {0};
    onnx_writer_t *w = start();
    onnx_writer_f32(w, "k", 4, (int64_t[]){1, 1, 3, 3}, k);
    onnx_writer_node(w, "Conv", "x k", "y");
    expect(w, "Conv_0", "rank 1");
    w = start();
    onnx_writer_f32(w, "k", 2, (int64_t[]){3, 3}, k);
    onnx_writer_node(w, "MatMul", "x k", "y");
    expect(w, "MatMul_0", "inner dims 4 and 3 differ");
    w = start();
    Onnx__NodeProto *node = onnx_writer_node(w, "Softmax", "x", "y");
    onnx_node_int(w, node, "axis", 3);
    expect(w, "Softmax_0", "axis 3 of a tensor of rank 1");
}

// --- Bytes ---------------------------------------------------------------------------------------

static onnx_writer_t *sound_model(void) {
    static const float data[40] = {1, 2, 3};
    onnx_writer_t *w = onnx_writer_create("sound", 8, 17);
    onnx_writer_input(w, "x", DTYPE_F32, 2, (int64_t[]){-1, 4}, (const char *[]){"n", NULL});
    onnx_writer_tensor(w, "w", DTYPE_F32, 2, (int64_t[]){4, 10}, data, sizeof data);
    onnx_writer_node(w, "MatMul", "x w", "a");
    Onnx__NodeProto *node = onnx_writer_node(w, "Softmax", "a", "y");
    onnx_node_int(w, node, "axis", -1);
    onnx_writer_output(w, "y", DTYPE_F32, 2, (int64_t[]){-1, 10});
    return w;
}

static void every_truncation(void **state) {
    (void)state;
    onnx_writer_t *w = sound_model();
    size_t bytes;
    const uint8_t *data = onnx_writer_pack(w, &bytes);
    diag_t diag;
    diag_init(&diag);
    assert_int_equal(compile(data, bytes, &diag), STATUS_OK);
    diag_deinit(&diag);
    for (size_t n = 0; n < bytes; n++) {
        uint8_t *cut = malloc(n + 1); // exact, so that a sanitizer sees reads beyond
        memcpy(cut, data, n);
        diag_init(&diag);
        if (compile(cut, n, &diag) != STATUS_OK)
            assert_true(diag.n_errors > 0);
        else
            assert_true(n > bytes / 2); // only the list of opsets is lost
        diag_deinit(&diag);
        free(cut);
    }
    onnx_writer_destroy(w);
}

static void not_a_model(void **state) {
    (void)state;
    static const char text[] = "#!/bin/sh\necho this is no model\n";
    expect_bytes((const uint8_t *)text, sizeof text - 1, NULL, " at byte ");
    expect_bytes((const uint8_t *)text, 0, NULL, "the file is empty");
}

// A graph in an attribute of a node in a graph in ... : as deep as the bytes allow.
static void absurd_nesting(void **state) {
    (void)state;
    enum { DEPTH = 2000, ROOM = DEPTH * 16 };
    static uint8_t bytes[ROOM];
    size_t at = ROOM;
    for (int level = DEPTH - 1; level >= 0; level--) { // from the inside out
        static const uint8_t fields[3] = {1, 5, 6};    // node, attribute, graph
        size_t length = ROOM - at;
        for (int shift = 2; shift >= 0; shift--) // a varint of three bytes
            bytes[--at] = (uint8_t)((length >> (7 * shift) & 0x7f) | (shift < 2 ? 0x80 : 0));
        bytes[--at] = (uint8_t)((level == 0 ? 7 : fields[(level - 1) % 3]) << 3 | 2);
    }
    expect_bytes(bytes + at, ROOM - at, NULL, "messages inside each other");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dangling_name),      cmocka_unit_test(cycle),
        cmocka_unit_test(unsorted),           cmocka_unit_test(duplicate_output),
        cmocka_unit_test(duplicate_input),    cmocka_unit_test(missing_output),
        cmocka_unit_test(too_many_inputs),    cmocka_unit_test(wrong_attribute_type),
        cmocka_unit_test(recursive_function), cmocka_unit_test(versions),
        cmocka_unit_test(absurd_dims),        cmocka_unit_test(wrong_payload),
        cmocka_unit_test(wrong_ranks),        cmocka_unit_test(every_truncation),
        cmocka_unit_test(not_a_model),        cmocka_unit_test(absurd_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
