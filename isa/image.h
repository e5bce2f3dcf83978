// SPDX-License-Identifier: Apache-2.0
// The program image, model.bin: an ELF64 for EM_RISCV, ET_DYN (position independent), little
// endian.
//
//   PT_LOAD R X   .text
//   PT_LOAD R     .rodata, .note.xaccel
//   PT_LOAD R W   .data, .bss, .data.rel.ro, .dynamic
//   .xaccel.weights  not in a PT_LOAD: a section of its own at a 4096-aligned file offset, mapped
//   read
//                    only (or copied once and shared); its VA reaches the program in the args block
//   .xaccel.debug    code offset -> node index -> ONNX names
//
// Only R_RISCV_RELATIVE relocations are allowed, in writable segments; the loader applies them.
// The note (name "Xaccel", type ISA_NOTE_XACCEL) holds isa_note_t, then its tables and strings.
// All offsets are from the start of the note's descriptor. Everything is hostile until checked.
// The note section is 8-byte aligned, and so is its descriptor: name and descriptor are padded to 8
// (as ELF does in notes of alignment 8), so that it begins 24 bytes into the section. The debug
// section is 8-byte aligned too. The program is linked at address 0, with --no-relr.
#ifndef ISA_IMAGE_H
#define ISA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "support/status.h"

#define ISA_IMAGE_VERSION 1u
#define ISA_NOTE_XACCEL   1u
#define ISA_NOTE_NAME     "Xaccel"
#define ISA_MAX_RANK      8
#define ISA_IMAGE_ALIGN   4096u

// A dim of an input or output: a constant (sym < 0) or a symbol (index into the symbol table).
typedef struct isa_dim {
    int64_t value;  // constant, or -1
    int32_t symbol; // >= 0: symbol index; -1: constant; -2: computed by the program (outputs only)
    uint32_t reserved;
} isa_dim_t;

typedef struct isa_io {
    uint32_t name; // string offset
    uint8_t dtype;
    uint8_t rank;
    uint8_t reserved[2];
    isa_dim_t dims[ISA_MAX_RANK];
} isa_io_t;

typedef struct isa_symbol {
    uint32_t name; // string offset
    uint32_t reserved;
    int64_t min, max; // allowed range, checked by the runtime before a launch
} isa_symbol_t;

typedef struct isa_note {
    uint32_t version;
    uint32_t bytes;        // of the whole descriptor
    uint64_t content_hash; // XXH3-64 of the file with these 8 bytes zero
    uint64_t profile_hash;
    char profile[16];
    uint32_t flags; // ISA_IMAGE_*
    uint32_t n_inputs, n_outputs, n_symbols;
    uint32_t io_offset;      // isa_io_t[n_inputs + n_outputs]
    uint32_t symbols_offset; // isa_symbol_t[n_symbols]
    uint32_t strings_offset, strings_bytes;
    uint64_t heap_min; // bytes of heap committed before launch
    uint64_t weights_bytes;
    uint64_t stack_bytes; // a core
    uint64_t reserved[4];
} isa_note_t;
_Static_assert(sizeof(isa_dim_t) == 16 && sizeof(isa_io_t) == 136, "io entry");
_Static_assert(sizeof(isa_note_t) == 128, "note");

#define ISA_IMAGE_MAY_GROW 1u // the program may call heap() for more than heap_min

// Debug section: header, then ranges sorted by code offset, then nodes, then strings.
typedef struct isa_debug {
    uint32_t version; // 1
    uint32_t n_ranges, n_nodes, strings_bytes;
} isa_debug_t;
typedef struct isa_debug_range {
    uint64_t offset; // from the start of .text
    uint32_t node;   // in force from here to the next range; 0xffffffff: none
    uint32_t reserved;
} isa_debug_range_t;
typedef struct isa_debug_node {
    uint32_t name, op; // string offsets: ONNX node names joined by " + ", op types likewise
    uint64_t elements; // elements the kernel's outputs have when static, else 0
} isa_debug_node_t;

// A checked view of an image in memory: pointers into `data`, which the caller keeps alive.
typedef struct isa_segment {
    uint64_t va, file_offset, file_bytes, mem_bytes;
    uint32_t flags; // 1 X, 2 W, 4 R
    uint32_t reserved;
} isa_segment_t;

#define ISA_MAX_SEGMENTS 8
typedef struct isa_image {
    const uint8_t *data;
    uint64_t bytes;
    const isa_note_t *note;
    const isa_io_t *io; // inputs, then outputs
    const isa_symbol_t *symbols;
    const char *strings; // NUL inside every string's range was checked
    uint32_t n_segments;
    isa_segment_t segments[ISA_MAX_SEGMENTS];
    uint64_t entry;       // image-relative (images are linked at 0)
    uint64_t text_offset; // VA of .text
    const uint8_t *rela;  // Elf64_Rela table, or NULL
    uint64_t n_rela;
    const uint8_t *weights; // weights section, page aligned in the file, or NULL
    uint64_t weights_offset, weights_bytes;
    const isa_debug_t *debug; // or NULL
} isa_image_t;

// Parses and bounds-checks everything but the content hash. `out_error`: a static sentence.
WARN_UNUSED status_t isa_image_open(const void *data, uint64_t bytes, isa_image_t *out_image,
                                    const char **out_error);
// Copies segments into `memory` (image-relative, `memory_bytes` >= isa_image_span) and applies the
// relocations for load address `base_va`.
WARN_UNUSED status_t isa_image_load(const isa_image_t *image, uint64_t base_va, void *memory,
                                    uint64_t memory_bytes, const char **out_error);
// Bytes from the first to the end of the last segment, page aligned.
uint64_t isa_image_span(const isa_image_t *image);
// Node of a code offset, or NULL.
const isa_debug_node_t *isa_image_node(const isa_image_t *image, uint64_t text_offset,
                                       const char **out_name, const char **out_op);
// Node of the debug map by its index (ISA_ECALL_NODE, fault records), or NULL.
const isa_debug_node_t *isa_image_node_at(const isa_image_t *image, uint64_t index,
                                          const char **out_name, const char **out_op);

#endif
