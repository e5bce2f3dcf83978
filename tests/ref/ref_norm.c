// SPDX-License-Identifier: Apache-2.0
// Reductions and normalisations.
#include <math.h>
#include <string.h>

#include "tests/ref/ref_internal.h"

// --- reduce --------------------------------------------------------------------------------------

typedef enum red {
    RED_SUM,
    RED_MEAN,
    RED_MAX,
    RED_MIN,
    RED_PROD,
    RED_SUMSQ,
    RED_L1,
    RED_L2,
    RED_LOGSUM,
    RED_LOGSUMEXP,
    RED_COUNT
} red_t;
static const char *const red_texts[RED_COUNT] = {"sum",   "mean", "max", "min",    "prod",
                                                 "sumsq", "l1",   "l2",  "logsum", "logsumexp"};

// Which dims are reduced; dims of the result with them as 1, and without them.
typedef struct reduced {
    bool dim[IR_MAX_RANK];
    int64_t full[IR_MAX_RANK], result[IR_MAX_RANK];
    uint32_t rank;
} reduced_t;

static void set_reduced(reduced_t *r, const ref_tensor_t *x, bool keep) {
    r->rank = 0;
    for (uint32_t d = 0; d < x->rank; d++) {
        r->full[d] = r->dim[d] ? 1 : x->dims[d];
        if (keep || !r->dim[d])
            r->result[r->rank++] = r->full[d];
    }
}

static status_t read_axes(ref_op_t *c, reduced_t *r) {
    const ref_tensor_t *x = c->in[0];
    int64_t axes[IR_MAX_RANK];
    bool given;
    size_t n = ref_ints(c, "axes", 1, IR_MAX_RANK, axes, &given);
    *r = (reduced_t){.rank = 0};
    bool all = n == 0 && ir_get_int(c->op, "noop_with_empty_axes", 0) == 0;
    for (uint32_t d = 0; d < x->rank; d++)
        r->dim[d] = all;
    for (size_t i = 0; i < n; i++) {
        int64_t axis = ref_axis(axes[i], x->rank);
        REF_NEED(c, axis >= 0);
        r->dim[axis] = true;
    }
    set_reduced(r, x, ir_get_int(c->op, "keepdims", 1) != 0);
    return STATUS_OK;
}

// Where element i of x goes.
static int64_t target_of(const reduced_t *r, const ref_tensor_t *x, int64_t i) {
    int64_t at = 0, stride = 1;
    for (uint32_t d = x->rank; d-- > 0;) {
        if (!r->dim[d]) {
            at += i % x->dims[d] * stride;
            stride *= x->dims[d];
        }
        i /= x->dims[d];
    }
    return at;
}

static double start_of(red_t op) {
    return op == RED_PROD                         ? 1
           : op == RED_MAX || op == RED_LOGSUMEXP ? -(double)INFINITY
           : op == RED_MIN                        ? (double)INFINITY
                                                  : 0;
}

static double step(red_t op, double sum, double x) {
    switch (op) {
    case RED_MAX:
    case RED_LOGSUMEXP:
        return isnan(x) || x > sum ? x : sum; // its first walk: the greatest
    case RED_MIN:
        return isnan(x) || x < sum ? x : sum;
    case RED_PROD:
        return sum * x;
    case RED_SUMSQ:
    case RED_L2:
        return sum + x * x;
    case RED_L1:
        return sum + fabs(x);
    default:
        return sum + x;
    }
}

static int64_t step_int(red_t op, int64_t sum, int64_t x) {
    switch (op) {
    case RED_MAX:
        return x > sum ? x : sum;
    case RED_MIN:
        return x < sum ? x : sum;
    case RED_PROD:
        return (int64_t)((uint64_t)sum * (uint64_t)x);
    case RED_SUMSQ:
        return (int64_t)((uint64_t)sum + (uint64_t)x * (uint64_t)x);
    case RED_L1:
        return sum + (x < 0 ? -x : x);
    default:
        return (int64_t)((uint64_t)sum + (uint64_t)x);
    }
}

// The least value of the type, or the greatest.
static int64_t of_nothing(dtype_t elem, bool least) {
    unsigned bits = dtype_bits(elem);
    if (elem == DTYPE_BOOL)
        return !least;
    if (dtype_class(elem) == 'U')
        return least ? 0 : -1;
    return (int64_t)((uint64_t)1 << (bits - 1)) - !least;
}

static void reduce_ints(red_t op, const reduced_t *r, const ref_tensor_t *x, ref_tensor_t *y) {
    int64_t zero[1] = {y->n};
    ref_tensor_t *sum = ref_tensor_new(DTYPE_I64, 1, zero),
                 *seen = ref_tensor_new(DTYPE_I64, 1, zero);
    int64_t *sums = sum->data, *counts = seen->data;
    for (int64_t i = 0; i < y->n; i++)
        sums[i] = op == RED_PROD;
    for (int64_t i = 0; i < x->n; i++) {
        int64_t at = target_of(r, x, i), value = ref_load_int(x, i);
        bool first = counts[at]++ == 0 && (op == RED_MAX || op == RED_MIN);
        sums[at] = first ? value : step_int(op, sums[at], value);
    }
    for (int64_t i = 0; i < y->n; i++) {
        if (counts[i] == 0 && (op == RED_MAX || op == RED_MIN))
            ref_store_int(y, i, of_nothing(y->elem, op == RED_MAX));
        else
            ref_store_int(y, i, op == RED_MEAN && counts[i] > 0 ? sums[i] / counts[i] : sums[i]);
    }
    ref_tensor_free(sum);
    ref_tensor_free(seen);
}

static void reduce_floats(red_t op, const reduced_t *r, const ref_tensor_t *x, ref_tensor_t *y) {
    int64_t n[1] = {y->n}, count = y->n > 0 ? x->n / y->n : 0;
    ref_tensor_t *sum = ref_tensor_new(DTYPE_F64, 1, n), *greatest = NULL;
    double *sums = sum->data;
    for (int64_t i = 0; i < y->n; i++)
        sums[i] = start_of(op);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t at = target_of(r, x, i);
        sums[at] = step(op, sums[at], ref_load(x, i));
    }
    if (op == RED_LOGSUMEXP) { // the second walk: sums of exponentials, none above 1
        greatest = sum;
        sum = ref_tensor_new(DTYPE_F64, 1, n);
        sums = sum->data;
        for (int64_t i = 0; i < x->n; i++) {
            int64_t at = target_of(r, x, i);
            double top = ((double *)greatest->data)[at];
            sums[at] += isinf(top) ? (top > 0 ? (double)INFINITY : 0) : exp(ref_load(x, i) - top);
        }
    }
    for (int64_t i = 0; i < y->n; i++) {
        double value = op == RED_MEAN ? sums[i] / (double)count : sums[i];
        if (op == RED_L2)
            value = sqrt(value);
        if (op == RED_LOGSUM)
            value = log(value);
        if (op == RED_LOGSUMEXP) {
            double top = ((double *)greatest->data)[i];
            value = isinf(top) ? top : log(value) + top;
        }
        ref_store(y, i, value);
    }
    ref_tensor_free(sum);
    ref_tensor_free(greatest);
}

status_t ref_reduce(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    const char *text = ir_get_string(c->op, "op", "");
    int op = 0;
    reduced_t r;
    while (op < RED_COUNT && strcmp(red_texts[op], text) != 0)
        op++;
    if (op == RED_COUNT)
        return ref_fail(c, STATUS_UNSUPPORTED, "no reduction '%s'", text);
    RETURN_IF_ERROR(read_axes(c, &r));
    ref_tensor_t *y = ref_out(c, 0, x->elem, r.rank, r.result);
    bool whole = (dtype_is_int(x->elem) || x->elem == DTYPE_BOOL) && op <= RED_L1;
    if (whole)
        reduce_ints((red_t)op, &r, x, y);
    else
        reduce_floats((red_t)op, &r, x, y);
    return STATUS_OK;
}

// --- Along one axis ------------------------------------------------------------------------------

// x as [outer][dim][inner].
typedef struct lines {
    int64_t outer, dim, inner;
} lines_t;

static lines_t lines_of(const ref_tensor_t *x, int64_t axis) {
    return (lines_t){.outer = ref_product(x->dims, 0, (uint32_t)axis),
                     .dim = x->dims[axis],
                     .inner = ref_product(x->dims, (uint32_t)axis + 1, x->rank)};
}

status_t ref_argreduce(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    bool max = strcmp(ir_get_string(c->op, "op", "max"), "max") == 0;
    bool last = ir_get_int(c->op, "select_last_index", 0) != 0;
    int64_t axis = ref_axis(ir_get_int(c->op, "axis", 0), x->rank);
    REF_NEED(c, axis >= 0);
    reduced_t r = {.rank = 0};
    r.dim[axis] = true;
    set_reduced(&r, x, ir_get_int(c->op, "keepdims", 1) != 0);
    ref_tensor_t *y = ref_out(c, 0, DTYPE_I64, r.rank, r.result);
    lines_t l = lines_of(x, axis);
    for (int64_t i = 0; i < l.outer * l.inner; i++) {
        int64_t base = i / l.inner * l.dim * l.inner + i % l.inner, best = 0;
        for (int64_t k = 1; k < l.dim; k++) {
            double a = ref_load(x, base + k * l.inner), b = ref_load(x, base + best * l.inner);
            bool better = max ? a > b : a < b;
            if (better || (last && a == b))
                best = k;
        }
        ref_store_int(y, i, best);
    }
    return STATUS_OK;
}

static void softmax_line(const ref_tensor_t *x, ref_tensor_t *y, int64_t base, int64_t step_,
                         int64_t n, bool log_) {
    double top = -(double)INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++)
        top = fmax(top, ref_load(x, base + k * step_));
    for (int64_t k = 0; k < n; k++)
        sum += exp(ref_load(x, base + k * step_) - top);
    for (int64_t k = 0; k < n; k++) {
        double d = ref_load(x, base + k * step_) - top;
        ref_store(y, base + k * step_, log_ ? d - log(sum) : exp(d) / sum);
    }
}

status_t ref_softmax(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    bool flatten = ir_get_int(c->op, "flatten", 0) != 0;
    int64_t given = ir_get_int(c->op, "axis", -1), axis = ref_axis(given, x->rank);
    REF_NEED(c, axis >= 0);
    lines_t l = lines_of(x, axis);
    if (flatten) {
        l.dim *= l.inner;
        l.inner = 1;
    }
    ref_tensor_t *y = ref_out_like(c, 0, x);
    for (int64_t i = 0; i < l.outer * l.inner; i++)
        softmax_line(x, y, i / l.inner * l.dim * l.inner + i % l.inner, l.inner, l.dim,
                     ir_get_int(c->op, "log", 0) != 0);
    return STATUS_OK;
}

status_t ref_cumulate(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t axis = ir_get_int(c->op, "axis", 0);
    bool exclusive = ir_get_int(c->op, "exclusive", 0) != 0;
    bool reverse = ir_get_int(c->op, "reverse", 0) != 0, whole = dtype_is_int(x->elem);
    if (c->n_in > 1 && c->in[1] != NULL)
        axis = ref_load_int(c->in[1], 0);
    axis = ref_axis(axis, x->rank);
    REF_NEED(c, axis >= 0);
    ref_tensor_t *y = ref_out_like(c, 0, x);
    lines_t l = lines_of(x, axis);
    for (int64_t i = 0; i < l.outer * l.inner; i++) {
        int64_t base = i / l.inner * l.dim * l.inner + i % l.inner;
        double sum = 0;
        uint64_t int_sum = 0;
        for (int64_t k = 0; k < l.dim; k++) {
            int64_t at = base + (reverse ? l.dim - 1 - k : k) * l.inner;
            double before = sum;
            uint64_t int_before = int_sum;
            sum += ref_load(x, at);
            int_sum += (uint64_t)ref_load_int(x, at);
            if (whole)
                ref_store_int(y, at, (int64_t)(exclusive ? int_before : int_sum));
            else
                ref_store(y, at, exclusive ? before : sum);
        }
    }
    return STATUS_OK;
}

// --- Normalisations ------------------------------------------------------------------------------

status_t ref_batch_norm(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    double epsilon = ir_get_float(c->op, "epsilon", 1e-5);
    REF_NEED(c, x->rank >= 2);
    for (int i = 1; i < 5; i++)
        REF_NEED(c, c->in[i]->n == x->dims[1]);
    ref_tensor_t *y = ref_out_like(c, 0, x);
    int64_t inner = ref_product(x->dims, 2, x->rank);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t ch = i / inner % x->dims[1];
        double factor = ref_load(c->in[1], ch) / sqrt(ref_load(c->in[4], ch) + epsilon);
        ref_store(y, i,
                  (ref_load(x, i) - ref_load(c->in[3], ch)) * factor + ref_load(c->in[2], ch));
    }
    return STATUS_OK;
}

typedef struct moments {
    double mean, inverse; // 1 / standard deviation
} moments_t;

static moments_t moments_of(const ref_tensor_t *x, int64_t first, int64_t n, double epsilon,
                            bool centred) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ref_load(x, first + i);
    double mean = centred ? sum / (double)n : 0;
    for (int64_t i = 0; i < n; i++) {
        double d = ref_load(x, first + i) - mean;
        squares += d * d;
    }
    return (moments_t){.mean = mean, .inverse = 1 / sqrt(squares / (double)n + epsilon)};
}

status_t ref_layer_norm(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0], *scale = c->in[1];
    const ref_tensor_t *bias = c->n_in > 2 ? c->in[2] : NULL;
    bool rms = ir_get_int(c->op, "rms", 0) != 0;
    int64_t axis = ref_axis(ir_get_int(c->op, "axis", -1), x->rank), dims[IR_MAX_RANK];
    REF_NEED(c, axis >= 0);
    int64_t n = ref_product(x->dims, (uint32_t)axis, x->rank);
    int64_t outer = ref_product(x->dims, 0, (uint32_t)axis);
    REF_NEED(c, n > 0 && scale->n > 0 && n % scale->n == 0);
    REF_NEED(c, bias == NULL || (bias->n > 0 && n % bias->n == 0));
    for (uint32_t d = 0; d < x->rank; d++)
        dims[d] = d < axis ? x->dims[d] : 1;
    ref_tensor_t *y = ref_out_like(c, 0, x);
    // Of RMSNormalization the second result, if any, is the inverse deviation.
    ref_tensor_t *mean = c->n_out > 2 ? ref_out(c, 1, DTYPE_F32, x->rank, dims) : NULL;
    ref_tensor_t *inverse = NULL;
    if (c->n_out > 2)
        inverse = ref_out(c, 2, DTYPE_F32, x->rank, dims);
    else if (c->n_out == 2 && rms)
        inverse = ref_out(c, 1, DTYPE_F32, x->rank, dims);
    else if (c->n_out == 2)
        mean = ref_out(c, 1, DTYPE_F32, x->rank, dims);
    for (int64_t o = 0; o < outer; o++) {
        moments_t s = moments_of(x, o * n, n, ir_get_float(c->op, "epsilon", 1e-5), !rms);
        for (int64_t i = 0; i < n; i++) {
            double value = (ref_load(x, o * n + i) - s.mean) * s.inverse;
            value *= ref_load(scale, i % scale->n);
            ref_store(y, o * n + i, value + (bias != NULL ? ref_load(bias, i % bias->n) : 0));
        }
        if (mean != NULL)
            ref_store(mean, o, s.mean);
        if (inverse != NULL)
            ref_store(inverse, o, s.inverse);
    }
    return STATUS_OK;
}

status_t ref_instance_norm(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    REF_NEED(c, x->rank >= 3 && c->in[1]->n == x->dims[1] && c->in[2]->n == x->dims[1]);
    ref_tensor_t *y = ref_out_like(c, 0, x);
    int64_t inner = ref_product(x->dims, 2, x->rank);
    for (int64_t plane = 0; plane < x->dims[0] * x->dims[1]; plane++) {
        int64_t ch = plane % x->dims[1];
        double epsilon = ir_get_float(c->op, "epsilon", 1e-5);
        moments_t s = moments_of(x, plane * inner, inner, epsilon, true);
        for (int64_t i = 0; i < inner; i++)
            ref_store(y, plane * inner + i,
                      (ref_load(x, plane * inner + i) - s.mean) * s.inverse *
                              ref_load(c->in[1], ch) +
                          ref_load(c->in[2], ch));
    }
    return STATUS_OK;
}
