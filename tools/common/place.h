// SPDX-License-Identifier: Apache-2.0
// Where accel-cardd is, as the environment says it: libraries read none, so tools pass it on.
#ifndef TOOLS_COMMON_PLACE_H
#define TOOLS_COMMON_PLACE_H

#include <stdbool.h>

// What accel_device_options_t and accel_manager_open call `socket`, from the values of
// $ACCEL_SOCKET and $XDG_RUNTIME_DIR (NULL or empty: not set). root's daemon is the machine's,
// whatever user's session it is started from. NULL: the usual places.
const char *place_of_daemon(const char *socket, const char *runtime_dir, bool is_root);
// The same, of this process.
const char *place_of_daemon_here(void);

#endif
