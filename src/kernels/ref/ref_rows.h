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

void NAME(layernorm)(const float *x, const float *w, const float *b, float epsilon, void *y, float *statistics, size_t n)
{
    act *out = y;
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    double factor = n == 0 ? 0 : 1 / sqrt(squares / (double)n + epsilon);
    for (size_t i = 0; i < n; i++)
        store(out + i, factor * (x[i] - mean) * (w != NULL ? w[i] : 1) + (b != NULL ? b[i] : 0));
    statistics[0] = (float)mean;
    statistics[1] = (float)factor;
}

void NAME(layernorm_backward)(const float *x, const float *w, const float *statistics, const void *dy, float *dx, float *dw,
                              float *db, size_t n)
{
    const act *gradient = dy;
    double mean = statistics[0], r = statistics[1], sum = 0, dot = 0;
    for (size_t i = 0; i < n; i++) {
        double g = load(gradient + i) * (w != NULL ? w[i] : 1);
        sum += g / (double)n;
        dot += g * (x[i] - mean) * r / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double g = load(gradient + i), normal = (x[i] - mean) * r;
        dx[i] += (float)(r * (g * (w != NULL ? w[i] : 1) - sum - normal * dot));
        if (dw != NULL)
            dw[i] += (float)(g * normal);
        if (db != NULL)
            db[i] += (float)g;
    }
}

/* The factor f of x f(x) and its slope. */
static double activation_factor(pfm_activation kind, double x, double *slope)
{
    double inner = x, inner_slope = 1;
    switch (kind) {
    case PFM_ACTIVATION_GELU:
        *slope = exp(-x * x / 2) * 0.3989422804014327; /* 1 / sqrt(2 pi) */
        return erfc(-x * 0.7071067811865476) / 2;
    case PFM_ACTIVATION_RELU: *slope = 0; return x > 0;
    case PFM_ACTIVATION_GELU_TANH:
        inner = 1.5957691216057308 * (x + 0.044715 * x * x * x); /* sqrt(8 / pi) */
        inner_slope = 1.5957691216057308 * (1 + 3 * 0.044715 * x * x);
        break;
    case PFM_ACTIVATION_QUICK_GELU:
        inner = 1.702 * x;
        inner_slope = 1.702;
        break;
    case PFM_ACTIVATION_SILU:
    case PFM_ACTIVATION_COUNT: break;
    }
    double sigmoid = 1 / (1 + exp(-inner));
    *slope = sigmoid * (1 - sigmoid) * inner_slope;
    return sigmoid;
}

void NAME(activate)(pfm_activation kind, const void *x, void *y, size_t n)
{
    double slope;
    for (size_t i = 0; i < n; i++) {
        double value = load((const act *)x + i);
        store((act *)y + i, value * activation_factor(kind, value, &slope));
    }
}

void NAME(activate_backward)(pfm_activation kind, const void *x, const void *dy, void *dx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double slope, value = load((const act *)x + i), factor = activation_factor(kind, value, &slope);
        store((act *)dx + i, load((const act *)dy + i) * (factor + value * slope));
    }
}

void NAME(scaled_add)(const float *a, const float *w, const void *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(a[i] + (w != NULL ? w[i] : 1) * load((const act *)b + i));
}

void NAME(scaled_add_backward)(const float *dy, const float *w, const void *b, void *db, float *dw, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (dw != NULL)
            dw[i] += (float)(dy[i] * load((const act *)b + i));
        store((act *)db + i, (double)dy[i] * (w != NULL ? w[i] : 1));
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

void NAME(multiply)(const void *a, const void *b, void *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store((act *)y + i, load((const act *)a + i) * load((const act *)b + i));
}

void NAME(scale_columns)(const void *x, const float *scale, const void *other, const float *other_scale, const float *shift,
                         const void *addend, void *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double sum = scale[i] * load((const act *)x + i);
        sum += other != NULL ? other_scale[i] * load((const act *)other + i) : 0;
        sum += shift != NULL ? (double)shift[i] : 0;
        store((act *)y + i, sum + (addend != NULL ? load((const act *)addend + i) : 0));
    }
}

void NAME(add_products)(const void *a, const void *b, float *sums, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sums[i] += (float)(load((const act *)a + i) * (b != NULL ? load((const act *)b + i) : 1));
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
