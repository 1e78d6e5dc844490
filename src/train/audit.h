/* What a run was made from, so that every number can be traced; and what a recipe would take. */
#ifndef PFM_TRAIN_AUDIT_H
#define PFM_TRAIN_AUDIT_H

#include "train/trainer.h"

/* RUN/audit.json: hashes of weights, data and recipe, version, kernel level, machine, time; of stages each one's steps, data
 * and, once it has ended, what it changed. */
pfm_status pfm_audit_write(const pfm_trainer *trainer, pfm_error *err) PFM_MUST_CHECK;
/* train --plan: *json as COMMANDS.md says, from the recipe, and from the data where it is there. */
pfm_status pfm_train_plan(pfm_context *context, const pfm_recipe *recipe, const char *data, char **json,
                          pfm_error *err) PFM_MUST_CHECK;

#endif
