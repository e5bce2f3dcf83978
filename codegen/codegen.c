// SPDX-License-Identifier: Apache-2.0
// The line of codegen: lower, link the library, optimise, emit, link, write.
#include <string.h>
#include <time.h>

#include "codegen/codegen_internal.h"

static uint64_t now_ns(void) {
    struct timespec t = {0};
    (void)timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void init(cg_t *cg) {
    arena_init(&cg->arena);
    map_init(&cg->descs, &cg->arena);
    map_init(&cg->prepared, &cg->arena);
    map_init(&cg->program_vars, &cg->arena);
    cg->llvm = LLVMContextCreate();
    cg->mod = LLVMModuleCreateWithNameInContext("model", cg->llvm);
    cg->b = LLVMCreateBuilderInContext(cg->llvm);
    cg->i8 = LLVMInt8TypeInContext(cg->llvm);
    cg->i32 = LLVMInt32TypeInContext(cg->llvm);
    cg->i64 = LLVMInt64TypeInContext(cg->llvm);
    cg->ptr = LLVMPointerTypeInContext(cg->llvm, 0);
    cg->void_ = LLVMVoidTypeInContext(cg->llvm);
}

static void deinit(cg_t *cg) {
    if (cg->machine)
        LLVMDisposeTargetMachine(cg->machine);
    LLVMDisposeBuilder(cg->b);
    LLVMDisposeModule(cg->mod);
    LLVMContextDispose(cg->llvm);
    arena_deinit(&cg->arena);
}

static status_t write_text(cg_t *cg, const char *text, size_t bytes, const char *out_path) {
    file_out_t out;
    if (strcmp(out_path, "-") == 0)
        return fwrite(text, 1, bytes, stdout) == bytes && fflush(stdout) == 0 ? STATUS_OK
                                                                              : STATUS_IO;
    status_t status = file_out_open(out_path, &out);
    if (status == STATUS_OK && fwrite(text, 1, bytes, out.stream) != bytes) {
        file_out_abort(&out);
        status = STATUS_IO;
    } else if (status == STATUS_OK) {
        status = file_out_commit(&out);
    }
    if (status != STATUS_OK)
        return DIAG_FAIL(cg->diag, status, &(diag_where_t){.pass = "write"}, NULL,
                         "cannot write %s", out_path);
    return STATUS_OK;
}

static status_t emit_llvm(cg_t *cg, const char *out_path) {
    char *text = LLVMPrintModuleToString(cg->mod);
    status_t status = write_text(cg, text, strlen(text), out_path);
    LLVMDisposeMessage(text);
    return status;
}

static status_t emit_asm(cg_t *cg, const char *out_path) {
    LLVMMemoryBufferRef buffer;
    RETURN_IF_ERROR(cg_target_emit(cg, LLVMAssemblyFile, &buffer));
    status_t status =
        write_text(cg, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer), out_path);
    LLVMDisposeMemoryBuffer(buffer);
    return status;
}

static status_t emit_image(cg_t *cg, const char *out_path, cg_times_t *times) {
    uint64_t start = now_ns();
    LLVMMemoryBufferRef object;
    RETURN_IF_ERROR(cg_target_emit(cg, LLVMObjectFile, &object));
    times->emit = now_ns() - start;
    start = now_ns();
    file_map_t elf;
    status_t status =
        cg_link(cg, LLVMGetBufferStart(object), LLVMGetBufferSize(object), out_path, &elf);
    LLVMDisposeMemoryBuffer(object);
    times->link = now_ns() - start;
    if (status != STATUS_OK)
        return status;
    start = now_ns();
    status = cg_image_write(cg, elf.data, elf.bytes, out_path);
    file_map_close(&elf);
    times->write = now_ns() - start;
    return status;
}

static status_t run(cg_t *cg, cg_emit_t what, const char *out_path, cg_times_t *times) {
    uint64_t start = now_ns();
    RETURN_IF_ERROR(cg_target_init(cg));
    RETURN_IF_ERROR(cg_lower_module(cg));
    cg_note_add(cg);
    RETURN_IF_ERROR(cg_devlib_link(cg));
    times->build = now_ns() - start;
    start = now_ns();
    RETURN_IF_ERROR(cg_target_optimise(cg));
    times->optimise = now_ns() - start;
    switch (what) {
    case CG_EMIT_LLVM:
        return emit_llvm(cg, out_path);
    case CG_EMIT_ASM:
        return emit_asm(cg, out_path);
    default:
        return emit_image(cg, out_path, times);
    }
}

status_t cg_emit(const cg_options_t *options, ir_module_t *m, cg_emit_t what, const char *out_path,
                 diag_t *diag, cg_times_t *out_times) {
    cg_t cg = {.m = m, .options = options, .diag = diag};
    cg_times_t times = {0};
    init(&cg);
    status_t status = run(&cg, what, out_path, &times);
    deinit(&cg);
    if (out_times)
        *out_times = times;
    return status;
}
