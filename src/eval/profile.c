#include "eval/profile.h"

#include "base/try.h"
#include "eval/profile_list.h"
#include "eval/vqa_text.h"

#include <string.h>

#define DECLARE(name) extern const pfm_score_profile pfm_score_profile_##name;
PFM_PROFILE_LIST(DECLARE)
#define ADDRESS(name) &pfm_score_profile_##name,
const pfm_score_profile *const pfm_score_profiles[] = {PFM_PROFILE_LIST(ADDRESS) NULL};

const pfm_score_profile pfm_score_profile_vqa = {
    .name = "vqa",
    .definition =
        "Exact match (see the metric exact) of closed, open and all answers in per cent, recall_open, the prior that never "
        "looks "
        "at the image, the score by each column of the data, calibration; intervals of 95 % by 1,000 bootstrap samples of "
        "images.",
    .rule = "text:nfc.lower.LN_,/",
    .by_question = true,
};

pfm_status pfm_score_profile_find(const char *name, const pfm_score_profile **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    for (size_t i = 0; pfm_score_profiles[i] != NULL; i++) {
        if (strcmp(pfm_score_profiles[i]->name, name) == 0) {
            *out = pfm_score_profiles[i];
            goto done;
        }
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", i > 0 ? ", " : "", pfm_score_profiles[i]->name));
    }
    PFM_FAIL(PFM_ERROR_USAGE, "there is no profile '%.60s'; there are %s", name, known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

pfm_status pfm_score_profile_reduce(const pfm_score_profile *profile, const char *text, bool predicted, const json_t *columns,
                                    pfm_buffer *out, pfm_error *err)
{
    return profile->reduce == NULL ? pfm_vqa_normalise(text, out, err) : profile->reduce(text, predicted, columns, out, err);
}

pfm_status pfm_score_profile_correct(const pfm_score_profile *profile, const char *prediction, const char *answer,
                                     const json_t *columns, bool *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer given = {0}, wanted = {0};
    if (profile->reduce == NULL)
        return pfm_vqa_correct(prediction, answer, out, err);
    PFM_TRY(pfm_score_profile_reduce(profile, prediction, true, columns, &given, err));
    PFM_TRY(pfm_score_profile_reduce(profile, answer, false, columns, &wanted, err));
    *out = wanted.size > 0 && given.size == wanted.size && memcmp(given.data, wanted.data, wanted.size) == 0;
done:
    pfm_buffer_free(&given);
    pfm_buffer_free(&wanted);
    return status;
}
