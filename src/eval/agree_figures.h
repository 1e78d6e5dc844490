/* The figures of agreement: distributions, agreement of each with each, what agrees with people, one scatter a metric and
 * judge. */
#ifndef PFM_EVAL_AGREE_FIGURES_H
#define PFM_EVAL_AGREE_FIGURES_H

#include "eval/agree_result.h"

/* Writes them into a folder, SVG and PNG, and the result beside them (agreement.json). */
pfm_status pfm_agree_draw(const pfm_ratings *ratings, const json_t *result, const char *folder, pfm_error *err) PFM_MUST_CHECK;

/* ---- one file a figure ---- */

/* distributions: a panel a rater, bars a score. Nothing where there are more scores than are counted. */
pfm_status pfm_figure_distributions(const json_t *result, const char *folder, pfm_error *err) PFM_MUST_CHECK;
/* agreement: raters by raters. Nothing for fewer than two. */
pfm_status pfm_figure_matrix(const json_t *result, const char *folder, pfm_error *err) PFM_MUST_CHECK;
/* against-people: each metric's, judge's and person's correlation with (the other) people, with intervals. Nothing without any.
 */
pfm_status pfm_figure_against(const json_t *result, const char *folder, pfm_error *err) PFM_MUST_CHECK;
/* metric-NAME and judge-NAME: one score against people's mean (of one person: theirs). Nothing without people. */
pfm_status pfm_figure_scatters(const pfm_ratings *ratings, const json_t *result, const char *folder,
                               pfm_error *err) PFM_MUST_CHECK;

#endif
