// SPDX-License-Identifier: Apache-2.0
#include "tests/card/rows_modes.h"

#include "isa/table.h"
#include "support/numeric.h"

#define BIT(n)   (UINT64_C(1) << (n))
#define BELOW(n) (BIT(n) - 1)

_Static_assert(XA_FUNC_COUNT < 64 && XA_BIN_COUNT < 64 && DTYPE_COUNT < 64, "a bit a code");

static bool is_dma(xa_insn_t insn) { return insn == XA_I_DMA_IN || insn == XA_I_DMA_OUT; }

// --- What a case has -----------------------------------------------------------------------------

static modes_t dma_modes(const test_case_t *test) {
    const xa_dma_desc_t *d = &test->desc.dma;
    bool far = test->rs1 >= ISA_VA_BASE || test->rs2 >= ISA_VA_BASE;
    return (modes_t){{[MODE_FLAG] = d->flags,
                      [MODE_OP] = BIT(d->func),
                      [MODE_SRC_TYPE] = BIT(d->src_type),
                      [MODE_DST_TYPE] = BIT(d->dst_type),
                      [MODE_OTHER] = BIT(OTHER_PLAIN) | BIT(far ? OTHER_FAR : OTHER_NEAR) |
                                     (d->src_type != d->dst_type ? BIT(OTHER_CONVERTS) : 0)}};
}

static modes_t mat_modes(const test_case_t *test) {
    const xa_mat_desc_t *d = &test->desc.mat;
    bool packed = d->flags & (XA_mat_B_TRANS | XA_mat_B_PANEL);
    return (modes_t){{[MODE_FLAG] = d->flags,
                      [MODE_OP] = d->flags & XA_mat_DRAIN ? BIT(d->act) : 0,
                      [MODE_SRC_TYPE] = BIT(d->a_type),
                      [MODE_DST_TYPE] = BIT(d->c_type),
                      [MODE_OTHER] = BIT(OTHER_PLAIN) | (packed ? 0 : BIT(OTHER_ROW_MAJOR))}};
}

static modes_t vec_modes(const test_case_t *test) {
    const xa_vec_desc_t *d = &test->desc.vec;
    bool scatter_op = test->insn == XA_I_V_SCATTER && d->flags & XA_vec_REDACC;
    return (modes_t){{[MODE_FLAG] = d->flags,
                      [MODE_OP] = BIT(d->op),
                      [MODE_POST] = BIT(d->post),
                      [MODE_RED] = d->flags & XA_vec_ROWRED ? BIT(d->red)
                                   : scatter_op             ? BIT(d->op)
                                                            : 0,
                      [MODE_SRC_TYPE] = BIT(d->a_type),
                      [MODE_DST_TYPE] = BIT(d->d_type),
                      [MODE_OTHER] = BIT(OTHER_PLAIN) |
                                     BIT(d->c_addr != 0 ? OTHER_ZERO_POINT : OTHER_NO_ZERO_POINT)}};
}

modes_t modes_of(const test_case_t *test) {
    return is_dma(test->insn)           ? dma_modes(test)
           : test->insn == XA_I_MAT_MUL ? mat_modes(test)
                                        : vec_modes(test);
}

bool modes_new(const modes_t *modes, const modes_t *wanted, const modes_t *seen) {
    for (int i = 0; i < MODE_KINDS; i++)
        if (modes->bits[i] & wanted->bits[i] & ~seen->bits[i])
            return true;
    return false;
}

// --- What there has to be ------------------------------------------------------------------------

static uint64_t numbers(void) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < DTYPE_COUNT; i++)
        bits |= num_is_number((dtype_t)i) ? BIT(i) : 0;
    return bits;
}

static modes_t dma_required(void) {
    uint64_t types = BIT(DTYPE_F32) | BIT(DTYPE_F16) | BIT(DTYPE_BF16) | BIT(DTYPE_I8) |
                     BIT(DTYPE_U8) | BIT(DTYPE_I64) | BIT(DTYPE_F64) | BIT(DTYPE_I4) |
                     BIT(DTYPE_I32) | BIT(DTYPE_C64);
    return (modes_t){
        {[MODE_FLAG] = isa_flag_mask(ISA_DESC_dma),
         [MODE_OP] = BELOW(XA_FUNC_COUNT) & ~BIT(XA_FUNC_BITNOT),
         [MODE_SRC_TYPE] = types,
         [MODE_DST_TYPE] = types,
         [MODE_OTHER] = BIT(OTHER_PLAIN) | BIT(OTHER_FAR) | BIT(OTHER_NEAR) | BIT(OTHER_CONVERTS)}};
}

static modes_t mat_required(void) {
    uint64_t types = BIT(DTYPE_F32) | BIT(DTYPE_F16) | BIT(DTYPE_BF16) | BIT(DTYPE_U8);
    return (modes_t){{[MODE_FLAG] = isa_flag_mask(ISA_DESC_mat),
                      [MODE_OP] = BELOW(XA_FUNC_COUNT) & ~BIT(XA_FUNC_BITNOT),
                      [MODE_SRC_TYPE] = types,
                      [MODE_DST_TYPE] = types | BIT(DTYPE_I8) | BIT(DTYPE_I32),
                      [MODE_OTHER] = BIT(OTHER_PLAIN) | BIT(OTHER_ROW_MAJOR)}};
}

static uint64_t vec_codes(xa_insn_t insn) {
    switch (insn) {
    case XA_I_V_UNARY:
        return BELOW(XA_FUNC_COUNT);
    case XA_I_V_BINARY:
        return BELOW(XA_BIN_COUNT);
    case XA_I_V_TERNARY:
        return BELOW(XA_TER_COUNT);
    case XA_I_V_REDUCE:
    case XA_I_V_WREDUCE:
        return BELOW(XA_RED_COUNT);
    case XA_I_V_SCAN:
        return BIT(XA_RED_SUM) | BIT(XA_RED_MAX) | BIT(XA_RED_MIN) | BIT(XA_RED_PROD);
    default:
        return 0;
    }
}

// Every flag of the vector descriptor belongs to at least one row here; the test checks that.
static uint64_t vec_flags(xa_insn_t insn) {
    switch (insn) {
    case XA_I_V_UNARY:
    case XA_I_V_BINARY:
        return XA_vec_ROWRED | XA_vec_REDACC | XA_vec_NODST;
    case XA_I_V_CONVERT:
        return XA_vec_SATURATE;
    case XA_I_V_REDUCE:
        return XA_vec_REDACC;
    case XA_I_V_ARGRED:
        return XA_vec_LAST | XA_vec_MIN;
    case XA_I_V_SCAN:
        return XA_vec_EXCLUSIVE | XA_vec_REVERSE;
    case XA_I_V_WMAC:
        return XA_vec_BIAS;
    case XA_I_V_GATHER:
        return XA_vec_WRAP;
    case XA_I_V_SCATTER:
        return XA_vec_WRAP | XA_vec_REDACC;
    default:
        return 0;
    }
}

modes_t modes_required(xa_insn_t insn) {
    if (is_dma(insn))
        return dma_required();
    if (insn == XA_I_MAT_MUL)
        return mat_required();
    bool convert = insn == XA_I_V_CONVERT;
    bool quant = insn == XA_I_V_QUANT || insn == XA_I_V_DEQUANT;
    modes_t out = {{[MODE_FLAG] = vec_flags(insn),
                    [MODE_OP] = vec_codes(insn),
                    [MODE_SRC_TYPE] = convert ? numbers() : 0,
                    [MODE_DST_TYPE] = convert || insn == XA_I_V_FILL ? numbers() : 0,
                    [MODE_OTHER] = BIT(OTHER_PLAIN)}};
    if (insn == XA_I_V_UNARY || insn == XA_I_V_BINARY)
        out.bits[MODE_RED] = BELOW(XA_RED_COUNT);
    if (insn == XA_I_V_SCATTER)
        out.bits[MODE_RED] = BELOW(XA_RED_PROD + 1);
    if (insn == XA_I_V_BINARY)
        out.bits[MODE_POST] = BELOW(XA_FUNC_COUNT);
    if (insn == XA_I_V_WMAC)
        out.bits[MODE_POST] = BELOW(XA_FUNC_COUNT) & ~BIT(XA_FUNC_BITNOT);
    if (quant)
        out.bits[MODE_OTHER] |= BIT(OTHER_ZERO_POINT) | BIT(OTHER_NO_ZERO_POINT);
    return out;
}

// --- Codes that random cases leave out -----------------------------------------------------------

static bool widen_code(uint8_t *code, uint32_t turn, bool is_int) {
    uint8_t to = is_int ? (uint8_t)XA_FUNC_BITNOT : (uint8_t)(turn % XA_FUNC_COUNT);
    if (*code == XA_FUNC_NONE || (to == XA_FUNC_BITNOT && !is_int))
        return false;
    *code = to;
    return true;
}

bool modes_widen(test_case_t *test, uint32_t turn) {
    if (is_dma(test->insn)) {
        test->desc.dma.flags |= turn % 3 == 1 ? (unsigned)XA_dma_STABLE : 0;
        test->desc.dma.flags |= turn % 3 == 2 ? (unsigned)XA_dma_STREAM : 0;
        return widen_code(&test->desc.dma.func, turn, false);
    }
    if (turn % 2 == 0)
        return false;
    if (test->insn == XA_I_MAT_MUL)
        return widen_code(&test->desc.mat.act, turn, false);
    if (test->insn == XA_I_V_BINARY || test->insn == XA_I_V_WMAC)
        return widen_code(&test->desc.vec.post, turn,
                          test->insn == XA_I_V_BINARY && !dtype_is_float(test->a.type));
    return false;
}
