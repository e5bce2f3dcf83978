#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# freestanding_test.sh SOURCE_DIR: what every driver stands on builds for three processors without
# libc, float or large frames, and links against nothing but the four memory functions.
set -u
cd "$1" || exit 1
for tool in clang-19 ld.lld-19 llvm-nm-19; do
    command -v $tool >/dev/null 2>&1 || { echo "SKIPPED: no $tool"; exit 77; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
warnings="-Wall -Wextra -Werror -Wvla -Wshadow -Wstrict-prototypes -Wmissing-prototypes"
sources=$(ls isa/*.c driver/hw/*.c driver/rm/*.c 2>/dev/null | grep -v _fuzz.c)
[ -n "$sources" ] || { echo "SKIPPED: isa, driver/hw and driver/rm have no source yet"; exit 77; }

failures=0
bad() {
    printf '%s\n' "$*"
    failures=$((failures + 1))
}

# The compiler refuses float, since it may use no float register.
target_flags() {
    case $1 in
    x86_64) echo "--target=x86_64-unknown-none-elf -mgeneral-regs-only" ;;
    aarch64) echo "--target=aarch64-unknown-none-elf -mgeneral-regs-only -mno-outline-atomics" ;;
    riscv64) echo "--target=riscv64-unknown-none-elf -march=rv64imac -mabi=lp64" ;;
    esac
}

build_for() {
    objects=
    for source in $sources; do
        object=$work/$1-$(echo "$source" | tr / -).o
        frame=
        case $source in driver/*) frame=-Wframe-larger-than=512 ;; esac
        # shellcheck disable=SC2046,SC2086 # lists of words
        clang-19 -std=c17 -O2 -ffreestanding -nostdlibinc -I. $warnings $frame \
            $(target_flags "$1") -c "$source" -o "$object" || bad "$1: $source does not build"
        [ -f "$object" ] && objects="$objects $object"
    done
    # shellcheck disable=SC2086
    ld.lld-19 -r $objects -o "$work/$1.o" || bad "$1: no relocatable link"
    undefined=$(llvm-nm-19 -u "$work/$1.o" | awk '{ print $NF }' |
        grep -vxE 'memcpy|memset|memmove|memcmp' | tr '\n' ' ')
    [ -z "$undefined" ] || bad "$1: undefined symbols: $undefined"
}
for target in x86_64 aarch64 riscv64; do build_for $target; done

# Types whose size or cost differs between the systems that the core runs in.
types=$(grep -nE '(^|[^a-z_A-Z0-9"])(float|double|long|__int128)($|[^a-z_A-Z0-9"])' \
    driver/hw/*.[ch] driver/rm/*.[ch] driver/port.h driver/uapi/*.h 2>/dev/null |
    sed 's|//.*||' | grep -E '(^|[^a-z_A-Z0-9"])(float|double|long|__int128)($|[^a-z_A-Z0-9"])')
[ -z "$types" ] || bad "float, long or __int128 in the driver's core:
$types"
[ "$failures" = 0 ]
