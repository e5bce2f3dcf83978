// SPDX-License-Identifier: Apache-2.0
#include "tools/common/tensor.h"

#include "support/checked.h"

status_t tool_tensor_count(const int64_t *dims, size_t rank, uint64_t *out_n_elems) {
    uint64_t count = 1;
    bool zero = false, overflow = false;
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return STATUS_INVALID;
        zero = zero || dims[i] == 0;
        overflow = overflow || !checked_mul_u64(count, (uint64_t)dims[i], &count);
    }
    if (overflow && !zero)
        return STATUS_LIMIT;
    *out_n_elems = zero ? 0 : count;
    return STATUS_OK;
}

status_t tool_tensor_bytes(dtype_t dtype, uint64_t n_elems, uint64_t *out_bytes) {
    uint64_t bits;
    if (!checked_mul_u64(n_elems, dtype_bits(dtype), &bits) || !checked_add_u64(bits, 7, &bits))
        return STATUS_LIMIT;
    *out_bytes = bits / 8;
    return *out_bytes > SIZE_MAX / 2 ? STATUS_LIMIT : STATUS_OK;
}
