/* How a training fits into memory: micro-batches, and whether blocks are computed again in the backward. */
#ifndef PFM_TRAIN_FIT_H
#define PFM_TRAIN_FIT_H

#include "train/recipe.h"
#include "train/session.h"

/* Sizes of the largest micro-batch of the whole training and its validations. */
typedef struct pfm_trainer_sizes {
    size_t tokens, answers, visual, rows;
    double mean_step_tokens, mean_step_images;
} pfm_trainer_sizes;

/* *out = the sizes where micro-batches take up to token_limit tokens, or one group that is longer. */
typedef pfm_status (*pfm_sizes_function)(void *user, size_t token_limit, pfm_trainer_sizes *out, pfm_error *err);

typedef struct pfm_training_fit {
    size_t token_limit; /* of a micro-batch */
    bool recompute;
    pfm_trainer_sizes sizes;
    size_t peak; /* bytes resident at most, mapped pages included */
    pfm_model_graph graph;
} pfm_training_fit;

/* What a micro-batch takes up to where memory does not demand less. */
enum { PFM_TOKENS_AT_ONCE = 1024 };

/* The fastest way that stays within the context's memory: large micro-batches, then smaller ones, then (as train.recompute
 * says) blocks computed again, which costs up to two fifths of the time and changes no bit. Builds the model's graph for it,
 * which the caller frees; the model's parameters are then declared. USAGE where the least is too much, with what it takes. */
pfm_status pfm_training_fit_memory(pfm_model *model, const pfm_recipe *recipe, pfm_sizes_function sizes, void *user,
                                   pfm_training_fit *out, pfm_error *err) PFM_MUST_CHECK;

/* The environment that a training's executor is planned for. */
pfm_op_environment pfm_training_environment(const pfm_model *model, const pfm_trainer_sizes *sizes);

#endif
