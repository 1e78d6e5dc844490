#include "eval/rating_metrics.h"

#include "base/try.h"
#include "eval/answer_set.h"
#include "eval/metric.h"
#include "eval/networks.h"

#include <math.h>
#include <stdlib.h>

static pfm_status add_metric(pfm_ratings *ratings, const pfm_metric *metric, const pfm_answer_set *set, const char *path,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *numbers = NULL;
    size_t column = 0;
    if (pfm_ratings_has(ratings, PFM_RATING_METRIC, metric->name))
        PFM_FAIL(PFM_ERROR_USAGE, "%s: there is a metric %s already; leave out one of the two", path, metric->name);
    PFM_TRY(pfm_ratings_column(ratings, PFM_RATING_METRIC, 0, metric->name, path, &column, err));
    PFM_TRY(pfm_allocate(set->count, metric->columns * sizeof *numbers, &numbers, err));
    PFM_TRY(metric->measure(metric, set, numbers, err));
    for (size_t i = 0; i < set->count; i++) {
        const pfm_place place = {path, "row", i + 1};
        double value = metric->finish(metric, numbers + i * metric->columns, 1);
        PFM_TRY(pfm_ratings_add(ratings, column, set->ids.texts[i], isfinite(value) ? PFM_RATING_OK : PFM_RATING_MISSING, value,
                                &place, err));
    }
done:
    free(numbers);
    return status;
}

pfm_status pfm_ratings_measure(pfm_ratings *ratings, const char *predictions, const char *metrics, pfm_context *context,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_score_networks networks = {.context = context};
    pfm_answer_set set = {.reports = true, .networks = &networks};
    pfm_metric_selection chosen = {0};
    PFM_TRY(pfm_metrics_select(metrics, &chosen, err));
    PFM_TRY(pfm_rows_read(predictions, pfm_answer_set_add, &set, err));
    for (size_t m = 0; m < chosen.count; m++)
        PFM_TRY(add_metric(ratings, chosen.metrics[m], &set, predictions, err));
done:
    pfm_answer_set_free(&set);
    pfm_score_networks_close(&networks);
    return status;
}
