// SPDX-License-Identifier: Apache-2.0
#include "isa/text.h"

void isa_text_unsigned(isa_text_t *text, uint64_t value) {
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    while (n > 0)
        isa_text_char(text, digits[--n]);
}

void isa_text_signed(isa_text_t *text, int64_t value) {
    if (value < 0)
        isa_text_char(text, '-');
    isa_text_unsigned(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void isa_text_hex(isa_text_t *text, uint64_t value) {
    isa_text_add(text, "0x");
    int shift = 60;
    while (shift > 0 && value >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        isa_text_char(text, "0123456789abcdef"[value >> shift & 15]);
}

// 24-bit significand at `exponent`: a fraction below 2^-12 of a unit would take too many digits.
static int is_short(uint32_t significand, int exponent) {
    if (exponent >= 0)
        return exponent <= 30;
    return exponent >= -12 ||
           (exponent >= -35 && significand % (UINT32_C(1) << (-exponent - 12)) == 0);
}

static void add_short(isa_text_t *text, uint32_t significand, int exponent) {
    if (exponent >= 0) {
        isa_text_unsigned(text, (uint64_t)significand << exponent);
        return;
    }
    uint64_t one = UINT64_C(1) << -exponent, rest = significand & (one - 1);
    isa_text_unsigned(text, significand >> -exponent);
    if (rest == 0)
        return;
    isa_text_char(text, '.');
    while (rest) {
        rest *= 10;
        isa_text_char(text, (char)('0' + (rest >> -exponent)));
        rest &= one - 1;
    }
}

void isa_text_f32(isa_text_t *text, uint32_t bits) {
    uint32_t man = bits & 0x7fffffu;
    int field = (int)(bits >> 23 & 0xff);
    if (bits >> 31)
        isa_text_char(text, '-');
    if (field == 255) {
        isa_text_add(text, man ? "nan" : "inf");
        return;
    }
    uint32_t significand = field ? man | 0x800000u : man;
    int exponent = (field ? field : 1) - 150;
    if (significand == 0) {
        isa_text_char(text, '0');
        return;
    }
    while (significand % 2 == 0) {
        significand /= 2;
        exponent++;
    }
    if (is_short(significand, exponent)) {
        add_short(text, significand, exponent);
        return;
    }
    isa_text_hex(text, significand);
    isa_text_char(text, 'p');
    isa_text_signed(text, exponent);
}
