// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/common/pb_tensor.h"

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

static status_t parse(fixture_t *f, const void *message, size_t bytes) {
    uint8_t *exact = calloc(bytes + (bytes == 0), 1); // exact: a sanitizer sees a byte too far
    memcpy(exact, message, bytes);
    status_t status = tool_pb_tensor_parse(exact, bytes, "in.pb", &f->arena, &f->diag, &f->tensor);
    free(exact);
    return status;
}

// The text's bytes; it may hold NULs.
#define PARSE(f, message) parse(f, message, sizeof(message) - 1)

#define DIMS_2_3 "\x08\x02\x08\x03" // one by one
#define DIMS_2   "\x0a\x01\x02"     // packed
#define TYPE(n)  "\x10" n           // data_type
#define NAMED_AB                                                                                   \
    "\x42\x02"                                                                                     \
    "ab"

static void raw_data(void **state) {
    fixture_t *f = *state;
    assert_int_equal(PARSE(f, DIMS_2_3 TYPE("\x03") NAMED_AB "\x4a\x06"
                                                             "abcdef"),
                     STATUS_OK);
    assert_int_equal(f->tensor.dtype, DTYPE_I8);
    assert_int_equal(f->tensor.rank, 2);
    assert_int_equal(f->tensor.dims[1], 3);
    assert_string_equal(f->tensor.name, "ab");
    assert_int_equal(f->tensor.data_bytes, 6);
    assert_memory_equal(f->tensor.data, "abcdef", 6);
    // Five 4-bit elements take three bytes; a scalar has no dims; unknown fields are skipped.
    assert_int_equal(PARSE(f, "\x08\x05" TYPE("\x16") "\x4a\x03\x21\x43\x05"), STATUS_OK);
    assert_int_equal(f->tensor.n_elems, 5);
    assert_int_equal(PARSE(f, TYPE("\x02") "\xf8\x07\x05"
                                           "\x4a\x01\x07"),
                     STATUS_OK);
    assert_int_equal(f->tensor.rank, 0);
    assert_int_equal(f->tensor.n_elems, 1);
}

static void typed_data(void **state) {
    fixture_t *f = *state;
    // float_data packed, then one by one
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x01") "\x22\x08\0\0\x80\x3f\0\0\0\x40"), STATUS_OK);
    assert_true(((float *)(void *)f->tensor.data)[1] == 2.0f);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x01") "\x25\0\0\x80\x3f\x25\0\0\0\x40"), STATUS_OK);
    assert_true(((float *)(void *)f->tensor.data)[0] == 1.0f);
    // f16 bits in int32_data, before the type and the dims
    assert_int_equal(PARSE(f, "\x2a\x04\x80\x78\x81\x78" TYPE("\x0a") DIMS_2), STATUS_OK);
    assert_memory_equal(f->tensor.data, "\x00\x3c\x01\x3c", 4);
    // i8: -1 as a ten-byte varint; 255 is accepted as the same byte
    assert_int_equal(
        PARSE(f, DIMS_2 TYPE("\x03") "\x2a\x0c\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xff\x01"),
        STATUS_OK);
    assert_memory_equal(f->tensor.data, "\xff\xff", 2);
    // i64 -2, u32, f64, c64, i4 (two elements a byte), strings
    assert_int_equal(PARSE(f, TYPE("\x07") "\x38\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                     STATUS_OK);
    assert_int_equal(*(int64_t *)(void *)f->tensor.data, -2);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x0c") "\x5a\x02\x05\x06"), STATUS_OK);
    assert_int_equal(((uint32_t *)(void *)f->tensor.data)[1], 6);
    assert_int_equal(PARSE(f, TYPE("\x0b") "\x52\x08\0\0\0\0\0\0\xf0\x3f"), STATUS_OK);
    assert_true(*(double *)(void *)f->tensor.data == 1.0);
    assert_int_equal(PARSE(f, TYPE("\x0e") "\x22\x08\0\0\x80\x3f\0\0\0\x40"), STATUS_OK);
    assert_int_equal(f->tensor.data_bytes, 8);
    assert_int_equal(PARSE(f, "\x08\x03" TYPE("\x16") "\x2a\x03\xa1\x01\x03"), STATUS_OK);
    assert_memory_equal(f->tensor.data, "\xa1\x03", 2);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x08") "\x32\x02hi\x32\x00"), STATUS_OK);
    assert_int_equal(f->tensor.strings[0].bytes, 2);
    assert_memory_equal(f->tensor.strings[0].text, "hi", 2);
    assert_int_equal(f->tensor.strings[1].bytes, 0);
    assert_int_equal(f->diag.n_errors, 0);
}

static void refuses_damage(void **state) {
    fixture_t *f = *state;
    assert_int_equal(PARSE(f, ""), STATUS_INVALID);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x03") "\x4a\x03"
                                                  "abc"),
                     STATUS_INVALID);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x03")), STATUS_INVALID);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x03") "\x2a\x03\x01\x02\x03"), STATUS_INVALID);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x03") "\x2a\x03\x01\xff\x7f"), STATUS_INVALID);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x63") "\x4a\x00"), STATUS_UNSUPPORTED);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x03") "\x70\x01"), STATUS_UNSUPPORTED);
    assert_int_equal(PARSE(f, DIMS_2 TYPE("\x08") "\x4a\x02hi"), STATUS_INVALID);
    // dims 2^40, 2^62 x 8, -1
    assert_int_equal(PARSE(f, "\x08\x80\x80\x80\x80\x80\x20" TYPE("\x01")), STATUS_INVALID);
    assert_int_equal(PARSE(f, "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x40\x08\x08" TYPE("\x01")),
                     STATUS_LIMIT);
    assert_int_equal(PARSE(f, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" TYPE("\x01")),
                     STATUS_INVALID);
    assert_int_equal(f->diag.n_errors, 11);
    assert_string_equal(f->diag.first->where.model, "in.pb");
}

static void survives_every_cut_and_flip(void **state) {
    fixture_t *f = *state;
    static const char whole[] = DIMS_2_3 TYPE("\x06") NAMED_AB "\x2a\x06\x01\x02\x03\x04\x05\x06";
    assert_int_equal(PARSE(f, whole), STATUS_OK);
    for (size_t bytes = 0; bytes < sizeof whole - 1; bytes++)
        assert_int_not_equal(parse(f, whole, bytes), STATUS_OK);
    char flipped[sizeof whole - 1];
    for (size_t i = 0; i < sizeof flipped * 8; i++) {
        memcpy(flipped, whole, sizeof flipped);
        flipped[i / 8] = (char)(flipped[i / 8] ^ (1 << i % 8));
        if (parse(f, flipped, sizeof flipped) == STATUS_OK)
            assert_true(f->tensor.data_bytes <= 48);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(raw_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(typed_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_every_cut_and_flip, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
