#include "base/quantise.h"

#include <assert.h>

/* The largest block: 256 values. */
enum { MOST_VALUES = 256, GROUP = 32, GROUPS = MOST_VALUES / GROUP };

const float pfm_nf4_levels[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

static void write_f16(uint8_t *out, float value)
{
    const uint16_t bits = pfm_f16_from_f32(value);
    memcpy(out, &bits, sizeof bits);
}

static float through_f16(float value) { return pfm_f16_to_f32(pfm_f16_from_f32(value)); }

/* What is no number counts as the lowest. */
static uint8_t to_number(float x, uint8_t most) { return x >= (float)most ? most : x > 0 ? (uint8_t)x : 0; }

/* Value j is the lower half of byte j, value j + count / 2 its upper. */
static void write_halves(uint8_t *out, const uint8_t *numbers, int count)
{
    for (int j = 0; j < count / 2; j++)
        out[j] = (uint8_t)(numbers[j] | numbers[j + count / 2] << 4);
}

static void quantise_q8_0(const float *w, uint8_t *out)
{
    float most = 0;
    for (int i = 0; i < GROUP; i++)
        most = fmaxf(most, fabsf(w[i]));
    const float d = most / 127, inverse = d > 0 ? 1 / d : 0;
    write_f16(out, d);
    for (int i = 0; i < GROUP; i++)
        out[2 + i] = (uint8_t)(to_number(roundf(w[i] * inverse) + 128, 255) - 128);
}

static void quantise_q4_0(const float *w, uint8_t *out)
{
    float most = 0;
    uint8_t numbers[GROUP];
    for (int i = 0; i < GROUP; i++)
        most = fabsf(w[i]) > fabsf(most) ? w[i] : most;
    const float d = most / -8, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < GROUP; i++)
        numbers[i] = to_number(w[i] * inverse + 8.5f, 15);
    write_f16(out, d);
    write_halves(out + 2, numbers, GROUP);
}

static void find_range(const float *w, int count, float *low, float *high)
{
    *low = *high = w[0];
    for (int i = 1; i < count; i++) {
        *low = fminf(*low, w[i]);
        *high = fmaxf(*high, w[i]);
    }
}

static void quantise_q4_1(const float *w, uint8_t *out)
{
    float low, high;
    uint8_t numbers[GROUP];
    find_range(w, GROUP, &low, &high);
    const float d = (high - low) / 15, inverse = d > 0 ? 1 / d : 0;
    for (int i = 0; i < GROUP; i++)
        numbers[i] = to_number((w[i] - low) * inverse + 0.5f, 15);
    write_f16(out, d);
    write_f16(out + 2, low);
    write_halves(out + 4, numbers, GROUP);
}

static void quantise_nf4(const float *w, uint8_t *out)
{
    float most = 0;
    uint8_t numbers[PFM_NF4_VALUES];
    for (int i = 0; i < PFM_NF4_VALUES; i++)
        most = fmaxf(most, fabsf(w[i]));
    const float inverse = 1.0f / fmaxf(most, 1e-38f);
    for (int i = 0; i < PFM_NF4_VALUES; i++) {
        const float x = w[i] * inverse;
        uint8_t level = 0;
        for (int l = 0; l < 15; l++)
            level += (pfm_nf4_levels[l] + pfm_nf4_levels[l + 1]) / 2 < x;
        numbers[i] = level;
    }
    memcpy(out, &most, sizeof most);
    for (int j = 0; j < PFM_NF4_VALUES / 2; j++)
        out[4 + j] = (uint8_t)(numbers[2 * j] << 4 | numbers[2 * j + 1]);
}

/* The scale and minimum (at least 0, subtracted) with which `numbers` of 0..15 come nearest to a group, larger values counting
 * more: numbers are rounded at several widths of the range, and scale and minimum then fitted to them by least squares. */
static void fit_group(const float *w, float *scale, float *minimum)
{
    enum { WIDTHS = 21 };
    float low, high, weights[GROUP], best = INFINITY, squares = 0;
    find_range(w, GROUP, &low, &high);
    low = low > 0 ? 0 : low;
    *scale = high > low ? (high - low) / 15 : 0;
    *minimum = -low;
    if (!(high > low) || !isfinite(high - low))
        return;
    for (int i = 0; i < GROUP; i++)
        squares += w[i] * w[i];
    for (int i = 0; i < GROUP; i++)
        weights[i] = sqrtf(squares / GROUP) + fabsf(w[i]);
    for (int width = 0; width < WIDTHS; width++) {
        const float inverse = (14.0f + 0.1f * (float)width) / (high - low);
        float n = 0, u = 0, uu = 0, x = 0, ux = 0, error = 0;
        for (int i = 0; i < GROUP; i++) {
            const float number = to_number((w[i] - low) * inverse + 0.5f, 15), v = weights[i];
            n += v;
            u += v * number;
            uu += v * number * number;
            x += v * w[i];
            ux += v * number * w[i];
        }
        const float determinant = n * uu - u * u;
        float d = determinant > 0 ? (n * ux - u * x) / determinant : 0,
              m = determinant > 0 ? (u * ux - uu * x) / determinant : 0;
        if (m < 0) { /* the minimum cannot lie above zero */
            m = 0;
            d = uu > 0 ? ux / uu : 0;
        }
        for (int i = 0; i < GROUP && d > 0; i++) {
            const float difference = d * (float)to_number((w[i] + m) / d + 0.5f, 15) - m - w[i];
            error += weights[i] * difference * difference;
        }
        if (d > 0 && error < best) {
            best = error;
            *scale = d;
            *minimum = m;
        }
    }
}

/* The other way round than pfm_q4_k_scale. */
static void write_scale(uint8_t *packed, int g, uint8_t scale, uint8_t minimum)
{
    if (g < 4) {
        packed[g] = (uint8_t)(packed[g] | scale);
        packed[g + 4] = (uint8_t)(packed[g + 4] | minimum);
    } else {
        packed[g + 4] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
        packed[g - 4] = (uint8_t)(packed[g - 4] | (scale >> 4) << 6);
        packed[g] = (uint8_t)(packed[g] | (minimum >> 4) << 6);
    }
}

static void quantise_q4_k(const float *w, uint8_t *out)
{
    float scales[GROUPS], minimums[GROUPS], most_scale = 0, most_minimum = 0;
    uint8_t numbers[MOST_VALUES];
    for (int g = 0; g < GROUPS; g++) {
        fit_group(w + g * GROUP, &scales[g], &minimums[g]);
        most_scale = fmaxf(most_scale, scales[g]);
        most_minimum = fmaxf(most_minimum, minimums[g]);
    }
    memset(out, 0, 16);
    write_f16(out, most_scale / 63);
    write_f16(out + 2, most_minimum / 63);
    const float d = through_f16(most_scale / 63), m = through_f16(most_minimum / 63);
    for (int g = 0; g < GROUPS; g++) {
        const uint8_t scale = d > 0 ? to_number(scales[g] / d + 0.5f, 63) : 0,
                      minimum = m > 0 ? to_number(minimums[g] / m + 0.5f, 63) : 0;
        const float inverse = d * (float)scale > 0 ? 1 / (d * (float)scale) : 0;
        write_scale(out + 4, g, scale, minimum);
        for (int i = 0; i < GROUP; i++)
            numbers[g * GROUP + i] = to_number((w[g * GROUP + i] + m * (float)minimum) * inverse + 0.5f, 15);
    }
    for (int pair = 0; pair < GROUPS / 2; pair++) /* group 2p in the lower halves, 2p + 1 in the upper */
        write_halves(out + 16 + pair * GROUP, numbers + pair * 2 * GROUP, 2 * GROUP);
}

typedef void (*quantise_function)(const float *w, uint8_t *out);

static const quantise_function functions[PFM_DTYPE_COUNT] = {
    [PFM_DTYPE_Q8_0] = quantise_q8_0, [PFM_DTYPE_Q4_0] = quantise_q4_0, [PFM_DTYPE_Q4_1] = quantise_q4_1,
    [PFM_DTYPE_Q4_K] = quantise_q4_k, [PFM_DTYPE_NF4] = quantise_nf4,
};

bool pfm_dtype_quantises(pfm_dtype dtype) { return functions[dtype] != NULL; }

pfm_dtype pfm_quantised_type(pfm_dtype dtype, size_t k)
{
    return dtype == PFM_DTYPE_Q4_K && k % MOST_VALUES != 0 ? PFM_DTYPE_Q4_1 : dtype;
}

void pfm_quantise_block(pfm_dtype dtype, const float *values, size_t count, void *block)
{
    const size_t whole = pfm_dtype_get_info(dtype)->block_values;
    float filled[MOST_VALUES];
    assert(functions[dtype] != NULL && count > 0 && count <= whole);
    if (count < whole) {
        for (size_t i = 0; i < whole; i++)
            filled[i] = values[i < count ? i : count - 1];
        values = filled;
    }
    functions[dtype](values, block);
}
