/* Weights quantised and packed. A template: NAME(slot) is defined, and quant_panel.h included. */

size_t NAME(quant_pack_size)(pfm_dtype format, size_t n, size_t k)
{
    return (n + PANEL - 1) / PANEL * pfm_quant_blocks(k) * panel_block_bytes(format);
}

typedef struct quant_block {
    float d, m;
    uint8_t u[PFM_QUANT_BLOCK];
} quant_block;

static quant_block quantise_q8_0(const float *w, size_t count)
{
    quant_block block = {0};
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmaxf(most, fabsf(w[i]));
    block.d = most / 127;
    const float inverse = block.d > 0 ? 1 / block.d : 0;
    for (size_t i = 0; i < count; i++)
        block.u[i] = (uint8_t)(128 + (int)roundf(w[i] * inverse));
    return block;
}

static uint8_t nibble(float x) { return x >= 15 ? 15 : (uint8_t)x; }

static quant_block quantise_q4_0(const float *w, size_t count)
{
    quant_block block = {0};
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = fabsf(w[i]) > fabsf(most) ? w[i] : most;
    block.d = most / -8;
    const float inverse = block.d != 0 ? 1 / block.d : 0;
    for (size_t i = 0; i < count; i++)
        block.u[i] = nibble(w[i] * inverse + 8.5f);
    return block;
}

static quant_block quantise_q4_1(const float *w, size_t count)
{
    quant_block block = {.m = w[0]};
    float most = w[0];
    for (size_t i = 1; i < count; i++) {
        block.m = fminf(block.m, w[i]);
        most = fmaxf(most, w[i]);
    }
    block.d = (most - block.m) / 15;
    const float inverse = block.d > 0 ? 1 / block.d : 0;
    for (size_t i = 0; i < count; i++)
        block.u[i] = nibble((w[i] - block.m) * inverse + 0.5f);
    return block;
}

/* Puts a column's block into its panel. */
static void place_block(pfm_dtype format, const quant_block *block, size_t column, char *panel_block)
{
    const uint16_t d = pfm_f16_from_f32(block->d);
    const float offset = format == PFM_DTYPE_Q8_0 ? -128 : -8;
    const uint16_t m = format == PFM_DTYPE_Q4_1 ? pfm_f16_from_f32(block->m) : pfm_f16_from_f32(offset * pfm_f16_to_f32(d));
    uint8_t *numbers = (uint8_t *)panel_block + 2 * sizeof(uint16_t) * PANEL;
    memcpy(panel_block + column * sizeof d, &d, sizeof d);
    memcpy(panel_block + (PANEL + column) * sizeof m, &m, sizeof m);
    for (size_t i = 0; i < PFM_QUANT_BLOCK; i++) {
        const size_t unit = i / 4;
        if (format == PFM_DTYPE_Q8_0)
            numbers[(unit * PANEL + column) * 4 + i % 4] = block->u[i];
        else if (unit < PANEL_UNITS / 2)
            numbers[(unit * PANEL + column) * 4 + i % 4] = (uint8_t)(block->u[i] | block->u[i + PFM_QUANT_BLOCK / 2] << 4);
    }
}

void NAME(quant_pack)(pfm_dtype format, const float *weight, size_t n, size_t k, size_t column_begin, size_t column_end,
                      void *packed)
{
    const size_t blocks = pfm_quant_blocks(k), padded = (column_end + PANEL - 1) / PANEL * PANEL;
    for (size_t j = column_begin; j < padded; j++)
        for (size_t b = 0; b < blocks; b++) {
            const float *w = weight + j * k + b * PFM_QUANT_BLOCK;
            const size_t left = k - b * PFM_QUANT_BLOCK, count = left < PFM_QUANT_BLOCK ? left : PFM_QUANT_BLOCK;
            quant_block block = {0};
            if (j < n)
                block = format == PFM_DTYPE_Q8_0   ? quantise_q8_0(w, count)
                        : format == PFM_DTYPE_Q4_0 ? quantise_q4_0(w, count)
                                                   : quantise_q4_1(w, count);
            place_block(format, &block, j % PANEL, (char *)packed + (j / PANEL * blocks + b) * panel_block_bytes(format));
        }
}
