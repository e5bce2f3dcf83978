// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/arena.h"
#include "support/checked.h"
#include "support/diag.h"
#include "support/dtype.h"
#include "support/file.h"
#include "support/list.h"
#include "support/map.h"
#include "support/strbuf.h"
#include "tests/common/test_data.h"

// --- arena ---

static bool all_zero(const unsigned char *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != 0)
            return false;
    return true;
}

static void arena_gives_aligned_zeroed_memory(void **state) {
    (void)state;
    arena_t arena;
    arena_init(&arena);
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000, 5000, 1 << 21, 3};
    for (int round = 0; round < 3; round++) {
        unsigned char *last = NULL;
        for (size_t i = 0; i < 400; i++) {
            size_t bytes = sizes[i % COUNT_OF(sizes)];
            if (bytes > 100000 && i > 20)
                bytes = 100;
            unsigned char *p = arena_alloc(&arena, bytes);
            assert_non_null(p);
            assert_ptr_not_equal(p, last);
            assert_int_equal((uintptr_t)p % 16, 0);
            assert_true(all_zero(p, bytes));
            memset(p, 0xa5, bytes); // dirties what a reset gives out again
            last = p;
        }
        assert_true(arena.total_bytes >= (1 << 21));
        arena_reset(&arena);
        assert_true(arena.total_bytes <= (1 << 20));
    }
    arena_deinit(&arena);
    assert_null(arena.block);
}

static void arena_refuses_absurd_sizes(void **state) {
    (void)state;
    arena_t arena;
    arena_init(&arena);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 16));
    assert_non_null(arena_alloc(&arena, 8)); // still usable
    arena_deinit(&arena);
}

static void arena_copies_text(void **state) {
    (void)state;
    arena_t arena;
    arena_init(&arena);
    assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(&arena, "", 0), "");
    assert_string_equal(arena_printf(&arena, "%d-%s", 42, "x"), "42-x");
    char *big = arena_printf(&arena, "%0*d", 100000, 7);
    assert_int_equal(strlen(big), 100000);
    assert_int_equal(big[99999], '7');
    int *array = NULL;
    size_t capacity = 0;
    for (size_t n = 0; n < 1000; n++) {
        ARENA_GROW(&arena, array, capacity, n + 1);
        array[n] = (int)n;
    }
    for (int n = 0; n < 1000; n++)
        assert_int_equal(array[n], n);
    assert_true(capacity >= 1000 && capacity <= 2048);
    arena_deinit(&arena);
}

// --- checked arithmetic ---

static void checked_finds_overflow(void **state) {
    (void)state;
    uint64_t u;
    int64_t s;
    assert_true(checked_add_u64(UINT64_MAX - 1, 1, &u) && u == UINT64_MAX);
    assert_false(checked_add_u64(UINT64_MAX, 1, &u));
    assert_true(checked_mul_u64(UINT64_MAX, 0, &u) && u == 0);
    assert_true(checked_mul_u64(0, UINT64_MAX, &u) && u == 0);
    assert_true(checked_mul_u64(1ull << 32, (1ull << 32) - 1, &u));
    assert_false(checked_mul_u64(1ull << 32, 1ull << 32, &u));
    assert_true(checked_add_i64(INT64_MAX, INT64_MIN, &s) && s == -1);
    assert_false(checked_add_i64(INT64_MAX, 1, &s));
    assert_false(checked_add_i64(INT64_MIN, -1, &s));
    assert_true(checked_mul_i64(INT64_MIN, 1, &s) && s == INT64_MIN);
    assert_false(checked_mul_i64(INT64_MIN, -1, &s));
    assert_true(checked_mul_i64(1ll << 62, -2, &s) && s == INT64_MIN);
    assert_false(checked_mul_i64(1ll << 62, 2, &s));
    assert_true(checked_mul_i64(-3, -5, &s) && s == 15);
    assert_true(checked_mul_i64(0, INT64_MIN, &s) && s == 0);
}

static void checked_range_and_align(void **state) {
    (void)state;
    uint64_t u;
    assert_true(checked_range(0, 0, 0));
    assert_true(checked_range(10, 0, 10));
    assert_false(checked_range(11, 0, 10));
    assert_false(checked_range(4, UINT64_MAX - 2, 10)); // offset + bytes would wrap
    assert_true(checked_align_up(0, 64, &u) && u == 0);
    assert_true(checked_align_up(65, 64, &u) && u == 128);
    assert_false(checked_align_up(UINT64_MAX, 64, &u));
}

// --- map ---

static void map_keeps_every_key(void **state) {
    (void)state;
    arena_t arena;
    arena_init(&arena);
    map_t map;
    map_init(&map, &arena);
    uintptr_t value;
    assert_false(map_get(&map, "x", 1, &value));
    for (uint32_t i = 0; i < 5000; i++)
        map_put(&map, &i, sizeof i, i * 3);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(map_get(&map, &i, sizeof i, &value));
        assert_int_equal(value, i * 3);
    }
    assert_int_equal(map.n_entries, 5000);
    uint32_t absent = 5000;
    assert_false(map_get(&map, &absent, sizeof absent, &value));
    arena_deinit(&arena);
}

static void map_replaces_and_copies_keys(void **state) {
    (void)state;
    arena_t arena;
    arena_init(&arena);
    map_t map;
    map_init(&map, &arena);
    char key[] = "conv1";
    int a, b;
    map_put_str(&map, key, &a);
    key[0] = 'X';
    assert_ptr_equal(map_get_str(&map, "conv1"), &a);
    assert_null(map_get_str(&map, key));
    assert_null(map_get_str(&map, "conv"));
    map_put_str(&map, "conv1", &b);
    assert_ptr_equal(map_get_str(&map, "conv1"), &b);
    map_put_str(&map, "", &a); // the empty name is a name
    assert_ptr_equal(map_get_str(&map, ""), &a);
    map_put_ptr(&map, &a, &b);
    assert_ptr_equal(map_get_ptr(&map, &a), &b);
    assert_null(map_get_ptr(&map, &b));
    assert_int_equal(map.n_entries, 3);
    arena_deinit(&arena);
}

// --- text buffer ---

static void strbuf_grows(void **state) {
    (void)state;
    strbuf_t buf;
    strbuf_init(&buf);
    assert_null(buf.text);
    strbuf_add(&buf, "");
    assert_string_equal(buf.text, "");
    for (int i = 0; i < 1000; i++)
        strbuf_printf(&buf, "%03d,", i);
    assert_int_equal(buf.length, 4000);
    assert_int_equal(strncmp(buf.text + 3992, "998,999,", 8), 0);
    strbuf_add_bytes(&buf, "a\0b", 3);
    assert_int_equal(buf.length, 4003);
    assert_int_equal(buf.text[4003], '\0');
    strbuf_printf(&buf, "%0*d", 70000, 1);
    assert_int_equal(buf.length, 74003);
    strbuf_deinit(&buf);
    assert_null(buf.text);
}

// --- files ---

static void make_folder(char *out_folder) {
    strcpy(out_folder, "/tmp/accel-support-XXXXXX");
    assert_non_null(mkdtemp(out_folder));
}

static int count_files(const char *folder) {
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void assert_content(const char *path, const char *text) {
    file_map_t map;
    assert_int_equal(file_map_open(path, &map), STATUS_OK);
    assert_int_equal(map.bytes, strlen(text));
    if (map.bytes != 0)
        assert_memory_equal(map.data, text, map.bytes);
    file_map_close(&map);
}

static void write_file(const char *path, const char *text) {
    file_out_t out;
    assert_int_equal(file_out_open(path, &out), STATUS_OK);
    assert_true(fputs(text, out.stream) >= 0);
    assert_int_equal(file_out_commit(&out), STATUS_OK);
    file_out_abort(&out); // harmless after commit
}

static void file_out_appears_whole_or_not_at_all(void **state) {
    (void)state;
    char folder[64], path[128];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/model.bin", folder);
    file_out_t out;
    assert_int_equal(file_out_open(path, &out), STATUS_OK);
    assert_int_not_equal(access(path, F_OK), 0); // not before commit
    file_out_abort(&out);
    assert_int_equal(count_files(folder), 0);

    write_file(path, "first");
    assert_content(path, "first");
    assert_int_equal(file_out_open(path, &out), STATUS_OK);
    assert_true(fputs("half", out.stream) >= 0);
    file_out_abort(&out);
    assert_content(path, "first"); // the old one survives an aborted write
    write_file(path, "second, longer");
    assert_content(path, "second, longer");
    write_file(path, "");
    assert_content(path, "");
    assert_int_equal(count_files(folder), 1);
    unlink(path);
    rmdir(folder);
}

static void file_out_reports_a_full_disk(void **state) {
    (void)state;
    file_out_t out;
    if (access("/dev/full", W_OK) != 0) {
        test_may_skip("no /dev/full");
        skip();
    }
    assert_int_equal(file_out_open("/dev/full", &out), STATUS_OK);
    fputs("x", out.stream);
    assert_int_equal(file_out_commit(&out), STATUS_IO);
    assert_int_equal(access("/dev/full", F_OK), 0); // a device is never renamed over or removed
}

static void file_out_follows_links(void **state) {
    (void)state;
    char folder[64], path[128], link[128];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/real", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    write_file(path, "old");
    assert_int_equal(symlink("real", link), 0);
    write_file(link, "new");
    assert_content(path, "new");
    struct stat info;
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    unlink(link);
    unlink(path);
    rmdir(folder);
}

static void file_open_names_the_failure(void **state) {
    (void)state;
    file_map_t map;
    file_out_t out;
    assert_int_equal(file_map_open("/tmp/accel-no-such-file", &map), STATUS_NOT_FOUND);
    assert_null(map.data);
    assert_int_equal(file_map_open("/tmp", &map), STATUS_INVALID);
    assert_int_equal(file_out_open("/tmp/accel-no-such-folder/x", &out), STATUS_NOT_FOUND);
    file_out_abort(&out);
    file_map_close(&map);
}

// --- diagnostics ---

static char *printed(const diag_t *diag, bool verbose) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    diag_print(diag, stream, "accelc", verbose);
    fclose(stream);
    return text;
}

static void diag_prints_place_and_hint(void **state) {
    (void)state;
    diag_t diag;
    diag_init(&diag);
    diag.context.model = "model.onnx";
    char node[] = "conv1";
    diag_where_t where = {.node = node, .op = "Conv"};
    status_t status = DIAG_FAIL(&diag, STATUS_UNSUPPORTED, &where, "use NOTSET",
                                "attribute auto_pad is '%s'", "ODD");
    assert_int_equal(status, STATUS_UNSUPPORTED);
    node[0] = 'X'; // names are copied
    DIAG_WARN(&diag, NULL, NULL, "slow");
    assert_int_equal(diag.n_errors, 1);
    assert_int_equal(diag.n_warnings, 1);
    char *text = printed(&diag, false);
    assert_string_equal(text, "accelc: error: model.onnx: node 'conv1' (Conv): attribute auto_pad "
                              "is 'ODD'\n    hint: use NOTSET\n"
                              "accelc: warning: model.onnx: slow\n");
    free(text);
    text = printed(&diag, true);
    assert_non_null(strstr(text, "support_test.c:"));
    free(text);
    diag_deinit(&diag);
}

static void diag_prints_repeats_once_and_no_control_bytes(void **state) {
    (void)state;
    diag_t diag;
    diag_init(&diag);
    diag_where_t where = {.tensor = "a\n\x1b[31m", .line = 7, .pass = "fuse"};
    for (int i = 0; i < 3; i++)
        (void)DIAG_FAIL(&diag, STATUS_INVALID, &where, NULL, "bad rank");
    assert_int_equal(diag.n_errors, 3);
    char *text = printed(&diag, false);
    assert_string_equal(text, "accelc: error: line 7: pass 'fuse': tensor 'a\\x0a\\x1b[31m': bad "
                              "rank\n");
    free(text);
    diag_deinit(&diag);
}

// --- list and element types ---

typedef struct item {
    int value;
    list_node_t node;
} item_t;

static void list_keeps_order(void **state) {
    (void)state;
    list_node_t head;
    item_t items[4];
    list_init(&head);
    assert_null(list_pop_front(&head));
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        if (i % 2 == 0)
            list_push_back(&head, &items[i].node);
        else
            list_push_front(&head, &items[i].node);
    }
    int order = 0; // 3 1 0 2
    LIST_FOR_EACH(node, &head) {
        item_t *item = LIST_OWNER(node, item_t, node);
        order = order * 10 + item->value;
        if (item->value == 1)
            list_remove(node);
    }
    assert_int_equal(order, 3102);
    list_remove(&items[1].node); // in no list: harmless
    assert_int_equal(LIST_OWNER(list_pop_front(&head), item_t, node)->value, 3);
    assert_int_equal(LIST_OWNER(list_first(&head), item_t, node)->value, 0);
}

static void dtype_table_is_consistent(void **state) {
    (void)state;
    assert_int_equal(DTYPE_COUNT, 27);
    for (int type = 1; type < DTYPE_COUNT; type++) {
        assert_string_not_equal(dtype_text((dtype_t)type), "?");
        assert_true((dtype_bits((dtype_t)type) == 0) == (type == DTYPE_STR));
    }
    assert_int_equal(dtype_bytes(DTYPE_I4), 1);
    assert_int_equal(dtype_bytes(DTYPE_C128), 16);
    assert_string_equal(status_text(STATUS_OK), "ok");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_aligned_zeroed_memory),
        cmocka_unit_test(arena_refuses_absurd_sizes),
        cmocka_unit_test(arena_copies_text),
        cmocka_unit_test(checked_finds_overflow),
        cmocka_unit_test(checked_range_and_align),
        cmocka_unit_test(map_keeps_every_key),
        cmocka_unit_test(map_replaces_and_copies_keys),
        cmocka_unit_test(strbuf_grows),
        cmocka_unit_test(file_out_appears_whole_or_not_at_all),
        cmocka_unit_test(file_out_reports_a_full_disk),
        cmocka_unit_test(file_out_follows_links),
        cmocka_unit_test(file_open_names_the_failure),
        cmocka_unit_test(diag_prints_place_and_hint),
        cmocka_unit_test(diag_prints_repeats_once_and_no_control_bytes),
        cmocka_unit_test(list_keeps_order),
        cmocka_unit_test(dtype_table_is_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
