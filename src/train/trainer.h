/* The training loop's parts: steps, validation, the log. */
#ifndef PFM_TRAIN_TRAINER_H
#define PFM_TRAIN_TRAINER_H

#include "data/sampler.h"
#include "train/fit.h"
#include "train/routing.h"
#include "train/run.h"
#include "train/samples.h"

typedef struct pfm_trainer {
    pfm_session *session; /* borrowed; its stage is what this trains */
    pfm_samples train, validate;
    pfm_dataset *train_set, *validate_set; /* validate_set: NULL where there is none */
    pfm_sampler *sampler;
    int64_t first, steps, total; /* steps of the stages before this one, of this one, of all */
    uint64_t seed;               /* of this stage's order */
    pfm_model_graph graph;
    pfm_trainer_sizes sizes;
    pfm_executor *executor;
    pfm_micro_batch batch;
    size_t token_limit; /* of a micro-batch */
    size_t *rows;       /* [batch] of the step at hand: texts of the training samples */
    int *groups;
    pfm_progress_state state;
    float *before; /* [PFM_PROOF_ROWS, vocabulary] of a stage: what proves at its end that it changed something */
    char *folder;  /* the run's */
    char *output;  /* where the stage's results go: the run's folder, or RUN/stages/NAME of a stage that is not the last */
    pfm_run_identity identity;  /* of the data once prepared */
    pfm_hash_hex row_hashes[2]; /* of the rows and images alone, to learn from and to validate on; "" where there are none */
    int log;                    /* descriptor of log.jsonl */
} pfm_trainer;

typedef struct pfm_step_result {
    double loss, gradient_norm, learning_rate;
    int64_t tokens, samples, answers;
    double reading;                      /* seconds that the step waited for the images' features */
    pfm_routing routing, vision_routing; /* of a method with experts, in the language model and in the vision encoder */
} pfm_step_result;

/* What --data, or NULL, says of a stage: it speaks of the last stage's data set, which other stages may share. */
const char *pfm_trainer_data(const pfm_recipe *whole, const pfm_recipe *stage, const char *data);
/* Loads the splits and tokenises them; knows every size, loads no weights. */
pfm_status pfm_trainer_create(pfm_session *session, const char *data, pfm_trainer **out, pfm_error *err) PFM_MUST_CHECK;
/* Which of the stages this is: the steps before it and of all, and the run's folder. */
pfm_status pfm_trainer_place(pfm_trainer *trainer, int64_t first, int64_t total, const char *folder,
                             pfm_error *err) PFM_MUST_CHECK;
void pfm_trainer_free(pfm_trainer *trainer);
/* The sizes for micro-batches of up to token_limit tokens, which the trainer then keeps to. A pfm_sizes_function whose user is
 * a trainer. */
pfm_status pfm_trainer_measure(void *user, size_t token_limit, pfm_trainer_sizes *sizes, pfm_error *err) PFM_MUST_CHECK;
/* Builds the graph for the largest micro-batch, as the context's memory allows it. */
pfm_status pfm_trainer_build(pfm_trainer *trainer, pfm_error *err) PFM_MUST_CHECK;
/* Vision features, their statistics, weights, and the memory for activations. */
pfm_status pfm_trainer_prepare(pfm_trainer *trainer, pfm_error *err) PFM_MUST_CHECK;

/* Steps count from 0 at the stage's beginning.
 *
 * Gradients of one step: zeroes them, runs every micro-batch, fills loss (the mean that the recipe says), tokens, samples,
 * answers (their tokens). */
pfm_status pfm_trainer_gradients(pfm_trainer *trainer, int64_t step, pfm_step_result *result, pfm_error *err) PFM_MUST_CHECK;
/* Gradients, clipping, AdamW. */
pfm_status pfm_trainer_step(pfm_trainer *trainer, int64_t step, pfm_step_result *result, pfm_error *err) PFM_MUST_CHECK;
/* Mean loss over the answer tokens of the validation rows. */
pfm_status pfm_trainer_validate(pfm_trainer *trainer, double *loss, pfm_error *err) PFM_MUST_CHECK;

/* All steps of the stage from the state on: log, validation, checkpoints, at its end the results; INTERRUPTED after saving. */
pfm_status pfm_trainer_run(pfm_trainer *trainer, pfm_error *err) PFM_MUST_CHECK;

#endif
