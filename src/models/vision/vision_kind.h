/* What a kind of vision encoder provides, and the list of them. */
#ifndef PFM_MODELS_VISION_VISION_KIND_H
#define PFM_MODELS_VISION_VISION_KIND_H

#include "base/json.h"
#include "formats/weights.h"
#include "models/vision/efficientnet.h"
#include "models/vision/vision.h"
#include "models/vision/vit.h"

/* What is known of an encoder before its weights are read: from its name, or from what its files say. */
typedef struct pfm_vision_config {
    const struct pfm_vision_kind *kind;
    char name[48];               /* "efficientnet-lite0"; of a file: what was recognised */
    double scale;                /* of a byte, 1 / 255 */
    float mean[3], deviation[3]; /* of the channels red, green, blue after that */
    union {
        pfm_efficientnet_config efficientnet;
        pfm_vit_config vit;
    } of;
} pfm_vision_config;

/* What is loaded beside the weights. */
typedef struct pfm_vision_load_options {
    int image_size;
    pfm_vision_layers layers; /* ascending, counted from 0 */
    bool gradients;
} pfm_vision_load_options;

typedef struct pfm_vision_kind {
    const char *names; /* what recipes may call it, for messages */
    /* Whether `name` is one of these; then *config. */
    bool (*find)(const char *name, pfm_vision_config *config);
    /* *found = whether the tensors are this kind's; then *config, from them and the files beside them. */
    pfm_status (*recognise)(const pfm_weights *weights, bool *found, pfm_vision_config *config, pfm_error *err);
    int (*layer_count)(const pfm_vision_config *config);  /* from which negative layers count */
    int (*output_layer)(const pfm_vision_config *config); /* the encoder's own result */
    int (*normed_layer)(const pfm_vision_config *config); /* behind a norm without weights; -1, or NULL: there is none */
    /* The shape of a layer and how many weights and biases the encoder computes with. */
    pfm_status (*shape_of)(const pfm_vision_config *config, int image_size, int layer, const pfm_vision_layers *layers,
                           pfm_vision_shape *shape, uint64_t *parameters, pfm_error *err);
    /* NULL: next to nothing. The bytes of the weights up to a layer. */
    pfm_status (*bytes_of)(const pfm_vision_config *config, int layer, pfm_precision precision, size_t *bytes, pfm_error *err);
    /* Appends what else decides the bits of the features, each behind "; ". */
    pfm_status (*describe)(const pfm_vision_config *config, const pfm_context *context, pfm_buffer *out, pfm_error *err);
    /* *encoder = what encode needs; weights may be closed afterwards. */
    pfm_status (*load)(const pfm_context *context, const pfm_vision_config *config, const pfm_weights *weights,
                       const pfm_vision_load_options *options, void **encoder, pfm_error *err);
    void (*free)(void *encoder);
    void (*rest)(void *encoder); /* gives working memory back until the next encoding */
    /* features[i] of the i-th layer of one picture in one pass, on the calling thread, in one of the context's threads' working
     * memories; a slot is used by one caller at a time. */
    pfm_status (*encode)(void *encoder, int slot, const float *pixels, float *const *features, pfm_error *err);
    /* Takes PFM_VISION_ALL_THREADS as a slot too: one picture by the whole pool, to the same bits. */
    bool uses_pool;
    /* NULL: none. Features of one layer and grad_pixels [3,H,W] from the gradient of the features, by the whole pool. */
    pfm_status (*gradient)(void *encoder, const float *pixels, const float *grad_features, float *features, float *grad_pixels,
                           pfm_error *err);
    /* NULL, all three: nothing in it can be learned. *own = what the weights' own names say, which must be this config's
     * network. */
    pfm_status (*own_config)(const pfm_vision_config *config, const pfm_weights *weights, pfm_vision_config *own,
                             pfm_error *err);
    /* In a model's graph what stands behind layer `first`: hidden f32 [patches, width] is that layer of every token of pictures
     * of `tokens` tokens each, states[i] becomes layer layers->layer[i]. The builder's hook is shown what it builds, under
     * names that begin with PFM_TOWER_PREFIX (tower.h); each block begins a checkpoint. */
    pfm_status (*build)(const pfm_vision_config *config, pfm_builder *builder, const pfm_vision_layers *layers, int first,
                        int64_t tokens, pfm_value hidden, pfm_value *states, pfm_error *err);
    /* Sets what build declared, from a file whose own config this is. */
    pfm_status (*load_parameters)(const pfm_vision_config *own, const pfm_weights *weights, pfm_parameters *parameters,
                                  pfm_error *err);
} pfm_vision_kind;

/* One line a kind. */
#define PFM_VISION_LIST(KIND)                                                                                                  \
    KIND(pfm_vision_efficientnet)                                                                                              \
    KIND(pfm_vision_vit)

#define PFM_VISION_DECLARE(kind) extern const pfm_vision_kind kind;
PFM_VISION_LIST(PFM_VISION_DECLARE)

/* *config of a name that a kind knows, or of the files at a path. USAGE names the known ones, UNSUPPORTED a file that holds no
 * encoder known here. */
pfm_status pfm_vision_find(const char *name_or_path, pfm_vision_config *config, pfm_error *err) PFM_MUST_CHECK;

/* Reads mean, deviation and scale where a preprocessor_config.json lies beside the weights. */
pfm_status pfm_vision_read_preprocessor(const char *path, pfm_vision_config *config, pfm_error *err) PFM_MUST_CHECK;
/* The layers that make the features counted from the first, ascending, and the shape of all side by side; either NULL. USAGE as
 * pfm_vision_shape_of. */
pfm_status pfm_vision_join(const pfm_vision_config *config, int image_size, const pfm_vision_layers *wanted,
                           pfm_vision_layers *found, pfm_vision_shape *shape, pfm_error *err) PFM_MUST_CHECK;
/* *out = a layer's number from the first of `count`; negative ones count from the end. USAGE where there is no such layer. */
pfm_status pfm_vision_count_layer(int layer, int count, int *out, pfm_error *err) PFM_MUST_CHECK;
/* Three numbers of a JSON list into out; FORMAT where they are not. */
pfm_status pfm_vision_read_channels(const json_t *list, const char *place, const char *key, float out[3],
                                    pfm_error *err) PFM_MUST_CHECK;

#endif
