// SPDX-License-Identifier: Apache-2.0
// Start, exit and output of the test programs, by the environment calls of program_test.c:
// a7 = 0 exit(a0), 1 write(a0, a1).
#include <stdio.h>
#include <stdlib.h>

int main(void);
void _start(void);
void run_main(void);

static long call(long number, long first, long second) {
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = first;
    register long a1 __asm__("a1") = second;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a7) : "memory");
    return a0;
}

_Noreturn void _exit(int code) {
    for (;;)
        call(0, code, 0);
}

static int put(char c, FILE *file) {
    (void)file;
    call(1, (long)&c, 1);
    return (unsigned char)c;
}

static FILE output = FDEV_SETUP_STREAM(put, NULL, NULL, _FDEV_SETUP_WRITE);
FILE *const stdout = &output;
FILE *const stderr = &output;
FILE *const stdin = &output;

void run_main(void) { _exit(main()); }

// sp comes from the loader; picolibc keeps errno behind tp, for which a static block serves.
static _Alignas(16) char thread_area[4096];

__attribute__((naked)) void _start(void) {
    __asm__ volatile("mv tp, %0\n jr %1" : : "r"(thread_area), "r"(run_main));
}
