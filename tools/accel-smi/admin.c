// SPDX-License-Identifier: Apache-2.0
// What only administrators may do: power limits, resets, planted faults, holds.
#include <string.h>

#include "tools/accel-smi/smi.h"
#include "tools/common/cli.h"

// What changes a card asks for the card to be named where there are several.
static bool names_cards(smi_t *smi) {
    if (smi->options.n_ids != 0 || accel_manager_n_cards(smi->manager) == 1)
        return true;
    fprintf(smi->world->err, "accel-smi: there are %u cards: say which one by -i\n",
            accel_manager_n_cards(smi->manager));
    return false;
}

int smi_power_limit(smi_t *smi) {
    accel_error_t error = {0};
    double watts = smi->options.power_limit;
    if (!names_cards(smi))
        return CLI_EXIT_USAGE;
    for (size_t i = 0; i < smi->n_selected; i++) {
        accel_status_t status = accel_card_set_power_limit(smi->manager, smi->selected[i],
                                                           (uint32_t)(watts * 1000 + 0.5), &error);
        if (status != ACCEL_OK)
            return smi_fail(smi, status, &error);
        fprintf(smi->world->out, "Card %u: the power limit is %.2f W.\n", smi->selected[i], watts);
    }
    return CLI_EXIT_OK;
}

int smi_reset(smi_t *smi) {
    accel_error_t error = {0};
    bool node = strcmp(smi->options.reset, "node") == 0;
    bool copy = smi->options.node != NULL && strcmp(smi->options.node, "copy") == 0;
    if (!node && smi->options.node != NULL)
        return smi_usage(smi, "--node goes with --reset=node", "");
    if (!names_cards(smi))
        return CLI_EXIT_USAGE;
    for (size_t i = 0; i < smi->n_selected; i++) {
        uint32_t card = smi->selected[i];
        accel_status_t status = node ? accel_card_reset_node(smi->manager, card, copy, &error)
                                     : accel_card_reset(smi->manager, card, &error);
        if (status != ACCEL_OK)
            return smi_fail(smi, status, &error);
        fprintf(smi->world->out, "Card %u: %s was reset.\n", card,
                !node  ? "the card"
                : copy ? "node COPY"
                       : "node COMPUTE");
    }
    return CLI_EXIT_OK;
}

static int unknown_kind(const smi_t *smi, const char *kind) {
    fprintf(smi->world->err, "accel-smi: inject: '%s' is none of the faults:\n", kind);
    for (uint32_t i = 0; accel_inject_kind(i) != NULL; i++)
        fprintf(smi->world->err, "  %-13s ARG: %s\n", accel_inject_kind(i), accel_inject_help(i));
    return CLI_EXIT_USAGE;
}

// A number or, of faults whose argument is a node (the table says so first of it), its name.
static bool parse_argument(const char *help, const char *argument, uint64_t *out_number) {
    bool takes_node = strncmp(help, "node", 4) == 0;
    if (argument == NULL)
        return true;
    if (takes_node && strcmp(argument, "compute") == 0)
        *out_number = 0;
    else if (takes_node && strcmp(argument, "copy") == 0)
        *out_number = 1;
    else
        return cli_parse_u64(argument, out_number);
    return true;
}

int smi_inject(smi_t *smi) {
    accel_error_t error = {0};
    const char *kind = smi->n_operands > 0 ? smi->operands[0] : NULL;
    const char *argument = smi->n_operands > 1 ? smi->operands[1] : NULL;
    uint64_t number = 0;
    const char *help = NULL; // of its argument
    for (uint32_t i = 0; kind != NULL && accel_inject_kind(i) != NULL; i++)
        if (strcmp(accel_inject_kind(i), kind) == 0)
            help = accel_inject_help(i);
    if (help == NULL)
        return unknown_kind(smi, kind != NULL ? kind : "");
    if (!parse_argument(help, argument, &number))
        return smi_usage(smi,
                         strncmp(help, "node", 4) == 0
                             ? "inject: neither compute nor copy nor a number: "
                             : "inject: not a number: ",
                         argument);
    if (!names_cards(smi))
        return CLI_EXIT_USAGE;
    for (size_t i = 0; i < smi->n_selected; i++) {
        accel_status_t status =
            accel_card_inject(smi->manager, smi->selected[i], kind, number, &error);
        if (status != ACCEL_OK)
            return smi_fail(smi, status, &error);
        fprintf(smi->world->out, "Card %u: planted %s.\n", smi->selected[i], kind);
    }
    return CLI_EXIT_OK;
}

// Until this process is ended, as by Ctrl-C, or its driver is.
static int wait_held(smi_t *smi) {
    accel_error_t error = {0};
    accel_card_info_t info;
    const options_t *o = &smi->options;
    uint64_t ms = o->loop_ms != 0 ? o->loop_ms : o->loop > 0 ? (uint64_t)(o->loop * 1000) : 1000;
    for (uint64_t n = 1; n != o->count + 1 || o->count == 0; n++) {
        fflush(smi->world->out);
        smi->world->sleep_ms(smi->world->user, ms);
        accel_status_t status = accel_card_info(smi->manager, smi->selected[0], &info, &error);
        if (status != ACCEL_OK)
            return smi_fail(smi, status, &error);
    }
    return CLI_EXIT_OK;
}

static int run_held(smi_t *smi) {
    char **argv = ARENA_ARRAY(smi->arena, char *, smi->n_operands + 1);
    for (size_t i = 0; i < smi->n_operands; i++)
        argv[i] = arena_strdup(smi->arena, smi->operands[i]);
    fflush(smi->world->out);
    int code = smi->world->run(smi->world->user, argv);
    if (code == 127)
        fprintf(smi->world->err, "accel-smi: hold: cannot run '%s'\n", argv[0]);
    return code;
}

int smi_hold(smi_t *smi) {
    accel_error_t error = {0};
    accel_hold_t **holds = ARENA_ARRAY(smi->arena, accel_hold_t *, smi->n_selected);
    accel_status_t status = ACCEL_OK;
    int code = CLI_EXIT_OK;
    if (!names_cards(smi))
        return CLI_EXIT_USAGE;
    for (size_t i = 0; i < smi->n_selected && status == ACCEL_OK; i++)
        status = accel_card_hold(smi->manager, smi->selected[i], &holds[i], &error);
    if (status != ACCEL_OK) {
        code = smi_fail(smi, status, &error);
    } else if (smi->n_operands > 0) {
        code = run_held(smi);
    } else {
        for (size_t i = 0; i < smi->n_selected; i++)
            fprintf(smi->world->out, "Card %u: held until this command ends.\n", smi->selected[i]);
        code = wait_held(smi);
    }
    for (size_t i = 0; i < smi->n_selected; i++)
        accel_hold_release(holds[i]);
    return code;
}
