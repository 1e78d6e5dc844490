/* Between the files of the judge. */
#ifndef PFM_EVAL_JUDGE_INTERNAL_H
#define PFM_EVAL_JUDGE_INTERNAL_H

#include "base/map.h"
#include "client/client.h"
#include "eval/rated_pair.h"
#include "eval/verdict.h"
#include "pefomed/judge.h"

enum { PFM_JUDGE_ASKED_LETTERS = 16, PFM_JUDGE_FEWEST_RANKED = 3 };

/* One row of the predictions file. */
typedef struct pfm_judge_item {
    json_t *row;      /* owned */
    char *id;         /* as text */
    size_t line;      /* of the file */
    const char *unit; /* "line" or "row"; static */
    char *question;   /* what the judge is asked */
    char asked[PFM_JUDGE_ASKED_LETTERS + 1];
} pfm_judge_item;

typedef struct pfm_judging {
    pfm_context *context;
    const pfm_judge_options *options;
    pfm_rubric *rubric;
    json_t *response_format; /* to which replies are held; NULL: to none */
    pfm_judge_item *items;   /* [count] */
    size_t count, capacity;
    pfm_map by_id;         /* -> item */
    pfm_verdict *verdicts; /* [count, repeats] */
    char *verdicts_path, *log_path;
    char *dataset; /* of the items; NULL: not known */
    pfm_client *client;
    pfm_call_log *log;
} pfm_judging;

static inline pfm_place pfm_judge_place(const pfm_judging *j, const pfm_judge_item *item)
{
    return (pfm_place){j->options->file, item->unit, item->line};
}
/* repeat from 1 */
static inline pfm_verdict *pfm_judge_verdict(const pfm_judging *j, size_t item, int repeat)
{
    return &j->verdicts[item * (size_t)j->options->repeats + (size_t)(repeat - 1)];
}

/* Whether the items may be sent to the server that is asked (judge_guard.c): USAGE for what looks like identifiers, UNSUPPORTED
 * for data under terms that forbid it. Fills dataset. What was accepted and declared goes into the log, once it is open. */
pfm_status pfm_judge_find_dataset(pfm_judging *j, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_judge_check_remote(const pfm_judging *j, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_judge_note_remote(const pfm_judging *j, pfm_error *err) PFM_MUST_CHECK;

/* All verdicts that are not there yet, from the server; or all from the log (judge_verdicts.c). */
pfm_status pfm_judge_ask(pfm_judging *j, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_judge_replay(pfm_judging *j, pfm_error *err) PFM_MUST_CHECK;

/* What became of an item. */
typedef struct pfm_judged {
    double score, length; /* the mean of the ok verdicts; characters of the prediction */
    bool exact, used;     /* it equals its reference; it has a score and a text */
} pfm_judged;
/* The score and the length of each item that has both, to be correlated: the caller calls pfm_rated_pair_free. */
pfm_status pfm_judged_pair_create(const pfm_judged *items, size_t count, pfm_rated_pair *out, pfm_error *err) PFM_MUST_CHECK;
/* Puts "ci95" into the table: items [count] (judge_intervals.c). */
pfm_status pfm_judge_intervals(const pfm_judging *j, const pfm_judged *items, json_t *out, pfm_error *err) PFM_MUST_CHECK;

/* *json = the table (judge_result.c). */
pfm_status pfm_judge_result(const pfm_judging *j, char **json, pfm_error *err) PFM_MUST_CHECK;

#endif
