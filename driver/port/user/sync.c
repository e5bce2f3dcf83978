// SPDX-License-Identifier: Apache-2.0
// Locks, events and time. Spins are mutexes: with few processors their holder may be off one.
#include <errno.h>
#include <time.h>

#include "driver/port/user/user_internal.h"

typedef struct event {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    uint64_t count;
} event_t;
_Static_assert(sizeof(pthread_mutex_t) <= sizeof(port_spin_t), "room for a spin");
_Static_assert(sizeof(pthread_mutex_t) <= sizeof(port_mutex_t), "room for a mutex");
_Static_assert(sizeof(event_t) <= sizeof(port_event_t), "room for an event");

static pthread_mutex_t *spin_of(port_spin_t *spin) { return (pthread_mutex_t *)(void *)spin; }
static pthread_mutex_t *mutex_of(port_mutex_t *mutex) { return (pthread_mutex_t *)(void *)mutex; }
static event_t *event_of(port_event_t *event) { return (event_t *)(void *)event; }

// Interrupts come in threads: they wait.
status_t user_spin_init(port_t *port, port_spin_t *spin, port_spin_kind_t kind) {
    (void)port;
    (void)kind;
    return pthread_mutex_init(spin_of(spin), NULL) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}
void user_spin_deinit(port_t *port, port_spin_t *spin) {
    (void)port;
    (void)pthread_mutex_destroy(spin_of(spin));
}
void user_spin_lock(port_t *port, port_spin_t *spin) {
    (void)port;
    (void)pthread_mutex_lock(spin_of(spin));
}
void user_spin_unlock(port_t *port, port_spin_t *spin) {
    (void)port;
    (void)pthread_mutex_unlock(spin_of(spin));
}

status_t user_mutex_init(port_t *port, port_mutex_t *mutex) {
    (void)port;
    return pthread_mutex_init(mutex_of(mutex), NULL) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}
void user_mutex_deinit(port_t *port, port_mutex_t *mutex) {
    (void)port;
    (void)pthread_mutex_destroy(mutex_of(mutex));
}
void user_mutex_lock(port_t *port, port_mutex_t *mutex) {
    (void)port;
    (void)pthread_mutex_lock(mutex_of(mutex));
}
void user_mutex_unlock(port_t *port, port_mutex_t *mutex) {
    (void)port;
    (void)pthread_mutex_unlock(mutex_of(mutex));
}

status_t user_event_init(port_t *port, port_event_t *storage) {
    (void)port;
    event_t *event = event_of(storage);
    pthread_condattr_t attributes;
    event->count = 0;
    if (pthread_condattr_init(&attributes) != 0)
        return STATUS_NO_MEMORY;
    bool ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_mutex_init(&event->mutex, NULL) == 0 &&
              pthread_cond_init(&event->moved, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}

void user_event_deinit(port_t *port, port_event_t *event) {
    (void)port;
    (void)pthread_cond_destroy(&event_of(event)->moved);
    (void)pthread_mutex_destroy(&event_of(event)->mutex);
}

uint64_t user_event_count(port_t *port, port_event_t *event) {
    (void)port;
    return LOAD_ACQUIRE(&event_of(event)->count);
}

void user_event_set(port_t *port, port_event_t *storage) {
    (void)port;
    event_t *event = event_of(storage);
    (void)pthread_mutex_lock(&event->mutex);
    STORE_RELEASE(&event->count, event->count + 1);
    (void)pthread_cond_broadcast(&event->moved);
    (void)pthread_mutex_unlock(&event->mutex);
}

// Handlers of signals run meanwhile, and who is to die dies.
status_t user_event_wait(port_t *port, port_event_t *storage, uint64_t count, uint64_t deadline_ns,
                         bool interruptible) {
    (void)port;
    (void)interruptible;
    event_t *event = event_of(storage);
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                             .tv_nsec = (time_t)(deadline_ns % 1000000000u)};
    (void)pthread_mutex_lock(&event->mutex);
    int result = 0;
    while (event->count == count && result == 0)
        result = deadline_ns == PORT_WAIT_FOREVER
                     ? pthread_cond_wait(&event->moved, &event->mutex)
                     : pthread_cond_timedwait(&event->moved, &event->mutex, &until);
    (void)pthread_mutex_unlock(&event->mutex);
    return STATUS_OK;
}

uint64_t port_user_clock_ns(void *user) {
    (void)user;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t user_now_ns(port_t *port) { return port_user_clock_ns(port); }

#define SLEEP_US 50u // a sleep costs about as much

// Whoever waits long for a simulated card leaves the processor to the card's threads.
void user_stall_us(port_t *port, uint32_t us) {
    uint64_t end = user_now_ns(port) + us * UINT64_C(1000);
    struct timespec until = {.tv_sec = (time_t)(end / 1000000000u),
                             .tv_nsec = (time_t)(end % 1000000000u)};
    while (us >= SLEEP_US && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
    while (user_now_ns(port) < end)
        CPU_PAUSE();
}
