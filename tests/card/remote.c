// SPDX-License-Identifier: Apache-2.0
#include "tests/card/remote.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum message_kind {
    // To the card's process.
    CONFIG_READ,
    CONFIG_WRITE,
    BAR_READ,
    BAR_WRITE,
    DESTROY,
    // To the host's process.
    DMA_READ,
    DMA_WRITE,
    MSIX,
    CLOCK,
} message_kind_t;

// Every request gets one answer. `bytes` of data follow a DMA_WRITE and a good answer to DMA_READ.
typedef struct message {
    uint32_t kind, bar;
    uint64_t address, bytes, value;
} message_t;

static bool send_all(int socket, const void *data, size_t bytes) {
    for (const char *from = data; bytes > 0;) {
        ssize_t n = send(socket, from, bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        from += n, bytes -= (size_t)n;
    }
    return true;
}

static bool receive_all(int socket, void *out_data, size_t bytes) {
    return bytes == 0 || recv(socket, out_data, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

// --- One end asks ---

typedef struct asker {
    int socket;
    pthread_mutex_t lock;
} asker_t;

static bool ask(asker_t *asker, message_t *message, const void *data, void *out_data) {
    (void)pthread_mutex_lock(&asker->lock);
    bool ok = send_all(asker->socket, message, sizeof *message) &&
              (data == NULL || send_all(asker->socket, data, message->bytes)) &&
              receive_all(asker->socket, message, sizeof *message) &&
              (out_data == NULL || message->value == 0 ||
               receive_all(asker->socket, out_data, message->bytes));
    (void)pthread_mutex_unlock(&asker->lock);
    return ok;
}

// --- The card's process ---

static bool far_dma_read(void *user, uint64_t address, void *out_data, uint64_t bytes) {
    message_t message = {.kind = DMA_READ, .address = address, .bytes = bytes};
    return ask(user, &message, NULL, out_data) && message.value != 0;
}

static bool far_dma_write(void *user, uint64_t address, const void *data, uint64_t bytes) {
    message_t message = {.kind = DMA_WRITE, .address = address, .bytes = bytes};
    return ask(user, &message, data, NULL) && message.value != 0;
}

static void far_msix(void *user, uint32_t vector) {
    message_t message = {.kind = MSIX, .value = vector};
    (void)ask(user, &message, NULL, NULL);
}

static uint64_t far_clock(void *user) {
    message_t message = {.kind = CLOCK};
    return ask(user, &message, NULL, NULL) ? message.value : 0;
}

static void access_card(const sim_function_t *card, message_t *m) {
    switch ((message_kind_t)m->kind) {
    case CONFIG_READ:
        m->value = card->config_read(card->self, (uint32_t)m->address, (uint32_t)m->bytes);
        break;
    case CONFIG_WRITE:
        card->config_write(card->self, (uint32_t)m->address, (uint32_t)m->bytes,
                           (uint32_t)m->value);
        break;
    case BAR_READ:
        m->value = card->bar_read(card->self, m->bar, m->address, (uint32_t)m->bytes);
        break;
    case BAR_WRITE:
        card->bar_write(card->self, m->bar, m->address, (uint32_t)m->bytes, m->value);
        break;
    default:
        break;
    }
}

static void serve_card(const sim_options_t *options, int requests, int callbacks) {
    asker_t asker = {callbacks, PTHREAD_MUTEX_INITIALIZER};
    sim_options_t posted = *options;
    posted.posted = true;
    sim_host_t host = {
        .version = SIM_VERSION,
        .user = &asker,
        .dma_read = far_dma_read,
        .dma_write = far_dma_write,
        .msix = far_msix,
        .clock_ns = far_clock,
    };
    sim_function_t card;
    message_t message = {.value = (uint64_t)sim_function_create(&posted, &host, &card)};
    bool created = message.value == STATUS_OK;
    bool ok = send_all(requests, &message, sizeof message) && created;
    while (ok && receive_all(requests, &message, sizeof message) && message.kind != DESTROY) {
        access_card(&card, &message);
        ok = send_all(requests, &message, sizeof message);
    }
    if (created)
        card.destroy(card.self);
    (void)send_all(requests, &message, sizeof message);
}

// --- The host's process ---

typedef struct remote {
    asker_t asker;
    // What the owner wrote before an access is there for a DMA that the access brings about. The
    // other process orders the two in fact; this says so to whoever checks the program.
    atomic_uint order;
    int callbacks;
    sim_host_t host;
    pthread_t thread, interrupter;
    pid_t child;
    // Interrupts on their way. As on a bus they may arrive while an access waits for its answer,
    // and their handler may make accesses: so a thread of their own delivers them.
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint64_t vectors; // a bit each
    bool ended;
} remote_t;

static void post_interrupt(remote_t *remote, uint64_t vector) {
    (void)pthread_mutex_lock(&remote->lock);
    remote->vectors |= UINT64_C(1) << (vector & 63);
    (void)pthread_cond_signal(&remote->news);
    (void)pthread_mutex_unlock(&remote->lock);
}

static void end_interrupts(remote_t *remote) {
    (void)pthread_mutex_lock(&remote->lock);
    remote->ended = true;
    (void)pthread_cond_signal(&remote->news);
    (void)pthread_mutex_unlock(&remote->lock);
}

// 0: the end.
static uint64_t take_interrupts(remote_t *remote) {
    (void)pthread_mutex_lock(&remote->lock);
    while (remote->vectors == 0 && !remote->ended)
        (void)pthread_cond_wait(&remote->news, &remote->lock);
    uint64_t vectors = remote->vectors;
    remote->vectors = 0;
    (void)pthread_mutex_unlock(&remote->lock);
    return vectors;
}

static void *deliver_interrupts(void *arg) {
    remote_t *remote = arg;
    for (uint64_t vectors; (vectors = take_interrupts(remote)) != 0;)
        for (uint32_t i = 0; i < 64; i++)
            if ((vectors >> i & 1) != 0)
                remote->host.msix(remote->host.user, i);
    return NULL;
}

static bool answer_read(remote_t *remote, message_t *message, void *buffer) {
    const sim_host_t *host = &remote->host;
    message->value = host->dma_read(host->user, message->address, buffer, message->bytes);
    return send_all(remote->callbacks, message, sizeof *message) &&
           (message->value == 0 || send_all(remote->callbacks, buffer, message->bytes));
}

static bool answer(remote_t *remote, message_t *message) {
    const sim_host_t *host = &remote->host;
    bool carries = message->kind == DMA_READ || message->kind == DMA_WRITE;
    atomic_fetch_add(&remote->order, 1);
    void *buffer = carries ? malloc(message->bytes + 1) : NULL;
    bool ok = !carries || buffer != NULL;
    if (ok && message->kind == DMA_READ) {
        ok = answer_read(remote, message, buffer);
    } else if (ok) {
        if (message->kind == DMA_WRITE &&
            (ok = receive_all(remote->callbacks, buffer, message->bytes)))
            message->value = host->dma_write(host->user, message->address, buffer, message->bytes);
        else if (message->kind == MSIX)
            post_interrupt(remote, message->value);
        else if (message->kind == CLOCK)
            message->value = host->clock_ns(host->user);
        ok = ok && send_all(remote->callbacks, message, sizeof *message);
    }
    free(buffer);
    return ok;
}

static void *serve_host(void *arg) {
    remote_t *remote = arg;
    message_t message;
    while (receive_all(remote->callbacks, &message, sizeof message) && answer(remote, &message)) {
    }
    return NULL;
}

static uint32_t config_read(void *self, uint32_t offset, uint32_t bytes) {
    remote_t *remote = self;
    message_t message = {.kind = CONFIG_READ, .address = offset, .bytes = bytes};
    return ask(&remote->asker, &message, NULL, NULL) ? (uint32_t)message.value : UINT32_MAX;
}

static void config_write(void *self, uint32_t offset, uint32_t bytes, uint32_t value) {
    remote_t *remote = self;
    message_t message = {.kind = CONFIG_WRITE, .address = offset, .bytes = bytes, .value = value};
    (void)ask(&remote->asker, &message, NULL, NULL);
}

static uint64_t bar_read(void *self, uint32_t bar, uint64_t offset, uint32_t bytes) {
    remote_t *remote = self;
    message_t message = {.kind = BAR_READ, .bar = bar, .address = offset, .bytes = bytes};
    return ask(&remote->asker, &message, NULL, NULL) ? message.value : UINT64_MAX;
}

static void bar_write(void *self, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value) {
    remote_t *remote = self;
    message_t message = {
        .kind = BAR_WRITE, .bar = bar, .address = offset, .bytes = bytes, .value = value};
    atomic_fetch_add(&remote->order, 1);
    (void)ask(&remote->asker, &message, NULL, NULL);
}

static void free_remote(remote_t *remote) {
    (void)pthread_mutex_destroy(&remote->asker.lock);
    (void)pthread_mutex_destroy(&remote->lock);
    (void)pthread_cond_destroy(&remote->news);
    free(remote);
}

static void destroy(void *self) {
    remote_t *remote = self;
    message_t message = {.kind = DESTROY};
    (void)ask(&remote->asker, &message, NULL, NULL);
    (void)waitpid(remote->child, NULL, 0); // its end closes the callbacks' socket too
    (void)pthread_join(remote->thread, NULL);
    end_interrupts(remote);
    (void)pthread_join(remote->interrupter, NULL);
    (void)close(remote->asker.socket);
    (void)close(remote->callbacks);
    free_remote(remote);
}

static bool start_child(remote_t *remote, const sim_options_t *options) {
    int requests[2], callbacks[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, requests) != 0)
        return false;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, callbacks) != 0)
        return false;
    remote->child = fork();
    if (remote->child == 0) {
        (void)close(requests[0]);
        (void)close(callbacks[0]);
        serve_card(options, requests[1], callbacks[1]);
        _exit(0);
    }
    (void)close(requests[1]);
    (void)close(callbacks[1]);
    remote->asker.socket = requests[0];
    remote->callbacks = callbacks[0];
    return remote->child > 0;
}

static bool start_threads(remote_t *remote) {
    if (pthread_create(&remote->thread, NULL, serve_host, remote) != 0)
        return false;
    return pthread_create(&remote->interrupter, NULL, deliver_interrupts, remote) == 0;
}

status_t remote_function_create(const sim_options_t *options, const sim_host_t *host,
                                sim_function_t *out_function) {
    message_t ready;
    remote_t *remote = calloc(1, sizeof *remote);
    if (remote == NULL)
        return STATUS_NO_MEMORY;
    remote->host = *host;
    (void)pthread_mutex_init(&remote->asker.lock, NULL);
    (void)pthread_mutex_init(&remote->lock, NULL);
    (void)pthread_cond_init(&remote->news, NULL);
    if (!start_child(remote, options) || !receive_all(remote->asker.socket, &ready, sizeof ready)) {
        free_remote(remote);
        return STATUS_IO;
    }
    if (!start_threads(remote))
        abort(); // a test cannot go on
    *out_function = (sim_function_t){
        .version = SIM_VERSION,
        .self = remote,
        .config_read = config_read,
        .config_write = config_write,
        .bar_read = bar_read,
        .bar_write = bar_write,
        .destroy = destroy,
    };
    if (ready.value == STATUS_OK)
        return STATUS_OK;
    destroy(remote);
    *out_function = (sim_function_t){0};
    return (status_t)ready.value;
}
