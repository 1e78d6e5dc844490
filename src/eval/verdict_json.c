/* A reply that was to be a JSON object. Whether the server held it to that is not known: it is read as any text is. */
#include "base/json.h"
#include "base/try.h"
#include "eval/verdict.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* A whole number from low to high; 3.0 is one. */
static bool read_number(const json_t *value, int low, int high, int *out)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || number != floor(number) || number < low || number > high)
        return false;
    *out = (int)number;
    return true;
}

/* Counts by type, of which none is above `most`; a type that is not named has none. */
static bool read_counts(const json_t *object, int most, int counts[PFM_ERROR_TYPES])
{
    memset(counts, 0, PFM_ERROR_TYPES * sizeof *counts);
    for (int i = 0; i < PFM_ERROR_TYPES; i++) {
        const char type[2] = {(char)('A' + i), '\0'};
        const json_t *value = json_object_get(object, type);
        if (value != NULL && !read_number(value, 0, most, &counts[i]))
            return false;
    }
    return json_is_object(object);
}

static bool read_errors(const pfm_rubric *rubric, const json_t *reply, pfm_verdict *out)
{
    int64_t sum = 0;
    out->has_significant = read_counts(json_object_get(reply, PFM_REPLY_SIGNIFICANT), rubric->high, out->significant);
    out->has_insignificant = read_counts(json_object_get(reply, PFM_REPLY_INSIGNIFICANT), rubric->high, out->insignificant);
    for (int i = 0; i < PFM_ERROR_TYPES; i++)
        sum += out->significant[i];
    out->score = sum <= rubric->high ? (int)sum : 0;
    return out->has_significant && sum <= rubric->high;
}

pfm_status pfm_verdict_read_json(const pfm_rubric *rubric, const char *reply, pfm_verdict *out, pfm_error *err)
{
    *out = (pfm_verdict){.state = PFM_VERDICT_UNPARSABLE};
    const char *begin = strchr(pfm_verdict_said(reply), '{'), *end = begin != NULL ? strrchr(begin, '}') : NULL;
    if (end == NULL)
        return PFM_OK;
    errno = 0; /* jansson does not tell memory that ended from a text that is none */
    json_t *object = json_loadb(begin, (size_t)(end + 1 - begin), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (object == NULL && errno == ENOMEM)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read a judge's reply");
    const bool ok = rubric->verdict == PFM_RUBRIC_ERRORS
                        ? read_errors(rubric, object, out)
                        : read_number(json_object_get(object, PFM_REPLY_SCORE), rubric->low, rubric->high, &out->score);
    if (ok)
        out->state = PFM_VERDICT_OK;
    else
        *out = (pfm_verdict){.state = PFM_VERDICT_UNPARSABLE};
    json_decref(object);
    return PFM_OK;
}
