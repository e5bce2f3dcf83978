// SPDX-License-Identifier: Apache-2.0
// .text as assembly. Where a descriptor is loaded, its address is followed back to the auipc and
// addi that made it, and the descriptor stands below the instruction.
#include <inttypes.h>
#include <string.h>

#include "isa/desc_text.h"
#include "isa/encode.h"
#include "tools/accel-objdump/objdump.h"
#include "tools/accel-objdump/rv64.h"

typedef struct listing {
    const isa_image_t *image;
    FILE *out;
    const uint8_t *code; // first byte of the executable segment in the file
    uint64_t va, bytes;
    uint64_t value[32]; // of registers that hold an address made by auipc
    bool known[32];
} listing_t;

static uint32_t word_at(const listing_t *l, uint64_t at) {
    uint32_t word = 0;
    memcpy(&word, l->code + at, l->bytes - at < 4 ? 2 : 4);
    return (word & 3) == 3 ? word : word & 0xffff;
}

// Bytes of the image at an address, or NULL.
static const uint8_t *image_bytes(const isa_image_t *image, uint64_t va, uint64_t bytes) {
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *s = &image->segments[i];
        if (va >= s->va && va - s->va <= s->file_bytes && bytes <= s->file_bytes - (va - s->va))
            return image->data + s->file_offset + (va - s->va);
    }
    return NULL;
}

// Keeps what auipc and a following addi make.
static void follow(listing_t *l, uint32_t word, uint64_t pc) {
    uint32_t full = (word & 3) == 3 ? word : rv64_expand((uint16_t)word);
    uint32_t opcode = full & 0x7f, rd = full >> 7 & 31, rs1 = full >> 15 & 31;
    if (opcode == 0x17) {
        l->known[rd] = true;
        l->value[rd] = pc + (uint64_t)(int64_t)(int32_t)(full & 0xfffff000);
    } else if ((full & 0x707f) == 0x13 && l->known[rs1]) {
        l->known[rd] = true;
        l->value[rd] = l->value[rs1] + (uint64_t)(int64_t)((int32_t)full >> 20);
    } else if (opcode != 0x63 && opcode != 0x23 && opcode != 0x27 && rd != 0) {
        l->known[rd] = false;
    }
}

// The next instruction of an engine after `at`: it says how the descriptor is meant.
static bool find_issue(const listing_t *l, uint64_t at, unsigned engine, xa_insn_t *out_insn) {
    while (at + 2 <= l->bytes) {
        uint32_t word = word_at(l, at);
        isa_operands_t operands;
        if ((word & 3) == 3 && isa_decode(word, out_insn, &operands) &&
            isa_insns[*out_insn].format == ISA_FORMAT_R4 && isa_insns[*out_insn].engine == engine)
            return true;
        at += rv64_bytes((uint16_t)word);
    }
    return false;
}

static void show_desc(const listing_t *l, uint64_t at, const isa_operands_t *operands) {
    xa_desc_t desc;
    xa_insn_t issue;
    char text[1024];
    const uint8_t *bytes = l->known[operands->rs1]
                               ? image_bytes(l->image, l->value[operands->rs1], sizeof desc)
                               : NULL;
    if (bytes == NULL || !find_issue(l, at, operands->imm, &issue))
        return;
    memcpy(&desc, bytes, sizeof desc);
    (void)isa_desc_text(issue, &desc, text, sizeof text);
    fprintf(l->out, "                       # %s {%s}\n", isa_insns[issue].mnemonic, text);
}

static unsigned show_one(listing_t *l, uint64_t at) {
    uint64_t pc = l->va + at;
    uint32_t word = word_at(l, at);
    unsigned bytes = rv64_bytes((uint16_t)word);
    char text[160];
    xa_insn_t insn;
    isa_operands_t operands;
    bool xaccel = bytes == 4 && isa_is_xaccel(word) && isa_decode(word, &insn, &operands);
    if (xaccel)
        (void)isa_disassemble(word, text, sizeof text);
    else
        rv64_text(word, pc, text, sizeof text);
    fprintf(l->out, "%8" PRIx64 ":  %0*x%*s  %s\n", pc, (int)bytes * 2, word, 8 - (int)bytes * 2,
            "", text);
    if (xaccel && insn == XA_I_CFG_LOAD)
        show_desc(l, at, &operands);
    follow(l, word, pc);
    return bytes;
}

static void show_segment(listing_t *l) {
    const isa_debug_node_t *last = NULL;
    uint64_t at = l->image->text_offset > l->va ? l->image->text_offset - l->va : 0;
    while (at + 2 <= l->bytes) {
        const char *name = NULL, *op = NULL;
        const isa_debug_node_t *node =
            isa_image_node(l->image, l->va + at - l->image->text_offset, &name, &op);
        if (node != last) {
            memset(l->known, 0, sizeof l->known);
            fprintf(l->out, "\n%s%s%s%s\n", node ? name : "(no node)", node ? " (" : "",
                    node ? op : "", node ? "):" : ":");
            last = node;
        }
        at += show_one(l, at);
    }
}

void objdump_code(const isa_image_t *image, FILE *out) {
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *s = &image->segments[i];
        if (!(s->flags & 1u))
            continue;
        listing_t l = {.image = image,
                       .out = out,
                       .code = image->data + s->file_offset,
                       .va = s->va,
                       .bytes = s->file_bytes};
        fprintf(out, "Code:\n");
        show_segment(&l);
    }
}
