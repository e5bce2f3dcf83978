// SPDX-License-Identifier: Apache-2.0
// Command lines, GNU style, from one table a tool: parsing, --help and --version come from it.
//
// -x VALUE, -xVALUE, -xy (flags together), --long VALUE, --long=VALUE, unique beginnings of long
// names; options and operands in any order; "--" ends the options, "-" is an operand.
#ifndef TOOLS_COMMON_CLI_H
#define TOOLS_COMMON_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "support/arena.h"

enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILURE = 1, CLI_EXIT_USAGE = 2 };

typedef enum cli_kind {
    CLI_FLAG,          // bool; set to true
    CLI_TEXT,          // const char *; with `choices`, one of them
    CLI_OPTIONAL_TEXT, // const char *; only --long=VALUE gives a value, else it becomes ""
    CLI_U64,           // uint64_t; decimal, or hexadecimal after 0x
    CLI_F64,           // double
    CLI_LIST,          // cli_list_t; every occurrence adds an item
    CLI_PAIRS,         // the same, of items NAME=VALUE
    CLI_SIZES,         // the same, of items NAME=N with a whole number
    CLI_HEADING,       // no option: `help` is a heading in --help
} cli_kind_t;

typedef struct cli_list {
    const char **items;
    size_t n_items, capacity;
} cli_list_t;

typedef struct cli_option {
    char short_name;        // 0: none
    const char *long_name;  // NULL: none
    cli_kind_t kind;        // says the type of the member
    size_t offset;          // of the member in the tool's struct of values
    const char *value_name; // "FILE"; NULL for flags
    const char *choices;    // "graph|tile|llvm", or NULL for anything; --help lists them, and
                            // marks the one that is the member's default
    const char *help;       // NULL: not shown
} cli_option_t;

typedef struct cli_program {
    const char *name;
    const char *operands; // for the usage line: "MODEL"
    const char *summary;  // one paragraph
    const cli_option_t *options;
    size_t n_options;
    size_t min_operands, max_operands;
    const char *epilogue; // after the options in --help, or NULL
} cli_program_t;

typedef enum cli_result {
    CLI_GO_ON, // parsed
    CLI_DONE,  // --help or --version was printed to `out`: exit with CLI_EXIT_OK
    CLI_WRONG, // the mistake was printed to `err`: exit with CLI_EXIT_USAGE
} cli_result_t;

// Fills the members that options name; the caller put the defaults there. Texts point into argv.
cli_result_t cli_parse(const cli_program_t *program, int argc, char **argv, arena_t *arena,
                       FILE *out, FILE *err, void *values, cli_list_t *out_operands);

// At the start of main: a standard stream that was closed becomes one that cannot be read or
// written, so that no file or socket takes its place and is written to.
void cli_guard_streams(void);

// At the end of main: the exit code, which is a failure, said to `err`, if something written to
// `out` got lost.
int cli_finish(const char *program, FILE *out, FILE *err, int code);

// Prints a mistake that the table cannot find, as cli_parse prints those that it finds.
void cli_complain(const cli_program_t *program, FILE *err, const char *what);

// The name among `n_names` that a mistyped one most likely meant, or NULL.
const char *cli_did_you_mean(const char *mistyped, const char *const *names, size_t n_names);

// Splits "name=rest" at the first '='; false without one or with an empty name.
bool cli_split(arena_t *arena, const char *text, char **out_name, const char **out_rest);

// Whole text as a number; false on anything else or overflow.
bool cli_parse_u64(const char *text, uint64_t *out_value);
bool cli_parse_f64(const char *text, double *out_value);

#endif
