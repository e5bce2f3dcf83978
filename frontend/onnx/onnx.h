// SPDX-License-Identifier: Apache-2.0
// Reads an ONNX model (IR versions 3 to 13) into graph IR. It only imports: types are inferred and
// compound operators taken apart by passes.
//
// Ownership: constants of the module point into the mapped files, which onnx_files_t owns; destroy
// the module first, then the files. One thread at a time; different imports are independent.
#ifndef FRONTEND_ONNX_ONNX_H
#define FRONTEND_ONNX_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "ir/ir.h"
#include "support/diag.h"
#include "support/status.h"

// Fixes a symbolic dim. `name` is a dim_param of the model, or "<input>_<axis>" of a nameless one.
typedef struct onnx_dim {
    const char *name;
    int64_t value;
} onnx_dim_t;

typedef struct onnx_options {
    size_t n_dims;
    const onnx_dim_t *dims;
} onnx_options_t;

// The files that a module's constants lie in.
typedef struct onnx_files onnx_files_t;

// `options` may be NULL. Everything that the model uses and this version does not support is
// reported at once: STATUS_UNSUPPORTED. Malformed models: STATUS_INVALID or STATUS_LIMIT; files:
// STATUS_NOT_FOUND, STATUS_IO. Out parameters are set to NULL unless the import succeeds.
WARN_UNUSED status_t onnx_import(const char *path, const onnx_options_t *options, diag_t *diag,
                                 ir_module_t **out_module, onnx_files_t **out_files);
// The same from memory, which must outlive the module. External data lies in `folder` (or NULL:
// there is none).
WARN_UNUSED status_t onnx_import_bytes(const uint8_t *data, size_t bytes, const char *folder,
                                       const onnx_options_t *options, diag_t *diag,
                                       ir_module_t **out_module, onnx_files_t **out_files);
void onnx_files_destroy(onnx_files_t *files); // NULL is allowed

#endif
