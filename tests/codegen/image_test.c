// SPDX-License-Identifier: Apache-2.0
// Tile IR to a program image: what the note says, what is loaded, where the code came from, and
// that the hash covers the file.
#include <xxhash.h>

#include "isa/encode.h"
#include "isa/image.h"
#include "isa/program.h"
#include "tests/codegen/codegen_test.h"

typedef struct state {
    diag_t diag;
    ir_module_t *m;
    char path[64];
    file_map_t file;
    isa_image_t image;
} state_t;

static int setup(void **out_state) {
    state_t *s = calloc(1, sizeof *s);
    diag_init(&s->diag);
    s->m = read_ir_file("gemm.ir", &s->diag);
    snprintf(s->path, sizeof s->path, "image_test.%p.bin", (void *)s);
    cg_options_t options = {.profile = isa_profile_find("edge"), .opt_level = 1};
    status_t status = cg_emit(&options, s->m, CG_EMIT_IMAGE, s->path, &s->diag, NULL);
    diag_print(&s->diag, stderr, "test", true);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(file_map_open(s->path, &s->file), STATUS_OK);
    const char *error;
    status = isa_image_open(s->file.data, s->file.bytes, &s->image, &error);
    if (status != STATUS_OK)
        print_error("%s\n", error);
    assert_int_equal(status, STATUS_OK);
    *out_state = s;
    return 0;
}

static int teardown(void **state) {
    state_t *s = *state;
    file_map_close(&s->file);
    (void)remove(s->path);
    ir_module_destroy(s->m);
    diag_deinit(&s->diag);
    free(s);
    return 0;
}

static void note_says_inputs_and_outputs(void **state) {
    const isa_image_t *image = &((state_t *)*state)->image;
    const isa_note_t *note = image->note;
    assert_int_equal(note->n_inputs, 1);
    assert_int_equal(note->n_outputs, 1);
    assert_int_equal(note->n_symbols, 1);
    assert_string_equal(image->strings + image->io[0].name, "x");
    assert_string_equal(image->strings + image->io[1].name, "y");
    assert_int_equal(image->io[0].dtype, DTYPE_F32);
    assert_int_equal(image->io[0].rank, 2);
    assert_int_equal(image->io[0].dims[0].symbol, 0);
    assert_int_equal(image->io[0].dims[1].value, 64);
    assert_int_equal(image->symbols[0].max, 256);
    assert_int_equal(note->weights_bytes, 16640);
    assert_true(note->flags & ISA_IMAGE_MAY_GROW);
    assert_string_equal(note->profile, "edge");
    assert_true(note->profile_hash == isa_profile_hash(isa_profile_find("edge")));
}

static void hash_covers_every_other_byte(void **state) {
    const state_t *s = *state;
    uint8_t *copy = malloc(s->file.bytes);
    assert_non_null(copy);
    memcpy(copy, s->file.data, s->file.bytes);
    size_t at = (size_t)((const uint8_t *)&s->image.note->content_hash - s->file.data);
    memset(copy + at, 0, 8);
    assert_true(XXH3_64bits(copy, s->file.bytes) == s->image.note->content_hash);
    free(copy);
}

static void code_leads_to_onnx_nodes(void **state) {
    const isa_image_t *image = &((state_t *)*state)->image;
    const isa_segment_t *text = NULL;
    for (uint32_t i = 0; i < image->n_segments; i++)
        if (image->segments[i].flags & 1u)
            text = &image->segments[i];
    assert_non_null(text);
    int mats = 0, copies = 0;
    for (uint64_t at = 0; at + 4 <= text->file_bytes; at += 2) {
        uint32_t word;
        xa_insn_t insn;
        isa_operands_t operands;
        memcpy(&word, image->data + text->file_offset + at, 4);
        if ((word & 3) != 3)
            continue;
        const char *name = NULL, *op = NULL;
        if (isa_decode(word, &insn, &operands) && insn == XA_I_MAT_MUL) {
            mats++;
            assert_non_null(isa_image_node(image, text->va + at - image->text_offset, &name, &op));
            assert_string_equal(name, "fc1 + relu1");
            assert_string_equal(op, "Gemm + Relu");
        }
        copies += (word & 0x7f) == 0x2b && ((word >> 12) & 7) < 2;
        at += 2;
    }
    assert_int_equal(mats, 1);
    assert_int_equal(copies, 6);
}

static void loads_anywhere(void **state) {
    const isa_image_t *image = &((state_t *)*state)->image;
    uint64_t span = isa_image_span(image);
    uint8_t *memory = calloc(1, span);
    const char *error;
    assert_int_equal(isa_image_load(image, ISA_VA_IMAGE, memory, span, &error), STATUS_OK);
    assert_true(image->entry < span);
    free(memory);
}

static void nothing_is_left_beside(void **state) {
    const state_t *s = *state;
    char path[128];
    snprintf(path, sizeof path, "ls %s.* 2>/dev/null", s->path);
    FILE *list = popen(path, "r");
    assert_non_null(list);
    assert_int_equal(fgetc(list), EOF);
    assert_int_not_equal(pclose(list), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(note_says_inputs_and_outputs),
        cmocka_unit_test(hash_covers_every_other_byte),
        cmocka_unit_test(code_leads_to_onnx_nodes),
        cmocka_unit_test(loads_anywhere),
        cmocka_unit_test(nothing_is_left_beside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
