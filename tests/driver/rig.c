// SPDX-License-Identifier: Apache-2.0
#include "tests/driver/rig.h"

#include <time.h>

#include "tests/card/program.h"

#define DATA_BYTES (1u << 20)
#define CODE_BYTES (16u << 10)
#define STACK_AT   0u                // 64 KiB, shared: the programs use none
#define DESC_AT    (64u << 10)       // descriptor of the issue
#define SOURCE_AT  (DESC_AT + 1024u) // its source
#define IBS_AT     (128u << 10)      // RIG_SLOTS of IB_BYTES
#define IB_BYTES   128u
#define ARGS_AT    (256u << 10) // RIG_SLOTS of ARG_BYTES
#define ARG_BYTES  16u          // count, counter
#define PROGRAM_AT 4096u        // from program to program
#define COUNTS_AT  (512u << 10) // RIG_SLOTS counters
#define TIMES_AT   (520u << 10) // RIG_SLOTS of isa_time_t

_Static_assert(ISA_IB_LAUNCH_BYTES + ISA_IB_TIME_BYTES <= IB_BYTES, "a slot's command buffer");

// --- What the card reaches ---

// As a thread that waits for a processor: it does (next to) nothing, and nothing is wrong with it.
static void stay(const rig_t *rig, uint32_t what) {
    struct timespec pause = {.tv_nsec = 20000000};
    while ((LOAD_ACQUIRE(&rig->held) & what) != 0)
        (void)nanosleep(&pause, NULL);
}

static bool read_host(void *user, uint64_t address, void *out_data, uint64_t bytes) {
    const rig_t *rig = user;
    stay(rig, RIG_READS);
    return port_user_dma_read(rig->port, address, out_data, bytes);
}

static bool write_host(void *user, uint64_t address, const void *data, uint64_t bytes) {
    const rig_t *rig = user;
    stay(rig, RIG_WRITES);
    return port_user_dma_write(rig->port, address, data, bytes);
}

static void *map_host(void *user, uint64_t address, bool write, uint64_t *out_bytes) {
    const rig_t *rig = user;
    return port_user_dma_map(rig->port, address, write, out_bytes);
}

static void interrupt(void *user, uint32_t vector) {
    const rig_t *rig = user;
    port_user_msix(rig->port, vector);
}

// --- Card ---

// Any thread.
static void count_late(void *user, port_log_t id, uint64_t a, uint64_t b, uint64_t c) {
    rig_t *rig = user;
    (void)a, (void)b;
    if (id == PORT_LOG_HANG && c == 1)
        (void)ATOMIC_ADD(&rig->n_late, 1u);
    if (rig->on_log != NULL)
        rig->on_log(rig->on_log_user, id);
}

static void open_card(rig_t *rig, bool posted, sim_mode_t mode) {
    memset(rig, 0, sizeof *rig);
    assert_int_equal(port_user_create(count_late, rig, &rig->port), STATUS_OK);
    sim_host_t host = {
        .version = SIM_VERSION,
        .user = rig,
        .dma_read = read_host,
        .dma_write = write_host,
        .dma_map = map_host,
        .msix = interrupt,
        .clock_ns = port_user_clock_ns,
    };
    sim_options_t card = {
        .version = SIM_VERSION,
        .profile = isa_profile_find("edge"),
        .mode = mode,
        .posted = posted,
        .memory_bytes = RIG_MEMORY,
    };
    assert_int_equal(sim_card_plug_as(rig->port, &card, &host, &rig->card), STATUS_OK);
}

static void open_driver(rig_t *rig, port_t *port, const rm_options_t *options) {
    assert_int_equal(rm_card_start(port, options, &rig->rm), STATUS_OK);
    assert_int_equal(rm_client_open(rig->rm, NULL, &rig->admin), STATUS_OK);
}

void rig_open_as(rig_t *rig, bool posted, sim_mode_t mode, const rm_options_t *options) {
    open_card(rig, posted, mode);
    open_driver(rig, port_user_base(rig->port), options);
}

void rig_open_watched(rig_t *rig, bool posted, const rm_options_t *options) {
    open_card(rig, posted, SIM_MODE_FUNCTIONAL);
    assert_int_equal(port_fault_create(port_user_base(rig->port), NULL, NULL, &rig->fault),
                     STATUS_OK);
    open_driver(rig, port_fault_base(rig->fault), options);
}

void rig_open_wrapped(rig_t *rig, port_t *(*wrap)(void *user, port_t *inner), void *user) {
    open_card(rig, true, SIM_MODE_FUNCTIONAL);
    open_driver(rig, wrap(user, port_user_base(rig->port)), NULL);
}

void rig_open(rig_t *rig, bool posted, const rm_options_t *options) {
    rig_open_as(rig, posted, SIM_MODE_FUNCTIONAL, options);
}

void rig_close(rig_t *rig) {
    rm_client_close(rig->admin);
    rm_card_stop(rig->rm);
    if (rig->fault != NULL) {
        port_fault_books_t books;
        port_fault_books(rig->fault, &books);
        assert_string_equal(books.first, "");
        assert_int_equal(port_fault_tell_open(rig->fault), 0);
    }
    port_user_detach(rig->port);
    rig->card.destroy(rig->card.self);
    port_fault_destroy(rig->fault);
    port_user_destroy(rig->port);
}

// --- Requests ---

status_t rig_ask(rm_client_t *client, void *request, size_t bytes, uint16_t op) {
    accel_req_t *head = request;
    head->size = (uint32_t)bytes;
    head->op = op;
    head->version = ACCEL_UAPI_VERSION;
    status_t status = rm_request(client, request, bytes);
    assert_int_equal(head->status, status);
    return status;
}

uint32_t rig_context(rig_user_t *user, uint32_t service_class, uint32_t share) {
    accel_req_ctx_create_t request = {
        .vm = user->vm, .service_class = service_class, .share = share};
    assert_int_equal(ASK(user->client, request, CTX_CREATE), STATUS_OK);
    return request.handle;
}

uint32_t rig_sync(rig_user_t *user) {
    accel_req_sync_t request = {0};
    assert_int_equal(ASK(user->client, request, SYNC_CREATE), STATUS_OK);
    return request.handle;
}

status_t rig_wait(rig_user_t *user, uint32_t sync, uint64_t point, uint64_t timeout_ns) {
    accel_req_sync_t request = {.handle = sync, .value = point, .timeout_ns = timeout_ns};
    return ASK(user->client, request, SYNC_WAIT);
}

uint64_t rig_value(rig_user_t *user, uint32_t sync) {
    accel_req_sync_t request = {.handle = sync};
    assert_int_equal(ASK(user->client, request, SYNC_QUERY), STATUS_OK);
    return request.value;
}

status_t rig_signal(rig_user_t *user, uint32_t sync, uint64_t point) {
    accel_req_sync_t request = {.handle = sync, .value = point};
    return ASK(user->client, request, SYNC_SIGNAL);
}

status_t rig_destroy(rig_user_t *user, uint16_t op, uint32_t handle) {
    accel_req_handle_t request = {.handle = handle};
    return rig_ask(user->client, &request, sizeof request, op);
}

accel_req_ctx_query_t rig_query(rig_user_t *user, uint32_t context) {
    accel_req_ctx_query_t request = {.handle = context};
    assert_int_equal(ASK(user->client, request, CTX_QUERY), STATUS_OK);
    return request;
}

accel_req_telemetry_t rig_telemetry(rig_t *rig) {
    accel_req_telemetry_t request = {0};
    assert_int_equal(ASK(rig->admin, request, TELEMETRY), STATUS_OK);
    return request;
}

status_t rig_inject(rig_t *rig, uint32_t what, uint64_t argument) {
    accel_req_inject_t request = {.what = what, .argument = argument};
    return ASK(rig->admin, request, INJECT);
}

uint32_t rig_events(rig_t *rig, uint32_t kind, accel_event_record_t *out_last) {
    accel_event_record_t records[64];
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = 64};
    uint32_t n = 0;
    do {
        assert_int_equal(ASK(rig->admin, request, EVENTS), STATUS_OK);
        for (uint32_t i = 0; i < request.count; i++) {
            if (records[i].kind != kind)
                continue;
            n++;
            if (out_last != NULL)
                *out_last = records[i];
        }
    } while (request.count == 64);
    return n;
}

// --- Users ---

static uint32_t bind_memory(rig_user_t *user, const void *memory, uint64_t bytes, uint64_t va,
                            uint32_t prot) {
    accel_req_bo_from_user_t bo = {.head.flags =
                                       prot == ACCEL_PROT_EXECUTE ? ACCEL_FROM_USER_READ_ONLY : 0,
                                   .address = (uint64_t)(uintptr_t)memory,
                                   .bytes = bytes};
    assert_int_equal(ASK(user->client, bo, BO_FROM_USER), STATUS_OK);
    accel_req_bind_t bind = {
        .vm = user->vm, .bo = bo.handle, .prot = prot, .va = va, .bytes = bytes};
    assert_int_equal(ASK(user->client, bind, BIND), STATUS_OK);
    return bo.handle;
}

static void place(rig_user_t *user, rig_program_t which, const program_t *program) {
    memcpy(user->code + which * PROGRAM_AT, program->words, program->n * 4);
}

static void write_programs(rig_user_t *user) {
    program_t work = {0}, spin = {0}, wild = {0}, heap = {0};
    ld(&work, S2, A0, 0);
    ld(&work, S3, A0, 8);
    li(&work, T0, RIG_DATA_VA + DESC_AT);
    cfg_load(&work, XA_DMAI, T0);
    li(&work, T1, RIG_DATA_VA + SOURCE_AT);
    li(&work, T2, ISA_LM_BASE + 4096);
    uint32_t loop = work.n;
    issue(&work, XA_I_DMA_IN, T3, T2, T1, ZERO);
    addi(&work, S2, S2, -1);
    bne(&work, S2, ZERO, loop);
    wait_ticket(&work, T3, XA_DMAI);
    addi(&work, T4, ZERO, 1);
    amoadd(&work, ZERO, T4, S3);
    finish(&work, 0);
    ld(&spin, S3, A0, 8);
    addi(&spin, T0, ZERO, 1);
    amoadd(&spin, ZERO, T0, S3);
    loop = spin.n;
    bne(&spin, T0, ZERO, loop);
    li(&wild, T0, ISA_VA_IO + 0x7000000);
    sd(&wild, ZERO, T0, 0);
    ld(&heap, S3, A0, 8);
    li(&heap, A0, 4096);
    call(&heap, ISA_ECALL_HEAP);
    addi(&heap, T0, ZERO, 1);
    amoadd(&heap, ZERO, T0, S3);
    finish(&heap, 0);
    place(user, RIG_WORK, &work);
    place(user, RIG_SPIN, &spin);
    place(user, RIG_WILD, &wild);
    place(user, RIG_HEAP, &heap);
}

static void write_desc(rig_user_t *user) {
    xa_desc_t desc = {.dma = {.src_type = 1,
                              .dst_type = 1,
                              .count = {1, 1, 1, 1, 1},
                              .src_stride = {4, 4, 4, 4, 4},
                              .dst_stride = {4, 4, 4, 4, 4}}};
    memcpy(user->data + DESC_AT, &desc, sizeof desc);
}

void rig_user_open(rig_t *rig, rig_user_t *user) {
    rm_client_options_t options = {.pid = 4711, .name = "rig", .is_lazy = rig->is_lazy};
    *user = (rig_user_t){.rig = rig};
    user->data = aligned_alloc(4096, DATA_BYTES);
    user->code = aligned_alloc(4096, CODE_BYTES);
    assert_true(user->data != NULL && user->code != NULL);
    memset(user->data, 0, DATA_BYTES);
    memset(user->code, 0, CODE_BYTES);
    write_programs(user);
    write_desc(user);
    assert_int_equal(rm_client_open(rig->rm, &options, &user->client), STATUS_OK);
    accel_req_handle_t vm = {0};
    assert_int_equal(ASK(user->client, vm, VM_CREATE), STATUS_OK);
    user->vm = vm.handle;
    user->data_bo = bind_memory(user, user->data, DATA_BYTES, RIG_DATA_VA, ACCEL_PROT_WRITE);
    user->code_bo = bind_memory(user, user->code, CODE_BYTES, RIG_CODE_VA, ACCEL_PROT_EXECUTE);
}

void rig_user_close(rig_user_t *user) {
    rm_client_close(user->client);
    free(user->data);
    free(user->code);
}

// --- Work ---

static uint64_t write_slot(rig_user_t *user, uint32_t slot, const rig_job_t *job) {
    uint64_t args_at = ARGS_AT + slot * ARG_BYTES, ib_at = IBS_AT + slot * IB_BYTES;
    uint64_t args[2] = {job->count, RIG_DATA_VA + COUNTS_AT + slot * 8};
    isa_ib_launch_t launch = {
        .head = {.op = ISA_IB_LAUNCH, .bytes = ISA_IB_LAUNCH_BYTES},
        .entry = RIG_CODE_VA + job->program * PROGRAM_AT,
        .args = RIG_DATA_VA + args_at,
        .stack = RIG_DATA_VA + STACK_AT,
        .stack_bytes = 8192,
        .cores = 1,
        .launch = slot,
    };
    memcpy(user->data + args_at, args, sizeof args);
    isa_ib_time_t time = {.head = {.op = ISA_IB_TIME, .bytes = ISA_IB_TIME_BYTES},
                          .va = RIG_DATA_VA + TIMES_AT + slot * sizeof(isa_time_t)};
    memcpy(user->data + ib_at, &launch, sizeof launch);
    memcpy(user->data + ib_at + sizeof launch, &time, sizeof time);
    return RIG_DATA_VA + ib_at;
}

status_t rig_submit(rig_user_t *user, uint32_t context, const rig_job_t *job, uint32_t *out_slot) {
    uint32_t slot = (ATOMIC_ADD(&user->n_slots, 1u) - 1) % RIG_SLOTS;
    accel_req_submit_t request = {
        .head.flags = job->program == RIG_HEAP && !job->unmarked ? ACCEL_SUBMIT_MAY_SUSPEND : 0,
        .ctx = context,
        .node = ACCEL_NODE_COMPUTE,
        .n_in = job->gate != 0,
        .n_out = job->done != 0,
        .ib = write_slot(user, slot, job),
        .bytes = ISA_IB_LAUNCH_BYTES + (job->timed ? ISA_IB_TIME_BYTES : 0),
        .timeout_ns = job->timeout_ns,
        .in = {{.sync = job->gate, .value = job->gate_point}},
        .out = {{.sync = job->done, .value = job->point}},
    };
    if (out_slot != NULL)
        *out_slot = slot;
    return ASK(user->client, request, SUBMIT);
}

status_t rig_resume(rig_user_t *user, uint32_t context, uint32_t slot, uint32_t done,
                    uint64_t point) {
    isa_ib_resume_t resume = {.head = {.op = ISA_IB_RESUME, .bytes = ISA_IB_RESUME_BYTES},
                              .launch = slot};
    uint32_t own = (ATOMIC_ADD(&user->n_slots, 1u) - 1) % RIG_SLOTS;
    memcpy(user->data + IBS_AT + own * IB_BYTES, &resume, sizeof resume);
    accel_req_submit_t request = {
        .head.flags = ACCEL_SUBMIT_RESUME,
        .ctx = context,
        .node = ACCEL_NODE_COMPUTE,
        .n_out = done != 0,
        .ib = RIG_DATA_VA + IBS_AT + own * IB_BYTES,
        .bytes = ISA_IB_RESUME_BYTES,
        .out = {{.sync = done, .value = point}},
    };
    return ASK(user->client, request, SUBMIT);
}

uint64_t rig_count(const rig_user_t *user, uint32_t slot) {
    const uint64_t *counters = (const uint64_t *)(const void *)(user->data + COUNTS_AT);
    return LOAD_ACQUIRE(counters + slot);
}

uint64_t rig_ended_ns(const rig_user_t *user, uint32_t slot) {
    const isa_time_t *times = (const isa_time_t *)(const void *)(user->data + TIMES_AT);
    return LOAD_ACQUIRE(&times[slot].clock_ns);
}

void rig_spin(rig_user_t *user, uint32_t context, uint32_t done, uint64_t point) {
    rig_job_t spin = {.program = RIG_SPIN, .done = done, .point = point};
    uint32_t slot;
    assert_int_equal(rig_submit(user, context, &spin, &slot), STATUS_OK);
    RIG_UNTIL(rig_count(user, slot) == 1);
}

status_t rig_copy(rig_user_t *user, uint32_t context, uint64_t to, uint64_t from, uint64_t bytes,
                  uint32_t done, uint64_t point) {
    accel_req_submit_t request = {.ctx = context,
                                  .node = ACCEL_NODE_COPY,
                                  .dst = to,
                                  .src = from,
                                  .bytes = bytes,
                                  .rows = 1,
                                  .n_out = 1,
                                  .out = {{.sync = done, .value = point}}};
    return ASK(user->client, request, SUBMIT);
}

uint64_t rig_now_ns(void) { return port_user_clock_ns(NULL); }

void rig_pause(void) {
    struct timespec pause = {.tv_nsec = 200000};
    (void)nanosleep(&pause, NULL);
}

// --- Fixtures ---

int rig_set_up(void **state, bool posted, bool watched, const rm_options_t *options) {
    rig_fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    if (watched)
        rig_open_watched(&f->rig, posted, options);
    else
        rig_open(&f->rig, posted, options);
    rig_user_open(&f->rig, &f->user);
    *state = f;
    return 0;
}

int rig_tear_down(void **state) {
    rig_fixture_t *f = *state;
    rig_user_close(&f->user);
    rig_close(&f->rig);
    free(f);
    return 0;
}
