// SPDX-License-Identifier: Apache-2.0
// Several packets under one fence: told once, when the last is over, and never run twice. hw on the
// mock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/hw/mock.h"

#define NORMAL ISA_RING_NORMAL
#define COPY   ISA_NODE_COPY

static void submit(mock_t *mock, uint32_t n, uint64_t fence) {
    isa_ring_packet_t packets[HW_BATCH_MAX];
    for (uint32_t i = 0; i < n; i++)
        hw_packet_scrub(&packets[i], (i + 1) * UINT64_C(4096), 4096);
    assert_true(hw_credit(mock->hw, COPY, NORMAL) >= n);
    hw_submit_batch(mock->hw, COPY, NORMAL, packets, n, fence);
    hw_kick(mock->hw, COPY, NORMAL);
}

static void done(mock_t *mock, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        mock_complete(mock, COPY, NORMAL, ISA_COMP_DONE, 0, 0);
    hw_poll(mock->hw);
}

// With a record, of the packet that the card has next.
static void fault(mock_t *mock, uint32_t cause) {
    uint32_t head = mock->nodes[COPY].rings[NORMAL].head;
    uint64_t number = mock_fault(mock, COPY, cause, mock_slot_fence(mock, COPY, NORMAL, head));
    mock_complete(mock, COPY, NORMAL, ISA_COMP_FAULT, (uint8_t)cause, number);
    hw_poll(mock->hw);
}

static void stop(mock_t *mock, uint32_t token) {
    hw_preempt(mock->hw, COPY, token); // the mock answers at once
    hw_poll(mock->hw);
}

static void the_last_one_is_told(void **state) {
    mock_t *mock = *state;
    submit(mock, 1, 10);
    submit(mock, 5, 11);
    submit(mock, HW_BATCH_MAX, 12);
    done(mock, 1);
    (void)mock_expect(mock, HW_NOTICE_DONE, 10);
    done(mock, 4);
    mock_expect_none(mock);
    assert_int_equal(hw_fence_done(mock->hw, COPY, NORMAL), 10);
    done(mock, 1);
    (void)mock_expect(mock, HW_NOTICE_DONE, 11);
    done(mock, HW_BATCH_MAX - 1);
    mock_expect_none(mock);
    done(mock, 1);
    (void)mock_expect(mock, HW_NOTICE_DONE, 12);
    assert_int_equal(hw_fence_done(mock->hw, COPY, NORMAL), 12);
}

// What LAST_DONE and an armed interrupt compare stays below the fence until the end.
static void the_card_sees_the_fence_last(void **state) {
    mock_t *mock = *state;
    submit(mock, 3, 50);
    for (uint32_t i = 0; i < 2; i++)
        assert_true(mock_slot_fence(mock, COPY, NORMAL, i) < 50);
    assert_int_equal(mock_slot_fence(mock, COPY, NORMAL, 2), 50);
    done(mock, 3);
    (void)mock_expect(mock, HW_NOTICE_DONE, 50);
}

static void one_failure_fails_all(void **state) {
    mock_t *mock = *state;
    submit(mock, 4, 20);
    submit(mock, 4, 21);
    done(mock, 1);
    fault(mock, ISA_FAULT_PACKET_BUS);
    fault(mock, ISA_FAULT_ECC); // the first is the one that is told
    mock_expect_none(mock);
    done(mock, 1);
    const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_FAULT, 20);
    assert_int_equal(notice->cause, ISA_FAULT_PACKET_BUS);
    assert_non_null(notice->fault);
    assert_int_equal(notice->fault->fence, 20);
    assert_int_equal(notice->fault->va, 0x1000);
    done(mock, 4);
    (void)mock_expect(mock, HW_NOTICE_DONE, 21);
}

// Wherever it is stopped, it goes on behind what is over.
static void the_rest_comes_back(void **state) {
    mock_t *mock = *state;
    for (uint32_t over = 0; over < 4; over++) {
        uint64_t fence = 100 * (over + 1);
        submit(mock, 4, fence);
        submit(mock, 2, fence + 1);
        done(mock, over);
        stop(mock, over + 1);
        const hw_notice_t *notice =
            mock_expect(mock, HW_NOTICE_PREEMPTED, over == 0 ? 0 : fence - 99);
        assert_int_equal(notice->packets, over);
        submit(mock, 4 - over, fence);
        if (over == 2) { // and once more
            done(mock, 1);
            stop(mock, 77);
            assert_int_equal(mock_expect(mock, HW_NOTICE_PREEMPTED, fence - 99)->packets, 1);
            submit(mock, 1, fence);
        }
        done(mock, over == 2 ? 1 : 4 - over);
        (void)mock_expect(mock, HW_NOTICE_DONE, fence);
        submit(mock, 2, fence + 1);
        done(mock, 2);
        (void)mock_expect(mock, HW_NOTICE_DONE, fence + 1);
    }
}

static void a_failed_one_does_not_come_back(void **state) {
    mock_t *mock = *state;
    submit(mock, 3, 30);
    submit(mock, 3, 31);
    fault(mock, ISA_FAULT_PACKET_BUS);
    stop(mock, 5);
    (void)mock_expect(mock, HW_NOTICE_FAULT, 30);
    const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_PREEMPTED, 30);
    assert_int_equal(notice->packets, 0);
    submit(mock, 3, 31);
    done(mock, 3);
    (void)mock_expect(mock, HW_NOTICE_DONE, 31);
}

// An entry within it was lost: nobody knows how far it came.
static void doubt_is_failure(void **state) {
    mock_t *mock = *state;
    submit(mock, 4, 40);
    done(mock, 1);
    isa_completion_t nonsense = mock_entry(mock, COPY, NORMAL, ISA_COMP_DONE);
    nonsense.fence ^= 1u << 20;
    mock_consume(mock, COPY, NORMAL);
    mock_write(mock, COPY, nonsense);
    stop(mock, 5);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_FAULT, 40);
    assert_int_equal(notice->cause, ISA_FAULT_INTERNAL);
    (void)mock_expect(mock, HW_NOTICE_PREEMPTED, 40);
}

// The next entry tells that one was lost; the batch ends as failed, once.
static void a_lost_entry_fails_it(void **state) {
    mock_t *mock = *state;
    submit(mock, 4, 60);
    mock_consume(mock, COPY, NORMAL);
    done(mock, 2);
    mock_expect_none(mock);
    done(mock, 1);
    assert_int_equal(mock_expect(mock, HW_NOTICE_FAULT, 60)->cause, ISA_FAULT_INTERNAL);
    submit(mock, 2, 61);
    done(mock, 2);
    (void)mock_expect(mock, HW_NOTICE_DONE, 61);
}

// ResetEngine's rule: the aborted fence is one that was submitted and not completed.
static void a_reset_within_it_aborts_it(void **state) {
    mock_t *mock = *state;
    uint64_t aborted;
    for (uint32_t over = 0; over < 3; over++) {
        uint64_t fence = 1000 * (over + 1);
        submit(mock, 2, fence);
        submit(mock, 3, fence + 1);
        done(mock, 2 + over);
        (void)mock_expect(mock, HW_NOTICE_DONE, fence);
        uint32_t head = mock->nodes[COPY].rings[NORMAL].head;
        mock->last_aborted = mock_slot_fence(mock, COPY, NORMAL, head);
        assert_int_equal(hw_reset_node(mock->hw, COPY, &aborted), STATUS_OK);
        assert_int_equal(aborted, fence + 1);
    }
    // The node stood between two packets: it must not begin again, either.
    submit(mock, 3, 9000);
    done(mock, 1);
    mock->last_aborted = 0;
    assert_int_equal(hw_reset_node(mock->hw, COPY, &aborted), STATUS_OK);
    assert_int_equal(aborted, 9000);
    submit(mock, 3, 9001);
    done(mock, 3);
    (void)mock_expect(mock, HW_NOTICE_DONE, 9001);
}

static void two_of_the_largest_fit(void **state) {
    mock_t *mock = *state;
    submit(mock, HW_BATCH_MAX, 1000);
    submit(mock, HW_BATCH_MAX, 1001);
    assert_true(hw_credit(mock->hw, COPY, NORMAL) >= HW_BATCH_MAX);
    done(mock, 2 * HW_BATCH_MAX);
    (void)mock_expect(mock, HW_NOTICE_DONE, 1000);
    (void)mock_expect(mock, HW_NOTICE_DONE, 1001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, mock_set_up, mock_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_last_one_is_told),
        TEST(the_card_sees_the_fence_last),
        TEST(one_failure_fails_all),
        TEST(the_rest_comes_back),
        TEST(a_failed_one_does_not_come_back),
        TEST(doubt_is_failure),
        TEST(a_lost_entry_fails_it),
        TEST(a_reset_within_it_aborts_it),
        TEST(two_of_the_largest_fit),
    };
    return cmocka_run_group_tests_name("hw_batch", tests, NULL, NULL);
}
