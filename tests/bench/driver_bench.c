// SPDX-License-Identifier: Apache-2.0
// What a launch and a copy cost beside the barest thing that does as much, both in turn in one run:
// a message to another process and back, a condition variable there and back, memcpy. Exits with 1
// when a goal is missed. Arguments: accel-cardd, image of an empty program (profile host), rounds,
// seconds a turn.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accel/accel.h"
#include "driver/sim/sim.h"
#include "driver/uapi/accel_socket.h"
#include "runtime/runtime_internal.h"
#include "tests/common/threads.h"

#define COPY_BYTES ((size_t)64 << 20)
#define MAX_TIMES  200000u

// Goals.
#define LAUNCH_RATIO 1.5 // of the bare hand-over, where there is one
#define LAUNCH_US    5.0 // in the caller's thread, where there is none
#define THREADS      1   // beside the caller
#define COPY_SHARE   0.8 // of memcpy's rate

typedef struct bench {
    const char *daemon, *image, *socket;
    int rounds;
    double seconds;
    int missed; // goals
} bench_t;

static double now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

NO_RETURN static void die(const char *what, const char *why) {
    fprintf(stderr, "driver_bench: %s: %s\n", what, why);
    exit(1);
}

// --- Things to be timed ---

typedef struct subject {
    void (*once)(void *self);
    void *self;
    // Of all turns.
    double *times;
    size_t n_times;
    double medians[64];
} subject_t;

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, by_value);
    return n == 0 ? 0 : values[n / 2];
}

static void turn(subject_t *subject, double seconds, int round) {
    double *times = subject->times, end = now_us() + seconds * 1e6;
    size_t n = 0;
    for (double start = now_us(); start < end && n < MAX_TIMES; n++) {
        subject->once(subject->self);
        double stop = now_us();
        times[n] = stop - start;
        start = stop;
    }
    subject->n_times += n;
    subject->medians[round] = median(times, n);
}

// All subjects in turn, round by round; the median of the rounds' medians.
static void measure(const bench_t *bench, subject_t *subjects, size_t n_subjects, double *out_us) {
    for (size_t i = 0; i < n_subjects; i++) {
        subjects[i].times = malloc(MAX_TIMES * sizeof(double));
        if (subjects[i].times == NULL)
            die("memory", "none");
        turn(&subjects[i], bench->seconds / 5, 0); // warm
    }
    for (int round = 0; round < bench->rounds; round++)
        for (size_t i = 0; i < n_subjects; i++)
            turn(&subjects[i], bench->seconds, round);
    for (size_t i = 0; i < n_subjects; i++) {
        out_us[i] = median(subjects[i].medians, (size_t)bench->rounds);
        free(subjects[i].times);
    }
}

// --- A bare message to another process and back ---

typedef struct echo {
    int fd;
    pid_t pid;
    uint8_t data[sizeof(accel_socket_head_t) + sizeof(accel_req_submit_t) +
                 sizeof(accel_req_sync_t)]; // as large as a launch's
} echo_t;

static void echo_start(echo_t *echo) {
    int ends[2];
    memset(echo, 0, sizeof *echo);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 || (echo->pid = fork()) < 0)
        die("socketpair", "cannot be made");
    if (echo->pid == 0) {
        (void)close(ends[0]);
        for (ssize_t n; (n = recv(ends[1], echo->data, sizeof echo->data, 0)) > 0;)
            if (send(ends[1], echo->data, (size_t)n, 0) != n)
                break;
        _exit(0);
    }
    (void)close(ends[1]);
    echo->fd = ends[0];
}

static void echo_once(void *self) {
    echo_t *echo = self;
    ssize_t bytes = (ssize_t)sizeof echo->data;
    if (send(echo->fd, echo->data, sizeof echo->data, 0) != bytes ||
        recv(echo->fd, echo->data, sizeof echo->data, 0) != bytes)
        die("echo", "ended");
}

static void echo_stop(echo_t *echo) {
    (void)close(echo->fd);
    (void)waitpid(echo->pid, NULL, 0);
}

// --- A bare hand-over to a thread and back ---

typedef struct relay {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    pthread_t thread;
    int turn; // 0 ours, 1 the thread's, 2 it ends
} relay_t;

static void *relay_run(void *self) {
    relay_t *relay = self;
    (void)pthread_mutex_lock(&relay->mutex);
    while (relay->turn != 2) {
        if (relay->turn == 1) {
            relay->turn = 0;
            (void)pthread_cond_signal(&relay->moved);
        }
        (void)pthread_cond_wait(&relay->moved, &relay->mutex);
    }
    (void)pthread_mutex_unlock(&relay->mutex);
    return NULL;
}

static void relay_start(relay_t *relay) {
    memset(relay, 0, sizeof *relay);
    if (pthread_mutex_init(&relay->mutex, NULL) != 0 ||
        pthread_cond_init(&relay->moved, NULL) != 0 ||
        pthread_create(&relay->thread, NULL, relay_run, relay) != 0)
        die("thread", "cannot be made");
}

static void relay_once(void *self) {
    relay_t *relay = self;
    (void)pthread_mutex_lock(&relay->mutex);
    relay->turn = 1;
    (void)pthread_cond_signal(&relay->moved);
    while (relay->turn != 0)
        (void)pthread_cond_wait(&relay->moved, &relay->mutex);
    (void)pthread_mutex_unlock(&relay->mutex);
}

static void relay_stop(relay_t *relay) {
    (void)pthread_mutex_lock(&relay->mutex);
    relay->turn = 2;
    (void)pthread_cond_signal(&relay->moved);
    (void)pthread_mutex_unlock(&relay->mutex);
    (void)pthread_join(relay->thread, NULL);
}

// --- Launches ---

typedef struct launch {
    accel_program_t *program;
    accel_device_t *device;
    accel_module_t *module;
} launch_t;

static void launch_open(const bench_t *bench, launch_t *launch) {
    accel_error_t error;
    if (accel_program_open(bench->image, &launch->program, &error) != ACCEL_OK ||
        accel_module_load(launch->device, launch->program, NULL, &launch->module, &error) !=
            ACCEL_OK)
        die("program", error.text);
}

static accel_device_t *open_device(const bench_t *bench, const char *kind, uint32_t cores) {
    accel_device_options_t options = {.socket = bench->socket, .cores = cores};
    accel_device_t *device;
    accel_error_t error;
    if (accel_device_open(kind, &options, &device, &error) != ACCEL_OK)
        die(kind, error.text);
    return device;
}

static status_t create_posted(const sim_options_t *options, const sim_host_t *host,
                              sim_function_t *out_function) {
    sim_options_t posted = *options;
    posted.posted = true;
    return sim_function_create(&posted, host, out_function);
}

// A card that works in a thread of its own, as a real one does: launching hands over.
static accel_device_t *open_posted(void) {
    accel_device_options_t options = {.cores = 1};
    rt_client_t client;
    accel_device_t *device;
    accel_error_t error;
    if (rt_inproc_open(&options, create_posted, &client, &error) != ACCEL_OK ||
        rt_device_open(&client, &device, &error) != ACCEL_OK)
        die("posted card", error.text);
    return device;
}

static void launch_once(void *self) {
    launch_t *launch = self;
    accel_error_t error;
    if (accel_run(launch->module, NULL, 0, NULL, 0, &error) != ACCEL_OK)
        die("run", error.text);
}

static void launch_close(launch_t *launch) {
    accel_module_unload(launch->module);
    accel_device_close(launch->device);
    accel_program_close(launch->program);
}

// Says so and counts it when `is` is on the wrong side of its goal.
static void judge(bench_t *bench, const char *what, bool met, double is, double goal) {
    if (met)
        return;
    fprintf(stderr, "driver_bench: goal missed: %s: %.2f, and not %.2f\n", what, is, goal);
    bench->missed++;
}

typedef struct bare {
    const char *what;
    double us;
} bare_t;

static void row(const char *what, double us, const bare_t *bare, const char *goal) {
    printf("| %s | %.2f | %s | %.2f | %.2f | %s |\n", what, us, bare->what, bare->us, us / bare->us,
           goal);
}

static void row_ratio(bench_t *bench, const char *what, double us, const bare_t *bare) {
    char goal[16];
    snprintf(goal, sizeof goal, "%.1f", LAUNCH_RATIO);
    row(what, us, bare, goal);
    judge(bench, what, us <= LAUNCH_RATIO * bare->us, us / bare->us, LAUNCH_RATIO);
}

static void row_us(bench_t *bench, const char *what, double us, const bare_t *bare) {
    char goal[16];
    snprintf(goal, sizeof goal, "%.0f us", LAUNCH_US);
    row(what, us, bare, goal);
    judge(bench, what, us <= LAUNCH_US, us, LAUNCH_US);
}

static uint32_t cores_of(accel_device_t *device) {
    accel_device_info_t info;
    return accel_device_info(device, &info) == ACCEL_OK ? info.cores : 0;
}

typedef struct launches {
    launch_t whole, own, posted, served; // the first: a card as one gets it
    int threads;                         // beside the caller, with that card alone
    echo_t echo;
    relay_t relay;
} launches_t;

static void launches_open(const bench_t *bench, launches_t *l) {
    int before = (int)count_threads();
    l->whole = (launch_t){.device = open_device(bench, "inproc", 0)};
    launch_open(bench, &l->whole);
    for (int i = 0; i < 100; i++)
        launch_once(&l->whole);
    l->threads = (int)count_threads() - before;
    l->own = (launch_t){.device = open_device(bench, "inproc", 1)};
    l->posted = (launch_t){.device = open_posted()};
    l->served = (launch_t){.device = open_device(bench, "daemon", 0)};
    launch_open(bench, &l->own);
    launch_open(bench, &l->posted);
    launch_open(bench, &l->served);
    echo_start(&l->echo);
    relay_start(&l->relay);
}

static void launches_close(launches_t *l) {
    echo_stop(&l->echo);
    relay_stop(&l->relay);
    launch_close(&l->whole);
    launch_close(&l->own);
    launch_close(&l->posted);
    launch_close(&l->served);
}

enum { US_ECHO, US_SERVED, US_RELAY, US_POSTED, US_OWN, US_WHOLE, US_COUNT };

static void print_launches(bench_t *bench, const launches_t *l, const double *us) {
    const bare_t echo = {"a message to a process and back", us[US_ECHO]};
    const bare_t relay = {"a condition variable and back", us[US_RELAY]};
    char whole[80];
    uint32_t cores = cores_of(l->whole.device);
    snprintf(whole, sizeof whole, "in process, as one gets it (%u core%s)", cores,
             cores == 1 ? "" : "s");
    printf("Launch of an empty program and waiting for it, us, medians; threads of a process with "
           "a card as one gets it (%u core%s), beside the caller: %d (goal %d).\n\n",
           cores, cores == 1 ? "" : "s", l->threads, THREADS);
    printf(
        "| what | us | beside | us | ratio | goal |\n| --- | ---: | --- | ---: | ---: | --- |\n");
    row_ratio(bench, "through the daemon, 1 core", us[US_SERVED], &echo);
    row_ratio(bench, "in process, a card with a thread of its own, 1 core", us[US_POSTED], &relay);
    row_us(bench, "in process, in the caller's thread, 1 core", us[US_OWN], &relay);
    row_us(bench, whole, us[US_WHOLE], &relay);
    printf("\n");
    judge(bench, "threads beside the caller", l->threads <= THREADS, l->threads, THREADS);
}

static void bench_launches(bench_t *bench) {
    launches_t l;
    double us[US_COUNT];
    launches_open(bench, &l);
    subject_t subjects[US_COUNT] = {
        [US_ECHO] = {.once = echo_once, .self = &l.echo},
        [US_SERVED] = {.once = launch_once, .self = &l.served},
        [US_RELAY] = {.once = relay_once, .self = &l.relay},
        [US_POSTED] = {.once = launch_once, .self = &l.posted},
        [US_OWN] = {.once = launch_once, .self = &l.own},
        [US_WHOLE] = {.once = launch_once, .self = &l.whole},
    };
    measure(bench, subjects, US_COUNT, us);
    print_launches(bench, &l, us);
    launches_close(&l);
}

// --- Copies ---

typedef struct copy {
    accel_device_t *device;
    accel_stream_t *stream;
    accel_buffer_t *buffer;
    void *from, *to;
} copy_t;

static void copy_open(copy_t *copy) {
    accel_error_t error;
    if (accel_stream_create(copy->device, NULL, &copy->stream, &error) != ACCEL_OK ||
        accel_buffer_create(copy->device, COPY_BYTES, &copy->buffer, &error) != ACCEL_OK ||
        accel_host_alloc(copy->device, COPY_BYTES, &copy->from, &error) != ACCEL_OK ||
        accel_host_alloc(copy->device, COPY_BYTES, &copy->to, &error) != ACCEL_OK)
        die("copy", error.text);
    memset(copy->from, 1, COPY_BYTES);
    memset(copy->to, 2, COPY_BYTES);
}

static void write_once(void *self) {
    copy_t *copy = self;
    accel_error_t error;
    if (accel_stream_write(copy->stream, copy->buffer, 0, copy->from, COPY_BYTES, &error) !=
            ACCEL_OK ||
        accel_stream_wait(copy->stream, UINT64_MAX, &error) != ACCEL_OK)
        die("write", error.text);
}

static void read_once(void *self) {
    copy_t *copy = self;
    accel_error_t error;
    if (accel_stream_read(copy->stream, copy->to, copy->buffer, 0, COPY_BYTES, &error) !=
            ACCEL_OK ||
        accel_stream_wait(copy->stream, UINT64_MAX, &error) != ACCEL_OK)
        die("read", error.text);
}

static void memcpy_once(void *self) {
    copy_t *copy = self;
    memcpy(copy->to, copy->from, COPY_BYTES);
    __asm__ volatile("" : : "r"(copy->to) : "memory"); // it is not left out
}

static void copy_close(copy_t *copy) {
    accel_host_free(copy->device, copy->from);
    accel_host_free(copy->device, copy->to);
    accel_buffer_destroy(copy->buffer);
    accel_stream_destroy(copy->stream);
    accel_device_close(copy->device);
}

static void copy_row(bench_t *bench, const char *where, const char *which, double us,
                     double bare_us) {
    char what[80];
    double rate = (double)COPY_BYTES / 1e3; // GB/s from us
    snprintf(what, sizeof what, "%s, %s", where, which);
    printf("| %s | %.2f | %.2f | %.0f%% | %.0f%% |\n", what, rate / us, rate / bare_us,
           100 * bare_us / us, 100 * COPY_SHARE);
    judge(bench, what, bare_us >= COPY_SHARE * us, bare_us / us, COPY_SHARE);
}

static void bench_copies(bench_t *bench) {
    const char *const kinds[] = {"inproc", "daemon"};
    printf("Copies of 64 MiB, warm, memory from accel_host_alloc, GB/s, medians; memcpy between "
           "the same two blocks of host memory.\n\n");
    printf("| what | copy | memcpy | of memcpy | goal |\n| --- | ---: | ---: | ---: | --- |\n");
    for (int i = 0; i < 2; i++) {
        double us[3];
        copy_t copy = {.device = open_device(bench, kinds[i], 0)};
        copy_open(&copy);
        subject_t subjects[] = {{.once = memcpy_once, .self = &copy},
                                {.once = write_once, .self = &copy},
                                {.once = read_once, .self = &copy}};
        measure(bench, subjects, 3, us);
        const char *where = i == 0 ? "in process" : "through the daemon";
        copy_row(bench, where, "to the card", us[1], us[0]);
        copy_row(bench, where, "from the card", us[2], us[0]);
        copy_close(&copy);
    }
    printf("\n");
}

// --- The daemon ---

static pid_t start_daemon(const bench_t *bench) {
    char option[128];
    snprintf(option, sizeof option, "--socket=%s", bench->socket);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM); // it ends with this program, however that ends
        (void)freopen("/dev/null", "w", stderr);
        (void)execl(bench->daemon, bench->daemon, "--foreground", "--cores=1", option,
                    (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && access(bench->socket, F_OK) != 0; i++)
        (void)usleep(10000);
    return pid;
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/accel-bench-XXXXXX", socket[64];
    if (argc != 5 || mkdtemp(folder) == NULL) {
        fputs("usage: driver_bench ACCEL-CARDD IMAGE ROUNDS SECONDS\n", stderr);
        return 2;
    }
    snprintf(socket, sizeof socket, "%s/card.sock", folder);
    bench_t bench = {argv[1], argv[2], socket, atoi(argv[3]), atof(argv[4]), 0};
    if (bench.rounds < 1 || bench.rounds > 64)
        die("rounds", "1 to 64");
    pid_t pid = start_daemon(&bench);
    bench_launches(&bench);
    bench_copies(&bench);
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
    (void)rmdir(folder);
    return bench.missed != 0;
}
