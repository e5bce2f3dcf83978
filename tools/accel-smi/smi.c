// SPDX-License-Identifier: Apache-2.0
// The command line of accel-smi, and what it leads to.
#include "tools/accel-smi/smi.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/common/cli.h"

#define OPTION(short_name, long_name, kind, member, value, choices, help)                          \
    { short_name, long_name, kind, offsetof(parsed_t, member), value, choices, help }

typedef struct parsed {
    options_t o;
    cli_list_t ids, cards;
} parsed_t;

static const cli_option_t option_table[] = {
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "What to show"},
    OPTION('L', "list", CLI_FLAG, o.list, NULL, NULL, "a line a card"),
    OPTION('q', "query", CLI_FLAG, o.query, NULL, NULL, "all that is known, as a tree"),
    OPTION('d', "display", CLI_TEXT, o.display, "SECTION,...", NULL,
           "sections of -q: BOARD, HEALTH, UTILIZATION, MEMORY, TEMPERATURE, POWER, CLOCK, ECC, "
           "COUNTERS, PROCESSES"),
    OPTION(0, "query-card", CLI_TEXT, o.query_card, "FIELD,...", NULL,
           "these fields of each card (see --help-query-card)"),
    OPTION(0, "query-processes", CLI_TEXT, o.query_processes, "FIELD,...", NULL,
           "these fields of each process (see --help-query-processes)"),
    OPTION(0, "help-query-card", CLI_FLAG, o.help_fields, NULL, NULL, "list the fields of cards"),
    OPTION(0, "help-query-processes", CLI_FLAG, o.help_process_fields, NULL, NULL,
           "list the fields of processes"),
    OPTION(0, "format", CLI_TEXT, o.format, "csv[,noheader][,nounits]|json", NULL,
           "how to print what was asked for"),
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Of which cards, how often"},
    OPTION('i', "id", CLI_LIST, ids, "ID", NULL,
           "only this card: its index, UUID (or the beginning of it) or location"),
    OPTION(0, "card", CLI_LIST, cards, "ID", NULL, "the same as --id"),
    OPTION('l', "loop", CLI_F64, o.loop, "SECONDS", NULL, "again and again, so often"),
    OPTION(0, "loop-ms", CLI_U64, o.loop_ms, "MS", NULL, "the same in milliseconds; also -lms MS"),
    OPTION('c', "count", CLI_U64, o.count, "N", NULL, "but only N times"),
    OPTION('f', "follow", CLI_FLAG, o.follow, NULL, NULL, "events: wait for more"),
    OPTION(0, "since", CLI_U64, o.since, "NUMBER", NULL, "events: from this number on"),
    OPTION('s', "socket", CLI_TEXT, o.socket, "PATH", NULL,
           "socket of the daemon accel-cardd (default: $ACCEL_SOCKET, else the usual places)"),
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "For administrators"},
    OPTION(0, "power-limit", CLI_F64, o.power_limit, "WATTS", NULL, "set the power limit"),
    OPTION(0, "reset", CLI_OPTIONAL_TEXT, o.reset, "card|node", "card|node",
           "reset the card (or, with =node, a hardware node); all who use it lose their work"),
    OPTION(0, "node", CLI_TEXT, o.node, "compute|copy", "compute|copy",
           "which node (default compute)"),
};

static const cli_program_t program_info = {
    .name = "accel-smi",
    .operands = "[COMMAND]",
    .summary = "Shows the accelerator cards of this machine: what they are, how they are, who uses "
               "them. Without a command: a table.",
    .options = option_table,
    .n_options = COUNT_OF(option_table),
    .max_operands = SIZE_MAX,
    .epilogue =
        "Commands:\n"
        "  list                as -L\n"
        "  watch               a line a card every second (or -l SECONDS)\n"
        "  processes           who uses the cards\n"
        "  events              what happened to the cards; --follow waits for more\n"
        "  hold [COMMAND ...]  for a debugger: nothing on the card is out of time while COMMAND\n"
        "                      runs, or until Ctrl-C; write -- before a COMMAND with options\n"
        "  inject KIND [ARG]   plant a fault on a simulated card; an unknown KIND lists them\n"
        "\n"
        "More exit codes: 3 no driver runs, 4 not permitted, 5 no such card, 6 card or driver "
        "went\n"
        "away, 7 the card or its driver cannot.",
};

// --- Messages ---

int smi_fail(const smi_t *smi, accel_status_t status, const accel_error_t *error) {
    fflush(smi->world->out);
    fprintf(smi->world->err, "accel-smi: %s\n",
            error->text[0] != 0 ? error->text : accel_status_text(status));
    switch (status) {
    case ACCEL_DENIED:
        return SMI_EXIT_DENIED;
    case ACCEL_DEVICE_LOST:
        return SMI_EXIT_LOST;
    case ACCEL_UNSUPPORTED:
        return SMI_EXIT_UNSUPPORTED;
    case ACCEL_NOT_FOUND:
        return smi->manager == NULL ? SMI_EXIT_NO_DRIVER : SMI_EXIT_NO_CARD;
    default:
        return CLI_EXIT_FAILURE;
    }
}

int smi_usage(const smi_t *smi, const char *text, const char *what) {
    fprintf(smi->world->err, "accel-smi: %s%s\nTry 'accel-smi --help' for more information.\n",
            text, what);
    return CLI_EXIT_USAGE;
}

// --- Options ---

static bool parse_format(smi_t *smi) {
    const char *text = smi->options.format;
    if (text == NULL)
        return true;
    smi->format = (format_t){.header = true, .units = true};
    char *copy = arena_strdup(smi->arena, text);
    for (char *word = copy; word != NULL;) {
        char *comma = strchr(word, ',');
        if (comma != NULL)
            *comma++ = 0;
        if (strcmp(word, "csv") == 0)
            smi->format.csv = true;
        else if (strcmp(word, "json") == 0)
            smi->format.json = true;
        else if (strcmp(word, "noheader") == 0)
            smi->format.header = false;
        else if (strcmp(word, "nounits") == 0)
            smi->format.units = false;
        else
            return false;
        word = comma;
    }
    return smi->format.csv != smi->format.json;
}

static void add_ids(smi_t *smi, const cli_list_t *list) {
    for (size_t i = 0; i < list->n_items; i++) {
        char *copy = arena_strdup(smi->arena, list->items[i]);
        while (copy != NULL) {
            char *comma = strchr(copy, ',');
            if (comma != NULL)
                *comma++ = 0;
            ARENA_GROW(smi->arena, smi->options.ids, smi->options.ids_capacity,
                       smi->options.n_ids + 1);
            smi->options.ids[smi->options.n_ids++] = copy;
            copy = comma;
        }
    }
}

// "-lms 500", as operators know it.
static char **translate(smi_t *smi, int argc, char **argv) {
    char **out = ARENA_ARRAY(smi->arena, char *, (size_t)argc + 1);
    for (int i = 0; i < argc; i++) {
        out[i] = argv[i];
        if (strncmp(argv[i], "-lms", 4) == 0)
            out[i] = arena_printf(smi->arena, "--loop-ms%s%s", argv[i][4] != 0 ? "=" : "",
                                  argv[i] + 4 + (argv[i][4] == '='));
    }
    return out;
}

// --- Cards ---

static bool is_number(const char *text) {
    size_t i = 0;
    while (isdigit((unsigned char)text[i]))
        i++;
    return i > 0 && text[i] == 0;
}

// Of a UUID its beginning is enough.
static bool names_card(const char *id, const accel_card_info_t *info) {
    size_t length = strlen(id);
    return strcasecmp(id, info->location) == 0 ||
           (length >= 4 && info->uuid[0] != 0 && strncasecmp(id, info->uuid, length) == 0);
}

static int select_card(smi_t *smi, const char *id) {
    accel_error_t error = {0};
    uint32_t n_cards = accel_manager_n_cards(smi->manager), n_found = 0, found = 0;
    uint64_t number;
    if (is_number(id) && cli_parse_u64(id, &number) && number < n_cards) {
        found = (uint32_t)number;
        n_found = 1;
    }
    for (uint32_t i = 0; !is_number(id) && i < n_cards; i++) {
        accel_card_info_t info;
        accel_status_t status = accel_card_info(smi->manager, i, &info, &error);
        if (status != ACCEL_OK)
            return smi_fail(smi, status, &error);
        if (names_card(id, &info)) {
            found = i;
            n_found++;
        }
    }
    if (n_found != 1) {
        fprintf(smi->world->err, "accel-smi: --id: '%s' names %s of the %u cards; -L lists them\n",
                id, n_found == 0 ? "none" : "several", n_cards);
        return SMI_EXIT_NO_CARD;
    }
    smi->selected[smi->n_selected++] = found;
    return CLI_EXIT_OK;
}

static int select_cards(smi_t *smi) {
    uint32_t n_cards = accel_manager_n_cards(smi->manager);
    size_t n_ids = smi->options.n_ids;
    smi->selected = ARENA_ARRAY(smi->arena, uint32_t, n_cards + n_ids);
    smi->before = ARENA_ARRAY(smi->arena, accel_card_telemetry_t, n_cards);
    smi->has_before = ARENA_ARRAY(smi->arena, bool, n_cards);
    for (uint32_t i = 0; n_ids == 0 && i < n_cards; i++)
        smi->selected[smi->n_selected++] = i;
    for (size_t i = 0; i < n_ids; i++) {
        int code = select_card(smi, smi->options.ids[i]);
        if (code != CLI_EXIT_OK)
            return code;
    }
    return CLI_EXIT_OK;
}

// --- What to do ---

typedef int (*show_t)(smi_t *smi);

enum {
    TAKES_CSV = 1,     // --format=csv
    TAKES_JSON = 2,    // --format=json
    TAKES_LOOP = 4,    // --loop, --count
    TAKES_TREE = 8,    // --display
    TAKES_EVENTS = 16, // --follow, --since
    REPEATS = 32,      // even without --loop
    ONCE = 64,         // or minds --loop by itself
};

// One at a time, by a word or by an option.
typedef struct action {
    const char *name;
    show_t show;
    size_t max_operands;
    unsigned flags;
} action_t;

#define TABLES (TAKES_CSV | TAKES_JSON | TAKES_LOOP)

static const action_t bare = {"the table", smi_show_table, 0, TAKES_LOOP};

static const action_t commands[] = {
    {"list", smi_show_list, 0, TABLES},
    {"watch", smi_show_watch, 0, TAKES_LOOP | REPEATS},
    {"processes", smi_show_processes, 0, TABLES},
    {"events", smi_show_events, 0, TAKES_JSON | TAKES_LOOP | TAKES_EVENTS},
    {"hold", smi_hold, SIZE_MAX, TAKES_LOOP | ONCE},
    {"inject", smi_inject, 2, ONCE},
};

// X(option, whether it is given in `o`, what it does, flags)
#define ACTION_OPTIONS(X)                                                                          \
    X("--list", o->list, smi_show_list, TABLES)                                                    \
    X("--query", o->query, smi_show_tree, TABLES | TAKES_TREE)                                     \
    X("--query-card", o->query_card != NULL, smi_show_query, TABLES)                               \
    X("--query-processes", o->query_processes != NULL, smi_show_process_query, TABLES)             \
    X("--reset", o->reset != NULL, smi_reset, ONCE)                                                \
    X("--power-limit", o->power_limit >= 0, smi_power_limit, ONCE)

static int unknown_command(smi_t *smi, const char *name) {
    const char *names[COUNT_OF(commands)], *all = "";
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        names[i] = commands[i].name;
        all = arena_printf(smi->arena, "%s%s%s", all, i > 0 ? ", " : "", names[i]);
    }
    const char *meant = cli_did_you_mean(name, names, COUNT_OF(names));
    fprintf(smi->world->err, "accel-smi: there is no command '%s'%s%s%s\n", name,
            meant != NULL ? "; did you mean '" : "", meant != NULL ? meant : "",
            meant != NULL ? "'?" : "");
    return smi_usage(smi, "commands: ", all);
}

static const action_t *find_command(const char *name) {
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

// False: said why.
static bool add_action(const smi_t *smi, const action_t *action, action_t *out_action) {
    if (out_action->show != NULL) {
        fprintf(smi->world->err, "accel-smi: %s and %s: one at a time\n", out_action->name,
                action->name);
        return false;
    }
    *out_action = *action;
    return true;
}

static int choose(smi_t *smi, const cli_list_t *operands, action_t *out_action) {
    const options_t *o = &smi->options;
    *out_action = (action_t){0};
#define ADD_ACTION(option, given, show, flags)                                                     \
    if ((given) && !add_action(smi, &(action_t){option, show, 0, flags}, out_action))              \
        return CLI_EXIT_USAGE;
    ACTION_OPTIONS(ADD_ACTION)
#undef ADD_ACTION
    if (operands->n_items > 0) {
        const action_t *command = find_command(operands->items[0]);
        if (command == NULL)
            return unknown_command(smi, operands->items[0]);
        if (!add_action(smi, command, out_action))
            return CLI_EXIT_USAGE;
        smi->operands = operands->items + 1;
        smi->n_operands = operands->n_items - 1;
    }
    if (out_action->show == NULL && (smi->format.csv || smi->format.json))
        *out_action = (action_t){"--query", smi_show_tree, 0, TABLES | TAKES_TREE};
    else if (out_action->show == NULL)
        *out_action = bare;
    return CLI_EXIT_OK;
}

// What is given must have a meaning there.
static int check_options(const smi_t *smi, const action_t *action) {
    const options_t *o = &smi->options;
    bool loops = o->loop > 0 || o->loop_ms != 0;
    const struct {
        bool wrong;
        const char *text, *what;
    } rules[] = {
        {smi->n_operands > action->max_operands, "one word too many: ",
         smi->n_operands > action->max_operands ? smi->operands[action->max_operands] : ""},
        {smi->format.csv && (action->flags & TAKES_CSV) == 0, "no --format=csv of ", action->name},
        {smi->format.json && (action->flags & TAKES_JSON) == 0, "no --format=json of ",
         action->name},
        {o->display != NULL && (action->flags & TAKES_TREE) == 0, "--display goes with --query",
         ""},
        {(o->follow || o->since != 0) && (action->flags & TAKES_EVENTS) == 0,
         "--follow and --since go with events", ""},
        {(loops || o->count != 0) && (action->flags & TAKES_LOOP) == 0, "no --loop or --count of ",
         action->name},
        {o->count != 0 && !loops && !o->follow && (action->flags & (REPEATS | ONCE)) == 0,
         "--count goes with --loop", ""},
        {o->node != NULL && o->reset == NULL, "--node goes with --reset=node", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (rules[i].wrong)
            return smi_usage(smi, rules[i].text, rules[i].what);
    return CLI_EXIT_OK;
}

static int loop(smi_t *smi, const action_t *action) {
    const options_t *o = &smi->options;
    uint64_t ms = o->loop_ms != 0 ? o->loop_ms : (uint64_t)(o->loop * 1000);
    arena_t turn, *whole = smi->arena;
    bool again = (action->flags & ONCE) == 0 && (ms != 0 || (action->flags & REPEATS) != 0);
    int code = CLI_EXIT_OK;
    if (ms == 0)
        ms = 1000;
    arena_init(&turn);
    for (uint64_t n = 1; code == CLI_EXIT_OK; n++) {
        smi->arena = &turn;
        code = action->show(smi);
        if (fflush(smi->world->out) != 0)
            code = CLI_EXIT_FAILURE; // nobody reads on; said at the end
        smi->arena = whole;
        arena_reset(&turn);
        if (!again || n == o->count)
            break;
        if (code == CLI_EXIT_OK)
            smi->world->sleep_ms(smi->world->user, ms);
    }
    arena_deinit(&turn);
    return code;
}

static int connect_and(smi_t *smi, const action_t *action) {
    accel_error_t error = {0};
    const char *socket = smi->options.socket != NULL ? smi->options.socket : smi->world->socket;
    accel_status_t status = smi->world->open(smi->world->user, socket, &smi->manager, &error);
    if (status != ACCEL_OK)
        return smi_fail(smi, status, &error);
    int code = select_cards(smi);
    if (code == CLI_EXIT_OK)
        code = loop(smi, action);
    accel_manager_close(smi->manager);
    return code;
}

static int go(smi_t *smi, const cli_list_t *operands) {
    const options_t *o = &smi->options;
    if (o->help_fields || o->help_process_fields)
        return smi_show_help(smi, o->help_process_fields);
    if (!parse_format(smi))
        return smi_usage(smi, "--format: neither csv[,noheader][,nounits] nor json: ", o->format);
    if (!(o->loop >= 0 && o->loop <= 86400))
        return smi_usage(smi, "--loop: not a number of seconds up to a day", "");
    if (o->power_limit != -1 && !(o->power_limit > 0 && o->power_limit < 1e6))
        return smi_usage(smi, "--power-limit: not a number of watts", "");
    action_t action;
    int code = choose(smi, operands, &action);
    if (code == CLI_EXIT_OK)
        code = check_options(smi, &action);
    return code == CLI_EXIT_OK ? connect_and(smi, &action) : code;
}

int smi_run(const smi_world_t *world, int argc, char **argv) {
    arena_t arena;
    cli_list_t operands = {0};
    parsed_t parsed = {.o = {.power_limit = -1}};
    arena_init(&arena);
    smi_t smi = {.world = world, .arena = &arena};
    int code = CLI_EXIT_OK;
    cli_result_t result = cli_parse(&program_info, argc, translate(&smi, argc, argv), &arena,
                                    world->out, world->err, &parsed, &operands);
    if (result == CLI_GO_ON) {
        smi.options = parsed.o;
        add_ids(&smi, &parsed.ids);
        add_ids(&smi, &parsed.cards);
        code = go(&smi, &operands);
    } else if (result == CLI_WRONG)
        code = CLI_EXIT_USAGE;
    arena_deinit(&arena);
    return cli_finish("accel-smi", world->out, world->err, code);
}
