// SPDX-License-Identifier: Apache-2.0
// Two clients on one card, through the whole stack: one does harm, is told why, and harms nobody
// else. Arguments: accel-cardd, the device program.
#include <fcntl.h>
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

// The daemon ends first: what a test that failed left on the card may never end.
static int tear_down(void **state) {
    fixture_t *f = *state;
    bool went_on = f->bystander.side.device != NULL && bystander_end(&f->bystander);
    served_stop(&f->served);
    side_close(&f->side);
    accel_program_close(f->program);
    return went_on ? 0 : -1;
}

// The card writes there meanwhile.
static uint64_t progress(const side_t *side) {
    return *(const volatile uint64_t *)&side_area(side)->result[0];
}

typedef struct growth {
    const side_t *side;
    uint64_t seen;
} growth_t;

static bool has_grown(void *arg) {
    growth_t *growth = arg;
    uint64_t now = progress(growth->side);
    bool grown = now > growth->seen;
    growth->seen = now;
    return grown;
}

// Of a launch that counts for as long as it runs, and ends only when it is told to.
static bool is_running(const side_t *side) {
    growth_t growth = {side, progress(side)};
    return eventually(has_grown, &growth);
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
    // More than short work takes on a busy machine, too.
    OPEN(f, &limited, &(accel_stream_options_t){.timeout_ns = 500000000});
    for (int i = 0; i < 3; i++) {
        expect_told(&limited, side_run(&limited, WORK_LOOP, 0), ACCEL_LOST_BY_TIMEOUT,
                    "passed the time limit");
        expect_fault(&f->side, WORK_BARRIER, 0, "disagree on their next barrier");
    }
    side_close(&limited);
}

// --- What stays behind ---

// Whoever looks does so in the middle of another's run, in the same cores: that can only end when
// it is told to, which is afterwards, and it finds all as it left it.
static void nothing_is_left_in_local_memory(void **state) {
    fixture_t *f = *state;
    side_t other;
    OPEN(f, &other, NULL);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(side_start(&other, WORK_KEEP, 0, NULL), ACCEL_OK);
        assert_true(is_running(&other));
        for (int k = 0; k < 3; k++) {
            assert_int_equal(side_run(&f->side, WORK_LOOK, 0), ACCEL_OK);
            for (uint32_t n = 0; n < 2 * WORK_CORES; n++)
                assert_true(side_area(&f->side)->result[n] == 0);
            assert_true(side_area(&f->side)->result[WORK_NUMBERS - 1] == WORK_RUNS);
            assert_true(is_running(&other));
        }
        side_stop(&other);
        assert_int_equal(side_wait(&other), ACCEL_OK);
        for (uint32_t core = 0; core < WORK_CORES; core++) {
            assert_true(side_area(&other)->result[core] > 0);
            assert_true(side_area(&other)->result[WORK_CORES + core] == 0);
        }
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

static size_t free_memory(const side_t *side) {
    accel_device_info_t info;
    assert_int_equal(accel_device_info(side->device, &info), ACCEL_OK);
    return info.memory_free;
}

enum { VICTIM = 1 << 20, LEFT = 3 << 20, TABLES = 256 << 10 };

static void expect_zeros(side_t *side, accel_buffer_t *buffer, uint8_t *copy, size_t bytes) {
    accel_error_t error = {0};
    memset(copy, 0xff, bytes);
    assert_int_equal(accel_stream_read(side->stream, copy, buffer, 0, bytes, &error), ACCEL_OK);
    assert_int_equal(side_wait(side), ACCEL_OK);
    for (size_t i = 0; i < bytes; i++)
        if (copy[i] != 0)
            fail_msg("byte %zu is %u", i, copy[i]);
}

// A program that never ends by itself writes to a buffer while that is destroyed, and faults.
static void destroy_in_use(fixture_t *f, side_t *other, uint8_t *copy) {
    accel_error_t error = {0};
    accel_buffer_t *buffer, *after;
    size_t all = free_memory(other) - TABLES; // too little is left for the victim's pages
    assert_int_equal(accel_buffer_create(f->side.device, VICTIM, &buffer, &error), ACCEL_OK);
    assert_int_equal(side_start(&f->side, WORK_HAMMER, VICTIM, buffer), ACCEL_OK);
    assert_true(is_running(&f->side));
    accel_buffer_destroy(buffer);
    assert_int_equal(accel_buffer_create(other->device, all, &after, &error), ACCEL_OK);
    expect_zeros(other, after, copy, all);
    assert_int_equal(side_wait(&f->side), ACCEL_CONTEXT_LOST);
    assert_int_equal(f->side.error.lost, ACCEL_LOST_BY_FAULT);
    assert_non_null(strstr(f->side.error.text, "no valid page at va"));
    expect_zeros(other, after, copy, all);
    accel_buffer_destroy(after);
    assert_true(side_works(&f->side, 3));
}

// Its pages are another's at once, who gets all that is free, finds zeros in it and keeps them.
static void buffers_destroyed_while_in_use(void **state) {
    fixture_t *f = *state;
    side_t other;
    accel_error_t error = {0};
    accel_buffer_t *ballast;
    void *copy;
    OPEN(f, &other, NULL);
    assert_true(side_works(&f->side, 3)); // all that launches need is there
    assert_int_equal(
        accel_buffer_create(other.device, free_memory(&other) - LEFT, &ballast, &error), ACCEL_OK);
    assert_int_equal(accel_host_alloc(other.device, LEFT, &copy, &error), ACCEL_OK);
    for (int i = 0; i < 6; i++)
        destroy_in_use(f, &other, copy);
    accel_host_free(other.device, copy);
    accel_buffer_destroy(ballast);
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

// A child whose program never ends; how far that is stands in the child's memory.
typedef struct looper {
    pid_t pid;
    int memory; // of the process
    off_t at;
    uint64_t seen;
} looper_t;

static void run_looper(fixture_t *f, int tell) {
    side_t side;
    if (!side_open(&side, &f->served, f->program, NULL))
        _exit(1);
    off_t at = (off_t)(uintptr_t)&side_area(&side)->result[0];
    if (write(tell, &at, sizeof at) != sizeof at)
        _exit(1);
    _exit((int)side_run(&side, WORK_LOOP, 0));
}

static looper_t looper_start(fixture_t *f) {
    looper_t looper = {0};
    char path[64];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    looper.pid = fork();
    assert_true(looper.pid >= 0);
    if (looper.pid == 0)
        run_looper(f, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &looper.at, sizeof looper.at), sizeof looper.at);
    close(ends[0]);
    snprintf(path, sizeof path, "/proc/%d/mem", (int)looper.pid);
    looper.memory = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(looper.memory >= 0);
    return looper;
}

static bool looper_went_on(void *arg) {
    looper_t *looper = arg;
    uint64_t now = 0;
    if (pread(looper->memory, &now, sizeof now, looper->at) != sizeof now || now <= looper->seen)
        return false;
    looper->seen = now;
    return true;
}

// Nobody waits for its work to end, which it never would. In turns with the bystander's, and alone:
// then the card works on without a quantum.
static void a_client_killed_in_an_endless_loop(void **state) {
    fixture_t *f = *state;
    count_t count = {0};
    accel_error_t error = {0};
    assert_int_equal(accel_manager_open(f->served.socket, &count.manager, &error), ACCEL_OK);
    assert_int_equal(accel_card_processes(count.manager, 0, NULL, 0, &count.n, &error), ACCEL_OK);
    for (int i = 0; i < 4; i++) {
        if (i == 2) {
            assert_true(bystander_end(&f->bystander));
            count.n--;
            assert_true(eventually(has_clients, &count));
        }
        looper_t looper = looper_start(f);
        assert_true(eventually(looper_went_on, &looper));
        assert_true(eventually(looper_went_on, &looper));
        assert_int_equal(kill(looper.pid, SIGKILL), 0);
        assert_int_equal(waitpid(looper.pid, NULL, 0), looper.pid);
        close(looper.memory);
        assert_true(eventually(has_clients, &count));
        assert_true(side_works(&f->side, 6));
    }
    assert_true(bystander_start(&f->bystander, &f->served, f->program)); // for tear_down
    accel_manager_close(count.manager);
}

// Its client is told, and it ends as if nobody were there.
static void a_daemon_ends_under_an_endless_program(void **state) {
    fixture_t *f = *state;
    int status = -1;
    assert_true(bystander_end(&f->bystander));
    side_close(&f->side);
    looper_t looper = looper_start(f);
    assert_true(eventually(looper_went_on, &looper));
    assert_true(eventually(looper_went_on, &looper));
    served_stop(&f->served); // checks that it ends with 0
    assert_int_equal(waitpid(looper.pid, &status, 0), looper.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ACCEL_DEVICE_LOST);
    close(looper.memory);
    accel_program_close(f->program);
    assert_int_equal(set_up(state), 0); // for tear_down
}

// --- Again and again ---

// What hangs a simulated card is a planted fault: while only the offender's work is on it. The work
// of the bystander, who comes then, waits for the node to be reset.
static accel_status_t hang_once(fixture_t *f, accel_manager_t *manager) {
    accel_error_t error = {0};
    assert_int_equal(side_start(&f->side, WORK_LOOP, 0, NULL), ACCEL_OK);
    assert_true(is_running(&f->side));
    assert_int_equal(accel_card_inject(manager, 0, "hang", 0, &error), ACCEL_OK);
    assert_true(bystander_start(&f->bystander, &f->served, f->program));
    accel_status_t status = side_wait(&f->side);
    assert_true(bystander_end(&f->bystander));
    return status;
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
        TEST(wild_stores_and_wild_dma),
        TEST(addresses_of_another_context),
        TEST(local_memory_of_another_core),
        TEST(self_modified_code),
        TEST(endless_loops_and_lonely_barriers),
        TEST(nothing_is_left_in_local_memory),
        TEST(stale_translations_of_card_memory),
        TEST(stale_translations_of_host_memory),
        TEST(buffers_destroyed_while_in_use),
        TEST(a_client_killed_in_an_endless_loop),
        TEST(a_daemon_ends_under_an_endless_program),
        TEST(who_hangs_the_card_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
