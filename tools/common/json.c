// SPDX-License-Identifier: Apache-2.0
#include "tools/common/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

void json_init(json_t *json, FILE *stream) { *json = (json_t){.stream = stream}; }

// Length of the valid UTF-8 sequence at `s` (NUL-terminated), or 0.
static int utf8_length(const unsigned char *s) {
    int length = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;
    for (int i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
    bool too_large = s[0] == 0xf4 && s[1] >= 0x90;
    return length > 1 && (overlong || surrogate || too_large) ? 0 : length;
}

static void put_string(json_t *json, const char *text) {
    FILE *stream = json->stream;
    fputc('"', stream);
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
        int length = utf8_length(s);
        if (length == 0)
            fputs("\\ufffd", stream);
        else if (*s == '"' || *s == '\\')
            fprintf(stream, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f)
            fprintf(stream, "\\u%04x", *s);
        else
            fwrite(s, 1, (size_t)length, stream);
        s += length == 0 ? 1 : length;
    }
    fputc('"', stream);
}

static void new_line(json_t *json) { fprintf(json->stream, "\n%*s", 2 * json->depth, ""); }

// What stands before any value: comma, line, key.
static void begin_value(json_t *json, const char *key) {
    if (json->depth == 0)
        return;
    bool *has_member = &json->has_member[json->depth - 1];
    assert((key != NULL) == (json->closer[json->depth - 1] == '}'));
    if (*has_member)
        fputc(',', json->stream);
    *has_member = true;
    new_line(json);
    if (key != NULL) {
        put_string(json, key);
        fputs(": ", json->stream);
    }
}

static void begin_group(json_t *json, const char *key, char opener, char closer) {
    begin_value(json, key);
    if (json->depth == JSON_MAX_DEPTH) {
        fputs("accel: JSON nested too deeply\n", stderr); // our own bug
        abort();
    }
    fputc(opener, json->stream);
    json->closer[json->depth] = closer;
    json->has_member[json->depth] = false;
    json->depth++;
}

void json_object_begin(json_t *json, const char *key) { begin_group(json, key, '{', '}'); }

void json_array_begin(json_t *json, const char *key) { begin_group(json, key, '[', ']'); }

void json_end(json_t *json) {
    assert(json->depth > 0);
    json->depth--;
    if (json->has_member[json->depth])
        new_line(json);
    fputc(json->closer[json->depth], json->stream);
    if (json->depth == 0)
        fputc('\n', json->stream);
}

void json_text(json_t *json, const char *key, const char *value) {
    begin_value(json, key);
    if (value == NULL)
        fputs("null", json->stream);
    else
        put_string(json, value);
}

void json_bool(json_t *json, const char *key, bool value) {
    begin_value(json, key);
    fputs(value ? "true" : "false", json->stream);
}

void json_i64(json_t *json, const char *key, int64_t value) {
    begin_value(json, key);
    fprintf(json->stream, "%" PRId64, value);
}

void json_u64(json_t *json, const char *key, uint64_t value) {
    begin_value(json, key);
    fprintf(json->stream, "%" PRIu64, value);
}

void json_f64(json_t *json, const char *key, double value) {
    begin_value(json, key);
    if (!isfinite(value)) {
        fputs("null", json->stream);
        return;
    }
    // The shortest of the two forms that reads back as the same number.
    char text[40];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    fputs(text, json->stream);
}

void json_null(json_t *json, const char *key) { json_text(json, key, NULL); }
