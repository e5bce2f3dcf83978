// SPDX-License-Identifier: Apache-2.0
#include "isa/table.h"

#include "support/mem.h"

#define C0     0x0b
#define C1     0x2b
#define C2     0x5b
#define CI     ISA_FORMAT_CI
#define CF     ISA_FORMAT_CF
#define CT     ISA_FORMAT_CT
#define R4     ISA_FORMAT_R4
#define XA_ANY ISA_ENGINE_ANY
#define EXACT  ISA_EXACT, 0
#define ULP(n) ISA_ULP, (n)
#define SUM    ISA_SUM, 0
#define FUNC   ISA_FUNC, 0
#define FIELD_TYPE(type)                                                                           \
    _Generic((type)0, uint8_t                                                                      \
             : ISA_FIELD_U8, uint32_t                                                              \
             : ISA_FIELD_U32, int32_t                                                              \
             : ISA_FIELD_I32, uint64_t                                                             \
             : ISA_FIELD_U64, int64_t                                                              \
             : ISA_FIELD_I64, float                                                                \
             : ISA_FIELD_F32)

const isa_engine_row_t isa_engines[XA_ENGINE_COUNT] = {
#define XA_ENGINE(name, number, text, desc, meaning) {#name, text, meaning, ISA_DESC_##desc},
#include "isa/xaccel.def"
};

const isa_insn_row_t isa_insns[XA_INSN_COUNT] = {
#define XA_INSN(name, text, format, opcode, f3, f2, engine, exact, meaning)                        \
    {#name, text, meaning, format, opcode, f3, f2, XA_##engine, exact},
#include "isa/xaccel.def"
};

const char *const isa_desc_names[ISA_DESC_COUNT] = {"dma", "mat", "vec"};

const isa_field_row_t isa_fields[] = {
#define XA_FIELD(desc, index, name, type, length, offset, meaning)                                 \
    {#name, #type, meaning, ISA_DESC_##desc, FIELD_TYPE(type), index, length, offset, sizeof(type)},
#include "isa/xaccel.def"
};
const size_t isa_n_fields = sizeof(isa_fields) / sizeof(isa_fields[0]);

const isa_flag_row_t isa_flags[] = {
#define XA_FLAG(desc, name, bit, meaning) {#name, meaning, ISA_DESC_##desc, bit},
#include "isa/xaccel.def"
};
const size_t isa_n_flags = sizeof(isa_flags) / sizeof(isa_flags[0]);

static const isa_code_row_t funcs[] = {
#define XA_FUNC(name, number, text, ulp, cost, formula)                                            \
    {#name, text, formula, number, ulp, #cost[0]},
#include "isa/xaccel.def"
};
static const isa_code_row_t bins[] = {
#define XA_BIN(name, number, text, ulp, cost, formula)                                             \
    {#name, text, formula, number, ulp, #cost[0]},
#include "isa/xaccel.def"
};
static const isa_code_row_t ters[] = {
#define XA_TER(name, number, text, ulp, cost, formula)                                             \
    {#name, text, formula, number, ulp, #cost[0]},
#include "isa/xaccel.def"
};
static const isa_code_row_t reds[] = {
#define XA_RED(name, number, text, meaning) {#name, text, meaning, number, 0, '1'},
#include "isa/xaccel.def"
};

const isa_code_row_t *isa_codes(isa_code_kind_t kind, size_t *out_n) {
    switch (kind) {
    case ISA_CODE_FUNC:
        *out_n = sizeof(funcs) / sizeof(funcs[0]);
        return funcs;
    case ISA_CODE_BIN:
        *out_n = sizeof(bins) / sizeof(bins[0]);
        return bins;
    case ISA_CODE_TER:
        *out_n = sizeof(ters) / sizeof(ters[0]);
        return ters;
    default:
        *out_n = sizeof(reds) / sizeof(reds[0]);
        return reds;
    }
}

const isa_field_row_t *isa_field_find(isa_desc_kind_t desc, unsigned index, unsigned *out_element) {
    for (size_t i = 0; i < isa_n_fields; i++) {
        const isa_field_row_t *row = &isa_fields[i];
        if (row->desc == desc && index >= row->index && index - row->index < row->length) {
            *out_element = index - row->index;
            return row;
        }
    }
    return NULL;
}

uint32_t isa_flag_mask(isa_desc_kind_t desc) {
    uint32_t mask = 0;
    for (size_t i = 0; i < isa_n_flags; i++)
        if (isa_flags[i].desc == desc)
            mask |= 1u << isa_flags[i].bit;
    return mask;
}

bool isa_field_set(isa_desc_kind_t desc, xa_desc_t *staging, unsigned index, uint64_t value) {
    unsigned element;
    const isa_field_row_t *row = isa_field_find(desc, index, &element);
    if (!row)
        return false;
    uint8_t *at = staging->bytes + row->offset + element * row->bytes;
    for (unsigned i = 0; i < row->bytes; i++) // little endian, truncated
        at[i] = (uint8_t)(value >> (8 * i));
    return true;
}

// The first reserved tail is most of it: compare byte by byte only what lies between fields.
bool isa_desc_reserved_ok(isa_desc_kind_t desc, const xa_desc_t *value) {
    static const uint8_t zeros[XA_DESC_BYTES];
    switch (desc) {
    case ISA_DESC_dma:
        return memcmp(value->dma.reserved, zeros, sizeof(value->dma.reserved)) == 0;
    case ISA_DESC_mat:
        return memcmp(value->mat.reserved, zeros, sizeof(value->mat.reserved)) == 0;
    default:
        return memcmp(value->vec.pad0, zeros, sizeof(value->vec.pad0)) == 0 &&
               value->vec.pad1 == 0 &&
               memcmp(value->vec.reserved, zeros, sizeof(value->vec.reserved)) == 0;
    }
}

uint32_t isa_desc_named_end(isa_desc_kind_t desc) {
    switch (desc) {
    case ISA_DESC_dma:
        return offsetof(xa_dma_desc_t, reserved);
    case ISA_DESC_mat:
        return offsetof(xa_mat_desc_t, reserved);
    default:
        return offsetof(xa_vec_desc_t, reserved);
    }
}
