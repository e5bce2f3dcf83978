// SPDX-License-Identifier: Apache-2.0
// Where a daemon may be.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/uapi/accel_socket.h"
#include "runtime/runtime_internal.h"

// A user's own daemon goes before the machine's; one that is there has the last word.
static accel_status_t open_usual(const char *own, const rt_daemon_options_t *options,
                                 rt_client_t *out_client, accel_error_t *error) {
    static const char machine[] = "/run/" ACCEL_SOCKET_NAME;
    accel_error_t first;
    bool is_reached;
    accel_status_t result = rt_daemon_open_at(own, options, out_client, &is_reached, &first);
    if (is_reached || result == ACCEL_OK) {
        if (error != NULL && result != ACCEL_OK)
            *error = first;
        return result;
    }
    accel_status_t second = rt_daemon_open_at(machine, options, out_client, &is_reached, error);
    if (is_reached || second != ACCEL_NOT_FOUND)
        return second;
    if (result == ACCEL_NOT_FOUND)
        return rt_fail(error, ACCEL_NOT_FOUND, "no daemon at %s or %s; start accel-cardd", own,
                       machine);
    return rt_fail(error, result, "%s", first.text);
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

accel_status_t rt_daemon_open(const rt_daemon_options_t *options, rt_client_t *out_client,
                              accel_error_t *error) {
    const char *socket = options->socket;
    char own[RT_SOCKET_PATH_BYTES];
    bool is_reached;
    int n;
    if (socket != NULL && !is_folder(socket)) {
        if (strlen(socket) >= sizeof own)
            return rt_fail(error, ACCEL_INVALID, "%s: too long for a socket's name", socket);
        return rt_daemon_open_at(socket, options, out_client, &is_reached, error);
    }
    if (socket != NULL)
        n = snprintf(own, sizeof own, "%s/" ACCEL_SOCKET_NAME, socket);
    else
        n = snprintf(own, sizeof own, "/run/user/%lu/" ACCEL_SOCKET_NAME, (unsigned long)getuid());
    if (n < 0 || (size_t)n >= sizeof own)
        return rt_fail(error, ACCEL_INVALID, "%s: too long for a socket's folder", socket);
    return open_usual(own, options, out_client, error);
}
