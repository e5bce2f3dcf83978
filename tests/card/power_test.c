// SPDX-License-Identifier: Apache-2.0
// Power states and sensors, by a clock that only moves when the test says so.
#include "tests/card/launch.h"

#define SECOND     UINT64_C(1000000000)
#define COPY(name) ISA_NODE_REG_AT(ISA_NODE_COPY, name)

static isa_ring_packet_t nop(void) {
    return (isa_ring_packet_t){.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
}

static uint32_t sensor(owner_t *owner, uint32_t offset) { return owner_reg(owner, offset); }

static void test_identity(owner_t *owner) {
    uint32_t features = owner_reg(owner, ISA_REG_FEATURES);
    uint32_t all = ISA_FEATURE_PREEMPT | ISA_FEATURE_HIGH_RING | ISA_FEATURE_RESET |
                   ISA_FEATURE_POWER | ISA_FEATURE_TELEMETRY | ISA_FEATURE_ECC | ISA_FEATURE_INJECT;
    CHECK_EQUAL(features & all, all);
    CHECK_EQUAL(owner_reg64(owner, ISA_REG_SERIAL_LO), UINT64_C(0x123456789ab));
    CHECK(owner_reg(owner, ISA_REG_FIRMWARE) >> 24 >= 1);
    // The link that the PCI Express capability tells.
    uint32_t link = owner_config(owner, 0x72, 2);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_LINK), (link & 15) << 8 | (link >> 4 & 63));
}

static void test_sleep(owner_t *owner) {
    owner_set_reg(owner, ISA_REG_POWER, 7); // no such state
    CHECK_EQUAL(owner_reg(owner, ISA_REG_POWER), ISA_POWER_ACTIVE);
    owner_set_reg(owner, ISA_REG_POWER, ISA_POWER_SLEEP);
    owner_wait_reg(owner, ISA_REG_POWER_STATE, ISA_POWER_SLEEP);
    (void)owner_push(owner, ISA_NODE_COPY, nop());
    owner_ring(owner, ISA_NODE_COPY);
    owner_pass(owner, SECOND);
    CHECK(!owner_has_completion(owner, ISA_NODE_COPY));
    CHECK_EQUAL(owner_reg(owner, COPY(RING_HEAD)), owner->nodes[ISA_NODE_COPY].tail - 1);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), ISA_CARD_ID);
    CHECK_EQUAL(sensor(owner, ISA_REG_CLOCK_NOW_KHZ), 0);
    CHECK_EQUAL(sensor(owner, ISA_REG_THROTTLE), ISA_THROTTLE_SLEEP);
    CHECK(sensor(owner, ISA_REG_POWER_DRAW) < 1000);
    owner_set_reg(owner, ISA_REG_POWER, ISA_POWER_ACTIVE);
    CHECK_EQUAL(owner_completion(owner, ISA_NODE_COPY).type, ISA_COMP_DONE);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_POWER_STATE), ISA_POWER_ACTIVE);
    owner_pass(owner, SECOND);
    CHECK_EQUAL(sensor(owner, ISA_REG_CLOCK_NOW_KHZ), owner_reg(owner, ISA_REG_CLOCK_KHZ));
    CHECK_EQUAL(sensor(owner, ISA_REG_THROTTLE), 0);
}

static void in_packet(owner_t *owner, uint64_t address) {
    const uint64_t *asleep = owner->hook_user;
    if (address != owner_dma(owner, asleep))
        return;
    owner->hook = NULL;
    owner_set_reg(owner, ISA_REG_POWER, ISA_POWER_SLEEP);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_POWER_STATE), ISA_POWER_ACTIVE); // not yet
}

// The packet in work ends first.
static void test_sleep_in_work(owner_t *owner) {
    uint64_t *word = owner_alloc(owner, 4096);
    isa_ring_packet_t fence = {.fence = {.op = ISA_RING_FENCE,
                                         .flags = ISA_RING_FLAG_COMPLETE,
                                         .address = owner_dma(owner, word)}};
    owner->hook_user = word;
    owner->hook = in_packet;
    (void)owner_push(owner, ISA_NODE_COPY, fence);
    (void)owner_push(owner, ISA_NODE_COPY, nop());
    owner_ring(owner, ISA_NODE_COPY);
    CHECK_EQUAL(owner_completion(owner, ISA_NODE_COPY).type, ISA_COMP_DONE);
    owner_wait_reg(owner, ISA_REG_POWER_STATE, ISA_POWER_SLEEP);
    CHECK(!owner_has_completion(owner, ISA_NODE_COPY));
    owner_set_reg(owner, ISA_REG_POWER, ISA_POWER_ACTIVE);
    CHECK_EQUAL(owner_completion(owner, ISA_NODE_COPY).type, ISA_COMP_DONE);
}

// --- Sensors ---

static void *ring(void *owner) {
    owner_ring(owner, ISA_NODE_COMPUTE);
    return NULL;
}

static void settle(owner_t *owner, uint32_t seconds) {
    for (uint32_t i = 0; i < 10 * seconds; i++) {
        owner_pass(owner, SECOND / 10);
        (void)sensor(owner, ISA_REG_TEMPERATURE);
    }
}

static void test_limits(owner_t *owner) {
    uint32_t min = sensor(owner, ISA_REG_POWER_LIMIT_MIN);
    uint32_t max = sensor(owner, ISA_REG_POWER_LIMIT_MAX);
    CHECK(min < max);
    CHECK_EQUAL(sensor(owner, ISA_REG_POWER_LIMIT), max);
    owner_set_reg(owner, ISA_REG_POWER_LIMIT, min - 1);
    owner_set_reg(owner, ISA_REG_POWER_LIMIT, max + 1);
    CHECK_EQUAL(sensor(owner, ISA_REG_POWER_LIMIT), max);
    CHECK(sensor(owner, ISA_REG_TEMP_SLOWDOWN) < sensor(owner, ISA_REG_TEMP_CRITICAL));
}

static void test_load(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    bne(&p, SP, ZERO, p.n);
    launch_load(launch, &p);
    settle(owner, 60);
    uint32_t idle = sensor(owner, ISA_REG_POWER_DRAW), cool = sensor(owner, ISA_REG_TEMPERATURE);
    uint64_t energy = owner_reg64(owner, ISA_REG_ENERGY_LO);
    settle(owner, 10);
    uint64_t idle_energy = owner_reg64(owner, ISA_REG_ENERGY_LO) - energy;
    CHECK(idle_energy + 2 >= idle * 10 && idle_energy <= idle * 10 + 2);
    (void)owner_push(owner, ISA_NODE_COMPUTE, launch_packet(launch, 2));
    pthread_t thread;
    uint32_t beat = owner_reg(owner, ISA_NODE_REG_AT(0, HEARTBEAT));
    CHECK(pthread_create(&thread, NULL, ring, owner) == 0);
    while (owner_reg(owner, ISA_NODE_REG_AT(0, HEARTBEAT)) == beat) {
    }
    settle(owner, 60); // busy all the time
    uint32_t busy = sensor(owner, ISA_REG_POWER_DRAW), warm = sensor(owner, ISA_REG_TEMPERATURE);
    CHECK(busy > idle + 1000 && warm > cool + 1000);
    CHECK(warm < sensor(owner, ISA_REG_TEMP_SLOWDOWN));
    CHECK_EQUAL(sensor(owner, ISA_REG_THROTTLE), 0);
    uint32_t min = sensor(owner, ISA_REG_POWER_LIMIT_MIN);
    owner_set_reg(owner, ISA_REG_POWER_LIMIT, min);
    settle(owner, 60);
    CHECK_EQUAL(sensor(owner, ISA_REG_THROTTLE), ISA_THROTTLE_POWER_CAP);
    CHECK(sensor(owner, ISA_REG_CLOCK_NOW_KHZ) < owner_reg(owner, ISA_REG_CLOCK_KHZ));
    CHECK(sensor(owner, ISA_REG_POWER_DRAW) <= min && sensor(owner, ISA_REG_TEMPERATURE) < warm);
    owner_set_reg(owner, ISA_NODE_REG_AT(0, RESET), ISA_RESET_MAGIC);
    CHECK(pthread_join(thread, NULL) == 0);
    owner_wait_reg(owner, ISA_NODE_REG_AT(0, STATE), ISA_NODE_STATE_OFF);
    owner_start_node(owner, ISA_NODE_COMPUTE);
    settle(owner, 120);
    CHECK_EQUAL(sensor(owner, ISA_REG_POWER_DRAW), idle);
    CHECK(sensor(owner, ISA_REG_TEMPERATURE) <= cool + 100);
}

static void test_overheat(owner_t *owner) {
    uint32_t interrupts = atomic_load(&owner->interrupts[0]);
    owner_inject(owner, ISA_INJECT_OVERHEAT, 2000);
    CHECK(sensor(owner, ISA_REG_TEMPERATURE) >= sensor(owner, ISA_REG_TEMP_SLOWDOWN));
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), ISA_ERROR_OVERHEAT);
    owner_set_reg(owner, ISA_REG_ERROR, ISA_ERROR_OVERHEAT);
    CHECK_EQUAL(atomic_load(&owner->interrupts[0]), interrupts + 1);
    owner_pass(owner, SECOND);
    CHECK_EQUAL(sensor(owner, ISA_REG_THROTTLE), ISA_THROTTLE_THERMAL);
    CHECK(sensor(owner, ISA_REG_CLOCK_NOW_KHZ) < owner_reg(owner, ISA_REG_CLOCK_KHZ));
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), 0); // told once
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop()).type, ISA_COMP_DONE);
    owner_pass(owner, SECOND + 1);
    CHECK(sensor(owner, ISA_REG_TEMPERATURE) < sensor(owner, ISA_REG_TEMP_SLOWDOWN));
    CHECK_EQUAL(sensor(owner, ISA_REG_THROTTLE), 0);
}

// --- Power management of the function ---

static void test_d3(owner_t *owner) {
    uint64_t done = owner_do(owner, ISA_NODE_COPY, nop()).fence;
    owner_set_config(owner, 0x54, 2, 1); // D1 is not there
    CHECK_EQUAL(owner_config(owner, 0x54, 2) & 3, 0);
    owner_set_config(owner, 0x54, 2, 3);
    CHECK_EQUAL(owner_config(owner, 0x54, 2) & 3, 3);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), UINT32_MAX);
    CHECK_EQUAL(owner_config(owner, 0, 2), ISA_PCI_VENDOR);
    (void)owner_push(owner, ISA_NODE_COPY, nop());
    owner_ring(owner, ISA_NODE_COPY); // dropped
    owner_set_config(owner, 0x54, 2, 0);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), ISA_CARD_ID);
    CHECK_EQUAL(owner_reg64(owner, COPY(LAST_DONE_LO)), done); // the state was kept
    CHECK(!owner_has_completion(owner, ISA_NODE_COPY));
    owner_ring(owner, ISA_NODE_COPY);
    CHECK_EQUAL(owner_completion(owner, ISA_NODE_COPY).type, ISA_COMP_DONE);
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    test_identity(&owner);
    test_sleep(&owner);
    test_sleep_in_work(&owner);
    test_limits(&owner);
    test_load(&launch);
    test_overheat(&owner);
    test_d3(&owner);
    owner_stop(&owner);
}

int main(void) {
    owner_options_t options = {
        .cores = 2, .threads = 2, .own_clock = true, .serial = UINT64_C(0x123456789ab)};
    run_all(&options);
    options.posted = true;
    run_all(&options);
    return 0;
}
