/* The order of learning: which rows make up each step, a pure function of (seed, step), so that a resume has nothing to
 * restore.
 *
 * An epoch's order: the rows of the same images, shuffled, are cut into runs of at most `group`; the runs are shuffled. The
 * orders of all epochs stand one behind the other, and step s takes the places s*batch .. s*batch+batch-1 of that line: a run
 * that crosses a step's end is divided, and the last step of an epoch goes on into the next.
 *
 * Of a mixture, each member has such a line of its own. An epoch of the mixture is as long as all members together; each member
 * gives it the next rows of its line, as many as its ratio says, and all their runs are shuffled. So a member with a large
 * ratio goes through its rows more than once in an epoch, another only through a part of them, and goes on where it was in the
 * next. */
#ifndef PFM_DATA_SAMPLER_H
#define PFM_DATA_SAMPLER_H

#include "data/dataset.h"

typedef struct pfm_sampler pfm_sampler;

/* The data set's image_set numbers are copied. USAGE: an empty data set, group or batch below 1. */
pfm_status pfm_sampler_create(const pfm_dataset *dataset, int group, int batch, uint64_t seed, pfm_sampler **out,
                              pfm_error *err) PFM_MUST_CHECK;
/* The same of a mixture: ratios [member_count], each above 0. USAGE also where a ratio is too small for one row an epoch. */
pfm_status pfm_sampler_create_mixture(const pfm_dataset *dataset, const double *ratios, int group, int batch, uint64_t seed,
                                      pfm_sampler **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_sampler_free(pfm_sampler *sampler);

/* rows[batch] = the rows of a step (from 0); groups[batch] (or NULL) = 0, 1, ...: equal for neighbours that are of one run.
 * Keeps the order of one epoch, so that steps asked for one after the other cost nothing. */
pfm_status pfm_sampler_step(pfm_sampler *sampler, size_t step, size_t *rows, int *groups, pfm_error *err) PFM_MUST_CHECK;

/* Steps of a training of so many epochs: floor(epochs * rows / batch), at least 1. */
size_t pfm_sampler_count_steps(const pfm_sampler *sampler, double epochs);

#endif
