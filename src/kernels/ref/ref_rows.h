/* References that work on one row, forward and backward side by side. A template: see ref_template.h. */
#include "base/random.h"

void NAME(rmsnorm)(const float *x, const float *w, float epsilon, void *y, float *rstd, size_t n)
{
    act *out = y;
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * x[i];
    double factor = n == 0 ? 0 : 1 / sqrt(squares / (double)n + epsilon);
    for (size_t i = 0; i < n; i++)
        store(out + i, factor * w[i] * x[i]);
    *rstd = (float)factor;
}

void NAME(rmsnorm_backward)(const float *x, const float *w, float rstd, const void *dy, float *dx, float *dw, size_t n)
{
    const act *gradient = dy;
    double dot = 0, r = rstd;
    for (size_t i = 0; i < n; i++)
        dot += load(gradient + i) * w[i] * x[i];
    double pull = n == 0 ? 0 : dot * r * r * r / (double)n;
    for (size_t i = 0; i < n; i++) {
        dx[i] += (float)(load(gradient + i) * w[i] * r - x[i] * pull);
        if (dw != NULL)
            dw[i] += (float)(load(gradient + i) * x[i] * r);
    }
}

void NAME(rope)(const void *x, const float *cosine, const float *sine, float sign, void *y, size_t heads, size_t head_dim)
{
    const act *in = x;
    act *out = y;
    size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, in += head_dim, out += head_dim)
        for (size_t i = 0; i < half; i++) {
            double a = load(in + i), b = load(in + half + i), c = cosine[i], s = sign * sine[i];
            store(out + i, a * c - b * s);
            store(out + half + i, b * c + a * s);
        }
}

void NAME(silu_mul)(const void *gate, const void *up, void *y, size_t n)
{
    const act *g = gate, *u = up;
    act *out = y;
    for (size_t i = 0; i < n; i++)
        store(out + i, load(g + i) / (1 + exp(-load(g + i))) * load(u + i));
}

void NAME(silu_mul_backward)(const void *gate, const void *up, const void *dy, void *dgate, void *dup, size_t n)
{
    const act *g = gate, *u = up, *d = dy;
    act *dg = dgate, *du = dup;
    for (size_t i = 0; i < n; i++) {
        double x = load(g + i), sigmoid = 1 / (1 + exp(-x)), gradient = load(d + i), other = load(u + i);
        store(dg + i, gradient * other * sigmoid * (1 + x * (1 - sigmoid)));
        store(du + i, gradient * x * sigmoid);
    }
}

void NAME(dropout)(const void *x, void *y, size_t n, const pfm_dropout *dropout, bool add)
{
    const act *in = x;
    act *out = y;
    uint32_t words[4] = {0};
    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0) {
            uint32_t counter[4] = {(uint32_t)(i / 8), dropout->place, (uint32_t)dropout->token,
                                   (uint32_t)(dropout->token >> 32)};
            pfm_philox(dropout->key, counter, words);
        }
        uint32_t bits = words[i % 8 / 2] >> 16 * (i % 2) & 0xffffu;
        double kept = bits < dropout->threshold ? 0 : load(in + i) * dropout->scale;
        store(out + i, add ? load(out + i) + kept : kept);
    }
}

float NAME(cross_entropy)(const float *logits, size_t n, size_t target, float scale, void *dlogits)
{
    act *out = dlogits;
    double most = logits[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = fmax(most, logits[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(logits[i] - most);
    for (size_t i = 0; out != NULL && i < n; i++)
        store(out + i, scale * (exp(logits[i] - most) / sum - (i == target)));
    return (float)(most + log(sum) - logits[target]);
}

void NAME(transpose)(const void *x, size_t x_stride, size_t rows, size_t columns, void *y, size_t y_stride)
{
    const act *in = x;
    act *out = y;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            out[c * y_stride + r] = in[r * x_stride + c];
}

/* In f32 as every level does it, so that the bits are the same. */
void NAME(quant_row)(const void *x, size_t k, void *row)
{
    const size_t blocks = pfm_quant_blocks(k);
    int8_t *bytes = row;
    for (size_t b = 0; b < blocks; b++) {
        float values[PFM_QUANT_BLOCK] = {0}, most = 0, total = 0;
        for (size_t i = 0; i < PFM_QUANT_BLOCK && b * PFM_QUANT_BLOCK + i < k; i++) {
            values[i] = (float)load((const act *)x + b * PFM_QUANT_BLOCK + i);
            most = fabsf(values[i]) > most ? fabsf(values[i]) : most;
        }
        const float inverse = most < 1e-36f ? 0 : 127 / most;
        for (size_t i = 0; i < PFM_QUANT_BLOCK; i++) {
            const float rounded = rintf(values[i] * inverse);
            total += rounded;
            bytes[b * PFM_QUANT_BLOCK + i] = isnan(rounded) ? 0 : (int8_t)rounded;
        }
        const float scale = inverse == 0 ? 0 : most / 127, pair[2] = {scale, scale * total};
        memcpy(bytes + blocks * PFM_QUANT_BLOCK + b * sizeof pair, pair, sizeof pair);
    }
}
