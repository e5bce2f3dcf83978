// SPDX-License-Identifier: Apache-2.0
// accel-cardd: options, going to the background, the life of the server.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"
#include "isa/xaccel.h"
#include "tools/common/cli.h"

typedef struct options {
    uint64_t cards, cores, max_clients;
    const char *profile, *engine, *socket, *socket_mode, *log;
    const char *memory, *client_memory, *client_host_memory;
    bool timing, foreground;
} options_t;

#define OPTION(short_name, long_name, kind, member, value, choices, help)                          \
    { short_name, long_name, kind, offsetof(options_t, member), value, choices, help }
static const cli_option_t option_table[] = {
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Cards"},
    OPTION('n', "cards", CLI_U64, cards, "N", NULL, "simulated cards (default 1)"),
    OPTION('p', "profile", CLI_TEXT, profile, "NAME", "host|edge|server", "what they are"),
    OPTION('c', "cores", CLI_U64, cores, "N", NULL,
           "cores of each (default: the profile's, or the machine's)"),
    OPTION('e', "engine", CLI_TEXT, engine, "NAME", "fast|ref", "their engines"),
    OPTION('m', "memory", CLI_TEXT, memory, "BYTES", NULL,
           "memory of each (default: the profile's); K, M, G may follow"),
    OPTION(0, "timing", CLI_FLAG, timing, NULL, NULL, "count cycles by event simulation"),
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Clients"},
    OPTION('s', "socket", CLI_TEXT, socket, "PATH", NULL,
           "where (default: /run/accel-cardd.sock for root, else accel-cardd.sock in "
           "$XDG_RUNTIME_DIR)"),
    OPTION(0, "socket-mode", CLI_TEXT, socket_mode, "MODE", NULL,
           "who may connect, in octal (default 0666)"),
    OPTION(0, "max-clients", CLI_U64, max_clients, "N", NULL,
           "open at a time (default 256); a process gets a quarter at most, a user half"),
    OPTION(0, "client-memory", CLI_TEXT, client_memory, "BYTES", NULL,
           "card memory of a client (default: all)"),
    OPTION(0, "client-host-memory", CLI_TEXT, client_host_memory, "BYTES", NULL,
           "host memory of a client (default: half of the machine's)"),
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Running"},
    OPTION('f', "foreground", CLI_FLAG, foreground, NULL, NULL,
           "stay; without, it goes to the background when it can be used"),
    OPTION(0, "log", CLI_TEXT, log, "FILE", NULL,
           "add log lines to FILE (default: standard error; none in the background)"),
};

static const cli_program_t program_info = {
    .name = "accel-cardd",
    .operands = "",
    .summary = "Owns simulated accelerator cards and serves them to the processes of this machine "
               "over a Unix socket: accel_device_open(\"daemon\"), accelrun --device=daemon.",
    .options = option_table,
    .n_options = sizeof option_table / sizeof option_table[0],
    .epilogue = "SIGTERM ends it: clients are cut off, all that they had is freed. With systemd "
                "use --foreground and Type=notify.",
};

static bool fail(const char *what, const char *value) {
    fprintf(stderr, "accel-cardd: %s: %s\n", what, value);
    return false;
}

// --- Options ---

// "512M"; NULL leaves the default.
static bool parse_bytes(const char *text, uint64_t *out_bytes) {
    char digits[32];
    unsigned shift = 0;
    if (text == NULL)
        return true;
    size_t length = strlen(text);
    if (length == 0 || length >= sizeof digits)
        return false;
    memcpy(digits, text, length + 1);
    switch (digits[length - 1]) {
    case 'K':
        shift = 10;
        break;
    case 'M':
        shift = 20;
        break;
    case 'G':
        shift = 30;
        break;
    default:
        break;
    }
    if (shift != 0)
        digits[length - 1] = 0;
    if (!cli_parse_u64(digits, out_bytes) || *out_bytes > UINT64_MAX >> shift)
        return false;
    *out_bytes <<= shift;
    return true;
}

static uint64_t machine_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_C(1) << 32;
}

static bool check_cards(const options_t *options, daemon_options_t *out) {
    out->n_cards = (uint32_t)options->cards;
    out->card = (sim_options_t){
        .version = SIM_VERSION,
        .profile = isa_profile_find(options->profile),
        .cores = (uint32_t)options->cores,
        .engines = strcmp(options->engine, "ref") == 0 ? SIM_ENGINES_REF : SIM_ENGINES_FAST,
        .mode = options->timing ? SIM_MODE_TIMING : SIM_MODE_FUNCTIONAL,
    };
    if (options->cards < 1 || options->cards > DAEMON_MAX_CARDS)
        return fail("--cards", "from 1 to 64 are possible");
    if (options->cores > XA_MAX_CORES)
        return fail("--cores", "a card has not that many");
    if (out->card.profile == NULL)
        return fail("there is no profile", options->profile);
    if (!parse_bytes(options->memory, &out->card.memory_bytes))
        return fail("--memory: not a size", options->memory);
    return true;
}

static bool check_clients(const options_t *options, daemon_options_t *out) {
    uint64_t machine = machine_memory();
    out->max_clients = (uint32_t)options->max_clients;
    out->client_host_memory = machine / 2;
    out->host_memory = machine / 4 * 3;
    if (options->max_clients < 1 || options->max_clients > 4096)
        return fail("--max-clients", "from 1 to 4096 are possible");
    if (!parse_bytes(options->client_memory, &out->client_memory))
        return fail("--client-memory: not a size", options->client_memory);
    if (!parse_bytes(options->client_host_memory, &out->client_host_memory))
        return fail("--client-host-memory: not a size", options->client_host_memory);
    return true;
}

// Absolute, since in the background the folder changes.
static bool socket_path(const options_t *options, char *out_path, size_t bytes) {
    const char *folder = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
    char here[4096] = "";
    if (options->socket != NULL && options->socket[0] != '/' && getcwd(here, sizeof here) == NULL)
        return fail("--socket", strerror(errno));
    int n = options->socket != NULL ? snprintf(out_path, bytes, "%s%s%s", here,
                                               here[0] != 0 ? "/" : "", options->socket)
            : folder != NULL        ? snprintf(out_path, bytes, "%s/" ACCEL_SOCKET_NAME, folder)
                                    : 0;
    if (n == 0)
        return fail("no place for the socket", "XDG_RUNTIME_DIR is not set; add --socket=PATH");
    return (size_t)n < bytes ? true : fail("too long for a socket's name", options->socket);
}

static bool parse_mode(const char *text, mode_t *out_mode) {
    char *end;
    unsigned long mode = strtoul(text, &end, 8);
    *out_mode = (mode_t)mode;
    return *text != 0 && *end == 0 && mode <= 0777 ? true : fail("--socket-mode: not a mode", text);
}

// --- Background ---

// The parent stays until the child can be used, or cannot, and ends with that result. Returns, in
// the child, where to tell it; -1 in the foreground.
static int go_to_background(void) {
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
        (void)setsid();
        return ends[1];
    }
    char ok = 0;
    (void)close(ends[1]);
    bool started = pid > 0 && read(ends[0], &ok, 1) == 1;
    _exit(started ? CLI_EXIT_OK : CLI_EXIT_FAILURE);
}

// systemd's, where it asked for it.
static void notify_system(void) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0) {
        (void)sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (const struct sockaddr *)&address, bytes);
        (void)close(fd);
    }
}

static void detach(int told, bool keep_errors) {
    char ok = 1;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        if (!keep_errors)
            (void)dup2(null, STDERR_FILENO);
        (void)close(null);
    }
    if (chdir("/") != 0 || write(told, &ok, 1) != 1)
        return; // nobody waits any more
    (void)close(told);
}

// --- Life ---

typedef struct setting {
    daemon_options_t server;
    char path[120];
    mode_t mode;
    int log_fd, told;
} setting_t;

static void block_signals(void) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); // for the threads to come, too
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
}

static status_t serve(daemon_server_t *server, const setting_t *setting) {
    int listener, lock;
    RETURN_IF_ERROR(
        daemon_socket_open(&server->log, setting->path, setting->mode, &listener, &lock));
    daemon_log(&server->log, "%u cards at %s", server->options.n_cards, setting->path);
    notify_system();
    if (setting->told >= 0)
        detach(setting->told, false);
    status_t status = daemon_server_run(server, listener);
    daemon_socket_close(setting->path, listener, lock);
    return status;
}

// As many connections as the system lets us have, and not as it gives without being asked.
static void raise_file_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static status_t run(const setting_t *setting) {
    daemon_server_t *server = calloc(1, sizeof *server);
    if (server == NULL)
        return STATUS_NO_MEMORY;
    status_t status = daemon_server_start(server, &setting->server, setting->log_fd);
    if (status == STATUS_OK) {
        status = serve(server, setting);
        daemon_server_stop(server);
    }
    free(server);
    return status;
}

static int start(const options_t *options) {
    setting_t setting = {.log_fd = STDERR_FILENO, .told = -1};
    if (!check_cards(options, &setting.server) || !check_clients(options, &setting.server) ||
        !socket_path(options, setting.path, sizeof setting.path) ||
        !parse_mode(options->socket_mode, &setting.mode))
        return CLI_EXIT_USAGE;
    if (options->log != NULL)
        setting.log_fd = open(options->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (setting.log_fd < 0) {
        (void)fail(options->log, strerror(errno));
        return CLI_EXIT_FAILURE;
    }
    if (!options->foreground)
        setting.told = go_to_background();
    block_signals();
    raise_file_limit();
    status_t status = run(&setting);
    if (status == STATUS_BUSY)
        (void)fail(setting.path, "another daemon serves it; take another by --socket=PATH");
    else if (status != STATUS_OK)
        (void)fail("ends", status_text(status));
    return status == STATUS_OK ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

int main(int argc, char **argv) {
    arena_t arena;
    cli_list_t operands = {0};
    options_t options = {
        .cards = 1, .max_clients = 256, .profile = "host", .engine = "fast", .socket_mode = "0666"};
    cli_guard_streams();
    arena_init(&arena);
    cli_result_t parsed =
        cli_parse(&program_info, argc, argv, &arena, stdout, stderr, &options, &operands);
    int code = parsed == CLI_DONE ? CLI_EXIT_OK : CLI_EXIT_USAGE;
    if (parsed == CLI_GO_ON)
        code = start(&options);
    arena_deinit(&arena);
    return cli_finish("accel-cardd", stdout, stderr, code);
}
