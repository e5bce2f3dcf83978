// SPDX-License-Identifier: Apache-2.0
// Completion entries, good ones and nonsense, and fault records: hw on the mock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hw/mock.h"

#define NORMAL ISA_RING_NORMAL
#define HIGH   ISA_RING_HIGH

// Fences from `first` on, rung.
static void submit(mock_t *mock, uint32_t node, uint32_t ring, uint64_t first, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        mock_submit(mock, node, ring, first + i);
    hw_kick(mock->hw, node, ring);
}

static void done(mock_t *mock, uint32_t node, uint32_t ring) {
    mock_complete(mock, node, ring, ISA_COMP_DONE, 0, 5);
}

static void expect_unknown(mock_t *mock, uint64_t fence) {
    const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_FAULT, fence);
    assert_int_equal(notice->cause, ISA_FAULT_INTERNAL);
    assert_null(notice->fault);
}

static void each_kind_is_told(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 100, 5);
    mock_complete(mock, 0, NORMAL, ISA_COMP_DONE, 0, 42);
    mock_complete(mock, 0, NORMAL, ISA_COMP_SUSPENDED, 0, 0x3000);
    mock_complete(mock, 0, NORMAL, ISA_COMP_ABORTED, 0, 0);
    mock_complete(mock, 0, NORMAL, ISA_COMP_EXPIRED, 0, 999);
    uint64_t number = mock_fault(mock, 0, ISA_FAULT_PAGE_INVALID, 104);
    mock_complete(mock, 0, NORMAL, ISA_COMP_FAULT, ISA_FAULT_PAGE_INVALID, number);
    assert_int_equal(hw_fence_done(mock->hw, 0, NORMAL), 0);
    uint32_t n_reads = mock->n_reads;
    assert_true(hw_isr(mock->hw, 1));
    assert_int_equal(mock->n_reads, n_reads);
    assert_int_equal(mock_expect(mock, HW_NOTICE_DONE, 100)->info, 42);
    assert_int_equal(mock_expect(mock, HW_NOTICE_SUSPENDED, 101)->info, 0x3000);
    (void)mock_expect(mock, HW_NOTICE_ABORTED, 102);
    assert_int_equal(mock_expect(mock, HW_NOTICE_EXPIRED, 103)->info, 999);
    const hw_notice_t *fault = mock_expect(mock, HW_NOTICE_FAULT, 104);
    assert_int_equal(fault->cause, ISA_FAULT_PAGE_INVALID);
    assert_non_null(fault->fault);
    assert_int_equal(fault->fault->va, 0x1000);
    assert_int_equal(hw_fence_done(mock->hw, 0, NORMAL), 104);
    assert_int_equal(*mock_reg(mock, ISA_REG_FAULT_HEAD), 1);
}

static void rings_do_not_touch_each_other(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 10, 2);
    submit(mock, 0, HIGH, 500, 1);
    submit(mock, 1, NORMAL, 7, 1);
    done(mock, 0, NORMAL);
    done(mock, 0, HIGH);
    done(mock, 1, NORMAL);
    hw_poll(mock->hw);
    assert_int_equal(mock_expect(mock, HW_NOTICE_DONE, 10)->ring, NORMAL);
    assert_int_equal(mock_expect(mock, HW_NOTICE_DONE, 500)->ring, HIGH);
    assert_int_equal(mock_expect(mock, HW_NOTICE_DONE, 7)->node, 1);
    assert_int_equal(hw_fence_done(mock->hw, 0, NORMAL), 10);
    assert_int_equal(hw_fence_done(mock->hw, 0, HIGH), 500);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 11);
}

static void rings_wrap_and_credit_is_kept(void **state) {
    mock_t *mock = *state;
    uint64_t fence = 1, ended = 1;
    uint32_t all = hw_credit(mock->hw, 0, NORMAL);
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t n = 1 + round * 7 % all;
        if (n > 5 && round % 64 != 0)
            n = 1 + round % 5;
        submit(mock, 0, NORMAL, fence, n);
        assert_int_equal(hw_credit(mock->hw, 0, NORMAL), all - n);
        fence += n;
        for (uint32_t i = 0; i < n; i++)
            done(mock, 0, NORMAL);
        hw_poll(mock->hw);
        assert_int_equal(mock->n_notices, n);
        while (ended < fence)
            (void)mock_expect(mock, HW_NOTICE_DONE, ended++);
        mock->n_notices = mock->n_checked = 0;
        assert_int_equal(hw_credit(mock->hw, 0, NORMAL), all);
    }
    assert_true(fence > 5000); // both rings went round several times
}

static void doorbells_are_not_rung_for_nothing(void **state) {
    mock_t *mock = *state;
    hw_kick(mock->hw, 0, NORMAL);
    assert_int_equal(mock->n_doorbells, 0);
    submit(mock, 0, NORMAL, 1, 3);
    hw_kick(mock->hw, 0, NORMAL);
    assert_int_equal(mock->n_doorbells, 1);
    assert_int_equal(mock->nodes[0].rings[NORMAL].tail, 3);
    hw_arm(mock->hw, 1, HIGH, UINT64_C(0x1234567890));
    assert_int_equal(*mock_reg(mock, ISA_DOORBELL(1, HIGH) + ISA_DOORBELL_ARM), 0);
    for (uint32_t i = 0; i < 3; i++)
        done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    for (uint64_t i = 1; i <= 3; i++)
        (void)mock_expect(mock, HW_NOTICE_DONE, i);
}

// --- Nonsense ---

typedef void (*spoil_t)(isa_completion_t *entry);
static void spoil_type(isa_completion_t *entry) { entry->type = 0x77; }
static void spoil_none(isa_completion_t *entry) { entry->type = ISA_COMP_NONE; }
static void spoil_node(isa_completion_t *entry) { entry->node ^= 1; }
static void spoil_far_node(isa_completion_t *entry) { entry->node = 0xff; }
static void spoil_flags(isa_completion_t *entry) { entry->flags |= 0x10; }
static void spoil_ring(isa_completion_t *entry) { entry->flags ^= ISA_COMP_HIGH; }
static void spoil_fence(isa_completion_t *entry) { entry->fence++; }
static void spoil_no_fence(isa_completion_t *entry) { entry->fence = 0; }
static void spoil_head(isa_completion_t *entry) { entry->head++; }
static void spoil_far_head(isa_completion_t *entry) { entry->head += 0x10000; }
static void spoil_old_head(isa_completion_t *entry) { entry->head--; }
static void spoil_status(isa_completion_t *entry) { entry->status = ISA_FAULT_BUS; }
static void spoil_stop(isa_completion_t *entry) { entry->type = ISA_COMP_PREEMPTED; }
static void spoil_all(isa_completion_t *entry) { memset(entry, 0xa5, sizeof *entry); }
static void spoil_fault(isa_completion_t *entry) { entry->type = ISA_COMP_FAULT; } // no cause

static const spoil_t spoilers[] = {
    spoil_type, spoil_none,     spoil_node, spoil_far_node, spoil_flags,
    spoil_ring, spoil_fence,    spoil_head, spoil_far_head, spoil_old_head,
    spoil_stop, spoil_no_fence, spoil_all,  spoil_status,   spoil_fault,
};

// The slot is consumed and its entry is nonsense.
static void spoiled(mock_t *mock, uint32_t node, uint32_t ring, spoil_t spoil) {
    isa_completion_t entry = mock_entry(mock, node, ring, ISA_COMP_DONE);
    spoil(&entry);
    mock_consume(mock, node, ring);
    mock_write(mock, node, entry);
}

static void nonsense_is_passed_by_the_next_entry(void **state) {
    mock_t *mock = *state;
    uint64_t fence = 1;
    for (uint32_t i = 0; i < COUNT_OF(spoilers); i++, fence += 3) {
        submit(mock, 0, NORMAL, fence, 3);
        done(mock, 0, NORMAL);
        spoiled(mock, 0, NORMAL, spoilers[i]);
        uint32_t n_reads = mock->n_reads;
        hw_poll(mock->hw);
        (void)mock_expect(mock, HW_NOTICE_DONE, fence);
        assert_int_equal(mock_expect(mock, HW_NOTICE_CORRUPT, 0)->node, 0);
        mock_expect_none(mock);
        assert_int_equal(hw_fence_done(mock->hw, 0, NORMAL), fence);
        done(mock, 0, NORMAL);
        hw_poll(mock->hw);
        expect_unknown(mock, fence + 1);
        (void)mock_expect(mock, HW_NOTICE_DONE, fence + 2);
        mock_expect_none(mock);
        assert_int_equal(mock->n_reads, n_reads);
    }
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 256);
}

static void nonsense_is_settled_by_registers(void **state) {
    mock_t *mock = *state;
    uint64_t fence = 1;
    for (uint32_t i = 0; i < COUNT_OF(spoilers); i++, fence++) {
        submit(mock, 1, HIGH, fence, 1);
        spoiled(mock, 1, HIGH, spoilers[i]);
        hw_poll(mock->hw);
        (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
        mock_expect_none(mock);
        hw_dpc(mock->hw);
        expect_unknown(mock, fence);
        mock_expect_none(mock);
        assert_int_equal(hw_fence_done(mock->hw, 1, HIGH), fence);
    }
    // The node is not in doubt any more: no more reads than that of ERROR.
    uint32_t n_reads = mock->n_reads;
    hw_dpc(mock->hw);
    assert_int_equal(mock->n_reads, n_reads + 1);
}

// While the node is busy, a head may stand before its entry: only nonsense that came explains it.
static void busy_node_is_settled_by_count(void **state) {
    mock_t *mock = *state;
    *mock_reg(mock, ISA_NODE_REG_AT(0, STATE)) = ISA_NODE_STATE_BUSY;
    submit(mock, 0, NORMAL, 1, 4);
    spoiled(mock, 0, NORMAL, spoil_all);
    isa_completion_t second = mock_entry(mock, 0, NORMAL, ISA_COMP_DONE);
    mock_consume(mock, 0, NORMAL); // its entry is on its way
    hw_poll(mock->hw);
    hw_dpc(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    mock_expect_none(mock);
    mock_write(mock, 0, second);
    hw_poll(mock->hw);
    expect_unknown(mock, 1);
    (void)mock_expect(mock, HW_NOTICE_DONE, 2);
    spoiled(mock, 0, NORMAL, spoil_all);
    hw_poll(mock->hw);
    hw_dpc(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    expect_unknown(mock, 3);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 4);
}

static void entry_out_of_nothing_harms_nobody(void **state) {
    mock_t *mock = *state;
    isa_completion_t entry = {.type = ISA_COMP_DONE, .head = 1, .fence = 1};
    mock_write(mock, 0, entry);
    hw_dpc(mock->hw);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    hw_dpc(mock->hw);
    submit(mock, 0, NORMAL, 1, 1);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 1);
    mock_write(mock, 0, entry); // told twice
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
}

static void entry_that_was_refused(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 1, 3);
    mock_consume(mock, 0, NORMAL);
    mock_write_refused(mock, 0);
    done(mock, 0, NORMAL); // stands behind the hole
    hw_poll(mock->hw);
    mock_expect_none(mock);
    *mock_reg(mock, ISA_REG_ERROR) = ISA_ERROR_DMA;
    hw_dpc(mock->hw);
    assert_int_equal(mock_expect(mock, HW_NOTICE_ALARM, 0)->info, ISA_ERROR_DMA);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    expect_unknown(mock, 1);
    (void)mock_expect(mock, HW_NOTICE_DONE, 2);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 3);
}

static void nonsense_in_registers_settles_nothing(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 1, 2);
    spoiled(mock, 0, NORMAL, spoil_all);
    *mock_reg(mock, ISA_NODE_REG_AT(0, RING_HEAD)) = 0x8000;
    *mock_reg(mock, ISA_NODE_REG_AT(0, COMP_TAIL)) = 0x80000000;
    hw_poll(mock->hw);
    hw_dpc(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    mock_expect_none(mock);
    assert_int_equal(hw_fence_done(mock->hw, 0, NORMAL), 0);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    expect_unknown(mock, 1);
    (void)mock_expect(mock, HW_NOTICE_DONE, 2);
}

// Its count of entries is of before: a reset is about to turn it on.
static void node_that_is_off_settles_nothing(void **state) {
    mock_t *mock = *state;
    *mock_reg(mock, ISA_NODE_REG_AT(0, STATE)) = ISA_NODE_STATE_OFF;
    *mock_reg(mock, ISA_NODE_REG_AT(0, COMP_TAIL)) = 5;
    *mock_reg(mock, ISA_REG_ERROR) = ISA_ERROR_DMA;
    hw_dpc(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_ALARM, 0);
    mock_expect_none(mock);
    *mock_reg(mock, ISA_NODE_REG_AT(0, STATE)) = ISA_NODE_STATE_IDLE;
    *mock_reg(mock, ISA_NODE_REG_AT(0, COMP_TAIL)) = 0;
    submit(mock, 0, NORMAL, 1, 1);
    mock_complete(mock, 0, NORMAL, ISA_COMP_DONE, 0, 0);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 1);
}

static void packets_without_entries_are_passed_silently(void **state) {
    mock_t *mock = *state;
    mock_submit_quiet(mock, 1, NORMAL, 1);
    mock_submit_quiet(mock, 1, NORMAL, 2);
    mock_submit(mock, 1, NORMAL, 3);
    hw_kick(mock->hw, 1, NORMAL);
    mock_consume(mock, 1, NORMAL);
    mock_consume(mock, 1, NORMAL);
    done(mock, 1, NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 3);
    assert_int_equal(hw_credit(mock->hw, 1, NORMAL), 256);
}

// The card could not read the slot, so it has no fence to tell.
static void slot_that_was_not_read(void **state) {
    mock_t *mock = *state;
    submit(mock, 1, NORMAL, 9, 2);
    isa_completion_t entry = mock_entry(mock, 1, NORMAL, ISA_COMP_FAULT);
    entry.status = ISA_FAULT_PACKET_BUS;
    entry.fence = 0;
    entry.info = mock_fault(mock, 1, ISA_FAULT_PACKET_BUS, 0);
    mock_consume(mock, 1, NORMAL);
    mock_write(mock, 1, entry);
    done(mock, 1, NORMAL);
    hw_poll(mock->hw);
    const hw_notice_t *fault = mock_expect(mock, HW_NOTICE_FAULT, 9);
    assert_int_equal(fault->cause, ISA_FAULT_PACKET_BUS);
    assert_non_null(fault->fault);
    assert_int_equal(fault->fault->fence, 9);
    (void)mock_expect(mock, HW_NOTICE_DONE, 10);
}

// --- Fault records ---

static void fault(mock_t *mock, uint32_t node, uint32_t cause, uint64_t number) {
    mock_complete(mock, node, NORMAL, ISA_COMP_FAULT, (uint8_t)cause, number);
}

static void records_of_two_nodes_are_told_apart(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 1, 1);
    submit(mock, 1, NORMAL, 2, 1);
    uint64_t copy = mock_fault(mock, 1, ISA_FAULT_BUS, 2);
    uint64_t compute = mock_fault(mock, 0, ISA_FAULT_ECC, 1);
    fault(mock, 1, ISA_FAULT_BUS, copy);
    fault(mock, 0, ISA_FAULT_ECC, compute);
    hw_poll(mock->hw); // node 0 first, whose record is the second
    assert_int_equal(mock_expect(mock, HW_NOTICE_FAULT, 1)->fault->va, 0x1001);
    assert_int_equal(mock_expect(mock, HW_NOTICE_FAULT, 2)->fault->va, 0x1000);
    assert_int_equal(*mock_reg(mock, ISA_REG_FAULT_HEAD), 2);
    assert_int_equal(mock_count_logs(mock, PORT_LOG_FAULT), 2);
}

static void record_of_a_lost_entry_is_found(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 1, 2);
    (void)mock_fault(mock, 0, ISA_FAULT_ILLEGAL_INSN, 1);
    spoiled(mock, 0, NORMAL, spoil_all);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_FAULT, 1);
    assert_int_equal(notice->cause, ISA_FAULT_ILLEGAL_INSN);
    assert_non_null(notice->fault);
    (void)mock_expect(mock, HW_NOTICE_DONE, 2);
    assert_int_equal(*mock_reg(mock, ISA_REG_FAULT_HEAD), 1);
}

static void dropped_records_and_many_rounds(void **state) {
    mock_t *mock = *state;
    uint64_t fence = 1;
    for (uint32_t round = 0; round < 20; round++) {
        uint64_t first = fence;
        submit(mock, 0, NORMAL, fence, 100); // more than records
        for (uint32_t i = 0; i < 100; i++, fence++)
            fault(mock, 0, ISA_FAULT_BUS, mock_fault(mock, 0, ISA_FAULT_BUS, fence));
        hw_poll(mock->hw);
        for (uint32_t i = 0; i < 100; i++) {
            const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_FAULT, first + i);
            assert_int_equal(notice->cause, ISA_FAULT_BUS);
            assert_int_equal(notice->fault != NULL, i < 64);
        }
        mock->n_notices = mock->n_checked = 0;
    }
}

static void records_that_nobody_asks_for_are_passed(void **state) {
    mock_t *mock = *state;
    uint64_t fence = 1;
    for (uint32_t round = 0; round < 500; round++, fence++) {
        if (round % 5 == 0)
            (void)mock_fault(mock, 1, ISA_FAULT_BUS, 12345); // of no packet
        submit(mock, 0, NORMAL, fence, 1);
        fault(mock, 0, ISA_FAULT_ECC, mock_fault(mock, 0, ISA_FAULT_ECC, fence));
        hw_poll(mock->hw);
        assert_non_null(mock_expect(mock, HW_NOTICE_FAULT, fence)->fault);
    }
    assert_int_equal(*mock_reg(mock, ISA_REG_FAULT_DROPPED), 0);
}

static void records_of_others_and_of_unknown_causes(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 1, 4);
    fault(mock, 0, ISA_FAULT_BUS, mock_fault(mock, 0, ISA_FAULT_BUS, 77));
    fault(mock, 0, ISA_FAULT_BUS, mock_fault(mock, 1, ISA_FAULT_BUS, 2));
    fault(mock, 0, ISA_FAULT_BUS, mock_fault(mock, 0, 0xfff0, 3));
    fault(mock, 0, 0xf0, 0x123456789abcdef0);
    hw_poll(mock->hw);
    assert_null(mock_expect(mock, HW_NOTICE_FAULT, 1)->fault);
    assert_null(mock_expect(mock, HW_NOTICE_FAULT, 2)->fault);
    assert_int_equal(mock_expect(mock, HW_NOTICE_FAULT, 3)->fault->cause, ISA_FAULT_INTERNAL);
    const hw_notice_t *last = mock_expect(mock, HW_NOTICE_FAULT, 4);
    assert_int_equal(last->cause, ISA_FAULT_INTERNAL);
    assert_null(last->fault);
}

// --- Errors outside of packets ---

static void alarms_are_told_once(void **state) {
    mock_t *mock = *state;
    hw_dpc(mock->hw);
    mock_expect_none(mock);
    *mock_reg(mock, ISA_REG_ERROR) = ISA_ERROR_OVERHEAT | ISA_ERROR_ECC_CORRECTED;
    *mock_reg(mock, ISA_REG_ERROR_COUNT) = 2;
    hw_dpc(mock->hw);
    hw_dpc(mock->hw);
    assert_int_equal(mock_expect(mock, HW_NOTICE_ALARM, 0)->info,
                     ISA_ERROR_OVERHEAT | ISA_ERROR_ECC_CORRECTED);
    assert_int_equal(*mock_reg(mock, ISA_REG_ERROR), 0);
    assert_int_equal(mock_count_logs(mock, PORT_LOG_ERROR), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, mock_set_up, mock_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_kind_is_told),
        TEST(rings_do_not_touch_each_other),
        TEST(rings_wrap_and_credit_is_kept),
        TEST(doorbells_are_not_rung_for_nothing),
        TEST(nonsense_is_passed_by_the_next_entry),
        TEST(nonsense_is_settled_by_registers),
        TEST(busy_node_is_settled_by_count),
        TEST(entry_out_of_nothing_harms_nobody),
        TEST(entry_that_was_refused),
        TEST(nonsense_in_registers_settles_nothing),
        TEST(node_that_is_off_settles_nothing),
        TEST(packets_without_entries_are_passed_silently),
        TEST(slot_that_was_not_read),
        TEST(records_of_two_nodes_are_told_apart),
        TEST(record_of_a_lost_entry_is_found),
        TEST(dropped_records_and_many_rounds),
        TEST(records_that_nobody_asks_for_are_passed),
        TEST(records_of_others_and_of_unknown_causes),
        TEST(alarms_are_told_once),
    };
    return cmocka_run_group_tests_name("hw_complete", tests, NULL, NULL);
}
