// SPDX-License-Identifier: Apache-2.0
// A client process: devices on several cards, threads that share each, opened again when lost.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/soak/soak.h"

// A device that threads share. The last of those that leave a broken one opens it again.
typedef struct shared_device {
    soak_shared_t *shared;
    const accel_program_t *program;
    uint32_t process, number;
    soak_device_t now;
    pthread_mutex_t mutex;
    uint32_t users;
    bool broken, over;
} shared_device_t;

typedef struct member {
    shared_device_t *device;
    soak_worker_t worker;
    pthread_t thread;
} member_t;

// --- Opening ---

static void beat(const soak_worker_t *worker) { atomic_store(&worker->beat->beat_ns, soak_now()); }

static accel_status_t open_device(shared_device_t *device, accel_error_t *error) {
    soak_shared_t *shared = device->shared;
    uint32_t place = soak_place(&shared->n_openings, MAX_OPENINGS);
    soak_opening_t *opening = &shared->openings[place < MAX_OPENINGS ? place : 0];
    accel_device_options_t options = {.socket = shared->socket, .card = device->now.card};
    *opening = (soak_opening_t){
        .process = device->process, .card = device->now.card, .from_ns = soak_now()};
    device->now.opening = place;
    accel_status_t status = accel_device_open("daemon", &options, &device->now.device, error);
    if (status == ACCEL_OK)
        status = accel_module_load(device->now.device, device->program, NULL, &device->now.module,
                                   error);
    opening->open_ns = status == ACCEL_OK ? soak_now() : 0;
    return status;
}

static void close_device(shared_device_t *device) {
    accel_module_unload(device->now.module);
    accel_device_close(device->now.device);
    device->now.module = NULL;
    device->now.device = NULL;
}

// Under the mutex, with no users: tries once.
static bool open_again(shared_device_t *device, soak_worker_t *worker) {
    accel_error_t error = {0};
    uint64_t from = soak_now();
    close_device(device);
    beat(worker);
    if (open_device(device, &error) == ACCEL_OK)
        return true;
    soak_report(worker, &error, OWN_NONE, false, from);
    return false;
}

// --- Threads ---

// Waits until the device is whole, and takes part in it.
static bool join(shared_device_t *device, soak_worker_t *worker) {
    for (;;) {
        (void)pthread_mutex_lock(&device->mutex);
        if (device->broken && device->users == 0)
            device->broken = !open_again(device, worker);
        bool joined = !device->broken;
        device->users += joined ? 1 : 0;
        (void)pthread_mutex_unlock(&device->mutex);
        if (joined || atomic_load(&device->shared->stop))
            return joined;
        soak_sleep_ms(5 + soak_below(&worker->random, 20));
        beat(worker);
    }
}

static bool is_broken(shared_device_t *device) {
    (void)pthread_mutex_lock(&device->mutex);
    bool broken = device->broken;
    (void)pthread_mutex_unlock(&device->mutex);
    return broken;
}

static void leave(shared_device_t *device, const soak_worker_t *worker) {
    (void)pthread_mutex_lock(&device->mutex);
    device->broken |= worker->broken;
    device->users--;
    (void)pthread_mutex_unlock(&device->mutex);
}

static void break_device(shared_device_t *device) {
    (void)pthread_mutex_lock(&device->mutex);
    device->broken = true;
    (void)pthread_mutex_unlock(&device->mutex);
}

// Turns until the device is lost; false: the soak ends.
static bool work_on(shared_device_t *device, soak_worker_t *worker) {
    accel_error_t error = {0};
    bool more = true;
    uint64_t from = soak_now();
    worker->broken = false;
    if (soak_turn_setup(worker, &error) != ACCEL_OK) {
        soak_report(worker, &error, OWN_NONE, false, from);
        worker->broken = true;
    }
    while (more && !worker->broken && !is_broken(device))
        more = soak_turn(worker);
    if (worker->broken)
        break_device(device);
    soak_turn_cleanup(worker);
    beat(worker);
    return more;
}

static void *run_member(void *arg) {
    member_t *member = arg;
    soak_worker_t *worker = &member->worker;
    bool more = true;
    beat(worker);
    while (more && join(member->device, worker)) {
        more = work_on(member->device, worker);
        leave(member->device, worker);
    }
    atomic_store(&worker->beat->beat_ns, 0);
    return NULL;
}

static void set_up(soak_shared_t *shared, uint32_t process, shared_device_t *devices,
                   member_t *members, const accel_program_t *program) {
    const soak_slot_t *slot = &shared->slots[process];
    uint32_t cards = (uint32_t)shared->options.cards;
    for (uint32_t i = 0; i < DEVICES; i++)
        devices[i] =
            (shared_device_t){.shared = shared,
                              .program = program,
                              .process = process,
                              .now = {.card = (process + i + i * (process / cards)) % cards},
                              .mutex = PTHREAD_MUTEX_INITIALIZER,
                              .broken = true};
    for (uint32_t i = 0; i < THREADS; i++) {
        shared_device_t *device = &devices[i / THREADS_EACH];
        soak_thread_t *mark = &shared->slots[process].threads[i];
        atomic_store(&mark->card, device->now.card);
        members[i] = (member_t){
            .device = device,
            .worker = {.shared = shared,
                       .beat = mark,
                       .process = process,
                       .thread = i,
                       .device = &device->now,
                       .random = soak_seed(shared, process, (uint64_t)slot->life << 8 | i)}};
    }
}

int soak_client(soak_shared_t *shared, uint32_t process) {
    shared_device_t devices[DEVICES];
    member_t members[THREADS];
    accel_program_t *program;
    accel_error_t error = {0};
    if (accel_program_open(shared->options.image, &program, &error) != ACCEL_OK) {
        fprintf(stderr, "soak: %s\n", error.text);
        return 1;
    }
    set_up(shared, process, devices, members, program);
    for (uint32_t i = 0; i < THREADS; i++)
        if (pthread_create(&members[i].thread, NULL, run_member, &members[i]) != 0)
            return 1;
    for (uint32_t i = 0; i < THREADS; i++)
        (void)pthread_join(members[i].thread, NULL);
    for (uint32_t i = 0; i < DEVICES; i++)
        close_device(&devices[i]);
    accel_program_close(program);
    return 0;
}
