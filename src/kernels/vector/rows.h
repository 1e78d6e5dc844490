/* What works on one row, forward and backward side by side, at any vector width: the equations stand in kernels.h and ref/.
 * A template for an instance that has included act.h. */
#include "kernels/vector/sums.h"
#include "kernels/vector/philox.h"

void NAME(rmsnorm)(const float *x, const float *w, float epsilon, void *y, float *rstd, size_t n)
{
    vf squares = vf_zero();
    for (size_t i = 0; i < n; i += LANES) {
        vf value = vf_load_part(x + i, n - i);
        squares = vf_fma(value, value, squares);
    }
    *rstd = n == 0 ? 0 : 1 / sqrtf(vf_sum(squares) / (float)n + epsilon);
    vf factor = vf_set(*rstd);
    for (size_t i = 0; i < n; i += LANES)
        act_store((act *)y + i, vf_load_part(x + i, n - i) * factor * vf_load_part(w + i, n - i), n - i);
}

void NAME(rmsnorm_backward)(const float *x, const float *w, float rstd, const void *dy, float *dx, float *dw, size_t n)
{
    const act *gradient = dy;
    vf dots = vf_zero(), r = vf_set(rstd);
    for (size_t i = 0; i < n; i += LANES)
        dots = vf_fma(act_load(gradient + i, n - i) * vf_load_part(w + i, n - i), vf_load_part(x + i, n - i), dots);
    vf pull = vf_set(n == 0 ? 0 : vf_sum(dots) * rstd * rstd * rstd / (float)n);
    for (size_t i = 0; i < n; i += LANES) {
        vf scaled = act_load(gradient + i, n - i) * r, value = vf_load_part(x + i, n - i);
        vf sum = vf_fma(scaled, vf_load_part(w + i, n - i), vf_load_part(dx + i, n - i));
        vf_store_part(dx + i, vf_fnma(value, pull, sum), n - i);
        if (dw != NULL)
            vf_store_part(dw + i, vf_fma(scaled, value, vf_load_part(dw + i, n - i)), n - i);
    }
}

void NAME(rope)(const void *x, const float *cosine, const float *sine, float sign, void *y, size_t heads, size_t head_dim)
{
    const act *in = x;
    act *out = y;
    const size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, in += head_dim, out += head_dim)
        for (size_t i = 0; i < half; i += LANES) {
            vf a = act_load(in + i, half - i), b = act_load(in + half + i, half - i);
            vf c = vf_load_part(cosine + i, half - i), s = vf_set(sign) * vf_load_part(sine + i, half - i);
            act_store(out + i, vf_fnma(b, s, a * c), half - i);
            act_store(out + half + i, vf_fma(a, s, b * c), half - i);
        }
}

static ALWAYS_INLINE vf sigmoid(vf x) { return vf_set(1) / (vf_set(1) + vf_exp(vf_zero() - x)); }

void NAME(silu_mul)(const void *gate, const void *up, void *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf x = act_load((const act *)gate + i, n - i);
        act_store((act *)y + i, x * sigmoid(x) * act_load((const act *)up + i, n - i), n - i);
    }
}

void NAME(silu_mul_backward)(const void *gate, const void *up, const void *dy, void *dgate, void *dup, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf x = act_load((const act *)gate + i, n - i), s = sigmoid(x), gradient = act_load((const act *)dy + i, n - i);
        vf slope = s * vf_fma(x, vf_set(1) - s, vf_set(1));
        act_store((act *)dgate + i, gradient * act_load((const act *)up + i, n - i) * slope, n - i);
        act_store((act *)dup + i, gradient * x * s, n - i);
    }
}

void NAME(dropout)(const void *x, void *y, size_t n, const pfm_dropout *dropout, bool add)
{
    const vi threshold = vi_set(dropout->threshold);
    const vf scale = vf_set(dropout->scale);
    for (size_t begin = 0; begin < n; begin += PHILOX_BITS) {
        uint16_t bits[PHILOX_BITS];
        philox(dropout, (uint32_t)(begin / 8), bits);
        size_t end = n - begin < PHILOX_BITS ? n : begin + PHILOX_BITS;
        for (size_t i = begin; i < end; i += LANES) {
            vf kept = vf_keep(vi_load_u16(bits + (i - begin), LANES), threshold, act_load((const act *)x + i, n - i) * scale);
            if (add)
                kept += act_load((const act *)y + i, n - i);
            act_store((act *)y + i, kept, n - i);
        }
    }
}

float NAME(cross_entropy)(const float *logits, size_t n, size_t target, float scale, void *dlogits)
{
    float most;
    double sum;
    sum_of_exponentials(logits, n, &most, &sum);
    const vf shift = vf_set(most), factor = vf_set((float)(scale / sum));
    for (size_t i = 0; dlogits != NULL && i < n; i += LANES)
        act_store((act *)dlogits + i, vf_exp(vf_load_part(logits + i, n - i) - shift) * factor, n - i);
    if (dlogits != NULL) {
        float value = (float)(scale * (exp((double)logits[target] - most) / sum - 1));
        act_store((act *)dlogits + target, vf_set(value), 1);
    }
    return (float)((double)most - logits[target] + log(sum));
}
