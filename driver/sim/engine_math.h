// SPDX-License-Identifier: Apache-2.0
// Function codes over rows, in the three kinds of arithmetic that the vector unit has. The rows are
// computed in place (first operand).
#ifndef SIM_ENGINE_MATH_H
#define SIM_ENGINE_MATH_H

#include <stdbool.h>
#include <stdint.h>

#include "isa/xaccel.h"

void sim_func_f32(unsigned func, float p0, float p1, uint32_t n, float *v);
void sim_func_f64(unsigned func, double p0, double p1, uint32_t n, double *v);
// Integers wrap in 64 bits; `is_unsigned`: they are u64. `is_bool`: bitwise not is the logical one.
void sim_func_int(unsigned func, double p0, double p1, bool is_unsigned, bool is_bool, uint32_t n,
                  int64_t *v);

void sim_binary_f32(unsigned op, uint32_t n, float *v, const float *w);
void sim_binary_f64(unsigned op, uint32_t n, double *v, const double *w);
// `bits`: width of the shifted type.
void sim_binary_int(unsigned op, bool is_unsigned, unsigned bits, uint32_t n, int64_t *v,
                    const int64_t *w);

void sim_ternary_f32(unsigned op, uint32_t n, float *v, const float *w, const float *u);
void sim_ternary_f64(unsigned op, uint32_t n, double *v, const double *w, const double *u);
void sim_ternary_int(unsigned op, bool is_unsigned, uint32_t n, int64_t *v, const int64_t *w,
                     const int64_t *u);

// One step of a reduction, and what it starts from. Floats are reduced in double.
double sim_combine_f64(unsigned red, double into, double x);
int64_t sim_combine_int(unsigned red, bool is_unsigned, int64_t into, int64_t x);
double sim_identity_f64(unsigned red);
int64_t sim_identity_int(unsigned red, bool is_unsigned);

// Function codes that integers have.
bool sim_func_has_int(unsigned func);

#endif
