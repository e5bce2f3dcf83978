// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "tools/common/json.h"

static char *text;
static size_t text_bytes;

static json_t begin(void) {
    json_t json;
    json_init(&json, open_memstream(&text, &text_bytes));
    return json;
}

static void expect(json_t *json, const char *want) {
    fclose(json->stream);
    assert_string_equal(text, want);
    free(text);
}

static void nesting_and_commas(void **state) {
    (void)state;
    json_t json = begin();
    json_object_begin(&json, NULL);
    json_i64(&json, "a", INT64_MIN);
    json_array_begin(&json, "b");
    json_u64(&json, NULL, UINT64_MAX);
    json_object_begin(&json, NULL);
    json_end(&json);
    json_array_begin(&json, NULL);
    json_end(&json);
    json_end(&json);
    json_bool(&json, "c", true);
    json_null(&json, "d");
    json_end(&json);
    expect(&json,
           "{\n  \"a\": -9223372036854775808,\n  \"b\": [\n    18446744073709551615,\n    {},\n"
           "    []\n  ],\n  \"c\": true,\n  \"d\": null\n}\n");
}

static void text_is_escaped(void **state) {
    (void)state;
    json_t json = begin();
    json_text(&json, NULL,
              "q\"b\\n\n\x01 \xc3\xa4 \xff\xc0\x80 \xed\xa0\x80 \xf0\x9f\x98\x80 \xe2\x82");
    expect(&json,
           "\"q\\\"b\\\\n\\u000a\\u0001 \xc3\xa4 \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd "
           "\xf0\x9f\x98\x80 \\ufffd\\ufffd\"");
}

static void numbers_read_back(void **state) {
    (void)state;
    static const double values[] = {0.1, 1.0 / 3, 1e300, -2.5, 123456789.0, 5e-324};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        json_t json = begin();
        json_f64(&json, NULL, values[i]);
        fclose(json.stream);
        assert_true(strtod(text, NULL) == values[i]);
        free(text);
    }
    json_t json = begin();
    json_f64(&json, NULL, 0.1);
    expect(&json, "0.1");
    json = begin();
    json_f64(&json, NULL, (double)NAN);
    expect(&json, "null");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_and_commas),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(numbers_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
