// SPDX-License-Identifier: Apache-2.0
// The fault port itself: what it fails, and that it sees each broken rule.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/port/fault/fault.h"
#include "driver/port/user/user.h"
#include "isa/card.h"

typedef struct fixture {
    port_user_t *user;
    port_fault_t *fault;
    port_t *port;
    const port_ops_t *ops;
    uint32_t reads, writes;
    char last[200];
} fixture_t;

// --- A card of one register ---

static uint32_t config_read(void *self, uint32_t offset, uint32_t bytes) {
    (void)self;
    if (offset == 0)
        return (uint32_t)ISA_PCI_DEVICE << 16 | ISA_PCI_VENDOR;
    return offset == 0x34 ? 0x40 : offset == 0x40 && bytes == 1 ? 0x11 : 0;
}
static void config_write(void *self, uint32_t offset, uint32_t bytes, uint32_t value) {
    (void)self, (void)offset, (void)bytes, (void)value;
}
static uint64_t bar_read(void *self, uint32_t bar, uint64_t offset, uint32_t bytes) {
    fixture_t *f = self;
    (void)bar, (void)offset, (void)bytes;
    f->reads++;
    return 77;
}
static void bar_write(void *self, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value) {
    fixture_t *f = self;
    (void)offset, (void)bytes, (void)value;
    f->writes += bar == 0;
    if (bar == 0 && offset == ISA_DOORBELL(0, 0))
        port_user_msix(f->user, 0);
}

static void keep(void *user, const char *text) {
    fixture_t *f = user;
    strncpy(f->last, text, sizeof f->last - 1);
}

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    assert_int_equal(port_user_create(NULL, NULL, &f->user), STATUS_OK);
    port_user_function_t function = {f, config_read, config_write, bar_read, bar_write};
    assert_int_equal(port_user_attach(f->user, &function), STATUS_OK);
    assert_int_equal(port_fault_create(port_user_base(f->user), keep, f, &f->fault), STATUS_OK);
    f->port = port_fault_base(f->fault);
    f->ops = f->port->ops;
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    port_user_detach(f->user);
    port_fault_destroy(f->fault);
    port_user_destroy(f->user);
    free(f);
    return 0;
}

static port_fault_books_t books_of(fixture_t *f) {
    port_fault_books_t books;
    port_fault_books(f->fault, &books);
    return books;
}

// The rule was broken just now; nothing else was before.
static void assert_told(fixture_t *f, const char *text) {
    assert_non_null(strstr(f->last, text));
    f->last[0] = 0;
}
static void assert_quiet(fixture_t *f) { assert_string_equal(f->last, ""); }

// --- What fails ---

// Only waits that may be interrupted are, and counted.
static void chosen_waits_are_interrupted(void **state) {
    fixture_t *f = *state;
    port_event_t event;
    port_fault_counts_t counts;
    assert_int_equal(f->ops->event_init(f->port, &event), STATUS_OK);
    port_fault_set(f->fault, &(port_fault_plan_t){.interrupt_at = 2});
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(f->ops->event_wait(f->port, &event, 0, 1, false), STATUS_OK);
        assert_int_equal(f->ops->event_wait(f->port, &event, 0, 1, true),
                         i == 2 ? STATUS_INTERRUPTED : STATUS_OK);
    }
    port_fault_counts(f->fault, &counts);
    assert_int_equal(counts.waits, 3);
    assert_int_equal(counts.interrupted, 1);
    f->ops->event_deinit(f->port, &event);
    assert_quiet(f);
}

// --- Work that memory waits for ---

typedef struct reclaim {
    fixture_t *f;
    port_mutex_t *mutex; // or NULL: it allocates
    uint32_t runs;       // atomic
} reclaim_t;

static void run_reclaim(void *user) {
    reclaim_t *reclaim = user;
    fixture_t *f = reclaim->f;
    if (reclaim->mutex != NULL) {
        f->ops->mutex_lock(f->port, reclaim->mutex);
        f->ops->mutex_unlock(f->port, reclaim->mutex);
    } else {
        f->ops->mem_free(f->port, f->ops->mem_alloc(f->port, 16), 16);
    }
    (void)ATOMIC_ADD(&reclaim->runs, 1u);
}

static void run_once(fixture_t *f, port_work_t *work, const reclaim_t *reclaim) {
    uint32_t runs = LOAD_ACQUIRE(&reclaim->runs);
    f->ops->work_at(f->port, work, 0);
    while (LOAD_ACQUIRE(&reclaim->runs) == runs)
        CPU_PAUSE();
}

static void alloc_under(fixture_t *f, port_mutex_t *mutex) {
    f->ops->mutex_lock(f->port, mutex);
    f->ops->mem_free(f->port, f->ops->mem_alloc(f->port, 16), 16);
    f->ops->mutex_unlock(f->port, mutex);
}

static void memory_does_not_wait_for_itself(void **state) {
    fixture_t *f = *state;
    port_work_t work;
    port_mutex_t mutex;
    reclaim_t reclaim = {.f = f, .mutex = &mutex};
    assert_int_equal(f->ops->mutex_init(f->port, &mutex), STATUS_OK);
    assert_int_equal(f->ops->work_init(f->port, &work, PORT_WORK_RECLAIM, run_reclaim, &reclaim),
                     STATUS_OK);
    run_once(f, &work, &reclaim);
    assert_quiet(f);
    alloc_under(f, &mutex); // whoever comes first
    assert_told(f, "takes a lock under which memory is allocated");
    run_once(f, &work, &reclaim);
    assert_told(f, "takes a lock under which memory is allocated");
    reclaim.mutex = NULL;
    run_once(f, &work, &reclaim);
    assert_told(f, "mem_alloc in work that memory waits for");
    f->ops->work_deinit(f->port, &work);
    assert_int_equal(f->ops->work_init(f->port, &work, PORT_WORK_ALLOCATES, run_reclaim, &reclaim),
                     STATUS_OK);
    run_once(f, &work, &reclaim);
    assert_quiet(f);
    f->ops->work_deinit(f->port, &work);
    f->ops->mutex_deinit(f->port, &mutex);
}

// An interrupt that takes a spin of its own kind, then one of the other.
typedef struct interrupted {
    fixture_t *f;
    port_spin_t *first, *second;
} interrupted_t;

static bool take_spins(void *user, uint32_t vector) {
    const interrupted_t *i = user;
    (void)vector;
    i->f->ops->spin_lock(i->f->port, i->first);
    i->f->ops->spin_unlock(i->f->port, i->first);
    assert_quiet(i->f);
    i->f->ops->spin_lock(i->f->port, i->second);
    i->f->ops->spin_unlock(i->f->port, i->second);
    return false;
}

static void interrupts_take_their_own_spins(void **state) {
    fixture_t *f = *state;
    port_spin_t spins[2];
    interrupted_t i = {f, &spins[0], &spins[1]};
    port_irq_t irq = {.isr = take_spins, .dpc = NULL, .user = &i};
    uint32_t vectors;
    assert_int_equal(f->ops->spin_init(f->port, &spins[0], PORT_SPIN_INTERRUPT), STATUS_OK);
    assert_int_equal(f->ops->spin_init(f->port, &spins[1], PORT_SPIN_DEFERRED), STATUS_OK);
    assert_int_equal(f->ops->irq_enable(f->port, &irq, &vectors), STATUS_OK);
    port_user_msix(f->user, 0);
    assert_told(f, "a spin that is not for interrupts is taken in one");
    f->ops->irq_disable(f->port);
    f->ops->spin_deinit(f->port, &spins[0]);
    f->ops->spin_deinit(f->port, &spins[1]);
}

static void chosen_calls_fail(void **state) {
    fixture_t *f = *state;
    port_dma_t dma = {0};
    port_spin_t spin;
    port_fault_counts_t counts;
    port_fault_set(f->fault, &(port_fault_plan_t){.fail_at = 2, .fail_for = 2});
    void *memory = f->ops->mem_alloc(f->port, 100);
    assert_non_null(memory);
    assert_int_equal(f->ops->dma_alloc(f->port, 4096, &dma), STATUS_NO_MEMORY);
    assert_null(f->ops->mem_alloc(f->port, 100));
    assert_int_equal(f->ops->spin_init(f->port, &spin, PORT_SPIN_DEFERRED), STATUS_OK);
    port_fault_counts(f->fault, &counts);
    assert_int_equal(counts.calls, 4);
    assert_int_equal(counts.failed, 2);
    assert_int_equal(counts.by_call[PORT_FAULT_MEM_ALLOC], 2);
    assert_int_equal(books_of(f).open[PORT_FAULT_MEM_ALLOC], 1);
    assert_int_equal(books_of(f).mem_bytes, 100);
    f->ops->mem_free(f->port, memory, 100);
    f->ops->spin_deinit(f->port, &spin);
    assert_int_equal(port_fault_tell_open(f->fault), 0);
    assert_int_equal(books_of(f).mem_bytes, 0);
    assert_quiet(f);
}

static void each_call_fails(void **state) {
    fixture_t *f = *state;
    port_pin_t *pin;
    port_event_t event;
    port_mutex_t mutex;
    port_irq_t irq = {0};
    uint32_t vectors;
    port_fault_set(f->fault, &(port_fault_plan_t){.fail_at = 1, .fail_for = UINT64_MAX});
    assert_int_equal(f->ops->host_pin(f->port, 4096, 4096, true, &pin), STATUS_LIMIT);
    assert_int_equal(f->ops->event_init(f->port, &event), STATUS_NO_MEMORY);
    assert_int_equal(f->ops->mutex_init(f->port, &mutex), STATUS_NO_MEMORY);
    assert_int_equal(f->ops->irq_enable(f->port, &irq, &vectors), STATUS_NO_MEMORY);
    if (f->ops->work_init != NULL) {
        port_work_t work;
        assert_int_equal(f->ops->work_init(f->port, &work, PORT_WORK_RECLAIM, NULL, NULL),
                         STATUS_NO_MEMORY);
    }
    if (f->ops->function_reset != NULL)
        assert_int_equal(f->ops->function_reset(f->port), STATUS_DEVICE_LOST);
    assert_int_equal(port_fault_tell_open(f->fault), 0);
    assert_quiet(f);
}

static void cards_disappear(void **state) {
    fixture_t *f = *state;
    port_fault_set(f->fault, &(port_fault_plan_t){.gone_at_read = 2});
    f->ops->reg_write32(f->port, 0, 1);
    assert_int_equal(f->ops->reg_read32(f->port, 0), 77);
    assert_int_equal(f->ops->reg_read32(f->port, 0), UINT32_MAX);
    f->ops->reg_write32(f->port, 0, 1);
    assert_int_equal(f->ops->reg_read32(f->port, 0), UINT32_MAX);
    assert_int_equal(f->reads, 1);
    assert_int_equal(f->writes, 1);
    port_fault_set(f->fault, &(port_fault_plan_t){.gone_at_write = 2});
    f->ops->reg_write32(f->port, 0, 1);
    assert_int_equal(f->ops->reg_read32(f->port, 0), 77);
    f->ops->reg_write32(f->port, 0, 1);
    assert_int_equal(f->writes, 2);
    assert_int_equal(f->ops->reg_read32(f->port, 0), UINT32_MAX);
    port_fault_set(f->fault, NULL);
    assert_int_equal(f->ops->reg_read32(f->port, 0), 77);
    assert_quiet(f);
}

// --- Books ---

static void what_is_kept_is_told(void **state) {
    fixture_t *f = *state;
    void *memory = f->ops->mem_alloc(f->port, 48);
    assert_int_equal(port_fault_tell_open(f->fault), 1);
    assert_told(f, "mem_alloc of 48 bytes was not given back");
    f->ops->mem_free(f->port, memory, 40);
    assert_told(f, "mem_free with 40 bytes of what has 48");
    f->ops->mem_free(f->port, memory, 48);
    assert_told(f, "mem_free of what is not open");
    f->ops->mem_free(f->port, NULL, 48);
    assert_quiet(f);
    assert_int_equal(books_of(f).violations, 3);
    assert_non_null(strstr(books_of(f).first, "not given back"));
}

static void objects_are_given_back_once(void **state) {
    fixture_t *f = *state;
    port_dma_t dma = {0}, copy;
    port_event_t event;
    uint32_t vectors;
    port_irq_t irq = {0};
    assert_int_equal(f->ops->dma_alloc(f->port, 100, &dma), STATUS_OK);
    copy = dma;
    f->ops->dma_free(f->port, &dma);
    f->ops->dma_free(f->port, &dma); // it knows that it is free
    assert_quiet(f);
    f->ops->dma_free(f->port, &copy);
    assert_told(f, "dma_free of what is not open");
    assert_int_equal(f->ops->event_init(f->port, &event), STATUS_OK);
    f->ops->event_deinit(f->port, &event);
    f->ops->event_deinit(f->port, &event);
    assert_told(f, "event_deinit of what is not open");
    assert_int_equal(f->ops->irq_enable(f->port, &irq, &vectors), STATUS_OK);
    f->ops->irq_disable(f->port);
    f->ops->irq_disable(f->port);
    assert_told(f, "irq_disable of what is not open");
}

// --- Locks ---

typedef struct locks {
    port_spin_t spins[3];
    port_mutex_t first, second;
} locks_t;

static void locks_init(fixture_t *f, locks_t *l) {
    for (int i = 0; i < 3; i++)
        assert_int_equal(f->ops->spin_init(f->port, &l->spins[i], PORT_SPIN_DEFERRED), STATUS_OK);
    assert_int_equal(f->ops->mutex_init(f->port, &l->first), STATUS_OK);
    assert_int_equal(f->ops->mutex_init(f->port, &l->second), STATUS_OK);
}

static void locks_deinit(fixture_t *f, locks_t *l) {
    for (int i = 0; i < 3; i++)
        f->ops->spin_deinit(f->port, &l->spins[i]);
    f->ops->mutex_deinit(f->port, &l->first);
    f->ops->mutex_deinit(f->port, &l->second);
}

static void take_two(fixture_t *f, port_spin_t *a, port_spin_t *b) {
    f->ops->spin_lock(f->port, a);
    f->ops->spin_lock(f->port, b);
    f->ops->spin_unlock(f->port, a); // any order of unlocking
    f->ops->spin_unlock(f->port, b);
}

static void circles_are_seen(void **state) {
    fixture_t *f = *state;
    locks_t l;
    locks_init(f, &l);
    take_two(f, &l.spins[0], &l.spins[1]);
    take_two(f, &l.spins[1], &l.spins[2]);
    take_two(f, &l.spins[0], &l.spins[2]);
    assert_quiet(f);
    take_two(f, &l.spins[2], &l.spins[0]); // over spin 1
    assert_told(f, "are taken in both orders");
    f->ops->mutex_lock(f->port, &l.first);
    f->ops->mutex_lock(f->port, &l.second);
    f->ops->mutex_unlock(f->port, &l.second);
    f->ops->mutex_unlock(f->port, &l.first);
    assert_quiet(f);
    f->ops->mutex_lock(f->port, &l.second);
    f->ops->mutex_lock(f->port, &l.first);
    assert_told(f, "are taken in both orders");
    assert_int_equal(books_of(f).locks_held, 2);
    f->ops->mutex_unlock(f->port, &l.second);
    f->ops->mutex_unlock(f->port, &l.first);
    f->ops->mutex_unlock(f->port, &l.first);
    assert_told(f, "by a thread that does not hold it");
    locks_deinit(f, &l);
    assert_quiet(f);
}

static void ranks_are_kept(void **state) {
    fixture_t *f = *state;
    locks_t l;
    port_fault_rank(f->fault, 5, 6);
    locks_init(f, &l);
    f->ops->mutex_lock(f->port, &l.first);
    f->ops->spin_lock(f->port, &l.spins[0]);
    assert_quiet(f);
    f->ops->spin_lock(f->port, &l.spins[1]);
    assert_told(f, "of rank 6 is taken with one of rank 6 held");
    f->ops->spin_unlock(f->port, &l.spins[1]);
    f->ops->spin_unlock(f->port, &l.spins[0]);
    f->ops->mutex_unlock(f->port, &l.first);
    locks_deinit(f, &l);
}

static void nobody_sleeps_in_a_spin(void **state) {
    fixture_t *f = *state;
    locks_t l;
    locks_init(f, &l);
    f->ops->spin_lock(f->port, &l.spins[0]);
    void *memory = f->ops->mem_alloc(f->port, 16);
    assert_told(f, "mem_alloc with a spin held");
    f->ops->mutex_lock(f->port, &l.first);
    assert_told(f, "a mutex is taken with a spin held");
    f->ops->mutex_unlock(f->port, &l.first);
    f->ops->spin_unlock(f->port, &l.spins[0]);
    f->ops->mutex_lock(f->port, &l.first);
    f->ops->mem_free(f->port, memory, 16);
    assert_quiet(f);
    f->ops->mutex_deinit(f->port, &l.second);
    f->ops->mutex_lock(f->port, &l.second);
    assert_told(f, "that is not initialised");
    f->ops->mutex_lock(f->port, &l.first);
    assert_told(f, "a lock is taken twice by one thread");
    f->ops->mutex_unlock(f->port, &l.first);
    assert_int_equal(f->ops->mutex_init(f->port, &l.second), STATUS_OK);
    locks_deinit(f, &l);
}

// --- Interrupts ---

static bool good_isr(void *user, uint32_t vector) {
    (void)user, (void)vector;
    return true;
}
static void bad_dpc(void *user) {
    fixture_t *f = user;
    f->ops->mem_free(f->port, f->ops->mem_alloc(f->port, 8), 8);
}

static void doorbells_are_rung_without_locks(void **state) {
    fixture_t *f = *state;
    port_mutex_t mutex;
    uint32_t vectors;
    assert_int_equal(f->ops->mutex_init(f->port, &mutex), STATUS_OK);
    f->ops->mutex_lock(f->port, &mutex);
    f->ops->reg_write32(f->port, ISA_REG_ERROR, 1);
    assert_quiet(f);
    f->ops->reg_write32(f->port, ISA_DOORBELL(1, 0), 1);
    assert_told(f, "a write that the card answers with 1 locks held");
    f->ops->mutex_unlock(f->port, &mutex);
    f->ops->mutex_deinit(f->port, &mutex);
    port_irq_t irq = {.isr = good_isr, .dpc = bad_dpc, .user = f};
    assert_int_equal(f->ops->irq_enable(f->port, &irq, &vectors), STATUS_OK);
    f->ops->reg_write32(f->port, ISA_DOORBELL(0, 0), 1); // interrupts
    assert_told(f, "mem_free in deferred context");
    f->ops->irq_disable(f->port);
    void *memory = f->ops->mem_alloc(f->port, 8); // in process context again
    f->ops->mem_free(f->port, memory, 8);
    assert_quiet(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_does_not_wait_for_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(interrupts_take_their_own_spins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chosen_waits_are_interrupted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chosen_calls_fail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_call_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cards_disappear, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_kept_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_are_given_back_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(circles_are_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ranks_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_sleeps_in_a_spin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(doorbells_are_rung_without_locks, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
