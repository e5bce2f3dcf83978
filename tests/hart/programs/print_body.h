// SPDX-License-Identifier: Apache-2.0
// Run by the hart and by the host, whose outputs must be the same. PRINT says where to.
#ifndef TESTS_HART_PRINT_BODY_H
#define TESTS_HART_PRINT_BODY_H

static inline void print_body(void *out) {
    (void)out;
    char text[128];
    PRINT("hello %d %u %x %lld %s %c|%5d|%-5d|%05d\n", -42, 42u, 0xbeefu, -1234567890123LL, "text",
          'c', 7, 7, 7);
    PRINT("%f %.3f %e %g %a\n", 3.14159265358979, -2.5, 6.02214076e23, 1e-5, 1.0);
    // At most 15 digits: beyond, picolibc prints the shortest text that reads back the same.
    PRINT("%.15g %.15g %.9g\n", 0.1, 1.0 / 3.0, (double)1.1f);
    PRINT("%g %g %a\n", 1e308 * 10, -1e308 * 10, 1.0 / 3.0);
    for (int i = 0; i < 12; i++) {
        double value = 1.0;
        for (int k = 0; k < i; k++)
            value = value * 7.25 + 0.125;
        PRINT("%d: %.15g %.0f %ld\n", i, value, value, strtol("-98765", NULL, 10) * i);
    }
    snprintf(text, sizeof text, "%s-%s", "abc", "def");
    PRINT("%s %d %d %s\n", text, (int)strlen(text), strcmp("abc", "abd") < 0, strchr(text, '-'));
    PRINT("%.12g %.12g\n", strtod("2.718281828459045", NULL), strtod("-1e-310", NULL));
    uint64_t hash = 1469598103934665603u;
    for (int i = 0; i < 1000; i++)
        hash = (hash ^ (uint64_t)(i * 31 % 255)) * 1099511628211u;
    PRINT("%016llx %llu %lld\n", (unsigned long long)hash, (unsigned long long)(hash / 10007),
          (long long)((int64_t)hash % -1009));
}

#endif
