// SPDX-License-Identifier: Apache-2.0
// Every row of the Xaccel table that issues, in every mode, in a program on the card: the program
// brings in an image of LM, sets a descriptor, issues, waits, and takes LM out again. The image
// must be what the issue makes of it without a card: bit for bit on ref, within the exactness
// column on fast; and with timing the same bits, and the same cycles on any number of threads.
#include <string.h>

#include "driver/sim/engine_fast.h"
#include "isa/table.h"
#include "tests/card/launch.h"
#include "tests/card/rows.h"
#include "tests/card/rows_modes.h"
#include "tests/engine/compare.h"

#define CORES       2u // each runs the case in a place of its own
#define ROWS_VA     ISA_VA_IO
#define CORE_BYTES  0x180000u
#define LM_OUT_AT   0x80000u // in a core's place: LM before, LM after, memory, descriptors
#define DRAM_AT     0x100000u
#define DESC_AT     0x140000u
#define COPY_AT     (DESC_AT + XA_DESC_BYTES)
#define MAX_CASES   2000u
#define MOST_TURNS  4000u // cases of a row, until all its modes were seen
#define LEAST_CASES 6u    // of a row

_Static_assert(XA_I_DMA_IN == 5, "a row that does not issue has no program here yet");

typedef struct outcome {
    uint64_t hash, cycles;
} outcome_t;

typedef struct rows {
    run_t run; // ref: without a card; other: what the card made
    machine_t fast;
    owner_t owner;
    launch_t launch;
    uint8_t *place; // CORES of CORE_BYTES
    bool is_fast, timing, off_formula;
    uint64_t lm_bytes; // of the image that is moved
    uint32_t n_cases;
    outcome_t outcomes[MAX_CASES];
} rows_t;

// --- The program ---------------------------------------------------------------------------------

static void set_address(program_t *p, uint32_t rd, uint64_t va) {
    bool mapped = va >= ISA_VA_BASE;
    li(p, rd, mapped ? va - ISA_VA_BASE + DRAM_AT : va);
    if (mapped)
        add(p, rd, rd, S0);
}

static uint64_t field_value(const xa_desc_t *desc, const isa_field_row_t *row, unsigned element) {
    uint64_t value = 0;
    memcpy(&value, desc->bytes + row->offset + element * row->bytes, row->bytes);
    // What the field has no room for is dropped.
    return row->bytes == 8 ? value : value | UINT64_C(0xa5a5a5a5) << row->bytes * 8;
}

// The descriptor lies in memory with wrong fields, which the program sets right: all of them, or
// the one of number `turn`.
static void set_fields(program_t *p, xa_engine_t engine, const xa_desc_t *desc, uint32_t turn,
                       xa_desc_t *out_wrong) {
    isa_desc_kind_t kind = isa_engines[engine].desc;
    unsigned n = 0, element = 0;
    while (isa_field_find(kind, n, &element) != NULL)
        n++;
    CHECK(n > 30);
    *out_wrong = *desc;
    for (unsigned i = 0; i < n; i++) {
        const isa_field_row_t *row = isa_field_find(kind, i, &element);
        if (turn % 2 == 1 && i != turn / 2 % n)
            continue;
        uint64_t value = field_value(desc, row, element);
        CHECK(isa_field_set(kind, out_wrong, i, ~value));
        li(p, T0, value);
        cfg_set(p, engine, i, T0);
    }
}

static void copy_image(program_t *p, xa_insn_t insn, uint32_t ticket, uint32_t at) {
    xa_engine_t engine = (xa_engine_t)isa_insns[insn].engine;
    li(p, T0, COPY_AT);
    add(p, T0, T0, S0);
    cfg_load(p, engine, T0);
    li(p, T1, at);
    add(p, T1, T1, S0);
    li(p, T2, ISA_LM_BASE);
    bool in = insn == XA_I_DMA_IN;
    issue(p, insn, ticket, in ? T2 : T1, in ? T1 : T2, ZERO);
}

static void case_program(program_t *p, const test_case_t *test, uint32_t turn,
                         xa_desc_t *out_wrong) {
    xa_engine_t engine = (xa_engine_t)isa_insns[test->insn].engine;
    li(p, S0, CORE_BYTES);
    mul(p, S0, S0, A1);
    li(p, T0, ROWS_VA);
    add(p, S0, S0, T0);
    copy_image(p, XA_I_DMA_IN, T3, 0);
    li(p, T0, DESC_AT);
    add(p, T0, T0, S0);
    cfg_load(p, engine, T0);
    set_fields(p, engine, &test->desc, turn, out_wrong);
    set_address(p, A3, test->rs1);
    set_address(p, A4, test->rs2);
    set_address(p, A5, test->rs3);
    after_ticket(p, engine, T3, XA_DMAI);
    issue(p, test->insn, T4, A3, A4, A5);
    wait_ticket(p, T4, engine);
    copy_image(p, XA_I_DMA_OUT, T5, LM_OUT_AT);
    wait_ticket(p, T5, XA_DMAO);
    finish(p, 0);
}

// --- The images ----------------------------------------------------------------------------------

// LM up to the last byte that the case uses, and a piece beyond, where nothing may change.
static uint64_t used_bytes(const rows_t *rows) {
    const machine_t *before = &rows->run.before, *after = &rows->run.ref;
    uint64_t n = before->lm_bytes;
    while (n != 0) {
        uint32_t noise = (uint32_t)((n - 4) * 2654435761u), was, is;
        memcpy(&was, before->lm + n - 4, 4);
        memcpy(&is, after->lm + n - 4, 4);
        if (was != noise || is != noise)
            break;
        n -= 4;
    }
    n = (n + 4095) / 4096 * 4096 + 4096;
    return n < before->lm_bytes ? n : before->lm_bytes;
}

static void put_images(rows_t *rows, const xa_desc_t *wrong) {
    uint32_t words = (uint32_t)(rows->lm_bytes / 8);
    xa_desc_t copy = {.dma = {.src_type = DTYPE_U64,
                              .dst_type = DTYPE_U64,
                              .count = {1, 1, 1, 1, words},
                              .src_stride = {0, 0, 0, 0, 8},
                              .dst_stride = {0, 0, 0, 0, 8},
                              .alpha = 1}};
    for (uint32_t i = 0; i < CORES; i++) {
        uint8_t *place = rows->place + (size_t)i * CORE_BYTES;
        memcpy(place, rows->run.before.lm, rows->lm_bytes);
        memset(place + LM_OUT_AT, 0xcc, rows->lm_bytes);
        memcpy(place + DRAM_AT, rows->run.before.dram, MACHINE_DRAM_BYTES);
        memcpy(place + DESC_AT, wrong, XA_DESC_BYTES);
        memcpy(place + COPY_AT, &copy, XA_DESC_BYTES);
    }
}

static bool same_images(const rows_t *rows, const machine_t *want) {
    return memcmp(rows->run.other.lm, want->lm, want->lm_bytes) == 0 &&
           memcmp(rows->run.other.dram, want->dram, MACHINE_DRAM_BYTES) == 0;
}

static uint64_t hash_bytes(uint64_t hash, const uint8_t *data, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

// Both cores made the same of it; core 0's images go to `other`.
static uint64_t take_images(rows_t *rows) {
    const uint8_t *a = rows->place, *b = rows->place + CORE_BYTES;
    if (memcmp(a + LM_OUT_AT, b + LM_OUT_AT, rows->lm_bytes) != 0 ||
        memcmp(a + DRAM_AT, b + DRAM_AT, MACHINE_DRAM_BYTES) != 0)
        case_complain(&rows->run, "the cores differ", NULL, 0, 0, 0);
    memcpy(rows->run.other.lm, rows->run.before.lm, rows->run.before.lm_bytes);
    memcpy(rows->run.other.lm, a + LM_OUT_AT, rows->lm_bytes);
    memcpy(rows->run.other.dram, a + DRAM_AT, MACHINE_DRAM_BYTES);
    uint64_t hash = hash_bytes(rows->n_cases, a + LM_OUT_AT, rows->lm_bytes);
    return hash_bytes(hash, a + DRAM_AT, MACHINE_DRAM_BYTES);
}

// --- One case ------------------------------------------------------------------------------------

static void check_case(rows_t *rows) {
    run_t *run = &rows->run;
    const test_case_t *t = &run->test;
    if (!rows->is_fast) {
        if (!same_images(rows, &run->ref))
            case_complain(run, "the card's ref differs", NULL, 0, 0, 0);
        return;
    }
    if (!rows->off_formula) {
        case_compare(run);
        return;
    }
    // No bound is at hand for such a combination: the same set without a card decides.
    sim_fault_t fault = {0};
    machine_copy(&rows->fast, &run->before);
    CHECK(machine_issue(&rows->fast, t->insn, &t->desc, t->rs1, t->rs2, t->rs3, &fault));
    if (!same_images(rows, &rows->fast))
        case_complain(run, "the card's fast differs", NULL, 0, 0, 0);
}

static void run_case(rows_t *rows, uint32_t turn) {
    run_t *run = &rows->run;
    const test_case_t *t = &run->test;
    sim_fault_t fault = {0};
    program_t p = {.n = 0};
    xa_desc_t wrong;
    machine_copy(&run->ref, &run->before);
    if (!machine_issue(&run->ref, t->insn, &t->desc, t->rs1, t->rs2, t->rs3, &fault)) {
        case_complain(run, "refused without a card", NULL, 0, 0, 0);
        return;
    }
    rows->lm_bytes = used_bytes(rows);
    case_program(&p, t, turn, &wrong);
    put_images(rows, &wrong);
    isa_completion_t entry = launch_run(&rows->launch, &p, CORES);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    CHECK(rows->launch.stats[0].engine_issues[isa_insns[t->insn].engine] >= CORES);
    CHECK(rows->n_cases < MAX_CASES);
    rows->outcomes[rows->n_cases++] = (outcome_t){take_images(rows), entry.info};
    CHECK(!rows->timing || entry.info != 0);
    check_case(rows);
}

// Cases of one row until each of its modes was seen.
static void run_row(rows_t *rows, xa_insn_t insn) {
    const modes_t wanted = modes_required(insn);
    modes_t seen = {{0}};
    run_t *run = &rows->run;
    uint32_t n_rows = XA_INSN_COUNT - XA_I_DMA_IN, first = rows->n_cases;
    for (uint32_t turn = 0; turn < MOST_TURNS; turn++) {
        if (rows->n_cases - first >= LEAST_CASES && !modes_new(&wanted, &wanted, &seen))
            return;
        run->number = turn * n_rows + (uint32_t)(insn - XA_I_DMA_IN);
        case_make(run->seed, run->number, &run->before, &run->test);
        CHECK(run->test.insn == insn);
        rows->off_formula = modes_widen(&run->test, turn);
        modes_t modes = modes_of(&run->test);
        if (rows->n_cases - first >= LEAST_CASES && !modes_new(&modes, &wanted, &seen))
            continue;
        run_case(rows, rows->n_cases - first);
        for (int i = 0; i < MODE_KINDS; i++)
            seen.bits[i] |= modes.bits[i];
    }
    fprintf(stderr, "%s: modes without a case:", isa_insns[insn].mnemonic);
    for (int i = 0; i < MODE_KINDS; i++)
        fprintf(stderr, " %llx", (unsigned long long)(wanted.bits[i] & ~seen.bits[i]));
    fprintf(stderr, "\n");
    run->failures++;
}

// --- All of it -----------------------------------------------------------------------------------

// A flag that no row asks for is one that nobody runs.
static void check_flags(void) {
    uint64_t flags[ISA_DESC_COUNT] = {0};
    for (unsigned i = XA_I_DMA_IN; i < XA_INSN_COUNT; i++)
        flags[isa_engines[isa_insns[i].engine].desc] |=
            modes_required((xa_insn_t)i).bits[MODE_FLAG];
    for (unsigned i = 0; i < ISA_DESC_COUNT; i++)
        CHECK_EQUAL(flags[i], isa_flag_mask((isa_desc_kind_t)i));
}

static void run_set(rows_t *rows, const owner_options_t *options) {
    owner_start(&rows->owner, options);
    launch_init(&rows->launch, &rows->owner);
    rows->place = owner_map_host(&rows->owner, ROWS_VA, CORES * CORE_BYTES, ISA_PTE_W);
    rows->is_fast = options->engines == SIM_ENGINES_FAST;
    rows->timing = options->timing;
    rows->n_cases = 0;
    memset(rows->run.before.dram, 0, MACHINE_DRAM_BYTES); // cases leave theirs there
    for (unsigned i = XA_I_DMA_IN; i < XA_INSN_COUNT; i++)
        run_row(rows, (xa_insn_t)i);
    owner_stop(&rows->owner);
}

static void run_engines(rows_t *rows, sim_engines_t engines) {
    static outcome_t plain[MAX_CASES], timed[MAX_CASES];
    owner_options_t options = {.cores = CORES, .threads = 2, .engines = engines};
    run_set(rows, &options);
    uint32_t n = rows->n_cases;
    memcpy(plain, rows->outcomes, sizeof plain);
    options.timing = true;
    for (uint32_t turn = 0; turn < 2; turn++) {
        options.threads = 1 + turn;
        run_set(rows, &options);
        CHECK_EQUAL(rows->n_cases, n);
        for (uint32_t i = 0; i < n; i++) {
            CHECK_EQUAL(rows->outcomes[i].hash, plain[i].hash);
            CHECK(turn == 0 || rows->outcomes[i].cycles == timed[i].cycles);
        }
        memcpy(timed, rows->outcomes, sizeof timed);
    }
    printf("%s: %u cases of %u rows, %u failures\n", engines == SIM_ENGINES_FAST ? "fast" : "ref",
           n, XA_INSN_COUNT - XA_I_DMA_IN, rows->run.failures);
}

int main(void) {
    static rows_t rows;
    rows.run.seed = 11;
    check_flags();
    rows_config_test();
    machine_init(&rows.run.before, &sim_engine_ref, false);
    machine_init(&rows.run.ref, &sim_engine_ref, false);
    machine_init(&rows.run.other, &sim_engine_fast, false);
    machine_init(&rows.fast, &sim_engine_fast, false);
    run_engines(&rows, SIM_ENGINES_REF);
    run_engines(&rows, SIM_ENGINES_FAST);
    machine_deinit(&rows.run.before);
    machine_deinit(&rows.run.ref);
    machine_deinit(&rows.run.other);
    machine_deinit(&rows.fast);
    return rows.run.failures != 0;
}
