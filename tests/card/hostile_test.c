// SPDX-License-Identifier: Apache-2.0
// Random packets, command buffers, page tables and descriptors: the card refuses or faults, touches
// nothing that is not its own (the sanitizers watch), and works on.
#include <string.h>

#include "support/dtype.h"
#include "tests/card/launch.h"

#define ROUNDS 400

typedef struct random {
    uint64_t state;
} random_t;

static uint64_t draw(random_t *random) { // splitmix64
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

// Mostly small, at times huge or an address.
static uint64_t draw_value(random_t *random) {
    static const uint64_t places[] = {DATA_VA, CODE_VA,       ISA_LM_BASE, ISA_SRAM_BASE,
                                      0,       ISA_VA_STACK,  HOST_BASE,   ISA_VA_HEAP,
                                      4096,    ISA_VA_END - 8};
    uint64_t kind = draw(random) % 8;
    if (kind < 3)
        return draw(random) % 40;
    if (kind < 7)
        return places[draw(random) % 10] + draw(random) % 64 * 8;
    return draw(random);
}

static void works_on(launch_t *launch) {
    program_t p = {.n = 0};
    li(&p, T0, 4711);
    sd(&p, T0, A0, 0);
    finish(&p, 0);
    launch->data[0] = 0;
    launch_revive(launch);
    CHECK_EQUAL(launch_run(launch, &p, 1).type, ISA_COMP_DONE);
    CHECK_EQUAL(launch->data[0], 4711);
}

static void drain_faults(owner_t *owner) {
    while (owner_has_fault(owner))
        (void)owner_fault(owner);
}

// Rows and bytes stay small, so that a valid packet ends soon; the ring and the tables are
// out of reach of what is drawn, as a driver's are of its own packets.
static void test_ring(launch_t *launch, random_t *random) {
    owner_t *owner = launch->owner;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t node = draw(random) % 2;
        isa_ring_packet_t packet;
        for (uint32_t word = 1; word < 8; word++)
            packet.words[word] = draw(random) % 2 != 0 ? draw_value(random) : 0;
        packet.words[0] =
            draw(random) % 9 | (draw(random) & draw(random) & 0xff) << 8 | draw(random) % 5 << 32;
        packet.words[4] %= 10000;
        packet.words[6] = 0; // no fence written anywhere
        packet.words[7] = ++owner->fence;
        packet.head.flags |= ISA_RING_FLAG_COMPLETE;
        if (packet.head.op == ISA_RING_COPY || packet.head.op == ISA_RING_FILL)
            packet.head.flags &= (uint8_t)~ISA_RING_FLAG_TO_SYS;
        if (packet.head.op == ISA_RING_PTE_WRITE)
            packet.head.flags &= (uint8_t)~ISA_RING_FLAG_TO_SYS;
        if (draw(random) % 2 != 0)
            packet.words[1] = owner_dma(owner, owner->context);
        (void)owner_do(owner, node, packet);
        launch_revive(launch);
        drain_faults(owner);
    }
    works_on(launch);
}

static void test_command_buffers(launch_t *launch, random_t *random) {
    static const uint32_t sizes[] = {8, 64, 48, 48, 24, 16, 24, 40};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t ib[32];
        uint32_t n = 0;
        while (n < 16) {
            uint32_t op = draw(random) % 9;
            if (op == ISA_IB_LAUNCH && draw(random) % 4 != 0)
                op = ISA_IB_FILL; // most random launches end at once
            uint32_t words = op < 8 ? sizes[op] / 8 : 1;
            ib[n] = op | (uint64_t)words * 8 << 32;
            if (draw(random) % 16 == 0)
                ib[n] ^= UINT64_C(1) << draw(random) % 64;
            for (uint32_t word = 1; word < words; word++)
                ib[n + word] = draw_value(random);
            if (op == ISA_IB_COPY || op == ISA_IB_FILL) {
                ib[n + 3] %= 5000;                                       // bytes
                ib[n + 4] = draw(random) % 6 | draw(random) % 300 << 32; // rows, pitch
                ib[n + 5] = op == ISA_IB_COPY ? draw(random) % 300 : 0;
            }
            n += words;
        }
        (void)owner_run_ib(launch->owner, ib, n * 8);
        launch_revive(launch);
        drain_faults(launch->owner);
    }
    works_on(launch);
}

// One field after another of a descriptor is drawn; most of them near what makes sense.
static xa_desc_t draw_desc(random_t *random, xa_engine_t engine) {
    xa_desc_t desc = {.bytes = {0}};
    for (size_t i = 0; i < isa_n_fields; i++) {
        const isa_field_row_t *row = &isa_fields[i];
        if (row->desc != isa_engines[engine].desc)
            continue;
        for (uint32_t element = 0; element < row->length; element++) {
            uint64_t value = 0;
            switch (row->type) {
            case ISA_FIELD_U8:
                value = draw(random) % (draw(random) % 8 != 0 ? 4 : 60);
                break;
            case ISA_FIELD_U32:
                value = draw(random) % (draw(random) % 8 != 0 ? 4 : 100000);
                break;
            case ISA_FIELD_I32:
            case ISA_FIELD_I64:
                value = draw(random) % 8 != 0 ? draw(random) % 65 * 4 : 0 - draw(random) % 70000;
                break;
            case ISA_FIELD_U64:
                value = draw_value(random);
                break;
            case ISA_FIELD_F32:
                value = 0x3f800000;
                break;
            }
            if (strcmp(row->name, "flags") == 0)
                value = draw(random) & draw(random) & isa_flag_mask(row->desc);
            else if (draw(random) % 64 == 0)
                value = draw(random);
            CHECK(isa_field_set(row->desc, &desc, row->index + element, value));
        }
    }
    if (draw(random) % 4 != 0) { // types that go together
        desc.bytes[engine == XA_VEC ? 8 : 4] = desc.bytes[engine == XA_VEC ? 9 : 5] = DTYPE_F32;
        desc.bytes[engine == XA_VEC ? 10 : 6] = engine == XA_MAT ? DTYPE_F32 : 0;
    }
    return desc;
}

static void test_descriptors(launch_t *launch, random_t *random) {
    uint32_t n_done = 0;
    for (int i = 0; i < ROUNDS; i++) {
        program_t p = {.n = 0};
        uint8_t *data = (uint8_t *)launch->data;
        for (uint32_t j = 0; j < 4; j++) {
            xa_insn_t insn =
                (xa_insn_t)(XA_I_DMA_IN + draw(random) % (XA_INSN_COUNT - XA_I_DMA_IN));
            xa_engine_t engine = (xa_engine_t)isa_insns[insn].engine;
            xa_desc_t desc = draw_desc(random, engine);
            memcpy(data + 0x8000 + j * 256, &desc, sizeof desc);
            li(&p, T0, DATA_VA + 0x8000 + j * 256);
            cfg_load(&p, engine, T0);
            bool dma = engine <= XA_DMAO;
            for (uint32_t reg = T0; reg <= T2; reg++)
                li(&p, reg, dma ? draw_value(random) : ISA_LM_BASE + draw(random) % 4096 * 4);
            issue(&p, insn, T3, T0, T1, draw(random) % 2 != 0 ? T2 : ZERO);
        }
        finish(&p, 0);
        n_done += launch_run(launch, &p, 1).type == ISA_COMP_DONE;
        launch_revive(launch);
        drain_faults(launch->owner);
    }
    CHECK(n_done > 0 && n_done < ROUNDS);
    works_on(launch);
}

// A last-level table of random entries, read through.
static void test_tables(launch_t *launch, random_t *random) {
    owner_t *owner = launch->owner;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t va = ISA_VA_WEIGHTS + draw(random) % 512 * 4096;
        uint64_t *entry = owner_pte(owner, va);
        *entry = draw(random) % 2 != 0
                     ? draw(random)
                     : (draw_value(random) & ISA_PTE_ADDRESS) | (draw(random) & 0x7f);
        isa_ib_copy_t ib = {.head = {.op = ISA_IB_COPY, .bytes = ISA_IB_COPY_BYTES},
                            .dst = DATA_VA,
                            .src = va + draw(random) % 4096,
                            .bytes = 8,
                            .rows = 1};
        (void)owner_run_ib(owner, &ib, sizeof ib);
        launch_revive(launch);
        drain_faults(owner);
    }
    works_on(launch);
}

static void run_all(const owner_options_t *options, uint64_t seed) {
    owner_t owner;
    launch_t launch;
    random_t random = {seed};
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    test_command_buffers(&launch, &random);
    test_tables(&launch, &random);
    test_descriptors(&launch, &random);
    test_ring(&launch, &random);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 1, .engines = SIM_ENGINES_REF}, 1);
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .engines = SIM_ENGINES_FAST}, 2);
    run_all(&(owner_options_t){.cores = 1, .no_map = true, .engines = SIM_ENGINES_REF}, 3);
    return 0;
}
