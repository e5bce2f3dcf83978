// SPDX-License-Identifier: Apache-2.0
// Every operator in its forms, one small module each, on the card against the reference evaluator.
// Usage: operators_test FILE [case ...]
//
// The file holds cases:
//     // case: NAME [consts=K] [tol=T] [SYMBOL=v,v,...]
//     <the inside of a module>
// The last K arguments become constants of random values, so that one text tests both kinds of
// weights. Symbols take their first values, then their second, ... (the last one again where a list
// is short). Each case is compiled for every profile and runs with each set of values; both
// engine sets and 1 to 3 cores take turns. On one profile every node's value is compared too.
#include <stdlib.h>
#include <string.h>

#include "passes/pass.h"
#include "support/file.h"
#include "support/numeric.h"
#include "support/strbuf.h"
#include "tests/system/system.h"

enum { MAX_SYMBOLS = 8, MAX_VALUES = 8, MAX_ARGS = 12, MAX_OUTPUTS = 64 };

typedef struct symbol_values {
    char name[32];
    size_t n;
    int64_t values[MAX_VALUES];
} symbol_values_t;

typedef struct op_case {
    char name[64];
    uint32_t n_consts;
    double tolerance;
    size_t n_symbols, n_sets;
    symbol_values_t symbols[MAX_SYMBOLS];
} op_case_t;

// --- Reading
// ------------------------------------------------------------------------------------------

static bool read_symbol(const char *word, op_case_t *c) {
    symbol_values_t *s = &c->symbols[c->n_symbols];
    const char *equals = strchr(word, '=');
    if (!equals || c->n_symbols == MAX_SYMBOLS || (size_t)(equals - word) >= sizeof s->name)
        return false;
    memcpy(s->name, word, (size_t)(equals - word));
    for (const char *p = equals; *p && s->n < MAX_VALUES;) {
        char *end;
        s->values[s->n++] = strtoll(p + 1, &end, 10);
        p = end;
    }
    c->n_symbols++;
    c->n_sets = s->n > c->n_sets ? s->n : c->n_sets;
    return true;
}

static bool read_header(char *line, op_case_t *c) {
    *c = (op_case_t){.tolerance = 1e-4, .n_sets = 1};
    char *rest = NULL, *word = strtok_r(line, " ", &rest);
    if (!word)
        return false;
    snprintf(c->name, sizeof c->name, "%s", word);
    while ((word = strtok_r(NULL, " ", &rest)))
        if (!strncmp(word, "consts=", 7))
            c->n_consts = (uint32_t)strtoul(word + 7, NULL, 10);
        else if (!strncmp(word, "tol=", 4))
            c->tolerance = strtod(word + 4, NULL);
        else if (!read_symbol(word, c))
            return false;
    return true;
}

static ir_module_t *parse(const op_case_t *c, const char *body, size_t n) {
    strbuf_t text;
    diag_t diag;
    ir_module_t *m = NULL;
    strbuf_init(&text);
    diag_init(&diag);
    strbuf_printf(&text, "module \"%s\" {\n", c->name);
    strbuf_add_bytes(&text, body, n);
    strbuf_add(&text, "}\n");
    pass_options_t options = {.profile = isa_profile_find("host"), .stop_after = "infer_shapes"};
    if (ir_parse(text.text, text.length, c->name, NULL, &diag, &m) != STATUS_OK ||
        pass_run(&options, m, NULL, &diag) != STATUS_OK) {
        ir_module_destroy(m);
        m = NULL;
    }
    diag_print(&diag, stdout, c->name, true);
    diag_deinit(&diag);
    strbuf_deinit(&text);
    return m;
}

// --- Values
// -------------------------------------------------------------------------------------------

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Floats in [-1, 1); i64 in [0, 3], so that they will do as indices; i32 in [-4, 3], to count from
// the end as well; other integers over their low byte.
static ref_tensor_t *random_tensor(dtype_t elem, uint32_t rank, const int64_t *dims,
                                   uint64_t *seed) {
    ref_tensor_t *t = ref_tensor_new(elem, rank, dims);
    for (int64_t i = 0; i < t->n; i++) {
        uint64_t r = next_random(seed) >> 40;
        if (dtype_is_float(elem))
            num_store_f64(elem, t->data, (uint64_t)i, (double)r / (1 << 23) - 1, 0);
        else if (elem == DTYPE_I64 || elem == DTYPE_I32)
            num_store_i64(elem, t->data, (uint64_t)i,
                          (int64_t)(r % (elem == DTYPE_I64 ? 4 : 8)) - (elem == DTYPE_I64 ? 0 : 4),
                          0);
        else
            num_store_bits(elem, t->data, (uint64_t)i, r & (elem == DTYPE_BOOL ? 1 : 255));
    }
    return t;
}

// The last arguments become constants.
static void bind_constants(ir_module_t *m, uint32_t n, uint64_t *seed) {
    ir_block_t *block = m->funcs->body->block;
    for (; n > 0; n--) {
        ir_value_t *arg = block->args[block->n_args - 1];
        int64_t dims[IR_MAX_RANK];
        for (uint32_t d = 0; d < arg->type->rank; d++)
            dims[d] = arg->type->dims[d]->value;
        ref_tensor_t *t = random_tensor(arg->type->elem, arg->type->rank, dims, seed);
        ir_builder_t b;
        ir_builder_before(&b, m, block->first);
        const ir_blob_t *blob =
            ir_blob_copy(m, t->elem, t->data, num_row_bytes(t->elem, (uint64_t)t->n));
        ir_replace_uses(arg, ir_build_const(&b, blob, arg->type));
        block->n_args--;
        ref_tensor_free(t);
    }
}

static int64_t dim_value(const ir_expr_t *e, const op_case_t *c, size_t set) {
    if (ir_expr_is_const(e))
        return e->value;
    for (size_t i = 0; e->kind == IR_EXPR_SYMBOL && i < c->n_symbols; i++) {
        const symbol_values_t *s = &c->symbols[i];
        if (!strcmp(s->name, e->symbol->name))
            return s->values[set < s->n ? set : s->n - 1];
    }
    printf("  %s: an argument's dim has no value\n", c->name);
    exit(1);
}

static size_t make_inputs(const ir_module_t *m, const op_case_t *c, size_t set, uint64_t *seed,
                          ref_tensor_t **out) {
    const ir_block_t *block = m->funcs->body->block;
    for (uint32_t i = 0; i < block->n_args; i++) {
        const ir_type_t *type = block->args[i]->type;
        int64_t dims[IR_MAX_RANK];
        for (uint32_t d = 0; d < type->rank; d++)
            dims[d] = dim_value(type->dims[d], c, set);
        out[i] = random_tensor(type->elem, type->rank, dims, seed);
    }
    return block->n_args;
}

static void free_tensors(size_t n, ref_tensor_t **tensors) {
    for (size_t i = 0; i < n; i++)
        ref_tensor_free(tensors[i]);
}

// --- Running
// ------------------------------------------------------------------------------------------

static bool evaluate(const ir_module_t *m, size_t n_inputs, ref_tensor_t *const *inputs, size_t n,
                     ref_tensor_t **out) {
    diag_t diag;
    diag_init(&diag);
    bool good = ref_eval_run(m, n_inputs, (const ref_tensor_t *const *)inputs, n, out, NULL, NULL,
                             &diag) == STATUS_OK;
    diag_print(&diag, stdout, "evaluator", true);
    diag_deinit(&diag);
    return good;
}

static bool run_set(const op_case_t *c, const ir_module_t *m, system_model_t *model, size_t set,
                    const system_options_t *options) {
    ref_tensor_t *inputs[MAX_ARGS], *got[MAX_OUTPUTS] = {NULL}, *want[MAX_OUTPUTS] = {NULL};
    uint64_t seed = 0x9e3779b97f4a7c15u + set;
    size_t n = m->funcs->body->block->last->n_operands;
    size_t n_inputs = make_inputs(m, c, set, &seed, inputs);
    bool good = evaluate(m, n_inputs, inputs, n, want) &&
                system_run(model, n_inputs, (const ref_tensor_t *const *)inputs, n, got) &&
                system_compare(c->name, n, got, want, m->funcs->result_names, options);
    if (!good)
        printf("  %s: profile %s, engine %s, %u cores, set %zu\n", c->name, options->profile,
               options->engine, options->cores, set);
    free_tensors(n, got);
    free_tensors(n, want);
    free_tensors(n_inputs, inputs);
    return good;
}

static bool run_profile(const op_case_t *c, const ir_module_t *m, system_options_t *options) {
    system_model_t model;
    ir_module_t *copy = ir_module_clone(m);
    bool good = system_compile(copy, options, &model);
    for (size_t set = 0; good && set < c->n_sets; set++)
        good = run_set(c, m, &model, set, options);
    system_close(&model);
    ir_module_destroy(copy);
    return good;
}

static bool run_case(const op_case_t *c, const ir_module_t *m, size_t turn) {
    static const char *const profiles[] = {"host", "edge", "server"};
    bool good = true;
    for (size_t i = 0; i < COUNT_OF(profiles); i++) {
        system_options_t options = {.profile = profiles[i],
                                    .engine = (turn + i) % 2 ? "ref" : "fast",
                                    .cores = (uint32_t)(1 + (turn + i) % 3),
                                    .opt_level = 1,
                                    .rtol = c->tolerance,
                                    .atol = c->tolerance};
        good = good && run_profile(c, m, &options);
        if (i != turn % COUNT_OF(profiles))
            continue;
        ir_module_t *exposed = system_expose(m);
        good = good && run_profile(c, exposed, &options);
        ir_module_destroy(exposed);
    }
    return good;
}

static bool is_wanted(const char *name, int n, char **names) {
    for (int i = 0; i < n; i++)
        if (strstr(name, names[i]))
            return true;
    return n == 0;
}

static bool test_case(const char *text, size_t n, size_t turn, int n_names, char **names) {
    op_case_t c;
    char line[256];
    size_t head = strcspn(text, "\n");
    snprintf(line, sizeof line, "%.*s", (int)head, text);
    if (!read_header(line, &c)) {
        printf("FAILED bad head: %.*s\n", (int)head, text);
        return false;
    }
    if (!is_wanted(c.name, n_names, names))
        return true;
    ir_module_t *m = parse(&c, text + head, n - head);
    uint64_t seed = 0xda942042e4dd58b5u;
    bool good = m != NULL;
    if (good) {
        bind_constants(m, c.n_consts, &seed);
        good = run_case(&c, m, turn);
        ir_module_destroy(m);
    }
    if (!good)
        printf("FAILED %s\n", c.name);
    (void)fflush(stdout);
    return good;
}

int main(int argc, char **argv) {
    static const char head[] = "// case: ";
    file_map_t map;
    if (argc < 2 || file_map_open(argv[1], &map) != STATUS_OK) {
        printf("usage: operators_test FILE [part of a case's name ...]\n");
        return 2;
    }
    strbuf_t text;
    strbuf_init(&text);
    strbuf_add_bytes(&text, (const char *)map.data, map.bytes);
    file_map_close(&map);
    size_t n = 0, failures = 0;
    for (const char *at = strstr(text.text, head), *next; at; at = next, n++) {
        at += strlen(head);
        next = strstr(at, head);
        size_t length = next ? (size_t)(next - at) : strlen(at);
        failures += !test_case(at, length, n, argc - 2, argv + 2);
    }
    printf("%zu cases, %zu failed\n", n, failures);
    strbuf_deinit(&text);
    return failures > 0 || n == 0;
}
