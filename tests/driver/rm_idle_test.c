// SPDX-License-Identifier: Apache-2.0
// A card with nothing to do: it sleeps though it never worked, and it is missed when it goes away.
#include "tests/driver/rig.h"

#define LONG_MS 3600000u // away for longer than the test

static const rm_options_t tired = {.idle_ns = 30000000};

typedef struct fixture {
    rig_t rig;
} fixture_t;

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    rig_open(&f->rig, true, NULL);
    *state = f;
    return 0;
}

static int set_up_tired(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    rig_open(&f->rig, true, &tired);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    rig_close(&f->rig);
    free(f);
    return 0;
}

static void leave(rig_t *rig) {
    rm_client_close(rig->admin);
    rig->admin = NULL;
}

static void come(rig_t *rig) {
    assert_int_equal(rm_client_open(rig->rm, NULL, &rig->admin), STATUS_OK);
}

static uint64_t serial(rig_t *rig) {
    accel_req_info_t info = {0};
    assert_int_equal(ASK(rig->admin, info, INFO), STATUS_OK);
    return info.serial;
}

static status_t reset(rig_t *rig) {
    accel_req_reset_t request = {.level = ACCEL_RESET_CARD};
    return ASK(rig->admin, request, RESET);
}

// What is asked of the card itself, past the driver.
static uint32_t reg(const rig_t *rig, uint32_t offset) {
    port_t *port = port_user_base(rig->port);
    return port->ops->reg_read32(port, offset);
}

// --- Asked ---

static void is_lost(rig_t *rig) {
    accel_req_telemetry_t now = rig_telemetry(rig);
    assert_int_equal(now.card_state, ACCEL_CARD_LOST);
    assert_int_equal(now.valid, 0);
    assert_int_equal(now.temperature, 0);
    assert_true(now.memory_bytes == RIG_MEMORY); // what the driver knows stays known
    assert_int_equal(now.clients, 1);
    assert_int_equal(rig_events(rig, ACCEL_EVENT_GONE, NULL), 1);
}

static void is_ready(rig_t *rig) {
    accel_req_telemetry_t now = rig_telemetry(rig);
    assert_int_equal(now.card_state, ACCEL_CARD_READY);
    assert_int_equal(now.valid, ACCEL_VALID_SENSORS | ACCEL_VALID_POWER | ACCEL_VALID_ECC |
                                    ACCEL_VALID_COUNTS);
    assert_true(now.temperature > 0);
}

// The first answer after it went is already the truth.
static void the_first_to_ask_hears_of_a_lost_link(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    is_ready(rig);
    assert_int_equal(rig_inject(rig, ISA_INJECT_LINK_LOSS, LONG_MS), STATUS_OK);
    is_lost(rig);
    assert_int_equal(reset(rig), STATUS_DEVICE_LOST);
    is_lost(rig);
}

#define CONFIG_VENDOR  0u
#define CONFIG_COMMAND 4u
#define COMMAND_ON     6u // memory space and bus mastering

// As after power-on: its registers do not answer.
static void put_in_another(rig_t *rig) {
    assert_int_equal(rig_inject(rig, ISA_INJECT_REMOVE, 1), STATUS_OK);
    RIG_UNTIL(rig->card.config_read(rig->card.self, CONFIG_VENDOR, 2) != 0xffff);
}

// ... or they do, since the system turned it on: its nodes are off.
static void put_in_and_turn_on(rig_t *rig) {
    put_in_another(rig);
    rig->card.config_write(rig->card.self, CONFIG_COMMAND, 2, COMMAND_ON);
    assert_int_equal(reg(rig, ISA_REG_ID), ISA_CARD_ID);
}

static void the_first_to_ask_hears_of_another_card(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    uint64_t before = serial(rig);
    put_in_another(rig);
    is_lost(rig);
    assert_int_equal(reset(rig), STATUS_OK);
    is_ready(rig);
    assert_true(serial(rig) != before);
}

static void the_first_to_ask_hears_of_nodes_that_are_off(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    put_in_and_turn_on(rig);
    is_lost(rig);
    assert_int_equal(reset(rig), STATUS_OK);
    is_ready(rig);
}

static void counters_of_another_card_are_not_told(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    accel_req_stats_t stats = {.node = ISA_NODE_COMPUTE};
    assert_int_equal(ASK(rig->admin, stats, STATS), STATUS_OK);
    put_in_and_turn_on(rig);
    assert_int_equal(ASK(rig->admin, stats, STATS), STATUS_DEVICE_LOST);
    is_lost(rig);
}

static void whoever_asks_what_it_is_finds_out(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    put_in_another(rig);
    (void)serial(rig);
    assert_int_equal(rig_events(rig, ACCEL_EVENT_GONE, NULL), 1);
}

// Nobody had it open when it went; who opens it then has nothing to lose.
static void whoever_opens_a_lost_card_keeps_what_he_has(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    accel_req_handle_t vm = {0};
    put_in_another(rig);
    leave(rig);
    come(rig);
    assert_int_equal(ASK(rig->admin, vm, VM_CREATE), STATUS_DEVICE_LOST);
    is_lost(rig);
    assert_int_equal(reset(rig), STATUS_OK);
    assert_int_equal(ASK(rig->admin, vm, VM_CREATE), STATUS_OK);
}

// --- Not asked ---

static void a_lost_link_is_found(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    assert_int_equal(rig_inject(rig, ISA_INJECT_LINK_LOSS, LONG_MS), STATUS_OK);
    RIG_UNTIL(rig_events(rig, ACCEL_EVENT_GONE, NULL) == 1);
}

static void another_card_is_found_of_one_that_sleeps(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    RIG_UNTIL(rig_events(rig, ACCEL_EVENT_SLEPT, NULL) == 1);
    put_in_and_turn_on(rig);
    RIG_UNTIL(rig_events(rig, ACCEL_EVENT_GONE, NULL) == 1);
    assert_int_equal(reset(rig), STATUS_OK);
    RIG_UNTIL(rig_events(rig, ACCEL_EVENT_SLEPT, NULL) == 2);
}

static void a_card_that_nobody_opened_sleeps(void **state) {
    rig_t *rig = &((fixture_t *)*state)->rig;
    leave(rig);
    RIG_UNTIL(reg(rig, ISA_REG_POWER_STATE) == ISA_POWER_SLEEP);
    come(rig);
    assert_int_equal(rig_events(rig, ACCEL_EVENT_SLEPT, NULL), 1);
    is_ready(rig);
}

#define TEST(test)  cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define TIRED(test) cmocka_unit_test_setup_teardown(test, set_up_tired, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_first_to_ask_hears_of_a_lost_link),
        TEST(the_first_to_ask_hears_of_another_card),
        TEST(the_first_to_ask_hears_of_nodes_that_are_off),
        TEST(counters_of_another_card_are_not_told),
        TEST(whoever_asks_what_it_is_finds_out),
        TEST(whoever_opens_a_lost_card_keeps_what_he_has),
        TEST(a_lost_link_is_found),
        TIRED(another_card_is_found_of_one_that_sleeps),
        TIRED(a_card_that_nobody_opened_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
