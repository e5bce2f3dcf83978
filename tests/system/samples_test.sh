#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# samples_test.sh BIN SAMPLES WORK: compiles each sample once and runs every test_data_set of it on
# 1, 2 and 5 cores: the outputs are those of the sample, and the same bit by bit on any number of
# cores. Then one set on the other profiles, and the digits sample as a user runs it.
set -u
bin=$1 samples=$2 work=$3
rm -rf "$work"
mkdir -p "$work" || exit 1
failures=0 n_checks=0

check() { # WHAT COMMAND...
    what=$1
    shift
    n_checks=$((n_checks + 1))
    if "$@" >"$work/log" 2>&1; then return 0; fi
    failures=$((failures + 1))
    echo "FAILED: $what"
    echo "  $*"
    sed 's/^/  /' "$work/log"
    return 1
}

same_files() { # FOLDER FOLDER: the same names, at least one, and the same bytes
    ls "$1" | grep -q . && [ "$(ls "$1")" = "$(ls "$2")" ] || return 1
    for file in "$1"/*; do
        cmp "$file" "$2/$(basename "$file")" || return 1
    done
}

run_set() { # SAMPLE SET
    for cores in 1 2 5; do
        out=$work/$1-$(basename "$2")-$cores
        mkdir -p "$out"
        check "$1, $(basename "$2"), $cores cores" "$bin/accelrun" "$work/$1.bin" --test-data "$2" \
            --rtol 1e-3 --atol 1e-5 --cores "$cores" --output-dir "$out" || return
        check "$1, $(basename "$2"): $cores cores give what 1 core gives" \
            same_files "$work/$1-$(basename "$2")-1" "$out"
    done
}

reads_digits() {
    "$samples/digits/run.sh" "$bin" "$work" "$samples/digits/pictures/$1.pgm" >"$work/shown" || return 1
    cat "$work/shown"
    # The most likely label comes first.
    grep -E 'zero|one|two|three|four|five|six|seven|eight|nine' "$work/shown" | grep -v '\.pgm' |
        head -n 1 | grep -qw "$1"
}

for sample in digits encoder; do
    check "$sample compiles" "$bin/accelc" "$samples/$sample/model.onnx" -o "$work/$sample.bin" ||
        continue
    for set in "$samples/$sample"/test_data_set_*; do
        run_set "$sample" "$set"
    done
done
for arch in edge server; do
    for sample in digits encoder; do
        check "$sample compiles for $arch" "$bin/accelc" --arch="$arch" \
            "$samples/$sample/model.onnx" -o "$work/$sample.$arch.bin" &&
            check "$sample on $arch" "$bin/accelrun" "$work/$sample.$arch.bin" --timing \
                --test-data "$samples/$sample/test_data_set_0" --rtol 1e-3 --atol 1e-5
    done
done
for digit in zero four nine; do
    check "the digit $digit is read" reads_digits "$digit"
done
echo "$n_checks checks, $failures failed"
[ "$failures" = 0 ] && [ "$n_checks" -ge 30 ]
