#include "pacs/outbox.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "base/waiting.h"
#include "pacs/dicomweb.h"
#include "pacs/dimse.h"
#include "pacs/inbox.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SEND_SECONDS = 30 };
static const double first_pause = 2, longest_pause = 600; /* seconds */

typedef struct result {
    char *name;
    pfm_pacs_target target;
    int64_t since; /* seconds since 1970 */
    double next, pause;
    int attempts;
} result;

struct pfm_outbox {
    pfm_context *context;
    pfm_outbox_options options;
    char *path;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stopping;
    uint64_t returned, given_up;
    result **results;
    size_t count, capacity;
};

static void free_result(result *one)
{
    if (one == NULL)
        return;
    pfm_pacs_target_free(&one->target);
    free(one->name);
    free(one);
}

static pfm_status path_of(const pfm_outbox *outbox, const char *name, const char *ending, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "%s/%s%s", outbox->path, name, ending);
}

/* ---- from one process to the next ---- */

static pfm_status copy_text(const json_t *json, const char *key, char **out, pfm_error *err)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text != NULL ? pfm_string_copy(text, out, err) : PFM_OK;
}

static pfm_status read_target(const char *path, pfm_pacs_target *out, int64_t *since, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *json = NULL;
    PFM_TRY(pfm_json_load(path, &json, err));
    PFM_TRY(copy_text(json, "title", &out->title, err));
    PFM_TRY(copy_text(json, "host", &out->host, err));
    PFM_TRY(copy_text(json, "dicomweb", &out->url, err));
    PFM_TRY(copy_text(json, "credentials", &out->credentials, err));
    out->port = (int)json_integer_value(json_object_get(json, "port"));
    *since = json_integer_value(json_object_get(json, "since"));
    if (out->url == NULL && (out->title == NULL || out->host == NULL || out->port < 1 || out->port > 65535))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s does not say where a result goes", path);
done:
    json_decref(json);
    return status;
}

static pfm_status write_target(const char *path, const pfm_pacs_target *target, int64_t since, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *json = target->url != NULL ? json_pack("{s:s,s:s*,s:I}", "dicomweb", target->url, "credentials",
                                                   target->credentials, "since", (json_int_t)since)
                                       : json_pack("{s:s,s:s,s:i,s:I}", "title", target->title, "host", target->host, "port",
                                                   target->port, "since", (json_int_t)since);
    if (json == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a result");
    PFM_TRY(pfm_json_save(path, json, err));
done:
    json_decref(json);
    return status;
}

/* Locked, or nobody else is there yet. */
static pfm_status add(pfm_outbox *outbox, const char *name, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    result *one = NULL;
    PFM_TRY(pfm_array_reserve(&outbox->results, &outbox->capacity, outbox->count + 1, sizeof *outbox->results, err));
    PFM_TRY(pfm_allocate(1, sizeof *one, &one, err));
    one->pause = first_pause;
    PFM_TRY(pfm_string_copy(name, &one->name, err));
    PFM_TRY(read_target(path, &one->target, &one->since, err));
    outbox->results[outbox->count++] = one;
    one = NULL;
done:
    free_result(one);
    return status;
}

/* A report without its target was not finished, and its study is still there. */
static pfm_status take_up_one(pfm_outbox *outbox, const char *file, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL, *path = NULL, *report = NULL;
    const size_t length = strlen(file);
    PFM_TRY(pfm_path_join(outbox->path, file, &path, err));
    if (length < 6 || strcmp(file + length - 5, ".json") != 0) {
        if (length > 4 && strcmp(file + length - 4, ".dcm") == 0) {
            PFM_TRY(pfm_string_copy_n(file, length - 4, &name, err));
            PFM_TRY(path_of(outbox, name, ".json", &report, err));
        }
        if (report == NULL || !pfm_path_exists(report))
            (void)unlink(path);
        goto done;
    }
    PFM_TRY(pfm_string_copy_n(file, length - 5, &name, err));
    PFM_TRY(add(outbox, name, path, err));
done:
    free(name);
    free(path);
    free(report);
    return status;
}

static pfm_status take_up(pfm_outbox *outbox, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    PFM_TRY(pfm_folder_list(outbox->path, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (status == PFM_OK)
            status = take_up_one(outbox, names[i], err);
        free(names[i]);
    }
done:
    free(names);
    return status;
}

pfm_status pfm_outbox_open(pfm_context *context, const pfm_outbox_options *options, pfm_outbox **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_outbox *outbox = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *outbox, &outbox, err));
    *outbox = (pfm_outbox){.context = context, .options = *options};
    (void)pthread_mutex_init(&outbox->lock, NULL);
    (void)pthread_cond_init(&outbox->changed, NULL);
    PFM_TRY(pfm_private_folder(pfm_context_home(context), "outbox", &outbox->path, err));
    PFM_TRY(take_up(outbox, err));
    *out = outbox;
    outbox = NULL;
done:
    pfm_outbox_close(outbox);
    return status;
}

void pfm_outbox_stop(pfm_outbox *outbox)
{
    if (outbox == NULL)
        return;
    (void)pthread_mutex_lock(&outbox->lock);
    outbox->stopping = true;
    (void)pthread_cond_broadcast(&outbox->changed);
    (void)pthread_mutex_unlock(&outbox->lock);
    if (outbox->started)
        (void)pthread_join(outbox->thread, NULL);
    outbox->started = false;
}

void pfm_outbox_close(pfm_outbox *outbox)
{
    if (outbox == NULL)
        return;
    pfm_outbox_stop(outbox);
    for (size_t i = 0; i < outbox->count; i++)
        free_result(outbox->results[i]);
    free(outbox->results);
    free(outbox->path);
    (void)pthread_mutex_destroy(&outbox->lock);
    (void)pthread_cond_destroy(&outbox->changed);
    free(outbox);
}

/* ---- what is put in ---- */

bool pfm_outbox_has(pfm_outbox *outbox, const char *name)
{
    bool found = false;
    (void)pthread_mutex_lock(&outbox->lock);
    for (size_t i = 0; i < outbox->count; i++)
        found = found || strcmp(outbox->results[i]->name, name) == 0;
    (void)pthread_mutex_unlock(&outbox->lock);
    return found;
}

void pfm_outbox_count(pfm_outbox *outbox, uint64_t *returned, uint64_t *given_up, size_t *waiting)
{
    (void)pthread_mutex_lock(&outbox->lock);
    *returned = outbox->returned;
    *given_up = outbox->given_up;
    *waiting = outbox->count;
    (void)pthread_mutex_unlock(&outbox->lock);
}

pfm_status pfm_outbox_path(pfm_outbox *outbox, const char *name, char **out, pfm_error *err)
{
    return path_of(outbox, name, ".dcm", out, err);
}

pfm_status pfm_outbox_add(pfm_outbox *outbox, const char *name, const pfm_pacs_target *target, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(path_of(outbox, name, ".json", &path, err));
    PFM_TRY(write_target(path, target, (int64_t)time(NULL), err));
    (void)pthread_mutex_lock(&outbox->lock);
    status = add(outbox, name, path, err);
    if (status == PFM_OK)
        outbox->results[outbox->count - 1]->next = HUGE_VAL;
    (void)pthread_mutex_unlock(&outbox->lock);
done:
    free(path);
    return status;
}

void pfm_outbox_send(pfm_outbox *outbox, const char *name)
{
    (void)pthread_mutex_lock(&outbox->lock);
    for (size_t i = 0; i < outbox->count; i++)
        if (strcmp(outbox->results[i]->name, name) == 0)
            outbox->results[i]->next = 0;
    (void)pthread_cond_broadcast(&outbox->changed);
    (void)pthread_mutex_unlock(&outbox->lock);
}

/* ---- delivering ---- */

static bool deliver(const pfm_outbox *outbox, const result *one, const char *path, char reason[200])
{
    pfm_web *web = NULL;
    pfm_error err = PFM_ERROR_INIT;
    if (one->target.url == NULL) {
        const pfm_dimse_peer peer = {one->target.title, one->target.host, one->target.port};
        return pfm_dimse_send(&peer, outbox->options.title, SEND_SECONDS, path, reason);
    }
    pfm_status status =
        pfm_dicomweb_open(one->target.url, one->target.credentials, outbox->options.allow_remote, SEND_SECONDS, &web, &err);
    if (status == PFM_OK)
        status = pfm_dicomweb_store(web, path, &err);
    pfm_web_free(web);
    if (status != PFM_OK)
        (void)snprintf(reason, 200, "%.199s", err.message);
    return status == PFM_OK;
}

/* Locked. The one that waits longest among those that are due; NULL where none is, *until = when one will be. */
static result *next_due(const pfm_outbox *outbox, double *until)
{
    result *found = NULL;
    *until = pfm_process_clock() + longest_pause;
    for (size_t i = 0; i < outbox->count; i++) {
        result *one = outbox->results[i];
        if (one->next < *until) {
            *until = one->next;
            found = one;
        }
    }
    return *until <= pfm_process_clock() ? found : NULL;
}

/* The number of those that left so, in its lock, is one more. */
static void remove_result(pfm_outbox *outbox, result *one, uint64_t *number)
{
    static const char *const endings[] = {".json", ".dcm"}; /* in this order: a report alone is nobody's */
    for (size_t i = 0; i < 2; i++) {
        char *path = NULL;
        if (path_of(outbox, one->name, endings[i], &path, NULL) == PFM_OK)
            (void)unlink(path);
        free(path);
    }
    (void)pfm_private_folder_sync(outbox->path);
    (void)pthread_mutex_lock(&outbox->lock);
    size_t at = 0;
    while (outbox->results[at] != one)
        at++;
    memmove(&outbox->results[at], &outbox->results[at + 1], (outbox->count - at - 1) * sizeof *outbox->results);
    outbox->count--;
    (*number)++;
    (void)pthread_mutex_unlock(&outbox->lock);
    free_result(one);
}

static void name_target(const pfm_pacs_target *target, char *out, size_t size)
{
    if (target->url != NULL)
        (void)snprintf(out, size, "%s", target->url);
    else
        (void)snprintf(out, size, "%s@%s:%d", target->title, target->host, target->port);
}

static void try_one(pfm_outbox *outbox, result *one)
{
    char *path = NULL, reason[200] = "memory ran out", target[300];
    name_target(&one->target, target, sizeof target);
    one->attempts++;
    const bool sent = path_of(outbox, one->name, ".dcm", &path, NULL) == PFM_OK && deliver(outbox, one, path, reason);
    free(path);
    if (sent) {
        pfm_log(outbox->context, PFM_LOG_INFO, "study %.12s: its report is at %s", one->name, target);
        remove_result(outbox, one, &outbox->returned);
    } else if (difftime(time(NULL), (time_t)one->since) > outbox->options.give_up * 3600) {
        pfm_log(outbox->context, PFM_LOG_WARNING,
                "study %.12s: its report is given up after %g hours and %d attempts, the last because %s: %s", one->name,
                outbox->options.give_up, one->attempts, target, reason);
        remove_result(outbox, one, &outbox->given_up);
    } else {
        pfm_log(outbox->context, PFM_LOG_WARNING, "study %.12s: its report does not reach %s: %s; tried again in %g seconds",
                one->name, target, reason, one->pause);
        (void)pthread_mutex_lock(&outbox->lock);
        one->next = pfm_process_clock() + one->pause;
        one->pause = one->pause * 2 < longest_pause ? one->pause * 2 : longest_pause;
        (void)pthread_mutex_unlock(&outbox->lock);
    }
}

static void *deliver_all(void *user)
{
    pfm_outbox *outbox = user;
    double until = 0;
    (void)pthread_mutex_lock(&outbox->lock);
    while (!outbox->stopping) {
        result *one = next_due(outbox, &until);
        if (one == NULL) {
            pfm_wait_for(&outbox->changed, &outbox->lock, until - pfm_process_clock());
            continue;
        }
        (void)pthread_mutex_unlock(&outbox->lock);
        try_one(outbox, one);
        (void)pthread_mutex_lock(&outbox->lock);
    }
    (void)pthread_mutex_unlock(&outbox->lock);
    return NULL;
}

pfm_status pfm_outbox_start(pfm_outbox *outbox, pfm_error *err)
{
    if (pthread_create(&outbox->thread, NULL, deliver_all, outbox) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: cannot start a thread that delivers results");
    outbox->started = true;
    return PFM_OK;
}
