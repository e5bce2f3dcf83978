// SPDX-License-Identifier: Apache-2.0
// Conversions of every number type: exhaustive where the type is small, by neighbours where not.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/numeric.h"

static int failures;
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition) && failures++ < 20) {                                                     \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

static bool same(double a, double b) {
    return a == b ? signbit(a) == signbit(b) : isnan(a) && isnan(b);
}

// Every code of a float type decodes and encodes to itself, and values between two neighbours go to
// the nearer, to the even one at half.
static void check_small(dtype_t type, uint32_t n_codes) {
    for (uint32_t code = 0; code < n_codes; code++) {
        double value = num_load_f64(type, &code, 0);
        uint32_t back = 0;
        num_store_f64(type, &back, 0, value, 0);
        CHECK(same(num_load_f64(type, &back, 0), value), "%s %x", dtype_text(type), code);
        CHECK(isnan(value) || back == code, "%s %x came back as %x", dtype_text(type), code, back);
        uint32_t next_code = code + 1;
        double next = num_load_f64(type, &next_code, 0);
        if (next_code == n_codes || !(isfinite(value) && isfinite(next)) ||
            !((value >= 0 && next > value) || (value < 0 && next < value)))
            continue;
        double middle = value + (next - value) / 2, quarter = value + (next - value) / 4;
        num_store_f64(type, &back, 0, middle, 0);
        CHECK(back == (code & 1 ? next_code : code), "%s half above %x", dtype_text(type), code);
        num_store_f64(type, &back, 0, quarter, 0);
        CHECK(back == code, "%s quarter above %x", dtype_text(type), code);
        num_store_f64(type, &back, 0, nextafter(middle, next), 0);
        CHECK(back == next_code, "%s just above half of %x", dtype_text(type), code);
    }
}

// The f32 short cuts against the general way.
static void check_halves(void) {
    uint32_t bits = 1;
    for (int i = 0; i < 2000000; i++) {
        bits = bits * 1664525 + 1013904223;
        float value = num_bits_to_f32(bits);
        uint16_t bf16 = 0;
        num_store_f64(DTYPE_BF16, &bf16, 0, value, 0);
        CHECK(num_f32_to_f16(value) == num_f64_to_f16(value), "f16 of %a", (double)value);
        CHECK(num_f32_to_bf16(value) == bf16, "bf16 of %a", (double)value);
    }
    for (uint32_t code = 0; code < 65536; code++)
        CHECK(same(num_f16_to_f32((uint16_t)code), num_load_f64(DTYPE_F16, &code, 0)), "f16 %x",
              code);
}

typedef struct row {
    dtype_t type;
    double value;
    unsigned mode;
    double want;
} row_t;

// The tables of ONNX Cast, and integers at their bounds.
static const row_t rows[] = {
    {DTYPE_F8E4M3FN, INFINITY, NUM_SATURATE, 448},
    {DTYPE_F8E4M3FN, -1e9, NUM_SATURATE, -448},
    {DTYPE_F8E4M3FN, INFINITY, 0, NAN},
    {DTYPE_F8E4M3FN, 500, 0, NAN},
    {DTYPE_F8E4M3FN, -0.0, 0, -0.0},
    {DTYPE_F8E4M3FNUZ, -0.0, 0, 0},
    {DTYPE_F8E4M3FNUZ, 1000, NUM_SATURATE, 240},
    {DTYPE_F8E4M3FNUZ, -1000, 0, NAN},
    {DTYPE_F8E5M2, INFINITY, NUM_SATURATE, 57344},
    {DTYPE_F8E5M2, INFINITY, 0, INFINITY},
    {DTYPE_F8E5M2, -1e9, 0, -INFINITY},
    {DTYPE_F8E5M2FNUZ, 1e9, NUM_SATURATE, 57344},
    {DTYPE_F8E5M2FNUZ, INFINITY, 0, NAN},
    {DTYPE_F8E5M2FNUZ, -INFINITY, NUM_SATURATE, -57344},
    {DTYPE_F4E2M1, NAN, 0, -0.0},
    {DTYPE_F4E2M1, 100, 0, 6},
    {DTYPE_F4E2M1, -INFINITY, 0, -6},
    {DTYPE_F4E2M1, 2.5, 0, 2},
    {DTYPE_F4E2M1, 3.5, 0, 4},
    {DTYPE_F8E8M0, 3, 0, 4},
    {DTYPE_F8E8M0, 3, NUM_E8M0_DOWN, 2},
    {DTYPE_F8E8M0, 2.9, NUM_E8M0_NEAREST, 2},
    {DTYPE_F8E8M0, NAN, 0, NAN},
    {DTYPE_F16, 65519, 0, 65504},
    {DTYPE_F16, 65520, 0, INFINITY},
    {DTYPE_I8, 200, NUM_SATURATE, 127},
    {DTYPE_I8, 200, 0, -56},
    {DTYPE_I8, -2.9, 0, -2},
    {DTYPE_I8, -2.5, NUM_ROUND_EVEN, -2},
    {DTYPE_I8, 3.5, NUM_ROUND_EVEN, 4},
    {DTYPE_U8, -1, NUM_SATURATE, 0},
    {DTYPE_U8, -1, 0, 255},
    {DTYPE_U8, NAN, NUM_SATURATE, 0},
    {DTYPE_I4, 9, 0, -7},
    {DTYPE_I4, 9, NUM_SATURATE, 7},
    {DTYPE_U4, 9, 0, 9},
    {DTYPE_I2, 1, 0, 1},
    {DTYPE_U2, 5, NUM_SATURATE, 3},
    {DTYPE_I64, 1e30, NUM_SATURATE, 9223372036854775807.0},
    {DTYPE_U64, 1.8e19, 0, 1.8e19},
    {DTYPE_BOOL, 0.25, 0, 1},
    {DTYPE_BOOL, -0.0, 0, 0},
};

static void check_rows(void) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bits = 0;
        num_store_f64(rows[i].type, &bits, 0, rows[i].value, rows[i].mode);
        double got = num_load_f64(rows[i].type, &bits, 0);
        CHECK(same(got, rows[i].want), "%s of %g: %g, not %g", dtype_text(rows[i].type),
              rows[i].value, got, rows[i].want);
    }
}

static void check_integers(void) {
    int64_t in = INT64_MIN;
    uint64_t big = UINT64_MAX;
    float f;
    int32_t i32;
    uint64_t u64;
    num_convert(DTYPE_F32, &f, 0, DTYPE_U64, &big, 0, 0);
    CHECK(f == 18446744073709551616.0f, "u64 to f32");
    num_convert(DTYPE_I32, &i32, 0, DTYPE_U64, &big, 0, NUM_SATURATE);
    CHECK(i32 == INT32_MAX, "u64 to i32 saturates");
    num_convert(DTYPE_I32, &i32, 0, DTYPE_U64, &big, 0, 0);
    CHECK(i32 == -1, "u64 to i32 keeps the low bits");
    num_convert(DTYPE_U64, &u64, 0, DTYPE_I64, &in, 0, NUM_SATURATE);
    CHECK(u64 == 0, "i64 to u64 saturates");
    in = 16777217; // between two f32: one rounding, to even
    num_convert(DTYPE_F32, &f, 0, DTYPE_I64, &in, 0, 0);
    CHECK(f == 16777216.0f, "i64 to f32");
}

static void check_packed(void) {
    uint8_t bytes[4] = {0xff, 0xff, 0xff, 0xff};
    num_store_i64(DTYPE_U4, bytes, 1, 3, 0);
    CHECK(bytes[0] == 0x3f, "low bits first");
    num_store_i64(DTYPE_I2, bytes, 5, -2, 0);
    CHECK(bytes[1] == 0xfb && num_load_i64(DTYPE_I2, bytes, 5) == -2, "neighbours stay");
    CHECK(num_row_bytes(DTYPE_I2, 5) == 2 && num_row_bytes(DTYPE_U4, 4) == 2 &&
              num_row_bytes(DTYPE_F64, 3) == 24,
          "row bytes");
    float row[5];
    const uint8_t nibbles[3] = {0x21, 0xf3, 0x08};
    num_convert_row(DTYPE_F32, row, DTYPE_I4, nibbles, 5, 0);
    CHECK(row[0] == 1 && row[1] == 2 && row[2] == 3 && row[3] == -1 && row[4] == -8, "i4 row");
}

int main(void) {
    check_small(DTYPE_F8E4M3FN, 256);
    check_small(DTYPE_F8E4M3FNUZ, 256);
    check_small(DTYPE_F8E5M2, 256);
    check_small(DTYPE_F8E5M2FNUZ, 256);
    check_small(DTYPE_F4E2M1, 16);
    check_small(DTYPE_F16, 65536);
    check_small(DTYPE_BF16, 65536);
    check_halves();
    check_rows();
    check_integers();
    check_packed();
    return failures != 0;
}
