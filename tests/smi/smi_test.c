// SPDX-License-Identifier: Apache-2.0
// What accel-smi prints, over a driver that answers what it shall.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "isa/card.h"
#include "tests/smi/fake.h"
#include "tools/accel-smi/smi.h"

typedef struct fixture {
    fake_t fake;
    char *out, *err; // of the last run
    size_t out_bytes, err_bytes;
    uint64_t slept_ms;
    char ran[64]; // by hold
    bool held[FAKE_CARDS];
} fixture_t;

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fake_init(&f->fake);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_int_equal(f->fake.n_open, 0);
    free(f->out), free(f->err);
    free(f);
    return 0;
}

static accel_status_t open_fake(void *user, const char *socket, accel_manager_t **out_manager,
                                accel_error_t *error) {
    return fake_open(&((fixture_t *)user)->fake, socket, out_manager, error);
}
static void sleep_ms(void *user, uint64_t ms) { ((fixture_t *)user)->slept_ms += ms; }

// "fail" fails, "nothing" is not there; the cards' holds at that time are kept.
static int run_command(void *user, char *const *argv) {
    fixture_t *f = user;
    snprintf(f->ran, sizeof f->ran, "%s %s", argv[0], argv[1] != NULL ? argv[1] : "");
    for (uint32_t i = 0; i < FAKE_CARDS; i++)
        f->held[i] = f->fake.cards[i].is_held;
    return strcmp(argv[0], "fail") == 0 ? 3 : strcmp(argv[0], "nothing") == 0 ? 127 : 0;
}

static uint64_t monotonic_ns(void *user) {
    (void)user;
    return UINT64_C(10000000000);
}
static uint64_t wall_ns(void *user) {
    (void)user;
    return UINT64_C(1790000000000000000);
}

// Runs it with the words of `line`.
static int run(fixture_t *f, const char *line) {
    char copy[512], name[] = "accel-smi", *argv[32] = {name};
    int argc = 1;
    free(f->out), free(f->err);
    f->out = f->err = NULL;
    smi_world_t world = {.user = f,
                         .out = open_memstream(&f->out, &f->out_bytes),
                         .err = open_memstream(&f->err, &f->err_bytes),
                         .socket = "/run/accel.sock",
                         .open = open_fake,
                         .sleep_ms = sleep_ms,
                         .monotonic_ns = monotonic_ns,
                         .wall_ns = wall_ns,
                         .run = run_command};
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    int code = smi_run(&world, argc, argv);
    fclose(world.out), fclose(world.err);
    return code;
}

static void prints(fixture_t *f, const char *line, const char *expected) {
    assert_int_equal(run(f, line), 0);
    assert_string_equal(f->out, expected);
    assert_string_equal(f->err, "");
}

// --- Fields ---

static void csv_is_stable(void **state) {
    fixture_t *f = *state;
    prints(f, "--query-card=index,uuid,temperature.card,power.draw,memory.used --format=csv",
           "index, uuid, temperature.card [C], power.draw [W], memory.used [MiB]\n"
           "0, ACC-12345678-9abc-8acc-8000-00000000def0, 46 C, 31.25 W, 2048 MiB\n"
           "1, ACC-12345678-9abc-8acc-8000-00000000def1, 46 C, 31.25 W, 2048 MiB\n");
    prints(f,
           "-i 0 --query-card=utilization.compute,utilization.copy,utilization.interval "
           "--format=csv,noheader,nounits",
           "42, 7, 100\n");
    assert_int_equal(f->slept_ms, 100);
    prints(f, "-i 1 --query-card=memory.total,clocks.throttle_reasons,state --format=csv,nounits",
           "memory.total [MiB], clocks.throttle_reasons, state\n16384, None, Ready\n");
    f->fake.cards[1].telemetry.temperature = -4400;
    f->fake.cards[1].telemetry.throttle = ISA_THROTTLE_THERMAL | ISA_THROTTLE_POWER_CAP;
    prints(f, "-i 1 --query-card=temperature.card,clocks.throttle_reasons --format=csv,noheader",
           "-4 C, Thermal+Power\n");
}

static void what_is_not_known_says_so(void **state) {
    fixture_t *f = *state;
    f->fake.cards[0].info.features = ISA_FEATURE_SIMULATED;
    f->fake.cards[0].info.serial = 0;
    prints(f, "-i 0 --query-card=uuid,power.draw,ecc.errors.corrected,memory.used --format=csv",
           "uuid, power.draw [W], ecc.errors.corrected, memory.used [MiB]\n"
           "[N/A], [N/A], [N/A], 2048 MiB\n");
    f->fake.cards[1].telemetry.card_state = ACCEL_CARD_LOST;
    prints(f,
           "-i 1 --query-card=state,temperature.card,power.draw,power.state,clocks.current,"
           "ecc.errors.corrected,errors.card,memory.used --format=csv,noheader",
           "Lost, [N/A], [N/A], [N/A], [N/A], [N/A], [N/A], 2048 MiB\n");
    f->fake.is_simple = true;
    prints(f, "-i 0 --query-card=index,cores,memory.used,health --format=csv,noheader",
           "0, 8, [N/A], Unknown\n");
    assert_int_equal(run(f, ""), 0); // the table too
    assert_int_equal(run(f, "-q"), 0);
}

static void processes_are_listed(void **state) {
    fixture_t *f = *state;
    prints(f, "--query-processes=pid,process_name,used_memory,card_index --format=csv",
           "pid, process_name, used_memory [MiB], card_index\n"
           "4711, \"worker, \"\"one\"\"\", 1024 MiB, 0\n");
    prints(f, "--query-processes=pid,memory_limit --format=csv,noheader -i 1", "");
    assert_int_equal(run(f, "processes"), 0);
    assert_non_null(strstr(f->out, "     0      4711     1024       64     3        1000      0 "
                                   "Ready    worker, \"one\"\n"));
    for (uint32_t i = 0; i < FAKE_RECORDS; i++)
        f->fake.cards[1].clients[i] = (accel_client_record_t){.id = i + 1, .pid = i, .contexts = 1};
    f->fake.cards[1].clients[7].contexts = 0; // only looks
    f->fake.cards[1].n_clients = FAKE_RECORDS;
    assert_int_equal(run(f, "--query-processes=pid --format=csv,noheader -i 1"), 0);
    size_t n_lines = 0;
    for (const char *at = f->out; *at != 0; at++)
        n_lines += *at == '\n';
    assert_int_equal(n_lines, FAKE_RECORDS - 1);
}

static void every_field_has_a_value(void **state) {
    fixture_t *f = *state;
    char line[100];
    for (size_t i = 0; i < smi_n_fields; i++) {
        snprintf(line, sizeof line, "-i 0 --query-card=%s --format=csv,noheader",
                 smi_fields[i].name);
        assert_int_equal(run(f, line), 0);
        if (strcmp(smi_fields[i].name, "health.reason") != 0)
            assert_string_not_equal(f->out, "[N/A]\n");
        assert_int_equal(run(f, "--help-query-card"), 0);
        assert_non_null(strstr(f->out, smi_fields[i].help));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(smi_fields[i].name, smi_fields[k].name);
    }
    assert_int_equal(run(f, "--help-query-processes"), 0);
    for (size_t i = 0; i < smi_n_process_fields; i++)
        assert_non_null(strstr(f->out, smi_process_fields[i].help));
}

// --- JSON ---

static const char *skip_space(const char *at) {
    while (*at == ' ' || *at == '\n')
        at++;
    return at;
}

static const char *parse_text(const char *at) {
    if (*at != '"')
        return NULL;
    for (at++; *at != '"'; at++) {
        if (*at == 0 || *at == '\n')
            return NULL;
        at += *at == '\\';
    }
    return at + 1;
}

// Behind one JSON value, or NULL.
static const char *parse_json(const char *at) {
    char *end;
    at = skip_space(at);
    if (*at == '"')
        return parse_text(at);
    if (*at != '{' && *at != '[') {
        const char *const words[] = {"null", "true", "false"};
        for (size_t i = 0; i < 3; i++)
            if (strncmp(at, words[i], strlen(words[i])) == 0)
                return at + strlen(words[i]);
        (void)strtod(at, &end);
        return end != at ? end : NULL;
    }
    char closer = *at == '{' ? '}' : ']';
    at = skip_space(at + 1);
    if (*at == closer)
        return at + 1;
    for (;;) {
        if (closer == '}') {
            at = parse_text(at);
            if (at == NULL || *skip_space(at) != ':')
                return NULL;
            at = skip_space(at) + 1;
        }
        at = parse_json(at);
        if (at == NULL)
            return NULL;
        at = skip_space(at);
        if (*at == closer)
            return at + 1;
        if (*at != ',')
            return NULL;
        at = skip_space(at + 1);
    }
}

static void json_parses(void **state) {
    fixture_t *f = *state;
    const char *const lines[] = {"-q --format=json",
                                 "--format=json",
                                 "-L --format=json",
                                 "processes --format=json",
                                 "events --format=json",
                                 "-i 1 processes --format=json",
                                 "--query-card=power.draw,uuid,temperature.card --format=json",
                                 "--query-processes=pid,process_name --format=json"};
    fake_add_event(&f->fake.cards[0], ACCEL_EVENT_OVERHEAT, 0, 96000);
    f->fake.cards[1].telemetry.temperature = -4600;
    for (int simple = 0; simple < 2; simple++) {
        for (size_t i = 0; i < COUNT_OF(lines); i++) {
            if (simple != 0 && strncmp(lines[i], "events", 6) == 0)
                continue;
            assert_int_equal(run(f, lines[i]), 0);
            const char *end = parse_json(f->out);
            assert_non_null(end);
            assert_string_equal(end, "\n");
        }
        f->fake.is_simple = true;
    }
    f->fake.is_simple = false;
    prints(f, "-i 1 --query-card=index,power.draw,temperature.card,health.reason --format=json",
           "{\n  \"units\": {\n    \"power.draw\": \"W\",\n    \"temperature.card\": \"C\"\n  },\n"
           "  \"cards\": [\n    {\n      \"index\": 1,\n      \"power.draw\": 31.25,\n"
           "      \"temperature.card\": -5,\n      \"health.reason\": null\n    }\n  ]\n}\n");
}

// --- Tables ---

static void the_table_shows_all(void **state) {
    fixture_t *f = *state;
    f->fake.cards[1].telemetry.retired_pages = 1;
    assert_int_equal(run(f, ""), 0);
    assert_non_null(strstr(f->out, "| accel-smi "));
    assert_non_null(strstr(f->out, "Driver: daemon /run/accel.sock, requests version 1 |"));
    assert_non_null(strstr(
        f->out, "| 0     Accel server (simulated)          daemon:0 | 46C       31.25W / 75.00W  |"
                "        2048MiB / 16384MiB |   42%    7% |\n"
                "|       ACC-12345678-9abc-8acc-8000-00000000def0   | OK                 1000MHz |"
                "                    3/0, 0 |           1 |\n"));
    assert_non_null(strstr(f->out, "Warning: memory pages are out of use"));
    assert_non_null(strstr(f->out, "| 0         4711  worker, \"one\"     Ready           3       "
                                   "1024MiB         64MiB"));
    // All lines of the box are as long.
    size_t width = strcspn(f->out, "\n");
    for (const char *at = f->out; *at != 0; at += strcspn(at, "\n") + 1)
        if (strcspn(at, "\n") != 0)
            assert_int_equal(strcspn(at, "\n"), width);
    f->fake.cards[0].n_clients = 0;
    assert_int_equal(run(f, "-i 0"), 0);
    assert_non_null(strstr(f->out, "No process uses a card."));
}

static void lists_and_trees(void **state) {
    fixture_t *f = *state;
    prints(f, "-L",
           "Card 0: Accel server (simulated) (UUID: ACC-12345678-9abc-8acc-8000-00000000def0)\n"
           "Card 1: Accel server (simulated) (UUID: ACC-12345678-9abc-8acc-8000-00000000def1)\n");
    prints(f, "-q -d power,TEMPERATURE -i 1",
           "\nCard 1\n    Temperature\n"
           "        Current                    : 46 C\n"
           "        Slowdown                   : 95 C\n"
           "        Critical                   : 105 C\n"
           "    Power\n"
           "        Draw                       : 31.25 W\n"
           "        Limit                      : 75.00 W\n"
           "        Lowest Limit               : 30.00 W\n"
           "        Highest Limit              : 75.00 W\n"
           "        Energy                     : 123.5 J\n"
           "        Power State                : Active\n");
    assert_int_equal(run(f, "-q -d POWER,WIND"), 2);
    assert_non_null(strstr(f->err, "'POWER,WIND' is not a list of BOARD,"));
}

static void loops_repeat(void **state) {
    fixture_t *f = *state;
    prints(f, "-i 0 --query-card=index --format=csv -l 2 -c 3", "index\n0\n0\n0\n");
    assert_int_equal(f->slept_ms, 4000);
    f->slept_ms = 0;
    assert_int_equal(run(f, "watch -i 0 -c 3 -lms 250"), 0);
    assert_int_equal(f->slept_ms, 100 + 500);
    assert_string_equal(
        f->out,
        "# card     pwr  temp  comp  copy     mem     thru    clk  ecc1  ecc2  clnt    health\n"
        "#    -       W     C     %     %     MiB    MiB/s    MHz     -     -     -         -\n"
        "     0   31.25    46    42     7    2048        0   1000     3     0     1        OK\n"
        "     0   31.25    46    42     7    2048        0   1000     3     0     1        OK\n"
        "     0   31.25    46    42     7    2048        0   1000     3     0     1        OK\n");
}

static void events_are_told(void **state) {
    fixture_t *f = *state;
    fake_card_t *card = &f->fake.cards[0];
    fake_add_event(card, ACCEL_EVENT_STARTED, 0, 1u << 16 | 1);
    fake_add_event(card, ACCEL_EVENT_CONTEXT_LOST, ACCEL_LOST_FAULT, ISA_FAULT_PAGE_INVALID);
    card->events[1].pid = 4711;
    fake_add_event(card, ACCEL_EVENT_INJECTED, ISA_INJECT_LINK_LOSS, 0x20);
    fake_add_event(card, ACCEL_EVENT_CARD_ERROR, ISA_ERROR_DMA | ISA_ERROR_OVERHEAT, 0);
    fake_add_event(card, 99, 5, 6);
    prints(f, "events",
           "2026-09-21T14:13:11.000Z  card 0  #1     started          the driver took the card "
           "(contract 1.1)\n"
           "2026-09-21T14:13:12.000Z  card 0  #2     context-lost     a context was lost: its "
           "program faulted: no valid page at va (process 4711)\n"
           "2026-09-21T14:13:13.000Z  card 0  #3     injected         a fault was planted: "
           "link-loss, argument 0x20\n"
           "2026-09-21T14:13:14.000Z  card 0  #4     card-error       a DMA access to a ring, "
           "descriptor or table was refused; TEMPERATURE reached TEMP_SLOWDOWN\n"
           "2026-09-21T14:13:15.000Z  card 0  #5     unknown          kind 99, code 5, 0x6, 0x0\n");
    assert_int_equal(run(f, "events --since 5 --follow --count 3"), 0);
    assert_non_null(strstr(f->out, "#5 "));
    assert_null(strstr(f->out, "#4 "));
    // Every kind has words of its own, and many events come in pages.
    card->n_events = 0;
    for (uint32_t i = 0; i < FAKE_RECORDS; i++)
        fake_add_event(card, 1 + i % 18, 0, i);
    assert_int_equal(run(f, "events"), 0);
    assert_non_null(strstr(f->out, "#300 "));
    assert_null(strstr(f->out, "unknown "));
}

// --- Administration ---

static void administrators_act(void **state) {
    fixture_t *f = *state;
    fake_card_t *card = &f->fake.cards[1];
    prints(f, "--power-limit=60.5 -i 1", "Card 1: the power limit is 60.50 W.\n");
    assert_int_equal(card->telemetry.power_limit_mw, 60500);
    assert_int_equal(run(f, "--power-limit 200 -i 1"), 1);
    assert_string_equal(f->err, "accel-smi: card 1: a power limit of 200.00 W is outside of 30.00 "
                                "to 75.00 W\n");
    assert_int_equal(run(f, "--power-limit=-3 -i 1"), 2);
    assert_int_equal(run(f, "--power-limit 60"), 2);
    assert_string_equal(f->err, "accel-smi: there are 2 cards: say which one by -i\n");
    prints(f, "--reset -i 1", "Card 1: the card was reset.\n");
    assert_int_equal(card->reset.level, ACCEL_RESET_CARD);
    prints(f, "--reset=node --node copy --card 1", "Card 1: node COPY was reset.\n");
    assert_int_equal(card->reset.level, ACCEL_RESET_NODE);
    assert_int_equal(card->reset.node, ACCEL_NODE_COPY);
    assert_int_equal(run(f, "--reset=card --node copy -i 1"), 2);
    assert_int_equal(run(f, "--reset=all -i 1"), 2);
    assert_int_equal(card->n_resets, 2);
    const struct {
        const char *line;
        uint32_t what;
        uint64_t argument;
    } kinds[] = {{"inject ecc-single 0x1000 -i 1", ISA_INJECT_ECC_SINGLE, 4096},
                 {"inject ecc-double 8192 --card 1", ISA_INJECT_ECC_DOUBLE, 8192},
                 {"inject hang -i 1", ISA_INJECT_HANG, 0},
                 {"inject hang compute -i 1", ISA_INJECT_HANG, 0},
                 {"inject dma-error copy -i 1", ISA_INJECT_DMA_ERROR, 1},
                 {"inject irq-lost 2 -i 1", ISA_INJECT_IRQ_LOST, 2},
                 {"inject comp-corrupt 1 -i 1", ISA_INJECT_COMP_CORRUPT, 1},
                 {"inject dma-error -i 1", ISA_INJECT_DMA_ERROR, 0},
                 {"inject link-loss 50 -i 1", ISA_INJECT_LINK_LOSS, 50},
                 {"inject overheat 100 -i 1", ISA_INJECT_OVERHEAT, 100},
                 {"-i 1 inject remove 10", ISA_INJECT_REMOVE, 10}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        assert_int_equal(run(f, kinds[i].line), 0);
        assert_int_equal(card->inject.what, kinds[i].what);
        assert_true(card->inject.argument == kinds[i].argument);
    }
    assert_null(accel_inject_kind(ISA_INJECT_COUNT - 1)); // their numbers begin with 1
    assert_int_equal(run(f, "inject rain -i 1"), 2);
    assert_non_null(strstr(f->err, "'rain' is none of the faults:\n  ecc-single "));
    assert_int_equal(run(f, "inject -i 1"), 2);
    assert_int_equal(run(f, "inject hang soon -i 1"), 2);
    assert_int_equal(run(f, "inject overheat copy -i 1"), 2);
    assert_int_equal(card->n_injects, COUNT_OF(kinds));
    assert_int_equal(f->fake.cards[0].n_resets + f->fake.cards[0].n_injects, 0);
}

static void cards_are_held_for_a_while(void **state) {
    fixture_t *f = *state;
    const fake_card_t *cards = f->fake.cards;
    prints(f, "hold -i 1 -- gdb --pid=12", "");
    assert_string_equal(f->ran, "gdb --pid=12");
    assert_true(!f->held[0] && f->held[1] && !cards[1].is_held);
    assert_int_equal(run(f, "hold -i 0,1 fail"), 3);
    assert_true(f->held[0] && f->held[1] && !cards[0].is_held && !cards[1].is_held);
    assert_int_equal(run(f, "hold -i 0 nothing"), 127);
    assert_string_equal(f->err, "accel-smi: hold: cannot run 'nothing'\n");
    f->slept_ms = 0;
    prints(f, "hold -i 1 -c 3 -l 2", "Card 1: held until this command ends.\n");
    assert_int_equal(f->slept_ms, 6000);
    assert_int_equal(cards[1].n_holds, 3);
    assert_int_equal(run(f, "hold ls"), 2); // which card?
    f->fake.cards[0].is_held = true;
    f->fake.cards[0].clients[0].holds = 1;
    assert_int_equal(run(f, "hold -i 1,0 ls"), 1);
    assert_non_null(strstr(f->err, " holds it\n"));
    assert_false(cards[1].is_held);
}

// --- Failures ---

static void exit_codes_tell(void **state) {
    fixture_t *f = *state;
    f->fake.cards[0].refuse = STATUS_DENIED;
    assert_int_equal(run(f, "--reset -i 0"), SMI_EXIT_DENIED);
    assert_string_equal(f->err, "accel-smi: card 0: resetting it: not permitted; root may, and the "
                                "user whom the driver runs as\n");
    f->fake.cards[0].refuse = STATUS_UNSUPPORTED;
    assert_int_equal(run(f, "inject hang -i 0"), SMI_EXIT_UNSUPPORTED);
    assert_int_equal(run(f, "-L -i 2"), SMI_EXIT_NO_CARD);
    assert_string_equal(f->err, "accel-smi: --id: '2' names none of the 2 cards; -L lists them\n");
    assert_int_equal(run(f, "-L -i acc-1234"), SMI_EXIT_NO_CARD); // both
    assert_int_equal(run(f, "-L -i acc-12345678-9ABC-8acc-8000-00000000def1"), 0);
    assert_non_null(strstr(f->out, "Card 1: "));
    assert_int_equal(run(f, "-L -i daemon:1,0"), 0);
    assert_true(strstr(f->out, "Card 1: ") < strstr(f->out, "Card 0: "));
    assert_int_equal(run(f, "--query-card=index,memory.usd"), 2);
    assert_string_equal(f->err, "accel-smi: --query-card: there is no field 'memory.usd'; did you "
                                "mean 'memory.used'?\n--help-query-card lists them.\n");
    assert_int_equal(run(f, "--format=xml"), 2);
    assert_int_equal(run(f, "--format=csv,json"), 2);
    assert_int_equal(run(f, "wach"), 2);
    assert_non_null(strstr(f->err, "there is no command 'wach'; did you mean 'watch'?"));
    assert_int_equal(run(f, "events now"), 2);
    static const char *const senseless[][2] = {
        {"-L --reset -i 0", "accel-smi: --list and --reset: one at a time\n"},
        {"--reset --power-limit=40 -i 0", "--reset and --power-limit: one at a time"},
        {"processes --reset -i 0", "--reset and processes: one at a time"},
        {"-d POWER", "--display goes with --query"},
        {"-L -c 2", "--count goes with --loop"},
        {"--follow -L", "--follow and --since go with events"},
        {"events --format=csv", "no --format=csv of events"},
        {"watch --format=json", "no --format=json of watch"},
        {"--reset -i 0 -l 1", "no --loop or --count of --reset"},
        {"--node=copy", "--node goes with --reset=node"},
        {"inject hang copy 3 -i 0", "one word too many: 3"},
    };
    for (size_t i = 0; i < COUNT_OF(senseless); i++) {
        assert_int_equal(run(f, senseless[i][0]), 2);
        assert_non_null(strstr(f->err, senseless[i][1]));
    }
    assert_int_equal(f->fake.cards[0].n_resets, 0);
    assert_int_equal(run(f, "-l -1"), 2);
    f->fake.ended = true;
    assert_int_equal(run(f, "-q"), SMI_EXIT_LOST);
    assert_non_null(strstr(f->err, "the daemon has ended"));
    f->fake.n_cards = 0;
    assert_int_equal(run(f, ""), SMI_EXIT_NO_DRIVER);
    assert_string_equal(f->err, "accel-smi: no daemon at /somewhere; start accel-cardd\n");
    assert_int_equal(run(f, "--help"), 0); // needs no driver
    assert_int_equal(run(f, "--help-query-card"), 0);
    assert_int_equal(run(f, "--version"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(csv_is_stable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_known_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(processes_are_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_field_has_a_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_parses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_table_shows_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_and_trees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(loops_repeat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(administrators_act, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cards_are_held_for_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exit_codes_tell, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
