// SPDX-License-Identifier: Apache-2.0
// accel-smi, as a function: the tool is it with the world's calls, tests with others.
#ifndef ACCEL_SMI_SMI_H
#define ACCEL_SMI_SMI_H

#include <stdio.h>

#include "accel/manage.h"
#include "support/arena.h"

// Beyond CLI_EXIT_*.
enum {
    SMI_EXIT_NO_DRIVER = 3,   // no daemon runs
    SMI_EXIT_DENIED = 4,      // only an administrator may
    SMI_EXIT_NO_CARD = 5,     // -i names none
    SMI_EXIT_LOST = 6,        // card or driver went away
    SMI_EXIT_UNSUPPORTED = 7, // this card or driver cannot
};

typedef struct smi_world {
    void *user;
    FILE *out, *err;
    const char *socket; // when no option names one; may be NULL
    accel_status_t (*open)(void *user, const char *socket, accel_manager_t **out_manager,
                           accel_error_t *error);
    void (*sleep_ms)(void *user, uint64_t ms);
    uint64_t (*monotonic_ns)(void *user); // of the driver's machine
    uint64_t (*wall_ns)(void *user);      // since 1970
    // Runs a command with this process's streams; its exit code, 127 when there is none such.
    int (*run)(void *user, char *const *argv);
} smi_world_t;

// The exit code.
int smi_run(const smi_world_t *world, int argc, char **argv);

// --- Private to this folder ---

typedef struct options {
    bool list, query, help_fields, help_process_fields, follow;
    const char *display, *query_card, *query_processes, *format, *reset, *node, *socket;
    double loop, power_limit;
    uint64_t loop_ms, count, since;
    const char **ids; // -i
    size_t n_ids, ids_capacity;
} options_t;

// How to print: --format.
typedef struct format {
    bool csv, json, header, units;
} format_t;

typedef struct card {
    accel_card_info_t info;
    bool has_telemetry, has_use;
    accel_card_telemetry_t t;
    accel_card_use_t use;
    accel_process_t *processes;
    uint32_t n_processes;
    char name[40], throttle[40];
    const char *health, *health_reason;
    const char *problem; // why there is no telemetry, or NULL
} card_t;

typedef struct smi {
    const smi_world_t *world;
    options_t options;
    format_t format;
    arena_t *arena;
    const char **operands; // behind the command
    size_t n_operands;
    accel_manager_t *manager;
    uint32_t *selected;
    size_t n_selected;
    // Telemetry of the look before, by card.
    accel_card_telemetry_t *before;
    bool *has_before;
    bool shown; // the header was printed
    uint64_t n_lines;
} smi_t;

// Prints the error and returns the exit code for it.
int smi_fail(const smi_t *smi, accel_status_t status, const accel_error_t *error);
int smi_usage(const smi_t *smi, const char *text, const char *what);

// card.c: a look at card `index`. `use`: utilisation is wanted; `processes`: who uses it.
accel_status_t card_look(smi_t *smi, uint32_t index, bool use, bool processes, card_t *out_card,
                         accel_error_t *error);
// Before the first look that wants utilisation: a short interval.
accel_status_t card_prepare(smi_t *smi, accel_error_t *error);

// --- fields.c ---

typedef enum value_kind { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER } value_kind_t;
typedef struct value {
    value_kind_t kind;
    const char *text;
    uint64_t whole;    // of a number
    uint32_t fraction; // with `decimals` digits
    int decimals;
    bool negative;
} value_t;

typedef enum section {
#define SMI_SECTION(name, title) SECTION_##name,
#include "tools/accel-smi/fields.def"
    N_SECTIONS
} section_t;

typedef struct field {
    const char *name, *unit, *title, *help;
    section_t section;
    value_t (*get)(const card_t *card);
} field_t;
typedef struct process_field {
    const char *name, *unit, *help;
    value_t (*get)(const card_t *card, const accel_process_t *process);
} process_field_t;

extern const field_t smi_fields[];
extern const size_t smi_n_fields;
extern const process_field_t smi_process_fields[];
extern const size_t smi_n_process_fields;
const char *smi_section_name(section_t section); // "BOARD"
const char *smi_section_title(section_t section);
// "[N/A]" or the number; `unit` NULL or "": without. Lives as long as the arena.
const char *smi_value_text(smi_t *smi, const value_t *value, const char *unit);
// By name; NULL.
const field_t *smi_field(const char *name);

// --- What it prints; all return the exit code ---

int smi_show_list(smi_t *smi);               // table.c
int smi_show_table(smi_t *smi);              // table.c
int smi_show_tree(smi_t *smi);               // query.c: -q
int smi_show_query(smi_t *smi);              // query.c: --query-card
int smi_show_process_query(smi_t *smi);      // query.c: --query-processes
int smi_show_help(smi_t *smi, bool process); // query.c: --help-query-*
int smi_show_watch(smi_t *smi);              // live.c
int smi_show_processes(smi_t *smi);          // live.c
int smi_show_events(smi_t *smi);             // live.c
int smi_power_limit(smi_t *smi);             // admin.c
int smi_reset(smi_t *smi);                   // admin.c
int smi_inject(smi_t *smi);                  // admin.c
int smi_hold(smi_t *smi);                    // admin.c

#endif
