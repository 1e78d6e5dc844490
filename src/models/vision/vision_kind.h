/* What a kind of vision encoder provides, and the list of them. */
#ifndef PFM_MODELS_VISION_VISION_KIND_H
#define PFM_MODELS_VISION_VISION_KIND_H

#include "formats/weights.h"
#include "models/vision/vision.h"

typedef struct pfm_vision_kind {
    const char *name;
    float mean[3], std[3]; /* of the channels red, green, blue, after division by 255 */
    int (*layer_count)(void);
    /* The shape of a layer (negative counts from the end) and how many weights and biases the encoder computes with. */
    pfm_status (*shape_of)(int image_size, int layer, pfm_vision_shape *shape, uint64_t *parameters, pfm_error *err);
    /* *encoder = what encode needs; weights may be closed afterwards. */
    pfm_status (*load)(const pfm_context *context, const pfm_weights *weights, int image_size, void **encoder, pfm_error *err);
    void (*free)(void *encoder);
    void (*rest)(void *encoder); /* gives working memory back until the next encoding */
    /* features[i] of layers[i], ascending, of one picture in one pass, in one of the context's threads' working memories; a
     * slot is used by one caller at a time. */
    pfm_status (*encode)(void *encoder, int slot, const int *layers, int count, const float *pixels, float *const *features,
                         pfm_error *err);
} pfm_vision_kind;

/* One line a kind. */
#define PFM_VISION_LIST(KIND) KIND(pfm_vision_efficientnet_lite0)

#define PFM_VISION_DECLARE(kind) extern const pfm_vision_kind kind;
PFM_VISION_LIST(PFM_VISION_DECLARE)

#endif
