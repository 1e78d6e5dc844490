/* A run's folder: recipe.yaml, adapter/ and, of what is learned in the vision encoder, adapter-vision/ (PEFT's format),
 * aligner.safetensors (where the model sees images), log.jsonl, checkpoint/, best/. Every file appears whole or not at all. */
#ifndef PFM_TRAIN_RUN_H
#define PFM_TRAIN_RUN_H

#include "base/hash.h"
#include "models/model.h"
#include "peft/peft.h"

/* Where training stands: all that a resume needs beside the parameters. Everything random is drawn from seed and step. */
typedef struct pfm_progress_state {
    int64_t step; /* steps done */
    int64_t tokens, samples;
    double seconds;   /* of computing, over all sittings */
    double best_loss; /* of validation; negative: none yet */
    int64_t best_step;
} pfm_progress_state;

/* Writes FOLDER/adapter/adapter_model.safetensors, adapter_config.json, the same in FOLDER/adapter-vision, and
 * FOLDER/aligner.safetensors. `base` is what the adapter's base_model_name_or_path says. */
pfm_status pfm_run_save(const char *folder, const char *base, const pfm_model *model, const pfm_peft *peft,
                        pfm_error *err) PFM_MUST_CHECK;
/* Sets what was trained from such a folder (NULL: a recipe's, nothing was), or from an adapter's in its place (NULL: the run's
 * own), which may bring its aligner. MISMATCH names what is missing, misshapen or too much. */
pfm_status pfm_run_load(const char *folder, const char *adapter, pfm_model *model, const pfm_peft *peft,
                        pfm_error *err) PFM_MUST_CHECK;

/* The adapter's parameters alone, from a folder in PEFT's format, or a file of tensors that PEFT's model had, a whole
 * checkpoint of PeFoMed's kind among them. */
pfm_status pfm_run_load_adapter(const char *adapter, pfm_model *model, const pfm_peft *peft, pfm_error *err) PFM_MUST_CHECK;
/* Where such a folder holds what was learned in the vision encoder: its adapter-vision or, lacking one, itself. */
pfm_status pfm_run_vision_folder(const char *folder, char **out, pfm_error *err) PFM_MUST_CHECK;
/* The same of a vision encoder, from there; its names may be those of transformers 5 ("base_model.model.encoder.layers...") or
 * 4
 * ("base_model.model.vision_model.encoder.layers..."). */
pfm_status pfm_run_load_vision_adapter(const char *folder, pfm_parameters *parameters, const pfm_peft *peft,
                                       pfm_error *err) PFM_MUST_CHECK;
/* What a bare recipe goes on with: the folder of a run, or of an adapter of the language model in which adapter-vision may be
 * the encoder's, or where the encoder alone learns of its adapter. An encoder of which it holds nothing stays as it is. */
pfm_status pfm_run_load_adapters(const char *folder, pfm_model *model, const pfm_peft *peft, pfm_error *err) PFM_MUST_CHECK;
/* An aligner's file for an adapter that stands beside others. */
pfm_status pfm_run_load_slot(const char *path, pfm_model *model, const pfm_model_slot *slot, pfm_error *err) PFM_MUST_CHECK;
/* What a trained parameter is called in the files: "base_model.model.X.lora_A.weight" or "proj.weight"; release with free(). */
pfm_status pfm_run_tensor_name(const pfm_peft *peft, const pfm_parameter *parameter, char **out, pfm_error *err) PFM_MUST_CHECK;

/* What a run is made from: hashes of the recipe with seed and precision, and of the data ("" without a validation split). */
typedef struct pfm_run_identity {
    pfm_hash_hex recipe, train, validate;
    char micro_batches[24]; /* the most tokens of one, which memory may have cut */
} pfm_run_identity;

/* FOLDER/checkpoint/state.safetensors: identity, statistics, values, moments and progress in one file; of a stage also
 * `before`, f32 [before_count], NULL where there are no stages. */
pfm_status pfm_checkpoint_save(const char *folder, const pfm_run_identity *identity, const pfm_model *model,
                               const pfm_progress_state *state, const float *before, size_t before_count,
                               pfm_error *err) PFM_MUST_CHECK;
/* *step = the steps done, of a checkpoint of this recipe's; -1 where there is none. MISMATCH: it is of another. */
pfm_status pfm_checkpoint_find(const char *folder, const pfm_run_identity *identity, int64_t *step,
                               pfm_error *err) PFM_MUST_CHECK;
/* *found = false where there is none. MISMATCH says what of another identity's differs. */
pfm_status pfm_checkpoint_load(const char *folder, const pfm_run_identity *identity, pfm_model *model,
                               pfm_progress_state *state, float *before, size_t before_count, bool *found,
                               pfm_error *err) PFM_MUST_CHECK;
/* From the checkpoint in which a stage ended, what the next begins with: values, statistics and the count of all that was done,
 * neither moments nor the best. known: learned parts (1 << pfm_part) that the former stage had beside the aligner; others
 * keep the values that they have. */
pfm_status pfm_checkpoint_begin_stage(const char *folder, const pfm_run_identity *identity, unsigned known, pfm_model *model,
                                      pfm_progress_state *state, pfm_error *err) PFM_MUST_CHECK;

#endif
