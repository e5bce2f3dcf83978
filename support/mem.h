// SPDX-License-Identifier: Apache-2.0
// The four memory functions that every environment provides, a kernel included. Freestanding:
// compilers may emit calls to them anyway.
#ifndef SUPPORT_MEM_H
#define SUPPORT_MEM_H

#if __STDC_HOSTED__
#include <string.h>
#else
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
#endif

#endif
