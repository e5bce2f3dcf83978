// SPDX-License-Identifier: Apache-2.0
// Opening an image: ELF header, segments, dynamic table, sections. Nothing is believed before it is
// checked, and every offset is checked against the file it points into.
#include "isa/image_internal.h"

#include "isa/program.h"
#include "support/checked.h"
#include "support/mem.h"

static uint64_t page_down(uint64_t value) { return value & ~(ISA_PAGE_BYTES - 1); }

// Copies a struct out of the file: ELF promises no alignment.
static bool read_at(const isa_image_t *image, uint64_t offset, void *out_data, uint64_t bytes) {
    if (!checked_range(offset, bytes, image->bytes))
        return false;
    memcpy(out_data, image->data + offset, (size_t)bytes);
    return true;
}

static bool table_fits(const isa_image_t *image, uint64_t offset, uint64_t count, uint64_t entry) {
    uint64_t bytes;
    return checked_mul_u64(count, entry, &bytes) && checked_range(offset, bytes, image->bytes);
}

static status_t check_header(const isa_image_t *image, elf_header_t *header,
                             const char **out_error) {
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    if (!read_at(image, 0, header, sizeof(*header)) || memcmp(header->ident, ident, 7) != 0)
        FAIL("not a 64-bit little-endian ELF file");
    if (header->machine != 243 || header->type != 3 || header->version != 1)
        FAIL("not a position-independent RISC-V program");
    if ((header->flags & 6u) != 4u)
        FAIL("not built for the LP64D calling convention");
    if (header->phentsize != sizeof(elf_program_t) || header->phnum == 0 ||
        !table_fits(image, header->phoff, header->phnum, sizeof(elf_program_t)))
        FAIL("program headers lie outside the file");
    if (header->shentsize != sizeof(elf_section_t) || header->shstrndx >= header->shnum ||
        !table_fits(image, header->shoff, header->shnum, sizeof(elf_section_t)))
        FAIL("section headers lie outside the file");
    return STATUS_OK;
}

static elf_program_t program_at(const isa_image_t *image, const elf_header_t *header, unsigned i) {
    elf_program_t program;
    memcpy(&program, image->data + header->phoff + i * sizeof(program), sizeof(program));
    return program;
}

static elf_section_t section_at(const isa_image_t *image, const elf_header_t *header, unsigned i) {
    elf_section_t section;
    memcpy(&section, image->data + header->shoff + i * sizeof(section), sizeof(section));
    return section;
}

// --- Segments ------------------------------------------------------------------------------------

static status_t add_segment(isa_image_t *image, const elf_program_t *p, const char **out_error) {
    uint64_t end;
    if (!checked_range(p->offset, p->filesz, image->bytes) || p->filesz > p->memsz)
        FAIL("a segment lies outside the file");
    if (image->n_segments == ISA_MAX_SEGMENTS)
        FAIL("too many segments");
    if (image->n_segments == 0 && p->vaddr >= ISA_PAGE_BYTES)
        FAIL("the program is not linked at address 0");
    if (!checked_add_u64(p->vaddr, p->memsz, &end) || end > ISA_VA_STACK - ISA_VA_IMAGE)
        FAIL("a segment lies outside the address range of images");
    if ((p->flags & 3u) == 3u || !(p->flags & 4u) || p->flags > 7u)
        FAIL("a segment is both writable and executable, or not readable");
    uint64_t previous = isa_image_span(image);
    if (image->n_segments && page_down(p->vaddr) < previous)
        FAIL("segments share a page or are out of order");
    image->segments[image->n_segments++] = (isa_segment_t){.va = p->vaddr,
                                                           .file_offset = p->offset,
                                                           .file_bytes = p->filesz,
                                                           .mem_bytes = p->memsz,
                                                           .flags = p->flags};
    return STATUS_OK;
}

static status_t read_segments(isa_image_t *image, const elf_header_t *header,
                              const char **out_error) {
    for (unsigned i = 0; i < header->phnum; i++) {
        elf_program_t program = program_at(image, header, i);
        if (program.type == ELF_PT_INTERP)
            FAIL("the program asks for an interpreter");
        if (program.type == ELF_PT_LOAD && program.memsz != 0)
            RETURN_IF_ERROR(add_segment(image, &program, out_error));
    }
    if (image->n_segments == 0)
        FAIL("the program has no segment");
    const isa_segment_t *entry = isa_image_segment(image, header->entry, 2);
    if (!entry || !(entry->flags & 1u) || header->entry % 2 != 0)
        FAIL("the entry point is not in an executable segment");
    image->entry = header->entry;
    return STATUS_OK;
}

const isa_segment_t *isa_image_segment(const isa_image_t *image, uint64_t va, uint64_t bytes) {
    for (uint32_t i = 0; i < image->n_segments; i++)
        if (va >= image->segments[i].va &&
            checked_range(va - image->segments[i].va, bytes, image->segments[i].mem_bytes))
            return &image->segments[i];
    return NULL;
}

uint64_t isa_image_span(const isa_image_t *image) {
    if (image->n_segments == 0)
        return 0;
    const isa_segment_t *last = &image->segments[image->n_segments - 1];
    return page_down(last->va + last->mem_bytes + ISA_PAGE_BYTES - 1);
}

// --- Dynamic table -------------------------------------------------------------------------------

typedef struct rela_table {
    uint64_t va, bytes, entry_bytes;
} rela_table_t;

static status_t read_dynamic(const isa_image_t *image, const elf_program_t *program,
                             rela_table_t *out_table, const char **out_error) {
    if (!checked_range(program->offset, program->filesz, image->bytes))
        FAIL("the dynamic table lies outside the file");
    for (uint64_t at = 0; at + sizeof(elf_dynamic_t) <= program->filesz;
         at += sizeof(elf_dynamic_t)) {
        elf_dynamic_t item;
        memcpy(&item, image->data + program->offset + at, sizeof(item));
        switch (item.tag) {
        case 0:
            return STATUS_OK;
        case ELF_DT_RELA:
            out_table->va = item.value;
            break;
        case ELF_DT_RELASZ:
            out_table->bytes = item.value;
            break;
        case ELF_DT_RELAENT:
            out_table->entry_bytes = item.value;
            break;
        case ELF_DT_NEEDED:
        case ELF_DT_REL:
        case ELF_DT_RELR:
        case ELF_DT_JMPREL:
            FAIL("the program needs libraries or relocations of another kind");
        default:
            break;
        }
    }
    return STATUS_OK;
}

static status_t read_relocations(isa_image_t *image, const elf_header_t *header,
                                 const char **out_error) {
    rela_table_t table = {0};
    for (unsigned i = 0; i < header->phnum; i++) {
        elf_program_t program = program_at(image, header, i);
        if (program.type == ELF_PT_DYNAMIC)
            RETURN_IF_ERROR(read_dynamic(image, &program, &table, out_error));
    }
    if (table.bytes == 0)
        return STATUS_OK;
    uint64_t va = table.va;
    const isa_segment_t *segment = isa_image_segment(image, va, table.bytes);
    if (table.entry_bytes != sizeof(elf_rela_t) || table.bytes % sizeof(elf_rela_t) != 0 ||
        !segment || !checked_range(va - segment->va, table.bytes, segment->file_bytes))
        FAIL("the relocation table lies outside the file");
    image->rela = image->data + segment->file_offset + (va - segment->va);
    image->n_rela = table.bytes / sizeof(elf_rela_t);
    return isa_image_check_relocations(image, out_error);
}

// --- Sections ------------------------------------------------------------------------------------

static bool section_is(const isa_image_t *image, const elf_section_t *names,
                       const elf_section_t *section, const char *name) {
    uint64_t bytes = 1;
    while (name[bytes - 1])
        bytes++;
    return checked_range(section->name, bytes, names->size) &&
           memcmp(image->data + names->offset + section->name, name, (size_t)bytes) == 0;
}

static status_t use_section(isa_image_t *image, const elf_section_t *names,
                            const elf_section_t *section, const char **out_error) {
    if (section_is(image, names, section, ".text")) {
        image->text_offset = section->addr;
        if (!isa_image_segment(image, image->text_offset, section->size))
            FAIL("the text section lies outside the segments");
        return STATUS_OK;
    }
    bool is_weights = section_is(image, names, section, ".xaccel.weights");
    bool is_debug = section_is(image, names, section, ".xaccel.debug");
    if ((is_weights || is_debug) && (section->type == ELF_SHT_NOBITS ||
                                     !checked_range(section->offset, section->size, image->bytes)))
        FAIL("the weights or debug section lies outside the file");
    if (is_weights && section->size) {
        if (section->offset % ISA_IMAGE_ALIGN != 0 || image->weights)
            FAIL("the weights section is not aligned to a page, or there are two");
        image->weights = image->data + section->offset;
        image->weights_offset = section->offset;
        image->weights_bytes = section->size;
    }
    if (is_debug)
        return isa_image_check_debug(image, section->offset, section->size, out_error);
    return STATUS_OK;
}

static status_t read_sections(isa_image_t *image, const elf_header_t *header,
                              const char **out_error) {
    elf_section_t names = section_at(image, header, header->shstrndx);
    if (names.type == ELF_SHT_NOBITS || !checked_range(names.offset, names.size, image->bytes))
        FAIL("the section names lie outside the file");
    for (unsigned i = 1; i < header->shnum; i++) {
        elf_section_t section = section_at(image, header, i);
        RETURN_IF_ERROR(use_section(image, &names, &section, out_error));
    }
    return STATUS_OK;
}

static status_t read_note(isa_image_t *image, const elf_header_t *header, const char **out_error) {
    for (unsigned i = 0; i < header->phnum; i++) {
        elf_program_t program = program_at(image, header, i);
        if (program.type != ELF_PT_NOTE)
            continue;
        if (!checked_range(program.offset, program.filesz, image->bytes))
            FAIL("a note lies outside the file");
        RETURN_IF_ERROR(isa_image_find_note(image, program.offset, program.filesz,
                                            program.align == 8 ? 8 : 4, out_error));
    }
    if (!image->note)
        FAIL("there is no Xaccel note: not a program of this card");
    return STATUS_OK;
}

status_t isa_image_open(const void *data, uint64_t bytes, isa_image_t *out_image,
                        const char **out_error) {
    isa_image_t image = {.data = data, .bytes = bytes};
    elf_header_t header;
    *out_error = "";
    if (((uintptr_t)data & 7u) != 0)
        FAIL("the image's copy in memory is not aligned to 8 bytes");
    RETURN_IF_ERROR(check_header(&image, &header, out_error));
    RETURN_IF_ERROR(read_note(&image, &header, out_error));
    RETURN_IF_ERROR(read_segments(&image, &header, out_error));
    RETURN_IF_ERROR(read_relocations(&image, &header, out_error));
    RETURN_IF_ERROR(read_sections(&image, &header, out_error));
    if (image.weights_bytes != image.note->weights_bytes)
        FAIL("the note and the weights section differ in size");
    *out_image = image;
    return STATUS_OK;
}
