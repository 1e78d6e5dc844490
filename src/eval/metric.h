/* Text metrics: how near predictions are to their references. A metric is a file and a line in metric_list.h.
 *
 * A metric gives every row a few numbers whose sums over rows are all it needs, so that a bootstrap over images costs sums and
 * not a second measuring: a mean has one, BLEU the counts of matches. Whatever depends on all rows together (the inverse
 * document frequencies of CIDEr) is taken once from all rows. */
#ifndef PFM_EVAL_METRIC_H
#define PFM_EVAL_METRIC_H

#include "base/json.h"
#include "base/threads.h"
#include "eval/answer_set.h"

/* What a metric runs (networks.h). */
typedef enum pfm_network { PFM_NETWORK_NONE, PFM_NETWORK_BERT, PFM_NETWORK_CHEXBERT } pfm_network;

typedef struct pfm_metric pfm_metric;
struct pfm_metric {
    const char *name;
    const char *definition; /* a sentence or two, with the scale */
    const char *signature;  /* the options that must be equal for two figures to be comparable */
    size_t columns;         /* numbers a row, at most PFM_METRIC_MAX_COLUMNS */
    int order;              /* the metric's own: the longest n-gram, or which of several figures */
    pfm_network network;    /* which it runs, on all threads: then it is measured by itself */
    bool shared;            /* metrics with this measure have the same numbers, which are measured once for all of them */
    /* numbers [rows, columns] = each row's; zeroed before. */
    pfm_status (*measure)(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err);
    /* The metric of rows from the sums of their numbers; NaN where undefined. */
    double (*finish)(const pfm_metric *metric, const double *sums, double rows);
    /* Appends what else must be equal, known once the set was measured; NULL: nothing. */
    pfm_status (*sign)(const pfm_metric *metric, const pfm_answer_set *set, pfm_buffer *text, pfm_error *err);
};
extern const pfm_metric *const pfm_metrics[]; /* ended by NULL */

enum { PFM_METRIC_MAX_COUNT = 64, PFM_METRIC_MAX_COLUMNS = 64 };

/* The metrics asked for; their columns stand side by side, those of metrics that share them once. */
typedef struct pfm_metric_selection {
    const pfm_metric *metrics[PFM_METRIC_MAX_COUNT];
    size_t first[PFM_METRIC_MAX_COUNT]; /* a metric's first column */
    size_t count, columns;
} pfm_metric_selection; /* start with {0} */
/* The metric of this name; NULL where there is none. */
const pfm_metric *pfm_metric_find(const char *name);
/* Adds a metric that stays while the selection is used. USAGE where its name is taken or there are too many. */
pfm_status pfm_metrics_add(pfm_metric_selection *out, const pfm_metric *metric, pfm_error *err) PFM_MUST_CHECK;
/* USAGE unless names, separated by commas, are all metrics, each once; the message lists those there are. */
pfm_status pfm_metrics_select(const char *names, pfm_metric_selection *out, pfm_error *err) PFM_MUST_CHECK;
/* Adds each row's numbers to those of its image: units [images of `first`, width], a metric's at its first column. where[i] is
 * the set's row for row i of `first`; NULL: the same one. Several metrics are measured at once where there are threads. */
pfm_status pfm_metrics_sum(const pfm_metric_selection *chosen, const pfm_answer_set *set, const pfm_answer_set *first,
                           const size_t *where, size_t width, pfm_threads *threads, double *units,
                           pfm_error *err) PFM_MUST_CHECK;
/* out gains "metrics":{name:value} and "ci95":{name:[low,high]}; a value that is not finite, or has no interval, is null. */
pfm_status pfm_metrics_write(const pfm_metric_selection *chosen, const double *values, const double *low, const double *high,
                             json_t *out, pfm_error *err) PFM_MUST_CHECK;
/* out gains "signature": the profile's name (or NULL), each metric's, what was done to the texts before (NULL: nothing), how
 * many references rows have, the interval, the version. */
pfm_status pfm_metrics_sign(const pfm_answer_set *set, const pfm_metric_selection *chosen, const char *profile,
                            const char *prepared, uint64_t seed, json_t *out, pfm_error *err) PFM_MUST_CHECK;
/* The same as select without a result. */
pfm_status pfm_metrics_check(const char *names, pfm_error *err) PFM_MUST_CHECK;

/* *out = {"profile":null,"n","metrics":{name:value},"ci95":{name:[low,high]},"signature"} for names separated by commas. Rows
 * without an image are their own unit of the bootstrap. USAGE as pfm_metrics_check. */
pfm_status pfm_score_metrics(const pfm_answer_set *set, const char *names, uint64_t seed, pfm_threads *threads, json_t **out,
                             pfm_error *err) PFM_MUST_CHECK;

/* finish of a metric that is the mean of its only column, as it stands and times 100. */
double pfm_metric_mean(const pfm_metric *metric, const double *sums, double rows);
double pfm_metric_percentage(const pfm_metric *metric, const double *sums, double rows);

#endif
