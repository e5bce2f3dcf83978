// SPDX-License-Identifier: Apache-2.0
// Conversions go through double (every number type but the 64-bit integers fits exactly) or through
// int64/uint64; small floats are cut and rounded on their bits, once.
#include "support/numeric.h"

#include "support/mem.h"

// --- Floats smaller than f32 ---------------------------------------------------------------------

typedef struct small_float {
    uint8_t man_bits;
    uint8_t sign_bit; // its number
    int16_t bias;
    uint16_t max;      // code of the greatest finite magnitude
    uint16_t infinity; // code, or 0: none
    uint16_t nan;      // code with sign clear, or 0: none
    bool zero_is_nan;  // FNUZ: the code of -0 is NaN, and there is no -0
} small_float_t;

static small_float_t small_float_of(dtype_t type) {
    switch (type) {
    case DTYPE_F16:
        return (small_float_t){10, 15, 15, 0x7bff, 0x7c00, 0x7e00, false};
    case DTYPE_BF16:
        return (small_float_t){7, 15, 127, 0x7f7f, 0x7f80, 0x7fc0, false};
    case DTYPE_F8E4M3FN:
        return (small_float_t){3, 7, 7, 0x7e, 0, 0x7f, false};
    case DTYPE_F8E4M3FNUZ:
        return (small_float_t){3, 7, 8, 0x7f, 0, 0x80, true};
    case DTYPE_F8E5M2:
        return (small_float_t){2, 7, 15, 0x7b, 0x7c, 0x7f, false};
    case DTYPE_F8E5M2FNUZ:
        return (small_float_t){2, 7, 16, 0x7f, 0, 0x80, true};
    default: // F4E2M1
        return (small_float_t){1, 3, 1, 0x7, 0, 0, false};
    }
}

// Magnitude code of a finite |x|, rounded to nearest even; above `max` when it overflows.
static uint64_t round_to_code(uint64_t magnitude, const small_float_t *format) {
    int exponent = (int)(magnitude >> 52) - 1023;
    uint64_t significand = magnitude & ((UINT64_C(1) << 52) - 1);
    if (exponent == -1023) // zero, or far below every format's least
        return 0;
    significand |= UINT64_C(1) << 52;
    int least = 1 - format->bias;
    int target = exponent > least ? exponent : least;
    int shift = 52 - format->man_bits + (target - exponent);
    if (shift > 60)
        return 0;
    uint64_t code = significand >> shift;
    uint64_t rest = significand & ((UINT64_C(1) << shift) - 1), half = UINT64_C(1) << (shift - 1);
    if (rest > half || (rest == half && (code & 1)))
        code++;
    return code + ((uint64_t)(target - least) << format->man_bits);
}

static uint16_t overflow_code(const small_float_t *format, dtype_t type, unsigned mode) {
    bool is_wide = type == DTYPE_F16 || type == DTYPE_BF16;
    if (type == DTYPE_F4E2M1)
        return format->max;
    if (!is_wide && (mode & NUM_SATURATE))
        return format->max;
    return format->infinity ? format->infinity : format->nan;
}

static uint16_t encode_small(dtype_t type, double value, unsigned mode) {
    small_float_t format = small_float_of(type);
    uint64_t bits = num_f64_to_bits(value), magnitude = bits & (UINT64_MAX >> 1);
    uint16_t sign = (uint16_t)((bits >> 63) << format.sign_bit);
    const uint64_t infinity = UINT64_C(0x7ff) << 52;
    if (magnitude > infinity) { // NaN; f4e2m1 has none and takes -0, as ONNX's test data does
        if (type == DTYPE_F4E2M1)
            return 8;
        return (uint16_t)(format.zero_is_nan ? format.nan : format.nan | sign);
    }
    uint64_t code = magnitude == infinity ? UINT64_MAX : round_to_code(magnitude, &format);
    if (code > format.max) {
        uint16_t over = overflow_code(&format, type, mode);
        return (uint16_t)(over == format.nan && format.zero_is_nan ? over : over | sign);
    }
    if (code == 0 && format.zero_is_nan)
        return 0;
    return (uint16_t)(code | sign);
}

static double power_of_two(int exponent) { // normal range of double
    return num_bits_to_f64((uint64_t)(exponent + 1023) << 52);
}

static double decode_small(dtype_t type, uint32_t bits) {
    small_float_t format = small_float_of(type);
    uint32_t magnitude = bits & ((1u << format.sign_bit) - 1);
    bool negative = bits >> format.sign_bit & 1;
    const double nan = num_bits_to_f64(UINT64_C(0x7ff8) << 48);
    if (format.zero_is_nan && bits == format.nan)
        return nan;
    double value;
    uint32_t field = magnitude >> format.man_bits, man = magnitude & ((1u << format.man_bits) - 1);
    if (format.infinity && magnitude == format.infinity)
        value = num_bits_to_f64(UINT64_C(0x7ff) << 52);
    else if (magnitude > format.max)
        value = nan;
    else if (field == 0)
        value = man * power_of_two(1 - format.bias - format.man_bits);
    else
        value = (double)(man | 1u << format.man_bits) *
                power_of_two((int)field - format.bias - format.man_bits);
    return negative ? -value : value;
}

// Power of two only: 2^(code - 127), 255 is NaN. Negative values and NaN give NaN; 0 the least.
static uint8_t encode_e8m0(double value, unsigned mode) {
    uint64_t bits = num_f64_to_bits(value);
    const uint64_t infinity = UINT64_C(0x7ff) << 52;
    uint64_t magnitude = bits & (UINT64_MAX >> 1);
    if (magnitude > infinity || (bits >> 63 && magnitude != 0))
        return 0xff;
    if (magnitude == infinity)
        return mode & NUM_SATURATE ? 0xfe : 0xff;
    int exponent = (int)(magnitude >> 52) - 1023;
    uint64_t man = magnitude & ((UINT64_C(1) << 52) - 1);
    bool up = man != 0;
    if (mode & NUM_E8M0_DOWN)
        up = false;
    else if (mode & NUM_E8M0_NEAREST) // half way rounds away from zero
        up = man >= UINT64_C(1) << 51;
    exponent += up;
    if (exponent < -127)
        return 0;
    if (exponent > 127)
        return mode & NUM_SATURATE ? 0xfe : 0xff;
    return (uint8_t)(exponent + 127);
}

float num_small_to_f32(dtype_t type, uint8_t bits) {
    if (type == DTYPE_F8E8M0)
        return bits == 0xff ? num_bits_to_f32(0x7fc00000u) : (float)power_of_two((int)bits - 127);
    return (float)decode_small(type, bits);
}

uint8_t num_f64_to_small(dtype_t type, double value, unsigned mode) {
    if (type == DTYPE_F8E8M0)
        return encode_e8m0(value, mode);
    return (uint8_t)encode_small(type, value, mode);
}

// --- f16 and bf16 --------------------------------------------------------------------------------

float num_f16_to_f32(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    if (rest >= 0x7c00u) // infinity, NaN
        return num_bits_to_f32(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest >= 0x400u)
        return num_bits_to_f32(sign | ((rest << 13) + (112u << 23)));
    float value = (float)rest * num_bits_to_f32(103u << 23); // 2^-24
    return sign ? -value : value;
}

uint16_t num_f32_to_f16(float value) {
    uint32_t bits = num_f32_to_bits(value), magnitude = bits & 0x7fffffffu;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) // 65520 and above round to infinity
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { // below 2^-14: let the adder round at 2^-24
        float at = num_bits_to_f32(magnitude) + num_bits_to_f32(126u << 23);
        return (uint16_t)(sign | (num_f32_to_bits(at) - (126u << 23)));
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u) - (112u << 23);
    return (uint16_t)(sign | magnitude >> 13);
}

uint16_t num_f64_to_f16(double value) { return encode_small(DTYPE_F16, value, 0); }

uint16_t num_f32_to_bf16(float value) {
    uint32_t bits = num_f32_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16 & 0x8000u) | 0x7fc0u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// --- Rounding to integers ------------------------------------------------------------------------

double num_round_even(double value) {
    uint64_t bits = num_f64_to_bits(value), sign = bits & (UINT64_C(1) << 63);
    double magnitude = num_bits_to_f64(bits ^ sign);
    const double big = 4503599627370496.0; // 2^52: no fraction from here on
    if (!(magnitude < big))
        return value;
    volatile double sum = magnitude + big; // the adder rounds half to even
    return num_bits_to_f64(num_f64_to_bits(sum - big) | sign);
}

int64_t num_f64_to_i64(double value, unsigned mode) {
    if (mode & NUM_ROUND_EVEN)
        value = num_round_even(value);
    if (value >= 9223372036854775808.0)
        return INT64_MAX;
    if (value <= -9223372036854775808.0)
        return INT64_MIN;
    return value == value ? (int64_t)value : 0;
}

uint64_t num_f64_to_u64(double value, unsigned mode) {
    if (mode & NUM_ROUND_EVEN)
        value = num_round_even(value);
    if (value >= 18446744073709551616.0)
        return UINT64_MAX;
    return value > 0 ? (uint64_t)value : 0;
}

// --- Elements ------------------------------------------------------------------------------------

bool num_is_number(dtype_t type) {
    char kind = dtype_class(type);
    return kind == 'F' || kind == 'S' || kind == 'U' || kind == 'B';
}

uint64_t num_row_bytes(dtype_t type, uint64_t count) {
    unsigned bits = dtype_bits(type);
    if (bits >= 8)
        return count * (bits / 8);
    uint64_t per_byte = bits ? 8 / bits : 1;
    return count / per_byte + (count % per_byte != 0);
}

uint64_t num_load_bits(dtype_t type, const void *base, uint64_t index) {
    const uint8_t *bytes = base;
    unsigned bits = dtype_bits(type);
    uint64_t value = 0;
    if (bits < 8) {
        if (bits == 0)
            return 0;
        uint64_t bit = index * bits;
        return bytes[bit / 8] >> bit % 8 & ((1u << bits) - 1);
    }
    switch (bits) {
    case 8:
        return bytes[index];
    case 16: {
        uint16_t half;
        memcpy(&half, bytes + index * 2, 2);
        return half;
    }
    case 32: {
        uint32_t word;
        memcpy(&word, bytes + index * 4, 4);
        return word;
    }
    default:
        memcpy(&value, bytes + index * 8, 8);
        return value;
    }
}

void num_store_bits(dtype_t type, void *base, uint64_t index, uint64_t value) {
    uint8_t *bytes = base;
    unsigned bits = dtype_bits(type);
    if (bits == 0)
        return;
    if (bits < 8) {
        uint64_t bit = index * bits;
        unsigned mask = ((1u << bits) - 1) << bit % 8;
        bytes[bit / 8] = (uint8_t)((bytes[bit / 8] & ~mask) | (value << bit % 8 & mask));
        return;
    }
    uint16_t half = (uint16_t)value;
    uint32_t word = (uint32_t)value;
    switch (bits) {
    case 8:
        bytes[index] = (uint8_t)value;
        break;
    case 16:
        memcpy(bytes + index * 2, &half, 2);
        break;
    case 32:
        memcpy(bytes + index * 4, &word, 4);
        break;
    default:
        memcpy(bytes + index * 8, &value, 8);
        break;
    }
}

static int64_t sign_extend(uint64_t value, unsigned bits) {
    if (bits >= 64)
        return (int64_t)value;
    uint64_t sign = UINT64_C(1) << (bits - 1);
    return (int64_t)((value ^ sign) - sign);
}

static double float_of_bits(dtype_t type, uint64_t bits) {
    switch (type) {
    case DTYPE_F32:
        return num_bits_to_f32((uint32_t)bits);
    case DTYPE_F64:
        return num_bits_to_f64(bits);
    case DTYPE_F16:
        return num_f16_to_f32((uint16_t)bits);
    case DTYPE_BF16:
        return num_bf16_to_f32((uint16_t)bits);
    default:
        return num_small_to_f32(type, (uint8_t)bits);
    }
}

double num_load_f64(dtype_t type, const void *base, uint64_t index) {
    uint64_t bits = num_load_bits(type, base, index);
    switch (dtype_class(type)) {
    case 'F':
        return float_of_bits(type, bits);
    case 'S':
        return (double)sign_extend(bits, dtype_bits(type));
    case 'U':
        return (double)bits;
    default:
        return bits != 0;
    }
}

int64_t num_load_i64(dtype_t type, const void *base, uint64_t index) {
    uint64_t bits = num_load_bits(type, base, index);
    switch (dtype_class(type)) {
    case 'F':
        return num_f64_to_i64(float_of_bits(type, bits), 0);
    case 'S':
        return sign_extend(bits, dtype_bits(type));
    case 'U':
        return (int64_t)bits;
    default:
        return bits != 0;
    }
}

static uint64_t float_to_bits(dtype_t type, double value, unsigned mode) {
    switch (type) {
    case DTYPE_F32:
        return num_f32_to_bits((float)value);
    case DTYPE_F64:
        return num_f64_to_bits(value);
    case DTYPE_F16:
    case DTYPE_BF16:
        return encode_small(type, value, mode);
    default:
        return num_f64_to_small(type, value, mode);
    }
}

// Brings a 64-bit integer into a type; `is_unsigned`: the 64 bits are unsigned.
static uint64_t int_to_bits(dtype_t type, int64_t value, bool is_unsigned, unsigned mode) {
    unsigned bits = dtype_bits(type);
    if (!(mode & NUM_SATURATE))
        return (uint64_t)value;
    bool is_big = is_unsigned && value < 0; // 2^63 and above
    if (dtype_class(type) == 'U') {
        uint64_t max = UINT64_MAX >> (64 - bits);
        if (value < 0 && !is_big)
            return 0;
        return (uint64_t)value > max ? max : (uint64_t)value;
    }
    int64_t max = INT64_MAX >> (64 - bits);
    if (is_big || value > max)
        return (uint64_t)max;
    return (uint64_t)(value < -max - 1 ? -max - 1 : value);
}

void num_store_f64(dtype_t type, void *base, uint64_t index, double value, unsigned mode) {
    switch (dtype_class(type)) {
    case 'F':
        num_store_bits(type, base, index, float_to_bits(type, value, mode));
        return;
    case 'B':
        num_store_bits(type, base, index, value != 0); // NaN is true
        return;
    case 'U':
        if (!(mode & NUM_SATURATE) && value < 0) // low bits of the truncated negative value
            break;
        num_store_bits(type, base, index,
                       int_to_bits(type, (int64_t)num_f64_to_u64(value, mode), true, mode));
        return;
    default:
        break;
    }
    num_store_bits(type, base, index, int_to_bits(type, num_f64_to_i64(value, mode), false, mode));
}

static void store_int(dtype_t type, void *base, uint64_t index, int64_t value, bool is_unsigned,
                      unsigned mode) {
    switch (dtype_class(type)) {
    case 'F':
        if (type == DTYPE_F32) // one rounding only
            num_store_bits(type, base, index,
                           num_f32_to_bits(is_unsigned ? (float)(uint64_t)value : (float)value));
        else
            num_store_f64(type, base, index, is_unsigned ? (double)(uint64_t)value : (double)value,
                          mode);
        return;
    case 'B':
        num_store_bits(type, base, index, value != 0);
        return;
    default:
        num_store_bits(type, base, index, int_to_bits(type, value, is_unsigned, mode));
    }
}

void num_store_i64(dtype_t type, void *base, uint64_t index, int64_t value, unsigned mode) {
    store_int(type, base, index, value, false, mode);
}

void num_convert(dtype_t dst_type, void *dst, uint64_t dst_index, dtype_t src_type, const void *src,
                 uint64_t src_index, unsigned mode) {
    if (dst_type == src_type)
        num_store_bits(dst_type, dst, dst_index, num_load_bits(src_type, src, src_index));
    else if (dtype_is_float(src_type))
        num_store_f64(dst_type, dst, dst_index, num_load_f64(src_type, src, src_index), mode);
    else
        store_int(dst_type, dst, dst_index, num_load_i64(src_type, src, src_index),
                  src_type == DTYPE_U64, mode);
}

void num_convert_row(dtype_t dst_type, void *dst, dtype_t src_type, const void *src, uint64_t count,
                     unsigned mode) {
    if (dst_type == src_type && dtype_bits(dst_type) >= 8) {
        memmove(dst, src, (size_t)(count * dtype_bytes(dst_type)));
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        num_convert(dst_type, dst, i, src_type, src, i, mode);
}
