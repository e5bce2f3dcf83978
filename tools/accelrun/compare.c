// SPDX-License-Identifier: Apache-2.0
// Outputs against expected ones: |ours - expected| <= atol + rtol * |expected|, NaN equals NaN,
// integers exactly.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "support/numeric.h"
#include "tools/accelrun/accelrun.h"
#include "tools/common/pb_tensor.h"

static bool same_kind(const accel_tensor_t *ours, const tool_tensor_t *expected) {
    if ((uint32_t)ours->dtype != (uint32_t)expected->dtype || ours->rank != expected->rank)
        return false;
    for (uint32_t i = 0; i < ours->rank; i++)
        if (ours->dims[i] != expected->dims[i])
            return false;
    return ours->bytes == expected->data_bytes;
}

// How far the element lies outside of what is allowed: above 0 is wrong; infinite when no distance
// can be told.
static double excess(double ours, double expected, double rtol, double atol) {
    if (isnan(ours) && isnan(expected))
        return 0;
    if (isnan(ours) || isnan(expected))
        return INFINITY;
    if (isinf(ours) || isinf(expected))
        return ours == expected ? 0 : INFINITY;
    return fabs(ours - expected) - (atol + rtol * fabs(expected));
}

typedef struct elements {
    dtype_t dtype;
    uint64_t per_element; // numbers: 2 for complex types
} elements_t;

static elements_t elements_of(dtype_t dtype) {
    if (dtype == DTYPE_C64)
        return (elements_t){DTYPE_F32, 2};
    if (dtype == DTYPE_C128)
        return (elements_t){DTYPE_F64, 2};
    return (elements_t){dtype, 1};
}

// 64-bit integers do not fit into a double.
static bool same_bits(dtype_t dtype, const void *ours, const void *expected, uint64_t index) {
    return num_load_bits(dtype, ours, index) == num_load_bits(dtype, expected, index);
}

void compare(const accel_tensor_t *ours, const tool_tensor_t *expected, double rtol, double atol,
             comparison_t *out_result) {
    *out_result = (comparison_t){.same_kind = same_kind(ours, expected)};
    if (!out_result->same_kind)
        return;
    elements_t elements = elements_of(expected->dtype);
    bool exact = !dtype_is_float(elements.dtype);
    double worst = -INFINITY;
    out_result->n_elems = expected->n_elems * elements.per_element;
    for (uint64_t i = 0; i < out_result->n_elems; i++) {
        double a = num_load_f64(elements.dtype, ours->data, i);
        double b = num_load_f64(elements.dtype, expected->data, i);
        double over = exact ? 0 : excess(a, b, rtol, atol);
        if (exact && !same_bits(elements.dtype, ours->data, expected->data, i))
            over = a == b ? 1 : fabs(a - b);
        out_result->n_wrong += over > 0;
        if (over <= worst)
            continue;
        worst = over;
        out_result->worst = i;
        out_result->ours = a;
        out_result->expected = b;
        out_result->difference = fabs(a - b);
        out_result->allowed = exact ? 0 : atol + rtol * fabs(b);
    }
    out_result->equal = out_result->n_wrong == 0;
}

static void print_kind(FILE *out, dtype_t dtype, size_t rank, const int64_t *dims) {
    fprintf(out, "%s[", dtype_text(dtype));
    for (size_t i = 0; i < rank; i++)
        fprintf(out, "%s%" PRId64, i > 0 ? "," : "", dims[i]);
    fputs("]", out);
}

static void print_comparison(FILE *out, const accel_tensor_t *ours, const tool_tensor_t *expected,
                             const comparison_t *result) {
    fprintf(out, "%s: ", ours->name);
    if (!result->same_kind) {
        fputs("is ", out);
        print_kind(out, (dtype_t)ours->dtype, ours->rank, ours->dims);
        fputs(", expected ", out);
        print_kind(out, expected->dtype, expected->rank, expected->dims);
        fputs("\n", out);
        return;
    }
    if (result->n_elems == 0) {
        fputs("matches (no elements)\n", out);
        return;
    }
    if (result->equal)
        fprintf(out, "matches %" PRIu64 " elements", result->n_elems);
    else
        fprintf(out, "%" PRIu64 " of %" PRIu64 " elements differ", result->n_wrong,
                result->n_elems);
    fprintf(out, "; worst at %" PRIu64 ": %.9g, expected %.9g, off by %.3g (allowed %.3g)\n",
            result->worst, result->ours, result->expected, result->difference, result->allowed);
}

status_t compare_outputs(const run_t *run, FILE *out, bool *out_equal) {
    *out_equal = true;
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const char *path =
            arena_printf(run->arena, "%s/output_%" PRIu32 ".pb", run->options.test_data, i);
        tool_tensor_t expected;
        comparison_t result;
        RETURN_IF_ERROR(tool_pb_tensor_read(path, run->arena, run->diag, &expected));
        compare(&run->outputs[i], &expected, run->options.rtol, run->options.atol, &result);
        if (out != NULL)
            print_comparison(out, &run->outputs[i], &expected, &result);
        *out_equal = *out_equal && result.equal;
    }
    return STATUS_OK;
}
