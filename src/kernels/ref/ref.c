/* The references of one type, and the table that is complete from the start. */
#include "kernels/levels.h"

void pfm_ref_bf16_from_f32(const float *x, pfm_bf16 *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = pfm_bf16_from_f32(x[i]);
}

void pfm_ref_bf16_to_f32(const pfm_bf16 *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = pfm_bf16_to_f32(x[i]);
}

void pfm_ref_axpy(float a, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)a * x[i] + y[i]);
}

double pfm_ref_sum_squares(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

float pfm_ref_logsumexp(const float *x, size_t n, size_t *argmax)
{
    size_t best = 0;
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    *argmax = best;
    if (isinf(x[best]))
        return x[best];
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - x[best]);
    return (float)(x[best] + log(sum));
}

void pfm_ref_adamw(float *weight, const float *gradient, float *m, float *v, size_t n, const pfm_adamw *settings)
{
    const pfm_adamw *s = settings;
    for (size_t i = 0; i < n; i++) {
        double g = (double)s->gradient_scale * gradient[i];
        double mean = (double)s->beta1 * m[i] + (1 - (double)s->beta1) * g;
        double square = (double)s->beta2 * v[i] + (1 - (double)s->beta2) * g * g;
        double step = mean / s->correction1 / (sqrt(square / s->correction2) + s->epsilon);
        weight[i] = (float)(weight[i] - (double)s->learning_rate * ((double)s->weight_decay * weight[i] + step));
        m[i] = (float)mean;
        v[i] = (float)square;
    }
}

/* A double per key and per element of the head. */
size_t pfm_ref_attention_scratch(size_t head_dim, size_t most_keys) { return 2 * (head_dim + most_keys); }

void pfm_ref_fill(pfm_kernels *out)
{
    *out = (pfm_kernels){
#define FILL(name, type, arguments, bound) .name = pfm_ref_##name,
#define FILL_ACT(name, type, arguments, bound)                                                                                 \
    .name = {[PFM_ACT_F32] = pfm_ref_##name##_f32, [PFM_ACT_BF16] = pfm_ref_##name##_bf16},
        PFM_KERNEL_LIST(FILL, FILL_ACT).gemm_rows = 64,
        .gemm_columns = 64,
        .gemm_scratch = 64,
        .level = "ref",
    };
}
