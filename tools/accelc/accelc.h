// SPDX-License-Identifier: Apache-2.0
// What main.c and compile.c share.
#ifndef TOOLS_ACCELC_ACCELC_H
#define TOOLS_ACCELC_ACCELC_H

#include "codegen/codegen.h"
#include "frontend/onnx/onnx.h"
#include "passes/pass.h"
#include "tools/common/cli.h"
#include "tools/common/progress.h"

typedef struct accelc_options {
    const char *output;
    const char *arch;
    const char *emit;
    const char *dump_after, *dump_dir;
    const char *start;
    const char *linker;
    cli_list_t dims;
    bool time_passes, verbose, check;
    const char *level; // "0" to "3"
} accelc_options_t;

// By its name, as accelc_compile does.
bool accelc_is_ir(const char *model);
// Compiles `model`; everything that went wrong is in `diag`.
WARN_UNUSED status_t accelc_compile(const accelc_options_t *options, const char *model,
                                    arena_t *arena, diag_t *diag, progress_t *progress);

#endif
