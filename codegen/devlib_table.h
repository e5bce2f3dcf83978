// SPDX-License-Identifier: Apache-2.0
// The operator library's bitcode as data. The table is made by the build.
#ifndef CODEGEN_DEVLIB_TABLE_H
#define CODEGEN_DEVLIB_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct cg_devlib_module {
    const char *symbol; // a function that it defines
    const uint8_t *data;
    size_t bytes;
} cg_devlib_module_t;

extern const cg_devlib_module_t cg_devlib_modules[];
extern const size_t cg_n_devlib_modules;

#endif
