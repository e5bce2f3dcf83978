#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# self_test.sh SOURCE_DIR: house_test.sh finds what it is there to find.
set -u
house=$(cd "$1" && pwd)/tests/house
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 1
mkdir -p tests/house support passes driver/hw codegen odd
cp "$house/includes.txt" "$house/includes.awk" tests/house/
failures=0

put() { printf '// SPDX-License-Identifier: Apache-2.0\n%s\n' "$2" >"$1"; }

# expect_bad CHECK TEXT [LIB_DIR]: the check fails and says TEXT.
expect_bad() {
    if output=$("$house/house_test.sh" "$1" "$tree" "${3-}" 2>&1); then
        echo "$1 passes, but should say: $2"
        failures=$((failures + 1))
    elif ! printf '%s\n' "$output" | grep -qF -- "$2"; then
        printf '%s should say: %s\nbut says:\n%s\n' "$1" "$2" "$output"
        failures=$((failures + 1))
    fi
}

put support/status.h ''
put driver/hw/ring.h ''
put passes/good.c '#include "support/status.h"
#include <stdio.h>'
if ! "$house/house_test.sh" includes "$tree"; then failures=1; fi

put passes/bad.c '#include "driver/hw/ring.h"'
expect_bad includes 'passes/bad.c:2: passes may not include "driver/hw/ring.h"'
put passes/bad.c '#include "../support/status.h"'
expect_bad includes 'from the repository root'
put passes/bad.c '#include "support/gone.h"'
expect_bad includes 'is no file of the tree'
put passes/bad.c '#  include <unistd.h>'
expect_bad includes 'passes may not include <unistd.h>'
put passes/bad.c ''
put driver/hw/bad.c '#include <stdio.h>'
expect_bad includes 'driver/hw may not include <stdio.h>'
put driver/hw/bad.c '#include <stdint.h>'
put odd/odd.c ''
expect_bad includes 'odd/odd.c:1: no row'

expect_bad readmes 'support/README.md: missing'
yes line | head -n 21 >support/README.md
expect_bad readmes 'support/README.md: more than 20 lines'

yes '// SPDX-License-Identifier: Apache-2.0' | head -n 901 >passes/long.c
expect_bad files 'passes/long.c: 901 lines'
rm passes/long.c
echo 'int x;' >passes/bad.c
expect_bad files 'passes/bad.c: no SPDX line'
put passes/bad.c "// see /$(echo home)/someone"
expect_bad files 'passes/bad.c:2:'

mkdir docs
printf '### MCDM: each DDI\n| StartDevice |\n| Present | it is shown |\n## Else\n| Unload |\n' >docs/driver.md
printf '# list\nddi StartDevice required\nddi Unload required\nddi Present prohibited\n' >tests/house/mcdm.txt
expect_bad mcdm 'no row for Unload (ddi, required)'
expect_bad mcdm 'Present is prohibited'
printf 'ddi StartDevice required\n' >tests/house/mcdm.txt
if ! "$house/house_test.sh" mcdm "$tree"; then failures=1; fi

# library NAME SYMBOL: one that calls SYMBOL.
library() {
    mkdir -p lib
    printf 'void %s(void);\nvoid caller(void);\nvoid caller(void) { %s(); }\n' "$2" "$2" >lib/caller.c
    cc -c lib/caller.c -o lib/caller.o && ar rcs "lib/libaccel_$1.a" lib/caller.o
}
library runtime sim_function_create
if ! "$house/house_test.sh" symbols "$tree" lib; then failures=1; fi
library hw sim_function_create
expect_bad symbols 'libaccel_hw.a reaches into the simulated card' lib
library hw memcpy
library runtime sim_gang_run
expect_bad symbols 'sim_gang_run' lib
[ "$failures" = 0 ]
