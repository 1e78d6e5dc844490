/* The record of answers that the server gives (docs/records.md). */
#include "serve/chat_job.h"

#include "base/context.h"
#include "base/try.h"

#include <stdlib.h>

pfm_status pfm_chat_job_hash(pfm_chat_job *job, size_t image, const pfm_buffer *bytes, pfm_error *err)
{
    return job->hashes != NULL ? pfm_hash_bytes(bytes->data, bytes->size, job->hashes[image], err) : PFM_OK;
}

static json_t *list_images(const pfm_chat_job *job)
{
    json_t *list = json_array();
    for (size_t i = 0; i < job->request.image_count; i++) {
        char *shown = NULL;
        json_t *one =
            pfm_image_applied_json(&job->applied[i], &shown, NULL) == PFM_OK ? pfm_recorded_image(job->hashes[i], shown) : NULL;
        free(shown);
        if (one != NULL && job->request.images[i].blank && json_object_set_new(one, "blank", json_true()) != 0) {
            json_decref(one);
            one = NULL;
        }
        list = pfm_json_add(list, one);
    }
    return list;
}

/* What its answers were held to; hash: room for it. NULL: nothing. */
static pfm_status name_shape(const pfm_chat_job *job, pfm_hash_hex hash, const char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    *out = job->request.wants_json ? "json_object" : NULL;
    if (!job->request.wants_json || job->request.schema == NULL)
        return PFM_OK;
    PFM_TRY(pfm_json_append(&text, job->request.schema, err));
    PFM_TRY(pfm_hash_bytes(text.data, text.size, hash, err));
    *out = hash;
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status record_answer(pfm_chat_job *job, pfm_chat_answer *answer, size_t size, const char *finish, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_question question = pfm_chat_job_question(job);
    json_t *images = list_images(job);
    pfm_hash_hex hash;
    const char *held_to = NULL;
    PFM_TRY(name_shape(job, hash, &held_to, err));
    if (images == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not record an answer");
    const pfm_recorded_answer entry = {.command = "serve",
                                       .asker = job->server->options->token,
                                       .request = job->id,
                                       .model = job->model->name,
                                       .adapter = job->model->adapter,
                                       .question = &question,
                                       .images = images,
                                       .held_to = held_to,
                                       .decoding = &answer->decoding,
                                       .max_tokens = job->max_tokens,
                                       .text = size > 0 ? answer->text.data : "",
                                       .size = size,
                                       .tokens = answer->count,
                                       .probability = answer->probability,
                                       .finish = finish};
    PFM_TRY(pfm_recorder_put(job->server->recorder, &entry, &answer->receipt, err));
    answer->recorded = true;
done:
    json_decref(images);
    return status;
}

/* The engine is done with an answer that has ended, so that only this thread touches it; others of the job go on meanwhile. */
pfm_status pfm_chat_job_record(pfm_chat_job *job, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; status == PFM_OK && i < job->request.answers; i++) {
        pfm_chat_answer *answer = &job->answers[i];
        if (answer->recorded || !answer->ended || answer->status != PFM_OK)
            continue;
        answer->recorded = job->server->recorder == NULL;
        if (answer->recorded)
            continue;
        (void)pthread_mutex_unlock(&job->lock);
        status = record_answer(job, answer, answer->text.size, pfm_chat_finish(job, answer), err);
        (void)pthread_mutex_lock(&job->lock);
        i = -1; /* others may have ended meanwhile */
    }
    return status;
}

void pfm_chat_job_record_broken(pfm_chat_job *job)
{
    if (job->server->recorder == NULL || job->answers == NULL)
        return;
    for (int i = 0; i < job->request.answers; i++) {
        pfm_chat_answer *answer = &job->answers[i];
        pfm_error failure = PFM_ERROR_INIT;
        if (answer->recorded || answer->sent == 0)
            continue;
        if (record_answer(job, answer, answer->sent, "broken_off", &failure) != PFM_OK)
            pfm_log(job->server->context, PFM_LOG_WARNING, "an answer that was broken off is not recorded: %s",
                    failure.message);
    }
}
