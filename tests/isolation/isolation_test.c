// SPDX-License-Identifier: Apache-2.0
// Two clients on one card, through the whole stack: one does harm, is told why, and harms nobody
// else. Arguments: accel-cardd, the device program.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "accel/manage.h"
#include "tests/isolation/side.h"

typedef struct fixture {
    const char *daemon, *image;
    served_t served;
    accel_program_t *program;
    bystander_t bystander;
    side_t side; // does harm
} fixture_t;

#define OPEN(f, side, options)                                                                     \
    do {                                                                                           \
        if (!side_open(side, &(f)->served, (f)->program, options))                                 \
            fail_msg("%s", (side)->error.text);                                                    \
    } while (0)

static void expect_told(side_t *side, accel_status_t status, accel_lost_t lost, const char *text) {
    assert_int_equal(status, ACCEL_CONTEXT_LOST);
    assert_int_equal(side->error.lost, lost);
    if (text != NULL && strstr(side->error.text, text) == NULL)
        fail_msg("'%s' says nothing of '%s'", side->error.text, text);
    assert_true(side_works(side, 3)); // and can go on
}

static void expect_fault(side_t *side, work_mode_t mode, uint64_t number, const char *text) {
    expect_told(side, side_run(side, mode, number), ACCEL_LOST_BY_FAULT, text);
}

static int set_up(void **state) {
    static const char *const options[] = {"--profile=edge", "--cores=2", "--memory=256M"};
    fixture_t *f = *state;
    accel_error_t error = {0};
    served_start(&f->served, f->daemon, options, 3, 0);
    if (accel_program_open(f->image, &f->program, &error) != ACCEL_OK)
        fail_msg("%s", error.text);
    assert_true(bystander_start(&f->bystander, &f->served, f->program));
    OPEN(f, &f->side, NULL);
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    bool went_on = f->bystander.side.device != NULL && bystander_end(&f->bystander);
    side_close(&f->side);
    accel_program_close(f->program);
    served_stop(&f->served);
    return went_on ? 0 : -1;
}

// --- Addresses ---

static void wild_stores_and_wild_dma(void **state) {
    fixture_t *f = *state;
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t va = i < 10 ? WORK_MISSING + (i << 12) : i << (20 + i);
        expect_fault(&f->side, i % 2 == 0 ? WORK_STORE : WORK_REACH, va, NULL);
    }
    expect_fault(&f->side, WORK_STORE, WORK_MISSING, "no valid page at va");
    expect_fault(&f->side, WORK_REACH, WORK_MISSING, "no valid page at va");
}

// What another has mapped at an address is not there, or is one's own.
static void addresses_of_another_context(void **state) {
    fixture_t *f = *state;
    side_t other;
    accel_buffer_t *buffers[16] = {0};
    accel_error_t error = {0};
    OPEN(f, &other, NULL);
    for (uint64_t i = 0; i < WORK_NUMBERS; i++) {
        side_area(&other)->data[i] = UINT64_C(0x5ec7e7);
        side_area(&f->side)->data[i] = 4711;
    }
    for (int i = 0; i < 16; i++)
        assert_int_equal(accel_buffer_create(other.device, 1 << 20, &buffers[i], &error), ACCEL_OK);
    assert_int_equal(accel_stream_write(other.stream, buffers[15], 0, side_area(&other)->data,
                                        WORK_BYTES, &error),
                     ACCEL_OK);
    assert_int_equal(side_start(&other, WORK_WHERE, 0, buffers[15]), ACCEL_OK);
    assert_int_equal(side_wait(&other), ACCEL_OK);
    uint64_t secret = side_area(&other)->result[0];
    expect_fault(&f->side, WORK_PEEK, secret, "no valid page at va");
    expect_fault(&f->side, WORK_FETCH, secret, "no valid page at va");
    // Both have their data at this one.
    assert_int_equal(side_run(&f->side, WORK_WHERE, 0), ACCEL_OK);
    uint64_t mine = side_area(&f->side)->result[0];
    side_area(&f->side)->data[0] = 815;
    for (int dma = 0; dma < 2; dma++) {
        assert_int_equal(side_run(&f->side, dma != 0 ? WORK_FETCH : WORK_PEEK, mine), ACCEL_OK);
        assert_true(side_area(&f->side)->result[0] == 815);
    }
    for (int i = 0; i < 16; i++)
        accel_buffer_destroy(buffers[i]);
    side_close(&other);
}

static void local_memory_of_another_core(void **state) {
    fixture_t *f = *state;
    expect_fault(&f->side, WORK_FAR, WORK_LM_BYTES, "va is not in a space");
    expect_fault(&f->side, WORK_FAR, 2 * WORK_LM_BYTES + 8, "va is not in a space");
    expect_fault(&f->side, WORK_FETCH, UINT64_C(0x10000000) + WORK_LM_BYTES, NULL);
}

static void self_modified_code(void **state) {
    fixture_t *f = *state;
    expect_fault(&f->side, WORK_TEXT, 0, "does not allow this access");
}

// --- Time ---

static void endless_loops_and_lonely_barriers(void **state) {
    fixture_t *f = *state;
    side_t limited;
    OPEN(f, &limited, &(accel_stream_options_t){.timeout_ns = 30000000});
    for (int i = 0; i < 3; i++) {
        expect_told(&limited, side_run(&limited, WORK_LOOP, 0), ACCEL_LOST_BY_TIMEOUT,
                    "passed the time limit");
        expect_fault(&f->side, WORK_BARRIER, 0, "disagree on their next barrier");
    }
    side_close(&limited);
}

// --- What stays behind ---

// While others' programs use registers and local memory in the same cores, in turns.
static void nothing_is_left_in_local_memory(void **state) {
    fixture_t *f = *state;
    side_t other;
    OPEN(f, &other, NULL);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(side_start(&other, WORK_STATE, 4000, NULL), ACCEL_OK);
        assert_int_equal(side_run(&f->side, WORK_LOOK, 0), ACCEL_OK);
        for (uint32_t core = 0; core < WORK_CORES; core++)
            assert_true(side_area(&f->side)->result[core] == 0);
        assert_int_equal(side_wait(&other), ACCEL_OK);
        assert_true(side_area(&other)->result[0] != 0);
    }
    side_close(&other);
}

static uint64_t address_of(side_t *side, accel_buffer_t *buffer) {
    assert_int_equal(side_start(side, WORK_WHERE, 0, buffer), ACCEL_OK);
    assert_int_equal(side_wait(side), ACCEL_OK);
    return side_area(side)->result[0];
}

// Translations that the card holds go with the binding.
static void stale_translations_of_card_memory(void **state) {
    fixture_t *f = *state;
    for (int i = 0; i < 5; i++) {
        accel_buffer_t *buffer;
        assert_int_equal(accel_buffer_create(f->side.device, 1 << 16, &buffer, NULL), ACCEL_OK);
        uint64_t va = address_of(&f->side, buffer);
        assert_int_equal(side_run(&f->side, i % 2 == 0 ? WORK_PEEK : WORK_FETCH, va), ACCEL_OK);
        accel_buffer_destroy(buffer);
        expect_fault(&f->side, i % 2 == 0 ? WORK_PEEK : WORK_FETCH, va, "no valid page at va");
        expect_fault(&f->side, WORK_STORE, va, "no valid page at va");
    }
}

static void stale_translations_of_host_memory(void **state) {
    fixture_t *f = *state;
    for (int i = 0; i < 5; i++) {
        void *memory;
        accel_stream_t *stream = f->side.stream;
        accel_error_t error = {0};
        accel_buffer_t *buffer;
        assert_int_equal(accel_host_alloc(f->side.device, 1 << 16, &memory, &error), ACCEL_OK);
        assert_int_equal(accel_buffer_create(f->side.device, 1 << 16, &buffer, &error), ACCEL_OK);
        void *own = f->side.memory; // for one launch the area lies in the new memory
        f->side.memory = memory;
        uint64_t va = address_of(&f->side, NULL);
        f->side.memory = own;
        accel_host_free(f->side.device, memory);
        assert_int_equal(accel_stream_read(stream, memory, buffer, 0, 64, &error), ACCEL_INVALID);
        expect_fault(&f->side, i % 2 == 0 ? WORK_PEEK : WORK_FETCH, va, "no valid page at va");
        expect_fault(&f->side, WORK_STORE, va, "no valid page at va");
        accel_buffer_destroy(buffer);
    }
}

// Its pages are another's at once, who finds zeros in them and keeps them.
static void buffers_destroyed_while_in_use(void **state) {
    fixture_t *f = *state;
    side_t other;
    accel_error_t error = {0};
    accel_buffer_t *buffer, *after;
    OPEN(f, &other, NULL);
    for (int i = 0; i < 6; i++) {
        uint64_t *data = side_area(&other)->data;
        assert_int_equal(accel_buffer_create(f->side.device, 1 << 16, &buffer, &error), ACCEL_OK);
        assert_int_equal(side_start(&f->side, WORK_HAMMER, 3000000, buffer), ACCEL_OK);
        usleep((useconds_t)i * 700);
        accel_buffer_destroy(buffer);
        assert_int_equal(accel_buffer_create(other.device, 1 << 16, &after, &error), ACCEL_OK);
        accel_status_t status = side_wait(&f->side);
        assert_true(status == ACCEL_OK || f->side.error.lost == ACCEL_LOST_BY_FAULT);
        memset(data, 0xff, WORK_BYTES);
        assert_int_equal(accel_stream_read(other.stream, data, after, 0, WORK_BYTES, &error),
                         ACCEL_OK);
        assert_int_equal(side_wait(&other), ACCEL_OK);
        for (uint64_t k = 0; k < WORK_NUMBERS; k++)
            assert_true(data[k] == 0);
        accel_buffer_destroy(after);
        assert_true(side_works(&f->side, 3));
    }
    side_close(&other);
}

// --- Clients that are killed ---

typedef struct count {
    accel_manager_t *manager;
    uint32_t n;
} count_t;

static bool has_clients(void *arg) {
    count_t *count = arg;
    uint32_t n = 0;
    accel_error_t error = {0};
    return accel_card_processes(count->manager, 0, NULL, 0, &n, &error) == ACCEL_OK &&
           n == count->n;
}

// Nobody waits for its work to end, which it never would.
static void a_client_killed_in_an_endless_loop(void **state) {
    fixture_t *f = *state;
    count_t count = {0};
    accel_error_t error = {0};
    assert_int_equal(accel_manager_open(f->served.socket, &count.manager, &error), ACCEL_OK);
    assert_int_equal(accel_card_processes(count.manager, 0, NULL, 0, &count.n, &error), ACCEL_OK);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            side_t side;
            if (side_open(&side, &f->served, f->program, NULL))
                (void)side_run(&side, WORK_LOOP, 0);
            _exit(1);
        }
        count.n++;
        assert_true(eventually(has_clients, &count));
        usleep((useconds_t)(i * 50000 + 20000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        count.n--;
        assert_true(eventually(has_clients, &count));
        assert_true(side_works(&f->side, 6));
    }
    accel_manager_close(count.manager);
}

// --- Again and again ---

typedef struct offence {
    side_t *side;
    pthread_t thread;
    accel_status_t status;
} offence_t;

// The launch itself may last as long as its work.
static void *loop_for_ever(void *arg) {
    offence_t *offence = arg;
    offence->status = side_run(offence->side, WORK_LOOP, 0);
    return NULL;
}

// What hangs a simulated card is a planted fault: while only the offender's work is on it. The work
// of the bystander, who comes then, waits for the node to be reset.
static accel_status_t hang_once(fixture_t *f, accel_manager_t *manager) {
    offence_t offence = {.side = &f->side};
    accel_error_t error = {0};
    assert_int_equal(pthread_create(&offence.thread, NULL, loop_for_ever, &offence), 0);
    usleep(30000);
    assert_int_equal(accel_card_inject(manager, 0, "hang", 0, &error), ACCEL_OK);
    usleep(1000);
    assert_true(bystander_start(&f->bystander, &f->served, f->program));
    assert_int_equal(pthread_join(offence.thread, NULL), 0);
    assert_true(bystander_end(&f->bystander));
    return offence.status;
}

static void who_hangs_the_card_again_and_again(void **state) {
    fixture_t *f = *state;
    accel_manager_t *manager;
    accel_error_t error = {0};
    assert_int_equal(accel_manager_open(f->served.socket, &manager, &error), ACCEL_OK);
    assert_true(bystander_end(&f->bystander));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(hang_once(f, manager), ACCEL_CONTEXT_LOST);
        assert_int_equal(f->side.error.lost, ACCEL_LOST_BY_HANG);
    }
    assert_int_equal(side_run(&f->side, WORK_MUL, 1), ACCEL_DENIED);
    assert_int_equal(f->side.error.lost, ACCEL_LOST_BY_BAN);
    assert_non_null(strstr(f->side.error.text, "hung the card too often"));
    assert_true(bystander_start(&f->bystander, &f->served, f->program)); // for tear_down
    side_close(&f->side);
    OPEN(f, &f->side, NULL);
    assert_true(side_works(&f->side, 5));
    accel_manager_close(manager);
}

int main(int argc, char **argv) {
    fixture_t fixture = {.daemon = argc > 1 ? argv[1] : "accel-cardd",
                         .image = argc > 2 ? argv[2] : "soak.bin"};
#define TEST(test)                                                                                 \
    { #test, test, set_up, tear_down, &fixture }
    const struct CMUnitTest tests[] = {
        TEST(wild_stores_and_wild_dma),           TEST(addresses_of_another_context),
        TEST(local_memory_of_another_core),       TEST(self_modified_code),
        TEST(endless_loops_and_lonely_barriers),  TEST(nothing_is_left_in_local_memory),
        TEST(stale_translations_of_card_memory),  TEST(stale_translations_of_host_memory),
        TEST(buffers_destroyed_while_in_use),     TEST(a_client_killed_in_an_endless_loop),
        TEST(who_hangs_the_card_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
