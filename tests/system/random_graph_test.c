// SPDX-License-Identifier: Apache-2.0
// 200 random graphs against the reference evaluator: their outputs as compiled for use (every
// fourth on 1, 2 and 5 cores, bit by bit), and every node's value. Usage: random_graph_test [first
// seed [count]]
#include <stdlib.h>

#include "tests/ref/random_graph.h"
#include "tests/system/system.h"

static bool check_seed(uint64_t seed) {
    static const char *const profiles[] = {"host", "edge", "server"};
    static const uint32_t cores[] = {1, 2, 3};
    random_graph_t graph;
    random_graph_make(seed, &graph);
    system_options_t options = {.profile = profiles[seed % 3],
                                .cores = cores[seed % 3],
                                .engine = seed % 4 == 0 ? "ref" : "fast",
                                .opt_level = 2,
                                .rtol = 1e-3,
                                .atol = 1e-4};
    char title[32];
    snprintf(title, sizeof title, "seed %llu", (unsigned long long)seed);
    const ref_tensor_t *const *inputs = (const ref_tensor_t *const *)graph.inputs;
    options.check_cores = seed % 4 == 1;
    bool good = system_check(title, graph.m, graph.n_inputs, inputs, &options);
    options.check_cores = false;
    good &= system_check_nodes(title, graph.m, graph.n_inputs, inputs, &options);
    random_graph_free(&graph);
    return good;
}

int main(int argc, char **argv) {
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
    int failures = 0;
    for (uint64_t seed = first; seed < first + count; seed++)
        if (!check_seed(seed)) {
            printf("FAILED seed %llu\n", (unsigned long long)seed);
            failures++;
        }
    printf("%llu graphs, %d failed\n", (unsigned long long)count, failures);
    return failures != 0;
}
