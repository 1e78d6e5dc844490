/* A run whose parts are those of LLaVA (a CLIP, an MLP of two layers, a LLaMA), in the two forms in which other programs read
 * one: transformers' LlavaForConditionalGeneration, and llama.cpp's mmproj beside the language model. Inside this folder. */
#ifndef PFM_INFER_LLAVA_H
#define PFM_INFER_LLAVA_H

#include "base/json.h"
#include "formats/weights.h"
#include "models/vision/clip_export.h"
#include "train/session.h"

/* Vision encoder and aligner under the names of one of the forms. */
typedef struct pfm_llava {
    pfm_session *session; /* borrowed, its weights loaded */
    pfm_clip *clip;
    char (*names)[128];
    pfm_weight *tensors; /* [count], without data */
    size_t *sources;     /* [count] of the encoder's tensors, then of the aligner's parameters */
    size_t count, vision_count;
    int64_t image_token, extra_rows; /* of transformers' form: its id, and rows the embedding has to grow for it */
} pfm_llava;

/* *why = NULL where the session's parts are LLaVA's, in the form of GGUF or of transformers; else what is not. */
pfm_status pfm_llava_unfit(const pfm_session *session, bool gguf, const char **why, pfm_error *err) PFM_MUST_CHECK;
/* The caller frees *out before the session. */
pfm_status pfm_llava_create(pfm_session *session, bool gguf, pfm_llava **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_llava_free(pfm_llava *llava);
/* out = the values f32 of one of its tensors, what was learned merged in; *found = false where it has none of that name. A
 * normalisation of the features is folded into the aligner's first layer: W (x - mean) / std + b = (W / std) x + (b - (W / std)
 * mean). */
pfm_status pfm_llava_fill(const pfm_llava *llava, const pfm_weight *tensor, float *out, bool *found,
                          pfm_error *err) PFM_MUST_CHECK;

/* ---- transformers' form (llava_folder.c) ---- */

/* Gives the tokenizer in `folder` the token <image>, unless it has it, and sets image_token and extra_rows. */
pfm_status pfm_llava_add_image_token(pfm_llava *llava, const char *folder, pfm_error *err) PFM_MUST_CHECK;
/* *config, the language model's config.json, becomes that of the whole; generation (config.json's own ids where it is empty)
 * ends an answer where a run ends it. */
pfm_status pfm_llava_wrap_configs(const pfm_llava *llava, json_t **config, json_t *generation, pfm_error *err) PFM_MUST_CHECK;
/* preprocessor_config.json and processor_config.json. */
pfm_status pfm_llava_write_processor(const pfm_llava *llava, const char *folder, pfm_error *err) PFM_MUST_CHECK;

/* ---- llama.cpp's (llava_mmproj.c) ---- */

/* *out = the path of the mmproj beside a language model: m.gguf, m-mmproj.gguf. Release with free(). */
pfm_status pfm_llava_mmproj_path(const char *language, char **out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_llava_write_mmproj(const pfm_llava *llava, const char *path, pfm_error *err) PFM_MUST_CHECK;

#endif
