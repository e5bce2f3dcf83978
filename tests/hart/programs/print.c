// SPDX-License-Identifier: Apache-2.0
// printf and strings: the log is compared with the same calls on the host.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINT printf
#include "tests/hart/programs/print_body.h"

int main(void) {
    print_body(NULL);
    return 0;
}
