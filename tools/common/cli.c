// SPDX-License-Identifier: Apache-2.0
#include "tools/common/cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const cli_program_t *program;
    arena_t *arena;
    FILE *out, *err;
    void *values;
    int argc, next; // argv[next] is the next argument
    char **argv;
    const char **defaults; // of options with choices, as the caller put them there
} parser_t;

static void print_help(const parser_t *parser);

static const cli_option_t help_option = {
    'h', "help", CLI_FLAG, 0, NULL, NULL, "print this help and exit"};
static const cli_option_t version_option = {
    0, "version", CLI_FLAG, 0, NULL, NULL, "print the version and exit"};

bool cli_parse_u64(const char *text, uint64_t *out_value) {
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    char *end;
    if (!isxdigit((unsigned char)text[hex ? 2 : 0])) // no sign, no blank
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, hex ? 16 : 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out_value = value;
    return true;
}

bool cli_parse_f64(const char *text, double *out_value) {
    char *end;
    if (text[0] == '\0' || isspace((unsigned char)text[0]))
        return false;
    *out_value = strtod(text, &end);
    return *end == '\0';
}

bool cli_split(arena_t *arena, const char *text, char **out_name, const char **out_rest) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return false;
    *out_name = arena_strndup(arena, text, (size_t)(equals - text));
    *out_rest = equals + 1;
    return true;
}

// Edit distance (insert, delete, replace) of short names.
static size_t distance(const char *a, const char *b) {
    enum { MAX = 64 };
    size_t row[MAX + 1];
    size_t na = strlen(a), nb = strlen(b);
    if (na > MAX || nb > MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

const char *cli_did_you_mean(const char *mistyped, const char *const *names, size_t n_names) {
    const char *best = NULL;
    size_t best_distance = strlen(mistyped) / 3 + 2; // farther away is a different word
    for (size_t i = 0; i < n_names; i++) {
        size_t d = names[i] == NULL ? SIZE_MAX : distance(mistyped, names[i]);
        if (d < best_distance && d < strlen(mistyped)) { // some of it has to be right
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}

static cli_result_t wrong_end(parser_t *parser) {
    fprintf(parser->err, "Try '%s --help' for more information.\n", parser->program->name);
    return CLI_WRONG;
}

void cli_complain(const cli_program_t *program, FILE *err, const char *what) {
    fprintf(err, "%s: %s\n", program->name, what);
    (void)wrong_end(&(parser_t){.program = program, .err = err});
}

static cli_result_t unknown_option(parser_t *parser, const char *name) {
    size_t n = parser->program->n_options;
    const char **names = ARENA_ARRAY(parser->arena, const char *, n + 2);
    for (size_t i = 0; i < n; i++)
        names[i] = parser->program->options[i].long_name;
    names[n] = help_option.long_name;
    names[n + 1] = version_option.long_name;
    const char *meant = cli_did_you_mean(name, names, n + 2);
    fprintf(parser->err, "%s: unknown option '--%s'", parser->program->name, name);
    if (meant != NULL)
        fprintf(parser->err, "; did you mean '--%s'?", meant);
    fputc('\n', parser->err);
    return wrong_end(parser);
}

static const char *display_name(parser_t *parser, const cli_option_t *option) {
    if (option->long_name != NULL)
        return arena_printf(parser->arena, "--%s", option->long_name);
    return arena_printf(parser->arena, "-%c", option->short_name);
}

static cli_result_t bad_value(parser_t *parser, const cli_option_t *option, const char *value,
                              const char *want) {
    fprintf(parser->err, "%s: %s: '%s' is not %s\n", parser->program->name,
            display_name(parser, option), value, want);
    return wrong_end(parser);
}

static cli_result_t check_choice(parser_t *parser, const cli_option_t *option, const char *value) {
    if (option->choices == NULL)
        return CLI_GO_ON;
    const char *names[32];
    size_t n_names = 0;
    char *copy = arena_strdup(parser->arena, option->choices);
    for (char *name = copy; name != NULL && n_names < COUNT_OF(names);) {
        char *bar = strchr(name, '|');
        if (bar != NULL)
            *bar++ = '\0';
        if (strcmp(name, value) == 0)
            return CLI_GO_ON;
        names[n_names++] = name;
        name = bar;
    }
    const char *meant = cli_did_you_mean(value, names, n_names);
    fprintf(parser->err, "%s: %s: '%s' is not one of %s", parser->program->name,
            display_name(parser, option), value, option->choices);
    if (meant != NULL)
        fprintf(parser->err, "; did you mean '%s'?", meant);
    fputc('\n', parser->err);
    return wrong_end(parser);
}

static bool is_pair(const char *text, bool of_number) {
    const char *equals = strchr(text, '=');
    uint64_t number;
    return equals != NULL && equals != text && (!of_number || cli_parse_u64(equals + 1, &number));
}

static cli_result_t store(parser_t *parser, const cli_option_t *option, const char *value) {
    void *member = (char *)parser->values + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)member = true;
        break;
    case CLI_TEXT:
    case CLI_OPTIONAL_TEXT:
        if (value[0] != '\0' || option->kind == CLI_TEXT)
            if (check_choice(parser, option, value) != CLI_GO_ON)
                return CLI_WRONG;
        *(const char **)member = value;
        break;
    case CLI_U64:
        if (!cli_parse_u64(value, member))
            return bad_value(parser, option, value, "a whole number");
        break;
    case CLI_F64:
        if (!cli_parse_f64(value, member))
            return bad_value(parser, option, value, "a number");
        break;
    case CLI_LIST:
    case CLI_PAIRS:
    case CLI_SIZES: {
        cli_list_t *list = member;
        if (option->kind != CLI_LIST && !is_pair(value, option->kind == CLI_SIZES))
            return bad_value(parser, option, value, option->value_name);
        ARENA_GROW(parser->arena, list->items, list->capacity, list->n_items + 1);
        list->items[list->n_items++] = value;
        break;
    }
    case CLI_HEADING:
        break;
    }
    return CLI_GO_ON;
}

static bool wants_value(const cli_option_t *option) {
    return option->kind != CLI_FLAG && option->kind != CLI_OPTIONAL_TEXT;
}

static void print_version(const cli_program_t *program, FILE *out) {
    fprintf(out, "%s (Accel) %s\nLicence: Apache-2.0\n", program->name, ACCEL_VERSION);
}

static cli_result_t apply(parser_t *parser, const cli_option_t *option, const char *attached) {
    if (option == &help_option || option == &version_option) {
        if (option == &help_option)
            print_help(parser);
        else
            print_version(parser->program, parser->out);
        return CLI_DONE;
    }
    if (attached != NULL && option->kind == CLI_FLAG) {
        fprintf(parser->err, "%s: %s takes no value\n", parser->program->name,
                display_name(parser, option));
        return wrong_end(parser);
    }
    if (attached == NULL && wants_value(option)) {
        if (parser->next >= parser->argc) {
            fprintf(parser->err, "%s: %s needs a value (%s)\n", parser->program->name,
                    display_name(parser, option), option->value_name);
            return wrong_end(parser);
        }
        attached = parser->argv[parser->next++];
    }
    return store(parser, option, attached == NULL ? "" : attached);
}

// 2: exact, 1: begins so, 0: no.
static int match(const cli_option_t *option, const char *name, size_t length) {
    if (option->long_name == NULL || strncmp(option->long_name, name, length) != 0)
        return 0;
    return option->long_name[length] == '\0' ? 2 : 1;
}

static const cli_option_t *option_at(const cli_program_t *program, size_t i) {
    if (i < program->n_options)
        return &program->options[i];
    return i == program->n_options ? &help_option : &version_option;
}

static cli_result_t parse_long(parser_t *parser, const char *text) {
    const char *equals = strchr(text, '=');
    size_t length = equals == NULL ? strlen(text) : (size_t)(equals - text);
    const cli_option_t *found = NULL;
    int n_found = 0;
    for (size_t i = 0; i < parser->program->n_options + 2; i++) {
        const cli_option_t *option = option_at(parser->program, i);
        int how = match(option, text, length);
        if (how == 2)
            return apply(parser, option, equals == NULL ? NULL : equals + 1);
        if (how == 1 && length > 0) {
            found = option;
            n_found++;
        }
    }
    char *name = arena_strndup(parser->arena, text, length);
    if (n_found == 1)
        return apply(parser, found, equals == NULL ? NULL : equals + 1);
    if (n_found == 0)
        return unknown_option(parser, name);
    fprintf(parser->err, "%s: option '--%s' is ambiguous\n", parser->program->name, name);
    return wrong_end(parser);
}

static cli_result_t parse_short(parser_t *parser, const char *text) {
    for (; *text != '\0'; text++) {
        const cli_option_t *option = NULL;
        for (size_t i = 0; i < parser->program->n_options + 2 && option == NULL; i++)
            if (option_at(parser->program, i)->short_name == *text)
                option = option_at(parser->program, i);
        if (option == NULL) {
            fprintf(parser->err, "%s: unknown option '-%c'\n", parser->program->name, *text);
            return wrong_end(parser);
        }
        bool attached = wants_value(option) && text[1] != '\0';
        cli_result_t result = apply(parser, option, attached ? text + 1 : NULL);
        if (result != CLI_GO_ON || attached)
            return result;
    }
    return CLI_GO_ON;
}

static cli_result_t check_operands(parser_t *parser, const cli_list_t *operands) {
    const cli_program_t *program = parser->program;
    if (operands->n_items < program->min_operands)
        fprintf(parser->err, "%s: missing %s\n", program->name, program->operands);
    else if (operands->n_items > program->max_operands)
        fprintf(parser->err, "%s: unexpected '%s'\n", program->name,
                operands->items[program->max_operands]);
    else
        return CLI_GO_ON;
    return wrong_end(parser);
}

// --help may stand behind options.
static void keep_defaults(parser_t *parser) {
    const cli_program_t *program = parser->program;
    parser->defaults = ARENA_ARRAY(parser->arena, const char *, program->n_options + 1);
    for (size_t i = 0; i < program->n_options; i++) {
        const cli_option_t *option = &program->options[i];
        const void *member = (const char *)parser->values + option->offset;
        if (option->choices != NULL && option->kind == CLI_TEXT)
            parser->defaults[i] = *(const char *const *)member;
    }
}

cli_result_t cli_parse(const cli_program_t *program, int argc, char **argv, arena_t *arena,
                       FILE *out, FILE *err, void *values, cli_list_t *out_operands) {
    parser_t parser = {program, arena, out, err, values, argc, 1, argv, NULL};
    bool options_end = false;
    *out_operands = (cli_list_t){0};
    keep_defaults(&parser);
    while (parser.next < argc) {
        const char *text = argv[parser.next++];
        cli_result_t result = CLI_GO_ON;
        if (!options_end && strcmp(text, "--") == 0) {
            options_end = true;
        } else if (!options_end && strncmp(text, "--", 2) == 0) {
            result = parse_long(&parser, text + 2);
        } else if (!options_end && text[0] == '-' && text[1] != '\0') {
            result = parse_short(&parser, text + 1);
        } else {
            ARENA_GROW(arena, out_operands->items, out_operands->capacity,
                       out_operands->n_items + 1);
            out_operands->items[out_operands->n_items++] = text;
        }
        if (result != CLI_GO_ON)
            return result;
    }
    return check_operands(&parser, out_operands);
}

// Words of `text` from column `indent` on, broken before column 80. The cursor stands at `column`.
static void print_wrapped(FILE *out, const char *text, int indent, int column) {
    while (*text != '\0') {
        int length = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + length > 80) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", length, text);
        column += length;
        text += length;
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

// "stop after STAGE: graph, tile (default), llvm", in the arena.
static const char *help_of(const parser_t *parser, const cli_option_t *option, const char *usual) {
    if (option->choices == NULL ||
        (option->value_name != NULL && strcmp(option->value_name, option->choices) == 0))
        return option->help;
    const char *text = option->help, *choice = option->choices;
    for (const char *joint = ": "; *choice != '\0'; joint = ", ") {
        int length = (int)strcspn(choice, "|");
        bool is_usual = usual != NULL && strlen(usual) == (size_t)length &&
                        strncmp(usual, choice, (size_t)length) == 0;
        text = arena_printf(parser->arena, "%s%s%.*s%s", text, joint, length, choice,
                            is_usual ? " (default)" : "");
        choice += length + (choice[length] == '|');
    }
    return text;
}

static void print_option(FILE *out, const cli_option_t *option, const char *help) {
    enum { INDENT = 30 };
    char head[128];
    int n = snprintf(head, sizeof head, "  %c%c%s", option->short_name ? '-' : ' ',
                     option->short_name ? option->short_name : ' ',
                     option->long_name == NULL ? "" : (option->short_name ? ", " : "  "));
    const char *value = option->value_name == NULL ? "VALUE" : option->value_name;
    if (option->long_name != NULL)
        n += snprintf(head + n, sizeof head - (size_t)n, "--%s", option->long_name);
    if (option->kind == CLI_OPTIONAL_TEXT)
        n += snprintf(head + n, sizeof head - (size_t)n, "[=%s]", value);
    else if (option->kind != CLI_FLAG)
        n += snprintf(head + n, sizeof head - (size_t)n, "%c%s", option->long_name ? '=' : ' ',
                      value);
    fputs(head, out);
    if (n + 2 > INDENT) {
        fputc('\n', out);
        n = 0;
    }
    fprintf(out, "%*s", INDENT - n, "");
    print_wrapped(out, help, INDENT, INDENT);
}

static void print_help(const parser_t *parser) {
    const cli_program_t *program = parser->program;
    FILE *out = parser->out;
    fprintf(out, "Usage: %s [OPTION]...%s%s\n", program->name, program->operands ? " " : "",
            program->operands ? program->operands : "");
    print_wrapped(out, program->summary, 0, 0);
    fputc('\n', out);
    for (size_t i = 0; i < program->n_options + 2; i++) {
        const cli_option_t *option = option_at(program, i);
        const char *usual = i < program->n_options ? parser->defaults[i] : NULL;
        if (option->help == NULL)
            continue;
        if (option->kind == CLI_HEADING)
            fprintf(out, "%s%s:\n", i == 0 ? "" : "\n", option->help);
        else
            print_option(out, option, help_of(parser, option, usual));
    }
    fputs("\nExit codes: 0 success, 1 failure, 2 wrong usage.\n", out);
    if (program->epilogue != NULL)
        fprintf(out, "%s\n", program->epilogue);
}

// --- Begin and end ---

void cli_guard_streams(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY); // the lowest that is free: fd
}

int cli_finish(const char *program, FILE *out, FILE *err, int code) {
    bool lost = ferror(out) != 0;
    int why = fflush(out) != 0 ? errno : 0;
    if (!lost && why == 0)
        return code;
    fprintf(err, "%s: cannot write the output%s%s\n", program, why != 0 ? ": " : "",
            why != 0 ? strerror(why) : "");
    return code == CLI_EXIT_OK ? CLI_EXIT_FAILURE : code;
}
