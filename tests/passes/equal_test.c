// SPDX-License-Identifier: Apache-2.0
// equal_test FOLDER...: the graph passes keep what a model computes. The reference evaluator runs
// random graphs, and every ONNX case of the folders (of $ACCEL_ONNX_DATA; or absolute) that the
// importer and the evaluator know, before the passes and after them.
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "passes/pass.h"
#include "tests/common/test_data.h"
#include "tests/ref/random_graph.h"
#include "tests/ref/ref_eval.h"
#include "tools/common/pb_tensor.h"

enum { MAX_IO = 64, RANDOM_GRAPHS = 300 };

typedef struct counts {
    size_t same, left_out, failed;
} counts_t;

static ref_tensor_t *read_input(const char *folder, size_t i, diag_t *diag) {
    arena_t arena;
    tool_tensor_t file;
    char path[1600];
    ref_tensor_t *t = NULL;
    (void)snprintf(path, sizeof path, "%s/test_data_set_0/input_%zu.pb", folder, i);
    arena_init(&arena);
    if (tool_pb_tensor_read(path, &arena, diag, &file) == STATUS_OK && dtype_bits(file.dtype) > 0 &&
        file.rank <= IR_MAX_RANK) {
        t = ref_tensor_new(file.dtype, (uint32_t)file.rank, file.dims);
        memcpy(t->data, file.data, file.data_bytes);
    }
    arena_deinit(&arena);
    return t;
}

static bool outputs_match(const char *name, size_t n, ref_tensor_t *const *before,
                          ref_tensor_t *const *after) {
    for (size_t i = 0; i < n; i++) {
        double peak = 0; // errors count against the largest value too: sums in another order
        bool half = dtype_is_float(before[i]->elem) && dtype_bits(before[i]->elem) < 32;
        if (before[i]->elem == DTYPE_F32)
            for (int64_t e = 0; e < before[i]->n; e++) {
                double v = fabs((double)((const float *)before[i]->data)[e]);
                peak = v > peak && isfinite(v) ? v : peak;
            }
        ref_difference_t d = ref_tensor_compare(after[i], before[i], half ? 1e-2 : 1e-4,
                                                half ? 1e-3 : 1e-6 + 1e-5 * peak);
        if (d.n_beyond == 0)
            continue;
        printf("FAILED %s: output %zu: %lld of %lld differ, element %lld is %g, was %g\n", name, i,
               (long long)d.n_beyond, (long long)before[i]->n, (long long)d.worst, d.got, d.want);
        return false;
    }
    return true;
}

typedef struct run {
    size_t n_in, n_out;
    ref_tensor_t *in[MAX_IO], *before[MAX_IO], *after[MAX_IO];
} run_t;

// Runs m, the passes on it, and m again.
static void compare_module(const char *name, ir_module_t *m, run_t *r, counts_t *c) {
    pass_options_t options = {.stop_after = "fold_again", .opt_level = 2};
    diag_t diag;
    diag_init(&diag);
    const ref_tensor_t *const *in = (const ref_tensor_t *const *)r->in;
    r->n_out = m->funcs->body->block->last->n_operands;
    status_t status = r->n_out > MAX_IO
                          ? STATUS_UNSUPPORTED
                          : ref_eval_run(m, r->n_in, in, r->n_out, r->before, NULL, NULL, &diag);
    if (status == STATUS_OK)
        status = pass_run(&options, m, NULL, &diag);
    if (status != STATUS_OK) { // models_test and the evaluator's own test judge these
        c->left_out++;
        diag_deinit(&diag);
        return;
    }
    status = ref_eval_run(m, r->n_in, in, r->n_out, r->after, NULL, NULL, &diag);
    if (status != STATUS_OK) {
        printf("FAILED %s: after the passes: %s\n", name, status_text(status));
        diag_print(&diag, stdout, "reference", false);
        c->failed++;
    } else if (outputs_match(name, r->n_out, r->before, r->after)) {
        c->same++;
    } else {
        c->failed++;
    }
    diag_deinit(&diag);
}

static void free_run(run_t *r) {
    for (size_t i = 0; i < MAX_IO; i++) {
        ref_tensor_free(r->in[i]);
        ref_tensor_free(r->before[i]);
        ref_tensor_free(r->after[i]);
    }
}

static bool read_inputs(const char *folder, const ir_module_t *m, run_t *r, diag_t *diag) {
    r->n_in = m->funcs->body->block->n_args;
    if (r->n_in > MAX_IO)
        return false;
    for (size_t i = 0; i < r->n_in; i++)
        if ((r->in[i] = read_input(folder, i, diag)) == NULL)
            return false;
    return true;
}

static void test_case(const char *name, const char *folder, counts_t *c) {
    char path[1600];
    ir_module_t *m;
    onnx_files_t *files;
    diag_t diag;
    run_t r = {.n_in = 0};
    (void)snprintf(path, sizeof path, "%s/model.onnx", folder);
    diag_init(&diag);
    if (onnx_import(path, NULL, &diag, &m, &files) == STATUS_OK) {
        if (read_inputs(folder, m, &r, &diag))
            compare_module(name, m, &r, c);
        else
            c->left_out++;
        ir_module_destroy(m);
        onnx_files_destroy(files);
    } else {
        c->left_out++;
    }
    free_run(&r);
    diag_deinit(&diag);
}

static void test_folder(const char *folder, counts_t *c) {
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[1400];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            test_case(entries[i]->d_name, path, c);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static void test_random(counts_t *c) {
    for (uint64_t seed = 0; seed < RANDOM_GRAPHS; seed++) {
        char name[40];
        random_graph_t g;
        run_t r = {.n_in = 0};
        (void)snprintf(name, sizeof name, "random graph %llu", (unsigned long long)seed);
        random_graph_make(seed, &g);
        r.n_in = g.n_inputs;
        memcpy(r.in, g.inputs, g.n_inputs * sizeof r.in[0]);
        size_t left_out = c->left_out;
        compare_module(name, g.m, &r, c);
        if (c->left_out != left_out) { // nothing in them may be unknown
            printf("FAILED %s: refused\n", name);
            c->failed++;
        }
        memset(r.in, 0, sizeof r.in); // the graph's
        free_run(&r);
        random_graph_free(&g);
    }
}

int main(int argc, char **argv) {
    counts_t c = {0};
    test_random(&c);
    if (c.failed > 0 || argc == 1) {
        printf("%zu random graphs the same, %zu failed\n", c.same, c.failed);
        return c.failed != 0;
    }
    const char *data = argv[1][0] == '/' ? NULL : test_onnx_data();
    size_t random = c.same;
    for (int i = 1; i < argc; i++) {
        char folder[1000];
        (void)snprintf(folder, sizeof folder, "%s/%s", data != NULL ? data : ".", argv[i]);
        test_folder(argv[i][0] == '/' ? argv[i] : folder, &c);
    }
    printf("%zu random graphs, %zu cases the same, %zu left out, %zu failed\n", random,
           c.same - random, c.left_out, c.failed);
    bool enough = data == NULL || c.same - random > 800;
    return c.failed == 0 && enough ? 0 : 1;
}
