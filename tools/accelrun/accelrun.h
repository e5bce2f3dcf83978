// SPDX-License-Identifier: Apache-2.0
// Parts of the tool. Private to this folder.
#ifndef TOOLS_ACCELRUN_ACCELRUN_H
#define TOOLS_ACCELRUN_ACCELRUN_H

#include "accel/accel.h"
#include "support/arena.h"
#include "support/diag.h"
#include "tools/common/cli.h"
#include "tools/common/progress.h"
#include "tools/common/tensor.h"

typedef struct options {
    cli_list_t inputs, dims;
    const char *test_data, *output_dir;
    double rtol, atol;
    uint64_t repeat, cores, heap_limit, top;
    const char *engine, *trace, *labels, *device;
    bool timing, json, show_log, verbose;
} options_t;

typedef struct times {
    double *seconds; // of each run
    size_t n_runs;
    double min, median;
} times_t;

typedef struct run {
    options_t options;
    const char *model;
    arena_t *arena;
    diag_t *diag;
    progress_t progress;
    accel_program_t *program;
    accel_device_t *device;
    accel_device_info_t card; // of the device, once it is open
    accel_module_t *module;
    uint32_t n_inputs, n_outputs;
    accel_tensor_t *inputs; // data in memory that the card reaches
    accel_tensor_t *outputs;
    times_t times;
    const char **labels; // of the elements of an output
    size_t n_labels;
} run_t;

// inputs.c: every input from --input or --test-data, copied to where the card reads it. Reports to
// the diagnostics.
WARN_UNUSED status_t inputs_load(run_t *run);

// labels.c: the lines of --labels, if given. INVALID when no output has that many elements and the
// sizes of all are known.
WARN_UNUSED status_t labels_load(run_t *run);

// compare.c
typedef struct comparison {
    bool equal;     // every element within tolerance, same type and shape
    bool same_kind; // same type and shape
    uint64_t n_elems, n_wrong;
    uint64_t worst; // index of the element that is furthest outside its tolerance, or furthest off
    double ours, expected, difference, allowed;
} comparison_t;
void compare(const accel_tensor_t *ours, const tool_tensor_t *expected, double rtol, double atol,
             comparison_t *out_result);
// All outputs against the output_K.pb of the folder; prints a line each to `out`. *out_equal.
WARN_UNUSED status_t compare_outputs(const run_t *run, FILE *out, bool *out_equal);

// report.c
void report_outputs(const run_t *run, FILE *out);
void report_times(const run_t *run, FILE *out);
WARN_UNUSED status_t report_json(const run_t *run, FILE *out, const bool *equal);
WARN_UNUSED status_t write_outputs(const run_t *run);
// "f32[1,3,n]", in the arena.
const char *type_text(arena_t *arena, const accel_io_t *io);

#endif
