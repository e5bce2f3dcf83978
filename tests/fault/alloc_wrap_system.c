// SPDX-License-Identifier: Apache-2.0
// Calls of the system, wrapped as alloc_wrap.h says: each fails as it does when descriptors, or the
// kernel's memory, run out.
#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fault/alloc_wrap.h"

#define WRAPPED(type, name, parameters)                                                            \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters

// -1 and `error` when it is this call's turn to fail.
#define OR_FAIL(error, call) (alloc_fails() ? (errno = (error), -1) : (call))

// --- Descriptors ---

WRAPPED(int, memfd_create, (const char *name, unsigned flags)) {
    return OR_FAIL(EMFILE, __real_memfd_create(name, flags));
}
WRAPPED(int, socket, (int domain, int type, int protocol)) {
    return OR_FAIL(EMFILE, __real_socket(domain, type, protocol));
}
WRAPPED(int, accept4, (int fd, struct sockaddr *address, socklen_t *bytes, int flags)) {
    return OR_FAIL(EMFILE, __real_accept4(fd, address, bytes, flags));
}
WRAPPED(int, epoll_create1, (int flags)) { return OR_FAIL(EMFILE, __real_epoll_create1(flags)); }
// Only what adds needs memory.
WRAPPED(int, epoll_ctl, (int epoll, int op, int fd, struct epoll_event *event)) {
    return op == EPOLL_CTL_ADD ? OR_FAIL(ENOMEM, __real_epoll_ctl(epoll, op, fd, event))
                               : __real_epoll_ctl(epoll, op, fd, event);
}

// --- Memory of files ---

WRAPPED(int, ftruncate, (int fd, off_t bytes)) {
    return OR_FAIL(ENOSPC, __real_ftruncate(fd, bytes));
}
WRAPPED(int, posix_fallocate, (int fd, off_t at, off_t bytes)) {
    return alloc_fails() ? ENOSPC : __real_posix_fallocate(fd, at, bytes);
}
WRAPPED(ssize_t, getrandom, (void *out_data, size_t bytes, unsigned flags)) {
    return OR_FAIL(ENOSYS, __real_getrandom(out_data, bytes, flags));
}

// --- Messages ---

WRAPPED(int, connect, (int fd, const struct sockaddr *address, socklen_t bytes)) {
    return OR_FAIL(ECONNREFUSED, __real_connect(fd, address, bytes));
}
WRAPPED(ssize_t, send, (int fd, const void *data, size_t bytes, int flags)) {
    return OR_FAIL(ENOBUFS, __real_send(fd, data, bytes, flags));
}
WRAPPED(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags)) {
    return OR_FAIL(message->msg_controllen > 0 ? ETOOMANYREFS : ENOBUFS,
                   __real_sendmsg(fd, message, flags));
}
WRAPPED(ssize_t, recv, (int fd, void *out_data, size_t bytes, int flags)) {
    return OR_FAIL(ENOMEM, __real_recv(fd, out_data, bytes, flags));
}
WRAPPED(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags)) {
    return OR_FAIL(ENOMEM, __real_recvmsg(fd, message, flags));
}
