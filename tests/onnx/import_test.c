// SPDX-License-Identifier: Apache-2.0
// What ONNX models become in the IR.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "frontend/onnx/onnx.h"
#include "tests/onnx/onnx_write.h"

typedef struct fixture {
    onnx_writer_t *w;
    diag_t diag;
    ir_module_t *m;
    onnx_files_t *files;
} fixture_t;

static int setup(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    f->w = onnx_writer_create("test", 8, 17);
    diag_init(&f->diag);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture_t *f = *state;
    ir_module_destroy(f->m);
    onnx_files_destroy(f->files);
    onnx_writer_destroy(f->w);
    diag_deinit(&f->diag);
    free(f);
    return 0;
}

static status_t import(fixture_t *f, const onnx_options_t *options) {
    size_t bytes;
    const uint8_t *data = onnx_writer_pack(f->w, &bytes);
    return onnx_import_bytes(data, bytes, NULL, options, &f->diag, &f->m, &f->files);
}

static void import_ok(fixture_t *f, const onnx_options_t *options) {
    status_t status = import(f, options);
    if (status != STATUS_OK)
        diag_print(&f->diag, stderr, "import", true);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(ir_verify(f->m, &f->diag), STATUS_OK);
}

static ir_op_t *find_op(const fixture_t *f, ir_opcode_t code, size_t skip) {
    for (ir_op_t *op = f->m->funcs->body->block->first; op != NULL; op = op->next)
        if (op->code == code && skip-- == 0)
            return op;
    return NULL;
}

static size_t count_ops(const fixture_t *f, ir_opcode_t code) {
    size_t n = 0;
    while (find_op(f, code, n) != NULL)
        n++;
    return n;
}

static bool has_error(const fixture_t *f, const char *text) {
    for (const diag_entry_t *e = f->diag.first; e != NULL; e = e->next)
        if (e->severity == DIAG_ERROR && strstr(e->message, text) != NULL)
            return true;
    return false;
}

// --- Values --------------------------------------------------------------------------------------

static void conv_keeps_weights_in_the_file(void **state) {
    fixture_t *f = *state;
    static const int64_t x_dims[4] = {1, 3, 8, 8}, w_dims[4] = {4, 3, 3, 3}, pads[4] = {1, 1, 1, 1};
    static float weights[4 * 3 * 3 * 3];
    for (size_t i = 0; i < COUNT_OF(weights); i++)
        weights[i] = (float)i;
    onnx_writer_input(f->w, "x", DTYPE_F32, 4, x_dims, NULL);
    onnx_writer_tensor(f->w, "w", DTYPE_F32, 4, w_dims, weights, sizeof weights);
    onnx_writer_input(f->w, "w", DTYPE_F32, 4, w_dims, NULL); // old models list initializers too
    Onnx__NodeProto *conv = onnx_writer_node(f->w, "Conv", "x w", "y");
    onnx_node_ints(f->w, conv, "pads", 4, pads);
    onnx_writer_output(f->w, "y", DTYPE_F32, 4, x_dims);
    size_t bytes;
    const uint8_t *data = onnx_writer_pack(f->w, &bytes);
    assert_int_equal(onnx_import_bytes(data, bytes, NULL, NULL, &f->diag, &f->m, &f->files),
                     STATUS_OK);
    assert_int_equal(f->m->funcs->body->block->n_args, 1);
    const ir_op_t *op = find_op(f, IR_conv, 0);
    assert_non_null(op);
    assert_string_equal(op->origins[0]->node, "Conv_0");
    assert_string_equal(op->origins[0]->op, "Conv");
    int64_t got[4];
    assert_int_equal(ir_get_ints(op, "pads", 4, got), 4);
    assert_memory_equal(got, pads, sizeof pads);
    const ir_blob_t *blob = ir_get(ir_operand(op, 1)->def, "blob")->blob;
    assert_true(blob->data > data && blob->data + blob->bytes < data + bytes);
    assert_memory_equal(blob->data, weights, sizeof weights);
    assert_string_equal(f->m->funcs->result_names[0], "y");
}

static void typed_data_is_decoded(void **state) {
    fixture_t *f = *state;
    enum { N = 40 };
    static const int64_t dims[1] = {N};
    static int64_t longs[N];
    static int32_t halves[N];
    static float floats[N];
    for (int i = 0; i < N; i++) {
        longs[i] = i % 2 ? -i : (int64_t)i << 40;
        halves[i] = 0x3c00 + i; // f16 bits, one a number
        floats[i] = (float)i / 3;
    }
    Onnx__TensorProto *a = onnx_writer_tensor(f->w, "a", DTYPE_I64, 1, dims, NULL, 0);
    a->n_int64_data = N;
    a->int64_data = longs;
    Onnx__TensorProto *b = onnx_writer_tensor(f->w, "b", DTYPE_F16, 1, dims, NULL, 0);
    b->n_int32_data = N;
    b->int32_data = halves;
    Onnx__TensorProto *c = onnx_writer_tensor(f->w, "c", DTYPE_F32, 1, dims, NULL, 0);
    c->n_float_data = N;
    c->float_data = floats;
    Onnx__TensorProto *d = onnx_writer_tensor(f->w, "d", DTYPE_I64, 1, (int64_t[]){3}, NULL, 0);
    d->n_int64_data = 3; // small: stays in the message
    d->int64_data = longs;
    for (const char *name = "abcd"; *name != 0; name++)
        onnx_writer_output(f->w, (char[]){*name, 0}, DTYPE_F32, 1, dims);
    import_ok(f, NULL);
    const ir_op_t *ret = f->m->funcs->body->block->last;
    const ir_blob_t *blobs[4];
    for (uint32_t i = 0; i < 4; i++)
        blobs[i] = ir_get(ir_operand(ret, i)->def, "blob")->blob;
    assert_int_equal(blobs[0]->bytes, sizeof longs);
    assert_memory_equal(blobs[0]->data, longs, sizeof longs);
    for (int i = 0; i < N; i++)
        assert_int_equal(((const uint16_t *)(const void *)blobs[1]->data)[i], halves[i]);
    assert_memory_equal(blobs[2]->data, floats, sizeof floats);
    assert_memory_equal(blobs[3]->data, longs, 3 * sizeof *longs);
}

static void symbolic_dims_are_shared_by_name(void **state) {
    fixture_t *f = *state;
    static const int64_t dims[2] = {-1, -1};
    onnx_writer_input(f->w, "a", DTYPE_F32, 2, dims, (const char *[]){"batch", NULL});
    onnx_writer_input(f->w, "b", DTYPE_F32, 2, dims, (const char *[]){"batch", "seq len"});
    onnx_writer_node(f->w, "Add", "a b", "y");
    onnx_writer_output(f->w, "y", DTYPE_F32, 2, dims);
    onnx_dim_t fixed = {"seq len", 7};
    import_ok(f, &(onnx_options_t){.n_dims = 1, .dims = &fixed});
    ir_value_t *const *args = f->m->funcs->body->block->args;
    assert_ptr_equal(args[0]->type->dims[0], args[1]->type->dims[0]);
    assert_int_equal(args[0]->type->dims[0]->min, 1);
    assert_int_equal(args[0]->type->dims[1]->kind, IR_EXPR_SYMBOL);
    assert_string_equal(args[0]->type->dims[1]->symbol->name, "a_1");
    assert_true(ir_expr_equals(args[1]->type->dims[1], 7));
}

static void a_dim_that_is_not_there_is_refused(void **state) {
    fixture_t *f = *state;
    onnx_dim_t wrong = {"bacth", 2};
    onnx_writer_input(f->w, "x", DTYPE_F32, 1, (int64_t[]){-1}, (const char *[]){"batch"});
    onnx_writer_node(f->w, "Relu", "x", "y");
    onnx_writer_output(f->w, "y", DTYPE_F32, 1, (int64_t[]){-1});
    assert_int_equal(import(f, &(onnx_options_t){.n_dims = 1, .dims = &wrong}), STATUS_INVALID);
    assert_true(has_error(f, "no input has a symbolic dim 'bacth'"));
}

// --- Attributes and operands ---------------------------------------------------------------------

static void rows_set_defaults_and_functions(void **state) {
    fixture_t *f = *state;
    static const int64_t dims[1] = {4};
    onnx_writer_input(f->w, "x", DTYPE_F32, 1, dims, NULL);
    onnx_writer_node(f->w, "LeakyRelu", "x", "a");
    Onnx__NodeProto *elu = onnx_writer_node(f->w, "Elu", "a", "b");
    onnx_node_float(f->w, elu, "alpha", 2);
    Onnx__NodeProto *mod = onnx_writer_node(f->w, "Mod", "b a", "c");
    onnx_node_int(f->w, mod, "fmod", 1);
    onnx_writer_node(f->w, "Clip", "c - x", "y");
    onnx_writer_output(f->w, "y", DTYPE_F32, 1, dims);
    import_ok(f, NULL);
    assert_string_equal(ir_get_string(find_op(f, IR_unary, 0), "func", ""), "leaky");
    assert_true(ir_get_float(find_op(f, IR_unary, 0), "p0", 0) == 0.01);
    assert_true(ir_get_float(find_op(f, IR_unary, 1), "p0", 0) == 2);
    assert_string_equal(ir_get_string(find_op(f, IR_binary, 0), "op", ""), "fmod");
    const ir_op_t *clip = find_op(f, IR_clip, 0);
    assert_int_equal(clip->n_operands, 3);
    assert_null(ir_operand(clip, 1));
}

static void functions_are_inlined_with_their_attributes(void **state) {
    fixture_t *f = *state;
    static const int64_t dims[1] = {4};
    onnx_writer_function(f->w, "local", "Soft", "v", "r", "slope");
    Onnx__NodeProto *inner = onnx_writer_node(f->w, "LeakyRelu", "v", "t");
    onnx_node_ref(f->w, inner, "alpha", 1, "slope");
    onnx_writer_node(f->w, "Exp", "t", "r");
    onnx_writer_function_end(f->w);
    onnx_writer_input(f->w, "x", DTYPE_F32, 1, dims, NULL);
    Onnx__NodeProto *one = onnx_writer_node(f->w, "Soft", "x", "y");
    one->domain = arena_strdup(onnx_writer_arena(f->w), "local");
    onnx_node_float(f->w, one, "slope", 0.5f);
    Onnx__NodeProto *two = onnx_writer_node(f->w, "Soft", "y", "z");
    two->domain = one->domain;
    onnx_node_float(f->w, two, "slope", 0.25f);
    onnx_writer_output(f->w, "z", DTYPE_F32, 1, dims);
    import_ok(f, NULL);
    assert_int_equal(count_ops(f, IR_unary), 4);
    assert_true(ir_get_float(find_op(f, IR_unary, 0), "p0", 0) == 0.5);
    assert_true(ir_get_float(find_op(f, IR_unary, 2), "p0", 0) == 0.25);
    assert_string_equal(find_op(f, IR_unary, 2)->origins[0]->node, "Soft_1/LeakyRelu_0");
}

// --- What is not supported -----------------------------------------------------------------------

static void all_unsupported_things_are_said_at_once(void **state) {
    fixture_t *f = *state;
    static const int64_t dims[1] = {4};
    onnx_writer_input(f->w, "x", DTYPE_F32, 1, dims, NULL);
    onnx_writer_node(f->w, "NonZero", "x", "a");
    onnx_writer_node(f->w, "Relu", "a", "b"); // silent: its input was reported
    Onnx__NodeProto *pool = onnx_writer_node(f->w, "MaxPool", "x", "c d");
    onnx_node_ints(f->w, pool, "kernel_shape", 1, (int64_t[]){2});
    onnx_writer_node(f->w, "Neg", "d", "e");
    Onnx__NodeProto *relu = onnx_writer_node(f->w, "Relu", "x", "g");
    onnx_node_int(f->w, relu, "novelty", 1);
    Onnx__NodeProto *bn = onnx_writer_node(f->w, "BatchNormalization", "x x x x x", "h");
    onnx_node_int(f->w, bn, "training_mode", 1);
    onnx_writer_output(f->w, "b", DTYPE_F32, 1, dims);
    assert_int_equal(import(f, NULL), STATUS_UNSUPPORTED);
    assert_int_equal(f->diag.n_errors, 4);
    assert_true(has_error(f, "operator 'NonZero'"));
    assert_true(has_error(f, "output 2 of MaxPool 'MaxPool_2'"));
    assert_true(has_error(f, "attribute 'novelty'"));
    assert_true(has_error(f, "'training_mode' is 1; only 0"));
    assert_null(f->m);
}

// --- External data -------------------------------------------------------------------------------

static Onnx__StringStringEntryProto *entry(fixture_t *f, const char *key, const char *value) {
    arena_t *arena = onnx_writer_arena(f->w);
    Onnx__StringStringEntryProto *e = arena_must_alloc(arena, sizeof *e);
    onnx__string_string_entry_proto__init(e);
    e->key = arena_strdup(arena, key);
    e->value = arena_strdup(arena, value);
    return e;
}

// A model whose tensor lies at `location`, saved to folder/model.onnx and imported.
static status_t import_external(fixture_t *f, const char *folder, const char *location,
                                const char *offset) {
    static const int64_t dims[1] = {4};
    arena_t *arena = onnx_writer_arena(f->w);
    Onnx__TensorProto *t = onnx_writer_tensor(f->w, "t", DTYPE_F32, 1, dims, NULL, 0);
    t->has_data_location = 1;
    t->data_location = 1;
    t->n_external_data = 2;
    t->external_data = ARENA_ARRAY(arena, Onnx__StringStringEntryProto *, 2);
    t->external_data[0] = entry(f, "location", location);
    t->external_data[1] = entry(f, "offset", offset);
    onnx_writer_output(f->w, "t", DTYPE_F32, 1, dims);
    char *path = arena_printf(arena, "%s/model.onnx", folder);
    assert_true(onnx_writer_save(f->w, path));
    status_t status = onnx_import(path, NULL, &f->diag, &f->m, &f->files);
    assert_int_equal(unlink(path), 0);
    return status;
}

static void make_folder(char *folder, const float *data, size_t n) {
    char path[300];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/weights.bin", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, sizeof *data, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void remove_folder(const char *folder) {
    char path[300];
    (void)snprintf(path, sizeof path, "%s/weights.bin", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void external_data_is_mapped(void **state) {
    fixture_t *f = *state;
    static const float data[6] = {9, 1, 2, 3, 4, 9};
    char folder[] = "/tmp/accel-onnx-XXXXXX";
    make_folder(folder, data, 6);
    assert_int_equal(import_external(f, folder, "weights.bin", "4"), STATUS_OK);
    const ir_blob_t *blob = ir_get(find_op(f, IR_const, 0), "blob")->blob;
    assert_memory_equal(blob->data, data + 1, 16);
    remove_folder(folder);
}

static void check_bad_external(fixture_t *f, const char *location, const char *offset,
                               status_t status, const char *message) {
    static const float data[6] = {0};
    char folder[] = "/tmp/accel-onnx-XXXXXX";
    make_folder(folder, data, 6);
    assert_int_equal(import_external(f, folder, location, offset), status);
    assert_true(has_error(f, message));
    remove_folder(folder);
}

static void external_data_may_not_escape(void **state) {
    check_bad_external(*state, "sub/../../weights.bin", "0", STATUS_INVALID,
                       "not below the model's folder");
}

static void external_data_may_not_be_absolute(void **state) {
    check_bad_external(*state, "/etc/hostname", "0", STATUS_INVALID,
                       "not below the model's folder");
}

static void external_data_that_is_missing_is_named(void **state) {
    check_bad_external(*state, "nothing.bin", "0", STATUS_NOT_FOUND, "nothing.bin: not found");
}

static void external_data_must_be_long_enough(void **state) {
    check_bad_external(*state, "weights.bin", "12", STATUS_INVALID, "beyond the end");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(conv_keeps_weights_in_the_file),
        CASE(typed_data_is_decoded),
        CASE(symbolic_dims_are_shared_by_name),
        CASE(a_dim_that_is_not_there_is_refused),
        CASE(rows_set_defaults_and_functions),
        CASE(functions_are_inlined_with_their_attributes),
        CASE(all_unsupported_things_are_said_at_once),
        CASE(external_data_is_mapped),
        CASE(external_data_may_not_escape),
        CASE(external_data_may_not_be_absolute),
        CASE(external_data_that_is_missing_is_named),
        CASE(external_data_must_be_long_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
