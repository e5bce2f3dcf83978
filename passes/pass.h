// SPDX-License-Identifier: Apache-2.0
// Passes: one file, one public function each; the pipeline table is in passes/pipeline.c.
#ifndef PASSES_PASS_H
#define PASSES_PASS_H

#include <stdbool.h>
#include <stdio.h>

#include "ir/ir.h"
#include "isa/profile.h"

typedef struct pass_options {
    const isa_profile_t *profile;
    int opt_level;          // 0 to 3
    const char *dump_after; // pass name, "all", or NULL
    const char *dump_dir;   // write dumps as NN-pass.ir there, or NULL: to `dump_stream`
    FILE *dump_stream;
    bool time_passes;
    bool check_round_trip;  // print, parse and compare after every pass
    const char *stop_after; // pass name or NULL
} pass_options_t;

// What a pass gets. `scratch` is reset when it returns; nothing in it may be kept in the module.
typedef struct pass_context {
    const pass_options_t *options;
    arena_t *scratch;
    diag_t *diag;
    bool changed; // set by the pass when it changed anything
} pass_context_t;

typedef status_t (*pass_fn_t)(pass_context_t *pc, ir_module_t *m);

typedef struct pass_info {
    const char *name;
    pass_fn_t run;
    int min_opt_level; // runs at this -O and above
    const char *meaning;
} pass_info_t;

// The line of passes, in order. The frontends' output goes in; codegen's input comes out.
#define PASS_LINE(X)                                                                               \
    X(infer_shapes, 0, "types, dims and shape data of every value; bind symbols")                  \
    X(fold, 0, "evaluate ops whose operands are constant, drop dead ops")                          \
    X(decompose, 0, "ONNX's compound ops into the core ops that later passes know")                \
    X(fold_again, 0, "constants that decompose made; common subexpressions")                       \
    X(fuse, 0, "group core ops into kernels")                                                      \
    X(layout, 0, "order of dims in memory for each value; pack weights")                           \
    X(bufferise, 0, "tensors become DRAM buffers, views and kernels with outputs")                 \
    X(tile, 0, "each kernel becomes loops, LM buffers and engine ops, chosen by cost")             \
    X(pipeline, 0, "slots of LM buffers and their offsets")                                        \
    X(plan, 0, "offsets of DRAM buffers in the heap, of constants in the weights")                 \
    X(sync, 0, "tickets, barriers and waits from read and write boxes")

#define PASS_DECLARE(name, level, meaning) status_t pass_##name(pass_context_t *pc, ir_module_t *m);
PASS_LINE(PASS_DECLARE)
#undef PASS_DECLARE

extern const pass_info_t pass_table[];
extern const size_t pass_n_table;

// Runs the line from `first` (NULL: the start) with verification, timing and dumps. The caller
// keeps ownership of the module.
WARN_UNUSED status_t pass_run(const pass_options_t *options, ir_module_t *m, const char *first,
                              diag_t *diag);

#endif
