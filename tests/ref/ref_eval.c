// SPDX-License-Identifier: Apache-2.0
// The evaluator itself: tensors, symbols, the order of ops and the life of their results.
#include "tests/ref/ref_eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/checked.h"
#include "tests/ref/ref_internal.h"

// --- Tensors -------------------------------------------------------------------------------------

static void out_of_memory(void) {
    fputs("reference evaluator: out of memory\n", stderr);
    abort();
}

ref_tensor_t *ref_tensor_new(dtype_t elem, uint32_t rank, const int64_t *dims) {
    ref_tensor_t *t = calloc(1, sizeof *t);
    int64_t n = 1;
    if (t == NULL)
        out_of_memory();
    for (uint32_t d = 0; d < rank; d++) {
        t->dims[d] = dims[d];
        if (dims[d] < 0 || !checked_mul_i64(n, dims[d], &n))
            out_of_memory();
    }
    t->elem = elem;
    t->rank = rank;
    t->n = n;
    uint64_t bytes = ((uint64_t)n * dtype_bits(elem) + 7) / 8;
    t->data = calloc(1, (size_t)bytes + 16);
    if (t->data == NULL)
        out_of_memory();
    return t;
}

void ref_tensor_free(ref_tensor_t *tensor) {
    if (tensor == NULL)
        return;
    free(tensor->data);
    free(tensor);
}

ref_tensor_t *ref_copy(const ref_tensor_t *tensor) {
    ref_tensor_t *copy = ref_tensor_new(tensor->elem, tensor->rank, tensor->dims);
    memcpy(copy->data, tensor->data,
           (size_t)(((uint64_t)tensor->n * dtype_bits(tensor->elem) + 7) / 8));
    return copy;
}

void ref_move(ref_tensor_t *to, int64_t i, const ref_tensor_t *from, int64_t j) {
    unsigned bytes = dtype_bits(to->elem) / 8;
    if (bytes == 4)
        ((uint32_t *)to->data)[i] = ((const uint32_t *)from->data)[j];
    else if (bytes > 0)
        memcpy((uint8_t *)to->data + i * bytes, (const uint8_t *)from->data + j * bytes, bytes);
    else
        num_store_bits(to->elem, to->data, (uint64_t)i,
                       num_load_bits(from->elem, from->data, (uint64_t)j));
}

static bool same_shape(const ref_tensor_t *a, const ref_tensor_t *b) {
    if (a->elem != b->elem || a->rank != b->rank)
        return false;
    for (uint32_t d = 0; d < a->rank; d++)
        if (a->dims[d] != b->dims[d])
            return false;
    return true;
}

// Error in units of the tolerance.
static double error_of(double got, double want, double rtol, double atol) {
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want) ? 0 : (double)INFINITY;
    if (isinf(got) || isinf(want))
        return got == want ? 0 : (double)INFINITY;
    double error = fabs(got - want), tolerance = atol + rtol * fabs(want);
    return error == 0 ? 0 : tolerance == 0 ? (double)INFINITY : error / tolerance;
}

ref_difference_t ref_tensor_compare(const ref_tensor_t *got, const ref_tensor_t *want, double rtol,
                                    double atol) {
    ref_difference_t d = {.worst = -1};
    if (!same_shape(got, want)) {
        d.n_beyond = want->n > 0 ? want->n : 1;
        d.error = (double)INFINITY;
        return d;
    }
    for (int64_t i = 0; i < want->n; i++) {
        double a = ref_load(got, i), b = ref_load(want, i), error = error_of(a, b, rtol, atol);
        d.n_beyond += error > 1;
        if (error > d.error) {
            d.error = error;
            d.worst = i;
            d.got = a;
            d.want = b;
        }
    }
    return d;
}

// --- Helpers of the op families ------------------------------------------------------------------

status_t ref_fail(const ref_op_t *c, status_t status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *message = arena_vprintf(&c->run->arena, format, args);
    va_end(args);
    const ir_op_t *op = c->op;
    diag_where_t where = {.node = op->n_origins > 0 ? op->origins[0]->node : NULL,
                          .op = ir_op_info(op->code)->name,
                          .tensor = op->n_results > 0 ? op->results[0]->name : NULL,
                          .pass = "reference"};
    return DIAG_FAIL(c->run->diag, status, &where, NULL, "%s", message);
}

ref_tensor_t *ref_out(ref_op_t *c, uint32_t i, dtype_t elem, uint32_t rank, const int64_t *dims) {
    ref_tensor_free(c->out[i]);
    c->out[i] = ref_tensor_new(elem, rank, dims);
    return c->out[i];
}

ref_tensor_t *ref_out_like(ref_op_t *c, uint32_t i, const ref_tensor_t *like) {
    return ref_out(c, i, like->elem, like->rank, like->dims);
}

bool ref_expr_value(const ref_op_t *c, const ir_expr_t *e, int64_t *out) {
    return e != NULL && ir_expr_eval(e, c->run->symbols, out);
}

bool ref_type_dims(const ref_op_t *c, uint32_t result, uint32_t *out_rank, int64_t *out_dims) {
    const ir_type_t *type = result < c->op->n_results ? c->op->results[result]->type : NULL;
    if (type == NULL || type->kind != IR_TENSOR || !type->ranked)
        return false;
    *out_rank = type->rank;
    for (uint32_t d = 0; d < type->rank; d++)
        if (!ref_expr_value(c, type->dims[d], &out_dims[d]) || out_dims[d] < 0)
            return false;
    return true;
}

size_t ref_ints(const ref_op_t *c, const char *attr, int operand, size_t max, int64_t *out,
                bool *out_given) {
    const ref_tensor_t *t = operand >= 0 && (uint32_t)operand < c->n_in ? c->in[operand] : NULL;
    *out_given = t != NULL || (attr != NULL && ir_get(c->op, attr) != NULL);
    if (t == NULL)
        return attr != NULL ? ir_get_ints(c->op, attr, max, out) : 0;
    size_t n = (size_t)t->n < max ? (size_t)t->n : max;
    for (size_t i = 0; i < n; i++)
        out[i] = ref_load_int(t, (int64_t)i);
    return n;
}

int64_t ref_axis(int64_t axis, int64_t rank) {
    axis += axis < 0 ? rank : 0;
    return axis >= 0 && axis < rank ? axis : -1;
}

int64_t ref_product(const int64_t *dims, uint32_t first, uint32_t end) {
    int64_t n = 1;
    for (uint32_t d = first; d < end; d++)
        n *= dims[d];
    return n;
}

void ref_strides(uint32_t rank, const int64_t *dims, int64_t *out) {
    int64_t stride = 1;
    for (uint32_t d = rank; d-- > 0;) {
        out[d] = stride;
        stride *= dims[d];
    }
}

bool ref_walk_start(ref_walk_t *w) {
    if (w->rank == 0) { // one element: a row of one
        w->rank = 1;
        w->dims[0] = 1;
    }
    for (uint32_t d = 0; d < w->rank; d++) {
        w->index[d] = 0;
        if (w->dims[d] == 0)
            return false;
    }
    w->row = w->dims[w->rank - 1];
    return true;
}

bool ref_walk_next(ref_walk_t *w) {
    for (uint32_t d = w->rank - 1; d-- > 0;) {
        w->index[d]++;
        for (uint32_t t = 0; t < w->n; t++)
            w->offset[t] += w->stride[t][d];
        if (w->index[d] < w->dims[d])
            return true;
        for (uint32_t t = 0; t < w->n; t++)
            w->offset[t] -= w->stride[t][d] * w->dims[d];
        w->index[d] = 0;
    }
    return false;
}

bool ref_broadcast(ref_walk_t *w, uint32_t n, const ref_tensor_t *const *tensors) {
    *w = (ref_walk_t){.n = n};
    for (uint32_t t = 0; t < n; t++)
        w->rank = tensors[t]->rank > w->rank ? tensors[t]->rank : w->rank;
    for (uint32_t d = 0; d < w->rank; d++)
        w->dims[d] = 1;
    for (uint32_t t = 0; t < n; t++) {
        uint32_t skip = w->rank - tensors[t]->rank;
        int64_t strides[IR_MAX_RANK];
        ref_strides(tensors[t]->rank, tensors[t]->dims, strides);
        for (uint32_t d = 0; d < tensors[t]->rank; d++) {
            int64_t dim = tensors[t]->dims[d];
            if (dim != 1 && w->dims[d + skip] != 1 && w->dims[d + skip] != dim)
                return false;
            if (dim != 1)
                w->dims[d + skip] = dim;
            w->stride[t][d + skip] = dim == 1 ? 0 : strides[d];
        }
    }
    return true;
}

// --- Values --------------------------------------------------------------------------------------

ref_tensor_t *ref_lookup(ref_run_t *run, const ir_value_t *value) {
    return map_get_ptr(&run->tensors, value);
}

void ref_bind(ref_run_t *run, const ir_value_t *value, ref_tensor_t *tensor) {
    ref_tensor_t *old = ref_lookup(run, value);
    if (old != tensor)
        ref_tensor_free(old);
    map_put_ptr(&run->tensors, value, tensor);
}

void ref_drop(ref_run_t *run, const ir_value_t *value) {
    if (ref_lookup(run, value) != NULL)
        ref_bind(run, value, NULL);
}

// Number of the op of `block` that is or contains `op`.
static const ir_op_t *op_in_block(const ir_block_t *block, const ir_op_t *op) {
    while (op != NULL && op->block != block)
        op = op->block != NULL ? op->block->region->op : NULL;
    return op;
}

static void find_last_use(ref_run_t *run, const map_t *numbers, const ir_value_t *value,
                          uintptr_t own) {
    uintptr_t last = own, number;
    for (const ir_use_t *use = value->first_use; use != NULL; use = use->next) {
        const ir_op_t *user = op_in_block(run->main_block, use->user);
        if (user != NULL && map_get(numbers, &user, sizeof user, &number) && number > last)
            last = number;
    }
    map_put(&run->last_uses, &value, sizeof value, last);
}

static void find_last_uses(ref_run_t *run) {
    map_t numbers;
    uintptr_t number = 1;
    map_init(&numbers, &run->arena);
    for (const ir_op_t *op = run->main_block->first; op != NULL; op = op->next)
        map_put(&numbers, &op, sizeof op, number++);
    number = 1;
    for (const ir_op_t *op = run->main_block->first; op != NULL; op = op->next, number++)
        for (uint32_t i = 0; i < op->n_results; i++)
            find_last_use(run, &numbers, op->results[i], number);
    for (uint32_t i = 0; i < run->main_block->n_args; i++)
        find_last_use(run, &numbers, run->main_block->args[i], 1);
}

static void drop_if_done(ref_run_t *run, const ir_value_t *value, uintptr_t number) {
    uintptr_t last;
    if (value != NULL && map_get(&run->last_uses, &value, sizeof value, &last) && last <= number)
        ref_drop(run, value);
}

// --- Ops -----------------------------------------------------------------------------------------

static ref_fn_t find_fn(ir_opcode_t code) {
    switch (code) {
#define REF_CASE(name)                                                                             \
    case IR_##name:                                                                                \
        return ref_##name;
        REF_OPS(REF_CASE)
#undef REF_CASE
    default:
        return NULL;
    }
}

static status_t take_results(ref_op_t *c) {
    for (uint32_t i = 0; i < c->n_out; i++) {
        const ir_value_t *value = c->op->results[i];
        if (c->out[i] == NULL)
            continue; // an optional result that nobody computes
        ref_bind(c->run, value, c->out[i]);
        if (c->run->visit != NULL)
            RETURN_IF_ERROR(c->run->visit(c->run->ctx, value, c->out[i]));
    }
    return STATUS_OK;
}

static status_t run_op(ref_run_t *run, const ir_op_t *op) {
    ref_op_t c = {.run = run, .op = op, .n_in = op->n_operands, .n_out = op->n_results};
    ref_fn_t fn = find_fn(op->code);
    if (fn == NULL)
        return ref_fail(&c, STATUS_UNSUPPORTED, "the reference evaluator does not know the op");
    if (c.n_in > REF_MAX_IN || c.n_out > REF_MAX_OUT)
        return ref_fail(&c, STATUS_LIMIT, "%u operands and %u results", c.n_in, c.n_out);
    const ir_op_info_t *info = ir_op_info(op->code);
    for (uint32_t i = 0; i < c.n_in; i++) {
        const ir_value_t *value = op->operands[i].value;
        c.in[i] = value != NULL ? ref_lookup(run, value) : NULL;
        if (value != NULL && c.in[i] == NULL)
            return ref_fail(&c, STATUS_INVALID, "%%%s has no contents", value->name);
        if (c.in[i] == NULL && (int)i < info->min_operands && op->code != IR_loop)
            return ref_fail(&c, STATUS_INVALID, "operand %u is absent", i);
    }
    status_t status = fn(&c);
    if (status == STATUS_OK)
        return take_results(&c);
    for (uint32_t i = 0; i < c.n_out; i++)
        ref_tensor_free(c.out[i]);
    return status;
}

status_t ref_run_block(ref_run_t *run, const ir_block_t *block) {
    uintptr_t number = 1;
    for (const ir_op_t *op = block->first; op != NULL; op = op->next, number++) {
        if ((ir_op_info(op->code)->flags & IR_FLAG_TERMINATOR) != 0)
            return STATUS_OK;
        RETURN_IF_ERROR(run_op(run, op));
        if (block != run->main_block)
            continue;
        for (uint32_t i = 0; i < op->n_operands; i++)
            drop_if_done(run, op->operands[i].value, number);
        for (uint32_t i = 0; i < op->n_results; i++)
            drop_if_done(run, op->results[i], number);
    }
    return STATUS_OK;
}

// --- Modules -------------------------------------------------------------------------------------

static status_t bind_input(ref_run_t *run, const ir_value_t *arg, const ref_tensor_t *input) {
    const ir_type_t *type = arg->type;
    diag_where_t where = {.tensor = arg->name, .pass = "reference"};
    bool fits = type->kind == IR_TENSOR &&
                (type->elem == DTYPE_NONE || type->elem == input->elem) &&
                (!type->ranked || type->rank == input->rank);
    for (uint32_t d = 0; fits && type->ranked && d < type->rank; d++) {
        const ir_expr_t *dim = type->dims[d];
        if (dim != NULL && dim->kind == IR_EXPR_SYMBOL)
            run->symbols[dim->symbol->id] = input->dims[d];
        else if (dim != NULL && dim->kind == IR_EXPR_CONST)
            fits = dim->value == input->dims[d];
    }
    if (!fits)
        return DIAG_FAIL(run->diag, STATUS_INVALID, &where, NULL,
                         "the input does not fit the type of the argument");
    ref_bind(run, arg, ref_copy(input));
    return STATUS_OK;
}

static status_t run_main(ref_run_t *run, size_t n_inputs, const ref_tensor_t *const *inputs,
                         size_t n_outputs, ref_tensor_t **out_outputs) {
    const ir_block_t *block = run->main_block;
    const ir_op_t *last = block->last;
    if (last == NULL || last->code != IR_return || last->n_operands != n_outputs ||
        block->n_args != n_inputs)
        return DIAG_FAIL(run->diag, STATUS_INVALID, NULL, NULL,
                         "@main has %u arguments and %u outputs, not %zu and %zu", block->n_args,
                         last != NULL ? last->n_operands : 0, n_inputs, n_outputs);
    for (size_t i = 0; i < n_inputs; i++)
        RETURN_IF_ERROR(bind_input(run, block->args[i], inputs[i]));
    find_last_uses(run);
    RETURN_IF_ERROR(ref_run_block(run, block));
    for (size_t i = 0; i < n_outputs; i++)
        if (last->operands[i].value == NULL || ref_lookup(run, last->operands[i].value) == NULL)
            return DIAG_FAIL(run->diag, STATUS_INVALID, NULL, NULL, "output %zu has no contents",
                             i);
    for (size_t i = 0; i < n_outputs; i++)
        out_outputs[i] = ref_copy(ref_lookup(run, last->operands[i].value));
    return STATUS_OK;
}

static void drop_all(ref_run_t *run, const ir_block_t *block) {
    for (uint32_t i = 0; i < block->n_args; i++)
        ref_drop(run, block->args[i]);
    for (const ir_op_t *op = block->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; i++)
            ref_drop(run, op->results[i]);
        for (uint32_t r = 0; r < op->n_regions; r++)
            drop_all(run, op->regions[r]->block);
    }
}

status_t ref_eval_run(const ir_module_t *m, size_t n_inputs, const ref_tensor_t *const *inputs,
                      size_t n_outputs, ref_tensor_t **out_outputs, ref_visit_t visit, void *ctx,
                      diag_t *diag) {
    if (m->funcs == NULL)
        return DIAG_FAIL(diag, STATUS_INVALID, NULL, NULL, "a module without functions");
    ref_run_t run = {.m = (ir_module_t *)(uintptr_t)m,
                     .diag = diag,
                     .visit = visit,
                     .ctx = ctx,
                     .main_block = m->funcs->body->block};
    arena_init(&run.arena);
    map_init(&run.tensors, &run.arena);
    map_init(&run.last_uses, &run.arena);
    run.symbols = ARENA_ARRAY(&run.arena, int64_t, m->n_symbols + 1);
    status_t status = run_main(&run, n_inputs, inputs, n_outputs, out_outputs);
    drop_all(&run, run.main_block);
    arena_deinit(&run.arena);
    return status;
}
