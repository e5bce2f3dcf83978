// SPDX-License-Identifier: Apache-2.0
// The trained models: stored outputs, dense work on the engines, the same bits on 1, 2 and 5 cores.
#include <stdlib.h>
#include <string.h>

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

static bool same_bits(size_t n, ref_tensor_t *const *a, ref_tensor_t *const *b) {
    for (size_t i = 0; i < n; i++)
        if (a[i]->n != b[i]->n ||
            memcmp(a[i]->data, b[i]->data, (size_t)a[i]->n * dtype_bytes(a[i]->elem)))
            return false;
    return true;
}

// Runs on 1, 2 and 5 cores; compares with the files and the runs with each other.
static bool run_on_cores(system_model_t *model, const char *name, const files_t *f,
                         system_options_t *options) {
    static const uint32_t cores[] = {1, 2, 5};
    ref_tensor_t *got[COUNT_OF(cores)][MAX_IO] = {{NULL}};
    bool good = true;
    for (size_t c = 0; good && c < COUNT_OF(cores); c++) {
        options->cores = cores[c];
        good = system_reopen(model, options) &&
               system_run(model, f->n_inputs, (const ref_tensor_t *const *)f->inputs, f->n_outputs,
                          got[c]) &&
               system_compare(name, f->n_outputs, got[c], f->outputs, NULL, options) &&
               (c > 0 || system_check_dense(model));
        if (good && !same_bits(f->n_outputs, got[c], got[0])) {
            printf("  %s: other bits on %u cores than on 1\n", name, cores[c]);
            good = false;
        }
    }
    for (size_t c = 0; c < COUNT_OF(cores); c++)
        for (size_t i = 0; i < f->n_outputs; i++)
            ref_tensor_free(got[c][i]);
    return good;
}

static bool check_model(const char *name, const char *path, const char *folder,
                        system_options_t *options) {
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
        good = system_compile(m, options, &model) && run_on_cores(&model, name, &f, options);
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
