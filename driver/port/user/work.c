// SPDX-License-Identifier: Apache-2.0
// Work at a time: one thread for all of a port's, since none waits for another one. It is started
// with the first work: who has one can count on it.
#include <time.h>

#include "driver/port/user/user_internal.h"

typedef struct work {
    struct work *next; // of the port's
    void (*run)(void *user);
    void *user;
    uint64_t when; // PORT_WORK_NEVER: not waiting
} work_t;
_Static_assert(sizeof(work_t) <= sizeof(port_work_t), "room for a work");

static work_t *work_of(port_work_t *work) { return (work_t *)(void *)work; }

status_t port_user_works_init(port_user_t *port) {
    pthread_condattr_t attributes;
    works_t *works = &port->works;
    if (pthread_condattr_init(&attributes) != 0)
        return STATUS_NO_MEMORY;
    bool ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_mutex_init(&works->lock, NULL) == 0 &&
              pthread_cond_init(&works->moved, &attributes) == 0 &&
              pthread_cond_init(&works->idle, NULL) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}

void port_user_works_deinit(port_user_t *port) {
    works_t *works = &port->works;
    (void)pthread_mutex_lock(&works->lock);
    works->stopping = true;
    (void)pthread_cond_broadcast(&works->moved);
    (void)pthread_mutex_unlock(&works->lock);
    if (works->has_thread)
        (void)pthread_join(works->thread, NULL);
    (void)pthread_cond_destroy(&works->idle);
    (void)pthread_cond_destroy(&works->moved);
    (void)pthread_mutex_destroy(&works->lock);
}

// Under the lock: the work whose time comes first, or NULL.
static work_t *first_due(const works_t *works) {
    work_t *first = NULL;
    for (work_t *work = works->first; work != NULL; work = work->next)
        if (work->when != PORT_WORK_NEVER && (first == NULL || work->when < first->when))
            first = work;
    return first;
}

// Under the lock, given up meanwhile.
static void run(works_t *works, work_t *work) {
    void (*call)(void *user) = work->run;
    void *user = work->user;
    work->when = PORT_WORK_NEVER;
    works->running = work;
    (void)pthread_mutex_unlock(&works->lock);
    call(user);
    (void)pthread_mutex_lock(&works->lock);
    works->running = NULL;
    (void)pthread_cond_broadcast(&works->idle);
}

static void *loop(void *user) {
    works_t *works = user;
    (void)pthread_setname_np(pthread_self(), "card watch");
    (void)pthread_mutex_lock(&works->lock);
    while (!works->stopping) {
        work_t *work = first_due(works);
        if (work == NULL) {
            (void)pthread_cond_wait(&works->moved, &works->lock);
        } else if (work->when > port_user_clock_ns(NULL)) {
            struct timespec until = {.tv_sec = (time_t)(work->when / 1000000000u),
                                     .tv_nsec = (time_t)(work->when % 1000000000u)};
            (void)pthread_cond_timedwait(&works->moved, &works->lock, &until);
        } else {
            run(works, work);
        }
    }
    (void)pthread_mutex_unlock(&works->lock);
    return NULL;
}

status_t user_work_init(port_t *base, port_work_t *storage, port_work_kind_t kind,
                        void (*run_work)(void *user), void *user) {
    (void)kind; // one thread for both: memory is not waited for here
    works_t *works = &user_of(base)->works;
    work_t *work = work_of(storage);
    (void)pthread_mutex_lock(&works->lock);
    if (!works->has_thread)
        works->has_thread = pthread_create(&works->thread, NULL, loop, works) == 0;
    bool ok = works->has_thread;
    if (ok) {
        *work = (work_t){works->first, run_work, user, PORT_WORK_NEVER};
        works->first = work;
    }
    (void)pthread_mutex_unlock(&works->lock);
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}

void user_work_deinit(port_t *base, port_work_t *storage) {
    works_t *works = &user_of(base)->works;
    const work_t *work = work_of(storage);
    (void)pthread_mutex_lock(&works->lock);
    while (works->running == work)
        (void)pthread_cond_wait(&works->idle, &works->lock);
    for (work_t **link = &works->first; *link != NULL; link = &(*link)->next) {
        if (*link == work) {
            *link = work->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&works->lock);
}

void user_work_at(port_t *base, port_work_t *storage, uint64_t when_ns) {
    works_t *works = &user_of(base)->works;
    (void)pthread_mutex_lock(&works->lock);
    work_of(storage)->when = when_ns;
    (void)pthread_cond_signal(&works->moved);
    (void)pthread_mutex_unlock(&works->lock);
}
