// SPDX-License-Identifier: Apache-2.0
// Rows of isa/xaccel.def as const data, for whoever walks the table: encoder, text, checker,
// manual. Freestanding.
#ifndef ISA_TABLE_H
#define ISA_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "isa/xaccel.h"

typedef enum isa_format { ISA_FORMAT_CI, ISA_FORMAT_CF, ISA_FORMAT_CT, ISA_FORMAT_R4 } isa_format_t;
typedef enum isa_exact { ISA_EXACT, ISA_ULP, ISA_SUM, ISA_FUNC } isa_exact_t;

#define ISA_ENGINE_ANY 0xffu

typedef struct isa_insn_row {
    const char *name, *mnemonic, *meaning;
    isa_format_t format;
    uint8_t opcode, funct3, funct2;
    uint8_t engine; // XA_*, or ISA_ENGINE_ANY
    isa_exact_t exact;
    uint8_t ulp; // of ISA_ULP
} isa_insn_row_t;

typedef enum isa_desc_kind {
    ISA_DESC_dma,
    ISA_DESC_mat,
    ISA_DESC_vec,
    ISA_DESC_COUNT
} isa_desc_kind_t;
typedef enum isa_field_type {
    ISA_FIELD_U8,
    ISA_FIELD_U32,
    ISA_FIELD_I32,
    ISA_FIELD_U64,
    ISA_FIELD_I64,
    ISA_FIELD_F32
} isa_field_type_t;

typedef struct isa_field_row {
    const char *name, *c_type, *meaning;
    isa_desc_kind_t desc;
    isa_field_type_t type;
    uint8_t index, length;  // numbers index .. index + length - 1 for xa.cfg.set
    uint16_t offset, bytes; // bytes of one element
} isa_field_row_t;

typedef struct isa_flag_row {
    const char *name, *meaning;
    isa_desc_kind_t desc;
    uint8_t bit;
} isa_flag_row_t;

// XA_FUNC, XA_BIN, XA_TER and XA_RED rows.
typedef struct isa_code_row {
    const char *name, *text, *formula;
    uint8_t number, ulp;
    char cost_class; // '1', 'D', 'E', 'T'
} isa_code_row_t;
typedef enum isa_code_kind {
    ISA_CODE_FUNC,
    ISA_CODE_BIN,
    ISA_CODE_TER,
    ISA_CODE_RED,
    ISA_CODE_COUNT
} isa_code_kind_t;

typedef struct isa_engine_row {
    const char *name, *mnemonic, *meaning;
    isa_desc_kind_t desc;
} isa_engine_row_t;

extern const isa_engine_row_t isa_engines[XA_ENGINE_COUNT];
extern const isa_insn_row_t isa_insns[XA_INSN_COUNT];
extern const char *const isa_desc_names[ISA_DESC_COUNT];

// All field rows of all descriptors, and all flags.
extern const isa_field_row_t isa_fields[];
extern const size_t isa_n_fields;
extern const isa_flag_row_t isa_flags[];
extern const size_t isa_n_flags;
const isa_code_row_t *isa_codes(isa_code_kind_t kind, size_t *out_n);

// The field that xa.cfg.set's number means, or NULL; *out_element: of an array.
const isa_field_row_t *isa_field_find(isa_desc_kind_t desc, unsigned index, unsigned *out_element);
// Bit mask of the flags that a descriptor knows.
uint32_t isa_flag_mask(isa_desc_kind_t desc);
// Sets one field of a staging descriptor, as xa.cfg.set does. False: no such field.
bool isa_field_set(isa_desc_kind_t desc, xa_desc_t *staging, unsigned index, uint64_t value);
// False when a byte that no field names is not zero.
bool isa_desc_reserved_ok(isa_desc_kind_t desc, const xa_desc_t *value);
// Byte offset behind the last field.
uint32_t isa_desc_named_end(isa_desc_kind_t desc);

#endif
