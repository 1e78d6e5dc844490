/* A rater's own sheet. Nothing here tells a system, an id, a file's name or another rater. */
#include "serve/routes.h"

#include "base/try.h"
#include "image/image.h"
#include "serve/guard.h"
#include "serve/image_slices.h"
#include "serve/item_image.h"
#include "serve/rater_rows.h"
#include "serve/request_body.h"
#include "serve/server.h"
#include "serve/viewing.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_COMMENT = 1 << 14 };

/* Whose link was shown; the guard let nobody else in, but a link may have been replaced since. */
static pfm_status find_rater(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_rater *out,
                             pfm_error *err)
{
    bool found = false;
    const char *secret = pfm_guard_bearer(request);
    pfm_status status = secret != NULL ? pfm_rater_find(server->store, secret, out, &found, err) : PFM_OK;
    return status != PFM_OK || found ? status : pfm_guard_refuse_rater(reply, err);
}

/* A number of the path from `low`; refuses (404) what is none. */
static pfm_status read_place(const char *text, int64_t low, int64_t *out, pfm_http_reply *reply, pfm_error *err)
{
    *out = pfm_view_whole(text);
    return *out >= low ? PFM_OK : pfm_http_refuse(reply, 404, "item_not_found", err, "the sheet has no item %.20s", text);
}

static pfm_status reply_with_state(pfm_server *server, const pfm_rater *rater, pfm_http_reply *reply, pfm_error *err)
{
    json_t *state = NULL;
    pfm_status status = pfm_rater_state(server->store, rater, reply, &state, err);
    if (status == PFM_OK)
        status = pfm_json_append(&reply->body, state, err);
    json_decref(state);
    return status;
}

pfm_status pfm_route_rate(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_rater rater;
    const pfm_status status = find_rater(server, request, reply, &rater, err);
    return status == PFM_OK ? reply_with_state(server, &rater, reply, err) : status;
}

pfm_status pfm_route_rate_item(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rater rater;
    json_t *item = NULL;
    int64_t n = 0;
    PFM_TRY(find_rater(server, request, reply, &rater, err));
    PFM_TRY(read_place(request->places[0], 1, &n, reply, err));
    PFM_TRY(pfm_rater_item(server->store, &rater, n, reply, &item, err));
    PFM_TRY(pfm_json_take(item, "images",
                          pfm_item_images_list(server->options->image_folders, server->options->image_folder_count,
                                               json_string_value(json_object_get(item, "images"))),
                          err));
    PFM_TRY(pfm_json_append(&reply->body, item, err));
done:
    json_decref(item);
    return status;
}

static pfm_status read_given(const pfm_http_request *request, json_t **document, pfm_rater_given *out, pfm_error *err)
{
    static const char *const keys[] = {"score", "comment", NULL};
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_body_read(request, keys, document, err));
    const json_t *score = json_object_get(*document, "score"), *comment = json_object_get(*document, "comment");
    if (score == NULL && comment == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "give a score, a comment or both");
    if (score != NULL && !json_is_null(score) && !json_is_integer(score))
        PFM_FAIL(PFM_ERROR_USAGE, "score must be a whole number, or null where there is none to give");
    if (comment != NULL)
        PFM_TRY(pfm_body_text(*document, "comment", NULL, MOST_COMMENT, &out->comment, err));
    out->has_score = json_is_integer(score);
    out->cannot_tell = json_is_null(score);
    out->score = json_integer_value(score);
done:
    return status;
}

pfm_status pfm_route_rate_give(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rater rater;
    pfm_rater_given given = {0};
    json_t *document = NULL;
    int64_t n = 0;
    PFM_TRY(find_rater(server, request, reply, &rater, err));
    PFM_TRY(read_place(request->places[0], 1, &n, reply, err));
    PFM_TRY(read_given(request, &document, &given, err));
    PFM_TRY(pfm_rater_give(server->store, &rater, n, &given, reply, err));
    PFM_TRY(reply_with_state(server, &rater, reply, err));
done:
    json_decref(document);
    return status;
}

pfm_status pfm_route_rate_undo(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const keys[] = {"change", NULL};
    pfm_status status = PFM_OK;
    pfm_rater rater;
    json_t *document = NULL;
    int64_t change = 0;
    PFM_TRY(find_rater(server, request, reply, &rater, err));
    PFM_TRY(pfm_body_read(request, keys, &document, err));
    PFM_TRY(pfm_body_integer(document, "change", 1, INT64_MAX, 0, &change, err));
    if (change == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "change must be the number of the change to take back");
    PFM_TRY(pfm_rater_undo(server->store, &rater, change, reply, err));
    PFM_TRY(reply_with_state(server, &rater, reply, err));
done:
    json_decref(document);
    return status;
}

/* ---- images ---- */

/* Slice `number` (0: the middle one) of an image of the item. Nothing of where it lies is told. */
static pfm_status find_image(pfm_server *server, const pfm_http_request *request, size_t number, pfm_image_slice *out,
                             pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t folder_count = server->options->image_folder_count;
    pfm_rater rater;
    json_t *item = NULL;
    char *name = NULL;
    int64_t n = 0, k = 0;
    PFM_TRY(find_rater(server, request, reply, &rater, err));
    PFM_TRY(read_place(request->places[0], 1, &n, reply, err));
    PFM_TRY(read_place(request->places[1], 0, &k, reply, err));
    PFM_TRY(pfm_rater_item(server->store, &rater, n, reply, &item, err));
    if (folder_count > 0)
        PFM_TRY(pfm_item_image_name(json_string_value(json_object_get(item, "images")), (size_t)k, &name, err));
    if (name == NULL)
        PFM_TRY(pfm_http_refuse(reply, 404, "image_not_found", err, "the item has no image %lld", (long long)k));
    pfm_server_begin_decoding(server);
    status = pfm_image_slice_find(server->options->image_folders, folder_count, name, number, out, err);
    pfm_server_end_decoding(server);
    PFM_TRY(status);
    if (out->path == NULL)
        PFM_TRY(pfm_http_refuse(reply, 404, "image_not_found", err, "the image is not here; tell the study's owner"));
done:
    json_decref(item);
    free(name);
    return status;
}

/* The picture as the model would be shown it: pixels alone, without what else a file may tell. */
pfm_status pfm_route_rate_image(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const known[] = {"slice", NULL};
    pfm_status status = PFM_OK;
    pfm_image_slice slice = {0};
    pfm_image picture = {0};
    size_t number;
    PFM_TRY(pfm_view_check_query(request, known, err));
    PFM_TRY(pfm_view_number(request, "slice", 1, PFM_SLICE_MOST, 0, &number, err));
    PFM_TRY(find_image(server, request, number, &slice, reply, err));
    PFM_TRY(pfm_server_wait(server, reply, err));
    pfm_server_begin_decoding(server);
    status = pfm_image_slice_decode(&slice, server->session->recipe->model.window, &picture, NULL);
    pfm_server_end_decoding(server);
    if (status != PFM_OK)
        PFM_TRY(pfm_http_refuse(reply, 404, "image_unreadable", err, "the image cannot be shown; tell the study's owner"));
    PFM_TRY(pfm_image_append_png(&picture, "the image", &reply->body, err));
    reply->type = "image/png";
done:
    free(slice.path);
    pfm_image_free(&picture);
    return status;
}

pfm_status pfm_route_rate_series(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_slice slice = {0};
    PFM_TRY(pfm_view_check_query(request, NULL, err));
    PFM_TRY(find_image(server, request, 0, &slice, reply, err));
    PFM_TRY(pfm_image_slice_tell(&slice, &reply->body, err));
done:
    free(slice.path);
    return status;
}
