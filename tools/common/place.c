// SPDX-License-Identifier: Apache-2.0
#include "tools/common/place.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_set(const char *value) { return value != NULL && value[0] != 0; }

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

const char *place_of_daemon(const char *socket, const char *runtime_dir, bool is_root) {
    if (is_set(socket))
        return socket;
    return !is_root && is_set(runtime_dir) && is_folder(runtime_dir) ? runtime_dir : NULL;
}

const char *place_of_daemon_here(void) {
    return place_of_daemon(getenv("ACCEL_SOCKET"), getenv("XDG_RUNTIME_DIR"), geteuid() == 0);
}
