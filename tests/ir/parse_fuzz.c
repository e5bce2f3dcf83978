// SPDX-License-Identifier: Apache-2.0
// Seeded mutations of good texts: the parser answers, whatever it reads; and what it accepts prints
// and parses again, and the verifier survives it. Argument: rounds.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "support/file.h"
#include "tests/common/test_data.h"

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static size_t mutate(char *text, size_t length, size_t capacity, uint64_t *seed) {
    static const char *const bits[] = {
        "%",      "{", "}",  "(",     "[",   "]", "99999999999999999999",
        "0",      "-", "\"", "known", "b0",  "=", "floordiv(",
        "kernel", "?", "@[", "->",    "\\x", ":"};
    int edits = 1 + (int)(next_random(seed) % 4);
    for (int i = 0; i < edits && length > 1; i++) {
        size_t at = next_random(seed) % length;
        size_t span = next_random(seed) % 20;
        const char *bit = bits[next_random(seed) % COUNT_OF(bits)];
        switch (next_random(seed) % 4) {
        case 0: // a byte
            text[at] = (char)next_random(seed);
            break;
        case 1: // out
            span = at + span > length ? length - at : span;
            memmove(text + at, text + at + span, length - at - span);
            length -= span;
            break;
        case 2: // in
            if (length + strlen(bit) < capacity) {
                memmove(text + at + strlen(bit), text + at, length - at);
                memcpy(text + at, bit, strlen(bit));
                length += strlen(bit);
            }
            break;
        default: // the end is lost
            length = next_random(seed) % 4 == 0 ? at : length;
            break;
        }
    }
    return length;
}

static char *print_to_text(const ir_module_t *m, size_t *out_bytes) {
    char *text = NULL;
    FILE *stream = open_memstream(&text, out_bytes);
    if (stream == NULL)
        exit(1);
    ir_print(m, stream, NULL);
    if (fclose(stream) != 0)
        exit(1);
    return text;
}

// False when an accepted text does not come back as it was printed.
static bool try_text(const char *text, size_t length, unsigned *accepted) {
    diag_t diag;
    ir_module_t *m, *again;
    diag_init(&diag);
    bool ok = true;
    if (ir_parse(text, length, "fuzz", NULL, &diag, &m) == STATUS_OK) {
        size_t bytes, bytes_again;
        char *first = print_to_text(m, &bytes);
        ++*accepted;
        ok = ir_parse(first, bytes, "fuzz again", NULL, &diag, &again) == STATUS_OK;
        if (ok) {
            char *second = print_to_text(again, &bytes_again);
            ok = strcmp(first, second) == 0;
            free(second);
            ir_module_destroy(again);
        }
        if (ir_verify(m, &diag) == STATUS_OK && diag.n_errors != 0)
            ok = false;
        if (!ok)
            fprintf(stderr, "%s", first);
        free(first);
        ir_module_destroy(m);
    } else {
        ok = diag.n_errors == 1;
    }
    diag_deinit(&diag);
    return ok;
}

static bool fuzz_file(const char *relative, unsigned rounds, uint64_t seed) {
    char path[1024];
    file_map_t map;
    unsigned accepted = 0;
    test_source_path(relative, path, sizeof path);
    if (file_map_open(path, &map) != STATUS_OK)
        return false;
    size_t capacity = map.bytes + 256;
    char *text = malloc(capacity);
    bool ok = text != NULL;
    for (unsigned i = 0; ok && i < rounds; i++) {
        memcpy(text, map.data, map.bytes);
        size_t length = mutate(text, map.bytes, capacity, &seed);
        ok = try_text(text, length, &accepted);
        if (!ok)
            fprintf(stderr, "\n%s: round %u fails\n", relative, i);
    }
    printf("%s: %u rounds, %u accepted\n", relative, rounds, accepted);
    free(text);
    file_map_close(&map);
    return ok;
}

int main(int argc, char **argv) {
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
    bool ok = fuzz_file("tests/ir/round.ir", rounds / 2, 1);
    ok = fuzz_file("tests/ir/tile.ir", rounds / 2, 2) && ok;
    return ok ? 0 : 1;
}
