// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>

#include "runtime/runtime_internal.h"
#include "support/dtype.h"

// The public numbers are those of the inside.
#define SAME_STATUS(name, number, text) _Static_assert((int)ACCEL_##name == (number), #name);
STATUS_TABLE(SAME_STATUS)
_Static_assert((int)ACCEL_F32 == DTYPE_F32 && (int)ACCEL_I64 == DTYPE_I64 &&
                   (int)ACCEL_STRING == DTYPE_STR && (int)ACCEL_BF16 == DTYPE_BF16 &&
                   (int)ACCEL_F8E8M0 == DTYPE_F8E8M0 && (int)ACCEL_I2 == DTYPE_I2,
               "element types");

const char *accel_status_text(accel_status_t status) { return status_text((status_t)status); }

accel_status_t rt_fail(accel_error_t *error, accel_status_t status, const char *format, ...) {
    if (error == NULL)
        return status;
    va_list args;
    error->status = status;
    va_start(args, format);
    (void)vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return status;
}

// What to do, where the code says it.
static const char *hint_of(status_t status) {
    switch (status) {
    case STATUS_DEVICE_LOST:
        return "; it was reset or does not answer: close it and open it again";
    case STATUS_MISMATCH:
        return "; the driver is of another version: install both from one release";
    default:
        return "";
    }
}

accel_status_t rt_fail_status(accel_error_t *error, status_t status, const char *what) {
    return rt_fail(error, (accel_status_t)status, "%s: %s%s", what, status_text(status),
                   hint_of(status));
}

accel_status_t rt_fail_device(const accel_device_t *device, accel_error_t *error, status_t status,
                              const char *what) {
    const rt_client_t *client = &device->client;
    const char *why = status == STATUS_DEVICE_LOST && client->ops->lost != NULL
                          ? client->ops->lost(client->self)
                          : NULL;
    if (why == NULL)
        return rt_fail_status(error, status, what);
    return rt_fail(error, (accel_status_t)status, "%s: %s", what, why);
}

void rt_text_add(rt_text_t *text, const char *format, ...) {
    size_t room = sizeof text->text - text->length;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text->text + text->length, room, format, args);
    va_end(args);
    if (length > 0)
        text->length += (size_t)length < room ? (size_t)length : room - 1;
}
