// SPDX-License-Identifier: Apache-2.0
// accelc: compiles a model to a program image.
#include <string.h>

#include "tools/accelc/accelc.h"

#define MEMBER(name)                    offsetof(accelc_options_t, name)
#define PASS_NAME(name, level, meaning) #name "|"
#define PASS_NAMES                      PASS_LINE(PASS_NAME)

static const cli_option_t options_table[] = {
    {'o', "output", CLI_TEXT, MEMBER(output), "FILE", NULL,
     "where the result goes; model.bin, or standard output for text"},
    {0, "arch", CLI_TEXT, MEMBER(arch), "PROFILE", "host|edge|server", "the card to compile for"},
    {0, "emit", CLI_TEXT, MEMBER(emit), "WHAT", "graph|tile|llvm|asm|image", "what to write"},
    {0, "dim", CLI_SIZES, MEMBER(dims), "NAME=N", NULL, "fix a symbolic dim of the inputs"},
    {'O', NULL, CLI_TEXT, MEMBER(level), "LEVEL", "0|1|2|3", "how hard to optimise"},
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "For those who work on the compiler"},
    {0, "dump-after", CLI_TEXT, MEMBER(dump_after), "PASS", PASS_NAMES "all",
     "print the IR after a pass, or after all"},
    {0, "dump-dir", CLI_TEXT, MEMBER(dump_dir), "DIR", NULL, "dump into files there"},
    {0, "time-passes", CLI_FLAG, MEMBER(time_passes), NULL, NULL, "print where the time went"},
    {0, "check-ir", CLI_FLAG, MEMBER(check), NULL, NULL,
     "print, parse and compare the IR after every pass"},
    {0, "start", CLI_TEXT, MEMBER(start), "PASS", PASS_NAMES "codegen",
     "the model is IR text (.ir); the line begins at this pass, codegen for none"},
    {0, "linker", CLI_TEXT, MEMBER(linker), "PROGRAM", NULL, "instead of ld.lld-19"},
    {'v', "verbose", CLI_FLAG, MEMBER(verbose), NULL, NULL,
     "say which line of the compiler reported an error"},
};

static const cli_program_t program = {
    .name = "accelc",
    .operands = "MODEL",
    .summary = "Compiles a model (.onnx) into one program for an Accel card. Nothing is written "
               "unless all of it succeeds.",
    .options = options_table,
    .n_options = COUNT_OF(options_table),
    .min_operands = 1,
    .max_operands = 1,
};

static int run(int argc, char **argv, arena_t *arena) {
    accelc_options_t options = {.arch = "host", .emit = "image", .level = "2"};
    cli_list_t operands;
    switch (cli_parse(&program, argc, argv, arena, stdout, stderr, &options, &operands)) {
    case CLI_DONE:
        return CLI_EXIT_OK;
    case CLI_WRONG:
        return CLI_EXIT_USAGE;
    default:
        break;
    }
    const char *model = operands.items[0];
    if (options.start != NULL && !accelc_is_ir(model)) {
        cli_complain(&program, stderr, "--start is for IR text (.ir) only");
        return CLI_EXIT_USAGE;
    }
    progress_t progress;
    diag_t diag;
    diag_init(&diag);
    diag.context.model = model;
    progress_init(&progress, stderr);
    status_t status = accelc_compile(&options, model, arena, &diag, &progress);
    progress_end(&progress);
    diag_print(&diag, stderr, program.name, options.verbose);
    if (status != STATUS_OK && diag.n_errors == 0)
        fprintf(stderr, "accelc: error: %s: %s\n", model, status_text(status));
    diag_deinit(&diag);
    return status == STATUS_OK ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

int main(int argc, char **argv) {
    arena_t arena;
    cli_guard_streams();
    arena_init(&arena);
    int code = run(argc, argv, &arena);
    arena_deinit(&arena);
    return cli_finish("accelc", stdout, stderr, code);
}
