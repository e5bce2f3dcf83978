// SPDX-License-Identifier: Apache-2.0
// Sensors, power, planted faults, packets and entries of page tables: hw on the mock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/hw/mock.h"

static int set_up(void **state) {
    mock_t *mock = malloc(sizeof *mock);
    assert_non_null(mock);
    mock_init(mock);
    *state = mock;
    return 0;
}

static int tear_down(void **state) {
    mock_t *mock = *state;
    mock_expect_none(mock);
    if (mock->hw != NULL)
        mock_stop(mock);
    free(mock);
    return 0;
}

static void sensors_are_read(void **state) {
    mock_t *mock = *state;
    hw_telemetry_t t;
    *mock_reg(mock, ISA_REG_TEMPERATURE) = 41000;
    *mock_reg(mock, ISA_REG_TEMP_SLOWDOWN) = 90000;
    *mock_reg(mock, ISA_REG_TEMP_CRITICAL) = 100000;
    *mock_reg(mock, ISA_REG_POWER_DRAW) = 33000;
    *mock_reg(mock, ISA_REG_CLOCK_NOW_KHZ) = 900000;
    *mock_reg(mock, ISA_REG_THROTTLE) = ISA_THROTTLE_THERMAL;
    *mock_reg(mock, ISA_REG_POWER_STATE) = ISA_POWER_SLEEP;
    *mock_reg(mock, ISA_REG_ECC_CORRECTED) = 12;
    *mock_reg(mock, ISA_REG_ECC_UNCORRECTED) = 3;
    *mock_reg(mock, ISA_REG_ERROR_COUNT) = 17;
    *mock_reg(mock, ISA_REG_FAULT_DROPPED) = 4;
    mock_set_pair(mock, ISA_REG_ENERGY_LO, UINT64_C(0x1234500000001));
    assert_int_equal(mock_start(mock), STATUS_OK);
    hw_telemetry(mock->hw, &t);
    assert_int_equal(t.temperature, 41000);
    assert_int_equal(t.temp_slowdown, 90000);
    assert_int_equal(t.temp_critical, 100000);
    assert_int_equal(t.power_mw, 33000);
    assert_int_equal(t.power_limit_mw, 75000);
    assert_int_equal(t.power_limit_min_mw, 10000);
    assert_int_equal(t.power_limit_max_mw, 75000);
    assert_int_equal(t.clock_khz, 900000);
    assert_int_equal(t.throttle, ISA_THROTTLE_THERMAL);
    assert_int_equal(t.power_state, ISA_POWER_SLEEP);
    assert_int_equal(t.ecc_corrected, 12);
    assert_int_equal(t.ecc_uncorrected, 3);
    assert_int_equal(t.errors, 17);
    assert_int_equal(t.faults_dropped, 4);
    assert_int_equal(t.energy_mj, UINT64_C(0x1234500000001));
}

static void node_is_queried(void **state) {
    mock_t *mock = *state;
    hw_node_info_t info;
    assert_int_equal(mock_start(mock), STATUS_OK);
    *mock_reg(mock, ISA_NODE_REG_AT(1, KIND)) = 1;
    *mock_reg(mock, ISA_NODE_REG_AT(1, HEARTBEAT)) = 55;
    mock_set_pair(mock, ISA_NODE_REG_AT(1, CYCLES_LO), UINT64_C(0x100000002));
    mock_set_pair(mock, ISA_NODE_REG_AT(1, LAST_ABORTED_LO), UINT64_C(0x300000004));
    hw_node_query(mock->hw, 1, &info);
    assert_int_equal(info.kind, 1);
    assert_int_equal(info.state, ISA_NODE_STATE_IDLE);
    assert_int_equal(info.heartbeat, 55);
    assert_int_equal(info.cycles, UINT64_C(0x100000002));
    assert_int_equal(info.last_aborted, UINT64_C(0x300000004));
    assert_int_equal(hw_heartbeat(mock->hw, 1), 55);
    mock_set_pair(mock, ISA_REG_CLOCK_LO, UINT64_C(0x500000006));
    assert_int_equal(hw_clock_ns(mock->hw), UINT64_C(0x500000006));
}

static void card_without_features_has_zeros(void **state) {
    mock_t *mock = *state;
    hw_telemetry_t t;
    uint64_t address;
    *mock_reg(mock, ISA_REG_FEATURES) = 0;
    *mock_reg(mock, ISA_REG_TEMPERATURE) = 1234;
    *mock_reg(mock, ISA_REG_POWER_STATE) = 1;
    *mock_reg(mock, ISA_REG_ECC_CORRECTED) = 1;
    *mock_reg(mock, ISA_REG_ECC_PENDING) = 1;
    assert_int_equal(mock_start(mock), STATUS_OK);
    hw_telemetry(mock->hw, &t);
    assert_int_equal(t.temperature, 0);
    assert_int_equal(t.power_state, 0);
    assert_int_equal(t.ecc_corrected, 0);
    assert_false(hw_ecc_take(mock->hw, &address));
    assert_int_equal(hw_power_limit_set(mock->hw, 20000), STATUS_UNSUPPORTED);
    assert_int_equal(hw_inject(mock->hw, ISA_INJECT_HANG, 0), STATUS_UNSUPPORTED);
    hw_power_set(mock->hw, ISA_POWER_SLEEP);
    assert_int_equal(*mock_reg(mock, ISA_REG_POWER), 0);
}

// It may be asked where nothing can wait: one write, whatever the card does.
static void power_is_set_by_one_write(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    uint32_t n_reads = mock->n_reads, n_writes = mock->n_writes;
    uint64_t now = mock->now_ns;
    hw_power_set(mock->hw, ISA_POWER_SLEEP);
    assert_int_equal(*mock_reg(mock, ISA_REG_POWER), ISA_POWER_SLEEP);
    hw_power_set(mock->hw, ISA_POWER_ACTIVE);
    assert_int_equal(*mock_reg(mock, ISA_REG_POWER), ISA_POWER_ACTIVE);
    assert_int_equal(mock->n_writes, n_writes + 2);
    assert_int_equal(mock->n_reads, n_reads);
    assert_true(mock->now_ns == now); // no pause
}

static void power_limit_is_kept_within_bounds(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    assert_int_equal(hw_power_limit_set(mock->hw, 9999), STATUS_INVALID);
    assert_int_equal(hw_power_limit_set(mock->hw, 75001), STATUS_INVALID);
    assert_int_equal(hw_power_limit_set(mock->hw, 10000), STATUS_OK);
    assert_int_equal(*mock_reg(mock, ISA_REG_POWER_LIMIT), 10000);
    hw_power_set(mock->hw, ISA_POWER_SLEEP);
    assert_int_equal(*mock_reg(mock, ISA_REG_POWER), ISA_POWER_SLEEP);
}

static void bad_pages_are_taken(void **state) {
    mock_t *mock = *state;
    uint64_t address;
    assert_int_equal(mock_start(mock), STATUS_OK);
    assert_false(hw_ecc_take(mock->hw, &address));
    *mock_reg(mock, ISA_REG_ECC_PENDING) = 2;
    mock_set_pair(mock, ISA_REG_ECC_ADDRESS_LO, 0x7000);
    assert_true(hw_ecc_take(mock->hw, &address));
    assert_int_equal(address, 0x7000);
    assert_int_equal(*mock_reg(mock, ISA_REG_ECC_PENDING), 1);
    mock_set_pair(mock, ISA_REG_ECC_ADDRESS_LO, UINT64_C(4) << 30); // behind the memory
    assert_false(hw_ecc_take(mock->hw, &address));
    assert_int_equal(*mock_reg(mock, ISA_REG_ECC_PENDING), 0);
    *mock_reg(mock, ISA_REG_ECC_PENDING) = 0x1000;
    mock_set_pair(mock, ISA_REG_ECC_ADDRESS_LO, 0x7000);
    assert_false(hw_ecc_take(mock->hw, &address));
}

static void faults_are_planted(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    assert_int_equal(hw_inject(mock->hw, ISA_INJECT_OVERHEAT, UINT64_C(0x123456789000)), STATUS_OK);
    assert_int_equal(*mock_reg(mock, ISA_REG_INJECT), ISA_INJECT_OVERHEAT);
    assert_int_equal(*mock_reg(mock, ISA_REG_INJECT_ARG_HI), 0x1234);
    assert_int_equal(hw_inject(mock->hw, 0, 0), STATUS_INVALID);
    assert_int_equal(hw_inject(mock->hw, ISA_INJECT_COUNT, 0), STATUS_INVALID);
}

// What no card would do anything about is refused.
static void faults_of_nothing_are_not_planted(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    uint64_t memory = hw_info(mock->hw)->memory_bytes;
    const struct {
        uint32_t what;
        uint64_t good, bad;
    } rows[] = {
        {ISA_INJECT_ECC_SINGLE, memory - 1, memory},
        {ISA_INJECT_ECC_DOUBLE, 0, UINT64_MAX},
        {ISA_INJECT_HANG, ISA_NODE_COPY | 2 << 8, ISA_NODE_COUNT},
        {ISA_INJECT_HANG, ISA_NODE_COMPUTE, ISA_NODE_COMPUTE | 3 << 8},
        {ISA_INJECT_HANG, ISA_NODE_COMPUTE, UINT64_C(1) << 40},
        {ISA_INJECT_IRQ_LOST, UINT32_MAX, UINT64_C(1) << 32},
        {ISA_INJECT_COMP_CORRUPT, ISA_NODE_COPY, ISA_NODE_COUNT},
        {ISA_INJECT_COMP_CORRUPT, ISA_NODE_COPY, 1 << 8},
        {ISA_INJECT_DMA_ERROR, ISA_NODE_COMPUTE, 99},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        *mock_reg(mock, ISA_REG_INJECT) = 0;
        assert_int_equal(hw_inject(mock->hw, rows[i].what, rows[i].bad), STATUS_INVALID);
        assert_int_equal(*mock_reg(mock, ISA_REG_INJECT), 0);
        assert_int_equal(hw_inject(mock->hw, rows[i].what, rows[i].good), STATUS_OK);
        assert_int_equal(*mock_reg(mock, ISA_REG_INJECT), rows[i].what);
    }
}

// Every packet that hw makes is one that the card takes.
static void packets_are_well_formed(void **state) {
    (void)state;
    isa_ring_packet_t packet;
    hw_place_t card = {0x5000, false}, host = {0x7000, true};
    hw_packet_run_ib(&packet, 0x1000, 0x2000, 64);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COMPUTE));
    hw_packet_run_for(&packet, 1234, true);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COMPUTE));
    assert_int_equal(packet.run_ib.quantum, 1234);
    assert_true((packet.head.flags & ISA_RING_FLAG_CONTINUE) != 0);
    hw_packet_run_for(&packet, 0, false);
    assert_int_equal(packet.head.flags, ISA_RING_FLAG_COMPLETE);
    hw_packet_copy(&packet, 0x1000, 1, 2, 3, 4, 5, 6);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COPY));
    hw_packet_scrub(&packet, 0x3000, 4096);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COPY));
    hw_packet_tlb_inv(&packet, 3, 0, 0);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COPY));
    hw_packet_move(&packet, card, host, 64);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COPY));
    assert_int_equal(packet.head.flags, ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_FROM_SYS);
    hw_packet_move(&packet, host, card, 64);
    assert_int_equal(packet.head.flags, ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_TO_SYS);
    hw_packet_fill(&packet, host, 7, 64);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COPY));
    hw_packet_pte_write(&packet, host, 1, 4096, 512);
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COPY));
    assert_true(isa_ring_packet_valid(&packet, ISA_NODE_COMPUTE));
}

static void entries_and_descriptors_are_well_formed(void **state) {
    (void)state;
    assert_int_equal(hw_pte_leaf(0x12345000, HW_PTE_WRITE),
                     0x12345000 | ISA_PTE_V | ISA_PTE_LEAF | ISA_PTE_W);
    assert_int_equal(hw_pte_leaf(0x12345000, HW_PTE_EXECUTE | HW_PTE_HOST) & ISA_PTE_RESERVED, 0);
    assert_int_equal(hw_pte_leaf(0, HW_PTE_ZERO), ISA_PTE_V | ISA_PTE_LEAF | ISA_PTE_ZERO);
    assert_int_equal(hw_pte_table(0x7000, true), 0x7000 | ISA_PTE_V | ISA_PTE_SYS | ISA_PTE_SNOOP);
    assert_int_equal(hw_pte_table(0x7000, false), 0x7000 | ISA_PTE_V);
    hw_context_t what = {.root = 0x1000, .root_in_host = true, .save = 0x2000, .asid = 9};
    isa_context_t descriptor;
    hw_ctx_encode(&what, &descriptor);
    assert_int_equal(descriptor.flags, ISA_CTX_ROOT_SYS);
    assert_int_equal(descriptor.state, ISA_CTX_STATE_READY);
    assert_int_equal(descriptor.asid, 9);
}

static void fences_of_32_bits(void **state) {
    (void)state;
    const uint64_t wrap = UINT64_C(0x100000000);
    assert_int_equal(hw_fence_extend(wrap - 2, 0xffffffff), wrap - 1);
    assert_int_equal(hw_fence_extend(wrap - 2, 3), wrap + 3);
    assert_int_equal(hw_fence_extend(wrap + 3, 0xfffffffe), wrap - 2);
    assert_int_equal(hw_fence_extend(5 * wrap + 7, 7), 5 * wrap + 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sensors_are_read),
        TEST(node_is_queried),
        TEST(card_without_features_has_zeros),
        TEST(power_is_set_by_one_write),
        TEST(power_limit_is_kept_within_bounds),
        TEST(bad_pages_are_taken),
        TEST(faults_are_planted),
        TEST(faults_of_nothing_are_not_planted),
        TEST(packets_are_well_formed),
        TEST(entries_and_descriptors_are_well_formed),
        TEST(fences_of_32_bits),
    };
    return cmocka_run_group_tests_name("hw_sense", tests, NULL, NULL);
}
