#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# freestanding_test.sh SOURCE_DIR: what every driver stands on compiles for three processors and for
# Windows without libc, floating-point registers or large frames, and links against nothing but the
# four memory functions.
set -u
cd "$1" || exit 1
. tests/common/skip.sh
for tool in clang-19 ld.lld-19 llvm-nm-19; do
    command -v $tool >/dev/null 2>&1 || skip "no $tool"
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
warnings="-Wall -Wextra -Werror -Wvla -Wshadow -Wstrict-prototypes -Wmissing-prototypes"
sources=$(ls isa/*.c driver/hw/*.c driver/rm/*.c | grep -v _fuzz.c)

failures=0
bad() {
    printf '%s\n' "$*"
    failures=$((failures + 1))
}

# The compiler, and how it is kept from float: where it may use no float register, it refuses.
compiler_of() {
    case $1 in
    x86_64) echo "clang-19 --target=x86_64-unknown-none-elf -mgeneral-regs-only -nostdlibinc" ;;
    aarch64) echo "clang-19 --target=aarch64-unknown-none-elf -mgeneral-regs-only -mno-outline-atomics -nostdlibinc" ;;
    riscv64) echo "clang-19 --target=riscv64-unknown-none-elf -march=rv64imac -mabi=lp64 -nostdlibinc" ;;
    mingw) echo "x86_64-w64-mingw32-gcc -mgeneral-regs-only" ;;
    esac
}
linker_of() { if [ "$1" = mingw ]; then echo x86_64-w64-mingw32-ld; else echo ld.lld-19; fi; }
nm_of() { if [ "$1" = mingw ]; then echo x86_64-w64-mingw32-nm; else echo llvm-nm-19; fi; }

# One call of the compiler a folder; `root` is the source folder, absolute.
root=$(pwd)
build_for() {
    objects=
    for folder in isa driver/hw driver/rm; do
        frame=
        case $folder in driver/*) frame=-Wframe-larger-than=512 ;; esac
        files=$(echo "$sources" | grep "^$folder/[^/]*$" | sed "s|^|$root/|")
        mkdir -p "$work/$1/$folder"
        # shellcheck disable=SC2046,SC2086 # lists of words
        (cd "$work/$1/$folder" && $(compiler_of "$1") -std=c17 -O2 -ffreestanding -I"$root" \
            $warnings $frame -c $files) || bad "$1: $folder does not build"
        objects="$objects $(ls "$work/$1/$folder"/*.o 2>/dev/null)"
    done
    # shellcheck disable=SC2086
    $(linker_of "$1") -r $objects -o "$work/$1.o" || bad "$1: no relocatable link"
    undefined=$($(nm_of "$1") -u "$work/$1.o" | awk '{ print $NF }' |
        grep -vxE 'memcpy|memset|memmove|memcmp' | tr '\n' ' ')
    [ -z "$undefined" ] || bad "$1: undefined symbols: $undefined"
    # It is code that was made, of all three rooms.
    for entry in isa_ring_packet_valid hw_start rm_request; do
        $(nm_of "$1") "$work/$1.o" | grep -q " T $entry\$" || bad "$1: no code of $entry"
    done
}
for target in x86_64 aarch64 riscv64; do build_for $target; done
if command -v x86_64-w64-mingw32-gcc >/dev/null 2>&1; then
    build_for mingw
elif [ "${ACCEL_REQUIRE_DATA:-0}" = 1 ]; then
    bad "no x86_64-w64-mingw32-gcc"
else
    echo "without mingw: no x86_64-w64-mingw32-gcc"
fi

# Types whose size or cost differs between the systems that the core runs in.
types=$(grep -nE '(^|[^a-z_A-Z0-9"])(float|double|long|__int128)($|[^a-z_A-Z0-9"])' \
    driver/hw/*.[ch] driver/rm/*.[ch] driver/port.h driver/uapi/*.h 2>/dev/null |
    sed 's|//.*||' | grep -E '(^|[^a-z_A-Z0-9"])(float|double|long|__int128)($|[^a-z_A-Z0-9"])')
[ -z "$types" ] || bad "float, long or __int128 in the driver's core:
$types"
[ "$failures" = 0 ]
