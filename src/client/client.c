#include "client/client.h"

#include "base/context.h"
#include "base/json.h"
#include "base/map.h"
#include "base/process.h"
#include "base/random.h"
#include "base/try.h"
#include "client/client_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_AT_ONCE = 256, MOST_RETRIES = 100, POLL_MILLISECONDS = 200 };
static const double longest_pause = 60, longest_wait = 600; /* seconds: our own, a server's */
static const char key_variable[] = "PEFOMED_API_KEY";

pfm_client_options pfm_client_defaults(void)
{
    return (pfm_client_options){.concurrency = 4, .retries = 4, .timeout = 300, .pause = 1};
}

void pfm_client_answer_free(pfm_client_answer *answer)
{
    free(answer->text);
    free(answer->error);
    *answer = (pfm_client_answer){0};
}

static pfm_status add_header(pfm_client *client, const char *header, pfm_error *err)
{
    struct curl_slist *longer = curl_slist_append(client->headers, header);
    if (longer == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not ask %s", client->url);
    client->headers = longer;
    return PFM_OK;
}

static pfm_status add_headers(pfm_client *client, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *bearer = NULL;
    const char *key = getenv(key_variable);
    PFM_TRY(add_header(client, "Content-Type: application/json", err));
    PFM_TRY(add_header(client, "Accept: application/json", err));
    PFM_TRY(add_header(client, "Expect:", err)); /* a body is sent at once */
    if (key == NULL || key[0] == '\0')
        goto done;
    for (const char *c = key; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            PFM_FAIL(PFM_ERROR_USAGE, "%s holds a blank, a line's end or a sign that no API key has; set it anew",
                     key_variable);
    if (!client->local && strncmp(client->url, "https:", 6) != 0)
        pfm_log(client->context, PFM_LOG_WARNING, "%s is asked by http: the key in %s can be read on the way", client->url,
                key_variable);
    PFM_TRY(pfm_string_format(&bearer, err, "Authorization: Bearer %s", key));
    PFM_TRY(add_header(client, bearer, err));
done:
    free(bearer);
    return status;
}

static pfm_status check_options(const pfm_client_options *o, pfm_error *err)
{
    if (o->url == NULL || o->model == NULL || o->model[0] == '\0')
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "a server is asked with its URL and the name of a model: --url URL --model NAME");
    if (o->concurrency < 1 || o->concurrency > MOST_AT_ONCE || o->retries < 0 || o->retries > MOST_RETRIES ||
        !(o->timeout >= 0.01 && o->timeout <= 86400) || !(o->pause >= 0 && o->pause <= longest_pause) ||
        !(o->per_minute >= 0 && o->per_minute <= 1e6))
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "a server is asked 1 to %d questions at once, with 0 to %d retries, within a day each, after pauses "
            "of 0 to %g seconds, at most a million a minute",
            MOST_AT_ONCE, MOST_RETRIES, longest_pause);
    return PFM_OK;
}

pfm_status pfm_client_create(pfm_context *context, const pfm_client_options *options, pfm_client **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_client *client = NULL;
    PFM_TRY(check_options(options, err));
    PFM_TRY(pfm_allocate(1, sizeof *client, &client, err));
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not start libcurl");
    client->context = context;
    client->options = *options;
    PFM_TRY(pfm_client_url_read(options->url, options->allow_remote, &client->url, &client->local, err));
    PFM_TRY(pfm_string_format(&client->endpoint, err, "%s/chat/completions", client->url));
    PFM_TRY(pfm_string_copy(options->model, &client->model, err));
    PFM_TRY(add_headers(client, err));
    *out = client;
    client = NULL;
done:
    pfm_client_free(client);
    return status;
}

void pfm_client_free(pfm_client *client)
{
    if (client == NULL)
        return;
    curl_slist_free_all(client->headers);
    free(client->url);
    free(client->endpoint);
    free(client->model);
    free(client);
}

bool pfm_client_is_local(const pfm_client *client) { return client->local; }

const char *pfm_client_url(const pfm_client *client) { return client->url; }

void pfm_client_listen(pfm_client *client, pfm_client_listener listener, void *user)
{
    client->listener = listener;
    client->listener_user = user;
}

/* ---- asking ---- */

typedef struct call {
    pfm_hash_hex key;
    json_t *request;
    size_t same; /* the first question with this key: its own number, or that of another, which asks for it */
    int attempts;
    double ready; /* when it may be tried again */
} call;

typedef struct asking {
    pfm_client *client;
    pfm_call_log *log;
    const pfm_client_question *questions;
    pfm_client_answer *answers;
    call *calls; /* [count] */
    size_t count;
    size_t next;        /* the first that was never tried */
    size_t *again;      /* [again_count] those that wait for another attempt */
    size_t again_count; /* at most as many as questions */
    size_t to_ask, over, failed;
    CURLM *multi;
    pfm_transfer *transfers; /* [concurrency] */
} asking;

static const char *model_of(const asking *a, size_t i)
{
    return a->questions[i].model != NULL ? a->questions[i].model : a->client->model;
}

/* From the log, or from the question that is the same. */
static pfm_status give_answer(asking *a, size_t i, pfm_error *err)
{
    bool cut = false;
    const char *reply = pfm_call_log_find(a->log, a->calls[i].key, &cut);
    pfm_client_answer *answer = &a->answers[i];
    answer->logged = pfm_call_log_attempts(a->log, a->calls[i].key);
    if (reply == NULL)
        return PFM_OK;
    answer->cut_short = cut;
    return pfm_string_copy(reply, &answer->text, err);
}

static pfm_status tell(const asking *a, size_t i, pfm_error *err)
{
    const pfm_client *client = a->client;
    return client->listener != NULL ? client->listener(client->listener_user, i, &a->answers[i], err) : PFM_OK;
}

/* Of those that the log answers. */
static pfm_status tell_known(const asking *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < a->count; i++)
        if (a->answers[i].text != NULL)
            status = tell(a, i, err);
    return status;
}

static bool needs_asking(const asking *a, size_t i) { return a->calls[i].same == i && a->answers[i].text == NULL; }

/* Keys, what the log knows, and whether all that is left can be sent. */
static pfm_status prepare(asking *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map first = {0};
    PFM_TRY(pfm_allocate(a->count, sizeof *a->calls, &a->calls, err));
    PFM_TRY(pfm_allocate(a->count, sizeof *a->again, &a->again, err));
    for (size_t i = 0; i < a->count; i++) {
        call *c = &a->calls[i];
        int64_t same = (int64_t)i;
        PFM_TRY(pfm_chat_request_create(a->client->url, model_of(a, i), &a->questions[i], &c->request, err));
        PFM_TRY(pfm_call_log_key(c->request, c->key, err));
        if (!pfm_map_get(&first, c->key, strlen(c->key), &same))
            PFM_TRY(pfm_map_set(&first, c->key, strlen(c->key), same, err));
        c->same = (size_t)same;
        PFM_TRY(give_answer(a, i, err));
        if (needs_asking(a, i)) {
            PFM_TRY(pfm_chat_images_check(&a->questions[i], err));
            a->to_ask++;
        } else {
            json_decref(c->request);
            c->request = NULL;
        }
    }
done:
    pfm_map_free(&first);
    return status;
}

/* The next question for which it is time; false where there is none, and then *when = the earliest time of one that waits. */
static bool choose(asking *a, double now, size_t *out, double *when)
{
    for (size_t k = 0; k < a->again_count; k++) {
        if (a->calls[a->again[k]].ready <= now) {
            *out = a->again[k];
            a->again[k] = a->again[--a->again_count];
            return true;
        }
        if (a->calls[a->again[k]].ready < *when)
            *when = a->calls[a->again[k]].ready;
    }
    while (a->next < a->count && !needs_asking(a, a->next))
        a->next++;
    if (a->next == a->count)
        return false;
    *out = a->next++;
    return true;
}

static pfm_status start(asking *a, pfm_transfer *transfer, size_t i, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_client *client = a->client;
    transfer->call = i;
    pfm_buffer_clear(&transfer->out);
    PFM_TRY(pfm_chat_body_append(model_of(a, i), &a->questions[i], &transfer->out, err));
    PFM_TRY(pfm_transfer_start(client, a->multi, transfer, err));
    a->calls[i].attempts++;
    if (client->options.per_minute > 0)
        client->next_start = transfer->started + 60 / client->options.per_minute;
done:
    return status;
}

/* Begins what can begin; *when = the time of what cannot yet. */
static pfm_status start_all(asking *a, double *when, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int t = 0; status == PFM_OK && t < a->client->options.concurrency; t++) {
        const double now = pfm_process_clock();
        size_t i = 0;
        if (a->transfers[t].busy)
            continue;
        if (now < a->client->next_start) {
            *when = *when < a->client->next_start ? *when : a->client->next_start;
            break;
        }
        if (!choose(a, now, &i, when))
            break;
        status = start(a, &a->transfers[t], i, err);
    }
    return status;
}

/* Doubles with each attempt and, so that not all come back at once, is cut by up to a half, which seed, question and attempt
 * decide; at least what the server asks for. */
static double pause_of(const asking *a, const call *c, double wait)
{
    double pause = a->client->options.pause;
    for (int i = 1; i < c->attempts && pause < longest_pause; i++)
        pause *= 2;
    pause = pause < longest_pause ? pause : longest_pause;
    pfm_random random =
        pfm_random_start(pfm_context_seed(a->client->context), pfm_name_number(c->key, strlen(c->key)) + (uint64_t)c->attempts);
    pause *= 1 - pfm_random_uniform(&random) / 2;
    wait = wait < longest_wait ? wait : longest_wait;
    return pause > wait ? pause : wait;
}

static pfm_status write_line(const asking *a, size_t i, const pfm_outcome *outcome, pfm_error *err)
{
    const call *c = &a->calls[i];
    return pfm_call_log_append(a->log,
                               &(pfm_call_line){.key = c->key,
                                                .label = a->questions[i].label,
                                                .request = c->request,
                                                .attempt = c->attempts,
                                                .status = outcome->status,
                                                .seconds = outcome->seconds,
                                                .reply = outcome->reply.text,
                                                .error = outcome->error.message,
                                                .finish = outcome->reply.finish,
                                                .usage = outcome->reply.usage},
                               err);
}

static pfm_status give_up(asking *a, size_t i, const pfm_outcome *outcome, pfm_error *err)
{
    if (outcome->unreachable)
        return pfm_error_set(err, PFM_ERROR_NETWORK,
                             "%.500s; is the server running there? What was answered is kept, the same command goes on",
                             outcome->error.message);
    a->failed++;
    a->over++;
    a->answers[i].logged = pfm_call_log_attempts(a->log, a->calls[i].key);
    pfm_status status = pfm_string_copy(outcome->error.message, &a->answers[i].error, err);
    return status == PFM_OK ? tell(a, i, err) : status;
}

static void report(const asking *a)
{
    char note[64] = "";
    if (a->failed > 0)
        (void)snprintf(note, sizeof note, "%zu failed", a->failed);
    pfm_report_progress(a->client->context, "asking", "questions", (double)a->over, (double)a->to_ask, note);
}

/* An attempt is over: into the log, and then it is answered, waits, or is given up. */
static pfm_status finish(asking *a, pfm_transfer *transfer, CURLcode code, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_outcome outcome;
    const size_t i = transfer->call;
    call *c = &a->calls[i];
    (void)curl_multi_remove_handle(a->multi, transfer->curl);
    pfm_transfer_finish(a->client, transfer, code, &outcome);
    PFM_TRY(write_line(a, i, &outcome, err));
    a->answers[i].attempts = c->attempts;
    if (outcome.reply.text != NULL) {
        a->over++;
        PFM_TRY(give_answer(a, i, err));
        PFM_TRY(tell(a, i, err));
    } else if (outcome.again && c->attempts <= a->client->options.retries) {
        c->ready = pfm_process_clock() + pause_of(a, c, outcome.wait);
        a->again[a->again_count++] = i;
    } else {
        PFM_TRY(give_up(a, i, &outcome, err));
    }
    report(a);
done:
    pfm_chat_reply_free(&outcome.reply);
    return status;
}

static pfm_status finish_all(asking *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int left = 0;
    for (CURLMsg *message; status == PFM_OK && (message = curl_multi_info_read(a->multi, &left)) != NULL;) {
        pfm_transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        const CURLcode code = message->data.result; /* gone once the handle is removed */
        if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer) == CURLE_OK)
            status = finish(a, transfer, code, err);
    }
    return status;
}

static pfm_status converse(asking *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int running = 0;
    while (a->over < a->to_ask) {
        double when = pfm_process_clock() + POLL_MILLISECONDS / 1e3;
        if (pfm_interrupted(a->client->context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED,
                     "interrupted after %zu of %zu questions; what was answered is kept, the same command goes on", a->over,
                     a->to_ask);
        PFM_TRY(start_all(a, &when, err));
        if (curl_multi_perform(a->multi, &running) != CURLM_OK)
            PFM_FAIL(PFM_ERROR_NETWORK, "libcurl cannot go on asking %s", a->client->url);
        const size_t before = a->over + a->again_count;
        PFM_TRY(finish_all(a, err));
        const double left = when - pfm_process_clock();
        if (a->over + a->again_count == before && left > 0)
            (void)curl_multi_poll(a->multi, NULL, 0, (int)(left * 1000) + 1, NULL);
    }
done:
    return status;
}

/* The same question more than once: one asked, all got its answer. */
static pfm_status share_answers(asking *a, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < a->count; i++) {
        const pfm_client_answer *first = &a->answers[a->calls[i].same];
        if (a->calls[i].same == i || a->answers[i].text != NULL)
            continue;
        PFM_TRY(give_answer(a, i, err));
        if (first->error != NULL)
            PFM_TRY(pfm_string_copy(first->error, &a->answers[i].error, err));
        PFM_TRY(tell(a, i, err));
    }
done:
    return status;
}

static pfm_status open_transfers(asking *a, pfm_error *err)
{
    a->multi = curl_multi_init();
    if (a->multi == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not ask %s", a->client->url);
    return pfm_allocate((size_t)a->client->options.concurrency, sizeof *a->transfers, &a->transfers, err);
}

static void close_transfers(asking *a)
{
    for (int t = 0; a->transfers != NULL && t < a->client->options.concurrency; t++) {
        if (a->transfers[t].busy)
            (void)curl_multi_remove_handle(a->multi, a->transfers[t].curl);
        pfm_transfer_free(&a->transfers[t]);
    }
    free(a->transfers);
    if (a->multi != NULL)
        (void)curl_multi_cleanup(a->multi);
}

static void release(asking *a)
{
    for (size_t i = 0; a->calls != NULL && i < a->count; i++)
        json_decref(a->calls[i].request);
    free(a->calls);
    free(a->again);
}

pfm_status pfm_client_ask(pfm_client *client, pfm_call_log *log, const pfm_client_question *questions, size_t count,
                          pfm_client_answer *answers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    asking a = {.client = client, .log = log, .questions = questions, .answers = answers, .count = count};
    PFM_TRY(prepare(&a, err));
    PFM_TRY(tell_known(&a, err));
    if (a.to_ask > 0) {
        PFM_TRY(open_transfers(&a, err));
        PFM_TRY(converse(&a, err));
    }
    PFM_TRY(share_answers(&a, err));
done:
    close_transfers(&a);
    release(&a);
    return status;
}

pfm_status pfm_client_recall(pfm_client *client, pfm_call_log *log, const pfm_client_question *questions, size_t count,
                             pfm_client_answer *answers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    asking a = {.client = client, .log = log, .questions = questions, .answers = answers, .count = count};
    PFM_TRY(prepare(&a, err));
    for (size_t i = 0; i < count; i++) {
        const char *error = answers[i].text == NULL ? pfm_call_log_error(log, a.calls[i].key) : NULL;
        if (error != NULL)
            PFM_TRY(pfm_string_copy(error, &answers[i].error, err));
    }
done:
    release(&a);
    return status;
}
