/* Convolutions in plain C, images as [C,H,W], sums in double: the oracle. */
#include "base/try.h"
#include "kernels/conv_backend.h"

#include <stdlib.h>
#include <string.h>

typedef struct ref_chain {
    pfm_conv_chain common;
    float **weights; /* [count], copies, the biases behind them */
} ref_chain;

static size_t weight_count(const pfm_conv_step *s)
{
    return (size_t)s->channels_out * (size_t)(s->channels_in / s->groups) * (size_t)s->kernel * (size_t)s->kernel;
}

static size_t result_count(const pfm_conv_step *s)
{
    return (size_t)s->channels_out * (size_t)s->size_out[0] * (size_t)s->size_out[1];
}

static void ref_free(pfm_conv_chain *chain)
{
    float **weights = ((ref_chain *)chain)->weights;
    for (size_t i = 0; weights != NULL && i < chain->count; i++)
        free(weights[i]);
    free(weights);
}

static pfm_status ref_build(pfm_conv_chain *chain, const char *level, pfm_error *err)
{
    (void)level;
    pfm_status status = PFM_OK;
    ref_chain *ref = (ref_chain *)chain;
    size_t *bytes = NULL, unused;
    PFM_TRY(pfm_allocate(chain->count, sizeof *bytes, &bytes, err));
    PFM_TRY(pfm_allocate(chain->count, sizeof *ref->weights, &ref->weights, err));
    for (size_t i = 0; i < chain->count; i++) {
        const pfm_conv_step *s = &chain->steps[i];
        size_t weights = weight_count(s), biases = (size_t)s->channels_out;
        PFM_TRY(pfm_allocate(weights + biases, sizeof(float), &ref->weights[i], err));
        memcpy(ref->weights[i], s->weight, weights * sizeof(float));
        memcpy(ref->weights[i] + weights, s->bias, biases * sizeof(float));
        bytes[i] = result_count(s) * sizeof(float);
    }
    PFM_TRY(pfm_conv_chain_place(chain, bytes, 0, &unused, err));
done:
    free(bytes);
    return status;
}

/* The sum for one output: x at the first channel that it reads, w at its filter. */
static double one_sum(const pfm_conv_step *s, const float *x, const float *w, int row, int column)
{
    double sum = 0;
    int height = s->size_in[0], width = s->size_in[1], k = s->kernel;
    for (int c = 0; c < s->channels_in / s->groups; c++)
        for (int a = 0; a < k; a++) {
            int i = row * s->stride - s->pad[0] + a;
            if (i < 0 || i >= height)
                continue;
            for (int b = 0; b < k; b++) {
                int j = column * s->stride - s->pad[1] + b;
                if (j >= 0 && j < width)
                    sum += (double)x[((size_t)c * (size_t)height + (size_t)i) * (size_t)width + (size_t)j] *
                           (double)w[(c * k + a) * k + b];
            }
        }
    return sum;
}

static void one_step(const pfm_conv_step *s, const float *weights, const float *x, float *y)
{
    const float *bias = weights + weight_count(s);
    size_t filter = weight_count(s) / (size_t)s->channels_out, plane = (size_t)s->size_in[0] * (size_t)s->size_in[1];
    for (int o = 0; o < s->channels_out; o++) {
        const float *from = x + (s->groups == 1 ? 0 : (size_t)o * plane);
        for (int row = 0; row < s->size_out[0]; row++)
            for (int column = 0; column < s->size_out[1]; column++, y++) {
                double sum = (double)bias[o] + one_sum(s, from, weights + (size_t)o * filter, row, column);
                if (s->addend >= 0)
                    sum += (double)*y; /* the addend's result stands where this one goes */
                if (s->relu6)
                    sum = sum < 0 ? 0 : sum > 6 ? 6 : sum;
                *y = (float)sum;
            }
    }
}

/* output [H*W, C] = y [C,H,W] */
static void copy_result(const pfm_conv_step *s, const float *y, float *output)
{
    size_t channels = (size_t)s->channels_out, places = result_count(s) / channels;
    for (size_t p = 0; p < places; p++)
        for (size_t c = 0; c < channels; c++)
            output[p * channels + c] = y[c * places + p];
}

static pfm_status ref_run(pfm_conv_chain *chain, int thread, const float *input, const pfm_conv_result *results, size_t count,
                          pfm_error *err)
{
    (void)err;
    ref_chain *ref = (ref_chain *)chain;
    for (size_t i = 0, given = 0; given < count; i++) {
        const pfm_conv_step *s = &chain->steps[i];
        const float *x = s->input < 0 ? input : (const float *)(void *)pfm_conv_chain_result(chain, thread, (size_t)s->input);
        float *y = (float *)(void *)pfm_conv_chain_result(chain, thread, i);
        one_step(s, ref->weights[i], x, y);
        if (i == results[given].step)
            copy_result(s, y, results[given++].output);
    }
    return PFM_OK;
}

const pfm_conv_backend pfm_conv_backend_ref = {
    .chain_size = sizeof(ref_chain), .build = ref_build, .run = ref_run, .free = ref_free};
