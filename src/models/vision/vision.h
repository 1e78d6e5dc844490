/* Vision encoders: from a picture to features that an aligner turns into visual tokens. An encoder is frozen here. A network of
 * convolutions computes in f32 at every precision, a transformer in the context's.
 *
 * A kind of encoder is a file in this folder and a line in PFM_VISION_LIST (vision_kind.h). */
#ifndef PFM_MODELS_VISION_VISION_H
#define PFM_MODELS_VISION_VISION_H

#include "base/context.h"
#include "pefomed/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pfm_vision pfm_vision;

/* Features are [tokens, channels]: `extra` rows of tokens that stand at no place of the picture, then those of the grid from
 * the top, each from the left; channels innermost. */
typedef struct pfm_vision_shape {
    int grid;     /* 14 for efficientnet-lite0 at 448 */
    int channels; /* 1280 */
    int extra;    /* 1 where a class token is kept, else 0 */
} pfm_vision_shape;

static inline size_t pfm_vision_shape_tokens(const pfm_vision_shape *shape)
{
    return (size_t)shape->extra + (size_t)shape->grid * (size_t)shape->grid;
}

static inline size_t pfm_vision_shape_values(const pfm_vision_shape *shape)
{
    return pfm_vision_shape_tokens(shape) * (size_t)shape->channels;
}

enum {
    PFM_VISION_MOST_LAYERS = 8,
    PFM_VISION_OUTPUT = 1000000, /* in place of a layer's number: the encoder's own result, its last norm included */
    PFM_VISION_NORMED,           /* the same of an encoder without a last norm, behind a layer norm without weights */
    PFM_VISION_ALL_THREADS = -1  /* a slot, see vision_kind.h */
};

/* The hidden states that make the features, in the encoder's order; a negative layer counts from the end. The features have the
 * grid of the coarsest; of a finer one the n x n positions under a position lie side by side in the channels, row by row. All
 * zero stands for the encoder's own result alone. */
typedef struct pfm_vision_layers {
    int count, layer[PFM_VISION_MOST_LAYERS];
    bool class_token; /* kept, before the grid's rows; register tokens never are */
    bool whole;       /* the class token is kept where the encoder has one */
    bool every_token; /* of one layer: all its rows as they stand, class and register tokens before the grid's too */
} pfm_vision_layers;

/* From whole numbers as text ("-7", "-1"), "output" or "normed". USAGE for other text or too many. */
pfm_status pfm_vision_layers_parse(char *const *texts, size_t count, pfm_vision_layers *out, pfm_error *err) PFM_MUST_CHECK;

/* In both of the following `kind` may also be the path of a checkpoint or its folder, as a recipe may name one: its tensors and
 * the configuration beside them say what it is. */

/* What a kind makes of square pictures of image_size pixels, without weights. *parameters = how many weights and biases it
 * computes with (a classifier that features do not pass is not among them); either may be NULL. USAGE for an unknown kind,
 * naming the known ones, an image size that the kind cannot take, layers that are not there, not in order or of grids that do
 * not divide each other, or a class token where there is none. */
pfm_status pfm_vision_shape_of(const char *kind, int image_size, const pfm_vision_layers *layers, pfm_vision_shape *shape,
                               uint64_t *parameters, pfm_error *err) PFM_MUST_CHECK;

/* About how many bytes such an encoder keeps as long as it is loaded: the weights of a transformer. A network of convolutions
 * is small, and counted with what a run needs besides: 0. */
pfm_status pfm_vision_bytes_of(const char *kind, int image_size, const pfm_vision_layers *layers, pfm_precision precision,
                               size_t *bytes, pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_vision_options {
    const char *kind, *path; /* the weights of `kind` are read from the file or folder at `path` */
    int image_size;
    pfm_vision_layers layers;
    bool gradients;     /* pfm_vision_gradient will be called */
    const char *window; /* how files that hold values become pictures, as --window; NULL: as each says. Copied */
    pfm_image_fit fit;  /* how a picture becomes the square; pads with the encoder's mean whatever `fill` is. Copied */
} pfm_vision_options;

/* The caller frees *out before the context. A missing, extra or misshapen tensor is MISMATCH and named. Layers behind those
 * that are asked for are neither kept nor computed. */
pfm_status pfm_vision_load(pfm_context *context, const pfm_vision_options *options, pfm_vision **out,
                           pfm_error *err) PFM_MUST_CHECK;
void pfm_vision_free(pfm_vision *vision);

pfm_context *pfm_vision_get_context(const pfm_vision *vision);
const char *pfm_vision_get_kind(const pfm_vision *vision);
int pfm_vision_get_image_size(const pfm_vision *vision);
pfm_vision_shape pfm_vision_get_shape(const pfm_vision *vision);
uint64_t pfm_vision_get_parameters(const pfm_vision *vision);
/* The options' window, or NULL; borrowed. */
const char *pfm_vision_get_window(const pfm_vision *vision);
/* How pictures become its square; NULL: squashed. Borrowed. */
const char *pfm_vision_get_fit(const pfm_vision *vision);
/* SHA-256 of the weights file (of a folder: of its tensors' names, shapes and bytes), hexadecimal; borrowed. */
const char *pfm_vision_get_weights_hash(const pfm_vision *vision);
/* Everything beside weights and picture that decides the bits of the features: kind, sizes, resizing, normalisation, kernel
 * level and versions, in one line; borrowed. */
const char *pfm_vision_get_description(const pfm_vision *vision);

/* *out = the square of image_size that the encoder sees of a picture. The caller calls pfm_image_free. */
pfm_status pfm_vision_fit(const pfm_vision *vision, const pfm_image *image, pfm_image *out, pfm_error *err) PFM_MUST_CHECK;
/* pixels [3,H,W] f32 = the picture resized to image_size as the options' fit says (otherwise bicubic, as Pillow; a square
 * whatever its shape, since a crop would lose the edges of a medical image), times the encoder's scale (1 / 255), then (x -
 * mean) / deviation for each channel. May be called from several threads at once. */
pfm_status pfm_vision_preprocess(const pfm_vision *vision, const pfm_image *image, float *pixels,
                                 pfm_error *err) PFM_MUST_CHECK;

/* features [n, tokens, channels] f32 for pixels [n,3,H,W]. Pictures are spread over the context's threads and each is computed
 * by one; where there are too few of them and the kind can, each is computed by all: the same bits either way and for any
 * number of threads. Not to be called from within a pool's item. */
pfm_status pfm_vision_encode(pfm_vision *vision, const float *pixels, size_t n, float *features, pfm_error *err) PFM_MUST_CHECK;

/* The same for one picture, computed by the calling thread; may be called from several threads at once, also from within a
 * pool's items. */
pfm_status pfm_vision_encode_one(pfm_vision *vision, const float *pixels, float *features, pfm_error *err) PFM_MUST_CHECK;

/* features, and grad_pixels [3,H,W] from grad_features [tokens, channels], for one picture and a vision loaded with gradients
 * and one layer. UNSUPPORTED for a kind that has none. Not to be called from within a pool's item. */
pfm_status pfm_vision_gradient(pfm_vision *vision, const float *pixels, const float *grad_features, float *features,
                               float *grad_pixels, pfm_error *err) PFM_MUST_CHECK;

/* Hidden states: layer 0 is what the stem (or embedding) gives, layer i what block i gives. A negative layer counts from the
 * end, -1 being the last. */

/* Gives the working memory of encoding back to the system until the next encoding; does nothing while one runs. */
void pfm_vision_rest(pfm_vision *vision);

#endif
