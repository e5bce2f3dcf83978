// SPDX-License-Identifier: Apache-2.0
// Start, stop and what a card must be: hw on the mock.
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
    assert_null(mock->hw);
    assert_int_equal(mock->n_live, 0);
    free(mock);
    return 0;
}

static void card_is_identified(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    const hw_info_t *info = hw_info(mock->hw);
    assert_int_equal(info->cores, 4);
    assert_int_equal(info->memory_bytes, UINT64_C(4) << 30);
    assert_int_equal(info->profile_hash, UINT64_C(0x123456789abcdef0));
    assert_int_equal(info->serial, 77);
    assert_int_equal(mock->logs[0].id, PORT_LOG_STARTED);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        assert_int_equal(*mock_reg(mock, ISA_NODE_REG_AT(i, CONTROL)), ISA_NODE_CONTROL_ON);
        assert_int_not_equal(*mock_reg(mock, ISA_NODE_REG_AT(i, HIGH_BASE_LO)), 0);
    }
    assert_true(mock->masters);
    mock_stop(mock);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        assert_int_equal(*mock_reg(mock, ISA_NODE_REG_AT(i, CONTROL)), 0);
    assert_int_equal(mock->n_card_resets, 0);
    assert_false(mock->masters);
}

static void refused(mock_t *mock, uint32_t reg, uint32_t value) {
    uint32_t before = *mock_reg(mock, reg);
    *mock_reg(mock, reg) = value;
    mock->n_logs = 0;
    assert_int_equal(mock_start(mock), STATUS_MISMATCH);
    assert_null(mock->hw);
    assert_int_equal(mock->n_live, 0);
    assert_int_equal(mock->n_writes, 0); // another's card is left alone
    assert_int_equal(mock->n_logs, 1);
    assert_int_equal(mock->logs[0].id, PORT_LOG_REFUSED);
    *mock_reg(mock, reg) = before;
}

static void wrong_cards_are_refused(void **state) {
    mock_t *mock = *state;
    refused(mock, ISA_REG_VERSION, ISA_CARD_VERSION + 0x10000);
    assert_int_equal(mock->logs[0].a, ISA_REG_VERSION);
    assert_int_equal(mock->logs[0].b, ISA_CARD_VERSION + 0x10000);
    assert_int_equal(mock->logs[0].c, ISA_CARD_VERSION);
    refused(mock, ISA_REG_VERSION, 0x0000ffff);
    refused(mock, ISA_REG_ID, 0x12345678);
    refused(mock, ISA_REG_NODES, ISA_NODE_COUNT - 1);
    refused(mock, ISA_REG_CORES, 0);
    refused(mock, ISA_REG_VECTORS, 0);
    refused(mock, ISA_REG_VECTORS, ISA_MSIX_VECTORS + 1);
    refused(mock, ISA_REG_MEM_BYTES_HI, 0x7fffffff);
    refused(mock, ISA_REG_SAVE_BYTES_HI, 0x7fffffff);
    refused(mock, ISA_REG_SRAM_BYTES_HI, 0x7fffffff);
    mock_set_pair(mock, ISA_REG_MEM_BYTES_LO, 0);
    refused(mock, ISA_REG_MEM_BYTES_LO, 0);
}

static void later_minor_version_is_accepted(void **state) {
    mock_t *mock = *state;
    *mock_reg(mock, ISA_REG_VERSION) = ISA_CARD_VERSION + 7;
    *mock_reg(mock, ISA_REG_NODES) = ISA_NODE_COUNT + 1; // those it has more stay off
    *mock_reg(mock, ISA_REG_FEATURES) |= 0x80000000;
    assert_int_equal(mock_start(mock), STATUS_OK);
    assert_int_equal(hw_info(mock->hw)->version, ISA_CARD_VERSION + 7);
    assert_int_equal(hw_info(mock->hw)->nodes, ISA_NODE_COUNT);
    mock_stop(mock);
}

static void first_version_of_a_card_is_accepted(void **state) {
    mock_t *mock = *state;
    *mock_reg(mock, ISA_REG_VERSION) = ISA_CARD_VERSION & 0xffff0000;
    *mock_reg(mock, ISA_REG_FEATURES) = 0;
    mock->works = true;
    assert_int_equal(mock_start(mock), STATUS_OK);
    assert_int_equal(*mock_reg(mock, ISA_NODE_REG_AT(0, HIGH_BASE_LO)), 0);
    assert_int_equal(hw_credit(mock->hw, 0, ISA_RING_HIGH), 0);
    mock_submit(mock, 0, ISA_RING_NORMAL, 1);
    hw_kick(mock->hw, 0, ISA_RING_NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 1);
    mock_stop(mock);
}

static void old_port_is_refused(void **state) {
    mock_t *mock = *state;
    port_ops_t ops = *mock->port.ops;
    mock->port.ops = &ops;
    ops.version = PORT_VERSION + 1;
    assert_int_equal(mock_start(mock), STATUS_MISMATCH);
    ops.version = PORT_VERSION;
    ops.bytes = sizeof ops - 8;
    assert_int_equal(mock_start(mock), STATUS_MISMATCH);
    assert_int_equal(mock->n_reads, 0);
}

static void nobody_answers(void **state) {
    mock_t *mock = *state;
    mock->is_lost = true;
    assert_int_equal(mock_start(mock), STATUS_DEVICE_LOST);
    assert_int_equal(mock->n_notices, 0); // there is no device to tell of
    assert_int_equal(mock->n_writes, 0);
}

static uint32_t lost_after(mock_t *mock, uint32_t offset, uint32_t value) {
    (void)offset;
    uint32_t *left = mock->user;
    if (*left == 0)
        mock->is_lost = true;
    else
        --*left;
    return mock->is_lost ? UINT32_MAX : value;
}

static void card_is_lost_anywhere_in_start(void **state) {
    mock_t *mock = *state;
    uint32_t n_reads = 0;
    assert_int_equal(mock_start(mock), STATUS_OK);
    n_reads = mock->n_reads;
    mock_stop(mock);
    for (uint32_t i = 0; i < n_reads; i++) {
        mock_init(mock);
        uint32_t left = i;
        mock->on_read = lost_after;
        mock->user = &left;
        assert_int_equal(mock_start(mock), STATUS_DEVICE_LOST);
        assert_int_equal(mock->n_live, 0);
    }
}

static void start_fails_cleanly_wherever_the_port_fails(void **state) {
    mock_t *mock = *state;
    uint32_t n = 1;
    for (;; n++) {
        mock->fail_at = n;
        status_t status = mock_start(mock);
        if (status == STATUS_OK)
            break;
        assert_int_equal(status, STATUS_NO_MEMORY);
        assert_null(mock->hw);
        assert_int_equal(mock->n_live, 0);
    }
    assert_true(n > 4); // device, spins, rings
    mock_stop(mock);
}

static void node_that_does_not_turn_on(void **state) {
    mock_t *mock = *state;
    mock->control_stuck = true;
    assert_int_equal(mock_start(mock), STATUS_IO);
    assert_int_equal(mock->n_live, 0);
}

static void card_at_work_for_somebody_before(void **state) {
    mock_t *mock = *state;
    *mock_reg(mock, ISA_NODE_REG_AT(0, STATE)) = ISA_NODE_STATE_BUSY;
    mock->is_stuck = true;
    assert_int_equal(mock_start(mock), STATUS_OK);
    assert_int_equal(mock->n_card_resets, 1);
    mock_stop(mock);
}

static void card_that_cannot_be_stopped(void **state) {
    mock_t *mock = *state;
    *mock_reg(mock, ISA_NODE_REG_AT(0, STATE)) = ISA_NODE_STATE_BUSY;
    mock->is_stuck = mock->reset_stuck = mock->function_stuck = true;
    assert_int_equal(mock_start(mock), STATUS_TIMEOUT);
    assert_true(mock->n_function_resets > 0);
    assert_true(mock->now_ns < UINT64_C(2000000000));
}

static void stop_resets_a_card_that_hangs(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    mock->is_stuck = mock->reset_stuck = true;
    mock_stop(mock);
    assert_int_equal(mock->n_card_resets, 1);
    assert_int_equal(mock->n_function_resets, 1);
}

static void stop_of_a_card_that_is_gone(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    hw_gone(mock->hw);
    uint32_t n_writes = mock->n_writes, n_reads = mock->n_reads;
    mock_stop(mock);
    assert_int_equal(mock->n_writes, n_writes);
    assert_int_equal(mock->n_reads, n_reads);
}

static void vectors_are_granted(void **state) {
    mock_t *mock = *state;
    assert_int_equal(mock_start(mock), STATUS_OK);
    hw_set_vectors(mock->hw, 1);
    assert_int_equal(*mock_reg(mock, ISA_REG_VECTORS_GRANTED), 1);
    hw_set_vectors(mock->hw, 16);
    assert_int_equal(*mock_reg(mock, ISA_REG_VECTORS_GRANTED), 1 + ISA_NODE_COUNT);
    mock_stop(mock);
    hw_stop(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(card_is_identified),
        TEST(wrong_cards_are_refused),
        TEST(later_minor_version_is_accepted),
        TEST(first_version_of_a_card_is_accepted),
        TEST(old_port_is_refused),
        TEST(nobody_answers),
        TEST(card_is_lost_anywhere_in_start),
        TEST(start_fails_cleanly_wherever_the_port_fails),
        TEST(node_that_does_not_turn_on),
        TEST(card_at_work_for_somebody_before),
        TEST(card_that_cannot_be_stopped),
        TEST(stop_resets_a_card_that_hangs),
        TEST(stop_of_a_card_that_is_gone),
        TEST(vectors_are_granted),
    };
    return cmocka_run_group_tests_name("hw_start", tests, NULL, NULL);
}
