// SPDX-License-Identifier: Apache-2.0
// The fault ring. A record is written before the completion entry that names it; a full ring drops
// records, and their numbers are then given again. Nodes share the ring, so records are taken in
// any order; the card is told of those before the first that was not.
#include "driver/hw/fault.h"

#include "support/mem.h"

#define WORDS (sizeof(isa_fault_record_t) / sizeof(uint64_t))

uint32_t hw_fault_cause(uint32_t cause) {
    return cause != ISA_FAULT_NONE && cause < ISA_FAULT_COUNT ? cause : ISA_FAULT_INTERNAL;
}

static uint64_t bit_of(uint32_t number) { return UINT64_C(1) << (number % HW_FAULT_RECORDS); }

// Copies record `number`, if the card wrote it and nobody took it: what was looked at is what is
// used.
static bool copy_record(hw_device_t *device, uint32_t number) {
    const uint64_t *at = device->faults + (number % HW_FAULT_RECORDS) * WORDS;
    uint64_t words[WORDS];
    words[0] = LOAD_ACQUIRE(&at[0]); // holds the phase, written last
    bool phase = (words[0] >> 56 & 1) != 0;
    if (number - device->fault_head >= HW_FAULT_RECORDS ||
        (device->fault_taken & bit_of(number)) != 0 ||
        phase != ((number >> HW_FAULT_LOG2 & 1) == 0))
        return false;
    for (uint32_t i = 1; i < WORDS; i++)
        words[i] = LOAD_ACQUIRE(&at[i]);
    memcpy(&device->last_fault, words, sizeof words);
    return true;
}

// Records that nobody asks for (their packets' entries were lost) may not fill the ring.
static void consume(hw_device_t *device, uint32_t number) {
    uint32_t before = device->fault_head;
    device->fault_taken |= bit_of(number);
    while ((device->fault_taken & bit_of(device->fault_head)) != 0 ||
           (number - device->fault_head < HW_FAULT_RECORDS &&
            number - device->fault_head >= HW_FAULT_RECORDS / 2)) {
        device->fault_taken &= ~bit_of(device->fault_head);
        device->fault_head++;
    }
    if (device->fault_head != before)
        hw_reg_write(device, ISA_REG_FAULT_HEAD, device->fault_head);
}

static bool is_of(const isa_fault_record_t *record, uint32_t node, uint64_t fence) {
    // A slot that could not be read had no fence for the card.
    return record->node == node && (record->fence == fence || record->fence == 0);
}

static const isa_fault_record_t *take(hw_device_t *device, uint32_t number, uint64_t fence) {
    isa_fault_record_t *record = &device->last_fault;
    consume(device, number);
    record->cause = (uint16_t)hw_fault_cause(record->cause);
    record->fence = fence;
    device->port->ops->log(device->port, PORT_LOG_FAULT, record->cause, record->node, fence);
    return record;
}

const isa_fault_record_t *hw_fault_take(hw_device_t *device, uint64_t number, uint32_t node,
                                        uint64_t fence) {
    uint32_t at = (uint32_t)number;
    if (!copy_record(device, at) || !is_of(&device->last_fault, node, fence))
        return NULL;
    return take(device, at, fence);
}

const isa_fault_record_t *hw_fault_search(hw_device_t *device, uint32_t node, uint64_t fence) {
    for (uint32_t i = 0; i < HW_FAULT_RECORDS; i++) {
        uint32_t at = device->fault_head + i;
        if (copy_record(device, at) && device->last_fault.node == node &&
            device->last_fault.fence == fence)
            return take(device, at, fence);
    }
    return NULL;
}
