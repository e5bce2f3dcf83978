// SPDX-License-Identifier: Apache-2.0
// Random chains of convolutions against the reference evaluator, in all of a core's local memory
// and in little of it, so that tiles and chunks have tails. On 1 to 7 cores the bits are the same.
// Usage: chain_test [first seed [count]]
#include <stdlib.h>
#include <string.h>

#include "passes/kernel.h"
#include "passes/pass.h"
#include "tests/ref/random_graph.h"
#include "tests/system/system.h"

enum { MAX_OUTPUTS = 4 };

static bool same_bits(size_t n, ref_tensor_t *const *a, ref_tensor_t *const *b) {
    for (size_t i = 0; i < n; i++)
        if (a[i]->n != b[i]->n || memcmp(a[i]->data, b[i]->data, (size_t)a[i]->n * 4))
            return false;
    return true;
}

static void free_all(size_t n, ref_tensor_t **tensors) {
    for (size_t i = 0; i < n; i++)
        ref_tensor_free(tensors[i]);
}

// Kernels of chains in the graph; -1 when it does not compile.
static int count_chains(const ir_module_t *m, const system_options_t *options) {
    ir_module_t *copy = ir_module_clone(m);
    isa_profile_t profile = *isa_profile_find(options->profile);
    profile.lm_bytes = options->lm_bytes ? options->lm_bytes : profile.lm_bytes;
    pass_options_t po = {.profile = &profile, .opt_level = 2, .stop_after = "tile"};
    diag_t diag;
    diag_init(&diag);
    int n = pass_run(&po, copy, NULL, &diag) == STATUS_OK ? 0 : -1;
    for (const ir_op_t *op = copy->funcs->body->block->first; n >= 0 && op; op = op->next)
        n += op->code == IR_kernel && !strcmp(kernel_template(op), KERNEL_CHAIN);
    diag_deinit(&diag);
    ir_module_destroy(copy);
    return n;
}

static bool check_cores(const random_graph_t *graph, system_options_t options) {
    static const uint32_t cores[] = {2, 3, 7};
    const ref_tensor_t *const *inputs = (const ref_tensor_t *const *)graph->inputs;
    ref_tensor_t *first[MAX_OUTPUTS], *other[MAX_OUTPUTS];
    ir_module_t *copy = ir_module_clone(graph->m);
    system_model_t model;
    options.cores = 1;
    bool good = system_compile(copy, &options, &model) &&
                system_run(&model, graph->n_inputs, inputs, graph->n_outputs, first);
    for (size_t i = 0; good && i < COUNT_OF(cores); i++) {
        options.cores = cores[i];
        good = system_reopen(&model, &options) &&
               system_run(&model, graph->n_inputs, inputs, graph->n_outputs, other);
        if (!good)
            break;
        if (!same_bits(graph->n_outputs, first, other)) {
            printf("  %u cores give other bits than one\n", cores[i]);
            good = false;
        }
        free_all(graph->n_outputs, other);
    }
    if (good)
        free_all(graph->n_outputs, first);
    system_close(&model);
    ir_module_destroy(copy);
    return good;
}

static bool check_seed(uint64_t seed, int *chains) {
    static const char *const profiles[] = {"host", "edge", "server"};
    static const uint32_t lm_bytes[] = {0, 200 << 10, 100 << 10, 60 << 10};
    random_graph_t graph;
    random_chain_make(seed, &graph);
    system_options_t options = {.profile = profiles[seed % 3],
                                .lm_bytes = lm_bytes[seed / 3 % 4],
                                .engine = seed % 10 == 0 ? "ref" : "fast",
                                .opt_level = 2,
                                .rtol = 1e-3,
                                .atol = 1e-4};
    char title[32];
    snprintf(title, sizeof title, "seed %llu", (unsigned long long)seed);
    int n = count_chains(graph.m, &options);
    if (n < 0 && options.lm_bytes) { // a convolution that stayed alone needs the room
        options.lm_bytes = 0;
        n = count_chains(graph.m, &options);
    }
    *chains += n > 0;
    bool good = n >= 0 &&
                system_check(title, graph.m, graph.n_inputs,
                             (const ref_tensor_t *const *)graph.inputs, &options) &&
                check_cores(&graph, options);
    random_graph_free(&graph);
    return good;
}

int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 60;
    int failures = 0, chains = 0;
    for (uint64_t seed = first; seed < first + count; seed++)
        if (!check_seed(seed, &chains)) {
            printf("FAILED seed %llu\n", (unsigned long long)seed);
            failures++;
        }
    printf("%llu graphs, %d with chains, %d failed\n", (unsigned long long)count, chains, failures);
    return failures != 0 || (count >= 60 && chains < 30);
}
