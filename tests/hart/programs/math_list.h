// SPDX-License-Identifier: Apache-2.0
// Functions compared with the host's libm, and the ranges.
#ifndef TESTS_HART_MATH_LIST_H
#define TESTS_HART_MATH_LIST_H

#define MATH_STEPS 23

// D(function of double, low, high), S(function of float, low, high)
#define MATH_LIST(D, S)                                                                            \
    D(exp, -20.0, 20.0)                                                                            \
    D(log, 0.001, 50.0)                                                                            \
    D(sin, -8.0, 8.0)                                                                              \
    D(cos, -8.0, 8.0)                                                                              \
    D(tan, -1.5, 1.5)                                                                              \
    D(atan, -5.0, 5.0)                                                                             \
    D(tanh, -3.0, 3.0)                                                                             \
    D(sqrt, 0.0, 9.0)                                                                              \
    D(cbrt, -9.0, 9.0)                                                                             \
    D(exp2, -12.0, 12.0)                                                                           \
    D(expm1, -1.0, 1.0)                                                                            \
    D(log1p, -0.9, 3.0)                                                                            \
    D(erf, -3.0, 3.0)                                                                              \
    D(floor, -3.3, 3.3)                                                                            \
    D(round, -3.3, 3.3)                                                                            \
    D(rint, -3.3, 3.3)                                                                             \
    S(expf, -20.0, 20.0)                                                                           \
    S(logf, 0.001, 50.0)                                                                           \
    S(sinf, -8.0, 8.0)                                                                             \
    S(cosf, -8.0, 8.0)                                                                             \
    S(tanhf, -3.0, 3.0)                                                                            \
    S(erff, -3.0, 3.0)                                                                             \
    S(sqrtf, 0.0, 9.0)

#endif
