// SPDX-License-Identifier: Apache-2.0
// The parser's parts: tokens (lex.c), expressions, types and attributes (parse_parts.c), ops and
// modules (parse.c). Every function returns false after the first error, which it has reported.
#ifndef IR_PARSE_INTERNAL_H
#define IR_PARSE_INTERNAL_H

#include "ir/ir_internal.h"
#include "support/strbuf.h"

typedef enum token_kind {
    TOKEN_END,
    TOKEN_NAME,   // bare identifier
    TOKEN_STRING, // "..."
    TOKEN_NUMBER,
    TOKEN_VALUE, // %name
    TOKEN_FUNC,  // @name
    TOKEN_PUNCT, // one character, or -> as '>' with length 2
} token_kind_t;

typedef struct token {
    token_kind_t kind;
    const char *start;
    size_t length;
    const char *text; // NAME, STRING, VALUE, FUNC: the name, unescaped, in the scratch arena
    int line;
} token_t;

typedef struct parser {
    const char *at, *end;
    int line;
    token_t token; // the one to look at
    int last_line; // of the token before it
    const char *file_name;
    FILE *sidecar;
    diag_t *diag;
    ir_module_t *m;
    arena_t scratch;
    map_t values;        // of the function being read: name -> value
    int depth;           // of nesting, limited
    uint64_t zero_bytes; // of blobs without contents, limited
} parser_t;

enum { PARSE_MAX_DEPTH = 100 };

// Reports at the token to look at, or at the one before it. Always false.
bool parse_fail(parser_t *p, const char *format, ...) PRINTF_LIKE(2, 3);
bool parse_fail_behind(parser_t *p, const char *format, ...) PRINTF_LIKE(2, 3);
WARN_UNUSED bool parse_next(parser_t *p); // reads the next token
bool parse_at(const parser_t *p, char punct);
bool parse_at_name(const parser_t *p, const char *name);
// Skips it if it is there.
WARN_UNUSED bool parse_take(parser_t *p, char punct, bool *out_taken);
WARN_UNUSED bool parse_expect(parser_t *p, char punct);
WARN_UNUSED bool parse_expect_name(parser_t *p, const char *name);
// The text of a token of this kind, and on to the next.
WARN_UNUSED bool parse_text(parser_t *p, token_kind_t kind, const char *what, const char **out);

WARN_UNUSED bool parse_i64(parser_t *p, int64_t *out);
WARN_UNUSED bool parse_u64(parser_t *p, uint64_t *out);
// "[a, b, ...]" of at most `max`.
WARN_UNUSED bool parse_i64s(parser_t *p, uint32_t max, int64_t *out, uint32_t *out_n);
WARN_UNUSED bool parse_symbol(parser_t *p, const ir_symbol_t **out);
WARN_UNUSED bool parse_expr(parser_t *p, const ir_expr_t **out);
WARN_UNUSED bool parse_dtype(parser_t *p, dtype_t *out); // "?": none
WARN_UNUSED bool parse_type(parser_t *p, const ir_type_t **out);
WARN_UNUSED bool parse_blob_ref(parser_t *p, const ir_blob_t **out);
// The elements as a list in the scratch arena. "?" gives NULL where `unknown` allows it.
WARN_UNUSED bool parse_exprs(parser_t *p, bool unknown, const ir_expr_t *const **out,
                             size_t *out_n);
WARN_UNUSED bool parse_attrs(parser_t *p, ir_op_t *op);
WARN_UNUSED bool parse_blob(parser_t *p); // after the word "blob"

#endif
