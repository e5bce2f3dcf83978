// SPDX-License-Identifier: Apache-2.0
// accel_soak: options; the daemon, the planter and the clients; who hangs, who is killed; the end.
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/soak/soak.h"
#include "tools/common/cli.h"

typedef struct soak {
    soak_shared_t *shared;
    char folder[64], log[96];
    pid_t daemon, planter;
    uint64_t random, next_kill_ns, next_stop_ns;
    uint64_t stopped_until_ns[MAX_PROCESSES], resumed_ns[MAX_PROCESSES];
    bool killed[MAX_PROCESSES], failed;
} soak_t;

#define OPTION(long_name, kind, member, value, help)                                               \
    { 0, long_name, kind, offsetof(soak_options_t, member), value, NULL, help }
static const cli_option_t option_table[] = {
    OPTION("seconds", CLI_U64, seconds, "N", "over which all is spread (default 300)"),
    OPTION("submissions", CLI_U64, submissions, "N", "in all (default 100000)"),
    OPTION("faults", CLI_U64, faults, "N", "planted, in all (default 3000)"),
    OPTION("hangs", CLI_U64, hangs, "N", "of them hangs (default 240)"),
    OPTION("cards", CLI_U64, cards, "N", "of the daemon (default 4)"),
    OPTION("processes", CLI_U64, processes, "N", "that work (default 8)"),
    OPTION("seed", CLI_U64, seed, "N", "(default 1)"),
    OPTION("scale", CLI_U64, scale, "N", "a N-th of seconds, submissions, faults and hangs"),
    OPTION("limit-ms", CLI_U64, limit_ms, "N",
           "in which a lost card is told (default 1000; 0: not judged)"),
    OPTION("percent", CLI_U64, percent, "N", "of the submissions have to succeed (default 90)"),
    OPTION("stuck-s", CLI_U64, stuck_s, "N", "without progress and a client hangs (default 30)"),
    OPTION("daemon", CLI_TEXT, daemon, "FILE", "accel-cardd (default: beside this program)"),
    OPTION("image", CLI_TEXT, image, "FILE", "the device program (default: that of this build)"),
    OPTION("verbose", CLI_FLAG, verbose, NULL, "prints failures and events as they come"),
};

static const cli_program_t program_info = {
    .name = "accel_soak",
    .operands = "",
    .summary = "Thousands of faults are planted on simulated cards while processes work on them. "
               "Checks all results, and that nobody sees an error who must not.",
    .options = option_table,
    .n_options = sizeof option_table / sizeof option_table[0],
};

// --- Processes ---

// Nothing outlives this program.
static void die_with_parent(void) { (void)prctl(PR_SET_PDEATHSIG, SIGKILL); }

static pid_t start_client(soak_t *soak, uint32_t process) {
    soak_slot_t *slot = &soak->shared->slots[process];
    for (uint32_t i = 0; i < THREADS; i++)
        atomic_store(&slot->threads[i].beat_ns, 0);
    slot->life++;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        die_with_parent();
        _exit(soak_client(soak->shared, process));
    }
    slot->pid = pid;
    return pid;
}

static pid_t start_planter(soak_t *soak) {
    (void)fflush(NULL);
    soak->planter = fork();
    if (soak->planter == 0) {
        die_with_parent();
        _exit(soak_plant(soak->shared));
    }
    return soak->planter;
}

static void run_daemon(const soak_t *soak) {
    const soak_shared_t *shared = soak->shared;
    char socket_option[128], log_option[128], cards_option[32];
    (void)snprintf(socket_option, sizeof socket_option, "--socket=%s", shared->socket);
    (void)snprintf(log_option, sizeof log_option, "--log=%s", soak->log);
    (void)snprintf(cards_option, sizeof cards_option, "--cards=%lu",
                   (unsigned long)shared->options.cards);
    const char *const args[] = {
        shared->options.daemon, "--foreground", socket_option, log_option, cards_option,
        "--profile=edge",       "--cores=2",    "--memory=2G", NULL};
    die_with_parent();
    (void)execv(shared->options.daemon, (char *const *)(uintptr_t)args);
    _exit(127);
}

static bool start_daemon(soak_t *soak) {
    (void)fflush(NULL);
    soak->daemon = fork();
    if (soak->daemon == 0)
        run_daemon(soak);
    for (uint32_t i = 0; i < 3000 && waitpid(soak->daemon, NULL, WNOHANG) == 0; i++) {
        accel_manager_t *manager;
        if (accel_manager_open(soak->shared->socket, &manager, NULL) == ACCEL_OK) {
            accel_manager_close(manager);
            return true;
        }
        soak_sleep_ms(10);
    }
    return false;
}

// --- What the daemon has ---

static size_t entries_of(pid_t pid, const char *what) {
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(folder);
    return n;
}

// Threads that serve clients. Those of the cards begin when they are first needed, and stay.
static size_t serving_of(pid_t pid) {
    char path[64], name[32];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char file[512];
        (void)snprintf(file, sizeof file, "%s/%s/comm", path, entry->d_name);
        FILE *comm = fopen(file, "r");
        if (comm == NULL)
            continue;
        n += fgets(name, sizeof name, comm) != NULL && strcmp(name, "client\n") == 0;
        (void)fclose(comm);
    }
    (void)closedir(folder);
    return n;
}

static bool look(const soak_t *soak, soak_state_t *out_state) {
    accel_manager_t *manager;
    accel_error_t error = {0};
    *out_state = (soak_state_t){0};
    if (accel_manager_open(soak->shared->socket, &manager, &error) != ACCEL_OK) {
        fprintf(stderr, "soak: %s\n", error.text);
        return false;
    }
    for (uint32_t card = 0; card < soak->shared->options.cards; card++) {
        accel_card_telemetry_t now = {0};
        uint32_t count = 0;
        (void)accel_card_processes(manager, card, NULL, 0, &count, &error);
        (void)accel_card_telemetry(manager, card, &now, &error);
        out_state->clients += count;
        out_state->memory_free[card] = now.memory_free;
        out_state->retired[card] = now.retired_pages;
    }
    out_state->descriptors = entries_of(soak->daemon, "fd");
    out_state->threads = entries_of(soak->daemon, "task");
    out_state->serving = serving_of(soak->daemon);
    accel_manager_close(manager);
    return true;
}

static bool is_back(const soak_state_t *now, const soak_state_t *before) {
    return now->descriptors == before->descriptors && now->serving == before->serving &&
           now->clients == before->clients;
}

// --- Who is killed, stopped, stuck ---

static uint32_t some_process(soak_t *soak) {
    return (uint32_t)soak_below(&soak->random, soak->shared->options.processes);
}

static void kill_somebody(soak_t *soak, uint64_t now) {
    const soak_options_t *options = &soak->shared->options;
    uint32_t process = some_process(soak);
    pid_t pid = soak->shared->slots[process].pid;
    if (now < soak->next_kill_ns)
        return;
    soak->next_kill_ns = now + options->seconds * 1000000000 / 40;
    if (pid == 0 || soak->stopped_until_ns[process] != 0)
        return;
    soak->killed[process] = kill(pid, SIGKILL) == 0;
    soak->shared->n_kills++;
}

static void stop_somebody(soak_t *soak, uint64_t now) {
    soak_shared_t *shared = soak->shared;
    uint32_t process = some_process(soak);
    pid_t pid = shared->slots[process].pid;
    if (now < soak->next_stop_ns)
        return;
    soak->next_stop_ns = now + shared->options.seconds * 1000000000 / 60;
    if (pid == 0 || soak->killed[process] || soak->stopped_until_ns[process] != 0 ||
        shared->n_stops == MAX_STOPS || kill(pid, SIGSTOP) != 0)
        return;
    uint64_t ms = 200 + soak_below(&soak->random, 1500);
    soak->stopped_until_ns[process] = now + ms * 1000000;
    shared->stops[shared->n_stops++] =
        (soak_stop_t){.process = process, .from_ns = now, .to_ns = UINT64_MAX};
}

static void resume(soak_t *soak, uint64_t now) {
    soak_shared_t *shared = soak->shared;
    for (uint32_t i = 0; i < shared->options.processes; i++) {
        if (soak->stopped_until_ns[i] == 0 || soak->stopped_until_ns[i] > now)
            continue;
        (void)kill(shared->slots[i].pid, SIGCONT);
        soak->stopped_until_ns[i] = 0;
        soak->resumed_ns[i] = now;
        for (uint32_t k = 0; k < shared->n_stops; k++)
            if (shared->stops[k].process == i && shared->stops[k].to_ns == UINT64_MAX)
                shared->stops[k].to_ns = now + 100000000; // it has to get going
    }
}

static void look_for_stuck(soak_t *soak, uint64_t now) {
    const soak_shared_t *shared = soak->shared;
    for (uint32_t i = 0; i < shared->options.processes * THREADS; i++) {
        uint32_t process = i / THREADS;
        const soak_thread_t *thread = &shared->slots[process].threads[i % THREADS];
        uint64_t beat = atomic_load(&thread->beat_ns);
        if (beat == 0 || shared->slots[process].pid == 0 || soak->stopped_until_ns[process] != 0)
            continue;
        if (beat < soak->resumed_ns[process])
            beat = soak->resumed_ns[process];
        if (now < beat || now - beat < shared->options.stuck_s * 1000000000)
            continue;
        printf("soak: FAILED: no progress for %lu s; seed %lu, process %u (pid %d), thread %u, "
               "card %u, submission %lu\n",
               (unsigned long)shared->options.stuck_s, (unsigned long)shared->options.seed, process,
               (int)shared->slots[process].pid, i % THREADS, atomic_load(&thread->card),
               (unsigned long)atomic_load(&thread->number));
        soak->failed = true;
    }
}

// --- The life of the soak ---

static bool is_done(const soak_shared_t *shared) {
    return atomic_load(&shared->submitted) >= shared->options.submissions;
}

static void client_ended(soak_t *soak, uint32_t process, int status) {
    soak_shared_t *shared = soak->shared;
    bool expected = soak->killed[process] && WIFSIGNALED(status);
    shared->slots[process].pid = 0;
    soak->killed[process] = false;
    if (!expected && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        printf("soak: FAILED: process %u ended with status 0x%x (seed %lu)\n", process, status,
               (unsigned long)shared->options.seed);
        soak->failed = true;
    }
    if (expected && !is_done(shared) && !soak->failed)
        (void)start_client(soak, process);
}

static void reap(soak_t *soak) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == soak->daemon || pid == soak->planter) {
            bool early = pid == soak->daemon || status != 0;
            if (early) {
                printf("soak: FAILED: the %s ended with status 0x%x (seed %lu)\n",
                       pid == soak->daemon ? "daemon" : "planter", status,
                       (unsigned long)soak->shared->options.seed);
                soak->failed = true;
            }
            *(pid == soak->daemon ? &soak->daemon : &soak->planter) = 0;
        }
        for (uint32_t i = 0; i < soak->shared->options.processes; i++)
            if (soak->shared->slots[i].pid == pid)
                client_ended(soak, i, status);
    }
}

static uint32_t alive(const soak_t *soak) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < soak->shared->options.processes; i++)
        n += soak->shared->slots[i].pid != 0;
    return n;
}

static void supervise(soak_t *soak) {
    soak_shared_t *shared = soak->shared;
    uint64_t end = shared->start_ns + (shared->options.seconds * 4 + 60) * 1000000000;
    while (!soak->failed && (alive(soak) > 0 || !atomic_load(&shared->planted))) {
        uint64_t now = soak_now();
        reap(soak);
        if (!is_done(shared)) {
            kill_somebody(soak, now);
            stop_somebody(soak, now);
        }
        resume(soak, now);
        look_for_stuck(soak, now);
        if (now > end)
            atomic_store(&shared->stop, true);
        soak_sleep_ms(5);
    }
    atomic_store(&shared->stop, true);
}

// A failed soak is not waited for.
static void end_all(soak_t *soak) {
    for (uint32_t i = 0; i < 2000 && soak->planter != 0; i++) {
        reap(soak);
        soak_sleep_ms(5);
    }
    for (uint32_t i = 0; i < soak->shared->options.processes; i++)
        if (soak->shared->slots[i].pid != 0)
            (void)kill(soak->shared->slots[i].pid, SIGKILL);
    if (soak->planter != 0)
        (void)kill(soak->planter, SIGKILL);
}

static bool end_daemon(soak_t *soak) {
    int status = -1;
    if (soak->daemon == 0 || kill(soak->daemon, SIGTERM) != 0)
        return false;
    for (uint32_t i = 0; i < 6000; i++) {
        if (waitpid(soak->daemon, &status, WNOHANG) == soak->daemon)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        soak_sleep_ms(5);
    }
    (void)kill(soak->daemon, SIGKILL);
    (void)waitpid(soak->daemon, NULL, 0);
    return false;
}

static bool run(soak_t *soak) {
    soak_state_t before, after;
    soak_shared_t *shared = soak->shared;
    do { // until nobody but this look is served
        soak_sleep_ms(20);
        if (!look(soak, &before))
            return false;
    } while (before.serving > 1);
    shared->start_ns = soak_now();
    soak->next_kill_ns = shared->start_ns + shared->options.seconds * 1000000000 / 20;
    soak->next_stop_ns = shared->start_ns + shared->options.seconds * 1000000000 / 30;
    bool started = start_planter(soak) > 0;
    for (uint32_t i = 0; i < shared->options.processes; i++)
        started &= start_client(soak, i) > 0;
    soak->failed = !started;
    supervise(soak);
    end_all(soak);
    bool looked = look(soak, &after);
    for (uint32_t i = 0; i < 2000 && looked && !is_back(&after, &before); i++) {
        soak_sleep_ms(5);
        looked = look(soak, &after);
    }
    return looked && soak_judge(shared, &before, &after) && !soak->failed;
}

// --- Options ---

static void beside_this(const char *name, char *out_path, size_t bytes) {
    char here[4096];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    here[n > 0 ? n : 0] = 0;
    char *slash = strrchr(here, '/');
    if (slash != NULL)
        *slash = 0;
    (void)snprintf(out_path, bytes, "%s/%s", here, name);
}

static const char *scale(soak_options_t *options) {
    if (options->scale < 1 || options->cards < 1 || options->cards > MAX_CARDS ||
        options->processes < 1 || options->processes > MAX_PROCESSES)
        return "--scale, --cards (at most 8) or --processes (at most 16)";
    options->seconds /= options->scale;
    options->submissions /= options->scale;
    options->faults /= options->scale;
    options->hangs /= options->scale;
    if (options->limit_ms == 0)
        options->limit_ms = UINT64_MAX / 1000000;
    return options->seconds < 1 || options->submissions < 1 ? "--seconds or --submissions" : NULL;
}

static int start(const soak_options_t *options) {
    soak_t soak = {.folder = "/tmp/accel-soak-XXXXXX"};
    soak.shared =
        mmap(NULL, sizeof *soak.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (soak.shared == MAP_FAILED || mkdtemp(soak.folder) == NULL)
        return CLI_EXIT_FAILURE;
    soak.shared->options = *options;
    (void)snprintf(soak.shared->socket, sizeof soak.shared->socket, "%s/card.sock", soak.folder);
    (void)snprintf(soak.log, sizeof soak.log, "%s/log", soak.folder);
    soak.random = soak_seed(soak.shared, 2000, 0);
    bool ok = start_daemon(&soak);
    if (!ok)
        fprintf(stderr, "soak: %s did not start\n", options->daemon);
    ok = ok && run(&soak);
    if (!end_daemon(&soak)) {
        printf("soak: FAILED: the daemon did not end as it should\n");
        ok = false;
    }
    if (ok) {
        char lock[128];
        (void)snprintf(lock, sizeof lock, "%s.lock", soak.shared->socket);
        (void)unlink(lock);
        (void)unlink(soak.log);
        (void)rmdir(soak.folder);
    } else {
        printf("soak: the daemon's log is %s\n", soak.log);
    }
    printf("soak: %s, seed %lu\n", ok ? "passed" : "FAILED", (unsigned long)options->seed);
    return ok ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

int main(int argc, char **argv) {
    arena_t arena;
    cli_list_t operands = {0};
    char daemon[4200], image[4200];
    beside_this("accel-cardd", daemon, sizeof daemon);
    beside_this("../tests/soak/soak.bin", image, sizeof image);
    soak_options_t options = {.seconds = 300,
                              .submissions = 100000,
                              .faults = 3000,
                              .hangs = 240,
                              .cards = 4,
                              .processes = 8,
                              .seed = 1,
                              .scale = 1,
                              .limit_ms = 1000,
                              .percent = 90,
                              .stuck_s = 30,
                              .daemon = daemon,
                              .image = image};
    arena_init(&arena);
    cli_result_t parsed =
        cli_parse(&program_info, argc, argv, &arena, stdout, stderr, &options, &operands);
    const char *wrong = parsed == CLI_GO_ON ? scale(&options) : NULL;
    if (wrong != NULL)
        cli_complain(&program_info, stderr, wrong);
    int code = parsed == CLI_DONE                     ? CLI_EXIT_OK
               : parsed == CLI_WRONG || wrong != NULL ? CLI_EXIT_USAGE
                                                      : start(&options);
    arena_deinit(&arena);
    return code;
}
