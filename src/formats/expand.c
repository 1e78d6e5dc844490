/* Tensors to f32. */
#include "formats/weights.h"

#include "base/expand_blocks.h"
#include "base/quantise.h"
#include "formats/bitsandbytes.h"

static void expand(const pfm_weight *weight, size_t first, size_t values, float *out)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(weight->dtype);
    for (size_t at = 0; weight->parts != NULL && at < values; at += PFM_NF4_VALUES) {
        uint8_t block[PFM_NF4_BYTES];
        pfm_weight_join_block(weight->parts, (first + at) / PFM_NF4_VALUES, block);
        pfm_expand_blocks(PFM_DTYPE_NF4, block, 1, out + at);
    }
    if (weight->parts != NULL)
        return;
    const unsigned char *in = (const unsigned char *)weight->data + first / info->block_values * info->block_bytes;
    pfm_expand_blocks(weight->dtype, in, values / info->block_values, out);
}

pfm_status pfm_weight_expand(const pfm_weight *weight, float *out, pfm_error *err)
{
    (void)err; /* every type in the enum has its function */
    expand(weight, 0, pfm_weight_values(weight), out);
    return PFM_OK;
}

pfm_status pfm_weight_expand_rows(const pfm_weight *weight, int64_t row0, int64_t rows, float *out, pfm_error *err)
{
    if (weight->rank == 0 || (weight->rank == 1 && pfm_dtype_get_info(weight->dtype)->block_values > 1))
        return pfm_error_set(err, PFM_ERROR_USAGE, "tensor %s has no rows", weight->name);
    if (row0 < 0 || rows < 0 || row0 > weight->shape[0] || rows > weight->shape[0] - row0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "tensor %s has %lld rows; %lld from row %lld on were asked for",
                             weight->name, (long long)weight->shape[0], (long long)rows, (long long)row0);
    size_t row = weight->shape[0] == 0 ? 0 : pfm_weight_values(weight) / (size_t)weight->shape[0];
    expand(weight, (size_t)row0 * row, (size_t)rows * row, out);
    return PFM_OK;
}

void pfm_weight_transpose(const float *from, int64_t rows, int64_t columns, float *to)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            to[c * rows + r] = from[r * columns + c];
}

size_t pfm_weight_row_blocks(const pfm_weight *weight)
{
    const pfm_dtype_info *info = pfm_dtype_get_info(weight->dtype);
    return (size_t)weight->shape[weight->rank - 1] / info->block_values * info->block_bytes;
}

void pfm_weight_copy_blocks(const pfm_weight *weight, int64_t row0, int64_t rows, void *out)
{
    const size_t bytes = pfm_weight_row_blocks(weight), blocks = bytes / pfm_dtype_get_info(weight->dtype)->block_bytes;
    for (size_t b = 0; weight->parts != NULL && b < (size_t)rows * blocks; b++)
        pfm_weight_join_block(weight->parts, (size_t)row0 * blocks + b, (uint8_t *)out + b * PFM_NF4_BYTES);
    if (weight->parts == NULL)
        memcpy(out, (const char *)weight->data + (size_t)row0 * bytes, (size_t)rows * bytes);
}
