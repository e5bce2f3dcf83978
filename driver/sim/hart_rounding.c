// SPDX-License-Identifier: Apache-2.0
// Float arithmetic with a rounding mode of its own, or one that the host has not got: to nearest,
// ties away from zero. Rare, so it may be slow. Built with -frounding-math.
#include <float.h>
#include <math.h>

#include "driver/sim/hart_float.h"
#include "driver/sim/hart_fp.h"

// One rounding to f64 from a value whose last bit is sticky needs two bits more than f64 has.
_Static_assert(LDBL_MANT_DIG >= 55, "ties away from zero need a wider type than f64");

typedef enum action { ACT_ADD, ACT_MUL, ACT_DIV, ACT_SQRT, ACT_FUSED, ACT_FLOAT, ACT_INT } action_t;

// An instruction in the fewest terms: signs are in the operands already.
typedef struct task {
    action_t action;
    uint32_t n_operands;
    double operand[3];
    uint64_t integer;
    bool is_unsigned;
} task_t;

static void set_operands(const sim_hart_t *hart, const sim_op_t *op, bool single, task_t *task,
                         uint32_t count) {
    const uint8_t from[3] = {op->rs1, op->rs2, op->rs3};
    for (uint32_t i = 0; i < count; i++)
        task->operand[i] = single ? (double)unpack_s(hart->f[from[i]]) : unpack_d(hart->f[from[i]]);
    task->n_operands = count;
}

static task_t task_of(action_t action, uint32_t n_operands, uint64_t integer, bool is_unsigned) {
    return (task_t){
        .action = action, .n_operands = n_operands, .integer = integer, .is_unsigned = is_unsigned};
}

#define BOTH(name)                                                                                 \
    case SIM_INSN_##name##_S:                                                                      \
    case SIM_INSN_##name##_D

static task_t plan(const sim_hart_t *hart, const sim_op_t *op) {
    uint64_t x = hart->x[op->rs1];
    switch ((sim_insn_t)(op->u.kind & 0xffff)) {
        BOTH(FADD) : BOTH(FSUB) : return task_of(ACT_ADD, 2, 0, false);
        BOTH(FMUL) : return task_of(ACT_MUL, 2, 0, false);
        BOTH(FDIV) : return task_of(ACT_DIV, 2, 0, false);
        BOTH(FSQRT) : return task_of(ACT_SQRT, 1, 0, false);
    case SIM_INSN_FCVT_S_W:
        return task_of(ACT_INT, 0, (uint64_t)(int64_t)(int32_t)x, false);
    case SIM_INSN_FCVT_S_WU:
        return task_of(ACT_INT, 0, (uint32_t)x, false);
    case SIM_INSN_FCVT_S_L:
    case SIM_INSN_FCVT_D_L:
        return task_of(ACT_INT, 0, x, false);
    case SIM_INSN_FCVT_S_LU:
    case SIM_INSN_FCVT_D_LU:
        return task_of(ACT_INT, 0, x, true);
    case SIM_INSN_FCVT_S_D:
        return task_of(ACT_FLOAT, 1, 0, false);
    default:
        return task_of(ACT_FUSED, 3, 0, false);
    }
}

static void apply_signs(task_t *task, sim_insn_t insn) {
    double *v = task->operand;
    switch (insn) {
        BOTH(FSUB) : v[1] = -v[1];
        break;
        BOTH(FMSUB) : v[2] = -v[2];
        break;
        BOTH(FNMSUB) : v[0] = -v[0];
        break;
        BOTH(FNMADD) : v[0] = -v[0];
        v[2] = -v[2];
        break;
    default:
        break;
    }
}

#define COMPUTE(name, type, root, fused)                                                           \
    static NO_INLINE type name(const task_t *task) {                                               \
        type a = (type)task->operand[0], b = (type)task->operand[1], c = (type)task->operand[2];   \
        switch (task->action) {                                                                    \
        case ACT_ADD:                                                                              \
            return a + b;                                                                          \
        case ACT_MUL:                                                                              \
            return a * b;                                                                          \
        case ACT_DIV:                                                                              \
            return a / b;                                                                          \
        case ACT_SQRT:                                                                             \
            return root(a);                                                                        \
        case ACT_FUSED:                                                                            \
            return fused(a, b, c);                                                                 \
        case ACT_FLOAT:                                                                            \
            return a;                                                                              \
        default:                                                                                   \
            return name##_of_integer(task->integer, task->is_unsigned);                            \
        }                                                                                          \
    }
static float compute_s_of_integer(uint64_t value, bool is_unsigned) {
    return is_unsigned ? float_of_u64(value) : (float)(int64_t)value;
}
static double compute_d_of_integer(uint64_t value, bool is_unsigned) {
    return is_unsigned ? double_of_u64(value) : (double)(int64_t)value;
}
static long double compute_wide_of_integer(uint64_t value, bool is_unsigned) {
    return is_unsigned ? (long double)value : (long double)(int64_t)value;
}
COMPUTE(compute_s, float, sqrtf, fmaf)
COMPUTE(compute_d, double, sqrt, fma)
COMPUTE(compute_wide, long double, sqrtl, fmal)

// The result cut off in a wide type; its last bit is set when anything was cut (flag or not, the
// later rounding cannot err then). *out_flags: invalid, division by zero.
static long double compute_sticky(const task_t *task, uint32_t *out_flags) {
    fenv_t saved;
    fegetenv(&saved);
    fesetround(FE_TOWARDZERO);
    feclearexcept(FE_ALL_EXCEPT);
    volatile long double result = compute_wide(task);
    int raised = fetestexcept(FE_ALL_EXCEPT);
    fesetenv(&saved);
    *out_flags = (raised & FE_INVALID ? FLAG_NV : 0u) | (raised & FE_DIVBYZERO ? FLAG_DZ : 0u);
    long double value = result;
    if ((raised & FE_INEXACT) != 0 && isfinite(value)) {
        uint8_t first;
        memcpy(&first, &value, 1);
        first |= 1;
        memcpy(&value, &first, 1);
    }
    return value;
}

typedef struct target {
    int digits, least_exponent; // of the unit in the last place of the smallest value
    long double least_normal, greatest;
} target_t;

// Rounds to nearest, ties away from zero.
static double round_away(long double value, const target_t *to, uint32_t *flags) {
    if (!isfinite(value) || value == 0)
        return (double)value;
    long double size = fabsl(value);
    int exponent;
    (void)frexpl(size, &exponent);
    int unit = exponent - to->digits;
    bool tiny = ldexpl(roundl(ldexpl(size, -unit)), unit) < to->least_normal;
    if (unit < to->least_exponent)
        unit = to->least_exponent;
    long double scaled = ldexpl(size, -unit), rounded = roundl(scaled);
    if (rounded != scaled)
        *flags |= FLAG_NX | (tiny ? FLAG_UF : 0u);
    size = ldexpl(rounded, unit);
    if (size > to->greatest) {
        *flags |= FLAG_OF | FLAG_NX;
        size = (long double)HUGE_VAL;
    }
    return (double)(signbit(value) ? -size : size);
}

static double away(const task_t *task, bool single, uint32_t *out_flags) {
    static const target_t f32 = {24, -149, FLT_MIN, FLT_MAX}, f64 = {53, -1074, DBL_MIN, DBL_MAX};
    return round_away(compute_sticky(task, out_flags), single ? &f32 : &f64, out_flags);
}

static void set_result(sim_hart_t *hart, const sim_op_t *op, const task_t *task, bool single,
                       uint32_t rm) {
    uint32_t host = host_fp_get(), flags = 0;
    uint64_t bits;
    if (rm == RM_RMM) {
        double result = away(task, single, &flags);
        bits = single ? pack_s((float)result) : pack_d(result);
    } else {
        host_fp_set(host_fp_of_rm(rm));
        bits = single ? pack_s(compute_s(task)) : pack_d(compute_d(task));
        flags = host_fp_flags(host_fp_get());
    }
    host_fp_set(host);
    hart->f[op->rd] = bits;
    hart->fcsr |= flags;
}

static bool zero_times_infinity(const task_t *task) {
    const double *v = task->operand;
    return task->action == ACT_FUSED && ((isinf(v[0]) && v[1] == 0) || (isinf(v[1]) && v[0] == 0));
}

sim_block_t *sim_op_float_slow(sim_hart_t *hart, sim_op_t *op) {
    uint32_t rm = op->extra & 7;
    rm = rm == RM_DYNAMIC ? hart->fcsr >> 5 : rm;
    if (rm > RM_RMM)
        return sim_hart_illegal(hart, op);
    bool single = (op->u.kind >> 16 & 1) == 0;
    task_t task = plan(hart, op);
    set_operands(hart, op, single && task.action != ACT_FLOAT, &task, task.n_operands);
    apply_signs(&task, (sim_insn_t)(op->u.kind & 0xffff));
    if (zero_times_infinity(&task))
        hart->fcsr |= FLAG_NV; // hosts differ when the addend is a quiet NaN
    set_result(hart, op, &task, single, rm);
    NEXT(hart, op);
}
