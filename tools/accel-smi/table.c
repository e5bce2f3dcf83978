// SPDX-License-Identifier: Apache-2.0
// The table of the bare command, and the list.
#include <string.h>

#include "tools/accel-smi/smi.h"
#include "tools/common/cli.h"

// Inner widths of the columns.
enum {
    W_CARD = 50,
    W_POWER = 28,
    W_MEMORY = 27,
    W_USE = 13,
    W_ALL = W_CARD + W_POWER + W_MEMORY + W_USE + 3
};

static void repeat(FILE *out, char c, int count) {
    for (int i = 0; i < count; i++)
        fputc(c, out);
}

static void rule(FILE *out, char line, bool columns) {
    const int widths[] = {W_CARD, W_POWER, W_MEMORY, W_USE};
    fputc('+', out);
    if (!columns)
        repeat(out, line, W_ALL);
    for (int i = 0; columns && i < 4; i++) {
        repeat(out, line, widths[i]);
        fputs(i < 3 ? "+" : "", out);
    }
    fputs("+\n", out);
}

static void row(FILE *out, const char *card, const char *power, const char *memory,
                const char *use) {
    fprintf(out, "|%-*.*s|%-*.*s|%*.*s |%*.*s |\n", W_CARD, W_CARD, card, W_POWER, W_POWER, power,
            W_MEMORY - 1, W_MEMORY - 1, memory, W_USE - 1, W_USE - 1, use);
}

// The text of a field, its unit close behind it.
static const char *cell(smi_t *smi, const card_t *card, const char *name) {
    const field_t *field = smi_field(name);
    value_t value = field->get(card);
    const char *text = smi_value_text(smi, &value, NULL);
    if (value.kind == VALUE_NONE)
        return "N/A";
    return field->unit[0] != 0 ? arena_printf(smi->arena, "%s%s", text, field->unit) : text;
}

static void put_title(smi_t *smi) {
    FILE *out = smi->world->out;
    const char *where = accel_manager_where(smi->manager);
    const char *driver = arena_printf(smi->arena, "Driver: %s%s%s, requests version %u",
                                      accel_manager_kind(smi->manager), where[0] != 0 ? " " : "",
                                      where, accel_manager_request_version());
    const char *tool = arena_printf(smi->arena, " accel-smi %s", accel_manager_version());
    rule(out, '-', false);
    fprintf(out, "|%-22s%*.*s |\n", tool, W_ALL - 23, W_ALL - 23, driver);
    rule(out, '-', true);
    row(out, " Card  Name                              Location", " Temp         Draw / Limit",
        "Memory used / total", "Comp  Copy");
    row(out, "       UUID", " Health               Clock", "ECC corr/uncorr, retired", "Processes");
    rule(out, '=', true);
}

static void put_card(smi_t *smi, const card_t *card) {
    arena_t *a = smi->arena;
    row(smi->world->out,
        arena_printf(a, " %-4u  %-33s %s", card->info.index, card->name, card->info.location),
        arena_printf(a, " %-6s %9s / %-8s", cell(smi, card, "temperature.card"),
                     cell(smi, card, "power.draw"), cell(smi, card, "power.limit")),
        arena_printf(a, "%s / %s", cell(smi, card, "memory.used"), cell(smi, card, "memory.total")),
        arena_printf(a, "%s %5s", cell(smi, card, "utilization.compute"),
                     cell(smi, card, "utilization.copy")));
    row(smi->world->out, arena_printf(a, "       %s", cell(smi, card, "uuid")),
        arena_printf(a, " %-13s %12s", card->health, cell(smi, card, "clocks.current")),
        arena_printf(a, "%s/%s, %s", cell(smi, card, "ecc.errors.corrected"),
                     cell(smi, card, "ecc.errors.uncorrected"),
                     cell(smi, card, "retired_pages.count")),
        arena_printf(a, "%u", card->n_processes));
    if (strcmp(card->health, "OK") != 0 && card->health_reason[0] != 0)
        fprintf(smi->world->out, "|%-*.*s|\n", W_ALL, W_ALL,
                arena_printf(a, "       %s: %s", card->health, card->health_reason));
    rule(smi->world->out, '-', true);
}

static void put_processes(smi_t *smi, const card_t *cards) {
    FILE *out = smi->world->out;
    size_t n_shown = 0;
    fputc('\n', out);
    rule(out, '-', false);
    fprintf(out, "|%-*s|\n", W_ALL,
            " Card       PID  Name              State    Contexts   Card memory   Host memory");
    rule(out, '=', false);
    for (size_t i = 0; i < smi->n_selected; i++) {
        for (uint32_t k = 0; k < cards[i].n_processes; k++) {
            const accel_process_t *p = &cards[i].processes[k];
            n_shown++;
            fprintf(out, "|%-*s|\n", W_ALL,
                    arena_printf(smi->arena, " %-4u %9llu  %-16s  %-8s %8u %10lluMiB %10lluMiB",
                                 cards[i].info.index, (unsigned long long)p->pid, p->name,
                                 p->state == ACCEL_PROCESS_READY  ? "Ready"
                                 : p->state == ACCEL_PROCESS_LOST ? "Lost"
                                                                  : "Banned",
                                 p->contexts, (unsigned long long)(p->memory_bytes >> 20),
                                 (unsigned long long)(p->host_bytes >> 20)));
        }
    }
    if (n_shown == 0)
        fprintf(out, "|%-*s|\n", W_ALL, " No process uses a card.");
    rule(out, '-', false);
}

int smi_show_table(smi_t *smi) {
    accel_error_t error = {0};
    card_t *cards = ARENA_ARRAY(smi->arena, card_t, smi->n_selected);
    accel_status_t status = card_prepare(smi, &error);
    for (size_t i = 0; i < smi->n_selected && status == ACCEL_OK; i++)
        status = card_look(smi, smi->selected[i], true, true, &cards[i], &error);
    if (status != ACCEL_OK)
        return smi_fail(smi, status, &error);
    put_title(smi);
    for (size_t i = 0; i < smi->n_selected; i++)
        put_card(smi, &cards[i]);
    put_processes(smi, cards);
    return CLI_EXIT_OK;
}

// --- The list ---

int smi_show_list(smi_t *smi) {
    accel_error_t error = {0};
    if (smi->format.json || smi->format.csv) {
        smi->options.query_card = "index,name,uuid,location,serial";
        return smi_show_query(smi);
    }
    for (size_t i = 0; i < smi->n_selected; i++) {
        card_t card;
        accel_status_t status = card_look(smi, smi->selected[i], false, false, &card, &error);
        if (status != ACCEL_OK)
            return smi_fail(smi, status, &error);
        fprintf(smi->world->out, "Card %u: %s (UUID: %s)\n", card.info.index, card.name,
                cell(smi, &card, "uuid"));
    }
    return CLI_EXIT_OK;
}
