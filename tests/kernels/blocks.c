#include "blocks.h"

#include "base/quantise.h"
#include "guarded.h"

void *blocks_of(pfm_dtype format, const float *w, size_t n, size_t k)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(format);
    const size_t blocks = pfm_quantised_blocks(format, k), whole = info->block_values;
    char *out = guarded(n * blocks * info->block_bytes);
    for (size_t j = 0; j < n; j++)
        for (size_t b = 0; b < blocks; b++)
            pfm_quantise_block(format, w + j * k + b * whole, k - b * whole < whole ? k - b * whole : whole,
                               out + (j * blocks + b) * info->block_bytes);
    return out;
}

void *blocks_pack(const pfm_kernels *table, pfm_dtype format, const void *blocks, size_t n, size_t k, size_t columns)
{
    void *packed = guarded(table->quant_pack_size(format, n, k));
    const size_t count = pfm_quantised_blocks(format, k), bytes = pfm_dtype_get_info(format)->block_bytes;
    for (size_t j = 0; j < n; j += columns)
        for (size_t b = 0; b < count; b += 2) {
            const pfm_quant_source source = {format, (const char *)blocks + (j * count + b) * bytes, count * bytes, k};
            table->quant_pack(&source, j, j + columns < n ? j + columns : n, b, b + 2 < count ? b + 2 : count, packed);
        }
    return packed;
}
