// SPDX-License-Identifier: Apache-2.0
// The image reader on an image made by hand: whole, cut short, and with every byte flipped.
#include <stdlib.h>
#include <string.h>

#include "isa/image_internal.h"
#include "support/dtype.h"
#include "tests/card/check.h"

#define TEXT     0x1000u
#define DATA     0x2000u
#define NOTE     0x3000u
#define DEBUG    0x3800u
#define WEIGHTS  0x4000u
#define NAMES    0x5000u
#define SECTIONS 0x5100u
#define BYTES    0x5400u

typedef struct maker {
    uint8_t file[BYTES];
} maker_t;

static void put(maker_t *m, uint64_t at, const void *data, size_t bytes) {
    CHECK(at + bytes <= BYTES);
    memcpy(m->file + at, data, bytes);
}

static void put_note(maker_t *m) {
    elf_note_t head = {sizeof ISA_NOTE_NAME, 0, ISA_NOTE_XACCEL};
    isa_note_t note = {.version = ISA_IMAGE_VERSION,
                       .profile = "edge",
                       .n_inputs = 1,
                       .n_outputs = 1,
                       .n_symbols = 1,
                       .io_offset = 128,
                       .symbols_offset = 128 + 2 * 136,
                       .strings_offset = 128 + 2 * 136 + 24,
                       .strings_bytes = 8,
                       .heap_min = 4096,
                       .weights_bytes = 64,
                       .stack_bytes = 8192};
    isa_io_t io[2] = {{.name = 0, .dtype = DTYPE_F32, .rank = 2, .dims = {{-1, 0, 0}, {7, -1, 0}}},
                      {.name = 2, .dtype = DTYPE_F32, .rank = 1, .dims = {{-1, -2, 0}}}};
    isa_symbol_t symbol = {4, 0, 1, 512};
    note.bytes = head.desc_bytes = note.strings_offset + note.strings_bytes;
    put(m, NOTE, &head, sizeof head);
    put(m, NOTE + 12, ISA_NOTE_NAME, sizeof ISA_NOTE_NAME);
    put(m, NOTE + 24, &note, sizeof note);
    put(m, NOTE + 24 + note.io_offset, io, sizeof io);
    put(m, NOTE + 24 + note.symbols_offset, &symbol, sizeof symbol);
    put(m, NOTE + 24 + note.strings_offset, "x\0y\0seq", 8);
}

static uint64_t put_debug(maker_t *m) {
    isa_debug_t head = {1, 2, 1, 12};
    isa_debug_range_t ranges[2] = {{0, 0xffffffff, 0}, {0x10, 0, 0}};
    isa_debug_node_t node = {0, 7, 128};
    put(m, DEBUG, &head, 16);
    put(m, DEBUG + 16, ranges, 32);
    put(m, DEBUG + 48, &node, 16);
    put(m, DEBUG + 64, "conv_1\0Conv", 12);
    return 76;
}

static void put_data(maker_t *m) { // relocation table, dynamic table, a word to relocate
    elf_rela_t rela = {DATA + 0x80, ELF_R_RISCV_RELATIVE, TEXT + 4};
    elf_dynamic_t dynamic[4] = {
        {ELF_DT_RELA, DATA}, {ELF_DT_RELASZ, sizeof rela}, {ELF_DT_RELAENT, sizeof rela}, {0, 0}};
    put(m, DATA, &rela, sizeof rela);
    put(m, DATA + 0x40, dynamic, sizeof dynamic);
}

static void put_headers(maker_t *m, uint64_t debug_bytes) {
    elf_header_t header = {.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
                           .type = 3,
                           .machine = 243,
                           .version = 1,
                           .entry = TEXT,
                           .phoff = 64,
                           .shoff = SECTIONS,
                           .flags = 5,
                           .ehsize = 64,
                           .phentsize = 56,
                           .phnum = 5,
                           .shentsize = 64,
                           .shnum = 5,
                           .shstrndx = 4};
    elf_program_t programs[5] = {
        {ELF_PT_LOAD, 4, 0, 0, 0, 0x200, 0x200, 0x1000},
        {ELF_PT_LOAD, 5, TEXT, TEXT, TEXT, 0x100, 0x100, 0x1000},
        {ELF_PT_LOAD, 6, DATA, DATA, DATA, 0x100, 0x300, 0x1000},
        {ELF_PT_DYNAMIC, 6, DATA + 0x40, DATA + 0x40, DATA + 0x40, 64, 64, 8},
        {ELF_PT_NOTE, 4, NOTE, 0, 0, 24 + 128 + 2 * 136 + 24 + 8, 0, 8}};
    elf_section_t sections[5] = {
        {0},
        {.name = 1, .type = 1, .addr = TEXT, .offset = TEXT, .size = 0x100},
        {.name = 7, .type = 1, .offset = WEIGHTS, .size = 64},
        {.name = 23, .type = 1, .offset = DEBUG, .size = debug_bytes},
        {.name = 37, .type = 3, .offset = NAMES, .size = 48}};
    put(m, 0, &header, sizeof header);
    put(m, 64, programs, sizeof programs);
    put(m, SECTIONS, sections, sizeof sections);
    put(m, NAMES, "\0.text\0.xaccel.weights\0.xaccel.debug\0.shstrtab", 47);
}

static void make(maker_t *m) {
    memset(m, 0, sizeof *m);
    memset(m->file + TEXT, 0x13, 0x100);
    put_note(m);
    put_data(m);
    put_headers(m, put_debug(m));
}

static void check_whole(const maker_t *m) {
    isa_image_t image;
    const char *error, *name, *op;
    uint8_t memory[0x3000];
    uint64_t word;
    CHECK_EQUAL(isa_image_open(m->file, BYTES, &image, &error), STATUS_OK);
    CHECK_EQUAL(image.n_segments, 3);
    CHECK_EQUAL(isa_image_span(&image), 0x3000);
    CHECK_EQUAL(image.entry, TEXT);
    CHECK_EQUAL(image.text_offset, TEXT);
    CHECK_EQUAL(image.weights_offset, WEIGHTS);
    CHECK_EQUAL(image.n_rela, 1);
    CHECK(strcmp(image.strings + image.io[1].name, "y") == 0);
    CHECK(strcmp(image.strings + image.symbols[0].name, "seq") == 0);
    CHECK(!isa_image_node(&image, 0xf, &name, &op));
    CHECK(isa_image_node(&image, 0x10, &name, &op)->elements == 128);
    CHECK(strcmp(name, "conv_1") == 0 && strcmp(op, "Conv") == 0);
    CHECK(!isa_image_node_at(&image, 1, &name, &op));
    memset(memory, 0xaa, sizeof memory);
    CHECK_EQUAL(isa_image_load(&image, 0x40000000, memory, sizeof memory, &error), STATUS_OK);
    memcpy(&word, memory + DATA + 0x80, 8);
    CHECK_EQUAL(word, 0x40000000 + TEXT + 4);
    CHECK_EQUAL(memory[TEXT], 0x13);
    CHECK_EQUAL(memory[DATA + 0x200], 0); // .bss
    CHECK_EQUAL(isa_image_load(&image, 0, memory, 0x2fff, &error), STATUS_INVALID);
}

// What opens must also load and answer, within its bounds (the sanitizers watch).
static bool try_open(const void *data, uint64_t bytes) {
    isa_image_t image;
    const char *error = NULL, *name = "", *op = "";
    if (isa_image_open(data, bytes, &image, &error) != STATUS_OK) {
        CHECK(error && error[0]);
        return false;
    }
    uint64_t span = isa_image_span(&image);
    if (span < 1u << 20) {
        void *memory = malloc(span);
        CHECK_EQUAL(isa_image_load(&image, 0x40000000, memory, span, &error), STATUS_OK);
        free(memory);
    }
    size_t sum = 0;
    for (uint64_t at = 0; at < 0x40; at += 8)
        if (isa_image_node(&image, at, &name, &op))
            sum += strlen(name) + strlen(op);
    for (uint32_t i = 0; i < image.note->n_inputs + image.note->n_outputs; i++)
        sum += strlen(image.strings + image.io[i].name);
    return sum < 1000000;
}

static void check_broken(const maker_t *whole) {
    uint8_t *copy = malloc(BYTES); // its own block, so that reads beyond it show
    unsigned refused = 0;
    for (uint64_t cut = 0; cut < BYTES; cut += 7) {
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, whole->file, cut);
        CHECK(!try_open(part, cut) || cut >= SECTIONS + 5 * 64);
        free(part);
    }
    for (uint64_t at = 0; at < BYTES; at++)
        for (unsigned flip = 1; flip < 256; flip += at < 0x200 || at >= NOTE ? 23 : 127) {
            memcpy(copy, whole->file, BYTES);
            copy[at] ^= (uint8_t)flip;
            refused += !try_open(copy, BYTES);
        }
    CHECK(refused > 1000);
    srand(1);
    for (int i = 0; i < 20000; i++) { // several at once, in the tables
        memcpy(copy, whole->file, BYTES);
        for (int n = rand() % 6; n >= 0; n--) {
            static const uint32_t bases[] = {0, 64, DATA, NOTE, DEBUG, SECTIONS};
            copy[bases[rand() % 6] + (uint32_t)rand() % 0x180] = (uint8_t)rand();
        }
        (void)try_open(copy, BYTES);
    }
    free(copy);
}

static void check_refusals(const maker_t *whole) {
    isa_image_t image;
    const char *error;
    maker_t m = *whole;
    m.file[64 + 56 + 4] = 7; // writable text
    CHECK_EQUAL(isa_image_open(m.file, BYTES, &image, &error), STATUS_INVALID);
    m = *whole;
    m.file[NOTE + 24] = 9; // another format version
    CHECK_EQUAL(isa_image_open(m.file, BYTES, &image, &error), STATUS_MISMATCH);
    m = *whole;
    m.file[DATA + 8] = 2; // another kind of relocation
    CHECK_EQUAL(isa_image_open(m.file, BYTES, &image, &error), STATUS_INVALID);
    m = *whole;
    m.file[DATA] = 0; // a relocation in the text
    m.file[DATA + 1] = 0x10;
    CHECK_EQUAL(isa_image_open(m.file, BYTES, &image, &error), STATUS_INVALID);
}

int main(void) {
    maker_t *whole = aligned_alloc(4096, (sizeof(maker_t) + 4095) / 4096 * 4096);
    make(whole);
    check_whole(whole);
    check_refusals(whole);
    check_broken(whole);
    free(whole);
    return 0;
}
