/* Which of several answers to one request is the most like the others, or which of given choices is the most like the answers:
 * the one of least expected loss where the answers stand for what could be true (minimum Bayes risk: Kumar and Byrne, Minimum
 * Bayes-Risk Decoding for Statistical Machine Translation, 2004; of captions, the consensus: Devlin et al., Exploring Nearest
 * Neighbor Approaches for Image Captioning, 2015). */
#ifndef PFM_INFER_CONSENSUS_H
#define PFM_INFER_CONSENSUS_H

#include "pefomed/status.h"

#include <stddef.h>

/* Two texts (UTF-8) are as like as the mean, over n from 1 to 4 and no longer than the longer text, of the F1 of their runs of
 * n words, which blanks separate; each run counts as often as it stands in both. Two texts without a word are alike. 0..1. */

/* *best = the one among texts [count >= 1] whose mean likeness to the others is greatest, of equal ones the first; *likeness =
 * that mean, 1 where there is no other. */
pfm_status pfm_consensus_find(const char *const *texts, size_t count, size_t *best, double *likeness,
                              pfm_error *err) PFM_MUST_CHECK;

/* likenesses [choice_count >= 1] = the mean likeness of each choice to texts [count >= 1]; *best = the choice that has most, of
 * equal ones the first. */
pfm_status pfm_consensus_choose(const char *const *choices, size_t choice_count, const char *const *texts, size_t count,
                                double *likenesses, size_t *best, pfm_error *err) PFM_MUST_CHECK;

#endif
