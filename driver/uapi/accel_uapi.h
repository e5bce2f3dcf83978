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

// X(NAME, number, struct, who may: ANY client or ADMIN, meaning)
#define ACCEL_UAPI_TABLE(X)                                                                        \
    X(INFO, 1, info, ANY, "what the card is")                                                      \
    X(VM_CREATE, 2, handle, ANY, "an address space")                                               \
    X(VM_DESTROY, 3, handle, ANY, "BUSY while contexts or bindings are in it")                     \
    X(CTX_CREATE, 4, ctx_create, ANY, "an execution context in an address space")                  \
    X(CTX_DESTROY, 5, handle, ANY, "cancels what has not begun, waits for what has")               \
    X(CTX_QUERY, 6, ctx_query, ANY, "its state, why it was lost, what a suspended launch needs")   \
    X(BO_CREATE, 7, bo_create, ANY, "card memory, zeroed; or host memory that both see")           \
    X(BO_DESTROY, 8, handle, ANY, "BUSY while bound")                                              \
    X(BO_FROM_USER, 9, bo_from_user, ANY, "the caller's own memory, pinned")                       \
    X(BIND, 10, bind, ANY, "puts a buffer into an address space, or takes a binding out")          \
    X(SYNC_CREATE, 11, sync, ANY, "a timeline: a 64-bit value that only grows")                    \
    X(SYNC_DESTROY, 12, handle, ANY, "BUSY while submissions name it")                             \
    X(SYNC_WAIT, 13, sync, ANY, "until the timeline reaches a point")                              \
    X(SYNC_SIGNAL, 14, sync, ANY, "moves the timeline to a point")                                 \
    X(SYNC_QUERY, 15, sync, ANY, "its value")                                                      \
    X(SUBMIT, 16, submit, ANY, "work for a hardware node")                                         \
    X(STATS, 17, stats, ANY, "counters of a hardware node")                                        \
    X(BO_EXPORT, 18, share, ANY, "lets other clients import a buffer by name and key")             \
    X(BO_IMPORT, 19, share, ANY, "a handle of a buffer that another client exported")              \
    X(TELEMETRY, 20, telemetry, ANY, "sensors, memory and error counters")                         \
    X(EVENTS, 21, list, ANY, "what happened to the card, from a number on")                        \
    X(CLIENTS, 22, list, ANY, "who uses the card")                                                 \
    X(RESET, 23, reset, ADMIN, "resets a hardware node or the card")                               \
    X(POWER, 24, power, ADMIN, "sets the power limit")                                             \
    X(INJECT, 25, inject, ADMIN, "plants a fault on a simulated card")                             \
    X(HOLD, 26, hold, ADMIN, "the watchdog's clock stands, for a debugger")

#define ACCEL_UAPI_OP(name, number, type, who, meaning) ACCEL_REQ_##name = number,
enum { ACCEL_UAPI_TABLE(ACCEL_UAPI_OP) };
#undef ACCEL_UAPI_OP

// A client whose card was reset or lost gets DEVICE_LOST from every request but INFO, TELEMETRY,
// EVENTS, CLIENTS, RESET, HOLD and those that destroy: it shall close, and open the card again.
// STATS, POWER and INJECT work for it when the card does.
typedef struct accel_req {
    uint32_t size;    // in: bytes of the whole struct
    uint16_t op;      // in: ACCEL_REQ_*
    uint16_t version; // in: ACCEL_UAPI_VERSION
    uint32_t flags;   // in: by op; an unknown bit is an error
    uint32_t status;  // out: STATUS_*
} accel_req_t;

// STATUS_INTERRUPTED (Linux: -ERESTARTSYS): a signal came while the request waited; nothing is
// changed, or CTX_DESTROY has begun. What the struct holds then is the request to make again.

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
    uint64_t serial;
    uint32_t firmware; // major << 24 | minor << 16 | patch
    uint32_t link;     // PCI Express generation << 8 | lanes
} accel_req_info_t;

// VM_CREATE (out), and every DESTROY (in).
typedef struct accel_req_handle {
    accel_req_t head;
    uint32_t handle;
    uint32_t pad;
} accel_req_handle_t;

// Service classes of compute time. Shares are percent of card time: modelled cycles while the card
// works, time at the nominal clock while it idles.
#define ACCEL_CLASS_BEST_EFFORT 0u // equal parts of what the others leave; `share` is 0
#define ACCEL_CLASS_FIXED       1u // its share, never more
#define ACCEL_CLASS_BURST       2u // its share, and what others leave for as long as they do

// `head.flags`:
// For points that other drivers wait for (dma_fence): all work of the context ends in finite time.
// A class with a share; of SUBMIT: no RESUME, no MAY_SUSPEND, on COMPUTE a time limit of at most
// ACCEL_FENCED_MAX_NS, on COPY so much that it takes no longer (ACCEL_FENCED_MAX_BYTES in all rows
// and ACCEL_FENCED_MAX_ROWS, at 400 MB and 100000 rows a second), and points to wait for only those
// that are reached or that submissions of such contexts (or the driver) will reach: else INVALID.
// BUSY: a debugger holds the card, which in turn is BUSY while there is such a context.
// UNSUPPORTED: the card is in timing mode, where nothing is out of time.
#define ACCEL_CTX_FENCED       1u
#define ACCEL_FENCED_MAX_NS    UINT64_C(10000000000)
#define ACCEL_FENCED_MAX_BYTES (UINT64_C(4) << 30)
#define ACCEL_FENCED_MAX_ROWS  (1u << 20)

// LIMIT: the shares of all contexts would pass 100.
typedef struct accel_req_ctx_create {
    accel_req_t head;
    uint32_t vm;            // in
    uint32_t handle;        // out
    uint32_t service_class; // in: ACCEL_CLASS_*
    uint32_t share;         // in: 1 to 100 of a class that has one
} accel_req_ctx_create_t;

#define ACCEL_CTX_READY     0u
#define ACCEL_CTX_SUSPENDED 1u // only SUBMIT with ACCEL_SUBMIT_RESUME goes on
#define ACCEL_CTX_LOST      2u // for good; all its submissions fail

// Why a context was lost: X(NAME, number, text).
#define ACCEL_LOST_TABLE(X)                                                                        \
    X(NOT, 0, "no reason")                                                                         \
    X(FAULT, 1, "its program faulted")            /* CTX_QUERY's `fault` tells */                  \
    X(HANG, 2, "it kept the node from answering") /* which was reset */                            \
    X(TIMEOUT, 3, "a submission passed its time limit")                                            \
    X(ECC, 4, "an uncorrectable error in its memory")                                              \
    X(CARD_ERROR, 5, "the card told nonsense of its work, or dropped it")                          \
    X(RESET, 6, "its node or the card was reset") /* by an administrator, or it had to be */       \
    X(REMOVED, 7, "the card does not answer")                                                      \
    X(BANNED, 8, "its process hung the card too often")
#define ACCEL_LOST_ENUM(name, number, text) ACCEL_LOST_##name = number,
enum { ACCEL_LOST_TABLE(ACCEL_LOST_ENUM) };
#undef ACCEL_LOST_ENUM

typedef struct accel_req_ctx_query {
    accel_req_t head;
    uint32_t handle;    // in
    uint32_t state;     // out: ACCEL_CTX_*
    uint64_t heap_need; // out: bytes of heap that the suspended launch needs in all
    uint64_t cycles;    // out: modelled cycles that the context took
    uint32_t reason;    // out: ACCEL_LOST_*
    uint32_t pad;
    uint64_t fault[8]; // out: isa_fault_record_t of a lost context, else zero
} accel_req_ctx_query_t;

// `head.flags`:
#define ACCEL_BO_HOST 1u // pinned host memory made by the driver, which the client maps

// LIMIT: more than the client may have.
typedef struct accel_req_bo_create {
    accel_req_t head;
    uint64_t bytes;  // in: rounded up to 4 KiB
    uint32_t handle; // out
    uint32_t pad;
    // out, of ACCEL_BO_HOST: in process its address; Linux: offset for mmap; daemon: 0, a
    // descriptor comes with the answer.
    uint64_t map;
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

// `head.flags`:
#define ACCEL_SYNC_UNTIL 1u // WAIT: `timeout_ns` is a time of the driver's monotonic clock

// SYNC_WAIT ends with STATUS_SUSPENDED when the submission that would signal the point waits for
// memory, and with STATUS_CONTEXT_LOST when it never will; points below one that failed stay good.
// When it is interrupted, `timeout_ns` becomes the time at which it ends, and UNTIL is set.
// SYNC_QUERY tells the value, whether its points were reached or given up: a SYNC_WAIT of no time
// for a point that the value has passed tells which.
typedef struct accel_req_sync {
    accel_req_t head;
    uint32_t handle;     // in; SYNC_CREATE: out
    uint32_t pad;        // zero
    uint64_t value;      // in: point (CREATE: first value); QUERY: out
    uint64_t timeout_ns; // in, WAIT only: relative, or UNTIL; all ones: forever
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
// goes on with the context's suspended launch, and signals its points whether it names them again
// or not (INVALID: more than ACCEL_SUBMIT_MAX_SYNCS timelines then)
#define ACCEL_SUBMIT_RESUME 1u
// may ask for heap: later work of the context is held back (a launch without it that asks for heap
// loses its context: FAULT, the cause BAD_ECALL)
#define ACCEL_SUBMIT_MAY_SUSPEND 2u

// On ACCEL_NODE_COMPUTE a command buffer (isa/packet.def); on ACCEL_NODE_COPY one copy of rows,
// whose source and destination may not overlap: a long one is done in pieces, between which others
// get their turn, and a piece may be begun again. Submissions of one context run in order. All
// addresses are the context's virtual ones.
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
    // in, COMPUTE: how long the card may work on it, all its parts between preemptions together;
    // 0: no limit. Then the context is lost (TIMEOUT). Not counted in timing mode and while HOLD.
    uint64_t timeout_ns;
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

#define ACCEL_MAX_SUBMIT_BOS 4096u

// --- Sharing ---

// The key is the exporter's secret: whoever knows name and key may import.
typedef struct accel_req_share {
    accel_req_t head;
    uint32_t handle; // EXPORT: in; IMPORT: out
    uint32_t pad;    // zero
    uint64_t key[2]; // in: not both zero
    uint64_t name;   // EXPORT: out; IMPORT: in
    uint64_t bytes;  // out
} accel_req_share_t;

// --- Monitoring ---

// What `valid` may say: what is not in it the card has not, or could not be asked (it is lost, or a
// reset is under way), and is 0 below.
#define ACCEL_VALID_SENSORS 1u // heat, power, clocks, energy_mj
#define ACCEL_VALID_POWER   2u // power_state
#define ACCEL_VALID_ECC     4u // ecc_*
#define ACCEL_VALID_COUNTS  8u // errors, faults_dropped, busy_cycles, dram_bytes

// All out. What is of the driver is always valid.
typedef struct accel_req_telemetry {
    accel_req_t head;
    uint32_t valid;        // ACCEL_VALID_*
    uint32_t pad;          // zero
    int32_t temperature;   // millidegrees Celsius, as the next two
    int32_t temp_slowdown; // from here on the clock is lowered
    int32_t temp_critical; // from here on the card gets no work
    uint32_t power_mw;     // draw
    uint32_t power_limit_mw;
    uint32_t power_limit_min_mw;
    uint32_t power_limit_max_mw;
    uint32_t clock_khz;   // now
    uint32_t throttle;    // ISA_THROTTLE_*
    uint32_t power_state; // ISA_POWER_*
    uint32_t card_state;  // ACCEL_CARD_*
    uint32_t clients;
    uint32_t ecc_corrected; // since the card was made, as the next three
    uint32_t ecc_uncorrected;
    uint32_t errors;
    uint32_t faults_dropped;
    uint32_t retired_pages; // 4 KiB each
    uint32_t node_resets;   // since the driver started, as the next two
    uint32_t card_resets;
    uint32_t lost_interrupts;
    uint64_t energy_mj;
    uint64_t memory_bytes; // card memory
    uint64_t memory_free;
    uint64_t memory_reserved; // of the driver's own
    uint64_t uptime_ns;       // of the driver; busy shares are differences of cycles over time
    uint64_t busy_cycles[2];  // by hardware node
    uint64_t dram_bytes[2];
} accel_req_telemetry_t;

#define ACCEL_CARD_READY      0u
#define ACCEL_CARD_RECOVERING 1u
#define ACCEL_CARD_HOT        2u // too hot to work; goes on by itself
#define ACCEL_CARD_LOST       3u // does not answer; RESET may bring it back

// EVENTS: accel_event_t from number `first` on (0: the oldest kept); CLIENTS: accel_client_t from
// id `first` on.
typedef struct accel_req_list {
    accel_req_t head;
    uint64_t first;    // in; out: where to go on
    uint64_t records;  // in: user pointer to room for `capacity` records
    uint32_t capacity; // in: at most ACCEL_LIST_MAX
    uint32_t count;    // out: records written
} accel_req_list_t;

#define ACCEL_LIST_MAX 1024u

// X(NAME, number, meaning of code, a, b)
#define ACCEL_EVENT_TABLE(X)                                                                       \
    X(STARTED, 1, "the driver took the card; a: contract version")                                 \
    X(CONTEXT_LOST, 2, "code: ACCEL_LOST_*; a: fault cause; b: pc")                                \
    X(HANG, 3, "code: 0 no answer to a preemption, 1 past a submission's limit; a: fence")         \
    X(NODE_RESET, 4, "code: status")                                                               \
    X(CARD_RESET, 5, "code: status")                                                               \
    X(GONE, 6, "the card does not answer")                                                         \
    X(ECC_CORRECTED, 7, "a: count since the card was made")                                        \
    X(ECC_UNCORRECTED, 8, "a: card address")                                                       \
    X(PAGE_RETIRED, 9, "a: card address")                                                          \
    X(OVERHEAT, 10, "a: millidegrees")                                                             \
    X(COOLED, 11, "a: millidegrees")                                                               \
    X(BANNED, 12, "a client that hung the card again and again")                                   \
    X(INTERRUPT_LOST, 13, "a completion was found without its interrupt; a: fence")                \
    X(CORRUPT, 14, "a completion entry held nonsense")                                             \
    X(SLEPT, 15, "idle: the card sleeps")                                                          \
    X(WOKE, 16, "there is work: the card works again")                                             \
    X(INJECTED, 17, "code: ISA_INJECT_*; a: argument")                                             \
    X(CARD_ERROR, 18, "code: ISA_ERROR_* bits")                                                    \
    X(HELD, 19, "a debugger holds the card: nobody runs out of time")                              \
    X(RELEASED, 20, "it let go; a: nanoseconds held")
#define ACCEL_EVENT_ENUM(name, number, meaning) ACCEL_EVENT_##name = number,
enum { ACCEL_EVENT_TABLE(ACCEL_EVENT_ENUM) };
#undef ACCEL_EVENT_ENUM

typedef struct accel_event_record {
    uint64_t number;  // from 1 on
    uint64_t time_ns; // monotonic clock of the driver's machine
    uint32_t kind;    // ACCEL_EVENT_*
    uint32_t node;    // hardware node
    uint32_t client;  // id of the client concerned, or 0
    uint32_t code;
    uint64_t pid; // of that client
    uint64_t a, b;
    uint64_t reserved;
} accel_event_record_t;

#define ACCEL_CLIENT_READY  0u
#define ACCEL_CLIENT_LOST   1u
#define ACCEL_CLIENT_BANNED 2u

typedef struct accel_client_record {
    uint32_t id; // growing, never used twice
    uint32_t state;
    uint64_t pid;
    char name[16];         // of the process, zero padded
    uint64_t memory_bytes; // of card memory
    uint64_t memory_limit; // 0: none but the card's
    uint64_t host_bytes;   // buffers, pinned memory, page tables, bindings
    uint64_t busy_cycles;  // COMPUTE
    uint64_t submissions;
    uint32_t contexts;
    uint32_t hangs;
    uint32_t holds; // 1: it has the card's HOLD
    uint32_t pad;
    uint64_t reserved;
} accel_client_record_t;

// --- Administration ---

#define ACCEL_RESET_NODE 0u
#define ACCEL_RESET_CARD 1u // also brings a lost card back, if it answers again

typedef struct accel_req_reset {
    accel_req_t head;
    uint32_t level; // in: ACCEL_RESET_*
    uint32_t node;  // in
} accel_req_reset_t;

typedef struct accel_req_power {
    accel_req_t head;
    uint32_t limit_mw; // in
    uint32_t pad;      // zero
} accel_req_power_t;

typedef struct accel_req_inject {
    accel_req_t head;
    uint32_t what; // in: ISA_INJECT_*
    uint32_t pad;  // zero
    uint64_t argument;
} accel_req_inject_t;

// `head.flags`:
#define ACCEL_HOLD_RELEASE 1u // lets go; OK also when it does not hold

// For a debugger that keeps work on the card from moving on. While a client holds the card nothing
// on it is out of time: neither work that stands still, nor a preemption without an answer, nor a
// submission's time limit. Others wait for as long as it takes (waits have limits of their own);
// errors, resets, removal and shares are as ever. Ends with RELEASE or the client. BUSY: somebody
// holds it, or there is a fenced context.
typedef struct accel_req_hold {
    accel_req_t head;
} accel_req_hold_t;

_Static_assert(sizeof(accel_req_t) == 16, "header");
_Static_assert(sizeof(accel_req_info_t) == 104, "INFO");
_Static_assert(sizeof(accel_req_handle_t) == 24, "handle");
_Static_assert(sizeof(accel_req_ctx_create_t) == 32, "CTX_CREATE");
_Static_assert(sizeof(accel_req_ctx_query_t) == 112, "CTX_QUERY");
_Static_assert(sizeof(accel_req_bo_create_t) == 40, "BO_CREATE");
_Static_assert(sizeof(accel_req_bo_from_user_t) == 40, "BO_FROM_USER");
_Static_assert(sizeof(accel_req_bind_t) == 56, "BIND");
_Static_assert(sizeof(accel_req_sync_t) == 40, "SYNC");
_Static_assert(sizeof(accel_req_submit_t) == 232, "SUBMIT");
_Static_assert(sizeof(accel_req_stats_t) == 64, "STATS");
_Static_assert(sizeof(accel_req_share_t) == 56, "EXPORT, IMPORT");
_Static_assert(sizeof(accel_req_telemetry_t) == 176, "TELEMETRY");
_Static_assert(sizeof(accel_req_list_t) == 40, "EVENTS, CLIENTS");
_Static_assert(sizeof(accel_event_record_t) == 64, "event");
_Static_assert(sizeof(accel_client_record_t) == 96, "client");
_Static_assert(sizeof(accel_req_reset_t) == 24, "RESET");
_Static_assert(sizeof(accel_req_power_t) == 24, "POWER");
_Static_assert(sizeof(accel_req_inject_t) == 32, "INJECT");
_Static_assert(sizeof(accel_req_hold_t) == 16, "HOLD");

#endif
