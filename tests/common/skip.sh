# SPDX-License-Identifier: Apache-2.0
# To be read by a test script, as `. common/skip.sh`.

# skip REASON...: ends the test as skipped (77), or as failed when $ACCEL_REQUIRE_DATA is 1. What
# test_skip() of test_data.h is to C.
skip() {
    if [ "${ACCEL_REQUIRE_DATA:-0}" = 1 ]; then
        echo "FAILED (ACCEL_REQUIRE_DATA=1): $*"
        exit 1
    fi
    echo "SKIPPED: $*"
    exit 77
}
