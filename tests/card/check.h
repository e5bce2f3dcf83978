// SPDX-License-Identifier: Apache-2.0
// CHECK: ends the test program at the first thing that is not so.
#ifndef CARD_CHECK_H
#define CARD_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_EQUAL(a, b)                                                                          \
    do {                                                                                           \
        unsigned long long a_ = (a), b_ = (b);                                                     \
        if (a_ != b_) {                                                                            \
            fprintf(stderr, "%s:%d: %s = 0x%llx, not 0x%llx\n", __FILE__, __LINE__, #a, a_, b_);   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#endif
