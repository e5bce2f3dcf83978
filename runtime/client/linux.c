// SPDX-License-Identifier: Apache-2.0
// The way through the kernel, as far as there is one: it looks for a node of Linux' accel subsystem
// whose driver is ours. That driver is not written yet, so that none answers; what is here keeps
// the order of the ways, and says what was looked for.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/runtime_internal.h"

#define NODE_DRIVER "accel_card" // the name by which ours will be known in sysfs
#define MAX_NODES   64u          // minors of the subsystem that are looked at
#define NAME_BYTES  256u

static void node_path(uint32_t number, char *out_path, size_t bytes) {
    (void)snprintf(out_path, bytes, "/dev/accel/accel%u", number);
}

// The name of the driver of a device node; empty: not a node, or nobody's. Nothing is opened: the
// card may be another driver's, and asleep.
static void node_driver(uint32_t number, char out_name[NAME_BYTES]) {
    char path[64], target[NAME_BYTES];
    struct stat info;
    out_name[0] = 0;
    node_path(number, path, sizeof path);
    if (stat(path, &info) != 0 || !S_ISCHR(info.st_mode))
        return;
    (void)snprintf(path, sizeof path, "/sys/dev/char/%u:%u/device/driver", major(info.st_rdev),
                   minor(info.st_rdev));
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return;
    target[n] = 0;
    const char *name = strrchr(target, '/');
    name = name != NULL ? name + 1 : target;
    memcpy(out_name, name, strlen(name) + 1);
}

accel_status_t rt_linux_open(uint32_t card, rt_client_t *out_client, accel_error_t *error) {
    char driver[NAME_BYTES], other[NAME_BYTES] = "";
    uint32_t n_ours = 0;
    (void)out_client; // of the driver that is to come
    for (uint32_t i = 0; i < MAX_NODES; i++) {
        node_driver(i, driver);
        if (strcmp(driver, NODE_DRIVER) != 0) {
            if (driver[0] != 0)
                memcpy(other, driver, sizeof other);
        } else if (n_ours++ == card) {
            return rt_fail(error, ACCEL_NOT_FOUND,
                           "/dev/accel/accel%u has the driver " NODE_DRIVER ", which this library "
                           "is too old to speak to; install both from one release",
                           i);
        }
    }
    return rt_fail(error, ACCEL_NOT_FOUND,
                   "no card %u of a kernel driver: none of /dev/accel/accel0 to accel%u has the "
                   "driver " NODE_DRIVER
                   ", which is not written yet (found: %s); start accel-cardd "
                   "and take 'daemon', or take 'inproc'",
                   card, MAX_NODES - 1, other[0] != 0 ? other : "none");
}
