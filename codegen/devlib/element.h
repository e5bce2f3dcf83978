// SPDX-License-Identifier: Apache-2.0
// Elements of strided buffers for devlib functions.
#ifndef CODEGEN_DEVLIB_ELEMENT_H
#define CODEGEN_DEVLIB_ELEMENT_H

#include <stdbool.h>

#include "codegen/devlib/devlib.h"
#include "isa/program.h"
#include "support/numeric.h"

// Ends the program on this core with an exit code that the runtime explains.
static inline void dl_exit(uint64_t code) {
    register uint64_t a0 __asm__("a0") = code;
    register uint64_t a7 __asm__("a7") = ISA_ECALL_EXIT;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
}

static inline int64_t dl_elements(const dl_buffer_t *b) {
    int64_t n = 1;
    for (uint32_t d = 0; d < b->rank; d++)
        n *= b->dims[d];
    return n;
}

// Steps `at` to the next position of dims (row major); false after the last.
static inline bool dl_next(const dl_buffer_t *b, int64_t at[DL_MAX_RANK]) {
    for (uint32_t d = b->rank; d-- > 0;) {
        if (++at[d] < b->dims[d])
            return true;
        at[d] = 0;
    }
    return false;
}

static inline int64_t dl_offset(const dl_buffer_t *b, const int64_t at[DL_MAX_RANK]) {
    int64_t offset = 0;
    for (uint32_t d = 0; d < b->rank; d++)
        offset += at[d] * b->strides[d];
    return offset;
}

static inline int64_t dl_load_i64(const dl_buffer_t *b, int64_t offset) {
    return num_load_i64((dtype_t)b->elem, b->data, (uint64_t)offset);
}

static inline double dl_load_f64(const dl_buffer_t *b, int64_t offset) {
    return num_load_f64((dtype_t)b->elem, b->data, (uint64_t)offset);
}

// Same element of another buffer, converted where the types differ. Complex elements are copied.
static inline void dl_move(const dl_buffer_t *to, int64_t to_offset, const dl_buffer_t *from,
                           int64_t from_offset) {
    unsigned bits = dtype_bits((dtype_t)from->elem);
    if (to->elem != from->elem) {
        num_convert((dtype_t)to->elem, to->data, (uint64_t)to_offset, (dtype_t)from->elem,
                    from->data, (uint64_t)from_offset, 0);
    } else if (bits <= 64) {
        num_store_bits((dtype_t)to->elem, to->data, (uint64_t)to_offset,
                       num_load_bits((dtype_t)from->elem, from->data, (uint64_t)from_offset));
    } else {
        const uint64_t *f = (const uint64_t *)from->data + 2 * from_offset;
        uint64_t *t = (uint64_t *)to->data + 2 * to_offset;
        t[0] = f[0];
        t[1] = f[1];
    }
}

#endif
