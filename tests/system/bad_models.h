// SPDX-License-Identifier: Apache-2.0
// ONNX models that are wrong, each in one way, and what the compiler has to say to them.
#ifndef TESTS_SYSTEM_BAD_MODELS_H
#define TESTS_SYSTEM_BAD_MODELS_H

#include "tests/onnx/onnx_write.h"

// Sound: x [n, 4] f32 times a constant, softmax; y [n, 10].
onnx_writer_t *bad_models_sound(void);

typedef struct bad_model {
    const char *name;
    void (*build)(onnx_writer_t *w); // into a graph with input x [4] and output y [4], both f32
    const char *where;               // node or tensor that the message names
    const char *what;
} bad_model_t;

extern const bad_model_t bad_models[];
extern const size_t bad_models_n;

#endif
