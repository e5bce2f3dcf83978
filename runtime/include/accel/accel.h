// SPDX-License-Identifier: Apache-2.0
// accel/accel.h: loads compiled models (made by accelc) onto an accelerator card, real or
// simulated, and runs them. C17, usable from C++.
//
//     accel_program_t *program;  accel_device_t *device;  accel_module_t *module;
//     accel_program_open("model.bin", &program, &error);
//     accel_device_options_t options = {.profile = accel_program_profile(program)};
//     accel_device_open("auto", &options, &device, &error);
//     accel_module_load(device, program, NULL, &module, &error);
//     accel_run(module, inputs, n_inputs, outputs, n_outputs, &error);
//
// Rules that hold for all calls:
// - Handles are opaque. What was made from a handle is destroyed before it: programs and devices
//   last. Streams, modules, buffers and events may go in any order; an event may outlive its
//   stream. NULL is fine for every destroy call.
// - Threads: a program, device, module, buffer or event may be used from any number of threads at
//   the same time; a stream from one at a time. A handle is destroyed when nobody uses it; a module
//   and a buffer when the work that uses them was waited for, by any thread: one that waits for an
//   event behind it may unload the module, whatever the stream's own thread does meanwhile.
// - Errors: fallible calls return an accel_status_t; ACCEL_OK is 0. `error` may be NULL; otherwise,
//   on failure, it holds one line of text that names the place (input, ONNX node ...) and what to
//   do. On failure outputs are NULL or unchanged.
// - Sizes are in bytes, times in nanoseconds, shapes row-major with the last dim innermost.
//   Elements below 8 bits are packed from the low bits of a byte up, without padding between rows.
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ACCEL_MAX_RANK 8

typedef enum accel_status {
    ACCEL_OK = 0,
    ACCEL_INVALID = 1,       // a wrong argument or a malformed file
    ACCEL_UNSUPPORTED = 2,   // well formed, but not supported
    ACCEL_NO_MEMORY = 3,     // of the host or the card
    ACCEL_NOT_FOUND = 4,     // no such file, device, input ...
    ACCEL_IO = 5,            // the system could not read or write
    ACCEL_LIMIT = 6,         // a limit (of an option, or of the card) was exceeded
    ACCEL_BUSY = 7,          // in use; try again later
    ACCEL_TIMEOUT = 8,       // not done in time; try again
    ACCEL_DENIED = 9,        // not permitted
    ACCEL_CONTEXT_LOST = 10, // the work did not end; see accel_lost_t. More can be started
    ACCEL_DEVICE_LOST = 11,  // the card was reset or is gone, or the daemon; close the device
    ACCEL_SUSPENDED = 12,    // internal to the driver; no call returns it
    ACCEL_MISMATCH = 13,     // file and card, or versions, do not fit
    ACCEL_INTERNAL = 14,     // a bug in accel
    ACCEL_INTERRUPTED = 15,  // internal to the driver; no call returns it
} accel_status_t;

// A static text; never NULL.
const char *accel_status_text(accel_status_t status);

// Why work was lost, for programs that act on it.
typedef enum accel_lost {
    ACCEL_NOT_LOST = 0,           // the error has another reason
    ACCEL_LOST_BY_FAULT = 1,      // its program faulted, or ended with an exit code
    ACCEL_LOST_BY_HANG = 2,       // the card stood still with it, and the node was reset
    ACCEL_LOST_BY_TIMEOUT = 3,    // it passed the time limit of its stream
    ACCEL_LOST_BY_ECC = 4,        // a double-bit error in memory of its own
    ACCEL_LOST_BY_CARD_ERROR = 5, // the card told nonsense of it, or dropped it
    ACCEL_LOST_BY_RESET = 6,      // of its node or, with DEVICE_LOST, of the card
    ACCEL_LOST_BY_REMOVAL = 7,    // the card does not answer
    ACCEL_LOST_BY_BAN = 8,        // this process hung the card too often
    ACCEL_LOST_BY_EVENT = 64,     // it waited by an event for work that was lost
    ACCEL_LOST_BY_DRIVER = 65,    // the daemon ended, or ended this client
} accel_lost_t;

typedef struct accel_error {
    accel_status_t status;
    accel_lost_t lost; // of CONTEXT_LOST, DEVICE_LOST, DENIED, and LIMIT of a heap
    char text[1000];
} accel_error_t;

// Numbers of ONNX TensorProto.DataType.
typedef enum accel_dtype {
    ACCEL_F32 = 1,
    ACCEL_U8 = 2,
    ACCEL_I8 = 3,
    ACCEL_U16 = 4,
    ACCEL_I16 = 5,
    ACCEL_I32 = 6,
    ACCEL_I64 = 7,
    ACCEL_STRING = 8, // not as an input or output of a module
    ACCEL_BOOL = 9,
    ACCEL_F16 = 10,
    ACCEL_F64 = 11,
    ACCEL_U32 = 12,
    ACCEL_U64 = 13,
    ACCEL_C64 = 14,
    ACCEL_C128 = 15,
    ACCEL_BF16 = 16,
    ACCEL_F8E4M3FN = 17,
    ACCEL_F8E4M3FNUZ = 18,
    ACCEL_F8E5M2 = 19,
    ACCEL_F8E5M2FNUZ = 20,
    ACCEL_U4 = 21,
    ACCEL_I4 = 22,
    ACCEL_F4E2M1 = 23,
    ACCEL_F8E8M0 = 24,
    ACCEL_U2 = 25,
    ACCEL_I2 = 26,
} accel_dtype_t;

typedef struct accel_program accel_program_t;
typedef struct accel_device accel_device_t;
typedef struct accel_module accel_module_t;
typedef struct accel_buffer accel_buffer_t;
typedef struct accel_stream accel_stream_t;
typedef struct accel_event accel_event_t;

// --- Programs: a model.bin on the host ---

// Maps the file and checks all of it, the hash of its content included. INVALID: not a program of
// this version, truncated or changed. The file must not be changed while it is open.
accel_status_t accel_program_open(const char *path, accel_program_t **out_program,
                                  accel_error_t *error);
void accel_program_close(accel_program_t *program);

// One dim of an input or output.
typedef struct accel_dim {
    int64_t value;      // >= 0, or -1: known only when the program runs
    const char *symbol; // the name of the symbol that it is, or NULL
} accel_dim_t;

typedef struct accel_io {
    const char *name;
    accel_dtype_t dtype;
    uint32_t rank;
    accel_dim_t dims[ACCEL_MAX_RANK];
} accel_io_t;

typedef struct accel_symbol {
    const char *name;
    int64_t min, max; // allowed values
} accel_symbol_t;

// Texts live as long as the program.
const char *accel_program_profile(const accel_program_t *program);
uint32_t accel_program_n_inputs(const accel_program_t *program);
uint32_t accel_program_n_outputs(const accel_program_t *program);
uint32_t accel_program_n_symbols(const accel_program_t *program);
uint32_t accel_program_n_nodes(const accel_program_t *program); // of the debug map
// NOT_FOUND: no such index.
accel_status_t accel_program_input(const accel_program_t *program, uint32_t index,
                                   accel_io_t *out_io);
accel_status_t accel_program_output(const accel_program_t *program, uint32_t index,
                                    accel_io_t *out_io);
accel_status_t accel_program_symbol(const accel_program_t *program, uint32_t index,
                                    accel_symbol_t *out_symbol);

typedef struct accel_program_info {
    uint64_t file_bytes, weights_bytes, heap_bytes;
    uint64_t open_ns; // what mapping and checking took, without the hash
    uint64_t hash_ns; // what the hash took
    bool may_grow;    // may ask for more heap while it runs
} accel_program_info_t;
void accel_program_info(const accel_program_t *program, accel_program_info_t *out_info);

// --- Devices ---

// All zero is a good choice.
typedef struct accel_device_options {
    // What the card shall be. NULL: "host" in this process, any behind a daemon.
    const char *profile;
    // Of a simulated card in this process, and `trace` below too: "daemon" refuses them, since a
    // card of the daemon is as the daemon made it, and "auto" takes "inproc" for them.
    uint32_t cores;        // 0: as many as the profile, or the machine, has
    const char *engine;    // NULL: "fast"; or "ref"
    bool timing;           // counts overlapping cycles, as a real card takes them
    uint64_t memory_bytes; // 0: the profile's
    // A simulated card in this process works in threads of its own, as any other card does, and
    // calls that start work return at once; else the thread that starts work does it, which is
    // faster for small models.
    bool background;
    // Pieces of a Chrome/Perfetto JSON trace of a timing run, in order; NULL: none.
    void (*trace)(void *user, const char *text, size_t bytes);
    void *trace_user;
    // Of the daemon accel-cardd: its socket, or a folder. In that folder, or (NULL) /run/user/UID,
    // and then in /run the socket is accel-cardd.sock; the first daemon that can be connected to is
    // taken.
    const char *socket;
    uint32_t card; // index of the card, from 0 on, where the kind does not say it
} accel_device_options_t;

// `kind`:
// "auto" (NULL)  the first of those below that there is. A daemon's card is taken from `card` on if
//                its profile is the one asked for and no option is set that only a card in this
//                process has. accel_device_info says what it became.
// "kernel"       a card of the kernel's driver (Linux: a node /dev/accel/accel*). There is no such
//                driver yet: NOT_FOUND, and the text says what was looked for
// "daemon"       a card of the daemon accel-cardd; "daemon:2" the one of index 2
// "inproc"       a simulated card in this process
// `options` may be NULL. NOT_FOUND: no such kind here, no daemon, or no such card; INVALID: unknown
// profile, engine or number of cores, or what a daemon's card is not or cannot have; LIMIT: the
// daemon takes no more clients; DENIED: this user may not connect; MISMATCH: its version; TIMEOUT:
// it does not answer; DEVICE_LOST: the card does not. When a daemon ends, calls return DEVICE_LOST
// with ACCEL_LOST_BY_DRIVER.
accel_status_t accel_device_open(const char *kind, const accel_device_options_t *options,
                                 accel_device_t **out_device, accel_error_t *error);
void accel_device_close(accel_device_t *device);

typedef struct accel_device_info {
    char kind[16];          // "daemon" or "inproc"
    uint32_t card, n_cards; // index of the card, and how many there are of the kind
    char profile[16];
    uint32_t cores;
    uint32_t clock_khz;
    bool simulated, timing;
    uint64_t memory_bytes, memory_free;
} accel_device_info_t;
accel_status_t accel_device_info(accel_device_t *device, accel_device_info_t *out_info);

// --- Memory ---

// Host memory that the card reaches by itself: inputs and outputs that lie in it, aligned to 64
// bytes, are used in place. Page aligned, not initialised.
accel_status_t accel_host_alloc(accel_device_t *device, size_t bytes, void **out_memory,
                                accel_error_t *error);
void accel_host_free(accel_device_t *device, void *memory);

// Zeroed memory on the card.
accel_status_t accel_buffer_create(accel_device_t *device, size_t bytes,
                                   accel_buffer_t **out_buffer, accel_error_t *error);
void accel_buffer_destroy(accel_buffer_t *buffer);
size_t accel_buffer_bytes(const accel_buffer_t *buffer);

// --- Modules: a program loaded onto a device ---

// Who gets how much of a card's compute time. Shares are percent of it.
typedef enum accel_service {
    ACCEL_SERVICE_BEST_EFFORT = 0, // equal parts of what the others leave; no share
    ACCEL_SERVICE_FIXED = 1,       // its share, never more
    ACCEL_SERVICE_BURST = 2,       // its share, and what others leave for as long as they do
} accel_service_t;

// All zero is a good choice.
typedef struct accel_stream_options {
    accel_service_t service_class;
    uint32_t share; // 1 to 100 of a class that has one
    // How long the card may work on one launch (waiting not counted), 0: no limit. Then the launch
    // fails with CONTEXT_LOST. Not watched by a simulated card that counts cycles (`timing`).
    uint64_t timeout_ns;
} accel_stream_options_t;

typedef struct accel_module_options {
    uint64_t heap_limit; // bytes that the heap of a run may grow to; 0: what the card has
    bool node_stats;     // count work per ONNX node (see accel_module_node_stats); costs some time
    // What the program prints (a piece of text without NUL, perhaps several lines); NULL: nowhere.
    // Called by the thread that waits for the run.
    void (*log)(void *user, const char *text, size_t bytes);
    void *log_user;
    accel_stream_options_t stream; // of accel_run, each thread that is in it
} accel_module_options_t;

// Code and weights are on the card once, however many streams launch the module. What a run writes
// (its data, stacks, heap, arguments, counters) there is once for each stream that launched it and
// each thread in accel_run at the same time; made on demand, kept until the stream or module goes.
// `options` may be NULL. `program` must stay open. MISMATCH: it was compiled for another profile.
// CONTEXT_LOST: the card dropped the copy to it twice, or for good, as the error's `lost` says;
// load it again.
accel_status_t accel_module_load(accel_device_t *device, const accel_program_t *program,
                                 const accel_module_options_t *options, accel_module_t **out_module,
                                 accel_error_t *error);
// Waits for its launches, and for a thread that shows what they printed. Not to be called by `log`.
void accel_module_unload(accel_module_t *module);
uint64_t accel_module_load_ns(const accel_module_t *module); // what accel_module_load took

// A tensor in host memory or, with `buffer`, in card memory.
typedef struct accel_tensor {
    const char *name;             // of the input or output; NULL: by position
    accel_dtype_t dtype;          // outputs: set
    uint32_t rank;                // outputs: set
    int64_t dims[ACCEL_MAX_RANK]; // outputs: set
    // Inputs: `bytes` bytes at `data`. Outputs: where to, with room for `bytes`; or NULL: `data` is
    // set to memory of the module's, good until its next run or launch in any thread, and `bytes`
    // to its size.
    void *data;
    size_t bytes;           // outputs: set to the size of the result
    accel_buffer_t *buffer; // if not NULL, the tensor lies in it, and `data` must be NULL
    size_t offset;          // in `buffer`; a multiple of 64
} accel_tensor_t;

// Runs the model once and waits. Every input must be given; outputs may be left out (n_outputs 0).
// INVALID: a name, type or shape does not fit; LIMIT: an output does not fit into its room, or the
// heap limit is too low; NO_MEMORY: no card memory to run in at the same time as others;
// CONTEXT_LOST: the run did not end, as the error's `lost` says; of a fault the text names the ONNX
// node.
accel_status_t accel_run(accel_module_t *module, const accel_tensor_t *inputs, uint32_t n_inputs,
                         accel_tensor_t *outputs, uint32_t n_outputs, accel_error_t *error);

// Counters of a run or launch, all cores together.
typedef struct accel_stats {
    const char *node, *op; // ONNX node names and operators; NULL in the total
    uint64_t elements;     // of the node's outputs when static, else 0
    uint64_t hart_instructions;
    uint64_t cycles; // modelled, elapsed
    uint64_t hart_cycles;
    uint64_t engine_cycles[4], engine_issues[4]; // DMA in, DMA out, matrix, vector
    uint64_t dram_bytes;
    uint64_t macs;
    uint64_t host_ns;   // time of a simulated card
    uint64_t fallbacks; // issues that the fast engines left to the reference
} accel_stats_t;
// Of the run or launch that was started last, which is waited for; while no other thread starts
// one. UNSUPPORTED for node stats without the option; NOT_FOUND: no such node.
accel_status_t accel_module_stats(accel_module_t *module, accel_stats_t *out_total);
accel_status_t accel_module_node_stats(accel_module_t *module, uint32_t node,
                                       accel_stats_t *out_stats);

// --- Streams: work in order, without waiting for it ---

// Launches and copies that may be under way at a time, of all streams of a device together.
#define ACCEL_MAX_QUEUED 1024

// Works of different streams overlap: copies with launches, and launches take turns. `options` may
// be NULL. LIMIT: the share is not left on this card. Calls that put work into a
// stream do not wait for it; but while ACCEL_MAX_QUEUED are under way, they wait until some end.
accel_status_t accel_stream_create(accel_device_t *device, const accel_stream_options_t *options,
                                   accel_stream_t **out_stream, accel_error_t *error);
// Waits for its work.
void accel_stream_destroy(accel_stream_t *stream);

// Copies between card memory and host memory from accel_host_alloc. The memory must stay until the
// copy is done. CONTEXT_LOST, here and below: earlier work of the stream failed as the text says;
// this call did nothing, and the stream can be used again.
accel_status_t accel_stream_write(accel_stream_t *stream, accel_buffer_t *buffer, size_t offset,
                                  const void *host, size_t bytes, accel_error_t *error);
accel_status_t accel_stream_read(accel_stream_t *stream, void *host, accel_buffer_t *buffer,
                                 size_t offset, size_t bytes, accel_error_t *error);
accel_status_t accel_stream_copy(accel_stream_t *stream, accel_buffer_t *to, size_t to_offset,
                                 accel_buffer_t *from, size_t from_offset, size_t bytes,
                                 accel_error_t *error);

// Starts the model. All inputs and outputs must be given and lie in card memory or in memory from
// accel_host_alloc; output shapes are read by accel_stream_output. Launches of one module run at
// the same time in different streams; in one stream they queue: of a program of static size up to
// four, then starting another waits for the oldest; of one whose heap may grow one.
// NO_MEMORY: the card has no memory for another stream to run the module in.
accel_status_t accel_stream_launch(accel_stream_t *stream, accel_module_t *module,
                                   const accel_tensor_t *inputs, uint32_t n_inputs,
                                   const accel_tensor_t *outputs, uint32_t n_outputs,
                                   accel_error_t *error);
// The shape of output `index` of the module's last launch in this stream, which is waited for; a
// call that failed to launch it is none. NOT_FOUND: no such output, or not launched in it.
accel_status_t accel_stream_output(accel_stream_t *stream, accel_module_t *module, uint32_t index,
                                   accel_tensor_t *out_tensor, accel_error_t *error);
// As accel_module_stats and _node_stats, of the module's last launch in this stream.
accel_status_t accel_stream_stats(accel_stream_t *stream, accel_module_t *module,
                                  accel_stats_t *out_total);
accel_status_t accel_stream_node_stats(accel_stream_t *stream, accel_module_t *module,
                                       uint32_t node, accel_stats_t *out_stats);
// TIMEOUT: not done within `timeout_ns` (UINT64_MAX: no limit). A failure of the stream's work, of
// a launch or of what an event stands for that it waits for, is reported once, and what followed it
// in the stream was not done; the stream can then be used again.
accel_status_t accel_stream_wait(accel_stream_t *stream, uint64_t timeout_ns, accel_error_t *error);

// A place in a stream: after all that was put into it so far. Other streams of the device can wait
// for it without the host, and any thread with it. When the stream's work failed, every wait for
// the event says so, apart from the stream's own.
accel_status_t accel_event_record(accel_stream_t *stream, accel_event_t **out_event,
                                  accel_error_t *error);
void accel_event_destroy(accel_event_t *event);
accel_status_t accel_event_wait(const accel_event_t *event, uint64_t timeout_ns,
                                accel_error_t *error);
// What is put into the stream from now on begins after the event.
accel_status_t accel_stream_wait_event(accel_stream_t *stream, const accel_event_t *event,
                                       accel_error_t *error);

#ifdef __cplusplus
}
#endif

#endif
