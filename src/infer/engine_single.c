/* What is answered by pfm_generate between two steps. */
#include "infer/engine_internal.h"

#include "base/try.h"

#include <math.h>
#include <string.h>

bool pfm_engine_is_single(const pfm_engine *engine, const pfm_engine_request *request)
{
    const pfm_decoding *how = request->decoding != NULL ? request->decoding : &pfm_decoding_greedy;
    const bool beside = pfm_model_sees(engine->model) && engine->model->aligner->block != NULL;
    return how->beams > 1 || how->draws > 1 || request->choices != NULL || beside;
}

typedef struct single {
    pfm_engine *engine;
    pfm_engine_entry *entry;
} single;

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    (void)request;
    const single *s = user;
    const float *values = NULL;
    pfm_status status = pfm_engine_features_get(s->engine, s->entry, image, &values, err);
    if (status == PFM_OK)
        memcpy(features, values, s->engine->feature_bytes);
    return status;
}

pfm_status pfm_engine_single(pfm_engine *engine, pfm_engine_entry *entry, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_engine_request *asked = &entry->asked;
    single s = {engine, entry};
    const pfm_request request = {
        .question = asked->question, .adapter = asked->adapter, .context = asked->context, .choices = asked->choices};
    const pfm_generate_options options = {.max_tokens = asked->max_tokens,
                                          .decoding = entry->how,
                                          .choice_score = pfm_choice_score_of(engine->session->recipe),
                                          .list_choices = true,
                                          .images = asked->image_count > 0 ? (int32_t)asked->image_count : 1,
                                          .features = give_features,
                                          .user = &s};
    PFM_TRY(pfm_generate(engine->session, &request, 1, &options, &entry->answer, err));
    engine->counts.read += entry->prompt;
    engine->counts.generated += (uint64_t)entry->answer.tokens;
    if (asked->on_token != NULL && entry->answer.text[0] != '\0')
        asked->on_token(asked->user, entry->answer.text, strlen(entry->answer.text), -1, (double)NAN);
done:
    return status;
}
