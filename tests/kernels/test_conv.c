/* Chains of convolutions: the plain C against the definition, the level in force against the plain C, the same bits from every
 * thread's memory, and shapes that cannot be. */
#include "test.h"

#include "base/memory.h"
#include "base/random.h"
#include "kernels/conv.h"

#include <math.h>

enum { MOST_STEPS = 6 };

static const char *level(void)
{
    const char *asked = getenv("PEFOMED_CPU");
    return asked != NULL && asked[0] != '\0' ? asked : "avx512";
}

static float *random_floats(size_t count, uint64_t stream)
{
    pfm_random random = pfm_random_start(7, stream);
    float *out = malloc((count + 1) * sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++)
        out[i] = (float)pfm_random_normal(&random);
    return out;
}

static size_t weight_count(const pfm_conv_step *s)
{
    return (size_t)(s->channels_out * (s->channels_in / s->groups) * s->kernel * s->kernel);
}

/* Random weights, scaled so that results stay near 1 and ReLU6 cuts on both sides. */
static void give_weights(pfm_conv_step *steps, size_t count, float **owned)
{
    for (size_t i = 0; i < count; i++) {
        size_t values = weight_count(&steps[i]);
        float *w = owned[i] = random_floats(values + (size_t)steps[i].channels_out, i);
        float scale = 3.0f / sqrtf((float)(values / (size_t)steps[i].channels_out));
        for (size_t j = 0; j < values; j++)
            w[j] *= scale;
        steps[i].weight = w;
        steps[i].bias = w + values;
    }
}

static pfm_conv_step same(int in, int out, int groups, int kernel, int stride, int height, int width, bool relu6)
{
    pfm_conv_step s = {.channels_in = in,
                       .channels_out = out,
                       .groups = groups,
                       .kernel = kernel,
                       .stride = stride,
                       .size_in = {height, width},
                       .relu6 = relu6,
                       .output = true,
                       .input = -1,
                       .addend = -1};
    pfm_conv_step_pad_same(&s);
    return s;
}

static float *run(const char *at, pfm_conv_step *steps, size_t count, int threads, int thread, const float *input)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_conv_chain *chain = NULL;
    const pfm_conv_step *last = &steps[count - 1];
    size_t values = (size_t)(last->size_out[0] * last->size_out[1] * last->channels_out);
    float *out = malloc(values * sizeof *out);
    assert_non_null(out);
    assert_ok(pfm_conv_chain_create(at, steps, count, threads, &chain, &err));
    for (int again = 0; again < 2; again++) { /* the second time on used memory */
        assert_ok(pfm_conv_chain_run(chain, thread, input, &(pfm_conv_result){count - 1, out}, 1, &err));
        pfm_conv_chain_rest(chain);
    }
    assert_ok(pfm_conv_chain_run(chain, thread, input, &(pfm_conv_result){count - 1, out}, 1, &err));
    pfm_conv_chain_free(chain);
    return out;
}

static double relative_error(const float *a, const float *b, size_t count)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / (size + 1e-30));
}

/* The sum as the header writes it, with the image padded in full and no shortcut. */
static double defined(const pfm_conv_step *s, const float *x, int o, int i, int j)
{
    double sum = (double)s->bias[o];
    int each = s->channels_in / s->groups, first = s->groups == 1 ? 0 : o;
    for (int c = 0; c < each; c++)
        for (int a = 0; a < s->kernel; a++)
            for (int b = 0; b < s->kernel; b++) {
                int y = i * s->stride - s->pad[0] + a, z = j * s->stride - s->pad[1] + b;
                bool inside = y >= 0 && y < s->size_in[0] && z >= 0 && z < s->size_in[1];
                double value = inside ? (double)x[((first + c) * s->size_in[0] + y) * s->size_in[1] + z] : 0;
                sum += value * (double)s->weight[((o * each + c) * s->kernel + a) * s->kernel + b];
            }
    return s->relu6 ? fmin(fmax(sum, 0), 6) : sum;
}

static void check_one(pfm_conv_step step)
{
    float *owned[1];
    give_weights(&step, 1, owned);
    float *input = random_floats((size_t)(step.channels_in * step.size_in[0] * step.size_in[1]), 99);
    float *ref = run("ref", &step, 1, 1, 0, input), *here = run(level(), &step, 1, 1, 0, input);
    int places = step.size_out[0] * step.size_out[1];
    for (int o = 0; o < step.channels_out; o++)
        for (int p = 0; p < places; p++) {
            double want = defined(&step, input, o, p / step.size_out[1], p % step.size_out[1]);
            assert_true(fabs((double)ref[p * step.channels_out + o] - want) <= 1e-6 * (1 + fabs(want)));
        }
    double error = relative_error(here, ref, (size_t)(places * step.channels_out));
    if (!(error <= 1e-6))
        fail_msg("%d to %d, kernel %d: error %g", step.channels_in, step.channels_out, step.kernel, error);
    free(owned[0]);
    free(input);
    free(ref);
    free(here);
}

static void single_convolutions(void **state)
{
    (void)state;
    check_one(same(3, 32, 1, 3, 2, 32, 32, true));
    check_one(same(3, 7, 1, 3, 2, 33, 19, true));
    check_one(same(5, 24, 1, 1, 1, 7, 9, false));
    check_one(same(24, 13, 1, 1, 1, 1, 1, false));
    check_one(same(17, 17, 17, 3, 1, 11, 6, true));
    check_one(same(40, 40, 40, 5, 2, 13, 14, true));
    check_one(same(16, 16, 16, 5, 2, 2, 3, false));
    check_one(same(16, 8, 1, 1, 2, 9, 8, false));
    check_one(same(4, 6, 1, 5, 3, 10, 11, true));
}

/* An inverted bottleneck behind a stem, with the addition, at sizes that no block of a layout divides. */
static size_t make_block(pfm_conv_step *steps)
{
    steps[0] = same(3, 20, 1, 3, 2, 29, 31, true);
    steps[1] = same(20, 60, 1, 1, 1, 15, 16, true);
    steps[2] = same(60, 60, 60, 5, 1, 15, 16, true);
    steps[3] = same(60, 20, 1, 1, 1, 15, 16, false);
    steps[4] = same(20, 33, 1, 1, 1, 15, 16, true);
    for (int i = 1; i < 5; i++)
        steps[i].input = i - 1;
    steps[3].addend = 0;
    return 5;
}

static void chains_with_additions(void **state)
{
    (void)state;
    pfm_conv_step steps[MOST_STEPS];
    float *owned[MOST_STEPS], *input = random_floats(3 * 29 * 31, 98);
    size_t count = make_block(steps);
    give_weights(steps, count, owned);
    for (size_t upto = 1; upto <= count; upto++) {
        float *ref = run("ref", steps, upto, 1, 0, input), *here = run(level(), steps, upto, 2, 0, input);
        float *other = run(level(), steps, upto, 2, 1, input);
        size_t values = (size_t)(steps[upto - 1].channels_out * 15 * 16);
        assert_true(relative_error(here, ref, values) <= 2e-6);
        assert_memory_equal(here, other, values * sizeof *here);
        if (upto == 4) { /* the addition is not lost: without it the result is another */
            steps[3].addend = -1;
            float *without = run(level(), steps, upto, 1, 0, input);
            steps[3].addend = 0;
            assert_true(relative_error(without, ref, values) > 0.01);
            free(without);
        }
        free(ref);
        free(here);
        free(other);
    }
    for (size_t i = 0; i < count; i++)
        free(owned[i]);
    free(input);
}

static void refuse(pfm_conv_step *steps, size_t count, const char *part)
{
    static const char *const levels[] = {"ref", "avx512"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_conv_chain *chain = NULL;
    for (size_t i = 0; i < 2; i++)
        assert_error(pfm_conv_chain_create(levels[i], steps, count, 1, &chain, &err), PFM_ERROR_MISMATCH, part);
    assert_null(chain);
}

static void shapes_that_cannot_be(void **state)
{
    (void)state;
    pfm_conv_step steps[MOST_STEPS], good[MOST_STEPS];
    float *owned[MOST_STEPS];
    size_t count = make_block(good);
    give_weights(good, count, owned);
#define BAD(index, change, part)                                                                                               \
    do {                                                                                                                       \
        memcpy(steps, good, sizeof steps);                                                                                     \
        steps[index].change;                                                                                                   \
        refuse(steps, count, part);                                                                                            \
    } while (0)
    BAD(0, channels_in = 0, "channels");
    BAD(0, channels_out = -4, "channels");
    BAD(0, weight = NULL, "no weights");
    BAD(0, bias = NULL, "no weights");
    BAD(0, input = 0, "later");
    BAD(0, stride = 0, "stride");
    BAD(0, kernel = 0, "kernel");
    BAD(0, size_out[0] = 16, "do not make");
    BAD(0, size_in[1] = 0, "cannot be");
    BAD(0, pad[1] = 3, "padding");
    BAD(1, channels_in = 21, "convolution 1 takes");
    BAD(1, input = 3, "later");
    BAD(1, input = -1, "convolution 1 takes");
    BAD(2, groups = 2, "groups");
    BAD(3, addend = 1, "cannot add");
    BAD(3, addend = 2, "cannot add");
    BAD(3, relu6 = true, "cannot add");
    BAD(4, input = 0, "overwritten");
#undef BAD
    refuse(good, 0, "chain of 0");
    for (size_t i = 0; i < count; i++)
        free(owned[i]);
}

static void only_outputs_are_given(void **state)
{
    (void)state;
    pfm_conv_step steps[MOST_STEPS];
    float *owned[MOST_STEPS], *input = random_floats(3 * 29 * 31, 97), out[20 * 15 * 16];
    pfm_error err = PFM_ERROR_INIT;
    pfm_conv_chain *chain = NULL;
    size_t count = make_block(steps);
    give_weights(steps, count, owned);
    steps[0].output = false;
    assert_ok(pfm_conv_chain_create(level(), steps, count, 1, &chain, &err));
    assert_error(pfm_conv_chain_run(chain, 0, input, &(pfm_conv_result){0, out}, 1, &err), PFM_ERROR_USAGE, "no output");
    assert_error(pfm_conv_chain_run(chain, 0, input, &(pfm_conv_result){count, out}, 1, &err), PFM_ERROR_USAGE, "no output");
    const pfm_conv_result backwards[] = {{3, out}, {1, out}};
    assert_error(pfm_conv_chain_run(chain, 0, input, backwards, 2, &err), PFM_ERROR_USAGE, "behind");
    assert_ok(pfm_conv_chain_run(chain, 0, input, &(pfm_conv_result){3, out}, 1, &err));
    pfm_conv_chain_free(chain);
    for (size_t i = 0; i < count; i++)
        free(owned[i]);
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_convolutions),
        cmocka_unit_test(chains_with_additions),
        cmocka_unit_test(shapes_that_cannot_be),
        cmocka_unit_test(only_outputs_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
