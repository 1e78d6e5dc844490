#include "eval/prior.h"

#include "base/try.h"
#include "eval/text_store.h"
#include "eval/vqa_text.h"

#include <stdlib.h>
#include <string.h>

/* How often an answer was given to a question, or to a kind of question. */
typedef struct answer_count {
    uint64_t topic, answer; /* numbers in the interns; topics 0 and 1 are the kinds, then the questions */
} answer_count;

struct pfm_prior {
    const pfm_score_profile *profile;
    pfm_intern topics, answers, pairs; /* a pair is an answer_count's bytes */
    uint64_t *counts;                  /* by pair */
    size_t count_capacity;
    uint64_t *best; /* by topic: its most common answer + 1 */
    bool stale;     /* rows were added since best was made */
    pfm_buffer text;
};

pfm_status pfm_prior_create(const pfm_score_profile *profile, pfm_prior **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_prior *prior = NULL;
    size_t index = 0;
    PFM_TRY(pfm_allocate(1, sizeof *prior, &prior, err));
    prior->profile = pfm_score_profile_or_vqa(profile);
    PFM_TRY(pfm_intern_add(&prior->topics, "(open)", 6, &index, err)); /* no normalised question has parentheses */
    PFM_TRY(pfm_intern_add(&prior->topics, "(closed)", 8, &index, err));
    prior->stale = true;
    *out = prior;
    prior = NULL;
done:
    pfm_prior_free(prior);
    return status;
}

static pfm_status count_pair(pfm_prior *prior, size_t topic, size_t answer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    answer_count key = {topic, answer};
    size_t pair = 0;
    PFM_TRY(pfm_intern_add(&prior->pairs, (const char *)&key, sizeof key, &pair, err));
    PFM_TRY(pfm_array_reserve(&prior->counts, &prior->count_capacity, prior->pairs.count, sizeof *prior->counts, err));
    prior->counts[pair]++;
done:
    return status;
}

/* Interns what prior->text holds. */
static pfm_status intern_text(pfm_prior *prior, pfm_intern *intern, size_t *out, pfm_error *err)
{
    return pfm_intern_add(intern, prior->text.size == 0 ? "" : prior->text.data, prior->text.size, out, err);
}

/* Where there is one answer to everything, its questions are all of one kind. */
static pfm_status count_everywhere(pfm_prior *prior, const json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place_text where;
    pfm_number_text number;
    size_t answer = 0;
    const char *column = prior->profile->training_answer;
    const json_t *value = json_object_get(row, "answer");
    if (value == NULL && column != NULL)
        value = json_object_get(row, column);
    const char *text = pfm_json_text(value, number);
    if (json_is_null(value))
        return PFM_OK;
    if (text == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a training row needs \"answer\"%s%s%s", pfm_place_format(place, where),
                 column != NULL ? " or \"" : "", column != NULL ? column : "", column != NULL ? "\"" : "");
    PFM_TRY(pfm_score_profile_reduce(prior->profile, text, false, row, &prior->text, err));
    PFM_TRY(intern_text(prior, &prior->answers, &answer, err));
    PFM_TRY(count_pair(prior, PFM_KIND_CLOSED, answer, err));
    prior->stale = true;
done:
    return status;
}

pfm_status pfm_prior_add(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_prior *prior = user;
    pfm_status status = PFM_OK;
    pfm_place_text where;
    pfm_number_text question_number, answer_number;
    pfm_answer_kind kind = PFM_KIND_UNKNOWN;
    size_t question = 0, answer = 0;
    const char *question_text = pfm_json_text(json_object_get(row, "question"), question_number);
    const char *answer_text = pfm_json_text(json_object_get(row, "answer"), answer_number);
    if (!prior->profile->by_question)
        return count_everywhere(prior, row, place, err);
    if (question_text == NULL || answer_text == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a training row needs \"question\" and \"answer\"", pfm_place_format(place, where));
    PFM_TRY(pfm_answer_kind_read(row, place, &kind, err));
    PFM_TRY(pfm_vqa_normalise(question_text, &prior->text, err));
    PFM_TRY(intern_text(prior, &prior->topics, &question, err));
    PFM_TRY(pfm_score_profile_reduce(prior->profile, answer_text, false, row, &prior->text, err));
    PFM_TRY(intern_text(prior, &prior->answers, &answer, err));
    if (kind == PFM_KIND_UNKNOWN)
        kind = pfm_answer_kind_infer(prior->answers.texts[answer]);
    PFM_TRY(count_pair(prior, question, answer, err));
    PFM_TRY(count_pair(prior, (size_t)kind, answer, err));
    prior->stale = true;
done:
    return status;
}

/* Pairs are in the order of their first appearance, so the first of equally common answers stays. */
static pfm_status choose_best(pfm_prior *prior, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint64_t *most = NULL;
    free(prior->best);
    prior->best = NULL;
    PFM_TRY(pfm_allocate(prior->topics.count, sizeof *prior->best, &prior->best, err));
    PFM_TRY(pfm_allocate(prior->topics.count, sizeof *most, &most, err));
    for (size_t i = 0; i < prior->pairs.count; i++) {
        answer_count pair;
        memcpy(&pair, prior->pairs.texts[i], sizeof pair);
        if (prior->counts[i] > most[pair.topic]) {
            most[pair.topic] = prior->counts[i];
            prior->best[pair.topic] = pair.answer + 1;
        }
    }
    prior->stale = false;
done:
    free(most);
    return status;
}

pfm_status pfm_prior_answer(pfm_prior *prior, const char *question, pfm_answer_kind kind, const char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t topic = 0;
    if (prior->stale)
        PFM_TRY(choose_best(prior, err));
    PFM_TRY(pfm_vqa_normalise(question, &prior->text, err));
    const char *data = prior->text.size == 0 ? "" : prior->text.data;
    if (!prior->profile->by_question)
        topic = PFM_KIND_CLOSED;
    else if (!pfm_intern_find(&prior->topics, data, prior->text.size, &topic))
        topic = (size_t)kind;
    uint64_t best = prior->best[topic];
    *out = best == 0 ? NULL : prior->answers.texts[best - 1];
done:
    return status;
}

void pfm_prior_free(pfm_prior *prior)
{
    if (prior == NULL)
        return;
    pfm_intern_free(&prior->topics);
    pfm_intern_free(&prior->answers);
    pfm_intern_free(&prior->pairs);
    pfm_buffer_free(&prior->text);
    free(prior->counts);
    free(prior->best);
    free(prior);
}
