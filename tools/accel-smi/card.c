// SPDX-License-Identifier: Apache-2.0
// A look at a card: all that the printing parts need, fetched at once.
#include <string.h>

#include "tools/accel-smi/smi.h"

#define FIRST_INTERVAL_MS 100u
#define MAX_PROCESSES     4096u

static void describe_throttle(card_t *card) {
    static const struct {
        uint32_t bit;
        const char *text;
    } reasons[] = {{ACCEL_THROTTLED_THERMAL, "Thermal"},
                   {ACCEL_THROTTLED_POWER, "Power"},
                   {ACCEL_THROTTLED_SLEEP, "Sleep"}};
    size_t used = 0;
    for (size_t i = 0; i < COUNT_OF(reasons); i++)
        if ((card->t.throttled & reasons[i].bit) != 0)
            used += (size_t)snprintf(card->throttle + used, sizeof card->throttle - used, "%s%s",
                                     used > 0 ? "+" : "", reasons[i].text);
    if (used == 0)
        strcpy(card->throttle, "None");
}

static void describe_health(card_t *card) {
    static const char *const texts[] = {"OK", "Warning", "Critical"};
    if (!card->has_telemetry) {
        card->health = "Unknown";
        card->health_reason = card->problem != NULL ? card->problem : "";
        return;
    }
    card->health = texts[accel_card_health(&card->t, &card->health_reason)];
}

// A client that only looks, as this one, is no user of the card.
static bool is_user(const accel_process_t *process) {
    return process->contexts != 0 || process->memory_bytes != 0 || process->host_bytes != 0 ||
           process->submissions != 0 || process->holds;
}

static accel_status_t look_at_processes(smi_t *smi, uint32_t index, card_t *card,
                                        accel_error_t *error) {
    uint32_t count;
    card->processes = ARENA_ARRAY(smi->arena, accel_process_t, MAX_PROCESSES);
    accel_status_t status =
        accel_card_processes(smi->manager, index, card->processes, MAX_PROCESSES, &count, error);
    if (status == ACCEL_UNSUPPORTED)
        return ACCEL_OK; // none to show
    if (status != ACCEL_OK)
        return status;
    for (uint32_t i = 0; i < count && i < MAX_PROCESSES; i++)
        if (is_user(&card->processes[i]))
            card->processes[card->n_processes++] = card->processes[i];
    return ACCEL_OK;
}

accel_status_t card_look(smi_t *smi, uint32_t index, bool use, bool processes, card_t *out_card,
                         accel_error_t *error) {
    accel_card_telemetry_t now;
    *out_card = (card_t){0};
    accel_status_t status = accel_card_info(smi->manager, index, &out_card->info, error);
    if (status != ACCEL_OK)
        return status;
    snprintf(out_card->name, sizeof out_card->name, "Accel %s%s", out_card->info.profile,
             out_card->info.simulated ? " (simulated)" : "");
    status = accel_card_telemetry(smi->manager, index, &now, error);
    if (status != ACCEL_OK && status != ACCEL_UNSUPPORTED)
        return status;
    out_card->has_telemetry = status == ACCEL_OK;
    if (out_card->has_telemetry) {
        out_card->t = now;
        out_card->has_use =
            use && smi->has_before[index] &&
            accel_card_use(&out_card->info, &smi->before[index], &now, &out_card->use);
        smi->before[index] = now;
        smi->has_before[index] = true;
        describe_throttle(out_card);
    } else
        out_card->problem = "the driver cannot tell";
    describe_health(out_card);
    return processes ? look_at_processes(smi, index, out_card, error) : ACCEL_OK;
}

accel_status_t card_prepare(smi_t *smi, accel_error_t *error) {
    bool waits = false;
    for (size_t i = 0; i < smi->n_selected; i++) {
        uint32_t index = smi->selected[i];
        if (smi->has_before[index])
            continue;
        accel_status_t status =
            accel_card_telemetry(smi->manager, index, &smi->before[index], error);
        if (status != ACCEL_OK && status != ACCEL_UNSUPPORTED)
            return status;
        smi->has_before[index] = status == ACCEL_OK;
        waits = waits || status == ACCEL_OK;
    }
    if (waits)
        smi->world->sleep_ms(smi->world->user, FIRST_INTERVAL_MS);
    return ACCEL_OK;
}
