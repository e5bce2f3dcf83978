// SPDX-License-Identifier: Apache-2.0
// qsort, bsearch, recursion, memory functions; it checks itself.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 5000

static uint32_t values[COUNT], copy[COUNT];
static double reals[COUNT];

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int by_real(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int ackermann(int m, int n) {
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

int main(void) {
    uint32_t seed = 12345;
    uint64_t sum = 0, sorted_sum = 0;
    for (int i = 0; i < COUNT; i++) {
        seed = seed * 1664525 + 1013904223;
        values[i] = seed >> 4;
        reals[i] = (double)(int32_t)seed / 3.0;
        sum += values[i];
    }
    memcpy(copy, values, sizeof copy);
    qsort(values, COUNT, sizeof values[0], by_value);
    qsort(reals, COUNT, sizeof reals[0], by_real);
    for (int i = 0; i < COUNT; i++) {
        sorted_sum += values[i];
        if (i > 0 && (values[i - 1] > values[i] || reals[i - 1] > reals[i]))
            return 1;
        if (bsearch(&copy[i], values, COUNT, sizeof values[0], by_value) == NULL)
            return 2;
    }
    if (sum != sorted_sum)
        return 3;
    memmove(copy + 1, copy, sizeof copy - sizeof copy[0]);
    if (copy[0] != copy[1])
        return 4;
    printf("sorted %d, ackermann %d\n", COUNT, ackermann(2, 9));
    return 0;
}
