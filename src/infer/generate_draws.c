/* Of several answers drawn to each request the one most like the others, or of a request's choices the one most like the
 * answers drawn (decoding.h: draws). */
#include "infer/consensus.h"
#include "infer/generate_internal.h"

#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each request stands there `draws` times, one behind the other. */
typedef struct drawing {
    const pfm_generate_options *options;
    const pfm_request *requests; /* [requests] as they were asked */
    size_t draws;
    pfm_answer *drawn;   /* [requests * draws] */
    pfm_answer *answers; /* [requests] */
} drawing;

static void tell_ready(void *user)
{
    const drawing *d = user;
    if (d->options->ready != NULL)
        d->options->ready(d->options->user);
}

static pfm_status give_features(void *user, size_t request, size_t image, float *features, pfm_error *err)
{
    const drawing *d = user;
    return d->options->features(d->options->user, request / d->draws, image, features, err);
}

/* The choice that is most like what was drawn: how likely it is nobody asked. */
static pfm_status choose_given(const drawing *d, const pfm_choices *choices, const char *const *texts, pfm_answer *out,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *likenesses = NULL;
    size_t best = 0;
    PFM_TRY(pfm_allocate(choices->count, sizeof *likenesses, &likenesses, err));
    PFM_TRY(pfm_consensus_choose(choices->texts, choices->count, texts, d->draws, likenesses, &best, err));
    PFM_TRY(pfm_string_copy(choices->texts[best], &out->text, err));
    out->probability = (double)NAN;
    out->score = likenesses[best];
    if (d->options->list_choices)
        PFM_TRY(pfm_allocate(choices->count, sizeof *out->choices, &out->choices, err));
    for (size_t c = 0; out->choices != NULL && c < choices->count; c++)
        out->choices[c] =
            (pfm_choice){.log_likelihood = (double)NAN, .score = likenesses[c], .probability = (double)NAN, .tokens = 0};
done:
    free(likenesses);
    return status;
}

static pfm_status choose(const drawing *d, size_t request, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char **texts = NULL;
    pfm_answer *drawn = d->drawn + request * d->draws, *out = &d->answers[request];
    size_t best = 0;
    double likeness = 0;
    PFM_TRY(pfm_allocate(d->draws, sizeof *texts, &texts, err));
    for (size_t k = 0; k < d->draws; k++)
        texts[k] = drawn[k].text;
    if (d->requests[request].choices != NULL) {
        PFM_TRY(choose_given(d, d->requests[request].choices, texts, out, err));
        for (size_t k = 0; k < d->draws; k++)
            out->tokens += drawn[k].tokens;
        goto done;
    }
    PFM_TRY(pfm_consensus_find(texts, d->draws, &best, &likeness, err));
    *out = drawn[best];
    out->score = likeness;
    drawn[best] = (pfm_answer){0};
done:
    for (size_t k = 0; k < d->draws; k++)
        pfm_answer_free(&drawn[k]);
    free(texts);
    return status;
}

/* Batches hold whole groups, so all draws of a request. */
static pfm_status take_answers(void *user, size_t begin, size_t end, pfm_error *err)
{
    const drawing *d = user;
    pfm_status status = PFM_OK;
    for (size_t i = begin / d->draws; i < end / d->draws; i++)
        PFM_TRY(choose(d, i, err));
    if (d->options->on_answers != NULL)
        PFM_TRY(d->options->on_answers(d->options->user, begin / d->draws, end / d->draws, err));
done:
    return status;
}

pfm_status pfm_generate_draws(pfm_session *session, const pfm_request *requests, size_t count,
                              const pfm_generate_options *options, pfm_answer *answers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t draws = (size_t)options->decoding->draws;
    drawing d = {.options = options, .requests = requests, .draws = draws, .answers = answers};
    pfm_generate_options each = *options;
    pfm_request *all = NULL;
    memset(answers, 0, count * sizeof *answers);
    each.features = give_features;
    each.ready = tell_ready;
    each.on_token = NULL; /* which of them is the answer is known when all are there */
    each.on_answers = take_answers;
    each.user = &d;
    PFM_TRY(pfm_allocate(count * draws, sizeof *all, &all, err));
    PFM_TRY(pfm_allocate(count * draws, sizeof *d.drawn, &d.drawn, err));
    for (size_t i = 0; i < count * draws; i++) {
        all[i] = requests[i / draws];
        all[i].draws += i % draws; /* the first is what is drawn alone */
        all[i].choices = NULL;     /* an answer is drawn freely, whatever is chosen then */
    }
    PFM_TRY(pfm_generate_each(session, all, count * draws, &each, d.drawn, err));
done:
    for (size_t i = 0; status != PFM_OK && i < count; i++)
        pfm_answer_free(&answers[i]);
    free(all);
    free(d.drawn);
    return status;
}
