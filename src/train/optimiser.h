/* AdamW with linear warm-up and cosine decay, and clipping by the norm of the whole gradient. */
#ifndef PFM_TRAIN_OPTIMISER_H
#define PFM_TRAIN_OPTIMISER_H

#include "base/context.h"
#include "nn/parameters.h"
#include "train/recipe.h"

/* The rate of step 0..steps-1: rises linearly from warmup_learning_rate over warmup_steps or warmup_share (at most a third of
 * the steps and one), then falls by a half cosine to the minimum. */
double pfm_learning_rate(const pfm_recipe *recipe, int64_t step, int64_t steps);

/* The Euclidean norm of all gradients, summed in the parameters' order. */
double pfm_gradient_norm(const pfm_parameters *parameters, const pfm_context *context);

/* One step of every trained parameter from its gradient (left as it is): Loshchilov and Hutter, Decoupled Weight Decay
 * Regularization, 2019. step counts from 0. gradient_scale: of clipping. */
void pfm_adamw_step(pfm_parameters *parameters, const pfm_context *context, const pfm_recipe *recipe, int64_t step,
                    double learning_rate, double gradient_scale);

#endif
