// SPDX-License-Identifier: Apache-2.0
// Loads, stores, atomics, faults, stops, state, custom instructions, control registers.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/hart/machine.h"

enum { RD = 10, BASE = 11, VALUE = 12 };

static sim_stop_t run_one(machine_t *machine, uint32_t word) {
    machine_load(machine, &word, 1);
    return sim_hart_run(machine->hart, 1);
}

static uint64_t little_endian(const uint8_t *at, uint32_t bytes) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint64_t extended(uint64_t value, uint32_t bytes, bool is_signed) {
    if (is_signed && bytes < 8 && (value >> (8 * bytes - 1) & 1) != 0)
        value |= UINT64_MAX << (8 * bytes);
    return value;
}

// At all alignments, within a page and across its end.
static void test_loads_and_stores(machine_t *machine, tally_t *tally) {
    static const struct {
        const char *name;
        uint32_t base, bytes;
        bool is_signed;
    } loads[] = {{"lb", 0x0003, 1, true},  {"lh", 0x1003, 2, true},   {"lw", 0x2003, 4, true},
                 {"ld", 0x3003, 8, false}, {"lbu", 0x4003, 1, false}, {"lhu", 0x5003, 2, false},
                 {"lwu", 0x6003, 4, false}},
      stores[] = {{"sb", 0x0023, 1, false},
                  {"sh", 0x1023, 2, false},
                  {"sw", 0x2023, 4, false},
                  {"sd", 0x3023, 8, false}};
    uint8_t *data = machine->data;
    for (uint32_t i = 0; i < 8192; i++)
        data[i] = (uint8_t)(i * 37 + 129);
    for (uint32_t at = 4096 - 24; at < 4096 + 9; at++)
        for (size_t row = 0; row < 7; row++) {
            sim_hart_set_x(machine->hart, BASE, DATA_VA + at - 100);
            run_one(machine, enc_i(loads[row].base, RD, BASE, 100));
            check_equal(tally, loads[row].name, sim_hart_x(machine->hart, RD),
                        extended(little_endian(data + at, loads[row].bytes), loads[row].bytes,
                                 loads[row].is_signed));
        }
    for (uint32_t at = 4096 - 24; at < 4096 + 9; at++)
        for (size_t row = 0; row < 4; row++) {
            uint8_t wanted[8192];
            uint64_t value = 0x8182838485868788 + at;
            memcpy(wanted, data, sizeof wanted);
            for (uint32_t i = 0; i < stores[row].bytes; i++)
                wanted[at + i] = (uint8_t)(value >> (8 * i));
            sim_hart_set_x(machine->hart, BASE, DATA_VA + at + 2000);
            sim_hart_set_x(machine->hart, VALUE, value);
            run_one(machine, enc_s(stores[row].base, BASE, VALUE, -2000));
            check_equal(tally, stores[row].name, (uint64_t)memcmp(wanted, data, sizeof wanted), 0);
        }
}

static void test_float_moves(machine_t *machine, tally_t *tally) {
    uint64_t value = 0x0123456789abcdef;
    memcpy(machine->data + 64, &value, 8);
    sim_hart_set_x(machine->hart, BASE, DATA_VA + 64);
    uint32_t code[] = {enc_i(0x2007, 1, BASE, 0), enc_i(0x3007, 2, BASE, 0),
                       enc_i(0x3007, 0, BASE, 0), enc_s(0x2027, BASE, 2, 8),
                       enc_s(0x3027, BASE, 1, 16)};
    memset(machine->data + 72, 0, 8);
    machine_do(machine, code, 5);
    check_equal(tally, "flw boxes", machine_f(machine, 1), 0xffffffff89abcdef);
    check_equal(tally, "fld", machine_f(machine, 2), value);
    check_equal(tally, "fld f0", machine_f(machine, 0), value);
    check_equal(tally, "fsw", little_endian(machine->data + 72, 8), 0x89abcdef);
    check_equal(tally, "fsd", little_endian(machine->data + 80, 8), 0xffffffff89abcdef);
}

static void check_fault(machine_t *machine, tally_t *tally, const char *what, isa_fault_t cause,
                        isa_access_t access, uint64_t va) {
    const sim_hart_fault_t *fault = sim_hart_fault(machine->hart);
    check_equal(tally, what, fault->cause, cause);
    check_equal(tally, what, fault->access, access);
    check_equal(tally, what, fault->va, va);
}

static void test_faults(machine_t *machine, tally_t *tally) {
    uint64_t end = DATA_VA + DATA_BYTES;
    uint32_t load[] = {enc_i(0x13, 9, 9, 1), enc_i(0x13, 9, 9, 1), enc_i(0x3003, RD, BASE, 0)};
    machine_load(machine, load, 3);
    sim_hart_set_x(machine->hart, BASE, end - 4);
    sim_hart_set_x(machine->hart, 9, 0);
    sim_hart_set_x(machine->hart, RD, 99);
    uint64_t before = sim_hart_instret(machine->hart);
    check_equal(tally, "fault", sim_hart_run(machine->hart, 100), SIM_STOP_FAULT);
    check_fault(machine, tally, "load", ISA_FAULT_PAGE_INVALID, ISA_ACCESS_READ, end);
    check_equal(tally, "fault value", sim_hart_fault(machine->hart)->value, 77);
    check_equal(tally, "fault pc", sim_hart_pc(machine->hart), CODE_VA + 8);
    check_equal(tally, "fault instret", sim_hart_instret(machine->hart) - before, 2);
    check_equal(tally, "fault keeps rd", sim_hart_x(machine->hart, RD), 99);
    // a store over the end stores nothing
    memset(machine->data + DATA_BYTES - 8, 0, 8);
    sim_hart_set_x(machine->hart, VALUE, UINT64_MAX);
    check_equal(tally, "store", run_one(machine, enc_s(0x3023, BASE, VALUE, 0)), SIM_STOP_FAULT);
    check_fault(machine, tally, "store", ISA_FAULT_PAGE_INVALID, ISA_ACCESS_WRITE, end);
    check_equal(tally, "store", little_endian(machine->data + DATA_BYTES - 8, 8), 0);
    sim_hart_set_x(machine->hart, BASE, CODE_VA);
    check_equal(tally, "W^X", run_one(machine, enc_s(0x23, BASE, VALUE, 5)), SIM_STOP_FAULT);
    check_fault(machine, tally, "W^X", ISA_FAULT_PAGE_DENIED, ISA_ACCESS_WRITE, CODE_VA + 5);
    sim_hart_set_x(machine->hart, BASE, DATA_VA);
    machine_load(machine, (uint32_t[]){enc_i(0x67, 0, BASE, 0)}, 1);
    check_equal(tally, "fetch", sim_hart_run(machine->hart, 9), SIM_STOP_FAULT);
    check_fault(machine, tally, "fetch", ISA_FAULT_PAGE_DENIED, ISA_ACCESS_EXECUTE, DATA_VA);
    check_equal(tally, "fetch pc", sim_hart_pc(machine->hart), DATA_VA);
}

static void test_illegal(machine_t *machine, tally_t *tally) {
    static const uint32_t words[] = {0xffffffff,
                                     0x00007003,
                                     0x02000053 | 6u << 12,
                                     0x00200073,
                                     0x10500073,
                                     0x00002073 | 0x300u << 20,
                                     0x00009073 | 0xc00u << 20,
                                     0x0000405b,
                                     0x60001013};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        check_equal(tally, "illegal", run_one(machine, words[i]), SIM_STOP_FAULT);
        check_fault(machine, tally, "illegal", ISA_FAULT_ILLEGAL_INSN, ISA_ACCESS_EXECUTE, CODE_VA);
        check_equal(tally, "illegal bits", sim_hart_fault(machine->hart)->value, words[i]);
    }
    uint32_t zero = 0;
    check_equal(tally, "illegal 0", run_one(machine, zero), SIM_STOP_FAULT);
    check_equal(tally, "illegal 0", sim_hart_fault(machine->hart)->value, 0);
}

typedef struct amo_row {
    const char *name;
    uint32_t base;
    uint64_t (*define)(uint64_t a, uint64_t b, bool wide);
} amo_row_t;

#define DEFINE(name, value)                                                                        \
    static uint64_t define_##name(uint64_t a, uint64_t b, bool wide) {                             \
        (void)wide;                                                                                \
        (void)a;                                                                                   \
        return (value);                                                                            \
    }
static bool less(uint64_t a, uint64_t b, bool wide) {
    return wide ? (int64_t)a < (int64_t)b : (int32_t)(uint32_t)a < (int32_t)(uint32_t)b;
}
static bool below(uint64_t a, uint64_t b, bool wide) {
    return wide ? a < b : (uint32_t)a < (uint32_t)b;
}
DEFINE(swap, b)
DEFINE(add, a + b)
DEFINE(xor, a ^ b)
DEFINE(and, a &b)
DEFINE(or, a | b)
DEFINE(min, less(a, b, wide) ? a : b)
DEFINE(max, less(a, b, wide) ? b : a)
DEFINE(minu, below(a, b, wide) ? a : b)
DEFINE(maxu, below(a, b, wide) ? b : a)

static void test_atomics(machine_t *machine, tally_t *tally) {
    static const amo_row_t rows[] = {
        {"amoswap", 0x0800202f, define_swap}, {"amoadd", 0x0000202f, define_add},
        {"amoxor", 0x2000202f, define_xor},   {"amoand", 0x6000202f, define_and},
        {"amoor", 0x4000202f, define_or},     {"amomin", 0x8000202f, define_min},
        {"amomax", 0xa000202f, define_max},   {"amominu", 0xc000202f, define_minu},
        {"amomaxu", 0xe000202f, define_maxu}};
    static const uint64_t values[] = {0,          1,          0x7fffffff, 0x80000000,
                                      0xffffffff, 1ull << 63, UINT64_MAX, 0x123456789abcdef0};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++)
        for (uint32_t i = 0; i < 128; i++) {
            uint64_t a = values[i / 8 % 8], b = values[i % 8];
            bool wide = i >= 64;
            uint32_t bytes = wide ? 8 : 4;
            memcpy(machine->data + 128, &a, 8);
            sim_hart_set_x(machine->hart, BASE, DATA_VA + 128);
            sim_hart_set_x(machine->hart, VALUE, b);
            run_one(machine,
                    enc_r(rows[row].base | (wide ? 0x1000 : 0) | (i % 4) << 25, RD, BASE, VALUE));
            uint64_t mask = wide ? UINT64_MAX : 0xffffffff;
            check_equal(tally, rows[row].name, little_endian(machine->data + 128, 8),
                        (rows[row].define(a, b, wide) & mask) | (a & ~mask));
            check_equal(tally, rows[row].name, sim_hart_x(machine->hart, RD),
                        extended(a & mask, bytes, true));
        }
    sim_hart_set_x(machine->hart, BASE, DATA_VA + 2);
    check_equal(tally, "misaligned", run_one(machine, enc_r(rows[0].base, RD, BASE, VALUE)),
                SIM_STOP_FAULT);
    check_fault(machine, tally, "misaligned", ISA_FAULT_MISALIGNED, ISA_ACCESS_WRITE, DATA_VA + 2);
}

static void test_reservations(machine_t *machine, tally_t *tally) {
    for (uint32_t wide = 0; wide < 2; wide++) {
        uint32_t lr = enc_r(0x1000202f | wide << 12, 5, BASE, 0);
        uint32_t sc = enc_r(0x1800202f | wide << 12, 6, BASE, VALUE);
        uint32_t sc_again = enc_r(0x1800202f | wide << 12, 7, BASE, VALUE);
        uint64_t old = 0xfedcba9876543210;
        memcpy(machine->data + 256, &old, 8);
        sim_hart_set_x(machine->hart, BASE, DATA_VA + 256);
        sim_hart_set_x(machine->hart, VALUE, 5);
        machine_do(machine, (uint32_t[]){lr, sc, sc_again}, 3);
        check_equal(tally, "lr", sim_hart_x(machine->hart, 5), wide ? old : 0x76543210);
        check_equal(tally, "sc", sim_hart_x(machine->hart, 6), 0);
        check_equal(tally, "sc without", sim_hart_x(machine->hart, 7), 1);
        check_equal(tally, "sc stores", little_endian(machine->data + 256, 8),
                    wide ? 5 : 0xfedcba9800000005);
        // another address, or a store of someone else's between
        uint32_t change = enc_s(0x23, BASE, 0, 0);
        machine_do(machine, (uint32_t[]){lr, change, sc}, 3);
        check_equal(tally, "sc after a store", sim_hart_x(machine->hart, 6), 1);
        uint32_t other = enc_i(0x13, BASE, BASE, 8);
        machine_do(machine, (uint32_t[]){lr, other, sc}, 3);
        check_equal(tally, "sc elsewhere", sim_hart_x(machine->hart, 6), 1);
    }
}

static void test_stops(machine_t *machine, tally_t *tally) {
    uint32_t code[] = {enc_i(0x13, 5, 5, 1), enc_i(0x13, 6, 6, 1), ECALL,
                       enc_u(0x37, 7, 1),    enc_i(0x13, 7, 7, 1), enc_j(0, -20)};
    machine_load(machine, code, 6);
    sim_hart_set_x(machine->hart, 5, 0);
    sim_hart_set_x(machine->hart, 6, 0);
    uint64_t start = sim_hart_instret(machine->hart);
    check_equal(tally, "ecall", sim_hart_run(machine->hart, 1000), SIM_STOP_ECALL);
    check_equal(tally, "ecall pc", sim_hart_pc(machine->hart), CODE_VA + 12);
    check_equal(tally, "ecall instret", sim_hart_instret(machine->hart) - start, 3);
    check_equal(tally, "budget", sim_hart_run(machine->hart, 1), SIM_STOP_BUDGET);
    check_equal(tally, "budget pc", sim_hart_pc(machine->hart), CODE_VA + 16);
    check_equal(tally, "half of a pair", sim_hart_x(machine->hart, 7), 0x1000);
    for (uint32_t i = 0; i < 3; i++)
        check_equal(tally, "budget", sim_hart_run(machine->hart, 1), SIM_STOP_BUDGET);
    check_equal(tally, "pair", sim_hart_x(machine->hart, 7), 0x1001);
    check_equal(tally, "step", sim_hart_pc(machine->hart), CODE_VA + 4);
    check_equal(tally, "step", sim_hart_x(machine->hart, 5), 2);
    check_equal(tally, "none", sim_hart_run(machine->hart, 0), SIM_STOP_BUDGET);
    sim_hart_request(machine->hart);
    check_equal(tally, "request", sim_hart_run(machine->hart, 1000), SIM_STOP_REQUEST);
    check_equal(tally, "after it", sim_hart_run(machine->hart, 1000), SIM_STOP_ECALL);
}

static void *request_soon(void *argument) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    sim_hart_request(argument);
    return NULL;
}

static void test_request(machine_t *machine, tally_t *tally) {
    uint32_t spin = enc_j(0, 0);
    machine_load(machine, &spin, 1);
    pthread_t thread;
    if (pthread_create(&thread, NULL, request_soon, machine->hart) != 0)
        exit(1);
    check_equal(tally, "request", sim_hart_run(machine->hart, UINT64_MAX), SIM_STOP_REQUEST);
    check_equal(tally, "request pc", sim_hart_pc(machine->hart), CODE_VA);
    pthread_join(thread, NULL);
}

static void count_up(sim_hart_t *hart) {
    sim_hart_set_x(hart, 5, 20000);
    sim_hart_set_x(hart, BASE, DATA_VA + 512);
    sim_hart_set_x(hart, 7, DATA_VA + 520);
    sim_hart_set_x(hart, VALUE, 1);
    sim_hart_set_pc(hart, CODE_VA);
    sim_hart_run(hart, UINT64_MAX);
}

static void *run_on_thread(void *argument) {
    count_up(argument);
    return NULL;
}

// Two harts on two threads count in one word by an atomic add and in another by lr and sc.
static void test_two_harts(machine_t *machine, tally_t *tally) {
    uint32_t code[] = {
        enc_r(0x0000302f, 0, BASE, VALUE), enc_r(0x1000302f, 6, 7, 0), enc_i(0x13, 6, 6, 1),
        enc_r(0x1800302f, 6, 7, 6),        enc_b(0x1063, 6, 0, -12),   enc_i(0x13, 5, 5, -1),
        enc_b(0x1063, 5, 0, -24)};
    sim_hart_t *second;
    pthread_t thread;
    machine_load(machine, code, 7);
    memset(machine->data + 512, 0, 16);
    if (!machine_add_hart(machine, NULL, &second))
        exit(1);
    if (pthread_create(&thread, NULL, run_on_thread, second) != 0)
        exit(1);
    count_up(machine->hart);
    pthread_join(thread, NULL);
    check_equal(tally, "amoadd by two", little_endian(machine->data + 512, 8), 40000);
    check_equal(tally, "lr and sc by two", little_endian(machine->data + 520, 8), 40000);
    sim_hart_destroy(second);
}

static void test_custom(machine_t *machine, tally_t *tally) {
    uint32_t code[] = {enc_i(0x13, 5, 0, 20), 0x0b | 6u << 7 | 5u << 15, 0x0b | 0u << 7 | 5u << 15,
                       enc_i(0x13, 6, 6, 1)};
    machine->custom_blocks = 2;
    machine_load(machine, code, 4);
    uint64_t start = sim_hart_instret(machine->hart);
    for (uint32_t i = 0; i < 2; i++) {
        check_equal(tally, "blocked", sim_hart_run(machine->hart, 100), SIM_STOP_BLOCKED);
        check_equal(tally, "blocked pc", sim_hart_pc(machine->hart), CODE_VA + 4);
        check_equal(tally, "blocked instret", sim_hart_instret(machine->hart) - start, 1);
    }
    uint64_t cycles = sim_hart_cycles(machine->hart);
    check_equal(tally, "custom", sim_hart_run(machine->hart, 100), SIM_STOP_EBREAK);
    check_equal(tally, "custom", sim_hart_x(machine->hart, 6), 42);
    check_equal(tally, "custom x0", sim_hart_x(machine->hart, 0), 0);
    check_equal(tally, "custom cycles", machine->custom_cycles - cycles, 1);
    check_equal(tally, "custom fault", run_one(machine, 0x2b | 5u << 20), SIM_STOP_FAULT);
    check_fault(machine, tally, "custom fault", ISA_FAULT_BAD_TICKET, ISA_ACCESS_NONE, CODE_VA);
    check_equal(tally, "custom fault", sim_hart_fault(machine->hart)->value, 5);
}

static void test_state(machine_t *machine, tally_t *tally) {
    sim_hart_state_t state, again;
    memset(&state, 0, sizeof state);
    for (uint32_t i = 0; i < 32; i++) {
        state.x[i] = i == 0 ? 0 : i * 0x1111111111;
        state.f[i] = i * 0x2222222222;
    }
    state.pc = CODE_VA;
    state.instret = 1000;
    state.cycles = 5000;
    state.fcsr = 0x35;
    state.reservation = UINT64_MAX;
    sim_hart_restore(machine->hart, &state);
    sim_hart_save(machine->hart, &again);
    check_equal(tally, "state", (uint64_t)memcmp(&state, &again, sizeof state), 0);
    // instret, cycle and time as the program sees them
    uint32_t code[] = {enc_i(0x13, 5, 0, 1), enc_i(0x13, 6, 0, 2), enc_i(0x2073, 5, 0, (int)0xc02),
                       enc_i(0x2073, 6, 0, (int)0xc00), enc_i(0x2073, 7, 0, (int)0xc01)};
    machine_do(machine, code, 5);
    check_equal(tally, "instret", sim_hart_x(machine->hart, 5), 1002);
    check_equal(tally, "cycle", sim_hart_x(machine->hart, 6), 5003);
    check_equal(tally, "time", sim_hart_x(machine->hart, 7), 5004);
    state.fcsr = 0;
    sim_hart_restore(machine->hart, &state);
}

static void test_costs(tally_t *tally) {
    uint32_t costs[SIM_CLASS_COUNT];
    for (uint32_t i = 0; i < SIM_CLASS_COUNT; i++)
        costs[i] = 1u << i;
    machine_t machine;
    if (!machine_init(&machine, costs))
        exit(1);
    // a constant by two instructions, then one of most classes
    uint32_t code[] = {enc_u(0x37, 5, DATA_VA >> 12), enc_i(0x13, 5, 5, 16),
                       enc_r(0x02000033, 6, 5, 5),    enc_r(0x02004033, 6, 5, 5),
                       enc_i(0x3003, 6, 5, 0),        enc_s(0x3023, 5, 6, 0),
                       enc_r(0x0000302f, 6, 5, 0),    enc_r(0x02007053, 1, 1, 1),
                       enc_r(0x1a007053, 1, 1, 1),    0x0000000f,
                       0x0b | 6u << 7 | 5u << 15,     enc_b(0x63, 0, 0, 4)};
    uint64_t wanted = 2 * 1 + 2 + 4 + 8 + 16 + 64 + 128 + 256 + 512;
    machine_do(&machine, code, 12);
    check_equal(tally, "cycles before", machine.custom_cycles, wanted);
    check_equal(tally, "cycles", sim_hart_cycles(machine.hart), wanted + 1024 + 32);
    machine_deinit(&machine);
}

// New code counts after fence.i; data translations are asked for once.
static void test_flush(machine_t *machine, tally_t *tally) {
    uint32_t first = enc_i(0x13, 5, 0, 1), second = enc_i(0x13, 5, 0, 2);
    machine_do(machine, (uint32_t[]){first}, 1);
    memcpy(machine->code, &second, 4);
    sim_hart_set_pc(machine->hart, CODE_VA);
    sim_hart_run(machine->hart, 100);
    check_equal(tally, "stale", sim_hart_x(machine->hart, 5), 1);
    sim_hart_flush(machine->hart);
    sim_hart_set_pc(machine->hart, CODE_VA);
    sim_hart_run(machine->hart, 100);
    check_equal(tally, "flushed", sim_hart_x(machine->hart, 5), 2);
    // around a loop once more after fence.i, with the first instruction changed by its owner
    uint32_t code[] = {first, ECALL, FENCE_I, enc_j(0, -12)};
    machine_load(machine, code, 4);
    sim_hart_run(machine->hart, 100);
    memcpy(machine->code, &second, 4);
    check_equal(tally, "fence.i", sim_hart_run(machine->hart, 100), SIM_STOP_ECALL);
    check_equal(tally, "fence.i", sim_hart_x(machine->hart, 5), 2);
    sim_hart_set_x(machine->hart, BASE, DATA_VA + 3 * 4096);
    uint32_t loads[] = {enc_i(0x3003, 5, BASE, 0), enc_i(0x3003, 5, BASE, 8)};
    machine_load(machine, loads, 2);
    uint32_t before = machine->n_translations;
    sim_hart_run(machine->hart, 100);
    check_equal(tally, "translations", machine->n_translations - before, 2);
}

int main(void) {
    machine_t machine;
    tally_t tally = {0, 0};
    if (!machine_init(&machine, NULL))
        return 1;
    test_loads_and_stores(&machine, &tally);
    test_float_moves(&machine, &tally);
    test_faults(&machine, &tally);
    test_illegal(&machine, &tally);
    test_atomics(&machine, &tally);
    test_reservations(&machine, &tally);
    test_stops(&machine, &tally);
    test_request(&machine, &tally);
    test_two_harts(&machine, &tally);
    test_custom(&machine, &tally);
    test_state(&machine, &tally);
    test_costs(&tally);
    test_flush(&machine, &tally);
    machine_deinit(&machine);
    printf("%u checks, %u failures\n", tally.checks, tally.failures);
    return tally.failures == 0 ? 0 : 1;
}
