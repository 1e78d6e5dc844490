/* Measurements of this machine and of this library on it. A measurement is one function and one line here. */
#ifndef PEFOMED_BENCH_H
#define PEFOMED_BENCH_H

#include "pefomed/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_bench_options {
    bool profile;      /* step, vision: a row for each operator and direction too */
    int layers;        /* step, base: of how many layers; 0: all of the small model, one of the large */
    const char *only;  /* base: NULL, or a part of the names of the rows wanted */
    const char *trace; /* step: NULL, or a file for the trace of one step, as chrome://tracing and Perfetto open it */
} pfm_bench_options;

/* *json_out = one JSON text, released by the caller with free():
 *
 * {"bench","level" (of the kernels),"threads" (of the context),"cpu" (the processor's name),
 *  "peak":{"f32","bf16","int8"} (GFLOP/s of one thread, multiplications and additions in registers; null at level ref),
 *  "read" (GB/s that all threads together read from memory), "read_alone" (one thread),
 *  "rows":[{"name","shape","type" ("f32","bf16","int8" or null),"by" ("own" or a library's name),"threads",
 *           "work","unit" ("FLOP" or "byte": what `work` counts),"seconds" (the fastest of several),
 *           "rate" (work / seconds / 1e9),"share" (percent of the peak of that type, or of "read" for bytes; or null)}]}
 *
 * Each takes some seconds. NO_MEMORY; INTERRUPTED where the user asked to stop; IO where the trace cannot be written. MISMATCH
 * where a reference kernel is in use although this machine has faster ones: such figures would say nothing. */
typedef pfm_status (*pfm_bench_function)(const pfm_context *context, const pfm_bench_options *options, char **json_out,
                                         pfm_error *err);

/* X(name, one line for people) */
#define PFM_BENCH_LIST(X)                                                                                                      \
    X(peaks, "what this machine can do: arithmetic and reading, on one thread, on more and on all")                            \
    X(products, "matrix products at the shapes of a 135M language model, ours and oneDNN's")                                   \
    X(attention, "attention of one layer of nine heads, forward and backward")                                                 \
    X(rows, "what works on rows: norms, activation, dropout, loss, optimiser, packing")                                        \
    X(step, "a training step of the 135M model on 16 questions about four images")                                             \
    X(growth, "training steps with more images, questions, visual tokens and threads: the rate should stay")                   \
    X(base, "a training step on layers of the shape of LLaMA-2-7B, the frozen base in bf16 and in 8 or 4 bits")                \
    X(decode, "decoding with the 135M model, one row and several: a token a row")                                              \
    X(vision, "a picture of 448 pixels through eight blocks of EVA-CLIP's ViT-g/14")

#define PFM_BENCH_DECLARE(name, summary)                                                                                       \
    pfm_status pfm_bench_##name(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err) \
        PFM_MUST_CHECK;
PFM_BENCH_LIST(PFM_BENCH_DECLARE)

#ifdef __cplusplus
}
#endif
#endif
