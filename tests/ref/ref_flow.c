// SPDX-License-Identifier: Apache-2.0
// Ops with regions: kernels made by fusion, and ONNX If and Loop.
#include <string.h>

#include "tests/ref/ref_internal.h"

// Copies what the region's yield names, from operand `first` on.
static status_t take_yield(ref_op_t *c, const ir_block_t *block, uint32_t first, uint32_t n,
                           ref_tensor_t **out) {
    const ir_op_t *yield = block->last;
    REF_NEED(c, yield != NULL && yield->code == IR_yield && yield->n_operands >= first + n);
    for (uint32_t i = 0; i < n; i++) {
        const ir_value_t *value = yield->operands[first + i].value;
        const ref_tensor_t *t = value != NULL ? ref_lookup(c->run, value) : NULL;
        REF_NEED(c, t != NULL);
        ref_tensor_free(out[i]);
        out[i] = ref_copy(t);
    }
    return STATUS_OK;
}

static void drop_region(ref_run_t *run, const ir_block_t *block) {
    for (uint32_t i = 0; i < block->n_args; i++)
        ref_drop(run, block->args[i]);
    for (const ir_op_t *op = block->first; op != NULL; op = op->next)
        for (uint32_t i = 0; i < op->n_results; i++)
            ref_drop(run, op->results[i]);
}

status_t ref_kernel(ref_op_t *c) {
    const ir_block_t *block = c->op->regions[0]->block;
    REF_NEED(c, block->n_args == c->n_in);
    for (uint32_t i = 0; i < c->n_in; i++) {
        REF_NEED(c, c->in[i] != NULL);
        ref_bind(c->run, block->args[i], ref_copy(c->in[i]));
    }
    RETURN_IF_ERROR(ref_run_block(c->run, block));
    RETURN_IF_ERROR(take_yield(c, block, 0, c->n_out, c->out));
    drop_region(c->run, block);
    return STATUS_OK;
}

status_t ref_if(ref_op_t *c) {
    REF_NEED(c, c->op->n_regions == 2 && c->in[0]->n == 1);
    const ir_block_t *block = c->op->regions[ref_load_int(c->in[0], 0) != 0 ? 0 : 1]->block;
    RETURN_IF_ERROR(ref_run_block(c->run, block));
    RETURN_IF_ERROR(take_yield(c, block, 0, c->n_out, c->out));
    drop_region(c->run, block);
    return STATUS_OK;
}

// --- Loop ----------------------------------------------------------------------------------------

// rows[row] of a scan output becomes a slice of the joined one, which grows.
static void append(ref_tensor_t **joined, const ref_tensor_t *slice) {
    int64_t dims[IR_MAX_RANK];
    int64_t count = *joined != NULL ? (*joined)->dims[0] : 0;
    dims[0] = count + 1;
    memcpy(dims + 1, slice->dims, slice->rank * sizeof *dims);
    ref_tensor_t *next = ref_tensor_new(slice->elem, slice->rank + 1, dims);
    for (int64_t i = 0; i < count * slice->n; i++)
        ref_move(next, i, *joined, i);
    for (int64_t i = 0; i < slice->n; i++)
        ref_move(next, count * slice->n + i, slice, i);
    ref_tensor_free(*joined);
    *joined = next;
}

static void bind_scalar(ref_run_t *run, const ir_value_t *arg, dtype_t elem, int64_t value) {
    ref_tensor_t *t = ref_tensor_new(elem, 0, NULL);
    ref_store_int(t, 0, value);
    ref_bind(run, arg, t);
}

// One turn: c->out holds the carried values first, then the joined scan outputs.
static status_t turn(ref_op_t *c, const ir_block_t *block, uint32_t n_carried, int64_t iteration,
                     bool *condition) {
    ref_tensor_t *yielded[REF_MAX_OUT + 1] = {NULL};
    bind_scalar(c->run, block->args[0], DTYPE_I64, iteration);
    bind_scalar(c->run, block->args[1], DTYPE_BOOL, *condition);
    for (uint32_t i = 0; i < n_carried; i++)
        ref_bind(c->run, block->args[2 + i], ref_copy(c->out[i]));
    RETURN_IF_ERROR(ref_run_block(c->run, block));
    status_t status = take_yield(c, block, 0, 1 + c->n_out, yielded);
    for (uint32_t i = 0; status == STATUS_OK && i < c->n_out; i++) {
        if (i >= n_carried) {
            append(&c->out[i], yielded[1 + i]);
            continue;
        }
        ref_tensor_free(c->out[i]);
        c->out[i] = yielded[1 + i];
        yielded[1 + i] = NULL;
    }
    if (status == STATUS_OK)
        *condition = ref_load_int(yielded[0], 0) != 0;
    for (size_t i = 0; i < COUNT_OF(yielded); i++)
        ref_tensor_free(yielded[i]);
    return status;
}

status_t ref_loop(ref_op_t *c) {
    const ir_block_t *block = c->op->regions[0]->block;
    uint32_t n_carried = c->n_in - 2;
    bool condition = c->in[1] == NULL || ref_load_int(c->in[1], 0) != 0;
    int64_t trips = c->in[0] != NULL ? ref_load_int(c->in[0], 0) : INT64_MAX;
    REF_NEED(c, block->n_args == c->n_in && c->n_out >= n_carried && c->n_out < REF_MAX_OUT);
    for (uint32_t i = 0; i < n_carried; i++) {
        REF_NEED(c, c->in[2 + i] != NULL);
        c->out[i] = ref_copy(c->in[2 + i]);
    }
    for (int64_t i = 0; i < trips && condition; i++)
        RETURN_IF_ERROR(turn(c, block, n_carried, i, &condition));
    for (uint32_t i = n_carried; i < c->n_out; i++) { // no turn at all: no slices
        int64_t dims[IR_MAX_RANK] = {0};
        const ir_type_t *type = c->op->results[i]->type;
        if (c->out[i] == NULL)
            (void)ref_out(c, i, type->elem, type->ranked && type->rank > 0 ? type->rank : 1, dims);
    }
    drop_region(c->run, block);
    return STATUS_OK;
}
