#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# place_test.sh ACCEL_CARDD ACCEL_SMI ACCELRUN IMAGE_DIR: the daemon of a user, and the tools that
# find it, with nothing but $XDG_RUNTIME_DIR to tell where. root, whose daemon is the machine's, does
# it as another user.
set -u
cardd=$1 smi=$2 accelrun=$3 images=$4
. "$(dirname "$0")/../common/skip.sh"
unset ACCEL_SOCKET
work=$(mktemp -d) || exit 1
daemon=
trap '[ -n "$daemon" ] && kill "$daemon" 2>/dev/null; rm -rf "$work"' EXIT
as=
if [ "$(id -u)" = 0 ]; then
    as="setpriv --reuid=65534 --regid=65534 --clear-groups"
    chown 65534:65534 "$work"
fi
$as test -x "$cardd" -a -r "$images/add.bin" || skip "no other user can run the tools"
mkdir "$work/run" "$work/none"
[ -z "$as" ] || chown 65534:65534 "$work/run"
export XDG_RUNTIME_DIR="$work/run"
failures=0

# expect CODE TEXT COMMAND...
expect() {
    code=$1 text=$2
    shift 2
    $as "$@" >"$work/out" 2>&1
    got=$?
    if [ "$got" != "$code" ] || ! grep -qF -- "$text" "$work/out"; then
        echo "$*: exit code $got (expected $code), or no '$text' in:"
        cat "$work/out"
        failures=$((failures + 1))
    fi
}

if [ ! -e /run/accel-cardd.sock ]; then
    expect 3 "no daemon at $work/run/accel-cardd.sock or /run/accel-cardd.sock" "$smi" -L
fi
# The daemon itself, not setpriv's child: that becomes it.
$as "$cardd" --foreground --cards=2 --cores=1 --memory=64M --log="$work/run/log" &
daemon=$!
tries=0
until $as "$smi" -L >/dev/null 2>&1 || [ "$tries" -ge 600 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
expect 0 "Card 1: Accel host" "$smi" -L
expect 0 "Driver: daemon $work/run/accel-cardd.sock" "$smi"
expect 0 "accelrun: on daemon:1," "$accelrun" -v --device=daemon:1 "$images/add.bin" -i a=random \
    -i b=random -d n=2
expect 0 "accelrun: on daemon:0," "$accelrun" -v "$images/add.bin" -i a=random -i b=random -d n=2
expect 1 "run/accel-cardd.sock has 2 cards, and none of index 5" "$accelrun" --device=daemon:5 \
    "$images/add.bin" -i a=random -i b=random -d n=2
ACCEL_SOCKET=$work/run/accel-cardd.sock XDG_RUNTIME_DIR=$work/none
export ACCEL_SOCKET
expect 0 "Card 1: Accel host" "$smi" -L
[ "$failures" = 0 ]
