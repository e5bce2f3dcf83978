// SPDX-License-Identifier: Apache-2.0
// Helpers of the codegen tests.
#ifndef TESTS_CODEGEN_CODEGEN_TEST_H
#define TESTS_CODEGEN_CODEGEN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codegen/codegen.h"
#include "ir/ir.h"
#include "support/file.h"

// Parses and verifies an IR text of tests/codegen; fails the test otherwise.
static inline ir_module_t *read_ir(const char *text, size_t bytes, const char *name, diag_t *diag) {
    ir_module_t *m = NULL;
    status_t status = ir_parse(text, bytes, name, NULL, diag, &m);
    if (status == STATUS_OK)
        status = ir_verify(m, diag);
    if (status != STATUS_OK)
        diag_print(diag, stderr, "test", true);
    assert_int_equal(status, STATUS_OK);
    return m;
}

static inline ir_module_t *read_ir_file(const char *name, diag_t *diag) {
    char path[512];
    file_map_t file;
    snprintf(path, sizeof path, "%s/%s", CODEGEN_TEST_DIR, name);
    assert_int_equal(file_map_open(path, &file), STATUS_OK);
    ir_module_t *m = read_ir((const char *)file.data, file.bytes, path, diag);
    file_map_close(&file);
    return m;
}

static inline char *emit_text(ir_module_t *m, cg_emit_t what, int opt_level, diag_t *diag) {
    char path[] = "codegen_test.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    cg_options_t options = {.profile = isa_profile_find("edge"), .opt_level = opt_level};
    status_t status = cg_emit(&options, m, what, path, diag, NULL);
    if (status != STATUS_OK)
        diag_print(diag, stderr, "test", true);
    assert_int_equal(status, STATUS_OK);
    file_map_t file;
    assert_int_equal(file_map_open(path, &file), STATUS_OK);
    char *text = calloc(1, file.bytes + 1);
    assert_non_null(text);
    memcpy(text, file.data, file.bytes);
    file_map_close(&file);
    assert_int_equal(remove(path), 0);
    return text;
}

#endif
