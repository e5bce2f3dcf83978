// SPDX-License-Identifier: Apache-2.0
// Copies that the runtime makes for itself, and whose context the card takes: made again where that
// helps, told with their reason where it does not. A client in between says of copies that they
// were lost, so that each reason comes when it shall. Argument: the folder of the images.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/runtime_internal.h"

enum { MAX_TAKEN = 64 };

// The way to a card in this process, but for the copies that are taken.
typedef struct taker {
    rt_client_t below;
    uint32_t skip, take; // copies that go through first; how many are taken then
    uint32_t reason;     // ACCEL_LOST_*
    bool late;           // the wait tells, not the submission
    uint32_t n_taken;
    uint32_t contexts[MAX_TAKEN], syncs[MAX_TAKEN];
} taker_t;

typedef struct fixture {
    const char *folder;
    taker_t taker;
    accel_program_t *program;
    accel_device_t *device;
    accel_error_t error;
} fixture_t;

#define OK(call)                                                                                   \
    do {                                                                                           \
        accel_status_t status_ = (call);                                                           \
        if (status_ != ACCEL_OK)                                                                   \
            fail_msg("%s: %s", accel_status_text(status_), f->error.text);                         \
    } while (0)

// --- The client ---

static bool is_in(const uint32_t *handles, uint32_t n_handles, uint32_t handle) {
    for (uint32_t i = 0; i < n_handles; i++)
        if (handles[i] == handle)
            return true;
    return false;
}

static status_t pass_on(const taker_t *taker, accel_req_t *request) {
    return taker->below.ops->request(taker->below.self, request, request->size);
}

static status_t submit(taker_t *taker, accel_req_submit_t *request) {
    if (is_in(taker->contexts, taker->n_taken, request->ctx))
        return STATUS_CONTEXT_LOST;
    if (request->node != ACCEL_NODE_COPY || taker->take == 0)
        return pass_on(taker, &request->head);
    if (taker->skip > 0) {
        taker->skip--;
        return pass_on(taker, &request->head);
    }
    assert_true(taker->n_taken < MAX_TAKEN);
    taker->contexts[taker->n_taken] = request->ctx;
    taker->syncs[taker->n_taken++] = request->out[0].sync;
    taker->take--;
    return taker->late ? STATUS_OK : STATUS_CONTEXT_LOST;
}

static status_t query(const taker_t *taker, accel_req_ctx_query_t *request) {
    RETURN_IF_ERROR(pass_on(taker, &request->head));
    if (is_in(taker->contexts, taker->n_taken, request->handle)) {
        request->state = ACCEL_CTX_LOST;
        request->reason = taker->reason;
    }
    return STATUS_OK;
}

// As a daemon, it pins nothing that is not to be copied.
static status_t pin(const taker_t *taker, accel_req_bo_from_user_t *request) {
    return request->head.flags == ACCEL_FROM_USER_READ_ONLY ? STATUS_UNSUPPORTED
                                                            : pass_on(taker, &request->head);
}

// Its number may be another's next.
static status_t destroy(uint32_t *handles, uint32_t n_handles, const taker_t *taker,
                        accel_req_handle_t *request) {
    for (uint32_t i = 0; i < n_handles; i++)
        if (handles[i] == request->handle)
            handles[i] = 0;
    return pass_on(taker, &request->head);
}

static status_t taker_request(void *self, void *request, size_t bytes) {
    taker_t *taker = self;
    accel_req_t *head = request;
    assert_int_equal(head->size, bytes);
    switch (head->op) {
    case ACCEL_REQ_SUBMIT:
        return submit(taker, request);
    case ACCEL_REQ_CTX_QUERY:
        return query(taker, request);
    case ACCEL_REQ_CTX_DESTROY:
        return destroy(taker->contexts, taker->n_taken, taker, request);
    case ACCEL_REQ_SYNC_DESTROY:
        return destroy(taker->syncs, taker->n_taken, taker, request);
    case ACCEL_REQ_BO_FROM_USER:
        return pin(taker, request);
    case ACCEL_REQ_SYNC_WAIT:
        return is_in(taker->syncs, taker->n_taken, ((accel_req_sync_t *)request)->handle)
                   ? STATUS_CONTEXT_LOST
                   : pass_on(taker, head);
    default:
        return pass_on(taker, head);
    }
}

static status_t taker_batch(void *self, accel_req_t *const *requests, uint32_t n_requests,
                            uint32_t *out_done) {
    for (*out_done = 0; *out_done < n_requests; ++*out_done)
        RETURN_IF_ERROR(taker_request(self, requests[*out_done], requests[*out_done]->size));
    return STATUS_OK;
}

static const rt_client_t *below_of(void *self) { return &((taker_t *)self)->below; }

static status_t taker_alloc(void *self, size_t bytes, void **out_memory, uint32_t *out_bo) {
    return below_of(self)->ops->memory_alloc(below_of(self)->self, bytes, out_memory, out_bo);
}
static void taker_free(void *self, void *memory, size_t bytes) {
    below_of(self)->ops->memory_free(below_of(self)->self, memory, bytes);
}
static void taker_lock(void *self) { below_of(self)->ops->lock(below_of(self)->self); }
static void taker_unlock(void *self) { below_of(self)->ops->unlock(below_of(self)->self); }
static void taker_sleep(void *self) { below_of(self)->ops->sleep(below_of(self)->self); }
static void taker_wake(void *self) { below_of(self)->ops->wake(below_of(self)->self); }
static uint64_t taker_now_ns(void *self) {
    return below_of(self)->ops->now_ns(below_of(self)->self);
}
static void taker_close(void *self) { below_of(self)->ops->close(below_of(self)->self); }

static const rt_client_ops_t taker_ops = {
    .version = RT_CLIENT_VERSION,
    .kind = "inproc",
    .request = taker_request,
    .batch = taker_batch,
    .memory_alloc = taker_alloc,
    .memory_free = taker_free,
    .lock = taker_lock,
    .unlock = taker_unlock,
    .sleep = taker_sleep,
    .wake = taker_wake,
    .now_ns = taker_now_ns,
    .close = taker_close,
};

// --- A device behind it ---

static void open_device(fixture_t *f, const char *image) {
    const accel_device_options_t options = {.cores = 1};
    const rt_client_t client = {.ops = &taker_ops, .self = &f->taker, .n_cards = 1};
    char path[4096];
    f->taker = (taker_t){0};
    snprintf(path, sizeof path, "%s/%s.bin", f->folder, image);
    OK(accel_program_open(path, &f->program, &f->error));
    OK(rt_inproc_open(&options, NULL, &f->taker.below, &f->error));
    OK(rt_device_open(&client, &f->device, &f->error));
}

static void close_device(fixture_t *f) {
    accel_device_close(f->device);
    accel_program_close(f->program);
}

static uint64_t memory_free(const fixture_t *f) {
    accel_device_info_t info;
    assert_int_equal(accel_device_info(f->device, &info), ACCEL_OK);
    return info.memory_free;
}

// From the next copy but `skip` on, `take` are lost.
static void take(fixture_t *f, uint32_t skip, uint32_t n, uint32_t reason, bool late) {
    f->taker.skip = skip;
    f->taker.take = n;
    f->taker.reason = reason;
    f->taker.late = late;
    f->taker.n_taken = 0;
}

// --- Loading ---

static void check_add(fixture_t *f, accel_module_t *module) {
    float a[4] = {1, 2, 3, 4}, b[4] = {10, 20, 30, 40}, sum[4] = {0};
    accel_tensor_t input = {.dtype = ACCEL_F32, .rank = 2, .dims = {1, 4}, .bytes = sizeof a};
    accel_tensor_t inputs[2] = {input, input};
    accel_tensor_t output = {.name = "sum", .data = sum, .bytes = sizeof sum};
    inputs[0].data = a, inputs[1].data = b;
    OK(accel_run(module, inputs, 2, &output, 1, &f->error));
    for (int i = 0; i < 4; i++)
        assert_true(sum[i] == a[i] + b[i] + 0.5f + (float)i);
}

enum { LOAD_COPIES = 2 }; // the image, and the weights

static const uint32_t again[] = {ACCEL_LOST_HANG, ACCEL_LOST_CARD_ERROR, ACCEL_LOST_RESET};

static void a_load_whose_context_is_lost_goes_on(void **state) {
    fixture_t *f = *state;
    open_device(f, "add");
    for (uint32_t i = 0; i < COUNT_OF(again) * 2 * LOAD_COPIES; i++) {
        accel_module_t *module;
        take(f, i % LOAD_COPIES, 1, again[i / (2 * LOAD_COPIES)], i / LOAD_COPIES % 2 != 0);
        OK(accel_module_load(f->device, f->program, NULL, &module, &f->error));
        assert_int_equal(f->taker.take, 0);
        check_add(f, module);
        accel_module_unload(module);
    }
    close_device(f);
}

static void expect_no_load(fixture_t *f, accel_lost_t why, const char *text) {
    accel_module_t *module;
    uint64_t before = memory_free(f);
    f->error = (accel_error_t){0};
    assert_int_equal(accel_module_load(f->device, f->program, NULL, &module, &f->error),
                     ACCEL_CONTEXT_LOST);
    assert_null(module);
    assert_int_equal(f->taker.take, 0);
    assert_int_equal(f->error.lost, why);
    assert_non_null(strstr(f->error.text, "cannot load"));
    assert_non_null(strstr(f->error.text, "add.bin: the copy failed: "));
    assert_non_null(strstr(f->error.text, text));
    assert_true(memory_free(f) == before);
    OK(accel_module_load(f->device, f->program, NULL, &module, &f->error)); // goes on
    check_add(f, module);
    accel_module_unload(module);
}

static void a_load_that_fails_says_why(void **state) {
    fixture_t *f = *state;
    open_device(f, "add");
    for (uint32_t i = 0; i < 2 * LOAD_COPIES; i++) {
        uint32_t skip = i % LOAD_COPIES;
        bool late = i / LOAD_COPIES != 0;
        take(f, skip, 2, ACCEL_LOST_CARD_ERROR, late);
        expect_no_load(f, ACCEL_LOST_BY_CARD_ERROR, "told nonsense of it; run it again");
        take(f, skip, 2, ACCEL_LOST_RESET, late);
        expect_no_load(f, ACCEL_LOST_BY_RESET, "was reset meanwhile; run it again");
        take(f, skip, 1, ACCEL_LOST_ECC, late); // at once
        expect_no_load(f, ACCEL_LOST_BY_ECC, "double-bit error");
    }
    close_device(f);
}

// --- Results from the heap ---

static accel_status_t run_grow(fixture_t *f, accel_module_t *module) {
    int64_t what[2] = {0, 1 << 20};
    accel_tensor_t input = {
        .dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = what, .bytes = sizeof what};
    accel_tensor_t output = {0};
    f->error = (accel_error_t){0};
    accel_status_t status = accel_run(module, &input, 1, &output, 1, &f->error);
    if (status == ACCEL_OK) {
        const uint64_t *numbers = output.data;
        assert_int_equal(output.dims[0], 1 << 16);
        for (uint64_t i = 0; i < 1 << 16; i++)
            assert_int_equal(numbers[i], 3 * i + 1);
    }
    return status;
}

static void a_result_whose_copy_is_lost_is_fetched_again(void **state) {
    fixture_t *f = *state;
    accel_module_t *module;
    open_device(f, "modes");
    OK(accel_module_load(f->device, f->program, NULL, &module, &f->error));
    for (uint32_t i = 0; i < COUNT_OF(again) * 2; i++) {
        take(f, 0, 1, again[i / 2], i % 2 != 0);
        OK(run_grow(f, module));
        assert_int_equal(f->taker.take, 0);
        take(f, 0, 2, again[i / 2], i % 2 != 0);
        assert_int_equal(run_grow(f, module), ACCEL_CONTEXT_LOST);
        assert_int_equal((uint32_t)f->error.lost, again[i / 2]);
        take(f, 0, 1, ACCEL_LOST_ECC, i % 2 != 0);
        assert_int_equal(run_grow(f, module), ACCEL_CONTEXT_LOST);
        assert_int_equal(f->error.lost, ACCEL_LOST_BY_ECC);
        OK(run_grow(f, module)); // at once
    }
    accel_module_unload(module);
    close_device(f);
}

// What the user copies is his to repeat.
static void a_copy_of_the_users_is_told(void **state) {
    fixture_t *f = *state;
    accel_stream_t *stream;
    accel_buffer_t *buffer;
    void *memory;
    open_device(f, "empty");
    OK(accel_stream_create(f->device, NULL, &stream, &f->error));
    OK(accel_buffer_create(f->device, 64, &buffer, &f->error));
    OK(accel_host_alloc(f->device, 64, &memory, &f->error));
    for (uint32_t i = 0; i < COUNT_OF(again) * 2; i++) {
        f->error = (accel_error_t){0};
        take(f, 0, 1, again[i / 2], i % 2 != 0);
        accel_status_t status = accel_stream_write(stream, buffer, 0, memory, 64, &f->error);
        assert_int_equal(status, i % 2 == 0 ? ACCEL_CONTEXT_LOST : ACCEL_OK);
        if (status == ACCEL_OK)
            assert_int_equal(accel_stream_wait(stream, UINT64_MAX, &f->error), ACCEL_CONTEXT_LOST);
        assert_int_equal((uint32_t)f->error.lost, again[i / 2]);
        assert_non_null(strstr(f->error.text, "the copy failed: "));
        OK(accel_stream_write(stream, buffer, 0, memory, 64, &f->error));
        OK(accel_stream_wait(stream, UINT64_MAX, &f->error));
    }
    accel_buffer_destroy(buffer);
    accel_stream_destroy(stream);
    accel_host_free(f->device, memory);
    close_device(f);
}

// --- Outputs of launches ---

// Of prog_stream, into `result` of `memory`, which the card reaches.
static accel_status_t launch_into(fixture_t *f, accel_stream_t *stream, accel_module_t *module,
                                  uint64_t *memory, uint32_t result) {
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = memory, .bytes = 16},
        {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = memory + 8, .bytes = 64}};
    accel_tensor_t output = {.data = memory + result, .bytes = 64};
    return accel_stream_launch(stream, module, inputs, 2, &output, 1, &f->error);
}

static void output_outlasts_a_failure(fixture_t *f, accel_module_t *module, void *memory) {
    accel_stream_t *stream;
    accel_buffer_t *buffer;
    accel_tensor_t found = {0};
    OK(accel_stream_create(f->device, NULL, &stream, &f->error));
    OK(accel_buffer_create(f->device, 64, &buffer, &f->error));
    OK(launch_into(f, stream, module, memory, 16));
    OK(accel_stream_wait(stream, UINT64_MAX, &f->error));
    take(f, 0, 1, ACCEL_LOST_RESET, true);
    OK(accel_stream_write(stream, buffer, 0, memory, 64, &f->error));
    assert_int_equal(launch_into(f, stream, module, memory, 24), ACCEL_CONTEXT_LOST);
    OK(accel_stream_output(stream, module, 0, &found, &f->error));
    assert_ptr_equal(found.data, (uint64_t *)memory + 16);
    assert_int_equal(found.dims[0], 8);
    accel_buffer_destroy(buffer);
    accel_stream_destroy(stream);
}

// A launch that finds the stream lost does nothing, also not to what the one before it left.
static void outputs_outlast_launches_that_fail(void **state) {
    static const char *const images[] = {"queue", "stream"};
    fixture_t *f = *state;
    for (uint32_t i = 0; i < COUNT_OF(images); i++) {
        accel_module_t *module;
        void *memory;
        open_device(f, images[i]);
        OK(accel_module_load(f->device, f->program, NULL, &module, &f->error));
        OK(accel_host_alloc(f->device, 256, &memory, &f->error));
        memset(memory, 0, 256);
        output_outlasts_a_failure(f, module, memory);
        accel_host_free(f->device, memory);
        accel_module_unload(module);
        close_device(f);
    }
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    fixture_t f = {.folder = argv[1]};
#define TEST(name)                                                                                 \
    { #name, name, NULL, NULL, &f }
    const struct CMUnitTest tests[] = {
        TEST(a_load_whose_context_is_lost_goes_on),         TEST(a_load_that_fails_says_why),
        TEST(a_result_whose_copy_is_lost_is_fetched_again), TEST(a_copy_of_the_users_is_told),
        TEST(outputs_outlast_launches_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
