// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include "tests/soak/soak.h"
#include "tests/soak/work.h"

uint64_t soak_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void soak_sleep_ms(uint64_t ms) {
    struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000 * 1000000)};
    (void)nanosleep(&time, NULL);
}

uint64_t soak_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return work_mix(x);
}

uint64_t soak_below(uint64_t *state, uint64_t n) { return soak_random(state) % n; }

uint64_t soak_seed(const soak_shared_t *shared, uint64_t a, uint64_t b) {
    return work_mix(work_mix(work_mix(shared->options.seed) + a) + b) | 1;
}

uint32_t soak_place(_Atomic uint32_t *count, uint32_t capacity) {
    uint32_t place = atomic_fetch_add(count, 1);
    return place < capacity ? place : UINT32_MAX;
}

const char *soak_lost_text(uint32_t lost) {
    static const char *const texts[] = {"",           "fault", "hang",    "timeout", "ecc",
                                        "card error", "reset", "removal", "ban"};
    if (lost == ACCEL_LOST_BY_EVENT)
        return "event";
    return lost < sizeof texts / sizeof texts[0] ? texts[lost] : "?";
}
