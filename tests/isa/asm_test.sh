#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# asm_test.sh ASM_LINES SOURCE_DIR GEN_DIR: stock LLVM assembles every template to the encoder's
# word, and the generated intrinsics compile for the card, optimised and not.
set -eu
. "$2/tests/common/skip.sh"
clang=$(command -v clang-19) || skip no clang-19
objcopy=$(command -v llvm-objcopy-19) || skip no llvm-objcopy-19
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for form in text words; do
    "$1" $form >"$work/$form.s"
    "$clang" --target=riscv64 -march=rv64gc -c "$work/$form.s" -o "$work/$form.o"
    "$objcopy" -O binary --only-section=.text "$work/$form.o" "$work/$form.bin"
done
[ -s "$work/text.bin" ]
cmp "$work/text.bin" "$work/words.bin"

cat >"$work/device.c" <<'END'
#include "isa/device.h"
uint64_t all(const xa_vec_desc_t *desc, uint64_t d, uint64_t a, uint32_t n);
uint64_t all(const xa_vec_desc_t *desc, uint64_t d, uint64_t a, uint32_t n) {
    xa_cfg_load(XA_VEC, desc);
    xa_cfg_set(XA_VEC, XA_F_vec_count + 3, n);
    uint64_t ticket = xa_v_unary(d, a, 0);
    xa_after(XA_DMAO, XA_VEC, ticket);
    xa_wait(XA_DMAO, xa_dma_out(a, d, 0));
    return xa_barrier_dmai() + xa_mat_mul(d, a, a);
}
END
for level in 0 2; do
    "$clang" --target=riscv64 -march=rv64gc -mabi=lp64d -O$level -std=c17 -ffreestanding -Wall -Wextra \
        -Werror -I"$2" -I"$3" -c "$work/device.c" -o "$work/device$level.o"
done
