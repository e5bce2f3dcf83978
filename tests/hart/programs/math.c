// SPDX-License-Identifier: Apache-2.0
// Prints the bits of libm's results, a line each: function, argument, result.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/hart/programs/math_list.h"

static unsigned long long bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

int main(void) {
#define MATH(name, low, high)                                                                      \
    for (int i = 0; i < MATH_STEPS; i++) {                                                         \
        double x = (low) + ((high) - (low)) * i / MATH_STEPS;                                      \
        printf(#name " %llx %llx\n", bits_of(x), bits_of(name(x)));                                \
    }
#define MATHF(name, low, high)                                                                     \
    for (int i = 0; i < MATH_STEPS; i++) {                                                         \
        float x = (float)((low) + ((high) - (low)) * i / MATH_STEPS);                              \
        printf(#name " %llx %llx\n", bits_of((double)x), bits_of((double)name(x)));                \
    }
    MATH_LIST(MATH, MATHF)
    return 0;
}
