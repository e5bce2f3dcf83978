// SPDX-License-Identifier: Apache-2.0
// Programs made of hand-written tile IR, run on the simulated card: the same bits on any number of
// cores, with and without the timing mode.
#include <math.h>

#include "isa/image.h"
#include "passes/pass.h"
#include "tests/codegen/codegen_test.h"
#include "tests/codegen/run.h"

typedef struct model {
    diag_t diag;
    ir_module_t *m;
    file_map_t file;
    isa_image_t image;
} model_t;

// Contents of the blobs, in order: small numbers that do not repeat soon.
static float pattern(size_t i) { return (float)((int)(i * 7 % 61) - 30) / 16; }

static ir_module_t *read_with_blobs(const char *name, size_t n_floats, diag_t *diag) {
    char path[512];
    file_map_t file;
    FILE *sidecar = tmpfile();
    ir_module_t *m = NULL;
    assert_non_null(sidecar);
    for (size_t i = 0; i < n_floats; i++) {
        float value = pattern(i);
        assert_int_equal(fwrite(&value, sizeof value, 1, sidecar), 1);
    }
    rewind(sidecar);
    snprintf(path, sizeof path, "%s/%s", CODEGEN_TEST_DIR, name);
    assert_int_equal(file_map_open(path, &file), STATUS_OK);
    status_t status = ir_parse((const char *)file.data, file.bytes, name, sidecar, diag, &m);
    diag_print(diag, stderr, "test", true);
    assert_int_equal(status, STATUS_OK);
    file_map_close(&file);
    fclose(sidecar);
    return m;
}

static void build(model_t *model, const char *name, size_t n_floats, const char *first_pass) {
    static int count = 0;
    char path[64];
    diag_init(&model->diag);
    model->m = read_with_blobs(name, n_floats, &model->diag);
    const isa_profile_t *profile = isa_profile_find("edge");
    if (first_pass) {
        pass_options_t passes = {.profile = profile, .opt_level = 2};
        status_t status = pass_run(&passes, model->m, first_pass, &model->diag);
        diag_print(&model->diag, stderr, "test", true);
        assert_int_equal(status, STATUS_OK);
    }
    snprintf(path, sizeof path, "run_test.%d.bin", count++);
    cg_options_t options = {.profile = profile, .opt_level = 2};
    status_t status = cg_emit(&options, model->m, CG_EMIT_IMAGE, path, &model->diag, NULL);
    diag_print(&model->diag, stderr, "test", true);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(file_map_open(path, &model->file), STATUS_OK);
    const char *error;
    assert_int_equal(isa_image_open(model->file.data, model->file.bytes, &model->image, &error),
                     STATUS_OK);
    (void)remove(path);
}

static void drop(model_t *model) {
    file_map_close(&model->file);
    ir_module_destroy(model->m);
    diag_deinit(&model->diag);
}

// relu(x . w + bias) with w = pattern(0..4095), bias = pattern(4096..).
static void gemm_reference(const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < 64; j++) {
            double sum = pattern(4096 + j);
            for (size_t k = 0; k < 64; k++)
                sum += (double)x[i * 64 + k] * pattern(k * 64 + j);
            y[i * 64 + j] = sum > 0 ? (float)sum : 0;
        }
}

static void assert_close(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-4f + 1e-4f * fabsf(b[i])))
            fail_msg("element %zu is %g, not %g", i, (double)a[i], (double)b[i]);
}

static isa_completion_t run_gemm(const model_t *model, const run_options_t *options, size_t n,
                                 size_t said, const float *x, float *y) {
    run_io_t io[2] = {{.data = (void *)x, .bytes = n * 256, .dims = {said, 64}},
                      {.data = y, .bytes = n * 256}};
    isa_completion_t entry = run_image(&model->image, options, io);
    if (entry.type == ISA_COMP_DONE) {
        assert_int_equal(io[1].dims[0], n);
        assert_int_equal(io[1].dims[1], 64);
    }
    return entry;
}

static void gemm_of_any_size(void **state) {
    (void)state;
    model_t model;
    build(&model, "gemm.ir", 4096 + 64, NULL);
    static const size_t sizes[] = {1, 16, 37, 256};
    static const uint32_t cores[] = {1, 2, 5};
    float *x = malloc(256 * 256), *y = malloc(256 * 256), *want = malloc(256 * 256);
    for (size_t i = 0; i < 256 * 64; i++)
        x[i] = pattern(i + 5);
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        for (size_t c = 0; c < COUNT_OF(cores); c++) {
            run_options_t options = {.cores = cores[c], .heap_bytes = 65536, .timing = c == 1};
            isa_completion_t entry = run_gemm(&model, &options, sizes[s], sizes[s], x, y);
            assert_int_equal(entry.type, ISA_COMP_DONE);
            gemm_reference(x, sizes[s], want);
            assert_close(y, want, sizes[s] * 64);
        }
    free(x);
    free(y);
    free(want);
    drop(&model);
}

static void wrong_shapes_end_the_program(void **state) {
    (void)state;
    model_t model;
    build(&model, "gemm.ir", 4096 + 64, NULL);
    float *x = calloc(300 * 64, 4), *y = calloc(300 * 64, 4);
    run_options_t options = {.cores = 1, .heap_bytes = 1 << 20};
    isa_completion_t entry = run_gemm(&model, &options, 300, 300, x, y); // N is at most 256
    assert_int_equal(entry.type, ISA_COMP_FAULT);
    free(x);
    free(y);
    drop(&model);
}

static void small_heap_is_asked_for(void **state) {
    (void)state;
    model_t model;
    build(&model, "gemm.ir", 4096 + 64, NULL);
    float *x = calloc(256 * 64, 4), *y = calloc(256 * 64, 4);
    run_options_t options = {.cores = 2, .heap_bytes = 4096};
    isa_completion_t entry = run_gemm(&model, &options, 256, 256, x, y);
    assert_int_equal(entry.type, ISA_COMP_SUSPENDED);
    free(x);
    free(y);
    drop(&model);
}

// y = exp(x . w): slots, offsets and tickets by the passes.
static void passes_finish_tile_ir(void **state) {
    (void)state;
    model_t model;
    build(&model, "two.ir", 65536, "pipeline");
    assert_int_equal(model.image.note->heap_min, 262144);
    float *x = malloc(262144), *y = malloc(262144), *first = NULL;
    for (size_t i = 0; i < 65536; i++)
        x[i] = pattern(i * 3 + 1) / 64;
    for (uint32_t cores = 1; cores <= 4; cores++) {
        run_io_t io[2] = {{.data = x, .bytes = 262144, .dims = {256, 256}},
                          {.data = y, .bytes = 262144}};
        run_options_t options = {.cores = cores, .heap_bytes = 262144, .timing = cores == 3};
        assert_int_equal(run_image(&model.image, &options, io).type, ISA_COMP_DONE);
        if (first == NULL) {
            first = malloc(262144);
            memcpy(first, y, 262144);
        }
        assert_memory_equal(y, first, 262144);
    }
    for (size_t i = 0; i < 256; i += 17)
        for (size_t j = 0; j < 256; j += 13) {
            double sum = 0;
            for (size_t k = 0; k < 256; k++)
                sum += (double)x[i * 256 + k] * pattern(k * 256 + j);
            assert_true(fabs(y[i * 256 + j] - exp(sum)) <= 1e-4 + 1e-4 * exp(sum));
        }
    free(x);
    free(y);
    free(first);
    drop(&model);
}

// abs but for rows 24 to 31, negated; running sum down the columns by the operator library; blocks
// of 16 rows turned round.
static void phases_reference(const float *x, float *y) {
    float sum[32] = {0};
    for (size_t i = 0; i < 64; i++)
        for (size_t j = 0; j < 32; j++) {
            float value = x[i * 32 + j];
            sum[j] += -(i / 8 == 3 ? value : fabsf(value));
            y[(48 - i / 16 * 16 + i % 16) * 32 + j] = sum[j];
        }
}

static void hart_and_engines_take_turns(void **state) {
    (void)state;
    model_t model;
    build(&model, "phases.ir", 0, "pipeline");
    float x[64 * 32], y[64 * 32], want[64 * 32];
    int64_t n = 2;
    for (size_t i = 0; i < COUNT_OF(x); i++)
        x[i] = pattern(i);
    phases_reference(x, want);
    for (uint32_t cores = 1; cores <= 5; cores++) {
        run_io_t io[3] = {{.data = x, .bytes = sizeof x, .dims = {64, 32}},
                          {.data = &n, .bytes = sizeof n, .dims = {1}},
                          {.data = y, .bytes = sizeof y}};
        run_options_t options = {
            .cores = cores, .heap_bytes = model.image.note->heap_min, .timing = cores % 2 == 0};
        memset(y, 0, sizeof y);
        assert_int_equal(run_image(&model.image, &options, io).type, ISA_COMP_DONE);
        assert_memory_equal(y, want, sizeof y);
    }
    drop(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_of_any_size),
        cmocka_unit_test(wrong_shapes_end_the_program),
        cmocka_unit_test(small_heap_is_asked_for),
        cmocka_unit_test(passes_finish_tile_ir),
        cmocka_unit_test(hart_and_engines_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
