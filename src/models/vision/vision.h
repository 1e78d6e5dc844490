/* Vision encoders: from a picture to features that an aligner turns into visual tokens. An encoder is frozen here and computes
 * in f32 at every precision, so that its features depend on the weights, the picture and the kernel level alone.
 *
 * A kind of encoder is a file in this folder and a line in PFM_VISION_LIST (vision_kind.h). */
#ifndef PFM_MODELS_VISION_VISION_H
#define PFM_MODELS_VISION_VISION_H

#include "base/context.h"
#include "pefomed/image.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pfm_vision pfm_vision;

/* Features are [grid * grid, channels]: rows of the grid from the top, each from the left, channels innermost. */
typedef struct pfm_vision_shape {
    int grid;     /* 14 for efficientnet-lite0 at 448 */
    int channels; /* 1280 */
} pfm_vision_shape;

static inline size_t pfm_vision_shape_values(const pfm_vision_shape *shape)
{
    return (size_t)shape->grid * (size_t)shape->grid * (size_t)shape->channels;
}

enum { PFM_VISION_MOST_LAYERS = 8 };

/* The hidden states that make the features, in the encoder's order; a negative layer counts from the end. The features have the
 * grid of the coarsest; of a finer one the n x n positions under a position lie side by side in the channels, row by row. All
 * zero stands for the last hidden state alone. */
typedef struct pfm_vision_layers {
    int count, layer[PFM_VISION_MOST_LAYERS];
} pfm_vision_layers;

/* From whole numbers as text ("-7", "-1"). USAGE for other text or too many. */
pfm_status pfm_vision_layers_parse(char *const *texts, size_t count, pfm_vision_layers *out, pfm_error *err) PFM_MUST_CHECK;

/* In both of the following `kind` may also be the path of a checkpoint, as a recipe may name one: it stands for the first kind
 * known. */

/* What a kind makes of square pictures of image_size pixels, without weights. *parameters = how many weights and biases it
 * computes with (a classifier that features do not pass is not among them); either may be NULL. USAGE for an unknown kind,
 * naming the known ones, an image size that the kind cannot take, or layers that are not there, not in order or of grids that
 * do not divide each other. */
pfm_status pfm_vision_shape_of(const char *kind, int image_size, const pfm_vision_layers *layers, pfm_vision_shape *shape,
                               uint64_t *parameters, pfm_error *err) PFM_MUST_CHECK;

/* Reads the weights of `kind` from the file or folder at `path`; the caller frees *out before the context. A missing, extra or
 * misshapen tensor is MISMATCH and named. */
pfm_status pfm_vision_load(pfm_context *context, const char *kind, const char *path, int image_size,
                           const pfm_vision_layers *layers, pfm_vision **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_vision_free(pfm_vision *vision);

pfm_context *pfm_vision_get_context(const pfm_vision *vision);
const char *pfm_vision_get_kind(const pfm_vision *vision);
int pfm_vision_get_image_size(const pfm_vision *vision);
pfm_vision_shape pfm_vision_get_shape(const pfm_vision *vision);
uint64_t pfm_vision_get_parameters(const pfm_vision *vision);
/* SHA-256 of the weights file (of a folder: of its tensors' names, shapes and bytes), hexadecimal; borrowed. */
const char *pfm_vision_get_weights_hash(const pfm_vision *vision);
/* Everything beside weights and picture that decides the bits of the features: kind, sizes, resizing, normalisation, kernel
 * level and versions, in one line; borrowed. */
const char *pfm_vision_get_description(const pfm_vision *vision);

/* pixels [3,H,W] f32 = the picture resized to image_size (bicubic, as Pillow), divided by 255, then (x - mean) / std for each
 * channel. May be called from several threads at once. */
pfm_status pfm_vision_preprocess(const pfm_vision *vision, const pfm_image *image, float *pixels,
                                 pfm_error *err) PFM_MUST_CHECK;

/* features [n, grid * grid, channels] f32 for pixels [n,3,H,W]. Pictures are spread over the context's threads and each is
 * computed by one: the same bits for any number of threads. Not to be called from within a pool's item. */
pfm_status pfm_vision_encode(pfm_vision *vision, const float *pixels, size_t n, float *features, pfm_error *err) PFM_MUST_CHECK;

/* The same for one picture, computed by the calling thread; may be called from several threads at once, also from within a
 * pool's items. */
pfm_status pfm_vision_encode_one(pfm_vision *vision, const float *pixels, float *features, pfm_error *err) PFM_MUST_CHECK;

/* Hidden states: layer 0 is what the stem (or embedding) gives, layer i what block i gives, the last one the encoder's output.
 * A negative layer counts from the end, -1 being the last. *shape = the layer's; USAGE when there is no such layer. */
pfm_status pfm_vision_layer_shape(const pfm_vision *vision, int layer, pfm_vision_shape *shape, pfm_error *err) PFM_MUST_CHECK;
/* features [grid * grid, channels] of one layer, for pixels [3,H,W]. */
pfm_status pfm_vision_encode_layer(pfm_vision *vision, int layer, const float *pixels, float *features,
                                   pfm_error *err) PFM_MUST_CHECK;

/* Gives the working memory of encoding back to the system until the next encoding; does nothing while one runs. */
void pfm_vision_rest(pfm_vision *vision);

#endif
