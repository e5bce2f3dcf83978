// SPDX-License-Identifier: Apache-2.0
// Tokens of the IR text. The text need not end in a NUL. Comments: from // to the end of the line.
#include <ctype.h>
#include <string.h>

#include "ir/parse_internal.h"

static bool fail_at(parser_t *p, int line, const char *format, va_list args) {
    diag_where_t where = {.model = p->file_name, .line = line};
    (void)DIAG_FAIL(p->diag, STATUS_INVALID, &where, NULL, "%s",
                    arena_vprintf(&p->scratch, format, args));
    return false;
}

bool parse_fail(parser_t *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    bool result = fail_at(p, p->token.line, format, args);
    va_end(args);
    return result;
}

bool parse_fail_behind(parser_t *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    bool result = fail_at(p, p->last_line, format, args);
    va_end(args);
    return result;
}

static bool is_name_char(char c) {
    return isalnum((unsigned char)c) || (c != 0 && strchr("_.~$", c) != NULL);
}

static void skip_space(parser_t *p) {
    while (p->at < p->end) {
        if (*p->at == '\n') {
            p->line++;
            p->at++;
        } else if (isspace((unsigned char)*p->at)) {
            p->at++;
        } else if (p->end - p->at >= 2 && p->at[0] == '/' && p->at[1] == '/') {
            while (p->at < p->end && *p->at != '\n')
                p->at++;
        } else {
            return;
        }
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// One character after a backslash; 0 when it is none.
static char unescape(parser_t *p) {
    char c = p->at < p->end ? *p->at++ : 0;
    if (c == 'n')
        return '\n';
    if (c != 'x')
        return c == '"' || c == '\\' ? c : 0;
    if (p->end - p->at < 2 || hex_digit(p->at[0]) < 0 || hex_digit(p->at[1]) < 0)
        return 0;
    int value = hex_digit(p->at[0]) * 16 + hex_digit(p->at[1]);
    p->at += 2;
    return (char)value;
}

// `at` is behind the opening quote.
static bool lex_string(parser_t *p, const char **out) {
    const char *close = p->at;
    while (close < p->end && *close != '"' && *close != '\n')
        close += *close == '\\' && close + 1 < p->end ? 2 : 1;
    if (close >= p->end || *close != '"')
        return parse_fail(p, "a string without an end");
    char *text = arena_must_alloc(&p->scratch, (size_t)(close - p->at) + 1);
    size_t n = 0;
    while (p->at < close) {
        char c = *p->at++;
        if (c == '\\' && (c = unescape(p)) == 0)
            return parse_fail(p, "an escape that is none of \\\" \\\\ \\n \\xHH");
        if (c == 0)
            return parse_fail(p, "a string with a zero byte");
        text[n++] = c;
    }
    p->at = close + 1;
    *out = text;
    return true;
}

static bool lex_bare(parser_t *p, const char **out) {
    const char *start = p->at;
    while (p->at < p->end && is_name_char(*p->at))
        p->at++;
    if (p->at == start)
        return parse_fail(p, "a name is missing");
    *out = arena_strndup(&p->scratch, start, (size_t)(p->at - start));
    return *out != NULL || parse_fail(p, "out of memory");
}

// %name, %"name", @name; a plain @ (before [) is punctuation.
static bool lex_prefixed(parser_t *p) {
    char prefix = *p->at;
    if (prefix == '@' && p->end - p->at >= 2 && p->at[1] == '[') {
        p->token.kind = TOKEN_PUNCT;
        p->at++;
        return true;
    }
    p->token.kind = prefix == '%' ? TOKEN_VALUE : TOKEN_FUNC;
    p->at++;
    if (p->at < p->end && *p->at == '"') {
        p->at++;
        return lex_string(p, &p->token.text);
    }
    return lex_bare(p, &p->token.text);
}

static void lex_number(parser_t *p) {
    bool hex = p->end - p->at >= 2 && p->at[1] == 'x';
    p->token.kind = TOKEN_NUMBER;
    while (p->at < p->end) {
        char c = *p->at, last = p->at[-1];
        bool sign = (c == '-' || c == '+') && !hex && p->at > p->token.start &&
                    (last == 'e' || last == 'E');
        if (!isalnum((unsigned char)c) && c != '.' && !sign)
            break;
        p->at++;
    }
}

bool parse_next(parser_t *p) {
    skip_space(p);
    p->last_line = p->token.line;
    p->token = (token_t){.kind = TOKEN_END, .start = p->at, .line = p->line};
    if (p->at >= p->end)
        return true;
    bool ok = true;
    char c = *p->at;
    if (c == '"') {
        p->token.kind = TOKEN_STRING;
        p->at++;
        ok = lex_string(p, &p->token.text);
    } else if (c == '%' || c == '@') {
        ok = lex_prefixed(p);
    } else if (isdigit((unsigned char)c)) {
        lex_number(p);
    } else if (isalpha((unsigned char)c) || c == '_') {
        p->token.kind = TOKEN_NAME;
        ok = lex_bare(p, &p->token.text);
    } else if (c != 0 && strchr("{}()[]<>,:=*+-?", c) != NULL) {
        p->token.kind = TOKEN_PUNCT;
        p->at += c == '-' && p->end - p->at >= 2 && p->at[1] == '>' ? 2 : 1;
    } else {
        return parse_fail(p, "a byte 0x%02x that belongs to nothing", (unsigned char)c);
    }
    p->token.length = (size_t)(p->at - p->token.start);
    return ok;
}

// --- Helpers -------------------------------------------------------------------------------------

bool parse_at(const parser_t *p, char punct) {
    if (p->token.kind != TOKEN_PUNCT)
        return false;
    char c = p->token.length == 2 ? 'A' : p->token.start[0]; // 'A': the arrow
    return c == punct;
}

bool parse_at_name(const parser_t *p, const char *name) {
    return p->token.kind == TOKEN_NAME && strcmp(p->token.text, name) == 0;
}

bool parse_take(parser_t *p, char punct, bool *out_taken) {
    *out_taken = parse_at(p, punct);
    return !*out_taken || parse_next(p);
}

static int shown(const parser_t *p) { return p->token.length < 40 ? (int)p->token.length : 40; }

bool parse_expect(parser_t *p, char punct) {
    if (!parse_at(p, punct))
        return parse_fail(p, "expected '%s%c', found '%.*s'", punct == 'A' ? "-" : "",
                          punct == 'A' ? '>' : punct, shown(p), p->token.start);
    return parse_next(p);
}

bool parse_expect_name(parser_t *p, const char *name) {
    if (!parse_at_name(p, name))
        return parse_fail(p, "expected '%s', found '%.*s'", name, shown(p), p->token.start);
    return parse_next(p);
}

bool parse_text(parser_t *p, token_kind_t kind, const char *what, const char **out) {
    if (p->token.kind != kind)
        return parse_fail(p, "expected %s, found '%.*s'", what, shown(p), p->token.start);
    *out = p->token.text;
    return parse_next(p);
}
