/* Answers as OpenAI's reference has them: a chat.completion, or events of chat.completion.chunk. */
#include "serve/chat_job.h"

#include "base/try.h"
#include "pefomed/context.h"
#include "pefomed/image.h"

#include <stdlib.h>

const char *pfm_chat_finish(const pfm_chat_job *job, const pfm_chat_answer *answer)
{
    const bool cut =
        answer->count >= job->max_tokens && answer->last != pfm_tokenizer_end(job->server->session->model->tokenizer);
    return cut ? "length" : "stop";
}

static json_t *describe_usage(const pfm_chat_job *job)
{
    json_int_t completion = 0;
    for (int i = 0; i < job->request.answers; i++)
        completion += job->answers[i].count;
    return json_pack("{s:i, s:I, s:I}", "prompt_tokens", (int)job->prompt_tokens, "completion_tokens", completion,
                     "total_tokens", completion + job->prompt_tokens);
}

static json_t *describe_images(const pfm_chat_job *job)
{
    json_t *list = json_array();
    for (size_t i = 0; i < job->request.image_count; i++) {
        char *text = NULL;
        json_t *one = pfm_image_applied_json(&job->applied[i], &text, NULL) == PFM_OK ? json_loads(text, 0, NULL) : NULL;
        free(text);
        list = pfm_json_add(list, one);
    }
    return list;
}

/* What only this server tells: how sure the model was, how each picture was made of its file, and as which entries the answers
 * are recorded. */
static json_t *describe_beyond(const pfm_chat_job *job)
{
    json_t *probabilities = json_array(), *receipts = job->server->recorder != NULL ? json_array() : NULL;
    for (int i = 0; i < job->request.answers; i++) {
        probabilities = pfm_json_add(probabilities, pfm_json_number(job->answers[i].probability));
        if (job->server->recorder != NULL)
            receipts = pfm_json_add(receipts, pfm_record_receipt_describe(&job->answers[i].receipt));
    }
    return json_pack("{s:o, s:o, s:o*, s:s}", "probability", probabilities, "images", describe_images(job), "record", receipts,
                     "notice", "Not for clinical use.");
}

static json_t *describe_head(const pfm_chat_job *job, const char *object)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s+}", "id", job->id, "object", object, "created", (json_int_t)job->created,
                     "model", job->model->name, "system_fingerprint", "pefomed-", pfm_version());
}

static json_t *describe_logprobs(const pfm_chat_answer *answer, size_t from)
{
    if (answer->tokens == NULL)
        return json_null();
    json_t *list = json_array();
    for (size_t i = from; i < json_array_size(answer->tokens); i++)
        list = pfm_json_add(list, json_incref(json_array_get(answer->tokens, i)));
    return json_pack("{s:o, s:n}", "content", list, "refusal");
}

static const char *text_of(const pfm_chat_answer *answer) { return answer->text.data != NULL ? answer->text.data : ""; }

pfm_status pfm_chat_reply_write(pfm_chat_job *job, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = describe_head(job, "chat.completion"), *choices = json_array();
    for (int i = 0; i < job->request.answers; i++) {
        const pfm_chat_answer *answer = &job->answers[i];
        choices = pfm_json_add(choices, json_pack("{s:i, s:{s:s, s:s, s:n}, s:o, s:s}", "index", i, "message", "role",
                                                  "assistant", "content", text_of(answer), "refusal", "logprobs",
                                                  describe_logprobs(answer, 0), "finish_reason", pfm_chat_finish(job, answer)));
    }
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the answer");
    PFM_TRY(pfm_json_take(document, "choices", json_incref(choices), err));
    PFM_TRY(pfm_json_take(document, "usage", describe_usage(job), err));
    PFM_TRY(pfm_json_take(document, "pefomed", describe_beyond(job), err));
    PFM_TRY(pfm_json_append(out, document, err));
done:
    json_decref(choices);
    json_decref(document);
    return status;
}

/* Takes the document. */
static pfm_status append_event(pfm_buffer *out, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the answer");
    PFM_TRY(pfm_buffer_append_string(out, "data: ", err));
    PFM_TRY(pfm_json_append(out, document, err));
    PFM_TRY(pfm_buffer_append_string(out, "\n\n", err));
done:
    json_decref(document);
    return status;
}

/* A chunk with one choice. Takes delta and logprobs. */
static pfm_status append_chunk(pfm_chat_job *job, int index, json_t *delta, json_t *logprobs, const char *finish,
                               pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *chunk = describe_head(job, "chat.completion.chunk");
    json_t *choices =
        json_pack("[{s:i, s:o, s:o, s:s?}]", "index", index, "delta", delta, "logprobs", logprobs, "finish_reason", finish);
    if (chunk == NULL || choices == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the answer");
    PFM_TRY(pfm_json_take(chunk, "choices", json_incref(choices), err));
    if (job->request.include_usage)
        PFM_TRY(pfm_json_take(chunk, "usage", json_null(), err));
    PFM_TRY(append_event(out, json_incref(chunk), err));
done:
    json_decref(choices);
    json_decref(chunk);
    return status;
}

static pfm_status append_answer(pfm_chat_job *job, int index, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_answer *answer = &job->answers[index];
    if (!answer->told)
        PFM_TRY(
            append_chunk(job, index, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), json_null(), NULL, out, err));
    answer->told = true;
    if (answer->text.size > answer->sent || (answer->tokens != NULL && json_array_size(answer->tokens) > answer->tokens_sent)) {
        json_t *delta = json_pack("{s:s%}", "content", text_of(answer) + answer->sent, answer->text.size - answer->sent);
        PFM_TRY(append_chunk(job, index, delta, describe_logprobs(answer, answer->tokens_sent), NULL, out, err));
        answer->sent = answer->text.size;
        answer->tokens_sent = answer->tokens != NULL ? json_array_size(answer->tokens) : 0;
    }
    const bool over = answer->ended && answer->recorded;
    if (over && !answer->finished)
        PFM_TRY(append_chunk(job, index, json_object(), json_null(), pfm_chat_finish(job, answer), out, err));
    answer->finished = over;
done:
    return status;
}

/* Behind the answers: what only this server tells, and the usage. */
static pfm_status append_end(pfm_chat_job *job, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *last = describe_head(job, "chat.completion.chunk");
    if (last == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the answer");
    PFM_TRY(pfm_json_take(last, "choices", json_array(), err));
    PFM_TRY(pfm_json_take(last, "usage", describe_usage(job), err));
    PFM_TRY(pfm_json_take(last, "pefomed", describe_beyond(job), err));
    if (job->request.include_usage)
        PFM_TRY(append_event(out, json_incref(last), err));
    PFM_TRY(pfm_buffer_append_string(out, "data: [DONE]\n\n", err));
done:
    json_decref(last);
    return status;
}

pfm_status pfm_chat_events_write(pfm_chat_job *job, pfm_buffer *out, bool *over, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool all = true;
    *over = false;
    for (int i = 0; i < job->request.answers; i++) {
        pfm_chat_answer *answer = &job->answers[i];
        if (answer->status != PFM_OK)
            PFM_FAIL(answer->status, "%s", answer->err.message);
        PFM_TRY(append_answer(job, i, out, err));
        all = all && answer->finished;
    }
    if (all)
        PFM_TRY(append_end(job, out, err));
    *over = all;
done:
    return status;
}

pfm_status pfm_chat_events_fail(const pfm_error *failure, pfm_buffer *out, pfm_error *err)
{
    return append_event(out,
                        json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message", failure->message, "type", "server_error",
                                  "param", "code", "broken_off"),
                        err);
}
