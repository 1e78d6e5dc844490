/* What the tests of vision transformers share: the small networks of script/vectors/vit.py. */
#ifndef PFM_TESTS_MODELS_VIT_FIXTURE_H
#define PFM_TESTS_MODELS_VIT_FIXTURE_H

#include "models/vision/vision.h"

extern const char vit_golden[]; /* the folder of golden vectors */

pfm_context *vit_context(int threads, const char *level, pfm_precision precision);
/* A network's folder, static until the next call. */
const char *vit_network(const char *name);
/* The formula's picture [3, size, size]; the caller frees. */
float *vit_pixels(int size);
/* One layer of the network at a path. */
pfm_status vit_load(pfm_context *context, const char *path, int size, int layer, bool class_token, bool gradients,
                    pfm_vision **out, pfm_error *err);
/* The features of the formula's picture, by all threads or by the calling one; the caller frees. */
float *vit_encode(pfm_vision *vision, bool wide);
/* A folder for changed copies of a network, with what lies beside its weights; static until the next call. */
const char *vit_copy(const char *name);
void vit_write_text(const char *folder, const char *name, const char *text);

#endif
