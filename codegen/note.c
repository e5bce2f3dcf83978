// SPDX-License-Identifier: Apache-2.0
// The Xaccel note as a constant of the module; only the content hash is filled in after linking.
#include <string.h>

#include "codegen/codegen_internal.h"
#include "isa/image.h"
#include "isa/program.h"
#include "support/strbuf.h"

// ELF note header for a section aligned to 8: name and descriptor start on multiples of 8 from
// the header's start, the name's 12 bytes of header counted.
typedef struct note_head {
    uint32_t name_bytes, desc_bytes, type;
    char name[12];
} note_head_t;
_Static_assert(sizeof(note_head_t) == 24 && sizeof(ISA_NOTE_NAME) == 7, "note head");

static uint32_t add_string(strbuf_t *strings, const char *text) {
    uint32_t at = (uint32_t)strings->length;
    strbuf_add_bytes(strings, text, strlen(text) + 1);
    return at;
}

// Numbers of dim symbols in the note: their order in the context.
static int32_t symbol_number(const cg_t *cg, const ir_symbol_t *symbol) {
    return (int32_t)(cg->dim_slots[symbol->id] - CG_SLOT_FIRST_FREE);
}

static isa_dim_t dim_of(const cg_t *cg, const ir_expr_t *e) {
    if (ir_expr_is_const(e))
        return (isa_dim_t){.value = e->value, .symbol = -1};
    if (e->kind == IR_EXPR_SYMBOL && e->symbol->kind == IR_SYMBOL_DIM)
        return (isa_dim_t){.value = -1, .symbol = symbol_number(cg, e->symbol)};
    return (isa_dim_t){.value = -1, .symbol = -2};
}

static const char *io_name(const cg_t *cg, uint32_t i) {
    const ir_func_t *f = cg->m->funcs;
    const char *name = f->body->block->args[i]->name;
    if (i < cg->n_inputs)
        return name;
    return strncmp(name, "out.", 4) == 0 ? name + 4 : name;
}

static void add_io(const cg_t *cg, strbuf_t *tables, strbuf_t *strings) {
    const ir_block_t *block = cg->m->funcs->body->block;
    for (uint32_t i = 0; i < block->n_args; i++) {
        const ir_type_t *type = block->args[i]->type;
        isa_io_t io = {.dtype = (uint8_t)type->elem, .rank = (uint8_t)type->rank};
        io.name = add_string(strings, io_name(cg, i));
        for (uint32_t d = 0; d < type->rank; d++)
            io.dims[d] = dim_of(cg, type->dims[d]);
        strbuf_add_bytes(tables, &io, sizeof io);
    }
}

static uint32_t add_symbols(const cg_t *cg, strbuf_t *tables, strbuf_t *strings) {
    uint32_t n = 0;
    for (size_t i = 0; i < cg->m->n_symbols; i++) {
        const ir_symbol_t *symbol = cg->m->symbols[i];
        if (symbol->kind != IR_SYMBOL_DIM)
            continue;
        isa_symbol_t row = {.min = symbol->min, .max = symbol->max};
        row.name = add_string(strings, symbol->name);
        strbuf_add_bytes(tables, &row, sizeof row);
        n++;
    }
    return n;
}

// Outputs whose size only a run tells may have to go into the heap.
static bool has_dynamic_output(const cg_t *cg) {
    const ir_block_t *main_block = cg->m->funcs->body->block;
    for (uint32_t i = cg->n_inputs; i < main_block->n_args; i++)
        if (!ir_type_is_static(main_block->args[i]->type))
            return true;
    return false;
}

static isa_note_t head_of(const cg_t *cg) {
    isa_note_t note = {.version = ISA_IMAGE_VERSION,
                       .profile_hash = isa_profile_hash(cg->options->profile),
                       .n_inputs = cg->n_inputs,
                       .n_outputs = cg->n_outputs,
                       .weights_bytes = cg->weights_bytes,
                       .stack_bytes = ISA_STACK_BYTES};
    strncpy(note.profile, cg->options->profile->name, sizeof note.profile - 1);
    if (ir_expr_is_const(cg->heap))
        note.heap_min = (uint64_t)cg->heap->value;
    if (!ir_expr_is_const(cg->heap) || has_dynamic_output(cg))
        note.flags |= ISA_IMAGE_MAY_GROW;
    return note;
}

// A section constant that nothing refers to and that stays.
static void add_section(cg_t *cg, const char *section, const void *data, size_t bytes) {
    LLVMValueRef value = LLVMConstStringInContext(cg->llvm, data, (unsigned)bytes, true);
    LLVMValueRef global = LLVMAddGlobal(cg->mod, LLVMTypeOf(value), "xaccel.note");
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMInternalLinkage);
    LLVMSetAlignment(global, 8);
    LLVMSetSection(global, section);
    LLVMTypeRef list = LLVMArrayType2(cg->ptr, 1);
    LLVMValueRef used = LLVMAddGlobal(cg->mod, list, "llvm.used");
    LLVMSetInitializer(used, LLVMConstArray2(cg->ptr, &global, 1));
    LLVMSetLinkage(used, LLVMAppendingLinkage);
    LLVMSetSection(used, "llvm.metadata");
}

void cg_note_add(cg_t *cg) {
    strbuf_t io, symbols, strings, all;
    strbuf_init(&io);
    strbuf_init(&symbols);
    strbuf_init(&strings);
    strbuf_init(&all);
    isa_note_t note = head_of(cg);
    add_io(cg, &io, &strings);
    note.n_symbols = add_symbols(cg, &symbols, &strings);
    (void)add_string(&strings, "");
    while (strings.length % 8 != 0)
        strbuf_add_bytes(&strings, "", 1);
    note.io_offset = sizeof note;
    note.symbols_offset = note.io_offset + (uint32_t)io.length;
    note.strings_offset = note.symbols_offset + (uint32_t)symbols.length;
    note.strings_bytes = (uint32_t)strings.length;
    note.bytes = note.strings_offset + note.strings_bytes;
    note_head_t head = {.name_bytes = sizeof(ISA_NOTE_NAME),
                        .desc_bytes = note.bytes,
                        .type = ISA_NOTE_XACCEL,
                        .name = ISA_NOTE_NAME};
    strbuf_add_bytes(&all, &head, sizeof head);
    strbuf_add_bytes(&all, &note, sizeof note);
    strbuf_add_bytes(&all, io.text ? io.text : "", io.length);
    strbuf_add_bytes(&all, symbols.text ? symbols.text : "", symbols.length);
    strbuf_add_bytes(&all, strings.text, strings.length);
    add_section(cg, ".note.xaccel", all.text, all.length);
    strbuf_deinit(&io);
    strbuf_deinit(&symbols);
    strbuf_deinit(&strings);
    strbuf_deinit(&all);
}
