// SPDX-License-Identifier: Apache-2.0
// The card as every driver sees it: started, fed with packets, and telling its owner what became of
// them. The owner is rm, or an operating system's own scheduler. Freestanding.
//
// Contexts [I], [D], [P] as in driver/port.h. Only hw_start allocates. Each node has two rings,
// ISA_RING_NORMAL and ISA_RING_HIGH; fences grow within a ring.
#ifndef HW_HW_H
#define HW_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "driver/port.h"
#include "isa/card.h"
#include "isa/packet.h"

typedef struct hw_device hw_device_t;

// What became of a packet, or of the card.
typedef enum hw_notice_kind {
    HW_NOTICE_DONE,      // info: modelled cycles
    HW_NOTICE_SUSPENDED, // info: bytes of heap needed in all
    HW_NOTICE_FAULT,     // `fault` tells; NULL when the record was lost
    HW_NOTICE_ABORTED,   // not run: its context was lost before
    HW_NOTICE_EXPIRED,   // its quantum ended, it was saved; info: modelled cycles
    // The node's normal ring is empty, what it held comes back in order. info: the token; fence:
    // the last that was done; `saved`: the first behind it was in work and has to be continued.
    HW_NOTICE_PREEMPTED,
    // The card wrote nonsense into the node's completions; no packet. hw_dpc finds out what it
    // stood for, if the entries that follow do not: a packet whose entry was lost ends as FAULT,
    // cause ISA_FAULT_INTERNAL unless its record tells.
    HW_NOTICE_CORRUPT,
    HW_NOTICE_ALARM, // info: bits of the ERROR register; no packet
    // The card no longer answers; no packet. What memory holds is told before, and nothing after it
    // until hw_reset_card brings the card back. The card may be at work all the same: before the
    // owner gives memory back that it reached he calls hw_gone.
    HW_NOTICE_GONE,
} hw_notice_kind_t;

typedef struct hw_notice {
    hw_notice_kind_t kind;
    uint32_t node, ring;
    uint32_t cause; // ISA_FAULT_*, one that this driver knows
    bool saved;
    // PREEMPTED: packets that are over of the first batch behind `fence`; it goes on behind them.
    uint32_t packets;
    uint64_t fence; // fence64
    uint64_t info;
    uint64_t time; // the card's clock
    const isa_fault_record_t *fault;
} hw_notice_t;

// [I] Called in the order of completion, under hw's irq spin: it may store and count, but take no
// lock and call nothing of hw. A packet, or batch, is told of at most once, and only with a fence
// that its ring was given, whatever the card writes.
typedef struct hw_owner {
    void (*notify)(void *user, const hw_notice_t *notice);
    void *user;
} hw_owner_t;

typedef struct hw_info {
    uint32_t version, features, cores, lm_bytes, nodes, clock_khz, vectors, save_core_bytes;
    uint32_t firmware, link;
    uint64_t profile_hash, memory_bytes, sram_bytes, save_bytes, serial;
    uint8_t profile[16];
} hw_info_t;

// --- device.c ---

// [P] Identifies the card, negotiates the version (STATUS_MISMATCH), allocates everything and turns
// the nodes on. `port` and `owner->user` outlive the device. STATUS_DEVICE_LOST: nobody answers;
// STATUS_TIMEOUT, STATUS_IO: the card does not start; STATUS_NO_MEMORY.
WARN_UNUSED status_t hw_start(port_t *port, const hw_owner_t *owner, hw_device_t **out_device);
// [P] Waits a little for the packet in work of each node, resets the card if one does not end,
// turns bus mastering off and frees. No other call may be in progress.
void hw_stop(hw_device_t *device);
const hw_info_t *hw_info(const hw_device_t *device);
// [P] How many interrupt vectors the port was granted.
void hw_set_vectors(hw_device_t *device, uint32_t vectors);

// --- irq.c ---

// [I] Decodes what the card wrote to host memory; reads no register. True: hw_dpc shall follow.
bool hw_isr(hw_device_t *device, uint32_t vector);
// [D] What needs registers: errors outside of any packet, and packets whose entries were lost.
void hw_dpc(hw_device_t *device);
// [I][D][P] The same as an interrupt, for those who poll.
void hw_poll(hw_device_t *device);
// [I][D][P] Asks for one interrupt when the ring's work up to `fence` is done. Locks: none held.
void hw_arm(hw_device_t *device, uint32_t node, uint32_t ring, uint64_t fence);

// --- packet.c: ring packets; each reports its completion with `fence` ---

void hw_packet_run_ib(isa_ring_packet_t *out_packet, uint64_t context, uint64_t va, uint32_t bytes);
// Of a RUN_IB that is about to be submitted: its quantum (0: none), and whether it goes on with the
// run that its context's save area holds.
void hw_packet_run_for(isa_ring_packet_t *packet, uint64_t quantum, bool go_on);
// All virtual, in `context`.
void hw_packet_copy(isa_ring_packet_t *out_packet, uint64_t context, uint64_t dst, uint64_t src,
                    uint64_t bytes, uint32_t rows, uint32_t dst_pitch, uint32_t src_pitch);
// Physical: an address of card memory, or a DMA address of host memory. For owners whose system has
// page tables and paging of its own.
typedef struct hw_place {
    uint64_t address;
    bool is_host;
} hw_place_t;
void hw_packet_move(isa_ring_packet_t *out_packet, hw_place_t dst, hw_place_t src, uint64_t bytes);
// 8 bytes that repeat.
void hw_packet_fill(isa_ring_packet_t *out_packet, hw_place_t dst, uint64_t pattern,
                    uint64_t bytes);
// Entries first, first + step, ... of a page table.
void hw_packet_pte_write(isa_ring_packet_t *out_packet, hw_place_t dst, uint64_t first,
                         uint64_t step, uint32_t count);
// Zeroes card memory, whose bytes may be given back.
void hw_packet_scrub(isa_ring_packet_t *out_packet, uint64_t address, uint64_t bytes);
void hw_packet_tlb_inv(isa_ring_packet_t *out_packet, uint16_t asid, uint64_t va, uint64_t bytes);

// What a context descriptor says (64 bytes, 64-byte aligned, in memory that the card reads).
typedef struct hw_context {
    uint64_t root;
    bool root_in_host;
    uint64_t save, save_bytes; // in card memory
    uint16_t asid;
} hw_context_t;
// [D][P]
void hw_ctx_encode(const hw_context_t *context, isa_context_t *out_descriptor);

// --- ring.c ---

// [D][P] Packets that hw_submit takes now without fail: 0 while a preemption or reset is on, and of
// a high ring that the card has not.
uint32_t hw_credit(hw_device_t *device, uint32_t node, uint32_t ring);
// [D][P] Puts the packet into the ring under `fence`, not 0 and above all that the ring holds or
// completed (what a preemption or reset gave back may have its fence again).
// Never fails with credit. The card begins after hw_kick.
void hw_submit(hw_device_t *device, uint32_t node, uint32_t ring, isa_ring_packet_t *packet,
               uint64_t fence);
// A batch: n packets under one fence, told of when the last is over; FAULT if one of them failed,
// though those behind it ran. What a preemption gives back may have done `packets` of it already:
// the rest is submitted again, under the same fence, and nothing runs twice. A reset that finds it
// begun gives its fence as aborted.
#define HW_BATCH_MAX 64u
// [D][P] With credit for n; 1 to HW_BATCH_MAX packets, each with COMPLETE (as hw_packet_* make
// them) and none a RUN_IB if there are several. `fence` above 1.
void hw_submit_batch(hw_device_t *device, uint32_t node, uint32_t ring, isa_ring_packet_t *packets,
                     uint32_t n, uint64_t fence);
// [D][P] Rings the doorbell; a simulated card may do the work before this returns. Locks: none
// held.
void hw_kick(hw_device_t *device, uint32_t node, uint32_t ring);

// --- preempt.c ---

// [D][P] Asks the node's normal ring to stop; PREEMPTED comes as a notice with `token` (not 0).
// Until then the owner submits nothing to that ring and asks no second time; what was submitted and
// not kicked comes back too. Never fails and never waits: a node that does not answer is the
// owner's to reset. Locks: none held.
void hw_preempt(hw_device_t *device, uint32_t node, uint32_t token);
// The same in two halves, as hw_submit and hw_kick: the first decides (any lock of the owner's may
// be held), the second tells the card (none). A reset that comes between them takes it back.
void hw_preempt_ask(hw_device_t *device, uint32_t node, uint32_t token);
void hw_preempt_kick(hw_device_t *device, uint32_t node);

// --- reset.c ---

// [P] Stops and resets a node and turns it on again with empty rings; memory is kept. Notices of
// what was done before come first; *out_aborted: the fence that was in work, which no notice tells
// of, or 0. The rest of the rings comes back to the owner, who arms again. No hw_submit to the node
// may be in progress. STATUS_TIMEOUT and all else but STATUS_OK: the node does not come back, reset
// the card. STATUS_DEVICE_LOST: it is gone.
WARN_UNUSED status_t hw_reset_node(hw_device_t *device, uint32_t node, uint64_t *out_aborted);
// [P] Resets the card, by function-level reset where its register does not help, and starts it
// again as hw_start did, with the vectors and the power limit that it had; card memory is lost.
// Notices of what was done before come first. Nothing else of the device may be in progress but
// doorbells that wait for the card. hw_info changes (another card of the same kind has another
// serial number). On failure it is as after hw_gone; the owner may try again.
// STATUS_DEVICE_LOST: it does not answer; STATUS_MISMATCH: a card of another kind answers.
WARN_UNUSED status_t hw_reset_card(hw_device_t *device);
// [D][P] Whether the card still answers.
bool hw_alive(hw_device_t *device);
// [D][P] Whether it answers with its nodes on, as hw left them: one that was away and is back is as
// after power-on. A node that is being reset may count as off.
bool hw_is_up(hw_device_t *device);
// [P] From now on no register is touched (surprise removal) until hw_reset_card succeeds, and the
// card reaches no memory: bus mastering is off. GONE is told as if hw had found out; no notice is
// on its way any more when this returns.
void hw_gone(hw_device_t *device);

// --- fence.c ---

// The fence64 whose low half is `low` and that lies nearest to `reference`: for systems whose
// fences have 32 bits and wrap.
uint64_t hw_fence_extend(uint64_t reference, uint32_t low);
// [I][D][P] Last fence64 that the ring completed, as far as completions were decoded.
uint64_t hw_fence_done(hw_device_t *device, uint32_t node, uint32_t ring);

// --- pte.c ---

#define HW_PTE_WRITE   1u
#define HW_PTE_EXECUTE 2u
#define HW_PTE_HOST    4u // a DMA address of host memory, snooped
#define HW_PTE_ZERO    8u // reads as zeros

// A leaf of 4 KiB or 2 MiB. `flags`: HW_PTE_*; WRITE and EXECUTE together are the caller's bug.
uint64_t hw_pte_leaf(uint64_t address, uint32_t flags);
uint64_t hw_pte_table(uint64_t address, bool in_host);

// --- power.c ---

// [D][P] ISA_POWER_*: asks for a state, by one write; it is in force when hw_telemetry says so. A
// sleeping card keeps what its rings hold and its memory.
void hw_power_set(hw_device_t *device, uint32_t state);
// [P] STATUS_INVALID: outside of what the card allows; STATUS_UNSUPPORTED.
WARN_UNUSED status_t hw_power_limit_set(hw_device_t *device, uint32_t milliwatts);

// --- telemetry.c ---

typedef struct hw_node_info {
    uint32_t kind, state, heartbeat;
    uint64_t cycles, instructions, issues, dram_bytes, fallbacks;
    uint64_t last_done, last_aborted;
} hw_node_info_t;
// [D][P] Reads the node's registers.
void hw_node_query(hw_device_t *device, uint32_t node, hw_node_info_t *out_info);
// [D][P] One register: does the node make progress?
uint32_t hw_heartbeat(hw_device_t *device, uint32_t node);
// [D][P] Moved since the last call: the node's time stood still meanwhile, though it had work. Of a
// simulated card, whose threads may wait for a processor; else 0.
uint32_t hw_held(hw_device_t *device, uint32_t node);

// [D][P] The card's clock in nanoseconds, that of notices and fault records; 0: the card is gone.
uint64_t hw_clock_ns(hw_device_t *device);

// What a card without the feature lacks is 0.
typedef struct hw_telemetry {
    int32_t temperature, temp_slowdown, temp_critical; // millidegrees Celsius
    uint32_t power_mw, power_limit_mw, power_limit_min_mw, power_limit_max_mw;
    uint32_t clock_khz, throttle, power_state; // ISA_THROTTLE_*, ISA_POWER_*
    uint32_t ecc_corrected, ecc_uncorrected, errors, faults_dropped;
    uint64_t energy_mj;
} hw_telemetry_t;
// [D][P]
void hw_telemetry(hw_device_t *device, hw_telemetry_t *out_telemetry);
// [D][P] Takes the oldest card address with a double-bit error; false: there is none (any more). In
// one go more than ISA_ECC_PENDING_MAX are nonsense.
bool hw_ecc_take(hw_device_t *device, uint64_t *out_address);
// [P] Plants a fault (ISA_INJECT_*); one call at a time. STATUS_UNSUPPORTED: a real card;
// STATUS_INVALID: no such fault, node or card address. Locks: none held.
WARN_UNUSED status_t hw_inject(hw_device_t *device, uint32_t what, uint64_t argument);

#endif
