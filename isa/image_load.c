// SPDX-License-Identifier: Apache-2.0
// Placing an image in memory, and its relocations.
#include "isa/image_internal.h"

#include "support/checked.h"
#include "support/mem.h"

static elf_rela_t rela_at(const isa_image_t *image, uint64_t i) {
    elf_rela_t rela;
    memcpy(&rela, image->rela + i * sizeof(rela), sizeof(rela));
    return rela;
}

// Link-time addresses are image-relative: images are linked at 0.
status_t isa_image_check_relocations(const isa_image_t *image, const char **out_error) {
    uint64_t span = isa_image_span(image);
    for (uint64_t i = 0; i < image->n_rela; i++) {
        elf_rela_t rela = rela_at(image, i);
        if (rela.info != ELF_R_RISCV_RELATIVE)
            FAIL("a relocation of a kind that images do not have");
        const isa_segment_t *segment = isa_image_segment(image, rela.offset, 8);
        if (!segment || !(segment->flags & 2u))
            FAIL("a relocation outside the writable segments");
        if (rela.addend < 0 || (uint64_t)rela.addend > span)
            FAIL("a relocation points outside the image");
    }
    return STATUS_OK;
}

status_t isa_image_load(const isa_image_t *image, uint64_t base_va, void *memory,
                        uint64_t memory_bytes, const char **out_error) {
    uint8_t *out = memory;
    *out_error = "";
    if (memory_bytes < isa_image_span(image))
        FAIL("too little memory for the image");
    memset(out, 0, (size_t)isa_image_span(image));
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *segment = &image->segments[i];
        memcpy(out + segment->va, image->data + segment->file_offset, (size_t)segment->file_bytes);
    }
    for (uint64_t i = 0; i < image->n_rela; i++) {
        elf_rela_t rela = rela_at(image, i);
        uint64_t value = base_va + (uint64_t)rela.addend;
        memcpy(out + rela.offset, &value, sizeof(value));
    }
    return STATUS_OK;
}
