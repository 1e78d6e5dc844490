/* The references themselves: against formulas written differently, and backward against finite differences of forward.
 * Everything else is tested against them. */
#include "base/random.h"
#include "kernels/kernels.h"
#include "test.h"

static pfm_kernels ref;

static int set_up(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_kernels_select("ref", &ref, &err));
    return 0;
}

static void fill(float *x, size_t n, uint64_t stream)
{
    pfm_random random = pfm_random_start(7, stream);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)pfm_random_normal(&random);
}

static void assert_near(double got, double wanted, double bound)
{
    if (!(fabs(got - wanted) <= bound))
        fail_msg("got %.9g, wanted %.9g within %.3g", got, wanted, bound);
}

/* The derivative of sum_i d[i] y[i] with respect to x[i], by central differences of `run`, must be gradient[i]. */
typedef void (*forward_function)(void *user);
static void assert_gradient(forward_function run, void *user, float *x, size_t n, const float *gradient, const float *d,
                            const float *y, size_t outputs)
{
    const float step = 1.0f / 256;
    for (size_t i = 0; i < n; i++) {
        float kept = x[i];
        double side[2];
        for (int s = 0; s < 2; s++) {
            x[i] = s == 0 ? kept - step : kept + step;
            run(user);
            side[s] = 0;
            for (size_t j = 0; j < outputs; j++)
                side[s] += (double)d[j] * y[j];
        }
        x[i] = kept;
        assert_near(gradient[i], (side[1] - side[0]) / (2 * step), 2e-3 * (1 + fabs(gradient[i])));
    }
    run(user);
}

static void test_conversions(void **state)
{
    (void)state;
    const float x[] = {0, -0.0f, 1, 1.00390625f, 1.01171875f, -3.14159f, 1e-40f, INFINITY, -INFINITY, 3.4e38f};
    const pfm_bf16 wanted[] = {0, 0x8000, 0x3f80, 0x3f80, 0x3f82, 0xc049, 0x0001, 0x7f80, 0xff80, 0x7f80};
    pfm_bf16 y[10];
    float back[10];
    ref.bf16_from_f32(x, y, 10);
    assert_memory_equal(y, wanted, sizeof y);
    ref.bf16_to_f32(y, back, 10);
    assert_true(back[5] == -3.140625f && isinf(back[7]));
}

static void test_vectors(void **state)
{
    (void)state;
    float x[] = {1, 2, 3}, y[] = {10, 20, 30};
    ref.axpy(2, x, y, 3);
    assert_true(y[0] == 12 && y[1] == 24 && y[2] == 36);
    assert_true(ref.sum_squares(x, 3) == 14);
    size_t argmax = 9;
    float large[] = {-1000, 1000, 1000};
    assert_near(ref.logsumexp(large, 3, &argmax), 1000 + log(2), 1e-4);
    assert_int_equal(argmax, 1);
    float infinite[] = {-INFINITY, -INFINITY};
    assert_true(ref.logsumexp(infinite, 2, &argmax) == -INFINITY && argmax == 0);
}

/* Two steps of torch.optim.AdamW by hand: lr 0.1, betas 0.9 0.99, eps 1e-8, decay 0.5, on w = 1 with gradients 2, -1. */
static void test_adamw(void **state)
{
    (void)state;
    float w = 1, m = 0, v = 0, gradient[] = {4, -2};
    for (int t = 1; t <= 2; t++) {
        pfm_adamw settings = {0.1f, 0.9f, 0.99f, 1e-8f, 0.5f, (float)(1 - pow(0.9, t)), (float)(1 - pow(0.99, t)), 0.5f};
        ref.adamw(&w, &gradient[t - 1], &m, &v, 1, &settings);
        if (t == 1)
            assert_near(w, 0.95 - 0.1, 1e-6);
    }
    double mean = 0.9 * 0.2 - 0.1, square = 0.99 * 0.04 + 0.01;
    assert_near(w, 0.85 * 0.95 - 0.1 * (mean / 0.19) / sqrt(square / 0.0199), 1e-6);
    assert_near(m, mean, 1e-7);
    assert_near(v, square, 1e-7);
}

enum { N = 12 };
static struct {
    float x[N], w[N], y[N], d[N], dx[N], dw[N], rstd;
} row;

static void run_rmsnorm(void *user)
{
    (void)user;
    ref.rmsnorm[PFM_ACT_F32](row.x, row.w, 1e-5f, row.y, &row.rstd, N);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    fill(row.x, N, 1);
    fill(row.w, N, 2);
    fill(row.d, N, 3);
    run_rmsnorm(NULL);
    double squares = 0;
    for (int i = 0; i < N; i++)
        squares += row.x[i] * row.x[i] / N;
    assert_near(row.y[5], row.x[5] * row.w[5] / sqrt(squares + 1e-5), 1e-6);
    for (int i = 0; i < N; i++)
        row.dx[i] = row.dw[i] = 0;
    ref.rmsnorm_backward[PFM_ACT_F32](row.x, row.w, row.rstd, row.d, row.dx, row.dw, N);
    assert_gradient(run_rmsnorm, NULL, row.x, N, row.dx, row.d, row.y, N);
    assert_gradient(run_rmsnorm, NULL, row.w, N, row.dw, row.d, row.y, N);
    float once = row.dx[3];
    ref.rmsnorm_backward[PFM_ACT_F32](row.x, row.w, row.rstd, row.d, row.dx, NULL, N);
    assert_near(row.dx[3], 2 * once, 1e-5);
}

static struct {
    float b[N], db[N], statistics[2];
    pfm_activation kind;
} more;

static void run_layernorm(void *user)
{
    (void)user;
    ref.layernorm[PFM_ACT_F32](row.x, row.w, more.b, 1e-5f, row.y, more.statistics, N);
}

static void test_layernorm(void **state)
{
    (void)state;
    fill(row.x, N, 1);
    fill(row.w, N, 2);
    fill(row.d, N, 3);
    fill(more.b, N, 4);
    run_layernorm(NULL);
    double mean = 0, squares = 0;
    for (int i = 0; i < N; i++)
        mean += row.x[i] / N;
    for (int i = 0; i < N; i++)
        squares += (row.x[i] - mean) * (row.x[i] - mean) / N;
    assert_near(row.y[5], (row.x[5] - mean) / sqrt(squares + 1e-5) * row.w[5] + more.b[5], 1e-6);
    for (int i = 0; i < N; i++)
        row.dx[i] = row.dw[i] = more.db[i] = 0;
    ref.layernorm_backward[PFM_ACT_F32](row.x, row.w, more.statistics, row.d, row.dx, row.dw, more.db, N);
    assert_gradient(run_layernorm, NULL, row.x, N, row.dx, row.d, row.y, N);
    assert_gradient(run_layernorm, NULL, row.w, N, row.dw, row.d, row.y, N);
    assert_gradient(run_layernorm, NULL, more.b, N, more.db, row.d, row.y, N);
}

static void run_activate(void *user)
{
    (void)user;
    ref.activate[PFM_ACT_F32](more.kind, row.x, row.y, N);
}

/* At 1, -1 and 2 what torch's gelu, gelu(approximate="tanh"), x sigmoid(1.702 x), silu and relu give. */
static void test_activate(void **state)
{
    (void)state;
    const float x[3] = {1, -1, 2};
    const float wanted[PFM_ACTIVATION_COUNT][3] = {{0.84134475f, -0.15865526f, 1.9544997f},
                                                   {0.84119199f, -0.15880801f, 1.9545977f},
                                                   {0.84579577f, -0.15420423f, 1.9356586f},
                                                   {0.73105858f, -0.26894142f, 1.7615942f},
                                                   {1, 0, 2}};
    for (int kind = 0; kind < PFM_ACTIVATION_COUNT; kind++) {
        more.kind = (pfm_activation)kind;
        float y[3];
        ref.activate[PFM_ACT_F32](more.kind, x, y, 3);
        for (int i = 0; i < 3; i++)
            assert_near(y[i], wanted[kind][i], 1e-6);
        fill(row.x, N, 4);
        fill(row.d, N, 6);
        ref.activate_backward[PFM_ACT_F32](more.kind, row.x, row.d, row.dx, N);
        assert_gradient(run_activate, NULL, row.x, N, row.dx, row.d, row.y, N);
    }
}

static void run_silu(void *user)
{
    (void)user;
    ref.silu_mul[PFM_ACT_F32](row.x, row.w, row.y, N);
}

static void test_silu_mul(void **state)
{
    (void)state;
    fill(row.x, N, 4);
    fill(row.w, N, 5);
    fill(row.d, N, 6);
    run_silu(NULL);
    assert_near(row.y[2], row.x[2] * row.w[2] * (0.5 + 0.5 * tanh(row.x[2] / 2.0)), 1e-6);
    ref.silu_mul_backward[PFM_ACT_F32](row.x, row.w, row.d, row.dx, row.dw, N);
    assert_gradient(run_silu, NULL, row.x, N, row.dx, row.d, row.y, N);
    assert_gradient(run_silu, NULL, row.w, N, row.dw, row.d, row.y, N);
}

static void run_cross_entropy(void *user)
{
    (void)user;
    row.y[0] = ref.cross_entropy[PFM_ACT_F32](row.x, N, 3, 0, NULL);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    fill(row.x, N, 8);
    row.d[0] = 0.5f;
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += exp(row.x[i]);
    assert_near(ref.cross_entropy[PFM_ACT_F32](row.x, N, 3, 0.5f, row.dx), log(sum) - row.x[3], 1e-6);
    assert_gradient(run_cross_entropy, NULL, row.x, N, row.dx, row.d, row.y, 1);
}

/* A rotation by an angle and back. */
static void test_rope(void **state)
{
    (void)state;
    float cosine[3], sine[3], y[N], back[N];
    fill(row.x, N, 9);
    for (int i = 0; i < 3; i++) {
        cosine[i] = cosf(0.3f * (float)i + 1);
        sine[i] = sinf(0.3f * (float)i + 1);
    }
    ref.rope[PFM_ACT_F32](row.x, cosine, sine, 1, y, 2, 6);
    assert_near(y[6], row.x[6] * cosine[0] - row.x[9] * sine[0], 1e-6);
    assert_near(y[11], row.x[11] * cosine[2] + row.x[8] * sine[2], 1e-6);
    ref.rope[PFM_ACT_F32](y, cosine, sine, -1, back, 2, 6);
    for (int i = 0; i < N; i++)
        assert_near(back[i], row.x[i], 1e-6);
}

static void test_dropout(void **state)
{
    (void)state;
    enum { LONG = 8003 };
    static float x[LONG], y[LONG];
    for (int i = 0; i < LONG; i++)
        x[i] = 1;
    pfm_dropout dropout = {.key = 0x123456789abcdefu, .token = 5, .place = 9, .threshold = 6554, .scale = 1.25f};
    ref.dropout[PFM_ACT_F32](x, y, LONG, &dropout, false);
    int dropped = 0;
    for (int i = 0; i < LONG; i++) {
        assert_true(y[i] == 0 || y[i] == 1.25f);
        dropped += y[i] == 0;
    }
    assert_near(dropped / (double)LONG, 0.1, 0.01);
    uint32_t counter[4] = {20 / 8, 9, 5, 0}, words[4];
    pfm_philox(dropout.key, counter, words);
    for (int i = 16; i < 24; i++)
        assert_true((y[i] == 0) == ((words[i % 8 / 2] >> 16 * (i % 2) & 0xffff) < 6554));
    ref.dropout[PFM_ACT_F32](x, y, LONG, &dropout, true);
    for (int i = 0; i < LONG; i++)
        assert_true(y[i] == 0 || y[i] == 2.5f);
}

enum { ROWS = 9, DIM = 4 };
static struct {
    float q[ROWS * DIM], k[ROWS * DIM], v[ROWS * DIM], out[ROWS * DIM], lse[ROWS], d[ROWS * DIM];
    float dq[ROWS * DIM], dk[ROWS * DIM], dv[ROWS * DIM], scratch[256] __attribute__((aligned(64)));
    pfm_attention_head head;
    pfm_attention_span span;
} attention;

static void run_attention(void *user)
{
    (void)user;
    ref.attention[PFM_ACT_F32](&attention.head, &attention.span);
}

/* Rows 5..8 see rows 0..1, row 3, and their own from 5 on. */
static bool sees(int q, int key) { return key <= 1 || key == 3 || (key >= 5 && key <= q); }

static void set_attention(void)
{
    fill(attention.q, ROWS * DIM, 10);
    fill(attention.k, ROWS * DIM, 11);
    fill(attention.v, ROWS * DIM, 12);
    fill(attention.d, ROWS * DIM, 13);
    attention.head =
        (pfm_attention_head){attention.q, attention.k,  attention.v,   DIM,          DIM,           DIM,
                             DIM,         0.7f,         attention.out, DIM,          attention.lse, 1,
                             attention.d, attention.dq, attention.dk,  attention.dv, DIM,           attention.scratch};
    attention.span = (pfm_attention_span){5, 9, 5, 0, 2, {0, 3}, {2, 4}, 0};
    assert_true(ref.attention_scratch(DIM, ROWS) <= 256);
}

static void test_attention(void **state)
{
    (void)state;
    set_attention();
    run_attention(NULL);
    for (int q = 5; q < 9; q++) {
        double sum = 0, out[DIM] = {0};
        for (int key = 0; key < ROWS; key++) {
            double score = 0;
            for (int d = 0; d < DIM; d++)
                score += 0.7f * attention.q[q * DIM + d] * attention.k[key * DIM + d];
            double weight = sees(q, key) ? exp(score) : 0;
            sum += weight;
            for (int d = 0; d < DIM; d++)
                out[d] += weight * attention.v[key * DIM + d];
        }
        for (int d = 0; d < DIM; d++)
            assert_near(attention.out[q * DIM + d], out[d] / sum, 1e-6);
        assert_near(attention.lse[q], log(sum), 1e-6);
    }
    ref.attention_backward[PFM_ACT_F32](&attention.head, &attention.span);
    assert_gradient(run_attention, NULL, attention.q + 5 * DIM, 4 * DIM, attention.dq + 5 * DIM, attention.d + 5 * DIM,
                    attention.out + 5 * DIM, 4 * DIM);
    assert_gradient(run_attention, NULL, attention.k, ROWS * DIM, attention.dk, attention.d + 5 * DIM, attention.out + 5 * DIM,
                    4 * DIM);
    assert_gradient(run_attention, NULL, attention.v, ROWS * DIM, attention.dv, attention.d + 5 * DIM, attention.out + 5 * DIM,
                    4 * DIM);
}

static void test_gemm(void **state)
{
    (void)state;
    enum { M = 5, COLUMNS = 11, K = 7 };
    float a[M * K], b[COLUMNS * K], bias[COLUMNS], c[M * COLUMNS], packed[16 * K];
    fill(a, M * K, 20);
    fill(b, COLUMNS * K, 21);
    fill(bias, COLUMNS, 22);
    fill(c, M * COLUMNS, 23);
    double wanted[M][COLUMNS];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < COLUMNS; j++) {
            wanted[i][j] = bias[j] + c[i * COLUMNS + j];
            for (int p = 0; p < K; p++)
                wanted[i][j] += 0.5 * a[i * K + p] * b[j * K + p];
        }
    assert_true(ref.gemm_pack_size[PFM_ACT_F32](COLUMNS, K) <= sizeof packed);
    ref.gemm_pack[PFM_ACT_F32](b, PFM_ACT_F32, 1, K, COLUMNS, K, 0, COLUMNS, packed);
    pfm_gemm gemm = {M, COLUMNS, K, a, K, packed, 0.5f, bias, c, COLUMNS, c, COLUMNS, PFM_ACT_F32};
    ref.gemm_tile[PFM_ACT_F32](&gemm, 0, 3, 0, 8, NULL);
    ref.gemm_tile[PFM_ACT_F32](&gemm, 3, 5, 0, 8, NULL);
    ref.gemm_tile[PFM_ACT_F32](&gemm, 0, 5, 8, 11, NULL);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < COLUMNS; j++)
            assert_near(c[i * COLUMNS + j], wanted[i][j], 1e-5);
}

static void test_transpose(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 0, 4, 5, 6, 0};
    float y[6];
    ref.transpose[PFM_ACT_F32](x, 4, 2, 3, y, 2);
    const float wanted[] = {1, 4, 2, 5, 3, 6};
    assert_memory_equal(y, wanted, sizeof y);
}

static void test_levels(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_kernels table;
    assert_ok(pfm_kernels_select(NULL, &table, &err));
    assert_error(pfm_kernels_select("sse9", &table, &err), PFM_ERROR_USAGE, "'sse9'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversions), cmocka_unit_test(test_vectors),       cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_rmsnorm),     cmocka_unit_test(test_layernorm),     cmocka_unit_test(test_activate),
        cmocka_unit_test(test_silu_mul),    cmocka_unit_test(test_cross_entropy), cmocka_unit_test(test_rope),
        cmocka_unit_test(test_dropout),     cmocka_unit_test(test_attention),     cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_transpose),   cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
