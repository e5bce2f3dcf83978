// SPDX-License-Identifier: Apache-2.0
// The reference evaluator, and the reader in front of it, on the official ONNX cases: every case
// whose model imports and whose ops the evaluator knows must match the stored outputs.
// Arguments: folders of cases; "--least N": so many must match; "-v": say what is left out, and
// why.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "tests/common/test_data.h"
#include "tests/ref/ref_eval.h"
#include "tools/common/pb_tensor.h"

enum { MAX_IO = 64 };

// Cases that differ for a reason that is known: part of the name, why.
static const struct {
    const char *part, *why;
} known[] = {
    {"FLOAT16_to_FLOAT8E4M3FNUZ", "infinity becomes NaN, the case wants the greatest value"},
    {"FLOAT16_to_FLOAT8E5M2FNUZ", "infinity becomes NaN, the case wants the greatest value"},
    {"FLOAT_to_FLOAT8E4M3FNUZ", "infinity becomes NaN, the case wants the greatest value"},
    {"FLOAT_to_FLOAT8E5M2FNUZ", "infinity becomes NaN, the case wants the greatest value"},
    {"FLOAT16_to_FLOAT4E2M1", "NaN, which the type lacks, becomes its greatest value, not -0"},
    {"FLOAT_to_FLOAT4E2M1", "NaN, which the type lacks, becomes its greatest value, not -0"},
    {"test_PReLU_1d_multiparam", "a slope a channel, as opset 6 has it"},
    {"test_PReLU_2d_multiparam", "a slope a channel, as opset 6 has it"},
    {"test_PReLU_3d_multiparam", "a slope a channel, as opset 6 has it"},
};

static const char *known_reason(const char *name) {
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strstr(name, known[i].part) != NULL)
            return known[i].why;
    return NULL;
}

typedef enum result { MATCHED, FAILED, LEFT_OUT } result_t;

// NULL when there is no such file or it holds no numbers.
static ref_tensor_t *read_pb(const char *folder, const char *what, size_t i, diag_t *diag) {
    arena_t arena;
    tool_tensor_t file;
    char path[1600];
    ref_tensor_t *t = NULL;
    (void)snprintf(path, sizeof path, "%s/test_data_set_0/%s_%zu.pb", folder, what, i);
    arena_init(&arena);
    if (tool_pb_tensor_read(path, &arena, diag, &file) == STATUS_OK && dtype_bits(file.dtype) > 0 &&
        file.rank <= IR_MAX_RANK) {
        t = ref_tensor_new(file.dtype, (uint32_t)file.rank, file.dims);
        memcpy(t->data, file.data, file.data_bytes);
    }
    arena_deinit(&arena);
    return t;
}

static bool compare(const char *name, size_t i, const ref_tensor_t *got, const ref_tensor_t *want) {
    // The official tolerance; types of fewer bits may differ in their last one.
    bool half = dtype_bits(want->elem) < 32 && dtype_is_float(want->elem);
    bool tiny = dtype_bits(want->elem) <= 8 && dtype_is_float(want->elem);
    ref_difference_t d = ref_tensor_compare(got, want,
                                            tiny   ? 0.13
                                            : half ? 1e-2
                                                   : 1e-3,
                                            half ? 1e-3 : 1e-7);
    if (d.n_beyond == 0)
        return true;
    printf("FAILED %s: output %zu, %s rank %u for %s rank %u: %lld of %lld differ, element %lld is "
           "%g, not %g\n",
           name, i, dtype_text(got->elem), got->rank, dtype_text(want->elem), want->rank,
           (long long)d.n_beyond, (long long)want->n, (long long)d.worst, d.got, d.want);
    return false;
}

typedef struct tensors {
    size_t n_in, n_out;
    ref_tensor_t *in[MAX_IO], *got[MAX_IO], *want[MAX_IO];
} tensors_t;

static bool read_all(const char *folder, const ir_module_t *m, tensors_t *t, diag_t *diag) {
    const ir_block_t *block = m->funcs->body->block;
    t->n_in = block->n_args;
    t->n_out = block->last->n_operands;
    if (t->n_in > MAX_IO || t->n_out > MAX_IO)
        return false;
    for (size_t i = 0; i < t->n_in; i++)
        if ((t->in[i] = read_pb(folder, "input", i, diag)) == NULL)
            return false;
    for (size_t i = 0; i < t->n_out; i++)
        if ((t->want[i] = read_pb(folder, "output", i, diag)) == NULL)
            return false;
    return true;
}

static void free_all(tensors_t *t) {
    for (size_t i = 0; i < MAX_IO; i++) {
        ref_tensor_free(t->in[i]);
        ref_tensor_free(t->got[i]);
        ref_tensor_free(t->want[i]);
    }
}

static result_t run_module(const char *name, const char *folder, const ir_module_t *m,
                           diag_t *diag) {
    tensors_t t = {.n_in = 0};
    result_t result = LEFT_OUT;
    if (read_all(folder, m, &t, diag)) {
        status_t status = ref_eval_run(m, t.n_in, (const ref_tensor_t *const *)t.in, t.n_out, t.got,
                                       NULL, NULL, diag);
        result = status == STATUS_OK ? MATCHED : status == STATUS_UNSUPPORTED ? LEFT_OUT : FAILED;
        if (result == FAILED) {
            printf("FAILED %s\n", name);
            diag_print(diag, stdout, "reference", false);
        }
        for (size_t i = 0; result == MATCHED && i < t.n_out; i++)
            if (!compare(name, i, t.got[i], t.want[i]))
                result = FAILED;
    }
    free_all(&t);
    return result;
}

static result_t run_case(const char *name, const char *folder, bool verbose) {
    char path[1600];
    diag_t diag;
    ir_module_t *m;
    onnx_files_t *files;
    result_t result = LEFT_OUT;
    if (known_reason(name) != NULL) {
        if (verbose)
            printf("left out: %s: %s\n", name, known_reason(name));
        return LEFT_OUT;
    }
    (void)snprintf(path, sizeof path, "%s/model.onnx", folder);
    diag_init(&diag);
    if (onnx_import(path, NULL, &diag, &m, &files) == STATUS_OK) {
        result = run_module(name, folder, m, &diag);
        ir_module_destroy(m);
        onnx_files_destroy(files);
    }
    if (verbose && result == LEFT_OUT)
        printf("left out: %s: %s\n", name, diag.first != NULL ? diag.first->message : "its types");
    diag_deinit(&diag);
    return result;
}

static bool run_folder(const char *folder, bool verbose, int counts[3]) {
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    if (n < 0)
        return false;
    for (int i = 0; i < n; i++) {
        char path[1400];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (strncmp(entries[i]->d_name, "test_", 5) == 0)
            counts[run_case(entries[i]->d_name, path, verbose)]++;
        free(entries[i]);
    }
    free(entries);
    return true;
}

int main(int argc, char **argv) {
    const char *data = test_onnx_data();
    int counts[3] = {0}, least = 0;
    bool verbose = false;
    for (int i = 1; i < argc; i++) {
        char folder[1000];
        if (strcmp(argv[i], "-v") == 0) {
            verbose = true;
        } else if (strcmp(argv[i], "--least") == 0 && i + 1 < argc) {
            least = atoi(argv[++i]);
        } else {
            (void)snprintf(folder, sizeof folder, "%s/%s", data, argv[i]);
            if (!run_folder(folder, verbose, counts)) {
                printf("no folder %s\n", folder);
                return 1;
            }
        }
    }
    printf("%d matched, %d failed, %d left out\n", counts[MATCHED], counts[FAILED],
           counts[LEFT_OUT]);
    return counts[FAILED] == 0 && counts[MATCHED] >= least ? 0 : 1;
}
