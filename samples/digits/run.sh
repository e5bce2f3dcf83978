#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BIN WORK [PICTURE...]: compiles the model with BIN/accelc, runs it on each picture with
# BIN/accelrun, and shows the picture and what the model says it is. Files go to WORK.
set -eu
[ $# -ge 2 ] || {
    echo "Usage: $0 BIN WORK [PICTURE.pgm...]" >&2
    exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
bin=$1
work=$2
shift 2
[ $# -gt 0 ] || set -- "$here/pictures/three.pgm" "$here/pictures/seven.pgm"

# One character a column and two rows: a letter is about twice as high as wide.
show() {
    tail -c 784 "$1" | od -An -v -t u1 -w28 | awk '
        NR % 2 == 1 { for (i = 1; i <= 28; i++) above[i] = $i; next }
        {
            row = ""
            for (i = 1; i <= 28; i++)
                row = row substr(" .:-=+*#%@", 1 + int((above[i] + $i) / 2 * 9.99 / 256), 1)
            print "    |" row "|"
        }'
}

# Runs a command and shows it, with paths from the current folder.
run() {
    echo "\$ $*" | sed "s|$PWD/||g"
    "$@"
}

mkdir -p "$work"
run "$bin/accelc" "$here/model.onnx" -o "$work/digits.bin"
for picture in "$@"; do
    echo
    show "$picture"
    run "$bin/accelrun" "$work/digits.bin" --input "picture=$picture" --labels "$here/labels.txt" --top 3
done
