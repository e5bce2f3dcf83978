#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures launches and copies beside the barest thing that does as much; see --help. Prints tables
# (Markdown) on standard output.
set -u

usage() {
    cat <<'TEXT'
Usage: tests/bench/driver.sh [OPTION]...
Times the launch of an empty program through the daemon and in process against a bare hand-over, and
copies of 64 MiB against memcpy, in turn in one run. Exits with 1 when a goal is missed, and names it
on standard error.

  --build=DIR    the build folder (default build/release)
  --rounds=N     how often each has its turn (default 9)
  --seconds=S    how long a turn is (default 0.5)
TEXT
}

build=build/release rounds=9 seconds=0.5
for option in "$@"; do
    case "$option" in
    --build=?*) build=${option#*=} ;;
    --rounds=?*) rounds=${option#*=} ;;
    --seconds=?*) seconds=${option#*=} ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        echo "driver.sh: unknown option '$option'" >&2
        exit 2
        ;;
    esac
done

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
load=$(cut -d ' ' -f 1 /proc/loadavg)
tree=$(git -C "$(dirname "$0")" rev-parse --short HEAD 2>/dev/null)
echo "Machine: ${cpu:-unknown}, $(nproc) CPUs; $(date +%F); load average before: $load (0 is a quiet"
echo "machine); $rounds rounds of $seconds s; tree: ${tree:-unknown}."
echo
exec "$build/bin/driver_bench" "$build/bin/accel-cardd" "$build/tests/driver/empty.bin" "$rounds" \
    "$seconds"
