/* The proof that a stage changed what the model says: its logits for a few fixed rows before and after. */
#ifndef PFM_TRAIN_PROOF_H
#define PFM_TRAIN_PROOF_H

#include "train/trainer.h"

enum { PFM_PROOF_ROWS = 4 };

/* *out f32 [PFM_PROOF_ROWS, vocabulary] = the logits of the first answer token of the first row of each of the training set's
 * first images, as the model stands, without dropout; zero where there are fewer images. *count = how many values. The caller
 * frees it with free(). */
pfm_status pfm_trainer_probe(pfm_trainer *trainer, float **out, size_t *count, pfm_error *err) PFM_MUST_CHECK;
/* *change = ||after - before|| / ||before|| of trainer->before and the model as it stands; MISMATCH where no bit of any logit
 * differs: the stage trained in vain. */
pfm_status pfm_trainer_prove(pfm_trainer *trainer, double *change, pfm_error *err) PFM_MUST_CHECK;

#endif
