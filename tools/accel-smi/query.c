// SPDX-License-Identifier: Apache-2.0
// Questions by field: CSV, JSON and the tree of -q.
#include <ctype.h>
#include <string.h>

#include "tools/accel-smi/smi.h"
#include "tools/common/cli.h"
#include "tools/common/json.h"

#define MAX_COLUMNS 128u

// --- Pieces ---

// Cells that would be misread are quoted.
static void put_cell(FILE *out, const char *text) {
    if (strpbrk(text, ",\"\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != 0; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void put_head(FILE *out, size_t column, const char *name, const char *unit) {
    fprintf(out, "%s%s", column > 0 ? ", " : "", name);
    if (unit[0] != 0)
        fprintf(out, " [%s]", unit);
}

static void put_json(json_t *json, const char *key, const value_t *value) {
    double number = (double)value->whole;
    switch (value->kind) {
    case VALUE_TEXT:
        json_text(json, key, value->text);
        break;
    case VALUE_NUMBER:
        if (value->decimals == 0 && !value->negative) {
            json_u64(json, key, value->whole);
            break;
        }
        number += (double)value->fraction / (value->decimals == 1 ? 10 : 100);
        json_f64(json, key, value->negative ? -number : number);
        break;
    default:
        json_null(json, key);
        break;
    }
}

static size_t find_field(const char *name) {
    const field_t *field = smi_field(name);
    return field != NULL ? (size_t)(field - smi_fields) : SIZE_MAX;
}

static size_t find_process_field(const char *name) {
    for (size_t i = 0; i < smi_n_process_fields; i++)
        if (strcmp(smi_process_fields[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

static void unknown_field(smi_t *smi, const char *option, const char *name, bool of_card) {
    size_t n_names = of_card ? smi_n_fields : smi_n_process_fields;
    const char **names = ARENA_ARRAY(smi->arena, const char *, n_names);
    for (size_t i = 0; i < n_names; i++)
        names[i] = of_card ? smi_fields[i].name : smi_process_fields[i].name;
    const char *meant = cli_did_you_mean(name, names, n_names);
    fprintf(smi->world->err, "accel-smi: %s: there is no field '%s'", option, name);
    if (meant != NULL)
        fprintf(smi->world->err, "; did you mean '%s'?", meant);
    fprintf(smi->world->err, "\n--help-%s lists them.\n", option + 2);
}

// Splits "a,b,c"; each name's place in a table by `find`, which is SIZE_MAX for none.
static bool parse_columns(smi_t *smi, const char *list, size_t (*find)(const char *name),
                          const char *option, size_t *out_columns, size_t *out_n) {
    char *copy = arena_strdup(smi->arena, list);
    *out_n = 0;
    for (char *name = copy; name != NULL;) {
        char *comma = strchr(name, ',');
        if (comma != NULL)
            *comma++ = 0;
        while (isspace((unsigned char)*name))
            name++;
        size_t column = find(name);
        if (column == SIZE_MAX || *out_n == MAX_COLUMNS) {
            unknown_field(smi, option, name, find == find_field);
            return false;
        }
        out_columns[(*out_n)++] = column;
        name = comma;
    }
    return true;
}

// CSV, if nothing is said.
static void choose_format(smi_t *smi) {
    if (!smi->format.csv && !smi->format.json)
        smi->format.csv = smi->format.header = smi->format.units = true;
}

// --- --query-card ---

static void put_card(smi_t *smi, json_t *json, const card_t *card, const size_t *columns,
                     size_t n_columns) {
    FILE *out = smi->world->out;
    if (smi->format.json)
        json_object_begin(json, NULL);
    for (size_t i = 0; i < n_columns; i++) {
        const field_t *field = &smi_fields[columns[i]];
        value_t value = field->get(card);
        if (smi->format.json) {
            put_json(json, field->name, &value);
            continue;
        }
        fputs(i > 0 ? ", " : "", out);
        put_cell(out, smi_value_text(smi, &value, smi->format.units ? field->unit : NULL));
    }
    if (smi->format.json)
        json_end(json);
    else
        fputc('\n', out);
}

static bool wants_use(const size_t *columns, size_t n_columns) {
    for (size_t i = 0; i < n_columns; i++)
        if (smi_fields[columns[i]].section == SECTION_UTILIZATION)
            return true;
    return false;
}

// Units once, beside the cards.
static void put_units(json_t *json, const size_t *columns, size_t n_columns) {
    json_object_begin(json, "units");
    for (size_t i = 0; i < n_columns; i++)
        if (smi_fields[columns[i]].unit[0] != 0)
            json_text(json, smi_fields[columns[i]].name, smi_fields[columns[i]].unit);
    json_end(json);
}

static int put_cards(smi_t *smi, const size_t *columns, size_t n_columns) {
    accel_error_t error = {0};
    json_t json;
    card_t *cards = ARENA_ARRAY(smi->arena, card_t, smi->n_selected);
    bool use = wants_use(columns, n_columns);
    accel_status_t status = use ? card_prepare(smi, &error) : ACCEL_OK;
    for (size_t i = 0; i < smi->n_selected && status == ACCEL_OK; i++)
        status = card_look(smi, smi->selected[i], use, false, &cards[i], &error);
    if (status != ACCEL_OK)
        return smi_fail(smi, status, &error);
    if (smi->format.json) {
        json_init(&json, smi->world->out);
        json_object_begin(&json, NULL);
        put_units(&json, columns, n_columns);
        json_array_begin(&json, "cards");
    } else if (smi->format.header && !smi->shown) {
        for (size_t i = 0; i < n_columns; i++)
            put_head(smi->world->out, i, smi_fields[columns[i]].name, smi_fields[columns[i]].unit);
        fputc('\n', smi->world->out);
    }
    smi->shown = true;
    for (size_t i = 0; i < smi->n_selected; i++)
        put_card(smi, &json, &cards[i], columns, n_columns);
    if (smi->format.json) {
        json_end(&json);
        json_end(&json);
    }
    return CLI_EXIT_OK;
}

int smi_show_query(smi_t *smi) {
    size_t columns[MAX_COLUMNS], n_columns;
    choose_format(smi);
    if (!parse_columns(smi, smi->options.query_card, find_field, "--query-card", columns,
                       &n_columns))
        return CLI_EXIT_USAGE;
    return put_cards(smi, columns, n_columns);
}

// --- --query-processes ---

static void put_process(smi_t *smi, json_t *json, const card_t *card,
                        const accel_process_t *process, const size_t *columns, size_t n_columns) {
    FILE *out = smi->world->out;
    if (smi->format.json)
        json_object_begin(json, NULL);
    for (size_t i = 0; i < n_columns; i++) {
        const process_field_t *field = &smi_process_fields[columns[i]];
        value_t value = field->get(card, process);
        if (smi->format.json) {
            put_json(json, field->name, &value);
            continue;
        }
        fputs(i > 0 ? ", " : "", out);
        put_cell(out, smi_value_text(smi, &value, smi->format.units ? field->unit : NULL));
    }
    if (smi->format.json)
        json_end(json);
    else
        fputc('\n', out);
}

static accel_status_t put_processes(smi_t *smi, json_t *json, const size_t *columns,
                                    size_t n_columns, accel_error_t *error) {
    for (size_t i = 0; i < smi->n_selected; i++) {
        card_t card;
        accel_status_t status = card_look(smi, smi->selected[i], false, true, &card, error);
        if (status != ACCEL_OK)
            return status;
        for (uint32_t k = 0; k < card.n_processes; k++)
            put_process(smi, json, &card, &card.processes[k], columns, n_columns);
    }
    return ACCEL_OK;
}

int smi_show_process_query(smi_t *smi) {
    size_t columns[MAX_COLUMNS], n_columns;
    accel_error_t error = {0};
    json_t json;
    choose_format(smi);
    if (!parse_columns(smi, smi->options.query_processes, find_process_field, "--query-processes",
                       columns, &n_columns))
        return CLI_EXIT_USAGE;
    if (smi->format.json) {
        json_init(&json, smi->world->out);
        json_object_begin(&json, NULL);
        json_array_begin(&json, "processes");
    } else if (smi->format.header && !smi->shown) {
        for (size_t i = 0; i < n_columns; i++)
            put_head(smi->world->out, i, smi_process_fields[columns[i]].name,
                     smi_process_fields[columns[i]].unit);
        fputc('\n', smi->world->out);
    }
    smi->shown = true;
    accel_status_t status = put_processes(smi, &json, columns, n_columns, &error);
    if (smi->format.json) {
        json_end(&json);
        json_end(&json);
    }
    return status == ACCEL_OK ? CLI_EXIT_OK : smi_fail(smi, status, &error);
}

// --- -q ---

static bool in_display(const char *display, const char *section) {
    size_t length = strlen(section);
    if (display == NULL)
        return true;
    for (const char *at = display; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        size_t i = 0;
        while (i < length && toupper((unsigned char)at[i]) == section[i])
            i++;
        if (i == length && (at[i] == 0 || at[i] == ','))
            return true;
    }
    return false;
}

static bool display_valid(smi_t *smi) {
    const char *display = smi->options.display;
    size_t n_wanted = 1, n_found = in_display(display, "PROCESSES");
    if (display == NULL)
        return true;
    for (const char *at = display; *at != 0; at++)
        n_wanted += *at == ',';
    for (int i = 0; i < N_SECTIONS; i++)
        n_found += in_display(display, smi_section_name((section_t)i));
    if (n_found == n_wanted)
        return true;
    fprintf(smi->world->err, "accel-smi: --display: '%s' is not a list of ", display);
    for (int i = 0; i < N_SECTIONS; i++)
        fprintf(smi->world->err, "%s,", smi_section_name((section_t)i));
    fputs("PROCESSES\n", smi->world->err);
    return false;
}

static void put_line(FILE *out, int indent, const char *title, const char *text) {
    fprintf(out, "%*s%-*s : %s\n", indent, "", 34 - indent, title, text);
}

static void put_tree(smi_t *smi, const card_t *card) {
    FILE *out = smi->world->out;
    fprintf(out, "\nCard %u\n", card->info.index);
    for (int s = 0; s < N_SECTIONS; s++) {
        if (!in_display(smi->options.display, smi_section_name((section_t)s)))
            continue;
        fprintf(out, "    %s\n", smi_section_title((section_t)s));
        for (size_t i = 0; i < smi_n_fields; i++) {
            const field_t *field = &smi_fields[i];
            value_t value = field->get(card);
            if (field->section == (section_t)s)
                put_line(out, 8, field->title, smi_value_text(smi, &value, field->unit));
        }
    }
    if (!in_display(smi->options.display, "PROCESSES"))
        return;
    fprintf(out, "    Processes%s\n",
            card->n_processes == 0 ? "                          : None" : "");
    for (uint32_t k = 0; k < card->n_processes; k++) {
        value_t pid = {.kind = VALUE_NUMBER, .whole = card->processes[k].pid};
        put_line(out, 8, "Process ID", smi_value_text(smi, &pid, NULL));
        for (size_t i = 1; i < smi_n_process_fields; i++) {
            const process_field_t *field = &smi_process_fields[i];
            value_t value = field->get(card, &card->processes[k]);
            if (strncmp(field->name, "card_", 5) != 0)
                put_line(out, 12, field->name, smi_value_text(smi, &value, field->unit));
        }
    }
}

// As JSON: all fields of the sections.
static int put_tree_json(smi_t *smi) {
    size_t columns[MAX_COLUMNS], n_columns = 0;
    for (size_t i = 0; i < smi_n_fields; i++)
        if (in_display(smi->options.display, smi_section_name(smi_fields[i].section)))
            columns[n_columns++] = i;
    return put_cards(smi, columns, n_columns);
}

int smi_show_tree(smi_t *smi) {
    accel_error_t error = {0};
    if (!display_valid(smi))
        return CLI_EXIT_USAGE;
    if (smi->format.json || smi->format.csv)
        return put_tree_json(smi);
    bool use = in_display(smi->options.display, "UTILIZATION");
    accel_status_t status = use ? card_prepare(smi, &error) : ACCEL_OK;
    for (size_t i = 0; i < smi->n_selected && status == ACCEL_OK; i++) {
        card_t card;
        status = card_look(smi, smi->selected[i], use, true, &card, &error);
        if (status == ACCEL_OK)
            put_tree(smi, &card);
    }
    return status == ACCEL_OK ? CLI_EXIT_OK : smi_fail(smi, status, &error);
}

// --- --help-query-card ---

static void put_help(FILE *out, const char *name, const char *unit, const char *help) {
    fprintf(out, "%-26s %-7s %s\n", name, unit, help);
}

int smi_show_help(smi_t *smi, bool process) {
    FILE *out = smi->world->out;
    if (process) {
        for (size_t i = 0; i < smi_n_process_fields; i++)
            put_help(out, smi_process_fields[i].name, smi_process_fields[i].unit,
                     smi_process_fields[i].help);
        return CLI_EXIT_OK;
    }
    for (int s = 0; s < N_SECTIONS; s++) {
        fprintf(out, "%s%s (-q -d %s)\n", s > 0 ? "\n" : "", smi_section_title((section_t)s),
                smi_section_name((section_t)s));
        for (size_t i = 0; i < smi_n_fields; i++)
            if (smi_fields[i].section == (section_t)s)
                put_help(out, smi_fields[i].name, smi_fields[i].unit, smi_fields[i].help);
    }
    return CLI_EXIT_OK;
}
