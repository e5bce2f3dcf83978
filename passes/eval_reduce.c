// SPDX-License-Identifier: Apache-2.0
// Evaluation of reductions.
#include <math.h>
#include <string.h>

#include "passes/eval.h"
#include "support/numeric.h"

typedef struct reduction {
    const char *op;
    uint32_t mask; // reduced axes
    bool ints;
    double *sum; // a running value per result element
    int64_t *int_sum;
    int64_t count; // reduced elements per result element
} reduction_t;

static int64_t result_index(const eval_t *e, const reduction_t *r, int64_t i) {
    const eval_tensor_t *x = &e->in[0];
    int64_t at = 0, stride = 1;
    for (uint32_t d = x->rank; d-- > 0; i /= x->dims[d]) {
        if (r->mask >> d & 1)
            continue;
        at += i % x->dims[d] * stride;
        stride *= x->dims[d];
    }
    return at;
}

static double step_f64(const char *op, double acc, double x, bool first) {
    if (strcmp(op, "max") == 0)
        return first || isnan(x) || x > acc ? x : acc;
    if (strcmp(op, "min") == 0)
        return first || isnan(x) || x < acc ? x : acc;
    if (strcmp(op, "prod") == 0)
        return first ? x : acc * x;
    if (strcmp(op, "sumsq") == 0 || strcmp(op, "l2") == 0)
        return acc + x * x;
    if (strcmp(op, "l1") == 0)
        return acc + fabs(x);
    return acc + x;
}

static int64_t step_i64(const char *op, int64_t acc, int64_t x, bool first) {
    if (strcmp(op, "max") == 0)
        return first || x > acc ? x : acc;
    if (strcmp(op, "min") == 0)
        return first || x < acc ? x : acc;
    if (strcmp(op, "prod") == 0)
        return first ? x : (int64_t)((uint64_t)acc * (uint64_t)x);
    return (int64_t)((uint64_t)acc + (uint64_t)x);
}

static bool supported(const char *op, bool ints) {
    static const char *const both[] = {"sum", "max", "min", "prod"};
    static const char *const floats[] = {"mean", "sumsq", "l1", "l2"};
    for (size_t i = 0; i < COUNT_OF(both); i++)
        if (strcmp(op, both[i]) == 0)
            return true;
    for (size_t i = 0; i < COUNT_OF(floats); i++)
        if (!ints && strcmp(op, floats[i]) == 0)
            return true;
    return false;
}

static double finish(const reduction_t *r, double value) {
    if (strcmp(r->op, "mean") == 0)
        return value / (double)r->count;
    return strcmp(r->op, "l2") == 0 ? sqrt(value) : value;
}

static bool eval_reduce(eval_t *e) {
    const ir_attr_t *axes = ir_get(e->op, "axes");
    const eval_tensor_t *x = &e->in[0];
    reduction_t r = {.op = ir_get_string(e->op, "op", ""), .ints = !dtype_is_float(x->elem)};
    if (axes == NULL || x->n == 0 || !supported(r.op, r.ints))
        return false;
    for (size_t i = 0; i < axes->n; i++)
        r.mask |= 1u << axes->ints[i];
    r.count = x->n / e->result.n;
    r.sum = ARENA_ARRAY(e->scratch, double, (size_t)e->result.n);
    r.int_sum = ARENA_ARRAY(e->scratch, int64_t, (size_t)e->result.n);
    bool *seen = ARENA_ARRAY(e->scratch, bool, (size_t)e->result.n);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t to = result_index(e, &r, i);
        if (r.ints)
            r.int_sum[to] = step_i64(r.op, r.int_sum[to],
                                     num_load_i64(x->elem, x->data, (uint64_t)i), !seen[to]);
        else
            r.sum[to] =
                step_f64(r.op, r.sum[to], num_load_f64(x->elem, x->data, (uint64_t)i), !seen[to]);
        seen[to] = true;
    }
    for (int64_t i = 0; i < e->result.n; i++) {
        if (r.ints)
            num_store_i64(e->result.elem, e->result.out, (uint64_t)i, r.int_sum[i], 0);
        else
            num_store_f64(e->result.elem, e->result.out, (uint64_t)i, finish(&r, r.sum[i]), 0);
    }
    return true;
}

static bool eval_cumulate(eval_t *e) {
    const eval_tensor_t *x = &e->in[0];
    uint32_t axis = (uint32_t)ir_get_int(e->op, "axis", 0);
    bool exclusive = ir_get_int(e->op, "exclusive", 0) != 0;
    bool reverse = ir_get_int(e->op, "reverse", 0) != 0;
    int64_t inner = 1, n = x->dims[axis];
    for (uint32_t d = axis + 1; d < x->rank; d++)
        inner *= x->dims[d];
    for (int64_t o = 0; o < x->n / (n > 0 ? n : 1); o++) {
        double sum = 0;
        for (int64_t k = 0; k < n; k++) {
            int64_t j = reverse ? n - 1 - k : k;
            uint64_t at = (uint64_t)(o / inner * n * inner + j * inner + o % inner);
            double value = num_load_f64(x->elem, x->data, at);
            num_store_f64(e->result.elem, e->result.out, at, exclusive ? sum : sum + value, 0);
            sum += value;
        }
    }
    return true;
}

bool eval_reduction(eval_t *e) {
    switch (e->op->code) {
    case IR_reduce:
        return eval_reduce(e);
    case IR_cumulate:
        return e->in[0].rank > 0 && eval_cumulate(e);
    default:
        return false;
    }
}
