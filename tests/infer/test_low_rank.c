/* The nearest product of a smaller rank: what it keeps, what it loses, and that the factors are orthogonal. */
#include "infer/low_rank.h"

#include "models/tiny.h"

#include <math.h>

static void multiply(const float *b, const float *a, int64_t n, int64_t k, int64_t r, double *out)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++) {
            out[i * k + j] = 0;
            for (int64_t p = 0; p < r; p++)
                out[i * k + j] += (double)b[i * r + p] * a[p * k + j];
        }
}

static double apart(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

enum { N = 19, K = 23, MOST = 40 };

/* The product of random factors of rank r made one of `rank`. */
static void check(int64_t n, int64_t k, int64_t r, int64_t rank)
{
    pfm_error err = PFM_ERROR_INIT;
    float b[N * MOST], a[MOST * K], b_out[N * MOST], a_out[MOST * K];
    double before[N * K], after[N * K], kept = 0, lost = 0, size = 0;
    tiny_spread(1, (size_t)(n * r), b);
    tiny_spread(2, (size_t)(r * k), a);
    assert_ok(pfm_low_rank_truncate(b, a, n, k, r, rank, b_out, a_out, &kept, &lost, &err));
    multiply(b, a, n, k, r, before);
    multiply(b_out, a_out, n, k, rank, after);
    for (int64_t i = 0; i < n * k; i++)
        size += before[i] * before[i];
    assert_true(fabs(kept + lost - size) <= 1e-6 * size);
    assert_true(fabs(apart(before, after, n * k) - sqrt(lost)) <= 2e-6 * sqrt(size)); /* f32 factors */
    const int64_t most = r < n ? (r < k ? r : k) : (n < k ? n : k);
    if (rank >= most)
        assert_true(lost <= 1e-20 * size);
    for (int64_t i = 0; i < rank && i < most; i++) { /* rows of a: orthonormal */
        for (int64_t j = 0; j <= i; j++) {
            double product = 0;
            for (int64_t t = 0; t < k; t++)
                product += (double)a_out[i * k + t] * a_out[j * k + t];
            assert_true(fabs(product - (i == j)) <= 1e-6);
        }
    }
    for (int64_t i = 0; i + 1 < rank; i++) { /* columns of b: of falling length */
        double first = 0, second = 0;
        for (int64_t t = 0; t < n; t++) {
            first += (double)b_out[t * rank + i] * b_out[t * rank + i];
            second += (double)b_out[t * rank + i + 1] * b_out[t * rank + i + 1];
        }
        assert_true(first >= second * (1 - 1e-6));
    }
}

static void products_become_thinner(void **state)
{
    (void)state;
    check(N, K, 5, 5);
    check(N, K, 5, 2);
    check(N, K, 12, 3);
    check(N, K, 40, 7); /* more than the layer has */
    check(N, K, 40, 30);
    check(N, K, 4, 9); /* more than there is */
    check(1, K, 3, 1);
    check(N, 1, 3, 2);
}

/* Factors that repeat themselves, and zeros. */
static void what_is_dependent_is_found(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    float b[N * 4], a[4 * K], b_out[N * 3], a_out[3 * K];
    double kept = 1, lost = 1;
    memset(b, 0, sizeof b);
    tiny_spread(5, sizeof a / sizeof *a, a);
    assert_ok(pfm_low_rank_truncate(b, a, N, K, 4, 3, b_out, a_out, &kept, &lost, &err));
    assert_true(kept == 0 && lost == 0);
    for (size_t i = 0; i < sizeof b_out / sizeof *b_out; i++)
        assert_true(b_out[i] == 0);
    for (int t = 0; t < N; t++) /* u (a1 + a2) - u a1 - u a2 + u a3 */
        for (int p = 0; p < 4; p++)
            b[t * 4 + p] = (float)(t % 5 + 1) * (p == 1 || p == 2 ? -1.f : 1.f);
    for (int t = 0; t < K; t++)
        a[t] = a[K + t] + a[2 * K + t];
    assert_ok(pfm_low_rank_truncate(b, a, N, K, 4, 3, b_out, a_out, &kept, &lost, &err));
    double wanted[N * K], made[N * K];
    multiply(b, a, N, K, 4, wanted);
    multiply(b_out, a_out, N, K, 3, made);
    assert_true(apart(wanted, made, (int64_t)N * K) <= 1e-5 * sqrt(kept));
    assert_true(lost <= 1e-12 * kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_become_thinner), cmocka_unit_test(what_is_dependent_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
