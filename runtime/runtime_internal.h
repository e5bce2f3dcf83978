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
// Puts "what path: " before a text that is there; status and reason stay.
void rt_fail_in(accel_error_t *error, const char *what, const char *path);
// With the driver's reason appended; `status` is not OK.
accel_status_t rt_fail_status(accel_error_t *error, status_t status, const char *what);
// A text that is put together in the frame, cut off where an error's would be: who reports a want
// of memory must not need any.
typedef struct rt_text {
    size_t length;
    char text[sizeof(((accel_error_t *)0)->text)];
} rt_text_t;
void rt_text_add(rt_text_t *text, const char *format, ...) PRINTF_LIKE(2, 3);
// The same, and says of a lost device how it was lost.
accel_status_t rt_fail_device(accel_device_t *device, accel_error_t *error, status_t status,
                              const char *what);

// Of a device that is being opened: there is none yet that could be closed.
accel_status_t rt_fail_open(accel_device_t *device, accel_error_t *error, status_t status);

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
    void *scratch; // what markers copy around in; from accel_host_alloc
    uint64_t scratch_va;
    // Under the client's lock.
    rt_span_t *spans;
    size_t n_spans, spans_capacity;
    list_node_t hosts; // accel_host_alloc
    list_node_t modules;
    list_node_t lanes;
    list_node_t dead;  // lanes whose timeline others' submissions still name
    uint32_t launches; // numbers given
    uint64_t round;    // of looks at all lanes
};

struct accel_buffer {
    accel_device_t *device;
    rt_range_t range;
    size_t bytes;
};

static inline void rt_lock(accel_device_t *device) {
    device->client.ops->lock(device->client.self);
}
static inline void rt_unlock(accel_device_t *device) {
    device->client.ops->unlock(device->client.self);
}
// Both under the lock, which rt_sleep gives up meanwhile.
static inline void rt_sleep(accel_device_t *device) {
    device->client.ops->sleep(device->client.self);
}
static inline void rt_wake(accel_device_t *device) {
    device->client.ops->wake(device->client.self);
}

// --- device.c: the driver's requests ---

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
// Card memory with a copy of `data`, bound to be read; by rt_stream_move.
accel_status_t rt_card_copy(accel_device_t *device, struct accel_stream *stream, const void *data,
                            uint64_t bytes, uint64_t first, uint64_t end, rt_range_t *out_range,
                            accel_error_t *error);
// Undoes each of them; harmless on an empty range.
void rt_range_free(accel_device_t *device, rt_range_t *range);
// Device address of host memory from accel_host_alloc, or 0.
uint64_t rt_host_va(accel_device_t *device, const void *memory, uint64_t bytes);

// --- Lanes: a context and its timeline ---

// A stream whose context was lost goes on in another lane; events and launches keep the one that
// they were made in. Destroyed when its last user lets go of it.
typedef struct rt_lane {
    // Under the client's lock.
    list_node_t link; // of the device
    uint32_t users;
    uint64_t seen;    // round of the last look at it
    bool grows;       // a launch that may suspend was submitted
    bool is_answered; // somebody is giving its suspended launch memory; its end wakes
    bool is_lost;     // and `error` tells why
    accel_error_t error;
    uint32_t sync; // constant
    // Atomic.
    uint32_t ctx;     // 0: at its end
    uint32_t depends; // not 0: its work may wait for other lanes'
} rt_lane_t;

status_t rt_lane_create(accel_device_t *device, const accel_stream_options_t *options,
                        rt_lane_t **out_lane);
// Under the client's lock, which it may give up meanwhile: until nobody gives its suspended launch
// memory, and so uses the instance that this one is of.
void rt_lane_settle(accel_device_t *device, const rt_lane_t *lane);
// Nothing more is submitted in it: frees its context and lets go of it.
void rt_lane_retire(accel_device_t *device, rt_lane_t *lane);
// Both under the client's lock; true from the second: rt_lane_free is the caller's duty, without.
void rt_lane_hold(rt_lane_t *lane);
bool rt_lane_drop(rt_lane_t *lane);
void rt_lane_free(accel_device_t *device, rt_lane_t *lane);
void rt_lane_release(accel_device_t *device, rt_lane_t *lane); // drop and free
void rt_lanes_bury(accel_device_t *device);                    // the dead ones, where possible
// Until the point is reached, growing heaps on the way. A lost lane's reason, to each who asks.
accel_status_t rt_lane_wait(accel_device_t *device, rt_lane_t *lane, uint64_t point,
                            uint64_t timeout_ns, accel_error_t *error);
// Why it was lost.
accel_status_t rt_lane_why(accel_device_t *device, rt_lane_t *lane, accel_error_t *error);
// STATUS_BUSY is waited out; `point` is the last one submitted. `reached`, if not NULL: the point
// of the submission, if it was reached on the same way.
status_t rt_lane_submit(accel_device_t *device, rt_lane_t *lane, uint64_t point,
                        accel_req_submit_t *request, uint32_t flags, uint64_t *reached);

// --- Streams ---

typedef struct rt_wait {
    rt_lane_t *lane; // held
    uint64_t point;
} rt_wait_t;

struct accel_stream {
    accel_device_t *device;
    accel_stream_options_t options;
    rt_lane_t *lane;
    uint64_t point;   // last one submitted in it
    uint64_t reached; // known to be: waiting for it asks nobody
    uint32_t n_waits;
    rt_wait_t waits[ACCEL_SUBMIT_MAX_SYNCS]; // for the next submission
};

struct accel_event {
    accel_device_t *device;
    rt_lane_t *lane; // held
    uint64_t point;
};

accel_status_t rt_stream_check(const accel_stream_options_t *options, accel_error_t *error);
status_t rt_stream_init(accel_device_t *device, const accel_stream_options_t *options,
                        accel_stream_t *out_stream);
void rt_stream_deinit(accel_stream_t *stream);
// A lost context that could not be replaced then is now.
status_t rt_stream_ready(accel_stream_t *stream);
// Fills in context and points and submits. `wait`: the caller is about to wait for it, and the way
// to the driver is gone once for both.
status_t rt_stream_submit(accel_stream_t *stream, accel_req_submit_t *request, uint32_t flags,
                          bool wait);
status_t rt_stream_copy(accel_stream_t *stream, uint64_t to, uint64_t from, uint64_t bytes,
                        bool wait);
// A copy that a call of the user's needs and he knows nothing of, in a stream with no other work on
// its way; waited for. A context that the card took meanwhile is replaced and the copy made again,
// once.
accel_status_t rt_stream_move(accel_stream_t *stream, uint64_t to, uint64_t from, uint64_t bytes,
                              accel_error_t *error);
// Waits for a point of the present lane; a lost one is explained and replaced.
accel_status_t rt_stream_wait(accel_stream_t *stream, uint64_t point, uint64_t timeout_ns,
                              accel_error_t *error);
// What to say when submitting failed; after CONTEXT_LOST the stream is usable again.
accel_status_t rt_stream_failed(accel_stream_t *stream, status_t status, const char *what,
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

// Launches of one instance that may be under way at the same time.
#define RT_QUEUED 4u

// One of them: what it is given and what it leaves behind. Made when first needed, then used again.
typedef struct rt_launch {
    uint8_t *control; // command buffers, argument block, log, statistics; host memory
    uint64_t control_va;
    uint32_t ib_bytes;
    isa_args_t *args;
    isa_log_t *log;
    isa_node_stats_t *stats;
    rt_place_t *places; // inputs, then outputs
    int64_t *symbols;   // values
    bool is_collected;  // it was waited for, and what it printed shown
    // Under the client's lock.
    uint64_t point;        // in the instance's lane; 0: of no use there any more
    uint32_t number;       // for fault records
    uint32_t tenant;       // the instance's then
    uint64_t heap_refused; // what the program asked for in vain
} rt_launch_t;

// One place to run a module in: what is written while it runs. The text is bound once an instance,
// since data is found relative to it, but lies on the card once.
typedef struct rt_instance {
    list_node_t link; // of the module
    accel_module_t *module;
    // Constant once made.
    uint64_t image_va;
    uint64_t segments[ISA_MAX_SEGMENTS]; // bound addresses, 0: not
    uint32_t data_bo;                    // card memory of the writable segments
    uint8_t *data_copy;                  // what they hold when a launch starts; host memory
    uint64_t data_copy_va;
    uint32_t stack_bo;
    uint64_t stack_va, stack_bytes, stack_stride;
    uint32_t n_stacks; // bound
    rt_range_t sync_page;
    accel_stream_t own; // of accel_run
    // Of the stream whose thread it is, or of whoever gives its launch memory.
    uint64_t heap_va, heap_reserved, heap_bytes;
    rt_range_t heaps[48]; // pieces, each at least as large as all before it
    uint32_t n_heaps;
    // What the caller gave, by index; kept so that runs allocate nothing.
    const accel_tensor_t **by_index;
    accel_tensor_t **outputs_by_index;
    // Taken under the client's lock, given back (NULL: anybody's) without.
    accel_stream_t *stream;
    // Under the client's lock.
    rt_lane_t *lane; // of the launches under way, held; NULL: none
    rt_launch_t launches[RT_QUEUED];
    rt_launch_t *last; // of the launches; NULL: none
    uint32_t tenant;   // counts those who took it
    bool is_held;      // its stream's thread collects it; its end wakes
} rt_instance_t;

struct accel_module {
    list_node_t link; // of the device
    accel_device_t *device;
    const accel_program_t *program;
    accel_module_options_t options;
    uint64_t load_ns;
    uint64_t image_bytes;
    uint32_t image_bo;             // card memory of what is not writable
    uint64_t data_first, data_end; // pages of the writable segments
    rt_range_t weights;
    uint32_t n_stats;
    // Under the client's lock.
    list_node_t instances;
    uint32_t n_instances;
    rt_instance_t *last; // launched
};

// instance.c
accel_status_t rt_instance_create(accel_module_t *module, rt_instance_t **out_instance,
                                  accel_error_t *error);
void rt_instances_destroy(accel_module_t *module);
// The stream's instance, or a free one, which becomes the stream's, or a new one. `stream` NULL:
// one for accel_run, until it is given back.
accel_status_t rt_instance_take(accel_module_t *module, accel_stream_t *stream,
                                rt_instance_t **out_instance, accel_error_t *error);
void rt_instance_give(rt_instance_t *instance);
// The stream's; NULL: nothing was launched in it.
rt_instance_t *rt_instance_find(accel_module_t *module, const accel_stream_t *stream);
// For all that follows `stream` is the instance's.
// A launch to be filled in: one that is over, or the oldest, which is waited for. In a stream not
// the last one: what it left is good until another was submitted.
accel_status_t rt_instance_next(rt_instance_t *instance, accel_stream_t *stream,
                                rt_launch_t **out_launch, accel_error_t *error);
// Waits for all its launches and shows what they printed.
accel_status_t rt_instance_wait(rt_instance_t *instance, accel_stream_t *stream,
                                accel_error_t *error);
// Waits for them in any thread, whatever became of them, and shows nothing.
accel_status_t rt_instance_join(rt_instance_t *instance);
// All launches of a lane that is no longer the stream's are over.
void rt_instance_collect(rt_instance_t *instance);
// Takes in the launches of the stream, all of which ended; `end`: its lane goes.
void rt_instances_collect(accel_stream_t *stream, bool end);
// The stream goes: its instances are anybody's.
void rt_instances_forget(accel_stream_t *stream);

// image.c
accel_status_t rt_image_load(accel_module_t *module, accel_stream_t *via, accel_error_t *error);
void rt_image_unload(accel_module_t *module);
accel_status_t rt_image_bind(rt_instance_t *instance, accel_error_t *error);
void rt_image_unbind(rt_instance_t *instance);

// control.c: layout of a launch's `control` and the command buffers in it.
accel_status_t rt_control_create(const rt_instance_t *instance, rt_launch_t *launch,
                                 accel_error_t *error);
// Device address and bytes of the command buffer that goes on with it when it is suspended.
uint64_t rt_control_resume(rt_launch_t *launch, uint64_t result, uint32_t *out_bytes);
// Before it is submitted under that number: statistics and log.
void rt_control_reset(const rt_instance_t *instance, rt_launch_t *launch, uint32_t number);

// heap.c
status_t rt_heap_commit(rt_instance_t *instance, uint64_t bytes);
void rt_heap_free(rt_instance_t *instance);
// Gives a suspended launch what it needs, or refuses.
status_t rt_heap_answer(rt_instance_t *instance, rt_launch_t *launch, uint64_t need,
                        uint64_t *out_result);

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
// Checks the inputs and fills in the argument block but for addresses. Nothing of it is under way.
accel_status_t rt_launch_inputs(rt_instance_t *instance, rt_launch_t *launch,
                                const accel_tensor_t *inputs, uint32_t n_inputs,
                                accel_error_t *error);
// `wait`: rt_instance_wait follows at once.
accel_status_t rt_launch_submit(rt_instance_t *instance, rt_launch_t *launch,
                                accel_stream_t *stream, bool wait, accel_error_t *error);
// Shape and size of an output as the program left them.
accel_status_t rt_launch_output(const rt_instance_t *instance, const rt_launch_t *launch,
                                uint32_t index, accel_tensor_t *out_tensor, uint64_t *out_va,
                                accel_error_t *error);

// explain.c: ISA_FAULT_* in words; never NULL.
const char *rt_fault_text(uint64_t cause);
// Why a context was lost, as a sentence that names the ONNX node and says what to do.
accel_status_t rt_explain(accel_device_t *device, const rt_lane_t *lane,
                          const accel_req_ctx_query_t *query, accel_error_t *error);

#endif
