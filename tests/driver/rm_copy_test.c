// SPDX-License-Identifier: Apache-2.0
// Long copies: their pieces make the whole, others get their turn between them, and they end when
// their context does.
#include <pthread.h>

#include "tests/driver/rig.h"

#define AREA_VA    (RIG_DATA_VA + (UINT64_C(1) << 30))
#define AREA_BYTES (UINT64_C(64) << 20) // host memory: what is copied from, then what is copied to
#define TO         (AREA_BYTES / 2)

typedef struct fixture {
    rig_t rig;
    rig_user_t user;
    uint8_t *area;
} fixture_t;

static uint8_t *open_area(rig_user_t *user) {
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = AREA_BYTES};
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_OK);
    accel_req_bind_t bind = {.vm = user->vm,
                             .bo = bo.handle,
                             .prot = ACCEL_PROT_WRITE,
                             .va = AREA_VA,
                             .bytes = AREA_BYTES};
    assert_int_equal(ASK(user->client, bind, BIND), STATUS_OK);
    return (uint8_t *)(uintptr_t)bo.map;
}

static int set_up_card(void **state, bool posted, bool lazy) {
    fixture_t *f = calloc(1, sizeof *f);
    rig_open(&f->rig, posted, NULL);
    f->rig.is_lazy = lazy;
    rig_user_open(&f->rig, &f->user);
    f->area = open_area(&f->user);
    *state = f;
    return 0;
}
static int set_up_inline(void **state) { return set_up_card(state, false, false); }
static int set_up_posted(void **state) { return set_up_card(state, true, false); }
// As in the daemon: who waits works.
static int set_up_lazy(void **state) { return set_up_card(state, false, true); }

static int tear_down(void **state) {
    fixture_t *f = *state;
    rig_user_close(&f->user);
    rig_close(&f->rig);
    free(f);
    return 0;
}

// --- Copies ---

typedef struct shape {
    uint64_t bytes;
    uint32_t rows, dst_pitch, src_pitch;
} shape_t;

static void copy(rig_user_t *user, uint32_t context, const shape_t *shape, uint32_t done,
                 uint64_t point) {
    accel_req_submit_t request = {.ctx = context,
                                  .node = ACCEL_NODE_COPY,
                                  .dst = AREA_VA + TO,
                                  .src = AREA_VA,
                                  .bytes = shape->bytes,
                                  .rows = shape->rows,
                                  .dst_pitch = shape->dst_pitch,
                                  .src_pitch = shape->src_pitch,
                                  .n_out = 1,
                                  .out = {{.sync = done, .value = point}}};
    assert_int_equal(ASK(user->client, request, SUBMIT), STATUS_OK);
}

// Would take hours: the same quarter of a MiB again and again.
static const shape_t endless = {.bytes = 256 << 10, .rows = UINT32_MAX};

static bool is_done(rig_user_t *user, uint32_t done, uint64_t point) {
    status_t status = rig_wait(user, done, point, 0);
    assert_true(status == STATUS_OK || status == STATUS_TIMEOUT);
    return status == STATUS_OK;
}

static void fill_area(uint8_t *area) {
    uint64_t *words = (uint64_t *)(void *)area, seed = 1;
    for (uint64_t i = 0; i < TO / sizeof *words; i++)
        words[i] = seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    memset(area + TO, 0x5a, TO);
}

static void check_copied(const uint8_t *area, const shape_t *shape) {
    const uint8_t *to = area + TO;
    uint64_t gap = shape->rows > 1 ? shape->dst_pitch - shape->bytes : 64;
    for (uint32_t row = 0; row < shape->rows; row++) {
        const uint8_t *end = to + row * (uint64_t)shape->dst_pitch + shape->bytes;
        assert_memory_equal(end - shape->bytes, area + row * (uint64_t)shape->src_pitch,
                            shape->bytes);
        for (uint64_t i = 0; i < gap; i++)
            assert_int_equal(end[i], 0x5a);
    }
}

static void pieces_make_the_whole(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    uint32_t done = rig_sync(&f->user);
    const shape_t shapes[] = {
        {(20u << 20) + 12345, 1, 0, 0},
        {16u << 20, 1, 0, 0}, // two pieces, and nothing left
        {(9u << 20) + 8, 3, (9u << 20) + 64, (10u << 20) + 4},
        {(8u << 20) - 100, 3, 8u << 20, (8u << 20) - 100}, // a row, and its cost, above a piece
        {3000, 8000, 3077, 3001},
        {8, 100000, 24, 16},
        {4096, 5000, 4096, 4096}, // without gaps
    };
    for (uint32_t i = 0; i < COUNT_OF(shapes); i++) {
        fill_area(f->area);
        copy(&f->user, context, &shapes[i], done, i + 1);
        assert_int_equal(rig_wait(&f->user, done, i + 1, RIG_WAIT_NS), STATUS_OK);
        check_copied(f->area, &shapes[i]);
    }
}

// Whatever is behind it in the same context waits for all of it, on either node.
static void order_is_that_of_submission(void **state) {
    fixture_t *f = *state;
    uint32_t context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    uint32_t done = rig_sync(&f->user), slot;
    const shape_t shape = {(30u << 20) + 8, 1, 0, 0};
    rig_job_t work = {.count = 10, .done = done, .point = 3};
    uint64_t *last = (uint64_t *)(void *)(f->area + TO + shape.bytes - 8);
    fill_area(f->area);
    copy(&f->user, context, &shape, done, 1);
    // The last word of what was copied; then a launch, which counts in user->data.
    assert_int_equal(rig_copy(&f->user, context, AREA_VA + AREA_BYTES - 8,
                              AREA_VA + TO + shape.bytes - 8, 8, done, 2),
                     STATUS_OK);
    assert_int_equal(rig_submit(&f->user, context, &work, &slot), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, done, 3, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(*last, *(const uint64_t *)(const void *)(f->area + shape.bytes - 8));
    assert_int_equal(*(const uint64_t *)(const void *)(f->area + AREA_BYTES - 8), *last);
    assert_int_equal(rig_count(&f->user, slot), 1);
}

// --- Others ---

// What a client does that needs the node: a buffer that is zeroed, a copy that is waited for.
static void use_node(rig_user_t *user, uint32_t context, uint32_t done, uint64_t point) {
    accel_req_bo_create_t bo = {.bytes = 32u << 20};
    assert_int_equal(ASK(user->client, bo, BO_CREATE), STATUS_OK);
    assert_int_equal(rig_destroy(user, ACCEL_REQ_BO_DESTROY, bo.handle), STATUS_OK);
    assert_int_equal(rig_copy(user, context, RIG_DATA_VA + (800u << 10), RIG_DATA_VA + (900u << 10),
                              4096, done, point),
                     STATUS_OK);
    assert_int_equal(rig_wait(user, done, point, RIG_WAIT_NS), STATUS_OK);
}

static void long_copies_let_others_through(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user, other;
    uint32_t contexts[12], done[12];
    rig_user_open(&f->rig, &other);
    uint32_t mine = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), mine_done = rig_sync(user);
    uint32_t others = rig_context(&other, ACCEL_CLASS_BEST_EFFORT, 0);
    uint32_t others_done = rig_sync(&other);
    for (uint32_t i = 0; i < COUNT_OF(contexts); i++) {
        contexts[i] = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
        done[i] = rig_sync(user);
        copy(user, contexts[i], &endless, done[i], 1);
        copy(user, contexts[i], &endless, done[i], 2);
    }
    for (uint64_t point = 1; point <= 3; point++) {
        use_node(&other, others, others_done, point);
        use_node(user, mine, mine_done, point);
    }
    for (uint32_t i = 0; i < COUNT_OF(contexts); i++) {
        assert_false(is_done(user, done[i], 1));
        assert_int_equal(rig_query(user, contexts[i]).state, ACCEL_CTX_READY);
        assert_int_equal(rig_destroy(user, ACCEL_REQ_CTX_DESTROY, contexts[i]), STATUS_OK);
        assert_int_equal(rig_wait(user, done[i], 1, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
        assert_int_equal(rig_wait(user, done[i], 2, RIG_WAIT_NS), STATUS_CONTEXT_LOST);
    }
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
    assert_int_equal(rig_events(&f->rig, ACCEL_EVENT_HANG, NULL), 0);
    rig_user_close(&other);
}

typedef struct waiter {
    rig_user_t *user;
    uint32_t done;
} waiter_t;

static void *wait_in_vain(void *argument) {
    const waiter_t *w = argument;
    assert_int_equal(rig_wait(w->user, w->done, 1, FOREVER), STATUS_CONTEXT_LOST);
    return NULL;
}

// Who waits for a long copy does not keep the node, nor is another one kept at it.
static void who_waits_for_a_long_copy_is_not_alone(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user, other;
    pthread_t thread;
    rig_user_open(&f->rig, &other);
    uint32_t context = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
    waiter_t w = {user, rig_sync(user)};
    copy(user, context, &endless, w.done, 1);
    assert_int_equal(pthread_create(&thread, NULL, wait_in_vain, &w), 0);
    uint32_t others = rig_context(&other, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&other);
    for (uint64_t point = 1; point <= 3; point++)
        use_node(&other, others, done, point);
    assert_false(is_done(user, w.done, 1));
    assert_int_equal(rig_destroy(user, ACCEL_REQ_CTX_DESTROY, context), STATUS_OK);
    (void)pthread_join(thread, NULL);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
    rig_user_close(&other);
}

// A client that goes takes its copies along.
static void a_closed_client_copies_no_more(void **state) {
    fixture_t *f = *state;
    rig_user_t other;
    rig_user_open(&f->rig, &other);
    (void)open_area(&other);
    uint32_t context = rig_context(&other, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&other);
    copy(&other, context, &endless, done, 1);
    rig_user_close(&other);
    use_node(&f->user, rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0), rig_sync(&f->user), 1);
    assert_int_equal(rig_telemetry(&f->rig).node_resets, 0);
}

// --- Resets ---

// One of several is in work and lost, if the reset finds one; the others go on where they were.
static void a_reset_takes_one_long_copy(void **state) {
    fixture_t *f = *state;
    rig_user_t *user = &f->user;
    uint32_t contexts[3], done[3], n_lost = 0;
    const shape_t shape = {.bytes = 4u << 20, .rows = 100}; // onto the same place
    accel_req_reset_t reset = {.level = ACCEL_RESET_NODE, .node = ISA_NODE_COPY};
    fill_area(f->area);
    for (uint32_t i = 0; i < COUNT_OF(contexts); i++) {
        contexts[i] = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0);
        done[i] = rig_sync(user);
        copy(user, contexts[i], &shape, done[i], 1);
    }
    assert_int_equal(ASK(f->rig.admin, reset, RESET), STATUS_OK);
    for (uint32_t i = 0; i < COUNT_OF(contexts); i++) {
        status_t status = rig_wait(user, done[i], 1, RIG_WAIT_NS);
        assert_true(status == STATUS_OK || status == STATUS_CONTEXT_LOST);
        n_lost += status == STATUS_CONTEXT_LOST;
    }
    assert_true(n_lost <= 1);
    assert_memory_equal(f->area + TO, f->area, shape.bytes);
    use_node(user, rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0), rig_sync(user), 1);
}

#define TEST_ALL(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, set_up_inline, tear_down),                               \
        cmocka_unit_test_setup_teardown(test, set_up_posted, tear_down),                           \
        cmocka_unit_test_setup_teardown(test, set_up_lazy, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_ALL(pieces_make_the_whole),
        TEST_ALL(order_is_that_of_submission),
        TEST_ALL(long_copies_let_others_through),
        TEST_ALL(who_waits_for_a_long_copy_is_not_alone),
        TEST_ALL(a_closed_client_copies_no_more),
        cmocka_unit_test_setup_teardown(a_reset_takes_one_long_copy, set_up_posted, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
