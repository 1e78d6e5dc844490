/* The slots of one type at any vector width. A template for an instance that has included a level's simd.h. */
#include "kernels/vector/attention_shape.h"
#include "kernels/vector/sums.h"

void NAME(bf16_from_f32)(const float *x, pfm_bf16 *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        vf_store_bf16(y + i, vf_load_part(x + i, n - i), n - i);
}

void NAME(bf16_to_f32)(const pfm_bf16 *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        vf_store_part(y + i, vf_load_bf16(x + i, n - i), n - i);
}

void NAME(axpy)(float a, const float *x, float *y, size_t n)
{
    const vf factor = vf_set(a);
    for (size_t i = 0; i < n; i += LANES)
        vf_store_part(y + i, vf_fma(factor, vf_load_part(x + i, n - i), vf_load_part(y + i, n - i)), n - i);
}

double NAME(sum_squares)(const float *x, size_t n)
{
    double sum = 0;
    for (size_t begin = 0; begin < n; begin += 16 * LANES) {
        vf squares = vf_zero();
        for (size_t i = begin; i < n && i < begin + 16 * LANES; i += LANES) {
            vf value = vf_load_part(x + i, n - i);
            squares = vf_fma(value, value, squares);
        }
        sum += vf_sum_double(squares);
    }
    return sum;
}

static size_t first_equal(const float *x, size_t n, float value)
{
    for (size_t i = 0; i < n; i += LANES) {
        unsigned equal = vf_equal(vf_load_part(x + i, n - i), vf_set(value));
        if (n - i < LANES)
            equal &= (1u << (n - i)) - 1;
        if (equal != 0)
            return i + (size_t)__builtin_ctz(equal);
    }
    return 0; /* all are NaN */
}

float NAME(logsumexp)(const float *x, size_t n, size_t *argmax)
{
    float most;
    double sum;
    sum_of_exponentials(x, n, &most, &sum);
    *argmax = first_equal(x, n, most);
    return isinf(most) ? most : (float)(most + log(sum));
}

void NAME(adamw)(float *weight, const float *gradient, float *m, float *v, size_t n, const pfm_adamw *settings)
{
    const pfm_adamw *s = settings;
    const vf beta1 = vf_set(s->beta1), rest1 = vf_set(1 - s->beta1), beta2 = vf_set(s->beta2), rest2 = vf_set(1 - s->beta2);
    const vf keep = vf_set((float)(1 - (double)s->learning_rate * s->weight_decay));
    const vf rate = vf_set((float)((double)s->learning_rate / s->correction1)), correction2 = vf_set(1 / s->correction2);
    const vf scale = vf_set(s->gradient_scale), epsilon = vf_set(s->epsilon);
    for (size_t i = 0; i < n; i += LANES) {
        vf g = scale * vf_load_part(gradient + i, n - i);
        vf mean = vf_fma(beta1, vf_load_part(m + i, n - i), rest1 * g);
        vf square = vf_fma(beta2, vf_load_part(v + i, n - i), rest2 * g * g);
        vf step = mean / (vf_sqrt(square * correction2) + epsilon);
        vf_store_part(weight + i, vf_fnma(rate, step, keep * vf_load_part(weight + i, n - i)), n - i);
        vf_store_part(m + i, mean, n - i);
        vf_store_part(v + i, square, n - i);
    }
}

size_t NAME(attention_scratch)(size_t head_dim, size_t most_keys) { return attention_floats(head_dim, most_keys); }
