// SPDX-License-Identifier: Apache-2.0
// Runs on the card: `what` is work_what_t, `data` and `result` WORK_NUMBERS numbers each.
#include "isa/device.h"
#include "tests/driver/prog.h"
#include "tests/soak/work.h"

#define STRINGS       "what\0data\0result\0"
#define STRINGS_BYTES 24

typedef struct note {
    prog_note_head_t head;
    isa_note_t note;
    isa_io_t io[3];
    char strings[STRINGS_BYTES];
} note_t;

#define NOTE_BYTES (sizeof(note_t) - sizeof(prog_note_head_t))
#define NUMBERS(at, count)                                                                         \
    {                                                                                              \
        .name = (at), .dtype = 7, .rank = 1, .dims = { {.value = (count), .symbol = -1} }          \
    }

PROG_NOTE_SECTION const note_t note = {
    .head = PROG_NOTE_HEAD(NOTE_BYTES),
    .note = {.version = ISA_IMAGE_VERSION,
             .bytes = NOTE_BYTES,
             .profile_hash = PROFILE_HASH,
             .profile = PROFILE_NAME,
             .flags = ISA_IMAGE_MAY_GROW,
             .n_inputs = 2,
             .n_outputs = 1,
             .io_offset = sizeof(isa_note_t),
             .symbols_offset = sizeof(isa_note_t) + 3 * sizeof(isa_io_t),
             .strings_offset = sizeof(isa_note_t) + 3 * sizeof(isa_io_t),
             .strings_bytes = STRINGS_BYTES,
             .heap_min = 16384,
             .stack_bytes = 16384},
    .io = {NUMBERS(0, 8), NUMBERS(5, WORK_NUMBERS), NUMBERS(10, WORK_NUMBERS)},
    .strings = STRINGS,
};

__asm__(".section .xaccel.debug,\"\",@progbits\n"
        ".balign 8\n"
        ".long 1, 1, 1, 16\n"
        ".quad 0\n"
        ".long 0, 0\n"
        ".long 0, 5\n"
        ".quad 0\n"
        ".asciz \"soak\"\n"
        ".asciz \"Mul\"\n"
        ".balign 8\n"
        ".text\n");

static volatile uint64_t n_launches = 7; // as the file has it at every launch

typedef struct work {
    isa_args_t *args;
    const volatile uint64_t *data;
    volatile uint64_t *result;
    const volatile uint64_t *stop;
    uint64_t mode, number, seed, core, cores;
} work_t;

static int multiply(const work_t *w) {
    for (uint64_t i = w->core; i < WORK_NUMBERS - 1; i += w->cores)
        w->result[i] = 3 * w->data[i] + w->number;
    return 0;
}

static const xa_dma_desc_t bytes_desc = {.src_type = 2,
                                         .dst_type = 2,
                                         .count = {1, 1, 1, 1, 1},
                                         .src_stride = {0, 0, 0, 0, 1},
                                         .dst_stride = {0, 0, 0, 0, 1}};

static void describe(uint64_t bytes) {
    xa_cfg_load(XA_DMAI, &bytes_desc);
    xa_cfg_load(XA_DMAO, &bytes_desc);
    xa_cfg_set(XA_DMAI, XA_F_dma_count + 4, bytes);
    xa_cfg_set(XA_DMAO, XA_F_dma_count + 4, bytes);
}

// The half of this core, through its local memory.
static int move(const work_t *w) {
    uint64_t bytes = WORK_BYTES / w->cores, at = w->core * bytes;
    describe(bytes);
    uint64_t in = xa_dma_in(ISA_LM_BASE, (uint64_t)w->data + at, 0);
    xa_after(XA_DMAO, XA_DMAI, in);
    uint64_t out = xa_dma_out((uint64_t)w->result + at, ISA_LM_BASE, 0);
    xa_wait(XA_DMAO, out);
    return 0;
}

static int reach(const work_t *w) {
    describe(64);
    xa_wait(XA_DMAI, xa_dma_in(ISA_LM_BASE, w->number, 0));
    return 0;
}

static int use_state(const work_t *w) {
    volatile uint64_t *lm = (volatile uint64_t *)ISA_LM_BASE;
    work_state_t state;
    work_begin(lm, w->seed, w->core, &state);
    for (uint64_t round = 0; round < w->number; round++) {
        work_round(lm, round, &state);
        if (round % 64 == 63)
            xa_wait(XA_VEC, xa_barrier_vec());
    }
    w->result[w->core] = work_end(lm, &state);
    return 0;
}

// The sum of numbers that stand all over the heap.
static int grow(const work_t *w) {
    isa_args_t *args = w->args;
    if (w->core != 0)
        return 0;
    if (w->number > args->heap_bytes && prog_ecall(ISA_ECALL_HEAP, w->number, 0) != 0)
        return ISA_EXIT_HEAP;
    volatile uint64_t *numbers = (volatile uint64_t *)args->heap;
    uint64_t n = w->number / 8, sum = 0;
    for (uint64_t i = 0; i < n; i += 256)
        numbers[i] = i + w->seed;
    for (uint64_t i = 0; i < n; i += 256)
        sum += numbers[i];
    w->result[0] = sum;
    return 0;
}

// --- For tests/isolation ---

static int say_where(const work_t *w) {
    w->result[0] = (uint64_t)w->data;
    w->result[1] = (uint64_t)w->result;
    w->result[2] = (uint64_t)w->args;
    w->result[3] = w->args->heap;
    w->result[4] = (uint64_t)&prog_main;
    return 0;
}

static int fetch(const work_t *w) {
    describe(64);
    xa_wait(XA_DMAI, xa_dma_in(ISA_LM_BASE, w->number, 0));
    w->result[0] = *(volatile uint64_t *)ISA_LM_BASE;
    return 0;
}

// How many of the float registers hold another number than `bits`.
// clang-format off
#define EACH_FLOAT(X)                                                                              \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)          \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
// clang-format on
static inline __attribute__((always_inline)) uint64_t floats_unlike(uint64_t bits) {
    uint64_t n = 0, now;
#define COUNT(number)                                                                              \
    __asm__ volatile("fmv.x.d %0, f" #number : "=r"(now));                                         \
    n += now != bits;
    EACH_FLOAT(COUNT)
#undef COUNT
    return n;
}

static inline __attribute__((always_inline)) void floats_set(uint64_t bits) {
#define SET(number) __asm__ volatile("fmv.d.x f" #number ", %0" : : "r"(bits) : "f" #number);
    EACH_FLOAT(SET)
#undef SET
}

static int look(const work_t *w) {
    uint64_t n = 0, n_floats = floats_unlike(0);
    for (uint64_t i = 0; i < WORK_LM_BYTES / 8; i++)
        n += ((volatile uint64_t *)ISA_LM_BASE)[i] != 0;
    w->result[w->core] = n;
    w->result[2 + w->core] = n_floats;
    return 0;
}

// Apart, so that no other mode saves the float registers that this one changes. Nothing between
// setting and counting works with floats.
static __attribute__((noinline)) int keep(const work_t *w) {
    volatile uint64_t *lm = (volatile uint64_t *)ISA_LM_BASE;
    uint64_t secret = work_mix(w->seed + w->core) | 1, n_wrong = 0;
    for (uint64_t i = 0; i < WORK_LM_BYTES / 8; i++)
        lm[i] = secret + 2 * i;
    floats_set(secret);
    for (uint64_t round = 1; *w->stop == 0; round++)
        w->result[w->core] = round;
    n_wrong = floats_unlike(secret);
    for (uint64_t i = 0; i < WORK_LM_BYTES / 8; i++)
        n_wrong += lm[i] != secret + 2 * i;
    w->result[2 + w->core] = n_wrong;
    return 0;
}

static int hammer(const work_t *w) {
    volatile uint64_t *data = (volatile uint64_t *)(uint64_t)w->data;
    for (uint64_t round = 1; *w->stop == 0; round++) {
        for (uint64_t i = 0; i < w->number / 8; i += 64)
            data[i] = UINT64_MAX;
        w->result[0] = round;
    }
    return 0;
}

// What one core does.
static int probe(const work_t *w) {
    if (w->mode == WORK_LOOK)
        return look(w);
    if (w->mode == WORK_KEEP)
        return keep(w);
    if (w->core != 0)
        return 0;
    switch (w->mode) {
    case WORK_WHERE:
        return say_where(w);
    case WORK_PEEK:
        w->result[0] = *(const volatile uint64_t *)w->number;
        return 0;
    case WORK_FETCH:
        return fetch(w);
    default:
        return hammer(w);
    }
}

// --- What goes wrong ---

static void forever(const work_t *w) {
    for (uint64_t round = 1;; round++)
        w->result[w->core] = round;
}

static int misbehave(const work_t *w) {
    if (w->mode == WORK_LOOP)
        forever(w);
    if (w->core != 0)
        return 0;
    switch (w->mode) {
    case WORK_STORE:
        *(volatile uint64_t *)w->number = 1;
        return 0;
    case WORK_REACH:
        return reach(w);
    case WORK_BARRIER:
        xa_wait(XA_VEC, xa_barrier_vec());
        return 0;
    case WORK_TEXT:
        *(volatile uint32_t *)(uint64_t)&prog_main = 0x00100073;
        return 0;
    case WORK_FAR:
        w->result[0] = *(const volatile uint64_t *)(ISA_LM_BASE + w->number);
        return 0;
    default:
        return (int)w->number;
    }
}

int prog_main(isa_args_t *args, uint64_t core, uint64_t cores) {
    const volatile work_what_t *what = (const volatile work_what_t *)args->io[0].va;
    work_t w = {.args = args,
                .data = (const volatile uint64_t *)args->io[1].va,
                .result = (volatile uint64_t *)args->io[2].va,
                .stop = &what->stop,
                .mode = what->mode,
                .number = what->number,
                .seed = what->seed,
                .core = core,
                .cores = cores};
    int code = 0;
    (void)prog_ecall(ISA_ECALL_NODE, 0, 0);
    switch (w.mode) {
    case WORK_MUL:
        code = multiply(&w);
        break;
    case WORK_DMA:
        code = move(&w);
        break;
    case WORK_STATE:
        code = use_state(&w);
        break;
    case WORK_GROW:
        code = grow(&w);
        break;
    default:
        code = w.mode < WORK_WHERE ? misbehave(&w) : probe(&w);
        break;
    }
    if (core == 0) {
        n_launches += 1;
        if (w.mode != WORK_DMA)
            w.result[WORK_NUMBERS - 1] = n_launches;
        args->io[2].dims[0] = WORK_NUMBERS;
    }
    return code;
}
