/* A profile's score (profile.h), of `vqa` as of all others: what is right by kind, recall of open answers, intervals over
 * images, the score split by the data's columns, the prior that never looks at the image, calibration. All scores are
 * percentages.
 *
 * The result: {"profile" (its
 * name),"dataset","split","n","n_images","overall","closed","open","n_closed","n_open","recall_open",
 * "ci95":{"overall":[low,high],"closed","open","recall_open"},"by":{column:{value:{"n","overall"}}},
 * "prior":{"overall","closed","open"},"chance","probe","calibration","signature"}; what is undefined (no open questions, no
 * training rows, no probabilities) is null. n_images is 0 where the rows show none. "chance", the mean of the profile's
 * guesses, is there where the profile has one. Of several runs every figure is their mean, and there are also
 * "runs":[{"file","overall", "closed","open","recall_open"}] and "sd":{"overall","closed","open","recall_open"} (over the runs,
 * n - 1).
 * - correct: pfm_score_profile_correct. A `correct` in the file is not believed.
 * - kind: answer_type; where it is absent, closed is what is answered by yes or no. The signature says which.
 * - recall_open: pfm_word_list_recall of the normalised texts, mean over the open questions.
 * - ci95: bootstrap.h, 1,000 samples of images, or of the rows that show none.
 * - by: pfm_answer_column_splits, and "answer_type". */
#ifndef PFM_EVAL_VQA_H
#define PFM_EVAL_VQA_H

#include "base/json.h"
#include "base/threads.h"
#include "eval/prior.h"
#include "eval/answer_runs.h"
#include "eval/vqa_text.h"

typedef struct pfm_score_options {
    const char *dataset, *split;      /* NULL: unknown */
    const char *probe;                /* NULL: "none" */
    const pfm_score_profile *profile; /* NULL: vqa; of a system its own is taken */
    uint64_t seed;                    /* of the bootstrap */
    pfm_threads *threads;             /* NULL: the caller's thread */
} pfm_score_options;

/* *out = the result for an array of predictions (predictions.h); training: an array of {question, answer[, answer_type]}, or
 * NULL. The caller calls json_decref. FORMAT names the row that is no prediction. */
pfm_status pfm_score_vqa(const json_t *predictions, const json_t *training, const pfm_score_options *options, json_t **out,
                         pfm_error *err) PFM_MUST_CHECK;
/* The same for a system of one or more runs (after pfm_answer_runs_finish); prior NULL: no training rows. */
pfm_status pfm_score_vqa_system(const pfm_answer_runs *system, pfm_prior *prior, const pfm_score_options *options, json_t **out,
                                pfm_error *err) PFM_MUST_CHECK;

/* The four statistics of a set of rows, percentages, NaN where one is undefined. */
enum { PFM_VQA_OVERALL, PFM_VQA_CLOSED, PFM_VQA_OPEN, PFM_VQA_RECALL, PFM_VQA_STATISTICS };
extern const char *const pfm_vqa_statistic_names[PFM_VQA_STATISTICS]; /* "overall", "closed", "open", "recall_open" */
typedef struct pfm_vqa_intervals {
    double value[PFM_VQA_STATISTICS], low[PFM_VQA_STATISTICS], high[PFM_VQA_STATISTICS];
} pfm_vqa_intervals;
/* values[PFM_VQA_STATISTICS] from each row's correct and recall [rows] (0..1, or differences of two systems' figures). */
void pfm_vqa_score(const pfm_answer_set *set, const double *correct, const double *recall, double *values);
/* The same with 95 % intervals over the images. */
pfm_status pfm_vqa_intervals_over_images(const pfm_answer_set *set, const double *correct, const double *recall,
                                         const pfm_score_options *options, pfm_vqa_intervals *out,
                                         pfm_error *err) PFM_MUST_CHECK;
/* p[PFM_VQA_STATISTICS]: of the differences that two systems' rows give, by permutation.h over the images. */
pfm_status pfm_vqa_exchange_images(const pfm_answer_set *set, const double *correct, const double *recall,
                                   const pfm_score_options *options, double *p, pfm_error *err) PFM_MUST_CHECK;

#endif
