// SPDX-License-Identifier: Apache-2.0
// Locks, events, work and time.
#include <string.h>

#include "driver/port/fault/fault_internal.h"

static bool begin(port_fault_t *port, port_fault_call_t kind) {
    fault_lock(port);
    fault_check_context(port, fault_call_name(kind), IN_PROCESS, true);
    bool fails = fault_next(port, kind);
    fault_unlock(port);
    return fails;
}

static void check(port_fault_t *port, const char *call, fault_context_t most, bool sleeps) {
    fault_lock(port);
    fault_check_context(port, call, most, sleeps);
    fault_unlock(port);
}

// Whether it was open.
static bool end(port_fault_t *port, const char *call, port_fault_call_t kind, const void *key) {
    fault_lock(port);
    bool is_open = fault_find(port, kind, key) != NULL;
    fault_check_context(port, call, IN_PROCESS, true);
    if (kind == PORT_FAULT_SPIN_INIT || kind == PORT_FAULT_MUTEX_INIT)
        fault_lock_gone(port, kind, key);
    fault_remove(port, kind, key, 0);
    fault_unlock(port);
    return is_open;
}

// --- Locks ---

static bool note_lock(port_fault_t *port, port_fault_call_t kind, const void *key,
                      fault_context_t most, const void *where) {
    fault_lock(port);
    fault_entry_t *entry = fault_add(port, kind, key, 0);
    if (entry != NULL)
        fault_lock_made(port, entry, most, where);
    fault_unlock(port);
    return entry != NULL;
}

static status_t fault_spin_init(port_t *base, port_spin_t *spin, port_spin_kind_t kind) {
    port_fault_t *port = fault_of(base);
    const void *where = CALL_SITE();
    if (begin(port, PORT_FAULT_SPIN_INIT))
        return STATUS_NO_MEMORY;
    RETURN_IF_ERROR(port->inner->ops->spin_init(port->inner, spin, kind));
    fault_context_t most = kind == PORT_SPIN_INTERRUPT ? IN_INTERRUPT : IN_DEFERRED;
    if (note_lock(port, PORT_FAULT_SPIN_INIT, spin, most, where))
        return STATUS_OK;
    port->inner->ops->spin_deinit(port->inner, spin);
    return STATUS_NO_MEMORY;
}

static void fault_spin_deinit(port_t *base, port_spin_t *spin) {
    port_fault_t *port = fault_of(base);
    if (end(port, "spin_deinit", PORT_FAULT_SPIN_INIT, spin))
        port->inner->ops->spin_deinit(port->inner, spin);
}

static void fault_spin_lock(port_t *base, port_spin_t *spin) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    bool can = fault_take(port, PORT_FAULT_SPIN_INIT, spin);
    fault_unlock(port);
    if (can)
        port->inner->ops->spin_lock(port->inner, spin);
}

static void fault_spin_unlock(port_t *base, port_spin_t *spin) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    bool held = fault_give(port, PORT_FAULT_SPIN_INIT, spin);
    fault_unlock(port);
    if (held)
        port->inner->ops->spin_unlock(port->inner, spin);
}

static status_t fault_mutex_init(port_t *base, port_mutex_t *mutex) {
    port_fault_t *port = fault_of(base);
    const void *where = CALL_SITE();
    if (begin(port, PORT_FAULT_MUTEX_INIT))
        return STATUS_NO_MEMORY;
    RETURN_IF_ERROR(port->inner->ops->mutex_init(port->inner, mutex));
    if (note_lock(port, PORT_FAULT_MUTEX_INIT, mutex, IN_PROCESS, where))
        return STATUS_OK;
    port->inner->ops->mutex_deinit(port->inner, mutex);
    return STATUS_NO_MEMORY;
}

static void fault_mutex_deinit(port_t *base, port_mutex_t *mutex) {
    port_fault_t *port = fault_of(base);
    if (end(port, "mutex_deinit", PORT_FAULT_MUTEX_INIT, mutex))
        port->inner->ops->mutex_deinit(port->inner, mutex);
}

static void fault_mutex_lock(port_t *base, port_mutex_t *mutex) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "mutex_lock", IN_PROCESS, false); // spins: fault_take tells
    bool can = fault_take(port, PORT_FAULT_MUTEX_INIT, mutex);
    fault_unlock(port);
    if (can)
        port->inner->ops->mutex_lock(port->inner, mutex);
}

static void fault_mutex_unlock(port_t *base, port_mutex_t *mutex) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    bool held = fault_give(port, PORT_FAULT_MUTEX_INIT, mutex);
    fault_unlock(port);
    if (held)
        port->inner->ops->mutex_unlock(port->inner, mutex);
}

// --- Events ---

static status_t fault_event_init(port_t *base, port_event_t *event) {
    port_fault_t *port = fault_of(base);
    if (begin(port, PORT_FAULT_EVENT_INIT))
        return STATUS_NO_MEMORY;
    RETURN_IF_ERROR(port->inner->ops->event_init(port->inner, event));
    fault_lock(port);
    bool ok = fault_add(port, PORT_FAULT_EVENT_INIT, event, 0) != NULL;
    fault_unlock(port);
    if (ok)
        return STATUS_OK;
    port->inner->ops->event_deinit(port->inner, event);
    return STATUS_NO_MEMORY;
}

static void fault_event_deinit(port_t *base, port_event_t *event) {
    port_fault_t *port = fault_of(base);
    if (end(port, "event_deinit", PORT_FAULT_EVENT_INIT, event))
        port->inner->ops->event_deinit(port->inner, event);
}

static void check_event(port_fault_t *port, const char *call, const port_event_t *event) {
    fault_lock(port);
    fault_check_context(port, call, IN_DEFERRED, false);
    if (fault_find(port, PORT_FAULT_EVENT_INIT, event) == NULL)
        fault_tell(port, "%s of what is not initialised", call);
    fault_unlock(port);
}

static uint64_t fault_event_count(port_t *base, port_event_t *event) {
    port_fault_t *port = fault_of(base);
    check_event(port, "event_count", event);
    return port->inner->ops->event_count(port->inner, event);
}

static void fault_event_set(port_t *base, port_event_t *event) {
    port_fault_t *port = fault_of(base);
    check_event(port, "event_set", event);
    port->inner->ops->event_set(port->inner, event);
}

static status_t fault_event_wait(port_t *base, port_event_t *event, uint64_t count,
                                 uint64_t deadline_ns, bool interruptible) {
    port_fault_t *port = fault_of(base);
    check_event(port, "event_wait", event);
    fault_lock(port);
    fault_check_context(port, "event_wait", IN_PROCESS, false);
    fault_check_none_held(port, "event_wait");
    bool interrupts = interruptible && fault_next_wait(port);
    fault_unlock(port);
    if (interrupts)
        return STATUS_INTERRUPTED;
    return port->inner->ops->event_wait(port->inner, event, count, deadline_ns, interruptible);
}

// --- Work ---

// Entries of work are found by address, and stay where they are until work_deinit.
static void run_work(void *user) {
    const fault_entry_t *entry = user;
    port_fault_t *port = entry->port;
    fault_lock(port);
    fault_set_reclaim(port, entry->is_reclaim);
    fault_unlock(port);
    entry->run(entry->user);
    fault_lock(port);
    fault_check_none_held(port, "work returns");
    fault_set_reclaim(port, false);
    fault_unlock(port);
}

static status_t fault_work_init(port_t *base, port_work_t *work, port_work_kind_t kind,
                                void (*run)(void *user), void *user) {
    port_fault_t *port = fault_of(base);
    if (begin(port, PORT_FAULT_WORK_INIT))
        return STATUS_NO_MEMORY;
    fault_lock(port);
    fault_entry_t *entry = fault_add(port, PORT_FAULT_WORK_INIT, work, 0);
    if (entry != NULL) {
        entry->run = run;
        entry->user = user;
        entry->is_reclaim = kind == PORT_WORK_RECLAIM;
    }
    fault_unlock(port);
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    status_t status = port->inner->ops->work_init(port->inner, work, kind, run_work, entry);
    if (status != STATUS_OK) {
        fault_lock(port);
        fault_remove(port, PORT_FAULT_WORK_INIT, work, 0);
        fault_unlock(port);
    }
    return status;
}

static void fault_work_deinit(port_t *base, port_work_t *work) {
    port_fault_t *port = fault_of(base);
    check(port, "work_deinit", IN_PROCESS, true);
    fault_lock(port);
    bool is_open = fault_find(port, PORT_FAULT_WORK_INIT, work) != NULL;
    fault_check_none_held(port, "work_deinit"); // a running one might want them
    fault_unlock(port);
    if (is_open)
        port->inner->ops->work_deinit(port->inner, work);
    fault_lock(port);
    fault_remove(port, PORT_FAULT_WORK_INIT, work, 0);
    fault_unlock(port);
}

static void fault_work_at(port_t *base, port_work_t *work, uint64_t when_ns) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "work_at", IN_DEFERRED, false);
    bool is_open = fault_find(port, PORT_FAULT_WORK_INIT, work) != NULL;
    if (!is_open)
        fault_tell(port, "work_at of what is not initialised");
    fault_unlock(port);
    if (is_open)
        port->inner->ops->work_at(port->inner, work, when_ns);
}

// --- Time, log ---

static uint64_t fault_now_ns(port_t *base) {
    port_t *inner = fault_of(base)->inner;
    fault_lock(fault_of(base));
    fault_count_in_spin(fault_of(base));
    fault_unlock(fault_of(base));
    return inner->ops->now_ns(inner);
}

static void fault_stall_us(port_t *base, uint32_t us) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    if (us > 1000)
        fault_tell(port, "stall_us of %u", us);
    fault_unlock(port);
    port->inner->ops->stall_us(port->inner, us);
}

static void fault_log(port_t *base, port_log_t id, uint64_t a, uint64_t b, uint64_t c) {
    port_t *inner = fault_of(base)->inner;
    inner->ops->log(inner, id, a, b, c);
}

void fault_set_service(port_ops_t *ops, const port_ops_t *inner) {
    ops->spin_init = fault_spin_init;
    ops->spin_deinit = fault_spin_deinit;
    ops->spin_lock = fault_spin_lock;
    ops->spin_unlock = fault_spin_unlock;
    ops->mutex_init = fault_mutex_init;
    ops->mutex_deinit = fault_mutex_deinit;
    ops->mutex_lock = fault_mutex_lock;
    ops->mutex_unlock = fault_mutex_unlock;
    ops->event_init = fault_event_init;
    ops->event_deinit = fault_event_deinit;
    ops->event_count = fault_event_count;
    ops->event_set = fault_event_set;
    ops->event_wait = fault_event_wait;
    ops->now_ns = fault_now_ns;
    ops->stall_us = fault_stall_us;
    ops->log = fault_log;
    if (inner->work_init == NULL)
        return;
    ops->work_init = fault_work_init;
    ops->work_deinit = fault_work_deinit;
    ops->work_at = fault_work_at;
}
