// SPDX-License-Identifier: Apache-2.0
// Where accel-cardd is, by the environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/common/place.h"

static void the_socket_is_as_told(void **state) {
    (void)state;
    assert_string_equal(place_of_daemon("/a/socket", NULL, false), "/a/socket");
    assert_string_equal(place_of_daemon("/a/socket", "/tmp", false), "/a/socket");
    assert_string_equal(place_of_daemon("/a/socket", "/tmp", true), "/a/socket");
}

static void a_user_has_a_folder(void **state) {
    (void)state;
    assert_string_equal(place_of_daemon(NULL, "/tmp", false), "/tmp");
    assert_string_equal(place_of_daemon("", "/tmp", false), "/tmp");
    assert_null(place_of_daemon(NULL, "/tmp", true)); // of the user who became root
    assert_null(place_of_daemon(NULL, "/no/such/folder", false));
    assert_null(place_of_daemon(NULL, "/dev/null", false));
}

static void without_any_there_are_the_usual_places(void **state) {
    (void)state;
    assert_null(place_of_daemon(NULL, NULL, false));
    assert_null(place_of_daemon("", "", false));
    assert_null(place_of_daemon(NULL, NULL, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_socket_is_as_told),
        cmocka_unit_test(a_user_has_a_folder),
        cmocka_unit_test(without_any_there_are_the_usual_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
