/* What a model builds itself with. Every place that a PEFT method can touch passes one hook, with the place's Hugging Face
 * name; models know no method, methods know no model. */
#ifndef PFM_NN_BUILDER_H
#define PFM_NN_BUILDER_H

#include "nn/graph.h"

typedef enum pfm_model_place_kind {
    PFM_PLACE_LINEAR, /* output = linear(input, weight) + whatever was added: the hook may replace the output */
    PFM_PLACE_BLOCK   /* the hidden state before a block of the language model, input and output: the hook may replace it */
} pfm_model_place_kind;

typedef struct pfm_model_place {
    pfm_model_place_kind kind;
    const char *name; /* the module's, "model.layers.3.self_attn.q_proj" */
    pfm_value input;  /* act [rows, k]; of a block f32 [tokens, hidden] */
    pfm_value output; /* [rows, n], f32 or act */
    int weight;       /* parameter id of [n, k] */
    int64_t n, k;
    int32_t block; /* which block, from 0 */
} pfm_model_place;

struct pfm_builder;

/* A method at work on this model, or an aligner that acts within the language model. apply is called once a place and graph and
 * may set *output to a value of the same shape. */
typedef struct pfm_hook {
    void *user;
    pfm_status (*apply)(void *user, struct pfm_builder *builder, const pfm_model_place *place, pfm_value *output,
                        pfm_error *err);
} pfm_hook;

typedef struct pfm_builder {
    pfm_graph *graph;
    const pfm_hook *hook;    /* the PEFT method; NULL: the bare model */
    const pfm_hook *aligner; /* NULL: visual tokens stand in the sequence */
    bool learns_norms;       /* the weights of the language model's norms are a learned part */
    pfm_value token_keys;    /* i64 [tokens,1], for dropout: the same key and place drop the same columns */
    pfm_dtype blocks;        /* the block type that frozen linear layers are kept in; anything else: none */
} pfm_builder;

/* The id of a parameter, declared at its first use; MISMATCH where an earlier use gave it another shape. */
pfm_status pfm_build_parameter(pfm_builder *builder, const pfm_parameter *declaration, int *id, pfm_error *err) PFM_MUST_CHECK;

/* To be called where each block of a model begins, and behind the last: see pfm_graph_checkpoint. */
pfm_status pfm_build_checkpoint(pfm_builder *builder, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_linear_options {
    int64_t n, k;
    bool bias;        /* a parameter NAME.bias [n] */
    pfm_value addend; /* PFM_NO_VALUE: none */
    pfm_storage output;
    bool trainable;      /* the weight and the bias train */
    pfm_initial initial; /* of the weight; a bias that is not loaded starts at zero */
    double initial_scale;
} pfm_linear_options;

/* *y = x NAME.weight^T (+ NAME.bias) (+ addend), and then what the hook makes of it. x act [rows, k]. */
pfm_status pfm_build_linear(pfm_builder *builder, pfm_value x, const char *name, const pfm_linear_options *options,
                            pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* Before each block of a language model, with the block's name and number: *hidden f32 [tokens, hidden] becomes what the hooks
 * make of it. */
pfm_status pfm_build_block(pfm_builder *builder, const char *name, int32_t block, pfm_value *hidden,
                           pfm_error *err) PFM_MUST_CHECK;
/* *y act = NAME.weight * x / rms(x), x f32. */
pfm_status pfm_build_rmsnorm(pfm_builder *builder, pfm_value x, const char *name, double epsilon, pfm_value *y,
                             pfm_error *err) PFM_MUST_CHECK;
/* *y act = NAME.weight (x - mean) / deviation + NAME.bias, x f32; group > 0: over each run of so many columns, else over the
 * row. */
pfm_status pfm_build_layernorm(pfm_builder *builder, pfm_value x, const char *name, double epsilon, int32_t group, pfm_value *y,
                               pfm_error *err) PFM_MUST_CHECK;
/* The same, *y kept as output says: f32 for what stays in the residual stream. */
pfm_status pfm_build_layernorm_as(pfm_builder *builder, pfm_value x, const char *name, double epsilon, int32_t group,
                                  pfm_storage output, pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* *y act = the activation of x act. */
pfm_status pfm_build_activation(pfm_builder *builder, pfm_activation kind, pfm_value x, pfm_value *y,
                                pfm_error *err) PFM_MUST_CHECK;
/* *y = of every `stride` columns of x act the `run` that begin at `first`, side by side, in `output`. */
pfm_status pfm_build_columns(pfm_builder *builder, pfm_value x, int32_t first, int32_t run, int32_t stride, pfm_storage output,
                             pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* *y f32 = a + NAME b, NAME a vector along the columns, or a + b where name is NULL; a f32, b f32 or act. */
pfm_status pfm_build_add(pfm_builder *builder, pfm_value a, pfm_value b, const char *name, pfm_value *y,
                         pfm_error *err) PFM_MUST_CHECK;

#endif
