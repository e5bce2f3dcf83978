// SPDX-License-Identifier: Apache-2.0
// What goes on: a line a card and second, processes, events.
#include <inttypes.h>
#include <time.h>

#include "tools/accel-smi/smi.h"
#include "tools/common/cli.h"
#include "tools/common/json.h"

#define HEAD_EVERY     20u
#define EVENTS_AT_ONCE 256u
#define FOLLOW_MS      500u

// --- watch ---

static const struct {
    const char *field, *title;
    int width;
} watch_columns[] = {
    {"index", "card", 4},
    {"power.draw", "pwr", 7},
    {"temperature.card", "temp", 5},
    {"utilization.compute", "comp", 5},
    {"utilization.copy", "copy", 5},
    {"memory.used", "mem", 7},
    {"throughput.memory", "thru", 8},
    {"clocks.current", "clk", 6},
    {"ecc.errors.corrected", "ecc1", 5},
    {"ecc.errors.uncorrected", "ecc2", 5},
    {"clients", "clnt", 5},
    {"health", "health", 9},
};

static void watch_head(FILE *out) {
    for (int line = 0; line < 2; line++) {
        fputc('#', out);
        for (size_t i = 0; i < COUNT_OF(watch_columns); i++) {
            const char *unit = smi_field(watch_columns[i].field)->unit;
            fprintf(out, " %*s", watch_columns[i].width,
                    line == 0      ? watch_columns[i].title
                    : unit[0] != 0 ? unit
                                   : "-");
        }
        fputc('\n', out);
    }
}

static void watch_line(smi_t *smi, const card_t *card) {
    fputc(' ', smi->world->out);
    for (size_t i = 0; i < COUNT_OF(watch_columns); i++) {
        value_t value = smi_field(watch_columns[i].field)->get(card);
        fprintf(smi->world->out, " %*s", watch_columns[i].width,
                value.kind == VALUE_NONE ? "-" : smi_value_text(smi, &value, NULL));
    }
    fputc('\n', smi->world->out);
}

int smi_show_watch(smi_t *smi) {
    accel_error_t error = {0};
    accel_status_t status = card_prepare(smi, &error);
    if (status == ACCEL_OK && smi->n_lines % HEAD_EVERY == 0)
        watch_head(smi->world->out);
    smi->n_lines++;
    for (size_t i = 0; i < smi->n_selected && status == ACCEL_OK; i++) {
        card_t card;
        status = card_look(smi, smi->selected[i], true, false, &card, &error);
        if (status == ACCEL_OK)
            watch_line(smi, &card);
    }
    return status == ACCEL_OK ? CLI_EXIT_OK : smi_fail(smi, status, &error);
}

// --- processes ---

int smi_show_processes(smi_t *smi) {
    accel_error_t error = {0};
    FILE *out = smi->world->out;
    if (smi->format.csv || smi->format.json) {
        smi->options.query_processes =
            "card_index,pid,process_name,used_memory,host_memory,contexts,submissions,state";
        return smi_show_process_query(smi);
    }
    fprintf(out, "# card       pid      mem     host  ctxs        subm  hangs state    command\n"
                 "#    -         -      MiB      MiB     -           -      - -        -\n");
    for (size_t i = 0; i < smi->n_selected; i++) {
        card_t card;
        accel_status_t status = card_look(smi, smi->selected[i], false, true, &card, &error);
        if (status != ACCEL_OK)
            return smi_fail(smi, status, &error);
        for (uint32_t k = 0; k < card.n_processes; k++) {
            const accel_process_t *p = &card.processes[k];
            fprintf(out,
                    "  %4u %9" PRIu64 " %8" PRIu64 " %8" PRIu64 " %5u %11" PRIu64 " %6u %-8s %s\n",
                    card.info.index, p->pid, p->memory_bytes >> 20, p->host_bytes >> 20,
                    p->contexts, p->submissions, p->hangs,
                    p->holds                          ? "Holds"
                    : p->state == ACCEL_PROCESS_READY ? "Ready"
                    : p->state == ACCEL_PROCESS_LOST  ? "Lost"
                                                      : "Banned",
                    p->name);
        }
        if (card.n_processes == 0)
            fprintf(out, "  %4u         -        -        -     -           -      - -        -\n",
                    card.info.index);
    }
    return CLI_EXIT_OK;
}

// --- events ---

// The driver's monotonic time as a date: both clocks are of this machine.
static const char *date_text(smi_t *smi, uint64_t time_ns) {
    const smi_world_t *world = smi->world;
    uint64_t now = world->monotonic_ns(world->user);
    uint64_t wall = world->wall_ns(world->user) - (now > time_ns ? now - time_ns : 0);
    time_t seconds = (time_t)(wall / 1000000000u);
    struct tm parts;
    char text[40] = "";
    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    return arena_printf(smi->arena, "%s.%03uZ", text, (unsigned)(wall / 1000000u % 1000u));
}

static void put_event(smi_t *smi, json_t *json, uint32_t card, const accel_card_event_t *event) {
    const char *date = date_text(smi, event->time_ns);
    if (smi->format.json) {
        json_object_begin(json, NULL);
        json_u64(json, "card", card);
        json_u64(json, "number", event->number);
        json_text(json, "time", date);
        json_text(json, "kind", event->kind);
        json_text(json, "text", event->text);
        json_u64(json, "node", event->node);
        if (event->pid != 0)
            json_u64(json, "pid", event->pid);
        json_end(json);
        return;
    }
    fprintf(smi->world->out, "%s  card %u  #%-5" PRIu64 " %-16s %s", date, card, event->number,
            event->kind, event->text);
    if (event->pid != 0)
        fprintf(smi->world->out, " (process %" PRIu64 ")", event->pid);
    fputc('\n', smi->world->out);
}

static accel_status_t put_new(smi_t *smi, json_t *json, uint32_t card, uint64_t *first,
                              accel_error_t *error) {
    accel_card_event_t *events = ARENA_ARRAY(smi->arena, accel_card_event_t, EVENTS_AT_ONCE);
    uint32_t count;
    do {
        accel_status_t status =
            accel_card_events(smi->manager, card, first, events, EVENTS_AT_ONCE, &count, error);
        if (status != ACCEL_OK)
            return status;
        for (uint32_t i = 0; i < count; i++)
            put_event(smi, json, card, &events[i]);
    } while (count == EVENTS_AT_ONCE);
    return ACCEL_OK;
}

int smi_show_events(smi_t *smi) {
    accel_error_t error = {0};
    json_t json;
    accel_status_t status = ACCEL_OK;
    arena_t turn, *whole = smi->arena;
    uint64_t *next = ARENA_ARRAY(smi->arena, uint64_t, smi->n_selected);
    for (size_t i = 0; i < smi->n_selected; i++)
        next[i] = smi->options.since;
    if (smi->format.json && smi->options.follow)
        return smi_usage(smi, "--follow prints lines, no JSON", "");
    json_init(&json, smi->world->out);
    if (smi->format.json)
        json_array_begin(&json, NULL);
    arena_init(&turn);
    smi->arena = &turn;
    for (uint64_t round = 0; status == ACCEL_OK; round++) {
        for (size_t i = 0; i < smi->n_selected && status == ACCEL_OK; i++)
            status = put_new(smi, &json, smi->selected[i], &next[i], &error);
        if (!smi->options.follow || (smi->options.count != 0 && round + 1 >= smi->options.count))
            break;
        fflush(smi->world->out);
        arena_reset(&turn);
        smi->world->sleep_ms(smi->world->user, FOLLOW_MS);
    }
    if (smi->format.json)
        json_end(&json);
    smi->arena = whole;
    arena_deinit(&turn);
    return status == ACCEL_OK ? CLI_EXIT_OK : smi_fail(smi, status, &error);
}
