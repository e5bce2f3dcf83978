// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <cmocka.h>

#include "support/file.h"
#include "tools/common/npy.h"

typedef struct fixture {
    arena_t arena;
    diag_t diag;
    tool_tensor_t tensor;
    uint8_t file[512];
    size_t bytes;
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

// A version 1 file with this dictionary and data.
static void make(fixture_t *f, const char *dict, const void *data, size_t bytes) {
    size_t length = strlen(dict);
    memcpy(f->file, "\x93NUMPY\x01\x00", 8);
    f->file[8] = (uint8_t)length;
    f->file[9] = (uint8_t)(length >> 8);
    memcpy(f->file + 10, dict, length);
    if (bytes != 0)
        memcpy(f->file + 10 + length, data, bytes);
    f->bytes = 10 + length + bytes;
}

static status_t parse(fixture_t *f) {
    return tool_npy_parse(f->file, f->bytes, "x.npy", &f->arena, &f->diag, &f->tensor);
}

static void reads_what_numpy_writes(void **state) {
    fixture_t *f = *state;
    static const float data[6] = {0, 1, 2, 3, 4, 5};
    make(f, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }            \n", data,
         sizeof data);
    assert_int_equal(parse(f), STATUS_OK);
    assert_int_equal(f->tensor.dtype, DTYPE_F32);
    assert_int_equal(f->tensor.rank, 2);
    assert_int_equal(f->tensor.dims[0], 2);
    assert_int_equal(f->tensor.dims[1], 3);
    assert_int_equal(f->tensor.n_elems, 6);
    assert_memory_equal(f->tensor.data, data, sizeof data);
    make(f, "{'shape': (), 'descr': '|b1', 'fortran_order': False}", "\1", 1);
    assert_int_equal(parse(f), STATUS_OK);
    assert_int_equal(f->tensor.rank, 0);
    assert_int_equal(f->tensor.n_elems, 1);
    make(f, "{'shape': (0, 5), 'descr': '<i8', 'fortran_order': False}", NULL, 0);
    assert_int_equal(parse(f), STATUS_OK);
    assert_int_equal(f->tensor.n_elems, 0);
    assert_int_equal(f->diag.n_errors, 0);
}

static void reorders_fortran_and_big_endian(void **state) {
    fixture_t *f = *state;
    // a[i][j][k] = 100 i + 10 j + k, dims 2 3 2, first index fastest.
    uint8_t data[24];
    size_t at = 0;
    for (int k = 0; k < 2; k++)
        for (int j = 0; j < 3; j++)
            for (int i = 0; i < 2; i++) {
                data[at++] = 1; // high byte first
                data[at++] = (uint8_t)(100 * i + 10 * j + k);
            }
    make(f, "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3, 2)}", data, sizeof data);
    assert_int_equal(parse(f), STATUS_OK);
    for (int n = 0; n < 12; n++) {
        int value = 256 + 100 * (n / 6) + 10 * (n / 2 % 3) + n % 2;
        assert_int_equal(f->tensor.data[2 * n] | f->tensor.data[2 * n + 1] << 8, value);
    }
}

static void refuses_damage(void **state) {
    fixture_t *f = *state;
    static const char *const bad[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<U4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)",
        "",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        make(f, bad[i], "12345678", 8);
        assert_int_not_equal(parse(f), STATUS_OK);
        assert_int_equal(f->diag.n_errors, i + 1);
    }
}

static void survives_every_cut_and_flip(void **state) {
    fixture_t *f = *state;
    make(f, "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }  \n", "12345678", 8);
    size_t whole = f->bytes;
    assert_int_equal(parse(f), STATUS_OK);
    for (f->bytes = 0; f->bytes < whole; f->bytes++) {
        uint8_t *exact = calloc(f->bytes + (f->bytes == 0), 1); // a sanitizer sees a byte too far
        memcpy(exact, f->file, f->bytes);
        assert_int_not_equal(tool_npy_parse(exact, f->bytes, "x", &f->arena, &f->diag, &f->tensor),
                             STATUS_OK);
        free(exact);
    }
    f->bytes = whole;
    for (size_t i = 0; i < whole * 8; i++) {
        f->file[i / 8] ^= (uint8_t)(1u << i % 8);
        if (parse(f) == STATUS_OK)
            assert_true(f->tensor.data_bytes <= 8);
        f->file[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

static void round_trip(fixture_t *f, dtype_t dtype, const char *path) {
    int64_t dims[] = {3, 1, 2};
    uint8_t data[96];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37);
    uint64_t bytes;
    assert_int_equal(tool_tensor_bytes(dtype, 6, &bytes), STATUS_OK);
    tool_tensor_t tensor = {"t", dtype, 3, dims, 6, data, (size_t)bytes, NULL};
    assert_int_equal(tool_npy_write(&tensor, path, &f->diag), STATUS_OK);
    tool_tensor_t back;
    assert_int_equal(tool_npy_read(path, &f->arena, &f->diag, &back), STATUS_OK);
    assert_int_equal(back.rank, 3);
    assert_memory_equal(back.dims, dims, sizeof dims);
    if (dtype_bits(dtype) >= 8) {
        assert_int_equal(back.data_bytes, bytes);
        assert_memory_equal(back.data, data, bytes);
    } else {
        assert_int_equal(back.data_bytes, 6);
    }
}

static void writes_every_type(void **state) {
    fixture_t *f = *state;
    char path[] = "/tmp/accel-npy-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (int dtype = 1; dtype < DTYPE_COUNT; dtype++)
        if (dtype != DTYPE_STR)
            round_trip(f, (dtype_t)dtype, path);
    int64_t dims[] = {3};
    uint8_t data[] = {0x81, 0x0f}; // i4: 1, -8, -1
    tool_tensor_t tensor = {"t", DTYPE_I4, 1, dims, 3, data, 2, NULL};
    assert_int_equal(tool_npy_write(&tensor, path, &f->diag), STATUS_OK);
    file_map_t map;
    assert_int_equal(file_map_open(path, &map), STATUS_OK);
    assert_int_equal((map.bytes - 3) % 64, 0);
    assert_memory_equal(map.data + map.bytes - 3, "\x01\xf8\xff", 3);
    file_map_close(&map);
    assert_int_equal(f->diag.n_errors, 0);
    tensor.dtype = DTYPE_STR;
    assert_int_equal(tool_npy_write(&tensor, path, &f->diag), STATUS_UNSUPPORTED);
    unlink(path);
    assert_int_equal(tool_npy_read(path, &f->arena, &f->diag, &tensor), STATUS_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_numpy_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reorders_fortran_and_big_endian, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_every_cut_and_flip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_every_type, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
