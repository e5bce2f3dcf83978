// SPDX-License-Identifier: Apache-2.0
#include "tests/fault/alloc_wrap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

// The wrapped calls have no context: this state is the process's, as theirs is.
static _Atomic uint64_t first, many, n_calls, n_failed;
static _Atomic int64_t live;

void alloc_plan(uint64_t fail_at, uint64_t fail_for) {
    atomic_store(&first, 0);
    atomic_store(&many, fail_for);
    atomic_store(&n_calls, 0);
    atomic_store(&n_failed, 0);
    atomic_store(&first, fail_at);
}
uint64_t alloc_calls(void) { return atomic_load(&n_calls); }
uint64_t alloc_failed(void) { return atomic_load(&n_failed); }
int64_t alloc_live(void) { return atomic_load(&live); }

bool alloc_fails(void) {
    uint64_t number = atomic_fetch_add(&n_calls, 1) + 1, from = atomic_load(&first);
    bool result = from != 0 && number >= from && number - from < atomic_load(&many);
    if (result)
        atomic_fetch_add(&n_failed, 1);
    return result;
}

static void *made(void *what) {
    if (what != NULL)
        atomic_fetch_add(&live, 1);
    return what;
}

static int made_block(int result) {
    if (result == 0)
        atomic_fetch_add(&live, 1);
    return result;
}

// Pages and not mappings are counted: one may be given back in parts.
static int64_t pages(size_t bytes) { return (int64_t)((bytes + 4095) / 4096); }

#define WRAPPED(type, name, parameters)                                                            \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters

WRAPPED(void *, malloc, (size_t bytes)) {
    return alloc_fails() ? NULL : made(__real_malloc(bytes));
}
WRAPPED(void *, calloc, (size_t n, size_t bytes)) {
    return alloc_fails() ? NULL : made(__real_calloc(n, bytes));
}
WRAPPED(void *, realloc, (void *block, size_t bytes)) {
    if (alloc_fails())
        return NULL;
    void *moved = __real_realloc(block, bytes);
    return block == NULL ? made(moved) : moved;
}
WRAPPED(void *, aligned_alloc, (size_t alignment, size_t bytes)) {
    return alloc_fails() ? NULL : made(__real_aligned_alloc(alignment, bytes));
}
WRAPPED(int, posix_memalign, (void **block, size_t alignment, size_t bytes)) {
    return alloc_fails() ? ENOMEM : made_block(__real_posix_memalign(block, alignment, bytes));
}
WRAPPED(void, free, (void *block)) {
    if (block != NULL)
        atomic_fetch_sub(&live, 1);
    __real_free(block);
}

WRAPPED(void *, mmap, (void *at, size_t bytes, int prot, int flags, int fd, off_t offset)) {
    if (alloc_fails()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *map = __real_mmap(at, bytes, prot, flags, fd, offset);
    if (map != MAP_FAILED && (flags & MAP_FIXED) == 0)
        atomic_fetch_add(&live, pages(bytes));
    return map;
}
WRAPPED(int, munmap, (void *map, size_t bytes)) {
    atomic_fetch_sub(&live, pages(bytes));
    return __real_munmap(map, bytes);
}

WRAPPED(int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *user)) {
    return alloc_fails() ? EAGAIN : __real_pthread_create(thread, attributes, run, user);
}
