// SPDX-License-Identifier: Apache-2.0
// A descriptor as text, for disassembler, fault messages and dumps. Freestanding.
#ifndef ISA_DESC_TEXT_H
#define ISA_DESC_TEXT_H

#include "isa/table.h"

// "flags=BORDER src_type=f32 count=[1,1,2,8,16] ...": fields that are zero are left out, codes and
// types stand by name; `insn` tells what `op` means. Returns the length wanted, without the NUL.
size_t isa_desc_text(xa_insn_t insn, const xa_desc_t *desc, char *out_text, size_t capacity);

#endif
