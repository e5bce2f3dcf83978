// SPDX-License-Identifier: Apache-2.0
// Does nothing: what a launch itself costs.
#include "tests/driver/prog.h"

typedef struct note {
    prog_note_head_t head;
    isa_note_t note;
    char strings[8];
} note_t;

PROG_NOTE_SECTION const note_t note = {
    .head = PROG_NOTE_HEAD(sizeof(isa_note_t) + 8),
    .note = {.version = ISA_IMAGE_VERSION,
             .bytes = sizeof(isa_note_t) + 8,
             .profile_hash = PROFILE_HASH,
             .profile = PROFILE_NAME,
             .io_offset = sizeof(isa_note_t),
             .symbols_offset = sizeof(isa_note_t),
             .strings_offset = sizeof(isa_note_t),
             .strings_bytes = 8,
             .stack_bytes = 16384},
};

int prog_main(isa_args_t *args, uint64_t core, uint64_t cores) {
    (void)args, (void)core, (void)cores;
    return 0;
}
