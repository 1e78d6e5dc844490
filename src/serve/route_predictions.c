/* Files of predictions: which there are, their rows by filters, their images, and any two compared. */
#include "serve/routes.h"

#include "base/context.h"
#include "base/json.h"
#include "base/try.h"
#include "image/image.h"
#include "serve/answer_query.h"
#include "serve/image_folders.h"
#include "serve/image_slices.h"
#include "serve/server.h"
#include "serve/viewing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { COUNT = 50, MOST_COUNT = 500, MOST_FROM = 1 << 30 };

/* What a query is read by before columns of the data are. */
static const char *const own_keys[] = {"right", "kind", "words", "against", "differ", "from", "count", NULL};

static pfm_status use_file(pfm_server *server, const char *name, pfm_http_reply *reply, pfm_answer_file **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_catalogue_find(server->catalogue, PFM_LISTED_PREDICTIONS, name, &path, err));
    if (path == NULL)
        PFM_TRY(pfm_http_refuse(reply, 404, "predictions_not_found", err,
                                "there is no file of predictions %.200s; GET /api/predictions lists them", name));
    status = pfm_answer_files_use(server->answers, path, name, out, err);
    if (status == PFM_ERROR_IO)
        reply->status = 404;
done:
    free(path);
    return status;
}

pfm_status pfm_route_predictions_list(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply,
                                      pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_listing files = {0};
    json_t *list = json_array();
    PFM_TRY(pfm_view_check_query(request, NULL, err));
    PFM_TRY(pfm_catalogue_list(server->catalogue, PFM_LISTED_PREDICTIONS, &files, err));
    for (size_t i = 0; i < files.count; i++)
        list =
            pfm_json_add(list, json_pack("{s:s, s:I}", "name", files.items[i].name, "bytes", (json_int_t)files.items[i].size));
    PFM_TRY(pfm_http_reply_json(
        reply, json_pack("{s:O, s:b, s:b}", "files", list, "cut", files.cut, "images", server->options->image_folder_count > 0),
        err));
done:
    pfm_listing_free(&files);
    json_decref(list);
    return status;
}

/* ---- the query ---- */

/* *out = the number of the value among the names; `missing` where it is not asked for, or "". */
static pfm_status read_choice(const pfm_http_request *request, const char *name, const char *const *names, int count,
                              int missing, int *out, pfm_error *err)
{
    const char *text = pfm_http_query(request, name);
    char list[128] = "";
    *out = missing;
    if (text == NULL || text[0] == '\0')
        return PFM_OK;
    for (int i = 0; i < count; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *out = i;
            return PFM_OK;
        }
        const size_t length = strlen(list);
        (void)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be one of %s", name, list);
}

static bool is_read(void *user, const char *name)
{
    const pfm_answer_set *set = user;
    for (const char *const *own = own_keys; *own != NULL; own++)
        if (strcmp(*own, name) == 0)
            return true;
    for (size_t c = 0; c < set->column_count; c++)
        if (strcmp(set->columns[c].name, name) == 0 && pfm_answer_column_splits(&set->columns[c]))
            return true;
    return false;
}

static bool is_own(const char *name)
{
    const pfm_answer_set none = {0};
    return is_read((void *)(uintptr_t)&none, name);
}

/* values [columns of the set]: room for what is asked of them. */
static pfm_status read_query(const pfm_http_request *request, const pfm_answer_file *file, const char **values,
                             pfm_answer_query *out, pfm_error *err)
{
    static const char *const verdicts[] = {"wrong", "right", "false", "true", "0", "1"}, *const kinds[] = {"OPEN", "CLOSED"};
    pfm_status status = PFM_OK;
    int differ;
    const char *strange = pfm_http_query_other(request, is_read, (void *)(uintptr_t)&file->set);
    if (strange != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "the file has no column %.100s by which rows can be filtered", strange);
    *out = (pfm_answer_query){.words = pfm_http_query(request, "words"), .values = values};
    PFM_TRY(read_choice(request, "right", verdicts, 6, -1, &out->right, err));
    if (out->right > 0)
        out->right %= 2;
    if (out->right >= 0 && file->set.reports)
        PFM_FAIL(PFM_ERROR_USAGE, "reports are neither right nor wrong, so that they cannot be filtered by it");
    PFM_TRY(read_choice(request, "kind", kinds, 2, -1, &out->kind, err));
    PFM_TRY(read_choice(request, "differ", pfm_differ_names, PFM_DIFFERS, PFM_DIFFER_answers, &differ, err));
    out->differ = (pfm_differ)differ;
    PFM_TRY(pfm_view_number(request, "from", 0, MOST_FROM, 0, &out->from, err));
    PFM_TRY(pfm_view_number(request, "count", 0, MOST_COUNT, COUNT, &out->count, err));
    if (pfm_http_query(request, "differ") != NULL && pfm_http_query(request, "against") == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "differ is about two files; name the other one by against");
    for (size_t c = 0; c < file->set.column_count; c++) {
        const char *name = file->set.columns[c].name, *value = is_own(name) ? NULL : pfm_http_query(request, name);
        values[c] = value != NULL && value[0] != '\0' ? value : NULL;
    }
done:
    return status;
}

/* "there": of each image of the rows that are told whether it can be shown. */
static pfm_status mark_images(pfm_server *server, const pfm_answer_file *file, const json_t *rows, pfm_error *err)
{
    enum { MOST_SOUGHT = 64 };
    pfm_status status = PFM_OK;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const pfm_answer_extra *extra = &file->extras[json_integer_value(json_object_get(row, "n"))];
        json_t *there = json_array();
        bool is_there = false;
        for (size_t k = 0, sought = 0; status == PFM_OK && k < extra->image_count; k++) {
            char *path = NULL;
            if (k == 0 || strcmp(extra->images[k], extra->images[k - 1]) != 0) { /* slices of a series have one name */
                if (sought++ < MOST_SOUGHT)
                    status = pfm_image_folders_find(server->options->image_folders, server->options->image_folder_count,
                                                    extra->images[k], &path, err);
                is_there = path != NULL;
            }
            there = pfm_json_add(there, json_boolean(is_there));
            free(path);
        }
        if (status != PFM_OK) {
            json_decref(there);
            goto done;
        }
        PFM_TRY(pfm_json_take(row, "there", there, err));
    }
done:
    return status;
}

pfm_status pfm_route_predictions(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_file *file = NULL, *against = NULL;
    const char **values = NULL, *other = pfm_http_query(request, "against");
    pfm_answer_query query;
    json_t *document = NULL;
    PFM_TRY(use_file(server, request->places[0], reply, &file, err));
    PFM_TRY(pfm_allocate(file->set.column_count, sizeof *values, &values, err));
    PFM_TRY(read_query(request, file, values, &query, err));
    if (other != NULL && other[0] != '\0')
        PFM_TRY(use_file(server, other, reply, &against, err));
    query.against = against;
    PFM_TRY(pfm_answer_query_run(file, &query, &document, err));
    PFM_TRY(mark_images(server, file, json_object_get(document, "rows"), err));
    PFM_TRY(pfm_http_reply_json(reply, json_incref(document), err));
done:
    json_decref(document);
    pfm_answer_files_give_back(server->answers, file);
    pfm_answer_files_give_back(server->answers, against);
    free(values);
    return status;
}

pfm_status pfm_route_predictions_against(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply,
                                         pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_file *a = NULL, *b = NULL;
    json_t *document = NULL;
    PFM_TRY(pfm_view_check_query(request, NULL, err));
    PFM_TRY(use_file(server, request->places[0], reply, &a, err));
    PFM_TRY(use_file(server, request->places[1], reply, &b, err));
    PFM_TRY(pfm_answer_gap(a, b, server->context->seed, &document, err));
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    pfm_answer_files_give_back(server->answers, a);
    pfm_answer_files_give_back(server->answers, b);
    return status;
}

/* ---- images ---- */

/* Slice `number` (0: the middle one) of an image that the row names. Of one that the row says a slice of there is no other. */
static pfm_status find_image(pfm_server *server, const pfm_http_request *request, size_t number, pfm_image_slice *out,
                             pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t row = (size_t)pfm_view_whole(request->places[1]),
                 k = (size_t)pfm_view_whole(request->places[2]); /* -1: beyond all */
    pfm_answer_file *file = NULL;
    PFM_TRY(use_file(server, request->places[0], reply, &file, err));
    if (row >= file->set.count || k >= file->extras[row].image_count)
        PFM_TRY(pfm_http_refuse(reply, 404, "image_not_found", err, "the file names no such image"));
    const pfm_answer_extra *extra = &file->extras[row];
    const size_t own = extra->slices != NULL && extra->slices[k] > 0 ? (size_t)extra->slices[k] : 0;
    if (own > 0 && number > 1)
        PFM_TRY(pfm_http_refuse(reply, 404, "image_not_found", err, "the row names one slice of this image"));
    pfm_server_begin_decoding(server);
    status = pfm_image_slice_find(server->options->image_folders, server->options->image_folder_count, extra->images[k],
                                  own > 0 ? own : number, out, err);
    pfm_server_end_decoding(server);
    PFM_TRY(status);
    if (out->path == NULL)
        PFM_TRY(pfm_http_refuse(reply, 404, "image_not_found", err,
                                "the image is not in the folders of images (--images), or cannot be read"));
    if (own > 0)
        out->number = out->total = 1;
done:
    pfm_answer_files_give_back(server->answers, file);
    return status;
}

/* A side of `most` at the longest; 0: as it is. */
static pfm_status shrink(pfm_image *image, size_t most, pfm_error *err)
{
    const int longer = image->width > image->height ? image->width : image->height;
    if (most == 0 || (size_t)longer <= most)
        return PFM_OK;
    const double scale = (double)most / longer;
    const int width = (int)(image->width * scale), height = (int)(image->height * scale);
    pfm_image small = {0};
    const pfm_status status = pfm_image_resize(image, "box", width > 0 ? width : 1, height > 0 ? height : 1, &small, err);
    if (status == PFM_OK) {
        pfm_image_free(image);
        *image = small;
    }
    return status;
}

/* The picture that a model is shown, as PNG: pixels, and nothing of what else the file says. */
static pfm_status append_picture(pfm_server *server, const pfm_image_slice *slice, size_t most, pfm_http_reply *reply,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image picture = {0};
    PFM_TRY(pfm_server_wait(server, reply, err));
    pfm_server_begin_decoding(server);
    status = pfm_image_slice_decode(slice, server->session->recipe->model.window, &picture, err);
    pfm_server_end_decoding(server);
    if (status == PFM_ERROR_MISMATCH)
        reply->status = 404;
    PFM_TRY(status);
    PFM_TRY(shrink(&picture, most, err));
    PFM_TRY(pfm_image_append_png(&picture, "the picture", &reply->body, err));
    reply->type = "image/png";
done:
    pfm_image_free(&picture);
    return status;
}

pfm_status pfm_route_predictions_image(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply,
                                       pfm_error *err)
{
    static const char *const known[] = {"most", "slice", NULL};
    pfm_status status = PFM_OK;
    pfm_image_slice slice = {0};
    size_t most, number;
    PFM_TRY(pfm_view_check_query(request, known, err));
    PFM_TRY(pfm_view_number(request, "most", 1, PFM_IMAGE_MAX_SIDE, 0, &most, err));
    PFM_TRY(pfm_view_number(request, "slice", 1, PFM_SLICE_MOST, 0, &number, err));
    PFM_TRY(find_image(server, request, number, &slice, reply, err));
    PFM_TRY(append_picture(server, &slice, most, reply, err));
done:
    free(slice.path);
    return status;
}

/* How many slices it has, and which one is shown where none is said. */
pfm_status pfm_route_predictions_series(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply,
                                        pfm_error *err)
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
