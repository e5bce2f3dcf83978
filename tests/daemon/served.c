// SPDX-License-Identifier: Apache-2.0
#include "tests/daemon/served.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/status.h"

#define PATIENCE_MS 10000

static void pause_ms(long ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

bool eventually(bool (*condition)(void *arg), void *arg) {
    for (int waited = 0; waited < PATIENCE_MS; waited += 5) {
        if (condition(arg))
            return true;
        pause_ms(5);
    }
    return condition(arg);
}

// --- The daemon ---

static void run_daemon(const served_t *served, const char *const *options, size_t n_options,
                       unsigned max_files) {
    char socket_option[128], log_option[128];
    const char *args[24] = {served->program, "--foreground", socket_option, log_option};
    snprintf(socket_option, sizeof socket_option, "--socket=%s", served->socket);
    snprintf(log_option, sizeof log_option, "--log=%s", served->log);
    for (size_t i = 0; i < n_options && i < 16; i++)
        args[4 + i] = options[i];
    if (max_files != 0) {
        struct rlimit limit = {max_files, max_files};
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    execv(served->program, (char *const *)(uintptr_t)args);
    _exit(127);
}

static bool answers(void *arg) {
    const served_t *served = arg;
    int fd = wire_connect(served->socket);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || waitpid(served->pid, NULL, WNOHANG) != 0;
}

void served_start(served_t *served, const char *program, const char *const *options,
                  size_t n_options, unsigned max_files) {
    if (served->folder[0] == 0) {
        strcpy(served->folder, "/tmp/accel-daemon-XXXXXX");
        assert_non_null(mkdtemp(served->folder));
    }
    served->program = program;
    snprintf(served->socket, sizeof served->socket, "%s/card.sock", served->folder);
    snprintf(served->log, sizeof served->log, "%s/log", served->folder);
    fflush(NULL);
    served->pid = fork();
    assert_true(served->pid >= 0);
    if (served->pid == 0)
        run_daemon(served, options, n_options, max_files);
    assert_true(eventually(answers, served));
    assert_int_equal(kill(served->pid, 0), 0);
}

void served_clean(served_t *served) {
    char path[128];
    snprintf(path, sizeof path, "%s.lock", served->socket);
    (void)unlink(path);
    (void)unlink(served->socket);
    (void)unlink(served->log);
    (void)rmdir(served->folder);
    served->folder[0] = 0;
}

void served_stop(served_t *served) {
    int status = -1;
    assert_int_equal(kill(served->pid, SIGTERM), 0);
    assert_int_equal(waitpid(served->pid, &status, 0), served->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_not_equal(access(served->socket, F_OK), 0);
    served_clean(served);
}

size_t served_descriptors(const served_t *served) {
    char path[64];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)served->pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

static size_t lines_with(const char *path, const char *text) {
    char line[1024];
    size_t n = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        n += strstr(line, text) != NULL;
    fclose(file);
    return n;
}

size_t served_host_mappings(const served_t *served) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)served->pid);
    return lines_with(path, "accel-host");
}

typedef struct wanted {
    const char *path, *text;
} wanted_t;

static bool is_logged(void *arg) {
    const wanted_t *wanted = arg;
    return lines_with(wanted->path, wanted->text) > 0;
}

bool served_logged(const served_t *served, const char *text) {
    wanted_t wanted = {served->log, text};
    return eventually(is_logged, &wanted);
}

// --- A connection ---

int wire_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

accel_socket_hello_t wire_hello(uint32_t mode, uint32_t card) {
    return (accel_socket_hello_t){.magic = ACCEL_SOCKET_MAGIC,
                                  .version = ACCEL_SOCKET_VERSION,
                                  .bytes = sizeof(accel_socket_hello_t),
                                  .mode = mode,
                                  .card = card};
}

uint32_t wire_greet(wire_t *wire, const accel_socket_hello_t *hello) {
    wire->got_fd = -1;
    (void)wire_send(wire, hello, sizeof *hello); // who is refused at once may find the daemon gone,
    if (wire_receive(wire, &wire->welcome, sizeof wire->welcome) != sizeof wire->welcome)
        return UINT32_MAX; // but never its answer
    return wire->welcome.status;
}

void wire_open(wire_t *wire, const served_t *served, uint32_t mode, uint32_t card) {
    accel_socket_hello_t hello = wire_hello(mode, card);
    *wire = (wire_t){.fd = wire_connect(served->socket)};
    assert_true(wire->fd >= 0);
    assert_int_equal(wire_greet(wire, &hello), STATUS_OK);
}

void wire_close(wire_t *wire) {
    if (wire->got_fd >= 0)
        close(wire->got_fd);
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = wire->got_fd = -1;
}

bool wire_send(wire_t *wire, const void *data, size_t bytes) {
    return send(wire->fd, data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

size_t wire_receive(wire_t *wire, void *out_data, size_t bytes) {
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {out_data, bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(wire->fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head != NULL && head->cmsg_type == SCM_RIGHTS) {
        if (wire->got_fd >= 0)
            close(wire->got_fd);
        memcpy(&wire->got_fd, CMSG_DATA(head), sizeof wire->got_fd);
    }
    return n <= 0 ? 0 : (size_t)n;
}

uint32_t wire_ask(wire_t *wire, void *request, size_t bytes, uint16_t op) {
    _Alignas(8) uint8_t message[1024] = {0};
    accel_socket_head_t head = {.magic = ACCEL_SOCKET_MAGIC,
                                .bytes = (uint32_t)(sizeof head + bytes),
                                .n_requests = 1,
                                .number = ++wire->number};
    accel_req_t *asked = request;
    assert_true(sizeof head + bytes <= sizeof message);
    asked->size = (uint32_t)bytes;
    asked->op = op;
    asked->version = ACCEL_UAPI_VERSION;
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, request, bytes);
    if (!wire_send(wire, message, sizeof head + bytes))
        return UINT32_MAX;
    size_t n = wire_receive(wire, message, sizeof message);
    if (n == 0)
        return UINT32_MAX;
    memcpy(&head, message, sizeof head);
    assert_int_equal(head.bytes, n);
    assert_int_equal(head.n_requests, 1);
    assert_int_equal(head.number, wire->number);
    assert_int_equal(n, sizeof head + bytes);
    memcpy(request, message + sizeof head, bytes);
    return asked->status;
}

uint64_t wire_free_memory(wire_t *wire) {
    accel_req_info_t info = {0};
    assert_int_equal(ASK(wire, info, INFO), STATUS_OK);
    return info.memory_free;
}
