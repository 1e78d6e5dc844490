/* Studies, for their owner: made, watched, read, closed. */
#include "serve/routes.h"

#include "base/context.h"
#include "base/try.h"
#include "serve/item_image.h"
#include "serve/request_body.h"
#include "serve/server.h"
#include "serve/study_export.h"
#include "serve/study_make.h"
#include "serve/study_rows.h"
#include "serve/viewing.h"

#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

static size_t count_false(const json_t *list)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        count += json_is_false(json_array_get(list, i));
    return count;
}

/* How many of the images that sheets name are not in the folders of images. */
static size_t count_missing(const pfm_serve_options *options, const json_t *sheets)
{
    size_t missing = 0;
    for (size_t s = 0; s < json_array_size(sheets); s++)
        for (size_t i = 0; i < json_array_size(json_array_get(sheets, s)); i++) {
            const json_t *row = json_array_get(json_array_get(sheets, s), i);
            const char *names = json_string_value(json_object_get(row, pfm_sheet_shown[0]));
            json_t *list =
                pfm_item_images_list(options->image_folders, options->image_folder_count, names != NULL ? names : "");
            missing += count_false(list);
            json_decref(list);
        }
    return missing;
}

pfm_status pfm_route_study_create(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const keys[] = {"name",       "rubric", "rubric_text", "raters", "per_text",
                                       "duplicates", "seed",   "systems",     NULL};
    pfm_status status = PFM_OK;
    json_t *document = NULL, *links = NULL, *study = NULL;
    pfm_study_made made = {0};
    pfm_study_id id;
    PFM_TRY(pfm_body_read(request, keys, &document, err));
    PFM_TRY(pfm_study_make(document, server->catalogue, &made, err));
    const pfm_study_draft draft = {.name = made.name,
                                   .rubric = made.rubric,
                                   .settings = made.settings,
                                   .key = made.drawn.key,
                                   .sheets = made.drawn.sheets};
    const size_t missing = count_missing(server->options, made.drawn.sheets);
    PFM_TRY(pfm_study_create(server->store, &draft, id, &links, err));
    PFM_TRY(pfm_study_read(server->store, id, reply, &study, err));
    PFM_TRY(pfm_json_take(study, "links", json_incref(links), err));
    PFM_TRY(pfm_json_take(study, "images_missing", json_integer((json_int_t)missing), err));
    PFM_TRY(pfm_json_append(&reply->body, study, err));
    reply->status = 201;
done:
    pfm_study_made_free(&made);
    json_decref(document);
    json_decref(links);
    json_decref(study);
    return status;
}

/* ---- watching ---- */

pfm_status pfm_route_studies(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    pfm_status status = PFM_OK;
    json_t *list = NULL, *files = NULL, *rubrics = NULL, *document = NULL;
    PFM_TRY(pfm_study_list(server->store, &list, err));
    PFM_TRY(pfm_study_files(server->catalogue, &files, err));
    PFM_TRY(pfm_study_rubrics(&rubrics, err));
    document = json_pack("{s:O, s:O, s:O, s:b, s:b}", "studies", list, "rubrics", rubrics, "predictions", files, "images",
                         server->options->image_folder_count > 0, "open", server->options->token == NULL);
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    json_decref(list);
    json_decref(files);
    json_decref(rubrics);
    return status;
}

static pfm_status reply_with(pfm_server *server, const char *id, pfm_http_reply *reply, pfm_error *err)
{
    json_t *study = NULL;
    pfm_status status = pfm_study_read(server->store, id, reply, &study, err);
    if (status == PFM_OK)
        status = pfm_json_append(&reply->body, study, err);
    json_decref(study);
    return status;
}

pfm_status pfm_route_study(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    return reply_with(server, request->places[0], reply, err);
}

pfm_status pfm_route_study_change(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const keys[] = {"closed", NULL};
    pfm_status status = PFM_OK;
    json_t *document = NULL;
    PFM_TRY(pfm_body_read(request, keys, &document, err));
    const json_t *closed = json_object_get(document, "closed");
    if (!json_is_boolean(closed))
        PFM_FAIL(PFM_ERROR_USAGE, "closed must be true or false");
    PFM_TRY(pfm_study_close(server->store, request->places[0], json_is_true(closed), reply, err));
    PFM_TRY(reply_with(server, request->places[0], reply, err));
done:
    json_decref(document);
    return status;
}

pfm_status pfm_route_study_close(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    const pfm_status status = pfm_study_close(server->store, request->places[0], true, reply, err);
    return status == PFM_OK ? reply_with(server, request->places[0], reply, err) : status;
}

pfm_status pfm_route_study_remove(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    const pfm_status status = pfm_study_remove(server->store, request->places[0], reply, err);
    return status == PFM_OK ? pfm_buffer_append_string(&reply->body, "{}", err) : status;
}

pfm_status pfm_route_study_link(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *link = NULL;
    const long whole = pfm_view_whole(request->places[1]), rater = whole > 0 ? whole : 0;
    PFM_TRY(pfm_study_relink(server->store, request->places[0], rater, reply, &link, err));
    PFM_TRY(pfm_buffer_append_format(&reply->body, err, "{\"rater\":%lld,\"link\":\"%s\"}", (long long)rater, link));
    reply->status = 201;
done:
    free(link);
    return status;
}

/* ---- reading ---- */

/* Takes long: one at a time. */
static pfm_status begin_agreeing(pfm_server *server, pfm_http_reply *reply, pfm_error *err)
{
    (void)pthread_mutex_lock(&server->lock);
    const bool busy = server->agreeing;
    server->agreeing = true;
    (void)pthread_mutex_unlock(&server->lock);
    return busy ? pfm_http_refuse(reply, 503, "overloaded", err, "an agreement is being computed; try again in a moment")
                : PFM_OK;
}

static void end_agreeing(pfm_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->agreeing = false;
    (void)pthread_mutex_unlock(&server->lock);
}

static bool any_score(const json_t *rows)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        if (json_is_integer(json_object_get(row, PFM_SHEET_SCORE)))
            return true;
    }
    return false;
}

/* In a context of its own: the server's is its engine's. */
static pfm_status agree(uint64_t seed, const json_t *key, const json_t *rows, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_context *context = NULL;
    json_t *result = NULL;
    const pfm_context_options options = {.threads = 1, .seed = seed};
    if (!any_score(rows))
        PFM_TRY(pfm_http_refuse(reply, 409, "no_scores", err, "nobody has given a score yet"));
    PFM_TRY(pfm_context_create(&options, &context, err));
    PFM_TRY(pfm_sheets_agree(context, key, rows, &result, err));
    PFM_TRY(pfm_json_append(&reply->body, result, err));
done:
    json_decref(result);
    pfm_context_free(context);
    return status;
}

pfm_status pfm_route_study_agreement(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *key = NULL, *rows = NULL;
    uint64_t seed = 0;
    PFM_TRY(pfm_study_sheets(server->store, request->places[0], reply, &key, &rows, &seed, err));
    PFM_TRY(begin_agreeing(server, reply, err));
    status = agree(seed, key, rows, reply, err);
    end_agreeing(server);
done:
    json_decref(key);
    json_decref(rows);
    return status;
}

/* One of two words of the query; the first where it is not there. */
static pfm_status read_choice(const pfm_http_request *request, const char *name, const char *first, const char *second,
                              bool *is_second, pfm_error *err)
{
    const char *given = pfm_http_query(request, name);
    *is_second = given != NULL && strcmp(given, second) == 0;
    return given == NULL || *is_second || strcmp(given, first) == 0
               ? PFM_OK
               : pfm_error_set(err, PFM_ERROR_USAGE, "%s must be %s or %s", name, first, second);
}

pfm_status pfm_route_study_ratings(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *key = NULL, *rows = NULL, *ratings = NULL;
    bool csv = false, sheets = false;
    uint64_t seed = 0;
    PFM_TRY(read_choice(request, "format", "jsonl", "csv", &csv, err));
    PFM_TRY(read_choice(request, "form", "ratings", "sheets", &sheets, err));
    PFM_TRY(pfm_study_sheets(server->store, request->places[0], reply, &key, &rows, &seed, err));
    if (!sheets)
        PFM_TRY(pfm_study_open(key, rows, &ratings, err));
    if (csv)
        PFM_TRY(sheets ? pfm_sheet_append_csv(rows, &reply->body, err) : pfm_study_append_csv(ratings, &reply->body, err));
    else
        PFM_TRY(pfm_study_append_lines(sheets ? rows : ratings, &reply->body, err));
    reply->type = csv ? "text/csv; charset=utf-8" : "application/jsonl; charset=utf-8";
done:
    json_decref(key);
    json_decref(rows);
    json_decref(ratings);
    return status;
}

pfm_status pfm_route_study_key(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *key = NULL, *rows = NULL;
    uint64_t seed = 0;
    PFM_TRY(pfm_study_sheets(server->store, request->places[0], reply, &key, &rows, &seed, err));
    PFM_TRY(pfm_json_append(&reply->body, key, err));
done:
    json_decref(key);
    json_decref(rows);
    return status;
}
