// SPDX-License-Identifier: Apache-2.0
// Inside of the hart: operations, blocks, translation buffers. Only driver/sim/hart*.c include it.
//
// An operation's function does its work and calls the next one's, as a tail call where the
// compiler optimises; since blocks are short, an unoptimised build only uses some stack. The last
// operation of a block returns the block that follows, or NULL with hart->stop set.
#ifndef SIM_HART_INTERNAL_H
#define SIM_HART_INTERNAL_H

#include <stdatomic.h>

#include "driver/sim/hart.h"
#include "support/arena.h"
#include "support/compiler.h"

#define PAGE_BYTES     UINT64_C(4096)
#define PAGE_MASK      (~(PAGE_BYTES - 1))
#define TLB_ENTRIES    256u
#define BLOCK_MAX      64u   // instructions
#define BUCKETS        4096u // of the table of blocks
#define CODE_BYTES_MAX (UINT64_C(64) << 20)
#define NO_RESERVATION UINT64_MAX
#define TAG_NONE       UINT64_MAX // matches no address: a match has bits 3 to 11 clear
#define X_SINK         32u        // where writes to x0 go
#define BOX_F32        UINT64_C(0xffffffff00000000)
#define NAN_F32        UINT32_C(0x7fc00000)
#define NAN_F64        UINT64_C(0x7ff8000000000000)
#define RM_DYNAMIC     7u
#define RM_RMM         4u

enum { FLAG_NX = 1, FLAG_UF = 2, FLAG_OF = 4, FLAG_DZ = 8, FLAG_NV = 16 };

typedef struct sim_op sim_op_t;
typedef struct sim_block sim_block_t;
typedef sim_block_t *(*sim_op_fn_t)(sim_hart_t *hart, sim_op_t *op);

struct sim_op {
    sim_op_fn_t fn;
    uint64_t imm; // immediate; target of a branch; operand of a custom instruction
    union {
        sim_block_t *link;      // of a branch: the block at its target, once known
        sim_custom_fn_t custom; // of a custom instruction
        uint64_t kind;          // of slow float arithmetic: sim_insn_t; bit 16: f64
    } u;
    uint8_t rd, rs1, rs2, rs3;
    uint16_t pc_offset; // from the block's pc
    uint8_t index;      // instructions before it in the block
    uint8_t extra;      // low 4 bits: rounding mode; high 4: class
};

struct sim_block {
    uint64_t pc, next_pc; // next_pc: behind its last instruction
    uint64_t cost;
    uint32_t n_insns, n_ops;
    sim_block_t *next;  // the block at next_pc, once known
    sim_block_t *chain; // in its bucket
    sim_op_t ops[];
};

typedef struct tlb_entry {
    uint64_t tag;    // address of the page
    uint64_t addend; // host address minus address
} tlb_entry_t;

struct sim_hart {
    uint64_t x[33];
    uint64_t f[32];
    uint64_t pc;              // while a block runs: of its last early stop or custom instruction
    uint64_t instret, cycles; // of the blocks done
    uint64_t instret_limit;
    uint64_t reservation, reserved_value;
    uint32_t fcsr; // without the flags that the host has gathered in this run
    uint32_t saved_host_fp;
    atomic_uint request;
    bool running;
    bool flush_wanted; // by fence.i, or since the rounding mode changes how code is decoded
    sim_stop_t stop;
    sim_block_t *block;      // in work
    const sim_op_t *current; // custom instruction in work, else NULL
    sim_block_t **patch;     // where to keep the block that the last jump led to
    uint64_t loaded;         // what load_slow read
    sim_hart_fault_t fault;
    sim_hart_config_t config;
    uint32_t class_cost[SIM_CLASS_COUNT];
    uint8_t first_row[33]; // of each major opcode in the table of instructions
    arena_t arena;         // blocks
    sim_block_t *scratch;  // a block being made
    sim_block_t *buckets[BUCKETS];
    tlb_entry_t tlb[3][TLB_ENTRIES]; // by isa_access_t - 1
};

typedef enum sim_insn {
#define SIM_INSN(name, match, mask, format, cls) SIM_INSN_##name,
#include "driver/sim/hart_insns.def"
    SIM_INSN_COUNT
} sim_insn_t;

#define SIM_INSN(name, match, mask, format, cls)                                                   \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op);
#include "driver/sim/hart_insns.def"
sim_block_t *sim_op_illegal(sim_hart_t *hart, sim_op_t *op);
sim_block_t *sim_op_end(sim_hart_t *hart, sim_op_t *op);
sim_block_t *sim_op_float_slow(sim_hart_t *hart, sim_op_t *op);

#define NEXT(hart, op) return (op)[1].fn((hart), (op) + 1)

// hart_cache.c
void sim_hart_drop_code(sim_hart_t *hart);
// The block at hart->pc, of at most `limit` instructions; NULL: hart->fault tells why not.
sim_block_t *sim_hart_block_at(sim_hart_t *hart, uint64_t limit);

// hart_decode.c
void sim_hart_decode_init(sim_hart_t *hart);
// Decodes the instruction at `pc` into *op; true when it ends a block.
bool sim_hart_decode(sim_hart_t *hart, uint32_t word, uint64_t pc, uint32_t bytes, sim_op_t *op);
uint32_t sim_hart_expand(uint32_t half); // compressed to full; 0: illegal

// hart.c: leaving a block.
// At `op`, which is not done; always NULL.
sim_block_t *sim_hart_stop_at(sim_hart_t *hart, const sim_op_t *op, sim_stop_t stop);
// Behind the block, which is done; always NULL.
sim_block_t *sim_hart_leave(sim_hart_t *hart, uint64_t pc, sim_block_t **patch, sim_stop_t stop);
sim_block_t *sim_hart_illegal(sim_hart_t *hart, const sim_op_t *op);
uint64_t sim_hart_cost_before(const sim_hart_t *hart, const sim_op_t *op);

// hart_memory.c
// The host page of `va`, into the translation buffer too; NULL: hart->fault tells.
uint8_t *sim_hart_page(sim_hart_t *hart, uint64_t va, isa_access_t access);
// What the fast paths leave: other pages, misaligned accesses. False: the hart was stopped at op.
bool sim_hart_load_slow(sim_hart_t *hart, const sim_op_t *op, uint64_t va, uint32_t bytes);
bool sim_hart_store_slow(sim_hart_t *hart, const sim_op_t *op, uint64_t va, uint64_t value,
                         uint32_t bytes);

static ALWAYS_INLINE sim_block_t *fall_through(sim_hart_t *hart) {
    sim_block_t *block = hart->block;
    if (LIKELY(block->next != NULL))
        return block->next;
    return sim_hart_leave(hart, block->next_pc, &block->next, SIM_STOP_NONE);
}

static ALWAYS_INLINE sim_block_t *jump(sim_hart_t *hart, sim_op_t *op) {
    if (LIKELY(op->u.link != NULL))
        return op->u.link;
    return sim_hart_leave(hart, op->imm, &op->u.link, SIM_STOP_NONE);
}

// Host address of an aligned access that the translation buffer knows, else NULL.
static ALWAYS_INLINE uint8_t *fast_address(const sim_hart_t *hart, uint64_t va, uint32_t bytes,
                                           isa_access_t access) {
    const tlb_entry_t *entry = &hart->tlb[access - 1][(va >> 12) & (TLB_ENTRIES - 1)];
    if (LIKELY((va & (PAGE_MASK | (bytes - 1))) == entry->tag))
        return (uint8_t *)(uintptr_t)(va + entry->addend);
    return NULL;
}

#endif
