/* Vision transformers (Dosovitskiy et al., An Image is Worth 16x16 Words, 2021): pre-norm blocks over the patches of a picture,
 * all of which see each other. CLIP, SigLIP, DINOv2 and EVA-CLIP are of this one engine; what differs between them is said in
 * a config. Inside this folder. */
#ifndef PFM_MODELS_VISION_VIT_H
#define PFM_MODELS_VISION_VIT_H

#include "formats/weights.h"
#include "models/vision/patch_spans.h"
#include "models/vision/vision.h"
#include "nn/builder.h"
#include "nn/executor.h"

enum { PFM_VIT_PREFIX_BYTES = 48, PFM_VIT_NAME_BYTES = 160 };

/* What a family's files call the tensors; a name here lacks ".weight" and ".bias" unless it says otherwise. NULL: the family
 * has no such tensor. */
typedef struct pfm_vit_names {
    const char *class_token, *registers, *positions; /* whole names */
    int lead; /* sizes of 1 before the first two's own: [C] or [1,1,C]; [N,C] or [1,N,C] */
    const char *patch, *pre_norm, *final_norm;
    bool final_norm_outside;                              /* without the prefix */
    const char *block;                                    /* "encoder.layers.%d." */
    const char *qkv[3];                                   /* queries, keys and values apart */
    const char *fused_weight, *fused_bias, *part_bias[3]; /* or one below the other; whole names, as are the parts' biases */
    const char *out, *norm[2], *scale[2];                 /* scale: whole names */
    const char *up, *gate_up, *down;                      /* of the MLP; gate_up: gate and up one below the other */
    const char *gated_down;
} pfm_vit_names;

typedef enum pfm_vit_bias { PFM_VIT_BIAS_NONE, PFM_VIT_BIAS_QUERY_VALUE, PFM_VIT_BIAS_ALL } pfm_vit_bias;

typedef struct pfm_vit_config {
    const char *family; /* "clip" */
    const pfm_vit_names *names;
    const char *const *ignored;        /* patterns of tensors that features do not pass */
    char prefix[PFM_VIT_PREFIX_BYTES]; /* before every name of the file */
    int32_t width, layers, heads, mlp; /* mlp: of the hidden layer, of a gated one the width of each half */
    int32_t patch, position_grid;      /* pixels a side; positions a side that the file has */
    int32_t registers;                 /* tokens beside the class token that no feature comes from */
    bool class_token, patch_bias, pre_norm, final_norm, scaled, gated;
    bool antialias;    /* how positions are resized, see vit_positions.h */
    pfm_vit_bias bias; /* of queries, keys and values */
    pfm_activation activation;
    double epsilon;
} pfm_vit_config;

typedef struct pfm_vit pfm_vit;

/* Layers are transformers' hidden_states: 0 is what enters the first block, i what block i gives. Layer
 * `layers` + 1 is what a norm makes of the last one: the final norm, where there is one, or else one without weights.
 * pfm_vit_output_layer is the final norm's, or else the last. */
int pfm_vit_output_layer(const pfm_vit_config *config);

/* USAGE for an image size that cannot be. *parameters counts what the output is computed with. */
pfm_status pfm_vit_shape(const pfm_vit_config *config, int image_size, const pfm_vision_layers *layers, pfm_vision_shape *shape,
                         uint64_t *parameters, pfm_error *err) PFM_MUST_CHECK;

/* The bytes that the parameters of the blocks up to a layer take. */
pfm_status pfm_vit_bytes(const pfm_vit_config *config, int layer, pfm_precision precision, size_t *bytes,
                         pfm_error *err) PFM_MUST_CHECK;

/* The tensor that makes one parameter of the graph, or a part of it. */
typedef struct pfm_vit_tensor {
    char file[PFM_VIT_NAME_BYTES]; /* its name in the file */
    char ours[PFM_VIT_NAME_BYTES]; /* the parameter; empty: it enters the embedding, see pfm_vit_embedding */
    int64_t n, k;                  /* of the parameter */
    int part, parts;               /* which of so many below each other in the file's tensor */
    int rank;                      /* of the file's tensor */
    int64_t shape[PFM_MAX_RANK];
} pfm_vit_tensor;

/* Every tensor that the network has, in the file's order of use; *out is released with free(). */
pfm_status pfm_vit_list_tensors(const pfm_vit_config *config, pfm_vit_tensor **out, size_t *count,
                                pfm_error *err) PFM_MUST_CHECK;
/* MISMATCH lists what is missing, misshapen or not expected. */
pfm_status pfm_vit_check_tensors(const pfm_vit_config *config, const pfm_weights *weights, pfm_error *err) PFM_MUST_CHECK;
/* Sets every declared parameter from its tensor. FORMAT for values that are not finite. */
pfm_status pfm_vit_load_parameters(const pfm_vit_config *config, const pfm_weights *weights, pfm_parameters *parameters,
                                   pfm_error *err) PFM_MUST_CHECK;
/* What is added to the patches' products: *out f32 [class and register tokens + grid * grid, width] = class token and position,
 * registers, then the positions resized to `grid` a side with the patches' bias. The caller frees it with free(). */
pfm_status pfm_vit_load_embedding(const pfm_vit_config *config, const pfm_weights *weights, int grid, float **out,
                                  pfm_error *err) PFM_MUST_CHECK;

/* out f32 [n,k] of one tensor of the list. FORMAT for values that are not finite. */
pfm_status pfm_vit_read_tensor(const pfm_weights *weights, const pfm_vit_tensor *tensor, float *out,
                               pfm_error *err) PFM_MUST_CHECK;
/* out f32 [width], of a family that has one. */
pfm_status pfm_vit_read_class_token(const pfm_vit_config *config, const pfm_weights *weights, float *out,
                                    pfm_error *err) PFM_MUST_CHECK;
/* out f32 [class token and grid * grid, width]: those of the grid resized to `grid` a side. */
pfm_status pfm_vit_read_positions(const pfm_vit_config *config, const pfm_weights *weights, int grid, float *out,
                                  pfm_error *err) PFM_MUST_CHECK;

/* The blocks behind layer `first` in a graph of whatever model: hidden f32 [patches, width] is that layer of every token of
 * pictures of `tokens` tokens each, states[i] becomes layer layers->layer[i], none of which stands before it. The builder's
 * hook is shown every layer; each block begins a checkpoint. Who sees whom is PFM_ATTENTION_PATCHES. */
pfm_status pfm_vit_build_blocks(const pfm_vit_config *config, pfm_builder *builder, const pfm_vision_layers *layers, int first,
                                int64_t tokens, pfm_value hidden, pfm_value *states, pfm_error *err) PFM_MUST_CHECK;

/* Loads the weights of the blocks that `layers` (ascending, counted from 0) need; weights NULL: numbers without a meaning, to
 * measure with. gradients: what pfm_vit_gradient needs is kept too. The caller frees it before the context. */
pfm_status pfm_vit_create(const pfm_context *context, const pfm_vit_config *config, const pfm_weights *weights, int image_size,
                          const pfm_vision_layers *layers, bool gradients, pfm_vit **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_vit_free(pfm_vit *vit);
/* Gives working memory back until the next encoding. */
void pfm_vit_rest(pfm_vit *vit);

/* features[i] f32 [tokens, width] of each layer for pixels [3,H,W]: the class token first where the layers ask for it. Slot
 * PFM_VISION_ALL_THREADS: by all threads of the context, else by the calling one in that slot's memory; the same bits. */
pfm_status pfm_vit_encode(pfm_vit *vit, int slot, const float *pixels, float *const *features, pfm_error *err) PFM_MUST_CHECK;
/* The same for one layer, and grad_pixels [3,H,W] for its gradient [tokens, width]. */
pfm_status pfm_vit_gradient(pfm_vit *vit, const float *pixels, const float *grad_features, float *features, float *grad_pixels,
                            pfm_error *err) PFM_MUST_CHECK;

/* The executor of PFM_VISION_ALL_THREADS, for its profile; NULL before the first such encoding. */
pfm_executor *pfm_vit_get_executor(const pfm_vit *vit);

#endif
