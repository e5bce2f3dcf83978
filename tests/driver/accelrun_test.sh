#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# accelrun_test.sh ACCELRUN IMAGE_DIR: the tool from the outside, with device programs of our own.
set -u
accelrun=$1
images=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

# expect CODE TEXT ARGS...: exit code and a piece of what it prints.
expect() {
    code=$1 text=$2
    shift 2
    "$accelrun" "$@" >"$work/out" 2>&1
    got=$?
    if [ "$got" != "$code" ] || ! grep -qF -- "$text" "$work/out"; then
        echo "accelrun $*: exit code $got (expected $code), or no '$text' in:"
        cat "$work/out"
        failures=$((failures + 1))
    fi
}

expect 0 "Usage: accelrun" --help
expect 0 "accelrun" --version
expect 2 "missing MODEL" --json
expect 2 "" "$images/add.bin" --no-such-option
expect 2 "" "$images/add.bin" --rtol=-1
expect 2 "--repeat is at least 1" "$images/add.bin" --repeat 0
expect 1 "not found" "$work/nothing.bin"
expect 1 "input 'b' f32[n,4] is not given" "$images/add.bin" -i a=random --dim n=2
expect 1 "add --dim n=N" "$images/add.bin" -i a=random -i b=random
expect 1 "did you mean 'a'?" "$images/add.bin" -i aa=random
expect 1 "the program failed in node '" "$images/modes.bin" -i what=random:3

# Outputs are written, and can be read again: a + b + weights, where both inputs are the first sum.
expect 0 "sum: f32[3,4] =" "$images/add.bin" -i a=random -i b=random:2 -d n=3 -o "$work/first"
expect 0 "runs: i32[1] = 42" "$images/add.bin" -i "a=$work/first/sum.npy" \
    -i "b=$work/first/sum.npy" -o "$work/second"
expect 0 "3 runs: min" "$images/add.bin" -i a=random -i b=random -d n=1000 -r 3
for engine in ref fast; do
    for cores in 1 2 5; do
        expect 0 "sum" "$images/add.bin" -i a=random -i b=random:2 -d n=3 -o "$work/$engine$cores" \
            -c $cores -e $engine
        cmp "$work/first/sum.npy" "$work/$engine$cores/sum.npy" || failures=$((failures + 1))
    done
done

# A test data set: TensorProto {dims 1, 4; data_type 1; name; raw_data}, as ONNX writes it.
tensor() { # tensor NAME VALUE-BYTES...
    printf '\010\001\010\004\020\001\102\001%s\112\020' "$1"
    shift
    for value in "$@"; do printf "$value"; done
}
zero='\000\000\000\000' one='\000\000\200\077' half='\000\000\000\077'
three_halves='\000\000\300\077' five_halves='\000\000\040\100' seven_halves='\000\000\140\100'
mkdir "$work/set"
tensor a $zero $zero $zero $zero >"$work/set/input_0.pb"
tensor b $zero $zero $zero $zero >"$work/set/input_1.pb"
tensor s $half $three_halves $five_halves $seven_halves >"$work/set/output_0.pb"
printf '\010\001\020\006\102\001r\112\004\052\000\000\000' >"$work/set/output_1.pb"
expect 0 "sum: matches 4 elements" "$images/add.bin" -t "$work/set"
expect 0 '"match": true' "$images/add.bin" -t "$work/set" --json
tensor s $half $three_halves $one $seven_halves >"$work/set/output_0.pb"
expect 1 "sum: 1 of 4 elements differ; worst at 2: 2.5, expected 1, off by 1.5" \
    "$images/add.bin" -t "$work/set"
expect 1 '"match": false' "$images/add.bin" -t "$work/set" --json
expect 0 "sum: matches" "$images/add.bin" -t "$work/set" --atol 1.5
printf '\010\001\020\006\102\001r\112\004\053\000\000\000' >"$work/set/output_1.pb"
expect 1 "runs: 1 of 1 elements differ" "$images/add.bin" -t "$work/set" --atol 1.5
expect 0 '"node": "add one"' "$images/add.bin" -i a=random -i b=random -d n=3 --json --timing

# Options of a card in this process are not dropped for a card of a daemon, there or not.
for option in --cores=2 --engine=ref --timing "--trace=$work/trace.json"; do
    name=${option#--}
    expect 1 "option '${name%%=*}'" "$images/add.bin" --device=daemon "$option"
    expect 0 '"device": "inproc"' "$images/add.bin" "$option" -i a=random -i b=random -d n=3 --json
done
expect 0 '"engine": "ref"' "$images/add.bin" -e ref -i a=random -i b=random -d n=3 --json
expect 0 '"engine": "fast"' "$images/add.bin" --device=inproc -i a=random -i b=random -d n=3 --json
expect 1 "'inproc'" "$images/add.bin" --device=inprc
expect 1 "none of /dev/accel/accel0 to" "$images/add.bin" --device=kernel
expect 0 "accelrun: on inproc, a simulated card of profile" "$images/add.bin" --device=inproc -v \
    -i a=random -i b=random -d n=3

[ "$failures" = 0 ]
