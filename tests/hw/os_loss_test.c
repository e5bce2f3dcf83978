// SPDX-License-Identifier: Apache-2.0
// hw under an operating system's own scheduler on bad days: wrong versions, lost interrupts,
// nonsense, memory errors, heat, sleep, hangs, a card that goes away.
#include <string.h>

#include "tests/hw/os.h"

#define COMPUTE ISA_NODE_COMPUTE
#define COPY    ISA_NODE_COPY

static const isa_ring_packet_t nop = {.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};

static void expect(os_t *os, const os_buffer_t *buffer, hw_notice_kind_t how) {
    os_wait(os, buffer);
    CHECK_EQUAL(buffer->how, how);
}

static void submit_nop(os_t *os, uint32_t node, os_buffer_t *buffer) {
    os_paging(&nop, buffer);
    os_submit(os, node, buffer);
}

static void works(os_t *os) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        os_buffer_t buffer;
        submit_nop(os, i, &buffer);
        expect(os, &buffer, HW_NOTICE_DONE);
    }
}

static void inject(os_t *os, uint32_t what, uint64_t argument) {
    CHECK(hw_inject(os->hw, what, argument) == STATUS_OK);
}

static void wait_alarm(os_t *os, uint64_t bits) {
    while ((os->alarms & bits) != bits) {
        hw_dpc(os->hw);
        (void)os_pump(os);
    }
}

static void start_gate(os_t *os, os_process_t *process, os_buffer_t *buffer) {
    program_t program;
    os_process_init(os, process, 1);
    os_program_gate(&program);
    os_process_load(os, process, &program);
    os->aside = true;
    os_launch(os, process, 1, buffer);
    os_submit(os, COMPUTE, buffer);
    os_wait_data(os, &process->data[0], 1);
}

// --- Versions ---

static void test_versions(bool posted) {
    os_options_t options = {.posted = posted};
    os_t *os = malloc(sizeof *os);
    CHECK(os != NULL);
    os_make(os, &options);
    os->lie_offset = ISA_REG_VERSION;
    os->lie_value = ISA_CARD_VERSION + 0x10000;
    CHECK(os_start_hw(os, &options) == STATUS_MISMATCH);
    CHECK_EQUAL(os->n_refused, 1);
    CHECK_EQUAL(os->refused_register, ISA_REG_VERSION);
    os->lie_value = ISA_CARD_VERSION + 3;
    CHECK(os_start_hw(os, &options) == STATUS_OK);
    CHECK_EQUAL(hw_info(os->hw)->version, ISA_CARD_VERSION + 3);
    works(os);
    os_stop(os);
    free(os);
}

// --- Interrupts ---

static void run_by_interrupt(bool posted, uint32_t vectors) {
    os_options_t options = {.posted = posted, .vectors = vectors};
    os_t *os = malloc(sizeof *os);
    os_buffer_t buffers[50];
    CHECK(os != NULL);
    os_start(os, &options);
    os->by_interrupt = true;
    for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
        submit_nop(os, i % 2, &buffers[i]);
    os_drain(os);
    for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
        CHECK_EQUAL(buffers[i].how, HW_NOTICE_DONE);
    CHECK(atomic_load(&os->n_interrupts) >= 2);
    os_stop(os);
    free(os);
}

static void test_vectors(bool posted) {
    run_by_interrupt(posted, 0);
    run_by_interrupt(posted, 1);
    run_by_interrupt(posted, 2);
}

static void test_lost_interrupt(os_t *os) {
    os_buffer_t buffer;
    hw_node_info_t info;
    works(os);
    os->by_interrupt = true;
    uint32_t before = atomic_load(&os->n_interrupts);
    inject(os, ISA_INJECT_IRQ_LOST, 1);
    submit_nop(os, COPY, &buffer);
    do {
        (void)os_pump(os);
        hw_node_query(os->hw, COPY, &info);
    } while (info.last_done != buffer.fence || info.state != ISA_NODE_STATE_IDLE);
    (void)os_pump(os);
    CHECK(!buffer.is_over); // nobody told
    CHECK_EQUAL(atomic_load(&os->n_interrupts), before);
    os->by_interrupt = false;
    expect(os, &buffer, HW_NOTICE_DONE); // who polls finds it
}

// --- Nonsense and refusals ---

static void test_corrupt_completion(os_t *os) {
    for (uint32_t i = 0; i < 20; i++) {
        os_buffer_t first, second;
        inject(os, ISA_INJECT_COMP_CORRUPT, i % 2);
        submit_nop(os, i % 2, &first);
        if (i % 3 == 0)
            expect(os, &first, HW_NOTICE_FAULT); // found out by registers
        submit_nop(os, i % 2, &second);
        expect(os, &first, HW_NOTICE_FAULT);
        CHECK_EQUAL(first.cause, ISA_FAULT_INTERNAL);
        expect(os, &second, HW_NOTICE_DONE);
        CHECK_EQUAL(os->n_corrupt, i + 1);
    }
    works(os);
}

static void test_dma_error(os_t *os) {
    os_buffer_t first, second;
    inject(os, ISA_INJECT_DMA_ERROR, COPY);
    submit_nop(os, COPY, &first);
    submit_nop(os, COPY, &second);
    expect(os, &first, HW_NOTICE_FAULT);
    CHECK_EQUAL(first.cause, ISA_FAULT_PACKET_BUS);
    expect(os, &second, HW_NOTICE_DONE);
    wait_alarm(os, ISA_ERROR_DMA);
    works(os);
}

// --- Memory errors ---

static void test_ecc(os_t *os) {
    hw_telemetry_t telemetry;
    uint64_t page = os_card_alloc(os, ISA_PAGE_BYTES), value = 1, taken;
    os_buffer_t buffer;
    isa_ring_packet_t packet;
    os_upload(os, page, &value, 8);
    inject(os, ISA_INJECT_ECC_SINGLE, page);
    wait_alarm(os, ISA_ERROR_ECC_CORRECTED);
    os_download(os, &value, page, 8);
    CHECK_EQUAL(value, 1);
    CHECK(!hw_ecc_take(os->hw, &taken));
    inject(os, ISA_INJECT_ECC_DOUBLE, page + 24);
    wait_alarm(os, ISA_ERROR_ECC_UNCORRECTED);
    hw_telemetry(os->hw, &telemetry);
    CHECK_EQUAL(telemetry.ecc_corrected, 1);
    CHECK_EQUAL(telemetry.ecc_uncorrected, 1);
    CHECK(hw_ecc_take(os->hw, &taken));
    CHECK_EQUAL(taken, page);
    CHECK(!hw_ecc_take(os->hw, &taken));
    void *host = os_host_alloc(os, ISA_PAGE_BYTES);
    hw_packet_move(&packet, (hw_place_t){os_address(os, host), true}, (hw_place_t){page, false}, 8);
    os_paging(&packet, &buffer);
    os_submit(os, COPY, &buffer);
    expect(os, &buffer, HW_NOTICE_FAULT);
    CHECK_EQUAL(buffer.cause, ISA_FAULT_ECC);
    CHECK(buffer.has_record);
    hw_packet_scrub(&packet, page, ISA_PAGE_BYTES);
    os_paging(&packet, &buffer);
    os_submit(os, COPY, &buffer);
    expect(os, &buffer, HW_NOTICE_DONE);
    os_download(os, &value, page, 8);
    CHECK_EQUAL(value, 0);
}

// --- Heat and power ---

static void test_heat_and_power(os_t *os) {
    hw_telemetry_t t;
    os_buffer_t buffer;
    inject(os, ISA_INJECT_OVERHEAT, 0);
    wait_alarm(os, ISA_ERROR_OVERHEAT);
    hw_telemetry(os->hw, &t);
    CHECK(t.temperature >= t.temp_slowdown && t.temp_slowdown < t.temp_critical);
    CHECK((t.throttle & ISA_THROTTLE_THERMAL) != 0);
    works(os); // slower
    inject(os, ISA_INJECT_OVERHEAT, 1);
    do
        hw_telemetry(os->hw, &t);
    while ((t.throttle & ISA_THROTTLE_THERMAL) != 0);

    CHECK(hw_power_limit_set(os->hw, t.power_limit_max_mw + 1) == STATUS_INVALID);
    CHECK(hw_power_limit_set(os->hw, t.power_limit_min_mw) == STATUS_OK);
    hw_telemetry(os->hw, &t);
    CHECK_EQUAL(t.power_limit_mw, t.power_limit_min_mw);

    hw_power_set(os->hw, ISA_POWER_SLEEP);
    do
        hw_telemetry(os->hw, &t);
    while (t.power_state != ISA_POWER_SLEEP);
    CHECK(hw_alive(os->hw));
    submit_nop(os, COPY, &buffer);
    for (uint32_t i = 0; i < 10; i++)
        (void)os_pump(os);
    CHECK(!buffer.is_over); // the ring keeps it
    hw_power_set(os->hw, ISA_POWER_ACTIVE);
    expect(os, &buffer, HW_NOTICE_DONE);
    CHECK(os_reset_card(os) == STATUS_OK);
    hw_telemetry(os->hw, &t);
    CHECK_EQUAL(t.power_limit_mw, t.power_limit_min_mw);
    works(os);
}

// --- Hangs: each step helps where the one before did not ---

static void hang(os_t *os, uint32_t node, uint32_t depth, os_buffer_t *buffer) {
    inject(os, ISA_INJECT_HANG, node | depth << 8);
    os->aside = true;
    submit_nop(os, node, buffer);
    while (os->queues[node].n_flight == 0)
        (void)os_pump(os);
    os_stop_node_begin(os, node);
    uint32_t beat = hw_heartbeat(os->hw, node);
    for (uint32_t i = 0; i < 10; i++)
        (void)os_pump(os);
    CHECK(os->queues[node].is_stopping); // no answer
    CHECK_EQUAL(hw_heartbeat(os->hw, node), beat);
    CHECK(!buffer->is_over);
}

static void test_hang(os_t *os) {
    for (uint32_t node = 0; node < ISA_NODE_COUNT; node++) {
        os_buffer_t buffer;
        uint32_t aborted;
        hang(os, node, 0, &buffer);
        CHECK(os_reset_node(os, node, &aborted) == STATUS_OK);
        if (aborted == 0)
            expect(os, &buffer, HW_NOTICE_DONE); // it had not begun, and came back
        CHECK(buffer.is_over);
        works(os);
        hang(os, node, 1, &buffer);
        CHECK(os_reset_node(os, node, &aborted) == STATUS_TIMEOUT);
        CHECK(os_reset_card(os) == STATUS_OK);
        CHECK(buffer.is_over);
        works(os);
        hang(os, node, 2, &buffer);
        CHECK(os_reset_node(os, node, &aborted) == STATUS_TIMEOUT);
        CHECK(os_reset_card(os) == STATUS_OK); // by the function's reset
        CHECK(buffer.is_over);
        works(os);
        os_join(os);
    }
}

// --- A card that goes away ---

static void lose(os_t *os, uint32_t what, uint32_t milliseconds) {
    os_process_t process;
    os_buffer_t gate, behind;
    uint64_t serial = hw_info(os->hw)->serial;
    start_gate(os, &process, &gate);
    submit_nop(os, COMPUTE, &behind);
    (void)os_pump(os);
    uint32_t n_gone = os->n_gone;
    inject(os, what, milliseconds);
    while (hw_alive(os->hw)) {
    }
    while (!os->is_gone)
        (void)os_pump(os);
    (void)hw_alive(os->hw);
    hw_dpc(os->hw);
    (void)os_pump(os);
    CHECK_EQUAL(os->n_gone, n_gone + 1); // told once
    CHECK(!gate.is_over && !behind.is_over);
    if (milliseconds == 0) { // for good
        CHECK(os_reset_card(os) == STATUS_DEVICE_LOST);
        CHECK_EQUAL(os->n_gone, n_gone + 1);
        os_join(os);
        return;
    }
    while (os_reset_card(os) != STATUS_OK) { // the link comes back by itself
    }
    CHECK(gate.is_over && behind.is_over);
    CHECK_EQUAL(gate.how, HW_NOTICE_ABORTED);
    CHECK((hw_info(os->hw)->serial != serial) == (what == ISA_INJECT_REMOVE));
    CHECK_EQUAL(os->n_gone, n_gone + 1);
    os_join(os);
    works(os);
}

static void test_loss(os_t *os) {
    for (uint32_t i = 0; i < 3; i++) {
        lose(os, ISA_INJECT_LINK_LOSS, 5);
        lose(os, ISA_INJECT_REMOVE, 5);
    }
    lose(os, ISA_INJECT_LINK_LOSS, 0);
}

// --- All of it ---

static void run(void (*test)(os_t *os), const char *name) {
    for (uint32_t posted = 0; posted < 2; posted++) {
        os_t *os = malloc(sizeof *os);
        CHECK(os != NULL);
        os_options_t options = {.posted = posted != 0, .first_id = 0xfffffffa};
        os_start(os, &options);
        test(os);
        os_stop(os);
        free(os);
    }
    printf("ok: %s\n", name);
}
#define RUN(test) run(test, #test)

int main(void) {
    for (uint32_t posted = 0; posted < 2; posted++) {
        test_versions(posted != 0);
        test_vectors(posted != 0);
    }
    RUN(test_lost_interrupt);
    RUN(test_corrupt_completion);
    RUN(test_dma_error);
    RUN(test_ecc);
    RUN(test_heat_and_power);
    RUN(test_hang);
    RUN(test_loss);
    return 0;
}
