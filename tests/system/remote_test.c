// SPDX-License-Identifier: Apache-2.0
// Whole models with the card in another process: the runtime, rm and hw reach it by config space,
// BARs, DMA and interrupts alone. Stored outputs on 1 and 2 cores, and the bits of a card in this
// process.
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "tests/card/remote.h"
#include "tests/common/test_data.h"
#include "tests/system/system.h"

// One input, one output.
typedef struct set {
    ref_tensor_t *input, *output;
} set_t;

static set_t read_set(const char *folder) {
    char path[4400];
    set_t set;
    snprintf(path, sizeof path, "%s/test_data_set_0/input_0.pb", folder);
    set.input = system_read_pb(path);
    snprintf(path, sizeof path, "%s/test_data_set_0/output_0.pb", folder);
    set.output = system_read_pb(path);
    return set;
}

static ref_tensor_t *run(system_model_t *model, const system_options_t *options, const set_t *set) {
    ref_tensor_t *got = NULL;
    if (system_reopen(model, options))
        (void)system_run(model, 1, (const ref_tensor_t *const[]){set->input}, 1, &got);
    return got;
}

static bool same_bits(const char *name, const ref_tensor_t *a, const ref_tensor_t *b) {
    if (a->n == b->n && memcmp(a->data, b->data, (size_t)a->n * dtype_bytes(a->elem)) == 0)
        return true;
    printf("  %s: other bits than from a card in this process\n", name);
    return false;
}

static bool run_remote(const char *name, system_model_t *model, system_options_t *options,
                       const set_t *set) {
    options->card = NULL;
    ref_tensor_t *here = run(model, options, set);
    bool good = here != NULL;
    for (uint32_t cores = 1; good && cores <= 2; cores++) {
        options->card = remote_function_create;
        options->cores = cores;
        ref_tensor_t *far = run(model, options, set);
        good = far != NULL && system_compare(name, 1, &far, &set->output, NULL, options) &&
               same_bits(name, far, here);
        ref_tensor_free(far);
    }
    ref_tensor_free(here);
    return good;
}

static bool check_model(const char *name, const char *folder) {
    char path[4400];
    ir_module_t *m = NULL;
    onnx_files_t *mapped = NULL;
    diag_t diag;
    diag_init(&diag);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    bool good = onnx_import(path, NULL, &diag, &m, &mapped) == STATUS_OK;
    diag_print(&diag, stdout, name, true);
    diag_deinit(&diag);
    if (good) {
        system_model_t model;
        system_options_t options = {.opt_level = 2, .rtol = 1e-2, .atol = 1e-3};
        set_t set = read_set(folder);
        good = system_compile(m, &options, &model) && run_remote(name, &model, &options, &set);
        system_close(&model);
        ref_tensor_free(set.input);
        ref_tensor_free(set.output);
        ir_module_destroy(m);
        onnx_files_destroy(mapped);
    }
    printf("%s %s\n", good ? "ok    " : "FAILED", name);
    return good;
}

int main(void) {
    static const char *const samples[] = {"digits", "encoder"};
    char relative[64], path[4096];
    int failures = 0;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        snprintf(relative, sizeof relative, "samples/%s", samples[i]);
        test_source_path(relative, path, sizeof path);
        failures += !check_model(samples[i], path);
    }
    if (test_data_find("models/squeezenet_fp16", path, sizeof path))
        failures += !check_model("squeezenet_fp16", path);
    return failures != 0;
}
