// SPDX-License-Identifier: Apache-2.0
// From the linked ELF to model.bin: debug map, section table and weights are appended, the content
// hash is filled in. Weights are streamed from their blobs, a piece at a time.
//
//   linked file up to its section table | .xaccel.debug | section names | section table | weights
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "codegen/codegen_internal.h"
#include "isa/image.h"
#include "support/checked.h"
#include "support/strbuf.h"

// ELF64, little endian, as far as it is needed here.
typedef struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
} elf_header_t;

typedef struct elf_section {
    uint32_t name, type;
    uint64_t flags, addr, offset, size;
    uint32_t link, info;
    uint64_t align, entry_bytes;
} elf_section_t;

typedef struct elf_symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
} elf_symbol_t;

enum { SHT_PROGBITS_ = 1, SHT_SYMTAB_ = 2, STT_FUNC_ = 2, CHUNK_BYTES = 1 << 20 };
#define NO_NODE UINT32_C(0xffffffff)

typedef struct writer {
    cg_t *cg;
    FILE *stream;
    XXH3_state_t *hash;
    uint64_t at; // bytes written
    bool failed;
} writer_t;

static void put(writer_t *w, const void *data, size_t bytes) {
    if (w->failed || bytes == 0)
        return;
    w->failed = fwrite(data, 1, bytes, w->stream) != bytes ||
                XXH3_64bits_update(w->hash, data, bytes) != XXH_OK;
    w->at += bytes;
}

static void put_zeros(writer_t *w, uint64_t bytes) {
    static const uint8_t zeros[4096] = {0};
    while (bytes > 0 && !w->failed) {
        size_t n = bytes < sizeof zeros ? (size_t)bytes : sizeof zeros;
        put(w, zeros, n);
        bytes -= n;
    }
}

static uint64_t align_up(uint64_t value, uint64_t align) {
    return (value + align - 1) / align * align;
}

// --- The linked file
// ------------------------------------------------------------------------------

typedef struct elf {
    const uint8_t *data;
    size_t bytes;
    elf_header_t header;
    elf_section_t *sections; // header.shnum
} elf_t;

static const char *section_name(const elf_t *elf, uint32_t i) {
    return (const char *)elf->data + elf->sections[elf->header.shstrndx].offset +
           elf->sections[i].name;
}

static const elf_section_t *section_find(const elf_t *elf, const char *name) {
    for (uint32_t i = 1; i < elf->header.shnum; i++)
        if (strcmp(section_name(elf, i), name) == 0)
            return &elf->sections[i];
    return NULL;
}

static bool elf_open(cg_t *cg, const uint8_t *data, size_t bytes, elf_t *out) {
    *out = (elf_t){.data = data, .bytes = bytes};
    if (bytes < sizeof out->header)
        return false;
    memcpy(&out->header, data, sizeof out->header);
    size_t table = out->header.shnum * sizeof(elf_section_t);
    if (out->header.shoff > bytes || table > bytes - out->header.shoff)
        return false;
    out->sections = arena_memdup(&cg->arena, data + out->header.shoff, table);
    return out->header.shstrndx < out->header.shnum;
}

// --- Debug map
// ------------------------------------------------------------------------------------

typedef struct range {
    uint64_t start, end;
    uint32_t node;
} range_t;

static int compare_ranges(const void *a, const void *b) {
    const range_t *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

// Address ranges of the kernels' functions, sorted.
static range_t *find_ranges(cg_t *cg, const elf_t *elf, uint64_t text, size_t *out_n) {
    range_t *ranges = ARENA_ARRAY(&cg->arena, range_t, cg->n_nodes);
    map_t by_name;
    map_init(&by_name, &cg->arena);
    for (uint32_t i = 0; i < cg->n_nodes; i++)
        map_put(&by_name, cg->nodes[i].function, strlen(cg->nodes[i].function), i);
    *out_n = 0;
    const elf_section_t *table = NULL;
    for (uint32_t i = 1; i < elf->header.shnum && table == NULL; i++)
        if (elf->sections[i].type == SHT_SYMTAB_)
            table = &elf->sections[i];
    if (table == NULL)
        return ranges;
    const char *names = (const char *)elf->data + elf->sections[table->link].offset;
    for (uint64_t at = 0; at + sizeof(elf_symbol_t) <= table->size; at += sizeof(elf_symbol_t)) {
        elf_symbol_t symbol;
        uintptr_t node;
        memcpy(&symbol, elf->data + table->offset + at, sizeof symbol);
        const char *name = names + symbol.name;
        if ((symbol.info & 15) != STT_FUNC_ || *out_n == cg->n_nodes ||
            !map_get(&by_name, name, strlen(name), &node))
            continue;
        ranges[(*out_n)++] =
            (range_t){symbol.value - text, symbol.value - text + symbol.size, (uint32_t)node};
    }
    qsort(ranges, *out_n, sizeof *ranges, compare_ranges);
    return ranges;
}

static uint32_t add_string(strbuf_t *strings, const char *text) {
    uint32_t at = (uint32_t)strings->length;
    strbuf_add_bytes(strings, text, strlen(text) + 1);
    return at;
}

static uint32_t add_ranges(const range_t *ranges, size_t n, strbuf_t *out) {
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        isa_debug_range_t row = {.offset = ranges[i].start, .node = ranges[i].node};
        strbuf_add_bytes(out, &row, sizeof row);
        count++;
        if (i + 1 < n && ranges[i + 1].start <= ranges[i].end + 3)
            continue; // only padding between the two
        row = (isa_debug_range_t){.offset = ranges[i].end, .node = NO_NODE};
        strbuf_add_bytes(out, &row, sizeof row);
        count++;
    }
    return count;
}

static void build_debug(cg_t *cg, const elf_t *elf, strbuf_t *out) {
    const elf_section_t *text = section_find(elf, ".text");
    strbuf_t ranges, nodes, strings;
    strbuf_init(&ranges);
    strbuf_init(&nodes);
    strbuf_init(&strings);
    size_t n;
    range_t *found = find_ranges(cg, elf, text ? text->addr : 0, &n);
    isa_debug_t head = {.version = 1, .n_nodes = cg->n_nodes};
    head.n_ranges = add_ranges(found, n, &ranges);
    for (uint32_t i = 0; i < cg->n_nodes; i++) {
        isa_debug_node_t node = {.elements = cg->nodes[i].elements};
        node.name = add_string(&strings, cg->nodes[i].name);
        node.op = add_string(&strings, cg->nodes[i].op);
        strbuf_add_bytes(&nodes, &node, sizeof node);
    }
    head.strings_bytes = (uint32_t)strings.length;
    strbuf_add_bytes(out, &head, sizeof head);
    strbuf_add_bytes(out, ranges.text ? ranges.text : "", ranges.length);
    strbuf_add_bytes(out, nodes.text ? nodes.text : "", nodes.length);
    strbuf_add_bytes(out, strings.text ? strings.text : "", strings.length);
    strbuf_deinit(&ranges);
    strbuf_deinit(&nodes);
    strbuf_deinit(&strings);
}

// --- Weights
// --------------------------------------------------------------------------------------

typedef struct piece {
    uint64_t offset;
    const ir_blob_t *blob;
} piece_t;

typedef struct pieces {
    cg_t *cg;
    piece_t *rows;
    size_t n, capacity;
} pieces_t;

static status_t collect(void *ctx, ir_op_t *op) {
    pieces_t *p = ctx;
    if (op->code != IR_weights)
        return STATUS_OK;
    ARENA_GROW(&p->cg->arena, p->rows, p->capacity, p->n + 1);
    p->rows[p->n++] = (piece_t){(uint64_t)ir_get_int(op, "offset", 0), ir_get(op, "blob")->blob};
    return STATUS_OK;
}

static int compare_pieces(const void *a, const void *b) {
    const piece_t *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void progress(const writer_t *w, uint64_t done) {
    if (w->cg->options->progress)
        w->cg->options->progress(w->cg->options->progress_ctx, "weights", done,
                                 w->cg->weights_bytes);
}

static void put_blob(writer_t *w, const ir_blob_t *blob, uint64_t start, uint8_t *buffer) {
    if (blob->pack == NULL) { // already in memory or mapped
        for (uint64_t at = 0; at < blob->bytes; at += CHUNK_BYTES) {
            uint64_t n = blob->bytes - at < CHUNK_BYTES ? blob->bytes - at : CHUNK_BYTES;
            put(w, blob->data + at, (size_t)n);
            progress(w, w->at - start);
        }
        return;
    }
    for (uint64_t at = 0; at < blob->bytes; at += CHUNK_BYTES) {
        uint64_t n = blob->bytes - at < CHUNK_BYTES ? blob->bytes - at : CHUNK_BYTES;
        ir_blob_read(blob, at, n, buffer);
        put(w, buffer, (size_t)n);
        progress(w, w->at - start);
    }
}

static status_t put_weights(writer_t *w) {
    cg_t *cg = w->cg;
    pieces_t p = {.cg = cg};
    RETURN_IF_ERROR(ir_walk(cg->m->funcs->body, collect, &p));
    if (p.n > 1) // a NULL row list is not for qsort
        qsort(p.rows, p.n, sizeof *p.rows, compare_pieces);
    uint8_t *buffer = arena_must_alloc(&cg->arena, CHUNK_BYTES);
    uint64_t start = w->at, written = 0;
    for (size_t i = 0; i < p.n; i++) {
        if (i > 0 && p.rows[i].offset == p.rows[i - 1].offset)
            continue; // one blob, used twice
        uint64_t end;
        if (p.rows[i].offset < written ||
            !checked_add_u64(p.rows[i].offset, p.rows[i].blob->bytes, &end) ||
            end > cg->weights_bytes)
            return cg_fail(cg, NULL, STATUS_INTERNAL, "constants overlap or leave their segment");
        put_zeros(w, p.rows[i].offset - written);
        put_blob(w, p.rows[i].blob, start, buffer);
        written = end;
    }
    put_zeros(w, cg->weights_bytes - written);
    return STATUS_OK;
}

// --- The file
// -------------------------------------------------------------------------------------

typedef struct layout {
    uint64_t debug, names, table, weights, end; // file offsets
    strbuf_t debug_bytes, name_bytes;
    elf_section_t *sections;
    uint16_t n_sections;
} layout_t;

// The old sections, with the names moved, and two more.
static void plan_sections(cg_t *cg, const elf_t *elf, layout_t *l) {
    uint16_t n = elf->header.shnum;
    const elf_section_t *old_names = &elf->sections[elf->header.shstrndx];
    strbuf_add_bytes(&l->name_bytes, elf->data + old_names->offset, (size_t)old_names->size);
    uint32_t debug_name = add_string(&l->name_bytes, ".xaccel.debug");
    uint32_t weights_name = add_string(&l->name_bytes, ".xaccel.weights");
    l->n_sections = (uint16_t)(n + 2);
    l->sections = ARENA_ARRAY(&cg->arena, elf_section_t, l->n_sections);
    memcpy(l->sections, elf->sections, n * sizeof *l->sections);
    l->debug = align_up(elf->header.shoff, 8);
    l->names = l->debug + l->debug_bytes.length;
    l->table = align_up(l->names + l->name_bytes.length, 8);
    l->weights = align_up(l->table + l->n_sections * sizeof(elf_section_t), ISA_IMAGE_ALIGN);
    l->end = l->weights + cg->weights_bytes;
    l->sections[elf->header.shstrndx].offset = l->names;
    l->sections[elf->header.shstrndx].size = l->name_bytes.length;
    l->sections[n] = (elf_section_t){.name = debug_name,
                                     .type = SHT_PROGBITS_,
                                     .offset = l->debug,
                                     .size = l->debug_bytes.length,
                                     .align = 8};
    l->sections[n + 1] = (elf_section_t){.name = weights_name,
                                         .type = SHT_PROGBITS_,
                                         .offset = l->weights,
                                         .size = cg->weights_bytes,
                                         .align = ISA_IMAGE_ALIGN};
}

static status_t put_file(writer_t *w, const elf_t *elf, layout_t *l) {
    elf_header_t header = elf->header;
    header.shoff = l->table;
    header.shnum = l->n_sections;
    put(w, &header, sizeof header);
    put(w, elf->data + sizeof header, (size_t)elf->header.shoff - sizeof header);
    put_zeros(w, l->debug - w->at);
    put(w, l->debug_bytes.text, l->debug_bytes.length);
    put(w, l->name_bytes.text, l->name_bytes.length);
    put_zeros(w, l->table - w->at);
    put(w, l->sections, l->n_sections * sizeof(elf_section_t));
    put_zeros(w, l->weights - w->at);
    return put_weights(w);
}

// File offset of the note's content hash, or 0. Its bytes are zero so far.
static uint64_t hash_offset(const elf_t *elf) {
    const elf_section_t *note = section_find(elf, ".note.xaccel");
    return note ? note->offset + 24 + offsetof(isa_note_t, content_hash) : 0;
}

static status_t put_hash(writer_t *w, const elf_t *elf) {
    uint64_t hash = XXH3_64bits_digest(w->hash), at = hash_offset(elf);
    if (at == 0)
        return cg_fail(w->cg, NULL, STATUS_INTERNAL, "the linker dropped the note");
    if (!w->failed)
        w->failed = fseek(w->stream, (long)at, SEEK_SET) != 0 ||
                    fwrite(&hash, sizeof hash, 1, w->stream) != 1;
    return STATUS_OK;
}

static status_t write_stream(cg_t *cg, const elf_t *elf, FILE *stream, const char *path) {
    layout_t l = {0};
    strbuf_init(&l.debug_bytes);
    strbuf_init(&l.name_bytes);
    build_debug(cg, elf, &l.debug_bytes);
    plan_sections(cg, elf, &l);
    writer_t w = {.cg = cg, .stream = stream, .hash = XXH3_createState()};
    w.failed = w.hash == NULL || XXH3_64bits_reset(w.hash) != XXH_OK;
    status_t status = put_file(&w, elf, &l);
    if (status == STATUS_OK)
        status = put_hash(&w, elf);
    if (status == STATUS_OK && w.failed)
        status = DIAG_FAIL(cg->diag, STATUS_IO, &(diag_where_t){.pass = "write"}, NULL,
                           "cannot write '%s'", path);
    (void)XXH3_freeState(w.hash);
    strbuf_deinit(&l.debug_bytes);
    strbuf_deinit(&l.name_bytes);
    return status;
}

status_t cg_image_write(cg_t *cg, const uint8_t *data, size_t bytes, const char *out_path) {
    elf_t elf;
    file_out_t out;
    if (!elf_open(cg, data, bytes, &elf))
        return cg_fail(cg, NULL, STATUS_INTERNAL, "the linker wrote no ELF file");
    status_t status = file_out_open(out_path, &out);
    if (status != STATUS_OK)
        return DIAG_FAIL(cg->diag, status, &(diag_where_t){.pass = "write"}, NULL,
                         "cannot write '%s': %s", out_path, file_error_text(status));
    status = write_stream(cg, &elf, out.stream, out_path);
    if (status != STATUS_OK) {
        file_out_abort(&out);
        return status;
    }
    status = file_out_commit(&out);
    if (status != STATUS_OK)
        return DIAG_FAIL(cg->diag, status, &(diag_where_t){.pass = "write"}, NULL,
                         "cannot write '%s'", out_path);
    return STATUS_OK;
}
