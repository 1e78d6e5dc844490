#include "serve/study_export.h"

#include "base/try.h"
#include "eval/sheet_key.h"

#include <stdlib.h>
#include <string.h>

static pfm_status open_row(const pfm_sheet_key *key, const json_t *row, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *item = NULL;
    const json_t *known = pfm_sheet_key_find(key, json_string_value(json_object_get(row, PFM_SHEET_CODE)));
    if (known == NULL)
        PFM_FAIL(PFM_ERROR_MISMATCH, "a row of the study is not in its key");
    const char *system = json_string_value(json_object_get(known, "system")),
               *id = json_string_value(json_object_get(known, "id"));
    const bool several = key->system_count > 1;
    PFM_TRY(pfm_string_format(&item, err, "%s%s%s", several ? system : "", several ? "/" : "", id));
    json_t *rating =
        json_pack("{s:s, s:O, s:O, s:O, s:s}", "item", item, "rater", json_object_get(known, "rater"), "score",
                  json_object_get(row, PFM_SHEET_SCORE), "comment", json_object_get(row, PFM_SHEET_COMMENT), "system", system);
    if (rating == NULL || json_array_append_new(out, rating) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not open the sheets");
    if (json_is_true(json_object_get(known, "duplicate")))
        PFM_TRY(pfm_json_take(rating, "duplicate_of", json_string(item), err));
done:
    free(item);
    return status;
}

pfm_status pfm_study_open(const json_t *key, const json_t *rows, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sheet_key opened = {0};
    json_t *list = json_array();
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not open the sheets");
    PFM_TRY(pfm_sheet_key_read(json_incref((json_t *)(uintptr_t)key), "the study", &opened, err));
    for (size_t i = 0; i < json_array_size(rows); i++)
        PFM_TRY(open_row(&opened, json_array_get(rows, i), list, err));
    *out = list;
    list = NULL;
done:
    pfm_sheet_key_free(&opened);
    json_decref(list);
    return status;
}

pfm_status pfm_study_append_csv(const json_t *ratings, pfm_buffer *out, pfm_error *err)
{
    static const char *const columns[] = {"item", "rater", "score", "comment", "system", "duplicate_of"};
    enum { COLUMNS = sizeof columns / sizeof *columns };
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_buffer_append_string(out, "\xef\xbb\xbf", err)); /* spreadsheets take it for UTF-8 */
    for (size_t c = 0; c < COLUMNS; c++)
        PFM_TRY(pfm_buffer_append_format(out, err, "%s%s", columns[c], c + 1 < COLUMNS ? "," : "\r\n"));
    for (size_t i = 0; i < json_array_size(ratings); i++) {
        for (size_t c = 0; c < COLUMNS; c++) {
            const json_t *value = json_object_get(json_array_get(ratings, i), columns[c]);
            if (json_is_integer(value))
                PFM_TRY(pfm_buffer_append_format(out, err, "%lld", (long long)json_integer_value(value)));
            if (json_is_string(value) && json_string_length(value) > 0)
                PFM_TRY(pfm_sheet_append_cell(out, json_string_value(value), err));
            PFM_TRY(pfm_buffer_append_string(out, c + 1 < COLUMNS ? "," : "\r\n", err));
        }
    }
done:
    return status;
}

pfm_status pfm_study_append_lines(const json_t *rows, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        PFM_TRY(pfm_json_append(out, json_array_get(rows, i), err));
        PFM_TRY(pfm_buffer_append_string(out, "\n", err));
    }
done:
    return status;
}
