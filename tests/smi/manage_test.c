// SPDX-License-Identifier: Apache-2.0
// accel/manage.h over a driver that answers what it shall, and over a card in this process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "isa/card.h"
#include "tests/smi/fake.h"

static int set_up(void **state) {
    fake_t *fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    fake_init(fake);
    *state = fake;
    return 0;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static accel_manager_t *open_manager(fake_t *fake) {
    accel_manager_t *manager;
    accel_error_t error = {0};
    assert_int_equal(fake_open(fake, NULL, &manager, &error), ACCEL_OK);
    return manager;
}

static void one_card_is_connected_at_a_time(void **state) {
    fake_t *fake = *state;
    accel_error_t error = {0};
    accel_card_info_t info;
    accel_manager_t *manager = open_manager(fake);
    assert_int_equal(accel_manager_n_cards(manager), 2);
    for (uint32_t round = 0; round < 6; round++) {
        assert_int_equal(accel_card_info(manager, round % 2, &info, &error), ACCEL_OK);
        assert_int_equal(info.index, round % 2);
        assert_true(info.serial == UINT64_C(0x123456789abcdef0) + round % 2);
        assert_int_equal(fake->n_open, 1);
    }
    assert_string_equal(info.uuid, "ACC-12345678-9abc-8acc-8000-00000000def1");
    assert_string_equal(info.location, "daemon:1");
    assert_string_equal(info.firmware, "2.3.4");
    assert_string_equal(info.card_version, "1.1");
    assert_int_equal(info.link_generation, 5);
    assert_int_equal(info.link_lanes, 16);
    assert_int_equal(accel_card_info(manager, 2, &info, &error), ACCEL_NOT_FOUND);
    assert_string_equal(error.text, "there is no card 2; there are 2, from 0 on");
    // When the driver ended, the next call looks for one again.
    fake->ended = true;
    assert_int_equal(accel_card_info(manager, 0, &info, &error), ACCEL_DEVICE_LOST);
    assert_int_equal(fake->n_open, 0);
    fake->ended = false;
    assert_int_equal(accel_card_info(manager, 0, &info, &error), ACCEL_OK);
    accel_manager_close(manager);
    assert_int_equal(fake->n_open, 0);
}

static void use_is_a_difference(void **state) {
    (void)state;
    accel_card_info_t info = {.clock_khz = 2000000};
    accel_card_telemetry_t a = {
        .has_counts = true, .uptime_ns = 1000, .busy_cycles = {10, 20}, .dram_bytes = {5, 6}};
    accel_card_telemetry_t b = a;
    accel_card_use_t use;
    assert_false(accel_card_use(&info, &a, &b, &use)); // no time passed
    b.uptime_ns += 1000000000;
    assert_true(accel_card_use(&info, &a, &b, &use));
    assert_int_equal(use.compute_permille + use.copy_permille, 0);
    b.busy_cycles[0] += 500000000;            // of 2 billion
    b.busy_cycles[1] += UINT64_C(9000000000); // a model may be wrong about the host's time
    b.dram_bytes[0] += 3000, b.dram_bytes[1] += 4000;
    assert_true(accel_card_use(&info, &a, &b, &use));
    assert_int_equal(use.compute_permille, 250);
    assert_int_equal(use.copy_permille, 1000);
    assert_int_equal(use.dram_bytes_per_s, 7000);
    assert_int_equal(use.interval_ns, 1000000000);
    b.busy_cycles[0] = 0; // the card was reset meanwhile
    assert_true(accel_card_use(&info, &a, &b, &use));
    assert_int_equal(use.compute_permille, 0);
    assert_false(accel_card_use(&info, &b, &a, &use));
    b.has_counts = false; // it is lost
    assert_false(accel_card_use(&info, &a, &b, &use));
}

static void a_lost_card_has_no_sensors(void **state) {
    fake_t *fake = *state;
    accel_error_t error = {0};
    accel_card_telemetry_t t;
    accel_manager_t *manager = open_manager(fake);
    assert_int_equal(accel_card_telemetry(manager, 0, &t, &error), ACCEL_OK);
    assert_true(t.has_sensors && t.has_power && t.has_ecc && t.has_counts);
    fake->cards[0].telemetry.card_state = ACCEL_CARD_LOST;
    assert_int_equal(accel_card_telemetry(manager, 0, &t, &error), ACCEL_OK);
    assert_int_equal(t.state, ACCEL_STATE_LOST);
    assert_false(t.has_sensors || t.has_power || t.has_ecc || t.has_counts);
    accel_manager_close(manager);
}

static void health_has_a_reason(void **state) {
    (void)state;
    const char *reason;
    accel_card_telemetry_t t = {.ecc_corrected = 5}; // nothing to look at
    assert_int_equal(accel_card_health(&t, &reason), ACCEL_HEALTH_OK);
    assert_string_equal(reason, "");
    t.throttled = ACCEL_THROTTLED_SLEEP;
    assert_int_equal(accel_card_health(&t, &reason), ACCEL_HEALTH_OK);
    t.throttled = ACCEL_THROTTLED_THERMAL;
    assert_int_equal(accel_card_health(&t, &reason), ACCEL_HEALTH_WARNING);
    t.retired_pages = 1;
    assert_int_equal(accel_card_health(&t, &reason), ACCEL_HEALTH_WARNING);
    assert_non_null(strstr(reason, "pages"));
    t.state = ACCEL_STATE_HOT;
    assert_int_equal(accel_card_health(&t, &reason), ACCEL_HEALTH_CRITICAL);
    t.state = ACCEL_STATE_LOST;
    assert_int_equal(accel_card_health(&t, &reason), ACCEL_HEALTH_CRITICAL);
    assert_non_null(strstr(reason, "does not answer"));
}

static void lists_come_in_pages(void **state) {
    fake_t *fake = *state;
    accel_error_t error = {0};
    accel_manager_t *manager = open_manager(fake);
    accel_process_t processes[10];
    accel_card_event_t events[100];
    uint64_t next = 0, expected = 1;
    uint32_t count;
    for (uint32_t i = 0; i < FAKE_RECORDS; i++) {
        fake->cards[1].clients[i] = (accel_client_record_t){.id = 2 * i + 1, .pid = i};
        fake_add_event(&fake->cards[1], ACCEL_EVENT_COOLED, 0, 1000 * i);
    }
    fake->cards[1].n_clients = FAKE_RECORDS;
    assert_int_equal(accel_card_processes(manager, 1, processes, 10, &count, &error), ACCEL_OK);
    assert_int_equal(count, FAKE_RECORDS); // of which ten are here
    assert_int_equal(processes[9].pid, 9);
    assert_int_equal(accel_card_processes(manager, 1, NULL, 0, &count, &error), ACCEL_OK);
    do {
        assert_int_equal(accel_card_events(manager, 1, &next, events, 100, &count, &error),
                         ACCEL_OK);
        for (uint32_t i = 0; i < count; i++)
            assert_true(events[i].number == expected++);
    } while (count != 0);
    assert_true(expected == FAKE_RECORDS + 1);
    fake_add_event(&fake->cards[0], ACCEL_EVENT_PAGE_RETIRED, 0, 0x2000);
    next = 0;
    assert_int_equal(accel_card_events(manager, 0, &next, events, 100, &count, &error), ACCEL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(events[0].kind, "page-retired");
    assert_string_equal(events[0].text, "the memory page at 0x2000 is out of use");
    accel_manager_close(manager);
}

// What to do about it, too.
static void refusals_are_explained(void **state) {
    fake_t *fake = *state;
    accel_error_t error = {0};
    accel_manager_t *manager = open_manager(fake);
    fake->cards[0].refuse = STATUS_DEVICE_LOST;
    assert_int_equal(accel_card_reset(manager, 0, &error), ACCEL_DEVICE_LOST);
    assert_non_null(strstr(error.text, "reset it again when it is back"));
    assert_int_equal(fake->n_open, 1); // the driver is there
    fake->cards[0].refuse = STATUS_INVALID;
    assert_int_equal(accel_card_inject(manager, 0, "hang", 99, &error), ACCEL_INVALID);
    assert_non_null(strstr(error.text, "hang does not take 99; its argument is node"));
    fake->ended = true;
    assert_int_equal(accel_card_reset(manager, 0, &error), ACCEL_DEVICE_LOST);
    assert_non_null(strstr(error.text, "the daemon has ended"));
    accel_manager_close(manager);
}

static void a_card_of_this_process(void **state) {
    (void)state;
    accel_error_t error = {0};
    accel_device_t *device;
    accel_manager_t *manager;
    accel_card_info_t info;
    accel_card_telemetry_t telemetry;
    accel_device_options_t options = {.profile = "edge", .memory_bytes = 64u << 20};
    assert_int_equal(accel_device_open("inproc", &options, &device, &error), ACCEL_OK);
    assert_int_equal(accel_manager_attach(device, &manager, &error), ACCEL_OK);
    assert_int_equal(accel_manager_n_cards(manager), 1);
    assert_string_equal(accel_manager_kind(manager), "inproc");
    assert_int_equal(accel_card_info(manager, 0, &info, &error), ACCEL_OK);
    assert_string_equal(info.profile, "edge");
    assert_string_equal(info.location, "inproc");
    assert_int_equal(info.cores, 2);
    assert_true(info.simulated);
    assert_int_equal(info.memory_bytes, 64u << 20);
    assert_int_equal(accel_card_info(manager, 1, &info, &error), ACCEL_NOT_FOUND);
    assert_int_equal(accel_card_telemetry(manager, 0, &telemetry, &error), ACCEL_OK);
    assert_int_equal(telemetry.state, ACCEL_STATE_READY);
    assert_int_equal(telemetry.memory_bytes, 64u << 20);
    assert_true(telemetry.memory_free <= telemetry.memory_bytes);
    assert_int_equal(telemetry.clients, 1);
    // What a context takes of the card is seen, and whose it is.
    accel_process_t process;
    uint32_t count;
    accel_stream_t *stream;
    assert_int_equal(accel_stream_create(device, NULL, &stream, &error), ACCEL_OK);
    assert_int_equal(accel_card_processes(manager, 0, &process, 1, &count, &error), ACCEL_OK);
    assert_int_equal(count, 1);
    assert_int_equal(process.contexts, 1);
    assert_int_equal(process.state, ACCEL_PROCESS_READY);
    accel_stream_destroy(stream);
    accel_card_event_t event;
    uint64_t next = 0;
    assert_int_equal(accel_card_events(manager, 0, &next, &event, 1, &count, &error), ACCEL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(event.kind, "started");
    accel_manager_close(manager); // the device is used on
    accel_buffer_t *buffer;
    assert_int_equal(accel_buffer_create(device, 4096, &buffer, &error), ACCEL_OK);
    accel_buffer_destroy(buffer);
    accel_device_close(device);
}

static void no_driver_says_how_to_start_one(void **state) {
    (void)state;
    accel_error_t error = {0};
    accel_manager_t *manager;
    assert_int_equal(accel_manager_open("/nowhere/at.all", &manager, &error), ACCEL_NOT_FOUND);
    assert_null(manager);
    assert_string_equal(error.text, "no daemon at /nowhere/at.all; start accel-cardd");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_card_is_connected_at_a_time, set_up, tear_down),
        cmocka_unit_test(use_is_a_difference),
        cmocka_unit_test_setup_teardown(a_lost_card_has_no_sensors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_are_explained, set_up, tear_down),
        cmocka_unit_test(health_has_a_reason),
        cmocka_unit_test_setup_teardown(lists_come_in_pages, set_up, tear_down),
        cmocka_unit_test(a_card_of_this_process),
        cmocka_unit_test(no_driver_says_how_to_start_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
