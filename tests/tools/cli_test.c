// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/common/cli.h"
#include "tools/common/progress.h"

typedef struct values {
    bool verbose, time_passes;
    const char *output, *emit, *timing, *kind;
    uint64_t repeat, level;
    double rtol;
    cli_list_t inputs;
} values_t;

#define AT(member) offsetof(values_t, member)
static const cli_option_t options[] = {
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Main"},
    {'o', "output", CLI_TEXT, AT(output), "FILE", NULL, "write to FILE"},
    {'O', NULL, CLI_U64, AT(level), "N", NULL, "optimise: 0 to 3"},
    {0, "emit", CLI_TEXT, AT(emit), "STAGE", "graph|tile|llvm", "stop after STAGE"},
    {0, "kind", CLI_TEXT, AT(kind), NULL, "red|green", "which colour"},
    {0, "mode", CLI_TEXT, AT(emit), "on|off", "on|off", "named by its choices"},
    {'v', "verbose", CLI_FLAG, AT(verbose), NULL, NULL,
     "say more than is good for anybody, in a sentence so long that it has to be wrapped twice "
     "before it is over"},
    {0, "time-passes", CLI_FLAG, AT(time_passes), NULL, NULL, "time each pass"},
    {0, "timing", CLI_OPTIONAL_TEXT, AT(timing), "FILE", NULL, "model cycles"},
    {'n', "repeat", CLI_U64, AT(repeat), "N", NULL, "run N times"},
    {0, "rtol", CLI_F64, AT(rtol), "X", NULL, "relative tolerance"},
    {'i', "input", CLI_LIST, AT(inputs), "NAME=FILE", NULL, "an input"},
    {0, "dim", CLI_SIZES, AT(inputs), "NAME=N", NULL, "a size"},
    {0, "pair", CLI_PAIRS, AT(inputs), "NAME=FILE", NULL, "a pair"},
    {0, "secret", CLI_FLAG, AT(verbose), NULL, NULL, NULL},
};
static const cli_program_t program = {
    .name = "prog",
    .operands = "MODEL",
    .summary = "Does something.",
    .options = options,
    .n_options = COUNT_OF(options),
    .min_operands = 1,
    .max_operands = 1,
};

typedef struct run {
    arena_t arena;
    values_t values;
    cli_list_t operands;
    cli_result_t result;
    char *out, *err;
} run_t;

// `line` is split at blanks.
static run_t run(const char *line) {
    run_t r = {.values = {.repeat = 1, .kind = "green"}};
    arena_init(&r.arena);
    char *argv[32] = {(char *)"prog"};
    int argc = 1;
    char *copy = arena_strdup(&r.arena, line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    size_t out_bytes, err_bytes;
    FILE *out = open_memstream(&r.out, &out_bytes), *err = open_memstream(&r.err, &err_bytes);
    r.result = cli_parse(&program, argc, argv, &r.arena, out, err, &r.values, &r.operands);
    fclose(out);
    fclose(err);
    return r;
}

static void end(run_t *r) {
    free(r->out);
    free(r->err);
    arena_deinit(&r->arena);
}

static void every_form_is_read(void **state) {
    (void)state;
    run_t r = run("-vn3 --emit=tile -O2 m.onnx -o out.bin --rtol 1e-3 -i a=b --input=c=d --time-p "
                  "--timing");
    assert_int_equal(r.result, CLI_GO_ON);
    assert_string_equal(r.err, "");
    assert_true(r.values.verbose && r.values.time_passes);
    assert_int_equal(r.values.repeat, 3);
    assert_int_equal(r.values.level, 2);
    assert_string_equal(r.values.emit, "tile");
    assert_string_equal(r.values.output, "out.bin");
    assert_true(r.values.rtol == 1e-3);
    assert_string_equal(r.values.timing, "");
    assert_int_equal(r.values.inputs.n_items, 2);
    assert_string_equal(r.values.inputs.items[1], "c=d");
    assert_int_equal(r.operands.n_items, 1);
    assert_string_equal(r.operands.items[0], "m.onnx");
    char *name;
    const char *rest;
    assert_true(cli_split(&r.arena, "c=d=e", &name, &rest));
    assert_string_equal(name, "c");
    assert_string_equal(rest, "d=e");
    assert_false(cli_split(&r.arena, "=d", &name, &rest));
    assert_false(cli_split(&r.arena, "cd", &name, &rest));
    end(&r);
    r = run("--timing=t.json -- -v");
    assert_string_equal(r.values.timing, "t.json");
    assert_false(r.values.verbose);
    assert_string_equal(r.operands.items[0], "-v");
    end(&r);
    r = run("-");
    assert_string_equal(r.operands.items[0], "-");
    end(&r);
}

static void expect_wrong(const char *line, const char *message) {
    run_t r = run(line);
    assert_int_equal(r.result, CLI_WRONG);
    if (strstr(r.err, message) == NULL)
        fail_msg("'%s' should say '%s', says '%s'", line, message, r.err);
    assert_non_null(strstr(r.err, "prog --help"));
    assert_string_equal(r.out, "");
    end(&r);
}

static void mistakes_are_named(void **state) {
    (void)state;
    expect_wrong("m --ouptut=x", "unknown option '--ouptut'; did you mean '--output'?");
    expect_wrong("m --xyzzy", "unknown option '--xyzzy'\n");
    expect_wrong("m --hepl", "did you mean '--help'?");
    expect_wrong("m -x", "unknown option '-x'");
    expect_wrong("m --tim", "option '--tim' is ambiguous");
    expect_wrong("m --emit=tiel", "--emit: 'tiel' is not one of graph|tile|llvm; did you mean "
                                  "'tile'?");
    expect_wrong("m -n", "--repeat needs a value (N)");
    expect_wrong("m -n -1", "--repeat: '-1' is not a whole number");
    expect_wrong("m -n 99999999999999999999", "is not a whole number");
    expect_wrong("m -n 3x", "is not a whole number");
    expect_wrong("m --rtol=abc", "is not a number");
    expect_wrong("m --verbose=1", "--verbose takes no value");
    expect_wrong("m -Ofast", "-O: 'fast' is not a whole number");
    expect_wrong("m --dim x", "--dim: 'x' is not NAME=N\n");
    expect_wrong("m --dim x=y", "--dim: 'x=y' is not NAME=N\n");
    expect_wrong("m --pair =y", "--pair: '=y' is not NAME=FILE\n");
    expect_wrong("", "missing MODEL");
    expect_wrong("a b", "unexpected 'b'");
    expect_wrong("m --=x", "unknown option '--'");
}

static void help_comes_from_the_table(void **state) {
    (void)state;
    run_t r = run("--kind=red --help --nonsense");
    assert_int_equal(r.result, CLI_DONE);
    assert_non_null(strstr(r.out, "Usage: prog [OPTION]... MODEL\nDoes something.\n\nMain:\n"));
    assert_non_null(strstr(r.out, "\n  -o, --output=FILE           write to FILE\n"));
    assert_non_null(strstr(r.out, "\n  -O N                        optimise: 0 to 3\n"));
    assert_non_null(strstr(r.out, "\n      --timing[=FILE]         model cycles\n"));
    assert_non_null(strstr(r.out, "--emit=STAGE            stop after STAGE: graph, tile, llvm\n"));
    assert_non_null(strstr(r.out, "--kind=VALUE            which colour: red, green (default)\n"));
    assert_non_null(strstr(r.out, "--mode=on|off           named by its choices\n"));
    assert_non_null(strstr(r.out, "\n      --version "));
    assert_null(strstr(r.out, "secret"));
    for (const char *line = r.out; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    end(&r);
    r = run("--version");
    assert_int_equal(r.result, CLI_DONE);
    assert_int_equal(strncmp(r.out, "prog (Accel) ", 13), 0);
    end(&r);
}

static void numbers_are_whole(void **state) {
    (void)state;
    uint64_t u;
    double f;
    assert_true(cli_parse_u64("0x10", &u) && u == 16);
    assert_true(cli_parse_u64("010", &u) && u == 10);
    assert_true(cli_parse_u64("18446744073709551615", &u) && u == UINT64_MAX);
    assert_false(cli_parse_u64("0x", &u));
    assert_false(cli_parse_u64("", &u));
    assert_false(cli_parse_u64(" 1", &u));
    assert_true(cli_parse_f64("-1.5e3", &f) && f == -1500);
    assert_false(cli_parse_f64("", &f));
    assert_false(cli_parse_f64("1.5x", &f));
}

static void progress_is_silent_off_a_terminal(void **state) {
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    progress_t progress;
    progress_init(&progress, file);
    progress_update(&progress, "%d of 3", 1);
    progress_end(&progress);
    assert_int_equal(ftell(file), 0);
    fclose(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(help_comes_from_the_table),
        cmocka_unit_test(numbers_are_whole),
        cmocka_unit_test(progress_is_silent_off_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
