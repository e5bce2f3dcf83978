// SPDX-License-Identifier: Apache-2.0
// pass_test [--rewrite] FILE.ir ...: golden tests of passes.
//
// A file holds cases. Each is
//     // pass: <name> [<name> ...]
//     <module>
//     // expect:
//     <module>                      or  // error: <text>  (one line each, in any order)
// The passes run in the order given, each followed by the verifier and a round trip through text
// and clone. --rewrite puts what came out in place of what was expected: read the diff.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "passes/pass.h"
#include "support/file.h"
#include "support/strbuf.h"

enum { MAX_PASSES = 16 };

typedef struct test_case {
    char *passes;   // names, separated by blanks
    char *input;    // module text
    char *expected; // module text or error lines
} test_case_t;

static char *slice(const char *from, const char *to) {
    size_t n = (size_t)(to - from);
    char *text = malloc(n + 1);
    if (text == NULL)
        abort();
    memcpy(text, from, n);
    text[n] = 0;
    return text;
}

static const char *line_end(const char *p) {
    const char *end = strchr(p, '\n');
    return end != NULL ? end + 1 : p + strlen(p);
}

// Reads one case from *at; false when none is left.
static bool next_case(const char **at, test_case_t *out) {
    static const char head[] = "// pass:", middle[] = "// expect:\n";
    const char *start = strstr(*at, head);
    if (start == NULL)
        return false;
    const char *names = start + strlen(head), *body = line_end(names);
    const char *expect = strstr(body, middle);
    if (expect == NULL)
        return false;
    const char *text = expect + strlen(middle), *next = strstr(text, head);
    if (next == NULL)
        next = text + strlen(text);
    *out = (test_case_t){.passes = slice(names, body - 1),
                         .input = slice(body, expect),
                         .expected = slice(text, next)};
    *at = next;
    return true;
}

static status_t run_passes(char *names, ir_module_t *m, diag_t *diag) {
    pass_options_t options = {
        .profile = isa_profile_find("edge"), .opt_level = 2, .check_round_trip = true};
    char *rest = NULL;
    for (char *name = strtok_r(names, " ", &rest); name != NULL;
         name = strtok_r(NULL, " ", &rest)) {
        options.stop_after = name;
        RETURN_IF_ERROR(pass_run(&options, m, name, diag));
    }
    return STATUS_OK;
}

static void print_module(const ir_module_t *m, strbuf_t *out) {
    FILE *file = tmpfile();
    char buffer[4096];
    size_t n;
    if (file == NULL)
        abort();
    ir_print(m, file, NULL);
    rewind(file);
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0)
        strbuf_add_bytes(out, buffer, n);
    (void)fclose(file);
}

// Modelled cycles go with every figure of a profile: what was chosen is tested, not what it costs.
static void forget_cycles(ir_module_t *m) {
    for (ir_op_t *op = m->funcs->body->block->first; op != NULL; op = op->next)
        if (op->code == IR_kernel)
            ir_remove_attr(op, "cycles");
}

static void print_errors(const diag_t *diag, strbuf_t *out) {
    for (const diag_entry_t *e = diag->first; e != NULL; e = e->next) {
        if (e->severity != DIAG_ERROR)
            continue;
        strbuf_add(out, "// error: ");
        if (e->where.node != NULL)
            strbuf_printf(out, "%s: ", e->where.node);
        strbuf_printf(out, "%s\n", e->message);
    }
}

// What the passes make of the input: a module's text, or the errors.
static void run_case(const char *path, test_case_t *c, strbuf_t *out) {
    diag_t diag;
    ir_module_t *m = NULL;
    diag_init(&diag);
    status_t status = ir_parse(c->input, strlen(c->input), path, NULL, &diag, &m);
    if (status == STATUS_OK)
        status = ir_verify(m, &diag);
    if (status == STATUS_OK)
        status = run_passes(c->passes, m, &diag);
    if (status == STATUS_OK) {
        forget_cycles(m);
        print_module(m, out);
    } else {
        print_errors(&diag, out);
    }
    ir_module_destroy(m);
    diag_deinit(&diag);
}

static void show_difference(const char *path, int number, const char *expected, const char *got) {
    size_t line = 1, i = 0, start = 0;
    for (; expected[i] != 0 && expected[i] == got[i]; i++) {
        if (expected[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    printf("%s: case %d, line %zu of the result\n  expected: %.*s\n  got:      %.*s\n", path,
           number, line, (int)strcspn(expected + start, "\n"), expected + start,
           (int)strcspn(got + start, "\n"), got + start);
}

// Text without blank lines at its end.
static void trim(char *text) {
    size_t n = strlen(text);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    text[n] = 0;
}

static void free_case(test_case_t *c) {
    free(c->passes);
    free(c->input);
    free(c->expected);
}

static bool write_file(const char *path, const strbuf_t *text) {
    file_out_t file;
    if (file_out_open(path, &file) != STATUS_OK)
        return false;
    (void)fwrite(text->text, 1, text->length, file.stream);
    return file_out_commit(&file) == STATUS_OK;
}

static int test_file(const char *path, bool rewrite) {
    file_map_t map;
    test_case_t c;
    strbuf_t all;
    int n = 0, failures = 0;
    if (file_map_open(path, &map) != STATUS_OK) {
        printf("%s: cannot be read\n", path);
        return 1;
    }
    char *text = slice((const char *)map.data, (const char *)map.data + map.bytes);
    file_map_close(&map);
    const char *at = text, *first = strstr(text, "// pass:");
    strbuf_init(&all);
    strbuf_add_bytes(&all, text, first != NULL ? (size_t)(first - text) : 0);
    while (next_case(&at, &c)) {
        strbuf_t got;
        strbuf_init(&got);
        strbuf_printf(&all, "// pass:%s\n%s// expect:\n", c.passes, c.input);
        run_case(path, &c, &got);
        strbuf_add(&got, "");
        strbuf_printf(&all, "%s\n", got.text);
        trim(got.text);
        trim(c.expected);
        n++;
        if (strcmp(got.text, c.expected) != 0) {
            failures++;
            if (!rewrite)
                show_difference(path, n, c.expected, got.text);
        }
        strbuf_deinit(&got);
        free_case(&c);
    }
    if (rewrite && failures > 0 && !write_file(path, &all))
        printf("%s: cannot be written\n", path);
    printf("%s: %d cases, %d %s\n", path, n, failures, rewrite ? "rewritten" : "failed");
    strbuf_deinit(&all);
    free(text);
    return rewrite ? 0 : failures + (n == 0);
}

int main(int argc, char **argv) {
    bool rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    int failures = 0;
    for (int i = rewrite ? 2 : 1; i < argc; i++)
        failures += test_file(argv[i], rewrite);
    return failures == 0 && argc > 1 ? 0 : 1;
}
