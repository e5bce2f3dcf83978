// SPDX-License-Identifier: Apache-2.0
// hw_fuzz ROUNDS [SEED]: a card that writes any bytes into the rings and answers any numbers. hw
// must stay within its memory (sanitizers tell), come back from every call, tell of each packet at
// most once and of no packet that was not given, and work again once the card is a good one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hw/mock.h"

#define BATCH 6u // packets under one fence, at most

typedef struct fuzz {
    uint32_t rounds;
    mock_t mock;
    uint64_t random;
    uint32_t lies; // of 1000 register reads
    // By node and ring.
    uint64_t next[ISA_NODE_COUNT][ISA_RING_COUNT], told[ISA_NODE_COUNT][ISA_RING_COUNT];
    uint64_t done[ISA_NODE_COUNT]; // last told of the normal ring; resets do not move it
    bool stopping[ISA_NODE_COUNT];
    uint32_t token;
    uint32_t n_told, n_corrupt, n_gone, n_limits;
    uint32_t n_batches, n_within; // those that were stopped within
} fuzz_t;

static uint32_t draw(fuzz_t *f, uint32_t below) {
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (uint32_t)(f->random >> 32) % below;
}

// Some other number, often a near one.
static uint32_t twist(fuzz_t *f, uint32_t value) {
    switch (draw(f, 6)) {
    case 0:
        return 0;
    case 1:
        return UINT32_MAX;
    case 2:
        return value ^ 1u << draw(f, 32);
    case 3:
        return value + draw(f, 600) - 300;
    case 4:
        return draw(f, 8);
    default:
        return draw(f, UINT32_MAX);
    }
}

static uint32_t lie(mock_t *mock, uint32_t offset, uint32_t value) {
    fuzz_t *f = mock->user;
    bool honest = offset == ISA_REG_ID && draw(f, 50) != 0; // else it is soon gone
    return honest || draw(f, 1000) >= f->lies ? value : twist(f, value);
}

// --- What the owner was told ---

static void look_at(fuzz_t *f, const hw_notice_t *notice) {
    f->n_corrupt += notice->kind == HW_NOTICE_CORRUPT;
    f->n_gone += notice->kind == HW_NOTICE_GONE;
    if (notice->kind > HW_NOTICE_PREEMPTED)
        return;
    assert_true(notice->node < ISA_NODE_COUNT && notice->ring < ISA_RING_COUNT);
    assert_true(notice->cause < ISA_FAULT_COUNT);
    uint64_t *told = &f->told[notice->node][notice->ring];
    uint64_t next = f->next[notice->node][notice->ring];
    if (notice->kind == HW_NOTICE_PREEMPTED) {
        assert_true(f->stopping[notice->node]);
        assert_int_equal(notice->info, f->token);
        assert_true(notice->fence >= f->done[notice->node] && notice->fence < next);
        assert_true(notice->packets < BATCH);
        f->n_within += notice->packets > 0;
        f->stopping[notice->node] = false;
        return;
    }
    assert_true(notice->fence > *told && notice->fence < next);
    assert_true(notice->fault == NULL || notice->fault->cause < ISA_FAULT_COUNT);
    *told = notice->fence;
    if (notice->ring == ISA_RING_NORMAL)
        f->done[notice->node] = notice->fence;
    f->n_told++;
}

static void look(fuzz_t *f) {
    mock_t *mock = &f->mock;
    for (uint32_t i = 0; i < mock->n_notices; i++) {
        if (mock->notices[i].fault != NULL)
            mock->notices[i].fault = &mock->faults[i];
        look_at(f, &mock->notices[i]);
    }
    mock->n_notices = mock->n_logs = 0;
}

// --- What the card does ---

static void spoil_bytes(fuzz_t *f, uint32_t lo_offset, uint32_t bytes) {
    uint64_t base = (uint64_t)*mock_reg(&f->mock, lo_offset + 4) << 32;
    uint8_t *memory = (uint8_t *)(uintptr_t)(base | *mock_reg(&f->mock, lo_offset));
    uint32_t at = draw(f, bytes), n = 1 + draw(f, 64);
    for (uint32_t i = 0; i < n && at + i < bytes; i++)
        memory[at + i] = (uint8_t)draw(f, 256);
}

static void write_entry(fuzz_t *f, uint32_t node) {
    mock_t *mock = &f->mock;
    uint32_t ring = draw(f, ISA_RING_COUNT);
    isa_completion_t entry = mock_entry(mock, node, ring, 1 + draw(f, 7));
    if (entry.type == ISA_COMP_FAULT)
        entry.status = (uint8_t)draw(f, 256);
    if (entry.type == ISA_COMP_PREEMPTED)
        entry.info = f->token;
    entry.head += draw(f, 3) == 0 ? draw(f, 300) - 150 : 0;
    entry.fence =
        draw(f, 3) != 0 ? mock_slot_fence(mock, node, ring, entry.head - 1) : draw(f, 100);
    uint32_t words[sizeof entry / 4];
    memcpy(words, &entry, sizeof entry);
    if (draw(f, 2) == 0)
        words[draw(f, COUNT_OF(words))] = twist(f, words[draw(f, COUNT_OF(words))]);
    memcpy(&entry, words, sizeof entry);
    mock_write(mock, node, entry);
}

static void card_acts(fuzz_t *f) {
    mock_t *mock = &f->mock;
    uint32_t node = draw(f, ISA_NODE_COUNT), ring = draw(f, ISA_RING_COUNT);
    const mock_ring_t *at = &mock->nodes[node].rings[ring];
    switch (draw(f, 8)) {
    case 0:
    case 1:
        write_entry(f, node);
        break;
    case 2:
        if (at->head != at->tail)
            mock_consume(mock, node, ring);
        break;
    case 3:
    case 4:
        if (at->head != at->tail)
            mock_complete(mock, node, ring, ISA_COMP_DONE, 0, 0);
        break;
    case 5:
        (void)mock_fault(mock, node, draw(f, 40), f->told[node][ring] + draw(f, 3));
        break;
    case 6:
        spoil_bytes(f, ISA_NODE_REG_AT(node, COMP_BASE_LO), 1024 * sizeof(isa_completion_t));
        break;
    default:
        spoil_bytes(f, ISA_REG_FAULT_BASE_LO, 64 * sizeof(isa_fault_record_t));
        break;
    }
}

// --- What the owner does ---

static void submit_batch(fuzz_t *f, uint32_t node, uint32_t ring, uint32_t credit) {
    isa_ring_packet_t packets[BATCH];
    uint32_t n = 1 + draw(f, BATCH < credit ? BATCH : credit);
    for (uint32_t i = 0; i < n; i++)
        hw_packet_scrub(&packets[i], 4096, 4096);
    hw_submit_batch(f->mock.hw, node, ring, packets, n, f->next[node][ring]++);
    f->n_batches++;
}

static void submit(fuzz_t *f, uint32_t node, uint32_t ring) {
    hw_device_t *hw = f->mock.hw;
    uint32_t credit = hw_credit(hw, node, ring);
    assert_true(credit <= 256);
    if (credit > 0 && draw(f, 3) == 0) {
        submit_batch(f, node, ring, credit);
        credit = hw_credit(hw, node, ring);
    }
    for (uint32_t n = draw(f, 8); n > 0 && credit > 0; n--, credit--)
        (draw(f, 4) == 0 ? mock_submit_quiet : mock_submit)(&f->mock, node, ring,
                                                            f->next[node][ring]++);
    hw_kick(hw, node, ring);
}

static void after_reset(fuzz_t *f, uint32_t node) {
    look(f);
    f->stopping[node] = false;
    for (uint32_t r = 0; r < ISA_RING_COUNT; r++)
        f->told[node][r] = f->next[node][r] - 1;
}

static void reset(fuzz_t *f) {
    mock_t *mock = &f->mock;
    uint32_t node = draw(f, ISA_NODE_COUNT);
    uint64_t aborted, before[ISA_RING_COUNT];
    mock->last_aborted = f->told[node][draw(f, 2)] + draw(f, 4);
    look(f);
    memcpy(before, f->told[node], sizeof before);
    if (hw_reset_node(mock->hw, node, &aborted) == STATUS_OK) {
        assert_true(aborted == 0 || (aborted > before[0] && aborted < f->next[node][0]) ||
                    (aborted > before[1] && aborted < f->next[node][1]));
        after_reset(f, node);
    }
}

static void reset_card(fuzz_t *f) {
    uint32_t before = *mock_reg(&f->mock, ISA_REG_CORES);
    status_t status = hw_reset_card(f->mock.hw);
    *mock_reg(&f->mock, ISA_REG_CORES) = before;
    for (uint32_t i = 0; i < ISA_NODE_COUNT && status == STATUS_OK; i++)
        after_reset(f, i);
}

static void owner_asks(fuzz_t *f) {
    hw_device_t *hw = f->mock.hw;
    hw_node_info_t info;
    hw_telemetry_t telemetry;
    uint64_t address;
    switch (draw(f, 5)) {
    case 0:
        hw_node_query(hw, draw(f, 2), &info);
        break;
    case 1:
        hw_telemetry(hw, &telemetry);
        break;
    case 2:
        if (hw_ecc_take(hw, &address))
            assert_true(address < hw_info(hw)->memory_bytes);
        break;
    case 3:
        if (hw_power_limit_set(hw, 10000 + draw(f, 80000)) == STATUS_OK)
            f->n_limits++;
        break;
    default:
        (void)hw_alive(hw);
        break;
    }
}

static void owner_acts(fuzz_t *f) {
    hw_device_t *hw = f->mock.hw;
    uint32_t node = draw(f, ISA_NODE_COUNT), what = draw(f, 100);
    if (what < 40) {
        submit(f, node, draw(f, ISA_RING_COUNT));
    } else if (what < 65) {
        hw_poll(hw);
    } else if (what < 85) {
        hw_dpc(hw);
    } else if (what < 90) {
        owner_asks(f);
    } else if (what < 94 && !f->stopping[0] && !f->stopping[1]) {
        f->stopping[node] = true;
        hw_preempt(hw, node, ++f->token);
    } else if (what < 98) {
        reset(f);
    } else {
        reset_card(f);
    }
    look(f);
}

// Whatever was before: a good card works.
static void check_recovery(fuzz_t *f) {
    mock_t *mock = &f->mock;
    f->lies = 0;
    mock->works = mock->answers_stops = true;
    reset_card(f);
    assert_true(hw_alive(mock->hw));
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        mock_submit(mock, i, ISA_RING_NORMAL, f->next[i][0]++);
        hw_kick(mock->hw, i, ISA_RING_NORMAL);
    }
    hw_poll(mock->hw);
    look(f);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        assert_int_equal(f->told[i][0], f->next[i][0] - 1);
}

static void one_card(fuzz_t *f, uint32_t steps) {
    mock_t *mock = &f->mock;
    mock_init(mock);
    assert_int_equal(mock_start(mock), STATUS_OK);
    mock->on_read = lie;
    mock->user = f;
    f->lies = draw(f, 2) * draw(f, 200);
    mock->answers_stops = draw(f, 2);
    for (uint32_t n = 0; n < ISA_NODE_COUNT; n++) {
        f->stopping[n] = false;
        f->done[n] = 0;
        for (uint32_t r = 0; r < ISA_RING_COUNT; r++) {
            f->next[n][r] = 2;
            f->told[n][r] = 1;
        }
    }
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t acts = draw(f, 6);
        for (uint32_t k = 0; k < acts; k++)
            card_acts(f);
        owner_acts(f);
    }
    check_recovery(f);
    mock_stop(mock);
}

// Starts that any numbers answer.
static void one_start(fuzz_t *f) {
    mock_t *mock = &f->mock;
    mock_init(mock);
    mock->on_read = lie;
    mock->user = f;
    f->lies = 1 + draw(f, 500);
    if (mock_start(mock) != STATUS_OK) {
        assert_null(mock->hw);
        assert_int_equal(mock->n_live, 0);
        return;
    }
    mock->n_notices = 0;
    mock_stop(mock);
}

static void fuzz(void **state) {
    fuzz_t *f = *state;
    for (uint32_t i = 0; i < f->rounds; i++) {
        one_start(f);
        one_card(f, 300);
    }
    assert_true(f->n_told > 0 && f->n_corrupt > 0 && f->n_gone > 0 && f->n_limits > 0);
    print_message("%u cards: %u packets told of, %u times nonsense, %u times gone; %u batches, %u "
                  "stopped within\n",
                  f->rounds, f->n_told, f->n_corrupt, f->n_gone, f->n_batches, f->n_within);
}

int main(int argc, char **argv) {
    fuzz_t *f = calloc(1, sizeof *f);
    if (f == NULL)
        return 1;
    f->rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
    f->random = argc > 2 ? strtoul(argv[2], NULL, 10) : UINT64_C(88172645463325252);
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(fuzz, f)};
    int failed = cmocka_run_group_tests_name("hw_fuzz", tests, NULL, NULL);
    free(f);
    return failed;
}
