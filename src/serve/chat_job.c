#include "serve/chat_job.h"

#include "base/chance.h"
#include "base/process.h"
#include "base/try.h"
#include "base/waiting.h"
#include "eval/probe.h"
#include "serve/kept.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* ---- what the engine tells ---- */

static json_t *describe_token(const char *text, size_t bytes, double log_probability)
{
    json_t *list = json_array();
    for (size_t i = 0; i < bytes; i++)
        list = pfm_json_add(list, json_integer((unsigned char)text[i]));
    return json_pack("{s:s%, s:o, s:o, s:[]}", "token", text, bytes, "logprob", pfm_json_number(log_probability), "bytes", list,
                     "top_logprobs");
}

static void take_token(void *user, const char *text, size_t bytes, int32_t id, double log_probability)
{
    pfm_chat_answer *answer = user;
    pfm_chat_job *job = answer->job;
    (void)pthread_mutex_lock(&job->lock);
    if (!job->first_token)
        pfm_tally_first_token(&job->server->tally, pfm_process_clock() - job->http->started);
    job->first_token = true;
    answer->last = id;
    if (answer->status == PFM_OK)
        answer->status = pfm_buffer_append(&answer->text, text, bytes, &answer->err);
    if (answer->tokens != NULL)
        answer->tokens = pfm_json_add(answer->tokens, describe_token(text, bytes, log_probability));
    (void)pthread_cond_signal(&job->news);
    (void)pthread_mutex_unlock(&job->lock);
}

static void take_end(void *user, pfm_status status, const pfm_answer *made, const pfm_error *err)
{
    pfm_chat_answer *answer = user;
    pfm_chat_job *job = answer->job;
    (void)pthread_mutex_lock(&job->lock);
    if (answer->status == PFM_OK && status != PFM_OK) {
        answer->status = status;
        answer->err = err != NULL ? *err : (pfm_error){.code = status};
    }
    if (made != NULL) {
        answer->count = made->tokens;
        answer->probability = made->probability;
    }
    answer->ended = true;
    (void)pthread_cond_signal(&job->news);
    (void)pthread_mutex_unlock(&job->lock);
}

/* ---- from a request to the engine ---- */

static pfm_status find_model(pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err)
{
    job->model = pfm_server_find_model(job->server, job->request.model);
    return job->model != NULL ? PFM_OK
                              : pfm_http_refuse(reply, 404, "model_not_found", err,
                                                "there is no model %.200s; GET /v1/models lists them", job->request.model);
}

/* The bytes of an image are the request's own, or of one that was opened before. */
static pfm_status decode_image(pfm_chat_job *job, size_t number, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_image *in = &job->request.images[number];
    const char *window = in->window != NULL ? in->window : job->server->session->recipe->model.window;
    pfm_shelf_image *kept = NULL;
    char name[32];
    (void)snprintf(name, sizeof name, "image %zu", number + 1);
    const pfm_image_file file = {.path = name, .frame = in->frame};
    if (in->kept != NULL)
        PFM_TRY(pfm_kept_use(job->server, in->kept, reply, &kept, err));
    const pfm_buffer *bytes = kept != NULL ? &kept->bytes : &in->bytes;
    pfm_server_begin_decoding(job->server);
    status = pfm_image_decode_file(bytes->data, bytes->size, &file, window, &job->images[number], &job->applied[number], err);
    pfm_server_end_decoding(job->server);
    if (status == PFM_OK)
        status = pfm_chat_job_hash(job, number, bytes, err);
    if (status == PFM_OK && in->blank)
        pfm_probe_make_blank(&job->images[number]);
done:
    pfm_shelf_give_back(job->server->shelf, kept);
    pfm_buffer_free(&in->bytes);
    return status;
}

static pfm_status decode_images(pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t count = job->request.image_count;
    PFM_TRY(pfm_allocate(count, sizeof *job->images, &job->images, err));
    PFM_TRY(pfm_allocate(count, sizeof *job->applied, &job->applied, err));
    if (job->server->recorder != NULL)
        PFM_TRY(pfm_allocate(count, sizeof *job->hashes, &job->hashes, err));
    for (size_t i = 0; status == PFM_OK && i < count; i++)
        status = decode_image(job, i, reply, err);
done:
    return status;
}

/* What is retrieved for a run whose questions are grounded so stands in each question, as it did in training. */
static pfm_status ground(pfm_chat_job *job, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_request *r = &job->request;
    PFM_TRY(pfm_allocate(r->turn_count, sizeof *job->grounded, &job->grounded, err));
    for (size_t i = 0; job->model->adapter >= 0 && i < r->turn_count; i++) {
        if (strcmp(r->turns[i].role, "user") != 0)
            continue;
        PFM_TRY(pfm_recipe_ground(job->server->session->recipe, r->turns[i].text, &job->grounded[i], err));
        r->turns[i].text = job->grounded[i];
    }
done:
    return status;
}

pfm_question pfm_chat_job_question(const pfm_chat_job *job)
{
    const pfm_chat_request *r = &job->request;
    return (pfm_question){.text = r->turns[r->turn_count - 1].text,
                          .images = r->image_count,
                          .turns = r->turns,
                          .turn_count = r->turn_count,
                          .plain = job->model->adapter == -1};
}

static pfm_status hold_to_json(pfm_chat_job *job, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (!job->request.wants_json)
        return PFM_OK;
    PFM_TRY(pfm_json_shape_create(job->request.schema, &job->shape, err));
    job->guide.shape = job->shape;
    PFM_TRY(pfm_server_get_guide_tokens(job->server, &job->guide.tokens, err));
done:
    return status;
}

/* Counts the prompt's tokens, and how many the answer may have: as asked for; else of a run as its recipe says, of the base as
 * many as there is room for. */
static pfm_status measure(pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_ids ids = {0};
    const pfm_server *server = job->server;
    const pfm_session *session = server->session;
    const pfm_question question = pfm_chat_job_question(job);
    PFM_TRY(pfm_model_encode_prompt(session->model, pfm_session_virtual_tokens(session, job->model->adapter), &question, &ids,
                                    err));
    const int64_t room = session->model->language.context - (int64_t)ids.count, asked = job->request.max_tokens;
    const int64_t most = server->limits.tokens < room ? server->limits.tokens : room,
                  usual = job->model->adapter == -1 ? most : session->recipe->eval.max_tokens;
    job->prompt_tokens = (int32_t)ids.count;
    if (asked > server->limits.tokens)
        PFM_TRY(pfm_http_refuse(reply, 400, "too_many_tokens", err,
                                "max_tokens is %lld and this server makes answers of at most %d tokens (--max-tokens)",
                                (long long)asked, server->limits.tokens));
    if (room < 1 || asked > room)
        PFM_TRY(pfm_http_refuse(reply, 400, "context_length_exceeded", err,
                                "the model has room for %lld tokens, and the prompt takes %zu of them%s; show or ask less, or "
                                "lower max_tokens",
                                (long long)session->model->language.context, ids.count,
                                room < 1 ? "" : ", which leaves too few for the answer"));
    job->max_tokens = (int32_t)(asked > 0 ? asked : usual < most ? usual : most);
done:
    pfm_ids_free(&ids);
    return status;
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    return getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed ? seed : (uint64_t)time(NULL);
}

/* As the recipe says, and of the base the likeliest token, but for what the request says. */
static pfm_decoding decoding_of(const pfm_chat_job *job, int number, uint64_t seed)
{
    const pfm_chat_request *r = &job->request;
    pfm_decoding d = job->model->adapter == -1 ? pfm_decoding_greedy : pfm_decoding_of(job->server->session->recipe, seed);
    d.seed = seed + (uint64_t)number;
    if (!isnan(r->temperature)) {
        d.temperature = r->temperature;
        d.draws = r->temperature > 0 ? d.draws : 1;
        d.beams = r->temperature > 0 ? 1 : d.beams;
    }
    d.top_p = isnan(r->top_p) ? d.top_p : r->top_p;
    d.min_p = isnan(r->min_p) ? d.min_p : r->min_p;
    d.top_k = r->top_k < 0 ? d.top_k : r->top_k;
    d.repetition_penalty = isnan(r->repetition_penalty) ? d.repetition_penalty : r->repetition_penalty;
    d.min_tokens = d.min_tokens < job->max_tokens ? d.min_tokens : job->max_tokens;
    if (job->shape != NULL) {
        d.guide = &job->guide;
        d.min_tokens = 0;
        d.no_repeat_ngram = 0; /* the marks of JSON come again and again */
    }
    if (r->stop_count > 0) {
        d.stop = (char *const *)(uintptr_t)r->stop;
        d.stop_count = r->stop_count;
    }
    return d;
}

static pfm_status submit(pfm_chat_job *job, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const uint64_t seed = job->request.seed >= 0 ? (uint64_t)job->request.seed : random_seed();
    PFM_TRY(pfm_allocate((size_t)job->request.answers, sizeof *job->answers, &job->answers, err));
    for (int i = 0; i < job->request.answers; i++) {
        pfm_chat_answer *answer = &job->answers[i];
        *answer = (pfm_chat_answer){.job = job, .decoding = decoding_of(job, i, seed), .last = -1};
        if (job->request.logprobs && (answer->tokens = json_array()) == NULL)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not answer");
        const pfm_engine_request request = {.question = pfm_chat_job_question(job),
                                            .adapter = job->model->adapter,
                                            .images = job->images,
                                            .image_count = job->request.image_count,
                                            .decoding = &answer->decoding,
                                            .max_tokens = job->max_tokens,
                                            .on_token = take_token,
                                            .on_end = take_end,
                                            .user = answer};
        PFM_TRY(pfm_engine_submit(job->server->engine, &request, &answer->ticket, err));
        answer->begun = true;
    }
done:
    return status;
}

static pfm_status name_job(pfm_chat_job *job, pfm_error *err)
{
    enum { DIGITS = 24 };
    const size_t length = (size_t)snprintf(job->id, sizeof job->id, "chatcmpl-");
    job->created = (int64_t)time(NULL);
    return pfm_chance_draw(job->id + length, DIGITS, err);
}

pfm_status pfm_chat_job_create(pfm_server *server, const pfm_http_request *http, pfm_http_reply *reply, pfm_chat_job **out,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_job *job = NULL;
    const pfm_chat_limits limits = {.images = (size_t)server->limits.images, .answers = 8};
    PFM_TRY(pfm_allocate(1, sizeof *job, &job, err));
    *job = (pfm_chat_job){.server = server, .http = http};
    (void)pthread_mutex_init(&job->lock, NULL);
    (void)pthread_cond_init(&job->news, NULL);
    PFM_TRY(name_job(job, err));
    PFM_TRY(pfm_chat_request_read(http->body, http->size, &limits, &job->request, err));
    PFM_TRY(pfm_server_enter(server, reply, err));
    job->entered = true;
    PFM_TRY(pfm_server_wait(server, reply, err));
    PFM_TRY(find_model(job, reply, err));
    PFM_TRY(decode_images(job, reply, err));
    PFM_TRY(ground(job, err));
    PFM_TRY(hold_to_json(job, err));
    PFM_TRY(measure(job, reply, err));
    PFM_TRY(submit(job, err));
    *out = job;
    job = NULL;
done:
    pfm_chat_job_free(job);
    return status;
}

void pfm_chat_job_free(pfm_chat_job *job)
{
    if (job == NULL)
        return;
    for (int i = 0; job->answers != NULL && i < job->request.answers; i++) {
        pfm_chat_answer *answer = &job->answers[i];
        if (answer->begun)
            pfm_engine_cancel(job->server->engine, answer->ticket);
        (void)pthread_mutex_lock(&job->lock);
        while (answer->begun && !answer->ended)
            (void)pthread_cond_wait(&job->news, &job->lock);
        (void)pthread_mutex_unlock(&job->lock);
    }
    pfm_chat_job_record_broken(job);
    for (int i = 0; job->answers != NULL && i < job->request.answers; i++) {
        pfm_buffer_free(&job->answers[i].text);
        json_decref(job->answers[i].tokens);
    }
    if (job->entered)
        pfm_server_leave(job->server);
    for (size_t i = 0; job->images != NULL && i < job->request.image_count; i++)
        pfm_image_free(&job->images[i]);
    for (size_t i = 0; job->grounded != NULL && i < job->request.turn_count; i++)
        free(job->grounded[i]);
    free(job->images);
    free(job->applied);
    free(job->hashes);
    free(job->grounded);
    free(job->answers);
    pfm_json_shape_free(job->shape);
    pfm_chat_request_free(&job->request);
    (void)pthread_mutex_destroy(&job->lock);
    (void)pthread_cond_destroy(&job->news);
    free(job);
}

pfm_status pfm_chat_job_wait(pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err)
{
    static const double look = 0.1; /* seconds; how often it is looked whether the client is still there */
    pfm_wait_for(&job->news, &job->lock, look);
    const double now = pfm_process_clock();
    if (now - job->looked < look) /* tokens may come faster */
        return PFM_OK;
    job->looked = now;
    if (!pfm_http_is_gone(job->http) && now - job->http->started <= job->server->limits.seconds)
        return PFM_OK;
    pfm_tally_cancelled(&job->server->tally);
    (void)pfm_http_refuse(reply, 504, "timeout", err, "the answer took longer than the %g seconds that this server allows",
                          job->server->limits.seconds);
    return PFM_ERROR_INTERRUPTED;
}
