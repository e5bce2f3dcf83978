// SPDX-License-Identifier: Apache-2.0
#include "tests/hw/mock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FEATURES                                                                                   \
    (ISA_FEATURE_PREEMPT | ISA_FEATURE_HIGH_RING | ISA_FEATURE_RESET | ISA_FEATURE_POWER |         \
     ISA_FEATURE_TELEMETRY | ISA_FEATURE_ECC | ISA_FEATURE_INJECT)

static mock_t *mock_of(port_t *port) { return (mock_t *)(void *)port; }
static const mock_t *const_mock_of(const port_t *port) {
    return (const mock_t *)(const void *)port;
}

uint32_t *mock_reg(mock_t *mock, uint32_t offset) {
    assert_true(offset < ISA_BAR0_BYTES && offset % 4 == 0);
    return &mock->regs[offset / 4];
}

void mock_set_pair(mock_t *mock, uint32_t lo_offset, uint64_t value) {
    *mock_reg(mock, lo_offset) = (uint32_t)value;
    *mock_reg(mock, lo_offset + 4) = (uint32_t)(value >> 32);
}

static uint64_t pair(mock_t *mock, uint32_t lo_offset) {
    return (uint64_t)*mock_reg(mock, lo_offset + 4) << 32 | *mock_reg(mock, lo_offset);
}

// --- The card ---

static void *memory_at(uint64_t address) {
    return (void *)(uintptr_t)address; // DMA addresses are addresses
}

static uint32_t base_of(uint32_t node, uint32_t ring) {
    return ring == ISA_RING_HIGH ? ISA_NODE_REG_AT(node, HIGH_BASE_LO)
                                 : ISA_NODE_REG_AT(node, RING_BASE_LO);
}

uint64_t mock_slot_fence(mock_t *mock, uint32_t node, uint32_t ring, uint32_t position) {
    uint32_t log2 = *mock_reg(mock, base_of(node, ring) + 8);
    const isa_ring_packet_t *slots = memory_at(pair(mock, base_of(node, ring)));
    return slots[position & ((1u << log2) - 1)].words[7];
}

isa_completion_t mock_entry(mock_t *mock, uint32_t node, uint32_t ring, isa_comp_type_t type) {
    uint32_t head = mock->nodes[node].rings[ring].head;
    return (isa_completion_t){
        .type = (uint8_t)type,
        .node = (uint8_t)node,
        .flags = ring == ISA_RING_HIGH ? ISA_COMP_HIGH : 0,
        .head = head + 1,
        .fence = mock_slot_fence(mock, node, ring, head),
        .time = mock->now_ns,
    };
}

static void count_entry(mock_t *mock, uint32_t node) {
    *mock_reg(mock, ISA_NODE_REG_AT(node, COMP_TAIL)) = ++mock->nodes[node].comp_tail;
}

void mock_write(mock_t *mock, uint32_t node, isa_completion_t entry) {
    uint32_t log2 = *mock_reg(mock, ISA_NODE_REG_AT(node, COMP_LOG2));
    uint32_t at = mock->nodes[node].comp_tail;
    isa_completion_t *ring = memory_at(pair(mock, ISA_NODE_REG_AT(node, COMP_BASE_LO)));
    entry.flags &= (uint8_t)~ISA_COMP_PHASE;
    if ((at >> log2 & 1) == 0)
        entry.flags |= ISA_COMP_PHASE;
    ring[at & ((1u << log2) - 1)] = entry;
    count_entry(mock, node);
}

void mock_write_refused(mock_t *mock, uint32_t node) { count_entry(mock, node); }

void mock_consume(mock_t *mock, uint32_t node, uint32_t ring) {
    mock_ring_t *at = &mock->nodes[node].rings[ring];
    assert_true(at->head != at->tail);
    mock->nodes[node].done[ring] = mock_slot_fence(mock, node, ring, at->head);
    at->head++;
    *mock_reg(mock, ring == ISA_RING_HIGH ? ISA_NODE_REG_AT(node, HIGH_HEAD)
                                          : ISA_NODE_REG_AT(node, RING_HEAD)) = at->head;
    mock_set_pair(mock,
                  ring == ISA_RING_HIGH ? ISA_NODE_REG_AT(node, HIGH_DONE_LO)
                                        : ISA_NODE_REG_AT(node, LAST_DONE_LO),
                  mock->nodes[node].done[ring]);
}

void mock_complete(mock_t *mock, uint32_t node, uint32_t ring, isa_comp_type_t type, uint8_t status,
                   uint64_t info) {
    isa_completion_t entry = mock_entry(mock, node, ring, type);
    entry.status = status;
    entry.info = info;
    mock_consume(mock, node, ring);
    mock_write(mock, node, entry);
}

void mock_stopped(mock_t *mock, uint32_t node, uint32_t token, bool saved) {
    mock_ring_t *ring = &mock->nodes[node].rings[ISA_RING_NORMAL];
    uint32_t wanted = *mock_reg(mock, ISA_NODE_REG_AT(node, PREEMPT_TAIL));
    if ((int32_t)(wanted - ring->tail) > 0)
        ring->tail = wanted;
    ring->head = ring->tail;
    *mock_reg(mock, ISA_NODE_REG_AT(node, RING_HEAD)) = ring->head;
    mock_write(mock, node,
               (isa_completion_t){.type = ISA_COMP_PREEMPTED,
                                  .node = (uint8_t)node,
                                  .head = ring->head,
                                  .fence = mock->nodes[node].done[ISA_RING_NORMAL],
                                  .info = token | (saved ? ISA_COMP_SAVED : 0)});
}

uint64_t mock_fault(mock_t *mock, uint32_t node, uint32_t cause, uint64_t fence) {
    uint32_t log2 = *mock_reg(mock, ISA_REG_FAULT_LOG2), at = mock->fault_tail;
    if (at - *mock_reg(mock, ISA_REG_FAULT_HEAD) >= 1u << log2) {
        ++*mock_reg(mock, ISA_REG_FAULT_DROPPED);
        return at;
    }
    isa_fault_record_t *ring = memory_at(pair(mock, ISA_REG_FAULT_BASE_LO));
    ring[at & ((1u << log2) - 1)] = (isa_fault_record_t){
        .cause = (uint16_t)cause,
        .node = (uint8_t)node,
        .phase = (at >> log2 & 1) == 0,
        .fence = fence,
        .va = 0x1000 + at,
    };
    return mock->fault_tail++;
}

static void turn_node(mock_t *mock, uint32_t node, bool on) {
    if (mock->is_stuck || (on && mock->control_stuck))
        return;
    *mock_reg(mock, ISA_NODE_REG_AT(node, CONTROL)) = on ? ISA_NODE_CONTROL_ON : 0;
    *mock_reg(mock, ISA_NODE_REG_AT(node, STATE)) = on ? ISA_NODE_STATE_IDLE : ISA_NODE_STATE_OFF;
    if (!on)
        return;
    memset(mock->nodes[node].rings, 0, sizeof mock->nodes[node].rings);
    mock->nodes[node].comp_tail = 0;
    *mock_reg(mock, ISA_NODE_REG_AT(node, COMP_TAIL)) = 0;
    *mock_reg(mock, ISA_NODE_REG_AT(node, RING_HEAD)) = 0;
    *mock_reg(mock, ISA_NODE_REG_AT(node, HIGH_HEAD)) = 0;
}

static void reset_node(mock_t *mock, uint32_t node, uint32_t value) {
    if (value != ISA_RESET_MAGIC)
        return;
    mock->n_node_resets++;
    mock_set_pair(mock, ISA_NODE_REG_AT(node, LAST_ABORTED_LO), mock->last_aborted);
    turn_node(mock, node, false);
}

static void power_on(mock_t *mock) {
    mock->is_stuck = false;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        turn_node(mock, i, false);
        mock->nodes[i] = (mock_node_t){0};
        mock_set_pair(mock, ISA_NODE_REG_AT(i, LAST_DONE_LO), 0);
        mock_set_pair(mock, ISA_NODE_REG_AT(i, HIGH_DONE_LO), 0);
    }
    mock->fault_tail = 0;
    *mock_reg(mock, ISA_REG_FAULT_HEAD) = 0;
    *mock_reg(mock, ISA_REG_VECTORS_GRANTED) = *mock_reg(mock, ISA_REG_VECTORS);
}

static void reset_card(mock_t *mock, uint32_t value) {
    if (value != ISA_RESET_MAGIC)
        return;
    mock->n_card_resets++;
    *mock_reg(mock, ISA_REG_RESET) = mock->reset_stuck;
    if (!mock->reset_stuck)
        power_on(mock);
}

static void doorbell(mock_t *mock, uint32_t offset, uint32_t value) {
    uint32_t page = (offset - ISA_DOORBELL_BASE) / ISA_DOORBELL_STRIDE;
    if (page >= ISA_NODE_COUNT * ISA_RING_COUNT || offset % ISA_DOORBELL_STRIDE != 0)
        return;
    mock_ring_t *ring = &mock->nodes[page / 2].rings[page % 2];
    mock->n_doorbells++;
    void (*before)(mock_t *) = mock->before_doorbell;
    mock->before_doorbell = NULL;
    if (before != NULL)
        before(mock);
    if ((int32_t)(value - ring->tail) > 0)
        ring->tail = value;
    while (mock->works && ring->head != ring->tail)
        mock_complete(mock, page / 2, page % 2, ISA_COMP_DONE, 0, 1);
}

static void write_node(mock_t *mock, uint32_t node, uint32_t at, uint32_t value) {
    if (at == ISA_NODE_REG_CONTROL) {
        turn_node(mock, node, value != 0);
    } else if (at == ISA_NODE_REG_RESET) {
        reset_node(mock, node, value);
    } else if (at == ISA_NODE_REG_PREEMPT) {
        mock->n_preempts++;
        if (mock->answers_stops)
            mock_stopped(mock, node, value, false);
    } else {
        *mock_reg(mock, ISA_NODE_BASE + node * ISA_NODE_STRIDE + at) = value;
    }
}

static void write_card(mock_t *mock, uint32_t offset, uint32_t value) {
    if (offset == ISA_REG_RESET)
        reset_card(mock, value);
    else if (offset == ISA_REG_ERROR)
        *mock_reg(mock, offset) &= ~value;
    else if (offset == ISA_REG_ECC_TAKE)
        --*mock_reg(mock, ISA_REG_ECC_PENDING);
    else if (offset == ISA_REG_POWER_LIMIT && (value < *mock_reg(mock, ISA_REG_POWER_LIMIT_MIN) ||
                                               value > *mock_reg(mock, ISA_REG_POWER_LIMIT_MAX)))
        return;
    else
        *mock_reg(mock, offset) = value;
    if (offset == ISA_REG_FAULT_LOG2)
        mock->fault_tail = 0;
    if (offset == ISA_REG_POWER)
        *mock_reg(mock, ISA_REG_POWER_STATE) = value;
}

// --- The port ---

static uint32_t reg_read32(port_t *port, uint32_t offset) {
    mock_t *mock = mock_of(port);
    mock->n_reads++;
    uint32_t value = mock->is_lost ? UINT32_MAX : *mock_reg(mock, offset);
    return mock->on_read != NULL ? mock->on_read(mock, offset, value) : value;
}

// What a card may answer at once, by an interrupt inside of the write.
static bool is_answered(uint32_t offset) {
    if (offset >= ISA_DOORBELL_BASE || offset == ISA_REG_RESET || offset == ISA_REG_INJECT)
        return true;
    uint32_t at = (offset - ISA_NODE_BASE) % ISA_NODE_STRIDE;
    return offset >= ISA_NODE_BASE &&
           (at == ISA_NODE_REG_PREEMPT || at == ISA_NODE_REG_RESET || at == ISA_NODE_REG_CONTROL);
}

static void reg_write32(port_t *port, uint32_t offset, uint32_t value) {
    mock_t *mock = mock_of(port);
    mock->n_writes++;
    assert_true(offset < ISA_BAR0_BYTES && offset % 4 == 0);
    if (is_answered(offset))
        assert_int_equal(mock->n_held, 0);
    if (mock->is_lost)
        return;
    uint32_t node = (offset - ISA_NODE_BASE) / ISA_NODE_STRIDE;
    if (offset >= ISA_DOORBELL_BASE)
        doorbell(mock, offset, value);
    else if (offset >= ISA_NODE_BASE && node < ISA_NODE_COUNT)
        write_node(mock, node, (offset - ISA_NODE_BASE) % ISA_NODE_STRIDE, value);
    else
        write_card(mock, offset, value);
}

static bool fails(mock_t *mock) { return mock->fail_at > 0 && --mock->fail_at == 0; }

static void *mem_alloc(port_t *port, size_t bytes) {
    mock_t *mock = mock_of(port);
    if (fails(mock))
        return NULL;
    mock->n_live++;
    return calloc(1, bytes);
}

static void mem_free(port_t *port, void *memory, size_t bytes) {
    (void)bytes;
    mock_of(port)->n_live -= memory != NULL;
    free(memory);
}

static status_t dma_alloc(port_t *port, uint64_t bytes, port_dma_t *out_dma) {
    mock_t *mock = mock_of(port);
    if (fails(mock))
        return STATUS_NO_MEMORY;
    bytes = (bytes + 4095) & ~UINT64_C(4095);
    void *memory = aligned_alloc(4096, bytes);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    *out_dma = (port_dma_t){memory, (uint64_t)(uintptr_t)memory, bytes};
    mock->n_live++;
    return STATUS_OK;
}

static void dma_free(port_t *port, port_dma_t *dma) {
    assert_false(dma->cpu != NULL && mock_of(port)->masters);
    mock_of(port)->n_live -= dma->cpu != NULL;
    free(dma->cpu);
    *dma = (port_dma_t){0};
}

static status_t spin_init(port_t *port, port_spin_t *spin, port_spin_kind_t kind) {
    (void)kind;
    if (fails(mock_of(port)))
        return STATUS_NO_MEMORY;
    spin->words[0] = 1; // free
    mock_of(port)->n_live++;
    return STATUS_OK;
}

static void spin_deinit(port_t *port, port_spin_t *spin) {
    assert_int_equal(spin->words[0], 1);
    spin->words[0] = 0;
    mock_of(port)->n_live--;
}

static void spin_lock(port_t *port, port_spin_t *spin) {
    assert_int_equal(spin->words[0], 1); // else a deadlock
    spin->words[0] = 2;
    mock_of(port)->n_held++;
}

static void spin_unlock(port_t *port, port_spin_t *spin) {
    assert_int_equal(spin->words[0], 2);
    spin->words[0] = 1;
    mock_of(port)->n_held--;
}

static uint64_t now_ns(port_t *port) { return const_mock_of(port)->now_ns; }

static void stall_us(port_t *port, uint32_t us) {
    mock_t *mock = mock_of(port);
    assert_in_range(us, 1, 1000);
    assert_int_equal(mock->n_held, 0);
    mock->now_ns += us * UINT64_C(1000);
}

static void log_event(port_t *port, port_log_t id, uint64_t a, uint64_t b, uint64_t c) {
    mock_t *mock = mock_of(port);
    if (mock->n_logs < MOCK_LOGS)
        mock->logs[mock->n_logs++] = (mock_log_t){id, a, b, c};
}

static status_t function_reset(port_t *port) {
    mock_t *mock = mock_of(port);
    mock->n_function_resets++;
    assert_int_equal(mock->n_held, 0);
    if (mock->function_stuck)
        return STATUS_DEVICE_LOST;
    mock->is_lost = mock->reset_stuck = false;
    *mock_reg(mock, ISA_REG_RESET) = 0;
    power_on(mock);
    return STATUS_OK;
}

static void bus_master(port_t *port, bool on) {
    mock_t *mock = mock_of(port);
    assert_int_equal(mock->n_held, 0);
    mock->masters = on;
}

// What hw never calls is left out.
static const port_ops_t mock_ops = {
    .version = PORT_VERSION,
    .bytes = sizeof(port_ops_t),
    .reg_read32 = reg_read32,
    .reg_write32 = reg_write32,
    .mem_alloc = mem_alloc,
    .mem_free = mem_free,
    .dma_alloc = dma_alloc,
    .dma_free = dma_free,
    .spin_init = spin_init,
    .spin_deinit = spin_deinit,
    .spin_lock = spin_lock,
    .spin_unlock = spin_unlock,
    .now_ns = now_ns,
    .stall_us = stall_us,
    .log = log_event,
    .function_reset = function_reset,
    .bus_master = bus_master,
};

// --- The owner ---

static void notify(void *user, const hw_notice_t *notice) {
    mock_t *mock = user;
    assert_int_equal(mock->n_held, 1); // the irq spin
    assert_true(mock->n_notices < MOCK_NOTICES);
    mock->notices[mock->n_notices] = *notice;
    if (notice->fault != NULL)
        mock->faults[mock->n_notices] = *notice->fault;
    mock->n_notices++;
}

void mock_init(mock_t *mock) {
    memset(mock, 0, sizeof *mock);
    mock->port.ops = &mock_ops;
    mock->answers_stops = true;
    *mock_reg(mock, ISA_REG_ID) = ISA_CARD_ID;
    *mock_reg(mock, ISA_REG_VERSION) = ISA_CARD_VERSION;
    *mock_reg(mock, ISA_REG_FEATURES) = FEATURES;
    *mock_reg(mock, ISA_REG_CORES) = 4;
    *mock_reg(mock, ISA_REG_NODES) = ISA_NODE_COUNT;
    *mock_reg(mock, ISA_REG_VECTORS) = 1 + ISA_NODE_COUNT;
    *mock_reg(mock, ISA_REG_POWER_LIMIT_MIN) = 10000;
    *mock_reg(mock, ISA_REG_POWER_LIMIT_MAX) = 75000;
    *mock_reg(mock, ISA_REG_POWER_LIMIT) = 75000;
    mock_set_pair(mock, ISA_REG_PROFILE_HASH_LO, UINT64_C(0x123456789abcdef0));
    mock_set_pair(mock, ISA_REG_MEM_BYTES_LO, UINT64_C(4) << 30);
    mock_set_pair(mock, ISA_REG_SERIAL_LO, 77);
}

status_t mock_start(mock_t *mock) {
    hw_owner_t owner = {.notify = notify, .user = mock};
    return hw_start(&mock->port, &owner, &mock->hw);
}

void mock_stop(mock_t *mock) {
    hw_stop(mock->hw);
    mock->hw = NULL;
    assert_int_equal(mock->n_live, 0);
    assert_int_equal(mock->n_held, 0);
}

static void submit(mock_t *mock, uint32_t node, uint32_t ring, uint64_t fence, uint8_t flags) {
    isa_ring_packet_t packet = {.nop = {.op = ISA_RING_NOP, .flags = flags}};
    assert_true(hw_credit(mock->hw, node, ring) > 0);
    hw_submit(mock->hw, node, ring, &packet, fence);
}

void mock_submit(mock_t *mock, uint32_t node, uint32_t ring, uint64_t fence) {
    submit(mock, node, ring, fence, ISA_RING_FLAG_COMPLETE);
}

void mock_submit_quiet(mock_t *mock, uint32_t node, uint32_t ring, uint64_t fence) {
    submit(mock, node, ring, fence, 0);
}

const hw_notice_t *mock_expect(mock_t *mock, hw_notice_kind_t kind, uint64_t fence) {
    assert_true(mock->n_checked < mock->n_notices);
    hw_notice_t *notice = &mock->notices[mock->n_checked];
    if (notice->fault != NULL)
        notice->fault = &mock->faults[mock->n_checked];
    mock->n_checked++;
    assert_int_equal(notice->kind, kind);
    assert_int_equal(notice->fence, fence);
    return notice;
}

void mock_expect_none(const mock_t *mock) { assert_int_equal(mock->n_checked, mock->n_notices); }

uint32_t mock_count_logs(const mock_t *mock, port_log_t id) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < mock->n_logs; i++)
        n += mock->logs[i].id == id;
    return n;
}

int mock_set_up(void **state) {
    mock_t *mock = malloc(sizeof *mock);
    assert_non_null(mock);
    mock_init(mock);
    assert_int_equal(mock_start(mock), STATUS_OK);
    *state = mock;
    return 0;
}

int mock_tear_down(void **state) {
    mock_t *mock = *state;
    mock_expect_none(mock);
    mock_stop(mock);
    free(mock);
    return 0;
}
