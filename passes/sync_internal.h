// SPDX-License-Identifier: Apache-2.0
// What the files of the pass `sync` share.
#ifndef PASSES_SYNC_INTERNAL_H
#define PASSES_SYNC_INTERNAL_H

#include "ir/access.h"
#include "isa/xaccel.h"
#include "passes/pass.h"

#define SYNC_HART XA_ENGINE_COUNT // "engine" of call and read_index

// An op that touches buffers, in program order.
typedef struct sync_op {
    ir_op_t *op;
    int engine; // xa_engine_t or SYNC_HART
    size_t n_accesses;
    ir_access_t *accesses;
    bool anchored; // follows, by tickets, a DMA-in of this kernel
} sync_op_t;

// `op` may start only after `source`: its ticket itself, or a variable that outlives a round.
typedef struct sync_dep {
    uint32_t source;     // index of a sync_op_t
    bool direct;         // the source's own result; else the variable
    uint32_t age;        // rounds of `loop` ago
    const ir_op_t *loop; // whose rounds age counts; NULL with age 0
} sync_dep_t;

typedef struct sync_kernel {
    pass_context_t *pc;
    ir_module_t *m;
    ir_op_t *kernel;
    ir_block_t *block;
    uint32_t number; // among the kernels
    sync_op_t *ops;
    size_t n_ops, capacity;
    bool uses[XA_ENGINE_COUNT + 1];
} sync_kernel_t;

// State over all kernels.
typedef struct sync {
    pass_context_t *pc;
    ir_module_t *m;
    map_t writers;              // root of DRAM -> number of the last kernel that wrote it, + 1
    ir_op_t **barriers;         // at each kernel's end
    bool *kept;                 // its ticket is in "@b<number>"
    bool used[XA_ENGINE_COUNT]; // by earlier kernels
} sync_t;

extern const char *const sync_engine_names[XA_ENGINE_COUNT];

// sync_deps.c: tickets between the ops of one kernel; anchors.
void sync_add_deps(sync_kernel_t *k);
// sync_dram.c: barriers inside a kernel, and what it needs of earlier ones.
void sync_add_barriers(sync_kernel_t *k);
void sync_add_reads(sync_t *s, sync_kernel_t *k);

// Small builders: ops before `at` (NULL: at the block's end, before its terminator).
ir_value_t *sync_last(ir_builder_t *b, int engine);
ir_value_t *sync_get(ir_builder_t *b, const char *var, uint32_t age, int engine);
void sync_hold(ir_builder_t *b, int queue, ir_value_t *ticket);
// The ticket result of an engine op or barrier, made when it has none yet.
ir_value_t *sync_ticket(ir_module_t *m, ir_op_t *op);
void sync_keep_after(ir_module_t *m, ir_op_t *op, const char *var);

#endif
