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

/* Without w every weight is 1. */
static ALWAYS_INLINE vf weight_part(const float *w, size_t i, size_t n)
{
    return w != NULL ? vf_load_part(w + i, n - i) : vf_set(1);
}

void NAME(layernorm)(const float *x, const float *w, const float *b, float epsilon, void *y, float *statistics, size_t n)
{
    vf sum = vf_zero(), squares = vf_zero();
    for (size_t i = 0; i < n; i += LANES)
        sum += vf_load_part(x + i, n - i);
    statistics[0] = n == 0 ? 0 : vf_sum(sum) / (float)n;
    const vf mean = vf_set(statistics[0]);
    for (size_t i = 0; i < n; i += LANES) {
        vf apart = vf_first(vf_load_part(x + i, n - i) - mean, n - i, vf_zero());
        squares = vf_fma(apart, apart, squares);
    }
    statistics[1] = n == 0 ? 0 : 1 / sqrtf(vf_sum(squares) / (float)n + epsilon);
    const vf factor = vf_set(statistics[1]);
    for (size_t i = 0; i < n; i += LANES) {
        vf normal = (vf_load_part(x + i, n - i) - mean) * factor;
        vf shift = b != NULL ? vf_load_part(b + i, n - i) : vf_zero();
        act_store((act *)y + i, vf_fma(normal, weight_part(w, i, n), shift), n - i);
    }
}

void NAME(layernorm_backward)(const float *x, const float *w, const float *statistics, const void *dy, float *dx, float *dw,
                              float *db, size_t n)
{
    const act *gradient = dy;
    const vf mean = vf_set(statistics[0]), r = vf_set(statistics[1]), share = vf_set(n == 0 ? 0 : 1 / (float)n);
    vf sums = vf_zero(), dots = vf_zero();
    for (size_t i = 0; i < n; i += LANES) {
        vf g = act_load(gradient + i, n - i) * weight_part(w, i, n);
        sums += g;
        dots = vf_fma(g, (vf_load_part(x + i, n - i) - mean) * r, dots);
    }
    const vf sum = vf_set(vf_sum(sums)) * share, dot = vf_set(vf_sum(dots)) * share;
    for (size_t i = 0; i < n; i += LANES) {
        vf g = act_load(gradient + i, n - i), normal = (vf_load_part(x + i, n - i) - mean) * r;
        vf pulled = vf_fnma(normal, dot, g * weight_part(w, i, n) - sum);
        vf_store_part(dx + i, vf_fma(r, pulled, vf_load_part(dx + i, n - i)), n - i);
        if (dw != NULL)
            vf_store_part(dw + i, vf_fma(g, normal, vf_load_part(dw + i, n - i)), n - i);
        if (db != NULL)
            vf_store_part(db + i, vf_load_part(db + i, n - i) + g, n - i);
    }
}

void NAME(scaled_add)(const float *a, const float *w, const void *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        vf_store_part(y + i, vf_fma(weight_part(w, i, n), act_load((const act *)b + i, n - i), vf_load_part(a + i, n - i)),
                      n - i);
}

void NAME(scaled_add_backward)(const float *dy, const float *w, const void *b, void *db, float *dw, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf gradient = vf_load_part(dy + i, n - i);
        if (dw != NULL)
            vf_store_part(dw + i, vf_fma(gradient, act_load((const act *)b + i, n - i), vf_load_part(dw + i, n - i)), n - i);
        act_store((act *)db + i, gradient * weight_part(w, i, n), n - i);
    }
}

void NAME(scale_columns)(const void *x, const float *scale, const void *other, const float *other_scale, const float *shift,
                         const void *addend, void *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf sum = shift != NULL ? vf_load_part(shift + i, n - i) : vf_zero();
        if (addend != NULL)
            sum += act_load((const act *)addend + i, n - i);
        if (other != NULL)
            sum = vf_fma(vf_load_part(other_scale + i, n - i), act_load((const act *)other + i, n - i), sum);
        act_store((act *)y + i, vf_fma(vf_load_part(scale + i, n - i), act_load((const act *)x + i, n - i), sum), n - i);
    }
}

void NAME(add_products)(const void *a, const void *b, float *sums, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf factor = b != NULL ? act_load((const act *)b + i, n - i) : vf_set(1);
        vf_store_part(sums + i, vf_fma(act_load((const act *)a + i, n - i), factor, vf_load_part(sums + i, n - i)), n - i);
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

/* The normal distribution's cumulative function. Its tail is t exp(P(t) - x^2 / 2) / 2 with t = 2 / (2 + |x| / sqrt(2)) and a
 * polynomial P fitted to log(erfc(z) exp(z^2) / t) (3e-7 before rounding), so that it is exact relative to itself. */
static ALWAYS_INLINE vf normal_share(vf x)
{
    static const float fit[] = {0.0856283754f, -0.589286625f, 1.54556024f,  -1.86218226f, 0.907374442f,
                                -0.259143591f, 0.444995254f,  0.992203116f, -1.26514912f};
    const vf z = vf_absolute(x) * vf_set(0.707106781f), t = vf_set(2) / (vf_set(2) + z);
    vf p = vf_set(fit[0]);
    for (size_t i = 1; i < sizeof fit / sizeof *fit; i++)
        p = vf_fma(p, t, vf_set(fit[i]));
    const vf tail = vf_set(0.5f) * t * vf_exp(vf_fnma(z, z, p));
    return vf_zero_below(x, vf_zero(), vf_set(1) - tail - tail) + tail;
}

/* The factor f of x f(x) and its slope; see ref/ref_rows.h. */
static ALWAYS_INLINE vf activation_factor(pfm_activation kind, vf x, vf *slope)
{
    const vf one = vf_set(1), wide = vf_set(1.59576912f);
    vf inner = x, inner_slope = one, square = x * x;
    if (kind == PFM_ACTIVATION_GELU) {
        *slope = vf_exp(vf_set(-0.5f) * square) * vf_set(0.398942280f);
        return normal_share(x);
    }
    if (kind == PFM_ACTIVATION_RELU) {
        *slope = vf_zero();
        return vf_zero_below(x, vf_set(1e-45f), one);
    }
    if (kind == PFM_ACTIVATION_GELU_TANH) {
        inner = wide * x * vf_fma(vf_set(0.044715f), square, one);
        inner_slope = wide * vf_fma(vf_set(0.134145f), square, one);
    } else if (kind == PFM_ACTIVATION_QUICK_GELU) {
        inner = vf_set(1.702f) * x;
        inner_slope = vf_set(1.702f);
    }
    const vf s = sigmoid(inner);
    *slope = s * (one - s) * inner_slope;
    return s;
}

static ALWAYS_INLINE void activate_kind(pfm_activation kind, const act *x, act *y, size_t n)
{
    vf slope;
    for (size_t i = 0; i < n; i += LANES) {
        vf value = act_load(x + i, n - i);
        act_store(y + i, value * activation_factor(kind, value, &slope), n - i);
    }
}

static ALWAYS_INLINE void activate_kind_backward(pfm_activation kind, const act *x, const act *dy, act *dx, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf slope, value = act_load(x + i, n - i), factor = activation_factor(kind, value, &slope);
        act_store(dx + i, act_load(dy + i, n - i) * vf_fma(value, slope, factor), n - i);
    }
}

/* One loop a kind, so that none asks within. */
void NAME(activate)(pfm_activation kind, const void *x, void *y, size_t n)
{
    switch (kind) {
    case PFM_ACTIVATION_GELU: activate_kind(PFM_ACTIVATION_GELU, x, y, n); break;
    case PFM_ACTIVATION_GELU_TANH: activate_kind(PFM_ACTIVATION_GELU_TANH, x, y, n); break;
    case PFM_ACTIVATION_QUICK_GELU: activate_kind(PFM_ACTIVATION_QUICK_GELU, x, y, n); break;
    case PFM_ACTIVATION_SILU: activate_kind(PFM_ACTIVATION_SILU, x, y, n); break;
    case PFM_ACTIVATION_RELU: activate_kind(PFM_ACTIVATION_RELU, x, y, n); break;
    case PFM_ACTIVATION_COUNT: break;
    }
}

void NAME(activate_backward)(pfm_activation kind, const void *x, const void *dy, void *dx, size_t n)
{
    switch (kind) {
    case PFM_ACTIVATION_GELU: activate_kind_backward(PFM_ACTIVATION_GELU, x, dy, dx, n); break;
    case PFM_ACTIVATION_GELU_TANH: activate_kind_backward(PFM_ACTIVATION_GELU_TANH, x, dy, dx, n); break;
    case PFM_ACTIVATION_QUICK_GELU: activate_kind_backward(PFM_ACTIVATION_QUICK_GELU, x, dy, dx, n); break;
    case PFM_ACTIVATION_SILU: activate_kind_backward(PFM_ACTIVATION_SILU, x, dy, dx, n); break;
    case PFM_ACTIVATION_RELU: activate_kind_backward(PFM_ACTIVATION_RELU, x, dy, dx, n); break;
    case PFM_ACTIVATION_COUNT: break;
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
