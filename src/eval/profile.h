/* Profiles: what counts of an answer, and what stands beside the score. A profile is a file and a line in profile_list.h. */
#ifndef PFM_EVAL_PROFILE_H
#define PFM_EVAL_PROFILE_H

#include "base/json.h"

#include <stdbool.h>

typedef struct pfm_score_profile {
    const char *name;
    const char *definition; /* a sentence or two */
    const char *rule;       /* of the signature: what is compared with what */
    /* Replaces what `out` holds by what counts of a text: of an answer of the data, or of a prediction, whose further columns
     * (NULL: unknown) may say how it is to be read. Nothing counts of an empty one. NULL: the text as vqa_text.h normalises it.
     */
    pfm_status (*reduce)(const char *text, bool predicted, const json_t *columns, pfm_buffer *out, pfm_error *err);
    /* The chance (0..1) of whoever guesses blindly, of a row with these columns; NaN where they do not tell. NULL: there is no
     * such figure. */
    double (*guess)(const json_t *columns);
    /* Where the prior takes a training row's answer from where there is no column `answer`; NULL: nowhere. */
    const char *training_answer;
    bool by_question;           /* the prior knows what was answered to the same question; else it always answers the same */
    const char *const *columns; /* NULL, or names ended by NULL: the score is split by these however many values they have */
} pfm_score_profile;
extern const pfm_score_profile *const pfm_score_profiles[]; /* ended by NULL; the first is vqa */

/* What NULL stands for. */
static inline const pfm_score_profile *pfm_score_profile_or_vqa(const pfm_score_profile *profile)
{
    return profile != NULL ? profile : pfm_score_profiles[0];
}

/* *out = the profile of this name; USAGE lists those there are. */
pfm_status pfm_score_profile_find(const char *name, const pfm_score_profile **out, pfm_error *err) PFM_MUST_CHECK;
/* reduce, or for a profile without the normalised text. out->data may stay NULL where nothing counts. */
pfm_status pfm_score_profile_reduce(const pfm_score_profile *profile, const char *text, bool predicted, const json_t *columns,
                                    pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = whether a prediction is right. */
pfm_status pfm_score_profile_correct(const pfm_score_profile *profile, const char *prediction, const char *answer,
                                     const json_t *columns, bool *out, pfm_error *err) PFM_MUST_CHECK;

#endif
