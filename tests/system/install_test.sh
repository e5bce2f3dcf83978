#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install_test.sh BUILD SAMPLES CC WORK: installs into WORK and uses only that, as a user does: the
# embed sample is built by what accel.pc says and runs what the installed compiler made.
set -eu
build=$1 samples=$2 cc=$3 work=$4
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/accel" >"$work/log"
for tool in accelc accelrun accel-smi accel-objdump accel-cardd; do
    "$work/accel/bin/$tool" --version >/dev/null
done

# What accel.pc says, with or without pkg-config.
pc=$(find "$work/accel" -name accel.pc)
value() { sed -n "s/^$1[=:] *//p" "$pc"; }
prefix=$(value prefix | sed "s|\${pcfiledir}|$(dirname "$pc")|")
includedir=$(value includedir | sed "s|\${prefix}|$prefix|")
libdir=$(value libdir | sed "s|\${prefix}|$prefix|")
flags=$(echo "$(value Cflags) $(value Libs)" |
    sed "s|\${includedir}|$includedir|; s|\${libdir}|$libdir|")
# shellcheck disable=SC2086 # several words
"$cc" -std=c17 -Wall -Wextra -Werror "$samples/embed/classify.c" -o "$work/classify" $flags

"$work/accel/bin/accelc" "$samples/digits/model.onnx" -o "$work/digits.bin"
LD_LIBRARY_PATH=$libdir "$work/classify" "$work/digits.bin" \
    "$samples/digits/pictures/three.pgm" "$samples/digits/pictures/seven.pgm" \
    "$samples/digits/pictures/zero.pgm" >"$work/out"
cat "$work/out"
grep -q "three.pgm: 3 (" "$work/out"
grep -q "seven.pgm: 7 (" "$work/out"
grep -q "zero.pgm: 0 (" "$work/out"
if LD_LIBRARY_PATH=$libdir "$work/classify" "$work/out" x.pgm 2>"$work/err"; then
    echo "a file that is no program was taken" >&2
    exit 1
fi
grep -q "^classify: .*out" "$work/err"

# Nothing but the API leaves the library.
if nm -D --defined-only "$libdir/libaccel.so" | awk '{print $3}' | grep -v "^accel_\|^ACCEL_"; then
    echo "libaccel.so exports more than accel_*" >&2
    exit 1
fi
