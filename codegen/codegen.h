// SPDX-License-Identifier: Apache-2.0
// From planned tile IR to LLVM IR, assembly, or a program image.
//
// Input: @main(inputs.., outputs..: DRAM buffers) with `alloc`, `weights`, `view` and tile-stage
// `kernel` ops, offsets set (passes pipeline and plan), barriers and tickets set (sync).
#ifndef CODEGEN_CODEGEN_H
#define CODEGEN_CODEGEN_H

#include "ir/ir.h"
#include "isa/profile.h"

typedef enum cg_emit { CG_EMIT_LLVM, CG_EMIT_ASM, CG_EMIT_IMAGE } cg_emit_t;

typedef struct cg_options {
    const isa_profile_t *profile;
    int opt_level;      // 0 to 3: how hard LLVM tries
    const char *linker; // NULL: ld.lld-19 from the search path
    // Called now and then with bytes done and in all; or NULL.
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total);
    void *progress_ctx;
} cg_options_t;

// Where the time went, in nanoseconds.
typedef struct cg_times {
    uint64_t build, optimise, emit, link, write;
} cg_times_t;

// Writes `out_path`, whole or not at all ("-": standard output, for text). `out_times` may be NULL.
WARN_UNUSED status_t cg_emit(const cg_options_t *options, ir_module_t *m, cg_emit_t what,
                             const char *out_path, diag_t *diag, cg_times_t *out_times);

// True when the operator library has a function of this name.
bool cg_devlib_has(const char *name);

#endif
