// SPDX-License-Identifier: Apache-2.0
// The Xaccel note and the debug section of an image.
#include "isa/image_internal.h"

#include "isa/program.h"
#include "support/checked.h"
#include "support/dtype.h"
#include "support/mem.h"

#define KNOWN_FLAGS     ISA_IMAGE_MAY_GROW
#define MAX_STACK_BYTES (ISA_STACK_BYTES * 64)

// A table inside the note's descriptor, 8-byte aligned.
static bool table_fits(const isa_note_t *note, uint64_t offset, uint64_t count, uint64_t entry) {
    uint64_t bytes;
    return offset % 8 == 0 && offset >= sizeof(*note) && checked_mul_u64(count, entry, &bytes) &&
           checked_range(offset, bytes, note->bytes);
}

static status_t check_io(const isa_note_t *note, const isa_io_t *io, bool is_output,
                         const char **out_error) {
    if (io->name >= note->strings_bytes || io->rank > ISA_MAX_RANK ||
        dtype_class((dtype_t)io->dtype) == 0)
        FAIL("an input or output has a bad name, rank or element type");
    for (unsigned i = 0; i < io->rank; i++) {
        const isa_dim_t *dim = &io->dims[i];
        bool ok = dim->symbol == -1   ? dim->value >= 0
                  : dim->symbol == -2 ? is_output
                                      : dim->symbol >= 0 && (uint32_t)dim->symbol < note->n_symbols;
        if (!ok)
            FAIL("an input or output has a bad dim");
    }
    return STATUS_OK;
}

static status_t check_tables(const isa_image_t *image, const char **out_error) {
    const isa_note_t *note = image->note;
    for (uint32_t i = 0; i < note->n_inputs + note->n_outputs; i++)
        RETURN_IF_ERROR(check_io(note, &image->io[i], i >= note->n_inputs, out_error));
    for (uint32_t i = 0; i < note->n_symbols; i++) {
        const isa_symbol_t *symbol = &image->symbols[i];
        if (symbol->name >= note->strings_bytes || symbol->min < 0 || symbol->min > symbol->max)
            FAIL("a symbol has a bad name or range");
    }
    return STATUS_OK;
}

static status_t check_limits(const isa_note_t *note, const char **out_error) {
    if (note->flags & ~KNOWN_FLAGS)
        FAIL("the note has flags of a later version");
    for (unsigned i = 0; i < 4; i++)
        if (note->reserved[i] != 0)
            FAIL("the note has figures of a later version");
    if (note->profile[sizeof(note->profile) - 1] != 0)
        FAIL("the profile's name has no end");
    if (note->heap_min > ISA_VA_HEAP_END - ISA_VA_HEAP ||
        note->weights_bytes > ISA_VA_HEAP - ISA_VA_WEIGHTS || note->stack_bytes > MAX_STACK_BYTES)
        FAIL("the note asks for more memory than the address map has");
    return STATUS_OK;
}

static status_t use_note(isa_image_t *image, const uint8_t *data, uint64_t bytes,
                         const char **out_error) {
    const isa_note_t *note = (const isa_note_t *)(const void *)data;
    if (image->note)
        FAIL("there are two Xaccel notes");
    if (((uintptr_t)data & 7u) != 0 || bytes < sizeof(*note) || note->bytes != bytes)
        FAIL("the Xaccel note is cut short or not aligned");
    if (note->version != ISA_IMAGE_VERSION) {
        *out_error = "the image has another format version";
        return STATUS_MISMATCH;
    }
    RETURN_IF_ERROR(check_limits(note, out_error));
    uint64_t n_io = (uint64_t)note->n_inputs + note->n_outputs;
    if (n_io > UINT16_MAX || !table_fits(note, note->io_offset, n_io, sizeof(isa_io_t)) ||
        !table_fits(note, note->symbols_offset, note->n_symbols, sizeof(isa_symbol_t)) ||
        !table_fits(note, note->strings_offset, note->strings_bytes, 1))
        FAIL("a table of the Xaccel note lies outside it");
    image->strings = (const char *)data + note->strings_offset;
    // One NUL at the very end bounds every string that begins inside.
    if (note->strings_bytes == 0 || image->strings[note->strings_bytes - 1] != 0)
        FAIL("the strings of the Xaccel note have no end");
    image->note = note;
    image->io = (const isa_io_t *)(const void *)(data + note->io_offset);
    image->symbols = (const isa_symbol_t *)(const void *)(data + note->symbols_offset);
    return check_tables(image, out_error);
}

status_t isa_image_find_note(isa_image_t *image, uint64_t offset, uint64_t bytes, uint64_t align,
                             const char **out_error) {
    const uint8_t *data = image->data + offset;
    uint64_t at = 0;
    while (at < bytes) {
        elf_note_t note;
        uint64_t name_end, desc_at;
        if (!checked_range(at, sizeof(note), bytes))
            FAIL("a note is cut short");
        memcpy(&note, data + at, sizeof(note));
        at += sizeof(note);
        name_end = at + note.name_bytes;
        desc_at = (name_end + align - 1) & ~(align - 1);
        if (!checked_range(desc_at, note.desc_bytes, bytes))
            FAIL("a note is cut short");
        if (note.type == ISA_NOTE_XACCEL && note.name_bytes == sizeof(ISA_NOTE_NAME) &&
            memcmp(data + at, ISA_NOTE_NAME, sizeof(ISA_NOTE_NAME)) == 0)
            RETURN_IF_ERROR(use_note(image, data + desc_at, note.desc_bytes, out_error));
        at = (desc_at + note.desc_bytes + align - 1) & ~(align - 1);
    }
    return STATUS_OK;
}

// --- Debug section -------------------------------------------------------------------------------

static const isa_debug_range_t *ranges_of(const isa_debug_t *debug) {
    return (const isa_debug_range_t *)(const void *)(debug + 1);
}

static const isa_debug_node_t *nodes_of(const isa_debug_t *debug) {
    return (const isa_debug_node_t *)(const void *)(ranges_of(debug) + debug->n_ranges);
}

static const char *strings_of(const isa_debug_t *debug) {
    return (const char *)(nodes_of(debug) + debug->n_nodes);
}

static bool debug_tables_ok(const isa_debug_t *debug) {
    const isa_debug_range_t *ranges = ranges_of(debug);
    const isa_debug_node_t *nodes = nodes_of(debug);
    for (uint32_t i = 0; i < debug->n_ranges; i++) {
        if (ranges[i].node != UINT32_MAX && ranges[i].node >= debug->n_nodes)
            return false;
        if (i && ranges[i].offset < ranges[i - 1].offset)
            return false;
    }
    for (uint32_t i = 0; i < debug->n_nodes; i++)
        if (nodes[i].name >= debug->strings_bytes || nodes[i].op >= debug->strings_bytes)
            return false;
    return true;
}

status_t isa_image_check_debug(isa_image_t *image, uint64_t offset, uint64_t bytes,
                               const char **out_error) {
    const isa_debug_t *debug = (const isa_debug_t *)(const void *)(image->data + offset);
    if (bytes == 0)
        return STATUS_OK;
    if (image->debug)
        FAIL("there are two debug sections");
    if (((uintptr_t)debug & 7u) != 0 || bytes < sizeof(*debug) || debug->version != 1)
        FAIL("the debug section is cut short, not aligned or of another version");
    uint64_t need = sizeof(*debug) + (uint64_t)debug->n_ranges * sizeof(isa_debug_range_t) +
                    (uint64_t)debug->n_nodes * sizeof(isa_debug_node_t) + debug->strings_bytes;
    if (need != bytes)
        FAIL("the tables of the debug section do not fill it");
    if (debug->n_nodes &&
        (debug->strings_bytes == 0 || strings_of(debug)[debug->strings_bytes - 1] != 0))
        FAIL("the strings of the debug section have no end");
    if (!debug_tables_ok(debug))
        FAIL("the tables of the debug section contradict each other");
    image->debug = debug;
    return STATUS_OK;
}

const isa_debug_node_t *isa_image_node(const isa_image_t *image, uint64_t text_offset,
                                       const char **out_name, const char **out_op) {
    const isa_debug_t *debug = image->debug;
    if (!debug)
        return NULL;
    const isa_debug_range_t *ranges = ranges_of(debug);
    uint32_t low = 0, high = debug->n_ranges; // the last range that begins at or before the offset
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranges[middle].offset <= text_offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || ranges[low - 1].node == UINT32_MAX)
        return NULL;
    return isa_image_node_at(image, ranges[low - 1].node, out_name, out_op);
}

const isa_debug_node_t *isa_image_node_at(const isa_image_t *image, uint64_t index,
                                          const char **out_name, const char **out_op) {
    if (!image->debug || index >= image->debug->n_nodes)
        return NULL;
    const isa_debug_node_t *node = &nodes_of(image->debug)[index];
    *out_name = strings_of(image->debug) + node->name;
    *out_op = strings_of(image->debug) + node->op;
    return node;
}
