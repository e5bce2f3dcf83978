#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# unpack_onnx.sh SOURCE_DIR OUT_DIR: unpacks the ONNX backend cases to OUT_DIR/data, once.
set -eu
. "$1/tests/common/skip.sh"
source_dir=$1
out_dir=$2
data=${ACCEL_DATA:-$source_dir/../shared}
archive=
for file in "$data"/onnx/onnx-backend-*.tar.zst; do
    if [ -f "$file" ]; then archive=$file; fi
done
if [ -z "$archive" ]; then
    skip "no $data/onnx/onnx-backend-*.tar.zst (./check --data=DIR names the folder)"
fi
stamp=$(cksum <"$archive")
if [ -f "$out_dir/stamp" ] && [ "$(cat "$out_dir/stamp")" = "$stamp" ]; then
    echo "already unpacked"
    exit 0
fi
rm -rf "$out_dir"
mkdir -p "$out_dir"
zstd -dcq "$archive" | tar -xf - -C "$out_dir"
[ -d "$out_dir/data" ] || { echo "no data/ in $archive"; exit 1; }
echo "$stamp" >"$out_dir/stamp"
