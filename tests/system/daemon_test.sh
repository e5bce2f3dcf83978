#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# daemon_test.sh BIN SAMPLES WORK: one daemon with two cards, two models, four processes at once,
# each with a model and a card of its own choice: the outputs are those of the samples, run for run.
set -u
bin=$1 samples=$2 work=$3
runs=5
rm -rf "$work"
mkdir -p "$work" || exit 1
folder=$(mktemp -d) || exit 1 # a socket's name is short
socket=$folder/card.sock
failures=0 n_checks=0

fail() { # WHAT LOG
    failures=$((failures + 1))
    echo "FAILED: $1"
    sed 's/^/  /' "$2"
}

for sample in digits encoder; do
    "$bin/accelc" "$samples/$sample/model.onnx" -o "$work/$sample.bin" >"$work/log" 2>&1 ||
        fail "$sample compiles" "$work/log"
done

"$bin/accel-cardd" --foreground --socket="$socket" --cards=2 --log="$work/daemon.log" \
    2>"$work/daemon.errors" &
daemon=$!
trap 'kill -9 "$daemon" 2>/dev/null; rm -rf "$folder"' EXIT
tries=0
while [ ! -S "$socket" ] && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done

# Process N runs one model on card N % 2 with test data, again and again.
process() { # N SAMPLE
    i=0
    while [ "$i" -lt "$runs" ]; do
        for set in "$samples/$2"/test_data_set_*; do
            ACCEL_SOCKET=$socket "$bin/accelrun" --device="daemon:$(($1 % 2))" "$work/$2.bin" \
                --test-data "$set" --rtol 1e-3 --atol 1e-5 --repeat 3 || return 1
        done
        i=$((i + 1))
    done
}

pids=
for n in 0 1 2 3; do
    sample=digits
    [ $((n / 2)) = 1 ] && sample=encoder
    process "$n" "$sample" >"$work/out.$n" 2>&1 &
    pids="$pids $!"
done
n=0
for pid in $pids; do
    n_checks=$((n_checks + 1))
    wait "$pid" || fail "process $n" "$work/out.$n"
    grep -q "matches" "$work/out.$n" || fail "process $n matches" "$work/out.$n"
    n=$((n + 1))
done

# Both cards were used, and all clients left.
for card in 0 1; do
    n_checks=$((n_checks + 1))
    [ "$(grep -c "opened card $card" "$work/daemon.log")" -ge $((2 * runs)) ] ||
        fail "card $card was used" "$work/daemon.log"
done
# auto takes the daemon, and says so.
n_checks=$((n_checks + 1))
ACCEL_SOCKET=$socket "$bin/accelrun" "$work/digits.bin" --json \
    --test-data "$samples/digits/test_data_set_0" >"$work/json" 2>&1
grep -q '"device": *"daemon"' "$work/json" || fail "auto takes the daemon" "$work/json"

n_checks=$((n_checks + 1))
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon ends with 0" "$work/daemon.log"
[ ! -e "$socket" ] || fail "its socket is gone" "$work/daemon.log"
[ "$(grep -c opened "$work/daemon.log")" = "$(grep -c ' left' "$work/daemon.log")" ] ||
    fail "as many clients left as came" "$work/daemon.log"
echo "$n_checks checks, $failures failed"
[ "$failures" = 0 ] && [ "$n_checks" -ge 8 ]
