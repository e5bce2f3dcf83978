// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/common/test_data.h"
#include "tools/common/image.h"

typedef struct fixture {
    arena_t arena;
    diag_t diag;
    tool_tensor_t tensor;
} fixture_t;

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    arena_init(&f->arena);
    diag_init(&f->diag);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    arena_deinit(&f->arena);
    diag_deinit(&f->diag);
    free(f);
    return 0;
}

// The bytes are copied to a block of just their size, so that a sanitizer sees a read past the end.
static status_t parse(fixture_t *f, const char *text, size_t bytes) {
    uint8_t *exact = malloc(bytes + (bytes == 0));
    memcpy(exact, text, bytes);
    status_t status = tool_image_parse(exact, bytes, "x.pgm", &f->arena, &f->diag, &f->tensor);
    free(exact);
    return status;
}

static void check_tensor(const fixture_t *f, int64_t channels, int64_t height, int64_t width,
                         const float *expected) {
    assert_int_equal(f->tensor.dtype, DTYPE_F32);
    assert_int_equal(f->tensor.rank, 4);
    assert_int_equal(f->tensor.dims[0], 1);
    assert_int_equal(f->tensor.dims[1], channels);
    assert_int_equal(f->tensor.dims[2], height);
    assert_int_equal(f->tensor.dims[3], width);
    assert_int_equal(f->tensor.n_elems, channels * height * width);
    assert_int_equal(f->tensor.data_bytes, f->tensor.n_elems * sizeof(float));
    assert_memory_equal(f->tensor.data, expected, f->tensor.data_bytes);
}

static void reads_grey(void **state) {
    fixture_t *f = *state;
    static const char file[] = "P5\n3 2\n255\n\x00\x33\xff\x66\n\xff";
    assert_int_equal(parse(f, file, sizeof file - 1), STATUS_OK);
    check_tensor(f, 1, 2, 3, (const float[]){0, 0.2f, 1, 0.4f, 10 / 255.0f, 1});
}

static void reads_colour_as_planes(void **state) {
    fixture_t *f = *state;
    static const char file[] = "P6 2 1 255\n\x00\x33\xff\x66\x99\xcc";
    assert_int_equal(parse(f, file, sizeof file - 1), STATUS_OK);
    check_tensor(f, 3, 1, 2, (const float[]){0, 0.4f, 0.2f, 0.6f, 1, 0.8f});
}

static void reads_comments_and_other_maxima(void **state) {
    fixture_t *f = *state;
    static const char grey[] = "P5 # a comment\n#another\n2#\n1\n# 7\n10\n\x05\x0a";
    assert_int_equal(parse(f, grey, sizeof grey - 1), STATUS_OK);
    check_tensor(f, 1, 1, 2, (const float[]){0.5f, 1});
    static const char wide[] = "P5 2 1 1000\n\x01\xf4\x03\xe8";
    assert_int_equal(parse(f, wide, sizeof wide - 1), STATUS_OK);
    check_tensor(f, 1, 1, 2, (const float[]){0.5f, 1});
}

static void refuses_other_files(void **state) {
    fixture_t *f = *state;
    static const char *const files[] = {"",
                                        "P",
                                        "P5",
                                        "P2\n1 1\n255\n0",
                                        "P5\n1",
                                        "P5\n1 1\n",
                                        "P5\n0 1\n9\nx",
                                        "P5\n1 1\n0\nx",
                                        "P5\n-1 1\n9\nx",
                                        "P5 1 1 65536\nxx",
                                        "P5 99999 1 9\nx",
                                        "P51 1 9\nx",
                                        "P5 1 1 9x",
                                        "P5 # 1 1 9 x",
                                        "P5 18446744073709551617 1 9\nx"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(parse(f, files[i], strlen(files[i])), STATUS_INVALID);
    assert_int_equal(f->diag.n_errors, sizeof files / sizeof *files);
}

static void refuses_every_cut(void **state) {
    fixture_t *f = *state;
    static const char file[] = "P6 2 2 255\nabcdefghijkl";
    assert_int_equal(parse(f, file, sizeof file - 1), STATUS_OK);
    for (size_t bytes = 0; bytes < sizeof file - 1; bytes++)
        assert_int_equal(parse(f, file, bytes), STATUS_INVALID);
}

static void names(void **state) {
    (void)state;
    assert_true(tool_image_is_name("a/b.pgm"));
    assert_true(tool_image_is_name("b.ppm"));
    assert_false(tool_image_is_name(".pgm"));
    assert_false(tool_image_is_name("pgm"));
    assert_false(tool_image_is_name("x.npy"));
}

static void reads_a_sample(void **state) {
    fixture_t *f = *state;
    char path[4096];
    test_source_path("samples/digits/pictures/seven.pgm", path, sizeof path);
    assert_int_equal(tool_image_read(path, &f->arena, &f->diag, &f->tensor), STATUS_OK);
    assert_int_equal(f->tensor.dims[2], 28);
    assert_int_equal(f->tensor.dims[3], 28);
    test_source_path("samples/digits/pictures/missing.pgm", path, sizeof path);
    assert_int_equal(tool_image_read(path, &f->arena, &f->diag, &f->tensor), STATUS_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_grey, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_colour_as_planes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_comments_and_other_maxima, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_other_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_every_cut, set_up, tear_down),
        cmocka_unit_test(names),
        cmocka_unit_test_setup_teardown(reads_a_sample, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
