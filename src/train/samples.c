#include "train/samples.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

pfm_status pfm_samples_create(const pfm_session *session, const pfm_dataset *dataset, pfm_samples *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_model *model = session->model;
    size_t limit = (size_t)session->recipe->train.max_tokens;
    *out = (pfm_samples){.session = session, .dataset = dataset, .count = dataset->count};
    if (limit > (size_t)model->language.context)
        limit = (size_t)model->language.context;
    PFM_TRY(pfm_allocate(dataset->count, sizeof *out->rows, &out->rows, err));
    PFM_TRY(pfm_allocate(dataset->count, sizeof *out->answers, &out->answers, err));
    for (size_t i = 0; i < dataset->count; i++) {
        const pfm_row *row = &dataset->rows[i];
        const pfm_question question = {row->question, row->image_count};
        pfm_error reason = PFM_ERROR_INIT;
        status = pfm_model_encode(model, &question, row->answer, 0, &out->rows[i], &out->answers[i], &reason);
        if (status != PFM_OK)
            PFM_FAIL(status, "row %s of %s: %s", row->id, dataset->split, reason.message);
        if (out->rows[i].count > limit)
            PFM_FAIL(PFM_ERROR_MISMATCH, "row %s of %s has %zu tokens, more than %zu; raise train.max_tokens or shorten it",
                     row->id, dataset->split, out->rows[i].count, limit);
    }
done:
    if (status != PFM_OK)
        pfm_samples_free(out);
    return status;
}

pfm_status pfm_samples_prepare_features(pfm_samples *samples, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char **paths = NULL;
    const pfm_dataset *dataset = samples->dataset;
    PFM_TRY(pfm_dataset_check_images(dataset, err));
    PFM_TRY(pfm_dataset_list_paths(dataset, &paths, err));
    PFM_TRY(pfm_feature_store_create(samples->session->vision, paths, dataset->image_count, PFM_FEATURE_QUOTA,
                                     &samples->features, err));
done:
    free(paths);
    return status;
}

void pfm_samples_free(pfm_samples *samples)
{
    if (samples == NULL)
        return;
    for (size_t i = 0; samples->rows != NULL && i < samples->count; i++)
        pfm_ids_free(&samples->rows[i]);
    free(samples->rows);
    free(samples->answers);
    pfm_feature_store_free(samples->features);
    *samples = (pfm_samples){0};
}

int64_t pfm_samples_visual_rows(const pfm_samples *samples, size_t row)
{
    return (int64_t)samples->dataset->rows[row].image_count * samples->session->model->visual_tokens;
}

/* The images of a row, one behind the other. */
static pfm_status read_features(pfm_micro_batch *batch, const pfm_samples *samples, size_t row, int64_t first_visual,
                                float *features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_model *model = samples->session->model;
    const pfm_row *shown = &samples->dataset->rows[row];
    char *to = (char *)batch->visual + (size_t)(first_visual / model->visual_tokens) * pfm_model_image_bytes(model);
    for (size_t k = 0; k < shown->image_count; k++, to += pfm_model_image_bytes(model)) {
        PFM_TRY(pfm_feature_store_read(samples->features, (size_t)shown->images[k].index, features, err));
        PFM_TRY(pfm_model_arrange(model, features, to, err));
    }
done:
    return status;
}

static pfm_status fill_visual(pfm_micro_batch *batch, const pfm_samples *samples, const size_t *rows, const int *groups,
                              size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_model *model = samples->session->model;
    float *features = NULL;
    size_t bytes = (size_t)(batch->visual_rows / model->visual_tokens) * pfm_model_image_bytes(model);
    int64_t visual = 0;
    PFM_TRY(pfm_array_reserve(&batch->visual, &batch->visual_capacity, bytes, 1, err));
    PFM_TRY(pfm_allocate(pfm_model_feature_values(model), sizeof *features, &features, err));
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && groups[i] == groups[i - 1])
            continue;
        PFM_TRY(read_features(batch, samples, rows[i], visual, features, err));
        visual += pfm_samples_visual_rows(samples, rows[i]);
    }
done:
    free(features);
    return status;
}

pfm_status pfm_micro_batch_fill(pfm_micro_batch *batch, const pfm_samples *samples, const size_t *rows, const int *groups,
                                size_t count, size_t first_number, bool share, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t ids = 0;
    for (size_t i = 0; i < count; i++)
        ids += samples->rows[rows[i]].count;
    PFM_TRY(pfm_array_reserve(&batch->ids, &batch->id_capacity, ids, sizeof *batch->ids, err));
    PFM_TRY(pfm_array_reserve(&batch->sequences, &batch->sequence_capacity, count, sizeof *batch->sequences, err));
    int32_t *next = batch->ids;
    batch->visual_rows = 0;
    for (size_t i = 0; i < count; i++) {
        const pfm_ids *row = &samples->rows[rows[i]];
        int64_t own = pfm_samples_visual_rows(samples, rows[i]);
        if (i == 0 || groups[i] != groups[i - 1])
            batch->visual_rows += own;
        int32_t base = (int32_t)(batch->visual_rows - own);
        batch->sequences[i] = (pfm_sequence){.ids = next,
                                             .count = row->count,
                                             .answer = samples->answers[rows[i]],
                                             .group = groups[i],
                                             .visual_begin = base,
                                             .visual_end = (int32_t)batch->visual_rows,
                                             .number = (int32_t)(first_number + i)};
        for (size_t t = 0; t < row->count; t++)
            *next++ = row->data[t] < 0 ? row->data[t] - base : row->data[t];
    }
    pfm_pack_options options = {.share = share};
    PFM_TRY(pfm_pack_rows(&batch->pack, batch->sequences, count, &options, err));
    if (samples->features != NULL)
        PFM_TRY(fill_visual(batch, samples, rows, groups, count, err));
done:
    return status;
}

void pfm_micro_batch_free(pfm_micro_batch *batch)
{
    if (batch == NULL)
        return;
    pfm_pack_free(&batch->pack);
    free(batch->visual);
    free(batch->ids);
    free(batch->sequences);
    *batch = (pfm_micro_batch){0};
}

/* Tokens that one group takes. */
static size_t group_tokens(const pfm_samples *samples, const size_t *rows, size_t count, bool share)
{
    pfm_group_count group = {0};
    for (size_t i = 0; i < count; i++) {
        const pfm_ids *row = &samples->rows[rows[i]];
        pfm_group_count_add(&group,
                            &(pfm_sequence){.ids = row->data, .count = row->count, .answer = samples->answers[rows[i]]});
    }
    return pfm_group_count_tokens(&group, share);
}

size_t pfm_micro_batch_cut(const pfm_samples *samples, const size_t *rows, const int *groups, size_t count, bool share,
                           size_t tokens, size_t most_rows, size_t *used)
{
    size_t taken = 0;
    *used = 0;
    while (taken < count) {
        size_t end = taken + 1;
        while (end < count && groups[end] == groups[taken])
            end++;
        size_t more = group_tokens(samples, rows + taken, end - taken, share);
        if (taken > 0 && (*used + more > tokens || (most_rows > 0 && end > most_rows)))
            break;
        *used += more;
        taken = end;
    }
    return taken;
}
