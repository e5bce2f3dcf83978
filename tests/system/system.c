// SPDX-License-Identifier: Apache-2.0
#include "tests/system/system.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "ir/access.h"
#include "passes/pass.h"
#include "tools/common/pb_tensor.h"

enum { MAX_INPUTS = 64 };

// --- Compiling and loading -----------------------------------------------------------------------

static bool emit(ir_module_t *m, const system_options_t *options, const char *path) {
    const char *profile = options->profile ? options->profile : "host";
    isa_profile_t less = *isa_profile_find(profile);
    pass_options_t po = {.profile = &less, .opt_level = options->opt_level};
    cg_options_t co = {.profile = isa_profile_find(profile), .opt_level = options->opt_level};
    if (options->lm_bytes)
        less.lm_bytes = options->lm_bytes;
    diag_t diag;
    diag_init(&diag);
    bool good = pass_run(&po, m, NULL, &diag) == STATUS_OK &&
                cg_emit(&co, m, CG_EMIT_IMAGE, path, &diag, NULL) == STATUS_OK;
    diag_print(&diag, stdout, m->name, true);
    diag_deinit(&diag);
    return good;
}

static bool report(const accel_error_t *error) {
    printf("  %s\n", error->text);
    return false;
}

static bool open_device(const system_options_t *options, const accel_device_options_t *device,
                        accel_device_t **out_device, accel_error_t *error) {
    rt_client_t client;
    return rt_inproc_open(device, options->card, &client, error) == ACCEL_OK &&
           rt_device_open(&client, out_device, error) == ACCEL_OK;
}

static bool open_module(system_model_t *model, const system_options_t *options) {
    accel_error_t error;
    accel_device_options_t device = {.profile = accel_program_profile(model->program),
                                     .cores = options->cores ? options->cores : 1,
                                     .engine = options->engine};
    accel_module_options_t module = {.node_stats = options->check_dense};
    if (!open_device(options, &device, &model->device, &error))
        return report(&error);
    if (accel_module_load(model->device, model->program, &module, &model->module, &error))
        return report(&error);
    return true;
}

bool system_compile(ir_module_t *m, const system_options_t *options, system_model_t *out_model) {
    *out_model = (system_model_t){.path = "/tmp/accel-system-XXXXXX", .ir = m};
    int fd = mkstemp(out_model->path);
    if (fd < 0) {
        out_model->path[0] = 0;
        return false;
    }
    (void)close(fd);
    accel_error_t error;
    if (!emit(m, options, out_model->path))
        return false;
    if (accel_program_open(out_model->path, &out_model->program, &error))
        return report(&error);
    return open_module(out_model, options);
}

bool system_reopen(system_model_t *model, const system_options_t *options) {
    accel_module_unload(model->module);
    accel_device_close(model->device);
    model->module = NULL;
    model->device = NULL;
    return open_module(model, options);
}

void system_close(system_model_t *model) {
    accel_module_unload(model->module);
    accel_device_close(model->device);
    accel_program_close(model->program);
    if (model->path[0])
        (void)unlink(model->path);
    *model = (system_model_t){0};
}

// --- Running -------------------------------------------------------------------------------------

static uint64_t packed_bytes(dtype_t elem, int64_t n) {
    return ((uint64_t)n * dtype_bits(elem) + 7) / 8;
}

static ref_tensor_t *copy_output(const accel_tensor_t *t) {
    ref_tensor_t *out = ref_tensor_new((dtype_t)t->dtype, t->rank, t->dims);
    uint64_t bytes = packed_bytes(out->elem, out->n);
    if (bytes > 0)
        memcpy(out->data, t->data, bytes < t->bytes ? bytes : t->bytes);
    return out;
}

bool system_run(system_model_t *model, size_t n_inputs, const ref_tensor_t *const *inputs,
                size_t n_outputs, ref_tensor_t **out_outputs) {
    accel_tensor_t in[MAX_INPUTS];
    accel_tensor_t *out = calloc(n_outputs + 1, sizeof *out);
    memset(in, 0, sizeof in);
    for (size_t i = 0; i < n_inputs; i++) {
        in[i].dtype = (accel_dtype_t)inputs[i]->elem;
        in[i].rank = inputs[i]->rank;
        memcpy(in[i].dims, inputs[i]->dims, sizeof in[i].dims);
        in[i].data = inputs[i]->data;
        in[i].bytes = packed_bytes(inputs[i]->elem, inputs[i]->n);
    }
    accel_error_t error;
    bool good = accel_run(model->module, in, (uint32_t)n_inputs, out, (uint32_t)n_outputs,
                          &error) == ACCEL_OK;
    for (size_t i = 0; i < n_outputs; i++)
        out_outputs[i] = good ? copy_output(&out[i]) : NULL;
    free(out);
    return good || report(&error);
}

// What the inputs' dims say about the module's symbols; the others are 0.
static int64_t *symbol_values(const ir_module_t *m, size_t n, const ref_tensor_t *const *inputs) {
    int64_t *values = calloc(m->n_symbols + 1, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        const ir_type_t *type = m->funcs->body->block->args[i]->type;
        for (uint32_t d = 0; d < type->rank; d++)
            if (type->dims[d]->kind == IR_EXPR_SYMBOL)
                values[type->dims[d]->symbol->id] = inputs[i]->dims[d];
    }
    return values;
}

static uint64_t elements_of(ir_module_t *m, const ir_value_t *buffer, const int64_t *values) {
    int64_t n;
    return ir_expr_eval(ir_type_elements(m, buffer->type), values, &n) && n > 0 ? (uint64_t)n : 0;
}

// What a loop over single elements would walk: the outputs' elements, and for products the weights'
// where those are more.
static uint64_t kernel_elements(ir_module_t *m, const ir_op_t *kernel, const int64_t *values) {
    const char *template = ir_get_string(kernel, "template", "");
    bool product = !strcmp(template, "contraction") || !strcmp(template, "chain");
    uint32_t n_inputs = (uint32_t)ir_get_int(kernel, "n_inputs", 0);
    uint64_t outputs = 0, weights = 0;
    for (uint32_t i = 0; i < kernel->n_operands; i++) {
        ir_value_t *buffer = ir_operand(kernel, i);
        const ir_op_t *root = ir_ref_of(m, buffer).root->def;
        if (i >= n_inputs)
            outputs += elements_of(m, buffer, values);
        else if (product && root != NULL && root->code == IR_weights)
            weights += elements_of(m, buffer, values);
    }
    return weights > outputs ? weights : outputs;
}

static bool check_node(system_model_t *model, uint32_t node, uint64_t elements) {
    accel_stats_t s;
    if (accel_module_node_stats(model->module, node, &s) != ACCEL_OK)
        return false;
    uint64_t limit = elements / 100 > 2000 ? elements / 100 : 2000;
    if (s.elements != 0 && s.elements > elements)
        printf("  node %s (%s): the program says %" PRIu64 " elements, its types %" PRIu64 "\n",
               s.node, s.op, s.elements, elements);
    else if (s.hart_instructions <= limit)
        return true;
    else
        printf("  node %s (%s): %" PRIu64 " hart instructions for %" PRIu64 " elements\n", s.node,
               s.op, s.hart_instructions, elements);
    return false;
}

bool system_check_dense(system_model_t *model, size_t n_inputs, const ref_tensor_t *const *inputs) {
    bool good = true;
    uint32_t node = 0;
    int64_t *values = symbol_values(model->ir, n_inputs, inputs);
    // Codegen numbers kernels in the order of the program.
    for (const ir_op_t *op = model->ir->funcs->body->block->first; op; op = op->next)
        if (op->code == IR_kernel)
            good &= check_node(model, node++, kernel_elements(model->ir, op, values));
    free(values);
    return good && node == accel_program_n_nodes(model->program);
}

// --- Comparing -----------------------------------------------------------------------------------

bool system_compare(const char *title, size_t n, ref_tensor_t *const *got,
                    ref_tensor_t *const *want, const char *const *names,
                    const system_options_t *options) {
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        ref_difference_t d = ref_tensor_compare(got[i], want[i], options->rtol, options->atol);
        if (d.n_beyond == 0)
            continue;
        printf("  %s: output %zu (%s): %" PRId64 " of %" PRId64
               " elements differ; worst at %" PRId64 ": got %.9g, want %.9g\n",
               title, i, names && names[i] ? names[i] : "?", d.n_beyond, want[i]->n, d.worst, d.got,
               d.want);
        good = false;
    }
    return good;
}

static bool same_bits(size_t n, ref_tensor_t *const *a, ref_tensor_t *const *b) {
    for (size_t i = 0; i < n; i++)
        if (a[i]->n != b[i]->n ||
            memcmp(a[i]->data, b[i]->data, packed_bytes(a[i]->elem, a[i]->n)) != 0)
            return false;
    return true;
}

static void free_tensors(size_t n, ref_tensor_t *const *tensors) {
    for (size_t i = 0; i < n; i++)
        ref_tensor_free(tensors[i]);
}

bool system_check_cores(const char *title, system_model_t *model, size_t n_inputs,
                        const ref_tensor_t *const *inputs, size_t n_outputs,
                        ref_tensor_t *const *got, const system_options_t *options) {
    static const uint32_t cores[] = {1, 2, 5};
    system_options_t other = *options;
    ref_tensor_t **again = calloc(n_outputs + 1, sizeof *again);
    bool good = true;
    for (size_t c = 0; good && c < COUNT_OF(cores); c++) {
        other.cores = cores[c];
        good =
            system_reopen(model, &other) && system_run(model, n_inputs, inputs, n_outputs, again);
        if (good && !same_bits(n_outputs, again, got)) {
            printf("  %s: other bits on %u cores\n", title, cores[c]);
            good = false;
        }
        free_tensors(n_outputs, again);
        memset(again, 0, n_outputs * sizeof *again);
    }
    free(again);
    return good;
}

static bool evaluate(const ir_module_t *m, size_t n_inputs, const ref_tensor_t *const *inputs,
                     size_t n, ref_tensor_t **out) {
    diag_t diag;
    diag_init(&diag);
    status_t status = ref_eval_run(m, n_inputs, inputs, n, out, NULL, NULL, &diag);
    if (status != STATUS_OK)
        diag_print(&diag, stdout, "evaluator", true);
    diag_deinit(&diag);
    return status == STATUS_OK;
}

static bool run_and_compare(const char *title, const ir_module_t *m, ir_module_t *to_compile,
                            size_t n_inputs, const ref_tensor_t *const *inputs,
                            const system_options_t *options) {
    size_t n = m->funcs->body->block->last->n_operands;
    ref_tensor_t **got = calloc(n + 1, sizeof *got), **want = calloc(n + 1, sizeof *want);
    system_model_t model;
    bool good =
        evaluate(m, n_inputs, inputs, n, want) && system_compile(to_compile, options, &model);
    if (good) {
        good = system_run(&model, n_inputs, inputs, n, got) &&
               system_compare(title, n, got, want, m->funcs->result_names, options) &&
               (!options->check_dense || system_check_dense(&model, n_inputs, inputs)) &&
               (!options->check_cores ||
                system_check_cores(title, &model, n_inputs, inputs, n, got, options));
        system_close(&model);
    }
    free_tensors(n, got);
    free_tensors(n, want);
    free(got);
    free(want);
    return good;
}

bool system_check(const char *title, const ir_module_t *m, size_t n_inputs,
                  const ref_tensor_t *const *inputs, const system_options_t *options) {
    ir_module_t *copy = ir_module_clone(m);
    bool good = run_and_compare(title, m, copy, n_inputs, inputs, options);
    ir_module_destroy(copy);
    return good;
}

bool system_check_nodes(const char *title, const ir_module_t *m, size_t n_inputs,
                        const ref_tensor_t *const *inputs, const system_options_t *options) {
    ir_module_t *exposed = system_expose(m), *copy = ir_module_clone(exposed);
    bool good = run_and_compare(title, exposed, copy, n_inputs, inputs, options);
    ir_module_destroy(copy);
    ir_module_destroy(exposed);
    return good;
}

// --- Tensors -------------------------------------------------------------------------------------

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

ref_tensor_t *system_random_tensor(dtype_t elem, uint32_t rank, const int64_t *dims,
                                   uint64_t *seed) {
    ref_tensor_t *t = ref_tensor_new(elem, rank, dims);
    for (int64_t i = 0; i < t->n; i++) {
        uint64_t r = next_random(seed) >> 40;
        if (elem == DTYPE_F32)
            ((float *)t->data)[i] = (float)r / (float)(1 << 23) - 1;
        else if (elem == DTYPE_I64)
            ((int64_t *)t->data)[i] = (int64_t)(r & 3);
        else if (elem == DTYPE_I32)
            ((int32_t *)t->data)[i] = (int32_t)(r & 3);
    }
    return t;
}

ref_tensor_t *system_read_pb(const char *path) {
    arena_t arena;
    diag_t diag;
    tool_tensor_t file;
    arena_init(&arena);
    diag_init(&diag);
    if (tool_pb_tensor_read(path, &arena, &diag, &file) != STATUS_OK) {
        diag_print(&diag, stdout, "test", true);
        exit(1);
    }
    ref_tensor_t *t = ref_tensor_new(file.dtype, (uint32_t)file.rank, file.dims);
    memcpy(t->data, file.data, file.data_bytes);
    arena_deinit(&arena);
    diag_deinit(&diag);
    return t;
}
