// SPDX-License-Identifier: Apache-2.0
// The generator: choices, values, and the graph as a whole.
#include "tests/ref/random_graph.h"

#include <stdlib.h>
#include <string.h>

#include "tests/ref/random_internal.h"

// --- Choices -------------------------------------------------------------------------------------

static uint64_t next_random(gen_t *g) { // splitmix64
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t gen_range(gen_t *g, int64_t lo, int64_t hi) {
    return lo + (int64_t)(next_random(g) % (uint64_t)(hi - lo + 1));
}

bool gen_chance(gen_t *g, int percent) { return gen_range(g, 0, 99) < percent; }

float gen_float(gen_t *g) {
    return (float)(int64_t)(next_random(g) >> 40) / (float)(1 << 23) - 1.0f;
}

// --- Values --------------------------------------------------------------------------------------

shape_t gen_shape(const ir_value_t *value) {
    shape_t s = {.rank = value->type->rank};
    for (uint32_t d = 0; d < s.rank; d++)
        s.dim[d] = value->type->dims[d]->value;
    return s;
}

int64_t gen_elements(const shape_t *s) {
    int64_t n = 1;
    for (uint32_t d = 0; d < s->rank; d++)
        n *= s->dim[d];
    return n;
}

ir_value_t *gen_weights(gen_t *g, const shape_t *s, float scale, float offset) {
    size_t n = (size_t)gen_elements(s);
    float *values = malloc((n + 1) * sizeof *values);
    if (values == NULL)
        abort();
    for (size_t i = 0; i < n; i++)
        values[i] = offset + scale * gen_float(g);
    const ir_blob_t *blob = ir_blob_copy(g->m, DTYPE_F32, values, n * sizeof *values);
    free(values);
    return ir_build_const(&g->b, blob, ir_type_const_tensor(g->m, DTYPE_F32, s->rank, s->dim));
}

ir_value_t *gen_i64s(gen_t *g, size_t n, const int64_t *values) {
    const ir_blob_t *blob = ir_blob_copy(g->m, DTYPE_I64, values, n * sizeof *values);
    int64_t dim = (int64_t)n;
    return ir_build_const(&g->b, blob, ir_type_const_tensor(g->m, DTYPE_I64, 1, &dim));
}

ir_value_t *gen_op(gen_t *g, ir_opcode_t code, const char *onnx, uint32_t n, ir_value_t *const *in,
                   const shape_t *s) {
    const ir_type_t *type = ir_type_const_tensor(g->m, DTYPE_F32, s->rank, s->dim);
    char name[64];
    (void)snprintf(name, sizeof name, "%s_%u", onnx, g->n_nodes++);
    ir_value_t *value = ir_build1(&g->b, code, n, in, type);
    const ir_origin_t *origin = ir_origin_new(g->m, name, onnx);
    ir_add_origins(g->m, value->def, &origin, 1);
    return value;
}

ir_value_t *gen_partner(gen_t *g, const ir_value_t *value) {
    size_t first = (size_t)gen_range(g, 0, (int64_t)g->n_live - 1);
    ir_value_t *same = NULL;
    for (size_t i = 0; i < g->n_live; i++) {
        ir_value_t *other = g->live[(first + i) % g->n_live];
        if (other == value)
            same = other;
        else if (other->type == value->type)
            return other;
    }
    return same;
}

// --- Graphs --------------------------------------------------------------------------------------

static const struct {
    gen_fn_t make;
    int weight;
} kinds[] = {
#define GEN_ROW(name, weight) {gen_##name, weight},
    GEN_KINDS(GEN_ROW)
#undef GEN_ROW
};

static gen_fn_t pick_kind(gen_t *g) {
    int total = 0;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        total += kinds[i].weight;
    int at = (int)gen_range(g, 0, total - 1);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (at < kinds[i].weight)
            return kinds[i].make;
        at -= kinds[i].weight;
    }
    return kinds[0].make;
}

// Mostly the newest value, so that chains grow; sometimes an older one, so that they branch.
static ir_value_t *pick_value(gen_t *g) {
    if (gen_chance(g, 70))
        return g->live[g->n_live - 1];
    return g->live[gen_range(g, 0, (int64_t)g->n_live - 1)];
}

static shape_t input_shape(gen_t *g) {
    static const int64_t channels[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 24, 32, 33};
    shape_t s = {.rank = (uint32_t)gen_range(g, 2, 4)};
    s.rank = gen_chance(g, 40) ? 4 : s.rank; // images are most of the matter
    s.dim[0] = gen_range(g, 1, 3);
    s.dim[1] = channels[gen_range(g, 0, COUNT_OF(channels) - 1)];
    for (uint32_t d = 2; d < s.rank; d++)
        s.dim[d] = gen_range(g, 3, 14);
    if (s.rank == 2)
        s.dim[0] = gen_range(g, 1, 20);
    return s;
}

static void add_input(gen_t *g, random_graph_t *graph, shape_t s) {
    const ir_type_t *type = ir_type_const_tensor(g->m, DTYPE_F32, s.rank, s.dim);
    char name[32];
    (void)snprintf(name, sizeof name, "in%zu", graph->n_inputs);
    g->live[g->n_live++] = ir_block_add_arg(g->m, g->b.block, type, name);
    ref_tensor_t *t = ref_tensor_new(DTYPE_F32, s.rank, s.dim);
    for (int64_t i = 0; i < t->n; i++)
        ((float *)t->data)[i] = 2 * gen_float(g);
    graph->inputs[graph->n_inputs++] = t;
}

// Every value that nothing uses is an output.
static void add_return(gen_t *g, random_graph_t *graph) {
    ir_value_t *outputs[RANDOM_MAX_LIVE];
    size_t n = 0;
    for (size_t i = 0; i < g->n_live; i++)
        if (!ir_has_uses(g->live[i]) && g->live[i]->def != NULL)
            outputs[n++] = g->live[i];
    const char **names = ARENA_ARRAY(&g->m->arena, const char *, n);
    for (size_t i = 0; i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "out%zu", i);
        names[i] = ir_intern(g->m, name);
    }
    (void)ir_build(&g->b, IR_return, (uint32_t)n, outputs, 0, NULL);
    g->m->funcs->result_names = names;
    graph->n_outputs = n;
}

static gen_t start(uint64_t seed, random_graph_t *graph) {
    *graph = (random_graph_t){.m = ir_module_create("random")};
    if (graph->m == NULL)
        abort();
    gen_t g = {.m = graph->m, .state = seed * 0x2545f4914f6cdd1du + 1};
    ir_builder_end(&g.b, g.m, ir_func_new(g.m, "main")->body->block);
    return g;
}

void random_graph_make(uint64_t seed, random_graph_t *out_graph) {
    gen_t g = start(seed, out_graph);
    add_input(&g, out_graph, input_shape(&g));
    if (gen_chance(&g, 25))
        add_input(&g, out_graph, input_shape(&g));
    int64_t n_ops = gen_range(&g, 2, 12);
    for (int64_t made = 0; made < n_ops && g.n_live < RANDOM_MAX_LIVE;) {
        ir_value_t *x = pick_value(&g), *y = pick_kind(&g)(&g, x);
        if (y == NULL)
            continue;
        g.live[g.n_live++] = y;
        made++;
    }
    add_return(&g, out_graph);
}

void random_chain_make(uint64_t seed, random_graph_t *out_graph) {
    gen_t g = start(seed, out_graph);
    shape_t s = {.rank = 4, .dim = {gen_range(&g, 1, 3), gen_range(&g, 1, 48)}};
    s.dim[2] = gen_range(&g, 5, 40);
    s.dim[3] = gen_range(&g, 5, 40);
    add_input(&g, out_graph, s);
    ir_value_t *x = g.live[0], *y = NULL;
    if (gen_chance(&g, 70)) // what a window writes is channels last, the graph's input is not
        while ((x = gen_pool(&g, g.live[0])) == NULL)
            ;
    while (y == NULL)
        y = gen_large_chain(&g, x);
    g.live[g.n_live++] = y;
    add_return(&g, out_graph);
}

void random_graph_free(random_graph_t *graph) {
    for (size_t i = 0; i < graph->n_inputs; i++)
        ref_tensor_free(graph->inputs[i]);
    ir_module_destroy(graph->m);
    *graph = (random_graph_t){.m = NULL};
}
