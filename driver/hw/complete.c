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

static uint64_t fence_before(const hw_ring_t *ring, uint32_t position) {
    return ring->fences[(position - 1) % HW_RING_SLOTS];
}

static void notify(const hw_device_t *device, const hw_notice_t *notice) {
    device->owner.notify(device->owner.user, notice);
}

// --- Positions ---

static void step(hw_ring_t *ring) {
    STORE_RELEASE(&ring->done, ring->fences[ring->head % HW_RING_SLOTS]);
    STORE_RELEASE(&ring->head, ring->head + 1);
}

// A packet ended and its entry was lost: how it ended is not known, so its context pays for it.
static void tell_unknown(hw_device_t *device, uint32_t number, uint32_t ring, uint64_t fence) {
    hw_notice_t notice = {
        .kind = HW_NOTICE_FAULT,
        .node = number,
        .ring = ring,
        .fence = fence,
        .fault = hw_fault_search(device, number, fence),
    };
    notice.cause = notice.fault != NULL ? notice.fault->cause : (uint32_t)ISA_FAULT_INTERNAL;
    notify(device, &notice);
}

// The packets before `position` are over. Those that need no entry are done.
static void pass_over(hw_device_t *device, uint32_t number, uint32_t ring_number,
                      uint32_t position) {
    hw_node_t *node = &device->nodes[number];
    hw_ring_t *ring = &node->rings[ring_number];
    while (ring->head != position) {
        uint32_t at = ring->head % HW_RING_SLOTS;
        if (ring->wants_entry[at]) {
            tell_unknown(device, number, ring_number, ring->fences[at]);
            node->skipped -= node->skipped > 0;
        }
        step(ring);
    }
    if (node->skipped == 0)
        node->in_doubt = false;
}

// The position behind the packet of `fence`; false: the ring holds none.
static bool find_fence(const hw_ring_t *ring, uint64_t fence, uint32_t *out_position) {
    uint32_t end = ring->head + given(ring);
    for (uint32_t at = ring->head; at != end; at++) {
        if (ring->fences[at % HW_RING_SLOTS] != fence)
            continue;
        *out_position = at + 1;
        return true;
    }
    return false;
}

bool hw_ring_holds(const hw_ring_t *ring, uint64_t fence) {
    uint32_t position;
    return find_fence(ring, fence, &position);
}

void hw_ring_catch_up(hw_device_t *device, uint32_t number, uint32_t ring_number, uint64_t fence) {
    uint32_t position;
    if (find_fence(&device->nodes[number].rings[ring_number], fence, &position))
        pass_over(device, number, ring_number, position);
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
    uint64_t fence = fence_before(ring, entry->head);
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
        .fence = ring->fences[ring->head % HW_RING_SLOTS],
        .info = entry->info,
        .time = entry->time,
    };
    (void)kind_of(entry->type, &notice.kind);
    if (notice.kind == HW_NOTICE_FAULT) {
        notice.cause = hw_fault_cause(entry->status);
        notice.fault = hw_fault_take(device, entry->info, number, notice.fence);
    }
    notify(device, &notice);
    step(ring);
}

// Slots up to `fence` are done, those behind it were dropped: the card stands behind all that it
// was given.
static void tell_preempted(hw_device_t *device, uint32_t number, const isa_completion_t *entry) {
    hw_node_t *node = &device->nodes[number];
    hw_ring_t *ring = &node->rings[ISA_RING_NORMAL];
    hw_ring_catch_up(device, number, ISA_RING_NORMAL, entry->fence);
    hw_notice_t notice = {
        .kind = HW_NOTICE_PREEMPTED,
        .node = number,
        .ring = ISA_RING_NORMAL,
        .saved = (entry->info & ISA_COMP_SAVED) != 0,
        .fence = ring->done,
        .info = (uint32_t)entry->info,
        .time = entry->time,
    };
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
