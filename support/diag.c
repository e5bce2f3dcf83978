// SPDX-License-Identifier: Apache-2.0
#include "support/diag.h"

#include <string.h>

#include "support/map.h"
#include "support/strbuf.h"

void diag_init(diag_t *diag) {
    *diag = (diag_t){0};
    arena_init(&diag->arena);
}

void diag_deinit(diag_t *diag) {
    arena_deinit(&diag->arena);
    *diag = (diag_t){0};
}

static const char *copy_or(diag_t *diag, const char *text, const char *fallback) {
    if (text == NULL)
        text = fallback;
    return text == NULL ? NULL : arena_strdup(&diag->arena, text);
}

static diag_where_t resolve_where(diag_t *diag, const diag_where_t *where) {
    static const diag_where_t nowhere = {0};
    const diag_where_t *context = &diag->context;
    if (where == NULL)
        where = &nowhere;
    return (diag_where_t){
        .model = copy_or(diag, where->model, context->model),
        .node = copy_or(diag, where->node, context->node),
        .op = copy_or(diag, where->op, context->op),
        .tensor = copy_or(diag, where->tensor, context->tensor),
        .pass = copy_or(diag, where->pass, context->pass),
        .line = where->line != 0 ? where->line : context->line,
    };
}

status_t diag_report(diag_t *diag, diag_severity_t severity, status_t code,
                     const diag_where_t *where, const char *hint, const char *file, int source_line,
                     const char *format, ...) {
    diag_entry_t *entry = ARENA_NEW(&diag->arena, diag_entry_t);
    va_list args;
    va_start(args, format);
    entry->message = arena_vprintf(&diag->arena, format, args);
    va_end(args);
    entry->severity = severity;
    entry->code = code;
    entry->where = resolve_where(diag, where);
    entry->hint = copy_or(diag, hint, NULL);
    entry->file = file;
    entry->source_line = source_line;
    if (diag->last == NULL)
        diag->first = entry;
    else
        diag->last->next = entry;
    diag->last = entry;
    diag->n_errors += severity == DIAG_ERROR;
    diag->n_warnings += severity == DIAG_WARNING;
    return code;
}

// Names come from files we do not trust: a control byte must neither break the line nor reach the
// terminal.
static void add_visible(strbuf_t *buf, const char *text) {
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            strbuf_printf(buf, "\\x%02x", c);
        else
            strbuf_add_bytes(buf, text, 1);
    }
}

static void add_quoted(strbuf_t *buf, const char *label, const char *name) {
    strbuf_printf(buf, "%s '", label);
    add_visible(buf, name);
    strbuf_add(buf, "'");
}

static void add_place(strbuf_t *buf, const diag_where_t *where) {
    if (where->model != NULL) {
        add_visible(buf, where->model);
        strbuf_add(buf, ": ");
    }
    if (where->line != 0)
        strbuf_printf(buf, "line %d: ", where->line);
    if (where->pass != NULL) {
        add_quoted(buf, "pass", where->pass);
        strbuf_add(buf, ": ");
    }
    if (where->node != NULL || where->op != NULL) {
        if (where->node != NULL)
            add_quoted(buf, "node", where->node);
        if (where->op != NULL) {
            strbuf_add(buf, where->node != NULL ? " (" : "op ");
            add_visible(buf, where->op);
            strbuf_add(buf, where->node != NULL ? ")" : "");
        }
        strbuf_add(buf, ": ");
    }
    if (where->tensor != NULL) {
        add_quoted(buf, "tensor", where->tensor);
        strbuf_add(buf, ": ");
    }
}

static void add_entry(strbuf_t *buf, const diag_entry_t *entry, const char *program, bool verbose) {
    static const char *const severity_text[] = {
        [DIAG_ERROR] = "error", [DIAG_WARNING] = "warning", [DIAG_NOTE] = "note"};
    if (program != NULL)
        strbuf_printf(buf, "%s: ", program);
    strbuf_printf(buf, "%s: ", severity_text[entry->severity]);
    add_place(buf, &entry->where);
    add_visible(buf, entry->message);
    if (verbose && entry->file != NULL)
        strbuf_printf(buf, " [%s:%d]", entry->file, entry->source_line);
    strbuf_add(buf, "\n");
    if (entry->hint != NULL) {
        strbuf_add(buf, "    hint: ");
        add_visible(buf, entry->hint);
        strbuf_add(buf, "\n");
    }
}

void diag_print(const diag_t *diag, FILE *stream, const char *program, bool verbose) {
    arena_t arena;
    arena_init(&arena);
    map_t printed;
    map_init(&printed, &arena);
    strbuf_t line;
    strbuf_init(&line);
    for (const diag_entry_t *entry = diag->first; entry != NULL; entry = entry->next) {
        uintptr_t seen;
        line.length = 0;
        add_entry(&line, entry, program, verbose);
        if (map_get(&printed, line.text, line.length, &seen))
            continue;
        map_put(&printed, line.text, line.length, 1);
        fwrite(line.text, 1, line.length, stream);
    }
    strbuf_deinit(&line);
    arena_deinit(&arena);
}
