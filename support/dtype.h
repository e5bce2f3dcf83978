// SPDX-License-Identifier: Apache-2.0
// Element types: the one list, with the numbers of ONNX TensorProto.DataType
// (onnx/onnx.proto, message TensorProto). Freestanding.
#ifndef SUPPORT_DTYPE_H
#define SUPPORT_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

// X(NAME, number, text, bits, class). Class: F float, S signed, U unsigned, B bool, C complex,
// T string (opaque; bits 0).
#define DTYPE_TABLE(X)                                                                             \
    X(F32, 1, "f32", 32, F)                                                                        \
    X(U8, 2, "u8", 8, U)                                                                           \
    X(I8, 3, "i8", 8, S)                                                                           \
    X(U16, 4, "u16", 16, U)                                                                        \
    X(I16, 5, "i16", 16, S)                                                                        \
    X(I32, 6, "i32", 32, S)                                                                        \
    X(I64, 7, "i64", 64, S)                                                                        \
    X(STR, 8, "str", 0, T)                                                                         \
    X(BOOL, 9, "bool", 8, B)                                                                       \
    X(F16, 10, "f16", 16, F)                                                                       \
    X(F64, 11, "f64", 64, F)                                                                       \
    X(U32, 12, "u32", 32, U)                                                                       \
    X(U64, 13, "u64", 64, U)                                                                       \
    X(C64, 14, "c64", 64, C)                                                                       \
    X(C128, 15, "c128", 128, C)                                                                    \
    X(BF16, 16, "bf16", 16, F)                                                                     \
    X(F8E4M3FN, 17, "f8e4m3fn", 8, F)                                                              \
    X(F8E4M3FNUZ, 18, "f8e4m3fnuz", 8, F)                                                          \
    X(F8E5M2, 19, "f8e5m2", 8, F)                                                                  \
    X(F8E5M2FNUZ, 20, "f8e5m2fnuz", 8, F)                                                          \
    X(U4, 21, "u4", 4, U)                                                                          \
    X(I4, 22, "i4", 4, S)                                                                          \
    X(F4E2M1, 23, "f4e2m1", 4, F)                                                                  \
    X(F8E8M0, 24, "f8e8m0", 8, F)                                                                  \
    X(U2, 25, "u2", 2, U)                                                                          \
    X(I2, 26, "i2", 2, S)

typedef enum dtype {
    DTYPE_NONE = 0,
#define DTYPE_ENUM(name, number, text, bits, cls) DTYPE_##name = number,
    DTYPE_TABLE(DTYPE_ENUM)
#undef DTYPE_ENUM
        DTYPE_COUNT
} dtype_t;

static inline unsigned dtype_bits(dtype_t type) {
    switch (type) {
#define DTYPE_CASE(name, number, text, bits, cls)                                                  \
    case DTYPE_##name:                                                                             \
        return bits;
        DTYPE_TABLE(DTYPE_CASE)
#undef DTYPE_CASE
    default:
        return 0;
    }
}

// Bytes of one element; 1 for the packed sub-byte types (their rows are padded to whole bytes).
static inline unsigned dtype_bytes(dtype_t type) {
    unsigned bits = dtype_bits(type);
    return bits == 0 ? 0 : (bits < 8 ? 1 : bits / 8);
}

static inline const char *dtype_text(dtype_t type) {
    switch (type) {
#define DTYPE_CASE(name, number, text, bits, cls)                                                  \
    case DTYPE_##name:                                                                             \
        return text;
        DTYPE_TABLE(DTYPE_CASE)
#undef DTYPE_CASE
    default:
        return "?";
    }
}

// 'F', 'S', 'U', 'B', 'C', 'T', or 0.
static inline char dtype_class(dtype_t type) {
    switch (type) {
#define DTYPE_CASE(name, number, text, bits, cls)                                                  \
    case DTYPE_##name:                                                                             \
        return #cls[0];
        DTYPE_TABLE(DTYPE_CASE)
#undef DTYPE_CASE
    default:
        return 0;
    }
}

static inline bool dtype_is_float(dtype_t type) { return dtype_class(type) == 'F'; }
static inline bool dtype_is_int(dtype_t type) {
    return dtype_class(type) == 'S' || dtype_class(type) == 'U';
}

#endif
