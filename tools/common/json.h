// SPDX-License-Identifier: Apache-2.0
// JSON writer: correct nesting, commas and escapes, one member a line, written as it goes.
#ifndef TOOLS_COMMON_JSON_H
#define TOOLS_COMMON_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_MAX_DEPTH = 32 };

// `key` below: the member's name inside an object, NULL inside an array and at the top.
typedef struct json {
    FILE *stream;
    int depth;
    char closer[JSON_MAX_DEPTH];
    bool has_member[JSON_MAX_DEPTH];
} json_t;

void json_init(json_t *json, FILE *stream);
void json_object_begin(json_t *json, const char *key);
void json_array_begin(json_t *json, const char *key);
// Closes the innermost object or array; the outermost one ends the line.
void json_end(json_t *json);

// Bytes that are no valid UTF-8 are replaced by U+FFFD, so that the output always parses.
void json_text(json_t *json, const char *key, const char *value); // NULL: null
void json_bool(json_t *json, const char *key, bool value);
void json_i64(json_t *json, const char *key, int64_t value);
void json_u64(json_t *json, const char *key, uint64_t value);
void json_f64(json_t *json, const char *key, double value); // NaN and infinities: null
void json_null(json_t *json, const char *key);

#endif
