// SPDX-License-Identifier: Apache-2.0
// Parts of the listing.
#ifndef TOOLS_ACCEL_OBJDUMP_OBJDUMP_H
#define TOOLS_ACCEL_OBJDUMP_OBJDUMP_H

#include <stdio.h>

#include "isa/image.h"

void objdump_headers(const isa_image_t *image, FILE *out);
void objdump_note(const isa_image_t *image, FILE *out);
void objdump_nodes(const isa_image_t *image, FILE *out);
void objdump_code(const isa_image_t *image, FILE *out);

#endif
