// SPDX-License-Identifier: Apache-2.0
// The public API on the card in this process, with each allocation, mapping and thread below it
// failed: an error that says something, nothing kept in the end, the same call works afterwards.
// Arguments: the folder of the images, the number of an operation.
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "accel/accel.h"
#include "tests/card/check.h"
#include "tests/fault/alloc_wrap.h"

#define ROWS       64
#define ROW_BYTES  16u
#define DATA_BYTES (ROWS * ROW_BYTES)

typedef struct user {
    const char *folder;
    accel_program_t *program;
    accel_device_t *device;
    accel_module_t *module;
    accel_error_t error;
} user_t;

typedef struct operation {
    const char *name, *image;
    bool device, module; // what must be there before
    accel_status_t (*act)(user_t *u);
} operation_t;

// --- Operations; each undoes what it did, also when it failed ---

static accel_status_t open_program(const user_t *u, const char *image,
                                   accel_program_t **out_program, accel_error_t *error) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.bin", u->folder, image);
    return accel_program_open(path, out_program, error);
}

static accel_status_t program_open(user_t *u) {
    accel_program_t *program;
    accel_status_t status = open_program(u, "add", &program, &u->error);
    accel_program_close(program);
    return status;
}

static accel_status_t open_device(const user_t *u, accel_device_t **out_device,
                                  accel_error_t *error) {
    const accel_device_options_t options = {.profile = accel_program_profile(u->program),
                                            .cores = 1,
                                            .memory_bytes = UINT64_C(64) << 20};
    return accel_device_open("inproc", &options, out_device, error);
}

static accel_status_t device_open(user_t *u) {
    accel_device_t *device;
    accel_status_t status = open_device(u, &device, &u->error);
    accel_device_close(device);
    return status;
}

static accel_status_t load(const user_t *u, accel_module_t **out_module, accel_error_t *error) {
    const accel_module_options_t options = {.heap_limit = 8u << 20, .node_stats = true};
    return accel_module_load(u->device, u->program, &options, out_module, error);
}

static accel_status_t module_load(user_t *u) {
    accel_module_t *module;
    accel_status_t status = load(u, &module, &u->error);
    accel_module_unload(module);
    return status;
}

// sum = a + b + {0.5, 1.5, 2.5, 3.5}
static void check_sum(const float *sum, const float *a, const float *b) {
    for (int i = 0; i < ROWS * 4; i++)
        CHECK(sum[i] == a[i] + b[i] + 0.5f + (float)(i % 4));
}

static accel_status_t run(user_t *u) {
    float a[ROWS * 4], b[ROWS * 4];
    for (int i = 0; i < ROWS * 4; i++)
        a[i] = (float)i, b[i] = (float)(1000 - 3 * i);
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_F32, .rank = 2, .dims = {ROWS, 4}, .data = a, .bytes = DATA_BYTES},
        {.dtype = ACCEL_F32, .rank = 2, .dims = {ROWS, 4}, .data = b, .bytes = DATA_BYTES}};
    accel_tensor_t outputs[2] = {{.name = "sum"}, {.name = "runs"}};
    accel_status_t status = accel_run(u->module, inputs, 2, outputs, 2, &u->error);
    if (status == ACCEL_OK)
        check_sum(outputs[0].data, a, b);
    return status;
}

// The program asks for heap while it runs.
static accel_status_t run_heap(user_t *u) {
    int64_t what[2] = {0, 1 << 20};
    accel_tensor_t input = {
        .dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = what, .bytes = sizeof what};
    accel_tensor_t output = {0};
    accel_status_t status = accel_run(u->module, &input, 1, &output, 1, &u->error);
    if (status == ACCEL_OK) {
        const uint64_t *numbers = output.data;
        CHECK_EQUAL((uint64_t)output.dims[0], 1 << 16);
        CHECK_EQUAL(numbers[65535], 3 * 65535 + 1);
    }
    return status;
}

typedef struct streams {
    accel_stream_t *copies, *launches;
    accel_event_t *ready, *done;
    accel_buffer_t *in, *sum;
    void *memory, *runs;
} streams_t;

#define TRY(call)                                                                                  \
    do {                                                                                           \
        accel_status_t status_ = (call);                                                           \
        if (status_ != ACCEL_OK)                                                                   \
            return status_;                                                                        \
    } while (0)

static accel_status_t streams_make(user_t *u, streams_t *s) {
    TRY(accel_stream_create(u->device, NULL, &s->copies, &u->error));
    TRY(accel_stream_create(u->device, NULL, &s->launches, &u->error));
    TRY(accel_buffer_create(u->device, DATA_BYTES, &s->in, &u->error));
    TRY(accel_buffer_create(u->device, DATA_BYTES, &s->sum, &u->error));
    TRY(accel_host_alloc(u->device, 4096, &s->memory, &u->error));
    return accel_host_alloc(u->device, 64, &s->runs, &u->error);
}

static accel_status_t streams_work(user_t *u, streams_t *s) {
    float *host = s->memory, *back = host + ROWS * 4;
    for (int i = 0; i < ROWS * 4; i++)
        host[i] = (float)i, back[i] = 0;
    accel_tensor_t in = {.dtype = ACCEL_F32, .rank = 2, .dims = {ROWS, 4}, .buffer = s->in};
    accel_tensor_t inputs[2] = {in, in};
    accel_tensor_t outputs[2] = {{.buffer = s->sum}, {.data = s->runs, .bytes = 64}};
    TRY(accel_stream_write(s->copies, s->in, 0, host, DATA_BYTES, &u->error));
    TRY(accel_event_record(s->copies, &s->ready, &u->error));
    TRY(accel_stream_wait_event(s->launches, s->ready, &u->error));
    TRY(accel_stream_launch(s->launches, u->module, inputs, 2, outputs, 2, &u->error));
    TRY(accel_event_record(s->launches, &s->done, &u->error));
    TRY(accel_stream_wait_event(s->copies, s->done, &u->error));
    TRY(accel_stream_read(s->copies, back, s->sum, 0, DATA_BYTES, &u->error));
    TRY(accel_stream_wait(s->launches, UINT64_MAX, &u->error));
    TRY(accel_stream_wait(s->copies, UINT64_MAX, &u->error));
    check_sum(back, host, host);
    return ACCEL_OK;
}

static accel_status_t streams(user_t *u) {
    streams_t s = {0};
    accel_status_t status = streams_make(u, &s);
    if (status == ACCEL_OK)
        status = streams_work(u, &s);
    accel_event_destroy(s.ready);
    accel_event_destroy(s.done);
    accel_stream_destroy(s.launches);
    accel_stream_destroy(s.copies);
    accel_buffer_destroy(s.in);
    accel_buffer_destroy(s.sum);
    accel_host_free(u->device, s.memory);
    accel_host_free(u->device, s.runs);
    return status;
}

static const operation_t operations[] = {
    {"open a program", "add", false, false, program_open},
    {"open a device", "add", false, false, device_open},
    {"load a module", "add", true, false, module_load},
    {"run", "add", true, true, run},
    {"run with a growing heap", "modes", true, true, run_heap},
    {"streams", "add", true, true, streams},
};
#define N_OPERATIONS (sizeof operations / sizeof operations[0])

// --- Runs ---

static void begin(user_t *u, const operation_t *o) {
    CHECK_EQUAL(open_program(u, o->image, &u->program, &u->error), ACCEL_OK);
    if (o->device)
        CHECK_EQUAL(open_device(u, &u->device, &u->error), ACCEL_OK);
    if (o->module)
        CHECK_EQUAL(load(u, &u->module, &u->error), ACCEL_OK);
    u->error.text[0] = 0;
}

static void end(user_t *u) {
    accel_module_unload(u->module);
    accel_device_close(u->device);
    accel_program_close(u->program);
}

static uint64_t count(const char *folder, const operation_t *o) {
    user_t u = {.folder = folder};
    int64_t before = alloc_live();
    begin(&u, o);
    alloc_plan(0, 0);
    CHECK_EQUAL(o->act(&u), ACCEL_OK);
    uint64_t n_calls = alloc_calls();
    end(&u);
    CHECK_EQUAL((uint64_t)alloc_live(), (uint64_t)before);
    return n_calls;
}

static bool is_told(accel_status_t status, const accel_error_t *error) {
    return status != ACCEL_INTERNAL && status != ACCEL_INVALID && error->text[0] != 0;
}

// True when the failure could be borne.
static bool run_failing(const char *folder, const operation_t *o, uint64_t n, uint64_t n_fail) {
    user_t u = {.folder = folder};
    int64_t before = alloc_live();
    begin(&u, o);
    alloc_plan(n, n_fail);
    accel_status_t status = o->act(&u);
    alloc_plan(0, 0);
    bool told = status == ACCEL_OK || is_told(status, &u.error);
    accel_status_t again = o->act(&u);
    end(&u);
    if (!told || again != ACCEL_OK || alloc_live() != before) {
        printf("%s, call %" PRIu64 " fails%s: %s '%s', again: %s, %" PRId64 " kept\n", o->name, n,
               n_fail > 1 ? ", and all after it" : "", accel_status_text(status), u.error.text,
               accel_status_text(again), alloc_live() - before);
        exit(1);
    }
    return status == ACCEL_OK;
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : ".";
    uint64_t first = argc > 2 ? (uint64_t)(argv[2][0] - '0') : 0;
    uint64_t last = argc > 2 ? first : N_OPERATIONS - 1;
    CHECK(last < N_OPERATIONS);
    for (uint64_t i = first; i <= last; i++) {
        const operation_t *o = &operations[i];
        uint64_t n_calls = count(folder, o), n_borne = 0;
        for (uint64_t n = 1; n <= n_calls; n++) {
            n_borne += run_failing(folder, o, n, 1);
            n_borne += run_failing(folder, o, n, UINT64_MAX);
        }
        printf("%3" PRIu64 " calls: %s; %" PRIu64 " of %" PRIu64 " runs went well all the same\n",
               n_calls, o->name, n_borne, 2 * n_calls);
    }
    return 0;
}
