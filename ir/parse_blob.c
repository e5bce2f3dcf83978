// SPDX-License-Identifier: Apache-2.0
// blob b0 f32 8 = "0000803f0000803f" | blob b1 f32 4096 0x1f2e3d4c5b6a7988
// | blob b2 f16 128 pack b1 dims [..] stride [..] [guard0 [..] < n] [guard1 [..] < n]
#include <string.h>

#include "ir/parse_internal.h"
#include "support/checked.h"

enum { INLINE_BLOB_BYTES = 64 };
static const uint64_t max_zero_bytes = (uint64_t)1 << 30;

static int hex_digit(char c) {
    const char *digits = "0123456789abcdef", *at = c != 0 ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static bool parse_hex(parser_t *p, dtype_t elem, uint64_t bytes) {
    uint8_t data[INLINE_BLOB_BYTES];
    const char *text;
    if (!parse_text(p, TOKEN_STRING, "hexadecimal digits in quotes", &text))
        return false;
    if (bytes > INLINE_BLOB_BYTES || strlen(text) != 2 * bytes)
        return parse_fail_behind(p, "expected %llu hexadecimal digits, found %zu",
                                 (unsigned long long)bytes * 2, strlen(text));
    for (uint64_t i = 0; i < bytes; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return parse_fail_behind(p, "'%s' is not hexadecimal", text);
        data[i] = (uint8_t)(high * 16 + low);
    }
    (void)ir_blob_copy(p->m, elem, data, bytes);
    return true;
}

static bool parse_guard(parser_t *p, ir_pack_t *pack, int g) {
    uint32_t n;
    if (!parse_next(p) || !parse_i64s(p, 6, pack->guard_step[g], &n))
        return false;
    if (n != pack->rank)
        return parse_fail_behind(p, "a guard of %u steps for a pack of rank %u", n, pack->rank);
    return parse_expect(p, '<') && parse_i64(p, &pack->guard_bound[g]);
}

static bool pack_elements(const ir_pack_t *pack, uint64_t *out) {
    *out = 1;
    for (uint32_t d = 0; d < pack->rank; d++)
        if (pack->dims[d] <= 0 || !checked_mul_u64(*out, (uint64_t)pack->dims[d], out))
            return false;
    return *out < (uint64_t)1 << 48;
}

static bool parse_pack(parser_t *p, dtype_t elem, uint64_t bytes) {
    ir_pack_t pack = {.elem = elem};
    uint32_t n;
    uint64_t elements;
    if (!parse_blob_ref(p, &pack.source) || !parse_expect_name(p, "dims") ||
        !parse_i64s(p, 6, pack.dims, &pack.rank) || !parse_expect_name(p, "stride") ||
        !parse_i64s(p, 6, pack.src_stride, &n))
        return false;
    if (n != pack.rank)
        return parse_fail_behind(p, "%u strides for a pack of rank %u", n, pack.rank);
    for (int g = 0; g < 2; g++)
        if (parse_at_name(p, g == 0 ? "guard0" : "guard1") && !parse_guard(p, &pack, g))
            return false;
    if (pack.source->pack != NULL)
        return parse_fail_behind(p, "a pack of a pack");
    if (!pack_elements(&pack, &elements) || (elements * dtype_bits(elem) + 7) / 8 != bytes)
        return parse_fail_behind(p, "the dims of the pack do not make %llu bytes",
                                 (unsigned long long)bytes);
    (void)ir_blob_packed(p->m, &pack);
    return true;
}

static bool parse_outside(parser_t *p, dtype_t elem, uint64_t bytes) {
    uint64_t hash;
    if (!parse_u64(p, &hash))
        return false;
    if (p->sidecar == NULL && (bytes > max_zero_bytes - p->zero_bytes))
        return parse_fail_behind(p, "blobs of more than 1 GiB without their contents");
    uint8_t *data = bytes <= SIZE_MAX - 64 ? arena_alloc(&p->m->arena, (size_t)bytes) : NULL;
    if (data == NULL)
        return parse_fail_behind(p, "no memory for a blob of %llu bytes",
                                 (unsigned long long)bytes);
    if (p->sidecar == NULL)
        p->zero_bytes += bytes;
    else if (fread(data, 1, (size_t)bytes, p->sidecar) != bytes)
        return parse_fail_behind(p, "the sidecar ends before blob b%zu", p->m->n_blobs);
    ir_blob_t *blob = ir_blob_add(p->m, elem, bytes);
    blob->data = data;
    blob->owned = true;
    blob->hash = hash;
    return true;
}

bool parse_blob(parser_t *p) {
    const char *name;
    dtype_t elem;
    uint64_t bytes;
    if (!parse_text(p, TOKEN_NAME, "a blob's name", &name))
        return false;
    if (strcmp(name, arena_printf(&p->scratch, "b%zu", p->m->n_blobs)) != 0)
        return parse_fail_behind(p, "blob '%s' where b%zu comes next", name, p->m->n_blobs);
    if (!parse_dtype(p, &elem) || !parse_u64(p, &bytes))
        return false;
    if (parse_at(p, '='))
        return parse_next(p) && parse_hex(p, elem, bytes);
    if (parse_at_name(p, "pack"))
        return parse_next(p) && parse_pack(p, elem, bytes);
    return parse_outside(p, elem, bytes);
}
