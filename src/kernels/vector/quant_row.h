/* Rows of activations in blocks of int8. A template for an instance that has included act.h. */

/* Below this a block counts as zero: 127 divided by less would be infinite. */
#define QUANT_SMALLEST 1e-36f

void NAME(quant_row)(const void *x, size_t k, void *row)
{
    enum { VECTORS = PFM_QUANT_BLOCK / LANES };
    const size_t blocks = pfm_quant_blocks(k);
    int8_t *bytes = row;
    char *scales = (char *)row + blocks * PFM_QUANT_BLOCK;
    for (size_t b = 0; b < blocks; b++, bytes += PFM_QUANT_BLOCK, scales += 2 * sizeof(float)) {
        vf values[VECTORS], most = vf_zero(), total = vf_zero();
        UNROLL for (size_t v = 0; v < VECTORS; v++)
        {
            const size_t at = b * PFM_QUANT_BLOCK + v * LANES;
            values[v] = at < k ? act_load((const act *)x + at, k - at) : vf_zero();
            most = vf_max(most, vf_absolute(values[v]));
        }
        const float largest = vf_most(most), inverse = largest < QUANT_SMALLEST ? 0 : 127 / largest;
        UNROLL for (size_t v = 0; v < VECTORS; v++)
        {
            vf rounded = vf_round(values[v] * vf_set(inverse));
            total += rounded; /* an infinity times 0 or a NaN makes it NaN, and with it the block */
            vi_store_bytes(bytes + v * LANES, vi_from_float(rounded));
        }
        const float scale = inverse == 0 ? 0 : largest / 127, pair[2] = {scale, scale * vf_sum(total)};
        memcpy(scales, pair, sizeof pair);
    }
}
