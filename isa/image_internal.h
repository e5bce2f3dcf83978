// SPDX-License-Identifier: Apache-2.0
// The parts of ELF that an image uses, and the steps of its check. Private to this folder.
#ifndef ISA_IMAGE_INTERNAL_H
#define ISA_IMAGE_INTERNAL_H

#include "isa/image.h"

typedef struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
} elf_header_t;
typedef struct elf_program {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
} elf_program_t;
typedef struct elf_section {
    uint32_t name, type;
    uint64_t flags, addr, offset, size;
    uint32_t link, info;
    uint64_t addralign, entsize;
} elf_section_t;
typedef struct elf_rela {
    uint64_t offset, info;
    int64_t addend;
} elf_rela_t;
typedef struct elf_dynamic {
    uint64_t tag, value;
} elf_dynamic_t;
typedef struct elf_note {
    uint32_t name_bytes, desc_bytes, type;
} elf_note_t;
_Static_assert(sizeof(elf_header_t) == 64 && sizeof(elf_program_t) == 56, "ELF headers");
_Static_assert(sizeof(elf_section_t) == 64 && sizeof(elf_rela_t) == 24, "ELF tables");

enum {
    ELF_PT_LOAD = 1,
    ELF_PT_DYNAMIC = 2,
    ELF_PT_INTERP = 3,
    ELF_PT_NOTE = 4,
    ELF_SHT_NOBITS = 8,
    ELF_DT_NEEDED = 1,
    ELF_DT_RELA = 7,
    ELF_DT_RELASZ = 8,
    ELF_DT_RELAENT = 9,
    ELF_DT_REL = 17,
    ELF_DT_JMPREL = 23,
    ELF_DT_RELR = 36,
    ELF_R_RISCV_RELATIVE = 3,
};

#define FAIL(text)                                                                                 \
    do {                                                                                           \
        *out_error = (text);                                                                       \
        return STATUS_INVALID;                                                                     \
    } while (0)

// Fills in note, io, symbols and strings from a note segment of the file. `align`: 4 or 8, what
// names and descriptors are padded to.
WARN_UNUSED status_t isa_image_find_note(isa_image_t *image, uint64_t offset, uint64_t bytes,
                                         uint64_t align, const char **out_error);
WARN_UNUSED status_t isa_image_check_debug(isa_image_t *image, uint64_t offset, uint64_t bytes,
                                           const char **out_error);
// The segment whose memory holds [va, va + bytes), or NULL.
const isa_segment_t *isa_image_segment(const isa_image_t *image, uint64_t va, uint64_t bytes);
WARN_UNUSED status_t isa_image_check_relocations(const isa_image_t *image, const char **out_error);

#endif
