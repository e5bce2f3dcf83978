#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# system_test.sh ACCEL_SMI ACCEL_CARDD ACCELRUN IMAGE_DIR STREAM_TEST: the tools, and streams,
# through a daemon of two cards.
set -u
smi=$1 cardd=$2 accelrun=$3 images=$4 streams=$5
work=$(mktemp -d) || exit 1
export ACCEL_SOCKET="$work/socket"
daemon=
stop() {
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null
        wait "$daemon" 2>/dev/null
    fi
    daemon=
}
trap 'stop; rm -rf "$work"' EXIT
failures=0

# expect CODE TEXT ARGS...: exit code and a piece of what accel-smi prints.
expect() {
    code=$1 text=$2
    shift 2
    "$smi" "$@" >"$work/out" 2>&1
    got=$?
    if [ "$got" != "$code" ] || ! grep -qF -- "$text" "$work/out"; then
        echo "accel-smi $*: exit code $got (expected $code), or no '$text' in:"
        cat "$work/out"
        failures=$((failures + 1))
    fi
}

# Waits until a command succeeds.
until_true() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || return 1
        sleep 0.05
    done
}

# logged TEXT: the daemon's log says so, to people.
logged() {
    grep -qF -- "$1" "$work/log" && return
    echo "no '$1' in the log:"
    cat "$work/log"
    failures=$((failures + 1))
}

expect 3 "start accel-cardd"
expect 3 "$work/elsewhere" --socket "$work/elsewhere" -L
"$cardd" --foreground --cards=2 --cores=1 --memory=256M --socket="$ACCEL_SOCKET" \
    --log="$work/log" &
daemon=$!
until_true "$smi" -L || { echo "the daemon did not start"; cat "$work/log"; exit 1; }

expect 0 "Card 1: Accel host (simulated)" -L
expect 0 "1, host, daemon:1, 256 MiB" \
    --query-card=index,profile,location,memory.total --format=csv,noheader
expect 0 "daemon:0 |"
expect 0 "Driver: daemon $ACCEL_SOCKET"
expect 0 "Product Name               : Accel host (simulated)" -q -d BOARD -i daemon:1
expect 5 "names none of the 2 cards" -i 2 -L
if [ -f "$images/add.bin" ]; then
    "$accelrun" --device=daemon:1 "$images/add.bin" -i a=random -i b=random -d n=2 \
        >"$work/out" 2>&1 || { cat "$work/out"; failures=$((failures + 1)); }
    "$accelrun" --device=daemon "$images/add.bin" -i a=random -i b=random -d n=2 --json \
        >"$work/out" 2>&1
    grep -q '"engine": null' "$work/out" || { cat "$work/out"; failures=$((failures + 1)); }
fi

expect 0 "(UUID: ACC-00000002-0000-8acc-8000-000000000001)" -L -i ACC-00000002

# What cannot be written is an error; a closed output is no place for the socket.
for redirection in ">/dev/full" ">&-"; do
    if sh -c "'$smi' -q $redirection" 2>"$work/out" || ! grep -q "cannot write the output" "$work/out"; then
        echo "accel-smi -q $redirection succeeded, or said nothing:"
        cat "$work/out"
        failures=$((failures + 1))
    fi
done

# What an administrator does is seen by all, in numbers and in events.
expect 0 "Card 1: planted ecc-single." inject ecc-single 0x100000 -i 1
until_true sh -c "'$smi' -i 1 --query-card=ecc.errors.corrected --format=csv,noheader | grep -qx 1" ||
    expect 0 "corrected by now" -q -i 1
expect 0 "0" -i 0 --query-card=ecc.errors.corrected --format=csv,noheader
expect 0 "a fault was planted: ecc-single, argument 0x100000" events -i 1
expect 0 "single-bit memory errors, corrected: 1 so far" events -i 1
expect 0 "OK" -i 1 --query-card=health --format=csv,noheader
limits=$("$smi" -i 1 --query-card=power.min_limit --format=csv,noheader,nounits)
expect 0 "the power limit is $limits W" --power-limit="$limits" -i 1
expect 0 "$limits" -i 1 --query-card=power.limit --format=csv,noheader,nounits
expect 1 "is outside of" --power-limit=100000 -i 1
expect 0 " Holds    accel-smi" hold -i 1 -- "$smi" processes -i 1
expect 1 "(accel-smi) holds it" hold -i 1 -- "$smi" hold -i 1
expect 0 "Card 0: held until" hold -i 0 --loop-ms=1 -c 1
expect 0 "let go after" events -i 1
expect 0 "Card 1: node COPY was reset." --reset=node --node=copy -i 1
expect 0 "Card 1: the card was reset." --reset -i 1
expect 0 "1, 1" -i 1 --query-card=resets.node,resets.card --format=csv,noheader
expect 0 "0, 0" -i 0 --query-card=resets.node,resets.card --format=csv,noheader
expect 0 "card-reset" events -i 1
if [ -f "$images/add.bin" ]; then # the card works again
    "$accelrun" --device=daemon:1 "$images/add.bin" -i a=random -i b=random -d n=2 \
        >"$work/out" 2>&1 || { cat "$work/out"; failures=$((failures + 1)); }
fi
# A card that is lost: who runs something there is told what to do, and does it.
if [ -f "$images/add.bin" ]; then
    expect 0 "planted link-loss" inject link-loss 200 -i 1
    "$accelrun" --device=daemon:1 "$images/add.bin" -i a=random -i b=random -d n=2 >"$work/out" 2>&1
    grep -q "accel-smi --reset -i 1" "$work/out" ||
        { cat "$work/out"; failures=$((failures + 1)); }
    until_true "$smi" --reset -i 1 || expect 0 "the card was reset" --reset -i 1
    "$accelrun" --device=daemon:1 "$images/add.bin" -i a=random -i b=random -d n=2 \
        >"$work/out" 2>&1 || { cat "$work/out"; failures=$((failures + 1)); }
fi
"$cardd" --foreground --socket="$ACCEL_SOCKET" >"$work/out" 2>&1
grep -q "accel-cardd: $ACCEL_SOCKET: .*--socket=PATH" "$work/out" ||
    { cat "$work/out"; failures=$((failures + 1)); }

logged "card 0: started, contract 1."
logged "card 1: error: single-bit memory errors, corrected (1 so far)"
logged "card 1: COPY was reset: done"
logged "card 1: the card was reset: done"
[ "$(grep -c 'gives up 0 bytes' "$work/log")" = 0 ] || logged "memory that was given up"
[ "$(grep -cv '^20..-..-..T..:..:..\....Z accel-cardd: ' "$work/log")" = 0 ] || logged "times in UTC"

# Streams behave there as in one process; afterwards nobody is left.
if ! "$streams" "$images" "$ACCEL_SOCKET" >"$work/out" 2>&1; then
    cat "$work/out"
    failures=$((failures + 1))
fi
until_true sh -c "'$smi' | grep -q 'No process uses a card'" || expect 0 "No process uses a card."

stop
expect 3 "start accel-cardd" -q
[ "$failures" = 0 ]
