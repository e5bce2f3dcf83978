// SPDX-License-Identifier: Apache-2.0
// Preemption, resets, and a card that goes away: hw on the mock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/hw/mock.h"

#define NORMAL ISA_RING_NORMAL
#define HIGH   ISA_RING_HIGH

static void submit(mock_t *mock, uint32_t node, uint32_t ring, uint64_t first, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        mock_submit(mock, node, ring, first + i);
    hw_kick(mock->hw, node, ring);
}

static void done(mock_t *mock, uint32_t node, uint32_t ring) {
    mock_complete(mock, node, ring, ISA_COMP_DONE, 0, 5);
}

// --- Preemption ---

static void stop_gives_back_what_was_not_done(void **state) {
    mock_t *mock = *state;
    mock->answers_stops = false;
    submit(mock, 0, NORMAL, 10, 3);
    submit(mock, 0, HIGH, 900, 2);
    mock_submit(mock, 0, NORMAL, 13); // never kicked
    done(mock, 0, NORMAL);
    hw_preempt(mock->hw, 0, 7);
    assert_int_equal(mock->n_preempts, 1);
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 0);
    assert_int_equal(hw_credit(mock->hw, 0, HIGH), 254);
    hw_kick(mock->hw, 0, NORMAL); // late
    assert_int_equal(mock->nodes[0].rings[NORMAL].tail, 3);
    mock_stopped(mock, 0, 7, true);
    done(mock, 0, HIGH);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 10);
    const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_PREEMPTED, 10);
    assert_true(notice->saved);
    assert_int_equal(notice->info, 7);
    (void)mock_expect(mock, HW_NOTICE_DONE, 900);
    // The same fences again, in order.
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 256);
    hw_kick(mock->hw, 0, NORMAL); // nothing of it is left
    assert_int_equal(mock->nodes[0].rings[NORMAL].tail, 3);
    submit(mock, 0, NORMAL, 11, 3);
    for (uint64_t i = 0; i < 3; i++)
        done(mock, 0, NORMAL);
    done(mock, 0, HIGH);
    hw_poll(mock->hw);
    for (uint64_t i = 11; i < 14; i++)
        (void)mock_expect(mock, HW_NOTICE_DONE, i);
    (void)mock_expect(mock, HW_NOTICE_DONE, 901);
}

static void stop_of_an_empty_ring(void **state) {
    mock_t *mock = *state;
    for (uint32_t token = 1; token < 600; token++) {
        hw_preempt(mock->hw, 1, token);
        hw_poll(mock->hw);
        const hw_notice_t *notice = mock_expect(mock, HW_NOTICE_PREEMPTED, token - 1);
        assert_false(notice->saved);
        assert_int_equal(notice->info, token);
        assert_int_equal(notice->node, 1);
        submit(mock, 1, NORMAL, token, 1);
        done(mock, 1, NORMAL);
        hw_poll(mock->hw);
        (void)mock_expect(mock, HW_NOTICE_DONE, token);
    }
}

// What ended without an entry, or whose entry was lost, is not given back.
static void stop_tells_what_ended_silently(void **state) {
    mock_t *mock = *state;
    mock->answers_stops = false;
    mock_submit_quiet(mock, 0, NORMAL, 1);
    mock_submit(mock, 0, NORMAL, 2);
    mock_submit_quiet(mock, 0, NORMAL, 3);
    submit(mock, 0, NORMAL, 4, 1);
    for (int i = 0; i < 3; i++)
        mock_consume(mock, 0, NORMAL);
    hw_preempt(mock->hw, 0, 9);
    mock_stopped(mock, 0, 9, false);
    hw_poll(mock->hw);
    assert_int_equal(mock_expect(mock, HW_NOTICE_FAULT, 2)->cause, ISA_FAULT_INTERNAL);
    (void)mock_expect(mock, HW_NOTICE_PREEMPTED, 3);
}

static void stops_that_nobody_asked_for_are_nonsense(void **state) {
    mock_t *mock = *state;
    mock->answers_stops = false;
    submit(mock, 0, NORMAL, 1, 2);
    isa_completion_t entry = {.type = ISA_COMP_PREEMPTED, .head = 2, .info = 5};
    mock_write(mock, 0, entry); // none is on
    hw_poll(mock->hw);
    hw_preempt(mock->hw, 0, 5);
    entry.info = 6;
    mock_write(mock, 0, entry); // another token
    entry.info = 5 | ISA_COMP_SAVED << 1;
    mock_write(mock, 0, entry);
    entry.info = 5;
    entry.head = 1; // not all of the ring
    mock_write(mock, 0, entry);
    entry.head = 2;
    entry.flags = ISA_COMP_HIGH;
    mock_write(mock, 0, entry);
    hw_poll(mock->hw);
    for (int i = 0; i < 5; i++)
        (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 0);
    mock_stopped(mock, 0, 5, false);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_PREEMPTED, 0);
}

// Another processor is on its way to the doorbell when the stop comes and is answered.
static void stop_now(mock_t *mock) {
    hw_preempt(mock->hw, 0, 3);
    hw_poll(mock->hw);
}

static void late_doorbell_brings_nothing_back(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 1, 2);
    mock_submit(mock, 0, NORMAL, 3);
    mock->before_doorbell = stop_now;
    hw_kick(mock->hw, 0, NORMAL);
    (void)mock_expect(mock, HW_NOTICE_PREEMPTED, 0);
    assert_int_equal(mock->nodes[0].rings[NORMAL].tail, 3);
    assert_int_equal(mock->nodes[0].rings[NORMAL].head, 3);
    submit(mock, 0, NORMAL, 1, 3);
    for (uint64_t i = 1; i <= 3; i++)
        done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    for (uint64_t i = 1; i <= 3; i++)
        (void)mock_expect(mock, HW_NOTICE_DONE, i);
}

// --- A node's reset ---

static void reset_tells_what_was_done_and_what_was_in_work(void **state) {
    mock_t *mock = *state;
    uint64_t aborted;
    submit(mock, 0, NORMAL, 1, 4);
    submit(mock, 0, HIGH, 50, 1);
    done(mock, 0, NORMAL);
    done(mock, 0, HIGH);
    mock->last_aborted = 2;
    assert_int_equal(hw_reset_node(mock->hw, 0, &aborted), STATUS_OK);
    assert_int_equal(aborted, 2);
    (void)mock_expect(mock, HW_NOTICE_DONE, 1);
    (void)mock_expect(mock, HW_NOTICE_DONE, 50);
    mock_expect_none(mock);
    assert_int_equal(mock_count_logs(mock, PORT_LOG_RESET), 1);
    // Rings, entries and phases begin anew; fences go on.
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 256);
    assert_int_equal(hw_fence_done(mock->hw, 0, NORMAL), 1);
    submit(mock, 0, NORMAL, 3, 2);
    assert_int_equal(mock->nodes[0].rings[NORMAL].tail, 2);
    done(mock, 0, NORMAL);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_DONE, 3);
    (void)mock_expect(mock, HW_NOTICE_DONE, 4);
}

// LastAbortedFenceId lies between last completed and last submitted, whatever the card says.
static void aborted_fence_is_one_that_is_held(void **state) {
    mock_t *mock = *state;
    const uint64_t claims[] = {0, 1, 5, 6, UINT64_MAX};
    for (uint32_t i = 0; i < COUNT_OF(claims); i++) {
        uint64_t aborted = 123, base = 100 * (i + 1);
        submit(mock, 0, NORMAL, base, 3);
        done(mock, 0, NORMAL);
        mock->last_aborted = claims[i] == 1 ? base : claims[i]; // base: done before
        assert_int_equal(hw_reset_node(mock->hw, 0, &aborted), STATUS_OK);
        (void)mock_expect(mock, HW_NOTICE_DONE, base);
        assert_int_equal(aborted, 0);
    }
    uint64_t aborted;
    submit(mock, 0, HIGH, 7000, 2);
    mock->last_aborted = 7001;
    assert_int_equal(hw_reset_node(mock->hw, 0, &aborted), STATUS_OK);
    assert_int_equal(aborted, 7001);
}

static void reset_asks_what_was_done_without_an_entry(void **state) {
    mock_t *mock = *state;
    uint64_t aborted;
    mock_submit_quiet(mock, 1, NORMAL, 1);
    submit(mock, 1, NORMAL, 2, 2);
    submit(mock, 1, HIGH, 40, 2);
    mock_consume(mock, 1, NORMAL);
    mock_consume(mock, 1, NORMAL);
    mock_consume(mock, 1, HIGH);
    mock->last_aborted = 3;
    assert_int_equal(hw_reset_node(mock->hw, 1, &aborted), STATUS_OK);
    assert_int_equal(mock_expect(mock, HW_NOTICE_FAULT, 2)->cause, ISA_FAULT_INTERNAL);
    assert_int_equal(mock_expect(mock, HW_NOTICE_FAULT, 40)->ring, HIGH);
    assert_int_equal(aborted, 3);
}

static void reset_ends_a_stop_that_was_not_answered(void **state) {
    mock_t *mock = *state;
    uint64_t aborted;
    mock->answers_stops = false;
    submit(mock, 0, NORMAL, 1, 1);
    hw_preempt(mock->hw, 0, 11);
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 0);
    assert_int_equal(hw_reset_node(mock->hw, 0, &aborted), STATUS_OK);
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 256);
    submit(mock, 0, NORMAL, 2, 1);
    mock_stopped(mock, 0, 11, false); // too late
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_CORRUPT, 0);
}

// One thread decides to stop the node, another resets it before the first tells the card.
static void reset_takes_back_a_stop_that_was_not_told(void **state) {
    mock_t *mock = *state;
    uint64_t aborted;
    mock->answers_stops = false;
    submit(mock, 0, NORMAL, 1, 1);
    hw_preempt_ask(mock->hw, 0, 11);
    assert_int_equal(hw_reset_node(mock->hw, 0, &aborted), STATUS_OK);
    submit(mock, 0, NORMAL, 2, 1);
    hw_preempt_kick(mock->hw, 0); // too late
    assert_int_equal(mock->n_preempts, 0);
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 255);
    hw_preempt_ask(mock->hw, 0, 12);
    hw_preempt_kick(mock->hw, 0);
    hw_preempt_kick(mock->hw, 0);
    assert_int_equal(mock->n_preempts, 1);
    mock_stopped(mock, 0, 12, false);
    hw_poll(mock->hw);
    (void)mock_expect(mock, HW_NOTICE_PREEMPTED, 0);
}

static void node_that_does_not_come_back(void **state) {
    mock_t *mock = *state;
    uint64_t aborted;
    mock->is_stuck = true;
    uint64_t before = mock->now_ns;
    submit(mock, 0, NORMAL, 1, 1);
    assert_int_equal(hw_reset_node(mock->hw, 0, &aborted), STATUS_TIMEOUT);
    assert_true(mock->now_ns - before < UINT64_C(500000000));
    assert_int_equal(aborted, 0);
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 0);
    assert_int_equal(hw_reset_card(mock->hw), STATUS_OK); // next step
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 256);
}

static void card_without_resets(void **state) {
    mock_t *mock = *state;
    uint64_t aborted;
    mock_stop(mock);
    *mock_reg(mock, ISA_REG_FEATURES) &= ~(uint32_t)ISA_FEATURE_RESET;
    assert_int_equal(mock_start(mock), STATUS_OK);
    assert_int_equal(hw_reset_node(mock->hw, 0, &aborted), STATUS_UNSUPPORTED);
    assert_int_equal(mock->n_node_resets, 0);
    assert_int_equal(hw_reset_card(mock->hw), STATUS_OK);
    assert_int_equal(mock->n_card_resets, 0);
    assert_int_equal(mock->n_function_resets, 1);
}

// --- The card's reset ---

static void reset_of_the_card_starts_it_again(void **state) {
    mock_t *mock = *state;
    hw_set_vectors(mock->hw, 1);
    assert_int_equal(hw_power_limit_set(mock->hw, 20000), STATUS_OK);
    submit(mock, 0, NORMAL, 1, 2);
    mock_complete(mock, 0, NORMAL, ISA_COMP_FAULT, ISA_FAULT_BUS,
                  mock_fault(mock, 0, ISA_FAULT_BUS, 1));
    *mock_reg(mock, ISA_REG_POWER_LIMIT) = 75000; // as if the card forgot it
    assert_int_equal(hw_reset_card(mock->hw), STATUS_OK);
    assert_int_equal(mock->n_card_resets, 1);
    assert_int_equal(mock->n_function_resets, 0);
    assert_non_null(mock_expect(mock, HW_NOTICE_FAULT, 1)->fault);
    assert_int_equal(*mock_reg(mock, ISA_REG_VECTORS_GRANTED), 1);
    assert_int_equal(*mock_reg(mock, ISA_REG_POWER_LIMIT), 20000);
    submit(mock, 0, NORMAL, 3, 1);
    mock_complete(mock, 0, NORMAL, ISA_COMP_FAULT, ISA_FAULT_BUS,
                  mock_fault(mock, 0, ISA_FAULT_BUS, 3));
    hw_poll(mock->hw);
    assert_non_null(mock_expect(mock, HW_NOTICE_FAULT, 3)->fault);
}

static void function_reset_is_the_last_step(void **state) {
    mock_t *mock = *state;
    mock->reset_stuck = true;
    assert_int_equal(hw_reset_card(mock->hw), STATUS_OK);
    assert_int_equal(mock->n_card_resets, 1);
    assert_int_equal(mock->n_function_resets, 1);
    // A card whose register says that it was reset, and whose nodes still do not move.
    mock->control_stuck = true;
    assert_int_equal(hw_reset_card(mock->hw), STATUS_IO);
    (void)mock_expect(mock, HW_NOTICE_GONE, 0);
    assert_int_equal(mock->n_function_resets, 2);
    mock->control_stuck = false;
    assert_int_equal(hw_reset_card(mock->hw), STATUS_OK); // the owner tries again
    assert_true(hw_alive(mock->hw));
}

static void card_that_cannot_be_reset(void **state) {
    mock_t *mock = *state;
    mock->reset_stuck = mock->function_stuck = true;
    uint64_t before = mock->now_ns;
    assert_int_equal(hw_reset_card(mock->hw), STATUS_DEVICE_LOST);
    assert_true(mock->now_ns - before < UINT64_C(1000000000));
    (void)mock_expect(mock, HW_NOTICE_GONE, 0);
    assert_false(hw_alive(mock->hw));
    assert_false(mock->masters);
    port_ops_t ops = *mock->port.ops;
    const port_ops_t *before_ops = mock->port.ops;
    ops.function_reset = NULL;
    mock->port.ops = &ops;
    assert_int_equal(hw_reset_card(mock->hw), STATUS_DEVICE_LOST);
    mock->port.ops = before_ops;
}

static void another_card_answers(mock_t *mock, uint32_t reg, uint32_t value, status_t expected) {
    uint32_t before = *mock_reg(mock, reg);
    *mock_reg(mock, reg) = value;
    assert_int_equal(hw_reset_card(mock->hw), expected);
    *mock_reg(mock, reg) = before;
    if (expected != STATUS_OK) {
        (void)mock_expect(mock, HW_NOTICE_GONE, 0);
        assert_int_equal(hw_reset_card(mock->hw), STATUS_OK);
    }
}

static void another_card_after_the_reset(void **state) {
    mock_t *mock = *state;
    another_card_answers(mock, ISA_REG_VERSION, 0x20000, STATUS_MISMATCH);
    another_card_answers(mock, ISA_REG_CORES, 5, STATUS_MISMATCH);
    another_card_answers(mock, ISA_REG_PROFILE_HASH_LO, 5, STATUS_MISMATCH);
    another_card_answers(mock, ISA_REG_MEM_BYTES_HI, 0, STATUS_MISMATCH);
    another_card_answers(mock, ISA_REG_FEATURES, ISA_FEATURE_RESET, STATUS_MISMATCH);
    another_card_answers(mock, ISA_REG_ID, 5, STATUS_MISMATCH);
    another_card_answers(mock, ISA_REG_SERIAL_LO, 78, STATUS_OK);
    assert_int_equal(hw_info(mock->hw)->serial, 78);
    another_card_answers(mock, ISA_REG_MEM_BYTES_HI, 9, STATUS_OK);
    assert_int_equal(hw_info(mock->hw)->memory_bytes, UINT64_C(4) << 30); // as it was told
}

// --- A card that goes away ---

static void use_everything(mock_t *mock) {
    hw_node_info_t info;
    hw_telemetry_t telemetry;
    uint64_t number;
    if (hw_credit(mock->hw, 0, NORMAL) > 0)
        mock_submit(mock, 0, NORMAL, 1000 + mock->n_doorbells);
    hw_kick(mock->hw, 0, NORMAL);
    hw_arm(mock->hw, 0, NORMAL, 3);
    hw_poll(mock->hw);
    (void)hw_isr(mock->hw, 0);
    hw_dpc(mock->hw);
    hw_node_query(mock->hw, 1, &info);
    assert_int_equal(info.cycles, 0);
    hw_telemetry(mock->hw, &telemetry);
    assert_int_equal(telemetry.power_mw, 0);
    assert_int_equal(hw_heartbeat(mock->hw, 0), 0);
    assert_int_equal(hw_clock_ns(mock->hw), 0);
    assert_false(hw_ecc_take(mock->hw, &number));
    assert_int_equal(hw_inject(mock->hw, ISA_INJECT_HANG, 0), STATUS_DEVICE_LOST);
    hw_power_set(mock->hw, ISA_POWER_SLEEP);
    assert_int_equal(hw_power_limit_set(mock->hw, 20000), STATUS_DEVICE_LOST);
    assert_int_equal(hw_reset_node(mock->hw, 1, &number), STATUS_DEVICE_LOST);
    hw_set_vectors(mock->hw, 2);
    assert_false(hw_alive(mock->hw));
    hw_gone(mock->hw);
    hw_preempt(mock->hw, 0, 1);
    assert_int_equal(hw_credit(mock->hw, 0, NORMAL), 0);
}

static void gone_is_told_once_and_nothing_is_touched(mock_t *mock) {
    (void)mock_expect(mock, HW_NOTICE_GONE, 0);
    mock_expect_none(mock);
    uint32_t n_reads = mock->n_reads, n_writes = mock->n_writes;
    use_everything(mock);
    assert_int_equal(mock->n_reads, n_reads);
    assert_int_equal(mock->n_writes, n_writes);
    mock_expect_none(mock);
    assert_int_equal(mock_count_logs(mock, PORT_LOG_GONE), 1);
}

static void every_read_can_be_the_first_to_notice(void **state) {
    mock_t *mock = *state;
    hw_node_info_t info;
    hw_telemetry_t telemetry;
    uint64_t number;
    for (uint32_t way = 0; way < 8; way++) {
        mock->is_lost = true;
        mock->n_logs = 0;
        switch (way) {
        case 0:
            hw_dpc(mock->hw);
            break;
        case 1:
            hw_node_query(mock->hw, 0, &info);
            assert_int_equal(info.instructions, 0);
            break;
        case 2:
            hw_telemetry(mock->hw, &telemetry);
            assert_int_equal(telemetry.errors, 0);
            break;
        case 3:
            assert_int_equal(hw_heartbeat(mock->hw, 1), 0);
            break;
        case 4:
            assert_false(hw_ecc_take(mock->hw, &number));
            break;
        case 5:
            assert_int_equal(hw_power_limit_set(mock->hw, 20000), STATUS_DEVICE_LOST);
            break;
        case 6:
            assert_int_equal(hw_reset_node(mock->hw, 0, &number), STATUS_DEVICE_LOST);
            break;
        default:
            assert_false(hw_alive(mock->hw));
            break;
        }
        gone_is_told_once_and_nothing_is_touched(mock);
        mock->function_stuck = true; // still away
        assert_int_equal(hw_reset_card(mock->hw), STATUS_DEVICE_LOST);
        mock->function_stuck = false;
        assert_int_equal(hw_reset_card(mock->hw), STATUS_OK);
        mock_expect_none(mock);
        assert_true(hw_alive(mock->hw));
        mock->works = true;
        submit(mock, 0, NORMAL, way + 1, 1);
        hw_poll(mock->hw);
        (void)mock_expect(mock, HW_NOTICE_DONE, way + 1);
        mock->works = false;
    }
}

static void system_says_that_it_is_gone(void **state) {
    mock_t *mock = *state;
    submit(mock, 0, NORMAL, 1, 3);
    done(mock, 0, NORMAL);
    hw_gone(mock->hw);
    assert_false(mock->masters); // it may well be at work
    // What memory held is told, and GONE is the last word: the owner ends the rest by itself.
    (void)mock_expect(mock, HW_NOTICE_DONE, 1);
    (void)mock_expect(mock, HW_NOTICE_GONE, 0);
    done(mock, 0, NORMAL);
    hw_poll(mock->hw);
    (void)hw_isr(mock->hw, 0);
    hw_dpc(mock->hw);
    mock_expect_none(mock);
    assert_int_equal(hw_reset_card(mock->hw), STATUS_OK);
    assert_int_equal(mock->n_card_resets, 0); // its registers were not to be touched
    assert_int_equal(mock->n_function_resets, 1);
    assert_true(mock->masters);
}

static void all_ones_alone_is_no_loss(void **state) {
    mock_t *mock = *state;
    hw_telemetry_t telemetry;
    *mock_reg(mock, ISA_REG_TEMPERATURE) = UINT32_MAX; // just below zero
    *mock_reg(mock, ISA_NODE_REG_AT(0, HEARTBEAT)) = UINT32_MAX;
    hw_telemetry(mock->hw, &telemetry);
    assert_int_equal(telemetry.temperature, -1);
    assert_int_equal(hw_heartbeat(mock->hw, 0), UINT32_MAX);
    assert_true(hw_alive(mock->hw));
}

static void something_else_answers(void **state) {
    mock_t *mock = *state;
    *mock_reg(mock, ISA_REG_ID) = 0x1234;
    assert_false(hw_alive(mock->hw));
    (void)mock_expect(mock, HW_NOTICE_GONE, 0);
    *mock_reg(mock, ISA_REG_ID) = ISA_CARD_ID;
    assert_false(hw_alive(mock->hw));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, mock_set_up, mock_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(stop_gives_back_what_was_not_done),
        TEST(stop_of_an_empty_ring),
        TEST(stop_tells_what_ended_silently),
        TEST(stops_that_nobody_asked_for_are_nonsense),
        TEST(late_doorbell_brings_nothing_back),
        TEST(reset_tells_what_was_done_and_what_was_in_work),
        TEST(aborted_fence_is_one_that_is_held),
        TEST(reset_asks_what_was_done_without_an_entry),
        TEST(reset_ends_a_stop_that_was_not_answered),
        TEST(reset_takes_back_a_stop_that_was_not_told),
        TEST(node_that_does_not_come_back),
        TEST(card_without_resets),
        TEST(reset_of_the_card_starts_it_again),
        TEST(function_reset_is_the_last_step),
        TEST(card_that_cannot_be_reset),
        TEST(another_card_after_the_reset),
        TEST(every_read_can_be_the_first_to_notice),
        TEST(system_says_that_it_is_gone),
        TEST(all_ones_alone_is_no_loss),
        TEST(something_else_answers),
    };
    return cmocka_run_group_tests_name("hw_reset", tests, NULL, NULL);
}
