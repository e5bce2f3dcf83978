// SPDX-License-Identifier: Apache-2.0
// Packets as C: structs whose layout isa/packet.def decides, and the buffers that a command buffer
// names. Freestanding.
#ifndef ISA_PACKET_H
#define ISA_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ISA_RING_SLOT_BYTES 64u
#define ISA_RING_MAX_LOG2   16u
#define ISA_IB_MAX_BYTES    (1u << 20)
#define ISA_ASID_ALL        0xffffu

typedef enum isa_ring_op {
#define ISA_RING_OP(name, number, nodes, flags, meaning) ISA_RING_##name = number,
#include "isa/packet.def"
    ISA_RING_OP_COUNT
} isa_ring_op_t;

enum {
#define ISA_RING_FLAG(name, bit, meaning) ISA_RING_FLAG_##name = 1u << (bit),
#include "isa/packet.def"
};

typedef enum isa_ib_op {
#define ISA_IB_OP(name, number, bytes, meaning) ISA_IB_##name = number,
#include "isa/packet.def"
    ISA_IB_OP_COUNT
} isa_ib_op_t;

enum {
#define ISA_IB_OP(name, number, bytes, meaning) ISA_IB_##name##_BYTES = bytes,
#include "isa/packet.def"
};

// --- Ring packets --------------------------------------------------------------------------------

typedef struct isa_ring_nop {
    uint8_t op, flags;
    uint8_t reserved[54];
    uint64_t fence;
} isa_ring_nop_t;

typedef struct isa_ring_run_ib {
    uint8_t op, flags;
    uint16_t reserved0;
    uint32_t bytes;
    uint64_t context;
    uint64_t va;
    uint64_t quantum;
    uint64_t reserved1[2];
    uint64_t address;
    uint64_t fence;
} isa_ring_run_ib_t;

typedef struct isa_ring_pte_write {
    uint8_t op, flags;
    uint16_t reserved0;
    uint32_t count;
    uint64_t reserved1;
    uint64_t dst;
    uint64_t value;
    uint64_t step;
    uint64_t reserved2[2];
    uint64_t fence;
} isa_ring_pte_write_t;

typedef struct isa_ring_copy {
    uint8_t op, flags;
    uint16_t reserved;
    uint32_t rows;
    uint64_t context;
    uint64_t dst;
    uint64_t src;
    uint64_t bytes;
    uint32_t dst_pitch;
    uint32_t src_pitch;
    uint64_t address;
    uint64_t fence;
} isa_ring_copy_t;

typedef struct isa_ring_fill {
    uint8_t op, flags;
    uint16_t reserved0;
    uint32_t rows;
    uint64_t context;
    uint64_t dst;
    uint64_t pattern;
    uint64_t bytes;
    uint32_t dst_pitch;
    uint32_t reserved1;
    uint64_t address;
    uint64_t fence;
} isa_ring_fill_t;

typedef struct isa_ring_tlb_inv {
    uint8_t op, flags;
    uint16_t reserved0;
    uint16_t asid;
    uint16_t reserved1;
    uint64_t reserved2;
    uint64_t va;
    uint64_t bytes;
    uint64_t reserved3[3];
    uint64_t fence;
} isa_ring_tlb_inv_t;

typedef struct isa_ring_fence {
    uint8_t op, flags;
    uint8_t reserved[46];
    uint64_t address;
    uint64_t fence;
} isa_ring_fence_t;

typedef union isa_ring_packet {
    struct {
        uint8_t op, flags;
    } head;
    isa_ring_nop_t nop;
    isa_ring_run_ib_t run_ib;
    isa_ring_pte_write_t pte_write;
    isa_ring_copy_t copy;
    isa_ring_fill_t fill;
    isa_ring_tlb_inv_t tlb_inv;
    isa_ring_fence_t fence;
    uint64_t words[8];
} isa_ring_packet_t;

// --- Command-buffer packets ----------------------------------------------------------------------

typedef struct isa_ib_head {
    uint8_t op, flags;
    uint16_t reserved;
    uint32_t bytes; // ISA_IB_<op>_BYTES
} isa_ib_head_t;

typedef struct isa_ib_launch {
    isa_ib_head_t head;
    uint64_t entry;
    uint64_t args;
    uint64_t stack;
    uint64_t stack_bytes;
    uint64_t stack_stride;
    uint32_t cores;
    uint32_t launch;
    uint64_t reserved;
} isa_ib_launch_t;

typedef struct isa_ib_copy {
    isa_ib_head_t head;
    uint64_t dst;
    uint64_t src;
    uint64_t bytes;
    uint32_t rows;
    uint32_t dst_pitch;
    uint32_t src_pitch;
    uint32_t reserved;
} isa_ib_copy_t;

typedef struct isa_ib_fill {
    isa_ib_head_t head;
    uint64_t dst;
    uint64_t pattern;
    uint64_t bytes;
    uint32_t rows;
    uint32_t dst_pitch;
    uint64_t reserved;
} isa_ib_fill_t;

typedef struct isa_ib_signal64 {
    isa_ib_head_t head;
    uint64_t va;
    uint64_t value;
} isa_ib_signal64_t;

typedef struct isa_ib_time {
    isa_ib_head_t head;
    uint64_t va;
} isa_ib_time_t;

typedef struct isa_ib_resume {
    isa_ib_head_t head;
    uint32_t launch;
    uint32_t reserved;
    uint64_t result;
} isa_ib_resume_t;

typedef struct isa_ib_buffers {
    isa_ib_head_t head;
    uint64_t log;
    uint64_t stats;
    uint32_t log_bytes;
    uint32_t stats_entries;
    uint64_t reserved;
} isa_ib_buffers_t;

typedef union isa_ib_packet {
    isa_ib_head_t head;
    isa_ib_launch_t launch;
    isa_ib_copy_t copy;
    isa_ib_fill_t fill;
    isa_ib_signal64_t signal64;
    isa_ib_time_t time;
    isa_ib_resume_t resume;
    isa_ib_buffers_t buffers;
    uint64_t words[8];
} isa_ib_packet_t;

// The structs are written out for readers; the table decides.
#define ISA_RING_FIELD(packet, type_name, name, type, offset, meaning)                             \
    _Static_assert(offsetof(isa_ring_##type_name##_t, name) == (offset), "field " #name);          \
    _Static_assert(sizeof(((isa_ring_##type_name##_t *)0)->name) == sizeof(type), "field " #name);
#define ISA_IB_FIELD(packet, type_name, name, type, offset, meaning)                               \
    _Static_assert(offsetof(isa_ib_##type_name##_t, name) == (offset), "field " #name);            \
    _Static_assert(sizeof(((isa_ib_##type_name##_t *)0)->name) == sizeof(type), "field " #name);
#include "isa/packet.def"
_Static_assert(sizeof(isa_ring_packet_t) == ISA_RING_SLOT_BYTES, "ring slot");

// --- Checks --------------------------------------------------------------------------------------

// True
// when the packet's op, flags and reserved bytes are as the table says for this node. Sizes and
// addresses are for the card to check as it uses them.
bool isa_ring_packet_valid(const isa_ring_packet_t *packet, uint32_t node);
// True when a whole, well-formed packet of known op stands at the front of `bytes` bytes.
bool isa_ib_packet_valid(const void *packet, uint64_t bytes);

// --- Buffers that a command buffer names ---------------------------------------------------------

// TIME writes this.
typedef struct isa_time {
    uint64_t clock_ns; // CLOCK
    uint64_t cycles;   // modelled cycles of the context in all
} isa_time_t;

// BUFFERS.log: header, then text. The card appends whole calls of ISA_ECALL_LOG and then moves
// `used`; text that finds no room is dropped, and the call returns 0. The owner may read along.
typedef struct isa_log {
    uint64_t used;    // bytes of text
    uint64_t dropped; // bytes
} isa_log_t;

// BUFFERS.stats: added to at the end of each launch (or its suspension). Entry 0 is the launch's
// total; entry 1 + i is the ONNX node of debug map index i; work outside of any only counts in the
// total. The owner zeroes the buffer.
#define ISA_STATS_MAX_ENTRIES (1u << 20)
typedef struct isa_node_stats {
    uint64_t hart_instructions; // all cores
    uint64_t hart_cycles;       // all cores
    uint64_t engine_cycles[4];  // occupancy by XA_* engine, all cores
    uint64_t engine_issues[4];
    uint64_t dram_bytes;
    uint64_t macs;
    uint64_t host_ns;   // of core 0, from mark to mark (simulator)
    uint64_t fallbacks; // issues that the fast set handed to ref (simulator)
    uint64_t cycles;    // elapsed modelled cycles: from mark to mark of core 0
    uint64_t reserved;
} isa_node_stats_t;
_Static_assert(sizeof(isa_node_stats_t) == 128, "stats entry");

#endif
