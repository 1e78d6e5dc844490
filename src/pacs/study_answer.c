#include "pacs/study_answer.h"

#include "base/context.h"
#include "base/try.h"
#include "base/waiting.h"
#include "models/model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct answering answering;

typedef struct asked {
    answering *all;
    char *question; /* with what is retrieved for it */
    char *answer;
    bool begun, ended, complete;
    int32_t tokens;
    double probability;
    uint64_t ticket;
    pfm_status status;
    pfm_error err;
} asked;

struct answering {
    const pfm_answerer *by;
    const pfm_session *session;
    pfm_dicom_study *study;
    pfm_decoding decoding;
    int32_t max_tokens;
    asked *items; /* [count] */
    size_t count;
    pthread_mutex_t lock;
    pthread_cond_t news;
};

static void take_token(void *user, const char *text, size_t bytes, int32_t id, double log_probability)
{
    (void)user;
    (void)text;
    (void)bytes;
    (void)id;
    (void)log_probability;
}

static void take_end(void *user, pfm_status status, const pfm_answer *made, const pfm_error *err)
{
    asked *one = user;
    answering *all = one->all;
    (void)pthread_mutex_lock(&all->lock);
    one->status = status;
    if (status != PFM_OK && err != NULL)
        one->err = *err;
    if (made != NULL) {
        one->status = pfm_string_copy(made->text, &one->answer, &one->err);
        one->complete = made->tokens < all->max_tokens;
        one->tokens = made->tokens;
        one->probability = made->probability;
    }
    one->ended = true;
    (void)pthread_cond_signal(&all->news);
    (void)pthread_mutex_unlock(&all->lock);
}

static pfm_question question_of(const answering *a, const asked *one)
{
    return (pfm_question){.text = one->question, .images = a->study->picture_count};
}

/* Before anything is decoded: whether the model can read as many pictures and a question. */
static pfm_status check_length(const answering *a, const asked *one, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_ids ids = {0};
    const pfm_question question = question_of(a, one);
    const pfm_model *model = a->session->model;
    PFM_TRY(pfm_model_encode_prompt(model, pfm_session_virtual_tokens(a->session, 0), &question, &ids, err));
    if ((int64_t)ids.count + a->max_tokens > model->language.context)
        PFM_FAIL(PFM_ERROR_MISMATCH,
                 "%zu pictures, a question and its answer have %lld tokens, and the model has room for %lld; say slices in the "
                 "rule, as "
                 "slices: 8",
                 a->study->picture_count, (long long)ids.count + a->max_tokens, (long long)model->language.context);
done:
    pfm_ids_free(&ids);
    return status;
}

static pfm_status prepare(answering *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pacs_rule *rule = a->study->rule;
    a->count = rule->report ? 1 : rule->questions.count;
    PFM_TRY(pfm_allocate(a->count, sizeof *a->items, &a->items, err));
    for (size_t i = 0; i < a->count; i++) {
        const char *text = !rule->report ? rule->questions.texts[i] : rule->indication != NULL ? rule->indication : "";
        a->items[i] = (asked){.all = a};
        PFM_TRY(pfm_recipe_ground(a->session->recipe, text, &a->items[i].question, err));
        PFM_TRY(check_length(a, &a->items[i], err));
    }
done:
    return status;
}

static pfm_status submit(answering *a, asked *one, pfm_error *err)
{
    const pfm_engine_request request = {.question = question_of(a, one),
                                        .images = a->study->pictures,
                                        .image_count = a->study->picture_count,
                                        .decoding = &a->decoding,
                                        .max_tokens = a->max_tokens,
                                        .on_token = take_token,
                                        .on_end = take_end,
                                        .user = one};
    const pfm_status status = pfm_engine_submit(a->by->engine, &request, &one->ticket, err);
    one->begun = status == PFM_OK;
    return status;
}

/* Until it has ended, which a cancelled one does soon. */
static void wait_for(answering *a, asked *one, bool (*stopping)(void *user), void *user)
{
    static const double look = 0.1; /* seconds; how often it is asked whether the server stops */
    bool cancelled = false;
    (void)pthread_mutex_lock(&a->lock);
    while (one->begun && !one->ended) {
        pfm_wait_for(&a->news, &a->lock, look);
        if (cancelled || !stopping(user))
            continue;
        cancelled = true;
        (void)pthread_mutex_unlock(&a->lock); /* its end takes the lock */
        pfm_engine_cancel(a->by->engine, one->ticket);
        (void)pthread_mutex_lock(&a->lock);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

static bool always(void *user)
{
    (void)user;
    return true;
}

static pfm_status ask(answering *a, bool (*stopping)(void *user), void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < a->count; i++)
        status = submit(a, &a->items[i], err);
    for (size_t i = 0; i < a->count; i++) {
        wait_for(a, &a->items[i], status == PFM_OK ? stopping : always, user);
        if (status == PFM_OK && a->items[i].status != PFM_OK)
            status = pfm_error_set(err, a->items[i].status, "%s", a->items[i].err.message);
    }
    return status;
}

/* One text as it is; of several each with its number, a line each. */
static pfm_status append(const answering *a, size_t i, const char *text, pfm_buffer *out, pfm_error *err)
{
    if (a->count == 1)
        return pfm_buffer_append_string(out, text, err);
    return pfm_buffer_append_format(out, err, "%s%zu. %s", i > 0 ? "\n" : "", i + 1, text);
}

static pfm_status write_report(const answering *a, const pfm_sr *sr, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pacs_rule *rule = a->study->rule;
    pfm_buffer questions = {0}, answers = {0};
    bool complete = true;
    for (size_t i = 0; i < a->count; i++) {
        PFM_TRY(append(a, i, rule->report ? "" : rule->questions.texts[i], &questions, err));
        PFM_TRY(append(a, i, a->items[i].answer, &answers, err));
        complete = complete && a->items[i].complete;
    }
    const pfm_sr_text text = {.kind = rule->kind,
                              .request = rule->report ? NULL : questions.data,
                              .indication = rule->report ? rule->indication : NULL,
                              .answer = answers.data,
                              .complete = complete,
                              .language = rule->language,
                              .home = a->session->context->home};
    PFM_TRY(pfm_sr_write(sr, &text, path, err));
done:
    pfm_buffer_free(&questions);
    pfm_buffer_free(&answers);
    return status;
}

/* *out = what is recorded of the pictures. */
static pfm_status list_images(const answering *a, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    pfm_hash_hex hash;
    for (size_t i = 0; i < a->study->picture_count; i++) {
        char *shown = NULL;
        PFM_TRY(pfm_hash_file(a->study->references[i].path, hash, err));
        PFM_TRY(pfm_image_applied_json(&a->study->applied[i], &shown, err));
        list = pfm_json_add(list, pfm_recorded_image(hash, shown));
        free(shown);
    }
    if (list == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not record an answer");
    *out = list;
    list = NULL;
done:
    json_decref(list);
    return status;
}

/* Before the report leaves. */
static pfm_status record(const answering *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *images = NULL;
    pfm_record_receipt unused;
    if (a->by->recorder == NULL)
        return PFM_OK;
    PFM_TRY(list_images(a, &images, err));
    for (size_t i = 0; i < a->count; i++) {
        const asked *one = &a->items[i];
        const pfm_question question = question_of(a, one);
        const pfm_recorded_answer entry = {.command = "serve dicom",
                                           .model = a->by->model,
                                           .question = &question,
                                           .images = images,
                                           .decoding = &a->decoding,
                                           .max_tokens = a->max_tokens,
                                           .text = one->answer,
                                           .size = strlen(one->answer),
                                           .tokens = one->tokens,
                                           .probability = one->probability,
                                           .finish = one->complete ? "stop" : "length"};
        PFM_TRY(pfm_recorder_put(a->by->recorder, &entry, &unused, err));
    }
done:
    json_decref(images);
    return status;
}

pfm_status pfm_dicom_study_answer(const pfm_answerer *by, pfm_dicom_study *study, bool (*stopping)(void *user), void *user,
                                  const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sr *sr = NULL;
    const pfm_session *session = by->session;
    answering a = {.by = by,
                   .session = session,
                   .study = study,
                   .decoding = pfm_decoding_of(session->recipe, session->context->seed),
                   .max_tokens = study->rule->max_tokens > 0 ? study->rule->max_tokens : session->recipe->eval.max_tokens};
    a.decoding.min_tokens = a.decoding.min_tokens < a.max_tokens ? a.decoding.min_tokens : a.max_tokens;
    (void)pthread_mutex_init(&a.lock, NULL);
    (void)pthread_cond_init(&a.news, NULL);
    PFM_TRY(pfm_sr_open(study->references, study->picture_count, &sr, err));
    PFM_TRY(prepare(&a, err));
    PFM_TRY(pfm_dicom_study_load(study, session->recipe->model.window, err));
    PFM_TRY(ask(&a, stopping, user, err));
    PFM_TRY(record(&a, err));
    PFM_TRY(write_report(&a, sr, path, err));
done:
    for (size_t i = 0; a.items != NULL && i < a.count; i++) {
        free(a.items[i].question);
        free(a.items[i].answer);
    }
    free(a.items);
    pfm_sr_free(sr);
    (void)pthread_mutex_destroy(&a.lock);
    (void)pthread_cond_destroy(&a.news);
    return status;
}
