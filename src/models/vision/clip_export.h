/* A vision transformer in the form that other programs know as CLIP's: tensors under transformers' and llama.cpp's names, and
 * the numbers that their configurations need. */
#ifndef PFM_MODELS_VISION_CLIP_EXPORT_H
#define PFM_MODELS_VISION_CLIP_EXPORT_H

#include "models/vision/vision.h"

enum { PFM_CLIP_NAME_BYTES = 96 };

typedef struct pfm_clip_tensor {
    char name[PFM_CLIP_NAME_BYTES]; /* transformers', in CLIPVisionModel behind "vision_model." */
    char gguf[PFM_CLIP_NAME_BYTES]; /* llama.cpp's; empty: it has none */
    int rank;
    int64_t shape[4];
} pfm_clip_tensor;

typedef struct pfm_clip {
    int32_t width, layers, heads, mlp, patch;
    int image_size;
    int layer;              /* the hidden state that makes the features; 0 enters the first block */
    bool class_token;       /* features begin with it */
    const char *activation; /* transformers' hidden_act */
    double epsilon, scale;  /* scale: of a byte */
    float mean[3], deviation[3];
    pfm_clip_tensor *tensors;
    size_t count;
    struct pfm_clip_source *source;
} pfm_clip;

/* *why = NULL where features of these layers of the encoder (a kind or a path, as a recipe names it) are a hidden state of a
 * CLIP, under whatever names its file has; else what is not. */
pfm_status pfm_clip_unfit(const char *kind, const pfm_vision_layers *layers, const char **why, pfm_error *err) PFM_MUST_CHECK;

/* Opens the weights at options->path of an encoder that fits. Positions become those of options->image_size, so that nobody has
 * to resize them. The norm of the pooled class token, which no feature passes, is left at 1 and 0. The caller frees *out. */
pfm_status pfm_clip_open(const pfm_vision_options *options, pfm_clip **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_clip_free(pfm_clip *clip);
/* What a model's graph calls the tensor, or NULL: it is no parameter there. */
const char *pfm_clip_parameter(const pfm_clip *clip, size_t index);
/* out f32 [shape]. FORMAT for values that are not finite. */
pfm_status pfm_clip_read(const pfm_clip *clip, size_t index, float *out, pfm_error *err) PFM_MUST_CHECK;

#endif
