// SPDX-License-Identifier: Apache-2.0
// Import, passes, codegen, in this order.
#include <string.h>
#include <time.h>

#include "support/file.h"
#include "tools/accelc/accelc.h"

typedef struct compile {
    const accelc_options_t *options;
    const char *model;
    arena_t *arena;
    diag_t *diag;
    progress_t *progress;
    ir_module_t *m;
    onnx_files_t *files;
} compile_t;

static uint64_t now_ns(void) {
    struct timespec t = {0};
    (void)timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void show_time(const compile_t *c, const char *what, uint64_t ns) {
    if (c->options->time_passes)
        fprintf(stderr, "%-18s %8.1f ms\n", what, (double)ns / 1e6);
}

static int opt_level(const accelc_options_t *options) { return options->level[0] - '0'; }

bool accelc_is_ir(const char *path) {
    size_t n = strlen(path);
    return n > 3 && strcmp(path + n - 3, ".ir") == 0;
}

// --- Import
// ---------------------------------------------------------------------------------------

static status_t read_dims(compile_t *c, onnx_options_t *out) {
    const cli_list_t *list = &c->options->dims;
    onnx_dim_t *dims = ARENA_ARRAY(c->arena, onnx_dim_t, list->n_items);
    for (size_t i = 0; i < list->n_items; i++) {
        char *name;
        const char *rest;
        uint64_t value;
        if (!cli_split(c->arena, list->items[i], &name, &rest) || !cli_parse_u64(rest, &value) ||
            value > INT32_MAX)
            return DIAG_FAIL(c->diag, STATUS_INVALID, NULL, "write --dim=NAME=N", "'%s' is no dim",
                             list->items[i]);
        dims[i] = (onnx_dim_t){name, (int64_t)value};
    }
    *out = (onnx_options_t){list->n_items, dims};
    return STATUS_OK;
}

// Whether `op` is what a pass left behind; the passes after it rely on that.
static bool is_after(const ir_op_t *op, const char *pass) {
    for (uint32_t i = 0; i < op->n_results; i++) {
        const ir_type_t *type = op->results[i]->type;
        if (strcmp(pass, "infer_shapes") == 0 && type->kind == IR_TENSOR && !type->ranked)
            return false;
    }
    return strcmp(pass, "bufferise") != 0 || op->code != IR_kernel || op->n_results == 0;
}

// IR text that is at an earlier stage than --start says would only confuse the passes.
static status_t check_stage(const compile_t *c) {
    const char *start = c->options->start;
    for (size_t i = 0;
         start && c->m->funcs && i < pass_n_table && strcmp(pass_table[i].name, start) != 0; i++)
        for (const ir_op_t *op = c->m->funcs->body->block->first; op; op = op->next)
            if (!is_after(op, pass_table[i].name))
                return DIAG_FAIL(c->diag, STATUS_INVALID,
                                 &(diag_where_t){.op = ir_op_info(op->code)->name},
                                 arena_printf(c->arena, "use --start=%s", pass_table[i].name),
                                 "pass '%s' has to run before '%s'", pass_table[i].name, start);
    return STATUS_OK;
}

static status_t import_ir(compile_t *c) {
    file_map_t file;
    status_t status = file_map_open(c->model, &file);
    if (status != STATUS_OK)
        return DIAG_FAIL(c->diag, status, NULL, NULL, "cannot be read: %s",
                         file_error_text(status));
    // A dump's constants lie beside it, in NAME.blobs.
    char *sidecar_path = arena_printf(c->arena, "%.*s.blobs", (int)strlen(c->model) - 3, c->model);
    FILE *sidecar = fopen(sidecar_path, "rb");
    status = ir_parse((const char *)file.data, file.bytes, c->model, sidecar, c->diag, &c->m);
    if (sidecar)
        (void)fclose(sidecar);
    file_map_close(&file);
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(ir_verify(c->m, c->diag));
    return check_stage(c);
}

static status_t import(compile_t *c) {
    if (accelc_is_ir(c->model))
        return import_ir(c);
    onnx_options_t onnx;
    RETURN_IF_ERROR(read_dims(c, &onnx));
    return onnx_import(c->model, &onnx, c->diag, &c->m, &c->files);
}

// --- Passes
// ---------------------------------------------------------------------------------------

static const isa_profile_t *profile_of(const compile_t *c) {
    return isa_profile_find(c->options->arch);
}

static status_t run_passes(compile_t *c, FILE *dump_stream) {
    pass_options_t options = {.profile = profile_of(c),
                              .opt_level = opt_level(c->options),
                              .dump_after = c->options->dump_after,
                              .dump_dir = c->options->dump_dir,
                              .dump_stream = dump_stream,
                              .time_passes = c->options->time_passes,
                              .check_round_trip = c->options->check};
    if (options.dump_dir && !options.dump_after)
        options.dump_after = "all";
    if (strcmp(c->options->emit, "graph") == 0)
        options.stop_after = "fuse";
    if (c->options->start && strcmp(c->options->start, "codegen") == 0)
        return STATUS_OK;
    return pass_run(&options, c->m, c->options->start, c->diag);
}

static status_t write_ir(compile_t *c) {
    const char *path = c->options->output ? c->options->output : "-";
    if (strcmp(path, "-") == 0) {
        ir_print(c->m, stdout, NULL);
        return STATUS_OK; // what is lost of it is found at the end
    }
    file_out_t text, blobs;
    const char *blobs_path = accelc_is_ir(path)
                                 ? arena_printf(c->arena, "%.*s.blobs", (int)strlen(path) - 3, path)
                                 : arena_printf(c->arena, "%s.blobs", path);
    status_t status = file_out_open(path, &text);
    if (status == STATUS_OK) {
        status = file_out_open(blobs_path, &blobs);
        if (status == STATUS_OK) {
            ir_print(c->m, text.stream, blobs.stream);
            status = file_out_commit(&blobs);
        }
        if (status == STATUS_OK)
            status = file_out_commit(&text);
        else
            file_out_abort(&text);
    }
    if (status != STATUS_OK)
        return DIAG_FAIL(c->diag, status, NULL, NULL, "cannot write %s", path);
    return STATUS_OK;
}

// --- Codegen
// --------------------------------------------------------------------------------------

static void show_progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    progress_t *progress = ctx;
    progress_update(progress, "%s: %llu of %llu MB", what, (unsigned long long)(done >> 20),
                    (unsigned long long)(total >> 20));
}

static status_t generate(compile_t *c) {
    bool llvm = strcmp(c->options->emit, "llvm") == 0, text = strcmp(c->options->emit, "asm") == 0;
    cg_emit_t what = llvm ? CG_EMIT_LLVM : text ? CG_EMIT_ASM : CG_EMIT_IMAGE;
    const char *path = c->options->output ? c->options->output : llvm || text ? "-" : "model.bin";
    cg_options_t options = {.profile = profile_of(c),
                            .opt_level = opt_level(c->options),
                            .linker = c->options->linker,
                            .progress = show_progress,
                            .progress_ctx = c->progress};
    cg_times_t times = {0};
    progress_update(c->progress, "generating code");
    RETURN_IF_ERROR(cg_emit(&options, c->m, what, path, c->diag, &times));
    progress_end(c->progress);
    show_time(c, "codegen: lower", times.build);
    show_time(c, "codegen: optimise", times.optimise);
    show_time(c, "codegen: emit", times.emit);
    show_time(c, "codegen: link", times.link);
    show_time(c, "codegen: write", times.write);
    return STATUS_OK;
}

static status_t run(compile_t *c) {
    uint64_t start = now_ns();
    progress_update(c->progress, "reading %s", c->model);
    RETURN_IF_ERROR(import(c));
    progress_end(c->progress);
    show_time(c, "import", now_ns() - start);
    progress_update(c->progress, "optimising");
    RETURN_IF_ERROR(run_passes(c, stderr));
    progress_end(c->progress);
    if (strcmp(c->options->emit, "graph") == 0 || strcmp(c->options->emit, "tile") == 0)
        return write_ir(c);
    return generate(c);
}

status_t accelc_compile(const accelc_options_t *options, const char *model, arena_t *arena,
                        diag_t *diag, progress_t *progress) {
    compile_t c = {
        .options = options, .model = model, .arena = arena, .diag = diag, .progress = progress};
    status_t status = run(&c);
    if (c.m)
        ir_module_destroy(c.m);
    onnx_files_destroy(c.files);
    return status;
}
