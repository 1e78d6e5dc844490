/* EfficientNet-Lite (Tan and Le 2019; the lite variants of 2020): inverted bottlenecks with ReLU6 and without squeeze and
 * excitation. Inside this folder; tests build small ones of the same structure. */
#ifndef PFM_MODELS_VISION_EFFICIENTNET_H
#define PFM_MODELS_VISION_EFFICIENTNET_H

#include "formats/weights.h"
#include "models/vision/vision.h"

enum { PFM_EFFICIENTNET_STAGES = 7 };

/* `repeats` blocks: 1x1 to `expand` times the channels (none where it is 1), depthwise kernel x kernel, 1x1 to channels. The
 * first block has the stride; a block whose input and output have one shape adds its input. */
typedef struct pfm_efficientnet_stage {
    int repeats, kernel, stride, expand, channels;
} pfm_efficientnet_stage;

typedef struct pfm_efficientnet_config {
    int stem;                                               /* channels of the first convolution, 3x3 with stride 2 */
    pfm_efficientnet_stage stages[PFM_EFFICIENTNET_STAGES]; /* repeats 0: the stages end */
    int head;                                               /* channels of the last convolution, 1x1: the features' */
} pfm_efficientnet_config;

/* *out = Lite `number`, 0 to 4: Lite0 with its stages' channels and repeats multiplied; false where there is none. Stem and
 * head stay, and the first and last stages' repeats. */
bool pfm_efficientnet_lite(int number, pfm_efficientnet_config *out);

typedef struct pfm_efficientnet pfm_efficientnet;

/* Layers: 0 the stem's result, 1.. the blocks', the last one the head's. A negative layer counts from the end. *parameters
 * counts the weights of convolutions and the scales and shifts of normalisations. Either may be NULL. USAGE. */
pfm_status pfm_efficientnet_shape(const pfm_efficientnet_config *config, int image_size, int layer, pfm_vision_shape *shape,
                                  uint64_t *parameters, pfm_error *err) PFM_MUST_CHECK;

/* How many layers there are. */
int pfm_efficientnet_layer_count(const pfm_efficientnet_config *config);

/* Takes the tensors named as in the PyTorch package efficientnet_lite_pytorch, folds each normalisation into its convolution
 * (in double) and compiles the chain for the context's kernel level and threads. The caller frees. */
pfm_status pfm_efficientnet_create(const pfm_context *context, const pfm_efficientnet_config *config,
                                   const pfm_weights *weights, int image_size, pfm_efficientnet **out,
                                   pfm_error *err) PFM_MUST_CHECK;
void pfm_efficientnet_free(pfm_efficientnet *net);

/* features[i] [grid * grid, channels] of layers[i], 0 <= i < count <= PFM_VISION_MOST_LAYERS, ascending, for pixels [3,H,W], in
 * working memory `slot` (0 .. the context's threads - 1). */
pfm_status pfm_efficientnet_encode(pfm_efficientnet *net, int slot, const int *layers, int count, const float *pixels,
                                   float *const *features, pfm_error *err) PFM_MUST_CHECK;
void pfm_efficientnet_rest(pfm_efficientnet *net);

#endif
