#include "eval/paired.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>

static pfm_status write_difference(const pfm_answer_set *set, const pfm_vqa_intervals *gap, const double *p, const double *a,
                                   const double *b, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(out, "n", json_integer((json_int_t)set->count), err));
    PFM_TRY(pfm_json_take(out, "n_images", json_integer((json_int_t)set->images.count), err));
    for (int i = 0; i < PFM_VQA_STATISTICS; i++) {
        json_t *figure = isnan(gap->value[i]) ? json_null()
                                              : json_pack("{s:f,s:[f,f],s:f,s:f,s:f}", "mean", gap->value[i], "ci95",
                                                          gap->low[i], gap->high[i], "p", p[i], "a", a[i], "b", b[i]);
        PFM_TRY(pfm_json_take(out, pfm_vqa_statistic_names[i], figure, err));
    }
done:
    return status;
}

pfm_status pfm_score_difference(pfm_answer_runs *a, pfm_answer_runs *b, const pfm_score_options *options, json_t **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_set *set = &a->runs[0];
    size_t *order = NULL;
    double *correct = NULL, *recall = NULL, *gap_correct = NULL, *gap_recall = NULL;
    json_t *result = json_object();
    pfm_vqa_intervals gap;
    double of_a[PFM_VQA_STATISTICS], of_b[PFM_VQA_STATISTICS], p[PFM_VQA_STATISTICS];
    PFM_TRY(pfm_allocate(set->count, sizeof *order, &order, err));
    PFM_TRY(pfm_allocate(set->count, sizeof *correct, &correct, err));
    PFM_TRY(pfm_allocate(set->count, sizeof *recall, &recall, err));
    PFM_TRY(pfm_allocate(set->count, sizeof *gap_correct, &gap_correct, err));
    PFM_TRY(pfm_allocate(set->count, sizeof *gap_recall, &gap_recall, err));
    PFM_TRY(pfm_answer_set_match(set, a->names[0], &b->runs[0], b->names[0], order, err));
    for (size_t i = 0; i < set->count; i++) {
        correct[i] = b->correct[order[i]];
        recall[i] = b->recall[order[i]];
        gap_correct[i] = a->correct[i] - correct[i];
        gap_recall[i] = a->recall[i] - recall[i];
    }
    pfm_vqa_score(set, a->correct, a->recall, of_a);
    pfm_vqa_score(set, correct, recall, of_b);
    PFM_TRY(pfm_vqa_intervals_over_images(set, gap_correct, gap_recall, options, &gap, err));
    PFM_TRY(pfm_vqa_exchange_images(set, gap_correct, gap_recall, options, p, err));
    PFM_TRY(pfm_json_take(result, "against", pfm_answer_runs_files(b), err));
    PFM_TRY(write_difference(set, &gap, p, of_a, of_b, result, err));
    *out = result;
    result = NULL;
done:
    free(order);
    free(correct);
    free(recall);
    free(gap_correct);
    free(gap_recall);
    json_decref(result);
    return status;
}

pfm_status pfm_score_difference_of_rows(const json_t *a, const json_t *b, const pfm_score_options *options, json_t **out,
                                        pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_runs first = {.profile = options->profile}, second = {.profile = options->profile};
    PFM_TRY(pfm_answer_runs_add_rows(&first, a, false, err));
    PFM_TRY(pfm_answer_runs_finish(&first, err));
    PFM_TRY(pfm_answer_runs_add_rows(&second, b, false, err));
    PFM_TRY(pfm_answer_runs_finish(&second, err));
    PFM_TRY(pfm_score_difference(&first, &second, options, out, err));
done:
    pfm_answer_runs_free(&first);
    pfm_answer_runs_free(&second);
    return status;
}
