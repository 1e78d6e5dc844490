/* Quantised weights, from blocks as they stand in files to panels. A template: NAME(slot) is defined, and quant_panel.h
 * included. */

size_t NAME(quant_pack_size)(pfm_dtype format, size_t n, size_t k) { return (n + PANEL - 1) / PANEL * panel_bytes(format, k); }

/* Numbers without a sign of group g: value 2 j and 2 j + 1 (nf4), or j and j + 16 of 16 bytes, or half of each of 32 (q4_k). */
static void read_group(pfm_dtype format, const uint8_t *block, size_t g, uint8_t u[PFM_QUANT_BLOCK])
{
    for (size_t i = 0; i < PFM_QUANT_BLOCK; i++) {
        const size_t half = PFM_QUANT_BLOCK / 2;
        switch (format) {
        case PFM_DTYPE_Q8_0: u[i] = block[2 + i] ^ 128; break;
        case PFM_DTYPE_NF4: u[i] = i % 2 == 0 ? block[4 + g * half + i / 2] >> 4 : block[4 + g * half + i / 2] & 15; break;
        case PFM_DTYPE_Q4_K:
            u[i] = g % 2 == 0 ? block[16 + g / 2 * PFM_QUANT_BLOCK + i] & 15 : block[16 + g / 2 * PFM_QUANT_BLOCK + i] >> 4;
            break;
        default: {
            const uint8_t byte = block[(format == PFM_DTYPE_Q4_0 ? 2 : 4) + i % half];
            u[i] = i < half ? byte & 15 : byte >> 4;
        }
        }
    }
}

static void place_numbers(pfm_dtype format, const uint8_t u[PFM_QUANT_BLOCK], size_t column, char *numbers)
{
    for (size_t i = 0; i < PFM_QUANT_BLOCK; i++) {
        if (format == PFM_DTYPE_Q8_0)
            *panel_number(format, numbers, column, i) = u[i];
        else if (i < PFM_QUANT_BLOCK / 2)
            *panel_number(format, numbers, column, i) = (uint8_t)(u[i] | u[i + PFM_QUANT_BLOCK / 2] << 4);
    }
}

/* What stands before the groups. */
static void place_head(pfm_dtype format, const uint8_t *block, size_t column, char *panel_block)
{
    uint16_t d, m;
    if (format == PFM_DTYPE_NF4) {
        memcpy(panel_block + column * sizeof(float), block, sizeof(float));
        return;
    }
    memcpy(&d, block, sizeof d);
    if (format == PFM_DTYPE_Q8_0 || format == PFM_DTYPE_Q4_0)
        m = pfm_f16_from_f32((format == PFM_DTYPE_Q8_0 ? -128.0f : -8.0f) * pfm_f16_to_f32(d));
    else
        memcpy(&m, block + sizeof d, sizeof m);
    memcpy(panel_block + column * sizeof d, &d, sizeof d);
    memcpy(panel_block + (PANEL + column) * sizeof m, &m, sizeof m);
}

static void place_block(pfm_dtype format, const uint8_t *block, size_t column, char *panel_block)
{
    uint8_t u[PFM_QUANT_BLOCK];
    place_head(format, block, column, panel_block);
    for (size_t g = 0; g < panel_groups(format); g++) {
        char *group = panel_block + PANEL_HEAD + g * panel_group_bytes(format);
        if (format == PFM_DTYPE_Q4_K)
            pfm_q4_k_scale(block + 4, (int)g, (uint8_t *)group + column, (uint8_t *)group + PANEL + column);
        read_group(format, block, g, u);
        place_numbers(format, u, column, group + panel_group_head(format));
    }
}

void NAME(quant_pack)(const pfm_quant_source *x, size_t column_begin, size_t column_end, size_t block_begin, size_t block_end,
                      void *packed)
{
    static const uint8_t nothing[256]; /* longer than a block */
    const size_t padded = (column_end + PANEL - 1) / PANEL * PANEL, bytes = pfm_dtype_get_info(x->format)->block_bytes;
    for (size_t j = column_begin; j < padded; j++)
        for (size_t b = block_begin; b < block_end; b++) {
            const uint8_t *block = (const uint8_t *)x->blocks + (j - column_begin) * x->stride + (b - block_begin) * bytes;
            place_block(x->format, j < column_end ? block : nothing, j % PANEL,
                        (char *)packed + j / PANEL * panel_bytes(x->format, x->k) + b * panel_block_bytes(x->format));
        }
}
