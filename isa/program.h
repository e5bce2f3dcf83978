// SPDX-License-Identifier: Apache-2.0
// What a program meets on the card: address map, register state at its start, argument block,
// environment calls. Shared by compiler (codegen, devlib), simulator, driver and runtime.
// Freestanding.
#ifndef ISA_PROGRAM_H
#define ISA_PROGRAM_H

#include <stdint.h>

// --- Device address map (48-bit VA; the lower half of one address space) -------------------------
// LM window: this core's local memory, the same address on each core. Hart and engines.
#define ISA_LM_BASE   UINT64_C(0x10000000)
#define ISA_LM_WINDOW UINT64_C(0x01000000)
// SRAM window: shared on-card memory. DMA only; a hart access faults.
#define ISA_SRAM_BASE   UINT64_C(0x20000000)
#define ISA_SRAM_WINDOW UINT64_C(0x10000000)
// Page-table range: everything else a program may touch is mapped here by page tables.
#define ISA_VA_BASE UINT64_C(0x40000000)
#define ISA_VA_END  UINT64_C(0x800000000000)
// Conventional places inside it (the loader chooses; images are position independent).
#define ISA_VA_IMAGE    UINT64_C(0x40000000)   // text, rodata, data, page aligned
#define ISA_VA_STACK    UINT64_C(0x70000000)   // stacks, a core each, guard page between
#define ISA_VA_ARGS     UINT64_C(0x7f000000)   // argument block
#define ISA_VA_WEIGHTS  UINT64_C(0x1000000000) // weights segment, read only
#define ISA_VA_HEAP     UINT64_C(0x2000000000) // heap range, grown by suspend and resume
#define ISA_VA_HEAP_END UINT64_C(0x4000000000)
#define ISA_VA_IO       UINT64_C(0x4000000000) // inputs and outputs bound by the runtime

#define ISA_STACK_BYTES UINT64_C(0x40000) // a core; a leaf of the profile's stack need
#define ISA_PAGE_BYTES  UINT64_C(4096)
#define ISA_PAGE_LARGE  UINT64_C(0x200000)

// --- Start of a program --------------------------------------------------------------------------
// Every core of the gang starts at `entry` with a0 = VA of the argument block, a1 = core number,
// a2 = number of cores, sp = top of its stack (16-byte aligned), tp = VA of its 4 KiB thread area
// (the bottom page of its stack range), all other x and f registers 0, fcsr 0, LM zero, tickets 0.

// Argument block, in DRAM, read and written by the program (little endian, 8-byte aligned).
#define ISA_ARGS_MAX_RANK 8
typedef struct isa_args_io {
    uint64_t va;    // where the data is; 0: the program places an output in the heap
    uint64_t bytes; // capacity at `va`
    uint64_t dims[ISA_ARGS_MAX_RANK]; // inputs: set by the caller; outputs: set by the program
    uint64_t reserved;
} isa_args_io_t;

typedef struct isa_args {
    uint64_t size; // bytes of this block, with its io entries
    uint32_t n_inputs;
    uint32_t n_outputs;
    uint64_t weights;    // VA of the weights segment
    uint64_t heap;       // VA of the heap
    uint64_t heap_bytes; // committed at launch (at least the image's heap_min)
    uint64_t sync;       // VA of 4 KiB of zeroed memory for the program's own use (counters, locks)
    uint64_t reserved[2];
    isa_args_io_t io[]; // inputs, then outputs
} isa_args_t;
_Static_assert(sizeof(isa_args_io_t) == 88, "args entry");
_Static_assert(sizeof(isa_args_t) == 64, "args header");

// --- Environment calls (ecall): number in a7, arguments in a0.., result in a0 --------------------
#define ISA_ECALL_EXIT 0 // a0 = code: 0 ends this core's part; other codes fault (PROGRAM_EXIT)
#define ISA_ECALL_LOG  1 // a0 = VA of text, a1 = bytes (at most 1024); result: bytes taken
#define ISA_ECALL_HEAP                                                                             \
    2                    // a0 = bytes of heap needed in all; suspends until committed; result 0,
                         // or 1 when the owner refused (the program then exits with ISA_EXIT_HEAP)
#define ISA_ECALL_NODE 3 // a0 = debug map index of the ONNX node that begins (profile marker)

// Exit codes that the runtime explains.
#define ISA_EXIT_OK    0
#define ISA_EXIT_HEAP  1 // heap refused
#define ISA_EXIT_SHAPE 2 // input dims contradict each other or a bound
#define ISA_EXIT_INDEX 3 // index out of bounds (devlib)
#define ISA_EXIT_ABORT 4 // abort() in devlib

#endif
