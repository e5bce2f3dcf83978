// SPDX-License-Identifier: Apache-2.0
// F and D. Arithmetic runs on the host's unit, in whose state rounding mode and flags are the
// hart's (hart_fp.h); what must not depend on the host's habits is done on the bits, its flags set
// in fcsr. Built with -frounding-math.
#include <math.h>
#include <string.h>

#include "driver/sim/hart_float.h"
#include "driver/sim/hart_fp.h"

#define F(index) (hart->f[index])

#define FLOAT_S(name, expression)                                                                  \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        F(op->rd) = pack_s(expression);                                                            \
        NEXT(hart, op);                                                                            \
    }
#define FLOAT_D(name, expression)                                                                  \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        F(op->rd) = pack_d(expression);                                                            \
        NEXT(hart, op);                                                                            \
    }
#define S1 unpack_s(F(op->rs1))
#define S2 unpack_s(F(op->rs2))
#define S3 unpack_s(F(op->rs3))
#define D1 unpack_d(F(op->rs1))
#define D2 unpack_d(F(op->rs2))
#define D3 unpack_d(F(op->rs3))
#define X1 (hart->x[op->rs1])

FLOAT_S(FADD_S, S1 + S2)
FLOAT_S(FSUB_S, S1 - S2)
FLOAT_S(FMUL_S, S1 *S2)
FLOAT_S(FDIV_S, S1 / S2)
FLOAT_S(FSQRT_S, sqrtf(S1))
FLOAT_D(FADD_D, D1 + D2)
FLOAT_D(FSUB_D, D1 - D2)
FLOAT_D(FMUL_D, D1 *D2)
FLOAT_D(FDIV_D, D1 / D2)
FLOAT_D(FSQRT_D, sqrt(D1))

// Infinity times zero is invalid even when the addend is a quiet NaN; hosts differ.
static NO_INLINE void check_product(sim_hart_t *hart, double a, double b) {
    if ((isinf(a) && b == 0) || (isinf(b) && a == 0))
        hart->fcsr |= FLAG_NV;
}

#define FUSED(name, type, pack, unpack, fused, sign_product, sign_addend)                          \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        type a = unpack(F(op->rs1)), b = unpack(F(op->rs2)), c = unpack(F(op->rs3));               \
        type result = fused(sign_product a, b, sign_addend c);                                     \
        if (UNLIKELY(isnan(result)))                                                               \
            check_product(hart, (double)a, (double)b);                                             \
        F(op->rd) = pack(result);                                                                  \
        NEXT(hart, op);                                                                            \
    }
#define FUSED_BOTH(name, sign_product, sign_addend)                                                \
    FUSED(name##_S, float, pack_s, unpack_s, fmaf, sign_product, sign_addend)                      \
    FUSED(name##_D, double, pack_d, unpack_d, fma, sign_product, sign_addend)
FUSED_BOTH(FMADD, +, +)
FUSED_BOTH(FMSUB, +, -)
FUSED_BOTH(FNMSUB, -, +)
FUSED_BOTH(FNMADD, -, -)

FLOAT_S(FCVT_S_W, (float)(int32_t)X1)
FLOAT_S(FCVT_S_WU, (float)(uint32_t)X1)
FLOAT_S(FCVT_S_L, (float)(int64_t)X1)
FLOAT_S(FCVT_S_LU, float_of_u64(X1))
FLOAT_S(FCVT_S_D, (float)D1)
FLOAT_D(FCVT_D_W, (double)(int32_t)X1)
FLOAT_D(FCVT_D_WU, (double)(uint32_t)X1)
FLOAT_D(FCVT_D_L, (double)(int64_t)X1)
FLOAT_D(FCVT_D_LU, double_of_u64(X1))
FLOAT_D(FCVT_D_S, (double)S1)

// Signs and moves work on bits; a value that is not NaN-boxed counts as the canonical NaN.
#define BITS_S(index) unbox_s(F(index))
#define SIGN_S        UINT32_C(0x80000000)
#define SIGN_D        UINT64_C(0x8000000000000000)
#define BITWISE(name, result)                                                                      \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        F(op->rd) = (result);                                                                      \
        NEXT(hart, op);                                                                            \
    }
BITWISE(FSGNJ_S, BOX_F32 | (BITS_S(op->rs1) & ~SIGN_S) | (BITS_S(op->rs2) & SIGN_S))
BITWISE(FSGNJN_S, BOX_F32 | (BITS_S(op->rs1) & ~SIGN_S) | (~BITS_S(op->rs2) & SIGN_S))
BITWISE(FSGNJX_S, BOX_F32 | (BITS_S(op->rs1) ^ (BITS_S(op->rs2) & SIGN_S)))
BITWISE(FSGNJ_D, (F(op->rs1) & ~SIGN_D) | (F(op->rs2) & SIGN_D))
BITWISE(FSGNJN_D, (F(op->rs1) & ~SIGN_D) | (~F(op->rs2) & SIGN_D))
BITWISE(FSGNJX_D, F(op->rs1) ^ (F(op->rs2) & SIGN_D))
BITWISE(FMV_W_X, BOX_F32 | (uint32_t)X1)
BITWISE(FMV_D_X, X1)

#define TO_X(name, result)                                                                         \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        hart->x[op->rd] = (result);                                                                \
        NEXT(hart, op);                                                                            \
    }
TO_X(FMV_X_W, (uint64_t)(int64_t)(int32_t)(uint32_t)F(op->rs1))
TO_X(FMV_X_D, F(op->rs1))

// Comparisons go by f64, which holds each f32; only whether a NaN signals needs its own bits.
typedef struct operand {
    double value;
    bool nan, signals;
} operand_t;

static inline operand_t operand_s(uint64_t box) {
    uint32_t bits = unbox_s(box);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (operand_t){nan ? 0 : (double)unpack_s(box), nan, nan && (bits >> 22 & 1) == 0};
}

static inline operand_t operand_d(uint64_t bits) {
    bool nan = (bits & ~SIGN_D) > UINT64_C(0x7ff0000000000000);
    return (operand_t){nan ? 0 : unpack_d(bits), nan, nan && (bits >> 51 & 1) == 0};
}

static inline uint64_t compare(sim_hart_t *hart, operand_t a, operand_t b, char relation) {
    if (UNLIKELY(a.nan || b.nan)) {
        if (relation != '=' || a.signals || b.signals)
            hart->fcsr |= FLAG_NV;
        return 0;
    }
    return relation == '='   ? a.value == b.value
           : relation == '<' ? a.value < b.value
                             : a.value <= b.value;
}
TO_X(FEQ_S, compare(hart, operand_s(F(op->rs1)), operand_s(F(op->rs2)), '='))
TO_X(FLT_S, compare(hart, operand_s(F(op->rs1)), operand_s(F(op->rs2)), '<'))
TO_X(FLE_S, compare(hart, operand_s(F(op->rs1)), operand_s(F(op->rs2)), 'l'))
TO_X(FEQ_D, compare(hart, operand_d(F(op->rs1)), operand_d(F(op->rs2)), '='))
TO_X(FLT_D, compare(hart, operand_d(F(op->rs1)), operand_d(F(op->rs2)), '<'))
TO_X(FLE_D, compare(hart, operand_d(F(op->rs1)), operand_d(F(op->rs2)), 'l'))

// 0: neither, the canonical NaN; 1 or 2: that operand. -0 is less than +0.
static inline uint32_t pick(sim_hart_t *hart, operand_t a, operand_t b, bool maximum) {
    if (UNLIKELY(a.nan || b.nan)) {
        if (a.signals || b.signals)
            hart->fcsr |= FLAG_NV;
        return a.nan ? (b.nan ? 0 : 2) : 1;
    }
    if (a.value == b.value)
        return (signbit(a.value) != 0) != maximum ? 1 : 2;
    return (a.value < b.value) != maximum ? 1 : 2;
}
static inline uint64_t choose(uint32_t which, uint64_t nan, uint64_t a, uint64_t b) {
    return which == 0 ? nan : which == 1 ? a : b;
}
#define PICK(name, operand, nan, maximum)                                                          \
    BITWISE(name, choose(pick(hart, operand(F(op->rs1)), operand(F(op->rs2)), maximum), nan,       \
                         F(op->rs1), F(op->rs2)))
PICK(FMIN_S, operand_s, BOX_F32 | NAN_F32, false)
PICK(FMAX_S, operand_s, BOX_F32 | NAN_F32, true)
PICK(FMIN_D, operand_d, NAN_F64, false)
PICK(FMAX_D, operand_d, NAN_F64, true)

static inline uint64_t classify(bool negative, uint64_t exponent, uint64_t ones, uint64_t fraction,
                                bool quiet) {
    if (exponent == ones && fraction != 0)
        return quiet ? 1 << 9 : 1 << 8;
    uint32_t kind = exponent == ones ? 0 : exponent != 0 ? 1 : fraction != 0 ? 2 : 3;
    return UINT64_C(1) << (negative ? kind : 7 - kind);
}
static inline uint64_t classify_s(uint32_t v) {
    return classify(v >> 31, v >> 23 & 255, 255, v & 0x7fffff, (v >> 22 & 1) != 0);
}
static inline uint64_t classify_d(uint64_t v) {
    return classify(v >> 63, v >> 52 & 2047, 2047, v & UINT64_C(0xfffffffffffff),
                    (v >> 51 & 1) != 0);
}
TO_X(FCLASS_S, classify_s(BITS_S(op->rs1)))
TO_X(FCLASS_D, classify_d(F(op->rs1)))

static double round_by(double value, uint32_t rm) {
    switch (rm) {
    case 0: {
        double down = floor(value), rest = value - down;
        bool up = rest > 0.5 || (rest == 0.5 && fmod(down, 2) != 0);
        return up ? down + 1 : down;
    }
    case 1:
        return trunc(value);
    case 2:
        return floor(value);
    case 3:
        return ceil(value);
    default:
        return round(value);
    }
}

// To an integer in [low, high), both exact in f64; -> false: not representable, *out saturated.
typedef struct bounds {
    double low, high;
    uint64_t least, most;
} bounds_t;

static const bounds_t bounds_w = {-0x1p31, 0x1p31, UINT64_C(0xffffffff80000000), INT32_MAX};
static const bounds_t bounds_wu = {0, 0x1p32, 0, UINT64_MAX};
static const bounds_t bounds_l = {-0x1p63, 0x1p63, UINT64_C(1) << 63, INT64_MAX};
static const bounds_t bounds_lu = {0, 0x1p64, 0, UINT64_MAX};

// The host's flags are put back: rounding and comparing here must not leave any.
static NO_INLINE uint64_t to_integer(sim_hart_t *hart, operand_t from, uint32_t rm,
                                     const bounds_t *bounds) {
    uint32_t host = host_fp_get();
    double value = from.nan ? 0 : round_by(from.value, rm);
    uint64_t result;
    if (from.nan || value >= bounds->high) {
        result = bounds->most;
        hart->fcsr |= FLAG_NV;
    } else if (value < bounds->low) {
        result = bounds->least;
        hart->fcsr |= FLAG_NV;
    } else {
        result = value >= 0x1p63 ? (uint64_t)(int64_t)(value - 0x1p63) + (UINT64_C(1) << 63)
                                 : (uint64_t)(int64_t)value;
        hart->fcsr |= value != from.value ? FLAG_NX : 0;
        if (bounds == &bounds_wu)
            result = (uint64_t)(int64_t)(int32_t)(uint32_t)result;
    }
    if (host_fp_get() != host)
        host_fp_set(host);
    return result;
}

// Truncation of what surely fits is what C code does all the time.
static inline bool fits_easily(operand_t from, uint32_t rm, bool is_signed) {
    return rm == 1 && !from.nan && from.value < 0x1p31 && from.value > (is_signed ? -0x1p31 : -0.5);
}

#define TO_INTEGER(name, operand, bounds, is_signed)                                               \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        operand_t from = operand(F(op->rs1));                                                      \
        uint32_t rm = op->extra & 15;                                                              \
        if (LIKELY(fits_easily(from, rm, is_signed))) {                                            \
            int64_t value = (int64_t)from.value;                                                   \
            hart->fcsr |= (double)value != from.value ? FLAG_NX : 0;                               \
            hart->x[op->rd] = (uint64_t)value;                                                     \
            NEXT(hart, op);                                                                        \
        }                                                                                          \
        rm = rm == RM_DYNAMIC ? hart_rm(hart) : rm;                                                \
        if (rm > RM_RMM)                                                                           \
            return sim_hart_illegal(hart, op);                                                     \
        hart->x[op->rd] = to_integer(hart, from, rm, &bounds);                                     \
        NEXT(hart, op);                                                                            \
    }
TO_INTEGER(FCVT_W_S, operand_s, bounds_w, true)
TO_INTEGER(FCVT_WU_S, operand_s, bounds_wu, false)
TO_INTEGER(FCVT_L_S, operand_s, bounds_l, true)
TO_INTEGER(FCVT_LU_S, operand_s, bounds_lu, false)
TO_INTEGER(FCVT_W_D, operand_d, bounds_w, true)
TO_INTEGER(FCVT_WU_D, operand_d, bounds_wu, false)
TO_INTEGER(FCVT_L_D, operand_d, bounds_l, true)
TO_INTEGER(FCVT_LU_D, operand_d, bounds_lu, false)
