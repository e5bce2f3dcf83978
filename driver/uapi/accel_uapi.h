// SPDX-License-Identifier: Apache-2.0
// Requests to the resource manager: the same structs in process, through a daemon's socket, as
// Linux ioctls and as Windows private data. Freestanding.
//
// Rules: fixed widths, no enum, bool or bit field inside a struct; padding and unknown flags must
// be zero; `size` is checked against the op; ids and ops are only ever appended. The caller fills
// in everything marked in; what is marked out is valid when `status` is 0 (STATUS_* of
// support/status.h). Handles are small numbers of one client, never 0.
#ifndef ACCEL_UAPI_H
#define ACCEL_UAPI_H

#include <stdint.h>

#define ACCEL_UAPI_VERSION 1u

// X(NAME, number, struct, meaning)
#define ACCEL_UAPI_TABLE(X)                                                                        \
    X(INFO, 1, info, "what the card is")                                                           \
    X(VM_CREATE, 2, handle, "an address space")                                                    \
    X(VM_DESTROY, 3, handle, "BUSY while contexts or bindings are in it")                          \
    X(CTX_CREATE, 4, ctx_create, "an execution context in an address space")                       \
    X(CTX_DESTROY, 5, handle, "cancels what has not begun, waits for what has")                    \
    X(CTX_QUERY, 6, ctx_query, "its state, why it was lost, what a suspended launch needs")        \
    X(BO_CREATE, 7, bo_create, "card memory, zeroed")                                              \
    X(BO_DESTROY, 8, handle, "BUSY while bound")                                                   \
    X(BO_FROM_USER, 9, bo_from_user, "the caller's own memory, pinned")                            \
    X(BIND, 10, bind, "puts a buffer into an address space, or takes a binding out")               \
    X(SYNC_CREATE, 11, sync, "a timeline: a 64-bit value that only grows")                         \
    X(SYNC_DESTROY, 12, handle, "BUSY while submissions name it")                                  \
    X(SYNC_WAIT, 13, sync, "until the timeline reaches a point")                                   \
    X(SYNC_SIGNAL, 14, sync, "moves the timeline to a point")                                      \
    X(SYNC_QUERY, 15, sync, "its value")                                                           \
    X(SUBMIT, 16, submit, "work for a hardware node")                                              \
    X(STATS, 17, stats, "counters of a hardware node")

#define ACCEL_UAPI_OP(name, number, type, meaning) ACCEL_REQ_##name = number,
enum { ACCEL_UAPI_TABLE(ACCEL_UAPI_OP) };
#undef ACCEL_UAPI_OP

typedef struct accel_req {
    uint32_t size;    // in: bytes of the whole struct
    uint16_t op;      // in: ACCEL_REQ_*
    uint16_t version; // in: ACCEL_UAPI_VERSION
    uint32_t flags;   // in: by op; an unknown bit is an error
    uint32_t status;  // out: STATUS_*
} accel_req_t;

typedef struct accel_req_info {
    accel_req_t head;
    uint64_t profile_hash; // out, as all below
    uint8_t profile[16];   // name, zero padded
    uint32_t card_version;
    uint32_t features; // ISA_FEATURE_*
    uint32_t cores;
    uint32_t lm_bytes;
    uint32_t nodes;
    uint32_t clock_khz;
    uint64_t memory_bytes;
    uint64_t memory_free;
    uint64_t sram_bytes;
} accel_req_info_t;

// VM_CREATE (out), and every DESTROY (in).
typedef struct accel_req_handle {
    accel_req_t head;
    uint32_t handle;
    uint32_t pad;
} accel_req_handle_t;

typedef struct accel_req_ctx_create {
    accel_req_t head;
    uint32_t vm;     // in
    uint32_t handle; // out
} accel_req_ctx_create_t;

#define ACCEL_CTX_READY     0u
#define ACCEL_CTX_SUSPENDED 1u // only SUBMIT with ACCEL_SUBMIT_RESUME goes on
#define ACCEL_CTX_LOST      2u // for good; all its submissions fail

typedef struct accel_req_ctx_query {
    accel_req_t head;
    uint32_t handle;    // in
    uint32_t state;     // out: ACCEL_CTX_*
    uint64_t heap_need; // out: bytes of heap that the suspended launch needs in all
    uint64_t cycles;    // out: modelled cycles that the context took
    uint64_t fault[8];  // out: isa_fault_record_t of a lost context, else zero
} accel_req_ctx_query_t;

typedef struct accel_req_bo_create {
    accel_req_t head;
    uint64_t bytes;  // in: rounded up to 4 KiB
    uint32_t handle; // out
    uint32_t pad;
} accel_req_bo_create_t;

// `head.flags`:
#define ACCEL_FROM_USER_READ_ONLY 1u // the card will not write to it
#define ACCEL_FROM_USER_MAY_COPY  2u // a driver that cannot pin may copy it once, now (read only)

typedef struct accel_req_bo_from_user {
    accel_req_t head;
    uint64_t address; // in: 4 KiB aligned
    uint64_t bytes;   // in: a multiple of 4 KiB
    uint32_t handle;  // out
    uint32_t copied;  // out: 1 if it was copied
} accel_req_bo_from_user_t;

#define ACCEL_PROT_WRITE   1u // reading is always allowed
#define ACCEL_PROT_EXECUTE 2u // not together with WRITE

// `head.flags`:
#define ACCEL_BIND_UNMAP 1u // takes out the binding that begins at `va`; all else zero but `vm`

typedef struct accel_req_bind {
    accel_req_t head;
    uint32_t vm;     // in
    uint32_t bo;     // in
    uint32_t prot;   // in: ACCEL_PROT_*
    uint32_t pad;    // zero
    uint64_t offset; // in: in the buffer; 4 KiB aligned, as the next two
    uint64_t va;     // in
    uint64_t bytes;  // in
} accel_req_bind_t;

// SYNC_WAIT ends with STATUS_SUSPENDED when the submission that would signal the point waits for
// memory, and with STATUS_CONTEXT_LOST when it never will.
typedef struct accel_req_sync {
    accel_req_t head;
    uint32_t handle;     // in; SYNC_CREATE: out
    uint32_t pad;        // zero
    uint64_t value;      // in: point (CREATE: first value); QUERY: out
    uint64_t timeout_ns; // in, WAIT only: relative; all ones: forever
} accel_req_sync_t;

typedef struct accel_sync_point {
    uint32_t sync;
    uint32_t pad; // zero
    uint64_t value;
} accel_sync_point_t;

#define ACCEL_SUBMIT_MAX_SYNCS 4u

#define ACCEL_NODE_COMPUTE 0u
#define ACCEL_NODE_COPY    1u

// `head.flags`:
#define ACCEL_SUBMIT_RESUME      1u // goes on with the context's suspended launch
#define ACCEL_SUBMIT_MAY_SUSPEND 2u // may ask for heap: later work of the context is held back

// On ACCEL_NODE_COMPUTE a command buffer (isa/packet.def); on ACCEL_NODE_COPY one copy of rows.
// Submissions of one context run in order. All addresses are the context's virtual ones.
typedef struct accel_req_submit {
    accel_req_t head;
    uint32_t ctx;       // in
    uint32_t node;      // in
    uint32_t n_in;      // in: points to wait for
    uint32_t n_out;     // in: points to signal
    uint64_t ib;        // in: COMPUTE: VA of the command buffer, 8-byte aligned
    uint64_t dst;       // in: COPY, as all below
    uint64_t src;       // in
    uint64_t bytes;     // in: COMPUTE: of the command buffer; COPY: of a row
    uint32_t rows;      // in
    uint32_t dst_pitch; // in
    uint32_t src_pitch; // in
    uint32_t n_bos;     // in: buffers that the work uses (bindings hold theirs anyway)
    uint64_t bos;       // in: user pointer to n_bos handles of 4 bytes, or 0
    uint64_t seq;       // out: number of this submission, growing per client
    accel_sync_point_t in[ACCEL_SUBMIT_MAX_SYNCS];
    accel_sync_point_t out[ACCEL_SUBMIT_MAX_SYNCS];
} accel_req_submit_t;

typedef struct accel_req_stats {
    accel_req_t head;
    uint32_t node;  // in
    uint32_t state; // out: ISA_NODE_STATE_*, as all below
    uint64_t cycles;
    uint64_t instructions;
    uint64_t issues;
    uint64_t dram_bytes;
    uint64_t fallbacks;
} accel_req_stats_t;

_Static_assert(sizeof(accel_req_t) == 16, "header");
_Static_assert(sizeof(accel_req_info_t) == 88, "INFO");
_Static_assert(sizeof(accel_req_handle_t) == 24, "handle");
_Static_assert(sizeof(accel_req_ctx_create_t) == 24, "CTX_CREATE");
_Static_assert(sizeof(accel_req_ctx_query_t) == 104, "CTX_QUERY");
_Static_assert(sizeof(accel_req_bo_create_t) == 32, "BO_CREATE");
_Static_assert(sizeof(accel_req_bo_from_user_t) == 40, "BO_FROM_USER");
_Static_assert(sizeof(accel_req_bind_t) == 56, "BIND");
_Static_assert(sizeof(accel_req_sync_t) == 40, "SYNC");
_Static_assert(sizeof(accel_req_submit_t) == 224, "SUBMIT");
_Static_assert(sizeof(accel_req_stats_t) == 64, "STATS");

#endif
