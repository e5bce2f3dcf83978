// SPDX-License-Identifier: Apache-2.0
// State of a fault port. Private to this folder. Everything of it is under `mutex`, which is never
// held across a call of the wrapped port.
#ifndef PORT_FAULT_FAULT_INTERNAL_H
#define PORT_FAULT_FAULT_INTERNAL_H

#include <pthread.h>

#include "driver/port/fault/fault.h"

#define FAULT_BUCKETS 256u
#define FAULT_SITES   64u
#define FAULT_CLASSES 64u // bits of a word
#define FAULT_THREADS 256u
#define FAULT_HELD    16u

typedef enum fault_context { IN_PROCESS, IN_DEFERRED, IN_INTERRUPT } fault_context_t;

// Something that was taken. By kind and address.
typedef struct fault_entry {
    struct fault_entry *next;
    const void *key;
    port_fault_call_t kind;
    uint64_t bytes;
    uint32_t lock_class, rank; // locks
    uint32_t site;             // where the lock was initialised
    fault_context_t most;      // in which it may be taken
    bool is_reclaim;           // work
    port_fault_t *port;
    void (*run)(void *user);
    void *user;
} fault_entry_t;

// A place that initialises locks.
typedef struct fault_site {
    const void *where;
    bool is_spin;
    uint32_t live, next; // locks that are open; number of the next one
} fault_site_t;

typedef struct fault_class {
    uint32_t site, number;
    uint64_t after; // classes that were taken while this one was held
    // Whether anybody allocated with one held, and whether work that memory waits for took one.
    bool allocates, reclaims;
} fault_class_t;

typedef struct fault_held {
    const void *key;
    bool is_spin;
    uint32_t lock_class, rank;
} fault_held_t;

// In use while a thread holds a lock, is not in process context or does work that memory waits for.
typedef struct fault_thread {
    bool in_use;
    pthread_t id;
    fault_context_t context;
    bool is_reclaim;
    uint32_t n_held;
    uint64_t n_looks; // since it took its first spin
    fault_held_t held[FAULT_HELD];
} fault_thread_t;

struct port_fault {
    port_t base; // first: a port_t is a port_fault_t
    port_ops_t ops;
    port_t *inner;
    port_fault_tell_t tell;
    void *tell_user;

    pthread_mutex_t mutex;
    port_fault_plan_t plan;
    port_fault_counts_t counts;
    port_fault_books_t books;
    fault_entry_t *entries[FAULT_BUCKETS];
    port_irq_t irq;
    uint32_t mutex_rank, spin_rank;
    fault_site_t sites[FAULT_SITES];
    uint32_t n_sites;
    fault_class_t classes[FAULT_CLASSES];
    uint32_t n_classes;
    fault_thread_t threads[FAULT_THREADS];
};

// port_t is the first member.
static inline port_fault_t *fault_of(port_t *base) { return (port_fault_t *)(void *)base; }

static inline void fault_lock(port_fault_t *port) { (void)pthread_mutex_lock(&port->mutex); }
static inline void fault_unlock(port_fault_t *port) { (void)pthread_mutex_unlock(&port->mutex); }

// --- books.c; all under the mutex ---

void fault_tell(port_fault_t *port, const char *format, ...) PRINTF_LIKE(2, 3);
// Counts the interruptible wait and says whether a signal comes.
bool fault_next_wait(port_fault_t *port);
const char *fault_call_name(port_fault_call_t kind);
// Counts the call and says whether it fails.
bool fault_next(port_fault_t *port, port_fault_call_t kind);
// NULL: no memory for the books themselves.
fault_entry_t *fault_add(port_fault_t *port, port_fault_call_t kind, const void *key,
                         uint64_t bytes);
// NULL: there is none.
fault_entry_t *fault_find(port_fault_t *port, port_fault_call_t kind, const void *key);
// Checks that it is open, and its size.
void fault_remove(port_fault_t *port, port_fault_call_t kind, const void *key, uint64_t bytes);
void fault_clear(port_fault_t *port);

// --- locks.c; all under the mutex ---

// The caller is in a context of at most `most`; `sleeps`: and holds no spin.
void fault_check_context(port_fault_t *port, const char *call, fault_context_t most, bool sleeps);
void fault_check_none_held(port_fault_t *port, const char *what);
// Returns the context before.
fault_context_t fault_enter(port_fault_t *port, fault_context_t context);
void fault_leave(port_fault_t *port, const char *what, fault_context_t before);
void fault_lock_made(port_fault_t *port, fault_entry_t *entry, fault_context_t most,
                     const void *where);
// The caller begins or ends work that memory waits for.
void fault_set_reclaim(port_fault_t *port, bool is_reclaim);
// The caller allocates.
void fault_check_alloc(port_fault_t *port, const char *call);
// A look at the clock, with a spin held perhaps.
void fault_count_in_spin(port_fault_t *port);
void fault_lock_gone(port_fault_t *port, port_fault_call_t kind, const void *key);
// False: it cannot be taken at all.
bool fault_take(port_fault_t *port, port_fault_call_t kind, const void *key);
// False: the caller does not hold it.
bool fault_give(port_fault_t *port, port_fault_call_t kind, const void *key);

// --- The calls ---

void fault_set_alloc(port_ops_t *ops);
void fault_set_register(port_ops_t *ops, const port_ops_t *inner);
void fault_set_service(port_ops_t *ops, const port_ops_t *inner);

#endif
