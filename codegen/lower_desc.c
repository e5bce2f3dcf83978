// SPDX-License-Identifier: Apache-2.0
// The one place where an engine op becomes a descriptor, by the field table of isa/xaccel.def.
#include "codegen/desc.h"

#include <assert.h>
#include <string.h>

#include "ir/access.h"
#include "isa/program.h"
#include "isa/table.h"
#include "support/numeric.h"

// --- Tables
// ---------------------------------------------------------------------------------------

// Number of a function, binary, ternary or reduction code by its text.
static bool find_code(isa_code_kind_t kind, const char *text, uint32_t *out_number) {
    size_t n;
    const isa_code_row_t *rows = isa_codes(kind, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].text, text) == 0) {
            *out_number = rows[i].number;
            return true;
        }
    return false;
}

static bool find_vec_flag(const char *text, uint32_t *out_bit) {
    for (size_t i = 0; i < isa_n_flags; i++)
        if (isa_flags[i].desc == ISA_DESC_vec && strcmp(isa_flags[i].name, text) == 0) {
            *out_bit = 1u << isa_flags[i].bit;
            return true;
        }
    return false;
}

bool cg_engine_find(const char *text, xa_engine_t *out_engine) {
    for (int e = 0; e < XA_ENGINE_COUNT; e++)
        if (strcmp(isa_engines[e].mnemonic, text) == 0) {
            *out_engine = (xa_engine_t)e;
            return true;
        }
    return false;
}

// --- What is being built
// --------------------------------------------------------------------------

typedef struct lower {
    ir_module_t *m;
    const ir_op_t *op;
    diag_t *diag;
    isa_desc_kind_t kind;
    cg_desc_t *out;
    uint32_t n_buffers;
} lower_t;

static status_t fail(lower_t *s, const char *format, const char *what) {
    diag_where_t where = {.pass = "codegen"};
    if (s->op->n_origins > 0) {
        where.node = s->op->origins[0]->node;
        where.op = s->op->origins[0]->op;
    } else {
        where.op = ir_op_info(s->op->code)->name;
    }
    return DIAG_FAIL(s->diag, STATUS_INVALID, &where, NULL, format, what);
}

static void set_bits(lower_t *s, uint32_t field, uint64_t bits) {
    bool found = isa_field_set(s->kind, &s->out->bytes, field, bits);
    assert(found);
    (void)found;
}

static void set_float(lower_t *s, uint32_t field, double value) {
    set_bits(s, field, num_f32_to_bits((float)value));
}

static uint64_t number_bits(dtype_t elem, double value) {
    uint64_t bits = 0;
    if (num_is_number(elem))
        num_store_f64(elem, &bits, 0, value, NUM_SATURATE);
    return bits;
}

static void set_expr(lower_t *s, uint32_t field, const ir_expr_t *value) {
    if (ir_expr_is_const(value)) {
        set_bits(s, field, (uint64_t)value->value);
        return;
    }
    assert(s->out->n_dynamic < CG_MAX_DYNAMIC);
    s->out->dynamic[s->out->n_dynamic++] = (cg_dynamic_t){field, value};
}

// Flag bits, constant ones and ones that depend on an expression (NULL: `otherwise`).
static const ir_expr_t *flag_if(lower_t *s, const ir_expr_t *flags, const char *attr,
                                bool otherwise, uint32_t bit) {
    const ir_expr_t *cond = ir_get_expr(s->op, attr);
    if (cond == NULL)
        return otherwise ? ir_addc(s->m, flags, bit) : flags;
    return ir_add(s->m, flags, ir_mulc(s->m, ir_ne(s->m, cond, ir_const(s->m, 0)), bit));
}

const ir_expr_t *cg_bytes_of(ir_module_t *m, const ir_expr_t *elements, dtype_t elem) {
    unsigned bits = dtype_bits(elem);
    if (bits >= 8)
        return ir_mulc(m, elements, bits / 8);
    return ir_floordiv(m, ir_mulc(m, elements, bits), ir_const(m, 8));
}

const ir_expr_t *cg_lm_address(ir_module_t *m, ir_value_t *buffer) {
    ir_ref_t ref = ir_ref_of(m, buffer);
    const ir_expr_t *base = ref.root->def ? ir_get_expr(ref.root->def, "offset") : NULL;
    if (base == NULL)
        return NULL;
    return ir_addc(m, ir_add(m, base, cg_bytes_of(m, ref.offset, ref.elem)), ISA_LM_BASE);
}

static status_t set_address(lower_t *s, uint32_t field, ir_value_t *buffer) {
    const ir_expr_t *address =
        buffer->type->space == IR_SPACE_LM ? cg_lm_address(s->m, buffer) : NULL;
    if (address == NULL)
        return fail(s, "%s needs an LM buffer with an offset", "a descriptor address");
    set_expr(s, field, address);
    return STATUS_OK;
}

// Dim `i` of `rank` when the view is padded with leading dims of 1.
static const ir_expr_t *dim_of(lower_t *s, const ir_type_t *type, uint32_t rank, uint32_t i) {
    uint32_t pad = rank - type->rank;
    return i < pad ? ir_const(s->m, 1) : type->dims[i - pad];
}

static const ir_expr_t *stride_of(lower_t *s, const ir_type_t *type, uint32_t rank, uint32_t i) {
    uint32_t pad = rank - type->rank;
    if (i < pad)
        return ir_const(s->m, 0);
    return cg_bytes_of(s->m, type->strides[i - pad], type->elem);
}

static void set_strides(lower_t *s, uint32_t field, const ir_type_t *type, uint32_t rank,
                        uint32_t first, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        set_expr(s, field + i, stride_of(s, type, rank, first + i));
}

static void set_dims(lower_t *s, uint32_t field, const ir_type_t *type, uint32_t rank,
                     uint32_t first, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        set_expr(s, field + i, dim_of(s, type, rank, first + i));
}

static status_t set_func(lower_t *s, uint32_t field, const char *text) {
    uint32_t number;
    if (!find_code(ISA_CODE_FUNC, text, &number))
        return fail(s, "no function '%s' in the Xaccel table", text);
    set_bits(s, field, number);
    return STATUS_OK;
}

// --- DMA
// ------------------------------------------------------------------------------------------

// Border exprs are given for the view's own dims; leading ones are 0.
static void set_border(lower_t *s, const ir_attr_t *pad_lo, const ir_type_t *src,
                       const ir_type_t *dst) {
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t lead = 5 - (uint32_t)pad_lo->n;
        set_expr(s, XA_F_dma_pad_lo + i, i < lead ? ir_const(s->m, 0) : pad_lo->exprs[i - lead]);
    }
    set_dims(s, XA_F_dma_valid, src, 5, 0, 5);
    set_bits(s, XA_F_dma_fill, number_bits(dst->elem, ir_get_float(s->op, "fill", 0)));
}

static uint32_t set_index_list(lower_t *s, const ir_type_t *src, const ir_type_t *dst) {
    bool scatter = ir_get_int(s->op, "scatter", 0) != 0;
    const ir_type_t *indexed = scatter ? dst : src;
    uint32_t dim = (uint32_t)ir_get_int(s->op, "idx_dim", 0);
    set_bits(s, XA_F_dma_idx_dim, dim + 5 - indexed->rank);
    set_expr(s, XA_F_dma_idx_bound, indexed->dims[dim]);
    uint32_t flags = scatter ? XA_dma_SCATTER : XA_dma_GATHER;
    dtype_t elem = ir_operand(s->op, 2)->type->elem;
    if (elem == DTYPE_I64)
        flags |= XA_dma_IDX64;
    if (ir_get_int(s->op, "wrap", 0))
        flags |= XA_dma_WRAP;
    return flags;
}

static status_t lower_dma(lower_t *s) {
    bool in = s->op->code == IR_dma_in;
    s->kind = ISA_DESC_dma;
    s->out->engine = in ? XA_DMAI : XA_DMAO;
    s->out->insn = in ? XA_I_DMA_IN : XA_I_DMA_OUT;
    const ir_type_t *dst = ir_operand(s->op, 0)->type, *src = ir_operand(s->op, 1)->type;
    if (dst->rank > 5 || src->rank > 5)
        return fail(s, "%s has more than 5 dims", "a DMA view");
    const ir_attr_t *pad_lo = ir_get(s->op, "pad_lo");
    if (pad_lo && pad_lo->n > 5)
        return fail(s, "%s has more than 5 dims", "pad_lo");
    uint32_t flags = 0;
    bool gather = false;
    if (s->n_buffers > 2) {
        flags |= set_index_list(s, src, dst);
        gather = (flags & XA_dma_GATHER) != 0;
    }
    set_bits(s, XA_F_dma_src_type, src->elem);
    set_bits(s, XA_F_dma_dst_type, dst->elem);
    set_dims(s, XA_F_dma_count, in || pad_lo || gather ? dst : src, 5, 0, 5);
    set_strides(s, XA_F_dma_src_stride, src, 5, 0, 5);
    set_strides(s, XA_F_dma_dst_stride, dst, 5, 0, 5);
    if (pad_lo) {
        flags |= XA_dma_BORDER;
        set_border(s, pad_lo, src, dst);
    }
    if (ir_get_int(s->op, "stable", 0))
        flags |= XA_dma_STABLE;
    if (ir_get_int(s->op, "stream", 0))
        flags |= XA_dma_STREAM;
    set_bits(s, XA_F_dma_flags, flags);
    set_float(s, XA_F_dma_alpha, 1);
    for (uint32_t i = 0; i < 3 && i < s->n_buffers; i++)
        s->out->address[i] = ir_operand(s->op, i);
    return set_func(s, XA_F_dma_func, ir_get_string(s->op, "func", "none"));
}

// --- Roles
// ----------------------------------------------------------------------------------------

// Operand of a role ("bias") by the comma-separated list, or NULL.
static ir_value_t *role(lower_t *s, const char *name) {
    const char *roles = ir_get_string(s->op, "roles", "");
    size_t length = strlen(name);
    for (uint32_t i = 0; *roles && i < s->n_buffers; i++) {
        size_t n = strcspn(roles, ",");
        if (n == length && memcmp(roles, name, n) == 0)
            return ir_operand(s->op, i);
        roles += n + (roles[n] == ',');
    }
    return NULL;
}

// --- Matrix
// ---------------------------------------------------------------------------------------

static void set_mat_counts(lower_t *s, const ir_type_t *c, const ir_type_t *a) {
    set_dims(s, XA_F_mat_batch, c, 4, 0, 4);
    set_expr(s, XA_F_mat_k, dim_of(s, a, 6, 5));
    set_dims(s, XA_F_mat_r1, a, 6, 3, 2);
    set_strides(s, XA_F_mat_a_bs, a, 6, 0, 5);
    set_strides(s, XA_F_mat_c_bs, c, 4, 0, 3);
}

static status_t set_mat_b(lower_t *s, const ir_type_t *b, uint32_t *flags) {
    const char *layout = ir_get_string(s->op, "b_layout", "row");
    if (strcmp(layout, "panel") == 0) {
        if (b->rank > 6)
            return fail(s, "%s has more than 6 dims", "b");
        *flags |= XA_mat_B_PANEL;
        set_expr(s, XA_F_mat_b_pw, dim_of(s, b, 6, 4));
        set_strides(s, XA_F_mat_b_bs, b, 6, 0, 2);
        set_expr(s, XA_F_mat_b_ps, stride_of(s, b, 6, 2));
        return STATUS_OK;
    }
    if (b->rank > 4)
        return fail(s, "%s has more than 4 dims", "b");
    if (strcmp(layout, "trans") == 0)
        *flags |= XA_mat_B_TRANS;
    else if (strcmp(layout, "row") != 0)
        return fail(s, "no b_layout '%s'", layout);
    set_strides(s, XA_F_mat_b_bs, b, 4, 0, 3);
    return STATUS_OK;
}

static status_t set_mat_epilogue(lower_t *s, uint32_t *flags) {
    ir_value_t *bias = role(s, "bias"), *scale = role(s, "scale"), *res = role(s, "res");
    if (bias) {
        *flags |= XA_mat_BIAS;
        RETURN_IF_ERROR(set_address(s, XA_F_mat_bias, bias));
    }
    if (scale) {
        *flags |= XA_mat_SCALE;
        RETURN_IF_ERROR(set_address(s, XA_F_mat_scale, scale));
    }
    if (res) {
        *flags |= XA_mat_RES;
        set_strides(s, XA_F_mat_res_bs, res->type, 4, 0, 3);
        set_bits(s, XA_F_mat_res_type, res->type->elem);
        RETURN_IF_ERROR(set_address(s, XA_F_mat_res, res));
    }
    set_float(s, XA_F_mat_alpha, ir_get_float(s->op, "alpha", 1));
    set_float(s, XA_F_mat_act_p0, ir_get_float(s->op, "act_p0", 0));
    set_float(s, XA_F_mat_act_p1, ir_get_float(s->op, "act_p1", 0));
    set_bits(s, XA_F_mat_c_zero, (uint64_t)ir_get_int(s->op, "c_zero", 0));
    return set_func(s, XA_F_mat_act, ir_get_string(s->op, "act", "none"));
}

// Without the drain the accumulator is stored as it is, in its own type.
static void set_drained_type(lower_t *s, dtype_t raw, dtype_t drained) {
    const ir_expr_t *cond = ir_get_expr(s->op, "drain");
    const ir_expr_t *type = ir_const(s->m, drained);
    if (cond != NULL) {
        const ir_expr_t *drains = ir_ne(s->m, cond, ir_const(s->m, 0));
        type = ir_addc(s->m, ir_mulc(s->m, drains, (int64_t)drained - (int64_t)raw), raw);
    }
    set_expr(s, XA_F_mat_c_type, type);
}

static status_t lower_mat(lower_t *s) {
    s->kind = ISA_DESC_mat;
    s->out->engine = XA_MAT;
    s->out->insn = XA_I_MAT_MUL;
    ir_value_t *c = role(s, "c"), *a = role(s, "a"), *b = role(s, "b");
    if (c == NULL || a == NULL || b == NULL)
        return fail(s, "%s lacks c, a or b", "roles");
    if (c->type->rank > 4 || a->type->rank > 6)
        return fail(s, "%s has too many dims", "c or a");
    uint32_t fixed = 0, epilogue = XA_mat_DRAIN;
    set_mat_counts(s, c->type, a->type);
    RETURN_IF_ERROR(set_mat_b(s, b->type, &fixed));
    RETURN_IF_ERROR(set_mat_epilogue(s, &epilogue));
    set_bits(s, XA_F_mat_a_type, a->type->elem);
    set_bits(s, XA_F_mat_b_type, b->type->elem);
    set_drained_type(s, a->type->elem == DTYPE_U8 ? DTYPE_I32 : DTYPE_F32, c->type->elem);
    const ir_expr_t *flags = ir_const(s->m, fixed);
    flags = flag_if(s, flags, "acc", false, XA_mat_ACC);
    flags = flag_if(s, flags, "drain", true, epilogue);
    set_expr(s, XA_F_mat_flags, flags);
    s->out->address[0] = c;
    s->out->address[1] = a;
    s->out->address[2] = b;
    return STATUS_OK;
}

// --- Vector
// ---------------------------------------------------------------------------------------

enum { NO_CODE = ISA_CODE_COUNT };

typedef struct vec_row {
    const char *text;
    xa_insn_t insn;
    int code;    // table of the attribute `op`: isa_code_kind_t, or NO_CODE
    char counts; // role whose dims are the counts
} vec_row_t;

static const vec_row_t vec_rows[] = {
    {"unary", XA_I_V_UNARY, ISA_CODE_FUNC, 'd'},
    {"binary", XA_I_V_BINARY, ISA_CODE_BIN, 'd'},
    {"ternary", XA_I_V_TERNARY, ISA_CODE_TER, 'd'},
    {"convert", XA_I_V_CONVERT, NO_CODE, 'd'},
    {"dequant", XA_I_V_DEQUANT, NO_CODE, 'd'},
    {"quant", XA_I_V_QUANT, NO_CODE, 'd'},
    {"reduce", XA_I_V_REDUCE, ISA_CODE_RED, 'a'},
    {"argred", XA_I_V_ARGRED, NO_CODE, 'a'},
    {"scan", XA_I_V_SCAN, ISA_CODE_RED, 'd'},
    {"wreduce", XA_I_V_WREDUCE, ISA_CODE_RED, 'd'},
    {"wmac", XA_I_V_WMAC, NO_CODE, 'd'},
    {"linear", XA_I_V_LINEAR, NO_CODE, 'd'},
    {"gather", XA_I_V_GATHER, NO_CODE, 'd'},
    {"scatter", XA_I_V_SCATTER, ISA_CODE_RED, 'a'},
    {"iota", XA_I_V_IOTA, NO_CODE, 'd'},
    {"fill", XA_I_V_FILL, NO_CODE, 'd'},
};

static status_t set_vec_op(lower_t *s, int code) {
    const char *text = ir_get_string(s->op, "op", NULL);
    if (text == NULL || code == NO_CODE)
        return STATUS_OK;
    uint32_t number;
    if (!find_code((isa_code_kind_t)code, text, &number))
        return fail(s, "no op '%s' for this instruction in the Xaccel table", text);
    set_bits(s, XA_F_vec_op, number);
    return STATUS_OK;
}

static status_t set_vec_flags(lower_t *s) {
    uint32_t fixed = 0, bit;
    const ir_attr_t *flags = ir_get(s->op, "flags");
    for (size_t i = 0; flags && i < flags->n; i++) {
        if (!find_vec_flag(flags->strings[i], &bit))
            return fail(s, "no vector flag '%s' in the Xaccel table", flags->strings[i]);
        fixed |= bit;
    }
    const char *red = ir_get_string(s->op, "red", NULL);
    if (red != NULL) {
        uint32_t number;
        if (!find_code(ISA_CODE_RED, red, &number) || role(s, "r") == NULL)
            return fail(s, "reduction '%s' is unknown or lacks r", red);
        set_bits(s, XA_F_vec_red, number);
        fixed |= XA_vec_ROWRED;
    }
    if (s->out->insn == XA_I_V_WMAC && role(s, "c"))
        fixed |= XA_vec_BIAS;
    set_expr(s, XA_F_vec_flags, flag_if(s, ir_const(s->m, fixed), "redacc", false, XA_vec_REDACC));
    return STATUS_OK;
}

static status_t set_vec_operand(lower_t *s, const char *name, uint32_t type_field,
                                uint32_t stride_field) {
    ir_value_t *value = role(s, name);
    if (value == NULL)
        return STATUS_OK;
    bool window = s->out->insn == XA_I_V_WREDUCE || s->out->insn == XA_I_V_WMAC;
    if (value->type->rank > (window && (*name == 'a' || *name == 'b') ? 6 : 4))
        return fail(s, "vector operand %s has too many dims", name);
    uint32_t rank = value->type->rank > 4 ? 6 : 4;
    set_bits(s, type_field, value->type->elem);
    set_strides(s, stride_field, value->type, rank, 0, 4);
    return STATUS_OK;
}

static status_t set_vec_operands(lower_t *s) {
    RETURN_IF_ERROR(set_vec_operand(s, "d", XA_F_vec_d_type, XA_F_vec_d_stride));
    RETURN_IF_ERROR(set_vec_operand(s, "a", XA_F_vec_a_type, XA_F_vec_a_stride));
    RETURN_IF_ERROR(set_vec_operand(s, "b", XA_F_vec_b_type, XA_F_vec_b_stride));
    RETURN_IF_ERROR(set_vec_operand(s, "c", XA_F_vec_c_type, XA_F_vec_c_stride));
    RETURN_IF_ERROR(set_vec_operand(s, "r", XA_F_vec_r_type, XA_F_vec_r_stride));
    if (role(s, "c"))
        RETURN_IF_ERROR(set_address(s, XA_F_vec_c_addr, role(s, "c")));
    if (role(s, "r"))
        RETURN_IF_ERROR(set_address(s, XA_F_vec_r_addr, role(s, "r")));
    return STATUS_OK;
}

// Window offsets are dims 4 and 5 of a (and of b for wmac).
static status_t set_window(lower_t *s) {
    ir_value_t *a = role(s, "a"), *b = role(s, "b");
    if (a == NULL || a->type->rank != 6)
        return fail(s, "windowed op: %s is not of rank 6", "a");
    set_dims(s, XA_F_vec_k, a->type, 6, 4, 2);
    set_strides(s, XA_F_vec_ka_stride, a->type, 6, 4, 2);
    if (b == NULL)
        return STATUS_OK;
    if (b->type->rank != 6)
        return fail(s, "windowed op: %s is not of rank 6", "b");
    set_strides(s, XA_F_vec_kb_stride, b->type, 6, 4, 2);
    return STATUS_OK;
}

// Counts from d, but 1 along the transformed axis, whose sizes are inputs and outputs.
static void set_linear(lower_t *s) {
    uint32_t axis = (uint32_t)ir_get_int(s->op, "axis", 0);
    set_expr(s, XA_F_vec_lin_in, dim_of(s, role(s, "a")->type, 4, axis));
    set_expr(s, XA_F_vec_lin_out, dim_of(s, role(s, "d")->type, 4, axis));
    for (uint32_t i = 0; i < 4; i++)
        set_expr(s, XA_F_vec_count + i,
                 i == axis ? ir_const(s->m, 1) : dim_of(s, role(s, "d")->type, 4, i));
}

static void set_vec_scalars(lower_t *s) {
    set_bits(s, XA_F_vec_axis, (uint64_t)ir_get_int(s->op, "axis", 0));
    set_float(s, XA_F_vec_alpha, ir_get_float(s->op, "alpha", 1));
    set_float(s, XA_F_vec_beta, ir_get_float(s->op, "beta", 0));
    set_float(s, XA_F_vec_p0, ir_get_float(s->op, "p0", 0));
    set_float(s, XA_F_vec_p1, ir_get_float(s->op, "p1", 0));
    static const struct {
        const char *attr;
        uint32_t field;
    } rows[] = {
        {"imm0", XA_F_vec_imm0}, {"imm1", XA_F_vec_imm1}, {"idx_bound", XA_F_vec_idx_bound}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (ir_get_expr(s->op, rows[i].attr))
            set_expr(s, rows[i].field, ir_get_expr(s->op, rows[i].attr));
}

static status_t lower_vec(lower_t *s) {
    const char *insn = ir_get_string(s->op, "insn", "");
    const vec_row_t *row = NULL;
    for (size_t i = 0; i < COUNT_OF(vec_rows) && row == NULL; i++)
        if (strcmp(vec_rows[i].text, insn) == 0)
            row = &vec_rows[i];
    if (row == NULL)
        return fail(s, "no vector instruction '%s'", insn);
    s->kind = ISA_DESC_vec;
    s->out->engine = XA_VEC;
    s->out->insn = row->insn;
    const char counts_role[2] = {row->counts, 0};
    ir_value_t *counts = role(s, counts_role);
    if (counts == NULL || role(s, "d") == NULL)
        return fail(s, "vector instruction '%s' lacks an operand", insn);
    RETURN_IF_ERROR(set_vec_operands(s));
    if (row->insn == XA_I_V_LINEAR && role(s, "a"))
        set_linear(s);
    else
        set_dims(s, XA_F_vec_count, counts->type, counts->type->rank > 4 ? 6 : 4, 0, 4);
    if (row->insn == XA_I_V_WREDUCE || row->insn == XA_I_V_WMAC)
        RETURN_IF_ERROR(set_window(s));
    set_vec_scalars(s);
    RETURN_IF_ERROR(set_vec_op(s, row->code));
    RETURN_IF_ERROR(set_vec_flags(s));
    s->out->address[0] = role(s, "d");
    s->out->address[1] = role(s, "a");
    s->out->address[2] = role(s, "b");
    return set_func(s, XA_F_vec_post, ir_get_string(s->op, "post", "none"));
}

status_t cg_desc_build(ir_module_t *m, const ir_op_t *op, diag_t *diag, cg_desc_t *out_desc) {
    memset(out_desc, 0, sizeof *out_desc);
    lower_t s = {.m = m, .op = op, .diag = diag, .out = out_desc};
    s.n_buffers = (uint32_t)ir_get_int(op, "n_buffers", op->n_operands);
    if (op->code == IR_dma_in || op->code == IR_dma_out)
        return lower_dma(&s);
    return op->code == IR_mat ? lower_mat(&s) : lower_vec(&s);
}
