// SPDX-License-Identifier: Apache-2.0
// sethash IN OUT: writes the content hash of an image into its note. Test tool.
// sethash --profile NAME: prints the hash of a profile.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "isa/image.h"
#include "isa/profile.h"
#include "support/file.h"

static int print_profile(const char *name) {
    const isa_profile_t *profile = isa_profile_find(name);
    if (profile == NULL)
        return 1;
    printf("0x%016llx\n", (unsigned long long)isa_profile_hash(profile));
    return 0;
}

static int set_hash(const char *in, const char *out_path) {
    file_map_t map;
    file_out_t out;
    isa_image_t image;
    const char *reason = "";
    if (file_map_open(in, &map) != STATUS_OK)
        return 1;
    if (isa_image_open(map.data, map.bytes, &image, &reason) != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", in, reason);
        return 1;
    }
    size_t at = (size_t)((const uint8_t *)&image.note->content_hash - map.data);
    uint8_t *copy = malloc(map.bytes);
    memcpy(copy, map.data, map.bytes);
    memset(copy + at, 0, 8);
    uint64_t hash = XXH3_64bits(copy, map.bytes);
    memcpy(copy + at, &hash, 8);
    bool ok = file_out_open(out_path, &out) == STATUS_OK &&
              fwrite(copy, 1, map.bytes, out.stream) == map.bytes &&
              file_out_commit(&out) == STATUS_OK;
    free(copy);
    file_map_close(&map);
    return ok ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--profile") == 0)
        return print_profile(argv[2]);
    return argc == 3 ? set_hash(argv[1], argv[2]) : 2;
}
