// SPDX-License-Identifier: Apache-2.0
// Standard instructions as accel-objdump writes them; words as assemblers encode them.
#include "tests/codegen/codegen_test.h"
#include "tools/accel-objdump/rv64.h"

static const struct {
    uint32_t word;
    const char *text;
} rows[] = {
    {0x00053283, "ld      t0, 0(a0)"},
    {0x02e7d533, "divu    a0, a5, a4"},
    {0x02e7f4b3, "remu    s1, a5, a4"},
    {0x0092e363, "bltu    t0, s1, 0x1006"},
    {0xf712c5e3, "blt     t0, a7, 0xf6a"},
    {0xfffff517, "auipc   a0, 0xfffff"},
    {0xaac50513, "addi    a0, a0, -1364"},
    {0x00271c13, "slli    s8, a4, 2"},
    {0x41f5d593, "srai    a1, a1, 31"},
    {0x0005a52f, "amoadd.w a0, zero, (a1)"},
    {0x0c053507, "fld     fa0, 192(a0)"},
    {0x00b57553, "fadd.s  fa0, fa0, fa1"},
    {0x02b57553, "fadd.d  fa0, fa0, fa1"},
    {0xc2051553, "fcvt.w.d a0, fa0"},
    {0x62b57543, "fmadd.d fa0, fa0, fa1, fa2"},
    {0x00000073, "ecall"},
    {0x7159, "addi    sp, sp, -112"},
    {0xf486, "sd      ra, 104(sp)"},
    {0x842a, "mv      s0, a0"},
    {0x651c, "ld      a5, 8(a0)"},
    {0x4881, "li      a7, 0"},
    {0x8082, "ret"},
    {0x92be, "add     t0, t0, a5"},
    {0x8a05, "andi    a2, a2, 1"},
    {0xa809, "j       0x1012"},
    {0xe219, "bne     a2, zero, 0x1006"},
    {0x6b21, "lui     s6, 0x8"},
    {0x0285, "addi    t0, t0, 1"},
    {0x8e01, "sub     a2, a2, s0"},
    {0x2985, "addiw   s3, s3, 1"},
    {0x0000, ".half   0x0000"},
};

static void words_read_as_text(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[128];
        rv64_text(rows[i].word, 0x1000, text, sizeof text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(rv64_bytes((uint16_t)rows[i].word),
                         rows[i].word > 0xffff || (rows[i].word & 3) == 3 ? 4 : 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_read_as_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
