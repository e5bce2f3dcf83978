// SPDX-License-Identifier: Apache-2.0
// Random graphs of dense ops, f32, static shapes, small: what a reader would hand to the passes
// (shapes, starts, axes of reshape, slice and the like as constant operands), but with the types of
// all values set. No op in them jumps (no comparisons, roundings or indices of maxima), and weights
// are scaled so that values stay near 1: results of two right implementations stay close.
#ifndef TESTS_REF_RANDOM_GRAPH_H
#define TESTS_REF_RANDOM_GRAPH_H

#include "tests/ref/ref_eval.h"

enum { RANDOM_GRAPH_MAX_INPUTS = 2 };

typedef struct random_graph {
    ir_module_t *m; // names its outputs out0, out1, ...
    size_t n_inputs, n_outputs;
    ref_tensor_t *inputs[RANDOM_GRAPH_MAX_INPUTS];
} random_graph_t;

// The same seed gives the same graph on every machine. The caller frees it.
void random_graph_make(uint64_t seed, random_graph_t *out_graph);
// One chain of convolutions that is too large for local memory, with its epilogues.
void random_chain_make(uint64_t seed, random_graph_t *out_graph);
void random_graph_free(random_graph_t *graph);

#endif
