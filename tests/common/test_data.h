// SPDX-License-Identifier: Apache-2.0
// Where tests find data that is too large for git, and how they skip without it.
#ifndef TESTS_COMMON_TEST_DATA_H
#define TESTS_COMMON_TEST_DATA_H

#include <stdbool.h>
#include <stddef.h>

#include "support/compiler.h"

enum { TEST_EXIT_SKIP = 77 };

// Writes "<data folder>/<relative>" and returns true if that exists. The data folder is
// $ACCEL_DATA, else ../shared beside the source tree.
bool test_data_find(const char *relative, char *out_path, size_t path_bytes);

// The same, but ends the program when it doesn't exist: says why and exits 77 (ctest: skipped), or
// 1 when $ACCEL_REQUIRE_DATA is 1.
void test_data_need(const char *relative, char *out_path, size_t path_bytes);

// The folder of the unpacked ONNX backend cases, $ACCEL_ONNX_DATA. Skips as test_data_need does
// when it isn't there.
const char *test_onnx_data(void);

// "<source tree>/<relative>", for inputs kept in git.
void test_source_path(const char *relative, char *out_path, size_t path_bytes);

// Before cmocka's skip(), which leaves out one case of a program: prints the reason, and exits 1
// when $ACCEL_REQUIRE_DATA is 1.
void test_may_skip(const char *reason);

// Prints the reason and exits 77, or 1 when $ACCEL_REQUIRE_DATA is 1.
NO_RETURN void test_skip(const char *reason);

#endif
