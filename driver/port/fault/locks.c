// SPDX-License-Identifier: Apache-2.0
// Who holds which lock, in which order, and in which context each thread is.
#include "driver/port/fault/fault_internal.h"

#define NO_CLASS FAULT_CLASSES

// --- Threads ---

static fault_thread_t *thread_find(port_fault_t *port) {
    pthread_t self = pthread_self();
    for (uint32_t i = 0; i < FAULT_THREADS; i++)
        if (port->threads[i].in_use && pthread_equal(port->threads[i].id, self) != 0)
            return &port->threads[i];
    return NULL;
}

// NULL, told: too many at once.
static fault_thread_t *thread_get(port_fault_t *port) {
    fault_thread_t *thread = thread_find(port);
    for (uint32_t i = 0; i < FAULT_THREADS && thread == NULL; i++) {
        if (port->threads[i].in_use)
            continue;
        thread = &port->threads[i];
        *thread = (fault_thread_t){.in_use = true, .id = pthread_self()};
    }
    if (thread == NULL)
        fault_tell(port, "more than %u threads at once", FAULT_THREADS);
    return thread;
}

static void thread_put(fault_thread_t *thread) {
    if (thread->n_held == 0 && thread->context == IN_PROCESS && !thread->is_reclaim)
        thread->in_use = false;
}

static bool holds_spin(const fault_thread_t *thread) {
    for (uint32_t i = 0; i < thread->n_held; i++)
        if (thread->held[i].is_spin)
            return true;
    return false;
}

void fault_set_reclaim(port_fault_t *port, bool is_reclaim) {
    fault_thread_t *thread = is_reclaim ? thread_get(port) : thread_find(port);
    if (thread == NULL)
        return;
    thread->is_reclaim = is_reclaim;
    thread_put(thread);
}

static void check_class(port_fault_t *port, const fault_class_t *lock_class) {
    if (lock_class->allocates && lock_class->reclaims)
        fault_tell(port, "work that memory waits for takes a lock under which memory is allocated");
}

void fault_check_alloc(port_fault_t *port, const char *call) {
    const fault_thread_t *thread = thread_find(port);
    if (thread == NULL)
        return;
    if (thread->is_reclaim)
        fault_tell(port, "%s in work that memory waits for", call);
    for (uint32_t i = 0; i < thread->n_held; i++) {
        if (thread->held[i].lock_class == NO_CLASS)
            continue;
        fault_class_t *lock_class = &port->classes[thread->held[i].lock_class];
        lock_class->allocates = true;
        check_class(port, lock_class);
    }
}

void fault_count_in_spin(port_fault_t *port) {
    fault_thread_t *thread = thread_find(port);
    if (thread == NULL || !holds_spin(thread))
        return;
    if (++thread->n_looks > port->counts.most_in_spin)
        port->counts.most_in_spin = thread->n_looks;
}

void fault_check_context(port_fault_t *port, const char *call, fault_context_t most, bool sleeps) {
    static const char *const names[] = {"process", "deferred", "interrupt"};
    const fault_thread_t *thread = thread_find(port);
    if (thread == NULL)
        return;
    if (thread->context > most)
        fault_tell(port, "%s in %s context", call, names[thread->context]);
    if (sleeps && holds_spin(thread))
        fault_tell(port, "%s with a spin held", call);
}

void fault_check_none_held(port_fault_t *port, const char *what) {
    const fault_thread_t *thread = thread_find(port);
    if (thread != NULL && thread->n_held > 0)
        fault_tell(port, "%s with %u locks held", what, thread->n_held);
}

fault_context_t fault_enter(port_fault_t *port, fault_context_t context) {
    fault_thread_t *thread = thread_get(port);
    if (thread == NULL)
        return context;
    fault_context_t before = thread->context;
    thread->context = context;
    return before;
}

void fault_leave(port_fault_t *port, const char *what, fault_context_t before) {
    fault_thread_t *thread = thread_find(port);
    if (thread == NULL)
        return;
    if (thread->n_held > 0)
        fault_tell(port, "%s returned with %u locks held", what, thread->n_held);
    thread->context = before;
    thread_put(thread);
}

// --- Classes ---

static uint32_t site_find(port_fault_t *port, const void *where, bool is_spin) {
    for (uint32_t i = 0; i < port->n_sites; i++)
        if (port->sites[i].where == where && port->sites[i].is_spin == is_spin)
            return i;
    if (port->n_sites == FAULT_SITES) {
        fault_tell(port, "locks are initialised at more than %u places", FAULT_SITES);
        return FAULT_SITES;
    }
    port->sites[port->n_sites] = (fault_site_t){.where = where, .is_spin = is_spin};
    return port->n_sites++;
}

static uint32_t class_find(port_fault_t *port, uint32_t site, uint32_t number) {
    for (uint32_t i = 0; i < port->n_classes; i++)
        if (port->classes[i].site == site && port->classes[i].number == number)
            return i;
    if (port->n_classes == FAULT_CLASSES) {
        fault_tell(port, "more than %u classes of locks", FAULT_CLASSES);
        return NO_CLASS;
    }
    port->classes[port->n_classes] = (fault_class_t){.site = site, .number = number};
    return port->n_classes++;
}

void fault_lock_made(port_fault_t *port, fault_entry_t *entry, fault_context_t most,
                     const void *where) {
    bool is_spin = entry->kind == PORT_FAULT_SPIN_INIT;
    entry->most = most;
    entry->rank = is_spin ? port->spin_rank : port->mutex_rank;
    entry->site = site_find(port, where, is_spin);
    entry->lock_class = NO_CLASS;
    if (entry->site == FAULT_SITES)
        return;
    fault_site_t *site = &port->sites[entry->site];
    site->live++;
    entry->lock_class = class_find(port, entry->site, is_spin ? site->next++ : 0);
}

void fault_lock_gone(port_fault_t *port, port_fault_call_t kind, const void *key) {
    const fault_entry_t *entry = fault_find(port, kind, key);
    if (entry == NULL || entry->site == FAULT_SITES)
        return; // fault_remove tells
    fault_site_t *site = &port->sites[entry->site];
    if (--site->live == 0)
        site->next = 0;
    for (uint32_t i = 0; i < FAULT_THREADS; i++)
        for (uint32_t h = 0; port->threads[i].in_use && h < port->threads[i].n_held; h++)
            if (port->threads[i].held[h].key == key)
                fault_tell(port, "a lock is given back while it is held");
}

// --- Order ---

// Whether `to` was ever taken while `from` was held, directly or over others.
static bool leads_to(const port_fault_t *port, uint32_t from, uint32_t to) {
    uint64_t seen = UINT64_C(1) << from, todo = seen;
    while (todo != 0) {
        uint32_t at = 0;
        while ((todo >> at & 1) == 0)
            at++;
        todo &= todo - 1;
        if (at == to)
            return true;
        todo |= port->classes[at].after & ~seen;
        seen |= port->classes[at].after;
    }
    return false;
}

static void check_pair(port_fault_t *port, const fault_held_t *held, const fault_entry_t *next,
                       bool is_spin) {
    if (held->is_spin && !is_spin)
        fault_tell(port, "a mutex is taken with a spin held");
    if (held->rank != 0 && next->rank != 0 && held->rank >= next->rank)
        fault_tell(port, "a lock of rank %u is taken with one of rank %u held", next->rank,
                   held->rank);
    if (held->lock_class == NO_CLASS || next->lock_class == NO_CLASS)
        return;
    if (leads_to(port, next->lock_class, held->lock_class))
        fault_tell(port, "locks of classes %u and %u are taken in both orders", held->lock_class,
                   next->lock_class);
    else
        port->classes[held->lock_class].after |= UINT64_C(1) << next->lock_class;
}

static bool is_held(const fault_thread_t *thread, const void *key) {
    for (uint32_t i = 0; i < thread->n_held; i++)
        if (thread->held[i].key == key)
            return true;
    return false;
}

bool fault_take(port_fault_t *port, port_fault_call_t kind, const void *key) {
    bool is_spin = kind == PORT_FAULT_SPIN_INIT;
    const fault_entry_t *entry = fault_find(port, kind, key);
    if (entry == NULL) {
        fault_tell(port, "a lock is taken that is not initialised");
        return false;
    }
    fault_thread_t *thread = thread_get(port);
    if (thread == NULL)
        return true;
    if (is_spin && thread->context > entry->most)
        fault_tell(port, "a spin that is not for interrupts is taken in one");
    if (is_spin && !holds_spin(thread))
        thread->n_looks = 0;
    if (is_held(thread, key)) {
        fault_tell(port, "a lock is taken twice by one thread");
        return false;
    }
    for (uint32_t i = 0; i < thread->n_held; i++)
        check_pair(port, &thread->held[i], entry, is_spin);
    if (thread->is_reclaim && entry->lock_class != NO_CLASS) {
        port->classes[entry->lock_class].reclaims = true;
        check_class(port, &port->classes[entry->lock_class]);
    }
    if (thread->n_held == FAULT_HELD)
        fault_tell(port, "more than %u locks are held", FAULT_HELD);
    else
        thread->held[thread->n_held++] = (fault_held_t){
            .key = key, .is_spin = is_spin, .lock_class = entry->lock_class, .rank = entry->rank};
    return true;
}

bool fault_give(port_fault_t *port, port_fault_call_t kind, const void *key) {
    bool is_spin = kind == PORT_FAULT_SPIN_INIT;
    fault_thread_t *thread = thread_find(port);
    for (uint32_t i = thread != NULL ? thread->n_held : 0; i-- > 0;) {
        if (thread->held[i].key != key || thread->held[i].is_spin != is_spin)
            continue;
        for (thread->n_held--; i < thread->n_held; i++)
            thread->held[i] = thread->held[i + 1];
        thread_put(thread);
        return true;
    }
    fault_tell(port, "a lock is unlocked by a thread that does not hold it");
    return false;
}
