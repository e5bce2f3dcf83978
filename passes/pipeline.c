// SPDX-License-Identifier: Apache-2.0
// The runner of the line of passes in pass.h: after each pass it verifies the module, and where
// asked for dumps it, proves that its text reads back, and stops. Not to be confused with the pass
// named `pipeline`, which is in pipeline_slots.c.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "passes/pass.h"

const pass_info_t pass_table[] = {
#define PASS_ROW(name_, level_, meaning_)                                                          \
    {.name = #name_, .run = pass_##name_, .min_opt_level = level_, .meaning = meaning_},
    PASS_LINE(PASS_ROW)
#undef PASS_ROW
};
const size_t pass_n_table = COUNT_OF(pass_table);

typedef struct run {
    const pass_options_t *options;
    ir_module_t *m;
    diag_t *diag;
    FILE *stream; // of dumps and the table of times
    double pass_seconds[COUNT_OF(pass_table)], verify_seconds[COUNT_OF(pass_table)];
    bool ran[COUNT_OF(pass_table)], changed[COUNT_OF(pass_table)];
} run_t;

static double now_seconds(void) {
    struct timespec t;
    (void)timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static status_t find_pass(diag_t *diag, const char *name, size_t *out_index) {
    for (size_t i = 0; i < pass_n_table; i++) {
        if (strcmp(pass_table[i].name, name) == 0) {
            *out_index = i;
            return STATUS_OK;
        }
    }
    return DIAG_FAIL(diag, STATUS_INVALID, NULL, NULL, "there is no pass '%s'", name);
}

// --- Dumps ---------------------------------------------------------------------------------------

static status_t open_dump(run_t *r, size_t index, const char *suffix, FILE **out_file) {
    char path[1024];
    int n = snprintf(path, sizeof path, "%s/%02zu-%s.%s", r->options->dump_dir, index + 1,
                     pass_table[index].name, suffix);
    *out_file = n > 0 && (size_t)n < sizeof path ? fopen(path, "wb") : NULL;
    if (*out_file == NULL)
        return DIAG_FAIL(r->diag, STATUS_IO, NULL, NULL, "cannot write %s", path);
    return STATUS_OK;
}

static status_t close_dump(run_t *r, FILE *file) {
    bool bad = ferror(file) != 0;
    if (fclose(file) != 0 || bad)
        return DIAG_FAIL(r->diag, STATUS_IO, NULL, NULL, "cannot write a dump to %s",
                         r->options->dump_dir);
    return STATUS_OK;
}

static status_t dump_to_dir(run_t *r, size_t index) {
    FILE *text, *sidecar;
    RETURN_IF_ERROR(open_dump(r, index, "ir", &text));
    status_t status = open_dump(r, index, "blobs", &sidecar);
    if (status == STATUS_OK) {
        ir_print(r->m, text, sidecar);
        status = close_dump(r, sidecar);
    }
    status_t closed = close_dump(r, text);
    return status != STATUS_OK ? status : closed;
}

static status_t dump(run_t *r, size_t index) {
    const char *after = r->options->dump_after;
    if (after == NULL || (strcmp(after, "all") != 0 && strcmp(after, pass_table[index].name) != 0))
        return STATUS_OK;
    if (r->options->dump_dir != NULL)
        return dump_to_dir(r, index);
    fprintf(r->stream, "// after %s\n", pass_table[index].name);
    ir_print(r->m, r->stream, NULL);
    return STATUS_OK;
}

// --- Round trip ----------------------------------------------------------------------------------

typedef struct text {
    char *data;
    size_t length;
} text_t;

// The module's text, and its blobs in `sidecar` (NULL: not wanted). Freed by the caller.
static status_t print_text(run_t *r, const ir_module_t *m, FILE *sidecar, text_t *out) {
    FILE *file = tmpfile();
    *out = (text_t){0};
    if (file == NULL)
        return DIAG_FAIL(r->diag, STATUS_IO, NULL, NULL, "no temporary file for the round trip");
    ir_print(m, file, sidecar);
    long length = ftell(file);
    if (length >= 0)
        out->data = malloc((size_t)length + 1);
    if (out->data != NULL) {
        rewind(file);
        out->length = fread(out->data, 1, (size_t)length, file);
        out->data[out->length] = 0;
    }
    (void)fclose(file);
    return out->data != NULL ? STATUS_OK
                             : DIAG_FAIL(r->diag, STATUS_NO_MEMORY, NULL, NULL, "out of memory");
}

static status_t report_difference(run_t *r, const char *how, const char *a, const char *b) {
    size_t line = 1, start = 0, i = 0;
    for (; a[i] != 0 && a[i] == b[i]; i++) {
        if (a[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    return DIAG_FAIL(r->diag, STATUS_INTERNAL, NULL, NULL,
                     "%s changed the module at line %zu: '%.*s' became '%.*s'", how, line,
                     (int)strcspn(a + start, "\n"), a + start, (int)strcspn(b + start, "\n"),
                     b + start);
}

static status_t compare_text(run_t *r, const char *how, const ir_module_t *copy,
                             const text_t *text) {
    text_t again;
    RETURN_IF_ERROR(print_text(r, copy, NULL, &again));
    status_t status = STATUS_OK;
    if (strcmp(text->data, again.data) != 0)
        status = report_difference(r, how, text->data, again.data);
    free(again.data);
    return status;
}

static status_t check_parse(run_t *r, FILE *sidecar) {
    text_t text;
    ir_module_t *copy = NULL;
    RETURN_IF_ERROR(print_text(r, r->m, sidecar, &text));
    rewind(sidecar);
    status_t status = ir_parse(text.data, text.length, "round trip", sidecar, r->diag, &copy);
    if (status == STATUS_OK) {
        status = compare_text(r, "printing and parsing", copy, &text);
        ir_module_destroy(copy);
    }
    if (status == STATUS_OK) {
        copy = ir_module_clone(r->m);
        status = copy == NULL ? DIAG_FAIL(r->diag, STATUS_NO_MEMORY, NULL, NULL, "out of memory")
                              : compare_text(r, "cloning", copy, &text);
        ir_module_destroy(copy);
    }
    free(text.data);
    return status;
}

static status_t check_round_trip(run_t *r) {
    if (!r->options->check_round_trip)
        return STATUS_OK;
    FILE *sidecar = tmpfile();
    if (sidecar == NULL)
        return DIAG_FAIL(r->diag, STATUS_IO, NULL, NULL, "no temporary file for the round trip");
    status_t status = check_parse(r, sidecar);
    (void)fclose(sidecar);
    return status;
}

// --- Running -------------------------------------------------------------------------------------

static status_t run_pass(run_t *r, size_t index) {
    arena_t scratch;
    arena_init(&scratch);
    pass_context_t pc = {.options = r->options, .scratch = &scratch, .diag = r->diag};
    double start = now_seconds();
    status_t status = pass_table[index].run(&pc, r->m);
    double end = now_seconds();
    arena_deinit(&scratch);
    if (status == STATUS_OK)
        status = ir_verify(r->m, r->diag);
    r->pass_seconds[index] = end - start;
    r->verify_seconds[index] = now_seconds() - end;
    r->ran[index] = true;
    r->changed[index] = pc.changed;
    status_t dumped = dump(r, index); // also what the verifier refused: that is when it is needed
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(dumped);
    return check_round_trip(r);
}

static void print_times(const run_t *r) {
    double pass = 0, verify = 0;
    fprintf(r->stream, "%-14s %10s %10s\n", "pass", "ms", "verify ms");
    for (size_t i = 0; i < pass_n_table; i++) {
        if (!r->ran[i])
            continue;
        fprintf(r->stream, "%-14s %10.3f %10.3f%s\n", pass_table[i].name, r->pass_seconds[i] * 1e3,
                r->verify_seconds[i] * 1e3, r->changed[i] ? "" : "  (no change)");
        pass += r->pass_seconds[i];
        verify += r->verify_seconds[i];
    }
    fprintf(r->stream, "%-14s %10.3f %10.3f\n", "total", pass * 1e3, verify * 1e3);
}

static status_t run_line(run_t *r, size_t first, size_t last) {
    diag_where_t outer = r->diag->context;
    status_t status = STATUS_OK;
    for (size_t i = first; i <= last && status == STATUS_OK; i++) {
        if (pass_table[i].min_opt_level > r->options->opt_level)
            continue;
        r->diag->context.pass = pass_table[i].name;
        status = run_pass(r, i);
    }
    r->diag->context = outer;
    return status;
}

status_t pass_run(const pass_options_t *options, ir_module_t *m, const char *first, diag_t *diag) {
    size_t from = 0, to = pass_n_table - 1, dumped;
    if (first != NULL)
        RETURN_IF_ERROR(find_pass(diag, first, &from));
    if (options->stop_after != NULL)
        RETURN_IF_ERROR(find_pass(diag, options->stop_after, &to));
    if (options->dump_after != NULL && strcmp(options->dump_after, "all") != 0)
        RETURN_IF_ERROR(find_pass(diag, options->dump_after, &dumped));
    run_t r = {.options = options, .m = m, .diag = diag, .stream = options->dump_stream};
    if (r.stream == NULL)
        r.stream = stderr;
    status_t status = run_line(&r, from, to);
    if (options->time_passes)
        print_times(&r);
    return status;
}
