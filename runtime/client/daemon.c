// SPDX-License-Identifier: Apache-2.0
// The way through accel-cardd: driver/uapi/accel_socket.h. A request takes an idle connection of
// the client's, or makes one more, so that one that waits holds up no other thread's; a process
// with one thread has one connection.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "driver/uapi/accel_socket.h"
#include "runtime/runtime_internal.h"

#define WELCOME_MS    5000 // a daemon that is stopped answers nobody
#define JOIN_RETRY_NS 250000000u
#define LARGE_BYTES   ((size_t)ISA_PAGE_LARGE)

typedef struct connection {
    struct connection *next;
    int fd;
    uint64_t number;                    // of the last message
    int fds[ACCEL_SOCKET_MAX_REQUESTS]; // that came with the last answer
    uint32_t n_fds;
    _Alignas(8) uint8_t data[ACCEL_SOCKET_MAX_BYTES];
} connection_t;

typedef struct remote {
    pthread_mutex_t mutex; // of the device
    pthread_cond_t changed;
    pthread_mutex_t pool; // what follows
    pthread_cond_t came_back;
    connection_t *idle;
    uint32_t n_connections;
    uint64_t join_ns; // before, no other connection is asked for: the last was refused
    bool is_lost;
    uint64_t token[2];
    char path[RT_SOCKET_PATH_BYTES];
    char lost_text[RT_SOCKET_PATH_BYTES + 80];
} remote_t;

// --- Connecting ---

// Errno of a failure, 0 for success.
static int connect_to(const char *path, int *out_fd) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int result;
    do
        result = connect(fd, (const struct sockaddr *)&address, sizeof address);
    while (result != 0 && errno == EINTR);
    if (result != 0) {
        int error = errno;
        (void)close(fd);
        return error;
    }
    *out_fd = fd;
    return 0;
}

static status_t greet(int fd, const accel_socket_hello_t *hello, accel_socket_welcome_t *welcome) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready;
    *welcome = (accel_socket_welcome_t){0};
    if (send(fd, hello, sizeof *hello, MSG_NOSIGNAL) < 0 && errno != EPIPE)
        return STATUS_IO;
    do
        ready = poll(&wait, 1, WELCOME_MS);
    while (ready < 0 && errno == EINTR);
    if (ready != 1)
        return STATUS_TIMEOUT;
    ssize_t n = recv(fd, welcome, sizeof *welcome, 0); // also where the daemon refused and left
    if (n != (ssize_t)sizeof *welcome || welcome->magic != ACCEL_SOCKET_MAGIC)
        return STATUS_MISMATCH;
    return (status_t)welcome->status;
}

static accel_socket_hello_t hello_of(uint32_t mode) {
    return (accel_socket_hello_t){.magic = ACCEL_SOCKET_MAGIC,
                                  .version = ACCEL_SOCKET_VERSION,
                                  .bytes = sizeof(accel_socket_hello_t),
                                  .mode = mode};
}

// *out_errno: why nobody was reached; 0: the status is the daemon's.
static status_t connection_new(const char *path, const accel_socket_hello_t *hello,
                               accel_socket_welcome_t *welcome, connection_t **out_connection,
                               int *out_errno) {
    int fd = -1;
    connection_t *connection = malloc(sizeof *connection);
    *out_errno = ENOMEM;
    if (connection == NULL)
        return STATUS_NO_MEMORY;
    int error = *out_errno = connect_to(path, &fd);
    status_t status = error == 0                           ? greet(fd, hello, welcome)
                      : error == EMFILE || error == ENFILE ? STATUS_LIMIT
                      : error == EACCES || error == EPERM  ? STATUS_DENIED
                                                           : STATUS_NOT_FOUND;
    if (status != STATUS_OK) {
        if (error == 0)
            (void)close(fd);
        free(connection);
        return status;
    }
    connection->next = NULL;
    connection->fd = fd;
    connection->number = 0;
    connection->n_fds = 0;
    *out_connection = connection;
    return STATUS_OK;
}

// --- The pool ---

// Under the pool's lock.
static connection_t *pop_idle(remote_t *remote) {
    connection_t *connection = remote->idle;
    if (connection != NULL)
        remote->idle = connection->next;
    return connection;
}

static uint64_t remote_now_ns(void *self) {
    struct timespec now;
    (void)self;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// One more connection, if there is one to be had. Want of descriptors or of places in the daemon
// may be over soon: it is asked again, but not all the time.
static connection_t *join(remote_t *remote) {
    accel_socket_hello_t hello = hello_of(ACCEL_SOCKET_JOIN);
    accel_socket_welcome_t welcome;
    connection_t *connection = NULL;
    int error;
    memcpy(hello.token, remote->token, sizeof hello.token);
    remote->n_connections++;
    (void)pthread_mutex_unlock(&remote->pool);
    status_t status = connection_new(remote->path, &hello, &welcome, &connection, &error);
    (void)pthread_mutex_lock(&remote->pool);
    if (status == STATUS_OK)
        return connection;
    remote->n_connections--;
    remote->join_ns = remote_now_ns(remote) + JOIN_RETRY_NS;
    return NULL;
}

// Until a connection comes back or, where one more may be had, it is time to ask for that.
static void wait_for_one(remote_t *remote) {
    const struct timespec until = {.tv_sec = (time_t)(remote->join_ns / 1000000000u),
                                   .tv_nsec = (long)(remote->join_ns % 1000000000u)};
    if (remote->n_connections < ACCEL_SOCKET_MAX_CONNECTIONS)
        (void)pthread_cond_timedwait(&remote->came_back, &remote->pool, &until);
    else
        (void)pthread_cond_wait(&remote->came_back, &remote->pool);
}

// NULL: the daemon is gone.
static connection_t *take(remote_t *remote) {
    connection_t *connection = NULL;
    (void)pthread_mutex_lock(&remote->pool);
    while (connection == NULL && !remote->is_lost) {
        connection = pop_idle(remote);
        if (connection == NULL && remote->n_connections < ACCEL_SOCKET_MAX_CONNECTIONS &&
            remote_now_ns(remote) >= remote->join_ns)
            connection = join(remote);
        else if (connection == NULL)
            wait_for_one(remote);
    }
    (void)pthread_mutex_unlock(&remote->pool);
    return connection;
}

static void give(remote_t *remote, connection_t *connection) {
    (void)pthread_mutex_lock(&remote->pool);
    connection->next = remote->idle;
    remote->idle = connection;
    (void)pthread_cond_signal(&remote->came_back);
    (void)pthread_mutex_unlock(&remote->pool);
}

static void set_lost(remote_t *remote) {
    (void)pthread_mutex_lock(&remote->pool);
    remote->is_lost = true;
    (void)pthread_cond_broadcast(&remote->came_back);
    (void)pthread_mutex_unlock(&remote->pool);
}

static const char *remote_lost(void *self) {
    remote_t *remote = self;
    (void)pthread_mutex_lock(&remote->pool);
    bool is_lost = remote->is_lost;
    (void)pthread_mutex_unlock(&remote->pool);
    return is_lost ? remote->lost_text : NULL;
}

// --- Messages ---

static size_t padded(size_t bytes) { return (bytes + 7) & ~(size_t)7; }

static bool is_submit(const accel_req_t *request) {
    return request->op == ACCEL_REQ_SUBMIT && request->size == sizeof(accel_req_submit_t);
}

// Bytes of a record of a list, 0: no list.
static size_t record_bytes(const accel_req_t *request) {
    if (request->size != sizeof(accel_req_list_t))
        return 0;
    return request->op == ACCEL_REQ_EVENTS    ? sizeof(accel_event_record_t)
           : request->op == ACCEL_REQ_CLIENTS ? sizeof(accel_client_record_t)
                                              : 0;
}

// Pointers stay here; what they point to goes behind.
static status_t write_request(connection_t *connection, const accel_req_t *request, size_t *at) {
    uint8_t *to = connection->data + *at;
    size_t room = sizeof connection->data - *at, array = 0;
    if (request->size < sizeof *request || request->size % 8 != 0)
        return STATUS_INVALID;
    if (request->size > room)
        return STATUS_LIMIT;
    memcpy(to, request, request->size);
    if (is_submit(request)) {
        accel_req_submit_t *submit = (accel_req_submit_t *)(void *)to;
        const void *bos = (const void *)(uintptr_t)submit->bos;
        array = padded(submit->n_bos * sizeof(uint32_t));
        if (submit->n_bos > ACCEL_MAX_SUBMIT_BOS || (submit->n_bos != 0) != (bos != NULL))
            return STATUS_INVALID;
        if (array > room - request->size)
            return STATUS_LIMIT;
        memset(to + request->size, 0, array);
        if (array > 0)
            memcpy(to + request->size, bos, submit->n_bos * sizeof(uint32_t));
        submit->bos = 0;
    }
    if (record_bytes(request) != 0)
        ((accel_req_list_t *)(void *)to)->records = 0;
    *at += request->size + array;
    return STATUS_OK;
}

// False: the answer makes no sense.
static bool read_request(const connection_t *connection, size_t bytes, accel_req_t *request,
                         size_t *at) {
    const uint8_t *from = connection->data + *at;
    const accel_req_t *answer = (const accel_req_t *)(const void *)from;
    size_t size = request->size, record = record_bytes(request);
    if (bytes - *at < size || answer->size != size || answer->op != request->op)
        return false;
    *at += size;
    if (record != 0) {
        accel_req_list_t *list = (accel_req_list_t *)(void *)request;
        uint32_t count = ((const accel_req_list_t *)(const void *)from)->count;
        uint64_t records = list->records;
        if (count > list->capacity || count * record > bytes - *at)
            return false;
        if (count > 0)
            memcpy((void *)(uintptr_t)records, from + size, count * record);
        memcpy(request, from, size);
        list->records = records;
        *at += count * record;
        return true;
    }
    uint64_t bos = is_submit(request) ? ((accel_req_submit_t *)(void *)request)->bos : 0;
    memcpy(request, from, size);
    if (is_submit(request))
        ((accel_req_submit_t *)(void *)request)->bos = bos;
    return true;
}

static bool send_message(connection_t *connection, size_t bytes) {
    ssize_t n;
    do
        n = send(connection->fd, connection->data, bytes, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)bytes;
}

static void take_descriptors(connection_t *connection, struct msghdr *message) {
    connection->n_fds = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        connection->n_fds = (uint32_t)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(connection->fds, CMSG_DATA(head), connection->n_fds * sizeof(int));
    }
}

// Bytes of the answer; 0: there will be none.
static size_t receive_message(connection_t *connection) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof connection->fds)];
    } control;
    struct iovec part = {.iov_base = connection->data, .iov_len = sizeof connection->data};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(connection->fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return 0;
    take_descriptors(connection, &message);
    const accel_socket_head_t *head = (const accel_socket_head_t *)(void *)connection->data;
    bool right = (size_t)n >= sizeof *head && (message.msg_flags & MSG_TRUNC) == 0 &&
                 head->magic == ACCEL_SOCKET_MAGIC && head->bytes == (size_t)n &&
                 head->number == connection->number && head->status == 0;
    return right ? (size_t)n : 0;
}

static void drop_descriptors(connection_t *connection) {
    while (connection->n_fds > 0)
        (void)close(connection->fds[--connection->n_fds]);
}

static status_t write_message(connection_t *connection, accel_req_t *const *requests,
                              uint32_t n_requests, size_t *out_bytes) {
    accel_socket_head_t *head = (accel_socket_head_t *)(void *)connection->data;
    *out_bytes = sizeof *head;
    if (n_requests == 0 || n_requests > ACCEL_SOCKET_MAX_REQUESTS)
        return STATUS_INVALID;
    for (uint32_t i = 0; i < n_requests; i++)
        RETURN_IF_ERROR(write_request(connection, requests[i], out_bytes));
    *head = (accel_socket_head_t){.magic = ACCEL_SOCKET_MAGIC,
                                  .bytes = (uint32_t)*out_bytes,
                                  .n_requests = n_requests,
                                  .number = ++connection->number};
    return STATUS_OK;
}

// One message and its answer; descriptors stay with the connection. DEVICE_LOST with
// *out_lost: the connection is of no use any more.
static status_t exchange(connection_t *connection, accel_req_t *const *requests,
                         uint32_t n_requests, uint32_t *out_done, bool *out_lost) {
    size_t bytes, at = sizeof(accel_socket_head_t);
    *out_done = 0;
    RETURN_IF_ERROR(write_message(connection, requests, n_requests, &bytes));
    *out_lost = true;
    if (!send_message(connection, bytes) || (bytes = receive_message(connection)) == 0)
        return STATUS_DEVICE_LOST;
    uint32_t n = ((const accel_socket_head_t *)(void *)connection->data)->n_requests;
    for (uint32_t i = 0; i < n; i++) {
        if (i >= n_requests || !read_request(connection, bytes, requests[i], &at))
            return STATUS_DEVICE_LOST;
        if (requests[i]->status == STATUS_OK)
            ++*out_done;
    }
    *out_lost = false;
    if (*out_done == n_requests)
        return STATUS_OK;
    return *out_done < n ? (status_t)requests[n - 1]->status : STATUS_LIMIT;
}

static void connection_free(connection_t *connection) {
    drop_descriptors(connection);
    (void)close(connection->fd);
    free(connection);
}

// *out_fd (may be NULL): the descriptor that came, or -1.
static status_t go(remote_t *remote, accel_req_t *const *requests, uint32_t n_requests,
                   uint32_t *out_done, int *out_fd) {
    bool lost = false;
    connection_t *connection = take(remote);
    *out_done = 0;
    if (connection == NULL)
        return STATUS_DEVICE_LOST;
    status_t status = exchange(connection, requests, n_requests, out_done, &lost);
    if (out_fd != NULL)
        *out_fd = connection->n_fds > 0 ? connection->fds[--connection->n_fds] : -1;
    drop_descriptors(connection);
    if (!lost) {
        give(remote, connection);
        return status;
    }
    set_lost(remote); // connections of a client die together
    connection_free(connection);
    return status;
}

// --- Host memory ---

// Large blocks begin at a multiple of 2 MiB, as they do in the daemon.
static void *map(int fd, size_t bytes) {
    size_t align = bytes >= LARGE_BYTES ? LARGE_BYTES : ISA_PAGE_BYTES;
    uint8_t *area = mmap(NULL, bytes + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return NULL;
    size_t skip = (size_t)(-(uintptr_t)area & (align - 1));
    void *memory = mmap(area + skip, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
    if (memory == MAP_FAILED) {
        (void)munmap(area, bytes + align);
        return NULL;
    }
    if (skip > 0)
        (void)munmap(area, skip);
    (void)munmap(area + skip + bytes, align - skip);
    return memory;
}

static void destroy_bo(remote_t *remote, uint32_t bo) {
    accel_req_handle_t request = {
        .head = {sizeof request, ACCEL_REQ_BO_DESTROY, ACCEL_UAPI_VERSION, 0, 0}, .handle = bo};
    accel_req_t *requests[] = {&request.head};
    uint32_t done;
    (void)go(remote, requests, 1, &done, NULL);
}

static status_t remote_memory_alloc(void *self, size_t bytes, void **out_memory, uint32_t *out_bo) {
    accel_req_bo_create_t request = {
        .head = {sizeof request, ACCEL_REQ_BO_CREATE, ACCEL_UAPI_VERSION, ACCEL_BO_HOST, 0},
        .bytes = bytes};
    accel_req_t *requests[] = {&request.head};
    uint32_t done;
    int fd = -1;
    RETURN_IF_ERROR(go(self, requests, 1, &done, &fd));
    *out_memory = fd >= 0 ? map(fd, bytes) : NULL;
    *out_bo = request.handle;
    if (fd >= 0)
        (void)close(fd);
    if (*out_memory != NULL)
        return STATUS_OK;
    destroy_bo(self, request.handle); // no descriptor: this process has no room for one
    return fd >= 0 ? STATUS_NO_MEMORY : STATUS_LIMIT;
}

static void remote_memory_free(void *self, void *memory, size_t bytes) {
    (void)self;
    (void)munmap(memory, bytes);
}

// --- Requests ---

// Nobody can pin this process's memory for the daemon; what may be copied is, once.
static status_t from_user(remote_t *remote, accel_req_bo_from_user_t *request) {
    const uint32_t copyable = ACCEL_FROM_USER_READ_ONLY | ACCEL_FROM_USER_MAY_COPY;
    void *memory;
    if (request->head.flags != copyable)
        return STATUS_UNSUPPORTED;
    if (request->bytes == 0 || request->bytes % ISA_PAGE_BYTES != 0 ||
        request->address % ISA_PAGE_BYTES != 0 || request->bytes > SIZE_MAX / 2)
        return STATUS_INVALID;
    RETURN_IF_ERROR(remote_memory_alloc(remote, (size_t)request->bytes, &memory, &request->handle));
    memcpy(memory, (const void *)(uintptr_t)request->address, (size_t)request->bytes);
    remote_memory_free(remote, memory, (size_t)request->bytes);
    request->copied = 1;
    return STATUS_OK;
}

static status_t remote_request(void *self, void *request, size_t bytes) {
    accel_req_t *head = request;
    accel_req_t *requests[] = {head};
    uint32_t done;
    if (bytes < sizeof *head || head->size != bytes)
        return STATUS_INVALID;
    if (head->op == ACCEL_REQ_BO_FROM_USER && bytes == sizeof(accel_req_bo_from_user_t)) {
        status_t status = from_user(self, request);
        head->status = (uint32_t)status;
        return status;
    }
    return go(self, requests, 1, &done, NULL);
}

static status_t remote_batch(void *self, accel_req_t *const *requests, uint32_t n_requests,
                             uint32_t *out_done) {
    return go(self, requests, n_requests, out_done, NULL);
}

// --- Life ---

static void remote_lock(void *self) { (void)pthread_mutex_lock(&((remote_t *)self)->mutex); }
static void remote_unlock(void *self) { (void)pthread_mutex_unlock(&((remote_t *)self)->mutex); }

static void remote_sleep(void *self) {
    remote_t *remote = self;
    (void)pthread_cond_wait(&remote->changed, &remote->mutex);
}

static void remote_wake(void *self) { (void)pthread_cond_broadcast(&((remote_t *)self)->changed); }

static void remote_close(void *self) {
    remote_t *remote = self;
    for (connection_t *connection; (connection = pop_idle(remote)) != NULL;)
        connection_free(connection);
    (void)pthread_cond_destroy(&remote->changed);
    (void)pthread_cond_destroy(&remote->came_back);
    (void)pthread_mutex_destroy(&remote->pool);
    (void)pthread_mutex_destroy(&remote->mutex);
    free(remote);
}

static const rt_client_ops_t remote_ops = {
    .version = RT_CLIENT_VERSION,
    .kind = "daemon",
    .request = remote_request,
    .batch = remote_batch,
    .memory_alloc = remote_memory_alloc,
    .memory_free = remote_memory_free,
    .lock = remote_lock,
    .unlock = remote_unlock,
    .sleep = remote_sleep,
    .wake = remote_wake,
    .now_ns = remote_now_ns,
    .lost = remote_lost,
    .close = remote_close,
};

// Timed waits go by the monotonic clock.
static bool init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(condition, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return ok;
}

static remote_t *remote_new(const char *path) {
    remote_t *remote = calloc(1, sizeof *remote);
    if (remote == NULL)
        return NULL;
    (void)snprintf(remote->path, sizeof remote->path, "%s", path);
    (void)snprintf(remote->lost_text, sizeof remote->lost_text,
                   "the daemon accel-cardd at %s is gone, or ended this client", remote->path);
    if (pthread_mutex_init(&remote->mutex, NULL) == 0 &&
        pthread_mutex_init(&remote->pool, NULL) == 0 && init_condition(&remote->came_back) &&
        pthread_cond_init(&remote->changed, NULL) == 0)
        return remote;
    free(remote);
    return NULL;
}

// A daemon was reached and did not take the client.
static accel_status_t refused(accel_error_t *error, status_t status, const char *path,
                              const rt_daemon_options_t *options,
                              const accel_socket_welcome_t *welcome) {
    accel_status_t result = (accel_status_t)status;
    bool has_answered = welcome->magic == ACCEL_SOCKET_MAGIC;
    if (has_answered && status == STATUS_NOT_FOUND)
        return rt_fail(error, result, "the daemon at %s has %u cards, and none of index %u", path,
                       welcome->n_cards, options->card);
    if (has_answered && status == STATUS_MISMATCH)
        return rt_fail(error, result, "the daemon at %s speaks version %u, this library %u", path,
                       welcome->version, ACCEL_SOCKET_VERSION);
    if (has_answered && status == STATUS_LIMIT)
        return rt_fail(error, result, "the daemon at %s has no place for more clients", path);
    if (status == STATUS_TIMEOUT)
        return rt_fail(error, result, "the daemon at %s does not answer", path);
    return rt_fail(error, result, "the daemon at %s: %s", path, status_text(status));
}

static accel_status_t not_reached(accel_error_t *error, status_t status, const char *path,
                                  int why) {
    if (status == STATUS_NOT_FOUND)
        return rt_fail(error, ACCEL_NOT_FOUND, "no daemon at %s; start accel-cardd", path);
    return rt_fail(error, (accel_status_t)status, "cannot connect to %s: %s", path, strerror(why));
}

accel_status_t rt_daemon_open_at(const char *path, const rt_daemon_options_t *options,
                                 rt_client_t *out_client, bool *out_reached, accel_error_t *error) {
    accel_socket_hello_t hello =
        hello_of(options->monitor ? ACCEL_SOCKET_MONITOR : ACCEL_SOCKET_OPEN);
    accel_socket_welcome_t welcome = {0};
    int why;
    hello.card = options->card;
    *out_reached = false;
    remote_t *remote = remote_new(path);
    if (remote == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    status_t status = connection_new(path, &hello, &welcome, &remote->idle, &why);
    *out_reached = why == 0;
    if (status == STATUS_OK && welcome.uapi_version != ACCEL_UAPI_VERSION)
        status = STATUS_MISMATCH;
    if (status != STATUS_OK) {
        remote_close(remote);
        return why == 0 ? refused(error, status, path, options, &welcome)
                        : not_reached(error, status, path, why);
    }
    remote->n_connections = 1;
    memcpy(remote->token, welcome.token, sizeof remote->token);
    *out_client = (rt_client_t){.ops = &remote_ops,
                                .self = remote,
                                .where = remote->path,
                                .card = welcome.card,
                                .n_cards = welcome.n_cards};
    return ACCEL_OK;
}
