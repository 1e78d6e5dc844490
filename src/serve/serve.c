#include "serve/server.h"

#include "base/context.h"
#include "base/file.h"
#include "base/try.h"
#include "infer/guide.h"
#include "pacs/pacs.h"
#include "serve/image_folders.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DECODED_AT_ONCE = 2 };

/* ---- what routes ask of the server ---- */

pfm_status pfm_server_wait(pfm_server *server, pfm_http_reply *reply, pfm_error *err)
{
    (void)pthread_mutex_lock(&server->lock);
    while (!server->ready && !server->stopping)
        (void)pthread_cond_wait(&server->changed, &server->lock);
    const bool ready = server->ready;
    (void)pthread_mutex_unlock(&server->lock);
    return ready ? PFM_OK : pfm_http_refuse(reply, 503, "stopping", err, "the server is being stopped");
}

pfm_status pfm_server_enter(pfm_server *server, pfm_http_reply *reply, pfm_error *err)
{
    (void)pthread_mutex_lock(&server->lock);
    const bool full = server->running >= server->limits.waiting;
    server->running += full ? 0 : 1;
    (void)pthread_mutex_unlock(&server->lock);
    return full ? pfm_http_refuse(reply, 503, "overloaded", err, "%d requests wait already (--max-waiting); try again later",
                                  server->limits.waiting)
                : PFM_OK;
}

void pfm_server_leave(pfm_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->running--;
    (void)pthread_mutex_unlock(&server->lock);
}

void pfm_server_begin_decoding(pfm_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    while (server->decoding >= DECODED_AT_ONCE)
        (void)pthread_cond_wait(&server->changed, &server->lock);
    server->decoding++;
    (void)pthread_mutex_unlock(&server->lock);
}

void pfm_server_end_decoding(pfm_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->decoding--;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->lock);
}

pfm_status pfm_server_get_guide_tokens(pfm_server *server, const pfm_guide_tokens **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    (void)pthread_mutex_lock(&server->lock);
    if (server->guide_tokens == NULL)
        status = pfm_guide_tokens_create(server->session->model->tokenizer, &server->guide_tokens, err);
    *out = server->guide_tokens;
    (void)pthread_mutex_unlock(&server->lock);
    return status;
}

const pfm_served_model *pfm_server_find_model(const pfm_server *server, const char *name)
{
    for (size_t i = 0; i < server->model_count; i++)
        if (strcmp(server->models[i].name, name) == 0)
            return &server->models[i];
    return NULL;
}

/* ---- the models ---- */

static pfm_status add_model(pfm_server *server, const char *name, int32_t adapter, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *copy = NULL;
    if (pfm_server_find_model(server, name) != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "two models would be called %s; give the adapter another name, as in --adapter NAME=FOLDER",
                 name);
    PFM_TRY(pfm_string_copy(name, &copy, err));
    server->models[server->model_count++] = (pfm_served_model){.name = copy, .adapter = adapter};
done:
    return status;
}

/* "runs/slake/" is called slake, "recipes/slake.yaml" too. */
static pfm_status name_of_run(const char *run, char **out, pfm_error *err)
{
    size_t length = strlen(run);
    while (length > 1 && run[length - 1] == '/')
        length--;
    size_t begin = length;
    while (begin > 0 && run[begin - 1] != '/')
        begin--;
    for (size_t i = length - 1; !pfm_path_is_folder(run) && i > begin; i--) {
        if (run[i] != '.')
            continue;
        length = i;
        break;
    }
    return pfm_string_copy_n(run + begin, length - begin, out, err);
}

/* The last part of a path: what comes before it may name a person. Where the run is called so, with "-base" behind it. */
static pfm_status name_of_base(const char *language, const char *own, char **out, pfm_error *err)
{
    size_t end = strlen(language);
    while (end > 1 && language[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && language[begin - 1] != '/')
        begin--;
    const bool taken = strlen(own) == end - begin && memcmp(own, language + begin, end - begin) == 0;
    return pfm_string_format(out, err, "%.*s%s", (int)(end - begin), language + begin, taken ? "-base" : "");
}

/* The run's own comes first, then the base, then what stands beside. A run whose training is in the
 * base's own parameters is served alone. */
static pfm_status list_models(pfm_server *server, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_serve_options *o = server->options;
    pfm_session *session = server->session;
    pfm_error alone = PFM_ERROR_INIT;
    char *own = NULL, *base = NULL;
    int32_t number;
    PFM_TRY(pfm_allocate(o->adapter_count + 2, sizeof *server->models, &server->models, err));
    PFM_TRY(name_of_run(o->run, &own, err));
    PFM_TRY(add_model(server, own, 0, err));
    status = pfm_session_choose_adapters(session, &alone);
    if (status == PFM_ERROR_UNSUPPORTED && o->adapter_count == 0) {
        pfm_log(server->context, PFM_LOG_WARNING, "%s; it is served alone", alone.message);
        status = PFM_OK;
        goto done;
    }
    if (status != PFM_OK)
        PFM_FAIL(status, "%s", alone.message);
    PFM_TRY(name_of_base(session->recipe->model.language, own, &base, err));
    PFM_TRY(add_model(server, base, -1, err));
    for (size_t i = 0; i < o->adapter_count; i++) {
        PFM_TRY(pfm_session_add_adapter(session, o->adapters[i].name, o->adapters[i].folder, &number, err));
        PFM_TRY(add_model(server, o->adapters[i].name, number, err));
    }
done:
    free(own);
    free(base);
    return status;
}

static pfm_status load(pfm_server *server, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_serve_options *o = server->options;
    const pfm_answer_settings settings = {.asks = true};
    const pfm_engine_options engine = {.memory = o->memory};
    PFM_TRY(pfm_session_open(server->context, o->run, false, &server->session, err));
    PFM_TRY(list_models(server, err));
    PFM_TRY(pfm_recorder_take_recipe(server->recorder, server->session, err));
    PFM_TRY(pfm_session_set_answers(server->session, &settings, err));
    PFM_TRY(pfm_session_load_vision(server->session, err));
    PFM_TRY(pfm_recorder_take_session(server->recorder, server->session, err));
    PFM_TRY(pfm_engine_create(server->session, &engine, &server->engine, err));
done:
    return status;
}

/* ---- from the first to the last request ---- */

static void tell(pfm_server *server, bool ready, bool stopping)
{
    (void)pthread_mutex_lock(&server->lock);
    server->ready = server->ready || ready;
    server->stopping = server->stopping || stopping;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->lock);
}

static void wait_for_signal(const pfm_server *server)
{
    const struct timespec pause = {.tv_nsec = 50000000}; /* a signal ends it at once */
    size_t bytes;
    while (!pfm_interrupted(server->context)) {
        (void)nanosleep(&pause, NULL);
        (void)pfm_shelf_count(server->shelf, &bytes); /* images whose time is over leave though nobody asks */
    }
}

static pfm_serve_limits complete(const pfm_serve_limits *given)
{
    pfm_serve_limits l = *given;
    l.body = l.body > 0 ? l.body : (size_t)64 << 20;
    l.images = l.images > 0 ? l.images : 16;
    l.tokens = l.tokens > 0 ? l.tokens : 1024;
    l.waiting = l.waiting > 0 ? l.waiting : 64;
    l.connections = l.connections > 0 ? l.connections : 256;
    l.seconds = l.seconds > 0 ? l.seconds : 300;
    return l;
}

/* What cannot be served is told before anybody is told an address. */
static pfm_status check_run(const pfm_serve_options *options, pfm_error *err)
{
    pfm_recipe *recipe = NULL;
    const pfm_status status = pfm_session_read_recipe(options->run, &recipe, err);
    pfm_recipe_free(recipe);
    return status;
}

/* What is there before the first request. */
static pfm_status prepare(pfm_server *server, pfm_error *err)
{
    enum { KEPT_SECONDS = 3600, ANSWERS_BYTES = 256 << 20 };
    pfm_status status = PFM_OK;
    const pfm_serve_options *o = server->options;
    const char *home = pfm_context_home(server->context);
    char *state = NULL;
    pfm_salt salt;
    PFM_TRY(o->state != NULL ? pfm_string_copy(o->state, &state, err) : pfm_path_join(home, "serve/state.sqlite", &state, err));
    PFM_TRY(pfm_catalogue_create(o->run, o->run_folders, o->run_folder_count, o->prediction_folders, o->prediction_folder_count,
                                 &server->catalogue, err));
    PFM_TRY(pfm_image_folders_check(o->image_folders, o->image_folder_count, err));
    PFM_TRY(pfm_run_logs_create(&server->logs, err));
    PFM_TRY(pfm_answer_files_create(ANSWERS_BYTES, &server->answers, err));
    PFM_TRY(pfm_salt_load(home, &salt, err));
    PFM_TRY(pfm_store_open(state, &server->store, err));
    PFM_TRY(pfm_shelf_create(o->keep > 0 ? o->keep : (size_t)512 << 20, KEPT_SECONDS, &salt, &server->shelf, err));
done:
    free(state);
    return status;
}

static pfm_status start_pacs(pfm_server *server, pfm_pacs *pacs, pfm_error *err)
{
    char *address = NULL;
    const pfm_answerer by = {
        .engine = server->engine, .session = server->session, .model = server->models[0].name, .recorder = server->recorder};
    pfm_status status = pfm_pacs_start(pacs, &by, err);
    if (status == PFM_OK)
        status = pfm_pacs_address(pacs, &address, err);
    if (status == PFM_OK && server->options->listening != NULL)
        server->options->listening(server->options->user, address);
    free(address);
    return status;
}

static pfm_status run(pfm_server *server, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_http *http = NULL;
    char *address = NULL;
    PFM_TRY(check_run(server->options, err));
    PFM_TRY(prepare(server, err));
    PFM_TRY(pfm_recorder_create(server->context, &server->options->record, &server->recorder, err));
    if (server->options->pacs != NULL)
        PFM_TRY(pfm_pacs_create(server->context, server->options->pacs, &server->pacs, err));
    PFM_TRY(pfm_http_open(server, &http, err));
    PFM_TRY(pfm_http_address(http, &address, err));
    if (server->options->listening != NULL) /* the page comes before the weights */
        server->options->listening(server->options->user, address);
    status = load(server, err);
    if (status == PFM_OK && server->pacs != NULL)
        status = start_pacs(server, server->pacs, err);
    tell(server, status == PFM_OK, status != PFM_OK);
    if (status == PFM_OK)
        wait_for_signal(server);
    tell(server, false, true);
    pfm_http_drain(http, status == PFM_OK ? server->limits.seconds : 0);
done:
    pfm_pacs_stop(server->pacs);
    if (server->engine != NULL)
        pfm_engine_stop(server->engine, false);
    pfm_http_close(http);
    pfm_pacs_free(server->pacs);
    free(address);
    return status;
}

pfm_status pfm_serve(pfm_context *context, const pfm_serve_options *options, pfm_error *err)
{
    pfm_server server = {
        .context = context, .options = options, .limits = complete(&options->limits), .created = (int64_t)time(NULL)};
    (void)pthread_mutex_init(&server.lock, NULL);
    (void)pthread_cond_init(&server.changed, NULL);
    pfm_tally_init(&server.tally);
    pfm_status status = run(&server, err);
    pfm_engine_free(server.engine);
    pfm_guide_tokens_free(server.guide_tokens);
    pfm_recorder_free(server.recorder);
    pfm_session_free(server.session);
    for (size_t i = 0; i < server.model_count; i++)
        free(server.models[i].name);
    free(server.models);
    pfm_answer_files_free(server.answers);
    pfm_run_logs_free(server.logs);
    pfm_catalogue_free(server.catalogue);
    pfm_shelf_free(server.shelf);
    pfm_store_close(server.store);
    pfm_tally_destroy(&server.tally);
    (void)pthread_cond_destroy(&server.changed);
    (void)pthread_mutex_destroy(&server.lock);
    return status;
}
