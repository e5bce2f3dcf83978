// SPDX-License-Identifier: Apache-2.0
// Rings and their packets; command buffers without launches.
#include <string.h>

#include "tests/card/check.h"
#include "tests/card/owner.h"

#define DATA_VA (ISA_VA_IMAGE + 0x100000)

static void test_many(owner_t *owner) {
    // Several times around both rings; the head comes back with each completion.
    for (uint32_t i = 0; i < 100; i++) {
        isa_ring_packet_t packet = {.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
        isa_completion_t entry = owner_do(owner, ISA_NODE_COMPUTE, packet);
        CHECK_EQUAL(entry.type, ISA_COMP_DONE);
        CHECK_EQUAL(entry.head, owner->nodes[ISA_NODE_COMPUTE].tail);
    }
    // A batch, of which only the last reports.
    for (uint32_t i = 0; i < 15; i++)
        (void)owner_push(owner, ISA_NODE_COMPUTE, (isa_ring_packet_t){.words = {0}});
    CHECK(!owner_has_completion(owner, ISA_NODE_COMPUTE));
    isa_ring_packet_t last = {.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
    (void)owner_do(owner, ISA_NODE_COMPUTE, last);
    CHECK(!owner_has_completion(owner, ISA_NODE_COMPUTE));
    CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(0, LAST_DONE_LO)), (uint32_t)owner->fence);
}

static void test_fence(owner_t *owner) {
    uint64_t *value = owner_alloc(owner, 8);
    isa_ring_packet_t packet = {.fence = {.op = ISA_RING_FENCE,
                                          .flags = ISA_RING_FLAG_COMPLETE,
                                          .address = owner_dma(owner, value),
                                          .fence = UINT64_C(0x123456789abc)}};
    (void)owner_do(owner, ISA_NODE_COPY, packet);
    CHECK_EQUAL(*value, UINT64_C(0x123456789abc));
    packet.fence.address += 4;
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, packet).status, ISA_FAULT_PACKET_BUS);
    CHECK_EQUAL(owner_fault(owner).va, owner_dma(owner, value) + 4);
}

static void bad_packet(owner_t *owner, uint32_t node, isa_ring_packet_t packet) {
    packet.words[7] = ++owner->fence;
    isa_completion_t entry = owner_do(owner, node, packet);
    CHECK_EQUAL(entry.type, ISA_COMP_FAULT);
    CHECK_EQUAL(entry.status, ISA_FAULT_BAD_PACKET);
    isa_fault_record_t record = owner_fault(owner);
    CHECK_EQUAL(record.value, packet.words[0]);
    CHECK_EQUAL(record.core, ISA_FAULT_NO_CORE);
    CHECK_EQUAL(record.node, node);
}

// HEARTBEAT counts pieces of a copy or fill, not only packets.
static void test_long_packets_beat(owner_t *owner) {
    uint64_t bytes = UINT64_C(4) << 20, card = owner_card_alloc(owner, 2 * bytes, true);
    isa_ring_packet_t row = {.copy = {.op = ISA_RING_COPY,
                                      .flags = ISA_RING_FLAG_COMPLETE,
                                      .rows = 1,
                                      .dst = card + bytes,
                                      .src = card,
                                      .bytes = bytes}};
    isa_ring_packet_t rows = row, filled = {.fill = {.op = ISA_RING_FILL,
                                                     .flags = ISA_RING_FLAG_COMPLETE,
                                                     .rows = 1,
                                                     .dst = card,
                                                     .pattern = 7,
                                                     .bytes = bytes}};
    rows.copy.rows = 100;
    rows.copy.bytes = 8;
    rows.copy.dst_pitch = rows.copy.src_pitch = 64;
    const isa_ring_packet_t *packets[] = {&row, &rows, &filled};
    const uint32_t pieces[] = {4, 100, 4};
    for (uint32_t i = 0; i < COUNT_OF(packets); i++) {
        uint32_t before = owner_reg(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, HEARTBEAT));
        CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, *packets[i]).type, ISA_COMP_DONE);
        uint32_t beat = owner_reg(owner, ISA_NODE_REG_AT(ISA_NODE_COPY, HEARTBEAT));
        CHECK(beat - before >= pieces[i]);
    }
}

static void test_bad_packets(owner_t *owner) {
    bad_packet(owner, ISA_NODE_COPY, (isa_ring_packet_t){.head = {.op = 99}});
    bad_packet(owner, ISA_NODE_COPY, (isa_ring_packet_t){.head = {.op = ISA_RING_RUN_IB}});
    bad_packet(owner, ISA_NODE_COMPUTE, (isa_ring_packet_t){.head = {.op = ISA_RING_COPY}});
    bad_packet(owner, ISA_NODE_COPY,
               (isa_ring_packet_t){.head = {.op = ISA_RING_COPY, .flags = 0x80}});
    isa_ring_packet_t reserved = {.fill = {.op = ISA_RING_FILL, .reserved1 = 1}};
    bad_packet(owner, ISA_NODE_COPY, reserved);
    // The record number in `info` counts on, and records fit the ring again and again.
    bad_packet(owner, ISA_NODE_COPY, reserved);
}

static void test_copy(owner_t *owner) {
    uint8_t *a = owner_alloc(owner, 8192), *b = owner_alloc(owner, 8192);
    uint64_t card = owner_card_alloc(owner, 8192, false);
    for (uint32_t i = 0; i < 8192; i++)
        a[i] = (uint8_t)(i * 7 + i / 256);
    isa_ring_packet_t up = {.copy = {.op = ISA_RING_COPY,
                                     .flags = ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_FROM_SYS,
                                     .rows = 9,
                                     .dst = card + 3,
                                     .src = owner_dma(owner, a) + 5,
                                     .bytes = 100,
                                     .dst_pitch = 130,
                                     .src_pitch = 777}};
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, up).type, ISA_COMP_DONE);
    owner_download(owner, b, card, 8192);
    for (uint32_t row = 0; row < 9; row++)
        CHECK(memcmp(b + 3 + row * 130, a + 5 + row * 777, 100) == 0);
    CHECK_EQUAL(b[3 + 100], 0);
    // Host to host, and a fence at its end.
    uint64_t *fence = owner_alloc(owner, 8);
    isa_ring_packet_t across = {
        .copy = {.op = ISA_RING_COPY,
                 .flags = ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_FROM_SYS | ISA_RING_FLAG_TO_SYS,
                 .rows = 1,
                 .dst = owner_dma(owner, b),
                 .src = owner_dma(owner, a),
                 .bytes = 8192,
                 .address = owner_dma(owner, fence)}};
    isa_completion_t entry = owner_do(owner, ISA_NODE_COPY, across);
    CHECK(entry.info > 0);
    CHECK(memcmp(a, b, 8192) == 0);
    CHECK_EQUAL(*fence, entry.fence);
    // Beyond card memory.
    up.copy.dst = UINT64_C(256) << 20;
    up.copy.fence = 0;
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, up).status, ISA_FAULT_PACKET_BUS);
    CHECK_EQUAL(owner_fault(owner).va, UINT64_C(256) << 20);
}

static void fill(owner_t *owner, uint64_t dst, uint64_t pattern, uint64_t bytes, uint8_t flags) {
    isa_ring_packet_t packet = {.fill = {.op = ISA_RING_FILL,
                                         .flags = (uint8_t)(flags | ISA_RING_FLAG_COMPLETE),
                                         .rows = 1,
                                         .dst = dst,
                                         .pattern = pattern,
                                         .bytes = bytes}};
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, packet).type, ISA_COMP_DONE);
}

static void test_fill(owner_t *owner) {
    uint64_t pattern = UINT64_C(0x1122334455667788);
    uint64_t card = owner_card_alloc(owner, 5 * 4096, false);
    uint8_t data[5 * 4096], expected[8];
    memcpy(expected, &pattern, 8);
    fill(owner, card + 1, pattern, 5 * 4096 - 1, 0);
    owner_download(owner, data, card, sizeof data);
    for (uint32_t i = 1; i < sizeof data; i++)
        CHECK_EQUAL(data[i], expected[(i - 1) % 8]);
    fill(owner, card + 100, 0, 4 * 4096, ISA_RING_FLAG_DISCARD);
    owner_download(owner, data, card, sizeof data);
    for (uint32_t i = 1; i < sizeof data; i++)
        CHECK_EQUAL(data[i], i >= 100 && i < 100 + 4 * 4096 ? 0 : expected[(i - 1) % 8]);
    uint8_t *host = owner_alloc(owner, 4096);
    fill(owner, owner_dma(owner, host) + 7, pattern, 33, ISA_RING_FLAG_TO_SYS);
    CHECK_EQUAL(host[6], 0);
    CHECK(memcmp(host + 7 + 24, expected, 8) == 0);
    CHECK_EQUAL(host[7 + 32], expected[0]);
    CHECK_EQUAL(host[7 + 33], 0);
}

// Tables in card memory, written by PTE_WRITE, used by a copy to virtual addresses.
static void test_pte_write(owner_t *owner) {
    uint64_t tables = owner_card_alloc(owner, 4 * 4096, false);
    uint64_t pages = owner_card_alloc(owner, 3 * 4096, false);
    uint64_t va = ISA_VA_HEAP + 0x5000;
    for (uint32_t level = 3; level > 0; level--) {
        uint64_t table = tables + (3 - level) * 4096;
        isa_ring_packet_t packet = {.pte_write = {.op = ISA_RING_PTE_WRITE,
                                                  .flags = ISA_RING_FLAG_COMPLETE,
                                                  .count = 1,
                                                  .dst = table + isa_pte_index(va, level) * 8,
                                                  .value = (table + 4096) | ISA_PTE_V}};
        CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, packet).type, ISA_COMP_DONE);
    }
    isa_ring_packet_t leaves = {.pte_write = {.op = ISA_RING_PTE_WRITE,
                                              .flags = ISA_RING_FLAG_COMPLETE,
                                              .count = 3,
                                              .dst = tables + 3 * 4096 + isa_pte_index(va, 0) * 8,
                                              .value = pages | ISA_PTE_V | ISA_PTE_LEAF | ISA_PTE_W,
                                              .step = 4096}};
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, leaves).type, ISA_COMP_DONE);
    isa_context_t *context = owner_alloc(owner, sizeof *context);
    *context = (isa_context_t){.root = tables, .asid = 9};
    uint8_t *host = owner_alloc(owner, 3 * 4096), data[3 * 4096];
    for (uint32_t i = 0; i < sizeof data; i++)
        host[i] = (uint8_t)(i ^ i >> 8);
    isa_ring_packet_t copy = {
        .copy = {.op = ISA_RING_COPY,
                 .flags = ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_FROM_SYS | ISA_RING_FLAG_TO_VA,
                 .rows = 1,
                 .context = owner_dma(owner, context),
                 .dst = va,
                 .src = owner_dma(owner, host),
                 .bytes = sizeof data}};
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, copy).type, ISA_COMP_DONE);
    owner_download(owner, data, pages, sizeof data);
    CHECK(memcmp(data, host, sizeof data) == 0);
    copy.copy.bytes += 1; // the page behind is not mapped
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, copy).status, ISA_FAULT_PAGE_INVALID);
    isa_fault_record_t record = owner_fault(owner);
    CHECK_EQUAL(record.va, va + sizeof data);
    CHECK_EQUAL(record.access, ISA_ACCESS_WRITE);
    CHECK_EQUAL(record.asid, 9);
    leaves.pte_write.dst = 4; // misaligned
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, leaves).status, ISA_FAULT_PACKET_BUS);
    (void)owner_fault(owner);
}

static void test_command_buffer(owner_t *owner) {
    struct {
        isa_ib_head_t nop;
        isa_ib_fill_t fill;
        isa_ib_copy_t copy;
        isa_ib_time_t time;
        isa_ib_signal64_t signal;
    } ib = {
        .nop = {.op = ISA_IB_NOP, .bytes = ISA_IB_NOP_BYTES},
        .fill = {.head = {.op = ISA_IB_FILL, .bytes = ISA_IB_FILL_BYTES},
                 .dst = DATA_VA,
                 .pattern = UINT64_C(0x0807060504030201),
                 .bytes = 24,
                 .rows = 2,
                 .dst_pitch = 32},
        .copy = {.head = {.op = ISA_IB_COPY, .bytes = ISA_IB_COPY_BYTES},
                 .dst = DATA_VA + 0xffc,
                 .src = DATA_VA,
                 .bytes = 8,
                 .rows = 3,
                 .dst_pitch = 16,
                 .src_pitch = 8},
        .time = {.head = {.op = ISA_IB_TIME, .bytes = ISA_IB_TIME_BYTES}, .va = DATA_VA + 0x800},
        .signal = {.head = {.op = ISA_IB_SIGNAL64, .bytes = ISA_IB_SIGNAL64_BYTES},
                   .va = DATA_VA + 0x900,
                   .value = 77},
    };
    uint64_t *data = owner_map_host(owner, DATA_VA, 0x2000, ISA_PTE_W);
    isa_completion_t entry = owner_run_ib(owner, &ib, sizeof ib);
    CHECK_EQUAL(entry.type, ISA_COMP_DONE);
    CHECK_EQUAL(data[2], UINT64_C(0x0807060504030201));
    CHECK_EQUAL(data[3], 0);
    CHECK_EQUAL(data[4], UINT64_C(0x0807060504030201));
    uint64_t moved;
    memcpy(&moved, (uint8_t *)data + 0xffc + 32, 8);
    CHECK_EQUAL(moved, UINT64_C(0x0807060504030201));
    isa_time_t time;
    memcpy(&time, data + 0x100, sizeof time);
    CHECK(time.clock_ns != 0 && time.clock_ns <= entry.time);
    CHECK(time.cycles > 0 && time.cycles <= entry.info);
    CHECK_EQUAL(data[0x120], 77);
    CHECK_EQUAL(owner->context->cycles, entry.info);
}

static void bad_ib(owner_t *owner, const void *ib, uint32_t bytes, isa_fault_t cause) {
    CHECK_EQUAL(owner_run_ib(owner, ib, bytes).status, cause);
    CHECK_EQUAL(owner_fault(owner).cause, cause);
    // The context is lost: what comes later does not run.
    isa_ib_head_t nop = {.op = ISA_IB_NOP, .bytes = ISA_IB_NOP_BYTES};
    CHECK_EQUAL(owner_run_ib(owner, &nop, sizeof nop).type, ISA_COMP_ABORTED);
    owner->context->state = ISA_CTX_STATE_READY;
}

static void test_bad_buffers(owner_t *owner) {
    isa_ib_head_t unknown = {.op = 99, .bytes = 8};
    isa_ib_head_t flags = {.op = ISA_IB_NOP, .flags = 1, .bytes = 8};
    isa_ib_head_t truncated = {.op = ISA_IB_COPY, .bytes = ISA_IB_COPY_BYTES};
    isa_ib_head_t wrong_size = {.op = ISA_IB_NOP, .bytes = 4};
    isa_ib_signal64_t misaligned = {.head = {.op = ISA_IB_SIGNAL64, .bytes = ISA_IB_SIGNAL64_BYTES},
                                    .va = DATA_VA + 4};
    isa_ib_signal64_t unmapped = misaligned, space = misaligned;
    unmapped.va = ISA_VA_WEIGHTS;
    space.va = 0x1000;
    isa_ib_buffers_t buffers = {.head = {.op = ISA_IB_BUFFERS, .bytes = ISA_IB_BUFFERS_BYTES},
                                .stats = DATA_VA,
                                .stats_entries = ISA_STATS_MAX_ENTRIES + 1};
    bad_ib(owner, &unknown, 8, ISA_FAULT_BAD_IB);
    bad_ib(owner, &flags, 8, ISA_FAULT_BAD_IB);
    bad_ib(owner, &truncated, 8, ISA_FAULT_BAD_IB);
    bad_ib(owner, &wrong_size, 8, ISA_FAULT_BAD_IB);
    bad_ib(owner, &misaligned, sizeof misaligned, ISA_FAULT_MISALIGNED);
    bad_ib(owner, &unmapped, sizeof unmapped, ISA_FAULT_PAGE_INVALID);
    bad_ib(owner, &space, sizeof space, ISA_FAULT_BAD_SPACE);
    bad_ib(owner, &buffers, sizeof buffers, ISA_FAULT_BAD_IB);
    isa_ring_packet_t packet = {
        .run_ib = {.op = ISA_RING_RUN_IB, .context = owner_dma(owner, owner->context) + 8}};
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COMPUTE, packet).status, ISA_FAULT_BAD_CONTEXT);
    (void)owner_fault(owner);
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    owner_start(&owner, options);
    test_many(&owner);
    test_fence(&owner);
    test_bad_packets(&owner);
    test_copy(&owner);
    test_long_packets_beat(&owner);
    test_fill(&owner);
    test_pte_write(&owner);
    test_command_buffer(&owner);
    test_bad_buffers(&owner);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 2});
    run_all(&(owner_options_t){.cores = 2, .no_map = true});
    run_all(&(owner_options_t){.cores = 1, .posted = true});
    run_all(&(owner_options_t){.cores = 1, .posted = true, .no_map = true});
    run_all(&(owner_options_t){.cores = 1, .remote = true});
    return 0;
}
