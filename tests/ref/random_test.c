// SPDX-License-Identifier: Apache-2.0
// Random graphs are what they say: they verify, their types are what the evaluator gets, their
// values stay tame, and 200 of them use every kind of op.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/numeric.h"
#include "tests/ir/ir_test.h"
#include "tests/ref/random_graph.h"

enum { N_GRAPHS = 200 };

typedef struct survey {
    uint64_t seed;
    int uses[IR_OP_COUNT];
    double greatest;
} survey_t;

static status_t look(void *ctx, const ir_value_t *value, const ref_tensor_t *t) {
    survey_t *s = ctx;
    s->uses[value->def->code]++;
    if (value->type->elem != t->elem || value->type->rank != t->rank)
        fail_msg("seed %llu: the type of %%%s is wrong", (unsigned long long)s->seed, value->name);
    for (uint32_t d = 0; d < t->rank; d++)
        assert_int_equal(value->type->dims[d]->value, t->dims[d]);
    for (int64_t i = 0; t->elem == DTYPE_F32 && i < t->n; i++) {
        double x = num_load_f64(t->elem, t->data, (uint64_t)i);
        if (!(fabs(x) < 1e4))
            fail_msg("seed %llu: %%%s has %g", (unsigned long long)s->seed, value->name, x);
        s->greatest = fmax(s->greatest, fabs(x));
    }
    return STATUS_OK;
}

static void run_graph(survey_t *survey) {
    random_graph_t graph;
    random_graph_make(survey->seed, &graph);
    ref_tensor_t *outputs[64] = {NULL};
    diag_t diag;
    diag_init(&diag);
    status_t status = ir_verify(graph.m, &diag);
    if (status == STATUS_OK) {
        assert_true(graph.n_outputs > 0 && graph.n_outputs <= 64);
        status = ref_eval_run(graph.m, graph.n_inputs, (const ref_tensor_t *const *)graph.inputs,
                              graph.n_outputs, outputs, look, survey, &diag);
    }
    diag_print(&diag, stderr, "random", true);
    if (status != STATUS_OK)
        ir_print(graph.m, stderr, NULL);
    assert_int_equal(status, STATUS_OK);
    for (size_t i = 0; i < graph.n_outputs; i++)
        ref_tensor_free(outputs[i]);
    diag_deinit(&diag);
    random_graph_free(&graph);
}

static void test_graphs(void **state) {
    (void)state;
    static const ir_opcode_t wanted[] = {
        IR_unary,  IR_binary,    IR_clip,   IR_conv,     IR_pool,       IR_global_pool,
        IR_lrn,    IR_softmax,   IR_gemm,   IR_matmul,   IR_batch_norm, IR_instance_norm,
        IR_reduce, IR_transpose, IR_concat, IR_slice,    IR_layer_norm, IR_reshape,
        IR_pad,    IR_split,     IR_expand, IR_variadic, IR_squeeze,    IR_unsqueeze};
    survey_t survey = {.seed = 0};
    for (; survey.seed < N_GRAPHS; survey.seed++)
        run_graph(&survey);
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (survey.uses[wanted[i]] < 2)
            fail_msg("%s in %d values of %d graphs", ir_op_info(wanted[i])->name,
                     survey.uses[wanted[i]], N_GRAPHS);
    assert_true(survey.uses[IR_conv] > 50);
}

// One seed, one graph; another seed, another.
static void test_seeds(void **state) {
    (void)state;
    random_graph_t a, b, c;
    random_graph_make(7, &a);
    random_graph_make(7, &b);
    random_graph_make(8, &c);
    char *ta = print_to_text(a.m, NULL), *tb = print_to_text(b.m, NULL);
    char *tc = print_to_text(c.m, NULL);
    assert_string_equal(ta, tb);
    assert_string_not_equal(ta, tc);
    assert_memory_equal(a.inputs[0]->data, b.inputs[0]->data, (size_t)a.inputs[0]->n * 4);
    free(ta);
    free(tb);
    free(tc);
    random_graph_free(&a);
    random_graph_free(&b);
    random_graph_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
