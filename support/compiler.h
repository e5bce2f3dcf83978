// SPDX-License-Identifier: Apache-2.0
// The only place where a compiler extension may be named. Freestanding.
#ifndef SUPPORT_COMPILER_H
#define SUPPORT_COMPILER_H

#if defined(__GNUC__) || defined(__clang__)
#define WARN_UNUSED       __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define LIKELY(x)         __builtin_expect(!!(x), 1)
#define UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define NO_RETURN         __attribute__((noreturn))
#define ALWAYS_INLINE     __attribute__((always_inline)) inline
#define NO_INLINE         __attribute__((noinline))
#define CALL_SITE()       __builtin_return_address(0) // where this function was called from
#else
#define WARN_UNUSED
#define PRINTF_LIKE(f, a)
#define LIKELY(x)   (x)
#define UNLIKELY(x) (x)
#define NO_RETURN
#define ALWAYS_INLINE inline
#define NO_INLINE
#define CALL_SITE() NULL
#endif

// Before a loop of a known, small number of turns, whose body is to be written out.
#define PRAGMA_TEXT(text) _Pragma(#text)
#if defined(__clang__)
#define UNROLL(n) PRAGMA_TEXT(clang loop unroll(full))
#elif defined(__GNUC__)
#define UNROLL(n) PRAGMA_TEXT(GCC unroll n)
#else
#define UNROLL(n)
#endif

// Whether the processor (and its system) has an x86 extension, named as the compiler names it.
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define CPU_HAS(extension) __builtin_cpu_supports(extension)
#else
#define CPU_HAS(extension) false
#endif

// In a loop that waits for another thread.
#if defined(__x86_64__) || defined(__i386__)
#define CPU_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define CPU_PAUSE() __asm__ volatile("yield")
#else
#define CPU_PAUSE() ((void)0)
#endif

// What threads, interrupts and cards share without a lock: whole, ordered loads and stores of 4 and
// 8 bytes, and counters. (C17 leaves <stdatomic.h> out of its freestanding headers, and kernels
// have none.)
#if defined(__GNUC__) || defined(__clang__)
#define LOAD_ACQUIRE(p)         __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE_RELEASE(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)
#define ATOMIC_ADD(p, value)    __atomic_add_fetch((p), (value), __ATOMIC_ACQ_REL) // the new value
#define ATOMIC_SUB(p, value)    __atomic_sub_fetch((p), (value), __ATOMIC_ACQ_REL)
#define ATOMIC_OR(p, value)     __atomic_or_fetch((p), (value), __ATOMIC_ACQ_REL)
#define ATOMIC_SWAP(p, value)   __atomic_exchange_n((p), (value), __ATOMIC_ACQ_REL) // the old value
#endif

#define COUNT_OF(array)          (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(p, type, m) ((type *)(void *)((char *)(p)-offsetof(type, m)))

#endif
