// SPDX-License-Identifier: Apache-2.0
// Every model of the ONNX backend data: those whose operators are supported go through the graph
// passes with a round trip through text after each; the rest is refused as unsupported, never as
// malformed. The light networks and the real models of the spine must all pass.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "passes/pass.h"
#include "tests/common/test_data.h"

typedef struct totals {
    size_t passed, unsupported, failed;
} totals_t;

static status_t compile(const char *path, diag_t *diag) {
    ir_module_t *m;
    onnx_files_t *files;
    pass_options_t options = {.stop_after = "fold_again", .opt_level = 2, .check_round_trip = true};
    status_t status = onnx_import(path, NULL, diag, &m, &files);
    if (status == STATUS_OK)
        status = ir_verify(m, diag);
    if (status == STATUS_OK)
        status = pass_run(&options, m, NULL, diag);
    ir_module_destroy(m);
    onnx_files_destroy(files);
    return status;
}

static void test_model(const char *path, bool must, totals_t *t) {
    diag_t diag;
    diag_init(&diag);
    status_t status = compile(path, &diag);
    if (status == STATUS_OK) {
        t->passed++;
    } else if (status == STATUS_UNSUPPORTED && !must) {
        t->unsupported++;
    } else {
        t->failed++;
        printf("%s: %s\n", path, status_text(status));
        diag_print(&diag, stdout, "models_test", true);
    }
    diag_deinit(&diag);
}

static void test_folder(const char *folder, bool must, size_t least, totals_t *all) {
    char path[4096];
    totals_t t = {0};
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        int n = snprintf(path, sizeof path, "%s/%s/model.onnx", folder, entry->d_name);
        if (n > 0 && (size_t)n < sizeof path)
            test_model(path, must, &t);
    }
    if (dir != NULL)
        (void)closedir(dir);
    printf("%s: %zu passed, %zu not supported, %zu failed\n", folder, t.passed, t.unsupported,
           t.failed);
    if (t.passed < least) {
        printf("%s: at least %zu must pass\n", folder, least);
        t.failed++;
    }
    all->failed += t.failed;
}

static void test_spine(totals_t *t) {
    static const char *const names[] = {"super_resolution_10", "squeezenet_fp16", "yolox_nano",
                                        "magika_v3_3", "stories260k_kv"};
    char relative[100], path[4096];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(relative, sizeof relative, "models/%s/model.onnx", names[i]);
        if (test_data_find(relative, path, sizeof path))
            test_model(path, true, t);
    }
}

int main(void) {
    // How many pass today: a fall is a regression.
    static const struct {
        const char *name;
        bool must;
        size_t least;
    } folders[] = {{"light", true, 9},
                   {"simple", false, 3},
                   {"pytorch-converted", false, 75},
                   {"pytorch-operator", false, 30},
                   {"node", false, 780}};
    const char *data = test_onnx_data();
    char path[4096];
    totals_t t = {0};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", data, folders[i].name);
        test_folder(path, folders[i].must, folders[i].least, &t);
    }
    test_spine(&t);
    return t.failed == 0 ? 0 : 1;
}
