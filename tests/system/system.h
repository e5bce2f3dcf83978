// SPDX-License-Identifier: Apache-2.0
// Compiles a module, runs it on a simulated card and compares what comes back.
#ifndef TESTS_SYSTEM_SYSTEM_H
#define TESTS_SYSTEM_SYSTEM_H

#include "ir/ir.h"
#include "runtime/client.h"
#include "runtime/include/accel/accel.h"
#include "tests/ref/ref_eval.h"

typedef struct system_options {
    const char *profile; // NULL: host
    const char *engine;  // NULL: fast
    uint32_t cores;      // 0: 1
    int opt_level;
    double rtol, atol;
    uint32_t lm_bytes;     // what tiling may use of local memory; 0: the profile's
    bool check_dense;      // fail when a kernel spends hart instructions on elements
    bool check_cores;      // fail when the outputs have other bits on 1, 2 or 5 cores
    rt_card_create_t card; // NULL: the simulated card of this process
} system_options_t;

// A program compiled into a temporary file, loaded and ready to run.
typedef struct system_model {
    char path[64];
    accel_program_t *program;
    accel_device_t *device;
    accel_module_t *module;
    ir_module_t *ir; // as the passes left it; the caller's
} system_model_t;

// Takes the module apart (the passes rewrite it). Prints what went wrong; false on failure.
bool system_compile(ir_module_t *m, const system_options_t *options, system_model_t *out_model);
// Another device (engine, cores) for the same program.
bool system_reopen(system_model_t *model, const system_options_t *options);
void system_close(system_model_t *model);

// Runs; on success the caller owns the outputs (ref_tensor_free).
bool system_run(system_model_t *model, size_t n_inputs, const ref_tensor_t *const *inputs,
                size_t n_outputs, ref_tensor_t **out_outputs);
// Hart instructions of each kernel in the last run, on `inputs`, below 1% of its elements, or 2000;
// prints those that are not (decision 25 says what counts as elements).
bool system_check_dense(system_model_t *model, size_t n_inputs, const ref_tensor_t *const *inputs);
// Runs on 1, 2 and 5 cores: outputs must be those that are `got`, bit by bit.
bool system_check_cores(const char *title, system_model_t *model, size_t n_inputs,
                        const ref_tensor_t *const *inputs, size_t n_outputs,
                        ref_tensor_t *const *got, const system_options_t *options);
// Compares and prints the worst element of each output that differs.
bool system_compare(const char *title, size_t n, ref_tensor_t *const *got,
                    ref_tensor_t *const *want, const char *const *names,
                    const system_options_t *options);

// Compiles a copy of `m` and compares its outputs with the evaluator's on the same inputs.
bool system_check(const char *title, const ir_module_t *m, size_t n_inputs,
                  const ref_tensor_t *const *inputs, const system_options_t *options);
// The same with every node's value made an output (those that are tensors of a dense type).
bool system_check_nodes(const char *title, const ir_module_t *m, size_t n_inputs,
                        const ref_tensor_t *const *inputs, const system_options_t *options);
// A clone of `m` whose @main also returns every op's first result.
ir_module_t *system_expose(const ir_module_t *m);

// Seeded values in [-1, 1] (floats), [0, 3] (integers).
ref_tensor_t *system_random_tensor(dtype_t elem, uint32_t rank, const int64_t *dims,
                                   uint64_t *seed);
// An ONNX TensorProto file; ends the process when it cannot be read.
ref_tensor_t *system_read_pb(const char *path);

#endif
