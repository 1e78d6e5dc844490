/* A system's answers to one set of questions: one predictions file, or several files of the same questions from runs that
 * differ by their seed. Of several, a row's figures are the mean over the runs. */
#ifndef PFM_EVAL_ANSWER_RUNS_H
#define PFM_EVAL_ANSWER_RUNS_H

#include "eval/answer_set.h"

/* Start with {0} or {.profile = ...}. */
typedef struct pfm_answer_runs {
    const pfm_score_profile *profile;    /* set before the first run: what is right; NULL: vqa */
    pfm_answer_numbers number_columns;   /* set before the first run: columns that are scored */
    struct pfm_score_networks *networks; /* set before the first run, or NULL: of metrics that run one */
    pfm_answer_set *runs;
    const char **names; /* of the runs, for errors and results; borrowed; NULL entries where there is no file */
    size_t run_count, capacity;
    size_t **order;           /* order[run][row]: where the run has the row that runs[0] has at `row` */
    double *correct, *recall; /* [rows] means over the runs, 0..1 */
} pfm_answer_runs;

/* Adds a run from a file. `extra` NULL, or an object {id: row}: columns that the file's rows lack are taken from the row with
 * the same id. `reports`: reference and prediction are enough. */
pfm_status pfm_answer_runs_add_file(pfm_answer_runs *system, const char *path, const json_t *extra, bool reports,
                                    pfm_error *err) PFM_MUST_CHECK;
/* Adds a run from an array of predictions. */
pfm_status pfm_answer_runs_add_rows(pfm_answer_runs *system, const json_t *predictions, bool reports,
                                    pfm_error *err) PFM_MUST_CHECK;
/* After the last run: matches the runs by id and takes the means. MISMATCH where the ids or the answers differ. */
pfm_status pfm_answer_runs_finish(pfm_answer_runs *system, pfm_error *err) PFM_MUST_CHECK;

/* order [rows of a] = where set b has each row of a. MISMATCH names an id that only one of them has, or whose answers
 * differ. A kind that only one of them was given is taken over by the other. */
pfm_status pfm_answer_set_match(pfm_answer_set *a, const char *a_name, pfm_answer_set *b, const char *b_name, size_t *order,
                                pfm_error *err) PFM_MUST_CHECK;
/* The files of the runs, null where there is none; NULL without memory. The caller calls json_decref. */
json_t *pfm_answer_runs_files(const pfm_answer_runs *system);
void pfm_answer_runs_free(pfm_answer_runs *system);

#endif
