#include "eval/answers.h"

#include "base/try.h"

#include <math.h>
#include <string.h>
#include <utf8proc.h>

pfm_status pfm_answer_make_valid(const char *text, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t left = strlen(text);
    while (left > 0) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
        if (length > 0)
            PFM_TRY(pfm_buffer_append(out, text, (size_t)length, err));
        else
            PFM_TRY(pfm_buffer_append_string(out, "\xEF\xBF\xBD", err));
        size_t step = length > 0 ? (size_t)length : 1;
        text += step;
        left -= step;
    }
done:
    return status;
}

static const char *kind_name(pfm_answer_type type) { return type == PFM_ANSWER_CLOSED ? "CLOSED" : "OPEN"; }

static bool any_slice(const pfm_row *row)
{
    for (size_t k = 0; k < row->image_count; k++)
        if (row->images[k].slice > 0)
            return true;
    return false;
}

static pfm_status add_images(const pfm_row *row, json_t *out, pfm_error *err)
{
    json_t *first = row->image_count > 0 ? json_string(row->images[0].name) : json_null();
    pfm_status status = pfm_json_take(out, "image", first, err);
    json_t *names = json_array();
    for (size_t k = 0; k < row->image_count; k++)
        names = pfm_json_add(names, json_string(row->images[k].name));
    json_t *slices = any_slice(row) ? json_array() : NULL; /* which of a series; 0 of an image that is none */
    for (size_t k = 0; slices != NULL && k < row->image_count; k++)
        slices = pfm_json_add(slices, json_integer(row->images[k].slice));
    if (status == PFM_OK && row->image_count > 1)
        status = pfm_json_take(out, "images", json_incref(names), err);
    if (status == PFM_OK && slices != NULL)
        status = pfm_json_take(out, "slices", json_incref(slices), err);
    json_decref(names);
    json_decref(slices);
    return status;
}

static pfm_status add_answer(const pfm_row *row, const pfm_score_profile *profile, const char *text, json_t *out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool correct = false;
    PFM_TRY(pfm_score_profile_correct(pfm_score_profile_or_vqa(profile), text, row->answer, row->extra, &correct, err));
    PFM_TRY(pfm_json_take(out, "question", json_string(row->question), err));
    PFM_TRY(pfm_json_take(out, "answer", json_string(row->answer), err));
    PFM_TRY(pfm_json_take(out, "prediction", json_string(text), err));
    PFM_TRY(pfm_json_take(out, "answer_type", json_string(kind_name(row->answer_type)), err));
    PFM_TRY(pfm_json_take(out, "correct", json_boolean(correct), err));
done:
    return status;
}

pfm_status pfm_prediction_create(const pfm_row *row, const pfm_score_profile *profile, const char *prediction,
                                 double probability, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer valid = {0};
    json_t *result = json_object();
    PFM_TRY(pfm_answer_make_valid(prediction, &valid, err));
    const char *text = valid.size == 0 ? "" : valid.data;
    PFM_TRY(pfm_json_take(result, "id", json_string(row->id), err));
    PFM_TRY(add_images(row, result, err));
    if (pfm_row_asks(row)) {
        PFM_TRY(add_answer(row, profile, text, result, err));
    } else {
        PFM_TRY(pfm_json_take(result, "reference", json_string(row->answer), err));
        PFM_TRY(pfm_json_take(result, "prediction", json_string(text), err));
    }
    PFM_TRY(pfm_json_take(result, "probability", pfm_json_number(probability), err));
    if (row->extra != NULL && json_object_update_missing(result, row->extra) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write a prediction");
    *out = result;
    result = NULL;
done:
    pfm_buffer_free(&valid);
    json_decref(result);
    return status;
}

pfm_status pfm_training_rows_create(const pfm_dataset *dataset, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *rows = json_array();
    for (size_t i = 0; i < dataset->count; i++) {
        const pfm_row *row = &dataset->rows[i];
        json_t *entry = json_pack("{s:s,s:s,s:s}", "question", row->question, "answer", row->answer, "answer_type",
                                  kind_name(row->answer_type));
        if (entry == NULL || json_array_append_new(rows, entry) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the training answers");
    }
    *out = rows;
    rows = NULL;
done:
    json_decref(rows);
    return status;
}
