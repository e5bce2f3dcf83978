// SPDX-License-Identifier: Apache-2.0
// Every F and D instruction: results and flags. Arithmetic is compared with the host's own in each
// of its rounding modes; the rest with tables. Built with -frounding-math.
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "tests/hart/machine.h"

enum { FD = 1, F1 = 2, F2 = 3, F3 = 4, XD = 10, X1 = 11 };
enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };
enum { RNE, RTZ, RDN, RUP, RMM, DYN = 7 };

#define BOX(bits) (UINT64_C(0xffffffff00000000) | (bits))
#define NAN_S     UINT32_C(0x7fc00000)
#define NAN_D     UINT64_C(0x7ff8000000000000)

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
static uint32_t bits_s(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}
static uint64_t bits_d(double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

// Runs one instruction on (a, b, c) in f2, f3, f4 with `x` in x11; fcsr is 0 but for `frm`.
typedef struct input {
    uint64_t f[3], x;
    uint32_t frm;
} input_t;

static void run(machine_t *machine, uint32_t word, const input_t *in) {
    sim_hart_state_t state;
    sim_hart_save(machine->hart, &state);
    memcpy(&state.f[F1], in->f, sizeof in->f);
    state.x[X1] = in->x;
    state.fcsr = in->frm << 5;
    sim_hart_restore(machine->hart, &state);
    machine_do(machine, &word, 1);
}

static uint32_t host_flags(void) {
    int raised = fetestexcept(FE_ALL_EXCEPT);
    return (raised & FE_INEXACT ? NX : 0u) | (raised & FE_UNDERFLOW ? UF : 0u) |
           (raised & FE_OVERFLOW ? OF : 0u) | (raised & FE_DIVBYZERO ? DZ : 0u) |
           (raised & FE_INVALID ? NV : 0u);
}

static const int host_modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

static const uint32_t values_s[] = {0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                    0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001, 0x7f7fffff,
                                    0xff7fffff, 0x00800000, 0x00000001, 0x807fffff, 0x00ffffff,
                                    0x3f800001, 0x33800000, 0x34000000, 0x4b7fffff, 0x40490fdb,
                                    0x3eaaaaab, 0xc2f6e979, 0x1e3ce508, 0x20000000, 0x5f000000};
static const uint64_t values_d[] = {
    0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
    0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000012345678,
    0x7ff0000000000001, 0x7fefffffffffffff, 0xffefffffffffffff, 0x0010000000000000,
    0x0000000000000001, 0x800fffffffffffff, 0x001fffffffffffff, 0x3ff0000000000001,
    0x3ca0000000000000, 0x3cb0000000000000, 0x400921fb54442d18, 0x3fd5555555555555,
    0xc05edd2f1a9fbe77, 0x1e60000000000000, 0x2000000000000000, 0x433fffffffffffff,
    0x47efffffe0000000, 0x47effffff0000000, 0x36a0000000000000, 0x380fffffe0000001};
#define N_S (sizeof values_s / sizeof values_s[0])
#define N_D (sizeof values_d / sizeof values_d[0])

// What the host makes of an operation: volatile, so that it happens where it is written.
typedef uint64_t (*host_fn_t)(const uint64_t *f);
#define HOST(name, type, from, to, expression)                                                     \
    static uint64_t name(const uint64_t *f) {                                                      \
        volatile type a = from(f[0]), b = from(f[1]), c = from(f[2]);                              \
        (void)b;                                                                                   \
        (void)c;                                                                                   \
        volatile type result = (expression);                                                       \
        return to(result);                                                                         \
    }
static float from_box(uint64_t box) { return float_of((uint32_t)box); }
static uint64_t to_box(float value) { return BOX(isnan(value) ? NAN_S : bits_s(value)); }
static uint64_t to_d(double value) { return isnan(value) ? NAN_D : bits_d(value); }
HOST(add_s, float, from_box, to_box, a + b)
HOST(sub_s, float, from_box, to_box, a - b)
HOST(mul_s, float, from_box, to_box, a *b)
HOST(div_s, float, from_box, to_box, a / b)
HOST(sqrt_s, float, from_box, to_box, sqrtf(a))
HOST(madd_s, float, from_box, to_box, fmaf(a, b, c))
HOST(msub_s, float, from_box, to_box, fmaf(a, b, -c))
HOST(nmsub_s, float, from_box, to_box, fmaf(-a, b, c))
HOST(nmadd_s, float, from_box, to_box, fmaf(-a, b, -c))
HOST(add_d, double, double_of, to_d, a + b)
HOST(sub_d, double, double_of, to_d, a - b)
HOST(mul_d, double, double_of, to_d, a *b)
HOST(div_d, double, double_of, to_d, a / b)
HOST(sqrt_d, double, double_of, to_d, sqrt(a))
HOST(madd_d, double, double_of, to_d, fma(a, b, c))
HOST(msub_d, double, double_of, to_d, fma(a, b, -c))
HOST(nmsub_d, double, double_of, to_d, fma(-a, b, c))
HOST(nmadd_d, double, double_of, to_d, fma(-a, b, -c))

static const struct arithmetic {
    const char *name;
    uint32_t base;
    uint32_t operands;
    bool single;
    host_fn_t host;
} arithmetic[] = {
    {"fadd.s", 0x00000053, 2, true, add_s},      {"fsub.s", 0x08000053, 2, true, sub_s},
    {"fmul.s", 0x10000053, 2, true, mul_s},      {"fdiv.s", 0x18000053, 2, true, div_s},
    {"fsqrt.s", 0x58000053, 1, true, sqrt_s},    {"fmadd.s", 0x43, 3, true, madd_s},
    {"fmsub.s", 0x47, 3, true, msub_s},          {"fnmsub.s", 0x4b, 3, true, nmsub_s},
    {"fnmadd.s", 0x4f, 3, true, nmadd_s},        {"fadd.d", 0x02000053, 2, false, add_d},
    {"fsub.d", 0x0a000053, 2, false, sub_d},     {"fmul.d", 0x12000053, 2, false, mul_d},
    {"fdiv.d", 0x1a000053, 2, false, div_d},     {"fsqrt.d", 0x5a000053, 1, false, sqrt_d},
    {"fmadd.d", 0x02000043, 3, false, madd_d},   {"fmsub.d", 0x02000047, 3, false, msub_d},
    {"fnmsub.d", 0x0200004b, 3, false, nmsub_d}, {"fnmadd.d", 0x0200004f, 3, false, nmadd_d},
};

static uint32_t arithmetic_word(const struct arithmetic *row, uint32_t rm) {
    return enc_r(row->base | rm << 12, FD, F1, row->operands == 1 ? 0 : F2) |
           (row->operands == 3 ? F3 << 27 : 0);
}

static bool is_nan(uint64_t value, bool single) {
    return single ? isnan(from_box(value)) : isnan(double_of(value));
}

// Infinity times zero plus a quiet NaN: invalid for RISC-V, the host's choice there.
static bool host_may_differ(const struct arithmetic *row, const input_t *in) {
    return row->operands == 3 && is_nan(in->f[2], row->single);
}

static void check_arithmetic(machine_t *machine, tally_t *tally, const struct arithmetic *row,
                             const input_t *in, uint32_t rm) {
    uint32_t mode = rm == DYN ? in->frm : rm;
    fesetround(host_modes[mode]);
    feclearexcept(FE_ALL_EXCEPT);
    uint64_t wanted = row->host(in->f);
    uint32_t flags = host_flags();
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    run(machine, arithmetic_word(row, rm), in);
    check_equal(tally, row->name, machine_f(machine, FD), wanted);
    if (!host_may_differ(row, in))
        check_equal(tally, row->name, machine_fcsr(machine) & 31, flags);
    check_equal(tally, "host left alone", (uint64_t)fegetround(), FE_TONEAREST);
}

static void test_arithmetic(machine_t *machine, tally_t *tally) {
    uint64_t seed = 88172645463325252;
    for (size_t r = 0; r < sizeof arithmetic / sizeof arithmetic[0]; r++) {
        const struct arithmetic *row = &arithmetic[r];
        for (uint32_t i = 0; i < 1400; i++) {
            input_t in = {{0}, 0, 0};
            for (uint32_t k = 0; k < 3; k++) {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                in.f[k] =
                    row->single ? BOX(values_s[(seed >> 20) % N_S]) : values_d[(seed >> 20) % N_D];
                if (seed >> 62 == 0) // a random number near one
                    in.f[k] = row->single ? BOX(0x3f000000 | (seed >> 8 & 0x80ffffff))
                                          : 0x3fe0000000000000 | (seed & 0x801fffffffffffff);
            }
            uint32_t mode = i % 4;
            in.frm = i % 8 < 4 ? mode : (mode + 1) % 4; // dynamic, or its own against another
            check_arithmetic(machine, tally, row, &in, i % 8 < 4 ? DYN : mode);
        }
    }
}

// A row of a table: instruction, operands, result (f or x), flags.
typedef struct row {
    const char *name;
    uint32_t base;
    uint64_t a, b, wanted;
    uint32_t flags;
} row_t;

static void check_rows(machine_t *machine, tally_t *tally, const row_t *rows, size_t count,
                       bool to_x) {
    for (size_t i = 0; i < count; i++) {
        input_t in = {{rows[i].a, rows[i].b, 0}, rows[i].a, 0};
        bool from_x = (rows[i].base & 0xd0000000) == 0xd0000000; // fcvt from integer, fmv from x
        uint32_t rs2 = (rows[i].base >> 28 & 12) == 12 || (rows[i].base >> 28) == 4 ? 0 : F2;
        uint32_t word = enc_r(rows[i].base, to_x ? XD : FD, from_x ? X1 : F1, rs2);
        run(machine, word, &in);
        uint64_t got = to_x ? sim_hart_x(machine->hart, XD) : machine_f(machine, FD);
        check_equal(tally, rows[i].name, got, rows[i].wanted);
        check_equal(tally, rows[i].name, machine_fcsr(machine) & 31, rows[i].flags);
    }
}

#define SNAN_S BOX(0x7f800001)
#define QNAN_S BOX(0x7fc00001)
#define SNAN_D 0x7ff0000000000001
#define QNAN_D 0x7ff8000000000001
#define ONE_S  BOX(0x3f800000)
#define TWO_S  BOX(0x40000000)
#define ONE_D  0x3ff0000000000000
#define TWO_D  0x4000000000000000
#define NEG_S  0x80000000
#define NEG_D  0x8000000000000000

static const row_t to_f[] = {
    {"fsgnj.s", 0x20000053, ONE_S, BOX(0x80000000), BOX(0xbf800000), 0},
    {"fsgnj.s nan", 0x20000053, SNAN_S, BOX(0x80000000), BOX(0xff800001), 0},
    {"fsgnj.s box", 0x20000053, 0x3f800000, BOX(0x80000000), BOX(0xffc00000), 0},
    {"fsgnj.s box", 0x20000053, ONE_S, 0x80000000, ONE_S, 0},
    {"fsgnjn.s", 0x20001053, ONE_S, ONE_S, BOX(0xbf800000), 0},
    {"fsgnjx.s", 0x20002053, BOX(0xbf800000), BOX(0xc0000000), ONE_S, 0},
    {"fsgnjx.s", 0x20002053, ONE_S, BOX(0xc0000000), BOX(0xbf800000), 0},
    {"fsgnj.d", 0x22000053, ONE_D, NEG_D, ONE_D | NEG_D, 0},
    {"fsgnj.d nan", 0x22000053, SNAN_D, NEG_D, SNAN_D | NEG_D, 0},
    {"fsgnjn.d", 0x22001053, ONE_D, ONE_D, ONE_D | NEG_D, 0},
    {"fsgnjx.d", 0x22002053, ONE_D | NEG_D, TWO_D | NEG_D, ONE_D, 0},
    {"fmin.s", 0x28000053, ONE_S, TWO_S, ONE_S, 0},
    {"fmin.s", 0x28000053, TWO_S, ONE_S, ONE_S, 0},
    {"fmin.s zeros", 0x28000053, BOX(0), BOX(NEG_S), BOX(NEG_S), 0},
    {"fmin.s zeros", 0x28000053, BOX(NEG_S), BOX(0), BOX(NEG_S), 0},
    {"fmin.s nan", 0x28000053, QNAN_S, ONE_S, ONE_S, 0},
    {"fmin.s nan", 0x28000053, ONE_S, SNAN_S, ONE_S, NV},
    {"fmin.s nan", 0x28000053, QNAN_S, QNAN_S, BOX(NAN_S), 0},
    {"fmin.s nan", 0x28000053, SNAN_S, QNAN_S, BOX(NAN_S), NV},
    {"fmin.s box", 0x28000053, 0x3f800000, TWO_S, TWO_S, 0},
    {"fmax.s", 0x28001053, ONE_S, TWO_S, TWO_S, 0},
    {"fmax.s zeros", 0x28001053, BOX(0), BOX(NEG_S), BOX(0), 0},
    {"fmax.s zeros", 0x28001053, BOX(NEG_S), BOX(0), BOX(0), 0},
    {"fmax.s nan", 0x28001053, SNAN_S, ONE_S, ONE_S, NV},
    {"fmin.d", 0x2a000053, ONE_D, TWO_D | NEG_D, TWO_D | NEG_D, 0},
    {"fmin.d zeros", 0x2a000053, 0, NEG_D, NEG_D, 0},
    {"fmin.d nan", 0x2a000053, SNAN_D, SNAN_D, NAN_D, NV},
    {"fmin.d nan", 0x2a000053, ONE_D, QNAN_D, ONE_D, 0},
    {"fmax.d", 0x2a001053, ONE_D, TWO_D | NEG_D, ONE_D, 0},
    {"fmax.d zeros", 0x2a001053, NEG_D, 0, 0, 0},
    {"fmax.d nan", 0x2a001053, QNAN_D, SNAN_D, NAN_D, NV},
    {"fcvt.s.d", 0x40107053, ONE_D, 0, ONE_S, 0},
    {"fcvt.s.d", 0x40107053, 0x3ff0000010000001, 0, BOX(0x3f800001), NX},
    {"fcvt.s.d", 0x40101053, 0x3ff000001fffffff, 0, ONE_S, NX},
    {"fcvt.s.d big", 0x40107053, 0x7fefffffffffffff, 0, BOX(0x7f800000), OF | NX},
    {"fcvt.s.d small", 0x40107053, 1, 0, BOX(0), UF | NX},
    {"fcvt.s.d nan", 0x40107053, 0xfff8000012345678, 0, BOX(NAN_S), 0},
    {"fcvt.s.d nan", 0x40107053, SNAN_D, 0, BOX(NAN_S), NV},
    {"fcvt.d.s", 0x42007053, BOX(0x80000001), 0, 0xb6a0000000000000, 0},
    {"fcvt.d.s", 0x42000053, ONE_S, 0, ONE_D, 0},
    {"fcvt.d.s nan", 0x42007053, SNAN_S, 0, NAN_D, NV},
    {"fcvt.d.s nan", 0x42007053, QNAN_S, 0, NAN_D, 0},
    {"fcvt.d.s box", 0x42007053, 0x3f800000, 0, NAN_D, 0},
    {"fadd.s box", 0x00007053, 0x3f800000, ONE_S, BOX(NAN_S), 0},
    {"fcvt.s.w", 0xd0007053, 0x1ffffffff, 0, BOX(0xbf800000), 0},
    {"fcvt.s.w", 0xd0007053, 0x01000001, 0, BOX(0x4b800000), NX},
    {"fcvt.s.w up", 0xd0003053, 0x01000001, 0, BOX(0x4b800001), NX},
    {"fcvt.s.w away", 0xd0004053, 0x01000001, 0, BOX(0x4b800001), NX},
    {"fcvt.s.wu", 0xd0107053, 0xffffffffffffffff, 0, BOX(0x4f800000), NX},
    {"fcvt.s.wu down", 0xd0102053, 0xffffffff, 0, BOX(0x4f7fffff), NX},
    {"fcvt.s.l", 0xd0207053, NEG_D, 0, BOX(0xdf000000), 0},
    {"fcvt.s.l", 0xd0201053, 0x7fffffffffffffff, 0, BOX(0x5effffff), NX},
    {"fcvt.s.lu", 0xd0307053, UINT64_MAX, 0, BOX(0x5f800000), NX},
    {"fcvt.s.lu zero", 0xd0302053, UINT64_MAX, 0, BOX(0x5f7fffff), NX},
    {"fcvt.s.lu odd", 0xd0307053, 0x8000008000000001, 0, BOX(0x5f000001), NX},
    {"fcvt.s.lu tie", 0xd0307053, 0x8000008000000000, 0, BOX(0x5f000000), NX},
    {"fcvt.s.lu away", 0xd0304053, 0x8000008000000000, 0, BOX(0x5f000001), NX},
    {"fcvt.d.w", 0xd2007053, 0x80000000, 0, 0xc1e0000000000000, 0},
    {"fcvt.d.w", 0xd2000053, 7, 0, 0x401c000000000000, 0},
    {"fcvt.d.wu", 0xd2107053, 0xffffffff, 0, 0x41efffffffe00000, 0},
    {"fcvt.d.l", 0xd2207053, UINT64_MAX, 0, 0xbff0000000000000, 0},
    {"fcvt.d.l", 0xd2207053, 0x7fffffffffffffff, 0, 0x43e0000000000000, NX},
    {"fcvt.d.l zero", 0xd2201053, 0x7fffffffffffffff, 0, 0x43dfffffffffffff, NX},
    {"fcvt.d.lu", 0xd2307053, UINT64_MAX, 0, 0x43f0000000000000, NX},
    {"fcvt.d.lu down", 0xd2302053, 0, 0, 0, 0},
    {"fcvt.d.lu zero", 0xd2301053, UINT64_MAX, 0, 0x43efffffffffffff, NX},
    {"fmv.w.x", 0xf0000053, 0x123456789abcdef0, 0, BOX(0x9abcdef0), 0},
    {"fmv.d.x", 0xf2000053, 0x123456789abcdef0, 0, 0x123456789abcdef0, 0},
};

static const row_t to_x[] = {
    {"feq.s", 0xa0002053, ONE_S, ONE_S, 1, 0},
    {"feq.s zeros", 0xa0002053, BOX(0), BOX(NEG_S), 1, 0},
    {"feq.s nan", 0xa0002053, QNAN_S, ONE_S, 0, 0},
    {"feq.s nan", 0xa0002053, SNAN_S, ONE_S, 0, NV},
    {"flt.s", 0xa0001053, ONE_S, TWO_S, 1, 0},
    {"flt.s", 0xa0001053, ONE_S, ONE_S, 0, 0},
    {"flt.s nan", 0xa0001053, ONE_S, QNAN_S, 0, NV},
    {"fle.s", 0xa0000053, ONE_S, ONE_S, 1, 0},
    {"fle.s", 0xa0000053, TWO_S, ONE_S, 0, 0},
    {"fle.s nan", 0xa0000053, QNAN_S, QNAN_S, 0, NV},
    {"feq.d", 0xa2002053, ONE_D, TWO_D, 0, 0},
    {"feq.d", 0xa2002053, 0, NEG_D, 1, 0},
    {"feq.d nan", 0xa2002053, QNAN_D, QNAN_D, 0, 0},
    {"feq.d nan", 0xa2002053, ONE_D, SNAN_D, 0, NV},
    {"flt.d", 0xa2001053, ONE_D | NEG_D, ONE_D, 1, 0},
    {"flt.d nan", 0xa2001053, QNAN_D, ONE_D, 0, NV},
    {"fle.d", 0xa2000053, ONE_D, ONE_D, 1, 0},
    {"fle.d nan", 0xa2000053, QNAN_D, ONE_D, 0, NV},
    {"fclass.s", 0xe0001053, BOX(0xff800000), 0, 1 << 0, 0},
    {"fclass.s", 0xe0001053, BOX(0xbf800000), 0, 1 << 1, 0},
    {"fclass.s", 0xe0001053, BOX(0x80000001), 0, 1 << 2, 0},
    {"fclass.s", 0xe0001053, BOX(0x80000000), 0, 1 << 3, 0},
    {"fclass.s", 0xe0001053, BOX(0), 0, 1 << 4, 0},
    {"fclass.s", 0xe0001053, BOX(0x007fffff), 0, 1 << 5, 0},
    {"fclass.s", 0xe0001053, BOX(0x00800000), 0, 1 << 6, 0},
    {"fclass.s", 0xe0001053, BOX(0x7f800000), 0, 1 << 7, 0},
    {"fclass.s", 0xe0001053, SNAN_S, 0, 1 << 8, 0},
    {"fclass.s", 0xe0001053, QNAN_S, 0, 1 << 9, 0},
    {"fclass.s box", 0xe0001053, 0, 0, 1 << 9, 0},
    {"fclass.d", 0xe2001053, 0xfff0000000000000, 0, 1 << 0, 0},
    {"fclass.d", 0xe2001053, ONE_D | NEG_D, 0, 1 << 1, 0},
    {"fclass.d", 0xe2001053, NEG_D | 1, 0, 1 << 2, 0},
    {"fclass.d", 0xe2001053, NEG_D, 0, 1 << 3, 0},
    {"fclass.d", 0xe2001053, 0, 0, 1 << 4, 0},
    {"fclass.d", 0xe2001053, 1, 0, 1 << 5, 0},
    {"fclass.d", 0xe2001053, ONE_D, 0, 1 << 6, 0},
    {"fclass.d", 0xe2001053, 0x7ff0000000000000, 0, 1 << 7, 0},
    {"fclass.d", 0xe2001053, SNAN_D, 0, 1 << 8, 0},
    {"fclass.d", 0xe2001053, QNAN_D | NEG_D, 0, 1 << 9, 0},
    {"fmv.x.w", 0xe0000053, 0x0000000080000000, 0, 0xffffffff80000000, 0},
    {"fmv.x.d", 0xe2000053, 0x123456789abcdef0, 0, 0x123456789abcdef0, 0},
};

// Conversions to integers: base, rounding mode, value, result, flags.
static const struct to_int {
    const char *name;
    uint32_t base, rm;
    double value;
    uint64_t wanted;
    uint32_t flags;
} to_ints[] = {
    {"w", 0xc2000053, RNE, 2.5, 2, NX},
    {"w", 0xc2000053, RNE, 3.5, 4, NX},
    {"w", 0xc2000053, RNE, -2.5, (uint64_t)-2, NX},
    {"w", 0xc2000053, RNE, -0.75, (uint64_t)-1, NX},
    {"w", 0xc2000053, RTZ, -2.75, (uint64_t)-2, NX},
    {"w", 0xc2000053, RTZ, 7.0, 7, 0},
    {"w", 0xc2000053, RDN, -2.25, (uint64_t)-3, NX},
    {"w", 0xc2000053, RDN, 2.75, 2, NX},
    {"w", 0xc2000053, RUP, 2.25, 3, NX},
    {"w", 0xc2000053, RUP, -2.75, (uint64_t)-2, NX},
    {"w", 0xc2000053, RMM, 2.5, 3, NX},
    {"w", 0xc2000053, RMM, -2.5, (uint64_t)-3, NX},
    {"w", 0xc2000053, RMM, 0.25, 0, NX},
    {"w", 0xc2000053, DYN, 3.5, 4, NX},
    {"w", 0xc2000053, RTZ, 2147483647.5, 2147483647, NX},
    {"w", 0xc2000053, RTZ, 2147483648.0, 2147483647, NV},
    {"w", 0xc2000053, RTZ, -2147483648.5, 0xffffffff80000000, NX},
    {"w", 0xc2000053, RTZ, -2147483649.0, 0xffffffff80000000, NV},
    {"w", 0xc2000053, RNE, (double)INFINITY, 2147483647, NV},
    {"w", 0xc2000053, RNE, (double)-INFINITY, 0xffffffff80000000, NV},
    {"w nan", 0xc2000053, RTZ, (double)NAN, 2147483647, NV},
    {"wu", 0xc2100053, RTZ, 4294967295.0, UINT64_MAX, 0},
    {"wu", 0xc2100053, RTZ, 4294967296.0, UINT64_MAX, NV},
    {"wu", 0xc2100053, RTZ, 3000000000.5, 0xffffffffb2d05e00, NX},
    {"wu", 0xc2100053, RTZ, -0.5, 0, NX},
    {"wu", 0xc2100053, RDN, -0.5, 0, NV},
    {"wu", 0xc2100053, RTZ, -1.0, 0, NV},
    {"wu", 0xc2100053, RTZ, -0.0, 0, 0},
    {"wu nan", 0xc2100053, RNE, (double)NAN, UINT64_MAX, NV},
    {"l", 0xc2200053, RTZ, -9223372036854775808.0, 1ull << 63, 0},
    {"l", 0xc2200053, RTZ, 9223372036854775808.0, INT64_MAX, NV},
    {"l", 0xc2200053, RNE, 2251799813685249.5, 2251799813685250, NX},
    {"l", 0xc2200053, RTZ, -1e300, 1ull << 63, NV},
    {"l nan", 0xc2200053, RTZ, (double)NAN, INT64_MAX, NV},
    {"lu", 0xc2300053, RTZ, 18446744073709549568.0, 0xfffffffffffff800, 0},
    {"lu", 0xc2300053, RTZ, 18446744073709551616.0, UINT64_MAX, NV},
    {"lu", 0xc2300053, RUP, 0.25, 1, NX},
    {"lu", 0xc2300053, RTZ, -3.0, 0, NV},
    {"lu nan", 0xc2300053, RTZ, (double)NAN, UINT64_MAX, NV},
};

static void test_to_integers(machine_t *machine, tally_t *tally) {
    for (size_t i = 0; i < sizeof to_ints / sizeof to_ints[0]; i++) {
        const struct to_int *row = &to_ints[i];
        input_t in = {{bits_d(row->value), 0, 0}, 0, RNE};
        run(machine, enc_r(row->base | row->rm << 12, XD, F1, 0), &in);
        check_equal(tally, row->name, sim_hart_x(machine->hart, XD), row->wanted);
        check_equal(tally, row->name, machine_fcsr(machine) & 31, row->flags);
        feclearexcept(FE_ALL_EXCEPT);
        if (!isnan(row->value) && (double)(float)row->value != row->value)
            continue;
        in.f[0] = BOX(bits_s((float)row->value)); // the same by f32 where it has the value
        run(machine, enc_r((row->base & ~0x02000000u) | row->rm << 12, XD, F1, 0), &in);
        check_equal(tally, row->name, sim_hart_x(machine->hart, XD), row->wanted);
        check_equal(tally, row->name, machine_fcsr(machine) & 31, row->flags);
    }
}

// To nearest, ties away from zero: by hand.
static void test_ties_away(machine_t *machine, tally_t *tally) {
    static const struct {
        const char *name;
        uint32_t base;
        uint64_t a, b, c, wanted;
        uint32_t flags;
    } rows[] = {
        {"fadd.s tie", 0x53, ONE_S, BOX(0x33800000), 0, BOX(0x3f800001), NX},
        {"fadd.s tie", 0x53, BOX(0xbf800000), BOX(0xb3800000), 0, BOX(0xbf800001), NX},
        {"fadd.s below", 0x53, ONE_S, BOX(0x337fffff), 0, ONE_S, NX},
        {"fadd.s above", 0x53, ONE_S, BOX(0x33800001), 0, BOX(0x3f800001), NX},
        {"fadd.s exact", 0x53, ONE_S, ONE_S, 0, TWO_S, 0},
        {"fadd.s far", 0x53, ONE_S, BOX(0x00000001), 0, ONE_S, NX},
        {"fadd.s over", 0x53, BOX(0x7f7fffff), BOX(0x73000000), 0, BOX(0x7f800000), OF | NX},
        {"fadd.s most", 0x53, BOX(0x7f7fffff), BOX(0x72ffffff), 0, BOX(0x7f7fffff), NX},
        {"fsub.s zero", 0x08000053, ONE_S, ONE_S, 0, BOX(0), 0},
        {"fmul.s tiny tie", 0x10000053, BOX(0x00000001), BOX(0x3f000000), 0, BOX(1), UF | NX},
        {"fmul.s tiny", 0x10000053, BOX(0x00000001), BOX(0x3e800000), 0, BOX(0), UF | NX},
        {"fmul.s nan", 0x10000053, BOX(0x7f800000), BOX(0), 0, BOX(NAN_S), NV},
        {"fdiv.s", 0x18000053, ONE_S, BOX(0), 0, BOX(0x7f800000), DZ},
        {"fdiv.s third", 0x18000053, ONE_S, BOX(0x40400000), 0, BOX(0x3eaaaaab), NX},
        {"fmadd.s tie", 0x43, ONE_S, ONE_S, BOX(0x33800000), BOX(0x3f800001), NX},
        {"fnmadd.s tie", 0x4f, ONE_S, ONE_S, BOX(0x33800000), BOX(0xbf800001), NX},
        {"fmsub.s exact", 0x47, TWO_S, TWO_S, ONE_S, BOX(0x40400000), 0},
        {"fnmsub.s", 0x4b, ONE_S, ONE_S, TWO_S, ONE_S, 0},
        {"fadd.d tie", 0x02000053, ONE_D, 0x3ca0000000000000, 0, ONE_D + 1, NX},
        {"fadd.d below", 0x02000053, ONE_D, 0x3c9fffffffffffff, 0, ONE_D, NX},
        {"fadd.d far", 0x02000053, ONE_D, NEG_D | 1, 0, ONE_D, NX},
        {"fadd.d over", 0x02000053, 0x7fefffffffffffff, 0x7c90000000000000, 0, 0x7ff0000000000000,
         OF | NX},
        {"fmul.d tiny tie", 0x12000053, 1, 0x3fe0000000000000, 0, 1, UF | NX},
        {"fmadd.d tie", 0x02000043, ONE_D, ONE_D, 0x3ca0000000000000, ONE_D + 1, NX},
        {"fmadd.d sticky", 0x02000043, 0x3ca0000000000000, 0x3fefffffffffffff, ONE_D, ONE_D, NX},
        {"fdiv.d third", 0x1a000053, ONE_D, 0x4008000000000000, 0, 0x3fd5555555555555, NX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (uint32_t dynamic = 0; dynamic < 2; dynamic++) {
            bool fused = (rows[i].base & 0x7f) != 0x53;
            input_t in = {{rows[i].a, rows[i].b, rows[i].c}, 0, dynamic ? RMM : RNE};
            uint32_t word = enc_r(rows[i].base | (dynamic ? DYN : RMM) << 12, FD, F1, F2);
            run(machine, word | (fused ? F3 << 27 : 0), &in);
            check_equal(tally, rows[i].name, machine_f(machine, FD), rows[i].wanted);
            check_equal(tally, rows[i].name, machine_fcsr(machine) & 31, rows[i].flags);
        }
    for (uint32_t i = 0; i < 200; i++) { // roots are never ties: as to nearest
        input_t in = {{bits_d(i * 1.37), 0, 0}, 0, RMM};
        run(machine, enc_r(0x5a000053 | DYN << 12, FD, F1, 0), &in);
        check_equal(tally, "fsqrt.d", machine_f(machine, FD), bits_d(sqrt(i * 1.37)));
    }
}

static void test_fused_invalid(machine_t *machine, tally_t *tally) {
    for (uint32_t rm = 0; rm < 8; rm += rm == 4 ? 3 : 1) {
        input_t in = {{BOX(0x7f800000), BOX(0), QNAN_S}, 0, RNE};
        run(machine, enc_r(0x43 | rm << 12, FD, F1, F2) | F3 << 27, &in);
        check_equal(tally, "inf * 0 + nan", machine_f(machine, FD), BOX(NAN_S));
        check_equal(tally, "inf * 0 + nan", machine_fcsr(machine) & 31, NV);
        in = (input_t){{0, 0x7ff0000000000000, QNAN_D}, 0, RNE};
        run(machine, enc_r(0x0200004b | rm << 12, FD, F1, F2) | F3 << 27, &in);
        check_equal(tally, "0 * inf + nan", machine_f(machine, FD), NAN_D);
        check_equal(tally, "0 * inf + nan", machine_fcsr(machine) & 31, NV);
    }
}

static void test_control(machine_t *machine, tally_t *tally) {
    input_t in = {{ONE_S, BOX(0x40400000), 0}, 0xff, RNE};
    run(machine, EBREAK, &in);
    uint32_t divide = enc_r(0x18007053, FD, F1, F2);
    uint32_t code[] = {enc_i(0x1073, 5, X1, 3), // fcsr = 0xff: all flags, mode 7
                       enc_i(0x5073, 6, RUP, 2),
                       divide,
                       enc_i(0x2073, 7, 0, 3),
                       enc_i(0x5073, 8, 0, 1), // fflags = 0
                       enc_i(0x6073, 0, 8, 1), // and DZ set
                       divide,
                       enc_i(0x3073, 9, 0, 1),
                       enc_i(0x7073, 12, 1, 1),
                       enc_i(0x2073, 13, 0, 1),
                       enc_i(0x2073, 14, 0, 2)};
    machine_do(machine, code, 11);
    static const uint64_t wanted[][2] = {{5, 0},   {6, 7},       {7, RUP << 5 | 31},
                                         {8, 31},  {9, DZ | NX}, {12, DZ | NX},
                                         {13, DZ}, {14, RUP}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        check_equal(tally, "csr", sim_hart_x(machine->hart, (uint32_t)wanted[i][0]), wanted[i][1]);
    check_equal(tally, "up", machine_f(machine, FD), BOX(0x3eaaaaab));
    // modes that do not exist, dynamic and static
    for (uint32_t frm = 5; frm < 8; frm++) {
        machine_set_fcsr(machine, frm << 5);
        machine_load(machine, &divide, 1);
        check_equal(tally, "frm", sim_hart_run(machine->hart, 10), SIM_STOP_FAULT);
        uint32_t convert = enc_r(0xc0007053, XD, F1, 0);
        machine_load(machine, &convert, 1);
        check_equal(tally, "frm", sim_hart_run(machine->hart, 10), SIM_STOP_FAULT);
    }
    // flags survive a stop, and the mode follows a restore into code that is decoded already
    machine_set_fcsr(machine, 0);
    machine_do(machine, &divide, 1);
    check_equal(tally, "near", machine_f(machine, FD), BOX(0x3eaaaaab));
    machine_set_fcsr(machine, RDN << 5);
    sim_hart_set_pc(machine->hart, CODE_VA);
    sim_hart_run(machine->hart, 1);
    check_equal(tally, "down", machine_f(machine, FD), BOX(0x3eaaaaaa));
    check_equal(tally, "flags", machine_fcsr(machine), RDN << 5 | NX);
}

int main(void) {
    machine_t machine;
    tally_t tally = {0, 0};
    if (!machine_init(&machine, NULL))
        return 1;
    test_arithmetic(&machine, &tally);
    check_rows(&machine, &tally, to_f, sizeof to_f / sizeof to_f[0], false);
    check_rows(&machine, &tally, to_x, sizeof to_x / sizeof to_x[0], true);
    test_to_integers(&machine, &tally);
    test_ties_away(&machine, &tally);
    test_fused_invalid(&machine, &tally);
    test_control(&machine, &tally);
    machine_deinit(&machine);
    printf("%u checks, %u failures\n", tally.checks, tally.failures);
    return tally.failures == 0 ? 0 : 1;
}
