// SPDX-License-Identifier: Apache-2.0
// The card as C: what its driver reads and writes. Numbers come from isa/card.def. Freestanding.
//
// PCI function: BAR0 128 KiB (32-bit): registers in the first 64 KiB, then 16 doorbell pages of
// 4 KiB; BAR2: MSI-X table and pending bits. The function answers BAR accesses while "memory space"
// is set in its command register and masters the bus while "bus master" is.
#ifndef ISA_CARD_H
#define ISA_CARD_H

#include <stddef.h>
#include <stdint.h>

#define ISA_PCI_VENDOR   0x1acc
#define ISA_PCI_DEVICE   0x0001
#define ISA_PCI_CLASS    0x120000 // processing accelerator
#define ISA_BAR0_BYTES   0x20000u
#define ISA_BAR2_BYTES   0x1000u
#define ISA_MSIX_TABLE   0x000u // in BAR2, 16 bytes a vector
#define ISA_MSIX_PENDING 0x800u
#define ISA_MSIX_VECTORS 16u

#define ISA_CARD_ID              UINT32_C(0x4c434341) // "ACCL"
#define ISA_CARD_VERSION         UINT32_C(0x00010001)
#define ISA_RESET_MAGIC          UINT32_C(0x52534554)
#define ISA_NODE_BASE            0x1000u
#define ISA_NODE_STRIDE          0x400u
#define ISA_NODE_COMPUTE         0u
#define ISA_NODE_COPY            1u
#define ISA_NODE_COUNT           2u
#define ISA_NODE_CONTROL_ON      1u
#define ISA_NODE_STATE_OFF       0u
#define ISA_NODE_STATE_IDLE      1u
#define ISA_NODE_STATE_BUSY      2u
#define ISA_NODE_STATE_RESETTING 3u
#define ISA_RING_NORMAL          0u
#define ISA_RING_HIGH            1u
#define ISA_RING_COUNT           2u // a node
#define ISA_ECC_PENDING_MAX      16u

// Doorbell page of ring r (0 normal, 1 high) of node n: number 2 * n + r. Two registers in it:
// TAIL, the slots ever written, modulo 2^32; at most the ring's slots ahead of the head. All slots
// before it must be visible to DMA before the write. A tail behind the one in force (by less than
// 2^31) is ignored, so that several processors may ring without a lock. ARM, the low half of a
// fence64: one interrupt comes when the ring's last done fence (LAST_DONE, HIGH_DONE) reaches it
// (at once if it has), compared modulo 2^32.
#define ISA_DOORBELL_BASE        0x10000u
#define ISA_DOORBELL_STRIDE      0x1000u
#define ISA_DOORBELL_TAIL        0x0u
#define ISA_DOORBELL_ARM         0x8u
#define ISA_DOORBELL(node, ring) (ISA_DOORBELL_BASE + (2u * (node) + (ring)) * ISA_DOORBELL_STRIDE)

enum {
#define ISA_REG(name, offset, access, meaning) ISA_REG_##name = (offset),
#include "isa/card.def"
};
enum {
#define ISA_NODE_REG(name, offset, access, meaning) ISA_NODE_REG_##name = (offset),
#include "isa/card.def"
};
#define ISA_NODE_REG_AT(node, name)                                                                \
    (ISA_NODE_BASE + (node)*ISA_NODE_STRIDE + (uint32_t)ISA_NODE_REG_##name)

enum {
#define ISA_FEATURE(name, bit, meaning) ISA_FEATURE_##name = 1u << (bit),
#include "isa/card.def"
};
enum {
#define ISA_ERROR(name, bit, meaning) ISA_ERROR_##name = 1u << (bit),
#include "isa/card.def"
};
enum {
#define ISA_POWER(name, number, meaning) ISA_POWER_##name = number,
#include "isa/card.def"
};
enum {
#define ISA_THROTTLE(name, bit, meaning) ISA_THROTTLE_##name = 1u << (bit),
#include "isa/card.def"
};
typedef enum isa_inject {
#define ISA_INJECT(name, number, meaning) ISA_INJECT_##name = number,
#include "isa/card.def"
    ISA_INJECT_COUNT
} isa_inject_t;
#define ISA_INJECT_HANG_DEPTHS 3u

// --- Page tables ---------------------------------------------------------------------------------

enum {
#define ISA_PTE(name, bit, meaning) ISA_PTE_##name = 1u << (bit),
#include "isa/card.def"
};
#define ISA_PTE_ADDRESS     UINT64_C(0x000ffffffffff000)
#define ISA_PTE_RESERVED    UINT64_C(0xfff0000000000f80)
#define ISA_PTE_LEVELS      4u
#define ISA_PTE_ENTRIES     512u
#define ISA_PTE_TABLE_BYTES 4096u

// Index into the table of `level` (3 is the root, 0 the last).
static inline uint32_t isa_pte_index(uint64_t va, uint32_t level) {
    return (uint32_t)(va >> (12 + 9 * level)) & 511u;
}

// --- Faults --------------------------------------------------------------------------------------

typedef enum isa_fault {
#define ISA_FAULT(name, number, scope, text) ISA_FAULT_##name = number,
#include "isa/card.def"
    ISA_FAULT_COUNT
} isa_fault_t;

typedef enum isa_access {
#define ISA_ACCESS(name, number, text) ISA_ACCESS_##name = number,
#include "isa/card.def"
    ISA_ACCESS_COUNT
} isa_access_t;

#define ISA_FAULT_ENGINE_HART 0xfeu // `engine` of a fault record: the hart itself
#define ISA_FAULT_ENGINE_NONE 0xffu // ring or command buffer
#define ISA_FAULT_NO_CORE     0xffffu

// Fault ring entry. `phase` is 1 in the first pass over the ring, 0 in the second, and so on; it is
// written last, by a separate DMA write of the first 8 bytes.
typedef struct isa_fault_record {
    uint16_t cause; // ISA_FAULT_*
    uint8_t access; // ISA_ACCESS_*
    uint8_t node;   // hardware node
    uint16_t core;  // or ISA_FAULT_NO_CORE
    uint8_t engine; // XA_*, or ISA_FAULT_ENGINE_*
    uint8_t phase;  // bit 0
    uint16_t asid;
    uint16_t insn;   // XA_I_* of the issue, or 0xffff
    uint32_t launch; // of the LAUNCH packet
    uint64_t va;
    uint64_t pc;        // 0: no program
    uint64_t time;      // nanoseconds of CLOCK
    uint64_t fence;     // fence64 of the ring packet
    uint64_t value;     // by cause
    uint64_t onnx_node; // debug map index last marked by the core, or all ones
} isa_fault_record_t;
_Static_assert(sizeof(isa_fault_record_t) == 64, "fault record");

// --- Completions ---------------------------------------------------------------------------------

typedef enum isa_comp_type {
#define ISA_COMP(name, number, text) ISA_COMP_##name = number,
#include "isa/card.def"
    ISA_COMP_TYPE_COUNT
} isa_comp_type_t;

#define ISA_COMP_PHASE 0x80u // in `flags`: 1 in the first pass over the ring, 0 in the second, ...
#define ISA_COMP_HIGH  0x01u // from the high ring
#define ISA_COMP_SAVED                                                                             \
    (UINT64_C(1) << 32) // in `info` of PREEMPTED: the first RUN_IB behind `fence` was saved

// Completion ring entry. The first 4 bytes, which hold the phase, are written last. The card never
// waits for room: the owner sizes the ring for all packets that it lets be in flight.
typedef struct isa_completion {
    uint8_t type; // ISA_COMP_*
    uint8_t node;
    uint8_t status; // fault cause, else 0
    uint8_t flags;
    uint32_t head;  // ring slots consumed, this packet's included (free-running)
    uint64_t fence; // fence64 of the packet
    uint64_t info;  // by type
    uint64_t time;  // nanoseconds of CLOCK
} isa_completion_t;
_Static_assert(sizeof(isa_completion_t) == 32, "completion entry");

// --- Context descriptor --------------------------------------------------------------------------

#define ISA_CTX_ROOT_SYS 0x1u // the root table lies in host memory
#define ISA_CTX_SAVE_SYS 0x2u // the save area lies in host memory
#define ISA_CTX_FLAGS    0x3u

// `state` is the card's: it reads it when a packet names the context and writes it when it changes.
#define ISA_CTX_STATE_READY 0u // the owner's first value
#define ISA_CTX_STATE_SUSPENDED                                                                    \
    1u                        // the save area holds a launch; LAUNCH forgets it, RESUME runs it
#define ISA_CTX_STATE_LOST 2u // faulted: RUN_IB completes ABORTED from now on
#define ISA_CTX_STATE_PREEMPTED                                                                    \
    3u // the save area holds a run that PREEMPT or its quantum stopped; RUN_IB with CONTINUE runs
       // it

// In host memory, 64-byte aligned; unchanged by the owner while a packet that names it is in a
// ring.
typedef struct isa_context {
    uint64_t root; // address of the root table, 4 KiB aligned
    uint64_t save; // address of the save area, 4 KiB aligned; 0: none (HEAP then faults)
    uint64_t save_bytes;
    uint16_t asid;        // the same for all contexts of one address space
    uint16_t flags;       // ISA_CTX_*
    uint32_t state;       // ISA_CTX_STATE_*
    uint64_t cycles;      // written by the card: modelled cycles that this context took in all
    uint64_t reserved[3]; // zero
} isa_context_t;
_Static_assert(sizeof(isa_context_t) == 64, "context descriptor");

// --- Save area -----------------------------------------------------------------------------------

// Header,
// then per core a record and its LM, and SRAM. What a core has not got (an empty queue) is zero.
#define ISA_SAVE_MAGIC        UINT64_C(0x3145564153414341) // "ACASAVE1"
#define ISA_SAVE_HEADER_BYTES 4096u
#define ISA_SAVE_RECORD_BYTES 24576u
#define ISA_SAVE_QUEUE_DEPTH  16u

#define ISA_SAVE_REASON_HEAP      1u
#define ISA_SAVE_REASON_PREEMPTED 2u // by PREEMPT or its quantum

typedef struct isa_save_header {
    uint64_t magic;
    uint64_t profile_hash;
    uint32_t cores, launch; // cores 0: stopped between packets of the command buffer, no gang
    uint32_t lm_bytes, record_bytes;
    uint32_t reason;           // ISA_SAVE_REASON_*
    uint32_t wants;            // core that made the heap call
    uint64_t need;             // bytes of heap
    uint64_t stats_va, log_va; // the buffers in force
    uint32_t stats_entries, log_bytes;
    uint64_t token;     // of PREEMPT
    uint64_t ib_offset; // of the packet in the command buffer that was in work
    uint64_t ib_va;     // of the command buffer
    // Of SRAM, from its start, behind the last core: 0 unless the program wrote there. SAVE_BYTES
    // does not count them.
    uint64_t sram_bytes;
    uint64_t reserved[2];
} isa_save_header_t;

#define ISA_SAVE_CORE_RUNNING 0u
#define ISA_SAVE_CORE_EXITED  1u
#define ISA_SAVE_CORE_HEAP    2u // the pc stands behind the ecall; a0 gets RESUME's result
#define ISA_SAVE_CORE_BARRIER 3u // the pc stands at a barrier that was not yet complete
#define ISA_SAVE_CORE_PASSED  4u // the pc stands at a barrier that all cores reached

typedef struct isa_save_op { // one queued issue
    uint32_t insn, pad;
    uint64_t ticket, rs1, rs2, rs3;
    uint64_t after[4];
    uint64_t node_mark, reserved[2]; // zero
    uint8_t desc[256];
} isa_save_op_t;

typedef struct isa_save_core {
    uint64_t pc;
    uint64_t x[32];
    uint64_t f[32];
    uint32_t fcsr, state;
    uint64_t reservation; // address of a load reservation, all ones: none (a restore drops it)
    uint64_t instret;
    uint64_t onnx_node;   // last mark
    uint64_t tickets[4];  // issued, by engine
    uint64_t done[4];     // completed
    uint64_t after[4][4]; // [queue][engine]: gathered for the next issue
    uint64_t barriers;    // barriers passed
    uint32_t n_queued[4];
    uint64_t lm_used; // bytes of LM from its start that stand in the area; the rest of LM is zero
    uint64_t reserved[11];
    uint8_t desc[4][256]; // staging descriptors
    isa_save_op_t queued[4][ISA_SAVE_QUEUE_DEPTH];
} isa_save_core_t;
_Static_assert(sizeof(isa_save_op_t) == 352, "queued op");
_Static_assert(sizeof(isa_save_header_t) <= ISA_SAVE_HEADER_BYTES, "save header");
_Static_assert(sizeof(isa_save_core_t) <= ISA_SAVE_RECORD_BYTES, "save record");

#endif
