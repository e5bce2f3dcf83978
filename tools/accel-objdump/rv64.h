// SPDX-License-Identifier: Apache-2.0
// Standard RISC-V instructions (RV64GC) as text.
#ifndef TOOLS_ACCEL_OBJDUMP_RV64_H
#define TOOLS_ACCEL_OBJDUMP_RV64_H

#include <stddef.h>
#include <stdint.h>

// Text of the instruction at `pc`; ".word 0x.." or ".half 0x.." for what is none.
void rv64_text(uint32_t word, uint64_t pc, char *out, size_t capacity);
// The 32-bit instruction that a compressed one stands for, or 0.
uint32_t rv64_expand(uint16_t half);
// Bytes of the instruction that begins with this half word: 2 or 4.
static inline unsigned rv64_bytes(uint16_t first) { return (first & 3) == 3 ? 4 : 2; }

#endif
