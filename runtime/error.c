// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/runtime_internal.h"
#include "support/dtype.h"

// The public numbers are those of the inside.
#define SAME_STATUS(name, number, text) _Static_assert((int)ACCEL_##name == (number), #name);
STATUS_TABLE(SAME_STATUS)
_Static_assert((int)ACCEL_F32 == DTYPE_F32 && (int)ACCEL_I64 == DTYPE_I64 &&
                   (int)ACCEL_STRING == DTYPE_STR && (int)ACCEL_BF16 == DTYPE_BF16 &&
                   (int)ACCEL_F8E8M0 == DTYPE_F8E8M0 && (int)ACCEL_I2 == DTYPE_I2,
               "element types");

// Why a context was lost has the numbers of the driver.
_Static_assert((int)ACCEL_NOT_LOST == ACCEL_LOST_NOT &&
                   (int)ACCEL_LOST_BY_FAULT == ACCEL_LOST_FAULT &&
                   (int)ACCEL_LOST_BY_HANG == ACCEL_LOST_HANG &&
                   (int)ACCEL_LOST_BY_TIMEOUT == ACCEL_LOST_TIMEOUT &&
                   (int)ACCEL_LOST_BY_ECC == ACCEL_LOST_ECC &&
                   (int)ACCEL_LOST_BY_CARD_ERROR == ACCEL_LOST_CARD_ERROR &&
                   (int)ACCEL_LOST_BY_RESET == ACCEL_LOST_RESET &&
                   (int)ACCEL_LOST_BY_REMOVAL == ACCEL_LOST_REMOVED &&
                   (int)ACCEL_LOST_BY_BAN == ACCEL_LOST_BANNED,
               "reasons");

const char *accel_status_text(accel_status_t status) { return status_text((status_t)status); }

accel_status_t rt_fail(accel_error_t *error, accel_status_t status, const char *format, ...) {
    if (error == NULL)
        return status;
    va_list args;
    error->status = status;
    error->lost = ACCEL_NOT_LOST;
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

// Whose fault it is that requests end as DEVICE_LOST, where it is not the card's.
static const char *gone(const accel_device_t *device) {
    const rt_client_t *client = &device->client;
    return client->ops->lost != NULL ? client->ops->lost(client->self) : NULL;
}

// A card that was lost and answers has been reset.
static accel_lost_t how_lost(accel_device_t *device) {
    accel_req_telemetry_t now = {0};
    if (rt_request(device, &now, sizeof now, ACCEL_REQ_TELEMETRY) != STATUS_OK)
        return gone(device) != NULL ? ACCEL_LOST_BY_DRIVER : ACCEL_LOST_BY_REMOVAL;
    return now.card_state == ACCEL_CARD_LOST ? ACCEL_LOST_BY_REMOVAL : ACCEL_LOST_BY_RESET;
}

static accel_status_t as_lost(accel_error_t *error, accel_status_t status, accel_lost_t why) {
    if (error != NULL)
        error->lost = why;
    return status;
}

accel_status_t rt_fail_device(accel_device_t *device, accel_error_t *error, status_t status,
                              const char *what) {
    const char *why = status == STATUS_DEVICE_LOST ? gone(device) : NULL;
    if (why != NULL)
        return as_lost(error,
                       rt_fail(error, ACCEL_DEVICE_LOST,
                               "%s: %s; close the device, and open it again when a daemon runs",
                               what, why),
                       ACCEL_LOST_BY_DRIVER);
    if (status == STATUS_DENIED) // a device denies nothing else than work of the banned
        return as_lost(error,
                       rt_fail(error, ACCEL_DENIED,
                               "%s: this process hung the card too often and gets no more work "
                               "done; close the device, and find out why it hangs",
                               what),
                       ACCEL_LOST_BY_BAN);
    accel_status_t result = rt_fail_status(error, status, what);
    return status == STATUS_DEVICE_LOST ? as_lost(error, result, how_lost(device)) : result;
}

accel_status_t rt_fail_open(accel_device_t *device, accel_error_t *error, status_t status) {
    uint32_t card = device->client.card;
    if (status != STATUS_DEVICE_LOST || gone(device) != NULL)
        return rt_fail_device(device, error, status, "cannot set the device up");
    accel_lost_t why = how_lost(device);
    return as_lost(error,
                   why == ACCEL_LOST_BY_RESET
                       ? rt_fail(error, ACCEL_DEVICE_LOST,
                                 "card %u is being reset; open it again in a second", card)
                       : rt_fail(error, ACCEL_DEVICE_LOST,
                                 "card %u does not answer; an administrator may bring it back by "
                                 "'accel-smi --reset -i %u'",
                                 card, card),
                   why);
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

void rt_fail_in(accel_error_t *error, const char *what, const char *path) {
    rt_text_t text = {0};
    if (error == NULL)
        return;
    rt_text_add(&text, "%s %s: %s", what, path, error->text);
    memcpy(error->text, text.text, text.length + 1);
}
