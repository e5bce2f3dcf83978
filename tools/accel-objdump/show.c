// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "support/dtype.h"
#include "tools/accel-objdump/objdump.h"

void objdump_headers(const isa_image_t *image, FILE *out) {
    fprintf(out, "Segments:\n");
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *s = &image->segments[i];
        fprintf(out,
                "  0x%08" PRIx64 "  file 0x%08" PRIx64 " %10" PRIu64 " bytes, memory %10" PRIu64
                "  %c%c%c\n",
                s->va, s->file_offset, s->file_bytes, s->mem_bytes, s->flags & 4u ? 'r' : '-',
                s->flags & 2u ? 'w' : '-', s->flags & 1u ? 'x' : '-');
    }
    fprintf(out, "  weights     file 0x%08" PRIx64 " %10" PRIu64 " bytes\n", image->weights_offset,
            image->weights_bytes);
    fprintf(out, "Entry: 0x%" PRIx64 ", .text at 0x%" PRIx64 ", %" PRIu64 " relocations\n\n",
            image->entry, image->text_offset, image->n_rela);
}

static void show_io(const isa_image_t *image, const isa_io_t *io, const char *what, FILE *out) {
    fprintf(out, "  %s \"%s\" %s [", what, image->strings + io->name,
            dtype_text((dtype_t)io->dtype));
    for (uint32_t d = 0; d < io->rank; d++) {
        const isa_dim_t *dim = &io->dims[d];
        fprintf(out, "%s", d > 0 ? ", " : "");
        if (dim->symbol >= 0)
            fprintf(out, "%s", image->strings + image->symbols[dim->symbol].name);
        else if (dim->symbol == -1)
            fprintf(out, "%" PRId64, dim->value);
        else
            fprintf(out, "computed");
    }
    fprintf(out, "]\n");
}

void objdump_note(const isa_image_t *image, FILE *out) {
    const isa_note_t *note = image->note;
    fprintf(out, "Note: format %u, profile \"%s\" %016" PRIx64 ", content %016" PRIx64 "%s\n",
            note->version, note->profile, note->profile_hash, note->content_hash,
            note->flags & ISA_IMAGE_MAY_GROW ? ", may grow" : "");
    fprintf(out,
            "  heap at least %" PRIu64 " bytes, weights %" PRIu64 ", stack %" PRIu64 " a core\n",
            note->heap_min, note->weights_bytes, note->stack_bytes);
    for (uint32_t i = 0; i < note->n_symbols; i++)
        fprintf(out, "  symbol \"%s\" %" PRId64 " to %" PRId64 "\n",
                image->strings + image->symbols[i].name, image->symbols[i].min,
                image->symbols[i].max);
    for (uint32_t i = 0; i < note->n_inputs + note->n_outputs; i++)
        show_io(image, &image->io[i], i < note->n_inputs ? "input" : "output", out);
    fprintf(out, "\n");
}

void objdump_nodes(const isa_image_t *image, FILE *out) {
    if (image->debug == NULL)
        return;
    const isa_debug_range_t *ranges = (const isa_debug_range_t *)(const void *)(image->debug + 1);
    fprintf(out, "Nodes: %u, in %u ranges of code\n", image->debug->n_nodes,
            image->debug->n_ranges);
    for (uint32_t i = 0; i < image->debug->n_ranges; i++) {
        const char *name = NULL, *op = NULL;
        const isa_debug_node_t *node = isa_image_node(image, ranges[i].offset, &name, &op);
        if (node != NULL)
            fprintf(out, "  0x%08" PRIx64 "  %3u  %s (%s), %" PRIu64 " elements\n",
                    image->text_offset + ranges[i].offset, ranges[i].node, name, op,
                    node->elements);
    }
    fprintf(out, "\n");
}
