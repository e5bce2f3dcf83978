// SPDX-License-Identifier: Apache-2.0
// hw under an operating system's own scheduler: order, page tables, preemption, quanta, resets.
#include <string.h>

#include "tests/hw/os.h"

#define COMPUTE ISA_NODE_COMPUTE
#define COPY    ISA_NODE_COPY
#define MANY    40u

static void expect(os_t *os, const os_buffer_t *buffer, hw_notice_kind_t how) {
    os_wait(os, buffer);
    CHECK_EQUAL(buffer->how, how);
}

// --- Order ---

// Two contexts by turns, paging beside them; ids wrap on the way.
static void test_order(os_t *os) {
    static const uint32_t counts[2] = {100, 200};
    os_process_t processes[2];
    os_buffer_t *buffers = calloc(2 * MANY, sizeof *buffers);
    CHECK(buffers != NULL);
    program_t program;
    for (uint32_t i = 0; i < 2; i++) {
        os_process_init(os, &processes[i], (uint16_t)(i + 1));
        os_program_count(&program, counts[i]);
        os_process_load(os, &processes[i], &program);
    }
    isa_ring_packet_t nop = {.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
    for (uint32_t i = 0; i < MANY; i++) {
        os_launch(os, &processes[i % 2], 1 + i % 2, &buffers[i]);
        os_paging(&nop, &buffers[MANY + i]);
        os_submit(os, COMPUTE, &buffers[i]);
        os_submit(os, COPY, &buffers[MANY + i]);
    }
    os_drain(os);
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        CHECK(buffers[i].is_over);
        CHECK_EQUAL(buffers[i].how, HW_NOTICE_DONE);
        if (i % MANY != 0)
            CHECK_EQUAL(buffers[i].id, buffers[i - 1].id + 1);
    }
    for (uint32_t i = 0; i < 2; i++)
        CHECK_EQUAL(atomic_load(&processes[i].data[3]), counts[i]);
    CHECK_EQUAL(os->queues[COMPUTE].most_flight, OS_DEPTH);
    CHECK(os->queues[COMPUTE].completed < 0x1000); // they wrapped
    free(buffers);
}

static void test_page_tables(os_t *os) {
    os_process_t process;
    os_buffer_t buffer;
    program_t program = {.n = 0};
    uint64_t va = ISA_VA_IO, value = 77, card;
    os_process_init(os, &process, 1);
    card = os_card_alloc(os, 3 * ISA_PAGE_BYTES);
    uint64_t table = os_map_paged(os, &process, va, card, 3 * ISA_PAGE_BYTES, HW_PTE_WRITE);
    li(&program, T0, va + 2 * ISA_PAGE_BYTES);
    addi(&program, T1, ZERO, 77);
    sd(&program, T1, T0, 8);
    finish(&program, 0);
    os_process_load(os, &process, &program);
    os_launch(os, &process, 1, &buffer);
    os_submit(os, COMPUTE, &buffer);
    expect(os, &buffer, HW_NOTICE_DONE);
    os_download(os, &value, card + 2 * ISA_PAGE_BYTES + 8, sizeof value);
    CHECK_EQUAL(value, 77);
    // The page is taken away by the paging node.
    isa_ring_packet_t packet;
    hw_packet_pte_write(&packet, (hw_place_t){table + 8 * isa_pte_index(va, 0), false}, 0, 0, 3);
    os_paging(&packet, &buffer);
    os_submit(os, COPY, &buffer);
    expect(os, &buffer, HW_NOTICE_DONE);
    os_flush(os, &process);
    os_launch(os, &process, 1, &buffer);
    os_submit(os, COMPUTE, &buffer);
    expect(os, &buffer, HW_NOTICE_FAULT);
    CHECK_EQUAL(buffer.cause, ISA_FAULT_PAGE_INVALID);
    CHECK(buffer.has_record);
    CHECK_EQUAL(buffer.record.va, va + 2 * ISA_PAGE_BYTES + 8);
    CHECK_EQUAL(buffer.record.fence, buffer.fence);
    CHECK_EQUAL(process.context->state, ISA_CTX_STATE_LOST);
    // What is behind it in a lost context is not run.
    os_launch(os, &process, 1, &buffer);
    os_submit(os, COMPUTE, &buffer);
    expect(os, &buffer, HW_NOTICE_ABORTED);
}

// --- Preemption ---

static void start_gate(os_t *os, os_process_t *process, os_buffer_t *buffer, uint32_t cores) {
    program_t program;
    os_program_gate(&program);
    os_process_load(os, process, &program);
    atomic_store(&process->data[0], 0);
    atomic_store(&process->data[1], 0);
    atomic_store(&process->data[2], 0);
    os->aside = true;
    os_launch(os, process, cores, buffer);
    os_submit(os, COMPUTE, buffer);
    os_wait_data(os, &process->data[0], 1);
}

static void open_gate(os_process_t *process) { atomic_store(&process->data[1], 1); }

static void test_preemption(os_t *os) {
    os_process_t first, second;
    os_buffer_t gate, behind, other;
    program_t program;
    os_process_init(os, &first, 1);
    os_process_init(os, &second, 2);
    os_program_count(&program, 1000);
    os_process_load(os, &second, &program);
    start_gate(os, &first, &gate, 2);
    os_launch(os, &second, 1, &behind);
    os_submit(os, COMPUTE, &behind);
    (void)os_pump(os);
    CHECK_EQUAL(os->queues[COMPUTE].n_flight, 2);
    uint32_t id = gate.id;
    for (uint32_t i = 1; i <= 20; i++) {
        os_stop_node_begin(os, COMPUTE);
        os_stop_node_wait(os, COMPUTE);
        CHECK_EQUAL(gate.n_preempted, i); // in work or, after the first time, still in the ring
        CHECK(gate.n_saved >= 1);
        CHECK_EQUAL(first.context->state, ISA_CTX_STATE_PREEMPTED);
        CHECK_EQUAL(os->queues[COMPUTE].n_waiting, 2); // both came back, in order
        CHECK(os->queues[COMPUTE].waiting[0] == &gate);
        if (i % 2 != 0) { // another address space has the cores meanwhile
            os_launch(os, &second, 2, &other);
            atomic_store(&second.data[3], 0);
            os_queue_t *queue = &os->queues[COMPUTE];
            memmove(queue->waiting + 1, queue->waiting, queue->n_waiting++ * sizeof &other);
            queue->waiting[0] = &other;
            expect(os, &other, HW_NOTICE_DONE);
            CHECK_EQUAL(atomic_load(&second.data[3]), 1000);
        }
        (void)os_pump(os);
    }
    CHECK(gate.id != id); // render buffers get new ids
    open_gate(&first);
    expect(os, &gate, HW_NOTICE_DONE);
    CHECK_EQUAL(atomic_load(&first.data[2]), OS_GATE_RESULT);
    expect(os, &behind, HW_NOTICE_DONE);
    os_join(os);
}

static void test_preemption_of_idle_and_paging(os_t *os) {
    isa_ring_packet_t nop = {.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
    for (uint32_t i = 0; i < 300; i++) {
        os_buffer_t buffers[4];
        for (uint32_t k = 0; k < COUNT_OF(buffers); k++) {
            os_paging(&nop, &buffers[k]);
            os_submit(os, COPY, &buffers[k]);
        }
        if (i % 3 != 0)
            (void)os_pump(os); // a posted card may be anywhere in them
        uint32_t ids[2] = {buffers[0].id, buffers[1].id};
        os_stop_node_begin(os, i % 5 == 0 ? COMPUTE : COPY);
        os_stop_node_wait(os, i % 5 == 0 ? COMPUTE : COPY);
        for (uint32_t k = 0; k < COUNT_OF(buffers); k++)
            expect(os, &buffers[k], HW_NOTICE_DONE);
        for (uint32_t k = 0; k < 2 && i % 3 != 0; k++)
            CHECK_EQUAL(buffers[k].id, ids[k]); // paging buffers keep their ids
    }
}

// One paging buffer moves what lies in pages of the card away and other content in: run twice, it
// would move away what it moved in. So it goes on where it was, wherever it is stopped.
#define PAIRS       (HW_BATCH_MAX / 2)
#define SWAP_BYTES  2048u
#define SWAP_ROUNDS 60u

typedef struct swap {
    uint8_t *away, *in; // host memory, PAIRS pieces
    uint64_t card;
    isa_ring_packet_t packets[2 * PAIRS];
    os_buffer_t buffer;
} swap_t;

static void swap_make(os_t *os, swap_t *swap) {
    swap->away = os_host_alloc(os, PAIRS * SWAP_BYTES);
    swap->in = os_host_alloc(os, PAIRS * SWAP_BYTES);
    swap->card = os_card_alloc(os, PAIRS * SWAP_BYTES);
}

static void swap_submit(os_t *os, swap_t *swap, uint8_t content) {
    memset(swap->in, content, PAIRS * SWAP_BYTES);
    for (uint32_t i = 0; i < PAIRS; i++) {
        hw_place_t card = {swap->card + i * SWAP_BYTES, false};
        hw_place_t away = {os_address(os, swap->away) + i * SWAP_BYTES, true};
        hw_place_t in = {os_address(os, swap->in) + i * SWAP_BYTES, true};
        hw_packet_move(&swap->packets[2 * i], away, card, SWAP_BYTES);
        hw_packet_move(&swap->packets[2 * i + 1], card, in, SWAP_BYTES);
    }
    os_paging_many(swap->packets, 2 * PAIRS, &swap->buffer);
    os_submit(os, COPY, &swap->buffer);
}

static void swap_check(const swap_t *swap, uint8_t content) {
    for (uint32_t i = 0; i < PAIRS * SWAP_BYTES; i++)
        CHECK_EQUAL(swap->away[i], content);
}

static void test_paging_of_many(os_t *os) {
    swap_t *swaps = calloc(3, sizeof *swaps);
    CHECK(swaps != NULL);
    for (uint32_t k = 0; k < 3; k++)
        swap_make(os, &swaps[k]);
    for (uint32_t round = 1; round <= SWAP_ROUNDS; round++) {
        for (uint32_t k = 0; k < 3; k++)
            swap_submit(os, &swaps[k], (uint8_t)(10 * round + k));
        for (uint32_t stops = 0; stops < round % 4; stops++) {
            (void)os_pump(os); // a posted card may be anywhere in them
            os_stop_node_begin(os, COPY);
            os_stop_node_wait(os, COPY);
        }
        for (uint32_t k = 0; k < 3; k++) {
            expect(os, &swaps[k].buffer, HW_NOTICE_DONE);
            swap_check(&swaps[k], (uint8_t)(round > 1 ? 10 * (round - 1) + k : 0));
        }
    }
    CHECK_EQUAL(os->queues[COPY].most_flight, OS_DEPTH);
    free(swaps);
}

// 2 MiB in scattered pages: as many buffers as it takes.
static void test_scattered_paging(os_t *os) {
    enum { PAGES = 512, BUFFERS = PAGES / HW_BATCH_MAX };
    isa_ring_packet_t *packets = calloc(PAGES, sizeof *packets);
    os_buffer_t buffers[BUFFERS];
    CHECK(packets != NULL);
    uint8_t *host = os_host_alloc(os, PAGES * 64);
    uint64_t card = os_card_alloc(os, PAGES * 8192);
    for (uint32_t i = 0; i < PAGES; i++) {
        host[i * 64] = (uint8_t)(i * 7);
        hw_packet_move(&packets[i], (hw_place_t){card + i * 8192, false},
                       (hw_place_t){os_address(os, host) + i * 64, true}, 64);
    }
    for (uint32_t i = 0; i < BUFFERS; i++) {
        os_paging_many(packets + i * HW_BATCH_MAX, HW_BATCH_MAX, &buffers[i]);
        os_submit(os, COPY, &buffers[i]);
    }
    for (uint32_t i = 0; i < BUFFERS; i++) {
        expect(os, &buffers[i], HW_NOTICE_DONE);
        if (i > 0)
            CHECK_EQUAL(buffers[i].id, buffers[i - 1].id + 1);
    }
    for (uint32_t i = 0; i < PAGES; i += 37) {
        uint8_t value;
        os_download(os, &value, card + i * 8192, 1);
        CHECK_EQUAL(value, (uint8_t)(i * 7));
    }
    free(packets);
}

static void test_quantum(os_t *os) {
    os_process_t first, second;
    os_buffer_t slow, quick;
    program_t program;
    os_process_init(os, &first, 1);
    os_process_init(os, &second, 2);
    os_program_count(&program, 2000000);
    os_process_load(os, &first, &program);
    os_program_count(&program, 10);
    os_process_load(os, &second, &program);
    os_launch(os, &first, 2, &slow);
    hw_packet_run_for(&slow.packet, 200000, false);
    os_submit(os, COMPUTE, &slow);
    os_launch(os, &second, 1, &quick);
    os_submit(os, COMPUTE, &quick);
    expect(os, &slow, HW_NOTICE_DONE);
    CHECK(quick.is_over);
    CHECK(slow.n_expired > 2);
    CHECK_EQUAL(atomic_load(&first.data[3]), 2000000);
    CHECK_EQUAL(atomic_load(&second.data[3]), 10);
}

// Urgent work beside a long program: the normal ring stops, the high one goes on.
static void test_high_ring(os_t *os) {
    os_process_t first, urgent;
    os_buffer_t gate, now;
    program_t program;
    os_process_init(os, &first, 1);
    os_process_init(os, &urgent, 2);
    os_program_count(&program, 500);
    os_process_load(os, &urgent, &program);
    start_gate(os, &first, &gate, 1);
    for (uint32_t i = 0; i < 5; i++) {
        atomic_store(&urgent.data[3], 0);
        os_launch(os, &urgent, 1, &now);
        os_submit_high(os, COMPUTE, &now);
        os_stop_node_begin(os, COMPUTE);
        os_stop_node_wait(os, COMPUTE);
        while (!now.is_over) { // nothing is handed to the normal ring meanwhile
            hw_poll(os->hw);
            os->queues[COMPUTE].is_stopping = true;
            (void)os_pump(os);
        }
        os->queues[COMPUTE].is_stopping = false;
        CHECK_EQUAL(now.how, HW_NOTICE_DONE);
        CHECK_EQUAL(atomic_load(&urgent.data[3]), 500);
        CHECK(!gate.is_over);
        (void)os_pump(os);
    }
    open_gate(&first);
    expect(os, &gate, HW_NOTICE_DONE);
    CHECK_EQUAL(atomic_load(&first.data[2]), OS_GATE_RESULT);
    os_join(os);
}

// --- Resets ---

static void test_node_reset(os_t *os) {
    os_process_t first, second;
    os_buffer_t endless, behind;
    program_t program;
    uint32_t aborted;
    uint64_t before = UINT64_C(0xabcdef), after, place;
    os_process_init(os, &first, 1);
    os_process_init(os, &second, 2);
    place = os_card_alloc(os, 8);
    os_upload(os, place, &before, 8);
    os_program_count(&program, 1000);
    os_process_load(os, &second, &program);
    for (uint32_t i = 0; i < 5; i++) {
        start_gate(os, &first, &endless, 2);
        os_launch(os, &second, 1, &behind);
        os_submit(os, COMPUTE, &behind);
        (void)os_pump(os);
        atomic_store(&second.data[3], 0);
        CHECK(os_reset_node(os, COMPUTE, &aborted) == STATUS_OK);
        CHECK_EQUAL(aborted, endless.id);
        CHECK(endless.is_over && !behind.is_over);
        hw_node_info_t info;
        hw_node_query(os->hw, COMPUTE, &info);
        CHECK_EQUAL((uint32_t)info.last_aborted, aborted);
        expect(os, &behind, HW_NOTICE_DONE);
        CHECK_EQUAL(atomic_load(&second.data[3]), 1000);
        CHECK_EQUAL(atomic_load(&first.data[2]), 0);
        os_join(os);
    }
    os_download(os, &after, place, 8);
    CHECK_EQUAL(after, before); // memory is kept
    // An idle node: nothing was in work.
    CHECK(os_reset_node(os, COMPUTE, &aborted) == STATUS_OK);
    CHECK_EQUAL(aborted, 0);
    CHECK(os_reset_node(os, COPY, &aborted) == STATUS_OK);
    CHECK_EQUAL(aborted, 0);
    os_download(os, &after, place, 8);
    CHECK_EQUAL(after, before);
}

static void test_card_reset(os_t *os) {
    os_process_t process;
    os_buffer_t gate;
    program_t program;
    uint64_t before = UINT64_C(0xabcdef), after, place;
    os_process_init(os, &process, 1);
    place = os_card_alloc(os, 8);
    os_upload(os, place, &before, 8);
    start_gate(os, &process, &gate, 1);
    CHECK(os_reset_card(os) == STATUS_OK);
    CHECK(gate.is_over);
    CHECK_EQUAL(gate.how, HW_NOTICE_ABORTED);
    os_join(os);
    os_download(os, &after, place, 8);
    CHECK_EQUAL(after, 0); // memory is lost
    os_process_init(os, &process, 1);
    os_program_count(&program, 100);
    os_process_load(os, &process, &program);
    os_launch(os, &process, 2, &gate);
    os_submit(os, COMPUTE, &gate);
    expect(os, &gate, HW_NOTICE_DONE);
    CHECK_EQUAL(atomic_load(&process.data[3]), 100);
}

// --- All of it ---

static void run(void (*test)(os_t *os), const char *name) {
    for (uint32_t posted = 0; posted < 2; posted++) {
        os_t *os = malloc(sizeof *os);
        CHECK(os != NULL);
        os_options_t options = {.posted = posted != 0, .first_id = 0xfffffff0};
        os_start(os, &options);
        test(os);
        CHECK(!os->is_gone);
        CHECK_EQUAL(os->n_corrupt, 0);
        CHECK_EQUAL(os->alarms, 0);
        os_stop(os);
        free(os);
    }
    printf("ok: %s\n", name);
}
#define RUN(test) run(test, #test)

int main(void) {
    RUN(test_order);
    RUN(test_page_tables);
    RUN(test_preemption);
    RUN(test_preemption_of_idle_and_paging);
    RUN(test_paging_of_many);
    RUN(test_scattered_paging);
    RUN(test_quantum);
    RUN(test_high_ring);
    RUN(test_node_reset);
    RUN(test_card_reset);
    return 0;
}
