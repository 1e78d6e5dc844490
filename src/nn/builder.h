/* What a model builds itself with. Every place that a PEFT method can touch passes one hook, with the place's Hugging Face
 * name; models know no method, methods know no model. */
#ifndef PFM_NN_BUILDER_H
#define PFM_NN_BUILDER_H

#include "nn/graph.h"

typedef enum pfm_place_kind {
    PFM_PLACE_INPUT,    /* what a linear layer reads, act [rows, k]; there is no input beside it */
    PFM_PLACE_LINEAR,   /* what a linear layer makes of its input: [rows, n], f32 or act */
    PFM_PLACE_SUBLAYER, /* what an attention or an MLP adds to the hidden state, [rows, hidden], of its input act [rows, hidden]
                         */
    PFM_PLACE_BLOCK,    /* the hidden state f32 [tokens, hidden] before a block of the language model */
    PFM_PLACE_EMBEDDING, /* the language model's first hidden state f32 [tokens, hidden], before positions are added */
    PFM_PLACE_KEYS,      /* what an attention of the language model reads as keys, rotated: act [tokens, kv heads * head_dim] */
    PFM_PLACE_VALUES,    /* and as values */
    PFM_PLACE_NORM       /* a norm's weight and bias: asked of hooks that train what is frozen, never built upon */
} pfm_place_kind;

/* What a hook does at a place. What only adds may be given an output to which the hidden state is added already. */
typedef enum pfm_touch { PFM_TOUCH_NOTHING, PFM_TOUCH_ADDS, PFM_TOUCH_REPLACES } pfm_touch;

typedef enum pfm_sublayer { PFM_SUBLAYER_ATTENTION, PFM_SUBLAYER_MLP } pfm_sublayer;

typedef struct pfm_model_place {
    pfm_place_kind kind;
    const char *name;      /* the module's, "model.layers.3.self_attn.q_proj"; of a sublayer, keys and values "....self_attn" */
    pfm_value input;       /* PFM_NO_VALUE where there is none, or nothing is built yet */
    pfm_value output;      /* what the hook may replace by a value of the same shape */
    int weight;            /* of a linear layer: the parameter's id [n, k]; else -1 */
    int64_t n, k;          /* columns of output and input */
    int32_t block;         /* which block of its network, from 0; -1: outside of them */
    pfm_sublayer sublayer; /* of SUBLAYER: which of the two it is */
    pfm_touch only;        /* of a hook of several adapters: those that do this here; NOTHING: all of them */
} pfm_model_place;

struct pfm_builder;

/* A method at work on this model, or an aligner that acts within the language model. */
typedef struct pfm_hook {
    void *user;
    /* Asked before a place is built: input and output are not there yet. NULL: everything is touched, by adding. */
    pfm_touch (*touches)(void *user, const pfm_model_place *place);
    /* Called once a place that is touched and graph; may set *output to a value of the same shape. */
    pfm_status (*apply)(void *user, struct pfm_builder *builder, const pfm_model_place *place, pfm_value *output,
                        pfm_error *err);
    /* Of several adapters, at a layer to whose output the hidden state is added: `added` f32 [rows, n] is what those make that
     * only add, to the sum, `replaced` the sum of the hidden state and what the others make; *y = by row that of its adapter.
     * sublayer: that the layer ends, or NULL. NULL: one adapter alone. */
    pfm_status (*join)(void *user, struct pfm_builder *builder, const pfm_model_place *layer, const pfm_model_place *sublayer,
                       pfm_value added, pfm_value replaced, pfm_value *y, pfm_error *err);
    /* Whether a parameter of the base trains: "weight" or "bias" of a linear layer (the head too) or a norm, "weight" of an
     * embedding. NULL: none does. */
    bool (*trains)(void *user, const pfm_model_place *place, const char *parameter);
} pfm_hook;

typedef struct pfm_builder {
    pfm_graph *graph;
    const pfm_hook *hook;    /* the PEFT method; NULL: the bare model */
    const pfm_hook *aligner; /* NULL: visual tokens stand in the sequence */
    bool learns_norms;       /* the weights of the language model's norms are a learned part */
    pfm_value contexts;   /* i32 [tokens,1] of their rows, see pfm_sequence, for routers; PFM_NO_VALUE where there are none */
    pfm_row_sort rows;    /* which these are */
    pfm_value token_keys; /* i64 [tokens,1], for dropout: the same key and place drop the same columns */
    pfm_value ids;        /* i32 [tokens,1] of the language model, see pfm_id_is_virtual; PFM_NO_VALUE outside of it */
    pfm_value adapters; /* i32 [tokens,1]: which of several adapters each goes through, -1: the base; PFM_NO_VALUE: one alone */
    const char *network; /* what the names of its modules begin with, "vision_model", for what they share; NULL: the language
                            model, whose begin with nothing */
    const char *slot;    /* NULL, or what the names of an aligner's parameters begin with, where it is one of several */
    pfm_dtype blocks;    /* the block type that frozen linear layers are kept in; anything else: none */
    bool full_weights;   /* they stay as the precision says, whatever the context asks for */
    int32_t block;       /* which block of its network is being built, -1: none; for the places' sake */
    int32_t block_count; /* of the language model */
    pfm_value made;      /* of the language model: what the hook made at its first place for all of them, or PFM_NO_VALUE */
} pfm_builder;

/* The id of a parameter, declared at its first use; MISMATCH where an earlier use gave it another shape. */
pfm_status pfm_build_parameter(pfm_builder *builder, const pfm_parameter *declaration, int *id, pfm_error *err) PFM_MUST_CHECK;

/* Whether the hook trains a parameter of the base at a place: what is not built by the functions below must ask itself. */
bool pfm_build_trains(const pfm_builder *builder, pfm_place_kind kind, const char *name, int64_t n, int64_t k,
                      const char *parameter);

/* To be called where each block of a model begins, and behind the last: see pfm_graph_checkpoint. */
pfm_status pfm_build_checkpoint(pfm_builder *builder, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_linear_options {
    int64_t n, k;
    bool bias;                /* a parameter NAME.bias [n] */
    pfm_value addend;         /* PFM_NO_VALUE: none; else output is f32 */
    const char *sublayer;     /* NULL, or the attention or MLP whose last layer this is, */
    pfm_sublayer kind;        /* which of the two it is, */
    pfm_value sublayer_input; /* and what it read, act [rows, hidden] */
    pfm_storage output;
    bool trainable;      /* the weight and the bias train */
    pfm_initial initial; /* of the weight; a bias that is not loaded starts at zero */
    double initial_scale;
} pfm_linear_options;

/* *y = x NAME.weight^T (+ NAME.bias) (+ addend), with what the hook makes of x, of the layer and of the sublayer that it ends.
 * x act [rows, k]. */
pfm_status pfm_build_linear(pfm_builder *builder, pfm_value x, const char *name, const pfm_linear_options *options,
                            pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* At a place that has a value and no layer of its own: *output becomes what the hook makes of it. */
pfm_status pfm_build_place(pfm_builder *builder, pfm_place_kind kind, const char *name, pfm_value *output,
                           pfm_error *err) PFM_MUST_CHECK;
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
/* *y act = x f32 or act. */
pfm_status pfm_build_act(pfm_builder *builder, pfm_value x, pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* *y = of every `stride` columns of x act the `run` that begin at `first`, side by side, in `output`. */
pfm_status pfm_build_columns(pfm_builder *builder, pfm_value x, int32_t first, int32_t run, int32_t stride, pfm_storage output,
                             pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* *y = by row z where its number (i32 [rows,1]) is `number`, else x; z and x of one shape. */
pfm_status pfm_build_choose(pfm_builder *builder, pfm_value x, pfm_value z, pfm_value numbers, int32_t number, pfm_value *y,
                            pfm_error *err) PFM_MUST_CHECK;
/* *y f32 = a + NAME b, NAME a vector along the columns, or a + b where name is NULL; a f32, b f32 or act. */
pfm_status pfm_build_add(pfm_builder *builder, pfm_value a, pfm_value b, const char *name, pfm_value *y,
                         pfm_error *err) PFM_MUST_CHECK;

#endif
