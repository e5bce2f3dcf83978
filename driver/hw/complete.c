// SPDX-License-Identifier: Apache-2.0
// Completion entries. An entry counts when it agrees with what the card was given: where its ring
// stands, and the fence of the slot that it ends. Everything else is nonsense; it is skipped, and
// the position found again by the next entry that fits or, in hw_dpc, by registers. All under the
// irq spin.
#include "driver/hw/fault.h"
#include "driver/hw/hw_internal.h"

#include "support/mem.h"

#define WORDS (sizeof(isa_completion_t) / sizeof(uint64_t))

static uint32_t ring_of(const isa_completion_t *entry) {
    return (entry->flags & ISA_COMP_HIGH) != 0 ? ISA_RING_HIGH : ISA_RING_NORMAL;
}

// Slots that the card has and did not tell of.
static uint32_t given(const hw_ring_t *ring) { return LOAD_ACQUIRE(&ring->rung) - ring->head; }

static uint64_t mark_before(const hw_ring_t *ring, uint32_t position) {
    return ring->marks[(position - 1) % HW_RING_SLOTS];
}

// All packets are, but those of a batch before its last.
static bool is_last(const hw_ring_t *ring, uint32_t position) {
    return ring->marks[position % HW_RING_SLOTS] == ring->fences[position % HW_RING_SLOTS];
}

static void notify(const hw_device_t *device, const hw_notice_t *notice) {
    device->owner.notify(device->owner.user, notice);
}

// --- Positions ---

static void step(hw_ring_t *ring) {
    if (is_last(ring, ring->head)) {
        STORE_RELEASE(&ring->done, ring->fences[ring->head % HW_RING_SLOTS]);
        ring->n_over = 0;
    } else {
        ring->n_over++;
    }
    STORE_RELEASE(&ring->head, ring->head + 1);
}

// The first failure of a batch is kept until the batch is over.
static void keep_failure(hw_failure_t *failure, const hw_notice_t *notice) {
    if (failure->is_set || notice->kind == HW_NOTICE_DONE)
        return;
    *failure =
        (hw_failure_t){.is_set = true, .cause = notice->cause, .has_record = notice->fault != NULL};
    if (failure->has_record)
        failure->record = *notice->fault;
}

static void take_failure(hw_failure_t *failure, hw_notice_t *notice) {
    if (!failure->is_set)
        return;
    failure->is_set = false;
    notice->kind = HW_NOTICE_FAULT;
    notice->cause = failure->cause;
    failure->record.fence = notice->fence;
    notice->fault = failure->has_record ? &failure->record : NULL;
}

// How the packet at the ring's head ended: kept within a batch, else told.
static void tell(hw_device_t *device, hw_ring_t *ring, hw_notice_t *notice) {
    notice->fence = ring->fences[ring->head % HW_RING_SLOTS];
    if (!is_last(ring, ring->head)) {
        keep_failure(&ring->failure, notice);
        return;
    }
    take_failure(&ring->failure, notice);
    notify(device, notice);
}

// A packet ended and its entry was lost: how it ended is not known, so its context pays for it.
static void tell_unknown(hw_device_t *device, uint32_t number, uint32_t ring_number) {
    hw_ring_t *ring = &device->nodes[number].rings[ring_number];
    hw_notice_t notice = {
        .kind = HW_NOTICE_FAULT,
        .node = number,
        .ring = ring_number,
        .fault = hw_fault_search(device, number, ring->marks[ring->head % HW_RING_SLOTS]),
    };
    notice.cause = notice.fault != NULL ? notice.fault->cause : (uint32_t)ISA_FAULT_INTERNAL;
    tell(device, ring, &notice);
}

// The packets before `position` are over. Those that need no entry are done.
static void pass_over(hw_device_t *device, uint32_t number, uint32_t ring_number,
                      uint32_t position) {
    hw_node_t *node = &device->nodes[number];
    hw_ring_t *ring = &node->rings[ring_number];
    while (ring->head != position) {
        uint32_t at = ring->head % HW_RING_SLOTS;
        if (ring->wants_entry[at]) {
            tell_unknown(device, number, ring_number);
            node->skipped -= node->skipped > 0;
        }
        step(ring);
    }
    if (node->skipped == 0)
        node->in_doubt = false;
}

// The position of the first packet that the card has and knows by `mark`; false: there is none.
static bool find_mark(const hw_ring_t *ring, uint64_t mark, uint32_t *out_position) {
    uint32_t end = ring->head + given(ring);
    for (uint32_t at = ring->head; at != end; at++) {
        if (ring->marks[at % HW_RING_SLOTS] != mark)
            continue;
        *out_position = at;
        return true;
    }
    return false;
}

// A batch that has begun counts as in work: nothing of it may run twice.
uint64_t hw_ring_fence_of(const hw_ring_t *ring, uint64_t mark) {
    uint32_t at = ring->head;
    bool found = ring->n_over > 0 || (mark != 0 && find_mark(ring, mark, &at));
    return found ? ring->fences[at % HW_RING_SLOTS] : 0;
}

// Within a batch a mark is no sign of its end.
void hw_ring_catch_up(hw_device_t *device, uint32_t number, uint32_t ring_number, uint64_t fence) {
    const hw_ring_t *ring = &device->nodes[number].rings[ring_number];
    uint32_t end = ring->head + given(ring);
    for (uint32_t at = ring->head; at != end; at++) {
        if (ring->fences[at % HW_RING_SLOTS] != fence || !is_last(ring, at))
            continue;
        pass_over(device, number, ring_number, at + 1);
        return;
    }
}

// --- One entry ---

static bool kind_of(uint8_t type, hw_notice_kind_t *out_kind) {
    switch (type) {
    case ISA_COMP_DONE:
        *out_kind = HW_NOTICE_DONE;
        return true;
    case ISA_COMP_SUSPENDED:
        *out_kind = HW_NOTICE_SUSPENDED;
        return true;
    case ISA_COMP_FAULT:
        *out_kind = HW_NOTICE_FAULT;
        return true;
    case ISA_COMP_ABORTED:
        *out_kind = HW_NOTICE_ABORTED;
        return true;
    case ISA_COMP_EXPIRED:
        *out_kind = HW_NOTICE_EXPIRED;
        return true;
    default:
        return false;
    }
}

static bool packet_fits(const hw_ring_t *ring, const isa_completion_t *entry) {
    hw_notice_kind_t kind;
    uint64_t fence = mark_before(ring, entry->head);
    bool is_fault = entry->type == ISA_COMP_FAULT;
    // Of a slot that it could not read, the card does not know the fence.
    bool is_unread = is_fault && entry->status == ISA_FAULT_PACKET_BUS && entry->fence == 0;
    return kind_of(entry->type, &kind) && entry->head != ring->head &&
           is_fault == (entry->status != 0) && (entry->fence == fence || is_unread);
}

static bool preempted_fits(const hw_node_t *node, const isa_completion_t *entry) {
    uint32_t token = LOAD_ACQUIRE(&node->token);
    const hw_ring_t *ring = &node->rings[ISA_RING_NORMAL];
    return token != 0 && (entry->info & ~ISA_COMP_SAVED) == token && entry->status == 0 &&
           ring_of(entry) == ISA_RING_NORMAL && entry->head == LOAD_ACQUIRE(&ring->rung);
}

static bool entry_fits(const hw_node_t *node, uint32_t number, const isa_completion_t *entry) {
    const hw_ring_t *ring = &node->rings[ring_of(entry)];
    if (entry->node != number || (entry->flags & ~(ISA_COMP_PHASE | ISA_COMP_HIGH)) != 0 ||
        entry->head - ring->head > given(ring))
        return false;
    return entry->type == ISA_COMP_PREEMPTED ? preempted_fits(node, entry)
                                             : packet_fits(ring, entry);
}

static void tell_packet(hw_device_t *device, uint32_t number, const isa_completion_t *entry) {
    uint32_t ring_number = ring_of(entry);
    hw_ring_t *ring = &device->nodes[number].rings[ring_number];
    pass_over(device, number, ring_number, entry->head - 1);
    hw_notice_t notice = {
        .node = number,
        .ring = ring_number,
        .info = entry->info,
        .time = entry->time,
    };
    (void)kind_of(entry->type, &notice.kind);
    if (notice.kind == HW_NOTICE_FAULT) {
        notice.cause = hw_fault_cause(entry->status);
        notice.fault =
            hw_fault_take(device, entry->info, number, ring->marks[ring->head % HW_RING_SLOTS]);
    }
    tell(device, ring, &notice);
    step(ring);
}

// Of a batch that failed no rest comes back; nor of one of which it is not known how far it came,
// since an entry was lost.
static void end_failed(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    hw_ring_t *ring = &node->rings[ISA_RING_NORMAL];
    hw_notice_t notice = {.kind = HW_NOTICE_FAULT,
                          .node = number,
                          .ring = ISA_RING_NORMAL,
                          .cause = ISA_FAULT_INTERNAL,
                          .fence = ring->fences[ring->head % HW_RING_SLOTS]};
    if (node->skipped > 0 && given(ring) > 0 && !is_last(ring, ring->head))
        keep_failure(&ring->failure, &notice);
    if (!ring->failure.is_set)
        return;
    take_failure(&ring->failure, &notice);
    notify(device, &notice);
    STORE_RELEASE(&ring->done, notice.fence);
    ring->n_over = 0;
}

// Slots up to `fence` are done, those behind it were dropped: the card stands behind all that it
// was given.
static void tell_preempted(hw_device_t *device, uint32_t number, const isa_completion_t *entry) {
    hw_node_t *node = &device->nodes[number];
    hw_ring_t *ring = &node->rings[ISA_RING_NORMAL];
    hw_ring_catch_up(device, number, ISA_RING_NORMAL, entry->fence);
    end_failed(device, number);
    hw_notice_t notice = {
        .kind = HW_NOTICE_PREEMPTED,
        .node = number,
        .ring = ISA_RING_NORMAL,
        .saved = (entry->info & ISA_COMP_SAVED) != 0,
        .packets = ring->n_over,
        .fence = ring->done,
        .info = (uint32_t)entry->info,
        .time = entry->time,
    };
    ring->n_over = 0;
    STORE_RELEASE(&node->token, 0u);
    STORE_RELEASE(&ring->head, entry->head);
    STORE_RELEASE(&ring->emptied, 1u);
    notify(device, &notice);
}

static void skip(hw_device_t *device, uint32_t number, const isa_completion_t *entry) {
    hw_node_t *node = &device->nodes[number];
    node->skipped++;
    node->in_doubt = true;
    hw_notice_t notice = {.kind = HW_NOTICE_CORRUPT, .node = number};
    if (entry != NULL)
        notice.info = entry->info;
    notify(device, &notice);
}

// --- The completion ring ---

// Copies the next entry out: what was looked at is what is used.
static bool take_entry(hw_node_t *node, isa_completion_t *out_entry) {
    const uint64_t *at = node->comps + (node->comp_head % HW_COMP_ENTRIES) * WORDS;
    // The first half word holds the phase and was written last, by itself.
    uint32_t first = LOAD_ACQUIRE((const uint32_t *)(const void *)at);
    bool phase = (first >> 24 & ISA_COMP_PHASE) != 0;
    if (phase != ((node->comp_head >> HW_COMP_LOG2 & 1) == 0))
        return false;
    uint64_t words[WORDS];
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = LOAD_ACQUIRE(&at[i]);
    memcpy(out_entry, words, sizeof words);
    node->comp_head++;
    return true;
}

// At most one turn of the ring: a card that writes as fast as this reads does not hold it.
void hw_node_decode(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    isa_completion_t entry;
    if (device->gone_told)
        return; // the owner has ended all and may have freed what it would be told of
    for (uint32_t i = 0; i < HW_COMP_ENTRIES && take_entry(node, &entry); i++) {
        if (!entry_fits(node, number, &entry))
            skip(device, number, &entry);
        else if (entry.type == ISA_COMP_PREEMPTED)
            tell_preempted(device, number, &entry);
        else
            tell_packet(device, number, &entry);
    }
}

// --- What registers tell ---

// Where the card stands in a ring; where hw thinks it does when the register is nonsense.
static uint32_t read_head(hw_device_t *device, uint32_t number, uint32_t ring_number) {
    const hw_ring_t *ring = &device->nodes[number].rings[ring_number];
    if (ring_number == ISA_RING_HIGH && !hw_has(device, ISA_FEATURE_HIGH_RING))
        return ring->head;
    uint32_t head =
        hw_reg_read(device, ring_number == ISA_RING_HIGH ? ISA_NODE_REG_AT(number, HIGH_HEAD)
                                                         : ISA_NODE_REG_AT(number, RING_HEAD));
    return head - ring->head <= given(ring) ? head : ring->head;
}

// Entries that the card counted and that are not there (it was refused the write) are nonsense.
static void skip_missing(hw_device_t *device, uint32_t number, uint32_t comp_tail) {
    hw_node_t *node = &device->nodes[number];
    hw_node_decode(device, number);
    uint32_t missing = comp_tail - node->comp_head;
    for (uint32_t i = 0; i < missing && missing <= HW_COMP_ENTRIES; i++) {
        node->comp_head++;
        skip(device, number, NULL);
        hw_node_decode(device, number);
        missing = i + 1 + (comp_tail - node->comp_head);
    }
}

static uint32_t count_wanted(const hw_ring_t *ring, uint32_t end) {
    uint32_t n = 0;
    for (uint32_t at = ring->head; at != end; at++)
        n += ring->wants_entry[at % HW_RING_SLOTS];
    return n;
}

// A head may stand one packet before the entries. So the packets before it are over for certain if
// the node was idle after the heads and before the count of entries were read, or if no more of
// them want an entry than nonsense came instead. Else a later entry tells.
void hw_node_settle(hw_device_t *device, uint32_t number) {
    hw_node_t *node = &device->nodes[number];
    uint32_t heads[ISA_RING_COUNT], wanted = 0;
    for (uint32_t r = 0; r < ISA_RING_COUNT; r++)
        heads[r] = read_head(device, number, r);
    uint32_t state = hw_reg_read(device, ISA_NODE_REG_AT(number, STATE));
    uint32_t comp_tail = hw_reg_read(device, ISA_NODE_REG_AT(number, COMP_TAIL));
    // A node that is off says nothing of what it has now: a reset is about to turn it on.
    if (hw_is_gone(device) || state == ISA_NODE_STATE_OFF || state == ISA_NODE_STATE_RESETTING)
        return;
    skip_missing(device, number, comp_tail);
    for (uint32_t r = 0; r < ISA_RING_COUNT; r++) {
        const hw_ring_t *ring = &node->rings[r];
        if (heads[r] - ring->head > given(ring))
            heads[r] = ring->head; // entries have told of more meanwhile
        wanted += count_wanted(ring, heads[r]);
    }
    if (state != ISA_NODE_STATE_IDLE && wanted > node->skipped)
        return;
    for (uint32_t r = 0; r < ISA_RING_COUNT; r++)
        pass_over(device, number, r, heads[r]);
    node->skipped = 0;
    node->in_doubt = false;
}
