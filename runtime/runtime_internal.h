// SPDX-License-Identifier: Apache-2.0
// What the public handles are. Private to this folder.
#ifndef RUNTIME_RUNTIME_INTERNAL_H
#define RUNTIME_RUNTIME_INTERNAL_H

#include "driver/uapi/accel_uapi.h"
#include "isa/card.h"
#include "isa/image.h"
#include "isa/packet.h"
#include "isa/program.h"
#include "runtime/client.h"
#include "support/compiler.h"
#include "support/file.h"
#include "support/list.h"

// --- Errors ---

accel_status_t rt_fail(accel_error_t *error, accel_status_t status, const char *format, ...)
    PRINTF_LIKE(3, 4);
// With the driver's reason appended; `status` is not OK.
accel_status_t rt_fail_status(accel_error_t *error, status_t status, const char *what);
// The same, and says of a lost device how it was lost.
accel_status_t rt_fail_device(const accel_device_t *device, accel_error_t *error, status_t status,
                              const char *what);

#define RT_TRY(expr)                                                                               \
    do {                                                                                           \
        accel_status_t rt_status_ = (expr);                                                        \
        if (UNLIKELY(rt_status_ != ACCEL_OK))                                                      \
            return rt_status_;                                                                     \
    } while (0)

// --- Programs ---

struct accel_program {
    file_map_t file;
    isa_image_t image;
    char *path;
    uint64_t open_ns, hash_ns;
};

// --- Devices ---

// A buffer of the driver's that is bound in the address space.
typedef struct rt_range {
    uint32_t bo;
    uint64_t va, bytes;
} rt_range_t;

// Addresses in use, sorted.
typedef struct rt_span {
    uint64_t first, end;
} rt_span_t;

typedef struct rt_host {
    list_node_t link;
    uint8_t *memory;
    rt_range_t range;
} rt_host_t;

struct accel_device {
    rt_client_t client;
    accel_req_info_t info;
    uint32_t vm;
    // Under the client's lock.
    rt_span_t *spans;
    size_t n_spans, spans_capacity;
    list_node_t hosts; // accel_host_alloc
    list_node_t modules;
    uint32_t launches; // numbers given
};

struct accel_buffer {
    accel_device_t *device;
    rt_range_t range;
    size_t bytes;
};

// --- device.c, request.c: the driver's requests ---

// Fills in the header and makes the request.
status_t rt_request(accel_device_t *device, void *request, size_t bytes, uint16_t op);
// Fills in a header, for rt_batch.
accel_req_t *rt_head(void *request, size_t bytes, uint16_t op, uint32_t flags);
// Requests with their headers, in order until one fails; *out_done: those that succeeded.
status_t rt_batch(accel_device_t *device, accel_req_t *const *requests, uint32_t n_requests,
                  uint32_t *out_done);
status_t rt_destroy(accel_device_t *device, uint16_t op, uint32_t handle);
status_t rt_bind(accel_device_t *device, uint32_t bo, uint64_t offset, uint64_t va, uint64_t bytes,
                 uint32_t prot);
status_t rt_unbind(accel_device_t *device, uint64_t va);
status_t rt_bo_create(accel_device_t *device, uint64_t bytes, uint32_t *out_bo);
// `flags`: ACCEL_FROM_USER_*.
status_t rt_bo_from_user(accel_device_t *device, const void *memory, uint64_t bytes, uint32_t flags,
                         uint32_t *out_bo);

// --- memory.c ---

// Takes `bytes` of the device's addresses, from [first, end) or, when that is full, from the range
// of inputs and outputs. Where a page of 2 MiB fits in, the address is congruent to `like`.
status_t rt_va_take(accel_device_t *device, uint64_t first, uint64_t end, uint64_t bytes,
                    uint64_t like, uint64_t *out_va);
void rt_va_give(accel_device_t *device, uint64_t va);
// Card memory, bound and writable.
status_t rt_card_alloc(accel_device_t *device, uint64_t first, uint64_t end, uint64_t bytes,
                       rt_range_t *out_range);
// Host memory of the caller's, pinned and bound, to be read. UNSUPPORTED: the driver cannot pin it,
// and ACCEL_FROM_USER_MAY_COPY is not in `flags`.
status_t rt_pin(accel_device_t *device, const void *memory, uint64_t bytes, uint32_t flags,
                uint64_t first, uint64_t end, rt_range_t *out_range);
// Card memory with a copy of `data`, bound to be read. Waits for the stream.
status_t rt_card_copy(accel_device_t *device, struct accel_stream *stream, const void *data,
                      uint64_t bytes, uint64_t first, uint64_t end, rt_range_t *out_range);
// Undoes each of them; harmless on an empty range.
void rt_range_free(accel_device_t *device, rt_range_t *range);
// Device address of host memory from accel_host_alloc, or 0.
uint64_t rt_host_va(accel_device_t *device, const void *memory, uint64_t bytes);

// --- Streams ---

struct accel_stream {
    accel_device_t *device;
    uint32_t ctx, sync;
    uint64_t point;      // last one submitted
    uint64_t reached;    // known to be: waiting for it asks nobody
    uint64_t generation; // moves when a lost context is replaced
    uint32_t n_waits;
    accel_sync_point_t waits[ACCEL_SUBMIT_MAX_SYNCS]; // for the next submission
};

struct accel_event {
    accel_stream_t *stream;
    uint64_t point, generation;
};

status_t rt_stream_init(accel_device_t *device, accel_stream_t *out_stream);
void rt_stream_deinit(accel_stream_t *stream);
// Fills in context and points and submits. STATUS_BUSY is waited out. `wait`: the caller is about
// to wait for it, and the way to the driver is gone once for both.
status_t rt_stream_submit(accel_stream_t *stream, accel_req_submit_t *request, uint32_t flags,
                          bool wait);
status_t rt_stream_copy(accel_stream_t *stream, uint64_t to, uint64_t from, uint64_t bytes,
                        bool wait);
// Grows heaps and explains faults on the way.
accel_status_t rt_stream_wait(accel_stream_t *stream, uint64_t point, uint64_t timeout_ns,
                              accel_error_t *error);

// --- Modules ---

#define RT_LOG_BYTES 65536u
#define RT_MAX_IO    4096u

// Where one input or output is during a launch.
typedef struct rt_place {
    uint64_t va, bytes;
    void *host;    // `staging`, or what the caller gave; NULL: in card memory
    void *staging; // the module's own, from accel_host_alloc
    size_t staging_bytes;
} rt_place_t;

struct accel_module {
    list_node_t link; // of the device
    accel_device_t *device;
    const accel_program_t *program;
    accel_module_options_t options;
    uint64_t load_ns;
    int64_t *symbols; // values of the last launch

    rt_range_t image; // card memory; its segments are bound one by one
    uint64_t image_va, image_bytes;
    uint8_t *image_copy; // relocated, in host memory; writable segments are copied from it
    uint64_t segments[ISA_MAX_SEGMENTS]; // bound addresses, 0: not
    rt_range_t weights;
    uint32_t stack_bo;
    uint64_t stack_va, stack_bytes, stack_stride;
    uint32_t n_stacks; // bound
    rt_range_t sync_page;
    uint64_t heap_va, heap_reserved, heap_bytes;
    rt_range_t heaps[48]; // pieces, each at least as large as all before it
    uint32_t n_heaps;
    uint64_t heap_refused; // what the program asked for in vain

    uint8_t *control; // command buffers, argument block, log, statistics; host memory
    uint64_t control_va;
    uint32_t ib_bytes;
    isa_args_t *args;
    isa_log_t *log;
    isa_node_stats_t *stats;
    uint32_t n_stats;

    rt_place_t *places; // inputs, then outputs
    // What the caller gave, by index; kept so that runs allocate nothing.
    const accel_tensor_t **by_index;
    accel_tensor_t **outputs_by_index;
    accel_stream_t own; // of accel_run
    bool has_own;
    // The launch that is under way, or was last.
    accel_stream_t *stream;
    uint64_t point, generation;
    uint32_t launch;
};

// control.c: layout of `control` and the command buffers in it.
accel_status_t rt_control_create(accel_module_t *module, accel_error_t *error);
// Device address and bytes of the command buffer that goes on with a suspended launch.
uint64_t rt_control_resume(accel_module_t *module, uint64_t result, uint32_t *out_bytes);
// Before a launch: statistics, log and launch number.
void rt_control_reset(accel_module_t *module);

// heap.c
status_t rt_heap_commit(accel_module_t *module, uint64_t bytes);
void rt_heap_free(accel_module_t *module);
// Gives a suspended launch what it needs, or refuses.
status_t rt_heap_answer(accel_module_t *module, uint64_t need, uint64_t *out_result);

// shape.c
// Bytes of a tensor; LIMIT on overflow.
accel_status_t rt_tensor_bytes(accel_dtype_t dtype, uint32_t rank, const int64_t *dims,
                               uint64_t *out_bytes);
// Checks an input against its declaration and the symbols seen so far (-1: unseen), adds to them.
accel_status_t rt_shape_input(const accel_module_t *module, uint32_t index,
                              const accel_tensor_t *tensor, int64_t *symbols, accel_error_t *error);
accel_status_t rt_shape_symbols(const accel_module_t *module, const int64_t *symbols,
                                accel_error_t *error);
// False: only the program knows.
bool rt_shape_output(const accel_module_t *module, uint32_t index, const int64_t *symbols,
                     int64_t *out_dims);
const isa_io_t *rt_io(const accel_module_t *module, uint32_t index); // outputs follow inputs
const char *rt_io_name(const accel_module_t *module, uint32_t index);

// launch.c
// The index of a tensor that is the caller's `position`th. NOT_FOUND.
accel_status_t rt_find_io(const accel_module_t *module, const accel_tensor_t *tensor,
                          uint32_t position, bool is_output, uint32_t *out_index,
                          accel_error_t *error);
// Checks the inputs and fills in the argument block but for addresses.
accel_status_t rt_launch_inputs(accel_module_t *module, const accel_tensor_t *inputs,
                                uint32_t n_inputs, const accel_tensor_t **out_by_index,
                                accel_error_t *error);
// `wait`: rt_module_wait follows at once.
accel_status_t rt_launch(accel_module_t *module, accel_stream_t *stream, bool wait,
                         accel_error_t *error);
accel_status_t rt_module_wait(accel_module_t *module, accel_error_t *error);
// Shape and size of an output as the program left them.
accel_status_t rt_launch_output(accel_module_t *module, uint32_t index, accel_tensor_t *out_tensor,
                                uint64_t *out_va, accel_error_t *error);

// explain.c
accel_status_t rt_explain(accel_device_t *device, const isa_fault_record_t *fault,
                          accel_error_t *error);

#endif
