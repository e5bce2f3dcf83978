// SPDX-License-Identifier: Apache-2.0
// Pictures as binary PGM (P5, grey) and PPM (P6, red green blue) files.
#ifndef TOOLS_COMMON_IMAGE_H
#define TOOLS_COMMON_IMAGE_H

#include <stdbool.h>

#include "support/diag.h"
#include "tools/common/tensor.h"

// True for names that end in .pgm or .ppm.
bool tool_image_is_name(const char *path);

// Reads a picture as f32 [1,C,H,W], C = 1 or 3, each sample divided by the file's maximum (255 as a
// rule): 0 is black, 1 is white. The file is hostile until checked; the tensor lives in the arena.
// Errors name `path`.
WARN_UNUSED status_t tool_image_read(const char *path, arena_t *arena, diag_t *diag,
                                     tool_tensor_t *out_tensor);
// The same from memory.
WARN_UNUSED status_t tool_image_parse(const uint8_t *file, size_t file_bytes, const char *path,
                                      arena_t *arena, diag_t *diag, tool_tensor_t *out_tensor);

#endif
