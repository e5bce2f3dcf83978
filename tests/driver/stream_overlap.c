// SPDX-License-Identifier: Apache-2.0
// What works at the same time: proven by launches that end only when they are answered.
#include "tests/driver/stream_rig.h"

// --- Copies and launches ---

// The launch is in work before copies of another stream begin, and waits for the host until they
// ended.
void copies_overlap_launches(void **state) {
    fixture_t *f = *state;
    accel_error_t error = {0};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    accel_stream_t *launches, *copies;
    accel_buffer_t *buffer;
    uint64_t *memory = make_memory(f, 1), *data = make_memory(f, 2);
    OK(accel_buffer_create(f->device, BYTES, &buffer, &error));
    OK(accel_stream_create(f->device, NULL, &launches, &error));
    OK(accel_stream_create(f->device, NULL, &copies, &error));
    start_meeting(f, launches, memory, 5);
    for (uint64_t turn = 1; turn <= 5; turn++) {
        wait_for_turn(memory, turn);
        data[0] = turn;
        OK(accel_stream_write(copies, buffer, 0, data, BYTES, &error));
        OK(accel_stream_read(copies, data + 16, buffer, 0, BYTES, &error));
        OK(accel_stream_wait(copies, UINT64_MAX, &error));
        assert_memory_equal(data, data + 16, BYTES);
        assert_int_equal(accel_stream_wait(launches, 0, &error), ACCEL_TIMEOUT);
        answer_turn(memory, turn);
    }
    OK(accel_stream_wait(launches, UINT64_MAX, &error));
    assert_true(memory[16] == 5 && memory[23] == 8);
    accel_stream_destroy(launches), accel_stream_destroy(copies);
    accel_buffer_destroy(buffer);
    accel_host_free(f->device, memory), accel_host_free(f->device, data);
    close_card(f);
}

// A launch that is in work sees what a copy brings into card memory. (That has no locks:
// ThreadSanitizer is right about it.)
void launches_see_copies(void **state) {
#if defined(__SANITIZE_THREAD__)
    (void)state;
    skip();
#else
    fixture_t *f = *state;
    accel_error_t error = {0};
    open_card(f, "stream", &(accel_device_options_t){.cores = 1, .background = true});
    accel_stream_t *launches, *copies;
    accel_buffer_t *flag;
    uint64_t *memory = make_memory(f, 1);
    OK(accel_buffer_create(f->device, BYTES, &flag, &error));
    OK(accel_stream_create(f->device, NULL, &launches, &error));
    OK(accel_stream_create(f->device, NULL, &copies, &error));
    memory[0] = MODE_MEET, memory[1] = 1, memory[2] = 1, memory[16] = 0;
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = memory, .bytes = 16},
        {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .buffer = flag}};
    accel_tensor_t output = {.data = memory + 16, .bytes = BYTES};
    OK(accel_stream_launch(launches, f->module, inputs, 2, &output, 1, &error));
    wait_for_turn(memory, 1);
    OK(accel_stream_write(copies, flag, 0, memory + 2, 8, &error));
    OK(accel_stream_wait(launches, UINT64_MAX, &error));
    accel_stream_destroy(launches), accel_stream_destroy(copies);
    accel_buffer_destroy(flag);
    accel_host_free(f->device, memory);
    close_card(f);
#endif
}

// --- Several cards ---

enum { MAX_CARDS = 3, MEETINGS = 50 };

typedef struct cards {
    uint32_t n;
    fixture_t card[MAX_CARDS];
    accel_stream_t *streams[MAX_CARDS];
    uint64_t *memory[MAX_CARDS];
} cards_t;

// A daemon has two; in process there are as many as are opened.
static void open_cards(const fixture_t *f, cards_t *cards) {
    static const char *const kinds[] = {"daemon:0", "daemon:1"};
    accel_error_t error = {0};
    cards->n = f->socket != NULL ? 2 : MAX_CARDS;
    for (uint32_t i = 0; i < cards->n; i++) {
        cards->card[i] = *f;
        cards->card[i].kind = f->socket != NULL ? kinds[i] : NULL;
        open_card(&cards->card[i], "stream",
                  &(accel_device_options_t){.cores = 1, .background = true});
        accel_device_info_t info;
        OK(accel_device_info(cards->card[i].device, &info));
        assert_int_equal(info.card, f->socket != NULL ? i : 0);
        cards->memory[i] = make_memory(&cards->card[i], i);
        OK(accel_stream_create(cards->card[i].device, NULL, &cards->streams[i], &error));
    }
}

static void close_cards(cards_t *cards) {
    for (uint32_t i = 0; i < cards->n; i++) {
        accel_stream_destroy(cards->streams[i]);
        accel_host_free(cards->card[i].device, cards->memory[i]);
        close_card(&cards->card[i]);
    }
}

// All are in the middle of their launches again and again: none goes on before all are there.
static void meet_again_and_again(cards_t *cards) {
    accel_error_t error = {0};
    for (uint32_t i = 0; i < cards->n; i++)
        start_meeting(&cards->card[i], cards->streams[i], cards->memory[i], MEETINGS);
    for (uint64_t turn = 1; turn <= MEETINGS; turn++) {
        for (uint32_t i = 0; i < cards->n; i++)
            wait_for_turn(cards->memory[i], turn);
        for (uint32_t i = 0; i < cards->n; i++)
            answer_turn(cards->memory[i], turn);
    }
    for (uint32_t i = 0; i < cards->n; i++)
        OK(accel_stream_wait(cards->streams[i], UINT64_MAX, &error));
}

void cards_work_side_by_side(void **state) {
    cards_t cards;
    accel_error_t error = {0};
    open_cards(*state, &cards);
    for (uint64_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < cards.n; i++)
            OK(launch(&cards.card[i], cards.streams[i], cards.memory[i], 0, round, &error));
        for (uint32_t i = 0; i < cards.n; i++) {
            OK(accel_stream_wait(cards.streams[i], UINT64_MAX, &error));
            assert_int_equal(check_result(cards.memory[i], round), 0);
        }
    }
    meet_again_and_again(&cards);
    // What is of one card is not taken on another.
    accel_event_t *event;
    OK(accel_event_record(cards.streams[0], &event, &error));
    assert_int_equal(accel_stream_wait_event(cards.streams[1], event, &error), ACCEL_INVALID);
    OK(accel_event_wait(event, UINT64_MAX, &error));
    accel_event_destroy(event);
    assert_int_equal(launch(&cards.card[0], cards.streams[1], cards.memory[0], 0, 0, &error),
                     ACCEL_INVALID);
    close_cards(&cards);
}
