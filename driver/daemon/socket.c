// SPDX-License-Identifier: Apache-2.0
// The socket's file. A lock file beside it tells whether somebody serves it: a socket without a
// holder of the lock is left over from a daemon that died, and is removed.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"

static void lock_path(const char *path, char *out_path, size_t bytes) {
    (void)snprintf(out_path, bytes, "%s.lock", path);
}

// The file that was locked must be the one that lies there: its last holder removed the old one.
static bool is_current(int fd, const char *path) {
    struct stat open_file, file;
    return fstat(fd, &open_file) == 0 && stat(path, &file) == 0 &&
           open_file.st_dev == file.st_dev && open_file.st_ino == file.st_ino;
}

static status_t take_lock(daemon_log_t *log, const char *path, int *out_lock) {
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    lock_path(path, name, sizeof name);
    for (int tries = 0; tries < 10; tries++) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            daemon_log(log, "%s: cannot be made: %s", name, strerror(errno));
            return STATUS_IO;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            daemon_log(log, "%s: another daemon serves it", path);
            (void)close(fd);
            return STATUS_BUSY;
        }
        if (is_current(fd, name)) {
            *out_lock = fd;
            return STATUS_OK;
        }
        (void)close(fd);
    }
    return STATUS_BUSY;
}

static void drop_lock(const char *path, int lock) {
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    lock_path(path, name, sizeof name);
    (void)unlink(name);
    (void)close(lock);
}

static status_t remove_stale(daemon_log_t *log, const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0)
        return STATUS_OK;
    if (!S_ISSOCK(info.st_mode)) {
        daemon_log(log, "%s: is there and is no socket", path);
        return STATUS_INVALID;
    }
    daemon_log(log, "%s: removed, its daemon is gone", path);
    return unlink(path) == 0 ? STATUS_OK : STATUS_IO;
}

static status_t listen_at(daemon_log_t *log, const char *path, mode_t mode, int *out_listener) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0177); // nobody connects before the mode is what it shall be
    bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    int error = errno;
    (void)umask(old);
    if (!bound || chmod(path, mode) != 0 || listen(fd, 128) != 0) {
        daemon_log(log, "%s: cannot be served: %s", path, strerror(bound ? errno : error));
        if (bound)
            (void)unlink(path);
        if (fd >= 0)
            (void)close(fd);
        return STATUS_IO;
    }
    *out_listener = fd;
    return STATUS_OK;
}

status_t daemon_socket_open(daemon_log_t *log, const char *path, mode_t mode, int *out_listener,
                            int *out_lock) {
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        daemon_log(log, "%s: too long for a socket's name", path);
        return STATUS_INVALID;
    }
    RETURN_IF_ERROR(take_lock(log, path, out_lock));
    status_t status = remove_stale(log, path);
    if (status == STATUS_OK)
        status = listen_at(log, path, mode, out_listener);
    if (status != STATUS_OK)
        drop_lock(path, *out_lock);
    return status;
}

void daemon_socket_close(const char *path, int listener, int lock) {
    (void)unlink(path);
    (void)close(listener);
    drop_lock(path, lock);
}
