/* Chains of two-dimensional convolutions: what a convolutional image encoder is made of. A chain is described once, step by
 * step, then compiled for the kernel level: plain C (ref/conv_ref.c, the oracle) or oneDNN (onednn/conv_onednn.c), which choose
 * layouts, reorder the weights once and place the intermediate results in one arena a thread.
 *
 * One step computes, for an image [C,H,W],
 *   y[o,i,j] = bias[o] + sum over c,a,b of weight[o,c,a,b] * x[g(o) + c, i * stride - pad + a, j * stride - pad + b]
 * with zeros outside the image, then adds another step's result where asked, or clips to 0..6 (ReLU6) where asked. */
#ifndef PFM_KERNELS_CONV_H
#define PFM_KERNELS_CONV_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct pfm_conv_step {
    int channels_in, channels_out;
    int groups;         /* 1, or channels_in where channels_out is the same (depthwise) */
    int kernel, stride; /* square */
    int size_in[2];     /* height, width */
    int size_out[2];
    int pad[2];          /* zeros above and on the left; below and on the right as many as size_out needs */
    bool relu6;          /* clip to 0..6; not together with addend */
    bool output;         /* its result may be asked for by pfm_conv_chain_run */
    int input;           /* the step whose result is read, -1: the chain's input */
    int addend;          /* the step whose result is added, -1: none; no later step reads that result */
    const float *weight; /* [channels_out, channels_in / groups, kernel, kernel], read by create only */
    const float *bias;   /* [channels_out], read by create only */
} pfm_conv_step;

/* Padding as TensorFlow's "SAME": out = ceil(in / stride); of the zeros needed the smaller half comes first. Fills size_out and
 * pad from size_in, kernel and stride. */
void pfm_conv_step_pad_same(pfm_conv_step *step);

typedef struct pfm_conv_chain pfm_conv_chain;

/* Compiles `count` >= 1 steps for the kernel level and for calls from `threads` threads; the caller frees. MISMATCH for shapes
 * that do not fit each other, naming the step. */
pfm_status pfm_conv_chain_create(const char *level, const pfm_conv_step *steps, size_t count, int threads, pfm_conv_chain **out,
                                 pfm_error *err) PFM_MUST_CHECK;
void pfm_conv_chain_free(pfm_conv_chain *chain);

/* A result that is wanted: output [H*W, C] f32 of a step that is marked as output. */
typedef struct pfm_conv_result {
    size_t step;
    float *output;
} pfm_conv_result;

/* Fills results[0 .. count), count >= 1, their steps ascending, for input [C,H,W] f32, in one pass that ends with the last of
 * them. Single-threaded; calls with different `thread` (0..threads-1) may run at once, and the results do not depend on it. */
pfm_status pfm_conv_chain_run(pfm_conv_chain *chain, int thread, const float *input, const pfm_conv_result *results,
                              size_t count, pfm_error *err) PFM_MUST_CHECK;

/* Gives the arenas' memory back to the system until the next run. */
void pfm_conv_chain_rest(pfm_conv_chain *chain);

/* The arena's bytes of one thread. */
size_t pfm_conv_chain_thread_bytes(const pfm_conv_chain *chain);

#endif
