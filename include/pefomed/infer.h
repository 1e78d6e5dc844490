/* Evaluation, questions and export of a run. */
#ifndef PEFOMED_INFER_H
#define PEFOMED_INFER_H

#include "pefomed/context.h"
#include "pefomed/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one question, or one report ---- */

/* Receives the answer piece by piece as it is made: `length` bytes of UTF-8, valid for the call only. */
typedef void (*pfm_text_function)(void *user, const char *text, size_t length);

/* An adapter that answers in place of a run's own: a folder in Hugging Face PEFT's format, or a run with its aligner. */
typedef struct pfm_named_adapter {
    const char *name, *folder; /* folder "none": the base */
} pfm_named_adapter;

typedef struct pfm_ask_options {
    const char *run;           /* a run's folder, or a recipe file: the untrained model */
    const char *const *images; /* [image_count] picture files, or folders that hold a series, at least one; none where the model
                                  sees nothing */
    size_t image_count;
    const char *series; /* which series of a folder (pefomed/series.h); NULL: the only one */
    const char *slices; /* which slices of a series, each an image of its own; NULL: as the recipe says, or all of a folder's */
    const char *question; /* may say with <image>, once for each in order, where the images stand; else they come first */
    const char *context;  /* "modality=CT": what chooses the experts where peft.router is context; NULL: not known */
    bool report;          /* a report is to be written; question is its indication, or "" */
    int max_tokens;       /* of the answer; 0: the recipe's eval.max_tokens */
    const char *const *settings; /* [setting_count] "temperature=0.7": in place of the recipe's keys under eval
                                    (docs/decoding.md); of a list each adds one */
    size_t setting_count;
    const char *const
        *choices; /* [choice_count] the answer is the likeliest of these, of equal ones the first; none: it is free */
    size_t choice_count;
    int returned;                      /* of beam search: list so many answers, at most as many as beams; 0: the best alone */
    const pfm_named_adapter *adapters; /* [adapter_count] that answer, all in one batch; none: the run's own */
    size_t adapter_count;
    const char *sr;          /* a DICOM file to be written, a structured report of the answer (sr.h), or NULL */
    const char *sr_kind;     /* "basic", "enhanced"; NULL: basic */
    const char *sr_language; /* NULL: English where the answer is ASCII, else not told */
    bool sr_dated;           /* the report is of sr_time, in seconds since 1970, and no UID of it by chance */
    int64_t sr_time;
    pfm_record_options record; /* where each answer is recorded before it is told to its end */
    pfm_text_function write;   /* NULL: the answer is in the result only */
    void *user;
} pfm_ask_options;

/* *json = {"answer","prompt","tokens","seconds","probability"}, the caller calls free(). prompt is the exact text given to the
 * model with <image> where the visual tokens of an image stand; seconds is from the loaded model to the last token; "images"
 * says of each what made a picture of its file (pfm_image_applied_json) and, of a slice of a series, which it is. Where it is
 * recorded "record" has {"sequence","hash"} of its entry, of several adapters a list of theirs. Of several
 * adapters these are the first's, and "answers" has {"adapter","answer","tokens","probability"} of each. With `returned`
 * "sequences" has
 * {"answer","tokens","probability","score"} of the best. With choices each answer has "choices" with
 * {"choice","log_likelihood","tokens","score","probability"} of all, and its probability is its share among them. */
pfm_status pfm_ask(pfm_context *context, const pfm_ask_options *options, char **json, pfm_error *err) PFM_MUST_CHECK;

/* ---- a run for other programs ---- */

typedef struct pfm_export_options {
    const char *run; /* a run's folder; with base a recipe file will do */
    const char *out; /* a folder, or for gguf a file */
    bool merge; /* the language model with the adapter merged in; with a CLIP, mlp2x_gelu and a LLaMA all of it, as a LLaVA */
    bool base;  /* the language model as it is computed with, in f32 */
    const char *to; /* "peft" (the adapter alone), "safetensors", "gguf" (F32); NULL: peft, or with merge or base safetensors */
} pfm_export_options;

/* Writes what Hugging Face's from_pretrained (peft, safetensors: with tokenizer and configuration) or llama.cpp (gguf) reads. A
 * LLaVA's vision encoder and aligner are, for llama.cpp, in a second file: beside m.gguf m-mmproj.gguf. */
pfm_status pfm_export(pfm_context *context, const pfm_export_options *options, pfm_error *err) PFM_MUST_CHECK;

/* ---- adapters added, subtracted, merged into one ---- */

typedef struct pfm_combine_options {
    const char *out;             /* a folder */
    const char *const *adapters; /* [count] folders in Hugging Face PEFT's format, or runs; LoRA alone */
    const double *factors;       /* [count] what each is multiplied by, negative to subtract; NULL: 1 each */
    size_t count;
    const char *by; /* "cat": exact, ranks add up; "svd": the nearest sum of a rank; "linear": sums of factors of one rank, each
                       times the root of its weight */
    int rank;       /* of svd; 0: the largest of the adapters' */
} pfm_combine_options;

/* Writes the adapter that PEFT's add_weighted_adapter makes of these, with scale 1, and beside it their aligner where all have
 * the same. *json = {"output","by","rank","layers","parameters"} and of svd "relative_error", the part of the sum's size that
 * is lost; the caller calls free(). UNSUPPORTED where an adapter is more than LoRA's factors. */
pfm_status pfm_combine_adapters(pfm_context *context, const pfm_combine_options *options, char **json,
                                pfm_error *err) PFM_MUST_CHECK;

/* ---- a language model in fewer bits ---- */

typedef struct pfm_quantize_options {
    const char *model; /* by name or path */
    const char *out;   /* a GGUF file, or for nf4 a folder */
    const char *to;    /* "q8_0", "q4_0", "q4_1", "q4_k", "nf4" */
} pfm_quantize_options;

/* Writes the model with its linear layers in blocks, all else as it is: of a GGUF a GGUF (the bytes of ggml's reference but for
 * q4_k, whose scales are searched for), of a Hugging Face folder one that bitsandbytes reads. *json = {"output","to",
 * "quantised","kept" (tensors),"relative_error"}; the caller calls free(). UNSUPPORTED where the kind of file cannot hold the
 * type, or rows are not whole blocks. */
pfm_status pfm_quantize(pfm_context *context, const pfm_quantize_options *options, char **json, pfm_error *err) PFM_MUST_CHECK;

/* ---- one part of a model on tensors, to check it against another implementation ---- */

typedef struct pfm_forward_options {
    const char *model;   /* a run, or a model by name or path */
    const char *input;   /* safetensors: input_ids [T] or inputs_embeds [T,D]; pixel_values [3,H,W]; or image_features [N,C] */
    const char *output;  /* safetensors: logits [T,V], or features [N,C] */
    const char *adapter; /* NULL, or a folder in PEFT's format */
    bool has_layer;
    int layer;    /* of a vision encoder: which hidden state; negative counts from the end */
    bool patches; /* of a vision encoder: without the class token, which else comes first where there is one (of a run: as its
                     recipe says) */
    bool grad;    /* input also holds grad_out of the output's shape; output gains grad_in and NAME.grad of what trains */
} pfm_forward_options;

/* Text alone, no dropout, rows in one sequence from position 0. USAGE where the input names no part, or the part cannot. */
pfm_status pfm_forward(pfm_context *context, const pfm_forward_options *options, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
