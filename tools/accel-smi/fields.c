// SPDX-License-Identifier: Apache-2.0
// Fields: the table's rows as functions, and values as text.
#include <inttypes.h>
#include <string.h>

#include "tools/accel-smi/smi.h"

// --- Values of a row ---

static value_t nothing(void) { return (value_t){.kind = VALUE_NONE}; }

static value_t text_value(const char *text) {
    return text != NULL && text[0] != 0 ? (value_t){.kind = VALUE_TEXT, .text = text} : nothing();
}

static value_t count_value(uint64_t count) {
    return (value_t){.kind = VALUE_NUMBER, .whole = count};
}

// value / unit, rounded to so many decimals.
static value_t fixed_value(int64_t value, uint64_t unit, int decimals) {
    uint64_t scale = decimals == 0 ? 1 : decimals == 1 ? 10 : 100;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint64_t whole = magnitude / unit, rest = magnitude % unit;
    uint64_t fraction = (rest * scale + unit / 2) / unit;
    if (fraction == scale) {
        whole++;
        fraction = 0;
    }
    return (value_t){.kind = VALUE_NUMBER,
                     .whole = whole,
                     .fraction = (uint32_t)fraction,
                     .decimals = decimals,
                     .negative = value < 0 && (whole != 0 || fraction != 0)};
}

static const char *state_text(accel_card_state_t state) {
    static const char *const texts[] = {"Ready", "Recovering", "Hot", "Lost"};
    return (unsigned)state < COUNT_OF(texts) ? texts[state] : "Unknown";
}

static const char *process_state_text(accel_process_state_t state) {
    static const char *const texts[] = {"Ready", "Lost", "Banned"};
    return (unsigned)state < COUNT_OF(texts) ? texts[state] : "Unknown";
}

static uint64_t used_bytes(const card_t *c) {
    return c->t.memory_bytes > c->t.memory_free ? c->t.memory_bytes - c->t.memory_free : 0;
}

#define NOTHING                      nothing()
#define TEXT(text)                   text_value(text)
#define COUNT(count)                 count_value(count)
#define FIXED(value, unit, decimals) fixed_value((int64_t)(value), (uint64_t)(unit), decimals)
#define T(value)                     (c->has_telemetry ? (value) : nothing())
#define SENSOR(value)                (c->has_telemetry && c->t.has_sensors ? (value) : nothing())
#define POWER_STATE(value)           (c->has_telemetry && c->t.has_power ? (value) : nothing())
#define CARD_COUNT(count)            (c->has_telemetry && c->t.has_counts ? count_value(count) : nothing())
#define ECC_COUNT(count)             (c->has_telemetry && c->t.has_ecc ? count_value(count) : nothing())
#define USE(value)                   (c->has_use ? (value) : nothing())

#define SMI_FIELD(id, name, unit, section, title, value, help)                                     \
    static value_t get_##id(const card_t *c) {                                                     \
        (void)c;                                                                                   \
        return value;                                                                              \
    }
#include "tools/accel-smi/fields.def"

#define SMI_PROCESS_FIELD(id, name, unit, value, help)                                             \
    static value_t get_process_##id(const card_t *c, const accel_process_t *p) {                   \
        (void)c, (void)p;                                                                          \
        return value;                                                                              \
    }
#include "tools/accel-smi/fields.def"

const field_t smi_fields[] = {
#define SMI_FIELD(id, name, unit, section, title, value, help)                                     \
    {name, unit, title, help, SECTION_##section, get_##id},
#include "tools/accel-smi/fields.def"
};
const size_t smi_n_fields = COUNT_OF(smi_fields);

const process_field_t smi_process_fields[] = {
#define SMI_PROCESS_FIELD(id, name, unit, value, help) {name, unit, help, get_process_##id},
#include "tools/accel-smi/fields.def"
};
const size_t smi_n_process_fields = COUNT_OF(smi_process_fields);

const char *smi_section_name(section_t section) {
    static const char *const names[] = {
#define SMI_SECTION(name, title) #name,
#include "tools/accel-smi/fields.def"
    };
    return names[section];
}

const char *smi_section_title(section_t section) {
    static const char *const titles[] = {
#define SMI_SECTION(name, title) title,
#include "tools/accel-smi/fields.def"
    };
    return titles[section];
}

// --- Text ---

const char *smi_value_text(smi_t *smi, const value_t *value, const char *unit) {
    const char *gap = unit != NULL && unit[0] != 0 ? " " : "";
    unit = unit != NULL ? unit : "";
    switch (value->kind) {
    case VALUE_TEXT:
        return value->text;
    case VALUE_NUMBER:
        if (value->decimals == 0)
            return arena_printf(smi->arena, "%s%" PRIu64 "%s%s", value->negative ? "-" : "",
                                value->whole, gap, unit);
        return arena_printf(smi->arena, "%s%" PRIu64 ".%0*" PRIu32 "%s%s",
                            value->negative ? "-" : "", value->whole, value->decimals,
                            value->fraction, gap, unit);
    default:
        return "[N/A]";
    }
}

const field_t *smi_field(const char *name) {
    for (size_t i = 0; i < smi_n_fields; i++)
        if (strcmp(smi_fields[i].name, name) == 0)
            return &smi_fields[i];
    return NULL;
}
