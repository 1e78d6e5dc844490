/* A step that a server answers. */
#include "base/try.h"
#include "pipeline/pipeline_internal.h"

#include <stdlib.h>
#include <string.h>

pfm_status pfm_pipeline_open_remote(pfm_pipeline_work *work, size_t s, pfm_error *err)
{
    const pfm_pipeline_step *step = &work->pipeline->steps[s];
    const char *dataset = work->dataset->name;
    for (size_t i = 0; i < s; i++) {
        if (work->pipeline->steps[i].url != NULL && strcmp(work->pipeline->steps[i].url, step->url) == 0)
            work->clients[s] = work->clients[i];
    }
    if (work->clients[s] != NULL)
        return PFM_OK;
    pfm_client_options options = work->options->client;
    options.url = step->url;
    options.model = step->model;
    pfm_status status = pfm_client_create(work->context, &options, &work->clients[s], err);
    if (status == PFM_OK && !pfm_client_is_local(work->clients[s]) && pfm_dataset_is_restricted(dataset))
        status = pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                               "%s may not be sent to others by its terms, and %.200s is not this machine; ask a model here",
                               dataset, step->url);
    return status;
}

void pfm_pipeline_close_remote(pfm_pipeline_work *work)
{
    for (size_t s = 0; work->clients != NULL && s < work->pipeline->count; s++) {
        bool shared = false;
        for (size_t i = 0; i < s; i++)
            shared |= work->clients[i] == work->clients[s];
        if (!shared)
            pfm_client_free(work->clients[s]);
    }
    free(work->clients);
}

/* What one case is asked: its parts, one message. */
typedef struct conversation {
    pfm_client_part *parts;
    pfm_sent_picture *pictures; /* [images] */
    pfm_client_message message;
    char *text; /* the prompt, cut where the images stand */
} conversation;

/* Images first, or each in the place of its mark. */
static pfm_status make_parts(const pfm_pipeline_work *work, const pfm_turn *turn, bool images, conversation *out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_row *row = work->cases[turn->number].row;
    const size_t shown = images ? row->image_count : 0;
    size_t count = 0, next = 0;
    PFM_TRY(pfm_string_copy(turn->prompt, &out->text, err));
    PFM_TRY(pfm_allocate(2 * shown + 1, sizeof *out->parts, &out->parts, err));
    PFM_TRY(pfm_allocate(shown, sizeof *out->pictures, &out->pictures, err));
    char *text = out->text;
    if (strstr(text, PFM_IMAGE_MARK) == NULL)
        for (; next < shown; next++)
            PFM_TRY(pfm_pipeline_show(work, &row->images[next], &out->pictures[next], &out->parts[count++], err));
    for (; next < shown; next++) {
        char *mark = strstr(text, PFM_IMAGE_MARK); /* there are as many as images */
        *mark = '\0';
        if (text[0] != '\0')
            out->parts[count++].text = text;
        PFM_TRY(pfm_pipeline_show(work, &row->images[next], &out->pictures[next], &out->parts[count++], err));
        text = mark + strlen(PFM_IMAGE_MARK);
    }
    if (text[0] != '\0' || count == 0)
        out->parts[count++].text = text;
    out->message = (pfm_client_message){.role = "user", .parts = out->parts, .count = count};
done:
    return status;
}

pfm_status pfm_pipeline_ask_remote(pfm_pipeline_work *work, size_t s, pfm_turn *turns, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pipeline_step *step = &work->pipeline->steps[s];
    pfm_client_question *questions = NULL;
    pfm_client_answer *answers = NULL;
    conversation *all = NULL;
    PFM_TRY(pfm_allocate(count, sizeof *questions, &questions, err));
    PFM_TRY(pfm_allocate(count, sizeof *answers, &answers, err));
    PFM_TRY(pfm_allocate(count, sizeof *all, &all, err));
    for (size_t i = 0; i < count; i++) {
        PFM_TRY(make_parts(work, &turns[i], step->images, &all[i], err));
        questions[i] = (pfm_client_question){.model = step->model,
                                             .label = turns[i].label,
                                             .messages = &all[i].message,
                                             .message_count = 1,
                                             .temperature = step->temperature,
                                             .top_p = step->top_p,
                                             .max_tokens = step->max_tokens,
                                             .seed = step->seed,
                                             .stop = (const char *const *)step->stop,
                                             .stop_count = step->stop_count};
    }
    PFM_TRY(pfm_pipeline_check_sent(work, s, turns, count, err));
    PFM_TRY(pfm_client_ask(work->clients[s], work->log, questions, count, answers, err));
    for (size_t i = 0; i < count; i++) {
        turns[i].answer = answers[i];
        answers[i] = (pfm_client_answer){0};
    }
done:
    for (size_t i = 0; i < count; i++) {
        if (answers != NULL)
            pfm_client_answer_free(&answers[i]);
        if (all != NULL) {
            free(all[i].parts);
            free(all[i].pictures);
            free(all[i].text);
        }
    }
    free(all);
    free(answers);
    free(questions);
    return status;
}
