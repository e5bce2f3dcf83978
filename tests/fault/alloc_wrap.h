// SPDX-License-Identifier: Apache-2.0
// The C library's calls that can fail for want of memory, wrapped by the linker (--wrap) in a test
// program of its own: counted, one of them or all from one on failed, and what they gave counted
// until it is given back. Whole process, any thread. alloc_wrap_system.c does so to those that can
// fail for want of descriptors and of the kernel's memory.
#ifndef TESTS_FAULT_ALLOC_WRAP_H
#define TESTS_FAULT_ALLOC_WRAP_H

#include <stdbool.h>
#include <stdint.h>

// Counting begins again. Call `fail_at` (from 1 on; 0: none) and `fail_for` - 1 after it fail.
void alloc_plan(uint64_t fail_at, uint64_t fail_for);
uint64_t alloc_calls(void);  // since the plan
uint64_t alloc_failed(void); // since the plan
// Blocks, and pages mapped, that were made and not given back.
int64_t alloc_live(void);
// Counts one more call of a wrapped function; whether it is to fail.
bool alloc_fails(void);

#endif
