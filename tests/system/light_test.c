// SPDX-License-Identifier: Apache-2.0
// The nine light networks of the ONNX backend data: stored outputs within the official tolerance
// (weights are constant there, so that this shows only that the graphs compile), then the same
// graphs with seeded random weights against the reference evaluator, at every ONNX node. Usage:
// light_test [network ...]
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "tests/common/test_data.h"
#include "tests/system/system.h"

static const char *const networks[] = {
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50",
    "shufflenet",   "squeezenet",  "vgg19",        "zfnet512",
};

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Weights: scaled so that activations keep their size; vectors (biases, scales, variances): 0.5 to
// 1.5, which is right for variances.
static void random_weights(float *w, const ir_type_t *type, int64_t n, uint64_t *seed) {
    int64_t fan_in = n / (type->dims[0]->value ? type->dims[0]->value : 1);
    float scale = type->rank > 1 ? sqrtf(6.0f / (float)fan_in) : 0.5f;
    float middle = type->rank > 1 ? 0.0f : 1.0f;
    for (int64_t i = 0; i < n; i++) {
        float r = (float)(next_random(seed) >> 40) / (float)(1 << 23) - 1;
        w[i] = middle + scale * r;
    }
}

static int64_t element_count(const ir_type_t *type) {
    int64_t n = 1;
    for (uint32_t d = 0; d < type->rank; d++)
        n *= type->dims[d]->value;
    return n;
}

// Replaces what the files fill with one value by random weights.
static void randomise(ir_module_t *m, uint64_t seed) {
    ir_block_t *block = m->funcs->body->block;
    for (ir_op_t *op = block->first, *next; op; op = next) {
        next = op->next;
        if (op->code != IR_fill || ir_result(op)->type->elem != DTYPE_F32)
            continue;
        const ir_attr_t *shape = NULL;
        const ir_value_t *dims = ir_operand(op, 0);
        const ir_type_t *type = ir_result(op)->type;
        if (!type->ranked ||
            !ir_type_is_static(type)) { // not inferred yet: the shape is a constant
            if (!dims || !dims->def || dims->def->code != IR_const)
                continue;
            shape = ir_get(dims->def, "blob");
            uint32_t rank = (uint32_t)(shape->blob->bytes / 8);
            int64_t values[IR_MAX_RANK];
            ir_blob_read(shape->blob, 0, shape->blob->bytes, values);
            type = ir_type_const_tensor(m, DTYPE_F32, rank, values);
        }
        int64_t n = element_count(type);
        float *w = arena_must_alloc(&m->arena, (size_t)n * sizeof *w);
        random_weights(w, type, n, &seed);
        ir_builder_t b;
        ir_builder_before(&b, m, op);
        const ir_blob_t *blob = ir_blob_new(m, DTYPE_F32, w, (uint64_t)n * sizeof *w);
        ir_replace_uses(ir_result(op), ir_build_const(&b, blob, type));
        ir_erase(op);
    }
}

static bool check_stored(const char *name, ir_module_t *m, const char *folder) {
    char path[4400];
    system_options_t options = {.opt_level = 2, .rtol = 1e-3, .atol = 1e-7, .check_dense = true};
    snprintf(path, sizeof path, "%s/test_data_set_0/input_0.pb", folder);
    ref_tensor_t *input = system_read_pb(path), *got = NULL;
    snprintf(path, sizeof path, "%s/test_data_set_0/output_0.pb", folder);
    ref_tensor_t *want = system_read_pb(path);
    const ref_tensor_t *const inputs[] = {input};
    ir_module_t *copy = ir_module_clone(m);
    system_model_t model;
    bool good = system_compile(copy, &options, &model) && system_run(&model, 1, inputs, 1, &got) &&
                system_compare(name, 1, &got, &want, NULL, &options) &&
                system_check_dense(&model, 1, inputs);
    system_close(&model);
    ir_module_destroy(copy);
    ref_tensor_free(got);
    ref_tensor_free(want);
    ref_tensor_free(input);
    return good;
}

// The two quickest also as compiled for use, on 1, 2 and 5 cores.
static bool is_quick(const char *name) {
    return !strcmp(name, "squeezenet") || !strcmp(name, "shufflenet");
}

static bool check_random(const char *name, ir_module_t *m) {
    uint64_t seed = 0x243f6a8885a308d3u;
    randomise(m, seed);
    const ir_type_t *type = m->funcs->body->block->args[0]->type;
    int64_t dims[IR_MAX_RANK];
    for (uint32_t d = 0; d < type->rank; d++)
        dims[d] = type->dims[d]->value;
    ref_tensor_t *input = system_random_tensor(DTYPE_F32, type->rank, dims, &seed);
    // Deep networks: errors add up over a hundred layers of random weights.
    system_options_t options = {.opt_level = 2, .rtol = 1e-3, .atol = 1e-3, .cores = 2};
    const ref_tensor_t *const inputs[] = {input};
    bool good = system_check_nodes(name, m, 1, inputs, &options);
    options.check_cores = true;
    good &= !is_quick(name) || system_check(name, m, 1, inputs, &options);
    ref_tensor_free(input);
    return good;
}

static bool check_network(const char *name) {
    char folder[4096], path[4400];
    const char *data = test_onnx_data();
    snprintf(folder, sizeof folder, "%s/light/test_%s", data, name);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    diag_t diag;
    diag_init(&diag);
    ir_module_t *m = NULL;
    onnx_files_t *mapped = NULL;
    bool good = onnx_import(path, NULL, &diag, &m, &mapped) == STATUS_OK;
    diag_print(&diag, stdout, name, true);
    if (good) {
        good = check_stored(name, m, folder);
        good &= check_random(name, m);
        ir_module_destroy(m);
        onnx_files_destroy(mapped);
    }
    diag_deinit(&diag);
    printf("%s %s\n", good ? "ok    " : "FAILED", name);
    (void)fflush(stdout);
    return good;
}

int main(int argc, char **argv) {
    int failures = 0;
    if (argc > 1)
        for (int i = 1; i < argc; i++)
            failures += !check_network(argv[i]);
    else
        for (size_t i = 0; i < COUNT_OF(networks); i++)
            failures += !check_network(networks[i]);
    return failures != 0;
}
