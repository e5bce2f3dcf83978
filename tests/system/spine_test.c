// SPDX-License-Identifier: Apache-2.0
// The trained models: stored outputs, dense work on the engines, the same bits on 1, 2 and 5 cores.
#include <stdlib.h>

#include "frontend/onnx/onnx.h"
#include "tests/common/test_data.h"
#include "tests/system/system.h"

static const struct {
    const char *name;
    double rtol, atol;
} models[] = {
    {"super_resolution_10", 1e-3, 1e-4}, {"squeezenet_fp16", 1e-2, 1e-3},
    {"yolox_nano", 1e-3, 1e-4},          {"magika_v3_3", 1e-3, 1e-4},
    {"stories260k_kv", 1e-3, 1e-4},
};

enum { MAX_IO = 64 };

typedef struct files {
    size_t n_inputs, n_outputs;
    ref_tensor_t *inputs[MAX_IO], *outputs[MAX_IO];
} files_t;

static void read_files(const char *folder, size_t n_inputs, size_t n_outputs, files_t *f) {
    char path[4400];
    f->n_inputs = n_inputs;
    f->n_outputs = n_outputs;
    for (size_t i = 0; i < n_inputs; i++) {
        snprintf(path, sizeof path, "%s/input_%zu.pb", folder, i);
        f->inputs[i] = system_read_pb(path);
    }
    for (size_t i = 0; i < n_outputs; i++) {
        snprintf(path, sizeof path, "%s/output_%zu.pb", folder, i);
        f->outputs[i] = system_read_pb(path);
    }
}

static void free_files(files_t *f) {
    for (size_t i = 0; i < f->n_inputs; i++)
        ref_tensor_free(f->inputs[i]);
    for (size_t i = 0; i < f->n_outputs; i++)
        ref_tensor_free(f->outputs[i]);
}

static bool run(system_model_t *model, const char *name, const files_t *f,
                const system_options_t *options) {
    const ref_tensor_t *const *inputs = (const ref_tensor_t *const *)f->inputs;
    ref_tensor_t *got[MAX_IO] = {NULL};
    bool good = system_run(model, f->n_inputs, inputs, f->n_outputs, got) &&
                system_compare(name, f->n_outputs, got, f->outputs, NULL, options) &&
                system_check_dense(model, f->n_inputs, inputs) &&
                system_check_cores(name, model, f->n_inputs, inputs, f->n_outputs, got, options);
    for (size_t i = 0; i < f->n_outputs; i++)
        ref_tensor_free(got[i]);
    return good;
}

static bool check_model(const char *name, const char *path, const char *folder,
                        const system_options_t *options) {
    diag_t diag;
    diag_init(&diag);
    ir_module_t *m = NULL;
    onnx_files_t *mapped = NULL;
    system_model_t model = {0};
    bool good = onnx_import(path, NULL, &diag, &m, &mapped) == STATUS_OK;
    diag_print(&diag, stdout, name, true);
    if (good) {
        files_t f;
        const ir_block_t *block = m->funcs->body->block;
        read_files(folder, block->n_args, block->last->n_operands, &f);
        good = system_compile(m, options, &model) && run(&model, name, &f, options);
        system_close(&model);
        free_files(&f);
        ir_module_destroy(m);
        onnx_files_destroy(mapped);
    }
    diag_deinit(&diag);
    return good;
}

int main(void) {
    int failures = 0;
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        char relative[256], path[4096], folder[4096];
        snprintf(relative, sizeof relative, "models/%s/model.onnx", models[i].name);
        test_data_need(relative, path, sizeof path);
        snprintf(relative, sizeof relative, "models/%s/test_data_set_0", models[i].name);
        test_data_need(relative, folder, sizeof folder);
        system_options_t options = {
            .opt_level = 2, .rtol = models[i].rtol, .atol = models[i].atol, .check_dense = true};
        bool good = check_model(models[i].name, path, folder, &options);
        printf("%s %s\n", good ? "ok    " : "FAILED", models[i].name);
        failures += !good;
    }
    return failures != 0;
}
