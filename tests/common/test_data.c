// SPDX-License-Identifier: Apache-2.0
#include "tests/common/test_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void join(const char *folder, const char *relative, char *out_path, size_t path_bytes) {
    int length = snprintf(out_path, path_bytes, "%s/%s", folder, relative);
    if (length < 0 || (size_t)length >= path_bytes) {
        fprintf(stderr, "path too long: %s/%s\n", folder, relative);
        exit(1);
    }
}

bool test_data_find(const char *relative, char *out_path, size_t path_bytes) {
    const char *folder = getenv("ACCEL_DATA");
    if (folder == NULL || folder[0] == '\0')
        folder = ACCEL_SOURCE_DIR "/../shared";
    join(folder, relative, out_path, path_bytes);
    struct stat info;
    return stat(out_path, &info) == 0;
}

void test_data_need(const char *relative, char *out_path, size_t path_bytes) {
    if (test_data_find(relative, out_path, path_bytes))
        return;
    fprintf(stderr, "no test data: %s (./check --data=DIR names the folder)\n", out_path);
    test_skip("test data missing");
}

const char *test_onnx_data(void) {
    const char *folder = getenv("ACCEL_ONNX_DATA");
    struct stat info;
    if (folder == NULL || stat(folder, &info) != 0)
        test_skip("the ONNX backend cases are not unpacked ($ACCEL_ONNX_DATA)");
    return folder;
}

void test_source_path(const char *relative, char *out_path, size_t path_bytes) {
    join(ACCEL_SOURCE_DIR, relative, out_path, path_bytes);
}

void test_may_skip(const char *reason) {
    const char *require = getenv("ACCEL_REQUIRE_DATA");
    bool fail = require != NULL && strcmp(require, "1") == 0;
    fprintf(stderr, "%s: %s\n", fail ? "FAILED (ACCEL_REQUIRE_DATA=1)" : "SKIPPED", reason);
    if (fail)
        exit(1);
}

void test_skip(const char *reason) {
    test_may_skip(reason);
    exit(TEST_EXIT_SKIP);
}
